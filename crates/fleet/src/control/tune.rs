//! Carries out what a tuner decides, keeps its journal, restores the last good setting on any doubt.
//! Decides nothing: what is seen goes to the tuner, what the tuner says goes to the machine.

mod arms;
mod journal;

pub use arms::{ArmEnd, ArmNews, ArmPlan, recover_arm, tune_arms};
pub use journal::Journal;

use super::{Clock, Meter, Who};
use crate::{
    command::Command,
    driver::{Driver, DriverError, Reply, State},
    readings::{Moment, Readings},
    settings::Settings,
    tuner::same,
    tuner::{Action, Entry, Envelope, Found, Goal, Observation, Point, Policy, Prior, Tuner},
    verify,
    work::{Tally, Window, WorkScale},
};
use std::{collections::HashMap, future::Future, io, path::PathBuf, pin::pin, time::Duration};
use units::{Watts, Work};

/// Sessions of a machine that are told apart.
const SESSIONS: usize = 64;
/// How often a machine is told its last good setting before it is given up.
const ATTEMPTS: u32 = 5;
/// Pause between two of them.
const PAUSE: Duration = Duration::from_secs(2);

/// Power of a machine by the best source there is, and its relative error.
pub type PowerOf = dyn Fn(&Readings, Moment) -> Option<(Watts, f64)> + Send + Sync;

/// What is to be tuned, and how.
pub struct Plan<'a> {
    /// For what.
    pub goal: Goal,
    /// How boldly.
    pub policy: Policy,
    /// Within which limits.
    pub envelope: Envelope,
    /// What is known of the model.
    pub prior: Prior,
    /// Whose work it is.
    pub who: Who,
    /// Emulated hashes behind each real one.
    pub scale: WorkScale,
    /// The best source of its power.
    pub power: &'a PowerOf,
    /// Longest tuning; after it the best so far stays. `None` ends at the first rest.
    pub time: Option<Duration>,
    /// Go on watching after the first rest, and tune again in other air, until stopped.
    pub keep_on: bool,
}

/// What happens meanwhile, for logs and pages.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A step, already in the journal.
    Step(Entry),
    /// The machine refused or did not answer a step.
    Refused(String),
    /// The best setting there is, for now.
    Found(Found),
}

/// How a tuning ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// At a setting that its work proved.
    Found(Found),
    /// Stopped, or out of time: the machine is at its last good setting.
    Stopped(Point),
}

/// Why a machine is not tuned.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// No answer at the very beginning.
    #[error("the machine does not answer: {0}")]
    Machine(#[from] DriverError),
    /// It does not tell what it is set to.
    #[error("the machine does not tell its clock and core voltage; it cannot be tuned this way")]
    NoSetting,
    /// The journal cannot be kept, and without one nothing is tried.
    #[error("the journal {path} cannot be written: {error}; nothing was changed")]
    Journal {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The last good setting was not read back.
    #[error("the machine does not go back and {0}; set it by hand")]
    NotRestored(Command),
    /// There is nothing to undo.
    #[error("this machine has not been tuned")]
    NotTuned,
}

/// Tunes one machine until it rests, time is over or `stop` is ready. However it ends, its share
/// interval is the usual one again and it is at a setting that was good.
pub async fn tune(
    link: &dyn Driver,
    meter: &dyn Meter,
    clock: &Clock,
    plan: &Plan<'_>,
    journal: &mut Journal,
    stop: impl Future<Output = ()>,
    news: &mut (dyn FnMut(News) + Send + Sync),
) -> Result<End, TuneError> {
    let start = point_of(&link.read().await?.settings).ok_or(TuneError::NoSetting)?;
    let Plan { goal, policy, envelope, prior, .. } = *plan;
    let tuner = match journal.unfinished() {
        Some(entries) => Tuner::resume(goal, policy, envelope, prior, entries),
        None => None,
    };
    let tuner = match tuner {
        Some(tuner) => tuner,
        None => {
            journal.begin(clock.now(), start)?;
            Tuner::new(goal, policy, envelope, prior, start)
        }
    };
    let often = Often::new(meter, &plan.who, policy.share_interval);
    let seen = Seen::default();
    let mut run = Run { link, meter, clock, plan, journal, news, tuner, seen, often };
    let mut stop = pin!(stop);
    let end = tokio::select! {
        end = run.until_rest() => end,
        () = &mut stop => run.go_home("stopped").await,
    };
    match end {
        Err(TuneError::Journal { path, error }) => {
            // Without a journal nothing more is tried, and what was tried is left.
            let home = run.tuner.last_good();
            restore(link, clock, home).await?;
            Err(TuneError::Journal { path, error })
        }
        end => end,
    }
}

/// Shares come often while this lives, and as often as all others' after it, however that ends.
struct Often<'a> {
    meter: &'a dyn Meter,
    who: &'a Who,
    interval: Duration,
    now: bool,
}

