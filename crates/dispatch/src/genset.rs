//! Generator following: how much the machines together may draw so that an engine stays in its band,
//! is never loaded or unloaded faster than it bears, and outlives weak fuel. It knows no single
//! machine and no price.
//!
//! ```text
//!  Dead ──bus alive and steady──▶ Loading ──band reached──▶ Following ◀──fuel back── Shedding
//!   ▲                                 step by step              │ ──fuel or speed falls──▲
//!   └──── bus dead, from anywhere                               └─ readings lost ─▶ Blind: sheds too
//! ```
//!
//! What is guaranteed: within [`Following::AT_ONCE`] what the machines are told moves the engine's load
//! by no more than its step less a block. So the step holds while no more than one block switches by
//! itself in that time; more than that no controller can prevent, only smaller breakers.

use std::{collections::VecDeque, time::Duration};
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
    /// Engine or fuel cannot be read: off-grid that sheds, to the bottom of the band; below it, in a
    /// black start, the load stays where it is.
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
    /// It has reached its band since its bus came alive.
    loaded: bool,
    /// Readings between which the bus was within [`Following::RECOVERED`]: first and last.
    steady: Option<(Moment, Moment)>,
    /// Since when what was told has not been drawn.
    pending: Option<Moment>,
    /// Engine load between which it may move, W.
    granted: (f64, f64),
    /// Last step of shedding.
    shed: Option<Moment>,
    /// When the engine's load was last read.
    read_at: Option<Moment>,
    /// What else draws from it, last known, and its load, W.
    other: f64,
    load: f64,
    /// Between which its load was and will be, by what was drawn and told within
    /// [`Following::AT_ONCE`], W.
    recent: VecDeque<(Moment, f64, f64)>,
}

