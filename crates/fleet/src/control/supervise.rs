//! Reads every machine in turn, spread evenly over the period. Keeps no history.

use super::fleet::Fleet;
use crate::{
    capability::Capabilities, command::Verb, device::Presence, driver::State, identity::DeviceId,
    limits::Breach, readings::Moment,
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};
use tokio::task::{Id, JoinSet};

/// How often machines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Those that answer.
    pub period: Duration,
    /// Those that have not answered for long.
    pub offline: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { period: Duration::from_secs(5), offline: Duration::from_secs(60) }
    }
}

/// Readings in a row that must break a limit before the machine is paused for it.
const BREACHES: u32 = 2;
/// A machine that goes on beyond its limit is told to pause again after this many more readings.
const AGAIN: u32 = 6;
/// Looks in a row at which a circuit must be over its limit before somebody is paused for it.
const OVERLOADS: u32 = 2;
/// A machine paused for its circuit counts as paused this long, until it is read to be.
const FALLS: Duration = Duration::from_secs(60);
/// Longest nap between looks at the schedule, so that new machines are taken in.
const LOOK: Duration = Duration::from_millis(500);

/// Which machine is to be read when. Pure.
#[derive(Debug, Default)]
pub struct Schedule {
    due: BinaryHeap<Reverse<(Moment, DeviceId)>>,
    known: HashSet<DeviceId>,
}

impl Schedule {
    /// Takes a machine in; its first turn is within a period.
    pub fn add(&mut self, id: &DeviceId, now: Moment, pace: Pace) {
        if self.known.insert(id.clone()) {
            self.due.push(Reverse((turn(id, now, pace.period), id.clone())));
        }
    }

    /// Machines whose turn it is. Each is out of the schedule until [`Schedule::again`].
    pub fn due(&mut self, now: Moment) -> Vec<DeviceId> {
        let mut all = Vec::new();
        while self.due.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            all.extend(self.due.pop().map(|Reverse((_, id))| id));
        }
        all
    }

    /// A machine was read and gets its next turn: always at the same moment of the period, so that
    /// what was spread stays spread however late answers are.
    pub fn again(&mut self, id: DeviceId, presence: Presence, now: Moment, pace: Pace) {
        let every = if presence == Presence::Offline { pace.offline } else { pace.period };
        self.due.push(Reverse((turn(&id, now, every), id)));
    }

    /// A machine is gone.
    pub fn drop(&mut self, id: &DeviceId) {
        self.known.remove(id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Moment> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }
}

/// The first moment after `now` that is this machine's in a period of this length.
fn turn(id: &DeviceId, now: Moment, period: Duration) -> Moment {
    let period = period.as_nanos().max(1) as u64;
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    let phase = hasher.finish() % period;
    let now = now.0.as_nanos() as u64;
    let start = now - now % period + phase;
    let at = if start > now { start } else { start.saturating_add(period) };
    Moment(Duration::from_nanos(at))
}

struct Look {
    id: DeviceId,
    state: Option<State>,
}

/// Supervises until dropped. Machines may be added to the registry at any time.
pub async fn run(fleet: Arc<Fleet>, pace: Pace) {
    let mut schedule = Schedule::default();
    let mut looks: JoinSet<Look> = JoinSet::new();
    // Whose look which is, also of one that panics.
    let mut whose: HashMap<Id, DeviceId> = HashMap::new();
    let mut breached: HashMap<DeviceId, u32> = HashMap::new();
    let mut watch = Watch::default();
    let mut watched = fleet.clock.now();
    loop {
        let now = fleet.clock.now();
        if fleet.registry().len() != schedule.len() {
            fleet.registry().devices().for_each(|device| schedule.add(&device.id, now, pace));
        }
        if now.since(watched) >= pace.period {
            watched = now;
            watch.look(&fleet);
        }
        for id in schedule.due(now) {
            let (fleet, own) = (fleet.clone(), id.clone());
            let task = looks.spawn(async move {
                let state = look(&fleet, &id).await;
                Look { id, state }
            });
            whose.insert(task.id(), own);
        }
        let until = schedule.next().map_or(LOOK, |at| fleet.clock.real(at.since(now)).min(LOOK));
        tokio::select! {
            Some(first) = looks.join_next_with_id() => {
                let mut next = Some(first);
                while let Some(looked) = next {
                    let Look { id, state } = match looked {
                        Ok((task, look)) => {
                            whose.remove(&task);
                            look
                        }
                        Err(error) => {
                            let Some(id) = whose.remove(&error.id()) else { break };
                            tracing::error!(%id, %error, "a fault in hearth: it could not be read");
                            Look { id, state: None }
                        }
                    };
                    settle(&fleet, &mut schedule, &mut breached, id, state, pace);
                    next = looks.try_join_next_with_id();
                }
            }
            () = tokio::time::sleep(until) => {}
        }
    }
}

