//! `[fleet]`: which machines there are, what feeds them, and how they may be steered.

use super::{
    HOUR, MINUTE, SECOND,
    section::{Fault, Read, Section},
    value,
};
use fleet::{
    Firmware,
    circuit::{Circuit, Circuits},
    identity::DeviceId,
    tuner::{Goal, GoalError},
    work::WorkScale,
};
use std::{net::IpAddr, str::FromStr, sync::Arc, time::Duration};
use toml::de::DeValue;
use units::Watts;

/// What the fleet is told.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Whether machines are looked for and watched at all.
    pub enabled: bool,
    /// Ranges of addresses that are looked at.
    pub scan: Vec<String>,
    pub scan_every: Duration,
    /// How often each machine is read.
    pub read_every: Duration,
    /// Connections to machines at once.
    pub sockets: usize,
    /// New ones a second while looking for machines.
    pub connections_per_second: u32,
    pub mdns: bool,
    /// Whether Whatsminers with API version 3 are spoken to.
    pub whatsminer_v3: bool,
    /// For what machines are tuned all the time.
    pub tune: Option<Goal>,
    pub circuits: Vec<Fed>,
    pub devices: Vec<Declared>,
    pub logins: Vec<Login>,
    /// The broker of meters and switches.
    pub mqtt: Option<String>,
}

/// A circuit and what measures it.
#[derive(Debug, Clone)]
pub struct Fed {
    pub circuit: Circuit,
    pub meter: Option<Meter>,
}

/// Where a circuit's power is read.
#[derive(Debug, Clone, PartialEq)]
pub enum Meter {
    /// A topic that carries watts.
    Mqtt(String),
    /// A register of a meter.
    Modbus { address: String, register: u16, kind: Word, scale: f64 },
}

/// How a meter writes a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    U16,
    I16,
    U32,
    I32,
    F32,
}

/// What the owner says of a machine.
#[derive(Debug, Clone)]
pub struct Declared {
    pub id: Option<DeviceId>,
    pub name: Option<String>,
    pub ip: Option<IpAddr>,
    pub worker: Option<Arc<str>>,
    pub circuit: Option<Arc<str>>,
    pub model: Option<String>,
    pub power: Option<Watts>,
    pub work_scale: WorkScale,
    pub switch: Option<Switch>,
}

/// What feeds a machine and can be switched.
#[derive(Debug, Clone, PartialEq)]
pub enum Switch {
    Mqtt { topic: String, on: String, off: String },
    Modbus { address: String, coil: u16 },
}

/// How to get into machines of one firmware.
#[derive(Clone)]
pub struct Login {
    pub firmware: Firmware,
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("firmware", &self.firmware).finish_non_exhaustive()
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            enabled: false,
            scan: Vec::new(),
            scan_every: HOUR,
            read_every: 5 * SECOND,
            sockets: 256,
            connections_per_second: 100,
            mdns: true,
            whatsminer_v3: false,
            tune: None,
            circuits: Vec::new(),
            devices: Vec::new(),
            logins: Vec::new(),
            mqtt: None,
        }
    }
}

impl Fleet {
    /// The circuits, which were checked when the file was read.
    pub fn circuits(&self) -> Circuits {
        let all = self.circuits.iter().map(|fed| fed.circuit.clone()).collect();
        Circuits::new(all).unwrap_or_default()
    }
}

pub(super) fn read(mut section: Section<'_, '_>) -> Fleet {
    let default = Fleet::default();
    let circuits = read_circuits(&mut section);
    let known = |name: &str| circuits.iter().any(|fed| &*fed.circuit.name == name);
    let any = section.has("device");
    let devices: Vec<Declared> =
        section.sections("device").into_iter().map(|one| read_device(one, any, known)).collect();
    let any_login = section.has("login");
    let logins: Vec<Option<Login>> =
        section.sections("login").into_iter().map(|one| read_login(one, any_login)).collect();
    let mut mqtt = section.section("mqtt");
    let server = mqtt.optional("server", value::text);
    drop(mqtt);
    Fleet {
        enabled: section.or("enabled", default.enabled, value::flag),
        scan: section.or("scan", default.scan, ranges),
        scan_every: section.or(
            "scan_every",
            default.scan_every,
            value::duration(MINUTE, 24 * 30 * HOUR),
        ),
        read_every: section.or(
            "read_every",
            default.read_every,
            value::duration(SECOND, HOUR),
        ),
        sockets: section.or("sockets", default.sockets, value::count(1, 10_000)),
        connections_per_second: section.or(
            "connections_per_second",
            default.connections_per_second,
            value::count(1, 100_000),
        ),
        mdns: section.or("mdns", default.mdns, value::flag),
        whatsminer_v3: section.or("whatsminer_v3", default.whatsminer_v3, value::flag),
        tune: section.or("tune", default.tune, goal),
        circuits,
        devices: if any { devices } else { Vec::new() },
        logins: logins.into_iter().flatten().collect(),
        mqtt: server,
    }
}

