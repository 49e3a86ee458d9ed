//! `hearth lab spread`: how concentrated mining is. It reads files, asks the own node and listens to
//! pools; the measures and alarms are lab's.

mod blocks;
mod job;
mod node;
mod pool;
mod templates;

use bitcoin::{Amount, Denomination};
use clap::{Args, Subcommand};
use lab::{
    LabError, Report,
    report::Source,
    spread::{self, Kind, Machine, Pools, Shift},
};
use std::{error::Error, fs, io::Read, path::Path, path::PathBuf};
use units::{Hashrate, Sats};

/// A list of all miners of the world would be smaller.
const MAX_FILE: u64 = 64 << 20;

/// A question about concentration.
#[derive(Subcommand)]
pub enum Spread {
    /// How concentrated it is, by pool, by who makes the templates, by country.
    Metrics {
        /// A CSV with columns name, share (0.30 or 30 %) or hashrate (300 EH/s), and if wanted
        /// cluster and country; without it, the pools of 2025.
        #[arg(value_name = "CSV")]
        file: Option<PathBuf>,
    },
    /// What a shift of hashrate to homes, flares or heaters changes, and who loses a majority.
    Shift(ShiftArgs),
    /// How many homes, boilers, flares, cars make a share of the network.
    Machines(MachinesArgs),
    /// Listen to pools as a miner would: who makes whose templates, who is late on a new block.
    Templates(templates::TemplatesArgs),
    /// Who signed the latest blocks that the own node knows.
    Blocks(blocks::BlocksArgs),
}

/// A shift of hashrate.
#[derive(Args)]
pub struct ShiftArgs {
    /// The pools, as for `metrics`.
    #[arg(value_name = "CSV")]
    file: Option<PathBuf>,
    /// How much of all hashrate moves, in percent.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    percent: f64,
    /// Where to: home, heater, boiler, flare, ev or own.
    #[arg(long, value_name = "KIND", default_value = "home")]
    to: Kind,
    /// What one of them is: power, J/TH and hours a year, such as home=5kW,17.5,2000.
    #[arg(long, value_name = "KIND=POWER,J/TH,HOURS")]
    machine: Option<Machine>,
    /// Share of all hashrate that one jurisdiction can give orders, in percent.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    jurisdiction: Option<f64>,
    /// New coins and fees of a block, in BTC.
    #[arg(long, value_name = "BTC", value_parser = btc)]
    reward: Option<Sats>,
    /// All hashrate, such as "1.07 ZH/s".
    #[arg(long, value_name = "HASHRATE")]
    network_hashrate: Option<Hashrate>,
}

/// A share of the network.
#[derive(Args)]
pub struct MachinesArgs {
    /// Share of all hashrate, in percent; without it 25.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    percent: Option<f64>,
    /// All hashrate, such as "1.07 ZH/s".
    #[arg(long, value_name = "HASHRATE")]
    network_hashrate: Option<Hashrate>,
    /// What a machine is: home, heater, boiler, flare, ev or own with its power, J/TH and hours a
    /// year, such as home=5kW,17.5,2000. May be repeated.
    #[arg(long, value_name = "KIND=POWER,J/TH,HOURS")]
    machine: Vec<Machine>,
}

/// Computes, listens or asks.
pub async fn run(spread: Spread) -> Result<Report, Box<dyn Error + Send + Sync>> {
    Ok(match spread {
        Spread::Metrics { file } => spread::overview(&pools(file.as_deref())?)?,
        Spread::Shift(args) => shift(args)?,
        Spread::Machines(args) => machines(args)?,
        Spread::Templates(args) => templates::run(args).await?,
        Spread::Blocks(args) => blocks::run(args).await?,
    })
}

fn shift(args: ShiftArgs) -> Result<Report, LabError> {
    let pools = pools(args.file.as_deref())?;
    let to = match args.machine {
        Some(machine) if machine.kind == args.to => machine,
        Some(machine) => {
            return Err(LabError::new(format!(
                "--machine describes \"{}\" but the hashrate goes to \"{}\": name the same kind",
                machine.kind.name(),
                args.to.name()
            )));
        }
        None => Machine::default_of(args.to).ok_or_else(|| {
            LabError::new(
                "own machines have no default: describe them, --machine own=3.5kW,17.5,8760",
            )
        })?,
    };
    let published = Source::Default {
        origin: "Hashrate Index, United States, third quarter, rounded",
        date: "2025-07",
    };
    let subsidy =
        Source::Default { origin: "subsidy from block 840,000 on, no fees", date: "2024-04" };
    Shift {
        moved: (args.percent, Source::Flag),
        to,
        network: network(args.network_hashrate),
        jurisdiction: args.jurisdiction.map_or((0.36, published), |share| (share, Source::Flag)),
        reward: args.reward.map_or((Sats(312_500_000), subsidy), |sats| (sats, Source::Flag)),
    }
    .report(&pools)
}

fn machines(args: MachinesArgs) -> Result<Report, LabError> {
    let mut machines: Vec<Machine> =
        Kind::KNOWN.into_iter().filter_map(Machine::default_of).collect();
    for given in args.machine {
        match machines.iter_mut().find(|m| m.kind == given.kind) {
            Some(machine) => *machine = given,
            None => machines.push(given),
        }
    }
    let asked = Source::Default { origin: "the share that the essays ask for", date: "2025" };
    let share = args.percent.map_or((0.25, asked), |share| (share, Source::Flag));
    spread::machines(&machines, share, network(args.network_hashrate))
}

fn network(given: Option<Hashrate>) -> (Hashrate, Source) {
    given.map_or_else(spread::default_network, |rate| (rate, Source::Flag))
}

/// The list in a file, or the published one.
fn pools(file: Option<&Path>) -> Result<Pools, LabError> {
    let Some(path) = file else { return Ok(Pools::published()) };
    let name = path.display().to_string();
    let unreadable = |error| LabError::new(format!("{name} cannot be read: {error}"));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(LabError::new(format!("{name} is larger than 64 MiB: join small miners")));
    }
    Pools::from_csv(&text, &name)
}

/// A percentage as a part of one.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim();
    match number.parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent > 0.0 && percent < 100.0 => {
            Ok(percent / 100.0)
        }
        _ => Err("write a percentage above 0 and below 100, such as 25".into()),
    }
}

fn btc(text: &str) -> Result<Sats, String> {
    match Amount::from_str_in(text, Denomination::Bitcoin) {
        Ok(amount) if amount > Amount::ZERO => Ok(Sats(amount.to_sat())),
        _ => Err("write an amount in BTC, such as 3.125".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_and_amounts_that_are_none_are_refused() {
        assert_eq!((percent("25"), percent("12.5 %")), (Ok(0.25), Ok(0.125)));
        for bad in ["0", "100", "-1", "NaN", "inf", "half", ""] {
            assert!(percent(bad).is_err(), "{bad}");
        }
        assert_eq!(btc("3.125"), Ok(Sats(312_500_000)));
        for bad in ["0", "-1", "NaN", "1e3", "0.000000001", ""] {
            assert!(btc(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let said = pools(Some(Path::new("/nowhere/pools.csv"))).unwrap_err().to_string();
        assert!(said.starts_with("/nowhere/pools.csv cannot be read"), "{said}");
    }
}
