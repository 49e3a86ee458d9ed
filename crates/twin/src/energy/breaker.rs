//! A thermal-magnetic circuit breaker: a bimetal that bends with the heat of what flows, and a coil that
//! opens at once at many times the rated current. It knows no load.

use std::time::Duration;
use units::Watts;

/// A breaker's constants.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSpec {
    /// Rated current, as power.
    pub rated: Watts,
    /// Parts of the rated current that it carries for ever; just above it trips after hours.
    pub holds: f64,
    /// The bimetal's time constant.
    pub time_constant: Duration,
    /// Parts of the rated current at which the coil opens.
    pub instant: f64,
}

impl BreakerSpec {
    /// Characteristic B in the middle of what IEC 60898-1 allows: 1.13 times the rated current for an hour
    /// without tripping, 1.45 times within an hour, 2.55 times within 1 to 60 s, 3 to 5 times at once.
    pub fn b(rated: Watts) -> Self {
        Self { rated, holds: 1.28, time_constant: Duration::from_secs(90), instant: 4.0 }
    }
}

/// A breaker.
#[derive(Debug, Clone)]
pub struct Breaker {
    spec: BreakerSpec,
    /// Temperature above its surroundings, 1 as at the rated current for ever.
    heat: f64,
    tripped: bool,
}

impl Breaker {
    /// Closed and cold.
    pub fn new(spec: BreakerSpec) -> Self {
        Self { spec, heat: 0.0, tripped: false }
    }

    /// Whether it has opened.
    pub fn tripped(&self) -> bool {
        self.tripped
    }

    /// Passes time with this power through it, or none once it is open; what it let through.
    pub fn step(&mut self, dt: Duration, power: Watts) -> Watts {
        let spec = &self.spec;
        let current = if self.tripped { 0.0 } else { power.get() / spec.rated.get() };
        let toward = current * current - self.heat;
        let part = -(-dt.as_secs_f64() / spec.time_constant.as_secs_f64()).exp_m1();
        self.heat += toward * part;
        self.tripped |= current >= spec.instant || self.heat >= spec.holds * spec.holds;
        if self.tripped { Watts::ZERO } else { power }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Duration = Duration::from_millis(100);

    /// Seconds until it trips from cold, at most three hours.
    fn trips(spec: BreakerSpec, current: f64) -> Option<f64> {
        let mut breaker = Breaker::new(spec);
        let power = Watts::new(current * spec.rated.get()).unwrap();
        (1..108_000).find_map(|tenth| {
            breaker.step(TENTH, power);
            breaker.tripped().then_some(f64::from(tenth) / 10.0)
        })
    }

    #[test]
    fn a_b_breaker_trips_within_the_times_of_iec_60898_1() {
        let spec = BreakerSpec::b(Watts::new(3680.0).unwrap());
        assert_eq!(trips(spec, 1.13), None);
        for (current, from, to) in [(1.45, 60.0, 3600.0), (2.55, 1.0, 60.0), (5.0, 0.0, 0.1)] {
            let after = trips(spec, current).unwrap();
            assert!((from..=to).contains(&after), "{current}: {after}");
        }
    }

    #[test]
    fn a_warm_breaker_trips_sooner_and_an_open_one_lets_nothing_through() {
        let spec = BreakerSpec::b(Watts::new(1000.0).unwrap());
        let mut breaker = Breaker::new(spec);
        let (hour, twice) = (Duration::from_secs(3600), Watts::new(2000.0).unwrap());
        breaker.step(hour, spec.rated);
        let warm = (1..).find(|_| breaker.step(TENTH, twice) == Watts::ZERO).unwrap();
        let cold = trips(spec, 2.0).unwrap();
        assert!(f64::from(warm) / 10.0 < 0.6 * cold, "{warm} tenths, {cold} s");
        assert_eq!(breaker.step(TENTH, spec.rated), Watts::ZERO);
    }
}
