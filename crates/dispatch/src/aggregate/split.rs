//! Wholes in whole parts: what is split adds up exactly. It never says what a part is of.

/// Splits `total` in proportion to the weights, by the largest remainder (Hamilton): each part is the
/// exact one rounded down or up, and their sum is `total`. Of equal remainders the first gets more.
/// `None` when no weight is above 0.
pub fn by_weight(total: u64, weights: &[u64]) -> Option<Vec<u64>> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    if sum == 0 {
        return None;
    }
    let mut rest = total;
    let mut parts = Vec::with_capacity(weights.len());
    let mut remainders: Vec<(u128, usize)> = Vec::with_capacity(weights.len());
    for (at, weight) in weights.iter().enumerate() {
        let exact = u128::from(total) * u128::from(*weight);
        // A part of a total is no more than the total.
        let part = u64::try_from(exact / sum).unwrap_or(total);
        rest -= part;
        parts.push(part);
        remainders.push((exact % sum, at));
    }
    remainders.sort_unstable_by_key(|(remainder, at)| (std::cmp::Reverse(*remainder), *at));
    for (_, at) in remainders.into_iter().zip(0..rest).map(|(one, _)| one) {
        if let Some(part) = parts.get_mut(at) {
            *part += 1;
        }
    }
    Some(parts)
}

/// Rounds numbers to whole ones whose sum is the sum rounded: each is the exact one rounded down or up.
pub(super) fn whole(numbers: &[f64]) -> Vec<i64> {
    let total = numbers.iter().sum::<f64>().round() as i64;
    let mut wholes: Vec<i64> = numbers.iter().map(|number| number.floor() as i64).collect();
    let missing = (total - wholes.iter().sum::<i64>()).max(0) as usize;
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    let part = |at: usize| numbers.get(at).map_or(0.0, |number| number - number.floor());
    order.sort_by(|a, b| part(*b).total_cmp(&part(*a)));
    for at in order.into_iter().take(missing) {
        if let Some(whole) = wholes.get_mut(at) {
            *whole += 1;
        }
    }
    wholes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_remainder_gets_what_is_left() {
        for (total, weights, expected) in [
            (10, vec![1, 1, 1], Some(vec![4, 3, 3])),
            (7, vec![0, 5, 0], Some(vec![0, 7, 0])),
            (100, vec![333, 333, 334], Some(vec![33, 33, 34])),
            (u64::MAX, vec![u64::MAX, u64::MAX], Some(vec![1 << 63, (1 << 63) - 1])),
            (5, vec![0, 0], None),
            (5, vec![], None),
        ] {
            assert_eq!(by_weight(total, &weights), expected);
        }
        assert_eq!(whole(&[0.4, 0.4, 0.4, -1.5]), [1, 0, 0, -1], "together -0.3");
        assert_eq!(whole(&[2.5, 2.5]), [3, 2]);
    }

    proptest! {
        #[test]
        fn parts_add_up_and_are_within_one_of_exact(
            total in 0..u64::MAX,
            weights in prop::collection::vec(0..1_000_000u64, 1..100),
        ) {
            let sum: u64 = weights.iter().sum();
            prop_assume!(sum > 0);
            let parts = by_weight(total, &weights).unwrap();
            prop_assert_eq!(parts.iter().map(|part| u128::from(*part)).sum::<u128>(), total.into());
            for (part, weight) in parts.iter().zip(&weights) {
                let floor = u128::from(total) * u128::from(*weight) / u128::from(sum);
                prop_assert!((floor..=floor + 1).contains(&u128::from(*part)));
            }
        }

        #[test]
        fn whole_numbers_add_up_to_the_rounded_sum(
            numbers in prop::collection::vec(-1e6..1e6f64, 0..100),
        ) {
            let wholes = whole(&numbers);
            prop_assert_eq!(wholes.iter().sum::<i64>(), numbers.iter().sum::<f64>().round() as i64);
            for (whole, number) in wholes.iter().zip(&numbers) {
                prop_assert!((*whole as f64 - number).abs() <= 1.0);
            }
        }
    }
}
