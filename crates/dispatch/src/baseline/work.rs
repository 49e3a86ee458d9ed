//! What shares prove of a baseline, and what their absence proves of a curtailment.
//!
//! Shares are a Poisson process: n were seen where some number was expected. They can prove that energy
//! was used; only the meter can prove that none was, as a machine may work for somebody else.

use statrs::function::gamma::checked_gamma_ur;
use units::{Difficulty, Efficiency, Ratio, WattHours, Work};

/// Parts of a share that sums of whole ones may lack.
const ROUNDING: f64 = 1e-6;
/// Doublings of the search for a bound.
const STEPS: u32 = 200;

/// Work that was seen: shares and the expected hashes behind them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proof {
    /// Accepted shares.
    pub shares: u64,
    /// The sum of their work.
    pub work: Work,
}

/// What verified work says of a metered energy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The meter lies where the work says.
    Consistent,
    /// More work than this energy can have done: the meter reads too little, or does not see all machines.
    MeterTooLow,
    /// Less work than this energy does: something else drew it, or machines work elsewhere.
    WorkMissing,
}

impl Proof {
    /// Of shares of several difficulties, of which none was above `hardest`: they count as so many of the
    /// hardest, as a single hard one that was lucky outweighs a thousand easy ones. A sum of parts of
    /// shares is no less certain than one of whole shares: e^(tw) - 1 is at most w (e^t - 1) for w up to 1
    /// (Chernoff's bound).
    pub fn of(work: Work, hardest: Difficulty) -> Self {
        let each = hardest.work().hashes();
        let shares = (work.hashes() / each + ROUNDING).floor();
        Self { shares: shares as u64, work: Work::from_hashes(shares * each) }
    }

    /// The least energy behind these shares: hashes × J/TH of the best machine that there is. The hashes
    /// are those of the least number of expected shares that would show at least this many with
    /// probability 1 - `confidence`; it cannot be inflated without burning the energy.
    pub fn least_energy(&self, best: Efficiency, confidence: Ratio) -> WattHours {
        self.energy(best, least_expected(self.shares, confidence.get()))
    }

    /// The most energy that machines no worse than `worst` can have used for what these shares show.
    /// `None` without shares, as their difficulty is unknown then: see [`residual`].
    pub fn most_energy(&self, worst: Efficiency, confidence: Ratio) -> Option<WattHours> {
        let most = most_expected(self.shares, confidence.get());
        (self.shares > 0).then(|| self.energy(worst, most))
    }

    /// Whether a metered energy lies between the two. What is above the most that machines can have used
    /// is judged only where it is known what others drew, and the worst machine.
    pub fn judge(
        &self,
        metered: WattHours,
        best: Efficiency,
        others: Option<(WattHours, Efficiency)>,
        confidence: Ratio,
    ) -> Judgement {
        if metered < self.least_energy(best, confidence) {
            return Judgement::MeterTooLow;
        }
        let most =
            |(others, worst)| others + self.most_energy(worst, confidence).unwrap_or_default();
        match others.map(most) {
            Some(most) if metered > most => Judgement::WorkMissing,
            _ => Judgement::Consistent,
        }
    }

    fn energy(&self, efficiency: Efficiency, expected: f64) -> WattHours {
        if self.shares == 0 {
            return WattHours::ZERO;
        }
        let hashes = self.work.hashes() * expected / self.shares as f64;
        // An energy that is no number is no proof.
        WattHours::new(hashes * efficiency.joules_per_hash() / 3600.0).unwrap_or_default()
    }
}

/// The most that can still be hashing here, as a share of full power, when `seen` shares came where full
/// power would have made `expected`: at 99.99 %, silence bounds it to 9.2/expected. `None` if no share
/// was expected: silence says nothing then.
pub fn residual(seen: u64, expected: f64, confidence: Ratio) -> Option<f64> {
    let known = expected > 0.0 && expected.is_finite();
    known.then(|| most_expected(seen, confidence.get()) / expected)
}

/// The greatest mean under which at most n events still have probability 1 - confidence: Garwood (1936),
/// one-sided. -ln(1 - confidence) for none.
pub fn most_expected(events: u64, confidence: f64) -> f64 {
    let tail = 1.0 - confidence;
    if events == 0 {
        return -tail.ln();
    }
    mean_where(|mean| at_most(events, mean) <= tail, events as f64)
}

