//! Links to machines: our own where no library steers rightly. What asic-rs steers is in the crate
//! `hearth-asic`, which implements the same [`crate::Driver`].

pub mod avalon;
pub mod axeos;
pub mod cgminer;
#[cfg(test)]
mod hostile;
pub mod http;
pub mod luxos;
pub mod meter;
pub mod stratum_only;
pub mod switch;
mod told;

use crate::{device::Endpoint, driver::Driver, identity::Firmware};
use std::time::Duration;

/// Longest answer that is read from any machine, bytes: a hashboard with 400 chips tells 200 kB.
pub const MAX_ANSWER: usize = 1 << 20;
/// Longest time for an answer to a question.
pub const READ_DEADLINE: Duration = Duration::from_secs(5);
/// Longest time for a connection to come about.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// The link of this crate to a machine with this firmware; `None` where there is none.
pub fn open(at: Endpoint, firmware: Firmware) -> Option<Box<dyn Driver>> {
    match firmware {
        Firmware::AxeOs => Some(Box::new(axeos::AxeOs::new(at))),
        Firmware::LuxOs => Some(Box::new(luxos::LuxOs::new(at))),
        Firmware::Avalon => Some(Box::new(avalon::Avalon::new(at))),
        _ => None,
    }
}

/// A machine that says this to whatever it is asked.
#[cfg(test)]
pub(crate) async fn hostile(says: String) -> std::net::SocketAddr {
    hostile::hostile(hostile::Does::Say(says)).await
}
