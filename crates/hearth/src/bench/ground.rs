//! The ground a benchmark stands on: a private signet with some thousand transactions waiting, and
//! this program serving it as a process of its own.

use super::Error;
use bitcoin::{
    Address, Amount, Block, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction,
    TxIn, TxMerkleNode, TxOut, Txid, Witness, WitnessMerkleNode,
    absolute::LockTime,
    block::{self, Header},
    consensus::encode::{serialize, serialize_hex},
    hashes::Hash,
    opcodes::OP_TRUE,
    script::PushBytes,
    transaction::Version,
};
use serde_json::{Value, json};
use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use stratum::hash::header_hash;
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
        let node = PrivateNode::start(NodeOptions {
            // Tells when exactly the node had a block.
            arguments: vec!["-logtimemicros=1".into()],
            ..NodeOptions::new(PrivateNetwork::Signet)
        })?;
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
        let mut ground = Self { node, server, process, address, _folder: folder };
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

    /// Ends our own server; the node and its full mempool stay.
    pub fn give_way(&mut self) -> Result<(), Error> {
        self.stop_server();
        Ok(())
    }

    /// What another server's configuration needs to know.
    pub fn how_to_reach_the_node(&self) -> Result<String, Error> {
        let cookie = fs::read_to_string(self.node.cookie_path())?;
        let (user, password) = cookie.split_once(':').ok_or("the node's cookie has no colon")?;
        Ok(format!(
            "node: {} user {user} password {password} address {}",
            self.node.rpc_url(),
            self.address
        ))
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn user(&self) -> String {
        format!("{}.w{{i}}", self.address)
    }

    /// Gives the node a new block without transactions, so that all still wait, and the moment at
    /// which the node by its own log had it for its tip.
    pub fn new_block(&self) -> Result<Instant, String> {
        let template = self
            .node
            .rpc("getblocktemplate", json!([{"rules": ["segwit", "signet"]}]))
            .map_err(|error| error.to_string())?;
        let block = empty_block(&template).ok_or("the node's template cannot be read")?;
        let answer = self.node.rpc("submitblock", json!([serialize_hex(&block)]));
        match answer.map_err(|error| error.to_string())? {
            Value::Null => self.tip_since(&block.block_hash().to_string()),
            refused => Err(format!("the node refused the block: {refused}")),
        }
    }

    fn tip_since(&self, hash: &str) -> Result<Instant, String> {
        let log = self.node.folder().join("signet/debug.log");
        let log =
            fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let line = log
            .lines()
            .rev()
            .find(|line| line.contains("UpdateTip: new best") && line.contains(hash));
        let at = line.and_then(|line| microseconds(line.split(' ').next()?));
        let at = at.ok_or("the node's log does not tell when it had the block")?;
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
        let ago = now.saturating_sub(Duration::from_micros(at));
        Instant::now().checked_sub(ago).ok_or_else(|| "the node's clock is off".to_string())
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
        let mut splits = Vec::new();
        for height in 1..=TRANSACTIONS.div_ceil(SPLIT) {
            let hash = self.node.rpc("getblockhash", json!([height]))?;
            let block = self.node.rpc("getblock", json!([hash, 2]))?;
            let coinbase = &block["tx"][0];
            let txid: Txid = coinbase["txid"].as_str().unwrap_or_default().parse()?;
            let value = coinbase["vout"][0]["value"].as_f64().unwrap_or(0.0);
            let each = ((value * 1e8) as u64 - 200_000) / SPLIT as u64;
            let split = spend(OutPoint::new(txid, 0), each, SPLIT);
            let txid = split.compute_txid();
            coins.extend((0..SPLIT as u32).map(|n| (OutPoint::new(txid, n), each)));
            splits.push(serialize_hex(&split));
        }
        for split in splits {
            self.node.rpc("sendrawtransaction", json!([split]))?;
        }
        // Confirmed, so that what spends them is not one cluster too large for a mempool.
        self.node.rpc("generatetoaddress", json!([1, self.address, 1_000_000_000]))?;
        for (coin, value) in coins.into_iter().take(TRANSACTIONS) {
            let transaction = serialize_hex(&spend(coin, value - FEE, 1));
            self.node.rpc("sendrawtransaction", json!([transaction]))?;
        }
        // The template that carries them comes with the next refresh or tip.
        self.new_block().map_err(io::Error::other)?;
        sleep(Duration::from_secs(1));
        Ok(())
    }
}

