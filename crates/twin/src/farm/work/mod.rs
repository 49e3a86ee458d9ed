//! The farm's mining: one Stratum session a machine from the machine's own address, and a few threads
//! that do the hashes which physics say are due. Every share is a true one, but for the wrong nonces
//! that a chip past its cliff sends.
//!
//! ```text
//!   session (task) ──Task──▶ Link ──Task──▶ Rig (farm thread): due hashes, true search
//!        ▲                    │                    │
//!        └──────lines─────────┴◀─────shares────────┘
//! ```

mod link;
mod rig;
mod session;
mod task;

pub(super) use link::Link;
pub use link::Mined;
pub(super) use rig::Rig;
pub(super) use session::keep;
