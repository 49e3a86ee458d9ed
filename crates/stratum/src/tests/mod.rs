//! The engine spoken to as a miner would, without sockets. What miners compute is computed here with
//! the `bitcoin` crate alone, so that it cannot repeat a mistake of ours.

mod jobs;
mod quirks;
mod shares;
mod steer;
mod sv2;

use crate::{
    Closed, Config, Delta, Opened, Port, Sink,
    coinbase::{Coinbase, EXTRANONCE1_SIZE, Payout},
    engine::{Engine, Now, Shared},
    job::{Job, instance_of},
    target_of,
};
use bitcoin::{
    BlockHash, CompactTarget, Target, Transaction,
    block::{Header, Version},
    consensus::deserialize,
    hashes::{Hash, sha256d},
};
use chain::{SolvedBlock, Template};
use serde_json::{Value, json};
use std::{
    io,
    sync::{Arc, Mutex},
    time::Instant,
};
use units::{Difficulty, Sats};

pub(crate) const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
pub(super) const NOW: u64 = 1_900_000_000;
/// Signet's easiest target: a block takes about five million hashes, a share here some hundred.
const SIGNET_BITS: u32 = 0x1e03_77ae;
const EASY: f64 = 1.0 / (1u64 << 26) as f64;

/// Keeps what the engine hands on.
#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) solved: Mutex<Vec<SolvedBlock>>,
    pub(crate) work: Mutex<Vec<Delta>>,
    pub(super) full: Mutex<bool>,
    pub(super) opened: Mutex<Vec<Opened>>,
    pub(super) closed: Mutex<Vec<Closed>>,
}

impl Sink for Recording {
    fn solved(&self, block: SolvedBlock) -> io::Result<()> {
        self.solved.lock().unwrap().push(block);
        Ok(())
    }

    fn work(&self, batch: Vec<Delta>) -> Result<(), Vec<Delta>> {
        if *self.full.lock().unwrap() {
            return Err(batch);
        }
        self.work.lock().unwrap().extend(batch);
        Ok(())
    }

    fn session_opened(&self, session: Opened) {
        self.opened.lock().unwrap().push(session);
    }

    fn session_closed(&self, session: Closed) {
        self.closed.lock().unwrap().push(session);
    }
}

pub(super) struct Rig {
    pub(super) engine: Engine,
    pub(super) sink: Arc<Recording>,
    number: u32,
}

pub(crate) fn easy_port() -> Port {
    Port { start_difficulty: EASY, min_difficulty: EASY, vardiff: false, ..Port::default() }
}

pub(crate) fn config() -> Config {
    Config { ports: vec![easy_port()], network: chain::Network::Regtest, ..Config::default() }
}

/// A template on the given tip with that many merkle branches.
pub(crate) fn template(height: u32, tip: u8, branches: u8, bits: u32) -> Template {
    let bits = CompactTarget::from_consensus(bits);
    Template {
        height,
        prev_hash: BlockHash::from_byte_array(std::array::from_fn(|i| tip ^ i as u8)),
        version: 0x2000_0000,
        bits,
        target: Target::from_compact(bits),
        min_time: NOW as u32 - 600,
        time: NOW as u32,
        coinbase_value: Sats(5_000_000_000),
        witness_commitment: (branches > 0)
            .then(|| [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &[7; 32]].concat()),
        merkle_branch: (0..branches).map(|i| [i + 1; 32]).collect(),
        transactions: Vec::new(),
        transaction_count: usize::from(branches),
        learned: Instant::now(),
    }
}

impl Rig {
    pub(super) fn new(config: Config) -> Self {
        let sink = Arc::new(Recording::default());
        let fallback = config.fallback_address.as_deref();
        let fallback = fallback.map(|text| Payout::parse(text, config.network).unwrap());
        let shared = Arc::new(Shared::new(config, fallback, 0x0102_0304));
        let mut engine = Engine::new(shared, sink.clone());
        engine.now = Now { ms: 1000, unix: NOW };
        Self { engine, sink, number: 0 }
    }

