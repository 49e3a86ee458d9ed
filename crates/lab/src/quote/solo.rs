//! The odds of mining alone: how many blocks, when, and how far luck can be from the mean.
//!
//! Blocks are found as a Poisson process whose rate is the own hashrate over the expected hashes of
//! a block. It never says what will happen.

use super::{
    Network, finished,
    given::{assumed, positive},
    mining::per_kwh,
    sensitivity::{Knob, Outcome, tornado},
};
use crate::{
    Given, LabError, Report,
    luck::{at_least_one, quantile},
    report::{Cell, Column, Input, Table},
};
use std::time::Duration;
use units::{Difficulty, Efficiency, EnergyPrice, Hashrate, Usd};

const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// Years between halvings: 210,000 blocks at 52,560 a year.
const HALVING_YEARS: f64 = 210_000.0 / 52_560.0;

/// Who mines alone.
#[derive(Debug, Clone)]
pub struct Solo {
    /// The own hashrate.
    pub hashrate: Given<Hashrate>,
    /// Difficulty, reward and the price of a bitcoin.
    pub network: Network,
    /// Times that the difficulty grows by a year; 1 for none.
    pub growth: Given<f64>,
    /// Years until the subsidy halves.
    pub halving: Given<f64>,
    /// Of the machines.
    pub efficiency: Given<Efficiency>,
    /// What a kilowatt-hour costs.
    pub power_price: Given<EnergyPrice>,
}

impl Solo {
    /// With all other inputs at their defaults.
    pub fn new(hashrate: Given<Hashrate>) -> Self {
        Self {
            hashrate,
            network: Network::default(),
            growth: Given::default(1.35, "growth of Bitcoin's difficulty", "2025"),
            halving: Given::default(2.3, "from block 927,000 to 1,050,000", "2025-12"),
            efficiency: super::Mining::default().efficiency,
            power_price: assumed(per_kwh(0.10)),
        }
    }

    /// Blocks expected a year, at the difficulty as it is.
    pub fn blocks_per_year(&self) -> Result<f64, LabError> {
        let rate = self.hashrate.value;
        if rate <= Hashrate::ZERO {
            return Err(LabError::new("the hashrate is zero; give one such as \"1.2 TH/s\""));
        }
        let hashes = rate.hashes_per_second() * YEAR.as_secs_f64();
        Ok(hashes / self.network.difficulty.value.work().hashes())
    }

    /// Blocks expected in so many years while the difficulty grows: r (1 - g^-t) / ln g.
    pub fn expected(&self, years: f64, growth: f64) -> Result<f64, LabError> {
        positive(growth, "growth of the difficulty")?;
        Ok(self.blocks_per_year()? * effective_years(years, growth))
    }

    /// Years until the first block has been found with this chance; `None` if growth outruns it.
    pub fn wait(&self, chance: f64, growth: f64) -> Result<Option<f64>, LabError> {
        let needed = -(-chance).ln_1p() / self.blocks_per_year()?;
        let log = positive(growth, "growth of the difficulty")?.ln();
        if log.abs() < 1e-12 {
            return Ok(Some(needed));
        }
        let left = 1.0 - needed * log;
        Ok((left > 0.0).then(|| -left.ln() / log))
    }

    /// Bitcoin expected in so many years: each halving takes half of the subsidy, fees stay.
    pub fn bitcoin(&self, years: f64, growth: f64) -> Result<f64, LabError> {
        let fees = self.network.fees.value.0 as f64 / 1e8;
        let mut subsidy = self.network.subsidy.value.0 as f64 / 1e8;
        let (mut from, mut to) = (0.0, positive(self.halving.value, "years until the halving")?);
        let mut sum = 0.0;
        while from < years {
            let end = to.min(years);
            let blocks = self.expected(end, growth)? - self.expected(from, growth)?;
            sum += blocks * (subsidy + fees);
            (from, to) = (to, to + HALVING_YEARS);
            subsidy /= 2.0;
        }
        Ok(sum)
    }

    /// What a year of hashing costs.
    pub fn power_cost_per_year(&self) -> Usd {
        let power = self.hashrate.value * self.efficiency.value;
        power.over(YEAR) * self.power_price.value
    }

