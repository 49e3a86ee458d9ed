//! `hearth quote machine`.

use super::read;
use lab::{
    Report,
    quote::{Market, Share, machine::Choice},
};
use std::{error::Error, path::PathBuf};
use units::EnergyPrice;

/// What is bought for.
#[derive(clap::Args)]
pub struct Args {
    /// Only machines whose maker, model or cooling have all these words.
    #[arg(value_name = "WORDS")]
    words: Vec<String>,
    /// What a kilowatt-hour costs.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    power_price: Option<EnergyPrice>,
    /// What a pool keeps, such as 2%.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    fee: Option<Share>,
    /// Part of the energy drawn whose hashes count.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    uptime: Option<Share>,
    /// Times that the difficulty grows by a year.
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    growth: Option<f64>,
    /// Times that the price of a bitcoin grows by a year.
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    bitcoin_growth: Option<f64>,
    /// Years after which a machine is worn out.
    #[arg(long, allow_negative_numbers = true)]
    years: Option<f64>,
    /// A table of machines of your own, as `hearth catalogue --csv` prints it.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Computes.
pub fn run(args: Args, market: Market) -> Result<Report, Box<dyn Error + Send + Sync>> {
    let own = args.file.as_deref().map(read).transpose()?;
    let own = own.as_deref().map(::catalogue::parse).transpose()?;
    let machines = own.as_deref().unwrap_or(::catalogue::machines());
    let mut choice = Choice::new(::catalogue::matching(machines, &args.words.join(" ")));
    choice.market = market;
    if let Some(file) = &args.file {
        choice.origin = file.display().to_string();
    }
    choice.power_price.set(args.power_price);
    choice.fee.set(args.fee);
    choice.uptime.set(args.uptime);
    choice.growth.set(args.growth);
    choice.bitcoin_growth.set(args.bitcoin_growth);
    choice.years.set(args.years);
    Ok(choice.report()?)
}
