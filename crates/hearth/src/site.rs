//! Everything that runs while miners are served, started and stopped in the right order.

use crate::{bridge::Bridge, config::Config, energy, fleet::run::Running, status::Board};
use api::Status;
use chain::Chain;
use ledger::{Ledger, LedgerError};
use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::Duration,
};
use stratum::Server;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// Why a site does not start.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Stratum(#[from] stratum::StartError),
    #[error(transparent)]
    Chain(#[from] chain::StartError),
    #[error(
        "cannot listen on {listen} for the web page: {source}; stop what uses it or set listen under \
         [web]"
    )]
    Web { listen: SocketAddr, source: io::Error },
    #[error("cannot use the folder {}: {source}; make it one that this user may write to", folder.display())]
    DataDir { folder: PathBuf, source: io::Error },
    #[error("power cannot be decided on: {source}")]
    Energy { source: Box<dyn std::error::Error + Send + Sync> },
}

/// A running site.
pub struct Site {
    bridge: Arc<Bridge>,
    ledger: Ledger,
    fleet: Option<Running>,
    energy: Option<energy::Running>,
    board: Arc<Board>,
    web_address: SocketAddr,
    stop_web: oneshot::Sender<()>,
    web: JoinHandle<io::Result<()>>,
    notes: JoinHandle<()>,
}

impl Site {
    /// Starts all of it. What can fail because of the configuration fails here, before any miner is
    /// served; a node that is down does not: miners are told to wait for it.
    pub async fn start(config: &Config) -> Result<Self, SiteError> {
        let folder = || config.data_dir.clone();
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|source| SiteError::DataDir { folder: folder(), source })?;
        let web_error = |source| SiteError::Web { listen: config.web, source };
        let listener = TcpListener::bind(config.web).await.map_err(web_error)?;
        let web_address = listener.local_addr().map_err(web_error)?;
        let (ledger, recorder) = Ledger::open(&config.ledger()).await?;
        let bridge = Arc::new(Bridge::new(recorder));
        let server = Server::start(config.stratum.clone(), bridge.clone())?;
        // Just made, so it cannot be there already.
        let _ = bridge.server.set(server);
        let chain = Chain::start(config.chain.clone(), bridge.clone())?;
        *bridge.chain.write().unwrap_or_else(PoisonError::into_inner) = Some(chain);

        let fleet = match config.fleet.enabled {
            true => Some(
                Running::start(config, bridge.clone())
                    .map_err(|source| SiteError::DataDir { folder: folder(), source })?,
            ),
            false => None,
        };
        let mut routes = fleet.as_ref().map(Running::routes).unwrap_or_default();
        let energy = match (config.energy.enabled, &fleet) {
            (true, Some(fleet)) => {
                let tunings = fleet.tunings.clone();
                let machines = energy::Machines {
                    fleet: fleet.fleet.clone(),
                    meter: fleet.meter.clone(),
                    busy: Arc::new(move |id| tunings.holds(id)),
                };
                let (told, token) = (&config.energy, fleet.token());
                let folder = &config.data_dir;
                let energy = energy::Running::start(told, folder, bridge.clone(), machines, token)
                    .map_err(|source| SiteError::Energy { source })?;
                routes = routes.merge(energy.routes());
                Some(energy)
            }
            _ => None,
        };

        let board = Arc::new(Board::new(bridge.clone(), ledger.clone(), config.network()));
        let (noted, shown) = (board.clone(), board.clone());
        let notes = tokio::spawn(async move { noted.note().await });
        let source = web::Source::new(move || {
            let board = shown.clone();
            async move { board.status().await }
        });
        let (stop_web, web_stopped) = oneshot::channel();
        let web = tokio::spawn(web::serve(listener, source, routes, async {
            // An error means that the site is gone, which ends the page as well.
            let _ = web_stopped.await;
        }));
        Ok(Self { bridge, ledger, fleet, energy, board, web_address, stop_web, web, notes })
    }

    /// Where miners connect, in the order of the configured ports.
    pub fn miners_connect_to(&self) -> Vec<SocketAddr> {
        self.bridge.server.get().map(|server| server.addresses().to_vec()).unwrap_or_default()
    }

    /// Where the page is.
    pub fn web_address(&self) -> SocketAddr {
        self.web_address
    }

    /// The status now.
    pub async fn status(&self) -> Arc<Status> {
        self.board.fresh_status().await
    }

    /// What the rooms are tied together by; the fleet hangs on it, too.
    pub fn bridge(&self) -> Arc<Bridge> {
        self.bridge.clone()
    }

    /// The record.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Stops everything: miners are asked to come back, what they did is on disk, blocks on their way
    /// to a node arrive.
    pub async fn stop(mut self) -> Result<(), LedgerError> {
        if let Some(energy) = self.energy.take() {
            energy.stop().await;
        }
        // First, while machines still prove work and the server still counts it.
        if let Some(fleet) = self.fleet.take() {
            fleet.stop().await;
        }
        let bridge = self.bridge.clone();
        let stopped = tokio::task::spawn_blocking(move || {
            if let Some(server) = bridge.server.get() {
                server.stop();
            }
        });
        // A panic in there has been logged; the rest is to be stopped all the same.
        let _ = stopped.await;
        let chain = self.bridge.chain.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(chain) = chain {
            chain.stop().await;
        }
        self.notes.abort();
        let _ = self.stop_web.send(());
        if tokio::time::timeout(Duration::from_secs(2), self.web).await.is_err() {
            tracing::debug!("a page was still being read");
        }
        self.ledger.close().await
    }
}
