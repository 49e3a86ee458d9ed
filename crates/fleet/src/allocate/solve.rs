//! The allocation's arithmetic, in plain watts and hashes per second: rooms on circuits, pieces of
//! hulls, and moves that can be taken back.

use super::{Claim, TooLittle, rate_of, watts};
use crate::circuit::Circuits;
use std::collections::HashMap;
use units::Watts;

/// Machines next to the threshold that are tried in exchanges, on each side of it.
const TRIED: usize = 6;
/// Pieces looked at while exchanging under one circuit, at most; more machines need fewer rounds.
const EFFORT: usize = 4_000_000;
/// Rounds of exchanges under one circuit, at most.
const ROUNDS: usize = 60;
/// A share this close to what a machine runs at is left as it is.
const LEAVE: f64 = 0.005;
/// Watts that are nothing.
const NOTHING: f64 = 1e-6;

/// A straight piece of a machine's hull.
#[derive(Clone, Copy)]
struct Piece {
    machine: usize,
    /// Hashes per second and watt.
    slope: f64,
    from: f64,
    to: f64,
    /// From sleep; all or nothing.
    leap: bool,
}

struct Budget {
    room: f64,
    /// Pieces of all machines below, steepest first.
    pieces: Vec<Piece>,
}

/// A state of the whole, changed by moves.
pub(super) struct Solver<'a> {
    claims: &'a [Claim],
    /// Power of those that run.
    run: Vec<Option<f64>>,
    /// Indices of the budgets that each machine loads, nearest first.
    paths: Vec<Vec<usize>>,
    /// Circuits by name; the last one is all together.
    budgets: Vec<Budget>,
    /// What was changed, to be taken back: machine and what it ran at.
    done: Vec<(usize, Option<f64>)>,
}

impl<'a> Solver<'a> {
    /// All asleep but those that must stay on, which run at their floors.
    pub(super) fn new(
        claims: &'a [Claim],
        circuits: &Circuits,
        available: Option<Watts>,
    ) -> Result<Self, TooLittle> {
        let index: HashMap<&str, usize> =
            circuits.all().enumerate().map(|(i, circuit)| (&*circuit.name, i)).collect();
        let all = index.len();
        let path = |claim: &Claim| {
            let name = claim.circuit.as_deref().unwrap_or_default();
            let own = circuits.path(name).filter_map(|circuit| index.get(&*circuit.name).copied());
            own.chain([all]).collect::<Vec<_>>()
        };
        let paths: Vec<Vec<usize>> = claims.iter().map(path).collect();
        let run: Vec<Option<f64>> =
            claims.iter().map(|claim| claim.keep_on.then(|| claim.curve.floor().get())).collect();

        let draws = claims
            .iter()
            .zip(&run)
            .map(|(claim, run)| (claim.circuit.as_deref(), watts(run.unwrap_or(claim.idle.get()))));
        let loads = circuits.loads(draws.clone());
        let together: f64 = draws.map(|(_, power)| power.get()).sum();
        let mut budgets = Vec::with_capacity(all + 1);
        let limits = circuits.all().map(|circuit| {
            let needed = loads.get(&circuit.name).copied().unwrap_or(Watts::ZERO);
            (circuit.name.clone(), Some(circuit.limit), needed)
        });
        for (circuit, limit, needed) in limits.chain([("site".into(), available, watts(together))])
        {
            let room = limit.map_or(f64::INFINITY, |limit| limit.get() - needed.get());
            if let Some(limit) = limit.filter(|_| room < -NOTHING) {
                return Err(TooLittle { circuit, limit, needed });
            }
            budgets.push(Budget { room, pieces: Vec::new() });
        }

        for (machine, claim) in claims.iter().enumerate() {
            for piece in pieces(machine, claim) {
                for budget in &paths[machine] {
                    budgets[*budget].pieces.push(piece);
                }
            }
        }
        for budget in &mut budgets {
            budget.pieces.sort_by(|a, b| b.slope.total_cmp(&a.slope));
        }
        Ok(Self { claims, run, paths, budgets, done: Vec::new() })
    }

    /// What each machine runs at.
    pub(super) fn shares(&self) -> impl Iterator<Item = Option<f64>> {
        self.run.iter().copied()
    }

