//! What the owner says of machines, put to those that it is said of. Finds and asks nobody.

use super::model;
use crate::config::Declared;
use fleet::{
    Control, Device, DeviceId, Endpoint, Firmware, Identity, Limits,
    control::registry::Registry,
    tuner::{Goal, Loudness},
};
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// All of it, by what it goes by.
#[derive(Default)]
pub struct Declarations {
    all: Vec<Declared>,
    by_id: HashMap<DeviceId, usize>,
    by_ip: HashMap<IpAddr, usize>,
    by_worker: HashMap<Arc<str>, usize>,
    tune: Option<Goal>,
}

impl Declarations {
    /// `tune`: for what a machine is tuned of which nothing else is said.
    pub fn new(all: Vec<Declared>, tune: Option<Goal>) -> Self {
        let mut declared = Self { tune, ..Self::default() };
        for (index, one) in all.iter().enumerate() {
            declared.by_id.extend(id(one).map(|id| (id, index)));
            declared.by_ip.extend(one.ip.map(|ip| (ip.to_canonical(), index)));
            declared.by_worker.extend(one.worker.clone().map(|worker| (worker, index)));
        }
        declared.all = all;
        declared
    }

    pub fn all(&self) -> &[Declared] {
        &self.all
    }

    /// What is said of a machine and its number among all: by its name, its address, or what it mines
    /// under.
    pub fn of(&self, device: &Device) -> Option<(usize, &Declared)> {
        let ip = || device.endpoint.and_then(|at| self.by_ip.get(&at.ip.to_canonical()));
        let worker = || device.workers.iter().find_map(|name| self.by_worker.get(name));
        let index = *self.by_id.get(&device.id).or_else(ip).or_else(worker)?;
        Some((index, self.all.get(index)?))
    }

    /// What is said of whoever answers at an address.
    pub fn at(&self, ip: IpAddr) -> Option<&Declared> {
        self.by_ip.get(&ip.to_canonical()).and_then(|index| self.all.get(*index))
    }

    /// For what a machine is to be tuned all the time.
    pub fn goal(&self, device: &Device) -> Option<Goal> {
        self.of(device).and_then(|(_, said)| said.tune).unwrap_or(self.tune)
    }

    /// Makes a machine what is said of it; the catalogue fills in the rest.
    pub fn apply(&self, device: &mut Device) {
        if let Some((_, said)) = self.of(device) {
            device.scale = said.work_scale;
            for (own, said) in
                [(&mut device.circuit, &said.circuit), (&mut device.model, &said.model)]
            {
                if said.is_some() {
                    own.clone_from(said);
                }
            }
            device.declared_power = said.power.or(device.declared_power);
            let limits = &mut device.limits;
            limits.power = said.max_power.or(limits.power);
            limits.chip = said.max_chip.unwrap_or(limits.chip);
            limits.inlet = said.max_inlet.or(limits.inlet);
        }
        if device.curve.is_none() {
            model::describe(device);
        }
        if let Some((_, said)) = self.of(device)
            && let Some(level) = said.noise
            && let Some(power) = said.power.or_else(|| model::nameplate(device))
        {
            device.loudness = Some(Loudness { level, power });
        }
    }

    /// Machines that are known by what is said alone: those behind a switch.
    pub fn switched(&self) -> impl Iterator<Item = Device> {
        self.all.iter().filter(|said| said.switch.is_some()).filter_map(|said| {
            let who = Identity::of(Firmware::Switch);
            let limits = Limits::usual(Firmware::Switch);
            let mut device = Device::found(id(said)?, who, Control::Switch, limits);
            // Nobody is asked there; what mines from there is this machine.
            device.endpoint = said.ip.map(Endpoint::usual);
            device.workers.extend(said.worker.clone());
            self.apply(&mut device);
            Some(device)
        })
    }

    /// The machine that somebody means: by id, name, address, worker or the worker's last part.
    pub fn find(&self, registry: &Registry, text: &str) -> Result<DeviceId, String> {
        let ip = text.parse::<IpAddr>().ok();
        let named = |device: &&Device| {
            let said = self.of(device).and_then(|(_, said)| said.name.as_deref());
            let worker = |name: &Arc<str>| {
                **name == *text || name.rsplit_once('.').is_some_and(|(_, own)| own == text)
            };
            device.id.to_string() == text
                || said == Some(text)
                || device.identity.hostname.as_deref() == Some(text)
                || (ip.is_some() && device.endpoint.map(|at| at.ip.to_canonical()) == ip)
                || device.workers.iter().any(worker)
        };
        let found: Vec<&Device> = registry.devices().filter(named).collect();
        match found.as_slice() {
            [only] => Ok(only.id.clone()),
            [] => Err(format!(
                "no machine is called \"{text}\"; /api/v1/status lists those that are known, by id, \
                 address and worker"
            )),
            several => {
                let ids: Vec<String> = several.iter().take(5).map(|d| d.id.to_string()).collect();
                Err(format!("\"{text}\" is several machines: {}; say which by id", ids.join(", ")))
            }
        }
    }
}

/// What a declaration is kept under.
pub fn id(said: &Declared) -> Option<DeviceId> {
    let named = || said.name.as_ref().filter(|_| said.switch.is_some());
    said.id.clone().or_else(|| named().map(|name| DeviceId::Named(name.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    fn declared(text: &str) -> Declarations {
        let config = Config::parse(text, Path::new(".")).unwrap();
        Declarations::new(config.fleet.devices, config.fleet.tune)
    }

    #[test]
    fn what_is_said_of_an_address_holds_for_who_answers_there() {
        let declared = declared(
            "[fleet]\ntune = \"efficiency\"\n[[fleet.circuit]]\nname = \"A\"\nlimit = \"3 kW\"\n\
             [[fleet.device]]\nip = \"10.0.0.7\"\nname = \"garage\"\ncircuit = \"A\"\n\
             model = \"Bitaxe Gamma\"\nmax_chip = \"66 C\"\ntune = \"off\"\n",
        );
        let (id, who) = (DeviceId::Serial("a1b2c3".into()), Identity::of(Firmware::AxeOs));
        let mut device = Device::found(id, who, Control::Firmware, Limits::usual(Firmware::AxeOs));
        assert!(declared.goal(&device).is_some());
        device.endpoint = Some(Endpoint::usual("10.0.0.7".parse().unwrap()));
        declared.apply(&mut device);
        assert_eq!(device.circuit.as_deref(), Some("A"));
        assert_eq!(device.limits.chip.get(), 66.0);
        assert!(device.curve.is_some() && declared.goal(&device).is_none());
        let mut registry = Registry::default();
        registry.add(device).unwrap();
        for text in ["garage", "10.0.0.7", "sn:a1b2c3"] {
            assert!(declared.find(&registry, text).is_ok(), "{text}");
        }
        assert!(declared.find(&registry, "attic").unwrap_err().contains("no machine is called"));
    }

    #[test]
    fn a_machine_behind_a_switch_needs_no_answer_to_be_known() {
        let declared = declared(
            "[[fleet.device]]\nname = \"old\"\nworker = \"farm.old\"\npower = \"1400 W\"\n\
             switch = { modbus = \"10.0.0.9:502\", coil = 3 }\n",
        );
        let device = declared.switched().next().unwrap();
        assert_eq!((device.id.to_string(), device.control), ("name:old".into(), Control::Switch));
        assert_eq!(device.declared_power.map(|watts| watts.get()), Some(1400.0));
    }
}
