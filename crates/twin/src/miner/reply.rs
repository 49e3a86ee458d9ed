//! Reads one line from a server into what it means to a miner. Pure; any bytes are safe.

use crate::job::{Job, hex_u32};
use serde_json::Value;
use units::Difficulty;

/// Longest extranonce, of either kind, that is taken from a server, in bytes.
const MAX_EXTRANONCE: u64 = 32;
/// Longest text of a server that is kept, in characters.
const MAX_TEXT: usize = 200;

/// What a server said.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    /// An answer to a request of ours.
    Answer {
        id: u64,
        result: Value,
        error: Value,
    },
    Notify(Box<Job>),
    SetDifficulty(Difficulty),
    SetExtranonce {
        extranonce1: Vec<u8>,
        extranonce2_size: usize,
    },
    SetVersionMask(u32),
    Reconnect {
        host: String,
        port: Option<u16>,
        wait_seconds: u64,
    },
    ShowMessage(String),
    /// Something that wants an answer and is not known; the answer is given whole.
    Unknown {
        answer: String,
    },
    /// A notification that is not known.
    Ignored,
    /// A line that makes no sense, and why.
    Nonsense(&'static str),
}

/// Reads a line without its line end.
pub(crate) fn read(line: &[u8], user_agent: &str) -> Said {
    let Ok(Value::Object(mut message)) = serde_json::from_slice(line) else {
        return Said::Nonsense("not a JSON object");
    };
    let mut take = |key| message.remove(key).unwrap_or(Value::Null);
    let (id, params) = (take("id"), take("params"));
    match take("method") {
        Value::Null => {
            let number = id.as_u64().or_else(|| id.as_str()?.parse().ok());
            match number {
                Some(id) => Said::Answer { id, result: take("result"), error: take("error") },
                None => Said::Nonsense("an answer without our id"),
            }
        }
        Value::String(method) => call(&method, &id, params.as_array(), user_agent),
        _ => Said::Nonsense("a method that is no text"),
    }
}

/// The extranonces in the result of `mining.subscribe`: `[subscriptions, extranonce1, size]`.
pub(crate) fn subscription(result: &Value) -> Option<(Vec<u8>, usize)> {
    extranonces(result.as_array()?.get(1..)?)
}

/// The mask in the result of `mining.configure`; zero if version rolling was not granted.
pub(crate) fn granted_mask(result: &Value) -> u32 {
    let granted = result.get("version-rolling") == Some(&Value::Bool(true));
    let mask = result.get("version-rolling.mask").and_then(Value::as_str);
    if granted { mask.and_then(hex_u32).unwrap_or(0) } else { 0 }
}

/// The reason in an error, whichever of the usual shapes it has, as short text.
pub(crate) fn reason(error: &Value) -> String {
    let text = match error {
        Value::Array(parts) => parts.get(1).and_then(Value::as_str),
        Value::Object(parts) => parts.get("message").and_then(Value::as_str),
        Value::String(text) => Some(text.as_str()),
        _ => None,
    };
    text.map_or_else(|| "no reason given".into(), short)
}

fn call(method: &str, id: &Value, params: Option<&Vec<Value>>, user_agent: &str) -> Said {
    let params = params.map_or(&[][..], Vec::as_slice);
    let text = |i: usize| params.get(i).and_then(Value::as_str);
    match method {
        "mining.notify" => match Job::from_params(params) {
            Ok(job) => Said::Notify(Box::new(job)),
            Err(_) => Said::Nonsense("an unusable job"),
        },
        "mining.set_difficulty" => params
            .first()
            .and_then(|d| d.as_f64().or_else(|| d.as_str()?.parse().ok()))
            .and_then(|d| Difficulty::new(d).ok())
            .map_or(Said::Nonsense("an unusable difficulty"), Said::SetDifficulty),
        "mining.set_extranonce" => match extranonces(params) {
            Some((extranonce1, extranonce2_size)) => {
                Said::SetExtranonce { extranonce1, extranonce2_size }
            }
            None => Said::Nonsense("an unusable extranonce"),
        },
        "mining.set_version_mask" => text(0)
            .and_then(hex_u32)
            .map_or(Said::Nonsense("an unusable version mask"), Said::SetVersionMask),
        "client.reconnect" => Said::Reconnect {
            host: text(0).unwrap_or_default().into(),
            port: params.get(1).and_then(small).filter(|port| *port > 0),
            wait_seconds: params.get(2).and_then(small).unwrap_or(0).min(60).into(),
        },
        "client.show_message" => match text(0) {
            Some(message) => Said::ShowMessage(short(message)),
            None => Said::Nonsense("a message without text"),
        },
        "client.get_version" if !id.is_null() => Said::Unknown {
            answer: format!(
                "{}\n",
                serde_json::json!({"id": id, "result": user_agent, "error": null})
            ),
        },
        _ if id.is_null() => Said::Ignored,
        _ => Said::Unknown {
            answer: format!(
                "{}\n",
                serde_json::json!({"id": id, "result": null, "error": [-3, "Method not found", null]})
            ),
        },
    }
}

