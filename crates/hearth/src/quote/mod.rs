//! `hearth quote`: what a machine, a heater, a site or a contract is worth, with every input shown.

use crate::{Outcome, output::Output};
use clap::{Args, Subcommand};

/// A question and how to print its answer.
#[derive(Args)]
pub struct QuoteArgs {
    #[command(subcommand)]
    question: Question,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand)]
enum Question {}

/// Computes and prints.
pub async fn run(args: QuoteArgs) -> Outcome {
    let _ = &args.output;
    match args.question {}
}
