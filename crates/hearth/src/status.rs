//! The status that page, metrics and command line show, made of the rooms' own numbers.

use crate::bridge::Bridge;
use api::{BestShare, Hashrate, Latency, Shares, Status, WorkKind};
use chain::{Network, NodeState, Template};
use ledger::{BlockRow, Ledger, WorkerRow};
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use stratum::{Reject, Snapshot, WorkerState};
use units::{Difficulty, Work};

/// How often the record is asked for what only it knows.
const RECORD_EVERY: Duration = Duration::from_secs(10);
/// Blocks shown.
const BLOCKS: u32 = 50;
/// Workers whose record is shown.
const WORKERS: u32 = 1000;
/// How often the work done is noted for the averages, and for how long it is kept.
const NOTE_EVERY: Duration = Duration::from_secs(10);
const NOTES: usize = 361;

/// A status this old is made anew for whoever asks.
const FRESH: Duration = Duration::from_secs(2);

/// The status, made when somebody asks for it: with ten thousand workers it is milliseconds of work. Between
/// questions only what averages need is noted.
pub struct Board(tokio::sync::Mutex<Maker>);

impl Board {
    pub fn new(bridge: Arc<Bridge>, ledger: Ledger, network: Network) -> Self {
        Self(tokio::sync::Mutex::new(Maker::new(bridge, ledger, network)))
    }

    /// At most two seconds old.
    pub async fn status(&self) -> Arc<Status> {
        let mut maker = self.0.lock().await;
        match maker.made.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            Some((_, status)) => status.clone(),
            None => maker.make().await,
        }
    }

    /// Made now.
    pub async fn fresh_status(&self) -> Arc<Status> {
        self.0.lock().await.make().await
    }

    /// Notes for averages what was done, until dropped.
    pub async fn note(&self) {
        let mut every = tokio::time::interval(NOTE_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            self.0.lock().await.note().await;
        }
    }
}

/// Makes one status after the other; keeps what averages need.
struct Maker {
    bridge: Arc<Bridge>,
    ledger: Ledger,
    network: Network,
    started: Instant,
    started_at: u64,
    record: Record,
    total: History,
    workers: HashMap<Arc<str>, History>,
    last: Option<Arc<Snapshot>>,
    made: Option<(Instant, Arc<Status>)>,
}

/// What the record last said.
#[derive(Default)]
struct Record {
    asked: Option<Instant>,
    blocks: Vec<BlockRow>,
    best: BestShare,
    blocks_found: Option<u64>,
    workers: HashMap<String, WorkerRow>,
}

/// Work done by certain moments, oldest first.
#[derive(Default)]
struct History(VecDeque<(Instant, Work)>);

impl Maker {
    fn new(bridge: Arc<Bridge>, ledger: Ledger, network: Network) -> Self {
        Self {
            bridge,
            ledger,
            network,
            started: Instant::now(),
            started_at: unix_now(),
            record: Record::default(),
            total: History::default(),
            workers: HashMap::new(),
            last: None,
            made: None,
        }
    }

    /// The server's numbers. A reactor that was busy for a second would make all sums too
    /// small: the last whole ones stay.
    async fn ask_the_server(&mut self) -> Option<Arc<Snapshot>> {
        let bridge = self.bridge.clone();
        let asked =
            tokio::task::spawn_blocking(move || bridge.server.get().map(|s| s.snapshot())).await;
        if let Some(snapshot) = asked.ok().flatten().filter(|snapshot| snapshot.complete) {
            self.last = Some(Arc::new(snapshot));
        }
        self.last.clone()
    }

    async fn note(&mut self) {
        let Some(snapshot) = self.ask_the_server().await else { return };
        let now = Instant::now();
        self.total.note(now, work_of(&snapshot));
        // Of those who left long ago nothing is averaged any more.
        let unix = unix_now();
        let recent = |worker: &&WorkerState| {
            worker.connections > 0
                || worker.last_share.is_some_and(|at| unix.saturating_sub(at) < 3600)
        };
        for worker in snapshot.workers.iter().filter(recent) {
            self.workers.entry(worker.name.clone()).or_default().note(now, worker.work);
        }
        let known: HashSet<_> =
            snapshot.workers.iter().filter(recent).map(|worker| &worker.name).collect();
        self.workers.retain(|name, _| known.contains(name));
    }

