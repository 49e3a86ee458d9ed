//! A private node, a chain on it, and a listener that remembers what it was told.

use bitcoin::{
    Address, Amount, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode,
    TxOut, Witness, absolute::LockTime, consensus::serialize, hashes::Hash, opcodes, script,
    transaction::Version,
};
use chain::{
    Auth, BlockReport, BlockState, Chain, Config, Listener, Network, NodeConfig, SolvedBlock,
    Template, Trouble,
};
use serde_json::json;
use std::{
    ops::Deref,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;
use twin::node::{NodeOptions, PrivateNetwork, PrivateNode};

pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn regtest() -> PrivateNode {
    PrivateNode::start(NodeOptions::new(PrivateNetwork::Regtest)).unwrap()
}

pub fn config_of(node: &PrivateNode) -> NodeConfig {
    NodeConfig { url: node.rpc_url(), auth: Auth::Cookie(node.cookie_path()) }
}

pub fn network_of(node: &PrivateNode) -> Network {
    match node.network() {
        PrivateNetwork::Signet => Network::Signet,
        PrivateNetwork::Regtest => Network::Regtest,
    }
}

/// Pays to a script that anybody can spend with a witness.
pub fn open_script() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![opcodes::OP_TRUE.to_u8()])
}

pub fn open_address(network: Network) -> String {
    Address::p2wsh(&open_script(), network.to_bitcoin()).to_string()
}

pub fn mine(node: &PrivateNode, blocks: u32) -> Vec<String> {
    let address = open_address(network_of(node));
    node.generate(blocks, &address).unwrap()
}

