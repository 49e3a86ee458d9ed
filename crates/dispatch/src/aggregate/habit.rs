//! What is known of a home by which it is compared with others: what it draws while nobody tells it anything,
//! and what kind of load it says that it has. It knows no other home.

use super::{Report, Setup};
use crate::baseline::strata::Like;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use units::{NetWattHours, UnixTime, Watts};

/// What a load can do, by the home's own reports: the most that it ever said. A home that takes part says no
/// less of itself than one that is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Any power, for as long as anybody likes.
    Endless,
    /// Any power for a while, as a room.
    Lasting,
    /// Only powers so far apart, as a tank with an element.
    Stepped,
}

impl Kind {
    fn of(report: &Report) -> Self {
        let ends = report.lowest.lasts.or(report.highest.lasts).is_some();
        match report.step {
            Some(step) if step > Watts::ZERO => Self::Stepped,
            _ if ends => Self::Lasting,
            _ => Self::Endless,
        }
    }
}

/// What a home is compared by in one lot: W, and its kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Was {
    watts: Option<f64>,
    kind: Kind,
}

/// A home's habits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Habit {
    kind: Kind,
    /// The last interval in which it was called ended then, seconds since 1970.
    last_called: Option<u64>,
    /// Mean power while it was left alone and what it had been told before had worn off, W, and of how
    /// many intervals. What it drew while it was told would make the baseline of those lowest who give most.
    alone: Option<(f64, u32)>,
    /// As it was before this lot told anybody anything: what the lot cannot have changed.
    now: Was,
    /// The same for the next lot.
    next: Option<Was>,
}

/// A home's mean forgets over so many hours alone, which may be few each day.
const ALONE: f64 = 72.0;

impl Habit {
    /// Of a home that was not known before.
    pub fn new(report: &Report) -> Self {
        let kind = Kind::of(report);
        let now = Was { watts: None, kind };
        Self { kind, last_called: None, alone: None, now, next: None }
    }

    /// Takes a report.
    pub fn hear(&mut self, report: &Report) {
        self.kind = self.kind.max(Kind::of(report));
    }

    /// What it is compared by, for an interval of this length.
    pub fn like(&self, length: Duration) -> Like {
        let energy = |watts: f64| NetWattHours::new(watts * length.as_secs_f64() / 3600.0).ok();
        Like { kind: self.now.kind as u8, usual: self.now.watts.and_then(energy) }
    }

    /// Those of the next lot begin to rest: what was seen until now is what they will be compared by.
    pub fn keep(&mut self) {
        self.next = Some(self.seen());
    }

    /// Another lot begins.
    pub fn turn(&mut self) {
        self.now = self.next.take().unwrap_or(Was { watts: None, kind: self.kind });
    }

    /// An interval ended: its energy, Wh, where that was metered throughout. `untold` while nobody was
    /// told anything in this lot: then all that was seen counts as before.
    pub fn end(
        &mut self,
        energy: Option<f64>,
        called: bool,
        untold: bool,
        setup: &Setup,
        utc: UnixTime,
    ) {
        if called {
            self.last_called = Some(utc.0);
        }
        let worn_off = setup.rest + setup.interval;
        if let Some(energy) = energy
            && self.last_called.is_none_or(|called| utc.since(UnixTime(called)) >= worn_off)
        {
            let hours = setup.interval.as_secs_f64() / 3600.0;
            let (mean, seen) = self.alone.unwrap_or((0.0, 0));
            let weight = (1.0 - (-hours / ALONE).exp()).max(1.0 / (f64::from(seen) + 1.0));
            self.alone = Some((mean + weight * (energy / hours - mean), seen.saturating_add(1)));
        }
        if untold {
            self.now = self.seen();
        }
    }

    fn seen(&self) -> Was {
        Was { watts: self.alone.map(|(watts, _)| watts), kind: self.kind }
    }
}
