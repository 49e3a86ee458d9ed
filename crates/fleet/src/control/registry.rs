//! All devices, and what finds which machine is which. Pure: it is told what was found, read and
//! proved, and never asks.
//!
//! A machine's verified work is that of the sessions from its address; where several machines share
//! one, as behind a router, of those under its name; and a name that several machines use at once
//! names none of them.

use crate::{
    control::{Who, Worked},
    device::{Control, Device, Presence},
    discovery::{Connected, Found},
    driver::State,
    identity::{DeviceId, Firmware, Identity},
    learned::{Learned, Proved},
    limits::Limits,
    power::{Source, Sources},
    readings::{Moment, Reading},
    work::Tally,
};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};
use units::{Ratio, Work};

/// Machines at most.
pub const MAX_DEVICES: usize = 100_000;
/// Machines at most that are known by a Stratum session alone: anybody who proves work can invent one.
pub const MAX_LONE: usize = MAX_DEVICES / 2;
/// Missed answers after which a machine is late, and after which it is given up.
const LATE: u32 = 2;
const OFFLINE: u32 = 6;

/// There is no room for another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_DEVICES} machines are known already: narrow the ranges that are scanned")]
pub struct Full;

/// What finding a machine changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A machine that was not known.
    New(DeviceId),
    /// Where it was.
    Known(DeviceId),
    /// At another address than before.
    Moved(DeviceId),
}

/// All machines of a site.
#[derive(Debug, Default)]
pub struct Registry {
    devices: BTreeMap<DeviceId, Device>,
    tracks: HashMap<DeviceId, Track>,
    /// Machines with a control at each address.
    controlled: HashMap<IpAddr, Vec<DeviceId>>,
    /// Machines known by their Stratum session alone: by name, and where that is.
    workers: HashMap<Arc<str>, HashMap<IpAddr, DeviceId>>,
    /// Where each of them is, and how many there are at each address.
    lone: HashMap<DeviceId, IpAddr>,
    lone_at: HashMap<IpAddr, usize>,
    names: Names,
    /// Stratum names that the configuration says are these machines'.
    declared: HashMap<Arc<str>, DeviceId>,
    sessions: HashMap<u64, Session>,
    /// What was learned before the start of machines that have not been seen since.
    recalled: HashMap<DeviceId, Learned>,
    /// When the sessions were asked that were taken last, and how often they were.
    worked: Moment,
    answers: u64,
}

/// How many machines go by each Stratum name.
#[derive(Debug, Default)]
struct Names(HashMap<Arc<str>, usize>);

impl Names {
    fn add(&mut self, name: &Arc<str>) {
        *self.0.entry(name.clone()).or_default() += 1;
    }

    fn remove(&mut self, name: &Arc<str>) {
        if let Some(count) = self.0.get_mut(name).filter(|count| **count > 1) {
            *count -= 1;
        } else {
            self.0.remove(name);
        }
    }

    fn is_one_machines(&self, name: &Arc<str>) -> bool {
        self.0.get(name) == Some(&1)
    }
}

#[derive(Debug, Default)]
struct Track {
    misses: u32,
    tally: Tally,
    learned: Learned,
}

#[derive(Debug)]
struct Session {
    owner: Option<DeviceId>,
    ip: IpAddr,
    tally: Tally,
    /// The answer that it last was in.
    seen: u64,
}

