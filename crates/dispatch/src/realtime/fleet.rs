//! All loads of a controller, with running sums of what they were told and of what they have yet to do. No
//! sum is ever made anew by going through the loads. It knows no merit, no meter and no target.

use super::{
    FAST, Move,
    ramps::{Ramps, TICKS},
    tier::{Offer, Parts, Segment, Steps, Went},
    unit::{Kind, Learned, Moved, TOLERANCE, Unit, ticks_over},
};
use crate::load::{Load, LoadState};
use std::{collections::HashMap, time::Duration};
use units::Moment;

/// A load's own reading older than this says nothing.
const FRESH: Duration = Duration::from_secs(15);
/// What a load draws is taken from its reading for so long.
const BELIEVED: Duration = Duration::from_secs(30);
/// A load that does not answer, or may not run, is asked again after this time.
const RETRY: u32 = 5 * TICKS;
/// A start must pay for itself within the least time that the load runs, or within this if it has none.
const PAID_BACK: f64 = 900.0;

#[derive(Debug, Clone, Copy)]
struct Corner {
    level: u32,
    watts: f32,
}

/// What the loads of one tier come to.
#[derive(Debug, Default)]
pub(super) struct Sum {
    set: Parts,
    ramps: Ramps,
}

impl Sum {
    /// Watts once all have arrived.
    pub(super) fn set(&self) -> f64 {
        self.set.get()
    }

    /// Watts at a tick.
    pub(super) fn at(&self, tick: f64) -> f64 {
        self.set.get() - self.ramps.left(tick).0
    }

    /// Watts still to come or to go at a tick.
    pub(super) fn moving(&self, tick: f64) -> f64 {
        self.ramps.left(tick).1
    }

    fn add(&mut self, unit: &Unit) {
        self.set.add(unit.target);
        self.ramps.add(unit.slope, unit.end);
    }

    fn remove(&mut self, unit: &Unit) {
        self.set.remove(unit.target);
        self.ramps.remove(unit.slope, unit.end);
    }
}

/// Loads under way.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// When ticks began.
    epoch: Option<Moment>,
    units: Vec<Unit>,
    kinds: Vec<Kind>,
    corners: Vec<Corner>,
    /// Where a load's corners begin; one more than there are loads.
    firsts: Vec<u32>,
    pub slow: Sum,
    pub fast: Sum,
    idle: f64,
    slow_idle: f64,
    full: f64,
}

/// Loads as they were before a new list came.
pub(super) struct Known {
    units: Vec<Unit>,
    kinds: Vec<Kind>,
    /// Which level each was told, and its nominal power there.
    told: Vec<Corner>,
}

impl Known {
    /// Until when a load stays on or off by the times that now hold for it.
    fn until(&self, unit: &Unit, kind: &Kind) -> u32 {
        let switched = self.kinds.get(unit.kind as usize).and_then(|old| unit.switched(old));
        let least = if unit.told > 0 { kind.min_on } else { kind.min_off };
        switched.map_or(0, |switched| switched.saturating_add(least).max(1))
    }
}

impl Fleet {
    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    /// Sum of what the loads draw at their lowest.
    pub(super) fn idle(&self) -> f64 {
        self.idle
    }

    /// The part of slow loads in that.
    pub(super) fn slow_idle(&self) -> f64 {
        self.slow_idle
    }

    /// Sum of what the loads draw at their highest.
    pub(super) fn full(&self) -> f64 {
        self.full
    }

    /// Gives all loads back, to be taken in again.
    pub(super) fn clear(&mut self) -> Known {
        let none = Corner { level: 0, watts: 0.0 };
        let told = (0..self.units.len()).map(|at| self.told(at).unwrap_or(none)).collect();
        let epoch = self.epoch;
        let old = std::mem::take(self);
        self.epoch = epoch;
        Known { units: old.units, kinds: old.kinds, told }
    }

