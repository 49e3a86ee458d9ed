//! The best of a few settings, for firmware that takes neither clock nor voltage: profiles, power
//! limits, modes. Power over verified hashrate is taken as a quadratic, so three settings tell what
//! all others bring. Pure, as the other tuner; the same price for a change, the same verified work.

use super::{
    Goal, Policy,
    choose::{STAYS, expected_improvement},
    rls::Rls,
    signs::{SILENT, Signs},
};
use crate::{
    command::{Command, WorkMode},
    limits::Limits,
    readings::{Moment, Readings},
    work::Window,
};
use units::{Efficiency, Hashrate, Ratio, Watts};

/// Shape of power over hashrate, both as parts of the first measured: an S19k Pro's ladder at its
/// factory clock (fleet.md section 5). How far another machine may be off: one standard deviation.
const SHAPE: [(f64, f64); 3] = [(0.072, 0.06), (0.517, 0.15), (0.411, 0.15)];
/// Shares that measure a setting to 1.3 %.
pub(super) const ENOUGH: u64 = 5600;
/// How far a profile may lie beside the quadratic, relative.
const BESIDE: f64 = 0.007;
/// What a mode draws, as a part of the normal one, where nothing tells: a guess that measuring mends.
const MODES: (f64, f64) = (0.75, 1.15);
/// A board that hashes this much less of its nominal than at the arm that is good, for as long as
/// silence is borne, is early word that a trial is too much for it.
const WEAK: f64 = 0.9;
/// Error of a figure that the firmware tells of a setting it is not at, relative.
const TOLD: f64 = 0.02;
/// The same where it tells none.
const UNTOLD: f64 = 0.1;

/// One way in which a machine can be told to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// The command: a profile, a power limit or a mode.
    pub command: Command,
    /// Power that the firmware tells of it.
    pub told: Option<Watts>,
}

/// What is seen at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmSeen {
    /// Now.
    pub at: Moment,
    /// Whether the arm last applied is read back; `None` if nothing was read.
    pub there: Option<bool>,
    /// Sensors.
    pub readings: Readings,
    /// Power by the best source, with its relative error.
    pub power: Option<(Watts, f64)>,
    /// Work verified since the arm was last changed.
    pub work: Option<Window>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ArmAction {
    /// Nothing yet.
    Wait,
    /// Set the arm with this number; the second one is known to be good.
    Apply(usize, usize),
    /// Return to this arm: a limit broke, or the machine did not take the other one.
    Abort(usize),
    /// Stay with this one.
    Done(ArmFound),
    /// Nothing could be measured: leave it at the arm that was good.
    GiveUp,
}

/// The best arm and what it was measured to bring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArmFound {
    /// Its number.
    pub arm: usize,
    /// Verified hashrate.
    pub rate: Hashrate,
    /// Its power.
    pub power: Watts,
    /// What that makes.
    pub efficiency: Efficiency,
}

/// One machine's choice among its arms.
#[derive(Debug, Clone)]
pub struct Arms {
    goal: Goal,
    policy: Policy,
    limits: Limits,
    arms: Vec<Arm>,
    measured: Vec<Option<Measured>>,
    barred: Vec<bool>,
    here: usize,
    good: usize,
    applied: Option<Moment>,
    mark: Option<(Moment, Window)>,
    signs: Signs,
    /// The weakest board at the good arm, and since when it is clearly weaker in a trial.
    board: (Option<f64>, Option<Moment>),
    watts: (f64, u32),
    first: Option<Measured>,
    curve: Rls<3>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Measured {
    watts: f64,
    rate: f64,
    /// One standard error of the rate, relative.
    error: f64,
}

impl Arms {
    /// Begins at the arm that the machine has, which counts as good. `policy.settle` has to cover
    /// restart, ramp and warming of this machine, ten minutes for large ones. `None` if there is no such arm.
    pub fn new(
        goal: Goal,
        policy: Policy,
        limits: Limits,
        arms: Vec<Arm>,
        start: usize,
    ) -> Option<Self> {
        let count = arms.len();
        (start < count).then(|| Self {
            goal,
            policy,
            limits,
            arms,
            measured: vec![None; count],
            barred: vec![false; count],
            here: start,
            good: start,
            applied: None,
            mark: None,
            signs: Signs::default(),
            board: (None, None),
            watts: (0.0, 0),
            first: None,
            curve: Rls::new(SHAPE.map(|(mean, _)| mean), SHAPE.map(|(_, sd)| sd), 0.0),
        })
    }

