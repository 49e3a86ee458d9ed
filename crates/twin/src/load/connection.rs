//! One connection of the load generator: what the server has said on it so far.
//! It reads lines and keeps state; sockets belong to the pool.

use super::scan::{self, Message};
use crate::{
    job::{Job, hex_u32},
    miner::reply,
};
use serde_json::Value;
use units::Difficulty;

/// Longest line taken from a server.
const MAX_LINE: usize = 1024 * 1024;
const MAX_REASON: usize = 100;

pub(super) const CONFIGURE: u64 = 1;
pub(super) const SUBSCRIBE: u64 = 2;
pub(super) const AUTHORIZE: u64 = 3;
/// Ids of shares start here.
pub(super) const FIRST_SHARE: u64 = 16;

const SUBSCRIBED: u8 = 1;
const AUTHORIZED: u8 = 2;
const HAS_JOB: u8 = 4;
const READY: u8 = SUBSCRIBED | AUTHORIZED | HAS_JOB;

/// What happened on a connection.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// Subscribed, authorized and holding its first job, for the first time.
    Ready,
    /// A new job.
    Job {
        /// It voids all older ones.
        clean: bool,
        /// Its block holds the coinbase only.
        empty: bool,
    },
    /// An answer to a step of the handshake.
    Stepped(u64),
    Accepted(u64),
    Rejected(u64, Box<str>),
    /// It is gone.
    Closed {
        why: Fault,
        /// It was ready before.
        ready: bool,
    },
}

/// Why a connection has to be closed, as short text.
pub(super) type Fault = Box<str>;

/// The protocol state of one connection; about 150 bytes while it keeps no job.
#[derive(Debug, Default)]
pub(super) struct Connection {
    stage: u8,
    pub extranonce1: Vec<u8>,
    pub extranonce2_size: usize,
    next_extranonces: Option<Box<(Vec<u8>, usize)>>,
    pub version_mask: u32,
    difficulty: Option<Difficulty>,
    /// The parameters of the latest job, if jobs are kept.
    job: Vec<u8>,
    /// The beginning of a line whose end has not come yet.
    held: Vec<u8>,
}

impl Connection {
    /// Whether it can submit shares.
    pub fn ready(&self) -> bool {
        self.stage == READY
    }

    /// The difficulty that shares must have now.
    pub fn difficulty(&self) -> Difficulty {
        self.difficulty.unwrap_or(Difficulty::ONE)
    }

    /// The latest job; `None` if jobs are not kept or it is unusable.
    pub fn job(&self) -> Option<Job> {
        let params: Vec<Value> = serde_json::from_slice(&self.job).ok()?;
        Job::from_params(&params).ok()
    }

