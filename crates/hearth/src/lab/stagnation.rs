//! `hearth lab stagnation`: which farm, under which growth.

use lab::{
    Given, LabError, Report,
    stagnation::{CostCurve, DAILY, Farm, GROWTH_BY_YEAR, LARGEST_SINCE_2015, report},
};
use units::{Efficiency, EnergyPrice, HashPrice, UnitError};

/// The farm, and how fast the network grows around it.
#[derive(clap::Args)]
pub struct Args {
    /// Factor of difficulty each year; several for several scenarios [default: 1.35 1.5 2 7.7 34.4].
    #[arg(long, allow_negative_numbers = true, value_name = "FACTOR", num_args = 1.., value_delimiter = ',')]
    growth: Vec<f64>,
    /// Blocks that the farm expects a year at the start [default: 365].
    #[arg(long, allow_negative_numbers = true, value_name = "BLOCKS")]
    start: Option<f64>,
    /// Part of the machines that fails each year and is not replaced, 0 to 1 [default: 0].
    #[arg(long, allow_negative_numbers = true, value_name = "PART")]
    decay: Option<f64>,
    /// Efficiency of the machines [default: 17.5 J/TH].
    #[arg(long, allow_negative_numbers = true, value_name = "J/TH")]
    efficiency: Option<Efficiency>,
    /// Price of power in dollars per kWh, or a cost curve: prices and the part of the farm that pays
    /// each, as in 0.04:0.5,0.07:0.5 [default: 0.0555].
    #[arg(long, allow_negative_numbers = true, value_name = "COSTS")]
    power_price: Option<CostCurve>,
    /// What hashing earns at the start [default: 37.35 $/PH/day].
    #[arg(long, allow_negative_numbers = true, value_name = "$/PH/DAY")]
    hash_price: Option<HashPrice>,
    /// Factor by which a block's worth in dollars (price, subsidy and fees) grows each year [default: 1].
    #[arg(long, allow_negative_numbers = true, value_name = "FACTOR")]
    block_value_growth: Option<f64>,
}

/// Computes.
pub fn run(args: Args) -> Result<Report, LabError> {
    let said = |e: UnitError| LabError::new(e.to_string());
    let price = EnergyPrice::per_kwh(0.0555).map_err(said)?;
    let mut farm = Farm {
        start_per_year: Given::default(DAILY, "the claim: a block a day", "2025"),
        decay_per_year: Given::default(0.0, "nothing fails", "2025"),
        efficiency: Given::default(
            Efficiency::new(17.5).map_err(said)?,
            "Antminer S21, nameplate",
            "2024",
        ),
        costs: Given::default(CostCurve::flat(price), "Cambridge, all-in median", "2025"),
        hash_price: Given::default(
            HashPrice::new(37.35).map_err(said)?,
            "difficulty 148.2 T, $87,500, 3.145 BTC a block",
            "2025-12",
        ),
        block_value_growth: Given::default(1.0, "prices stand still", "2025"),
    };
    farm.start_per_year.set(args.start);
    farm.decay_per_year.set(args.decay);
    farm.efficiency.set(args.efficiency);
    farm.costs.set(args.power_price);
    farm.hash_price.set(args.hash_price);
    farm.block_value_growth.set(args.block_value_growth);
    let of = |year: u16| GROWTH_BY_YEAR.iter().find(|y| y.year == year).map_or(1.0, |y| y.factor);
    let mut growths = Given::default(
        vec![of(2025), 1.5, 2.0, LARGEST_SINCE_2015, of(2014)],
        "2025, two round ones, largest since 2015, 2014",
        "2025",
    );
    growths.set((!args.growth.is_empty()).then_some(args.growth));
    report(&farm, &growths)
}
