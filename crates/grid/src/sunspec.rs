//! Inverters, meters and batteries that describe themselves by SunSpec models (Device Information
//! Model Specification 1.1) over Modbus TCP. It never writes a point.
//!
//! The crate `sunspec` decodes the models. The walk over the device's list of models is done here,
//! because what a device sends must never end the task.

use crate::{
    BadSetting, Hub, LinkError, Quality, Signal,
    link::keep,
    modbus::{connect, pace, read},
    register::{Span, Table},
};
use std::{sync::Arc, time::Duration};
use sunspec::{DEFAULT_DISCOVERY_ADDRESSES, Model, SUNS_IDENTIFIER, models::*};
use tokio::time::MissedTickBehavior;
use tokio_modbus::client::Context;

/// What the device is to the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A meter at the connection point: net power, phases, frequency.
    Meter,
    /// An inverter of solar panels.
    Inverter,
    /// A generator's meter or controller.
    Generator,
    /// A battery: power and state of charge.
    Battery,
}

/// A device that describes itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its name on the status page.
    pub name: Arc<str>,
    /// Host name or address.
    pub host: String,
    /// Usually 502.
    pub port: u16,
    /// Unit identifier.
    pub unit: u8,
    /// What it is to the site.
    pub role: Role,
    /// Turns the sign of power: makers differ in what they count as positive, and a meter may be
    /// mounted the other way round. Import, and charging, must come out positive.
    pub invert: bool,
    /// Time from one reading to the next.
    pub every: Duration,
    /// Time to wait for an answer.
    pub timeout: Duration,
    /// [`Quality::Synthetic`] for what a twin makes up.
    pub quality: Quality,
}

/// A list longer than this is no device's.
const MOST_MODELS: usize = 64;
/// The models that are read, the richest first; one of them is enough.
const KNOWN: [u16; 16] =
    [203, 213, 204, 214, 202, 212, 201, 211, 701, 103, 113, 102, 112, 101, 111, 802];

#[derive(Debug, Clone, Copy)]
struct Block {
    id: u16,
    address: u16,
    length: u16,
}

/// What one model told, in watts, hertz and percent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Measured {
    power: Option<f64>,
    phases: [Option<f64>; 3],
    frequency: Option<f64>,
    charge: Option<f64>,
}

impl Device {
    /// Refuses a pace that no device keeps.
    pub fn validate(&self) -> Result<(), BadSetting> {
        pace(&self.name, self.every, self.timeout)
    }

    /// Reads for ever and publishes into the hub.
    pub async fn run(self, hub: Hub) {
        let device = Arc::new(self);
        keep(hub.clone(), device.name.clone(), || {
            let (hub, device) = (hub.clone(), device.clone());
            async move { device.session(&hub).await }
        })
        .await;
    }

