//! `hearth catalogue`: known machines, their nameplates and what they break even at.

use crate::{
    Outcome,
    output::Output,
    quote::{market::MarketArgs, read},
};
use clap::{Args, ValueEnum};
use lab::quote::{
    Share,
    nameplates::{By, Nameplates},
};
use std::path::PathBuf;

/// Which machines, and in what order.
#[derive(Args)]
pub struct CatalogueArgs {
    /// Only machines whose maker, model or cooling have all these words.
    #[arg(value_name = "WORDS")]
    words: Vec<String>,
    /// What the list is sorted by.
    #[arg(long, value_enum, default_value_t = Order::Efficiency)]
    by: Order,
    /// Interest on the price of a machine, such as 8%.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    interest: Option<Share>,
    /// Years over which its price is earned back.
    #[arg(long, allow_negative_numbers = true)]
    years: Option<f64>,
    /// Hours a year that it runs.
    #[arg(long, allow_negative_numbers = true)]
    hours: Option<f64>,
    /// A table of machines of your own, as --csv prints it.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    market: MarketArgs,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Order {
    /// J/TH.
    Efficiency,
    /// Dollars per TH/s.
    Price,
    /// The power price that pays for machine and power.
    BreakEven,
}

/// Lists and prints.
pub async fn run(args: CatalogueArgs) -> Outcome {
    let own = args.file.as_deref().map(read).transpose()?;
    let own = own.as_deref().map(::catalogue::parse).transpose()?;
    let machines = own.as_deref().unwrap_or(::catalogue::machines());
    let by = match args.by {
        Order::Efficiency => By::Efficiency,
        Order::Price => By::Price,
        Order::BreakEven => By::BreakEven,
    };
    let mut list = Nameplates::new(::catalogue::matching(machines, &args.words.join(" ")), by);
    list.market = args.market.market().await?;
    list.interest.set(args.interest);
    list.years.set(args.years);
    list.hours.set(args.hours);
    args.output.print(&list.report()?)
}
