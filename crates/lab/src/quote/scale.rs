//! Economies of scale: what a large site spreads over many megawatts against what a small one gets
//! for nothing. It finds the size at which both cost the same.

use super::{
    Capital, HOURS_PER_YEAR, finished,
    given::{Share, assumed, at_least_one, no_debt, positive},
    mining::{hours_of_a_year, per_kwh, usd},
    sensitivity::{Knob, Outcome, tornado},
};
use crate::{
    Given, LabError, Report,
    report::{Cell, Column, Input, Table},
};
use units::{EnergyPrice, Usd, Watts};

/// A small site and a large one.
#[derive(Debug, Clone)]
pub struct Scale {
    /// What a year of a professional site costs whatever its size, part by part.
    pub fixed: Vec<Fixed>,
    /// What machines cost at either site.
    pub capital: Capital,
    /// What a kilowatt-hour costs where it is generated or bought wholesale.
    pub wholesale: Given<EnergyPrice>,
    /// Wires between there and the large site.
    pub large_wires: Given<EnergyPrice>,
    /// Power of the large site over that of its machines.
    pub large_pue: Given<f64>,
    /// Rent, spares and hands that grow with size, per kilowatt-hour.
    pub large_variable: Given<EnergyPrice>,
    /// Hours a year that the large site runs.
    pub large_hours: Given<f64>,
    /// Wires, losses and taxes on the small site's power; 0 behind the meter.
    pub small_wires: Given<EnergyPrice>,
    /// Own time, internet and repairs of a small site, a year.
    pub small_fixed: Given<Usd>,
    /// Power of the small site.
    pub small_power: Given<Watts>,
    /// Hours a year that the small site runs.
    pub small_hours: Given<f64>,
    /// What a kilowatt-hour of heat saves at the small site.
    pub heat_price: Given<EnergyPrice>,
    /// Part of the small site's heat that is wanted.
    pub heat_used: Given<Share>,
}

/// A cost that does not grow with the site.
#[derive(Debug, Clone)]
pub struct Fixed {
    /// What for.
    pub name: &'static str,
    /// Name of the input.
    pub input: &'static str,
    /// A year.
    pub per_year: Given<Usd>,
}

impl Default for Scale {
    fn default() -> Self {
        let fixed = |name, input, dollars| Fixed { name, input, per_year: assumed(usd(dollars)) };
        Self {
            fixed: vec![
                fixed("buying power", "fixed_power_buying_usd_year", 150_000.0),
                fixed("control and monitoring", "fixed_control_usd_year", 80_000.0),
                fixed("repair bench", "fixed_repair_usd_year", 160_000.0),
                fixed("cooling engineering", "fixed_cooling_usd_year", 60_000.0),
                fixed("law and permits", "fixed_legal_usd_year", 100_000.0),
                fixed("finance", "fixed_finance_usd_year", 150_000.0),
            ],
            capital: Capital::default(),
            wholesale: Given::default(
                per_kwh(0.045),
                "Cambridge: median power price of miners",
                "2025",
            ),
            large_wires: assumed(per_kwh(0.005)),
            large_pue: Given::default(1.1, "middle of 1.01 to 1.2", "2025"),
            large_variable: assumed(per_kwh(0.006)),
            large_hours: assumed(8322.0),
            small_wires: Given::default(EnergyPrice::ZERO, "behind the meter", "2025"),
            small_fixed: assumed(usd(200.0)),
            small_power: assumed(Watts::new(20e3).unwrap_or(Watts::MEGA)),
            small_hours: assumed(6000.0),
            heat_price: Given::default(
                per_kwh(0.0519),
                "natural gas at $1.40 a therm and 92 %",
                "2025",
            ),
            heat_used: assumed(Share::new(0.5, "").unwrap_or(Share::ALL)),
        }
    }
}

/// What a kilowatt-hour into machines costs, and where both are equal.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The small site, heat credited.
    pub small: EnergyPrice,
    /// A large site without its fixed costs: the limit of growing.
    pub large_limit: EnergyPrice,
    /// All fixed costs, a year.
    pub fixed: Usd,
    /// The size of the large site from which it is cheaper; `None` if it never is.
    pub crossover: Option<Watts>,
}

