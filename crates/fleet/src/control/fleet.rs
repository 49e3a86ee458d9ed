//! All that is held of a site while it runs: machines, links to them, budgets, commands under way.

use super::{
    Clock,
    actuate::{self, Done, carry_out, exchange},
    load,
    registry::Registry,
    staging::{Sheddable, Staging, rotate},
};
use crate::{
    capability::Capabilities,
    circuit::{Circuit, Circuits},
    command::{Command, Verb},
    device::{Device, Endpoint, Presence},
    driver::{Driver, DriverError, State},
    drivers::READ_DEADLINE,
    identity::{DeviceId, Firmware},
    outcome::{Actuation, Count, Outcome, Refusal, Surprise},
    readings::Moment,
};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, oneshot, watch};
use units::{Hashrate, Watts};

/// How often commands that wait for room are looked at, while some go and while none does.
const SOON: Duration = Duration::from_millis(10);
const LATER: Duration = Duration::from_millis(320);

/// Makes the link to a machine: by its firmware and endpoint. `None` for one that has none.
pub type Open = Arc<dyn Fn(&Device) -> Option<Arc<dyn Driver>> + Send + Sync>;

/// How a fleet behaves.
pub struct Setup {
    /// Its clock.
    pub clock: Clock,
    /// Connections to machines at once.
    pub sockets: usize,
    /// Ups that may start in a second on one circuit.
    pub starts_per_second: usize,
    /// What feeds the machines.
    pub circuits: Circuits,
    /// Makes links.
    pub open: Open,
}

/// A running fleet.
pub struct Fleet {
    /// Its clock.
    pub clock: Clock,
    registry: Mutex<Registry>,
    staging: Mutex<Staging>,
    circuits: Mutex<Circuits>,
    sockets: Semaphore,
    open: Open,
    links: Mutex<HashMap<DeviceId, Link>>,
    lanes: Mutex<HashMap<DeviceId, Arc<Lane>>>,
    gates: Mutex<HashMap<DeviceId, oneshot::Sender<Go>>>,
    pumping: AtomicBool,
    counts: Mutex<Count>,
}

/// A command that waited may go, or the circuit that has no room for it.
type Go = Result<(), Arc<str>>;

/// Who is to stop, and what is to be its `last_curtailed`.
type Turns = Vec<(DeviceId, Moment)>;

struct Link {
    endpoint: Option<Endpoint>,
    firmware: Firmware,
    driver: Arc<dyn Driver>,
}

/// Commands to one machine: one at a time, and of each kind only the newest.
struct Lane {
    turn: tokio::sync::Mutex<()>,
    newest: watch::Sender<[u64; KINDS]>,
}

const KINDS: usize = 5;

