//! A farm that runs: machines, their listeners, their sessions, the threads that let time pass and
//! hash, and the breakers that watch what all of them draw.

use super::{
    FarmConfig, Fault, Kind, Output,
    device::{Device, Place, World, power_of, settled},
    firmware::Pool,
    sockets,
    work::{self, Rig},
};
use rustix::process::{Resource, getrlimit};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::Semaphore,
    task::AbortHandle,
};
use units::{Celsius, Watts};

/// How often hashes are done and, at most, physics stepped, in real time.
const TURN: Duration = Duration::from_millis(20);
/// After a longer gap the processor was elsewhere for too long: what was due meanwhile stays undone.
const CATCH_UP: Duration = Duration::from_secs(5);
/// More machines than this share two threads.
const MANY: usize = 100;
/// A machine without work for this long, emulated, stops its chips.
const WORKLESS: Duration = Duration::from_secs(30);
/// A breaker trips if its limit is exceeded for longer, emulated.
const BREAKER_DELAY: Duration = Duration::from_secs(1);
/// Connections to all machines at once.
const MAX_CONNECTIONS: usize = 16_000;
const BACKLOG: u32 = 4096;
/// Descriptors for everything that is not a machine's.
const SPARE: u64 = 100;

/// Why a farm cannot start.
#[derive(Debug, thiserror::Error)]
pub enum FarmError {
    /// Not in 127.0.0.0/8.
    #[error("{0} is not an address of this computer alone; take one in 127.0.0.0/8")]
    NotLoopback(Ipv4Addr),
    /// The addresses end before the machines do.
    #[error("{0} machines do not fit behind {1}; start at a lower address or take fewer")]
    TooMany(usize, Ipv4Addr),
    /// A speed or scale that stands for nothing.
    #[error("{0} must be a positive number")]
    NotPositive(&'static str),
    /// A shift beyond the last port.
    #[error("port {0} shifted by {1} is beyond 65535; shift by less")]
    Port(u16, u16),
    /// The stratum server's address makes no sense.
    #[error("\"{0}\" is not a server address; write it like 127.0.0.1:3333")]
    Stratum(String),
    /// Low ports are the system's.
    #[error(
        "this user may not listen on port {0}; shift the ports (--ports 8000) or allow it with \
         sysctl net.ipv4.ip_unprivileged_port_start=80"
    )]
    Denied(u16),
    /// Somebody else listens there.
    #[error("{0} cannot be listened on: {1}; take another first address or shift the ports")]
    Listen(SocketAddr, #[source] io::Error),
    /// More sockets than this process may have.
    #[error(
        "these machines need {needed} open files and the limit is {limit}; raise it with \
         ulimit -n, take fewer machines, or make them light"
    )]
    Files {
        /// Sockets of all machines.
        needed: u64,
        /// Of this process.
        limit: u64,
    },
    /// No thread.
    #[error("the system refused a thread for the farm: {0}; use fewer machines")]
    Thread(#[source] io::Error),
}

/// A running farm; it stops when dropped.
pub struct Farm {
    devices: Arc<[Arc<Device>]>,
    world: Arc<World>,
    breakers: Arc<Mutex<Vec<Breaker>>>,
    tasks: Vec<AbortHandle>,
    threads: Vec<JoinHandle<()>>,
}

/// A breaker over some machines.
#[derive(Debug, Clone)]
struct Breaker {
    machines: Range<usize>,
    limit: Watts,
    over_since: Option<Duration>,
    tripped: Option<Duration>,
    most: Watts,
}

