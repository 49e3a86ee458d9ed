//! Miners who go where they are paid better: the censorship game over a year, by simulation only.
//! Owns their decisions; the blocks are [`super::network`]'s.
//!
//! Compelled miners censor whatever it costs. Of the others a part is free: every 2016 blocks, one in
//! five of them looks at what each side was paid per block found (reward and fee of the blocks that are
//! on the highest chain; luck in finding them does not count) and goes to the best paid if that is 1 %
//! more than its own, and more than luck in keeping blocks explains (two standard errors); or, one time
//! in twenty, to any. The rest include the transaction whatever it costs. All who are free begin by
//! including it.

use super::{
    chance::{Estimate, stream},
    input::{BLOCK_INTERVAL, Gamma, Share, Stubbornness},
    network::{Account, Miner, Network, Side},
};
use crate::{LabError, Progress};
use rand::Rng;
use rayon::prelude::*;
use std::time::Duration;
use units::Sats;

/// A year with miners who are free to choose.
#[derive(Debug, Clone, Copy)]
pub struct Switching {
    /// Share that is compelled to censor.
    pub compelled: Share,
    /// Who follows the censors in a tie.
    pub gamma: Gamma,
    /// How long they fight.
    pub stubbornness: Stubbornness,
    /// The time a block takes to reach the others.
    pub delay: Duration,
    /// The free part of the other miners.
    pub free: Free,
    /// What a block pays without the unwanted transactions.
    pub reward: Sats,
    /// What they add to it: some are always waiting.
    pub fee: Sats,
}

/// A part of the miners who are not compelled, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Free(f64);

/// What became of a year.
#[derive(Debug, Clone, Copy)]
pub struct Year {
    /// Share of the hashrate that censors at the end.
    pub censors: Estimate,
    /// Share that leaves the transactions out and follows the highest chain.
    pub omits: Estimate,
    /// Share that includes them.
    pub includes: Estimate,
    /// Part of the year's blocks on the highest chain that include them.
    pub included: Estimate,
    /// Part of the year's blocks on the highest chain that are the compelled miners', over their
    /// share.
    pub compelled_earn: Estimate,
    /// Runs in which more than half of the hashrate censors at the end.
    pub taken_over: Estimate,
}

const OTHERS: usize = 50;
const PERIODS: u32 = 26;
const PERIOD: u64 = 2016;
const LOOKS: f64 = 0.2;
const TRIES: f64 = 0.05;
const WORTH_IT: f64 = 1.01;
const SIDES: [Side; 3] = [Side::Includes, Side::Omits, Side::Censors];

impl Free {
    /// From a fraction.
    pub fn new(free: f64) -> Result<Self, LabError> {
        if (0.0..=1.0).contains(&free) {
            return Ok(Self(free));
        }
        Err(LabError::new(format!(
            "free is {free}; the part of the other miners that goes where it is paid better is 0 to 1"
        )))
    }

    /// As a fraction.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Switching {
    /// `runs` years, at least two.
    pub fn simulate(&self, runs: u64, seed: u64, progress: &Progress) -> Year {
        progress.expect(runs * u64::from(PERIODS));
        let runs: Vec<[f64; 6]> = (0..runs.max(2))
            .into_par_iter()
            .map(|run| self.year(&mut stream(seed, run), progress))
            .collect();
        let estimate =
            |i: usize| Estimate::of_replicates(&runs.iter().map(|run| run[i]).collect::<Vec<_>>());
        Year {
            censors: estimate(0),
            omits: estimate(1),
            includes: estimate(2),
            included: estimate(3),
            compelled_earn: estimate(4),
            taken_over: estimate(5),
        }
    }

    fn year(&self, random: &mut impl Rng, progress: &Progress) -> [f64; 6] {
        let each = self.compelled.rest() / OTHERS as f64;
        let mut miners = vec![Miner { share: self.compelled.get(), side: Side::Censors }];
        miners.extend([Miner { share: each, side: Side::Includes }; OTHERS]);
        let delay = self.delay.as_secs_f64() / BLOCK_INTERVAL.as_secs_f64();
        let mut network = Network::new(miners, delay, self.gamma, self.stubbornness);
        let free = (self.free.0 * OTHERS as f64).round() as usize;
        let mut before = vec![Account::default(); OTHERS + 1];
        for _ in 0..PERIODS {
            network.run(PERIOD, random);
            let accounts = network.settle().to_vec();
            let earned: Vec<Earned> =
                accounts.iter().zip(&before).map(|(now, then)| Earned::since(now, then)).collect();
            before = accounts;
            let pay = SIDES.map(|side| self.pay(side, network.miners(), &earned));
            let sure = |side: &usize| pay[*side].0 - 2.0 * pay[*side].1;
            let best = (0..SIDES.len()).max_by(|a, b| sure(a).total_cmp(&sure(b))).unwrap_or(0);
            for miner in 1..=free {
                if !random.random_bool(LOOKS) {
                    continue;
                }
                let any = SIDES[random.random_range(0..SIDES.len())];
                let own =
                    SIDES.iter().position(|s| *s == network.miners()[miner].side).unwrap_or(0);
                if random.random_bool(TRIES) {
                    network.change_side(miner, any);
                } else if sure(&best) > pay[own].0 * WORTH_IT {
                    network.change_side(miner, SIDES[best]);
                }
            }
            progress.advance(1);
        }
        let share = |side| -> f64 {
            network.miners().iter().filter(|m| m.side == side).map(|m| m.share).sum()
        };
        let kept: u64 = before.iter().map(|a| a.kept).sum();
        let included: u64 = before.iter().map(|a| a.included).sum();
        let compelled = before.first().map_or(0, |a| a.kept);
        let censors = share(Side::Censors);
        [
            censors,
            share(Side::Omits),
            share(Side::Includes),
            included as f64 / kept as f64,
            compelled as f64 / kept as f64 / self.compelled.get(),
            f64::from(u8::from(censors > 0.5)),
        ]
    }