/// Commands of one kind undo each other: a newer one makes an older one that still waits pointless.
fn kind(verb: Verb) -> usize {
    match verb {
        Verb::Pause | Verb::Resume => 0,
        Verb::PowerLimit | Verb::Throttle | Verb::Clock | Verb::Mode | Verb::Profile => 1,
        Verb::Fan | Verb::TargetTemperature => 2,
        Verb::Locate => 3,
        Verb::Reboot => 4,
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fleet {
    /// With no machine yet.
    pub fn new(setup: Setup) -> Arc<Self> {
        Arc::new(Self {
            clock: setup.clock,
            registry: Mutex::default(),
            staging: Mutex::new(Staging::new(setup.starts_per_second)),
            circuits: Mutex::new(setup.circuits),
            sockets: Semaphore::new(setup.sockets.max(1)),
            open: setup.open,
            links: Mutex::default(),
            lanes: Mutex::default(),
            gates: Mutex::default(),
            pumping: AtomicBool::new(false),
            counts: Mutex::default(),
        })
    }

    /// All machines; not to be held for long.
    pub fn registry(&self) -> MutexGuard<'_, Registry> {
        hold(&self.registry)
    }

    /// What became of all commands so far.
    pub fn counts(&self) -> Count {
        *hold(&self.counts)
    }

    /// A circuit's load of what is no machine of ours was metered anew, or budgets changed.
    pub fn set_circuits(&self, circuits: Circuits) {
        *hold(&self.circuits) = circuits;
    }

    /// What each circuit carries if every machine draws all that it can.
    pub fn loads(&self) -> Vec<(Arc<str>, Watts)> {
        let circuits = hold(&self.circuits);
        hold(&self.staging).loads(&circuits).into_iter().collect()
    }

    /// The link to a machine.
    pub fn link(&self, device: &Device) -> Option<Arc<dyn Driver>> {
        let (endpoint, firmware) = (device.endpoint, device.identity.firmware);
        let mut links = hold(&self.links);
        if let Some(link) = links.get(&device.id)
            && (link.endpoint, link.firmware) == (endpoint, firmware)
        {
            return Some(link.driver.clone());
        }
        let driver = (self.open)(device)?;
        let link = Link { endpoint, firmware, driver: driver.clone() };
        links.insert(device.id.clone(), link);
        Some(driver)
    }

    /// Asks a machine what it can be told, and keeps the answer.
    pub async fn ask_capabilities(&self, id: &DeviceId) -> Result<Capabilities, DriverError> {
        let link = self.linked(id)?;
        let found = exchange(&self.sockets, READ_DEADLINE, link.capabilities()).await?;
        if let Some(device) = self.registry().get_mut(id) {
            device.capabilities = found.clone();
        }
        Ok(found)
    }

    /// Reads a machine now. What it tells and whether it tells is kept.
    pub async fn read(&self, id: &DeviceId) -> Result<State, DriverError> {
        let link = self.linked(id)?;
        let answer = exchange(&self.sockets, READ_DEADLINE, link.read()).await;
        self.take(id, answer.as_ref().ok());
        answer
    }

    /// Tells a machine something, in its turn and when its circuits have room, and reads it back.
    pub async fn command(self: &Arc<Self>, id: &DeviceId, command: Command) -> Actuation {
        let done = match self.try_command(id, &command).await {
            Ok(done) => done,
            Err(refusal) => Done::refused(refusal),
        };
        let outcome = &done.actuation.outcome;
        hold(&self.counts).add(outcome);
        if let Some(device) = self.registry().get_mut(id) {
            device.last_outcome = Some(outcome.clone());
        }
        match outcome {
            Outcome::Verified | Outcome::Accepted => tracing::info!(%id, %command, %outcome),
            _ => tracing::warn!(%id, %command, %outcome),
        }
        for surprise in &done.actuation.surprises {
            tracing::error!(%id, %command, ?surprise, "something else changed; nothing is rewritten");
        }
        // A resume that loses its power limit draws more than it was given room for.
        let changed = |surprise: &Surprise| matches!(surprise, Surprise::SettingChanged(_));
        if done.actuation.surprises.iter().any(changed) && self.is_over(id) {
            tracing::error!(%id, "its circuit cannot carry what it is set to now; it is paused");
            self.pause_soon(id);
        }
        done.actuation
    }

    async fn try_command(
        self: &Arc<Self>,
        id: &DeviceId,
        command: &Command,
    ) -> Result<Done, Refusal> {
        let device = self.registry().get(id).cloned().ok_or(Refusal::Unreachable)?;
        actuate::check(&device, command)?;
        let lane = self.lane(id);
        let kind = kind(command.verb());
        let mut newest = lane.newest.subscribe();
        let mut ticket = 0;
        lane.newest.send_modify(|all| {
            // Nothing that waits is worth more than to stop.
            let stops = *command == Command::Pause;
            for (own, one) in all.iter_mut().enumerate() {
                if own == kind || stops {
                    *one += 1;
                }
                if own == kind {
                    ticket = *one;
                }
            }
        });
        let overtaken = |all: &[u64; KINDS]| all.get(kind).is_some_and(|one| *one > ticket);
        let _turn = lane.turn.lock().await;
        if overtaken(&newest.borrow()) {
            return Err(overtaken_by_newer());
        }
        // What is known of it may have changed while it waited.
        let device = self.registry().get(id).cloned().ok_or(Refusal::Unreachable)?;
        let staged = self.stage(&device, command)?;
        let mut unsent = staged.is_some().then_some(Unsent { fleet: self, id });
        if let Some(mut gate) = staged {
            let newer = async { newest.wait_for(|all| overtaken(all)).await.is_ok() };
            let first = tokio::select! {
                answer = &mut gate => Some(answer),
                _ = newer => None,
            };
            let answer = match first {
                Some(answer) => answer,
                None if self.withdraw(id) => return Err(overtaken_by_newer()),
                // It was decided in this very moment.
                None => gate.await,
            };
            match answer {
                Ok(Ok(())) => {}
                Ok(Err(circuit)) => return Err(no_room(&circuit)),
                Err(_) => return Err(overtaken_by_newer()),
            }
        }
        // It may have waited for minutes: the machine may be elsewhere, and another one in its place.
        let device = self.registry().get(id).cloned().ok_or(Refusal::Unreachable)?;
        let link = self.link(&device).ok_or(Refusal::Unable)?;
        actuate::is_it(&*link, id, &self.sockets).await?;
        let mut flight = unsent.take().map(Unsent::send);
        let done = carry_out(&*link, &device, command, &self.clock, &self.sockets).await;
        if let Some(flight) = &mut flight {
            flight.outcome = done.actuation.outcome.clone();
        }
        drop(flight);
        let now = self.clock.now();
        self.take(id, done.state.as_ref());
        let down = matches!(command, Command::Pause);
        if down
            && done.actuation.outcome == Outcome::Verified
            && let Some(device) = self.registry().get_mut(id)
        {
            device.last_curtailed = device.last_curtailed.max(Some(now));
        }
        Ok(done)
    }

    /// Whether a circuit above a machine would be over its limit if all drew what they can.
    fn is_over(&self, id: &DeviceId) -> bool {
        let Some(circuit) = self.registry().get(id).and_then(|device| device.circuit.clone())
        else {
            return false;
        };
        let circuits = hold(&self.circuits);
        let loads = hold(&self.staging).loads(&circuits);
        circuits.path(&circuit).any(|circuit| {
            loads.get(&circuit.name).is_some_and(|load| load.get() > circuit.limit.get() + 1e-6)
        })
    }

    /// Pauses a machine, whoever waits for it.
    pub(super) fn pause_soon(self: &Arc<Self>, id: &DeviceId) {
        let (fleet, id) = (self.clone(), id.clone());
        // Boxed: a command may lead to a pause, and a pause is a command.
        let pause: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async move { drop(fleet.command(&id, Command::Pause).await) });
        tokio::spawn(pause);
    }

    /// Circuits that carry more than they may by what their machines draw, and whose turn it is to stop
    /// for it. Machines in `paused` have been told already.
    pub(super) fn overloads(&self, paused: impl Fn(&DeviceId) -> bool) -> Vec<(Arc<str>, Turns)> {
        let now = self.clock.now();
        let registry = self.registry();
        let circuits = hold(&self.circuits);
        let drawn = |device: &Device| {
            let most = load::drawn(device, now)?.get();
            let gone = load::sheds(device, now).filter(|_| paused(&device.id));
            Watts::new(most - gone.map_or(0.0, Watts::get)).ok()
        };
        let loads = circuits.loads(
            registry
                .devices()
                .filter_map(|device| Some((device.circuit.as_deref(), drawn(device)?))),
        );
        let over = |circuit: &Circuit| {
            let excess = loads.get(&circuit.name)?.get() - circuit.limit.get();
            let excess = Watts::new(excess).ok().filter(|excess| excess.get() > 1e-6)?;
            let below = registry.devices().filter(|device| {
                let own = device.circuit.as_deref();
                own.is_some_and(|own| circuits.path(own).any(|above| above.name == circuit.name))
            });
            let candidates: Vec<Sheddable> = below
                .filter(|device| {
                    let mining = device.settings.as_ref().and_then(|is| is.value.mining);
                    device.presence == Presence::Online
                        && device.capabilities.verbs.contains(&Verb::Pause)
                        && mining != Some(false)
                        && !paused(&device.id)
                })
                .filter_map(|device| {
                    let sheds = load::sheds(device, now)?;
                    let rate = device.known.hashrate.map(|rate| rate.value);
                    Some(Sheddable {
                        id: device.id.clone(),
                        last_curtailed: device.last_curtailed,
                        sheds,
                        costs: rate.unwrap_or(Hashrate::ZERO),
                    })
                })
                .collect();
            Some((circuit.name.clone(), rotate(&candidates, excess, now)))
        };
        circuits.all().filter_map(over).collect()
    }

    /// Registers what a command makes of the load; gives what to wait for, if anything.
    fn stage(
        self: &Arc<Self>,
        device: &Device,
        command: &Command,
    ) -> Result<Option<oneshot::Receiver<Go>>, Refusal> {
        let Some(circuit) = &device.circuit else { return Ok(None) };
        let now = self.clock.now();
        let unsaid = |unsaid: load::Unsaid| Refusal::Circuit(unsaid.to_string());
        let step = match (load::step(device, command, now), command) {
            (Ok(Some(step)), _) => step,
            // To send less down a wire needs nobody's leave.
            (Ok(None), _) | (Err(_), Command::Pause) => return Ok(None),
            (Err(error), _) => return Err(unsaid(error)),
        };
        let (gate, opened) = oneshot::channel();
        {
            let mut staging = hold(&self.staging);
            if !staging.knows(&device.id) {
                let bound = load::bound(device, now).ok_or_else(|| unsaid(load::Unsaid))?;
                staging.enter(device.id.clone(), Some(circuit.clone()), bound);
            }
            let granted = staging.bound(&device.id);
            let step = granted.map_or(step, |granted| load::eased(step, command, granted));
            // Locks are taken in the order registry, circuits, staging, gates.
            hold(&self.gates).insert(device.id.clone(), gate);
            staging.want(&device.id, step);
        }
        self.pump();
        Ok(Some(opened))
    }

    /// Sees to it that commands that wait are looked at until none does.
    fn pump(self: &Arc<Self>) {
        if self.pumping.swap(true, Ordering::AcqRel) {
            return;
        }
        let fleet = self.clone();
        tokio::spawn(async move {
            let mut pause = SOON;
            loop {
                // First, so that commands given together are weighed together: downs go before ups.
                tokio::time::sleep(pause).await;
                let some = fleet.let_go();
                pause = if some { SOON } else { (2 * pause).min(LATER) };
                if !hold(&fleet.staging).is_waiting() {
                    fleet.pumping.store(false, Ordering::Release);
                    // Wanted between the look and the store?
                    let again = hold(&fleet.staging).is_waiting();
                    if !again || fleet.pumping.swap(true, Ordering::AcqRel) {
                        return;
                    }
                }
            }
        });
    }

    fn let_go(&self) -> bool {
        self.weigh_all();
        let circuits = hold(&self.circuits);
        let mut staging = hold(&self.staging);
        let release = staging.next(self.clock.now(), &circuits);
        let mut gates = hold(&self.gates);
        let some = !release.go.is_empty() || !release.no_room.is_empty();
        for id in release.go {
            let heard = gates.remove(&id).is_some_and(|gate| gate.send(Ok(())).is_ok());
            if !heard {
                // Whoever gave it is gone: it was never sent.
                let never = Outcome::Refused(Refusal::Unreachable);
                staging.done(&id, &never, self.clock.now());
            }
        }
        for (id, circuit) in release.no_room {
            if let Some(gate) = gates.remove(&id) {
                // Nobody waits any more: nothing to tell.
                let _ = gate.send(Err(circuit));
            }
        }
        some
    }

    /// A command that waits for room is no longer wanted; false if it was already decided.
    fn withdraw(&self, id: &DeviceId) -> bool {
        let mut staging = hold(&self.staging);
        let waited = hold(&self.gates).remove(id).is_some();
        if waited {
            staging.forget(id);
        }
        waited
    }

    /// Every machine on a circuit counts, also those that never answered. One of which nobody has said
    /// what it draws takes its whole circuit.
    fn weigh_all(&self) {
        let now = self.clock.now();
        let registry = self.registry();
        let circuits = hold(&self.circuits);
        let mut staging = hold(&self.staging);
        // One that turned out to be another is gone.
        staging.keep(|id| registry.get(id).is_some());
        for device in registry.devices() {
            let Some(circuit) = device.circuit.as_ref().and_then(|name| circuits.get(name)) else {
                continue;
            };
            if !staging.knows(&device.id) && load::bound(device, now).is_none() {
                tracing::warn!(id = %device.id, circuit = %circuit.name, "{}", load::Unsaid);
            }
            let bound = load::bound(device, now).unwrap_or(circuit.limit);
            staging.enter(device.id.clone(), Some(circuit.name.clone()), bound);
        }
    }

    /// Keeps what a machine told, and what it can draw as it is.
    fn take(&self, id: &DeviceId, state: Option<&State>) {
        let now = self.clock.now();
        let mut registry = self.registry();
        registry.read(id, state, now);
        let Some(device) = registry.get(id) else { return };
        if state.is_some() {
            self.weigh(device, now);
        } else if device.presence == Presence::Offline
            && let Some(bound) = load::bound(device, now)
        {
            hold(&self.staging).raise(id, bound);
        }
    }

    fn weigh(&self, device: &Device, now: Moment) {
        let Some(circuit) = &device.circuit else { return };
        let Some(bound) = load::bound(device, now) else { return };
        let mut staging = hold(&self.staging);
        staging.enter(device.id.clone(), Some(circuit.clone()), bound);
        staging.sure(&device.id, bound);
    }

    fn linked(&self, id: &DeviceId) -> Result<Arc<dyn Driver>, DriverError> {
        let nobody = || DriverError::Unreachable("nothing is known of where it is".into());
        let device = self.registry().get(id).cloned().ok_or_else(nobody)?;
        self.link(&device).ok_or_else(nobody)
    }

    fn lane(&self, id: &DeviceId) -> Arc<Lane> {
        let new = || {
            let newest = watch::Sender::new([0; KINDS]);
            Arc::new(Lane { turn: tokio::sync::Mutex::new(()), newest })
        };
        hold(&self.lanes).entry(id.clone()).or_insert_with(new).clone()
    }
}

/// A command that is registered and not sent. Whoever stops waiting for it gives its room back.
struct Unsent<'a> {
    fleet: &'a Fleet,
    id: &'a DeviceId,
}

impl<'a> Unsent<'a> {
    fn send(self) -> Flight<'a> {
        let flight = Flight { fleet: self.fleet, id: self.id, outcome: Outcome::Unknown };
        std::mem::forget(self);
        flight
    }
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if !self.fleet.withdraw(self.id) {
            let never = Outcome::Refused(Refusal::Unreachable);
            hold(&self.fleet.staging).done(self.id, &never, self.fleet.clock.now());
        }
    }
}

/// A command that was sent. Whoever stops looking after it leaves it unknown.
struct Flight<'a> {
    fleet: &'a Fleet,
    id: &'a DeviceId,
    outcome: Outcome,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        hold(&self.fleet.staging).done(self.id, &self.outcome, self.fleet.clock.now());
    }
}

fn overtaken_by_newer() -> Refusal {
    Refusal::Limit("a newer command came before this one was sent".into())
}

fn no_room(circuit: &str) -> Refusal {
    Refusal::Circuit(format!("circuit \"{circuit}\" has no room for it"))
}
