//! Minutes of paced work with connections that come and go and bad neighbours among them, to see
//! whether a server keeps its memory, its answers and its good miners.

use super::{
    Load, LoadError,
    connection::Event,
    pool::Kind,
    submit::{Run, Tally, check_rate},
};
use rand::Rng;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

/// How often connections that are due are cut and brought back.
const CHORES: Duration = Duration::from_millis(20);
/// How often bad neighbours act.
const MISCHIEF: Duration = Duration::from_millis(250);
/// Bad neighbours come from addresses of their own, so that only they are banned.
const BAD_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 250, 0, 1);
/// A lost connection comes back after this long.
const COME_BACK: Duration = Duration::from_secs(1);

/// A soak: paced work on the ready connections, and what disturbs it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Soak {
    /// How long, in seconds.
    pub seconds: f64,
    /// Shares a second over all connections.
    pub per_second: f64,
    /// Good connections that are cut and opened again, a second.
    pub churn_per_second: f64,
    /// Further connections that never say anything.
    pub silent: usize,
    /// Further connections that send a handshake byte by byte and never read.
    pub slow: usize,
    /// Further connections that send random bytes.
    pub garbage: usize,
    /// Time between two samples, in seconds.
    pub sample_every: f64,
}

/// The state at one moment of a soak.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SoakSample {
    /// Seconds since the start.
    pub at_s: f64,
    /// Resident memory of the server in KiB.
    pub rss_kib: Option<u64>,
    /// Good connections that are ready.
    pub ready: usize,
    /// Shares accepted so far.
    pub accepted: u64,
    /// Shares refused so far.
    pub rejected: u64,
    /// Good connections the server has closed so far.
    pub lost_connections: u64,
}

/// What a soak showed.
#[derive(Debug, Clone, Serialize)]
pub struct SoakResult {
    /// What was asked for.
    #[serde(flatten)]
    pub soak: Soak,
    /// Good connections at the start.
    pub connections: usize,
    /// How it went on.
    pub samples: Vec<SoakSample>,
    /// Shares sent.
    pub sent: u64,
    /// Shares accepted.
    pub accepted: u64,
    /// Shares refused, by reason.
    pub rejected_by_reason: BTreeMap<String, u64>,
    /// Shares refused because their job was voided while they were on their way.
    pub invalidated: u64,
    /// Shares made again because a clean job voided them before they were sent.
    pub remade: u64,
    /// Shares that never got an answer, among them those on connections that were cut.
    pub unanswered: u64,
    /// Good connections cut by this load generator.
    pub cut: u64,
    /// Good connections the server closed.
    pub lost_connections: u64,
    /// Why it closed them.
    pub lost_by_reason: BTreeMap<String, u64>,
    /// Bad connections the server closed or refused.
    pub bad_closed: u64,
    /// Processor time of the server over the whole time, in seconds.
    pub server_cpu_s: Option<f64>,
    /// Processor time of the load generator, making the shares included, in seconds.
    pub own_cpu_s: f64,
}

/// What a slow connection says, a byte at a time.
const HANDSHAKE: &[u8] = b"{\"id\":2,\"method\":\"mining.subscribe\",\"params\":[]}\n";

#[derive(Clone, Copy, PartialEq)]
enum Bad {
    Silent,
    Slow { said: usize },
    Garbage,
}

impl Load {
    /// Works at an even rate on the ready connections while some are cut and bad ones misbehave.
    /// Each sample is also handed to `seen` at once.
    pub fn soak(
        &mut self,
        soak: Soak,
        seen: impl FnMut(&SoakSample),
    ) -> Result<SoakResult, LoadError> {
        check(&soak)?;
        let (quiet, at_most) = (Duration::from_millis(150), Duration::from_secs(2));
        self.pool.settle(quiet, at_most)?;
        let good: Vec<usize> = self.ready_indices().collect();
        if good.is_empty() {
            return Err(LoadError::NoConnections);
        }
        let readings = self.readings()?;
        let mut course = Course::new(self, soak, good);
        course.run(seen)?;
        let mut result = course.result();
        let (server, own) = self.spent(&readings)?;
        result.server_cpu_s = server.map(|time| time.as_secs_f64());
        result.own_cpu_s = own.as_secs_f64();
        Ok(result)
    }
}

