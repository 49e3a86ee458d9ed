//! Quantities of mining as types, so that no bare `f64` crosses a crate boundary.
//!
//! This crate owns the units, what one unit makes of another, and how each is read and printed.
//! It never does I/O and never knows a protocol.

mod difficulty;
mod hashrate;
mod money;
mod si;

pub use difficulty::{Difficulty, Work};
pub use hashrate::Hashrate;
pub use money::Sats;

/// Why a text or number is not the quantity it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The number is NaN, infinite, zero or negative where only a positive amount makes sense.
    #[error("{0} must be a positive finite number")]
    NotPositive(&'static str),
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