    /// Takes a list of loads; `old` says where each stood in the list before.
    pub(super) fn take(
        &mut self,
        now: Moment,
        loads: &[Load],
        known: &Known,
        old: impl Fn(usize) -> Option<usize>,
        levels: impl Fn(usize) -> usize,
    ) {
        self.epoch.get_or_insert(now);
        let now = self.tick(now);
        self.slow.ramps.forget(now.saturating_sub(1));
        self.fast.ramps.forget(now.saturating_sub(1));
        let mut kinds = HashMap::new();
        self.firsts.push(0);
        for (at, load) in loads.iter().enumerate() {
            let first = self.corners.len();
            self.corners.extend(load.corners().into_iter().map(|level| Corner {
                level: level as u32,
                watts: load.power_at(level).get() as f32,
            }));
            self.firsts.push(self.corners.len() as u32);
            let kind = Kind::new(&load.times);
            let place = *kinds.entry(kind).or_insert_with(|| {
                self.kinds.push(kind);
                self.kinds.len() as u32 - 1
            });
            let old = old(at).and_then(|old| Some((known.units.get(old)?, known.told.get(old)?)));
            let level = old.map_or_else(|| levels(at), |(_, told)| told.level as usize);
            let corners = &self.corners[first..];
            let told = corners.iter().rposition(|corner| corner.level as usize <= level);
            let told = told.unwrap_or(0);
            let nominal = corners.get(told).map_or(0.0, |corner| corner.watts);
            let mut unit = Unit {
                target: nominal,
                slope: 0.0,
                since: 0,
                end: 0,
                until: 0,
                kind: place,
                told: told as u16,
                looks: 0,
                fast: load.times.ramp_up <= FAST && load.times.ramp_down <= FAST,
                defies: false,
                proven: false,
                moved: Moved::Nothing,
            };
            if let Some((old, told)) = old {
                // On its way it goes on from where it is; what it is known to draw beyond its nominal
                // power stays known.
                let target =
                    if old.defies { old.target } else { old.target - told.watts + nominal };
                let left = old.end.saturating_sub(now);
                let slope = if left == 0 { 0.0 } else { (target - old.at(now)) / left as f32 };
                unit = Unit {
                    target,
                    slope,
                    since: if left == 0 { old.since } else { now },
                    end: old.end,
                    until: known.until(old, &kind),
                    looks: old.looks,
                    defies: old.defies,
                    proven: old.proven,
                    ..unit
                };
            }
            let sum = if unit.fast { &mut self.fast } else { &mut self.slow };
            sum.add(&unit);
            let idle = corners.first().map_or(0.0, |corner| f64::from(corner.watts));
            self.idle += idle;
            self.slow_idle += if unit.fast { 0.0 } else { idle };
            self.full += corners.last().map_or(0.0, |corner| f64::from(corner.watts));
            self.units.push(unit);
        }
    }

    /// Steps from corner to corner of one load, and whether it is a fast one.
    pub(super) fn offers(
        &self,
        at: usize,
        load: &Load,
    ) -> (bool, u32, impl Iterator<Item = Offer> + '_) {
        let corners = self.corners(at);
        let unit = self.units[at];
        let value = |corner: &Corner| {
            load.levels.get(corner.level as usize).map_or(0.0, |level| level.value.get())
        };
        let values: Vec<f64> = corners.iter().map(value).collect();
        let times = load.times;
        let locked = !times.min_on.is_zero() || !times.min_off.is_zero();
        let least = times.min_on.as_secs_f64();
        let hours = if least > 0.0 { least } else { PAID_BACK } / 3600.0;
        let cost = load.start_cost.get();
        let offers = (1..corners.len()).map(move |corner| {
            let (low, high) = (corners[corner - 1].watts, corners[corner].watts);
            let watts = (high - low).max(1e-3);
            let kilowatts = f64::from(watts) / 1e3;
            Offer {
                segment: Segment { unit: at as u32, corner: corner as u16, low, watts },
                merit: (values[corner] - values[corner - 1]) / kilowatts,
                start: if corner == 1 { cost / (kilowatts * hours) } else { 0.0 },
                locks: corner == 1 && (locked || cost > 0.0 || !unit.fast),
                on: usize::from(unit.told) >= corner,
            }
        });
        (unit.fast, unit.since, offers)
    }

    /// Ticks since the first loads came.
    pub(super) fn ticks(&self, moment: Moment) -> f64 {
        let passed = self.epoch.map_or(Duration::ZERO, |epoch| moment.since(epoch));
        passed.as_secs_f64() * f64::from(TICKS)
    }

    /// The tick that has begun.
    pub(super) fn tick(&self, moment: Moment) -> u32 {
        self.ticks(moment) as u32
    }

    /// Watts that all should draw at a moment, which may not lie before ramps that were forgotten.
    pub(super) fn at(&self, ticks: f64) -> f64 {
        self.slow.at(ticks) + self.fast.at(ticks)
    }

