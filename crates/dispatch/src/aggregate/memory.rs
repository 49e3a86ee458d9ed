//! What a restart must not forget: what homes draw alone, whom the lot left alone and what was given since it
//! was drawn, and what each home gave so far. It reads and writes no file.

use super::{Aggregate, Setup, account::Sum, habit::Habit, lot};
use crate::baseline::control::Pull;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use units::{Moment, UnixTime};

/// What an aggregate knows of earlier intervals, to be kept and given back to the next one. Its fields are
/// nobody else's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    of: Origin,
    /// Start of the lot's period, seconds since 1970.
    period: Option<u64>,
    /// Up to which draw homes are left alone now, and rest for the next lot.
    compared: Option<u64>,
    resting: Option<u64>,
    told: bool,
    levels: [f64; 2],
    sum: Sum,
    homes: BTreeMap<String, Kept>,
}

/// Whose memory it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    /// Tells seeds apart, and none.
    seed: u64,
    interval_s: u64,
    lot_s: u64,
    rest_s: u64,
}

/// What is kept of one home.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub habit: Habit,
    pub pull: Pull,
    /// Hours at all of its flexibility, downwards and upwards.
    pub given: [f64; 2],
    /// Seconds since 1970.
    heard: u64,
}

/// A memory that is not this aggregate's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was kept with another lot, another lot's secret or intervals of another length")]
pub struct Foreign;

impl Origin {
    fn of(setup: &Setup) -> Self {
        Self {
            seed: lot::draw(setup.seed, UnixTime(0), "whose memory"),
            interval_s: setup.interval.as_secs(),
            lot_s: setup.lot.as_secs(),
            rest_s: setup.rest.as_secs(),
        }
    }
}

impl Aggregate {
    /// What is to be kept over a restart; an interval that runs is not in it.
    pub fn memory(&self, now: Moment, utc: UnixTime) -> Memory {
        let kept = self.homes.iter().zip(&self.tallies).map(|(home, tally)| {
            let heard = utc.0.saturating_sub(now.since(home.heard).as_secs());
            let (habit, pull) = (tally.habit.clone(), tally.pull);
            (home.id.to_string(), Kept { habit, pull, given: home.given, heard })
        });
        let away = self.away.iter().map(|(id, kept)| (id.clone(), kept.clone()));
        Memory {
            of: Origin::of(&self.setup),
            period: self.lots.period.map(|period| period.0),
            compared: self.lots.now,
            resting: self.lots.next,
            // What was asked in the interval that runs may have been told already.
            told: self.lots.told || self.books.asked,
            levels: self.levels,
            sum: self.of_lot,
            homes: kept.chain(away).collect(),
        }
    }

    /// Goes on from what an aggregate before this one knew; to be called before the first report. Homes
    /// not heard for longer than any is kept are forgotten.
    ///
    /// # Errors
    /// Where the memory is not this aggregate's; nothing is taken then.
    pub fn recall(&mut self, memory: Memory, utc: UnixTime) -> Result<(), Foreign> {
        if memory.of != Origin::of(&self.setup) {
            return Err(Foreign);
        }
        self.lots = lot::Lots {
            period: memory.period.map(UnixTime),
            now: memory.compared,
            next: memory.resting,
            told: memory.told,
        };
        (self.levels, self.of_lot, self.away) = (memory.levels, memory.sum, memory.homes);
        let longest = self.setup.forget;
        self.away.retain(|_, kept| utc.since(UnixTime(kept.heard)) <= longest);
        Ok(())
    }
}
