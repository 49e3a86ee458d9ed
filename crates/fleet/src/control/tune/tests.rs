use super::{
    journal::{LONGEST, MOST},
    *,
};
use crate::{
    capability::{Capabilities, Range},
    circuit::Circuits,
    command::Verb,
    control::{Fleet, Setup, Staged, Worked},
    device::{Control, Device, Endpoint},
    driver::Pending,
    identity::{DeviceId, Firmware, Identity},
    limits::Limits,
    tuner::JournalRow,
};
use rand::SeedableRng;
use rand_distr::{Distribution, Poisson};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{
    fs::OpenOptions,
    io::Write,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
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
        None => panic!("no trial was under way: {:?}", book.entries()),
    };
    assert_ne!(bench.setting(), home);
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
    let home = point(525.0, 1150.0);
    let called = |entry: &Entry| matches!(entry, Entry::Applying { point, last_good, .. } if *point == home && *last_good == home);
    assert!(book.entries().iter().any(called), "{:?}", book.entries());
    // Nobody saw it return: the journal does not say so, and the next start tries again.
    assert!(book.unfinished().is_some());
    bench.with(|inner| inner.silent = false);
    assert_eq!(recover(&bench, &bench.clock, &mut book).await.unwrap(), Some(home));
    assert_eq!(bench.setting(), home);
    assert_eq!(book.unfinished(), None);
}

#[tokio::test]
async fn a_step_of_five_millivolts_is_undone_too_and_a_return_that_fails_is_not_called_done() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let home = point(525.0, 1150.0);
    let mut book = journal(&folder);
    let trial = point(525.0, 1145.0);
    let at = bench.clock.now();
    book.write(&Entry::Applying { at, point: trial, last_good: home }).unwrap();
    bench.apply(&clock_to(trial)).await.unwrap();
    bench.with(|inner| inner.deaf = true);
    let kept = recover(&bench, &bench.clock, &mut book).await;
    assert!(matches!(kept, Err(TuneError::NotRestored(..))), "{kept:?}");
    assert!(journal(&folder).unfinished().is_some(), "{:?}", book.entries());
    bench.with(|inner| inner.deaf = false);
    let mut book = journal(&folder);
    assert_eq!(recover(&bench, &bench.clock, &mut book).await.unwrap(), Some(home));
    assert_eq!(bench.setting(), home);
    assert_eq!(journal(&folder).unfinished(), None);
}

#[tokio::test]
async fn whatever_ends_a_tuning_the_share_interval_is_the_usual_one() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let mut book = journal(&folder);
    let plan = plan(&by_firmware);
    {
        let mut told = |_| {};
        let never = std::future::pending();
        let work = tune(&bench, &bench, &bench.clock, &plan, &mut book, never, &mut told);
        let dropped = tokio::time::timeout(bench.clock.real(Duration::from_secs(20)), work).await;
        assert!(dropped.is_err());
    }
    assert_eq!(bench.with(|inner| inner.interval), None);
}

#[test]
fn a_journal_of_a_year_keeps_its_first_row_and_its_last_and_stays_short() {
    let folder = tempfile::tempdir().unwrap();
    let path = Journal::path(folder.path(), "mac:02:00:00:00:00:01");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let home = point(525.0, 1150.0);
    let row = |secs: u64, why: &str| {
        let at = Moment::from_secs(secs);
        let entry = Entry::Restored { at, point: home, why: why.into() };
        let mut line = serde_json::to_string(&JournalRow::from(&entry)).unwrap();
        line.push('\n');
        line
    };
    let mut text = row(0, "first");
    for secs in 1..60_000 {
        text.push_str(&row(secs, "again"));
    }
    assert!(text.len() as u64 > LONGEST);
    std::fs::write(&path, text).unwrap();
    let mut book = journal(&folder);
    assert!(matches!(&book.entries()[0], Entry::Restored { why, .. } if why == "first"));
    let last = |book: &Journal| match book.entries().last() {
        Some(Entry::Restored { at, .. }) => at.0.as_secs(),
        other => panic!("{other:?}"),
    };
    assert_eq!(last(&book), 59_999);
    while book.entries().len() < MOST {
        let at = Moment::from_secs(60_000);
        book.entries.push(Entry::Restored { at, point: home, why: "again".into() });
    }
    let at = Moment::from_secs(60_001);
    book.write(&Entry::Restored { at, point: home, why: "last".into() }).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < LONGEST);
    let book = journal(&folder);
    assert_eq!((last(&book), book.entries().len() <= MOST), (60_001, true));
    assert!(matches!(&book.entries()[0], Entry::Restored { why, .. } if why == "first"));
}

