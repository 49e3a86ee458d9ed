//! Stale blocks: what delay alone costs miners of each size. Owns the formula to first order in the
//! delay and the simulation beside it.

mod report;

pub use report::{Plan, report};

use super::{
    chance::{Estimate, stream},
    input::{BLOCK_INTERVAL, Gamma, Share, Stubbornness},
    network::{Account, Miner, Network, Side},
};
use crate::{LabError, Progress};
use rayon::prelude::*;
use std::time::Duration;

/// The longest delay for which first order is good enough to be shown.
const LONGEST: Duration = Duration::from_secs(60);

/// Miners and the time a block takes from each to all others.
#[derive(Debug, Clone)]
pub struct Stale {
    miners: Vec<Share>,
    delay: Duration,
}

impl Stale {
    /// The shares must sum to 1; the delay is at most 60 s.
    pub fn new(miners: Vec<Share>, delay: Duration) -> Result<Self, LabError> {
        let sum: f64 = miners.iter().map(|s| s.get()).sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(LabError::new(format!(
                "shares sum to {sum:.6}; they must sum to 1, so add what is missing as one more share"
            )));
        }
        if delay > LONGEST {
            return Err(LabError::new(format!(
                "delay is {} s; the formula holds for short delays, give 0 to {} seconds",
                delay.as_secs_f64(),
                LONGEST.as_secs()
            )));
        }
        Ok(Self { miners, delay })
    }

    /// The miners' shares, as given.
    pub fn miners(&self) -> &[Share] {
        &self.miners
    }

    /// The part of each miner's blocks that go stale, to first order in the delay tau:
    /// (tau / 600) ((1 - h_i)^2 + sum over j other than i of h_j^2).
    ///
    /// Somebody else (1 - h_i) was first within tau, and all but the miner itself (1 - h_i) decide for
    /// the other; or miner j (h_j) is second within tau, and itself (h_j) decides for its own.
    pub fn rates(&self) -> Vec<f64> {
        let squares: f64 = self.miners.iter().map(|h| h.get().powi(2)).sum();
        let delay = self.delay_in_blocks();
        self.miners.iter().map(|h| delay * (h.rest().powi(2) + squares - h.get().powi(2))).collect()
    }

    /// The same by simulation: `replicates` runs of `blocks` blocks.
    pub fn simulate(
        &self,
        blocks: u64,
        replicates: u64,
        seed: u64,
        progress: &Progress,
    ) -> Vec<Estimate> {
        progress.expect(blocks * replicates);
        let sum = |mut all: Vec<Account>, one: Vec<Account>| {
            for (all, one) in all.iter_mut().zip(one) {
                all.found += one.found;
                all.kept += one.kept;
            }
            all
        };
        let none = || vec![Account::default(); self.miners.len()];
        let accounts = (0..replicates)
            .into_par_iter()
            .map(|replicate| {
                let mut network = self.network();
                network.run(blocks, &mut stream(seed, replicate));
                progress.advance(blocks);
                network.settle().to_vec()
            })
            .reduce(none, sum);
        accounts.iter().map(|a| Estimate::of_wins(a.found - a.kept, a.found.max(1))).collect()
    }

    /// What each miner earns per unit of hashrate, relative to all: (1 - s_i) over the mean of it.
    pub fn earnings(&self, rates: &[f64]) -> Vec<f64> {
        let kept: f64 = self.miners.iter().zip(rates).map(|(h, s)| h.get() * (1.0 - s)).sum();
        rates.iter().map(|s| (1.0 - s) / kept).collect()
    }

    fn delay_in_blocks(&self) -> f64 {
        self.delay.as_secs_f64() / BLOCK_INTERVAL.as_secs_f64()
    }

    fn network(&self) -> Network {
        let miner = |share: &Share| Miner { share: share.get(), side: Side::Omits };
        let miners = self.miners.iter().map(miner).collect();
        Network::new(miners, self.delay_in_blocks(), Gamma::NONE, Stubbornness::Forever)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOLS: [f64; 9] = [0.30, 0.29, 0.12, 0.11, 0.08, 0.05, 0.03, 0.01, 0.01];

    fn pools(seconds: f64) -> Stale {
        let shares = POOLS.map(|h| Share::new("share", h).unwrap()).to_vec();
        Stale::new(shares, Duration::from_secs_f64(seconds)).unwrap()
    }

    #[test]
    fn published_stale_rates_are_reproduced_to_the_printed_digits() {
        for (delay, digits, largest, smallest) in
            [(10.0, 3, "1.018", "1.984"), (0.1, 4, "0.0102", "0.0198")]
        {
            let rates = pools(delay).rates();
            assert_eq!(format!("{:.digits$}", 100.0 * rates[0]), largest);
            assert_eq!(format!("{:.digits$}", 100.0 * rates[8]), smallest);
        }
    }

    #[test]
    fn simulation_agrees_with_the_formula() {
        for delay in [1.0, 10.0] {
            let stale = pools(delay);
            let seen = stale.simulate(20_000, 15, 1, &Progress::new());
            for (seen, rate) in seen.iter().zip(stale.rates()) {
                let off = seen.deviation(rate);
                assert!(off.abs() < 4.0, "delay {delay}: {off}, {seen:?}");
            }
        }
    }

    #[test]
    fn without_delay_no_block_is_stale() {
        let stale = pools(0.0);
        assert!(stale.rates().iter().all(|s| *s == 0.0));
        let seen = stale.simulate(1_000, 2, 1, &Progress::new());
        assert!(seen.iter().all(|s| s.won == Some(0)));
    }

    #[test]
    fn shares_that_do_not_sum_to_one_and_long_delays_are_refused() {
        let shares = |h: &[f64]| h.iter().map(|h| Share::new("share", *h).unwrap()).collect();
        let said = Stale::new(shares(&[0.3, 0.3]), Duration::ZERO).unwrap_err().to_string();
        assert!(said.starts_with("shares sum to 0.600000"), "{said}");
        let said = Stale::new(shares(&[0.5, 0.5]), Duration::from_secs(61)).unwrap_err();
        assert!(said.to_string().starts_with("delay is 61 s"));
    }
}
