//! A randomised control group: some of the devices, drawn by lot, are left alone and show what the
//! others would have drawn.

use super::{Delivered, Estimate, MeterError, Void, mean_and_variance};
use units::{NetWattHours, Ratio, WattHours};

/// The baseline of `treated` devices from what each device of the control group drew in the same time.
/// A device whose meter has a gap is left out of the group; the lot made that independent of the event.
///
/// The error is s sqrt(1/n + 1/m) m, for n in the group and m treated: the group's mean is uncertain,
/// and so is the draw of those treated. For many treated it is s/sqrt(n) of each: a coefficient of
/// variation of 1.1, as homes have, makes 11 % at n = 100.
///
/// # Errors
/// Void below two complete readings.
pub fn randomised(control: &[Option<WattHours>], treated: usize) -> Result<Estimate, Void> {
    let drawn: Vec<f64> = control.iter().flatten().map(|r| r.get()).collect();
    let (mean, variance) = mean_and_variance(&drawn).ok_or(Void::FewReadings)?;
    let (n, m) = (drawn.len() as f64, treated as f64);
    let error = if treated == 0 { 0.0 } else { m * (variance * (1.0 / n + 1.0 / m)).sqrt() };
    Estimate::new(m * mean, error, n - 1.0)
}

/// A control group that also tells how much what a home draws depends on what it usually draws. It
/// narrows the error, as large homes that came into one group by chance do not count as an effect, and
/// gives each home a baseline of its own. Either sign, for homes with a plant on the roof.
///
/// Baseline of a home that usually draws x: y + b (x - X), with Y and X the group's means and b the slope
/// of least squares within the group (analysis of covariance; Deng et al. 2013, "CUPED"). The lot makes
/// it right whatever x is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    drawn: f64,
    usual: f64,
    slope: f64,
    /// Variance of one home about its baseline.
    variance: f64,
    count: f64,
    freedom: f64,
}

/// With fewer homes whose usual draw is known a slope says nothing.
const ENOUGH: usize = 10;

impl Group {
    /// From what each home of the group drew, and usually draws where that is known.
    ///
    /// # Errors
    /// Void below two complete readings.
    pub fn new(control: &[(NetWattHours, Option<NetWattHours>)]) -> Result<Self, Void> {
        let drawn: Vec<f64> = control.iter().map(|(drawn, _)| drawn.get()).collect();
        let (mean, variance) = mean_and_variance(&drawn).ok_or(Void::FewReadings)?;
        let count = drawn.len() as f64;
        let plain =
            Self { drawn: mean, usual: 0.0, slope: 0.0, variance, count, freedom: count - 1.0 };
        let known: Vec<f64> =
            control.iter().filter_map(|(_, usual)| Some((*usual)?.get())).collect();
        let Some((usual, spread)) = mean_and_variance(&known) else { return Ok(plain) };
        if known.len() < ENOUGH || spread <= 0.0 {
            return Ok(plain);
        }
        // One of whom nothing is known stands at the mean, where the slope does nothing.
        let away = |x: Option<NetWattHours>| x.map_or(0.0, |x| x.get() - usual);
        let squares: f64 = control.iter().map(|(_, x)| away(*x).powi(2)).sum();
        let products: f64 = control.iter().map(|(y, x)| away(*x) * (y.get() - mean)).sum();
        let slope = products / squares;
        let left: f64 =
            control.iter().map(|(y, x)| (y.get() - mean - slope * away(*x)).powi(2)).sum();
        let freedom = count - 2.0;
        Ok(Self { usual, slope, variance: left / freedom, freedom, ..plain })
    }

    /// What a home would have drawn that usually draws this much.
    pub fn baseline(&self, usual: Option<NetWattHours>) -> NetWattHours {
        let away = usual.map_or(0.0, |usual| usual.get() - self.usual);
        NetWattHours::new(self.drawn + self.slope * away).unwrap_or_default()
    }

    /// What treated homes gave up together, from what each usually draws and what all of them drew. The
    /// standard error is s sqrt(1/n + 1/m) m of the whole, as for [`randomised`].
    ///
    /// # Errors
    /// Void when the energies are too large to add up.
    pub fn delivered(
        &self,
        treated: &[Option<NetWattHours>],
        metered: NetWattHours,
        meter: MeterError,
        confidence: Ratio,
    ) -> Result<Delivered, Void> {
        let m = treated.len() as f64;
        let baseline: NetWattHours = treated.iter().map(|usual| self.baseline(*usual)).sum();
        let error = match treated {
            [] => 0.0,
            _ => m * (self.variance * (1.0 / self.count + 1.0 / m)).sqrt(),
        };
        let error = NetWattHours::new(error).map_err(|_| Void::TooMuch)?;
        Delivered::between(baseline, error, self.freedom, metered, meter, confidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_mean_stands_for_those_treated() {
        let control: Vec<_> =
            [1.0, 2.0, 3.0, 4.0].iter().map(|v| WattHours::new(*v).ok()).chain([None]).collect();
        let estimate = randomised(&control, 12).unwrap();
        assert_eq!((estimate.energy.get(), estimate.freedom), (30.0, 3.0));
        // s² = 5/3, 1/4 + 1/12 = 1/3.
        assert!((estimate.error.get() - 12.0 * (5.0f64 / 9.0).sqrt()).abs() < 1e-9);
        assert_eq!(randomised(&control[..1], 12), Err(Void::FewReadings));
        assert_eq!(randomised(&control, 0).unwrap().energy, WattHours::ZERO);
    }
}
