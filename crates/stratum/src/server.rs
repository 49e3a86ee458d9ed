//! The server as the rest of the program holds it: start, work in, numbers out, stop.

use crate::{
    Config, Payout, PayoutError, Reject, Sink,
    coinbase::Coinbase,
    coinbase::EXTRANONCE1_SIZE,
    engine::{Engine, Shared},
    gate::{Connections, Gate},
    job::{Job, instance_of},
    mailbox::{Mail, Mailbox},
    reactor::Reactor,
    steer::{SessionState, Steer, Steered, Steers},
    workers::WorkerState,
};
use chain::Template;
use rustix::net::sockopt;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Pending connections that the kernel holds for us.
const BACKLOG: i32 = 4096;
/// Kernel buffers of a connection, bytes: a few jobs, and no more for those who do not read.
const SOCKET_BUFFER: usize = 64 * 1024;
/// Dead peers are noticed after this plus three probes.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Tips whose latency is remembered.
const LATENCIES: usize = 1024;
/// Of which so many are the last few: each reactor keeps one for each tip.
const LATE: usize = 4;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken or the address is not ours.
    #[error("cannot listen on {listen}: {source}{}", remedy(.source))]
    Listen {
        /// The address asked for.
        listen: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The fallback address is no address of this network.
    #[error("fallback_address: {0}")]
    Fallback(#[from] PayoutError),
    /// The system refused a thread or a descriptor.
    #[error("cannot start the server: {0}")]
    System(#[from] io::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program uses this port: stop it or choose another",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need root: choose a higher one",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}

/// A running Stratum server.
pub struct Server {
    config: Config,
    instance: [u8; 8],
    jobs: Mutex<u32>,
    mailboxes: Arc<Vec<Mailbox>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    gate: Arc<Gate>,
    latency: Arc<Latency>,
    addresses: Vec<SocketAddr>,
    steers: Mutex<Steers>,
}

/// The server's numbers at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Every worker that is connected or has been.
    pub workers: Vec<WorkerState>,
    /// Rejected shares of connections that had not authorized, in the order of [`Reject::ALL`].
    pub anonymous_rejects: [u64; Reject::COUNT],
    /// Whether every reactor answered in time: sums of an incomplete one are too small.
    pub complete: bool,
    /// Connections that may submit.
    pub authorized: usize,
    /// Connections in all.
    pub connections: Connections,
    /// From the node's news of a tip to the last miner's notify, one for each of the last tips and
    /// threads.
    pub tip_to_job: Vec<Duration>,
}

impl Server {
    /// Binds all ports and starts the reactors. Miners may connect at once and wait for work.
    pub fn start(config: Config, sink: Arc<dyn Sink>) -> Result<Self, StartError> {
        let fallback = config.fallback_address.as_deref();
        let fallback = fallback.map(|text| Payout::parse(text, config.network)).transpose()?;
        let listeners: Vec<Arc<TcpListener>> = config
            .ports
            .iter()
            .map(|port| listen(port.listen).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let addresses =
            listeners.iter().map(|listener| listener.local_addr()).collect::<Result<_, _>>()?;
        let count = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            threads => threads,
        };
        let random = RandomState::new();
        let shared = Arc::new(Shared::new(config.clone(), fallback, random.hash_one(0u8) as u32));
        let gate = Arc::new(Gate::new(config.limits.clone()));
        let latency = Arc::new(Latency::default());
        let mailboxes: Vec<Mailbox> =
            (0..count).map(|_| Mailbox::new()).collect::<Result<_, _>>()?;
        let mailboxes = Arc::new(mailboxes);
        let started = Instant::now();
        let threads = (0..count)
            .map(|index| {
                let engine = Engine::new(shared.clone(), sink.clone());
                let reactor = Reactor::new(
                    engine,
                    listeners.clone(),
                    gate.clone(),
                    index,
                    mailboxes.clone(),
                    latency.clone(),
                    started,
                )?;
                std::thread::Builder::new().name(format!("stratum-{index}")).spawn(move || {
                    let _guard = AbortOnPanic;
                    chain::run_promptly();
                    if let Err(error) = reactor.run() {
                        // Its miners would hang for ever: better that all reconnect to a fresh start.
                        tracing::error!(%error, "a reactor failed");
                        std::process::abort();
                    }
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            instance: random.hash_one(1u8).to_be_bytes(),
            config,
            jobs: Mutex::new(0),
            mailboxes,
            threads: Mutex::new(threads),
            gate,
            latency,
            addresses,
            steers: Mutex::default(),
        })
    }

    /// Where miners connect, in the order of the configured ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// New work for everybody; with `new_tip` all older work is stale.
    pub fn work(&self, template: Arc<Template>, new_tip: bool) {
        // Held while posting, so that two callers cannot put jobs out of order.
        let mut number = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        let extranonce = EXTRANONCE1_SIZE + self.config.extranonce2_size;
        let instance = instance_of(self.instance, *number);
        let coinbase = Coinbase::new(&template, &self.config.tag, instance, extranonce);
        let job = Arc::new(Job::new(*number, template, coinbase));
        for mailbox in self.mailboxes.iter() {
            mailbox.post(|mail| {
                let missed_tip = mail.job.as_ref().is_some_and(|(_, new_tip)| *new_tip);
                mail.job = Some((job.clone(), new_tip || missed_tip));
                mail.wait = None;
            });
        }
    }

    /// There is no work: miners are told to wait, and why.
    pub fn wait(&self, why: &str) {
        let why: Arc<str> = why.into();
        for mailbox in self.mailboxes.iter() {
            mailbox.post(|mail| mail.wait = Some(why.clone()));
        }
    }

    /// The numbers now. Takes as long as the busiest reactor's current wake; a reactor that does not
    /// answer within a second is left out.
    pub fn snapshot(&self) -> Snapshot {
        let answers = self.ask(|mail| &mut mail.ask);
        let deadline = Instant::now() + Duration::from_secs(1);
        let mut snapshot = Snapshot {
            workers: Vec::new(),
            anonymous_rejects: [0; Reject::COUNT],
            authorized: 0,
            complete: false,
            connections: self.gate.counts(),
            tip_to_job: self.latency.all(),
        };
        let mut names: HashMap<Arc<str>, usize> = HashMap::new();
        let mut answered = 0;
        while let Ok(report) =
            answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            answered += 1;
            snapshot.authorized += report.authorized;
            for (sum, more) in snapshot.anonymous_rejects.iter_mut().zip(report.anonymous_rejects) {
                *sum += more;
            }
            for worker in report.workers {
                match names.get(&worker.name) {
                    Some(at) => snapshot.workers[*at].merge(&worker),
                    None => {
                        names.insert(worker.name.clone(), snapshot.workers.len());
                        snapshot.workers.push(worker);
                    }
                }
            }
        }
        snapshot.complete = answered == self.mailboxes.len();
        snapshot
    }

    /// Sets a machine apart from all others, or with a default lets it be like them again. Holds for
    /// its sessions now and for those to come. False if too many are set apart already.
    pub fn steer(&self, who: Steered, steer: Steer) -> bool {
        // Held while posting, so that two callers cannot put changes out of order.
        let mut steers = self.steers.lock().unwrap_or_else(PoisonError::into_inner);
        let set = steers.set(&who, steer);
        if set == Some(true) {
            for mailbox in self.mailboxes.iter() {
                mailbox.post(|mail| {
                    mail.steers.insert(who.clone(), steer);
                });
            }
        }
        set.is_some()
    }

    /// How long it took, at the worst of the last few tips, until all sessions had a job on the new one.
    pub fn time_to_tell(&self) -> Duration {
        self.latency.worst_of_late()
    }

    /// Every authorized session now; `None` if a reactor did not answer within a second.
    pub fn sessions(&self) -> Option<Vec<SessionState>> {
        let answers = self.ask(|mail| &mut mail.ask_sessions);
        let deadline = Instant::now() + Duration::from_secs(1);
        let mut all = Vec::new();
        for _ in self.mailboxes.iter() {
            let left = deadline.saturating_duration_since(Instant::now());
            all.append(&mut answers.recv_timeout(left).ok()?);
        }
        Some(all)
    }

    /// Puts a question to every reactor.
    fn ask<T>(
        &self,
        questions: impl Fn(&mut Mail) -> &mut Vec<mpsc::SyncSender<T>>,
    ) -> mpsc::Receiver<T> {
        let (ask, answers) = mpsc::sync_channel(self.mailboxes.len());
        for mailbox in self.mailboxes.iter() {
            mailbox.post(|mail| {
                let questions = questions(mail);
                if questions.len() < 16 {
                    questions.push(ask.clone());
                }
            });
        }
        answers
    }

    /// Hands over what was counted, asks miners to connect again, closes everything. Blocks for as
    /// long as that takes, at most a second or two.
    pub fn stop(&self) {
        for mailbox in self.mailboxes.iter() {
            mailbox.post(|mail| mail.stop = true);
        }
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A reactor that panicked has already ended the process.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// From the node's news to the last notify, for the latest tips.
#[derive(Debug, Default)]
pub(crate) struct Latency(Mutex<(Vec<Duration>, usize)>);

impl Latency {
    pub(crate) fn record(&self, took: Duration) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, next) = &mut *held;
        if all.len() < LATENCIES {
            all.push(took);
        } else {
            all[*next] = took;
        }
        *next = (*next + 1) % LATENCIES;
    }

    fn worst_of_late(&self) -> Duration {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, next) = &*held;
        // The newest lies before the next to be written over.
        let newest = all[..*next].iter().rev().chain(all[*next..].iter().rev());
        newest.take(LATE).max().copied().unwrap_or_default()
    }

    fn all(&self) -> Vec<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

/// A listener whose options its connections inherit: no system calls per connection.
fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let bind = || -> io::Result<TcpListener> {
        let family = match address {
            SocketAddr::V4(_) => rustix::net::AddressFamily::INET,
            SocketAddr::V6(_) => rustix::net::AddressFamily::INET6,
        };
        let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(family, rustix::net::SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER)?;
        sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER)?;
        sockopt::set_socket_keepalive(&socket, true)?;
        sockopt::set_tcp_keepidle(&socket, KEEPALIVE)?;
        sockopt::set_tcp_keepintvl(&socket, KEEPALIVE / 3)?;
        sockopt::set_tcp_keepcnt(&socket, 3)?;
        // What is sent and never acknowledged ends a half-open connection, too.
        sockopt::set_tcp_user_timeout(&socket, 2 * KEEPALIVE.as_millis() as u32)?;
        // BBR, where it is the system's choice, sets a timer for every message; ours are too small and
        // too few for any congestion control to matter. Without this one the system's stays.
        let _ = sockopt::set_tcp_congestion(&socket, "cubic");
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    bind().map_err(|source| StartError::Listen { listen: address, source })
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_the_last_few_tips_counts_also_when_old_ones_are_written_over() {
        let latency = Latency::default();
        assert_eq!(latency.worst_of_late(), Duration::ZERO);
        for ms in 1..=3 * LATENCIES as u64 {
            // Falling, so that the oldest of the last few is the worst.
            latency.record(Duration::from_millis(1_000_000 - ms));
            let oldest = ms.saturating_sub(LATE as u64) + 1;
            assert_eq!(latency.worst_of_late(), Duration::from_millis(1_000_000 - oldest));
        }
    }
}
