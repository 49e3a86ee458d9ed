//! Three tiers of farms, each a bounded Pareto law, and hobbyists with what is left.

use super::population::{Part, Population};
use crate::{LabError, luck::BLOCKS_PER_YEAR};

/// Farms counted from above: each count holds the ones before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tiers {
    /// Shape of each tier's Pareto law.
    pub shape: f64,
    /// Farms that expect a block a day or more, without an upper bound.
    pub daily: u64,
    /// Farms that expect a block a month or more.
    pub monthly: u64,
    /// Farms that expect a block a year or more.
    pub yearly: u64,
    /// Equal miners that share the blocks left; 0 for none.
    pub hobbyists: u64,
}

impl Tiers {
    /// The shape at which the published counts leave one farm's 365 blocks a year to hobbyists.
    pub const SHAPE: f64 = 3.286;

    /// These farms and hobbyists. Refuses counts that do not rise, and farms that expect all blocks or
    /// more and so leave none to hobbyists.
    pub fn population(self) -> Result<Population, LabError> {
        let Self { shape, daily, monthly, yearly, hobbyists } = self;
        if daily > monthly || monthly > yearly {
            return Err(LabError::new(format!(
                "{yearly} farms a year, {monthly} a month and {daily} a day do not rise; whoever finds \
                 one a day also finds one a month: give counts that hold the larger farms"
            )));
        }
        let mut parts = Vec::new();
        let mut farms = 0.0;
        for (miners, low, high) in [
            (daily, 365.0, f64::INFINITY),
            (monthly - daily, 12.0, 365.0),
            (yearly - monthly, 1.0, 12.0),
        ] {
            if miners > 0 {
                let rates = Population::bounded_pareto(miners, shape, low, high)?;
                farms += rates.iter().sum::<f64>();
                parts.push(Part::Each(rates));
            }
        }
        if hobbyists > 0 {
            let left = BLOCKS_PER_YEAR - farms;
            if left <= 0.0 {
                return Err(LabError::new(format!(
                    "these farms expect {farms:.0} of the year's {BLOCKS_PER_YEAR} blocks, which leaves \
                     none to hobbyists; give fewer farms, a higher shape, or no hobbyists"
                )));
            }
            parts.push(Part::Equal { miners: hobbyists, rate: left / hobbyists as f64 });
        }
        Population::new(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::{Period, Tier};

    const PUBLISHED: Tiers = Tiers {
        shape: Tiers::SHAPE,
        daily: 35,
        monthly: 1000,
        yearly: 13_000,
        hobbyists: 1_000_000,
    };

    /// Test T2.
    #[test]
    fn three_tiers_reproduce_the_published_counts_within_the_block_budget() {
        let population = PUBLISHED.population().unwrap();
        assert_eq!(Period::ALL.map(|p| population.expecting(p)), [13_000, 1000, 35]);
        assert!((population.blocks_per_year() / BLOCKS_PER_YEAR - 1.0).abs() < 1e-9);
        let hobbyists = population.tiers()[Tier::Hobbyist as usize];
        assert_eq!(hobbyists.miners, 1_000_000);
        assert!((hobbyists.blocks_per_year - 365.0).abs() < 0.01 * BLOCKS_PER_YEAR);
        assert!((hobbyists.blocks_per_year - 365.0).abs() < 3.0, "{hobbyists:?}");
    }

    #[test]
    fn distinct_finders_among_three_tiers_are_not_the_published_counts() {
        let farms = Tiers { hobbyists: 0, ..PUBLISHED }.population().unwrap();
        let finders = Period::ALL.map(|period| farms.finders(period).0.round() as u64);
        assert_eq!(finders, [9_806, 2_080, 117]);
    }

    #[test]
    fn farms_that_leave_no_block_are_refused() {
        let said = Tiers { daily: 100, ..PUBLISHED }.population().unwrap_err().to_string();
        assert!(said.contains("none to hobbyists"), "{said}");
        assert!(Tiers { daily: 2000, ..PUBLISHED }.population().is_err());
        assert!(Tiers { shape: 1.0, ..PUBLISHED }.population().is_err());
    }
}
