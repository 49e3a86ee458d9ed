//! A randomised control group: some of the devices, drawn by lot, are left alone and show what the
//! others would have drawn.

use super::{Estimate, Void, mean_and_variance};
use units::WattHours;

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
