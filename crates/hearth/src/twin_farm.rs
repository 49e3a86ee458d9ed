//! `hearth twin farm`: emulated machines on the command line. The machines themselves are in `twin`.

use crate::{Outcome, miner_cmd::duration, shutdown};
use serde::Serialize;
use std::{
    collections::BTreeMap, f64::consts::TAU, fmt::Write, net::Ipv4Addr, path::PathBuf,
    process::ExitCode, sync::Arc, time::Duration,
};
use tokio::{
    select,
    time::{Instant, interval_at, sleep},
};
use twin::farm::{Device, Farm, FarmConfig, Faults, Kind, Phase};
use units::{Celsius, Hashrate, Watts};

/// Machines that are shown one by one; more are shown by their kind.
const SHOWN: usize = 24;
/// How often the air is moved, in real time.
const BREATH: Duration = Duration::from_millis(200);

/// What a farm is told.
#[derive(clap::Args)]
pub struct Args {
    /// Machines in all; without it as many as --mix says, or six, one of each kind.
    #[arg(long, value_name = "COUNT")]
    devices: Option<usize>,
    /// How many of each kind, such as gamma:100,luxos-s19kpro:40; with --devices these are shares.
    /// Kinds: gamma, braiins-s21pro, whatsminer-m30s++, antminer-s21, luxos-s19kpro, avalon-q.
    #[arg(long, value_name = "MIX", value_parser = mix)]
    mix: Option<Mix>,
    /// Address of the first machine; the others follow it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.7.1")]
    first: Ipv4Addr,
    /// Where they mine, host:port on this computer; without it they only answer.
    #[arg(long, value_name = "HOST:PORT")]
    stratum: Option<String>,
    /// User name; each machine adds a dot and its own name.
    #[arg(long, default_value = "farm")]
    user: String,
    /// The air around them.
    #[arg(long, value_name = "TEMPERATURE", default_value = "25 C")]
    ambient: Celsius,
    /// Lets the air rise by so much and fall again within a time, such as 15C/1h.
    #[arg(long, value_name = "KELVIN/TIME", value_parser = swing)]
    ambient_swing: Option<Swing>,
    /// Emulated seconds in a real one.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Emulated hashes for each real one; without it each kind does about 2 kH/s in truth.
    #[arg(long)]
    scale: Option<f64>,
    /// Shares of machines that misbehave, such as silent:5%,mute:1%,slow=3s:2%. Also: loud, lost-pools,
    /// lost-mode, lost-settings, reboot, garbage, endless, lies=1.3, no-sensors.
    #[arg(long, value_name = "FAULTS", default_value = "")]
    faults: Faults,
    /// No mining and no steady physics: thousands of machines for tests of control alone.
    #[arg(long, conflicts_with = "stratum")]
    light: bool,
    /// Adds this to every port, where low ports are the system's: 8000 makes 8080 of 80.
    #[arg(long, value_name = "SHIFT", default_value_t = 0)]
    ports: u16,
    /// Seed of all that is random: addresses, serial numbers, faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes the fleet's configuration for these machines into this file.
    #[arg(long, value_name = "FILE")]
    declare: Option<PathBuf>,
    /// Stop after this time, such as 30s or 10m; without it, at Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Time between two tables.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    every: Duration,
    /// Print one JSON object a line instead of tables.
    #[arg(long)]
    json: bool,
}

type Mix = Vec<(Kind, usize)>;

/// How the air moves.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Swing {
    kelvin: f64,
    period: Duration,
}

