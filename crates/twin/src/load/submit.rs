//! Measures what a share costs a server: one at a time, many in flight, or paced like real life.
//! All shares are valid and made before the clock starts.

use super::{
    Load, LoadError, Spread,
    connection::Event,
    each_us,
    pool::Pool,
    process::own_cpu,
    share::{Desk, check_effort},
};
use rand::seq::SliceRandom;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Shares made at once when they run out while the clock runs.
const REMADE_AT_ONCE: usize = 256;
/// Most shares of one run: they are all made before it, about 200 bytes each.
const MOST_SHARES: u64 = 4_000_000;
/// Latencies that are kept; a longer run keeps its first ones.
const MOST_LATENCIES: usize = 4_000_000;
const MOST_REASONS: usize = 32;

/// How shares are sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "pattern")]
pub enum Pattern {
    /// Each connection sends `depth` shares in one segment, waits for all their answers, and sends
    /// the next ones. A depth of one is one at a time.
    Depth {
        /// Connections that take part.
        connections: usize,
        /// Shares in flight on each.
        depth: usize,
        /// Shares in all.
        shares: u64,
    },
    /// Single shares at an even rate, each on the next connection in a shuffled order, whether or
    /// not earlier ones are answered.
    Paced {
        /// Connections that take part.
        connections: usize,
        /// Shares a second over all connections.
        per_second: f64,
        /// For how long, in seconds.
        seconds: f64,
    },
}

/// What submitting showed.
#[derive(Debug, Clone, Serialize)]
pub struct SubmitResult {
    /// What was asked for.
    #[serde(flatten)]
    pub pattern: Pattern,
    /// Share difficulty on the first connection.
    pub difficulty: f64,
    /// Shares sent.
    pub sent: u64,
    /// Shares answered with `result: true`.
    pub accepted: u64,
    /// Shares refused, all reasons together.
    pub rejected: u64,
    /// Shares refused, by the server's reason.
    pub rejected_by_reason: BTreeMap<String, u64>,
    /// Shares refused whose job a clean job had voided while they were on their way: no failure.
    pub invalidated: u64,
    /// Shares not sent because a clean job had voided them; others were made in their place.
    pub remade: u64,
    /// Shares that got no answer in time.
    pub unanswered: u64,
    /// Connections that the server closed.
    pub lost_connections: u64,
    /// From the first share sent to the last answer, in milliseconds.
    pub wall_ms: f64,
    /// Answers a second over that time.
    pub per_second: f64,
    /// Processor time of the server for each answer, in microseconds.
    pub server_cpu_us_each: Option<f64>,
    /// Processor time of the load generator for each answer, in microseconds, without what making
    /// shares took.
    pub own_cpu_us_each: f64,
    /// From a share's sending to its answer, in microseconds; in a pipeline, from the sending of
    /// the whole segment.
    pub latency_us: Option<Spread>,
}

impl Load {
    /// Makes the shares, then sends them in this pattern and counts the answers.
    pub fn submit(&mut self, pattern: Pattern) -> Result<SubmitResult, LoadError> {
        let (connections, shares) = sizes(pattern)?;
        let (quiet, at_most) = (Duration::from_millis(150), Duration::from_secs(2));
        self.pool.settle(quiet, at_most)?;
        let mut order: Vec<usize> = self.ready_indices().take(connections).collect();
        let Some(first) = order.first() else { return Err(LoadError::NoConnections) };
        let difficulty = self.pool.state(*first).map(|s| s.difficulty().get());
        order.shuffle(&mut self.random);
        let difficulty = difficulty.unwrap_or(1.0);
        check_effort(difficulty, shares)?;

        let mut run = Run::new(&mut self.pool, &mut self.desks);
        for (place, index) in order.iter().enumerate() {
            let extra = u64::from((place as u64) < shares % order.len() as u64);
            run.assign(*index, shares / order.len() as u64 + extra)?;
        }
        run.make_again_what_was_voided(&order)?;

        let before = (self.server.cpu()?, own_cpu());
        let start = Instant::now();
        match pattern {
            Pattern::Depth { depth, .. } => {
                run.in_windows(&order, depth, self.config.patience)?;
            }
            Pattern::Paced { per_second, .. } => {
                run.paced(&order, per_second, self.config.patience)?;
            }
        }
        let end = run.last_answer.unwrap_or(start);
        let tally = run.finish(&order);
        let (server, own) = self.spent(&before)?;
        let own = own.saturating_sub(tally.making);
        let wall = end.saturating_duration_since(start);
        let answered = tally.answered();
        Ok(SubmitResult {
            pattern,
            difficulty,
            sent: tally.sent,
            accepted: tally.accepted,
            rejected: tally.rejected.values().sum(),
            rejected_by_reason: tally.rejected,
            invalidated: tally.invalidated,
            remade: tally.remade,
            unanswered: tally.unanswered,
            lost_connections: tally.lost_connections,
            wall_ms: wall.as_secs_f64() * 1e3,
            per_second: answered as f64 / wall.as_secs_f64().max(1e-9),
            server_cpu_us_each: server.map(|time| each_us(time, answered)),
            own_cpu_us_each: each_us(own, answered),
            latency_us: Spread::of(tally.latencies_us.into_iter().map(f64::from).collect()),
        })
    }
}

