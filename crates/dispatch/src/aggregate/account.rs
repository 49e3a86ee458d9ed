//! What each home gave up in an interval, and its share of the payment. It never counts what no meter
//! saw: an interval with a gap is void for that home.

use super::{
    Report, Setup,
    habit::Habit,
    home::{Home, Took},
    memory::Kept,
    split,
};
use crate::baseline::{
    Delivered, Void,
    control::{Given, Pull},
    strata::{Like, Strata},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use units::{Moment, NetWattHours, Sats, UnixTime, WattHours};

/// What a home's meter and its part in the calls came to in the interval that runs.
#[derive(Debug)]
pub(super) struct Tally {
    /// Drawn in the lots of this period and the next.
    pub drawn: [u64; 2],
    /// Wh so far.
    energy: f64,
    /// Metered up to here.
    until: Moment,
    gap: bool,
    pub opted_out: bool,
    pub habit: Habit,
    /// Its part in the error of what was given since this lot was drawn.
    pub pull: Pull,
}

impl Tally {
    /// Of a home that came while an interval ran, with what was kept of it.
    pub fn begun_late(drawn: [u64; 2], kept: Option<Kept>, report: &Report, now: Moment) -> Self {
        let new = || (Habit::new(report), Pull::default());
        let (mut habit, pull) = kept.map_or_else(new, |kept| (kept.habit, kept.pull));
        habit.hear(report);
        Self { drawn, energy: 0.0, until: now, gap: true, opted_out: false, habit, pull }
    }

    pub fn meter(&mut self, power: f64, now: Moment) {
        self.energy += power * now.since(self.until).as_secs_f64() / 3600.0;
        self.until = now;
    }

    pub fn gap(&mut self, now: Moment) {
        self.gap = true;
        self.until = now;
    }

    fn metered(&self) -> Option<f64> {
        (!self.gap).then_some(self.energy)
    }

    /// Another lot begins.
    pub fn turn(&mut self) {
        self.habit.turn();
        self.pull = Pull::default();
    }

    /// An interval ended, and another begins.
    fn begin(&mut self, home: &mut Home, setup: &Setup, utc: UnixTime, untold: bool) {
        let took = std::mem::take(&mut home.took);
        self.habit.end(self.metered(), took.called, untold, setup, utc);
        self.energy = 0.0;
        self.gap = false;
        self.opted_out = home.report.opted_out;
    }
}

/// How a home took part in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It could be told what to draw.
    Steered,
    /// Left alone by lot: what it drew is what the others would have.
    Control,
    /// Left alone so that it can be compared with in the next period.
    Resting,
    /// Its owner did not take part, at least for some of it.
    OptedOut,
    /// Its meter has a gap: nothing is known.
    Void,
}

/// One home in one interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The home.
    pub home: Arc<str>,
    /// How it took part.
    pub part: Part,
    /// What its meter saw, whole Wh.
    pub metered_wh: Option<i64>,
    /// What it would have drawn, whole Wh; of those steered.
    pub baseline_wh: Option<i64>,
    /// Baseline less metered, whole Wh: positive where less was drawn. Those of all homes add up to what
    /// was delivered, rounded.
    pub delivered_wh: Option<i64>,
    /// Its share of the payment.
    pub paid: Sats,
}

/// An interval that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    /// When it began.
    pub start: UnixTime,
    /// How long it was.
    pub length: Duration,
    /// What was wanted of all homes together, where that was known throughout.
    pub wanted: Option<NetWattHours>,
    /// What they drew: as metered, and as expected of those that are silent.
    pub drawn: NetWattHours,
    /// What was asked for: what homes said they would draw left alone, less what was wanted; positive
    /// where less was wanted.
    pub asked: NetWattHours,
    /// What those steered gave up, with the interval that holds the truth.
    pub delivered: Result<Delivered, Void>,
    /// The same since the lot that it shares was drawn, this interval included.
    pub of_lot: OfLot,
    /// One for each home that is known; those of whom nothing was asked are left out when nothing was
    /// asked at all.
    pub records: Vec<Record>,
}

/// What those steered gave up in all intervals that share a lot. Their errors do not average out: the same
/// homes are compared with. What was given in several lots' time is known by [`Given::and`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OfLot {
    /// Start of the lot's period.
    pub drawn: UnixTime,
    /// What was given up; void intervals are not in it.
    pub given: Given,
}

impl Closed {
    /// What a contract pays for: what was delivered in the direction that was asked for, never less than
    /// nothing.
    pub fn payable(&self) -> WattHours {
        let Ok(delivered) = &self.delivered else { return WattHours::ZERO };
        (delivered.energy * self.direction() as f64).above_zero()
    }

    /// Shares a payment in proportion to what each home gave in the direction that was asked for; gives
    /// back what nobody earned. The shares and what is left are the payment, to the sat.
    pub fn pay(&mut self, total: Sats) -> Sats {
        let direction = self.direction();
        let weight = |record: &Record| {
            let gave = record.delivered_wh.unwrap_or(0).saturating_mul(direction);
            u64::try_from(gave).unwrap_or(0)
        };
        let weights: Vec<u64> = self.records.iter().map(weight).collect();
        let Some(parts) = split::by_weight(total.0, &weights) else { return total };
        for (record, part) in self.records.iter_mut().zip(parts) {
            record.paid = Sats(part);
        }
        Sats(0)
    }

