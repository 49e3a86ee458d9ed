//! A year of blocks, again and again: who finds one in a year, a month, a day.
//!
//! The network finds blocks as a Poisson process, so miners are independent and the year's total is
//! left to chance as well, as it is in the world. Most draws are per block and not per miner:
//!
//! ```text
//! rates, falling   ████▇▇▇▆▆▅▅▄▄▃▃▃▂▂▂▂▁▁▁▁▁▁▁▁▁▁
//!                  │single│ crowd │  crowd   │ …     rates in a crowd are alike
//! ```
//!
//! A miner that expects many blocks is one Poisson draw. A crowd draws how many blocks it would find
//! if all had its highest rate, gives each to a miner of the crowd evenly, and keeps it with that
//! miner's rate over the highest: exact, and the rate is only read in the few cases where the keeping
//! is in doubt. Whoever has found is a bit in a field that fits the first-level cache.

use super::population::{Part, Period, Population, Tier};
use crate::{LabError, Progress, random::stream};
use rand_distr::{Distribution, Poisson};
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::RngCore};
use rayon::prelude::*;

/// Miners of a crowd, at most.
const CROWD: usize = 1 << 18;
/// A crowd ends before the blocks whose keeping is in doubt exceed this: what a crowd of its own costs.
const DOUBT: f64 = 4.0;
/// Who expects this many blocks or more is drawn alone.
const ALONE: f64 = 12.0;

/// More replicates than this are refused.
const MOST_REPLICATES: u64 = 1_000_000;

/// How the replicates came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Luck {
    /// Miners that found at least one block, in the order of the periods asked for.
    pub finders: Vec<Band>,
    /// Blocks that each tier found in the first of these periods, in the order of [`Tier::ALL`].
    pub blocks: [Band; 4],
    /// Miners of each tier that found at least one in it.
    pub tier_finders: [Band; 4],
}

/// A mean and quantiles over replicates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// Mean.
    pub mean: f64,
    /// Standard error of the mean.
    pub standard_error: f64,
    /// 5 % of the replicates are not above this.
    pub low: u64,
    /// Half are not above this.
    pub median: u64,
    /// 95 % are not above this.
    pub high: u64,
}

/// What one replicate counted.
#[derive(Clone, Copy, Default)]
struct Counted {
    finders: [u32; 3],
    blocks: [u32; 4],
    tier_finders: [u32; 4],
}

/// The blocks of `replicates` periods of each of these lengths, each drawn for itself. The result
/// depends on the seed and not on the number of threads.
pub fn simulate(
    population: &Population,
    periods: &[Period],
    replicates: u64,
    seed: u64,
    progress: &Progress,
) -> Result<Luck, LabError> {
    check_replicates(replicates)?;
    let samplers: Vec<Sampler<'_>> =
        periods.iter().map(|p| Sampler::new(population, *p)).collect::<Result<_, _>>()?;
    if periods.is_empty() || periods.len() > Period::ALL.len() {
        return Err(LabError::new("ask for one, two or three periods"));
    }
    progress.expect(replicates);
    let field = || Box::new([0; CROWD / 64]);
    let counted: Vec<Counted> = (0..replicates)
        .into_par_iter()
        .map_init(field, |found, replicate| {
            let mut random = stream(seed, replicate);
            let mut counted = Counted::default();
            for (i, sampler) in samplers.iter().enumerate() {
                let (blocks, tier_finders) = sampler.draw(&mut random, found);
                counted.finders[i] = tier_finders.iter().sum();
                if i == 0 {
                    (counted.blocks, counted.tier_finders) = (blocks, tier_finders);
                }
            }
            progress.advance(1);
            counted
        })
        .collect();
    let band = |of: &dyn Fn(&Counted) -> u32| Band::over(counted.iter().map(of).collect());
    Ok(Luck {
        finders: (0..samplers.len()).map(|i| band(&|c: &Counted| c.finders[i])).collect(),
        blocks: std::array::from_fn(|i| band(&|c: &Counted| c.blocks[i])),
        tier_finders: std::array::from_fn(|i| band(&|c: &Counted| c.tier_finders[i])),
    })
}

/// Refuses none, and more than memory holds.
pub(super) fn check_replicates(replicates: u64) -> Result<(), LabError> {
    match replicates {
        0 => Err(LabError::new("there are zero replicates; give at least one")),
        1..=MOST_REPLICATES => Ok(()),
        _ => Err(LabError::new(format!(
            "{replicates} replicates are too many; give at most {MOST_REPLICATES}"
        ))),
    }
}

impl Band {
    /// Over at least one count.
    pub(super) fn over(mut counts: Vec<u32>) -> Self {
        counts.sort_unstable();
        let n = counts.len() as f64;
        let mean = counts.iter().map(|c| f64::from(*c)).sum::<f64>() / n;
        let squares = counts.iter().map(|c| (f64::from(*c) - mean).powi(2)).sum::<f64>();
        let at = |part: f64| {
            let place = (part * n).ceil() as usize;
            counts.get(place.saturating_sub(1)).copied().map_or(0, u64::from)
        };
        Self {
            mean,
            standard_error: (squares / (n - 1.0).max(1.0) / n).sqrt(),
            low: at(0.05),
            median: at(0.5),
            high: at(0.95),
        }
    }
}