pub(crate) fn extranonces(values: &[Value]) -> Option<(Vec<u8>, usize)> {
    let extranonce1 = const_hex::decode(values.first()?.as_str()?).ok()?;
    let size = values.get(1)?.as_u64()?;
    let usable = extranonce1.len() as u64 <= MAX_EXTRANONCE && size <= MAX_EXTRANONCE;
    usable.then_some((extranonce1, size as usize))
}

/// A number that may be written as text.
fn small(value: &Value) -> Option<u16> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64()?.try_into().ok(),
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(line: &str) -> Said {
        read(line.as_bytes(), "agent")
    }

    #[test]
    fn lines_that_make_no_sense_are_named_and_never_panic() {
        for line in [
            "",
            "{",
            "[]",
            "null",
            "\u{0}\u{1}",
            "{\"id\":null}",
            "{\"id\":-1,\"result\":true}",
            "{\"id\":{},\"result\":true}",
            "{\"method\":7}",
            "{\"method\":\"mining.notify\"}",
            "{\"method\":\"mining.notify\",\"params\":{}}",
            "{\"method\":\"mining.set_difficulty\",\"params\":[0]}",
            "{\"method\":\"mining.set_difficulty\",\"params\":[-4]}",
            "{\"method\":\"mining.set_difficulty\",\"params\":[\"NaN\"]}",
            "{\"method\":\"mining.set_difficulty\",\"params\":[1e999]}",
            "{\"method\":\"mining.set_extranonce\",\"params\":[\"00\",-1]}",
            "{\"method\":\"mining.set_extranonce\",\"params\":[\"00\",99999999999]}",
            "{\"method\":\"mining.set_version_mask\",\"params\":[\"1fffe0000000\"]}",
            "{\"method\":\"client.show_message\",\"params\":[7]}",
        ] {
            assert!(matches!(said(line), Said::Nonsense(_)), "{line}");
        }
        assert!(matches!(read(&[0xff; 64], ""), Said::Nonsense(_)));
        let deep = "[".repeat(100_000);
        assert!(matches!(said(&deep), Said::Nonsense(_)));
    }

    #[test]
    fn calls_are_read_however_the_server_writes_them() {
        let five = Difficulty::new(5.0).unwrap();
        for (line, want) in [
            (
                r#" {"params": [5], "id": null, "method": "mining.set_difficulty"} "#,
                Said::SetDifficulty(five),
            ),
            (r#"{"method":"mining.set_difficulty","params":["5.0"]}"#, Said::SetDifficulty(five)),
            (
                r#"{"method":"mining.set_version_mask","params":["1fffe000"]}"#,
                Said::SetVersionMask(0x1fff_e000),
            ),
            (
                r#"{"method":"client.reconnect","params":["host","3334","2"]}"#,
                Said::Reconnect { host: "host".into(), port: Some(3334), wait_seconds: 2 },
            ),
            (
                r#"{"method":"client.reconnect","params":[]}"#,
                Said::Reconnect { host: String::new(), port: None, wait_seconds: 0 },
            ),
            (
                r#"{"id":"7","result":true,"error":null}"#,
                Said::Answer { id: 7, result: true.into(), error: Value::Null },
            ),
            (
                r#"{"method":"client.show_message","params":["hi\u0007 there"]}"#,
                Said::ShowMessage("hi there".into()),
            ),
            (r#"{"method":"mining.dance","params":[]}"#, Said::Ignored),
            (
                r#"{"id":"p","method":"mining.ping","params":[]}"#,
                Said::Unknown {
                    answer:
                        "{\"error\":[-3,\"Method not found\",null],\"id\":\"p\",\"result\":null}\n"
                            .into(),
                },
            ),
            (
                r#"{"id":1,"method":"client.get_version","params":[]}"#,
                Said::Unknown { answer: "{\"error\":null,\"id\":1,\"result\":\"agent\"}\n".into() },
            ),
        ] {
            assert_eq!(said(line), want, "{line}");
        }
    }

    #[test]
    fn reasons_are_found_in_every_usual_shape_of_error() {
        for (error, want) in [
            (json!([21, "Stale", null]), "Stale"),
            (json!({"code": 23, "message": "Low difficulty"}), "Low difficulty"),
            (json!("duplicate"), "duplicate"),
            (json!(null), "no reason given"),
            (json!([21]), "no reason given"),
        ] {
            assert_eq!(reason(&error), want);
        }
    }

    #[test]
    fn a_mask_counts_only_when_version_rolling_was_granted() {
        for (result, want) in [
            (json!({"version-rolling": true, "version-rolling.mask": "1fffe000"}), 0x1fff_e000),
            (json!({"version-rolling": false, "version-rolling.mask": "1fffe000"}), 0),
            (json!({"version-rolling": "no"}), 0),
            (json!({"version-rolling": true}), 0),
            (json!(null), 0),
        ] {
            assert_eq!(granted_mask(&result), want);
        }
    }
}
