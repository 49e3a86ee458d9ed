//! A load generator for Stratum V1 servers: many connections, valid shares, and what they cost.
//! One thread, one epoll; it measures the server and never helps it. Any server will do.
//!
//! ```text
//! Load::open ── connect(N) ──┬── memory()
//!                            ├── notify(new block)
//!                            ├── submit(one at a time | pipelined | paced)
//!                            └── soak(minutes of paced work, churn, bad neighbours)
//! ```

mod connect;
mod connection;
mod notify;
mod pool;
mod process;
mod scan;
mod share;
mod soak;
mod spread;
mod submit;

pub use connect::{ConnectResult, MemoryResult};
pub use notify::NotifyResult;
pub use process::Memory;
pub use soak::{Soak, SoakResult, SoakSample};
pub use spread::Spread;
pub use submit::{Pattern, SubmitResult};

use connection::{AUTHORIZE, CONFIGURE, SUBSCRIBE};
use pool::Pool;
use process::{CpuReading, Server, own_cpu};
use rand::{SeedableRng, rngs::StdRng};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use share::Desk;
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Where and how to connect.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// The server under test.
    pub server: SocketAddr,
    /// User names; `{i}` becomes the connection's number and `{address}` one of `addresses`.
    pub user: String,
    /// Payout addresses, used in turn.
    pub addresses: Vec<String>,
    /// Password; servers that read hints get the share difficulty here, as `d=1e-9`.
    pub password: String,
    /// What the connections say they are.
    pub user_agent: String,
    /// Whether to negotiate version rolling first.
    pub configure: bool,
    /// Whether each step of the handshake waits for the answer to the one before; otherwise all
    /// go in one segment, as many firmwares do.
    pub step_by_step: bool,
    /// Loopback addresses to spread the connections over, from 127.0.0.2 on; 0 lets the system
    /// choose. One address reaches about 28,000 connections to one port.
    pub sources: u32,
    /// Connections that may be on their way to their first job at once. More than the server's
    /// listen backlog costs a second's wait each.
    pub in_flight: usize,
    /// Whether connections keep their latest job; shares need it, and it costs the job's size.
    pub keep_jobs: bool,
    /// Processes that make up the server; none if it runs elsewhere.
    pub pids: Vec<u32>,
    /// Start of all random choices.
    pub seed: u64,
    /// How long to wait when nothing happens any more.
    pub patience: Duration,
}

impl LoadConfig {
    /// The usual settings, with one user name for all.
    pub fn new(server: SocketAddr, user: impl Into<String>) -> Self {
        Self {
            server,
            user: user.into(),
            addresses: Vec::new(),
            password: "x".into(),
            user_agent: concat!("hearth-bench/", env!("CARGO_PKG_VERSION")).into(),
            configure: true,
            step_by_step: false,
            sources: 0,
            in_flight: 256,
            keep_jobs: true,
            pids: Vec::new(),
            seed: 0x6865_6172_7468,
            patience: Duration::from_secs(10),
        }
    }
}

/// Why a measurement cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A system call failed that never should.
    #[error("the system refused what the load generator needs: {0}")]
    System(#[source] std::io::Error),
    /// Too many files open.
    #[error(
        "no more than {0} connections can be opened here; raise the limit of open files (ulimit -n)"
    )]
    Descriptors(usize),
    /// A process of the server cannot be observed.
    #[error("process {0} cannot be read under /proc; give the running server's process id")]
    Process(u32),
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(&'static str),
    /// A user pattern with an unknown or unfilled place.
    #[error(
        "user pattern \"{0}\" is unusable; write only {{i}}, and {{address}} if addresses are given, in braces"
    )]
    Users(String),
    /// Nothing to measure with.
    #[error("no connection is ready; the server refused or closed all of them")]
    NoConnections,
    /// The latest job of a connection is not there or not usable.
    #[error("connection {0} holds no usable job; keep jobs, and check what the server sends")]
    NoJob(usize),
    /// Shares that would take too long to make.
    #[error(
        "the server wants difficulty {difficulty}: {shares} valid shares would take about {seconds:.0} s to make; \
         set its difficulty to 0.000001 or lower, or ask for fewer shares"
    )]
    TooHard {
        /// The server's share difficulty.
        difficulty: f64,
        /// Shares asked for.
        shares: u64,
        /// Time to make them, by an estimate.
        seconds: f64,
    },
    /// The caller could not make a new block.
    #[error("the new block could not be made: {0}")]
    NoBlock(String),
}

impl LoadError {
    fn system(error: rustix::io::Errno) -> Self {
        Self::System(error.into())
    }
}

/// Raises this process's soft limit of open files to its hard limit, and gives it.
pub fn raise_descriptor_limit() -> Result<u64, LoadError> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(LoadError::system)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Connections to one server, and what is known of its processes.
pub struct Load {
    config: LoadConfig,
    pool: Pool,
    desks: Vec<Desk>,
    server: Server,
    memory_at_start: Option<Memory>,
    random: StdRng,
}

