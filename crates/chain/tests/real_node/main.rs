//! The chain against the real Bitcoin Core on private chains.

#![expect(
    clippy::unwrap_used,
    reason = "a failed step is a failed test, also outside the functions marked as tests"
)]

extern crate hearth_chain as chain;

mod blocks;
mod nodes;
mod older_core;
mod scene;
mod troubles;
mod work;
