//! `hearth demo`: a private chain, a server and several miners, watched until time is up.
//!
//! Everything is real but the coins: Bitcoin Core on a signet of its own, the whole server, miners
//! that hash. The addresses are made up: nobody has their keys.

use crate::{
    Outcome,
    config::Config,
    demo_energy::{self, DemoEnergy},
    demo_farm::{self, DemoFarm},
    private::{PrivateSite, made_up_address},
    shutdown,
};
use ledger::BlockRow;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use stratum::Port;
use tokio::{
    select,
    time::{Instant, sleep_until},
};
use twin::{
    miner::{Miner, MinerConfig, MinerStats},
    node::PrivateNode,
};
use units::{Hashrate, Sats};

/// Who mines, and how fast at most, in hashes per second: a block takes about five million.
const MINERS: [(&str, f64); 4] =
    [("heater", 6e6), ("garage", 3e6), ("attic", 1.5e6), ("windowsill", 0.5e6)];
/// Blocks shown as they are found; the rest is in the sum.
const SHOWN: usize = 20;

/// What a demonstration is told.
#[derive(clap::Args)]
pub struct Args {
    /// How long to mine, such as 60s or 5m.
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = crate::miner_cmd::duration)]
    pub time: Duration,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// Keep the signed record of energy in this folder, for `hearth evidence verify`.
    #[arg(long, value_name = "FOLDER")]
    pub evidence: Option<PathBuf>,
}

/// What happened.
#[derive(Serialize)]
struct Report {
    /// Time the miners had, seconds.
    seconds: f64,
    /// Blocks that the node accepted.
    blocks_found: u64,
    /// Of these, in the best chain now.
    blocks_in_chain: u64,
    /// Coinbases in the best chain that the node shows paying the right address the right sum.
    payments_checked: u64,
    /// Sum of those payments, satoshis.
    paid_sats: u64,
    shares_accepted: u64,
    shares_rejected: u64,
    shares_rejected_by_reason: BTreeMap<String, u64>,
    /// From the node's news of a block to the last miner's job, milliseconds.
    tip_to_job_ms_p50: Option<f64>,
    tip_to_job_ms_p99: Option<f64>,
    miners: Vec<MinerReport>,
    /// Emulated machines: found, steered, tuned.
    #[serde(flatten)]
    fleet: demo_farm::Report,
    /// A house, a price, a grid operator's call, and the signed record of it.
    #[serde(flatten)]
    power: demo_energy::Report,
}

#[derive(Serialize)]
struct MinerReport {
    name: &'static str,
    address: String,
    /// Measured by the miner itself, hashes per second.
    hashrate_hs: f64,
    shares_accepted: u64,
    shares_rejected: u64,
    blocks: u64,
    paid_sats: u64,
}

