//! The own node: its templates, polled, and the blocks that end them.

use super::pool::News;
use bitcoin::{Block, BlockHash, Transaction, Txid, consensus, hashes::Hash, hex::FromHex};
use chain::{Network, NodeConfig, Rpc, RpcError, merkle_branch};
use lab::{
    LabError,
    spread::{FoundBlock, Job, OwnTransaction, attribute},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    error::Error,
    str::FromStr,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, interval},
};
use units::Sats;

/// Bitcoin Core makes no newer template within five seconds unless the tip changes.
const POLL: Duration = Duration::from_secs(2);
/// Most blocks compared after one change of tip.
const MAX_BLOCKS: usize = 12;

/// Something new of the own node.
#[derive(Debug)]
pub enum NodeNews {
    /// A template, or why there is none.
    Template(News),
    /// A block, and the template that was there before it.
    Block(FoundBlock, Vec<OwnTransaction>),
}

/// The first of these nodes that can be mined with.
pub async fn connect(
    nodes: &[NodeConfig],
    network: Network,
) -> Result<Rpc, Box<dyn Error + Send + Sync>> {
    let mut first = None;
    for node in nodes {
        match chain::check(node, network).await {
            Ok(_) => return Ok(Rpc::new(&node.url, node.auth.clone())?),
            Err(trouble) => first = first.or(Some(trouble)),
        }
    }
    Err(match first {
        Some(trouble) => trouble.into(),
        None => LabError::new("the configuration names no node: add one").into(),
    })
}

/// Calls a method and reads its result into a type.
pub async fn ask<T: DeserializeOwned>(
    rpc: &Rpc,
    method: &str,
    params: Value,
) -> Result<T, RpcError> {
    let value = rpc.call(method, params).await?;
    serde_json::from_value(value).map_err(|error| RpcError::Answer(error.to_string()))
}

/// Polls until nobody wants the news any more.
pub async fn listen(rpc: Rpc, network: Network, source: usize, news: mpsc::Sender<NodeNews>) {
    let mut ticks = interval(POLL);
    let mut seen = Seen::default();
    loop {
        ticks.tick().await;
        let all = match look(&rpc, network, source, &mut seen).await {
            Ok(all) => all,
            Err(error) => {
                let what = Err(format!("the own node: {error}"));
                vec![NodeNews::Template(News { source, at: Instant::now(), what })]
            }
        };
        for one in all {
            if news.send(one).await.is_err() {
                return;
            }
        }
    }
}

/// What is remembered from one look to the next.
#[derive(Default)]
struct Seen {
    tip: Option<BlockHash>,
    branch: Vec<[u8; 32]>,
    template: Vec<(Offered, [u8; 32])>,
    first: HashMap<[u8; 32], Instant>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(deserialize_with = "from_text")]
    previousblockhash: BlockHash,
    height: u32,
    transactions: Vec<Offered>,
}

#[derive(Deserialize)]
struct Offered {
    #[serde(deserialize_with = "from_text")]
    txid: Txid,
    fee: u64,
    weight: u64,
    depends: Vec<u64>,
}

