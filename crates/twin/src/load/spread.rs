//! How a set of times is spread.

use serde::Serialize;

/// First, median, 99th percentile and last of a set of values, in the unit of the field's name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Smallest value.
    pub first: f64,
    /// The value that half are at or below.
    pub median: f64,
    /// The value that 99 of 100 are at or below.
    pub p99: f64,
    /// Largest value.
    pub last: f64,
}

impl Spread {
    /// `None` for no values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        // Nearest rank: the smallest value with at least that share at or below it.
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied()
        };
        Some(Self { first: *values.first()?, median: at(50)?, p99: at(99)?, last: *values.last()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let of = |values: Vec<f64>| Spread::of(values).unwrap();
        let hundred = of((1..=100).rev().map(f64::from).collect());
        let want = (1.0, 50.0, 99.0, 100.0);
        assert_eq!((hundred.first, hundred.median, hundred.p99, hundred.last), want);
        let one = of(vec![7.0]);
        assert_eq!((one.first, one.median, one.p99, one.last), (7.0, 7.0, 7.0, 7.0));
        assert_eq!(of(vec![3.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(Spread::of(vec![]), None);
    }
}
