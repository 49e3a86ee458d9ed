//! Templates and tips.

use crate::scene::*;
use chain::Network;
use serde_json::json;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use twin::node::{NodeOptions, PrivateNetwork, PrivateNode};

#[test]
fn a_new_tip_gives_an_empty_template_at_once_and_then_the_full_one() {
    let folder = tempfile::tempdir().unwrap();
    let node = regtest();
    let blocks = mine(&node, 102);
    let mine_ = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (template, new_tip, at) = mine_.ear.work_on(0, tip(&node));
    assert!(new_tip);
    assert_eq!(template.height, 103);
    // Header times are learned after the first template.
    std::thread::sleep(Duration::from_millis(500));

    // A transaction that stays out of the next block, so that the block after it has one.
    let block = solve(&template, 0);
    let (coin, value) = coinbase_of(&node, &blocks[0]);
    send(&node, &spend(coin, value, 2));
    let hex = const_hex::encode(block.serialize());
    assert_eq!(node.rpc("submitblock", json!([hex])).unwrap(), json!(null));

    let (empty, new_tip, at) = mine_.ear.work_on(at, block.hash);
    assert!(new_tip && empty.is_empty());
    assert_eq!(empty.witness_commitment, None);
    assert_eq!(empty.height, 104);
    let (full, new_tip, at) = mine_.ear.work_on(at, block.hash);
    assert!(!new_tip && !full.is_empty());
    assert_eq!(full.transaction_count, 1);
    assert_eq!(empty.bits, full.bits);
    assert_eq!(empty.version, full.version);
    assert!(empty.min_time >= full.min_time);
    assert!(full.coinbase_value > empty.coinbase_value);

    // Both are valid work: the empty one makes a block, and a block is made of the full one.
    let proposal = |template| {
        let hex = const_hex::encode(solve(template, 1).serialize());
        let request = json!([{"mode": "proposal", "data": hex, "rules": ["segwit"]}]);
        node.rpc("getblocktemplate", request).unwrap()
    };
    assert_eq!(proposal(&empty), json!(null));
    assert_eq!(proposal(&full), json!(null));

    // The same again from the node's own mining.
    let hash = mine(&node, 1)[0].parse().unwrap();
    let (empty, new_tip, _) = mine_.ear.work_on(at, hash);
    assert!(new_tip && empty.witness_commitment.is_none());
    mine_.stop();
}

#[test]
fn a_complete_template_is_asked_for_once_all_miners_have_the_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let node = regtest();
    mine(&node, 102);
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (_, _, mut at) = chain.ear.work_on(0, tip(&node));
    // Longer than it ever is, so that its limit shows, too.
    *chain.ear.lead.lock().unwrap() = Duration::from_secs(3600);
    std::thread::sleep(Duration::from_secs(1));
    for _ in 0..3 {
        let hash = mine(&node, 1)[0].parse().unwrap();
        let (empty, _, next) = chain.ear.work_on(at, hash);
        let (full, _, next) = chain.ear.work_on(next, hash);
        assert!(empty.is_empty() && full.witness_commitment.is_some());
        let times: Vec<_> = (chain.ear.since(at).iter())
            .filter_map(|heard| match heard {
                Heard::Work(template, _, when) if template.prev_hash == hash => Some(*when),
                _ => None,
            })
            .collect();
        let apart = times[1] - times[0];
        assert!(apart >= Duration::from_millis(90), "{apart:?}");
        at = next;
    }
    chain.stop();
}

#[test]
fn every_height_around_a_halving_gives_valid_empty_work() {
    let folder = tempfile::tempdir().unwrap();
    let node = regtest();
    mine(&node, 147);
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (mut template, _, mut at) = chain.ear.work_on(0, tip(&node));
    for height in 149..153 {
        std::thread::sleep(Duration::from_millis(200));
        let block = solve(&template, height);
        chain.keep(&block).unwrap();
        let (empty, new_tip, next) = chain.ear.work_on(at, block.hash);
        assert!(new_tip && empty.witness_commitment.is_none(), "{height}");
        (template, at) = (empty, next);
    }
    assert_eq!(node.height().unwrap(), 151);
    chain.stop();
}

#[test]
fn a_template_is_renewed_while_the_tip_stays() {
    let folder = tempfile::tempdir().unwrap();
    let node = regtest();
    let mut config =
        chain::Config::new(Network::Regtest, vec![config_of(&node)], folder.path().join("blocks"));
    config.refresh = Duration::from_secs(1);
    let chain = Mine::start_with(config);
    let (_, new_tip, at) = chain.ear.work_on(0, tip(&node));
    assert!(new_tip);
    for _ in 0..2 {
        let (_, new_tip, _) = chain.ear.work_on(at, tip(&node));
        assert!(!new_tip);
    }
    chain.stop();
}

