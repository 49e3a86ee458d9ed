//! Many loads that move in one step: the controller passes over all of them at once, on several threads where they
//! are many. The fleet is made up.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use hearth_dispatch::{
    load::{Class, Level, Load, LoadState, Times},
    realtime::{Aim, Controller, Step, Tuning},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{collections::HashSet, time::Duration};
use units::{Moment, NetWatts, Reading, Usd, Watts};

/// Levels as parts of full power, and what they earn as parts of full worth: each step earns less than the last.
const LEVELS: [(f64, f64); 4] = [(0.01, 0.0), (0.6, 0.66), (0.8, 0.84), (1.0, 1.0)];

struct Fleet {
    loads: Vec<Load>,
    states: Vec<LoadState>,
    controller: Controller,
    full: f64,
}

impl Fleet {
    /// Loads that move at once, `slow` of them within a minute; `rest` is their least time on and off.
    fn new(count: usize, slow: f64, rest: Duration) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
        let loads: Vec<Load> = (0..count).map(|at| load(at, slow, rest, &mut rng)).collect();
        let mut controller = Controller::new(Tuning::default());
        controller.set_loads(Moment::from_secs(1), &loads, |_| 3);
        let full = loads.iter().map(|load| load.full().get()).sum();
        let state = LoadState { measured: None, answers: true, enabled: true };
        Self { states: vec![state; count], loads, controller, full }
    }

    fn step(&mut self, second: u64, part: f64) -> Step {
        let now = Moment::from_secs(second);
        let aim = Aim {
            target: NetWatts::new(self.full * part).unwrap(),
            ceiling: Watts::new(self.full).unwrap(),
            floor: Watts::ZERO,
            held: true,
            within: false,
            least: None,
            hard: None,
        };
        let meter = Reading::new(NetWatts::new(self.full).unwrap(), Moment::from_secs(1));
        self.controller.step(now, aim, &self.states, Some(meter))
    }

    /// What the levels that the loads were told come to.
    fn told(&self) -> f64 {
        let level = |at| self.controller.level(at).unwrap();
        self.loads.iter().enumerate().map(|(at, load)| load.power_at(level(at)).get()).sum()
    }
}

fn load(at: usize, slow: f64, rest: Duration, rng: &mut Xoshiro256PlusPlus) -> Load {
    let full = rng.random_range(2_500.0..4_000.0);
    let worth = rng.random_range(0.05..0.10);
    let ramp = Duration::from_secs(if rng.random_bool(slow) { 60 } else { 0 });
    Load {
        id: at.to_string().into(),
        class: Class::Miner,
        levels: LEVELS
            .into_iter()
            .map(|(part, value)| Level {
                power: Watts::new(full * part).unwrap(),
                value: Usd::new(full / 1e3 * worth * value).unwrap(),
            })
            .collect(),
        times: Times { min_on: rest, min_off: rest, ramp_up: ramp, ramp_down: ramp },
        start_cost: Usd::default(),
        zone: None,
    }
}

#[test]
fn what_was_told_adds_up_after_jumps_of_a_fleet_that_several_threads_share() {
    let mut fleet = Fleet::new(120_000, 0.5, Duration::from_secs(120));
    for at in (0..fleet.loads.len()).step_by(97) {
        fleet.states[at].answers = false;
    }
    for (at, part) in [0.5, 0.9, 0.4, 0.95, 0.6].into_iter().enumerate() {
        let before: Vec<_> = (0..fleet.loads.len()).map(|at| fleet.controller.level(at)).collect();
        let step = fleet.step(100 + 40 * at as u64, part);
        let loads: HashSet<_> = step.moves.iter().map(|one| one.load).collect();
        assert_eq!(loads.len(), step.moves.len(), "each load is told once");
        assert!(loads.len() > 20_000, "{}", loads.len());
        for (at, before) in before.into_iter().enumerate() {
            assert!(fleet.states[at].answers || !loads.contains(&at), "{at} does not answer");
            assert!(loads.contains(&at) || fleet.controller.level(at) == before, "{at}");
        }
        for one in &step.moves {
            assert_eq!(fleet.controller.level(one.load), Some(one.level));
        }
        let (set, told) = (step.set.get(), fleet.told());
        assert!((set - told).abs() < 1e-6 * told, "{set} {told}");
    }
}

#[test]
fn after_a_jump_the_steps_that_earn_most_run_and_the_target_is_met() {
    for count in [200, 5_000, 120_000] {
        let mut fleet = Fleet::new(count, 0.0, Duration::ZERO);
        for (at, part) in [0.5, 0.9, 0.3, 0.8].into_iter().enumerate() {
            let step = fleet.step(10 + at as u64, part);
            let off = (step.set.get() - fleet.full * part).abs();
            assert!(off < 1_000.0, "{count}, {part}: {off} W");
            // The worst step that runs, and the best that does not.
            let (mut worst, mut best) = (f64::INFINITY, f64::NEG_INFINITY);
            for (at, load) in fleet.loads.iter().enumerate() {
                let level = fleet.controller.level(at).unwrap();
                let merit = |step: usize| {
                    let (low, high) = (load.levels[step - 1], load.levels[step]);
                    (high.value.get() - low.value.get()) / (high.power.get() - low.power.get())
                };
                worst = (1..=level).map(merit).fold(worst, f64::min);
                best = (level + 1..LEVELS.len()).map(merit).fold(best, f64::max);
            }
            // Merits within 1/256 of each other take turns, and the last step may not fit.
            assert!(worst > best * (1.0 - 0.012), "{count}, {part}: {worst} {best}");
        }
    }
}

#[test]
fn steps_that_may_not_be_made_yet_are_made_once_they_may() {
    let mut fleet = Fleet::new(2_000, 0.0, Duration::from_secs(60));
    let down = fleet.step(100, 0.3);
    assert!((down.set.get() / fleet.full - 0.3).abs() < 0.01);
    let stopped: Vec<_> = (0..2_000).filter(|at| fleet.controller.level(*at) == Some(0)).collect();
    assert!(stopped.len() > 500, "{}", stopped.len());
    // None that was just stopped starts again, though all power is wanted.
    fleet.step(110, 1.0);
    assert!(stopped.iter().all(|at| fleet.controller.level(*at) == Some(0)));
    let others = (0..2_000).filter(|at| fleet.controller.level(*at) == Some(3)).count();
    assert_eq!(others, 2_000 - stopped.len());
    for second in 111..175 {
        fleet.step(second, 1.0);
    }
    assert!((0..2_000).all(|at| fleet.controller.level(at) == Some(3)));
}

#[test]
fn no_step_is_lost_over_many_jumps_of_loads_of_which_some_are_held() {
    for slow in [0.0, 0.5] {
        let mut fleet = Fleet::new(6_000, slow, Duration::from_secs(45));
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(29);
        let count = fleet.loads.len();
        let mut second = 100;
        for round in 0..12 {
            for state in &mut fleet.states {
                state.answers = rng.random_bool(0.9);
                state.enabled = rng.random_bool(0.9);
            }
            for part in [0.35, 0.95, 0.15, 0.6] {
                fleet.step(second, part);
                second += rng.random_range(3..25);
            }
            fleet.states.iter_mut().for_each(|state| (state.answers, state.enabled) = (true, true));
            for (part, level) in [(0.0, 0), (1.0, 3)] {
                for _ in 0..80 {
                    second += 1;
                    fleet.step(second, part);
                }
                let there = (0..count).filter(|at| fleet.controller.level(*at) == Some(level));
                assert_eq!(there.count(), count, "round {round}, {part} of full power");
            }
        }
    }
}
