//! Difficulty, subsidy and fees as the own node tells them. It reads and changes nothing.

use crate::{config::Config, output::with_bar};
use chain::{Auth, NodeConfig, Rpc, RpcError};
use lab::{
    Progress,
    quote::{Given, Network},
    report::Source,
};
use serde_json::{Value, json};
use std::{error::Error, path::Path};
use units::{Difficulty, Sats};

/// Blocks over which fees are averaged: a day.
const BLOCKS: u64 = 144;

/// Asks the nodes of a configuration in their order; the first that answers is believed. Fees are
/// not read where they are known already.
pub async fn network(
    path: &Path,
    fees_known: bool,
) -> Result<Network, Box<dyn Error + Send + Sync>> {
    let config = Config::load(path)?;
    let mut said = Vec::new();
    for node in &config.chain.nodes {
        match ask(node, config.network(), fees_known).await {
            Ok(network) => return Ok(network),
            Err(error) => said.push(format!("{}: {error}", node.url)),
        }
    }
    Err(format!(
        "no node of {} says what hashing earns ({}); start it, or give --difficulty, --fees and \
         --btc-price instead of -c",
        path.display(),
        said.join("; ")
    )
    .into())
}

async fn ask(
    node: &NodeConfig,
    network: chain::Network,
    fees_known: bool,
) -> Result<Network, RpcError> {
    let auth: Auth = node.auth.clone();
    let rpc = Rpc::new(&node.url, auth)?;
    let info = rpc.call("getblockchaininfo", json!([])).await?;
    let chain = info["chain"].as_str().unwrap_or("no chain");
    if chain != network.core_chain_name() {
        let what = format!("it is on {chain}, not on {network}");
        return Err(RpcError::Answer(what));
    }
    let missing = |what: &str| RpcError::Answer(format!("it has no {what}"));
    let height = info["blocks"].as_u64().ok_or_else(|| missing("blocks"))?;
    let difficulty = info["difficulty"].as_f64().ok_or_else(|| missing("difficulty"))?;
    let difficulty = Difficulty::new(difficulty).map_err(|_| missing("difficulty"))?;
    let source = Source::Node(height);
    let default = Network::default();
    let fees = match fees_known {
        true => default.fees,
        false => Given { value: mean_fees(&rpc, height).await?, source: source.clone() },
    };
    let next = u32::try_from(height + 1).map_err(|_| missing("likely height"))?;
    Ok(Network {
        difficulty: Given { value: difficulty, source: source.clone() },
        subsidy: Given { value: network.subsidy(next), source },
        fees,
        bitcoin_price: default.bitcoin_price,
    })
}

/// Mean fees of the last day's blocks, rounded down to whole satoshis.
async fn mean_fees(rpc: &Rpc, height: u64) -> Result<Sats, RpcError> {
    let first = (height + 1).saturating_sub(BLOCKS).max(1);
    let progress = Progress::new();
    progress.expect((height + 1).saturating_sub(first));
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        with_bar(&progress, || {
            runtime.block_on(async {
                let (mut sum, mut count) = (0_u64, 0_u64);
                for block in first..=height {
                    let stats: Value =
                        rpc.call("getblockstats", json!([block, ["totalfee"]])).await?;
                    let fee = stats["totalfee"].as_u64().ok_or_else(|| {
                        RpcError::Answer(format!(
                            "the statistics of block {block} have no totalfee"
                        ))
                    })?;
                    sum += fee;
                    count += 1;
                    progress.advance(1);
                }
                Ok(Sats(sum / count.max(1)))
            })
        })
    })
}
