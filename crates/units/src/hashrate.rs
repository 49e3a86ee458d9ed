//! Hashes per second.

use crate::{UnitError, si};
use std::{fmt, str::FromStr};

/// Hashes per second; zero or more, finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Hashrate(f64);

impl Hashrate {
    /// No hashing.
    pub const ZERO: Self = Self(0.0);

    /// From hashes per second; anything that is not a positive number counts as none.
    pub fn from_hashes_per_second(rate: f64) -> Self {
        Self(if rate.is_finite() { rate.max(0.0) } else { 0.0 })
    }

    /// Hashes per second.
    pub fn hashes_per_second(self) -> f64 {
        self.0
    }

    /// Terahashes per second: the unit of nameplates and of `_ths` fields.
    pub fn terahashes_per_second(self) -> f64 {
        self.0 / 1e12
    }
}

impl fmt::Display for Hashrate {
    /// Three significant digits and an SI prefix: `1.25 TH/s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        si::write(f, self.0, "H/s")
    }
}

impl FromStr for Hashrate {
    type Err = UnitError;

    /// Reads `500 GH/s`, `500GH`, `1.2T`, `3e6`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let unreadable =
            || UnitError::Unreadable { what: "hashrate", text: text.into(), example: "500 GH/s" };
        let rate = si::read(text, &["H/s", "h/s", "H", ""]).ok_or_else(unreadable)?;
        if rate < 0.0 {
            return Err(UnitError::NotPositive("hashrate"));
        }
        Ok(Self(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hashrate_prints_with_three_digits_and_reads_back() {
        for (rate, text) in [
            (0.0, "0 H/s"),
            (5.25e6, "5.25 MH/s"),
            (1.2e12, "1.20 TH/s"),
            (999.6e9, "1.00 TH/s"),
            (500e12, "500 TH/s"),
            (1.1e21, "1.10 ZH/s"),
        ] {
            assert_eq!(Hashrate::from_hashes_per_second(rate).to_string(), text);
        }
        for (text, rate) in
            [("500 GH/s", 500e9), ("1.2T", 1.2e12), ("2MH", 2e6), ("3e6", 3e6), (" 7 kH/s ", 7e3)]
        {
            assert_eq!(text.parse::<Hashrate>().unwrap().hashes_per_second(), rate, "{text}");
        }
    }

    #[test]
    fn an_unreadable_hashrate_says_how_to_write_one() {
        for bad in ["", "fast", "12 parsecs", "NaN", "-1 TH/s", "inf", "1e300 ZH/s"] {
            assert!(bad.parse::<Hashrate>().is_err(), "{bad}");
        }
        let said = "fast".parse::<Hashrate>().unwrap_err().to_string();
        assert_eq!(said, "\"fast\" is not a hashrate; write it like \"500 GH/s\"");
    }
}
