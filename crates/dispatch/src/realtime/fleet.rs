//! All loads of a controller, with running sums of what they were told and of what they have yet to do. No
//! sum is ever made anew by going through the loads. It knows no merit, no meter and no target.

use super::{
    FAST,
    line::Parts,
    ramps::{Ends, Ramps, TICKS},
    steps::Segment,
    tier::Offer,
    unit::{Kind, Learned, TOLERANCE, Unit, ticks_over},
};
use crate::load::{Load, LoadState};
use std::{collections::HashMap, time::Duration};
use units::Moment;

/// A load's own reading older than this says nothing.
const FRESH: Duration = Duration::from_secs(15);
/// What a load draws is taken from its reading for so long.
const BELIEVED: Duration = Duration::from_secs(30);
/// A start must pay for itself within the least time that the load runs, or within this if it has none.
const PAID_BACK: f64 = 900.0;

/// A corner of a load's hull.
#[derive(Debug, Clone, Copy)]
pub(super) struct Corner {
    pub watts: f32,
    pub level: u16,
    /// Of the step up to it: the place of its bucket in the merit order.
    pub rank: u16,
}

/// No level.
pub(super) const UNTOLD: u16 = u16::MAX;
/// The rank of a step that no bucket holds.
pub(super) const UNRANKED: u16 = u16::MAX;
/// The next step of a load whose steps do not come in the order of their ranks.
pub(super) const UNORDERED: u16 = u16::MAX - 1;

/// Ranks of a load's next steps: it has no wanted ones beyond if these are not wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Next {
    pub up: u16,
    pub down: u16,
}

impl Next {
    /// Of a load that stands at a corner.
    fn of(corners: &[Corner], told: u16) -> Self {
        match corners.get(1..).is_some_and(|steps| steps.is_sorted_by_key(|step| step.rank)) {
            true => Self::at(corners, told),
            false => Self { up: UNORDERED, down: UNORDERED },
        }
    }

    /// Of a load whose steps come in the order of their ranks.
    pub(super) fn at(corners: &[Corner], told: u16) -> Self {
        let rank = |at: usize| corners.get(at).map_or(UNRANKED, |corner| corner.rank);
        let down = if told == 0 { UNRANKED } else { rank(usize::from(told)) };
        Self { up: rank(usize::from(told) + 1), down }
    }
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

    pub(super) fn add(&mut self, unit: &Unit) {
        self.set.add(unit.target);
        self.ramps.add(unit.slope, unit.end);
    }

    pub(super) fn remove(&mut self, unit: &Unit) {
        self.set.remove(unit.target);
        self.ramps.remove(unit.slope, unit.end);
    }

    /// A list of changes, none so far.
    pub(super) fn beside(&self) -> Changes {
        Changes { set: Parts::default(), ramps: self.ramps.beside() }
    }

    /// Takes over what was changed beside it.
    pub(super) fn merge(&mut self, changes: &Changes) {
        self.set.merge(changes.set);
        self.ramps.merge(&changes.ramps);
    }
}

/// Changes of a sum, made beside it: it cannot be asked what it comes to.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    set: Parts,
    ramps: Ends,
}

impl Changes {
    pub(super) fn replace(&mut self, before: &Unit, after: &Unit) {
        self.set.remove(before.target);
        self.set.add(after.target);
        self.ramps.count(before.slope, before.end, -1);
        self.ramps.count(after.slope, after.end, 1);
    }
}

/// Loads under way: the fast ones first, and both as they come in the caller's list.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// When ticks began.
    epoch: Option<Moment>,
    /// Where each stands in the caller's list,
    pub listed: Vec<u32>,
    /// and where each of that list stands here.
    places: Vec<u32>,
    /// How many fast ones there are.
    pub fast_ones: usize,
    pub units: Vec<Unit>,
    pub kinds: Vec<Kind>,
    pub corners: Vec<Corner>,
    pub next: Vec<Next>,
    /// The level that each was told in this moment, or [`UNTOLD`].
    pub news: Vec<u16>,
    /// Where a load's corners begin; one more than there are loads.
    pub firsts: Vec<u32>,
    /// The most by which a step of a load changes it by more than the step's nominal power, as a part of it.
    pub beyond: f32,
    pub slow: Sum,
    pub fast: Sum,
    idle: f64,
    slow_idle: f64,
    full: f64,
}

/// Loads as they were before a new list came.
pub(super) struct Known {
    places: Vec<u32>,
    units: Vec<Unit>,
    kinds: Vec<Kind>,
    /// Which level each was told, and its nominal power there.
    told: Vec<Corner>,
}

