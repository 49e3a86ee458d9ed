//! `hearth twin farm`: many emulated machines at addresses of their own.

use crate::Outcome;

/// Which machines.
#[derive(clap::Args)]
pub struct Args {}

pub async fn run(_args: Args) -> Outcome {
    Err("this command is not built yet".into())
}