    /// Per block found, in satoshis, and the standard error of it from losing blocks or not; less than
    /// anything where no block was found.
    fn pay(&self, side: Side, miners: &[Miner], earned: &[Earned]) -> (f64, f64) {
        let of_side = || miners.iter().zip(earned).filter(|(m, _)| m.side == side);
        let found: f64 = of_side().map(|(_, e)| e.found).sum();
        let kept: f64 = of_side().map(|(_, e)| e.kept).sum();
        let (reward, fee) = (self.reward.0 as f64, self.fee.0 as f64);
        let paid: f64 = of_side().map(|(_, e)| e.kept * reward + e.included * fee).sum();
        if found == 0.0 {
            return (f64::NEG_INFINITY, 0.0);
        }
        // A reorganisation can give back more than was found, or take more.
        let part = (kept / found).clamp(0.0, 1.0);
        (paid / found, reward * (part * (1.0 - part) / found).sqrt())
    }
}

/// One period's change of an account; a reorganisation may take back what an earlier one gave.
#[derive(Debug, Clone, Copy)]
struct Earned {
    found: f64,
    kept: f64,
    included: f64,
}

impl Earned {
    fn since(now: &Account, then: &Account) -> Self {
        Self {
            found: now.found as f64 - then.found as f64,
            kept: now.kept as f64 - then.kept as f64,
            included: now.included as f64 - then.included as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn year(compelled: f64, free: f64, fee: u64, stubbornness: Stubbornness) -> Year {
        let switching = Switching {
            compelled: Share::new("share", compelled).unwrap(),
            gamma: Gamma::NONE,
            stubbornness,
            delay: Duration::ZERO,
            free: Free::new(free).unwrap(),
            reward: Sats(312_500_000),
            fee: Sats(fee),
        };
        switching.simulate(8, 1, &Progress::new())
    }

    const SMALL_FEE: u64 = 1_000_000;
    const LARGE_FEE: u64 = 200_000_000;

    #[test]
    fn censors_below_half_who_never_give_up_leave_the_chain_and_earn_nothing() {
        let year = year(0.36, 1.0, SMALL_FEE, Stubbornness::Forever);
        assert!(year.compelled_earn.mean < 0.02 && year.taken_over.mean == 0.0, "{year:?}");
        assert!(year.included.mean > 0.9, "{year:?}");
    }

    #[test]
    fn a_majority_draws_in_everybody_who_is_free() {
        let year = year(0.51, 1.0, LARGE_FEE, Stubbornness::Forever);
        assert!(year.censors.mean > 0.9 && year.included.mean < 0.05, "{year:?}");
    }

    #[test]
    fn free_miners_move_the_tipping_point_below_half() {
        let free = year(0.49, 1.0, SMALL_FEE, Stubbornness::Forever);
        assert!(free.taken_over.mean >= 0.5, "{free:?}");
        let bound = year(0.49, 0.0, SMALL_FEE, Stubbornness::Forever);
        assert_eq!(bound.taken_over.mean, 0.0);
        assert!((bound.censors.mean - 0.49).abs() < 1e-9);
    }

    #[test]
    fn the_fee_decides_whether_the_others_censor_themselves() {
        let k = Stubbornness::confirmations(6).unwrap();
        let cheap = year(0.36, 1.0, SMALL_FEE, k);
        assert!(cheap.omits.mean > 0.5 && cheap.taken_over.mean == 0.0, "{cheap:?}");
        let dear = year(0.36, 1.0, LARGE_FEE, k);
        assert!(dear.includes.mean > 0.55, "{dear:?}");
    }

    #[test]
    fn a_part_outside_0_to_1_is_refused() {
        for bad in [-0.1, 1.1, f64::NAN] {
            assert!(Free::new(bad).unwrap_err().to_string().starts_with("free is "));
        }
    }
}
