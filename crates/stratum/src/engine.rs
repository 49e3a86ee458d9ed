//! The protocol of one reactor's sessions: bytes in, bytes out, time as an argument.
//!
//! Owns sessions, jobs and counts. Never touches a socket and never waits; requests other than
//! shares are in `handshake`, shares in `shares`.

use crate::{
    coinbase::{Payout, PayoutError},
    config::{Config, Port},
    handshake::WISH_EVERY_MS,
    job::Job,
    jobs::Jobs,
    reject::Reject,
    session::{End, Session},
    shares::Batch,
    sink::{Closed, HAND_OVER_MS, Sink},
    steer::Steers,
    wire::{self, Request},
    workers::Workers,
};
use slab::Slab;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};
use units::Difficulty;

/// Time after the last node was lost during which shares for the last job still count: a restart of
/// the node takes less, and a block found meanwhile is kept on disk.
const GRACE_MS: u64 = 60_000;
/// Time in which a machine that has never sent a share is spared difficulties below 1: a large one
/// takes minutes to start, and would then flood.
const BOOT_MS: u64 = 120_000;
const NO_ADDRESS: &str = "the user name must begin with a bitcoin address, like bc1q….worker1; check it for typing errors";
/// Lines that are no JSON-RPC before a connection is ended.
const MAX_BAD_LINES: u8 = 3;

/// What all reactors of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) fallback: Option<Arc<Payout>>,
    next_extranonce1: AtomicU32,
    next_session: AtomicU64,
}

impl Shared {
    pub(crate) fn new(config: Config, fallback: Option<Arc<Payout>>, seed: u32) -> Self {
        Self {
            config,
            fallback,
            next_extranonce1: AtomicU32::new(seed),
            next_session: AtomicU64::new(1),
        }
    }

    /// Counts up, so that a machine that reconnects never repeats its own work; two sessions share
    /// one only if four billion others come between.
    pub(crate) fn extranonce1(&self) -> [u8; 4] {
        self.next_extranonce1.fetch_add(1, Ordering::Relaxed).to_be_bytes()
    }
}

/// Bytes of an outbox that are kept between wakes.
const OUTBOX_KEPT: usize = 4 << 20;

/// Time as the engine is told it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Now {
    /// Since the server started.
    pub(crate) ms: u64,
    /// Since 1970, seconds.
    pub(crate) unix: u64,
}

/// What is to be sent, in order, in one buffer for all sessions.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) bytes: Vec<u8>,
    /// Receiver and where its part begins; it ends where the next begins.
    pub(crate) parts: Vec<(usize, usize)>,
}

impl Outbox {
    /// Where to append what this session is to get.
    pub(crate) fn to(&mut self, key: usize) -> &mut Vec<u8> {
        if self.parts.last().is_none_or(|(last, _)| *last != key) {
            self.parts.push((key, self.bytes.len()));
        }
        &mut self.bytes
    }

    /// Every part with its receiver.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.parts.iter().enumerate().map(|(i, (key, start))| {
            let end = self.parts.get(i + 1).map_or(self.bytes.len(), |(_, next)| *next);
            (*key, &self.bytes[*start..end])
        })
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(OUTBOX_KEPT);
        self.parts.clear();
    }
}

pub(crate) struct Engine {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) sessions: Slab<Session>,
    pub(crate) jobs: Jobs,
    pub(crate) workers: Workers,
    pub(crate) out: Outbox,
    /// Sessions to be closed once what is in `out` has been sent.
    pub(crate) ended: Vec<(usize, End)>,
    pub(crate) now: Now,
    pub(crate) batch: Batch,
    /// Rejects of sessions without a worker.
    pub(crate) anonymous_rejects: [u64; Reject::COUNT],
    pub(crate) payouts: HashMap<String, Weak<Payout>>,
    pub(crate) steers: Steers,
    /// Why there is no work, and since when.
    pub(crate) waiting: Option<(Arc<str>, u64)>,
    handed_over_ms: u64,
}

