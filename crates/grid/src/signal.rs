//! What a source may speak of, how old it may be, and what its loss means. It never holds a value.

use std::{fmt, sync::Arc, time::Duration};

/// One thing that a source tells. Numbers come in the unit named here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// Net power at the connection point, watts; positive is import.
    NetPower,
    /// The same of one phase: 0, 1 or 2.
    PhasePower(usize),
    /// What the sun's panels give, watts.
    Pv,
    /// Power of the battery, watts; positive charges it.
    BatteryPower,
    /// State of charge, percent.
    BatteryCharge,
    /// What the generator gives, watts.
    Generator,
    /// Pressure in the fuel line, kilopascals (gauge).
    FuelPressure,
    /// Frequency of the grid, hertz.
    Frequency,
    /// A temperature by name (`room`, `outdoor`, `tank top`), degrees Celsius.
    Temperature(Arc<str>),
    /// Power of the sun, watts per square metre.
    Irradiance,
    /// A contact by name (`ev plugged`, `ev charged`): 0 is no, anything else yes.
    Contact(Arc<str>),
    /// The price of energy that holds now, dollars per kilowatt-hour.
    Price,
    /// The series of prices to come.
    Prices,
    /// Forecasts of solar power, irradiance, temperatures and of what else is drawn.
    Forecasts,
    /// Dollars per bitcoin.
    BitcoinPrice,
    /// Events of a grid operator (OpenADR).
    Events,
    /// An aggregator's set-point.
    SetPoint,
    /// The dead-man's sign of life.
    Alive,
}

/// What a site does when a signal is older than its limit. Local limits hold in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The last set-points stay and no integrator moves; off-grid the loads are shed instead.
    HoldOrShed,
    /// Only the function that reads it stops; the rest goes on.
    Without,
    /// The load falls back to its first stable level, at once.
    Shed,
    /// The thermostat's backup: a duty that can neither freeze nor overheat.
    Backup,
    /// The last published series holds; past the end of prices nothing above break-even is bought.
    LastSeries,
    /// What was received holds to its own end; nothing is taken to be called off.
    ToItsEnd,
    /// The load it enables does not run.
    NotEnabled,
}

/// How a value came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quality {
    /// Told by its source.
    #[default]
    Measured,
    /// Made of other values, such as a total of three phases.
    Derived,
    /// Written by the owner.
    Manual,
    /// Made up, as in a demonstration; never evidence.
    Synthetic,
}

impl Signal {
    /// One of each kind, in the order of the documentation's table.
    pub fn kinds() -> Vec<Self> {
        let name = || Arc::from("…");
        vec![
            Self::NetPower,
            Self::PhasePower(0),
            Self::Pv,
            Self::BatteryPower,
            Self::BatteryCharge,
            Self::Generator,
            Self::FuelPressure,
            Self::Frequency,
            Self::Temperature(name()),
            Self::Irradiance,
            Self::Contact(name()),
            Self::Price,
            Self::Prices,
            Self::Forecasts,
            Self::BitcoinPrice,
            Self::Events,
            Self::SetPoint,
            Self::Alive,
        ]
    }

    /// How old it may be.
    pub fn age_limit(&self) -> Duration {
        match self {
            Self::Frequency => Duration::from_secs(1),
            Self::FuelPressure | Self::Generator => Duration::from_secs(5),
            Self::NetPower | Self::PhasePower(_) => Duration::from_secs(10),
            Self::Pv | Self::BatteryPower => Duration::from_secs(30),
            Self::Alive | Self::BatteryCharge => Duration::from_secs(60),
            Self::Temperature(_) | Self::Contact(_) => Duration::from_secs(10 * 60),
            Self::Events | Self::SetPoint => Duration::from_secs(15 * 60),
            Self::Irradiance | Self::Price => Duration::from_secs(30 * 60),
            Self::BitcoinPrice => Duration::from_secs(6 * 3600),
            Self::Prices | Self::Forecasts => Duration::from_secs(36 * 3600),
        }
    }

