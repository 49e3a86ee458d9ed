//! A hash thread: takes work, tries nonces in small batches, keeps to its hashrate limit.

use super::shared::{Shared, Work};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Nonces between two looks at whether the work is still good: about 0.4 ms at full speed.
const BATCH: u32 = 4096;
/// One header is hashed for about this long; then extranonce, version and time move on.
const SLICE_TIME: Duration = Duration::from_secs(1);
/// How much lower than normal the priority of a hash thread is: servers in the same machine go
/// first.
const NICENESS: i32 = 10;

/// Hashes until the miner stops; `limit` in hashes per second.
pub(super) fn run(shared: &Shared, limit: Option<f64>) {
    // On Linux a priority belongs to the thread. Refused, the thread just runs as it is.
    rustix::process::nice(NICENESS).ok();
    let mut pace = Pace::new(limit);
    while let Some((work, generation)) = shared.wait_for_work() {
        while shared.generation() == generation {
            hash_slice(shared, &work, generation, &mut pace);
        }
    }
}

fn hash_slice(shared: &Shared, work: &Work, generation: u64, pace: &mut Pace) {
    let mut slice = shared.next_slice(work);
    let end = Instant::now() + SLICE_TIME;
    let mut nonce = 0u32;
    loop {
        let mut left = pace.batch().min(u32::MAX - nonce);
        if left == 0 || Instant::now() >= end {
            return;
        }
        let batch = left;
        while left > 0 {
            let (tried, hit) = slice.scan.search(nonce, left, work.target);
            nonce += tried;
            left -= tried;
            if let Some((nonce, hash)) = hit {
                shared.submit(work, &slice, nonce, &hash);
            }
            if shared.generation() != generation {
                break;
            }
        }
        let done = batch - left;
        shared.count_hashes(done.into());
        pace.wait(done, shared);
        if shared.generation() != generation {
            return;
        }
    }
}

/// Spreads a limited hashrate evenly over time.
struct Pace {
    per_second: Option<f64>,
    /// When the hashes done so far are due.
    due: Instant,
}

impl Pace {
    /// Time that may be caught up after the processor was busy elsewhere.
    const CATCH_UP: Duration = Duration::from_millis(50);
    /// Longest sleep before the next look at whether to stop.
    const NAP: Duration = Duration::from_millis(20);

    fn new(per_second: Option<f64>) -> Self {
        Self { per_second, due: Instant::now() }
    }

    /// Hashes for about 5 ms.
    fn batch(&self) -> u32 {
        self.per_second.map_or(BATCH, |rate| (rate * 0.005).clamp(1.0, f64::from(BATCH)) as u32)
    }

    fn wait(&mut self, hashes: u32, shared: &Shared) {
        let Some(rate) = self.per_second else { return };
        let now = Instant::now();
        let earliest = now.checked_sub(Self::CATCH_UP).unwrap_or(now);
        let time = Duration::try_from_secs_f64(f64::from(hashes) / rate)
            .unwrap_or(Duration::from_secs(86_400));
        self.due = self.due.max(earliest) + time;
        while !shared.stopped() {
            let left = self.due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(Self::NAP));
        }
    }
}
