//! The dumb thermostat: full power below the set-point, none above. What everything else must beat.

use units::{Celsius, Watts};

use super::Heater;

/// A switch with hysteresis.
#[derive(Debug, Clone)]
pub struct Thermostat {
    /// Half of the hysteresis, K.
    half_k: f64,
    on: bool,
}

impl Thermostat {
    /// Switches at half a band of this many kelvin to each side of the set-point.
    pub fn new(band_k: f64) -> Self {
        Self { half_k: band_k / 2.0, on: false }
    }

    /// Full power or idle.
    pub fn step(&mut self, is: Celsius, wanted: Celsius, heater: &Heater) -> Watts {
        let short = wanted.get() - is.get();
        if short.abs() >= self.half_k {
            self.on = short > 0.0;
        }
        if self.on { heater.highest() } else { heater.idle() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::guard::tests::heater;
    use super::*;

    #[test]
    fn a_thermostat_switches_at_both_ends_of_its_band_and_nowhere_else() {
        let heater = heater();
        let mut thermostat = Thermostat::new(1.0);
        let wanted = Celsius::new(20.0).unwrap();
        for (is, on) in [(20.0, false), (19.6, false), (19.5, true), (20.4, true), (20.5, false)] {
            let power = thermostat.step(Celsius::new(is).unwrap(), wanted, &heater);
            assert_eq!(power == heater.highest(), on, "{is}");
        }
    }
}
