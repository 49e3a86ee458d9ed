//! What a session has to hash now, and the lines that its shares make.

use crate::{
    hash::HeaderScan,
    job::{Job, extranonce2, spread},
    target::Target,
};
use std::{sync::Arc, time::Instant};

/// Header times run with the clock this far past the job's, as firmware's do.
const MAX_TIME_ROLL: u64 = 600;

/// A job with what is in force for it.
#[derive(Debug)]
pub(super) struct Task {
    pub job: Job,
    pub user: Arc<str>,
    pub extranonce1: Vec<u8>,
    pub extranonce2_size: usize,
    pub target: Target,
    pub version_mask: u32,
    pub born: Instant,
}

/// One header of a task, ready for its nonces.
pub(super) struct Slice {
    pub scan: HeaderScan,
    extranonce2: Vec<u8>,
    time: u32,
    version_bits: u32,
}

impl Task {
    /// The odds that a hash is a share.
    pub fn odds(&self) -> f64 {
        (1.0 / (self.target.difficulty() * 2f64.powi(32))).min(1.0)
    }

    /// The header with this number: another number is another header.
    pub fn slice(&self, number: u64) -> Slice {
        let extranonce2 = extranonce2(number, self.extranonce2_size);
        let root = self.job.merkle_root(&self.extranonce1, &extranonce2);
        let version_bits = spread(number, self.version_mask);
        let version = self.job.version & !self.version_mask | version_bits;
        let passed = self.born.elapsed().as_secs().min(MAX_TIME_ROLL) as u32;
        let time = self.job.time.saturating_add(passed);
        let scan = HeaderScan::new(&self.job.header(&root, version, time));
        Slice { scan, extranonce2, time, version_bits }
    }

    /// Parameters of `mining.submit`.
    pub fn share(&self, slice: &Slice, nonce: u32) -> String {
        let mut params = serde_json::json!([
            &*self.user,
            self.job.id,
            const_hex::encode(&slice.extranonce2),
            format!("{:08x}", slice.time),
            format!("{nonce:08x}"),
        ]);
        if let (serde_json::Value::Array(params), true) = (&mut params, self.version_mask != 0) {
            params.push(format!("{:08x}", slice.version_bits).into());
        }
        params.to_string()
    }
}
