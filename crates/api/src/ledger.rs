//! The health of the record on disk.

use serde::{Deserialize, Serialize};

/// The health of the record on disk. Counts are since the program was started.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Sums of workers that wait to be written now.
    pub queue_len: u64,
    /// The most that can wait; beyond that the server keeps adding up in memory.
    pub queue_capacity: u64,
    /// Transactions written.
    pub writes: u64,
    /// Batches handed back because the queue was full. Nothing is lost by that.
    pub handed_back: u64,
    /// Session records dropped because the queue was full.
    pub sessions_dropped: u64,
    /// While the record cannot be written: one sentence that says why and what to do.
    pub trouble: Option<String>,
}
