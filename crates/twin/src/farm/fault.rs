//! What firmware does wrong, on demand: seeded, so that a test sees the same faults every time.

use super::firmware::{Answer, Ask, Pool};
use serde_json::{Value, json};
use std::{str::FromStr, time::Duration};

/// One kind of misbehaviour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Says yes and does nothing.
    SilentRefusal,
    /// Says no.
    LoudRefusal,
    /// Does it, and the pools are the vendor's afterwards.
    LostPools,
    /// Does it, and the power mode or limit is the factory's afterwards.
    LostMode,
    /// Does it, then forgets all settings at the next restart.
    LostSettings,
    /// Restarts in the middle.
    Reboot,
    /// Answers this late.
    Slow(Duration),
    /// Answers with what is no answer.
    Garbage,
    /// Answers without end.
    Endless,
    /// Takes the connection and never answers.
    Mute,
    /// Claims this many times the hashrate that it has.
    Lies(f64),
    /// Its sensors tell nothing.
    NoSensors,
}

/// How many machines have which fault, as shares of all; the others have none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults(pub Vec<(f64, Fault)>);

impl Faults {
    /// The fault of the machine with this number among `count`: the first shares go to the machines
    /// that a fixed shuffle puts first, so that the shares are met exactly, rounded down.
    pub fn of(&self, index: usize, count: usize) -> Option<Fault> {
        self.all(count).nth(index).flatten()
    }

    /// The faults of all machines, in their order.
    pub(super) fn all(&self, count: usize) -> impl Iterator<Item = Option<Fault>> {
        // An odd step coprime to the count visits every place once: faults are spread, not bunched.
        let step = (1..count).rev().find(|step| gcd(*step, count) == 1).map_or(1, |near| {
            (near / 2..=near).find(|step| *step > 0 && gcd(*step, count) == 1).unwrap_or(near)
        });
        (0..count).map(move |index| {
            let place = index * step % count;
            let mut from = 0;
            for (share, fault) in &self.0 {
                let to = from + (share.clamp(0.0, 1.0) * count as f64 + 1e-9) as usize;
                if (from..to).contains(&place) {
                    return Some(*fault);
                }
                from = to;
            }
            None
        })
    }
}

impl FromStr for Faults {
    type Err = String;

    /// Reads `silent:5%,mute:1%,slow=3s:2%,lies=1.3:0.01`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let unreadable =
                || format!("\"{part}\" is no fault; write one like silent:5% or slow=3s:0.02");
            let (name, share) = part.rsplit_once(':').ok_or_else(unreadable)?;
            let share = match share.strip_suffix('%') {
                Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
                None => share.trim().parse(),
            };
            let share = share.ok().filter(|s| (0.0..=1.0).contains(s)).ok_or_else(unreadable)?;
            faults.push((share, Fault::read(name.trim()).ok_or_else(unreadable)?));
        }
        let all: f64 = faults.iter().map(|(share, _)| share).sum();
        if all > 1.0 + 1e-9 {
            return Err(format!("these faults are {:.0} % of all machines", all * 100.0));
        }
        Ok(Self(faults))
    }
}

impl Fault {
    /// Reads `silent`, `slow=3s`, `lies=1.3` and so on.
    fn read(text: &str) -> Option<Self> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        Some(match (name, value) {
            ("silent", None) => Self::SilentRefusal,
            ("loud", None) => Self::LoudRefusal,
            ("lost-pools", None) => Self::LostPools,
            ("lost-mode", None) => Self::LostMode,
            ("lost-settings", None) => Self::LostSettings,
            ("reboot", None) => Self::Reboot,
            ("slow", value) => Self::Slow(seconds(value.unwrap_or("3s"))?),
            ("garbage", None) => Self::Garbage,
            ("endless", None) => Self::Endless,
            ("mute", None) => Self::Mute,
            ("lies", value) => {
                let factor = value.unwrap_or("1.3").parse().ok()?;
                Self::Lies(Some(factor).filter(|f: &f64| f.is_finite() && *f >= 0.0)?)
            }
            ("no-sensors", None) => Self::NoSensors,
            _ => return None,
        })
    }
}

