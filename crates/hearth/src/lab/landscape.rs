//! `hearth lab landscape`: which law, on which network.

use crate::output::with_bar;
use lab::{
    Given, LabError, Progress, Report,
    landscape::{Law, Listed, Network, Run, Tiers, claim_report, report},
};
use std::path::PathBuf;
use units::{Efficiency, Hashrate};

/// Without a law: whether the published picture of a Pareto world can be true.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    law: Option<LawArg>,
    /// Hashrate of the network [default: 1 ZH/s].
    #[arg(long, value_name = "RATE", global = true)]
    network: Option<Hashrate>,
    /// Hashrate of one machine in a farm [default: 200 TH/s].
    #[arg(long, value_name = "RATE", global = true)]
    machine: Option<Hashrate>,
    /// Efficiency of machines in farms [default: 17.5 J/TH].
    #[arg(long, value_name = "J/TH", global = true)]
    efficiency: Option<Efficiency>,
    /// Hashrate of one machine at home [default: 1.2 TH/s].
    #[arg(long, value_name = "RATE", global = true)]
    home_machine: Option<Hashrate>,
    /// Years, months and days that are simulated [default: 1000].
    #[arg(long, value_name = "N", global = true)]
    replicates: Option<u64>,
    /// What random numbers start from [default: 1].
    #[arg(long, value_name = "N", global = true)]
    seed: Option<u64>,
}

#[derive(clap::Subcommand)]
enum LawArg {
    /// Everybody has the same hashrate.
    Equal {
        /// Miners; without, as many as the year, the month and the day have blocks.
        #[arg(long, value_name = "N")]
        miners: Option<u64>,
    },
    /// A Pareto law.
    Pareto {
        /// Shape, above 1: smaller is more unequal [default: 2].
        #[arg(long, allow_negative_numbers = true, value_name = "A")]
        shape: Option<f64>,
        /// Miners; without, as many as the year, the month and the day have blocks.
        #[arg(long, value_name = "N")]
        miners: Option<u64>,
        /// Blocks a year that the smallest expects, instead of a number of miners.
        #[arg(
            long,
            allow_negative_numbers = true,
            value_name = "BLOCKS",
            conflicts_with = "miners"
        )]
        smallest: Option<f64>,
    },
    /// A law of Zipf and Mandelbrot: hashrate in proportion to (rank + offset)^-exponent.
    Zipf {
        /// Exponent, above 0 [default: 1].
        #[arg(long, allow_negative_numbers = true, value_name = "S")]
        exponent: Option<f64>,
        /// Offset, 0 or more [default: 0].
        #[arg(long, allow_negative_numbers = true, value_name = "Q")]
        offset: Option<f64>,
        /// Miners [default: 1000000].
        #[arg(long, value_name = "N")]
        miners: Option<u64>,
    },
    /// Three tiers of farms, each under a bounded Pareto law, and hobbyists with the blocks left.
    Tiers {
        /// Shape of each tier, above 1 [default: 3.286].
        #[arg(long, allow_negative_numbers = true, value_name = "A")]
        shape: Option<f64>,
        /// Farms that expect a block a day or more [default: 35].
        #[arg(long, value_name = "N")]
        daily: Option<u64>,
        /// Farms that expect a block a month or more, with the former [default: 1000].
        #[arg(long, value_name = "N")]
        monthly: Option<u64>,
        /// Farms that expect a block a year or more, with the former [default: 13000].
        #[arg(long, value_name = "N")]
        yearly: Option<u64>,
        /// Equal hobbyists; 0 for none [default: 1000000].
        #[arg(long, value_name = "N")]
        hobbyists: Option<u64>,
    },
    /// Pools and farms from a CSV file: name, one of share, share_percent and hashrate, and if wanted
    /// miners (how many equal ones the line stands for).
    File {
        /// The CSV file.
        file: PathBuf,
    },
}

/// Computes.
pub fn run(args: Args) -> Result<Report, LabError> {
    const CLAIM: (&str, &str) = ("the published picture of a Pareto world", "2025");
    let mut run = Run {
        network: Network::new(Given::default(
            Efficiency::new(17.5).map_err(|e| LabError::new(e.to_string()))?,
            "Antminer S21, nameplate",
            "2024",
        )),
        replicates: Given::default(1000, "enough for bands of two digits", "2025"),
        seed: Given::default(1, "any number does", "2025"),
    };
    run.network.hashrate.set(positive(args.network, "--network")?);
    run.network.machine.set(positive(args.machine, "--machine")?);
    run.network.efficiency.set(args.efficiency);
    run.network.home_machine.set(positive(args.home_machine, "--home-machine")?);
    run.replicates.set(args.replicates);
    run.seed.set(args.seed);

    let given = |flag: Option<f64>, default: f64| {
        flag.map_or(Given::default(default, CLAIM.0, CLAIM.1), Given::flag)
    };
    let count = |flag: Option<u64>, default: u64| {
        flag.map_or(Given::default(default, CLAIM.0, CLAIM.1), Given::flag)
    };
    let progress = Progress::new();
    let Some(law) = args.law else {
        if args.replicates.is_some() || args.seed.is_some() {
            return Err(LabError::new(
                "the published picture is judged by formulas, nothing is drawn; name a law (equal, \
                 pareto, zipf, tiers, file) or leave --replicates and --seed away",
            ));
        }
        return with_bar(&progress, || claim_report(&run, &progress));
    };
    let law = match law {
        LawArg::Equal { miners } => Law::Equal { miners },
        LawArg::Pareto { shape, miners, smallest } => {
            let shape = given(shape, 2.0);
            let from = smallest.map(|least| Law::pareto_from(shape.value, least)).transpose()?;
            Law::Pareto { shape, miners: miners.or(from) }
        }
        LawArg::Zipf { exponent, offset, miners } => Law::Zipf {
            exponent: given(exponent, 1.0),
            offset: given(offset, 0.0),
            miners: count(miners, 1_000_000),
        },
        LawArg::Tiers { shape, daily, monthly, yearly, hobbyists } => Law::Tiers {
            shape: given(shape, Tiers::SHAPE),
            daily: count(daily, 35),
            monthly: count(monthly, 1_000),
            yearly: count(yearly, 13_000),
            hobbyists: count(hobbyists, 1_000_000),
        },
        LawArg::File { file } => {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(&file)
                .map_err(|e| LabError::new(format!("{name} cannot be read: {e}")))?;
            Law::Listed(Listed::read(&text)?, name)
        }
    };
    with_bar(&progress, || report(&law, &run, &progress))
}

fn positive(rate: Option<Hashrate>, flag: &str) -> Result<Option<Hashrate>, LabError> {
    match rate {
        Some(rate) if rate == Hashrate::ZERO => {
            Err(LabError::new(format!("{flag} is no hashrate at all; give more than 0")))
        }
        rate => Ok(rate),
    }
}
