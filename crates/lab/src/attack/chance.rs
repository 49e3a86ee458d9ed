//! Randomness and what is learned from it: seeded streams, biased coins, estimates with their
//! standard errors. Results depend on the seed and never on the number of threads.

pub use crate::random::stream;

use crate::Progress;
use rand::RngCore;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use statrs::{
    distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal},
    statistics::Statistics,
};

/// Games that share one stream of random numbers: the unit of work for a thread.
const BATCH: u64 = 4096;

/// A seed for one of several analyses made from the same seed, so that they share no streams.
pub fn seed_of(seed: u64, analysis: u64) -> u64 {
    stream(seed, u64::MAX - analysis).next_u64()
}

/// Falls heads with a fixed probability.
#[derive(Debug, Clone, Copy)]
pub struct Coin(u64);

impl Coin {
    /// Heads with `probability`, exact to 2^-64; 1 and above is heads but for once in 2^64.
    pub fn new(probability: f64) -> Self {
        Self((probability * 2f64.powi(64)) as u64)
    }

    /// Heads?
    #[inline]
    pub fn flip(self, random: &mut impl RngCore) -> bool {
        random.next_u64() < self.0
    }
}

/// A simulated mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Games, blocks or replicates it rests on.
    pub samples: u64,
    /// Of a probability: the games that were won.
    pub won: Option<u64>,
}

impl Estimate {
    /// Of a probability.
    pub fn of_wins(won: u64, games: u64) -> Self {
        let mean = won as f64 / games as f64;
        let standard_error = (mean * (1.0 - mean) / games as f64).sqrt();
        Self { mean, standard_error, samples: games, won: Some(won) }
    }

    /// Of the mean of independent replicates; at least two.
    pub fn of_replicates(values: &[f64]) -> Self {
        let standard_error = values.std_dev() / (values.len() as f64).sqrt();
        Self { mean: values.mean(), standard_error, samples: values.len() as u64, won: None }
    }

    /// Of a ratio of sums over independent runs, (above, below) of each; at least two. The mean of the
    /// runs' own ratios would be off by as much as their lengths vary.
    pub fn of_ratio(runs: &[(f64, f64)]) -> Self {
        let n = runs.len() as f64;
        let sums = runs.iter().fold((0.0, 0.0), |(a, b), run| (a + run.0, b + run.1));
        let mean = sums.0 / sums.1;
        let squares: f64 = runs.iter().map(|(above, below)| (above - mean * below).powi(2)).sum();
        let standard_error = (squares * n / (n - 1.0)).sqrt() / sums.1;
        Self { mean, standard_error, samples: runs.len() as u64, won: None }
    }

    /// Of the mean of `samples` values, from their sum and the sum of their squares; at least two.
    pub fn of_sums(sum: f64, squares: f64, samples: u64) -> Self {
        let n = samples as f64;
        let mean = sum / n;
        let variance = (squares - n * mean * mean).max(0.0) / (n - 1.0);
        Self { mean, standard_error: (variance / n).sqrt(), samples, won: None }
    }

    /// How far it lies from `expected`, in standard errors.
    ///
    /// For a probability the standard error is the one `expected` predicts; where that predicts too
    /// few wins or losses for a normal law, the exact binomial tail is turned into standard errors.
    /// Where a count did not vary in n samples, one that it misses may be as common as 1 in n.
    pub fn deviation(&self, expected: f64) -> f64 {
        let Some(won) = self.won else {
            let unseen = 1.0 / self.samples as f64;
            let error = if self.standard_error > 0.0 { self.standard_error } else { unseen };
            return (self.mean - expected) / error;
        };
        let games = self.samples as f64;
        let variance = games * expected * (1.0 - expected);
        let distance = won as f64 - games * expected;
        if distance == 0.0 {
            return 0.0;
        }
        if variance > 100.0 {
            return distance / variance.sqrt();
        }
        let Ok(law) = Binomial::new(expected, self.samples) else { return f64::NAN };
        let tail = match distance > 0.0 {
            true => law.sf(won.saturating_sub(1)),
            false => law.cdf(won),
        };
        // A tail of half or more is the middle of the law; one of 0 lies beyond what f64 resolves.
        let size = -Normal::standard().inverse_cdf(tail.clamp(1e-300, 0.5));
        size * distance.signum()
    }
}

/// Plays `games` in batches on all threads: `play` is given a stream and plays so many games; what
/// the batches return is put together by `merge`, in order.
pub fn batches<T: Send + Default>(
    games: u64,
    seed: u64,
    progress: &Progress,
    play: impl Fn(&mut Xoshiro256PlusPlus, u64) -> T + Sync,
    merge: impl Fn(T, T) -> T,
) -> T {
    progress.expect(games);
    let results: Vec<T> = (0..games.div_ceil(BATCH))
        .into_par_iter()
        .map(|batch| {
            let here = BATCH.min(games - batch * BATCH);
            let result = play(&mut stream(seed, batch), here);
            progress.advance(here);
            result
        })
        .collect();
    // One after the other: sums of floating-point numbers depend on their order, and rayon's own
    // order depends on which thread was free.
    results.into_iter().fold(T::default(), merge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_result_on_any_number_of_threads() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let sum = |random: &mut Xoshiro256PlusPlus, games| {
                    (0..games).fold(0u64, |sum, _| sum.wrapping_add(random.next_u64()))
                };
                batches(100_000, 7, &Progress::new(), sum, u64::wrapping_add)
            })
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn sums_of_fractions_are_added_in_one_order_on_any_number_of_threads() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let sum = |random: &mut Xoshiro256PlusPlus, games| {
                    (0..games).fold(0.0, |sum, _| sum + random.next_u64() as f64 / 3e19)
                };
                batches(400_000, 7, &Progress::new(), sum, |a: f64, b| a + b).to_bits()
            })
        };
        let one = run(1);
        assert!((2..6).all(|threads| run(threads) == one));
    }

    #[test]
    fn replicates_and_seeds_have_streams_of_their_own() {
        let first = |seed, replicate| stream(seed, replicate).next_u64();
        let all = [first(1, 0), first(1, 1), first(2, 0), first(2, 1), first(0, 1)];
        for (i, a) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(a));
        }
    }

    #[test]
    fn a_coin_falls_as_often_as_it_should() {
        for p in [0.0, 0.25, 0.5, 0.999, 1.0] {
            let mut random = stream(1, 0);
            let coin = Coin::new(p);
            let heads = (0..100_000).filter(|_| coin.flip(&mut random)).count() as u64;
            let seen = Estimate::of_wins(heads, 100_000);
            assert!(heads == (p * 1e5) as u64 || seen.deviation(p).abs() < 4.0, "{p}: {heads}");
        }
    }

    #[test]
    fn deviations_follow_the_exact_law_where_wins_are_rare() {
        // 3 wins where 0.25 were expected: P = 0.00216, which is 2.85 standard errors, not 5.5.
        let rare = Estimate::of_wins(3, 10_000).deviation(2.5e-5);
        assert!((rare - 2.85).abs() < 0.02, "{rare}");
        let common = Estimate::of_wins(5_100, 10_000).deviation(0.5);
        assert!((common - 2.0).abs() < 1e-9, "{common}");
        assert_eq!(Estimate::of_wins(0, 10).deviation(0.0), 0.0);
    }
}
