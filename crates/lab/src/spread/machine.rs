//! What could mine without a mine: homes, heaters, boilers, flares, cars; and how many of each make
//! a share of the network.
//!
//! It owns the machines and the counting. Prices are not its subject.

use crate::{
    LabError, Report,
    report::{Axis, Cell, Chart, Column, Content, Input, Scale, Source, Table},
};
use std::str::FromStr;
use units::{Efficiency, Hashrate, Watts};

const HOURS_PER_YEAR: f64 = 8760.0;

/// What could mine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A home whose heating is miners.
    Home,
    /// A portable heater.
    Heater,
    /// A hot-water tank.
    Boiler,
    /// A generator at an oil well that flares its gas.
    Flare,
    /// A miner that draws what one electric car charges in a year.
    Car,
    /// Anything else.
    Own,
}

impl Kind {
    /// Those with defaults.
    pub const KNOWN: [Self; 5] = [Self::Home, Self::Heater, Self::Boiler, Self::Flare, Self::Car];

    /// Name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Heater => "heater",
            Self::Boiler => "boiler",
            Self::Flare => "flare",
            Self::Car => "ev",
            Self::Own => "own",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Home => "home heated by miners",
            Self::Heater => "portable heater",
            Self::Boiler => "hot-water boiler",
            Self::Flare => "flare site",
            Self::Car => "EV (what one charges)",
            Self::Own => "own",
        }
    }

    fn input_names(self) -> [&'static str; 3] {
        match self {
            Self::Home => ["home_power_w", "home_j_per_th", "home_hours_per_year"],
            Self::Heater => ["heater_power_w", "heater_j_per_th", "heater_hours_per_year"],
            Self::Boiler => ["boiler_power_w", "boiler_j_per_th", "boiler_hours_per_year"],
            Self::Flare => ["flare_power_w", "flare_j_per_th", "flare_hours_per_year"],
            Self::Car => ["ev_power_w", "ev_j_per_th", "ev_hours_per_year"],
            Self::Own => ["own_power_w", "own_j_per_th", "own_hours_per_year"],
        }
    }
}

impl FromStr for Kind {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        Self::KNOWN.into_iter().chain([Self::Own]).find(|kind| kind.name() == text).ok_or_else(
            || {
                LabError::new(format!(
                    "\"{text}\" is no kind of machine: write home, heater, boiler, flare, ev or own"
                ))
            },
        )
    }
}

/// One machine, or all in one home or at one site.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// What it is.
    pub kind: Kind,
    /// Drawn while it runs.
    pub power: Watts,
    /// While it runs.
    pub efficiency: Efficiency,
    hours_per_year: f64,
    source: Source,
}

impl Machine {
    /// A machine that runs `hours_per_year` at full power.
    ///
    /// # Errors
    /// No power, or hours that no year has.
    pub fn new(
        kind: Kind,
        power: Watts,
        efficiency: Efficiency,
        hours_per_year: f64,
        source: Source,
    ) -> Result<Self, LabError> {
        let name = kind.name();
        if power == Watts::ZERO {
            return Err(LabError::new(format!("the power of {name} is zero: give its watts")));
        }
        if !(hours_per_year > 0.0 && hours_per_year <= HOURS_PER_YEAR) {
            return Err(LabError::new(format!(
                "the hours of use of {name} are {hours_per_year}: give more than 0 and at most 8760 \
                 a year"
            )));
        }
        Ok(Self { kind, power, efficiency, hours_per_year, source })
    }

    /// The default of its kind; `None` for [`Kind::Own`].
    pub fn default_of(kind: Kind) -> Option<Self> {
        let (watts, hours_per_year, origin) = match kind {
            Kind::Home => (5_000.0, 2_000.0, "assumption: 10 MWh of heat in a heating season"),
            Kind::Heater => (1_000.0, 2_000.0, "assumption: 1 kW through a heating season"),
            Kind::Boiler => {
                (4_500.0, 1_000.0, "usual element; 12 kWh of hot water a day (solartechonline.com)")
            }
            Kind::Flare => (1_000_000.0, 8_000.0, "assumption: one 1 MW generator, 91 % running"),
            Kind::Car => {
                (7_200.0, 350.0, "assumption: 30 A home charger, 15,000 km at 0.17 kWh/km")
            }
            Kind::Own => return None,
        };
        // 200 TH/s at 3.5 kW, as in the reference's sizes of farms.
        let (power, efficiency) = (Watts::new(watts).ok()?, Efficiency::new(17.5).ok()?);
        Self::new(kind, power, efficiency, hours_per_year, Source::Default { origin, date: "2025" })
            .ok()
    }

