//! Carries out the choice among profiles, limits and modes, with a journal of its own.

mod boards;

use super::{
    Often, PowerOf, Proved, TuneError, insist, insist_that,
    journal::{LONGEST, ends, sync_folder},
};
use crate::{
    command::{Command, WorkMode},
    control::{Clock, Meter, Who},
    driver::{Driver, State},
    tuner::{ArmAction, ArmFound, ArmSeen, Arms, Policy},
    verify,
    work::WorkScale,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::OpenOptions,
    future::Future,
    io::{self, Write},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};
use units::Watts;

/// How a choice is carried out.
pub struct ArmPlan<'a> {
    /// How boldly.
    pub policy: Policy,
    /// Whose work it is.
    pub who: Who,
    /// Emulated hashes behind each real one.
    pub scale: WorkScale,
    /// The best source of its power.
    pub power: &'a PowerOf,
    /// Longest tuning.
    pub time: Option<Duration>,
    /// Where the journal is kept.
    pub journal: PathBuf,
}

/// What happens meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub enum ArmNews {
    /// A setting is tried; the second one is known to be good.
    Applying(Command, Command),
    /// Back to one that is known to be good.
    Restored(Command),
    /// The machine refused or did not answer.
    Refused(String),
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ArmEnd {
    /// At the best of them.
    Found(ArmFound),
    /// Stopped, or out of time: at the last one that was good.
    Stopped(Command),
}

/// A step as it stands in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    step: String,
    at_s: f64,
    setting: String,
    last_good: String,
    /// The last good one so that it can be told again.
    home: Option<Home>,
}

/// A command that an arm may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Home {
    Profile(String),
    PowerLimitW(f64),
    Mode(WorkMode),
}

impl Home {
    fn of(command: &Command) -> Option<Self> {
        match command {
            Command::Profile(name) => Some(Self::Profile(name.clone())),
            Command::PowerLimit(watts) => Some(Self::PowerLimitW(watts.get())),
            Command::Mode(mode) => Some(Self::Mode(*mode)),
            _ => None,
        }
    }

    fn command(self) -> Option<Command> {
        match self {
            Self::Profile(name) => Some(Command::Profile(name)),
            Self::PowerLimitW(watts) => Watts::new(watts).ok().map(Command::PowerLimit),
            Self::Mode(mode) => Some(Command::Mode(mode)),
        }
    }
}

/// Finds the best of a machine's arms. However it ends, its share interval is the usual one again and it
/// is at an arm that was good.
pub async fn tune_arms(
    link: &dyn Driver,
    meter: &dyn Meter,
    clock: &Clock,
    plan: &ArmPlan<'_>,
    tuner: Arms,
    stop: impl Future<Output = ()>,
    news: &mut (dyn FnMut(ArmNews) + Send + Sync),
) -> Result<ArmEnd, TuneError> {
    let _often = Often::new(meter, &plan.who, plan.policy.share_interval);
    let here = tuner.here();
    let (proved, returning, apart) = (Proved::default(), false, false);
    let mut run =
        Run { link, meter, clock, plan, news, tuner, proved, here, good: here, returning, apart };
    let home = run.command(here);
    shorten(&plan.journal)?;
    run.write("start", &home, &home)?;
    let mut stop = pin!(stop);
    let end = tokio::select! {
        end = run.until_done() => end,
        () = &mut stop => Ok(None),
    };
    match end {
        Ok(Some(found)) => Ok(ArmEnd::Found(found)),
        Ok(None) => run.go_home().await,
        Err(error) => run.go_home().await.and(Err(error)),
    }
}

/// Returns a machine that a crash left in the middle of a trial to its last good arm. `None` if nothing
/// was left unfinished.
pub async fn recover_arm(
    link: &dyn Driver,
    clock: &Clock,
    journal: &Path,
) -> Result<Option<Command>, TuneError> {
    let wrong = |error| TuneError::Journal { path: journal.into(), error };
    let text = ends(journal).map_err(wrong)?;
    let row = text.lines().filter_map(|line| serde_json::from_str::<Row>(line).ok()).next_back();
    let Some(row) = row.filter(|row| row.step == "applying") else { return Ok(None) };
    let Some(home) = row.home.and_then(Home::command) else { return Ok(None) };
    if !insist(link, clock, &home).await {
        return Err(TuneError::NotRestored(home));
    }
    write(journal, clock, "restored", &home, &home)?;
    Ok(Some(home))
}

struct Run<'a> {
    link: &'a dyn Driver,
    meter: &'a dyn Meter,
    clock: &'a Clock,
    plan: &'a ArmPlan<'a>,
    news: &'a mut (dyn FnMut(ArmNews) + Send + Sync),
    tuner: Arms,
    proved: Proved,
    here: usize,
    good: usize,
    /// Told to return, not yet read back.
    returning: bool,
    /// Boards may have clocks of their own.
    apart: bool,
}

