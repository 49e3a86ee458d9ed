//! Who is left alone for comparison, by lot. A home cannot choose a name that is drawn, or is not: the
//! seed is secret.

use units::{Ratio, UnixTime};

/// What a home draws in the lot of one period: any number, equally likely. FNV-1a, then the finaliser of
/// SplitMix64 (Steele, Lea, Flood 2014) over seed and period.
pub(super) fn draw(seed: u64, period: UnixTime, id: &str) -> u64 {
    let name = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(mix(mix(seed) ^ period.0) ^ name)
}

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Up to which draw homes are left alone; `None` while none is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lots {
    /// Start of the period that runs.
    pub period: Option<UnixTime>,
    /// Those compared with now.
    pub now: Option<u64>,
    /// Those of the next period, who rest already: what they were told before must wear off.
    pub next: Option<u64>,
    /// Somebody was told something since the lot of now was drawn.
    pub told: bool,
}

impl Lots {
    /// Where a home belongs that drew these numbers in the lots of now and next.
    pub fn group(&self, drawn: [u64; 2]) -> Group {
        let [now, next] = drawn;
        if self.now.is_some_and(|limit| now <= limit) {
            Group::Control
        } else if self.next.is_some_and(|limit| next <= limit) {
            Group::Resting
        } else {
            Group::Told
        }
    }
}

/// What the lot says of a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// It can be told.
    Told,
    /// Left alone for comparison.
    Control,
    /// Left alone so that it can be compared with in the next period.
    Resting,
}

/// The highest draw that is left alone, so that this part of those who drew, rounded up, and at least
/// `least` of them are; but never more than half. `None` when nobody is.
pub(super) fn limit(draws: &mut [u64], part: Ratio, least: usize) -> Option<u64> {
    let wished = (draws.len() as f64 * part.get()).ceil() as usize;
    let count = if part == Ratio::NONE { 0 } else { wished.max(least).min(draws.len() / 2) };
    let last = count.checked_sub(1)?;
    Some(*draws.select_nth_unstable(last).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(period: u64) -> Vec<bool> {
        let draws: Vec<u64> =
            (0..2000).map(|home| draw(7, UnixTime(period), &format!("home-{home}"))).collect();
        let limit = limit(&mut draws.clone(), Ratio::new(0.05).unwrap(), 30).unwrap();
        draws.iter().map(|draw| *draw <= limit).collect()
    }

    #[test]
    fn a_twentieth_is_drawn_and_another_one_each_period() {
        let (one, other) = (drawn(0), drawn(86_400));
        let count = |drawn: &[bool]| drawn.iter().filter(|drawn| **drawn).count();
        assert_eq!((count(&one), count(&other)), (100, 100));
        let both = one.iter().zip(&other).filter(|(one, other)| **one && **other).count();
        assert!(both < 20, "5 are expected of chance: {both}");
    }

    #[test]
    fn over_many_periods_all_are_drawn_equally_often() {
        let mut times = vec![0u32; 2000];
        for period in 0..400 {
            for (times, drawn) in times.iter_mut().zip(drawn(period * 86_400)) {
                *times += u32::from(drawn);
            }
        }
        // 20 are expected; the chi-square of 2000 counts is 2000 ± 63 or less.
        let chi: f64 = times.iter().map(|times| (f64::from(*times) - 20.0).powi(2) / 20.0).sum();
        assert!((1650.0..2200.0).contains(&chi), "{chi}");
    }

    #[test]
    fn small_groups_are_at_least_thirty_but_never_more_than_half() {
        let part = Ratio::new(0.05).unwrap();
        for (homes, expected) in [(10_000, 500), (100, 30), (20, 10), (1, 0), (0, 0)] {
            let draws: Vec<u64> =
                (0..homes).map(|home| draw(1, UnixTime(0), &home.to_string())).collect();
            let limit = limit(&mut draws.clone(), part, 30);
            let count = draws.iter().filter(|draw| Some(**draw) <= limit && limit.is_some());
            assert_eq!(count.count(), expected, "{homes}");
        }
        assert_eq!(limit(&mut [1, 2, 3, 4], Ratio::NONE, 30), None);
    }
}
