//! Signals: what meters, markets, operators, sensors and brokers say, each with its age.
//!
//! This crate owns the links to them and the stated meaning of each link's loss. It never decides what
//! a load draws.
//!
//! Each source is a task that publishes into one [`Hub`]; a control loop takes one frozen [`Signals`]
//! per cycle:
//!
//! ```text
//!  modbus  sunspec  mqtt  http  price  openadr         homeassistant
//!     └───────┴──────┴─────┴──────┴──────┴──▶ Hub        ▲      │
//!                                              │ Signals │ state │ commands
//!                                              ▼         │       ▼
//!                                            the site's control loop
//! ```

pub mod command;

pub mod event;
pub mod forecast;
pub mod homeassistant;
pub mod homes;
pub mod http;
mod hub;
mod link;
pub mod modbus;
pub mod mqtt;
pub mod number;
#[cfg(feature = "openadr")]
pub mod openadr;
pub mod price;
pub mod rate;
pub mod register;
pub mod series;
mod signal;
pub mod sunspec;
pub mod switch;
pub mod victron;

pub use hub::{Hub, Signals, Told};
pub use link::{Health, Link, LinkError};
pub use signal::{Loss, Quality, Signal};

/// A setting that cannot work; the sentence says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSetting(pub String);

impl BadSetting {
    fn unless(holds: bool, sentence: impl FnOnce() -> String) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self(sentence())) }
    }
}
