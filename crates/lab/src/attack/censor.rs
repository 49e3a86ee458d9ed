//! The censorship game: what miners of one jurisdiction can do to a transaction, from leaving it out
//! (G0) over orphaning blocks that have it until k confirmations (G1) to never building on them (G2).
//! Owns the outcomes for one share, by closed form and by simulation; [`super::race`] owns the race.

mod report;

pub use report::{Order, Plan, SCENARIOS, Scenario, report};

use super::{
    chance::{Coin, Estimate, batches, seed_of, stream},
    input::{BLOCK_INTERVAL, Share, Stubbornness},
    network::Network,
    race::Race,
    walk::Walk,
};
use crate::Progress;
use rand::Rng;
use rand_distr::{Exp1, Gamma};
use rayon::prelude::*;
use std::time::Duration;

/// Blocks from one change of the difficulty to the next.
pub const RETARGET: u32 = 2016;

/// How long a transaction waits when the censor only leaves it out: on average 1/beta blocks.
pub fn mean_wait(censor: Share) -> Duration {
    BLOCK_INTERVAL.div_f64(censor.rest())
}

/// The blocks after which 99 of 100 such transactions are in: ln 0.01 / ln alpha, the quantile of the
/// geometric law, not rounded to whole blocks.
pub fn wait_q99_blocks(censor: Share) -> f64 {
    0.01f64.ln() / censor.get().ln()
}

/// The time until 2016 blocks are found on a branch with this share of the hashrate, from a change of
/// the difficulty on: 14 days over the share. The next change then lowers it, at most to a quarter.
pub fn first_retarget(share: f64) -> Duration {
    (BLOCK_INTERVAL * RETARGET).div_f64(share)
}

/// One share's game, played at zero delay.
#[derive(Debug, Clone)]
pub struct Played {
    /// How many of the games without end the censor won, by the confirmations that were then shown:
    /// the first entry is 1, the last is all that were more.
    won: [u64; SHOWN],
    games: u64,
    /// Forks until a censor that never gives up is left behind for good; None from 0.495 on.
    pub forks: Option<Estimate>,
    /// Blocks until it is ahead; None up to 0.505.
    pub resolution_blocks: Option<Estimate>,
    /// Minutes until a transaction is in, if it is only left out.
    pub wait_min: Estimate,
    /// Days until 2016 blocks: the censor's branch and the other.
    pub retarget_days: (Estimate, Estimate),
}

const SHOWN: usize = 13;

impl Played {
    /// The probability that a block is orphaned by a censor with this stubbornness: up to 12
    /// confirmations, or forever.
    pub fn orphaned(&self, stubbornness: Stubbornness) -> Estimate {
        let up_to = stubbornness.limit().map_or(SHOWN, |k| SHOWN.min(k as usize));
        Estimate::of_wins(self.won.iter().take(up_to).sum(), self.games)
    }

    /// The probability that a block has at least so many confirmations, 1 to 12, and is then orphaned
    /// by a censor that never gives up.
    pub fn false_finality(&self, confirmations: u32) -> Estimate {
        let before = confirmations.saturating_sub(1) as usize;
        Estimate::of_wins(self.won.iter().skip(before).sum(), self.games)
    }
}

/// Plays `games` of each kind.
pub fn play(race: &Race, games: u64, seed: u64, progress: &Progress) -> Played {
    let walk = Walk::new(race);
    let won = batches(
        games,
        seed,
        progress,
        |random, games| {
            let mut won = [0; SHOWN];
            for _ in 0..games {
                if let Some(confirmations) = walk.play_forever(random) {
                    won[SHOWN.min(confirmations as usize) - 1] += 1;
                }
            }
            won
        },
        |a, b| std::array::from_fn(|i| a[i] + b[i]),
    );
    let share = race.share.get();
    // Near half these take long, so fewer are played, and none very near.
    let fewer = games.div_ceil(10);
    let forks = (share < 0.495).then(|| {
        mean(fewer, seed_of(seed, 1), progress, |random| {
            let lost =
                std::iter::repeat_with(|| walk.play_forever(random)).position(|w| w.is_none());
            1.0 + lost.unwrap_or_default() as f64
        })
    });
    let resolution_blocks = (share > 0.505).then(|| {
        mean(fewer, seed_of(seed, 2), progress, |random| {
            walk.blocks_to_resolve(u64::MAX, random).unwrap_or_default() as f64
        })
    });
    let wait_min = mean(games, seed_of(seed, 3), progress, |random| {
        // How many blocks until one is not the censor's, and how long that many take.
        let skipped = (1.0 - random.random::<f64>()).ln() / share.ln();
        let blocks = 1.0 + skipped.floor();
        let times: f64 = match Gamma::new(blocks, 1.0) {
            Ok(sum_of_exponentials) => random.sample(sum_of_exponentials),
            Err(_) => f64::NAN,
        };
        times * BLOCK_INTERVAL.as_secs_f64() / 60.0
    });
    let retarget = |share: f64, seed| {
        mean(RETARGETS, seed, progress, |random| {
            let blocks: f64 = (0..RETARGET).map(|_| random.sample::<f64, _>(Exp1)).sum();
            blocks / share * BLOCK_INTERVAL.as_secs_f64() / DAY
        })
    };
    let retarget_days =
        (retarget(share, seed_of(seed, 4)), retarget(1.0 - share, seed_of(seed, 5)));
    Played { won, games, forks, resolution_blocks, wait_min, retarget_days }
}

const RETARGETS: u64 = 500;
const DAY: f64 = 86_400.0;

