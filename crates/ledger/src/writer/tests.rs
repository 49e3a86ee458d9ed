//! The writer driven step by step, so that it can be "killed" between any two transactions.

use super::*;
use crate::{WorkDelta, recorder::Recorder, schema};
use proptest::prelude::*;
use sqlx::{
    ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use std::{collections::BTreeMap, path::Path};
use units::{Difficulty, Work};

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .connect()
        .await
        .unwrap()
}

async fn start(path: &Path) -> (Writer, Recorder) {
    let mut conn = connect(path).await;
    schema::migrate(&mut conn).await.unwrap();
    let last_block_at = block::last_found_at(&mut conn).await.unwrap();
    let generation = fold::recover(&mut conn, last_block_at).await.unwrap();
    let shared = Arc::<Shared>::default();
    let (recorder, inbox) = Recorder::new(shared.clone());
    let file = File {
        conn,
        path: path.to_owned(),
        retention: Retention::default(),
        generation,
        last_block_at,
        lock: crate::lock::Lock::take(&path.with_extension("lock")).unwrap().unwrap(),
    };
    (Writer::new(file, inbox, shared), recorder)
}

impl Writer {
    fn take_all(&mut self) {
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message, &mut Wanted::default());
        }
    }
}

fn delta(worker: usize, at: u64, best: f64) -> WorkDelta {
    let best = Difficulty::new(best).unwrap();
    WorkDelta {
        worker: format!("worker {worker}").into(),
        at,
        accepted: 1,
        // A whole number, so that sums are the same in any order.
        work: Work::from_hashes(best.get() * 4_294_967_296.0),
        best: Some(best),
        rejected: vec![("stale", 1), ("duplicate", 2)],
    }
}

/// By worker: accepted, rejected, work, best, best since the last block.
type Sums = BTreeMap<String, (i64, i64, f64, f64, Option<f64>)>;