    /// Watts once all have arrived.
    pub(super) fn set(&self) -> f64 {
        self.slow.set() + self.fast.set()
    }

    /// The least and the most that all should draw at two moments, fast loads counted as there already.
    pub(super) fn between(&self, one: f64, other: f64) -> (f64, f64) {
        let (one, other) = (self.slow.at(one), self.slow.at(other));
        (self.fast.set() + one.min(other), self.fast.set() + one.max(other))
    }

    /// Watts that are still to come or to go.
    pub(super) fn moving(&self, ticks: f64) -> f64 {
        self.slow.moving(ticks) + self.fast.moving(ticks)
    }

    /// Forgets ramps that ended before this tick.
    pub(super) fn forget(&mut self, before: u32) {
        self.slow.ramps.forget(before);
        self.fast.ramps.forget(before);
    }

    pub(super) fn level(&self, at: usize) -> Option<usize> {
        self.told(at).map(|corner| corner.level as usize)
    }

    fn told(&self, at: usize) -> Option<Corner> {
        self.corners(at).get(usize::from(self.units.get(at)?.told)).copied()
    }

    /// When a load was last switched on or off.
    pub(super) fn switched(&self, at: usize) -> Option<Moment> {
        let unit = self.units.get(at)?;
        let tick = unit.switched(self.kinds.get(unit.kind as usize)?)?;
        let passed = Duration::from_secs_f64(f64::from(tick) / f64::from(TICKS));
        self.epoch.map(|epoch| epoch.after(passed))
    }

    pub(super) fn obeys(&self, at: usize) -> Option<bool> {
        self.units.get(at).and_then(Unit::obeys)
    }

    /// By its own reading where that was made after it arrived, else as it should.
    pub(super) fn draws(&self, at: usize, now: Moment, state: &LoadState) -> Option<f64> {
        let unit = self.units.get(at)?;
        let arrived = f64::from(unit.end);
        let told = state
            .measured
            .filter(|told| self.ticks(told.at) >= arrived && told.age(now) <= BELIEVED);
        let should = f64::from(unit.at(self.tick(now)));
        Some(told.map_or(should, |told| told.value.get()))
    }

    /// Compares some loads with their own readings. Gives by how much more they are to draw than was
    /// thought once there, and by how much more they draw already on the way.
    pub(super) fn look(
        &mut self,
        now: Moment,
        some: std::ops::Range<usize>,
        states: &[LoadState],
    ) -> (f64, f64) {
        let (mut there, mut early) = (0.0, 0.0);
        let tick = self.tick(now);
        for at in some {
            let (Some(state), Some(&before)) = (states.get(at), self.units.get(at)) else { break };
            let Some(reading) = state.measured.filter(|read| read.age(now) <= FRESH) else {
                continue;
            };
            let read = self.tick(reading.at);
            if read <= before.since && before.since > 0 {
                continue;
            }
            let corners = self.corners(at);
            let told = corners.get(usize::from(before.told)).map_or(0.0, |corner| corner.watts);
            let full = corners.last().map_or(0.0, |corner| corner.watts);
            let kind = self.kinds[before.kind as usize];
            let unit = &mut self.units[at];
            let learned = unit.look(read, reading.value.get() as f32, (told, full), &kind);
            match learned {
                Learned::Nothing => continue,
                Learned::Target(target) => {
                    there += f64::from(target) - f64::from(before.target);
                    (unit.target, unit.slope) = (target, 0.0);
                }
                Learned::Arrival(end, slope) => {
                    (unit.end, unit.slope) = (end, slope);
                    early += f64::from(unit.at(tick)) - f64::from(before.at(tick));
                }
            }
            let after = *unit;
            let sum = if after.fast { &mut self.fast } else { &mut self.slow };
            sum.remove(&before);
            sum.add(&after);
        }
        (there, early)
    }

    fn corners(&self, at: usize) -> &[Corner] {
        let ends = self.firsts.get(at).zip(self.firsts.get(at + 1));
        ends.map_or(&[], |(from, to)| &self.corners[*from as usize..*to as usize])
    }
}

/// Makes single moves of one moment and keeps their list.
pub(super) struct Moves<'a> {
    fleet: &'a mut Fleet,
    states: &'a [LoadState],
    now: u32,
    /// The present moment in whole ticks, none of which is yet to come.
    from: u32,
    moved: Vec<u32>,
}

