//! The shell: holds all devices, reads them in turn, carries commands out and reads them back, never
//! more sockets at once than allowed, never more load on a circuit than it carries.

pub mod actuate;
pub mod bulk;
pub mod fleet;
pub mod load;
pub mod registry;
pub mod share;
pub mod staged;
pub mod staging;
pub mod supervise;
pub mod tune;

pub use fleet::{Fleet, Open, Setup};
pub use staged::Staged;

use crate::{readings::Moment, work::Tally};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// What the Stratum server does for the fleet. Implemented in `hearth` on `stratum::Server`; tests
/// implement it on a model.
pub trait Meter: Send + Sync {
    /// Verified work of every connection now, in one go; `None` if the server did not answer. May block
    /// for a second.
    fn tallies(&self, now: Moment) -> Option<Vec<Worked>>;

    /// The same, of one machine's connections alone.
    fn tallies_of(&self, who: &Who, now: Moment) -> Option<Vec<Worked>> {
        Some(self.tallies(now)?.into_iter().filter(|worked| who.means(worked)).collect())
    }

    /// How often this machine's shares should come; `None` for as often as all others'.
    fn share_interval(&self, who: &Who, interval: Option<Duration>);

    /// No more work for this machine, or work again. False if the server cannot do that now.
    fn curtail(&self, who: &Who, curtailed: bool) -> bool;
}

/// Whose sessions are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// All that come from this address.
    Address(IpAddr),
    /// All under this full Stratum name.
    Worker(Arc<str>),
}

impl Who {
    /// Whether a session is one of these.
    pub fn means(&self, worked: &Worked) -> bool {
        match self {
            Self::Address(ip) => worked.ip == *ip,
            Self::Worker(name) => worked.worker == *name,
        }
    }
}

/// One session's verified work.
#[derive(Debug, Clone, PartialEq)]
pub struct Worked {
    /// Unique since the server started.
    pub session: u64,
    /// From where it connects.
    pub ip: IpAddr,
    /// Full Stratum name.
    pub worker: Arc<str>,
    /// What it proved since it connected.
    pub tally: Tally,
}

/// The fleet's clock. An emulated farm may run faster than the world: then its fleet does, too.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    speed: f64,
}

impl Clock {
    /// In step with the world, or `speed` times as fast for an emulated farm.
    pub fn start(speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self { started: Instant::now(), speed }
    }

    /// Now.
    pub fn now(&self) -> Moment {
        Moment(self.started.elapsed().mul_f64(self.speed))
    }

    /// How long to sleep in the world for this much of the fleet's time to pass.
    pub fn real(&self, time: Duration) -> Duration {
        time.div_f64(self.speed)
    }
}
