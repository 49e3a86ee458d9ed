//! Selfish mining: withholding blocks so that others waste theirs. Owns the strategy of Eyal and Sirer
//! in closed form and as a simulation; [`optimal`] owns the best strategy there is.
//!
//! The revenue is the selfish miner's part of all blocks that stay. It counts after the difficulty has
//! fallen to what the orphaned blocks leave: before that, withholding only loses (Grunspan and
//! Perez-Marco, On profitability of selfish mining, arXiv:1805.08281).

pub mod optimal;
mod report;

pub use report::{Plan, report};

use super::{
    chance::{Coin, Estimate, stream},
    input::{Gamma, Share},
};
use crate::Progress;
use rand::RngCore;
use rayon::prelude::*;

/// A selfish miner and the others, who mine on the highest branch and, in a tie, with gamma on the
/// selfish miner's.
#[derive(Debug, Clone, Copy)]
pub struct Selfish {
    /// The selfish miner's share, alpha.
    pub share: Share,
    /// Who follows in a tie.
    pub gamma: Gamma,
}

/// Blocks that stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// The selfish miner's.
    pub own: u64,
    /// Everybody else's.
    pub others: u64,
}

impl Selfish {
    /// The revenue of Eyal and Sirer's strategy (Majority is not Enough, arXiv:1311.0243, equation 8):
    /// [a (1-a)^2 (4a + g (1-2a)) - a^3] / [1 - a (1 + (2-a) a)], for a < 1/2; 1 from there on.
    pub fn revenue(&self) -> f64 {
        let (a, g) = (self.share.get(), self.gamma.get());
        if a >= 0.5 {
            return 1.0;
        }
        let own = a * (1.0 - a).powi(2) * (4.0 * a + g * (1.0 - 2.0 * a)) - a.powi(3);
        own / (1.0 - a * (1.0 + (2.0 - a) * a))
    }

    /// More than any strategy can earn: every own block replaces one of the others' at most, so
    /// alpha / (1 - alpha) (Sapirshtein, Sompolinsky and Zohar, arXiv:1507.06183).
    pub fn bound(&self) -> f64 {
        (self.share.get() / self.share.rest()).min(1.0)
    }

    /// The revenue of that strategy by simulation: `blocks` blocks in each of `replicates` runs.
    pub fn simulate(
        &self,
        blocks: u64,
        replicates: u64,
        seed: u64,
        progress: &Progress,
    ) -> Estimate {
        self.replicate(blocks, replicates, seed, progress, |random| self.play(blocks, random))
    }

    fn replicate(
        &self,
        blocks: u64,
        replicates: u64,
        seed: u64,
        progress: &Progress,
        play: impl Fn(&mut rand_xoshiro::Xoshiro256PlusPlus) -> Kept + Sync,
    ) -> Estimate {
        progress.expect(blocks * replicates);
        let runs: Vec<(f64, f64)> = (0..replicates)
            .into_par_iter()
            .map(|replicate| {
                let kept = play(&mut stream(seed, replicate));
                progress.advance(blocks);
                (kept.own as f64, (kept.own + kept.others) as f64)
            })
            .collect();
        Estimate::of_ratio(&runs)
    }

    /// Algorithm 1 of Eyal and Sirer.
    fn play(&self, blocks: u64, random: &mut impl RngCore) -> Kept {
        let (own, follows) = (Coin::new(self.share.get()), Coin::new(self.gamma.get()));
        let mut kept = Kept::default();
        // Blocks since the branches parted, and whether the others know both.
        let (mut private, mut public) = (0u64, 0u64);
        let mut tie = false;
        let mut found = 0;
        // To the end of the last race: blocks still withheld would be nobody's.
        while found < blocks || (private > 0 && found < 2 * blocks) {
            found += 1;
            match (own.flip(random), tie) {
                (true, true) => {
                    kept.own += 2;
                    (private, public, tie) = (0, 0, false);
                }
                (true, false) => private += 1,
                (false, true) => {
                    let mine = u64::from(follows.flip(random));
                    kept.own += mine;
                    kept.others += 2 - mine;
                    (private, public, tie) = (0, 0, false);
                }
                (false, false) => match private - public {
                    0 => kept.others += 1,
                    1 => {
                        public += 1;
                        tie = true;
                    }
                    2 => {
                        kept.own += private;
                        (private, public) = (0, 0);
                    }
                    _ => public += 1,
                },
            }
        }
        kept
    }
}

/// The share above which Eyal and Sirer's strategy earns more than honest mining:
/// (1 - gamma) / (3 - 2 gamma).
pub fn threshold(gamma: Gamma) -> f64 {
    (1.0 - gamma.get()) / (3.0 - 2.0 * gamma.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selfish(alpha: f64, gamma: f64) -> Selfish {
        Selfish { share: Share::new("share", alpha).unwrap(), gamma: Gamma::new(gamma).unwrap() }
    }

    #[test]
    fn published_revenues_are_reproduced() {
        for (alpha, gamma, revenue) in [
            (0.30, 0.0, "0.2731"),
            (1.0 / 3.0, 0.0, "0.3333"),
            (0.35, 0.0, "0.3665"),
            (0.40, 0.0, "0.4837"),
            (0.45, 0.0, "0.6518"),
            (0.25, 0.5, "0.2500"),
            (0.30, 0.5, "0.3269"),
            (0.40, 0.5, "0.5256"),
        ] {
            assert_eq!(format!("{:.4}", selfish(alpha, gamma).revenue()), revenue);
        }
    }

    #[test]
    fn thresholds_are_a_third_a_quarter_and_nothing() {
        for (gamma, share) in [(0.0, 1.0 / 3.0), (0.5, 0.25), (1.0, 0.0)] {
            assert!((threshold(Gamma::new(gamma).unwrap()) - share).abs() < 1e-12);
        }
    }

    #[test]
    fn short_runs_agree_too_though_they_end_in_the_middle_of_a_race() {
        for (alpha, gamma) in [(0.48, 1.0), (0.48, 0.0)] {
            let selfish = selfish(alpha, gamma);
            let seen = selfish.simulate(2_000, 100, 1, &Progress::new());
            let off = seen.deviation(selfish.revenue());
            assert!(off.abs() < 4.0, "alpha {alpha} gamma {gamma}: {off}");
        }
    }

    #[test]
    fn simulated_revenue_agrees_with_the_closed_form() {
        for (alpha, gamma) in
            [(0.3, 0.0), (0.35, 0.0), (0.45, 0.0), (0.25, 0.5), (0.4, 0.5), (0.2, 1.0)]
        {
            let selfish = selfish(alpha, gamma);
            let seen = selfish.simulate(20_000, 40, 1, &Progress::new());
            let off = seen.deviation(selfish.revenue());
            assert!(off.abs() < 4.0, "alpha {alpha} gamma {gamma}: {off}");
        }
    }
}
