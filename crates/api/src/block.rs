//! Blocks found here.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One block found by a miner of this server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// As block explorers print it.
    pub hash: String,
    /// Its height.
    pub height: u32,
    /// User name of the miner that found it.
    pub worker: String,
    /// Address that it pays.
    pub address: String,
    /// Subsidy and fees, satoshis.
    pub value_sats: u64,
    /// When it was found, seconds since 1970.
    pub found_at: u64,
    /// Where it stands.
    pub state: BlockState,
    /// Depth in the best chain: 1 for the tip, 0 when it is not in the chain.
    pub confirmations: u32,
    /// Why the nodes refused it; only of a rejected block.
    pub reject_reason: Option<String>,
}

/// Where a block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockState {
    /// Safe on our disk; no node has taken it yet.
    Pending,
    /// A node has taken it; not yet deep enough to count on.
    Candidate,
    /// Deep in the best chain.
    Confirmed,
    /// Another block won its height.
    Orphaned,
    /// Every node refused it.
    Rejected,
}

impl BlockState {
    /// Every state, in the order of a block's life.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Candidate, Self::Confirmed, Self::Orphaned, Self::Rejected];

    /// The word that JSON and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Candidate => "candidate",
            Self::Confirmed => "confirmed",
            Self::Orphaned => "orphaned",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for BlockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
