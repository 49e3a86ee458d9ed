//! `hearth quote heat`.

use super::mining::MiningArgs;
use lab::{
    LabError, Report,
    quote::{Market, Share, heat::Heat},
};
use units::{EnergyPrice, Usd};

/// The heater and what it is compared with.
#[derive(clap::Args)]
pub struct Args {
    /// What a kilowatt-hour of electricity costs.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    power_price: Option<EnergyPrice>,
    /// Hours a year that heat is wanted, at full power.
    #[arg(long, allow_negative_numbers = true)]
    hours: Option<f64>,
    /// Part of the heat that is of use, such as 90%.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    used: Option<Share>,
    /// Times that the hash price falls by a year, for the payback.
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    decline: Option<f64>,
    /// Coefficient of performance of a heat pump.
    #[arg(long, value_name = "COP", allow_negative_numbers = true)]
    cop: Option<f64>,
    /// Natural gas, dollars a therm.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    gas: Option<Usd>,
    /// Efficiency of a gas boiler, such as 92%.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    gas_efficiency: Option<Share>,
    /// Propane, dollars a US gallon.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    propane: Option<Usd>,
    /// Efficiency of a propane boiler.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    propane_efficiency: Option<Share>,
    /// Heating oil, dollars a US gallon.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    oil: Option<Usd>,
    /// Efficiency of an oil boiler.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    oil_efficiency: Option<Share>,
    #[command(flatten)]
    mining: MiningArgs,
}

/// Computes.
pub fn run(args: Args, market: Market) -> Result<Report, LabError> {
    let mut heat = Heat::default();
    args.mining.apply(market, &mut heat.mining, &mut heat.capital)?;
    heat.power_price.set(args.power_price);
    heat.hours.set(args.hours);
    heat.used.set(args.used);
    heat.decline.set(args.decline);
    heat.heat_pump_cop.set(args.cop);
    heat.gas_per_therm.set(args.gas);
    heat.gas_efficiency.set(args.gas_efficiency);
    heat.propane_per_gallon.set(args.propane);
    heat.propane_efficiency.set(args.propane_efficiency);
    heat.oil_per_gallon.set(args.oil);
    heat.oil_efficiency.set(args.oil_efficiency);
    heat.report()
}
