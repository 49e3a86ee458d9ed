//! One machine's Stratum session: from its own address, to the pools of its firmware, for as long as
//! its control board is up.

use super::{super::device::Device, task::Task};
use crate::{
    job::Job,
    miner::reply::{self, Said},
    target::Target,
};
use serde_json::{Value, json};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, lookup_host},
    sync::mpsc::Receiver,
    time::{interval, sleep, timeout},
};
use units::Difficulty;

const CONNECT_TIME: Duration = Duration::from_secs(5);
const SEND_TIME: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(300);
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);
/// How often a session looks whether its machine still wants it.
const LOOK: Duration = Duration::from_millis(500);
const MAX_LINE: usize = 512 * 1024;

const CONFIGURE: u64 = 1;
const SUBSCRIBE: u64 = 2;
const AUTHORIZE: u64 = 3;
const EXTRANONCE_SUBSCRIBE: u64 = 4;
const FIRST_SHARE: u64 = 100;

/// Keeps a session until the farm stops.
pub(in super::super) async fn keep(device: Arc<Device>) {
    let mut backoff = FIRST_BACKOFF;
    let mut turn = 0;
    while !device.world().stopped() {
        let pools = device.pools();
        if !device.is_awake() || pools.is_empty() {
            sleep(LOOK).await;
            continue;
        }
        let pool = &pools[turn % pools.len()];
        let began = Instant::now();
        let end = match connect(&device, &pool.url).await {
            Ok(stream) => {
                let lines = device.link.open();
                let mut session = Session::new(&device, &pool.user, &pool.password);
                let end = session.run(stream, lines, &pool.url).await;
                device.link.close();
                end
            }
            Err(error) => End::Broken(error),
        };
        tracing::debug!(machine = device.name(), why = %end, "no work");
        if began.elapsed() > LONGEST_BACKOFF {
            (backoff, turn) = (FIRST_BACKOFF, 0);
        } else {
            turn = turn.wrapping_add(1);
        }
        // Up to half as long again, so that a whole farm does not come back in one moment.
        sleep(backoff.mul_f64(1.0 + rand::random::<f64>() / 2.0)).await;
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    }
}

/// Connects from the machine's own address. Nobody outside this computer is ever called: a machine
/// whose pools were lost to its maker's stays without work.
async fn connect(device: &Device, url: &str) -> io::Result<TcpStream> {
    let server = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    let other = |text| io::Error::new(io::ErrorKind::AddrNotAvailable, text);
    if server.ends_with(".invalid") || server.contains(".invalid:") {
        return Err(other("the name stands for no server"));
    }
    timeout(CONNECT_TIME, async {
        let mut to = lookup_host(server).await?.filter(SocketAddr::is_ipv4);
        let to = to.next().ok_or_else(|| other("the name has no IPv4 address"))?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::V4(device.address()), 0))?;
        socket.set_nodelay(true)?;
        socket.connect(to).await
    })
    .await?
}

/// Why a session ended.
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
    #[error("the server refused this machine: {0}")]
    Refused(String),
    #[error("the server asked to connect again")]
    Reconnect,
    #[error("the machine is off or has other pools")]
    Unwanted,
}

struct Session<'a> {
    device: &'a Device,
    user: Arc<str>,
    password: &'a str,
    agent: String,
    extranonces: Option<(Vec<u8>, usize)>,
    next_extranonces: Option<(Vec<u8>, usize)>,
    difficulty: Option<Difficulty>,
    version_mask: u32,
    job: Option<Job>,
    /// Answers to send back.
    answers: String,
    shares: u64,
}

impl<'a> Session<'a> {
    fn new(device: &'a Device, user: &str, password: &'a str) -> Self {
        Self {
            device,
            user: user.into(),
            password,
            agent: format!("hearth-twin/{}", device.kind().name()),
            extranonces: None,
            next_extranonces: None,
            difficulty: None,
            version_mask: 0,
            job: None,
            answers: String::new(),
            shares: 0,
        }
    }

