//! An emulated Gamma on the bench: physics of the twin, shares as a Poisson process at its true rate,
//! sensors with noise. Time is a loop.

use hearth_fleet::{
    Limits, Range, Readings,
    readings::Moment,
    tuner::{Action, Entry, Envelope, Found, Observation, Point, Tuner},
    work::Window,
};
use rand::{Rng, SeedableRng, distr::Distribution};
use rand_distr::{Normal, Poisson};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::Duration;
use twin::farm::{Kind, Machine, Output, Setting, Spec, spec::Load};
use units::{Celsius, Hashrate, Megahertz, Millivolts, Ratio, Watts, Work};

/// Physics' own step.
const TICK: Duration = Duration::from_millis(100);
/// Sensors are read this often.
pub const PERIOD: u32 = 20;

/// What a machine says that is not so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lie {
    /// Nothing.
    None,
    /// This many times its hashrate.
    Hashrate(f64),
    /// That no hash is ever lost: hashrate and error counter of a machine far from its cliff.
    NoErrors,
    /// It does not lie; it has no error counter.
    NoCounters,
}

pub struct Bench {
    pub machine: Machine,
    pub ambient: f64,
    pub limits: Limits,
    pub seconds: f64,
    /// Limits broken, in ticks.
    pub breaches: u32,
    /// Longest time in a row with more than 5 % of hashes lost, seconds.
    pub lossy: f64,
    lossy_now: f64,
    lie: Lie,
    pub gain: f64,
    share: f64,
    work: Window,
    errors: f64,
    due: f64,
    random: Xoshiro256PlusPlus,
}

pub fn point(mhz: f64, mv: f64) -> Point {
    Point { frequency: Megahertz::new(mhz).unwrap(), voltage: Millivolts::new(mv).unwrap() }
}

pub fn envelope() -> Envelope {
    Envelope {
        frequency: Range::new(Megahertz::new(400.0).unwrap(), Megahertz::new(625.0).unwrap())
            .unwrap(),
        voltage: Range::new(Millivolts::new(1000.0).unwrap(), Millivolts::new(1250.0).unwrap())
            .unwrap(),
        limits: Limits {
            chip: Celsius::new(70.0).unwrap(),
            regulator: Celsius::new(90.0).ok(),
            inlet: None,
            outlet: None,
            input_low: None,
            input_high: None,
            power: Watts::new(25.0).ok(),
        },
    }
}

