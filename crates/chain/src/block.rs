//! A solved block and what became of it.

use crate::{Template, merkle::WITNESS_RESERVED};
use bitcoin::{BlockHash, VarInt};
use std::sync::Arc;
use units::Sats;

/// A share that solves the block, with all that is needed to send it to a node.
#[derive(Debug, Clone)]
pub struct SolvedBlock {
    /// The template it was built from.
    pub template: Arc<Template>,
    /// The block's hash.
    pub hash: BlockHash,
    /// The solved header.
    pub header: [u8; 80],
    /// The coinbase transaction without witness, as its id is computed.
    pub coinbase: Vec<u8>,
    /// User name of the miner that found it, as given.
    pub worker: String,
    /// Address that the coinbase pays.
    pub address: String,
}

impl SolvedBlock {
    /// The block as the network knows it, the coinbase with its witness if the template commits
    /// to witnesses.
    pub fn serialize(&self) -> Vec<u8> {
        let template = &self.template;
        let mut bytes = Vec::with_capacity(
            self.header.len() + 9 + self.coinbase.len() + 36 + template.transactions.len(),
        );
        bytes.extend_from_slice(&self.header);
        let count = VarInt::from(template.transaction_count + 1);
        bytes.extend_from_slice(&bitcoin::consensus::serialize(&count));
        match self.coinbase.len().checked_sub(4) {
            Some(lock_time) if template.witness_commitment.is_some() && lock_time >= 4 => {
                // BIP 144: version, marker and flag, inputs and outputs, witness, lock time.
                bytes.extend_from_slice(&self.coinbase[..4]);
                bytes.extend_from_slice(&[0, 1]);
                bytes.extend_from_slice(&self.coinbase[4..lock_time]);
                bytes.extend_from_slice(&[1, 32]);
                bytes.extend_from_slice(&WITNESS_RESERVED);
                bytes.extend_from_slice(&self.coinbase[lock_time..]);
            }
            _ => bytes.extend_from_slice(&self.coinbase),
        }
        bytes.extend_from_slice(&template.transactions);
        bytes
    }
}

/// Where a solved block stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockState {
    /// On disk; no node has taken it yet.
    Pending,
    /// A node has taken it; not deep enough to be counted on.
    Candidate,
    /// In the best chain, at least the configured number of blocks deep.
    Confirmed,
    /// Known to the node, but not in the best chain.
    Orphaned,
    /// Every node refused it, with the node's reason.
    Rejected(String),
}

/// News of a solved block. Sent again whenever the state changes, and after a restart.
#[derive(Debug, Clone)]
pub struct BlockReport {
    /// The block's hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// User name of the miner that found it.
    pub worker: String,
    /// Address that the coinbase pays.
    pub address: String,
    /// Subsidy and fees.
    pub value: Sats,
    /// Solved at, seconds since 1970.
    pub found_at: u64,
    /// Where it stands.
    pub state: BlockState,
    /// Depth in the best chain; 1 for the tip, 0 when it is not in the chain.
    pub confirmations: u32,
}
