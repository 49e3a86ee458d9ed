//! Which link steers which machine: our own driver, asic-rs, its switch, or the work that it gets.

use super::declared::{Declarations, id};
use crate::config::{self, Login};
use fleet::{
    Control, Device, DeviceId, Driver, Endpoint, Firmware,
    control::{Clock, Fleet, Meter},
    drivers::{self, stratum_only::StratumOnly, switch::Switch},
};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

/// Opens links.
pub struct Links {
    switches: HashMap<DeviceId, Arc<dyn Driver>>,
    declared: Arc<Declarations>,
    logins: HashMap<Firmware, Login>,
    whatsminer_v3: bool,
    meter: Arc<dyn Meter>,
    clock: Clock,
    /// How often shares are expected of a machine that nothing else is known of.
    spacing: Duration,
    fleet: OnceLock<Weak<Fleet>>,
}

impl Links {
    pub fn new(
        config: &config::Fleet,
        declared: Arc<Declarations>,
        meter: Arc<dyn Meter>,
        clock: Clock,
        spacing: Duration,
    ) -> Self {
        let switch = |said: &config::Declared| {
            let switch = said.switch.clone()?;
            let link = Switch::new(switch.line, switch.least_on, switch.least_off);
            Some((id(said)?, Arc::new(link) as Arc<dyn Driver>))
        };
        let switches = declared.all().iter().filter_map(switch).collect();
        let (logins, whatsminer_v3) =
            (config.logins.iter().cloned().collect(), config.whatsminer_v3);
        let fleet = OnceLock::new();
        Self { switches, declared, logins, whatsminer_v3, meter, clock, spacing, fleet }
    }

    /// Whose machines these are: it knows by what the server can tell one from its neighbours.
    pub fn of(&self, fleet: &Arc<Fleet>) {
        // Only ever told once.
        let _ = self.fleet.set(Arc::downgrade(fleet));
    }

    /// The link to a machine; `None` if there is none.
    pub fn open(&self, device: &Device) -> Option<Arc<dyn Driver>> {
        match device.control {
            Control::Switch => self.switches.get(&device.id).cloned(),
            Control::Firmware => {
                self.firmware(device.endpoint?, device.identity.firmware).map(Arc::from)
            }
            Control::StratumOnly => {
                let fleet = self.fleet.get()?.upgrade()?;
                let who = fleet.registry().who(&device.id)?;
                let meter = self.meter.clone();
                Some(Arc::new(StratumOnly::new(meter, who, self.spacing, self.clock)))
            }
        }
    }

    /// The link to a firmware at an address; `None` where nothing steers it.
    pub fn firmware(&self, at: Endpoint, firmware: Firmware) -> Option<Box<dyn Driver>> {
        drivers::open(at, firmware).or_else(|| self.by_library(at, firmware))
    }

    #[cfg(feature = "asic")]
    fn by_library(&self, at: Endpoint, firmware: Firmware) -> Option<Box<dyn Driver>> {
        let own = self.declared.at(at.ip).and_then(|said| said.login.as_ref());
        let login = own.or_else(|| self.logins.get(&firmware)).map(|login| asic::Login {
            user: login.user.clone(),
            password: login.password.clone(),
        });
        let allowed = asic::Allowed { whatsminer_v3: self.whatsminer_v3 };
        Some(Box::new(asic::Link::new(at, firmware, login, allowed)?))
    }

    #[cfg(not(feature = "asic"))]
    fn by_library(&self, at: Endpoint, firmware: Firmware) -> Option<Box<dyn Driver>> {
        let login = self.declared.at(at.ip).is_some_and(|said| said.login.is_some());
        if login || self.logins.contains_key(&firmware) || self.whatsminer_v3 {
            tracing::warn!(ip = %at.ip, firmware = firmware.name(), "built without the feature asic: not steered");
        }
        None
    }
}