    /// What to do now.
    pub fn step(&mut self, seen: &ArmSeen) -> ArmAction {
        let mut told = seen.readings.clone();
        told.power = seen.power.map(|(watts, _)| watts).or(told.power);
        if !self.limits.breaches(&told).is_empty() && self.here != self.good {
            return self.abort(seen.at);
        }
        let applied = *self.applied.get_or_insert(seen.at);
        let waited = seen.at.since(applied);
        if waited < self.policy.settle {
            return ArmAction::Wait;
        }
        if seen.there == Some(false) && self.here != self.good {
            return self.abort(seen.at);
        }
        let (shares, settled) =
            (seen.work.map(|work| work.shares), applied.after(self.policy.settle));
        let lost = self.signs.are_missing(seen.at, seen.there.is_some(), shares, settled);
        if lost && self.here != self.good {
            return self.abort(seen.at);
        }
        if self.weak(seen) {
            return self.abort(seen.at);
        }
        let Some(work) = seen.work else { return ArmAction::Wait };
        if let Some((watts, _)) = seen.power {
            self.watts = (self.watts.0 + watts.get(), self.watts.1 + 1);
        }
        let (since, from) = *self.mark.get_or_insert((seen.at, work));
        let shares = work.shares.saturating_sub(from.shares);
        let over = seen.at.since(since) >= self.policy.dwell;
        if shares < ENOUGH && !(over && shares > 0) {
            return ArmAction::Wait;
        }
        let seconds = (work.time.saturating_sub(from.time)).as_secs_f64();
        let rate = (work.work.hashes() - from.work.hashes()) / seconds;
        self.measure(rate, shares);
        self.choose(seen.at)
    }

    /// The arms, in the order given.
    pub fn arms(&self) -> &[Arm] {
        &self.arms
    }

    /// The arm that the machine was last told.
    pub fn here(&self) -> usize {
        self.here
    }

    /// What it is chosen for.
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// Within which limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What was verified at the arm that it began at.
    pub fn first_rate(&self) -> Option<Hashrate> {
        self.first.map(|first| Hashrate::from_hashes_per_second(first.rate))
    }

    /// How many were measured.
    pub fn tried(&self) -> usize {
        self.measured.iter().flatten().count()
    }

    /// Whether one of its boards does clearly less in a trial than at the good arm.
    fn weak(&mut self, seen: &ArmSeen) -> bool {
        let (good, since) = &mut self.board;
        let Some(now) = seen.readings.weakest_board.map(Ratio::get) else { return false };
        if self.here == self.good {
            *good = Some(now);
        }
        if good.is_none_or(|good| now >= WEAK * good) {
            *since = None;
            return false;
        }
        seen.at.since(*since.get_or_insert(seen.at)) >= SILENT
    }

    fn measure(&mut self, rate: f64, shares: u64) {
        let told = self.arms[self.here].told.map_or(0.0, Watts::get);
        let watts = if self.watts.1 > 0 { self.watts.0 / f64::from(self.watts.1) } else { told };
        if !(rate.is_finite() && rate > 0.0 && watts > 0.0) {
            self.barred[self.here] = true;
            return;
        }
        let error = 1.0 / (shares.max(1) as f64).sqrt();
        let now = Measured { watts, rate, error };
        self.measured[self.here] = Some(now);
        self.good = self.here;
        let first = *self.first.get_or_insert(now);
        let part = rate / first.rate;
        let noise = (watts / first.watts) * error.hypot(BESIDE);
        self.curve.update([1.0, part, part * part], watts / first.watts, noise);
    }

    fn choose(&mut self, at: Moment) -> ArmAction {
        let scored = |arm: usize| {
            let measured = self.measured[arm].filter(|_| !self.barred[arm])?;
            Some((arm, self.score(self.likely(measured))))
        };
        let best = (0..self.arms.len()).filter_map(scored).max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((best_arm, floor)) = best else { return self.nothing(at) };
        let cost = self.policy.switch_cost.as_secs_f64() / STAYS.as_secs_f64();
        let next = (0..self.arms.len())
            .filter(|arm| self.measured[*arm].is_none() && !self.barred[*arm])
            .filter_map(|arm| {
                let (expected, unsure) = self.expect(arm)?;
                let gain = expected_improvement(self.score(expected) - floor, unsure) - cost;
                Some((arm, gain))
            })
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .filter(|(_, gain)| *gain > self.policy.worth.get());
        match next {
            Some((arm, _)) => self.apply(arm, at),
            None if best_arm != self.here => self.apply(best_arm, at),
            None => self.done(best_arm),
        }
    }

