//! What was seen at one setting since it settled: sums of readings and the work from then on.

use super::{Observation, belief::Seen, journal::Measured, model::Point};
use crate::{readings::Moment, work::Window};
use std::time::Duration;
use units::{Celsius, Hashrate, Ratio, Watts, Work};

/// Why a setting is being looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Role {
    /// The setting found at the beginning.
    First,
    /// A step on the way.
    Step,
    /// The last one: its work has to prove it.
    Proof,
    /// The first one again, to learn what this machine does where nothing should be lost. The setting
    /// whose work fell short, how short it fell, and how warm it was.
    Health(Option<(Point, f64, f64)>),
}

/// How long a temperature is followed to tell where it is going.
const FOLLOWED: Duration = Duration::from_secs(45);
/// What is still to come of a change after that time, as a part of what came within it: e-fold in 90 s,
/// as heat sinks of home miners do.
const TO_COME: f64 = 1.54;

/// A setting under observation.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) role: Role,
    pub(super) settled: Moment,
    mark: Option<Window>,
    last: Option<Window>,
    errors: Mean,
    watts: Mean,
    chip: Mean,
    anchor: Option<(Moment, f64)>,
    /// Where the chip's temperature is going, once that shows, °C.
    pub(super) ending: Option<f64>,
    /// A test of its work said no before this one.
    pub(super) repeated: bool,
}

impl Look {
    /// From this moment on.
    pub(super) fn new(role: Role, settled: Moment) -> Self {
        let none = Mean::default();
        let (errors, watts, chip) = (none, none, none);
        let (mark, last, anchor) = (None, None, None);
        let (ending, repeated) = (None, false);
        Self { role, settled, mark, last, errors, watts, chip, anchor, ending, repeated }
    }

    /// Takes an observation made after settling.
    pub(super) fn take(&mut self, seen: &Observation) {
        self.mark = self.mark.or(seen.work);
        self.last = seen.work.or(self.last);
        self.errors.add(seen.readings.errors.map(Ratio::get));
        self.watts.add(seen.power.map(|(watts, _)| watts.get()));
        self.chip.follow(seen.readings.chip.map(Celsius::get));
        let Some(chip) = seen.readings.chip.map(Celsius::get) else { return };
        let (since, was) = *self.anchor.get_or_insert((seen.at, chip));
        if seen.at.since(since) >= FOLLOWED {
            self.ending = Some(chip + (TO_COME * (chip - was)).clamp(-4.0, 4.0));
            self.anchor = Some((seen.at, chip));
        }
    }

    pub(super) fn samples(&self) -> u32 {
        self.chip.count
    }

    /// Share of hashes lost by the machine's own counters.
    pub(super) fn errors(&self) -> Option<f64> {
        self.errors.get()
    }

    /// Work proved since it settled.
    pub(super) fn work(&self) -> Option<Window> {
        let (from, to) = (self.mark?, self.last?);
        let time = to.time.checked_sub(from.time)?;
        (!time.is_zero()).then(|| Window {
            time,
            shares: to.shares.saturating_sub(from.shares),
            work: Work::from_hashes((to.work.hashes() - from.work.hashes()).max(0.0)),
            faulty: to.faulty.saturating_sub(from.faulty),
        })
    }

    /// The same, looked at for another reason.
    pub(super) fn with(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Begins to count anew, for the next test at the same setting.
    pub(super) fn begin(&mut self, at: Moment) {
        *self = Self { ending: self.ending, ..Self::new(self.role, at) };
    }

    /// The same, to repeat a test that said no.
    pub(super) fn again(&mut self, at: Moment) {
        self.begin(at);
        self.repeated = true;
    }

    /// As the belief takes it; `expected` power where nothing measures it.
    pub(super) fn seen(&self, point: Point, expected: f64, trusted: bool) -> Option<Seen> {
        let lost = self.errors().filter(|_| trusted);
        let watts = self.watts.get().unwrap_or(expected);
        Some(Seen { point, chip: self.chip.get()?, watts, lost })
    }

    /// As the journal takes it.
    pub(super) fn measured(&self) -> Measured {
        Measured {
            power: self.watts.get().and_then(|watts| Watts::new(watts).ok()),
            chip: self.chip.get().and_then(|chip| Celsius::new(chip).ok()),
            lost: self.errors().and_then(|lost| Ratio::new(lost).ok()),
            verified: self.work().map(|work| work.rate()).filter(|rate| *rate > Hashrate::ZERO),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    /// Adds a value so that the mean follows the latest dozen.
    fn follow(&mut self, value: Option<f64>) {
        let Some(value) = value else { return };
        let mean = self.get().map_or(value, |mean| mean + 0.2 * (value - mean));
        self.count += 1;
        self.sum = mean * f64::from(self.count);
    }

    fn get(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}
