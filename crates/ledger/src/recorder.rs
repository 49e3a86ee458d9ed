//! The way in: plain threads hand over what happened and never wait.

use crate::{BlockRow, LedgerError, SessionClosed, SessionId, SessionOpened};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
};
use tokio::sync::{mpsc, oneshot};
use units::{Difficulty, Work};

/// Deltas that may wait to be written: about 10 seconds of the heaviest load we know.
const MAX_QUEUED_DELTAS: usize = 65_536;
/// Session records that may wait: all connections of a large site opened at once.
const MAX_QUEUED_SESSIONS: usize = 262_144;

/// What one worker did since the last batch.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkDelta {
    /// User name as authorized.
    pub worker: Arc<str>,
    /// Time of its last share in this batch, seconds since 1970.
    pub at: u64,
    /// Accepted shares.
    pub accepted: u32,
    /// What the accepted shares prove.
    pub work: Work,
    /// Difficulty of the best accepted share; `None` without one.
    pub best: Option<Difficulty>,
    /// Rejected shares by reason. Empty costs nothing.
    pub rejected: Vec<(&'static str, u32)>,
}

/// The queue is full or the ledger is closed: the batch comes back to be added to the next one.
#[derive(Debug, Clone, PartialEq)]
pub struct Full(pub Vec<WorkDelta>);

/// How the record is doing. Counts are since it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Work deltas that wait to be written.
    pub queued: usize,
    /// The most that may wait.
    pub capacity: usize,
    /// Transactions written.
    pub writes: u64,
    /// Batches handed back because the queue was full.
    pub handed_back: u64,
    /// Session records dropped because the queue was full.
    pub sessions_dropped: u64,
    /// While nothing can be written: one sentence that says why and what to do.
    pub trouble: Option<String>,
}

/// Hands over what happened. Cheap to clone, for any thread, never blocks.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: mpsc::UnboundedSender<Message>,
    shared: Arc<Shared>,
}

impl Recorder {
    /// Hands over a batch, which is on disk at most about 5 ms later.
    ///
    /// # Errors
    /// [`Full`] with the batch when the writer cannot keep up, or the ledger is closed.
    pub fn work(&self, batch: Vec<WorkDelta>) -> Result<(), Full> {
        let count = batch.len();
        if count == 0 {
            return Ok(());
        }
        let waiting = self.shared.queued_deltas.fetch_add(count, Relaxed);
        // A batch larger than the whole queue must fit some time: when nothing waits.
        let full = waiting > 0 && waiting + count > MAX_QUEUED_DELTAS;
        let refused = if full || self.shared.overloaded.load(Relaxed) {
            Some(batch)
        } else {
            match self.queue.send(Message::Work(batch)) {
                Ok(()) => None,
                Err(mpsc::error::SendError(Message::Work(batch))) => Some(batch),
                Err(_) => None,
            }
        };
        match refused {
            None => Ok(()),
            Some(batch) => {
                self.shared.queued_deltas.fetch_sub(count, Relaxed);
                self.shared.handed_back.fetch_add(1, Relaxed);
                Err(Full(batch))
            }
        }
    }

    /// A miner authorized. The id is unique in the file and goes to [`Recorder::session_closed`].
    pub fn session_opened(&self, session: SessionOpened) -> SessionId {
        let id = SessionId(self.shared.next_session.fetch_add(1, Relaxed));
        self.session(Message::Opened(id, session));
        id
    }

    /// The miner has gone.
    pub fn session_closed(&self, id: SessionId, closed: SessionClosed) {
        self.session(Message::Closed(id, closed));
    }

    /// A block was found, or its state on chain has changed. Handing over the same block again is
    /// harmless: the first call says who found it, later ones only change its state.
    pub fn block(&self, row: BlockRow) -> Written {
        let (done, written) = oneshot::channel();
        // A closed ledger drops `done`, which is how `Written` learns of it.
        let _ = self.queue.send(Message::Block(row, done));
        Written(written)
    }

