//! `[energy.plan]`: what the day plan knows beside signals and machines: storage, tariff, contracts.

use super::{
    lines::quantity,
    power,
    window::{self, Window},
};
use crate::config::{DAY, HOUR, MINUTE, section::Section, value};
use std::{sync::Arc, time::Duration};
use units::{EnergyPrice, Ratio, Usd, WattHours, Watts};

/// How the day is planned.
#[derive(Debug, Clone)]
pub struct Plan {
    pub enabled: bool,
    pub step: Duration,
    pub horizon: Duration,
    /// What exported energy earns.
    pub export_price: EnergyPrice,
    pub export_limit: Option<Watts>,
    pub battery: Option<Battery>,
    pub engine: Option<Engine>,
    pub demand: Vec<Demand>,
    pub coincident: Option<Coincident>,
    pub contracts: Vec<Contract>,
    pub reserves: Vec<Reserve>,
}

/// A battery that its inverter charges as the plan is published.
#[derive(Debug, Clone)]
pub struct Battery {
    pub capacity: WattHours,
    pub charge: Watts,
    pub discharge: Watts,
    pub least: Ratio,
    pub most: Ratio,
    pub charge_efficiency: Ratio,
    pub discharge_efficiency: Ratio,
    pub wear: EnergyPrice,
}

/// What running the engine costs; its limits are those of `[energy.engine]`.
#[derive(Debug, Clone)]
pub struct Engine {
    pub fuel: EnergyPrice,
    pub per_hour: Usd,
    pub start_cost: Usd,
    pub min_on: Duration,
    pub min_off: Duration,
}

/// A charge on the highest import of a month.
#[derive(Debug, Clone)]
pub struct Demand {
    pub name: Arc<str>,
    pub per_kw: Usd,
    pub interval: Duration,
    pub so_far: Watts,
    pub applies: Window,
}

/// The charge on import in the hour of the system's peak.
#[derive(Debug, Clone)]
pub struct Coincident {
    pub per_kw: Usd,
    pub interval: Duration,
    /// Chance of each step of these hours to lie in it.
    pub chance: Ratio,
    pub applies: Window,
}

/// A contract on imported power.
#[derive(Debug, Clone)]
pub struct Contract {
    pub name: Arc<str>,
    pub at_most: Option<Watts>,
    pub at_least: Option<Watts>,
    pub applies: Window,
    pub penalty: Option<EnergyPrice>,
}

/// Power that stands by to be taken off.
#[derive(Debug, Clone)]
pub struct Reserve {
    pub name: Arc<str>,
    pub duration: Duration,
    pub price: EnergyPrice,
    pub sold: Watts,
    pub most: Watts,
    pub penalty: Option<EnergyPrice>,
    pub battery: bool,
    pub applies: Window,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            enabled: false,
            step: 15 * MINUTE,
            horizon: DAY,
            export_price: EnergyPrice::ZERO,
            export_limit: None,
            battery: None,
            engine: None,
            demand: Vec::new(),
            coincident: None,
            contracts: Vec::new(),
            reserves: Vec::new(),
        }
    }
}

fn price() -> impl Fn(&toml::de::DeValue) -> crate::config::section::Read<EnergyPrice> {
    quantity("a price in quotes, such as \"0.06 $/kWh\"")
}

fn money(section: &mut Section<'_, '_>, key: &'static str) -> Usd {
    Usd::new(section.or(key, 0.0, value::number(0.0, 1e6))).unwrap_or_default()
}

pub(super) fn read(mut section: Section<'_, '_>) -> Plan {
    let default = Plan::default();
    let plan = Plan {
        enabled: section.or("enabled", default.enabled, value::flag),
        step: section.or("step", default.step, value::duration(5 * MINUTE, HOUR)),
        horizon: section.or("horizon", default.horizon, value::duration(HOUR, 2 * DAY)),
        export_price: section.or("export_price", default.export_price, price()),
        export_limit: section.optional("export_limit", power()),
        battery: read_battery(section.section("battery")),
        engine: read_engine(section.section("engine")),
        demand: all(&mut section, "demand", read_demand),
        coincident: read_coincident(section.section("coincident")),
        contracts: all(&mut section, "contract", read_contract),
        reserves: all(&mut section, "reserve", read_reserve),
    };
    let step = plan.step.as_secs();
    if !HOUR.as_secs().is_multiple_of(step) {
        section.fault("step", "must divide an hour, such as \"5m\", \"15m\" or \"30m\"");
    }
    for charge in &plan.demand {
        if charge.interval < plan.step || !charge.interval.as_secs().is_multiple_of(step) {
            section.fault("step", "must divide the interval of each demand charge");
        }
    }
    plan
}