    /// Takes bytes from the server. What must be sent back goes to `out`.
    pub fn take(
        &mut self,
        mut bytes: &[u8],
        keep_job: bool,
        out: &mut Vec<u8>,
        mut tell: impl FnMut(Event),
    ) -> Result<(), Fault> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            if self.held.is_empty() {
                self.line(&bytes[..end], keep_job, out, &mut tell)?;
            } else {
                self.held.extend_from_slice(&bytes[..end]);
                let line = std::mem::take(&mut self.held);
                self.line(&line, keep_job, out, &mut tell)?;
            }
            bytes = &bytes[end + 1..];
        }
        if self.held.len() + bytes.len() > MAX_LINE {
            return Err("the server sent a line without end".into());
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    fn line(
        &mut self,
        line: &[u8],
        keep_job: bool,
        out: &mut Vec<u8>,
        tell: &mut impl FnMut(Event),
    ) -> Result<(), Fault> {
        let Some(message) = scan::message(line) else {
            return if line.trim_ascii().is_empty() {
                Ok(())
            } else {
                Err("the server sent a line that is no JSON object".into())
            };
        };
        let was_ready = self.ready();
        match message.method {
            Some(method) => self.called(method, &message, keep_job, out, tell)?,
            None => self.answered(&message, tell)?,
        }
        if self.ready() && !was_ready {
            tell(Event::Ready);
        }
        Ok(())
    }

    fn answered(&mut self, message: &Message, tell: &mut impl FnMut(Event)) -> Result<(), Fault> {
        let Some(id) = message.id.and_then(scan::number) else { return Ok(()) };
        let accepted = message.result == Some(b"true");
        match id {
            CONFIGURE => self.version_mask = reply::granted_mask(&value(message.result)),
            SUBSCRIBE => match reply::subscription(&value(message.result)) {
                Some((extranonce1, size)) => {
                    self.extranonce1 = extranonce1;
                    self.extranonce2_size = size;
                    self.stage |= SUBSCRIBED;
                }
                None => return Err(format!("subscribe refused: {}", reason(message)).into()),
            },
            AUTHORIZE if accepted => self.stage |= AUTHORIZED,
            AUTHORIZE => return Err(format!("authorize refused: {}", reason(message)).into()),
            _ if id < FIRST_SHARE => {}
            _ if accepted => tell(Event::Accepted(id)),
            _ => tell(Event::Rejected(id, reason(message))),
        }
        if id <= AUTHORIZE {
            tell(Event::Stepped(id));
        }
        Ok(())
    }

    fn called(
        &mut self,
        method: &[u8],
        message: &Message,
        keep_job: bool,
        out: &mut Vec<u8>,
        tell: &mut impl FnMut(Event),
    ) -> Result<(), Fault> {
        let params = message.params.unwrap_or_default();
        match method {
            b"mining.notify" => {
                let (mut clean, mut empty) = (false, false);
                for (index, part) in scan::elements(params).enumerate() {
                    match index {
                        4 => empty = scan::elements(part).next().is_none(),
                        8 => clean = part == b"true",
                        _ => {}
                    }
                }
                if keep_job {
                    self.job.clear();
                    self.job.extend_from_slice(params);
                }
                if let Some(next) = self.next_extranonces.take() {
                    (self.extranonce1, self.extranonce2_size) = *next;
                }
                self.stage |= HAS_JOB;
                tell(Event::Job { clean, empty });
            }
            b"mining.set_difficulty" => {
                let difficulty = scan::elements(params)
                    .next()
                    .and_then(|d| std::str::from_utf8(d).ok()?.trim_matches('"').parse().ok());
                match difficulty.and_then(|d| Difficulty::new(d).ok()) {
                    Some(difficulty) => self.difficulty = Some(difficulty),
                    None => return Err("the server set an unusable difficulty".into()),
                }
            }
            b"mining.set_extranonce" => {
                let params = value(Some(params));
                let next = params.as_array().and_then(|p| reply::extranonces(p));
                match next {
                    Some(next) => self.next_extranonces = Some(Box::new(next)),
                    None => return Err("the server set an unusable extranonce".into()),
                }
            }
            b"mining.set_version_mask" => {
                let params = value(Some(params));
                if let Some(mask) = params[0].as_str().and_then(hex_u32) {
                    self.version_mask = mask;
                }
            }
            b"client.reconnect" => return Err("the server asked to reconnect".into()),
            _ => {
                if let Some(id) = message.id.filter(|id| *id != b"null") {
                    out.extend_from_slice(b"{\"id\":");
                    out.extend_from_slice(id);
                    out.extend_from_slice(
                        b",\"result\":null,\"error\":[-3,\"Method not found\",null]}\n",
                    );
                }
            }
        }
        Ok(())
    }
}

fn value(bytes: Option<&[u8]>) -> Value {
    bytes.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
}

