//! Makes valid shares for one connection, ready to be sent, and remembers those on their way.
//! Every share has an extranonce2 of its own, so no cache of merkle roots can flatter the server.

use super::{LoadError, connection::Connection};
use crate::{
    hash::HeaderScan,
    job::{extranonce2, spread},
    target::Target,
};
use serde_json::Value;
use std::{collections::VecDeque, time::Instant};

/// Hashes that one lot of shares may take: about a minute.
const MOST_HASHES: f64 = 5e8;
const HASHES_PER_SECOND: f64 = 8e6;

/// The shares of one connection.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// The user name as JSON.
    user: String,
    counter: u64,
    next_id: u64,
    /// Rendered calls, one after the other, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    /// How many of them are sent.
    used: usize,
    /// Id of the first of them.
    first_id: u64,
    /// Ids below this belong to jobs that a clean job has voided.
    void_below: u64,
    on_their_way: VecDeque<(u64, Instant)>,
}

/// What became of a share that the server answered.
pub(super) struct Answered {
    pub sent: Instant,
    /// Its job was voided while it was on its way.
    pub void: bool,
}

impl Desk {
    pub fn new(user: &str) -> Self {
        Self {
            user: Value::from(user).to_string(),
            next_id: super::connection::FIRST_SHARE,
            ..Self::default()
        }
    }

    /// Whether it belongs to nobody yet.
    pub fn is_new(&self) -> bool {
        self.user.is_empty()
    }

    /// Forgets what belongs to an old connection; its extranonces stay used.
    pub fn reconnected(&mut self) {
        self.drop_unsent();
        self.on_their_way.clear();
    }

    /// Shares made and not sent.
    pub fn unsent(&self) -> usize {
        self.ends.len() - self.used
    }

    /// Shares without an answer.
    pub fn waiting(&self) -> usize {
        self.on_their_way.len()
    }

    /// Makes this many shares, in place of any unsent ones, for the connection's latest job.
    pub fn make(
        &mut self,
        index: usize,
        connection: &Connection,
        count: usize,
    ) -> Result<(), LoadError> {
        self.drop_unsent();
        let job = connection.job().ok_or(LoadError::NoJob(index))?;
        let difficulty = connection.difficulty();
        check_effort(difficulty.get(), count as u64)?;
        let target = Target::from_difficulty(difficulty);
        // A block would empty the node's mempool, and every job after it be cheaper to check.
        let block = Target::from_bits(job.bits).filter(|block| block.top() < target.top() / 16);
        let mask = connection.version_mask;
        let job_id = Value::from(job.id.as_str()).to_string();
        self.first_id = self.next_id;
        for _ in 0..count {
            let (extranonce2, bits, nonce) = loop {
                self.counter += 1;
                let extranonce2 = extranonce2(self.counter, connection.extranonce2_size);
                let root = job.merkle_root(&connection.extranonce1, &extranonce2);
                let bits = spread(self.counter, mask);
                let version = job.version & !mask | bits;
                let mut scan = HeaderScan::new(&job.header(&root, version, job.time));
                // From another place for each share: a short extranonce2 comes round again.
                let start = (self.counter.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
                if let (_, Some((nonce, hash))) = scan.search(start, u32::MAX, target)
                    && !block.is_some_and(|block| block.met_by(&hash))
                {
                    break (extranonce2, bits, nonce);
                }
            };
            let id = self.next_id;
            self.next_id += 1;
            let version = match mask {
                0 => String::new(),
                _ => format!(",\"{bits:08x}\""),
            };
            let line = format!(
                "{{\"id\":{id},\"method\":\"mining.submit\",\"params\":[{},{job_id},\"{}\",\"{:08x}\",\"{nonce:08x}\"{version}]}}\n",
                self.user,
                const_hex::encode(extranonce2),
                job.time,
            );
            self.text.extend_from_slice(line.as_bytes());
            self.ends.push(self.text.len());
        }
        Ok(())
    }

    /// The calls of the next `count` shares, or of as many as are made; from now on they are on
    /// their way.
    pub fn send(&mut self, count: usize, now: Instant) -> &[u8] {
        let from = match self.used {
            0 => 0,
            used => self.ends[used - 1],
        };
        let first = self.used;
        self.used = self.ends.len().min(first + count);
        for place in first..self.used {
            self.on_their_way.push_back((self.first_id + place as u64, now));
        }
        let to = match self.used {
            0 => 0,
            used => self.ends[used - 1],
        };
        &self.text[from..to]
    }

    /// Takes the answer to a share; `None` if no such share was on its way.
    pub fn answered(&mut self, id: u64) -> Option<Answered> {
        let place = self.on_their_way.iter().position(|(own, _)| *own == id)?;
        let (_, sent) = self.on_their_way.remove(place)?;
        Some(Answered { sent, void: id < self.void_below })
    }

    /// A clean job came: unsent shares are dropped, those on their way may be refused. Gives how
    /// many were dropped.
    pub fn voided(&mut self) -> usize {
        self.void_below = self.next_id;
        self.drop_unsent()
    }

    /// Gives up on all that is on its way, and gives how many those are.
    pub fn forget_waiting(&mut self) -> usize {
        let waiting = self.on_their_way.len();
        self.on_their_way.clear();
        waiting
    }

    fn drop_unsent(&mut self) -> usize {
        let unsent = self.unsent();
        self.text.clear();
        self.ends.clear();
        self.used = 0;
        unsent
    }
}

/// Refuses shares that would take too long to make.
pub(super) fn check_effort(difficulty: f64, shares: u64) -> Result<(), LoadError> {
    // Below the easiest target each hash is a share.
    let hashes = (difficulty * units::Difficulty::HASHES_PER_UNIT).max(1.0) * shares as f64;
    if hashes > MOST_HASHES {
        return Err(LoadError::TooHard { difficulty, shares, seconds: hashes / HASHES_PER_SECOND });
    }
    Ok(())
}