/// All tables of one name; where the file has none, one empty table tells which keys there are.
fn all<T>(
    plan: &mut Section<'_, '_>,
    key: &'static str,
    read: impl Fn(&mut Section<'_, '_>) -> Option<T>,
) -> Vec<T> {
    let given = plan.has(key);
    let sections = plan.sections(key);
    sections.into_iter().filter_map(|mut one| read(&mut one).filter(|_| given)).collect()
}

fn read_battery(mut section: Section<'_, '_>) -> Option<Battery> {
    let capacity = section
        .optional("capacity", quantity::<WattHours>("an energy in quotes, such as \"10 kWh\""));
    let charge = section.optional("charge", power());
    let discharge = section.optional("discharge", power());
    let mut percent = |key, default| super::percent(&mut section, key, default);
    let (least, most) = (percent("least_percent", 10.0), percent("most_percent", 100.0));
    let charge_efficiency = percent("charge_efficiency_percent", 95.0);
    let discharge_efficiency = percent("discharge_efficiency_percent", 95.0);
    let wear = section.or("wear", EnergyPrice::ZERO, price());
    if capacity.is_some() && most <= least {
        section.fault("most_percent", "must lie above least_percent");
    }
    for (key, efficiency) in [
        ("charge_efficiency_percent", charge_efficiency),
        ("discharge_efficiency_percent", discharge_efficiency),
    ] {
        if efficiency == Ratio::NONE {
            section.fault(key, "must be above 0");
        }
    }
    match (capacity, charge, discharge) {
        (Some(capacity), Some(charge), Some(discharge)) => Some(Battery {
            capacity,
            charge,
            discharge,
            least,
            most,
            charge_efficiency,
            discharge_efficiency,
            wear,
        }),
        (None, None, None) => None,
        _ => {
            if section.clean() {
                section.fault("capacity", "and charge and discharge are needed together");
            }
            None
        }
    }
}

fn read_engine(mut section: Section<'_, '_>) -> Option<Engine> {
    let fuel = section.optional("fuel", price());
    let engine = Engine {
        fuel: fuel.unwrap_or(EnergyPrice::ZERO),
        per_hour: money(&mut section, "usd_per_hour"),
        start_cost: money(&mut section, "start_usd"),
        min_on: section.or("min_on", HOUR, value::duration(Duration::ZERO, DAY)),
        min_off: section.or("min_off", 15 * MINUTE, value::duration(Duration::ZERO, DAY)),
    };
    fuel.map(|_| engine)
}

fn name(section: &mut Section<'_, '_>, usual: &str) -> Arc<str> {
    section.or("name", usual.into(), super::label).into()
}

fn read_demand(section: &mut Section<'_, '_>) -> Option<Demand> {
    let charge = Demand {
        name: name(section, "demand"),
        per_kw: money(section, "usd_per_kw"),
        interval: section.or("interval", 15 * MINUTE, value::duration(5 * MINUTE, HOUR)),
        so_far: section.or("so_far", Watts::ZERO, power()),
        applies: window::read(section),
    };
    Some(charge)
}

fn read_coincident(mut section: Section<'_, '_>) -> Option<Coincident> {
    let given = section.has("usd_per_kw");
    let peak = Coincident {
        per_kw: money(&mut section, "usd_per_kw"),
        interval: section.or("interval", 15 * MINUTE, value::duration(5 * MINUTE, HOUR)),
        chance: super::percent(&mut section, "chance_percent", 0.0),
        applies: window::read(&mut section),
    };
    given.then_some(peak)
}

fn read_contract(section: &mut Section<'_, '_>) -> Option<Contract> {
    let contract = Contract {
        name: name(section, "contract"),
        at_most: section.optional("at_most", power()),
        at_least: section.optional("at_least", power()),
        applies: window::read(section),
        penalty: section.optional("penalty", price()),
    };
    Some(contract)
}

fn read_reserve(section: &mut Section<'_, '_>) -> Option<Reserve> {
    let reserve = Reserve {
        name: name(section, "reserve"),
        duration: section.or("duration", HOUR, value::duration(5 * MINUTE, DAY)),
        price: section.or("usd_per_kw_hour", EnergyPrice::ZERO, |value| {
            let number = value::number(0.0, 1e3)(value)?;
            Ok(EnergyPrice::per_kwh(number).unwrap_or(EnergyPrice::ZERO))
        }),
        sold: section.or("sold", Watts::ZERO, power()),
        most: section.or("most", Watts::ZERO, power()),
        penalty: section.optional("penalty", price()),
        battery: section.or("battery", false, value::flag),
        applies: window::read(section),
    };
    Some(reserve)
}