impl<'a> Moves<'a> {
    pub(super) fn new(fleet: &'a mut Fleet, states: &'a [LoadState], now: Moment) -> Self {
        let ticks = fleet.ticks(now);
        let (now, from) = (ticks as u32, ticks.ceil() as u32);
        Self { fleet, states, now, from, moved: Vec::new() }
    }

    pub(super) fn fleet(&self) -> &Fleet {
        self.fleet
    }

    /// Which loads moved, and to which level.
    pub(super) fn done(self) -> Vec<Move> {
        let mut told = Vec::with_capacity(self.moved.len());
        for some in self.moved.chunks(64) {
            let near = |at: &u32| {
                self.fleet.firsts[*at as usize] + u32::from(self.fleet.units[*at as usize].told)
            };
            let places: [u32; 64] = std::array::from_fn(|at| some.get(at).map_or(0, near));
            for (at, place) in some.iter().zip(places) {
                self.fleet.units[*at as usize].moved = Moved::Nothing;
                let level = self.fleet.corners.get(place as usize).map_or(0, |corner| corner.level);
                told.push(Move { load: *at as usize, level: level as usize });
            }
        }
        told
    }
}

impl Steps for Moves<'_> {
    fn fetch(&self, segments: impl Iterator<Item = Segment>) {
        let mut any = 0;
        for segment in segments {
            let at = segment.unit as usize;
            let state = self.states.get(at).is_some_and(|state| state.answers);
            any ^= self.fleet.units[at].told ^ u16::from(state);
        }
        std::hint::black_box(any);
    }

    fn later(&self, segment: Segment, up: bool) -> Option<Went> {
        let at = segment.unit as usize;
        let (Some(unit), Some(state)) = (self.fleet.units.get(at), self.states.get(at)) else {
            return Some(Went::Later(self.now + RETRY));
        };
        if !state.answers || (up && !state.enabled) {
            return Some(Went::Later(self.now + RETRY));
        }
        let (from, to) = ends(segment, up);
        let free = unit.free(up, to);
        if self.now < free {
            return Some(Went::Later(free));
        }
        (unit.told != from).then_some(Went::OutOfTurn)
    }

    fn go(&mut self, segment: Segment, up: bool) -> Went {
        if let Some(why) = self.later(segment, up) {
            return why;
        }
        let at = segment.unit as usize;
        let unit = &mut self.fleet.units[at];
        let before = *unit;
        let kind = self.fleet.kinds[unit.kind as usize];
        let (from, to) = ends(segment, up);
        let (low, high) = (segment.low, segment.low + segment.watts);
        let (was, is) = if up { (low, high) } else { (high, low) };
        unit.told = to;
        if !unit.defies {
            // What it draws beyond its nominal power stays in proportion; at rest there is none.
            let beyond = if from > 0 && was > 0.0 { (before.target - was) / was } else { 0.0 };
            unit.target = is * (1.0 + beyond.clamp(-TOLERANCE, TOLERANCE));
            unit.looks = 0;
        }
        let here = before.at(self.now);
        let ramp = if unit.target >= here { kind.up } else { kind.down };
        (unit.since, unit.end) = (self.now, self.now.saturating_add(ramp));
        unit.slope = if ramp == 0 { 0.0 } else { (unit.target - here) / ramp as f32 };
        if before.moved == Moved::Nothing {
            self.moved.push(segment.unit);
        }
        let least = if from == 0 { kind.min_on } else { kind.min_off };
        (unit.until, unit.moved) = match before.moved {
            moved if from > 0 && to > 0 => (unit.until, moved.max(Moved::Level)),
            // Back within one step: it was free to be switched, and still is.
            Moved::Switched => (0, Moved::Level),
            _ => (self.from.saturating_add(least).max(1), Moved::Switched),
        };
        let after = *unit;
        let sum = if after.fast { &mut self.fleet.fast } else { &mut self.fleet.slow };
        sum.remove(&before);
        sum.add(&after);
        Went::By(f64::from(after.target) - f64::from(before.target))
    }
}

fn ends(segment: Segment, up: bool) -> (u16, u16) {
    let (low, high) = (segment.corner - 1, segment.corner);
    if up { (low, high) } else { (high, low) }
}

/// A time in ticks.
pub(super) fn ticks_of(time: Duration) -> f64 {
    f64::from(ticks_over(time))
}
