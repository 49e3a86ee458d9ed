//! When a nap is worth its delay: how many sockets become ready a second, judged window by window.
//! Knows no clock and no socket.

/// Between these rates of ready sockets a second, a reactor takes naps: enough come for several to
/// gather, and not so many that they gather by themselves.
const NAP_RATES: std::ops::RangeInclusive<u64> = 600..=8000;
/// Sockets that a nap must gather on average to be worth it.
const NAP_WORTH: u64 = 2;
/// How often the rate is judged, and how long naps are left off after they were not worth it,
/// milliseconds.
const RATE_WINDOW_MS: u64 = 64;
const NAPLESS_MS: u64 = 1000;

/// Counts wakes and what they brought.
#[derive(Default)]
pub(crate) struct Pace {
    since_ms: u64,
    events: u64,
    wakes: u64,
    naps: bool,
    /// No naps before this moment.
    awake_until_ms: u64,
}

impl Pace {
    pub(crate) fn count(&mut self, events: usize) {
        self.events += events as u64;
        self.wakes += 1;
    }

    /// Whether to let sockets gather before the next wake.
    pub(crate) fn wants_nap(&mut self, now_ms: u64) -> bool {
        let passed = now_ms.saturating_sub(self.since_ms);
        if passed < RATE_WINDOW_MS {
            return self.naps;
        }
        if self.naps && self.events < NAP_WORTH * self.wakes {
            // One miner that waits for each answer: it would only be slowed down.
            self.awake_until_ms = now_ms + NAPLESS_MS;
        }
        let fits = NAP_RATES.contains(&(self.events * 1000 / passed));
        self.naps = fits && now_ms >= self.awake_until_ms;
        (self.since_ms, self.events, self.wakes) = (now_ms, 0, 0);
        self.naps
    }
}