    /// Hours a year at full power.
    pub fn hours_per_year(&self) -> f64 {
        self.hours_per_year
    }

    /// While it runs.
    pub fn hashrate(&self) -> Hashrate {
        self.power.feeds(self.efficiency)
    }

    /// Over a whole year.
    pub fn mean_hashrate(&self) -> Hashrate {
        let running = self.hours_per_year / HOURS_PER_YEAR;
        Hashrate::from_hashes_per_second(self.hashrate().hashes_per_second() * running)
    }

    pub(super) fn inputs(&self) -> [Input; 3] {
        let [power, efficiency, hours] = self.kind.input_names();
        let input = |name, value| Input { name, value, source: self.source.clone() };
        let of_chips = match &self.source {
            Source::Default { .. } => Source::Default {
                origin: "200 TH/s units as in the sizes of farms (landscape)",
                date: "2025",
            },
            given => given.clone(),
        };
        [
            input(power, Cell::Number(self.power.get(), 0)),
            Input {
                name: efficiency,
                value: Cell::Number(self.efficiency.joules_per_terahash(), 1),
                source: of_chips,
            },
            input(hours, Cell::Number(self.hours_per_year, 0)),
        ]
    }
}

impl FromStr for Machine {
    type Err = LabError;

    /// Reads `home=5kW,17.5,2000`: kind, power, J/TH, hours a year.
    fn from_str(text: &str) -> Result<Self, LabError> {
        let example = || {
            LabError::new(format!(
                "\"{text}\" does not describe a machine: write kind=power,J/TH,hours a year, such \
                 as home=5kW,17.5,2000"
            ))
        };
        let (kind, rest) = text.split_once('=').ok_or_else(example)?;
        let mut parts = rest.split(',').map(str::trim);
        let mut next = || parts.next().ok_or_else(example);
        let kind = kind.trim().parse::<Kind>()?;
        let power = next()?.parse::<Watts>().map_err(|e| LabError::new(e.to_string()))?;
        let efficiency = next()?.parse::<Efficiency>().map_err(|e| LabError::new(e.to_string()))?;
        let hours = next()?.parse::<f64>().map_err(|_| example())?;
        if parts.next().is_some() {
            return Err(example());
        }
        Self::new(kind, power, efficiency, hours, Source::Flag)
    }
}

/// How many of one kind make the share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Needed {
    /// Whose hashrate over the year is the share of the network as it is: they replace others.
    pub replacing: f64,
    /// Who come on top of the network as it is and have the share of both together.
    pub on_top: f64,
    /// What they draw when all run at once.
    pub power: Watts,
    /// Energy in a year, watt-hours.
    pub energy: units::WattHours,
    /// Their hashrate when all run at once, of the network as it is; above 1 they are more than
    /// everybody.
    pub at_once: f64,
}

/// Counts machines for a share of a network.
///
/// # Errors
/// A share that is none, a network without hashrate.
pub fn needed(machine: &Machine, share: f64, network: Hashrate) -> Result<Needed, LabError> {
    if !(share > 0.0 && share < 1.0) {
        return Err(LabError::new(format!(
            "the share is {} %: give more than 0 and less than 100",
            100.0 * share
        )));
    }
    if network == Hashrate::ZERO {
        return Err(LabError::new("the network has no hashrate: give it, such as \"1.07 ZH/s\""));
    }
    let too_much = |_| LabError::new("the machines are too many to count: mend the hashrate");
    let replacing =
        share * network.hashes_per_second() / machine.mean_hashrate().hashes_per_second();
    let power = Watts::new(replacing * machine.power.get()).map_err(too_much)?;
    let energy = units::WattHours::new(power.get() * machine.hours_per_year).map_err(too_much)?;
    Ok(Needed {
        replacing,
        on_top: replacing / (1.0 - share),
        power,
        energy,
        at_once: share * HOURS_PER_YEAR / machine.hours_per_year,
    })
}

/// The network's hashrate where none is given.
pub fn default_network() -> (Hashrate, Source) {
    let source = Source::Default { origin: "Blockchain.com, 7-day mean", date: "2025-12" };
    (Hashrate::from_hashes_per_second(1.07e21), source)
}

/// What there is of each in the world, where a count is published.
const GAS_FLARED_BCM: f64 = 151.0;
/// 10 kWh of heat in a cubic metre, 35 % of it made electricity.
const KWH_PER_CUBIC_METRE: f64 = 3.5;
const CARS: f64 = 58e6;