    async fn session(&self, hub: &Hub) -> Result<(), LinkError> {
        let mut context = connect(&self.host, self.port, self.unit, self.timeout).await?;
        let blocks = self.discover(&mut context).await?;
        let block = KNOWN
            .iter()
            .find_map(|id| blocks.iter().find(|block| block.id == *id))
            .ok_or_else(|| {
                let ids: Vec<u16> = blocks.iter().map(|block| block.id).collect();
                LinkError(format!(
                    "{}: the device has the SunSpec models {ids:?}, none of which tells power; \
                     read it by a register map instead",
                    self.name
                ))
            })?;
        let mut tick = tokio::time::interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let words = self.words(&mut context, block.address, block.length).await?;
            match decode(block.id, &words) {
                Ok(measured) => hub.tell_all(&self.name, self.quality, &self.signals(&measured)),
                Err(BadSetting(sentence)) => hub.refuse(&self.name, sentence.into()),
            }
        }
    }

    /// The device's list of models; it begins with `SunS` at one of three addresses and ends with
    /// 0xffff, or where the device refuses to be read further.
    async fn discover(&self, context: &mut Context) -> Result<Vec<Block>, LinkError> {
        for begin in DEFAULT_DISCOVERY_ADDRESSES {
            if self.words(context, begin, 2).await.ok().as_deref() != Some(&SUNS_IDENTIFIER[..]) {
                continue;
            }
            let mut blocks = Vec::new();
            let mut at = begin + 2;
            while blocks.len() < MOST_MODELS {
                let Ok(header) = self.words(context, at, 2).await else { break };
                let [id, length] = header[..] else { break };
                let Some(next) = at.checked_add(2).and_then(|at| at.checked_add(length)) else {
                    break;
                };
                if id == 0xffff {
                    break;
                }
                blocks.push(Block { id, address: at + 2, length });
                at = next;
            }
            return Ok(blocks);
        }
        Err(LinkError(format!(
            "{}: no SunSpec device answers as unit {}; turn SunSpec on in the device, check the unit, \
             or read it by a register map",
            self.name, self.unit
        )))
    }

    async fn words(
        &self,
        context: &mut Context,
        address: u16,
        length: u16,
    ) -> Result<Vec<u16>, LinkError> {
        let mut words = Vec::with_capacity(usize::from(length));
        while words.len() < usize::from(length) {
            let done = words.len() as u16;
            let first = address.checked_add(done).ok_or_else(|| {
                LinkError(format!("{}: a model lies past register 65535", self.name))
            })?;
            let count = (length - done).min(125);
            let span = Span { table: Table::Holding, first, count };
            words.extend(read(context, span, self.timeout).await?);
        }
        Ok(words)
    }

    fn signals(&self, measured: &Measured) -> Vec<(Signal, f64)> {
        let sign = if self.invert { -1.0 } else { 1.0 };
        let mut told = Vec::new();
        let mut push = |signal: Signal, value: Option<f64>| {
            told.extend(value.map(|value| (signal, value)));
        };
        let power = measured.power.map(|power| power * sign);
        match self.role {
            Role::Meter => {
                push(Signal::NetPower, power);
                for (phase, value) in measured.phases.into_iter().enumerate() {
                    push(Signal::PhasePower(phase), value.map(|value| value * sign));
                }
                push(Signal::Frequency, measured.frequency);
            }
            Role::Inverter => push(Signal::Pv, power),
            Role::Generator => {
                push(Signal::Generator, power);
                push(Signal::Frequency, measured.frequency);
            }
            Role::Battery => {
                push(Signal::BatteryPower, power);
                push(Signal::BatteryCharge, measured.charge);
            }
        }
        told
    }
}

/// A fixed-point value; none where the device says "not implemented" or the scale makes no sense.
fn scaled(raw: impl Into<Option<i16>>, scale: impl Into<Option<i16>>) -> Option<f64> {
    let raw = raw.into().filter(|raw| *raw != i16::MIN)?;
    let scale = scale.into().filter(|scale| (-10..=10).contains(scale))?;
    Some(f64::from(raw) * 10f64.powi(i32::from(scale)))
}

fn unsigned(raw: u32, none: u32, scale: impl Into<Option<i16>>) -> Option<f64> {
    let scale = scale.into().filter(|scale| (-10..=10).contains(scale))?;
    (raw != none).then(|| f64::from(raw) * 10f64.powi(i32::from(scale)))
}

fn float(value: impl Into<Option<f32>>) -> Option<f64> {
    value.into().filter(|value| value.is_finite()).map(f64::from)
}

fn parse<M: Model>(words: &[u16]) -> Result<M, BadSetting> {
    M::parse(words).map_err(|error| BadSetting(format!("SunSpec model {}: {error}", M::ID)))
}

