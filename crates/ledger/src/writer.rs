//! The one writer: merges what arrives within 3 ms into one commit.
//!
//! It never gives up: what cannot be written stays in memory as sums per worker and is tried again.

use crate::{
    BlockRow, LedgerError, Retention, block, checkpoint, fold, journal,
    lock::Lock,
    recorder::{Message, Shared},
    session::Sessions,
    tally::{Tallies, Tally, forget_since_block, seconds},
};
use sqlx::{Connection, Executor, Row, SqliteConnection};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{self, Instant},
};

/// How long the first message of a commit waits for others.
const GROUP: Duration = Duration::from_millis(3);
/// Between two slices of folding, so that commits of fresh work come in between.
const FOLD_PAUSE: Duration = Duration::from_millis(20);
/// How old the tables, and so the answers of queries, may be.
const FOLD: Duration = Duration::from_secs(5);
/// Folding takes at most this part of the time: with very many workers it comes less often.
const FOLD_SHARE: u32 = 20;
/// Workers per folding transaction: about 2 ms.
pub(crate) const SLICE: usize = 250;
/// Between two tries while nothing can be written.
const RETRY: Duration = Duration::from_secs(1);
/// Between two looks for rows that are old enough to be rolled up.
const RETENTION: Duration = Duration::from_secs(600);
/// Workers in memory beyond which batches are handed back while nothing can be written.
const MAX_WORKERS: usize = 250_000;

/// Who waits for the round that is being gathered.
#[derive(Default)]
struct Wanted {
    flush: Vec<oneshot::Sender<Result<(), LedgerError>>>,
    stop: Option<oneshot::Sender<Result<(), LedgerError>>>,
}

pub(crate) struct Writer {
    conn: SqliteConnection,
    inbox: mpsc::UnboundedReceiver<Message>,
    shared: Arc<Shared>,
    path: PathBuf,
    retention: Retention,
    _lock: Lock,
    /// Row ids of workers that are in the file.
    ids: HashMap<Arc<str>, i64>,
    last_block_at: i64,

    /// Not in the file yet.
    work: Tallies,
    /// The same, of workers that have no row in the file yet.
    newcomers: HashMap<Arc<str>, Tally>,
    sessions: Sessions,
    blocks: Vec<(BlockRow, Vec<oneshot::Sender<()>>)>,

    /// In the journal, not yet in the tables.
    generation: i64,
    /// Rows of this generation in the journal.
    rows: i64,
    journaled: Tallies,
    /// The generation before, while it is being folded.
    folding: Vec<(i64, Tally)>,

    /// Time that folding this generation has taken.
    fold_cost: Duration,
    fold_due: Instant,
    retention_due: Instant,
    retry_at: Option<Instant>,
}

/// An open file, brought up to date, and how it is to be kept.
pub(crate) struct File {
    pub conn: SqliteConnection,
    pub path: PathBuf,
    pub retention: Retention,
    /// The first generation that the journal and the tables do not know.
    pub generation: i64,
    /// Seconds since 1970; 0 without a block.
    pub last_block_at: i64,
    /// Held until the last byte is written.
    pub lock: Lock,
}

impl Writer {
    pub fn new(file: File, inbox: mpsc::UnboundedReceiver<Message>, shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        let File { conn, path, retention, generation, last_block_at, lock } = file;
        Self {
            conn,
            inbox,
            shared,
            path,
            retention,
            _lock: lock,
            ids: HashMap::new(),
            last_block_at,
            work: Tallies::default(),
            newcomers: HashMap::new(),
            sessions: Sessions::default(),
            blocks: Vec::new(),
            generation,
            rows: 0,
            journaled: Tallies::default(),
            folding: Vec::new(),
            fold_cost: Duration::ZERO,
            fold_due: now + FOLD,
            retention_due: now,
            retry_at: None,
        }
    }

    /// Runs until told to stop or until every handle is gone.
    pub async fn run(mut self, checkpoints: (oneshot::Sender<()>, tokio::task::JoinHandle<()>)) {
        let mut answer = None;
        loop {
            let due = self.next_due();
            let first = tokio::select! {
                message = self.inbox.recv() => message.map(Some),
                () = time::sleep_until(due) => Some(None),
            };
            let mut wanted = match first {
                None => break,
                Some(None) => Wanted::default(),
                Some(Some(message)) => {
                    let urgent = matches!(
                        message,
                        Message::Block(..) | Message::Flush(_) | Message::Stop(_)
                    );
                    let mut wanted = Wanted::default();
                    self.take(message, &mut wanted);
                    if !urgent {
                        time::sleep(GROUP).await;
                    }
                    wanted
                }
            };
            while wanted.stop.is_none()
                && let Ok(message) = self.inbox.try_recv()
            {
                self.take(message, &mut wanted);
            }
            let everything = wanted.stop.is_some() || !wanted.flush.is_empty();
            if everything || self.retry_at.is_none_or(|at| at <= Instant::now()) {
                let done = self.write(everything).await;
                self.report(&done);
                for flushed in wanted.flush {
                    let _ = flushed.send(done.clone());
                }
            }
            if let Some(stop) = wanted.stop {
                answer = Some(stop);
                break;
            }
        }
        let done = self.finish(checkpoints).await;
        match answer {
            Some(answer) => drop(answer.send(done)),
            None => {
                if let Err(error) = done {
                    tracing::error!("{error}");
                }
            }
        }
    }

