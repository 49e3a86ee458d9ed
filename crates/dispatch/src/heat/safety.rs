//! Temperatures that a heater may never pass, and what heats when it cannot. It is independent of
//! whatever controls the power, and wins.

use std::time::Duration;
use units::{Celsius, Moment, Reading};

/// What carries the heat away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Exhaust air, useful from 35 to 50 °C.
    Air,
    /// Immersion or cooling fluid, useful from 45 to 65 °C.
    Fluid,
}

impl Medium {
    /// Coldest that is useful and hottest that is allowed, °C.
    pub const fn limits(self) -> (f64, f64) {
        match self {
            Self::Air => (35.0, 50.0),
            Self::Fluid => (45.0, 65.0),
        }
    }
}

/// What may be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// At most this part of full power.
    AtMost(f64),
    /// Nothing: too hot, or nobody knows how hot.
    Cut,
}

/// Watches the outlet of a heater.
#[derive(Debug, Clone)]
pub struct Safety {
    medium: Medium,
    cut: bool,
    /// Last time that a reading was young enough.
    known: Option<Moment>,
}

impl Safety {
    /// Nothing read yet.
    pub fn new(medium: Medium) -> Self {
        Self { medium, cut: false, known: None }
    }

    /// Power falls over this many kelvin below the limit.
    const SOFT_K: f64 = 5.0;
    /// This many kelvin above the limit it cuts, this many below it lets go.
    const CUT_K: (f64, f64) = (3.0, 8.0);
    /// A reading older than this is none; without one for [`Safety::BLIND`] it cuts.
    const STALE: Duration = Duration::from_secs(30);
    /// See [`Safety::STALE`].
    const BLIND: Duration = Duration::from_secs(120);

    /// Hottest that the outlet may be.
    pub fn limit(&self) -> Celsius {
        Celsius::new(self.medium.limits().1).unwrap_or(Celsius::ZERO)
    }

    /// Whether it has cut.
    pub fn has_cut(&self) -> bool {
        self.cut
    }

    /// Judges the outlet's temperature.
    pub fn step(&mut self, now: Moment, outlet: Option<Reading<Celsius>>) -> Verdict {
        let known_since = *self.known.get_or_insert(now);
        let fresh = outlet.and_then(|outlet| outlet.fresh(now, Self::STALE).copied());
        let Some(outlet) = fresh else {
            self.cut |= now.since(known_since) >= Self::BLIND;
            return if self.cut { Verdict::Cut } else { Verdict::AtMost(1.0) };
        };
        self.known = Some(now);
        let below = self.medium.limits().1 - outlet.get();
        if below <= -Self::CUT_K.0 {
            self.cut = true;
        } else if below >= Self::CUT_K.1 {
            self.cut = false;
        }
        match self.cut {
            true => Verdict::Cut,
            false => Verdict::AtMost((below / Self::SOFT_K).clamp(0.0, 1.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_falls_before_the_limit_and_is_cut_above_it_until_it_is_cool() {
        for (medium, limit) in [(Medium::Air, 50.0), (Medium::Fluid, 65.0)] {
            let mut safety = Safety::new(medium);
            for (second, above, verdict) in [
                (0, -6.0, Verdict::AtMost(1.0)),
                (1, -2.5, Verdict::AtMost(0.5)),
                (2, 1.0, Verdict::AtMost(0.0)),
                (3, 3.0, Verdict::Cut),
                (4, -7.0, Verdict::Cut),
                (5, -8.0, Verdict::AtMost(1.0)),
            ] {
                let now = Moment::from_secs(second);
                let outlet = Reading::new(Celsius::new(limit + above).unwrap(), now);
                assert_eq!(safety.step(now, Some(outlet)), verdict, "{medium:?} {above}");
            }
        }
    }

    #[test]
    fn a_heater_whose_outlet_nobody_reads_is_cut_after_two_minutes() {
        let mut safety = Safety::new(Medium::Air);
        let old = Some(Reading::new(Celsius::new(40.0).unwrap(), Moment::default()));
        for (second, verdict) in
            [(10, Verdict::AtMost(1.0)), (31, Verdict::AtMost(1.0)), (140, Verdict::Cut)]
        {
            assert_eq!(safety.step(Moment::from_secs(second), old), verdict, "{second}");
        }
    }
}
