//! Nodes that cannot be mined with.

use crate::scene::*;
use chain::{Auth, Config, Network, NodeConfig, Rpc, RpcError, StartError, Trouble, check};
use serde_json::json;
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::runtime::Runtime;
use twin::node::{NodeOptions, PrivateNetwork, PrivateNode};

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

#[test]
fn each_trouble_with_a_node_has_its_own_sentence_and_a_good_node_its_facts() {
    let folder = tempfile::tempdir().unwrap();
    let node = regtest();
    mine(&node, 2);
    let good = config_of(&node);
    let wrong_password = NodeConfig {
        auth: Auth::UserPass { user: "user".into(), password: "wrong".into() },
        ..good.clone()
    };
    let no_cookie = NodeConfig { auth: Auth::Cookie(folder.path().join("none")), ..good.clone() };
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let empty_cookie = NodeConfig { auth: Auth::Cookie(empty), ..good.clone() };
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody =
        NodeConfig { url: format!("http://{}", free.local_addr().unwrap()), ..no_cookie.clone() };
    drop(free);
    let https = NodeConfig { url: good.url.replace("http", "https"), ..good.clone() };
    let runtime = runtime();
    for (config, network, said) in [
        (
            &wrong_password,
            Network::Regtest,
            "refuses the credentials: correct the user and password",
        ),
        (&no_cookie, Network::Regtest, "No such file or directory"),
        (&empty_cookie, Network::Regtest, "it is not a cookie of Bitcoin Core"),
        (&nobody, Network::Regtest, "cannot be reached"),
        (&good, Network::Signet, "is on the network \"regtest\", not on signet"),
        (&https, Network::Regtest, "is not the address of a node"),
    ] {
        let trouble = runtime.block_on(check(config, network)).unwrap_err();
        assert!(trouble.to_string().contains(said), "{trouble}");

        // The miners are told the same.
        if config != &https {
            let chain = Mine::start(network, vec![config.clone()], folder.path());
            let (told, _) = chain.ear.trouble(0);
            assert_eq!(told.to_string(), trouble.to_string());
            chain.stop();
        }
    }
    let facts = runtime.block_on(check(&good, Network::Regtest)).unwrap();
    assert_eq!(facts.height, 2);
    assert_eq!(facts.tip, tip(&node));
    assert_eq!(facts.peers, Some(0));
    assert!(facts.version.unwrap().contains("Satoshi"));
    assert!(facts.clock_offset.is_none_or(|offset| offset.abs() < 5));
}

#[test]
fn a_node_whose_clock_is_off_is_not_used() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for (minutes, said) in [(-20_i64, "20 minutes behind"), (30, "30 minutes ahead"), (2, "")] {
        let mut options = NodeOptions::new(PrivateNetwork::Regtest);
        let time = now.as_secs() as i64 + minutes * 60 + 30 * minutes.signum();
        options.arguments = vec![format!("-mocktime={time}")];
        let node = PrivateNode::start(options).unwrap();
        let looked = runtime().block_on(check(&config_of(&node), Network::Regtest));
        match looked {
            Err(trouble @ Trouble::ClockOff { .. }) => {
                assert!(!said.is_empty() && trouble.to_string().contains(said), "{trouble}");
            }
            other => assert!(said.is_empty() && other.is_ok(), "{other:?}"),
        }
    }
}

#[test]
fn a_node_that_is_still_syncing_is_not_used() {
    // Without -maxtipage the old first block keeps this chain in its initial download.
    let mut options = NodeOptions::new(PrivateNetwork::Signet);
    options.arguments = vec!["-maxtipage=86400".into()];
    let node = PrivateNode::start(options).unwrap();
    let trouble = runtime().block_on(check(&config_of(&node), Network::Signet)).unwrap_err();
    assert!(matches!(trouble, Trouble::Syncing { .. }), "{trouble}");
}

