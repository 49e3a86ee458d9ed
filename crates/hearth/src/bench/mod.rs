//! `hearth bench`: what a Stratum server costs, seen from outside.
//!
//! Without `--server` it measures this very program, started as a process of its own over a private
//! signet whose mempool is full, so that jobs have the 12 merkle branches of a full block.

mod droop;
mod fleet;
mod floor;
mod ground;

use crate::{Outcome, miner_cmd::duration};
use ground::Ground;
use serde::Serialize;
use std::{net::SocketAddr, process::ExitCode, time::Duration};
use twin::load::{
    ConnectResult, Load, LoadConfig, LoadError, MemoryResult, NotifyResult, Pattern, Soak,
    SoakResult, SubmitResult, raise_descriptor_limit,
};

/// Connections that send shares.
const WORKING: usize = 100;

/// What can be measured.
#[derive(clap::Subcommand)]
pub enum Bench {
    /// A Stratum server: handshakes, memory, jobs and shares.
    Stratum(StratumArgs),
    /// A fleet: time to command, and what supervising costs.
    Fleet(fleet::Args),
    /// Frequency droop: from the meter to machines that are told.
    Droop(droop::Args),
}

#[derive(clap::Args)]
pub struct StratumArgs {
    /// A server to measure, host:port; without it this program's own, on a private signet.
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<SocketAddr>,
    /// Process of that server, for its processor time and memory; may be repeated.
    #[arg(long, requires = "server")]
    pid: Vec<u32>,
    /// Wait for that server to be started on a private node of ours, which the command then tells how
    /// to reach, and measure jobs too.
    #[arg(long, requires = "server", conflicts_with = "pid")]
    private_node: bool,
    /// User names; {i} becomes the connection's number. Needed with --server.
    #[arg(long, requires = "server")]
    user: Option<String>,
    /// Password; some servers read a difficulty in it, such as d=0.000001.
    #[arg(long, default_value = "x")]
    password: String,
    /// Connections for handshakes, memory and jobs.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Shares of each pattern, sent one after the other.
    #[arg(long, default_value_t = 50_000)]
    shares: u64,
    /// Instead: steady work with reconnections and bad neighbours for this long, such as 5m.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    soak: Option<Duration>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, Default)]
struct Report {
    floor: Option<floor::Floor>,
    connect: Option<ConnectResult>,
    memory: Option<MemoryResult>,
    notify: Vec<NotifyResult>,
    shares: Vec<SubmitResult>,
    soak: Option<SoakResult>,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

pub async fn run(bench: Bench) -> Outcome {
    let args = match bench {
        Bench::Stratum(args) => args,
        Bench::Fleet(args) => return fleet::run(args).await,
        Bench::Droop(args) => return droop::run(args).await,
    };
    // Everything here is blocking by nature: one thread, its own event loop.
    let report = tokio::task::spawn_blocking(move || {
        let report = measure(&args)?;
        if args.json {
            println!("{}", serde_json::to_string(&report)?);
        }
        Ok::<_, Error>(())
    });
    report.await??;
    Ok(ExitCode::SUCCESS)
}

fn measure(args: &StratumArgs) -> Result<Report, Error> {
    raise_descriptor_limit()?;
    let say = |text: String| match args.json {
        true => eprintln!("{text}"),
        false => println!("{text}"),
    };
    let mut ground = match args.server {
        Some(_) if !args.private_node => None,
        _ => Some(Ground::prepare(&|text| eprintln!("{text}"))?),
    };
    let mut own_pids = args.pid.clone();
    match (&mut ground, args.server) {
        (Some(ground), Some(server)) => {
            ground.give_way()?;
            eprintln!("{}", ground.how_to_reach_the_node()?);
            own_pids = ground::wait_for(server)?;
        }
        (Some(ground), None) => own_pids = vec![ground.pid()],
        (None, _) => {}
    }
    let ground = ground;
    let config = |pids: Vec<u32>, keep_jobs: bool| -> Result<LoadConfig, Error> {
        let (server, user, password) = match (args.server, &ground) {
            (Some(server), ground) => {
                let own = ground.as_ref().map(Ground::user);
                let user = args.user.clone().or(own);
                let user = user.ok_or("--server needs --user, such as ADDRESS.w{i}")?;
                (server, user, args.password.clone())
            }
            (None, Some(ground)) => (ground.server(), ground.user(), "x".to_string()),
            (None, None) => return Err("no server".into()),
        };
        // Under the per-address limits of any server, and more ports than one address has.
        let sources = if server.ip().is_loopback() { 20 } else { 0 };
        Ok(LoadConfig { password, pids, sources, keep_jobs, ..LoadConfig::new(server, user) })
    };
    let pids = || own_pids.clone();
    let mut report = Report::default();

    if let Some(time) = args.soak {
        let mut load = Load::open(config(pids(), true)?)?;
        load.connect(WORKING * 5)?;
        let soak = Soak {
            seconds: time.as_secs_f64(),
            per_second: 2000.0,
            churn_per_second: 10.0,
            silent: 200,
            slow: 50,
            garbage: 50,
            sample_every: 10.0,
        };
        let result = load.soak(soak, |sample| say(format!("{sample:?}")))?;
        show_soak(&result, &say);
        report.soak = Some(result);
        return Ok(report);
    }

    let floor = floor::measure()?;
    say(format!(
        "the kernel's floor here: {:.1} us of CPU to send one job, {:.1} to receive it; \
         {:.1} and {:.1} for 200 bytes over a warm connection",
        floor.send_us, floor.receive_us, floor.warm_send_us, floor.warm_receive_us
    ));
    report.floor = Some(floor);
    {
        let mut load = Load::open(config(pids(), false)?)?;
        let connect = load.connect(args.connections)?;
        say(format!(
            "{} of {} connected and holding a job in {:.0} ms; server {} us of CPU each, bench {:.1}",
            connect.connected,
            connect.asked,
            connect.wall_ms,
            shown(connect.server_cpu_us_each),
            connect.own_cpu_us_each
        ));
        report.connect = Some(connect);
        report.memory = load.memory()?;
        if let Some(memory) = &report.memory {
            say(format!(
                "memory: {:.2} KiB a connection ({} -> {} KiB)",
                memory.rss_kib_each, memory.before.rss_kib, memory.after.rss_kib
            ));
        }
        if let Some(ground) = &ground {
            for _ in 0..5 {
                let result = load.notify(|| ground.new_block())?;
                show_notify(&result, &say);
                report.notify.push(result);
            }
        }
        load.close();
    }
    let mut load = Load::open(config(pids(), true)?)?;
    load.connect(WORKING)?;
    let depth = |connections, depth| Pattern::Depth { connections, depth, shares: args.shares };
    for pattern in [
        depth(1, 1),
        depth(WORKING, 1),
        depth(4, 64),
        depth(WORKING, 64),
        Pattern::Paced { connections: WORKING, per_second: 2000.0, seconds: 10.0 },
    ] {
        match load.submit(pattern) {
            Ok(result) => {
                show_shares(&result, &say);
                report.shares.push(result);
            }
            Err(error @ LoadError::TooHard { .. }) => {
                say(format!("shares not measured: {error}"));
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(report)
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "?".into(), |value| format!("{value:.2}"))
}

fn show_notify(result: &NotifyResult, say: &dyn Fn(String)) {
    let spread = |spread: &Option<twin::load::Spread>| match spread {
        Some(s) => format!("first {:.2}, median {:.1}, last {:.1} ms", s.first, s.median, s.last),
        None => "none".into(),
    };
    say(format!(
        "new block: {} of {} notified, {}; with transactions {}; {:.1} jobs a miner, \
         server {} us of CPU a miner, bench {:.1}",
        result.notified,
        result.connections,
        spread(&result.clean_ms),
        spread(&result.full_ms),
        result.jobs as f64 / result.connections.max(1) as f64,
        shown(result.server_cpu_us_each),
        result.own_cpu_us_each
    ));
}

fn show_shares(result: &SubmitResult, say: &dyn Fn(String)) {
    let pattern = match result.pattern {
        Pattern::Depth { connections, depth, .. } => {
            format!("{depth} at a time on {connections} connections")
        }
        Pattern::Paced { connections, per_second, .. } => {
            format!("paced at {per_second:.0}/s over {connections} connections")
        }
    };
    say(format!(
        "shares {pattern}: {} accepted, {} rejected, {:.0}/s; server {} us of CPU a share, bench {:.2}; latency {}",
        result.accepted,
        result.rejected,
        result.per_second,
        shown(result.server_cpu_us_each),
        result.own_cpu_us_each,
        match &result.latency_us {
            Some(s) => format!("median {:.0}, 99 % {:.0} us", s.median, s.p99),
            None => "?".into(),
        }
    ));
}

fn show_soak(result: &SoakResult, say: &dyn Fn(String)) {
    say(format!(
        "soak: {} sent, {} accepted, rejected {:?}, {} voided by new blocks, {} unanswered of which on \
         cut connections {}; {} good connections lost {:?}; {} bad ones closed; server {} s of CPU",
        result.sent,
        result.accepted,
        result.rejected_by_reason,
        result.invalidated,
        result.unanswered,
        result.cut,
        result.lost_connections,
        result.lost_by_reason,
        result.bad_closed,
        shown(result.server_cpu_s)
    ));
}
