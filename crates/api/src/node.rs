//! Bitcoin nodes and the work that they give.

use serde::{Deserialize, Serialize};

/// One configured Bitcoin node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Node {
    /// `http://host:port`, without credentials.
    pub url: String,
    /// Whether miners work on this node's template.
    pub active: bool,
    /// `up`, or the code of the trouble: `unreachable`, `syncing`, `wrong_network` and so on.
    pub state: String,
    /// In trouble: one sentence with the remedy.
    pub message: Option<String>,
    /// Height of its best block.
    pub height: Option<u32>,
    /// What the node calls itself: `/Satoshi:31.0.0/`.
    pub version: Option<String>,
    /// Seconds that the node's clock is ahead of ours; negative when it is behind.
    pub clock_offset_s: Option<f64>,
}

/// What miners work on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Height of the block to be found.
    pub height: u32,
    /// Hash of the block it builds on, as block explorers print it.
    pub prev_hash: String,
    /// Whether it carries transactions.
    pub kind: WorkKind,
    /// How many transactions it carries besides the coinbase.
    pub transactions: u64,
    /// Subsidy and fees, satoshis.
    pub coinbase_value_sats: u64,
    /// Seconds since the template arrived from the node.
    pub age_s: u64,
    /// Difficulty of the network's target.
    pub network_difficulty: f64,
}

/// Whether work carries transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// Sent the moment a new tip is known.
    Empty,
    /// The node's whole template.
    Full,
}

/// Spread of a duration over many occasions. The unit stands in the name of the field that holds
/// it. All but `count` and `sum` are null until it has happened once.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// The latest.
    pub last: Option<f64>,
    /// The median of recent ones.
    pub p50: Option<f64>,
    /// 99 % of recent ones took at most this.
    pub p99: Option<f64>,
    /// Of all since the program was started.
    pub sum: f64,
    /// How often it has happened since the program was started.
    pub count: u64,
}
