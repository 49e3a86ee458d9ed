//! What every quote shares: the hash price, what a kilowatt-hour of hashing earns, and what a
//! kilowatt of machine costs a year.

use super::given::{Share, assumed, no_debt, positive, zero_or_more};
use crate::{
    Given, LabError,
    report::{Input, Source},
};
use units::{Difficulty, Efficiency, EnergyPrice, HashPrice, Sats, Usd};

/// Hours of a year without a leap day.
pub const HOURS_PER_YEAR: f64 = 8760.0;

/// The network and the price of its coins.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Difficulty of the blocks now being sought.
    pub difficulty: Given<Difficulty>,
    /// New coins of a block.
    pub subsidy: Given<Sats>,
    /// Mean fees of a block.
    pub fees: Given<Sats>,
    /// Dollars per bitcoin.
    pub bitcoin_price: Given<Usd>,
}

impl Default for Network {
    fn default() -> Self {
        const ORIGIN: &str = "Bitcoin, late 2025";
        const DATE: &str = "2025-12";
        Self {
            difficulty: Given::default(
                Difficulty::new(148.2e12).unwrap_or(Difficulty::ONE),
                ORIGIN,
                DATE,
            ),
            subsidy: Given::default(
                Sats(312_500_000),
                "consensus, blocks 840,000 to 1,049,999",
                "2024",
            ),
            fees: Given::default(Sats(2_000_000), ORIGIN, DATE),
            bitcoin_price: Given::default(usd(87_500.0), ORIGIN, DATE),
        }
    }
}

impl Network {
    /// Subsidy and fees of a block.
    pub fn reward(&self) -> Result<Sats, LabError> {
        let sum = self.subsidy.value.0.checked_add(self.fees.value.0);
        sum.map(Sats).ok_or_else(|| LabError::new("the fees of a block are more than all bitcoin"))
    }

    /// What hashing earns on it.
    pub fn hash_price(&self) -> Result<HashPrice, LabError> {
        no_debt(self.bitcoin_price.value, "the price of a bitcoin")?;
        Ok(HashPrice::of_network(self.difficulty.value, self.reward()?, self.bitcoin_price.value)?)
    }

    pub(crate) fn inputs(&self) -> Vec<Input> {
        let difficulty =
            Given { value: self.difficulty.value.get(), source: self.difficulty.source.clone() };
        vec![
            difficulty.line("difficulty"),
            self.subsidy.line("subsidy_sats"),
            self.fees.line("fees_sats"),
            self.bitcoin_price.line("bitcoin_price_usd"),
        ]
    }
}

/// What hashing earns: named outright, or made of the network's figures.
#[derive(Debug, Clone, PartialEq)]
pub enum Market {
    /// From a market or a publication.
    Named(Given<HashPrice>),
    /// Computed: 86400e15 (S+F) P / (D 2^32).
    Computed(Network),
}

impl Default for Market {
    fn default() -> Self {
        Self::Computed(Network::default())
    }
}

impl Market {
    /// A hash price from the command line.
    pub fn flag(hash_price: HashPrice) -> Self {
        Self::Named(Given::flag(hash_price))
    }

    /// Dollars per PH/s per day.
    pub fn hash_price(&self) -> Result<HashPrice, LabError> {
        match self {
            Self::Named(given) => Ok(given.value),
            Self::Computed(network) => network.hash_price(),
        }
    }

    pub(crate) fn inputs(&self) -> Result<Vec<Input>, LabError> {
        Ok(match self {
            Self::Named(given) => vec![given.line("hashprice_usd_per_ph_day")],
            Self::Computed(network) => {
                let hash_price = Given { value: network.hash_price()?, source: Source::Computed };
                let mut inputs = vec![hash_price.line("hashprice_usd_per_ph_day")];
                inputs.extend(network.inputs());
                inputs
            }
        })
    }
}