#[test]
fn a_restarted_nodes_new_cookie_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = regtest();
    let chain = Mine::start(Network::Regtest, vec![config_of(&node)], folder.path());
    let (_, _, at) = chain.ear.work_on(0, tip(&node));
    let runtime = runtime();
    let rpc = {
        let _inside = runtime.enter();
        Rpc::new(&node.rpc_url(), Auth::Cookie(node.cookie_path())).unwrap()
    };
    let count = || runtime.block_on(rpc.call("getblockcount", json!([])));
    assert_eq!(count(), Ok(json!(0)));
    node.restart().unwrap();
    assert_eq!(count(), Ok(json!(0)));
    mine(&node, 1);
    chain.ear.work_on(at, tip(&node));
    assert_eq!(
        runtime.block_on(rpc.call("nosuchthing", json!([]))),
        Err(RpcError::Node { code: -32601, message: "Method not found".into() })
    );
    chain.stop();
}

#[test]
fn a_server_that_is_no_bitcoin_core_is_an_error_and_never_a_hang() {
    let runtime = runtime();
    let endless: Vec<u8> = b"HTTP/1.1 200 OK\r\n\r\n{"
        .iter()
        .copied()
        .chain(std::iter::repeat_n(b' ', 70 << 20))
        .collect();
    for (answer, said) in [
        (&b"\xff\x00garbage\r\n\r\n"[..], "cannot be reached"),
        (b"", "cannot be reached"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<html/>", "HTTP 200 OK <html/>"),
        (
            b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nfull",
            "HTTP 503 Service Unavailable full",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "cannot be understood"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"result\"", "cannot be understood"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "does not allow"),
        (&endless, "longer than 64 MiB"),
    ] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = NodeConfig {
            url: format!("http://{}", server.local_addr().unwrap()),
            auth: Auth::UserPass { user: "u".into(), password: "p".into() },
        };
        let answer = answer.to_vec();
        let serving = std::thread::spawn(move || {
            let (mut peer, _) = server.accept().unwrap();
            let mut request = [0; 4096];
            let _ = peer.read(&mut request).unwrap();
            // The client may hang up first.
            let _ = peer.write_all(&answer);
        });
        let trouble = runtime.block_on(check(&config, Network::Regtest)).unwrap_err();
        assert!(trouble.to_string().contains(said), "{trouble}");
        serving.join().unwrap();
    }
    // One that takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let auth = Auth::UserPass { user: "u".into(), password: "p".into() };
    let waited = runtime.block_on(async {
        let rpc = Rpc::new(&url, auth).unwrap();
        rpc.with_timeout(Duration::from_secs(1)).call("getblockcount", json!([])).await
    });
    assert_eq!(waited, Err(RpcError::Timeout { seconds: 1 }));
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let node = NodeConfig { url: "http://127.0.0.1:1".into(), auth: Auth::Cookie(file.clone()) };
    let good = Config::new(Network::Regtest, vec![node.clone()], folder.path().join("blocks"));
    let with = |change: &dyn Fn(&mut Config)| {
        let mut config = good.clone();
        change(&mut config);
        config
    };
    let at = |url: &str| {
        let url = url.to_owned();
        with(&move |c| c.nodes[0].url.clone_from(&url))
    };
    let runtime = runtime();
    let _inside = runtime.enter();
    for (config, said) in [
        (with(&|c| c.nodes.clear()), "no node is configured"),
        (with(&|c| c.nodes.push(node.clone())), "configured twice"),
        (with(&|c| c.refresh = Duration::ZERO), "refresh"),
        (with(&|c| c.coinbase_reserve = 10), "reserve"),
        (with(&|c| c.confirmations = 0), "at least 1"),
        (with(&|c| c.blocks_dir = file.join("x")), "cannot be kept in"),
        (at("127.0.0.1:8332"), "is not the address"),
        (at("https://127.0.0.1:8332"), "is not the address"),
        (at("http://me:secret@127.0.0.1:8332"), "is not the address"),
        (at("http://"), "is not the address"),
        (at(""), "is not the address"),
    ] {
        let refused = chain::Chain::start(config, Arc::new(Ear::default()));
        let error: StartError = refused.err().unwrap();
        assert!(error.to_string().contains(said), "{error}");
    }
}
