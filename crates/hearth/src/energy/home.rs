//! The site in Home Assistant: what is shown of it and of each machine, and what people there want, told
//! to the loop. It steers nothing itself.

use super::{Owner, Shared, hold};
use crate::{
    bridge::Bridge,
    config::{Energy, Zone},
};
use grid::{
    BadSetting, Hub,
    homeassistant::{
        Action, Command, Device, Entity, Kind, MOST_COMMANDS, Mode, SensorClass, Shown, Site,
        State, States, Want,
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
/// Machines that are shown; all are steered.
const MACHINES: usize = 300;
/// Longest identifier of a machine; a longer one ends in a number made of all of it.
const LONGEST: usize = 48;

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
    };
    site.validate()?;
    let first = Shown { entities: entities(energy, &[]).into(), states: States::new() };
    first.validate()?;
    let (states, shown) = watch::channel(first);
    let (wants, wanted) = mpsc::channel(MOST_COMMANDS);
    Ok(vec![
        tokio::spawn(site.run(hub.clone(), shown, wants)),
        tokio::spawn(show(bridge.clone(), owner.clone(), energy.clone(), states)),
        tokio::spawn(listen(wanted, owner, energy.clone(), bridge)),
    ])
}

/// A machine as it is shown.
#[derive(Debug, Clone, PartialEq)]
struct Machine {
    /// Its name among loads.
    load: Arc<str>,
    id: String,
    name: String,
    model: Option<String>,
    full_w: f64,
}

/// Machines that can be steered, with what the fleet knows of them.
fn machines(tree: &api::Energy, fleet: Option<&api::Fleet>) -> Vec<Machine> {
    let miners = tree.loads.iter().filter(|load| load.class == "miner").take(MACHINES);
    miners
        .map(|load| {
            let known = fleet.and_then(|all| all.devices.iter().find(|one| one.id == load.id));
            let model = known.and_then(|device| device.model.clone());
            let tail: String = load.id.chars().rev().take(5).collect();
            let tail: String = tail.chars().rev().collect();
            Machine {
                load: load.id.as_str().into(),
                id: topic_word(&load.id),
                name: format!("{} {tail}", model.as_deref().unwrap_or("Miner")),
                model,
                full_w: load.full_w,
            }
        })
        .collect()
}

/// A machine's name as a word of a topic: lower-case letters, digits and `_`.
fn topic_word(id: &str) -> String {
    let lower = id.to_ascii_lowercase();
    let word: String =
        lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if word.len() <= LONGEST && word.bytes().any(|b| b != b'_') {
        return word;
    }
    // FNV-1a, 32 bits: two names that begin alike are told apart.
    let hash =
        id.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    format!("{}_{hash:08x}", &word[..word.len().min(LONGEST - 9)])
}

impl Machine {
    fn topic(&self, part: &str) -> Arc<str> {
        format!("{}_{part}", self.id).into()
    }

    fn entities(&self, site: &str) -> Vec<Entity> {
        let device = Device {
            id: format!("{site}_{}", self.id),
            name: self.name.clone(),
            model: self.model.clone(),
            via: Some(site.to_owned()),
        };
        let one = |part: &str, name: &str, kind| Entity {
            id: self.topic(part),
            name: name.into(),
            device: device.clone(),
            kind,
        };
        let limit = Kind::Number {
            min: 0.0,
            max: self.full_w.max(1.0).ceil(),
            step: 1.0,
            unit: "W".into(),
        };
        vec![
            one("mining", "Mining", Kind::Switch),
            one("limit", "Power limit", limit),
            one("power", "Power", Kind::Sensor(SensorClass::Power)),
            one("hashrate", "Hashrate", Kind::Sensor(SensorClass::Hashrate)),
            one("chip", "Chip temperature", Kind::Sensor(SensorClass::Temperature)),
        ]
    }

