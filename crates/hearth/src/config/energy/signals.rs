//! `[[energy.modbus]]`, `[[energy.mqtt]]` and the like: where signals come from and how each is read.

use super::{
    lines::{broker, headers, quantity, signal, texts},
    take,
};
use crate::config::{DAY, HOUR, MINUTE, SECOND, place, section::Section, value};
use grid::{
    Quality, Signal, forecast, http, modbus, mqtt,
    number::{Field, Path as Inside},
    price, rate,
    register::{Kind, Register, Table, WordOrder},
    series::Layout,
    sunspec, victron,
};
use std::{path::Path, sync::Arc, time::Duration};
use units::{EnergyPrice, Ratio, Usd};

/// Every source of signals.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub modbus: Vec<modbus::Device>,
    pub sunspec: Vec<sunspec::Device>,
    pub mqtt: Vec<mqtt::Broker>,
    pub http: Vec<http::Poll>,
    pub prices: Vec<price::Source>,
    pub forecasts: Vec<forecast::Source>,
    /// What a bitcoin is worth.
    pub bitcoin: Option<rate::Rates>,
    pub openadr: Vec<grid::openadr::Config>,
}

const SCALE: (f64, f64) = (-1e12, 1e12);

pub(super) fn read(energy: &mut Section<'_, '_>, folder: &Path) -> Sources {
    Sources {
        modbus: tables(energy, "modbus", read_modbus),
        sunspec: tables(energy, "sunspec", read_sunspec),
        mqtt: tables(energy, "mqtt", read_mqtt),
        http: tables(energy, "http", read_http),
        prices: tables(energy, "prices", |section, given| read_prices(section, given, folder)),
        forecasts: tables(energy, "forecast", |section, given| {
            read_forecast(section, given, folder)
        }),
        bitcoin: read_bitcoin(energy.section("bitcoin")),
        openadr: tables(energy, "openadr", read_openadr),
    }
}

/// All tables of one name. Where the file has none, one empty table is read so that its keys are
/// known, and dropped.
fn tables<T>(
    energy: &mut Section<'_, '_>,
    key: &'static str,
    mut read: impl FnMut(&mut Section<'_, '_>, bool) -> Option<T>,
) -> Vec<T> {
    let given = energy.has(key);
    let sections = energy.sections(key);
    sections.into_iter().filter_map(|mut one| read(&mut one, given).filter(|_| given)).collect()
}

fn name(section: &mut Section<'_, '_>, default: &str) -> Arc<str> {
    section.or("name", default.to_owned(), value::text).into()
}

/// Made up, as in a demonstration: such values are never evidence.
fn quality(section: &mut Section<'_, '_>) -> Quality {
    match section.or("synthetic", false, value::flag) {
        true => Quality::Synthetic,
        false => Quality::Measured,
    }
}

fn needed<T>(
    section: &mut Section<'_, '_>,
    given: bool,
    key: &'static str,
    found: Option<T>,
) -> Option<T> {
    if found.is_none() && given && !section.has(key) {
        section.fault(key, "is needed here");
    }
    found
}

fn field(section: &mut Section<'_, '_>) -> Option<Field> {
    let path = section.optional("path", value::text).map(|text| Inside::new(&text));
    let scale = section.or("scale", 1.0, value::number(SCALE.0, SCALE.1));
    let offset = section.or("offset", 0.0, value::number(SCALE.0, SCALE.1));
    take(section, "scale", Field::new(path, scale, offset))
}

fn read_modbus(section: &mut Section<'_, '_>, given: bool) -> Option<modbus::Device> {
    let host = section.optional("host", value::text);
    let host = needed(section, given, "host", host);
    let registers = tables(section, "register", read_register);
    let device = modbus::Device {
        name: name(section, "meter"),
        host: host.unwrap_or_default(),
        port: section.or("port", 502, value::count(1u16, u16::MAX)),
        unit: section.or("unit", 1, value::count(0u8, u8::MAX)),
        every: section.or("every", SECOND, value::duration(Duration::from_millis(20), HOUR)),
        timeout: section.or(
            "timeout",
            Duration::from_secs(2),
            value::duration(Duration::from_millis(20), MINUTE),
        ),
        registers,
        quality: quality(section),
    };
    if !given {
        return None;
    }
    take(section, "register", device.validate())?;
    Some(device)
}

