//! A load that can be steered, as decisions see it: levels of power and what each earns. It never knows
//! how a load is told.

use std::{sync::Arc, time::Duration};
use units::{Reading, Usd, Watts};

/// What a load is; shown, and never decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Hashes.
    Miner,
    /// Computes for somebody who pays for it (AI, HPC).
    Compute,
    /// Only heats.
    Heater,
}

/// One level at which a load can run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// What it draws there.
    pub power: Watts,
    /// What an hour there earns: hashes, computing, heat. The cost of its power is not in it.
    pub value: Usd,
}

/// How fast and how often a load may move.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// Once on, it stays on for this long, unless a limit stops it that protects people and things.
    pub min_on: Duration,
    /// Once off, it stays off for this long.
    pub min_off: Duration,
    /// From a command to the higher power.
    pub ramp_up: Duration,
    /// From a command to the lower power.
    pub ramp_down: Duration,
}

/// A steerable load.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Its name for ever.
    pub id: Arc<str>,
    /// What it is.
    pub class: Class,
    /// Rising in power; the first is off, or idle for one that may not be switched off.
    pub levels: Vec<Level>,
    /// How fast and how often it may move.
    pub times: Times,
    /// What a start costs: hashes lost, wear.
    pub start_cost: Usd,
    /// The heated body that its heat goes to.
    pub zone: Option<Arc<str>>,
}

/// What is known of a load now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LoadState {
    /// What it draws, by its best source.
    pub measured: Option<Reading<Watts>>,
    /// It answers, and nothing is wrong with it: it can be told something.
    pub answers: bool,
    /// It may run: nobody unplugged it, tunes it, or needs it for something else.
    pub enabled: bool,
}

impl Load {
    /// The level that draws most without drawing more than this; the first if all draw more.
    pub fn level_within(&self, power: Watts) -> usize {
        self.levels.partition_point(|level| level.power <= power).saturating_sub(1)
    }

    /// What it draws at a level; at the last for levels that it does not have.
    pub fn power_at(&self, level: usize) -> Watts {
        let level = self.levels.get(level).or(self.levels.last());
        level.map_or(Watts::ZERO, |level| level.power)
    }

    /// What it draws at most.
    pub fn full(&self) -> Watts {
        self.levels.last().map_or(Watts::ZERO, |level| level.power)
    }

    /// Levels worth using: the corners of the concave hull over power and value, as indices. A level
    /// between two corners earns less for its watts than a mixture of them would.
    pub fn corners(&self) -> Vec<usize> {
        let point = |at: usize| (self.levels[at].power.get(), self.levels[at].value.get());
        let mut hull: Vec<usize> = Vec::new();
        for at in 0..self.levels.len() {
            while let [.., a, b] = hull[..] {
                let ((pa, va), (pb, vb), (pc, vc)) = (point(a), point(b), point(at));
                // On the line, but for rounding, is a corner: finer steps are worth having.
                let (before, after) = ((vb - va) * (pc - pb), (vc - vb) * (pb - pa));
                if before < after - 1e-9 * after.abs() {
                    hull.pop();
                } else {
                    break;
                }
            }
            hull.push(at);
        }
        hull
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn watts(watts: f64) -> Watts {
        Watts::new(watts).unwrap()
    }

    /// A load with these levels, power and value, that moves at once.
    pub(crate) fn load(id: &str, levels: &[(f64, f64)]) -> Load {
        let level = |&(power, value): &(f64, f64)| Level {
            power: watts(power),
            value: Usd::price(1.0).unwrap() * value,
        };
        Load {
            id: id.into(),
            class: Class::Miner,
            levels: levels.iter().map(level).collect(),
            times: Times {
                min_on: Duration::ZERO,
                min_off: Duration::ZERO,
                ramp_up: Duration::ZERO,
                ramp_down: Duration::ZERO,
            },
            start_cost: Usd::default(),
            zone: None,
        }
    }

    #[test]
    fn a_level_that_a_mixture_beats_is_no_corner() {
        type Case<'a> = (&'a [(f64, f64)], &'a [usize]);
        let cases: [Case<'_>; 4] = [
            (&[(0.0, 0.0), (1000.0, 0.05), (2000.0, 0.20), (3000.0, 0.24)], &[0, 2, 3]),
            (&[(0.0, 0.0), (1000.0, 0.10), (2000.0, 0.18)], &[0, 1, 2]),
            (&[(50.0, 0.0), (3500.0, 0.2)], &[0, 1]),
            (&[(0.0, 0.0)], &[0]),
        ];
        for (levels, corners) in cases {
            assert_eq!(load("a", levels).corners(), corners, "{levels:?}");
        }
    }

    #[test]
    fn the_level_within_a_power_never_draws_more_unless_the_lowest_does() {
        let load = load("a", &[(20.0, 0.0), (1000.0, 0.1), (2000.0, 0.18)]);
        for (power, level) in [(0.0, 0), (20.0, 0), (999.0, 0), (1000.0, 1), (9000.0, 2)] {
            assert_eq!(load.level_within(watts(power)), level, "{power}");
        }
    }
}