/// The calibrated board for seed 0, and boards that differ from it as boards do for all others.
pub fn board(seed: u64) -> Spec {
    let mut spec = Spec::of(Kind::BitaxeGamma);
    if seed == 0 {
        return spec;
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut about = |value: f64, part: f64| value * (1.0 + part * random.random_range(-1.0..1.0));
    if let Load::Chip { switching, fixed, leakage } = &mut spec.load {
        *switching = about(*switching, 0.04);
        *fixed = about(*fixed, 0.15);
        *leakage = about(*leakage, 0.2);
    }
    spec.cliff = Millivolts::new(about(spec.cliff.get(), 0.025)).unwrap();
    spec.cliff_per_mhz = about(spec.cliff_per_mhz, 0.25);
    spec.cliff_per_kelvin = about(spec.cliff_per_kelvin, 0.5);
    spec.cliff_width = about(spec.cliff_width, 0.25);
    spec.resistance.1 = about(spec.resistance.1, 0.05);
    spec
}

impl Bench {
    pub fn new(spec: Spec, seed: u64, share_interval: f64, lie: Lie) -> Self {
        let mut machine = Machine::new(spec, Celsius::new(25.0).unwrap());
        machine.power(true);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x5eed);
        let gain = 1.0 + 0.02 * random.random_range(-1.0..1.0);
        let mut bench = Self {
            machine,
            ambient: 25.0,
            limits: envelope().limits,
            seconds: 0.0,
            breaches: 0,
            lossy: 0.0,
            lossy_now: 0.0,
            lie,
            gain,
            share: spec.nominal().hashes_per_second() * share_interval,
            work: none(),
            errors: 0.0,
            due: 0.0,
            random,
        };
        for _ in 0..9000 {
            bench.tick();
        }
        (bench.seconds, bench.breaches, bench.lossy) = (0.0, 0, 0.0);
        bench.set(bench.setting());
        bench
    }

    pub fn setting(&self) -> Point {
        let Setting { clock, voltage, .. } = self.machine.setting();
        Point { frequency: clock, voltage }
    }

    pub fn set(&mut self, point: Point) {
        let setting = self.machine.setting();
        self.machine.set(Setting { clock: point.frequency, voltage: point.voltage, ..setting });
        self.work = none();
    }

    /// One period passes, and this is what is seen after it.
    pub fn observe(&mut self) -> Observation {
        for _ in 0..PERIOD {
            self.tick();
        }
        let out = self.machine.output();
        let watts = Watts::new(out.power.get() * self.gain * self.noise(0.005)).unwrap();
        let chip = Celsius::new((out.chip.get() * 4.0).round() / 4.0).unwrap();
        let errors = match self.lie {
            Lie::NoErrors => 0.0,
            _ => (self.errors * self.noise(0.1) + 2e-4 * self.random.random::<f64>()).min(1.0),
        };
        let claimed = match self.lie {
            Lie::None | Lie::NoCounters => out.good,
            Lie::Hashrate(times) => {
                Hashrate::from_hashes_per_second(out.good.hashes_per_second() * times)
            }
            Lie::NoErrors => out.tried,
        };
        Observation {
            at: Moment(Duration::from_secs_f64(self.seconds)),
            setting: Some(self.setting()),
            readings: Readings {
                hashrate: Some(claimed),
                power: Some(watts),
                chip: Some(chip),
                regulator: Some(out.regulator),
                errors: (self.lie != Lie::NoCounters).then(|| Ratio::new(errors.max(0.0)).unwrap()),
                ..Readings::default()
            },
            power: Some((watts, 0.05)),
            work: Some(self.work),
            restarted: false,
        }
    }

    fn tick(&mut self) {
        self.machine.step(TICK, Celsius::new(self.ambient).unwrap());
        self.seconds += TICK.as_secs_f64();
        let out = self.machine.output();
        self.due = out.good.hashes_per_second() * TICK.as_secs_f64() / self.share;
        if self.due > 0.0 {
            let shares = Poisson::new(self.due).unwrap().sample(&mut self.random) as u64;
            self.work.shares += shares;
            let work = self.work.work.hashes() + shares as f64 * self.share;
            self.work.work = Work::from_hashes(work);
        }
        self.work.time += TICK;
        // The firmware's counter is a mean over a few seconds.
        self.errors += (out.lost.get() - self.errors) * TICK.as_secs_f64() / 2.0;
        self.judge(&out);
    }

    fn judge(&mut self, out: &Output) {
        let limits = &self.limits;
        let broken = out.chip > limits.chip
            || limits.regulator.is_some_and(|limit| out.regulator > limit)
            || limits.power.is_some_and(|limit| out.power > limit);
        self.breaches += u32::from(broken);
        let lossy = out.lost.get() > 0.05;
        self.lossy_now = if lossy { self.lossy_now + TICK.as_secs_f64() } else { 0.0 };
        self.lossy = self.lossy.max(self.lossy_now);
    }

    fn noise(&mut self, part: f64) -> f64 {
        Normal::new(1.0, part).unwrap().sample(&mut self.random)
    }
}

fn none() -> Window {
    Window { time: Duration::ZERO, shares: 0, work: Work::ZERO, faulty: 0 }
}

