//! Checkpoints: moves the write-ahead log into the file and syncs both, on a connection of its own
//! so that commits do not wait for the disk.

use crate::recorder::Shared;
use sqlx::{Row, SqliteConnection};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinHandle, time};

/// What a power cut can cost of the statistics.
const INTERVAL: Duration = Duration::from_secs(10);

/// Commits that arrive during a checkpoint keep the log from being used again from its start. So
/// another one follows at once, which has little left to do and mostly ends between two commits.
const ATTEMPTS: usize = 3;

/// 32 MiB of log: here the writer checkpoints by itself, once, while its commits wait.
pub(crate) const MAX_LOG_PAGES: u64 = 8192;

/// Runs until `stop` is dropped.
pub(crate) fn start(
    mut conn: SqliteConnection,
    shared: Arc<Shared>,
) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, mut stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut seen = 0;
        while time::timeout(INTERVAL, &mut stopped).await.is_err() {
            let writes = shared.writes.load(Relaxed);
            if writes == seen {
                continue;
            }
            seen = writes;
            for _ in 0..ATTEMPTS {
                match run(&mut conn, "PASSIVE").await {
                    Ok((pages, done)) => {
                        shared.log_pages.store(pages, Relaxed);
                        if pages == done {
                            break;
                        }
                    }
                    // The writer meets the same trouble and reports it.
                    Err(error) => tracing::debug!(%error, "checkpoint"),
                }
            }
        }
    });
    (stop, task)
}

/// Returns the pages in the log and how many of them are in the file now.
pub(crate) async fn run(
    conn: &mut SqliteConnection,
    mode: &str,
) -> Result<(u64, u64), sqlx::Error> {
    let row = sqlx::query(&format!("PRAGMA wal_checkpoint({mode})")).fetch_one(conn).await?;
    let pages =
        |column| row.try_get::<i64, _>(column).map(|pages| u64::try_from(pages).unwrap_or(0));
    Ok((pages(1)?, pages(2)?))
}