    fn states(&self, tree: &api::Energy, fleet: Option<&api::Fleet>, owner: &Owner) -> States {
        let load = tree.loads.iter().find(|load| *load.id == *self.load);
        let known = fleet.and_then(|all| all.devices.iter().find(|one| *one.id == *self.load));
        let most = owner.most.get(&self.load).map_or(self.full_w, |most| most.get());
        let number = |value| State::Number(value);
        States::from([
            (self.topic("mining"), State::Switch(Some(!owner.off.contains(&self.load)))),
            (self.topic("limit"), number(Some(most))),
            (self.topic("power"), number(load.and_then(|load| load.drawn_w))),
            (self.topic("hashrate"), number(known.and_then(|device| device.verified_ths))),
            (self.topic("chip"), number(known.and_then(|device| device.chip_c))),
        ])
    }
}

fn entities(energy: &Energy, machines: &[Machine]) -> Vec<Entity> {
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
    all.extend(machines.iter().flat_map(|machine| machine.entities(&energy.site)));
    all
}

async fn show(
    bridge: Arc<Bridge>,
    owner: Shared<Owner>,
    energy: Arc<Energy>,
    shown: watch::Sender<Shown>,
) {
    let mut last: Vec<Machine> = Vec::new();
    let mut every = tokio::time::interval(EVERY);
    while !shown.is_closed() {
        every.tick().await;
        let tree = bridge.energy.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(tree) = tree else { continue };
        let owner = hold(&owner).clone();
        let power = owner.power;
        let fleet = bridge.fleet();
        let verified = fleet.as_ref().map(|fleet| {
            fleet.devices.iter().filter_map(|device| device.verified_ths).sum::<f64>()
        });
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
                    mode: Some(mode(&owner, &body.body.name)),
                    action: Some(if idle { Action::Idle } else { Action::Heating }),
                },
            );
        }
        let machines = machines(&tree, fleet.as_ref());
        for machine in &machines {
            now.extend(machine.states(&tree, fleet.as_ref(), &owner));
        }
        let new = (machines != last).then(|| Shown {
            entities: entities(&energy, &machines).into(),
            states: States::new(),
        });
        let new = new.filter(|new| match new.validate() {
            Ok(()) => true,
            Err(bad) => {
                tracing::warn!("Home Assistant is not told of all machines: {bad}");
                false
            }
        });
        last = machines;
        shown.send_modify(|shown| {
            if let Some(new) = new {
                shown.entities = new.entities;
            }
            shown.states = now;
        });
    }
}

/// How a heated body is run, by what its owner said.
fn mode(owner: &Owner, zone: &Arc<str>) -> Mode {
    match owner.set_points.get(zone) {
        Some(set) if *set <= frost() => Mode::Off,
        _ if owner.at_once.contains(zone) => Mode::Heat,
        _ => Mode::Auto,
    }
}

/// A body that is off is kept from freezing.
fn frost() -> Celsius {
    Celsius::new(5.0).unwrap_or(Celsius::ZERO)
}

async fn listen(
    mut wanted: mpsc::Receiver<Command>,
    owner: Shared<Owner>,
    energy: Arc<Energy>,
    bridge: Arc<Bridge>,
) {
    while let Some(command) = wanted.recv().await {
        tracing::info!(entity = %command.entity, want = ?command.want, "Home Assistant");
        let tree = bridge.energy.read().unwrap_or_else(PoisonError::into_inner).clone();
        let machines = tree.map_or_else(Vec::new, |tree| machines(&tree, None));
        take(&mut hold(&owner), &energy, &machines, &command);
    }
}

