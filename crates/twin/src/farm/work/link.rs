//! What a machine's session and the thread that hashes for it share: the task, the way out, counters.

use super::task::Task;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Shares that may wait to be written; more are held back.
const MAX_WAITING: usize = 256;

/// What a machine's mining has come to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mined {
    /// Whether a server has accepted it now.
    pub connected: bool,
    /// Whether it has a job.
    pub working: bool,
    /// Share difficulty of its job.
    pub difficulty: Option<f64>,
    /// Real hashes done.
    pub hashes: u64,
    /// Real hashes that were due and lost by its chips.
    pub lost: f64,
    /// Shares sent, wrong ones among them.
    pub sent: u64,
    /// Wrong nonces sent.
    pub wrong: u64,
    /// Shares taken.
    pub accepted: u64,
    /// Shares refused.
    pub rejected: u64,
}

/// Between the two.
#[derive(Default)]
pub(in super::super) struct Link {
    /// Changes with the task.
    generation: AtomicU64,
    desk: Mutex<Desk>,
    connected: AtomicBool,
    pub(super) accepted: AtomicU64,
    pub(super) rejected: AtomicU64,
    hashes: AtomicU64,
    lost: AtomicU64,
    sent: AtomicU64,
    wrong: AtomicU64,
}

#[derive(Default)]
struct Desk {
    task: Option<Arc<Task>>,
    out: Option<Sender<String>>,
}

impl Link {
    /// A new session: its way out begins empty.
    pub(super) fn open(&self) -> Receiver<String> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        self.desk().out = Some(sender);
        receiver
    }

    /// The session is over, and with it all work.
    pub(super) fn close(&self) {
        *self.desk() = Desk::default();
        self.generation.fetch_add(1, Relaxed);
        self.connected.store(false, Relaxed);
    }

    pub(super) fn connected(&self) {
        self.connected.store(true, Relaxed);
    }

    pub(super) fn give(&self, task: Task) {
        self.desk().task = Some(Arc::new(task));
        self.generation.fetch_add(1, Relaxed);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    pub(super) fn task(&self) -> Option<Arc<Task>> {
        self.desk().task.clone()
    }

    /// Sends a share; held back if the session is gone or too slow.
    pub(super) fn send(&self, share: String, wrong: bool) {
        let sent = self.desk().out.as_ref().is_some_and(|out| out.try_send(share).is_ok());
        self.sent.fetch_add(u64::from(sent), Relaxed);
        self.wrong.fetch_add(u64::from(sent && wrong), Relaxed);
    }

    /// Counts hashes; only the thread that hashes does.
    pub(super) fn count(&self, hashes: u64, lost: f64) {
        self.hashes.fetch_add(hashes, Relaxed);
        let before = f64::from_bits(self.lost.load(Relaxed));
        self.lost.store((before + lost).to_bits(), Relaxed);
    }

    pub fn mined(&self) -> Mined {
        let task = self.task();
        Mined {
            connected: self.connected.load(Relaxed),
            working: task.is_some(),
            difficulty: task.map(|task| task.target.difficulty()),
            hashes: self.hashes.load(Relaxed),
            lost: f64::from_bits(self.lost.load(Relaxed)),
            sent: self.sent.load(Relaxed),
            wrong: self.wrong.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