    /// What its loss means.
    pub fn on_loss(&self) -> Loss {
        match self {
            Self::NetPower | Self::PhasePower(_) => Loss::HoldOrShed,
            Self::Generator | Self::FuelPressure | Self::Alive => Loss::Shed,
            Self::Temperature(_) => Loss::Backup,
            Self::Prices | Self::Price | Self::Forecasts => Loss::LastSeries,
            Self::Events | Self::SetPoint => Loss::ToItsEnd,
            Self::Contact(_) => Loss::NotEnabled,
            Self::Pv
            | Self::BatteryPower
            | Self::BatteryCharge
            | Self::Frequency
            | Self::Irradiance
            | Self::BitcoinPrice => Loss::Without,
        }
    }

    /// The same as a sentence, for the status page and the documentation.
    pub fn loss_sentence(&self) -> &'static str {
        match self {
            Self::NetPower => {
                "the last set-points stay and no integrator moves; off-grid, where a limit or a surplus \
                 is to be kept, loads are shed"
            }
            Self::PhasePower(_) => {
                "only shown; where nothing else tells net power, that is lost too"
            }
            Self::Pv => {
                "surplus is taken from net power; the plan goes by a forecast, or by what is usual then"
            }
            Self::BatteryPower => "the plan takes the battery as standing still now",
            Self::BatteryCharge => {
                "where a reserve is kept, loads are shed if off-grid or stopped by it already; the plan \
                 leaves the battery out"
            }
            Self::Generator => {
                "off-grid loads are shed to the first stable level; the plan leaves the engine out"
            }
            Self::FuelPressure => "taken as low: loads are shed as if the fuel ran out",
            Self::Frequency => {
                "droop stops where it stands for ten minutes; off-grid an engine is unloaded to the bottom of \
                 its band, and without one all sheds"
            }
            Self::Temperature(_) => {
                "the body's machines idle, and its backup heater is called; without the air outside nothing is \
                 planned ahead, PI control goes on, and a heating curve takes it for the coldest day; what may \
                 be hot runs at its blind part"
            }
            Self::Irradiance => "predictive heating counts on no sun but that of a forecast",
            Self::Contact(_) => "taken as open: what it enables does not run",
            Self::Price => "the day-ahead series holds, else nothing above break-even is bought",
            Self::Prices => {
                "the last series holds to its end, then nothing above break-even is bought"
            }
            Self::Forecasts => {
                "the last forecast holds to its end, then what was usual at that time of day, then what is \
                 measured now"
            }
            Self::BitcoinPrice => "what hashing earned last stays, and a warning says so",
            Self::Events => "events received hold to their own end; none is taken as called off",
            Self::SetPoint => "the set-point holds until it expires, then the site is on its own",
            Self::Alive => "the load it guards falls to its first level, and stays until renewed",
        }
    }
}

impl fmt::Display for Signal {
    /// `net power`, `temperature of room`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NetPower => f.write_str("net power"),
            Self::PhasePower(phase) => write!(f, "net power of phase {}", phase + 1),
            Self::Pv => f.write_str("solar power"),
            Self::BatteryPower => f.write_str("battery power"),
            Self::BatteryCharge => f.write_str("battery charge"),
            Self::Generator => f.write_str("generator power"),
            Self::FuelPressure => f.write_str("fuel pressure"),
            Self::Frequency => f.write_str("frequency"),
            Self::Temperature(name) => write!(f, "temperature of {name}"),
            Self::Irradiance => f.write_str("irradiance"),
            Self::Contact(name) => write!(f, "contact {name}"),
            Self::Price => f.write_str("price now"),
            Self::Prices => f.write_str("price series"),
            Self::Forecasts => f.write_str("forecasts"),
            Self::BitcoinPrice => f.write_str("bitcoin price"),
            Self::Events => f.write_str("operator events"),
            Self::SetPoint => f.write_str("aggregator set-point"),
            Self::Alive => f.write_str("dead-man"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_table_is_what_the_program_does() {
        let document = include_str!("../../../docs/energy.md");
        for kind in Signal::kinds() {
            let limit = kind.age_limit().as_secs_f64();
            let row = format!("| {kind} | {limit} s | {} |", kind.loss_sentence());
            assert!(document.contains(&row), "docs/energy.md wants this row:\n{row}");
        }
    }
}
