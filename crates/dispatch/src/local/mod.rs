//! Limits that act on the spot: frequency, breaker, temperature, state of charge. Each is one step from a
//! reading to an ask, without network or plan, and ranks above whatever others want.

mod breaker;
mod charge;
mod derate;
mod droop;
mod thermal;

pub use breaker::{Breaker, Rating};
pub use charge::Reserve;
pub use derate::Derate;
pub use droop::{Droop, Relay};
pub use thermal::Curve;
