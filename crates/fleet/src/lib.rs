//! Machines: found, known, steered and tuned, judged by the work they prove.
//!
//! This crate owns what a machine is, how it is told something and whether that came true, what its
//! circuit can bear, and how its best setting is found. Decisions are pure functions of state, inputs
//! and time; sockets are touched only in `drivers`, `discovery` and `control`. It never talks to a
//! node and never judges a share: what a machine proved is told to it as [`work::Tally`].
//!
//! ```text
//!  discovery ──Found──▶ control (registry) ──Command──▶ drivers ──▶ machine
//!                          │      ▲   ▲                    │
//!      circuit, allocate ──┘      │   └──── Readings ◀─────┘ read back after every write
//!      tuner, power  (pure)       └──────── Tally ◀── the Stratum server's verified work
//! ```

pub mod allocate;
pub mod capability;
pub mod circuit;
pub mod command;
pub mod control;
pub mod curve;
pub mod device;
pub mod discovery;
pub mod driver;
pub mod drivers;
pub mod identity;
pub mod learned;
pub mod levels;
pub mod limits;
pub mod outcome;
pub mod power;
pub mod readings;
pub mod settings;
pub mod tuner;
pub mod verify;
pub mod work;

pub use capability::{Capabilities, Range};
pub use command::{Command, WorkMode};
pub use device::{Control, Device, Endpoint};
pub use driver::{Driver, DriverError, Pending, Reply};
pub use identity::{DeviceId, Firmware, Identity, MacAddress};
pub use limits::{Breach, Limits};
pub use outcome::{Actuation, Outcome, Refusal, Surprise};
pub use readings::{Moment, Reading, Readings};
pub use settings::Settings;
