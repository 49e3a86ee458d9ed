//! Hosting computers for AI against mining on the same megawatt: revenue less power less the
//! capital recovered each year. It compares contracts, not technologies.

use super::{
    Capital, HOURS_PER_YEAR, Mining, finished,
    given::{Share, assumed, at_least_one, no_debt, positive},
    mining::{per_kwh, recovery_factor, usd},
    sensitivity::{Knob, Mines, Outcome, mining_knobs, tornado},
};
use crate::{
    Given, LabError, Report,
    report::{Cell, Column, Input, Table},
};
use units::{EnergyPrice, HashPrice, Usd, Watts};

/// A megawatt that can host or mine.
#[derive(Debug, Clone)]
pub struct Ai {
    /// What the mining machines earn.
    pub mining: Mining,
    /// What the mining site costs, machines included.
    pub capital: Capital,
    /// What a kilowatt-hour costs.
    pub power_price: Given<EnergyPrice>,
    /// Power of the site.
    pub power: Given<Watts>,
    /// Least power that a tenant for AI wants.
    pub least_power: Given<Watts>,
    /// Paid by the tenant per megawatt of computers and year.
    pub hosting_per_mw_year: Given<Usd>,
    /// Part of the power that the tenant pays for besides.
    pub pass_through: Given<Share>,
    /// Building, power and cooling for hosting, without the tenant's computers, per megawatt.
    pub hosting_capex_per_mw: Given<Usd>,
    /// Years that those last.
    pub hosting_years: Given<f64>,
    /// Staff, spares and repairs for hosting, per megawatt and year.
    pub hosting_upkeep_per_mw_year: Given<Usd>,
    /// Power of the hosting site over that of its computers.
    pub hosting_pue: Given<f64>,
    /// Part of the year that a tenant pays for.
    pub let_share: Given<Share>,
    /// What the grid pays for mining that can be switched off, per megawatt and year; computers for
    /// AI are never switched off.
    pub flexibility_per_mw_year: Given<Usd>,
}

impl Default for Ai {
    fn default() -> Self {
        let capital = Capital {
            capex_per_kw: Given::default(usd(850.0), "middle of $0.7 to 1 M per MW", "2025"),
            ..Capital::default()
        };
        Self {
            mining: Mining::default(),
            capital,
            power_price: Given::default(
                per_kwh(0.045),
                "Cambridge: median power price of miners",
                "2025",
            ),
            power: Given::default(Watts::MEGA, "one megawatt, to be multiplied", "2025"),
            least_power: assumed(Watts::MEGA),
            hosting_per_mw_year: Given::default(
                usd(1_650_000.0),
                "middle of $1.45 to 1.85 M, published leases",
                "2025",
            ),
            pass_through: assumed(Share::ALL),
            hosting_capex_per_mw: Given::default(usd(11_500_000.0), "middle of $8 to 15 M", "2025"),
            hosting_years: assumed(15.0),
            hosting_upkeep_per_mw_year: Given::default(usd(0.0), "none counted", "2025"),
            hosting_pue: assumed(1.3),
            let_share: assumed(Share::ALL),
            flexibility_per_mw_year: Given::default(
                usd(51_000.0),
                "demand-response credits of large sites; twice that in 2023",
                "2024",
            ),
        }
    }
}

/// Of one use of the megawatt, in a year.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Use {
    /// Paid in, power passed through included.
    pub revenue: Usd,
    /// Paid for power.
    pub power: Usd,
    /// Staff, spares, repairs.
    pub upkeep: Usd,
    /// Capital recovery factor times capital.
    pub capital: Usd,
}

impl Use {
    /// What is left.
    pub fn net(&self) -> Usd {
        self.revenue - self.power - self.upkeep - self.capital
    }
}

