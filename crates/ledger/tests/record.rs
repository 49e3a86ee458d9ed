//! The ledger as the server uses it: through its public face, on a real file.

#![expect(clippy::unwrap_used, reason = "tests, also outside of their #[test] functions")]

use hearth_ledger::{
    BlockRow, BlockState, Full, Ledger, LedgerError, Recorder, Retention, SessionClosed,
    SessionOpened, Width, WorkDelta,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};
use units::{Difficulty, Sats, Work};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn difficulty(value: f64) -> Difficulty {
    Difficulty::new(value).unwrap()
}

fn delta(worker: &str, at: u64, best: f64) -> WorkDelta {
    WorkDelta {
        worker: worker.into(),
        at,
        accepted: 1,
        work: Work::from_hashes(4_294_967_296.0),
        best: Some(difficulty(best)),
        rejected: Vec::new(),
    }
}

fn rejects(worker: &str, at: u64, rejected: &[(&'static str, u32)]) -> WorkDelta {
    WorkDelta {
        worker: worker.into(),
        at,
        accepted: 0,
        work: Work::ZERO,
        best: None,
        rejected: rejected.to_vec(),
    }
}

fn block(hash: &str, found_at: u64, state: BlockState) -> BlockRow {
    BlockRow {
        hash: hash.into(),
        height: 7,
        worker: "alice".into(),
        address: "tb1q".into(),
        value: Sats(5_000_000_000),
        found_at,
        state,
        confirmations: 0,
        reject_reason: None,
    }
}

async fn open(folder: &tempfile::TempDir) -> (Ledger, Recorder, PathBuf) {
    let path = folder.path().join("deep/in/it/ledger.db");
    let (ledger, recorder) = Ledger::open(&path).await.unwrap();
    (ledger, recorder, path)
}

#[tokio::test]
async fn work_is_summed_by_worker_by_minute_and_by_reason_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, recorder, path) = open(&folder).await;
    let start = now() / 3600 * 3600;
    recorder.work(vec![delta("alice", start, 8.0), delta("bob", start + 1, 2.0)]).unwrap();
    recorder.work(vec![delta("alice", start + 59, 4.0)]).unwrap();
    recorder.work(vec![delta("alice", start + 60, 1.0)]).unwrap();
    recorder.work(vec![rejects("bob", start + 61, &[("stale", 3), ("duplicate", 1)])]).unwrap();
    recorder.work(vec![rejects("bob", start + 62, &[("stale", 1)])]).unwrap();
    ledger.close().await.unwrap();

    let (ledger, _recorder) = Ledger::open(&path).await.unwrap();
    let totals = ledger.totals().await.unwrap();
    assert_eq!((totals.workers, totals.accepted, totals.blocks), (2, 4, 0));
    assert_eq!(totals.work, Work::from_hashes(4.0 * 4_294_967_296.0));
    assert_eq!(totals.rejected, BTreeMap::from([("stale".into(), 4), ("duplicate".into(), 1)]));
    assert_eq!(totals.best, Some(difficulty(8.0)));

    let workers = ledger.workers(0, 10).await.unwrap();
    let names: Vec<_> = workers.iter().map(|w| (&*w.name, w.first_seen, w.last_seen)).collect();
    assert_eq!(names, [("bob", start + 1, start + 62), ("alice", start, start + 60)]);
    assert_eq!(workers[0].rejected["stale"], 4);
    assert_eq!(workers[1].best, Some((difficulty(8.0), start)));
    assert_eq!(ledger.workers(start + 61, 10).await.unwrap().len(), 1);
    assert_eq!(ledger.worker("alice").await.unwrap().as_ref(), Some(&workers[1]));
    assert_eq!(ledger.worker("carol").await.unwrap(), None);

    let minutes = ledger.buckets(Some("alice"), start, start + 3600, Width::Minute).await.unwrap();
    let seen: Vec<_> = minutes.iter().map(|b| (b.start, b.width_s, b.accepted)).collect();
    assert_eq!(seen, [(start, 60, 2), (start + 60, 60, 1)]);
    assert_eq!(minutes[0].best, Some(difficulty(8.0)));
    let hours = ledger.buckets(None, 0, u64::MAX, Width::Hour).await.unwrap();
    let seen: Vec<_> = hours.iter().map(|b| (b.start, b.accepted, b.rejected)).collect();
    assert_eq!(seen, [(start, 4, 5)]);
    assert_eq!(ledger.buckets(Some("carol"), 0, u64::MAX, Width::Day).await.unwrap(), []);

    let best = ledger.best_shares(1).await.unwrap();
    assert_eq!((&*best[0].worker, best[0].difficulty.get(), best[0].at), ("alice", 8.0, start));
}

