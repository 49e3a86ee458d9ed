//! Verified work: what a machine proved to our own Stratum server, and how sure that makes us.
//!
//! Shares come as a Poisson process. Over a window with n of them the hashrate is known to 1/sqrt(n);
//! the window's length and the difficulty do not matter.

use crate::readings::Moment;
use std::time::Duration;
use units::{Hashrate, UnitError, Work};

/// Emulated hashes behind each real one. Real machines have [`WorkScale::ONE`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorkScale(f64);

impl WorkScale {
    /// Each hash is a hash.
    pub const ONE: Self = Self(1.0);

    /// Refuses what is not positive and finite.
    pub fn new(scale: f64) -> Result<Self, UnitError> {
        if scale.is_finite() && scale > 0.0 {
            Ok(Self(scale))
        } else {
            Err(UnitError::NotPositive("work scale"))
        }
    }

    /// The factor.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// A machine's verified work so far, added up over all its sessions; it never goes down.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// When the server was asked.
    pub at: Moment,
    /// Accepted shares.
    pub accepted: u64,
    /// Work they prove, as the server counts it.
    pub work: Work,
    /// Shares that missed their target or came twice: what bad chips send.
    pub faulty: u64,
}

/// Work between two tallies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Its length.
    pub time: Duration,
    /// Accepted shares in it.
    pub shares: u64,
    /// Work they prove, scaled.
    pub work: Work,
    /// Faulty shares in it.
    pub faulty: u64,
}

impl Window {
    /// From one tally to a later one; `None` if they are the wrong way round.
    pub fn between(from: &Tally, to: &Tally, scale: WorkScale) -> Option<Self> {
        let shares = to.accepted.checked_sub(from.accepted)?;
        let work = (to.work.hashes() - from.work.hashes()) * scale.get();
        (to.at > from.at && work >= 0.0).then(|| Self {
            time: to.at.since(from.at),
            shares,
            work: Work::from_hashes(work),
            faulty: to.faulty.saturating_sub(from.faulty),
        })
    }

    /// The hashrate that this work proves.
    pub fn rate(&self) -> Hashrate {
        self.work.over(self.time).unwrap_or(Hashrate::ZERO)
    }

    /// One standard error of it as a share of it: 1/sqrt(n). `None` without a share.
    pub fn relative_error(&self) -> Option<f64> {
        (self.shares > 0).then(|| 1.0 / (self.shares as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Difficulty;

    #[test]
    fn a_gamma_that_sends_a_share_of_difficulty_500_every_two_seconds_does_a_terahash() {
        let share = Difficulty::new(500.0).unwrap().work();
        let tally = |secs, n: u64| Tally {
            at: Moment::from_secs(secs),
            accepted: n,
            work: Work::from_hashes(share.hashes() * n as f64),
            faulty: 0,
        };
        let window = Window::between(&tally(0, 10), &tally(200, 110), WorkScale::ONE).unwrap();
        assert!((window.rate().terahashes_per_second() - 1.0738).abs() < 1e-3);
        assert_eq!(window.relative_error(), Some(0.1));
        assert_eq!(Window::between(&tally(200, 110), &tally(0, 10), WorkScale::ONE), None);
    }

    #[test]
    fn an_emulated_machine_proves_its_scale_times_what_it_hashed() {
        let scale = WorkScale::new(4_294_967_296.0).unwrap();
        let to = Tally {
            at: Moment::from_secs(1),
            accepted: 1,
            work: Work::from_hashes(249.0),
            faulty: 0,
        };
        let window = Window::between(&Tally::default(), &to, scale).unwrap();
        assert!((window.rate().terahashes_per_second() - 1.069).abs() < 1e-3);
    }
}
