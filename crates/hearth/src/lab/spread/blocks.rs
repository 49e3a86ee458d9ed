//! `hearth lab spread blocks`: who signed the latest blocks of the own node's chain.

use super::node::{ask, connect, script_sig};
use crate::{config::Config, output::with_bar};
use bitcoin::{Transaction, consensus, hex::FromHex};
use chain::Rpc;
use lab::{LabError, Progress, Report, report::Source, spread};
use serde::Deserialize;
use serde_json::json;
use std::{error::Error, path::PathBuf};
use tokio::{runtime::Handle, task::block_in_place};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Which blocks.
#[derive(clap::Args)]
pub struct BlocksArgs {
    /// The configuration file, which names the node.
    #[arg(short, long, value_name = "FILE", default_value = "hearth.toml")]
    config: PathBuf,
    /// How many of the latest blocks: 144 is about a day.
    #[arg(long, value_name = "NUMBER", default_value_t = 144, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    blocks: u32,
}

/// Asks the node.
pub async fn run(args: BlocksArgs) -> Result<Report> {
    let config = Config::load(&args.config)?;
    let rpc = connect(&config.chain.nodes, config.network()).await?;
    let tip: u32 = ask(&rpc, "getblockcount", json!([])).await?;
    let count = args.blocks.min(tip);
    let progress = Progress::new();
    progress.expect(count.into());
    let scripts = block_in_place(|| {
        with_bar(&progress, || Handle::current().block_on(scripts(&rpc, tip, count, &progress)))
    })?;
    Ok(spread::blocks(&scripts, Source::Node(tip.into()))?)
}

async fn scripts(rpc: &Rpc, tip: u32, count: u32, progress: &Progress) -> Result<Vec<Vec<u8>>> {
    #[derive(Deserialize)]
    struct Block {
        tx: Vec<String>,
    }
    let mut scripts = Vec::new();
    for height in (tip - count + 1..=tip).rev() {
        let hash: String = ask(rpc, "getblockhash", json!([height])).await?;
        let block: Block = ask(rpc, "getblock", json!([hash, 1])).await.map_err(|error| {
            let known = tip - height;
            LabError::new(format!(
                "the node cannot show block {height} ({error}): a pruned node keeps few, ask for \
                 --blocks {known}"
            ))
        })?;
        let id = block.tx.first().ok_or_else(|| LabError::new("the node showed an empty block"))?;
        let hex: String = ask(rpc, "getrawtransaction", json!([id, false, hash])).await?;
        let coinbase: Transaction = consensus::deserialize(&Vec::from_hex(&hex)?)?;
        scripts.push(script_sig(&coinbase).unwrap_or_default().to_vec());
        progress.advance(1);
    }
    Ok(scripts)
}
