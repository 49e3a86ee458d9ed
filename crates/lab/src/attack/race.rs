//! The race between a censor and everybody else, in closed form: the chance that the block with the
//! unwanted transaction is orphaned. Owns the formulas for zero delay; never simulates.
//!
//! ```text
//!   root ── B ── · ── ·          the others: B has the transaction, n blocks are n confirmations
//!       └── · ── · ── · ── ·     the censor: wins when it is one block ahead
//! ```
//!
//! B has just been found, so the censor is 1 behind. Every block is the censor's with probability
//! alpha, the others' with beta = 1 - alpha: a random walk from 1 behind to 1 ahead, a gambler's ruin
//! (Feller, An Introduction to Probability Theory and Its Applications I, XIV.2 and III). In a tie
//! the part gamma of the others mines on the censor's branch (Eyal and Sirer, arXiv:1311.0243).

use super::input::{Gamma, Share, Stubbornness};
use units::Sats;

/// A censor against everybody else, who follow the heaviest chain; blocks arrive at once.
#[derive(Debug, Clone, Copy)]
pub struct Race {
    /// The censor's share of the hashrate, alpha.
    pub share: Share,
    /// Who follows the censor in a tie.
    pub gamma: Gamma,
}

impl Race {
    /// A censor whom nobody follows in a tie.
    pub fn alone(share: Share) -> Self {
        Self { share, gamma: Gamma::NONE }
    }

    /// The probability that B is orphaned.
    ///
    /// Without tie-followers this is sum over n = 1..k of Catalan(n) alpha^(n+1) beta^(n-1), the
    /// paths that first get one ahead when the others have n blocks (ballot theorem), and without end
    /// (alpha/beta)^2, or 1 from alpha = 1/2.
    pub fn orphaned(&self, stubbornness: Stubbornness) -> f64 {
        match stubbornness {
            Stubbornness::Confirmations(k) => {
                self.orphaned_up_to(k.get()).last().copied().unwrap_or_default()
            }
            Stubbornness::Forever => self.catches_up() * self.wins_after_tie(),
        }
    }

    /// The probabilities for every stubbornness of 1 to `most` confirmations.
    ///
    /// The censor ties from one behind while the others find j more blocks with probability
    /// F(j) = Catalan(j) alpha^(j+1) beta^j; from a tie it wins with alpha + gamma beta, else it is
    /// one behind again. With T(m) the expected ties reached when the others have found m more,
    /// T(m) = F(m) + sum over i < m of T(i) (1 - gamma) beta F(m-1-i), and the probability is
    /// (alpha + gamma beta) sum of T(0) .. T(k-1).
    pub fn orphaned_up_to(&self, most: u32) -> Vec<f64> {
        let (alpha, beta) = (self.share.get(), self.share.rest());
        let most = most as usize;
        // Catalan(n+1) / Catalan(n) = 2 (2n+1) / (n+2).
        let ratio = |n: f64| alpha * beta * 2.0 * (2.0 * n + 1.0) / (n + 2.0);
        let passages = |first: f64, start: f64| {
            let mut next = first;
            (0..most).map(move |j| {
                let this = next;
                next *= ratio(start + j as f64);
                this
            })
        };
        let first: Vec<f64> = passages(alpha, 0.0).collect();
        let back = (1.0 - self.gamma.get()) * beta;
        let ties: Vec<f64> = if self.gamma == Gamma::NONE {
            // The convolution is a Catalan number again: C(m+1) = sum of C(i) C(m-i).
            passages(alpha, 1.0).collect()
        } else {
            let mut ties = Vec::with_capacity(most);
            for m in 0..most {
                let again: f64 = ties.iter().zip(first[..m].iter().rev()).map(|(t, f)| t * f).sum();
                ties.push(first[m] + back * again);
            }
            ties
        };
        let mut sum = 0.0;
        ties.iter()
            .map(|t| {
                sum += t;
                (sum * self.wins_tie_at_once()).min(1.0)
            })
            .collect()
    }