    fn session(&self, message: Message) {
        let waiting = self.shared.queued_sessions.fetch_add(1, Relaxed);
        if waiting >= MAX_QUEUED_SESSIONS || self.queue.send(message).is_err() {
            self.shared.queued_sessions.fetch_sub(1, Relaxed);
            self.shared.sessions_dropped.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn new(shared: Arc<Shared>) -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (queue, inbox) = mpsc::unbounded_channel();
        (Self { queue, shared }, inbox)
    }

    pub(crate) fn send(&self, message: Message) {
        // As above: whoever waits for the answer sees that its sender is gone.
        let _ = self.queue.send(message);
    }
}

/// Resolves when a block's row is safe on disk. May be dropped.
#[derive(Debug)]
pub struct Written(oneshot::Receiver<()>);

/// The ledger was closed before the row was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the ledger was closed before the block was recorded; its file in the blocks folder remains"
)]
pub struct Closed;

impl Written {
    /// Waits for it, in async code.
    pub async fn wait(self) -> Result<(), Closed> {
        self.0.await.map_err(|_| Closed)
    }

    /// Waits for it on a plain thread. Must not be called in async code.
    pub fn wait_blocking(self) -> Result<(), Closed> {
        self.0.blocking_recv().map_err(|_| Closed)
    }
}

/// What travels to the writer.
#[derive(Debug)]
pub(crate) enum Message {
    Work(Vec<WorkDelta>),
    Opened(SessionId, SessionOpened),
    Closed(SessionId, SessionClosed),
    Block(BlockRow, oneshot::Sender<()>),
    Flush(oneshot::Sender<Result<(), LedgerError>>),
    Stop(oneshot::Sender<Result<(), LedgerError>>),
}

/// What the writer and the handles both see.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub queued_deltas: AtomicUsize,
    /// Nothing can be written and memory holds as many workers as it may.
    pub overloaded: AtomicBool,
    pub queued_sessions: AtomicUsize,
    pub next_session: AtomicU64,
    pub writes: AtomicU64,
    pub handed_back: AtomicU64,
    pub sessions_dropped: AtomicU64,
    /// Pages in the write-ahead log when it was last looked at.
    pub log_pages: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Shared {
    pub fn health(&self) -> Health {
        Health {
            queued: self.queued_deltas.load(Relaxed),
            capacity: MAX_QUEUED_DELTAS,
            writes: self.writes.load(Relaxed),
            handed_back: self.handed_back.load(Relaxed),
            sessions_dropped: self.sessions_dropped.load(Relaxed),
            trouble: self.trouble().clone(),
        }
    }

    pub fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(size: usize) -> Vec<WorkDelta> {
        let delta = WorkDelta {
            worker: "w".into(),
            at: 1,
            accepted: 1,
            work: Work::ZERO,
            best: None,
            rejected: Vec::new(),
        };
        vec![delta; size]
    }

    #[test]
    fn a_full_queue_gives_the_batch_back() {
        let (recorder, inbox) = Recorder::new(Arc::default());
        assert_eq!(recorder.work(batch(MAX_QUEUED_DELTAS)), Ok(()));
        assert_eq!(recorder.work(batch(3)), Err(Full(batch(3))));
        let health = recorder.shared.health();
        assert_eq!((health.queued, health.handed_back), (MAX_QUEUED_DELTAS, 1));
        drop(inbox);
    }

    #[test]
    fn a_batch_larger_than_the_queue_goes_in_when_nothing_waits() {
        let (recorder, _inbox) = Recorder::new(Arc::default());
        assert_eq!(recorder.work(batch(MAX_QUEUED_DELTAS + 1)), Ok(()));
    }

    #[test]
    fn a_closed_ledger_gives_the_batch_back_and_says_that_a_block_was_not_recorded() {
        let (recorder, inbox) = Recorder::new(Arc::default());
        drop(inbox);
        assert_eq!(recorder.work(batch(2)), Err(Full(batch(2))));
        assert_eq!(recorder.shared.health().queued, 0);
        assert_eq!(recorder.block(crate::block::example("aa")).wait_blocking(), Err(Closed));
    }
}
