//! The observer of templates against the real parts: two private nodes with different mempools, three
//! hearth servers on them, and blocks that leave a transaction out.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use bitcoin::{
    Address, Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime, consensus::encode::serialize_hex, opcodes, transaction::Version,
};
use serde_json::{Value, json};
use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::{self, sleep},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use twin::node::{NodeOptions, PrivateNetwork, PrivateNode};

/// Nobody has the key of it.
const MINER: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

#[test]
fn two_servers_of_one_node_are_one_maker_and_another_node_s_is_another() {
    let [one, two] = nodes_with_different_mempools();
    let hearths = [Hearth::start(&one, "/AntPool/"), Hearth::start(&one, "/poolin"), {
        Hearth::start(&two, "/ViaBTC/")
    }];
    let nobody = free_port();
    let mut arguments: Vec<String> =
        ["lab", "spread", "templates", "--json"].map(Into::into).into();
    arguments
        .extend(["--for", "15s", "--alarm-after", "3s", "--network", "regtest"].map(Into::into));
    for (name, hearth) in ["A", "B", "C"].into_iter().zip(&hearths) {
        arguments.extend(["--pool".into(), format!("{name}={},{MINER}", hearth.stratum)]);
    }
    arguments.extend(["--pool".into(), format!("gone={nobody}")]);
    // While it listens the first node finds a block that the second never hears of.
    let report = thread::scope(|scope| {
        let block = scope.spawn(|| {
            sleep(Duration::from_secs(6));
            one.generate(1, MINER).unwrap();
        });
        let report = observe(&hearths[0], &arguments);
        block.join().unwrap();
        report
    });

    let pool = |name: &str| row(&report, "pools", "name", name);
    let maker = |name: &str| pool(name)["template_maker"].clone();
    assert_eq!(maker("A"), maker("B"), "{report:#}");
    assert_ne!(maker("A"), maker("C"), "{report:#}");
    assert_eq!(maker("gone"), Value::Null);
    assert!(pool("gone")["trouble"].as_str().unwrap().contains("cannot be reached"));
    let effective = row(&report, "metrics", "metric", "effective number");
    // Of three alike two are one: 1 / (4/9 + 1/9).
    let [by_pool, by_cluster] = ["by_pool", "by_cluster"].map(|by| effective[by].as_f64().unwrap());
    assert!((by_pool - 3.0).abs() < 1e-9 && (by_cluster - 1.8).abs() < 1e-9, "{effective}");
    assert!(report["finding"].as_str().unwrap().contains("2 makers"), "{report:#}");
    // A coinbase is read to its tag and its payee.
    let coinbase = |name: &str| row(&report, "coinbases", "name", name);
    assert_eq!(
        (&coinbase("A")["tag"], &coinbase("C")["tag"]),
        (&json!("AntPool"), &json!("ViaBTC"))
    );
    assert!(coinbase("B")["pays"].as_str().unwrap().starts_with(MINER), "{report:#}");
    // A and B moved to the new block, with empty work first; C did not.
    assert!(pool("A")["empty_jobs"].as_u64().unwrap() > 0, "{report:#}");
    let alarms = report["alarms"].as_array().unwrap();
    assert_eq!(alarms.len(), 1, "{report:#}");
    assert_eq!((&alarms[0]["pool"], &alarms[0]["state"]), (&json!("C"), &json!("NOW")));
    assert_eq!(alarms[0]["kind"], "stays on an older block");
    let tip = one.rpc("getbestblockhash", json!([])).unwrap();
    assert_eq!(alarms[0]["tip"], tip);
}

