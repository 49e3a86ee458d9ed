//! A plant that must run, with machines beside it: each hour its power goes where it is worth more,
//! to the grid or into hashes. Never computed from a mean price.

use super::{
    Capital, Mining, finished,
    given::zero_or_more,
    hours::{Hours, MONTHS},
    mining::per_kwh,
    sensitivity::{Knob, Mines, Outcome, mining_knobs, tornado},
};
use crate::{
    Given, LabError, Report,
    report::{Cell, Column, Input, Table},
};
use units::{EnergyPrice, Usd, Watts};

/// A must-run plant with machines.
#[derive(Debug, Clone)]
pub struct Nuclear {
    /// What the machines earn.
    pub mining: Mining,
    /// What the machines cost.
    pub capital: Capital,
    /// Power that the machines can draw.
    pub power: Given<Watts>,
    /// What a kilowatt-hour costs to generate.
    pub generating_cost: Given<EnergyPrice>,
    /// Prices at the plant: `price_usd_per_mwh`.
    pub hours: Hours,
}

/// Per megawatt of machines and year.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What a megawatt-hour of hashing earns.
    pub earns: EnergyPrice,
    /// All energy sold.
    pub sold: Usd,
    /// All energy hashed.
    pub hashed: Usd,
    /// Each hour the better of the two: sum of max(LMP, r).
    pub best: Usd,
    /// Hours in which hashing is worth more.
    pub hours_hashing: u64,
    /// Machines: CRF K + O&M.
    pub machines: Usd,
    /// By month: mean price, hours hashing, gain over selling.
    pub months: Vec<(EnergyPrice, u64, Usd)>,
}

impl Answer {
    /// Sum of [r - LMP]+.
    pub fn gain(&self) -> Usd {
        self.best - self.sold
    }

    /// Gain less the machines.
    pub fn net(&self) -> Usd {
        self.gain() - self.machines
    }
}

impl Nuclear {
    /// With all inputs but the prices at their defaults.
    pub fn new(hours: Hours) -> Self {
        Self {
            mining: Mining::default(),
            capital: Capital::default(),
            power: Given::default(Watts::MEGA, "one megawatt, to be multiplied", "2025"),
            generating_cost: Given::default(
                per_kwh(0.030),
                "US nuclear fleet, about $30/MWh",
                "2025",
            ),
            hours,
        }
    }

    /// Computes, hour by hour.
    pub fn answer(&self) -> Result<Answer, LabError> {
        let prices = self.hours.column("price_usd_per_mwh")?;
        let earns = self.mining.earns()?;
        let worth = earns.usd_per_mwh();
        let (mut sold, mut best, mut hours_hashing) = (0.0, 0.0, 0);
        let mut months = vec![(0.0, 0_u64, 0_u64, 0.0); 12];
        for (hour, price) in prices.iter().enumerate() {
            sold += price;
            best += price.max(worth);
            let month = &mut months[self.hours.month(hour)];
            month.0 += price;
            month.1 += 1;
            if worth > *price {
                hours_hashing += 1;
                month.2 += 1;
                month.3 += worth - price;
            }
        }
        let months = months
            .into_iter()
            .map(|(sum, hours, hashing, gain)| {
                let mean = EnergyPrice::per_mwh(sum / (hours.max(1) as f64))?;
                Ok((mean, hashing, Usd::new(gain)?))
            })
            .collect::<Result<_, LabError>>()?;
        Ok(Answer {
            earns,
            sold: Usd::new(sold)?,
            hashed: Usd::new(worth * prices.len() as f64)?,
            best: Usd::new(best)?,
            hours_hashing,
            machines: self.capital.yearly_per_kw()? * 1000.0,
            months,
        })
    }

    /// The report.
    pub fn report(&self) -> Result<Report, LabError> {
        let megawatts = self.power.value.megawatts();
        zero_or_more(self.generating_cost.value.usd_per_kwh(), "the generating cost")?;
        let answer = self.answer()?;
        let outcome = Outcome {
            columns: ("usd_per_mw_year_at_low", "usd_per_mw_year_at_high"),
            label: "gain less machines, $ per MW and year",
        };
        let (sensitivity, chart) =
            tornado(self, self.knobs()?, outcome, |q| Ok(q.answer()?.net().get()))?;

        let generation = self.generating_cost.value.usd_per_mwh() * self.hours.len() as f64;
        let mut ways = Table::new(
            "ways",
            "A megawatt for a year",
            [
                Column::new("way", "way"),
                Column::new("revenue_usd_per_mw_year", "revenue, $"),
                Column::new("generation_usd_per_mw_year", "generation, $"),
                Column::new("machines_usd_per_mw_year", "machines, $"),
                Column::new("net_usd_per_mw_year", "left, $"),
                Column::new("net_usd_year", format!("left for {}, $", self.power.value)),
            ],
        );
        for (way, revenue, machines) in [
            ("sell every hour", answer.sold, Usd::ZERO),
            ("hash every hour", answer.hashed, answer.machines),
            ("the better each hour", answer.best, answer.machines),
        ] {
            let net = revenue.get() - generation - machines.get();
            ways.row([
                way.into(),
                Cell::Number(revenue.get(), 0),
                Cell::Number(generation, 0),
                Cell::Number(machines.get(), 0),
                Cell::Number(net, 0),
                Cell::Number(net * megawatts, 0),
            ]);
        }

        let mut months = Table::new(
            "months",
            "By month, a megawatt",
            [
                Column::new("month", "month"),
                Column::new("mean_price_usd_per_mwh", "mean price, $/MWh"),
                Column::new("hours_hashing", "hours hashing"),
                Column::new("gain_usd_per_mw", "gain over selling, $"),
            ],
        );
        for (name, (price, hashing, gain)) in MONTHS.iter().zip(&answer.months) {
            months.row([
                (*name).into(),
                Cell::Number(price.usd_per_mwh(), 1),
                Cell::Count(*hashing),
                Cell::Number(gain.get(), 0),
            ]);
        }
        finished(Report {
            name: "quote nuclear",
            finding: self.finding(&answer),
            inputs: self.inputs()?,
            tables: vec![ways, months, sensitivity],
            chart: Some(chart),
        })
    }