impl Ai {
    /// A megawatt of computers let to a tenant.
    pub fn hosting(&self) -> Result<Use, LabError> {
        let pue = at_least_one(self.hosting_pue.value, "the PUE of hosting")?;
        let paid = no_debt(self.hosting_per_mw_year.value, "the price of hosting")?;
        let capex = no_debt(self.hosting_capex_per_mw.value, "the capital for hosting")?;
        let years = positive(self.hosting_years.value, "years of the hosting site")?;
        let let_share = self.let_share.value.get();
        let power = Usd::new(self.power_price.value.usd_per_kwh() * 1000.0 * HOURS_PER_YEAR)?
            * (pue * let_share);
        Ok(Use {
            revenue: paid * let_share + power * self.pass_through.value.get(),
            power,
            upkeep: no_debt(self.hosting_upkeep_per_mw_year.value, "the upkeep of hosting")?,
            capital: capex * recovery_factor(self.capital.interest.value, years)?,
        })
    }

    /// A megawatt of mining machines.
    pub fn hashing(&self) -> Result<Use, LabError> {
        let yearly = |price: EnergyPrice| Usd::new(price.usd_per_kwh() * 1000.0 * HOURS_PER_YEAR);
        let flexible = no_debt(self.flexibility_per_mw_year.value, "the pay for flexibility")?;
        let upkeep = self.capital.upkeep_per_kw_year.value * 1000.0;
        Ok(Use {
            revenue: yearly(self.mining.earns()?)? + flexible,
            power: yearly(self.power_price.value)?,
            upkeep,
            capital: self.capital.yearly_per_kw()? * 1000.0 - upkeep,
        })
    }

    /// The hash price at which both leave the same; `None` if hosting is worse at any.
    pub fn equal_hash_price(&self) -> Result<Option<HashPrice>, LabError> {
        let apart = (self.hosting()?.net() - self.hashing()?.net()).get();
        let per_mw = self.mining.earns()?.usd_per_kwh() * 1000.0 * HOURS_PER_YEAR;
        let now = self.mining.market.hash_price()?.usd_per_ph_day();
        let equal = now * (1.0 + apart / per_mw);
        Ok(HashPrice::new(equal).ok().filter(|_| per_mw > 0.0))
    }

    /// What hosting leaves more than mining per megawatt of the site's connection and year: of a
    /// megawatt, cooling leaves 1 / PUE to computers.
    pub fn per_connection(&self) -> Result<Usd, LabError> {
        let hosting = self.hosting()?.net();
        Ok(hosting * self.hosting_pue.value.recip() - self.hashing()?.net())
    }

    /// The report.
    pub fn report(&self) -> Result<Report, LabError> {
        let (hosting, hashing) = (self.hosting()?, self.hashing()?);
        let megawatts = positive(self.power.value.megawatts(), "the power of the site")?;
        let mut uses = Table::new(
            "uses",
            "A megawatt of computers, or of mining machines, for a year",
            [
                Column::new("use", "use"),
                Column::new("revenue_usd_per_mw_year", "revenue, $"),
                Column::new("power_usd_per_mw_year", "power, $"),
                Column::new("upkeep_usd_per_mw_year", "upkeep, $"),
                Column::new("capital_usd_per_mw_year", "capital, $"),
                Column::new("net_usd_per_mw_year", "left, $"),
                Column::new("net_usd_year", format!("left of {}, $", self.power.value)),
                Column::new("revenue_usd_per_mwh", "revenue, $/MWh"),
            ],
        );
        let pue = self.hosting_pue.value;
        for (name, one, fit) in
            [("AI hosting", hosting, megawatts / pue), ("mining", hashing, megawatts)]
        {
            let cell = |usd: Usd| Cell::Number(usd.get(), 0);
            uses.row([
                name.into(),
                cell(one.revenue),
                cell(one.power),
                cell(one.upkeep),
                cell(one.capital),
                cell(one.net()),
                cell(one.net() * fit),
                Cell::Number(one.revenue.get() / HOURS_PER_YEAR, 0),
            ]);
        }
        let outcome = Outcome {
            columns: ("usd_per_mw_year_at_low", "usd_per_mw_year_at_high"),
            label: "AI hosting less mining, $ per MW and year",
        };
        let (sensitivity, chart) = tornado(self, self.knobs()?, outcome, |q| {
            Ok((q.hosting()?.net() - q.hashing()?.net()).get())
        })?;
        finished(Report {
            name: "quote ai",
            finding: self.finding(hosting, hashing)?,
            inputs: self.inputs()?,
            tables: vec![uses, sensitivity],
            chart: Some(chart),
        })
    }

