//! The race of [`super::race`] played block by block at zero delay, fast enough for a map of a hundred
//! million games. Owns the exact sampling of the walk; no result is biased by cutting walks short.
//!
//! Two shortcuts leave the law of the outcome as it is:
//! - far behind, `STRIDE` blocks are drawn at once: how many of them are the censor's is binomial,
//!   and no end of the game lies within reach;
//! - a censor that never gives up and is `FAR` behind is put back to a tie with the probability
//!   min(1, alpha / beta)^FAR that it ever ties again (gambler's ruin), else it has lost. A walk cut
//!   there without that draw would make the censor look weaker; at alpha = 1/2 the walk returns
//!   surely but takes infinitely long on average, so it must be cut.

use super::{chance::Coin, race::Race};
use rand::RngCore;

/// Blocks that are drawn at once when no end is that near; one less than a power of two, so that an
/// outcome is chosen by masking.
const STRIDE: u32 = 7;
const OUTCOMES: usize = STRIDE as usize + 1;

/// Where a walk without end is cut.
const FAR: u32 = 60;

/// How the games of one race end.
#[derive(Debug, Clone)]
pub struct Walk {
    censors: Coin,
    wins_tie: Coin,
    returns: Coin,
    stride: Alias,
}

impl Walk {
    /// Prepares the games of `race`.
    pub fn new(race: &Race) -> Self {
        Self {
            censors: Coin::new(race.share.get()),
            wins_tie: Coin::new(race.wins_tie_at_once()),
            returns: Coin::new(race.catches_up().powi(FAR as i32)),
            stride: Alias::binomial(race.share.get()),
        }
    }

    /// One game against a censor that gives up beyond `limit` confirmations: how many the transaction
    /// had when it was orphaned, or None if the censor gave up.
    #[inline]
    pub fn play(&self, limit: u32, random: &mut impl RngCore) -> Option<u32> {
        // Without branches on what is drawn: half of them would be predicted wrongly.
        let mut behind = 1i32;
        let mut confirmations = 1;
        loop {
            if behind >= STRIDE as i32 && confirmations + STRIDE <= limit {
                let censors = self.stride.draw(random);
                behind += STRIDE as i32 - 2 * censors as i32;
                confirmations += STRIDE - censors;
                continue;
            }
            let coin = if behind == 0 { self.wins_tie } else { self.censors };
            let others = u32::from(!coin.flip(random));
            behind += 2 * others as i32 - 1;
            confirmations += others;
            if behind < 0 {
                return Some(confirmations);
            }
            if confirmations > limit {
                return None;
            }
        }
    }

    /// One game against a censor that never gives up: how many confirmations the transaction had when
    /// it was orphaned, or at least had, if the walk was cut; None if it stays for good.
    pub fn play_forever(&self, random: &mut impl RngCore) -> Option<u32> {
        let mut behind = 1;
        let mut confirmations = 1;
        loop {
            if behind == 0 {
                if self.wins_tie.flip(random) {
                    return Some(confirmations);
                }
                behind = 1;
                confirmations += 1;
            } else if behind == FAR {
                if !self.returns.flip(random) {
                    return None;
                }
                behind = 0;
            } else if self.censors.flip(random) {
                behind -= 1;
            } else {
                behind += 1;
                confirmations += 1;
            }
        }
    }

    /// One game against a censor that never gives up, without a cut, up to `most` blocks: how many it
    /// took until the censor was ahead.
    pub fn blocks_to_resolve(&self, most: u64, random: &mut impl RngCore) -> Option<u64> {
        let mut behind = 1u64;
        for block in 1..=most {
            let coin = if behind == 0 { self.wins_tie } else { self.censors };
            match (coin.flip(random), behind) {
                (true, 0) => return Some(block),
                (true, _) => behind -= 1,
                (false, _) => behind += 1,
            }
        }
        None
    }
}

/// Draws from few outcomes with one random number (Walker's alias method, Vose 1991), exact to 2^-60.
#[derive(Debug, Clone)]
struct Alias {
    keep: [u64; OUTCOMES],
    other: [u32; OUTCOMES],
}

