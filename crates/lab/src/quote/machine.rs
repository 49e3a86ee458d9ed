//! Which machine to buy at a power price: what each earns above its power while the hash price
//! falls, when it is switched off for good, and whether it has paid for itself by then.

use super::{
    Market, Mining, finished,
    given::{Share, assumed, positive},
    mining::per_kwh,
    sensitivity::{Knob, Outcome, tornado},
};
use crate::{
    Given, LabError, Report,
    report::{Cell, Column, Input, Source, Table},
};
use catalogue::Machine;
use units::{Efficiency, EnergyPrice, HashPrice, Usd};

const DAYS_PER_YEAR: f64 = 365.0;

/// Which to buy.
#[derive(Debug, Clone)]
pub struct Choice<'a> {
    /// Candidates; those without a power or a price are listed, not judged.
    pub machines: Vec<&'a Machine>,
    /// What hashing earns today.
    pub market: Market,
    /// What a pool keeps.
    pub fee: Given<Share>,
    /// Part of the energy drawn whose hashes count.
    pub uptime: Given<Share>,
    /// What a kilowatt-hour costs.
    pub power_price: Given<EnergyPrice>,
    /// Times that the difficulty grows by a year.
    pub growth: Given<f64>,
    /// Times that the price of a bitcoin grows by a year.
    pub bitcoin_growth: Given<f64>,
    /// Years after which a machine is worn out.
    pub years: Given<f64>,
    /// Where nameplates and prices come from.
    pub origin: String,
}

/// What one machine does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prospect {
    /// Revenue less power on the first day.
    pub margin_per_day: Usd,
    /// The power price at which it earns nothing today.
    pub break_even: EnergyPrice,
    /// The power price at which it just pays for itself in its life; `None` without a price.
    pub pays_up_to: Option<EnergyPrice>,
    /// Years until its power costs more than it earns; at most its life.
    pub runs_years: f64,
    /// What it earns above its power in its life.
    pub earns: Usd,
    /// Years until it is paid; `None` for never, or without a price.
    pub payback_years: Option<f64>,
    /// What it earns above its power and its price; `None` without a price.
    pub profit: Option<Usd>,
}

impl<'a> Choice<'a> {
    /// With all other inputs at their defaults.
    pub fn new(machines: Vec<&'a Machine>) -> Self {
        let mining = Mining::default();
        Self {
            machines,
            market: mining.market,
            fee: mining.fee,
            uptime: mining.uptime,
            power_price: Given::default(
                per_kwh(0.0555),
                "Cambridge: all-in cost of miners",
                "2025",
            ),
            growth: Given::default(1.35, "growth of Bitcoin's difficulty", "2025"),
            bitcoin_growth: assumed(1.0),
            years: assumed(5.0),
            origin: "catalogue, list prices of 2025".into(),
        }
    }

    /// What a machine of this efficiency earns per kilowatt-hour today.
    fn earns(&self, efficiency: Efficiency) -> Result<EnergyPrice, LabError> {
        let mining = Mining {
            market: self.market.clone(),
            efficiency: Given::flag(efficiency),
            fee: self.fee.clone(),
            uptime: self.uptime.clone(),
        };
        mining.earns()
    }

    /// The yearly factor by which revenue shrinks, above 1 if it does.
    fn decline(&self) -> Result<f64, LabError> {
        let growth = positive(self.growth.value, "growth of the difficulty")?;
        let price = positive(self.bitcoin_growth.value, "growth of bitcoin's price")?;
        Ok(growth / price)
    }

    /// Computes one; `None` if its power is unknown.
    pub fn prospect(&self, machine: &Machine) -> Result<Option<Prospect>, LabError> {
        let (Some(power), Some(efficiency)) = (machine.power, machine.efficiency) else {
            return Ok(None);
        };
        let life = positive(self.years.value, "years of a machine's life")?;
        let decline = self.decline()?;
        let break_even = self.earns(efficiency)?;
        let kwh_per_day = power.kilowatts() * 24.0;
        let revenue = break_even.usd_per_kwh() * kwh_per_day;
        let cost = self.power_price.value.usd_per_kwh() * kwh_per_day;
        let flow = Flow { revenue, cost, log: decline.ln() };
        let runs_years = flow.runs(life);
        let earns = flow.until(runs_years);
        let price = machine.price.as_ref().map(|price| price.usd.get());
        let pays_up_to = price
            .map(|price| EnergyPrice::per_kwh(flow.pays_up_to(price, life) / kwh_per_day))
            .transpose()?;
        Ok(Some(Prospect {
            margin_per_day: Usd::new(revenue - cost)?,
            break_even,
            pays_up_to,
            runs_years,
            earns: Usd::new(earns)?,
            payback_years: price.and_then(|price| flow.payback(price, runs_years)),
            profit: price.map(|price| Usd::new(earns - price)).transpose()?,
        }))
    }

