//! `[fleet]`: which machines there are, what feeds them, and how they may be steered.

mod lines;

use super::{
    DAY, HOUR, MINUTE, SECOND,
    section::{Fault, Read, Section},
    value,
};
use fleet::{
    Firmware,
    circuit::{Circuit, Circuits},
    discovery::range,
    drivers::{meter::PowerMeter, switch},
    identity::DeviceId,
    tuner::{Goal, GoalError},
    work::WorkScale,
};
use std::{fmt, net::IpAddr, num::NonZeroU32, str::FromStr, sync::Arc, time::Duration};
use toml::de::DeValue;
use units::{Celsius, Decibels, Watts};

/// What the fleet is told.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Whether machines are looked for and watched at all.
    pub enabled: bool,
    /// Ranges of addresses that are asked.
    pub scan: Vec<String>,
    pub scan_every: Duration,
    /// How often each machine is read.
    pub read_every: Duration,
    /// Connections to machines at once.
    pub sockets: usize,
    /// New ones a second while looking for machines.
    pub connections_per_second: NonZeroU32,
    /// Whether machines that announce themselves are asked.
    pub mdns: bool,
    /// Whether Whatsminers with API version 3 are spoken to.
    pub whatsminer_v3: bool,
    /// For what machines are tuned all the time.
    pub tune: Option<Goal>,
    /// Whether circuits' watts are shared out among machines.
    pub share_watts: bool,
    /// The broker of meters and switches, host and port.
    pub broker: Option<(String, u16)>,
    pub circuits: Vec<Fed>,
    pub devices: Vec<Declared>,
    pub logins: Vec<(Firmware, Login)>,
}

/// A circuit and what measures it.
#[derive(Debug, Clone)]
pub struct Fed {
    pub circuit: Circuit,
    pub meter: Option<PowerMeter>,
}

/// What the owner says of a machine.
#[derive(Debug, Clone)]
pub struct Declared {
    pub id: Option<DeviceId>,
    pub name: Option<Arc<str>>,
    pub ip: Option<IpAddr>,
    /// Full Stratum name.
    pub worker: Option<Arc<str>>,
    pub circuit: Option<Arc<str>>,
    /// Key of the catalogue.
    pub model: Option<Arc<str>>,
    /// What it draws.
    pub power: Option<Watts>,
    pub max_power: Option<Watts>,
    pub max_chip: Option<Celsius>,
    pub max_inlet: Option<Celsius>,
    /// At its full power.
    pub noise: Option<Decibels>,
    /// `Some(None)` for never; `None` for what holds for all.
    pub tune: Option<Option<Goal>>,
    pub work_scale: WorkScale,
    pub login: Option<Login>,
    pub switch: Option<Switch>,
    pub meter: Option<PowerMeter>,
}

/// What feeds a machine and can be switched.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    pub line: switch::Line,
    pub least_on: Duration,
    pub least_off: Duration,
}

