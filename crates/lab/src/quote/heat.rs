//! Heat from machines that mine ("smart") against heat from everything else ("dumb"): what a
//! kilowatt-hour of it costs net of what the machine earns, with the machine itself counted.
//!
//! It knows nothing of a house: hours a year and the used part of the heat are inputs.

use super::{
    Capital, HOURS_PER_YEAR, Mining, finished,
    given::{Share, assumed, at_least_one, no_debt, positive},
    mining::{hours_of_a_year, per_kwh, usd},
    sensitivity::{HASH_PRICES, Knob, Mines, Outcome, mining_knobs, tornado},
};
use crate::{
    Given, LabError, Report,
    report::{Cell, Column, Input, Table},
};
use units::{EnergyPrice, HashPrice, Usd};

/// Kilowatt-hours of a therm: 100,000 Btu.
const KWH_PER_THERM: f64 = 29.307_1;
/// Of a US gallon of propane: 91,333 Btu (EIA).
const KWH_PER_GALLON_PROPANE: f64 = 26.767;
/// Of a US gallon of heating oil: 138,500 Btu (EIA).
const KWH_PER_GALLON_OIL: f64 = 40.591;

/// A machine that heats, and what it is compared with.
#[derive(Debug, Clone)]
pub struct Heat {
    /// What the machine earns.
    pub mining: Mining,
    /// What the machine costs.
    pub capital: Capital,
    /// What a kilowatt-hour of electricity costs.
    pub power_price: Given<EnergyPrice>,
    /// Hours a year that heat is wanted, at full power.
    pub hours: Given<f64>,
    /// Part of the heat that is of use.
    pub used: Given<Share>,
    /// Times that the hash price falls by a year, as difficulty grows and the coin's price does
    /// not; for the last column of the payback band.
    pub decline: Given<f64>,
    /// Seasonal coefficient of performance of a heat pump.
    pub heat_pump_cop: Given<f64>,
    /// Natural gas, dollars a therm.
    pub gas_per_therm: Given<Usd>,
    /// Part of the gas's heat that a boiler delivers.
    pub gas_efficiency: Given<Share>,
    /// Propane, dollars a US gallon.
    pub propane_per_gallon: Given<Usd>,
    /// Part of the propane's heat that a boiler delivers.
    pub propane_efficiency: Given<Share>,
    /// Heating oil, dollars a US gallon.
    pub oil_per_gallon: Given<Usd>,
    /// Part of the oil's heat that a boiler delivers.
    pub oil_efficiency: Given<Share>,
}

impl Default for Heat {
    fn default() -> Self {
        const US: &str = "US consumer price, reference case";
        const BOILER: &str = "condensing boiler, reference case";
        let share = |value| Share::new(value, "").unwrap_or(Share::ALL);
        Self {
            mining: Mining::default(),
            capital: Capital::default(),
            power_price: Given::default(per_kwh(0.16), "US residential, reference case", "2025"),
            hours: Given::default(3500.0, "a heating season of 6 to 9 months", "2025"),
            used: assumed(Share::ALL),
            decline: Given::default(1.35, "growth of Bitcoin's difficulty", "2025"),
            heat_pump_cop: assumed(3.0),
            gas_per_therm: Given::default(usd(1.40), US, "2025"),
            gas_efficiency: Given::default(share(0.92), BOILER, "2025"),
            propane_per_gallon: Given::default(usd(2.70), US, "2025"),
            propane_efficiency: Given::default(share(0.92), BOILER, "2025"),
            oil_per_gallon: Given::default(usd(4.00), US, "2025"),
            oil_efficiency: Given::default(share(0.85), "oil boiler, reference case", "2025"),
        }
    }
}

/// What a kilowatt-hour of heat costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What a kilowatt-hour drawn earns.
    pub earns: EnergyPrice,
    /// (c - r) / used: the machine is there already.
    pub running: EnergyPrice,
    /// A = (CRF K + O&M) / (hours used): the machine itself.
    pub machine: EnergyPrice,
    /// c / (c - r); `None` where hashing pays for all of the power: the heat is free or better.
    pub effective_cop: Option<f64>,
    /// The other ways, dearest last.
    pub others: Vec<Other>,
}

/// Another way to make heat.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    /// What it is.
    pub name: &'static str,
    /// A kilowatt-hour of its heat, without the device.
    pub price: EnergyPrice,
}

impl Answer {
    /// Running and machine together.
    pub fn all_in(&self) -> EnergyPrice {
        self.running + self.machine
    }
}