/// Circuits that carry too much, and who was paused for it.
#[derive(Debug, Default)]
struct Watch {
    over: HashMap<Arc<str>, u32>,
    paused: HashMap<DeviceId, Moment>,
}

impl Watch {
    fn look(&mut self, fleet: &Arc<Fleet>) {
        let now = fleet.clock.now();
        self.paused.retain(|_, at| now.since(*at) < FALLS);
        let all = fleet.overloads(|id| self.paused.contains_key(id));
        self.over.retain(|name, _| all.iter().any(|(over, _)| over == name));
        for (name, turns) in all {
            let count = self.over.entry(name.clone()).or_default();
            *count += 1;
            if *count < OVERLOADS {
                continue;
            }
            *count = 0;
            if turns.is_empty() {
                tracing::error!(circuit = %name, "carries more than its limit, and nobody can be paused");
            }
            for (id, at) in turns {
                // Of two circuits above one machine both may have chosen it.
                if self.paused.insert(id.clone(), now).is_some() {
                    continue;
                }
                tracing::error!(circuit = %name, %id, "carries more than its limit; it is paused");
                if let Some(device) = fleet.registry().get_mut(&id) {
                    device.last_curtailed = Some(at);
                }
                fleet.pause_soon(&id);
            }
        }
    }
}

async fn look(fleet: &Fleet, id: &DeviceId) -> Option<State> {
    let unasked = fleet.registry().get(id).map(|d| d.capabilities == Capabilities::default());
    if unasked == Some(true)
        && let Err(error) = fleet.ask_capabilities(id).await
    {
        tracing::debug!(%id, %error, "does not tell what it can do");
    }
    fleet.read(id).await.inspect_err(|error| tracing::debug!(%id, %error, "not read")).ok()
}

fn settle(
    fleet: &Arc<Fleet>,
    schedule: &mut Schedule,
    breached: &mut HashMap<DeviceId, u32>,
    id: DeviceId,
    state: Option<State>,
    pace: Pace,
) {
    let now = fleet.clock.now();
    let registry = fleet.registry();
    let Some(device) = registry.get(&id) else { return schedule.drop(&id) };
    let presence = device.presence;
    if let Some(state) = state {
        let breaches = device.limits.breaches(&state.readings);
        let stops = state.settings.mining != Some(false)
            && device.capabilities.verbs.contains(&Verb::Pause);
        match breaches.first() {
            Some(breach) => {
                let count = breached.entry(id.clone()).or_default();
                *count += 1;
                if *count >= BREACHES && (*count - BREACHES).is_multiple_of(AGAIN) {
                    protect(fleet, &id, *breach, stops);
                }
            }
            None => drop(breached.remove(&id)),
        }
    }
    drop(registry);
    schedule.again(id, presence, now, pace);
}

/// Limits win over every wish.
fn protect(fleet: &Arc<Fleet>, id: &DeviceId, breach: Breach, stops: bool) {
    tracing::error!(%id, "{breach}: beyond its limit{}", if stops { "; it is paused" } else { "" });
    if stops {
        fleet.pause_soon(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> impl Iterator<Item = DeviceId> {
        (0..count).map(|i| DeviceId::Serial(format!("SERIAL{i:06}")))
    }

    #[test]
    fn ten_thousand_machines_are_spread_evenly_and_each_comes_once_a_period() {
        let pace = Pace::default();
        let mut schedule = Schedule::default();
        ids(10_000).for_each(|id| schedule.add(&id, Moment::default(), pace));
        let mut counts = Vec::new();
        for tick in 1..=300u64 {
            let now = Moment(Duration::from_millis(100 * tick));
            let due = schedule.due(now);
            counts.push(due.len());
            due.into_iter().for_each(|id| schedule.again(id, Presence::Online, now, pace));
        }
        assert_eq!(counts.iter().sum::<usize>(), 6 * 10_000);
        // 200 in 100 ms: a binomial count, five standard deviations.
        assert!(counts.iter().all(|count| count.abs_diff(200) < 71), "{counts:?}");
    }

    #[test]
    fn machines_that_are_off_are_asked_once_a_minute() {
        let pace = Pace::default();
        let mut schedule = Schedule::default();
        ids(1).for_each(|id| schedule.add(&id, Moment::default(), pace));
        let mut asked = 0;
        for second in 1..=600 {
            let now = Moment::from_secs(second);
            for id in schedule.due(now) {
                asked += 1;
                schedule.again(id, Presence::Offline, now, pace);
            }
        }
        assert!((10..=11).contains(&asked), "{asked}");
    }
}