pub async fn run(args: Args) -> Outcome {
    let stop = shutdown::listen()?;
    let say = |text: String| {
        if !args.json {
            println!("{text}");
        }
    };
    say("Starting Bitcoin Core on a private signet …".into());
    let private = PrivateSite::start(add_port_for_the_farm).await?;
    let server = private.site.miners_connect_to()[0];
    say(format!("Miners connect to stratum+tcp://{server}"));
    say(format!("The page is at       http://{}", private.site.web_address()));
    let seconds = args.time.as_secs();
    say(format!("Four miners of different speeds mine for {seconds} s; Ctrl-C ends it sooner."));
    let for_farm = private.site.miners_connect_to()[1];
    let folder = tempfile::tempdir()?;
    let journals = folder.path().to_path_buf();
    let farm = match DemoFarm::start(for_farm, private.site.bridge(), journals, !args.json).await {
        Ok(farm) => Some(farm),
        Err(error) => {
            say(format!("No emulated machines: {error}"));
            None
        }
    };
    say(String::new());

    let started = Instant::now();
    let miners: Vec<(&str, String, Miner)> = MINERS
        .iter()
        .map(|(name, limit)| {
            let address = made_up_address(name);
            let config = MinerConfig {
                limit: Some(Hashrate::from_hashes_per_second(*limit)),
                ..MinerConfig::new(server.to_string(), format!("{address}.{name}"))
            };
            Miner::start(config).map(|miner| (*name, address, miner))
        })
        .collect::<Result<_, _>>()?;

    tokio::pin!(stop);
    let mut shown = HashSet::new();
    let mut next = started;
    let mut power: Option<DemoEnergy> = None;
    while started.elapsed() < args.time {
        match (&mut power, &farm) {
            // The farm's own story comes first: found, steered, tuned.
            (None, Some(farm)) if started.elapsed() >= args.time / 2 => {
                let (bridge, folder) = (private.site.bridge(), folder.path());
                let begun =
                    DemoEnergy::start(farm, bridge, folder, args.time / 2, !args.json).await;
                match begun {
                    Ok(begun) => power = Some(begun),
                    Err(error) => return Err(format!("power is not decided on: {error}").into()),
                }
            }
            (Some(power), _) => power.tick(),
            _ => {}
        }
        next += Duration::from_millis(500);
        select! {
            _ = &mut stop => break,
            () = sleep_until(next.min(started + args.time)) => {}
        }
        if !args.json {
            show_new_blocks(&private.site.ledger().blocks(100).await?, &mut shown);
        }
    }
    let took = started.elapsed();
    let power = match power {
        Some(power) => power.finish(args.evidence.as_deref()).await?,
        None => demo_energy::Report::default(),
    };
    let fleet = match farm {
        Some(farm) => farm.finish().await,
        None => demo_farm::Report::default(),
    };
    let stopping = tokio::task::spawn_blocking(|| {
        miners.into_iter().map(|(name, address, miner)| (name, address, miner.stop())).collect()
    });
    let miners: Vec<(&str, String, MinerStats)> = stopping.await?;
    // The last block's state and the last batch of shares need a moment.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let blocks = private.site.ledger().blocks(u32::MAX).await?;
    let status = private.site.status().await;
    let (node, site) = private.into_parts();
    let (paid, node) = check_payments(node, blocks.clone()).await?;
    site.stop().await?;
    drop(node);

    let report = report(took, &miners, &blocks, &paid, &status, (fleet, power));
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    Ok(if report.blocks_found == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Emulated machines do two thousand real hashes a second: their shares are much easier.
fn add_port_for_the_farm(config: &mut Config) {
    let Some(port) = config.stratum.ports.first().cloned() else { return };
    config.stratum.ports.push(Port {
        start_difficulty: 5e-8,
        min_difficulty: 1e-9,
        fractional: true,
        ..port
    });
}

fn show_new_blocks(blocks: &[BlockRow], shown: &mut HashSet<String>) {
    for block in blocks.iter().rev() {
        if !shown.insert(block.hash.clone()) || shown.len() > SHOWN {
            continue;
        }
        let (address, name) = block.worker.split_once('.').unwrap_or((&block.worker, ""));
        println!(
            "block {:>4}  found by {name:<10}  pays {} BTC to {}…  {}…",
            block.height,
            block.value.to_btc(),
            &address[..12.min(address.len())],
            &block.hash[..24]
        );
        if shown.len() == SHOWN {
            println!("… and so on; the sum comes at the end.");
        }
    }
}

/// Asks the node itself what each block's coinbase pays: hash -> satoshis, for blocks in the chain
/// that pay the address we said.
async fn check_payments(
    node: PrivateNode,
    blocks: Vec<BlockRow>,
) -> Result<(BTreeMap<String, u64>, PrivateNode), Box<dyn std::error::Error + Send + Sync>> {
    let checked = tokio::task::spawn_blocking(move || {
        let mut paid = BTreeMap::new();
        for block in blocks {
            let Ok(found) = node.rpc("getblock", serde_json::json!([block.hash, 2])) else {
                continue;
            };
            let output = &found["tx"][0]["vout"][0];
            let sats = output["value"].as_f64().map(|btc| (btc * 1e8).round() as u64);
            let right = output["scriptPubKey"]["address"] == block.address.as_str()
                && sats == Some(block.value.0)
                && found["confirmations"].as_i64() > Some(0);
            if right {
                paid.insert(block.hash, block.value.0);
            }
        }
        (paid, node)
    });
    Ok(checked.await?)
}

fn report(
    took: Duration,
    miners: &[(&'static str, String, MinerStats)],
    blocks: &[BlockRow],
    paid: &BTreeMap<String, u64>,
    status: &Arc<api::Status>,
    (fleet, power): (demo_farm::Report, demo_energy::Report),
) -> Report {
    let taken = |block: &&BlockRow| {
        !matches!(block.state, ledger::BlockState::Pending | ledger::BlockState::Rejected)
    };
    let miners = miners
        .iter()
        .map(|(name, address, stats)| {
            let own = || blocks.iter().filter(taken).filter(|block| block.address == *address);
            MinerReport {
                name,
                address: address.clone(),
                hashrate_hs: stats.hashes as f64 / took.as_secs_f64(),
                shares_accepted: stats.accepted,
                shares_rejected: stats.rejected_total(),
                blocks: own().count() as u64,
                paid_sats: own().filter_map(|block| paid.get(&block.hash)).sum(),
            }
        })
        .collect();
    Report {
        seconds: took.as_secs_f64(),
        blocks_found: blocks.iter().filter(taken).count() as u64,
        blocks_in_chain: blocks.iter().filter(|block| block.confirmations > 0).count() as u64,
        payments_checked: paid.len() as u64,
        paid_sats: paid.values().sum(),
        shares_accepted: status.shares.accepted,
        shares_rejected: status.shares.rejected.values().sum(),
        shares_rejected_by_reason: status.shares.rejected.clone(),
        tip_to_job_ms_p50: status.tip_to_job_ms.p50,
        tip_to_job_ms_p99: status.tip_to_job_ms.p99,
        miners,
        fleet,
        power,
    }
}

fn print(report: &Report) {
    println!(
        "\n{:<11} {:>11} {:>9} {:>9} {:>7}   paid",
        "miner", "hashrate", "accepted", "rejected", "blocks"
    );
    for miner in &report.miners {
        println!(
            "{:<11} {:>11} {:>9} {:>9} {:>7}   {} BTC to {}",
            miner.name,
            Hashrate::from_hashes_per_second(miner.hashrate_hs).to_string(),
            miner.shares_accepted,
            miner.shares_rejected,
            miner.blocks,
            Sats(miner.paid_sats).to_btc(),
            miner.address,
        );
    }
    println!(
        "\n{} blocks found in {:.0} s, {} of them in the chain now; the node confirms {} payments, {} BTC.",
        report.blocks_found,
        report.seconds,
        report.blocks_in_chain,
        report.payments_checked,
        Sats(report.paid_sats).to_btc()
    );
    let reasons: Vec<String> = report
        .shares_rejected_by_reason
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let reasons = if reasons.is_empty() { "none".to_string() } else { reasons.join(", ") };
    println!("{} shares accepted; rejected: {reasons}.", report.shares_accepted);
    if let (Some(p50), Some(p99)) = (report.tip_to_job_ms_p50, report.tip_to_job_ms_p99) {
        println!(
            "New block to the last miner's new job: median {p50:.2} ms, 99th percentile {p99:.2} ms."
        );
    }
    demo_energy::show(&report.power);
    println!("The coins are play money of a private signet, the addresses made up.");
}