    /// Rate of the relaxed problem, in which a leap may be taken in part.
    pub(super) fn bound(&self) -> f64 {
        let mut rooms: Vec<f64> = self.budgets.iter().map(|budget| budget.room).collect();
        let mut rate: f64 = (self.claims.iter().zip(&self.run))
            .filter_map(|(claim, run)| run.map(|run| rate_of(claim, run)))
            .sum();
        // Pieces between floor and leap's end are steeper than the leap, so they are met before it
        // and left out.
        let mut at: Vec<f64> =
            self.claims.iter().zip(&self.run).map(|(c, run)| run.unwrap_or(c.idle.get())).collect();
        let Some(all) = self.budgets.last() else { return rate };
        for piece in &all.pieces {
            let i = piece.machine;
            if !piece.leap && piece.from > at[i] + NOTHING {
                continue;
            }
            let room = self.paths[i].iter().map(|b| rooms[*b]).fold(f64::INFINITY, f64::min);
            let more = (piece.to - at[i]).min(room).max(0.0);
            at[i] += more;
            rate += more * piece.slope;
            for budget in &self.paths[i] {
                rooms[*budget] -= more;
            }
        }
        rate
    }

    /// Gives out what room there is, steepest piece first.
    pub(super) fn fill_all(&mut self) {
        self.fill(self.budgets.len() - 1, None);
        self.done.clear();
    }

    /// Exchanges machines under each circuit, the smallest first, then among all.
    pub(super) fn exchange(&mut self) {
        let mut order: Vec<usize> = (0..self.budgets.len()).collect();
        order.sort_by_key(|budget| self.budgets[*budget].pieces.len());
        for budget in order {
            let round = 2 * TRIED + TRIED * TRIED;
            let rounds = EFFORT / (self.budgets[budget].pieces.len().max(1) * round);
            for _ in 0..rounds.clamp(1, ROUNDS) {
                if !self.improve(budget) {
                    break;
                }
            }
        }
    }

    /// Machines keep what they run at where that is nearly what they get.
    pub(super) fn leave_be(&mut self, claims: &[Claim]) {
        for (machine, claim) in claims.iter().enumerate() {
            let (Some(run), Some(current)) = (self.run[machine], claim.current) else { continue };
            let (floor, ceiling) = (claim.curve.floor(), claim.curve.ceiling());
            let apart = (current.get() - run).abs();
            let near = apart <= LEAVE * run && floor <= current && current <= ceiling;
            if near && current.get() - run <= self.room(machine) {
                self.set(machine, Some(current.get()));
            }
        }
        self.done.clear();
    }

    /// One exchange that gains, if there is one among those tried.
    fn improve(&mut self, budget: usize) -> bool {
        let leaps = self.budgets[budget].pieces.iter().filter(|piece| piece.leap);
        let machines: Vec<usize> = leaps.map(|piece| piece.machine).collect();
        let asleep: Vec<usize> =
            machines.iter().copied().filter(|m| self.run[*m].is_none()).take(TRIED).collect();
        let awake: Vec<usize> =
            machines.iter().rev().copied().filter(|m| self.run[*m].is_some()).take(TRIED).collect();
        if asleep.is_empty() {
            return false;
        }
        let singles = asleep.iter().map(|on| (None, Some(*on)));
        let drops = awake.iter().map(|off| (Some(*off), None));
        let swaps = awake.iter().flat_map(|off| asleep.iter().map(|on| (Some(*off), Some(*on))));
        let moves: Vec<_> = singles.chain(drops).chain(swaps).collect();
        let mut best: Option<(f64, _)> = None;
        for (off, on) in moves {
            let gain = self.attempt(budget, off, on);
            self.take_back();
            if let Some(gain) = gain.filter(|gain| *gain > best.map_or(1.0, |best| best.0)) {
                best = Some((gain, (off, on)));
            }
        }
        if let Some((_, (off, on))) = best {
            self.attempt(budget, off, on);
            self.done.clear();
        }
        best.is_some()
    }

    /// Sends one to sleep, wakes another at its floor, makes room for it and gives out what is left.
    /// `None` if there is no making room.
    fn attempt(&mut self, budget: usize, off: Option<usize>, on: Option<usize>) -> Option<f64> {
        let mut gain = off.map_or(0.0, |off| self.set(off, None));
        if let Some(on) = on {
            gain += self.set(on, Some(self.claims[on].curve.floor().get()));
            gain += self.squeeze(on)?;
        }
        Some(gain + self.fill(budget, off))
    }

