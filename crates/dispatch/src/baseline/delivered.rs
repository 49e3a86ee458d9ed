//! What was given up: baseline less metered, with a confidence interval.

use super::{Estimate, Void, errors_for};
use units::{NetWattHours, Ratio, WattHours};

/// A meter's limit of error: the same gain for baseline and event, anywhere within the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeterError(pub Ratio);

/// A class 1 meter (IEC 62053-21): 1 %.
pub const METER_CLASS_1: f64 = 0.01;

/// Baseline less metered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delivered {
    /// Best estimate; negative where more was drawn than the baseline.
    pub energy: NetWattHours,
    /// Lower end of the confidence interval.
    pub low: NetWattHours,
    /// Upper end.
    pub high: NetWattHours,
    /// How often such an interval holds the truth.
    pub confidence: Ratio,
}

impl Delivered {
    /// Subtracts what the meter saw during the event. The baseline's error and the meter's gain are
    /// independent; the gain scales the difference, as baseline and event were read by one meter, and
    /// its standard error is the limit / sqrt(3) (GUM 4.3.7, rectangular).
    ///
    /// # Errors
    /// [`Void::GapDuring`] when the meter did not see all of the event.
    pub fn new(
        baseline: &Estimate,
        metered: Option<WattHours>,
        meter: MeterError,
        confidence: Ratio,
    ) -> Result<Self, Void> {
        let metered = metered.ok_or(Void::GapDuring)?.into();
        let (energy, error) = (baseline.energy.into(), baseline.error.into());
        Self::between(energy, error, baseline.freedom, metered, meter, confidence)
    }

    /// The same of energies with a sign.
    pub(super) fn between(
        baseline: NetWattHours,
        error: NetWattHours,
        freedom: f64,
        metered: NetWattHours,
        meter: MeterError,
        confidence: Ratio,
    ) -> Result<Self, Void> {
        let energy = baseline - metered;
        let gain = energy.get() * meter.0.get() / 3f64.sqrt();
        let by_baseline = errors_for(confidence.get(), freedom) * error.get();
        let by_meter = errors_for(confidence.get(), f64::INFINITY) * gain;
        let half = by_baseline.hypot(by_meter);
        let net = |wh| NetWattHours::new(wh).map_err(|_| Void::TooMuch);
        let half = net(half)?;
        Ok(Self { energy, low: energy - half, high: energy + half, confidence })
    }

    /// What a contract pays for: never less than nothing.
    pub fn payable(&self) -> WattHours {
        self.energy.above_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wh(wh: f64) -> WattHours {
        WattHours::new(wh).unwrap()
    }

    #[test]
    fn the_interval_joins_the_baselines_error_and_the_meters() {
        let baseline = Estimate { energy: wh(1000.0), error: wh(10.0), freedom: 9.0 };
        let ratio = |r| Ratio::new(r).unwrap();
        let exact = MeterError(ratio(0.0));
        let d = Delivered::new(&baseline, Some(wh(200.0)), exact, ratio(0.95)).unwrap();
        assert_eq!((d.energy.get(), d.payable().get()), (800.0, 800.0));
        assert!((d.high.get() - 822.62).abs() < 0.01, "2.262 standard errors");
        let class_1 = MeterError(ratio(METER_CLASS_1));
        let d = Delivered::new(&baseline, Some(wh(200.0)), class_1, ratio(0.95)).unwrap();
        assert!((d.high.get() - 800.0 - 22.62f64.hypot(1.96 * 8.0 / 3f64.sqrt())).abs() < 0.01);
        let more = Delivered::new(&baseline, Some(wh(1100.0)), exact, ratio(0.95)).unwrap();
        assert_eq!((more.energy.get(), more.payable()), (-100.0, WattHours::ZERO));
        let gap = Delivered::new(&baseline, None, exact, ratio(0.95));
        assert_eq!(gap, Err(Void::GapDuring));
    }
}
