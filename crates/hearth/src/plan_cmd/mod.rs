//! `hearth plan`: the day plan of a site that a file describes. It reads, asks the planner and prints;
//! it never steers anything.

mod quantity;
mod report;
mod scenario;
mod series;

use crate::{Outcome, output::Output};
use dispatch::plan::{self, Options};
use std::{path::PathBuf, time::Duration};

/// What to plan, how hard to search, and how to print it.
#[derive(clap::Args)]
pub struct Args {
    /// The site, its prices and forecasts: see docs/examples/home.toml.
    scenario: PathBuf,
    /// Stop the search when no plan can be cheaper by more than this part of the cost.
    #[arg(long, default_value_t = 1e-4, value_parser = part)]
    gap: f64,
    /// Stop the search after this many seconds, with the best plan so far.
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = seconds)]
    patience: f64,
    #[command(flatten)]
    output: Output,
}

/// Plans and prints.
pub async fn run(args: Args) -> Outcome {
    let problem = scenario::load(&args.scenario)?;
    let patience = Duration::from_secs_f64(args.patience);
    let options = Options { gap: args.gap, patience, ..Options::default() };
    let (problem, plan) = tokio::task::spawn_blocking(move || {
        let plan = plan::solve_with(&problem, options);
        (problem, plan)
    })
    .await?;
    let plan = plan.map_err(|e| format!("{}: {e}", args.scenario.display()))?;
    let origin = args.scenario.display().to_string();
    args.output.print(&report::report(&problem, &plan, options, origin))
}

fn part(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|gap| (0.0..1.0).contains(gap))
        .ok_or("give 0 or more, below 1".into())
}

fn seconds(text: &str) -> Result<f64, String> {
    let fits = |time: &f64| *time > 0.0 && *time <= 86_400.0;
    text.parse::<f64>().ok().filter(fits).ok_or("give more than 0, up to a day".into())
}
