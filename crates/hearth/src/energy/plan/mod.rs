//! The day plan of a running site: made anew at each of its steps, in a thread of its own, from what is
//! known then. Free loads follow it; heated bodies are in it for what they take, and heat by themselves;
//! battery and engine are planned and published for whoever steers them.

mod memory;
mod planner;
mod problem;
#[cfg(test)]
mod tests;

pub use memory::Memory;
pub use planner::{Planner, Seen};
use problem::{ENGINE, Known, Made as Problem, Running, problem};

use dispatch::plan::{self, Interval};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use units::{EnergyPrice, UnixTime, Watts};

/// The last plan.
#[derive(Debug, Default)]
pub struct Planned {
    pub plan: Option<Made>,
    /// Why there is none, if there is none.
    pub trouble: Option<String>,
    pub busy: bool,
    /// The last one that was asked for.
    pub asked: Option<Asked>,
}

/// A plan that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// When.
    pub at: UnixTime,
    /// Begin of its first step.
    pub step: UnixTime,
    /// What it went by.
    pub basis: Basis,
}

/// What makes another plan worth its while within a step: loads that came or went, a call that was announced
/// or taken back, what hashing earns becoming known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    pub loads: usize,
    pub calls: usize,
    pub priced: bool,
}

/// Within a step there is no other plan sooner than this.
const SOONEST: Duration = Duration::from_secs(30);

/// A plan and what it was made of.
#[derive(Debug)]
pub struct Made {
    pub plan: plan::Plan,
    pub made_at: UnixTime,
    pub took: Duration,
    pub step: Duration,
    pub prices: Vec<EnergyPrice>,
    /// Which of its classes heat nothing.
    pub free: Vec<bool>,
    /// What it had to do without.
    pub without: Vec<String>,
}

impl Planned {
    /// Whether a plan has to be asked for; then it counts as asked for.
    pub fn due(&mut self, now: Asked) -> bool {
        let due = match self.asked {
            _ if self.busy => false,
            Some(last) if last.step == now.step => {
                last.basis != now.basis && now.at.since(last.at) >= SOONEST
            }
            Some(_) | None => true,
        };
        if due {
            self.asked = Some(now);
        }
        due
    }

    /// The step under way.
    fn interval(&self, utc: UnixTime) -> Option<&Interval> {
        let made = self.plan.as_ref()?;
        let holds = |at: UnixTime| at <= utc && utc < at.after(made.step);
        made.plan.intervals.iter().find(|interval| holds(interval.at))
    }

    /// Power of all free loads that the plan wants now; `None` past its end.
    pub fn now(&self, utc: UnixTime) -> Option<Watts> {
        let free = &self.plan.as_ref()?.free;
        Some(power(self.interval(utc)?, free, true))
    }
}

/// What loads that are free, or those that are not, draw in a step of a plan.
pub fn power(interval: &Interval, free: &[bool], wanted: bool) -> Watts {
    let own = interval.classes.iter().zip(free).filter(|(_, free)| **free == wanted);
    own.map(|(class, _)| class.power).sum()
}

/// Makes a plan, away from the loop.
fn make(planned: &super::Shared<Planned>, made: Problem, utc: UnixTime) {
    let planned: super::Shared<Planned> = Arc::clone(planned);
    super::hold(&planned).busy = true;
    tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let Problem { problem, free, without } = made;
        let options = plan::Options {
            gap: 1e-3,
            patience: Duration::from_secs(10),
            ..plan::Options::default()
        };
        let result = plan::solve_with(&problem, options);
        let mut planned = super::hold(&planned);
        planned.busy = false;
        match result {
            Ok(plan) => {
                planned.trouble = None;
                planned.plan = Some(Made {
                    plan,
                    made_at: utc,
                    took: began.elapsed(),
                    step: problem.step,
                    prices: problem.import,
                    free,
                    without,
                });
            }
            // The last plan holds to its end.
            Err(error) => planned.trouble = Some(format!("no new plan: {error}")),
        }
    });
}
