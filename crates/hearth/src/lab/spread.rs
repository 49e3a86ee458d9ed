//! To be written.

use lab::Report;
use std::error::Error;

/// A question about concentration.
#[derive(clap::Subcommand)]
pub enum Spread {}

/// Computes.
pub async fn run(spread: Spread) -> Result<Report, Box<dyn Error + Send + Sync>> {
    match spread {}
}
