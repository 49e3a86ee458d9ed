//! A made-up fleet of 10,000 devices follows 5-minute set-points: 1 % silent, 5 % that do not obey, 10 %
//! with old telemetry, a meter with noise that is a second late. Figures: `cargo test -p hearth-dispatch
//! --release --test tracking -- --nocapture --ignored`.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use hearth_dispatch::{
    load::{Class, Level, Load, LoadState, Times},
    realtime::{Aim, Controller, Tuning},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::Duration;
use units::{Moment, NetWatts, Reading, Usd, Watts};

const INTERVAL: u64 = 300;
const INTERVALS: u64 = 12;
const SETTLED: u64 = 60;

fn watts(watts: f64) -> Watts {
    Watts::new(watts).unwrap()
}

/// A third moves within 8 s, the others within 30 to 180 s.
fn load(at: usize, rng: &mut Xoshiro256PlusPlus) -> Load {
    let full = rng.random_range(2_500.0..4_000.0);
    let worth = rng.random_range(0.05..0.10);
    let level = |part: f64, value: f64| Level {
        power: watts(full * part),
        value: Usd::new(full / 1e3 * worth * value).unwrap(),
    };
    let ramp = if at.is_multiple_of(3) { 8 } else { rng.random_range(30..180) };
    let ramp = Duration::from_secs(ramp);
    Load {
        id: at.to_string().into(),
        class: Class::Miner,
        levels: vec![level(0.01, 0.0), level(0.6, 0.66), level(0.8, 0.84), level(1.0, 1.0)],
        times: Times {
            min_on: Duration::from_secs(300),
            min_off: Duration::from_secs(120),
            ramp_up: ramp,
            ramp_down: ramp / 4,
        },
        start_cost: Usd::default(),
        zone: None,
    }
}

/// Mean and greatest error of intervals, overshoot and 4-s RMS after settling, as parts of the target.
fn follow(devices: usize, seed: u64) -> [f64; 4] {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let loads: Vec<Load> = (0..devices).map(|at| load(at, &mut rng)).collect();
    let mut controller = Controller::new(Tuning::default());
    controller.set_loads(Moment::from_secs(1_000), &loads, |_| 3);
    let full: f64 = loads.iter().map(|load| load.full().get()).sum();
    let mut drawn: Vec<f64> = loads.iter().map(|load| load.full().get()).collect();
    let mut told = vec![3; devices];
    let mut states = vec![LoadState { measured: None, answers: true, enabled: true }; devices];
    let (mut meter, mut errors) = (None, Vec::new());
    let (mut overshoot, mut squares, mut four) = (0.0_f64, Vec::new(), Vec::new());
    let mut before = full;
    for interval in 0..INTERVALS {
        let target = full * rng.random_range(0.4..0.9);
        let mut energy = 0.0;
        for second in 0..INTERVAL {
            let now = Moment::from_secs(1_000 + interval * INTERVAL + second);
            let aim = Aim {
                target: NetWatts::new(target).unwrap(),
                ceiling: watts(full),
                floor: watts(0.0),
                held: false,
                within: false,
                least: None,
                hard: None,
            };
            for one in controller.step(now, aim, &states, meter).moves {
                // Places 0..1 % are silent, the next 5 % say yes and do nothing.
                if one.load % 100 > 5 {
                    told[one.load] = one.level;
                }
            }
            for (at, load) in loads.iter().enumerate() {
                let goal = load.power_at(told[at]).get();
                let up = load.times.ramp_up.as_secs_f64();
                let down = load.times.ramp_down.as_secs_f64();
                let (rise, fall) = (load.full().get() / up, load.full().get() / down);
                drawn[at] += (goal - drawn[at]).clamp(-fall, rise);
                let old = at % 10 == 7;
                if at % 100 != 0 && (!old || second % 120 == 0) {
                    states[at].measured = Some(Reading::new(watts(drawn[at].max(0.0)), now));
                }
            }
            let sum: f64 = drawn.iter().sum();
            let noise = 1.0 + rng.random_range(-0.002..0.002);
            meter = Some(Reading::new(NetWatts::new(sum * noise).unwrap(), now));
            energy += sum;
            let beyond = if target > before { sum - target } else { target - sum };
            overshoot = overshoot.max(beyond / target);
            if second >= SETTLED {
                four.push(sum / target - 1.0);
                if four.len() == 4 {
                    squares.push((four.drain(..).sum::<f64>() / 4.0).powi(2));
                }
            }
        }
        before = target;
        errors.push((energy / INTERVAL as f64 / target - 1.0).abs());
    }
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let most = errors.iter().copied().fold(0.0, f64::max);
    [mean, most, overshoot, (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()]
}

fn meets_its_set_points(devices: usize, seeds: &[u64]) {
    for seed in seeds {
        let [mean, most, overshoot, rms] = follow(devices, *seed).map(|part| part * 100.0);
        println!(
            "{devices} devices, seed {seed}: intervals off by {mean:.2} % on average and {most:.2} % at most, \
             overshoot {overshoot:.2} %, 4-s RMS {rms:.2} %"
        );
        assert!(mean <= 1.0 && most <= 3.0 && overshoot <= 2.0 && rms <= 1.0);
    }
}

#[test]
fn a_thousand_devices_meet_their_set_points() {
    meets_its_set_points(1_000, &[1, 2, 3]);
}

#[test]
#[ignore = "minutes in a debug build"]
fn ten_thousand_devices_meet_their_set_points() {
    meets_its_set_points(10_000, &[1, 2, 3, 71, 72, 73]);
}