async fn look(
    rpc: &Rpc,
    network: Network,
    source: usize,
    seen: &mut Seen,
) -> Result<Vec<NodeNews>, RpcError> {
    let rules: &[&str] =
        if network == Network::Signet { &["segwit", "signet"] } else { &["segwit"] };
    let answer: Answer = ask(rpc, "getblocktemplate", json!([{ "rules": rules }])).await?;
    let now = Instant::now();
    let mut news = Vec::new();
    if let Some(old) = seen.tip
        && old != answer.previousblockhash
    {
        let mut own = seen.own(now);
        match blocks(rpc, old, answer.previousblockhash).await {
            Ok(blocks) => {
                for block in blocks {
                    // What an earlier one took, a later one cannot.
                    let left = own.clone();
                    own.retain(|t| !block.transactions.contains(&t.id));
                    news.push(NodeNews::Block(block, left));
                }
            }
            // These blocks are not compared; the next ones will be.
            Err(error) => {
                let what = Err(format!("the own node does not show a new block: {error}"));
                news.push(NodeNews::Template(News { source, at: now, what }));
            }
        }
    }
    let ids: Vec<[u8; 32]> = answer.transactions.iter().map(|t| t.txid.to_byte_array()).collect();
    let old = std::mem::take(&mut seen.first);
    seen.first = ids.iter().map(|id| (*id, old.get(id).copied().unwrap_or(now))).collect();
    let branch = merkle_branch(ids.clone());
    let changed = seen.tip != Some(answer.previousblockhash) || seen.branch != branch;
    seen.tip = Some(answer.previousblockhash);
    seen.branch.clone_from(&branch);
    seen.template = answer.transactions.into_iter().zip(ids).collect();
    if changed {
        let job = Job {
            prev_hash: answer.previousblockhash.to_byte_array(),
            height: Some(answer.height),
            branch,
            coinbase: None,
        };
        news.push(NodeNews::Template(News { source, at: now, what: Ok(job) }));
    }
    Ok(news)
}

impl Seen {
    fn own(&self, now: Instant) -> Vec<OwnTransaction> {
        let transactions = self.template.iter().map(|(offered, id)| OwnTransaction {
            id: *id,
            fee: Sats(offered.fee),
            weight: offered.weight,
            age: self.first.get(id).map_or(Duration::ZERO, |first| now.duration_since(*first)),
            has_parents: !offered.depends.is_empty(),
        });
        transactions.collect()
    }
}

/// The blocks that are new in the best chain, oldest first: after a reorganisation those behind the
/// fork.
async fn blocks(rpc: &Rpc, old: BlockHash, new: BlockHash) -> Result<Vec<FoundBlock>, RpcError> {
    let fork = fork(rpc, old).await?;
    let mut found = Vec::new();
    let mut at = new;
    while at != fork && found.len() < MAX_BLOCKS {
        let hex: String = ask(rpc, "getblock", json!([at.to_string(), 0])).await?;
        let bytes = Vec::from_hex(&hex).map_err(|error| RpcError::Answer(error.to_string()))?;
        let block: Block = consensus::deserialize(&bytes)
            .map_err(|error| RpcError::Answer(format!("a block that is none: {error}")))?;
        at = block.header.prev_blockhash;
        let (coinbase, rest) = match block.txdata.split_first() {
            Some(parts) => parts,
            None => break,
        };
        let transactions: HashSet<[u8; 32]> =
            rest.iter().map(|t| t.compute_txid().to_byte_array()).collect();
        found.push(FoundBlock {
            pool: script_sig(coinbase).map_or("unknown", |s| attribute(s).name()).into(),
            transactions,
            weight: block.weight().to_wu(),
        });
    }
    found.reverse();
    Ok(found)
}

/// The last block up to `old` that is still in the best chain.
async fn fork(rpc: &Rpc, old: BlockHash) -> Result<BlockHash, RpcError> {
    #[derive(Deserialize)]
    struct Header {
        confirmations: i64,
        previousblockhash: Option<String>,
    }
    let mut at = old;
    for _ in 0..MAX_BLOCKS {
        let header: Header = ask(rpc, "getblockheader", json!([at.to_string()])).await?;
        if header.confirmations >= 0 {
            break;
        }
        let parent = header.previousblockhash.and_then(|hash| hash.parse().ok());
        at = parent.ok_or_else(|| RpcError::Answer("a block without parent".into()))?;
    }
    Ok(at)
}

fn from_text<'de, T: FromStr, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| serde::de::Error::custom("not a hash"))
}

/// A coinbase's input script.
pub fn script_sig(coinbase: &Transaction) -> Option<&[u8]> {
    coinbase.input.first().map(|input| input.script_sig.as_bytes())
}
