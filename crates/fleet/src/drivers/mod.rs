//! Links to machines: our own where no library steers rightly. What asic-rs steers is in the crate
//! `hearth-asic`, which implements the same [`crate::Driver`].

pub mod avalon;
pub mod axeos;
pub mod cgminer;
pub mod http;
pub mod luxos;
pub mod stratum_only;
pub mod switch;

/// Longest answer that is read from any machine, bytes: a hashboard with 400 chips tells 200 kB.
pub const MAX_ANSWER: usize = 1 << 20;
/// Longest time for an answer to a question.
pub const READ_DEADLINE: std::time::Duration = std::time::Duration::from_secs(5);