#[test]
fn where_waiting_for_blocks_is_not_allowed_the_long_poll_tells_of_new_tips() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = NodeOptions::new(PrivateNetwork::Regtest);
    options.arguments = vec![
        "-rpcwhitelist=__cookie__:getblocktemplate,getblockchaininfo,getblockheader,submitblock,\
         generatetoaddress,getbestblockhash,getblockcount,getmininginfo"
            .into(),
    ];
    let node = PrivateNode::start(options).unwrap();
    mine(&node, 3);
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (_, _, mut at) = chain.ear.work_on(0, tip(&node));
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..3 {
        let asked = Instant::now();
        let hash = mine(&node, 1)[0].parse().unwrap();
        let (_, new_tip, next) = chain.ear.work_on(at, hash);
        assert!(new_tip);
        assert!(asked.elapsed() < Duration::from_secs(2));
        at = next;
    }
    chain.stop();
}

#[test]
fn many_tips_in_a_row_end_with_work_on_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let node = regtest();
    mine(&node, 20);
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (_, _, at) = chain.ear.work_on(0, tip(&node));
    let last = mine(&node, 300)[299].parse().unwrap();
    chain.ear.work_on(at, last);
    std::thread::sleep(Duration::from_millis(1500));
    let mut announced = None;
    for heard in chain.ear.since(0) {
        if let Heard::Work(template, new_tip, _) = heard {
            assert_eq!(new_tip, announced != Some(template.prev_hash));
            announced = Some(template.prev_hash);
        }
    }
    assert_eq!(announced, Some(last));
    chain.stop();
}

/// Prints, for each of 20 blocks, the time from the node's own "UpdateTip" log line to the news
/// and to the empty and the full work. Run with `--ignored --nocapture` on a quiet machine.
#[test]
#[ignore = "a measurement"]
fn how_long_from_a_new_block_to_work_with_2500_transactions_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = NodeOptions::new(PrivateNetwork::Regtest);
    // Regtest's own checks of the mempool would take longer than everything that is measured.
    options.arguments =
        ["-logtimemicros=1", "-checkmempool=0", "-checkblockindex=0"].map(String::from).into();
    let node = PrivateNode::start(options).unwrap();
    let blocks = mine(&node, 110);
    let fans: Vec<_> = blocks[..2]
        .iter()
        .map(|block| {
            let (coin, value) = coinbase_of(&node, block);
            spend(coin, value, 1250)
        })
        .collect();
    fans.iter().for_each(|fan| send(&node, fan));
    mine(&node, 1);
    for fan in &fans {
        for (vout, output) in (0..).zip(&fan.output) {
            let coin = bitcoin::OutPoint::new(fan.compute_txid(), vout);
            send(&node, &spend(coin, output.value.to_sat(), 1));
        }
    }
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (mut template, _, mut at) = chain.ear.work_on(0, tip(&node));
    println!("microseconds after the node's new tip: news, empty work, full work");
    for round in 0..20 {
        std::thread::sleep(Duration::from_secs(1));
        // Without transactions, so that all stay for the next template.
        let mut empty = (*template).clone();
        empty.transactions.clear();
        empty.transaction_count = 0;
        empty.merkle_branch.clear();
        empty.witness_commitment = None;
        empty.coinbase_value = Network::Regtest.subsidy(empty.height);
        let block = solve(&empty.into(), round);
        let hex = const_hex::encode(block.serialize());
        node.rpc("submitblock", json!([hex])).unwrap();
        let (first, _, next) = chain.ear.work_on(at, block.hash);
        assert!(first.is_empty());
        let (full, _, next) = chain.ear.work_on(next, block.hash);
        assert_eq!(full.transaction_count, 2500);
        let heard = chain.ear.since(at);
        let mut times = vec![first.learned];
        times.extend(heard[..next - at].iter().filter_map(|heard| match heard {
            Heard::Work(template, _, when) if template.prev_hash == block.hash => Some(*when),
            _ => None,
        }));
        let log = std::fs::read_to_string(node.folder().join("regtest/debug.log")).unwrap();
        let line = format!("UpdateTip: new best={}", block.hash);
        let line = log.lines().find(|l| l.contains(&line)).unwrap();
        // 2026-01-02T03:04:05.678901Z
        let second: i64 = line[17..19].parse().unwrap();
        let micros = second * 1_000_000 + line[20..26].parse::<i64>().unwrap();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = Instant::now();
        for time in times {
            let then = (wall - (now - time)).as_micros() as i64 % 60_000_000;
            print!("{:>10}", (then - micros).rem_euclid(60_000_000));
        }
        println!();
        (template, at) = (full, next);
    }
    chain.stop();
}