    fn take(&mut self, message: Message, wanted: &mut Wanted) {
        match message {
            Message::Work(batch) => {
                self.shared.queued_deltas.fetch_sub(batch.len(), Relaxed);
                for delta in batch {
                    let tally = Tally::of(&delta, self.last_block_at);
                    match self.ids.get(&delta.worker) {
                        Some(&worker) => self.work.add(worker, tally),
                        None => match self.newcomers.get_mut(&delta.worker) {
                            Some(sums) => sums.add(tally),
                            None => drop(self.newcomers.insert(delta.worker, tally)),
                        },
                    }
                }
            }
            Message::Opened(id, session) => self.sessions.open(id, session),
            Message::Closed(id, closed) => self.sessions.close(id, closed),
            Message::Block(row, done) => {
                let found_at = seconds(row.found_at);
                self.last_block_at = self.last_block_at.max(found_at);
                forget_since_block(self.work.values_mut(), found_at);
                forget_since_block(self.newcomers.values_mut(), found_at);
                forget_since_block(self.journaled.values_mut(), found_at);
                forget_since_block(self.folding.iter_mut().map(|(_, tally)| tally), found_at);
                match self.blocks.iter_mut().find(|(known, _)| known.hash == row.hash) {
                    Some((known, waiting)) => {
                        known.state = row.state;
                        known.confirmations = row.confirmations;
                        known.reject_reason = row.reject_reason;
                        waiting.push(done);
                    }
                    None => self.blocks.push((row, vec![done])),
                }
            }
            Message::Flush(done) => wanted.flush.push(done),
            Message::Stop(done) => wanted.stop = Some(done),
        }
    }

    fn next_due(&self) -> Instant {
        if let Some(at) = self.retry_at {
            return at;
        }
        let now = Instant::now();
        let fold = match (self.folding.is_empty(), self.journaled.is_empty()) {
            (false, _) => now + FOLD_PAUSE,
            (true, false) => self.fold_due,
            (true, true) => self.retention_due,
        };
        fold.min(self.retention_due)
    }

    /// One round. `everything`: the tables are up to date after it.
    pub async fn write(&mut self, everything: bool) -> Result<(), LedgerError> {
        let done = self.try_write(everything).await;
        if done.is_err() {
            // Whatever was begun is undone; both fail harmlessly when there is nothing to undo.
            let _ = self.conn.execute("ROLLBACK").await;
            let _ = self.conn.execute("PRAGMA synchronous = NORMAL").await;
            // A log that is in the file is used again from its start and takes no more room.
            let _ = checkpoint::run(&mut self.conn, "PASSIVE").await;
        }
        done.map_err(|e| LedgerError::from_sqlite(&self.path, e))
    }