    fn finding(&self, answer: &Answer) -> String {
        let verdict = if answer.net() > Usd::ZERO {
            format!("machines leave {} of it a year", answer.net())
        } else {
            format!("machines cost {} and leave a loss of {}", answer.machines, -answer.net())
        };
        format!(
            "Hashing earns {:.1} $/MWh and beats the price in {} of {} hours; a megawatt \
             that takes the better each hour gains {} a year over selling, and {verdict}. Prices: \
             {}.",
            answer.earns.usd_per_mwh(),
            answer.hours_hashing,
            self.hours.len(),
            answer.gain(),
            self.hours.origin(),
        )
    }

    fn inputs(&self) -> Result<Vec<Input>, LabError> {
        let power =
            Given { value: self.power.value.megawatts(), source: self.power.source.clone() };
        let mut inputs = vec![power.line("power_mw")];
        inputs.extend(self.mining.inputs()?);
        inputs.extend(self.capital.inputs());
        inputs.push(self.generating_cost.line("generating_cost_usd_per_kwh"));
        inputs.push(self.hours.input());
        Ok(inputs)
    }

    fn knobs(&self) -> Result<Vec<Knob<Self>>, LabError> {
        let mut knobs = mining_knobs(&self.mining, &self.capital)?;
        knobs.push(Knob::times("all prices, times", 1.0, (0.7, 1.3), |q: &mut Self, v| {
            q.hours = q.hours.scaled("price_usd_per_mwh", v);
            Ok(())
        }));
        Ok(knobs)
    }
}

impl Mines for Nuclear {
    fn mining(&mut self) -> &mut Mining {
        &mut self.mining
    }

    fn capital(&mut self) -> &mut Capital {
        &mut self.capital
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Market, Share};
    use super::*;
    use units::{Efficiency, HashPrice};

    /// r = 40 $/MWh, machines for nothing.
    fn nuclear(prices: Vec<f64>) -> Nuclear {
        let mut nuclear = Nuclear::new(Hours::of("test", vec![("price_usd_per_mwh", prices)]));
        nuclear.mining.market = Market::flag(HashPrice::new(0.04 * 24.0 * 20.0).unwrap());
        nuclear.mining.efficiency = Given::flag(Efficiency::new(20.0).unwrap());
        nuclear.mining.uptime = Given::flag(Share::ALL);
        nuclear.capital.capex_per_kw = Given::flag(Usd::ZERO);
        nuclear
    }

    #[test]
    fn each_hour_takes_the_better_of_price_and_hash() {
        let answer = nuclear(vec![10.0, 39.0, 40.0, 41.0, -5.0, 1000.0]).answer().unwrap();
        let close = |a: Usd, b: f64| assert!((a.get() - b).abs() < 1e-9, "{a} {b}");
        close(answer.sold, 1125.0);
        close(answer.best, 40.0 * 4.0 + 41.0 + 1000.0);
        // max(LMP, r) - LMP summed is [r - LMP]+ summed.
        close(answer.gain(), 30.0 + 1.0 + 0.0 + 0.0 + 45.0 + 0.0);
        close(answer.hashed, 240.0);
        assert_eq!(answer.hours_hashing, 3);
    }

    #[test]
    fn the_mean_price_hides_what_single_hours_are_worth() {
        // Mean 50 is above r = 40: by the mean, hashing would never pay.
        let answer = nuclear(vec![0.0, 100.0]).answer().unwrap();
        assert!((answer.gain().get() - 40.0).abs() < 1e-9);
    }

    #[test]
    fn machines_are_paid_from_the_gain() {
        let mut nuclear = nuclear(vec![20.0; 8760]);
        nuclear.capital = Capital::default();
        let answer = nuclear.answer().unwrap();
        assert!((answer.machines.get() - 214_641.0).abs() < 1.0, "{}", answer.machines);
        assert!((answer.net().get() - (20.0 * 8760.0 - answer.machines.get())).abs() < 1e-6);
        assert!(nuclear.report().unwrap().finding.contains("leave a loss of $39"));
    }

    #[test]
    fn a_year_without_prices_and_a_negative_generating_cost_are_refused() {
        let no_price = Nuclear::new(Hours::of("p.csv", vec![("x_mw", vec![1.0])]));
        let said = no_price.report().unwrap_err().to_string();
        assert_eq!(said, "p.csv: there is no column price_usd_per_mwh; it has x_mw");
        let mut nuclear = nuclear(vec![20.0; 24]);
        nuclear.generating_cost = Given::flag(per_kwh(-1.0));
        assert!(nuclear.report().is_err());
    }
}
