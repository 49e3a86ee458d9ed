//! A site on a private signet, gone when it is dropped: for the demonstration and the benchmarks.

use crate::{
    config::{self, Config, Log},
    site::{Site, SiteError},
};
use bitcoin::{
    Address, KnownHrp, WitnessProgram, WitnessVersion,
    hashes::{Hash, sha256},
};
use chain::{Auth, Network, NodeConfig};
use std::{io, net::SocketAddr, path::Path};
use stratum::Port;
use tempfile::TempDir;
use twin::node::{NodeError, NodeOptions, PrivateNetwork, PrivateNode};

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error("no temporary folder could be made: {0}")]
    Folder(#[from] io::Error),
}

pub struct PrivateSite {
    pub site: Site,
    pub node: PrivateNode,
    _folder: TempDir,
}

impl PrivateSite {
    /// `adjust` may change the configuration before the site starts.
    pub async fn start(adjust: impl FnOnce(&mut Config)) -> Result<Self, PrivateError> {
        let folder = tempfile::Builder::new().prefix("hearth-").tempdir()?;
        let node = tokio::task::spawn_blocking(|| {
            PrivateNode::start(NodeOptions::new(PrivateNetwork::Signet))
        });
        let node = node.await.map_err(io::Error::other)??;
        let mut config = config_for(&node, folder.path());
        adjust(&mut config);
        let site = Site::start(&config).await?;
        Ok(Self { site, node, _folder: folder })
    }

    /// The node outlives the site, so that it can be asked when all is over.
    pub fn into_parts(self) -> (PrivateNode, Site) {
        (self.node, self.site)
    }
}

/// A configuration for miners of a few megahashes on free ports of this machine.
fn config_for(node: &PrivateNode, folder: &Path) -> Config {
    let auth = Auth::Cookie(node.cookie_path().to_path_buf());
    let node = NodeConfig { url: node.rpc_url().to_string(), auth };
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let chain = chain::Config::new(Network::Signet, vec![node], folder.join("blocks"));
    let port = Port {
        listen: free,
        start_difficulty: 1.0 / 8192.0,
        min_difficulty: 1.0 / 65_536.0,
        ..Port::default()
    };
    let stratum = stratum::Config {
        ports: vec![port],
        network: Network::Signet,
        // A processor's shares are cheap to check, and a short demonstration wants to show many.
        shares_per_minute: 600.0,
        ..stratum::Config::default()
    };
    // What looks at machines is no part of what is measured or shown here.
    let fleet = config::Fleet { enabled: false, ..config::Fleet::default() };
    let data_dir = folder.to_path_buf();
    let energy = config::Energy::default();
    Config { data_dir, chain, stratum, web: free, fleet, energy, log: Log::default() }
}

/// A signet address that belongs to a name: a witness program nobody has a key for.
pub fn made_up_address(name: &str) -> String {
    let program = sha256::Hash::hash(format!("hearth demo {name}").as_bytes()).to_byte_array();
    match WitnessProgram::new(WitnessVersion::V0, &program[..20]) {
        Ok(program) => Address::from_witness_program(program, KnownHrp::Testnets).to_string(),
        // Twenty bytes are a valid program of version 0 (BIP 141).
        Err(_) => unreachable!("a witness program of 20 bytes is valid"),
    }
}
