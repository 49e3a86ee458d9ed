//! `hearth quote surplus`.

use super::{YearArgs, mining::MiningArgs};
use lab::{
    Report,
    quote::{Given, Market, surplus::Surplus},
};
use std::error::Error;
use units::Watts;

/// The plant and a year of it.
#[derive(clap::Args)]
#[command(after_long_help = COLUMNS)]
pub struct Args {
    #[command(flatten)]
    year: YearArgs,
    /// Power of the machines, such as 500kW; without it the size that leaves most is found.
    #[arg(long, value_name = "POWER", allow_negative_numbers = true)]
    power: Option<Watts>,
    /// The plant delivers at negative prices too.
    #[arg(long)]
    must_run: bool,
    #[command(flatten)]
    mining: MiningArgs,
}

const COLUMNS: &str = "Columns of the file: clipped_mw (lost in the inverter), surplus_mw (could \
be sold at price_usd_per_mwh, or not at all without that column). One of the first two is needed.";

/// Computes.
pub fn run(args: Args, market: Market) -> Result<Report, Box<dyn Error + Send + Sync>> {
    let mut surplus = Surplus::new(args.year.surplus()?);
    args.mining.apply(market, &mut surplus.mining, &mut surplus.capital)?;
    surplus.power = args.power.map(Given::flag);
    surplus.must_run = args.must_run;
    Ok(surplus.report()?)
}
