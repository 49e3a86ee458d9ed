//! The record: accepted work, sessions, blocks, in an embedded SQLite file.
//!
//! This crate owns the tables, the one writer and the queries. It never judges a share, never
//! talks to a node and never pays anybody.
//!
//! ```text
//! stratum threads ──batch──▶ Recorder ──bounded queue──▶ writer (one task, one connection)
//!                                                          │ within 3 ms: one row per commit
//!                                                          ▼
//!                                                       journal ──every 5 s──▶ workers, buckets,
//!                                                                              rejects
//!                                            queries ◀── read-only connections ──┘
//! ```
//!
//! **What a crash costs.** A batch is in the file about 5 ms after it is handed over, so `kill -9`
//! loses that much plus what the caller holds back. A block's row is committed with a full sync. The other rows are synced within 10 seconds, which is what a power cut can cost; it
//! never damages the file.
//!
//! **When the queue is full** [`Recorder::work`] gives the batch back and the caller keeps adding
//! up: nothing is lost, it is only written later. Session records beyond the bound are dropped and
//! counted. Blocks are never refused.
//!
//! **When the disk is full** or otherwise fails at run time, the writer keeps the sums per worker
//! in memory, says so once in the log and in [`Ledger::health`], and tries again every second.

mod block;
mod checkpoint;
mod error;
pub mod evidence;
mod fold;
mod journal;
mod ledger;
mod lock;
mod query;
mod recorder;
mod retention;
mod schema;
mod session;
mod tally;
mod writer;

pub use block::{BlockRow, BlockState};
pub use error::LedgerError;
pub use ledger::Ledger;
pub use query::{BestShareRow, Bucket, SessionRow, Totals, Width, WorkerRow};
pub use recorder::{Closed, Full, Health, Recorder, WorkDelta, Written};
pub use retention::Retention;
pub use session::{SessionClosed, SessionId, SessionOpened};
