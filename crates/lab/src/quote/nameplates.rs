//! The catalogue as a report: nameplates, prices, and the power price at which each machine breaks
//! even.

use super::{
    Capital, Given, Market, Share, finished,
    mining::{hours_of_a_year, recovery_factor},
};
use crate::{
    LabError, Report,
    report::{Axis, Cell, Chart, Column, Content, Input, Table},
};
use catalogue::Machine;
use std::time::Duration;
use units::EnergyPrice;

/// More bars than this cannot be told apart.
const DRAWN: usize = 8;

/// What the list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// J/TH.
    Efficiency,
    /// Dollars per TH/s.
    Price,
    /// The power price at which a machine earns its power and, over its years, its price.
    BreakEven,
}

/// Which machines, and what their break-even is computed with.
#[derive(Debug, Clone)]
pub struct Nameplates<'a> {
    /// The machines.
    pub machines: Vec<&'a Machine>,
    /// What the list is sorted by.
    pub by: By,
    /// What hashing earns.
    pub market: Market,
    /// Interest on the price of a machine.
    pub interest: Given<Share>,
    /// Years over which its price is earned back.
    pub years: Given<f64>,
    /// Hours a year that it runs.
    pub hours: Given<f64>,
}

impl<'a> Nameplates<'a> {
    /// With all other inputs at their defaults.
    pub fn new(machines: Vec<&'a Machine>, by: By) -> Self {
        let capital = Capital::default();
        Self {
            machines,
            by,
            market: Market::default(),
            interest: capital.interest,
            years: capital.years,
            hours: super::given::assumed(8322.0),
        }
    }

    /// The power price at which a machine earns just its power; `None` if its efficiency is
    /// unknown.
    pub fn stops_at(&self, machine: &Machine) -> Result<Option<EnergyPrice>, LabError> {
        let hash_price = self.market.hash_price()?;
        Ok(machine.efficiency.map(|efficiency| hash_price.earns_per_kwh(efficiency)))
    }

    /// That less the machine's own price per kilowatt-hour, CRF K / hours, at a hash price that
    /// stays; `None` if its efficiency or price is unknown. Negative where no power price would do.
    pub fn break_even(&self, machine: &Machine) -> Result<Option<EnergyPrice>, LabError> {
        let recovery = recovery_factor(self.interest.value, self.years.value)?;
        let hours = hours_of_a_year(self.hours.value)?;
        let Some((stops_at, per_kw)) = self.stops_at(machine)?.zip(machine.price_per_kilowatt())
        else {
            return Ok(None);
        };
        Ok(Some(stops_at - EnergyPrice::per_kwh(per_kw.get() * recovery / hours)?))
    }

    /// The report.
    pub fn report(&self) -> Result<Report, LabError> {
        let mut all = Vec::new();
        for machine in &self.machines {
            all.push((*machine, self.stops_at(machine)?, self.break_even(machine)?));
        }
        let Some((first, ..)) = all.first() else {
            return Err(LabError::new(
                "no machine of the catalogue has these words in its maker, model or cooling; try \
                 fewer",
            ));
        };
        let single = first.model.clone();
        let key =
            |(machine, _, break_even): &(&Machine, Option<EnergyPrice>, Option<EnergyPrice>)| {
                match self.by {
                    By::Efficiency => machine.efficiency.map(|e| e.joules_per_terahash()),
                    By::Price => machine.price_per_terahash().map(|p| p.get()),
                    By::BreakEven => break_even.map(|p| -p.usd_per_kwh()),
                }
            };
        // What is unknown comes last.
        all.sort_by(|a, b| match (key(a), key(b)) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });

