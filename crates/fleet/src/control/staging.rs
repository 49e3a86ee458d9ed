//! Which commands may go now: the sum of what may be drawn stays within every budget at every instant.
//! Pure.
//!
//! Each machine counts with a bound, the most that it can draw now:
//!
//! ```text
//!            want 3.0 kW        sent             read back     settled
//!   bound ── 0.1 kW ───────────┐ 3.3 kW (peak) ─────────────┐  3.0 kW
//!                              └ only if all circuits above  └─ only when it is sure
//!                                have room for the peak
//! ```
//!
//! Downs go at once, ups wait for room. Only what is sure lowers a bound: a machine of which nobody
//! knows whether it obeyed keeps the higher one.

use crate::{
    circuit::Circuits,
    identity::DeviceId,
    outcome::{Outcome, Refusal},
    readings::Moment,
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use units::{Hashrate, Watts};

/// Sums of floating point numbers are not exact: this much over is not over, watts.
const ROUNDING: f64 = 1e-6;
/// The time in which starts are counted.
const SECOND: Duration = Duration::from_secs(1);
/// A machine that did not say what it did may yet do it for this long: a resume that it took shows only
/// after a boot, and a boot takes minutes.
pub const MAY_STILL_OBEY: Duration = Duration::from_secs(600);

/// What a command makes of a machine's power.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The most that it draws once it is as commanded.
    pub target: Watts,
    /// The most that it draws on its way there.
    pub peak: Watts,
    /// How long it is on its way after it says that it is as commanded.
    pub settle: Duration,
}

/// All machines' bounds, and the commands that wait.
#[derive(Debug)]
pub struct Staging {
    machines: BTreeMap<DeviceId, Machine>,
    /// In the order in which they were wanted; a machine waits at most once.
    waiting: VecDeque<DeviceId>,
    /// Ups of the last second, by circuit.
    starts: HashMap<Arc<str>, VecDeque<Moment>>,
    starts_per_second: usize,
}

#[derive(Debug)]
struct Machine {
    circuit: Option<Arc<str>>,
    bound: Watts,
    wanted: Option<Step>,
    flight: Option<Flight>,
    /// What was still settling when the flight began: it goes on if that one was never sent.
    earlier: Option<Flight>,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    step: Step,
    /// The bound before it was sent.
    before: Watts,
    /// When the bound may fall; `None` while nobody knows what became of it.
    falls: Option<Moment>,
    /// The most that it could draw when it was last read since.
    seen: Option<Watts>,
}

/// What [`Staging::next`] decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Release {
    /// To be sent now.
    pub go: Vec<DeviceId>,
    /// Never to be sent, and for want of room on which circuit.
    pub no_room: Vec<(DeviceId, Arc<str>)>,
}

type Loads = BTreeMap<Arc<str>, Watts>;

impl Staging {
    /// At most this many ups start in a second on one circuit: each draws an inrush.
    pub fn new(starts_per_second: usize) -> Self {
        Self {
            machines: BTreeMap::new(),
            waiting: VecDeque::new(),
            starts: HashMap::new(),
            starts_per_second: starts_per_second.max(1),
        }
    }

    /// A machine and the most that it can draw as it is. One that is known keeps the bound it has,
    /// and only its circuit changes.
    pub fn enter(&mut self, id: DeviceId, circuit: Option<Arc<str>>, bound: Watts) {
        self.machines
            .entry(id)
            .and_modify(|machine| machine.circuit.clone_from(&circuit))
            .or_insert(Machine { circuit, bound, wanted: None, flight: None, earlier: None });
    }

    /// Only machines that are still known count.
    pub fn keep(&mut self, known: impl Fn(&DeviceId) -> bool) {
        self.machines.retain(|id, _| known(id));
        self.waiting.retain(|id| known(id));
    }

    /// Whether this machine has a bound.
    pub fn knows(&self, id: &DeviceId) -> bool {
        self.machines.contains_key(id)
    }

    /// The most that this machine can draw now.
    pub fn bound(&self, id: &DeviceId) -> Option<Watts> {
        self.machines.get(id).map(|machine| machine.bound)
    }

    /// A command waits to be sent; a later one for the same machine takes its place. False for a
    /// machine that never entered.
    pub fn want(&mut self, id: &DeviceId, step: Step) -> bool {
        let Some(machine) = self.machines.get_mut(id) else { return false };
        if machine.wanted.replace(step).is_none() {
            self.waiting.push_back(id.clone());
        }
        true
    }