impl<'a> Often<'a> {
    fn new(meter: &'a dyn Meter, who: &'a Who, interval: Duration) -> Self {
        meter.share_interval(who, Some(interval));
        Self { meter, who, interval, now: true }
    }

    /// Often, or as all others' do.
    fn set(&mut self, often: bool) {
        if self.now != often {
            self.now = often;
            self.meter.share_interval(self.who, often.then_some(self.interval));
        }
    }
}

impl Drop for Often<'_> {
    fn drop(&mut self) {
        self.meter.share_interval(self.who, None);
    }
}

/// Returns a machine that a crash left in the middle of a trial to its last good setting. `None` if
/// nothing was left unfinished.
pub async fn recover(
    link: &dyn Driver,
    clock: &Clock,
    journal: &mut Journal,
) -> Result<Option<Point>, TuneError> {
    let Some(Entry::Applying { last_good, .. }) = journal.entries.last().cloned() else {
        return Ok(None);
    };
    journal
        .bring_back(link, clock, last_good, "the program ended in the middle of a trial")
        .await?;
    Ok(Some(last_good))
}

/// Sets a machine to what it was before it was last tuned.
pub async fn undo(
    link: &dyn Driver,
    clock: &Clock,
    journal: &mut Journal,
) -> Result<Point, TuneError> {
    let first = journal.entries.first().ok_or(TuneError::NotTuned)?;
    let point = match first {
        Entry::Applying { last_good, .. } => *last_good,
        Entry::Good { point, .. } | Entry::Restored { point, .. } => *point,
    };
    journal.bring_back(link, clock, point, "undone").await?;
    Ok(point)
}

struct Run<'a> {
    link: &'a dyn Driver,
    meter: &'a dyn Meter,
    clock: &'a Clock,
    plan: &'a Plan<'a>,
    journal: &'a mut Journal,
    news: &'a mut (dyn FnMut(News) + Send + Sync),
    tuner: Tuner,
    seen: Seen,
    often: Often<'a>,
}

/// What is remembered between two looks.
#[derive(Default)]
struct Seen {
    proved: Proved,
    uptime: Option<Duration>,
    found: Option<Found>,
}

impl Run<'_> {
    async fn until_rest(&mut self) -> Result<End, TuneError> {
        let begun = self.clock.now();
        let period = self.plan.policy.period;
        loop {
            let seen = self.look().await;
            let action = self.tuner.step(&seen);
            for entry in self.tuner.take_entries() {
                self.journal.write(&entry)?;
                // A return is news once it is read back.
                let returns = |point, last_good| same(point, last_good);
                if !matches!(entry, Entry::Applying { point, last_good, .. } if returns(point, last_good))
                {
                    (self.news)(News::Step(entry));
                }
            }
            self.often.set(!matches!(action, Action::Done(_)));
            match action {
                Action::Wait(time) => self.sleep(time).await,
                Action::Apply { point, .. } | Action::Abort { last_good: point, .. } => {
                    self.apply(point).await;
                    self.sleep(period).await;
                }
                Action::Done(found) => {
                    if self.seen.found.replace(found) != Some(found) {
                        (self.news)(News::Found(found));
                    }
                    if !self.plan.keep_on {
                        return Ok(End::Found(found));
                    }
                    self.sleep(period).await;
                }
            }
            let over = |time| self.clock.now().since(begun) > time;
            if self.plan.time.is_some_and(over) {
                return self.go_home("its time is over").await;
            }
        }
    }

    async fn look(&mut self) -> Observation {
        let state = self.link.read().await.ok();
        let at = self.clock.now();
        let State { readings, settings } = state.unwrap_or_default();
        let (before, now) = (self.seen.uptime, readings.uptime);
        self.seen.uptime = now.or(before);
        let slack = Duration::from_secs(1);
        let restarted = before.zip(now).is_some_and(|(before, now)| now + slack < before);
        let power = (self.plan.power)(&readings, at);
        let work = self.seen.proved.window(self.meter, &self.plan.who, self.plan.scale, at);
        Observation { at, setting: point_of(&settings), readings, power, work, restarted }
    }

    async fn apply(&mut self, point: Point) {
        match self.link.apply(&clock_to(point)).await {
            Ok(Reply::Accepted) => {}
            Ok(Reply::Refused(words)) => (self.news)(News::Refused(words)),
            Err(error) => (self.news)(News::Refused(error.to_string())),
        }
        self.seen.proved.begin();
    }

    async fn go_home(&mut self, why: &str) -> Result<End, TuneError> {
        let point = self.tuner.last_good();
        let entry = self.journal.bring_back(self.link, self.clock, point, why).await?;
        (self.news)(News::Step(entry));
        Ok(End::Stopped(point))
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(self.clock.real(time)).await;
    }
}

