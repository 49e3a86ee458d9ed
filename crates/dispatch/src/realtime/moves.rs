//! Moves of one moment: single steps of single loads, and one pass over all loads in which each makes all of its
//! steps that are wanted in any case. Keeps the list of what was told. It knows no merit but the places of steps in
//! its order, and no target.

use super::{
    Move,
    fleet::{Changes, Corner, Fleet, Next, UNORDERED, UNTOLD},
    ramps::TICKS,
    rest::{Left, Rest},
    share,
    steps::{Pass, Segment, Steps, Went},
    unit::{Kind, Unit},
};
use crate::load::LoadState;
use std::num::NonZero;
use units::Moment;

/// A load that does not answer, or may not run, is asked again after this time.
const RETRY: u32 = 5 * TICKS;
/// Steps by single loads cost so many times what a look at a load in passing costs.
const DEARER: usize = 128;
/// So few steps are made one by one in any case: where loads are few, each step decides anew what still fits.
const FEW: usize = 256;
/// So many loads are looked at together.
const BLOCK: usize = 256;

/// Makes moves of one moment and keeps their list.
pub(super) struct Moves<'a> {
    fleet: &'a mut Fleet,
    states: &'a [LoadState],
    clock: Clock,
    /// What each load may do, once a pass has asked for it.
    may: Vec<May>,
    /// How many steps passes were made for.
    passed: usize,
}

#[derive(Debug, Clone, Copy)]
struct Clock {
    now: u32,
    /// The present moment in whole ticks, none of which is yet to come.
    from: u32,
    /// Loads run their least times.
    bound: bool,
}

impl<'a> Moves<'a> {
    pub(super) fn new(fleet: &'a mut Fleet, states: &'a [LoadState], now: Moment) -> Self {
        let ticks = fleet.ticks(now);
        let clock = Clock { now: ticks as u32, from: ticks.ceil() as u32, bound: true };
        Self { fleet, states, clock, may: Vec::new(), passed: 0 }
    }

    /// From now on loads are stopped although they have not run their least time.
    pub(super) fn unbind(&mut self) {
        self.clock.bound = false;
    }

    pub(super) fn fleet(&self) -> &Fleet {
        self.fleet
    }

    /// Which loads moved, and to which level.
    pub(super) fn done(self) -> Vec<Move> {
        let Fleet { news, listed, .. } = self.fleet;
        let (part, passed) = (share::part(news.len(), self.passed), self.passed > 0);
        let parts = news.chunks_mut(part).zip(listed.chunks(part));
        let mut all = share::each(parts, |(news, listed)| {
            let mut moves = Vec::with_capacity(if passed { news.len() } else { 0 });
            for (news, listed) in news.chunks_mut(64).zip(listed.chunks(64)) {
                // Most are not told anything, most of the time.
                if news.iter().fold(UNTOLD, |all, level| all & level) == UNTOLD {
                    continue;
                }
                for (level, load) in news.iter_mut().zip(listed) {
                    if *level != UNTOLD {
                        moves.push(Move { load: *load as usize, level: usize::from(*level) });
                        *level = UNTOLD;
                    }
                }
            }
            moves
        })
        .into_iter();
        let mut moves = all.next().unwrap_or_default();
        all.for_each(|mut more| moves.append(&mut more));
        moves
    }

    /// What the caller knows of a load.
    fn state(&self, at: usize) -> Option<&LoadState> {
        self.states.get(*self.fleet.listed.get(at)? as usize)
    }
}

impl Steps for Moves<'_> {
    fn later(&self, segment: Segment, up: bool) -> Option<Went> {
        let at = segment.unit as usize;
        let (Some(unit), Some(state)) = (self.fleet.units.get(at), self.state(at)) else {
            return Some(Went::Later(self.clock.now + RETRY));
        };
        let (from, to) = ends(segment, up);
        let free = free(unit, May::of(state), self.clock, up, to);
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
        self.fleet.news[at] = self.fleet.corners[corner + usize::from(to)].level;
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
        let fleet = &mut *self.fleet;
        self.may.resize(fleet.len(), May::UNKNOWN);
        let (first, last) = match pass.fast {
            true => (0, fleet.fast_ones),
            false => (fleet.fast_ones, fleet.len()),
        };
        let sum = if pass.fast { &mut fleet.fast } else { &mut fleet.slow };
        let (changes, clock) = (sum.beside(), self.clock);
        let tables = Tables {
            kinds: &fleet.kinds,
            corners: &fleet.corners,
            firsts: &fleet.firsts[first..=last],
            listed: &fleet.listed[first..last],
            states: self.states,
        };
        // Parts of whole words of places.
        let part = share::part(last - first, pass.count).next_multiple_of(64);
        self.passed += pass.count;
        let units = fleet.units[first..last].chunks_mut(part);
        let next = fleet.next[first..last].chunks_mut(part);
        let news = fleet.news[first..last].chunks_mut(part);
        let may = self.may[first..last].chunks_mut(part);
        let parts = units.zip(next).zip(news.zip(may)).enumerate();
        let results = share::each(parts, |(at, ((units, next), (news, may)))| {
            let part = Part { first: at * part, units, next, news, may };
            walk(pass, clock, part, tables, changes.clone())
        });
        let (mut watts, mut rest) = (0.0, Rest::from(first));
        for one in results {
            watts += one.watts;
            rest.append(one.rest);
            sum.merge(&one.changes);
        }
        rest.count();
        (watts, rest)
    }
}

