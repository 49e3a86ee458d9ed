//! The demonstration's farm: emulated machines of several makers, found, steered and tuned by the
//! fleet while they mine at the demonstration's own server.
//!
//! Their time runs sixty times as fast as ours. What they prove is true work at a declared scale.

use crate::{
    bridge::Bridge,
    fleet::{meter::ServerMeter, model, view::View},
    private::made_up_address,
};
use fleet::{
    Command, Control, Device, DeviceId, Driver, Firmware, Limits, Outcome, WorkMode,
    allocate::{Claim, Share, allocate},
    circuit::{Circuit, Circuits},
    command::Verb,
    control::{
        Clock, Fleet, Meter, Setup, Who,
        staged::Staged,
        supervise,
        tune::{self, Journal, News, Plan},
    },
    curve::Curve,
    discovery::{range, scan},
    drivers::{self, stratum_only::StratumOnly},
    readings::Reading,
    tuner::{Entry, Envelope, Measured, Policy, Prior},
    work::{Window, WorkScale},
};
use futures_util::StreamExt;
use serde::Serialize;
use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use twin::farm::{Farm, FarmConfig, Fault, Faults, Kind, Spec};
use units::{Celsius, Efficiency, Hashrate, Ratio, Watts};

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
const SPEED: f64 = 60.0;
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
/// Machines may draw a little more than they are told: so much room is left for that.
const MARGIN: f64 = 1.07;
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
            move |device: &Device| open(device, &meter, clock)
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
            tokio::spawn(stage.clone().watch(farm.clone(), bridge)),
        ];
        let Stage { view, told, .. } = stage;
        Ok(Self { farm, fleet, circuits, view, told, tasks, tuning: Some(tuning), stop, shown })
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
            show(&tree, &report);
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

    async fn find(&self, farm: &Farm, shift: u16) {
        let Ok(addresses) = range::addresses(&[RANGE.to_string()], false, 1) else { return };
        let limits = scan::Limits { port_shift: shift, ..scan::Limits::default() };
        let mut answers = pin!(scan::scan(addresses, limits));
        while let Some(asked) = answers.next().await {
            let Some(found) = asked.found else { continue };
            let ip = found.endpoint.ip;
            let seen = self.fleet.registry().found(&found, envelope());
            let Ok(_) = seen else { continue };
            let id = found.identity.id().unwrap_or_else(|| DeviceId::Named(ip.to_string()));
            let scale = farm.at(ip).map(|machine| (machine.scale(), machine.kind()));
            let mut registry = self.fleet.registry();
            let Some(device) = registry.get_mut(&id) else { continue };
            model::describe(device);
            device.circuit = Some(BREAKER.into());
            if drivers::open(found.endpoint, device.identity.firmware).is_none() {
                device.control = Control::StratumOnly;
            }
            if let Some((scale, kind)) = scale {
                device.scale = WorkScale::new(scale).unwrap_or(WorkScale::ONE);
                if model::nameplate(device).is_none() {
                    device.declared_power = nominal(kind);
                }
            }
            let name = device.model.as_deref().or(device.identity.model.as_deref());
            let line = format!(
                "found {:<12} {:<18} {:<14} {}",
                ip.to_string(),
                name.unwrap_or("unknown model"),
                device.identity.firmware.name(),
                device.identity.version.as_deref().unwrap_or("")
            );
            drop(registry);
            hold(&self.told).found += 1;
            self.say(line);
        }
    }

    /// Watts by equal marginal hashrate for those that keep to a limit; all others draw what they do.
    fn shares(&self, all: &[Device]) -> Vec<(DeviceId, Vec<Command>)> {
        let now = self.fleet.clock.now();
        let limited = |device: &Device| device.capabilities.verbs.contains(&Verb::PowerLimit);
        let claim = |device: &Device| {
            let drawn = crate::fleet::view::estimate(device, now)?.power;
            let rate = device
                .known
                .hashrate
                .map_or(Hashrate::from_hashes_per_second(1e12), |rate| rate.value);
            let curve = match limited(device) {
                true => curve(drawn, rate)?,
                false => Curve::new(vec![(drawn, rate)]).ok()?,
            };
            Some(Claim {
                id: device.id.clone(),
                curve,
                idle: Watts::ZERO,
                circuit: device.circuit.clone(),
                keep_on: true,
                current: Some(drawn),
            })
        };
        let claims: Vec<Claim> = all.iter().filter_map(claim).collect();
        let Some(circuit) = self.circuits.get(BREAKER) else { return Vec::new() };
        let available = Watts::new(circuit.limit.get() / MARGIN).ok();
        let given = match allocate(&claims, &self.circuits, available) {
            Ok(given) => given,
            Err(error) => {
                self.say(format!("no watts are shared out: {error}"));
                return Vec::new();
            }
        };
        let order = |device: &Device| match given.shares.get(&device.id) {
            Some(Share::Run(power)) if limited(device) => {
                Some((device.id.clone(), vec![Command::PowerLimit(*power)]))
            }
            _ => None,
        };
        all.iter().filter_map(order).collect()
    }

    async fn order(&self, id: DeviceId, commands: Vec<Command>) {
        for command in commands {
            let done = self.fleet.command(&id, command.clone()).await;
            hold(&self.view).forget_work(&id);
            let name = self.name(&id);
            self.say(format!("told  {name}: {command}: {}", done.outcome));
            if matches!(done.outcome, Outcome::Refused(_) | Outcome::Unknown) {
                return;
            }
        }
    }

    fn name(&self, id: &DeviceId) -> String {
        let registry = self.fleet.registry();
        let device = registry.get(id);
        let at = device.and_then(|device| device.endpoint);
        let model = device.and_then(|device| device.model.as_deref());
        let at = at.map_or(id.to_string(), |at| at.ip.to_string());
        format!("{at:<12} {}", model.unwrap_or(""))
    }

    async fn tune(
        &self,
        device: &Device,
        journals: &std::path::Path,
        stopped: &mut watch::Receiver<bool>,
    ) {
        // As any other command: in its turn, and with room on the breaker.
        let Some(link) = Staged::new(self.fleet.clone(), device.id.clone()) else { return };
        let Some(endpoint) = device.endpoint else { return };
        let can = &device.capabilities;
        let (Some(frequency), Some(voltage)) = (can.frequency, can.voltage) else { return };
        // Machines reach their server in the first seconds.
        let connected = Instant::now();
        while connected.elapsed() < Duration::from_secs(10) {
            let sessions = self.meter.tallies(self.fleet.clock.now()).unwrap_or_default();
            if sessions.iter().any(|session| session.ip == endpoint.ip) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.measure_before(device, &link, endpoint.ip).await;
        let mut journal = match Journal::open(&Journal::path(journals, &device.id.to_string())) {
            Ok(journal) => journal,
            Err(error) => return self.say(format!("not tuned: {error}")),
        };
        let power = |told: &fleet::Readings, _| Some((told.power?, 0.01));
        let Ok(goal) = "efficiency".parse() else { return };
        let plan = Plan {
            goal,
            policy: policy(),
            envelope: Envelope { frequency, voltage, limits: device.limits },
            prior: Prior::GAMMA,
            who: Who::Address(endpoint.ip),
            scale: device.scale,
            power: &power,
            time: None,
            keep_on: false,
        };
        let name = self.name(&device.id);
        let mut news = |news: News| self.news(&device.id, &name, news);
        let stop = async {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let tuned = tune::tune(
            &link,
            &*self.meter,
            &self.fleet.clock,
            &plan,
            &mut journal,
            stop,
            &mut news,
        );
        if let Err(error) = tuned.await {
            self.say(format!("tune  {name}: {error}"));
        }
    }

    /// What the machine does as it was found.
    async fn measure_before(&self, device: &Device, link: &dyn Driver, ip: IpAddr) {
        self.meter.share_interval(&Who::Address(ip), Some(SHARE_INTERVAL));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let tally = || {
            let sessions = self.meter.tallies(self.fleet.clock.now()).unwrap_or_default();
            sessions.into_iter().find(|session| session.ip == ip).map(|session| session.tally)
        };
        let from = tally();
        tokio::time::sleep(BEFORE).await;
        let (to, read) = (tally(), link.read().await);
        let window = from.zip(to).and_then(|(from, to)| Window::between(&from, &to, device.scale));
        let power = read.ok().and_then(|state| state.readings.power);
        let before =
            power.zip(window).and_then(|(p, window)| Efficiency::of(p, window.rate()).ok());
        if let Some(before) = before {
            hold(&self.told).before = Some(before.joules_per_terahash());
            let name = self.name(&device.id);
            self.say(format!("tune  {name}: {before} by verified work as it was found"));
        }
    }

    fn news(&self, id: &DeviceId, name: &str, news: News) {
        match news {
            News::Step(Entry::Applying { point, .. }) => {
                hold(&self.view).forget_work(id);
                self.say(format!("tune  {name}: tries {}, {}", point.frequency, point.voltage));
            }
            News::Step(Entry::Good { point, measured, .. }) => {
                let efficiency = efficiency(&measured);
                if let Some(efficiency) = efficiency {
                    self.measured(id, efficiency.joules_per_terahash());
                }
                let shown = efficiency.map_or("not measured".into(), |e| e.to_string());
                self.say(format!(
                    "tune  {name}: {}, {} is good: {shown} by verified work",
                    point.frequency, point.voltage
                ));
            }
            News::Step(Entry::Restored { point, why, .. }) => {
                self.say(format!(
                    "tune  {name}: back to {}, {}: {why}",
                    point.frequency, point.voltage
                ));
            }
            News::Refused(why) => self.say(format!("tune  {name}: {why}")),
            News::Found(found) => {
                self.measured(id, found.efficiency.joules_per_terahash());
                hold(&self.told).after = Some(found.efficiency.joules_per_terahash());
                if let Some(tuning) = hold(&self.view).tuning.get_mut(id) {
                    tuning.phase = "found".into();
                }
                self.say(format!(
                    "tune  {name}: best is {}, {}: {} ± {:.1} %",
                    found.point.frequency,
                    found.point.voltage,
                    found.efficiency,
                    found.error * 100.0
                ));
            }
        }
    }

    fn measured(&self, id: &DeviceId, j_per_th: f64) {
        let tuning = api::fleet::Tuning {
            goal: "efficiency".into(),
            phase: "tuning".into(),
            j_per_th_before: hold(&self.told).before,
            j_per_th_now: Some(j_per_th),
        };
        hold(&self.view).tuning.insert(id.clone(), tuning);
    }

    /// Notes work and shows the fleet, until dropped.
    async fn watch(self, farm: Arc<Farm>, bridge: Arc<Bridge>) {
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
            let tree = view.make(&self.fleet, &self.circuits, now);
            *bridge.fleet.write().unwrap_or_else(PoisonError::into_inner) = Some(tree);
        }
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By its firmware where we can, else by the work that it gets.
fn open(device: &Device, meter: &Arc<dyn Meter>, clock: Clock) -> Option<Arc<dyn Driver>> {
    let at = device.endpoint?;
    if let Some(link) = drivers::open(at, device.identity.firmware) {
        return Some(Arc::from(link));
    }
    Some(Arc::new(StratumOnly::new(meter.clone(), Who::Address(at.ip), SPACING, clock)))
}

/// Of emulated machines of all kinds: a Gamma's chip may reach 70 °C, others' 95 °C.
fn envelope() -> Limits {
    Limits {
        chip: Celsius::new(95.0).unwrap_or(Celsius::ZERO),
        regulator: None,
        inlet: None,
        outlet: None,
        input_low: None,
        input_high: None,
        power: None,
    }
}

fn nominal(kind: Kind) -> Option<Watts> {
    let machine = twin::farm::Machine::new(Spec::of(kind), Celsius::new(25.0).ok()?);
    Some(machine.output().power).filter(|power| *power > Watts::ZERO)
}

/// As the profiles of an S19k Pro under LuxOS fall: half the power brings six tenths of the hashrate.
fn curve(full: Watts, rate: Hashrate) -> Option<Curve> {
    let point = |power: f64, part: f64| {
        let rate = Hashrate::from_hashes_per_second(rate.hashes_per_second() * part);
        Some((full.part(Ratio::new(power).ok()?), rate))
    };
    Curve::new(vec![point(0.29, 0.32)?, point(0.51, 0.58)?, point(1.0, 1.0)?]).ok()
}

/// In a minute of the demonstration twenty real shares a second would decide little: there are more,
/// larger differences are looked for, and points are left sooner.
fn policy() -> Policy {
    let ratio = |r| Ratio::new(r).unwrap_or_default();
    Policy {
        share_interval: SHARE_INTERVAL,
        dwell: Duration::from_secs(180),
        worth: ratio(0.01),
        ..Policy::default()
    }
}

fn efficiency(measured: &Measured) -> Option<Efficiency> {
    Efficiency::of(measured.power?, measured.verified?).ok()
}

fn show(tree: &api::Fleet, report: &Report) {
    println!(
        "\n{:<18} {:<12} {:<15} {:>12} {:>12} {:>10}  steered by",
        "machine", "address", "firmware", "verified", "it says", "power"
    );
    let rate = |ths: Option<f64>| {
        ths.map_or("–".into(), |ths| Hashrate::from_hashes_per_second(ths * 1e12).to_string())
    };
    for (row, device) in report.farm.iter().zip(&tree.devices) {
        println!(
            "{:<18} {:<12} {:<15} {:>12} {:>12} {:>10}  {}",
            device.model.as_deref().unwrap_or(&row.name),
            row.address,
            row.firmware,
            rate(device.verified_ths),
            rate(device.reported_ths),
            device.power_w.map_or("–".into(), |watts| format!("{watts:.1} W")),
            match device.outcome_last.as_deref() {
                Some(outcome) => format!("{}, last {outcome}", row.control),
                None => row.control.clone(),
            },
        );
    }
    for warning in &tree.warnings {
        println!("warning: {warning}");
    }
    println!(
        "{} machines found; commands: {} read back, {} refused, {} without an answer.",
        report.devices_found,
        report.commands_verified,
        report.commands_refused,
        report.commands_unknown
    );
    if let Some(before) = report.tuner_j_per_th_before {
        match report.tuner_j_per_th_after {
            Some(after) => {
                println!("Tuned by verified work: {before:.2} J/TH before, {after:.2} after.")
            }
            None => {
                println!("Tuned by verified work: {before:.2} J/TH before, nothing better yet.")
            }
        }
    }
}
