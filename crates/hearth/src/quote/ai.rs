//! `hearth quote ai`.

use super::mining::MiningArgs;
use lab::{
    LabError, Report,
    quote::{Market, Share, ai::Ai},
};
use units::{EnergyPrice, Usd, Watts};

/// The site and the tenant's contract.
#[derive(clap::Args)]
pub struct Args {
    /// What a kilowatt-hour costs.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    power_price: Option<EnergyPrice>,
    /// Power of the site, such as 20MW.
    #[arg(long, value_name = "POWER", allow_negative_numbers = true)]
    power: Option<Watts>,
    /// Least power that a tenant wants.
    #[arg(long, value_name = "POWER", allow_negative_numbers = true)]
    least_tenant: Option<Watts>,
    /// Paid by the tenant, dollars per MW and year, such as 1.65M.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    hosting: Option<Usd>,
    /// Part of the power that the tenant pays for besides.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pass_through: Option<Share>,
    /// Building and cooling for hosting, dollars per MW.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    hosting_capex: Option<Usd>,
    /// Years that those last.
    #[arg(long, value_name = "YEARS", allow_negative_numbers = true)]
    hosting_years: Option<f64>,
    /// Staff, spares and repairs for hosting, dollars per MW and year.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    hosting_upkeep: Option<Usd>,
    /// Power of the hosting site over that of its computers.
    #[arg(long, value_name = "PUE", allow_negative_numbers = true)]
    hosting_pue: Option<f64>,
    /// Part of the year that a tenant pays for.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    let_share: Option<Share>,
    /// What the grid pays for mining that can be switched off, dollars per MW and year.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    flexibility: Option<Usd>,
    #[command(flatten)]
    mining: MiningArgs,
}

/// Computes.
pub fn run(args: Args, market: Market) -> Result<Report, LabError> {
    let mut ai = Ai::default();
    args.mining.apply(market, &mut ai.mining, &mut ai.capital)?;
    ai.power_price.set(args.power_price);
    ai.power.set(args.power);
    ai.least_power.set(args.least_tenant);
    ai.hosting_per_mw_year.set(args.hosting);
    ai.pass_through.set(args.pass_through);
    ai.hosting_capex_per_mw.set(args.hosting_capex);
    ai.hosting_years.set(args.hosting_years);
    ai.hosting_upkeep_per_mw_year.set(args.hosting_upkeep);
    ai.hosting_pue.set(args.hosting_pue);
    ai.let_share.set(args.let_share);
    ai.flexibility_per_mw_year.set(args.flexibility);
    ai.report()
}