/// A machine at work: what a kilowatt-hour of it earns.
#[derive(Debug, Clone, PartialEq)]
pub struct Mining {
    /// What hashing earns.
    pub market: Market,
    /// Of the machines.
    pub efficiency: Given<Efficiency>,
    /// What a pool keeps.
    pub fee: Given<Share>,
    /// Part of the energy drawn whose hashes count: less idling, faults and stale work.
    pub uptime: Given<Share>,
}

impl Default for Mining {
    fn default() -> Self {
        Self {
            market: Market::default(),
            efficiency: Given::default(
                Efficiency::new(17.5).unwrap_or(Efficiency::ONE),
                "nameplate of the Antminer S21",
                "2025",
            ),
            fee: Given::default(Share::NONE, "own Stratum server: nobody takes a fee", "2025"),
            uptime: assumed(Share::new(0.98, "uptime").unwrap_or(Share::ALL)),
        }
    }
}

impl Mining {
    /// r = HP / (24 eta) (1 - fee) uptime: what a kilowatt-hour earns.
    pub fn earns(&self) -> Result<EnergyPrice, LabError> {
        let gross = self.market.hash_price()?.earns_per_kwh(self.efficiency.value);
        Ok(gross * (self.fee.value.rest() * self.uptime.value.get()))
    }

    pub(crate) fn inputs(&self) -> Result<Vec<Input>, LabError> {
        let mut inputs = self.market.inputs()?;
        inputs.push(self.efficiency.line("efficiency_j_per_th"));
        inputs.push(self.fee.line("fee_share"));
        inputs.push(self.uptime.line("uptime_share"));
        Ok(inputs)
    }
}

/// What a kilowatt of machine costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Capital {
    /// Bought and installed, per kilowatt of power drawn.
    pub capex_per_kw: Given<Usd>,
    /// Operation and maintenance besides power, per kilowatt and year.
    pub upkeep_per_kw_year: Given<Usd>,
    /// Interest, a year; 0 is straight-line depreciation.
    pub interest: Given<Share>,
    /// Years until nothing is left of its worth.
    pub years: Given<f64>,
}

impl Default for Capital {
    fn default() -> Self {
        Self {
            capex_per_kw: Given::default(usd(857.0), "$15/TH at 17.5 J/TH", "2025"),
            upkeep_per_kw_year: Given::default(usd(0.0), "none counted", "2025"),
            interest: assumed(Share::new(0.08, "interest").unwrap_or(Share::NONE)),
            years: assumed(5.0),
        }
    }
}

impl Capital {
    /// Per kilowatt and year: CRF K + O&M.
    pub fn yearly_per_kw(&self) -> Result<Usd, LabError> {
        let capex = no_debt(self.capex_per_kw.value, "the price of machines per kW")?;
        let upkeep = no_debt(self.upkeep_per_kw_year.value, "upkeep per kW and year")?;
        Ok(capex * recovery_factor(self.interest.value, self.years.value)? + upkeep)
    }

    /// Per kilowatt-hour drawn, where the machines run so many hours a year.
    pub fn per_kwh(&self, hours: f64) -> Result<EnergyPrice, LabError> {
        hours_of_a_year(hours)?;
        Ok(EnergyPrice::per_kwh(self.yearly_per_kw()?.get() / hours)?)
    }

    pub(crate) fn inputs(&self) -> Vec<Input> {
        vec![
            self.capex_per_kw.line("capex_usd_per_kw"),
            self.upkeep_per_kw_year.line("upkeep_usd_per_kw_year"),
            self.interest.line("interest_per_year"),
            self.years.line("depreciation_years"),
        ]
    }
}

/// Capital recovery factor: the yearly payment that pays back 1 with interest i in n years,
/// i / (1 - (1+i)^-n); 1/n without interest.
pub fn recovery_factor(interest: Share, years: f64) -> Result<f64, LabError> {
    let years = positive(years, "years of depreciation")?;
    let interest = interest.get();
    // 1 - (1+i)^-n; as it stands, a small interest would be lost in the 1.
    let repaid = -(-years * interest.ln_1p()).exp_m1();
    Ok(if interest == 0.0 { 1.0 / years } else { interest / repaid })
}

