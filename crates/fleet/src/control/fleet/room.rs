//! Room on circuits: commands wait for it, and give it back; who is to stop where there is too little.

use super::{Fleet, Go, hold};
use crate::{
    circuit::Circuit,
    command::{Command, Verb},
    control::{
        load,
        staging::{Sheddable, rotate},
    },
    device::{Device, Presence},
    identity::DeviceId,
    outcome::{Outcome, Refusal},
    readings::Moment,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::oneshot;
use units::{Hashrate, Watts};

/// How often commands that wait for room are looked at, while some go and while none does.
const SOON: Duration = Duration::from_millis(10);
const LATER: Duration = Duration::from_millis(320);

/// Who is to stop, and what is to be its `last_curtailed`.
type Turns = Vec<(DeviceId, Moment)>;

impl Fleet {
    /// Whether a circuit above a machine would be over its limit if all drew what they can.
    pub(super) fn is_over(&self, id: &DeviceId) -> bool {
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

    /// Circuits that carry more than they may by what their machines draw, and whose turn it is to stop
    /// for it. Machines in `paused` have been told already.
    pub(in crate::control) fn overloads(
        &self,
        paused: impl Fn(&DeviceId) -> bool,
    ) -> Vec<(Arc<str>, Turns)> {
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
    pub(super) fn stage(
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
    pub(super) fn withdraw(&self, id: &DeviceId) -> bool {
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

    pub(super) fn weigh(&self, device: &Device, now: Moment) {
        let Some(circuit) = &device.circuit else { return };
        let Some(bound) = load::bound(device, now) else { return };
        let mut staging = hold(&self.staging);
        staging.enter(device.id.clone(), Some(circuit.clone()), bound);
        staging.sure(&device.id, bound);
    }
}

/// A command that is registered and not sent. Whoever stops waiting for it gives its room back.
pub(super) struct Unsent<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) id: &'a DeviceId,
}

impl<'a> Unsent<'a> {
    pub(super) fn send(self) -> Flight<'a> {
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
pub(super) struct Flight<'a> {
    fleet: &'a Fleet,
    id: &'a DeviceId,
    pub(super) outcome: Outcome,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        hold(&self.fleet.staging).done(self.id, &self.outcome, self.fleet.clock.now());
    }
}
