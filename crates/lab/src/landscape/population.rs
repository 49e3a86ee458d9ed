//! Miners and the blocks each expects a year; what follows in closed form.

use crate::{LabError, luck};
use luck::BLOCKS_PER_YEAR;

/// More miners than this are refused.
pub const MOST_MINERS: u64 = 10_000_000;

/// The time in which a block is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// 365 days, 52,560 blocks.
    Year,
    /// A twelfth of it, 4,380 blocks.
    Month,
    /// 144 blocks.
    Day,
}

impl Period {
    /// Longest first.
    pub const ALL: [Self; 3] = [Self::Year, Self::Month, Self::Day];

    /// How many there are in a year: a miner with this rate expects one block in each.
    pub fn per_year(self) -> f64 {
        match self {
            Self::Year => 1.0,
            Self::Month => 12.0,
            Self::Day => 365.0,
        }
    }

    /// Blocks that the network finds in it.
    pub fn blocks(self) -> u64 {
        match self {
            Self::Year => 52_560,
            Self::Month => 4_380,
            Self::Day => 144,
        }
    }

    /// As people say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
        }
    }
}

/// Size class by blocks expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// One a day or more.
    Industrial,
    /// One a month or more.
    Enterprise,
    /// One a year or more.
    Small,
    /// Less than one a year.
    Hobbyist,
}

impl Tier {
    /// Largest first.
    pub const ALL: [Self; 4] = [Self::Industrial, Self::Enterprise, Self::Small, Self::Hobbyist];

    /// The class of a miner that expects this many blocks a year.
    pub fn of(blocks_per_year: f64) -> Self {
        match blocks_per_year {
            r if r >= 365.0 => Self::Industrial,
            r if r >= 12.0 => Self::Enterprise,
            r if r >= 1.0 => Self::Small,
            _ => Self::Hobbyist,
        }
    }

    /// As people call them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Industrial => "industrial: one a day or more",
            Self::Enterprise => "enterprise: one a month or more",
            Self::Small => "small farm: one a year or more",
            Self::Hobbyist => "hobbyist: less than one a year",
        }
    }
}

/// Some miners; rates are blocks expected a year.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// One rate per miner.
    Each(Vec<f64>),
    /// So many miners with the same rate.
    Equal {
        /// How many.
        miners: u64,
        /// Of each.
        rate: f64,
    },
}

/// All miners whose finds are counted. Together they may expect fewer blocks than the network finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    parts: Vec<Part>,
}

/// What a tier holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TierSum {
    /// Miners in it.
    pub miners: u64,
    /// Blocks they expect together, a year.
    pub blocks_per_year: f64,
}

impl Population {
    /// Refuses no miners, too many, and rates that are not positive and finite.
    pub fn new(parts: Vec<Part>) -> Result<Self, LabError> {
        let mut population = Self { parts };
        let miners = population.miners();
        if miners == 0 {
            return Err(LabError::new("there are zero miners; give at least one"));
        }
        if miners > MOST_MINERS {
            return Err(LabError::new(format!(
                "{miners} miners are too many; give at most {MOST_MINERS}"
            )));
        }
        for part in &mut population.parts {
            let sound = |rate: &f64| rate.is_finite() && *rate > 0.0;
            match part {
                Part::Equal { rate, .. } if sound(rate) => {}
                Part::Each(rates) if rates.iter().all(sound) => {
                    if !rates.is_sorted_by(|a, b| a >= b) {
                        rates.sort_unstable_by(|a, b| b.total_cmp(a));
                    }
                }
                _ => {
                    return Err(LabError::new(
                        "a miner's hashrate is zero or too small to count; give only positive ones",
                    ));
                }
            }
        }
        Ok(population)
    }

    /// `miners` of the same hashrate, who find all blocks.
    pub fn equal(miners: u64) -> Result<Self, LabError> {
        Self::new(vec![Part::Equal { miners, rate: BLOCKS_PER_YEAR / miners as f64 }])
    }

