//! Money: integers wherever something is owed, dollars in floating point only for estimates.

use crate::{UnitError, linear::linear, si};
use std::{fmt, iter::Sum, str::FromStr};

/// Satoshis: 10^-8 bitcoin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Sats(pub u64);

impl Sats {
    /// In bitcoin as a text with eight decimals, exact.
    pub fn to_btc(self) -> String {
        format!("{}.{:08}", self.0 / 100_000_000, self.0 % 100_000_000)
    }
}

impl fmt::Display for Sats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sats", self.0)
    }
}

impl Sum for Sats {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        Self(iter.map(|s| s.0).sum())
    }
}

/// Thousandths of a satoshi: what Lightning and share accounting count in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct MilliSats(pub u64);

impl MilliSats {
    /// Whole satoshis, rounded down: never more than is owed.
    pub fn whole_sats(self) -> Sats {
        Sats(self.0 / 1000)
    }
}

impl TryFrom<Sats> for MilliSats {
    type Error = UnitError;

    /// Refuses more satoshis than fit; all that will ever exist do.
    fn try_from(sats: Sats) -> Result<Self, UnitError> {
        sats.0.checked_mul(1000).map(Self).ok_or(UnitError::TooMuch("an amount in millisatoshis"))
    }
}

impl fmt::Display for MilliSats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} msats", self.0)
    }
}

impl Sum for MilliSats {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        Self(iter.map(|s| s.0).sum())
    }
}

/// US dollars of an estimate: a price, a cost, a gain; finite, either sign. What anybody is owed is
/// never kept in this type: the ledger's money is [`Sats`] and [`MilliSats`], integers.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Usd(f64);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);

    /// Refuses NaN and infinities.
    pub fn new(dollars: f64) -> Result<Self, UnitError> {
        UnitError::finite(dollars, "an amount in dollars").map(Self)
    }

    /// For what cannot be negative, such as the price of a machine or of a bitcoin.
    pub fn price(dollars: f64) -> Result<Self, UnitError> {
        UnitError::zero_or_more(dollars, "a price in dollars").map(Self)
    }

    /// Dollars.
    pub fn get(self) -> f64 {
        self.0
    }

    pub(crate) fn of(dollars: f64) -> Self {
        Self(dollars)
    }
}

linear!(Usd);

impl fmt::Display for Usd {
    /// Cents below 1,000 dollars, whole dollars below a million, then a prefix: `$7.64`, `$14,300`,
    /// `$1.85 M`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, amount) = if self.0 <= -0.005 { ("-", -self.0) } else { ("", self.0.abs()) };
        match amount {
            a if a < 999.995 => write!(f, "{sign}${a:.2}"),
            a if a < 999_999.5 => {
                let whole = a.round() as u64;
                write!(f, "{sign}${},{:03}", whole / 1000, whole % 1000)
            }
            a => {
                write!(f, "{sign}$")?;
                si::write(f, a, "")
            }
        }
    }
}

impl FromStr for Usd {
    type Err = UnitError;

    /// Reads `4830`, `$4830`, `$87.5k`, `1.45M`, `-3`, `$4,830`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let number = text.replacen('$', "", 1).replace(',', "");
        si::read(&number, &["USD", ""])
            .ok_or_else(|| UnitError::unreadable("sum of dollars", text, "$87.5k"))
            .and_then(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millisatoshis_round_down_to_what_can_be_paid() {
        assert_eq!(MilliSats(1_999).whole_sats(), Sats(1));
        assert_eq!(MilliSats::try_from(Sats(2)).unwrap(), MilliSats(2_000));
        assert!(MilliSats::try_from(Sats(u64::MAX)).is_err());
    }

    #[test]
    fn dollars_read_and_print_with_a_sign_and_a_prefix() {
        for (text, dollars, printed) in [
            ("4830", 4830.0, "$4,830"),
            ("$4,830", 4830.0, "$4,830"),
            ("$87.5k", 87_500.0, "$87,500"),
            ("1.85M", 1.85e6, "$1.85 M"),
            ("-3", -3.0, "-$3.00"),
            ("7.64 USD", 7.64, "$7.64"),
            ("-0.001", -0.001, "$0.00"),
            ("999999.9", 999_999.9, "$1.00 M"),
        ] {
            let usd: Usd = text.parse().unwrap();
            assert_eq!((usd.get(), usd.to_string()), (dollars, printed.into()), "{text}");
        }
        for bad in ["", "dear", "NaN", "inf", "€3", "1e999"] {
            assert!(bad.parse::<Usd>().is_err(), "{bad}");
        }
        assert!(Usd::price(-1.0).is_err() && Usd::new(f64::NAN).is_err());
    }

    #[test]
    fn bitcoin_are_printed_exactly() {
        assert_eq!(Sats(312_500_000).to_btc(), "3.12500000");
        assert_eq!(Sats(1).to_btc(), "0.00000001");
    }
}
