//! Keys of what is only on or off: a systemd unit, or programs, or addresses.

use super::lines::{headers, texts};
use crate::config::{HOUR, MINUTE, SECOND, section::Section, value};
use grid::{
    BadSetting, http,
    number::Field,
    switch::{By, Switch},
};

/// What a fault says where none of the three is there, after the key `unit`.
pub(super) const NEEDED: &str =
    "or start and stop, or start_url and stop_url are needed: one of the three";

/// Reads it; `None` without one of the three, and where it is wrong.
pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Switch> {
    let timeout = section.or("timeout", MINUTE, value::duration(SECOND, HOUR));
    let unit = section.optional("unit", value::text);
    let start = section.optional("start", texts);
    let stop = section.optional("stop", texts);
    let running = section.optional("running", texts);
    let start_url = section.optional("start_url", value::text);
    let stop_url = section.optional("stop_url", value::text);
    let running_url = section.optional("running_url", value::text);
    let headers = section.or("headers", Vec::new(), headers);
    let get = |url: String| http::Get { url, headers: headers.clone() };
    let by = match (unit, start, stop, start_url, stop_url) {
        (Some(unit), None, None, None, None) => By::Systemd(unit),
        (None, Some(start), Some(stop), None, None) => By::Command { start, stop, running },
        (None, None, None, Some(start), Some(stop)) => By::Http {
            start: get(start),
            stop: get(stop),
            running: running_url.map(|url| (get(url), Field::default())),
        },
        _ => return None,
    };
    let switch = Switch { by, timeout };
    match switch.validate() {
        Ok(()) => Some(switch),
        Err(BadSetting(sentence)) => {
            section.fault("unit", &format!("is wrong: {sentence}"));
            None
        }
    }
}