    /// Turns neighbours of a machine down, those that lose least first, until no budget above it is
    /// overdrawn.
    fn squeeze(&mut self, machine: usize) -> Option<f64> {
        let mut gain = 0.0;
        for i in 0..self.paths[machine].len() {
            let budget = self.paths[machine][i];
            let mut n = self.budgets[budget].pieces.len();
            while self.budgets[budget].room < -NOTHING {
                n = n.checked_sub(1)?;
                let piece = self.budgets[budget].pieces[n];
                let Some(run) = self.run[piece.machine].filter(|_| !piece.leap) else { continue };
                if piece.machine != machine && run > piece.from {
                    let less = (run - piece.from).min(-self.budgets[budget].room);
                    gain += self.set(piece.machine, Some(run - less));
                }
            }
        }
        Some(gain)
    }

    fn fill(&mut self, budget: usize, not: Option<usize>) -> f64 {
        let mut gain = 0.0;
        for n in 0..self.budgets[budget].pieces.len() {
            if self.budgets[budget].room <= NOTHING {
                break;
            }
            let Piece { machine, from, to, leap, .. } = self.budgets[budget].pieces[n];
            let room = self.room(machine);
            gain += match self.run[machine] {
                None if leap && room >= to - from && not != Some(machine) => {
                    self.set(machine, Some(to))
                }
                Some(run) if !leap && run < to && from <= run + NOTHING && room > NOTHING => {
                    self.set(machine, Some((run + room).min(to)))
                }
                _ => 0.0,
            };
        }
        // What is left may wake one that does not run at its best there.
        for n in 0..self.budgets[budget].pieces.len() {
            if self.budgets[budget].room <= NOTHING {
                break;
            }
            let Piece { machine, from, to, leap, .. } = self.budgets[budget].pieces[n];
            let asleep = leap && self.run[machine].is_none() && not != Some(machine);
            let most = from + self.room(machine);
            if asleep && most >= self.claims[machine].curve.floor().get() {
                gain += self.set(machine, Some(most.min(to)));
            }
        }
        gain
    }

    fn room(&self, machine: usize) -> f64 {
        self.paths[machine].iter().map(|b| self.budgets[*b].room).fold(f64::INFINITY, f64::min)
    }

    /// Returns what it gains.
    fn set(&mut self, machine: usize, to: Option<f64>) -> f64 {
        let claim = &self.claims[machine];
        let was = std::mem::replace(&mut self.run[machine], to);
        self.done.push((machine, was));
        let draw = |run: Option<f64>| run.unwrap_or(claim.idle.get());
        for budget in &self.paths[machine] {
            self.budgets[*budget].room -= draw(to) - draw(was);
        }
        let rate = |run: Option<f64>| run.map_or(0.0, |run| rate_of(claim, run));
        rate(to) - rate(was)
    }

    fn take_back(&mut self) {
        while let Some((machine, was)) = self.done.pop() {
            self.set(machine, was);
            self.done.pop();
        }
    }
}

/// The leap from sleep to the best point for each watt, and the hull of the running machine from its
/// floor up.
fn pieces(machine: usize, claim: &Claim) -> Vec<Piece> {
    let points: Vec<(f64, f64)> = (claim.curve.points().iter())
        .map(|(power, rate)| (power.get(), rate.hashes_per_second()))
        .collect();
    let mut pieces: Vec<Piece> =
        hull(&points).windows(2).map(|ends| piece(machine, ends[0], ends[1], false)).collect();
    if !claim.keep_on {
        let asleep = (claim.idle.get(), 0.0);
        let slope = |point: &(f64, f64)| point.1 / (point.0 - asleep.0).max(NOTHING);
        if let Some(best) = points.iter().max_by(|a, b| slope(a).total_cmp(&slope(b))) {
            pieces.push(piece(machine, asleep, *best, true));
        }
    }
    pieces
}

fn piece(machine: usize, from: (f64, f64), to: (f64, f64), leap: bool) -> Piece {
    let slope = (to.1 - from.1) / (to.0 - from.0).max(NOTHING);
    Piece { machine, slope, from: from.0, to: to.0, leap }
}

/// Those points that no line between two others runs above.
fn hull(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for &c in points {
        while let [.., a, b] = hull[..] {
            let above = (b.1 - a.1) * (c.0 - a.0) > (c.1 - a.1) * (b.0 - a.0);
            if above {
                break;
            }
            hull.pop();
        }
        hull.push(c);
    }
    hull
}
