//! `hearth quote`: what a machine, a heater, a site or a contract is worth, with every input shown.

mod ai;
mod dr;
mod heat;
mod machine;
pub mod market;
mod mining;
mod node;
mod nuclear;
mod reuse;
mod scale;
mod solo;
mod surplus;

use crate::{Outcome, output::Output};
use clap::{Args, Subcommand};
use lab::quote::{hours::Hours, made_up};
use market::MarketArgs;
use std::{
    error::Error,
    path::{Path, PathBuf},
};

/// A question and how to print its answer.
#[derive(Args)]
pub struct QuoteArgs {
    #[command(subcommand)]
    question: Question,
    #[command(flatten)]
    market: MarketArgs,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand)]
enum Question {
    /// The odds of finding blocks alone: how many, when, and how luck scatters.
    Solo(solo::Args),
    /// Heat from a machine that mines against gas, oil, a heat pump and a plain heater.
    Heat(heat::Args),
    /// A site that sells its heat against one that throws it away.
    Reuse(reuse::Args),
    /// Hosting computers for AI against mining, per megawatt.
    Ai(ai::Args),
    /// Demand response, hour by hour through a year, nothing promised twice.
    Dr(dr::Args),
    /// Machines for clipped solar and curtailed wind.
    Surplus(surplus::Args),
    /// A plant that must run: each hour the better of price and hash.
    Nuclear(nuclear::Args),
    /// What shrinks with size, what small sites get for nothing, and the size where both are equal.
    Scale(scale::Args),
    /// Which machine to buy at a power price.
    Machine(machine::Args),
}

/// Computes and prints.
pub async fn run(args: QuoteArgs) -> Outcome {
    let market = &args.market;
    let report = match args.question {
        Question::Solo(args) => solo::run(args, market.network().await?)?,
        Question::Heat(args) => heat::run(args, market.market().await?)?,
        Question::Reuse(args) => reuse::run(args, market.market().await?)?,
        Question::Ai(args) => ai::run(args, market.market().await?)?,
        Question::Dr(args) => dr::run(args, market.market().await?)?,
        Question::Surplus(args) => surplus::run(args, market.market().await?)?,
        Question::Nuclear(args) => nuclear::run(args, market.market().await?)?,
        Question::Scale(args) => scale::run(args)?,
        Question::Machine(args) => machine::run(args, market.market().await?)?,
    };
    args.output.print(&report)
}

/// A year of hours from a file, or a made-up one.
#[derive(Args)]
struct YearArgs {
    /// A CSV file with a line for each hour of a year; without it a year is made up.
    #[arg(long, value_name = "FILE")]
    hours: Option<PathBuf>,
    /// Which year is made up.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl YearArgs {
    fn market(&self) -> Result<Hours, Box<dyn Error + Send + Sync>> {
        self.or_made_up(made_up::market)
    }

    fn surplus(&self) -> Result<Hours, Box<dyn Error + Send + Sync>> {
        self.or_made_up(made_up::surplus)
    }

    fn or_made_up(&self, make: fn(u64) -> Hours) -> Result<Hours, Box<dyn Error + Send + Sync>> {
        match &self.hours {
            Some(path) => Ok(Hours::parse(&read(path)?, &path.display().to_string())?),
            None => Ok(make(self.seed)),
        }
    }
}

/// The text of a file that was named.
pub fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|e| format!("{} cannot be read: {e}; check its path", path.display()))
}
