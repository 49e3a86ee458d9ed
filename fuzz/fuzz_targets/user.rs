//! Names, passwords and suggestions: a miner is paid at the address that it wrote, or refused with a
//! sentence, and its difficulty stays within the port's.

#![no_main]

use arbitrary::Arbitrary;
use bitcoin::{Address, Network, ScriptBuf, Transaction, consensus::deserialize};
use hearth_fuzz::{ADDRESS, HARD, NOW, OTHER, lines, template};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json, value::RawValue};
use std::sync::Arc;
use stratum::{Config, Limits, Port, dry::Dry};

const LOWEST: f64 = 1.0 / 4096.0;
const HIGHEST: f64 = (1u64 << 40) as f64;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    fallback: bool,
    fractional: bool,
    agent: Option<&'a str>,
    user: User<'a>,
    password: Password<'a>,
    suggestion: Suggestion<'a>,
}

#[derive(Debug, Arbitrary)]
enum User<'a> {
    Any(&'a str),
    Known { which: u8, typo: Option<(u8, u8)>, cut: Option<u8>, worker: &'a str },
}

#[derive(Debug, Arbitrary)]
enum Password<'a> {
    Any(&'a str),
    Difficulty(f64),
    Rate(f64),
}

#[derive(Debug, Arbitrary)]
enum Suggestion<'a> {
    None,
    Number(f64),
    Text(&'a str),
}

const KNOWN: [&str; 8] = [
    ADDRESS,
    OTHER,
    "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
    "NULL",
];

fuzz_target!(|input: Input<'_>| {
    let port = Port { fractional: input.fractional, ..Port::default() };
    let config = Config {
        ports: vec![port],
        network: chain::Network::Regtest,
        fallback_address: input.fallback.then(|| OTHER.to_owned()),
        // Longer than any input with its escapes: how long lines end is for another target to see.
        limits: Limits { line: 1 << 16, ..Limits::default() },
        ..Config::default()
    };
    let mut dry = Dry::new(config, u64::from(NOW));
    dry.job(Arc::new(template(1, 3, HARD)), true);
    let key = dry.connect();
    let mut ask = |method: &str, params: Value| -> Vec<u8> {
        let line = json!({"id": 1, "method": method, "params": params}).to_string() + "\n";
        dry.receive(key, line.as_bytes()).to_vec()
    };
    let user = name(&input.user);
    let subscribed = ask("mining.subscribe", json!([input.agent]));
    assert_eq!(lines(&subscribed).len(), 1);
    let extranonce1 = extranonce1(&subscribed);
    let password = match input.password {
        Password::Any(text) => text.to_owned(),
        Password::Difficulty(number) => format!("d={number:e}"),
        Password::Rate(number) => format!("th={number}"),
    };
    let sent = ask("mining.authorize", json!([user, password]));
    let sent = lines(&sent);
    let paid = expected(&user, input.fallback);
    if sent[0].error.is_some() {
        assert_eq!(sent.len(), 1);
        assert!(paid.is_none_or(|paid| paid.is_none()), "{user:?} was refused");
        return;
    }
    assert_eq!(sent.len(), 3, "an answer, a difficulty and a job");
    difficulty(sent[1].params, input.fractional);
    let coinbase = coinbase(sent[2].params, &extranonce1);
    if let Some(paid) = paid {
        let paid = paid.unwrap_or_else(|| panic!("{user:?} was let in"));
        assert_eq!(coinbase.output[0].script_pubkey, paid, "{user:?}");
    }
    let suggestion = match input.suggestion {
        Suggestion::None => return,
        Suggestion::Number(number) => json!(number),
        Suggestion::Text(text) => json!(text),
    };
    let sent = ask("mining.suggest_difficulty", json!([suggestion]));
    let sent = lines(&sent);
    if let Some(changed) = sent.get(1) {
        assert!(sent[0].error.is_none());
        difficulty(changed.params, input.fractional);
    }
});

fn name(user: &User<'_>) -> String {
    match user {
        User::Any(text) => (*text).to_owned(),
        User::Known { which, typo, cut, worker } => {
            let mut name = KNOWN[usize::from(*which) % KNOWN.len()].as_bytes().to_vec();
            if let Some((at, letter)) = typo {
                let at = usize::from(*at) % name.len();
                name[at] = letter & 0x7f;
            }
            name.truncate(cut.map_or(usize::MAX, usize::from));
            format!("{}.{worker}", String::from_utf8_lossy(&name))
        }
    }
}

/// Who is to be paid: nobody when the miner must be refused; `None` when this cannot be said here.
fn expected(user: &str, fallback: bool) -> Option<Option<ScriptBuf>> {
    if user.contains('%') {
        return None;
    }
    let name: String = user.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect();
    if name.len() > 128 {
        return None;
    }
    let address = name.split('.').next().unwrap_or_default();
    let owner = || script(OTHER).filter(|_| fallback);
    if matches!(address, "" | "NULL" | "null" | "(null)") {
        return Some(owner());
    }
    if let Ok(address) = address.parse::<Address<_>>() {
        let address = address.require_network(Network::Regtest);
        // What no rule protects yet is refused, pay-to-anchor among it.
        let protected = |address: &Address| {
            address.witness_program().is_none_or(|program| {
                let version = program.version().to_num();
                version == 0 || (version == 1 && program.program().len() == 32)
            })
        };
        return Some(address.ok().filter(protected).map(|address| address.script_pubkey()));
    }
    // A name that could be a mistyped address may be refused; one that is not paid by anybody must.
    if fallback { None } else { Some(None) }
}

fn script(address: &str) -> Option<ScriptBuf> {
    Some(address.parse::<Address<_>>().ok()?.assume_checked().script_pubkey())
}

fn difficulty(params: Option<&RawValue>, fractional: bool) {
    let [difficulty]: [f64; 1] = read(params);
    assert!((LOWEST..=HIGHEST).contains(&difficulty), "{difficulty}");
    assert!(fractional || difficulty.log2().fract() == 0.0, "{difficulty}");
}

fn extranonce1(sent: &[u8]) -> String {
    let (_, extranonce1, size): (Value, String, u8) = read(lines(sent)[0].result);
    assert_eq!((extranonce1.len(), size), (8, 8));
    extranonce1
}

fn coinbase(params: Option<&RawValue>, extranonce1: &str) -> Transaction {
    let notify: Vec<Value> = read(params);
    let part = |at: usize| notify[at].as_str().expect("text");
    let hex = [part(2), extranonce1, "0000000000000000", part(3)].concat();
    deserialize(&const_hex::decode(hex).expect("hex")).expect("a transaction")
}

fn read<'a, T: serde::Deserialize<'a>>(raw: Option<&'a RawValue>) -> T {
    serde_json::from_str(raw.expect("a value").get()).expect("the expected shape")
}
