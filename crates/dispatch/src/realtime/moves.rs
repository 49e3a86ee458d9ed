//! Moves of one moment: single steps of single loads, and one pass over all loads in which each makes all of its
//! steps that are wanted in any case. Keeps the list of what was told. It knows no merit but the places of steps in
//! its order, and no target.

use super::{
    Move,
    fleet::{Changes, Corner, Fleet, Next, UNORDERED},
    ramps::TICKS,
    steps::{Pass, Segment, Steps, Went},
    unit::{Kind, Unit},
};
use crate::load::LoadState;
use std::num::NonZero;
use units::Moment;

/// A load that does not answer, or may not run, is asked again after this time.
const RETRY: u32 = 5 * TICKS;
/// Steps by single loads cost so many times what a look at a load in passing costs.
const DEARER: usize = 32;
/// So few steps are made one by one in any case: where loads are few, each step decides anew what still fits.
const FEW: usize = 256;
/// Each thread gets so many loads at least.
const SHARED: usize = 50_000;
/// Threads at most.
const MOST: usize = 4;
/// So many loads are looked at together.
const BLOCK: usize = 256;

/// Makes moves of one moment and keeps their list.
pub(super) struct Moves<'a> {
    fleet: &'a mut Fleet,
    states: &'a [LoadState],
    clock: Clock,
    /// Loads and their levels; later ones count.
    told: Vec<(u32, u16)>,
}

#[derive(Debug, Clone, Copy)]
struct Clock {
    now: u32,
    /// The present moment in whole ticks, none of which is yet to come.
    from: u32,
}

impl<'a> Moves<'a> {
    pub(super) fn new(fleet: &'a mut Fleet, states: &'a [LoadState], now: Moment) -> Self {
        let ticks = fleet.ticks(now);
        let clock = Clock { now: ticks as u32, from: ticks.ceil() as u32 };
        Self { fleet, states, clock, told: Vec::new() }
    }

    pub(super) fn fleet(&self) -> &Fleet {
        self.fleet
    }

    /// Which loads moved, and to which level.
    pub(super) fn done(self) -> Vec<Move> {
        let mut seen = vec![0_u64; self.fleet.len().div_ceil(64)];
        let mut moves = Vec::with_capacity(self.told.len().min(self.fleet.len()));
        for (load, level) in self.told.into_iter().rev() {
            let (word, bit) = (&mut seen[load as usize / 64], 1 << (load % 64));
            if *word & bit == 0 {
                moves.push(Move { load: load as usize, level: usize::from(level) });
            }
            *word |= bit;
        }
        moves
    }
}

impl Steps for Moves<'_> {
    fn later(&self, segment: Segment, up: bool) -> Option<Went> {
        let at = segment.unit as usize;
        let (Some(unit), Some(state)) = (self.fleet.units.get(at), self.states.get(at)) else {
            return Some(Went::Later(self.clock.now + RETRY));
        };
        let (from, to) = ends(segment, up);
        let free = free(unit, state, self.clock, up, to);
        if self.clock.now < free {
            return Some(Went::Later(free));
        }
        (unit.told != from).then_some(Went::OutOfTurn)
    }

    fn go(&mut self, segment: Segment, up: bool) -> Went {
        if let Some(why) = self.later(segment, up) {
            return why;
        }
        let at = segment.unit as usize;
        let corner = self.fleet.firsts[at] as usize;
        let unit = &mut self.fleet.units[at];
        let before = *unit;
        let (_, to) = ends(segment, up);
        let (low, high) = (segment.low, segment.low + segment.watts);
        let (was, is) = if up { (low, high) } else { (high, low) };
        let kind = self.fleet.kinds[unit.kind as usize];
        unit.go((self.clock.now, self.clock.from), kind, to, was, is);
        let end = self.fleet.firsts[at + 1] as usize;
        let next = &mut self.fleet.next[at];
        if next.up != UNORDERED {
            *next = Next::at(&self.fleet.corners[corner..end], to);
        }
        self.told.push((segment.unit, self.fleet.corners[corner + usize::from(to)].level));
        let after = *unit;
        let sum = if after.fast { &mut self.fleet.fast } else { &mut self.fleet.slow };
        sum.remove(&before);
        sum.add(&after);
        Went::By(f64::from(after.target) - f64::from(before.target))
    }

    fn on(&self, segment: Segment) -> bool {
        self.fleet.units.get(segment.unit as usize).is_some_and(|unit| unit.told >= segment.corner)
    }

    fn beyond(&self) -> f64 {
        f64::from(self.fleet.beyond)
    }

    fn many(&self) -> usize {
        // Without a state for each, loads are better asked one by one.
        let all = self.states.len() >= self.fleet.len();
        if all { (self.fleet.len() / DEARER).max(FEW) } else { usize::MAX }
    }

    fn pass(&mut self, pass: &Pass<'_>) -> (f64, Rest) {
        let clock = self.clock;
        let loads = self.fleet.len();
        let threads = match loads / SHARED {
            0 | 1 => 1,
            parts => {
                std::thread::available_parallelism().map_or(1, usize::from).min(parts).min(MOST)
            }
        };
        // Parts of whole words of places.
        let part = loads.div_ceil(threads).next_multiple_of(64).max(64);
        let fleet = &mut *self.fleet;
        let sum = if pass.fast { &mut fleet.fast } else { &mut fleet.slow };
        let changes = sum.beside();
        let tables = Tables { kinds: &fleet.kinds, corners: &fleet.corners, firsts: &fleet.firsts };
        let units = fleet.units.chunks_mut(part).zip(fleet.next.chunks_mut(part));
        let parts = units.zip(self.states.chunks(part)).enumerate();
        let results: Vec<Passed> = std::thread::scope(|scope| {
            type Part<'a> = (usize, ((&'a mut [Unit], &'a mut [Next]), &'a [LoadState]));
            let work = |(at, (units, states)): Part<'_>| {
                walk(pass, clock, at * part, units, states, tables, changes.clone())
            };
            let mut parts: Vec<_> = parts.collect();
            let last = parts.pop();
            let others: Vec<_> =
                parts.into_iter().map(|part| scope.spawn(move || work(part))).collect();
            let last = last.map(work);
            let others = others.into_iter().map(|one| match one.join() {
                Ok(passed) => passed,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            others.chain(last).collect()
        });
        let (mut watts, mut rest) = (0.0, Rest::default());
        for one in results {
            watts += one.watts;
            rest.append(one.rest);
            self.told.extend(one.told);
            sum.merge(&one.changes);
        }
        rest.count();
        (watts, rest)
    }
}

