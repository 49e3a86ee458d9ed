use super::*;
use crate::{
    capability::{Capabilities, Range},
    command::Verb,
    control::Worked,
    driver::Pending,
    identity::Identity,
    limits::Limits,
};
use rand::SeedableRng;
use rand_distr::{Distribution, Poisson};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Mutex,
};
use twin::farm::{Kind, Machine, Setting, Spec};
use units::{Celsius, Megahertz, Millivolts, Ratio};

const SPEED: f64 = 1000.0;
const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 7, 1));

/// A Gamma behind a driver and a Stratum server in one, in the fleet's own time.
struct Bench {
    clock: Clock,
    inner: Mutex<Inner>,
}

struct Inner {
    machine: Machine,
    at: Duration,
    tally: Tally,
    interval: Option<Duration>,
    deaf: bool,
    silent: bool,
    random: Xoshiro256PlusPlus,
}

impl Bench {
    fn new() -> Self {
        let mut machine = Machine::new(Spec::of(Kind::BitaxeGamma), air());
        machine.power(true);
        machine.step(Duration::from_secs(30), air());
        for _ in 0..60 {
            machine.step(Duration::from_secs(10), air());
        }
        let inner = Inner {
            machine,
            at: Duration::ZERO,
            tally: Tally::default(),
            interval: None,
            deaf: false,
            silent: false,
            random: Xoshiro256PlusPlus::seed_from_u64(7),
        };
        Self { clock: Clock::start(SPEED), inner: Mutex::new(inner) }
    }

    fn with<T>(&self, of: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock().unwrap();
        let now = self.clock.now().0;
        while inner.at + Duration::from_millis(100) <= now {
            inner.tick();
        }
        of(&mut inner)
    }

    fn setting(&self) -> Point {
        self.with(|inner| {
            let Setting { clock, voltage, .. } = inner.machine.setting();
            Point { frequency: clock, voltage }
        })
    }
}

impl Inner {
    fn tick(&mut self) {
        let tick = Duration::from_millis(100);
        self.at += tick;
        self.machine.step(tick, air());
        let interval = self.interval.unwrap_or(Duration::from_secs(10)).as_secs_f64();
        let share = self.machine.spec().nominal().hashes_per_second() * interval;
        let due = self.machine.output().good.hashes_per_second() * tick.as_secs_f64() / share;
        let Ok(shares) = Poisson::new(due) else { return };
        let shares = shares.sample(&mut self.random);
        self.tally.accepted += shares as u64;
        self.tally.work = Work::from_hashes(self.tally.work.hashes() + shares * share);
    }
}

impl Driver for Bench {
    fn identify(&self) -> Pending<'_, Identity> {
        Box::pin(async { Err(DriverError::Unsafe("not asked here")) })
    }

    fn capabilities(&self) -> Pending<'_, Capabilities> {
        Box::pin(async { Ok(Capabilities::of([Verb::Clock])) })
    }

    fn read(&self) -> Pending<'_, State> {
        Box::pin(async {
            self.with(|inner| {
                if inner.silent {
                    return Err(DriverError::Silent(Duration::from_secs(3)));
                }
                let (out, setting) = (inner.machine.output(), inner.machine.setting());
                let readings = Readings {
                    power: Some(out.power),
                    chip: Some(out.chip),
                    regulator: Some(out.regulator),
                    errors: Some(out.lost),
                    uptime: Some(inner.at),
                    ..Readings::default()
                };
                let settings = Settings {
                    frequency: Some(setting.clock),
                    voltage: Some(setting.voltage),
                    ..Settings::default()
                };
                Ok(State { readings, settings })
            })
        })
    }

    fn apply<'a>(&'a self, command: &'a Command) -> Pending<'a, Reply> {
        Box::pin(async move {
            let Command::Clock { frequency, voltage } = *command else {
                return Ok(Reply::Refused("no".into()));
            };
            self.with(|inner| {
                let setting = inner.machine.setting();
                if !inner.deaf && !inner.silent {
                    inner.machine.set(Setting { clock: frequency, voltage, ..setting });
                }
                Ok(Reply::Accepted)
            })
        })
    }

    fn patience(&self, _command: &Command) -> Duration {
        Duration::from_secs(10)
    }
}

impl Meter for Bench {
    fn tallies(&self, now: Moment) -> Option<Vec<Worked>> {
        let tally = self.with(|inner| Tally { at: now, ..inner.tally });
        Some(vec![Worked { session: 1, ip: IP, worker: "a.b".into(), tally }])
    }

    fn share_interval(&self, _who: &Who, interval: Option<Duration>) {
        self.with(|inner| inner.interval = interval);
    }

    fn curtail(&self, _who: &Who, _curtailed: bool) -> bool {
        true
    }
}

fn air() -> Celsius {
    Celsius::new(25.0).unwrap()
}

