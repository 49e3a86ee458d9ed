//! The jobs a reactor knows: those that shares may be for, and what was already sent for them.

use crate::job::Job;
use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

/// Jobs on one tip whose shares still count: half an hour at a refresh of 30 s.
const MAX_LIVE: usize = 64;
/// Jobs of the tip before, kept because a late share for them may still be a block.
const MAX_STALE: usize = 4;
/// Shares remembered in all, about 64 MB. They are earned: each one met its session's target.
const MAX_SEEN: usize = 1 << 22;

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

#[derive(Debug, Default)]
pub(crate) struct Jobs {
    live: VecDeque<(Arc<Job>, Fingerprints)>,
    stale: VecDeque<Arc<Job>>,
    newest: u32,
    /// Number of the first job on the present tip.
    first_on_tip: u32,
    seen: usize,
}

impl Jobs {
    /// Takes the next job; with a new tip all older ones are stale.
    pub(crate) fn push(&mut self, job: Arc<Job>, new_tip: bool) {
        if new_tip {
            self.end();
            self.first_on_tip = job.number;
        } else if self.live.len() == MAX_LIVE
            && let Some((_, seen)) = self.live.pop_front()
        {
            self.seen -= seen.len();
        }
        self.newest = job.number;
        self.live.push_back((job, Fingerprints::default()));
    }

    /// There is no work any more.
    pub(crate) fn end(&mut self) {
        self.stale = self.live.drain(..).map(|(job, _)| job).collect();
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
        self.live.back().map(|(job, _)| job)
    }

    pub(crate) fn find(&self, number: u32) -> Place {
        if let Some((newest, _)) = self.live.back() {
            // Numbers count up by one, but a slow reactor may have skipped some.
            if newest.number == number {
                return Place::Live(self.live.len() as u32 - 1);
            }
            if let Some(at) = self.live.iter().rposition(|(job, _)| job.number == number) {
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
            Place::Live(at) => self.live.get(at as usize).map(|(job, _)| job),
            Place::Stale(at) => self.stale.get(at as usize),
            Place::Gone | Place::Unknown => None,
        }
    }

    /// Remembers a share that met its target.
    pub(crate) fn remember(&mut self, place: Place, fingerprint: u64) -> Novelty {
        let Place::Live(at) = place else { return Novelty::New };
        let Some((_, seen)) = self.live.get_mut(at as usize) else { return Novelty::New };
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
