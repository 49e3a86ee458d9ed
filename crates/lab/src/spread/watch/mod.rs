//! An observer's memory: which pool handed out which job when, and what follows from it.
//!
//! Time comes in with each observation, counted from the start. All that is kept is bounded: pools
//! are strangers and may send anything.

mod alarm;
mod report;
#[cfg(test)]
mod tests;

pub use alarm::{Alarm, AlarmKind};
pub(super) use report::hex_reversed;

use super::{
    similarity::{Clusters, similarity},
    tags::Tag,
};
use crate::{LabError, report::Source};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use units::Sats;

/// Tips remembered for each pool: hours of blocks.
const MAX_TIPS: usize = 64;
/// Templates remembered for each tip of each pool.
const MAX_TEMPLATES: usize = 16;
/// A block of four million weight units has not half as many levels.
const MAX_BRANCHES: usize = 64;

/// What a job tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The block it builds on, in the order that is hashed.
    pub prev_hash: [u8; 32],
    /// Height of the block to be found, by the coinbase (BIP 34).
    pub height: Option<u32>,
    /// The coinbase's merkle siblings, lowest first; none in an empty block.
    pub branch: Vec<[u8; 32]>,
    /// The coinbase; the own node's template has none.
    pub coinbase: Option<Coinbase>,
}

/// What a coinbase tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coinbase {
    /// Who signed it.
    pub tag: Tag,
    /// What can be read in it.
    pub text: String,
    /// Addresses paid, the largest first, or what else an output is.
    pub outputs: Vec<(String, Sats)>,
}

/// When to link and when to cry.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Pools whose templates are at least this similar have one maker.
    pub threshold: (f64, Source),
    /// A pool may be this much later on a new tip than others.
    pub patience: (Duration, Source),
}

impl Settings {
    /// With what was given on the command line, else a similarity of one half and 30 s.
    pub fn given(threshold: Option<f64>, patience: Option<Duration>) -> Self {
        let own_choice = |origin| Source::Default { origin, date: "2026" };
        Self {
            threshold: threshold.map_or(
                (0.5, own_choice("own choice: the larger half of the block is the same")),
                |given| (given, Source::Flag),
            ),
            patience: patience.map_or(
                (
                    Duration::from_secs(30),
                    own_choice("own choice: most blocks reach most pools within a second"),
                ),
                |given| (given, Source::Flag),
            ),
        }
    }
}

/// A block that jobs build on.
#[derive(Debug, Clone, PartialEq)]
pub struct Tip {
    /// Its hash, in the order that is hashed.
    pub hash: [u8; 32],
    /// Height of the block to be found on it, as its first backer said.
    pub height: Option<u32>,
    /// When a job on it first came.
    pub first: Duration,
    /// Who built on it, in the order they came.
    pub backers: Vec<usize>,
}

/// Everything observed.
#[derive(Debug)]
pub struct Watch {
    settings: Settings,
    pools: Vec<Observed>,
}

/// One pool, or the own node.
#[derive(Debug)]
struct Observed {
    name: String,
    own_node: bool,
    jobs: u64,
    empty_jobs: u64,
    visits: VecDeque<Visit>,
    coinbase: Option<Coinbase>,
    lost: Option<(Duration, String)>,
}

/// The time a pool spent on one tip.
#[derive(Debug)]
struct Visit {
    tip: [u8; 32],
    height: Option<u32>,
    first: Duration,
    first_full: Option<Duration>,
    templates: VecDeque<Vec<[u8; 32]>>,
}

impl Watch {
    /// Nothing observed yet. Each source has a name and may be the own node, which is believed.
    ///
    /// # Errors
    /// A threshold outside 0 to 1, no patience, or no source.
    pub fn new(sources: Vec<(String, bool)>, settings: Settings) -> Result<Self, LabError> {
        let threshold = settings.threshold.0;
        if !(threshold > 0.0 && threshold <= 1.0) {
            return Err(LabError::new(format!(
                "the similarity that makes two pools one is {threshold}: give more than 0 and at \
                 most 1"
            )));
        }
        if settings.patience.0.is_zero() {
            return Err(LabError::new("no time is left for a new tip to travel: give 1s or more"));
        }
        if sources.is_empty() {
            return Err(LabError::new("there is nothing to observe: name at least one pool"));
        }
        let observed = |(name, own_node)| Observed {
            name,
            own_node,
            jobs: 0,
            empty_jobs: 0,
            visits: VecDeque::new(),
            coinbase: None,
            lost: None,
        };
        Ok(Self { settings, pools: sources.into_iter().map(observed).collect() })
    }