/// Everything that is known before a period is drawn.
struct Sampler<'p> {
    period: Period,
    singles: Vec<Single>,
    crowds: Vec<Crowd<'p>>,
}

struct Single {
    tier: Tier,
    blocks: Poisson<f64>,
}

struct Crowd<'p> {
    tier: Tier,
    miners: u64,
    /// Blocks that all would find at the highest rate.
    blocks: Poisson<f64>,
    /// Rates over this are kept without a look, in units of the highest times 2^-64.
    sure: u64,
    /// The highest rate times 2^-64.
    unit: f64,
    /// Rate of each; empty if all are equal.
    rates: &'p [f64],
}

impl<'p> Sampler<'p> {
    fn new(population: &'p Population, period: Period) -> Result<Self, LabError> {
        let mut sampler = Self { period, singles: Vec::new(), crowds: Vec::new() };
        for part in population.parts() {
            match part {
                Part::Each(rates) => sampler.add_each(rates)?,
                Part::Equal { miners, rate } => sampler.add_equal(*miners, *rate)?,
            }
        }
        Ok(sampler)
    }

    fn add_each(&mut self, mut rates: &'p [f64]) -> Result<(), LabError> {
        while let Some(&highest) = rates.first() {
            let tier = Tier::of(highest);
            if highest / self.period.per_year() >= ALONE {
                self.singles.push(Single { tier, blocks: poisson(highest, self.period)? });
                rates = rates.get(1..).unwrap_or_default();
                continue;
            }
            let ends = |(before, rate): (usize, &f64)| {
                let doubt = before as f64 * (highest - rate) / self.period.per_year();
                doubt > DOUBT || Tier::of(*rate) != tier
            };
            let most = rates.len().min(CROWD);
            let size = rates.iter().enumerate().take(most).position(ends).unwrap_or(most).max(1);
            let (crowd, rest) = rates.split_at(size);
            let lowest = crowd.last().copied().unwrap_or(highest);
            self.add_crowd(crowd.len() as u64, highest, lowest, crowd)?;
            rates = rest;
        }
        Ok(())
    }

    fn add_equal(&mut self, miners: u64, rate: f64) -> Result<(), LabError> {
        if rate / self.period.per_year() >= ALONE {
            for _ in 0..miners {
                let blocks = poisson(rate, self.period)?;
                self.singles.push(Single { tier: Tier::of(rate), blocks });
            }
            return Ok(());
        }
        let mut left = miners;
        while left > 0 {
            let crowd = left.min(CROWD as u64);
            self.add_crowd(crowd, rate, rate, &[])?;
            left -= crowd;
        }
        Ok(())
    }

    fn add_crowd(
        &mut self,
        miners: u64,
        highest: f64,
        lowest: f64,
        rates: &'p [f64],
    ) -> Result<(), LabError> {
        const FULL: f64 = 18_446_744_073_709_551_616.0;
        // Casting saturates: of equal rates all are sure.
        let sure = (lowest / highest * FULL) as u64;
        self.crowds.push(Crowd {
            tier: Tier::of(highest),
            miners,
            blocks: poisson(highest * miners as f64, self.period)?,
            sure,
            unit: highest / FULL,
            rates,
        });
        Ok(())
    }

    /// Blocks found and miners that found, by tier.
    fn draw(
        &self,
        random: &mut Xoshiro256PlusPlus,
        found: &mut [u64; CROWD / 64],
    ) -> ([u32; 4], [u32; 4]) {
        let (mut blocks, mut finders) = ([0; 4], [0; 4]);
        for Single { tier, blocks: law } in &self.singles {
            let drawn = law.sample(random) as u32;
            blocks[*tier as usize] += drawn;
            finders[*tier as usize] += u32::from(drawn > 0);
        }
        for crowd in &self.crowds {
            let (b, f) = crowd.draw(random, found);
            blocks[crowd.tier as usize] += b;
            finders[crowd.tier as usize] += f;
        }
        (blocks, finders)
    }
}

