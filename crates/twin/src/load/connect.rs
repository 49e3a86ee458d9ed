//! Measures how fast a server takes connections, and what memory they cost it.

use super::{Load, LoadError, Memory, Spread, connection::Event, each_us};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Connections opened between two looks at what the server says.
const OPEN_AT_ONCE: usize = 32;

/// What connecting showed.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectResult {
    /// Connections asked for.
    pub asked: usize,
    /// Those that came to hold their first job.
    pub connected: usize,
    /// The others, by what went wrong.
    pub failed: BTreeMap<String, u64>,
    /// From the first connection opened to the last first job, in milliseconds.
    pub wall_ms: f64,
    /// Connections a second over that time.
    pub per_second: f64,
    /// From a connection's opening to its first job, in milliseconds.
    pub latency_ms: Option<Spread>,
    /// Processor time of the server for each connection, in microseconds.
    pub server_cpu_us_each: Option<f64>,
    /// Processor time of the load generator for each connection, in microseconds.
    pub own_cpu_us_each: f64,
}

/// What connections cost the server's processes; the kernel's socket buffers are not in it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MemoryResult {
    /// Before the first connection.
    pub before: Memory,
    /// Now.
    pub after: Memory,
    /// Connections that are ready.
    pub connections: usize,
    /// Resident memory for each of them, in KiB.
    pub rss_kib_each: f64,
    /// Proportional memory for each of them, in KiB, where the kernel tells it.
    pub pss_kib_each: Option<f64>,
}

impl Load {
    /// Opens `count` more connections and waits until each holds its first job or has failed.
    pub fn connect(&mut self, count: usize) -> Result<ConnectResult, LoadError> {
        let first = self.pool.len();
        let mut next = first;
        let mut pending = 0;
        let mut failed: BTreeMap<String, u64> = BTreeMap::new();
        let mut latencies = Vec::with_capacity(count);
        let readings = self.readings()?;
        let start = Instant::now();
        let mut last_ready = start;
        let mut last_sign = start;
        while next < first + count || pending > 0 {
            let room = self.config.in_flight.saturating_sub(pending);
            for _ in 0..room.min(OPEN_AT_ONCE).min(first + count - next) {
                self.open_miner(next)?;
                next += 1;
                pending += 1;
            }
            let more = next < first + count && pending < self.config.in_flight;
            let wait = if more { 0 } else { 20 };
            self.pool.poll(Duration::from_millis(wait))?;
            let mut events = self.pool.take_events();
            if !events.is_empty() {
                last_sign = self.pool.now;
            } else if last_sign.elapsed() > self.config.patience {
                break;
            }
            for (index, event) in events.drain(..) {
                match event {
                    Event::Ready => {
                        pending -= 1;
                        last_ready = self.pool.now;
                        if let Some(opened) = self.pool.opened(index) {
                            latencies.push((last_ready - opened).as_secs_f64() * 1e3);
                        }
                    }
                    Event::Closed { why, ready } => {
                        pending -= usize::from(!ready);
                        *failed.entry(why.into()).or_default() += 1;
                    }
                    Event::Stepped(step) => self.stepped(index, step),
                    _ => {}
                }
            }
            self.pool.recycle(events);
        }
        let silent = self.close_unready(first, next);
        if silent > 0 {
            failed.insert("no first job in time".into(), silent);
        }
        let wall = last_ready - start;
        let (server, own) = self.spent(&readings)?;
        let connected = self.ready_indices().filter(|i| *i >= first).count();
        Ok(ConnectResult {
            asked: count,
            connected,
            failed,
            wall_ms: wall.as_secs_f64() * 1e3,
            per_second: connected as f64 / wall.as_secs_f64().max(1e-9),
            latency_ms: Spread::of(latencies),
            server_cpu_us_each: server.map(|time| each_us(time, connected as u64)),
            own_cpu_us_each: each_us(own, connected as u64),
        })
    }

    /// What the connections cost the server in memory; `None` if its processes are not known.
    pub fn memory(&mut self) -> Result<Option<MemoryResult>, LoadError> {
        let (quiet, at_most) = (Duration::from_millis(200), Duration::from_secs(3));
        self.pool.settle(quiet, at_most)?;
        let connections = self.ready();
        let (Some(before), Some(after)) = (self.memory_at_start, self.server.memory()?) else {
            return Ok(None);
        };
        let each =
            |before: u64, after: u64| (after as f64 - before as f64) / connections.max(1) as f64;
        Ok(Some(MemoryResult {
            before,
            after,
            connections,
            rss_kib_each: each(before.rss_kib, after.rss_kib),
            pss_kib_each: before
                .pss_kib
                .zip(after.pss_kib)
                .map(|(before, after)| each(before, after)),
        }))
    }

    /// Closes what got nowhere, and gives how many those were.
    fn close_unready(&mut self, from: usize, to: usize) -> u64 {
        let mut closed = 0;
        for index in from..to {
            if self.pool.state(index).is_some() && !self.pool.is_ready(index) {
                self.pool.close(index);
                closed += 1;
            }
        }
        closed
    }
}
