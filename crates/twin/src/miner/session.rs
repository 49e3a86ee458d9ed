//! The link thread of a miner: connects, shakes hands, turns what the server says into work for
//! the hash threads, and connects again when the connection ends.

use super::{
    Endpoint, MinerConfig,
    reply::{self, Said},
    shared::{Shared, Work, remember},
};
use crate::{job::Job, target::Target};
use serde_json::{Value, json};
use std::{
    io::{self, Read},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};
use units::Difficulty;

const CONNECT_TIME: Duration = Duration::from_secs(5);
const SEND_TIME: Duration = Duration::from_secs(2);
/// Silence before the first job after which a server is given up.
const HANDSHAKE_SILENCE: Duration = Duration::from_secs(30);
/// Silence after it: servers renew work at least every minute or two.
const WORKING_SILENCE: Duration = Duration::from_secs(300);
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);
const MAX_LINE: usize = 512 * 1024;

const CONFIGURE: u64 = 1;
const SUBSCRIBE: u64 = 2;
const AUTHORIZE: u64 = 3;
const EXTRANONCE_SUBSCRIBE: u64 = 4;
const SUGGEST_DIFFICULTY: u64 = 5;

/// Keeps a connection until the miner is stopped.
pub(super) fn keep(shared: &Shared, config: &MinerConfig, first: Endpoint) {
    let mut server = first;
    let mut backoff = FIRST_BACKOFF;
    let mut made = 0u64;
    while !shared.stopped() {
        let mut wait = None;
        let trouble = match connect(&server) {
            Ok(stream) => {
                shared.counters().reconnects = made;
                made += 1;
                let (end, worked) = Session::run(shared, config, stream);
                shared.close_link();
                if worked {
                    backoff = FIRST_BACKOFF;
                }
                let why = end.to_string();
                if let End::Reconnect { host, port, wait: w } = end {
                    if host.is_empty() || host == server.host {
                        server.port = port.unwrap_or(server.port);
                        wait = Some(w);
                    } else {
                        let refused = format!("The server asked to move to {host}; not followed");
                        remember(&mut shared.counters().messages, refused);
                    }
                }
                why
            }
            Err(error) => format!("{}:{} cannot be reached: {error}", server.host, server.port),
        };
        if shared.stopped() {
            return;
        }
        tracing::debug!(user = config.user, trouble, "the miner has no work");
        shared.counters().trouble = Some(trouble);
        // Up to half as long again, so that a whole farm does not come back in one moment.
        let pause = wait.unwrap_or_else(|| backoff.mul_f64(1.0 + rand::random::<f64>() / 2.0));
        shared.pause(pause);
        if wait.is_none() {
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }
}

fn connect(server: &Endpoint) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let end = Instant::now() + CONNECT_TIME;
    for address in (server.host.as_str(), server.port).to_socket_addrs()? {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(SEND_TIME))?;
                stream.set_read_timeout(Some(HANDSHAKE_SILENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the server closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the server said nothing for too long")]
    Silent,
    #[error("the server sent a line of more than {MAX_LINE} bytes")]
    LongLine,
    #[error("the server refused to subscribe this miner: {0}")]
    NotSubscribed(String),
    #[error("the server refused user {user:?}: {why}")]
    NotAuthorized { user: String, why: String },
    #[error("the server asked to connect again")]
    Reconnect { host: String, port: Option<u16>, wait: Duration },
}

struct Session<'a> {
    shared: &'a Shared,
    config: &'a MinerConfig,
    stream: TcpStream,
    extranonces: Option<(Vec<u8>, usize)>,
    /// What `mining.set_extranonce` gave for the jobs to come.
    next_extranonces: Option<(Vec<u8>, usize)>,
    /// What the next job will be hashed at; `None` until the server says.
    difficulty: Option<Difficulty>,
    version_mask: u32,
    /// The latest job, and the work made of it.
    job: Option<Job>,
    working: bool,
}

impl<'a> Session<'a> {
    /// Talks to a server until the connection ends; also tells whether any work came of it.
    fn run(shared: &'a Shared, config: &'a MinerConfig, stream: TcpStream) -> (End, bool) {
        let mut session = Self {
            shared,
            config,
            stream,
            extranonces: None,
            next_extranonces: None,
            difficulty: None,
            version_mask: 0,
            job: None,
            working: false,
        };
        let end = session.talk();
        (end, session.working)
    }

    fn talk(&mut self) -> End {
        let open = self.stream.try_clone().map(|out| self.shared.open_link(out));
        match open {
            Ok(true) => {}
            Ok(false) => return End::Closed,
            Err(error) => return End::Broken(error),
        }
        match self.shake_hands().and_then(|()| self.listen()) {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    /// Everything in one segment, as many firmwares do; the answers may come in any order.
    fn shake_hands(&self) -> Result<(), End> {
        let mut lines = String::new();
        let mut call = |id, method: &str, params: Value| {
            lines += &format!("{}\n", json!({"id": id, "method": method, "params": params}));
        };
        if self.config.version_rolling {
            let wanted = json!({
                "version-rolling.mask": "1fffe000",
                "version-rolling.min-bit-count": 2,
            });
            call(CONFIGURE, "mining.configure", json!([["version-rolling"], wanted]));
        }
        call(SUBSCRIBE, "mining.subscribe", json!([self.config.user_agent]));
        let who = json!([self.config.user, self.config.password]);
        call(AUTHORIZE, "mining.authorize", who);
        call(EXTRANONCE_SUBSCRIBE, "mining.extranonce.subscribe", json!([]));
        if let Some(difficulty) = self.config.suggest_difficulty {
            let params = json!([difficulty.get()]);
            call(SUGGEST_DIFFICULTY, "mining.suggest_difficulty", params);
        }
        Ok(self.shared.send(&lines)?)
    }

    fn listen(&mut self) -> Result<std::convert::Infallible, End> {
        let mut chunk = vec![0; 16 * 1024];
        let mut held = Vec::new();
        loop {
            let read = match self.stream.read(&mut chunk) {
                Ok(0) => return Err(End::Closed),
                Ok(read) => read,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Err(End::Silent),
                    io::ErrorKind::Interrupted => continue,
                    _ => return Err(End::Broken(error)),
                },
            };
            let mut rest = &chunk[..read];
            while let Some(end) = rest.iter().position(|b| *b == b'\n') {
                held.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                self.heard(&held)?;
                held.clear();
            }
            held.extend_from_slice(rest);
            if held.len() > MAX_LINE {
                return Err(End::LongLine);
            }
        }
    }

    fn heard(&mut self, line: &[u8]) -> Result<(), End> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        match reply::read(line, &self.config.user_agent) {
            Said::Answer { id, result, error } => self.answered(id, &result, &error)?,
            Said::Notify(job) => self.new_job(*job)?,
            Said::SetDifficulty(difficulty) => {
                self.shared.counters().difficulty = Some(difficulty.get());
                let first = self.difficulty.replace(difficulty).is_none();
                // It counts from the next job on; but if the first job came without any, now.
                if first {
                    self.start_work();
                }
            }
            Said::SetExtranonce { extranonce1, extranonce2_size } => {
                self.next_extranonces = Some((extranonce1, extranonce2_size))
            }
            Said::SetVersionMask(mask) => {
                if self.config.version_rolling && mask != self.version_mask {
                    self.version_mask = mask;
                    self.start_work();
                }
            }
            Said::Reconnect { host, port, wait_seconds } => {
                return Err(End::Reconnect { host, port, wait: Duration::from_secs(wait_seconds) });
            }
            Said::ShowMessage(text) => remember(&mut self.shared.counters().messages, text),
            Said::Unknown { answer } => self.shared.send(&answer)?,
            Said::Ignored => {}
            Said::Nonsense(why) => {
                tracing::debug!(why, "the server sent a bad line");
                self.shared.counters().bad_lines += 1;
            }
        }
        Ok(())
    }

    fn answered(&mut self, id: u64, result: &Value, error: &Value) -> Result<(), End> {
        match id {
            CONFIGURE => {
                self.version_mask = reply::granted_mask(result);
                self.start_work();
            }
            SUBSCRIBE => {
                let Some(extranonces) = reply::subscription(result) else {
                    return Err(End::NotSubscribed(reply::reason(error)));
                };
                self.extranonces = Some(extranonces);
                self.start_work();
            }
            AUTHORIZE if *result == Value::Bool(true) => {
                let mut counters = self.shared.counters();
                counters.connected = true;
                counters.trouble = None;
            }
            AUTHORIZE => {
                return Err(End::NotAuthorized {
                    user: self.config.user.clone(),
                    why: reply::reason(error),
                });
            }
            // Servers may refuse these two; nothing depends on them.
            EXTRANONCE_SUBSCRIBE | SUGGEST_DIFFICULTY => {}
            _ => self.shared.answered(id, result, error),
        }
        Ok(())
    }

    fn new_job(&mut self, job: Job) -> Result<(), End> {
        {
            let mut counters = self.shared.counters();
            counters.jobs += 1;
            counters.last_job = Some(job.id.clone());
        }
        if !self.working {
            self.stream.set_read_timeout(Some(WORKING_SILENCE))?;
        }
        if job.clean {
            self.shared.void_work();
        }
        if let Some(next) = self.next_extranonces.take() {
            self.extranonces = Some(next);
        }
        self.job = Some(job);
        self.start_work();
        Ok(())
    }

    /// Hands the latest job out with what is in force now; nothing while something is missing.
    fn start_work(&mut self) {
        let (Some(job), Some((extranonce1, size))) = (&self.job, &self.extranonces) else { return };
        let difficulty = self.difficulty.unwrap_or(Difficulty::ONE);
        self.working = true;
        self.shared.set_work(Some(Arc::new(Work {
            job: job.clone(),
            extranonce1: extranonce1.clone(),
            extranonce2_size: *size,
            difficulty: difficulty.get(),
            target: Target::from_difficulty(difficulty),
            version_mask: self.version_mask,
            born: Instant::now(),
            epoch: self.shared.epoch(),
        })));
    }
}
