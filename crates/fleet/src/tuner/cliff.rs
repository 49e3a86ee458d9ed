//! Where hashes begin to be lost: a belief about the lowest good voltage at each clock and chip
//! temperature. The share of lost hashes is taken as logistic in the voltage, its middle linear in
//! clock and temperature; a setting that loses none says only that the cliff is lower.

use super::{
    Prior,
    normal::{density, normal},
    rls::Rls,
};
use units::Ratio;

/// Below this share of lost hashes counters tell nothing but "few".
pub(super) const FEW: f64 = 0.002;
/// The logistic shape is off by this much, millivolts.
const SHAPE: f64 = 2.0;
/// Clock that the belief is centred on, MHz.
const CENTRE: f64 = 525.0;
/// Chip temperature that the belief is centred on, °C.
const WARM: f64 = 60.0;

/// Where it is tried: MHz, mV, °C.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) mhz: f64,
    pub(super) mv: f64,
    pub(super) chip: f64,
}

/// The belief: middle of the cliff, its rise with clock and temperature, its width.
#[derive(Debug, Clone)]
pub(super) struct Cliff(Rls<4>);

impl Cliff {
    pub(super) fn new(prior: &Prior) -> Self {
        let cliff = &prior.cliff;
        Self(Rls::new(
            [cliff.middle_mv, cliff.per_mhz, cliff.per_kelvin, cliff.width_mv],
            [35.0, 0.12, 0.2, 0.3 * cliff.width_mv],
            1e-4,
        ))
    }

    /// A share of lost hashes, known to `error` as a share of it.
    pub(super) fn saw(&mut self, at: Place, lost: f64, error: f64) {
        if lost < FEW {
            return self.clean(at, FEW);
        }
        let lost = lost.min(0.9);
        let noise = self.width().0 * error / (1.0 - lost);
        self.0.update(Self::row(at, log_odds(lost)), at.mv, noise.hypot(SHAPE));
    }

    /// No more than this share was lost: the cliff is no higher than that. The belief is cut off
    /// there, and what is left of it is taken for normal again.
    pub(super) fn clean(&mut self, at: Place, most: f64) {
        let row = Self::row(at, log_odds(most));
        let (mean, deviation) = self.0.predict(row);
        if deviation <= 0.0 {
            return;
        }
        let cut = ((at.mv - mean) / deviation).max(-3.0);
        let pull = density(cut) / normal(cut);
        let left = 1.0 - pull * (cut + pull);
        if left > 0.995 {
            return;
        }
        let variance = deviation * deviation;
        let (new_mean, new_variance) = (mean - deviation * pull, variance * left.max(0.05));
        let noise = 1.0 / (1.0 / new_variance - 1.0 / variance);
        let seen = (new_mean / new_variance - mean / variance) * noise;
        self.0.update(row, seen, noise.sqrt());
    }

    /// Voltage at which this share is lost at a clock and temperature, and its standard deviation.
    pub(super) fn voltage(&self, at: Place, lost: Ratio) -> (f64, f64) {
        self.0.predict(Self::row(at, log_odds(lost.get())))
    }

    /// Share of hashes expected to be lost.
    pub(super) fn lost(&self, at: Place) -> f64 {
        let middle = self.0.predict(Self::row(at, 0.0)).0;
        1.0 / (1.0 + ((at.mv - middle) / self.width().0).exp())
    }

    /// The same, two standard deviations less lucky.
    pub(super) fn most_lost(&self, at: Place) -> f64 {
        let (middle, unsure) = self.0.predict(Self::row(at, 0.0));
        1.0 / (1.0 + ((at.mv - middle - 2.0 * unsure) / self.width().0).exp())
    }

    /// What a share becomes when the voltage falls and the clock rises by this much: as steep as the
    /// cliff may be.
    pub(super) fn worst(&self, lost: f64, lower_mv: f64, faster_mhz: f64) -> f64 {
        let (width, unsure) = self.width();
        let (rise, rise_unsure) = self.0.coefficient(1);
        let mv = lower_mv + (rise + rise_unsure).max(0.0) * faster_mhz;
        let odds = log_odds(lost.max(FEW)) - mv / (width - unsure).max(4.0);
        1.0 / (1.0 + odds.exp())
    }

    fn width(&self) -> (f64, f64) {
        let (width, unsure) = self.0.coefficient(3);
        (width.max(4.0), unsure)
    }

    fn row(at: Place, odds: f64) -> [f64; 4] {
        [1.0, at.mhz - CENTRE, at.chip - WARM, odds]
    }
}

/// ln((1 - p)/p).
fn log_odds(lost: f64) -> f64 {
    let lost = lost.clamp(1e-6, 0.999);
    ((1.0 - lost) / lost).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mhz: f64, mv: f64) -> Place {
        Place { mhz, mv, chip: 55.0 }
    }

    fn lost(mv: f64, middle: f64, width: f64) -> f64 {
        1.0 / (1.0 + ((mv - middle) / width).exp())
    }

    #[test]
    fn a_clean_setting_bounds_the_cliff_from_above_and_never_raises_it() {
        let mut cliff = Cliff::new(&Prior::GAMMA);
        let four = Ratio::new(0.04).unwrap();
        let before = cliff.voltage(at(525.0, 0.0), four).0;
        cliff.saw(at(525.0, 1200.0), 0.0, 1.0);
        let after = cliff.voltage(at(525.0, 0.0), four).0;
        assert!(after <= before && before - after < 1.0, "{before} {after}");
        cliff.saw(at(525.0, 1000.0), 0.0, 1.0);
        let after = cliff.voltage(at(525.0, 0.0), four).0;
        assert!(after < 1000.0, "{before} {after}");
    }

    #[test]
    fn two_small_shares_seen_from_above_tell_where_four_percent_will_be() {
        for (middle, width) in [(990.0, 12.0), (1010.0, 10.0), (960.0, 15.0)] {
            let mut cliff = Cliff::new(&Prior::GAMMA);
            for above in [60.0, 50.0] {
                let mv = middle + above;
                cliff.saw(at(525.0, mv), lost(mv, middle, width), 0.05);
            }
            let (seen, unsure) = cliff.voltage(at(525.0, 0.0), Ratio::new(0.04).unwrap());
            let truth = middle + width * 24f64.ln();
            assert!(
                (seen - truth).abs() < 8.0 && unsure < 8.0,
                "{middle}: {seen} {unsure} {truth}"
            );
        }
    }

    #[test]
    fn the_next_step_is_never_expected_cleaner_than_it_can_be() {
        let cliff = Cliff::new(&Prior::GAMMA);
        assert!(cliff.worst(0.01, 20.0, 0.0) > 0.04);
        assert!(cliff.worst(0.0, 10.0, 0.0) < 0.01);
        assert!(cliff.worst(0.01, 10.0, 25.0) > cliff.worst(0.01, 10.0, 0.0));
    }
}
