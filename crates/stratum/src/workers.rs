//! What each worker has done since the server started, and what of it the ledger has not yet got.
//!
//! One per reactor, never shared: counting a share takes no lock.

use crate::reject::Reject;
use std::{collections::HashMap, sync::Arc};
use units::{Difficulty, Work};

/// Workers kept when nobody is connected under their name; the longest silent goes first.
const MAX_ABSENT: usize = 100_000;

/// Work of one worker that the ledger has not seen yet.
#[derive(Debug, Clone)]
pub struct Delta {
    /// The worker's full name.
    pub worker: Arc<str>,
    /// Address that its blocks pay.
    pub address: Arc<str>,
    /// When, seconds since 1970.
    pub at: u64,
    /// Accepted shares.
    pub accepted: u32,
    /// Work they prove.
    pub work: Work,
    /// Hardest share among them.
    pub best: Option<Difficulty>,
    /// Rejected shares by reason, in the order of [`Reject::ALL`].
    pub rejected: [u32; Reject::COUNT],
}

/// One worker as it stands.
#[derive(Debug, Clone)]
pub struct WorkerState {
    /// The worker's full name.
    pub name: Arc<str>,
    /// Address that its blocks pay.
    pub address: Arc<str>,
    /// Open connections.
    pub connections: u32,
    /// Accepted shares since the start.
    pub accepted: u64,
    /// Work they prove.
    pub work: Work,
    /// Rejected shares since the start, in the order of [`Reject::ALL`].
    pub rejected: [u64; Reject::COUNT],
    /// Hardest share since the start.
    pub best: Option<Difficulty>,
    /// Last accepted share, seconds since 1970.
    pub last_share: Option<u64>,
    /// Share difficulty of its latest connection.
    pub difficulty: Option<Difficulty>,
    /// What the machine calls itself.
    pub user_agent: Option<Arc<str>>,
}

impl WorkerState {
    /// Adds what the same worker did in another reactor.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.accepted += other.accepted;
        self.work += other.work;
        for (sum, more) in self.rejected.iter_mut().zip(other.rejected) {
            *sum += more;
        }
        self.best = harder(self.best, other.best);
        if other.last_share > self.last_share {
            self.difficulty = other.difficulty;
            self.user_agent = other.user_agent.clone();
        }
        self.last_share = self.last_share.max(other.last_share);
    }
}

#[derive(Debug)]
struct Slot {
    state: WorkerState,
    /// Not yet handed over; `worker` and `address` are shared with `state`.
    delta: Delta,
    dirty: bool,
}

/// All workers of one reactor.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    names: HashMap<Arc<str>, u32>,
    dirty: Vec<u32>,
}

impl Workers {
    /// A connection works under this name.
    pub(crate) fn join(&mut self, name: &str, address: &str) -> u32 {
        let key = match self.names.get(name) {
            Some(key) => *key,
            None => self.add(name, address),
        };
        if let Some(slot) = self.slot(key) {
            slot.state.connections += 1;
        }
        key
    }

    /// The number of a known name.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// A connection under this name is gone.
    pub(crate) fn leave(&mut self, key: u32) {
        let Some(slot) = self.slot(key) else { return };
        slot.state.connections = slot.state.connections.saturating_sub(1);
        // A name that never earned a share costs nobody memory once it is gone.
        if slot.state.connections == 0 && slot.state.accepted == 0 && !slot.dirty {
            self.remove(key);
        }
    }

    pub(crate) fn accepted(&mut self, key: u32, at: u64, work: Work, reached: f64) {
        let Some(slot) = self.slots.get_mut(key as usize).and_then(Option::as_mut) else { return };
        let reached = Difficulty::new(reached).ok();
        slot.state.accepted += 1;
        slot.state.work += work;
        slot.state.best = harder(slot.state.best, reached);
        slot.state.last_share = Some(at);
        slot.delta.accepted += 1;
        slot.delta.work += work;
        slot.delta.best = harder(slot.delta.best, reached);
        mark(slot, key, &mut self.dirty);
    }

    pub(crate) fn rejected(&mut self, key: u32, reason: Reject) {
        let Some(slot) = self.slots.get_mut(key as usize).and_then(Option::as_mut) else { return };
        slot.state.rejected[reason as usize] += 1;
        slot.delta.rejected[reason as usize] += 1;
        // A name that never earned a share is not for the record; should it earn one, this goes along.
        if slot.state.accepted > 0 {
            mark(slot, key, &mut self.dirty);
        }
    }

    pub(crate) fn describe(&mut self, key: u32, difficulty: Difficulty, agent: Option<&Arc<str>>) {
        if let Some(slot) = self.slot(key) {
            slot.state.difficulty = Some(difficulty);
            if let Some(agent) = agent {
                slot.state.user_agent = Some(agent.clone());
            }
        }
    }

    pub(crate) fn name(&self, key: u32) -> Option<&Arc<str>> {
        self.slots.get(key as usize)?.as_ref().map(|slot| &slot.state.name)
    }

