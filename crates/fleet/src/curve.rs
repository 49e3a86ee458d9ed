//! What each power earns in hashrate: one machine's curve, as straight pieces between points.

use units::{Hashrate, Watts};

/// Watts and the hashrate they bring, rising in both. The first point is the least power at which the
/// machine hashes.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    points: Vec<(Watts, Hashrate)>,
}

/// Why points are no curve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCurve {
    /// Nothing to draw it through.
    #[error("a curve needs at least one point")]
    Empty,
    /// More power for no more hashrate.
    #[error("a curve must rise: more power for more hashrate")]
    NotRising,
}

impl Curve {
    /// Sorts the points by power; refuses a curve that does not rise.
    pub fn new(mut points: Vec<(Watts, Hashrate)>) -> Result<Self, BadCurve> {
        points.sort_by(|a, b| a.0.get().total_cmp(&b.0.get()));
        if points.is_empty() {
            return Err(BadCurve::Empty);
        }
        let rising = points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
        if rising { Ok(Self { points }) } else { Err(BadCurve::NotRising) }
    }

    /// The points, by power.
    pub fn points(&self) -> &[(Watts, Hashrate)] {
        &self.points
    }

    /// Least power at which the machine hashes.
    pub fn floor(&self) -> Watts {
        self.points.first().map_or(Watts::ZERO, |point| point.0)
    }

    /// Power beyond which nothing is gained.
    pub fn ceiling(&self) -> Watts {
        self.points.last().map_or(Watts::ZERO, |point| point.0)
    }

    /// Hashrate at this power: none below the floor, the highest beyond the ceiling.
    pub fn rate_at(&self, power: Watts) -> Hashrate {
        let at = self.points.partition_point(|point| point.0 <= power);
        match (at.checked_sub(1).and_then(|i| self.points.get(i)), self.points.get(at)) {
            (None, _) => Hashrate::ZERO,
            (Some(low), None) => low.1,
            (Some(low), Some(high)) => {
                let part = (power.get() - low.0.get()) / (high.0.get() - low.0.get());
                let (from, to) = (low.1.hashes_per_second(), high.1.hashes_per_second());
                Hashrate::from_hashes_per_second(from + part * (to - from))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_through_its_points_and_is_straight_between_them() {
        // S19k Pro ladder (fleet.md section 5).
        let ladder = [(784.0, 39.2), (1414.0, 70.2), (2794.0, 121.8), (4195.0, 163.1)];
        let point = |(w, ths): (f64, f64)| {
            (Watts::new(w).unwrap(), Hashrate::from_hashes_per_second(ths * 1e12))
        };
        let curve = Curve::new(ladder.map(point).into()).unwrap();
        let at = |w| curve.rate_at(Watts::new(w).unwrap()).terahashes_per_second();
        for (w, ths) in ladder {
            assert!((at(w) - ths).abs() < 1e-9);
        }
        assert!((at(2104.0) - 96.0).abs() < 1e-9);
        assert_eq!((at(700.0), at(9000.0)), (0.0, 163.1));
    }

    #[test]
    fn a_curve_that_falls_is_none() {
        let w = |w| Watts::new(w).unwrap();
        let h = Hashrate::from_hashes_per_second;
        assert_eq!(Curve::new(vec![]), Err(BadCurve::Empty));
        assert_eq!(Curve::new(vec![(w(1.0), h(2.0)), (w(2.0), h(1.0))]), Err(BadCurve::NotRising));
    }
}
