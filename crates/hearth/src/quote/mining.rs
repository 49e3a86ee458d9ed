//! Flags that every question about machines shares: which machines, and what they cost.

use super::market::of_catalogue;
use clap::Args;
use lab::{
    LabError,
    quote::{Capital, Market, Mining, Share},
};
use units::{Efficiency, Usd};

/// The machines.
#[derive(Args)]
pub struct MiningArgs {
    /// A machine of the catalogue, for its efficiency and its price.
    #[arg(long, value_name = "NAME")]
    machine: Option<String>,
    /// Efficiency, J/TH.
    #[arg(long, value_name = "J/TH", allow_negative_numbers = true)]
    efficiency: Option<Efficiency>,
    /// What a pool keeps, such as 2%.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    fee: Option<Share>,
    /// Part of the energy drawn whose hashes count, such as 98%.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    uptime: Option<Share>,
    #[command(flatten)]
    capital: CapitalArgs,
}

/// What machines cost.
#[derive(Args)]
pub struct CapitalArgs {
    /// Price of the machines installed, dollars per kW.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    capex_per_kw: Option<Usd>,
    /// Upkeep besides power, dollars per kW and year.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    upkeep_per_kw: Option<Usd>,
    /// Interest a year, such as 8%; 0 for straight-line depreciation.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    interest: Option<Share>,
    /// Years until the machines are worth nothing.
    #[arg(long, allow_negative_numbers = true)]
    years: Option<f64>,
}

impl MiningArgs {
    /// Puts the flags over the defaults of a question.
    pub fn apply(
        self,
        market: Market,
        mining: &mut Mining,
        capital: &mut Capital,
    ) -> Result<(), LabError> {
        mining.market = market;
        if let Some(name) = &self.machine {
            let machine = ::catalogue::find(::catalogue::machines(), name)
                .map_err(|error| LabError::new(error.to_string()))?;
            let model = machine.model.as_str();
            let efficiency = machine.efficiency.ok_or_else(|| {
                LabError::new(format!("the power of the {model} is unknown; give --efficiency"))
            })?;
            mining.efficiency = of_catalogue(efficiency, model, "");
            if let (Some(per_kw), Some(price)) = (machine.price_per_kilowatt(), &machine.price) {
                capital.capex_per_kw = of_catalogue(per_kw, model, &price.date);
            }
        }
        mining.efficiency.set(self.efficiency);
        mining.fee.set(self.fee);
        mining.uptime.set(self.uptime);
        self.capital.apply(capital);
        Ok(())
    }
}

impl CapitalArgs {
    /// Puts the flags over the defaults of a question.
    pub fn apply(self, capital: &mut Capital) {
        capital.capex_per_kw.set(self.capex_per_kw);
        capital.upkeep_per_kw_year.set(self.upkeep_per_kw);
        capital.interest.set(self.interest);
        capital.years.set(self.years);
    }
}
