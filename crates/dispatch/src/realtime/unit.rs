//! One load as the controller follows it: what it was told, when, and what it should draw at any moment
//! if it obeys; and whether it does. It knows no other load.

use super::{FAST, Segment};
use crate::load::{Load, LoadState};
use std::time::Duration;
use units::Moment;

/// Time beyond its ramp before a load that does not draw what it should is looked at.
const GRACE: Duration = Duration::from_secs(5);
/// A load's own reading older than this says nothing.
const FRESH: Duration = Duration::from_secs(15);
/// What a load draws is taken from its reading for so long.
const BELIEVED: Duration = Duration::from_secs(30);
/// Off by more than this part of its full power, and of ten watts, is another level.
const TOLERANCE: f64 = 0.08;
/// Looks in a row that must agree before a load is believed or doubted.
const LOOKS: i8 = 2;
/// After this long a load that did not obey is told once more.
const AGAIN: Duration = Duration::from_secs(120);

/// A load under way.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    corners: Box<[Corner]>,
    /// Which corner it is told.
    told: u16,
    /// What it drew when it was told.
    from: f32,
    since: Moment,
    on_off: Moment,
    min_on: Duration,
    min_off: Duration,
    ramp_up: Duration,
    ramp_down: Duration,
    /// What it draws instead of what it is told.
    defies: Option<f32>,
    looks: i8,
    settled: bool,
    proven: bool,
}

#[derive(Debug, Clone, Copy)]
struct Corner {
    level: u16,
    watts: f32,
}

impl Unit {
    pub(super) fn new(load: &Load, old: Option<&Self>, now: Moment, level: usize) -> Self {
        let corner =
            |level: usize| Corner { level: level as u16, watts: load.power_at(level).get() as f32 };
        let corners: Box<[Corner]> = load.corners().into_iter().map(corner).collect();
        let level = old.map_or(level, Self::level);
        let told = corners.iter().rposition(|corner| usize::from(corner.level) <= level);
        let told = told.unwrap_or(0) as u16;
        let long_ago = Moment::default();
        let at = corners.get(usize::from(told)).map_or(0.0, |corner| corner.watts);
        Self {
            told,
            from: old.map_or(at, |old| old.at(now) as f32),
            since: old.map_or(long_ago, |old| old.since),
            on_off: old.map_or(long_ago, |old| old.on_off),
            min_on: load.times.min_on,
            min_off: load.times.min_off,
            ramp_up: load.times.ramp_up,
            ramp_down: load.times.ramp_down,
            defies: old.and_then(|old| old.defies),
            looks: 0,
            settled: false,
            proven: old.is_some_and(|old| old.proven),
            corners,
        }
    }

    pub(super) fn is_fast(&self) -> bool {
        self.ramp_up <= FAST && self.ramp_down <= FAST
    }

    pub(super) fn level(&self) -> usize {
        self.corner(self.told).level.into()
    }

    pub(super) fn since(&self) -> Moment {
        self.since
    }

    /// When it was last switched on or off; `None` while it has not been.
    pub(super) fn switched(&self) -> Option<Moment> {
        (self.on_off != Moment::default()).then_some(self.on_off)
    }

    pub(super) fn idle(&self) -> f64 {
        self.corner(0).watts.into()
    }

    pub(super) fn full(&self) -> f64 {
        self.corners.last().map_or(0.0, |corner| corner.watts.into())
    }

    /// What it should draw once it has arrived.
    pub(super) fn target(&self) -> f64 {
        self.defies.unwrap_or_else(|| self.corner(self.told).watts).into()
    }

    /// What it should draw at a moment: on a straight ramp from where it was told.
    pub(super) fn at(&self, moment: Moment) -> f64 {
        let target = self.target();
        if self.settled {
            return target;
        }
        let from = f64::from(self.from);
        let ramp = if target >= from { self.ramp_up } else { self.ramp_down };
        let passed = moment.since(self.since).as_secs_f64();
        let part = passed / ramp.as_secs_f64().max(1e-3);
        from + (target - from) * part.clamp(0.0, 1.0)
    }

