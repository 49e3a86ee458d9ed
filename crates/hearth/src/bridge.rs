//! Where the rooms meet: the chain's news become the server's work, the server's shares the ledger's
//! record, a solved block the chain's. It passes on and decides nothing.

use chain::{BlockReport, Chain, Listener, SolvedBlock, Template, Trouble};
use ledger::{BlockRow, Recorder, SessionClosed, SessionId, SessionOpened, WorkDelta};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock},
    time::Duration,
};
use stratum::{Closed, Delta, Opened, Reject, Server, Sink};

/// Holds both ends. The ends are put in once, before there can be news.
pub struct Bridge {
    pub server: OnceLock<Server>,
    pub chain: RwLock<Option<Chain>>,
    fleet: RwLock<Option<ShowFleet>>,
    /// Power as the status shows it; none while nothing is dispatched.
    pub energy: RwLock<Option<api::Energy>>,
    recorder: Recorder,
    /// The ledger's name for each of the server's sessions.
    sessions: Mutex<HashMap<u64, SessionId>>,
    pub now: Mutex<Work>,
}

/// Makes the machines as the status shows them; `None` once they are gone.
type ShowFleet = Arc<dyn Fn() -> Option<api::Fleet> + Send + Sync>;

/// What miners work on, for the status.
#[derive(Default)]
pub struct Work {
    pub template: Option<Arc<Template>>,
    pub waiting: Option<String>,
}

impl Bridge {
    pub fn new(recorder: Recorder) -> Self {
        Self {
            server: OnceLock::new(),
            chain: RwLock::new(None),
            fleet: RwLock::new(None),
            energy: RwLock::new(None),
            recorder,
            sessions: Mutex::default(),
            now: Mutex::default(),
        }
    }

    /// From now on machines are shown so. A tree of ten thousand costs milliseconds: it is made for whoever asks.
    pub fn show_fleet(&self, show: impl Fn() -> Option<api::Fleet> + Send + Sync + 'static) {
        *self.fleet.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(show));
    }

    /// The machines as the status shows them; none while there is no fleet.
    pub fn fleet(&self) -> Option<api::Fleet> {
        let show = self.fleet.read().unwrap_or_else(PoisonError::into_inner).clone();
        show.and_then(|show| show())
    }

    fn now(&self) -> MutexGuard<'_, Work> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Bridge {
    fn work(&self, template: Arc<Template>, new_tip: bool) {
        // Miners first.
        if let Some(server) = self.server.get() {
            server.work(template.clone(), new_tip);
        }
        if new_tip {
            let (height, previous) = (template.height, template.prev_hash);
            tracing::info!(height, %previous, "new tip");
        }
        *self.now() = Work { template: Some(template), waiting: None };
    }

    fn lead(&self) -> Duration {
        self.server.get().map(Server::time_to_tell).unwrap_or_default()
    }

    fn wait(&self, trouble: &Trouble) {
        if let Some(server) = self.server.get() {
            server.wait(&trouble.to_string());
        }
        tracing::warn!("miners wait: {trouble}");
        *self.now() = Work { template: None, waiting: Some(trouble.to_string()) };
    }

    fn block(&self, report: BlockReport) {
        let BlockReport { hash, height, worker, address, value, found_at, state, confirmations } =
            report;
        let (state, reject_reason) = match state {
            chain::BlockState::Pending => (ledger::BlockState::Pending, None),
            chain::BlockState::Candidate => (ledger::BlockState::Candidate, None),
            chain::BlockState::Confirmed => (ledger::BlockState::Confirmed, None),
            chain::BlockState::Orphaned => (ledger::BlockState::Orphaned, None),
            chain::BlockState::Rejected(reason) => (ledger::BlockState::Rejected, Some(reason)),
        };
        let row = BlockRow {
            hash: hash.to_string(),
            height,
            worker,
            address,
            value,
            found_at,
            state,
            confirmations,
            reject_reason,
        };
        // The block's file stays until its last state has been told twice, a minute apart.
        drop(self.recorder.block(row));
    }
}

impl Sink for Bridge {
    fn solved(&self, block: SolvedBlock) -> io::Result<()> {
        match &*self.chain.read().unwrap_or_else(PoisonError::into_inner) {
            Some(chain) => chain.keep(&block),
            None => Err(io::Error::other("the program is stopping")),
        }
    }

    fn work(&self, batch: Vec<Delta>) -> Result<(), Vec<Delta>> {
        let rejects = |delta: &Delta| {
            let counted = Reject::ALL.iter().zip(delta.rejected);
            counted.filter(|(_, count)| *count > 0).map(|(r, count)| (r.name(), count)).collect()
        };
        let rows = batch.iter().map(|delta| WorkDelta {
            worker: delta.worker.clone(),
            at: delta.at,
            accepted: delta.accepted,
            work: delta.work,
            best: delta.best,
            rejected: rejects(delta),
        });
        self.recorder.work(rows.collect()).map_err(|_| batch)
    }

    fn session_opened(&self, session: Opened) {
        let id = self.recorder.session_opened(SessionOpened {
            worker: session.worker.to_string(),
            address: session.address.to_string(),
            peer: session.peer.to_string(),
            user_agent: session.user_agent.map(|agent| agent.to_string()),
            at: session.at,
        });
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(session.id, id);
    }

    fn session_closed(&self, session: Closed) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = sessions.remove(&session.id) {
            let Closed { at, accepted, work, .. } = session;
            self.recorder.session_closed(id, SessionClosed { at, accepted, work });
        }
    }
}