#[test]
fn what_a_miner_leaves_out_block_after_block_is_in_the_ledger_of_the_own_node() {
    let [one, two] = nodes_with_different_mempools();
    let hearth = Hearth::start(&one, "/hearth/");
    let arguments = ["lab", "spread", "templates", "--json", "-c", "hearth.toml", "--for", "14s"];
    let report = thread::scope(|scope| {
        let blocks = scope.spawn(|| {
            for round in 0..3 {
                sleep(Duration::from_secs(3));
                // A block of a miner that has other transactions, brought over by hand.
                let hash = two.generate(1, MINER).unwrap().pop().unwrap();
                let block = two.rpc("getblock", json!([hash, 0])).unwrap();
                assert_eq!(one.rpc("submitblock", json!([block])).unwrap(), Value::Null);
                let (coin, value) = coinbase_of(&two, 41 + round);
                send(&two, &spend(coin, value, 2));
            }
        });
        let report = observe(&hearth, &arguments.map(Into::into));
        blocks.join().unwrap();
        report
    });
    let blocks = &report["blocks"][0];
    assert_eq!((&blocks["pool"], &blocks["blocks"]), (&json!("unknown"), &json!(3)), "{report:#}");
    // Ten transactions that only the own node has were left out of each.
    assert_eq!(blocks["missed"], 30, "{report:#}");
    assert!(blocks["foreign"].as_u64().unwrap() >= 10, "{report:#}");
    let missing = report["missing"].as_array().unwrap();
    assert_eq!(missing.len(), 10);
    assert!(missing.iter().all(|line| line["misses"] == 3), "{report:#}");
    // They are seconds old: three misses are not yet enough.
    let evidence = missing[0]["log_likelihood"].as_f64().unwrap();
    assert!(evidence > 0.1 && evidence < 3.0, "{evidence}");
    assert_eq!(blocks["verdict"], "nothing to see");

    // The same chain, counted by who signed it.
    let report =
        observe(&hearth, &["lab", "spread", "blocks", "--blocks", "5", "--json"].map(Into::into));
    assert!(report["finding"].as_str().unwrap().starts_with("Of the last 5 blocks: 1 of 1"));
    assert_eq!(
        report["inputs"]["blocks"]["source"],
        format!("own node, height {}", one.height().unwrap())
    );
}

#[test]
fn after_a_reorganisation_only_the_blocks_behind_the_fork_are_compared() {
    let [node, _] = nodes_with_different_mempools();
    let hearth = Hearth::start(&node, "/hearth/");
    let arguments = ["lab", "spread", "templates", "--json", "-c", "hearth.toml", "--for", "8s"];
    let report = thread::scope(|scope| {
        let blocks = scope.spawn(|| {
            sleep(Duration::from_secs(3));
            let tip = node.rpc("getbestblockhash", json!([])).unwrap();
            node.rpc("invalidateblock", json!([tip])).unwrap();
            node.generate(2, MINER).unwrap();
        });
        let report = observe(&hearth, &arguments.map(Into::into));
        blocks.join().unwrap();
        report
    });
    let blocks = &report["blocks"][0];
    assert_eq!((&blocks["blocks"], &blocks["missed"]), (&json!(2), &json!(0)), "{report:#}");
}

#[test]
fn what_cannot_be_read_ends_with_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pools.csv"), "name,share\na,0.6\nb,0.3\n").unwrap();
    for (arguments, code, said) in [
        (&["metrics", "pools.csv"][..], 1, "the shares add up to 0.900, not to 1"),
        (&["metrics", "none.csv"], 1, "none.csv cannot be read"),
        (&["shift"], 2, "--percent"),
        (&["shift", "--percent", "120"], 2, "above 0 and below 100"),
        (&["shift", "--percent", "5", "--to", "ship"], 2, "is no kind of machine"),
        (&["shift", "--percent", "5", "--to", "own"], 1, "own machines have no default"),
        (&["machines", "--machine", "home=1kW,-3,2000"], 2, "efficiency"),
        (&["machines", "--network-hashrate", "0"], 1, "the network has no hashrate"),
        (&["templates"], 2, "--pool"),
        (&["templates", "--pool", "somewhere"], 2, "is not a pool"),
        (&["templates", "--pool", "h:1", "--threshold", "7"], 1, "at most 1"),
        (&["blocks", "-c", "none.toml"], 2, "none.toml"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        command.args(["lab", "spread"]).args(arguments).current_dir(folder.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said), "{arguments:?}: {text}");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    }
}

