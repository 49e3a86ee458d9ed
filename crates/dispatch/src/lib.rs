//! Decisions on power: what each load draws next, and why.
//!
//! This crate owns the day plan, the merit order of every second, local limits, heat control, the modes
//! of a site, what is asked of each of many homes and the baselines that delivery is measured against. It never does I/O, never awaits and
//! never asks a clock: time is an argument, so that a year is a loop.

pub mod aggregate;
pub mod ask;
pub mod baseline;
pub mod genset;
pub mod heat;
pub mod load;
pub mod local;
pub mod plan;
pub mod plant;
pub mod realtime;
pub mod site;
