//! Every second: which load runs at which level, so that the metered power meets its target while loads
//! ramp, sleep, stay silent or lie.
//!
//! The merit order says who runs; loads that move within [`FAST`] also carry what slow ones have yet to
//! do, and give it back as those arrive. One integrator, the difference between the meter and what the
//! commands should amount to, corrects for whatever is not known. It never asks who wants the target.
//!
//! ```text
//!  target ─▶(−)─▶ merit order ─▶ slow loads ─▶ ramp model ─┐
//!            ▲        └────────▶ fast loads ◀── the rest ──┤
//!            │                                             ▼
//!            └──── base = meter − Σ what commands amount to at the meter's moment
//! ```

mod tier;
mod unit;

use crate::load::{Load, LoadState};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tier::{Segment, Tier};
use unit::Unit;
use units::{EnergyPrice, Moment, NetWatts, Reading, Watts};

/// Loads that complete a move within this time carry what slow ones have yet to do.
pub const FAST: Duration = Duration::from_secs(10);
/// A meter's reading older than this moves nothing.
pub const STALE: Duration = Duration::from_secs(10);
/// Watts that move nothing.
const NOTHING: f64 = 0.5;
/// Each load is compared with its own readings once in so many steps.
const LOOK_EVERY: usize = 4;
/// What commands amounted to is remembered for as long as a meter may be late.
const REMEMBERED: usize = 32;

/// How the controller behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Time in which the base follows the meter.
    pub follow: Duration,
    /// How much more another load must earn before it takes the place of one that runs.
    pub band: EnergyPrice,
    /// Part of a second's target below which slow loads are left alone.
    pub dead_band: f64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            follow: Duration::from_secs(4),
            band: EnergyPrice::per_kwh(0.002).unwrap_or_default(),
            dead_band: 0.002,
        }
    }
}

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aim {
    /// Power wanted at the meter.
    pub target: NetWatts,
    /// The loads together never draw more, as far as is known of them.
    pub ceiling: Watts,
    /// The loads together never draw less.
    pub floor: Watts,
    /// A local limit acts: the integrator stands still.
    pub held: bool,
    /// Never rather more than the target: for surplus and limits.
    pub within: bool,
}

/// A new set-point of one load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Which load, by its place in the list.
    pub load: usize,
    /// Its new level.
    pub level: usize,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// New set-points.
    pub moves: Vec<Move>,
    /// What the loads should draw once all have arrived.
    pub set: Watts,
    /// What they should draw now.
    pub expected: Watts,
    /// What the target asks of the loads.
    pub wanted: Watts,
    /// Wanted and not to be had within a few seconds, positive; negative: too much that cannot go.
    pub shortfall: NetWatts,
}

/// Shares out power among loads, second by second.
#[derive(Debug)]
pub struct Controller {
    tuning: Tuning,
    ids: Vec<Arc<str>>,
    units: Vec<Unit>,
    fast: Tier,
    slow: Tier,
    merits: Vec<(f64, f64, bool)>,
    /// Places of loads that are on their way.
    moving: Vec<u32>,
    past: VecDeque<(Moment, f64)>,
    base: Option<f64>,
    metered: Option<Moment>,
    looked: usize,
}

impl Controller {
    /// With no load yet.
    pub fn new(tuning: Tuning) -> Self {
        Self {
            tuning,
            ids: Vec::new(),
            units: Vec::new(),
            fast: Tier::default(),
            slow: Tier::default(),
            merits: Vec::new(),
            moving: Vec::new(),
            past: VecDeque::new(),
            base: None,
            metered: None,
            looked: 0,
        }
    }

