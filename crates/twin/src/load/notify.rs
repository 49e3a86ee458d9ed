//! Measures how a server spreads the news of a new block over all its miners.

use super::{Load, LoadError, Spread, connection::Event, each_us};
use serde::Serialize;
use std::{
    thread::{self, sleep},
    time::{Duration, Instant},
};

/// Nothing more is expected after this long without any news.
const QUIET: Duration = Duration::from_secs(1);
/// After the first news, how often the sockets are looked at: a moment of arrival is late by this at
/// most. To be woken by each message instead would be paid by the server, as the kernel counts.
const LOOK: Duration = Duration::from_micros(500);
/// News that is followed by nothing for so long was the last.
const BURST: Duration = Duration::from_millis(10);

/// When the news of a new block arrived. Times are milliseconds after the node had the block;
/// negative if the news was faster than the caller's own knowledge.
#[derive(Debug, Clone, Serialize)]
pub struct NotifyResult {
    /// Connections that waited.
    pub connections: usize,
    /// Those that got a job with `clean_jobs`.
    pub notified: usize,
    /// Those whose first such job held no transactions.
    pub empty_first: usize,
    /// Jobs received in all.
    pub jobs: u64,
    /// Connections lost while waiting.
    pub lost: u64,
    /// Arrival of each connection's first job with `clean_jobs`.
    pub clean_ms: Option<Spread>,
    /// Arrival of each connection's first job with transactions from then on.
    pub full_ms: Option<Spread>,
    /// Processor time of the server for each miner until all was quiet, in microseconds.
    pub server_cpu_us_each: Option<f64>,
    /// Processor time of the load generator for each miner, in microseconds.
    pub own_cpu_us_each: f64,
}

#[derive(Clone, Copy, Default)]
struct Arrival {
    clean: Option<Instant>,
    full: Option<Instant>,
    empty_first: bool,
}

impl Load {
    /// Lets the caller make a new block, on a thread of its own, and watches the news arrive at all
    /// ready connections. `make_block` gives the moment at which the node had the block.
    pub fn notify(
        &mut self,
        make_block: impl FnOnce() -> Result<Instant, String> + Send,
    ) -> Result<NotifyResult, LoadError> {
        let waiting: Vec<usize> = self.ready_indices().collect();
        if waiting.is_empty() {
            return Err(LoadError::NoConnections);
        }
        let (quiet, at_most) = (Duration::from_millis(100), Duration::from_secs(2));
        self.pool.settle(quiet, at_most)?;
        let readings = self.readings()?;
        let mut arrivals = vec![Arrival::default(); self.pool.len()];
        let (mut jobs, mut lost) = (0, 0);
        let watched = thread::scope(|scope| {
            let block = scope.spawn(make_block);
            let mut last_news = Instant::now() - BURST;
            let mut missing = waiting.len();
            loop {
                if last_news.elapsed() < BURST {
                    sleep(LOOK);
                    self.pool.poll(Duration::ZERO)?;
                } else {
                    self.pool.poll(Duration::from_millis(20))?;
                }
                let now = self.pool.now;
                let mut events = self.pool.take_events();
                for (index, event) in events.drain(..) {
                    let arrival = &mut arrivals[index];
                    match event {
                        Event::Job { clean, empty } => {
                            jobs += 1;
                            last_news = now;
                            if clean && arrival.clean.is_none() {
                                arrival.clean = Some(now);
                                arrival.empty_first = empty;
                                missing = missing.saturating_sub(1);
                            }
                            if arrival.clean.is_some() && !empty && arrival.full.is_none() {
                                arrival.full = Some(now);
                            }
                        }
                        Event::Closed { .. } => {
                            lost += 1;
                            if arrival.clean.is_none() {
                                missing = missing.saturating_sub(1);
                            }
                        }
                        _ => {}
                    }
                }
                self.pool.recycle(events);
                if !block.is_finished() {
                    last_news = last_news.max(now);
                    continue;
                }
                let patience = if missing == 0 { QUIET } else { self.config.patience };
                if last_news.elapsed() > patience.max(QUIET) {
                    break;
                }
            }
            let made = block.join().unwrap_or_else(|_| Err("its thread panicked".into()));
            made.map_err(LoadError::NoBlock)
        });
        let start = watched?;
        let (server, own) = self.spent(&readings)?;
        let after = |moment: Instant| match moment.checked_duration_since(start) {
            Some(time) => time.as_secs_f64() * 1e3,
            None => -(start - moment).as_secs_f64() * 1e3,
        };
        let clean: Vec<f64> = arrivals.iter().filter_map(|a| a.clean).map(after).collect();
        let full = arrivals.iter().filter_map(|a| a.full).map(after).collect();
        Ok(NotifyResult {
            connections: waiting.len(),
            notified: clean.len(),
            empty_first: arrivals.iter().filter(|a| a.empty_first).count(),
            jobs,
            lost,
            clean_ms: Spread::of(clean),
            full_ms: Spread::of(full),
            server_cpu_us_each: server.map(|time| each_us(time, waiting.len() as u64)),
            own_cpu_us_each: each_us(own, waiting.len() as u64),
        })
    }
}