    /// By its own reading where that was made after it arrived, else as it should.
    pub(super) fn draws(&self, now: Moment, state: &LoadState) -> f64 {
        let arrived = self.since.after(self.ramp());
        let measured =
            state.measured.filter(|told| told.at >= arrived && told.age(now) <= BELIEVED);
        measured.map_or_else(|| self.at(now), |told| told.value.get())
    }

    /// Notes that it has arrived; false while it is on its way.
    pub(super) fn settle(&mut self, now: Moment) -> bool {
        self.settled |= now.since(self.since) >= self.ramp();
        self.settled
    }

    pub(super) fn moved_now(&self, now: Moment) -> bool {
        self.since == now && !self.settled
    }

    pub(super) fn obeys(&self) -> Option<bool> {
        if self.defies.is_some() { Some(false) } else { self.proven.then_some(true) }
    }

    /// Goes from one corner to the next if it can now.
    pub(super) fn go(&mut self, now: Moment, state: &LoadState, from: u16, to: u16) -> bool {
        if self.told != from || !state.answers || (to > from && !state.enabled) {
            return false;
        }
        if self.defies.is_some() && now.since(self.since) < AGAIN {
            return false;
        }
        let held = now.since(self.on_off);
        let (starts, stops) = (from == 0, to == 0);
        if (starts && held < self.min_off && self.on_off != Moment::default())
            || (stops && held < self.min_on && self.on_off != Moment::default())
        {
            return false;
        }
        if !self.moved_now(now) {
            self.from = self.at(now) as f32;
        }
        (self.told, self.since, self.settled) = (to, now, false);
        (self.defies, self.looks) = (None, 0);
        if starts || stops {
            self.on_off = now;
        }
        true
    }

    /// Compares it with its own reading; gives by how much what it should draw changed.
    pub(super) fn look(&mut self, now: Moment, state: &LoadState) -> f64 {
        let ready = self.since.after(self.ramp()).after(GRACE);
        let told = f64::from(self.corner(self.told).watts);
        let measured = state
            .measured
            .filter(|reading| reading.age(now) <= FRESH && reading.at >= ready && self.settled);
        let Some(measured) = measured.map(|reading| reading.value.get()) else { return 0.0 };
        let off = (measured - told).abs() > (self.full() * TOLERANCE).max(10.0);
        self.looks = match off {
            true => (self.looks - 1).max(-LOOKS),
            false => (self.looks + 1).min(LOOKS),
        };
        let before = self.target();
        match self.looks {
            LOOKS => (self.defies, self.proven) = (None, true),
            looks if looks == -LOOKS => self.defies = Some(measured as f32),
            _ => return 0.0,
        }
        self.target() - before
    }

    /// Steps from corner to corner with what each earns, dollars per kilowatt-hour.
    pub(super) fn segments(
        &self,
        at: u32,
        load: &Load,
    ) -> impl Iterator<Item = (Segment, f64, bool)> + '_ {
        let value = |corner: &Corner| {
            load.levels.get(usize::from(corner.level)).map_or(0.0, |level| level.value.get())
        };
        let values: Vec<f64> = self.corners.iter().map(value).collect();
        (1..self.corners.len()).map(move |corner| {
            let (low, high) = (self.corners[corner - 1], self.corners[corner]);
            let watts = (high.watts - low.watts).max(1e-3);
            let merit = (values[corner] - values[corner - 1]) / (f64::from(watts) / 1e3);
            let segment = Segment { unit: at, corner: corner as u16, watts };
            (segment, merit, usize::from(self.told) >= corner)
        })
    }

    fn ramp(&self) -> Duration {
        if self.target() >= f64::from(self.from) { self.ramp_up } else { self.ramp_down }
    }

    fn corner(&self, at: u16) -> Corner {
        let none = Corner { level: 0, watts: 0.0 };
        self.corners.get(usize::from(at)).or(self.corners.last()).copied().unwrap_or(none)
    }
}