    /// All that can be judged, the most profit per dollar first, then those without a price.
    pub fn ranked(&self) -> Result<Vec<(&'a Machine, Prospect)>, LabError> {
        let mut all = Vec::new();
        for machine in &self.machines {
            if let Some(prospect) = self.prospect(machine)? {
                all.push((*machine, prospect));
            }
        }
        let key = |(machine, prospect): &(&Machine, Prospect)| {
            let price = machine.price.as_ref().map(|price| price.usd.get());
            price.zip(prospect.profit).map_or(f64::NEG_INFINITY, |(price, profit)| {
                profit.get() / price.max(f64::MIN_POSITIVE)
            })
        };
        all.sort_by(|a, b| {
            key(b)
                .total_cmp(&key(a))
                .then(b.1.break_even.usd_per_kwh().total_cmp(&a.1.break_even.usd_per_kwh()))
        });
        Ok(all)
    }

    /// The report.
    pub fn report(&self) -> Result<Report, LabError> {
        if self.machines.is_empty() {
            return Err(LabError::new(
                "no machine fits; try another word, `hearth catalogue` lists all",
            ));
        }
        if self.power_price.value < EnergyPrice::ZERO {
            return Err(LabError::new(
                "the power price is negative; what is paid to draw power needs no good machine: give zero \
                 or more",
            ));
        }
        let ranked = self.ranked()?;
        let Some((best, prospect)) = ranked.first() else {
            return Err(LabError::new("of none of these machines is the power known; name others"));
        };
        let mut table = Table::new(
            "machines",
            "Machines by profit per dollar of price",
            [
                Column::new("model", "machine"),
                Column::new("efficiency_j_per_th", "J/TH"),
                Column::new("price_usd", "price, $"),
                Column::new("margin_usd_per_day", "margin today, $/day"),
                Column::new("break_even_usd_per_kwh", "stops at, $/kWh"),
                Column::new("pays_up_to_usd_per_kwh", "paid up to, $/kWh"),
                Column::new("runs_years", "runs, years"),
                Column::new("payback_years", "payback, years"),
                Column::new("profit_usd", "profit, $"),
            ],
        );
        for (machine, prospect) in &ranked {
            let price = machine.price.as_ref().map(|price| price.usd.get());
            let usd = |value: Option<f64>| value.map_or(Cell::Missing, |v| Cell::Number(v, 0));
            table.row([
                machine.model.as_str().into(),
                machine
                    .efficiency
                    .map_or(Cell::Missing, |e| Cell::Number(e.joules_per_terahash(), 1)),
                usd(price),
                Cell::Number(prospect.margin_per_day.get(), 2),
                Cell::Number(prospect.break_even.usd_per_kwh(), 4),
                prospect.pays_up_to.map_or(Cell::Missing, |p| Cell::Number(p.usd_per_kwh(), 4)),
                Cell::Number(prospect.runs_years, 1),
                match (prospect.payback_years, price) {
                    (Some(years), _) => Cell::Number(years, 1),
                    (None, Some(_)) => "never".into(),
                    (None, None) => Cell::Missing,
                },
                usd(prospect.profit.map(Usd::get)),
            ]);
        }
        // Of the best machine; its profit, or what it earns if its price is unknown.
        let outcome = Outcome {
            columns: ("profit_usd_at_low", "profit_usd_at_high"),
            label: "profit of the best machine, $",
        };
        let one = Choice { machines: vec![*best], ..self.clone() };
        let (mut sensitivity, chart) = tornado(&one, one.knobs()?, outcome, |q| {
            let prospect = q.prospect(best)?;
            Ok(prospect.map_or(0.0, |p| p.profit.unwrap_or(p.earns).get()))
        })?;
        sensitivity.title = format!("{}: {}", sensitivity.title, best.model);
        finished(Report {
            name: "quote machine",
            finding: self.finding(best, prospect, &ranked)?,
            inputs: self.inputs()?,
            tables: vec![table, sensitivity],
            chart: Some(chart),
        })
    }