/// Work that a machine proved, over all its sessions; those that ended keep what they proved.
#[derive(Default)]
struct Proved {
    sessions: HashMap<u64, Tally>,
    /// Of sessions that ended long ago.
    ended: Tally,
    since: Option<Tally>,
}

impl Proved {
    /// Counts from the next look on.
    fn begin(&mut self) {
        self.since = None;
    }

    /// Work since it began to count; `None` while no session of the machine is open.
    fn window(
        &mut self,
        meter: &dyn Meter,
        who: &Who,
        scale: WorkScale,
        at: Moment,
    ) -> Option<Window> {
        let mine = meter.tallies_of(who, at).into_iter().flatten();
        let mut open = false;
        for worked in mine {
            open = true;
            self.sessions.insert(worked.session, worked.tally);
        }
        while self.sessions.len() > SESSIONS
            && let Some(oldest) = self.sessions.keys().min().copied()
            && let Some(tally) = self.sessions.remove(&oldest)
        {
            add(&mut self.ended, &tally);
        }
        let now = self.total(at);
        let from = *self.since.get_or_insert(now);
        let none = Window { time: Duration::ZERO, shares: 0, work: Work::ZERO, faulty: 0 };
        open.then(|| Window::between(&from, &now, scale).unwrap_or(none))
    }

    fn total(&self, at: Moment) -> Tally {
        let mut total = Tally { at, ..self.ended };
        for tally in self.sessions.values() {
            add(&mut total, tally);
        }
        total
    }
}

fn add(total: &mut Tally, tally: &Tally) {
    total.accepted += tally.accepted;
    total.faulty += tally.faulty;
    total.work = Work::from_hashes(total.work.hashes() + tally.work.hashes());
}

/// Tells a machine a setting until it is read back.
async fn restore(link: &dyn Driver, clock: &Clock, point: Point) -> Result<(), TuneError> {
    let command = clock_to(point);
    if insist(link, clock, &command).await { Ok(()) } else { Err(TuneError::NotRestored(command)) }
}

/// Tells a machine a command until it is read back; `false` if it never is. What was read before it was
/// told proves nothing: an earlier command may still be on its way to the chip.
async fn insist(link: &dyn Driver, clock: &Clock, command: &Command) -> bool {
    let is = |state: &State| match *command {
        // Trials are a few millivolts apart: nearer than a command is otherwise judged by.
        Command::Clock { frequency, voltage } => {
            point_of(&state.settings).is_some_and(|now| same(now, Point { frequency, voltage }))
        }
        _ => verify::holds(command, None, state) == Some(true),
    };
    insist_that(link, clock, command, is).await
}

/// The same, judged by this.
async fn insist_that(
    link: &dyn Driver,
    clock: &Clock,
    command: &Command,
    is: impl Fn(&State) -> bool,
) -> bool {
    for _ in 0..ATTEMPTS {
        // What it says does not matter: what is read back does.
        let _ = link.apply(command).await;
        let wait = PAUSE.max(link.patience(command) / ATTEMPTS);
        tokio::time::sleep(clock.real(wait)).await;
        if link.read().await.is_ok_and(|state| is(&state)) {
            return true;
        }
    }
    false
}

fn clock_to(point: Point) -> Command {
    Command::Clock { frequency: point.frequency, voltage: point.voltage }
}

fn point_of(settings: &Settings) -> Option<Point> {
    Some(Point { frequency: settings.frequency?, voltage: settings.voltage? })
}

#[cfg(test)]
mod tests;
