//! Single values of `[energy]`: names of signals, brokers, headers, quantities in quotes.

use crate::config::{
    section::{Fault, Read, Section},
    value,
};
use grid::{Signal, mqtt::Address};
use std::{str::FromStr, sync::Arc};
use toml::de::DeValue;

/// A quantity with its unit, in quotes.
pub(super) fn quantity<T: FromStr>(wanted: &'static str) -> impl Fn(&DeValue) -> Read<T> {
    move |value| match value.as_str().and_then(|text| text.parse().ok()) {
        Some(value) => Ok(value),
        None => Err(Fault::MustBe(wanted.into())),
    }
}

/// A signal as the documentation names it: `net power`, `temperature of room`, `contact ev plugged`.
pub(super) fn signal(value: &DeValue) -> Read<Signal> {
    let text = value.as_str().unwrap_or_default();
    let named = |prefix: &str| {
        let name = text.strip_prefix(prefix)?.trim();
        (!name.is_empty() && name.len() <= 64).then(|| Arc::from(name))
    };
    let phase = |n: &str| n.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|n| *n < 3);
    let plain = || Signal::kinds().into_iter().find(|kind| kind.to_string() == text);
    let found = if let Some(name) = named("temperature of ") {
        Some(Signal::Temperature(name))
    } else if let Some(name) = named("contact ") {
        Some(Signal::Contact(name))
    } else if let Some(n) = text.strip_prefix("net power of phase ") {
        phase(n).map(Signal::PhasePower)
    } else {
        plain()
    };
    let plain = |kind: &Signal| {
        !matches!(kind, Signal::Temperature(_) | Signal::Contact(_) | Signal::PhasePower(_))
    };
    found.ok_or_else(|| {
        let names: Vec<String> =
            Signal::kinds().iter().filter(|kind| plain(kind)).map(Signal::to_string).collect();
        Fault::MustBe(format!(
            "a signal: \"temperature of NAME\", \"contact NAME\", \"net power of phase 1\", or one \
             of {}",
            names.join(", ")
        ))
    })
}

/// Keys `server`, `user` and `password` of a broker.
pub(super) fn broker(section: &mut Section<'_, '_>) -> Option<Address> {
    let server = section.optional("server", |value| {
        let parse = |text: &str| {
            let (host, port) = text.rsplit_once(':')?;
            let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
            (!host.is_empty()).then(|| (host.trim_matches(['[', ']']).to_owned(), port))
        };
        value.as_str().and_then(parse).ok_or_else(|| {
            Fault::MustBe("a host and a port in quotes, such as \"10.0.0.2:1883\"".into())
        })
    });
    let user = section.optional("user", value::text);
    let password = section.optional("password", value::text);
    let (host, port) = server?;
    let login = user.map(|user| (user, password.unwrap_or_default()));
    Some(Address { host, port, login })
}

/// A list of texts.
pub(super) fn texts(value: &DeValue) -> Read<Vec<String>> {
    let wanted = || Fault::MustBe("a list of texts in quotes".into());
    let DeValue::Array(all) = value else { return Err(wanted()) };
    let texts = all.iter().map(|one| one.as_ref().as_str().map(str::to_owned));
    texts.collect::<Option<Vec<String>>>().ok_or_else(wanted)
}

/// Headers such as `["Authorization: Bearer …"]`. What they say is never repeated: it may be a token.
pub(super) fn headers(value: &DeValue) -> Read<Vec<(String, String)>> {
    let wanted =
        || Fault::Sentence("must be a list of headers in quotes, such as [\"Name: value\"]".into());
    let pair = |text: String| {
        let (name, value) = text.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    let all = texts(value).map_err(|_| wanted())?;
    all.into_iter().map(pair).collect::<Option<Vec<_>>>().ok_or_else(wanted)
}
