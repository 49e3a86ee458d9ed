//! What a node offers to mine on, made ready once for all miners.

use bitcoin::{BlockHash, CompactTarget, Target};
use std::time::Instant;
use units::Sats;

/// One block template. Shared by all sessions and never changed.
#[derive(Debug, Clone)]
pub struct Template {
    /// Height of the block to be found.
    pub height: u32,
    /// The block it builds on.
    pub prev_hash: BlockHash,
    /// Version bits before any rolling.
    pub version: u32,
    /// The network target, as the header carries it.
    pub bits: CompactTarget,
    /// The network target: a block's hash is at most this.
    pub target: Target,
    /// The first header time that consensus allows: median time past + 1, seconds since 1970.
    pub min_time: u32,
    /// The header time to start with, seconds since 1970.
    pub time: u32,
    /// Subsidy and fees.
    pub coinbase_value: Sats,
    /// scriptPubKey of the witness commitment output; `None` for an empty block, which needs none.
    pub witness_commitment: Option<Vec<u8>>,
    /// The coinbase's merkle siblings from the bottom up, in the byte order that is hashed.
    pub merkle_branch: Vec<[u8; 32]>,
    /// All transactions but the coinbase, serialized one after the other as a block carries them.
    pub transactions: Vec<u8>,
    /// How many they are.
    pub transaction_count: usize,
    /// When the news that led to this template arrived from the node.
    pub learned: Instant,
}

impl Template {
    /// A template without transactions, sent the moment a new tip is known.
    pub fn is_empty(&self) -> bool {
        self.transaction_count == 0
    }
}
