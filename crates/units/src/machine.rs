//! What a mining machine is set to and what its sensors read: frequency, voltage, fan, current, noise.

use crate::{UnitError, Watts};
use std::fmt;

/// Clock frequency of hashing chips, megahertz; zero or more, finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Megahertz(f64);

/// Voltage, millivolts: of a chip's core as well as of a power supply; zero or more, finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Millivolts(f64);

/// Electric current, amperes; zero or more, finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Amperes(f64);

/// Sound pressure level at one metre, dB(A); finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Decibels(f64);

/// A share of a whole, from 0 to 1: of a fan's full speed, of a machine's full power, of hashes lost.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Ratio(f64);

/// Revolutions per minute of a fan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rpm(pub u32);

impl Megahertz {
    /// Refuses NaN, infinities and negative frequencies.
    pub fn new(megahertz: f64) -> Result<Self, UnitError> {
        UnitError::zero_or_more(megahertz, "frequency").map(Self)
    }

    /// Megahertz.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Millivolts {
    /// Refuses NaN, infinities and negative voltages.
    pub fn new(millivolts: f64) -> Result<Self, UnitError> {
        UnitError::zero_or_more(millivolts, "voltage").map(Self)
    }

    /// Millivolts.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Volts.
    pub fn volts(self) -> f64 {
        self.0 / 1e3
    }
}

impl Amperes {
    /// Refuses NaN, infinities and negative currents.
    pub fn new(amperes: f64) -> Result<Self, UnitError> {
        UnitError::zero_or_more(amperes, "current").map(Self)
    }

    /// Amperes.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The power of this current at this voltage, power factor 1.
    pub fn at(self, voltage: Millivolts) -> Watts {
        Watts::of(self.0 * voltage.volts())
    }
}

impl Decibels {
    /// Refuses NaN and infinities.
    pub fn new(decibels: f64) -> Result<Self, UnitError> {
        UnitError::finite(decibels, "noise").map(Self)
    }

    /// dB(A) at one metre.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Ratio {
    /// Nothing of it.
    pub const NONE: Self = Self(0.0);
    /// All of it.
    pub const ALL: Self = Self(1.0);

    /// Refuses what is not from 0 to 1.
    pub fn new(ratio: f64) -> Result<Self, UnitError> {
        if (0.0..=1.0).contains(&ratio) { Ok(Self(ratio)) } else { Err(UnitError::NotARatio) }
    }

    /// From percent, 0 to 100.
    pub fn percent(percent: f64) -> Result<Self, UnitError> {
        Self::new(percent / 100.0)
    }

    /// From 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }

    /// From 0 to 100.
    pub fn as_percent(self) -> f64 {
        self.0 * 100.0
    }
}

impl fmt::Display for Megahertz {
    /// `525 MHz`, `531.25 MHz`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MHz", (self.0 * 100.0).round() / 100.0)
    }
}

impl fmt::Display for Millivolts {
    /// `1150 mV`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} mV", self.0)
    }
}

impl fmt::Display for Amperes {
    /// `16.0 A`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} A", self.0)
    }
}

impl fmt::Display for Decibels {
    /// `52 dB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} dB", self.0)
    }
}

impl fmt::Display for Ratio {
    /// `5.4 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} %", self.as_percent())
    }
}

impl Watts {
    /// What is left after this much is taken; nothing if there was less.
    pub fn saturating_sub(self, taken: Self) -> Self {
        Self::of((self.get() - taken.get()).max(0.0))
    }

    /// This part of it.
    pub fn part(self, ratio: Ratio) -> Self {
        Self::of(self.get() * ratio.0)
    }

    /// The higher of the two.
    pub fn max(self, other: Self) -> Self {
        Self::of(self.get().max(other.get()))
    }

    /// The lower of the two.
    pub fn min(self, other: Self) -> Self {
        Self::of(self.get().min(other.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_of_16_amperes_at_230_volts_carries_3680_watts() {
        let breaker = Amperes::new(16.0).unwrap().at(Millivolts::new(230e3).unwrap());
        assert_eq!(breaker.get(), 3680.0);
        let eighty = breaker.part(Ratio::percent(80.0).unwrap());
        assert_eq!(breaker.saturating_sub(eighty).get().round(), 736.0);
        assert_eq!(eighty.saturating_sub(breaker), Watts::ZERO);
    }

    #[test]
    fn what_no_sensor_can_mean_is_refused() {
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(Megahertz::new(bad).is_err());
            assert!(Millivolts::new(bad).is_err());
            assert!(Amperes::new(bad).is_err());
            assert!(Ratio::new(bad).is_err());
        }
        assert!(Ratio::percent(100.1).is_err() && Decibels::new(f64::NAN).is_err());
    }

    #[test]
    fn settings_print_as_firmware_shows_them() {
        assert_eq!(Megahertz::new(531.25).unwrap().to_string(), "531.25 MHz");
        assert_eq!(Millivolts::new(1150.0).unwrap().to_string(), "1150 mV");
        assert_eq!(Ratio::percent(5.4).unwrap().to_string(), "5.4 %");
    }
}
