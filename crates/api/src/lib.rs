//! The state tree: plain types that the server fills and the page, the metrics and the command
//! line read.
//!
//! This crate owns the names, units and meaning of the fields. It never computes or fetches one.
//! A field carries its unit as a suffix (`_ths`, `_w`, `_c`, `_s`, `_ms`, `_sats`); `None`, which is `null` in
//! JSON, means unknown and never zero. Moments in time (`…_at`) are seconds since 1970, UTC.
//!
//! ```text
//! Status
//! ├─ version, network, started_at, uptime_s
//! ├─ nodes[]          the Bitcoin nodes, in order of preference
//! ├─ work | waiting   what miners work on, or the sentence why they wait
//! ├─ tip_to_job_ms    how fast a new block reaches the miners
//! ├─ connections      sockets of miners
//! ├─ hashrate         all miners together
//! ├─ shares           accepted, and rejected by reason
//! ├─ best_share
//! ├─ workers[]
//! ├─ blocks[], blocks_found
//! ├─ ledger           the health of the record
//! ├─ fleet            machines, circuits, commands; null while there is no fleet
//! └─ energy           power, signals, plan, heat, evidence; null while nothing is dispatched
//! ```

mod block;
pub mod energy;
pub mod fleet;
mod ledger;
mod miner;
mod node;

pub use block::{Block, BlockState};
pub use energy::Energy;
pub use fleet::Fleet;
pub use ledger::Ledger;
pub use miner::{BestShare, Connections, Hashrate, Shares, Worker};
/// How quantities are printed.
pub use units;

pub use node::{Latency, Node, Work, WorkKind};

use serde::{Deserialize, Serialize};

/// All that hearth shows: the root of the tree, served at `/api/v1/status`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program: `0.1.0`.
    pub version: String,
    /// `mainnet`, `testnet4`, `signet` or `regtest`.
    pub network: String,
    /// When the program was started, seconds since 1970.
    pub started_at: u64,
    /// Seconds since then.
    pub uptime_s: u64,
    /// The configured nodes in order of preference.
    pub nodes: Vec<Node>,
    /// What miners work on; null while they wait.
    pub work: Option<Work>,
    /// While miners wait: one sentence that says why and what to do. Null while there is work.
    pub waiting: Option<String>,
    /// Milliseconds from the news of a new block to the last miner's job sent.
    pub tip_to_job_ms: Latency,
    /// Sockets of miners.
    pub connections: Connections,
    /// Proven by accepted shares of all miners.
    pub hashrate: Hashrate,
    /// Of all miners since the program was started.
    pub shares: Shares,
    /// Of all miners, by the record on disk.
    pub best_share: BestShare,
    /// Workers of the present and the recent past.
    pub workers: Vec<Worker>,
    /// The last blocks found here, latest first.
    pub blocks: Vec<Block>,
    /// How many blocks were ever found here, in any state, by the record on disk.
    pub blocks_found: Option<u64>,
    /// The health of the record on disk.
    pub ledger: Ledger,
    /// The machines; null while there is no fleet.
    #[serde(default)]
    pub fleet: Option<Fleet>,
    /// Power and what decides on it; null while nothing is dispatched.
    #[serde(default)]
    pub energy: Option<Energy>,
}

#[cfg(test)]
mod tests;