/// What all loads are looked up in.
#[derive(Clone, Copy)]
struct Tables<'a> {
    kinds: &'a [Kind],
    corners: &'a [Corner],
    firsts: &'a [u32],
}

/// What came of a pass over some loads.
struct Passed {
    watts: f64,
    told: Vec<(u32, u16)>,
    rest: Rest,
    changes: Changes,
}

/// Moves loads from the `first` on by all wanted steps.
fn walk(
    pass: &Pass<'_>,
    clock: Clock,
    first: usize,
    (units, next): (&mut [Unit], &mut [Next]),
    states: &[LoadState],
    tables: Tables<'_>,
    changes: Changes,
) -> Passed {
    let mut passed = Passed { watts: 0.0, told: Vec::new(), rest: Rest::default(), changes };
    passed.rest.loads.resize(units.len().div_ceil(64), 0);
    let count = units.len().min(next.len()).min(states.len());
    let mut picked = [0_u16; BLOCK];
    for block in (0..count).step_by(BLOCK) {
        let picked = pick(pass, &next[block..count.min(block + BLOCK)], &mut picked);
        // Nothing here waits for anything else, so that memory is asked for many loads at once.
        let touch = |at: usize| {
            let corner = tables.firsts[first + at] as usize;
            let level = tables.corners.get(corner).map_or(0, |corner| corner.level);
            units[at].told ^ level ^ u16::from(states[at].answers)
        };
        let touched = picked.iter().fold(0, |all, at| all ^ touch(block + usize::from(*at)));
        std::hint::black_box(touched);
        for at in picked.iter().map(|at| block + usize::from(*at)) {
            let begin = tables.firsts[first + at] as usize;
            let end = tables.firsts[first + at + 1] as usize;
            let corners = &tables.corners[begin..end];
            let (unit, next) = (&mut units[at], &mut next[at]);
            passed.step(pass, clock, at, unit, next, &states[at], corners, tables.kinds);
        }
    }
    for (load, _) in &mut passed.told {
        *load += first as u32;
    }
    passed
}

/// Those among some loads that may have wanted steps, by their places.
fn pick<'a>(pass: &Pass<'_>, next: &[Next], picked: &'a mut [u16; BLOCK]) -> &'a [u16] {
    let (start, all) = (pass.ranks.start, pass.ranks.end - pass.ranks.start);
    let wanted = |rank: u16| (rank.wrapping_sub(start) < all) | (rank == UNORDERED);
    let mut count = 0;
    let mut pick = |at: usize, is: bool| {
        // Without a branch for each load: which of them move cannot be foreseen.
        picked[count] = at as u16;
        count += usize::from(is);
    };
    let next = next.iter().take(BLOCK).enumerate();
    match pass.up {
        true => next.for_each(|(at, next)| pick(at, wanted(next.up))),
        // Where the next step down is not wanted, none of those after it has its turn.
        false if pass.not.is_some() => next.for_each(|(at, next)| {
            pick(at, wanted(next.down) && (next.down == UNORDERED || pass.wants(next.down)));
        }),
        false => next.for_each(|(at, next)| pick(at, wanted(next.down))),
    }
    &picked[..count]
}

