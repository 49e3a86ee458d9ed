//! The four chains that can be mined on, and what consensus says about each that a template needs.

use std::{fmt, str::FromStr};
use units::Sats;

/// A Bitcoin network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// Bitcoin itself.
    Mainnet,
    /// The public test chain of BIP 94.
    Testnet4,
    /// A test chain of BIP 325, public or with a challenge of its own.
    Signet,
    /// A private chain for tests; nearly every hash is a block.
    Regtest,
}

/// The name of a network was not one of the four.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a network; write mainnet, testnet4, signet or regtest")]
pub struct UnknownNetwork(pub String);

impl Network {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mainnet, Self::Testnet4, Self::Signet, Self::Regtest];

    /// The name in hearth's configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// The name in Bitcoin Core's `getblockchaininfo` and `-chain=`.
    pub fn core_chain_name(self) -> &'static str {
        match self {
            Self::Mainnet => "main",
            other => other.as_str(),
        }
    }

    /// The `bitcoin` crate's name for it, for addresses.
    pub fn to_bitcoin(self) -> bitcoin::Network {
        match self {
            Self::Mainnet => bitcoin::Network::Bitcoin,
            Self::Testnet4 => bitcoin::Network::Testnet4,
            Self::Signet => bitcoin::Network::Signet,
            Self::Regtest => bitcoin::Network::Regtest,
        }
    }

    /// New coins of the block at this height (Bitcoin Core: `GetBlockSubsidy`).
    pub fn subsidy(self, height: u32) -> Sats {
        let halving_interval = match self {
            Self::Regtest => 150,
            _ => 210_000,
        };
        Sats(5_000_000_000_u64.checked_shr(height / halving_interval).unwrap_or(0))
    }

    /// Whether the block at `height` has the same target as the one before it, whatever its time.
    pub(crate) fn keeps_target(self, height: u32) -> bool {
        match self {
            Self::Regtest => true,
            Self::Testnet4 => false,
            Self::Mainnet | Self::Signet => !height.is_multiple_of(RETARGET_INTERVAL),
        }
    }

    /// Whether the first block of a retarget period must not be much older than the one before
    /// it: the time-warp rule of BIP 94. Mainnet's own templates obey it too.
    pub(crate) fn guards_time_at(self, height: u32) -> bool {
        self != Self::Regtest && height.is_multiple_of(RETARGET_INTERVAL)
    }

    /// Whether each block must commit to its witnesses, even if it has none: a signet block
    /// without the commitment has nowhere to carry its solution (BIP 325).
    pub(crate) fn needs_commitment(self) -> bool {
        self == Self::Signet
    }
}

/// Blocks between two changes of the target, on all networks that change it.
const RETARGET_INTERVAL: u32 = 2016;

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Network {
    type Err = UnknownNetwork;

    fn from_str(text: &str) -> Result<Self, UnknownNetwork> {
        Self::ALL
            .into_iter()
            .find(|network| network.as_str() == text)
            .ok_or_else(|| UnknownNetwork(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_reads_back_from_its_name_and_others_are_named_in_the_error() {
        for network in Network::ALL {
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        assert_eq!(
            "main".parse::<Network>().unwrap_err().to_string(),
            "\"main\" is not a network; write mainnet, testnet4, signet or regtest"
        );
    }

    #[test]
    fn the_subsidy_halves_until_nothing_is_left() {
        for (network, height, sats) in [
            (Network::Mainnet, 0, 5_000_000_000),
            (Network::Mainnet, 209_999, 5_000_000_000),
            (Network::Mainnet, 210_000, 2_500_000_000),
            (Network::Mainnet, 840_000, 312_500_000),
            (Network::Mainnet, 6_930_000, 0),
            (Network::Mainnet, u32::MAX, 0),
            (Network::Signet, 210_000, 2_500_000_000),
            (Network::Testnet4, 420_000, 1_250_000_000),
            (Network::Regtest, 149, 5_000_000_000),
            (Network::Regtest, 150, 2_500_000_000),
            (Network::Regtest, 150 * 64, 0),
        ] {
            assert_eq!(network.subsidy(height), Sats(sats), "{network} {height}");
        }
    }

    #[test]
    fn the_target_is_only_known_ahead_where_no_rule_can_change_it() {
        for (network, height, keeps) in [
            (Network::Mainnet, 2015, true),
            (Network::Mainnet, 2016, false),
            (Network::Mainnet, 2017, true),
            (Network::Signet, 4032, false),
            (Network::Testnet4, 5, false),
            (Network::Regtest, 2016, true),
        ] {
            assert_eq!(network.keeps_target(height), keeps, "{network} {height}");
        }
    }
}
