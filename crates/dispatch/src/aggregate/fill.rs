//! Who gives how much: those who have given least so far give first. It knows no home by name.

/// What one home offers in one direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    /// What it gave so far: hours at all of its flexibility, which is Wh per flexible W.
    given: f64,
    /// What it gives more for each hour of level, W; more than 0.
    slope: f64,
    /// The most it is asked for now, W.
    most: f64,
}

impl Offer {
    /// Of a home that gave so much, with so much flexibility, W, of which it is asked for at most `most`.
    pub fn new(given: f64, range: f64, most: f64, even: f64) -> Self {
        Self { given, slope: range / even, most }
    }

    /// What it gives at this level, W.
    pub fn at(&self, level: f64) -> f64 {
        (self.slope * (level - self.given)).min(self.most).max(0.0)
    }

    /// The level from which it gives all that it is asked for.
    fn full(&self) -> f64 {
        self.given + self.most / self.slope
    }
}

/// Halvings are enough for any two numbers; straight lines end it after about five.
const STEPS: usize = 200;
/// Close enough, as a part of what is needed: far below a watt.
const CLOSE: f64 = 1e-9;

/// The level at which all offers together give `needed` W: each home gives `range (level - given) / even`,
/// between nothing and what it offers. So homes that gave equally much give equal parts of their
/// flexibility, one that is `even` hours behind gives all, and differences vanish over that time: water
/// filling on what was given, as deficit round robin does for packets (Shreedhar and Varghese 1995).
/// More than all offers is answered with the level at which each gives all. `None` without offers.
///
/// Each pass is O(n). What all give is a straight line between corners, so Newton's step is right at once
/// between two of them; it begins at `near`, which the level of the last step is.
pub(super) fn level(offers: &[Offer], needed: f64, near: f64) -> Option<f64> {
    let (mut first, mut last, mut all) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
    for offer in offers {
        first = first.min(offer.given);
        last = last.max(offer.full());
        all += offer.most;
    }
    if offers.is_empty() {
        return None;
    }
    if needed <= 0.0 {
        return Some(first);
    }
    if needed >= all {
        return Some(last);
    }
    let (mut low, mut high, mut middle) = (first, last, near);
    for step in 0..STEPS {
        if !(middle > low && middle < high) || step % 8 == 7 {
            middle = low + (high - low) / 2.0;
            if middle <= low || middle >= high {
                break;
            }
        }
        let (mut sum, mut slope) = (0.0, 0.0);
        for offer in offers {
            let gives = offer.slope * (middle - offer.given);
            sum += gives.min(offer.most).max(0.0);
            slope += if gives > 0.0 && gives < offer.most { offer.slope } else { 0.0 };
        }
        let missing = needed - sum;
        if missing.abs() <= CLOSE * needed {
            return Some(middle);
        }
        if missing > 0.0 {
            low = middle
        } else {
            high = middle
        }
        // Flat, or beyond what is known to be too low or too high: the half.
        middle += missing / slope;
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offer(given: f64, range: f64) -> Offer {
        Offer::new(given, range, range, 1.0)
    }

    fn shares(offers: &[Offer], needed: f64) -> Vec<f64> {
        let level = level(offers, needed, 0.0).unwrap();
        offers.iter().map(|offer| offer.at(level)).collect()
    }

    #[test]
    fn equals_give_equal_parts_and_who_gave_least_gives_first() {
        for (offers, needed, expected) in [
            (vec![offer(0.0, 1000.0), offer(0.0, 3000.0)], 2000.0, vec![500.0, 1500.0]),
            (vec![offer(0.0, 1000.0), offer(1.0, 1000.0)], 900.0, vec![900.0, 0.0]),
            (vec![offer(0.0, 1000.0), offer(0.5, 1000.0)], 900.0, vec![700.0, 200.0]),
            (vec![offer(0.0, 1000.0), offer(0.0, 1000.0)], 5000.0, vec![1000.0, 1000.0]),
            (vec![offer(3.0, 1000.0)], 0.0, vec![0.0]),
        ] {
            let got = shares(&offers, needed);
            for (got, expected) in got.iter().zip(&expected) {
                assert!((got - expected).abs() < 1e-3, "{got} {expected}");
            }
        }
        assert_eq!(level(&[], 5.0, 0.0), None);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_nobody_gives_more_than_offered(
            offers in prop::collection::vec((0.0..50.0, 1.0..20_000.0, 0.0..1.0f64), 1..200),
            part in 0.0..1.0f64,
        ) {
            let offers: Vec<Offer> = offers
                .into_iter()
                .map(|(given, range, part)| Offer::new(given, range, part * range, 1.0))
                .collect();
            let all: f64 = offers.iter().map(|offer| offer.most).sum();
            let got = shares(&offers, part * all);
            prop_assert!((got.iter().sum::<f64>() - part * all).abs() <= 1e-6 * all + 1e-6);
            for (offer, got) in offers.iter().zip(&got) {
                prop_assert!(*got >= 0.0 && *got <= offer.most);
            }
        }
    }
}