#[tokio::test]
async fn old_minutes_are_rolled_up_at_the_start_and_no_sum_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, recorder, path) = open(&folder).await;
    let day = 86_400;
    let today = now() / day * day;
    for (age, minutes) in [(100 * day, 30), (10 * day, 20), (0, 10)] {
        for minute in 0..minutes {
            recorder.work(vec![delta("alice", today - age + minute * 60, 2.0)]).unwrap();
        }
        // More minutes than wait in memory at once.
        ledger.flush().await.unwrap();
    }
    ledger.close().await.unwrap();

    let (ledger, recorder) = Ledger::open(&path).await.unwrap();
    let ages = |buckets: Vec<hearth_ledger::Bucket>| -> Vec<_> {
        buckets.iter().map(|b| (today - b.start, b.width_s, b.accepted)).collect()
    };
    let want = [(100 * day, day, 30), (10 * day, 3600, 20)];
    for _ in 0..200 {
        recorder.work(vec![rejects("alice", today, &[("stale", 1)])]).unwrap();
        ledger.flush().await.unwrap();
        let found = ledger.buckets(Some("alice"), 0, today, Width::Minute).await.unwrap();
        if ages(found.clone()) == want {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for worker in [Some("alice"), None] {
        let found = ledger.buckets(worker, 0, today, Width::Minute).await.unwrap();
        assert_eq!(ages(found), want);
        let days = ledger.buckets(worker, 0, today + day, Width::Day).await.unwrap();
        let all = [(100 * day, day, 30), (10 * day, day, 20), (0, day, 10)];
        assert_eq!(ages(days), all);
    }
    assert_eq!(ledger.totals().await.unwrap().accepted, 60);
}

#[tokio::test]
async fn a_block_is_one_row_however_often_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, recorder, path) = open(&folder).await;
    recorder.block(block("aa", 1000, BlockState::Pending)).wait().await.unwrap();
    recorder.block(block("bb", 2000, BlockState::Pending)).wait().await.unwrap();
    for (confirmations, state) in [(1, BlockState::Candidate), (6, BlockState::Confirmed)] {
        for _ in 0..2 {
            let again = BlockRow {
                confirmations,
                worker: "somebody else".into(),
                ..block("aa", 1000, state)
            };
            recorder.block(again).wait().await.unwrap();
        }
    }
    let refused = BlockRow {
        reject_reason: Some("high-hash".into()),
        ..block("bb", 2000, BlockState::Rejected)
    };
    recorder.block(refused.clone()).wait().await.unwrap();
    let want = [refused, BlockRow { confirmations: 6, ..block("aa", 1000, BlockState::Confirmed) }];
    assert_eq!(ledger.blocks(10).await.unwrap(), want);
    ledger.close().await.unwrap();
    let (ledger, _recorder) = Ledger::open(&path).await.unwrap();
    assert_eq!(ledger.blocks(10).await.unwrap(), want);
    assert_eq!(ledger.blocks(1).await.unwrap(), want[..1]);
    assert_eq!(ledger.totals().await.unwrap().blocks, 2);
}

#[tokio::test]
async fn a_new_block_resets_the_best_share_since_the_last_block_and_old_news_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, recorder, _path) = open(&folder).await;
    let since = async || {
        ledger.flush().await.unwrap();
        let alice = ledger.worker("alice").await.unwrap().unwrap();
        (alice.best.unwrap().0.get(), alice.best_since_block.map(|(best, _)| best.get()))
    };
    recorder.work(vec![delta("alice", 1000, 64.0)]).unwrap();
    assert_eq!(since().await, (64.0, Some(64.0)));
    recorder.block(block("aa", 1000, BlockState::Candidate));
    assert_eq!(since().await, (64.0, None));
    recorder.work(vec![delta("alice", 1001, 8.0)]).unwrap();
    assert_eq!(since().await, (64.0, Some(8.0)));
    recorder.block(block("aa", 1000, BlockState::Confirmed));
    assert_eq!(since().await, (64.0, Some(8.0)));
    // The batch with the winning share arrives after the news of its block.
    recorder.block(block("bb", 1005, BlockState::Candidate));
    recorder.work(vec![delta("alice", 1005, 128.0)]).unwrap();
    assert_eq!(since().await, (128.0, None));
    assert_eq!(ledger.totals().await.unwrap().best_since_block, None);
}