/// How many there are, of this kind and size; `None` where nobody counts them.
fn existing(machine: &Machine) -> Option<f64> {
    match machine.kind {
        Kind::Flare => {
            let kwh_each = machine.power.kilowatts() * machine.hours_per_year;
            Some(GAS_FLARED_BCM * 1e9 * KWH_PER_CUBIC_METRE / kwh_each)
        }
        Kind::Car => Some(CARS),
        _ => None,
    }
}

/// How many machines of each kind make `share` of the network.
///
/// # Errors
/// As [`needed`]; no machines.
pub fn report(
    machines: &[Machine],
    share: (f64, Source),
    network: (Hashrate, Source),
) -> Result<Report, LabError> {
    if machines.is_empty() {
        return Err(LabError::new("no machine is given: name at least one kind"));
    }
    let percent = percent(share.0);
    let mut counts = Table::new(
        "machines",
        format!("How many make {percent} % of {}", network.0),
        [
            Column::new("machine", "what"),
            Column::new("replacing_count", "replacing others"),
            Column::new("on_top_count", "on top of all others"),
            Column::new("existing_count", "there are"),
            Column::new("of_existing_pct", "of those there are, %"),
        ],
    );
    let mut sizes = Table::new(
        "power",
        "What they draw",
        [
            Column::new("machine", "what"),
            Column::new("power_kw", "each, kW"),
            Column::new("hours_per_year", "hours a year"),
            Column::new("mean_hashrate_ths", "mean TH/s"),
            Column::new("total_power_mw", "all at once, MW"),
            Column::new("energy_twh_per_year", "TWh a year"),
            Column::new("at_once_pct", "hashrate at once, % of network"),
        ],
    );
    let mut phrases = Vec::new();
    let mut bars = Vec::new();
    let mut inputs = vec![
        Input { name: "share_pct", value: Cell::Number(100.0 * share.0, 1), source: share.1 },
        Input {
            name: "network_hashrate_ehs",
            value: Cell::Figure(network.0.hashes_per_second() / 1e18),
            source: network.1,
        },
    ];
    for machine in machines {
        let found = needed(machine, share.0, network.0)?;
        phrases.push(format!("{} {}", count(found.replacing), plural(machine.kind)));
        bars.push((machine.kind.heading().to_owned(), found.replacing));
        let existing = existing(machine);
        counts.row([
            machine.kind.heading().into(),
            Cell::Number(found.replacing.ceil(), 0),
            Cell::Number(found.on_top.ceil(), 0),
            existing.map_or(Cell::Missing, |n| Cell::Number(n, 0)),
            existing.map_or(Cell::Missing, |n| Cell::Figure(100.0 * found.replacing / n)),
        ]);
        sizes.row([
            machine.kind.heading().into(),
            Cell::Figure(machine.power.kilowatts()),
            Cell::Number(machine.hours_per_year, 0),
            Cell::Figure(machine.mean_hashrate().terahashes_per_second()),
            Cell::Number(found.power.megawatts(), 0),
            Cell::Figure(found.energy.megawatt_hours() / 1e6),
            Cell::Number(100.0 * found.at_once, 0),
        ]);
        inputs.extend(machine.inputs());
    }
    let published = |name, value, origin, date| Input {
        name,
        value: Cell::Number(value, 1),
        source: Source::Default { origin, date },
    };
    if machines.iter().any(|m| m.kind == Kind::Flare) {
        inputs.push(published(
            "gas_flared_bcm_per_year",
            GAS_FLARED_BCM,
            "World Bank, Global Gas Flaring Tracker, year 2024",
            "2025-07",
        ));
        inputs.push(published(
            "flare_kwh_per_cubic_metre",
            KWH_PER_CUBIC_METRE,
            "assumption: 10 kWh of heat, 35 % of it electricity",
            "2025",
        ));
    }
    if machines.iter().any(|m| m.kind == Kind::Car) {
        inputs.push(published(
            "ev_on_the_road_millions",
            CARS / 1e6,
            "IEA, Global EV Outlook, end of 2024",
            "2025-05",
        ));
    }
    let seasonal = machines.iter().any(|m| m.hours_per_year < HOURS_PER_YEAR / 2.0);
    let caution = if seasonal {
        " What runs few hours a year needs far more hashrate than its mean, and machines that stand \
         idle the rest: see the last column."
    } else {
        ""
    };
    Ok(Report {
        name: "spread machines",
        finding: format!(
            "{percent} % of the network's {} is {}.{caution}",
            network.0,
            phrases.join(", or ")
        ),
        inputs,
        tables: vec![counts, sizes],
        chart: Some(Chart {
            title: format!("Machines that make {percent} % of {}", network.0),
            x: Axis::linear("kind of machine"),
            y: Axis { label: "machines".into(), scale: Scale::Log },
            content: Content::Bars(bars),
        }),
    })
}

