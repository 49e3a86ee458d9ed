//! What the link thread and the hash threads of one miner share: the work, the way out for shares,
//! and the counters. No thread holds more than one of its locks while it waits for anything.

use super::reply::reason;
use crate::{
    hash::HeaderScan,
    job::{Job, extranonce2, spread},
    target::Target,
};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    io::Write,
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Shares that may wait for an answer; a found share beyond that is held back.
const MAX_PENDING: usize = 512;
/// Different reject reasons that are told apart.
const MAX_REASONS: usize = 32;
/// Messages and block hashes that are remembered.
const MAX_REMEMBERED: usize = 256;
/// Header times run with the clock this far past the job's, as firmware's do.
const MAX_TIME_ROLL: u64 = 600;
/// First share id, beyond the ids of the handshake.
const FIRST_SHARE_ID: u64 = 100;

/// What a miner has done.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MinerStats {
    /// Whether a server has accepted this miner now.
    pub connected: bool,
    /// Header hashes computed.
    pub hashes: u64,
    /// Shares sent.
    pub sent: u64,
    /// Shares the server accepted.
    pub accepted: u64,
    /// Difficulty of all accepted shares, as they were asked for.
    pub accepted_difficulty: f64,
    /// Shares the server refused, by its reason.
    pub rejected: BTreeMap<String, u64>,
    /// Shares whose connection ended before the answer.
    pub unanswered: u64,
    /// Shares found and not sent: their work was void by then, or too many waited for answers.
    pub held_back: u64,
    /// Accepted shares that also met the network's target.
    pub blocks: u64,
    /// Hashes of those, as explorers show them; the latest 256.
    pub block_hashes: Vec<String>,
    /// Hardest share found.
    pub best_difficulty: f64,
    /// The latest job's name.
    pub last_job: Option<String>,
    /// Jobs received.
    pub jobs: u64,
    /// The latest share difficulty the server set.
    pub difficulty: Option<f64>,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Lines from the server that made no sense.
    pub bad_lines: u64,
    /// What the server asked to be shown; the latest 256.
    pub messages: Vec<String>,
    /// Why there is no work now, as one sentence; the last such reason.
    pub trouble: Option<String>,
}

impl MinerStats {
    /// Shares the server refused, for any reason.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Work for the hash threads: a job with everything needed to make headers of it.
pub(super) struct Work {
    pub job: Job,
    pub extranonce1: Vec<u8>,
    pub extranonce2_size: usize,
    pub difficulty: f64,
    pub target: Target,
    pub version_mask: u32,
    /// When it arrived.
    pub born: Instant,
    /// Shares of an older epoch are void.
    pub epoch: u64,
}

/// One header of some work, ready for its nonces.
pub(super) struct Slice {
    pub scan: HeaderScan,
    extranonce2: Vec<u8>,
    time: u32,
    version_bits: u32,
}

/// A share on its way.
struct Pending {
    id: u64,
    difficulty: f64,
    block: Option<String>,
}

struct Link {
    stream: TcpStream,
    next_id: u64,
    pending: VecDeque<Pending>,
}

pub(super) struct Shared {
    user: String,
    stop: AtomicBool,
    hashes: AtomicU64,
    /// Counts the headers handed out, from a random start, so that no header is made twice.
    slices: AtomicU64,
    /// Changes whenever the work does.
    generation: AtomicU64,
    /// Changes whenever all older work becomes void.
    epoch: AtomicU64,
    work: Mutex<Option<Arc<Work>>>,
    changed: Condvar,
    link: Mutex<Option<Link>>,
    counters: Mutex<MinerStats>,
}

impl Shared {
    pub fn new(user: String, seed: u64) -> Self {
        Self {
            user,
            stop: AtomicBool::new(false),
            hashes: AtomicU64::new(0),
            slices: AtomicU64::new(seed),
            generation: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            work: Mutex::new(None),
            changed: Condvar::new(),
            link: Mutex::new(None),
            counters: Mutex::default(),
        }
    }

    pub fn stats(&self) -> MinerStats {
        let mut stats = self.counters().clone();
        stats.hashes = self.hashes.load(Relaxed);
        stats
    }

    pub fn counters(&self) -> MutexGuard<'_, MinerStats> {
        locked(&self.counters)
    }

    pub fn count_hashes(&self, tried: u64) {
        self.hashes.fetch_add(tried, Relaxed);
    }

