//! Heat from machines that hash: how much power a room, a tank or a pool wants now. It knows no other
//! mode of a site and talks to nobody; limits of temperature win over everything here.
//!
//! ```text
//!  set-point ─▶ Thermostat | Pi | Predictive ─▶ Guard (on and off times, starts) ─▶ Safety ─▶ power
//!                                │                                                    │
//!                   price, weather, hash value                       too hot: off; too cold: backup
//! ```

mod body;
mod guard;
mod heater;
mod hydronic;
mod hygiene;
mod leeway;
mod pi;
mod pool;
mod predict;
mod safety;
mod thermostat;
mod watch;
mod zone;

pub use body::{Body, Front};
pub use guard::{Guard, Times};
pub use heater::{Heater, HeaterError};
pub use hydronic::HeatingCurve;
pub use hygiene::Hygiene;
pub use leeway::{Hold, Leeway, Offer, Stands, offer};
pub use pi::Pi;
pub use pool::Pool;
pub use predict::{Ahead, Comfort, HeatPlan, Planned, Predictive};
pub use safety::{Medium, Safety, Verdict};
pub use thermostat::Thermostat;
pub use watch::Watch;
pub use zone::{Control, Cycle, Heating, Order, Reason, Wanted, Zone};
