//! Random numbers from a seed, for whatever is made up.

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{RngCore, SeedableRng},
};

/// A stream of random numbers that its seed decides.
#[derive(Debug, Clone)]
pub struct Noise(Xoshiro256PlusPlus);

impl Noise {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Evenly from 0 to below 1.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly from `low` to below `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// One of `0..count`; 0 for none.
    pub fn pick(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f64) as usize).min(count.saturating_sub(1))
    }

    /// Whether something happens in `dt` seconds that happens `per_hour` times an hour on average.
    pub fn happens(&mut self, per_hour: f64, dt: f64) -> bool {
        self.uniform() < 1.0 - (-per_hour * dt / 3600.0).exp()
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// The next value of a first-order process with this deviation, `dt` after `value`, that forgets
    /// in `memory` (both in seconds).
    pub fn wander(&mut self, value: f64, deviation: f64, dt: f64, memory: f64) -> f64 {
        let keep = (-dt / memory).exp();
        value * keep + deviation * (1.0 - keep * keep).sqrt() * self.normal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wandering_value_keeps_its_deviation_and_its_seed() {
        let (mut noise, mut twin) = (Noise::new(7), Noise::new(7));
        let (mut value, mut square) = (0.0, 0.0);
        const COUNT: u32 = 100_000;
        for _ in 0..COUNT {
            value = noise.wander(value, 3.0, 600.0, 3600.0);
            square += value * value;
        }
        let deviation = (square / f64::from(COUNT)).sqrt();
        assert!((deviation - 3.0).abs() < 0.1, "{deviation}");
        let mut again = 0.0;
        for _ in 0..COUNT {
            again = twin.wander(again, 3.0, 600.0, 3600.0);
        }
        assert_eq!(value, again);
    }
}
