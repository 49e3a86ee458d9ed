//! Finds a machine's best setting by the work it proves. Pure: an observation in, an action out; no
//! clock, no socket, no randomness. The shell in `control` carries actions out and keeps the journal.
//!
//! ```text
//!            ┌──────────┐  settled   ┌───────────┐ sure enough  ┌──────────┐
//!  start ──▶ │ Settling │ ─────────▶ │ Measuring │ ───────────▶ │ Choosing │──▶ next point
//!            └──────────┘            └───────────┘              └──────────┘      or Done
//!                 │  any limit, error rate rising, silence, restart   │
//!                 └───────────────▶ Abort: last good setting ◀────────┘
//! ```

mod arms;
mod belief;
mod boards;
mod choose;
mod cliff;
mod goal;
mod gp;
mod journal;
mod look;
mod model;
mod noise;
mod normal;
mod rls;
mod run;
mod sequential;
mod signs;
mod suit;

pub(crate) use belief::same;

pub use arms::{Arm, ArmAction, ArmFound, ArmSeen, Arms};
pub use boards::{BoardAction, BoardFound, BoardSeen, Boards};
pub use goal::GoalError;
pub use journal::{Entry, JournalRow, Measured};
pub use model::{Cliff, Point, Prior};
pub use noise::{Loudness, quiet};
pub use run::Tuner;
pub use suit::{Suit, Unsuited, suit};

use crate::{
    capability::Range,
    limits::Limits,
    readings::{Moment, Readings},
    work::Window,
};
use std::time::Duration;
use units::{Decibels, Efficiency, Hashrate, Megahertz, Millivolts, Ratio, Watts};

/// What a machine is tuned for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Fewest joules per terahash, with at least this part of the hashrate it had before.
    Efficiency {
        /// Hashrate to keep, as a part of the first measured one.
        keep: Ratio,
    },
    /// Most hashrate from at most this power.
    Watts(Watts),
    /// Most hashrate within the limits.
    Hashrate,
    /// Most hashrate from at most this much noise of the fan.
    Noise(Decibels),
    /// This much heat, and the most hashrate that it can bring.
    Heat(Watts),
}

/// How boldly and how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Distance kept from the lowest voltage that was seen to work, millivolts.
    pub clearance: Millivolts,
    /// Largest step of voltage downwards.
    pub step: Millivolts,
    /// Time after a change that is not measured, at least.
    pub settle: Duration,
    /// Longest time at a point before its work counts as good unless it says otherwise.
    pub dwell: Duration,
    /// Share of hashes lost at which a point is left at once.
    pub abort_errors: Ratio,
    /// Mean time between shares that the server is asked for while tuning.
    pub share_interval: Duration,
    /// What a change of setting costs, as time of the whole hashrate lost.
    pub switch_cost: Duration,
    /// A warmer or colder inlet by this much, in kelvin, is a reason to tune again.
    pub retune_kelvin: f64,
    /// A gain that is worth a change.
    pub worth: Ratio,
    /// A verified hashrate lower than expected by this part is found out.
    pub shortfall: Ratio,
    /// How often to look.
    pub period: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let millivolts = |v| Millivolts::new(v).unwrap_or_default();
        let ratio = |r| Ratio::new(r).unwrap_or_default();
        Self {
            clearance: millivolts(20.0),
            step: millivolts(20.0),
            // A clock moves 62.5 MHz a second; heat need not settle, the model takes it as an input.
            settle: Duration::from_secs(8),
            dwell: Duration::from_secs(240),
            abort_errors: ratio(0.04),
            // Wald: 4 % at 1 % error takes 5,600 shares, so twenty a second decide in five minutes.
            share_interval: Duration::from_millis(50),
            switch_cost: Duration::from_secs(10),
            retune_kelvin: 4.0,
            worth: ratio(0.003),
            shortfall: ratio(0.04),
            period: Duration::from_secs(2),
        }
    }
}

/// Where a tuner may go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Envelope {
    /// Clocks.
    pub frequency: Range<Megahertz>,
    /// Core voltages.
    pub voltage: Range<Millivolts>,
    /// What must hold at every moment.
    pub limits: Limits,
}

/// What is seen at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Now.
    pub at: Moment,
    /// The setting read back; `None` if it was not read.
    pub setting: Option<Point>,
    /// Sensors read within the last few seconds; a missing one is unknown.
    pub readings: Readings,
    /// Power by the best source, with its relative error.
    pub power: Option<(Watts, f64)>,
    /// Work verified since the setting was last changed. Never the machine's own hashrate.
    pub work: Option<Window>,
    /// The machine restarted since the last observation.
    pub restarted: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Nothing; look again after this time.
    Wait(Duration),
    /// Set this. The journal holds `last_good` before it is sent.
    Apply {
        /// Where to go.
        point: Point,
        /// Where to return to on any doubt.
        last_good: Point,
    },
    /// Return to the last good setting at once, and why.
    Abort {
        /// Where to return to.
        last_good: Point,
        /// A sentence for the log.
        why: String,
    },
    /// Stay here until conditions change.
    Done(Found),
}

/// A setting and what it was measured to bring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The setting.
    pub point: Point,
    /// Verified hashrate.
    pub rate: Hashrate,
    /// Its power.
    pub power: Watts,
    /// What that makes.
    pub efficiency: Efficiency,
    /// One standard error of the efficiency, relative.
    pub error: f64,
}

#[cfg(test)]
mod tests;
