//! Measurement and verification: what would have been drawn, what was given up, and how sure that is.
//!
//! This module owns the baselines, the confidence interval and the cross-check with verified work. It
//! never fills a gap in a meter's data: an interval without its data is void, and says why.
//!
//! Three ways to a baseline, each a pure function that gives an [`Estimate`]:
//! [`prior::metered_prior_interval`] (meter before, meter after), [`like_days::Rule`] (high X of Y with a
//! same-day adjustment; [`calendar`] says which days are alike), [`control::randomised`] (a control group).
//! [`Delivered::new`] subtracts what the meter saw; [`work`] says what shares prove of it.

pub mod calendar;
pub mod control;
mod delivered;
pub mod like_days;
pub mod prior;
pub mod strata;
pub mod work;

pub use delivered::{Delivered, METER_CLASS_1, MeterError};

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use units::WattHours;

/// What would have been drawn, with its error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Best estimate.
    pub energy: WattHours,
    /// One standard error of the prediction.
    pub error: WattHours,
    /// Degrees of freedom that the error was found with.
    pub freedom: f64,
}

/// Why there is no baseline or no delivery: the interval is void, unpaid and unpenalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Void {
    /// The meter has a gap before the event.
    #[error("the meter has a gap in the time before the event, or another event ran then")]
    GapBefore,
    /// The meter has a gap during the event.
    #[error("the meter has a gap during the event")]
    GapDuring,
    /// Too few days that are alike and complete.
    #[error("only {found} days like this one are complete, {needed} are needed")]
    FewDays {
        /// Complete days of this kind in reach.
        found: usize,
        /// The rule's least number.
        needed: usize,
    },
    /// Too few to know how much they differ.
    #[error("at least two complete readings are needed to know the error")]
    FewReadings,
    /// The event does not lie within the day, or not after the time that adjusts it.
    #[error("the event does not fit into the day that was given")]
    NoSuchTime,
    /// The numbers are too large to add up.
    #[error("the energies are too large to add up")]
    TooMuch,
}

impl Estimate {
    fn new(energy: f64, error: f64, freedom: f64) -> Result<Self, Void> {
        let wh = |wh: f64| WattHours::new(wh).map_err(|_| Void::TooMuch);
        Ok(Self { energy: wh(energy)?, error: wh(error)?, freedom })
    }
}

/// Degrees of freedom from which on Student's t is the normal law to four digits.
const MANY: f64 = 1e4;

/// Student's t: how many standard errors hold this part of all cases, on both sides.
fn errors_for(confidence: f64, freedom: f64) -> f64 {
    if freedom >= MANY {
        return Normal::standard().inverse_cdf(0.5 + confidence / 2.0);
    }
    let t = StudentsT::new(0.0, 1.0, freedom.max(1.0));
    t.map_or(f64::INFINITY, |t| t.inverse_cdf(0.5 + confidence / 2.0))
}

/// Mean and sample variance (n - 1); `None` below two.
fn mean_and_variance(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (values.len() >= 2).then(|| (mean, squares / (n - 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn student_t_is_as_tabulated() {
        for (confidence, freedom, t) in [
            (0.95, 9.0, 2.262),
            (0.95, 1.0, 12.706),
            (0.90, 4.0, 2.132),
            (0.99, 29.0, 2.756),
            (0.95, f64::INFINITY, 1.960),
        ] {
            assert!((errors_for(confidence, freedom) - t).abs() < 6e-4, "{freedom}");
        }
    }
}
