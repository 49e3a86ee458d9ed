//! The bimetal of a circuit breaker: how hot it is by what has flowed, and what may flow on. It knows no
//! load and switches nothing.
//!
//! One body that is heated by the square of the current and cools with one time constant: with currents in
//! parts of the rated one, dθ/dt = (i² - θ) / τ, and it trips where θ reaches the square of the current that
//! it just carries for ever.

use std::time::Duration;
use units::Ratio;

/// So much of the heat at which it trips is used up: what flows may still rise.
const USED: f64 = 0.95;

/// Above this part of the rated current a breaker may trip at once: characteristic B of IEC 60898-1 from 3.
const INSTANT: f64 = 2.5;

/// How a breaker trips at the earliest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    /// Part of the rated current that it carries without end: 1.13 by IEC 60898-1 (conventional
    /// non-tripping current), 1.05 by IEC 60947-2, 1 by UL 489.
    pub holds: f64,
    /// In which 63 % of a change of its temperature has come.
    pub time_constant: Duration,
}

impl Default for Curve {
    /// IEC 60898-1, and 10 s at 2.55 times the rated current from cold, of which that standard allows 1 s
    /// to 60 s: the shorter times of published curves.
    fn default() -> Self {
        Self { holds: 1.13, time_constant: Duration::from_secs(45) }
    }
}

/// A bimetal.
#[derive(Debug, Clone)]
pub(super) struct Thermal {
    curve: Curve,
    /// θ, in squares of the rated current.
    heat: f64,
}

impl Thermal {
    /// As hot as if it had carried all that it can for long: what flowed before nobody knows.
    pub fn new(curve: Curve) -> Self {
        Self { heat: curve.holds.powi(2), curve }
    }

    /// θ at which it trips.
    fn trips(&self) -> f64 {
        self.curve.holds.powi(2)
    }

    /// How much of its temperature is still there after this time.
    fn keeps(&self, time: Duration) -> f64 {
        (-time.as_secs_f64() / self.curve.time_constant.as_secs_f64().max(1e-3)).exp()
    }

    fn after(&self, heat: f64, current: f64, time: Duration) -> f64 {
        let keeps = self.keeps(time);
        heat * keeps + current.powi(2) * (1.0 - keeps)
    }

    /// This part of the rated current has flowed for this time. Never beyond tripping: it did not trip.
    pub fn carry(&mut self, current: f64, time: Duration) {
        self.heat = self.after(self.heat, current, time).min(self.trips());
    }

    /// How near to tripping it is.
    pub fn part(&self) -> Ratio {
        Ratio::new((self.heat / self.trips()).clamp(0.0, 1.0)).unwrap_or(Ratio::ALL)
    }

    /// After this time with a current that rises by so much a second.
    fn ahead(&self, (current, rise): (f64, f64), time: Duration) -> f64 {
        let quarter = rise * time.as_secs_f64() / 4.0;
        let half = self.after(self.heat, current + quarter, time / 2);
        self.after(half, current + 3.0 * quarter, time / 2)
    }

    /// Whether this current, that rises by so much a second, may flow for this time, in which somebody
    /// looks again and then has it lowered.
    pub fn may_wait(&self, (current, rise): (f64, f64), time: Duration) -> bool {
        current < INSTANT && self.ahead((current, rise), time) < USED * self.trips()
    }

    /// What may flow from `delay` on, when this flows until then; never less than what it holds.
    pub fn then(&self, flows: (f64, f64), delay: Duration) -> f64 {
        let hot = self.ahead(flows, delay).min(self.trips());
        let keeps = self.keeps(delay);
        let square = (USED * self.trips() - hot * keeps) / (1.0 - keeps).max(1e-6);
        square.max(self.trips()).sqrt().min(INSTANT)
    }
}
