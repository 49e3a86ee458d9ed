//! A site that sells its heat against one that throws it away: the same machines, the same hash
//! price; cooling avoided and heat sold against pipes and exchangers.

use super::{
    Capital, Mining, finished,
    given::{Share, assumed, at_least_one, no_debt, positive, zero_or_more},
    mining::{hours_of_a_year, per_kwh, recovery_factor, usd},
    sensitivity::{Knob, Outcome, tornado},
};
use crate::{
    Given, LabError, Report,
    report::{Cell, Column, Input, Table},
};
use units::{EnergyPrice, Usd, Watts};

/// A site with a buyer for heat.
#[derive(Debug, Clone)]
pub struct Reuse {
    /// What the machines earn.
    pub mining: Mining,
    /// What the machines cost.
    pub capital: Capital,
    /// What a kilowatt-hour of power costs.
    pub power_price: Given<EnergyPrice>,
    /// Power of the machines, without cooling.
    pub power: Given<Watts>,
    /// Hours a year that the machines run.
    pub hours: Given<f64>,
    /// What a kilowatt-hour of heat is sold for.
    pub heat_price: Given<EnergyPrice>,
    /// Part of the heat that reaches the pipe.
    pub captured: Given<Share>,
    /// Part of the running hours in which the buyer takes it.
    pub sold_time: Given<Share>,
    /// Power of the whole site over that of its machines, while heat is thrown away.
    pub pue_waste: Given<f64>,
    /// The same while heat is taken: pumps only.
    pub pue_reuse: Given<f64>,
    /// Exchangers, pipes and meters, per kilowatt of machines.
    pub exchanger_per_kw: Given<Usd>,
    /// Years that those last.
    pub exchanger_years: Given<f64>,
}

impl Default for Reuse {
    fn default() -> Self {
        let share = |value| Share::new(value, "").unwrap_or(Share::ALL);
        Self {
            mining: Mining::default(),
            capital: Capital::default(),
            power_price: Given::default(
                per_kwh(0.0555),
                "Cambridge: all-in cost of miners",
                "2025",
            ),
            power: Given::default(Watts::MEGA, "one megawatt, to be multiplied", "2025"),
            hours: assumed(8322.0),
            heat_price: assumed(per_kwh(0.03)),
            captured: assumed(share(0.9)),
            sold_time: assumed(share(0.6)),
            pue_waste: Given::default(1.1, "middle of 1.01 to 1.2", "2025"),
            pue_reuse: Given::default(1.02, "low end of 1.01 to 1.2", "2025"),
            exchanger_per_kw: assumed(usd(200.0)),
            exchanger_years: assumed(15.0),
        }
    }
}

/// Per megawatt of machines and year.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Revenue less power, cooling and machines, heat thrown away.
    pub waste: Usd,
    /// The same with heat sold and exchangers paid.
    pub reuse: Usd,
    /// Sales of heat.
    pub heat: Usd,
    /// Power for cooling not needed.
    pub cooling: Usd,
    /// Exchangers: CRF K.
    pub exchangers: Usd,
    /// The price of heat from which reuse pays.
    pub break_even_heat: Option<EnergyPrice>,
    /// Years until the exchangers have paid for themselves, without interest.
    pub payback_years: Option<f64>,
}

impl Reuse {
    /// Computes.
    pub fn answer(&self) -> Result<Answer, LabError> {
        let hours = hours_of_a_year(self.hours.value)?;
        let price = self.power_price.value;
        let waste_pue = at_least_one(self.pue_waste.value, "the PUE with heat thrown away")?;
        let reuse_pue = at_least_one(self.pue_reuse.value, "the PUE with heat taken")?;
        zero_or_more(self.heat_price.value.usd_per_kwh(), "the price of heat")?;
        let earned = self.mining.earns()? * (1000.0 * hours);
        let machines = self.capital.yearly_per_kw()? * 1000.0;
        let power = |pue: f64| Usd::new((price * (pue * 1000.0 * hours)).usd_per_kwh());
        let sold_kwh = 1000.0 * hours * self.captured.value.get() * self.sold_time.value.get();
        let heat = Usd::new(self.heat_price.value.usd_per_kwh() * sold_kwh)?;
        let cooling = (power(waste_pue)? - power(reuse_pue)?) * self.sold_time.value.get();
        let installed = no_debt(self.exchanger_per_kw.value, "the price of exchangers")? * 1000.0;
        let years = positive(self.exchanger_years.value, "years of the exchangers")?;
        let exchangers = installed * recovery_factor(self.capital.interest.value, years)?;
        let waste = Usd::new(earned.usd_per_kwh())? - power(waste_pue)? - machines;
        let gained = heat + cooling;
        Ok(Answer {
            waste,
            reuse: waste + gained - exchangers,
            heat,
            cooling,
            exchangers,
            break_even_heat: (sold_kwh > 0.0)
                .then(|| EnergyPrice::per_kwh((exchangers - cooling).get() / sold_kwh))
                .transpose()?,
            payback_years: (gained > Usd::ZERO).then(|| installed.get() / gained.get()),
        })
    }

