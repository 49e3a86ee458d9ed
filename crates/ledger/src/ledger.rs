//! Opening and closing: one process per file, checked before anything is changed in it.

use crate::{
    Health, LedgerError, Recorder, Retention, block, checkpoint, fold,
    lock::Lock,
    recorder::{Message, Shared},
    schema, session,
    writer::{self, Writer},
};
use sqlx::{
    ConnectOptions, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::sync::oneshot;

/// Files up to this size are checked for damage at every start: about 0.1 s.
const CHECKED_BYTES: u64 = 64 << 20;

/// How long a look into the file by another program, such as a backup, may hold a write up.
const BUSY: Duration = Duration::from_millis(250);

/// Connections for queries; they never write.
const READERS: u32 = 2;

/// Handle to an open ledger: queries and the end of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(crate) readers: SqlitePool,
    pub(crate) path: PathBuf,
    recorder: Recorder,
    shared: Arc<Shared>,
}

impl Ledger {
    /// Opens or creates the file and its folder, brings it up to date, and starts the writer on a thread of
    /// its own.
    ///
    /// # Errors
    /// The file is in use by another process, of a newer schema, not a ledger, damaged, read-only,
    /// or the disk is full.
    pub async fn open(path: &Path) -> Result<(Self, Recorder), LedgerError> {
        Self::open_with(path, Retention::default()).await
    }

    /// As [`Ledger::open`], keeping fine-grained rows for as long as `retention` says.
    pub async fn open_with(
        path: &Path,
        retention: Retention,
    ) -> Result<(Self, Recorder), LedgerError> {
        let failed = |e| LedgerError::from_sqlite(path, e);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| LedgerError::from_io(path, e))?;
        }
        let lock = lock(path)?;

        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY)
            .disable_statement_logging();
        let mut look = options.clone().create_if_missing(true).connect().await.map_err(failed)?;
        schema::check(&mut look, path).await?;
        drop(look);

        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", "0");
        let mut conn = options.connect().await.map_err(failed)?;
        check_damage(&mut conn, path).await?;
        schema::migrate(&mut conn).await.map_err(failed)?;
        let last_block_at = block::last_found_at(&mut conn).await.map_err(failed)?;
        let generation = fold::recover(&mut conn, last_block_at).await.map_err(failed)?;
        let next_session = session::end_cut_off(&mut conn).await.map_err(failed)?;
        let checkpoints = options.connect().await.map_err(failed)?;

        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await
            .map_err(failed)?;
        let shared = Arc::<Shared>::default();
        shared.next_session.store(next_session, Relaxed);
        let (recorder, inbox) = Recorder::new(shared.clone());
        let path = path.to_owned();
        let file =
            writer::File { conn, path: path.clone(), retention, generation, last_block_at, lock };
        let writer = Writer::new(file, inbox, shared.clone());
        start(writer, checkpoints, shared.clone()).map_err(|e| LedgerError::from_io(&path, e))?;
        Ok((Self { readers, path, recorder: recorder.clone(), shared }, recorder))
    }

    /// Waits until all that was handed over before is written and seen by queries. Without it
    /// queries may be 5 seconds behind; blocks and sessions about 5 ms.
    ///
    /// # Errors
    /// It cannot be written now; it is kept and tried again.
    pub async fn flush(&self) -> Result<(), LedgerError> {
        let (done, answer) = oneshot::channel();
        self.recorder.send(Message::Flush(done));
        answer.await.unwrap_or_else(|_| Err(LedgerError::Closed { path: self.path.clone() }))
    }

    /// How the record is doing. Never waits for the disk.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Writes all that was handed over, syncs it and closes the file. Recorders give batches back
    /// from then on.
    ///
    /// # Errors
    /// The last sums could not be written and are lost.
    pub async fn close(self) -> Result<(), LedgerError> {
        self.readers.close().await;
        let (done, answer) = oneshot::channel();
        self.recorder.send(Message::Stop(done));
        answer.await.unwrap_or_else(|_| Err(LedgerError::Closed { path: self.path.clone() }))
    }
}

/// A thread of its own: a busy runtime must not hold a commit up, and each wake-up of a runtime
/// with several threads costs more than the commit.
fn start(writer: Writer, checkpoints: SqliteConnection, shared: Arc<Shared>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    std::thread::Builder::new().name("ledger".into()).spawn(move || {
        runtime.block_on(async {
            writer.run(checkpoint::start(checkpoints, shared)).await;
        });
    })?;
    Ok(())
}

/// Two programs never share a ledger. The lock is a file beside it, so that the database itself
/// stays readable for other programs; it names its holder.
fn lock(path: &Path) -> Result<Lock, LedgerError> {
    let failed = |e| LedgerError::from_io(path, e);
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    match Lock::take(Path::new(&beside)).map_err(failed)? {
        Ok(mut lock) => {
            lock.file().set_len(0).map_err(failed)?;
            writeln!(lock.file(), "{}", std::process::id()).map_err(failed)?;
            Ok(lock)
        }
        Err(mut held) => {
            let mut pid = String::new();
            let pid = held.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok());
            Err(LedgerError::Locked { path: path.to_owned(), pid })
        }
    }
}

async fn check_damage(conn: &mut SqliteConnection, path: &Path) -> Result<(), LedgerError> {
    if fs::metadata(path).map_or(0, |file| file.len()) > CHECKED_BYTES {
        return Ok(());
    }
    let said: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(conn)
        .await
        .map_err(|e| LedgerError::from_sqlite(path, e))?;
    if said == "ok" {
        return Ok(());
    }
    let detail = said.lines().last().unwrap_or_default().to_owned();
    Err(LedgerError::Corrupt { path: path.to_owned(), detail })
}
