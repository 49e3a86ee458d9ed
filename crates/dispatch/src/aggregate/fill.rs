//! Who gives how much: those who have given least so far give first. It knows no home by name.

/// What one home offers in one direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    /// What it gave so far: hours at all of its flexibility, which is Wh per flexible W.
    pub given: f64,
    /// All of its flexibility, W; more than 0.
    pub range: f64,
    /// The most it is asked for now, W; at most `range`.
    pub most: f64,
}

impl Offer {
    /// What it gives at this level, W.
    pub fn at(&self, level: f64, even: f64) -> f64 {
        (self.range / even * (level - self.given)).min(self.most).max(0.0)
    }

    /// The level from which it gives all that it is asked for.
    fn full(&self, even: f64) -> f64 {
        self.given + even * self.most / self.range
    }
}

/// Halvings are enough for any two numbers; interpolation ends it after about ten.
const STEPS: usize = 200;
/// Close enough, as a part of what is needed: far below a watt.
const CLOSE: f64 = 1e-9;

/// The level at which all offers together give `needed` W: each home gives `range (level - given) / even`,
/// between nothing and what it offers. So homes that gave equally much give equal parts of their
/// flexibility, one that is `even` hours behind gives all, and differences vanish over that time: water
/// filling on what was given, as deficit round robin does for packets (Shreedhar and Varghese 1995).
/// More than all offers is answered with the level at which each gives all. `None` without offers.
///
/// Each pass is O(n), and there are about ten.
pub(super) fn level(offers: &[Offer], needed: f64, even: f64) -> Option<f64> {
    let first = offers.iter().map(|offer| offer.given).reduce(f64::min)?;
    let last = offers.iter().map(|offer| offer.full(even)).reduce(f64::max)?;
    let sum = |level: f64| offers.iter().map(|offer| offer.at(level, even)).sum::<f64>() - needed;
    let (mut low, mut high) = ((first, -needed), (last, sum(last)));
    if low.1 >= 0.0 {
        return Some(first);
    }
    for step in 0..STEPS {
        if high.1 <= 0.0 {
            return Some(high.0);
        }
        // By turns: the straight line is right at once between two corners, halves always end.
        let middle = match step % 3 {
            2 => low.0 + (high.0 - low.0) / 2.0,
            _ => low.0 - low.1 * (high.0 - low.0) / (high.1 - low.1),
        };
        let at = (middle, sum(middle));
        if at.1.abs() <= CLOSE * needed || middle <= low.0 || middle >= high.0 {
            return Some(middle);
        }
        if at.1 < 0.0 { low = at } else { high = at }
    }
    Some(high.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offer(given: f64, range: f64) -> Offer {
        Offer { given, range, most: range }
    }

    fn shares(offers: &[Offer], needed: f64) -> Vec<f64> {
        let level = level(offers, needed, 1.0).unwrap();
        offers.iter().map(|offer| offer.at(level, 1.0)).collect()
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
        assert_eq!(level(&[], 5.0, 1.0), None);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_nobody_gives_more_than_offered(
            offers in prop::collection::vec((0.0..50.0, 1.0..20_000.0, 0.0..1.0f64), 1..200),
            part in 0.0..1.0f64,
        ) {
            let offers: Vec<Offer> = offers
                .into_iter()
                .map(|(given, range, part)| Offer { given, range, most: part * range })
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