/// A no in the words of the protocol.
pub(super) fn refusal(ask: &Ask) -> Answer {
    match ask {
        // In gRPC a no is a status behind a good answer; 9 is a failed precondition.
        Ask::Http { path, .. } if path.starts_with("/braiins.bos.v1.") => Answer::Http {
            status: 200,
            headers: vec![("grpc-status", "9".into()), ("grpc-message", "not now".into())],
            body: vec![],
        },
        Ask::Http { .. } => Answer::Http {
            status: 400,
            headers: vec![("content-type", "application/json".into())],
            body: json!({"error": "not now"}).to_string().into_bytes(),
        },
        Ask::Line(_) => {
            let status = json!({"STATUS": "E", "When": 0, "Code": 45, "Msg": "not now"});
            Answer::Line(json!({"STATUS": [status], "id": 1}).to_string())
        }
    }
}

/// Takes out of an answer what comes from sensors.
pub(super) fn blind(answer: &mut Answer) {
    let dark = |json: &[u8]| {
        let mut value: Value = serde_json::from_slice(json).ok()?;
        without_sensors(&mut value);
        Some(value.to_string())
    };
    match answer {
        Answer::Http { body, .. } => {
            if let Some(value) = dark(body) {
                *body = value.into_bytes();
            }
        }
        Answer::Line(line) | Answer::LineThenMore(line) => {
            if let Some(value) = dark(line.as_bytes()) {
                *line = value;
            }
        }
        Answer::Hangup => {}
    }
}

fn without_sensors(value: &mut Value) {
    const SENSORS: [&str; 7] = ["temp", "power", "watt", "rpm", "fan", "current", "chain_power"];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                let name = name.to_lowercase();
                let limit = name.contains("limit") || name.contains("target");
                value.is_object()
                    || value.is_array()
                    || limit
                    || !SENSORS.iter().any(|sensor| name.contains(sensor))
            });
            fields.values_mut().for_each(without_sensors);
        }
        Value::Array(values) => values.iter_mut().for_each(without_sensors),
        _ => {}
    }
}

/// Where firmware mines that was left to its maker's defaults.
pub(super) fn vendor_pools() -> Vec<Pool> {
    let pool = |n| Pool {
        url: format!("stratum+tcp://pool{n}.vendor.invalid:3333"),
        user: "vendor.default".into(),
        password: "123".into(),
    };
    vec![pool(1), pool(2), pool(3)]
}

fn seconds(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let number: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * unit).ok().filter(|time| time.as_secs() < 86_400)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_thousand_machines_fifty_refuse_and_ten_are_mute() {
        let faults = Faults(vec![(0.05, Fault::SilentRefusal), (0.01, Fault::Mute)]);
        for count in [100, 200, 1000, 10_000] {
            let all: Vec<_> = (0..count).filter_map(|i| faults.of(i, count)).collect();
            let mute = all.iter().filter(|fault| **fault == Fault::Mute).count();
            assert_eq!((all.len(), mute), (count * 6 / 100, count / 100), "{count}");
        }
        assert_eq!(Faults::default().of(3, 10), None);
    }

    #[test]
    fn faults_on_the_command_line_are_read_or_named() {
        let read = "silent:5%, mute:1%,slow=1500ms:0.02,lies=2:1%".parse::<Faults>().unwrap();
        let want = [
            (0.05, Fault::SilentRefusal),
            (0.01, Fault::Mute),
            (0.02, Fault::Slow(Duration::from_millis(1500))),
            (0.01, Fault::Lies(2.0)),
        ];
        assert_eq!(read, Faults(want.to_vec()));
        assert_eq!("".parse(), Ok(Faults::default()));
        for bad in ["silent", "angry:5%", "silent:120%", "slow=x:1%", "lies=NaN:1%", "mute:-1%"] {
            let said = bad.parse::<Faults>().unwrap_err();
            assert!(said.contains(bad), "{said}");
        }
        assert!("silent:60%,mute:60%".parse::<Faults>().is_err());
    }

    #[test]
    fn without_sensors_settings_are_still_told() {
        let body = json!({"temp": 60, "power": 17, "frequency": 525, "Power Limit": 3000,
            "boards": [{"temp_chip": 1, "sn": "x"}], "fans": [{"rpm": 1}]});
        let mut answer = Answer::Line(body.to_string());
        blind(&mut answer);
        let Answer::Line(line) = answer else { panic!() };
        let left: Value = serde_json::from_str(&line).unwrap();
        let want = json!({"frequency": 525, "Power Limit": 3000, "boards": [{"sn": "x"}],
            "fans": [{}]});
        assert_eq!(left, want);
    }
}
