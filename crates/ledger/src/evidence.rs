//! Evidence of energy: interval records, signed and chained, that somebody else can check.
//!
//! This module owns the record's bytes, the chain, the files and the signing key. It never measures,
//! never decides what was delivered, and never overwrites a record. The bytes are described for
//! writers of other verifiers in `docs/evidence.md`.
//!
//! ```text
//!  000000000000.evidence                     000000004711.evidence
//!  begin ◀── interval ◀── interval … rotate ◀── … ◀── begin ◀── interval …
//!        prev          prev                             prev
//! ```
//!
//! **What a crash costs.** A record is on the disk when [`Log::append`] returns. One that was being
//! written is completed at the next start if all of it is there and its signature fits, and cut off if
//! not; so nobody ever holds two signed records of one sequence number.
//!
//! **Two writers** are refused by a lock that the kernel takes back when a process dies.

mod chain;
mod key;
mod log;
mod record;
mod rows;
mod verify;

pub use chain::{Chain, Fault};
pub use key::PublicKey;
pub use log::{EvidenceError, Log, Receipt};
pub use record::{
    AcceptedWork, Baseline, Body, Delivered, Grid, Hash, Interval, Label, LabelError, MAX_LINE,
    Method, Proof, Quality, Record, Resolution, Unfit,
};
pub use rows::{BadRows, Rows, Vouched, rows_in, vouches};
pub use verify::{Broken, Place, Summary, Why, files_in, verify};
