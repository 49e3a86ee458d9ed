//! `hearth bench droop`: from a new frequency at the meter to machines that are told, through the whole
//! program: a meter by Modbus TCP, `hearth serve` as a process of its own, emulated machines.

use super::{Error, ground::free_port};
use crate::Outcome;
use api::Status;
use serde::Serialize;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use twin::{
    energy::{Meter, Shown, registers},
    farm::{Farm, FarmConfig, Faults, Kind},
    node::{NodeOptions, PrivateNetwork, PrivateNode},
};
use units::{Celsius, Hertz};

const NOMINAL: f64 = 60.0;
/// Below the step at which everything goes.
const LOW: f64 = 59.6;
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 83, 1);
const PATIENCE: Duration = Duration::from_secs(60);
/// Its multiples fall nowhere twice.
const GOLDEN: f64 = 0.618_033_988_75;
/// Machines must be told within this.
const LIMIT_MS: f64 = 100.0;

#[derive(clap::Args)]
pub struct Args {
    /// Machines that are told, 1 to 200.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=200))]
    devices: u8,
    /// How often the frequency falls.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Milliseconds from the meter's new frequency.
#[derive(Serialize)]
struct Report {
    devices: u8,
    times: usize,
    first_ms_p50: f64,
    first_ms_max: f64,
    last_ms_p50: f64,
    last_ms_p99: f64,
    last_ms_max: f64,
    limit_ms: f64,
}

/// The program under measurement; it ends with this.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub async fn run(args: Args) -> Outcome {
    let node = tokio::task::spawn_blocking(|| {
        PrivateNode::start(NodeOptions::new(PrivateNetwork::Signet))
    })
    .await??;
    let meter = Meter::start(([127, 0, 0, 1], 0).into()).await?;
    let show = |hertz: f64| -> Result<(), Error> {
        meter.show(Shown { frequency: Some(Hertz::new(hertz)?), ..Shown::default() });
        Ok(())
    };
    show(NOMINAL)?;
    let farm = Farm::start(FarmConfig {
        first: FIRST,
        machines: vec![Kind::BitaxeGamma; usize::from(args.devices)],
        stratum: None,
        user: String::new(),
        scale: None,
        speed: 1.0,
        ambient: Celsius::new(25.0)?,
        port_shift: 0,
        faults: Faults::default(),
        light: true,
        seed: 1,
    })
    .await?;
    let folder = tempfile::Builder::new().prefix("hearth-bench-").tempdir()?;
    let web = free_port()?;
    let file = folder.path().join("hearth.toml");
    fs::write(&file, configuration(&node, web, meter.address(), args.devices)?)?;
    let log = folder.path().join("log");
    let mut serving = Serving(
        Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()?,
    );
    let ready = Instant::now();
    loop {
        if let Some(status) = serving.0.try_wait()? {
            return Err(
                format!("the server ended ({status}): {}", fs::read_to_string(&log)?).into()
            );
        }
        let loads = status(web).await.ok().and_then(|status| status.energy);
        let loads = loads.map_or(0, |energy| energy.loads.len());
        if loads == usize::from(args.devices) {
            break;
        }
        if ready.elapsed() > PATIENCE {
            let said = fs::read_to_string(&log)?;
            return Err(
                format!("{loads} of {} machines can be steered: {said}", args.devices).into()
            );
        }
        sleep(Duration::from_millis(100)).await;
    }
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for time in 0..args.times {
        // Spread evenly over the second of an ordinary decision.
        let phase = (f64::from(time) * GOLDEN).fract();
        sleep(Duration::from_secs_f64(2.0 + phase)).await;
        let begun = Instant::now();
        show(LOW)?;
        let (one, all) = told(&farm, begun, false).await?;
        first.push(one);
        last.push(all);
        show(NOMINAL)?;
        told(&farm, Instant::now(), true).await?;
    }
    report(&args, first, last)
}

/// Milliseconds until the first and until the last machine has taken the command.
async fn told(farm: &Farm, begun: Instant, mining: bool) -> Result<(f64, f64), Error> {
    let mut first = None;
    loop {
        let taken = farm.machines().iter().filter(|one| one.setting().mining == mining).count();
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        if taken > 0 {
            first.get_or_insert(ms);
        }
        if let Some(first) = first.filter(|_| taken == farm.machines().len()) {
            return Ok((first, ms));
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("{taken} of {} machines were told", farm.machines().len()).into());
        }
        sleep(Duration::from_micros(500)).await;
    }
}

fn report(args: &Args, mut first: Vec<f64>, mut last: Vec<f64>) -> Outcome {
    first.sort_by(f64::total_cmp);
    last.sort_by(f64::total_cmp);
    let at = |all: &[f64], part: usize| {
        all.get((all.len() * part / 100).min(all.len().saturating_sub(1))).copied()
    };
    let of = |all: &[f64], part| at(all, part).ok_or("nothing was measured");
    let report = Report {
        devices: args.devices,
        times: last.len(),
        first_ms_p50: of(&first, 50)?,
        first_ms_max: of(&first, 100)?,
        last_ms_p50: of(&last, 50)?,
        last_ms_p99: of(&last, 99)?,
        last_ms_max: of(&last, 100)?,
        limit_ms: LIMIT_MS,
    };
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{} times {NOMINAL} → {LOW} Hz at a meter read every 20 ms, {} machines (limit {LIMIT_MS} ms):\n  \
         first told after {:.1} ms median, {:.1} ms at most; last after {:.1} ms median, {:.1} ms 99 %, \
         {:.1} ms at most",
        report.times,
        report.devices,
        report.first_ms_p50,
        report.first_ms_max,
        report.last_ms_p50,
        report.last_ms_p99,
        report.last_ms_max
    );
    Ok(ExitCode::SUCCESS)
}

async fn status(web: SocketAddr) -> Result<Status, Error> {
    let mut stream = TcpStream::connect(web).await?;
    let request = format!("GET /api/v1/status HTTP/1.0\r\nHost: {web}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    Ok(serde_json::from_str(body)?)
}

fn configuration(
    node: &PrivateNode,
    web: SocketAddr,
    meter: SocketAddr,
    devices: u8,
) -> Result<String, Error> {
    let [a, b, c, first] = FIRST.octets();
    let last = u16::from(first) + u16::from(devices) - 1;
    Ok(format!(
        r#"network = "signet"
data_dir = "data"
[[node]]
url = "{}"
cookie = "{}"
[[stratum.port]]
listen = "{}"
[web]
listen = "{web}"
[fleet]
scan = ["{a}.{b}.{c}.{first}-{last}"]
mdns = false
[energy]
enabled = true
[energy.droop]
nominal = {NOMINAL:.1}
[[energy.droop.step]]
below = 59.7
recall = "1s"
[[energy.modbus]]
host = "{}"
port = {}
every = "20ms"
timeout = "300ms"
synthetic = true
[[energy.modbus.register]]
signal = "frequency"
address = {}
type = "u32"
scale = 0.001
"#,
        node.rpc_url(),
        node.cookie_path().display(),
        free_port()?,
        meter.ip(),
        meter.port(),
        registers::FREQUENCY,
    ))
}