    async fn make(&mut self) -> Arc<Status> {
        self.ask_the_record(Instant::now()).await;
        let snapshot = self.ask_the_server().await;
        let bridge = self.bridge.clone();
        let fleet = tokio::task::spawn_blocking(move || bridge.fleet()).await;
        let now = Instant::now();
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").into(),
            network: self.network.to_string(),
            started_at: self.started_at,
            uptime_s: now.duration_since(self.started).as_secs(),
            nodes: self.nodes(),
            best_share: self.record.best,
            blocks: self.record.blocks.iter().map(block).collect(),
            blocks_found: self.record.blocks_found,
            ledger: self.health(),
            ..Status::default()
        };
        status.fleet = fleet.ok().flatten();
        status
            .energy
            .clone_from(&self.bridge.energy.read().unwrap_or_else(PoisonError::into_inner));
        {
            let held = self.bridge.now.lock().unwrap_or_else(PoisonError::into_inner);
            status.work = held.template.as_deref().map(work);
            status.waiting = held.waiting.clone();
        }
        if let Some(snapshot) = snapshot {
            self.fill_in(&mut status, &snapshot, now);
        }
        let status = Arc::new(status);
        self.made = Some((now, status.clone()));
        status
    }

    fn fill_in(&self, status: &mut Status, snapshot: &Snapshot, now: Instant) {
        let total = work_of(snapshot);
        status.hashrate = self.total.hashrate(now, total);
        let rejected = |counts: &[u64; Reject::COUNT]| -> BTreeMap<String, u64> {
            let counted = Reject::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
            counted.map(|(reason, count)| (reason.name().to_string(), *count)).collect()
        };
        let mut all = snapshot.anonymous_rejects;
        for worker in &snapshot.workers {
            all.iter_mut().zip(worker.rejected).for_each(|(sum, more)| *sum += more);
        }
        status.shares = Shares {
            accepted: snapshot.workers.iter().map(|worker| worker.accepted).sum(),
            work_hashes: total.hashes(),
            rejected: rejected(&all),
        };
        status.connections = api::Connections {
            open: snapshot.connections.open as u64,
            peak: snapshot.connections.peak as u64,
            authorized: snapshot.authorized as u64,
            refused: (snapshot.connections.refused.iter())
                .map(|(reason, count)| (reason.to_string(), *count))
                .collect(),
        };
        status.tip_to_job_ms = latency(&snapshot.tip_to_job);
        let unix = unix_now();
        let worker = |state: &WorkerState| api::Worker {
            name: state.name.to_string(),
            address: state.address.to_string(),
            hashrate: self
                .workers
                .get(&state.name)
                .map(|history| history.hashrate(now, state.work))
                .unwrap_or_default(),
            difficulty: state.difficulty.filter(|_| state.connections > 0).map(Difficulty::get),
            connections: u64::from(state.connections),
            shares: Shares {
                accepted: state.accepted,
                work_hashes: state.work.hashes(),
                rejected: rejected(&state.rejected),
            },
            best_share: self.best_of(state),
            last_share_s_ago: state.last_share.map(|at| unix.saturating_sub(at)),
            user_agent: state.user_agent.as_deref().map(str::to_string),
        };
        status.workers = snapshot.workers.iter().map(worker).collect();
        status.workers.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// What the record knows, unless the last minute has beaten it.
    fn best_of(&self, state: &WorkerState) -> BestShare {
        let row = self.record.workers.get(&*state.name);
        let ever = row.and_then(|row| row.best).map(|(best, _)| best.get());
        let since = row.and_then(|row| row.best_since_block).map(|(best, _)| best.get());
        let fresh = state.best.map(Difficulty::get);
        BestShare { ever: ever.max_of(fresh), since_block: since }
    }

    async fn ask_the_record(&mut self, now: Instant) {
        if self.record.asked.is_some_and(|asked| now.duration_since(asked) < RECORD_EVERY) {
            // Blocks are few and people wait for them.
            if let Ok(blocks) = self.ledger.blocks(BLOCKS).await {
                self.record.blocks = blocks;
            }
            return;
        }
        let answers = async {
            let totals = self.ledger.totals().await?;
            let blocks = self.ledger.blocks(BLOCKS).await?;
            let workers = self.ledger.workers(0, WORKERS).await?;
            Ok::<_, ledger::LedgerError>((totals, blocks, workers))
        };
        match answers.await {
            Ok((totals, blocks, workers)) => {
                self.record = Record {
                    asked: Some(now),
                    blocks,
                    best: BestShare {
                        ever: totals.best.map(Difficulty::get),
                        since_block: totals.best_since_block.map(Difficulty::get),
                    },
                    blocks_found: Some(totals.blocks),
                    workers: workers.into_iter().map(|row| (row.name.clone(), row)).collect(),
                };
            }
            Err(error) => tracing::warn!("the record cannot be read: {error}"),
        }
    }

    fn nodes(&self) -> Vec<api::Node> {
        let chain = self.bridge.chain.read().unwrap_or_else(PoisonError::into_inner);
        let nodes = chain.as_ref().map(|chain| chain.nodes()).unwrap_or_default();
        let node = |node: chain::NodeStatus| {
            let (state, message, height) = match &node.state {
                NodeState::Connecting => ("connecting".to_string(), None, None),
                NodeState::Up { height, .. } => ("up".to_string(), None, Some(*height)),
                NodeState::Down(trouble) => {
                    (trouble.code().to_string(), Some(trouble.to_string()), None)
                }
            };
            api::Node {
                url: node.url,
                active: node.active,
                state,
                message,
                height,
                version: node.version,
                clock_offset_s: node.clock_offset.map(|offset| offset as f64),
            }
        };
        nodes.into_iter().map(node).collect()
    }

    fn health(&self) -> api::Ledger {
        let health = self.ledger.health();
        api::Ledger {
            queue_len: health.queued as u64,
            queue_capacity: health.capacity as u64,
            writes: health.writes,
            handed_back: health.handed_back,
            sessions_dropped: health.sessions_dropped,
            trouble: health.trouble,
        }
    }
}

