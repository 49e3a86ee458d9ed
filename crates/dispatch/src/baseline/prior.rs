//! Meter before, meter after (NAESB WEQ-015): the load just before the event would have gone on.

use super::{Estimate, Void, mean_and_variance};
use units::WattHours;

/// The baseline of an event of `event` intervals from the metered intervals of the same length just
/// before it, newest last.
///
/// The error is that of a sum of future readings about the mean of n past ones when readings do not
/// depend on each other: s sqrt(k + k²/n). Loads that drift make it too small; machines at a steady
/// set-point, which this method is for, do not.
///
/// # Errors
/// Void with a gap before the event, or below two readings.
pub fn metered_prior_interval(
    before: &[Option<WattHours>],
    event: usize,
) -> Result<Estimate, Void> {
    let all: Option<Vec<f64>> = before.iter().map(|r| r.map(WattHours::get)).collect();
    let readings = all.ok_or(Void::GapBefore)?;
    let (mean, variance) = mean_and_variance(&readings).ok_or(Void::FewReadings)?;
    let (k, n) = (event as f64, readings.len() as f64);
    Estimate::new(k * mean, (variance * (k + k * k / n)).sqrt(), n - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(values: &[f64]) -> Vec<Option<WattHours>> {
        values.iter().map(|v| WattHours::new(*v).ok()).collect()
    }

    #[test]
    fn the_mean_before_goes_on_during_the_event() {
        let estimate = metered_prior_interval(&readings(&[98.0, 102.0, 100.0, 100.0]), 6).unwrap();
        assert_eq!((estimate.energy.get(), estimate.freedom), (600.0, 3.0));
        // s² = 8/3, k + k²/n = 15.
        assert!((estimate.error.get() - 40f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn a_gap_before_the_event_makes_it_void() {
        let mut gap = readings(&[98.0, 102.0, 100.0]);
        gap[1] = None;
        assert_eq!(metered_prior_interval(&gap, 6), Err(Void::GapBefore));
        assert_eq!(metered_prior_interval(&readings(&[5.0]), 6), Err(Void::FewReadings));
        assert_eq!(metered_prior_interval(&[], 6), Err(Void::FewReadings));
    }
}
