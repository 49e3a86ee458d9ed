//! `hearth bench fleet`: what supervising and steering many machines costs, against an emulated farm
//! in a process of its own.
//!
//! The limit beside it is a bare loop that asks each machine one question: connection, request,
//! answer, and nothing made of it.

use crate::Outcome;
use fleet::{
    Command, Control, Device, DeviceId, Endpoint, Identity, Limits,
    circuit::Circuits,
    control::{Clock, Fleet, Setup, bulk, supervise},
    device::Presence,
    drivers,
    identity::Firmware,
    outcome::Count,
};
use futures_util::StreamExt;
use serde::Serialize;
use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Child, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};
use twin::farm::{FarmConfig, Faults};
use units::{Celsius, Watts};

/// Added to every port of the farm, so that it meets nobody's web server.
const SHIFT: u16 = 18_000;
/// Time until every machine of the farm must answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ticks of processor time in a second, as `/proc` counts them on every Linux of today.
const TICKS: f64 = 100.0;

#[derive(clap::Args)]
pub struct Args {
    /// Numbers of machines to measure with.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    devices: Vec<usize>,
    /// Connections at once.
    #[arg(long, default_value_t = 256)]
    sockets: usize,
    /// Time between two readings of a machine, seconds.
    #[arg(long, default_value_t = 5)]
    period: u64,
    /// How long supervision is measured, seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Print one JSON object a line instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    devices: usize,
    sockets: usize,
    floor: Times,
    pause: Orders,
    resume: Orders,
    supervise: Supervised,
}

#[derive(Serialize)]
struct Times {
    p50_ms: f64,
    p99_ms: f64,
    all_ms: f64,
}

#[derive(Serialize)]
struct Orders {
    verified: u64,
    accepted: u64,
    refused: u64,
    unknown: u64,
    #[serde(flatten)]
    times: Times,
}

#[derive(Serialize)]
struct Supervised {
    seconds: f64,
    online: usize,
    oldest_reading_s: Option<f64>,
    cpu_cores: Option<f64>,
    farm_cpu_cores: Option<f64>,
    rss_mib: Option<f64>,
}

struct Farm(Child);

