//! The site in Home Assistant: what is shown of it, and what people there want, told to the loop.

use super::{Owner, Shared, hold};
use crate::{
    bridge::Bridge,
    config::{Energy, Zone},
};
use grid::{
    BadSetting, Hub,
    homeassistant::{
        Action, Command, Device, Entity, Kind, MOST_COMMANDS, Mode, SensorClass, Site, State,
        States, Want,
    },
};
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use units::{Celsius, Watts};

const EVERY: Duration = Duration::from_secs(2);
/// The most that the number for all loads can be set to, W.
const MOST_POWER: f64 = 10_000_000.0;

/// Starts the link and what feeds it.
pub fn start(
    told: &crate::config::HomeAssistant,
    energy: &Arc<Energy>,
    hub: &Hub,
    bridge: Arc<Bridge>,
    owner: Shared<Owner>,
) -> Result<Vec<JoinHandle<()>>, BadSetting> {
    let site = Site {
        name: "home assistant".into(),
        address: told.address.clone(),
        discovery: told.discovery.clone(),
        base: format!("{}/{}", told.base, energy.site),
        entities: entities(energy),
    };
    site.validate()?;
    let (states, shown) = watch::channel(States::new());
    let (wants, wanted) = mpsc::channel(MOST_COMMANDS);
    Ok(vec![
        tokio::spawn(site.run(hub.clone(), shown, wants)),
        tokio::spawn(show(bridge, owner.clone(), energy.clone(), states)),
        tokio::spawn(listen(wanted, owner, energy.clone())),
    ])
}

fn entities(energy: &Energy) -> Vec<Entity> {
    let home = Device {
        id: energy.site.to_string(),
        name: format!("hearth {}", energy.site),
        model: None,
        via: None,
    };
    let of_site = |id: &str, name: &str, kind| Entity {
        id: id.into(),
        name: name.into(),
        device: home.clone(),
        kind,
    };
    let sensor = |class| Kind::Sensor(class);
    let mut all = vec![
        of_site("net_power", "Net power", sensor(SensorClass::Power)),
        of_site("drawn_power", "Machines' power", sensor(SensorClass::Power)),
        of_site("target_power", "Machines' target", sensor(SensorClass::Power)),
        of_site("price", "Price of power", sensor(SensorClass::Price)),
        of_site("hashrate", "Hashrate", sensor(SensorClass::Hashrate)),
        of_site(
            "power",
            "Power of the machines",
            Kind::Number { min: 0.0, max: MOST_POWER, step: 1.0, unit: "W".into() },
        ),
        of_site("mining", "Mining", Kind::Switch),
    ];
    if energy.aggregator.is_some() {
        all.push(of_site("aggregator", "Follow the aggregator", Kind::Switch));
    }
    all.extend(energy.zones.iter().map(|zone| {
        let (min, max) = match zone.kind {
            crate::config::ZoneKind::Tank => (35.0, 65.0),
            crate::config::ZoneKind::Pool => (10.0, 40.0),
            _ => (5.0, 30.0),
        };
        let celsius = |degrees| Celsius::new(degrees).unwrap_or(Celsius::ZERO);
        let (min, max) = (celsius(min), celsius(max));
        Entity {
            id: zone.body.name.clone(),
            name: zone.body.name.to_string(),
            device: Device {
                id: format!("{}_{}", energy.site, zone.body.name),
                name: zone.body.name.to_string(),
                model: None,
                via: Some(energy.site.to_string()),
            },
            kind: match zone.kind {
                crate::config::ZoneKind::Tank => Kind::WaterHeater { min, max },
                _ => Kind::Climate { min, max },
            },
        }
    }));
    all
}

async fn show(
    bridge: Arc<Bridge>,
    owner: Shared<Owner>,
    energy: Arc<Energy>,
    states: watch::Sender<States>,
) {
    let mut every = tokio::time::interval(EVERY);
    while !states.is_closed() {
        every.tick().await;
        let tree = bridge.energy.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(tree) = tree else { continue };
        let (power, opted_out) = {
            let owner = hold(&owner);
            (owner.power, owner.opted_out)
        };
        let verified = {
            let fleet = bridge.fleet.read().unwrap_or_else(PoisonError::into_inner);
            fleet.as_ref().map(|fleet| {
                fleet.devices.iter().filter_map(|device| device.verified_ths).sum::<f64>()
            })
        };
        let mut now = States::new();
        let mut number = |id: &str, value| now.insert(Arc::from(id), State::Number(value));
        number("net_power", tree.net_w);
        number("drawn_power", tree.drawn_w);
        number("target_power", tree.target_w);
        number("price", tree.price_usd_per_kwh);
        number("hashrate", verified);
        number("power", power.map(Watts::get).or(tree.target_w));
        now.insert("mining".into(), State::Switch(Some(power != Some(Watts::ZERO))));
        if energy.aggregator.is_some() {
            now.insert("aggregator".into(), State::Switch(Some(!opted_out)));
        }
        for zone in &tree.heat {
            let own = |one: &&Zone| *one.body.name == *zone.name;
            let Some(body) = energy.zones.iter().find(own) else { continue };
            let idle = zone.asks_w.is_none_or(|asks| asks < 1.0);
            let celsius = |degrees: f64| Celsius::new(degrees).ok();
            now.insert(
                body.body.name.clone(),
                State::Heater {
                    current: zone.temperature_c.and_then(celsius),
                    target: celsius(zone.set_c),
                    mode: Some(Mode::Auto),
                    action: Some(if idle { Action::Idle } else { Action::Heating }),
                },
            );
        }
        states.send_replace(now);
    }
}

async fn listen(mut wanted: mpsc::Receiver<Command>, owner: Shared<Owner>, energy: Arc<Energy>) {
    while let Some(Command { entity, want }) = wanted.recv().await {
        tracing::info!(%entity, ?want, "Home Assistant");
        let mut owner = hold(&owner);
        let zone = energy.zones.iter().find(|zone| zone.body.name == entity);
        match (&*entity, want, zone) {
            ("power", Want::Number(watts), _) => owner.power = Watts::new(watts).ok(),
            ("mining", Want::Switch(on), _) => {
                owner.power = (!on).then_some(Watts::ZERO);
            }
            ("aggregator", Want::Switch(on), _) => owner.opted_out = !on,
            (_, Want::Target(target), Some(zone)) => {
                owner.set_points.insert(zone.body.name.clone(), target);
            }
            // Off keeps the frost away; the other modes are the configured control's own.
            (_, Want::Mode(Mode::Off), Some(zone)) => {
                let frost = Celsius::new(5.0).unwrap_or(Celsius::ZERO);
                owner.set_points.insert(zone.body.name.clone(), frost);
            }
            (_, Want::Mode(_), Some(zone)) => {
                let own = zone.body.set_point;
                owner.set_points.insert(zone.body.name.clone(), own);
            }
            _ => {}
        }
    }
}