impl Following {
    /// Of an engine that nothing is known of yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Dead,
            loaded: false,
            steady: None,
            pending: None,
            granted: (0.0, 0.0),
            shed: None,
            read_at: None,
            other: 0.0,
            load: 0.0,
            recent: VecDeque::new(),
        }
    }

    /// Changes of load within this time count as one step: about what an engine takes to recover.
    pub const AT_ONCE: Duration = Duration::from_secs(5);
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
    /// No step is taken on a reading older than this: a dip would not be seen.
    const NEW: Duration = Duration::from_secs(2);
    /// What is told and not drawn counts from this part of rated on.
    const TOLERANCE: f64 = 0.01;

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Decides, once a second or so.
    pub fn step(&mut self, now: Moment, seen: &Seen) -> Bounds {
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
            self.other = generator.get() - seen.drawn.get();
        }
        self.watch(now, seen);
        let rated = self.limits.rated.get();
        let block = self.limits.block.get();
        let bottom = self.limits.lowest.get() * rated + block;
        let blind = generator.is_none() || speed.is_none() || fuel.is_none();
        let top = match fuel.filter(|_| !blind) {
            Some(fuel) => self.limits.highest.get() * rated * fuel.get() - seen.away.get(),
            None => bottom,
        };
        let bottom = bottom.min(top.max(0.0));
        let sags = speed.is_some_and(|speed| speed < Self::SAGS);
        let too_much = self.load > top + Self::TOLERANCE * rated || sags || blind;
        if self.phase != Phase::Dead && too_much {
            self.phase = if blind { Phase::Blind } else { Phase::Shedding };
            if self.shed.is_none_or(|last| now.since(last) >= Self::SHED) {
                self.shed = Some(now);
                self.shed(if sags { bottom } else { top }, bottom);
            }
        } else if !blind && self.may_step(now, seen) {
            self.shed = None;
            self.loaded |= self.load >= bottom;
            self.phase = if self.loaded { Phase::Following } else { Phase::Loading };
            let (lowest, highest) = self.span();
            let ceiling = (lowest + self.budget()).min(top);
            let floor =
                if self.load < bottom { bottom } else { bottom.max(highest - self.budget()) };
            self.granted = (floor.min(ceiling), ceiling);
        }
        self.bounds()
    }

    /// One step less, to no less than this; never more than before, whatever could be borne.
    fn shed(&mut self, least: f64, bottom: f64) {
        let (floor, ceiling) = self.granted;
        let (_, highest) = self.span();
        let ceiling = (highest - self.budget()).max(least).min(ceiling);
        self.granted = (floor.min(ceiling).min(bottom), ceiling);
    }

    /// What the machines may be told to change at once, W.
    fn budget(&self) -> f64 {
        let Limits { rated, step, block, .. } = self.limits;
        (step.get() * rated.get() - block.get()).max(0.0)
    }

    /// Lowest and highest load within [`Following::AT_ONCE`], drawn or told, W.
    fn span(&self) -> (f64, f64) {
        self.recent.iter().fold((f64::INFINITY, 0.0), |(lowest, highest), &(_, low, high)| {
            (low.min(lowest), high.max(highest))
        })
    }

    fn may_step(&self, now: Moment, seen: &Seen) -> bool {
        let new = |at: Moment| now.since(at) <= Self::NEW;
        let steady =
            self.steady.is_some_and(|(first, last)| new(last) && last.since(first) >= Self::STEADY);
        let followed = self.pending.is_none_or(|since| now.since(since) >= self.limits.patience);
        let read = seen.generator.is_some_and(|reading| new(reading.at))
            && seen.fuel.is_some_and(|reading| new(reading.at));
        steady && followed && read
    }

    fn watch(&mut self, now: Moment, seen: &Seen) {
        let told = self.other + seen.commanded.get();
        self.load = self.other + seen.drawn.get();
        self.recent.retain(|(at, ..)| now.since(*at) <= Self::AT_ONCE);
        self.recent.push_back((now, self.load.min(told), self.load.max(told)));
        self.steady = seen
            .frequency
            .filter(|frequency| {
                frequency.fresh(now, Self::STALE).is_some()
                    && (frequency.value.get() / self.limits.nominal.get() - 1.0).abs()
                        <= Self::RECOVERED
            })
            .map(|frequency| (self.steady.map_or(frequency.at, |(first, _)| first), frequency.at));
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
        let (lowest, highest) = self.span();
        let ceiling = self.granted.1.min(lowest + self.budget());
        let floor = self.granted.0.max(highest - self.budget()).min(ceiling);
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

    #[test]
    fn a_reading_lost_in_a_black_start_holds_the_load_until_it_is_back() {
        for lost in 0..3 {
            let mut following = Following::new(limits());
            let mut load = run(&mut following, 0..14, 0.0, 1.0);
            let before = load;
            assert!(before > 0.0 && before < 165e3, "{before}");
            for second in 14..100 {
                let now = Moment::from_secs(second);
                let mut seen = seen(now, load, 60.0, 1.0);
                // The last reading is from second 13; the meters are not heard any more.
                let old = Moment::from_secs(13);
                match lost {
                    0 => seen.generator = Some(Reading::new(watts(before), old)),
                    1 => seen.frequency = Some(Reading::new(Hertz::new(60.0).unwrap(), old)),
                    _ => seen.fuel = Some(Reading::new(Ratio::new(1.0).unwrap(), old)),
                }
                load = following.step(now, &seen).ceiling.get();
                assert!(second < 16 || load == before, "{lost}, {second}: {load}");
            }
            assert_eq!(following.phase(), Phase::Blind);
            // The bus must be seen steady anew.
            load = run(&mut following, 100..106, load, 1.0);
            assert_eq!(following.phase(), Phase::Loading, "{lost}: {load}");
            assert_eq!(run(&mut following, 106..300, load, 1.0), 475e3);
        }
    }

    #[test]
    fn what_dropped_out_counts_in_the_next_step() {
        let mut following = Following::new(limits());
        run(&mut following, 0..200, 0.0, 1.0);
        // A breaker takes 10 kW out in the second before the fuel weakens.
        run(&mut following, 200..201, 465e3, 1.0);
        let now = Moment::from_secs(201);
        let shed = following.step(now, &seen(now, 465e3, 60.0, 0.6)).ceiling.get();
        assert_eq!(shed, 475e3 - 35e3);
    }

    #[test]
    fn a_wish_that_jumps_from_bound_to_bound_moves_the_load_by_one_step_within_five_seconds() {
        let mut following = Following::new(limits());
        let mut load = run(&mut following, 0..60, 0.0, 1.0);
        let mut loads = vec![load];
        for second in 60..200 {
            let now = Moment::from_secs(second);
            let bounds = following.step(now, &seen(now, load, 60.0, 1.0));
            load = if second / 3 % 2 == 0 { bounds.floor.get() } else { bounds.ceiling.get() };
            loads.push(load);
        }
        let most = |loads: &[f64]| {
            let (low, high) = loads
                .iter()
                .fold((1e9_f64, 0.0_f64), |(low, high), &load| (low.min(load), high.max(load)));
            high - low
        };
        let largest = loads.windows(6).map(most).fold(0.0, f64::max);
        assert!(largest <= 35e3 + 1e-6 && largest > 34e3, "{largest}");
    }
}
