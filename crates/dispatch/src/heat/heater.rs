//! What machines can draw as one heater and what they earn at it.

use units::{Efficiency, HashPrice, Usd, Watts};

/// Machines as one heater: idle, or anything from the lowest to the highest power at which they hash.
#[derive(Debug, Clone, PartialEq)]
pub struct Heater {
    idle: Watts,
    /// Power and what an hour of it earns, by power; two or more.
    points: Vec<(Watts, Usd)>,
}

/// Why machines are no heater.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaterError {
    /// Nothing lies between the lowest and the highest power.
    #[error("a heater needs at least two powers; give its lowest and its highest")]
    TooFew,
    /// The powers are not in order.
    #[error(
        "a heater's powers must rise from above its idle power; sort them and leave none twice"
    )]
    NotRising,
}

impl Heater {
    /// From the power at which nothing hashes and the powers at which something does, with the
    /// efficiency of each and the price of its hashes.
    pub fn new(
        idle: Watts,
        curve: &[(Watts, Efficiency)],
        price: HashPrice,
    ) -> Result<Self, HeaterError> {
        let points = curve.iter().map(|&(power, efficiency)| {
            (power, price.earns_per_kwh(efficiency).usd_per_kwh() * power.kilowatts())
        });
        let points = points.filter_map(|(power, usd)| Some((power, Usd::new(usd).ok()?)));
        Self::of_points(idle, points.collect())
    }

    /// From the power at which nothing hashes, and powers with what an hour of each earns.
    pub fn of_points(idle: Watts, points: Vec<(Watts, Usd)>) -> Result<Self, HeaterError> {
        if points.len() < 2 {
            return Err(HeaterError::TooFew);
        }
        let rising = points.iter().map(|point| point.0);
        if idle >= points[0].0 || !rising.is_sorted_by(|a, b| a < b) {
            return Err(HeaterError::NotRising);
        }
        Ok(Self { idle, points })
    }

    /// Power at which nothing hashes: low, but awake.
    pub fn idle(&self) -> Watts {
        self.idle
    }

    /// Lowest power that is stable.
    pub fn lowest(&self) -> Watts {
        self.points[0].0
    }

    /// Full power.
    pub fn highest(&self) -> Watts {
        self.points[self.points.len() - 1].0
    }

    /// The powers it was described with.
    pub fn powers(&self) -> impl ExactSizeIterator<Item = Watts> + '_ {
        self.points.iter().map(|point| point.0)
    }

    /// Whether anything hashes at this power.
    pub fn hashes_at(&self, power: Watts) -> bool {
        power >= self.lowest()
    }

    /// What an hour at this power earns, between the described powers in proportion.
    pub fn earns_per_hour(&self, power: Watts) -> Usd {
        if !self.hashes_at(power) {
            return Usd::ZERO;
        }
        let above = self.points.partition_point(|point| point.0 < power);
        let Some(&(high, most)) = self.points.get(above) else {
            return self.points[self.points.len() - 1].1;
        };
        let Some(&(low, least)) = above.checked_sub(1).and_then(|below| self.points.get(below))
        else {
            return most;
        };
        least + (most - least) * ((power.get() - low.get()) / (high.get() - low.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watts(value: f64) -> Watts {
        Watts::new(value).unwrap()
    }

    #[test]
    fn a_heater_earns_what_its_efficiency_makes_of_the_hash_price() {
        let at = |power, efficiency| (watts(power), Efficiency::new(efficiency).unwrap());
        let price = HashPrice::new(38.2).unwrap();
        let heater =
            Heater::new(watts(25.0), &[at(1000.0, 17.5), at(2000.0, 20.0)], price).unwrap();
        // 38.2 $/PH/day at 17.5 J/TH is 0.091 $/kWh (analysis.md, section 7).
        for (power, want) in [(25.0, 0.0), (1000.0, 0.09095), (2000.0, 0.15917), (9e3, 0.15917)] {
            let got = heater.earns_per_hour(watts(power)).get();
            assert!((got - want).abs() < 1e-5, "{power}: {got}");
        }
        let half = heater.earns_per_hour(watts(1500.0)).get();
        assert!((half - (0.09095 + 0.15917) / 2.0).abs() < 1e-5, "{half}");
        assert_eq!(Heater::new(watts(25.0), &[at(1000.0, 17.5)], price), Err(HeaterError::TooFew));
        let falling = [at(2000.0, 17.5), at(1000.0, 17.5)];
        assert_eq!(Heater::new(watts(25.0), &falling, price), Err(HeaterError::NotRising));
    }
}
