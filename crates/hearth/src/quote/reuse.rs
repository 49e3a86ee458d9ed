//! `hearth quote reuse`.

use super::mining::MiningArgs;
use lab::{
    LabError, Report,
    quote::{Market, Share, reuse::Reuse},
};
use units::{EnergyPrice, Usd, Watts};

/// The site and its buyer of heat.
#[derive(clap::Args)]
pub struct Args {
    /// What a kilowatt-hour of power costs.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    power_price: Option<EnergyPrice>,
    /// Power of the machines, such as 5MW.
    #[arg(long, value_name = "POWER", allow_negative_numbers = true)]
    power: Option<Watts>,
    /// Hours a year that they run.
    #[arg(long, allow_negative_numbers = true)]
    hours: Option<f64>,
    /// What a kilowatt-hour of heat is sold for.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    heat_price: Option<EnergyPrice>,
    /// Part of the heat that reaches the pipe.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    captured: Option<Share>,
    /// Part of the running hours in which the buyer takes it.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    sold_time: Option<Share>,
    /// Power of the whole site over that of its machines, heat thrown away.
    #[arg(long, value_name = "PUE", allow_negative_numbers = true)]
    pue_waste: Option<f64>,
    /// The same while heat is taken.
    #[arg(long, value_name = "PUE", allow_negative_numbers = true)]
    pue_reuse: Option<f64>,
    /// Exchangers, pipes and meters, dollars per kW of machines.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    exchanger_per_kw: Option<Usd>,
    /// Years that those last.
    #[arg(long, value_name = "YEARS", allow_negative_numbers = true)]
    exchanger_years: Option<f64>,
    #[command(flatten)]
    mining: MiningArgs,
}

/// Computes.
pub fn run(args: Args, market: Market) -> Result<Report, LabError> {
    let mut reuse = Reuse::default();
    args.mining.apply(market, &mut reuse.mining, &mut reuse.capital)?;
    reuse.power_price.set(args.power_price);
    reuse.power.set(args.power);
    reuse.hours.set(args.hours);
    reuse.heat_price.set(args.heat_price);
    reuse.captured.set(args.captured);
    reuse.sold_time.set(args.sold_time);
    reuse.pue_waste.set(args.pue_waste);
    reuse.pue_reuse.set(args.pue_reuse);
    reuse.exchanger_per_kw.set(args.exchanger_per_kw);
    reuse.exchanger_years.set(args.exchanger_years);
    reuse.report()
}