    /// The probability that B had at least `confirmations` when it was orphaned: payments that looked
    /// final and were not.
    pub fn false_finality(&self, confirmations: u32, stubbornness: Stubbornness) -> f64 {
        let before = match confirmations.checked_sub(1) {
            None | Some(0) => 0.0,
            Some(fewer) => self.orphaned_up_to(fewer).last().copied().unwrap_or_default(),
        };
        (self.orphaned(stubbornness) - before).max(0.0)
    }

    /// The smallest fee that makes including the transaction worth the risk: more than
    /// R P / (1 - P), R being all that a block pays otherwise. None if no fee is enough.
    pub fn inclusion_fee(&self, reward: Sats, stubbornness: Stubbornness) -> Option<Sats> {
        fee_for(self.orphaned(stubbornness), reward)
    }

    /// Blocks, by anybody, until a censor that never gives up is one ahead: 2 / (2 alpha - 1) without
    /// tie-followers. None if that has no mean or may never happen.
    pub fn blocks_to_resolve(&self) -> Option<f64> {
        let drift = 2.0 * self.share.get() - 1.0;
        (drift > 0.0).then(|| {
            let one_step = 1.0 / drift;
            one_step + (1.0 + (1.0 - self.wins_tie_at_once()) * one_step) / self.wins_tie_at_once()
        })
    }

    /// Forks until a censor that never gives up is left behind for good: 1 / (1 - P). None if it
    /// always wins in the end.
    pub fn forks_until_split(&self) -> Option<f64> {
        let orphaned = self.orphaned(Stubbornness::Forever);
        (orphaned < 1.0).then(|| 1.0 / (1.0 - orphaned))
    }

    /// What a censor that gives up at k confirmations earns, as a multiple of what it would earn by
    /// following the heaviest chain, when every block of the others has such a transaction.
    ///
    /// A round begins with all on one tip. The censor finds the next block (alpha) and keeps it, or
    /// the race begins: won at n confirmations it keeps n + 1 blocks, lost it keeps none and the
    /// others keep k + 1. Its part of all that is kept, over alpha. It is 1 at alpha = 1/2 for every
    /// k, less below and more above. Without tie-followers only; None with them.
    pub fn censors_revenue(&self, confirmations: u32) -> Option<f64> {
        if self.gamma != Gamma::NONE {
            return None;
        }
        let (alpha, beta) = (self.share.get(), self.share.rest());
        let wins = self.orphaned_up_to(confirmations);
        let mut before = 0.0;
        let mut kept = alpha;
        for (n, win) in (1u32..).zip(&wins) {
            kept += beta * (win - before) * f64::from(n + 1);
            before = *win;
        }
        let others = beta * (1.0 - before) * f64::from(confirmations + 1);
        Some(kept / (kept + others) / alpha)
    }

    /// The probability ever to get one block closer when the others lose time to `delay`, in block
    /// times, as in [`tipping_share`]: 1 / z, where z > 1 solves E z^(N-1) = 1 and N is the censor's
    /// blocks during one of the others', Poisson over `delay` plus an exponential time (Feller XIV.8:
    /// the walk climbs one at a time). 1 from the tipping share on; alpha / beta at no delay.
    pub(super) fn catches_up_with_delay(&self, delay: f64) -> f64 {
        let (alpha, beta) = (self.share.get(), self.share.rest());
        if self.share.get() >= tipping_share(delay) {
            return 1.0;
        }
        // ln of E z^N over z: convex, 0 at 1, falling there, infinite at 1 + beta / alpha.
        let excess =
            |z: f64| alpha * delay * (z - 1.0) - (1.0 - alpha * (z - 1.0) / beta).ln() - z.ln();
        let (mut low, mut high) = (1.0, 1.0 + beta / alpha);
        // Below the smallest value the excess is negative, above the root it is positive.
        for _ in 0..200 {
            let middle = f64::midpoint(low, high);
            let falling = alpha * delay + alpha / (beta - alpha * (middle - 1.0)) < 1.0 / middle;
            if falling || excess(middle) < 0.0 { low = middle } else { high = middle }
        }
        1.0 / low
    }