fn read_circuits(fleet: &mut Section<'_, '_>) -> Vec<Fed> {
    let any = fleet.has("circuit");
    let mut all: Vec<Fed> = Vec::new();
    for mut section in fleet.sections("circuit") {
        let name = section.optional("name", value::text);
        let feeds_from = section.optional("feeds_from", value::text);
        let watts = section.optional("limit", quantity("a power in quotes, such as \"7.4 kW\""));
        let amperes = section.optional("amperes", value::number(0.1, 10_000.0));
        let volts = section.or("volts", 230.0, value::number(12.0, 1000.0));
        let phases = section.or("phases", 1, value::count(1u32, 3));
        let continuous = section.or("continuous", 0.8, value::number(0.1, 1.0));
        let other =
            section.or("other", Watts::ZERO, quantity("a power in quotes, such as \"500 W\""));
        let meter = read_meter(section.section("meter"));
        if !any {
            continue;
        }
        // On three phases volts are those between a phase and neutral, as on a home's breaker.
        let rated = amperes.map(|amperes| amperes * volts * f64::from(phases) * continuous);
        let limit = watts.or(rated.and_then(|watts| Watts::new(watts).ok()));
        let (Some(name), Some(limit)) = (name, limit) else {
            if section.clean() {
                section.fault("name", "and limit (or amperes) are needed for each circuit");
            }
            continue;
        };
        if watts.is_some() && amperes.is_some() {
            section.fault("amperes", "and limit say the same twice: remove one");
        }
        let circuit =
            Circuit { name: name.into(), parent: feeds_from.map(Into::into), limit, other };
        all.push(Fed { circuit, meter });
    }
    let circuits = all.iter().map(|fed| fed.circuit.clone()).collect();
    if let Err(error) = Circuits::new(circuits) {
        fleet.fault("circuit", &format!("is wrong: {error}"));
    }
    all
}

fn read_meter(mut section: Section<'_, '_>) -> Option<Meter> {
    let topic = section.optional("mqtt", value::text);
    let address = section.optional("modbus", value::text);
    let register = section.or("register", 0, value::count(0u16, u16::MAX));
    let kind = section.or("kind", Word::F32, word);
    let scale = section.or("scale", 1.0, value::number(1e-6, 1e6));
    match (topic, address) {
        (Some(_), Some(_)) => {
            section.fault("modbus", "and mqtt are two meters: keep the better one");
            None
        }
        (Some(topic), None) => Some(Meter::Mqtt(topic)),
        (None, Some(address)) => Some(Meter::Modbus { address, register, kind, scale }),
        (None, None) => None,
    }
}

