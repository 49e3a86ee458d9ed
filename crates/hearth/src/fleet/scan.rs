//! `hearth scan`: asks every address of some ranges who is there, and shows what answers as it answers.
//! It reads; it never tells a machine anything.

use super::model;
use crate::Outcome;
use fleet::{
    Control, Device, DeviceId, Limits,
    discovery::{Found, range, scan},
};
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{num::NonZeroU32, pin::pin, process::ExitCode};
use units::Celsius;

/// Find machines in your network.
///
/// Prints each machine as it answers. Nothing is changed on any of them.
#[derive(clap::Args)]
pub struct Args {
    /// Addresses: 10.0.0.0/24, 10.0.0.5-40, 10.0.0.5-10.0.1.40 or 10.0.0.7.
    #[arg(required = true, value_name = "RANGE")]
    ranges: Vec<String>,
    /// Ask public addresses, too: only if these machines are yours.
    #[arg(long)]
    public: bool,
    /// Connections at once.
    #[arg(long, value_name = "N", default_value_t = 64)]
    sockets: usize,
    /// New connections a second; home routers fall over at a few hundred.
    #[arg(long, value_name = "N", default_value = "100")]
    rate: NonZeroU32,
    /// Added to the ports 80 and 4028: for emulated machines without the right to those.
    #[arg(long, value_name = "N", default_value_t = 0)]
    ports: u16,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// A machine that answered.
#[derive(Serialize)]
struct Row {
    id: Option<String>,
    address: String,
    firmware: &'static str,
    version: Option<String>,
    /// Of the catalogue if it is known there, else as the machine writes it.
    model: Option<String>,
    hostname: Option<String>,
}

pub async fn run(args: Args) -> Outcome {
    if args.sockets == 0 {
        return Err("--sockets must be at least 1".into());
    }
    let addresses = range::addresses(&args.ranges, args.public, 1)?;
    let limits = scan::Limits {
        sockets: args.sockets,
        connections_per_second: args.rate,
        port_shift: args.ports,
    };
    let asked = addresses.len();
    // Hidden by itself where there is no terminal.
    let bar = ProgressBar::new(asked as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos} of {len}, {eta} left") {
        bar.set_style(style);
    }
    let mut found = 0u64;
    let mut answers = pin!(scan::scan(addresses, limits));
    while let Some(answer) = answers.next().await {
        bar.inc(1);
        let Some(machine) = answer.found else { continue };
        found += 1;
        let line = line(&row(machine), args.json)?;
        bar.suspend(|| println!("{line}"));
    }
    bar.finish_and_clear();
    if !args.json {
        println!("{found} machines at {asked} addresses");
    }
    Ok(ExitCode::SUCCESS)
}

fn row(found: Found) -> Row {
    let address = found.endpoint.ip;
    let known = found.identity.id();
    let id = known.clone().unwrap_or_else(|| DeviceId::Named(address.to_string()));
    let mut device = Device::found(id, found.identity, Control::Firmware, no_limits());
    model::describe(&mut device);
    Row {
        id: known.map(|id| id.to_string()),
        address: address.to_string(),
        firmware: device.identity.firmware.name(),
        model: device.model.map(|model| model.to_string()).or(device.identity.model),
        version: device.identity.version,
        hostname: device.identity.hostname,
    }
}

fn line(row: &Row, json: bool) -> Result<String, serde_json::Error> {
    if json {
        return serde_json::to_string(row);
    }
    Ok(format!(
        "{:<15} {:<22} {:<15} {:<28} {}",
        row.address,
        row.model.as_deref().unwrap_or("unknown model"),
        row.firmware,
        row.version.as_deref().unwrap_or(""),
        row.id.as_deref().unwrap_or("tells no identity without a login"),
    ))
}

/// Nothing is steered here.
fn no_limits() -> Limits {
    Limits {
        chip: Celsius::ZERO,
        regulator: None,
        inlet: None,
        outlet: None,
        input_low: None,
        input_high: None,
        power: None,
    }
}
