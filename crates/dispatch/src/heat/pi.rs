//! A PI controller on power, with a floor at the lowest stable power: below it, power comes in portions
//! of time. One integrator, which stands still while power is at an end.

use super::Heater;
use std::time::Duration;
use units::{Celsius, Watts};

/// A PI controller.
#[derive(Debug, Clone)]
pub struct Pi {
    /// W/K.
    gain: f64,
    /// Seconds in which the integral repeats the gain.
    reset_s: f64,
    /// W.
    integral: f64,
    /// Wh asked for below the lowest power and not yet given.
    owed: f64,
    portion_on: bool,
}

impl Pi {
    /// With this gain (watts for a kelvin) and this reset time.
    pub fn new(watts_per_kelvin: f64, reset: Duration) -> Self {
        let reset_s = reset.as_secs_f64().max(1.0);
        Self { gain: watts_per_kelvin, reset_s, integral: 0.0, owed: 0.0, portion_on: false }
    }

    /// Half of a portion: so long at lowest power that no cycle is shorter than four hours, which
    /// makes six starts a day at most, on and off an hour each at least.
    const HALF_PORTION_H: f64 = 0.5;

    /// Power for the time since the last step; `held` freezes the integral, as long as a limit that
    /// is not this controller's own acts.
    pub fn step(
        &mut self,
        dt: Duration,
        is: Celsius,
        wanted: Celsius,
        held: bool,
        heater: &Heater,
    ) -> Watts {
        let (seconds, most) = (dt.as_secs_f64(), heater.highest().get());
        let short = wanted.get() - is.get();
        let raw = self.gain * short + self.integral;
        let asked = raw.clamp(0.0, most);
        // Winds only if that leads away from the end that it is at.
        if !held && (asked == raw || (raw > most) != (short > 0.0)) {
            self.integral += self.gain * short * seconds / self.reset_s;
            self.integral = self.integral.clamp(-most, most);
        }
        let lowest = heater.lowest().get();
        if asked >= lowest {
            (self.owed, self.portion_on) = (0.0, true);
            return Watts::new(asked).unwrap_or(Watts::ZERO);
        }
        let half = lowest * Self::HALF_PORTION_H;
        let given = if self.portion_on { lowest } else { 0.0 };
        self.owed += (asked - given) * seconds / 3600.0;
        if self.owed.abs() >= half {
            self.portion_on = self.owed > 0.0;
            self.owed = self.owed.clamp(-half, half);
        }
        if self.portion_on { heater.lowest() } else { heater.idle() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::guard::tests::heater;
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn celsius(value: f64) -> Celsius {
        Celsius::new(value).unwrap()
    }

    #[test]
    fn the_integral_does_not_wind_up_while_power_is_at_its_end() {
        let heater = heater();
        let mut pi = Pi::new(2000.0, Duration::from_secs(3600));
        for _ in 0..24 * 60 {
            let power = pi.step(MINUTE, celsius(5.0), celsius(20.0), false, &heater);
            assert_eq!(power, heater.highest());
        }
        // At the set-point it lets go at once instead of overshooting for a day.
        let power = pi.step(MINUTE, celsius(21.0), celsius(20.0), false, &heater);
        assert!(power < heater.highest(), "{power}");
    }

    #[test]
    fn a_held_integral_stands_still() {
        let heater = heater();
        let mut pi = Pi::new(2000.0, Duration::from_secs(3600));
        let first = pi.step(MINUTE, celsius(18.5), celsius(20.0), true, &heater);
        for _ in 0..600 {
            pi.step(MINUTE, celsius(18.5), celsius(20.0), true, &heater);
        }
        assert_eq!(pi.step(MINUTE, celsius(18.5), celsius(20.0), true, &heater), first);
    }

    proptest! {
        #[test]
        fn portions_of_time_give_the_power_that_was_asked_within_six_starts_a_day(
            asked in 50.0..1950.0_f64,
        ) {
            let heater = heater();
            // All gain, so that the error sets the power.
            let mut pi = Pi::new(1000.0, Duration::from_secs(u64::MAX));
            let is = celsius(20.0 - asked / 1000.0);
            let (mut energy, mut was, mut starts) = (0.0, false, 0);
            const DAYS: u64 = 60;
            for _ in 0..DAYS * 1440 {
                let power = pi.step(MINUTE, is, celsius(20.0), false, &heater);
                let on = heater.hashes_at(power);
                if on {
                    energy += power.get() / 60.0;
                }
                starts += u64::from(on && !was);
                was = on;
            }
            let mean = energy / (DAYS as f64 * 24.0);
            prop_assert!((mean - asked).abs() < 8.0, "{mean} for {asked}");
            prop_assert!(starts <= 6 * DAYS, "{starts}");
        }
    }
}
