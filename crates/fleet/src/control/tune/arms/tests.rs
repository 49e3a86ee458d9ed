use super::*;
use crate::{
    capability::{Boards as Able, Capabilities, Range},
    command::Verb,
    control::Worked,
    driver::{DriverError, Pending, Reply},
    identity::{Firmware, Identity},
    limits::Limits,
    readings::{BoardReading, Moment, Readings},
    settings::Settings,
    tuner::{Arm, Goal},
    work::Tally,
};
use rand::SeedableRng;
use rand_distr::{Distribution, Poisson};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{net::IpAddr, sync::Mutex};
use twin::farm::{BOARDS, Kind, Machine, Spec};
use units::{Celsius, Megahertz, Ratio, Work};

const SPEED: f64 = 2000.0;
const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 7, 2));
const PROFILES: [(&str, f64); 2] = [("default", 590.0), ("340MHz", 340.0)];

/// An S19k Pro under LuxOS behind a driver and a Stratum server in one, in the fleet's own time. Its
/// boards are not alike.
struct Bench {
    clock: Clock,
    inner: Mutex<Inner>,
}

struct Inner {
    machine: Machine,
    at: Duration,
    tally: Tally,
    interval: Option<Duration>,
    random: Xoshiro256PlusPlus,
    /// A profile leaves boards at their own clocks.
    sticky: bool,
}

fn air() -> Celsius {
    Celsius::new(25.0).unwrap()
}

impl Bench {
    fn new() -> Self {
        let mut machine = Machine::new(Spec::of(Kind::LuxS19kPro), air());
        machine.silicon([20.0, 90.0, 140.0]);
        machine.power(true);
        for _ in 0..100 {
            machine.step(Duration::from_secs(60), air());
        }
        let inner = Inner {
            machine,
            at: Duration::ZERO,
            tally: Tally::default(),
            interval: None,
            random: Xoshiro256PlusPlus::seed_from_u64(7),
            sticky: false,
        };
        Self { clock: Clock::start(SPEED), inner: Mutex::new(inner) }
    }

    fn with<T>(&self, of: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock().unwrap();
        let now = self.clock.now().0;
        while inner.at + Duration::from_secs(1) <= now {
            inner.tick();
        }
        of(&mut inner)
    }

    fn trim(&self) -> [i16; BOARDS] {
        self.with(|inner| inner.machine.setting().trim)
    }
}

impl Inner {
    fn tick(&mut self) {
        let tick = Duration::from_secs(1);
        self.at += tick;
        self.machine.step(tick, air());
        let interval = self.interval.unwrap_or(Duration::from_secs(10)).as_secs_f64();
        let share = self.machine.spec().nominal().hashes_per_second() * interval;
        let due = self.machine.output().good.hashes_per_second() / share;
        let Ok(shares) = Poisson::new(due) else { return };
        let shares = shares.sample(&mut self.random);
        self.tally.accepted += shares as u64;
        self.tally.work = Work::from_hashes(self.tally.work.hashes() + shares * share);
    }

    fn state(&self) -> State {
        let (out, setting) = (self.machine.output(), self.machine.setting());
        let board = |n: usize| {
            let out = self.machine.board(n);
            let wrong = out.wrong.hashes_per_second() / out.tried.hashes_per_second().max(1.0);
            let errors = Ratio::new(wrong.min(1.0)).ok();
            BoardReading { rate: out.good, nominal: out.tried, errors }
        };
        let clock = |off: i16| Megahertz::new(setting.clock.get() + f64::from(off)).unwrap();
        let named = PROFILES.iter().find(|(_, mhz)| *mhz == setting.clock.get());
        State {
            readings: Readings {
                power: Some(out.power),
                chip: Some(out.chip),
                boards: (0..BOARDS).map(board).collect(),
                ..Readings::default()
            },
            settings: Settings {
                profile: named.map(|(name, _)| (*name).into()),
                boards: setting.trim.map(clock).into(),
                ..Settings::default()
            },
        }
    }
}