    /// Whether anything waits to be handed over.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// All that has come together since the last time.
    pub(crate) fn take(&mut self, at: u64) -> Vec<Delta> {
        let dirty = std::mem::take(&mut self.dirty);
        let batch = dirty.iter().filter_map(|key| {
            let slot = self.slots.get_mut(*key as usize)?.as_mut()?;
            slot.dirty = false;
            let fresh = empty(&slot.state.name, &slot.state.address);
            Some(Delta { at, ..std::mem::replace(&mut slot.delta, fresh) })
        });
        let batch = batch.collect();
        self.dirty = dirty;
        self.dirty.clear();
        batch
    }

    /// The ledger had no room: what it gave back is added up again and handed over later.
    pub(crate) fn put_back(&mut self, batch: Vec<Delta>) {
        for delta in batch {
            let key = match self.names.get(&delta.worker) {
                Some(key) => *key,
                None => self.add(&delta.worker, &delta.address),
            };
            let Some(slot) = self.slots.get_mut(key as usize).and_then(Option::as_mut) else {
                continue;
            };
            slot.delta.accepted += delta.accepted;
            slot.delta.work += delta.work;
            slot.delta.best = harder(slot.delta.best, delta.best);
            for (sum, more) in slot.delta.rejected.iter_mut().zip(delta.rejected) {
                *sum += more;
            }
            mark(slot, key, &mut self.dirty);
        }
    }

    /// Every worker as it stands.
    pub(crate) fn states(&self) -> impl Iterator<Item = &WorkerState> {
        self.slots.iter().flatten().map(|slot| &slot.state)
    }

    /// Forgets the longest silent of those who are gone, when there are too many. Their record is in
    /// the ledger.
    pub(crate) fn prune(&mut self) {
        if self.names.len() <= MAX_ABSENT {
            return;
        }
        let mut absent: Vec<(Option<u64>, u32)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(key, slot)| slot.as_ref().map(|slot| (key as u32, slot)))
            .filter(|(_, slot)| slot.state.connections == 0 && !slot.dirty)
            .map(|(key, slot)| (slot.state.last_share, key))
            .collect();
        absent.sort_unstable();
        let surplus = absent.len().saturating_sub(MAX_ABSENT / 2);
        for (_, key) in absent.into_iter().take(surplus) {
            self.remove(key);
        }
    }

    fn slot(&mut self, key: u32) -> Option<&mut Slot> {
        self.slots.get_mut(key as usize)?.as_mut()
    }

    fn add(&mut self, name: &str, address: &str) -> u32 {
        let (name, address): (Arc<str>, Arc<str>) = (name.into(), address.into());
        let slot = Slot {
            delta: empty(&name, &address),
            dirty: false,
            state: WorkerState {
                name: name.clone(),
                address,
                connections: 0,
                accepted: 0,
                work: Work::ZERO,
                rejected: [0; Reject::COUNT],
                best: None,
                last_share: None,
                difficulty: None,
                user_agent: None,
            },
        };
        let key = match self.free.pop() {
            Some(key) => {
                self.slots[key as usize] = Some(slot);
                key
            }
            None => {
                self.slots.push(Some(slot));
                (self.slots.len() - 1) as u32
            }
        };
        self.names.insert(name, key);
        key
    }

    fn remove(&mut self, key: u32) {
        if let Some(slot) = self.slots.get_mut(key as usize).and_then(Option::take) {
            self.names.remove(&slot.state.name);
            self.free.push(key);
        }
    }
}

fn mark(slot: &mut Slot, key: u32, dirty: &mut Vec<u32>) {
    if !slot.dirty {
        slot.dirty = true;
        dirty.push(key);
    }
}

fn harder(a: Option<Difficulty>, b: Option<Difficulty>) -> Option<Difficulty> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

fn empty(worker: &Arc<str>, address: &Arc<str>) -> Delta {
    Delta {
        worker: worker.clone(),
        address: address.clone(),
        at: 0,
        accepted: 0,
        work: Work::ZERO,
        best: None,
        rejected: [0; Reject::COUNT],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_given_back_by_a_full_ledger_is_handed_over_again_with_what_came_since() {
        let mut workers = Workers::default();
        let key = workers.join("a.1", "a");
        workers.accepted(key, 5, Difficulty::ONE.work(), 3.0);
        workers.rejected(key, Reject::Stale);
        let batch = workers.take(6);
        assert_eq!((batch.len(), workers.is_dirty()), (1, false));
        workers.accepted(key, 7, Difficulty::ONE.work(), 2.0);
        workers.put_back(batch);
        let batch = workers.take(8);
        assert_eq!((batch.len(), batch[0].accepted, batch[0].at), (1, 2, 8));
        assert_eq!(batch[0].best.unwrap().get(), 3.0);
        assert_eq!(batch[0].rejected[Reject::Stale as usize], 1);
        assert_eq!(batch[0].work.hashes(), 2.0 * Difficulty::HASHES_PER_UNIT);
    }

    #[test]
    fn a_name_that_earned_nothing_leaves_no_trace() {
        let mut workers = Workers::default();
        for i in 0..1000 {
            let key = workers.join(&format!("a.{i}"), "a");
            workers.rejected(key, Reject::LowDifficulty);
            workers.leave(key);
        }
        assert!(!workers.is_dirty());
        assert_eq!(workers.slots.len(), 1);
        assert_eq!(workers.states().count(), 0);
    }
}