    /// The report.
    pub fn report(&self) -> Result<Report, LabError> {
        let grown = self.growth.value;
        let rate = self.blocks_per_year()?;
        let price = self.network.bitcoin_price.value;
        self.network.hash_price()?;

        let mut odds = Table::new(
            "odds",
            "Blocks found: expected, chance of one or more, and the numbers that 5, 50 and 95 % of \
             such miners do not exceed",
            [
                Column::new("period", "in a"),
                Column::new("difficulty", "difficulty"),
                Column::new("expected_blocks", "expected"),
                Column::new("at_least_one", "one or more"),
                Column::new("blocks_q05", "5 %"),
                Column::new("blocks_q50", "50 %"),
                Column::new("blocks_q95", "95 %"),
                Column::new("expected_btc", "BTC"),
                Column::new("expected_usd", "USD"),
            ],
        );
        for (name, years) in [("month", 1.0 / 12.0), ("year", 1.0), ("5 years", 5.0)] {
            for (difficulty, growth) in [("as now", 1.0), ("growing", grown)] {
                let blocks = self.expected(years, growth)?;
                let bitcoin = self.bitcoin(years, growth)?;
                odds.row([
                    name.into(),
                    difficulty.into(),
                    Cell::Figure(blocks),
                    Cell::Figure(at_least_one(blocks)),
                    quantile(blocks, 0.05).into(),
                    quantile(blocks, 0.5).into(),
                    quantile(blocks, 0.95).into(),
                    Cell::Figure(bitcoin),
                    Cell::Figure(bitcoin * price.get()),
                ]);
            }
        }

        let mut wait = Table::new(
            "wait",
            "Years until the first block",
            [
                Column::new("chance", "found by then with a chance of"),
                Column::new("years", "years, difficulty as now"),
                Column::new("years_growing", "years, difficulty growing"),
            ],
        );
        for chance in [0.1, 0.5, 0.9, 0.99] {
            let cell = |years: Option<f64>| years.map_or("never".into(), Cell::Figure);
            wait.row([
                Cell::Figure(chance),
                cell(self.wait(chance, 1.0)?),
                cell(self.wait(chance, grown)?),
            ]);
        }

        let outcome = Outcome {
            columns: ("blocks_at_low", "blocks_at_high"),
            label: "blocks expected in 5 years of growing difficulty",
        };
        let (sensitivity, chart) =
            tornado(self, self.knobs(), outcome, |q| q.expected(5.0, q.growth.value))?;
        finished(Report {
            name: "quote solo",
            finding: self.finding(rate)?,
            inputs: self.inputs(),
            tables: vec![odds, wait, sensitivity],
            chart: Some(chart),
        })
    }

    fn finding(&self, rate: f64) -> Result<String, LabError> {
        let half = match self.wait(0.5, self.growth.value)? {
            Some(wait) => format!("half of such miners wait longer than {}", span(wait)),
            None => "most such miners never find one, as the difficulty outruns them".to_string(),
        };
        let earned = usd_per_year(self)?;
        // Below one block a year the chances say it.
        let scatter = match rate >= 1.0 {
            true => format!(
                "; the number of blocks a year scatters by {} % around its mean",
                Cell::Figure(100.0 / rate.sqrt()).text()
            ),
            false => String::new(),
        };
        Ok(format!(
            "{} finds one block in {} on average at today's difficulty: {} within a year, {} \
             within five. If the difficulty grows {}-fold a year, {half}. On average a year brings \
             {earned} and takes {} of electricity{scatter}.",
            self.hashrate.value,
            span(1.0 / rate),
            odds(at_least_one(rate)),
            odds(at_least_one(self.expected(5.0, 1.0)?)),
            Cell::Figure(self.growth.value).text(),
            self.power_cost_per_year(),
        ))
    }

    fn inputs(&self) -> Vec<Input> {
        let hashrate = Given {
            value: self.hashrate.value.terahashes_per_second(),
            source: self.hashrate.source.clone(),
        };
        let mut inputs = vec![hashrate.line("hashrate_ths")];
        inputs.extend(self.network.inputs());
        inputs.push(self.growth.line("difficulty_growth_per_year"));
        inputs.push(self.halving.line("years_to_halving"));
        inputs.push(self.efficiency.line("efficiency_j_per_th"));
        inputs.push(self.power_price.line("power_price_usd_per_kwh"));
        inputs
    }

    fn knobs(&self) -> Vec<Knob<Self>> {
        let rate = self.hashrate.value.terahashes_per_second();
        let difficulty = self.network.difficulty.value.get();
        vec![
            Knob::times("hashrate, TH/s", rate, (0.8, 1.2), |q, v| {
                q.hashrate.value = Hashrate::from_hashes_per_second(v * 1e12);
                Ok(())
            }),
            Knob::times("difficulty now", difficulty, (0.7, 1.3), |q, v| {
                q.network.difficulty.value = Difficulty::new(v)?;
                Ok(())
            }),
            Knob::between("difficulty growth, per year", self.growth.value, (1.0, 2.04), |q, v| {
                q.growth.value = v;
                Ok(())
            }),
        ]
    }
}

fn usd_per_year(solo: &Solo) -> Result<Usd, LabError> {
    Ok(solo.network.bitcoin_price.value * solo.bitcoin(1.0, 1.0)?)
}