    async fn run(&mut self, mut stream: TcpStream, mut out: Receiver<String>, url: &str) -> End {
        match self.talk(&mut stream, &mut out, url).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn talk(
        &mut self,
        stream: &mut TcpStream,
        out: &mut Receiver<String>,
        url: &str,
    ) -> Result<std::convert::Infallible, End> {
        send(stream, &self.greeting()).await?;
        let mut look = interval(LOOK);
        let mut heard = Instant::now();
        let mut held: Vec<u8> = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            tokio::select! {
                read = stream.read(&mut chunk) => {
                    let read = read?;
                    if read == 0 {
                        return Err(End::Closed);
                    }
                    heard = Instant::now();
                    held.extend_from_slice(&chunk[..read]);
                    let mut from = 0;
                    while let Some(end) = memchr::memchr(b'\n', &held[from..]) {
                        self.heard(&held[from..from + end])?;
                        from += end + 1;
                    }
                    held.drain(..from);
                    if held.len() > MAX_LINE {
                        return Err(End::LongLine);
                    }
                    if !self.answers.is_empty() {
                        send(stream, &std::mem::take(&mut self.answers)).await?;
                    }
                }
                share = out.recv() => {
                    let Some(share) = share else { return Err(End::Unwanted) };
                    let mut lines = String::new();
                    self.submit(&share, &mut lines);
                    while let Ok(share) = out.try_recv() {
                        self.submit(&share, &mut lines);
                    }
                    send(stream, &lines).await?;
                }
                _ = look.tick() => {
                    let device = self.device;
                    let wanted = device.is_awake()
                        && device.pools().iter().any(|p| p.url == url && p.user == *self.user);
                    if !wanted || device.world().stopped() {
                        return Err(End::Unwanted);
                    }
                    if heard.elapsed() > SILENCE {
                        return Err(End::Silent);
                    }
                }
            }
        }
    }

    /// Everything in one segment, as many firmwares do; the answers may come in any order.
    fn greeting(&self) -> String {
        let mut lines = String::new();
        let mut call = |id, method: &str, params: Value| {
            lines += &format!("{}\n", json!({"id": id, "method": method, "params": params}));
        };
        let wanted =
            json!({"version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": 2});
        call(CONFIGURE, "mining.configure", json!([["version-rolling"], wanted]));
        call(SUBSCRIBE, "mining.subscribe", json!([self.agent]));
        call(AUTHORIZE, "mining.authorize", json!([&*self.user, self.password]));
        call(EXTRANONCE_SUBSCRIBE, "mining.extranonce.subscribe", json!([]));
        lines
    }

    fn submit(&mut self, share: &str, lines: &mut String) {
        let id = FIRST_SHARE + self.shares;
        self.shares += 1;
        *lines += &format!("{{\"id\":{id},\"method\":\"mining.submit\",\"params\":{share}}}\n");
    }

    fn heard(&mut self, line: &[u8]) -> Result<(), End> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        match reply::read(line, &self.agent) {
            Said::Answer { id, result, error } => self.answered(id, &result, &error)?,
            Said::Notify(job) => {
                if let Some(next) = self.next_extranonces.take() {
                    self.extranonces = Some(next);
                }
                self.job = Some(*job);
                self.start_work();
            }
            Said::SetDifficulty(difficulty) => {
                // It counts from the next job on; but if the first job came without any, now.
                if self.difficulty.replace(difficulty).is_none() {
                    self.start_work();
                }
            }
            Said::SetExtranonce { extranonce1, extranonce2_size } => {
                self.next_extranonces = Some((extranonce1, extranonce2_size));
            }
            Said::SetVersionMask(mask) => {
                self.version_mask = mask;
                self.start_work();
            }
            Said::Reconnect { .. } => return Err(End::Reconnect),
            Said::Unknown { answer } => self.answers += &answer,
            Said::ShowMessage(text) => {
                tracing::debug!(machine = self.device.name(), text, "the server says");
            }
            Said::Ignored | Said::Nonsense(_) => {}
        }
        Ok(())
    }

    fn answered(&mut self, id: u64, result: &Value, error: &Value) -> Result<(), End> {
        let yes = *result == Value::Bool(true);
        let link = &self.device.link;
        match id {
            CONFIGURE => {
                self.version_mask = reply::granted_mask(result);
                self.start_work();
            }
            SUBSCRIBE => {
                let Some(extranonces) = reply::subscription(result) else {
                    return Err(End::Refused(reply::reason(error)));
                };
                self.extranonces = Some(extranonces);
                self.start_work();
            }
            AUTHORIZE if yes => link.connected(),
            AUTHORIZE => return Err(End::Refused(reply::reason(error))),
            EXTRANONCE_SUBSCRIBE => {}
            _ if yes => {
                link.accepted.fetch_add(1, Relaxed);
            }
            _ => {
                link.rejected.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }

    /// Hands the latest job out with what is in force now; nothing while something is missing.
    fn start_work(&mut self) {
        let (Some(job), Some((extranonce1, size))) = (&self.job, &self.extranonces) else { return };
        let difficulty = self.difficulty.unwrap_or(Difficulty::ONE);
        self.device.link.give(Task {
            job: job.clone(),
            user: self.user.clone(),
            extranonce1: extranonce1.clone(),
            extranonce2_size: *size,
            target: Target::from_difficulty(difficulty),
            version_mask: self.version_mask,
            born: Instant::now(),
        });
    }
}

async fn send(stream: &mut TcpStream, lines: &str) -> Result<(), End> {
    timeout(SEND_TIME, stream.write_all(lines.as_bytes())).await.map_err(|_| End::Silent)??;
    Ok(())
}
