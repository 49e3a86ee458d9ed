//! `hearth quote scale`.

use super::mining::CapitalArgs;
use lab::{
    LabError, Report,
    quote::{Share, scale::Scale},
};
use units::{EnergyPrice, Usd, Watts};

/// A small site and a large one.
#[derive(clap::Args)]
pub struct Args {
    /// Buying power at the large site, dollars a year.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    power_buying: Option<Usd>,
    /// Control and monitoring, dollars a year.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    control: Option<Usd>,
    /// A repair bench, dollars a year.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    repair: Option<Usd>,
    /// Cooling engineering, dollars a year.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    cooling: Option<Usd>,
    /// Law and permits, dollars a year.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    legal: Option<Usd>,
    /// Finance, dollars a year.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    finance: Option<Usd>,
    /// What a kilowatt-hour costs wholesale.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    wholesale: Option<EnergyPrice>,
    /// Wires to the large site, per kWh.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    large_wires: Option<EnergyPrice>,
    /// Power of the large site over that of its machines.
    #[arg(long, value_name = "PUE", allow_negative_numbers = true)]
    large_pue: Option<f64>,
    /// Rent, spares and hands at the large site, per kWh.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    large_variable: Option<EnergyPrice>,
    /// Hours a year that the large site runs.
    #[arg(long, value_name = "HOURS", allow_negative_numbers = true)]
    large_hours: Option<f64>,
    /// Wires, losses and taxes on the small site's power, per kWh; 0 behind the meter.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    small_wires: Option<EnergyPrice>,
    /// Own time and repairs of the small site, dollars a year.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    small_fixed: Option<Usd>,
    /// Power of the small site, such as 3kW.
    #[arg(long, value_name = "POWER", allow_negative_numbers = true)]
    small_power: Option<Watts>,
    /// Hours a year that the small site runs.
    #[arg(long, value_name = "HOURS", allow_negative_numbers = true)]
    small_hours: Option<f64>,
    /// What a kilowatt-hour of heat saves at the small site.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    heat_price: Option<EnergyPrice>,
    /// Part of the small site's heat that is wanted.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    heat_used: Option<Share>,
    #[command(flatten)]
    capital: CapitalArgs,
}

/// Computes.
pub fn run(args: Args) -> Result<Report, LabError> {
    let mut scale = Scale::default();
    args.capital.apply(&mut scale.capital);
    let fixed =
        [args.power_buying, args.control, args.repair, args.cooling, args.legal, args.finance];
    for (part, flag) in scale.fixed.iter_mut().zip(fixed) {
        part.per_year.set(flag);
    }
    scale.wholesale.set(args.wholesale);
    scale.large_wires.set(args.large_wires);
    scale.large_pue.set(args.large_pue);
    scale.large_variable.set(args.large_variable);
    scale.large_hours.set(args.large_hours);
    scale.small_wires.set(args.small_wires);
    scale.small_fixed.set(args.small_fixed);
    scale.small_power.set(args.small_power);
    scale.small_hours.set(args.small_hours);
    scale.heat_price.set(args.heat_price);
    scale.heat_used.set(args.heat_used);
    scale.report()
}
