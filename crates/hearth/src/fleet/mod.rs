//! The fleet in this program: its commands, and what ties its room to the Stratum server's.

pub mod meter;
pub mod model;
pub mod scan;
pub mod view;
