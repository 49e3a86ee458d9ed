//! What a farm pays for power, part by part.

use crate::LabError;
use std::str::FromStr;
use units::EnergyPrice;

/// Parts of a farm and the price of their power, cheapest first; the parts sum to one.
#[derive(Debug, Clone, PartialEq)]
pub struct CostCurve(Vec<(f64, EnergyPrice)>);

impl CostCurve {
    /// The same price for all.
    pub fn flat(price: EnergyPrice) -> Self {
        Self(vec![(1.0, price)])
    }

    /// Refuses parts that are not above 0 or do not sum to one.
    pub fn new(mut steps: Vec<(f64, EnergyPrice)>) -> Result<Self, LabError> {
        let sum: f64 = steps.iter().map(|(part, _)| part).sum();
        if !steps.iter().all(|(part, _)| *part > 0.0) || (sum - 1.0).abs() > 1e-6 {
            return Err(LabError::new(format!(
                "the parts of the farm's power sum to {sum} and not to 1; mend them, as in \
                 \"0.04:0.5,0.07:0.5\""
            )));
        }
        steps.sort_by(|a, b| a.1.usd_per_kwh().total_cmp(&b.1.usd_per_kwh()));
        Ok(Self(steps))
    }

    /// Parts and their prices, cheapest first.
    pub fn steps(&self) -> &[(f64, EnergyPrice)] {
        &self.0
    }

    /// The part whose price is below this one.
    pub fn part_below(&self, price: EnergyPrice) -> f64 {
        self.0.iter().filter(|(_, p)| *p < price).map(|(part, _)| part).sum()
    }

    /// All parts at the lowest price.
    pub fn cheapest_part(&self) -> f64 {
        let lowest = self.0.first().map(|(_, price)| *price);
        self.0.iter().filter(|(_, p)| Some(*p) == lowest).map(|(part, _)| part).sum()
    }

    /// As it is written: `0.04:0.5,0.07:0.5` in dollars per kWh and parts, `0.05` for a flat price.
    pub fn text(&self) -> String {
        if let [(_, price)] = self.0.as_slice() {
            return price.usd_per_kwh().to_string();
        }
        let step = |(part, price): &(f64, EnergyPrice)| format!("{}:{part}", price.usd_per_kwh());
        self.0.iter().map(step).collect::<Vec<_>>().join(",")
    }
}

impl FromStr for CostCurve {
    type Err = LabError;

    /// Reads a price in dollars per kWh, or prices with the part of the farm that pays each:
    /// `0.04:0.5,0.07:0.5`.
    fn from_str(text: &str) -> Result<Self, LabError> {
        let price = |text: &str| -> Result<EnergyPrice, LabError> {
            text.trim().parse().map_err(|e: units::UnitError| LabError::new(e.to_string()))
        };
        if !text.contains(':') {
            return Ok(Self::flat(price(text)?));
        }
        let step = |step: &str| -> Result<(f64, EnergyPrice), LabError> {
            let (cost, part) = step.split_once(':').unwrap_or((step, ""));
            let part = part.trim().parse::<f64>().ok().filter(|p| p.is_finite());
            let part = part.ok_or_else(|| {
                LabError::new(format!(
                    "\"{step}\" has no part of the farm; write a price and a part, as in \"0.04:0.5\""
                ))
            })?;
            Ok((part, price(cost)?))
        };
        Self::new(text.split(',').map(step).collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_curve_reads_prices_and_parts() {
        let curve: CostCurve = "0.07:0.25, 0.04:0.75".parse().unwrap();
        assert_eq!(curve.text(), "0.04:0.75,0.07:0.25");
        for (price, part) in [(0.03, 0.0), (0.04, 0.0), (0.05, 0.75), (0.08, 1.0)] {
            assert_eq!(curve.part_below(EnergyPrice::per_kwh(price).unwrap()), part);
        }
        assert_eq!("0.05".parse::<CostCurve>().unwrap().text(), "0.05");
    }

    #[test]
    fn parts_that_do_not_sum_to_one_are_refused() {
        for (text, says) in [
            ("0.04:0.5,0.07:0.4", "sum to 0.9"),
            ("0.04:1.5,0.07:-0.5", "not to 1"),
            ("0.04:half", "no part"),
            ("0.04:0.5,0.07", "no part"),
            ("cheap", "cheap"),
            ("NaN", "NaN"),
        ] {
            let said = text.parse::<CostCurve>().unwrap_err().to_string();
            assert!(said.contains(says), "{text}: {said}");
        }
    }
}
