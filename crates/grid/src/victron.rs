//! Victron's topics on the broker of a GX device: `N/<portal>/<service>/<instance>/<path>` carry
//! `{"value": …}`, and are sent only while somebody asks for them. It never writes a setting.

use crate::{
    BadSetting, Signal,
    mqtt::{KeepAlive, Topic, Use},
    number::{Field, Path},
};
use std::time::Duration;

/// A GX device's number and what is read from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Portal {
    /// The VRM portal ID, such as `c0619ab12345`.
    pub id: String,
}

impl Portal {
    /// Refuses what cannot be a part of a topic.
    pub fn new(id: &str) -> Result<Self, BadSetting> {
        let good = (4..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
        BadSetting::unless(good, || {
            format!("`{id}` is no VRM portal ID: it stands under Settings, VRM on the GX device")
        })?;
        Ok(Self { id: id.to_owned() })
    }

    /// A reading by its path after the portal, such as `vebus/276/Ac/Out/L1/P`.
    pub fn topic(&self, path: &str, signal: Signal, scale: f64) -> Result<Topic, BadSetting> {
        let field = Field::new(Some(Path::new("value")), scale, 0.0)?;
        Ok(Topic { topic: format!("N/{}/{path}", self.id), take: Use::Number(signal, field) })
    }

    /// What every GX device with an energy meter sums up by itself (service `system`).
    pub fn system(&self) -> Result<Vec<Topic>, BadSetting> {
        let mut topics = Vec::new();
        for phase in 0..3 {
            let path = format!("system/0/Ac/Grid/L{}/Power", phase + 1);
            topics.push(self.topic(&path, Signal::PhasePower(phase), 1.0)?);
        }
        for (path, signal) in [
            ("system/0/Dc/Pv/Power", Signal::Pv),
            ("system/0/Dc/Battery/Power", Signal::BatteryPower),
            ("system/0/Dc/Battery/Soc", Signal::BatteryCharge),
        ] {
            topics.push(self.topic(path, signal, 1.0)?);
        }
        Ok(topics)
    }

    /// What must be sent, and how often, for the values to keep coming: the device stops 60 s after
    /// the last request.
    pub fn keep_alive(&self) -> KeepAlive {
        KeepAlive {
            topic: format!("R/{}/keepalive", self.id),
            payload: String::new(),
            every: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_a_portal_are_victrons() {
        let portal = Portal::new("c0619ab12345").unwrap();
        assert_eq!(portal.keep_alive().topic, "R/c0619ab12345/keepalive");
        let topics = portal.system().unwrap();
        assert_eq!(topics[0].topic, "N/c0619ab12345/system/0/Ac/Grid/L1/Power");
        let Use::Number(Signal::PhasePower(0), field) = &topics[0].take else { panic!() };
        assert_eq!(field.read(b"{\"value\": -1234.5}").unwrap(), -1234.5);
        assert!(field.read(b"{\"value\": null}").is_err());
        assert!(Portal::new("a/#").is_err());
    }
}