impl Ground {
    fn stop_server(&mut self) {
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

impl Drop for Ground {
    fn drop(&mut self) {
        self.stop_server();
    }
}

/// Waits, as long as it takes, until somebody listens there; gives the processes that do.
pub fn wait_for(server: SocketAddr) -> Result<Vec<u32>, Error> {
    while TcpStream::connect(server).is_err() {
        sleep(Duration::from_millis(100));
    }
    let pids = listeners(server.port())?;
    match pids.is_empty() {
        true => {
            Err(format!("no process of this machine that we may see listens on {server}").into())
        }
        false => Ok(pids),
    }
}

/// Processes with a listening socket on this port.
fn listeners(port: u16) -> io::Result<Vec<u32>> {
    const LISTEN: &str = "0A";
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let [_, local, _, LISTEN, ..] = fields[..] else { continue };
            if local.ends_with(&format!(":{port:04X}"))
                && let Some(inode) = fields.get(9)
            {
                sockets.push(format!("socket:[{inode}]"));
            }
        }
    }
    let holds = |pid: u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut links = files.filter_map(|file| fs::read_link(file.path()).ok());
        links.any(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str()))
    };
    let processes = fs::read_dir("/proc")?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter(|pid| holds(*pid)).collect())
}

/// Microseconds since 1970 of a time such as `2026-11-21T04:02:57.771104Z`.
fn microseconds(time: &str) -> Option<u64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    // Days from civil (Howard Hinnant): the year begins in March, so that leap days come last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let mut clock = clock.split([':', '.']).map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    let micros = clock.next()??;
    Some(
        (u64::try_from(days).ok()? * 86_400 + hours * 3600 + minutes * 60 + seconds) * 1_000_000
            + micros,
    )
}

/// A block with nothing but its coinbase, solved here: the node's own miner would take the waiting
/// transactions along.
fn empty_block(template: &Value) -> Option<Block> {
    let number = |key: &str| template[key].as_u64();
    let height = i64::try_from(number("height")?).ok()?;
    let bits = u32::from_str_radix(template["bits"].as_str()?, 16).ok()?;
    let reserved = [0; 32];
    let commitment = Block::compute_witness_commitment(&WitnessMerkleNode::all_zeros(), &reserved);
    let commitment = [&[0xaa, 0x21, 0xa9, 0xed][..], commitment.as_ref()].concat();
    let commitment: &PushBytes = commitment.as_slice().try_into().ok()?;
    let coinbase = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::builder().push_int(height).push_int(0).into_script(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[reserved]),
        }],
        output: vec![
            TxOut { value: Amount::from_int_btc(50), script_pubkey: anyone_can_spend().to_p2wsh() },
            TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new_op_return(commitment) },
        ],
    };
    let mut block = Block {
        header: Header {
            version: block::Version::from_consensus(number("version")? as i32),
            prev_blockhash: template["previousblockhash"].as_str()?.parse().ok()?,
            merkle_root: TxMerkleNode::from_raw_hash(coinbase.compute_txid().to_raw_hash()),
            time: number("curtime")? as u32,
            bits: CompactTarget::from_consensus(bits),
            nonce: 0,
        },
        txdata: vec![coinbase],
    };
    let target = block.header.target().to_le_bytes();
    let mut header: [u8; 80] = serialize(&block.header).try_into().ok()?;
    for nonce in 0..u32::MAX {
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        let hash = header_hash(&header);
        if hash.iter().rev().le(target.iter().rev()) {
            block.header.nonce = nonce;
            return Some(block);
        }
    }
    None
}

/// A script that needs no signature, so that no wallet is needed.
fn anyone_can_spend() -> ScriptBuf {
    ScriptBuf::builder().push_opcode(OP_TRUE).into_script()
}

fn spend(coin: OutPoint, each: u64, count: usize) -> Transaction {
    let script = anyone_can_spend();
    let output = TxOut { value: Amount::from_sat(each), script_pubkey: script.to_p2wsh() };
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

/// A port that nobody listens on now.
pub fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_the_nodes_log_are_read() {
        assert_eq!(microseconds("1970-01-01T00:00:00.000001Z"), Some(1));
        assert_eq!(microseconds("2024-02-29T12:34:56.000789Z"), Some(1_709_210_096_000_789));
        assert_eq!(microseconds("2026-11-21T04:02:57.771104Z"), Some(1_795_233_777_771_104));
        assert_eq!(microseconds("yesterday"), None);
    }
}
