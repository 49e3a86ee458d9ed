//! Why a node cannot be mined with: each case one sentence with its remedy.

use crate::{Network, RpcError};
use std::path::PathBuf;

/// Why a node gives no work now. Its text is one sentence that says what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Trouble {
    /// Nothing answers there, or not in time.
    #[error("Bitcoin Core at {url} cannot be reached ({why}): start it, or correct the node's url")]
    Unreachable {
        /// The node.
        url: String,
        /// What the system said.
        why: String,
    },
    /// The node answers 401.
    #[error(
        "Bitcoin Core at {url} refuses the credentials: correct the user and password, or use its cookie file"
    )]
    WrongCredentials {
        /// The node.
        url: String,
    },
    /// The cookie file is not there or not readable for us.
    #[error(
        "the cookie file {} of Bitcoin Core at {url} cannot be read ({why}): correct its path, or let this user read it",
        path.display()
    )]
    CookieUnreadable {
        /// The node.
        url: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The node answers 403: our address, or one method, is not allowed.
    #[error(
        "Bitcoin Core at {url} does not allow us to call {method}: see rpcallowip and rpcwhitelist in its bitcoin.conf"
    )]
    Forbidden {
        /// The node.
        url: String,
        /// The method that was refused.
        method: String,
    },
    /// The node has just been started.
    #[error("Bitcoin Core at {url} is still starting ({doing}): wait, work resumes by itself")]
    WarmingUp {
        /// The node.
        url: String,
        /// What it says it is doing.
        doing: String,
    },
    /// The node does not have all blocks yet.
    #[error(
        "Bitcoin Core at {url} is still syncing (block {blocks} of {headers}, {:.1} %): wait, work resumes by itself",
        progress * 100.0
    )]
    Syncing {
        /// The node.
        url: String,
        /// Blocks it has.
        blocks: u32,
        /// Headers it knows.
        headers: u32,
        /// Its own estimate of how much it has verified, from 0 to 1.
        progress: f64,
    },
    /// The node is alone; Bitcoin Core gives no work then, except on test chains.
    #[error(
        "Bitcoin Core at {url} is connected to no other node: check its connection to the internet"
    )]
    NoPeers {
        /// The node.
        url: String,
    },
    /// The node is on another chain than the one configured.
    #[error(
        "Bitcoin Core at {url} is on the network \"{found}\", not on {wanted}: correct `network`, or the node's url"
    )]
    WrongNetwork {
        /// The node.
        url: String,
        /// Bitcoin Core's name for the chain it is on.
        found: String,
        /// The one configured.
        wanted: Network,
    },
    /// Its clock and ours differ by more than ten minutes.
    #[error(
        "the clock of Bitcoin Core at {url} is {} minutes {} of this machine's: set both clocks right (NTP)",
        seconds.abs() / 60,
        if *seconds > 0 { "ahead" } else { "behind that" }
    )]
    ClockOff {
        /// The node.
        url: String,
        /// Its clock less ours.
        seconds: i64,
    },
    /// Something else.
    #[error("Bitcoin Core at {url} gives no work: {what}; its debug.log may say more")]
    Other {
        /// The node.
        url: String,
        /// What was wrong.
        what: String,
    },
}

impl Trouble {
    /// What a failed call means for mining.
    pub(crate) fn of_call(url: &str, method: &str, error: RpcError) -> Self {
        let url = url.to_owned();
        match error {
            RpcError::Unreachable { why, .. } => Self::Unreachable { url, why },
            RpcError::Timeout { seconds } => {
                Self::Unreachable { url, why: format!("no answer to {method} in {seconds} s") }
            }
            RpcError::WrongCredentials => Self::WrongCredentials { url },
            RpcError::CookieUnreadable { path, why } => Self::CookieUnreadable { url, path, why },
            RpcError::Forbidden => Self::Forbidden { url, method: method.into() },
            RpcError::Node { code: RpcError::IN_WARMUP, message } => {
                Self::WarmingUp { url, doing: message }
            }
            RpcError::Node { code: RpcError::NOT_CONNECTED, message }
                if message.contains("not connected") =>
            {
                Self::NoPeers { url }
            }
            other => Self::Other { url, what: format!("{method}: {other}") },
        }
    }

    /// Whether the other one is the same trouble of the same node, maybe with other figures.
    pub(crate) fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.url() == other.url()
    }

    /// Short name, as the API carries it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::WrongCredentials { .. } => "wrong_credentials",
            Self::CookieUnreadable { .. } => "cookie_unreadable",
            Self::Forbidden { .. } => "forbidden",
            Self::WarmingUp { .. } => "warming_up",
            Self::Syncing { .. } => "syncing",
            Self::NoPeers { .. } => "no_peers",
            Self::WrongNetwork { .. } => "wrong_network",
            Self::ClockOff { .. } => "clock_off",
            Self::Other { .. } => "other",
        }
    }

    /// The node that has it.
    pub fn url(&self) -> &str {
        match self {
            Self::Unreachable { url, .. }
            | Self::WrongCredentials { url }
            | Self::CookieUnreadable { url, .. }
            | Self::Forbidden { url, .. }
            | Self::WarmingUp { url, .. }
            | Self::Syncing { url, .. }
            | Self::NoPeers { url }
            | Self::WrongNetwork { url, .. }
            | Self::ClockOff { url, .. }
            | Self::Other { url, .. } => url,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_one_sentence_that_names_the_node_and_a_remedy() {
        let url = String::from("http://127.0.0.1:8332");
        for (trouble, text) in [
            (
                Trouble::Unreachable { url: url.clone(), why: "connection refused".into() },
                "Bitcoin Core at http://127.0.0.1:8332 cannot be reached (connection refused): start it, or correct the node's url",
            ),
            (
                Trouble::Syncing {
                    url: url.clone(),
                    blocks: 10,
                    headers: 900_000,
                    progress: 0.0125,
                },
                "Bitcoin Core at http://127.0.0.1:8332 is still syncing (block 10 of 900000, 1.2 %): wait, work resumes by itself",
            ),
            (
                Trouble::ClockOff { url: url.clone(), seconds: -7260 },
                "the clock of Bitcoin Core at http://127.0.0.1:8332 is 121 minutes behind that of this machine's: set both clocks right (NTP)",
            ),
            (
                Trouble::WrongNetwork { url, found: "main".into(), wanted: Network::Signet },
                "Bitcoin Core at http://127.0.0.1:8332 is on the network \"main\", not on signet: correct `network`, or the node's url",
            ),
        ] {
            assert_eq!(trouble.to_string(), text);
        }
    }
}