    /// What an arm that was not measured would bring, and its standard deviation, relative.
    fn expect(&self, arm: usize) -> Option<(Measured, f64)> {
        let first = self.first?;
        let told = |arm: usize| self.arms[arm].told.map(Watts::get);
        let normal = first.watts;
        let (watts, unsure) = match (told(arm), &self.arms[arm].command) {
            (Some(watts), _) => (watts * self.gain(), TOLD),
            (None, Command::Mode(WorkMode::Low)) => (normal * MODES.0, UNTOLD),
            (None, Command::Mode(WorkMode::High)) => (normal * MODES.1, UNTOLD),
            (None, _) => (normal, UNTOLD),
        };
        if self.limits.power.is_some_and(|most| watts > most.get()) {
            return None;
        }
        let (rate, spread) = self.rate_at(watts)?;
        Some((Measured { watts, rate, error: spread }, spread.hypot(unsure)))
    }

    /// What was measured, drawn towards what all the others say as far as it is unsure.
    fn likely(&self, seen: Measured) -> Measured {
        let Some((rate, spread)) = self.rate_at(seen.watts) else { return seen };
        let (own, others) = (seen.error.powi(2), spread.powi(2) + BESIDE * BESIDE);
        let rate = (seen.rate * others + rate * own) / (own + others);
        Measured { rate, ..seen }
    }

    /// Hashrate that the curve gives to a power, and its standard deviation, relative.
    fn rate_at(&self, watts: f64) -> Option<(f64, f64)> {
        let first = self.first?;
        // Power rises with hashrate, so the quadratic is inverted by halving.
        let (mut low, mut high) = (0.0, 4.0);
        for _ in 0..50 {
            let middle = 0.5 * (low + high);
            let (power, _) = self.curve.predict([1.0, middle, middle * middle]);
            if power * first.watts < watts { low = middle } else { high = middle }
        }
        let part = 0.5 * (low + high);
        let spread = self.curve.predict([1.0, part, part * part]).1 * first.watts / watts;
        (part > 0.01).then_some((part * first.rate, spread))
    }

    /// Measured over told power, over all arms that have both.
    fn gain(&self) -> f64 {
        let both = self.arms.iter().zip(&self.measured);
        let ratios = both.filter_map(|(arm, seen)| Some(seen.as_ref()?.watts / arm.told?.get()));
        let (sum, count) =
            ratios.fold((0.0, 0.0), |(sum, count), ratio| (sum + ratio, count + 1.0));
        if count > 0.0 { sum / count } else { 1.0 }
    }

    fn score(&self, seen: Measured) -> f64 {
        score(self.goal, self.first.map_or(0.0, |first| first.rate), seen.watts, seen.rate)
    }

    fn apply(&mut self, arm: usize, at: Moment) -> ArmAction {
        self.go(arm, at);
        ArmAction::Apply(arm, self.good)
    }

    fn abort(&mut self, at: Moment) -> ArmAction {
        self.barred[self.here] = true;
        self.go(self.good, at);
        ArmAction::Abort(self.good)
    }

    /// No arm is left that was measured and holds.
    fn nothing(&mut self, at: Moment) -> ArmAction {
        if self.here == self.good { ArmAction::GiveUp } else { self.abort(at) }
    }

    fn go(&mut self, arm: usize, at: Moment) {
        self.here = arm;
        self.applied = Some(at);
        self.mark = None;
        self.signs = Signs::default();
        self.board.1 = None;
        self.watts = (0.0, 0);
    }

    fn done(&self, arm: usize) -> ArmAction {
        let found = self.measured[arm].and_then(|seen| {
            let power = Watts::new(seen.watts).ok()?;
            let rate = Hashrate::from_hashes_per_second(seen.rate);
            let efficiency = Efficiency::of(power, rate).ok()?;
            Some(ArmFound { arm, rate, power, efficiency })
        });
        found.map_or(ArmAction::GiveUp, ArmAction::Done)
    }
}

/// How good a setting is for a goal, as a logarithm; `first` is the hashrate of which a part is to be kept.
pub(super) fn score(goal: Goal, first: f64, watts: f64, rate: f64) -> f64 {
    const FAILS: f64 = 100.0;
    match goal {
        // Shares tell no more than about two percent.
        Goal::Efficiency { keep } if rate < 0.98 * keep.get() * first => {
            (rate / first).ln() - FAILS
        }
        Goal::Efficiency { .. } => (rate / watts).ln(),
        Goal::Watts(most) if watts > most.get() => -(watts / most.get()).ln() - FAILS,
        Goal::Heat(heat) => rate.ln() - 5.0 * (watts / heat.get() - 1.0).abs(),
        _ => rate.ln(),
    }
}

#[cfg(test)]
mod tests;
