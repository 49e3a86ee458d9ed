//! What the fuzz targets share: work to hand out, what every line of a server must be, and seeds.
//! Never holds a target's own rules.

use bitcoin::{BlockHash, CompactTarget, Target, hashes::Hash};
use chain::Template;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use std::{env, fs, path::Path, time::Instant};
use units::Sats;

/// When the servers' clocks stand, seconds since 1970.
pub const NOW: u32 = 1_900_000_000;
/// A regtest address.
pub const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
/// Another one.
pub const OTHER: &str = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry";
/// A target that no share of a fuzz run meets.
pub const HARD: u32 = 0x1702_f128;
/// Regtest's target: every other share is a block.
pub const EASY: u32 = 0x207f_ffff;

/// A template on the given tip.
pub fn template(tip: u8, branches: u8, bits: u32) -> Template {
    let bits = CompactTarget::from_consensus(bits);
    Template {
        height: 900_000 + u32::from(tip),
        prev_hash: BlockHash::from_byte_array([tip; 32]),
        version: 0x2000_4000,
        bits,
        target: Target::from_compact(bits),
        min_time: NOW - 600,
        time: NOW,
        coinbase_value: Sats(312_500_000),
        witness_commitment: (branches > 0)
            .then(|| [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &[7; 32]].concat()),
        merkle_branch: (0..branches).map(|i| [i + 1; 32]).collect(),
        transactions: Vec::new(),
        transaction_count: usize::from(branches),
        learned: Instant::now(),
    }
}

/// One line that a server sent.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    /// As raw JSON.
    #[serde(borrow)]
    pub id: &'a RawValue,
    /// Absent from answers.
    pub method: Option<&'a str>,
    /// Absent from answers.
    #[serde(borrow)]
    pub params: Option<&'a RawValue>,
    /// Absent from notifications, and from what is no result.
    #[serde(borrow)]
    pub result: Option<&'a RawValue>,
    /// Absent unless something was refused.
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

/// The lines a server sent; panics if any is not what a miner can read.
pub fn lines(sent: &[u8]) -> Vec<Line<'_>> {
    assert!(sent.is_empty() || sent.ends_with(b"\n"), "the last line has no end");
    let text = std::str::from_utf8(sent).expect("UTF-8");
    text.split_terminator('\n').map(line).collect()
}

fn line(text: &str) -> Line<'_> {
    let line: Line<'_> = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert!(line.id.get().len() <= 64, "{text}");
    if line.method.is_some() {
        assert!(line.params.is_some() && line.result.is_none() && line.error.is_none(), "{text}");
    } else {
        assert!(line.result.is_some() != line.error.is_some(), "{text}");
    }
    if let Some(error) = line.error {
        let error: Result<(i64, &str, Option<IgnoredAny>), _> = serde_json::from_str(error.get());
        // A sentence with quotes in it cannot be borrowed.
        let sentence = error.map(|(_, sentence, _)| sentence.to_owned()).or_else(|_| {
            serde_json::from_str(line.error.map_or("", RawValue::get))
                .map(|(_, sentence, _): (i64, String, Option<IgnoredAny>)| sentence)
        });
        let sentence = sentence.unwrap_or_else(|e| panic!("{e}: {text}"));
        assert!((1..1000).contains(&sentence.len()), "{text}");
    }
    line
}

/// Lays down first inputs in the corpus that libFuzzer is about to read.
pub fn seed(inputs: &[&str]) {
    let corpus = env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    for folder in corpus.filter(|argument| Path::new(argument).is_dir()) {
        for (i, input) in inputs.iter().enumerate() {
            fs::write(Path::new(&folder).join(format!("seed-{i}")), input)
                .expect("a writable corpus");
        }
    }
}