    /// The report.
    pub fn report(&self) -> Result<Report, LabError> {
        let answer = self.answer()?;
        let megawatts = self.power.value.megawatts();
        let mut table = Table::new(
            "sites",
            "A megawatt of machines for a year",
            [
                Column::new("item", "item"),
                Column::new("waste_usd_per_mw_year", "heat thrown away, $"),
                Column::new("reuse_usd_per_mw_year", "heat sold, $"),
            ],
        );
        let hours = self.hours.value;
        let earned = (self.mining.earns()? * (1000.0 * hours)).usd_per_kwh();
        let power = (self.power_price.value * (1000.0 * hours)).usd_per_kwh();
        let machines = self.capital.yearly_per_kw()?.get() * 1000.0;
        let cooling = power * (self.pue_waste.value - 1.0);
        for (item, waste, reuse) in [
            ("hashing", earned, earned),
            ("heat sold", 0.0, answer.heat.get()),
            ("power of the machines", -power, -power),
            ("power for cooling and pumps", -cooling, -(cooling - answer.cooling.get())),
            ("machines", -machines, -machines),
            ("exchangers and pipes", 0.0, -answer.exchangers.get()),
            ("left", answer.waste.get(), answer.reuse.get()),
            ("left, whole site", answer.waste.get() * megawatts, answer.reuse.get() * megawatts),
        ] {
            table.row([item.into(), Cell::Number(waste, 0), Cell::Number(reuse, 0)]);
        }
        let outcome = Outcome {
            columns: ("usd_per_mw_year_at_low", "usd_per_mw_year_at_high"),
            label: "gain of selling heat, $ per MW and year",
        };
        let (sensitivity, chart) = tornado(self, self.knobs()?, outcome, |q| {
            let answer = q.answer()?;
            Ok((answer.reuse - answer.waste).get())
        })?;
        finished(Report {
            name: "quote reuse",
            finding: self.finding(&answer),
            inputs: self.inputs()?,
            tables: vec![table, sensitivity],
            chart: Some(chart),
        })
    }

    fn finding(&self, answer: &Answer) -> String {
        let gain = answer.reuse - answer.waste;
        let verdict = if gain > Usd::ZERO {
            format!("selling heat brings {gain} more per megawatt and year than throwing it away")
        } else {
            format!("selling heat costs {} more per megawatt and year than it brings", -gain)
        };
        let from = answer.break_even_heat.map_or(
            "and no price of heat helps while none is taken".to_string(),
            |price| {
                if price > EnergyPrice::ZERO {
                    format!("and pays from {price} of heat on")
                } else {
                    "and pays even if heat is given away, for the cooling avoided".to_string()
                }
            },
        );
        let payback = answer.payback_years.map_or(String::new(), |years| {
            format!("; exchangers are paid back in {years:.1} years")
        });
        let whole = if answer.reuse < Usd::ZERO {
            format!(" The whole still loses {} per megawatt and year.", -answer.reuse)
        } else {
            String::new()
        };
        format!("At {} of heat, {verdict}, {from}{payback}.{whole}", self.heat_price.value)
    }

    fn inputs(&self) -> Result<Vec<Input>, LabError> {
        let power =
            Given { value: self.power.value.megawatts(), source: self.power.source.clone() };
        let mut inputs = vec![
            power.line("power_mw"),
            self.power_price.line("power_price_usd_per_kwh"),
            self.hours.line("hours_per_year"),
        ];
        inputs.extend(self.mining.inputs()?);
        inputs.extend(self.capital.inputs());
        inputs.extend([
            self.heat_price.line("heat_price_usd_per_kwh"),
            self.captured.line("captured_heat_share"),
            self.sold_time.line("sold_time_share"),
            self.pue_waste.line("pue_waste"),
            self.pue_reuse.line("pue_reuse"),
            self.exchanger_per_kw.line("exchanger_usd_per_kw"),
            self.exchanger_years.line("exchanger_years"),
        ]);
        Ok(inputs)
    }