    /// A rig with a job on tip 1 and 12 branches.
    pub(super) fn working() -> Self {
        let mut rig = Self::new(config());
        rig.job(template(800_000, 1, 12, SIGNET_BITS), true);
        rig
    }

    pub(super) fn job(&mut self, template: Template, new_tip: bool) -> Vec<(usize, Value)> {
        self.number += 1;
        let config = &self.engine.shared.config;
        let extranonce = EXTRANONCE1_SIZE + config.extranonce2_size;
        let coinbase = Coinbase::new(
            &template,
            &config.tag,
            instance_of(*b"instance", self.number),
            extranonce,
        );
        let job = Job::new(self.number, Arc::new(template), coinbase);
        self.engine.take_job(Arc::new(job), new_tip);
        let keys: Vec<usize> = self.engine.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.engine.announce(key);
        }
        self.sent()
    }

    pub(super) fn connect(&mut self) -> usize {
        self.engine.open("127.0.0.1:4444".parse().unwrap(), 0)
    }

    /// Lines for anybody since the last time, with their receivers.
    pub(super) fn sent(&mut self) -> Vec<(usize, Value)> {
        self.engine.settle();
        let mut lines = Vec::new();
        for (key, bytes) in self.engine.out.iter() {
            assert!(bytes.ends_with(b"\n"));
            for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                let value = serde_json::from_slice(line);
                lines.push((
                    key,
                    value.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(line))),
                ));
            }
        }
        self.engine.out.clear();
        lines
    }

    /// Says something in one segment and gives what comes back.
    pub(super) fn say(&mut self, key: usize, text: &str) -> Vec<Value> {
        self.engine.receive(key, text.as_bytes());
        self.sent().into_iter().filter(|(to, _)| *to == key).map(|(_, line)| line).collect()
    }

    /// The one line that comes back.
    pub(super) fn ask(&mut self, key: usize, text: &str) -> Value {
        let mut lines = self.say(key, &format!("{text}\n"));
        assert_eq!(lines.len(), 1, "{text} -> {lines:?}");
        lines.remove(0)
    }

    /// A session with all the usual extras, and what it was sent with its first job.
    pub(super) fn miner(&mut self) -> (Miner, Vec<Value>) {
        let key = self.connect();
        let lines = self.say(
            key,
            &format!(
                concat!(
                    r#"{{"id":1,"method":"mining.configure","params":[["version-rolling"],"#,
                    r#"{{"version-rolling.mask":"ffffffff","version-rolling.min-bit-count":2}}]}}"#,
                    "\n",
                    r#"{{"id":2,"method":"mining.subscribe","params":["test/1.0"]}}"#,
                    "\n",
                    r#"{{"id":3,"method":"mining.authorize","params":["{}.rig","x"]}}"#,
                    "\n"
                ),
                ADDRESS
            ),
        );
        let mut miner = Miner::new(key);
        lines.iter().for_each(|line| miner.hear(line));
        (miner, lines)
    }

    pub(super) fn submit(&mut self, miner: &Miner, share: &Share) -> Value {
        self.ask(miner.key, &share.line())
    }
}

/// The code of a reject, or 0 for an accepted share.
pub(super) fn code(answer: &Value) -> i64 {
    if answer["result"] == true {
        assert_eq!(answer["error"], Value::Null);
        return 0;
    }
    assert_eq!(answer["result"], Value::Null, "{answer}");
    answer["error"][0].as_i64().unwrap()
}

/// What a miner knows.
#[derive(Clone)]
pub(crate) struct Miner {
    pub(super) key: usize,
    pub(super) extranonce1: String,
    pub(super) size: usize,
    pub(crate) difficulty: f64,
    pub(crate) notify: Value,
}

#[derive(Clone)]
pub(crate) struct Share {
    pub(super) user: Value,
    pub(super) job: Value,
    pub(super) extranonce2: String,
    pub(super) time: Value,
    pub(super) nonce: Value,
    pub(super) version: Option<Value>,
    pub(crate) hash: BlockHash,
}

