//! Quantities of mining as types, so that no bare `f64` crosses a crate boundary.
//!
//! This crate owns the units, what one unit makes of another, and how each is read and printed.
//! It never does I/O and never knows a protocol.

mod ambient;
mod calendar;
mod carbon;
mod celsius;
mod difficulty;
mod efficiency;
mod energy;
mod hash_price;
mod hashrate;
mod heat;
mod hertz;
mod linear;
mod machine;
mod moment;
mod money;
mod net;
mod si;

pub use ambient::{Irradiance, Kilopascals};
pub use calendar::{Date, UtcOffset};
pub use carbon::{Co2, EmissionFactor};
pub use celsius::Celsius;
pub use difficulty::{Difficulty, Work};
pub use efficiency::Efficiency;
pub use energy::{EnergyPrice, WattHours, Watts};
pub use hash_price::HashPrice;
pub use hashrate::Hashrate;
pub use heat::{HeatCapacity, HeatLoss};
pub use hertz::Hertz;
pub use machine::{Amperes, Decibels, Megahertz, Millivolts, Ratio, Rpm};
pub use moment::{Moment, Reading, UnixTime};
pub use money::{MilliSats, Sats, Usd};
pub use net::{NetWattHours, NetWatts};

/// Why a text or number is not the quantity it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The number is NaN, infinite, zero or negative where only a positive amount makes sense.
    #[error("{0} must be a positive finite number")]
    NotPositive(&'static str),
    /// The number is NaN, infinite or negative where nothing is less than nothing.
    #[error("{0} must be zero or a positive finite number")]
    Negative(&'static str),
    /// The number is NaN or infinite.
    #[error("{0} must be a finite number")]
    NotFinite(&'static str),
    /// More than can be counted.
    #[error("{0} is too large")]
    TooMuch(&'static str),
    /// Less than nothing or more than all.
    #[error("a share of a whole must lie from 0 to 1")]
    NotARatio,
    /// Colder than anything can be.
    #[error("a temperature must be a finite number of at least -273.15 °C")]
    BelowAbsoluteZero,
    /// The text is no number followed by a known unit.
    #[error("\"{text}\" is not a {what}; write it like \"{example}\"")]
    Unreadable {
        /// What was being read.
        what: &'static str,
        /// The text as given.
        text: String,
        /// A text that would have been understood.
        example: &'static str,
    },
}

impl UnitError {
    fn positive(value: f64, what: &'static str) -> Result<f64, Self> {
        if value.is_finite() && value > 0.0 { Ok(value) } else { Err(Self::NotPositive(what)) }
    }

    fn zero_or_more(value: f64, what: &'static str) -> Result<f64, Self> {
        // Adding 0 makes -0 a 0.
        if value.is_finite() && value >= 0.0 { Ok(value + 0.0) } else { Err(Self::Negative(what)) }
    }

    fn finite(value: f64, what: &'static str) -> Result<f64, Self> {
        if value.is_finite() { Ok(value) } else { Err(Self::NotFinite(what)) }
    }

    fn unreadable(what: &'static str, text: &str, example: &'static str) -> Self {
        Self::Unreadable { what, text: text.into(), example }
    }
}
