//! How much energy a hash takes.

use crate::{Hashrate, UnitError, Watts, si};
use std::{fmt, ops::Mul, str::FromStr};

/// Joules per terahash, as nameplates give it: lower is better. Always positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Efficiency(f64);

impl Efficiency {
    /// A joule per terahash: better than any machine is.
    pub const ONE: Self = Self(1.0);

    /// Refuses what is not positive and finite.
    pub fn new(joules_per_terahash: f64) -> Result<Self, UnitError> {
        UnitError::positive(joules_per_terahash, "efficiency in J/TH").map(Self)
    }

    /// Of a machine that draws this power to hash at this rate.
    pub fn of(power: Watts, rate: Hashrate) -> Result<Self, UnitError> {
        Self::new(power.get() / rate.terahashes_per_second())
    }

    /// Joules per terahash.
    pub fn joules_per_terahash(self) -> f64 {
        self.0
    }

    /// Joules per hash.
    pub fn joules_per_hash(self) -> f64 {
        self.0 / 1e12
    }

    pub(crate) fn positive(joules_per_terahash: f64) -> Option<Self> {
        Self::new(joules_per_terahash).ok()
    }
}

impl Mul<Efficiency> for Hashrate {
    type Output = Watts;
    /// The power that this hashrate takes.
    fn mul(self, efficiency: Efficiency) -> Watts {
        Watts::of(self.terahashes_per_second() * efficiency.0)
    }
}

impl fmt::Display for Efficiency {
    /// `17.5 J/TH`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = if self.0 < 99.95 { 1 } else { 0 };
        write!(f, "{:.decimals$} J/TH", self.0)
    }
}

impl FromStr for Efficiency {
    type Err = UnitError;

    /// Reads `17.5`, `17.5 J/TH`, `17.5 W/TH`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        si::read(text, &["J/TH", "W/TH", ""])
            .ok_or_else(|| UnitError::unreadable("efficiency", text, "17.5 J/TH"))
            .and_then(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_efficiency_is_power_per_hashrate() {
        let power = Watts::new(3500.0).unwrap();
        let rate = Hashrate::from_hashes_per_second(200e12);
        let efficiency = Efficiency::of(power, rate).unwrap();
        assert_eq!(efficiency.to_string(), "17.5 J/TH");
        assert_eq!("17.5 J/TH".parse::<Efficiency>().unwrap(), efficiency);
        assert_eq!("17.5".parse::<Efficiency>().unwrap(), efficiency);
    }

    #[test]
    fn no_machine_hashes_for_nothing_or_draws_without_hashing() {
        let some = Watts::new(10.0).unwrap();
        assert!(Efficiency::of(some, Hashrate::ZERO).is_err());
        assert!(Efficiency::of(Watts::ZERO, Hashrate::from_hashes_per_second(1e12)).is_err());
        for bad in ["0", "-3", "NaN", "good"] {
            assert!(bad.parse::<Efficiency>().is_err(), "{bad}");
        }
    }
}
