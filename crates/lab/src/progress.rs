//! How far a long computation is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Steps done and to do; written by the threads that compute, read by whoever draws a bar.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Nothing done, nothing known of what is to do.
    pub const fn new() -> Self {
        Self { done: AtomicU64::new(0), total: AtomicU64::new(0) }
    }

    /// More steps are to be done.
    pub fn expect(&self, steps: u64) {
        self.total.fetch_add(steps, Relaxed);
    }

    /// Steps were done.
    pub fn advance(&self, steps: u64) {
        self.done.fetch_add(steps, Relaxed);
    }

    /// Steps done, and steps known of.
    pub fn get(&self) -> (u64, u64) {
        (self.done.load(Relaxed), self.total.load(Relaxed))
    }
}
