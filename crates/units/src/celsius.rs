//! Temperature.

use crate::{UnitError, si};
use std::{fmt, str::FromStr};

/// Degrees Celsius; finite and not below absolute zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Celsius(f64);

impl Celsius {
    /// Refuses NaN, infinities and what is colder than absolute zero.
    pub fn new(degrees: f64) -> Result<Self, UnitError> {
        if degrees.is_finite() && degrees >= -273.15 {
            Ok(Self(degrees))
        } else {
            Err(UnitError::BelowAbsoluteZero)
        }
    }

    /// Degrees Celsius.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Celsius {
    /// `62.2 °C`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} °C", self.0)
    }
}

impl FromStr for Celsius {
    type Err = UnitError;

    /// Reads `60`, `60 C`, `60 °C`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        si::read(text, &["°C", "C", ""])
            .ok_or_else(|| UnitError::unreadable("temperature", text, "60 °C"))
            .and_then(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_reads_back_and_is_never_below_absolute_zero() {
        for text in ["62.2", "62.2 C", "62.2°C", " 62.2 °C"] {
            assert_eq!(text.parse::<Celsius>().unwrap().to_string(), "62.2 °C", "{text}");
        }
        assert_eq!("-40 °C".parse::<Celsius>().unwrap().get(), -40.0);
        for bad in ["-300", "NaN", "warm", "inf"] {
            assert!(bad.parse::<Celsius>().is_err(), "{bad}");
        }
    }
}