/// One model's registers, without its two words of header.
fn decode(id: u16, words: &[u16]) -> Result<Measured, BadSetting> {
    macro_rules! meter {
        ($model:ty) => {{
            let m: $model = parse(words)?;
            Measured {
                power: scaled(m.w, m.w_sf),
                phases: [m.wph_a, m.wph_b, m.wph_c].map(|watts| scaled(watts, m.w_sf)),
                frequency: scaled(m.hz, m.hz_sf),
                charge: None,
            }
        }};
    }
    macro_rules! float_meter {
        ($model:ty) => {{
            let m: $model = parse(words)?;
            Measured {
                power: float(m.w),
                phases: [m.wph_a, m.wph_b, m.wph_c].map(float),
                frequency: float(m.hz),
                charge: None,
            }
        }};
    }
    macro_rules! inverter {
        ($model:ty) => {{
            let m: $model = parse(words)?;
            Measured {
                power: scaled(m.w, m.w_sf),
                frequency: unsigned(u32::from(m.hz), 0xffff, m.hz_sf),
                ..Measured::default()
            }
        }};
    }
    macro_rules! float_inverter {
        ($model:ty) => {{
            let m: $model = parse(words)?;
            Measured { power: float(m.w), frequency: float(m.hz), ..Measured::default() }
        }};
    }
    Ok(match id {
        101 => inverter!(model101::Model101),
        102 => inverter!(model102::Model102),
        103 => inverter!(model103::Model103),
        111 => float_inverter!(model111::Model111),
        112 => float_inverter!(model112::Model112),
        113 => float_inverter!(model113::Model113),
        201 => meter!(model201::Model201),
        202 => meter!(model202::Model202),
        203 => meter!(model203::Model203),
        204 => meter!(model204::Model204),
        211 => float_meter!(model211::Model211),
        212 => float_meter!(model212::Model212),
        213 => float_meter!(model213::Model213),
        214 => float_meter!(model214::Model214),
        701 => {
            let m: model701::Model701 = parse(words)?;
            Measured {
                power: scaled(m.w, m.w_sf),
                phases: [m.wl1, m.wl2, m.wl3].map(|watts| scaled(watts, m.w_sf)),
                frequency: m.hz.and_then(|hz| unsigned(hz, u32::MAX, m.hz_sf)),
                charge: None,
            }
        }
        802 => {
            let m: model802::Model802 = parse(words)?;
            Measured {
                power: scaled(m.w, m.w_sf),
                charge: unsigned(u32::from(m.soc), 0xffff, m.soc_sf),
                ..Measured::default()
            }
        }
        other => return Err(BadSetting(format!("SunSpec model {other} is not read here"))),
    })
}

/// What strangers send, for the fuzzer: any model of any content is numbers or a sentence.
pub fn decodes(id: u16, words: &[u16]) -> bool {
    decode(id, words).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_device_does_not_implement_is_unknown_and_not_minus_32768() {
        assert_eq!(scaled(i16::MIN, 0), None);
        assert_eq!(scaled(1234, -1), Some(123.4));
        assert_eq!(scaled(1234, i16::MIN), None);
        assert_eq!(scaled(None, 0), None);
        assert_eq!(float(f32::NAN), None);
    }

    #[test]
    fn what_a_device_is_says_which_signals_its_power_becomes() {
        let measured = Measured {
            power: Some(1500.0),
            phases: [Some(500.0), None, Some(1000.0)],
            frequency: Some(60.0),
            charge: Some(55.0),
        };
        let told = |role, invert| {
            let device = Device {
                name: "device".into(),
                host: "127.0.0.1".into(),
                port: 502,
                unit: 1,
                role,
                invert,
                every: Duration::from_secs(1),
                timeout: Duration::from_secs(1),
                quality: Quality::Synthetic,
            };
            device.signals(&measured)
        };
        let meter = told(Role::Meter, true);
        assert_eq!(
            meter,
            [
                (Signal::NetPower, -1500.0),
                (Signal::PhasePower(0), -500.0),
                (Signal::PhasePower(2), -1000.0),
                (Signal::Frequency, 60.0),
            ]
        );
        assert_eq!(told(Role::Inverter, false), [(Signal::Pv, 1500.0)]);
        let battery = [(Signal::BatteryPower, -1500.0), (Signal::BatteryCharge, 55.0)];
        assert_eq!(told(Role::Battery, true), battery);
        let generator = [(Signal::Generator, 1500.0), (Signal::Frequency, 60.0)];
        assert_eq!(told(Role::Generator, false), generator);
    }

    proptest! {
        #[test]
        fn any_words_are_numbers_or_a_sentence(
            which in 0..KNOWN.len(),
            words in proptest::collection::vec(any::<u16>(), 0..160),
        ) {
            if let Ok(measured) = decode(KNOWN[which], &words) {
                prop_assert!(measured.power.is_none_or(f64::is_finite));
                prop_assert!(measured.frequency.is_none_or(f64::is_finite));
            }
        }
    }
}