    fn finding(&self, hosting: Use, hashing: Use) -> Result<String, LabError> {
        let apart = hosting.net() - hashing.net();
        let verdict =
            if apart > Usd::ZERO { "outbids mining by" } else { "falls short of mining by" };
        let equal = match self.equal_hash_price()? {
            Some(price) => format!("; they are equal at a hash price of {price}"),
            None => String::new(),
        };
        let size = if self.power.value < self.least_power.value {
            format!(
                " But no tenant takes {}: the least is {}, so here mining stays.",
                self.power.value, self.least_power.value
            )
        } else {
            String::new()
        };
        let shared = self.per_connection()?;
        let connection = match (self.hosting_pue.value > 1.0, shared > Usd::ZERO) {
            (false, _) => String::new(),
            (true, true) => {
                format!(" Per megawatt of the connection, cooling counted, by {shared}.")
            }
            (true, false) => format!(
                " Per megawatt of the connection, cooling counted, it falls short by {}.",
                -shared
            ),
        };
        Ok(format!(
            "Hosting leaves {} per megawatt of computers and year, mining {} per megawatt of machines: \
             AI {verdict} {}{equal}.{connection} It takes {} of capital per megawatt against {}.{size}",
            hosting.net(),
            hashing.net(),
            apart.max(-apart),
            self.hosting_capex_per_mw.value,
            self.capital.capex_per_kw.value * 1000.0,
        ))
    }

    fn inputs(&self) -> Result<Vec<Input>, LabError> {
        let mw = |given: &Given<Watts>| Given {
            value: given.value.megawatts(),
            source: given.source.clone(),
        };
        let mut inputs = vec![
            mw(&self.power).line("power_mw"),
            mw(&self.least_power).line("least_tenant_mw"),
            self.power_price.line("power_price_usd_per_kwh"),
        ];
        inputs.extend(self.mining.inputs()?);
        inputs.extend(self.capital.inputs());
        inputs.extend([
            self.hosting_per_mw_year.line("hosting_usd_per_mw_year"),
            self.pass_through.line("power_passed_through_share"),
            self.hosting_capex_per_mw.line("hosting_capex_usd_per_mw"),
            self.hosting_years.line("hosting_years"),
            self.hosting_upkeep_per_mw_year.line("hosting_upkeep_usd_per_mw_year"),
            self.hosting_pue.line("hosting_pue"),
            self.let_share.line("let_share"),
            self.flexibility_per_mw_year.line("flexibility_usd_per_mw_year"),
        ]);
        Ok(inputs)
    }

    fn knobs(&self) -> Result<Vec<Knob<Self>>, LabError> {
        let paid = self.hosting_per_mw_year.value.get();
        let capex = self.hosting_capex_per_mw.value.get();
        let power = self.power_price.value.usd_per_kwh();
        let mut knobs = mining_knobs(&self.mining, &self.capital)?;
        knobs.extend([
            Knob::between("hosting paid, $/MW-year", paid, (1.45e6, 1.85e6), |q: &mut Self, v| {
                q.hosting_per_mw_year.value = Usd::price(v)?;
                Ok(())
            }),
            Knob::between("capital for hosting, $/MW", capex, (8e6, 15e6), |q, v| {
                q.hosting_capex_per_mw.value = Usd::price(v)?;
                Ok(())
            }),
            Knob::between(
                "years of hosting, years",
                self.hosting_years.value,
                (8.0, 25.0),
                |q, v| {
                    q.hosting_years.value = v;
                    Ok(())
                },
            ),
            Knob::between(
                "power passed through",
                self.pass_through.value.get(),
                (0.0, 1.0),
                |q, v| {
                    q.pass_through.value = Share::new(v, "the power passed through")?;
                    Ok(())
                },
            ),
            Knob::between("time let", self.let_share.value.get(), (0.7, 1.0), |q, v| {
                q.let_share.value = Share::new(v, "the time let")?;
                Ok(())
            }),
            Knob::times("power price, $/kWh", power, (0.7, 1.3), |q, v| {
                q.power_price.value = EnergyPrice::per_kwh(v)?;
                Ok(())
            }),
        ]);
        Ok(knobs)
    }
}

