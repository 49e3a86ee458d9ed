//! The fleet in this program: its commands, and what ties its room to the Stratum server's.

mod declared;
mod find;
mod http;
mod links;
mod memory;
pub mod meter;
mod metered;
pub mod model;
pub mod run;
pub mod scan;
mod share;
pub mod tune;
pub mod tuning;
pub mod view;