impl Farm {
    /// Starts it: all machines have been running for half an hour, are warm, and look for their server
    /// now. Needs a tokio runtime, which its sockets keep to.
    pub async fn start(config: FarmConfig) -> Result<Self, FarmError> {
        check(&config)?;
        let step = if config.light { Duration::from_secs(1) } else { FarmConfig::STEP };
        let world = Arc::new(World::new(config.speed, step, config.light, config.ambient));
        let devices: Arc<[_]> = devices(&config, &world)?.into();
        let mut farm = Self {
            devices,
            world,
            breakers: Arc::default(),
            tasks: Vec::new(),
            threads: Vec::new(),
        };
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        if config.light {
            farm.listen_for_all(&config, &room)?;
        } else {
            for device in farm.devices.clone().iter() {
                farm.listen_for(device, &config, &room)?;
                if config.stratum.is_some() {
                    farm.tasks.push(tokio::spawn(work::keep(device.clone())).abort_handle());
                }
            }
            farm.let_time_pass(&config)?;
        }
        Ok(farm)
    }

    /// Its machines, in order of address.
    pub fn machines(&self) -> &[Arc<Device>] {
        &self.devices
    }

    /// What comes out of one of them; `None` if there are fewer.
    pub fn output(&self, machine: usize) -> Option<Output> {
        self.devices.get(machine).map(|device| device.output())
    }

    /// The machine with this address.
    pub fn at(&self, address: IpAddr) -> Option<&Arc<Device>> {
        self.devices.iter().find(|device| IpAddr::V4(device.address()) == address)
    }

    /// Emulated time since the start.
    pub fn now(&self) -> Duration {
        self.world.now()
    }

    /// The air from now on.
    pub fn set_ambient(&self, ambient: Celsius) {
        self.world.set_ambient(ambient);
    }

    /// The air.
    pub fn ambient(&self) -> Celsius {
        self.world.ambient()
    }

    /// Makes a machine misbehave from now on, or behave.
    pub fn set_fault(&self, machine: usize, fault: Option<Fault>) {
        if let Some(device) = self.devices.get(machine) {
            device.set_fault(fault);
        }
    }

    /// Power at the plug of a machine, as a switched outlet gives and takes it.
    pub fn power(&self, machine: usize, on: bool) {
        if let Some(device) = self.devices.get(machine) {
            device.power(on);
        }
    }

    /// What all machines draw now: the meter at the site's door.
    pub fn meter(&self) -> Watts {
        power_of(&self.devices)
    }

    /// A breaker over all machines: see [`Farm::breaker_over`].
    pub fn breaker(&self, limit: Watts) -> usize {
        self.breaker_over(0..self.devices.len(), limit)
    }

    /// A breaker over these machines, which cuts their power once they draw more than its limit for
    /// longer than a second. Light farms have none. Gives its number.
    pub fn breaker_over(&self, machines: Range<usize>, limit: Watts) -> usize {
        let machines = machines.start..machines.end.min(self.devices.len());
        let mut breakers = locked(&self.breakers);
        let most = Watts::ZERO;
        breakers.push(Breaker { machines, limit, over_since: None, tripped: None, most });
        breakers.len() - 1
    }

    /// When a breaker tripped, in emulated time; `None` if it has not.
    pub fn tripped(&self, breaker: usize) -> Option<Duration> {
        locked(&self.breakers).get(breaker)?.tripped
    }

    /// The most that ever went through a breaker.
    pub fn most(&self, breaker: usize) -> Option<Watts> {
        locked(&self.breakers).get(breaker).map(|breaker| breaker.most)
    }

    /// Switches a tripped breaker, and its machines, on again.
    pub fn reset(&self, breaker: usize) {
        let machines = match locked(&self.breakers).get_mut(breaker) {
            Some(breaker) => {
                (breaker.tripped, breaker.over_since) = (None, None);
                breaker.machines.clone()
            }
            None => return,
        };
        for device in self.devices.get(machines).unwrap_or_default() {
            device.power(true);
        }
    }

    /// Stops everything; connections close.
    pub async fn stop(mut self) {
        self.end();
        let threads = std::mem::take(&mut self.threads);
        let joined =
            tokio::task::spawn_blocking(|| threads.into_iter().all(|thread| thread.join().is_ok()));
        if !joined.await.unwrap_or(false) {
            tracing::error!("a thread of the farm panicked");
        }
    }

    fn end(&mut self) {
        self.world.stop();
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }

