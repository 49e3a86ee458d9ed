//! One load as the controller follows it: what it was told, when it arrives, and what it should draw at any
//! moment; and whether it does. It knows no other load and keeps no list: 32 bytes for each.

use super::ramps::{LONGEST, TICKS};
use crate::load::Times;
use std::time::Duration;

/// Time beyond its ramp before a load that does not draw what it should is looked at.
const GRACE: u32 = 5 * TICKS;
/// After this long a load that did not obey is told once more.
const AGAIN: u32 = 120 * TICKS;
/// Off by more than this part of its full power, and of ten watts, is another level.
pub(super) const TOLERANCE: f32 = 0.08;
/// What a load draws beyond its nominal power is learned in steps of at least this part of its full power.
const FINE: f32 = 0.005;
/// Looks in a row that must agree before a load is believed or doubted.
const LOOKS: i8 = 2;
/// From this part of its way on, a reading tells when a load will arrive.
const PROGRESS: f32 = 0.15;
/// One that takes more than so many times its ramp is not under way: it draws what it likes.
const PATIENCE: u32 = 2;

/// How fast and how often loads of one kind may move, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub up: u32,
    pub down: u32,
    pub min_on: u32,
    pub min_off: u32,
}

impl Kind {
    pub(super) fn new(times: &Times) -> Self {
        let ramp = |time| ticks_over(time).min(LONGEST);
        Self {
            up: ramp(times.ramp_up),
            down: ramp(times.ramp_down),
            min_on: ticks_over(times.min_on),
            min_off: ticks_over(times.min_off),
        }
    }
}

/// Whole ticks that this time takes at least.
pub(super) fn ticks_over(time: Duration) -> u32 {
    (time.as_secs_f64() * f64::from(TICKS)).ceil() as u32
}

/// A load under way; within one line of cache, never across two.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
pub(super) struct Unit {
    /// What it should draw once it has arrived, watts.
    pub target: f32,
    /// Watts a tick on its way there.
    pub slope: f32,
    /// Tick in which it was told.
    pub since: u32,
    /// Tick in which it arrives.
    pub end: u32,
    /// Tick before which it may not be started or stopped again; zero while it has not been.
    pub until: u32,
    /// Place of its kind in the list of kinds.
    pub kind: u32,
    /// Which corner it is told.
    pub told: u16,
    /// Looks in a row in its favour; negative: against it.
    pub looks: i8,
    pub fast: bool,
    /// It draws something other than it is told.
    pub defies: bool,
    /// Its own reading has shown that it obeys.
    pub proven: bool,
}

const _: () = assert!(size_of::<Unit>() == 32);

/// What a reading changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Learned {
    Nothing,
    /// Where it is going.
    Target(f32),
    /// When it will be there, and its slope until then.
    Arrival(u32, f32),
}

impl Unit {
    /// What it should draw at a tick: on a straight ramp from where it was told.
    pub(super) fn at(&self, tick: u32) -> f32 {
        self.target - self.slope * self.end.saturating_sub(tick) as f32
    }

    pub(super) fn obeys(&self) -> Option<bool> {
        if self.defies { Some(false) } else { self.proven.then_some(true) }
    }

    /// Tick in which it was last switched on or off; `None` while it has not been.
    pub(super) fn switched(&self, kind: &Kind) -> Option<u32> {
        let least = if self.told > 0 { kind.min_on } else { kind.min_off };
        (self.until > 0).then(|| self.until.saturating_sub(least))
    }

    /// Tick from which it may be told something, as far as it is up to itself. `bound`: it is not stopped
    /// before its time.
    pub(super) fn free(&self, up: bool, to: u16, bound: bool) -> u32 {
        let locked = (up && self.told == 0) || (!up && to == 0 && bound);
        let switched = if locked { self.until } else { 0 };
        let doubted = if self.defies { self.end.saturating_add(AGAIN) } else { 0 };
        switched.max(doubted)
    }

    /// Tells it another corner, in the tick that has begun, `from` which on whole ticks count: it goes on from
    /// where it is. `was` and `is` are the nominal watts of the corners.
    pub(super) fn go(&mut self, (now, from): (u32, u32), kind: Kind, to: u16, was: f32, is: f32) {
        let here = self.at(now);
        let back = self.since == now && self.switched(&kind) == Some(from);
        if !self.defies {
            // What it draws beyond its nominal power stays in proportion; at rest there is none.
            let beyond = if self.told > 0 && was > 0.0 { (self.target - was) / was } else { 0.0 };
            self.target = is * (1.0 + beyond.clamp(-TOLERANCE, TOLERANCE));
            self.looks = 0;
        }
        let ramp = if self.target >= here { kind.up } else { kind.down };
        (self.since, self.end) = (now, now.saturating_add(ramp));
        self.slope = if ramp == 0 { 0.0 } else { (self.target - here) / ramp as f32 };
        if (self.told == 0) != (to == 0) {
            let least = if to > 0 { kind.min_on } else { kind.min_off };
            // Back within one moment: it was free to be switched, and still is.
            self.until = if back { 0 } else { from.saturating_add(least).max(1) };
        }
        self.told = to;
    }

    /// Compares it with its own reading, made at a tick and of these watts.
    pub(super) fn look(
        &mut self,
        read: u32,
        measured: f32,
        (told, full): (f32, f32),
        kind: &Kind,
    ) -> Learned {
        if read < self.end {
            let ramp = if self.slope >= 0.0 { kind.up } else { kind.down };
            let latest = ramp.saturating_mul(PATIENCE).min(LONGEST);
            return self.progress(read, measured, full, latest);
        }
        if read < self.end.saturating_add(GRACE) {
            return Learned::Nothing;
        }
        let off = (measured - told).abs() > (full * TOLERANCE).max(10.0);
        self.looks = match off {
            true => (self.looks - 1).max(-LOOKS),
            false => (self.looks + 1).min(LOOKS),
        };
        match self.looks {
            LOOKS => (self.defies, self.proven) = (false, true),
            looks if looks == -LOOKS => self.defies = true,
            _ => return Learned::Nothing,
        }
        match (measured - self.target).abs() > full * FINE {
            true => Learned::Target(measured),
            false => Learned::Nothing,
        }
    }

    /// A load on its way: its reading says how fast it really is.
    fn progress(&self, read: u32, measured: f32, full: f32, latest: u32) -> Learned {
        let way = self.slope * (self.end - self.since) as f32;
        if self.defies || way.abs() < (full * TOLERANCE).max(1.0) {
            return Learned::Nothing;
        }
        let passed = read.saturating_sub(self.since) as f32;
        let done = (measured - (self.target - way)) / way;
        if passed <= 0.0 || done < PROGRESS {
            return Learned::Nothing;
        }
        let whole = (passed / done.min(1.0)).max(1.0);
        let whole = whole.min(latest as f32);
        let end = self.since + whole.round().max(1.0) as u32;
        // Within a tenth of the whole it is not worth a correction.
        if end.abs_diff(self.end) <= 1 + (self.end - self.since) / 10 {
            return Learned::Nothing;
        }
        Learned::Arrival(end, way / (end - self.since) as f32)
    }
}
