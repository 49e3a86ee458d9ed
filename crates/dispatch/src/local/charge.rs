//! A battery's reserve: loads do not empty it. It never commands the battery.

use crate::ask::{Ask, Mode};
use std::time::Duration;
use units::{Moment, Ratio, Reading, Watts};

/// A state of charge older than this is lost.
const FRESH: Duration = Duration::from_secs(60);

/// The charge that is kept for others.
#[derive(Debug, Clone)]
pub struct Reserve {
    stop: Ratio,
    resume: Ratio,
    off_grid: bool,
    stopped: bool,
}

impl Reserve {
    /// Below `stop` the loads go off until there is `resume` again. Without a reading an off-grid site
    /// sheds, any other stays as it was.
    pub fn new(stop: Ratio, resume: Ratio, off_grid: bool) -> Self {
        Self { stop, resume, off_grid, stopped: false }
    }

    /// Whether the charge stops the loads now.
    pub fn step(&mut self, now: Moment, charge: Option<Reading<Ratio>>) -> Option<Ask> {
        let fresh = charge.as_ref().and_then(|reading| reading.fresh(now, FRESH)).copied();
        let none = |why: String| Some(Ask::at_most(Mode::Safety, Watts::ZERO, why));
        let Some(charge) = fresh else {
            let stops = self.off_grid || self.stopped;
            return if stops { none("the state of charge is lost".into()) } else { None };
        };
        self.stopped = charge < self.stop || (self.stopped && charge < self.resume);
        if self.stopped { none(format!("the battery is at {charge}")) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_stop_at_the_reserve_and_come_back_above_it() {
        let r = |ratio| Ratio::new(ratio).unwrap();
        // Charge, stopped on the grid, stopped off-grid.
        let cases = [
            (Some(0.50), false, false),
            (None, false, true),
            (Some(0.19), true, true),
            (None, true, true),
            (Some(0.25), true, true),
            (Some(0.30), false, false),
            (Some(0.25), false, false),
        ];
        for off_grid in [false, true] {
            let mut reserve = Reserve::new(r(0.2), r(0.3), off_grid);
            for (second, (charge, on, off)) in cases.into_iter().enumerate() {
                let now = Moment::from_secs(second as u64);
                let stops = reserve.step(now, charge.map(|charge| Reading::new(r(charge), now)));
                assert_eq!(stops.is_some(), if off_grid { off } else { on }, "{second}");
            }
        }
    }
}