    /// A command that waits is no longer wanted.
    pub fn forget(&mut self, id: &DeviceId) {
        if let Some(machine) = self.machines.get_mut(id) {
            machine.wanted = None;
        }
        self.waiting.retain(|other| other != id);
    }

    /// What may be sent now, and what never: an up that has no room even when all that is under way
    /// has arrived. An up that has to wait for others is not overtaken by younger ones on the circuit
    /// that holds it up.
    pub fn next(&mut self, now: Moment, circuits: &Circuits) -> Release {
        self.settle(now);
        let mut release = Release::default();
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return release;
        }
        let mut loads = self.loads(circuits);
        let waiting: Vec<DeviceId> = waiting
            .into_iter()
            .filter(|id| {
                let down = self.send_down(id);
                if down {
                    release.go.push(id.clone());
                }
                !down
            })
            .collect();
        // As it will be when everything under way has arrived; downs just sent are.
        let mut arrived = circuits.loads(self.machines.values().map(|machine| {
            let flight = machine.flight.map_or(machine.bound, |flight| flight.step.target);
            (machine.circuit.as_deref(), flight)
        }));
        let mut held: Vec<Arc<str>> = Vec::new();
        for id in waiting {
            let Some(machine) = self.machines.get(&id) else { continue };
            let Some(step) = machine.wanted else { continue };
            if machine.flight.is_some_and(|flight| flight.falls.is_none()) {
                self.waiting.push_back(id);
                continue;
            }
            let most = larger(step.target, step.peak);
            let path: Vec<Arc<str>> = path(circuits, &machine.circuit);
            let extra = most.get() - machine.bound.get();
            let fits = |loads: &Loads, name: &Arc<str>, extra: f64| {
                let (load, limit) = (loads.get(name), circuits.get(name).map(|c| c.limit));
                load.zip(limit)
                    .is_none_or(|(load, limit)| load.get() + extra <= limit.get() + ROUNDING)
            };
            let at_rest = machine.flight.map_or(machine.bound, |flight| flight.step.target);
            let extra_then = most.get() - at_rest.get();
            if let Some(full) = path.iter().find(|name| !fits(&arrived, name, extra_then)) {
                release.no_room.push((id.clone(), full.clone()));
                self.machines.entry(id).and_modify(|machine| machine.wanted = None);
                continue;
            }
            let room = path.iter().all(|name| fits(&loads, name, extra) && !held.contains(name));
            if room && self.may_start(&path, now) {
                for name in &path {
                    raise(&mut loads, name, extra);
                    raise(&mut arrived, name, larger(step.target, at_rest).get() - at_rest.get());
                    self.starts.entry(name.clone()).or_default().push_back(now);
                }
                self.send(&id, step);
                release.go.push(id);
            } else {
                held.extend(path);
                self.waiting.push_back(id);
            }
        }
        release
    }

    /// Whether anything waits to be sent.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What became of a command that was sent. Says nothing of an earlier one that still settles.
    pub fn done(&mut self, id: &DeviceId, outcome: &Outcome, now: Moment) {
        let Some(machine) = self.machines.get_mut(id) else { return };
        let Some(mut flight) = machine.flight.filter(|flight| flight.falls.is_none()) else {
            return;
        };
        match outcome {
            Outcome::Verified => {
                flight.falls = Some(now.after(flight.step.settle));
                (machine.flight, machine.earlier) = (Some(flight), None);
            }
            Outcome::Refused(
                Refusal::Unable
                | Refusal::Limit(_)
                | Refusal::Circuit(_)
                | Refusal::Credentials
                | Refusal::Unreachable,
            ) => {
                machine.bound =
                    flight.seen.map_or(flight.before, |seen| larger(seen, flight.before));
                machine.flight = machine.earlier.take();
            }
            // It may do it yet, whatever it looks like meanwhile.
            Outcome::Refused(Refusal::Said(_) | Refusal::Silent)
            | Outcome::Accepted
            | Outcome::Unknown => {
                flight.step.target = larger(machine.bound, flight.step.target);
                flight.falls = Some(now.after(MAY_STILL_OBEY));
                (machine.flight, machine.earlier) = (Some(flight), None);
            }
        }
        self.settle(now);
    }

    /// A machine was read or metered: this is the most that it can draw as it is. While a command is
    /// under way or may still be obeyed, that only raises its bound.
    pub fn sure(&mut self, id: &DeviceId, bound: Watts) {
        if let Some(machine) = self.machines.get_mut(id) {
            match &mut machine.flight {
                None => machine.bound = bound,
                Some(flight) => {
                    flight.seen = Some(bound);
                    machine.bound = larger(machine.bound, bound);
                }
            }
        }
    }

    /// Nobody knows what a machine does, but it can draw as much as this.
    pub fn raise(&mut self, id: &DeviceId, bound: Watts) {
        if let Some(machine) = self.machines.get_mut(id) {
            machine.bound = larger(machine.bound, bound);
        }
    }

    /// Load of each circuit if every machine draws all that it can.
    pub fn loads(&self, circuits: &Circuits) -> Loads {
        circuits.loads(
            self.machines.values().map(|machine| (machine.circuit.as_deref(), machine.bound)),
        )
    }

    fn settle(&mut self, now: Moment) {
        for machine in self.machines.values_mut() {
            if let Some(flight) = machine.flight
                && flight.falls.is_some_and(|falls| falls <= now)
            {
                // Also what says that it is off may be measured to draw.
                let target = flight.step.target;
                machine.bound = flight.seen.map_or(target, |seen| larger(seen, target));
                machine.flight = None;
            }
        }
    }

    /// Sends a command that cannot raise the load; false if it can.
    fn send_down(&mut self, id: &DeviceId) -> bool {
        let Some(machine) = self.machines.get(id) else { return false };
        let Some(step) = machine.wanted else { return false };
        let busy = machine.flight.is_some_and(|flight| flight.falls.is_none());
        let down = !busy && larger(step.target, step.peak) <= machine.bound;
        if down {
            self.send(id, step);
        }
        down
    }

    fn send(&mut self, id: &DeviceId, step: Step) {
        let Some(machine) = self.machines.get_mut(id) else { return };
        let before = machine.bound;
        machine.bound = larger(before, larger(step.target, step.peak));
        machine.earlier = machine.flight.filter(|flight| flight.falls.is_some());
        machine.flight = Some(Flight { step, before, falls: None, seen: None });
        machine.wanted = None;
    }

    fn may_start(&mut self, path: &[Arc<str>], now: Moment) -> bool {
        let most = self.starts_per_second;
        path.iter().all(|name| {
            let starts = self.starts.entry(name.clone()).or_default();
            while starts.front().is_some_and(|start| now.since(*start) >= SECOND) {
                starts.pop_front();
            }
            starts.len() < most
        })
    }
}