impl Scale {
    /// Computes.
    pub fn answer(&self) -> Result<Answer, LabError> {
        let hours = hours_of_a_year(self.large_hours.value)?;
        let fixed: Usd = self
            .fixed
            .iter()
            .map(|part| no_debt(part.per_year.value, part.name))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .sum();
        let pue = at_least_one(self.large_pue.value, "the PUE of the large site")?;
        let large_limit = (self.wholesale.value + self.large_wires.value) * pue
            + self.large_variable.value
            + self.capital.per_kwh(hours)?;
        let small = self.small()?;
        let apart = (small - large_limit).usd_per_kwh();
        let crossover =
            (apart > 0.0).then(|| Watts::new(fixed.get() / (apart * hours) * 1e3)).transpose()?;
        Ok(Answer { small, large_limit, fixed, crossover })
    }

    /// What a kilowatt-hour into machines costs at a large site of this power.
    pub fn large(&self, power: Watts) -> Result<EnergyPrice, LabError> {
        let answer = self.answer()?;
        let kwh =
            positive(power.kilowatts(), "the power of the large site")? * self.large_hours.value;
        Ok(answer.large_limit + EnergyPrice::per_kwh(answer.fixed.get() / kwh)?)
    }

    fn small(&self) -> Result<EnergyPrice, LabError> {
        let power = positive(self.small_power.value.kilowatts(), "the power of the small site")?;
        let hours = hours_of_a_year(self.small_hours.value)?;
        let own = no_debt(self.small_fixed.value, "the small site's own costs")?;
        let heat = self.heat_price.value * self.heat_used.value.get();
        let own = EnergyPrice::per_kwh(own.get() / (power * hours))?;
        let machines = self.capital.per_kwh(hours)?;
        Ok(self.wholesale.value + self.small_wires.value + own + machines - heat)
    }

    /// The report.
    pub fn report(&self) -> Result<Report, LabError> {
        let answer = self.answer()?;
        let outcome = Outcome {
            columns: ("usd_per_kwh_at_low", "usd_per_kwh_at_high"),
            label: "small site less the largest, $/kWh",
        };
        let (sensitivity, chart) = tornado(self, self.knobs(), outcome, |q| {
            let answer = q.answer()?;
            Ok((answer.small - answer.large_limit).usd_per_kwh())
        })?;
        finished(Report {
            name: "quote scale",
            finding: self.finding(&answer)?,
            inputs: self.inputs(),
            tables: vec![self.sizes()?, self.parts(&answer)?, self.crossovers()?, sensitivity],
            chart: Some(chart),
        })
    }

    fn finding(&self, answer: &Answer) -> Result<String, LabError> {
        let small = self.small_power.value;
        let start = format!(
            "A kilowatt-hour into machines costs {} at a site of {small} that uses {} of its heat, \
             and {} at a large site however large",
            answer.small, self.heat_used.value, answer.large_limit,
        );
        Ok(match answer.crossover {
            Some(size) => format!(
                "{start}: sites above {size} are cheaper than the small one, as {} a year of fixed \
                 costs are spread far enough.",
                answer.fixed
            ),
            None => format!("{start}: no size beats the small one."),
        })
    }

    fn sizes(&self) -> Result<Table, LabError> {
        let mut table = Table::new(
            "sizes",
            "A kilowatt-hour into machines by the size of the large site",
            [
                Column::new("power_mw", "large site, MW"),
                Column::new("fixed_usd_per_kwh", "fixed costs, $/kWh"),
                Column::new("all_usd_per_kwh", "all costs, $/kWh"),
                Column::new("power_share_of_opex", "power's part, machines aside"),
                Column::new("cheaper", "cheaper is"),
            ],
        );
        let answer = self.answer()?;
        let power = self.wholesale.value * self.large_pue.value;
        let machines = self.capital.per_kwh(self.large_hours.value)?;
        for megawatts in [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0] {
            let all = self.large(Watts::new(megawatts * 1e6)?)?;
            table.row([
                Cell::Figure(megawatts),
                Cell::Number((all - answer.large_limit).usd_per_kwh(), 4),
                Cell::Number(all.usd_per_kwh(), 4),
                Cell::Number(power.usd_per_kwh() / (all - machines).usd_per_kwh(), 2),
                if all < answer.small { "large".into() } else { "small".into() },
            ]);
        }
        Ok(table)
    }