impl Drop for Farm {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub async fn run(args: Args) -> Outcome {
    for devices in &args.devices {
        let report = measure(&args, *devices).await?;
        if args.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            show(&report, args.period);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(args: &Args, count: usize) -> Result<Report, super::Error> {
    let addresses = addresses(count)?;
    let farm = farm(&addresses).await?;
    let floor = floor(&addresses, args.sockets).await?;
    let fleet = fleet(&addresses, args.sockets)?;
    let ids: Vec<DeviceId> = fleet.registry().devices().map(|device| device.id.clone()).collect();
    let told = futures_util::stream::iter(&ids).map(|id| fleet.ask_capabilities(id));
    let told = told.buffer_unordered(args.sockets).filter(|told| std::future::ready(told.is_ok()));
    let told = told.count().await;
    if told < count {
        eprintln!("{} of {count} machines did not tell what they can do", count - told);
    }
    let pause = orders(&fleet, &ids, Command::Pause).await;
    let resume = orders(&fleet, &ids, Command::Resume).await;
    let supervise = supervised(&fleet, args, farm.0.id()).await;
    Ok(Report { devices: count, sockets: args.sockets, floor, pause, resume, supervise })
}

fn addresses(count: usize) -> Result<Vec<SocketAddr>, super::Error> {
    let config = FarmConfig {
        first: Ipv4Addr::new(127, 0, 7, 1),
        machines: Vec::new(),
        stratum: None,
        user: String::new(),
        scale: None,
        speed: 1.0,
        ambient: Celsius::new(25.0)?,
        port_shift: SHIFT,
        faults: Faults::default(),
        light: true,
        seed: 1,
    };
    let address = |i| Some(SocketAddr::from((config.address(i)?, 80 + SHIFT)));
    let all: Option<Vec<SocketAddr>> = (0..count).map(address).collect();
    Ok(all.ok_or("there are not that many loopback addresses: take fewer --devices")?)
}

async fn farm(addresses: &[SocketAddr]) -> Result<Farm, super::Error> {
    let first = addresses.first().ok_or("--devices must be at least 1")?;
    let child = std::process::Command::new(std::env::current_exe()?)
        .args(["twin", "farm", "--light", "--mix", "gamma:1", "--every", "1h"])
        .args(["--devices", &addresses.len().to_string(), "--ports", &SHIFT.to_string()])
        .args(["--first", &first.ip().to_string()])
        .stdout(Stdio::null())
        .stdin(Stdio::null())
        .spawn()?;
    let mut farm = Farm(child);
    let asked = Instant::now();
    // Machines open their ports one after another.
    for at in addresses {
        while ask(*at).await.is_err() {
            if let Some(status) = farm.0.try_wait()? {
                return Err(format!("the emulated farm ended ({status}); it says why above").into());
            }
            if asked.elapsed() > PATIENCE {
                return Err(format!("the emulated machine at {at} does not answer").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(farm)
}

fn fleet(addresses: &[SocketAddr], sockets: usize) -> Result<Arc<Fleet>, super::Error> {
    let open = |device: &Device| drivers::open(device.endpoint?, Firmware::AxeOs).map(Arc::from);
    let fleet = Fleet::new(Setup {
        clock: Clock::start(1.0),
        sockets,
        starts_per_second: 1000,
        circuits: Circuits::default(),
        open: Arc::new(open),
    });
    let limits = Limits {
        chip: Celsius::new(75.0)?,
        regulator: None,
        inlet: None,
        outlet: None,
        input_low: None,
        input_high: None,
        power: None,
    };
    for at in addresses {
        let id = DeviceId::Named(at.ip().to_string());
        let identity = Identity::of(Firmware::AxeOs);
        let mut device = Device::found(id, identity, Control::Firmware, limits);
        device.endpoint = Some(Endpoint { http: at.port(), ..Endpoint::usual(at.ip()) });
        device.declared_power = Some(Watts::new(20.0)?);
        fleet.registry().add(device)?;
    }
    Ok(fleet)
}

/// One question, and all of the answer.
async fn ask(at: SocketAddr) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(at).await?;
    let request =
        format!("GET /api/system/info HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", at.ip());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(4096);
    stream.read_to_end(&mut answer).await
}

async fn floor(addresses: &[SocketAddr], sockets: usize) -> Result<Times, super::Error> {
    let turns = Semaphore::new(sockets);
    let started = Instant::now();
    let asks = addresses.iter().map(|at| async {
        let _turn = turns.acquire().await;
        let began = Instant::now();
        ask(*at).await.map(|_| began.elapsed())
    });
    let times: Result<Vec<Duration>, _> =
        futures_util::future::join_all(asks).await.into_iter().collect();
    Ok(spread(times?, started.elapsed()))
}

async fn orders(fleet: &Arc<Fleet>, ids: &[DeviceId], command: Command) -> Orders {
    let started = Instant::now();
    let orders = ids.iter().map(|id| (id.clone(), command.clone())).collect();
    let (mut count, mut times) = (Count::default(), Vec::with_capacity(ids.len()));
    let mut all = std::pin::pin!(bulk::run(fleet, orders));
    while let Some((_, actuation)) = all.next().await {
        count.add(&actuation.outcome);
        times.push(started.elapsed());
    }
    let Count { verified, accepted, refused, unknown } = count;
    Orders { verified, accepted, refused, unknown, times: spread(times, started.elapsed()) }
}

async fn supervised(fleet: &Arc<Fleet>, args: &Args, farm: u32) -> Supervised {
    let pace =
        supervise::Pace { period: Duration::from_secs(args.period.max(1)), ..Default::default() };
    let task = tokio::spawn(supervise::run(fleet.clone(), pace));
    // The first round is not measured.
    tokio::time::sleep(pace.period).await;
    let (started, own) = (Instant::now(), std::process::id());
    let before = (cpu_seconds(own), cpu_seconds(farm));
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    let after = (cpu_seconds(own), cpu_seconds(farm));
    let seconds = started.elapsed().as_secs_f64();
    let cores = |before: Option<f64>, after: Option<f64>| Some((after? - before?) / seconds);
    let now = fleet.clock.now();
    let registry = fleet.registry();
    let online = registry.devices().filter(|device| device.presence == Presence::Online).count();
    let ages = registry.devices().filter_map(|device| Some(device.settings.as_ref()?.age(now)));
    let result = Supervised {
        seconds,
        online,
        oldest_reading_s: ages.max().map(|age| age.as_secs_f64()),
        cpu_cores: cores(before.0, after.0),
        farm_cpu_cores: cores(before.1, after.1),
        rss_mib: rss_mib(own),
    };
    drop(registry);
    task.abort();
    result
}

fn spread(mut times: Vec<Duration>, all: Duration) -> Times {
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let at = |part: usize| {
        let index = (times.len() * part / 100).min(times.len().saturating_sub(1));
        times.get(index).copied().map_or(f64::NAN, ms)
    };
    Times { p50_ms: at(50), p99_ms: at(99), all_ms: ms(all) }
}

/// Processor time that a process has used.
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; fields 14 and 15 count from after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

fn rss_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

fn show(report: &Report, period: u64) {
    let Report { devices, sockets, floor, pause, resume, supervise } = report;
    println!("{devices} machines, {sockets} sockets at once");
    println!(
        "  one bare question each: {:.1} ms median, {:.1} ms 99 %, all in {:.0} ms",
        floor.p50_ms, floor.p99_ms, floor.all_ms
    );
    for (name, orders) in [("pause", pause), ("resume", resume)] {
        let Orders { verified, accepted, refused, unknown, times } = orders;
        println!(
            "  {name}, given to all at once: {verified} read back, {accepted} taken, {refused} refused, \
             {unknown} unknown; median {:.0} ms, 99 % {:.0} ms, all {:.0} ms",
            times.p50_ms, times.p99_ms, times.all_ms
        );
    }
    let shown = |value: Option<f64>| value.map_or_else(|| "?".into(), |v| format!("{v:.2}"));
    println!(
        "  every {period} s for {:.0} s: {} answer, oldest reading {} s; {} cores here, {} the farm's; {} MiB",
        supervise.seconds,
        supervise.online,
        shown(supervise.oldest_reading_s),
        shown(supervise.cpu_cores),
        shown(supervise.farm_cpu_cores),
        shown(supervise.rss_mib)
    );
}
