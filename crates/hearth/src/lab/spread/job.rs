//! What one line of a Stratum V1 server tells an observer. Pure; any bytes are safe, and nothing kept
//! is larger than a block allows.

use bitcoin::{Address, Network, Script, Transaction, consensus, hex::FromHex};
use lab::spread::{Coinbase, Job, attribute, readable};
use serde_json::Value;
use units::Sats;

/// More levels than any block has.
const MAX_BRANCHES: usize = 64;
/// Longest half of a coinbase, in bytes: pools that pay hundreds of miners in it stay far below.
const MAX_COINBASE_HALF: usize = 64 << 10;
/// Longest extranonce of either kind, in bytes.
const MAX_EXTRANONCE: usize = 32;
/// Outputs kept, the largest.
const MAX_OUTPUTS: usize = 8;
const MAX_REASON: usize = 100;

/// Ids of our two requests.
pub const SUBSCRIBE: u64 = 1;
/// See [`SUBSCRIBE`].
pub const AUTHORIZE: u64 = 2;

/// The extranonces of a connection: what goes between the halves of a coinbase.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extranonces {
    first: Vec<u8>,
    second_size: usize,
}

/// What a server said.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// The answer to subscribe.
    Subscribed(Extranonces),
    /// Other extranonces from the next job on.
    Changed(Extranonces),
    /// A job's parameters.
    Notify(Vec<Value>),
    /// A request of ours was refused, with the server's reason.
    Refused(u64, String),
    /// Something else.
    Other,
    /// No JSON object.
    Nonsense,
}

/// Reads a line.
pub fn read(line: &[u8]) -> Said {
    let Ok(Value::Object(mut message)) = serde_json::from_slice(line) else {
        return Said::Nonsense;
    };
    match message.get("method").and_then(Value::as_str) {
        Some("mining.notify") => match message.remove("params") {
            Some(Value::Array(params)) => Said::Notify(params),
            _ => Said::Nonsense,
        },
        Some("mining.set_extranonce") => {
            let params = message.get("params").and_then(Value::as_array);
            params.and_then(|p| extranonces(p)).map_or(Said::Nonsense, Said::Changed)
        }
        Some(_) => Said::Other,
        None => answer(&message),
    }
}

fn answer(message: &serde_json::Map<String, Value>) -> Said {
    let id = message.get("id").and_then(Value::as_u64);
    let result = message.get("result").unwrap_or(&Value::Null);
    let refused = |id| {
        let error = message.get("error").unwrap_or(&Value::Null);
        let text = match error {
            Value::Array(parts) => parts.get(1).and_then(Value::as_str),
            Value::Object(parts) => parts.get("message").and_then(Value::as_str),
            Value::String(text) => Some(text.as_str()),
            _ => None,
        };
        let text = text.unwrap_or("no reason given");
        Said::Refused(id, text.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect())
    };
    match id {
        Some(SUBSCRIBE) => {
            let given = result.as_array().and_then(|r| r.get(1..)).and_then(extranonces);
            given.map_or_else(|| refused(SUBSCRIBE), Said::Subscribed)
        }
        Some(AUTHORIZE) if *result != Value::Bool(true) => refused(AUTHORIZE),
        _ => Said::Other,
    }
}

fn extranonces(values: &[Value]) -> Option<Extranonces> {
    let first = values.first()?.as_str().filter(|hex| hex.len() <= 2 * MAX_EXTRANONCE)?;
    let first = Vec::from_hex(first).ok()?;
    let second_size = usize::try_from(values.get(1)?.as_u64()?).ok()?;
    (second_size <= MAX_EXTRANONCE).then_some(Extranonces { first, second_size })
}

/// The job in the parameters of `mining.notify`; `None` if it is none.
pub fn job(params: &[Value], between: &Extranonces, network: Network) -> Option<Job> {
    let text = |i: usize| params.get(i).and_then(Value::as_str);
    let mut prev_hash = <[u8; 32]>::from_hex(text(1)?).ok()?;
    // On the wire every four bytes are the other way round.
    prev_hash.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    let half = |i: usize| {
        let hex = text(i).filter(|hex| hex.len() <= 2 * MAX_COINBASE_HALF)?;
        Vec::from_hex(hex).ok()
    };
    let branch = params
        .get(4)?
        .as_array()
        .filter(|list| list.len() <= MAX_BRANCHES)?
        .iter()
        .map(|hex| <[u8; 32]>::from_hex(hex.as_str()?).ok())
        .collect::<Option<Vec<_>>>()?;
    let mut bytes = half(2)?;
    bytes.extend_from_slice(&between.first);
    bytes.resize(bytes.len() + between.second_size, 0);
    bytes.extend_from_slice(&half(3)?);
    let transaction = consensus::deserialize::<Transaction>(&bytes).ok();
    let script = transaction.as_ref().and_then(|t| t.input.first()).map(|i| &*i.script_sig);
    Some(Job {
        prev_hash,
        height: script.and_then(height),
        branch,
        coinbase: transaction.as_ref().and_then(|t| coinbase(t, network)),
    })
}