    /// Takes the list of loads: at the start, when one came or went, and when values have changed.
    /// Loads that were there keep their level and their times; `levels` says what the others run at.
    pub fn set_loads(&mut self, now: Moment, loads: &[Load], levels: impl Fn(usize) -> usize) {
        let known: std::collections::HashMap<Arc<str>, Unit> =
            self.ids.drain(..).zip(self.units.drain(..)).collect();
        for (at, load) in loads.iter().enumerate() {
            let old = known.get(&load.id);
            self.units.push(Unit::new(load, old, now, levels(at)));
            self.ids.push(load.id.clone());
        }
        let mut fast = Vec::new();
        let mut slow = Vec::new();
        for (at, (unit, load)) in self.units.iter().zip(loads).enumerate() {
            let tier = if unit.is_fast() { &mut fast } else { &mut slow };
            tier.extend(unit.segments(at as u32, load));
        }
        // Who was switched last comes last, whatever the order of the list.
        for tier in [&mut fast, &mut slow] {
            tier.sort_by_key(|(segment, _, _)| self.units[segment.unit as usize].since());
        }
        self.fast = Tier::build(fast.into_iter());
        self.slow = Tier::build(slow.into_iter());
        let mut merits: Vec<_> = self.fast.merits().map(|(m, w)| (m, w, true)).collect();
        merits.extend(self.slow.merits().map(|(m, w)| (m, w, false)));
        merits.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.merits = merits;
        self.moving = (0..self.units.len() as u32).collect();
        self.arrive(now);
    }

    /// Watts of all loads at their highest.
    pub fn capacity(&self) -> Watts {
        watts(self.units.iter().map(Unit::full).sum())
    }

    /// Watts of what earns more than its power costs, with grace for what runs.
    pub fn worth(&self, price: EnergyPrice) -> Watts {
        let (price, band) = (price.usd_per_kwh(), self.tuning.band.usd_per_kwh());
        let idle: f64 = self.units.iter().map(Unit::idle).sum();
        watts(idle + self.fast.worth(price, band) + self.slow.worth(price, band))
    }

    /// The level that a load is set to.
    pub fn level(&self, load: usize) -> Option<usize> {
        self.units.get(load).map(Unit::level)
    }

    /// When a load was last switched on or off; `None` while it has not been since it is known.
    pub fn since(&self, load: usize) -> Option<Moment> {
        self.units.get(load).and_then(Unit::switched)
    }

    /// Whether a load does as it is told: `None` while nothing has shown it.
    pub fn obeys(&self, load: usize) -> Option<bool> {
        self.units.get(load).and_then(Unit::obeys)
    }

    /// What a load draws: by its own reading where that was made after it arrived, else as it should.
    pub fn draws(&self, load: usize, now: Moment, state: &LoadState) -> Watts {
        self.units.get(load).map_or(Watts::ZERO, |unit| watts(unit.draws(now, state)))
    }

    /// Decides what changes now.
    pub fn step(
        &mut self,
        now: Moment,
        aim: Aim,
        states: &[LoadState],
        meter: Option<Reading<NetWatts>>,
    ) -> Step {
        let jumped = self.look(now, states);
        self.arrive(now);
        // What is learned of single loads must not count twice: the base already held it.
        if let Some(base) = &mut self.base {
            *base -= jumped;
        }
        self.follow(now, meter, aim.held);
        let wanted = aim.target.get() - self.base.unwrap_or(0.0);
        let wanted = wanted.min(aim.ceiling.get()).max(aim.floor.get());
        let mut moves = Moves { now, units: &mut self.units, states, moves: Vec::new() };

        // Slow loads follow the merit order; fast ones take what is left at any moment.
        let mut room = wanted - moves.units.iter().map(Unit::idle).sum::<f64>();
        let mut slow_share = 0.0;
        for (_, watts, fast) in &self.merits {
            let taken = room.clamp(0.0, *watts);
            room -= taken;
            slow_share += if *fast { 0.0 } else { taken };
        }
        let slow_set: f64 = moves.sum(|unit| !unit.is_fast(), |unit| unit.target() - unit.idle());
        let off = slow_share - slow_set;
        let dead = (self.tuning.dead_band * wanted.abs()).max(NOTHING);
        if off > dead {
            self.slow.raise(off, aim.within, |segment| moves.up(segment));
        } else if off < -dead {
            self.slow.lower(-off, false, |segment| moves.down(segment));
        }
        let soon = now.after(FAST / 4);
        let slow_soon: f64 = moves.sum(|unit| !unit.is_fast(), |unit| unit.at(soon));
        let fast_set: f64 = moves.sum(Unit::is_fast, Unit::target);
        let rest = wanted - slow_soon - fast_set;
        if rest > NOTHING {
            self.fast.raise(rest, aim.within, |segment| moves.up(segment));
        } else if rest < -NOTHING {
            self.fast.lower(-rest, aim.within, |segment| moves.down(segment));
        }
        let band = self.tuning.band.usd_per_kwh();
        let times = 1 + moves.units.len() / 200;
        for tier in [&mut self.fast, &mut self.slow] {
            tier.exchange(band, times, |segment, up| match up {
                true => moves.up(segment),
                false => moves.down(segment),
            });
        }
        let set: f64 = moves.sum(|_| true, Unit::target);
        let expected: f64 = moves.sum(|_| true, |unit| unit.at(now));
        let shortfall = wanted - moves.sum(|_| true, |unit| unit.at(soon));
        let moved = moves.done();
        self.moving.extend(moved.iter().map(|one| one.load as u32));
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back((now, expected));
        Step {
            moves: moved,
            set: watts(set),
            expected: watts(expected),
            wanted: watts(wanted),
            shortfall: NetWatts::new(shortfall).unwrap_or_default(),
        }
    }