    async fn try_write(&mut self, everything: bool) -> Result<(), sqlx::Error> {
        self.write_blocks().await?;
        self.write_work().await?;
        if self.sessions.len() > 0 {
            self.sessions.write(&mut self.conn).await?;
            self.shared.queued_sessions.fetch_sub(self.sessions.len(), Relaxed);
            self.sessions.clear();
            self.wrote();
        }
        loop {
            self.fold_slice().await?;
            if !self.folding.is_empty() && everything {
                continue;
            }
            let due = everything || self.fold_due <= Instant::now();
            if !(self.folding.is_empty() && due && self.begin_fold()) {
                break;
            }
        }
        if self.shared.log_pages.load(Relaxed) > checkpoint::MAX_LOG_PAGES {
            checkpoint::run(&mut self.conn, "PASSIVE").await?;
            self.shared.log_pages.store(0, Relaxed);
        }
        if self.retention_due <= Instant::now() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
            let more = self.retention.step(&mut self.conn, seconds(now)).await?;
            self.retention_due = Instant::now() + if more { FOLD_PAUSE } else { RETENTION };
        }
        Ok(())
    }

    async fn write_blocks(&mut self) -> Result<(), sqlx::Error> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = self.blocks.iter().map(|(row, _)| row.clone()).collect();
        block::write(&mut self.conn, &rows).await?;
        for (_, waiting) in self.blocks.drain(..) {
            for done in waiting {
                let _ = done.send(());
            }
        }
        self.wrote();
        Ok(())
    }

    async fn write_work(&mut self) -> Result<(), sqlx::Error> {
        self.register().await?;
        if self.work.is_empty() {
            return Ok(());
        }
        let work = self.work.as_slice();
        journal::write(&mut self.conn, self.generation, self.rows, work).await?;
        self.rows += 1;
        for (worker, tally) in self.work.drain() {
            self.journaled.add(worker, tally);
        }
        self.wrote();
        Ok(())
    }

    /// Gives every worker a row.
    async fn register(&mut self) -> Result<(), sqlx::Error> {
        if self.newcomers.is_empty() {
            return Ok(());
        }
        let names = serde_json::Value::from_iter(
            self.newcomers.iter().map(|(name, tally)| serde_json::json!([&**name, tally.first_at])),
        )
        .to_string();
        sqlx::query(
            "INSERT OR IGNORE INTO workers (name, first_seen, last_seen)
             SELECT value->>0, value->>1, value->>1 FROM json_each(?)",
        )
        .bind(&names)
        .execute(&mut self.conn)
        .await?;
        let rows = sqlx::query(
            "SELECT workers.id AS id, name FROM json_each(?) JOIN workers ON name = value->>0",
        )
        .bind(&names)
        .fetch_all(&mut self.conn)
        .await?;
        if self.ids.len() > MAX_WORKERS {
            self.ids.clear();
        }
        for row in rows {
            let worker = row.try_get("id")?;
            let name: &str = row.try_get("name")?;
            if let Some((name, tally)) = self.newcomers.remove_entry(name) {
                self.ids.insert(name, worker);
                self.work.add(worker, tally);
            }
        }
        Ok(())
    }

    /// The journal's generation becomes the one to be folded. False when it is empty.
    fn begin_fold(&mut self) -> bool {
        if self.journaled.is_empty() {
            return false;
        }
        self.folding = self.journaled.drain().collect();
        self.generation += 1;
        self.rows = 0;
        self.fold_cost = Duration::ZERO;
        true
    }

    async fn fold_slice(&mut self) -> Result<(), sqlx::Error> {
        if self.folding.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let left = self.folding.len().saturating_sub(SLICE);
        let slice = &self.folding[left..];
        fold::fold(&mut self.conn, self.generation - 1, slice, left == 0).await?;
        self.folding.truncate(left);
        self.wrote();
        self.fold_cost += began.elapsed();
        if left == 0 {
            self.fold_due = Instant::now() + FOLD.max(self.fold_cost * FOLD_SHARE);
        }
        Ok(())
    }

    fn wrote(&self) {
        self.shared.writes.fetch_add(1, Relaxed);
    }

    /// Says once that nothing can be written, and once that it works again.
    fn report(&mut self, done: &Result<(), LedgerError>) {
        let waiting = self.work.len() + self.newcomers.len();
        self.shared.overloaded.store(waiting > MAX_WORKERS, Relaxed);
        let before = self.shared.trouble().take();
        match done {
            Ok(()) => {
                self.retry_at = None;
                if before.is_some() {
                    tracing::info!("the ledger is written again; nothing was lost");
                }
            }
            Err(error) => {
                self.retry_at = Some(Instant::now() + RETRY);
                let said = error.to_string();
                if before.as_ref() != Some(&said) {
                    tracing::error!("{said}; statistics are kept in memory until it works again");
                }
                *self.shared.trouble() = Some(said);
            }
        }
    }

    async fn finish(
        mut self,
        (stop, checkpoints): (oneshot::Sender<()>, tokio::task::JoinHandle<()>),
    ) -> Result<(), LedgerError> {
        // Whatever is handed over from now on is handed back.
        self.inbox.close();
        let mut wanted = Wanted::default();
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message, &mut wanted);
        }
        let mut written = self.write(true).await;
        if written.is_err() {
            // The failure has made room in the log.
            written = self.write(true).await;
        }
        for flushed in wanted.flush {
            let _ = flushed.send(written.clone());
        }
        drop(stop);
        let _ = checkpoints.await;
        let path = self.path.clone();
        let failed = |e| LedgerError::from_sqlite(&path, e);
        written?;
        checkpoint::run(&mut self.conn, "TRUNCATE").await.map_err(failed)?;
        self.conn.close().await.map_err(failed)
    }
}

#[cfg(test)]
mod tests;
