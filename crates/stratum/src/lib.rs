//! Stratum V1: sessions, jobs, share validation, vardiff.
//!
//! This crate owns what miners say and are told, and the threads that serve them. It never talks to a
//! node and never writes to disk: work comes in by [`Server::work`], everything else goes out by
//! [`Sink`].

mod coinbase;
mod config;
#[doc(hidden)]
pub mod dry;
mod engine;
mod gate;
mod handshake;
pub mod hash;
mod job;
mod jobs;
mod lanes;
mod mailbox;
mod pace;
mod reactor;
mod reject;
mod server;
mod session;
mod shares;
mod sink;
mod steer;
mod target;
#[cfg(test)]
mod tests;
mod user;
mod vardiff;
pub mod wire;
mod workers;

pub use coinbase::{Payout, PayoutError};
pub use config::{Config, Limits, Port};
pub use gate::Connections;
pub use reject::Reject;
pub use server::{Server, Snapshot, StartError};
pub use session::End;
pub use sink::{Closed, HAND_OVER_MS, Opened, Sink};
pub use steer::{SessionState, Steer, Steered};
pub use target::target_of;
pub use workers::{Delta, WorkerState};
