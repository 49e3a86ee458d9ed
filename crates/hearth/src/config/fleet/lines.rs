//! Meters and switches of `[fleet]`: where each is and how it is spoken to.

use super::Switch;
use crate::config::{
    DAY,
    section::{Fault, Read, Section},
    value,
};
use fleet::drivers::{
    meter::{self, PowerMeter, Word},
    switch,
};
use std::{net::SocketAddr, time::Duration};
use toml::de::DeValue;

/// A unit that is the Modbus TCP device itself (Modbus Messaging on TCP/IP 1.0b, section 4.4.2.6).
const ITSELF: u8 = 255;

/// Host and port of a broker.
pub(super) fn broker(value: &DeValue) -> Read<(String, u16)> {
    let parse = |text: &str| {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        (!host.is_empty()).then(|| (host.trim_matches(['[', ']']).to_owned(), port))
    };
    value.as_str().and_then(parse).ok_or_else(|| {
        Fault::MustBe("a host and a port in quotes, such as \"10.0.0.2:1883\"".into())
    })
}

/// `None` where there is no meter.
pub(super) fn meter(
    mut section: Section<'_, '_>,
    broker: Option<&(String, u16)>,
) -> Option<PowerMeter> {
    let topic = section.optional("mqtt", value::text);
    let pointer = section.optional("json", pointer);
    let address = section.optional("modbus", value::socket("10.0.0.9:502"));
    let unit = section.or("unit", ITSELF, value::count(0, 255));
    let register = section.or("register", 0, value::count(0u16, u16::MAX));
    let input = section.or("input", false, value::flag);
    let word = section.or("kind", Word::F32, word);
    let low_first = section.or("low_first", false, value::flag);
    let scale = section.or("scale", 1.0, value::number(1e-6, 1e6));
    let line = match lined(&mut section, topic, address, broker)? {
        Lined::Mqtt(topic, (host, port)) => meter::Line::Mqtt { host, port, topic, pointer },
        Lined::Modbus(address) => meter::Line::Modbus { address, unit, input, register, word },
    };
    Some(PowerMeter { line, scale, low_first })
}

/// `None` where there is no switch.
pub(super) fn switch(
    mut section: Section<'_, '_>,
    broker: Option<&(String, u16)>,
) -> Option<Switch> {
    let topic = section.optional("mqtt", value::text);
    let state = section.optional("state", value::text);
    let on = section.or("on", "on".into(), value::text);
    let off = section.or("off", "off".into(), value::text);
    let address = section.optional("modbus", value::socket("10.0.0.9:502"));
    let unit = section.or("unit", ITSELF, value::count(0, 255));
    let coil = section.or("coil", 0, value::count(0u16, u16::MAX));
    let least = || value::duration(Duration::ZERO, DAY);
    let least_on = section.or("least_on", Duration::ZERO, least());
    let least_off = section.or("least_off", Duration::from_secs(60), least());
    let line = match lined(&mut section, topic, address, broker)? {
        Lined::Mqtt(command, (host, port)) => {
            switch::Line::Mqtt { host, port, command, state, on, off }
        }
        Lined::Modbus(address) => switch::Line::Modbus { address, unit, coil },
    };
    Some(Switch { line, least_on, least_off })
}

enum Lined {
    Mqtt(String, (String, u16)),
    Modbus(SocketAddr),
}

fn lined(
    section: &mut Section<'_, '_>,
    topic: Option<String>,
    address: Option<SocketAddr>,
    broker: Option<&(String, u16)>,
) -> Option<Lined> {
    match (topic, address) {
        (Some(_), Some(_)) => {
            section.fault("modbus", "and mqtt are two places: keep the better one");
            None
        }
        (Some(topic), None) => match broker {
            Some(broker) => Some(Lined::Mqtt(topic, broker.clone())),
            None => {
                section.fault("mqtt", "needs a broker: set server under [fleet.mqtt]");
                None
            }
        },
        (None, address) => address.map(Lined::Modbus),
    }
}

fn pointer(value: &DeValue) -> Read<String> {
    match value.as_str() {
        Some(text) if text.starts_with('/') => Ok(text.into()),
        _ => Err(Fault::MustBe("a JSON pointer in quotes, such as \"/ENERGY/Power\"".into())),
    }
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
