//! What electricity emitted: grams of CO2 equivalent, per kilowatt-hour and in all.

use crate::{UnitError, WattHours, linear::linear};
use std::{fmt, ops::Mul};

/// Grams of CO2 equivalent per kilowatt-hour; zero or more, finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct EmissionFactor(f64);

impl EmissionFactor {
    /// Refuses NaN, infinities and negative factors.
    pub fn grams_per_kwh(grams: f64) -> Result<Self, UnitError> {
        UnitError::zero_or_more(grams, "emission factor").map(Self)
    }

    /// Grams per kilowatt-hour.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// Grams of CO2 equivalent; negative where it was avoided; finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Co2(f64);

impl Co2 {
    /// None.
    pub const ZERO: Self = Self(0.0);

    /// Refuses NaN and infinities.
    pub fn grams(grams: f64) -> Result<Self, UnitError> {
        UnitError::finite(grams, "emission").map(Self)
    }

    /// The number of grams.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Kilograms.
    pub fn kilograms(self) -> f64 {
        self.0 / 1e3
    }
}

linear!(Co2);

impl Mul<EmissionFactor> for WattHours {
    type Output = Co2;
    /// What this energy emitted.
    fn mul(self, factor: EmissionFactor) -> Co2 {
        Co2(self.kilowatt_hours() * factor.0)
    }
}

impl fmt::Display for EmissionFactor {
    /// `288 g/kWh`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} g/kWh", self.0)
    }
}

impl fmt::Display for Co2 {
    /// `1.250 kg CO2e`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} kg CO2e", self.kilograms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_of_2025_emitted_what_cambridge_published() {
        // 39.8 Mt from 138 TWh: Cambridge Digital Mining Industry Report, April 2025.
        let energy = WattHours::new(138e12).unwrap();
        let factor = EmissionFactor::grams_per_kwh(288.4).unwrap();
        assert!(((energy * factor).get() / 1e12 - 39.8).abs() < 0.01);
        assert_eq!(factor.to_string(), "288 g/kWh");
        assert!(EmissionFactor::grams_per_kwh(-1.0).is_err());
    }
}