impl Mines for Ai {
    fn mining(&mut self) -> &mut Mining {
        &mut self.mining
    }

    fn capital(&mut self) -> &mut Capital {
        &mut self.capital
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosting_pays_165_to_211_dollars_a_megawatt_hour() {
        for (paid, want) in [(1.45e6, 165.5), (1.85e6, 211.2)] {
            let ai = Ai {
                hosting_per_mw_year: Given::flag(usd(paid)),
                pass_through: Given::flag(Share::NONE),
                ..Ai::default()
            };
            let per_mwh = ai.hosting().unwrap().revenue.get() / HOURS_PER_YEAR;
            assert!((per_mwh - want).abs() < 0.05, "{per_mwh}");
        }
    }

    #[test]
    fn power_that_passes_through_costs_the_host_nothing() {
        let through = Ai::default();
        let mut dear = through.clone();
        dear.power_price = Given::flag(per_kwh(0.20));
        let (a, b) = (through.hosting().unwrap().net(), dear.hosting().unwrap().net());
        assert!((a - b).get().abs() < 1e-6);
        dear.pass_through = Given::flag(Share::NONE);
        let bundled = dear.hosting().unwrap().net();
        assert!(((a - bundled).get() - 0.20 * 8_760_000.0 * 1.3).abs() < 1e-3);
    }

    #[test]
    fn at_the_equal_hash_price_both_leave_the_same() {
        let mut ai = Ai::default();
        ai.mining.market = super::super::Market::flag(ai.equal_hash_price().unwrap().unwrap());
        let apart = ai.hosting().unwrap().net() - ai.hashing().unwrap().net();
        assert!(apart.get().abs() < 1e-3, "{apart}");
    }

    #[test]
    fn a_connection_has_room_for_fewer_computers_than_machines() {
        let ai = Ai { power: Given::flag(Watts::new(13e6).unwrap()), ..Ai::default() };
        let (hosting, hashing) = (ai.hosting().unwrap().net(), ai.hashing().unwrap().net());
        let shared = ai.per_connection().unwrap();
        assert!((shared - (hosting * (1.0 / 1.3) - hashing)).get().abs() < 1e-6);
        let report = ai.report().unwrap();
        let of_site = |row: usize| match report.tables[0].rows[row][6] {
            Cell::Number(value, _) => value,
            _ => panic!(),
        };
        // 13 MW: 10 MW of computers, or 13 MW of machines.
        assert!((of_site(0) - 10.0 * hosting.get()).abs() < 1e-3);
        assert!((of_site(1) - 13.0 * hashing.get()).abs() < 1e-3);
        assert!(report.finding.contains("Per megawatt of the connection"), "{}", report.finding);
    }

    #[test]
    fn a_site_too_small_for_a_tenant_keeps_mining() {
        let mut ai = Ai { power: Given::flag(Watts::new(50e3).unwrap()), ..Ai::default() };
        assert!(ai.report().unwrap().finding.ends_with("so here mining stays."));
        ai.power = Given::flag(Watts::ZERO);
        assert!(ai.report().is_err());
    }

    #[test]
    fn contracts_that_cannot_be_are_refused() {
        let with = |change: fn(&mut Ai)| {
            let mut ai = Ai::default();
            change(&mut ai);
            ai.report().unwrap_err().to_string()
        };
        assert!(with(|a| a.hosting_pue.value = 0.5).starts_with("the PUE of hosting"));
        assert!(
            with(|a| a.hosting_per_mw_year.value = usd(-1.0)).starts_with("the price of hosting")
        );
        assert!(
            with(|a| a.hosting_years.value = f64::INFINITY).starts_with("years of the hosting")
        );
    }
}