    fn listen_for(
        &mut self,
        device: &Arc<Device>,
        config: &FarmConfig,
        room: &Arc<Semaphore>,
    ) -> Result<(), FarmError> {
        for port in device.ports() {
            let listener = listen(device.address(), *port, config.port_shift)?;
            let device = device.clone();
            let find = move |_: &SocketAddr| Some(device.clone());
            self.accept(listener, *port, room.clone(), find);
        }
        Ok(())
    }

    /// One listener a port: ten thousand machines would take more descriptors than there are.
    fn listen_for_all(
        &mut self,
        config: &FarmConfig,
        room: &Arc<Semaphore>,
    ) -> Result<(), FarmError> {
        let map = self.devices.iter().map(|device| (IpAddr::V4(device.address()), device.clone()));
        let map: Arc<HashMap<IpAddr, Arc<Device>>> = Arc::new(map.collect());
        let ports: BTreeSet<u16> = kinds(&self.devices).flat_map(|d| d.ports()).copied().collect();
        for port in ports {
            let listener = listen(Ipv4Addr::UNSPECIFIED, port, config.port_shift)?;
            let map = map.clone();
            let find = move |to: &SocketAddr| {
                let device = map.get(&to.ip()).filter(|device| device.ports().contains(&port));
                device.cloned()
            };
            self.accept(listener, port, room.clone(), find);
        }
        Ok(())
    }

    fn accept(
        &mut self,
        listener: TcpListener,
        port: u16,
        room: Arc<Semaphore>,
        find: impl Fn(&SocketAddr) -> Option<Arc<Device>> + Send + 'static,
    ) {
        let world = self.world.clone();
        let accept = async move {
            while !world.stopped() {
                let Ok(permit) = room.clone().acquire_owned().await else { return };
                let stream = match listener.accept().await {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Out of descriptors, or the client has gone already.
                        tracing::debug!(%error, "a connection was not accepted");
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                };
                // Nobody else's address is answered for: the connection just closes.
                let Some(device) = stream.local_addr().ok().as_ref().and_then(&find) else {
                    continue;
                };
                tokio::spawn(async move {
                    sockets::serve(device, port, stream).await;
                    drop(permit);
                });
            }
        };
        self.tasks.push(tokio::spawn(accept).abort_handle());
    }

    fn let_time_pass(&mut self, config: &FarmConfig) -> Result<(), FarmError> {
        let threads = if self.devices.len() > MANY { 2 } else { 1 };
        for first in 0..threads {
            let devices: Vec<_> =
                self.devices.iter().skip(first).step_by(threads).cloned().collect();
            let world = self.world.clone();
            let mines = config.stratum.is_some();
            let seed = config.seed;
            // One of the threads watches the breakers.
            let breakers = (first == 0).then(|| (self.breakers.clone(), self.devices.clone()));
            let run = move || run(&devices, &world, mines, seed, breakers.as_ref());
            let name = format!("farm-{first}");
            let thread = thread::Builder::new().name(name).spawn(run);
            self.threads.push(thread.map_err(FarmError::Thread)?);
        }
        Ok(())
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.end();
    }
}

type Watched = (Arc<Mutex<Vec<Breaker>>>, Arc<[Arc<Device>]>);

/// Lets time pass for these machines until the farm stops.
fn run(devices: &[Arc<Device>], world: &World, mines: bool, seed: u64, watched: Option<&Watched>) {
    let mut rigs: Vec<_> = devices
        .iter()
        .map(|device| {
            let address = u64::from(u32::from(device.address()));
            (device, Rig::new(seed ^ address << 32), Duration::ZERO)
        })
        .collect();
    let mut last = Instant::now();
    while !world.stopped() {
        let now = Instant::now();
        let passed = (now - last).min(CATCH_UP).as_secs_f64() * world.speed;
        last = now;
        let emulated = world.now();
        for (device, rig, worked) in &mut rigs {
            let output = device.advance();
            if !mines {
                continue;
            }
            if rig.has_work(&device.link) {
                *worked = emulated;
                device.workless(false);
                let real =
                    |rate: units::Hashrate| rate.hashes_per_second() * passed / device.scale();
                let (good, tried) = (real(output.good), real(output.tried));
                rig.work(&device.link, good, tried - good);
            } else if emulated.saturating_sub(*worked) > WORKLESS {
                device.workless(true);
            }
        }
        if let Some((breakers, devices)) = watched {
            for breaker in locked(breakers).iter_mut() {
                watch(breaker, devices, emulated);
            }
        }
        thread::sleep(TURN.saturating_sub(now.elapsed()));
    }
}

