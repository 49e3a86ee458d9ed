//! Reads every machine in turn, spread evenly over the period. Keeps no history.

use super::fleet::Fleet;
use crate::{
    capability::Capabilities,
    command::{Command, Verb},
    device::Presence,
    driver::State,
    identity::DeviceId,
    limits::Breach,
    readings::Moment,
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;

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
    let mut breached: HashMap<DeviceId, u32> = HashMap::new();
    loop {
        let now = fleet.clock.now();
        if fleet.registry().len() != schedule.len() {
            fleet.registry().devices().for_each(|device| schedule.add(&device.id, now, pace));
        }
        for id in schedule.due(now) {
            let fleet = fleet.clone();
            looks.spawn(async move {
                let state = look(&fleet, &id).await;
                Look { id, state }
            });
        }
        let until = schedule.next().map_or(LOOK, |at| fleet.clock.real(at.since(now)).min(LOOK));
        tokio::select! {
            Some(Ok(Look { id, state })) = looks.join_next() => {
                settle(&fleet, &mut schedule, &mut breached, id, state, pace);
                while let Some(Ok(Look { id, state })) = looks.try_join_next() {
                    settle(&fleet, &mut schedule, &mut breached, id, state, pace);
                }
            }
            () = tokio::time::sleep(until) => {}
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
                if *count == BREACHES {
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
        let (fleet, id) = (fleet.clone(), id.clone());
        tokio::spawn(async move { fleet.command(&id, Command::Pause).await });
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