/// Two nodes with one chain and ten transactions each that the other has not.
fn nodes_with_different_mempools() -> [PrivateNode; 2] {
    let start = || {
        let options = NodeOptions { listen: true, ..NodeOptions::new(PrivateNetwork::Regtest) };
        PrivateNode::start(options).unwrap()
    };
    let (one, two) = (start(), start());
    two.connect_to(&one).unwrap();
    let address = Address::p2wsh(&open_script(), bitcoin::Network::Regtest).to_string();
    one.generate(170, &address).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while two.height().unwrap() < 170 {
        assert!(Instant::now() < deadline, "the nodes do not come to one chain");
        sleep(Duration::from_millis(50));
    }
    two.disconnect().unwrap();
    one.disconnect().unwrap();
    // Ten coins to spend, each confirmed for 100 blocks.
    for (node, first) in [(&one, 1), (&two, 30)] {
        let (coin, value) = coinbase_of(node, first);
        let fan = spend(coin, value, 9);
        send(node, &fan);
        for height in first + 1..first + 10 {
            let (coin, value) = coinbase_of(node, height);
            send(node, &spend(coin, value, 1));
        }
    }
    [one, two]
}

fn open_script() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![opcodes::OP_TRUE.to_u8()])
}

fn coinbase_of(node: &PrivateNode, height: u64) -> (OutPoint, u64) {
    let hash = node.rpc("getblockhash", json!([height])).unwrap();
    let block = node.rpc("getblock", json!([hash, 2])).unwrap();
    let id = block["tx"][0]["txid"].as_str().unwrap();
    let btc = block["tx"][0]["vout"][0]["value"].as_f64().unwrap();
    (OutPoint::new(id.parse().unwrap(), 0), Amount::from_btc(btc).unwrap().to_sat())
}

fn spend(from: OutPoint, value: u64, count: usize) -> Transaction {
    let each = (value - 20_000) / count as u64;
    let output = TxOut { value: Amount::from_sat(each), script_pubkey: open_script().to_p2wsh() };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: from,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[open_script().as_bytes()]),
        }],
        output: vec![output; count],
    }
}

fn send(node: &PrivateNode, transaction: &Transaction) {
    node.rpc("sendrawtransaction", json!([serialize_hex(transaction)])).unwrap();
}

/// Runs the program in the folder of a server's configuration and reads its JSON.
fn observe(hearth: &Hearth, arguments: &[String]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.args(arguments).current_dir(hearth.folder.path()).env("RUST_LOG", "error");
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn row<'a>(report: &'a Value, table: &str, key: &str, name: &str) -> &'a Value {
    let rows = report[table].as_array().unwrap();
    rows.iter().find(|row| row[key] == name).unwrap_or_else(|| panic!("{name}: {report:#}"))
}

/// A server as a process of its own.
struct Hearth {
    process: Child,
    stratum: SocketAddr,
    folder: TempDir,
}

impl Hearth {
    fn start(node: &PrivateNode, tag: &str) -> Self {
        let (stratum, web) = (free_port(), free_port());
        let folder = tempfile::tempdir().unwrap();
        let (url, cookie): (String, PathBuf) = (node.rpc_url(), node.cookie_path());
        let text = format!(
            "network = \"regtest\"\n[[node]]\nurl = \"{url}\"\ncookie = \"{}\"\n\
             [template]\ntag = \"{tag}\"\n\
             [[stratum.port]]\nlisten = \"{stratum}\"\n[web]\nlisten = \"{web}\"\n",
            cookie.display()
        );
        fs::write(folder.path().join("hearth.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        command.args(["serve", "-c", "hearth.toml"]).current_dir(folder.path());
        command.env("RUST_LOG", "error").stdin(Stdio::null()).stdout(Stdio::null());
        let mut hearth = Self { process: command.spawn().unwrap(), stratum, folder };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(stratum).is_err() {
            assert!(hearth.process.try_wait().unwrap().is_none(), "the program has ended");
            assert!(Instant::now() < deadline, "the program does not come up");
            sleep(Duration::from_millis(50));
        }
        hearth
    }
}

impl Drop for Hearth {
    fn drop(&mut self) {
        // May have ended by itself already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
