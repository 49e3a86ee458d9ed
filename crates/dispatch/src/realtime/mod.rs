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

mod aside;
mod fleet;
mod line;
mod moves;
mod ramps;
mod rest;
mod share;
mod steps;
mod tier;
mod unit;

use crate::load::{Load, LoadState};
use fleet::{Fleet, ticks_of};
use moves::Moves;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tier::{Tier, Want};
use units::{EnergyPrice, Moment, NetWatts, Reading, Watts};

/// Loads that complete a move within this time carry what slow ones have yet to do.
pub const FAST: Duration = Duration::from_secs(10);
/// A meter's reading older than this moves nothing.
pub const STALE: Duration = Duration::from_secs(10);
/// Watts that move nothing.
const NOTHING: f64 = 0.5;
/// Part of the power wanted that may be on its way only to bring the merit order about.
const EASE: f64 = 0.01;
/// So many times that much may come up slowly, since fast loads make room as it does.
const EASE_UP: f64 = 5.0;
/// Part of what is on its way that may be there earlier or later than expected.
const EARLY: f64 = 0.3;
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
    /// Nor more than this, and loads are stopped for it although they have not run their least times: what
    /// protects people and things.
    pub hard: Option<Watts>,
    /// A local limit acts: the integrator stands still.
    pub held: bool,
    /// Never rather more than the target: for surplus and limits.
    pub within: bool,
    /// Loads that earn no more than this are not raised to reach the target: whoever wants what pays wants
    /// no other in its place. The floor may raise them.
    pub least: Option<EnergyPrice>,
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

/// What the commands amounted to at one step: before it and after it.
#[derive(Debug, Clone, Copy)]
struct Note {
    at: Moment,
    before: f64,
    after: f64,
}