/// A soak while it goes on.
struct Course<'a> {
    load: &'a mut Load,
    soak: Soak,
    good: Vec<usize>,
    /// Bad connections are numbered from here.
    first_bad: usize,
    bad: Vec<Bad>,
    start: Instant,
    /// Whose turn it is to send.
    turn: usize,
    come_back: Vec<(Instant, usize)>,
    tally: Tally,
    samples: Vec<SoakSample>,
    cut: u64,
    bad_closed: u64,
    lost_by_reason: BTreeMap<String, u64>,
}

impl<'a> Course<'a> {
    fn new(load: &'a mut Load, soak: Soak, good: Vec<usize>) -> Self {
        let mut bad = vec![Bad::Silent; soak.silent];
        bad.resize(bad.len() + soak.slow, Bad::Slow { said: 0 });
        bad.resize(bad.len() + soak.garbage, Bad::Garbage);
        Self {
            first_bad: load.pool.len(),
            load,
            soak,
            good,
            bad,
            start: Instant::now(),
            turn: 0,
            come_back: Vec::new(),
            tally: Tally::default(),
            samples: Vec::new(),
            cut: 0,
            bad_closed: 0,
            lost_by_reason: BTreeMap::new(),
        }
    }

    fn run(&mut self, mut seen: impl FnMut(&SoakSample)) -> Result<(), LoadError> {
        for place in 0..self.bad.len() {
            self.open_bad(place)?;
        }
        let end = self.start + Duration::from_secs_f64(self.soak.seconds);
        let (mut next_chores, mut next_mischief, mut next_sample) =
            (self.start, self.start, self.start);
        let interval = Duration::from_secs_f64(1.0 / self.soak.per_second);
        self.load.pool.tick_every(Some(interval))?;
        loop {
            self.load.pool.poll(CHORES)?;
            let now = self.load.pool.now;
            self.hear(now);
            if now >= next_sample || now >= end {
                next_sample += Duration::from_secs_f64(self.soak.sample_every);
                let sample = self.sample(now)?;
                seen(&sample);
                self.samples.push(sample);
            }
            if now >= end {
                break;
            }
            self.work()?;
            if now >= next_chores {
                next_chores = now + CHORES;
                self.cut_some(now)?;
                self.bring_back(now)?;
            }
            if now >= next_mischief {
                next_mischief = now + MISCHIEF;
                self.misbehave();
            }
        }
        self.load.pool.tick_every(None)?;
        let tally = std::mem::take(&mut self.tally);
        let mut run = Run::resume(&mut self.load.pool, &mut self.load.desks, tally);
        run.wait_for_answers(&self.good, Duration::from_secs(2))?;
        self.tally = run.finish(&self.good);
        for place in 0..self.bad.len() {
            self.load.pool.close(self.first_bad + place);
        }
        Ok(())
    }

    /// Sends the shares that are due, each on the next connection that is ready.
    fn work(&mut self) -> Result<(), LoadError> {
        let tally = std::mem::take(&mut self.tally);
        let mut run = Run::resume(&mut self.load.pool, &mut self.load.desks, tally);
        let count = self.good.len();
        for _ in 0..run.pool.ticks {
            let next = (0..count)
                .map(|step| (self.turn + step) % count)
                .find(|place| run.pool.is_ready(self.good[*place]));
            if let Some(place) = next {
                run.send(self.good[place], 1, u64::MAX)?;
                self.turn = (place + 1) % count;
            }
        }
        self.tally = run.tally;
        Ok(())
    }

    /// Counts what happened, and notes who has to come back.
    fn hear(&mut self, now: Instant) {
        let mut events = self.load.pool.take_events();
        for (index, event) in events.drain(..) {
            if let Event::Stepped(step) = event {
                self.load.stepped(index, step);
                continue;
            }
            if let Event::Closed { why, .. } = &event {
                self.come_back.push((now + COME_BACK, index));
                if index >= self.first_bad {
                    self.bad_closed += 1;
                    continue;
                }
                *self.lost_by_reason.entry(why.to_string()).or_default() += 1;
            }
            let tally = std::mem::take(&mut self.tally);
            let mut run = Run::resume(&mut self.load.pool, &mut self.load.desks, tally);
            run.happened(index, event);
            self.tally = run.tally;
        }
        self.load.pool.recycle(events);
    }

