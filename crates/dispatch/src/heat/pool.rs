//! A pool as a body to plan with. Its real losses are mostly evaporation; the plan takes them as
//! proportional.

use super::Body;
use units::{HeatCapacity, HeatLoss, UnitError};

/// A pool that is swum in at certain hours.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Water, litres.
    pub litres: f64,
    /// Surface, m².
    pub surface_m2: f64,
    /// Hours of a day at which it is open, and not covered.
    pub open_hours: f64,
}

impl Pool {
    /// Loss of a covered and of an open surface, W/m²K: what ASHRAE's evaporation and convection
    /// give at 28 °C in air of 15 °C and a wind of 1 m/s, divided by the difference.
    const LOSS: (f64, f64) = (13.0, 43.0);

    /// What the plan sees: losses weighted by the hours of each.
    pub fn body(&self) -> Result<Body, UnitError> {
        let open = (self.open_hours / 24.0).clamp(0.0, 1.0);
        let loss = Self::LOSS.0 * (1.0 - open) + Self::LOSS.1 * open;
        let capacity = HeatCapacity::of_water(self.litres)?;
        Ok(Body::mixed(capacity, HeatLoss::new(loss * self.surface_m2)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_surface_loses_more_than_a_covered_one() {
        let pool = |open_hours| Pool { litres: 44_800.0, surface_m2: 32.0, open_hours };
        for (hours, watts) in [(0.0, 13.0), (12.0, 28.0), (24.0, 43.0)] {
            let body = pool(hours).body().unwrap();
            assert!((body.loss.get() - watts * 32.0).abs() < 1e-9, "{hours}");
        }
        // 52 kWh/K behind 0.9 kW/K.
        let body = pool(12.0).body().unwrap();
        assert_eq!(body.capacity.time_constant(body.loss).as_secs() / 3600, 58);
    }
}
