//! How concentrated a distribution is, in the usual measures.
//!
//! It owns [`Shares`] and the measures on them. It never knows who the members are.

use crate::LabError;

/// A coalition has more than half only if it is above it by more than rounding: of 50 and 50 %,
/// neither has.
const ROUNDING: f64 = 1e-12;

/// Shares of a whole, of one member or of many equal ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Largest first; shares times counts add up to one.
    groups: Vec<Group>,
}

/// Members of equal size.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Group {
    /// Of each.
    share: f64,
    count: u64,
}

/// The measures of section 6 of the reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Concentration {
    /// Number of members.
    pub members: u64,
    /// Nakamoto coefficient: the fewest members that together hold more than half.
    pub nakamoto: u64,
    /// Herfindahl-Hirschman index: the sum of the squared percentages, up to 10,000.
    pub hhi: f64,
    /// How many equal members would be as concentrated: 10,000 / HHI.
    pub effective: f64,
    /// Gini coefficient: 0 when all are equal, near 1 when one has all.
    pub gini: f64,
    /// Shannon entropy, in bits.
    pub entropy_bits: f64,
}

impl Shares {
    /// Makes shares of weights, each with the number of members that have it.
    ///
    /// # Errors
    /// No member, or a weight that is not positive and finite.
    pub fn of_weights(weights: impl IntoIterator<Item = (f64, u64)>) -> Result<Self, LabError> {
        let mut groups: Vec<Group> = weights
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(share, count)| Group { share, count })
            .collect();
        if groups.is_empty() {
            return Err(LabError::new("there are no miners: give at least one"));
        }
        if let Some(bad) = groups.iter().find(|g| !(g.share.is_finite() && g.share > 0.0)) {
            let sentence = format!("a share of {} is none: give a positive number", bad.share);
            return Err(LabError::new(sentence));
        }
        let total: f64 = groups.iter().map(|g| g.share * g.count as f64).sum();
        if !total.is_finite() {
            return Err(LabError::new("the shares add up to more than can be counted"));
        }
        groups.iter_mut().for_each(|g| g.share /= total);
        groups.sort_by(|a, b| b.share.total_cmp(&a.share));
        Ok(Self { groups })
    }

    /// What the `n` largest hold together.
    pub fn top(&self, n: u64) -> f64 {
        let mut left = n;
        let mut sum = 0.0;
        for group in &self.groups {
            let taken = left.min(group.count);
            sum += group.share * taken as f64;
            left -= taken;
        }
        sum
    }

    /// All measures.
    pub fn concentration(&self) -> Concentration {
        let sum = |of: fn(f64) -> f64| -> f64 {
            self.groups.iter().map(|g| of(g.share) * g.count as f64).sum()
        };
        let squares = sum(|share| share * share);
        Concentration {
            members: self.groups.iter().map(|g| g.count).sum(),
            nakamoto: self.fewest_above_half(),
            hhi: 1e4 * squares,
            effective: 1.0 / squares,
            gini: self.gini(),
            // Adding 0 makes -0 a 0.
            entropy_bits: sum(|share| -share * share.log2()) + 0.0,
        }
    }

    fn fewest_above_half(&self) -> u64 {
        let half = 0.5 + ROUNDING;
        let (mut held, mut members) = (0.0, 0);
        for group in &self.groups {
            let all = held + group.share * group.count as f64;
            if all > half {
                return members + 1 + ((half - held) / group.share).floor() as u64;
            }
            held = all;
            members += group.count;
        }
        members
    }

    /// Sum of (2 rank - n - 1) share / n over all members, smallest first; members of a group are
    /// summed in one step.
    fn gini(&self) -> f64 {
        let n: f64 = self.groups.iter().map(|g| g.count as f64).sum();
        let mut below = 0.0;
        let mut sum = 0.0;
        for group in self.groups.iter().rev() {
            let count = group.count as f64;
            sum += count * (2.0 * below + count - n) * group.share;
            below += count;
        }
        (sum / n).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(weights: &[f64]) -> Shares {
        Shares::of_weights(weights.iter().map(|w| (*w, 1))).unwrap()
    }

    #[test]
    fn the_pools_of_2025_have_the_concentration_of_the_reference() {
        let shares = shares(&[30.0, 29.0, 12.0, 11.0, 8.0, 5.0, 3.0, 1.0, 1.0]);
        let found = shares.concentration();
        assert_eq!((found.members, found.nakamoto), (9, 2));
        assert_eq!(format!("{:.0}", found.hhi), "2106");
        assert_eq!(format!("{:.2}", found.effective), "4.75");
        assert_eq!(format!("{:.3}", found.entropy_bits), "2.549");
        assert_eq!(format!("{:.3}", found.gini), "0.498");
        assert_eq!(format!("{:.0}", 100.0 * shares.top(6)), "95");
    }

    #[test]
    fn one_is_all_and_equals_are_equal() {
        for n in [1, 2, 3, 10, 1000] {
            let found = shares(&vec![7.0; n]).concentration();
            assert!((found.effective - n as f64).abs() < 1e-9);
            assert!((found.entropy_bits - (n as f64).log2()).abs() < 1e-9);
            assert!(found.gini.abs() < 1e-12);
            assert_eq!(found.nakamoto, n as u64 / 2 + 1, "half is not more than half");
        }
    }

    #[test]
    fn nobody_nothing_and_no_number_are_refused_in_a_sentence() {
        for (weights, said) in [
            (vec![], "there are no miners: give at least one"),
            (vec![(1.0, 0)], "there are no miners: give at least one"),
            (vec![(1.0, 1), (0.0, 1)], "a share of 0 is none: give a positive number"),
            (vec![(-1.0, 1)], "a share of -1 is none: give a positive number"),
            (vec![(f64::NAN, 1)], "a share of NaN is none: give a positive number"),
            (vec![(f64::MAX, 3)], "the shares add up to more than can be counted"),
        ] {
            assert_eq!(Shares::of_weights(weights).unwrap_err().to_string(), said);
        }
    }

    proptest! {
        #[test]
        fn members_counted_in_groups_or_one_by_one_give_the_same(
            groups in prop::collection::vec((1u32..1000, 1u64..30), 1..8),
        ) {
            let grouped =
                Shares::of_weights(groups.iter().map(|(w, n)| (f64::from(*w), *n))).unwrap();
            let single: Vec<f64> = groups
                .iter()
                .flat_map(|(w, n)| std::iter::repeat_n(f64::from(*w), *n as usize))
                .collect();
            let (a, b) = (grouped.concentration(), shares(&single).concentration());
            prop_assert_eq!((a.members, a.nakamoto), (b.members, b.nakamoto));
            for (a, b) in [
                (a.hhi, b.hhi),
                (a.effective, b.effective),
                (a.gini, b.gini),
                (a.entropy_bits, b.entropy_bits),
                (grouped.top(5), shares(&single).top(5)),
            ] {
                prop_assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{} {}", a, b);
            }
        }
    }
}