fn mean(
    games: u64,
    seed: u64,
    progress: &Progress,
    play: impl Fn(&mut rand_xoshiro::Xoshiro256PlusPlus) -> f64 + Sync,
) -> Estimate {
    let (sum, squares) = batches(
        games,
        seed,
        progress,
        |random, games| {
            (0..games).fold((0.0, 0.0), |(sum, squares), _| {
                let value = play(random);
                (sum + value, squares + value * value)
            })
        },
        |a: (f64, f64), b| (a.0 + b.0, a.1 + b.1),
    );
    Estimate::of_sums(sum, squares, games)
}

/// How far behind a censor that never gives up is judged by its chance to return.
const FAR: u32 = 60;
const RACES: u64 = 256;

/// The probability that a block is orphaned, with delay: `others` equal miners against a censor who
/// acts as one. Without delay it is the closed form's. A censor that never gives up and is 60 blocks
/// behind wins with the chance that it has against infinitely many small miners.
pub fn play_with_delay(
    race: &Race,
    stubbornness: Stubbornness,
    delay: Duration,
    others: u32,
    games: u64,
    seed: u64,
    progress: &Progress,
) -> Estimate {
    progress.expect(games);
    let delay = delay.as_secs_f64() / BLOCK_INTERVAL.as_secs_f64();
    let back = race.catches_up_with_delay(delay);
    let returns = Coin::new(back.powi(FAR as i32) * race.wins_after_tie_if(back));
    let share = race.share.get();
    let network = Network::censor_against(share, others, delay, race.gamma, stubbornness);
    let won = (0..games.div_ceil(RACES))
        .into_par_iter()
        .map(|batch| {
            let here = RACES.min(games - batch * RACES);
            let mut network = network.clone();
            let mut random = stream(seed, batch);
            let won =
                (0..here).filter(|_| network.race(FAR, returns, &mut random).orphaned).count();
            progress.advance(here);
            won as u64
        })
        .sum();
    Estimate::of_wins(won, games)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [f64; 6] = [0.25, 0.29, 0.36, 0.49, 0.51, 0.60];

    fn race(alpha: f64) -> Race {
        Race::alone(Share::new("share", alpha).unwrap())
    }

    #[test]
    fn the_published_waits_and_retargets_are_reproduced_to_the_printed_digits() {
        for (alpha, wait, q99, retarget) in [
            (0.25, "13.3", "3.3", ("56.0", "18.7")),
            (0.29, "14.1", "3.7", ("48.3", "19.7")),
            (0.36, "15.6", "4.5", ("38.9", "21.9")),
            (0.49, "19.6", "6.5", ("28.6", "27.5")),
            (0.51, "20.4", "6.8", ("27.5", "28.6")),
            (0.60, "25.0", "9.0", ("23.3", "35.0")),
        ] {
            let share = race(alpha).share;
            assert_eq!(format!("{:.1}", mean_wait(share).as_secs_f64() / 60.0), wait);
            assert_eq!(format!("{:.1}", wait_q99_blocks(share)), q99);
            let days = |share| format!("{:.1}", first_retarget(share).as_secs_f64() / DAY);
            assert_eq!(days(alpha), retarget.0);
            assert_eq!(days(1.0 - alpha), retarget.1);
        }
    }

    #[test]
    fn the_whole_table_is_reproduced_by_simulation() {
        for alpha in TABLE {
            let race = race(alpha);
            let played = play(&race, 100_000, 1, &Progress::new());
            let k = |k| Stubbornness::confirmations(k).unwrap();
            for stubbornness in [k(1), k(2), k(6), Stubbornness::Forever] {
                let seen = played.orphaned(stubbornness);
                let off = seen.deviation(race.orphaned(stubbornness));
                assert!(off.abs() < 4.0, "alpha {alpha} k {stubbornness}: {off}");
            }
            for confirmations in [2, 6] {
                let closed = race.false_finality(confirmations, Stubbornness::Forever);
                let off = played.false_finality(confirmations).deviation(closed);
                assert!(off.abs() < 4.0, "alpha {alpha}, {confirmations} shown: {off}");
            }
            let wait = mean_wait(race.share).as_secs_f64() / 60.0;
            assert!(played.wait_min.deviation(wait).abs() < 4.0, "alpha {alpha}");
            let days = |share| first_retarget(share).as_secs_f64() / DAY;
            assert!(played.retarget_days.0.deviation(days(alpha)).abs() < 4.0);
            assert!(played.retarget_days.1.deviation(days(1.0 - alpha)).abs() < 4.0);
            if let (Some(seen), Some(closed)) = (played.forks, race.forks_until_split()) {
                assert!(seen.deviation(closed).abs() < 4.0, "alpha {alpha}: {seen:?}");
            }
            if let (Some(seen), Some(closed)) = (played.resolution_blocks, race.blocks_to_resolve())
            {
                assert!(seen.deviation(closed).abs() < 4.0, "alpha {alpha}: {seen:?}");
            }
            assert!(played.forks.is_some() != played.resolution_blocks.is_some());
        }
    }

    #[test]
    fn a_share_that_cannot_win_without_delay_wins_with_it() {
        // The tipping share at 60 s is 0.4878.
        let race = race(0.495);
        let forever = Stubbornness::Forever;
        let with = |seconds| {
            let delay = Duration::from_secs(seconds);
            play_with_delay(&race, forever, delay, 50, 1_000, 1, &Progress::new())
        };
        assert!(with(0).deviation(race.orphaned(forever)).abs() < 4.0);
        assert!(with(60).mean > 0.99, "{:?}", with(60));
    }
}
