//! Tunings of a running server: begun by somebody or by the configuration, watched, stopped, and after a
//! crash put back where they were good. One at a time for each machine; how to tune is the fleet's matter.

mod row;

pub use row::{Begun, Progress, Request, Row};

use super::declared::Declarations;
use fleet::{
    Device, DeviceId, Driver,
    control::{
        Fleet, Meter, Staged,
        tune::{self, ArmEnd, ArmNews, ArmPlan, End, Journal, News, Plan, TuneError},
    },
    device::Presence,
    power::FRESH,
    readings::{Moment, Readings},
    tuner::{Arms, Goal, GoalError, Policy, Suit, quiet, suit},
};
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use units::{Celsius, Watts};

/// Lines of one tuning that are kept.
const ROWS: usize = 1000;
/// Machines that the configuration has tuned at once; the others wait.
const AT_ONCE: usize = 64;
/// After a tuning that failed, and before a machine that cannot be tuned is asked again.
const LATER: Duration = Duration::from_secs(600);
/// How often it is seen to.
const TEND: Duration = Duration::from_secs(2);
/// How far readings of one sensor scatter, relative: what counts when two settings are compared, where
/// all of them are off by the same. Of a meter, and of a control board.
const SCATTER: (f64, f64) = (0.005, 0.01);
/// Until a large machine has restarted, ramped and warmed.
const LARGE: Duration = Duration::from_secs(600);
/// The hottest that a chip of a home miner may get while its clock and voltage are tuned (fleet.md section 6).
const HOTTEST: f64 = 70.0;

/// All tunings.
pub struct Tunings {
    fleet: Arc<Fleet>,
    meter: Arc<dyn Meter>,
    declared: Arc<Declarations>,
    /// Of the journals.
    folder: PathBuf,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    jobs: HashMap<DeviceId, Job>,
    begun: u64,
    /// Machines whose journal was looked at since the start.
    looked: HashSet<DeviceId>,
    /// When the configuration has a machine tuned next.
    next: HashMap<DeviceId, Next>,
    stopping: bool,
}

struct Job {
    number: u64,
    rows: Vec<Row>,
    /// Rows that are kept no more.
    dropped: usize,
    stop: watch::Sender<bool>,
    ended: bool,
    by: By,
    goal: String,
    before: Option<f64>,
    now: Option<f64>,
}

/// Who began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Somebody,
    Configuration,
    /// It brings back what a crash left.
    Start,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    At(Moment),
    /// When it has become this much warmer or colder than that.
    Warmth(Celsius),
}

/// What is to be done with a machine.
#[derive(Debug, Clone, Copy)]
enum Task {
    Tune { goal: Goal, time: Option<Duration>, keep_on: bool },
    Undo,
    Recover,
}

