use super::*;
use crate::{
    capability::Range,
    readings::{BoardReading, Readings},
};
use rand::SeedableRng;
use rand_distr::{Distribution, Normal, Poisson};
use rand_xoshiro::Xoshiro256PlusPlus;
use twin::farm::{BOARDS, Kind, Machine, Setting, Spec};
use units::{Celsius, Work};

/// An S19k Pro with boards of this silicon at a common clock: physics of the twin, shares as a Poisson
/// process at the true rate, sensors with noise.
struct Bench {
    machine: Machine,
    seconds: f64,
    work: Window,
    random: Xoshiro256PlusPlus,
    /// Its boards claim their nominal, whatever they do.
    lies: bool,
    /// It says yes to a clock and keeps its own.
    deaf: bool,
}

fn air() -> Celsius {
    Celsius::new(25.0).unwrap()
}

fn mhz(f: f64) -> Megahertz {
    Megahertz::new(f).unwrap()
}

impl Bench {
    fn new(headroom: [f64; BOARDS], common: f64, seed: u64) -> Self {
        let mut machine = Machine::new(Spec::of(Kind::LuxS19kPro), air());
        machine.silicon(headroom);
        machine.power(true);
        machine.set(Setting { clock: mhz(common), ..machine.setting() });
        for _ in 0..100 {
            machine.step(Duration::from_secs(60), air());
        }
        let work = Window { time: Duration::ZERO, shares: 0, work: Work::ZERO, faulty: 0 };
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self { machine, seconds: 0.0, work, random, lies: false, deaf: false }
    }

    fn clocks(&self) -> Vec<Megahertz> {
        let setting = self.machine.setting();
        setting.trim.map(|off| mhz(setting.clock.get() + f64::from(off))).into()
    }

    fn set(&mut self, board: u8, clock: Megahertz) {
        let mut setting = self.machine.setting();
        if !self.deaf {
            setting.trim[usize::from(board)] = (clock.get() - setting.clock.get()) as i16;
        }
        self.machine.set(setting);
        self.work = Window { time: Duration::ZERO, shares: 0, work: Work::ZERO, faulty: 0 };
    }

    fn seen(&mut self) -> BoardSeen {
        let nominal = self.machine.spec().nominal().hashes_per_second();
        let share = nominal / 20.0;
        for _ in 0..5 {
            self.machine.step(Duration::from_secs(1), air());
            self.seconds += 1.0;
            let due = self.machine.output().good.hashes_per_second() / share;
            let shares = Poisson::new(due).unwrap().sample(&mut self.random);
            self.work.time += Duration::from_secs(1);
            self.work.shares += shares as u64;
            self.work.work = Work::from_hashes(self.work.work.hashes() + shares * share);
        }
        let noise = Normal::new(1.0, 0.01).unwrap();
        let boards = (0..BOARDS).map(|n| {
            let out = self.machine.board(n);
            let rate = if self.lies { out.tried } else { out.good };
            let rate = rate.hashes_per_second() * noise.sample(&mut self.random);
            let counted = out.wrong.hashes_per_second() / out.tried.hashes_per_second();
            BoardReading {
                rate: Hashrate::from_hashes_per_second(rate),
                nominal: out.tried,
                errors: Ratio::new(if self.lies { 0.0 } else { counted }).ok(),
            }
        });
        let boards = boards.collect();
        let out = self.machine.output();
        let watts = out.power.get() * noise.sample(&mut self.random);
        BoardSeen {
            at: Moment(Duration::from_secs_f64(self.seconds)),
            clocks: self.clocks(),
            readings: Readings { chip: Some(out.chip), boards, ..Readings::default() },
            power: Some((Watts::new(watts).unwrap(), 0.05)),
            work: Some(self.work),
        }
    }

    /// J/TH once all is warm, and TH/s.
    fn truth(&self) -> (f64, f64) {
        let mut machine = self.machine.clone();
        for _ in 0..100 {
            machine.step(Duration::from_secs(60), air());
        }
        let out = machine.output();
        let rate = out.good.terahashes_per_second();
        (out.power.get() / rate, rate)
    }

    fn tuner(&self, goal: Goal) -> Boards {
        let policy = Policy {
            settle: Duration::from_secs(300),
            dwell: Duration::from_secs(1200),
            ..Policy::default()
        };
        let able = Able { count: 3, clocks: Range::new(mhz(190.0), mhz(790.0)).unwrap() };
        let mut limits = Limits::usual(crate::identity::Firmware::LuxOs);
        limits.power = Watts::new(4400.0).ok();
        let (_, rate) = self.truth();
        let first = Hashrate::from_hashes_per_second(rate * 1e12);
        Boards::new(goal, policy, limits, able, first, &self.clocks()).unwrap()
    }

    /// Until it is done, or the common setting is set again: what was found, why not, and all steps.
    fn run(&mut self, goal: Goal) -> (Result<BoardFound, &'static str>, Vec<String>) {
        let mut tuner = self.tuner(goal);
        let mut steps = Vec::new();
        for _ in 0..20_000 {
            let seen = self.seen();
            match tuner.step(&seen) {
                BoardAction::Wait => {}
                BoardAction::Apply(board, clock) => {
                    steps.push(format!("{board} to {clock}"));
                    self.set(board, clock);
                }
                BoardAction::Undo(board, clock, why) => {
                    steps.push(format!("{board} back to {clock}: {why}"));
                    self.set(board, clock);
                }
                BoardAction::Common(why) => {
                    let setting = self.machine.setting();
                    self.machine.set(Setting { trim: [0; BOARDS], ..setting });
                    return (Err(why), steps);
                }
                BoardAction::Done(found) => return (Ok(found), steps),
            }
        }
        panic!("no end: {steps:?}");
    }
}

