//! What the chain needs to be told: the network, the nodes, and how to log in to each.

use crate::Network;
use std::{fmt, path::PathBuf, time::Duration};

/// How to reach the chain.
#[derive(Debug, Clone)]
pub struct Config {
    /// The network that all nodes must be on.
    pub network: Network,
    /// The nodes in order of preference; work comes from the first that can give it, solved
    /// blocks go to all.
    pub nodes: Vec<NodeConfig>,
    /// How often a template is renewed while the tip stays.
    pub refresh: Duration,
    /// Weight units kept free for the header, the transaction count and the coinbase.
    pub coinbase_reserve: u64,
    /// Depth at which a block counts as confirmed; the tip has depth 1.
    pub confirmations: u32,
    /// Where solved blocks are kept until the chain has settled them.
    pub blocks_dir: PathBuf,
}

impl Config {
    /// The defaults: a refresh every 30 s, 4000 weight units for the coinbase, 6 confirmations.
    pub fn new(network: Network, nodes: Vec<NodeConfig>, blocks_dir: PathBuf) -> Self {
        Self {
            network,
            nodes,
            refresh: Duration::from_secs(30),
            coinbase_reserve: 4000,
            confirmations: 6,
            blocks_dir,
        }
    }
}

/// One Bitcoin Core node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Its JSON-RPC server: `http://host:port`.
    pub url: String,
    /// How to log in.
    pub auth: Auth,
}

/// Credentials for JSON-RPC.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// The `.cookie` file that Bitcoin Core writes at each start. Read again when it is refused.
    Cookie(PathBuf),
    /// What `rpcauth` or `rpcuser` and `rpcpassword` in bitcoin.conf say.
    UserPass {
        /// The user.
        user: String,
        /// The password; never printed.
        password: String,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(path) => f.debug_tuple("Cookie").field(path).finish(),
            Self::UserPass { user, .. } => {
                f.debug_struct("UserPass").field("user", user).finish_non_exhaustive()
            }
        }
    }
}
