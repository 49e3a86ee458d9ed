//! The breaker of a circuit: its loads draw no more than everything else on it leaves.

use crate::ask::{Ask, Mode};
use std::time::Duration;
use units::{Moment, Reading, Watts};

/// A reading older than this is lost.
const FRESH: Duration = Duration::from_secs(10);

/// The limit of one circuit.
#[derive(Debug, Clone)]
pub struct Breaker {
    limit: Watts,
    /// The most that anything but the loads has drawn so far.
    others: Option<Watts>,
}

impl Breaker {
    /// What may flow continuously: 80 % of the rating in North America (NEC 210.20).
    pub fn new(limit: Watts) -> Self {
        Self { limit, others: None }
    }

    /// What the loads may draw, from what the circuit and its loads draw now. Without a fresh reading the
    /// others count with the most that they ever drew; before the first one nothing may run.
    pub fn step(&mut self, now: Moment, circuit: Option<Reading<Watts>>, loads: Watts) -> Ask {
        let fresh = circuit.as_ref().and_then(|reading| reading.fresh(now, FRESH));
        let others = fresh.map(|drawn| drawn.saturating_sub(loads));
        if let Some(others) = others {
            self.others = Some(self.others.map_or(others, |most| most.max(others)));
        }
        let Some(others) = others.or(self.others) else {
            return Ask::at_most(Mode::Safety, Watts::ZERO, "the circuit has not been metered yet");
        };
        let why = format!("the circuit carries {} and {others} of that is others'", self.limit);
        Ask::at_most(Mode::Safety, self.limit.saturating_sub(others), why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn w(watts: f64) -> Watts {
        Watts::new(watts).unwrap()
    }

    #[test]
    fn loads_get_what_the_others_leave_and_the_worst_is_assumed_when_blind() {
        let mut breaker = Breaker::new(w(5000.0));
        let mut step = |second, drawn: Option<f64>| {
            let now = Moment::from_secs(second);
            let circuit = drawn.map(|drawn| Reading::new(w(drawn), now));
            breaker.step(now, circuit, w(1000.0)).ceiling.unwrap().get()
        };
        let cases = [(1, None, 0.0), (2, Some(4000.0), 2000.0), (3, Some(2000.0), 4000.0)];
        for (second, drawn, ceiling) in cases {
            assert_eq!(step(second, drawn), ceiling, "{second}");
        }
        assert_eq!(step(20, None), 2000.0);
    }
}
