//! A machine at its best setting: watched on, tuned again when its air changes.

use super::{
    super::{
        Action, Found, Observation, Point,
        belief::{Seen, place},
        look::{Look, Role},
        sequential::{self, Verdict},
    },
    Stage, Tuner,
};
use crate::readings::Moment;
use units::{Celsius, Megahertz, Millivolts, Watts};

impl Tuner {
    /// Stays, and watches for other air and for work that falls short.
    pub(super) fn rest(
        &mut self,
        seen: &Observation,
        found: Found,
        chip: f64,
        mut look: Look,
    ) -> Action {
        // Power is not learned here: hours at one setting would teach nothing of any other.
        look.take(seen);
        let at = seen.at;
        if let Some(work) = look.work() {
            match sequential::judge(&work, self.expected(&look), self.policy.shortfall) {
                Verdict::Short if look.repeated || !self.belief.trusted => {
                    let expected = self.expected(&look);
                    return self.fell_short(at, &look, &work, expected);
                }
                Verdict::Short => look.again(at),
                Verdict::Full => look.begin(at),
                Verdict::Open => {}
            }
        }
        let now = seen.readings.chip.map(Celsius::get);
        let moved = now.is_some_and(|now| (now - chip).abs() >= self.policy.retune_kelvin);
        if moved || self.strained(seen) {
            return self.retune(at, now.unwrap_or(chip), found.power);
        }
        self.stage = Stage::Resting { found, chip, look };
        Action::Done(found)
    }

    /// Other air: what was measured is moved to it, and the choice is made anew from here.
    pub(super) fn retune(&mut self, at: Moment, chip: f64, power: Watts) -> Action {
        let here = Seen { point: self.here, chip, watts: power.get(), lost: None };
        let air = self.watch.inlet;
        let mut moved = self.belief.seen.clone();
        for seen in &mut moved {
            let chip = self.belief.outlook(seen.point, &here, air).chip;
            let lost = self.belief.cliff.lost(place(seen.point, chip));
            seen.lost = seen.lost.map(|old| old.max(lost));
        }
        self.belief.seen = moved;
        self.avoid.clear();
        self.wish = self.remembered(self.air(chip, power));
        self.stage = Stage::Looking(Look::new(Role::Step, at));
        Action::Wait(self.policy.period)
    }

    /// Temperature of the air, measured or made out from the chip.
    pub(super) fn air(&self, chip: f64, power: Watts) -> f64 {
        let first = self.belief.seen.first();
        let resistance =
            first.map_or(0.0, |seen| (seen.chip - 25.0).max(0.0) / seen.watts.max(0.1));
        self.watch.inlet.unwrap_or(chip - resistance * power.get())
    }

    /// The optimum in this air, between two that were found in colder and in warmer air.
    fn remembered(&self, air: f64) -> Option<Point> {
        let near = |warmer: bool| {
            let side = self.optima.iter().filter(move |(t, _)| (*t >= air) == warmer);
            side.min_by(|a, b| (a.0 - air).abs().total_cmp(&(b.0 - air).abs()))
        };
        let ((cold, low), (warm, high)) = (near(false)?, near(true)?);
        let part = (air - cold) / (warm - cold).max(1e-9);
        let mix = |a: f64, b: f64| a + part * (b - a);
        Some(Point {
            frequency: Megahertz::new(mix(low.frequency.get(), high.frequency.get())).ok()?,
            voltage: Millivolts::new(mix(low.voltage.get(), high.voltage.get())).ok()?,
        })
    }
}