    fn parts(&self, answer: &Answer) -> Result<Table, LabError> {
        let mut table = Table::new(
            "parts",
            "What shrinks with size, and what a small site gets for nothing",
            [
                Column::new("part", "part"),
                Column::new("small_usd_per_kwh", "small site, $/kWh"),
                Column::new("at_1_mw_usd_per_kwh", "1 MW, $/kWh"),
                Column::new("at_10_mw_usd_per_kwh", "10 MW, $/kWh"),
                Column::new("at_100_mw_usd_per_kwh", "100 MW, $/kWh"),
            ],
        );
        let mut row = |part: &str, values: [f64; 4]| {
            let cells = values.map(|value| Cell::Number(value, 4));
            table.row(std::iter::once(part.into()).chain(cells));
        };
        let hours = self.large_hours.value;
        for part in &self.fixed {
            let at = |megawatts: f64| part.per_year.value.get() / (megawatts * 1e3 * hours);
            row(part.name, [0.0, at(1.0), at(10.0), at(100.0)]);
        }
        let kwh = self.small_power.value.kilowatts() * self.small_hours.value;
        row("own time and repairs", [self.small_fixed.value.get() / kwh, 0.0, 0.0, 0.0]);
        let same = |small: EnergyPrice, large: EnergyPrice| {
            let large = large.usd_per_kwh();
            [small.usd_per_kwh(), large, large, large]
        };
        let wholesale = self.wholesale.value;
        let large_wires = self.large_wires.value;
        row("power", same(wholesale, wholesale));
        row("wires", same(self.small_wires.value, large_wires));
        let cooling = (wholesale + large_wires) * (self.large_pue.value - 1.0);
        row("cooling", same(EnergyPrice::ZERO, cooling));
        row("rent, spares, hands", same(EnergyPrice::ZERO, self.large_variable.value));
        let machines = |hours: &Given<f64>| self.capital.per_kwh(hours.value);
        row("machines", same(machines(&self.small_hours)?, machines(&self.large_hours)?));
        let heat = self.heat_price.value * self.heat_used.value.get();
        row("heat used", same(-heat, EnergyPrice::ZERO));
        let all = |megawatts: f64| {
            Ok::<_, LabError>(self.large(Watts::new(megawatts * 1e6)?)?.usd_per_kwh())
        };
        row("all", [answer.small.usd_per_kwh(), all(1.0)?, all(10.0)?, all(100.0)?]);
        Ok(table)
    }

    /// The crossover for other wires and other use of the heat.
    fn crossovers(&self) -> Result<Table, LabError> {
        let used = [0.0, 0.25, 0.5, 0.75, 1.0];
        let mut table = Table::new(
            "crossovers",
            "The large site is cheaper from this size on, MW, by the part of the heat used",
            [
                Column::new("small_wires_usd_per_kwh", "wires to the small site, $/kWh"),
                Column::new("crossover_mw_heat_0", "none"),
                Column::new("crossover_mw_heat_25", "25 %"),
                Column::new("crossover_mw_heat_50", "50 %"),
                Column::new("crossover_mw_heat_75", "75 %"),
                Column::new("crossover_mw_heat_100", "all"),
            ],
        );
        for wires in [0.0, 0.02, 0.04, 0.06, 0.09] {
            let mut row = vec![Cell::Number(wires, 2)];
            for used in used {
                let changed = Self {
                    small_wires: Given::flag(EnergyPrice::per_kwh(wires)?),
                    heat_used: Given::flag(Share::new(used, "the heat used")?),
                    ..self.clone()
                };
                let crossover = changed.answer()?.crossover;
                row.push(crossover.map_or("never".into(), |size| Cell::Figure(size.megawatts())));
            }
            table.row(row);
        }
        Ok(table)
    }

    fn inputs(&self) -> Vec<Input> {
        let small = Given {
            value: self.small_power.value.kilowatts(),
            source: self.small_power.source.clone(),
        };
        let mut inputs: Vec<Input> =
            self.fixed.iter().map(|part| part.per_year.line(part.input)).collect();
        inputs.extend(self.capital.inputs());
        inputs.extend([
            self.wholesale.line("wholesale_usd_per_kwh"),
            self.large_wires.line("large_wires_usd_per_kwh"),
            self.large_pue.line("large_pue"),
            self.large_variable.line("large_variable_usd_per_kwh"),
            self.large_hours.line("large_hours_per_year"),
            small.line("small_power_kw"),
            self.small_wires.line("small_wires_usd_per_kwh"),
            self.small_fixed.line("small_fixed_usd_year"),
            self.small_hours.line("small_hours_per_year"),
            self.heat_price.line("heat_price_usd_per_kwh"),
            self.heat_used.line("heat_used_share"),
        ]);
        inputs
    }

