//! A real program that is really killed: what `kill -9` at any moment may cost.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, also outside of their #[test] functions"
)]

use hearth_ledger::{BlockRow, BlockState, Ledger, SessionOpened, WorkDelta};
use rand::Rng;
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use units::{Sats, Work};

const PATH: &str = "HEARTH_TEST_LEDGER";
/// More than are folded in one transaction.
const WORKERS: u64 = 1000;
const ROUNDS: usize = 8;
/// The promise is 50 ms, the server's part included. A loaded test machine stops a process for
/// longer than that, so the test insists only on far less.
const PATIENCE: Duration = Duration::from_secs(1);

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// The program to be killed. It says on standard output what it is about to hand over, then what
/// it has handed over and when, and which blocks are on disk.
#[test]
#[ignore = "the child process of the test below"]
fn writes_until_it_is_killed() {
    let Ok(path) = std::env::var(PATH) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (ledger, recorder) = runtime.block_on(Ledger::open(Path::new(&path))).unwrap();
    let mut out = std::io::stdout().lock();
    let mut sent = runtime.block_on(ledger.totals()).unwrap().accepted;
    writeln!(out, "\nfound {sent}").unwrap();
    let (told, telling) = std::sync::mpsc::channel::<String>();
    std::thread::spawn({
        let (recorder, told) = (recorder.clone(), told.clone());
        move || {
            for height in 0.. {
                let row = BlockRow {
                    hash: format!("{}-{height}", since_epoch().as_nanos()),
                    height,
                    worker: "worker 1".into(),
                    address: "tb1q".into(),
                    value: Sats(1),
                    found_at: since_epoch().as_secs(),
                    state: BlockState::Pending,
                    confirmations: 0,
                    reject_reason: None,
                };
                let hash = row.hash.clone();
                recorder.block(row).wait_blocking().unwrap();
                told.send(format!("block {hash}")).unwrap();
                std::thread::sleep(Duration::from_millis(30));
            }
        }
    });
    loop {
        let batch: Vec<_> = (0..30)
            .map(|n| WorkDelta {
                worker: format!("worker {}", (sent + n) % WORKERS).into(),
                at: since_epoch().as_secs(),
                accepted: 1,
                work: Work::from_hashes(1024.0),
                best: None,
                rejected: vec![("stale", 1)],
            })
            .collect();
        sent += 30;
        writeln!(out, "sending {sent}").unwrap();
        recorder.work(batch).unwrap();
        writeln!(out, "sent {sent} {}", since_epoch().as_micros()).unwrap();
        recorder.session_opened(SessionOpened {
            worker: "worker 1".into(),
            address: "tb1q".into(),
            peer: "127.0.0.1:1".into(),
            user_agent: None,
            at: 1,
        });
        for line in telling.try_iter() {
            writeln!(out, "{line}").unwrap();
        }
        out.flush().unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[derive(Default)]
struct Seen {
    found: u64,
    sending: u64,
    sent: Vec<(u64, Duration)>,
    blocks: Vec<String>,
    killed: Duration,
}

fn run_and_kill(path: &Path, life: Duration) -> Seen {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writes_until_it_is_killed", "--ignored", "--nocapture"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = Seen::default();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["found", n] => {
                    seen.found = n.parse().unwrap();
                    begun.send(()).unwrap();
                }
                ["sending", n] => seen.sending = n.parse().unwrap(),
                ["sent", n, at] => {
                    let at = Duration::from_micros(at.parse().unwrap());
                    seen.sent.push((n.parse().unwrap(), at));
                }
                ["block", hash] => seen.blocks.push(hash.into()),
                _ => {}
            }
        }
        seen
    });
    has_begun.recv_timeout(Duration::from_secs(60)).expect("the child has opened the ledger");
    std::thread::sleep(life);
    let killed = since_epoch();
    child.kill().unwrap();
    child.wait().unwrap();
    Seen { killed, ..reader.join().unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_costs_only_the_last_moment_and_never_a_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut known = 0;
    let mut blocks = Vec::new();
    for round in 0..ROUNDS {
        let life = Duration::from_millis(
            rand::rng().random_range(50..2600) + if round == 3 { 4000 } else { 0 },
        );
        let seen = run_and_kill(&path, life);
        assert!(round == 0 || seen.found == known, "the restart found what the last look saw");
        blocks.extend(seen.blocks);

        let began = Instant::now();
        let (ledger, _recorder) = Ledger::open(&path).await.unwrap();
        let reopened = began.elapsed();
        let totals = ledger.totals().await.unwrap();
        known = totals.accepted;
        assert!(known <= seen.sending, "{known} counted, only {} were sent", seen.sending);
        assert!(known >= seen.found, "what a former kill had left is still there");
        assert_eq!(totals.work, Work::from_hashes(known as f64 * 1024.0), "each share once");
        assert_eq!(totals.rejected.get("stale").copied().unwrap_or(0), known);
        let minutes =
            ledger.buckets(None, 0, u64::MAX, hearth_ledger::Width::Minute).await.unwrap();
        assert_eq!(minutes.iter().map(|bucket| bucket.accepted).sum::<u64>(), known);

        let lost = seen.sent.iter().find(|(n, _)| *n > known);
        let cost = lost.map_or(Duration::ZERO, |(_, at)| seen.killed.saturating_sub(*at));
        println!("lived {life:?}: kept {known}, lost the last {cost:?}, reopened in {reopened:?}");
        assert!(cost < PATIENCE, "shares of the last {cost:?} are missing");

        let rows = ledger.blocks(u32::MAX).await.unwrap();
        for hash in &blocks {
            assert!(rows.iter().any(|row| row.hash == *hash), "block {hash} is missing");
        }
        ledger.close().await.unwrap();
    }
    assert!(blocks.len() > ROUNDS && known > 100, "the children did something");
}
