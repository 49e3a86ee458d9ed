//! Miners: their connections, hashrate, shares and workers.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Sockets of miners.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Connections {
    /// Open now.
    pub open: u64,
    /// The most that were open at once since the program was started.
    pub peak: u64,
    /// Open now with at least one authorized worker.
    pub authorized: u64,
    /// Turned away or cut off since the program was started, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// Average hashrate over three windows, terahashes per second, from the difficulty of accepted
/// shares. A window that the server has not yet watched in full is null.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Hashrate {
    /// Over the last minute, TH/s.
    pub m1_ths: Option<f64>,
    /// Over the last 10 minutes, TH/s.
    pub m10_ths: Option<f64>,
    /// Over the last hour, TH/s.
    pub h1_ths: Option<f64>,
}

/// Shares by result since the program was started.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Shares {
    /// Accepted shares.
    pub accepted: u64,
    /// Expected number of hashes behind the accepted shares.
    pub work_hashes: f64,
    /// Rejected shares by reason: `stale`, `duplicate`, `low_difficulty` and so on.
    pub rejected: BTreeMap<String, u64>,
}

/// The luckiest shares, as difficulties; null while there is none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct BestShare {
    /// Difficulty of the best share ever.
    pub ever: Option<f64>,
    /// Difficulty of the best share since the last block found here.
    pub since_block: Option<f64>,
}

/// One worker: all connections that authorized under one user name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Worker {
    /// User name as authorized: `address.worker` or `address`. Unique in the list.
    pub name: String,
    /// Address that its blocks pay.
    pub address: String,
    /// Proven by its accepted shares.
    pub hashrate: Hashrate,
    /// Share difficulty now; the lowest one when several connections differ. Null when offline.
    pub difficulty: Option<f64>,
    /// Open connections; 0 when it is offline.
    pub connections: u64,
    /// Its shares since the program was started.
    pub shares: Shares,
    /// By the record on disk.
    pub best_share: BestShare,
    /// Seconds since its last accepted share.
    pub last_share_s_ago: Option<u64>,
    /// What the miner program calls itself: `bmminer/2.0.0`.
    pub user_agent: Option<String>,
}

impl Hashrate {
    /// The longest window watched in full is the steadiest; used to order workers.
    pub fn steadiest_ths(&self) -> Option<f64> {
        self.h1_ths.or(self.m10_ths).or(self.m1_ths)
    }
}

impl Shares {
    /// Rejected shares of all reasons.
    pub fn rejected_count(&self) -> u64 {
        self.rejected.values().sum()
    }
}
