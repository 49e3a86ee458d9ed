//! How the counts vary if hashrates themselves are chance: miners drawn from a Pareto law.

use super::{
    population::pareto_shape,
    simulate::{Band, check_replicates},
};
use crate::{LabError, Progress, luck::BLOCKS_PER_YEAR, random::stream};
use rand::Rng;
use rayon::prelude::*;

/// How many of the drawn miners expect at least so many blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// In the order of the rates asked for.
    pub expecting: Vec<Band>,
}

/// Draws `miners` from a Pareto law, scales them so that together they expect all blocks, and counts
/// those that expect at least each of `rates` (blocks a year); `replicates` times. The result depends
/// on the seed and not on the number of threads.
pub fn draw_pareto(
    miners: u64,
    shape: f64,
    rates: &[f64],
    replicates: u64,
    seed: u64,
    progress: &Progress,
) -> Result<Drawn, LabError> {
    super::population::count_up(miners)?;
    let power = -pareto_shape(shape)?.recip();
    check_replicates(replicates)?;
    progress.expect(replicates);
    let counted: Vec<Vec<u32>> = (0..replicates)
        .into_par_iter()
        .map_init(Vec::new, |drawn, replicate| {
            // Apart from the blocks of the same seed and replicate.
            let mut random = stream(!seed, replicate);
            drawn.clear();
            drawn.extend((0..miners).map(|_| {
                let even = 1.0 - random.random::<f64>();
                if power == -0.5 { even.sqrt().recip() } else { even.powf(power) }
            }));
            let scale = BLOCKS_PER_YEAR / drawn.iter().sum::<f64>();
            progress.advance(1);
            rates
                .iter()
                .map(|rate| drawn.iter().map(|x| u32::from(x * scale >= *rate)).sum())
                .collect()
        })
        .collect();
    let band = |i: usize| Band::over(counted.iter().map(|c| c[i]).collect());
    Ok(Drawn { expecting: (0..rates.len()).map(band).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::Period;

    /// Test T1.
    #[test]
    fn drawn_pareto_miners_stay_in_the_published_bands() {
        // (population of the period, published 5 and 95 %, tolerance of quantiles of so many draws)
        for (period, low, high, replicates, tolerance) in [
            (Period::Year, 12_834, 13_407, 400, 60),
            (Period::Month, 1_008, 1_170, 1_000, 15),
            (Period::Day, 26, 48, 4_000, 1),
        ] {
            let rates = [period.per_year()];
            let progress = Progress::new();
            let drawn =
                draw_pareto(period.blocks(), 2.0, &rates, replicates, 1, &progress).unwrap();
            let band = drawn.expecting[0];
            assert!(band.low.abs_diff(low) <= tolerance, "{period:?} {band:?}");
            assert!(band.high.abs_diff(high) <= tolerance, "{period:?} {band:?}");
        }
    }

    #[test]
    fn draws_do_not_depend_on_the_number_of_threads() {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| draw_pareto(500, 1.5, &[1.0, 12.0], 40, 3, &Progress::new()).unwrap())
        };
        assert_eq!(on(1), on(2));
    }
}