impl Passed {
    /// Makes all wanted steps of one load.
    #[expect(clippy::too_many_arguments, reason = "one load, from the lists that its parts are in")]
    #[inline]
    fn step(
        &mut self,
        pass: &Pass<'_>,
        clock: Clock,
        at: usize,
        unit: &mut Unit,
        next: &mut Next,
        state: &LoadState,
        corners: &[Corner],
        kinds: &[Kind],
    ) {
        let ordered = next.up != UNORDERED;
        let told = usize::from(unit.told);
        let (to, out_of_turn) = match ordered && pass.not.is_none() {
            true => (in_order(pass, corners, told), false),
            false => in_turn(pass, corners, told),
        };
        let mut to = to;
        let mut until = 0;
        if to != told {
            let free = free(unit, state, clock, pass.up, to as u16);
            if clock.now < free {
                until = free;
                // Perhaps it may only not be stopped.
                let runs =
                    to == 0 && told > 1 && self::free(unit, state, clock, false, 1) <= clock.now;
                to = if runs { 1 } else { told };
            }
        }
        if out_of_turn || until > 0 || !ordered {
            self.rest.add(at, Left { told: to as u16, until: NonZero::new(until) });
        }
        if to == told {
            return;
        }
        let before = *unit;
        let kind = kinds[unit.kind as usize];
        unit.go((clock.now, clock.from), kind, to as u16, corners[told].watts, corners[to].watts);
        *next = if ordered { Next::at(corners, unit.told) } else { *next };
        self.changes.replace(&before, unit);
        self.watts += (f64::from(unit.target) - f64::from(before.target)).abs();
        self.told.push((at as u32, corners[to].level));
    }
}

/// Where the wanted steps of a load lead whose steps come in the order of their ranks.
fn in_order(pass: &Pass<'_>, corners: &[Corner], told: usize) -> usize {
    let steps = corners.get(1..).unwrap_or_default();
    let before = |rank: u16| steps.iter().map(|step| usize::from(step.rank < rank)).sum::<usize>();
    if pass.up { before(pass.ranks.end).max(told) } else { before(pass.ranks.start).min(told) }
}

/// Where the wanted steps of a load lead, one after the other; and whether others are wanted beyond one that is not.
fn in_turn(pass: &Pass<'_>, corners: &[Corner], told: usize) -> (usize, bool) {
    let wanted = |at: usize| corners.get(at).is_some_and(|corner| pass.wants(corner.rank));
    let mut to = told;
    let left = if pass.up {
        while wanted(to + 1) {
            to += 1;
        }
        corners.get(to + 1..)
    } else {
        while to > 0 && wanted(to) {
            to -= 1;
        }
        corners.get(1..=to)
    };
    (to, left.unwrap_or_default().iter().any(|corner| pass.wants(corner.rank)))
}

/// The tick from which a load may be told something.
fn free(unit: &Unit, state: &LoadState, clock: Clock, up: bool, to: u16) -> u32 {
    match state.answers && (state.enabled || !up) {
        true => unit.free(up, to),
        false => clock.now + RETRY,
    }
}

fn ends(segment: Segment, up: bool) -> (u16, u16) {
    let (low, high) = (segment.corner - 1, segment.corner);
    if up { (low, high) } else { (high, low) }
}

/// A load that could not make all of its wanted steps: where it stands now, and the tick before which it cannot
/// make the others, unless it is only that other steps come before them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub told: u16,
    pub until: Option<NonZero<u32>>,
}

/// Loads that could not make all of their wanted steps.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// A bit for each load,
    loads: Vec<u64>,
    /// for each 64 of them how many lie before,
    before: Vec<u32>,
    /// and those that could not, in their order.
    left: Vec<Left>,
}

impl Rest {
    /// Adds one that comes after all others.
    fn add(&mut self, at: usize, left: Left) {
        if let Some(word) = self.loads.get_mut(at / 64) {
            *word |= 1 << (at % 64);
            self.left.push(left);
        }
    }

    /// Adds those of the next loads.
    fn append(&mut self, mut next: Self) {
        self.loads.append(&mut next.loads);
        self.left.append(&mut next.left);
    }

    /// Once all are there.
    fn count(&mut self) {
        self.before.clear();
        let mut all = 0;
        for word in &self.loads {
            self.before.push(all);
            all += word.count_ones();
        }
    }

    pub(super) fn of(&self, at: usize) -> Option<Left> {
        let word = self.loads.get(at / 64)?;
        let bit = 1_u64 << (at % 64);
        if word & bit == 0 {
            return None;
        }
        let place = self.before.get(at / 64)? + (word & (bit - 1)).count_ones();
        self.left.get(place as usize).copied()
    }
}
