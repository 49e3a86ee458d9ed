//! The jobs a reactor knows: those that shares may be for, and what was already sent for them.

use crate::job::Job;
use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

/// How long shares for a job count after a newer one has come on the same tip, milliseconds. Firmware
/// turns to a new job within seconds; to remember every share of a long block would fill memory.
const KEEP_MS: u64 = 180_000;
/// Jobs on one tip at most.
const MAX_LIVE: usize = 256;
/// Jobs of the tip before, kept because a late share for them may still be a block.
const MAX_STALE: usize = 4;
/// Shares remembered in all, at most about 150 MB. They are earned: each one met its session's target.
/// A hundred thousand miners on two cores send three million in [`KEEP_MS`].
const MAX_SEEN: usize = 1 << 23;

/// Solved blocks remembered, so that none is written and submitted twice.
const MAX_SOLVED: usize = 256;

type Fingerprints = HashSet<u64, BuildHasherDefault<Spread>>;

/// Where a share's job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Counts; the index among the live jobs.
    Live(u32),
    /// Too late; the index among those kept for a late block.
    Stale(u32),
    /// Too late, and forgotten.
    Gone,
    /// Never given out.
    Unknown,
}

/// Whether a share is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Novelty {
    New,
    Seen,
    /// No room to remember it.
    Full,
}

#[derive(Debug)]
struct Live {
    job: Arc<Job>,
    seen: Fingerprints,
    since_ms: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Jobs {
    live: VecDeque<Live>,
    stale: VecDeque<Arc<Job>>,
    newest: u32,
    /// Number of the first job on the present tip.
    first_on_tip: u32,
    seen: usize,
    /// Fingerprints of the latest solved blocks.
    solved: VecDeque<u64>,
}

impl Jobs {
    /// Takes the next job; with a new tip all older ones are stale.
    pub(crate) fn push(&mut self, job: Arc<Job>, new_tip: bool, now_ms: u64) {
        if new_tip {
            self.end();
            self.first_on_tip = job.number;
        }
        self.newest = job.number;
        self.live.push_back(Live { job, seen: Fingerprints::default(), since_ms: now_ms });
        // The second one's beginning is the first one's end.
        while self.live.get(1).is_some_and(|next| now_ms.saturating_sub(next.since_ms) > KEEP_MS)
            || self.live.len() > MAX_LIVE
        {
            self.seen -= self.live.pop_front().map_or(0, |oldest| oldest.seen.len());
        }
    }

    /// There is no work any more.
    pub(crate) fn end(&mut self) {
        // Ended before: what a late block may still be for is kept.
        if self.live.is_empty() {
            return;
        }
        self.stale = self.live.drain(..).map(|live| live.job).collect();
        let surplus = self.stale.len().saturating_sub(MAX_STALE);
        self.stale.drain(..surplus);
        self.seen = 0;
    }

    /// Whether a session whose last job had this number still works on an older tip.
    pub(crate) fn is_behind(&self, last_job: u32) -> bool {
        last_job < self.first_on_tip
    }

    /// The job to hand out.
    pub(crate) fn current(&self) -> Option<&Arc<Job>> {
        self.live.back().map(|live| &live.job)
    }

    pub(crate) fn find(&self, number: u32) -> Place {
        if let Some(Live { job: newest, .. }) = self.live.back() {
            // Numbers count up by one, but a slow reactor may have skipped some.
            if newest.number == number {
                return Place::Live(self.live.len() as u32 - 1);
            }
            if let Some(at) = self.live.iter().rposition(|live| live.job.number == number) {
                return Place::Live(at as u32);
            }
        }
        match self.stale.iter().position(|job| job.number == number) {
            Some(at) => Place::Stale(at as u32),
            None if (1..=self.newest).contains(&number) => Place::Gone,
            None => Place::Unknown,
        }
    }

    /// The job at a place that [`Jobs::find`] gave since the last change.
    pub(crate) fn at(&self, place: Place) -> Option<&Arc<Job>> {
        match place {
            Place::Live(at) => self.live.get(at as usize).map(|live| &live.job),
            Place::Stale(at) => self.stale.get(at as usize),
            Place::Gone | Place::Unknown => None,
        }
    }

    /// Whether this block is solved for the first time; a late one could be sent again and again.
    pub(crate) fn first_time_solved(&mut self, fingerprint: u64) -> bool {
        if self.solved.contains(&fingerprint) {
            return false;
        }
        if self.solved.len() == MAX_SOLVED {
            self.solved.pop_front();
        }
        self.solved.push_back(fingerprint);
        true
    }

    /// Remembers a share that met its target.
    pub(crate) fn remember(&mut self, place: Place, fingerprint: u64) -> Novelty {
        let Place::Live(at) = place else { return Novelty::New };
        let Some(Live { seen, .. }) = self.live.get_mut(at as usize) else { return Novelty::New };
        if self.seen >= MAX_SEEN {
            return if seen.contains(&fingerprint) { Novelty::Seen } else { Novelty::Full };
        }
        if !seen.insert(fingerprint) {
            return Novelty::Seen;
        }
        self.seen += 1;
        Novelty::New
    }
}

/// Fingerprints are bits of a double hash, already random: nothing is gained by hashing them again.
#[derive(Debug, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
