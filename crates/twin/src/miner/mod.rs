//! A miner that really hashes and speaks Stratum V1 over TCP, as good firmware does.
//! It never asks for work by any other way and never trusts what a server sends.

mod hashing;
pub(crate) mod reply;
mod session;
mod shared;

pub use shared::MinerStats;

use rand::random;
use shared::Shared;
use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};
use units::{Difficulty, Hashrate};

/// How a [`Miner`] mines.
#[derive(Debug, Clone)]
pub struct MinerConfig {
    /// `stratum+tcp://host:port` or `host:port`.
    pub url: String,
    /// User name, for solo mining `address.worker`.
    pub user: String,
    /// Password; some servers read hints such as `d=8` in it.
    pub password: String,
    /// Hash threads.
    pub threads: usize,
    /// Highest hashrate of all threads together; `None` for as fast as the processor goes.
    pub limit: Option<Hashrate>,
    /// What the miner says it is.
    pub user_agent: String,
    /// Difficulty to ask the server for.
    pub suggest_difficulty: Option<Difficulty>,
    /// Whether to negotiate version rolling (BIP 310).
    pub version_rolling: bool,
}

impl MinerConfig {
    /// One unlimited thread with version rolling.
    pub fn new(url: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: user.into(),
            password: "x".into(),
            threads: 1,
            limit: None,
            user_agent: concat!("hearth-twin/", env!("CARGO_PKG_VERSION")).into(),
            suggest_difficulty: None,
            version_rolling: true,
        }
    }
}

/// Why a miner cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MinerError {
    /// The address of the server is unusable.
    #[error("\"{0}\" is not a server address; write it like stratum+tcp://192.168.1.10:3333")]
    Url(String),
    /// A scheme that this miner does not speak.
    #[error("this miner speaks stratum+tcp only, not {0}; give a stratum+tcp://host:port address")]
    Scheme(String),
    /// Nothing to hash with.
    #[error("a miner needs from 1 to 1024 threads, not {0}")]
    Threads(usize),
    /// A limit under which nothing is ever hashed.
    #[error("a hashrate limit must be greater than zero; leave it out to mine at full speed")]
    Limit,
    /// The operating system gave no thread.
    #[error("the system refused a thread for the miner: {0}; use fewer threads")]
    Thread(#[source] std::io::Error),
}

/// A running miner; it stops when dropped.
pub struct Miner {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Miner {
    /// Starts the hash threads and keeps a connection to the server from now on. A server that
    /// cannot be reached yet is no error: the miner tries again until stopped.
    pub fn start(config: MinerConfig) -> Result<Self, MinerError> {
        let server = Endpoint::parse(&config.url)?;
        if !(1..=1024).contains(&config.threads) {
            return Err(MinerError::Threads(config.threads));
        }
        if config.limit.is_some_and(|l| l.hashes_per_second() <= 0.0) {
            return Err(MinerError::Limit);
        }
        let per_thread =
            config.limit.map(|limit| limit.hashes_per_second() / config.threads as f64);
        let count = config.threads;
        let mut miner = Self {
            shared: Arc::new(Shared::new(config.user.clone(), random())),
            threads: Vec::with_capacity(count + 1),
        };
        let shared = miner.shared.clone();
        miner.spawn("miner-link", move || session::keep(&shared, &config, server))?;
        for _ in 0..count {
            let shared = miner.shared.clone();
            miner.spawn("miner-hash", move || hashing::run(&shared, per_thread))?;
        }
        Ok(miner)
    }

    /// What the miner has done so far.
    pub fn stats(&self) -> MinerStats {
        self.shared.stats()
    }

    /// Stops hashing at once, closes the connection and gives the final figures. A connection
    /// attempt under way can hold this up for as long as it takes to fail, at most 5 seconds.
    pub fn stop(mut self) -> MinerStats {
        self.end();
        self.shared.stats()
    }

    fn spawn(
        &mut self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), MinerError> {
        let thread = thread::Builder::new().name(name.into()).spawn(body);
        self.threads.push(thread.map_err(MinerError::Thread)?);
        Ok(())
    }

    fn end(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the miner panicked");
            }
        }
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    fn parse(url: &str) -> Result<Self, MinerError> {
        let bad = || MinerError::Url(url.into());
        let address = match url.trim().split_once("://") {
            None => url.trim(),
            Some(("stratum+tcp" | "tcp", rest)) => rest,
            Some((scheme, _)) => return Err(MinerError::Scheme(scheme.into())),
        };
        let (host, port) = address.trim_end_matches('/').rsplit_once(':').ok_or_else(bad)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port: u16 = port.parse().map_err(|_| bad())?;
        if host.is_empty() || port == 0 || host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(bad());
        }
        Ok(Self { host: host.into(), port })
    }
}

#[cfg(test)]
mod tests;