/// Runs the farm until the time is up or a signal asks to stop.
pub async fn run(args: Args) -> Outcome {
    let stop = shutdown::listen()?;
    let config = config(&args)?;
    let farm = Farm::start(config.clone()).await?;
    if let Some(file) = &args.declare {
        std::fs::write(file, declaration(farm.machines()))
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    }
    if !args.json {
        print!("{}", heading(&config, &farm));
    }
    let started = Instant::now();
    let end = async {
        match args.time {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let mut tables = interval_at(started + args.every.min(Duration::from_secs(1)), args.every);
    let mut breaths = tokio::time::interval(BREATH);
    tokio::pin!(stop, end);
    loop {
        select! {
            _ = &mut stop => break,
            () = &mut end => break,
            _ = breaths.tick(), if args.ambient_swing.is_some() => {
                farm.set_ambient(air(args.ambient, args.ambient_swing, farm.now()));
            }
            _ = tables.tick() => show(&farm, args.json)?,
        }
    }
    show(&farm, args.json)?;
    farm.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn config(args: &Args) -> Result<FarmConfig, String> {
    let mix = args.mix.clone().unwrap_or_else(|| Kind::ALL.map(|kind| (kind, 1)).to_vec());
    let machines = machines(&mix, args.devices);
    if machines.is_empty() {
        return Err("a farm needs at least one machine".into());
    }
    Ok(FarmConfig {
        first: args.first,
        machines,
        stratum: args.stratum.clone(),
        user: args.user.clone(),
        scale: args.scale,
        speed: args.speed,
        ambient: args.ambient,
        port_shift: args.ports,
        faults: args.faults.clone(),
        light: args.light,
        seed: args.seed,
    })
}

/// The kinds in order; with a count, as many in all, in the mix's proportions.
fn machines(mix: &Mix, count: Option<usize>) -> Vec<Kind> {
    let all: usize = mix.iter().map(|(_, part)| part).sum();
    let count = count.unwrap_or(all);
    let mut machines = Vec::with_capacity(count);
    let mut until = 0;
    for (kind, part) in mix {
        until += part;
        machines.resize((until * count).checked_div(all).unwrap_or(0), *kind);
    }
    machines
}

fn air(base: Celsius, swing: Option<Swing>, now: Duration) -> Celsius {
    let rise = swing.map_or(0.0, |swing| {
        let phase = now.as_secs_f64() / swing.period.as_secs_f64();
        swing.kelvin * (1.0 - (TAU * phase).cos()) / 2.0
    });
    Celsius::new(base.get() + rise).unwrap_or(base)
}

fn declaration(machines: &[Arc<Device>]) -> String {
    let mut text = String::new();
    for machine in machines {
        let (name, address, scale) = (machine.name(), machine.address(), machine.scale());
        let _ = writeln!(
            text,
            "[[fleet.device]]\nname = \"{name}\"\nip = \"{address}\"\nwork_scale = {scale:?}\n"
        );
    }
    text
}

fn heading(config: &FarmConfig, farm: &Farm) -> String {
    let machines = farm.machines();
    let mut text = format!("{} emulated machines", machines.len());
    if let (Some(first), Some(last)) = (machines.first(), machines.last()) {
        let _ = write!(text, " at {} to {}", first.address(), last.address());
    }
    match &config.stratum {
        Some(server) => _ = writeln!(text, ", mining for {server} as {}.NAME", config.user),
        None => text += ", which only answer\n",
    }
    if config.port_shift > 0 {
        let _ = writeln!(text, "ports are shifted by {}: 80 is {}", config.port_shift, {
            80 + config.port_shift
        });
    }
    for kind in Kind::ALL {
        let count = machines.iter().filter(|machine| machine.kind() == kind).count();
        if count > 0 {
            let scale = config.scale_of(kind);
            let _ = writeln!(
                text,
                "{count:>6} × {:<17} {scale:>16.0} emulated hashes for each real one",
                kind.name()
            );
        }
    }
    text
}

/// One machine, or all of one kind, as shown and as JSON.
#[derive(Debug, Clone, Serialize)]
struct Row {
    name: String,
    address: Ipv4Addr,
    kind: &'static str,
    machines: usize,
    phase: &'static str,
    hashrate_ths: f64,
    power_w: f64,
    /// Of the hottest.
    chip_c: f64,
    shares_accepted: u64,
    shares_rejected: u64,
    real_hashes: u64,
    connected: usize,
    work_scale: f64,
}

#[derive(Serialize)]
struct Seen<'a> {
    emulated_s: f64,
    ambient_c: f64,
    power_w: f64,
    hashrate_ths: f64,
    machines: &'a [Row],
}

fn show(farm: &Farm, json: bool) -> Result<(), serde_json::Error> {
    let rows: Vec<Row> = farm.machines().iter().map(|machine| row(machine)).collect();
    let power: f64 = rows.iter().map(|row| row.power_w).sum();
    let terahashes: f64 = rows.iter().map(|row| row.hashrate_ths).sum();
    let emulated_s = farm.now().as_secs_f64();
    if json {
        let ambient_c = farm.ambient().get();
        let seen = Seen {
            emulated_s,
            ambient_c,
            power_w: power,
            hashrate_ths: terahashes,
            machines: &rows,
        };
        println!("{}", serde_json::to_string(&seen)?);
        return Ok(());
    }
    let rows = if rows.len() > SHOWN { by_kind(rows) } else { rows };
    print!("{}", table(&rows, farm, Watts::new(power).unwrap_or_default(), terahashes));
    Ok(())
}

fn row(machine: &Device) -> Row {
    let (out, mined) = (machine.output(), machine.mined());
    Row {
        name: machine.name().into(),
        address: machine.address(),
        kind: machine.kind().name(),
        machines: 1,
        phase: match out.phase {
            Phase::Off => "off",
            Phase::Booting(_) => "booting",
            Phase::Running => "running",
            Phase::Paused => "paused",
            Phase::Tripped(_) => "tripped",
        },
        hashrate_ths: out.good.terahashes_per_second(),
        power_w: out.power.get(),
        chip_c: out.chip.get(),
        shares_accepted: mined.accepted,
        shares_rejected: mined.rejected,
        real_hashes: mined.hashes,
        connected: usize::from(mined.connected),
        work_scale: machine.scale(),
    }
}

/// Sums by kind and phase.
fn by_kind(rows: Vec<Row>) -> Vec<Row> {
    let mut sums = BTreeMap::<_, Row>::new();
    for row in rows {
        match sums.get_mut(&(row.kind, row.phase)) {
            None => {
                let name = format!("{}-*", row.kind);
                sums.insert((row.kind, row.phase), Row { name, ..row });
            }
            Some(sum) => {
                sum.machines += 1;
                sum.hashrate_ths += row.hashrate_ths;
                sum.power_w += row.power_w;
                sum.chip_c = sum.chip_c.max(row.chip_c);
                sum.shares_accepted += row.shares_accepted;
                sum.shares_rejected += row.shares_rejected;
                sum.real_hashes += row.real_hashes;
                sum.connected += row.connected;
            }
        }
    }
    sums.into_values().collect()
}

fn table(rows: &[Row], farm: &Farm, power: Watts, terahashes: f64) -> String {
    let mut text = format!(
        "\n{:<15} {:<19} {:>5} {:<8} {:>11} {:>10} {:>7} {:>9} {:>8}\n",
        "address", "name", "count", "phase", "hashrate", "power", "chip", "accepted", "refused"
    );
    for row in rows {
        let rate = Hashrate::from_hashes_per_second(row.hashrate_ths * 1e12).to_string();
        let phase = if row.connected < row.machines && row.phase == "running" && farm_mines(farm) {
            "no pool"
        } else {
            row.phase
        };
        let _ = writeln!(
            text,
            "{:<15} {:<19} {:>5} {:<8} {:>11} {:>8.1} W {:>4.0} °C {:>9} {:>8}",
            row.address.to_string(),
            row.name,
            row.machines,
            phase,
            rate,
            row.power_w,
            row.chip_c,
            row.shares_accepted,
            row.shares_rejected,
        );
    }
    let rate = Hashrate::from_hashes_per_second(terahashes * 1e12);
    let hours = farm.now().as_secs_f64() / 3600.0;
    let _ = writeln!(
        text,
        "{} machines, {rate}, {:.1} kW, air {}, {hours:.2} h of theirs",
        farm.machines().len(),
        power.get() / 1e3,
        farm.ambient()
    );
    text
}

fn farm_mines(farm: &Farm) -> bool {
    farm.machines().iter().any(|machine| !machine.pools().is_empty() && machine.mined().connected)
}

fn mix(text: &str) -> Result<Mix, String> {
    text.split(',')
        .map(|part| {
            let (name, count) = part.trim().rsplit_once(':').unwrap_or((part.trim(), "1"));
            let names = || Kind::ALL.map(Kind::name).join(", ");
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
                format!("\"{name}\" is no kind of machine; there are {}", names())
            })?;
            let count = count.parse().map_err(|_| format!("\"{count}\" is no count; write 40"))?;
            Ok((kind, count))
        })
        .collect()
}

