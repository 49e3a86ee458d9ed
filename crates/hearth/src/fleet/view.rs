//! The fleet as the state tree shows it, made of the registry, the meter's tallies and the circuits.

use super::model;
use api::fleet as shown;
use fleet::{
    Control, Device, DeviceId,
    circuit::Circuits,
    control::Fleet,
    device::Presence,
    power::{self, Disagreement, Estimate, Source, Sources},
    readings::{Moment, Reading},
    work::{Tally, Window},
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use units::{Ratio, Watts};

/// Verified hashrate is that of this time, on the fleet's clock.
const WINDOW: Duration = Duration::from_secs(600);
/// Notes of work in it, per machine.
const NOTES: u32 = 20;
/// Machines shown; all are counted.
const SHOWN: usize = 10_000;

/// Keeps what averages need.
#[derive(Default)]
pub struct View {
    work: HashMap<DeviceId, VecDeque<Tally>>,
    /// When work is to be noted next.
    due: Moment,
    /// By circuit, as its meter last said.
    pub metered: BTreeMap<Arc<str>, (Reading<Watts>, Ratio)>,
    pub tuning: HashMap<DeviceId, shown::Tuning>,
}

impl View {
    /// Verified work of a machine over the last minutes, up to this tally; `None` until one was noted before.
    fn window(&self, device: &Device, tally: &Tally) -> Option<Window> {
        let notes = self.work.get(&device.id)?;
        Window::between(notes.front()?, tally, device.scale)
    }

    /// What the setting of a machine was changed, what it did before says nothing of it.
    pub fn forget_work(&mut self, id: &DeviceId) {
        self.work.remove(id);
    }

    /// Takes the registry's tallies, now and then, and of machines that came since. Cheap in between.
    pub fn note(&mut self, fleet: &Fleet, now: Moment) {
        let every = WINDOW / NOTES;
        let registry = fleet.registry();
        if now < self.due && self.work.len() == registry.len() {
            return;
        }
        self.due = now.after(every);
        self.work.retain(|id, _| registry.get(id).is_some());
        for device in registry.devices() {
            let Some(tally) = registry.tally(&device.id, now) else { continue };
            let notes = self.work.entry(device.id.clone()).or_default();
            if notes.back().is_none_or(|last| now.since(last.at) >= every) {
                notes.push_back(tally);
            }
            while notes.front().is_some_and(|first| now.since(first.at) > WINDOW) {
                notes.pop_front();
            }
        }
    }

    /// All of it.
    pub fn make(&self, fleet: &Fleet, circuits: &Circuits, now: Moment) -> shown::Fleet {
        let (devices, tallies): (Vec<Device>, Vec<Option<Tally>>) = {
            let registry = fleet.registry();
            let tally = |device: &Device| registry.tally(&device.id, now);
            registry.devices().map(|device| (device.clone(), tally(device))).unzip()
        };
        let estimates: Vec<Option<Estimate>> =
            devices.iter().map(|device| estimate(device, now)).collect();
        let counts = fleet.counts();
        let mut tree = shown::Fleet {
            found: devices.len() as u64,
            online: devices.iter().filter(|d| d.presence == Presence::Online).count() as u64,
            devices: devices
                .iter()
                .zip(&estimates)
                .zip(&tallies)
                .take(SHOWN)
                .map(|((device, power), tally)| {
                    let window = tally.as_ref().and_then(|tally| self.window(device, tally));
                    self.device(device, *power, window, now)
                })
                .collect(),
            circuits: Vec::new(),
            commands: shown::Commands {
                verified: counts.verified,
                accepted: counts.accepted,
                refused: counts.refused,
                unknown: counts.unknown,
            },
            warnings: Vec::new(),
        };
        let drawn = devices.iter().zip(&estimates).map(|(device, estimate)| {
            let power = estimate.map_or(Watts::ZERO, |estimate| estimate.power);
            (device.circuit.as_deref(), power)
        });
        let loads = circuits.loads(drawn);
        let committed: BTreeMap<_, _> = fleet.loads().into_iter().collect();
        for circuit in circuits.all() {
            let load = loads.get(&circuit.name).copied().unwrap_or(Watts::ZERO);
            let is_below = |device: &Device| {
                let own = device.circuit.as_deref();
                own.is_some_and(|own| circuits.path(own).any(|c| c.name == circuit.name))
            };
            let below = devices.iter().zip(&estimates).filter(|(device, _)| is_below(device));
            // Without them the sum is only the least that it can be.
            let unknown = below.clone().any(|(_, estimate)| estimate.is_none());
            let metered = self.metered.get(&circuit.name);
            let fresh = metered.and_then(|(reading, error)| {
                let power = *reading.fresh(now, power::FRESH)?;
                Some(Estimate { power, error: power.part(*error), source: Source::Meter, at: now })
            });
            tree.circuits.push(shown::Circuit {
                name: circuit.name.to_string(),
                feeds_from: circuit.parent.as_deref().map(Into::into),
                limit_w: circuit.limit.get(),
                power_w: (!unknown).then_some(load.get()),
                committed_w: committed.get(&circuit.name).map(|watts| watts.get()),
                metered_w: fresh.map(|meter| meter.power.get()),
            });
            let below: Vec<Estimate> = below
                .filter_map(|(_, estimate)| *estimate)
                .chain([Estimate::usual(circuit.other, Source::Operator, now)])
                .collect();
            let apart = fresh.and_then(|meter| power::reconcile(&meter, &below));
            if let Some(apart) = apart.filter(|apart| !unknown || apart.summed > apart.metered) {
                tree.warnings.push(warning(&circuit.name, &apart));
            }
            let load = fresh.map_or(load, |meter| meter.power);
            if load > circuit.limit {
                tree.warnings.push(format!(
                    "circuit \"{}\" carries {load} of at most {}: turn machines down or mend its limit",
                    circuit.name, circuit.limit
                ));
            }
        }
        tree
    }

    fn device(
        &self,
        device: &Device,
        power: Option<Estimate>,
        window: Option<Window>,
        now: Moment,
    ) -> shown::Device {
        let window = window.filter(|window| window.shares > 0);
        let rate = window.map(|window| window.rate().terahashes_per_second());
        let error = window.and_then(|window| window.relative_error());
        let last = device.settings.as_ref();
        shown::Device {
            id: device.id.to_string(),
            model: device.model.as_deref().map(Into::into).or(device.identity.model.clone()),
            firmware: device.identity.firmware.name().into(),
            address: device.endpoint.map(|endpoint| endpoint.ip.to_string()),
            workers: device.workers.iter().map(ToString::to_string).collect(),
            presence: match device.presence {
                Presence::Online => "online",
                Presence::Late => "late",
                Presence::Offline => "offline",
            }
            .into(),
            control: match device.control {
                Control::Firmware => "firmware",
                Control::Switch => "switch",
                Control::StratumOnly => "stratum",
            }
            .into(),
            circuit: device.circuit.as_deref().map(Into::into),
            mining: last.and_then(|settings| settings.value.mining),
            power_w: power.map(|power| power.power.get()),
            power_error_w: power.map(|power| power.error.get()),
            power_source: power.map(|power| source(power.source).into()),
            reported_ths: device.known.hashrate.map(|rate| rate.value.terahashes_per_second()),
            verified_ths: rate,
            verified_error_ths: rate.zip(error).map(|(rate, error)| rate * error),
            chip_c: device.known.chip.map(|chip| chip.value.get()),
            age_s: last.map(|settings| settings.age(now).as_secs()),
            outcome_last: device.last_outcome.as_ref().map(|last| last.name().into()),
            tuning: self.tuning.get(&device.id).cloned(),
        }
    }
}

/// Power by the best source that is known of a machine.
pub fn estimate(device: &Device, now: Moment) -> Option<Estimate> {
    let own_meter = Ratio::new(Source::Meter.usual_error()).ok();
    let sources = Sources {
        meter: device.metered_power.zip(own_meter),
        firmware: device.known.power,
        operator: device.declared_power,
        nameplate: model::nameplate(device),
    };
    power::best(&sources, now)
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Meter => "meter",
        Source::Firmware => "firmware",
        Source::Operator => "operator",
        Source::Nameplate => "nameplate",
    }
}

