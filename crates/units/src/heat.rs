//! How much heat a body holds and how fast it loses it.

use crate::{UnitError, WattHours, Watts};
use std::time::Duration;

/// Heat that a body takes up for each kelvin, watt-hours per kelvin; always positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct HeatCapacity(f64);

/// Heat that flows for each kelvin between two bodies, watts per kelvin; always positive and finite.
/// The reciprocal of a thermal resistance.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct HeatLoss(f64);

impl HeatCapacity {
    /// Of a litre of water: 1.163 Wh/K.
    pub const LITRE: Self = Self(1.163);

    /// Refuses what is not positive and finite.
    pub fn new(watt_hours_per_kelvin: f64) -> Result<Self, UnitError> {
        UnitError::positive(watt_hours_per_kelvin, "heat capacity").map(Self)
    }

    /// Of this many litres of water; refuses what is not positive and finite.
    pub fn of_water(litres: f64) -> Result<Self, UnitError> {
        Self::new(Self::LITRE.0 * litres)
    }

    /// Watt-hours per kelvin.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Time until a difference of temperature has fallen to 1/e of itself: C / UA.
    pub fn time_constant(self, loss: HeatLoss) -> Duration {
        Duration::try_from_secs_f64(3600.0 * self.0 / loss.0).unwrap_or(Duration::MAX)
    }

    /// The heat that this many kelvin hold; none for a fall.
    pub fn heat(self, kelvin: f64) -> WattHours {
        WattHours::new((self.0 * kelvin).max(0.0)).unwrap_or(WattHours::ZERO)
    }
}

impl HeatLoss {
    /// Refuses what is not positive and finite.
    pub fn new(watts_per_kelvin: f64) -> Result<Self, UnitError> {
        UnitError::positive(watts_per_kelvin, "heat loss").map(Self)
    }

    /// From kelvin per kilowatt, as models of buildings give it; refuses what is not positive.
    pub fn from_kelvin_per_kilowatt(resistance: f64) -> Result<Self, UnitError> {
        Self::new(1e3 / resistance)
    }

    /// Watts per kelvin.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The power that holds this many kelvin; none for a fall.
    pub fn holds(self, kelvin: f64) -> Watts {
        Watts::of((self.0 * kelvin).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_house_of_5_k_per_kw_and_8_kwh_per_k_has_a_time_constant_of_40_hours() {
        let loss = HeatLoss::from_kelvin_per_kilowatt(5.0).unwrap();
        let capacity = HeatCapacity::new(8000.0).unwrap();
        assert_eq!(capacity.time_constant(loss), Duration::from_secs(40 * 3600));
        assert_eq!(loss.holds(20.0).get(), 4000.0);
    }

    #[test]
    fn three_hundred_litres_hold_a_third_of_a_kilowatt_hour_a_kelvin() {
        let tank = HeatCapacity::of_water(300.0).unwrap();
        assert!((tank.heat(1.0).kilowatt_hours() - 0.349).abs() < 0.001);
        assert!(HeatCapacity::new(0.0).is_err() && HeatLoss::new(f64::NAN).is_err());
        assert!(HeatLoss::from_kelvin_per_kilowatt(0.0).is_err());
    }
}
