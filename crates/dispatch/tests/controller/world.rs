//! Loads that ramp straight to what they are told, or draw what they like, behind a meter.

use hearth_dispatch::{
    load::{Class, Level, Load, LoadState, Times},
    realtime::{Aim, Controller, Step, Tuning},
};
use proptest::prelude::*;
use std::time::Duration;
use units::{Moment, NetWatts, Reading, Usd, Watts};

/// What one load is made from: full power, its lowest as a part of that, what a kilowatt-hour earns, levels,
/// ramp, least times on and off (seconds), what a start costs.
pub type Recipe = (f64, f64, f64, usize, u64, u64, u64, f64);

pub fn recipe(ramps: &'static [u64], times: std::ops::Range<u64>) -> impl Strategy<Value = Recipe> {
    let (on, off) = (times.clone(), times);
    let ramp = prop::sample::select(ramps);
    (500.0..4_000.0, 0.0..0.05, 0.02..0.2, 2_usize..5, ramp, on, off, 0.0..0.01)
}

pub const ALL_RAMPS: &[u64] = &[0, 2, 8, 40, 120];

pub fn watts(watts: f64) -> Watts {
    Watts::new(watts).unwrap()
}

pub fn load(at: usize, recipe: &Recipe) -> Load {
    let &(full, idle, worth, levels, ramp, min_on, min_off, start) = recipe;
    let level = |at: usize| {
        let part = at as f64 / (levels - 1) as f64;
        // The more it draws the less each further watt earns.
        let value = full / 1e3 * worth * (part - 0.2 * part * part);
        Level { power: watts(full * part.max(idle)), value: Usd::new(value).unwrap() }
    };
    Load {
        id: at.to_string().into(),
        class: Class::Miner,
        levels: (0..levels).map(level).collect(),
        times: Times {
            min_on: Duration::from_secs(min_on),
            min_off: Duration::from_secs(min_off),
            ramp_up: Duration::from_secs(ramp),
            ramp_down: Duration::from_secs(ramp / 2),
        },
        start_cost: Usd::new(start).unwrap(),
        zone: None,
    }
}

/// Loads that ramp straight to what they are told, or draw what they like, behind a meter.
pub struct World {
    pub controller: Controller,
    pub loads: Vec<Load>,
    pub told: Vec<usize>,
    pub drawn: Vec<f64>,
    /// Where each ramp began, in watts and seconds.
    pub from: Vec<(f64, u64)>,
    pub states: Vec<LoadState>,
    /// Loads that draw this whatever they are told.
    pub lies: Vec<Option<f64>>,
    /// Loads draw this much of what their levels say.
    pub really: f64,
    pub others: f64,
    pub metered: bool,
    pub second: u64,
}

impl World {
    pub fn new(loads: Vec<Load>, levels: impl Fn(usize) -> usize) -> Self {
        let mut controller = Controller::new(Tuning::default());
        controller.set_loads(Moment::from_secs(1_000), &loads, &levels);
        let told: Vec<usize> = (0..loads.len()).map(|at| controller.level(at).unwrap()).collect();
        let drawn: Vec<f64> =
            loads.iter().zip(&told).map(|(load, at)| load.power_at(*at).get()).collect();
        let count = loads.len();
        Self {
            controller,
            from: drawn.iter().map(|watts| (*watts, 0)).collect(),
            states: vec![LoadState { measured: None, answers: true, enabled: true }; count],
            lies: vec![None; count],
            loads,
            told,
            drawn,
            really: 1.0,
            others: 0.0,
            metered: true,
            second: 1_000,
        }
    }

    pub fn full(&self) -> f64 {
        self.loads.iter().map(|load| load.full().get()).sum()
    }

    pub fn idle(&self) -> f64 {
        self.loads.iter().map(|load| load.power_at(0).get()).sum()
    }

    pub fn commanded(&self) -> f64 {
        let one = |(load, at): (&Load, &usize)| load.power_at(*at).get();
        self.loads.iter().zip(&self.told).map(one).sum()
    }

    pub fn sum(&self) -> f64 {
        self.drawn.iter().sum::<f64>() + self.others
    }

    /// The greatest step of one load between two levels next to each other.
    pub fn coarsest(&self) -> f64 {
        let steps = |load: &Load| {
            let powers: Vec<f64> = load.levels.iter().map(|level| level.power.get()).collect();
            powers.windows(2).map(|two| two[1] - two[0]).fold(0.0, f64::max)
        };
        self.loads.iter().map(steps).fold(0.0, f64::max)
    }

    /// Aims at a target between nothing and everything.
    pub fn aim(&self, target: f64) -> Aim {
        Aim {
            target: NetWatts::new(target).unwrap(),
            ceiling: watts(self.full() * 2.0),
            floor: Watts::ZERO,
            held: false,
            within: false,
            least: None,
            hard: None,
        }
    }

    /// One second; the meter and the loads were read at its beginning.
    pub fn step(&mut self, aim: Aim) -> Step {
        self.second += 1;
        let now = Moment::from_secs(self.second);
        for at in 0..self.loads.len() {
            let load = &self.loads[at];
            let goal = self.lies[at].unwrap_or(load.power_at(self.told[at]).get() * self.really);
            let (from, since) = self.from[at];
            let times = load.times;
            let ramp = if goal >= from { times.ramp_up } else { times.ramp_down };
            let part = (self.second - since) as f64 / ramp.as_secs_f64().max(1e-9);
            self.drawn[at] = from + (goal - from) * part.min(1.0);
            self.states[at].measured = Some(Reading::new(watts(self.drawn[at]), now));
        }
        let meter = Reading::new(NetWatts::new(self.sum()).unwrap(), now);
        let meter = Some(meter).filter(|_| self.metered);
        let step = self.controller.step(now, aim, &self.states, meter);
        for one in &step.moves {
            self.from[one.load] = (self.drawn[one.load], self.second);
            self.told[one.load] = one.level;
        }
        step
    }

    pub fn run(&mut self, seconds: u64, aim: Aim) {
        for _ in 0..seconds {
            self.step(aim);
        }
    }
}
