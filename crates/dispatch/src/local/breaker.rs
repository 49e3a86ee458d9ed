//! The breaker of a circuit: its loads draw no more than everything else on it leaves. Where its rating is
//! told, what is drawn already may stay for a while above what may flow for long, as far as the breaker's
//! heat allows; nothing is added meanwhile.

use super::thermal::{Curve, Thermal};
use crate::ask::{Ask, Mode};
use std::time::Duration;
use units::{Moment, Ratio, Reading, Watts};

/// A reading older than this is lost.
const FRESH: Duration = Duration::from_secs(10);
/// Decisions are made so often.
const STEP: Duration = Duration::from_secs(1);
/// No longer than this in a row above what may flow for long. NEC calls continuous what lasts three hours.
const LONGEST: Duration = Duration::from_secs(900);

/// So much of its limit a circuit carries before that is counted as time above it.
const NOISE: f64 = 1.005;

/// A breaker's rating.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rating {
    /// Rated current, as power.
    pub rated: Watts,
    /// Part of it that may flow for long: 80 % in North America (NEC 210.20), unless marked for 100 %.
    pub continuous: Ratio,
    /// When it trips.
    pub curve: Curve,
    /// In which loads draw less once they are told.
    pub delay: Duration,
}

/// The limit of one circuit.
#[derive(Debug, Clone)]
pub struct Breaker {
    /// For long.
    limit: Watts,
    /// The most that anything but the loads has drawn so far.
    others: Option<Watts>,
    short: Option<Short>,
}

/// What may flow for a while.
#[derive(Debug, Clone)]
struct Short {
    rating: Rating,
    thermal: Thermal,
    /// What others drew last, in parts of the rated current, and by how much that rose a second, three
    /// times.
    last: Option<(Moment, f64)>,
    rises: [f64; 3],
    /// What the loads may keep drawing while the circuit is above its limit, and since when it is.
    keeps: Option<(Watts, Moment)>,
    /// So long it was above its limit; as long within it takes that back.
    above: Duration,
    /// It was so for too long: not again before all of that was taken back.
    spent: bool,
}

impl Breaker {
    /// What may flow continuously: 80 % of the rating in North America (NEC 210.20).
    pub fn new(limit: Watts) -> Self {
        Self { limit, others: None, short: None }
    }

    /// A breaker whose rating is known. The other limit of the circuit, if there is one, stands.
    pub fn rated(rating: Rating, limit: Option<Watts>) -> Self {
        let own = rating.rated.part(rating.continuous);
        let short = Short {
            rating,
            thermal: Thermal::new(rating.curve),
            last: None,
            rises: [0.0; 3],
            keeps: None,
            above: Duration::ZERO,
            spent: false,
        };
        let limit = limit.map_or(own, |limit| limit.min(own));
        Self { limit, others: None, short: Some(short) }
    }

    /// What the loads may draw, from what the circuit and its loads draw now. Without a fresh reading the
    /// others count with the most that they ever drew; before the first one nothing may run.
    pub fn step(&mut self, now: Moment, circuit: Option<Reading<Watts>>, loads: Watts) -> Ask {
        let fresh = circuit.as_ref().and_then(|reading| reading.fresh(now, FRESH));
        let others = fresh.map(|drawn| drawn.saturating_sub(loads));
        if let Some(others) = others {
            self.others = Some(self.others.map_or(others, |most| most.max(others)));
        }
        let Some(others) = others.or(self.others) else {
            return Ask::at_most(Mode::Safety, Watts::ZERO, "the circuit has not been metered yet");
        };
        let long = self.limit.saturating_sub(others);
        if let Some(short) = &mut self.short {
            let age = circuit.map_or(Duration::ZERO, |reading| reading.age(now));
            // Whoever is blind assumes the worst.
            let total = fresh.copied().unwrap_or(loads + others);
            let kept = short.keep(now, age, (self.limit, total), loads, others);
            if let Some(kept) = kept.filter(|kept| *kept > long && fresh.is_some()) {
                let part = short.thermal.part();
                let why = format!(
                    "the circuit is above {} for a while, at {part} of its heat",
                    self.limit
                );
                return Ask::at_most(Mode::Safety, kept, why);
            }
        }
        let why = format!("the circuit carries {} and {others} of that is others'", self.limit);
        Ask::at_most(Mode::Safety, long, why)
    }
}