/// What the loads of a pass are looked up in.
#[derive(Clone, Copy)]
struct Tables<'a> {
    kinds: &'a [Kind],
    corners: &'a [Corner],
    firsts: &'a [u32],
    listed: &'a [u32],
    states: &'a [LoadState],
}

/// Loads from the `first` on that one thread moves.
struct Part<'a> {
    first: usize,
    units: &'a mut [Unit],
    next: &'a mut [Next],
    news: &'a mut [u16],
    may: &'a mut [May],
}

/// What came of a pass over some loads.
struct Passed {
    watts: f64,
    rest: Rest,
    changes: Changes,
}

/// Moves loads by all wanted steps.
fn walk(
    pass: &Pass<'_>,
    clock: Clock,
    part: Part<'_>,
    tables: Tables<'_>,
    changes: Changes,
) -> Passed {
    let Part { first, units, next, news, may } = part;
    let mut passed = Passed { watts: 0.0, rest: Rest::default(), changes };
    let count = units.len();
    passed.rest.make_room(count);
    let mut picked = [0_u16; BLOCK];
    for block in (0..count).step_by(BLOCK) {
        let end = count.min(block + BLOCK);
        if may[block].is_unknown() {
            let listed = &tables.listed[first + block..first + end];
            for (may, load) in may[block..end].iter_mut().zip(listed) {
                *may = tables.states.get(*load as usize).map_or(May::NOTHING, May::of);
            }
        }
        let picked = pick(pass, &next[block..end], &mut picked);
        // Nothing here waits for anything else, so that memory is asked for many loads at once.
        let touch = |at: usize| {
            let corner = tables.firsts[first + at] as usize;
            let level = tables.corners.get(corner).map_or(0, |corner| corner.level);
            units[at].told ^ level
        };
        let touched = picked.iter().fold(0, |all, at| all ^ touch(block + usize::from(*at)));
        std::hint::black_box(touched);
        for at in picked.iter().map(|at| block + usize::from(*at)) {
            let begin = tables.firsts[first + at] as usize;
            let end = tables.firsts[first + at + 1] as usize;
            let corners = &tables.corners[begin..end];
            let one = One { unit: &mut units[at], next: &mut next[at], may: may[at], corners };
            if let Some(to) = passed.step(pass, clock, at, one, tables.kinds) {
                news[at] = corners[to].level;
            }
        }
    }
    passed
}

/// One load, from the lists that its parts are in.
struct One<'a> {
    unit: &'a mut Unit,
    next: &'a mut Next,
    may: May,
    corners: &'a [Corner],
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
    /// Makes all wanted steps of one load. Gives the corner at which it then is, if it has moved.
    #[inline]
    fn step(
        &mut self,
        pass: &Pass<'_>,
        clock: Clock,
        at: usize,
        one: One<'_>,
        kinds: &[Kind],
    ) -> Option<usize> {
        let One { unit, next, may, corners } = one;
        let ordered = next.up != UNORDERED;
        let told = usize::from(unit.told);
        let (to, out_of_turn) = match ordered && pass.not.is_none() {
            true => (in_order(pass, corners, told), false),
            false => in_turn(pass, corners, told),
        };
        let mut to = to;
        let mut until = 0;
        if to != told {
            let free = free(unit, may, clock, pass.up, to as u16);
            if clock.now < free {
                until = free;
                // Perhaps it may only not be stopped.
                let runs =
                    to == 0 && told > 1 && self::free(unit, may, clock, false, 1) <= clock.now;
                to = if runs { 1 } else { told };
            }
        }
        if out_of_turn || until > 0 || !ordered {
            self.rest.add(at, Left { told: to as u16, until: NonZero::new(until) });
        }
        if to == told {
            return None;
        }
        let before = *unit;
        let kind = kinds[unit.kind as usize];
        unit.go((clock.now, clock.from), kind, to as u16, corners[told].watts, corners[to].watts);
        *next = if ordered { Next::at(corners, unit.told) } else { *next };
        self.changes.replace(&before, unit);
        self.watts += (f64::from(unit.target) - f64::from(before.target)).abs();
        Some(to)
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
fn free(unit: &Unit, may: May, clock: Clock, up: bool, to: u16) -> u32 {
    match may.go(up) {
        true => unit.free(up, to, clock.bound),
        false => clock.now + RETRY,
    }
}

/// What a load may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct May(u8);

impl May {
    const NOTHING: Self = Self(0);
    const DOWN: u8 = 1;
    const UP: u8 = 2;
    const UNKNOWN: Self = Self(4);

    fn of(state: &LoadState) -> Self {
        let down = if state.answers { Self::DOWN } else { 0 };
        let up = if state.answers & state.enabled { Self::UP } else { 0 };
        Self(down | up)
    }

    fn go(self, up: bool) -> bool {
        self.0 & if up { Self::UP } else { Self::DOWN } != 0
    }

    fn is_unknown(self) -> bool {
        self == Self::UNKNOWN
    }
}

fn ends(segment: Segment, up: bool) -> (u16, u16) {
    let (low, high) = (segment.corner - 1, segment.corner);
    if up { (low, high) } else { (high, low) }
}
