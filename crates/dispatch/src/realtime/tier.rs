//! Segments of many loads in merit order: the next watts to take and the next to give up, in constant
//! time each. Loads of equal merit take turns. It knows no meter and no target.
//!
//! ```text
//!  best  ┌ on ▣▣▣▣   off ▢▢ ┐   take:  the first ▢ of the best bucket that fits
//!        ├ on ▣▣     off ▢▢▢┤   give:  the first ▣ of the worst bucket, on for longest
//!  worst └ on        off ▢▢▢┘
//! ```

use std::collections::VecDeque;

/// A step of one load from one corner of its hull to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Segment {
    /// Which load.
    pub unit: u32,
    /// Which corner it ends at; 1 for the first step up.
    pub corner: u16,
    /// Watts gained.
    pub watts: f32,
}

#[derive(Debug, Default)]
struct Bucket {
    /// Dollars per kilowatt-hour of its segments.
    merit: f64,
    on: VecDeque<Segment>,
    off: VecDeque<Segment>,
    watts: f64,
}

/// Segments by merit, best first.
#[derive(Debug, Default)]
pub(super) struct Tier {
    buckets: Vec<Bucket>,
}

/// Merits closer than this share of each other are one bucket: they take turns.
const RESOLUTION: f64 = 1.0 / 256.0;

/// Segments looked at in vain per call, beyond which the rest waits for the next second.
const PATIENCE: usize = 4096;

fn key(merit: f64) -> i64 {
    let scaled = merit.abs().max(1e-6).ln() / RESOLUTION;
    // Positive merits rise with the key, negative ones fall.
    let size = scaled as i64 + 4_000;
    if merit >= 0.0 { size } else { -size }
}

impl Tier {
    /// From each load's segments with their merit, and whether they are taken now.
    pub(super) fn build(segments: impl Iterator<Item = (Segment, f64, bool)>) -> Self {
        let mut by_key = std::collections::BTreeMap::<i64, Bucket>::new();
        for (segment, merit, on) in segments {
            let bucket = by_key.entry(key(merit)).or_default();
            bucket.merit = merit;
            bucket.watts += f64::from(segment.watts);
            if on { bucket.on.push_back(segment) } else { bucket.off.push_back(segment) }
        }
        Self { buckets: by_key.into_values().rev().collect() }
    }

    /// Merit and watts of each bucket, best first.
    pub(super) fn merits(&self) -> impl Iterator<Item = (f64, f64)> {
        self.buckets.iter().map(|bucket| (bucket.merit, bucket.watts))
    }

    /// Watts of segments that earn more than this: those that run are given `band` grace, those that do
    /// not must earn `band` more.
    pub(super) fn worth(&self, price: f64, band: f64) -> f64 {
        let sum = |queue: &VecDeque<Segment>| -> f64 {
            queue.iter().map(|segment| f64::from(segment.watts)).sum()
        };
        self.buckets
            .iter()
            .map(|bucket| match bucket.merit {
                merit if merit > price + band => bucket.watts,
                merit if merit > price - band => sum(&bucket.on),
                _ => 0.0,
            })
            .sum()
    }

    /// Takes segments, best first, until about `watts` are gained: the last one if at least half of it
    /// fits, or all of it where `within`. `take` says whether this load can make that step now, and
    /// makes it.
    pub(super) fn raise(
        &mut self,
        mut watts: f64,
        within: bool,
        mut take: impl FnMut(Segment) -> bool,
    ) -> f64 {
        let mut gained = 0.0;
        let mut patience = PATIENCE;
        for bucket in &mut self.buckets {
            let mut left = bucket.off.len();
            while left > 0 && patience > 0 {
                left -= 1;
                let Some(segment) = bucket.off.pop_front() else { break };
                let size = f64::from(segment.watts);
                let fits = if within { size <= watts + 1e-9 } else { size <= watts * 2.0 };
                if fits && take(segment) {
                    bucket.on.push_back(segment);
                    (watts, gained) = (watts - size, gained + size);
                } else {
                    bucket.off.push_back(segment);
                    patience -= 1;
                }
                if watts <= 0.0 {
                    return gained;
                }
            }
        }
        gained
    }

    /// Gives segments up, worst first, until about `watts` are gone: the last one if at least half of it
    /// is wanted, or in any case where `at_least`.
    pub(super) fn lower(
        &mut self,
        mut watts: f64,
        at_least: bool,
        mut give: impl FnMut(Segment) -> bool,
    ) -> f64 {
        let mut lost = 0.0;
        let mut patience = PATIENCE;
        for bucket in self.buckets.iter_mut().rev() {
            let mut left = bucket.on.len();
            while left > 0 && patience > 0 {
                left -= 1;
                let Some(segment) = bucket.on.pop_front() else { break };
                let size = f64::from(segment.watts);
                let fits = at_least || size <= watts * 2.0;
                if fits && give(segment) {
                    bucket.off.push_back(segment);
                    (watts, lost) = (watts - size, lost + size);
                } else {
                    bucket.on.push_back(segment);
                    patience -= 1;
                }
                if watts <= 0.0 {
                    return lost;
                }
            }
        }
        lost
    }

    /// Exchanges the worst that runs for the best that does not, as long as that earns `band` more, at
    /// most `times`.
    pub(super) fn exchange(
        &mut self,
        band: f64,
        times: usize,
        mut step: impl FnMut(Segment, bool) -> bool,
    ) {
        for _ in 0..times {
            let best = self.buckets.iter().position(|bucket| !bucket.off.is_empty());
            let worst = self.buckets.iter().rposition(|bucket| !bucket.on.is_empty());
            let (Some(best), Some(worst)) = (best, worst) else { return };
            if best >= worst || self.buckets[best].merit <= self.buckets[worst].merit + band {
                return;
            }
            let Some(up) = self.buckets[best].off.pop_front() else { return };
            if !step(up, true) {
                self.buckets[best].off.push_back(up);
                return;
            }
            self.buckets[best].on.push_back(up);
            let mut owed = f64::from(up.watts);
            while owed > 0.0 {
                let Some(down) = self.buckets[worst].on.pop_front() else { return };
                if f64::from(down.watts) > owed * 2.0 || !step(down, false) {
                    self.buckets[worst].on.push_back(down);
                    return;
                }
                self.buckets[worst].off.push_back(down);
                owed -= f64::from(down.watts);
            }
        }
    }
}
