//! Segments of many loads in merit order: the next watts to take and the next to give up, in constant
//! time each. Loads of equal merit take turns; one that cannot move now is put aside until it can. It knows
//! no meter and no target.
//!
//! ```text
//!  best  ┌ on ▣▣▣▣   off ▢▢ ┐   take:  the first ▢ of the best bucket that fits
//!        ├ on ▣▣     off ▢▢▢┤   give:  the first ▣ of the worst bucket, on for longest
//!  worst └ on        off ▢▢▢┘   aside: ▢ may not start before 12:04, ▣ does not answer
//! ```

use std::collections::{BTreeMap, VecDeque};

/// A step of one load from one corner of its hull to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Segment {
    /// Which load.
    pub unit: u32,
    /// Which corner it ends at; 1 for the first step up.
    pub corner: u16,
    /// Watts at the corner where it begins.
    pub low: f32,
    /// Watts gained.
    pub watts: f32,
}

/// A segment with what it earns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Offer {
    pub segment: Segment,
    /// Dollars per kilowatt-hour.
    pub merit: f64,
    /// Dollars per kilowatt-hour that it must earn beyond that to be worth its start.
    pub start: f64,
    /// It starts or stops its load, which then may not be stopped or started for a while.
    pub locks: bool,
    /// It is taken now.
    pub on: bool,
}

/// What became of a step of one load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Went {
    /// It was told, and should draw this much more (less, if negative) once there.
    By(f64),
    /// It cannot before this tick.
    Later(u32),
    /// Another step of the same load comes first.
    OutOfTurn,
}

/// What can make steps.
pub(super) trait Steps {
    /// Has what these segments' loads are kept by brought near, all at once.
    fn fetch(&self, segments: impl Iterator<Item = Segment>);

    /// Why a step cannot be made now; `None` if it can.
    fn later(&self, segment: Segment, up: bool) -> Option<Went>;

    /// Makes a step if it can be made now.
    fn go(&mut self, segment: Segment, up: bool) -> Went;
}

/// How many watts are to be gained or lost by whole segments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Want {
    /// This many.
    pub watts: f64,
    /// Never more than this.
    pub most: f64,
    /// Rather too many than too few; else the last segment counts only if half of it is wanted.
    pub all: bool,
    /// Not by starts and stops of loads that then must stay as they are for a while.
    pub lightly: bool,
}

impl Want {
    fn fits(&self, size: f64, done: f64) -> bool {
        let asked = self.watts - done;
        asked > 0.0 && size <= self.most - done + 1e-3 && (self.all || size <= asked * 2.0)
    }
}

#[derive(Debug, Default)]
struct Bucket {
    /// Dollars per kilowatt-hour of its segments, and to be earned beyond it for a start.
    merit: f64,
    start: f64,
    locks: bool,
    on: VecDeque<Segment>,
    off: VecDeque<Segment>,
    /// Of all segments, and of those that are on, also those put aside.
    watts: f64,
    on_watts: Parts,
}

/// Watts in whole parts, so that what comes and goes adds up to nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts(i64);

impl Parts {
    pub(super) fn add(&mut self, watts: f32) {
        self.0 += Self::of(watts);
    }

    pub(super) fn remove(&mut self, watts: f32) {
        self.0 -= Self::of(watts);
    }

    pub(super) fn get(self) -> f64 {
        self.0 as f64 / 1024.0
    }

    fn of(watts: f32) -> i64 {
        (f64::from(watts) * 1024.0) as i64
    }
}

/// Segments by merit, best first.
#[derive(Debug, Default)]
pub(super) struct Tier {
    buckets: Vec<Bucket>,
    /// Segments that cannot move before a tick: the bucket, whether it is on, and which.
    aside: BTreeMap<u32, Vec<(u32, bool, Segment)>>,
    /// Watts put aside: of those that are on, and of those that are off.
    stuck: (Parts, Parts),
}

/// Merits closer than this share of each other are one bucket: they take turns.
const RESOLUTION: f64 = 1.0 / 256.0;

/// Segments that neither fit nor have their turn, beyond which the rest waits for the next second.
const PATIENCE: usize = 1024;
/// So many more such segments are passed for each that moves: steps of one load may lie in one bucket.
const REWARD: usize = 4;
/// Loads lie in memory in any order: waiting for so many at once costs little more than for one.
const AHEAD: usize = 32;

fn key(merit: f64) -> i64 {
    let scaled = merit.abs().max(1e-6).ln() / RESOLUTION;
    // Positive merits rise with the key, negative ones fall.
    let size = scaled as i64 + 4_000;
    if merit >= 0.0 { size } else { -size }
}

