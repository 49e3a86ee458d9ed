//! Where the hash price comes from: a flag, the own node, or what it is computed from.

use super::node;
use clap::Args;
use lab::quote::{Given, Market, Network};
use std::{error::Error, path::PathBuf, time::Duration};
use units::{Difficulty, HashPrice, Hashrate, Sats, Usd};

/// What hashing earns.
#[derive(Args)]
pub struct MarketArgs {
    /// Hash price, dollars per PH/s per day; instead of the five below.
    #[arg(long, value_name = "USD", global = true, help_heading = "Hash price")]
    #[arg(allow_negative_numbers = true)]
    hashprice: Option<HashPrice>,
    /// Difficulty, such as 148.2T.
    #[arg(long, global = true, help_heading = "Hash price", value_parser = difficulty)]
    difficulty: Option<Difficulty>,
    /// Hashrate of the network, such as "1 ZH/s", for the difficulty at ten minutes a block.
    #[arg(long, value_name = "RATE", global = true, help_heading = "Hash price")]
    network_hashrate: Option<Hashrate>,
    /// Dollars per bitcoin.
    #[arg(long, value_name = "USD", global = true, help_heading = "Hash price")]
    #[arg(allow_negative_numbers = true)]
    btc_price: Option<Usd>,
    /// Mean fees of a block, BTC.
    #[arg(long, value_name = "BTC", global = true, help_heading = "Hash price", value_parser = btc)]
    #[arg(allow_negative_numbers = true)]
    fees: Option<Sats>,
    /// New coins of a block, BTC.
    #[arg(long, value_name = "BTC", global = true, help_heading = "Hash price", value_parser = btc)]
    #[arg(allow_negative_numbers = true)]
    subsidy: Option<Sats>,
    /// Take difficulty, subsidy and the fees of the last 144 blocks from the node of this
    /// configuration.
    #[arg(short, long, value_name = "FILE", global = true, help_heading = "Hash price")]
    config: Option<PathBuf>,
}

impl MarketArgs {
    /// What hashing earns.
    pub async fn market(&self) -> Result<Market, Box<dyn Error + Send + Sync>> {
        match self.hashprice {
            None => Ok(Market::Computed(self.network().await?)),
            Some(hash_price) if !self.names_network() => Ok(Market::flag(hash_price)),
            Some(_) => Err("--hashprice needs nothing else: leave out --difficulty, --btc-price, \
                            --network-hashrate, --fees, --subsidy and -c, or --hashprice"
                .into()),
        }
    }

    /// The network's own figures, for what a hash price cannot answer.
    pub async fn network(&self) -> Result<Network, Box<dyn Error + Send + Sync>> {
        if self.hashprice.is_some() {
            return Err("this follows from the difficulty, not from the hash price: give \
                        --difficulty and --btc-price, or -c, instead of --hashprice"
                .into());
        }
        let mut network = match &self.config {
            Some(path) => node::network(path, self.fees.is_some()).await?,
            None => Network::default(),
        };
        let difficulty = match (self.difficulty, self.network_hashrate) {
            (Some(_), Some(_)) => {
                return Err(
                    "--network-hashrate stands for a difficulty: leave out one of the two".into()
                );
            }
            (None, Some(rate)) => Some(
                Difficulty::for_interval(rate, Duration::from_secs(600))
                    .map_err(|_| "--network-hashrate must be above zero")?,
            ),
            (difficulty, None) => difficulty,
        };
        network.difficulty.set(difficulty);
        network.bitcoin_price.set(self.btc_price);
        network.fees.set(self.fees);
        network.subsidy.set(self.subsidy);
        Ok(network)
    }

    fn names_network(&self) -> bool {
        self.difficulty.is_some()
            || self.network_hashrate.is_some()
            || self.btc_price.is_some()
            || self.fees.is_some()
            || self.subsidy.is_some()
            || self.config.is_some()
    }
}

fn difficulty(text: &str) -> Result<Difficulty, String> {
    // Written with the prefixes of a hashrate.
    let number = text.parse::<Hashrate>().ok().map(Hashrate::hashes_per_second);
    number.and_then(|number| Difficulty::new(number).ok()).ok_or_else(|| {
        format!("\"{text}\" is not a difficulty; write a number above zero, like \"148.2T\"")
    })
}

fn btc(text: &str) -> Result<Sats, String> {
    let sats = text.trim().parse::<f64>().ok().map(|btc| (btc * 1e8).round());
    sats.filter(|sats| (0.0..=21e14).contains(sats))
        .map(|sats| Sats(sats as u64))
        .ok_or_else(|| format!("\"{text}\" is not an amount of bitcoin; write it like \"0.02\""))
}

/// A value that a machine of the catalogue has.
pub fn of_catalogue<T>(value: T, model: &str, date: &str) -> Given<T> {
    let source = match date {
        "" => format!("catalogue: {model}"),
        date => format!("catalogue: {model}, price of {date}"),
    };
    Given { value, source: lab::report::Source::File(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difficulties_and_amounts_are_read_as_people_write_them() {
        for (text, want) in [("148.2T", 148.2e12), ("1e14", 1e14), ("0.00113", 0.00113)] {
            assert!((difficulty(text).unwrap().get() / want - 1.0).abs() < 1e-12, "{text}");
        }
        for bad in ["", "0", "-1", "NaN", "hard", "inf"] {
            assert!(difficulty(bad).is_err(), "{bad}");
        }
        assert_eq!(btc("0.02"), Ok(Sats(2_000_000)));
        for bad in ["-0.1", "NaN", "21000001", "much", ""] {
            assert!(btc(bad).is_err(), "{bad}");
        }
    }
}
