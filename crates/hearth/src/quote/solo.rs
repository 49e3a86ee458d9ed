//! `hearth quote solo`.

use super::market::of_catalogue;
use lab::{
    LabError, Report,
    quote::{Given, Network, solo::Solo},
};
use units::{Efficiency, EnergyPrice, Hashrate};

/// Who mines.
#[derive(clap::Args)]
pub struct Args {
    /// The own hashrate, such as "1.2 TH/s".
    #[arg(long, value_name = "RATE", required_unless_present = "machine")]
    hashrate: Option<Hashrate>,
    /// A machine of the catalogue instead.
    #[arg(long, value_name = "NAME", conflicts_with = "hashrate")]
    machine: Option<String>,
    /// How many of it.
    #[arg(long, default_value_t = 1, requires = "machine")]
    count: u32,
    /// Times that the difficulty grows by a year.
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    growth: Option<f64>,
    /// Years until the subsidy halves.
    #[arg(long, value_name = "YEARS", allow_negative_numbers = true)]
    halving: Option<f64>,
    /// Efficiency, J/TH, for the cost of power.
    #[arg(long, value_name = "J/TH", allow_negative_numbers = true)]
    efficiency: Option<Efficiency>,
    /// What a kilowatt-hour costs.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    power_price: Option<EnergyPrice>,
}

/// Computes.
pub fn run(args: Args, network: Network) -> Result<Report, LabError> {
    let mut efficiency = None;
    let hashrate = match (args.hashrate, &args.machine) {
        (Some(rate), _) => Given::flag(rate),
        (None, Some(name)) => {
            let machine = ::catalogue::find(::catalogue::machines(), name)
                .map_err(|error| LabError::new(error.to_string()))?;
            efficiency = machine.efficiency.map(|e| of_catalogue(e, &machine.model, ""));
            let rate = machine.hashrate.hashes_per_second() * f64::from(args.count);
            of_catalogue(Hashrate::from_hashes_per_second(rate), &machine.model, "")
        }
        (None, None) => Given::flag(Hashrate::ZERO),
    };
    let mut solo = Solo::new(hashrate);
    solo.network = network;
    if let Some(efficiency) = efficiency {
        solo.efficiency = efficiency;
    }
    solo.growth.set(args.growth);
    solo.halving.set(args.halving);
    solo.efficiency.set(args.efficiency);
    solo.power_price.set(args.power_price);
    solo.report()
}