fn path(circuits: &Circuits, name: &Option<Arc<str>>) -> Vec<Arc<str>> {
    let above = name.iter().flat_map(|name| circuits.path(name));
    above.map(|circuit| circuit.name.clone()).collect()
}

fn raise(loads: &mut Loads, name: &Arc<str>, extra: f64) {
    if let Some(load) = loads.get_mut(name)
        && let Ok(more) = Watts::new(load.get() + extra)
    {
        *load = more;
    }
}

fn larger(a: Watts, b: Watts) -> Watts {
    if a < b { b } else { a }
}

/// A machine that may be switched off or down for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheddable {
    /// Who.
    pub id: DeviceId,
    /// When its turn was last.
    pub last_curtailed: Option<Moment>,
    /// Power that it gives up.
    pub sheds: Watts,
    /// Hashrate that it gives up with it.
    pub costs: Hashrate,
}

/// Whose turn it is to give up `shed` together: who was longest not curtailed, and among those who
/// loses least hashrate for each watt. Each comes with what is to be its `last_curtailed`: moments a
/// nanosecond apart, so that those chosen together keep their order in the queue and no machine goes
/// again while another one has gone less often.
pub fn rotate(candidates: &[Sheddable], shed: Watts, now: Moment) -> Vec<(DeviceId, Moment)> {
    let per_watt = |one: &Sheddable| one.costs.hashes_per_second() / one.sheds.get();
    let mut order: Vec<&Sheddable> =
        candidates.iter().filter(|one| one.sheds > Watts::ZERO).collect();
    order.sort_by(|a, b| {
        a.last_curtailed
            .cmp(&b.last_curtailed)
            .then(per_watt(a).total_cmp(&per_watt(b)))
            .then_with(|| a.id.cmp(&b.id))
    });
    let mut left = shed.get();
    let mut turns = Vec::new();
    for one in order {
        if left <= ROUNDING {
            break;
        }
        left -= one.sheds.get();
        turns.push((one.id.clone(), now.after(Duration::from_nanos(turns.len() as u64))));
    }
    turns
}

#[cfg(test)]
#[path = "staging_tests.rs"]
mod tests;
