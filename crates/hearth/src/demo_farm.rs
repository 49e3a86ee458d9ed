//! The demonstration's farm: emulated machines of several makers, found, steered and tuned by the
//! fleet while they mine at the demonstration's own server.
//!
//! Their time runs sixty times as fast as ours. What they prove is true work at a declared scale.

mod find;
mod show;
mod steer;
mod tune;

use crate::{
    bridge::Bridge,
    energy::Machines,
    fleet::{meter::ServerMeter, view::View},
    private::made_up_address,
};
use fleet::{
    Command, Control, Device, DeviceId, Firmware, WorkMode,
    circuit::{Circuit, Circuits},
    command::Verb,
    control::{Clock, Fleet, Meter, Setup, supervise},
    readings::Reading,
};
use serde::Serialize;
use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};
use twin::farm::{Farm, FarmConfig, Fault, Faults, Kind};
use units::{Celsius, Ratio, Watts};

const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 1);
/// What is scanned for them.
const RANGE: &str = "127.0.77.0/28";
const MACHINES: [Kind; 11] = [
    Kind::BitaxeGamma,
    Kind::BitaxeGamma,
    Kind::BitaxeGamma,
    Kind::LuxS19kPro,
    Kind::LuxS19kPro,
    Kind::BraiinsS21Pro,
    Kind::BraiinsS21Pro,
    Kind::WhatsminerM30Spp,
    Kind::WhatsminerM30Spp,
    Kind::AntminerS21,
    Kind::AvalonQ,
];
/// The one that says yes and does nothing.
const STUBBORN: usize = 2;
pub const SPEED: f64 = 60.0;
/// Real time between two shares of the machine that is tuned: a share is still a dozen hashes.
const SHARE_INTERVAL: Duration = Duration::from_millis(6);
/// Real time over which it is measured before anything is changed: eight hundred shares, 3.5 %.
const BEFORE: Duration = Duration::from_secs(5);
/// Time between two shares of the others, on the farm's clock.
const SPACING: Duration = Duration::from_secs(6);
/// Ports of the farm where low ones are the system's.
const SHIFT: u16 = 8000;
const BREAKER: &str = "breaker";
/// What the breaker carries of the sum of all nameplates.
const CARRIES: f64 = 0.9;
/// Addresses asked at once.
const SOCKETS: usize = 16;

/// What became of it.
#[derive(Serialize, Default)]
pub struct Report {
    pub devices_found: u64,
    pub commands_verified: u64,
    pub commands_refused: u64,
    pub commands_unknown: u64,
    pub tuner_j_per_th_before: Option<f64>,
    pub tuner_j_per_th_after: Option<f64>,
    pub farm: Vec<Row>,
}

#[derive(Serialize)]
pub struct Row {
    name: String,
    address: String,
    firmware: String,
    verified_ths: Option<f64>,
    power_w: Option<f64>,
    control: String,
}

type Failure = Box<dyn Error + Send + Sync>;

/// A farm under way.
pub struct DemoFarm {
    farm: Arc<Farm>,
    fleet: Arc<Fleet>,
    circuits: Circuits,
    view: Arc<Mutex<View>>,
    told: Arc<Mutex<Told>>,
    tasks: Vec<JoinHandle<()>>,
    tuning: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    meter: Arc<ServerMeter>,
    shown: bool,
}

#[derive(Default)]
struct Told {
    found: u64,
    before: Option<f64>,
    after: Option<f64>,
}

/// What all its tasks share.
#[derive(Clone)]
struct Stage {
    fleet: Arc<Fleet>,
    meter: Arc<ServerMeter>,
    circuits: Circuits,
    view: Arc<Mutex<View>>,
    told: Arc<Mutex<Told>>,
    shown: bool,
}