        let mut main = Table::new(
            "machines",
            "Machines",
            [
                Column::new("maker", "maker"),
                Column::new("model", "model"),
                Column::new("cooling", "cooling"),
                Column::new("hashrate_ths", "TH/s"),
                Column::new("power_w", "W"),
                Column::new("efficiency_j_per_th", "J/TH"),
                Column::new("price_usd", "price, $"),
                Column::new("price_usd_per_ths", "$/TH/s"),
                Column::new("stops_at_usd_per_kwh", "earns its power up to, $/kWh"),
                Column::new("break_even_usd_per_kwh", "and its price, $/kWh"),
            ],
        );
        let mut more = Table::new(
            "details",
            "More of them, where known",
            [
                Column::new("model", "model"),
                Column::new("price_date", "price of"),
                Column::new("coinbase_limit_bytes", "coinbase up to, bytes"),
                Column::new("ramp_down_s", "ramp down, s"),
                Column::new("ramp_up_s", "ramp up, s"),
                Column::new("noise_db", "noise, dB"),
                Column::new("note", "note"),
            ],
        );
        let number =
            |value: Option<f64>, digits| value.map_or(Cell::Missing, |v| Cell::Number(v, digits));
        let per_kwh = |price: Option<EnergyPrice>| number(price.map(EnergyPrice::usd_per_kwh), 4);
        for (machine, stops_at, break_even) in &all {
            let efficiency = machine.efficiency.map(|e| e.joules_per_terahash());
            main.row([
                machine.maker.as_str().into(),
                machine.model.as_str().into(),
                machine.cooling.as_str().into(),
                Cell::Figure(machine.hashrate.terahashes_per_second()),
                number(machine.power.map(|p| p.get()), 0),
                number(efficiency, 1),
                number(machine.price.as_ref().map(|p| p.usd.get()), 0),
                number(machine.price_per_terahash().map(|p| p.get()), 1),
                per_kwh(*stops_at),
                per_kwh(*break_even),
            ]);
            let seconds = |time: Option<Duration>| {
                time.map_or(Cell::Missing, |t| Cell::Figure(t.as_secs_f64()))
            };
            let details = machine.price.is_some()
                || machine.coinbase_limit_bytes.is_some()
                || machine.ramp_up.is_some()
                || machine.ramp_down.is_some()
                || machine.noise_db.is_some()
                || !machine.note.is_empty();
            if details {
                more.row([
                    machine.model.as_str().into(),
                    machine.price.as_ref().map_or(Cell::Missing, |p| p.date.as_str().into()),
                    machine.coinbase_limit_bytes.map_or(Cell::Missing, |b| Cell::Count(b.into())),
                    seconds(machine.ramp_down),
                    seconds(machine.ramp_up),
                    number(machine.noise_db, 0),
                    if machine.note.is_empty() {
                        Cell::Missing
                    } else {
                        machine.note.as_str().into()
                    },
                ]);
            }
        }
        let (what, unit) = match self.by {
            By::Efficiency => ("Nameplate efficiency", "J/TH"),
            By::Price => ("List price", "$ per TH/s"),
            By::BreakEven => ("Power price that pays for machine and power", "$/kWh"),
        };
        let bars: Vec<(String, f64)> = all
            .iter()
            // A break-even is ranked by its negative; one below zero has no bar.
            .filter_map(|one| Some((one.0.model.clone(), key(one)?)))
            .map(|(model, key)| (model, if self.by == By::BreakEven { -key } else { key }))
            .filter(|(_, height)| *height > 0.0)
            .take(DRAWN)
            .collect();
        let chart = (!bars.is_empty()).then(|| Chart {
            title: format!("{what}, the best {}", bars.len()),
            x: Axis::linear("machine"),
            y: Axis::linear(unit),
            content: Content::Bars(bars),
        });
        let finding = self.finding(&all, &single)?;
        finished(Report {
            name: "catalogue",
            finding,
            inputs: self.inputs()?,
            tables: vec![main, more],
            chart,
        })
    }

    fn finding(
        &self,
        all: &[(&Machine, Option<EnergyPrice>, Option<EnergyPrice>)],
        single: &str,
    ) -> Result<String, LabError> {
        let hash_price = self.market.hash_price()?;
        let best = all.first().map_or(single, |(machine, ..)| machine.model.as_str());
        let by = match self.by {
            By::Efficiency => "J/TH",
            By::Price => "price per TH/s",
            By::BreakEven => "the power price that pays for machine and power",
        };
        let count = match all.len() {
            1 => "1 machine".to_string(),
            n => format!("{n} machines"),
        };
        Ok(format!("{count}, best by {by} first: {best}. Hash price {hash_price}."))
    }

    fn inputs(&self) -> Result<Vec<Input>, LabError> {
        let mut inputs = self.market.inputs()?;
        inputs.extend([
            self.interest.line("interest_per_year"),
            self.years.line("depreciation_years"),
            self.hours.line("hours_per_year"),
        ]);
        Ok(inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::HashPrice;

    fn all(by: By) -> Nameplates<'static> {
        let mut all = Nameplates::new(catalogue::machines().iter().collect(), by);
        all.market = Market::flag(HashPrice::new(30.0).unwrap());
        all
    }

    fn first(by: By) -> String {
        all(by).report().unwrap().tables[0].rows[0][1].text()
    }

    #[test]
    fn the_list_is_sorted_by_what_was_asked_for() {
        assert_eq!(first(By::Efficiency), "Antminer S23 Hyd");
        assert_eq!(first(By::Price), "Antminer S19 XP Hyd");
        let listed = all(By::BreakEven);
        let best = first(By::BreakEven);
        let break_even = |model: &str| {
            let machine = catalogue::find(catalogue::machines(), model).unwrap();
            listed.break_even(machine).unwrap()
        };
        for machine in catalogue::machines() {
            let other = listed.break_even(machine).unwrap();
            assert!(other.is_none_or(|other| other <= break_even(&best).unwrap()));
        }
    }

    #[test]
    fn a_machine_earns_its_power_up_to_the_price_of_the_reference() {
        let machine = catalogue::find(catalogue::machines(), "S19 XP").unwrap();
        let stops_at = all(By::Efficiency).stops_at(machine).unwrap().unwrap();
        assert_eq!(stops_at.to_string(), "0.0581 $/kWh");
        // $2000 for 3.01 kW at 8 % over 5 years and 8,322 hours.
        let own = 2000.0 / 3.01 * 0.250_456_45 / 8322.0;
        let break_even = all(By::Efficiency).break_even(machine).unwrap().unwrap();
        assert!((stops_at.usd_per_kwh() - break_even.usd_per_kwh() - own).abs() < 1e-8);
    }

    #[test]
    fn its_own_csv_reads_back_as_a_catalogue() {
        let csv = all(By::Efficiency).report().unwrap().to_csv(None).unwrap();
        let read = catalogue::parse(&csv).unwrap();
        assert_eq!(read.len(), catalogue::machines().len());
        assert_eq!(read[0].efficiency, all(By::Efficiency).machines[18].efficiency);
    }

    #[test]
    fn no_machine_is_a_sentence() {
        let said = Nameplates::new(vec![], By::Price).report().unwrap_err().to_string();
        assert!(said.starts_with("no machine of the catalogue has these words"));
    }
}
