//! Bitcoin Core: templates in, blocks out, tip changes, failover between nodes.
//!
//! This crate owns the link to the node. It never knows a miner, a share or a worker's statistics.
//!
//! ```text
//!  node 1 ─┐ tips, templates           ┌──▶ Listener::work / wait
//!  node 2 ─┼──────────────▶ desk ──────┘    (one thread, one order)
//!  node 3 ─┘
//!     ▲  ▲
//!     │  └── getblockheader ── track ──────▶ Listener::block
//!     └───── submitblock ─────── ▲
//!                                │ durable first
//!                 Chain::keep ─▶ store
//! ```

mod block;
mod chain;
mod check;
mod config;
mod desk;
mod early;
mod merkle;
mod network;
mod node;
mod offer;
mod prompt;
pub mod rpc;
mod store;
mod template;
mod track;
mod trouble;

pub use block::{BlockReport, BlockState, SolvedBlock};
pub use chain::{Chain, Listener, StartError};
pub use check::{NodeFacts, check};
pub use config::{Auth, Config, NodeConfig};
pub use desk::{NodeState, NodeStatus};
pub use merkle::branch as merkle_branch;
pub use network::{Network, UnknownNetwork};
pub use prompt::run_promptly;
pub use rpc::{Rpc, RpcError};
pub use template::Template;
pub use trouble::Trouble;

/// For fuzzing: the template that a node's answer to `getblocktemplate` holds.
#[doc(hidden)]
pub fn read_template(body: &[u8]) -> Result<Template, RpcError> {
    offer::read(body, 1000, std::time::Instant::now()).map(|offer| offer.template)
}