/// The least mean under which at least n events still have probability 1 - confidence: Garwood (1936),
/// one-sided; 0 for none.
pub fn least_expected(events: u64, confidence: f64) -> f64 {
    if events == 0 {
        return 0.0;
    }
    let tail = 1.0 - confidence;
    mean_where(|mean| 1.0 - at_most(events - 1, mean) >= tail, 0.0)
}

/// P(at most n) at this mean.
fn at_most(events: u64, mean: f64) -> f64 {
    if mean <= 0.0 {
        return 1.0;
    }
    checked_gamma_ur(events as f64 + 1.0, mean).unwrap_or(0.0)
}

/// The smallest mean above `low` for which this holds, as it then does for all greater ones.
fn mean_where(holds: impl Fn(f64) -> bool, low: f64) -> f64 {
    let (mut low, mut high) = (low, low.max(1.0) * 2.0);
    for _ in 0..STEPS {
        if holds(high) {
            break;
        }
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..STEPS {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use units::Watts;

    fn ratio(r: f64) -> Ratio {
        Ratio::new(r).unwrap()
    }

    fn j(per_th: f64) -> Efficiency {
        Efficiency::new(per_th).unwrap()
    }

    #[test]
    fn bounds_of_a_count_are_as_published() {
        // Gehrels (1986), tables 1 and 2, at 0.95 and 0.99.
        for (n, confidence, least, most) in [
            (0, 0.95, 0.0, 2.996),
            (1, 0.95, 0.0513, 4.744),
            (5, 0.95, 1.970, 10.51),
            (10, 0.95, 5.425, 16.96),
            (10, 0.99, 4.130, 20.14),
            (50, 0.95, 38.96, 63.29),
        ] {
            assert!((least_expected(n, confidence) - least).abs() < 5e-3, "{n}");
            assert!((most_expected(n, confidence) - most).abs() < 5e-3, "{n}");
        }
    }

    #[test]
    fn silence_bounds_what_still_hashes() {
        let sure = ratio(0.9999);
        assert!((residual(0, 100.0, sure).unwrap() - 0.0921).abs() < 1e-4);
        assert!(residual(3, 100.0, sure).unwrap() > residual(0, 100.0, sure).unwrap());
        assert_eq!(residual(0, 0.0, sure), None);
        assert_eq!(residual(0, f64::NAN, sure), None);
    }

    #[test]
    fn work_bounds_the_energy_behind_it_from_below() {
        // 200 TH/s at 17.5 J/TH for an hour: 3.5 kWh, 7.2e17 hashes.
        let hour = Duration::from_secs(3600);
        let power = Watts::new(3500.0).unwrap();
        let work = Work::from_hashes(power.feeds(j(17.5)).hashes_per_second() * 3600.0);
        let proof = Proof { shares: 1_000_000, work };
        let least = proof.least_energy(j(17.5), ratio(0.9999));
        let share = least.get() / power.over(hour).get();
        assert!((0.995..1.0).contains(&share), "{share}");
        // The best machine there is proves less of it.
        assert!(proof.least_energy(j(10.0), ratio(0.9999)) < least);
        let judge = |wh| {
            let metered = WattHours::new(wh).unwrap();
            let others = (WattHours::new(50.0).unwrap(), j(22.0));
            proof.judge(metered, j(15.0), Some(others), ratio(0.9999))
        };
        assert_eq!(judge(3550.0), Judgement::Consistent);
        assert_eq!(judge(2500.0), Judgement::MeterTooLow);
        assert_eq!(judge(5000.0), Judgement::WorkMissing);
        let unknown = proof.judge(WattHours::new(5000.0).unwrap(), j(15.0), None, ratio(0.9999));
        assert_eq!(unknown, Judgement::Consistent);
        let none = Proof { shares: 0, work: Work::ZERO };
        assert_eq!(none.least_energy(j(10.0), ratio(0.99)), WattHours::ZERO);
        assert_eq!(none.most_energy(j(10.0), ratio(0.99)), None);
    }
}
