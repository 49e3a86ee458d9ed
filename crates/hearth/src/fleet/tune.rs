//! `hearth tune`: Find a machine's best setting by the work it proves.

use crate::Outcome;

/// Find a machine's best setting by the work it proves.
#[derive(clap::Args)]
pub struct Args {}

pub async fn run(_args: Args) -> Outcome {
    Err("this command is not built yet".into())
}