impl Tier {
    /// From each load's segments.
    pub(super) fn build(offers: impl Iterator<Item = Offer>) -> Self {
        let mut by_key = BTreeMap::<(i64, i64, bool), Bucket>::new();
        for Offer { segment, merit, start, locks, on } in offers {
            let bucket = by_key.entry((key(merit), -key(start), locks)).or_default();
            (bucket.merit, bucket.start, bucket.locks) = (merit, start, locks);
            bucket.watts += f64::from(segment.watts);
            if on {
                bucket.on_watts.add(segment.watts);
                bucket.on.push_back(segment);
            } else {
                bucket.off.push_back(segment);
            }
        }
        Self { buckets: by_key.into_values().rev().collect(), ..Self::default() }
    }

    /// Loads in the order in which it is their turn, within each bucket.
    pub(super) fn turns(&self) -> impl Iterator<Item = u32> {
        let aside = self.aside.values().flatten().map(|(_, _, segment)| segment.unit);
        let segments = self.buckets.iter().flat_map(|bucket| bucket.on.iter().chain(&bucket.off));
        aside.chain(segments.map(|segment| segment.unit))
    }

    /// Merit and watts of each bucket, best first.
    pub(super) fn merits(&self) -> impl Iterator<Item = (f64, f64)> {
        self.buckets.iter().map(|bucket| (bucket.merit, bucket.watts))
    }

    /// Watts of segments that earn more than this: those that run are given `band` grace, those that do
    /// not must earn `band` and their start more.
    pub(super) fn worth(&self, price: f64, band: f64) -> f64 {
        self.buckets
            .iter()
            .map(|bucket| match bucket.merit {
                merit if merit > price + band + bucket.start => bucket.watts,
                merit if merit > price - band => bucket.on_watts.get(),
                _ => 0.0,
            })
            .sum()
    }

    /// Watts that could be given up and watts that could be taken, by their nominal power, less what could
    /// not when it was last wanted.
    pub(super) fn free(&self) -> (f64, f64) {
        let on: f64 = self.buckets.iter().map(|bucket| bucket.on_watts.get()).sum();
        let all: f64 = self.buckets.iter().map(|bucket| bucket.watts).sum();
        (on - self.stuck.0.get(), all - on - self.stuck.1.get())
    }

    /// Segments whose time has come are the next in their buckets.
    pub(super) fn wake(&mut self, now: u32) {
        while let Some(due) = self.aside.first_entry().filter(|due| *due.key() <= now) {
            for (bucket, on, segment) in due.remove() {
                let bucket = &mut self.buckets[bucket as usize];
                if on {
                    self.stuck.0.remove(segment.watts);
                    bucket.on.push_front(segment);
                } else {
                    self.stuck.1.remove(segment.watts);
                    bucket.off.push_front(segment);
                }
            }
        }
    }

    /// Takes segments, best first. Gives the watts gained.
    pub(super) fn raise(&mut self, want: Want, steps: &mut impl Steps) -> f64 {
        let (mut gained, mut patience) = (0.0, PATIENCE);
        for at in 0..self.buckets.len() {
            if gained >= want.watts || patience == 0 {
                break;
            }
            self.shift(at, want, true, (&mut gained, &mut patience), steps);
        }
        gained
    }

    /// Gives segments up, worst first. Gives the watts lost.
    pub(super) fn lower(&mut self, want: Want, steps: &mut impl Steps) -> f64 {
        let (mut lost, mut patience) = (0.0, PATIENCE);
        for at in (0..self.buckets.len()).rev() {
            if lost >= want.watts || patience == 0 {
                break;
            }
            self.shift(at, want, false, (&mut lost, &mut patience), steps);
        }
        lost
    }

    fn shift(
        &mut self,
        at: usize,
        want: Want,
        up: bool,
        (done, patience): (&mut f64, &mut usize),
        steps: &mut impl Steps,
    ) {
        let bucket = &mut self.buckets[at];
        if want.lightly && bucket.locks {
            return;
        }
        let (here, there) = match up {
            true => (&mut bucket.off, &mut bucket.on),
            false => (&mut bucket.on, &mut bucket.off),
        };
        let (mut left, mut passed) = (here.len(), 0_usize);
        while left > 0 && *patience > 0 && *done < want.watts {
            if passed.is_multiple_of(AHEAD)
                && here.front().is_some_and(|one| f64::from(one.watts) < want.watts - *done)
            {
                steps.fetch(here.iter().take(AHEAD).copied());
            }
            passed += 1;
            left -= 1;
            let Some(segment) = here.pop_front() else { return };
            let went = match want.fits(f64::from(segment.watts), *done) {
                true => steps.go(segment, up),
                false => Went::OutOfTurn,
            };
            match went {
                Went::By(change) => {
                    *done += change.abs();
                    *patience = (*patience + REWARD).min(PATIENCE);
                    there.push_back(segment);
                    if up {
                        bucket.on_watts.add(segment.watts);
                    } else {
                        bucket.on_watts.remove(segment.watts);
                    }
                }
                Went::Later(tick) => {
                    let stuck = if up { &mut self.stuck.1 } else { &mut self.stuck.0 };
                    stuck.add(segment.watts);
                    self.aside.entry(tick).or_default().push((at as u32, !up, segment));
                }
                Went::OutOfTurn => {
                    here.push_back(segment);
                    *patience -= 1;
                }
            }
        }
    }

