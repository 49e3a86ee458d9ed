//! Solved blocks: taken, refused, orphaned, found again after a crash.

use crate::scene::*;
use chain::{BlockState, Config, Network};
use serde_json::json;
use std::time::Duration;
use twin::node::{NodeOptions, PrivateNetwork, PrivateNode};

#[test]
fn a_solved_block_is_taken_and_followed_until_it_is_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let node = regtest();
    let mut config =
        Config::new(Network::Regtest, vec![config_of(&node)], folder.path().join("blocks"));
    config.confirmations = 3;
    let chain = Mine::start_with(config);
    let (template, _, _) = chain.ear.work_on(0, tip(&node));
    let block = solve(&template, 0);
    chain.keep(&block).unwrap();
    let (pending, at) = chain.ear.state(0, block.hash, &BlockState::Pending);
    assert_eq!(pending.height, 1);
    assert_eq!(pending.worker, "miner.rig");
    assert_eq!(pending.value.0, 5_000_000_000);
    let (first, at) = chain.ear.state(at, block.hash, &BlockState::Candidate);
    assert_eq!(first.confirmations, 1);
    assert_eq!(tip(&node), block.hash);
    mine(&node, 1);
    let (second, at) = chain.ear.state(at, block.hash, &BlockState::Candidate);
    assert_eq!(second.confirmations, 2);
    mine(&node, 1);
    let (third, at) = chain.ear.state(at, block.hash, &BlockState::Confirmed);
    assert_eq!(third.confirmations, 3);
    // Deeper is no news.
    mine(&node, 2);
    std::thread::sleep(Duration::from_secs(1));
    let more = chain.ear.since(at);
    assert!(!more.iter().any(|heard| matches!(heard, Heard::Block(_))));
    chain.stop();
}

#[test]
fn on_signet_both_the_full_and_the_empty_template_make_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let node = PrivateNode::start(NodeOptions::new(PrivateNetwork::Signet)).unwrap();
    let chain = Mine::start(Network::Signet, vec![config_of(&node)], folder.path());
    let (full, _, at) = chain.ear.work_on(0, tip(&node));
    let first = solve(&full, 0);
    chain.keep(&first).unwrap();
    // Too few blocks to know the median time: the node is asked for the target and time.
    let (empty, new_tip, _) = chain.ear.work_on(at, first.hash);
    assert!(new_tip && empty.is_empty());
    let second = solve(&empty, 0);
    chain.keep(&second).unwrap();
    chain.ear.state(0, first.hash, &BlockState::Candidate);
    chain.ear.state(0, second.hash, &BlockState::Candidate);
    assert_eq!(tip(&node), second.hash);
    chain.stop();
}

#[test]
fn a_reorganisation_orphans_a_block_and_another_one_brings_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let node = regtest();
    mine(&node, 20);
    let base = tip(&node);
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (template, _, at) = chain.ear.work_on(0, base);
    let block = solve(&template, 0);
    chain.keep(&block).unwrap();
    let (_, at) = chain.ear.state(at, block.hash, &BlockState::Candidate);

    let hash = json!([block.hash.to_string()]);
    node.rpc("invalidateblock", hash.clone()).unwrap();
    let others = mine(&node, 2);
    let other = others[1].parse().unwrap();
    let (_, new_tip, _) = chain.ear.work_on(at, other);
    assert!(new_tip);
    let (orphan, at) = chain.ear.state(at, block.hash, &BlockState::Orphaned);
    assert_eq!(orphan.confirmations, 0);

    node.rpc("reconsiderblock", hash).unwrap();
    node.rpc("invalidateblock", json!([others[0]])).unwrap();
    assert_eq!(tip(&node), block.hash);
    chain.ear.state(at, block.hash, &BlockState::Candidate);
    chain.stop();
}

#[test]
fn a_block_that_lost_the_race_is_an_orphan_and_wins_when_the_chain_grows_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = regtest();
    mine(&node, 20);
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (template, _, at) = chain.ear.work_on(0, tip(&node));
    let (winner, loser) = (solve(&template, 1), solve(&template, 2));
    chain.keep(&winner).unwrap();
    let (_, at) = chain.ear.state(at, winner.hash, &BlockState::Candidate);
    chain.keep(&loser).unwrap();
    let (_, at) = chain.ear.state(at, loser.hash, &BlockState::Orphaned);

    let mut next = (*template).clone();
    next.height += 1;
    next.prev_hash = loser.hash;
    next.min_time += 1;
    next.time += 1;
    let top = solve(&next.into(), 0);
    chain.keep(&top).unwrap();
    chain.ear.state(at, top.hash, &BlockState::Candidate);
    chain.ear.state(at, loser.hash, &BlockState::Candidate);
    chain.ear.state(at, winner.hash, &BlockState::Orphaned);
    assert_eq!(tip(&node), top.hash);
    chain.stop();
}

#[test]
fn a_block_that_is_wrong_is_rejected_with_the_nodes_reason() {
    let folder = tempfile::tempdir().unwrap();
    let node = regtest();
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (template, _, _) = chain.ear.work_on(0, tip(&node));
    let mut greedy = (*template).clone();
    greedy.coinbase_value.0 += 1;
    let block = solve(&greedy.into(), 0);
    chain.keep(&block).unwrap();
    let reason = BlockState::Rejected("bad-cb-amount".into());
    chain.ear.state(0, block.hash, &reason);
    chain.stop();
}

#[test]
fn a_block_found_while_the_node_was_down_is_submitted_after_a_crash_and_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = regtest();
    mine(&node, 3);
    node.flush().unwrap();
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (template, _, _) = chain.ear.work_on(0, tip(&node));
    node.kill();
    let block = solve(&template, 0);
    chain.keep(&block).unwrap();
    let file = folder.path().join(format!("blocks/{}.block", block.hash));
    assert!(file.exists());
    chain.crash();

    node.restart().unwrap();
    assert_eq!(node.height().unwrap(), 3);
    let again = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (report, _) = again.ear.state(0, block.hash, &BlockState::Candidate);
    assert_eq!(report.worker, "miner.rig");
    assert_eq!(report.height, 4);
    assert_eq!(tip(&node), block.hash);
    again.stop();

    // And once more, though the node has it: "duplicate" is as good as taken.
    let again = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    again.ear.state(0, block.hash, &BlockState::Candidate);
    again.stop();
}

#[test]
fn a_node_that_lost_a_block_in_a_crash_of_its_own_gets_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = regtest();
    mine(&node, 3);
    node.flush().unwrap();
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (template, _, at) = chain.ear.work_on(0, tip(&node));
    let block = solve(&template, 0);
    chain.keep(&block).unwrap();
    chain.ear.state(at, block.hash, &BlockState::Candidate);
    node.kill();
    node.restart().unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while tip(&node) != block.hash {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
    chain.stop();
}

#[test]
fn a_block_is_submitted_even_if_the_disk_cannot_take_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = regtest();
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (template, _, at) = chain.ear.work_on(0, tip(&node));
    std::fs::remove_dir_all(folder.path().join("blocks")).unwrap();
    let block = solve(&template, 0);
    assert!(chain.keep(&block).is_err());
    chain.ear.state(at, block.hash, &BlockState::Candidate);
    assert_eq!(tip(&node), block.hash);
    chain.stop();
}