pub(super) fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Home => "homes",
        Kind::Heater => "portable heaters",
        Kind::Boiler => "hot-water boilers",
        Kind::Flare => "flare sites",
        Kind::Car => "cars' worth of charging",
        Kind::Own => "own machines",
    }
}

/// A part of one as a percentage with at most three decimals: `25`, `0.694`.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.3}", 100.0 * share);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// In words: `4.08 million`.
pub(super) fn count(number: f64) -> String {
    match number {
        n if n >= 999.5e6 => format!("{:.3} thousand million", n / 1e9),
        n if n >= 999_500.0 => format!("{:.*} million", if n < 9.995e6 { 2 } else { 1 }, n / 1e6),
        n => Cell::Count(n.ceil() as u64).text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_network_is_counted_by_hand() {
        let (network, _) = default_network();
        // A quarter of 1.07 ZH/s at 17.5 J/TH draws 4,681 MW on average: 41.0 TWh a year.
        for (kind, each_mwh, machines) in [
            (Kind::Home, 10.0, 4_100_775.0),
            (Kind::Heater, 2.0, 20_503_875.0),
            (Kind::Boiler, 4.5, 9_112_833.3),
            (Kind::Flare, 8000.0, 5_125.968_75),
            (Kind::Car, 2.52, 16_272_916.7),
        ] {
            let machine = Machine::default_of(kind).unwrap();
            let found = needed(&machine, 0.25, network).unwrap();
            assert!((found.replacing / machines - 1.0).abs() < 1e-6, "{kind:?} {found:?}");
            assert!((found.energy.megawatt_hours() / 41.007_75e6 - 1.0).abs() < 1e-9);
            assert!(
                (found.energy.megawatt_hours() / found.replacing / each_mwh - 1.0).abs() < 1e-9
            );
            assert!((found.on_top / found.replacing - 4.0 / 3.0).abs() < 1e-12);
        }
        // Homes that heat 2,000 hours a year would then be more than the whole network.
        let home = needed(&Machine::default_of(Kind::Home).unwrap(), 0.25, network).unwrap();
        assert!((home.at_once - 1.095).abs() < 1e-9);
    }

    #[test]
    fn an_industrial_farm_is_5_79_million_bitaxes() {
        let bitaxe = "own=18 W,15,8760".parse::<Machine>().unwrap();
        assert!((bitaxe.mean_hashrate().terahashes_per_second() - 1.2).abs() < 1e-12);
        let network = Hashrate::from_hashes_per_second(1e21);
        let found = needed(&bitaxe, 1.0 / 144.0, network).unwrap();
        assert!((found.replacing / 5.787e6 - 1.0).abs() < 1e-4);
    }

    #[test]
    fn each_fault_of_a_machine_is_a_sentence() {
        for (text, said) in [
            ("home", "does not describe a machine"),
            ("home=5kW,17.5", "does not describe a machine"),
            ("home=5kW,17.5,2000,3", "does not describe a machine"),
            ("home=5kW,17.5,often", "does not describe a machine"),
            ("ship=5kW,17.5,2000", "\"ship\" is no kind of machine"),
            ("home=0,17.5,2000", "the power of home is zero"),
            ("home=-5,17.5,2000", "power"),
            ("home=5kW,0,2000", "efficiency"),
            ("home=5kW,17.5,0", "give more than 0 and at most 8760"),
            ("home=5kW,17.5,9000", "give more than 0 and at most 8760"),
            ("home=5kW,17.5,NaN", "give more than 0 and at most 8760"),
        ] {
            let error = text.parse::<Machine>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        let home = Machine::default_of(Kind::Home).unwrap();
        let (network, _) = default_network();
        for share in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(needed(&home, share, network).is_err());
        }
        assert!(needed(&home, 0.25, Hashrate::ZERO).is_err());
    }

    #[test]
    fn the_report_says_the_counts_in_its_finding_and_where_everything_is_from() {
        let machines: Vec<_> = Kind::KNOWN.into_iter().filter_map(Machine::default_of).collect();
        let report = report(&machines, (0.25, Source::Flag), default_network()).unwrap();
        assert!(report.finding.contains("4.10 million homes"), "{}", report.finding);
        assert!(report.finding.contains("5,126 flare sites"), "{}", report.finding);
        assert_eq!(report.inputs.len(), 2 + 15 + 3);
        assert!(report.finding.starts_with("25 % of"), "{}", report.finding);
        assert_eq!(report.tables[0].rows.len(), 5);
        assert!(super::report(&[], (0.25, Source::Flag), default_network()).is_err());
    }
}
