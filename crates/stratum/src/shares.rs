//! Shares: checked field by field as they arrive, hashed together, judged in order.
//!
//! The hot path. It takes no lock, logs nothing, and allocates nothing per share.

use crate::{
    coinbase::EXTRANONCE1_SIZE,
    engine::Engine,
    hash,
    job::Claim,
    jobs::{Novelty, Place},
    lanes::LANES,
    reject::Reject,
    session::{End, Session},
    sink::Opened,
    target::HashNumber,
    wire::{self, Request, Submit},
};
use bitcoin::{BlockHash, hashes::Hash};
use chain::SolvedBlock;
use std::ops::Range;
use units::Difficulty;

/// How far ahead of our clock a share's time may be, seconds. Nodes refuse a block more than two hours
/// ahead of theirs (consensus); ten minutes are left for clocks that differ.
const MAX_AHEAD: u64 = 7200 - 600;
/// Duplicates in a row after which a machine has lost its place in the search: it gets new room.
const LOST: u32 = 8;
/// Shares judged together.
const BATCH: usize = 64;

/// Shares that have arrived and are not yet answered.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    shares: Vec<Share>,
    /// Their ids as raw JSON, one after the other.
    ids: String,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Share {
    key: usize,
    id: Range<usize>,
    checked: Result<Checked, Reject>,
    hashed: Hashed,
}

impl Share {
    /// The job it is for, if it is to be hashed.
    fn place(&self) -> Option<Place> {
        self.checked.ok().map(|checked| checked.place)
    }
}

/// A share's header and that header's hash; before, the worst there is.
#[derive(Debug, Clone, Copy)]
struct Hashed {
    header: [u8; 80],
    hash: [u8; 32],
}

const UNHASHED: Hashed = Hashed { header: [0; 80], hash: [0xff; 32] };

/// A share whose fields are good; only its hash is unknown.
#[derive(Debug, Clone, Copy)]
struct Checked {
    place: Place,
    claim: Claim,
    required: Difficulty,
    /// Some firmware sends zero bits when it has not rolled any: the version to try then.
    unrolled: Option<u32>,
}

impl Engine {
    pub(crate) fn submit(&mut self, key: usize, request: &Request<'_>) {
        let Some(session) = self.sessions.get(key) else { return };
        let checked = self.check(session, request);
        let start = self.batch.ids.len();
        self.batch.ids.push_str(request.id);
        let id = start..self.batch.ids.len();
        self.batch.shares.push(Share { key, id, checked, hashed: UNHASHED });
        if self.batch.shares.len() == BATCH {
            self.settle();
        }
    }

    /// All that can be said of a share without hashing.
    fn check(&self, session: &Session, request: &Request<'_>) -> Result<Checked, Reject> {
        if session.worker.is_none() {
            return Err(Reject::Unauthorized);
        }
        if !session.subscribed {
            return Err(Reject::NotSubscribed);
        }
        let submit = Submit::parse(request.params)?;
        let place = self.jobs.find(submit.job);
        let job = match (self.jobs.at(place), place) {
            (Some(job), _) => job,
            _ if self.jobs.current().is_none() => return Err(Reject::NoWork),
            (None, Place::Unknown) => return Err(Reject::UnknownJob),
            (None, _) => return Err(Reject::Stale),
        };
        let required = session.difficulty.required(submit.generation).ok_or(Reject::UnknownJob)?;
        if usize::from(submit.extranonce2_size) != self.shared.config.extranonce2_size {
            return Err(Reject::Extranonce2);
        }
        if submit.time < job.template.min_time {
            return Err(Reject::TimeTooOld);
        }
        if u64::from(submit.time) > self.now.unix + MAX_AHEAD {
            return Err(Reject::TimeTooNew);
        }
        let (base, mask) = (job.template.version, session.version_mask);
        let bits = submit.version_bits.unwrap_or(base & mask);
        if bits & !mask != 0 {
            return Err(Reject::VersionBits);
        }
        let version = (base & !mask) | bits;
        Ok(Checked {
            place,
            claim: Claim {
                extranonce1: session.extranonce1_for(submit.generation),
                extranonce2: submit.extranonce2,
                extranonce2_size: submit.extranonce2_size,
                version,
                time: submit.time,
                nonce: submit.nonce,
            },
            required,
            unrolled: (bits == 0 && version != base).then_some(base),
        })
    }

