//! Machines beside a plant that makes more than it can sell: panels clipped by their inverter, wind
//! told to stand still. Hour by hour, for every size of load, with the machines that stand idle
//! between counted.

use super::{
    Capital, Mining, finished,
    given::positive,
    hours::Hours,
    sensitivity::{Knob, Mines, Outcome, mining_knobs, tornado},
};
use crate::{
    Given, LabError, Report,
    report::{Cell, Column, Input, Table},
};
use units::{Usd, Watts};

/// Sizes tried when the best is sought.
const SIZES: u32 = 200;

/// A plant with surplus.
#[derive(Debug, Clone)]
pub struct Surplus {
    /// What the machines earn.
    pub mining: Mining,
    /// What the machines cost.
    pub capital: Capital,
    /// Power of the machines; `None` for the size that leaves most.
    pub power: Option<Given<Watts>>,
    /// Whether the plant must deliver at negative prices too; otherwise it stands still, and
    /// surplus at a negative price fetches nothing.
    pub must_run: bool,
    /// `clipped_mw` (cannot be sold at all), `surplus_mw` (could, at `price_usd_per_mwh`, or not at
    /// all without that column).
    pub hours: Hours,
}

/// What machines of one size do in a year.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Of the machines.
    pub power: Watts,
    /// Megawatt-hours taken.
    pub taken_mwh: f64,
    /// Of those, clipped ones.
    pub clipped_mwh: f64,
    /// Taken over what the machines could take.
    pub capacity_factor: f64,
    /// Sum of [r - price]+ over the energy taken.
    pub value: Usd,
    /// Machines: CRF K + O&M.
    pub machines: Usd,
}

impl Answer {
    /// Value less machines.
    pub fn net(&self) -> Usd {
        self.value - self.machines
    }
}

struct Plant<'a> {
    clipped: Option<&'a [f64]>,
    surplus: Option<&'a [f64]>,
    price: Option<&'a [f64]>,
}

impl Surplus {
    /// With all inputs but the year at their defaults.
    pub fn new(hours: Hours) -> Self {
        Self {
            mining: Mining::default(),
            capital: Capital::default(),
            power: None,
            must_run: false,
            hours,
        }
    }

    /// What machines of this power do.
    pub fn answer(&self, power: Watts) -> Result<Answer, LabError> {
        self.of(power, &self.plant()?)
    }

    /// The size that leaves most, of 200 up to the largest surplus; none if no size leaves
    /// anything.
    pub fn best(&self) -> Result<Answer, LabError> {
        let plant = self.plant()?;
        let largest = self.largest(&plant)?;
        let mut best = self.of(Watts::ZERO, &plant)?;
        for step in 1..=SIZES {
            let power = Watts::new(largest * 1e6 * f64::from(step) / f64::from(SIZES))?;
            let answer = self.of(power, &plant)?;
            if answer.net() > best.net() {
                best = answer;
            }
        }
        Ok(best)
    }