fn read_register(section: &mut Section<'_, '_>, given: bool) -> Option<Register> {
    let of = section.optional("signal", signal);
    let of = needed(section, given, "signal", of);
    let address = section.optional("address", value::count(0u16, u16::MAX));
    let address = needed(section, given, "address", address);
    let kind = section.or("type", "i16".into(), value::text);
    let kind = take(section, "type", Kind::named(&kind));
    let table = match section.or("input", false, value::flag) {
        true => Table::Input,
        false => Table::Holding,
    };
    let order = match section.or("low_first", false, value::flag) {
        true => WordOrder::LowFirst,
        false => WordOrder::HighFirst,
    };
    let field = field(section);
    let unknown = section.optional("unknown", value::count(0u32, u32::MAX));
    Some(Register { order, field: field?, unknown, ..Register::new(of?, table, address?, kind?) })
}

fn read_sunspec(section: &mut Section<'_, '_>, given: bool) -> Option<sunspec::Device> {
    let host = section.optional("host", value::text);
    let host = needed(section, given, "host", host);
    let role = section.or("role", sunspec::Role::Meter, |value| match value.as_str() {
        Some("meter") => Ok(sunspec::Role::Meter),
        Some("inverter") => Ok(sunspec::Role::Inverter),
        Some("generator") => Ok(sunspec::Role::Generator),
        Some("battery") => Ok(sunspec::Role::Battery),
        _ => Err(crate::config::section::Fault::MustBe(
            "\"meter\", \"inverter\", \"generator\" or \"battery\"".into(),
        )),
    });
    let device = sunspec::Device {
        name: name(section, "sunspec"),
        host: host.unwrap_or_default(),
        port: section.or("port", 502, value::count(1u16, u16::MAX)),
        unit: section.or("unit", 1, value::count(0u8, u8::MAX)),
        role,
        invert: section.or("invert", false, value::flag),
        every: section.or("every", SECOND, value::duration(Duration::from_millis(100), HOUR)),
        timeout: section.or("timeout", Duration::from_secs(2), value::duration(SECOND, MINUTE)),
        quality: quality(section),
    };
    if !given {
        return None;
    }
    take(section, "every", device.validate())?;
    Some(device)
}

fn read_mqtt(section: &mut Section<'_, '_>, given: bool) -> Option<mqtt::Broker> {
    let address = broker(section);
    let address = needed(section, given, "server", address);
    let mut topics = tables(section, "topic", read_topic);
    let portal = section.optional("victron", value::text);
    let portal = portal.and_then(|id| take(section, "victron", victron::Portal::new(&id)));
    if let Some(system) = portal.as_ref().map(victron::Portal::system) {
        topics.extend(take(section, "victron", system).unwrap_or_default());
    }
    let broker = mqtt::Broker {
        name: name(section, "mqtt"),
        address: address?,
        topics,
        keep_alive: portal.as_ref().map(victron::Portal::keep_alive),
        quality: quality(section),
    };
    take(section, "topic", broker.validate())?;
    Some(broker)
}

fn read_topic(section: &mut Section<'_, '_>, given: bool) -> Option<mqtt::Topic> {
    let topic = section.optional("topic", value::text);
    let topic = needed(section, given, "topic", topic);
    let of = section.optional("signal", signal);
    let of = needed(section, given, "signal", of);
    let format = read_format(section);
    let field = field(section);
    let take = match of? {
        Signal::SetPoint => mqtt::Use::SetPoint,
        Signal::Alive => mqtt::Use::Alive,
        Signal::Prices => mqtt::Use::Prices(format?),
        number => mqtt::Use::Number(number, field?),
    };
    Some(mqtt::Topic { topic: topic?, take })
}

fn read_http(section: &mut Section<'_, '_>, given: bool) -> Option<http::Poll> {
    let get = get(section, given);
    let fields = tables(section, "value", |section, given| {
        let of = section.optional("signal", signal);
        let of = needed(section, given, "signal", of);
        let field = field(section);
        Some((of?, field?))
    });
    let poll = http::Poll {
        name: name(section, "http"),
        get: get?,
        every: section.or("every", 5 * MINUTE, value::duration(SECOND, DAY)),
        fields,
        quality: quality(section),
    };
    take(section, "url", poll.validate())?;
    Some(poll)
}

fn get(section: &mut Section<'_, '_>, given: bool) -> Option<http::Get> {
    let url = section.optional("url", value::text);
    let url = needed(section, given, "url", url);
    let headers = section.or("headers", Vec::new(), headers);
    Some(http::Get { url: url?, headers })
}

/// Where the times and numbers of a series stand: columns of CSV, or paths in JSON. The key of the numbers is
/// `number`, and their name without it, too.
fn read_layout(section: &mut Section<'_, '_>, number: &'static str) -> Layout {
    let time = section.or("time", "time".into(), value::text);
    let value = section.or(number, number.into(), value::text);
    let list = section.optional("list", value::text);
    let columns = section.or("columns", false, value::flag);
    match (list, columns) {
        (_, true) => Layout::JsonColumns { times: Inside::new(&time), values: Inside::new(&value) },
        (Some(list), false) => Layout::JsonList {
            list: Inside::new(&list),
            time: Inside::new(&time),
            value: Inside::new(&value),
        },
        (None, false) => Layout::Csv { time, value },
    }
}