    /// Hashes and answers every share that has arrived.
    pub(crate) fn settle(&mut self) {
        if self.batch.shares.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        self.hash(&mut batch);
        for share in &batch.shares {
            let id = &batch.ids[share.id.clone()];
            let verdict = match share.checked {
                Ok(checked) => self.judge(share.key, checked, &share.hashed),
                Err(reason) => Err(reason),
            };
            // A paused machine goes on with its last job, and after it connected again with one that is
            // no longer its own: none of that is its fault.
            let verdict = match verdict {
                Err(_) if self.is_curtailed(share.key) => Err(Reject::NoWork),
                verdict => verdict,
            };
            match verdict {
                Ok((credit, reached)) => self.accept(share.key, id, credit, reached),
                Err(reason) => self.refuse(share.key, id, reason),
            }
        }
        batch.shares.clear();
        batch.ids.clear();
        self.batch = batch;
    }

    /// Hashes shares for the same job together.
    fn hash(&self, batch: &mut Batch) {
        let Batch { shares, scratch, .. } = batch;
        let same = |a: &Share, b: &Share| a.place() == b.place();
        let runs = shares.chunk_by_mut(same).flat_map(|run| run.chunks_mut(LANES));
        for some in runs {
            let place = some.first().and_then(Share::place);
            let Some(job) = place.and_then(|place| self.jobs.at(place)) else { continue };
            let mut roots = [[0; 32]; LANES];
            let roots = &mut roots[..some.len()];
            for (share, root) in some.iter().zip(roots.iter_mut()) {
                let session = self.sessions.get(share.key);
                let payout = session.and_then(|session| session.payout.as_ref());
                if let (Ok(checked), Some(payout)) = (share.checked, payout) {
                    *root = job.txid(&checked.claim, payout, scratch);
                }
            }
            hash::merkle_roots(roots, &job.template.merkle_branch);
            let mut headers = [[0; 80]; LANES];
            let headers = &mut headers[..some.len()];
            for ((share, root), header) in some.iter().zip(&*roots).zip(headers.iter_mut()) {
                if let Ok(checked) = share.checked {
                    *header = job.header(&checked.claim, root);
                }
            }
            // The roots are in the headers; their places are free.
            hash::header_hashes(headers, roots);
            for ((share, header), hash) in some.iter_mut().zip(&*headers).zip(&*roots) {
                share.hashed = Hashed { header: *header, hash: *hash };
            }
        }
    }

    /// The difficulty to credit and the one reached.
    fn judge(
        &mut self,
        key: usize,
        checked: Checked,
        hashed: &Hashed,
    ) -> Result<(Difficulty, f64), Reject> {
        let session = self.sessions.get(key).ok_or(Reject::Unauthorized)?;
        session.payout.as_ref().ok_or(Reject::Unauthorized)?;
        let job = self.jobs.at(checked.place).ok_or(Reject::Stale)?;
        let mut header = hashed.header;
        let mut number = HashNumber::new(&hashed.hash);
        let mut reached = number.difficulty();
        if let Some(version) = checked.unrolled
            && !number.reaches(reached, checked.required)
        {
            header[..4].copy_from_slice(&version.to_le_bytes());
            number = HashNumber::new(&hash::header_hash(&header));
            reached = number.difficulty();
        }
        // A block is a block, whatever the share target and however late.
        let block =
            reached >= job.network_difficulty.get() * 0.999 && number.meets(&job.template.target);
        if !block && !number.reaches(reached, checked.required) {
            return Err(Reject::LowDifficulty);
        }
        match self.jobs.remember(checked.place, number.fingerprint()) {
            Novelty::New => {}
            Novelty::Seen => return Err(Reject::Duplicate),
            Novelty::Full if block => {}
            Novelty::Full => return Err(Reject::TooMany),
        }
        if block && self.jobs.first_time_solved(number.fingerprint()) {
            self.solved(key, checked, header);
        }
        match checked.place {
            _ if self.is_curtailed(key) => Err(Reject::NoWork),
            Place::Live(_) => Ok((checked.required, reached)),
            _ if self.jobs.current().is_none() => Err(Reject::NoWork),
            _ => Err(Reject::Stale),
        }
    }

    fn is_curtailed(&self, key: usize) -> bool {
        self.sessions.get(key).is_some_and(|session| session.steer.curtailed)
    }

