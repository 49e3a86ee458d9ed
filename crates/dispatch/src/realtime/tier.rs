//! Segments of many loads in merit order: the next watts to take and the next to give up, in constant
//! time each. Loads of equal merit take turns; one that cannot move now is put aside until it can. Where many
//! are wanted, buckets that are wanted whole move together, by one pass over the loads. It knows no meter and no
//! target.
//!
//! ```text
//!  best  ┌ on ▣▣▣▣   off ▢▢ ┐   take:  the first ▢ of the best bucket that fits
//!        ├ on ▣▣     off ▢▢▢┤   give:  the first ▣ of the worst bucket, on for longest
//!  worst └ on        off ▢▢▢┘   aside: ▢ may not start before 12:04, ▣ does not answer
//! ```

use super::{
    aside::{Aside, Run},
    fleet::UNRANKED,
    line::{Line, Parts},
    rest::Rests,
    share,
    steps::{Pass, SLOW, Segment, Steps, Went},
};
use std::{collections::BTreeMap, ops::Range};

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
    on: Line,
    off: Line,
    /// Of all segments, and of those that are on, also those put aside.
    watts: f64,
    on_watts: Parts,
}

impl Bucket {
    /// Segments change places after passes that left these over; or go aside.
    fn passed(&mut self, at: usize, up: bool, rests: &Rests, aside: &mut Aside) {
        let (here, there) = match up {
            true => (&mut self.off, &mut self.on),
            false => (&mut self.on, &mut self.off),
        };
        let Line { waiting, mut watts } = std::mem::take(here);
        let mut waiting = Vec::from(waiting);
        waiting.retain(|segment| {
            let unit = segment.unit as usize;
            let Some(left) = rests.of(unit) else { return true };
            if (left.told >= segment.corner) == up {
                return true;
            }
            watts.remove(segment.watts);
            match left.until {
                Some(tick) => aside.put(tick.get(), (at, !up), *segment),
                None => here.push_back(*segment),
            }
            false
        });
        there.watts.merge(watts);
        if there.waiting.is_empty() {
            there.waiting = waiting.into();
        } else {
            there.waiting.extend(waiting);
        }
        match up {
            true => self.on_watts.merge(watts),
            false => self.on_watts.without(watts),
        }
    }
}

/// Segments by merit, best first.
#[derive(Debug, Default)]
pub(super) struct Tier {
    fast: bool,
    buckets: Vec<Bucket>,
    /// Which buckets lock.
    locks: Vec<bool>,
    aside: Aside,
}

/// Merits closer than this share of each other are one bucket: they take turns.
const RESOLUTION: f64 = 1.0 / 256.0;

/// Segments that neither fit nor have their turn, beyond which the rest waits for the next second.
const PATIENCE: usize = 1024;
/// So many more such segments are passed for each that moves: steps of one load may lie in one bucket.
const REWARD: usize = 4;
/// So many passes are made at most: what one leaves over, since loads may be held or their steps come to more than
/// their watts, the next takes from the buckets that follow.
const PASSES: usize = 4;

fn key(merit: f64) -> i64 {
    let scaled = merit.abs().max(1e-6).ln() / RESOLUTION;
    // Positive merits rise with the key, negative ones fall.
    let size = scaled as i64 + 4_000;
    if merit >= 0.0 { size } else { -size }
}

impl Tier {
    /// From each load's segments.
    pub(super) fn build(fast: bool, offers: impl Iterator<Item = Offer>) -> Self {
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
        let buckets: Vec<Bucket> = by_key.into_values().rev().collect();
        let locks = buckets.iter().map(|bucket| bucket.locks).collect();
        Self { fast, buckets, locks, ..Self::default() }
    }

    /// The rank of each segment: by the place of its bucket, best first.
    pub(super) fn ranks(&self) -> impl Iterator<Item = (Segment, u16)> {
        let ranked = self.buckets.len() <= usize::from(SLOW - 1);
        let rank = move |at: usize| if ranked { self.first_rank() + at as u16 } else { UNRANKED };
        let buckets = self.buckets.iter().enumerate();
        buckets.flat_map(move |(at, bucket)| {
            let segments = bucket.on.waiting.iter().chain(&bucket.off.waiting);
            segments.map(move |segment| (*segment, rank(at)))
        })
    }

    fn first_rank(&self) -> u16 {
        if self.fast { 0 } else { SLOW }
    }

    /// Loads in the order in which it is their turn, within each bucket.
    pub(super) fn turns(&self) -> impl Iterator<Item = u32> {
        let waiting = self
            .buckets
            .iter()
            .flat_map(|bucket| bucket.on.waiting.iter().chain(&bucket.off.waiting));
        self.aside.segments().chain(waiting).map(|segment| segment.unit)
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
        let (stuck_on, stuck_off) = self.aside.watts();
        (on - stuck_on, all - on - stuck_off)
    }