fn watch(breaker: &mut Breaker, devices: &[Arc<Device>], now: Duration) {
    let devices = devices.get(breaker.machines.clone()).unwrap_or_default();
    let drawn = power_of(devices);
    breaker.most = breaker.most.max(drawn);
    if drawn <= breaker.limit {
        breaker.over_since = None;
        return;
    }
    let since = *breaker.over_since.get_or_insert(now);
    if breaker.tripped.is_none() && now.saturating_sub(since) > BREAKER_DELAY {
        breaker.tripped = Some(now);
        devices.iter().for_each(|device| device.power(false));
    }
}

fn check(config: &FarmConfig) -> Result<(), FarmError> {
    if !config.first.is_loopback() {
        return Err(FarmError::NotLoopback(config.first));
    }
    let positive = |value: f64| value.is_finite() && value > 0.0;
    if !positive(config.speed) {
        return Err(FarmError::NotPositive("speed"));
    }
    if !config.scale.is_none_or(positive) {
        return Err(FarmError::NotPositive("scale"));
    }
    let stratum = config.stratum.as_deref();
    if let Some(bad) = stratum.filter(|server| {
        let port = server.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        !port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
    }) {
        return Err(FarmError::Stratum(bad.into()));
    }
    // Two or three listeners and a session each.
    let needed = if config.light { 0 } else { config.machines.len() as u64 * 4 } + SPARE;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Err(FarmError::Files { needed, limit }),
        _ => Ok(()),
    }
}

fn devices(config: &FarmConfig, world: &Arc<World>) -> Result<Vec<Arc<Device>>, FarmError> {
    let count = config.machines.len();
    let settled: HashMap<Kind, _> = Kind::ALL
        .into_iter()
        .filter(|kind| config.machines.contains(kind))
        .map(|kind| (kind, settled(kind, config.ambient)))
        .collect();
    let faults = config.faults.all(count);
    let mut numbers = HashMap::new();
    config
        .machines
        .iter()
        .zip(faults)
        .enumerate()
        .filter_map(|(index, (kind, fault))| Some((index, *kind, fault, settled.get(kind)?)))
        .map(|(index, kind, fault, machine)| {
            let address = config.address(index).ok_or(FarmError::TooMany(count, config.first))?;
            let number = numbers.entry(kind).and_modify(|n| *n += 1).or_insert(1);
            let name = format!("{}-{number}", kind.name());
            let pools = config.stratum.iter().map(|server| Pool {
                url: format!("stratum+tcp://{server}"),
                user: format!("{}.{name}", config.user),
                password: "x".into(),
            });
            let place = Place {
                kind,
                address,
                scale: config.scale_of(kind),
                seed: config.seed << 24 | index as u64,
                fault,
                pools: pools.collect(),
                name,
            };
            Ok(Arc::new(Device::new(place, machine.clone(), world.clone())))
        })
        .collect()
}

/// One machine of each kind.
fn kinds(devices: &[Arc<Device>]) -> impl Iterator<Item = &Arc<Device>> {
    Kind::ALL.into_iter().filter_map(|kind| devices.iter().find(|device| device.kind() == kind))
}

fn listen(address: Ipv4Addr, port: u16, shift: u16) -> Result<TcpListener, FarmError> {
    let shifted = port.checked_add(shift).ok_or(FarmError::Port(port, shift))?;
    let address = SocketAddr::new(IpAddr::V4(address), shifted);
    let listener = TcpSocket::new_v4().and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    });
    listener.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => FarmError::Denied(shifted),
        _ => FarmError::Listen(address, error),
    })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