    fn plant(&self) -> Result<Plant<'_>, LabError> {
        let clipped = self.hours.within("clipped_mw", (0.0, f64::INFINITY))?;
        let surplus = self.hours.within("surplus_mw", (0.0, f64::INFINITY))?;
        if clipped.is_none() {
            // Names what the file has.
            self.hours.column("surplus_mw")?;
        }
        Ok(Plant { clipped, surplus, price: self.hours.optional("price_usd_per_mwh") })
    }

    fn largest(&self, plant: &Plant<'_>) -> Result<f64, LabError> {
        let all = |hour| plant.at(plant.clipped, hour) + plant.at(plant.surplus, hour);
        let largest = (0..self.hours.len()).map(all).fold(0.0, f64::max);
        if largest > 0.0 {
            Ok(largest)
        } else {
            let origin = self.hours.origin();
            Err(LabError::new(format!(
                "{origin}: there is no surplus in any hour; check the columns"
            )))
        }
    }

    fn of(&self, power: Watts, plant: &Plant<'_>) -> Result<Answer, LabError> {
        let worth = self.mining.earns()?.usd_per_mwh();
        let load = power.megawatts();
        let (mut taken, mut clipped_taken, mut value) = (0.0, 0.0, 0.0);
        for hour in 0..self.hours.len() {
            let clipped = plant.at(plant.clipped, hour).min(load);
            taken += clipped;
            clipped_taken += clipped;
            value += clipped * worth;
            let price = plant.at(plant.price, hour);
            let price = if self.must_run { price } else { price.max(0.0) };
            if worth > price {
                let surplus = plant.at(plant.surplus, hour).min(load - clipped);
                taken += surplus;
                value += surplus * (worth - price);
            }
        }
        let most = load * self.hours.len() as f64;
        Ok(Answer {
            power,
            taken_mwh: taken,
            clipped_mwh: clipped_taken,
            capacity_factor: if most > 0.0 { taken / most } else { 0.0 },
            value: Usd::new(value)?,
            machines: self.capital.yearly_per_kw()? * power.kilowatts(),
        })
    }

    /// The size asked for, or the best.
    fn chosen(&self) -> Result<Answer, LabError> {
        match &self.power {
            Some(given) => self.answer(given.value),
            None => self.best(),
        }
    }

    /// The report.
    pub fn report(&self) -> Result<Report, LabError> {
        if let Some(given) = &self.power {
            positive(given.value.megawatts(), "the power of the machines")?;
        }
        let plant = self.plant()?;
        let largest = self.largest(&plant)?;
        let chosen = self.chosen()?;
        let mut sizes = Table::new(
            "sizes",
            "A year by size of the load",
            [
                Column::new("power_mw", "load, MW"),
                Column::new("taken_mwh", "taken, MWh"),
                Column::new("clipped_mwh", "of it clipped, MWh"),
                Column::new("capacity_factor", "capacity factor"),
                Column::new("value_usd", "value, $"),
                Column::new("machines_usd", "machines, $"),
                Column::new("net_usd", "left, $"),
            ],
        );
        let mut powers = vec![chosen.power];
        for part in [0.05, 0.1, 0.2, 0.4, 0.7, 1.0] {
            powers.push(Watts::new(largest * part * 1e6)?);
        }
        powers.sort_by(|a, b| a.get().total_cmp(&b.get()));
        powers.dedup();
        for power in powers.into_iter().filter(|power| *power > Watts::ZERO) {
            let answer = self.of(power, &plant)?;
            sizes.row([
                Cell::Figure(power.megawatts()),
                Cell::Number(answer.taken_mwh, 0),
                Cell::Number(answer.clipped_mwh, 0),
                Cell::Number(answer.capacity_factor, 3),
                Cell::Number(answer.value.get(), 0),
                Cell::Number(answer.machines.get(), 0),
                Cell::Number(answer.net().get(), 0),
            ]);
        }

        // The size stays while the inputs move, so that the bars compare the same machines. Where
        // no size pays, a tenth of the largest surplus is looked at.
        let mut fixed = self.clone();
        let size =
            if chosen.power > Watts::ZERO { chosen.power } else { Watts::new(largest * 1e5)? };
        fixed.power = Some(Given::flag(size));
        let outcome = Outcome {
            columns: ("net_usd_at_low", "net_usd_at_high"),
            label: "value less machines, $ a year",
        };
        let (mut sensitivity, chart) =
            tornado(&fixed, fixed.knobs()?, outcome, |q| Ok(q.chosen()?.net().get()))?;
        sensitivity.title = format!("{}, at {size}", sensitivity.title);
        finished(Report {
            name: "quote surplus",
            finding: self.finding(&chosen)?,
            inputs: self.inputs()?,
            tables: vec![sizes, sensitivity],
            chart: Some(chart),
        })
    }

    fn finding(&self, chosen: &Answer) -> Result<String, LabError> {
        let worth = self.mining.earns()?;
        let origin = self.hours.origin();
        if chosen.power == Watts::ZERO {
            return Ok(format!(
                "No size of load pays: hashing earns {:.1} $/MWh, too little for machines at \
                 {} per kW and year that would run so seldom. Year: {origin}.",
                worth.usd_per_mwh(),
                self.capital.yearly_per_kw()?,
            ));
        }
        let size = match self.power {
            Some(_) => format!("A load of {} takes", chosen.power),
            None => format!("The best load is {}: it takes", chosen.power),
        };
        let energy = units::WattHours::new(chosen.taken_mwh * 1e6)?;
        Ok(format!(
            "{size} {energy} a year at a capacity factor of {:.3}, worth {} over what it \
             would have fetched, for machines of {} a year: {} is left. Year: {origin}.",
            chosen.capacity_factor,
            chosen.value,
            chosen.machines,
            chosen.net(),
        ))
    }

    fn inputs(&self) -> Result<Vec<Input>, LabError> {
        let mut inputs = self.mining.inputs()?;
        inputs.extend(self.capital.inputs());
        if let Some(given) = &self.power {
            let power = Given { value: given.value.megawatts(), source: given.source.clone() };
            inputs.push(power.line("power_mw"));
        }
        inputs.push(self.hours.input());
        Ok(inputs)
    }

    fn knobs(&self) -> Result<Vec<Knob<Self>>, LabError> {
        let mut knobs = mining_knobs(&self.mining, &self.capital)?;
        knobs.push(Knob::between(
            "depreciation, years",
            self.capital.years.value,
            (3.0, 8.0),
            |q: &mut Self, v| {
                q.capital.years.value = v;
                Ok(())
            },
        ));
        for (name, column) in [
            ("clipped energy, times", "clipped_mw"),
            ("surplus energy, times", "surplus_mw"),
            ("price of surplus, times", "price_usd_per_mwh"),
        ] {
            if self.hours.optional(column).is_some() {
                let set: fn(&mut Self, f64) -> Result<(), LabError> = match column {
                    "clipped_mw" => |q, v| q.scale("clipped_mw", v),
                    "surplus_mw" => |q, v| q.scale("surplus_mw", v),
                    _ => |q, v| q.scale("price_usd_per_mwh", v),
                };
                knobs.push(Knob::times(name, 1.0, (0.7, 1.3), set));
            }
        }
        Ok(knobs)
    }

    fn scale(&mut self, column: &str, factor: f64) -> Result<(), LabError> {
        self.hours = self.hours.scaled(column, factor);
        Ok(())
    }
}

