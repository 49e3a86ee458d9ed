//! The farm's machines found by a scan, and the links to them.

use super::{BREAKER, RANGE, SPACING, Stage, hold};
use crate::fleet::model;
use fleet::{
    Control, Device, DeviceId, Driver, Endpoint, Firmware, Limits,
    control::{Clock, Meter, Who},
    curve::Curve,
    discovery::{range, scan},
    drivers::{self, stratum_only::StratumOnly},
    work::WorkScale,
};
use futures_util::StreamExt;
use std::{pin::pin, sync::Arc};
use twin::farm::{Farm, Kind, Spec};
use units::{Celsius, Watts};

impl Stage {
    pub(super) async fn find(&self, farm: &Farm, shift: u16) {
        let Ok(addresses) = range::addresses(&[RANGE.to_string()], false, 1) else { return };
        let limits = scan::Limits { port_shift: shift, ..scan::Limits::default() };
        let mut answers = pin!(scan::scan(addresses, limits));
        while let Some(asked) = answers.next().await {
            let Some(found) = asked.found else { continue };
            let ip = found.endpoint.ip;
            let seen = self.fleet.registry().found(&found, envelope());
            let Ok(_) = seen else { continue };
            let id = found.identity.id().unwrap_or_else(|| DeviceId::Named(ip.to_string()));
            let scale = farm.at(ip).map(|machine| (machine.scale(), machine.kind()));
            let mut registry = self.fleet.registry();
            let Some(device) = registry.get_mut(&id) else { continue };
            model::describe(device);
            device.circuit = Some(BREAKER.into());
            if link(found.endpoint, device.identity.firmware).is_none() {
                device.control = Control::StratumOnly;
            }
            if let Some((scale, kind)) = scale {
                device.scale = WorkScale::new(scale).unwrap_or(WorkScale::ONE);
                if model::nameplate(device).is_none() {
                    device.declared_power = nominal(kind);
                }
                if device.curve.is_none() {
                    device.curve = nameplate_of(kind);
                }
            }
            let name = device.model.as_deref().or(device.identity.model.as_deref());
            let line = format!(
                "found {:<12} {:<18} {:<14} {}",
                ip.to_string(),
                name.unwrap_or("unknown model"),
                device.identity.firmware.name(),
                device.identity.version.as_deref().unwrap_or("")
            );
            drop(registry);
            hold(&self.told).found += 1;
            self.say(line);
        }
    }
}

/// By its firmware where we can, else by the work that it gets.
pub(super) fn open(
    device: &Device,
    meter: &Arc<dyn Meter>,
    clock: Clock,
) -> Option<Arc<dyn Driver>> {
    let at = device.endpoint?;
    if let Some(link) = link(at, device.identity.firmware) {
        return Some(Arc::from(link));
    }
    Some(Arc::new(StratumOnly::new(meter.clone(), Who::Address(at.ip), SPACING, clock)))
}

/// Of stock Antminers nobody here has the password: the work that they get has to do.
fn link(at: Endpoint, firmware: Firmware) -> Option<Box<dyn Driver>> {
    drivers::open(at, firmware).or_else(|| match firmware {
        Firmware::AntminerStock => None,
        firmware => library(at, firmware),
    })
}

/// asic-rs knows the firmware's own ports only.
#[cfg(feature = "asic")]
fn library(at: Endpoint, firmware: Firmware) -> Option<Box<dyn Driver>> {
    if at != Endpoint::usual(at.ip) {
        return None;
    }
    let allowed = asic::Allowed { whatsminer_v3: false };
    Some(Box::new(asic::Link::new(at, firmware, None, allowed)?))
}

#[cfg(not(feature = "asic"))]
fn library(_: Endpoint, _: Firmware) -> Option<Box<dyn Driver>> {
    None
}

/// Of emulated machines of all kinds: a Gamma's chip may reach 70 °C, others' 95 °C.
fn envelope() -> Limits {
    Limits {
        chip: Celsius::new(95.0).unwrap_or(Celsius::ZERO),
        regulator: None,
        inlet: None,
        outlet: None,
        input_low: None,
        input_high: None,
        power: None,
    }
}

/// Machines that the catalogue does not know by the name that they tell.
fn nameplate_of(kind: Kind) -> Option<Curve> {
    let machine = twin::farm::Machine::new(Spec::of(kind), Celsius::new(25.0).ok()?);
    Curve::new(vec![(machine.output().power, machine.output().good)]).ok()
}

fn nominal(kind: Kind) -> Option<Watts> {
    let machine = twin::farm::Machine::new(Spec::of(kind), Celsius::new(25.0).ok()?);
    Some(machine.output().power).filter(|power| *power > Watts::ZERO)
}
