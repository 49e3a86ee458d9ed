//! What the writer costs: microseconds of CPU per commit of 80 deltas, and CPU per second at the
//! load of a large farm, 2,000 shares a second from 100 workers. Run with `--release`.

use hearth_ledger::{Ledger, WorkDelta};
use rustix::time::{ClockId, clock_gettime};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use units::Difficulty;

const WORKERS: usize = 100;
/// How often the server hands a batch over, and how large it is at 2,000 shares a second.
const HAND_OVER: Duration = Duration::from_millis(40);
const DELTAS: usize = 80;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(20), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let (ledger, recorder) = runtime.block_on(Ledger::open(&folder.path().join("ledger.db")))?;
    let names: Vec<Arc<str>> = (0..WORKERS)
        .map(|n| format!("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx.rig{n}").into())
        .collect();

    // The first ten seconds make the file grow; later ones write in place.
    let mut next = 0;
    for label in ["first", "later"] {
        let before = (cpu_of_the_writer(), ledger.health().writes, next);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(seconds) {
            let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            let batch =
                (next..next + DELTAS).map(|n| delta(&names[n * 37 % WORKERS], at, n)).collect();
            next += DELTAS;
            if recorder.work(batch).is_err() {
                return Err("the writer cannot keep up".into());
            }
            std::thread::sleep(HAND_OVER);
        }
        let spent = (cpu_of_the_writer() - before.0).as_secs_f64();
        let commits = ledger.health().writes - before.1;
        println!(
            "{label}: {:.0} us CPU per commit, {:.2} ms CPU per second, {:.2} us per delta, {commits} commits",
            spent * 1e6 / commits as f64,
            spent * 1e3 / begin.elapsed().as_secs_f64(),
            spent * 1e6 / (next - before.2) as f64,
        );
    }
    runtime.block_on(ledger.close())?;
    Ok(())
}

fn delta(worker: &Arc<str>, at: u64, n: usize) -> WorkDelta {
    let best = Difficulty::ONE;
    WorkDelta {
        worker: worker.clone(),
        at,
        accepted: 1,
        work: best.work(),
        best: Difficulty::new(1.0 + (n * 7919 % 4001) as f64 / 3.0).ok(),
        rejected: if n.is_multiple_of(100) { vec![("stale", 1)] } else { Vec::new() },
    }
}

/// All threads but the one that makes up the load.
fn cpu_of_the_writer() -> Duration {
    clock(ClockId::ProcessCPUTime).saturating_sub(clock(ClockId::ThreadCPUTime))
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
