//! The ground a benchmark stands on: a private signet with some thousand transactions waiting, and
//! this program serving it as a process of its own.

use super::Error;
use bitcoin::{
    Address, Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid,
    Witness, absolute::LockTime, consensus::encode::serialize_hex, opcodes::OP_TRUE,
    transaction::Version,
};
use serde_json::{Value, json};
use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use twin::{
    miner::{Miner, MinerConfig},
    node::{NodeOptions, PrivateNetwork, PrivateNode},
};

/// Coins must be this deep before they can be spent (consensus).
const MATURITY: u64 = 100;
/// Waiting transactions: with the coinbase a tree of 12 levels.
const TRANSACTIONS: usize = 2500;
/// Outputs of one splitting transaction: standard transactions end at 100 kvB.
const SPLIT: usize = 1250;
const FEE: u64 = 2000;

pub struct Ground {
    node: PrivateNode,
    server: SocketAddr,
    process: Child,
    address: String,
    _folder: TempDir,
}

impl Ground {
    pub fn prepare(say: &dyn Fn(&str)) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("hearth-bench-").tempdir()?;
        let node = PrivateNode::start(NodeOptions::new(PrivateNetwork::Signet))?;
        let server = free_port()?;
        let file = folder.path().join("hearth.toml");
        fs::write(&file, configuration(&node, server, free_port()?))?;
        let process = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log"))?)
            .spawn()?;
        let script = anyone_can_spend();
        let address = Address::from_script(&script.to_p2wsh(), Network::Signet)?.to_string();
        let mut ground = Self {
            node,
            server,
            process,
            address,
            _folder: folder,
        };
        ground.wait_until_it_listens()?;
        say("mining coins to fill the mempool with (half a minute) …");
        ground.mine_to(MATURITY + 3)?;
        say("filling the mempool …");
        ground.fill_mempool()?;
        Ok(ground)
    }

    pub fn server(&self) -> SocketAddr {
        self.server
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn user(&self) -> String {
        format!("{}.w{{i}}", self.address)
    }

    /// Gives the node a new block without transactions, so that all still wait, and the moment just
    /// before it had it.
    pub fn new_block(&self) -> Result<Instant, String> {
        let made = self
            .node
            .rpc("generateblock", json!([self.address, [], false]))
            .map_err(|error| error.to_string())?;
        let at = Instant::now();
        let answer = self.node.rpc("submitblock", json!([made["hex"]]));
        match answer.map_err(|error| error.to_string())? {
            Value::Null => Ok(at),
            refused => Err(format!("the node refused the block: {refused}")),
        }
    }

    fn wait_until_it_listens(&mut self) -> Result<(), Error> {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if TcpStream::connect(self.server).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                let log = fs::read_to_string(self._folder.path().join("log"))?;
                return Err(format!("the server ended ({status}): {log}").into());
            }
            sleep(Duration::from_millis(20));
        }
        Err("the server does not listen".into())
    }

    /// Two processor miners work until the chain is that high.
    fn mine_to(&self, height: u64) -> Result<(), Error> {
        let miner = Miner::start(MinerConfig {
            threads: 2,
            password: "d=0.0005".into(),
            ..MinerConfig::new(self.server.to_string(), self.address.clone())
        })?;
        let end = Instant::now() + Duration::from_secs(600);
        while self.node.height()? < height {
            if Instant::now() > end {
                return Err("mining the coins takes too long".into());
            }
            sleep(Duration::from_millis(100));
        }
        miner.stop();
        Ok(())
    }

    fn fill_mempool(&self) -> Result<(), Error> {
        let mut coins = Vec::new();
        for height in 1..=TRANSACTIONS.div_ceil(SPLIT) {
            let hash = self.node.rpc("getblockhash", json!([height]))?;
            let block = self.node.rpc("getblock", json!([hash, 2]))?;
            let coinbase = &block["tx"][0];
            let txid: Txid = coinbase["txid"].as_str().unwrap_or_default().parse()?;
            let value = coinbase["vout"][0]["value"].as_f64().unwrap_or(0.0);
            let each = ((value * 1e8) as u64 - 200_000) / SPLIT as u64;
            let split = spend(OutPoint::new(txid, 0), each, SPLIT);
            self.send(&split)?;
            let txid = split.compute_txid();
            coins.extend((0..SPLIT as u32).map(|n| (OutPoint::new(txid, n), each)));
        }
        let height = self.node.height()?;
        self.mine_to(height + 1)?;
        for (coin, value) in coins.into_iter().take(TRANSACTIONS) {
            self.send(&spend(coin, value - FEE, 1))?;
        }
        // The template that carries them comes with the next refresh or tip.
        self.new_block().map_err(io::Error::other)?;
        sleep(Duration::from_secs(1));
        Ok(())
    }

    fn send(&self, transaction: &Transaction) -> Result<(), Error> {
        self.node
            .rpc("sendrawtransaction", json!([serialize_hex(transaction)]))?;
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.process.id())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            // If it has ended by itself there is nothing to stop.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let end = Instant::now() + Duration::from_secs(10);
        while let Ok(None) = self.process.try_wait() {
            if Instant::now() > end {
                let _ = self.process.kill();
            }
            sleep(Duration::from_millis(20));
        }
    }
}

/// A script that needs no signature, so that no wallet is needed.
fn anyone_can_spend() -> ScriptBuf {
    ScriptBuf::builder().push_opcode(OP_TRUE).into_script()
}

fn spend(coin: OutPoint, each: u64, count: usize) -> Transaction {
    let script = anyone_can_spend();
    let output = TxOut {
        value: Amount::from_sat(each),
        script_pubkey: script.to_p2wsh(),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: coin,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[script.as_bytes()]),
        }],
        output: vec![output; count],
    }
}

fn configuration(node: &PrivateNode, server: SocketAddr, web: SocketAddr) -> String {
    format!(
        r#"network = "signet"
data_dir = "data"
[[node]]
url = "{}"
cookie = "{}"
[stratum.limits]
connections_per_address = 100000
[[stratum.port]]
listen = "{server}"
# Every fourth hash is a share: what is measured is the server, not the luck.
start_difficulty = 1e-9
min_difficulty = 1e-9
fractional = true
vardiff = false
[web]
listen = "{web}"
"#,
        node.rpc_url(),
        node.cookie_path().display(),
    )
}

fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
