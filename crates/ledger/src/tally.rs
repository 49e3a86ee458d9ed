//! Sums per worker that wait in memory. Pure: no database, no clock.

use crate::WorkDelta;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Width of the finest bucket, seconds.
pub(crate) const MINUTE: i64 = 60;

/// While the disk cannot be written a worker's oldest buckets are merged beyond this many, so that
/// memory is bounded by the number of workers: the sums stay right, their time becomes coarse.
const MAX_BUCKETS: usize = 16;

/// Sums of many workers by row id. Ids are small and dense, so they are found without hashing.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    /// By id: one more than the place in `list`; 0 for none.
    places: Vec<u32>,
    list: Vec<(i64, Tally)>,
}

impl Tallies {
    pub fn add(&mut self, worker: i64, tally: Tally) {
        let index = usize::try_from(worker).unwrap_or(0);
        if self.places.len() <= index {
            self.places.resize(index + 1, 0);
        }
        match self.places[index].checked_sub(1) {
            Some(place) => self.list[place as usize].1.add(tally),
            None => {
                self.list.push((worker, tally));
                self.places[index] = self.list.len() as u32;
            }
        }
    }

    /// In no particular order.
    pub fn as_slice(&self) -> &[(i64, Tally)] {
        &self.list
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Tally> {
        self.list.iter_mut().map(|(_, tally)| tally)
    }

    /// Takes all out.
    pub fn drain(&mut self) -> std::vec::Drain<'_, (i64, Tally)> {
        for (worker, _) in &self.list {
            self.places[usize::try_from(*worker).unwrap_or(0)] = 0;
        }
        self.list.drain(..)
    }
}

/// Sums of one worker.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tally {
    /// Time of the first share and of the last, seconds since 1970.
    pub first_at: i64,
    pub last_at: i64,
    pub best: Option<Best>,
    /// Best of the shares after the last block.
    pub since_block: Option<Best>,
    /// By start, a minute wide.
    pub buckets: Vec<Sums>,
    pub rejected: Vec<(Cow<'static, str>, u64)>,
}

/// A share's difficulty and when it was found, seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Best {
    pub difficulty: f64,
    pub at: i64,
}

/// Sums of one worker in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub start: i64,
    pub accepted: u64,
    pub rejected: u64,
    /// Expected hashes.
    pub work: f64,
    pub best: Option<f64>,
}

impl Tally {
    /// `last_block_at`: a share counts as "since the last block" only when it is later.
    pub fn of(delta: &WorkDelta, last_block_at: i64) -> Self {
        let at = seconds(delta.at);
        let best = delta.best.map(|best| Best { difficulty: best.get(), at });
        let rejected = |&(reason, count): &(&'static str, u32)| (reason.into(), count.into());
        Self {
            first_at: at,
            last_at: at,
            best,
            since_block: best.filter(|best| best.at > last_block_at),
            buckets: vec![Sums {
                start: at - at % MINUTE,
                accepted: delta.accepted.into(),
                rejected: delta.rejected.iter().map(|&(_, count)| u64::from(count)).sum(),
                work: delta.work.hashes(),
                best: best.map(|best| best.difficulty),
            }],
            rejected: delta.rejected.iter().map(rejected).collect(),
        }
    }

    pub fn add(&mut self, other: Self) {
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
        self.best = better(self.best, other.best);
        self.since_block = better(self.since_block, other.since_block);
        for sums in other.buckets {
            match self.buckets.binary_search_by_key(&sums.start, |mine| mine.start) {
                Ok(found) => self.buckets[found].add(sums),
                Err(place) => self.buckets.insert(place, sums),
            }
        }
        while self.buckets.len() > MAX_BUCKETS {
            let oldest = self.buckets.remove(0);
            self.buckets[0].add(oldest);
        }
        for (reason, count) in other.rejected {
            match self.rejected.iter_mut().find(|(mine, _)| *mine == reason) {
                Some((_, mine)) => *mine += count,
                None => self.rejected.push((reason, count)),
            }
        }
    }

    pub fn accepted(&self) -> u64 {
        self.buckets.iter().map(|sums| sums.accepted).sum()
    }

    pub fn rejected(&self) -> u64 {
        self.buckets.iter().map(|sums| sums.rejected).sum()
    }

    pub fn work(&self) -> f64 {
        self.buckets.iter().map(|sums| sums.work).sum()
    }
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.work += other.work;
        self.best = match (self.best, other.best) {
            (Some(mine), Some(theirs)) => Some(mine.max(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
    }
}

/// A block was found: shares up to its second no longer count as "since the last block".
pub(crate) fn forget_since_block<'a>(tallies: impl Iterator<Item = &'a mut Tally>, found_at: i64) {
    for tally in tallies {
        tally.since_block = tally.since_block.filter(|best| best.at > found_at);
    }
}

fn better(mine: Option<Best>, other: Option<Best>) -> Option<Best> {
    match (mine, other) {
        (Some(a), Some(b)) if b.difficulty > a.difficulty => Some(b),
        (mine, other) => mine.or(other),
    }
}

/// SQLite's integers are signed.
pub(crate) fn seconds(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Difficulty;

    fn delta(at: u64, best: f64) -> WorkDelta {
        let best = Difficulty::new(best).unwrap();
        WorkDelta {
            worker: "w".into(),
            at,
            accepted: 1,
            work: best.work(),
            best: Some(best),
            rejected: vec![("stale", 2)],
        }
    }

    #[test]
    fn memory_is_bounded_while_nothing_can_be_written_and_the_sums_stay_right() {
        let mut tallies = Tallies::default();
        for minute in 0..1000 {
            tallies.add(1, Tally::of(&delta(minute * 60 + 7, 2.0), 0));
        }
        assert_eq!(tallies.len(), 1);
        let tally = &tallies.as_slice()[0].1;
        assert_eq!(tally.buckets.len(), MAX_BUCKETS);
        assert_eq!((tally.accepted(), tally.rejected()), (1000, 2000));
        assert_eq!(tally.rejected, [("stale".into(), 2000)]);
        assert!((tally.work() / (2000.0 * Difficulty::HASHES_PER_UNIT) - 1.0).abs() < 1e-12);
        assert!(tally.buckets.is_sorted_by_key(|sums| sums.start));
    }

    #[test]
    fn what_was_taken_out_is_not_there_any_more() {
        let mut tallies = Tallies::default();
        for _ in 0..2 {
            tallies.add(7, Tally::of(&delta(60, 2.0), 0));
            tallies.add(3, Tally::of(&delta(60, 2.0), 0));
            tallies.add(7, Tally::of(&delta(60, 2.0), 0));
            let taken: Vec<_> = tallies.drain().map(|(id, t)| (id, t.accepted())).collect();
            assert_eq!(taken, [(7, 2), (3, 1)]);
            assert!(tallies.is_empty());
        }
    }

    #[test]
    fn a_share_up_to_the_second_of_a_block_is_not_counted_as_after_it() {
        let mut tallies = Tallies::default();
        for (at, best) in [(10, 8.0), (11, 4.0)] {
            tallies.add(1, Tally::of(&delta(at, best), 0));
        }
        tallies.add(2, Tally::of(&delta(13, 2.0), 0));
        forget_since_block(tallies.values_mut(), 12);
        let bests: Vec<_> = tallies.drain().map(|(_, t)| (t.best, t.since_block)).collect();
        let best = |difficulty, at| Some(Best { difficulty, at });
        assert_eq!(bests, [(best(8.0, 10), None), (best(2.0, 13), best(2.0, 13))]);
        assert_eq!(Tally::of(&delta(12, 9.0), 12).since_block, None);
    }
}