    /// A job came from a source, by its index, at this time.
    pub fn observe(&mut self, source: usize, at: Duration, mut job: Job) {
        let Some(pool) = self.pools.get_mut(source) else { return };
        pool.lost = None;
        pool.jobs += 1;
        pool.empty_jobs += u64::from(job.branch.is_empty());
        pool.coinbase = job.coinbase.take().or(pool.coinbase.take());
        job.branch.truncate(MAX_BRANCHES);
        if pool.visits.back().is_none_or(|visit| visit.tip != job.prev_hash) {
            if pool.visits.len() == MAX_TIPS {
                pool.visits.pop_front();
            }
            pool.visits.push_back(Visit {
                tip: job.prev_hash,
                height: job.height,
                first: at,
                first_full: None,
                templates: VecDeque::new(),
            });
        }
        let Some(visit) = pool.visits.back_mut() else { return };
        if job.branch.is_empty() || visit.templates.contains(&job.branch) {
            return;
        }
        visit.first_full.get_or_insert(at);
        if visit.templates.len() == MAX_TEMPLATES {
            visit.templates.pop_front();
        }
        visit.templates.push_back(job.branch);
    }

    /// The connection to a source broke, or never came up, and why. Silence is then no refusal.
    pub fn lost(&mut self, source: usize, at: Duration, why: String) {
        if let Some(pool) = self.pools.get_mut(source) {
            pool.lost = Some((at, why));
        }
    }

    /// All tips, in the order they were first built on.
    pub fn tips(&self) -> Vec<Tip> {
        let mut tips: BTreeMap<[u8; 32], Tip> = BTreeMap::new();
        let mut visits: Vec<(usize, &Visit)> = self
            .pools
            .iter()
            .enumerate()
            .flat_map(|(source, pool)| pool.visits.iter().map(move |visit| (source, visit)))
            .collect();
        visits.sort_by_key(|(_, visit)| visit.first);
        for (source, visit) in visits {
            let tip = tips.entry(visit.tip).or_insert_with(|| Tip {
                hash: visit.tip,
                height: visit.height,
                first: visit.first,
                backers: Vec::new(),
            });
            if self.pools.get(source).is_some_and(|pool| pool.own_node) {
                tip.height = visit.height;
            }
            if !tip.backers.contains(&source) {
                tip.backers.push(source);
            }
        }
        let mut tips: Vec<Tip> = tips.into_values().collect();
        tips.sort_by_key(|tip| tip.first);
        tips
    }

    /// How alike the templates of each two sources are: for each template of one the most similar one
    /// of the other on the same tip, averaged over both. A pool that passes templates on late still
    /// passes them on. `None` where nothing can be compared.
    pub fn similarities(&self) -> Vec<Vec<Option<f64>>> {
        let pools = &self.pools;
        pools.iter().map(|a| pools.iter().map(|b| alike(a, b)).collect()).collect()
    }

    /// Who shares templates with whom.
    pub fn clusters(&self) -> Clusters {
        Clusters::of(&self.similarities(), self.settings.threshold.0)
    }
}

fn alike(a: &Observed, b: &Observed) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0u32);
    for (one, other) in [(a, b), (b, a)] {
        for visit in &one.visits {
            let theirs: Vec<&Vec<[u8; 32]>> = other
                .visits
                .iter()
                .filter(|v| v.tip == visit.tip)
                .flat_map(|v| &v.templates)
                .collect();
            for template in &visit.templates {
                let best = theirs.iter().filter_map(|t| similarity(template, t)).reduce(f64::max);
                if let Some(best) = best {
                    sum += best;
                    count += 1;
                }
            }
        }
    }
    (count > 0).then(|| sum / f64::from(count))
}
