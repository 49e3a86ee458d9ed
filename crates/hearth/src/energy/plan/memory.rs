//! What a plan takes from the past: what is usual at each time of day, the highest import of the month, since
//! when each load has been on or off. Kept in a file; forecasts of others count before it.

use crate::{config::Window, kept};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use units::{UnixTime, UtcOffset};

/// Its name in the data folder.
const FILE: &str = "plan.json";
/// What is usual is known for each quarter of an hour.
const QUARTER: u64 = 900;
const QUARTERS: u64 = 96;
/// So many loads may be known that are away.
const FEW: usize = 1000;
/// A new day's weight in what is usual: half of it is three days old.
const NEW_DAY: f64 = 0.2;

/// The mean of what was told between the begin and the end of an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Mean {
    /// Which interval, counted from 1970.
    interval: u64,
    sum: f64,
    count: u32,
}

impl Mean {
    /// Takes a value; gives the interval that is over and its mean.
    fn take(&mut self, interval: u64, value: f64) -> Option<(u64, f64)> {
        let over = (self.interval != interval && self.count > 0)
            .then(|| (self.interval, self.sum / f64::from(self.count)));
        if self.interval != interval {
            *self = Self { interval, ..Self::default() };
        }
        self.sum += value;
        self.count += 1;
        over
    }
}

/// What is usual at each time of day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    /// By quarter of the UTC day.
    quarters: BTreeMap<u64, f64>,
    now: Mean,
}

impl Usual {
    fn take(&mut self, utc: UnixTime, value: f64) {
        let Some((interval, mean)) = self.now.take(utc.0 / QUARTER, value) else { return };
        let usual = self.quarters.entry(interval % QUARTERS).or_insert(mean);
        *usual += NEW_DAY * (mean - *usual);
    }

    /// What is usual at this time of day; `None` where no day was seen then.
    pub fn at(&self, at: UnixTime) -> Option<f64> {
        self.quarters.get(&(at.0 / QUARTER % QUARTERS)).copied()
    }
}

/// A year, and a month of it.
type Month = (i64, u8);

fn month(offset: UtcOffset, at: UnixTime) -> Month {
    let date = offset.date(at);
    (date.year, date.month)
}

/// The highest mean import of a month.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Peak {
    month: Month,
    watts: f64,
    now: Mean,
}

/// Since when a load is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Stands {
    on: bool,
    since: u64,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    usual: BTreeMap<String, Usual>,
    peaks: BTreeMap<String, Peak>,
    loads: BTreeMap<String, Stands>,
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

impl Memory {
    /// What the last run knew.
    pub fn recall(folder: &Path) -> Self {
        kept::read(&path(folder), "what is usual at each time of day").unwrap_or_default()
    }

    pub fn keep(&self, folder: &Path) -> std::io::Result<()> {
        kept::write(&path(folder), self)
    }

    /// Something has this value now.
    pub fn see(&mut self, name: &str, utc: UnixTime, value: f64) {
        match self.usual.get_mut(name) {
            Some(usual) => usual.take(utc, value),
            None => self.usual.entry(name.to_owned()).or_default().take(utc, value),
        }
    }

    /// What something usually is at this time of day.
    pub fn usual(&self, name: &str, at: UnixTime) -> Option<f64> {
        self.usual.get(name)?.at(at)
    }

    /// So much is imported now; `interval` is that of a charge which applies in `applies`.
    pub fn import(
        &mut self,
        charge: &str,
        (interval, applies): (Duration, &Window),
        offset: UtcOffset,
        utc: UnixTime,
        watts: f64,
    ) {
        let month = month(offset, utc);
        let peak = self.peaks.entry(charge.to_owned()).or_default();
        if peak.month != month {
            *peak = Peak { month, ..Peak::default() };
        }
        if !applies.holds(utc, offset) {
            return;
        }
        let seconds = interval.as_secs().max(1);
        if let Some((_, mean)) = peak.now.take(utc.0 / seconds, watts) {
            peak.watts = peak.watts.max(mean);
        }
    }

    /// The highest mean import of this month.
    pub fn peak(&self, charge: &str, offset: UtcOffset, utc: UnixTime) -> f64 {
        let peak = self.peaks.get(charge).filter(|peak| peak.month == month(offset, utc));
        peak.map_or(0.0, |peak| peak.watts)
    }