fn work_of(snapshot: &Snapshot) -> Work {
    snapshot.workers.iter().map(|worker| worker.work).sum()
}

impl History {
    fn note(&mut self, now: Instant, work: Work) {
        self.0.push_back((now, work));
        if self.0.len() > NOTES {
            self.0.pop_front();
        }
    }

    fn hashrate(&self, now: Instant, work: Work) -> Hashrate {
        let over = |window: Duration| {
            // The youngest note that is at least as old as the window.
            let old = self.0.iter().rev().find(|(at, _)| now.duration_since(*at) >= window)?;
            let done = Work::from_hashes(work.hashes() - old.1.hashes());
            done.over(now.duration_since(old.0)).map(|rate| rate.terahashes_per_second())
        };
        Hashrate {
            m1_ths: over(Duration::from_secs(60)),
            m10_ths: over(Duration::from_secs(600)),
            h1_ths: over(Duration::from_secs(3600)),
        }
    }
}

trait MaxOf {
    fn max_of(self, other: Self) -> Self;
}

impl MaxOf for Option<f64> {
    fn max_of(self, other: Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        }
    }
}

fn work(template: &Template) -> api::Work {
    api::Work {
        height: template.height,
        prev_hash: template.prev_hash.to_string(),
        kind: if template.is_empty() { WorkKind::Empty } else { WorkKind::Full },
        transactions: template.transaction_count as u64,
        coinbase_value_sats: template.coinbase_value.0,
        age_s: template.learned.elapsed().as_secs(),
        network_difficulty: template.target.difficulty_float(),
    }
}

fn block(row: &BlockRow) -> api::Block {
    api::Block {
        hash: row.hash.clone(),
        height: row.height,
        worker: row.worker.clone(),
        address: row.address.clone(),
        value_sats: row.value.0,
        found_at: row.found_at,
        state: match row.state {
            ledger::BlockState::Pending => api::BlockState::Pending,
            ledger::BlockState::Candidate => api::BlockState::Candidate,
            ledger::BlockState::Confirmed => api::BlockState::Confirmed,
            ledger::BlockState::Orphaned => api::BlockState::Orphaned,
            ledger::BlockState::Rejected => api::BlockState::Rejected,
        },
        confirmations: row.confirmations,
        reject_reason: row.reject_reason.clone(),
    }
}

/// Percentiles by the nearest rank.
pub fn latency(all: &[Duration]) -> Latency {
    let mut ms: Vec<f64> = all.iter().map(|took| took.as_secs_f64() * 1000.0).collect();
    // Not `sum`, whose empty sum is -0.
    let (last, sum) = (ms.last().copied(), ms.iter().fold(0.0, |sum, ms| sum + ms));
    ms.sort_by(f64::total_cmp);
    let rank = |share: f64| {
        let at = (ms.len() as f64 * share).ceil().max(1.0) as usize - 1;
        ms.get(at).copied()
    };
    Latency { last, p50: rank(0.5), p99: rank(0.99), sum, count: ms.len() as u64 }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank_and_absent_without_measurements() {
        let ms = |n: u64| Duration::from_millis(n);
        let spread = latency(&(1..=200).map(ms).collect::<Vec<_>>());
        assert_eq!((spread.p50, spread.p99, spread.last), (Some(100.0), Some(198.0), Some(200.0)));
        assert_eq!(latency(&[]), Latency::default());
    }

    #[test]
    fn a_window_that_was_not_watched_in_full_is_unknown() {
        let start = Instant::now();
        let mut history = History::default();
        let work = |n: f64| Work::from_hashes(n * 1e12);
        for i in 0..=7 {
            history.note(start + i * NOTE_EVERY, work(f64::from(i) * 10.0));
        }
        let rate = history.hashrate(start + 7 * NOTE_EVERY, work(70.0));
        assert_eq!((rate.m1_ths, rate.m10_ths), (Some(1.0), None));
    }
}