impl Driver for Bench {
    fn identify(&self) -> Pending<'_, Identity> {
        Box::pin(async { Ok(Identity::of(Firmware::LuxOs)) })
    }

    fn capabilities(&self) -> Pending<'_, Capabilities> {
        let mhz = |f| Megahertz::new(f).unwrap();
        let clocks = Range::new(mhz(190.0), mhz(790.0)).unwrap();
        let boards = Some(Able { count: 3, clocks });
        let able = Capabilities::of([Verb::Profile, Verb::BoardClock]);
        Box::pin(async move { Ok(Capabilities { boards, ..able }) })
    }

    fn read(&self) -> Pending<'_, State> {
        Box::pin(async { Ok(self.with(|inner| inner.state())) })
    }

    fn apply<'a>(&'a self, command: &'a Command) -> Pending<'a, Reply> {
        let apply = move |inner: &mut Inner| {
            let mut setting = inner.machine.setting();
            match command {
                Command::Profile(wanted) => {
                    let (_, mhz) = PROFILES.iter().find(|(name, _)| name == wanted).unwrap();
                    setting.clock = Megahertz::new(*mhz).unwrap();
                    if !inner.sticky {
                        setting.trim = [0; BOARDS];
                    }
                }
                Command::BoardClock { board, frequency } => {
                    let off = frequency.get() - setting.clock.get();
                    setting.trim[usize::from(*board)] = off as i16;
                }
                other => panic!("{other}"),
            }
            inner.machine.set(setting);
        };
        Box::pin(async move {
            self.with(apply);
            Ok::<_, DriverError>(Reply::Accepted)
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

fn by_firmware(readings: &Readings, _now: Moment) -> Option<(Watts, f64)> {
    readings.power.map(|watts| (watts, 0.05))
}

fn plan(folder: &tempfile::TempDir) -> ArmPlan<'static> {
    let policy = Policy {
        settle: Duration::from_secs(300),
        dwell: Duration::from_secs(600),
        period: Duration::from_secs(10),
        ..Policy::default()
    };
    ArmPlan {
        policy,
        who: Who::Address(IP),
        scale: WorkScale::ONE,
        power: &by_firmware,
        time: None,
        journal: folder.path().join("tune/lux.arms.jsonl"),
    }
}

fn tuner(policy: Policy) -> Arms {
    let goal = Goal::Efficiency { keep: Ratio::new(0.5).unwrap() };
    let told = [2793.0, 1414.0];
    let arms = PROFILES.iter().zip(told).map(|((name, _), told)| Arm {
        command: Command::Profile((*name).into()),
        told: Watts::new(told).ok(),
    });
    Arms::new(goal, policy, Limits::usual(Firmware::LuxOs), arms.collect(), 0).unwrap()
}

#[tokio::test]
async fn boards_are_set_apart_after_the_best_profile_and_every_step_is_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, plan) = (Bench::new(), plan(&folder));
    let mut news = Vec::new();
    let mut told = |item| news.push(item);
    let never = std::future::pending();
    let tuner = tuner(plan.policy);
    let end =
        tune_arms(&bench, &bench, &bench.clock, &plan, tuner, never, &mut told).await.unwrap();
    let ArmEnd::Found(found) = end else { panic!("{end:?}") };
    let trim = bench.trim();
    assert!(found.arm == 1 && trim[0] < 0 && trim[2] > 0, "{found:?} {trim:?}");
    let out = bench.with(|inner| inner.machine.output());
    let real = out.power.get() / out.good.terahashes_per_second();
    assert!((found.efficiency.joules_per_terahash() / real - 1.0).abs() < 0.03, "{found:?} {real}");
    let rows = std::fs::read_to_string(&plan.journal).unwrap();
    let steps = |news: &ArmNews| matches!(news, ArmNews::Applying(Command::BoardClock { .. }, _));
    let written = rows.lines().filter(|row| row.contains("run board")).count();
    assert!(written >= 3 && written == news.iter().filter(|news| steps(news)).count(), "{rows}");
    assert!(rows.trim_end().lines().last().unwrap().contains("\"good\""), "{rows}");
    assert_eq!(bench.with(|inner| inner.interval), None);
}

/// Until a board has a clock of its own.
async fn apart(bench: &Bench) {
    while bench.trim() == [0; BOARDS] {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn stopped_or_crashed_in_a_step_all_boards_get_the_profile_again_and_that_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, plan) = (Bench::new(), plan(&folder));
    let stop = apart(&bench);
    let tuner_ = tuner(plan.policy);
    let end =
        tune_arms(&bench, &bench, &bench.clock, &plan, tuner_, stop, &mut |_| {}).await.unwrap();
    assert_eq!(end, ArmEnd::Stopped(Command::Profile("340MHz".into())));
    assert_eq!(bench.trim(), [0; BOARDS]);

    {
        let mut quiet = |_| {};
        let never = std::future::pending();
        let again = tuner(plan.policy);
        let work = tune_arms(&bench, &bench, &bench.clock, &plan, again, never, &mut quiet);
        tokio::select! {
            end = work => panic!("{end:?}"),
            () = apart(&bench) => {}
        }
    }
    let home = recover_arm(&bench, &bench.clock, &plan.journal).await.unwrap();
    assert!(matches!(home, Some(Command::Profile(_))), "{home:?}");
    assert_eq!(bench.trim(), [0; BOARDS]);

    // Firmware that keeps a board's own clock through a profile is not called restored.
    bench.with(|inner| inner.sticky = true);
    let again = tuner(plan.policy);
    let stop = apart(&bench);
    let end = tune_arms(&bench, &bench, &bench.clock, &plan, again, stop, &mut |_| {}).await;
    assert!(matches!(end, Err(TuneError::NotRestored(_))), "{end:?}");
}
