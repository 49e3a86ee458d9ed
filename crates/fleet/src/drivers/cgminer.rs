//! The cgminer API: one JSON request a connection, an answer ended by a zero byte or by the end of the
//! connection. Bounded in bytes and time; says nothing of what an answer means.

use super::{MAX_ANSWER, http::connect};
use crate::driver::{DriverError, Reply};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Asks and reads the answer as JSON.
pub async fn ask(
    at: SocketAddr,
    command: &str,
    parameter: Option<&str>,
    deadline: Duration,
) -> Result<Value, DriverError> {
    let answer = told(at, command, parameter, deadline).await?;
    answer.ok_or_else(|| DriverError::Garbage("the connection was closed without a word".into()))
}

/// Like [`ask`]; `None` if the machine closed the connection without a word, as some do when they obey.
pub async fn told(
    at: SocketAddr,
    command: &str,
    parameter: Option<&str>,
    deadline: Duration,
) -> Result<Option<Value>, DriverError> {
    let request = match parameter {
        Some(parameter) => json!({ "command": command, "parameter": parameter }),
        None => json!({ "command": command }),
    };
    let mut stream = connect(at, deadline).await?;
    let exchange = exchange(&mut stream, request.to_string());
    let answer = timeout(deadline, exchange).await.map_err(|_| DriverError::Silent(deadline))??;
    if answer.is_empty() {
        return Ok(None);
    }
    parse(&answer).map(Some)
}

async fn exchange(stream: &mut TcpStream, request: String) -> Result<Vec<u8>, DriverError> {
    let broken = |error: std::io::Error| DriverError::Garbage(error.to_string());
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let count = match stream.read(&mut chunk).await {
            Ok(count) => count,
            // Reset after the answer was complete: firmware that closes with our request half read.
            Err(_) if serde_json::from_slice::<serde::de::IgnoredAny>(&answer).is_ok() => 0,
            Err(error) => return Err(broken(error)),
        };
        let new = &chunk[..count];
        let end = new.iter().position(|byte| *byte == 0);
        answer.extend_from_slice(&new[..end.unwrap_or(count)]);
        if answer.len() > MAX_ANSWER {
            return Err(DriverError::TooLong(MAX_ANSWER));
        }
        if count == 0 || end.is_some() {
            return Ok(answer);
        }
    }
}

/// Reads JSON as firmware writes it: control characters inside texts, and objects of a list without a
/// comma between them.
pub fn parse(answer: &[u8]) -> Result<Value, DriverError> {
    if let Ok(value) = serde_json::from_slice(answer) {
        return Ok(value);
    }
    let text = String::from_utf8_lossy(answer).replace(char::is_control, " ").replace("}{", "},{");
    serde_json::from_str(&text).map_err(|error| DriverError::Garbage(error.to_string()))
}

/// What an answer says of itself: yes, or no and in which words. Whatsminer's mark is a plain text.
pub fn reply(answer: &Value) -> Result<Reply, DriverError> {
    let status = &answer["STATUS"];
    let (mark, words) = match status.as_str() {
        Some(mark) => (Some(mark), &answer["Msg"]),
        None => (status[0]["STATUS"].as_str(), &status[0]["Msg"]),
    };
    match mark {
        Some("S" | "I" | "W") => Ok(Reply::Accepted),
        Some("E" | "F") => Ok(Reply::Refused(
            words.as_str().unwrap_or("no reason told").chars().take(200).collect(),
        )),
        _ => Err(DriverError::Garbage("an answer without a status".into())),
    }
}

/// The answer to one of several questions asked as `a+b`, and to a single one alike.
pub fn part<'a>(answer: &'a Value, command: &str) -> &'a Value {
    match &answer[command] {
        Value::Array(parts) => parts.first().unwrap_or(&Value::Null),
        Value::Null => answer,
        part => part,
    }
}

#[cfg(test)]
mod tests {
    use super::super::hostile::{Does, hostile};
    use super::*;

    const SOON: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn either_ending_ends_an_answer() {
        for text in ["{\"a\":1}\0", "{\"a\":1}", "{\"a\":1}\n\0 trailing"] {
            let at = hostile(Does::Say(text.into())).await;
            assert_eq!(ask(at, "version", None, SOON).await.unwrap()["a"], 1, "{text:?}");
        }
        let at = hostile(Does::Say(String::new())).await;
        assert_eq!(told(at, "ascset", Some("0,softon,1:1"), SOON).await, Ok(None));
    }

    #[tokio::test]
    async fn every_hostile_machine_costs_little_and_ends_in_time() {
        for (does, ends) in [
            (Does::Nothing, DriverError::Silent(SOON)),
            (Does::Endless { first: "", then: "{\"a\":[" }, DriverError::TooLong(MAX_ANSWER)),
            (Does::Drip { first: "{" }, DriverError::Silent(SOON)),
        ] {
            let at = hostile(does).await;
            assert_eq!(ask(at, "summary", None, SOON).await, Err(ends));
        }
        for text in ["no json\0".into(), "[".repeat(200_000), "\u{1}\u{2}\u{0}".into()] {
            let at = hostile(Does::Say(text)).await;
            assert!(matches!(ask(at, "summary", None, SOON).await, Err(DriverError::Garbage(_))));
        }
    }

    #[test]
    fn the_json_of_old_firmware_is_mended() {
        let old = b"{\"STATS\":[{\"a\":1}{\"b\":\"x\ty\"}]}";
        assert_eq!(parse(old).unwrap()["STATS"][1]["b"], "x y");
    }

    #[test]
    fn a_status_is_read_in_every_dialect() {
        let words = |text: &str| Ok(Reply::Refused(text.into()));
        for (answer, says) in [
            (json!({"STATUS": [{"STATUS": "S"}]}), Ok(Reply::Accepted)),
            (json!({"STATUS": [{"STATUS": "I"}]}), Ok(Reply::Accepted)),
            (json!({"STATUS": "S", "Msg": "ok"}), Ok(Reply::Accepted)),
            (
                json!({"STATUS": [{"STATUS": "E", "Msg": "Invalid command"}]}),
                words("Invalid command"),
            ),
            (json!({"STATUS": "E", "Msg": "token error"}), words("token error")),
        ] {
            assert_eq!(reply(&answer), says, "{answer}");
        }
        assert!(reply(&json!({})).is_err() && reply(&json!([1])).is_err());
    }
}