fn point(mhz: f64, mv: f64) -> Point {
    Point { frequency: Megahertz::new(mhz).unwrap(), voltage: Millivolts::new(mv).unwrap() }
}

fn plan(power: &PowerOf) -> Plan<'_> {
    let (low, high) = (point(400.0, 1000.0), point(625.0, 1250.0));
    Plan {
        goal: Goal::Efficiency { keep: Ratio::new(0.75).unwrap() },
        policy: Policy::default(),
        envelope: Envelope {
            frequency: Range::new(low.frequency, high.frequency).unwrap(),
            voltage: Range::new(low.voltage, high.voltage).unwrap(),
            limits: Limits {
                chip: Celsius::new(70.0).unwrap(),
                regulator: Celsius::new(90.0).ok(),
                inlet: None,
                outlet: None,
                input_low: None,
                input_high: None,
                power: Watts::new(25.0).ok(),
            },
        },
        prior: Prior::GAMMA,
        who: Who::Address(IP),
        scale: WorkScale::ONE,
        power,
        time: None,
        keep_on: false,
    }
}

fn by_firmware(readings: &Readings, _now: Moment) -> Option<(Watts, f64)> {
    readings.power.map(|watts| (watts, 0.05))
}

fn journal(folder: &tempfile::TempDir) -> Journal {
    Journal::open(&Journal::path(folder.path(), "mac:02:00:00:00:00:01")).unwrap()
}

fn applied(news: &[News]) -> usize {
    news.iter().filter(|news| matches!(news, News::Step(Entry::Applying { .. }))).count()
}

#[tokio::test]
async fn a_machine_is_tuned_its_journal_kept_and_undone() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let mut book = journal(&folder);
    let mut news = Vec::new();
    let mut told = |item| news.push(item);
    let plan = plan(&by_firmware);
    let never = std::future::pending();
    let end = tune(&bench, &bench, &bench.clock, &plan, &mut book, never, &mut told).await.unwrap();
    let End::Found(found) = end else { panic!("{end:?}") };
    assert!(found.efficiency.joules_per_terahash() < 13.5, "{found:?}");
    assert_eq!(bench.setting(), found.point);
    assert_eq!(bench.with(|inner| inner.interval), None);
    assert!(applied(&news) >= 4, "{news:?}");
    let kept = journal(&folder);
    assert_eq!(kept.entries().len(), book.entries().len());
    assert_eq!(kept.unfinished(), None);
    let mut kept = kept;
    assert_eq!(undo(&bench, &bench.clock, &mut kept).await.unwrap(), point(525.0, 1150.0));
    assert_eq!(bench.setting(), point(525.0, 1150.0));
}

#[tokio::test]
async fn stopped_it_leaves_the_machine_at_its_last_good_setting() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let mut book = journal(&folder);
    let plan = plan(&by_firmware);
    let stop = tokio::time::sleep(bench.clock.real(Duration::from_secs(120)));
    let end =
        tune(&bench, &bench, &bench.clock, &plan, &mut book, stop, &mut |_| {}).await.unwrap();
    let End::Stopped(point) = end else { panic!("{end:?}") };
    assert_eq!(bench.setting(), point);
    assert!(matches!(book.entries().last(), Some(Entry::Restored { .. })));
}

#[tokio::test]
async fn a_crash_in_a_trial_is_mended_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let mut book = journal(&folder);
    let plan = plan(&by_firmware);
    let never = std::future::pending();
    {
        let mut told = |_| {};
        let work = tune(&bench, &bench, &bench.clock, &plan, &mut book, never, &mut told);
        let died = tokio::time::timeout(bench.clock.real(Duration::from_secs(110)), work).await;
        assert!(died.is_err());
    }
    let mut book = journal(&folder);
    let home = match book.unfinished() {
        Some(entries) => match entries.last() {
            Some(Entry::Applying { last_good, .. }) => *last_good,
            other => panic!("{other:?}"),
        },
        None => return,
    };
    assert_eq!(recover(&bench, &bench.clock, &mut book).await.unwrap(), Some(home));
    assert_eq!(bench.setting(), home);
    assert_eq!(recover(&bench, &bench.clock, &mut book).await.unwrap(), None);
}

#[tokio::test]
async fn a_machine_that_ignores_its_settings_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    bench.with(|inner| inner.deaf = true);
    let mut book = journal(&folder);
    let plan = Plan { time: Some(Duration::from_secs(400)), ..plan(&by_firmware) };
    let never = std::future::pending();
    let end =
        tune(&bench, &bench, &bench.clock, &plan, &mut book, never, &mut |_| {}).await.unwrap();
    let at = match end {
        End::Found(found) => found.point,
        End::Stopped(point) => point,
    };
    assert_eq!((at, bench.setting()), (point(525.0, 1150.0), point(525.0, 1150.0)));
    let untaken = |entry: &Entry| matches!(entry, Entry::Restored { why, .. } if why.contains("did not take"));
    assert!(book.entries().iter().any(untaken), "{:?}", book.entries());
}