/// How a tuning went.
#[derive(Default)]
pub struct Run {
    pub found: Option<Found>,
    pub seconds: f64,
    pub applied: u32,
    pub aborted: u32,
    pub journal: Vec<Entry>,
    /// Where the machine was when each row was written.
    pub left_at: Vec<Point>,
}

/// Tunes until the first rest, at most this long.
pub fn tune(bench: &mut Bench, tuner: &mut Tuner, most: f64) -> Run {
    let begun = bench.seconds;
    let mut run = Run::default();
    while run.found.is_none() && bench.seconds - begun < most {
        one(bench, tuner, &mut run);
    }
    run.seconds = bench.seconds - begun;
    run
}

/// One observation and what follows from it.
pub fn one(bench: &mut Bench, tuner: &mut Tuner, run: &mut Run) {
    let seen = bench.observe();
    let action = tuner.step(&seen);
    for entry in tuner.take_entries() {
        // What the journal calls done is so in this moment, not only meant.
        if let Entry::Good { point, .. } | Entry::Restored { point, .. } = &entry {
            assert_eq!(bench.setting(), *point, "{entry:?}");
        }
        run.left_at.push(bench.setting());
        run.journal.push(entry);
    }
    if std::env::var_os("GAMMA_LOG").is_some()
        && !matches!(action, Action::Wait(_) | Action::Done(_))
    {
        println!("{:6.0} s lost {} {action:?}", bench.seconds, bench.machine.output().lost);
    }
    match action {
        Action::Wait(_) => {}
        Action::Apply { point, .. } => {
            run.applied += 1;
            bench.set(point);
        }
        Action::Abort { last_good, .. } => {
            run.aborted += 1;
            bench.set(last_good);
        }
        Action::Done(found) => run.found = Some(found),
    }
}

/// What a setting brings once all has settled, without noise.
pub fn settled(spec: Spec, point: Point, ambient: f64) -> Output {
    let air = Celsius::new(ambient).unwrap();
    let mut machine = Machine::new(spec, air);
    machine.power(true);
    let setting = machine.setting();
    machine.set(Setting { clock: point.frequency, voltage: point.voltage, ..setting });
    for _ in 0..90 {
        machine.step(Duration::from_secs(10), air);
    }
    machine.output()
}

/// The factory's setting.
pub fn start(spec: Spec) -> Output {
    settled(spec, point(525.0, 1150.0), 25.0)
}

pub fn joules(out: &Output) -> f64 {
    out.power.get() / out.good.terahashes_per_second()
}

/// The best setting of all, found by trying every one of them.
pub fn sweep(
    spec: Spec,
    ambient: f64,
    allowed: impl Fn(&Output) -> bool,
    better: impl Fn(&Output) -> f64,
) -> (Point, Output) {
    try_sweep(spec, ambient, allowed, better).expect("a setting that is allowed")
}

/// The same where there may be none.
pub fn try_sweep(
    spec: Spec,
    ambient: f64,
    allowed: impl Fn(&Output) -> bool,
    better: impl Fn(&Output) -> f64,
) -> Option<(Point, Output)> {
    let limits = envelope().limits;
    let mut best: Option<(f64, Point, Output)> = None;
    for i in 0..=18 {
        for j in 0..=25 {
            let there = point(400.0 + 12.5 * f64::from(i), 1000.0 + 10.0 * f64::from(j));
            let out = settled(spec, there, ambient);
            let safe = out.chip <= limits.chip
                && limits.regulator.is_none_or(|limit| out.regulator <= limit)
                && limits.power.is_none_or(|limit| out.power <= limit);
            let score = better(&out);
            if safe && allowed(&out) && best.as_ref().is_none_or(|(most, ..)| score > *most) {
                best = Some((score, there, out));
            }
        }
    }
    best.map(|(_, there, out)| (there, out))
}

pub fn at_least(part: f64, first: Hashrate) -> impl Fn(&Output) -> bool {
    move |out| out.good.hashes_per_second() >= 0.9995 * part * first.hashes_per_second()
}