impl Heat {
    /// Computes.
    pub fn answer(&self) -> Result<Answer, LabError> {
        let earns = self.mining.earns()?;
        let cost = self.checked_power_price()?;
        let used = positive(self.used.value.get(), "the used part of the heat")?;
        let left = cost - earns;
        let effective_cop = (left > EnergyPrice::ZERO)
            .then(|| cost.usd_per_kwh() / left.usd_per_kwh())
            .filter(|_| cost > EnergyPrice::ZERO);
        Ok(Answer {
            earns,
            running: left / used,
            machine: self.capital.per_kwh(hours_of_a_year(self.hours.value)?)? / used,
            effective_cop,
            others: self.others(cost)?,
        })
    }

    /// Whether running the machine beats a heat pump of this coefficient, the machine not counted:
    /// r > c (1 - 1/x).
    pub fn beats_heat_pump(&self, cop: f64) -> Result<bool, LabError> {
        at_least_one(cop, "the heat pump's coefficient of performance")?;
        let cost = self.checked_power_price()?;
        Ok(self.mining.earns()? > cost * (1.0 - 1.0 / cop))
    }

    fn checked_power_price(&self) -> Result<EnergyPrice, LabError> {
        let price = self.power_price.value;
        if price < EnergyPrice::ZERO {
            return Err(LabError::new(
                "the power price is negative; heat from power that pays is free whatever makes it: \
                 give zero or more, or ask `hearth quote surplus`",
            ));
        }
        Ok(price)
    }

    fn others(&self, cost: EnergyPrice) -> Result<Vec<Other>, LabError> {
        let cop =
            at_least_one(self.heat_pump_cop.value, "the heat pump's coefficient of performance")?;
        let fuel = |price: &Given<Usd>, kwh: f64, efficiency: &Given<Share>, what: &str| {
            let price = no_debt(price.value, &format!("the price of {what}"))?;
            let part = positive(efficiency.value.get(), &format!("the efficiency of {what}"))?;
            Ok::<_, LabError>(EnergyPrice::per_kwh(price.get() / kwh / part)?)
        };
        let gas = fuel(&self.gas_per_therm, KWH_PER_THERM, &self.gas_efficiency, "gas")?;
        let propane = fuel(
            &self.propane_per_gallon,
            KWH_PER_GALLON_PROPANE,
            &self.propane_efficiency,
            "propane",
        )?;
        let oil = fuel(&self.oil_per_gallon, KWH_PER_GALLON_OIL, &self.oil_efficiency, "oil")?;
        let mut others = vec![
            Other { name: "natural gas", price: gas },
            Other { name: "heat pump", price: cost / cop },
            Other { name: "propane", price: propane },
            Other { name: "heating oil", price: oil },
            Other { name: "resistive heater", price: cost },
        ];
        others.sort_by(|a, b| a.price.usd_per_kwh().total_cmp(&b.price.usd_per_kwh()));
        Ok(others)
    }

    /// Years until a kilowatt of machine has paid for itself against another heat price, if the
    /// hash price falls by `decline` a year; `None` for never within 30 years.
    pub fn payback(&self, against: EnergyPrice, decline: f64) -> Result<Option<f64>, LabError> {
        let decline = at_least_one(decline, "the yearly decline of the hash price")?;
        let hours = hours_of_a_year(self.hours.value)?;
        let used = positive(self.used.value.get(), "the used part of the heat")?;
        let fixed = (against * used - self.checked_power_price()?).usd_per_kwh() * hours
            - self.capital.upkeep_per_kw_year.value.get();
        let earned = self.mining.earns()?.usd_per_kwh() * hours;
        let mut owed =
            no_debt(self.capital.capex_per_kw.value, "the price of machines per kW")?.get();
        const STEPS: u32 = 365;
        for day in 0..30 * STEPS {
            if owed <= 0.0 {
                return Ok(Some(f64::from(day) / f64::from(STEPS)));
            }
            let year = (f64::from(day) + 0.5) / f64::from(STEPS);
            // Where heating with it costs more than the other way, it stands still.
            let saved = fixed + earned * decline.powf(-year);
            owed -= saved.max(0.0) / f64::from(STEPS);
        }
        Ok(None)
    }