impl Run<'_> {
    /// `None` when its time is over, or nothing can be measured.
    async fn until_done(&mut self) -> Result<Option<ArmFound>, TuneError> {
        let begun = self.clock.now();
        loop {
            let seen = self.look().await;
            if self.returning && seen.there == Some(true) {
                self.returning = false;
                let home = self.command(self.here);
                self.write("restored", &home, &home)?;
                (self.news)(ArmNews::Restored(home));
            }
            match self.tuner.step(&seen) {
                ArmAction::Wait => {}
                ArmAction::Apply(arm, good) => {
                    (self.here, self.good, self.returning) = (arm, good, false);
                    let (setting, home) = (self.command(arm), self.command(good));
                    self.write("applying", &setting, &home)?;
                    (self.news)(ArmNews::Applying(setting, home));
                    self.apply().await;
                }
                ArmAction::Abort(good) => {
                    (self.here, self.good, self.returning) = (good, good, true);
                    let home = self.command(good);
                    // What is meant; that it is so is written once it is read back.
                    self.write("applying", &home, &home)?;
                    self.apply().await;
                }
                ArmAction::GiveUp => return Ok(None),
                ArmAction::Done(found) => {
                    let here = self.command(found.arm);
                    self.write("good", &here, &here)?;
                    self.good = found.arm;
                    return Ok(Some(self.set_apart(found).await?));
                }
            }
            if self.plan.time.is_some_and(|time| self.clock.now().since(begun) > time) {
                return Ok(None);
            }
            tokio::time::sleep(self.clock.real(self.plan.policy.period)).await;
        }
    }

    async fn look(&mut self) -> ArmSeen {
        let state = self.link.read().await.ok();
        let at = self.clock.now();
        let command = self.command(self.here);
        let there = state.as_ref().and_then(|state| verify::holds(&command, None, state));
        let readings = state.unwrap_or_default().readings;
        let power = (self.plan.power)(&readings, at);
        let work = self.proved.window(self.meter, &self.plan.who, self.plan.scale, at);
        ArmSeen { at, there, readings, power, work }
    }

    async fn apply(&mut self) {
        let command = self.command(self.here);
        self.send(&command).await;
    }

    async fn send(&mut self, command: &Command) {
        match self.link.apply(command).await {
            Ok(crate::driver::Reply::Accepted) => {}
            Ok(crate::driver::Reply::Refused(words)) => (self.news)(ArmNews::Refused(words)),
            Err(error) => (self.news)(ArmNews::Refused(error.to_string())),
        }
        self.proved.begin();
    }

    async fn go_home(&mut self) -> Result<ArmEnd, TuneError> {
        let home = self.command(self.good);
        let meant = self.write("applying", &home, &home);
        let apart = self.apart;
        let is_home = |state: &State| {
            verify::holds(&home, None, state) == Some(true)
                && (!apart || boards::is_home(&home, state))
        };
        if !insist_that(self.link, self.clock, &home, is_home).await {
            return Err(TuneError::NotRestored(home));
        }
        meant?;
        self.write("restored", &home, &home)?;
        (self.news)(ArmNews::Restored(home.clone()));
        Ok(ArmEnd::Stopped(home))
    }

    fn command(&self, arm: usize) -> Command {
        self.tuner.arms()[arm].command.clone()
    }

    fn write(&self, step: &str, setting: &Command, good: &Command) -> Result<(), TuneError> {
        write(&self.plan.journal, self.clock, step, setting, good)
    }
}

/// A journal that many tunings have made long is put beside the next one.
fn shorten(path: &Path) -> Result<(), TuneError> {
    let put = || match std::fs::metadata(path) {
        Ok(about) if about.len() > LONGEST / 2 => {
            std::fs::rename(path, path.with_extension("jsonl.before"))?;
            sync_folder(path)
        }
        _ => Ok(()),
    };
    put().map_err(|error| TuneError::Journal { path: path.into(), error })
}

/// On disk before it returns.
fn write(
    path: &Path,
    clock: &Clock,
    step: &str,
    setting: &Command,
    good: &Command,
) -> Result<(), TuneError> {
    let row = Row {
        step: step.into(),
        at_s: clock.now().0.as_secs_f64(),
        setting: setting.to_string(),
        last_good: good.to_string(),
        home: Home::of(good),
    };
    let put = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut line = serde_json::to_vec(&row)?;
        line.insert(0, b'\n');
        line.push(b'\n');
        let new = !path.exists();
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(&line)?;
        file.sync_data()?;
        if new { sync_folder(path) } else { Ok(()) }
    };
    put().map_err(|error| TuneError::Journal { path: path.into(), error })
}

#[cfg(test)]
mod tests;
