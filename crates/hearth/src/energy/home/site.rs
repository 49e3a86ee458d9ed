//! The site in Home Assistant: its power, its heated bodies, its panels, battery and generator, its plan. It
//! takes no command.

use crate::{
    config::{Energy, Zone, ZoneKind},
    energy::Owner,
};
use grid::homeassistant::{Action, Device, Entity, Kind, Mode, SensorClass, State, States};
use std::sync::Arc;
use units::{Celsius, Watts};

/// The most that the number for all loads can be set to, W.
const MOST_POWER: f64 = 10_000_000.0;

/// Signals that become sensors once they are heard: their name, identifier, device and class.
const HEARD: [(&str, &str, &str, SensorClass); 5] = [
    ("solar power", "solar_power", "Solar", SensorClass::Power),
    ("battery power", "battery_power", "Battery", SensorClass::Power),
    ("battery charge", "battery_charge", "Battery", SensorClass::Charge),
    ("generator power", "generator_power", "Generator", SensorClass::Power),
    ("frequency", "frequency", "Generator", SensorClass::Frequency),
];

/// A body that is off is kept from freezing.
pub fn frost() -> Celsius {
    Celsius::new(5.0).unwrap_or(Celsius::ZERO)
}

fn part_of(energy: &Energy, name: &str) -> Device {
    Device {
        id: format!("{}_{}", energy.site, name.to_lowercase()),
        name: name.into(),
        model: None,
        via: Some(energy.site.to_string()),
    }
}

/// What there is: bodies as configured, sensors as they are heard.
pub fn entities(energy: &Energy, tree: &api::Energy) -> Vec<Entity> {
    let home = Device {
        id: energy.site.to_string(),
        name: format!("hearth {}", energy.site),
        model: None,
        via: None,
    };
    let of = |device: &Device, id: &str, name: &str, kind| Entity {
        id: id.into(),
        name: name.into(),
        device: device.clone(),
        kind,
    };
    let of_site = |id, name, kind| of(&home, id, name, kind);
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
    if energy.plan.enabled {
        all.push(of_site("planned_power", "Planned power", sensor(SensorClass::Power)));
    }
    let heard = |name: &str| {
        tree.signals.iter().any(|signal| signal.name == name && signal.value.is_some())
    };
    for (name, id, device, class) in HEARD.iter().filter(|(name, ..)| heard(name)) {
        // The frequency is the grid's where nothing here makes it.
        let device = match *id == "frequency" && !heard("generator power") {
            true => home.clone(),
            false => part_of(energy, device),
        };
        let mut words = name.to_string();
        words[..1].make_ascii_uppercase();
        all.push(of(&device, id, &words, sensor(*class)));
    }
    if energy.plan.enabled && energy.plan.battery.is_some() {
        let device = part_of(energy, "Battery");
        let kind = sensor(SensorClass::Power);
        all.push(of(&device, "planned_battery", "Planned charging power", kind));
    }
    if energy.plan.enabled && energy.plan.engine.is_some() {
        let device = part_of(energy, "Generator");
        all.push(of(&device, "planned_engine", "Planned power", sensor(SensorClass::Power)));
    }
    all.extend(energy.zones.iter().flat_map(|zone| heated(energy, zone)));
    all
}

/// A thermostat, and whether its backup heater is needed.
fn heated(energy: &Energy, zone: &Zone) -> [Entity; 2] {
    let (min, max) = match zone.kind {
        ZoneKind::Tank => (35.0, 65.0),
        ZoneKind::Pool => (10.0, 40.0),
        ZoneKind::Room | ZoneKind::Hydronic => (5.0, 30.0),
    };
    let celsius = |degrees| Celsius::new(degrees).unwrap_or(Celsius::ZERO);
    let (min, max) = (celsius(min), celsius(max));
    let device = part_of(energy, &zone.body.name);
    let thermostat = Entity {
        id: zone.body.name.clone(),
        name: zone.body.name.to_string(),
        device: device.clone(),
        kind: match zone.kind {
            ZoneKind::Tank => Kind::WaterHeater { min, max },
            ZoneKind::Room | ZoneKind::Hydronic | ZoneKind::Pool => Kind::Climate { min, max },
        },
    };
    let backup = Entity {
        id: backup(&zone.body.name),
        name: "Backup heater needed".into(),
        device,
        kind: Kind::BinarySensor,
    };
    [thermostat, backup]
}

fn backup(zone: &str) -> Arc<str> {
    format!("{zone}_backup").into()
}

