//! `[energy]`: what a site is, in which modes it runs, and where it hears what it must know.

mod breaker;
mod evidence;
mod heat;
mod lines;
mod plan;
mod signals;
mod switch;
mod window;

pub use evidence::{Basis, Evidence};
pub use heat::{Kind, Zone};
pub use plan::{Demand, Plan};
pub use signals::Sources;
pub use window::Window;

use super::{
    DAY, HOUR, MINUTE, SECOND,
    section::{Fault, Read, Section},
    value,
};
use dispatch::{
    genset,
    local::{Derate, Droop, Rating, Relay},
    plant::Plant,
    site::{Connection, Levels},
};
use grid::{BadSetting, switch::Switch};
use lines::{quantity, texts};
use std::{path::Path, sync::Arc, time::Duration};
use toml::de::DeValue;
use units::{Celsius, EnergyPrice, Hertz, Kilopascals, Ratio, Usd, UtcOffset, Watts};

/// What decides on power is told.
#[derive(Debug, Clone)]
pub struct Energy {
    /// Whether power is decided on at all.
    pub enabled: bool,
    /// Whether decisions are sent to machines; otherwise they are only shown.
    pub steer: bool,
    /// Name of the site.
    pub site: Arc<str>,
    pub connection: Connection,
    /// The site's own time, in which tariffs name hours.
    pub utc_offset: UtcOffset,
    pub import_limit: Option<Watts>,
    /// The main breaker, where its rating is told.
    pub breaker: Option<Rating>,
    /// What power costs where no source says.
    pub power_price: Option<EnergyPrice>,
    pub price: bool,
    pub surplus: Option<Watts>,
    pub export: Option<(Plant, Watts)>,
    pub engine: Option<Engine>,
    pub droop: Option<Droop>,
    /// Charge at which loads stop, and at which they come back.
    pub reserve: Option<(Ratio, Ratio)>,
    /// Temperatures that limit all loads, by name.
    pub hot: Vec<(Arc<str>, Derate)>,
    pub dead_man: Option<Duration>,
    pub levels: Levels,
    pub zones: Vec<Zone>,
    pub compute: Vec<Compute>,
    pub enable: Vec<Enable>,
    pub plan: Plan,
    pub evidence: Option<Evidence>,
    pub home_assistant: Option<HomeAssistant>,
    /// Reports to an aggregator, and its commands back.
    pub aggregator: Option<grid::homes::Reporter>,
    pub sources: Sources,
}

/// An engine and the pressure at which its fuel is full.
#[derive(Debug, Clone, Copy)]
pub struct Engine {
    pub limits: genset::Limits,
    pub full_pressure: Option<Kilopascals>,
}

/// A computing load.
#[derive(Debug, Clone)]
pub struct Compute {
    pub name: Arc<str>,
    pub power: Watts,
    /// What a kilowatt-hour of it is worth.
    pub value: EnergyPrice,
    pub min_run: Duration,
    pub start_cost: Usd,
    pub stop_cost: Usd,
    pub load: Switch,
}

/// Machines that run only while a contact is closed.
#[derive(Debug, Clone)]
pub struct Enable {
    pub contact: Arc<str>,
    pub machines: Vec<Arc<str>>,
}

/// How Home Assistant is reached.
#[derive(Debug, Clone)]
pub struct HomeAssistant {
    pub address: grid::mqtt::Address,
    pub discovery: String,
    pub base: String,
}

impl Default for Energy {
    fn default() -> Self {
        Self {
            enabled: false,
            steer: true,
            site: "home".into(),
            connection: Connection::Grid,
            utc_offset: UtcOffset::default(),
            import_limit: None,
            breaker: None,
            power_price: None,
            price: false,
            surplus: None,
            export: None,
            engine: None,
            droop: None,
            reserve: None,
            hot: Vec::new(),
            dead_man: None,
            levels: Levels::default(),
            zones: Vec::new(),
            compute: Vec::new(),
            enable: Vec::new(),
            plan: Plan::default(),
            evidence: None,
            home_assistant: None,
            aggregator: None,
            sources: Sources::default(),
        }
    }
}