    /// Compares some loads with their own readings; gives by how much the sum changed.
    fn look(&mut self, now: Moment, states: &[LoadState]) -> f64 {
        let count = self.units.len().min(states.len());
        self.looked = (self.looked + 1) % LOOK_EVERY;
        let mut jumped = 0.0;
        for at in (self.looked..count).step_by(LOOK_EVERY) {
            jumped += self.units[at].look(now, &states[at]);
        }
        jumped
    }

    /// Notes those that have arrived.
    fn arrive(&mut self, now: Moment) {
        let units = &mut self.units;
        self.moving.retain(|at| !units[*at as usize].settle(now));
    }

    /// The one integrator.
    fn follow(&mut self, now: Moment, meter: Option<Reading<NetWatts>>, held: bool) {
        let Some(meter) = meter.filter(|meter| meter.age(now) <= STALE) else { return };
        if self.metered.is_some_and(|last| meter.at <= last) {
            return;
        }
        // Since the last commands the ramps say what was to be drawn at any moment; before them, notes do.
        let expected = match self.past.back() {
            Some((told, _)) if meter.at < *told => {
                let then = self.past.iter().rev().find(|(at, _)| *at <= meter.at);
                then.or(self.past.front()).map_or(0.0, |(_, sum)| *sum)
            }
            _ => self.expected(meter.at),
        };
        let off = meter.value.get() - expected;
        let passed = self.metered.map_or(0.0, |last| meter.at.since(last).as_secs_f64());
        self.metered = Some(meter.at);
        match &mut self.base {
            None => self.base = Some(off),
            Some(_) if held => {}
            Some(base) => {
                let part = 1.0 - (-passed / self.tuning.follow.as_secs_f64().max(1e-3)).exp();
                *base += part * (off - *base);
            }
        }
    }

    fn expected(&self, now: Moment) -> f64 {
        self.units.iter().map(|unit| unit.at(now)).sum()
    }
}

/// Makes single moves and keeps their list.
struct Moves<'a> {
    now: Moment,
    units: &'a mut [Unit],
    states: &'a [LoadState],
    moves: Vec<u32>,
}

impl Moves<'_> {
    fn sum(&self, of: impl Fn(&Unit) -> bool, what: impl Fn(&Unit) -> f64) -> f64 {
        self.units.iter().filter(|unit| of(unit)).map(what).sum()
    }

    fn up(&mut self, segment: Segment) -> bool {
        self.go(segment, segment.corner - 1, segment.corner)
    }

    fn down(&mut self, segment: Segment) -> bool {
        self.go(segment, segment.corner, segment.corner - 1)
    }

    fn go(&mut self, segment: Segment, from: u16, to: u16) -> bool {
        let at = segment.unit as usize;
        let (Some(unit), Some(state)) = (self.units.get_mut(at), self.states.get(at)) else {
            return false;
        };
        let first = !unit.moved_now(self.now);
        if !unit.go(self.now, state, from, to) {
            return false;
        }
        if first {
            self.moves.push(segment.unit);
        }
        true
    }

    fn done(self) -> Vec<Move> {
        let units = self.units;
        let to_move = |at: u32| Move { load: at as usize, level: units[at as usize].level() };
        self.moves.into_iter().map(to_move).collect()
    }
}

fn watts(watts: f64) -> Watts {
    Watts::new(watts.max(0.0)).unwrap_or(Watts::ZERO)
}
