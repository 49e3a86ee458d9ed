//! Less power as something gets hot, none when it is too hot. It guards software's own limits only: the
//! independent over-temperature cut is a part of the installation.

use crate::ask::{Ask, Mode};
use std::time::Duration;
use units::{Celsius, Moment, Ratio, Reading, Watts};

/// One temperature that limits loads.
#[derive(Debug, Clone)]
pub struct Derate {
    from: Celsius,
    cut: Celsius,
    blind: Ratio,
    tripped: bool,
}

impl Derate {
    /// A temperature older than this is lost.
    pub const FRESH: Duration = Duration::from_secs(60);

    /// Full power up to `from`, falling to none at `cut`; from there on none until it is back at `from`.
    /// `blind` is the part of the power that may run without a temperature.
    pub fn new(from: Celsius, cut: Celsius, blind: Ratio) -> Self {
        Self { from, cut, blind, tripped: false }
    }

    /// What the temperature leaves of `capacity`; `None` while that is all of it.
    pub fn step(
        &mut self,
        now: Moment,
        temperature: Option<Reading<Celsius>>,
        capacity: Watts,
    ) -> Option<Ask> {
        let fresh =
            temperature.as_ref().and_then(|reading| reading.fresh(now, Self::FRESH)).copied();
        let Some(degrees) = fresh else {
            // A trip outlives its sensor.
            let left = if self.tripped { Watts::ZERO } else { capacity.part(self.blind) };
            return Some(Ask::at_most(Mode::Safety, left, "a temperature is lost"));
        };
        self.tripped = degrees >= self.cut || (self.tripped && degrees > self.from);
        if degrees <= self.from {
            return None;
        }
        let span = (self.cut.get() - self.from.get()).max(1e-6);
        let part = ((self.cut.get() - degrees.get()) / span).clamp(0.0, 1.0);
        let part = if self.tripped { 0.0 } else { part };
        let left = capacity.part(Ratio::new(part).unwrap_or_default());
        Some(Ask::at_most(Mode::Safety, left, format!("{degrees} is too hot for full power")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hot_means_less_too_hot_means_none_until_it_is_cool_again() {
        let c = |degrees| Celsius::new(degrees).unwrap();
        let mut derate = Derate::new(c(45.0), c(55.0), Ratio::new(0.25).unwrap());
        let cases = [
            (Some(40.0), None),
            (Some(50.0), Some(500.0)),
            (None, Some(250.0)),
            (Some(55.0), Some(0.0)),
            (Some(50.0), Some(0.0)),
            (None, Some(0.0)),
            (Some(45.0), None),
            (Some(50.0), Some(500.0)),
        ];
        for (second, (degrees, left)) in cases.into_iter().enumerate() {
            let now = Moment::from_secs(second as u64);
            let reading = degrees.map(|degrees| Reading::new(c(degrees), now));
            let ask = derate.step(now, reading, Watts::new(1000.0).unwrap());
            assert_eq!(ask.map(|ask| ask.ceiling.unwrap().get()), left, "{second}");
        }
    }
}
