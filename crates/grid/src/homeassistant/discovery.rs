//! What Home Assistant is told of an entity, and how its commands are read. Names of keys are those of
//! its MQTT integration's schemas (climate, water_heater, number, switch, sensor, binary_sensor), written in
//! full.

use super::{Mode, Site, Want};
use crate::BadSetting;
use serde_json::{Value, json};
use std::sync::Arc;
use units::Celsius;

/// Something that Home Assistant shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// Part of its topics, and unique on the site: lower-case letters, digits, `_` and `-`.
    pub id: Arc<str>,
    /// What people read.
    pub name: String,
    /// What it belongs to.
    pub device: Device,
    /// What it is.
    pub kind: Kind,
}

/// A device under which entities are gathered: the site, or one heater.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Unique on the site.
    pub id: String,
    /// What people read.
    pub name: String,
    /// Its model, if known.
    pub model: Option<String>,
    /// The device that it hangs on, such as the site.
    pub via: Option<String>,
}

/// What an entity is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A thermostat, with target and mode.
    Climate {
        /// The lowest target.
        min: Celsius,
        /// The highest.
        max: Celsius,
    },
    /// A tank of hot water, with target and mode.
    WaterHeater {
        /// The lowest target.
        min: Celsius,
        /// The highest.
        max: Celsius,
    },
    /// A number that can be set.
    Number {
        /// The lowest.
        min: f64,
        /// The highest.
        max: f64,
        /// From one to the next.
        step: f64,
        /// Its unit, such as `W`.
        unit: String,
    },
    /// On or off.
    Switch,
    /// A number that is only shown.
    Sensor(SensorClass),
    /// On or off, only shown.
    BinarySensor,
}

/// What a sensor measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SensorClass {
    /// Watts.
    Power,
    /// Kilowatt-hours since the beginning; never falls.
    Energy,
    /// Degrees Celsius.
    Temperature,
    /// Terahashes per second.
    Hashrate,
    /// Dollars per kilowatt-hour.
    Price,
    /// Hertz.
    Frequency,
    /// State of charge, percent.
    Charge,
}

impl Entity {
    pub(super) fn validate(&self) -> Result<(), BadSetting> {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        let id = &self.id;
        BadSetting::unless((1..=64).contains(&id.len()) && id.bytes().all(letter), || {
            format!("`{id}` is no entity's identifier: use lower-case letters, digits, _ and -")
        })?;
        let (min, max) = match &self.kind {
            Kind::Climate { min, max } | Kind::WaterHeater { min, max } => (min.get(), max.get()),
            Kind::Number { min, max, step, .. } => {
                BadSetting::unless(step.is_finite() && *step > 0.0, || {
                    format!("{id}: a step of {step} reaches nothing")
                })?;
                (*min, *max)
            }
            Kind::Switch | Kind::Sensor(_) | Kind::BinarySensor => return Ok(()),
        };
        BadSetting::unless(min < max && min.is_finite() && max.is_finite(), || {
            format!("{id}: from {min} to {max} there is nothing to choose")
        })
    }

    /// `homeassistant/climate/hearth_home/room/config`.
    pub fn discovery_topic(&self, prefix: &str, node: &str) -> String {
        let component = match self.kind {
            Kind::Climate { .. } => "climate",
            Kind::WaterHeater { .. } => "water_heater",
            Kind::Number { .. } => "number",
            Kind::Switch => "switch",
            Kind::Sensor(_) => "sensor",
            Kind::BinarySensor => "binary_sensor",
        };
        format!("{prefix}/{component}/{node}/{}/config", self.id)
    }

