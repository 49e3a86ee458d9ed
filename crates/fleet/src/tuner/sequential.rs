//! Whether a machine brings the hashrate that it should, decided as soon as its shares decide it:
//! Wald's sequential probability ratio test on a Poisson process. Knows no clock and no setting.

use crate::work::Window;
use units::{Hashrate, Ratio};

/// Chance of either wrong verdict.
const WRONG: f64 = 0.01;

/// What the shares say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not enough yet.
    Open,
    /// As much as expected.
    Full,
    /// Less than that by the stated part, or more.
    Short,
}

/// Decides between the expected rate and one lower by `less`.
pub(super) fn judge(window: &Window, expected: Hashrate, less: Ratio) -> Verdict {
    let Some(ratio) = ratio(window, expected) else { return Verdict::Open };
    let (seen, less) = (window.shares as f64, less.get());
    let wanted = seen / ratio;
    let evidence = seen * (1.0 - less).ln() + less * wanted;
    let enough = ((1.0 - WRONG) / WRONG).ln();
    match evidence {
        e if e >= enough => Verdict::Short,
        e if e <= -enough => Verdict::Full,
        _ => Verdict::Open,
    }
}

/// Proved rate over expected; `None` without a share.
pub(super) fn ratio(window: &Window, expected: Hashrate) -> Option<f64> {
    let ratio = window.rate().hashes_per_second() / expected.hashes_per_second();
    (window.shares > 0 && ratio.is_finite() && ratio > 0.0).then_some(ratio)
}

/// The same without waiting: less by more than `less` and three standard errors.
pub(super) fn far_short(window: &Window, expected: Hashrate, less: Ratio) -> bool {
    let error = window.relative_error();
    ratio(window, expected)
        .zip(error)
        .is_some_and(|(ratio, error)| ratio < 1.0 - less.get() - 3.0 * ratio.sqrt() * error)
}

/// More than one faulty share to five good ones: what bad chips send.
pub(super) fn mostly_faulty(window: &Window) -> bool {
    window.faulty >= 10 && window.faulty > window.shares / 5
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, distr::Distribution};
    use rand_distr::Poisson;
    use std::time::Duration;
    use units::Work;

    fn run(truth: f64, seed: u64) -> (Verdict, u64) {
        let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
        let expected = Hashrate::from_hashes_per_second(1e12);
        let a_share = 1e12 / 20.0;
        let each = Poisson::new(20.0 * truth).unwrap();
        let mut shares = 0;
        for second in 1..3600 {
            shares += each.sample(&mut random) as u64;
            let window = Window {
                time: Duration::from_secs(second),
                shares,
                work: Work::from_hashes(shares as f64 * a_share),
                faulty: 0,
            };
            match judge(&window, expected, Ratio::new(0.04).unwrap()) {
                Verdict::Open => {}
                verdict => return (verdict, second),
            }
        }
        (Verdict::Open, 3600)
    }

    #[test]
    fn four_percent_are_decided_in_minutes_at_twenty_shares_a_second_and_rarely_wrong() {
        for (truth, want) in [(1.0, Verdict::Full), (0.96, Verdict::Short)] {
            let runs: Vec<_> = (0..300).map(|seed| run(truth, seed)).collect();
            let right = runs.iter().filter(|(verdict, _)| *verdict == want).count();
            let mean = runs.iter().map(|(_, time)| *time as f64).sum::<f64>() / 300.0;
            // 1 % wrong of 300 is 3; four standard errors more is 10.
            assert!(right >= 290, "{truth}: {right}");
            assert!((200.0..360.0).contains(&mean), "{truth}: {mean} s");
        }
    }

    #[test]
    fn without_a_share_nothing_is_decided() {
        let none = Window { time: Duration::from_secs(60), shares: 0, work: Work::ZERO, faulty: 0 };
        let expected = Hashrate::from_hashes_per_second(1e12);
        assert_eq!(judge(&none, expected, Ratio::new(0.04).unwrap()), Verdict::Open);
        assert!(!far_short(&none, expected, Ratio::new(0.04).unwrap()));
    }
}