impl Plant<'_> {
    /// A column's value; 0 where there is no such column: no such surplus, no such price.
    fn at(&self, column: Option<&[f64]>, hour: usize) -> f64 {
        column.and_then(|values| values.get(hour)).copied().unwrap_or(0.0)
    }
}

impl Mines for Surplus {
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
    fn surplus(columns: Vec<(&str, Vec<f64>)>) -> Surplus {
        let mut surplus = Surplus::new(Hours::of("test", columns));
        surplus.mining.market = Market::flag(HashPrice::new(0.04 * 24.0 * 20.0).unwrap());
        surplus.mining.efficiency = Given::flag(Efficiency::new(20.0).unwrap());
        surplus.mining.uptime = Given::flag(Share::ALL);
        surplus.capital.capex_per_kw = Given::flag(Usd::ZERO);
        surplus
    }

    fn close(got: Usd, want: f64) {
        assert!((got.get() - want).abs() < 1e-9, "{got} {want}");
    }

    #[test]
    fn clipped_energy_is_worth_all_it_earns_and_other_surplus_what_it_earns_more() {
        let plant = surplus(vec![
            ("clipped_mw", vec![2.0, 0.0, 0.0, 0.0]),
            ("surplus_mw", vec![0.0, 1.0, 1.0, 1.0]),
            ("price_usd_per_mwh", vec![70.0, 30.0, 50.0, -20.0]),
        ]);
        let answer = plant.answer(Watts::new(10e6).unwrap()).unwrap();
        // 2 MWh at 40, one at 40 - 30, none at 50, one at 40 - 0: at -20 it would stand still.
        close(answer.value, 80.0 + 10.0 + 40.0);
        assert_eq!((answer.taken_mwh, answer.clipped_mwh), (4.0, 2.0));
        assert_eq!(answer.capacity_factor, 0.1);
        let must_run = Surplus { must_run: true, ..plant };
        close(must_run.answer(Watts::new(10e6).unwrap()).unwrap().value, 80.0 + 10.0 + 60.0);
    }

    #[test]
    fn machines_take_no_more_than_they_can_and_clipped_energy_first() {
        let plant = surplus(vec![
            ("clipped_mw", vec![2.0]),
            ("surplus_mw", vec![5.0]),
            ("price_usd_per_mwh", vec![10.0]),
        ]);
        let answer = plant.answer(Watts::new(3e6).unwrap()).unwrap();
        close(answer.value, 2.0 * 40.0 + 1.0 * 30.0);
        assert_eq!(answer.capacity_factor, 1.0);
    }

    #[test]
    fn the_best_size_weighs_energy_against_idle_machines() {
        // One hour of 10 MW and 99 of 1 MW: the tenth megawatt runs one hour in a hundred.
        let mut mw = vec![1.0; 100];
        mw[0] = 10.0;
        let mut plant = surplus(vec![("surplus_mw", mw)]);
        plant.capital.capex_per_kw = Given::flag(Usd::new(1.0).unwrap());
        plant.capital.interest = Given::flag(Share::NONE);
        plant.capital.years = Given::flag(1.0);
        // A megawatt costs $1,000 and earns $4,000 if it runs always, $40 if once.
        let best = plant.best().unwrap();
        assert!((best.power.megawatts() - 1.0).abs() < 1e-9, "{}", best.power);
        close(best.net(), 3000.0);
        plant.capital.capex_per_kw = Given::flag(Usd::new(5.0).unwrap());
        assert_eq!(plant.best().unwrap().power, Watts::ZERO);
        assert!(plant.report().unwrap().finding.starts_with("No size of load pays"));
    }

    #[test]
    fn a_plant_without_surplus_is_refused() {
        for (columns, said) in [
            (vec![("price_usd_per_mwh", vec![1.0])], "test: there is no column surplus_mw"),
            (vec![("surplus_mw", vec![0.0])], "test: there is no surplus in any hour"),
            (vec![("surplus_mw", vec![-1.0])], "test: surplus_mw is -1 in hour 1; give 0 or more"),
        ] {
            let error = surplus(columns).report().unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
