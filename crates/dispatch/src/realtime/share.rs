//! Work on many loads, shared among a few threads. It knows no load.

use std::{num::NonZero, panic, sync::OnceLock, thread};

/// Each thread gets so many steps of loads at least: to start one takes as long as some thousand of them.
const SHARED: usize = 30_000;
/// Threads at most.
const MOST: usize = 4;

/// The length of parts of `all` such that work on so many steps of loads among them is best shared.
pub(super) fn part(all: usize, steps: usize) -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    let threads = match steps / SHARED {
        0 | 1 => 1,
        parts => {
            // The system takes its time to answer.
            let ask = || thread::available_parallelism().map_or(1, NonZero::get);
            (*PROCESSORS.get_or_init(ask)).min(parts).min(MOST)
        }
    };
    all.div_ceil(threads).max(1)
}

/// Works on all parts at once, on the last of them here. Gives what came of each, in their order.
pub(super) fn each<Part: Send, Result: Send>(
    parts: impl IntoIterator<Item = Part>,
    work: impl Fn(Part) -> Result + Sync,
) -> Vec<Result> {
    let mut parts: Vec<Part> = parts.into_iter().collect();
    let Some(last) = parts.pop() else { return Vec::new() };
    if parts.is_empty() {
        return vec![work(last)];
    }
    thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> =
            parts.into_iter().map(|part| scope.spawn(move || work(part))).collect();
        let last = work(last);
        let others = others.into_iter().map(|one| match one.join() {
            Ok(result) => result,
            Err(panic) => panic::resume_unwind(panic),
        });
        others.chain([last]).collect()
    })
}