impl Alias {
    /// How many of `STRIDE` coins with probability `p` fall heads.
    fn binomial(p: f64) -> Self {
        let n = f64::from(STRIDE);
        let mut weights = [0.0; OUTCOMES];
        let mut weight = (1.0 - p).powi(STRIDE as i32);
        for (i, w) in weights.iter_mut().enumerate() {
            *w = weight * OUTCOMES as f64;
            weight *= (n - i as f64) / (i as f64 + 1.0) * p / (1.0 - p);
        }
        let mut keep = [u64::MAX >> 4; OUTCOMES];
        let mut other = std::array::from_fn(|i| i as u32);
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..OUTCOMES).partition(|&i| weights[i] < 1.0);
        while let (Some(&s), Some(&l)) = (small.last(), large.last()) {
            small.pop();
            keep[s] = (weights[s] * 2f64.powi(60)) as u64;
            other[s] = l as u32;
            weights[l] -= 1.0 - weights[s];
            if weights[l] < 1.0 {
                large.pop();
                small.push(l);
            }
        }
        Self { keep, other }
    }

    #[inline]
    fn draw(&self, random: &mut impl RngCore) -> u32 {
        let number = random.next_u64();
        let slot = number as usize % OUTCOMES;
        if number >> 4 < self.keep[slot] { slot as u32 } else { self.other[slot] }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            chance::{Estimate, stream},
            input::{Gamma, Share, Stubbornness},
        },
        *,
    };

    const GAMES: u64 = 200_000;

    fn race(alpha: f64, gamma: f64) -> Race {
        Race { share: Share::new("share", alpha).unwrap(), gamma: Gamma::new(gamma).unwrap() }
    }

    fn won(play: impl Fn(&mut rand_xoshiro::Xoshiro256PlusPlus) -> bool) -> Estimate {
        let mut random = stream(1, 0);
        Estimate::of_wins((0..GAMES).filter(|_| play(&mut random)).count() as u64, GAMES)
    }

    #[test]
    fn games_with_an_end_agree_with_the_closed_form() {
        for (alpha, gamma) in [(0.25, 0.0), (0.36, 0.5), (0.49, 0.0), (0.51, 1.0), (0.6, 0.0)] {
            let race = race(alpha, gamma);
            let walk = Walk::new(&race);
            for k in [1, 2, 6, 40] {
                let seen = won(|random| walk.play(k, random).is_some());
                let off = seen.deviation(race.orphaned(Stubbornness::confirmations(k).unwrap()));
                assert!(off.abs() < 4.0, "alpha {alpha} gamma {gamma} k {k}: {off}");
            }
        }
    }

    #[test]
    fn games_without_end_agree_with_the_closed_form_although_they_are_cut() {
        for (alpha, gamma) in [(0.25, 0.0), (0.36, 0.5), (0.49, 0.0), (0.499, 0.0), (0.5, 0.0)] {
            let race = race(alpha, gamma);
            let walk = Walk::new(&race);
            let seen = won(|random| walk.play_forever(random).is_some());
            let off = seen.deviation(race.orphaned(Stubbornness::Forever));
            assert!(off.abs() < 4.0, "alpha {alpha} gamma {gamma}: {off} {seen:?}");
        }
    }

    #[test]
    fn strides_are_binomial() {
        for p in [0.005, 0.3, 0.5, 0.9] {
            let alias = Alias::binomial(p);
            let mut random = stream(2, 0);
            let mut seen = [0u64; OUTCOMES];
            (0..GAMES).for_each(|_| seen[alias.draw(&mut random) as usize] += 1);
            let mut choose = 1.0;
            for (i, seen) in seen.into_iter().enumerate() {
                let expected = choose * p.powi(i as i32) * (1.0 - p).powi(STRIDE as i32 - i as i32);
                choose *= (f64::from(STRIDE) - i as f64) / (i as f64 + 1.0);
                let off = Estimate::of_wins(seen, GAMES).deviation(expected);
                assert!(off.abs() < 4.0, "p {p}, {i} heads: {off}");
            }
        }
    }

    #[test]
    fn a_majority_needs_the_blocks_the_formula_says() {
        let race = race(0.6, 0.0);
        let walk = Walk::new(&race);
        let mut random = stream(3, 0);
        let blocks: Vec<f64> = (0..20_000)
            .map(|_| walk.blocks_to_resolve(1_000_000, &mut random).unwrap() as f64)
            .collect();
        let seen = Estimate::of_replicates(&blocks);
        assert!(seen.deviation(10.0).abs() < 4.0, "{seen:?}");
    }
}
