//! Machines and computing loads in Home Assistant: each a device with a switch, what it draws and, where it
//! hashes, a limit and what it hashes. It takes no command.

use crate::energy::Owner;
use grid::homeassistant::{Device, Entity, Kind, SensorClass, State, States};
use std::sync::Arc;

/// Loads that are shown; all are steered.
const MOST: usize = 300;
/// Longest identifier of a load; a longer one ends in a number made of all of it.
const LONGEST: usize = 48;

/// A load as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Its name among loads.
    pub id: Arc<str>,
    /// Its name in topics.
    word: String,
    name: String,
    model: Option<String>,
    pub full_w: f64,
    /// It hashes; otherwise it computes for others.
    hashes: bool,
}

/// What of a load can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Switch,
    Limit,
}

/// Loads that can be steered, with what the fleet knows of them.
pub fn loads(tree: &api::Energy, fleet: Option<&api::Fleet>) -> Vec<Load> {
    let one = |load: &api::energy::Load| {
        let known = fleet.and_then(|all| all.devices.iter().find(|one| one.id == load.id));
        let model = known.and_then(|device| device.model.clone());
        let hashes = load.class == "miner";
        let tail: String = load.id.chars().rev().take(5).collect();
        let tail: String = tail.chars().rev().collect();
        Load {
            id: load.id.as_str().into(),
            word: topic_word(&load.id),
            name: match hashes {
                true => format!("{} {tail}", model.as_deref().unwrap_or("Miner")),
                false => load.id.clone(),
            },
            model,
            full_w: load.full_w,
            hashes,
        }
    };
    tree.loads.iter().take(MOST).map(one).collect()
}

/// A load's name as a word of a topic: lower-case letters, digits and `_`.
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

impl Load {
    fn topic(&self, part: &str) -> Arc<str> {
        format!("{}_{part}", self.word).into()
    }

    /// What a command to this entity tells of the load, if it is one of its own.
    pub fn part(&self, entity: &str) -> Option<Part> {
        // One load's word may begin another's.
        match (entity.strip_prefix(&self.word)?.strip_prefix('_')?, self.hashes) {
            ("mining", true) | ("running", false) => Some(Part::Switch),
            ("limit", true) => Some(Part::Limit),
            _ => None,
        }
    }

    pub fn entities(&self, site: &str) -> Vec<Entity> {
        let device = Device {
            id: format!("{site}_{}", self.word),
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
        let power = one("power", "Power", Kind::Sensor(SensorClass::Power));
        if !self.hashes {
            return vec![one("running", "Running", Kind::Switch), power];
        }
        let limit = Kind::Number {
            min: 0.0,
            max: self.full_w.max(1.0).ceil(),
            step: 1.0,
            unit: "W".into(),
        };
        vec![
            one("mining", "Mining", Kind::Switch),
            one("limit", "Power limit", limit),
            power,
            one("hashrate", "Hashrate", Kind::Sensor(SensorClass::Hashrate)),
            one("chip", "Chip temperature", Kind::Sensor(SensorClass::Temperature)),
        ]
    }

    pub fn states(&self, tree: &api::Energy, fleet: Option<&api::Fleet>, owner: &Owner) -> States {
        let load = tree.loads.iter().find(|load| *load.id == *self.id);
        let known = fleet.and_then(|all| all.devices.iter().find(|one| *one.id == *self.id));
        let most = owner.most.get(&self.id).map_or(self.full_w, |most| most.get());
        let number = |value| State::Number(value);
        let on = State::Switch(Some(!owner.off.contains(&self.id)));
        let power = (self.topic("power"), number(load.and_then(|load| load.drawn_w)));
        if !self.hashes {
            return States::from([(self.topic("running"), on), power]);
        }
        States::from([
            (self.topic("mining"), on),
            (self.topic("limit"), number(Some(most))),
            power,
            (self.topic("hashrate"), number(known.and_then(|device| device.verified_ths))),
            (self.topic("chip"), number(known.and_then(|device| device.chip_c))),
        ])
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use grid::homeassistant::Shown;

    fn load(id: &str, class: &str) -> api::energy::Load {
        api::energy::Load {
            id: id.into(),
            class: class.into(),
            full_w: 3500.0,
            ..api::energy::Load::default()
        }
    }

    fn one(id: &str, class: &str) -> Load {
        let tree = api::Energy { loads: vec![load(id, class)], ..api::Energy::default() };
        loads(&tree, None).remove(0)
    }

    pub fn miner(id: &str) -> Load {
        one(id, "miner")
    }

    #[test]
    fn a_computing_load_is_switched_and_has_no_limit() {
        let job = one("training", "compute");
        let ids: Vec<String> =
            job.entities("home").iter().map(|entity| entity.id.to_string()).collect();
        assert_eq!(ids, ["training_running", "training_power"]);
        assert_eq!(job.part("training_running"), Some(Part::Switch));
        assert_eq!(job.part("training_limit"), None);
        let mut owner = Owner::default();
        owner.off.insert("training".into());
        let tree =
            api::Energy { loads: vec![load("training", "compute")], ..api::Energy::default() };
        let states = job.states(&tree, None, &owner);
        assert_eq!(states[&Arc::from("training_running")], State::Switch(Some(false)));
    }

    #[test]
    fn names_of_machines_become_words_that_topics_may_hold_and_stay_apart() {
        assert_eq!(topic_word("mac:02:AB"), "mac_02_ab");
        let long = |end: &str| topic_word(&format!("worker:{}{end}", "bc1q".repeat(20)));
        assert_ne!(long("a"), long("b"));
        assert!(long("a").len() <= LONGEST, "{}", long("a"));
        let all = [miner("name:Garage 1"), miner(&long("a"))];
        let entities: Vec<Entity> = all.iter().flat_map(|one| one.entities("home")).collect();
        let shown = Shown { entities: entities.into(), states: States::new() };
        assert_eq!(shown.validate(), Ok(()));
    }
}