    fn finding(
        &self,
        best: &Machine,
        first: &Prospect,
        all: &[(&Machine, Prospect)],
    ) -> Result<String, LabError> {
        let price = self.power_price.value;
        let priced = all.iter().filter(|(_, p)| p.profit.is_some());
        let profitable = priced.clone().filter(|(_, p)| p.profit > Some(Usd::ZERO)).count();
        let growth = format!(
            "while the difficulty grows {}-fold a year and bitcoin's price {}-fold",
            Cell::Figure(self.growth.value).text(),
            Cell::Figure(self.bitcoin_growth.value).text(),
        );
        let stays =
            Self { growth: Given::flag(1.0), bitcoin_growth: Given::flag(1.0), ..self.clone() };
        let mut if_it_stayed = 0;
        for (machine, _) in all {
            let prospect = stays.prospect(machine)?;
            if_it_stayed += u32::from(prospect.is_some_and(|p| p.profit > Some(Usd::ZERO)));
        }
        let counted = format!(
            "{profitable} of {} machines with a known price pay for themselves \
             ({if_it_stayed} if the hash price stayed as it is)",
            priced.count()
        );
        Ok(match (first.profit, first.payback_years, &best.price) {
            (Some(profit), Some(years), Some(paid)) if profit > Usd::ZERO => format!(
                "At {price}, {growth}, {counted}. The best for its price is the {}: {} ({}) \
                 is back after {years:.1} years, {profit} is left when it stops.",
                best.model, paid.usd, paid.date,
            ),
            (Some(profit), ..) => format!(
                "At {price}, {growth}, {counted}. The least bad is the {}: it loses {}.",
                best.model, -profit,
            ),
            _ => format!(
                "At {price}, {growth}, the {} earns {} above its power; its price is unknown.",
                best.model, first.earns,
            ),
        })
    }

    fn inputs(&self) -> Result<Vec<Input>, LabError> {
        let mut inputs = vec![self.power_price.line("power_price_usd_per_kwh")];
        inputs.extend(self.market.inputs()?);
        inputs.extend([
            self.fee.line("fee_share"),
            self.uptime.line("uptime_share"),
            self.growth.line("difficulty_growth_per_year"),
            self.bitcoin_growth.line("bitcoin_price_growth_per_year"),
            self.years.line("life_years"),
            Input {
                name: "prices_and_nameplates",
                value: Cell::Count(self.machines.len() as u64),
                source: Source::File(self.origin.clone()),
            },
        ]);
        Ok(inputs)
    }

    fn knobs(&self) -> Result<Vec<Knob<Self>>, LabError> {
        let hash_price = self.market.hash_price()?.usd_per_ph_day();
        let power = self.power_price.value.usd_per_kwh();
        Ok(vec![
            Knob::between("hash price, $/PH/day", hash_price, (28.0, 43.0), |q: &mut Self, v| {
                q.market = Market::flag(HashPrice::new(v)?);
                Ok(())
            }),
            Knob::times("power price, $/kWh", power, (0.7, 1.3), |q, v| {
                q.power_price.value = EnergyPrice::per_kwh(v)?;
                Ok(())
            }),
            Knob::between("difficulty growth, per year", self.growth.value, (1.0, 2.04), |q, v| {
                q.growth.value = v;
                Ok(())
            }),
            Knob::between(
                "growth of bitcoin's price, per year",
                self.bitcoin_growth.value,
                (0.8, 1.5),
                |q, v| {
                    q.bitcoin_growth.value = v;
                    Ok(())
                },
            ),
            Knob::between("life, years", self.years.value, (3.0, 8.0), |q, v| {
                q.years.value = v;
                Ok(())
            }),
            Knob::between("uptime", self.uptime.value.get(), (0.9, 1.0), |q, v| {
                q.uptime.value = Share::new(v, "uptime")?;
                Ok(())
            }),
        ])
    }
}

/// Dollars a day in and out; the first shrinks by e^log a year.
struct Flow {
    revenue: f64,
    cost: f64,
    log: f64,
}

impl Flow {
    /// Years until revenue falls to the cost, at most `life`; none if it starts below and shrinks.
    fn runs(&self, life: f64) -> f64 {
        if self.log.abs() < 1e-12 || self.log < 0.0 {
            // Growing revenue: whoever waits for it is not modelled.
            return if self.revenue > self.cost { life } else { 0.0 };
        }
        if self.cost <= 0.0 {
            return life;
        }
        ((self.revenue / self.cost).ln() / self.log).clamp(0.0, life)
    }

    /// Earned above the cost until then.
    fn until(&self, years: f64) -> f64 {
        let effective =
            if self.log.abs() < 1e-12 { years } else { -(-self.log * years).exp_m1() / self.log };
        (self.revenue * effective - self.cost * years) * DAYS_PER_YEAR
    }