impl Engine {
    pub(crate) fn new(shared: Arc<Shared>, sink: Arc<dyn Sink>) -> Self {
        Self {
            shared,
            sink,
            sessions: Slab::new(),
            jobs: Jobs::default(),
            workers: Workers::default(),
            out: Outbox::default(),
            ended: Vec::new(),
            now: Now::default(),
            batch: Batch::default(),
            anonymous_rejects: [0; Reject::COUNT],
            payouts: HashMap::new(),
            steers: Steers::default(),
            waiting: None,
            handed_over_ms: 0,
        }
    }

    /// A miner has connected.
    pub(crate) fn open(&mut self, peer: SocketAddr, port: u16) -> usize {
        let id = self.shared.next_session.fetch_add(1, Ordering::Relaxed);
        let settings = self.port(port);
        let session =
            Session::new(id, peer, (port, &settings), self.shared.extranonce1(), self.now.ms);
        self.sessions.insert(session)
    }

    /// A connection is gone.
    pub(crate) fn close(&mut self, key: usize) {
        let Some(session) = self.sessions.try_remove(key) else { return };
        if let Some(worker) = session.worker {
            self.workers.leave(worker);
        }
        if session.reported {
            self.sink.session_closed(Closed {
                id: session.id,
                at: self.now.unix,
                accepted: session.accepted,
                work: session.work,
            });
        }
    }

    /// Bytes have arrived. Shares may be left in the batch until [`Engine::settle`].
    pub(crate) fn receive(&mut self, key: usize, mut data: &[u8]) {
        let limit = self.shared.config.limits.line;
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.heard_ms = self.now.ms;
        if !session.partial.is_empty() {
            let mut line = std::mem::take(&mut session.partial);
            let end = memchr::memchr(b'\n', data);
            let (head, rest) = match end {
                Some(end) => (&data[..end], &data[end + 1..]),
                None => (data, &data[data.len()..]),
            };
            if line.len() + head.len() > limit {
                return self.end(key, End::LineTooLong);
            }
            line.extend_from_slice(head);
            if end.is_none() {
                session.partial = line;
                return;
            }
            self.line(key, &line);
            // The line is gone after this: no share in the batch may point into it, and none does.
            data = rest;
        }
        while let Some(end) = memchr::memchr(b'\n', data) {
            if self.sessions.get(key).is_none_or(|session| session.ending) {
                return;
            }
            if end > limit {
                return self.end(key, End::LineTooLong);
            }
            self.line(key, &data[..end]);
            data = &data[end + 1..];
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        if data.len() > limit {
            self.end(key, End::LineTooLong);
        } else if !data.is_empty() && !session.ending {
            session.partial = data.to_vec();
        }
    }

    fn line(&mut self, key: usize, line: &[u8]) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        // TLS, HTTP or noise: there is nobody to answer.
        if line[0] != b'{' {
            return self.end(key, End::Garbage);
        }
        match Request::parse(line) {
            Some(request) if request.method == "mining.submit" => self.submit(key, &request),
            Some(request) => {
                self.settle();
                self.answer(key, &request);
            }
            None => {
                self.settle();
                wire::error(self.out.to(key), "null", 20, "this line is not JSON-RPC");
                if let Some(session) = self.sessions.get_mut(key) {
                    session.bad_lines += 1;
                    if session.bad_lines >= MAX_BAD_LINES {
                        self.end(key, End::Garbage);
                    }
                }
            }
        }
    }

    /// Marks a session to be closed once its answers are sent.
    pub(crate) fn end(&mut self, key: usize, why: End) {
        self.settle();
        if let Some(session) = self.sessions.get_mut(key)
            && !session.ending
        {
            session.ending = true;
            session.partial = Vec::new();
            self.ended.push((key, why));
        }
    }

    /// A new job; sessions get it by [`Engine::announce`].
    pub(crate) fn take_job(&mut self, job: Arc<Job>, new_tip: bool) {
        self.settle();
        self.waiting = None;
        self.jobs.push(job, new_tip, self.now.ms);
    }

    /// No node can give work. Miners are told; what they work on counts for a while longer.
    pub(crate) fn wait(&mut self, why: &str) {
        self.settle();
        let since = self.waiting.take().map_or(self.now.ms, |(_, since)| since);
        self.waiting = Some((why.into(), since));
    }

