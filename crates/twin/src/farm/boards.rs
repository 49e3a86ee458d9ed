//! Boards of a large machine that are not alike: the clock of each, what it loses there, what its error
//! counter says. Pure. All share one voltage, which the firmware gives for the machine's common clock.

use std::time::Duration;
use units::{Hashrate, Megahertz, Ratio};

/// Boards of every large machine here.
pub const BOARDS: usize = 3;
/// MHz above the common clock at which a usual board loses half of its hashes. Makers leave that much at
/// the voltage of a profile: an assumption.
pub const USUAL_HEADROOM: f64 = 90.0;
/// MHz in which the loss grows e-fold: an assumption.
const WIDTH: f64 = 10.0;
/// Error counters are told as a mean over this (LuxOS, `Hardware Error MHS 15m`).
const COUNTED: Duration = Duration::from_secs(900);

/// What makes boards different.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Boards {
    /// MHz above the common clock at which each loses half.
    headroom: [f64; BOARDS],
    /// Wrong hashes a second, mean over [`COUNTED`].
    wrong: [f64; BOARDS],
}

/// What comes out of one board.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoardOutput {
    /// Its clock.
    pub clock: Megahertz,
    /// Hashes that are right.
    pub good: Hashrate,
    /// Hashes tried.
    pub tried: Hashrate,
    /// Share of hashes lost now.
    pub lost: Ratio,
    /// Wrong hashes by its counter, the mean of a quarter of an hour.
    pub wrong: Hashrate,
}

impl Default for Boards {
    fn default() -> Self {
        Self { headroom: [USUAL_HEADROOM; BOARDS], wrong: [0.0; BOARDS] }
    }
}

impl Boards {
    /// New ones of this silicon.
    pub(super) fn of(headroom: [f64; BOARDS]) -> Self {
        Self { headroom, ..Self::default() }
    }

    /// Share of hashes that each loses, so many MHz off the common clock.
    pub(super) fn lost(&self, trim: [i16; BOARDS]) -> [f64; BOARDS] {
        std::array::from_fn(|n| {
            1.0 / (1.0 + ((self.headroom[n] - f64::from(trim[n])) / WIDTH).exp())
        })
    }

    /// Counters count wrong hashes a second for so long.
    pub(super) fn count(&mut self, wrong: [f64; BOARDS], time: Duration) {
        let stays = (-time.as_secs_f64() / COUNTED.as_secs_f64()).exp();
        for (mean, now) in self.wrong.iter_mut().zip(wrong) {
            *mean = now + (*mean - now) * stays;
        }
    }

    /// One board at this clock, MHz, of which each makes so many hashes.
    pub(super) fn output(
        &self,
        n: usize,
        mhz: f64,
        hashes_per_clock: f64,
        trim: [i16; BOARDS],
    ) -> BoardOutput {
        let lost = self.lost(trim)[n];
        let tried = mhz * 1e6 * hashes_per_clock;
        BoardOutput {
            clock: Megahertz::new(mhz).unwrap_or_default(),
            good: Hashrate::from_hashes_per_second(tried * (1.0 - lost)),
            tried: Hashrate::from_hashes_per_second(tried),
            lost: Ratio::new(lost).unwrap_or_default(),
            wrong: Hashrate::from_hashes_per_second(self.wrong[n]),
        }
    }
}
