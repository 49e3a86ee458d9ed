//! With the real daemon.

use super::*;

/// Pay-to-witness-script-hash of 32 zero bytes; signet shares testnet's prefix.
const REGTEST: &str = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq3xueyj";
const SIGNET: &str = "tb1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqulkl3g";

fn node(network: PrivateNetwork) -> PrivateNode {
    PrivateNode::start(NodeOptions::new(network)).unwrap()
}

#[test]
fn a_clean_restart_keeps_height_and_ports_and_drop_removes_all() {
    let mut node = node(PrivateNetwork::Regtest);
    let (url, folder) = (node.rpc_url(), node.folder().to_path_buf());
    assert_eq!(node.generate(101, REGTEST).unwrap().len(), 101);
    node.restart().unwrap();
    assert_eq!(node.height().unwrap(), 101);
    assert_eq!(node.rpc_url(), url);
    let pid = node.pid().unwrap();
    drop(node);
    assert!(!folder.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_killed_node_keeps_what_was_flushed() {
    let mut node = node(PrivateNetwork::Regtest);
    node.generate(3, REGTEST).unwrap();
    node.flush().unwrap();
    node.kill();
    assert!(matches!(node.height(), Err(NodeError::NotRunning)));
    node.restart().unwrap();
    assert_eq!(node.height().unwrap(), 3);
}

#[test]
fn a_node_killed_before_its_first_flush_starts_again() {
    let mut node = node(PrivateNetwork::Regtest);
    node.generate(3, REGTEST).unwrap();
    node.kill();
    node.restart().unwrap();
    assert!(node.height().unwrap() <= 3);
}

#[test]
fn the_private_signet_gives_templates_and_blocks() {
    let node = node(PrivateNetwork::Signet);
    let template = node.rpc("getblocktemplate", json!([{"rules": ["segwit", "signet"]}])).unwrap();
    assert_eq!(template["height"], 1);
    let hashes = node.generate(1, SIGNET).unwrap();
    let block = node.rpc("getblock", json!([hashes[0]])).unwrap();
    assert_eq!(block["height"], 1);
    assert_eq!(node.height().unwrap(), 1);
}

#[test]
fn two_nodes_agree_on_the_longer_chain_when_connected() {
    let a = node(PrivateNetwork::Regtest);
    let mut options = NodeOptions::new(PrivateNetwork::Regtest);
    options.listen = true;
    let b = PrivateNode::start(options).unwrap();
    a.generate(1, REGTEST).unwrap();
    let best = b.generate(2, REGTEST).unwrap().remove(1);
    a.connect_to(&b).unwrap();
    a.wait_until("agree", || Ok(a.rpc("getbestblockhash", json!([]))? == best)).unwrap();
    a.disconnect().unwrap();
    b.generate(1, REGTEST).unwrap();
    assert_eq!(a.number("getconnectioncount").unwrap(), 0);
    assert_eq!((a.height().unwrap(), b.height().unwrap()), (2, 3));
}

#[test]
fn a_node_that_does_not_listen_cannot_be_connected_to() {
    let node = node(PrivateNetwork::Regtest);
    assert!(matches!(node.connect_to(&node), Err(NodeError::NotListening)));
    assert_eq!(node.p2p_addr(), None);
}

#[test]
fn the_nodes_own_error_is_passed_on() {
    let node = node(PrivateNetwork::Regtest);
    let error = node.generate(1, SIGNET).unwrap_err().to_string();
    assert_eq!(error, "generatetoaddress: Error: Invalid address (code -5)");
}

#[test]
fn a_given_folder_is_kept_and_a_wrong_argument_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = NodeOptions::new(PrivateNetwork::Regtest);
    options.folder = Some(folder.path().join("kept"));
    drop(PrivateNode::start(options.clone()).unwrap());
    assert!(folder.path().join("kept/regtest/blocks").is_dir());

    options.arguments = vec!["-nosuchthing".to_owned()];
    let error = PrivateNode::start(options).unwrap_err().to_string();
    assert!(error.contains("Invalid parameter -nosuchthing"), "{error}");
}

#[test]
fn the_watchman_ends_the_node_when_its_owner_dies() {
    let mut node = node(PrivateNetwork::Regtest);
    let (pid, folder) = (node.pid().unwrap(), node.folder().to_path_buf());
    // What the system does for a killed owner: its end of the pipe closes.
    let mut watchman = node.daemon.as_mut().unwrap().watchman.take().unwrap();
    drop(watchman.stdin.take());
    watchman.wait().unwrap();
    let status = node.daemon.as_mut().unwrap().process.wait().unwrap();
    assert!(!status.success(), "process {pid}");
    assert!(!folder.exists());
}
