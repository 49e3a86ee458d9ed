//! Variable difficulty: how hard a session's shares should be, from how fast they come.
//!
//! Pure: time is an argument. Shares of a machine arrive as a Poisson process, so a window's count
//! says how far the difficulty is off, and how sure that is.

use units::Difficulty;

/// A power of two can be off by half an octave: rates this far from the wanted one are as they should
/// be, and restarting jobs would gain nothing.
const OCTAVE_HALF: f64 = std::f64::consts::SQRT_2;
/// Shares after which a flood is believed: the rate is then known to about a third.
const FLOOD_SHARES: f64 = 8.0;
/// A flood is this many standard deviations above the highest good rate.
const FLOOD_SIGMAS: f64 = 4.0;
/// Expected shares after which none at all is believed: e^-4 is 2 %.
const SILENCE: f64 = 4.0;
/// What a silent window counts for, in shares: the next difficulty is a sixteenth.
const SILENT_SHARES: f64 = 0.25;
/// Expected shares of the first window. Each window that confirms the difficulty doubles the next, so
/// that a new machine is judged quickly and a settled one calmly.
const FIRST_WINDOW: f64 = 12.0;
/// Doublings at most.
const CALMEST: u8 = 3;

/// One session's window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vardiff {
    since_ms: u64,
    count: u32,
    ever: bool,
    calm: u8,
}