async fn in_tables(conn: &mut SqliteConnection) -> Sums {
    let workers: Vec<(String, i64, i64, f64, f64, Option<f64>)> = sqlx::query_as(
        "SELECT name, accepted, rejected, work, best, best_since_block FROM workers",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let buckets: Vec<(String, i64, i64, f64, f64)> = sqlx::query_as(
        "SELECT name, sum(b.accepted), sum(b.rejected), sum(b.work), max(b.best)
         FROM buckets b JOIN workers ON b.worker = workers.id GROUP BY name",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let rejects: Vec<(String, i64)> = sqlx::query_as(
        "SELECT name, sum(count) FROM rejects JOIN workers ON worker = workers.id GROUP BY name",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let sums: Sums = workers.into_iter().map(|(n, a, r, w, b, s)| (n, (a, r, w, b, s))).collect();
    assert_eq!(buckets.len(), sums.len());
    for (name, accepted, rejected, work, best) in buckets {
        let (a, r, w, b, _) = sums[&name];
        assert_eq!((accepted, rejected, work, best), (a, r, w, b), "{name}");
    }
    for (name, count) in rejects {
        assert_eq!(count, sums[&name].1, "{name}");
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Some workers more than one slice holds, so that a kill falls between two slices.
    #[test]
    fn killed_between_any_two_transactions_it_neither_loses_nor_doubles_what_was_committed(
        rounds in proptest::collection::vec((1usize..2 * SLICE + 9, 0usize..4, any::<bool>()), 1..9),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("ledger.db");
            let (mut writer, mut recorder) = start(&path).await;
            let mut want = Sums::new();
            let mut at = 1_790_000_000;
            for (workers, slices, kill) in rounds {
                at += 25;
                for worker in 0..workers {
                    let best = (1 + (worker * 7 + at as usize) % 64) as f64;
                    let delta = delta(worker, at, best);
                    let sums = want.entry(delta.worker.to_string()).or_default();
                    sums.0 += 1;
                    sums.1 += 3;
                    sums.2 += delta.work.hashes();
                    sums.3 = sums.3.max(best);
                    sums.4 = Some(sums.4.unwrap_or(0.0).max(best));
                    recorder.work(vec![delta]).unwrap();
                }
                writer.take_all();
                writer.fold_due = Instant::now() + Duration::from_secs(3600);
                writer.write(false).await.unwrap();
                for _ in 0..slices {
                    if writer.folding.is_empty() {
                        writer.begin_fold();
                    }
                    writer.fold_slice().await.unwrap();
                }
                if kill {
                    drop(writer);
                    (writer, recorder) = start(&path).await;
                    prop_assert_eq!(&in_tables(&mut writer.conn).await, &want);
                }
            }
            writer.write(true).await.unwrap();
            prop_assert_eq!(&in_tables(&mut writer.conn).await, &want);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn while_the_disk_is_full_sums_wait_in_memory_and_are_all_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let (mut writer, recorder) = start(&path).await;
    recorder.work(vec![delta(0, 60, 1.0)]).unwrap();
    writer.take_all();
    writer.write(true).await.unwrap();

    // Something else takes all the room there is.
    let mut other = connect(&path).await;
    sqlx::raw_sql("CREATE TABLE ballast (a); INSERT INTO ballast SELECT zeroblob(8000000)")
        .execute(&mut other)
        .await
        .unwrap();
    let pages = schema::pragma(&mut writer.conn, "page_count").await.unwrap();
    let limit = format!("PRAGMA max_page_count = {pages}");
    sqlx::raw_sql(&limit).execute(&mut writer.conn).await.unwrap();

    let mut failed = 0;
    for minute in 1..200 {
        let batch: Vec<_> = (0..500).map(|worker| delta(worker, minute * 60, 2.0)).collect();
        recorder.work(batch).unwrap();
        writer.take_all();
        if let Err(error) = writer.write(true).await {
            let path = path.clone();
            assert_eq!(error, LedgerError::DiskFull { path });
            writer.report(&Err(error));
            failed += 1;
        }
    }
    assert!(failed > 100, "only {failed} writes failed");
    assert!(writer.shared.health().trouble.unwrap().contains("full; free some space"));
    for held in [writer.work.len(), writer.newcomers.len(), writer.journaled.len()] {
        assert!(held <= 500, "memory is bounded by the number of workers, not {held}");
    }
    assert_eq!(writer.shared.health().queued, 0, "the queue is not held up");

    sqlx::raw_sql("DROP TABLE ballast").execute(&mut other).await.unwrap();
    let done = writer.write(true).await;
    assert_eq!(done, Ok(()));
    writer.report(&done);
    assert_eq!(writer.shared.health().trouble, None);
    let sums = in_tables(&mut writer.conn).await;
    assert_eq!(sums.values().map(|sums| sums.0).sum::<i64>(), 1 + 199 * 500);
    assert_eq!(sums.values().map(|sums| sums.1).sum::<i64>(), 3 * (1 + 199 * 500));
}

#[tokio::test]
async fn a_block_during_the_fold_resets_the_best_share_since_the_last_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let (mut writer, recorder) = start(&path).await;
    for worker in 0..SLICE + 3 {
        recorder.work(vec![delta(worker, 100, 8.0)]).unwrap();
    }
    writer.take_all();
    writer.fold_due = Instant::now();
    // One slice is in the tables now, the rest is not.
    writer.write(false).await.unwrap();
    assert!(!writer.folding.is_empty());
    let _written = recorder.block(BlockRow { found_at: 101, ..block::example("aa") });
    recorder.work(vec![delta(0, 101, 64.0), delta(1, 102, 2.0)]).unwrap();
    writer.take_all();
    drop({
        writer.write(false).await.unwrap();
        writer
    });
    let (mut writer, _recorder) = start(&path).await;
    for (name, (.., best, since)) in in_tables(&mut writer.conn).await {
        let want = match &*name {
            "worker 0" => (64.0, None),
            "worker 1" => (8.0, Some(2.0)),
            _ => (8.0, None),
        };
        assert_eq!((best, since), want, "{name}");
    }
}
