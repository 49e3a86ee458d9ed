//! Several miners that say anything at all, in any pieces, while jobs come and time passes. Whatever
//! they say, each line earns at most one answer, every line sent is JSON, and how the bytes were cut
//! makes no difference.

#![no_main]

use arbitrary::Arbitrary;
use hearth_fuzz::{ADDRESS, EASY, HARD, NOW, OTHER, lines, template};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::sync::Arc;
use stratum::{Config, Limits, Port, dry::Dry};

/// Longest line that the servers take.
const LINE: usize = 300;
/// Most that one line may be answered with: an answer and a job of 16 branches.
const LARGEST_ANSWER: usize = 4096;

#[derive(Debug, Arbitrary)]
struct Input {
    /// Every other share is a block.
    easy: bool,
    fallback: bool,
    vardiff: bool,
    fractional: bool,
    /// The first miner has shaken hands.
    greeted: bool,
    extranonce2_size: u8,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Connect,
    Close { miner: u8 },
    Say { miner: u8, what: What, cut: u8 },
    Job { tip: Option<u8>, branches: u8 },
    Pass { ms: u32 },
}

#[derive(Debug, Arbitrary)]
enum What {
    Hello { order: u8 },
    Bytes(Vec<u8>),
    Long(u16),
    Request { id: Id, method: u8, params: Vec<Word> },
    Shares { number: u8, share: Share },
}

#[derive(Debug, Arbitrary)]
enum Id {
    Absent,
    Number(i64),
    Text(String),
    Raw(String),
}

#[derive(Debug, Arbitrary)]
enum Word {
    Null,
    Number(i64),
    Float(f64),
    Text(String),
    User { other: bool, worker: String },
    Rolling { mask: u32 },
    Options { mask: u32 },
    Hint(f64),
    Raw(String),
}

#[derive(Debug, Arbitrary)]
struct Share {
    job: u8,
    generation: u8,
    extranonce2: u64,
    ahead: i16,
    nonce: u32,
    numeric: bool,
    version: Option<u32>,
    repeated: bool,
}

const METHODS: [&str; 10] = [
    "mining.configure",
    "mining.subscribe",
    "mining.authorize",
    "mining.suggest_difficulty",
    "mining.extranonce.subscribe",
    "mining.submit",
    "mining.get_transactions",
    "mining.ping",
    "",
    "mining.nonsense",
];

fuzz_target!(|input: Input| {
    let mut pair = Pair::new(&input);
    pair.job(1, 12, true);
    pair.connect();
    if input.greeted {
        pair.say(0, &hello(0), 0);
    }
    for step in input.steps.iter().take(64) {
        match step {
            Step::Connect => pair.connect(),
            Step::Close { miner } => pair.close(usize::from(*miner)),
            Step::Say { miner, what, cut } => {
                pair.say(usize::from(*miner), &bytes(what), usize::from(*cut));
            }
            Step::Job { tip, branches } => {
                pair.job(tip.unwrap_or(1), branches % 17, tip.is_some());
            }
            Step::Pass { ms } => pair.pass(u64::from(ms % 7_200_000)),
        }
    }
});

struct Miner {
    key: usize,
    /// What has been said since the last end of a line.
    partial: Vec<u8>,
    ended: bool,
}

/// A server that gets what is said in one piece, and one that gets it in many.
struct Pair {
    whole: Dry,
    pieces: Dry,
    miners: Vec<Miner>,
    bits: u32,
    /// Shares that arrive together are judged together, so what is known of a session when a line
    /// is read may differ from then on.
    alike: bool,
}

impl Pair {
    fn new(input: &Input) -> Self {
        let port = Port {
            start_difficulty: 1e-12,
            min_difficulty: 1e-12,
            fractional: input.fractional,
            vardiff: input.vardiff,
            ..Port::default()
        };
        let config = Config {
            ports: vec![port],
            network: chain::Network::Regtest,
            fallback_address: input.fallback.then(|| OTHER.to_owned()),
            extranonce2_size: 4 + usize::from(input.extranonce2_size % 5),
            limits: Limits { line: LINE, invalid_shares: 20, ..Limits::default() },
            ..Config::default()
        };
        Self {
            whole: Dry::new(config.clone(), u64::from(NOW)),
            pieces: Dry::new(config, u64::from(NOW)),
            miners: Vec::new(),
            bits: if input.easy { EASY } else { HARD },
            alike: true,
        }
    }

    fn connect(&mut self) {
        if self.miners.len() < 8 {
            let key = self.whole.connect();
            assert_eq!(self.pieces.connect(), key);
            self.miners.push(Miner { key, partial: Vec::new(), ended: false });
        }
    }

    fn close(&mut self, at: usize) {
        if let Some(at) = at.checked_rem(self.miners.len()) {
            let miner = self.miners.swap_remove(at);
            self.whole.close(miner.key);
            self.pieces.close(miner.key);
        }
    }

    fn job(&mut self, tip: u8, branches: u8, new_tip: bool) {
        let template = Arc::new(template(tip, branches, self.bits));
        for dry in [&mut self.whole, &mut self.pieces] {
            dry.job(template.clone(), new_tip);
            // Throws away what was sent before, which `announce` would count.
            dry.receive(usize::MAX, b"");
            let sent = dry.announce();
            assert!(sent <= LARGEST_ANSWER * self.miners.len());
        }
    }

