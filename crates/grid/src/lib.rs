//! Signals: what meters, markets, operators, sensors and brokers say, each with its age.
//!
//! This crate owns the links to them and the stated meaning of each link's loss. It never decides what
//! a load draws.
