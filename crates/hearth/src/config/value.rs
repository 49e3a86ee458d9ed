//! Reads single values of the file: durations, sizes, numbers within a range, addresses.
//! Each says what it wanted when it cannot use what it got.

use super::section::{Fault, Read};
use chain::Network;
use std::{fmt::Display, net::SocketAddr, path::PathBuf, time::Duration};
use toml::de::DeValue;

const UNITS_OF_TIME: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const UNITS_OF_SIZE: [(&str, u64); 3] = [("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

fn must_be<T>(what: impl Into<String>) -> Read<T> {
    Err(Fault::MustBe(what.into()))
}

/// A text.
pub(super) fn text(value: &DeValue) -> Read<String> {
    match value.as_str() {
        Some(text) => Ok(text.to_string()),
        None => must_be("a text in quotes"),
    }
}

/// `true` or `false`.
pub(super) fn flag(value: &DeValue) -> Read<bool> {
    value.as_bool().map_or_else(|| must_be("true or false"), Ok)
}

/// A whole number from `low` to `high`.
pub(super) fn count<T>(low: T, high: T) -> impl Fn(&DeValue) -> Read<T>
where
    T: TryFrom<i128> + PartialOrd + Copy + Display,
{
    move |value| {
        let number = match value {
            DeValue::Integer(integer) => {
                i128::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            _ => None,
        };
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) if (low..=high).contains(&number) => Ok(number),
            _ => must_be(format!("a whole number from {low} to {high}")),
        }
    }
}

/// A finite number from `low` to `high`.
pub(super) fn number(low: f64, high: f64) -> impl Fn(&DeValue) -> Read<f64> {
    move |value| {
        let number = match value {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            _ => None,
        };
        match number {
            Some(number) if (low..=high).contains(&number) => Ok(number),
            _ => must_be(format!("a number from {low} to {high}")),
        }
    }
}

/// A duration from `low` to `high`, such as `"30s"`.
pub(super) fn duration(low: Duration, high: Duration) -> impl Fn(&DeValue) -> Read<Duration> {
    move |value| match value.as_str().and_then(parse_duration) {
        Some(duration) if (low..=high).contains(&duration) => Ok(duration),
        _ => must_be(format!(
            "a duration in quotes from \"{}\" to \"{}\"",
            show_duration(low),
            show_duration(high)
        )),
    }
}

/// A number of bytes from `low` to `high`, such as `"64 KiB"`.
pub(super) fn size(low: usize, high: usize) -> impl Fn(&DeValue) -> Read<usize> {
    let parse = |text: &str| parse_units(text, &UNITS_OF_SIZE)?.try_into().ok();
    move |value| match value.as_str().and_then(parse) {
        Some(size) if (low..=high).contains(&size) => Ok(size),
        _ => must_be(format!(
            "a size in quotes from \"{}\" to \"{}\"",
            show_size(low),
            show_size(high)
        )),
    }
}

/// An IP address with a port.
pub(super) fn socket(example: &'static str) -> impl Fn(&DeValue) -> Read<SocketAddr> {
    move |value| match value.as_str().and_then(|text| text.parse().ok()) {
        Some(address) => Ok(address),
        None => must_be(format!("an IP address and a port in quotes, such as \"{example}\"")),
    }
}

/// A path that is not empty; see [`super::place`] for what it is relative to.
pub(super) fn path(value: &DeValue) -> Read<PathBuf> {
    match value.as_str() {
        Some(text) if !text.is_empty() && !text.contains('\0') => Ok(text.into()),
        _ => must_be("a path in quotes"),
    }
}

/// A Bitcoin network.
pub(super) fn network(value: &DeValue) -> Read<Network> {
    match value.as_str().and_then(|text| text.parse().ok()) {
        Some(network) => Ok(network),
        None => must_be("\"mainnet\", \"testnet4\", \"signet\" or \"regtest\""),
    }
}

/// A Bitcoin address of `network`.
pub(super) fn address(network: Network) -> impl Fn(&DeValue) -> Read<String> {
    move |value| {
        let text = text(value)?;
        match stratum::Payout::parse(&text, network) {
            Ok(_) => Ok(text),
            Err(error) => Err(Fault::Sentence(format!("cannot be paid: {error}"))),
        }
    }
}

/// The text in every coinbase.
pub(super) fn tag(value: &DeValue) -> Read<String> {
    let most = stratum::Config::MAX_TAG;
    match value.as_str() {
        Some(text) if text.len() <= most && text.bytes().all(|b| (b' '..=b'~').contains(&b)) => {
            Ok(text.to_string())
        }
        _ => must_be(format!("a text of at most {most} plain ASCII characters")),
    }
}

/// Version bits that miners may roll.
pub(super) fn version_mask(value: &DeValue) -> Read<u32> {
    let all = stratum::Config::BIP320_MASK;
    let parse = |text: &str| match text.len() {
        8 => u32::from_str_radix(text, 16).ok(),
        _ => None,
    };
    match value.as_str().and_then(parse) {
        Some(mask) if mask & !all == 0 => Ok(mask),
        _ => must_be(format!(
            "eight hex digits in quotes with no bits outside \"{all:08x}\", which BIP 320 sets aside \
             for miners"
        )),
    }
}

/// How much is logged: a level, or levels by module.
pub(super) fn filter(value: &DeValue) -> Read<String> {
    match value.as_str() {
        Some(text) if crate::log::is_filter(text) => Ok(text.to_string()),
        _ => must_be(
            "\"error\", \"warn\", \"info\", \"debug\" or \"trace\", or levels by module such as \
             \"info,stratum=debug\"",
        ),
    }
}

/// Reads whole numbers with ms, s, m, h or d: `30s`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse_units(text, &UNITS_OF_TIME).map(Duration::from_millis)
}

/// The shortest text that [`parse_duration`] reads back; fractions of a millisecond are dropped.
pub(super) fn show_duration(duration: Duration) -> String {
    show_units(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), "", &UNITS_OF_TIME)
}

/// The shortest text that a size in bytes is read back from.
pub(super) fn show_size(size: usize) -> String {
    show_units(size as u64, " ", &UNITS_OF_SIZE)
}

fn parse_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// `units` must have the largest first; its last is the one that zero is written in.
fn show_units(amount: u64, space: &str, units: &[(&str, u64)]) -> String {
    let fits = |(_, unit): &&(&str, u64)| amount >= *unit && amount.is_multiple_of(*unit);
    let (name, unit) = units.iter().find(fits).or(units.last()).copied().unwrap_or(("", 1));
    format!("{}{space}{name}", amount / unit)
}