fn efficiency() -> Goal {
    Goal::Efficiency { keep: Ratio::new(0.75).unwrap() }
}

/// The common clock with the least J/TH for boards of this silicon, swept over every profile of the ladder.
fn best_common(headroom: [f64; BOARDS]) -> (f64, f64) {
    let at = |step: u32| {
        let common = 190.0 + 25.0 * f64::from(step);
        (common, Bench::new(headroom, common, 0).truth().0)
    };
    (0..25).map(at).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

#[test]
fn boards_of_unequal_quality_end_at_unequal_clocks_and_fewer_joules_than_the_best_common_one() {
    // One board loses 12 % where the maker's profile puts it, one has room.
    let headroom = [20.0, 90.0, 140.0];
    let (common, joules) = best_common(headroom);
    for seed in 1..=5 {
        let mut bench = Bench::new(headroom, common, seed);
        let (found, steps) = bench.run(efficiency());
        let found = found.unwrap_or_else(|why| panic!("{why}: {steps:?}"));
        let (ends, rate) = bench.truth();
        let minutes = bench.seconds / 60.0;
        println!(
            "{common} MHz {joules:.2} J/TH -> {:?} {ends:.2} J/TH, {:.1} %, {minutes:.0} min, {steps:?}",
            found.clocks.iter().map(|clock| clock.get()).collect::<Vec<_>>(),
            100.0 * (1.0 - ends / joules),
        );
        assert!(ends < 0.975 * joules, "{ends} {joules} {steps:?}");
        let clocks: Vec<_> = bench.clocks();
        assert_eq!(clocks, found.clocks);
        assert!(clocks[0] < clocks[1] && clocks[1] <= clocks[2], "{clocks:?}");
        let told = found.efficiency.joules_per_terahash();
        assert!((told / ends - 1.0).abs() < 0.03, "{told} {ends}");
        assert!((found.rate.terahashes_per_second() / rate - 1.0).abs() < 0.03);
    }
}

#[test]
fn boards_that_claim_what_they_do_not_prove_end_at_the_common_setting() {
    // Far up each loses half, and says nothing of it: only the work tells.
    let mut bench = Bench::new([30.0; BOARDS], 340.0, 3);
    bench.lies = true;
    let before = bench.truth().0;
    let (found, steps) = bench.run(Goal::Hashrate);
    assert!(found.is_err() || bench.truth().0 <= 1.01 * before, "{found:?} {steps:?}");
    assert!(steps.iter().any(|step| step.contains("verified work")), "{steps:?}");
}

#[test]
fn a_board_that_keeps_its_clock_is_left_alone_and_all_end_at_the_common_setting() {
    let mut bench = Bench::new([20.0, 90.0, 140.0], 340.0, 4);
    bench.deaf = true;
    let (found, steps) = bench.run(efficiency());
    assert_eq!(found, Err("all boards do best at the same clock"), "{steps:?}");
    assert!(steps.iter().any(|step| step.contains("did not take")), "{steps:?}");
    assert_eq!(bench.clocks(), [mhz(340.0); 3]);
}

#[test]
fn a_machine_that_restarts_or_falls_silent_or_proves_nothing_gets_its_common_setting_again() {
    for (name, change) in [
        (
            "restarts",
            (|seen: &mut BoardSeen| seen.clocks = vec![mhz(340.0); 3]) as fn(&mut BoardSeen),
        ),
        ("silent", |seen| (seen.clocks, seen.readings) = (Vec::new(), Readings::default())),
        ("proves nothing", |seen| seen.work = None),
    ] {
        let mut bench = Bench::new([20.0, 90.0, 140.0], 340.0, 5);
        let mut tuner = bench.tuner(efficiency());
        let mut after = None;
        let ended = (0..2000).any(|_| {
            let mut seen = bench.seen();
            if after.is_some_and(|at| bench.seconds > at) {
                change(&mut seen);
            }
            match tuner.step(&seen) {
                BoardAction::Apply(board, clock) if after.is_none() => {
                    bench.set(board, clock);
                    after = Some(bench.seconds + 30.0);
                    false
                }
                BoardAction::Common(_) => true,
                BoardAction::Wait => false,
                other => panic!("{name}: {other:?}"),
            }
        });
        assert!(ended && bench.seconds < after.unwrap() + 500.0, "{name}");
    }
}

#[test]
fn a_cap_on_power_is_kept_while_hashes_are_moved_to_the_better_boards() {
    let mut bench = Bench::new([20.0, 90.0, 140.0], 440.0, 6);
    let before = bench.machine.output();
    let cap = Watts::new(before.power.get() * 1.01).unwrap();
    let (found, steps) = bench.run(Goal::Watts(cap));
    let found = found.unwrap_or_else(|why| panic!("{why}: {steps:?}"));
    assert!(found.power <= cap, "{found:?} {cap}");
    let gain = bench.truth().1 / before.good.terahashes_per_second();
    assert!(gain > 1.0, "{gain} {steps:?}");
}
