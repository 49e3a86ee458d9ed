//! Does one machine's hashes when they are due: counts fractions, searches truly, sends what it finds.

use super::{
    link::Link,
    task::{Slice, Task},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// One header is hashed for about this long; then extranonce, version and time move on.
const SLICE_TIME: Duration = Duration::from_secs(1);
/// Of the hashes that chips lose, this part comes as a wrong nonce: the rest is never heard of.
const SENT_WRONG: f64 = 1.0 / 20.0;
/// Odds of a share above which shares no longer come at random.
const TOO_EASY: f64 = 0.1;

/// What hashes for one machine.
pub(in super::super) struct Rig {
    task: Option<Arc<Task>>,
    generation: u64,
    slice: Option<(Slice, Instant)>,
    /// Counts headers, so that none is made twice.
    number: u64,
    nonce: u32,
    /// Hashes due, with their fraction.
    due: f64,
    /// Wrong shares due.
    wrong: f64,
    odds: f64,
    warned: bool,
    random: Xoshiro256PlusPlus,
}

impl Rig {
    pub fn new(seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self {
            task: None,
            generation: u64::MAX,
            slice: None,
            number: random.random(),
            nonce: 0,
            due: 0.0,
            wrong: random.random(),
            odds: 0.0,
            warned: false,
            random,
        }
    }

    /// Whether there is something to hash.
    pub fn has_work(&mut self, link: &Link) -> bool {
        let generation = link.generation();
        if generation != self.generation {
            self.generation = generation;
            self.task = link.task();
            self.slice = None;
            self.odds = self.task.as_ref().map_or(0.0, |task| task.odds());
            if self.odds > TOO_EASY && !self.warned {
                self.warned = true;
                tracing::warn!(
                    odds = self.odds,
                    "shares are so easy that they do not come at random: use a smaller --scale or \
                     a higher difficulty"
                );
            }
        }
        self.task.is_some()
    }

    /// Does `good` more hashes, and loses `lost`; both are real hashes and may be fractions.
    pub fn work(&mut self, link: &Link, good: f64, lost: f64) {
        let Some(task) = self.task.clone() else { return };
        self.due += good;
        let whole = self.due.floor();
        self.due -= whole;
        let mut left = whole as u32;
        let done = u64::from(left);
        while left > 0 {
            let (slice, from) = self.slice(&task, left);
            let (tried, hit) = slice.scan.search(*from, left, task.target);
            *from = from.wrapping_add(tried);
            left -= tried;
            if let Some((nonce, _)) = hit {
                link.send(task.share(slice, nonce), false);
            }
        }
        link.count(done, lost);
        self.wrong += lost * self.odds * SENT_WRONG;
        while self.wrong >= 1.0 {
            // Exponential distances: wrong nonces come at random, too.
            self.wrong -= -(1.0 - self.random.random::<f64>()).ln();
            self.send_wrong(link, &task);
        }
    }

    /// The header now and its next nonce.
    fn slice(&mut self, task: &Task, hashes: u32) -> (&mut Slice, &mut u32) {
        let old = self.slice.as_ref().is_none_or(|(_, born)| born.elapsed() >= SLICE_TIME);
        if old || self.nonce.checked_add(hashes).is_none() {
            self.slice = None;
            self.number = self.number.wrapping_add(1);
            self.nonce = 0;
        }
        let number = self.number;
        let (slice, _) = self.slice.get_or_insert_with(|| (task.slice(number), Instant::now()));
        (slice, &mut self.nonce)
    }

    fn send_wrong(&mut self, link: &Link, task: &Task) {
        let nonce = self.random.random::<u32>();
        let (slice, _) = self.slice(task, 0);
        // A true share by chance is left alone: it may come again when it is due.
        if slice.scan.search(nonce, 1, task.target).1.is_none() {
            let line = task.share(slice, nonce);
            link.send(line, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{job::Job, scripted, target::Target};
    use units::Difficulty;

    fn task(difficulty: f64) -> Task {
        Task {
            job: Job::from_params(scripted::job("a", true).as_array().unwrap()).unwrap(),
            user: "u".into(),
            extranonce1: vec![1, 2, 3, 4],
            extranonce2_size: 4,
            target: Target::from_difficulty(Difficulty::new(difficulty).unwrap()),
            version_mask: 0x1fff_e000,
            born: Instant::now(),
        }
    }

    /// A share every `hashes` hashes.
    fn every(hashes: f64) -> f64 {
        hashes / 2f64.powi(32)
    }

    #[test]
    fn as_many_hashes_are_done_as_are_due_however_they_are_cut() {
        let link = Link::default();
        link.give(task(1.0));
        let mut rig = Rig::new(1);
        assert!(rig.has_work(&link));
        for _ in 0..10_000 {
            rig.work(&link, 0.37, 0.0);
        }
        assert!((link.mined().hashes as i64 - 3700).abs() <= 1);
        link.close();
        assert!(!rig.has_work(&link));
        rig.work(&link, 1000.0, 0.0);
        assert!((link.mined().hashes as i64 - 3700).abs() <= 1);
    }

    #[test]
    fn shares_come_at_random_as_often_as_their_difficulty_says() {
        let link = Link::default();
        let mut shares = link.open();
        // 40 hashes in 20 ms, as a farm does; windows of 4000 hashes with 8 shares each.
        link.give(task(every(500.0)));
        let mut rig = Rig::new(2);
        rig.has_work(&link);
        let counts: Vec<f64> = (0..200)
            .map(|_| {
                for _ in 0..100 {
                    rig.work(&link, 40.0, 0.0);
                }
                let mut count = 0.0;
                while shares.try_recv().is_ok() {
                    count += 1.0;
                }
                count
            })
            .collect();
        let mean = counts.iter().sum::<f64>() / 200.0;
        let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 199.0;
        // Standard error of the mean 0.2, of the index of dispersion 0.1.
        assert!((mean - 8.0).abs() < 0.8, "{mean}");
        assert!((variance / mean - 1.0).abs() < 0.3, "{}", variance / mean);
    }

    #[test]
    fn every_twentieth_lost_hash_is_heard_of_as_a_wrong_nonce() {
        let link = Link::default();
        let mut shares = link.open();
        link.give(task(every(20.0)));
        let mut rig = Rig::new(3);
        rig.has_work(&link);
        for _ in 0..1000 {
            rig.work(&link, 0.0, 400.0);
            while shares.try_recv().is_ok() {}
        }
        // 400,000 lost, a twentieth of a twentieth of them sent, a twentieth of those true by chance.
        let mined = link.mined();
        assert!((mined.wrong as f64 - 950.0).abs() < 4.0 * 31.0, "{}", mined.wrong);
        assert_eq!((mined.sent, mined.hashes, mined.lost), (mined.wrong, 0, 400_000.0));
    }

    #[test]
    fn no_header_is_hashed_twice() {
        let link = Link::default();
        let mut shares = link.open();
        link.give(task(every(16.0)));
        let mut rig = Rig::new(4);
        let mut seen = std::collections::HashSet::new();
        for i in 0..400 {
            if i % 50 == 0 {
                link.give(task(every(16.0)));
            }
            rig.has_work(&link);
            rig.work(&link, 100.0, 0.0);
            while let Ok(share) = shares.try_recv() {
                assert!(seen.insert(share));
            }
        }
        assert!(seen.len() > 2000);
    }
}
