//! `hearth quote nuclear`.

use super::{YearArgs, mining::MiningArgs};
use lab::{
    Report,
    quote::{Market, nuclear::Nuclear},
};
use std::error::Error;
use units::{EnergyPrice, Watts};

/// The plant and a year of prices.
#[derive(clap::Args)]
#[command(after_long_help = "Column of the file: price_usd_per_mwh, at the plant.")]
pub struct Args {
    #[command(flatten)]
    year: YearArgs,
    /// Power that the machines can draw, such as 100MW.
    #[arg(long, value_name = "POWER", allow_negative_numbers = true)]
    power: Option<Watts>,
    /// What a kilowatt-hour costs to generate.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    generating_cost: Option<EnergyPrice>,
    #[command(flatten)]
    mining: MiningArgs,
}

/// Computes.
pub fn run(args: Args, market: Market) -> Result<Report, Box<dyn Error + Send + Sync>> {
    let mut nuclear = Nuclear::new(args.year.market()?);
    args.mining.apply(market, &mut nuclear.mining, &mut nuclear.capital)?;
    nuclear.power.set(args.power);
    nuclear.generating_cost.set(args.generating_cost);
    Ok(nuclear.report()?)
}
