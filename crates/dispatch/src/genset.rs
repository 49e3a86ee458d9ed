//! Generator following: how much the machines together may draw so that an engine stays in its band,
//! is never loaded or unloaded faster than it bears, and outlives weak fuel. It knows no single
//! machine and no price.
//!
//! ```text
//!  Dead ──bus alive and steady──▶ Loading ──band reached──▶ Following ◀──fuel back── Shedding
//!   ▲                                 step by step              │ ──fuel or speed falls──▲
//!   └──── bus dead, from anywhere                               └─ readings lost ─▶ Blind: sheds too
//! ```

use std::time::Duration;
use units::{Hertz, Moment, Ratio, Reading, Watts};

/// What an engine bears.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What it is built for.
    pub rated: Watts,
    /// 50 or 60.
    pub nominal: Hertz,
    /// Lowest load for long, of rated.
    pub lowest: Ratio,
    /// Highest load, of rated.
    pub highest: Ratio,
    /// Largest change of load at once, of rated; up to 10 % without the maker's word.
    pub step: Ratio,
    /// The most that may switch by itself at once: the machines of one breaker, or more. It is kept
    /// free below the top, above the bottom and in every step.
    pub block: Watts,
    /// Machines follow within this time or are not counted on.
    pub patience: Duration,
}

/// What is seen of the engine and the machines. Loads that do not answer count with what they draw in
/// `commanded` too.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Power out of the generator.
    pub generator: Option<Reading<Watts>>,
    /// Of its bus; zero for a dead bus.
    pub frequency: Option<Reading<Hertz>>,
    /// Fuel pressure as a part of what it should be.
    pub fuel: Option<Reading<Ratio>>,
    /// What the machines draw together.
    pub drawn: Watts,
    /// What they were told to draw.
    pub commanded: Watts,
    /// What machines that do not answer may add when they come back by themselves.
    pub away: Watts,
}

/// What the engine is used for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No bus, or it is not steady yet: nothing may draw.
    Dead,
    /// From nothing to the band, step by step (black start).
    Loading,
    /// In the band.
    Following,
    /// More is drawn than the fuel carries, or frequency sags.
    Shedding,
    /// Engine or fuel cannot be read: off-grid that sheds, to the bottom of the band.
    Blind,
}

/// Between what the machines together must draw and may draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// At least.
    pub floor: Watts,
    /// At most; never below `floor`.
    pub ceiling: Watts,
    /// Why.
    pub phase: Phase,
}

/// Follows one engine.
#[derive(Debug, Clone)]
pub struct Following {
    limits: Limits,
    phase: Phase,
    /// Since when the bus is within [`Following::RECOVERED`].
    steady: Option<Moment>,
    /// Since when what was told has not been drawn.
    pending: Option<Moment>,
    /// Engine load between which it may move, W.
    granted: (f64, f64),
    /// Last step of shedding.
    shed: Option<Moment>,
    /// When the engine's load was last read.
    read_at: Option<Moment>,
    /// Last known load of the engine, and of what else draws from it, W.
    load: f64,
    other: f64,
}