    /// Segments whose time has come are the next in their buckets, where they belong by now.
    pub(super) fn wake(&mut self, now: u32, steps: &impl Steps) {
        while let Some(due) = self.aside.due(now) {
            // Loads lie anywhere in memory: all are asked before anything is done about one.
            let parts = due.segments.chunks(share::part(due.segments.len(), due.segments.len()));
            let is_on = share::each(parts, |part| -> Vec<bool> {
                part.iter().map(|one| steps.on(*one)).collect()
            });
            let mut back = due.segments.iter().copied().zip(is_on.into_iter().flatten());
            for Run { bucket, on, count } in due.runs {
                let bucket = &mut self.buckets[bucket as usize];
                for (segment, is_on) in back.by_ref().take(count as usize) {
                    self.aside.back(on, segment);
                    match (on, is_on) {
                        (false, true) => bucket.on_watts.add(segment.watts),
                        (true, false) => bucket.on_watts.remove(segment.watts),
                        _ => {}
                    }
                    let line = if is_on { &mut bucket.on } else { &mut bucket.off };
                    line.push_front(segment);
                }
            }
        }
    }

    /// Takes segments that earn more than `least` a kilowatt-hour, best first. Gives the watts gained.
    pub(super) fn raise(&mut self, want: Want, least: f64, steps: &mut impl Steps) -> f64 {
        let among = self.buckets.partition_point(|bucket| bucket.merit > least);
        let (mut gained, mut patience) = (self.pass(want, true, among, steps), PATIENCE);
        for at in 0..among {
            if gained >= want.watts || patience == 0 {
                break;
            }
            self.shift(at, want, true, (&mut gained, &mut patience), steps);
        }
        gained
    }

    /// Gives segments up, worst first. Gives the watts lost.
    pub(super) fn lower(&mut self, want: Want, steps: &mut impl Steps) -> f64 {
        let among = self.buckets.len();
        let (mut lost, mut patience) = (self.pass(want, false, among, steps), PATIENCE);
        for at in (0..self.buckets.len()).rev() {
            if lost >= want.watts || patience == 0 {
                break;
            }
            self.shift(at, want, false, (&mut lost, &mut patience), steps);
        }
        lost
    }

    /// Moves all segments of the best (worst) buckets that are wanted whole, `among` so many of them, if
    /// they are many. Gives the watts gained (lost).
    fn pass(&mut self, want: Want, up: bool, among: usize, steps: &mut impl Steps) -> f64 {
        let (mut done, most, mut rests) = (0.0, steps.many(), Rests::default());
        // Who has left something in the buckets before these could not help it.
        let mut first = 0;
        for _ in 0..PASSES {
            let sure = (want.watts.min(want.most) - done) / (1.0 + steps.beyond());
            let (mut watts, mut count, mut whole) = (0.0, 0, first);
            let (all, skip) = (self.buckets.len(), |bucket: &Bucket| want.lightly && bucket.locks);
            let place = |at: usize| if up { at } else { all - 1 - at };
            while whole < among {
                let bucket = &self.buckets[place(whole)];
                let here = if up { &bucket.off } else { &bucket.on };
                if !skip(bucket) {
                    watts += here.watts.get();
                    if watts > sure {
                        break;
                    }
                    count += here.waiting.len();
                }
                whole += 1;
            }
            if count <= most || all > usize::from(SLOW - 1) {
                break;
            }
            let places = if up { first..whole } else { all - whole..all - first };
            let rank = |place: usize| self.first_rank() + place as u16;
            let (changed, rest) = steps.pass(&Pass {
                fast: self.fast,
                up,
                count,
                ranks: rank(places.start)..rank(places.end),
                not: want.lightly.then_some(&self.locks),
            });
            done += changed;
            rests.push(rest);
            self.passed(places, want.lightly, up, &rests, count);
            first = whole;
            debug_assert!(self.in_place(steps), "a segment waits where its load does not stand");
        }
        done
    }

    /// Whether each segment that waits is on if its load runs at its upper end, and off if not.
    fn in_place(&self, steps: &impl Steps) -> bool {
        self.buckets.iter().all(|bucket| {
            let mut on = bucket.on.waiting.iter();
            on.all(|one| steps.on(*one)) && !bucket.off.waiting.iter().any(|one| steps.on(*one))
        })
    }

