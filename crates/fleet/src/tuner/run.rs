//! One machine's tuning as a state machine: what is watched at every moment, when a setting has been
//! looked at long enough, and what follows.

mod guard;
mod rest;

use super::{
    Action, Envelope, Found, Goal, Observation, Point, Policy, Prior,
    belief::{Belief, Seen, place, same},
    choose::{Avoid, Choice, Chooser},
    journal::{self, Entry},
    look::{Look, Role},
    sequential::{self, Verdict},
};
use crate::{readings::Moment, work::Window};
use guard::{Doubt, Watch};
use std::time::Duration;
use units::{Celsius, Efficiency, Hashrate, Ratio, Watts};

/// A setting that is not read back within this is not believed to have been taken.
const ARRIVES: Duration = Duration::from_secs(20);
/// Readings that make a look.
const LOOK: u32 = 5;
/// Shares that tell a machine's health to 1.5 %.
const HEALTH_SHARES: u64 = 4500;
/// Share of hashes that work can no longer tell from none.
const UNSEEN: f64 = 0.02;
/// Why a tuning begins with a return.
const ENDED: &str = "the last tuning ended in the middle";
/// Most settings tried between two rests.
const TRIES: u32 = 60;
/// Optima in other air that are remembered.
const OPTIMA: usize = 64;
/// Chips this near their limit are followed until it shows where their temperature goes, kelvin.
const NEAR: f64 = 8.0;

/// One machine's tuning.
#[derive(Debug, Clone)]
pub struct Tuner {
    goal: Goal,
    policy: Policy,
    envelope: Envelope,
    belief: Belief,
    start: Point,
    last_good: Point,
    here: Point,
    stage: Stage,
    first: Option<f64>,
    avoid: Vec<Avoid>,
    optima: Vec<(f64, Point)>,
    wish: Option<Point>,
    watch: Watch,
    tries: u32,
    /// Told to return there, and why; not yet read back.
    returning: Option<(Point, String)>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
enum Stage {
    /// After a crash: the machine may be anywhere.
    Returning,
    /// Told to go to `here`, not yet read back there.
    Arriving { since: Option<Moment>, role: Role },
    /// There, not measured before `look.settled`.
    Looking(Look),
    /// The best there is; watched on, with the mean chip temperature at which it was found.
    Resting { found: Found, chip: f64, look: Look },
}

impl Tuner {
    /// Begins at the setting that the machine has, which counts as good.
    pub fn new(goal: Goal, policy: Policy, envelope: Envelope, prior: Prior, start: Point) -> Self {
        Self {
            goal,
            policy,
            envelope,
            belief: Belief::new(prior),
            start,
            last_good: start,
            here: start,
            stage: Stage::Arriving { since: None, role: Role::First },
            first: None,
            avoid: Vec::new(),
            optima: Vec::new(),
            wish: None,
            watch: Watch::default(),
            tries: 0,
            returning: None,
            entries: Vec::new(),
        }
    }

    /// Goes on after a crash: what was measured is known again, and a setting that was being tried is
    /// left for the last good one. `None` if the journal is empty.
    pub fn resume(
        goal: Goal,
        policy: Policy,
        envelope: Envelope,
        prior: Prior,
        journal: &[Entry],
    ) -> Option<Self> {
        let start = journal::start(journal)?;
        let mut tuner = Self::new(goal, policy, envelope, prior, start);
        tuner.last_good = journal::last_good(journal)?;
        tuner.here = tuner.last_good;
        tuner.stage = Stage::Returning;
        tuner.returning = Some((tuner.last_good, ENDED.into()));
        for entry in journal {
            let Entry::Good { point, measured, .. } = entry else { continue };
            let (Some(chip), Some(watts)) = (measured.chip, measured.power) else { continue };
            for _ in 0..LOOK {
                tuner.belief.power(*point, chip, watts, 0.05);
            }
            let lost = measured.lost.map(Ratio::get);
            let (chip, watts) = (chip.get(), watts.get());
            tuner.belief.saw(Seen { point: *point, chip, watts, lost });
            if tuner.first.is_none() {
                let kept = 1.0 - lost.unwrap_or(0.0);
                tuner.first = Some(tuner.belief.full(*point).hashes_per_second() * kept);
            }
        }
        Some(tuner)
    }