/// How to get into a machine.
#[derive(Clone)]
pub struct Login {
    pub user: String,
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Default for Fleet {
    fn default() -> Self {
        let scan = fleet::discovery::scan::Limits::default();
        Self {
            enabled: true,
            scan: Vec::new(),
            scan_every: HOUR,
            read_every: 5 * SECOND,
            sockets: 256,
            connections_per_second: scan.connections_per_second,
            mdns: true,
            whatsminer_v3: false,
            tune: None,
            share_watts: false,
            broker: None,
            circuits: Vec::new(),
            devices: Vec::new(),
            logins: Vec::new(),
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
    let mut mqtt = section.section("mqtt");
    let broker = mqtt.optional("server", lines::broker);
    drop(mqtt);
    let circuits = read_circuits(&mut section, broker.as_ref());
    let known = |name: &str| circuits.iter().any(|fed| &*fed.circuit.name == name);
    let any = section.has("device");
    let devices = section.sections("device").into_iter();
    let devices: Vec<_> =
        devices.filter_map(|one| read_device(one, any, broker.as_ref(), known)).collect();
    let any = section.has("login");
    let logins: Vec<_> =
        section.sections("login").into_iter().filter_map(|one| read_login(one, any)).collect();
    let per_second = default.connections_per_second;
    let per_second =
        section.or("connections_per_second", per_second.get(), value::count(1, 100_000));
    Fleet {
        enabled: section.or("enabled", default.enabled, value::flag),
        scan: section.or("scan", default.scan, ranges),
        scan_every: section.or("scan_every", default.scan_every, value::duration(MINUTE, 30 * DAY)),
        read_every: section.or("read_every", default.read_every, value::duration(SECOND, MINUTE)),
        sockets: section.or("sockets", default.sockets, value::count(1, 10_000)),
        connections_per_second: NonZeroU32::new(per_second)
            .unwrap_or(default.connections_per_second),
        mdns: section.or("mdns", default.mdns, value::flag),
        whatsminer_v3: section.or("whatsminer_v3", default.whatsminer_v3, value::flag),
        tune: section.or("tune", default.tune, goal),
        share_watts: section.or("share_watts", default.share_watts, value::flag),
        broker,
        circuits,
        devices,
        logins,
    }
}

fn read_circuits(fleet: &mut Section<'_, '_>, broker: Option<&(String, u16)>) -> Vec<Fed> {
    let any = fleet.has("circuit");
    let mut all: Vec<Fed> = Vec::new();
    for mut section in fleet.sections("circuit") {
        let power = || quantity("a power in quotes, such as \"7.4 kW\"");
        let name = section.optional("name", value::text);
        let feeds_from = section.optional("feeds_from", value::text);
        let watts = section.optional("limit", power());
        let amperes = section.optional("amperes", value::number(0.1, 10_000.0));
        let volts = section.or("volts", 230.0, value::number(12.0, 1000.0));
        let phases = section.or("phases", 1, value::count(1u32, 3));
        let continuous = section.or("continuous", 0.8, value::number(0.1, 1.0));
        let other = section.or("other", Watts::ZERO, power());
        let meter = lines::meter(section.section("meter"), broker);
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
        let parent = feeds_from.map(Into::into);
        all.push(Fed { circuit: Circuit { name: name.into(), parent, limit, other }, meter });
    }
    let circuits = all.iter().map(|fed| fed.circuit.clone()).collect();
    if let Err(error) = Circuits::new(circuits) {
        fleet.fault("circuit", &format!("is wrong: {error}"));
    }
    all
}

/// `None` for the empty table that stands for no machine at all.
fn read_device(
    mut section: Section<'_, '_>,
    given: bool,
    broker: Option<&(String, u16)>,
    known: impl Fn(&str) -> bool,
) -> Option<Declared> {
    let power = || quantity("a power in quotes, such as \"3500 W\"");
    let warmth = || quantity("a temperature in quotes, such as \"70 C\"");
    let id = "mac:…, sn:…, worker:… or name:… in quotes, as hearth scan shows it";
    let id = section.optional("id", quantity::<DeviceId>(id));
    let circuit = section.optional("circuit", value::text);
    if let Some(circuit) = circuit.as_ref().filter(|name| !known(name)) {
        let words = format!("is \"{circuit}\", but there is no [[fleet.circuit]] of that name");
        section.fault("circuit", &words);
    }
    let model = section.optional("model", |value| {
        let text = value::text(value)?;
        match ::catalogue::find(::catalogue::machines(), &text) {
            Ok(machine) => Ok(machine.model.as_str().into()),
            Err(error) => Err(Fault::Sentence(format!("is not known: {error}"))),
        }
    });
    let scale = section.or("work_scale", 1.0, value::number(1.0, 1e30));
    let user = section.optional("user", value::text);
    let password = section.optional("password", value::text);
    let login = password.is_some() || user.is_some();
    let device = Declared {
        id,
        name: section.optional("name", value::text).map(Into::into),
        ip: section.optional("ip", quantity("an IP address in quotes")),
        worker: section.optional("worker", value::text).map(Into::into),
        circuit: circuit.map(Into::into),
        model,
        power: section.optional("power", power()),
        max_power: section.optional("max_power", power()),
        max_chip: section.optional("max_chip", warmth()),
        max_inlet: section.optional("max_inlet", warmth()),
        noise: section
            .optional("noise", value::number(0.0, 150.0))
            .and_then(|level| Decibels::new(level).ok()),
        tune: section.optional("tune", goal),
        work_scale: WorkScale::new(scale).unwrap_or(WorkScale::ONE),
        login: login.then(|| Login {
            user: user.unwrap_or_default(),
            password: password.unwrap_or_default(),
        }),
        switch: lines::switch(section.section("switch"), broker),
        meter: lines::meter(section.section("meter"), broker),
    };
    if !given {
        return None;
    }
    let found = device.id.is_some() || device.ip.is_some() || device.worker.is_some();
    if !found && section.clean() && !(device.name.is_some() && device.switch.is_some()) {
        let words = "is needed to know which machine this is: or ip, or worker; a switched outlet \
             may have a name alone";
        section.fault("id", words);
    }
    if device.switch.is_some() && device.name.is_none() && section.clean() {
        section.fault("name", "is needed for a machine behind a switch");
    }
    Some(device)
}

fn read_login(mut section: Section<'_, '_>, given: bool) -> Option<(Firmware, Login)> {
    let firmware = section.optional("firmware", firmware);
    let user = section.or("user", String::new(), value::text);
    let password = section.or("password", String::new(), value::text);
    if given && firmware.is_none() && section.clean() {
        section.fault("firmware", "is needed for each login");
    }
    firmware.map(|firmware| (firmware, Login { user, password }))
}

/// Texts that name ranges of addresses.
fn ranges(value: &DeValue) -> Read<Vec<String>> {
    let wanted = || "a list of ranges in quotes, such as [\"10.0.0.0/24\", \"10.0.1.5-40\"]".into();
    let DeValue::Array(all) = value else { return Err(Fault::MustBe(wanted())) };
    let texts = all.iter().map(|one| one.as_ref().as_str().map(str::to_owned));
    let Some(texts) = texts.collect::<Option<Vec<String>>>() else {
        return Err(Fault::MustBe(wanted()));
    };
    match range::addresses(&texts, false, 0) {
        Ok(_) => Ok(texts),
        Err(range::BadRange::Public(ip)) => Err(Fault::Sentence(format!(
            "has {ip}, a public address: only a network of your own is asked"
        ))),
        Err(error) => Err(Fault::Sentence(format!("is wrong: {error}"))),
    }
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
    let known = serde_json::from_value(text.into()).ok().filter(|firmware| {
        !matches!(firmware, Firmware::Switch | Firmware::None | Firmware::Other)
    });
    known.ok_or_else(|| {
        Fault::MustBe(
            "\"braiins_os\", \"vnish\", \"antminer_stock\", \"whatsminer_v2\", \"whatsminer_v3\", \
             \"nerd_axe\", \"axe_os\", \"lux_os\" or \"avalon\""
                .into(),
        )
    })
}
