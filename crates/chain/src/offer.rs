//! The node's answer to `getblocktemplate` (BIP 22, 23, 145) and what becomes of it: a
//! [`Template`] that leaves room for our own coinbase. Pure: time and bytes are arguments.

use crate::{Network, RpcError, Template, merkle, rpc};
use bitcoin::{BlockHash, CompactTarget, Target};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Instant;
use units::Sats;

/// What to ask `getblocktemplate` for.
pub(crate) fn request(network: Network, long_poll: Option<&str>) -> Value {
    let rules: &[&str] = match network {
        Network::Signet => &["segwit", "signet"],
        _ => &["segwit"],
    };
    match long_poll {
        None => json!([{ "rules": rules }]),
        Some(id) => json!([{ "rules": rules, "longpollid": id }]),
    }
}

/// A node's template and what else came with it.
#[derive(Debug)]
pub(crate) struct Offer {
    pub template: Template,
    pub long_poll: Option<String>,
    /// The node's clock, seconds since 1970; never lower than [`Self::earliest`].
    pub clock: i64,
    /// The earliest header time that the node would accept.
    pub earliest: i64,
}

/// Reads an answer to `getblocktemplate`. Takes milliseconds for a full block.
pub(crate) fn read(
    body: &[u8],
    coinbase_reserve: u64,
    learned: Instant,
) -> Result<Offer, RpcError> {
    let answer: Answer<'_> = rpc::read_result(body)?;
    answer.into_offer(coinbase_reserve, learned)
}

#[derive(Deserialize)]
struct Answer<'a> {
    version: i64,
    previousblockhash: &'a str,
    #[serde(borrow)]
    transactions: Vec<Transaction<'a>>,
    coinbasevalue: u64,
    longpollid: Option<String>,
    mintime: u32,
    curtime: u32,
    bits: &'a str,
    height: u32,
    weightlimit: Option<u64>,
    default_witness_commitment: Option<&'a str>,
}

#[derive(Deserialize)]
struct Transaction<'a> {
    data: &'a str,
    txid: &'a str,
    hash: &'a str,
    fee: u64,
    weight: u64,
}

/// `MAX_BLOCK_WEIGHT`, for a node that does not say.
const WEIGHT_LIMIT: u64 = 4_000_000;

impl Answer<'_> {
    fn into_offer(mut self, coinbase_reserve: u64, learned: Instant) -> Result<Offer, RpcError> {
        let dropped = self.make_room(coinbase_reserve)?;
        let mut transactions =
            Vec::with_capacity(self.transactions.iter().map(|t| t.data.len() / 2).sum());
        for transaction in &self.transactions {
            let start = transactions.len();
            transactions.resize(start + transaction.data.len() / 2, 0);
            const_hex::decode_to_slice(transaction.data, &mut transactions[start..])
                .map_err(|error| odd("data", &error))?;
        }
        let witness_commitment = match self.default_witness_commitment {
            Some(_) if dropped => {
                let ids = self.ids("hash", |transaction| transaction.hash)?;
                Some(merkle::witness_commitment(ids))
            }
            Some(script) => Some(
                const_hex::decode(script)
                    .map_err(|error| odd("default_witness_commitment", &error))?,
            ),
            None => None,
        };
        let bits =
            CompactTarget::from_unprefixed_hex(self.bits).map_err(|error| odd("bits", &error))?;
        let prev_hash: BlockHash =
            self.previousblockhash.parse().map_err(|error| odd("previousblockhash", &error))?;
        let template = Template {
            height: self.height,
            prev_hash,
            // A signed number there, bits here.
            version: self.version as u32,
            bits,
            target: Target::from_compact(bits),
            min_time: self.mintime,
            time: self.curtime.max(self.mintime),
            coinbase_value: Sats(self.coinbasevalue),
            witness_commitment,
            merkle_branch: merkle::branch(self.ids("txid", |transaction| transaction.txid)?),
            transactions,
            transaction_count: self.transactions.len(),
            learned,
        };
        Ok(Offer {
            template,
            long_poll: self.longpollid,
            clock: self.curtime.into(),
            earliest: self.mintime.into(),
        })
    }

    /// Drops transactions from the end until our coinbase fits. Nothing depends on what comes
    /// after it, so what is left is still a valid block.
    fn make_room(&mut self, coinbase_reserve: u64) -> Result<bool, RpcError> {
        let limit = self.weightlimit.unwrap_or(WEIGHT_LIMIT);
        let mut weight: u64 =
            self.transactions.iter().fold(coinbase_reserve, |sum, t| sum.saturating_add(t.weight));
        let mut dropped = false;
        while weight > limit
            && let Some(last) = self.transactions.pop()
        {
            dropped = true;
            weight = weight.saturating_sub(last.weight);
            self.coinbasevalue = self
                .coinbasevalue
                .checked_sub(last.fee)
                .ok_or_else(|| RpcError::Answer("fees above coinbasevalue".into()))?;
        }
        Ok(dropped)
    }

    fn ids(
        &self,
        field: &str,
        of: for<'t> fn(&Transaction<'t>) -> &'t str,
    ) -> Result<Vec<[u8; 32]>, RpcError> {
        self.transactions
            .iter()
            .map(|transaction| {
                let mut id = [0; 32];
                const_hex::decode_to_slice(of(transaction), &mut id)
                    .map_err(|error| odd(field, &error))?;
                // Printed backwards, hashed forwards.
                id.reverse();
                Ok(id)
            })
            .collect()
    }
}

fn odd(field: &str, error: &dyn std::fmt::Display) -> RpcError {
    RpcError::Answer(format!("{field}: {error}"))
}

#[cfg(test)]
mod tests;