    /// The probability to win from a tie at the next block.
    pub(super) fn wins_tie_at_once(&self) -> f64 {
        self.share.get() + self.gamma.get() * self.share.rest()
    }

    /// The probability ever to get one block closer.
    pub(super) fn catches_up(&self) -> f64 {
        (self.share.get() / self.share.rest()).min(1.0)
    }

    /// The probability ever to get ahead from a tie.
    pub(super) fn wins_after_tie(&self) -> f64 {
        self.wins_after_tie_if(self.catches_up())
    }

    /// The same, if the probability ever to get one block closer is `catches_up`.
    pub(super) fn wins_after_tie_if(&self, catches_up: f64) -> f64 {
        let now = self.wins_tie_at_once();
        now / (1.0 - (1.0 - now) * catches_up)
    }
}

/// R P / (1 - P), or None where P is 1.
pub(super) fn fee_for(orphaned: f64, reward: Sats) -> Option<Sats> {
    (orphaned < 1.0).then(|| Sats((reward.0 as f64 * orphaned / (1.0 - orphaned)).ceil() as u64))
}

/// The share from which a censor that never gives up always wins when the others lose time to delay:
/// they grow by one block per `delay` + 1 / beta block times (Sompolinsky and Zohar, Secure High-Rate
/// Transaction Processing in Bitcoin, 2015: infinitely many small miners), the censor, who
/// acts as one, by alpha. `delay` is in block times. 1/2 at no delay.
pub fn tipping_share(delay: f64) -> f64 {
    // alpha = beta / (1 + beta d) with beta = 1 - alpha: d beta^2 + (2 - d) beta - 1 = 0, written so
    // that d = 0 does not divide by zero.
    let b = 2.0 - delay;
    1.0 - 2.0 / (b + (b * b + 4.0 * delay).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn race(alpha: f64, gamma: f64) -> Race {
        Race { share: Share::new("share", alpha).unwrap(), gamma: Gamma::new(gamma).unwrap() }
    }

    fn k(k: u32) -> Stubbornness {
        Stubbornness::confirmations(k).unwrap()
    }

    #[test]
    fn the_published_table_is_reproduced_to_the_printed_digits() {
        // alpha, P_1, P_2, P_6, P_inf, fee at k = 1 and without end
        for (alpha, p, one, end) in [
            (0.25, [0.0625, 0.0859, 0.1078, 0.1111], "0.21", Some("0.39")),
            (0.29, [0.0841, 0.1187, 0.1573, 0.1668], "0.29", Some("0.63")),
            (0.36, [0.1296, 0.1893, 0.2724, 0.3164], "0.47", Some("1.45")),
            (0.49, [0.2401, 0.3601, 0.5577, 0.9231], "0.99", Some("37.5")),
            (0.51, [0.2601, 0.3901, 0.6042, 1.0], "1.10", None),
            (0.60, [0.3600, 0.5328, 0.7942, 1.0], "1.76", None),
        ] {
            let race = race(alpha, 0.0);
            let ours = [k(1), k(2), k(6), Stubbornness::Forever].map(|k| race.orphaned(k));
            for (ours, published) in ours.iter().zip(p) {
                assert_eq!(format!("{ours:.4}"), format!("{published:.4}"), "alpha {alpha}");
            }
            let fee = |k, digits: usize| {
                race.inclusion_fee(Sats(312_500_000), k)
                    .map(|fee| format!("{:.digits$}", fee.0 as f64 / 1e8))
            };
            assert_eq!(fee(k(1), 2).as_deref(), Some(one));
            let digits = end.map_or(2, |end| end.split('.').nth(1).unwrap().len());
            assert_eq!(fee(Stubbornness::Forever, digits).as_deref(), end, "alpha {alpha}");
        }
    }

    #[test]
    fn a_censor_with_sixty_percent_shows_confirmations_that_are_not_final() {
        let race = race(0.6, 0.0);
        assert!((race.false_finality(2, Stubbornness::Forever) - 0.64).abs() < 5e-3);
        assert!((race.false_finality(6, Stubbornness::Forever) - 0.244).abs() < 5e-4);
        assert_eq!(race.false_finality(1, Stubbornness::Forever), 1.0);
        assert!((race.blocks_to_resolve().unwrap() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_censor_below_half_splits_off_after_few_forks() {
        for (alpha, forks) in [(0.25, "1.125"), (0.29, "1.20"), (0.36, "1.46")] {
            let ours = race(alpha, 0.0).forks_until_split().unwrap();
            let digits = forks.len() - 2;
            assert_eq!(format!("{ours:.digits$}"), forks);
            assert_eq!(race(alpha, 0.0).blocks_to_resolve(), None);
        }
        assert_eq!(race(0.5, 0.0).forks_until_split(), None);
    }

    #[test]
    fn tie_followers_add_what_the_formula_says() {
        for (alpha, gamma) in [(0.25, 0.5), (0.4, 1.0), (0.6, 0.3)] {
            let one = race(alpha, gamma).orphaned(k(1));
            assert!((one - alpha * alpha - gamma * alpha * (1.0 - alpha)).abs() < 1e-12);
        }
    }

    #[test]
    fn fighting_longer_comes_to_fighting_forever() {
        for (alpha, gamma) in [(0.3, 0.0), (0.3, 0.5), (0.45, 0.0), (0.7, 0.0), (0.7, 1.0)] {
            let race = race(alpha, gamma);
            let (long, forever) = (race.orphaned(k(2_000)), race.orphaned(Stubbornness::Forever));
            assert!((long - forever).abs() < 1e-3, "{alpha} {gamma}: {long} {forever}");
        }
    }

    #[test]
    fn censoring_pays_from_exactly_half_whatever_the_stubbornness() {
        for confirmations in [1, 2, 6, 50] {
            let revenue = |alpha| race(alpha, 0.0).censors_revenue(confirmations).unwrap();
            assert!((revenue(0.5) - 1.0).abs() < 1e-9);
            assert!(revenue(0.49) < 1.0 && revenue(0.51) > 1.0);
        }
        assert_eq!(race(0.4, 0.5).censors_revenue(1), None);
    }

    #[test]
    fn delay_moves_the_tipping_point_below_half() {
        assert_eq!(tipping_share(0.0), 0.5);
        for delay in [0.001, 1.0 / 60.0, 0.1, 1.0] {
            let alpha = tipping_share(delay);
            let beta = 1.0 - alpha;
            assert!((alpha - beta / (1.0 + beta * delay)).abs() < 1e-12);
            assert!(alpha < 0.5);
        }
    }

    #[test]
    fn catching_up_under_delay_is_the_gamblers_ruin_at_none() {
        for alpha in [0.05, 0.25, 0.49, 0.5, 0.6] {
            let race = race(alpha, 0.0);
            assert!((race.catches_up_with_delay(0.0) - race.catches_up()).abs() < 1e-9);
            assert!(race.catches_up_with_delay(0.1) >= race.catches_up());
        }
    }

    proptest! {
        #[test]
        fn probabilities_grow_with_share_stubbornness_and_followers(
            alpha in 0.01f64..0.98, gamma in 0.0f64..=1.0, confirmations in 1u32..60,
        ) {
            let p = |alpha, gamma, confirmations| race(alpha, gamma).orphaned(k(confirmations));
            let here = p(alpha, gamma, confirmations);
            prop_assert!((0.0..=1.0).contains(&here));
            prop_assert!(p(alpha + 0.01, gamma, confirmations) >= here - 1e-12);
            prop_assert!(p(alpha, gamma, confirmations + 1) >= here - 1e-12);
            prop_assert!(p(alpha, 1.0, confirmations) >= here - 1e-12);
            prop_assert!(race(alpha, gamma).orphaned(Stubbornness::Forever) >= here - 1e-12);
        }
    }
}