    /// A load is on or off; a change counts from now.
    pub fn stands(&mut self, id: &Arc<str>, on: bool, utc: UnixTime) {
        match self.loads.get_mut(&**id) {
            Some(stands) if stands.on == on => {}
            Some(stands) => *stands = Stands { on, since: utc.0 },
            // Nobody knows since when: for long.
            None => {
                self.loads.insert(id.to_string(), Stands { on, since: 0 });
            }
        }
    }

    /// For how long a load has been as it is.
    pub fn since(&self, id: &str, on: bool, utc: UnixTime) -> Duration {
        let stands = self.loads.get(id).filter(|stands| stands.on == on);
        stands.map_or(LONG, |stands| utc.since(UnixTime(stands.since)).min(LONG))
    }

    /// Forgets loads that are not there any more, once they are more than those that are.
    pub fn forget(&mut self, there: &[&str]) {
        if self.loads.len() > 2 * there.len() + FEW {
            let there: BTreeSet<&str> = there.iter().copied().collect();
            self.loads.retain(|id, _| there.contains(id.as_str()));
        }
    }
}

/// Longer than any minimum time.
const LONG: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_800_000_000;

    #[test]
    fn what_was_at_a_time_of_day_is_usual_then_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut memory = Memory::recall(folder.path());
        let hours = |day: u64, hour: u64| START + 86_400 * day + 3600 * hour;
        for day in 0..3 {
            for hour in 0..24 {
                for second in (0..3600).step_by(60) {
                    let utc = UnixTime(hours(day, hour) + second);
                    memory.see("others", utc, 100.0 * hour as f64);
                }
            }
        }
        memory.keep(folder.path()).unwrap();
        let memory = Memory::recall(folder.path());
        for hour in 0..23 {
            let usual = memory.usual("others", UnixTime(hours(9, hour) + 1700)).unwrap();
            assert!((usual - 100.0 * hour as f64).abs() < 1e-6, "{hour}: {usual}");
        }
        assert_eq!(memory.usual("solar", UnixTime(START)), None);
    }

    #[test]
    fn one_odd_day_moves_what_is_usual_by_its_fifth() {
        let mut memory = Memory::default();
        for (day, watts) in [(0, 1000.0), (1, 2000.0), (2, 2000.0)] {
            for quarter in 0..2 {
                memory.see("others", UnixTime(START + 86_400 * day + QUARTER * quarter), watts);
            }
        }
        // Two days are over.
        assert_eq!(memory.usual("others", UnixTime(START)), Some(1000.0 + 200.0 + 160.0));
    }

    #[test]
    fn the_highest_quarter_of_the_month_is_paid_for_and_a_new_month_begins_at_none() {
        let (mut memory, offset) = (Memory::default(), UtcOffset(3600));
        let evening = Window::default();
        let quarter = (Duration::from_secs(900), &evening);
        let mut at = |second: u64, watts| {
            memory.import("peak", quarter, offset, UnixTime(START + second), watts);
            memory.peak("peak", offset, UnixTime(START + second))
        };
        assert_eq!(at(0, 4000.0), 0.0);
        assert_eq!(at(600, 8000.0), 0.0, "its quarter is not over");
        assert_eq!(at(900, 100.0), 6000.0);
        assert_eq!(at(1800, 100.0), 6000.0);
        // 2027-01-31 23:00 UTC is February there.
        assert_eq!(at(1_436_400 - 1, 100.0), 6000.0);
        assert_eq!(at(1_436_400, 100.0), 0.0);
    }

    #[test]
    fn loads_that_come_and_go_for_ever_are_forgotten() {
        let mut memory = Memory::default();
        for at in 0..5000 {
            memory.stands(&format!("worker:{at}").into(), true, UnixTime(START));
            memory.forget(&["worker:0"]);
        }
        assert!(memory.loads.len() <= FEW + 2 && memory.loads.contains_key("worker:0"));
    }

    #[test]
    fn since_when_a_load_stands_as_it_does_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (mut memory, load) = (Memory::default(), Arc::from("mac:1"));
        memory.stands(&load, false, UnixTime(START));
        assert_eq!(memory.since("mac:1", false, UnixTime(START)), LONG, "nobody knows");
        memory.stands(&load, true, UnixTime(START + 60));
        memory.stands(&load, true, UnixTime(START + 90));
        memory.keep(folder.path()).unwrap();
        let memory = Memory::recall(folder.path());
        let since = |on| memory.since("mac:1", on, UnixTime(START + 100));
        assert_eq!((since(true), since(false)), (Duration::from_secs(40), LONG));
    }
}