impl Load {
    /// Checks the settings and takes the server's memory before any connection is there.
    pub fn open(config: LoadConfig) -> Result<Self, LoadError> {
        check(&config)?;
        let server = Server::new(&config.pids)?;
        Ok(Self {
            pool: Pool::new(config.server, config.keep_jobs)?,
            desks: Vec::new(),
            memory_at_start: server.memory()?,
            server,
            random: StdRng::seed_from_u64(config.seed),
            config,
        })
    }

    /// Connections that hold a job and may submit shares.
    pub fn ready(&self) -> usize {
        self.ready_indices().count()
    }

    /// Closes all connections.
    pub fn close(&mut self) {
        for index in 0..self.pool.len() {
            self.pool.close(index);
        }
    }

    fn ready_indices(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.pool.len()).filter(|index| self.pool.is_ready(*index))
    }

    /// Opens one miner's connection and sends as much of its handshake as may go at once.
    fn open_miner(&mut self, index: usize) -> Result<(), LoadError> {
        if self.desks.len() <= index {
            self.desks.resize_with(index + 1, Desk::default);
        }
        if self.desks[index].is_new() {
            self.desks[index] = Desk::new(&user(&self.config, index));
        }
        self.desks[index].reconnected();
        let mut hello = String::new();
        for step in [CONFIGURE, SUBSCRIBE, AUTHORIZE] {
            if step != CONFIGURE || self.config.configure {
                hello += &self.step(step, index);
                if self.config.step_by_step {
                    break;
                }
            }
        }
        let source = self.source(index, Ipv4Addr::new(127, 0, 0, 2));
        self.pool.open(index, source, pool::Kind::Miner, hello.as_bytes())
    }

    /// Goes on with a handshake that waits for its answers.
    fn stepped(&mut self, index: usize, answered: u64) {
        if self.config.step_by_step && answered < AUTHORIZE {
            let step = self.step(answered + 1, index);
            self.pool.write(index, step.as_bytes());
        }
    }

    fn step(&self, step: u64, index: usize) -> String {
        let (method, params): (_, Value) = match step {
            CONFIGURE => (
                "mining.configure",
                json!([["version-rolling"], {
                    "version-rolling.mask": "1fffe000",
                    "version-rolling.min-bit-count": 2,
                }]),
            ),
            SUBSCRIBE => ("mining.subscribe", json!([self.config.user_agent])),
            _ => ("mining.authorize", json!([user(&self.config, index), self.config.password])),
        };
        format!("{{\"id\":{step},\"method\":\"{method}\",\"params\":{params}}}\n")
    }

    /// The address a connection comes from, counted from `first`.
    fn source(&self, index: usize, first: Ipv4Addr) -> Option<Ipv4Addr> {
        let sources = self.config.sources;
        (sources > 0).then(|| Ipv4Addr::from_bits(first.to_bits() + index as u32 % sources))
    }

    fn readings(&self) -> Result<(Option<CpuReading>, Duration), LoadError> {
        Ok((self.server.cpu()?, own_cpu()))
    }

    /// What the server and this thread have spent since some readings.
    fn spent(
        &self,
        (server, own): &(Option<CpuReading>, Duration),
    ) -> Result<(Option<Duration>, Duration), LoadError> {
        let mine = own_cpu().saturating_sub(*own);
        // The kernel accounts for a running thread when it stops running.
        std::thread::sleep(Duration::from_millis(10));
        let now = self.server.cpu()?;
        let theirs = now.as_ref().zip(server.as_ref()).map(|(a, b)| a.since(b));
        Ok((theirs, mine))
    }
}

fn check(config: &LoadConfig) -> Result<(), LoadError> {
    let name = user(config, 0);
    let unfilled = config.user.contains("{address}") && config.addresses.is_empty();
    if unfilled || name.contains(['{', '}']) {
        return Err(LoadError::Users(config.user.clone()));
    }
    if config.sources > 0 && !config.server.ip().is_loopback() {
        let why = "connections can be spread over source addresses only to a server on 127.0.0.0/8";
        return Err(LoadError::Setting(why));
    }
    if config.sources > 1 << 20 {
        let why = "at most 1048576 source addresses can be used";
        return Err(LoadError::Setting(why));
    }
    if config.sources > 0 && config.server.is_ipv6() {
        let why = "source addresses are IPv4; give the server's IPv4 address";
        return Err(LoadError::Setting(why));
    }
    if config.in_flight == 0 {
        let why = "at least one connection must be allowed on its way";
        return Err(LoadError::Setting(why));
    }
    Ok(())
}

fn user(config: &LoadConfig, index: usize) -> String {
    let name = config.user.replace("{i}", &index.to_string());
    match config.addresses.as_slice() {
        [] => name,
        addresses => name.replace("{address}", &addresses[index % addresses.len()]),
    }
}

/// Microseconds each of `count` things took.
fn each_us(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}

#[cfg(test)]
mod tests;
