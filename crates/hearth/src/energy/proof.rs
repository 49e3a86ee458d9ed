//! The cross-check: what accepted work says of a metered energy, and its absence of a curtailment. Work
//! only bounds; it never stands in for a reading.

use dispatch::baseline::work::{Judgement, Proof, residual};
use ledger::evidence;
use units::{Difficulty, Efficiency, Ratio, WattHours, Work};

/// How sure bounds are, one-sided.
pub const SURE: f64 = 0.9999;

/// Accepted work of a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worked {
    pub work: Work,
    /// Of the hardest share; `None` without a share.
    pub hardest: Option<Difficulty>,
}

/// What the machines can have used: through the meter, and beside it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Supply {
    pub imported: WattHours,
    pub exported: WattHours,
    /// From the site's own sun, battery or engine; `None` where a source of it was silent.
    pub beside: Option<WattHours>,
}

impl Worked {
    /// Both times.
    pub fn and(self, other: Self) -> Self {
        let work = [self.work, other.work].into_iter().sum();
        let hardest = [self.hardest, other.hardest].into_iter().flatten().reduce(Difficulty::max);
        Self { work, hardest }
    }

    fn proof(&self) -> Option<Proof> {
        self.hardest.map(|hardest| Proof::of(self.work, hardest))
    }
}

impl Supply {
    /// Both times.
    pub fn and(self, other: Self) -> Self {
        Self {
            imported: self.imported + other.imported,
            exported: self.exported + other.exported,
            beside: self.beside.zip(other.beside).map(|(one, two)| one + two),
        }
    }

    /// Whether it is known to be less than this.
    pub fn falls_short_of(&self, least: WattHours) -> bool {
        self.used().is_some_and(|used| used < least)
    }

    /// What was there to use at most, where that is known.
    fn used(&self) -> Option<WattHours> {
        let wh = self.imported.get() + self.beside?.get() - self.exported.get();
        WattHours::new(wh.max(0.0)).ok()
    }
}

pub fn sure() -> Ratio {
    Ratio::new(SURE).unwrap_or_default()
}

/// Whether this work takes more energy than there was. False where that is not known.
pub fn contradicts(worked: &Worked, supply: &Supply, best: Efficiency) -> bool {
    let Some((proof, used)) = worked.proof().zip(supply.used()) else { return false };
    proof.judge(used, best, None, sure()) == Judgement::MeterTooLow
}

/// What an interval's work proves, for the record; of an interval of a call also what still hashed in it,
/// as part of the mean of the intervals before. `None` where nothing is proven.
pub fn prove(
    worked: &Worked,
    before: &[Worked],
    beside: Option<WattHours>,
    best: Efficiency,
) -> Option<evidence::Proof> {
    let residual = still(worked, before);
    let hardest = match residual {
        Some((_, hardest)) => hardest,
        None => worked.hardest?,
    };
    let least = Proof::of(worked.work, hardest).least_energy(best, sure());
    // A record holds whole hashes.
    (hardest.work().hashes() >= 1.0).then(|| evidence::Proof {
        hardest: hardest.work(),
        best,
        least,
        beside,
        residual: residual.map(|(part, _)| part),
        confidence: sure(),
    })
}

/// The most that still hashed, and the hardest share that this goes by. Parts of a share count as whole
/// ones, and all as so many of the hardest: a machine of which nothing came is not judged by the easy shares
/// of others.
fn still(worked: &Worked, before: &[Worked]) -> Option<(Ratio, Difficulty)> {
    let all = before.iter().copied().reduce(Worked::and)?;
    let hardest = all.and(*worked).hardest?;
    let each = hardest.work().hashes();
    let expected = all.work.hashes() / before.len() as f64 / each;
    // Sums of whole shares may be a little more.
    let seen = (worked.work.hashes() / each - 1e-6).ceil() as u64;
    let part = residual(seen, expected, sure())?;
    // More than all says nothing.
    Some((Ratio::new(part.min(1.0)).ok()?, hardest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Worked = Worked { work: Work::ZERO, hardest: None };

    fn wh(wh: f64) -> WattHours {
        WattHours::new(wh).unwrap()
    }

    /// So many shares of this difficulty.
    fn shares(count: f64, difficulty: f64) -> Worked {
        let hardest = Difficulty::new(difficulty).unwrap();
        let work = Work::from_hashes(count * hardest.work().hashes());
        Worked { work, hardest: (count > 0.0).then_some(hardest) }
    }

    fn supply(imported: f64, exported: f64, beside: Option<f64>) -> Supply {
        let (imported, exported) = (wh(imported), wh(exported));
        Supply { imported, exported, beside: beside.map(wh) }
    }

    /// 200 TH/s at 17.5 J/TH for five minutes are 291.7 Wh, and 100 shares of difficulty 139,696.
    #[test]
    fn a_meter_that_shows_less_than_the_work_takes_is_contradicted() {
        let best = Efficiency::new(7.5).unwrap();
        let worked = shares(100.0, 200e12 * 3.0 / Difficulty::HASHES_PER_UNIT);
        let contradicted = |supply: Supply| contradicts(&worked, &supply, best);
        // 125 Wh at 7.5 J/TH, of which 100 shares prove two thirds.
        for (imported, exported, beside, expected) in [
            (291.7, 0.0, Some(0.0), false),
            (85.0, 0.0, Some(0.0), false),
            (75.0, 0.0, Some(0.0), true),
            (0.0, 0.0, Some(0.0), true),
            (0.0, 0.0, Some(300.0), false),
            (0.0, 250.0, Some(300.0), true),
            (0.0, 0.0, None, false),
        ] {
            let said = contradicted(supply(imported, exported, beside));
            assert_eq!(said, expected, "{imported} {exported} {beside:?}");
        }
        assert!(!contradicts(&NONE, &supply(0.0, 0.0, Some(0.0)), best));
    }

    #[test]
    fn silence_bounds_what_still_hashes_and_says_nothing_where_nothing_was() {
        let best = Efficiency::new(7.5).unwrap();
        let before = [shares(100.0, 1000.0); 12];
        let residual = |worked: Worked, before: &[Worked]| {
            prove(&worked, before, None, best).and_then(|proof| proof.residual).map(|r| r.get())
        };
        let silent = residual(NONE, &before).unwrap();
        assert!((silent - 0.0921).abs() < 1e-4, "{silent}");
        assert_eq!(residual(shares(90.0, 1000.0), &before), Some(1.0));
        assert_eq!(residual(NONE, &[NONE; 12]), None);
        assert_eq!(residual(shares(1.0, 1.0), &[]), None, "no call");
        assert_eq!(prove(&NONE, &[], None, best), None);
    }

    /// Half of the hashes came in ten hard shares an interval, half in a thousand easy ones.
    #[test]
    fn machines_with_hard_shares_are_not_proven_silent_by_the_easy_ones_of_others() {
        let best = Efficiency::new(7.5).unwrap();
        let before = [shares(10.0, 100e3).and(shares(1000.0, 1e3)); 12];
        let easy_stopped = prove(&shares(10.0, 100e3), &before, None, best).unwrap();
        assert!(easy_stopped.residual.unwrap().get() > 0.5, "{easy_stopped:?}");
        let all_stopped = prove(&NONE, &before, None, best).unwrap();
        assert!((all_stopped.residual.unwrap().get() - 9.21 / 20.0).abs() < 1e-3);
    }
}