impl DemoFarm {
    /// Starts the machines at `stratum` and begins to look for them.
    pub async fn start(
        stratum: SocketAddr,
        bridge: Arc<Bridge>,
        journals: PathBuf,
        shown: bool,
    ) -> Result<Self, Failure> {
        let config = |port_shift| FarmConfig {
            first: FIRST,
            machines: MACHINES.to_vec(),
            stratum: Some(stratum.to_string()),
            user: made_up_address("farm"),
            scale: None,
            speed: SPEED,
            ambient: Celsius::new(25.0).unwrap_or(Celsius::ZERO),
            port_shift,
            faults: Faults::default(),
            light: false,
            seed: 1,
        };
        let (farm, shift) = match Farm::start(config(0)).await {
            Ok(farm) => (farm, 0),
            Err(_) => (Farm::start(config(SHIFT)).await?, SHIFT),
        };
        let farm = Arc::new(farm);
        farm.set_fault(STUBBORN, Some(Fault::SilentRefusal));

        let nameplates: f64 =
            farm.machines().iter().map(|machine| machine.output().power.get()).sum();
        let limit = Watts::new(nameplates * CARRIES)?;
        let breaker = Circuit { name: BREAKER.into(), parent: None, limit, other: Watts::ZERO };
        let circuits = Circuits::new(vec![breaker])?;
        let clock = Clock::start(SPEED);
        let meter = Arc::new(ServerMeter::new(bridge.clone()));
        let open = {
            let meter: Arc<dyn Meter> = meter.clone();
            move |device: &Device| find::open(device, &meter, clock)
        };
        let fleet = Fleet::new(Setup {
            clock,
            sockets: SOCKETS,
            starts_per_second: 10,
            circuits: circuits.clone(),
            open: Arc::new(open),
        });
        let stage = Stage {
            fleet: fleet.clone(),
            meter,
            circuits: circuits.clone(),
            view: Arc::default(),
            told: Arc::default(),
            shown,
        };
        stage.say(format!(
            "{} emulated machines at {FIRST} and up{}; their time runs {SPEED:.0} times as fast. One \
             breaker carries {limit}.",
            MACHINES.len(),
            if shift > 0 { format!(", ports shifted by {shift}") } else { String::new() },
        ));
        let (stop, stopped) = watch::channel(false);
        let tuning = {
            let (stage, farm) = (stage.clone(), farm.clone());
            tokio::spawn(async move { stage.play(&farm, shift, journals, stopped).await })
        };
        let tasks = vec![
            tokio::spawn(supervise::run(
                fleet.clone(),
                supervise::Pace { period: Duration::from_secs(30), ..supervise::Pace::default() },
            )),
            tokio::spawn(stage.clone().watch(farm.clone())),
        ];
        {
            let (fleet, view) = (Arc::downgrade(&fleet), stage.view.clone());
            let circuits = circuits.clone();
            bridge.show_fleet(move || {
                let fleet = fleet.upgrade()?;
                Some(hold(&view).make(&fleet, &circuits, fleet.clock.now()))
            });
        }
        let Stage { view, told, meter, .. } = stage;
        let tuning = Some(tuning);
        Ok(Self { farm, fleet, circuits, view, told, tasks, tuning, stop, meter, shown })
    }

    /// What is steered with when power is decided on: all but the machines that the farm's own story is
    /// about.
    pub fn machines(&self) -> Machines {
        let own = |firmware| matches!(firmware, Firmware::AxeOs);
        let fleet = self.fleet.clone();
        Machines {
            fleet: self.fleet.clone(),
            meter: self.meter.clone(),
            busy: Arc::new(move |id| {
                fleet.registry().get(id).is_none_or(|device| own(device.identity.firmware))
            }),
        }
    }

    /// What the breaker carries for ever.
    pub fn carries(&self) -> Option<Watts> {
        self.circuits.get(BREAKER).map(|circuit| circuit.limit)
    }

    /// Machines whose heat goes to the house: one of a home.
    pub fn heating(&self) -> Vec<Arc<str>> {
        let registry = self.fleet.registry();
        let home = registry.devices().find(|d| d.identity.firmware == Firmware::Avalon);
        home.map(|device| device.id.to_string().into()).into_iter().collect()
    }

    /// What all machines draw, and those that heat: as the emulated meter sees it.
    pub fn power(&self) -> impl Fn() -> (Watts, Watts) + Send + 'static {
        let farm = self.farm.clone();
        move || {
            let heating = farm.machines().iter().filter(|machine| machine.kind() == Kind::AvalonQ);
            (farm.meter(), heating.map(|machine| machine.output().power).sum())
        }
    }

    /// Ends the tuning at its last good setting, and says what became of all.
    pub async fn finish(mut self) -> Report {
        let _ = self.stop.send(true);
        if let Some(tuning) = self.tuning.take() {
            let _ = tokio::time::timeout(Duration::from_secs(5), tuning).await;
        }
        let mut tree = hold(&self.view).make(&self.fleet, &self.circuits, self.fleet.clock.now());
        tree.devices.sort_by_key(|device| device.address.as_ref()?.parse::<IpAddr>().ok());
        self.tasks.drain(..).for_each(|task| task.abort());
        let told = hold(&self.told);
        let name = |address: &str| {
            let at = address.parse::<IpAddr>().ok().and_then(|ip| self.farm.at(ip));
            at.map_or(address.to_string(), |machine| machine.name().to_string())
        };
        let report = Report {
            devices_found: told.found,
            commands_verified: tree.commands.verified,
            commands_refused: tree.commands.refused,
            commands_unknown: tree.commands.unknown,
            tuner_j_per_th_before: told.before,
            tuner_j_per_th_after: told.after,
            farm: (tree.devices.iter())
                .map(|device| {
                    let address = device.address.clone().unwrap_or_default();
                    Row {
                        name: name(&address),
                        address,
                        firmware: device.firmware.clone(),
                        verified_ths: device.verified_ths,
                        power_w: device.power_w,
                        control: device.control.clone(),
                    }
                })
                .collect(),
        };
        drop(told);
        if self.shown {
            show::show(&tree, &report);
        }
        report
    }
}