    fn knobs(&self) -> Result<Vec<Knob<Self>>, LabError> {
        let heat = self.heat_price.value.usd_per_kwh();
        let power = self.power_price.value.usd_per_kwh();
        Ok(vec![
            Knob::times("price of heat, $/kWh", heat, (0.5, 1.7), |q: &mut Self, v| {
                q.heat_price.value = EnergyPrice::per_kwh(v)?;
                Ok(())
            }),
            Knob::between(
                "time that heat is taken",
                self.sold_time.value.get(),
                (0.23, 0.95),
                |q, v| {
                    q.sold_time.value = Share::new(v, "the time that heat is taken")?;
                    Ok(())
                },
            ),
            Knob::between("heat captured", self.captured.value.get(), (0.7, 0.97), |q, v| {
                q.captured.value = Share::new(v, "the captured part of the heat")?;
                Ok(())
            }),
            Knob::between("PUE, heat thrown away", self.pue_waste.value, (1.01, 1.2), |q, v| {
                q.pue_waste.value = v;
                Ok(())
            }),
            Knob::times("power price, $/kWh", power, (0.7, 1.3), |q, v| {
                q.power_price.value = EnergyPrice::per_kwh(v)?;
                Ok(())
            }),
            Knob::times(
                "price of exchangers, $/kW",
                self.exchanger_per_kw.value.get(),
                (0.5, 2.0),
                |q, v| {
                    q.exchanger_per_kw.value = Usd::price(v)?;
                    Ok(())
                },
            ),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_differ_by_heat_cooling_and_exchangers_only() {
        let reuse = Reuse::default();
        let answer = reuse.answer().unwrap();
        let difference = answer.heat + answer.cooling - answer.exchangers;
        assert!((answer.reuse - answer.waste - difference).get().abs() < 1e-6);
        // 1 MW x 8322 h x .9 x .6 x $.03.
        assert!((answer.heat.get() - 134_816.4).abs() < 0.1);
        // (1.1 - 1.02) x $.0555 x 8322 MWh x .6.
        assert!((answer.cooling.get() - 0.08 * 0.0555 * 8_322_000.0 * 0.6).abs() < 1e-6);
        // The hash price touches both alike.
        let mut poor = reuse.clone();
        poor.mining.market = super::super::Market::flag(units::HashPrice::new(1.0).unwrap());
        let poor = poor.answer().unwrap();
        assert!((poor.reuse - poor.waste - difference).get().abs() < 1e-6);
    }

    #[test]
    fn at_the_break_even_price_of_heat_reuse_brings_nothing() {
        let mut reuse = Reuse::default();
        reuse.heat_price = Given::flag(reuse.answer().unwrap().break_even_heat.unwrap());
        let answer = reuse.answer().unwrap();
        assert!((answer.reuse - answer.waste).get().abs() < 1e-6);
    }

    #[test]
    fn the_columns_of_the_table_add_up() {
        let report = Reuse::default().report().unwrap();
        for column in [1, 2] {
            let value = |row: &Vec<Cell>| match row[column] {
                Cell::Number(value, _) => value,
                _ => panic!(),
            };
            let rows = &report.tables[0].rows;
            let sum: f64 = rows[..6].iter().map(value).sum();
            assert!((sum - value(&rows[6])).abs() < 1e-6, "{sum}");
        }
    }

    #[test]
    fn a_site_that_cools_with_less_than_nothing_is_refused() {
        let with = |change: fn(&mut Reuse)| {
            let mut reuse = Reuse::default();
            change(&mut reuse);
            reuse.report().unwrap_err().to_string()
        };
        assert_eq!(
            with(|r| r.pue_waste.value = 0.9),
            "the PUE with heat thrown away is 0.9; give 1 or more"
        );
        assert!(with(|r| r.heat_price.value = per_kwh(-0.01)).starts_with("the price of heat is"));
        assert!(with(|r| r.hours.value = 8761.0).starts_with("hours a year"));
        assert!(with(|r| r.exchanger_years.value = 0.0).starts_with("years of the exchangers"));
    }

    #[test]
    fn without_a_buyer_there_is_no_break_even_price() {
        let reuse = Reuse { sold_time: Given::flag(Share::NONE), ..Reuse::default() };
        let answer = reuse.answer().unwrap();
        assert_eq!((answer.break_even_heat, answer.payback_years), (None, None));
        assert!(reuse.report().unwrap().finding.contains("no price of heat helps"));
    }
}