impl Tunings {
    pub fn new(
        fleet: Arc<Fleet>,
        meter: Arc<dyn Meter>,
        declared: Arc<Declarations>,
        folder: PathBuf,
    ) -> Arc<Self> {
        Arc::new(Self { fleet, meter, declared, folder, held: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins what somebody asked for, or says why not.
    pub fn ask(self: &Arc<Self>, asked: &Request) -> Result<Begun, String> {
        let (id, device) = {
            let registry = self.fleet.registry();
            let id = self.declared.find(&registry, &asked.device)?;
            let device = registry.get(&id).cloned();
            (id, device.ok_or("it is gone")?)
        };
        let task = match asked.undo {
            true => Task::Undo,
            false => {
                let goal: Goal =
                    asked.goal.parse().map_err(|error: GoalError| error.to_string())?;
                self.suited(&device, &goal)?;
                let time = asked.time_s.map(Duration::from_secs);
                Task::Tune { goal, time, keep_on: false }
            }
        };
        let job = self.begin(&id, By::Somebody, task)?;
        Ok(Begun { job, device: id.to_string() })
    }

    /// What happened from a row on; `None` for a tuning that nobody knows of.
    pub fn progress(&self, job: u64, after: usize) -> Option<Progress> {
        let held = self.held();
        let job = held.jobs.values().find(|one| one.number == job)?;
        let rows = job.rows.get(after.saturating_sub(job.dropped)..).unwrap_or_default().to_vec();
        Some(Progress { next: job.dropped + job.rows.len(), rows, ended: job.ended })
    }

    /// Ends a tuning at its last good setting; false if nobody knows of it.
    pub fn stop(&self, job: u64) -> bool {
        let held = self.held();
        let job = held.jobs.values().find(|one| one.number == job);
        job.map(|job| job.stop.send_replace(true)).is_some()
    }

    /// Whether a machine's settings are a tuner's for now; whoever else sets it only disturbs.
    pub fn holds(&self, id: &DeviceId) -> bool {
        self.held().jobs.get(id).is_some_and(|job| !job.ended)
    }

    /// Ends all of them, each at its last good setting, within a time.
    pub async fn stop_all(&self, within: Duration) {
        {
            let mut held = self.held();
            held.stopping = true;
            for job in held.jobs.values() {
                job.stop.send_replace(true);
            }
        }
        let over = tokio::time::Instant::now() + within;
        let running =
            || self.held().jobs.iter().find(|(_, job)| !job.ended).map(|(id, _)| id.clone());
        while let Some(id) = running() {
            if tokio::time::Instant::now() > over {
                tracing::warn!(%id, "not yet back at its last good setting; the next start brings it there");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// As the state tree shows them.
    pub fn shown(&self) -> HashMap<DeviceId, api::fleet::Tuning> {
        let held = self.held();
        let tuned = held.jobs.iter().filter(|(_, job)| job.by != By::Start);
        tuned
            .map(|(id, job)| {
                let last = job.rows.iter().rev().find(|row| row.event != "refused");
                let ended = |event: &&str| matches!(*event, "found" | "stopped" | "error");
                let event = last.map(|row| row.event.as_str());
                let phase = event.filter(ended).unwrap_or("tuning");
                let tuning = api::fleet::Tuning {
                    goal: job.goal.clone(),
                    phase: phase.into(),
                    j_per_th_before: job.before,
                    j_per_th_now: job.now,
                };
                (id.clone(), tuning)
            })
            .collect()
    }

    /// Sees to it that machines are as they should be: back from what a crash interrupted, and tuned as
    /// the configuration says. Does not end.
    pub async fn tend(self: Arc<Self>) {
        loop {
            tokio::time::sleep(TEND).await;
            let now = self.fleet.clock.now();
            let ready: Vec<Device> = {
                let registry = self.fleet.registry();
                let asked = |device: &&Device| {
                    device.presence == Presence::Online && !device.capabilities.verbs.is_empty()
                };
                registry.devices().filter(asked).cloned().collect()
            };
            for device in ready {
                let id = &device.id;
                if self.held().looked.contains(id) {
                    self.keep_tuned(&device, now);
                } else if self.has_journal(id) {
                    // Busy: the tuning under way begins with what is left of the last one.
                    let _ = self.begin(id, By::Start, Task::Recover);
                } else {
                    self.held().looked.insert(id.clone());
                }
            }
        }
    }

    fn keep_tuned(self: &Arc<Self>, device: &Device, now: Moment) {
        let Some(goal) = self.declared.goal(device) else { return };
        if device.workers.is_empty() || self.holds(&device.id) {
            return;
        }
        {
            let held = self.held();
            let under_way = |job: &&Job| job.by == By::Configuration && !job.ended;
            if held.jobs.values().filter(under_way).count() >= AT_ONCE {
                return;
            }
            let wait = match held.next.get(&device.id) {
                None => false,
                Some(Next::At(at)) => now < *at,
                Some(Next::Warmth(was)) => warmth(device).is_none_or(|is| {
                    (is.get() - was.get()).abs() < Policy::default().retune_kelvin
                }),
            };
            if wait {
                return;
            }
        }
        let begun = self.suited(device, &goal).and_then(|()| {
            self.begin(
                &device.id,
                By::Configuration,
                Task::Tune { goal, time: None, keep_on: true },
            )
        });
        if let Err(why) = begun {
            tracing::info!(id = %device.id, "not tuned for {goal}: {why}");
            self.held().next.insert(device.id.clone(), Next::At(now.after(LATER)));
        }
    }

    /// Why a machine cannot be tuned now.
    fn suited(&self, device: &Device, goal: &Goal) -> Result<(), String> {
        if device.workers.is_empty() {
            return Err("it proves no work to this server, so nothing can be judged".into());
        }
        if self.fleet.registry().who(&device.id).is_none() {
            return Err("its work cannot be told from its neighbours': give it a Stratum name of \
                        its own"
                .into());
        }
        suit(device, goal).map(drop).map_err(|why| why.to_string())
    }

    fn has_journal(&self, id: &DeviceId) -> bool {
        self.journal(id).exists() || self.arm_journal(id).exists()
    }

    fn journal(&self, id: &DeviceId) -> PathBuf {
        Journal::path(&self.folder, &id.to_string())
    }

    fn arm_journal(&self, id: &DeviceId) -> PathBuf {
        Journal::path(&self.folder, &format!("{id}.arms"))
    }

    fn begin(self: &Arc<Self>, id: &DeviceId, by: By, task: Task) -> Result<u64, String> {
        let (stop, stopped) = watch::channel(false);
        let goal = match &task {
            Task::Tune { goal, .. } => goal.to_string(),
            Task::Undo => "undo".into(),
            Task::Recover => "recover".into(),
        };
        let number = {
            let mut held = self.held();
            if held.stopping {
                return Err("the server is stopping".into());
            }
            if let Some(job) = held.jobs.get(id).filter(|job| !job.ended) {
                let why = match job.by {
                    By::Configuration => "by the configuration; set tune = \"off\" for it first",
                    By::Start => "back to where a crash left it; try again in a minute",
                    By::Somebody => "by somebody else",
                };
                return Err(format!("it is being tuned already, {why}"));
            }
            held.begun += 1;
            let (number, rows) = (held.begun, Vec::new());
            let (before, now, dropped, ended) = (None, None, 0, false);
            let job = Job { number, rows, dropped, stop, ended, by, goal, before, now };
            held.jobs.insert(id.clone(), job);
            number
        };
        let (tunings, id) = (self.clone(), id.clone());
        tokio::spawn(async move {
            // Also if it panics, it has ended.
            let _end = Ending { tunings: &tunings, id: &id };
            let done = match task {
                Task::Tune { goal, time, keep_on } => {
                    tunings.tune(&id, goal, time, keep_on, stopped).await
                }
                Task::Undo => tunings.undo(&id).await,
                Task::Recover => tunings.recover(&id).await,
            };
            tunings.settle(&id, by, done);
        });
        Ok(number)
    }

    /// What follows from how it ended.
    fn settle(&self, id: &DeviceId, by: By, done: Result<Option<Row>, String>) {
        let now = self.fleet.clock.now();
        let device = self.fleet.registry().get(id).cloned();
        let next = match &done {
            Ok(Some(row)) if row.event == "found" => device.as_ref().and_then(warmth),
            _ => None,
        };
        let next = next.map_or(Next::At(now.after(LATER)), Next::Warmth);
        match by {
            By::Configuration => drop(self.held().next.insert(id.clone(), next)),
            By::Start if done.is_ok() => drop(self.held().looked.insert(id.clone())),
            _ => {}
        }
        match done {
            Ok(Some(row)) => self.tell(id, row),
            Ok(None) => {}
            Err(why) => self.tell(id, Row::of("error", why)),
        }
    }

    fn link(&self, id: &DeviceId) -> Result<(Staged, Device), String> {
        let gone = || "nothing is known of where it is".to_string();
        let device = self.fleet.registry().get(id).cloned().ok_or_else(gone)?;
        let link = Staged::new(self.fleet.clone(), id.clone()).ok_or_else(gone)?;
        Ok((link, device))
    }

    async fn tune(
        self: &Arc<Self>,
        id: &DeviceId,
        goal: Goal,
        time: Option<Duration>,
        keep_on: bool,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<Option<Row>, String> {
        let (link, device) = self.link(id)?;
        let who = self.fleet.registry().who(id);
        let who = who.ok_or("its work cannot be told from its neighbours'")?;
        let (fleet, meter, scale) = (&self.fleet, &*self.meter, device.scale);
        let (tunings, own) = (self.clone(), id.clone());
        let power = move |told: &Readings, now: Moment| tunings.power(&own, told, now);
        let stop = async {
            // An error means that whoever could stop it is gone, which stops it, too.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let goal = quiet(&device, goal).map_err(|why| why.to_string())?;
        match suit(&device, &goal).map_err(|why| why.to_string())? {
            Suit::Clock { mut envelope, prior } => {
                let hottest = Celsius::new(HOTTEST).unwrap_or(envelope.limits.chip);
                if envelope.limits.chip > hottest {
                    envelope.limits.chip = hottest;
                }
                let policy = Policy::default();
                let plan = Plan {
                    goal,
                    policy,
                    envelope,
                    prior,
                    who,
                    scale,
                    power: &power,
                    time,
                    keep_on,
                };
                let mut journal = Journal::open(&self.journal(id)).map_err(words)?;
                let mut news = |news: News| self.tell(id, Row::from(&news));
                let end =
                    tune::tune(&link, meter, &fleet.clock, &plan, &mut journal, stop, &mut news);
                Ok(Some(match end.await.map_err(words)? {
                    End::Found(found) => Row::found(&found),
                    End::Stopped(point) => Row::of(
                        "stopped",
                        format!("stopped at {}, {}", point.frequency, point.voltage),
                    ),
                }))
            }
            Suit::Arms { arms, start } => {
                let policy = Policy { settle: LARGE, dwell: 2 * LARGE, ..Policy::default() };
                let plan = ArmPlan {
                    policy,
                    who,
                    scale,
                    power: &power,
                    time,
                    journal: self.arm_journal(id),
                };
                let commands: Vec<_> = arms.iter().map(|arm| arm.command.clone()).collect();
                let arms = Arms::new(goal, policy, device.limits, arms, start);
                let arms = arms.ok_or("it is at no setting that is known")?;
                let mut news = |news: ArmNews| self.tell(id, Row::from(&news));
                let end = tune::tune_arms(&link, meter, &fleet.clock, &plan, arms, stop, &mut news);
                Ok(Some(match end.await.map_err(words)? {
                    ArmEnd::Found(found) => match commands.get(found.arm) {
                        Some(command) => Row::best(&found, command),
                        None => Row::of("error", "the tuner names a setting that is not there"),
                    },
                    ArmEnd::Stopped(command) => {
                        Row::of("stopped", format!("stopped at: {command}"))
                    }
                }))
            }
        }
    }

    async fn undo(&self, id: &DeviceId) -> Result<Option<Row>, String> {
        let (link, _) = self.link(id)?;
        let mut journal = Journal::open(&self.journal(id)).map_err(words)?;
        let point = tune::undo(&link, &self.fleet.clock, &mut journal).await.map_err(words)?;
        let text = format!("back at {}, {}", point.frequency, point.voltage);
        Ok(Some(Row::of("stopped", text)))
    }

    async fn recover(&self, id: &DeviceId) -> Result<Option<Row>, String> {
        let done = self.bring_back(id).await;
        match &done {
            Ok(Some(row)) => tracing::warn!(%id, "a tuning was interrupted: {}", row.text),
            Ok(None) => {}
            Err(why) => tracing::error!(%id, "not back from a tuning that was interrupted: {why}"),
        }
        done
    }

    async fn bring_back(&self, id: &DeviceId) -> Result<Option<Row>, String> {
        let (link, _) = self.link(id)?;
        let clock = &self.fleet.clock;
        let mut journal = Journal::open(&self.journal(id)).map_err(words)?;
        let link: &dyn Driver = &link;
        if let Some(point) = tune::recover(link, clock, &mut journal).await.map_err(words)? {
            let text = format!("back at {}, {}", point.frequency, point.voltage);
            return Ok(Some(Row::of("back", text)));
        }
        let home = tune::recover_arm(link, clock, &self.arm_journal(id)).await.map_err(words)?;
        Ok(home.map(|home| Row::of("back", format!("back at: {home}"))))
    }

    /// Power by a meter of its own, or as the machine says; what only its leaflet says tells no setting
    /// from another.
    fn power(&self, id: &DeviceId, told: &Readings, now: Moment) -> Option<(Watts, f64)> {
        let metered = self.fleet.registry().get(id).and_then(|device| device.metered_power);
        let metered = metered.and_then(|reading| reading.fresh(now, FRESH).copied());
        metered.map(|watts| (watts, SCATTER.0)).or(told.power.map(|watts| (watts, SCATTER.1)))
    }

    fn tell(&self, id: &DeviceId, row: Row) {
        match row.event.as_str() {
            "error" | "refused" => tracing::warn!(%id, "tuning: {}", row.text),
            _ => tracing::info!(%id, "tuning: {}", row.text),
        }
        let mut held = self.held();
        let Some(job) = held.jobs.get_mut(id) else { return };
        if let Some(joules) = row.j_per_th {
            job.before.get_or_insert(joules);
            job.now = Some(joules);
        }
        // The end is often the last news once more.
        if job.rows.last() != Some(&row) {
            job.rows.push(row);
        }
        if job.rows.len() > ROWS {
            job.rows.remove(0);
            job.dropped += 1;
        }
    }
}

struct Ending<'a> {
    tunings: &'a Tunings,
    id: &'a DeviceId,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(job) = self.tunings.held().jobs.get_mut(self.id) {
            job.ended = true;
        }
    }
}

/// Of the air where it is known, else of the chips, which follow it at one setting.
fn warmth(device: &Device) -> Option<Celsius> {
    device.known.inlet.or(device.known.chip).map(|reading| reading.value)
}

fn words(error: TuneError) -> String {
    error.to_string()
}