    /// The configuration that Home Assistant reads.
    pub fn discovery(&self, site: &Site) -> Value {
        let (base, node) = (&site.base, site.node());
        let topic = |part: &str| format!("{base}/{}/{part}", self.id);
        let state = topic("state");
        let of = |field: &str| format!("{{{{ value_json.{field} }}}}");
        let mut config = match &self.kind {
            Kind::Climate { min, max } => json!({
                "current_temperature_topic": state,
                "current_temperature_template": of("current_c"),
                "temperature_state_topic": state,
                "temperature_state_template": of("target_c"),
                "temperature_command_topic": topic("target/set"),
                "mode_state_topic": state,
                "mode_state_template": of("mode"),
                "mode_command_topic": topic("mode/set"),
                "modes": ["off", "heat", "auto"],
                "action_topic": state,
                "action_template": of("action"),
                "min_temp": min.get(),
                "max_temp": max.get(),
                "temp_step": 0.5,
                "precision": 0.1,
                "temperature_unit": "C",
            }),
            Kind::WaterHeater { min, max } => json!({
                "current_temperature_topic": state,
                "current_temperature_template": of("current_c"),
                "temperature_state_topic": state,
                "temperature_state_template": of("target_c"),
                "temperature_command_topic": topic("target/set"),
                "mode_state_topic": state,
                "mode_state_template": of("operation"),
                "mode_command_topic": topic("mode/set"),
                "modes": ["off", "eco", "performance"],
                "min_temp": min.get(),
                "max_temp": max.get(),
                "precision": 0.1,
                "temperature_unit": "C",
            }),
            Kind::Number { min, max, step, unit } => json!({
                "state_topic": state,
                "value_template": of("value"),
                "command_topic": topic("set"),
                "min": min,
                "max": max,
                "step": step,
                "unit_of_measurement": unit,
            }),
            Kind::Switch => json!({
                "state_topic": state,
                "value_template": of("value"),
                "command_topic": topic("set"),
            }),
            Kind::BinarySensor => json!({
                "state_topic": state,
                "value_template": of("value"),
            }),
            Kind::Sensor(class) => {
                let (class, unit, state_class) = class.words();
                let mut sensor = json!({
                    "state_topic": state,
                    "value_template": of("value"),
                    "unit_of_measurement": unit,
                    "state_class": state_class,
                });
                if let Some(class) = class {
                    sensor["device_class"] = class.into();
                }
                sensor
            }
        };
        let mut device = json!({
            "identifiers": [format!("{node}_{}", self.device.id)],
            "name": self.device.name,
            "manufacturer": "hearth",
        });
        if let Some(model) = &self.device.model {
            device["model"] = model.as_str().into();
        }
        if let Some(via) = &self.device.via {
            device["via_device"] = format!("{node}_{via}").into();
        }
        config["name"] = self.name.as_str().into();
        config["unique_id"] = format!("{node}_{}", self.id).into();
        config["availability_topic"] = format!("{base}/availability").into();
        config["device"] = device;
        config["origin"] = json!({ "name": "hearth", "sw_version": env!("CARGO_PKG_VERSION") });
        config
    }

    /// What a command wants: `part` is what stands between the identifier and `set`.
    pub(super) fn want(&self, part: &str, text: &str) -> Result<Want, BadSetting> {
        let bad = || {
            let id = &self.id;
            let text: String = text.chars().take(40).collect();
            BadSetting(format!("{id}: `{text}` is not what {id}/{part} takes"))
        };
        let number = || text.parse::<f64>().ok().filter(|number| number.is_finite());
        match (&self.kind, part) {
            (Kind::Climate { min, max } | Kind::WaterHeater { min, max }, "target") => number()
                .and_then(|degrees| Celsius::new(degrees).ok())
                .filter(|target| (min..=max).contains(&target))
                .map(Want::Target),
            (Kind::Climate { .. }, "mode") => Mode::of(text, Mode::climate).map(Want::Mode),
            (Kind::WaterHeater { .. }, "mode") => Mode::of(text, Mode::water).map(Want::Mode),
            (Kind::Number { min, max, .. }, "") => {
                number().filter(|number| (min..=max).contains(&number)).map(Want::Number)
            }
            (Kind::Switch, "") => match text {
                "ON" => Some(Want::Switch(true)),
                "OFF" => Some(Want::Switch(false)),
                _ => None,
            },
            _ => None,
        }
        .ok_or_else(bad)
    }
}

impl Mode {
    fn of(text: &str, word: impl Fn(Self) -> &'static str) -> Option<Self> {
        [Self::Off, Self::Heat, Self::Auto].into_iter().find(|mode| word(*mode) == text)
    }
}