/// How a series of prices is written.
fn read_format(section: &mut Section<'_, '_>) -> Option<price::Format> {
    let layout = read_layout(section, "price");
    let unit = section.or("unit", "USD/kWh".into(), value::text);
    let usd = section.or("usd_per_unit", 1.0, value::number(1e-9, 1e9));
    let added = section.or("added", EnergyPrice::ZERO, quantity("a price, such as \"0.08 $/kWh\""));
    let unit = take(section, "unit", price::Unit::named(&unit, usd, added));
    let step = section.optional("step", value::duration(MINUTE, DAY));
    Some(price::Format { layout, unit: unit?, step })
}

/// A file or an address, one of the two.
fn read_from(section: &mut Section<'_, '_>, given: bool, folder: &Path) -> Option<http::From> {
    let file = section.optional("file", value::path).map(|path| place(&path, folder));
    let get = get(section, false);
    if given && section.has("file") == section.has("url") {
        section.fault("file", "or url is needed for a series, and not both");
    }
    file.map(http::From::File).or_else(|| get.map(http::From::Http))
}

fn read_prices(section: &mut Section<'_, '_>, given: bool, folder: &Path) -> Option<price::Source> {
    let from = read_from(section, given, folder);
    let format = read_format(section);
    let source = price::Source {
        name: name(section, "prices"),
        from: from?,
        format: format?,
        every: section.or("every", 15 * MINUTE, value::duration(10 * SECOND, DAY)),
        quality: quality(section),
    };
    take(section, "url", source.validate())?;
    Some(source)
}

fn read_forecast(
    section: &mut Section<'_, '_>,
    given: bool,
    folder: &Path,
) -> Option<forecast::Source> {
    let of = section.optional("signal", signal);
    let of = needed(section, given, "signal", of);
    let from = read_from(section, given, folder);
    let source = forecast::Source {
        name: name(section, "forecast"),
        layout: read_layout(section, "value"),
        scale: section.or("scale", 1.0, value::number(SCALE.0, SCALE.1)),
        offset: section.or("offset", 0.0, value::number(SCALE.0, SCALE.1)),
        step: section.optional("step", value::duration(MINUTE, DAY)),
        every: section.or("every", 15 * MINUTE, value::duration(10 * SECOND, DAY)),
        quality: quality(section),
        of: of?,
        from: from?,
    };
    take(section, "signal", source.validate())?;
    Some(source)
}

fn read_bitcoin(mut section: Section<'_, '_>) -> Option<rate::Rates> {
    let manual = section.optional("price", value::number(1.0, 1e9));
    let sources = tables(&mut section, "source", |section, given| {
        let get = get(section, given);
        let field = field(section);
        Some((get?, field?))
    });
    let quorum = section.or("quorum", sources.len().div_ceil(2).max(1), value::count(1, 16));
    let ratio = |number: f64| Ratio::percent(number).unwrap_or_default();
    let rates = rate::Rates {
        name: "bitcoin price".into(),
        every: section.or("every", MINUTE, value::duration(10 * SECOND, DAY)),
        quorum,
        guard: ratio(section.or("guard_percent", 2.0, value::number(0.01, 50.0))),
        jump: ratio(section.or("jump_percent", 10.0, value::number(0.1, 100.0))),
        manual: manual.and_then(|usd| Usd::price(usd).ok()),
        sources,
    };
    if rates.manual.is_none() && rates.sources.is_empty() {
        return None;
    }
    take(&mut section, "price", rates.validate())?;
    Some(rates)
}

fn read_openadr(section: &mut Section<'_, '_>, given: bool) -> Option<grid::openadr::Config> {
    let mut wanted = |key| {
        let found = section.optional(key, value::text);
        needed(section, given, key, found)
    };
    let (url, client_id) = (wanted("url"), wanted("client_id"));
    let (client_secret, ven_name) = (wanted("client_secret"), wanted("ven_name"));
    let config = grid::openadr::Config {
        name: name(section, "openadr"),
        token_url: section.optional("token_url", value::text),
        programs: section.or("programs", Vec::new(), texts),
        every: section.or("every", 10 * SECOND, value::duration(SECOND, HOUR)),
        usd_per_unit: section.or("usd_per_unit", 1.0, value::number(1e-9, 1e9)),
        quality: quality(section),
        url: url?,
        client_id: client_id?,
        client_secret: client_secret?,
        ven_name: ven_name?,
    };
    take(section, "url", config.validate())?;
    Some(config)
}