#[tokio::test]
async fn sessions_get_ids_that_are_never_used_again_and_end_with_their_sums() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, recorder, path) = open(&folder).await;
    let opened = |worker: &str, at| SessionOpened {
        worker: worker.into(),
        address: "tb1q".into(),
        peer: "127.0.0.1:5000".into(),
        user_agent: Some("bmminer/2.0.0 \"(x)\"".into()),
        at,
    };
    let first = recorder.session_opened(opened("alice", 100));
    let second = recorder.session_opened(opened("bob", 101));
    let done = SessionClosed { at: 160, accepted: 5, work: Work::from_hashes(1e9) };
    recorder.session_closed(first, done);
    ledger.flush().await.unwrap();
    let sessions = ledger.sessions(None, 10).await.unwrap();
    let seen: Vec<_> = sessions.iter().map(|s| (s.id, s.closed, s.accepted)).collect();
    assert_eq!(seen, [(second, None, 0), (first, Some(160), 5)]);
    assert_eq!(sessions[1].user_agent, opened("", 0).user_agent);
    assert_eq!(sessions[1].work, Work::from_hashes(1e9));

    recorder.work(vec![delta("bob", 130, 1.0)]).unwrap();
    ledger.close().await.unwrap();
    let (ledger, recorder) = Ledger::open(&path).await.unwrap();
    let third = recorder.session_opened(opened("bob", 200));
    ledger.flush().await.unwrap();
    let bobs = ledger.sessions(Some("bob"), 10).await.unwrap();
    let seen: Vec<_> = bobs.iter().map(|s| (s.id, s.closed)).collect();
    // Cut off by the end of the program: it ended with bob's last share.
    assert_eq!(seen, [(third, None), (second, Some(130))]);
}

#[tokio::test]
async fn after_the_end_batches_come_back_and_questions_are_answered_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, recorder, path) = open(&folder).await;
    let other = ledger.clone();
    ledger.close().await.unwrap();
    let batch = vec![delta("alice", 1, 1.0)];
    assert_eq!(recorder.work(batch.clone()), Err(Full(batch)));
    assert!(recorder.block(block("aa", 1, BlockState::Pending)).wait().await.is_err());
    assert_eq!(other.flush().await, Err(LedgerError::Closed { path: path.clone() }));
    assert_eq!(other.totals().await, Err(LedgerError::Closed { path: path.clone() }));
    assert_eq!(other.close().await, Err(LedgerError::Closed { path }));
}

#[tokio::test]
async fn the_end_leaves_one_file_that_holds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, recorder, path) = open(&folder).await;
    recorder.work(vec![delta("alice", 1000, 1.0)]).unwrap();
    ledger.close().await.unwrap();
    let log = std::fs::metadata(format!("{}-wal", path.display())).map_or(0, |file| file.len());
    assert_eq!(log, 0, "the log is in the file");
    let alone = folder.path().join("copy.db");
    std::fs::copy(&path, &alone).unwrap();
    let (ledger, _recorder) = Ledger::open(&alone).await.unwrap();
    assert_eq!(ledger.totals().await.unwrap().accepted, 1);
}