impl Stage {
    fn say(&self, text: String) {
        if self.shown {
            println!("{text}");
        }
    }

    /// The whole story, from the first question to the end of the tuning.
    async fn play(
        &self,
        farm: &Farm,
        shift: u16,
        journals: PathBuf,
        mut stopped: watch::Receiver<bool>,
    ) {
        self.find(farm, shift).await;
        let ids: Vec<DeviceId> = self.fleet.registry().devices().map(|d| d.id.clone()).collect();
        let asked = ids.into_iter().map(|id| {
            let fleet = self.fleet.clone();
            async move {
                // One that does not answer now is asked again by whoever supervises.
                let _ = fleet.ask_capabilities(&id).await;
                let _ = fleet.read(&id).await;
            }
        });
        futures_util::future::join_all(asked).await;
        let all: Vec<Device> = self.fleet.registry().devices().cloned().collect();

        let silent = all.iter().filter(|device| device.control == Control::StratumOnly);
        let mut names: Vec<&str> = silent.map(|device| device.identity.firmware.name()).collect();
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            self.say(format!(
                "{}: steered only by giving them no work; this build has no link to their firmware",
                names.join(", ")
            ));
        }
        let mut gammas = all.iter().filter(|d| d.identity.firmware == Firmware::AxeOs);
        let tuned = gammas.next().cloned();
        let mut orders: Vec<(DeviceId, Vec<Command>)> = Vec::new();
        // One of the large ones stays off, so that others may be switched off and on again.
        let large = all.iter().find(|d| d.identity.firmware == Firmware::WhatsminerV2).cloned();
        let stay: Vec<Device> = all
            .iter()
            .filter(|device| large.as_ref().is_none_or(|large| large.id != device.id))
            .cloned()
            .collect();
        let mut shed = self.shares(&stay);
        if let Some(large) = large.as_ref() {
            shed.push((large.id.clone(), vec![Command::Pause]));
        }
        for device in &all {
            if [&tuned, &large].into_iter().flatten().any(|other| other.id == device.id) {
                continue;
            }
            let can = |verb| device.capabilities.verbs.contains(&verb);
            let commands = match () {
                () if can(Verb::PowerLimit) => continue,
                () if device.identity.firmware == Firmware::Avalon => {
                    vec![Command::Mode(WorkMode::Avalon { mode: 0, level: None })]
                }
                () if can(Verb::Pause) => vec![Command::Pause, Command::Resume],
                () if can(Verb::Mode) => vec![Command::Mode(WorkMode::Low)],
                () => continue,
            };
            orders.push((device.id.clone(), commands));
        }
        let limit = self.circuits.get(BREAKER).map(|circuit| circuit.limit);
        let steering = async {
            // Whoever is turned down makes room for the others.
            for orders in [shed, orders] {
                let each = orders.into_iter().map(|(id, commands)| self.order(id, commands));
                futures_util::future::join_all(each).await;
            }
            if let Some(limit) = limit.filter(|limit| farm.meter() <= *limit) {
                farm.breaker(limit);
                self.say(format!("The breaker's meter shows {} of {limit}.", farm.meter()));
            }
        };
        let tuning = async {
            if let Some(device) = tuned {
                self.tune(&device, &journals, &mut stopped).await;
            }
        };
        tokio::join!(steering, tuning);
    }

    fn name(&self, id: &DeviceId) -> String {
        let registry = self.fleet.registry();
        let device = registry.get(id);
        let at = device.and_then(|device| device.endpoint);
        let model = device.and_then(|device| device.model.as_deref());
        let at = at.map_or(id.to_string(), |at| at.ip.to_string());
        format!("{at:<12} {}", model.unwrap_or(""))
    }

    /// Notes work, until dropped.
    async fn watch(self, farm: Arc<Farm>) {
        let mut every = tokio::time::interval(Duration::from_millis(500));
        loop {
            every.tick().await;
            let now = self.fleet.clock.now();
            let meter = self.meter.clone();
            let Ok(worked) = tokio::task::spawn_blocking(move || meter.tallies(now)).await else {
                return;
            };
            if let Some(worked) = &worked {
                self.fleet.registry().take_work(worked);
            }
            let mut view = hold(&self.view);
            view.note(&self.fleet, now);
            if let Ok(error) = Ratio::percent(1.0) {
                view.metered.insert(BREAKER.into(), (Reading::new(farm.meter(), now), error));
            }
        }
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
