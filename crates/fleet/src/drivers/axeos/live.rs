//! The live stream of AxeOS from 2.14 on: all of `/api/system/info` once, then what has changed, twice a
//! second (ESP-Miner, `websocket_api.c`). Opened for who asks often and closed when nobody does; bounded
//! in frames, state and time. Never sends anything.

use crate::{
    driver::DriverError,
    drivers::{READ_DEADLINE, http::connect},
};
use futures_util::StreamExt;
use serde_json::{Map, Value};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{Error, Message, protocol::WebSocketConfig},
};

/// Longest message, and most that is remembered of a machine, bytes: all of `info` is 4 kB.
const MOST: usize = 64 * 1024;
/// Two questions within this are worth a stream. Supervision, which asks thousands, asks less often.
const OFTEN: Duration = Duration::from_secs(3);
/// Nobody asked for this long: the machine, which serves ten streams, gets its socket back.
const UNASKED: Duration = Duration::from_secs(10);
/// A power reading changes twice a second: a stream that says nothing for this long is not believed.
const STALE: Duration = Duration::from_millis(1500);
/// After a command, what was already on its way is older than it.
const ON_ITS_WAY: Duration = Duration::from_millis(600);
/// A stream that broke is opened again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// Firmware that has none is asked again after this: it may have been updated.
const NONE: Duration = Duration::from_secs(600);

/// The stream of one machine, open or not.
#[derive(Debug, Clone)]
pub(super) struct Live {
    at: SocketAddr,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    info: Value,
    /// When the last message came.
    told: Option<Instant>,
    asked: Option<Instant>,
    /// Nothing told before this counts.
    since: Option<Instant>,
    open: bool,
    again: Option<Instant>,
}

impl Live {
    pub(super) fn new(at: SocketAddr) -> Self {
        Self { at, held: Arc::default() }
    }

    /// All that the machine tells, no older than its last command; `None` where it has to be asked.
    pub(super) fn info(&self) -> Option<Value> {
        let now = Instant::now();
        let mut held = lock(&self.held);
        let often = held.asked.replace(now).is_some_and(|before| now - before <= OFTEN);
        if !held.open {
            if often && held.again.is_none_or(|again| now >= again) {
                held.open = true;
                tokio::spawn(keep(self.at, self.held.clone()));
            }
            return None;
        }
        let told = held.told.filter(|told| now - *told < STALE)?;
        held.since.is_none_or(|since| told >= since).then(|| held.info.clone())
    }