    /// Tells a session what there is to do now: the current job, or why there is none.
    pub(crate) fn announce(&mut self, key: usize) {
        let Some(session) = self.sessions.get(key) else { return };
        if session.ending || session.steer.curtailed {
            return;
        }
        if self.waiting.is_some() {
            if session.worker.is_some() {
                self.explain_waiting(key);
            }
        } else if !session.ready {
            self.first_job(key);
        } else {
            let network = self.jobs.current().map(|job| job.network_difficulty);
            let current = session.difficulty.current();
            // Firmware sends only what meets its own target: above the network's it would keep blocks
            // to itself.
            if network.is_some_and(|network| network < current) {
                self.change_difficulty(key, current);
            } else {
                self.notify(key, false);
            }
        }
    }

    /// The first job, as soon as a session is subscribed, authorized, and there is one.
    pub(crate) fn first_job(&mut self, key: usize) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let unready = !session.subscribed || session.worker.is_none();
        if session.ready || unready || session.steer.curtailed {
            return;
        }
        let Some(job) = self.jobs.current() else { return self.explain_waiting(key) };
        session.ready = true;
        session.vardiff.restart(self.now.ms);
        let settings = &self.shared.config.ports[usize::from(session.port)];
        let start = fit(settings, session, session.difficulty.current(), job.network_difficulty);
        session.difficulty.replace(start);
        let mask = session.version_mask;
        let out = self.out.to(key);
        if mask != 0 {
            wire::notification(out, "mining.set_version_mask", &format!("\"{mask:08x}\""));
        }
        wire::notification(out, "mining.set_difficulty", &start.get().to_string());
        self.describe(key);
        self.notify(key, true);
    }

    /// Moves a session to a difficulty near `wanted`, if that is a change. Work in flight stays good.
    pub(crate) fn change_difficulty(&mut self, key: usize, wanted: Difficulty) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let network = self.jobs.current().map_or(Difficulty::MAX, |job| job.network_difficulty);
        let settings = &self.shared.config.ports[usize::from(session.port)];
        let next = fit(settings, session, wanted.max(session.steer.easiest()), network);
        session.vardiff.restart(self.now.ms);
        if next == session.difficulty.current() {
            return;
        }
        if !session.ready {
            session.difficulty.replace(next);
            return;
        }
        session.difficulty.push(next);
        session.forget_old_extranonce();
        wire::notification(self.out.to(key), "mining.set_difficulty", &next.get().to_string());
        self.describe(key);
        // NerdQAxe applies a difficulty only with the next job.
        self.notify(key, false);
    }

    /// Sends the current job. Older work is void if it was for an older tip, or if `clean` says so.
    pub(crate) fn notify(&mut self, key: usize, clean: bool) {
        let (Some(session), Some(job)) = (self.sessions.get_mut(key), self.jobs.current()) else {
            return;
        };
        if session.steer.curtailed {
            return;
        }
        let clean = clean || self.jobs.is_behind(session.last_job);
        session.last_job = job.number;
        if let Some(payout) = &session.payout {
            job.notify(session.difficulty.generation(), payout, clean, self.out.to(key));
        }
    }

    fn explain_waiting(&mut self, key: usize) {
        let why = match &self.waiting {
            Some((why, _)) => why.clone(),
            None => "waiting for the first work from the bitcoin node".into(),
        };
        let text = serde_json::Value::from(format!("please wait: {why}")).to_string();
        wire::notification(self.out.to(key), "client.show_message", &text);
    }

    /// Once a second: what time alone decides.
    pub(crate) fn tick(&mut self) {
        let now = self.now.ms;
        if self.waiting.as_ref().is_some_and(|(_, since)| now - since > GRACE_MS) {
            self.jobs.end();
            self.sessions.iter_mut().for_each(|(_, session)| session.ready = false);
        }
        let limits = &self.shared.config.limits;
        let (handshake, idle) = (limits.handshake.as_millis(), limits.idle.as_millis());
        let usual = self.per_ms();
        let mut late = Vec::new();
        let mut changes = Vec::new();
        for (key, session) in &mut self.sessions {
            let settings = &self.shared.config.ports[usize::from(session.port)];
            let unready = !session.subscribed || session.worker.is_none();
            if unready && u128::from(now.saturating_sub(session.opened_ms)) > handshake {
                late.push((key, End::HandshakeTimeout));
            } else if session.steer.curtailed {
                // Has nothing to say.
            } else if u128::from(now.saturating_sub(session.heard_ms)) > idle {
                late.push((key, End::Idle));
            } else if session.waiting_wish.is_some() && now >= session.next_wish_ms {
                session.next_wish_ms = now + WISH_EVERY_MS;
                changes.extend(session.waiting_wish.take().map(|wish| (key, wish)));
            } else if session.ready && settings.vardiff {
                let current = session.difficulty.current();
                if let Some(wanted) =
                    session.vardiff.tick(now, current, session.steer.per_ms(usual))
                {
                    let booting = !session.vardiff.has_shares()
                        && now.saturating_sub(session.opened_ms) < BOOT_MS;
                    let lowest =
                        if booting { current.min(Difficulty::ONE) } else { Difficulty::MIN };
                    changes.push((key, wanted.max(lowest)));
                }
            }
        }
        for (key, why) in late {
            self.end(key, why);
        }
        for (key, wanted) in changes {
            self.change_difficulty(key, wanted);
        }
        self.end_curtailed();
        self.workers.prune();
        self.payouts.retain(|_, payout| payout.strong_count() > 0);
    }

    /// When accepted work must next be handed over: `None` if there is none.
    pub(crate) fn hand_over_in(&self) -> Option<u64> {
        let due = (self.handed_over_ms / HAND_OVER_MS + 1) * HAND_OVER_MS;
        self.workers.is_dirty().then(|| due.saturating_sub(self.now.ms))
    }

    /// Hands accepted work to the sink if it is time.
    pub(crate) fn hand_over(&mut self) {
        if self.hand_over_in() != Some(0) {
            return;
        }
        self.handed_over_ms = self.now.ms;
        if let Err(batch) = self.sink.work(self.workers.take(self.now.unix)) {
            self.workers.put_back(batch);
        }
    }

    /// The payee of an address, shared by all its sessions.
    pub(crate) fn payout(&mut self, address: &str) -> Result<Arc<Payout>, String> {
        if let Some(known) = self.payouts.get(address).and_then(Weak::upgrade) {
            return Ok(known);
        }
        if address.is_empty() {
            return self.shared.fallback.clone().ok_or_else(|| NO_ADDRESS.to_string());
        }
        match Payout::parse(address, self.shared.config.network) {
            Ok(payout) => {
                self.payouts.insert(address.to_string(), Arc::downgrade(&payout));
                Ok(payout)
            }
            // A user name that never meant to be an address mines to the owner of the server. It is
            // not remembered: there is no end of such names.
            Err(PayoutError::NotAnAddress { .. }) if !looks_like_an_address(address) => {
                self.shared.fallback.clone().ok_or_else(|| NO_ADDRESS.to_string())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    pub(crate) fn describe(&mut self, key: usize) {
        if let Some(session) = self.sessions.get(key)
            && let Some(worker) = session.worker
        {
            let agent = session.user_agent.as_ref();
            self.workers.describe(worker, session.difficulty.current(), agent);
        }
    }

    pub(crate) fn port(&self, index: u16) -> Port {
        self.shared.config.ports[usize::from(index)]
    }

    /// Wanted shares per millisecond.
    pub(crate) fn per_ms(&self) -> f64 {
        self.shared.config.shares_per_minute / 60_000.0
    }
}

/// What a session gets when it should have about `wanted`: within the port, not below what it asked
/// for, and never harder than a block.
fn fit(port: &Port, session: &Session, wanted: Difficulty, network: Difficulty) -> Difficulty {
    let fitted = port.fit(session.floor.map_or(wanted, |floor| wanted.max(floor)));
    if fitted <= network {
        return fitted;
    }
    if port.fractional {
        return network;
    }
    let below = network.nearest_power_of_two();
    if below <= network { below } else { below.half() }
}

/// A mistyped or oddly decorated address must not mine to somebody else: only a short name that has
/// nothing of an address may mine to the fallback.
fn looks_like_an_address(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    // Nobody's nickname is this long; an address, whole or mangled, is.
    name.len() >= 20 || ["bc1", "tb1", "bcrt1", "bitcoin:"].iter().any(|part| lower.contains(part))
}
