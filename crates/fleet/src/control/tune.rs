//! Carries out what a tuner decides, keeps its journal, restores the last good setting on any doubt.
//! Decides nothing: what is seen goes to the tuner, what the tuner says goes to the machine.

mod arms;

pub use arms::{ArmEnd, ArmNews, ArmPlan, recover_arm, tune_arms};

use super::{Clock, Meter, Who};
use crate::{
    command::Command,
    driver::{Driver, DriverError, Reply, State},
    readings::{Moment, Readings},
    settings::Settings,
    tuner::same,
    tuner::{
        Action, Entry, Envelope, Found, Goal, JournalRow, Observation, Point, Policy, Prior, Tuner,
    },
    verify,
    work::{Tally, Window, WorkScale},
};
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    future::Future,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};
use units::{Watts, Work};

/// Longest end of a journal that is read back: a tuning writes some dozens of rows.
const LONGEST: u64 = 4 << 20;
/// Of a longer one this much of its beginning is read, too.
const FIRST: u64 = 8 << 10;
/// Rows that are remembered; half of them are forgotten when there are more.
const MOST: usize = 4096;
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
        let mine = meter.tallies(at).into_iter().filter(|worked| match who {
            Who::Address(ip) => worked.ip == *ip,
            Who::Worker(name) => worked.worker == *name,
        });
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
    let is = |state: State| match *command {
        // Trials are a few millivolts apart: nearer than a command is otherwise judged by.
        Command::Clock { frequency, voltage } => {
            point_of(&state.settings).is_some_and(|now| same(now, Point { frequency, voltage }))
        }
        _ => verify::holds(command, None, &state) == Some(true),
    };
    for _ in 0..ATTEMPTS {
        // What it says does not matter: what is read back does.
        let _ = link.apply(command).await;
        let wait = PAUSE.max(link.patience(command) / ATTEMPTS);
        tokio::time::sleep(clock.real(wait)).await;
        if link.read().await.is_ok_and(is) {
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

/// The journal of one machine: one JSON object a line, on disk before the step that it tells of.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Option<File>,
    entries: Vec<Entry>,
}

impl Journal {
    /// Reads what there is, of a very long one the first row and the end. A torn last line, as a crash
    /// leaves it, is not read.
    pub fn open(path: &Path) -> Result<Self, TuneError> {
        let wrong = |error| TuneError::Journal { path: path.into(), error };
        let entries = read(&ends(path).map_err(wrong)?);
        let mut journal = Self { path: path.into(), file: None, entries };
        journal.forget();
        Ok(journal)
    }

    /// Where the journal of a machine is kept, by its id.
    pub fn path(data_dir: &Path, id: &str) -> PathBuf {
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let name: String = id.chars().take(120).map(safe).collect();
        data_dir.join("tune").join(format!("{name}.jsonl"))
    }

    /// All steps.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The steps of a tuning that a crash ended: its last one was never finished.
    pub fn unfinished(&self) -> Option<&[Entry]> {
        matches!(self.entries.last(), Some(Entry::Applying { .. })).then_some(&self.entries)
    }

    /// Begins a new tuning at a setting that undoing it returns to; the one before is kept beside it.
    fn begin(&mut self, at: Moment, start: Point) -> Result<(), TuneError> {
        self.file = None;
        if !self.entries.is_empty() {
            let old = self.path.with_extension("jsonl.before");
            let put = || std::fs::rename(&self.path, old).and_then(|()| sync_folder(&self.path));
            put().map_err(|error| self.wrong(error))?;
        }
        self.entries.clear();
        let why = "as it was before it was tuned".into();
        self.write(&Entry::Restored { at, point: start, why })
    }

    /// Returns a machine to a setting: what is meant on disk before it is told, what is so after it was
    /// read back. A journal that cannot be written keeps no machine from its return.
    async fn bring_back(
        &mut self,
        link: &dyn Driver,
        clock: &Clock,
        point: Point,
        why: &str,
    ) -> Result<Entry, TuneError> {
        let meant = self.write(&Entry::Applying { at: clock.now(), point, last_good: point });
        restore(link, clock, point).await?;
        meant?;
        let done = Entry::Restored { at: clock.now(), point, why: why.into() };
        self.write(&done)?;
        Ok(done)
    }

    /// Keeps memory within bounds: the first row, which undoing needs, and the newer half.
    fn forget(&mut self) -> bool {
        let long = self.entries.len() > MOST;
        if long {
            let newer = self.entries.len() - MOST / 2;
            self.entries.drain(1..newer);
        }
        long
    }

    /// Writes the file anew from what is remembered.
    fn shorten(&mut self) -> io::Result<()> {
        let next = self.path.with_extension("jsonl.next");
        let mut file = File::create(&next)?;
        for entry in &self.entries {
            let mut line = serde_json::to_vec(&JournalRow::from(entry))?;
            line.push(b'\n');
            file.write_all(&line)?;
        }
        file.sync_data()?;
        std::fs::rename(&next, &self.path)?;
        sync_folder(&self.path)?;
        self.file = None;
        Ok(())
    }

    /// Writes a step and waits until it is on disk. Blocks for some milliseconds, a few times a minute.
    fn write(&mut self, entry: &Entry) -> Result<(), TuneError> {
        self.append(entry).map_err(|error| self.wrong(error))?;
        self.entries.push(entry.clone());
        if self.forget() {
            self.shorten().map_err(|error| self.wrong(error))?;
        }
        Ok(())
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                if let Some(folder) = self.path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
                // Whatever a crash left half written ends here.
                file.write_all(b"\n")?;
                sync_folder(&self.path)?;
                file
            }
        };
        let mut line = serde_json::to_vec(&JournalRow::from(entry))?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()?;
        self.file = Some(file);
        Ok(())
    }

    fn wrong(&self, error: io::Error) -> TuneError {
        TuneError::Journal { path: self.path.clone(), error }
    }
}

/// A new name in a folder is only there after a power cut if the folder was synced, too.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// A journal's text; of a very long one the beginning and the end.
fn ends(path: &Path) -> io::Result<String> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    let long = file.metadata()?.len();
    if long > LONGEST {
        (&file).take(FIRST).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(whole);
        file.seek(SeekFrom::Start(long - LONGEST))?;
    }
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn read(text: &str) -> Vec<Entry> {
    let rows = text.lines().filter_map(|line| serde_json::from_str::<JournalRow>(line).ok());
    rows.filter_map(|row| row.entry()).collect()
}

#[cfg(test)]
mod tests;
