//! Machines that the library asic-rs steers, behind the fleet's own [`Driver`]. Of the library only
//! what reads and what the fleet may command is used: never its scan, its pools, passwords or upgrades.
//! A `true` of it counts as words; what became of a command is read back like everywhere.

mod link;
mod machine;

pub use link::Link;

use asic_rs::core::traits::{entry::FirmwareEntry, miner::MinerAuth};
use fleet::{Driver, DriverError, Endpoint, Firmware};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// To tell the model and the version before a link exists.
const OPENING: Duration = Duration::from_secs(15);
/// Links to Whatsminer version 3 that work at once: the library makes room for as many bytes as a
/// machine announces, up to 4 GiB; pages never written to are not resident.
static V3: Semaphore = Semaphore::const_new(4);

/// How a machine lets us in.
#[derive(Clone)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Never shown.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What is allowed beyond what is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Whatsminer's protocol version 3, see the quirks.
    pub whatsminer_v3: bool,
}

/// Whether this crate can open a link to machines with this firmware.
pub fn steers(firmware: Firmware) -> bool {
    entry(firmware).is_some()
}

/// A link to a machine that our own probe has found to run this firmware; without a login the
/// factory's is tried.
pub async fn open(
    at: Endpoint,
    firmware: Firmware,
    login: Option<Login>,
    allowed: Allowed,
) -> Result<Box<dyn Driver>, DriverError> {
    if Endpoint::usual(at.ip) != at {
        return Err(DriverError::Unsafe(
            "this machine is reached only at its firmware's own ports",
        ));
    }
    let entry = match firmware {
        Firmware::Avalon => {
            return Err(DriverError::Unsafe(
                "asic-rs sends an Avalon watts where it reads a level; our own driver steers it",
            ));
        }
        Firmware::WhatsminerV3 if !allowed.whatsminer_v3 => {
            return Err(DriverError::Unsafe(
                "this Whatsminer speaks version 3; set fleet.whatsminer_v3 = true if you trust your network",
            ));
        }
        _ => entry(firmware).ok_or(DriverError::Unsafe("asic-rs steers no such machine"))?,
    };
    let auth = login.map(|login| MinerAuth::new(login.user, login.password));
    let _few = match firmware {
        Firmware::WhatsminerV3 => V3.acquire().await.ok(),
        _ => None,
    };
    let building = timeout(OPENING, entry.build_miner(at.ip, auth.as_ref()));
    let miner = building
        .await
        .map_err(|_| DriverError::Silent(OPENING))?
        .map_err(|error| DriverError::Garbage(error.to_string()))?;
    Ok(Box::new(machine::Machine::new(firmware, miner)))
}

fn entry(firmware: Firmware) -> Option<Arc<dyn FirmwareEntry>> {
    Some(match firmware {
        Firmware::BraiinsOs => Arc::new(asic_rs::braiins::firmware::BraiinsFirmware::default()),
        Firmware::AntminerStock => {
            Arc::new(asic_rs::antminer::firmware::AntMinerStockFirmware::default())
        }
        Firmware::WhatsminerV2 | Firmware::WhatsminerV3 => {
            Arc::new(asic_rs::whatsminer::firmware::WhatsMinerFirmware::default())
        }
        Firmware::Vnish => Arc::new(asic_rs::vnish::firmware::VnishFirmware::default()),
        Firmware::NerdAxe => Arc::new(asic_rs::nerdaxe::firmware::NerdAxeFirmware::default()),
        _ => return None,
    })
}

pub(crate) fn few() -> &'static Semaphore {
    &V3
}
