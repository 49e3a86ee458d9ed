//! Time of one decision of the real-time controller at 10,000, 100,000 and 1,000,000 loads, beside the time
//! to stream the bytes it touches. Targets: below 1, 5 and 50 ms. `cargo bench -p hearth-dispatch --bench
//! realtime`. The fleet is made up: four levels each, every load of its own worth, in no order.
//!
//! Wall time, and beside it the time that the deciding thread was on a processor, which others on the same machine
//! do not lengthen (Linux only): where it shares a pass over the loads, the other threads run meanwhile. A number
//! as argument: only so many loads, and five times as many jumps.
//!
//! - *follows*: the target wanders by 0.1 % a second, readings come every second, the meter is a second late.
//! - *jumps*: once a minute the target jumps between 50 and 90 % of full power; the steps at which it does.

use hearth_dispatch::{
    load::{Class, Level, Load, LoadState, Times},
    realtime::{Aim, Controller, Tuning},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use units::{Moment, NetWatts, Reading, Usd, Watts};

type Made<T> = Result<T, Box<dyn std::error::Error>>;

/// Seconds between jumps.
const MINUTE: u64 = 60;

fn main() -> Made<()> {
    println!(
        "| loads | case | steps | moves a step, median | median, ms | p99, ms | deciding thread: median, ms | p99, ms | target, ms | one pass over the loads' states, ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let only: Option<usize> = std::env::args().skip(1).find_map(|word| word.parse().ok());
    for (loads, target, steps) in [(10_000, 1, 3_000), (100_000, 5, 1_200), (1_000_000, 50, 600)] {
        if only.is_some_and(|only| only != loads) {
            continue;
        }
        let mut fleet = Fleet::new(loads)?;
        fleet.run(200, 0)?;
        let stream = fleet.stream();
        for (case, every, steps) in [
            ("follows", 0, steps),
            ("jumps", MINUTE, if only.is_some() { 100 } else { 20 } * MINUTE),
        ] {
            let runs = fleet.run(steps, every)?;
            let mut moves: Vec<f64> = runs.iter().map(|run| run.moves as f64).collect();
            let mut wall: Vec<f64> = runs.iter().map(|run| run.wall * 1e3).collect();
            let mut own: Vec<f64> = runs.iter().map(|run| run.own * 1e3).collect();
            let (moves, _) = middle(&mut moves);
            let ((wall, wall_99), (own, own_99)) = (middle(&mut wall), middle(&mut own));
            println!(
                "| {loads} | {case} | {} | {moves} | {wall:.3} | {wall_99:.3} | {own:.3} | {own_99:.3} | {target} | {stream:.3} |",
                runs.len()
            );
        }
    }
    Ok(())
}

/// One step: seconds by the clock and on the processor, and how many loads moved.
struct Run {
    wall: f64,
    own: f64,
    moves: usize,
}

/// Median and 99th percentile.
fn middle(of: &mut [f64]) -> (f64, f64) {
    of.sort_by(f64::total_cmp);
    (of[of.len() / 2], of[(of.len() * 99).div_ceil(100) - 1])
}

/// Seconds that this thread has been on a processor.
fn on_processor() -> f64 {
    // The count is brought up to date when the scheduler is called.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}

struct Fleet {
    loads: Vec<Load>,
    controller: Controller,
    states: Vec<LoadState>,
    drawn: Vec<f64>,
    sum: f64,
    full: f64,
    second: u64,
    rng: Xoshiro256PlusPlus,
}

impl Fleet {
    fn new(count: usize) -> Made<Self> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        let loads: Vec<Load> = (0..count).map(|at| load(at, &mut rng)).collect::<Made<_>>()?;
        let mut controller = Controller::new(Tuning::default());
        controller.set_loads(Moment::from_secs(1), &loads, |_| 3);
        let drawn: Vec<f64> = loads.iter().map(|load| load.full().get()).collect();
        let full = drawn.iter().sum();
        let state = LoadState { measured: None, answers: true, enabled: true };
        let states = vec![state; count];
        Ok(Self { loads, controller, states, sum: full, drawn, full, second: 1, rng })
    }

    /// Times of steps with the number of their moves; where it jumps, only of those steps at which it does.
    fn run(&mut self, steps: u64, jump_every: u64) -> Made<Vec<Run>> {
        let mut times = Vec::new();
        let mut part: f64 = 0.7;
        let mut high = true;
        for step in 0..steps {
            self.second += 1;
            let now = Moment::from_secs(self.second);
            let jumps = jump_every > 0 && step % jump_every == 0;
            if jumps {
                high = !high;
                part = if high { 0.9 } else { 0.5 };
            } else if jump_every == 0 {
                part = (part + self.rng.random_range(-0.001..0.001)).clamp(0.5, 0.9);
            }
            let meter = Reading::new(
                NetWatts::new(self.sum * (1.0 + self.rng.random_range(-0.002..0.002)))?,
                Moment::from_secs(self.second - 1),
            );
            let aim = Aim {
                target: NetWatts::new(self.full * part)?,
                ceiling: Watts::new(self.full)?,
                floor: Watts::ZERO,
                held: false,
                within: false,
                least: None,
                hard: None,
            };
            let (before, start) = (on_processor(), Instant::now());
            let told = self.controller.step(now, aim, &self.states, Some(meter));
            let wall = start.elapsed().as_secs_f64();
            let own = on_processor() - before;
            if jumps || jump_every == 0 {
                times.push(Run { wall, own, moves: told.moves.len() });
            }
            for one in &told.moves {
                let is = self.loads[one.load].power_at(one.level).get();
                self.sum += is - self.drawn[one.load];
                self.drawn[one.load] = is;
            }
            for (state, drawn) in self.states.iter_mut().zip(&self.drawn) {
                state.measured = Some(Reading::new(Watts::new(*drawn)?, now));
            }
        }
        Ok(times)
    }

    /// The least time to read the state of each load once: a limit for whoever looks at all of them.
    fn stream(&self) -> f64 {
        let pass = || {
            let start = Instant::now();
            let measured = self.states.iter().filter_map(|state| state.measured);
            black_box(measured.map(|reading| reading.value.get()).sum::<f64>());
            start.elapsed().as_secs_f64() * 1e3
        };
        (0..9).map(|_| pass()).fold(f64::MAX, f64::min)
    }
}

/// A third moves within 8 s, the others within 30 to 180 s.
fn load(at: usize, rng: &mut Xoshiro256PlusPlus) -> Made<Load> {
    let full = rng.random_range(2_500.0..4_000.0);
    let worth = rng.random_range(0.05..0.10);
    let level = |part: f64, value: f64| -> Made<Level> {
        let value = Usd::new(full / 1e3 * worth * value)?;
        Ok(Level { power: Watts::new(full * part)?, value })
    };
    let levels = [(0.01, 0.0), (0.6, 0.66), (0.8, 0.84), (1.0, 1.0)];
    let ramp = if rng.random_bool(1.0 / 3.0) { 8 } else { rng.random_range(30..180) };
    Ok(Load {
        id: at.to_string().into(),
        class: Class::Miner,
        levels: levels.into_iter().map(|(part, value)| level(part, value)).collect::<Made<_>>()?,
        times: Times {
            min_on: Duration::from_secs(300),
            min_off: Duration::from_secs(120),
            ramp_up: Duration::from_secs(ramp),
            ramp_down: Duration::from_secs(ramp / 4),
        },
        start_cost: Usd::default(),
        zone: None,
    })
}
