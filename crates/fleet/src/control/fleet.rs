//! All that is held of a site while it runs: machines, links to them, budgets, commands under way.

mod room;

use super::{
    Clock,
    actuate::{self, Done, carry_out, exchange},
    load,
    registry::Registry,
    staging::Staging,
};
use crate::{
    capability::Capabilities,
    circuit::Circuits,
    command::{Command, Verb},
    device::{Device, Endpoint, Presence},
    driver::{Driver, DriverError, State},
    drivers::READ_DEADLINE,
    identity::{DeviceId, Firmware},
    outcome::{Actuation, Count, Outcome, Refusal, Surprise},
};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};
use tokio::sync::{Semaphore, oneshot, watch};
use units::Watts;

use room::Unsent;

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
        Verb::PowerLimit
        | Verb::Throttle
        | Verb::Clock
        | Verb::BoardClock
        | Verb::Mode
        | Verb::Profile => 1,
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

    /// What feeds the machines, as it was last set.
    pub fn circuits(&self) -> Circuits {
        hold(&self.circuits).clone()
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

    /// Pauses a machine, whoever waits for it.
    pub(super) fn pause_soon(self: &Arc<Self>, id: &DeviceId) {
        let (fleet, id) = (self.clone(), id.clone());
        // Boxed: a command may lead to a pause, and a pause is a command.
        let pause: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async move { drop(fleet.command(&id, Command::Pause).await) });
        tokio::spawn(pause);
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

fn overtaken_by_newer() -> Refusal {
    Refusal::Limit("a newer command came before this one was sent".into())
}

fn no_room(circuit: &str) -> Refusal {
    Refusal::Circuit(format!("circuit \"{circuit}\" has no room for it"))
}