impl Crowd<'_> {
    fn draw(&self, random: &mut Xoshiro256PlusPlus, found: &mut [u64; CROWD / 64]) -> (u32, u32) {
        let candidates = self.blocks.sample(random) as u64;
        if candidates == 0 {
            return (0, 0);
        }
        let (mut blocks, mut finders) = (0, 0);
        for _ in 0..candidates {
            // The product's high half is a miner, its low half is even between 0 and 2^64.
            let product = u128::from(random.next_u64()) * u128::from(self.miners);
            let (miner, part) = ((product >> 64) as usize, product as u64);
            if part > self.sure && !self.keeps(miner, part) {
                continue;
            }
            let word = &mut found[miner / 64 % (CROWD / 64)];
            let bit = 1 << (miner % 64);
            blocks += 1;
            finders += u32::from(*word & bit == 0);
            *word |= bit;
        }
        let words = self.miners.div_ceil(64) as usize;
        found.iter_mut().take(words).for_each(|word| *word = 0);
        (blocks, finders)
    }

    fn keeps(&self, miner: usize, part: u64) -> bool {
        self.rates.get(miner).is_none_or(|rate| (part as f64) * self.unit < *rate)
    }
}

fn poisson(rate: f64, period: Period) -> Result<Poisson<f64>, LabError> {
    Poisson::new(rate / period.per_year())
        .map_err(|e| LabError::new(format!("a rate of {rate} blocks a year cannot be drawn: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::{Tiers, ZipfMandelbrot};

    fn populations() -> Vec<Population> {
        let tiers = Tiers {
            shape: Tiers::SHAPE,
            daily: 35,
            monthly: 1000,
            yearly: 13_000,
            hobbyists: 600_000,
        };
        vec![
            Population::equal(9).unwrap(),
            Population::equal(52_560).unwrap(),
            Population::equal(300_000).unwrap(),
            Population::pareto(52_560, 2.0).unwrap(),
            ZipfMandelbrot::new(1.0, 0.0, 400_000).unwrap().population().unwrap(),
            tiers.population().unwrap(),
        ]
    }

    #[test]
    fn finders_agree_with_the_closed_form_within_4_standard_errors() {
        for population in populations() {
            let luck = simulate(&population, &Period::ALL, 100, 1, &Progress::new()).unwrap();
            for (band, period) in luck.finders.iter().zip(Period::ALL) {
                let (mean, deviation) = population.finders(period);
                let error = (deviation / 10.0).max(1e-9);
                assert!((band.mean - mean).abs() < 4.0 * error, "{period:?}: {band:?}, {mean}");
                // The spread itself: 100 replicates know it to 7 %, if it is not from a rare event.
                let apart = (band.standard_error - error).abs();
                assert!(deviation < 0.3 || apart < 0.3 * error, "{period:?}: {band:?}, {error}");
            }
            for (band, tier) in luck.blocks.iter().zip(population.tiers()) {
                let error = tier.blocks_per_year.sqrt() / 10.0;
                assert!(
                    (band.mean - tier.blocks_per_year).abs() <= 4.0 * error,
                    "{band:?} {tier:?}"
                );
            }
        }
    }

    #[test]
    fn one_thread_and_two_find_the_same_blocks() {
        let population = ZipfMandelbrot::new(1.0, 0.0, 20_000).unwrap().population().unwrap();
        let on = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                simulate(&population, &Period::ALL, 50, seed, &Progress::new()).unwrap()
            })
        };
        assert_eq!(on(1, 7), on(2, 7));
        assert_ne!(on(1, 7), on(1, 8));
    }

    #[test]
    fn a_crowd_keeps_each_rate_and_not_only_their_sum() {
        // Two rates 8 % apart in one crowd: whoever has the lower finds 8 % less.
        let rates = [vec![0.04; 500], vec![0.0368; 500]].concat();
        let population = Population::new(vec![Part::Each(rates)]).unwrap();
        let sampler = Sampler::new(&population, Period::Year).unwrap();
        assert_eq!(sampler.crowds.len(), 1);
        let crowd = &sampler.crowds[0];
        let (mut random, mut kept) = (stream(1, 1), [0u32; 2]);
        for _ in 0..200_000 {
            let product = u128::from(random.next_u64()) * 1000;
            let (miner, part) = ((product >> 64) as usize, product as u64);
            kept[miner / 500] += u32::from(part <= crowd.sure || crowd.keeps(miner, part));
        }
        let ratio = f64::from(kept[1]) / f64::from(kept[0]);
        assert!((ratio - 0.92).abs() < 4.0 * 0.92 * (2.0f64 / 100_000.0).sqrt(), "{ratio}");
        assert!(f64::from(kept[0]) > 99_000.0);
    }

    #[test]
    fn ten_million_miners_are_drawn() {
        let population = Population::equal(10_000_000).unwrap();
        let luck = simulate(&population, &Period::ALL, 4, 1, &Progress::new()).unwrap();
        let (mean, deviation) = population.finders(Period::Year);
        assert!((luck.finders[0].mean - mean).abs() < 4.0 * deviation / 2.0);
    }

    #[test]
    fn no_replicates_and_more_than_memory_holds_are_refused() {
        let population = Population::equal(1).unwrap();
        for (replicates, says) in [(0, "zero replicates"), (u64::MAX, "too many")] {
            let all = &Period::ALL;
            let said = simulate(&population, all, replicates, 1, &Progress::new()).unwrap_err();
            assert!(said.to_string().contains(says), "{said}");
        }
    }
}
