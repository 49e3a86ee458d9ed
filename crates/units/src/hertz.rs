//! Frequency of the electric grid.

use crate::{UnitError, si};
use std::{fmt, str::FromStr};

/// Cycles per second of alternating current; zero or more, finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Hertz(f64);

impl Hertz {
    /// Stands still.
    pub const ZERO: Self = Self(0.0);

    /// Refuses NaN, infinities and negative frequencies.
    pub fn new(hertz: f64) -> Result<Self, UnitError> {
        UnitError::zero_or_more(hertz, "frequency").map(Self)
    }

    /// Cycles per second.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Hertz {
    /// `49.985 Hz`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} Hz", self.0)
    }
}

impl FromStr for Hertz {
    type Err = UnitError;

    /// Reads `60`, `49.985 Hz`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let hertz = si::read(text, &["Hz", ""])
            .ok_or_else(|| UnitError::unreadable("frequency", text, "50 Hz"))?;
        Self::new(hertz)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequency_reads_back_what_it_prints() {
        let frequency: Hertz = "49.985 Hz".parse().unwrap();
        assert_eq!(frequency.to_string(), "49.985 Hz");
        assert!(Hertz::new(f64::NAN).is_err() && "fast".parse::<Hertz>().is_err());
    }
}