    /// The machine was told something: what it said before is old.
    pub(super) fn commanded(&self) {
        lock(&self.held).since = Some(Instant::now() + ON_ITS_WAY);
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn keep(at: SocketAddr, held: Arc<Mutex<Held>>) {
    let end = listen(at, &held).await;
    let pause = if matches!(end, Err(DriverError::Unsafe(_))) { NONE } else { AGAIN };
    let mut held = lock(&held);
    let (asked, since) = (held.asked, held.since);
    *held = Held { asked, since, again: Some(Instant::now() + pause), ..Held::default() };
}

/// Ends well when nobody asks any more.
async fn listen(at: SocketAddr, held: &Mutex<Held>) -> Result<(), DriverError> {
    let garbage = |error: Error| match error {
        // The firmware has no such page.
        Error::Http(answer) if answer.status().as_u16() != 429 => {
            DriverError::Unsafe("this AxeOS has no live stream")
        }
        error => DriverError::Garbage(error.to_string()),
    };
    let silent = |_| DriverError::Silent(READ_DEADLINE);
    let stream = connect(at, READ_DEADLINE).await?;
    let bounds = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .max_message_size(Some(MOST))
        .max_frame_size(Some(MOST));
    let asking = client_async_with_config(format!("ws://{at}/api/ws/live"), stream, Some(bounds));
    let (mut stream, _) = timeout(READ_DEADLINE, asking).await.map_err(silent)?.map_err(garbage)?;
    loop {
        if lock(held).asked.is_none_or(|asked| asked.elapsed() > UNASKED) {
            return Ok(());
        }
        let message = match timeout(READ_DEADLINE, stream.next()).await.map_err(silent)? {
            Some(message) => message.map_err(garbage)?,
            None => return Err(DriverError::Silent(Duration::ZERO)),
        };
        if let Message::Text(text) = message {
            let mut held = lock(held);
            take(&mut held.info, &text)?;
            held.told = Some(Instant::now());
        }
    }
}

/// Takes a message of the stream into what is known. Objects are merged field by field, all else is
/// replaced, as the firmware compares them; an error when it is no message or too much becomes known.
pub fn take(known: &mut Value, message: &str) -> Result<(), DriverError> {
    let bad = |error: serde_json::Error| DriverError::Garbage(error.to_string());
    let Value::Object(mut message) = serde_json::from_str(message).map_err(bad)? else {
        return Err(DriverError::Garbage("a live message that is no object".into()));
    };
    let data = message.remove("data");
    match (message.get("event").and_then(Value::as_str), data) {
        (Some("update"), Some(Value::Object(news))) => {
            if !known.is_object() {
                *known = Value::Object(Map::new());
            }
            merge(known, Value::Object(news));
        }
        // Events of later firmware.
        _ => return Ok(()),
    }
    if known.to_string().len() > MOST {
        return Err(DriverError::TooLong(MOST));
    }
    Ok(())
}

fn merge(known: &mut Value, news: Value) {
    match (known, news) {
        (Value::Object(known), Value::Object(news)) => {
            for (key, value) in news {
                merge(known.entry(key).or_insert(Value::Null), value);
            }
        }
        (known, news) => *known = news,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::hostile::{Does, hostile};
    use serde_json::json;

    #[test]
    fn news_is_merged_as_the_firmware_compares_it() {
        let mut known = Value::Null;
        for text in [
            r#"{"event":"update","data":{"temp":50,"m":{"a":1,"b":[1,2]},"power":17}}"#,
            r#"{"event":"update","data":{"temp":51,"m":{"b":[3]}}}"#,
            r#"{"event":"something new"}"#,
        ] {
            take(&mut known, text).unwrap();
        }
        assert_eq!(known, json!({ "temp": 51, "m": { "a": 1, "b": [3] }, "power": 17 }));
    }

    #[test]
    fn what_is_remembered_of_a_machine_is_bounded() {
        let mut known = Value::Null;
        let told =
            |n: usize| json!({ "event": "update", "data": { format!("k{n}"): "x".repeat(9000) } });
        let taken =
            (0..100).take_while(|n| take(&mut known, &told(*n).to_string()).is_ok()).count();
        assert!((5..8).contains(&taken), "{taken}");
        assert!(take(&mut known, &"[".repeat(60_000)).is_err());
        assert!(take(&mut known, "7").is_err());
    }

    /// A frame's head that announces this many bytes of text, after a true handshake.
    async fn announces(length: u64) -> SocketAddr {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 2048];
            let read = stream.read(&mut asked).await.unwrap();
            let text = String::from_utf8_lossy(&asked[..read]).into_owned();
            let key = text.lines().find_map(|l| l.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            let accept =
                tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.trim().as_bytes());
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&[0x81, 127]).await.unwrap();
            stream.write_all(&length.to_be_bytes()).await.unwrap();
            stream.write_all(&[b' '; 4096]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(30)).await;
        });
        at
    }

    fn asked() -> Mutex<Held> {
        Mutex::new(Held { asked: Some(Instant::now()), open: true, ..Held::default() })
    }

    #[tokio::test]
    async fn a_frame_of_four_gigabytes_is_not_believed() {
        let end = listen(announces(4 << 30).await, &asked()).await;
        assert!(matches!(&end, Err(DriverError::Garbage(_))), "{end:?}");
    }

    #[tokio::test]
    async fn a_head_without_end_and_a_page_instead_of_a_stream_end_it() {
        let endless =
            Does::Endless { first: "HTTP/1.1 101 S\r\n", then: "X: yyyyyyyyyyyyyyyy\r\n" };
        let end = listen(hostile(endless).await, &asked()).await;
        assert!(matches!(&end, Err(DriverError::Garbage(_))), "{end:?}");
        let page = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
        let end = listen(hostile(Does::Say(page.into())).await, &asked()).await;
        assert!(matches!(&end, Err(DriverError::Unsafe(_))), "{end:?}");
    }
}
