//! The laws of hashrate that can be asked for, with where each number came from.

use super::{Listed, Network, Period, Population, Tiers, ZipfMandelbrot, population::pareto_shape};
use crate::{
    Given, LabError,
    luck::BLOCKS_PER_YEAR,
    report::{Cell, Input, Source},
};

/// How hashrate is distributed.
#[derive(Debug, Clone)]
pub enum Law {
    /// Everybody has the same; without a count, one miner for each block of a period.
    Equal {
        /// How many.
        miners: Option<u64>,
    },
    /// Pareto; without a count, one miner for each block of a period.
    Pareto {
        /// Above 1; smaller is more unequal.
        shape: Given<f64>,
        /// How many.
        miners: Option<u64>,
    },
    /// Zipf and Mandelbrot.
    Zipf {
        /// How fast hashrate falls with rank.
        exponent: Given<f64>,
        /// Flattens the top.
        offset: Given<f64>,
        /// How many.
        miners: Given<u64>,
    },
    /// Three tiers of farms, and hobbyists with what is left.
    Tiers {
        /// Shape of each tier.
        shape: Given<f64>,
        /// Farms with a block a day or more.
        daily: Given<u64>,
        /// Farms with a block a month or more, with those before.
        monthly: Given<u64>,
        /// Farms with a block a year or more, with those before.
        yearly: Given<u64>,
        /// Equal miners that share the rest.
        hobbyists: Given<u64>,
    },
    /// From a file of this name.
    Listed(Listed, String),
}

/// Whose counts the three periods show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The same miners in each period.
    OnePopulation,
    /// A population of its own for each period, with as many miners as the period has blocks.
    ThreePopulations,
}

impl Law {
    /// Pareto miners of this shape of whom the smallest expects `least` blocks a year: their mean is
    /// least * shape / (shape - 1), which says how many there are.
    pub fn pareto_from(shape: f64, least: f64) -> Result<u64, LabError> {
        let shape = pareto_shape(shape)?;
        if !(least.is_finite() && least > 0.0) {
            return Err(LabError::new(format!(
                "the smallest miner expects {least} blocks a year; give a number above 0"
            )));
        }
        Ok((BLOCKS_PER_YEAR * (shape - 1.0) / (shape * least)).round() as u64)
    }

    /// Three populations for the laws that need no count of miners and were given none.
    pub fn reading(&self) -> Reading {
        match self {
            Self::Equal { miners: None } | Self::Pareto { miners: None, .. } => {
                Reading::ThreePopulations
            }
            _ => Reading::OnePopulation,
        }
    }

    /// The miners whose finds in this period are counted.
    pub fn population(&self, period: Period, network: &Network) -> Result<Population, LabError> {
        let or_one_per_block = |miners: &Option<u64>| miners.unwrap_or(period.blocks());
        match self {
            Self::Equal { miners } => Population::equal(or_one_per_block(miners)),
            Self::Pareto { shape, miners } => {
                Population::pareto(or_one_per_block(miners), shape.value)
            }
            Self::Zipf { exponent, offset, miners } => {
                ZipfMandelbrot::new(exponent.value, offset.value, miners.value)?.population()
            }
            Self::Tiers { shape, daily, monthly, yearly, hobbyists } => Tiers {
                shape: shape.value,
                daily: daily.value,
                monthly: monthly.value,
                yearly: yearly.value,
                hobbyists: hobbyists.value,
            }
            .population(),
            Self::Listed(listed, _) => listed.population(network),
        }
    }

    /// As people say it.
    pub fn name(&self) -> String {
        match self {
            Self::Equal { .. } => "equal miners".into(),
            Self::Pareto { shape, .. } => format!("a Pareto law of shape {}", shape.value),
            Self::Zipf { exponent, offset, .. } if offset.value == 0.0 => {
                format!("a Zipf law of exponent {}", exponent.value)
            }
            Self::Zipf { exponent, offset, .. } => format!(
                "a Zipf-Mandelbrot law of exponent {} and offset {}",
                exponent.value, offset.value
            ),
            Self::Tiers { shape, .. } => {
                format!("three tiers of farms (Pareto, shape {}) and hobbyists", shape.value)
            }
            Self::Listed(_, file) => format!("the miners of {file}"),
        }
    }

    pub(super) fn inputs(&self) -> Vec<Input> {
        let number = |v: &f64| Cell::Number(*v, 3);
        let count = |v: &u64| Cell::Count(*v);
        let miners = |miners: &Option<u64>| {
            let given = miners.map(Given::flag);
            given.map(|g| g.input_as("miners", count)).into_iter()
        };
        match self {
            Self::Equal { miners: given } => miners(given).collect(),
            Self::Pareto { shape, miners: given } => {
                [shape.input_as("shape", number)].into_iter().chain(miners(given)).collect()
            }
            Self::Zipf { exponent, offset, miners } => vec![
                exponent.input_as("exponent", number),
                offset.input_as("offset", number),
                miners.input_as("miners", count),
            ],
            Self::Tiers { shape, daily, monthly, yearly, hobbyists } => vec![
                shape.input_as("shape", number),
                daily.input_as("farms_daily", count),
                monthly.input_as("farms_monthly", count),
                yearly.input_as("farms_yearly", count),
                hobbyists.input_as("hobbyists", count),
            ],
            Self::Listed(_, file) => vec![Input {
                name: "miners",
                value: file.clone().into(),
                source: Source::File(file.clone()),
            }],
        }
    }
}
