//! How alike two templates are, seen from their merkle branches, and which pools share one.
//!
//! ```text
//!  branch 0: transaction 1          the first 1 transaction
//!  branch 1: transactions 2, 3      equal up to here: the first 3
//!  branch 2: transactions 4 … 7     equal up to here: the first 7
//! ```

/// How alike two templates are, 0 to 1: equal branches count by how many transactions they stand
/// for, `sum over i = 1..l of [A_i = B_i] / 2^(1 + l - i)`, over `1 - 2^-l`, with l the shorter's
/// number of branches (b10c, "Block Template Similarities between Mining Pools", 2024). `None` where
/// one of them has no transaction: nothing can be compared.
pub fn similarity(a: &[[u8; 32]], b: &[[u8; 32]]) -> Option<f64> {
    let length = a.len().min(b.len());
    if length == 0 {
        return None;
    }
    let halves = |n: usize| 0.5f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let sum: f64 = a
        .iter()
        .zip(b)
        .enumerate()
        .filter(|(_, (a, b))| a == b)
        .map(|(i, _)| halves(length - i))
        .sum();
    Some(sum / (1.0 - halves(length)))
}

/// How many transactions behind the coinbase are surely the same in both: `2^n - 1` for n equal
/// branches at the beginning.
pub fn transactions_alike(a: &[[u8; 32]], b: &[[u8; 32]]) -> u64 {
    let equal = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    u32::try_from(equal).ok().and_then(|n| 2u64.checked_pow(n)).unwrap_or(u64::MAX) - 1
}

/// Groups of members that are linked, directly or by others between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters {
    of: Vec<usize>,
    count: usize,
}

impl Clusters {
    /// Single linkage: members whose similarity is at least `threshold` are in one group, and so are
    /// their friends' friends. An unknown similarity links nobody. Rows of `matrix` are members; only
    /// values right of the diagonal are read.
    pub fn of(matrix: &[Vec<Option<f64>>], threshold: f64) -> Self {
        let size = matrix.len();
        let mut of: Vec<usize> = (0..size).collect();
        for (i, row) in matrix.iter().enumerate() {
            for (j, value) in row.iter().enumerate().skip(i + 1) {
                if value.is_some_and(|v| v >= threshold) {
                    let (keep, drop) = (of[i].min(of[j]), of[i].max(of[j]));
                    of.iter_mut().filter(|c| **c == drop).for_each(|c| *c = keep);
                }
            }
        }
        // Numbered from 0 in the order of their first members.
        let mut names: Vec<usize> = Vec::new();
        for cluster in &mut of {
            let at = names.iter().position(|name| name == cluster).unwrap_or_else(|| {
                names.push(*cluster);
                names.len() - 1
            });
            *cluster = at;
        }
        Self { of, count: names.len() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The cluster of a member, from 0.
    pub fn of_member(&self, member: usize) -> Option<usize> {
        self.of.get(member).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn branches(text: &str) -> Vec<[u8; 32]> {
        text.bytes().map(|b| [b; 32]).collect()
    }

    #[test]
    fn the_last_branch_stands_for_half_of_the_transactions() {
        for (a, b, want) in [
            ("abc", "abc", Some(1.0)),
            ("abc", "abx", Some(3.0 / 7.0)),
            ("abc", "xbc", Some(6.0 / 7.0)),
            ("abc", "xxc", Some(4.0 / 7.0)),
            ("abc", "xyz", Some(0.0)),
            ("a", "a", Some(1.0)),
            // The shorter decides how much is compared.
            ("abc", "ab", Some(1.0)),
            ("abc", "", None),
            ("", "", None),
        ] {
            let got = similarity(&branches(a), &branches(b));
            match (got, want) {
                (Some(got), Some(want)) => assert!((got - want).abs() < 1e-12, "{a} {b} {got}"),
                (got, want) => assert_eq!(got, want, "{a} {b}"),
            }
        }
    }

    #[test]
    fn equal_branches_at_the_beginning_say_how_many_transactions_are_equal() {
        for (a, b, transactions) in
            [("abcd", "abcd", 15), ("abcx", "abcy", 7), ("abcd", "xbcd", 0), ("", "", 0)]
        {
            assert_eq!(transactions_alike(&branches(a), &branches(b)), transactions);
        }
        let endless = vec![[0; 32]; 100];
        assert_eq!(transactions_alike(&endless, &endless), u64::MAX - 1);
        assert_eq!(similarity(&endless, &endless), Some(1.0));
    }

    #[test]
    fn friends_of_friends_are_one_cluster_and_the_unknown_link_nobody() {
        let some = Some;
        let matrix = vec![
            vec![some(1.0), some(0.9), some(0.1), None],
            vec![some(0.9), some(1.0), some(0.8), None],
            vec![some(0.1), some(0.8), some(1.0), None],
            vec![None, None, None, None],
        ];
        for (threshold, count, last) in [(0.5, 2, 1), (0.85, 3, 2), (0.95, 4, 3)] {
            let clusters = Clusters::of(&matrix, threshold);
            assert_eq!(clusters.count(), count);
            assert_eq!(clusters.of_member(3), Some(last));
        }
        assert_eq!(Clusters::of(&[], 0.5).count(), 0);
        assert_eq!(Clusters::of(&[], 0.5).of_member(0), None);
    }

    proptest! {
        #[test]
        fn similarity_is_symmetric_between_0_and_1_and_1_only_for_equals(
            a in prop::collection::vec(0u8..3, 1..12), b in prop::collection::vec(0u8..3, 1..12),
        ) {
            let [a, b] = [a, b].map(|list| list.iter().map(|n| [*n; 32]).collect::<Vec<_>>());
            let found = similarity(&a, &b).unwrap();
            prop_assert_eq!(Some(found), similarity(&b, &a));
            prop_assert!((0.0..=1.0).contains(&found));
            let length = a.len().min(b.len());
            prop_assert_eq!(found == 1.0, a[..length] == b[..length]);
        }
    }
}