/// What a coinbase tells.
pub fn coinbase(transaction: &Transaction, network: Network) -> Option<Coinbase> {
    let script = transaction.input.first()?.script_sig.as_bytes();
    let mut outputs: Vec<(String, Sats)> = transaction
        .output
        .iter()
        .map(|output| {
            let script = &output.script_pubkey;
            let to = Address::from_script(script, network).map_or_else(
                |_| if script.is_op_return() { "data" } else { "a bare script" }.to_owned(),
                |address| address.to_string(),
            );
            (to, Sats(output.value.to_sat()))
        })
        .collect();
    outputs.sort_by_key(|output| std::cmp::Reverse(output.1));
    outputs.truncate(MAX_OUTPUTS);
    Some(Coinbase { tag: attribute(script), text: readable(script), outputs })
}

/// The height at the beginning of a coinbase's input script (BIP 34).
fn height(script: &Script) -> Option<u32> {
    match script.as_bytes() {
        [op @ 0x51..=0x60, ..] => Some(u32::from(op - 0x50)),
        [size @ 1..=4, rest @ ..] => {
            let bytes = rest.get(..usize::from(*size))?;
            Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::spread::Tag;
    use serde_json::json;

    /// A coinbase of height 840,000 that pays 3.125 BTC, cut open around eight bytes.
    fn params() -> Vec<Value> {
        let first = concat!(
            "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff15",
            "0340d10c",
            "2f5669614254432f",
            "00",
        );
        let second = concat!(
            "ffffffff02",
            "205fa01200000000160014751e76e8199196d454941c45d1b3a323f1433bd6",
            "0000000000000000046a020102",
            "00000000",
        );
        let previous = "0a8ce26f72b3f1b646a2a6c14ff763ae65831e939c085ae10019d66800000000";
        json!(["j", previous, first, second, ["11".repeat(32)], "20000000", "1d00ffff", "0", true])
            .as_array()
            .unwrap()
            .clone()
    }

    fn between() -> Extranonces {
        Extranonces { first: vec![1, 2, 3, 4], second_size: 4 }
    }

    #[test]
    fn a_job_tells_tip_height_branches_and_who_signed_and_is_paid() {
        let job = job(&params(), &between(), Network::Bitcoin).unwrap();
        assert_eq!(job.height, Some(840_000));
        assert_eq!(job.branch, [[0x11; 32]]);
        // The genesis block, as it stands in a header.
        assert_eq!(job.prev_hash[..4], [0x6f, 0xe2, 0x8c, 0x0a]);
        let coinbase = job.coinbase.unwrap();
        assert_eq!(coinbase.tag, Tag::Known("ViaBTC"));
        assert_eq!(coinbase.text, "/ViaBTC/");
        assert_eq!(
            coinbase.outputs[0],
            ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4".into(), Sats(312_500_000))
        );
        assert_eq!(coinbase.outputs[1].0, "data");
    }

    #[test]
    fn a_coinbase_that_cannot_be_read_leaves_the_rest_of_the_job() {
        let mut params = params();
        params[2] = json!("00");
        let job = job(&params, &between(), Network::Bitcoin).unwrap();
        assert_eq!((job.height, job.coinbase), (None, None));
        assert_eq!(job.branch.len(), 1);
    }

    #[test]
    fn what_is_no_job_is_none_and_nothing_panics() {
        for (index, bad) in [
            (1, json!("00ff")),
            (1, json!(7)),
            (2, json!("zz")),
            (3, json!("00".repeat(MAX_COINBASE_HALF + 1))),
            (4, json!("none")),
            (4, json!(["00"])),
            (4, json!([7])),
            (4, json!(vec!["00".repeat(32); MAX_BRANCHES + 1])),
        ] {
            let mut params = params();
            params[index] = bad;
            assert_eq!(job(&params, &between(), Network::Bitcoin), None);
        }
        assert_eq!(job(&[], &between(), Network::Bitcoin), None);
    }

    #[test]
    fn heights_are_read_in_every_form() {
        for (script, want) in [
            (&[0x51][..], Some(1)),
            (&[0x60], Some(16)),
            (&[1, 17], Some(17)),
            (&[2, 0, 1], Some(256)),
            (&[3, 0x40, 0xd1, 0x0c], Some(840_000)),
            (&[3, 0x40], None),
            (&[0], None),
            (&[], None),
        ] {
            assert_eq!(height(Script::from_bytes(script)), want);
        }
    }

    #[test]
    fn lines_are_read_for_what_they_are() {
        for (line, want) in [
            (r#"{"id":1,"result":[[],"01020304",4],"error":null}"#, Said::Subscribed(between())),
            (r#"{"id":1,"result":null,"error":[24,"no\u0007pe",null]}"#, {
                Said::Refused(SUBSCRIBE, "nope".into())
            }),
            (r#"{"id":2,"result":false}"#, Said::Refused(AUTHORIZE, "no reason given".into())),
            (r#"{"id":2,"result":true}"#, Said::Other),
            (r#"{"method":"mining.set_extranonce","params":["01020304",4]}"#, {
                Said::Changed(between())
            }),
            (r#"{"method":"mining.set_extranonce","params":["01020304",99]}"#, Said::Nonsense),
            (r#"{"method":"mining.notify","params":[1]}"#, Said::Notify(vec![json!(1)])),
            (r#"{"method":"mining.notify"}"#, Said::Nonsense),
            (r#"{"method":"mining.set_difficulty","params":[1]}"#, Said::Other),
            ("GET / HTTP/1.1", Said::Nonsense),
            ("", Said::Nonsense),
        ] {
            assert_eq!(read(line.as_bytes()), want, "{line}");
        }
        assert_eq!(read("[".repeat(200_000).as_bytes()), Said::Nonsense);
    }
}