    fn pass(&mut self, ms: u64) {
        self.whole.pass(ms);
        self.pieces.pass(ms);
        for miner in &mut self.miners {
            miner.ended |= self.whole.is_ended(miner.key) || self.pieces.is_ended(miner.key);
        }
    }

    fn say(&mut self, at: usize, said: &[u8], cut: usize) {
        let Some(at) = at.checked_rem(self.miners.len()) else { return };
        let miner = &mut self.miners[at];
        miner.partial.extend_from_slice(said);
        self.alike &= !miner.partial.windows(13).any(|part| part == b"mining.submit");

        let one = self.whole.receive(miner.key, said).to_vec();
        let mut many = Vec::new();
        for piece in said.chunks(cut.max(1)) {
            many.extend_from_slice(self.pieces.receive(miner.key, piece));
        }
        if self.alike {
            assert!(one == many, "{}\n{}", one.escape_ascii(), many.escape_ascii());
        }
        let ends = said.iter().filter(|byte| **byte == b'\n').count();
        for sent in [&one, &many] {
            assert!(!miner.ended || sent.is_empty(), "an ended session was answered");
            assert!(sent.len() <= LARGEST_ANSWER * ends);
            let answers = lines(sent).iter().filter(|line| line.method.is_none()).count();
            assert!(answers <= ends, "{answers} answers to {ends} lines");
        }
        let too_long = miner.partial.split(|byte| *byte == b'\n').any(|line| line.len() > LINE);
        for dry in [&self.whole, &self.pieces] {
            assert!(!too_long || dry.is_ended(miner.key), "a long line did not end the session");
        }
        miner.ended |= self.whole.is_ended(miner.key) && self.pieces.is_ended(miner.key);
        if let Some(end) = miner.partial.iter().rposition(|byte| *byte == b'\n') {
            miner.partial.drain(..=end);
        }
    }
}

fn bytes(what: &What) -> Vec<u8> {
    match what {
        What::Hello { order } => hello(*order),
        What::Bytes(bytes) => bytes.clone(),
        What::Long(size) => vec![b'{'; usize::from(*size % 2048)],
        What::Request { id, method, params } => {
            let params: Vec<String> = params.iter().map(word).collect();
            request(id, METHODS[usize::from(*method) % METHODS.len()], &params.join(","))
        }
        What::Shares { number, share } => (0..=number % 100)
            .flat_map(|i| submit(share, if share.repeated { 0 } else { u32::from(i) }))
            .collect(),
    }
}

/// The three lines of a handshake, in one of six orders.
fn hello(order: u8) -> Vec<u8> {
    let mut lines = [
        r#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff"}]}"#.to_owned(),
        r#"{"id":2,"method":"mining.subscribe","params":["fuzz/1.0"]}"#.to_owned(),
        format!(r#"{{"id":3,"method":"mining.authorize","params":["{ADDRESS}.rig","x"]}}"#),
    ];
    lines.rotate_left(usize::from(order) % 3);
    if order % 2 == 1 {
        lines.swap(0, 1);
    }
    (lines.join("\n") + "\n").into_bytes()
}

fn request(id: &Id, method: &str, params: &str) -> Vec<u8> {
    let id = match id {
        Id::Absent => String::new(),
        Id::Number(number) => format!("\"id\":{number},"),
        Id::Text(text) => format!("\"id\":{},", Value::from(text.as_str())),
        Id::Raw(raw) => format!("\"id\":{raw},"),
    };
    format!("{{{id}\"method\":\"{method}\",\"params\":[{params}]}}\n").into_bytes()
}

fn word(word: &Word) -> String {
    match word {
        Word::Null => "null".to_owned(),
        Word::Number(number) => number.to_string(),
        Word::Float(float) => format!("{float:e}"),
        Word::Text(text) => Value::from(text.as_str()).to_string(),
        Word::User { other, worker } => {
            let address = if *other { OTHER } else { ADDRESS };
            Value::from(format!("{address}.{worker}")).to_string()
        }
        Word::Rolling { mask } => {
            format!("[\"version-rolling\"],{{\"version-rolling.mask\":\"{mask:x}\"}}")
        }
        Word::Options { mask } => json!({"version-rolling.mask": mask}).to_string(),
        Word::Hint(hint) => format!("\"d={hint}\""),
        Word::Raw(raw) => raw.clone(),
    }
}

fn submit(share: &Share, step: u32) -> Vec<u8> {
    let time = NOW.wrapping_add_signed(i32::from(share.ahead));
    let nonce = share.nonce.wrapping_add(step);
    let (time, nonce) = if share.numeric {
        (time.to_string(), nonce.to_string())
    } else {
        (format!("\"{time:08x}\""), format!("\"{nonce:x}\""))
    };
    let version = share.version.map_or(String::new(), |bits| format!(",\"{bits:08x}\""));
    let job = format!("{:x}{:02x}", share.job % 8, share.generation % 8);
    let params = format!("\"w\",\"{job}\",\"{:016x}\",{time},{nonce}{version}", share.extranonce2);
    request(&Id::Number(i64::from(step)), "mining.submit", &params)
}