#[tokio::test]
async fn a_machine_that_falls_silent_is_called_home() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let mut book = journal(&folder);
    let plan = Plan { time: Some(Duration::from_secs(300)), ..plan(&by_firmware) };
    let never = std::future::pending();
    let mut quiet = |news| {
        let trial = matches!(news, News::Step(Entry::Applying { .. }));
        bench.inner.lock().unwrap().silent |= trial;
    };
    let end = tune(&bench, &bench, &bench.clock, &plan, &mut book, never, &mut quiet).await;
    assert!(matches!(end, Err(TuneError::NotRestored(..))), "{end:?}");
    let silent = |entry: &Entry| matches!(entry, Entry::Restored { why, .. } if why.contains("did not take") || why.contains("not told"));
    assert!(book.entries().iter().any(silent), "{:?}", book.entries());
}

#[test]
fn a_torn_last_line_is_not_read_and_hides_no_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut book = journal(&folder);
    let good = |secs| Entry::Good {
        at: Moment::from_secs(secs),
        point: point(525.0, 1150.0),
        measured: crate::tuner::Measured::default(),
    };
    book.write(&good(1)).unwrap();
    let path = Journal::path(folder.path(), "mac:02:00:00:00:00:01");
    assert!(path.ends_with("tune/mac_02_00_00_00_00_01.jsonl"), "{path:?}");
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"step\":\"appl").unwrap();
    let mut book = journal(&folder);
    assert_eq!(book.entries(), [good(1)]);
    book.write(&good(2)).unwrap();
    assert_eq!(journal(&folder).entries(), [good(1), good(2)]);
}

/// The same bench as a machine that takes two profiles: as it is, and a frugal one.
struct Profiled(Bench);

const PROFILES: [(&str, f64, f64); 2] = [("stock", 525.0, 1150.0), ("frugal", 450.0, 1060.0)];

impl Driver for Profiled {
    fn identify(&self) -> Pending<'_, Identity> {
        self.0.identify()
    }

    fn capabilities(&self) -> Pending<'_, Capabilities> {
        self.0.capabilities()
    }

    fn read(&self) -> Pending<'_, State> {
        Box::pin(async {
            let mut state = self.0.read().await?;
            let mhz = state.settings.frequency.map(Megahertz::get);
            let named = PROFILES.iter().find(|(_, f, _)| mhz == Some(*f));
            state.settings.profile = named.map(|(name, ..)| (*name).into());
            Ok(state)
        })
    }

    fn apply<'a>(&'a self, command: &'a Command) -> Pending<'a, Reply> {
        Box::pin(async move {
            let Command::Profile(wanted) = command else { panic!("{command}") };
            let (_, mhz, mv) = PROFILES.iter().find(|(name, ..)| name == wanted).unwrap();
            self.0.apply(&clock_to(point(*mhz, *mv))).await
        })
    }

    fn patience(&self, command: &Command) -> Duration {
        self.0.patience(command)
    }
}

fn profiles() -> Vec<crate::tuner::Arm> {
    let arm = |(name, ..): &(&str, f64, f64)| crate::tuner::Arm {
        command: Command::Profile((*name).into()),
        told: Watts::new(if *name == "stock" { 17.0 } else { 12.5 }).ok(),
    };
    PROFILES.iter().map(arm).collect()
}

#[tokio::test]
async fn profiles_are_chosen_by_verified_work_and_a_crash_in_a_trial_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Profiled(Bench::new());
    let clock = machine.0.clock;
    let journal = folder.path().join("tune/a.arms.jsonl");
    let base = plan(&by_firmware);
    let tuner = || {
        crate::tuner::Arms::new(base.goal, base.policy, base.envelope.limits, profiles(), 0)
            .unwrap()
    };
    let arms = ArmPlan {
        policy: base.policy,
        who: base.who.clone(),
        scale: base.scale,
        power: &by_firmware,
        time: None,
        journal: journal.clone(),
    };
    {
        let mut told = |_| {};
        let never = std::future::pending();
        let work = tune_arms(&machine, &machine.0, &clock, &arms, tuner(), never, &mut told);
        assert!(tokio::time::timeout(clock.real(Duration::from_secs(380)), work).await.is_err());
    }
    let home = recover_arm(&machine, &clock, &journal, &profiles()).await.unwrap();
    assert_eq!(home, Some(Command::Profile("stock".into())));
    assert_eq!(machine.0.setting(), point(525.0, 1150.0));
    let mut told = |_| {};
    let never = std::future::pending();
    let end =
        tune_arms(&machine, &machine.0, &clock, &arms, tuner(), never, &mut told).await.unwrap();
    let ArmEnd::Found(found) = end else { panic!("{end:?}") };
    assert_eq!((found.arm, machine.0.setting()), (1, point(450.0, 1060.0)));
    assert_eq!(recover_arm(&machine, &clock, &journal, &profiles()).await.unwrap(), None);
}