    /// The report.
    pub fn report(&self) -> Result<Report, LabError> {
        let answer = self.answer()?;
        let outcome = Outcome {
            columns: ("usd_per_kwh_at_low", "usd_per_kwh_at_high"),
            label: "heat with the machine counted, $/kWh",
        };
        let (sensitivity, chart) =
            tornado(self, self.knobs()?, outcome, |q| Ok(q.answer()?.all_in().usd_per_kwh()))?;
        finished(Report {
            name: "quote heat",
            finding: self.finding(&answer),
            inputs: self.inputs()?,
            tables: vec![
                self.prices(&answer),
                self.payback_band(&answer)?,
                self.intermittency(&answer)?,
                sensitivity,
            ],
            chart: Some(chart),
        })
    }

    fn finding(&self, answer: &Answer) -> String {
        let cost = self.power_price.value;
        let running = if answer.running <= EnergyPrice::ZERO {
            format!("you are paid {} to heat", -answer.running)
        } else {
            let less = 100.0 * (answer.earns.usd_per_kwh() / cost.usd_per_kwh());
            let cop = answer.effective_cop.map_or(String::new(), |cop| {
                format!(", as if a heat pump had a coefficient of {cop:.2}")
            });
            format!("heat costs {}, {less:.1} % less than from a plain heater{cop}", answer.running)
        };
        let all_in = answer.all_in();
        let (cheaper, dearer): (Vec<&Other>, Vec<&Other>) =
            answer.others.iter().partition(|other| other.price < all_in);
        let names = |others: &[&Other]| {
            if others.is_empty() {
                return "nothing".to_string();
            }
            others.iter().map(|other| other.name).collect::<Vec<_>>().join(", ")
        };
        format!(
            "A machine you already own: {running}. With the machine bought for {} hours a year, \
             {all_in}: {} of it for the machine. Cheaper than that: {}; dearer: {}.",
            Cell::Figure(self.hours.value).text(),
            answer.machine,
            names(&cheaper),
            names(&dearer),
        )
    }

    fn prices(&self, answer: &Answer) -> Table {
        let mut table = Table::new(
            "prices",
            "A kilowatt-hour of heat",
            [
                Column::new("heat", "heat from"),
                Column::new("usd_per_kwh", "$/kWh"),
                Column::new("all_in_usd_per_kwh", "with the machine, $/kWh"),
                Column::new("miner_saves_usd_per_kwh", "miner saves, $/kWh"),
                Column::new("miner_saves_all_in_usd_per_kwh", "saves, machine counted, $/kWh"),
            ],
        );
        let cell = |price: EnergyPrice| Cell::Number(price.usd_per_kwh(), 4);
        table.row([
            "mining machine".into(),
            cell(answer.running),
            cell(answer.all_in()),
            Cell::Missing,
            Cell::Missing,
        ]);
        for other in &answer.others {
            table.row([
                other.name.into(),
                cell(other.price),
                Cell::Missing,
                cell(other.price - answer.running),
                cell(other.price - answer.all_in()),
            ]);
        }
        table
    }

    fn payback_band(&self, answer: &Answer) -> Result<Table, LabError> {
        let mut table = Table::new(
            "payback",
            "Years until the machine has paid for itself, without interest",
            [
                Column::new("against", "instead of"),
                Column::new("years_at_low_hashprice", "hash price 28 $/PH/day"),
                Column::new("years", "hash price as given"),
                Column::new("years_at_high_hashprice", "hash price 43 $/PH/day"),
                Column::new("years_declining", "as given, falling each year"),
            ],
        );
        let at = |hash_price: f64| -> Result<Self, LabError> {
            let mut changed = self.clone();
            changed.mining.market = super::Market::flag(HashPrice::new(hash_price)?);
            Ok(changed)
        };
        let (low, high) = (at(HASH_PRICES.0)?, at(HASH_PRICES.1)?);
        for other in &answer.others {
            let cell = |years: Option<f64>| years.map_or("never".into(), |y| Cell::Number(y, 1));
            table.row([
                other.name.into(),
                cell(low.payback(other.price, 1.0)?),
                cell(self.payback(other.price, 1.0)?),
                cell(high.payback(other.price, 1.0)?),
                cell(self.payback(other.price, self.decline.value)?),
            ]);
        }
        Ok(table)
    }