    fn payback(&self, price: f64, runs: f64) -> Option<f64> {
        if self.until(runs) < price {
            return None;
        }
        let (mut low, mut high) = (0.0, runs);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if self.until(middle) < price { low = middle } else { high = middle }
        }
        Some(high)
    }

    /// Dollars a day that power may cost for the price to be just earned back.
    fn pays_up_to(&self, price: f64, life: f64) -> f64 {
        let profit = |cost: f64| {
            let flow = Self { cost, ..*self };
            flow.until(flow.runs(life)) - price
        };
        // Power paid for rather than bought would be needed below 0.
        let floor = -(price / (life * DAYS_PER_YEAR)) - self.revenue;
        let (mut low, mut high) = (floor, self.revenue);
        for _ in 0..80 {
            let middle = (low + high) / 2.0;
            if profit(middle) > 0.0 { low = middle } else { high = middle }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(hash_price: f64, power_price: f64) -> Choice<'static> {
        let mut choice = Choice::new(catalogue::machines().iter().collect());
        choice.market = Market::flag(HashPrice::new(hash_price).unwrap());
        choice.uptime = Given::flag(Share::ALL);
        choice.power_price = Given::flag(per_kwh(power_price));
        choice
    }

    fn machine(name: &str) -> &'static Machine {
        catalogue::find(catalogue::machines(), name).unwrap()
    }

    #[test]
    fn a_machine_of_21_5_joules_stops_at_0_0581_at_a_hash_price_of_30() {
        let prospect = choice(30.0, 0.05).prospect(machine("S19 XP")).unwrap().unwrap();
        assert_eq!(prospect.break_even.to_string(), "0.0581 $/kWh");
        // 140 TH/s at $30 is $4.20 a day; 72.24 kWh at $.05 is $3.612.
        assert!((prospect.margin_per_day.get() - 0.588).abs() < 1e-9);
    }

    #[test]
    fn without_growth_payback_is_price_over_margin() {
        let mut choice = choice(60.0, 0.05);
        choice.growth = Given::flag(1.0);
        let machine = machine("S21");
        let prospect = choice.prospect(machine).unwrap().unwrap();
        // 12.00 - 4.20 a day; $4,830.
        let want = 4830.0 / 7.8 / 365.0;
        assert!((prospect.payback_years.unwrap() - want).abs() < 1e-9);
        assert_eq!(prospect.runs_years, 5.0);
        assert!((prospect.profit.unwrap().get() - (7.8 * 365.0 * 5.0 - 4830.0)).abs() < 1e-6);
    }

    #[test]
    fn a_machine_stops_when_the_falling_hash_price_meets_its_power() {
        let choice = choice(60.0, 0.05);
        let prospect = choice.prospect(machine("S21")).unwrap().unwrap();
        // 12 / 1.35^t = 4.2
        let want = (12.0_f64 / 4.2).ln() / 1.35_f64.ln();
        assert!((prospect.runs_years - want).abs() < 1e-9);
        let sum: f64 = (0..100_000)
            .map(|i| (f64::from(i) + 0.5) / 100_000.0 * want)
            .map(|t| (12.0 * 1.35_f64.powf(-t) - 4.2) * 365.0 * want / 100_000.0)
            .sum();
        assert!((prospect.earns.get() - sum).abs() < 0.01, "{} {sum}", prospect.earns);
    }

    #[test]
    fn at_the_highest_power_price_that_pays_the_profit_is_nothing() {
        for name in ["S21", "S19j Pro", "Heatbit Maxi"] {
            let mut choice = choice(38.2, 0.05);
            let pays = choice.prospect(machine(name)).unwrap().unwrap().pays_up_to.unwrap();
            choice.power_price = Given::flag(pays);
            let profit = choice.prospect(machine(name)).unwrap().unwrap().profit.unwrap();
            assert!(profit.get().abs() < 0.01, "{name}: {profit}");
        }
    }

    #[test]
    fn a_machine_of_unknown_price_is_listed_without_profit_and_of_unknown_power_not_at_all() {
        let ranked = choice(38.2, 0.05).ranked().unwrap();
        assert!(ranked.iter().all(|(m, _)| m.power.is_some()));
        let first_unknown = ranked.iter().position(|(m, _)| m.price.is_none()).unwrap();
        assert!(ranked[first_unknown..].iter().all(|(m, _)| m.price.is_none()));
        let t21 = ranked.iter().find(|(m, _)| m.model == "Antminer T21").unwrap();
        assert_eq!((t21.1.profit, t21.1.payback_years), (None, None));
    }

    #[test]
    fn no_machine_and_no_growth_are_refused() {
        assert!(Choice::new(vec![]).report().is_err());
        assert!(Choice::new(vec![machine("Bitaxe Supra")]).report().is_err());
        assert!(choice(38.2, -0.01).report().is_err());
        let mut choice = choice(38.2, 0.05);
        choice.growth = Given::flag(f64::NAN);
        let said = choice.report().unwrap_err().to_string();
        assert_eq!(said, "growth of the difficulty is NaN; give a number above zero");
    }

    #[test]
    fn the_report_holds_for_all_machines_and_for_one() {
        choice(38.2, 0.05).report().unwrap();
        let mut one = choice(38.2, 0.2);
        one.machines = vec![machine("T21")];
        assert!(one.report().unwrap().finding.ends_with("its price is unknown."));
    }
}