/// Notes why a setting cannot work, at the key that it is about.
fn take<T>(
    section: &mut Section<'_, '_>,
    key: &'static str,
    made: Result<T, BadSetting>,
) -> Option<T> {
    made.map_err(|BadSetting(sentence)| section.fault(key, &format!("is wrong: {sentence}"))).ok()
}

fn power() -> impl Fn(&DeValue) -> Read<Watts> {
    quantity("a power in quotes, such as \"3500 W\"")
}

impl Energy {
    /// What may be drawn at the connection point for long.
    pub fn carries(&self) -> Option<Watts> {
        let breaker = self.breaker.map(|breaker| breaker.rated.part(breaker.continuous));
        self.import_limit.into_iter().chain(breaker).reduce(Watts::min)
    }
}

fn percent(section: &mut Section<'_, '_>, key: &'static str, default: f64) -> Ratio {
    let percent = section.or(key, default, value::number(0.0, 100.0));
    Ratio::percent(percent).unwrap_or_default()
}

pub(super) fn read(mut section: Section<'_, '_>, fleet: bool, folder: &Path) -> Energy {
    let default = Energy::default();
    let sources = signals::read(&mut section, folder);
    let site = section.or("site", default.site.to_string(), label);
    let utc_offset = window::offset(&mut section);
    let energy = Energy {
        enabled: section.or("enabled", default.enabled, value::flag),
        steer: section.or("steer", default.steer, value::flag),
        aggregator: read_aggregator(section.section("aggregator"), &site),
        site: site.into(),
        connection: section.or("connection", default.connection, |value| match value.as_str() {
            Some("grid") => Ok(Connection::Grid),
            Some("off-grid") => Ok(Connection::OffGrid),
            _ => Err(Fault::MustBe("\"grid\" or \"off-grid\"".into())),
        }),
        utc_offset,
        import_limit: section.optional("import_limit", power()),
        breaker: breaker::read(section.section("breaker")),
        power_price: section
            .optional("power_price", quantity("a price in quotes, such as \"0.16 $/kWh\"")),
        price: section.or("price", default.price, value::flag),
        surplus: section.optional("surplus", power()),
        export: read_export(section.section("export")),
        engine: read_engine(section.section("engine")),
        droop: read_droop(section.section("droop")),
        reserve: read_reserve(section.section("reserve")),
        hot: read_hot(&mut section),
        dead_man: section.optional("dead_man", value::duration(SECOND, DAY)),
        levels: section.or("levels", default.levels, levels),
        zones: heat::read(&mut section),
        compute: read_compute(&mut section),
        enable: read_enable(&mut section),
        plan: plan::read(section.section("plan")),
        evidence: evidence::read(section.section("evidence"), utc_offset),
        home_assistant: read_home_assistant(section.section("home_assistant")),
        sources,
    };
    if energy.plan.engine.is_some() && energy.engine.is_none() && section.clean() {
        section.fault("plan", "plans an engine: give its limits under [energy.engine]");
    }
    if energy.enabled && !fleet {
        section.fault("enabled", "needs machines to steer: set enabled = true under [fleet], too");
    }
    let meters = &energy.sources;
    let unmetered = meters.modbus.is_empty() && meters.sunspec.is_empty() && meters.mqtt.is_empty();
    for (key, given) in [
        ("import_limit", energy.import_limit.is_some()),
        ("breaker", energy.breaker.is_some()),
        ("surplus", energy.surplus.is_some()),
        ("export", energy.export.is_some()),
    ] {
        if given && unmetered && meters.http.is_empty() && energy.enabled {
            section.fault(
                key,
                "needs a meter of net power: add one below [[energy.modbus]], [[energy.sunspec]] or \
                 [[energy.mqtt]]",
            );
        }
    }
    energy
}