    /// Ends everything: waiting threads wake, the connection closes.
    pub fn stop(&self) {
        let work = locked(&self.work);
        self.stop.store(true, Relaxed);
        self.generation.fetch_add(1, Relaxed);
        drop(work);
        self.changed.notify_all();
        if let Some(link) = &*locked(&self.link) {
            link.stream.shutdown(Shutdown::Both).ok();
        }
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Sleeps; a stop ends it early.
    pub fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut work = locked(&self.work);
        while !self.stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            work = match self.changed.wait_timeout(work, left) {
                Ok((work, _)) => work,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Opens the way out for shares. `false` if the miner was stopped meanwhile.
    pub fn open_link(&self, stream: TcpStream) -> bool {
        *locked(&self.link) =
            Some(Link { stream, next_id: FIRST_SHARE_ID, pending: VecDeque::new() });
        !self.stopped()
    }

    /// Closes the way out and voids all work.
    pub fn close_link(&self) {
        self.void_work();
        self.set_work(None);
        let link = locked(&self.link).take();
        let mut counters = self.counters();
        counters.connected = false;
        counters.unanswered += link.map_or(0, |link| link.pending.len() as u64);
    }

    /// Sends a line to the server.
    pub fn send(&self, line: &str) -> std::io::Result<()> {
        match &mut *locked(&self.link) {
            Some(link) => link.stream.write_all(line.as_bytes()),
            None => Ok(()),
        }
    }

    /// Voids all work so far and gives the new epoch.
    pub fn void_work(&self) -> u64 {
        let _no_share_is_being_sent = locked(&self.link);
        self.epoch.fetch_add(1, Relaxed) + 1
    }

    pub fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    pub fn set_work(&self, work: Option<Arc<Work>>) {
        *locked(&self.work) = work;
        self.generation.fetch_add(1, Relaxed);
        self.changed.notify_all();
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Waits for work; `None` once the miner is stopped. With it comes its generation.
    pub fn wait_for_work(&self) -> Option<(Arc<Work>, u64)> {
        let mut work = locked(&self.work);
        loop {
            if self.stopped() {
                return None;
            }
            if let Some(work) = &*work {
                return Some((work.clone(), self.generation()));
            }
            work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A header that no thread of this miner has hashed yet.
    pub fn next_slice(&self, work: &Work) -> Slice {
        let counter = self.slices.fetch_add(1, Relaxed);
        let extranonce2 = extranonce2(counter, work.extranonce2_size);
        let root = work.job.merkle_root(&work.extranonce1, &extranonce2);
        let version_bits = spread(counter, work.version_mask);
        let version = work.job.version & !work.version_mask | version_bits;
        let passed = work.born.elapsed().as_secs().min(MAX_TIME_ROLL) as u32;
        let time = work.job.time.saturating_add(passed);
        Slice {
            scan: HeaderScan::new(&work.job.header(&root, version, time)),
            extranonce2,
            time,
            version_bits,
        }
    }

    /// Sends a share unless its work is void.
    pub fn submit(&self, work: &Work, slice: &Slice, nonce: u32, hash: &[u8; 32]) {
        let solved = Target::from_bits(work.job.bits).is_some_and(|t| t.met_by(hash));
        let mut line = serde_json::json!([
            self.user,
            work.job.id,
            const_hex::encode(&slice.extranonce2),
            format!("{:08x}", slice.time),
            format!("{nonce:08x}"),
        ]);
        if let (Value::Array(params), true) = (&mut line, work.version_mask != 0) {
            params.push(format!("{:08x}", slice.version_bits).into());
        }
        let sent = {
            let mut link = locked(&self.link);
            match &mut *link {
                Some(link) if work.epoch == self.epoch() && link.pending.len() < MAX_PENDING => {
                    let id = link.next_id;
                    link.next_id += 1;
                    link.pending.push_back(Pending {
                        id,
                        difficulty: work.difficulty,
                        block: solved.then(|| shown(hash)),
                    });
                    let line =
                        format!("{{\"id\":{id},\"method\":\"mining.submit\",\"params\":{line}}}\n");
                    if link.stream.write_all(line.as_bytes()).is_err() {
                        // The link thread sees the end and reconnects.
                        link.stream.shutdown(Shutdown::Both).ok();
                    }
                    true
                }
                _ => false,
            }
        };
        let mut counters = self.counters();
        let found = Target::of_hash(hash).difficulty();
        counters.best_difficulty = counters.best_difficulty.max(found);
        if sent {
            counters.sent += 1;
        } else {
            counters.held_back += 1;
        }
    }

    /// Counts the answer to a share; an answer to nothing counts as a bad line.
    pub fn answered(&self, id: u64, result: &Value, error: &Value) {
        let share = match &mut *locked(&self.link) {
            Some(link) => link
                .pending
                .iter()
                .position(|share| share.id == id)
                .and_then(|place| link.pending.remove(place)),
            None => None,
        };
        let mut counters = self.counters();
        match share {
            None => counters.bad_lines += 1,
            Some(share) if *result == Value::Bool(true) => {
                counters.accepted += 1;
                counters.accepted_difficulty += share.difficulty;
                if let Some(hash) = share.block {
                    counters.blocks += 1;
                    remember(&mut counters.block_hashes, hash);
                }
            }
            Some(_) => {
                let mut reason = reason(error);
                let rejected = &mut counters.rejected;
                if rejected.len() >= MAX_REASONS && !rejected.contains_key(&reason) {
                    reason = "other".into();
                }
                *rejected.entry(reason).or_default() += 1;
            }
        }
    }
}

/// Adds to a list that keeps its latest entries only.
pub(super) fn remember(list: &mut Vec<String>, entry: String) {
    if list.len() >= MAX_REMEMBERED {
        list.remove(0);
    }
    list.push(entry);
}

/// A lock whose last holder panicked is still good: every update here is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shown(hash: &[u8; 32]) -> String {
    let mut bytes = *hash;
    bytes.reverse();
    const_hex::encode(bytes)
}