/// Years at the present difficulty that bring as many blocks as `years` of growing difficulty.
fn effective_years(years: f64, growth: f64) -> f64 {
    let log = growth.ln();
    if log.abs() < 1e-12 { years } else { -(-log * years).exp_m1() / log }
}

/// A time as people say it.
fn span(years: f64) -> String {
    let (number, unit) = if years < 1.0 { (years * 365.0, "days") } else { (years, "years") };
    format!("{} {unit}", Cell::Figure(number).text())
}

/// A chance as people say it.
fn odds(chance: f64) -> String {
    if chance >= 0.01 {
        format!("a chance of {} %", Cell::Figure(chance * 100.0).text())
    } else {
        format!("a chance of 1 in {}", Cell::Number(1.0 / chance, 0).text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At 1 ZH/s, blocks every 600 s.
    fn solo(terahashes: f64) -> Solo {
        let network = Hashrate::from_hashes_per_second(1e21);
        let difficulty = Difficulty::for_interval(network, Duration::from_secs(600)).unwrap();
        let mut solo = Solo::new(Given::flag(Hashrate::from_hashes_per_second(terahashes * 1e12)));
        solo.network.difficulty = Given::flag(difficulty);
        solo
    }

    #[test]
    fn a_bitaxe_of_1_2_terahashes_expects_a_block_in_15855_years_at_a_zettahash() {
        let rate = solo(1.2).blocks_per_year().unwrap();
        assert_eq!((1.0 / rate).round(), 15_855.0);
    }

    #[test]
    fn who_expects_one_block_finds_one_with_63_percent() {
        let solo = solo(1e9 / 52_560.0);
        let expected = solo.expected(1.0, 1.0).unwrap();
        assert!((expected - 1.0).abs() < 1e-9);
        assert!((at_least_one(expected) - 0.632_120_558).abs() < 1e-9);
        assert_eq!([0.05, 0.5, 0.95].map(|p| quantile(expected, p)), [Some(0), Some(1), Some(3)]);
        assert!((solo.wait(0.5, 1.0).unwrap().unwrap() - 2_f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn growth_dilutes_and_can_put_the_first_block_out_of_reach() {
        let solo = solo(1e9 / 52_560.0);
        // r (1 - g^-t) / ln g
        let want = (1.0 - 1.0 / 2.0) / 2_f64.ln();
        assert!((solo.expected(1.0, 2.0).unwrap() - want).abs() < 1e-9);
        let wait = solo.wait(0.5, 2.0).unwrap().unwrap();
        assert!((at_least_one(solo.expected(wait, 2.0).unwrap()) - 0.5).abs() < 1e-12);
        // At most 1 / ln 2 = 1.44 blocks ever: 76 %.
        assert!(solo.wait(0.77, 2.0).unwrap().is_none());
    }

    #[test]
    fn the_subsidy_halves_on_its_way() {
        let mut solo = solo(1e9 / 52_560.0);
        solo.halving = Given::flag(1.0);
        solo.network.fees = Given::flag(units::Sats(0));
        assert!((solo.bitcoin(1.0, 1.0).unwrap() - 3.125).abs() < 1e-9);
        assert!((solo.bitcoin(2.0, 1.0).unwrap() - 3.125 * 1.5).abs() < 1e-9);
        solo.halving = Given::flag(0.0);
        assert!(solo.bitcoin(1.0, 1.0).is_err());
    }

    #[test]
    fn whoever_finds_almost_every_second_is_answered_too() {
        // As on a chain for tests; and with a growth that no number holds.
        let report = solo(1e18).report().unwrap();
        assert!(!report.to_json().to_string().contains("NaN"));
        assert!(solo(1e30).report().is_err());
        let mut solo = solo(1.0);
        solo.growth = Given::flag(1e-300);
        let said = solo.report().unwrap_err().to_string();
        assert!(said.starts_with("an input is so large or so small"), "{said}");
    }

    #[test]
    fn no_hashrate_and_no_growth_factor_are_refused() {
        assert!(solo(0.0).report().is_err());
        let mut solo = solo(1.0);
        solo.growth = Given::flag(0.0);
        let said = solo.report().unwrap_err().to_string();
        assert_eq!(said, "growth of the difficulty is 0; give a number above zero");
    }

    #[test]
    fn the_report_says_the_odds_and_shows_every_input() {
        let report = solo(1.2).report().unwrap();
        assert!(report.finding.starts_with("1.20 TH/s finds one block in 15,855 years"));
        assert!(
            report.finding.contains("a chance of 1 in 15,855 within a year"),
            "{}",
            report.finding
        );
        assert_eq!(report.tables.len(), 3);
        assert_eq!(report.inputs.len(), 9);
        assert!(report.chart.is_some());
    }
}