#[test]
fn work_of_many_sessions_is_counted_and_only_the_newest_are_told_apart() {
    struct Many(Mutex<u64>);
    impl Meter for Many {
        fn tallies(&self, now: Moment) -> Option<Vec<Worked>> {
            let session = *self.0.lock().unwrap();
            let tally = Tally { at: now, accepted: 1, ..Tally::default() };
            Some(vec![Worked { session, ip: IP, worker: "a.b".into(), tally }])
        }
        fn share_interval(&self, _who: &Who, _interval: Option<Duration>) {}
        fn curtail(&self, _who: &Who, _curtailed: bool) -> bool {
            true
        }
    }
    let (meter, mut proved) = (Many(Mutex::new(0)), Proved::default());
    let mut window = None;
    for session in 0..1000 {
        *meter.0.lock().unwrap() = session;
        let at = Moment::from_secs(session);
        window = proved.window(&meter, &Who::Address(IP), WorkScale::ONE, at);
    }
    assert_eq!((window.unwrap().shares, proved.sessions.len()), (999, SESSIONS));
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
    let home = recover_arm(&machine, &clock, &journal).await.unwrap();
    assert_eq!(home, Some(Command::Profile("stock".into())));
    assert_eq!(machine.0.setting(), point(525.0, 1150.0));
    let mut told = |_| {};
    let never = std::future::pending();
    let end =
        tune_arms(&machine, &machine.0, &clock, &arms, tuner(), never, &mut told).await.unwrap();
    let ArmEnd::Found(found) = end else { panic!("{end:?}") };
    assert_eq!((found.arm, machine.0.setting()), (1, point(450.0, 1060.0)));
    assert_eq!(recover_arm(&machine, &clock, &journal).await.unwrap(), None);
}

fn fleet_with(bench: &Arc<Bench>, able: Capabilities) -> (Arc<Fleet>, DeviceId) {
    let link = bench.clone();
    let fleet = Fleet::new(Setup {
        clock: bench.clock,
        sockets: 4,
        starts_per_second: 100,
        circuits: Circuits::new(Vec::new()).unwrap(),
        open: Arc::new(move |_| Some(link.clone() as Arc<dyn Driver>)),
    });
    let id = DeviceId::Named("gamma".into());
    let limits = plan(&by_firmware).envelope.limits;
    let identity = Identity::of(Firmware::AxeOs);
    let mut device = Device::found(id.clone(), identity, Control::Firmware, limits);
    device.capabilities = able;
    device.endpoint = Some(Endpoint::usual(IP));
    fleet.registry().add(device).unwrap();
    (fleet, id)
}

#[tokio::test]
async fn through_the_fleet_a_step_is_checked_counted_and_read_back() {
    let bench = Arc::new(Bench::new());
    let envelope = plan(&by_firmware).envelope;
    let able = Capabilities {
        frequency: Some(envelope.frequency),
        voltage: Some(envelope.voltage),
        ..Capabilities::of([Verb::Clock])
    };
    let (fleet, id) = fleet_with(&bench, able);
    let link = Staged::new(fleet.clone(), id.clone()).unwrap();
    let start = bench.setting();
    let beyond = link.apply(&clock_to(point(900.0, 1150.0))).await;
    assert!(matches!(beyond, Ok(Reply::Refused(_))), "{beyond:?}");
    assert_eq!((bench.setting(), fleet.counts().refused), (start, 1));
    let lower = point(500.0, 1130.0);
    assert_eq!(link.apply(&clock_to(lower)).await, Ok(Reply::Accepted));
    assert_eq!((bench.setting(), fleet.counts().verified), (lower, 1));
    bench.with(|inner| inner.deaf = true);
    let ignored = link.apply(&clock_to(start)).await;
    assert!(matches!(ignored, Ok(Reply::Refused(_))), "{ignored:?}");
    let unable = fleet_with(&bench, Capabilities::of([Verb::Pause]));
    let link = Staged::new(unable.0, unable.1).unwrap();
    let refused = link.apply(&clock_to(start)).await;
    assert!(matches!(refused, Ok(Reply::Refused(_))), "{refused:?}");
    let nobody = Staged::new(fleet, DeviceId::Named("nobody".into()));
    assert!(nobody.is_none());
}

#[tokio::test]
async fn a_machine_is_tuned_through_its_fleet() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Arc::new(Bench::new());
    let plan = plan(&by_firmware);
    let able = Capabilities {
        frequency: Some(plan.envelope.frequency),
        voltage: Some(plan.envelope.voltage),
        ..Capabilities::of([Verb::Clock])
    };
    let (fleet, id) = fleet_with(&bench, able);
    let link = Staged::new(fleet.clone(), id).unwrap();
    let mut book = journal(&folder);
    let never = std::future::pending();
    let end =
        tune(&link, &*bench, &bench.clock, &plan, &mut book, never, &mut |_| {}).await.unwrap();
    let End::Found(found) = end else { panic!("{end:?}") };
    assert!(found.efficiency.joules_per_terahash() < 13.5, "{found:?}");
    assert!(fleet.counts().verified >= 4, "{:?}", fleet.counts());
}