impl Following {
    /// Of an engine that nothing is known of yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Dead,
            steady: None,
            pending: None,
            granted: (0.0, 0.0),
            shed: None,
            read_at: None,
            load: 0.0,
            other: 0.0,
        }
    }

    /// A step may follow when frequency has been this near nominal...
    const RECOVERED: f64 = 0.005;
    /// ... for this long.
    const STEADY: Duration = Duration::from_secs(5);
    /// Below this part of nominal it sheds, whatever the fuel is said to be.
    const SAGS: f64 = 0.97;
    /// Below this part of nominal a bus is dead.
    const DEAD: f64 = 0.85;
    /// Between two steps of shedding.
    const SHED: Duration = Duration::from_secs(10);
    /// A reading older than this is none.
    const STALE: Duration = Duration::from_secs(5);
    /// What is told and not drawn counts from this part of rated on.
    const TOLERANCE: f64 = 0.01;

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Decides, once a second or so.
    pub fn step(&mut self, now: Moment, seen: &Seen) -> Bounds {
        let rated = self.limits.rated.get();
        let generator = seen.generator.and_then(|r| r.fresh(now, Self::STALE).copied());
        let frequency = seen.frequency.and_then(|r| r.fresh(now, Self::STALE).copied());
        let fuel = seen.fuel.and_then(|r| r.fresh(now, Self::STALE).copied());
        let speed = frequency.map(|f| f.get() / self.limits.nominal.get());
        if speed.is_some_and(|speed| speed < Self::DEAD) {
            *self = Self::new(self.limits);
            return self.bounds();
        }
        // Only a new reading: an old one beside what the machines draw now would take their own change
        // for that of other loads, and let them draw it once more.
        let read_at = seen.generator.map(|reading| reading.at);
        if let Some(generator) = generator.filter(|_| read_at != self.read_at) {
            self.read_at = read_at;
            (self.load, self.other) = (generator.get(), generator.get() - seen.drawn.get());
        }
        let block = self.limits.block.get();
        let budget = (self.limits.step.get() * rated - block).max(0.0);
        let bottom = self.limits.lowest.get() * rated + block;
        let top = match (generator, speed, fuel) {
            (Some(_), Some(_), Some(fuel)) => {
                self.limits.highest.get() * rated * fuel.get() - seen.away.get()
            }
            _ => bottom,
        };
        let blind = generator.is_none() || speed.is_none() || fuel.is_none();
        let bottom = bottom.min(top.max(0.0));

        self.watch(now, speed, seen);
        let steady = self.steady.is_some_and(|since| now.since(since) >= Self::STEADY);
        let sags = speed.is_some_and(|speed| speed < Self::SAGS);
        let too_much = self.load > top + Self::TOLERANCE * rated || sags || blind;
        if self.phase == Phase::Dead && !steady {
            return self.bounds();
        }
        if self.phase != Phase::Dead && too_much {
            self.phase = if blind { Phase::Blind } else { Phase::Shedding };
            if self.shed.is_none_or(|last| now.since(last) >= Self::SHED) {
                self.shed = Some(now);
                // Without a reading the last ceiling is the best guess of the load.
                let from = if generator.is_some() { self.load } else { self.granted.1 };
                let least = if sags { bottom.min(from) } else { top };
                let ceiling = (from - budget).max(least);
                self.granted = (self.granted.0.min(ceiling).min(bottom), ceiling);
            }
        } else if steady && self.may_step(now) && !blind {
            let ceiling = (self.load + budget).min(top);
            let floor = if self.load < bottom { bottom } else { bottom.max(self.load - budget) };
            self.granted = (floor.min(ceiling), ceiling);
            self.shed = None;
            self.phase = match self.phase {
                Phase::Dead | Phase::Loading if self.load < bottom => Phase::Loading,
                _ => Phase::Following,
            };
        }
        self.bounds()
    }

    fn may_step(&self, now: Moment) -> bool {
        self.pending.is_none_or(|since| now.since(since) >= self.limits.patience)
    }

    fn watch(&mut self, now: Moment, speed: Option<f64>, seen: &Seen) {
        let near = speed.is_some_and(|speed| (speed - 1.0).abs() <= Self::RECOVERED);
        self.steady = if near { self.steady.or(Some(now)) } else { None };
        let open = (seen.commanded.get() - seen.drawn.get()).abs();
        let pending = open > Self::TOLERANCE * self.limits.rated.get();
        self.pending = match self.pending {
            // After its patience it counts anew from the next step on.
            Some(since) if pending && now.since(since) <= self.limits.patience => Some(since),
            _ => pending.then_some(now),
        };
    }

    fn bounds(&self) -> Bounds {
        let machines = |load: f64| Watts::new((load - self.other).max(0.0)).unwrap_or(Watts::ZERO);
        let (floor, ceiling) = self.granted;
        Bounds { floor: machines(floor), ceiling: machines(ceiling), phase: self.phase }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let part = |value| Ratio::new(value).unwrap();
        Limits {
            rated: watts(500e3),
            nominal: Hertz::new(60.0).unwrap(),
            lowest: part(0.3),
            highest: part(0.95),
            step: part(0.1),
            block: watts(15e3),
            patience: Duration::from_secs(60),
        }
    }

    fn watts(value: f64) -> Watts {
        Watts::new(value).unwrap()
    }

    /// A second in which the machines draw what they were told.
    fn seen(now: Moment, load: f64, hertz: f64, fuel: f64) -> Seen {
        Seen {
            generator: Some(Reading::new(watts(load), now)),
            frequency: Some(Reading::new(Hertz::new(hertz).unwrap(), now)),
            fuel: Some(Reading::new(Ratio::new(fuel).unwrap(), now)),
            drawn: watts(load),
            commanded: watts(load),
            away: Watts::ZERO,
        }
    }

    /// Machines that draw at once what is allowed at most, from this load on.
    fn run(
        following: &mut Following,
        seconds: std::ops::Range<u64>,
        mut load: f64,
        fuel: f64,
    ) -> f64 {
        for second in seconds {
            let now = Moment::from_secs(second);
            load = following.step(now, &seen(now, load, 60.0, fuel)).ceiling.get();
        }
        load
    }

    #[test]
    fn a_black_start_takes_up_load_in_steps_and_waits_for_frequency_each_time() {
        let mut following = Following::new(limits());
        let at = Moment::from_secs;
        // A dead bus, then one that is not steady yet.
        for second in 0..10 {
            let hertz = if second < 5 { 0.0 } else { 58.0 };
            let bounds = following.step(at(second), &seen(at(second), 0.0, hertz, 1.0));
            assert_eq!((bounds.ceiling, bounds.phase), (Watts::ZERO, Phase::Dead));
        }
        let mut bounds = following.step(at(10), &seen(at(10), 0.0, 60.0, 1.0));
        assert_eq!(bounds.ceiling, Watts::ZERO);
        for second in 11..=15 {
            bounds = following.step(at(second), &seen(at(second), 0.0, 60.0, 1.0));
        }
        // A tenth of 500 kW less a block of 15 kW.
        assert_eq!((bounds.ceiling.get(), bounds.phase), (35e3, Phase::Loading));
        // Frequency dips with the step: no more until it is back for five seconds.
        for (second, hertz, ceiling) in
            [(16, 59.0, 35e3), (17, 59.8, 35e3), (21, 59.9, 35e3), (22, 59.9, 70e3)]
        {
            bounds = following.step(at(second), &seen(at(second), 35e3, hertz, 1.0));
            assert_eq!(bounds.ceiling.get(), ceiling, "{second}");
        }
        let load = run(&mut following, 23..200, 70e3, 1.0);
        assert_eq!((load, following.phase()), (475e3, Phase::Following));
    }

    #[test]
    fn what_may_come_back_by_itself_is_kept_free() {
        let mut following = Following::new(limits());
        run(&mut following, 0..200, 0.0, 1.0);
        let now = Moment::from_secs(200);
        let away = Seen { away: watts(60e3), ..seen(now, 410e3, 60.0, 1.0) };
        assert_eq!(following.step(now, &away).ceiling.get(), 475e3 - 60e3);
    }

    #[test]
    fn machines_that_do_not_follow_are_waited_for_and_then_not_counted_on() {
        let mut following = Following::new(limits());
        run(&mut following, 0..30, 0.0, 1.0);
        let mut ceilings = Vec::new();
        for second in 30..=95 {
            let now = Moment::from_secs(second);
            let told = Seen { commanded: watts(135e3), ..seen(now, 100e3, 60.0, 1.0) };
            ceilings.push(following.step(now, &told).ceiling.get());
        }
        // Never more than a step above what is really drawn.
        assert!(ceilings[61..].iter().all(|&ceiling| ceiling == 135e3), "{ceilings:?}");
    }

    #[test]
    fn weak_fuel_sheds_in_steps_to_what_it_carries() {
        let mut following = Following::new(limits());
        run(&mut following, 0..200, 0.0, 1.0);
        let after = |following: &mut Following, from, to, load| run(following, from..to, load, 0.6);
        let first = after(&mut following, 200, 201, 475e3);
        assert_eq!((first, following.phase()), (440e3, Phase::Shedding));
        let end = after(&mut following, 201, 300, first);
        assert_eq!(end, 475e3 * 0.6);
        assert_eq!(run(&mut following, 300..500, end, 1.0), 475e3);
    }

    #[test]
    fn lost_readings_shed_to_the_bottom_of_the_band_and_never_below() {
        for lost in 0..3 {
            let mut following = Following::new(limits());
            let mut load = run(&mut following, 0..200, 0.0, 1.0);
            for second in 200..500 {
                let now = Moment::from_secs(second);
                let mut seen = seen(now, load, 60.0, 1.0);
                match lost {
                    0 => seen.generator = None,
                    1 => seen.frequency = None,
                    _ => seen.fuel = None,
                }
                load = following.step(now, &seen).ceiling.get();
            }
            assert_eq!((load, following.phase()), (165e3, Phase::Blind), "{lost}");
        }
    }
}