    /// What to do now.
    pub fn step(&mut self, seen: &Observation) -> Action {
        self.note(seen);
        if let Some(doubt) = self.doubt(seen) {
            return self.abort(doubt, seen.at);
        }
        match self.stage.clone() {
            Stage::Returning => self.return_home(seen),
            Stage::Arriving { since, role } => self.arrive(seen, since, role),
            Stage::Looking(look) => self.look(seen, look),
            Stage::Resting { found, chip, look } => self.rest(seen, found, chip, look),
        }
    }

    /// The steps since this was last asked, for the journal: to be on disk before the action that came
    /// with them is carried out.
    pub fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Where to return to on any doubt.
    pub fn last_good(&self) -> Point {
        self.last_good
    }

    /// What it is tuned for.
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// How it is tuned.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What was believed of the machine before anything was measured.
    pub fn prior(&self) -> &Prior {
        self.belief.prior()
    }

    /// Settings tried since the last rest.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Whether the error counters are believed: not those of a machine whose work contradicts them.
    pub fn trusts_counters(&self) -> bool {
        self.belief.trusted
    }

    fn return_home(&mut self, seen: &Observation) -> Action {
        match seen.setting {
            None => Action::Wait(self.policy.period),
            Some(setting) if same(setting, self.here) => {
                let role = if self.first.is_none() { Role::First } else { Role::Step };
                self.arrive(seen, Some(seen.at), role)
            }
            Some(_) => self.return_to_last_good(seen.at, ENDED.into()),
        }
    }

    fn arrive(&mut self, seen: &Observation, since: Option<Moment>, role: Role) -> Action {
        let since = since.unwrap_or(seen.at);
        let there = seen.setting.is_some_and(|setting| same(setting, self.here));
        if there {
            if let Some((point, why)) = self.returning.take() {
                self.entries.push(Entry::Restored { at: seen.at, point, why });
            }
            self.stage = Stage::Looking(Look::new(role, seen.at.after(self.policy.settle)));
        } else if seen.at.since(since) > ARRIVES {
            if role == Role::Step && !same(self.here, self.last_good) {
                self.shun(Avoid::Strained(self.here));
            }
            return self.return_to_last_good(seen.at, "it did not take the setting".into());
        } else {
            self.stage = Stage::Arriving { since: Some(since), role };
        }
        Action::Wait(self.policy.period)
    }

    fn look(&mut self, seen: &Observation, mut look: Look) -> Action {
        if seen.at < look.settled {
            return Action::Wait(self.policy.period);
        }
        look.take(seen);
        if look.samples() <= 4 * LOOK {
            self.learn_power(seen);
        }
        let near = self.envelope.limits.chip.get() - NEAR;
        let hot = seen.readings.chip.is_some_and(|chip| chip.get() > near);
        let over = seen.at.since(look.settled) >= self.policy.dwell;
        let strained = self.strained(seen) && !self.cooling(seen);
        if strained && look.role == Role::Proof {
            let watts = seen.power.map_or(Watts::ZERO, |(watts, _)| watts);
            return self.retune(seen.at, seen.readings.chip.map_or(0.0, Celsius::get), watts);
        }
        if look.samples() < LOOK || (hot && look.ending.is_none() && !over && !strained) {
            self.stage = Stage::Looking(look);
            return Action::Wait(self.policy.period);
        }
        let counted = look.errors().filter(|_| self.belief.trusted);
        if counted.is_none() && look.role == Role::First {
            self.belief.trusted = false;
            look.role = Role::Health(None);
        }
        match look.role {
            Role::First => self.begin(seen.at, look),
            Role::Health(short) => self.health(seen.at, look, short, over),
            Role::Step => self.judge_step(seen.at, look, over),
            Role::Proof => self.prove(seen, look, over),
        }
    }

    fn learn_power(&mut self, seen: &Observation) {
        if let (Some((watts, error)), Some(chip)) = (seen.power, seen.readings.chip) {
            self.belief.power(self.here, chip, watts, error);
        }
    }

    fn begin(&mut self, at: Moment, look: Look) -> Action {
        if look.samples() < 2 * LOOK {
            self.stage = Stage::Looking(look);
            return Action::Wait(self.policy.period);
        }
        let kept = 1.0 - look.errors().unwrap_or(0.0);
        self.first = Some(self.belief.full(self.here).hashes_per_second() * kept);
        self.good(at, look)
    }