fn swing(text: &str) -> Result<Swing, String> {
    let unreadable = || "write kelvin and a time, such as 15C/1h".to_string();
    let (kelvin, period) = text.split_once('/').ok_or_else(unreadable)?;
    let kelvin = kelvin.trim().trim_end_matches(['C', 'K', '°', ' ']);
    let kelvin = kelvin.parse().ok().filter(|k: &f64| k.abs() < 100.0).ok_or_else(unreadable)?;
    Ok(Swing { kelvin, period: duration(period.trim())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_keeps_its_proportions_whatever_the_count() {
        let mix = mix("gamma:100, luxos-s19kpro:40,whatsminer-m30s++").unwrap();
        assert_eq!(machines(&mix, None).len(), 141);
        for count in [0, 1, 7, 200, 10_000] {
            let machines = machines(&mix, Some(count));
            let gammas = machines.iter().filter(|kind| **kind == Kind::BitaxeGamma).count();
            assert_eq!(machines.len(), count);
            assert!((gammas as f64 - count as f64 * 100.0 / 141.0).abs() <= 1.0);
        }
        assert!(machines(&vec![(Kind::AvalonQ, 0)], None).is_empty());
        for bad in ["", "toaster:3", "gamma:many", "gamma:-1"] {
            assert!(super::mix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_air_rises_by_the_swing_and_falls_again() {
        let swing = swing("15C/1h").unwrap();
        assert_eq!(swing, Swing { kelvin: 15.0, period: Duration::from_secs(3600) });
        let base = Celsius::new(25.0).unwrap();
        for (minutes, degrees) in [(0, 25.0), (15, 32.5), (30, 40.0), (60, 25.0)] {
            let air = air(base, Some(swing), Duration::from_secs(minutes * 60));
            assert!((air.get() - degrees).abs() < 1e-6, "{minutes}: {air}");
        }
        for bad in ["15", "15C", "15C/soon", "warm/1h", "nan/1h"] {
            assert!(super::swing(bad).is_err(), "{bad}");
        }
    }
}
