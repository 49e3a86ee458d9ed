//! Money, always in integers.

use std::{fmt, iter::Sum};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitcoin_are_printed_exactly() {
        assert_eq!(Sats(312_500_000).to_btc(), "3.12500000");
        assert_eq!(Sats(1).to_btc(), "0.00000001");
    }
}