/// Spends `from`, an output of [`open_address`], into `count` such outputs.
pub fn spend(from: OutPoint, value: u64, count: usize) -> Transaction {
    let each = (value - 20_000 - 50 * count as u64) / count as u64;
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

pub fn send(node: &PrivateNode, transaction: &Transaction) {
    let hex = const_hex::encode(serialize(transaction));
    node.rpc("sendrawtransaction", json!([hex])).unwrap();
}

/// The coinbase of a block that [`mine`] has made.
pub fn coinbase_of(node: &PrivateNode, block: &str) -> (OutPoint, u64) {
    let block = node.rpc("getblock", json!([block, 2])).unwrap();
    let id = block["tx"][0]["txid"].as_str().unwrap();
    let btc = block["tx"][0]["vout"][0]["value"].as_f64().unwrap();
    (OutPoint::new(id.parse().unwrap(), 0), Amount::from_btc(btc).unwrap().to_sat())
}

#[derive(Debug, Clone)]
pub enum Heard {
    Work(Arc<Template>, bool, Instant),
    Wait(Trouble),
    Block(BlockReport),
}

#[derive(Default)]
pub struct Ear {
    pub lead: Mutex<Duration>,
    heard: Mutex<Vec<Heard>>,
    more: Condvar,
}

impl Listener for Ear {
    fn work(&self, template: Arc<Template>, new_tip: bool) {
        self.note(Heard::Work(template, new_tip, Instant::now()));
    }

    fn wait(&self, trouble: &Trouble) {
        self.note(Heard::Wait(trouble.clone()));
    }

    fn block(&self, report: BlockReport) {
        self.note(Heard::Block(report));
    }

    fn lead(&self) -> Duration {
        *self.lead.lock().unwrap()
    }
}

impl Ear {
    fn note(&self, heard: Heard) {
        self.heard.lock().unwrap().push(heard);
        self.more.notify_all();
    }

    /// How much was heard so far.
    pub fn len(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    pub fn since(&self, start: usize) -> Vec<Heard> {
        self.heard.lock().unwrap()[start..].to_vec()
    }

    /// The first thing from `start` on that `pick` takes, and where the next one starts.
    #[track_caller]
    pub fn next<T>(&self, start: usize, pick: impl Fn(&Heard) -> Option<T>) -> (T, usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = self.heard.lock().unwrap();
        loop {
            let found = heard[start..].iter().enumerate();
            if let Some((at, what)) = found.into_iter().find_map(|(i, h)| Some((i, pick(h)?))) {
                return (what, start + at + 1);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not heard in {PATIENCE:?}: {:#?}", &heard[start..]);
            heard = self.more.wait_timeout(heard, left).unwrap().0;
        }
    }

    #[track_caller]
    pub fn work_on(&self, start: usize, tip: BlockHash) -> (Arc<Template>, bool, usize) {
        let ((template, new), next) = self.next(start, |heard| match heard {
            Heard::Work(template, new, _) if template.prev_hash == tip => {
                Some((template.clone(), *new))
            }
            _ => None,
        });
        (template, new, next)
    }

    #[track_caller]
    pub fn trouble(&self, start: usize) -> (Trouble, usize) {
        self.next(start, |heard| match heard {
            Heard::Wait(trouble) => Some(trouble.clone()),
            _ => None,
        })
    }

    #[track_caller]
    pub fn state(&self, start: usize, hash: BlockHash, state: &BlockState) -> (BlockReport, usize) {
        self.next(start, |heard| match heard {
            Heard::Block(report) if report.hash == hash && report.state == *state => {
                Some(report.clone())
            }
            _ => None,
        })
    }
}

/// A running chain on a runtime of its own.
pub struct Mine {
    pub ear: Arc<Ear>,
    chain: Option<Chain>,
    runtime: Runtime,
}

impl Mine {
    pub fn start(network: Network, nodes: Vec<NodeConfig>, folder: &Path) -> Self {
        let config = Config::new(network, nodes, folder.join("blocks"));
        Self::start_with(config)
    }

    pub fn start_with(config: Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let ear = Arc::new(Ear::default());
        let chain = {
            let _inside = runtime.enter();
            Chain::start(config, ear.clone()).unwrap()
        };
        Self { ear, chain: Some(chain), runtime }
    }

    pub fn stop(mut self) {
        let chain = self.chain.take().unwrap();
        self.runtime.block_on(chain.stop());
    }

    /// Ends everything at once, as a crash would.
    pub fn crash(self) {
        self.runtime.shutdown_background();
    }
}

impl Deref for Mine {
    type Target = Chain;

    fn deref(&self) -> &Chain {
        self.chain.as_ref().unwrap()
    }
}

pub fn tip(node: &PrivateNode) -> BlockHash {
    let tip = node.rpc("getbestblockhash", json!([])).unwrap();
    tip.as_str().unwrap().parse().unwrap()
}

/// Hashes until there is a block. `extra` makes different blocks of one template.
pub fn solve(template: &Arc<Template>, extra: i64) -> SolvedBlock {
    let mut output = vec![TxOut {
        value: Amount::from_sat(template.coinbase_value.0),
        script_pubkey: open_script().to_p2wsh(),
    }];
    if let Some(script) = &template.witness_commitment {
        output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::from_bytes(script.clone()),
        });
    }
    let coinbase = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: script::Builder::new()
                .push_int(template.height.into())
                .push_int(extra)
                .push_slice(b"hearth")
                .into_script(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output,
    };
    let mut ids = coinbase.compute_txid().to_byte_array();
    for sibling in &template.merkle_branch {
        let both = [ids, *sibling].concat();
        ids = bitcoin::hashes::sha256d::Hash::hash(&both).to_byte_array();
    }
    let mut header = bitcoin::block::Header {
        version: bitcoin::block::Version::from_consensus(template.version as i32),
        prev_blockhash: template.prev_hash,
        merkle_root: TxMerkleNode::from_byte_array(ids),
        time: template.time,
        bits: template.bits,
        nonce: 0,
    };
    while !template.target.is_met_by(header.block_hash()) {
        header.nonce = header.nonce.checked_add(1).unwrap();
    }
    SolvedBlock {
        template: template.clone(),
        hash: header.block_hash(),
        header: serialize(&header).try_into().unwrap(),
        coinbase: serialize(&coinbase),
        worker: "miner.rig".into(),
        address: "address".into(),
    }
}