fn reason(message: &Message) -> Box<str> {
    let text = reply::reason(&value(message.error));
    text.chars().take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds text in pieces of every size and gives what was told the last time.
    fn told(text: &str) -> (Connection, Vec<Event>, Result<(), Fault>) {
        let mut last: Option<(Connection, Vec<Event>, Result<(), Fault>)> = None;
        for size in [1, 2, 7, 64, 100_000] {
            let mut connection = Connection::default();
            let mut events = Vec::new();
            let mut out = Vec::new();
            let mut end = Ok(());
            for piece in text.as_bytes().chunks(size) {
                end = connection.take(piece, true, &mut out, |event| events.push(event));
                if end.is_err() {
                    break;
                }
            }
            if let Some((_, before, _)) = &last {
                assert_eq!(before, &events, "in pieces of {size}");
            }
            last = Some((connection, events, end));
        }
        last.unwrap()
    }

    const JOB: &str = concat!(
        r#"{"params": ["j", "1111111111111111111111111111111111111111111111111111111111111111","#,
        r#" "00", "00", [ ], "20000000", "207fffff", "66000000", true], "id": null, "#,
        r#""method": "mining.notify"}"#
    );

    #[test]
    fn it_is_ready_in_whatever_order_the_server_talks() {
        let subscribed =
            r#"{"id": 2, "result": [[["mining.notify","x"]], "aabb", 4], "error": null}"#;
        let authorized = r#"{"error":null,"result":true,"id":3}"#;
        let configured =
            r#"{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"}}"#;
        let difficulty = r#"{"method":"mining.set_difficulty","params":[0.001]}"#;
        for order in [
            [configured, subscribed, authorized, difficulty, JOB],
            [difficulty, JOB, authorized, configured, subscribed],
            [subscribed, difficulty, JOB, configured, authorized],
        ] {
            let (connection, events, end) = told(&(order.join("\r\n") + "\n"));
            assert_eq!(end, Ok(()));
            assert!(connection.ready());
            assert_eq!(events.iter().filter(|e| **e == Event::Ready).count(), 1);
            assert!(events.contains(&Event::Job { clean: true, empty: true }));
            assert_eq!(connection.extranonce1, [0xaa, 0xbb]);
            assert_eq!(connection.extranonce2_size, 4);
            assert_eq!(connection.version_mask, 0x1fff_e000);
            assert_eq!(connection.difficulty().get(), 0.001);
            assert_eq!(connection.job().unwrap().id, "j");
        }
    }

    #[test]
    fn answers_to_shares_are_told_with_their_reasons() {
        let (_, events, _) = told(concat!(
            "{\"id\":16,\"result\":true,\"error\":null}\n",
            "{\"id\":17,\"result\":null,\"error\":[21,\"Job not found\",null]}\n",
            "{\"id\":18,\"result\":false,\"error\":null}\n",
            "{\"id\":9,\"result\":true}\n{\"id\":null,\"result\":true}\n",
        ));
        let want = [
            Event::Accepted(16),
            Event::Rejected(17, "Job not found".into()),
            Event::Rejected(18, "no reason given".into()),
        ];
        assert_eq!(events, want);
    }

    #[test]
    fn refusals_and_nonsense_end_the_connection_with_a_reason() {
        for (line, want) in [
            (
                r#"{"id":3,"result":false,"error":[24,"bad address",null]}"#,
                "authorize refused: bad address",
            ),
            (r#"{"id":2,"result":null,"error":"full"}"#, "subscribe refused: full"),
            ("hello", "the server sent a line that is no JSON object"),
            (
                r#"{"method":"mining.set_difficulty","params":[-1]}"#,
                "the server set an unusable difficulty",
            ),
            (r#"{"method":"client.reconnect","params":[]}"#, "the server asked to reconnect"),
        ] {
            assert_eq!(told(&format!("{line}\n")).2, Err(want.into()));
        }
        let mut connection = Connection::default();
        let endless = vec![b'x'; MAX_LINE + 1];
        assert!(connection.take(&endless, true, &mut Vec::new(), |_| {}).is_err());
    }

    #[test]
    fn a_call_that_wants_an_answer_gets_one() {
        let mut out = Vec::new();
        let call = b"{\"method\":\"mining.ping\",\"id\":\"a\"}\n{\"method\":\"x\",\"id\":null}\n";
        let mut connection = Connection::default();
        connection.take(call, false, &mut out, |_| {}).unwrap();
        assert_eq!(
            out,
            b"{\"id\":\"a\",\"result\":null,\"error\":[-3,\"Method not found\",null]}\n"
        );
    }
}
