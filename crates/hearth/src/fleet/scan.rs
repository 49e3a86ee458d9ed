//! `hearth scan`: Find machines in ranges of addresses.

use crate::Outcome;

/// Find machines in ranges of addresses.
#[derive(clap::Args)]
pub struct Args {}

pub async fn run(_args: Args) -> Outcome {
    Err("this command is not built yet".into())
}