    fn health(
        &mut self,
        at: Moment,
        look: Look,
        short: Option<(Point, f64, f64)>,
        over: bool,
    ) -> Action {
        let full = self.belief.prior().rate(self.here.frequency);
        let known = look.work().and_then(|work| {
            let enough = work.shares >= HEALTH_SHARES || over;
            Some((sequential::ratio(&work, full).filter(|_| enough)?, work.relative_error()?))
        });
        let Some((ratio, error)) = known else {
            self.stage = Stage::Looking(look);
            return Action::Wait(self.policy.period);
        };
        // Within the noise a machine is taken for sound.
        self.belief.health = if (ratio - 1.0).abs() < 2.0 * error { 1.0 } else { ratio.min(1.2) };
        if let Some((point, fell_to, chip)) = short {
            let part = fell_to / self.belief.health;
            if part < 1.0 - 0.5 * self.policy.shortfall.get() {
                self.belief.distrust();
                self.belief.cliff.saw(place(point, chip), proved_loss(part, error), 0.5);
                self.shun(Avoid::Lossy(point));
            }
        }
        self.first = Some(self.belief.full(self.start).hashes_per_second());
        self.good(at, look)
    }

    fn judge_step(&mut self, at: Moment, look: Look, over: bool) -> Action {
        let Some(work) = look.work().filter(|work| work.shares > 0) else {
            return self.go_on(look);
        };
        let expected = self.expected(&look);
        let less = self.policy.shortfall;
        if sequential::far_short(&work, expected, less) {
            return self.fell_short(at, &look, &work, expected);
        }
        if let Some(lost) = look.errors().filter(|_| self.belief.trusted) {
            if lost > self.policy.abort_errors.get() {
                return self.abort(Doubt::Lossy(lost), at);
            }
            return self.good(at, look);
        }
        let here = look.seen(self.here, 0.0, false);
        let chip = here.map_or(60.0, |seen| seen.chip);
        if self.belief.cliff.most_lost(place(self.here, chip)) < 0.005 {
            return self.good(at, look);
        }
        match verdict(&work, expected, less, over) {
            Verdict::Open => self.go_on(look),
            Verdict::Short => self.fell_short(at, &look, &work, expected),
            Verdict::Full => {
                self.belief.cliff.clean(place(self.here, chip), UNSEEN);
                self.good(at, look)
            }
        }
    }

    fn prove(&mut self, seen: &Observation, look: Look, over: bool) -> Action {
        let Some(work) = look.work().filter(|work| work.shares > 0) else {
            return self.go_on(look);
        };
        let expected = self.expected(&look);
        match verdict(&work, expected, self.policy.shortfall, over) {
            Verdict::Open => self.go_on(look),
            // One verdict in a hundred is wrong by itself: counters are not called liars on one.
            Verdict::Short if self.belief.trusted && !look.repeated => {
                let mut look = look;
                look.again(seen.at);
                self.go_on(look)
            }
            Verdict::Short => self.fell_short(seen.at, &look, &work, expected),
            Verdict::Full => {
                let Some((found, chip)) = self.found(&look, &work, seen) else {
                    return self.go_on(look);
                };
                self.mark_good(seen.at, &look);
                if self.optima.len() >= OPTIMA {
                    self.optima.remove(0);
                }
                self.optima.push((self.air(chip, found.power), self.here));
                self.tries = 0;
                self.stage = Stage::Resting { found, chip, look };
                Action::Done(found)
            }
        }
    }

    /// Work says less than the counters, or than the clock alone where there are none.
    fn fell_short(&mut self, at: Moment, look: &Look, work: &Window, expected: Hashrate) -> Action {
        let ratio = sequential::ratio(work, expected).unwrap_or(0.0);
        let chip = look.seen(self.here, 0.0, false).map_or(60.0, |seen| seen.chip);
        let short = self.here;
        let why = format!("its work proves {:.0} % of what it should", ratio * 100.0);
        if self.belief.trusted && !same(short, self.start) {
            // Counters and work disagree: one of them is wrong everywhere, or only here.
            self.last_good = self.start;
            let action = self.return_to_last_good(at, why);
            let role = Role::Health(Some((short, ratio * self.belief.health, chip)));
            self.stage = Stage::Arriving { since: Some(at), role };
            return action;
        }
        if same(short, self.start) {
            return self.go_on(look.clone().with(Role::Health(None)));
        }
        let lost = proved_loss(ratio, work.relative_error().unwrap_or(1.0));
        self.belief.cliff.saw(place(short, chip), lost, 0.5);
        self.shun(Avoid::Lossy(short));
        self.belief.seen.retain(|seen| !same(seen.point, short));
        if same(short, self.last_good) {
            self.last_good = self.safer();
        }
        self.return_to_last_good(at, why)
    }

