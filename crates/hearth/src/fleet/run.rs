//! The fleet beside a running site: started with it, stopped before it, never in its way. Ties finding,
//! watching, metering and tuning together; decides nothing.

use super::{
    declared::Declarations,
    find::{Finder, is_strange},
    http,
    links::Links,
    memory::Memory,
    meter::ServerMeter,
    metered::Metered,
    share,
    tuning::Tunings,
    view::{View, estimate},
};
use crate::{bridge::Bridge, config::Config};
use axum::Router;
use fleet::{
    Control, Firmware, Limits,
    circuit::Circuits,
    control::{Clock, Fleet, Meter, Setup, supervise},
    discovery::Connected,
    power::{FRESH, Source},
    readings::Moment,
};
use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use units::{Ratio, Watts};

/// How often verified work is asked for.
const WATCH: Duration = Duration::from_secs(2);
const AFTER_A_FAULT: Duration = Duration::from_secs(1);
/// Strangers that may wait to be asked who they are; who does not fit comes by again with its work.
const STRANGERS: usize = 1024;
/// Everybody is met anew this often: addresses and names change hands.
const MEET: Duration = Duration::from_secs(60);
/// Ups that may start in a second on one circuit.
const STARTS: usize = 10;
/// What was learned is written this often, and when the program ends.
const KEEP: Duration = Duration::from_secs(600);
/// For machines that are being tuned to be put back when the program ends.
const HOME: Duration = Duration::from_secs(30);

/// A fleet that runs. Dropping it ends supervision; machines keep what they were set to.
pub struct Running {
    pub fleet: Arc<Fleet>,
    pub meter: Arc<ServerMeter>,
    pub tunings: Arc<Tunings>,
    memory: Memory,
    token: Arc<str>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Running {
    /// Starts all of it. Its tasks are its own: whatever becomes of them, miners are served.
    pub fn start(config: &Config, bridge: Arc<Bridge>) -> io::Result<Self> {
        let told = &config.fleet;
        let token = http::token(&config.data_dir)?;
        let clock = Clock::start(1.0);
        let declared = Arc::new(Declarations::new(told.devices.clone(), told.tune));
        let meter = Arc::new(ServerMeter::new(bridge.clone()));
        let as_meter: Arc<dyn Meter> = meter.clone();
        let spacing = Duration::from_secs_f64(60.0 / config.stratum.shares_per_minute);
        let links = Arc::new(Links::new(told, declared.clone(), as_meter.clone(), clock, spacing));
        let opener = links.clone();
        let circuits = told.circuits();
        let fleet = Fleet::new(Setup {
            clock,
            sockets: told.sockets,
            starts_per_second: STARTS,
            circuits: circuits.clone(),
            open: Arc::new(move |device| opener.open(device)),
        });
        links.of(&fleet);
        let memory = Memory::new(config.data_dir.clone());
        memory.recall(&fleet);
        for device in declared.switched() {
            let (id, workers) = (device.id.clone(), device.workers.clone());
            let mut registry = fleet.registry();
            if let Err(full) = registry.add(device) {
                tracing::warn!("{full}");
            }
            workers.iter().for_each(|worker| registry.declare_worker(worker, &id));
        }
        let tunings =
            Tunings::new(fleet.clone(), as_meter, declared.clone(), config.data_dir.clone());
        let metered = Arc::new(Metered::default());
        let view = Arc::new(Mutex::new(View::default()));
        let finder = Arc::new(Finder::new(told, fleet.clone(), declared.clone(), links.clone()));
        let (strange, strangers) = mpsc::channel(STRANGERS);
        let watch = Watch {
            fleet: fleet.clone(),
            meter: meter.clone(),
            declared: declared.clone(),
            metered: metered.clone(),
            circuits: circuits.clone(),
            view: view.clone(),
            strange,
        };
        {
            // Both hold the bridge.
            let (fleet, tunings) = (Arc::downgrade(&fleet), Arc::downgrade(&tunings));
            bridge.show_fleet(move || {
                let (fleet, tunings) = fleet.upgrade().zip(tunings.upgrade())?;
                let tuning = tunings.shown();
                let mut view = hold(&view);
                view.tuning = tuning;
                // Against its meter a circuit is shown with what the owner says of it.
                Some(view.make(&fleet, &circuits, fleet.clock.now()))
            });
        }
        let pace = supervise::Pace { period: told.read_every, ..supervise::Pace::default() };
        let every = told.read_every;
        let fed = told.circuits.clone();
        let (supervised, named, tended) = (fleet.clone(), finder.clone(), tunings.clone());
        let (remembered, kept) = (fleet.clone(), memory.clone());
        let mut tasks = vec![
            keep("the supervision of machines", move || supervise::run(supervised.clone(), pace)),
            keep("the watch over machines", move || watch.clone().run()),
            keep("the reading of meters", move || {
                metered.clone().read(fed.clone(), declared.clone(), every, clock)
            }),
            keep("the search for machines", move || named.clone().named()),
            keep("the care for tunings", move || tended.clone().tend()),
            keep("the memory of machines", move || remember(remembered.clone(), kept.clone())),
            tokio::spawn(finder.clone().strangers(strangers)),
        ];
        // Where power is decided on, watts under circuits are part of that.
        if told.share_watts && !(config.energy.enabled && config.energy.steer) {
            let (fleet, tunings) = (fleet.clone(), tunings.clone());
            tasks.push(keep("the sharing of watts", move || {
                share::run(fleet.clone(), tunings.clone())
            }));
        }
        if told.mdns {
            let finder = finder.clone();
            tasks.push(keep("the ear for machines", move || finder.clone().announced()));
        }
        if !told.scan.is_empty() {
            tasks.push(keep("the scan for machines", move || finder.clone().ranges()));
        }
        Ok(Self { fleet, meter, tunings, memory, token, tasks })
    }

    /// Who has it may change things over HTTP.
    pub fn token(&self) -> Arc<str> {
        self.token.clone()
    }

    /// What can be asked and told over HTTP.
    pub fn routes(&self) -> Router {
        http::routes(self.tunings.clone(), self.token.clone())
    }

    /// Returns what is being tuned to its last good setting, then ends.
    pub async fn stop(self) {
        self.tunings.stop_all(HOME).await;
        write(&self.memory, &self.fleet).await;
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes what was learned of machines now and then.
async fn remember(fleet: Arc<Fleet>, memory: Memory) {
    loop {
        tokio::time::sleep(KEEP).await;
        write(&memory, &fleet).await;
    }
}

async fn write(memory: &Memory, fleet: &Arc<Fleet>) {
    let (memory, fleet) = (memory.clone(), fleet.clone());
    let written = tokio::task::spawn_blocking(move || memory.keep(&fleet)).await;
    if let Ok(Err(error)) = written {
        tracing::warn!(%error, "what was learned of the machines could not be written");
    }
}

/// A task that does not end: a fault in it is told and it begins anew.
fn keep<F>(what: &'static str, make: impl Fn() -> F + Send + 'static) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            let mut running = JoinSet::new();
            running.spawn(make());
            if let Some(Err(error)) = running.join_next().await {
                tracing::error!(%error, "a fault in hearth ended {what}; it begins anew");
            }
            tokio::time::sleep(AFTER_A_FAULT).await;
        }
    })
}