    /// `miners` under a Pareto law of this shape, who find all blocks. Each stands for an equal part of
    /// the law and has its mean: the share of the largest part p of all is p^(1 - 1/shape).
    pub fn pareto(miners: u64, shape: f64) -> Result<Self, LabError> {
        let power = 1.0 - pareto_shape(shape)?.recip();
        let part = |i: u64| (i as f64 / miners as f64).powf(power);
        let rate = |i| BLOCKS_PER_YEAR * (part(i + 1) - part(i));
        Self::new(vec![Part::Each(count_up(miners)?.map(rate).collect())])
    }

    /// `miners` under a Pareto law of this shape between `low` and `high` blocks a year (infinite for
    /// no bound), each with the mean of an equal part of the law.
    pub fn bounded_pareto(
        miners: u64,
        shape: f64,
        low: f64,
        high: f64,
    ) -> Result<Vec<f64>, LabError> {
        let shape = pareto_shape(shape)?;
        let (most, least) = (low.powf(-shape), high.powf(-shape));
        let above = |i: u64| {
            let survival = least + i as f64 / miners as f64 * (most - least);
            survival.powf(1.0 - shape.recip())
        };
        let scale = miners as f64 * shape / (shape - 1.0) / (most - least);
        Ok(count_up(miners)?.map(|i| scale * (above(i + 1) - above(i))).collect())
    }

    /// The parts, rates falling within each.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How many miners.
    pub fn miners(&self) -> u64 {
        self.runs().fold(0, |sum, (_, n)| u64::saturating_add(sum, n))
    }

    /// Blocks that all expect together, a year.
    pub fn blocks_per_year(&self) -> f64 {
        self.runs().map(|(rate, n)| rate * n as f64).sum()
    }

    /// Miners that expect one block or more in each period.
    pub fn expecting(&self, period: Period) -> u64 {
        self.at_least(period.per_year())
    }

    /// Miners that expect this many blocks a year or more.
    pub fn at_least(&self, blocks_per_year: f64) -> u64 {
        let of = |part: &Part| match part {
            Part::Each(rates) => rates.partition_point(|rate| *rate >= blocks_per_year) as u64,
            Part::Equal { miners, rate } if *rate >= blocks_per_year => *miners,
            Part::Equal { .. } => 0,
        };
        self.parts.iter().map(of).sum()
    }

    /// The largest and the smallest rate, blocks a year.
    pub fn extremes(&self) -> (f64, f64) {
        let ends = self.parts.iter().flat_map(|part| match part {
            Part::Each(rates) => [rates.first().copied(), rates.last().copied()],
            Part::Equal { rate, .. } => [Some(*rate), None],
        });
        ends.flatten().fold((0.0, f64::INFINITY), |(high, low), r| (high.max(r), low.min(r)))
    }

    /// Miners that find at least one block in a period: mean and standard deviation. Miners are
    /// independent, each a Poisson process: the mean is the sum of 1 - exp(-rate).
    pub fn finders(&self, period: Period) -> (f64, f64) {
        let (mean, variance) = self.runs().fold((0.0, 0.0), |(mean, variance), (rate, n)| {
            let odds = luck::at_least_one(rate / period.per_year());
            (mean + n as f64 * odds, variance + n as f64 * odds * (1.0 - odds))
        });
        (mean, variance.sqrt())
    }

    /// What each tier holds, in the order of [`Tier::ALL`].
    pub fn tiers(&self) -> [TierSum; 4] {
        let mut sums = [TierSum { miners: 0, blocks_per_year: 0.0 }; 4];
        for (rate, n) in self.runs() {
            let sum = &mut sums[Tier::of(rate) as usize];
            sum.miners += n;
            sum.blocks_per_year += rate * n as f64;
        }
        sums
    }

    /// How many miners have each rate.
    fn runs(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.parts.iter().flat_map(|part| {
            let (each, equal) = match part {
                Part::Each(rates) => (rates.as_slice(), None),
                Part::Equal { miners, rate } => (&[][..], Some((*rate, *miners))),
            };
            each.iter().map(|rate| (*rate, 1)).chain(equal)
        })
    }
}

