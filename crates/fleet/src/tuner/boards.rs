//! Boards that are not alike, each brought to a clock of its own from the best common setting: the one that
//! loses hashes a step down, those that lose none a step up. A step stays if power, the boards' own rates,
//! their error counters and the verified work agree that it is worth it; all steps together have to be
//! proved by verified work at the end, or the common setting is set again. Pure, as the other tuners.

use super::{
    Goal, Policy,
    arms::{ENOUGH, score},
    signs::Signs,
};
use crate::{
    capability::Boards as Able,
    limits::Limits,
    readings::{Moment, Readings},
    work::Window,
};
use std::time::Duration;
use units::{Efficiency, Hashrate, Megahertz, Ratio, Watts};

/// One step, MHz: that between two profiles of LuxOS.
const STEP: f64 = 25.0;
/// No board goes further from the common clock, MHz: the voltage is that of the common one.
const FURTHEST: f64 = 4.0 * STEP;
/// A board that loses more than the first may do better lower, one that loses less than the second higher.
const LOSSY: f64 = 0.005;
const CLEAN: f64 = 0.01;
/// A clock that is not read back within this was not taken.
const ARRIVES: Duration = Duration::from_secs(60);
/// Read-back is within half a step of a PLL, MHz.
const SAME: f64 = 3.2;
/// Shares that measure the first and the last setting to 0.7 %.
const PROOF: u64 = 4 * ENOUGH;
/// A score below this fails the goal.
const FALLS: f64 = 50.0;
/// Verified work that lags what boards say by more standard errors than this contradicts them.
const DISAGREES: f64 = 2.5;

