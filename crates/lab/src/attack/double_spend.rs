//! Double-spend: the chance that an attacker with a share of the hashrate replaces a payment that has
//! z confirmations. Owns the two formulas in use, a simulation, and how many confirmations a risk
//! asks for.
//!
//! The attacker mines in secret from the moment of the payment and publishes when its branch is as
//! long as the honest one, one block having been found in advance, as in Nakamoto's paper.

mod report;

pub use report::{Plan, report};

use super::{
    chance::{Coin, Estimate, batches},
    input::Share,
};
use crate::{LabError, Progress};
use rand::RngCore;
use statrs::function::beta::beta_reg;

/// How far behind a simulated attacker is judged by the chance (q/p)^deficit that it ever catches up
/// (gambler's ruin): walks that are cut without it would make the attacker look weaker.
const FAR: u32 = 60;

/// Nakamoto's estimate (Bitcoin: A Peer-to-Peer Electronic Cash System, section 11): the attacker's
/// blocks during z honest ones are taken for Poisson with mean z q/p,
/// 1 - sum over k = 0..z of Poisson(k) (1 - (q/p)^(z-k)). Too low but for one or two
/// confirmations: the time z blocks take is random.
pub fn nakamoto(attacker: Share, confirmations: u32) -> f64 {
    let (q, p) = (attacker.get(), attacker.rest());
    if q >= p {
        return 1.0;
    }
    let mean = f64::from(confirmations) * q / p;
    // Poisson(k) by logarithms: e^-mean underflows for many confirmations.
    let mut log_poisson = -mean;
    let mut fails = 0.0;
    for k in 0..=confirmations {
        fails += log_poisson.exp() * (1.0 - (q / p).powi((confirmations - k) as i32));
        log_poisson += (mean / f64::from(k + 1)).ln();
    }
    (1.0 - fails).clamp(0.0, 1.0)
}

/// The exact probability, I_4pq(z, 1/2), the regularised incomplete beta function (Grunspan and
/// Perez-Marco, Double spend races, arXiv:1702.02867, theorem 1; the same numbers as Rosenfeld,
/// Analysis of hashrate-based double-spending, arXiv:1402.2009).
pub fn exact(attacker: Share, confirmations: u32) -> f64 {
    let (q, p) = (attacker.get(), attacker.rest());
    match confirmations {
        0 => 1.0,
        _ if q >= p => 1.0,
        // Rounding may exceed 1 next to a half.
        z => beta_reg(z.into(), 0.5, (4.0 * p * q).min(1.0)),
    }
}

/// The probability by playing the race block by block.
pub fn simulate(
    attacker: Share,
    confirmations: u32,
    games: u64,
    seed: u64,
    progress: &Progress,
) -> Estimate {
    let attackers = Coin::new(attacker.get());
    let catches_up = (attacker.get() / attacker.rest()).min(1.0);
    let returns = Coin::new(catches_up.powi(FAR as i32));
    let play = |random: &mut _, games| {
        let wins = |_: &u64| succeeds(attackers, returns, confirmations, random);
        (0..games).filter(wins).count() as u64
    };
    Estimate::of_wins(batches(games, seed, progress, play, |a, b| a + b), games)
}

fn succeeds(attackers: Coin, returns: Coin, confirmations: u32, random: &mut impl RngCore) -> bool {
    let (mut honest, mut secret) = (0, 0);
    while honest < confirmations {
        if secret >= confirmations {
            return true;
        }
        if attackers.flip(random) { secret += 1 } else { honest += 1 }
    }
    while secret < honest {
        if honest - secret >= FAR {
            // Back to FAR behind first, if it was further: each block of that is in the chance, too.
            let further = honest - secret - FAR;
            return returns.flip(random) && (0..further).all(|_| returns.flip(random));
        }
        if attackers.flip(random) { secret += 1 } else { honest += 1 }
    }
    true
}

/// Confirmations up to which [`confirmations_for`] looks.
pub const MOST_CONFIRMATIONS: u32 = 1 << 17;

/// The fewest confirmations at which `probability` is below `risk`; None if there are none up to
/// [`MOST_CONFIRMATIONS`].
pub fn confirmations_for(
    attacker: Share,
    risk: f64,
    probability: fn(Share, u32) -> f64,
) -> Result<Option<u32>, LabError> {
    if !(risk > 0.0 && risk < 1.0) {
        return Err(LabError::new(format!(
            "risk is {risk}; give the probability that is accepted, more than 0 and less than 1"
        )));
    }
    if attacker.get() >= 0.5 {
        return Ok(None);
    }
    let safe = |z: u32| probability(attacker, z) < risk;
    let mut high = 1u32;
    while !safe(high) {
        if high == MOST_CONFIRMATIONS {
            return Ok(None);
        }
        high *= 2;
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low.midpoint(high);
        if safe(middle) { high = middle } else { low = middle }
    }
    Ok(Some(high))
}

#[cfg(test)]
mod tests;
