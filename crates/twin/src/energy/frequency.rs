//! Frequency of a large grid after its balance changes: one rotating mass, loads that help and a
//! reserve behind a droop. Made up as a whole; its response is that of the swing equation.

use super::{hertz, split};
use std::time::Duration;
use units::{Hertz, NetWatts, Watts};

/// A grid's constants.
#[derive(Debug, Clone, Copy)]
pub struct GridSpec {
    /// 50 or 60.
    pub nominal_hz: f64,
    /// Kinetic energy of all that turns in step, gigawatt-seconds.
    pub kinetic_gws: f64,
    /// Loads draw this much less for each hertz that is missing, watts per hertz.
    pub damping_w_per_hz: f64,
    /// Reserve that follows frequency.
    pub reserve: Watts,
    /// Missing part of nominal at which all of the reserve is out, 0.05 for a droop of 5 %.
    pub droop: f64,
    /// Nothing moves within this of nominal, hertz.
    pub dead_band_hz: f64,
    /// The reserve follows with this lag, seconds.
    pub lag_s: f64,
}

impl GridSpec {
    /// About ERCOT on a windy night: `kinetic_gws` is 100 to 300 there. Droop and dead band are those
    /// of its primary frequency response; the rest is made up.
    pub fn ercot(kinetic_gws: f64) -> Self {
        Self {
            nominal_hz: 60.0,
            kinetic_gws,
            damping_w_per_hz: 400e6,
            reserve: super::watts(60e9),
            droop: 0.05,
            dead_band_hz: 0.017,
            lag_s: 6.0,
        }
    }
}

/// A grid.
#[derive(Debug, Clone)]
pub struct Grid {
    spec: GridSpec,
    hertz: f64,
    /// W out of the reserve, either sign.
    response: f64,
    /// W generated less W drawn at nominal frequency, the reserve not counted.
    balance: f64,
}

impl Grid {
    /// In balance.
    pub fn new(spec: GridSpec) -> Self {
        Self { spec, hertz: spec.nominal_hz, response: 0.0, balance: 0.0 }
    }

    /// Adds to generation less load, for good: a unit that trips is negative.
    pub fn add(&mut self, power: NetWatts) {
        self.balance += power.get();
    }

    /// Now.
    pub fn frequency(&self) -> Hertz {
        hertz(self.hertz)
    }

    /// Passes time: df/dt = f0 dP / (2 E), Kundur, "Power System Stability and Control", 11.1.
    pub fn step(&mut self, dt: Duration) {
        let spec = &self.spec;
        let nominal = spec.nominal_hz;
        let (parts, seconds) = split(dt, 0.02);
        for _ in 0..parts {
            let off = nominal - self.hertz;
            let beyond = off.signum() * (off.abs() - spec.dead_band_hz).max(0.0);
            let wanted = (beyond / (spec.droop * nominal)).clamp(-1.0, 1.0) * spec.reserve.get();
            self.response += (wanted - self.response) * seconds / spec.lag_s;
            let surplus = self.balance + self.response + spec.damping_w_per_hz * off;
            self.hertz += nominal * surplus / (2.0 * spec.kinetic_gws * 1e9) * seconds;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tripped(kinetic_gws: f64, after: Duration) -> f64 {
        let mut grid = Grid::new(GridSpec::ercot(kinetic_gws));
        grid.add(NetWatts::new(-2750e6).unwrap());
        grid.step(after);
        grid.frequency().get()
    }

    #[test]
    fn losing_2750_mw_lets_frequency_fall_by_0_28_to_0_83_hertz_a_second() {
        for (kinetic, published) in [(100.0, 0.83), (300.0, 0.28)] {
            let rate = (60.0 - tripped(kinetic, Duration::from_millis(40))) / 0.04;
            assert!((rate - published).abs() < 0.01, "{kinetic} GW s: {rate} Hz/s");
        }
    }

    #[test]
    fn frequency_settles_where_droop_and_loads_make_up_for_what_is_lost() {
        let settled = tripped(150.0, Duration::from_secs(300));
        // 2750 MW = reserve / (droop f0) (off - dead band) + damping off.
        let (gain, damping) = (60e9 / 3.0, 400e6);
        let off = (2750e6 + gain * 0.017) / (gain + damping);
        assert!((60.0 - settled - off).abs() < 1e-4, "{settled}");
        let lowest = (1..200).map(|n| tripped(150.0, Duration::from_millis(100 * n)));
        assert!(lowest.fold(60.0, f64::min) < settled - 0.05);
    }
}