/// What is seen at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct BoardSeen {
    /// Now.
    pub at: Moment,
    /// Clocks of all boards, read back; empty if they were not told.
    pub clocks: Vec<Megahertz>,
    /// Sensors, the boards' own among them.
    pub readings: Readings,
    /// Power by the best source, with its relative error.
    pub power: Option<(Watts, f64)>,
    /// Work verified since a clock was last changed.
    pub work: Option<Window>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum BoardAction {
    /// Nothing yet.
    Wait,
    /// This board is to have this clock.
    Apply(u8, Megahertz),
    /// Its last step was nothing: this board is to have its clock of before, and why.
    Undo(u8, Megahertz, &'static str),
    /// All boards are to have the common setting again, and why.
    Common(&'static str),
    /// Stay: the work proves that it is better than the common setting.
    Done(BoardFound),
}

/// Clocks, and what they were measured to bring.
#[derive(Debug, Clone, PartialEq)]
pub struct BoardFound {
    /// Of each board.
    pub clocks: Vec<Megahertz>,
    /// Verified hashrate.
    pub rate: Hashrate,
    /// Power.
    pub power: Watts,
    /// What that makes.
    pub efficiency: Efficiency,
}

/// One machine's boards.
#[derive(Debug, Clone)]
pub struct Boards {
    goal: Goal,
    policy: Policy,
    limits: Limits,
    able: Able,
    /// What `keep` is a part of, verified hashes a second.
    kept: f64,
    common: Vec<f64>,
    clocks: Vec<f64>,
    /// The board whose step is being looked at, and its clock before.
    trial: Option<(usize, f64)>,
    /// Boards that go no further down, and up.
    spent: Vec<[bool; 2]>,
    first: Option<Measured>,
    best: Option<Measured>,
    proving: bool,
    applied: Option<Moment>,
    arrived: Option<Moment>,
    signs: Signs,
    look: Look,
}

#[derive(Debug, Clone, Default)]
struct Look {
    mark: Option<(Moment, Window)>,
    watts: (f64, u32),
    /// Per board: hashes a second, share lost by its rate.
    boards: Vec<(f64, f64)>,
    count: u32,
}

#[derive(Debug, Clone, PartialEq)]
struct Measured {
    watts: f64,
    /// What the boards say, hashes a second.
    told: f64,
    /// Share that each loses of its nominal.
    lost: Vec<f64>,
    /// What the work proves, hashes a second, and its standard error, relative.
    proved: f64,
    error: f64,
}

impl Boards {
    /// Begins at the clocks that were read, which are those of the best common setting. A goal's `keep` is
    /// a part of `first`, what was verified before anything was tuned. `None` unless all boards tell
    /// their clocks.
    pub fn new(
        goal: Goal,
        policy: Policy,
        limits: Limits,
        able: Able,
        first: Hashrate,
        clocks: &[Megahertz],
    ) -> Option<Self> {
        let clocks: Vec<f64> = clocks.iter().map(|clock| clock.get()).collect();
        let count = clocks.len();
        (count > 1 && count == usize::from(able.count)).then(|| Self {
            goal,
            policy,
            limits,
            able,
            kept: first.hashes_per_second(),
            common: clocks.clone(),
            clocks,
            trial: None,
            spent: vec![[false; 2]; count],
            first: None,
            best: None,
            proving: false,
            applied: None,
            arrived: None,
            signs: Signs::default(),
            look: Look::default(),
        })
    }

    /// What to do now.
    pub fn step(&mut self, seen: &BoardSeen) -> BoardAction {
        let mut told = seen.readings.clone();
        told.power = seen.power.map(|(watts, _)| watts).or(told.power);
        if !self.limits.breaches(&told).is_empty() {
            return self.undo(seen.at, "a limit broke");
        }
        let applied = *self.applied.get_or_insert(seen.at);
        let there = self.is_there(&seen.clocks);
        if let (Some(true), None) = (there, self.arrived) {
            self.arrived = Some(seen.at);
        }
        let Some(arrived) = self.arrived else {
            if seen.at.since(applied) > ARRIVES {
                return self.undo(seen.at, "a board did not take its clock");
            }
            return BoardAction::Wait;
        };
        if there == Some(false) {
            return BoardAction::Common("a board has not the clock that it took");
        }
        if self.trial.is_none() && self.best.is_some() && !self.proving {
            return self.next(seen.at);
        }
        let (shares, settled) =
            (seen.work.map(|work| work.shares), arrived.after(self.policy.settle));
        if self.signs.are_missing(seen.at, !seen.clocks.is_empty(), shares, settled) {
            return BoardAction::Common("the machine is silent, or its work is lost");
        }
        if self.strained(&seen.readings) {
            return self.undo(seen.at, "its errors rise");
        }
        if seen.at.since(arrived) < self.policy.settle {
            return BoardAction::Wait;
        }
        match self.measure(seen) {
            Some(measured) => self.judge(seen.at, measured),
            None => BoardAction::Wait,
        }
    }

    /// Clocks that the boards were last told.
    pub fn clocks(&self) -> impl Iterator<Item = f64> {
        self.clocks.iter().copied()
    }

    fn is_there(&self, read: &[Megahertz]) -> Option<bool> {
        let same = |(is, told): (&Megahertz, &f64)| (is.get() - told).abs() <= SAME;
        (read.len() == self.clocks.len()).then(|| read.iter().zip(&self.clocks).all(same))
    }

    /// Whether the board that went up counts errors beyond what ends a trial. Counters are slow: they say
    /// early that a step is too much, and never that it is good.
    fn strained(&self, told: &Readings) -> bool {
        let Some((board, before)) = self.trial else { return false };
        let errors = told.boards.get(board).and_then(|own| own.errors).map(Ratio::get);
        let up = self.clocks[board] > before;
        up && errors.is_some_and(|errors| errors > self.policy.abort_errors.get())
    }

    fn measure(&mut self, seen: &BoardSeen) -> Option<Measured> {
        let (work, boards) = (seen.work?, &seen.readings.boards);
        if boards.len() != self.clocks.len() {
            return None;
        }
        let look = &mut self.look;
        look.boards.resize(boards.len(), (0.0, 0.0));
        for (sum, own) in look.boards.iter_mut().zip(boards) {
            let (rate, full) =
                (own.rate.hashes_per_second(), own.nominal.hashes_per_second().max(1.0));
            *sum = (sum.0 + rate, sum.1 + 1.0 - rate / full);
        }
        look.count += 1;
        let (watts, _) = seen.power?;
        look.watts = (look.watts.0 + watts.get(), look.watts.1 + 1);
        let (since, from) = *look.mark.get_or_insert((seen.at, work));
        let shares = work.shares.saturating_sub(from.shares);
        let whole = self.first.is_none() || self.proving;
        let (enough, longest) =
            if whole { (PROOF, 2 * self.policy.dwell) } else { (ENOUGH, self.policy.dwell) };
        let over = seen.at.since(since) >= longest;
        if shares < enough && !(over && shares > 0) {
            return None;
        }
        let seconds = work.time.saturating_sub(from.time).as_secs_f64();
        let proved = (work.work.hashes() - from.work.hashes()) / seconds;
        let count = f64::from(look.count);
        let measured = Measured {
            watts: look.watts.0 / f64::from(look.watts.1),
            told: look.boards.iter().map(|(rate, _)| rate / count).sum(),
            lost: look.boards.iter().map(|(_, lost)| (lost / count).max(0.0)).collect(),
            proved,
            error: 1.0 / (shares as f64).sqrt(),
        };
        let real = measured.proved.is_finite() && measured.proved > 0.0;
        (real && measured.told > 0.0 && measured.watts > 0.0).then_some(measured)
    }

    fn judge(&mut self, at: Moment, now: Measured) -> BoardAction {
        let (Some(first), Some(best)) = (self.first.clone(), self.best.clone()) else {
            (self.first, self.best) = (Some(now.clone()), Some(now));
            return self.next(at);
        };
        if self.proving {
            return self.prove(&first, now);
        }
        let Some((board, before)) = self.trial else { return self.next(at) };
        let kept = self.kept * first.told / first.proved;
        let joules = |of: &Measured| of.watts / of.told;
        let better = if self.clocks[board] < before {
            // What is saved by a board that wastes is spent better elsewhere, whatever the goal.
            joules(&now) < joules(&best) && score(self.goal, kept, now.watts, now.told) > -FALLS
        } else {
            let gain = score(self.goal, kept, now.watts, now.told)
                - score(self.goal, kept, best.watts, best.told);
            gain > 0.0
        };
        let agrees = |now: &Measured| {
            let fell = (now.proved / now.told) / (first.proved / first.told) - 1.0;
            fell > -DISAGREES * now.error.hypot(first.error)
        };
        if !better {
            return self.undo(at, "it brings nothing");
        }
        if !agrees(&now) {
            return self.undo(at, "verified work does not follow what the boards say");
        }
        self.trial = None;
        // Down or up, not both: a board that swings is never done.
        self.spent[board][usize::from(self.clocks[board] < before)] = true;
        self.best = Some(now);
        self.next(at)
    }

    /// The next step, or the proof of all of them.
    fn next(&mut self, at: Moment) -> BoardAction {
        let Some(best) = &self.best else { return BoardAction::Wait };
        let clocks = self.able.clocks;
        let count = self.clocks.len() as f64;
        let near = |board: usize, to: f64| {
            (to - self.common[board]).abs() <= FURTHEST
                && clocks.low.get() <= to
                && to <= clocks.high.get()
        };
        let all = || 0..self.clocks.len();
        let worst = all()
            .filter(|n| best.lost[*n] > LOSSY && !self.spent[*n][0])
            .filter(|n| near(*n, self.clocks[*n] - STEP))
            .max_by(|a, b| best.lost[*a].total_cmp(&best.lost[*b]));
        // As if all of its power were switched.
        let watts = |n: usize| best.watts * (1.0 + STEP / (self.clocks[n] * count));
        let most =
            [self.limits.power, if let Goal::Watts(most) = self.goal { Some(most) } else { None }];
        let fits = |n: &usize| most.iter().flatten().all(|most| watts(*n) <= most.get());
        let cleanest = all()
            .filter(|n| best.lost[*n] < CLEAN && !self.spent[*n][1])
            .filter(|n| near(*n, self.clocks[*n] + STEP))
            .filter(fits)
            .min_by(|a, b| best.lost[*a].total_cmp(&best.lost[*b]));
        match (worst, cleanest) {
            (Some(board), _) => self.apply(at, board, -STEP),
            (None, Some(board)) => self.apply(at, board, STEP),
            (None, None) if self.clocks == self.common => {
                BoardAction::Common("all boards do best at the same clock")
            }
            (None, None) => {
                self.proving = true;
                self.look = Look::default();
                BoardAction::Wait
            }
        }
    }

    /// The whole way by verified work alone: better by more than its error, or it was nothing.
    fn prove(&self, first: &Measured, now: Measured) -> BoardAction {
        let kept = self.kept;
        let gain = score(self.goal, kept, now.watts, now.proved)
            - score(self.goal, kept, first.watts, first.proved);
        if gain < now.error.hypot(first.error) {
            return BoardAction::Common("the work does not prove that it is better");
        }
        let rate = Hashrate::from_hashes_per_second(now.proved);
        let clocks = self.clocks.iter().filter_map(|mhz| Megahertz::new(*mhz).ok()).collect();
        let found = Watts::new(now.watts).ok().and_then(|power| {
            let efficiency = Efficiency::of(power, rate).ok()?;
            Some(BoardFound { clocks, rate, power, efficiency })
        });
        found.map_or(BoardAction::Common("nothing could be measured"), BoardAction::Done)
    }

    fn apply(&mut self, at: Moment, board: usize, by: f64) -> BoardAction {
        let before = self.clocks[board];
        self.trial = Some((board, before));
        match self.go(at, board, before + by) {
            Some((board, clock)) => BoardAction::Apply(board, clock),
            None => BoardAction::Common("there is no such clock"),
        }
    }

    /// A step is undone; without one, nothing but the common setting is known to be good.
    fn undo(&mut self, at: Moment, why: &'static str) -> BoardAction {
        let Some((board, before)) = self.trial.take() else { return BoardAction::Common(why) };
        let down = self.clocks[board] < before;
        self.spent[board][usize::from(!down)] = true;
        match self.go(at, board, before) {
            Some((board, clock)) => BoardAction::Undo(board, clock, why),
            None => BoardAction::Common(why),
        }
    }

    fn go(&mut self, at: Moment, board: usize, mhz: f64) -> Option<(u8, Megahertz)> {
        self.clocks[board] = mhz;
        (self.applied, self.arrived) = (Some(at), None);
        self.signs = Signs::default();
        self.look = Look::default();
        Some((u8::try_from(board).ok()?, Megahertz::new(mhz).ok()?))
    }
}

#[cfg(test)]
mod tests;