    fn sample(&self, now: Instant) -> Result<SoakSample, LoadError> {
        let pool = &self.load.pool;
        let memory = self.load.server.memory()?;
        Ok(SoakSample {
            at_s: (now - self.start).as_secs_f64(),
            rss_kib: memory.map(|memory| memory.rss_kib),
            ready: self.good.iter().filter(|i| pool.is_ready(**i)).count(),
            accepted: self.tally.accepted,
            rejected: self.tally.rejected.values().sum(),
            lost_connections: self.tally.lost_connections,
        })
    }

    /// Cuts as many good connections as are due by now; each opens again at once.
    fn cut_some(&mut self, now: Instant) -> Result<(), LoadError> {
        let due = (now - self.start).as_secs_f64() * self.soak.churn_per_second;
        while (self.cut as f64) < due.floor() {
            self.cut += 1;
            let place = self.load.random.random_range(0..self.good.len());
            let index = self.good[place];
            self.tally.unanswered += self.load.desks[index].forget_waiting() as u64;
            self.come_back.retain(|(_, other)| *other != index);
            self.load.pool.close(index);
            self.load.open_miner(index)?;
        }
        Ok(())
    }

    fn bring_back(&mut self, now: Instant) -> Result<(), LoadError> {
        let due = |(when, _): &mut (Instant, usize)| *when <= now;
        let due: Vec<_> = self.come_back.extract_if(.., due).collect();
        for (_, index) in due {
            match index.checked_sub(self.first_bad) {
                None => self.load.open_miner(index)?,
                Some(place) => self.open_bad(place)?,
            }
        }
        Ok(())
    }

    fn open_bad(&mut self, place: usize) -> Result<(), LoadError> {
        let kind = match &mut self.bad[place] {
            Bad::Slow { said } => {
                *said = 0;
                Kind::Stuck
            }
            Bad::Silent | Bad::Garbage => Kind::Deaf,
        };
        let source = self.load.source(place, BAD_SOURCE);
        let index = self.first_bad + place;
        self.load.pool.open(index, source, kind, b"")
    }

    fn misbehave(&mut self) {
        for (place, bad) in self.bad.iter_mut().enumerate() {
            let index = self.first_bad + place;
            match bad {
                Bad::Silent => {}
                Bad::Slow { said } => {
                    self.load.pool.write(index, &HANDSHAKE[*said..=*said]);
                    *said = (*said + 1) % HANDSHAKE.len();
                }
                Bad::Garbage => {
                    let random = &mut self.load.random;
                    let mut bytes = vec![0; random.random_range(1..2000)];
                    random.fill(bytes.as_mut_slice());
                    self.load.pool.write(index, &bytes);
                }
            }
        }
    }

    fn result(self) -> SoakResult {
        let tally = self.tally;
        SoakResult {
            soak: self.soak,
            connections: self.good.len(),
            samples: self.samples,
            sent: tally.sent,
            accepted: tally.accepted,
            rejected_by_reason: tally.rejected,
            invalidated: tally.invalidated,
            remade: tally.remade,
            unanswered: tally.unanswered,
            cut: self.cut,
            lost_connections: tally.lost_connections,
            lost_by_reason: self.lost_by_reason,
            bad_closed: self.bad_closed,
            server_cpu_s: None,
            own_cpu_s: 0.0,
        }
    }
}

fn check(soak: &Soak) -> Result<(), LoadError> {
    check_rate(soak.per_second)?;
    let good = |seconds: f64| seconds.is_finite() && seconds > 0.0 && seconds < 1e7;
    if !good(soak.seconds) || !good(soak.sample_every) {
        let why = "a soak and its samples must take more than zero seconds";
        return Err(LoadError::Setting(why));
    }
    if !(0.0..=1e5).contains(&soak.churn_per_second) {
        let why = "a soak can cut from 0 to 100000 connections a second";
        return Err(LoadError::Setting(why));
    }
    Ok(())
}