    /// Segments of these buckets, `count` of them, change places after passes that left these over.
    fn passed(
        &mut self,
        places: Range<usize>,
        lightly: bool,
        up: bool,
        rests: &Rests,
        count: usize,
    ) {
        let part = share::part(places.len(), count);
        let parts = self.buckets[places.clone()].chunks_mut(part).enumerate();
        let asides = share::each(parts, |(number, buckets)| {
            let mut aside = Aside::default();
            for (at, bucket) in buckets.iter_mut().enumerate() {
                if !(lightly && bucket.locks) {
                    bucket.passed(places.start + number * part + at, up, rests, &mut aside);
                }
            }
            aside
        });
        asides.into_iter().for_each(|aside| self.aside.append(aside));
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
        let mut left = here.waiting.len();
        while left > 0 && *patience > 0 && *done < want.watts {
            left -= 1;
            let Some(segment) = here.pop() else { return };
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
                    self.aside.put(tick, (at, !up), segment);
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
            if bottom.on.waiting.is_empty() {
                last -= 1;
            } else if top.merit <= least {
                return;
            } else if top.off.waiting.is_empty()
                || top.merit - top.start <= least
                || !self.ready(best, true, &mut patience, steps)
            {
                best += 1;
            } else if !self.ready(last - 1, false, &mut patience, steps) {
                last -= 1;
            } else {
                let one =
                    self.buckets[best].off.waiting.front().map_or(0.0, |one| f64::from(one.watts));
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
    /// be made nothing is given up, lest it had to be taken again.
    fn swap(
        &mut self,
        one: f64,
        among: Range<usize>,
        band: f64,
        (up, down): (f64, f64),
        patience: &mut usize,
        steps: &mut impl Steps,
    ) -> (f64, f64) {
        let top = &self.buckets[among.start];
        let most = top.merit - top.start - band;
        // Half of it may be lacking, as where single segments are taken.
        let need = one - up.clamp(0.0, one / 2.0);
        let (mut first, mut on) = (among.end, -self.aside.watts().0);
        while on < need {
            first -= 1;
            let bucket = &self.buckets[first];
            if first == among.start || bucket.merit >= most {
                return (0.0, 0.0);
            }
            on += bucket.on_watts.get();
        }
        let want = |watts, all| Want { watts, most: one + down.max(0.0), all, lightly: false };
        let wants = [want(one, false), want(need, true)];
        let spare = self.spare(first..among.end, wants, patience, steps);
        let Some(spare) = spare else { return (0.0, 0.0) };
        let lost = spare.into_iter().map(|(at, segment)| self.give(at, segment, steps)).sum();
        let mut gained = 0.0;
        if lost >= need {
            let want = Want { watts: 1e-3, most: lost + up, all: true, lightly: false };
            self.shift(among.start, want, true, (&mut gained, patience), steps);
        }
        (gained, lost)
    }

    /// Which segments of these buckets, from the last on, can be given up now and come to what the last of
    /// these wants asks for, by their nominal watts.
    fn spare(
        &self,
        buckets: Range<usize>,
        wants: [Want; 2],
        patience: &mut usize,
        steps: &impl Steps,
    ) -> Option<Vec<(usize, Segment)>> {
        let (mut spare, mut watts) = (Vec::<(usize, Segment)>::new(), 0.0);
        for want in wants {
            let lines = buckets.clone().rev().map(|at| (at, &self.buckets[at].on.waiting));
            for (at, segment) in lines.flat_map(|(at, line)| line.iter().map(move |one| (at, one)))
            {
                if watts >= want.watts || *patience == 0 {
                    break;
                }
                // A load's steps go from the highest down.
                let last = spare.iter().rfind(|(_, one)| one.unit == segment.unit);
                let turn = match (last, steps.later(*segment, false)) {
                    (None, later) => later.is_none(),
                    (Some((_, last)), Some(Went::OutOfTurn)) => last.corner == segment.corner + 1,
                    _ => false,
                };
                if turn && want.fits(f64::from(segment.watts), watts) {
                    watts += f64::from(segment.watts);
                    spare.push((at, *segment));
                } else {
                    *patience -= 1;
                }
            }
        }
        (watts >= wants[1].watts).then_some(spare)
    }

    /// Gives one segment up, wherever it waits. Gives the watts lost.
    fn give(&mut self, at: usize, segment: Segment, steps: &mut impl Steps) -> f64 {
        let bucket = &mut self.buckets[at];
        if !bucket.on.take(segment) {
            return 0.0;
        }
        match steps.go(segment, false) {
            Went::By(change) => {
                bucket.off.push_back(segment);
                bucket.on_watts.remove(segment.watts);
                change.abs()
            }
            Went::Later(tick) => {
                self.aside.put(tick, (at, true), segment);
                0.0
            }
            Went::OutOfTurn => {
                bucket.on.push_back(segment);
                0.0
            }
        }
    }

    /// Puts those aside that cannot move now, until one that can is next; false if none is.
    fn ready(&mut self, at: usize, up: bool, patience: &mut usize, steps: &impl Steps) -> bool {
        let bucket = &mut self.buckets[at];
        let here = if up { &mut bucket.off } else { &mut bucket.on };
        for _ in 0..here.waiting.len().min(*patience) {
            *patience -= 1;
            let Some(segment) = here.waiting.front().copied() else { return false };
            match steps.later(segment, up) {
                None => {
                    *patience += 1;
                    return true;
                }
                Some(Went::Later(tick)) => {
                    here.pop();
                    self.aside.put(tick, (at, !up), segment);
                }
                Some(_) => here.waiting.rotate_left(1),
            }
        }
        false
    }
}
