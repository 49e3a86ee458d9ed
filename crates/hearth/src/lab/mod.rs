//! `hearth lab`: where mining is going, in numbers that can be checked.

mod attack;
mod landscape;
mod spread;
mod stagnation;

use crate::{Outcome, output::Output};
use clap::{Args, Subcommand};

/// An analysis and how to print it.
#[derive(Args)]
pub struct LabArgs {
    #[command(subcommand)]
    analysis: Analysis,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand)]
enum Analysis {
    /// Who finds blocks: how many miners a year, a month, a day, under a distribution of hashrate.
    Landscape(landscape::Args),
    /// What standing still costs while the network grows.
    Stagnation(stagnation::Args),
    /// What a censor with a share of the hashrate can do, and what it costs everybody.
    #[command(subcommand)]
    Attack(attack::Attack),
    /// How concentrated mining is, and what moves it.
    #[command(subcommand)]
    Spread(spread::Spread),
}

/// Computes and prints.
pub async fn run(args: LabArgs) -> Outcome {
    let report = match args.analysis {
        Analysis::Landscape(args) => landscape::run(args)?,
        Analysis::Stagnation(args) => stagnation::run(args)?,
        Analysis::Attack(attack) => attack::run(attack)?,
        Analysis::Spread(spread) => spread::run(spread).await?,
    };
    args.output.print(&report)
}
