//! The inputs of quotes: how they are listed, and the checks that each passes.

use crate::{
    Given, LabError,
    report::{Cell, Input},
};
use std::{fmt, str::FromStr};
use units::{Efficiency, EnergyPrice, HashPrice, Sats, UnitError, Usd};

/// What this program assumes where nothing is published.
pub(crate) fn assumed<T>(value: T) -> Given<T> {
    Given::default(value, "assumed by this program", "2025")
}

/// A part of a whole: 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// Nothing of it.
    pub const NONE: Self = Self(0.0);
    /// All of it.
    pub const ALL: Self = Self(1.0);

    /// Refuses what is not from 0 to 1; `what` names it.
    pub fn new(value: f64, what: &str) -> Result<Self, LabError> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(LabError::new(format!(
                "{what} is {value}; give a share from 0 to 1, or a percentage"
            )))
        }
    }

    /// From 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }

    /// What is left of the whole.
    pub fn rest(self) -> f64 {
        1.0 - self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} %", self.0 * 100.0)
    }
}

impl FromStr for Share {
    type Err = LabError;

    /// Reads `0.95` and `95%`.
    fn from_str(text: &str) -> Result<Self, LabError> {
        let (number, scale) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent, 100.0),
            None => (text, 1.0),
        };
        let value = number.trim().parse::<f64>().ok().filter(|value| value.is_finite());
        value.and_then(|value| Self::new(value / scale, "").ok()).ok_or_else(|| {
            LabError::new(format!("\"{text}\" is not a share; write it like \"0.95\" or \"95%\""))
        })
    }
}

/// A number that must be above zero.
pub(crate) fn positive(value: f64, what: &str) -> Result<f64, LabError> {
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(LabError::new(format!("{what} is {value}; give a number above zero")))
    }
}

/// A number that must be at least one.
pub(crate) fn at_least_one(value: f64, what: &str) -> Result<f64, LabError> {
    if value.is_finite() && value >= 1.0 {
        Ok(value)
    } else {
        Err(LabError::new(format!("{what} is {value}; give 1 or more")))
    }
}

/// A number that may be zero, not less.
pub(crate) fn zero_or_more(value: f64, what: &str) -> Result<f64, LabError> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(LabError::new(format!("{what} is {value}; give zero or more")))
    }
}

/// An amount of money that cannot be negative.
pub(crate) fn no_debt(value: Usd, what: &str) -> Result<Usd, LabError> {
    zero_or_more(value.get(), what).map(|_| value)
}

/// What becomes a cell of the list of inputs.
pub trait InCell {
    /// With its usual number of digits.
    fn cell(&self) -> Cell;
}

impl InCell for f64 {
    fn cell(&self) -> Cell {
        Cell::Figure(*self)
    }
}

impl InCell for u64 {
    fn cell(&self) -> Cell {
        Cell::Count(*self)
    }
}

impl InCell for Share {
    fn cell(&self) -> Cell {
        Cell::Figure(self.0)
    }
}

impl InCell for EnergyPrice {
    fn cell(&self) -> Cell {
        Cell::Number(self.usd_per_kwh(), 4)
    }
}

impl InCell for HashPrice {
    fn cell(&self) -> Cell {
        Cell::Number(self.usd_per_ph_day(), 2)
    }
}

impl InCell for Efficiency {
    fn cell(&self) -> Cell {
        Cell::Number(self.joules_per_terahash(), 1)
    }
}

impl InCell for Usd {
    fn cell(&self) -> Cell {
        Cell::Number(self.get(), if self.get().abs() < 1000.0 { 2 } else { 0 })
    }
}

impl InCell for Sats {
    fn cell(&self) -> Cell {
        Cell::Count(self.0)
    }
}

impl InCell for String {
    fn cell(&self) -> Cell {
        Cell::Text(self.clone())
    }
}

impl<T: InCell> Given<T> {
    /// A line of the list of inputs.
    pub(crate) fn line(&self, name: &'static str) -> Input {
        self.input_as(name, InCell::cell)
    }
}

impl From<UnitError> for LabError {
    fn from(error: UnitError) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_as_a_number_or_a_percentage() {
        assert_eq!("95%".parse::<Share>().unwrap().get(), 0.95);
        assert_eq!("0.95".parse::<Share>().unwrap().to_string(), "95.0 %");
        for bad in ["95", "-0.1", "NaN", "half", "101%", "inf", ""] {
            let said = bad.parse::<Share>().unwrap_err().to_string();
            assert!(said.ends_with("write it like \"0.95\" or \"95%\""), "{said}");
        }
    }

    #[test]
    fn a_number_out_of_range_is_named_with_what_would_do() {
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(positive(value, "x").is_err());
            assert!(zero_or_more(value, "x").is_err());
            assert!(at_least_one(value, "x").is_err());
            assert!(Share::new(value, "x").is_err());
        }
        assert_eq!(
            positive(0.0, "years").unwrap_err().to_string(),
            "years is 0; give a number above zero"
        );
    }
}