impl Known {
    /// One that stood at a place of the list.
    fn get(&self, at: usize) -> Option<(&Unit, &Corner)> {
        let place = *self.places.get(at)? as usize;
        self.units.get(place).zip(self.told.get(place))
    }

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
        let none = Corner { watts: 0.0, level: 0, rank: UNRANKED };
        let told = (0..self.units.len()).map(|at| self.told(at).unwrap_or(none)).collect();
        let epoch = self.epoch;
        let old = std::mem::take(self);
        self.epoch = epoch;
        Known { places: old.places, units: old.units, kinds: old.kinds, told }
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
        let fast = |load: &Load| load.times.ramp_up <= FAST && load.times.ramp_down <= FAST;
        self.listed = (0..loads.len() as u32).collect();
        self.listed.sort_by_key(|at| !fast(&loads[*at as usize]));
        self.places = vec![0; loads.len()];
        self.news = vec![UNTOLD; loads.len()];
        for (place, at) in self.listed.iter().enumerate() {
            let at = *at as usize;
            self.places[at] = place as u32;
            let load = &loads[at];
            let first = self.corners.len();
            self.corners.extend(load.corners().into_iter().filter_map(|at| {
                let level = u16::try_from(at).ok().filter(|level| *level != UNTOLD)?;
                Some(Corner { watts: load.power_at(at).get() as f32, level, rank: UNRANKED })
            }));
            self.firsts.push(self.corners.len() as u32);
            let kind = Kind::new(&load.times);
            let place = *kinds.entry(kind).or_insert_with(|| {
                self.kinds.push(kind);
                self.kinds.len() as u32 - 1
            });
            let old = old(at).and_then(|old| known.get(old));
            let level = old.map_or_else(|| levels(at), |(_, told)| usize::from(told.level));
            let corners = &self.corners[first..];
            let told = corners.iter().rposition(|corner| usize::from(corner.level) <= level);
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
                fast: fast(load),
                defies: false,
                proven: false,
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
            self.beyond = self.beyond.max(beyond(&unit, corners, unit.target));
            let sum = if unit.fast { &mut self.fast } else { &mut self.slow };
            sum.add(&unit);
            self.fast_ones += usize::from(unit.fast);
            let idle = corners.first().map_or(0.0, |corner| f64::from(corner.watts));
            self.idle += idle;
            self.slow_idle += if unit.fast { 0.0 } else { idle };
            self.full += corners.last().map_or(0.0, |corner| f64::from(corner.watts));
            self.units.push(unit);
        }
    }

    /// Takes over the places of steps in the merit order.
    pub(super) fn rank(&mut self, ranks: impl Iterator<Item = (Segment, u16)>) {
        for (segment, rank) in ranks {
            let place = self.firsts[segment.unit as usize] + u32::from(segment.corner);
            self.corners[place as usize].rank = rank;
        }
        let units = self.units.iter().enumerate();
        self.next = units.map(|(at, unit)| Next::of(self.corners(at), unit.told)).collect();
    }

    /// Steps from corner to corner of one load of the list, and whether it is a fast one.
    pub(super) fn offers(
        &self,
        at: usize,
        load: &Load,
    ) -> (bool, u32, impl Iterator<Item = Offer> + '_) {
        let at = self.places[at] as usize;
        let corners = self.corners(at);
        let unit = self.units[at];
        let value = |corner: &Corner| {
            load.levels.get(usize::from(corner.level)).map_or(0.0, |level| level.value.get())
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

    /// The level of a load of the list.
    pub(super) fn level(&self, at: usize) -> Option<usize> {
        self.told(self.place(at)?).map(|corner| usize::from(corner.level))
    }

    fn place(&self, at: usize) -> Option<usize> {
        self.places.get(at).map(|place| *place as usize)
    }

    /// One of the list.
    fn unit(&self, at: usize) -> Option<&Unit> {
        self.units.get(self.place(at)?)
    }

    fn told(&self, at: usize) -> Option<Corner> {
        self.corners(at).get(usize::from(self.units.get(at)?.told)).copied()
    }

    /// When a load of the list was last switched on or off.
    pub(super) fn switched(&self, at: usize) -> Option<Moment> {
        let unit = self.unit(at)?;
        let tick = unit.switched(self.kinds.get(unit.kind as usize)?)?;
        let passed = Duration::from_secs_f64(f64::from(tick) / f64::from(TICKS));
        self.epoch.map(|epoch| epoch.after(passed))
    }

    pub(super) fn obeys(&self, at: usize) -> Option<bool> {
        self.unit(at).and_then(Unit::obeys)
    }

    /// What a load of the list draws: by its own reading where that was made after it arrived, else as it should.
    pub(super) fn draws(&self, at: usize, now: Moment, state: &LoadState) -> Option<f64> {
        let unit = self.unit(at)?;
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
            let (Some(&before), Some(&listed)) = (self.units.get(at), self.listed.get(at)) else {
                break;
            };
            let Some(state) = states.get(listed as usize) else { continue };
            let Some(reading) = state.measured.filter(|read| read.age(now) <= FRESH) else {
                continue;
            };
            let read = self.tick(reading.at);
            if read <= before.since && before.since > 0 {
                continue;
            }
            let corners = &self.corners[self.firsts[at] as usize..self.firsts[at + 1] as usize];
            let told = corners.get(usize::from(before.told)).map_or(0.0, |corner| corner.watts);
            let full = corners.last().map_or(0.0, |corner| corner.watts);
            let kind = self.kinds[before.kind as usize];
            let unit = &mut self.units[at];
            let learned = unit.look(read, reading.value.get() as f32, (told, full), &kind);
            match learned {
                Learned::Nothing => continue,
                Learned::Target(target) => {
                    there += f64::from(target) - f64::from(before.target);
                    self.beyond = self.beyond.max(beyond(unit, corners, target));
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

    pub(super) fn corners(&self, at: usize) -> &[Corner] {
        let ends = self.firsts.get(at).zip(self.firsts.get(at + 1));
        ends.map_or(&[], |(from, to)| &self.corners[*from as usize..*to as usize])
    }
}

/// By how much more than its nominal power a step of a load may change it if it is to draw so much, as a part of
/// it: in proportion, but at rest, where what it draws beyond is what the first step lacks.
fn beyond(unit: &Unit, corners: &[Corner], target: f32) -> f32 {
    let told = usize::from(unit.told);
    let nominal = corners.get(told).map_or(0.0, |corner| corner.watts);
    match corners {
        [rest, first, ..] if told == 0 => {
            (target - nominal).abs() / (first.watts - rest.watts).max(1e-3)
        }
        _ if nominal > 0.0 && told > 0 => ((target - nominal).abs() / nominal).min(TOLERANCE),
        _ => 0.0,
    }
}

/// A time in ticks.
pub(super) fn ticks_of(time: Duration) -> f64 {
    f64::from(ticks_over(time))
}