    fn intermittency(&self, answer: &Answer) -> Result<Table, LabError> {
        let mut table = Table::new(
            "intermittency",
            "What the machine costs by the hours it runs",
            [
                Column::new("hours_per_year", "hours a year"),
                Column::new("capacity_factor", "capacity factor"),
                Column::new("machine_usd_per_kwh", "machine, with interest, $/kWh"),
                Column::new("machine_straight_line_usd_per_kwh", "straight line, $/kWh"),
                Column::new("all_in_usd_per_kwh", "heat, machine counted, $/kWh"),
                Column::new("saves_usd_per_kwh", "less than a plain heater, $/kWh"),
            ],
        );
        let used = self.used.value.get();
        let line = Capital { interest: Given::flag(Share::NONE), ..self.capital.clone() };
        for hours in [2000.0, 2190.0, 3500.0, 4380.0, 6570.0, 8322.0] {
            let machine = self.capital.per_kwh(hours)? / used;
            let all_in = answer.running + machine;
            table.row([
                Cell::Number(hours, 0),
                Cell::Number(hours / HOURS_PER_YEAR, 2),
                Cell::Number(machine.usd_per_kwh(), 3),
                Cell::Number((line.per_kwh(hours)? / used).usd_per_kwh(), 3),
                Cell::Number(all_in.usd_per_kwh(), 3),
                Cell::Number((self.power_price.value - all_in).usd_per_kwh(), 3),
            ]);
        }
        Ok(table)
    }

    fn inputs(&self) -> Result<Vec<Input>, LabError> {
        let mut inputs = vec![self.power_price.line("power_price_usd_per_kwh")];
        inputs.extend(self.mining.inputs()?);
        inputs.extend(self.capital.inputs());
        inputs.extend([
            self.hours.line("hours_per_year"),
            self.used.line("used_heat_share"),
            self.decline.line("hashprice_decline_per_year"),
            self.heat_pump_cop.line("heat_pump_cop"),
            self.gas_per_therm.line("gas_usd_per_therm"),
            self.gas_efficiency.line("gas_efficiency"),
            self.propane_per_gallon.line("propane_usd_per_gallon"),
            self.propane_efficiency.line("propane_efficiency"),
            self.oil_per_gallon.line("oil_usd_per_gallon"),
            self.oil_efficiency.line("oil_efficiency"),
        ]);
        Ok(inputs)
    }

    fn knobs(&self) -> Result<Vec<Knob<Self>>, LabError> {
        let price = self.power_price.value.usd_per_kwh();
        let mut knobs = mining_knobs(&self.mining, &self.capital)?;
        knobs.extend([
            Knob::times("power price, $/kWh", price, (0.7, 1.3), |q: &mut Self, v| {
                q.power_price.value = EnergyPrice::per_kwh(v)?;
                Ok(())
            }),
            Knob::between("hours a year, h", self.hours.value, (2000.0, 6570.0), |q, v| {
                q.hours.value = v;
                Ok(())
            }),
            Knob::between("depreciation, years", self.capital.years.value, (3.0, 8.0), |q, v| {
                q.capital.years.value = v;
                Ok(())
            }),
            Knob::between("used part of the heat", self.used.value.get(), (0.7, 1.0), |q, v| {
                q.used.value = Share::new(v, "the used part of the heat")?;
                Ok(())
            }),
        ]);
        Ok(knobs)
    }
}

impl Mines for Heat {
    fn mining(&mut self) -> &mut Mining {
        &mut self.mining
    }

    fn capital(&mut self) -> &mut Capital {
        &mut self.capital
    }
}

#[cfg(test)]
mod tests {
    use super::super::Market;
    use super::*;
    use units::Efficiency;

    /// Hash price, J/TH and power price; no fee, no downtime.
    fn heat(hash_price: f64, efficiency: f64, power_price: f64) -> Heat {
        let mining = Mining {
            market: Market::flag(HashPrice::new(hash_price).unwrap()),
            efficiency: Given::flag(Efficiency::new(efficiency).unwrap()),
            uptime: Given::flag(Share::ALL),
            ..Mining::default()
        };
        Heat { mining, power_price: Given::flag(per_kwh(power_price)), ..Heat::default() }
    }

    #[test]
    fn mining_heat_costs_what_the_reference_says() {
        for (hash_price, efficiency, cost, net, cop) in [
            // r = .041
            (0.041 * 24.0 * 20.0, 20.0, 0.09, 0.049, Some(1.837)),
            (38.2, 17.5, 0.08, -0.011, None),
            (38.2, 17.5, 0.12, 0.029, Some(4.13)),
            (38.2, 17.5, 0.16, 0.069, Some(2.32)),
            (30.0, 21.5, 0.16, 0.102, Some(1.57)),
        ] {
            let answer = heat(hash_price, efficiency, cost).answer().unwrap();
            assert!((answer.running.usd_per_kwh() - net).abs() < 0.0005, "{cost}: {answer:?}");
            match (answer.effective_cop, cop) {
                (None, None) => {}
                (Some(got), Some(want)) => assert!((got - want).abs() < 0.005, "{cost}: {got}"),
                other => panic!("{cost}: {other:?}"),
            }
        }
        let finding = heat(0.041 * 24.0 * 20.0, 20.0, 0.09).report().unwrap().finding;
        assert!(finding.contains("45.6 % less than from a plain heater"), "{finding}");
        let finding = heat(38.2, 17.5, 0.08).report().unwrap().finding;
        assert!(finding.contains("you are paid 0.0110 $/kWh to heat"), "{finding}");
    }

