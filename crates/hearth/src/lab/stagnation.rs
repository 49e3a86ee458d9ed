//! To be written.

use lab::{LabError, Report};

/// What to compute.
#[derive(clap::Args)]
pub struct Args {}

/// Computes.
pub fn run(_: Args) -> Result<Report, LabError> {
    Err(LabError::new("to be written"))
}
