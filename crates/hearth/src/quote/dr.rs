//! `hearth quote dr`.

use super::{YearArgs, mining::MiningArgs};
use lab::{
    Report,
    quote::{
        Given, Market,
        dr::{Dr, Offer},
    },
};
use std::error::Error;
use units::{EnergyPrice, Usd, Watts};

/// The site, its promises and a year.
#[derive(clap::Args)]
#[command(after_long_help = COLUMNS)]
pub struct Args {
    #[command(flatten)]
    year: YearArgs,
    /// Power of the site, such as 20MW.
    #[arg(long, value_name = "POWER", allow_negative_numbers = true)]
    power: Option<Watts>,
    /// Power that is promised to somebody else in every hour: never offered here.
    #[arg(long, value_name = "POWER", allow_negative_numbers = true)]
    promised: Option<Watts>,
    /// Offer this much to a programme of the file in every hour: reserve=5MW. May be repeated;
    /// without it all that is free goes to the best programme of each hour.
    #[arg(long, value_name = "NAME=POWER", value_parser = offer)]
    offer: Vec<Offer>,
    /// Switch off above this price, as a firm bid says, instead of above what hashing earns.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    bid: Option<EnergyPrice>,
    /// Charge for power in the coincident peaks, dollars per kW and year.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    peak_charge: Option<Usd>,
    /// Minutes of hashing lost with each start.
    #[arg(long, value_name = "MINUTES", allow_negative_numbers = true)]
    start_minutes: Option<f64>,
    #[command(flatten)]
    mining: MiningArgs,
}

const COLUMNS: &str = "Columns of the file: price_usd_per_mwh; for each programme X X_usd_per_mw \
(paid for an hour of readiness), X_call (part of the hour called, 0 to 1), perhaps X_usd_per_mwh \
(paid for energy not drawn); perhaps peak (1 in a coincident peak), peak_warning (1 where one was \
to be feared), promised_mw (promised elsewhere).";

/// Computes.
pub fn run(args: Args, market: Market) -> Result<Report, Box<dyn Error + Send + Sync>> {
    let mut dr = Dr::new(args.year.market()?);
    args.mining.apply(market, &mut dr.mining, &mut dr.capital)?;
    dr.power.set(args.power);
    dr.promised.set(args.promised);
    dr.offers = args.offer;
    dr.bid = args.bid.map(Given::flag);
    dr.peak_charge_per_kw_year.set(args.peak_charge);
    dr.start_minutes.set(args.start_minutes);
    Ok(dr.report()?)
}

fn offer(text: &str) -> Result<Offer, String> {
    let wrong = || format!("\"{text}\" is not an offer; write it like \"reserve=5MW\"");
    let (programme, power) = text.split_once('=').ok_or_else(wrong)?;
    let power = power.parse().map_err(|_| wrong())?;
    Ok(Offer { programme: programme.trim().into(), power })
}