/// A short name that stands in records and topics.
fn label(value: &DeValue) -> Read<String> {
    let good = |text: &str| {
        (1..=40).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    match value.as_str() {
        Some(text) if good(text) => Ok(text.into()),
        _ => Err(Fault::MustBe(
            "a short name of lower-case letters, digits, - and _ in quotes".into(),
        )),
    }
}

fn levels(value: &DeValue) -> Read<Levels> {
    let wanted =
        || Fault::MustBe("four percentages that do not rise, such as [100, 50, 10, 0]".into());
    let DeValue::Array(all) = value else { return Err(wanted()) };
    let read = value::number(0.0, 100.0);
    let parts: Vec<f64> = all.iter().filter_map(|one| read(one.as_ref()).ok()).collect();
    let [a, b, c, d] = parts[..] else { return Err(wanted()) };
    if all.len() != 4 || !parts.is_sorted_by(|a, b| a >= b) {
        return Err(wanted());
    }
    Ok(Levels([a, b, c, d].map(|part| Ratio::percent(part).unwrap_or_default())))
}

fn read_export(mut section: Section<'_, '_>) -> Option<(Plant, Watts)> {
    let output = section.optional("output", power());
    let machines = section.optional("machines", power());
    let export = section.optional("export", power());
    let ramp_per_minute = percent(&mut section, "ramp_percent", 3.0);
    match (output, machines, export) {
        (Some(output), Some(machines), Some(export)) => {
            Some((Plant { output, ramp_per_minute, machines }, export))
        }
        (None, None, None) => None,
        _ => {
            if section.clean() {
                section.fault("output", "and machines and export are needed together");
            }
            None
        }
    }
}

fn read_engine(mut section: Section<'_, '_>) -> Option<Engine> {
    let rated = section.optional("rated", power());
    let nominal = section.or("nominal", 60.0, value::number(40.0, 70.0));
    let block = section.optional("block", power());
    if rated.is_some() && block.is_none() && section.clean() {
        section
            .fault("block", "is needed: what the machines of one breaker draw, such as \"14 kW\"");
    }
    let limits = genset::Limits {
        rated: rated.unwrap_or(Watts::ZERO),
        nominal: Hertz::new(nominal).unwrap_or(Hertz::ZERO),
        lowest: percent(&mut section, "lowest_percent", 30.0),
        highest: percent(&mut section, "highest_percent", 90.0),
        step: percent(&mut section, "step_percent", 10.0),
        block: block.unwrap_or_default(),
        patience: section.or("patience", MINUTE, value::duration(SECOND, HOUR)),
    };
    let full_pressure = section.optional("full_pressure_kpa", value::number(0.01, 1e5));
    let full_pressure = full_pressure.and_then(|kpa| Kilopascals::new(kpa).ok());
    if limits.lowest >= limits.highest {
        section.fault("lowest_percent", "must lie below highest_percent: the band is empty");
    }
    rated.map(|_| Engine { limits, full_pressure })
}

fn read_droop(mut section: Section<'_, '_>) -> Option<Droop> {
    let nominal = section.optional("nominal", value::number(40.0, 70.0));
    let dead_band = section.or("dead_band", 0.017, value::number(0.0, 1.0));
    let droop = percent(&mut section, "droop_percent", 5.0);
    let given = section.has("step");
    let mut relays = Vec::new();
    for mut step in section.sections("step") {
        let below = step.optional("below", value::number(40.0, 70.0));
        let sheds = percent(&mut step, "sheds_percent", 100.0);
        let recall = step.or("recall", 5 * MINUTE, value::duration(SECOND, HOUR));
        if given && below.is_none() && step.clean() {
            step.fault("below", "is needed for each step");
        }
        if let Some(below) = below.and_then(|hertz| Hertz::new(hertz).ok()) {
            relays.push(Relay { below, sheds, recall });
        }
    }
    if droop == Ratio::NONE {
        section.fault("droop_percent", "must be above 0: no frequency would move anything");
    }
    let hertz = |hertz| Hertz::new(hertz).unwrap_or(Hertz::ZERO);
    nominal.map(|nominal| Droop::new(hertz(nominal), hertz(dead_band), droop, relays))
}

fn read_reserve(mut section: Section<'_, '_>) -> Option<(Ratio, Ratio)> {
    let given = section.has("stop_percent");
    let stop = percent(&mut section, "stop_percent", 0.0);
    let resume = percent(&mut section, "resume_percent", (stop.as_percent() + 10.0).min(100.0));
    if given && resume <= stop {
        section.fault("resume_percent", "must lie above stop_percent, or loads flap");
    }
    given.then_some((stop, resume))
}

fn read_hot(energy: &mut Section<'_, '_>) -> Vec<(Arc<str>, Derate)> {
    let given = energy.has("hot");
    let mut all = Vec::new();
    for mut section in energy.sections("hot") {
        let warmth = || quantity::<Celsius>("a temperature in quotes, such as \"45 C\"");
        let celsius = |degrees| Celsius::new(degrees).unwrap_or(Celsius::ZERO);
        let temperature = section.optional("temperature", value::text);
        let from = section.or("from", celsius(45.0), warmth());
        let cut = section.or("cut", celsius(55.0), warmth());
        let blind = percent(&mut section, "blind_percent", 25.0);
        if !given {
            continue;
        }
        if cut <= from {
            section.fault("cut", "must lie above from");
        }
        match temperature {
            Some(temperature) => all.push((temperature.into(), Derate::new(from, cut, blind))),
            None if section.clean() => {
                section.fault("temperature", "is needed: its name among the signals");
            }
            None => {}
        }
    }
    all
}

fn read_compute(energy: &mut Section<'_, '_>) -> Vec<Compute> {
    let given = energy.has("compute");
    let mut all = Vec::new();
    for mut section in energy.sections("compute") {
        let name = section.optional("name", label);
        let draws = section.optional("power", power());
        let worth =
            section.optional("value", quantity("a value in quotes, such as \"0.25 $/kWh\""));
        let min_run = section.or("min_run", 30 * MINUTE, value::duration(Duration::ZERO, 7 * DAY));
        let start_cost = usd(section.or("start_usd", 0.0, value::number(0.0, 1e6)));
        let stop_cost = usd(section.or("stop_usd", 0.0, value::number(0.0, 1e6)));
        let load = switch::read(&mut section);
        if !given {
            continue;
        }
        let Some(load) = load else {
            if section.clean() {
                section.fault("unit", switch::NEEDED);
            }
            continue;
        };
        match (name, draws, worth) {
            (Some(name), Some(power), Some(value)) => all.push(Compute {
                name: name.into(),
                power,
                value,
                min_run,
                start_cost,
                stop_cost,
                load,
            }),
            _ if section.clean() => {
                section.fault("name", "and power and value are needed for each computing load");
            }
            _ => {}
        }
    }
    all
}

fn usd(dollars: f64) -> Usd {
    Usd::new(dollars).unwrap_or_default()
}

fn read_enable(energy: &mut Section<'_, '_>) -> Vec<Enable> {
    let given = energy.has("enable");
    let mut all = Vec::new();
    for mut section in energy.sections("enable") {
        let contact = section.optional("contact", value::text);
        let machines = section.or("machines", Vec::new(), texts);
        if !given {
            continue;
        }
        match contact {
            Some(contact) if !machines.is_empty() => all.push(Enable {
                contact: contact.into(),
                machines: machines.into_iter().map(Into::into).collect(),
            }),
            _ if section.clean() => {
                section.fault("contact", "and machines are needed, as hearth scan shows their ids");
            }
            _ => {}
        }
    }
    all
}

fn read_home_assistant(mut section: Section<'_, '_>) -> Option<HomeAssistant> {
    let address = lines::broker(&mut section);
    let discovery = section.or("discovery", "homeassistant".into(), value::text);
    let base = section.or("base", "hearth".into(), value::text);
    address.map(|address| HomeAssistant { address, discovery, base })
}

fn read_aggregator(mut section: Section<'_, '_>, site: &str) -> Option<grid::homes::Reporter> {
    let address = lines::broker(&mut section);
    let base = section.or("base", "hearth/homes".into(), value::text);
    let home = section.or("home", site.to_owned(), label);
    let every = section.or("every", 4 * SECOND, value::duration(SECOND, MINUTE));
    let reporter =
        grid::homes::Reporter { name: "aggregator".into(), address: address?, base, home, every };
    take(&mut section, "base", reporter.validate()).map(|()| reporter)
}
