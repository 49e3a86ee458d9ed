//! Day-ahead prices of electricity, made up from a seed: dear mornings and evenings, cheap nights and
//! noons, days that differ. No market published them.

use super::Noise;
use units::EnergyPrice;

/// Prices by the hour.
#[derive(Debug, Clone)]
pub struct Prices(Vec<EnergyPrice>);

impl Prices {
    /// Hours from a midnight on. Their mean is about `mean`; `spread` is how far hours lie from it as
    /// a part of it: 0 for a flat tariff, 0.4 for a household's dynamic one.
    pub fn made_up(mean: EnergyPrice, spread: f64, hours: usize, seed: u64) -> Self {
        let mut noise = Noise::new(seed);
        let (mut day, mut hourly) = (0.0, 0.0);
        let prices = (0..hours).map(|hour| {
            if hour % 24 == 0 {
                day = noise.wander(day, 0.35, 1.0, 2.0);
            }
            hourly = noise.wander(hourly, 0.3, 1.0, 3.0);
            let at = (hour % 24) as f64;
            let peak = |centre: f64, width: f64| (-((at - centre) / width).powi(2)).exp();
            // Their mean over a day is 0.02.
            let shape = 1.3 * peak(8.0, 2.0) + 1.8 * peak(19.0, 2.5)
                - 0.6 * peak(13.5, 2.5)
                - 0.7 * (peak(3.0, 3.0) + peak(27.0, 3.0))
                - 0.25;
            mean * (1.0 + spread * (shape + day + hourly))
        });
        Self(prices.collect())
    }

    /// Price of this hour, counted from the beginning; the last one for ever after. `None` without
    /// any.
    pub fn at(&self, hour: usize) -> Option<EnergyPrice> {
        self.0.get(hour).or(self.0.last()).copied()
    }

    /// All of them.
    pub fn hours(&self) -> &[EnergyPrice] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_prices_have_the_mean_they_were_given_and_dear_evenings() {
        let mean = EnergyPrice::per_kwh(0.12).unwrap();
        let prices = Prices::made_up(mean, 0.4, 24 * 1000, 1);
        let average = |pick: &dyn Fn(usize) -> bool| {
            let picked: Vec<f64> = (prices.hours().iter().enumerate())
                .filter(|(hour, _)| pick(hour % 24))
                .map(|(_, price)| price.usd_per_kwh())
                .collect();
            picked.iter().sum::<f64>() / picked.len() as f64
        };
        assert!((average(&|_| true) / 0.12 - 1.0).abs() < 0.1, "{}", average(&|_| true));
        assert!(average(&|h| h == 19) > 1.5 * average(&|h| h == 3));
        let flat = Prices::made_up(mean, 0.0, 48, 1);
        assert!(flat.hours().iter().all(|&price| price == mean) && flat.at(99) == Some(mean));
    }
}
