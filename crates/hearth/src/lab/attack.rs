//! To be written.

use lab::{LabError, Report};

/// An attack.
#[derive(clap::Subcommand)]
pub enum Attack {}

/// Computes.
pub fn run(attack: Attack) -> Result<Report, LabError> {
    match attack {}
}
