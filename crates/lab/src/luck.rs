//! Luck: what a steady rate of blocks leaves to chance. Blocks found are a Poisson process.
//!
//! It owns the odds of one rate. It never knows whose rate it is, nor what a block pays.

use statrs::{
    distribution::{ContinuousCDF, Normal},
    function::gamma::checked_gamma_ur,
};

/// Blocks from which on a Poisson law is as good as normal: exact sums take too long.
const MANY: f64 = 1e6;

/// Blocks the network finds a day at its ten-minute interval.
pub const BLOCKS_PER_DAY: f64 = 144.0;

/// Blocks the network finds in a year of 365 days.
pub const BLOCKS_PER_YEAR: f64 = 52_560.0;

/// Blocks that a share (0 to 1) of the network's hashrate expects in this many days.
pub fn expected_blocks(share: f64, days: f64) -> f64 {
    share * days * BLOCKS_PER_DAY
}

/// P(at least one block) where `mean` are expected: 1 - exp(-mean).
pub fn at_least_one(mean: f64) -> f64 {
    -(-mean).exp_m1()
}

/// P(at most `blocks`) where `mean` are expected: the regularised upper incomplete gamma function
/// Q(blocks + 1, mean). NaN for a negative or infinite mean.
pub fn at_most(blocks: u64, mean: f64) -> f64 {
    if mean == 0.0 {
        return 1.0;
    }
    checked_gamma_ur(blocks as f64 + 1.0, mean).unwrap_or(f64::NAN)
}

/// The least number of blocks with P(at most it) >= `part`, where `mean` are expected; `None` for a
/// part outside of 0 to 1 (both excluded), a mean that is negative or not finite, and more blocks than
/// can be counted. From a million blocks on it is the quantile of Cornish and Fisher, mean + z sqrt(mean)
/// + (z^2 - 1) / 6, which is then right to a block.
pub fn quantile(mean: f64, part: f64) -> Option<u64> {
    if !(part > 0.0 && part < 1.0 && mean >= 0.0 && mean.is_finite()) {
        return None;
    }
    if mean > MANY {
        let z = Normal::standard().inverse_cdf(part);
        let blocks = (mean + z * mean.sqrt() + (z * z - 1.0) / 6.0).round();
        return (blocks < 1e18).then_some(blocks as u64);
    }
    let enough = |blocks| at_most(blocks, mean) >= part;
    let (mut least, mut most) = (0, mean.ceil() as u64 + 1);
    while !enough(most) {
        (least, most) = (most, most * 2);
    }
    while least < most {
        let middle = least + (most - least) / 2;
        if enough(middle) {
            most = middle;
        } else {
            least = middle + 1;
        }
    }
    Some(most)
}

/// Standard deviation of the blocks found, as a part of the `mean` expected: 1 / sqrt(mean).
pub fn relative_deviation(mean: f64) -> f64 {
    mean.sqrt().recip()
}

/// The wait within which the first block comes with probability `part`, in units of the mean wait:
/// -ln(1 - part).
pub fn wait(part: f64) -> f64 {
    -(-part).ln_1p()
}

/// Blocks that whoever pays per share must hold to be ruined with probability `ruin` at most, at this
/// fee (both 0 to 1): ln(1/ruin) / (2 fee) (Rosenfeld 2011, section 3.3, for a small fee).
pub fn share_reserve(fee: f64, ruin: f64) -> f64 {
    -ruin.ln() / (2.0 * fee)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_miners_of_one_block_a_period_find_one_with_63_percent() {
        assert_eq!(format!("{:.1}", 100.0 * at_least_one(1.0)), "63.2");
        for (miners, finders) in [(52_560.0, 33_224), (4_380.0, 2_769), (144.0, 91)] {
            assert_eq!((miners * at_least_one(1.0)).round() as u64, finders);
        }
    }

    #[test]
    fn the_chance_of_a_hobbyist_keeps_its_digits() {
        let mean = expected_blocks(1.2e12 / 1e21, 365.0);
        assert!((at_least_one(mean) / mean - 1.0).abs() < 1e-4);
        assert_eq!((1.0 / mean).round(), 15_855.0);
    }

    #[test]
    fn a_reserve_covers_the_bad_luck_of_payment_per_share() {
        for (fee, blocks) in [(0.01, 345.0), (0.05, 69.0)] {
            assert_eq!(share_reserve(fee, 1e-3).round(), blocks);
        }
    }

    #[test]
    fn quantiles_are_the_least_counts_that_reach_their_part() {
        // Sums of exp(-mean) mean^k / k!.
        for (mean, part, blocks) in [
            (0.0, 0.5, 0),
            (1e-9, 0.999, 0),
            (1.0, 0.3678, 0),
            (1.0, 0.3679, 1),
            (1.0, 0.95, 3),
            (1.0, 0.05, 0),
            (12.0, 0.05, 7),
            (12.0, 0.5, 12),
            (12.0, 0.95, 18),
            (365.0, 0.5, 365),
        ] {
            assert_eq!(quantile(mean, part), Some(blocks), "{mean} {part}");
        }
        let year = quantile(BLOCKS_PER_YEAR, 0.95).unwrap() as f64;
        assert!((year - (BLOCKS_PER_YEAR + 1.644_854 * BLOCKS_PER_YEAR.sqrt())).abs() < 2.0);
        // From a million blocks on by another formula: the two meet there.
        for part in [0.05, 0.5, 0.95] {
            let (exact, quick) =
                (quantile(MANY, part).unwrap(), quantile(MANY + 0.01, part).unwrap());
            assert!(exact.abs_diff(quick) <= 1, "{part}: {exact} {quick}");
        }
        assert_eq!(quantile(1e12, 0.5), Some(1_000_000_000_000));
        assert_eq!((quantile(1e30, 0.5), quantile(1e300, 0.95)), (None, None));
        for (mean, part) in
            [(-1.0, 0.5), (f64::NAN, 0.5), (f64::INFINITY, 0.5), (1.0, 1.0), (1.0, 0.0)]
        {
            assert_eq!(quantile(mean, part), None);
        }
    }

    #[test]
    fn luck_evens_out_with_the_square_root_of_the_blocks() {
        for (mean, part) in [(1.0, 1.0), (100.0, 0.1), (10_000.0, 0.01)] {
            assert_eq!(relative_deviation(mean), part);
        }
        assert!((wait(0.5) - 2f64.ln()).abs() < 1e-15);
        assert_eq!(format!("{:.2} {:.2}", wait(0.05), wait(0.95)), "0.05 3.00");
    }
}