impl SensorClass {
    /// Home Assistant's device class, unit and state class. It has no class for hashrate, and its
    /// monetary one is for sums.
    fn words(self) -> (Option<&'static str>, &'static str, &'static str) {
        match self {
            Self::Power => (Some("power"), "W", "measurement"),
            Self::Energy => (Some("energy"), "kWh", "total_increasing"),
            Self::Temperature => (Some("temperature"), "°C", "measurement"),
            Self::Hashrate => (None, "TH/s", "measurement"),
            Self::Price => (None, "USD/kWh", "measurement"),
            Self::Frequency => (Some("frequency"), "Hz", "measurement"),
            Self::Charge => (Some("battery"), "%", "measurement"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{homeassistant::Shown, mqtt::Address};

    fn celsius(degrees: f64) -> Celsius {
        Celsius::new(degrees).unwrap()
    }

    /// One entity of each kind.
    fn site() -> (Site, Shown) {
        let device = || Device {
            id: "heater".into(),
            name: "Heater".into(),
            model: None,
            via: Some("site".into()),
        };
        let entity = |id: &str, kind: Kind| Entity {
            id: id.into(),
            name: id.to_uppercase(),
            device: device(),
            kind,
        };
        let (min, max) = (celsius(5.0), celsius(25.0));
        let unit = "W".into();
        let entities = Arc::new([
            entity("room", Kind::Climate { min, max }),
            entity("tank", Kind::WaterHeater { min: celsius(30.0), max: celsius(65.0) }),
            entity("limit", Kind::Number { min: 0.0, max: 3600.0, step: 50.0, unit }),
            entity("mining", Kind::Switch),
            entity("power", Kind::Sensor(SensorClass::Power)),
            entity("backup", Kind::BinarySensor),
        ]);
        let site = Site {
            name: "home assistant".into(),
            address: Address { host: "localhost".into(), port: 1883, login: None },
            discovery: "homeassistant".into(),
            base: "hearth/home".into(),
        };
        (site, Shown { entities, ..Shown::default() })
    }

    /// Keys of the schemas in home-assistant/core, `homeassistant/components/mqtt/`: climate.py,
    /// water_heater.py, number.py, switch.py, sensor.py, binary_sensor.py, and the entity's own of schemas.py.
    #[test]
    fn every_key_of_discovery_is_one_of_home_assistants() {
        const COMMON: [&str; 5] = ["name", "unique_id", "availability_topic", "device", "origin"];
        const DEVICE: [&str; 5] = ["identifiers", "name", "manufacturer", "model", "via_device"];
        const HEATER: [&str; 16] = [
            "current_temperature_topic",
            "current_temperature_template",
            "temperature_state_topic",
            "temperature_state_template",
            "temperature_command_topic",
            "mode_state_topic",
            "mode_state_template",
            "mode_command_topic",
            "modes",
            "min_temp",
            "max_temp",
            "precision",
            "temperature_unit",
            // Of climate only:
            "action_topic",
            "action_template",
            "temp_step",
        ];
        const SHOWN: [&str; 2] = ["state_topic", "value_template"];
        let (site, shown) = site();
        site.validate().unwrap();
        shown.validate().unwrap();
        for entity in shown.entities.iter() {
            let own: Vec<&str> = match &entity.kind {
                Kind::Climate { .. } => HEATER.to_vec(),
                Kind::WaterHeater { .. } => HEATER[..13].to_vec(),
                Kind::Number { .. } => {
                    let number = ["command_topic", "min", "max", "step", "unit_of_measurement"];
                    [&SHOWN[..], &number].concat()
                }
                Kind::Switch => [&SHOWN[..], &["command_topic"]].concat(),
                Kind::BinarySensor => SHOWN.to_vec(),
                Kind::Sensor(_) => {
                    let sensor = ["unit_of_measurement", "state_class", "device_class"];
                    [&SHOWN[..], &sensor].concat()
                }
            };
            let config = entity.discovery(&site);
            for key in config.as_object().unwrap().keys().map(String::as_str) {
                let known = COMMON.contains(&key) || own.contains(&key);
                assert!(known, "{}: {key}", entity.id);
            }
            for key in config["device"].as_object().unwrap().keys().map(String::as_str) {
                assert!(DEVICE.contains(&key), "{key}");
            }
        }
        let topic = shown.entities[1].discovery_topic("homeassistant", &site.node());
        assert_eq!(topic, "homeassistant/water_heater/hearth_home/tank/config");
    }

    #[test]
    fn commands_are_taken_within_the_limits_that_were_shown() {
        let (site, shown) = site();
        let command = |topic: &str, message: &[u8]| site.command(&shown.entities, topic, message);
        let want = |topic: &str, text: &str| {
            command(&format!("hearth/home/{topic}"), text.as_bytes()).ok().map(|c| c.want)
        };
        assert_eq!(want("room/target/set", "21.5"), Some(Want::Target(celsius(21.5))));
        assert_eq!(want("room/mode/set", "auto"), Some(Want::Mode(Mode::Auto)));
        assert_eq!(want("tank/mode/set", "performance"), Some(Want::Mode(Mode::Heat)));
        assert_eq!(want("limit/set", "1200"), Some(Want::Number(1200.0)));
        assert_eq!(want("mining/set", "OFF"), Some(Want::Switch(false)));
        for (topic, text) in [
            ("room/target/set", "80"),
            ("room/target/set", "NaN"),
            ("room/mode/set", "cool"),
            ("limit/set", "-1"),
            ("mining/set", "maybe"),
            ("power/set", "1"),
            ("backup/set", "ON"),
            ("nobody/set", "1"),
            ("room/set", "1"),
            ("state", "1"),
        ] {
            assert_eq!(want(topic, text), None, "{topic} {text}");
        }
        assert!(command("other/room/target/set", b"20").is_err());
        assert!(command("hearth/home/room/target/set", b"\xff").is_err());
    }
}
