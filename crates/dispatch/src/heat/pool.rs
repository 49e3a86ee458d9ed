//! A pool as a body to plan with, and when it must be warm. Its real losses are mostly evaporation;
//! the plan takes them as proportional and learns the rest.

use super::Body;
use std::{ops::Range, time::Duration};
use units::{Celsius, HeatCapacity, HeatLoss, UnitError};

/// A pool that is swum in at certain hours.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Water, litres.
    pub litres: f64,
    /// Surface, m².
    pub surface_m2: f64,
    /// Hours of the day, from 0 to 24, at which it must be warm and is open.
    pub open: Range<u32>,
    /// Warm enough.
    pub warm: Celsius,
    /// How far it may cool or be overheated, kelvin.
    pub band_k: f64,
}

impl Pool {
    /// Loss of a covered and of an open surface, W/m²K: what ASHRAE's evaporation and convection
    /// give at 28 °C in air of 15 °C and a wind of 1 m/s, divided by the difference.
    const LOSS: (f64, f64) = (13.0, 43.0);

    /// What the plan sees: losses weighted by the hours of each.
    pub fn body(&self) -> Result<Body, UnitError> {
        let open = f64::from(self.open.end.saturating_sub(self.open.start).min(24)) / 24.0;
        let loss = Self::LOSS.0 * (1.0 - open) + Self::LOSS.1 * open;
        let capacity = HeatCapacity::of_water(self.litres)?;
        Ok(Body::mixed(capacity, HeatLoss::new(loss * self.surface_m2)?))
    }

    /// Lowest and highest temperature at this time of day.
    pub fn limits(&self, time_of_day: Duration) -> (Celsius, Celsius) {
        let hour = (time_of_day.as_secs() / 3600 % 24) as u32;
        let low = if self.open.contains(&hour) { 0.0 } else { self.band_k };
        let at = |kelvin: f64| Celsius::new(self.warm.get() + kelvin).unwrap_or(self.warm);
        (at(-low), at(self.band_k))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_may_cool_only_while_nobody_swims() {
        let pool = Pool {
            litres: 44_800.0,
            surface_m2: 32.0,
            open: 9..21,
            warm: Celsius::new(27.0).unwrap(),
            band_k: 1.0,
        };
        for (hour, low) in [(0, 26.0), (9, 27.0), (20, 27.0), (21, 26.0)] {
            let (got, high) = pool.limits(Duration::from_secs(hour * 3600));
            assert_eq!((got.get(), high.get()), (low, 28.0), "{hour}");
        }
        let body = pool.body().unwrap();
        assert!((body.loss.get() - 28.0 * 32.0).abs() < 1e-9);
        // 52 kWh/K behind 0.9 kW/K.
        assert_eq!(body.capacity.time_constant(body.loss).as_secs() / 3600, 58);
    }
}