impl Vardiff {
    /// A window that begins now; nothing is known of the machine.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self { since_ms: now_ms, count: 0, ever: false, calm: 0 }
    }

    /// Starts over, because the difficulty changed.
    pub(crate) fn restart(&mut self, now_ms: u64) {
        (self.since_ms, self.count) = (now_ms, 0);
    }

    /// Whether the machine has ever sent a share.
    pub(crate) fn has_shares(&self) -> bool {
        self.ever
    }

    /// A share was accepted. Gives the difficulty to change to, before rounding, if they come much
    /// too fast.
    #[inline]
    pub(crate) fn share(
        &mut self,
        now_ms: u64,
        now: Difficulty,
        per_ms: f64,
    ) -> Option<Difficulty> {
        self.count += 1;
        self.ever = true;
        let count = f64::from(self.count);
        if count < FLOOD_SHARES {
            return None;
        }
        let expected = self.expected(now_ms, per_ms);
        let highest = OCTAVE_HALF * expected;
        if count < highest + FLOOD_SIGMAS * highest.sqrt() {
            return None;
        }
        self.calm = 0;
        // Less than a millisecond for eight shares: the clock is too coarse, not the rate infinite.
        self.scaled(now, count / expected.max(per_ms))
    }

    /// Time has passed. Gives the difficulty to change to, before rounding, if shares come too slowly
    /// or a full window has shown that they come too fast.
    pub(crate) fn tick(&mut self, now_ms: u64, now: Difficulty, per_ms: f64) -> Option<Difficulty> {
        let expected = self.expected(now_ms, per_ms);
        let count = f64::from(self.count);
        if self.count == 0 && expected >= SILENCE {
            self.calm = 0;
            return self.scaled(now, SILENT_SHARES / expected);
        }
        if expected < FIRST_WINDOW * f64::from(1u8 << self.calm) {
            return None;
        }
        // The longer the window, the surer the count, and the more it takes to disturb the machine.
        let sigmas = 0.5 + 0.6 * f64::from(self.calm);
        let (lowest, highest) = (expected / OCTAVE_HALF, expected * OCTAVE_HALF);
        let off =
            count < lowest - sigmas * lowest.sqrt() || count > highest + sigmas * highest.sqrt();
        self.restart(now_ms);
        if off {
            self.calm = self.calm.saturating_sub(1);
            return self.scaled(now, count / expected);
        }
        self.calm = (self.calm + 1).min(CALMEST);
        None
    }

    fn expected(&self, now_ms: u64, per_ms: f64) -> f64 {
        now_ms.saturating_sub(self.since_ms) as f64 * per_ms
    }

    fn scaled(&self, now: Difficulty, ratio: f64) -> Option<Difficulty> {
        Difficulty::new(now.get() * ratio).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Port;

    const PER_MS: f64 = 20.0 / 60_000.0;

    /// A small reproducible generator (SplitMix64), so that the test needs no crate.
    struct Random(u64);

    impl Random {
        fn unit(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    /// Runs a machine against the port; gives the ratio of its share rate to the wanted one at each
    /// second, the work credited and the work done.
    fn run(rate: f64, start: f64, seconds: u64, seed: u64) -> (Vec<f64>, f64, f64) {
        let port = Port::default();
        let mut random = Random(seed);
        let mut difficulty = Difficulty::new(start).unwrap();
        let mut vardiff = Vardiff::new(0);
        let (mut now, mut credited, mut ratios) = (0.0, 0.0, Vec::new());
        let change =
            |wanted: Option<Difficulty>, vardiff: &mut Vardiff, d: &mut Difficulty, now| {
                let Some(wanted) = wanted.map(|wanted| port.fit(wanted)) else { return };
                if wanted != *d {
                    *d = wanted;
                    vardiff.restart(now as u64);
                }
            };
        while now < seconds as f64 * 1000.0 {
            let per_ms = rate / difficulty.work().hashes() / 1000.0;
            let wait = -(1.0 - random.unit()).ln() / per_ms;
            let next_tick = (now / 1000.0).floor() * 1000.0 + 1000.0;
            if now + wait < next_tick {
                now += wait;
                credited += difficulty.work().hashes();
                let wanted = vardiff.share(now as u64, difficulty, PER_MS);
                change(wanted, &mut vardiff, &mut difficulty, now);
            } else {
                // The exponential distribution has no memory: the wait may begin anew.
                now = next_tick;
                let wanted = vardiff.tick(now as u64, difficulty, PER_MS);
                change(wanted, &mut vardiff, &mut difficulty, now);
                ratios.push(rate / difficulty.work().hashes() / 1000.0 / PER_MS);
            }
        }
        (ratios, credited, rate * seconds as f64)
    }

    #[test]
    fn half_a_terahash_and_five_hundred_reach_the_wanted_rate_within_three_minutes() {
        for (rate, start) in
            [(0.5e12, 1024.0), (500e12, 1024.0), (0.5e12, 1.0), (500e12, 1.0), (500e12, 1e9)]
        {
            let runs = 200;
            let late = (0..runs)
                .filter(|seed| {
                    let (ratios, ..) = run(rate, start, 200, *seed);
                    ratios[180..].iter().any(|ratio| !(0.45..=2.2).contains(ratio))
                })
                .count();
            assert!(
                100 * late <= 3 * runs as usize,
                "{rate} H/s from {start}: {late} of {runs} late"
            );
        }
    }

    #[test]
    fn a_processor_that_hashes_five_megahashes_gets_there_from_an_asics_difficulty() {
        let (ratios, ..) = run(5e6, 1024.0, 200, 7);
        assert!((0.45..=2.2).contains(&ratios[180]), "{}", ratios[180]);
    }

    #[test]
    fn credited_work_is_the_work_done_for_small_and_large_machines() {
        for rate in [0.5e12, 500e12, 3.3e12] {
            let (credited, done) = (0..40)
                .map(|seed| run(rate, 1024.0, 3600, seed))
                .fold((0.0, 0.0), |sum, (_, credited, done)| (sum.0 + credited, sum.1 + done));
            // 40 hours of about 1200 shares: 0.5 % standard deviation; a rounding loss would be 20 %.
            assert!((credited / done - 1.0).abs() < 0.02, "{rate}: {}", credited / done);
        }
    }

    #[test]
    fn a_settled_machine_is_left_alone() {
        let changes: usize = (0..50)
            .map(|seed| {
                let (ratios, ..) = run(1e12, 512.0, 3600, seed);
                ratios[200..].windows(2).filter(|pair| pair[0] != pair[1]).count()
            })
            .sum();
        assert!(changes <= 100, "{changes} changes in 50 hours");
    }

    #[test]
    fn silence_lowers_the_difficulty_and_a_burst_within_a_millisecond_raises_it_finitely() {
        let mut vardiff = Vardiff::new(0);
        let start = Difficulty::new(1024.0).unwrap();
        assert_eq!(vardiff.tick(11_000, start, PER_MS), None);
        assert_eq!(vardiff.tick(12_000, start, PER_MS).unwrap().get(), 64.0);
        let mut vardiff = Vardiff::new(0);
        let raised = (0..8).find_map(|_| vardiff.share(0, start, PER_MS)).unwrap();
        assert_eq!(raised.get(), 1024.0 * 8.0 / PER_MS);
    }
}