fn warning(circuit: &str, apart: &Disagreement) -> String {
    format!(
        "the meter of circuit \"{circuit}\" shows {}, its machines add up to {}: {:.0} standard errors \
         apart; look for another consumer there, or a machine on another circuit",
        apart.metered, apart.summed, apart.sigmas
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::{
        Firmware, Identity, Limits,
        circuit::Circuit,
        control::{Clock, Setup},
    };
    use units::Celsius;

    #[test]
    fn what_a_circuit_carries_is_unknown_while_one_of_its_machines_is() {
        let w = |watts| Watts::new(watts).unwrap();
        let circuit = Circuit { name: "a".into(), parent: None, limit: w(5e3), other: Watts::ZERO };
        let circuits = Circuits::new(vec![circuit]).unwrap();
        let clock = Clock::start(1.0);
        let fleet = Fleet::new(Setup {
            clock,
            sockets: 1,
            starts_per_second: 1,
            circuits: circuits.clone(),
            open: Arc::new(|_| None),
        });
        let limits = Limits {
            chip: Celsius::new(80.0).unwrap(),
            regulator: None,
            inlet: None,
            outlet: None,
            input_low: None,
            input_high: None,
            power: None,
        };
        let add = |name: &str, power| {
            let (id, who) = (DeviceId::Named(name.into()), Identity::of(Firmware::None));
            let mut device = Device::found(id, who, Control::StratumOnly, limits);
            device.circuit = Some("a".into());
            device.declared_power = power;
            fleet.registry().add(device).unwrap();
        };
        let power = || View::default().make(&fleet, &circuits, clock.now()).circuits[0].power_w;
        add("one", Some(w(900.0)));
        assert_eq!(power(), Some(900.0));
        add("two", None);
        assert_eq!(power(), None);
    }
}
