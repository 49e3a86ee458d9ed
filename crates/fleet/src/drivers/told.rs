//! Quantities out of JSON as machines write them: a number or the text of one. What is missing, not
//! finite or out of its range is unknown, never zero.

use serde_json::Value;
use std::time::Duration;
use units::{Celsius, Hashrate, Megahertz, Millivolts, Ratio, Rpm, Watts};

pub(super) fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    number.is_finite().then_some(number)
}

pub(super) fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    (!text.is_empty()).then(|| text.chars().take(120).collect())
}

pub(super) fn truth(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| number(value).map(|number| number != 0.0))
}

pub(super) fn watts(value: &Value) -> Option<Watts> {
    Watts::new(number(value)?).ok()
}

/// A sensor that is not there is told as -1 or as 0.
pub(super) fn celsius(value: &Value) -> Option<Celsius> {
    number(value).filter(|degrees| *degrees > 0.0).and_then(|degrees| Celsius::new(degrees).ok())
}

pub(super) fn megahertz(value: &Value) -> Option<Megahertz> {
    Megahertz::new(number(value)?).ok()
}

pub(super) fn millivolts(value: &Value) -> Option<Millivolts> {
    Millivolts::new(number(value)?).ok()
}

pub(super) fn percent(value: &Value) -> Option<Ratio> {
    Ratio::percent(number(value)?).ok()
}

pub(super) fn gigahashes(value: &Value) -> Option<Hashrate> {
    let rate = number(value)?;
    (rate >= 0.0).then(|| Hashrate::from_hashes_per_second(rate * 1e9))
}

pub(super) fn rpm(value: &Value) -> Option<Rpm> {
    let turns = number(value)?;
    (0.0..=1e6).contains(&turns).then_some(Rpm(turns as u32))
}

pub(super) fn seconds(value: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(number(value)?).ok()
}

/// The hottest of several.
pub(super) fn hottest(all: impl IntoIterator<Item = Option<Celsius>>) -> Option<Celsius> {
    all.into_iter().flatten().max_by(|a, b| a.get().total_cmp(&b.get()))
}
