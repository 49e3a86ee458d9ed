//! Weather of a heating season, made up from a seed: a yearly and a daily wave, days that wander, and
//! clouds. Nothing here was measured; the defaults resemble a continental winter.

use super::{Noise, celsius, clear_sky, cos_zenith};
use std::time::Duration;
use units::Celsius;

/// What the weather is made of.
#[derive(Debug, Clone, Copy)]
pub struct WeatherSpec {
    /// Degrees north.
    pub latitude: f64,
    /// Mean of the year, °C.
    pub mean: f64,
    /// Half of what July is above January, K.
    pub yearly: f64,
    /// Half of what afternoon is above dawn, K.
    pub daily: f64,
    /// Deviation of the days from their season, K; they forget in two days.
    pub wander: f64,
    /// Day of the year at which it begins, 1 for 1 January.
    pub first_day: f64,
}

impl WeatherSpec {
    /// From 1 October, about as cold as Chicago or Prague.
    pub fn winter() -> Self {
        Self { latitude: 50.0, mean: 9.5, yearly: 10.5, daily: 3.5, wander: 3.5, first_day: 274.0 }
    }

    /// From 1 May, for a pool.
    pub fn summer() -> Self {
        Self { first_day: 121.0, daily: 5.0, ..Self::winter() }
    }
}

/// Air and sun at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sky {
    /// Air in the shade.
    pub air: Celsius,
    /// On level ground, W/m².
    pub sun_w_m2: f64,
}

/// Weather that goes on.
#[derive(Debug, Clone)]
pub struct Weather {
    spec: WeatherSpec,
    noise: Noise,
    /// Seconds since it began, at midnight, solar time.
    time: f64,
    /// K.
    wander: f64,
    /// Part of the clear sky that comes through, before limits.
    clear: f64,
}

impl Weather {
    /// Begins at midnight of its first day.
    pub fn new(spec: WeatherSpec, seed: u64) -> Self {
        let mut noise = Noise::new(seed);
        let wander = spec.wander * noise.normal();
        Self { spec, noise, time: 0.0, wander, clear: Self::CLEAR }
    }

    /// What the clouds let through on average, and how much that varies within hours.
    const CLEAR: f64 = 0.55;
    const CLOUDS: f64 = 0.35;

    /// Now.
    pub fn now(&self) -> Sky {
        let spec = &self.spec;
        let (day, hour) = (spec.first_day + self.time / 86_400.0, self.time / 3600.0 % 24.0);
        let wave = |at: f64, warmest: f64, period: f64| {
            (std::f64::consts::TAU * (at - warmest) / period).cos()
        };
        let air = spec.mean
            + spec.yearly * wave(day, 201.0, 365.0)
            + spec.daily * wave(hour, 15.0, 24.0)
            + self.wander;
        let above = clear_sky(cos_zenith(spec.latitude, day, hour));
        Sky { air: celsius(air), sun_w_m2: above * self.clear.clamp(0.1, 1.0) }
    }

    /// Later.
    pub fn step(&mut self, dt: Duration) {
        let seconds = dt.as_secs_f64();
        self.time += seconds;
        self.wander = self.noise.wander(self.wander, self.spec.wander, seconds, 2.0 * 86_400.0);
        let off = self.clear - Self::CLEAR;
        self.clear = Self::CLEAR + self.noise.wander(off, Self::CLOUDS, seconds, 3.0 * 3600.0);
    }

    /// The next `count` steps of this length, from now on.
    pub fn series(mut self, step: Duration, count: usize) -> Vec<Sky> {
        (0..count)
            .map(|_| {
                let now = self.now();
                self.step(step);
                now
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_year_has_the_mean_and_waves_it_was_given() {
        let spec = WeatherSpec { first_day: 1.0, ..WeatherSpec::winter() };
        let hour = Duration::from_secs(3600);
        let mean = |from: usize, to: usize| {
            let seeds = 20;
            let sum: f64 = (0..seeds)
                .map(|seed| {
                    let year = Weather::new(spec, seed).series(hour, 8760);
                    let part = &year[from..to];
                    part.iter().map(|sky| sky.air.get()).sum::<f64>() / part.len() as f64
                })
                .sum();
            sum / seeds as f64
        };
        assert!((mean(0, 8760) - spec.mean).abs() < 0.3);
        // Mean of January: the wave's mean over days 1 to 32, warmest at day 201.
        let january = (0..31)
            .map(|d| (std::f64::consts::TAU * (f64::from(d) + 1.5 - 201.0) / 365.0).cos())
            .sum::<f64>()
            / 31.0;
        assert!((mean(0, 744) - (spec.mean + spec.yearly * january)).abs() < 1.0);
    }

    #[test]
    fn the_same_seed_makes_the_same_weather_and_the_night_is_dark() {
        let hour = Duration::from_secs(3600);
        let series = |seed| Weather::new(WeatherSpec::winter(), seed).series(hour, 240);
        assert_eq!(series(3), series(3));
        assert_ne!(series(3), series(4));
        assert!(series(3).iter().step_by(24).all(|midnight| midnight.sun_w_m2 == 0.0));
        assert!(series(3).iter().any(|sky| sky.sun_w_m2 > 200.0));
    }
}
