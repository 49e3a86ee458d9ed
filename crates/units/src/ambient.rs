//! What is around a site: pressure of a gas, power of the sun.

use crate::UnitError;
use std::fmt;

/// Kilopascals above the pressure around it (gauge), as a fuel line's sensor tells; finite. Less than
/// zero is a line that sucks air.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Kilopascals(f64);

impl Kilopascals {
    /// Refuses NaN and infinities.
    pub fn new(kilopascals: f64) -> Result<Self, UnitError> {
        UnitError::finite(kilopascals, "pressure").map(Self)
    }

    /// Kilopascals, gauge.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Kilopascals {
    /// `34.5 kPa`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} kPa", self.0)
    }
}

/// Power of the sun on a horizontal surface, watts per square metre; zero or more, finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Irradiance(f64);

impl Irradiance {
    /// Refuses NaN, infinities and negative power.
    pub fn new(watts_per_square_metre: f64) -> Result<Self, UnitError> {
        UnitError::zero_or_more(watts_per_square_metre, "irradiance").map(Self)
    }

    /// Watts per square metre.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Irradiance {
    /// `640 W/m²`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} W/m²", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_suck_but_the_sun_never_takes() {
        assert_eq!(Kilopascals::new(-3.46).unwrap().to_string(), "-3.5 kPa");
        assert!(Kilopascals::new(f64::NAN).is_err());
        assert_eq!(Irradiance::new(640.2).unwrap().to_string(), "640 W/m²");
        assert!(Irradiance::new(-1.0).is_err());
    }
}
