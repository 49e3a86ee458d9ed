//! What a server can be told. Plain values, checked by whoever reads them from a file.

use std::{net::SocketAddr, time::Duration};
use units::{Difficulty, Hashrate};

/// How a server behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where miners connect; at least one.
    pub ports: Vec<Port>,
    /// Network whose addresses are paid.
    pub network: chain::Network,
    /// Paid when a user name holds no address. Without it such a miner is refused.
    pub fallback_address: Option<String>,
    /// Text in every coinbase, printable ASCII, at most [`Config::MAX_TAG`] bytes.
    pub tag: String,
    /// Bytes of extranonce2 that a miner may roll: 4 to 8. NiceHash wants at least 4, some hashpower
    /// buyers 7; no known firmware handles more than 8.
    pub extranonce2_size: usize,
    /// Version bits that miners may roll (BIP 310).
    pub version_mask: u32,
    /// Shares a machine should send a minute.
    pub shares_per_minute: f64,
    /// Threads that serve connections; 0 for one per core.
    pub threads: usize,
    /// What one peer may take.
    pub limits: Limits,
}

impl Config {
    /// Longest tag that leaves room for height, instance and extranonce in the coinbase's 100 bytes.
    pub const MAX_TAG: usize = 40;
    /// The bits BIP 320 sets aside for miners.
    pub const BIP320_MASK: u32 = 0x1fff_e000;
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ports: vec![Port::default()],
            network: chain::Network::Mainnet,
            fallback_address: None,
            tag: "/hearth/".into(),
            extranonce2_size: 8,
            version_mask: Self::BIP320_MASK,
            shares_per_minute: 20.0,
            threads: 0,
            limits: Limits::default(),
        }
    }
}

/// One listening port: large and small machines may have one each.
#[derive(Debug, Clone, Copy)]
pub struct Port {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Difficulty of a session's first job, unless the miner asks for another.
    pub start_difficulty: f64,
    /// Never easier than this.
    pub min_difficulty: f64,
    /// Never harder than this.
    pub max_difficulty: f64,
    /// Difficulties other than powers of two: some firmware rounds them and loses work.
    pub fractional: bool,
    /// Difficulty follows the machine's hashrate; otherwise it stays as it started.
    pub vardiff: bool,
}

impl Default for Port {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 3333)),
            start_difficulty: 1024.0,
            // A microcontroller of 30 kH/s still sends a share every half minute.
            min_difficulty: 1.0 / 4096.0,
            max_difficulty: (1u64 << 40) as f64,
            fractional: false,
            vardiff: true,
        }
    }
}

impl Port {
    /// The difficulty for a machine of this hashrate on this port.
    pub(crate) fn difficulty_for(&self, rate: Hashrate, shares_per_minute: f64) -> Difficulty {
        let interval = Duration::from_secs_f64(60.0 / shares_per_minute);
        self.fit(Difficulty::for_interval(rate, interval).unwrap_or(Difficulty::MIN))
    }

    /// This difficulty, moved into the port's range and onto a power of two where the port wants it.
    pub(crate) fn fit(&self, wanted: Difficulty) -> Difficulty {
        let rounded = if self.fractional { wanted } else { wanted.nearest_power_of_two() };
        let bound = |value| Difficulty::new(value).unwrap_or(Difficulty::ONE);
        rounded.clamp(bound(self.min_difficulty), bound(self.max_difficulty))
    }
}

/// What one peer may take before it is turned away.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address. A farm behind one router shares an address.
    pub connections_per_address: usize,
    /// Time to subscribe and authorize.
    pub handshake: Duration,
    /// Silence after which a miner is taken for gone.
    pub idle: Duration,
    /// Longest line a miner may send, bytes.
    pub line: usize,
    /// Answers that may wait for a slow reader, bytes. Requests are not read meanwhile.
    pub send_buffer: usize,
    /// Rejected shares in a row that end a connection.
    pub invalid_shares: u32,
    /// Ended connections within an hour for invalid shares or garbage after which their address is
    /// turned away for `ban`; 0 for never, so that good miners behind the same address stay.
    pub ban_after: u32,
    /// How long an address is turned away.
    pub ban: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            connections_per_address: 4096,
            handshake: Duration::from_secs(30),
            idle: Duration::from_secs(3600),
            line: 4096,
            send_buffer: 64 * 1024,
            invalid_shares: 1000,
            ban_after: 0,
            ban: Duration::from_secs(600),
        }
    }
}