/// Refuses a shape without a mean.
pub(super) fn pareto_shape(shape: f64) -> Result<f64, LabError> {
    if shape.is_finite() && shape > 1.0 {
        return Ok(shape);
    }
    Err(LabError::new(format!(
        "a Pareto law of shape {shape} has no mean, so no share for anyone; give a shape above 1"
    )))
}

/// Refuses before memory is taken.
pub(super) fn count_up(miners: u64) -> Result<std::ops::Range<u64>, LabError> {
    match miners {
        0 => Err(LabError::new("there are zero miners; give at least one")),
        1..=MOST_MINERS => Ok(0..miners),
        _ => {
            Err(LabError::new(format!("{miners} miners are too many; give at most {MOST_MINERS}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(population: &Population) -> [u64; 3] {
        Period::ALL.map(|period| population.finders(period).0.round() as u64)
    }

    #[test]
    fn equal_miners_one_per_block_find_one_each_with_63_percent() {
        for (period, finders) in Period::ALL.into_iter().zip([33_224, 2_769, 91]) {
            let population = Population::equal(period.blocks()).unwrap();
            assert_eq!(population.expecting(period), period.blocks());
            assert_eq!(population.finders(period).0.round() as u64, finders);
        }
    }

    #[test]
    fn a_pareto_law_of_shape_2_is_the_equal_row_divided_by_4() {
        for (shape, expecting, finders) in
            [(2.0, [13_140, 1_095, 36], Some([29_265, 2_439, 80])), (1.161, [5_302, 442, 14], None)]
        {
            for (i, period) in Period::ALL.into_iter().enumerate() {
                let population = Population::pareto(period.blocks(), shape).unwrap();
                assert!((population.blocks_per_year() / BLOCKS_PER_YEAR - 1.0).abs() < 1e-9);
                let got = population.expecting(period);
                assert!(got.abs_diff(expecting[i]) <= 1, "{shape} {period:?}: {got}");
                if let Some(finders) = finders {
                    let got = population.finders(period).0.round() as u64;
                    assert!(got.abs_diff(finders[i]) <= 1, "{period:?}: {got}");
                }
            }
        }
    }

    #[test]
    fn a_bounded_pareto_law_stays_between_its_bounds_and_has_its_mean() {
        for (low, high, mean) in
            [(1.0, 12.0, 1.433), (12.0, 365.0, 17.24), (365.0, f64::INFINITY, 524.6)]
        {
            let rates = Population::bounded_pareto(1000, 3.286, low, high).unwrap();
            assert!(rates.iter().all(|r| (low..high).contains(r)));
            let got = rates.iter().sum::<f64>() / 1000.0;
            assert!((got / mean - 1.0).abs() < 1e-3, "{got}");
        }
    }

    #[test]
    fn tiers_hold_every_miner_once() {
        let rates = vec![0.5, 1.0, 400.0, 12.0, 364.9];
        let parts = vec![Part::Each(rates), Part::Equal { miners: 10, rate: 0.1 }];
        let population = Population::new(parts).unwrap();
        let miners = population.tiers().map(|t| t.miners);
        assert_eq!((miners, population.miners()), ([1, 2, 1, 11], 15));
        let blocks: f64 = population.tiers().iter().map(|t| t.blocks_per_year).sum();
        assert!((blocks - population.blocks_per_year()).abs() < 1e-9);
        assert_eq!(rounded(&population)[0], 5);
    }

    #[test]
    fn what_cannot_be_a_population_is_refused_in_one_sentence() {
        for (refused, says) in [
            (Population::equal(0), "zero miners"),
            (Population::pareto(0, 2.0), "zero miners"),
            (Population::pareto(10, 1.0), "no mean"),
            (Population::pareto(10, f64::NAN), "no mean"),
            (Population::pareto(u64::MAX, 2.0), "too many"),
            (Population::equal(10_000_001), "too many"),
            (Population::new(vec![Part::Each(vec![1.0, 0.0])]), "only positive"),
            (Population::new(vec![Part::Equal { miners: 1, rate: f64::NAN }]), "only positive"),
            (Population::new(vec![]), "zero miners"),
        ] {
            let said = refused.unwrap_err().to_string();
            assert!(said.contains(says), "{said}");
        }
    }
}