/// How all of it stands.
pub fn states(
    energy: &Energy,
    tree: &api::Energy,
    fleet: Option<&api::Fleet>,
    owner: &Owner,
) -> States {
    let verified = fleet
        .map(|fleet| fleet.devices.iter().filter_map(|device| device.verified_ths).sum::<f64>());
    let mut now = States::new();
    let mut number = |id: &str, value| now.insert(Arc::from(id), State::Number(value));
    number("net_power", tree.net_w);
    number("drawn_power", tree.drawn_w);
    number("target_power", tree.target_w);
    number("price", tree.price_usd_per_kwh);
    number("hashrate", verified);
    number("power", owner.power.map(Watts::get).or(tree.target_w));
    for signal in tree.signals.iter().filter(|signal| signal.value.is_some()) {
        if let Some((_, id, ..)) = HEARD.iter().find(|(name, ..)| *name == signal.name) {
            let known = signal.value.filter(|_| signal.quality != "lost");
            number(id, known);
        }
    }
    if energy.plan.enabled {
        let step = tree.plan.as_ref().and_then(|plan| plan.now());
        number("planned_power", step.map(|step| step.power_w));
        if energy.plan.battery.is_some() {
            number("planned_battery", step.and_then(|step| step.battery_w));
        }
        if energy.plan.engine.is_some() {
            number("planned_engine", step.map(|step| step.engine_w.unwrap_or(0.0)));
        }
    }
    now.insert("mining".into(), State::Switch(Some(owner.power != Some(Watts::ZERO))));
    if energy.aggregator.is_some() {
        now.insert("aggregator".into(), State::Switch(Some(!owner.opted_out)));
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
                mode: Some(mode(owner, &body.body.name)),
                action: Some(if idle { Action::Idle } else { Action::Heating }),
            },
        );
        now.insert(backup(&zone.name), State::Switch(Some(zone.backup)));
    }
    now
}

/// How a heated body is run, by what its owner said.
fn mode(owner: &Owner, zone: &Arc<str>) -> Mode {
    match owner.set_points.get(zone) {
        Some(set) if *set <= frost() => Mode::Off,
        _ if owner.at_once.contains(zone) => Mode::Heat,
        _ => Mode::Auto,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use api::energy::{Plan, PlanStep, Signal, Zone};
    use grid::homeassistant::Shown;
    use std::path::Path;

    #[test]
    fn tank_room_battery_and_plan_appear_with_their_states() {
        let text = "[energy]\nenabled = true\nsite = \"home\"\n\
                    [energy.plan]\nenabled = true\n\
                    [energy.plan.battery]\ncapacity = \"10 kWh\"\ncharge = \"5 kW\"\n\
                    discharge = \"5 kW\"\n\
                    [[energy.heat]]\nname = \"room\"\ntemperature = \"room\"\nmachines = [\"m\"]\n\
                    [[energy.heat]]\nname = \"tank\"\nkind = \"tank\"\ntemperature = \"tank\"\n\
                    machines = [\"n\"]\n";
        let energy = Config::parse(text, Path::new(".")).unwrap().energy;
        let zone = |name: &str, backup| Zone {
            name: name.into(),
            temperature_c: Some(19.5),
            set_c: 21.0,
            asks_w: Some(800.0),
            backup,
            ..Zone::default()
        };
        let signal = |name: &str, value, quality: &str| Signal {
            name: name.into(),
            value,
            quality: quality.into(),
            ..Signal::default()
        };
        let step = PlanStep { battery_w: Some(-1200.0), power_w: 3000.0, ..PlanStep::default() };
        let tree = api::Energy {
            heat: vec![zone("room", false), zone("tank", true)],
            signals: vec![
                signal("battery charge", Some(55.0), "fresh"),
                signal("solar power", None, "lost"),
                signal("generator power", Some(900.0), "lost"),
            ],
            plan: Some(Plan { steps: vec![step], ..Plan::default() }),
            ..api::Energy::default()
        };
        let all = entities(&energy, &tree);
        let kind = |id: &str| all.iter().find(|one| &*one.id == id).map(|one| one.kind.clone());
        assert!(matches!(kind("room"), Some(Kind::Climate { .. })));
        assert!(matches!(kind("tank"), Some(Kind::WaterHeater { .. })));
        assert_eq!(kind("tank_backup"), Some(Kind::BinarySensor));
        assert_eq!(kind("battery_charge"), Some(Kind::Sensor(SensorClass::Charge)));
        assert_eq!(kind("solar_power"), None, "it was never heard");
        let mut owner = Owner::default();
        owner.set_points.insert("tank".into(), frost());
        let states = states(&energy, &tree, None, &owner);
        let state = |id: &str| states.get(&Arc::from(id)).copied();
        assert_eq!(state("planned_battery"), Some(State::Number(Some(-1200.0))));
        assert_eq!(state("planned_power"), Some(State::Number(Some(3000.0))));
        assert_eq!(state("battery_charge"), Some(State::Number(Some(55.0))));
        assert_eq!(state("generator_power"), Some(State::Number(None)), "lost is unknown");
        assert_eq!(state("tank_backup"), Some(State::Switch(Some(true))));
        let heater = |id| match state(id) {
            Some(State::Heater { mode, action, .. }) => Some((mode, action)),
            _ => None,
        };
        assert_eq!(heater("room"), Some((Some(Mode::Auto), Some(Action::Heating))));
        assert_eq!(heater("tank"), Some((Some(Mode::Off), Some(Action::Heating))));
        // Whatever has a state is shown, and what is shown is valid.
        let ids: Vec<&str> = all.iter().map(|one| &*one.id).collect();
        for id in states.keys() {
            assert!(ids.contains(&&**id), "{id}");
        }
        let shown = Shown { entities: all.clone().into(), states: States::new() };
        assert_eq!(shown.validate(), Ok(()));
    }
}
