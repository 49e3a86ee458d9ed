//! Difficulty, as Stratum and Bitcoin count it, and the work it stands for.

use crate::{Hashrate, UnitError};
use std::{fmt, iter::Sum, ops::AddAssign, time::Duration};

/// How much harder a target is than Bitcoin's easiest mainnet target (`0x00000000ffff << 208`).
/// Always positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Difficulty(f64);

impl Difficulty {
    /// Bitcoin's easiest mainnet target.
    pub const ONE: Self = Self(1.0);
    /// Easier than any hash can miss; what a best share starts from.
    pub const MIN: Self = Self(f64::MIN_POSITIVE);
    /// Harder than any hash can meet.
    pub const MAX: Self = Self(f64::MAX);

    /// Expected hashes per unit of difficulty: 2^256 / (0xffff << 208).
    pub const HASHES_PER_UNIT: f64 = 4_295_032_833.000_015;

    /// Refuses what is not positive and finite: a difficulty from the network may be NaN or -1.
    pub fn new(value: f64) -> Result<Self, UnitError> {
        if value.is_finite() && value > 0.0 {
            Ok(Self(value))
        } else {
            Err(UnitError::NotPositive("difficulty"))
        }
    }

    /// The number itself.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The work that one share at this difficulty proves on average.
    pub fn work(self) -> Work {
        Work(self.0 * Self::HASHES_PER_UNIT)
    }

    /// The nearest power of two on the logarithmic scale: 1.4 gives 1, 1.5 gives 2, 0.3 gives 0.25.
    pub fn nearest_power_of_two(self) -> Self {
        Self(self.0.log2().round().exp2()).clamp(Self::MIN, Self::MAX)
    }

    /// The difficulty at which a machine of this hashrate finds one share per `interval`.
    pub fn for_interval(rate: Hashrate, interval: Duration) -> Result<Self, UnitError> {
        Self::new(rate.hashes_per_second() * interval.as_secs_f64() / Self::HASHES_PER_UNIT)
    }

    /// Half of it, but never nothing.
    pub fn half(self) -> Self {
        Self(self.0 / 2.0).max(Self::MIN)
    }

    /// The lower of the two.
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// The higher of the two.
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// This, moved into the range from `low` to `high`.
    pub fn clamp(self, low: Self, high: Self) -> Self {
        self.max(low).min(high)
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::si::write(f, self.0, "")
    }
}

/// Expected number of hashes behind some shares. Sums of power-of-two difficulties are exact until
/// the largest is 2^53 times the smallest.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Work(f64);

impl Work {
    /// No work.
    pub const ZERO: Self = Self(0.0);

    /// Work from a number of hashes as the ledger stores it.
    pub fn from_hashes(hashes: f64) -> Self {
        Self(hashes.max(0.0))
    }

    /// The expected number of hashes.
    pub fn hashes(self) -> f64 {
        self.0
    }

    /// The hashrate that does this work in this time; `None` for no time at all.
    pub fn over(self, time: Duration) -> Option<Hashrate> {
        (!time.is_zero()).then(|| Hashrate::from_hashes_per_second(self.0 / time.as_secs_f64()))
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        // Not `sum`, whose empty sum is -0.
        Self(iter.fold(0.0, |sum, work| sum + work.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difficulty_is_positive_and_finite() {
        for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0, -0.0, f64::NEG_INFINITY] {
            assert!(Difficulty::new(bad).is_err(), "{bad}");
        }
        assert_eq!(Difficulty::new(0.5).unwrap().get(), 0.5);
    }

    #[test]
    fn rounding_to_a_power_of_two_is_to_the_nearest_on_the_log_scale() {
        for (given, want) in
            [(1.0, 1.0), (1.4, 1.0), (1.5, 2.0), (0.3, 0.25), (349.0, 256.0), (363.0, 512.0)]
        {
            assert_eq!(Difficulty::new(given).unwrap().nearest_power_of_two().get(), want);
        }
    }

    #[test]
    fn a_machine_of_half_a_terahash_finds_a_share_of_difficulty_349_every_three_seconds() {
        let rate = Hashrate::from_hashes_per_second(0.5e12);
        let difficulty = Difficulty::for_interval(rate, Duration::from_secs(3)).unwrap();
        assert!((difficulty.get() - 349.24).abs() < 0.01);
        let again = difficulty.work().over(Duration::from_secs(3)).unwrap();
        assert!((again.hashes_per_second() / 0.5e12 - 1.0).abs() < 1e-12);
    }
}
