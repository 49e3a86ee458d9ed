//! Analysis: who finds blocks, what a censor could do, how concentrated mining is, and what a machine
//! earns where.
//!
//! This crate owns formulas, simulations and the reports made of them. It is pure: no I/O, no async,
//! no clock; randomness comes from a seed and does not depend on the number of threads.

pub mod attack;
pub mod carbon;
mod error;
mod given;
pub mod landscape;
pub mod luck;
mod progress;
pub mod quote;
mod random;
pub mod report;
pub mod spread;
pub mod stagnation;

pub use error::LabError;
pub use given::Given;
pub use progress::Progress;
pub use report::Report;