/// Shares out power among loads, second by second.
#[derive(Debug)]
pub struct Controller {
    tuning: Tuning,
    ids: Vec<Arc<str>>,
    fleet: Fleet,
    fast: Tier,
    slow: Tier,
    /// Of both tiers, best first: merit, watts, and whether they are fast.
    merits: Vec<(f64, f64, bool)>,
    past: VecDeque<Note>,
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
            fleet: Fleet::default(),
            fast: Tier::default(),
            slow: Tier::default(),
            merits: Vec::new(),
            past: VecDeque::new(),
            base: None,
            metered: None,
            looked: 0,
        }
    }

    /// Takes the list of loads: at the start, when one came or went, and when values have changed.
    /// Loads that were there keep their level and their times; `levels` says what the others run at.
    pub fn set_loads(&mut self, now: Moment, loads: &[Load], levels: impl Fn(usize) -> usize) {
        let mut turns = vec![0_u32; self.fleet.len()];
        for (turn, unit) in self.fast.turns().chain(self.slow.turns()).enumerate() {
            turns[self.fleet.listed[unit as usize] as usize] = turn as u32;
        }
        let known = self.fleet.clear();
        let places: std::collections::HashMap<&str, usize> =
            self.ids.iter().enumerate().map(|(at, id)| (&**id, at)).collect();
        let same = |at: usize| self.ids.get(at).is_some_and(|id| *id == loads[at].id);
        let old = |at: usize| if same(at) { Some(at) } else { places.get(&*loads[at].id).copied() };
        self.fleet.take(now, loads, &known, old, levels);
        // Who was switched last comes last, whatever the order of the list.
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        for (at, load) in loads.iter().enumerate() {
            let (is_fast, since, offers) = self.fleet.offers(at, load);
            let tier = if is_fast { &mut fast } else { &mut slow };
            let turn = old(at).map_or(0, |old| turns[old]);
            tier.extend(offers.map(|offer| ((since, turn), offer)));
        }
        for tier in [&mut fast, &mut slow] {
            tier.sort_by_key(|(turn, _)| *turn);
        }
        self.ids = loads.iter().map(|load| load.id.clone()).collect();
        self.fast = Tier::build(true, fast.into_iter().map(|(_, offer)| offer));
        self.slow = Tier::build(false, slow.into_iter().map(|(_, offer)| offer));
        self.fleet.rank(self.fast.ranks().chain(self.slow.ranks()));
        let mut merits: Vec<_> = self.fast.merits().map(|(m, w)| (m, w, true)).collect();
        merits.extend(self.slow.merits().map(|(m, w)| (m, w, false)));
        merits.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.merits = merits;
    }

    /// Watts of all loads at their highest.
    pub fn capacity(&self) -> Watts {
        watts(self.fleet.full())
    }

    /// Watts of what earns more than its power costs, with grace for what runs.
    pub fn worth(&self, price: EnergyPrice) -> Watts {
        let (price, band) = (price.usd_per_kwh(), self.tuning.band.usd_per_kwh());
        watts(self.fleet.idle() + self.fast.worth(price, band) + self.slow.worth(price, band))
    }

    /// The level that a load is set to.
    pub fn level(&self, load: usize) -> Option<usize> {
        self.fleet.level(load)
    }

    /// When a load was last switched on or off; `None` while it has not been since it is known.
    pub fn since(&self, load: usize) -> Option<Moment> {
        self.fleet.switched(load)
    }

    /// Whether a load does as it is told: `None` while nothing has shown it.
    pub fn obeys(&self, load: usize) -> Option<bool> {
        self.fleet.obeys(load)
    }

    /// What a load draws: by its own reading where that was made after it arrived, else as it should.
    pub fn draws(&self, load: usize, now: Moment, state: &LoadState) -> Watts {
        self.fleet.draws(load, now, state).map_or(Watts::ZERO, watts)
    }

    /// Decides what changes now.
    pub fn step(
        &mut self,
        now: Moment,
        aim: Aim,
        states: &[LoadState],
        meter: Option<Reading<NetWatts>>,
    ) -> Step {
        self.look(now, states, aim.held);
        self.follow(now, meter, aim.held);
        let ticks = self.fleet.ticks(now);
        let tick = ticks as u32;
        self.fleet.forget(tick.saturating_sub(ticks_of(STALE) as u32));
        let (ceiling, floor) = (aim.ceiling.get(), aim.floor.get().min(aim.ceiling.get()));
        let wanted = (aim.target.get() - self.base.unwrap_or(0.0)).clamp(floor, ceiling);
        let before = self.fleet.at(ticks);
        // What fast loads could not do when it was last asked of them is left to slow ones.
        let slow_share = self.slow_share(wanted);
        let mut moves = Moves::new(&mut self.fleet, states, now);
        self.fast.wake(tick, &moves);
        self.slow.wake(tick, &moves);
        // Should nothing more reach the loads, what they were told stays between floor and ceiling.
        let most = if aim.within && wanted > floor { wanted } else { ceiling };
        // Better places in the merit order are worth having, and can wait: only a little of what runs is
        // on its way for their sake.
        let band = self.tuning.band.usd_per_kwh();
        let pays = aim.least.map_or(f64::NEG_INFINITY, EnergyPrice::usd_per_kwh);
        let little = EASE * wanted.abs();
        // Nor do they leave their goal farther off than it is: what brings it back might cost more than was
        // gained, and then all begins anew. Fast loads meet what is wanted now, slow ones have their share.
        let dead = (self.tuning.dead_band * wanted.abs()).max(NOTHING);
        let soon = ticks + ticks_of(FAST / 4);
        for fast in [true, false] {
            let fleet = moves.fleet();
            let (tier, sum, over) = match fast {
                true => {
                    let over = fleet.slow.at(soon) + fleet.fast.set() - wanted;
                    (&mut self.fast, &fleet.fast, over)
                }
                false => (&mut self.slow, &fleet.slow, fleet.slow.set() - slow_share),
            };
            let off = over.abs().max(dead);
            let room =
                ((off - over).min(most - fleet.set()), (off + over).min(fleet.set() - floor));
            let can_wait = little - sum.moving(ticks);
            tier.exchange(band, can_wait, room, &mut moves);
        }

        // Slow loads follow the merit order; fast ones take what is left at any moment.
        let need = wanted - moves.fleet().set();
        let off = slow_share - moves.fleet().slow.set();
        let can_wait = (little - moves.fleet().slow.moving(ticks)).max(0.0);
        // Beyond the bounds they only go by what fast loads can make up for.
        let (give, take) = self.fast.free();
        let (least, most_soon) = moves.fleet().between(soon, ticks + ticks_of(FAST));
        if off > dead && least <= wanted + dead {
            let off = off.min(need.max(can_wait * EASE_UP));
            let room = (most - moves.fleet().set()).max(off.min(give));
            let want = Want { watts: off, most: room, all: false, lightly: false };
            self.slow.raise(want, pays, &mut moves);
        } else if off < -dead && most_soon >= wanted - dead {
            let less = (-off).min(can_wait.max(-need));
            let room = (moves.fleet().set() - floor).max(less.min(take));
            let want = Want { watts: less, most: room, all: false, lightly: false };
            self.slow.lower(want, &mut moves);
        }
        let rest = wanted - moves.fleet().slow.at(soon) - moves.fleet().fast.set();
        let (up, down) = (most - moves.fleet().set(), moves.fleet().set() - floor);
        let rest = rest.max(-down).min(up);
        // Of that they keep so much once slow loads have arrived; for less time none starts or stops.
        let lasting = wanted - moves.fleet().set();
        if rest > NOTHING {
            let all = rest <= -down;
            let kept = if all { rest } else { rest.min(lasting) };
            let want = Want { watts: kept, most: up, all, lightly: false };
            let got = self.fast.raise(want, pays, &mut moves);
            let want = Want { watts: rest - got, most: up - got, all: false, lightly: true };
            self.fast.raise(want, pays, &mut moves);
        } else if rest < -NOTHING {
            let all = rest >= up;
            let kept = if all { -rest } else { (-rest).min(-lasting) };
            let want = Want { watts: kept, most: down, all, lightly: false };
            let gone = self.fast.lower(want, &mut moves);
            let want = Want { watts: -rest - gone, most: down - gone, all: false, lightly: true };
            self.fast.lower(want, &mut moves);
        }
        // What they cannot carry, slow loads that run anyway do by the way.
        let (least, most_soon) = moves.fleet().between(soon, ticks + ticks_of(FAST));
        let (less, more) = (least - wanted, wanted - most_soon);
        if less > dead {
            let room = moves.fleet().set() - floor;
            let want = Want { watts: less.min(room), most: room, all: false, lightly: true };
            self.slow.lower(want, &mut moves);
        } else if more > dead {
            let room = most - moves.fleet().set();
            let want = Want { watts: more.min(room), most: room, all: false, lightly: true };
            self.slow.raise(want, pays, &mut moves);
        }
        for tier in [&mut self.fast, &mut self.slow] {
            let (watts, most) = (moves.fleet().set() - most, f64::INFINITY);
            if watts > NOTHING {
                tier.lower(Want { watts, most, all: true, lightly: false }, &mut moves);
            }
        }
        for tier in [&mut self.fast, &mut self.slow] {
            let set = moves.fleet().set();
            let (watts, most) = (floor - set, most - set);
            if watts > NOTHING {
                let want = Want { watts, most, all: true, lightly: false };
                tier.raise(want, f64::NEG_INFINITY, &mut moves);
            }
        }
        if let Some(hard) = aim.hard.map(Watts::get)
            && moves.fleet().set() - hard > NOTHING
        {
            moves.unbind();
            for tier in [&mut self.fast, &mut self.slow] {
                // Those that have yet to run their time are among those that come back at some time.
                tier.wake(u32::MAX, &moves);
                let (watts, most) = (moves.fleet().set() - hard, f64::INFINITY);
                if watts > NOTHING {
                    tier.lower(Want { watts, most, all: true, lightly: false }, &mut moves);
                }
            }
        }
        let fleet = moves.fleet();
        let (set, expected) = (fleet.set(), fleet.at(ticks));
        let shortfall = wanted - fleet.at(soon);
        let moves = moves.done();
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(Note { at: now, before, after: expected });
        Step {
            moves,
            set: watts(set),
            expected: watts(expected),
            wanted: watts(wanted),
            shortfall: NetWatts::new(shortfall).unwrap_or_default(),
        }
    }

    /// What the merit order gives to slow loads.
    fn slow_share(&self, wanted: f64) -> f64 {
        let mut room = wanted - self.fleet.idle();
        let mut share = self.fleet.slow_idle();
        for (_, watts, fast) in &self.merits {
            if room <= 0.0 {
                break;
            }
            let taken = room.min(*watts);
            room -= taken;
            share += if *fast { 0.0 } else { taken };
        }
        // Those that draw something else than they are told leave less to be had than their levels say.
        let ((give, take), fast) = (self.fast.free(), self.fleet.fast.set());
        share.max(wanted - fast - take).min(wanted - fast + give)
    }

    /// Compares some loads with their own readings.
    fn look(&mut self, now: Moment, states: &[LoadState], held: bool) {
        let count = self.fleet.len();
        self.looked = (self.looked + 1) % LOOK_EVERY;
        let part = |of: usize| count * of / LOOK_EVERY;
        let some = part(self.looked)..part(self.looked + 1);
        let (there, early) = self.fleet.look(now, some, states);
        for note in &mut self.past {
            note.before += there + early;
            note.after += there + early;
        }
        // What is learned of single loads must not count twice: the base already held it.
        if let Some(base) = self.base.as_mut().filter(|_| !held) {
            *base -= there;
        }
    }

    /// The one integrator.
    fn follow(&mut self, now: Moment, meter: Option<Reading<NetWatts>>, held: bool) {
        let Some(meter) = meter.filter(|meter| meter.age(now) <= STALE) else { return };
        if self.metered.is_some_and(|last| meter.at <= last) {
            return;
        }
        let ticks = self.fleet.ticks(meter.at);
        let off = meter.value.get() - self.expected(meter.at, ticks);
        let passed = self.metered.map_or(0.0, |last| meter.at.since(last).as_secs_f64());
        self.metered = Some(meter.at);
        match &mut self.base {
            None => {
                // Loads on their way may be early or late: so much says little of anything else.
                let motion = EARLY * self.fleet.moving(ticks);
                self.base = Some(off - off.clamp(-motion, motion));
            }
            Some(_) if held => {}
            Some(base) => {
                let part = 1.0 - (-passed / self.tuning.follow.as_secs_f64().max(1e-3)).exp();
                *base += part * (off - *base);
            }
        }
    }

    /// What the commands amounted to at a moment: since the last ones the ramps say it, before them the
    /// notes.
    fn expected(&self, at: Moment, ticks: f64) -> f64 {
        let Some(next) = self.past.iter().position(|note| note.at > at) else {
            return self.fleet.at(ticks);
        };
        let end = self.past[next];
        let Some(start) = next.checked_sub(1).map(|last| self.past[last]) else {
            return end.before;
        };
        let whole = end.at.since(start.at).as_secs_f64().max(1e-9);
        start.after + (end.before - start.after) * at.since(start.at).as_secs_f64() / whole
    }
}

fn watts(watts: f64) -> Watts {
    Watts::new(watts.max(0.0)).unwrap_or(Watts::ZERO)
}
