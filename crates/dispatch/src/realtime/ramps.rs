//! What many loads on straight ramps have yet to do, as one sum that costs the same for ten loads as for a
//! million. Whole numbers, so that taking out what was put in leaves exactly nothing. It knows no load.
//!
//! ```text
//!  what is left of one      Σ slope·(end − t) over all ends after t: the ramps are kept by the tick in
//!  ramp: slope·(end − t)    which they end, so only those ticks between two questions are looked at
//! ```

use std::collections::VecDeque;

/// Ticks a second.
pub(super) const TICKS: u32 = 16;
/// A ramp longer than this, one hour, is taken for one of an hour.
pub(super) const LONGEST: u32 = 3600 * TICKS;

/// Parts of a watt per tick in which slopes are counted.
const PARTS: f64 = 65_536.0;

/// Slopes of ramps that end in one tick.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct End {
    slope: i64,
    steep: i64,
}

impl End {
    fn add(&mut self, more: Self) {
        self.slope += more.slope;
        self.steep += more.steep;
    }
}

/// Ramps put in and taken out, by the tick in which they end; their sum is not kept.
#[derive(Debug, Default, Clone)]
pub(super) struct Ends {
    /// Tick of the first entry.
    first: u32,
    ends: VecDeque<End>,
}

impl Ends {
    /// Puts in (1) or takes out (-1) a ramp of `slope` watts a tick. Gives what that changes, and at which entry.
    pub(super) fn count(&mut self, slope: f32, end: u32, sign: i64) -> Option<(usize, End)> {
        if slope == 0.0 || end <= self.first {
            return None;
        }
        let parts = (f64::from(slope) * PARTS) as i64;
        let more = End { slope: sign * parts, steep: sign * parts.abs() };
        let at = (end - self.first) as usize;
        self.put(at, more);
        Some((at, more))
    }

    fn put(&mut self, at: usize, more: End) {
        if at >= self.ends.len() {
            self.ends.resize(at + 1, End::default());
        }
        self.ends[at].add(more);
    }
}

/// A sum of ramps.
#[derive(Debug, Default)]
pub(super) struct Ramps {
    list: Ends,
    /// Sum of all entries, and of each times its distance from the first.
    all: End,
    moment: i128,
    steep_moment: i128,
}

impl Ramps {
    /// Puts in a ramp of `slope` watts a tick.
    pub(super) fn add(&mut self, slope: f32, end: u32) {
        let more = self.list.count(slope, end, 1);
        self.sum_up(more);
    }

    /// Takes out what was put in.
    pub(super) fn remove(&mut self, slope: f32, end: u32) {
        let less = self.list.count(slope, end, -1);
        self.sum_up(less);
    }

    fn sum_up(&mut self, more: Option<(usize, End)>) {
        let Some((at, more)) = more else { return };
        self.all.add(more);
        self.moment += i128::from(more.slope) * at as i128;
        self.steep_moment += i128::from(more.steep) * at as i128;
    }

    /// An empty list of ramps to put in and to take out.
    pub(super) fn beside(&self) -> Ends {
        Ends { first: self.list.first, ends: VecDeque::new() }
    }

    /// Puts in and takes out what a list says.
    pub(super) fn merge(&mut self, list: &Ends) {
        debug_assert_eq!(self.list.first, list.first);
        for (at, end) in list.ends.iter().enumerate().filter(|(_, end)| **end != End::default()) {
            self.list.put(at, *end);
            self.sum_up(Some((at, *end)));
        }
    }

    /// Forgets those that ended before this tick; nothing earlier may be asked from now on.
    pub(super) fn forget(&mut self, before: u32) {
        while self.list.first < before {
            let Some(gone) = self.list.ends.pop_front() else {
                self.list.first = before;
                return;
            };
            // What is in the first entry has distance zero; all others come nearer by one.
            self.all.slope -= gone.slope;
            self.all.steep -= gone.steep;
            self.moment -= i128::from(self.all.slope);
            self.steep_moment -= i128::from(self.all.steep);
            self.list.first += 1;
        }
    }

    /// Watts that are still to be gained after this tick: of all ramps, and of all without their signs.
    pub(super) fn left(&self, tick: f64) -> (f64, f64) {
        let passed = (tick - f64::from(self.list.first)).max(0.0);
        let mut slope = self.moment as f64 - self.all.slope as f64 * passed;
        let mut steep = self.steep_moment as f64 - self.all.steep as f64 * passed;
        let over = (passed as usize + 1).min(self.list.ends.len());
        for (at, end) in self.list.ends.iter().take(over).enumerate() {
            let since = passed - at as f64;
            slope += end.slope as f64 * since;
            steep += end.steep as f64 * since;
        }
        (slope / PARTS, steep / PARTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_single_ramps_at_every_tick(
            ramps in prop::collection::vec((-50.0_f32..50.0, 1_u32..3000, 0_u32..200), 1..40),
        ) {
            let mut sum = Ramps::default();
            let mut kept: Vec<(f32, u32)> = Vec::new();
            let mut now = 0;
            for (at, (slope, length, wait)) in ramps.into_iter().enumerate() {
                now += wait;
                sum.forget(now.saturating_sub(160));
                sum.add(slope, now + length);
                kept.push((slope, now + length));
                if at % 3 == 2 {
                    let (slope, end) = kept.swap_remove(0);
                    sum.remove(slope, end);
                }
                for later in [0.0, 0.5, 40.0, 4000.0] {
                    let tick = f64::from(now) + later;
                    let one = |(slope, end): &(f32, u32)| {
                        let parts = (f64::from(*slope) * PARTS).trunc() / PARTS;
                        parts * (f64::from(*end) - tick).max(0.0)
                    };
                    let left: f64 = kept.iter().map(one).sum();
                    let steep: f64 = kept.iter().map(|ramp| one(ramp).abs()).sum();
                    let (is, bare) = sum.left(tick);
                    prop_assert!((is - left).abs() < 1e-3, "{is} {left}");
                    prop_assert!((bare - steep).abs() < 1e-3, "{bare} {steep}");
                }
            }
        }
    }

    #[test]
    fn what_is_taken_out_leaves_exactly_nothing() {
        let mut sum = Ramps::default();
        for slope in [0.1_f32, -3.7, 1e4, 0.000_03] {
            sum.add(slope, 500);
        }
        for slope in [1e4_f32, 0.1, 0.000_03, -3.7] {
            sum.remove(slope, 500);
        }
        assert_eq!(sum.left(3.0), (0.0, 0.0));
    }
}
