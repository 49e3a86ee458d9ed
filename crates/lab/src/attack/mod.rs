//! What a miner with a share of the hashrate can do to the others: censor, spend twice, withhold
//! blocks; and what delay alone does.
//!
//! Every answer is a closed form from the literature with a simulation beside it that knows nothing of
//! the formula. Owns both and their comparison; never reads a chain.

pub mod censor;
pub mod chance;
pub mod double_spend;
pub mod input;
pub mod map;
pub mod network;
pub mod race;
pub mod selfish;
pub mod shown;
pub mod stale;
pub mod switching;
pub mod walk;

#[cfg(test)]
mod tests;