/// Brings together what machines prove, what is said of them and what meters show.
#[derive(Clone)]
struct Watch {
    fleet: Arc<Fleet>,
    meter: Arc<ServerMeter>,
    declared: Arc<Declarations>,
    metered: Arc<Metered>,
    circuits: Circuits,
    view: Arc<Mutex<View>>,
    strange: mpsc::Sender<Connected>,
}

/// Sessions whose machine was looked up lately.
#[derive(Default)]
struct Met {
    since: Moment,
    sessions: HashSet<u64>,
}

impl Watch {
    async fn run(self) {
        let mut every = tokio::time::interval(WATCH);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut met = Met::default();
        let meter_error = Ratio::new(Source::Meter.usual_error()).unwrap_or_default();
        loop {
            every.tick().await;
            self.count_work(&mut met).await;
            self.describe();
            let now = self.fleet.clock.now();
            let shown = self.metered.circuits();
            let circuits = self.loaded(|name| {
                shown.get(name).and_then(|reading| reading.fresh(now, FRESH).copied())
            });
            self.fleet.set_circuits(circuits);
            let with_error = |(name, reading)| (name, (reading, meter_error));
            let mut view = hold(&self.view);
            view.metered = shown.into_iter().map(with_error).collect();
            view.note(&self.fleet, now);
        }
    }

    /// Asks the server what all sessions proved, and whose they are. Asking blocks for as long as a
    /// reactor is busy, so not here.
    async fn count_work(&self, met: &mut Met) {
        let (meter, now) = (self.meter.clone(), self.fleet.clock.now());
        let asked = tokio::task::spawn_blocking(move || meter.tallies(now));
        // While a reactor is busy nobody's work has vanished: the next answer has it.
        let Ok(Some(worked)) = asked.await else { return };
        if now.since(met.since) >= MEET {
            *met = Met { since: now, sessions: HashSet::new() };
        }
        let mut registry = self.fleet.registry();
        // Who has proved nothing is nobody yet.
        let proved = worked.iter().filter(|one| one.tally.accepted > 0);
        for one in proved.filter(|one| met.sessions.insert(one.session)) {
            let connected = Connected { ip: one.ip, worker: one.worker.clone(), user_agent: None };
            match registry.connected(&connected, Limits::usual(Firmware::None)) {
                // Full: it is asked when it comes by again.
                Ok(Some(seen)) if is_strange(&seen) => drop(self.strange.try_send(connected)),
                Ok(_) => {}
                Err(full) => {
                    tracing::warn!("{full}");
                    break;
                }
            }
        }
        registry.take_work(&worked);
    }

    /// Puts to each machine what is said of it and what its meter shows.
    fn describe(&self) {
        for device in self.fleet.registry().devices_mut() {
            self.declared.apply(device);
            let declared = self.declared.of(device).map(|(index, _)| index);
            device.metered_power = declared.and_then(|index| self.metered.device(index));
        }
    }

    /// The circuits with what else hangs on them, as their meters show it.
    fn loaded(&self, metered: impl Fn(&str) -> Option<Watts>) -> Circuits {
        let now = self.fleet.clock.now();
        let registry = self.fleet.registry();
        let machines = registry.devices().filter_map(|device| {
            let circuit = device.circuit.as_deref()?;
            let known = device.control != Control::StratumOnly;
            let drawn = known.then(|| estimate(device, now)).flatten();
            Some((circuit, drawn.map(|estimate| estimate.power)))
        });
        let metered: BTreeMap<Arc<str>, Watts> = self
            .circuits
            .all()
            .filter_map(|circuit| Some((circuit.name.clone(), metered(&circuit.name)?)))
            .collect();
        self.circuits.metered(machines, &metered)
    }
}