impl Short {
    /// What the loads may keep while the circuit is above its limit; `None` within it, and when it has
    /// been above for too long.
    fn keep(
        &mut self,
        now: Moment,
        age: Duration,
        (limit, total): (Watts, Watts),
        loads: Watts,
        others: Watts,
    ) -> Option<Watts> {
        let rated = self.rating.rated.get().max(1.0);
        let (current, delay) = (total.get() / rated, self.rating.delay + age);
        let alone = others.get() / rated;
        let (last, before) = self.last.replace((now, alone)).unwrap_or((now, alone));
        let time = now.since(last);
        self.thermal.carry(current, time);
        self.rises.rotate_left(1);
        self.rises[2] = (alone - before) / time.as_secs_f64().max(0.1);
        // What rises three times in a row rises on; an inrush rises once.
        let rise = self.rises.iter().copied().fold(f64::INFINITY, f64::min).max(0.0);
        // A meter's noise is no overload.
        self.above = match total.get() > NOISE * limit.get() {
            true => (self.above + time).min(LONGEST),
            false => self.above.saturating_sub(time),
        };
        self.spent = self.above >= LONGEST || (self.spent && !self.above.is_zero());
        if total <= limit || self.spent {
            self.keeps = None;
            return None;
        }
        let long = loads.max(limit.saturating_sub(others));
        let (mut keeps, since) = self.keeps.unwrap_or((long, now));
        if now.since(since) <= self.rating.delay {
            // They may be on their way to what they were told before.
            keeps = keeps.max(loads);
        }
        if !self.thermal.may_wait((current, rise), STEP + delay) {
            // And until the next word arrives after this one.
            let more = rise * (delay + 2 * STEP).as_secs_f64();
            let most = self.thermal.then((current, rise), delay) - more;
            let most = Watts::new((most * rated).max(0.0)).unwrap_or(limit);
            keeps = keeps.min(most.saturating_sub(others));
        }
        self.keeps = Some((keeps, since));
        Some(keeps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn w(watts: f64) -> Watts {
        Watts::new(watts).unwrap()
    }

    #[test]
    fn loads_get_what_the_others_leave_and_the_worst_is_assumed_when_blind() {
        let mut breaker = Breaker::new(w(5000.0));
        let mut step = |second, drawn: Option<f64>| {
            let now = Moment::from_secs(second);
            let circuit = drawn.map(|drawn| Reading::new(w(drawn), now));
            breaker.step(now, circuit, w(1000.0)).ceiling.unwrap().get()
        };
        let cases = [(1, None, 0.0), (2, Some(4000.0), 2000.0), (3, Some(2000.0), 4000.0)];
        for (second, drawn, ceiling) in cases {
            assert_eq!(step(second, drawn), ceiling, "{second}");
        }
        assert_eq!(step(20, None), 2000.0);
    }

    /// 10 kW rated, 80 % of it for long.
    fn rated() -> Breaker {
        let rating = Rating {
            rated: w(10_000.0),
            continuous: Ratio::new(0.8).unwrap(),
            curve: Curve::default(),
            delay: Duration::from_secs(10),
        };
        Breaker::rated(rating, None)
    }

    /// What the loads may draw, which draw 5 kW beside these others for so many seconds.
    fn after(breaker: &mut Breaker, from: u64, seconds: u64, others: f64) -> f64 {
        let mut ceiling = 0.0;
        for second in from..from + seconds {
            let now = Moment::from_secs(second);
            let circuit = Some(Reading::new(w(5_000.0 + others), now));
            ceiling = breaker.step(now, circuit, w(5_000.0)).ceiling.unwrap().get();
        }
        ceiling
    }

    #[test]
    fn a_short_inrush_sheds_nothing_and_one_that_stays_sheds_to_what_the_breaker_holds() {
        let mut breaker = rated();
        assert_eq!(after(&mut breaker, 0, 600, 3_000.0), 5_000.0);
        // 1.6 times the rated current for three seconds, as a compressor that starts.
        for second in 600..603 {
            assert_eq!(after(&mut breaker, second, 1, 11_000.0), 5_000.0, "{second}");
        }
        assert_eq!(after(&mut breaker, 603, 300, 3_000.0), 5_000.0);
        // It does not start: told to go down while there is time left.
        let told = (0..30).find(|second| after(&mut breaker, 903 + second, 1, 10_000.0) < 5_000.0);
        assert!((3..20).contains(&told.unwrap()), "{told:?}");
        assert!((after(&mut breaker, 940, 60, 10_000.0) - 1_300.0).abs() < 1e-6);
        // Twice the rated current for as long as machines take is too much: they are told at once.
        assert_eq!(after(&mut breaker, 1000, 600, 3_000.0), 5_000.0);
        assert!(after(&mut breaker, 1600, 1, 15_000.0) < 5_000.0);
    }

    #[test]
    fn what_runs_may_stay_above_the_limit_for_a_quarter_of_an_hour_and_nothing_is_added() {
        let mut breaker = rated();
        assert_eq!(after(&mut breaker, 0, 600, 1_000.0), 7_000.0);
        // 11 kW: above the rated current, below what it holds.
        assert_eq!(after(&mut breaker, 600, 899, 6_000.0), 5_000.0);
        assert_eq!(after(&mut breaker, 1500, 10, 6_000.0), 2_000.0, "then as much as for long");
        assert_eq!(after(&mut breaker, 1510, 60, 2_900.0), 5_100.0);
        assert_eq!(after(&mut breaker, 1570, 10, 6_000.0), 2_000.0, "no rest, no more of it");
        after(&mut breaker, 1580, 1000, 2_900.0);
        assert_eq!(after(&mut breaker, 2580, 10, 6_000.0), 5_000.0);
    }

    #[test]
    fn a_lost_meter_leaves_what_may_flow_for_long() {
        let mut breaker = rated();
        after(&mut breaker, 0, 600, 6_000.0);
        let blind = breaker.step(Moment::from_secs(620), None, w(5_000.0));
        assert_eq!(blind.ceiling, Some(w(2_000.0)));
    }
}
