//! When a nap is worth its delay: how many sockets become ready a second, and whether they would have come
//! without it, judged window by window. Knows no clock and no socket.

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
    /// Of sockets that had been ready in the wake before.
    again: u64,
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

    /// One of them had been ready in the wake before.
    pub(crate) fn count_again(&mut self) {
        self.again += 1;
    }

    /// Whether to let sockets gather before the next wake.
    pub(crate) fn wants_nap(&mut self, now_ms: u64) -> bool {
        let passed = now_ms.saturating_sub(self.since_ms);
        if passed < RATE_WINDOW_MS {
            return self.naps;
        }
        if self.naps && (self.events < NAP_WORTH * self.wakes || 2 * self.again > self.events) {
            // Who waits for each answer would only be slowed down.
            self.awake_until_ms = now_ms + NAPLESS_MS;
        }
        let fits = NAP_RATES.contains(&(self.events * 1000 / passed));
        self.naps = fits && now_ms >= self.awake_until_ms;
        (self.since_ms, self.events, self.again, self.wakes) = (now_ms, 0, 0, 0);
        self.naps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether there are naps after a second of wakes that each bring so many sockets, of which so many came in the
    /// wake before, each so many milliseconds after the one before.
    fn naps(events: usize, again: usize, every_ms: u64) -> bool {
        let mut pace = Pace::default();
        let (mut naps, mut now) = (false, 0);
        while now < 1000 {
            now += every_ms;
            pace.count(events);
            (0..again).for_each(|_| pace.count_again());
            naps = pace.wants_nap(now);
        }
        naps
    }

    #[test]
    fn naps_gather_what_comes_by_itself() {
        // Twenty sockets each 10 ms, as of a hundred machines with twenty shares a second.
        assert!(naps(20, 4, 10));
        assert!(!naps(1, 0, 10), "too few to gather");
        assert!(!naps(200, 40, 10), "so many gather by themselves");
    }

    #[test]
    fn whoever_waits_for_answers_is_not_slowed_down() {
        assert!(!naps(50, 50, 11));
        assert!(!naps(1, 1, 1), "one that is answered at once");
    }
}