/// What a command changes in what the owner wants.
fn take(owner: &mut Owner, energy: &Energy, machines: &[Machine], command: &Command) {
    let Command { entity, want } = command;
    let zone = energy.zones.iter().find(|zone| zone.body.name == *entity);
    let machine = machines.iter().find_map(|machine| {
        let part = entity.strip_prefix(&machine.id)?.strip_prefix('_')?;
        // One machine's word may begin another's.
        matches!(part, "mining" | "limit").then_some((machine, part))
    });
    match (&**entity, *want, zone, machine) {
        ("power", Want::Number(watts), ..) => owner.power = Watts::new(watts).ok(),
        ("mining", Want::Switch(on), ..) => owner.power = (!on).then_some(Watts::ZERO),
        ("aggregator", Want::Switch(on), ..) => owner.opted_out = !on,
        (_, Want::Target(target), Some(zone), _) => {
            owner.set_points.insert(zone.body.name.clone(), target);
        }
        (_, Want::Mode(mode), Some(zone), _) => {
            let name = zone.body.name.clone();
            let is_frost = owner.set_points.get(&name).is_some_and(|set| *set <= frost());
            match mode {
                Mode::Off => {
                    owner.set_points.insert(name.clone(), frost());
                }
                // What somebody wanted before stays, but for the frost protection of being off.
                Mode::Heat | Mode::Auto if is_frost => {
                    owner.set_points.insert(name.clone(), zone.body.set_point);
                }
                Mode::Heat | Mode::Auto => {}
            }
            match mode {
                Mode::Heat => owner.at_once.insert(name),
                Mode::Off | Mode::Auto => owner.at_once.remove(&name),
            };
        }
        (_, Want::Switch(on), _, Some((machine, "mining"))) => {
            match on {
                true => owner.off.remove(&machine.load),
                false => owner.off.insert(machine.load.clone()),
            };
        }
        (_, Want::Number(watts), _, Some((machine, "limit"))) => {
            if watts >= machine.full_w {
                owner.most.remove(&machine.load);
            } else if let Ok(watts) = Watts::new(watts) {
                owner.most.insert(machine.load.clone(), watts);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(id: &str) -> Machine {
        Machine {
            load: id.into(),
            id: topic_word(id),
            name: "Miner".into(),
            model: None,
            full_w: 3500.0,
        }
    }

    #[test]
    fn a_machine_is_switched_and_limited_by_its_own_entities() {
        let machines = ["name:a", "mac:02:54:D5:AA:DA:07", "mac:02:54:d5:aa:da:08", "name:a_b"];
        let machines = machines.map(machine);
        let mut owner = Owner::default();
        let mut say = |entity: &str, want| {
            let command = Command { entity: entity.into(), want };
            take(&mut owner, &Energy::default(), &machines, &command);
            (owner.off.clone(), owner.most.clone())
        };
        let (off, _) = say("mac_02_54_d5_aa_da_07_mining", Want::Switch(false));
        assert!(off.contains("mac:02:54:D5:AA:DA:07") && off.len() == 1);
        let (off, _) = say("mac_02_54_d5_aa_da_07_mining", Want::Switch(true));
        assert!(off.is_empty());
        let (_, most) = say("mac_02_54_d5_aa_da_08_limit", Want::Number(1200.0));
        assert_eq!(most.get("mac:02:54:d5:aa:da:08"), Watts::new(1200.0).ok().as_ref());
        let (_, most) = say("mac_02_54_d5_aa_da_08_limit", Want::Number(3500.0));
        assert!(most.is_empty(), "its full power is no limit");
        let (off, _) = say("name_a_b_mining", Want::Switch(false));
        assert!(off.contains("name:a_b") && off.len() == 1);
    }

    #[test]
    fn names_of_machines_become_words_that_topics_may_hold_and_stay_apart() {
        assert_eq!(topic_word("mac:02:AB"), "mac_02_ab");
        let long = |end: &str| topic_word(&format!("worker:{}{end}", "bc1q".repeat(20)));
        assert_ne!(long("a"), long("b"));
        assert!(long("a").len() <= LONGEST, "{}", long("a"));
        let all = entities(&Energy::default(), &[machine("name:Garage 1"), machine(&long("a"))]);
        let shown = Shown { entities: all.into(), states: States::new() };
        assert_eq!(shown.validate(), Ok(()));
    }
}