#[tokio::test]
async fn a_second_program_is_told_who_holds_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _recorder, path) = open(&folder).await;
    let error = Ledger::open(&path).await.unwrap_err();
    let pid = Some(std::process::id());
    assert_eq!(error, LedgerError::Locked { path: path.clone(), pid });
    assert!(error.to_string().contains("in use by another hearth (process"), "{error}");
    ledger.close().await.unwrap();
    Ledger::open(&path).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_a_ledger_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, bytes: &[u8]| std::fs::write(at(name), bytes).unwrap();
    write("garbage.db", &b"this is not a database at all ".repeat(100));
    write("file", b"");
    std::fs::create_dir(at("folder.db")).unwrap();
    for (path, words) in [
        (at("garbage.db"), "is damaged (error returned from database: (code: 26)"),
        (at("folder.db"), "cannot be opened"),
        (at("file/ledger.db"), "cannot be opened"),
        (PathBuf::from("/proc/hearth/ledger.db"), "cannot be opened"),
    ] {
        let said = Ledger::open(&path).await.unwrap_err().to_string();
        assert!(said.contains(words) && said.contains(&*path.to_string_lossy()), "{said}");
    }
    assert_eq!(std::fs::read(at("garbage.db")).unwrap().len(), 3000, "left as it was");
}

#[tokio::test]
async fn a_ledger_with_damaged_pages_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, recorder, path) = open(&folder).await;
    for at in 0..300 {
        let batch = (0..20).map(|worker| delta(&format!("worker {worker}"), at * 60, 1.0));
        recorder.work(batch.collect()).unwrap();
        ledger.flush().await.unwrap();
    }
    ledger.close().await.unwrap();
    damage(&path);
    let error = Ledger::open(&path).await.unwrap_err();
    assert!(matches!(error, LedgerError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("move it away"), "{error}");
}

/// Writes over the second half but for its last page.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let (from, to) = (bytes.len() / 2, bytes.len() - 4096);
    bytes[from..to].fill(0x5a);
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_file_that_may_not_be_written_is_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _recorder, path) = open(&folder).await;
    ledger.close().await.unwrap();
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    // Root may write to anything, so the kernel's refusal cannot be had this way.
    if std::fs::File::options().write(true).open(&path).is_err() {
        let error = Ledger::open(&path).await.unwrap_err();
        assert_eq!(error, LedgerError::ReadOnly { path });
    }
}

#[tokio::test]
async fn while_another_program_holds_the_file_nothing_is_lost_and_trouble_is_shown() {
    use sqlx::{Connection, SqliteConnection};
    let folder = tempfile::tempdir().unwrap();
    let (ledger, recorder, path) = open(&folder).await;
    let url = format!("sqlite://{}", path.display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    for at in 0..50 {
        recorder.work(vec![delta("alice", 1000 + at, 1.0)]).unwrap();
    }
    let error = ledger.flush().await.unwrap_err();
    assert!(error.to_string().contains("locked"), "{error}");
    assert_eq!(ledger.health().trouble, Some(error.to_string()));
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    ledger.flush().await.unwrap();
    assert_eq!(ledger.health().trouble, None);
    assert_eq!(ledger.totals().await.unwrap().accepted, 50);
}

#[tokio::test]
async fn hostile_names_are_only_text() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, recorder, _path) = open(&folder).await;
    let names = [
        "'; DROP TABLE workers; --",
        "\"quoted\"",
        "line\nbreak",
        "\u{0}nul",
        "",
        "🔥",
        "null",
        "1",
    ];
    let before = now();
    recorder.work(names.iter().map(|name| delta(name, before, 1.0)).collect()).unwrap();
    ledger.flush().await.unwrap();
    for name in names {
        let row = ledger.worker(name).await.unwrap();
        assert_eq!(row.map(|row| row.accepted), Some(1), "{name:?}");
    }
    assert_eq!(ledger.totals().await.unwrap().workers, names.len() as u64);
}

#[tokio::test]
async fn a_site_may_keep_minutes_for_a_shorter_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let retention =
        Retention { minutes: std::time::Duration::from_secs(3600), ..Retention::default() };
    let (ledger, recorder) = Ledger::open_with(&path, retention).await.unwrap();
    recorder.work(vec![delta("alice", now() - 3 * 3600, 1.0)]).unwrap();
    ledger.close().await.unwrap();
    let (ledger, recorder) = Ledger::open_with(&path, retention).await.unwrap();
    recorder.work(vec![delta("alice", now(), 1.0)]).unwrap();
    ledger.flush().await.unwrap();
    let found = ledger.buckets(None, 0, u64::MAX, Width::Minute).await.unwrap();
    let widths: Vec<_> = found.iter().map(|bucket| bucket.width_s).collect();
    assert_eq!(widths, [3600, 60]);
}
