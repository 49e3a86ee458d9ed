//! `hearth serve`: the site, until told to stop.

use crate::{Outcome, config::Config, shutdown, site::Site};
use std::process::ExitCode;

pub async fn run(config: Config) -> Outcome {
    let stop = shutdown::listen()?;
    let site = Site::start(&config).await?;
    for address in site.miners_connect_to() {
        tracing::info!("miners connect to stratum+tcp://{address}");
    }
    tracing::info!("the page is at http://{}", site.web_address());
    let signal = stop.await;
    tracing::info!("{signal}: stopping");
    site.stop().await?;
    tracing::info!("stopped; everything is on disk");
    Ok(ExitCode::SUCCESS)
}