fn read_device(
    mut section: Section<'_, '_>,
    given: bool,
    known: impl Fn(&str) -> bool,
) -> Declared {
    let id = section.optional(
        "id",
        quantity::<DeviceId>("mac:…, sn:… or worker:… in quotes, as hearth scan shows it"),
    );
    let circuit = section.optional("circuit", value::text);
    if let Some(circuit) = circuit.as_ref().filter(|name| !known(name)) {
        let words = format!("is \"{circuit}\", but there is no [[fleet.circuit]] of that name");
        section.fault("circuit", &words);
    }
    let model = section.optional("model", |value| {
        let text = value::text(value)?;
        match ::catalogue::find(::catalogue::machines(), &text) {
            Ok(machine) => Ok(machine.model.clone()),
            Err(error) => Err(Fault::Sentence(format!("is not known: {error}"))),
        }
    });
    let scale = section.or("work_scale", 1.0, value::number(1.0, 1e30));
    let device = Declared {
        id,
        name: section.optional("name", value::text),
        ip: section.optional("ip", quantity("an IP address in quotes")),
        worker: section.optional("worker", value::text).map(Into::into),
        circuit: circuit.map(Into::into),
        model,
        power: section.optional("power", quantity("a power in quotes, such as \"3500 W\"")),
        work_scale: WorkScale::new(scale).unwrap_or(WorkScale::ONE),
        switch: read_switch(section.section("switch")),
    };
    let named = device.id.is_some() || device.ip.is_some() || device.worker.is_some();
    if given && !named && device.name.is_none() && section.clean() {
        section.fault("id", "is needed for each machine; or ip, worker or name");
    }
    device
}

fn read_switch(mut section: Section<'_, '_>) -> Option<Switch> {
    let topic = section.optional("mqtt", value::text);
    let on = section.or("on", "on".into(), value::text);
    let off = section.or("off", "off".into(), value::text);
    let address = section.optional("modbus", value::text);
    let coil = section.or("coil", 0, value::count(0u16, u16::MAX));
    match (topic, address) {
        (Some(topic), _) => Some(Switch::Mqtt { topic, on, off }),
        (None, Some(address)) => Some(Switch::Modbus { address, coil }),
        (None, None) => None,
    }
}

fn read_login(mut section: Section<'_, '_>, given: bool) -> Option<Login> {
    let firmware = section.optional("firmware", firmware);
    let user = section.or("user", String::new(), value::text);
    let password = section.or("password", String::new(), value::text);
    if given && firmware.is_none() && section.clean() {
        section.fault("firmware", "is needed for each login");
    }
    firmware.map(|firmware| Login { firmware, user, password })
}

/// Texts that name ranges of addresses.
fn ranges(value: &DeValue) -> Read<Vec<String>> {
    let wanted = "a list of ranges in quotes, such as [\"10.0.0.0/24\", \"10.0.1.5-40\"]";
    let DeValue::Array(all) = value else { return Err(Fault::MustBe(wanted.into())) };
    all.iter()
        .map(|one| match one.as_ref().as_str() {
            Some(text) if is_range(text) => Ok(text.to_string()),
            _ => Err(Fault::MustBe(wanted.into())),
        })
        .collect()
}

fn is_range(text: &str) -> bool {
    let first = text.split(['/', '-']).next().unwrap_or_default();
    let rest = text.strip_prefix(first).unwrap_or_default();
    let end = rest.trim_start_matches(['/', '-']);
    first.parse::<IpAddr>().is_ok()
        && (rest.is_empty() || end.parse::<u8>().is_ok() || end.parse::<IpAddr>().is_ok())
}

fn quantity<T: FromStr>(wanted: &'static str) -> impl Fn(&DeValue) -> Read<T> {
    move |value| match value.as_str().and_then(|text| text.parse().ok()) {
        Some(value) => Ok(value),
        None => Err(Fault::MustBe(wanted.into())),
    }
}

fn goal(value: &DeValue) -> Read<Option<Goal>> {
    let text = value::text(value)?;
    if text == "off" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: GoalError| Fault::Sentence(format!("is wrong: {error}")))
}

fn firmware(value: &DeValue) -> Read<Firmware> {
    let text = value.as_str().unwrap_or_default();
    serde_json::from_value(text.into()).map_err(|_| {
        Fault::MustBe(
            "\"braiins_os\", \"lux_os\", \"vnish\", \"antminer_stock\", \"whatsminer_v2\", \
             \"axe_os\", \"nerd_axe\" or \"avalon\""
                .into(),
        )
    })
}

fn word(value: &DeValue) -> Read<Word> {
    match value.as_str() {
        Some("u16") => Ok(Word::U16),
        Some("i16") => Ok(Word::I16),
        Some("u32") => Ok(Word::U32),
        Some("i32") => Ok(Word::I32),
        Some("f32") => Ok(Word::F32),
        _ => Err(Fault::MustBe("\"u16\", \"i16\", \"u32\", \"i32\" or \"f32\"".into())),
    }
}