/// Refuses what are no hours of a year.
pub(crate) fn hours_of_a_year(hours: f64) -> Result<f64, LabError> {
    zero_or_more(hours, "hours a year")?;
    if hours > 0.0 && hours <= HOURS_PER_YEAR {
        Ok(hours)
    } else {
        Err(LabError::new(format!("hours a year are {hours}; give more than 0, at most 8760")))
    }
}

/// A constant amount.
pub(crate) fn usd(dollars: f64) -> Usd {
    Usd::new(dollars).unwrap_or(Usd::ZERO)
}

/// A constant price.
pub(crate) fn per_kwh(dollars: f64) -> EnergyPrice {
    EnergyPrice::per_kwh(dollars).unwrap_or(EnergyPrice::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_hash_price_is_that_of_its_date() {
        let hash_price = Market::default().hash_price().unwrap();
        assert_eq!(format!("{:.2}", hash_price.usd_per_ph_day()), "37.35");
    }

    #[test]
    fn a_kilowatt_hour_earns_less_by_the_fee_and_by_what_stands_still() {
        let mining = Mining {
            market: Market::flag(HashPrice::new(38.2).unwrap()),
            fee: Given::flag(Share::new(0.02, "fee").unwrap()),
            uptime: Given::flag(Share::new(0.95, "uptime").unwrap()),
            ..Mining::default()
        };
        let want = 38.2 / (24.0 * 17.5) * 0.98 * 0.95;
        assert!((mining.earns().unwrap().usd_per_kwh() - want).abs() < 1e-15);
    }

    #[test]
    fn an_annuity_costs_more_than_a_straight_line_and_equals_it_without_interest() {
        let share = |s| Share::new(s, "interest").unwrap();
        assert!((recovery_factor(share(0.08), 5.0).unwrap() - 0.250_456).abs() < 1e-6);
        assert_eq!(recovery_factor(share(0.0), 4.0).unwrap(), 0.25);
        assert!((recovery_factor(share(1e-18), 4.0).unwrap() - 0.25).abs() < 1e-12);
        for years in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(recovery_factor(share(0.08), years).is_err(), "{years}");
        }
    }

    /// $857/kW ($15/TH), 8 %, 5 years; and straight line over 4 years.
    #[test]
    fn machines_that_seldom_run_cost_much_per_kilowatt_hour() {
        let annuity = Capital::default();
        for (capacity_factor, want) in [(0.25, 0.098), (0.5, 0.049), (0.75, 0.033), (0.95, 0.026)] {
            let cost = annuity.per_kwh(capacity_factor * HOURS_PER_YEAR).unwrap().usd_per_kwh();
            assert!((cost - want).abs() < 0.0005, "{capacity_factor}: {cost}");
        }
        let line = Capital {
            interest: Given::flag(Share::NONE),
            years: Given::flag(4.0),
            ..Capital::default()
        };
        for (hours, want) in [(2000.0, 0.107), (3500.0, 0.061)] {
            let cost = line.per_kwh(hours).unwrap().usd_per_kwh();
            assert!((cost - want).abs() < 0.0005, "{hours}: {cost}");
        }
        for hours in [0.0, -5.0, 8761.0, f64::NAN] {
            assert!(line.per_kwh(hours).is_err(), "{hours}");
        }
    }

    #[test]
    fn fees_beyond_all_bitcoin_and_a_negative_price_are_refused() {
        let network = Network { fees: Given::flag(Sats(u64::MAX)), ..Network::default() };
        assert!(network.hash_price().is_err());
        let network = Network { bitcoin_price: Given::flag(usd(-1.0)), ..Network::default() };
        let said = network.hash_price().unwrap_err().to_string();
        assert_eq!(said, "the price of a bitcoin is -1; give zero or more");
    }
}
