//! Commands of an aggregator: a set-point with a number and an end, over MQTT or pushed over HTTP. It
//! never says whether a set-point is followed.
//!
//! ```json
//! {"sequence": 17, "power_w": 250000, "valid_s": 60}
//! ```
//! `sequence` rises with each command; one that does not is a repetition, or came late, and is
//! refused. `power_w` is the net power wanted at the connection point, positive for import; `null`
//! gives the site back to itself. `valid_s` (at most a day) or `expires`, seconds since 1970, ends it.

use crate::{BadSetting, Hub, http::unix_now, number};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use units::{Moment, NetWatts, UnixTime};

/// Later than this no command ends.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A set-point as received.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SetPoint {
    /// Its number.
    pub sequence: u64,
    /// The net power wanted; `None` gives the site back to itself.
    pub power: Option<NetWatts>,
    /// When it ends, on the hub's clock.
    pub expires: Moment,
}

impl SetPoint {
    /// The power wanted now; `None` once it has expired, or the site was given back to itself.
    pub fn wanted(&self, now: Moment) -> Option<NetWatts> {
        self.power.filter(|_| now < self.expires)
    }
}

/// Lets each command in once, in order, whichever link brings it. Cloning gives another door to the
/// same inbox. After a restart any number is taken as the first.
#[derive(Debug, Clone, Default)]
pub struct Inbox {
    last: Arc<Mutex<Option<u64>>>,
}

impl Inbox {
    /// Takes a command and publishes it; a sentence where it is unreadable, late or out of order.
    /// Who may push is for the caller to check.
    pub fn accept(
        &self,
        hub: &Hub,
        source: &Arc<str>,
        message: &[u8],
    ) -> Result<SetPoint, BadSetting> {
        let set_point = parse(message, hub.now(), unix_now())?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        BadSetting::unless(last.is_none_or(|last| set_point.sequence > last), || {
            format!(
                "command {} is not newer than the last: its number must rise",
                set_point.sequence
            )
        })?;
        *last = Some(set_point.sequence);
        hub.tell_set_point(source, set_point);
        Ok(set_point)
    }
}

/// Reads a command. `now` and `today` are the same instant on the two clocks.
pub fn parse(message: &[u8], now: Moment, today: UnixTime) -> Result<SetPoint, BadSetting> {
    let json = number::json(message)?;
    let member = |name: &str| json.get(name).filter(|value| !value.is_null());
    let sequence = member("sequence").and_then(Value::as_u64).ok_or_else(|| {
        BadSetting("a command wants `sequence`, a whole number that rises".into())
    })?;
    let power = match json.get("power_w") {
        None => return Err(BadSetting("a command wants `power_w`, watts or null".into())),
        Some(Value::Null) => None,
        Some(value) => {
            let watts = value.as_f64().and_then(|watts| NetWatts::new(watts).ok());
            Some(watts.ok_or_else(|| BadSetting("`power_w` must be watts or null".into()))?)
        }
    };
    let valid = match (member("valid_s"), member("expires")) {
        (Some(valid), None) => valid.as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok()),
        (None, Some(expires)) => expires.as_u64().map(|at| UnixTime(at).since(today)),
        _ => None,
    };
    let valid = valid.ok_or_else(|| {
        BadSetting("a command wants `valid_s` (seconds) or `expires` (seconds since 1970)".into())
    })?;
    BadSetting::unless(valid > Duration::ZERO, || format!("command {sequence} came too late"))?;
    BadSetting::unless(valid <= LONGEST, || {
        format!("command {sequence} would hold for {valid:?}: at most a day is taken")
    })?;
    Ok(SetPoint { sequence, power, expires: now.after(valid) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_without_number_power_or_end_is_refused() {
        let now = Moment::from_secs(100);
        let today = UnixTime(1_800_000_000);
        let read = |text: &str| parse(text.as_bytes(), now, today);
        let good = read(r#"{"sequence":1,"power_w":-2e6,"expires":1800000060}"#).unwrap();
        assert_eq!(good.wanted(Moment::from_secs(159)).unwrap().get(), -2e6);
        assert_eq!(good.wanted(Moment::from_secs(160)), None);
        assert_eq!(read(r#"{"sequence":1,"power_w":null,"valid_s":5}"#).unwrap().power, None);
        for bad in [
            r#"{"power_w":1,"valid_s":5}"#,
            r#"{"sequence":-1,"power_w":1,"valid_s":5}"#,
            r#"{"sequence":1,"valid_s":5}"#,
            r#"{"sequence":1,"power_w":"5","valid_s":5}"#,
            r#"{"sequence":1,"power_w":5}"#,
            r#"{"sequence":1,"power_w":5,"valid_s":1e300}"#,
            r#"{"sequence":1,"power_w":5,"valid_s":-1}"#,
            r#"{"sequence":1,"power_w":5,"valid_s":5,"expires":1800000060}"#,
            r#"{"sequence":1,"power_w":5,"expires":1799999999}"#,
            r#"{"sequence":1,"power_w":5,"expires":1900000000}"#,
            "[]",
            "",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_repeated_or_older_command_changes_nothing() {
        let hub = Hub::new(tokio::time::Instant::now());
        let (inbox, mqtt): (_, Arc<str>) = (Inbox::default(), "mqtt".into());
        let send = |sequence: u64, watts: i32| {
            let text = format!(r#"{{"sequence":{sequence},"power_w":{watts},"valid_s":60}}"#);
            inbox.clone().accept(&hub, &mqtt, text.as_bytes())
        };
        assert!(send(5, 100).is_ok() && send(5, 200).is_err() && send(4, 300).is_err());
        let kept = hub.snapshot().set_point.unwrap().reading.value;
        assert_eq!((kept.sequence, kept.power.unwrap().get()), (5, 100.0));
        assert!(send(6, 400).is_ok());
    }
}