    fn knobs(&self) -> Vec<Knob<Self>> {
        let heat = self.heat_price.value.usd_per_kwh();
        vec![
            Knob::between(
                "wires to the small site, $/kWh",
                self.small_wires.value.usd_per_kwh(),
                (0.0, 0.09),
                |q: &mut Self, v| {
                    q.small_wires.value = EnergyPrice::per_kwh(v)?;
                    Ok(())
                },
            ),
            Knob::between("heat used", self.heat_used.value.get(), (0.0, 1.0), |q, v| {
                q.heat_used.value = Share::new(v, "the heat used")?;
                Ok(())
            }),
            Knob::between("what heat saves, $/kWh", heat, (0.03, 0.12), |q, v| {
                q.heat_price.value = EnergyPrice::per_kwh(v)?;
                Ok(())
            }),
            Knob::between(
                "hours of the small site, h",
                self.small_hours.value,
                (2000.0, HOURS_PER_YEAR),
                |q, v| {
                    q.small_hours.value = v;
                    Ok(())
                },
            ),
            Knob::between("PUE of the large site", self.large_pue.value, (1.01, 1.2), |q, v| {
                q.large_pue.value = v;
                Ok(())
            }),
            Knob::times(
                "small site's own costs, $/year",
                self.small_fixed.value.get(),
                (0.0, 5.0),
                |q, v| {
                    q.small_fixed.value = Usd::price(v)?;
                    Ok(())
                },
            ),
            Knob::times(
                "wholesale power, $/kWh",
                self.wholesale.value.usd_per_kwh(),
                (0.7, 1.3),
                |q, v| {
                    q.wholesale.value = EnergyPrice::per_kwh(v)?;
                    Ok(())
                },
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The small site pays for wires and wants no heat.
    fn grid() -> Scale {
        Scale {
            small_wires: Given::flag(per_kwh(0.03)),
            heat_used: Given::flag(Share::NONE),
            ..Scale::default()
        }
    }

    #[test]
    fn at_the_crossover_both_cost_the_same_and_above_it_the_large_site_less() {
        let scale = grid();
        let answer = scale.answer().unwrap();
        let size = answer.crossover.unwrap();
        let apart = scale.large(size).unwrap() - answer.small;
        assert!(apart.usd_per_kwh().abs() < 1e-12, "{apart}");
        let twice = Watts::new(size.get() * 2.0).unwrap();
        assert!(scale.large(twice).unwrap() < answer.small);
    }

    #[test]
    fn heat_that_is_used_can_put_the_small_site_beyond_any_size() {
        let scale = Scale { heat_used: Given::flag(Share::ALL), ..Scale::default() };
        assert_eq!(scale.answer().unwrap().crossover, None);
        assert!(scale.report().unwrap().finding.ends_with("no size beats the small one."));
    }

    #[test]
    fn power_is_about_four_fifths_of_what_a_large_site_costs() {
        let scale = Scale::default();
        let all = scale.large(Watts::new(100e6).unwrap()).unwrap().usd_per_kwh();
        let machines = scale.capital.per_kwh(8322.0).unwrap().usd_per_kwh();
        let share = 0.045 * 1.1 / (all - machines);
        assert!((0.75..0.85).contains(&share), "{share}");
    }

    #[test]
    fn the_parts_add_up() {
        let report = grid().report().unwrap();
        let rows = &report.tables[1].rows;
        for column in 1..5 {
            let value = |row: &Vec<Cell>| match row[column] {
                Cell::Number(value, _) => value,
                _ => panic!(),
            };
            let (parts, all) = rows.split_at(rows.len() - 1);
            let sum: f64 = parts.iter().map(value).sum();
            assert!((sum - value(&all[0])).abs() < 1e-12);
        }
    }

    #[test]
    fn costs_that_cannot_be_are_refused() {
        let with = |change: fn(&mut Scale)| {
            let mut scale = grid();
            change(&mut scale);
            scale.report().unwrap_err().to_string()
        };
        assert_eq!(
            with(|s| s.fixed[0].per_year.value = usd(-1.0)),
            "buying power is -1; give zero or more"
        );
        assert!(with(|s| s.small_power.value = Watts::ZERO).starts_with("the power of the small"));
        assert!(with(|s| s.large_pue.value = 0.0).starts_with("the PUE of the large site is 0"));
        assert!(with(|s| s.small_hours.value = f64::NAN).starts_with("hours a year is NaN"));
    }
}
