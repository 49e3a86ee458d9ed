//! Known machines and their nameplates, kept as data.
//!
//! This crate owns the table and how it is ranked. It never talks to a machine and never fetches a
//! price.