    fn solved(&self, key: usize, checked: Checked, header: [u8; 80]) {
        let (Some(session), Some(job)) = (self.sessions.get(key), self.jobs.at(checked.place))
        else {
            return;
        };
        let Some(payout) = &session.payout else { return };
        let name = session.worker.and_then(|worker| self.workers.name(worker));
        let claim = &checked.claim;
        let extranonce2 = &claim.extranonce2[..usize::from(claim.extranonce2_size)];
        let block = SolvedBlock {
            template: job.template.clone(),
            hash: BlockHash::from_byte_array(hash::header_hash(&header)),
            header,
            coinbase: job.coinbase.serialize(claim.extranonce1, extranonce2, payout),
            worker: name.map(|name| name.to_string()).unwrap_or_default(),
            address: payout.address.to_string(),
        };
        let (hash, height) = (block.hash, job.template.height);
        tracing::info!(%hash, height, worker = %block.worker, "block solved");
        if let Err(error) = self.sink.solved(block) {
            tracing::error!(%hash, %error, "the solved block could not be written to disk");
        }
    }

    fn accept(&mut self, key: usize, id: &str, credit: Difficulty, reached: f64) {
        wire::result(self.out.to(key), id, "true");
        let now = self.now;
        let usual = self.per_ms();
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.accepted += 1;
        session.work += credit.work();
        session.rejected_in_a_row = 0;
        session.bad_lines = 0;
        session.duplicates_in_a_row = 0;
        let wanted = self.shared.config.ports[usize::from(session.port)]
            .vardiff
            .then(|| {
                let per_ms = session.steer.per_ms(usual);
                session.vardiff.share(now.ms, session.difficulty.current(), per_ms)
            })
            .flatten();
        if let Some(worker) = session.worker {
            self.workers.accepted(worker, now.unix, credit.work(), reached);
        }
        if !session.reported {
            self.report(key);
        }
        if let Some(wanted) = wanted {
            self.change_difficulty(key, wanted);
        }
    }

    fn report(&mut self, key: usize) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (Some(worker), Some(payout)) = (session.worker, &session.payout) else { return };
        let Some(name) = self.workers.name(worker) else { return };
        session.reported = true;
        self.sink.session_opened(Opened {
            id: session.id,
            worker: name.clone(),
            address: payout.address.clone(),
            peer: session.peer,
            user_agent: session.user_agent.clone(),
            at: self.now.unix.saturating_sub(self.now.ms.saturating_sub(session.opened_ms) / 1000),
        });
    }

    fn refuse(&mut self, key: usize, id: &str, reason: Reject) {
        wire::error(self.out.to(key), id, reason.code(), reason.sentence());
        let limit = self.shared.config.limits.invalid_shares;
        let Some(session) = self.sessions.get_mut(key) else { return };
        match session.worker {
            Some(worker) => self.workers.rejected(worker, reason),
            None => self.anonymous_rejects[reason as usize] += 1,
        }
        if reason.is_fault() {
            session.rejected_in_a_row += 1;
        }
        if reason == Reject::Duplicate {
            session.duplicates_in_a_row += 1;
        }
        if matches!(reason, Reject::LowDifficulty | Reject::Duplicate) {
            session.faulty += 1;
        }
        let lost = session.duplicates_in_a_row >= LOST && session.wants_extranonce;
        if session.rejected_in_a_row >= limit && !session.ending {
            // Not through `end`, which would settle the batch that is being settled.
            session.ending = true;
            session.partial = Vec::new();
            self.ended.push((key, End::InvalidShares));
        } else if lost {
            self.renew_extranonce(key);
        }
    }

    /// Gives a session another part of the search space, and a job to begin it with.
    fn renew_extranonce(&mut self, key: usize) {
        let size = self.shared.config.extranonce2_size;
        let fresh: [u8; EXTRANONCE1_SIZE] = self.shared.extranonce1();
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.duplicates_in_a_row = 0;
        session.difficulty.push(session.difficulty.current());
        session.old_extranonce1 = Some((session.extranonce1, session.difficulty.generation()));
        session.extranonce1 = fresh;
        let params = format!("\"{}\",{size}", const_hex::encode(fresh));
        wire::notification(self.out.to(key), "mining.set_extranonce", &params);
        self.notify(key, true);
    }
}
