//! Emulated machines: each with its own 127.x.y.z address, the real ports and protocols, physics, and
//! true SHA-256 work at a declared scale. Shares no code with the fleet that it judges.
//!
//! ```text
//!   firmware (protocols) ──settings──▶ Machine (physics) ──hashes due──▶ work (Stratum sessions)
//!        ▲      ▲                          │                                  │
//!   faults   sockets ◀────sensors──────────┘                 real shares ─────┘
//! ```

mod announce;
pub mod boards;
mod device;
pub mod fault;
pub mod firmware;
pub mod physics;
mod runtime;
mod sockets;
pub mod spec;
mod work;

pub use announce::Announced;
pub use boards::{BOARDS, BoardOutput};
pub use device::Device;
pub use fault::{Fault, Faults};
pub use physics::{Machine, Output, Phase, Setting};
pub use runtime::{Farm, FarmError};
pub use spec::{Kind, Spec};
pub use work::Mined;

use std::{net::Ipv4Addr, time::Duration};
use units::Celsius;

/// A farm to be.
#[derive(Debug, Clone)]
pub struct FarmConfig {
    /// First address; the others follow it, one a machine, never ending in 0 or 255.
    pub first: Ipv4Addr,
    /// Which machines, in order of address.
    pub machines: Vec<Kind>,
    /// Where they mine, `host:port`; `None` for machines that only answer.
    pub stratum: Option<String>,
    /// User name before the dot; behind it comes the machine's own name.
    pub user: String,
    /// Emulated hashes for each real one; `None` gives each kind the power of two at which it does
    /// about [`FarmConfig::REAL_HASHES`] a second, so that a large machine costs no more than a small.
    pub scale: Option<f64>,
    /// Emulated seconds in a real one.
    pub speed: f64,
    /// Air around the machines.
    pub ambient: Celsius,
    /// Ports: the firmware's own, or shifted by this much where the system keeps low ones to itself.
    pub port_shift: u16,
    /// Which misbehave, and how.
    pub faults: Faults,
    /// No physics step by step and no mining: thousands of machines for tests of control alone.
    pub light: bool,
    /// Seed of all that is random.
    pub seed: u64,
}

impl FarmConfig {
    /// Real hashes a second and machine: two hundred machines take a tenth of a core, and a hundred
    /// shares a second are still far from one a hash.
    pub const REAL_HASHES: f64 = 2000.0;
    /// How often physics are stepped, emulated time.
    pub const STEP: Duration = Duration::from_millis(100);

    /// Emulated hashes for each real one of this kind.
    pub fn scale_of(&self, kind: Kind) -> f64 {
        let nominal = Spec::of(kind).nominal().hashes_per_second() * self.speed;
        self.scale.unwrap_or_else(|| (nominal / Self::REAL_HASHES).log2().round().exp2().max(1.0))
    }

    /// The address of the machine with this number; `None` when 127.0.0.0/8 is used up.
    pub fn address(&self, index: usize) -> Option<Ipv4Addr> {
        let first = u32::from(self.first);
        let mut left = index;
        let mut address = first;
        loop {
            let last = address & 0xff;
            if last != 0 && last != 255 {
                if left == 0 {
                    return Some(Ipv4Addr::from(address));
                }
                left -= 1;
            }
            address = address.checked_add(1).filter(|next| next >> 24 == first >> 24)?;
        }
    }
}

#[cfg(test)]
mod tests;
