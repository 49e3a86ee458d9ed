//! Several nodes.

use crate::scene::*;
use chain::{BlockState, Network, NodeState};
use std::time::{Duration, Instant};
use twin::node::{NodeOptions, PrivateNetwork, PrivateNode};

#[test]
fn work_moves_to_the_second_node_and_back_and_blocks_go_to_both() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = regtest();
    let mut options = NodeOptions::new(PrivateNetwork::Regtest);
    options.listen = true;
    let second = PrivateNode::start(options).unwrap();
    first.connect_to(&second).unwrap();
    mine(&first, 20);
    wait_until(|| tip(&second) == tip(&first));
    first.flush().unwrap();
    // From here on only our submissions bring the blocks to both.
    first.disconnect().unwrap();
    let nodes = vec![config_of(&first), config_of(&second)];
    let chain = Mine::start(Network::Regtest, nodes, folder.path());
    let (template, _, at) = chain.ear.work_on(0, tip(&first));
    wait_until(|| matches!(chain.nodes()[1].state, NodeState::Up { .. }));
    wait_until(|| chain.nodes()[0].active);

    let block = solve(&template, 0);
    chain.keep(&block).unwrap();
    wait_until(|| tip(&first) == block.hash && tip(&second) == block.hash);
    chain.ear.work_on(at, block.hash);
    wait_until(|| match chain.nodes()[1].state {
        NodeState::Up { tip, .. } => tip == block.hash,
        _ => false,
    });
    // The standby fetches its template a second later.
    std::thread::sleep(Duration::from_millis(1500));
    first.flush().unwrap();

    let at = chain.ear.len();
    first.kill();
    wait_until(|| chain.nodes()[1].active);
    assert!(matches!(chain.nodes()[0].state, NodeState::Down(_)));
    let (template, new_tip, at) = chain.ear.work_on(at, block.hash);
    assert!(!new_tip, "the tip was known");
    let block = solve(&template, 1);
    chain.keep(&block).unwrap();
    chain.ear.state(at, block.hash, &BlockState::Candidate);
    let (_, new_tip, at) = chain.ear.work_on(at, block.hash);
    assert!(new_tip);

    first.restart().unwrap();
    let restarted = Instant::now();
    // The block that it has missed is submitted again when it is back.
    wait_until(|| tip(&first) == block.hash);
    wait_until(|| chain.nodes()[0].active);
    assert!(restarted.elapsed() > Duration::from_secs(8));
    let heard = chain.ear.since(at);
    assert!(!heard.iter().any(|heard| matches!(heard, Heard::Wait(_))));
    chain.stop();
}

#[test]
fn miners_wait_when_the_only_node_dies_and_resume_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = regtest();
    mine(&node, 3);
    node.flush().unwrap();
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (_, _, at) = chain.ear.work_on(0, tip(&node));
    node.kill();
    let died = Instant::now();
    let (trouble, at) = chain.ear.trouble(at);
    assert!(died.elapsed() < Duration::from_secs(6));
    let said = trouble.to_string();
    assert!(said.contains("cannot be reached"), "{said}");
    std::thread::sleep(Duration::from_secs(2));
    let heard = chain.ear.since(at);
    assert!(heard.is_empty(), "told once: {heard:?}");
    node.restart().unwrap();
    let (_, new_tip, _) = chain.ear.work_on(at, tip(&node));
    assert!(new_tip);
    chain.stop();
}

fn wait_until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