fn sizes(pattern: Pattern) -> Result<(usize, u64), LoadError> {
    let (connections, shares) = match pattern {
        Pattern::Depth { connections, depth, shares } => {
            if !(1..=10_000).contains(&depth) {
                let why = "from 1 to 10000 shares can be in flight on a connection";
                return Err(LoadError::Setting(why));
            }
            (connections, shares)
        }
        Pattern::Paced { connections, per_second, seconds } => {
            check_rate(per_second)?;
            if !(seconds > 0.0 && seconds.is_finite()) {
                let why = "the time to submit must be more than zero seconds";
                return Err(LoadError::Setting(why));
            }
            (connections, (per_second * seconds).ceil() as u64)
        }
    };
    if connections == 0 || shares == 0 {
        let why = "submitting needs at least one connection and one share";
        return Err(LoadError::Setting(why));
    }
    if shares > MOST_SHARES {
        let why = "one run can submit at most 4000000 shares; ask for fewer, or for a soak";
        return Err(LoadError::Setting(why));
    }
    Ok((connections, shares))
}

pub(super) fn check_rate(per_second: f64) -> Result<(), LoadError> {
    if (0.01..=1e6).contains(&per_second) {
        return Ok(());
    }
    let why = "the rate must be from 0.01 to 1000000 shares a second";
    Err(LoadError::Setting(why))
}

/// What came of the shares so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub sent: u64,
    pub accepted: u64,
    pub rejected: BTreeMap<String, u64>,
    pub invalidated: u64,
    pub remade: u64,
    pub unanswered: u64,
    pub lost_connections: u64,
    pub latencies_us: Vec<f32>,
    /// Our own processor time for shares that ran out or were voided while the clock ran.
    making: Duration,
}

impl Tally {
    pub fn answered(&self) -> u64 {
        self.accepted + self.rejected.values().sum::<u64>() + self.invalidated
    }
}

/// Shares under way on some connections.
pub(super) struct Run<'a> {
    pub pool: &'a mut Pool,
    pub desks: &'a mut Vec<Desk>,
    pub tally: Tally,
    pub last_answer: Option<Instant>,
    /// Shares that each connection has still to send, by index.
    left: Vec<u64>,
    left_in_all: u64,
}

impl<'a> Run<'a> {
    fn new(pool: &'a mut Pool, desks: &'a mut Vec<Desk>) -> Self {
        Self { left: vec![0; desks.len()], ..Self::resume(pool, desks, Tally::default()) }
    }

    /// Goes on counting; what each connection sends is the caller's decision.
    pub fn resume(pool: &'a mut Pool, desks: &'a mut Vec<Desk>, tally: Tally) -> Self {
        Self { pool, desks, tally, last_answer: None, left: Vec::new(), left_in_all: 0 }
    }

    /// Makes all shares that this connection is to send.
    fn assign(&mut self, index: usize, shares: u64) -> Result<(), LoadError> {
        self.set_left(index, shares);
        match self.pool.state(index) {
            Some(state) => self.desks[index].make(index, state, shares as usize),
            None => Ok(()),
        }
    }

    /// Making shares takes time, in which a clean job may have come: those connections' shares are
    /// made once more, and what a second one voids is made while the clock runs.
    fn make_again_what_was_voided(&mut self, order: &[usize]) -> Result<(), LoadError> {
        self.pool.poll(Duration::ZERO)?;
        let mut voided = vec![false; self.desks.len()];
        for (index, event) in self.pool.take_events() {
            voided[index] |= matches!(event, Event::Job { clean: true, .. });
        }
        for index in order {
            if voided[*index] {
                self.assign(*index, self.left[*index])?;
            }
        }
        Ok(())
    }

    /// Sends up to `count` shares on a connection; makes more if they have run out.
    pub fn send(&mut self, index: usize, count: usize, of: u64) -> Result<(), LoadError> {
        let Some(state) = self.pool.state(index).filter(|state| state.ready()) else {
            return Ok(());
        };
        let count = of.min(count as u64) as usize;
        let desk = &mut self.desks[index];
        if desk.unsent() < count {
            let start = own_cpu();
            let lot = of.min(REMADE_AT_ONCE.max(count) as u64) as usize;
            desk.make(index, state, lot)?;
            self.tally.making += own_cpu().saturating_sub(start);
        }
        let text = desk.send(count, Instant::now());
        self.pool.write(index, text);
        self.tally.sent += count as u64;
        Ok(())
    }