    fn direction(&self) -> i64 {
        if self.asked < NetWattHours::ZERO { -1 } else { 1 }
    }
}

/// Closes the books of all homes; `asked` whether anything was wanted in this interval, `untold`
/// whether nothing was since its lot was drawn.
pub(super) fn close(
    homes: &mut [Home],
    tallies: &mut [Tally],
    setup: &Setup,
    (now, utc): (Moment, UnixTime),
    asked: bool,
    untold: bool,
) -> (Result<Given, Void>, Vec<Record>) {
    for (home, tally) in homes.iter().zip(tallies.iter_mut()) {
        match now.since(home.heard) <= setup.stale {
            true => tally.meter(home.report.power.get(), now),
            false => tally.gap(now),
        }
    }
    let closed =
        if asked { books(homes, tallies, setup) } else { (Err(Void::NoSuchTime), Vec::new()) };
    for (home, tally) in homes.iter_mut().zip(tallies) {
        tally.begin(home, setup, utc, untold);
    }
    closed
}

/// What was given since a lot was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Sum {
    /// Wh.
    energy: f64,
    /// The fewest degrees of freedom that an interval had; none where there was none.
    freedom: Option<f64>,
    /// Of how many intervals, and the squares of their standard errors, Wh².
    intervals: f64,
    squares: f64,
}

impl Sum {
    pub const NOTHING: Self = Self { energy: 0.0, freedom: None, intervals: 0.0, squares: 0.0 };

    /// Takes an interval, and gives it back no surer than those of this lot are on the mean: one in which
    /// few tanks happen to be on shows both too low a baseline and too little difference among homes.
    pub fn add(&mut self, given: Given) -> Given {
        self.energy += given.energy.get();
        self.freedom = Some(self.freedom.unwrap_or(f64::INFINITY).min(given.freedom()));
        self.intervals += 1.0;
        self.squares += given.error().get().powi(2);
        let mean = (self.squares / self.intervals).sqrt();
        given.no_surer_than(NetWattHours::new(mean).unwrap_or_default())
    }

    /// All of them, with each home's part in their error.
    pub fn given(&self, pulls: impl Iterator<Item = Pull>) -> Given {
        let energy = NetWattHours::new(self.energy).unwrap_or_default();
        Given::over(energy, pulls, self.freedom.unwrap_or(f64::INFINITY))
    }
}

fn books(
    homes: &[Home],
    tallies: &mut [Tally],
    setup: &Setup,
) -> (Result<Given, Void>, Vec<Record>) {
    let parts: Vec<Part> =
        homes.iter().zip(&*tallies).map(|(home, tally)| part(home.took, tally)).collect();
    let (given, gave) = match compare(tallies, &parts, setup) {
        Ok((given, gave)) => (Ok(given), gave),
        Err(void) => (Err(void), Vec::new()),
    };
    let mut gave = split::whole(&gave).into_iter();
    let record = |((home, tally), part): ((&Home, &Tally), &Part)| {
        let metered_wh = tally.metered().map(|wh| wh.round() as i64);
        let delivered_wh = if *part == Part::Steered { gave.next() } else { None };
        Record {
            home: home.id.clone(),
            part: *part,
            metered_wh,
            baseline_wh: delivered_wh.zip(metered_wh).map(|(gave, drew)| gave + drew),
            delivered_wh,
            paid: Sats(0),
        }
    };
    (given, homes.iter().zip(&*tallies).zip(&parts).map(record).collect())
}

/// What those steered gave, together and each.
fn compare(
    tallies: &mut [Tally],
    parts: &[Part],
    setup: &Setup,
) -> Result<(Given, Vec<f64>), Void> {
    let metered = |tally: &Tally| tally.metered().and_then(|wh| NetWattHours::new(wh).ok());
    let like = |tally: &Tally| tally.habit.like(setup.interval);
    let of = |wanted: Part| {
        tallies.iter().zip(parts).filter(move |(_, part)| **part == wanted).map(|(tally, _)| tally)
    };
    let control: Vec<(NetWattHours, Like)> =
        of(Part::Control).filter_map(|tally| Some((metered(tally)?, like(tally)))).collect();
    let strata = Strata::new(&control)?;
    let treated: Vec<Like> = of(Part::Steered).map(like).collect();
    let several = strata.treated(&treated);
    let pulls = control.iter().map(|(drew, like)| several.pull(*drew, *like));
    let given = several.given(of(Part::Steered).filter_map(metered).sum(), pulls);
    let gave = of(Part::Steered).zip(&treated);
    let gave = gave.map(|(tally, like)| strata.baseline(*like).get() - tally.energy).collect();
    for (tally, part) in tallies.iter_mut().zip(parts) {
        if *part == Part::Control
            && let Some(drew) = metered(tally)
        {
            tally.pull = tally.pull.and(several.pull(drew, like(tally)));
        }
    }
    Ok((given, gave))
}

fn part(took: Took, tally: &Tally) -> Part {
    if tally.gap {
        Part::Void
    } else if tally.opted_out {
        Part::OptedOut
    } else if took.control {
        Part::Control
    } else if took.resting {
        Part::Resting
    } else if took.called {
        Part::Steered
    } else {
        Part::Void
    }
}