impl Registry {
    /// All machines, by name.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// One by its name.
    pub fn get(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id)
    }

    /// All machines, to add what the configuration says of them. Their addresses and names are changed by
    /// [`Registry::found`] and [`Registry::connected`] alone.
    pub fn devices_mut(&mut self) -> impl Iterator<Item = &mut Device> {
        self.devices.values_mut()
    }

    /// One by its name, as [`Registry::devices_mut`] gives all.
    pub fn get_mut(&mut self, id: &DeviceId) -> Option<&mut Device> {
        self.devices.get_mut(id)
    }

    /// A machine that the configuration names: a switched outlet, or one that cannot be found.
    pub fn add(&mut self, device: Device) -> Result<(), Full> {
        self.room_for(&device.id)?;
        let id = device.id.clone();
        self.forget_place(&id);
        if let Some(endpoint) = device.endpoint {
            self.controlled.entry(endpoint.ip.to_canonical()).or_default().push(id.clone());
        }
        self.tracks.entry(id.clone()).or_default();
        self.put(id, device);
        Ok(())
    }

    /// Whoever mines under this name is this machine, wherever it connects from: the configuration says so.
    pub fn declare_worker(&mut self, worker: &Arc<str>, id: &DeviceId) {
        self.declared.insert(worker.clone(), id.clone());
    }

    /// A machine answered. It stays the same one whatever its address; what was known of it only by
    /// its Stratum session becomes its own.
    pub fn found(&mut self, found: &Found, limits: Limits) -> Result<Seen, Full> {
        let Found { endpoint, identity } = found;
        let ip = endpoint.ip.to_canonical();
        let named = || DeviceId::Named(ip.to_string());
        let id = identity.id().unwrap_or_else(named);
        self.room_for(&id)?;
        let known = self.devices.get(&id).map(|device| device.endpoint);
        let evicted = self.evict(&id, found);
        let seen = match known {
            None => Seen::New(id.clone()),
            Some(Some(before)) if before != *endpoint => Seen::Moved(id.clone()),
            Some(_) => Seen::Known(id.clone()),
        };
        // Addresses changed hands: whose the sessions there are is to be asked anew.
        let from = known.flatten().map(|before| before.ip.to_canonical());
        if evicted || matches!(seen, Seen::Moved(_)) {
            let here = self.sessions.values_mut().filter(|s| s.ip == ip || Some(s.ip) == from);
            here.for_each(|session| session.owner = None);
        }
        let absorbed = self.absorb_workers(&id, ip);
        let device = self.devices.entry(id.clone()).or_insert_with(|| {
            Device::found(id.clone(), identity.clone(), Control::Firmware, limits)
        });
        (device.identity, device.endpoint) = (identity.clone(), Some(*endpoint));
        if device.control == Control::StratumOnly {
            device.control = Control::Firmware;
        }
        for lone in absorbed {
            for name in lone.workers {
                if !device.workers.contains(&name) {
                    self.names.add(&name);
                    device.workers.push(name);
                }
            }
            device.circuit = device.circuit.take().or(lone.circuit);
            device.curve = device.curve.take().or(lone.curve);
            device.declared_power = device.declared_power.or(lone.declared_power);
            device.last_curtailed = device.last_curtailed.max(lone.last_curtailed);
        }
        self.tracks.entry(id.clone()).or_default();
        let here = self.controlled.entry(ip).or_default();
        if !here.contains(&id) {
            here.push(id);
        }
        Ok(seen)
    }

    /// Somebody proved work at our Stratum port. Gives the machine it is, and whether that is one that
    /// nobody knew.
    pub fn connected(
        &mut self,
        connected: &Connected,
        limits: Limits,
    ) -> Result<Option<Seen>, Full> {
        let Connected { ip, worker, user_agent } = connected;
        let ip = ip.to_canonical();
        if let Some(id) = self.owner(ip, worker) {
            if let Some(device) = self.devices.get_mut(&id)
                && !device.workers.contains(worker)
            {
                self.names.add(worker);
                device.workers.push(worker.clone());
            }
            return Ok(Some(Seen::Known(id)));
        }
        if self.controlled.get(&ip).is_some_and(|here| here.len() > 1) {
            // One of several behind this address; which, only the configuration can say.
            return Ok(None);
        }
        let same_name = self.workers.get(worker).is_some_and(|all| !all.is_empty());
        let name = if same_name { format!("{worker}@{ip}") } else { worker.to_string() };
        let id = DeviceId::Worker(name);
        self.room_for(&id)?;
        if self.lone.len() >= MAX_LONE {
            return Err(Full);
        }
        let identity = Identity {
            model: user_agent.as_ref().map(|agent| agent.to_string()),
            ..Identity::of(Firmware::None)
        };
        let mut device = Device::found(id.clone(), identity, Control::StratumOnly, limits);
        device.workers.push(worker.clone());
        self.put(id.clone(), device);
        self.tracks.entry(id.clone()).or_default();
        self.workers.entry(worker.clone()).or_default().insert(ip, id.clone());
        self.lone.insert(id.clone(), ip);
        *self.lone_at.entry(ip).or_default() += 1;
        Ok(Some(Seen::New(id)))
    }

    /// What was learned of each machine, to be kept while hearth is off; of those as well that have not
    /// been seen since the start.
    pub fn keep(&self, now: Moment) -> BTreeMap<DeviceId, Vec<Proved>> {
        let known = self.tracks.iter().map(|(id, track)| (id, &track.learned));
        let all = known.chain(&self.recalled).map(|(id, own)| (id.clone(), own.keep(now)));
        all.filter(|(_, kept)| !kept.is_empty()).collect()
    }

    /// Takes what was learned of machines before the start, so long ago. What was learned since counts
    /// as it is.
    pub fn recall(&mut self, kept: &BTreeMap<DeviceId, Vec<Proved>>, ago: Duration, now: Moment) {
        for (id, kept) in kept.iter().take(MAX_DEVICES) {
            self.recalled.insert(id.clone(), Learned::recall(kept, ago, now));
        }
    }

    /// A machine answered or did not. A silent one keeps its old readings, which age.
    pub fn read(&mut self, id: &DeviceId, answer: Option<&State>, now: Moment) -> Presence {
        let (Some(device), Some(track)) = (self.devices.get_mut(id), self.tracks.get_mut(id))
        else {
            return Presence::Offline;
        };
        match answer {
            Some(state) => {
                track.misses = 0;
                device.known.take(&state.readings, now);
                device.settings = Some(Reading::new(state.settings.clone(), now));
                device.presence = Presence::Online;
                let tally = Tally { at: self.worked, ..track.tally };
                if track.learned.measured() == 0
                    && let Some(before) = self.recalled.remove(id)
                {
                    track.learned = before;
                    device.learned = track.learned.curve(device.curve.as_ref(), now);
                }
                learn(device, &mut track.learned, tally, now);
            }
            None => {
                track.misses = track.misses.saturating_add(1);
                device.presence = match track.misses {
                    OFFLINE.. => Presence::Offline,
                    LATE.. => Presence::Late,
                    _ => device.presence,
                };
            }
        }
        device.presence
    }

    /// Takes what all sessions proved so far. Sessions that are gone have already been counted.
    pub fn take_work(&mut self, worked: &[Worked]) {
        // An answer that others overtook would count what is gone again.
        let asked = worked.iter().map(|one| one.tally.at).max().unwrap_or(self.worked);
        if asked < self.worked {
            return;
        }
        self.worked = asked;
        self.answers += 1;
        for Worked { session, ip, worker, tally } in worked {
            let known = self.sessions.get_mut(session);
            let (mut before, mut owner) = (Tally::default(), None);
            if let Some(known) = known {
                known.seen = self.answers;
                let nothing_new = known.owner.is_some() && tally.faulty == known.tally.faulty;
                if tally.accepted < known.tally.accepted
                    || (tally.accepted == known.tally.accepted && nothing_new)
                {
                    continue;
                }
                (before, owner) = (known.tally, known.owner.clone());
            }
            let ip = ip.to_canonical();
            let Some(owner) = owner.or_else(|| self.owner(ip, worker)) else {
                // Nothing is lost: its first owner gets all that it proved.
                continue;
            };
            if let Some(track) = self.tracks.get_mut(&owner) {
                add_difference(&mut track.tally, &before, tally);
            }
            let known = Session { owner: Some(owner), ip, tally: *tally, seen: self.answers };
            self.sessions.insert(*session, known);
        }
        self.sessions.retain(|_, session| session.seen == self.answers);
    }

    /// What a machine proved since it is known, over all its sessions; `now` is when they were asked.
    pub fn tally(&self, id: &DeviceId, now: Moment) -> Option<Tally> {
        self.tracks.get(id).map(|track| Tally { at: now, ..track.tally })
    }

    /// By what the Stratum server can tell this machine from all others; `None` if it cannot.
    pub fn who(&self, id: &DeviceId) -> Option<Who> {
        let device = self.devices.get(id)?;
        if let Some(endpoint) = device.endpoint {
            let ip = endpoint.ip.to_canonical();
            let only = self.controlled.get(&ip).is_none_or(|here| here.len() <= 1);
            if only && self.lone_at(ip) == 0 {
                return Some(Who::Address(ip));
            }
        }
        let own = |name: &Arc<str>| {
            self.names.is_one_machines(name)
                && self.workers.get(name).is_none_or(|all| all.len() <= 1)
        };
        if let Some(name) = device.workers.iter().find(|name| own(name)) {
            return Some(Who::Worker(name.clone()));
        }
        let ip = self.lone.get(id)?;
        (self.lone_at(*ip) == 1).then_some(Who::Address(*ip))
    }

    /// Whose work a session's is; `None` if that cannot be told.
    fn owner(&self, ip: IpAddr, worker: &Arc<str>) -> Option<DeviceId> {
        if let Some(id) = self.declared.get(worker) {
            return Some(id.clone());
        }
        match self.controlled.get(&ip).map(Vec::as_slice) {
            // A neighbour behind the same router that was here before it stays itself.
            Some([only]) => Some(self.lone(ip, worker).unwrap_or_else(|| only.clone())),
            Some(several) if !several.is_empty() => {
                let has = |id: &&DeviceId| {
                    self.devices.get(*id).is_some_and(|device| device.workers.contains(worker))
                };
                let mut named = several.iter().filter(has);
                named.next().filter(|_| named.next().is_none()).cloned()
            }
            _ => self.lone(ip, worker),
        }
    }

    fn lone(&self, ip: IpAddr, worker: &Arc<str>) -> Option<DeviceId> {
        self.workers.get(worker)?.get(&ip).cloned()
    }

    /// How many machines are known at this address by their sessions alone.
    fn lone_at(&self, ip: IpAddr) -> usize {
        self.lone_at.get(&ip).copied().unwrap_or(0)
    }

    /// Takes a machine in, perhaps in the place of what it was before.
    fn put(&mut self, id: DeviceId, device: Device) {
        device.workers.iter().for_each(|name| self.names.add(name));
        let before = self.devices.insert(id, device);
        before.iter().flat_map(|device| &device.workers).for_each(|name| self.names.remove(name));
    }

    fn room_for(&self, id: &DeviceId) -> Result<(), Full> {
        let room = self.devices.len() < MAX_DEVICES || self.devices.contains_key(id);
        if room { Ok(()) } else { Err(Full) }
    }

    fn forget_place(&mut self, id: &DeviceId) {
        let before = self.devices.get(id).and_then(|device| device.endpoint);
        if let Some(endpoint) = before
            && let Some(here) = self.controlled.get_mut(&endpoint.ip.to_canonical())
        {
            here.retain(|other| other != id);
        }
    }

    /// A machine at this very endpoint that is not the one who answers there now has moved on.
    fn evict(&mut self, id: &DeviceId, found: &Found) -> bool {
        let ip = found.endpoint.ip.to_canonical();
        if self.devices.get(id).and_then(|device| device.endpoint) != Some(found.endpoint) {
            self.forget_place(id);
        }
        let mut evicted = false;
        let Some(here) = self.controlled.get_mut(&ip) else { return evicted };
        let devices = &mut self.devices;
        here.retain(|other| {
            let Some(device) = devices.get_mut(other).filter(|_| other != id) else { return true };
            let gone = device.endpoint == Some(found.endpoint);
            evicted |= gone;
            if gone {
                (device.endpoint, device.presence) = (None, Presence::Late);
            }
            !gone
        });
        evicted
    }

    /// What was known only by a session from this address is the machine that answers there, if both are
    /// the only one: of several behind a router nobody knows which it is.
    fn absorb_workers(&mut self, id: &DeviceId, ip: IpAddr) -> Vec<Device> {
        if self.controlled.get(&ip).is_some_and(|here| here.iter().any(|other| other != id)) {
            return Vec::new();
        }
        if self.lone_at(ip) != 1 {
            return Vec::new();
        }
        let mut gone = Vec::new();
        self.workers.retain(|_, all| {
            gone.extend(all.remove(&ip));
            !all.is_empty()
        });
        self.lone_at.remove(&ip);
        for lone in &gone {
            self.lone.remove(lone);
            if let Some(track) = self.tracks.remove(lone) {
                let own = self.tracks.entry(id.clone()).or_default();
                add_difference(&mut own.tally, &Tally::default(), &track.tally);
            }
            let owned = self.sessions.values_mut().filter(|s| s.owner.as_ref() == Some(lone));
            owned.for_each(|session| session.owner = Some(id.clone()));
        }
        let gone: Vec<_> = gone.iter().filter_map(|lone| self.devices.remove(lone)).collect();
        gone.iter().flat_map(|device| &device.workers).for_each(|name| self.names.remove(name));
        gone
    }
}

/// A steady time gives the machine a better curve than its leaflet has.
fn learn(device: &mut Device, learned: &mut Learned, tally: Tally, now: Moment) {
    let usual = Ratio::new(Source::Meter.usual_error()).unwrap_or_default();
    let meter = device.metered_power.map(|told| (told, usual));
    let sources = Sources { meter, firmware: device.known.power, ..Sources::default() };
    let Some(settings) = &device.settings else { return };
    if learned.take(now, &sources, &settings.value, tally, device.scale) {
        device.learned = learned.curve(device.curve.as_ref(), now);
    }
}

fn add_difference(sum: &mut Tally, before: &Tally, after: &Tally) {
    sum.accepted += after.accepted.saturating_sub(before.accepted);
    sum.faulty += after.faulty.saturating_sub(before.faulty);
    let more = (after.work.hashes() - before.work.hashes()).max(0.0);
    sum.work += Work::from_hashes(more);
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