    /// Counts what happened on a connection.
    pub fn happened(&mut self, index: usize, event: Event) {
        let now = self.pool.now;
        let Some(desk) = self.desks.get_mut(index) else { return };
        match event {
            Event::Accepted(id) => {
                if let Some(share) = desk.answered(id) {
                    self.tally.accepted += 1;
                    self.answered_after(now, share.sent);
                }
            }
            Event::Rejected(id, reason) => {
                if let Some(share) = desk.answered(id) {
                    if share.void {
                        self.tally.invalidated += 1;
                    } else {
                        count_reason(&mut self.tally.rejected, &reason);
                    }
                    self.answered_after(now, share.sent);
                }
            }
            Event::Job { clean: true, .. } => self.tally.remade += desk.voided() as u64,
            Event::Closed { .. } => {
                self.tally.lost_connections += 1;
                self.tally.unanswered += desk.forget_waiting() as u64;
                self.set_left(index, 0);
            }
            Event::Job { .. } | Event::Ready | Event::Stepped(_) => {}
        }
    }

    fn answered_after(&mut self, now: Instant, sent: Instant) {
        self.last_answer = Some(now);
        if self.tally.latencies_us.len() < MOST_LATENCIES {
            let latency = now.saturating_duration_since(sent).as_secs_f32() * 1e6;
            self.tally.latencies_us.push(latency);
        }
    }

    fn send_left(&mut self, index: usize, count: usize) -> Result<(), LoadError> {
        let left = self.left[index];
        self.send(index, count, left)?;
        // The connection may just have ended, and its share of the work with it.
        let now = self.left[index].min(left - left.min(count as u64));
        self.set_left(index, now);
        Ok(())
    }

    fn set_left(&mut self, index: usize, shares: u64) {
        if let Some(left) = self.left.get_mut(index) {
            self.left_in_all = self.left_in_all - *left + shares;
            *left = shares;
        }
    }

    fn in_windows(
        &mut self,
        order: &[usize],
        depth: usize,
        patience: Duration,
    ) -> Result<(), LoadError> {
        for index in order {
            self.send_left(*index, depth)?;
        }
        let mut last_sign = Instant::now();
        while self.unfinished() && last_sign.elapsed() < patience {
            self.pool.poll(patience)?;
            let mut events = self.pool.take_events();
            for (index, event) in events.drain(..) {
                last_sign = self.pool.now;
                self.happened(index, event);
                if self.left[index] > 0 && self.desks[index].waiting() == 0 {
                    self.send_left(index, depth)?;
                }
            }
            self.pool.recycle(events);
        }
        Ok(())
    }

    fn paced(
        &mut self,
        order: &[usize],
        per_second: f64,
        patience: Duration,
    ) -> Result<(), LoadError> {
        let interval = Duration::from_secs_f64(1.0 / per_second);
        self.pool.tick_every(Some(interval))?;
        let mut turn = order.iter().cycle();
        let mut last_sign = Instant::now();
        while self.unfinished() && last_sign.elapsed() < patience + interval {
            self.pool.wait_for_tick(patience + interval);
            self.pool.poll(Duration::ZERO)?;
            for _ in 0..self.pool.ticks {
                let next = turn.by_ref().take(order.len());
                if let Some(index) = next.copied().find(|i| self.left[*i] > 0) {
                    self.send_left(index, 1)?;
                    last_sign = self.pool.now;
                }
            }
            let mut events = self.pool.take_events();
            for (index, event) in events.drain(..) {
                last_sign = self.pool.now;
                self.happened(index, event);
            }
            self.pool.recycle(events);
        }
        self.pool.tick_every(None)
    }

    fn unfinished(&self) -> bool {
        let answers = self.tally.answered() + self.tally.unanswered;
        answers < self.tally.sent || self.left_in_all > 0
    }

    /// Reads on until all shares are answered or the time is up.
    pub fn wait_for_answers(
        &mut self,
        order: &[usize],
        at_most: Duration,
    ) -> Result<(), LoadError> {
        let end = Instant::now() + at_most;
        while order.iter().any(|index| self.desks[*index].waiting() > 0) && Instant::now() < end {
            self.pool.poll(Duration::from_millis(20))?;
            for (index, event) in self.pool.take_events() {
                self.happened(index, event);
            }
        }
        Ok(())
    }

    /// Counts what never got an answer, and gives all counts.
    pub fn finish(mut self, order: &[usize]) -> Tally {
        for index in order {
            self.tally.unanswered += self.desks[*index].forget_waiting() as u64;
        }
        self.tally
    }
}

fn count_reason(rejected: &mut BTreeMap<String, u64>, reason: &str) {
    let known = rejected.len() < MOST_REASONS || rejected.contains_key(reason);
    let reason = if known { reason } else { "other" };
    *rejected.entry(reason.into()).or_default() += 1;
}
