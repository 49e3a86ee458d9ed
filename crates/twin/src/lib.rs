//! Emulated miners, a load generator and private nodes, all of which speak the real protocols.
//! It judges servers from outside and shares no code with them.

pub mod energy;
pub mod farm;
mod hash;
mod job;
pub mod load;
pub mod miner;
pub mod node;
mod target;

#[cfg(test)]
mod scripted;