    #[test]
    fn other_heat_costs_what_the_reference_says() {
        let others = heat(38.2, 17.5, 0.12).answer().unwrap().others;
        let price = |name| others.iter().find(|o| o.name == name).unwrap().price.usd_per_kwh();
        for (name, want, digits) in [
            ("natural gas", 0.0519, 4),
            ("propane", 0.110, 3),
            ("heating oil", 0.116, 3),
            ("heat pump", 0.04, 4),
            ("resistive heater", 0.12, 4),
        ] {
            assert_eq!(format!("{:.digits$}", price(name)), format!("{want:.digits$}"), "{name}");
        }
        assert!(others.is_sorted_by(|a, b| a.price <= b.price));
    }

    #[test]
    fn mining_beats_a_heat_pump_below_the_coefficient_that_it_is_worth() {
        let heat = heat(38.2, 17.5, 0.12);
        let worth = heat.answer().unwrap().effective_cop.unwrap();
        assert!(heat.beats_heat_pump(worth - 0.01).unwrap());
        assert!(!heat.beats_heat_pump(worth + 0.01).unwrap());
        assert!(heat.beats_heat_pump(0.5).is_err());
    }

    #[test]
    fn heat_that_is_half_wasted_costs_twice() {
        let whole = heat(38.2, 17.5, 0.12);
        let mut half = whole.clone();
        half.used = Given::flag(Share::new(0.5, "used").unwrap());
        let (whole, half) = (whole.answer().unwrap(), half.answer().unwrap());
        let twice = whole.all_in() * 2.0;
        assert!((half.all_in() - twice).usd_per_kwh().abs() < 1e-12);
    }

    #[test]
    fn the_machine_pays_for_itself_in_price_over_saving_and_later_if_the_hash_price_falls() {
        let heat = heat(38.2, 17.5, 0.16);
        let saved = heat.mining.earns().unwrap().usd_per_kwh() * 3500.0;
        let years = heat.payback(per_kwh(0.16), 1.0).unwrap().unwrap();
        assert!((years - 857.0 / saved).abs() < 0.01, "{years}");
        let later = heat.payback(per_kwh(0.16), 1.1).unwrap().unwrap();
        assert!(later > years);
        // It earns at most saved / ln 2 = $459 ever.
        assert_eq!(heat.payback(per_kwh(0.16), 2.0).unwrap(), None);
        assert_eq!(heat.payback(per_kwh(0.01), 1.0).unwrap(), None);
    }

    #[test]
    fn inputs_without_meaning_are_refused_by_name() {
        let base = heat(38.2, 17.5, 0.12);
        let said = |change: fn(&mut Heat)| {
            let mut heat = base.clone();
            change(&mut heat);
            heat.report().unwrap_err().to_string()
        };
        for (said, want) in [
            (said(|h| h.power_price.value = per_kwh(-0.01)), "the power price is negative"),
            (said(|h| h.hours.value = 9000.0), "hours a year are 9000"),
            (said(|h| h.used.value = Share::NONE), "the used part of the heat is 0"),
            (said(|h| h.heat_pump_cop.value = 0.0), "the heat pump's coefficient"),
            (said(|h| h.gas_per_therm.value = usd(-1.0)), "the price of gas is -1"),
            (said(|h| h.oil_efficiency.value = Share::NONE), "the efficiency of oil is 0"),
            (said(|h| h.capital.years.value = f64::NAN), "years of depreciation is NaN"),
            (said(|h| h.capital.capex_per_kw.value = usd(-5.0)), "the price of machines per kW"),
            (said(|h| h.decline.value = 0.5), "the yearly decline of the hash price is 0.5"),
            (
                said(|h| h.capital.capex_per_kw.value = usd(1e308)),
                "an input is so large or so small",
            ),
        ] {
            assert!(said.starts_with(want), "{said}");
        }
    }

    #[test]
    fn free_power_makes_free_heat_without_a_coefficient() {
        let report = heat(38.2, 17.5, 0.0).report().unwrap();
        assert!(report.finding.contains("you are paid"), "{}", report.finding);
    }
}
