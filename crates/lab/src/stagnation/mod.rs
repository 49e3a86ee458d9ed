//! What standing still costs: a farm that buys no machine while the network grows.
//!
//! It owns the farm's rate over the years and the day on which power costs more than it earns. Who
//! else mines is `landscape`'s; what a new machine would earn is `quote`'s.

mod cost;
mod history;
mod report;

pub use cost::CostCurve;
pub use history::{GROWTH_BY_YEAR, LARGEST_SINCE_2015, YearOfGrowth};
pub use report::{report, years_until_monthly};

use crate::{Given, LabError, luck::BLOCKS_PER_YEAR};
use units::{Efficiency, EnergyPrice, HashPrice};

/// Blocks a year of a farm that finds one a day.
pub const DAILY: f64 = 365.0;
/// Blocks a year of a farm that finds one a month.
pub const MONTHLY: f64 = 12.0;

/// A farm that keeps what it has.
#[derive(Debug, Clone)]
pub struct Farm {
    /// Blocks it expects a year at the start.
    pub start_per_year: Given<f64>,
    /// Part of its hashrate that fails each year and is not replaced.
    pub decay_per_year: Given<f64>,
    /// Of its machines.
    pub efficiency: Given<Efficiency>,
    /// What it pays for power, and for which part of it.
    pub costs: Given<CostCurve>,
    /// What hashing earns at the start.
    pub hash_price: Given<HashPrice>,
    /// Factor by which a block's worth in dollars grows each year: the coin's price, subsidy and fees.
    pub block_value_growth: Given<f64>,
}

/// How one growth of difficulty treats a farm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Factor of difficulty each year.
    pub growth: f64,
    /// Years until it expects one block a month by dilution alone, as if power cost nothing; `None`
    /// for never.
    pub years_until_monthly: Option<f64>,
    /// Years until the dearest part of its power costs more than it earns; `None` for never.
    pub years_until_first_cut: Option<f64>,
    /// Years until all of it does; `None` for never.
    pub years_until_stop: Option<f64>,
    /// Blocks a year that it still expects just before it stops.
    pub rate_at_stop: Option<f64>,
    /// Blocks it expects until it stops, or for ever; `None` for without end.
    pub blocks_in_all: Option<f64>,
}

impl Farm {
    /// Refuses what has no meaning, in a sentence that names it.
    pub fn check(&self) -> Result<(), LabError> {
        let start = self.start_per_year.value;
        if !(start > 0.0 && start <= BLOCKS_PER_YEAR) {
            return Err(LabError::new(format!(
                "the farm starts with {start} blocks a year; give more than 0 and at most the \
                 network's {BLOCKS_PER_YEAR}"
            )));
        }
        let decay = self.decay_per_year.value;
        if !(0.0..1.0).contains(&decay) {
            return Err(LabError::new(format!(
                "the part of hashrate lost each year is {decay}; give 0 or more and less than 1"
            )));
        }
        if let Some((_, price)) =
            self.costs.value.steps().first().filter(|(_, price)| *price < EnergyPrice::ZERO)
        {
            return Err(LabError::new(format!(
                "the power price is {price}; a farm that is paid for its power never stops: give zero or \
                 more"
            )));
        }
        factor(self.block_value_growth.value, "the growth of a block's worth")?;
        Ok(())
    }

    /// What a kilowatt-hour earns after this many years, at this growth of difficulty.
    pub fn earns_per_kwh(&self, years: f64, growth: f64) -> EnergyPrice {
        let start = self.hash_price.value.earns_per_kwh(self.efficiency.value);
        start * (self.block_value_growth.value / growth).powf(years)
    }

    /// Part of the farm whose power costs less than it earns: u(t).
    pub fn uptime(&self, years: f64, growth: f64) -> f64 {
        self.costs.value.part_below(self.earns_per_kwh(years, growth))
    }

    /// Blocks a year after this many years: start u(t) (1-d)^t / g^t.
    pub fn rate(&self, years: f64, growth: f64) -> f64 {
        self.uptime(years, growth) * self.diluted(years, growth)
    }

    /// The same if power cost nothing.
    pub fn diluted(&self, years: f64, growth: f64) -> f64 {
        self.start_per_year.value * self.kept(growth).powf(years)
    }

    /// What this growth of difficulty does to it.
    pub fn outcome(&self, growth: f64) -> Result<Outcome, LabError> {
        self.check()?;
        factor(growth, "the growth of difficulty")?;
        let cuts = self.costs.value.steps().iter().map(|(_, price)| self.cut(*price, growth));
        let cuts: Vec<Option<f64>> = cuts.collect();
        let last = |so_far: Option<f64>, cut: &Option<f64>| so_far.zip(*cut).map(|(a, b)| a.max(b));
        let years_until_stop = cuts.iter().fold(Some(0.0), last);
        let blocks = self.costs.value.steps().iter().zip(&cuts);
        Ok(Outcome {
            growth,
            years_until_monthly: crossing(self.start_per_year.value / MONTHLY, self.kept(growth)),
            years_until_first_cut: cuts.iter().flatten().copied().reduce(f64::min),
            years_until_stop,
            rate_at_stop: years_until_stop.map(|years| {
                let part = self.costs.value.cheapest_part();
                if years > 0.0 { part * self.diluted(years, growth) } else { 0.0 }
            }),
            blocks_in_all: blocks
                .map(|((part, _), cut)| self.blocks_until(*cut, growth).map(|b| b * part))
                .sum(),
        })
    }

    /// Years until power at this price costs more than it earns; `None` for never.
    fn cut(&self, price: EnergyPrice, growth: f64) -> Option<f64> {
        if price <= EnergyPrice::ZERO {
            return None;
        }
        let now = self.earns_per_kwh(0.0, growth).usd_per_kwh() / price.usd_per_kwh();
        crossing(now, self.block_value_growth.value / growth)
    }

    /// Part of its share of the network that is left after a year.
    fn kept(&self, growth: f64) -> f64 {
        (1.0 - self.decay_per_year.value) / growth
    }

    /// The integral of the diluted rate.
    fn blocks_until(&self, years: Option<f64>, growth: f64) -> Option<f64> {
        let (start, decline) = (self.start_per_year.value, -self.kept(growth).ln());
        match years {
            Some(years) if decline.abs() < 1e-12 => Some(start * years),
            Some(years) => Some(start * -(-decline * years).exp_m1() / decline),
            None if decline > 0.0 => Some(start / decline),
            None => None,
        }
    }
}

/// Years in which something `above` times a bound falls to it if a year leaves `kept` of it.
fn crossing(above: f64, kept: f64) -> Option<f64> {
    if above <= 1.0 {
        return Some(0.0);
    }
    (kept < 1.0).then(|| above.ln() / -kept.ln())
}

fn factor(value: f64, what: &str) -> Result<f64, LabError> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(LabError::new(format!("{what} is {value}; give a factor a year above 0, 1 for none")))
}

#[cfg(test)]
mod tests;