    fn go_on(&mut self, look: Look) -> Action {
        self.stage = Stage::Looking(look);
        Action::Wait(self.policy.period)
    }

    fn expected(&self, look: &Look) -> Hashrate {
        let lost = look.errors().filter(|_| self.belief.trusted).unwrap_or(0.0);
        let full = self.belief.full(self.here).hashes_per_second();
        Hashrate::from_hashes_per_second(full * (1.0 - lost))
    }

    fn mark_good(&mut self, at: Moment, look: &Look) {
        let model = |chip: f64| {
            let chip = Celsius::new(chip).unwrap_or(Celsius::ZERO);
            self.belief.prior().power(self.here, chip).get()
        };
        let expected = model(60.0);
        if let Some(seen) = look.seen(self.here, expected, self.belief.trusted) {
            self.belief.saw(seen);
        }
        self.last_good = self.here;
        self.entries.push(Entry::Good { at, point: self.here, measured: look.measured() });
    }

    fn good(&mut self, at: Moment, look: Look) -> Action {
        self.mark_good(at, &look);
        let Some(here) = self.belief.seen.last() else { return self.go_on(look) };
        let here = Seen { chip: look.ending.unwrap_or(here.chip), ..*here };
        let chooser = Chooser {
            goal: self.goal,
            policy: &self.policy,
            envelope: &self.envelope,
            belief: &self.belief,
            here,
            air: self.watch.inlet,
            regulator: self.watch.regulator,
            first: self.first.unwrap_or(0.0),
            avoid: &self.avoid,
        };
        let wished = self.wish.filter(|wish| !same(*wish, self.here));
        let wished = wished.and_then(|wish| chooser.step_to(wish)).map(Choice::Try);
        let choice = match wished {
            Some(choice) => choice,
            None if self.tries >= TRIES => Choice::Stay,
            None => chooser.next(),
        };
        if wished.is_none() {
            self.wish = None;
        }
        match choice {
            Choice::Stay => self.go_on(look.with(Role::Proof)),
            Choice::Try(point) | Choice::Settle(point) => self.apply(at, point),
        }
    }

    fn apply(&mut self, at: Moment, point: Point) -> Action {
        self.returning = None;
        let last_good = self.last_good;
        self.cool(at, point);
        self.tries += 1;
        self.here = point;
        self.stage = Stage::Arriving { since: Some(at), role: Role::Step };
        self.entries.push(Entry::Applying { at, point, last_good });
        Action::Apply { point, last_good }
    }

    fn found(&self, look: &Look, work: &Window, seen: &Observation) -> Option<(Found, f64)> {
        let here = look.seen(self.here, 0.0, self.belief.trusted)?;
        let measured = look.measured().power;
        let chip = Celsius::new(here.chip).ok()?;
        let power = measured.unwrap_or_else(|| self.prior().power(self.here, chip));
        let power_error = match (measured, seen.power) {
            (Some(_), Some((_, error))) => error,
            _ => self.prior().uncertainty,
        };
        let rate = work.rate();
        let error = work.relative_error()?.hypot(power_error);
        let efficiency = Efficiency::of(power, rate).ok()?;
        Some((Found { point: self.here, rate, power, efficiency, error }, here.chip))
    }
}

/// Share of hashes that work says are lost, at least: a test that ends on an unlucky minute would
/// otherwise put the cliff too high.
fn proved_loss(ratio: f64, error: f64) -> f64 {
    (1.0 - ratio - 1.5 * error).max(UNSEEN)
}

/// The sequential test; at the end of the time, what is most likely well is let pass: the same test
/// goes on while the machine rests there.
fn verdict(work: &Window, expected: Hashrate, less: Ratio, over: bool) -> Verdict {
    let likely = |ratio: f64| ratio >= 1.0 - 0.75 * less.get();
    match sequential::judge(work, expected, less) {
        Verdict::Open if over && sequential::ratio(work, expected).is_some_and(likely) => {
            Verdict::Full
        }
        verdict => verdict,
    }
}
