//! Finds the set-point at which a control is as comfortable as another, and the cheapest of several. It knows no body.

use super::{Kind, Outcome, Season};

/// Degree-hours that count as equal, as parts of what is wanted.
const EQUAL: std::ops::RangeInclusive<f64> = 0.95..=1.0;
/// Seasons that are tried to find them.
const TRIES: usize = 12;
/// Where only equal comfort counts, after as many the search ends, and more set-points about the last one
/// are tried, so many kelvin from each other: a control that decides by steps makes a lumpy curve.
const FEWER_TRIES: usize = 9;
const MORE_TRIES: usize = 16;
const APART_K: f64 = 0.07;

impl Season {
    /// The cheapest of these that is no colder than this many degree-hours and misses no hygienic
    /// cycle, nor warmer where the season asks for that. `None` if none is.
    pub fn cheapest(
        &self,
        kinds: impl IntoIterator<Item = Kind>,
        wanted: f64,
    ) -> Option<(Kind, Outcome)> {
        let tuned = kinds.into_iter().filter_map(|kind| Some((kind, self.tuned(kind, wanted)?)));
        let able = tuned.filter(|(_, outcome)| {
            outcome.overdue == 0 && (!self.equal || EQUAL.contains(&(outcome.cold / wanted)))
        });
        able.min_by(|a, b| a.1.cost.total_cmp(&b.1.cost))
    }

    /// At the lowest set-point found at which degree-hours are equal to these, or else fewer: whoever
    /// cannot be tuned so finely pays for being warmer. `None` if no set-point in range is that warm.
    ///
    /// Regula falsi on the logarithm of degree-hours, which falls about evenly with the set-point.
    fn tuned(&self, kind: Kind, wanted: f64) -> Option<Outcome> {
        let aim = (EQUAL.start() + EQUAL.end()) / 2.0 * wanted;
        let (mut low, mut high) = (None::<(f64, f64)>, None::<(f64, f64)>);
        let mut warm_enough = None::<Outcome>;
        let (mut set, mut step) = (self.comfort, self.step_k);
        for _ in 0..if self.equal { FEWER_TRIES } else { TRIES } {
            let outcome = self.run(kind, set);
            let off = ((outcome.cold + 1e-3) / aim).ln();
            if outcome.cold <= wanted && warm_enough.is_none_or(|best| outcome.cold > best.cold) {
                warm_enough = Some(outcome);
            }
            if EQUAL.contains(&(outcome.cold / wanted)) {
                return Some(outcome);
            }
            // An end that stays counts half (Illinois), so that both move.
            if off > 0.0 {
                high = high.map(|(at, off)| (at, if low.is_some() { off / 2.0 } else { off }));
                low = Some((set, off));
            } else {
                low = low.map(|(at, off)| (at, if high.is_some() { off / 2.0 } else { off }));
                high = Some((set, off));
            }
            set = match (low, high) {
                (Some(low), Some(high)) => {
                    let part = (low.1 / (low.1 - high.1)).clamp(0.05, 0.95);
                    low.0 + (high.0 - low.0) * part
                }
                _ if off > 0.0 => set + step,
                _ => set - step,
            };
            step *= 1.5;
            if !self.range.contains(&set) {
                return warm_enough;
            }
        }
        let about = (1..=MORE_TRIES / 2).flat_map(|times| [times as f64, -(times as f64)]);
        let mut more =
            about.filter(|_| self.equal).map(|times| self.run(kind, set + times * APART_K));
        more.find(|outcome| EQUAL.contains(&(outcome.cold / wanted))).or(warm_enough)
    }
}