    /// Exchanges the worst that runs for the best that does not, as long as that earns `band` and its start
    /// more, until `watts` have changed places. All together then draw at most `up` more, or `down` less.
    pub(super) fn exchange(
        &mut self,
        band: f64,
        mut watts: f64,
        (mut up, mut down): (f64, f64),
        steps: &mut impl Steps,
    ) {
        let mut patience = PATIENCE;
        let (mut best, mut last) = (0, self.buckets.len());
        while watts > 0.0 && patience > 0 && best + 1 < last {
            let (top, bottom) = (&self.buckets[best], &self.buckets[last - 1]);
            let least = bottom.merit + band;
            if bottom.on.is_empty() {
                last -= 1;
            } else if top.merit <= least {
                return;
            } else if top.off.is_empty()
                || top.merit - top.start <= least
                || !self.ready(best, true, &mut patience, steps)
            {
                best += 1;
            } else if !self.ready(last - 1, false, &mut patience, steps) {
                last -= 1;
            } else {
                let one = self.buckets[best].off.front().map_or(0.0, |one| f64::from(one.watts));
                let (gained, lost) =
                    self.swap(one, best..last, band, (up, down), &mut patience, steps);
                (up, down) = (up + lost - gained, down + gained - lost);
                watts -= gained;
                patience = patience.saturating_sub(1);
                if gained == 0.0 {
                    best += 1;
                }
            }
        }
    }

    /// Makes room for the next segment of the first of these buckets in those that earn `band` and its
    /// start less, from the last on, and takes it. Gives the watts gained and lost. Where that much cannot
    /// be made nothing is taken, lest what was taken had to be given back.
    fn swap(
        &mut self,
        one: f64,
        among: std::ops::Range<usize>,
        band: f64,
        (up, down): (f64, f64),
        patience: &mut usize,
        steps: &mut impl Steps,
    ) -> (f64, f64) {
        let top = &self.buckets[among.start];
        let most = top.merit - top.start - band;
        // Half of it may be lacking, as where single segments are taken.
        let need = one - up.clamp(0.0, one / 2.0);
        let (mut first, mut on) = (among.end, -self.stuck.0.get());
        while on < need {
            first -= 1;
            let bucket = &self.buckets[first];
            if first == among.start || bucket.merit >= most {
                return (0.0, 0.0);
            }
            on += bucket.on_watts.get();
        }
        let mut lost = 0.0;
        for (watts, all) in [(one, false), (need, true)] {
            let want = Want { watts, most: one + down.max(0.0), all, lightly: false };
            for at in (first..among.end).rev() {
                if lost >= watts || *patience == 0 {
                    break;
                }
                self.shift(at, want, false, (&mut lost, patience), steps);
            }
        }
        let mut gained = 0.0;
        if lost >= need {
            let want = Want { watts: 1e-3, most: lost + up, all: true, lightly: false };
            self.shift(among.start, want, true, (&mut gained, patience), steps);
        }
        (gained, lost)
    }

    /// Puts those aside that cannot move now, until one that can is next; false if none is.
    fn ready(&mut self, at: usize, up: bool, patience: &mut usize, steps: &impl Steps) -> bool {
        let bucket = &mut self.buckets[at];
        let here = if up { &mut bucket.off } else { &mut bucket.on };
        for _ in 0..here.len().min(*patience) {
            *patience -= 1;
            let Some(segment) = here.front().copied() else { return false };
            match steps.later(segment, up) {
                None => {
                    *patience += 1;
                    return true;
                }
                Some(Went::Later(tick)) => {
                    here.pop_front();
                    let stuck = if up { &mut self.stuck.1 } else { &mut self.stuck.0 };
                    stuck.add(segment.watts);
                    self.aside.entry(tick).or_default().push((at as u32, !up, segment));
                }
                Some(_) => here.rotate_left(1),
            }
        }
        false
    }
}