impl Share {
    pub(crate) fn line(&self) -> String {
        let mut params = vec![
            self.user.clone(),
            self.job.clone(),
            json!(self.extranonce2),
            self.time.clone(),
            self.nonce.clone(),
        ];
        params.extend(self.version.clone());
        json!({"id": 9, "method": "mining.submit", "params": params}).to_string()
    }
}

impl Miner {
    /// Knows nothing yet.
    pub(crate) fn new(key: usize) -> Self {
        Self { key, extranonce1: String::new(), size: 0, difficulty: 0.0, notify: Value::Null }
    }

    pub(crate) fn hear(&mut self, line: &Value) {
        if let Some(result) = line["result"].as_array() {
            self.extranonce1 = result[1].as_str().unwrap().into();
            self.size = result[2].as_u64().unwrap() as usize;
        }
        match line["method"].as_str() {
            Some("mining.set_difficulty") => self.difficulty = line["params"][0].as_f64().unwrap(),
            Some("mining.set_extranonce") => {
                self.extranonce1 = line["params"][0].as_str().unwrap().into();
            }
            Some("mining.notify") => self.notify = line["params"].clone(),
            _ => {}
        }
    }

    pub(super) fn coinbase(&self, extranonce2: &str) -> Vec<u8> {
        let text = |at: usize| self.notify[at].as_str().unwrap();
        let hex = format!("{}{}{extranonce2}{}", text(2), self.extranonce1, text(3));
        const_hex::decode(hex).unwrap()
    }

    /// The header that a miner would hash.
    pub(super) fn header(&self, extranonce2: &str, time: u32, nonce: u32, version: u32) -> Header {
        let coinbase = self.coinbase(extranonce2);
        let transaction: Transaction = deserialize(&coinbase).unwrap();
        let mut root = transaction.compute_txid().to_byte_array();
        for sibling in self.notify[4].as_array().unwrap() {
            let sibling = const_hex::decode(sibling.as_str().unwrap()).unwrap();
            root = sha256d::Hash::hash(&[&root[..], &sibling].concat()).to_byte_array();
        }
        let mut previous = const_hex::decode(self.notify[1].as_str().unwrap()).unwrap();
        previous.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        let bits = u32::from_str_radix(self.notify[6].as_str().unwrap(), 16).unwrap();
        Header {
            version: Version::from_consensus(version as i32),
            prev_blockhash: BlockHash::from_slice(&previous).unwrap(),
            merkle_root: bitcoin::TxMerkleNode::from_byte_array(root),
            time,
            bits: CompactTarget::from_consensus(bits),
            nonce,
        }
    }

    pub(crate) fn job_version(&self) -> u32 {
        u32::from_str_radix(self.notify[5].as_str().unwrap(), 16).unwrap()
    }

    /// A share of at least the difficulty in force, with nothing rolled but the nonce.
    pub(super) fn share(&self, extranonce2: u64) -> Share {
        self.share_with(extranonce2, NOW as u32, self.job_version(), None, self.difficulty)
    }

    pub(crate) fn share_with(
        &self,
        extranonce2: u64,
        time: u32,
        version: u32,
        bits: Option<u32>,
        difficulty: f64,
    ) -> Share {
        let extranonce2 = format!("{extranonce2:0width$x}", width = 2 * self.size);
        let target = target_of(Difficulty::new(difficulty).unwrap());
        let mut header = self.header(&extranonce2, time, 0, version);
        while !target.is_met_by(header.block_hash()) {
            header.nonce += 1;
        }
        Share {
            user: json!(format!("{ADDRESS}.rig")),
            job: self.notify[0].clone(),
            extranonce2,
            time: json!(format!("{time:08x}")),
            nonce: json!(format!("{:08x}", header.nonce)),
            version: bits.map(|bits| json!(format!("{bits:08x}"))),
            hash: header.block_hash(),
        }
    }
}
