//! Machines and computing loads as decisions see them: levels of power, what each earns, how they are
//! doing. It sends nothing.

use super::{Machines, Owner};
use crate::{config::Energy, fleet::view::estimate};
use dispatch::load::{Class, Level, Load, LoadState, Times};
use fleet::{
    Control, Device, DeviceId,
    command::Command,
    control::{
        Fleet, Who,
        share::{Leave, share},
    },
    device::Presence,
    levels::{self, Level as Told},
};
use grid::{Signal, Signals};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use units::{HashPrice, Hashrate, Moment, Reading, Usd, Watts};

const HOUR: Duration = Duration::from_secs(3600);
/// A machine that gets no work still idles at some power; nobody knows at which before it was measured.
/// An assumption: a fifth of its full power.
const STARVED: f64 = 0.2;
/// What firmware takes to move, until it was measured: LuxOS goes down in 5 s, others in up to a minute;
/// up again takes minutes (fleet.md, ramp times).
const RAMP_UP: Duration = Duration::from_secs(90);
const RAMP_DOWN: Duration = Duration::from_secs(8);
/// Starts wear machines: not more often than this.
const MIN_ON: Duration = Duration::from_secs(300);
const MIN_OFF: Duration = Duration::from_secs(120);
/// A Bitaxe needs no rest.
const SMALL: f64 = 200.0;
/// Dollars an hour of a petahash a second while nobody knows what it earns; some two hundredths of a cent for
/// a kilowatt-hour.
const UNKNOWN: f64 = 1e-3;
/// A share under a circuit that changes by less than this stays, relative.
const STAYS: f64 = 0.03;

/// The level that each machine may be told at most under its circuits.
pub type Most = BTreeMap<DeviceId, Told>;

/// A load and how it is told.
#[derive(Debug, Clone)]
pub struct Held {
    pub load: Load,
    /// What it could draw if its owner and its circuits let it.
    pub full: Watts,
    /// Its circuits have no room for it beside machines that earn more.
    pub no_room: bool,
    pub how: How,
}

/// How a load is told.
#[derive(Debug, Clone)]
pub enum How {
    /// By its firmware or its switch: what to send for each level.
    Machine(DeviceId, Vec<Told>),
    /// By getting no work.
    Work(DeviceId, Who),
    /// The computing load at this place of the configuration.
    Compute(usize),
}

/// Whether decisions reach a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is steered.
    Free,
    /// Somebody else has it in hand, as while it is tuned: it is left alone.
    Busy,
    /// It must not run: its owner says so, or what enables it is not there.
    Off,
}

/// How a load stands now.
pub fn standing(
    told: &Energy,
    held: &Held,
    machines: &Machines,
    signals: &Signals,
    owner: &Owner,
    now: Moment,
) -> Standing {
    if let How::Machine(id, _) | How::Work(id, _) = &held.how
        && (machines.busy)(id)
    {
        return Standing::Busy;
    }
    match may_run(told, &held.load.id, signals, owner, now) && !held.no_room {
        true => Standing::Free,
        false => Standing::Off,
    }
}

/// Whether neither the owner nor an open contact keeps a load off.
fn may_run(told: &Energy, id: &Arc<str>, signals: &Signals, owner: &Owner, now: Moment) -> bool {
    let mut contacts = told.enable.iter().filter(|one| one.machines.iter().any(|own| own == id));
    !owner.off.contains(id) && contacts.all(|one| closed(signals, &one.contact, now))
}

/// The levels that circuits have room for: watts go where they earn most hashes, and machines whose heat
/// is wanted are not switched off for others. Where nothing can be shared out, commands still wait for
/// room.
pub fn most(
    told: &Energy,
    machines: &Machines,
    signals: &Signals,
    owner: &Owner,
    now: Moment,
    before: &Most,
) -> Most {
    let fleet = &machines.fleet;
    let circuits = fleet.circuits();
    if circuits.all().next().is_none() {
        return Most::new();
    }
    let devices: Vec<Device> = fleet.registry().devices().cloned().collect();
    let leave = |device: &Device| {
        let id: Arc<str> = device.id.to_string().into();
        if (machines.busy)(&device.id) || !may_run(told, &id, signals, owner, now) {
            return Leave::Alone;
        }
        match told.zones.iter().any(|zone| zone.machines.contains(&id)) {
            true => Leave::KeepOn,
            false => Leave::Any,
        }
    };
    let mut shared = match share(&devices, &circuits, leave, fleet.clock.now()) {
        Ok(shared) => shared.levels,
        Err(error) => {
            tracing::warn!("{error}");
            return before.clone();
        }
    };
    for (id, level) in &mut shared {
        if let Some(was) = before.get(id)
            && was.command != Command::Pause
            && level.command != Command::Pause
            && (was.power.get() - level.power.get()).abs() <= STAYS * was.power.get()
        {
            *level = was.clone();
        }
    }
    shared
}

/// Whether a load that must not run is known not to.
pub fn is_off(held: &Held, machines: &Machines, running: &[Option<bool>]) -> bool {
    match &held.how {
        How::Machine(id, _) => {
            let registry = machines.fleet.registry();
            let read = registry.get(id).and_then(|device| device.settings.as_ref());
            read.and_then(|read| read.value.mining) == Some(false)
        }
        // The server keeps giving it nothing; to say so again costs nothing.
        How::Work(..) => false,
        How::Compute(at) => running.get(*at).copied().flatten() == Some(false),
    }
}

/// All loads there are, and the level that each runs at. Hashes earn by `price`; without one, levels are
/// valued by their hashes alone, which orders machines and says nothing of money.
pub fn all(
    told: &Energy,
    fleet: &Fleet,
    owner: &Owner,
    most: &Most,
    price: Option<HashPrice>,
) -> Vec<(Held, usize)> {
    let now = fleet.clock.now();
    let devices: Vec<Device> = fleet.registry().devices().cloned().collect();
    let mut held: Vec<(Held, usize)> = devices
        .iter()
        .filter_map(|device| {
            let held = machine(told, fleet, owner, most, device, price)?;
            let level = runs_at(device, &held.load, now);
            Some((held, level))
        })
        .collect();
    for (at, compute) in told.compute.iter().enumerate() {
        let full = compute.value.usd_per_kwh() * compute.power.kilowatts();
        let level = |power, value| Level { power, value: usd(value) };
        let load = Load {
            id: compute.name.clone(),
            class: Class::Compute,
            levels: vec![level(Watts::ZERO, 0.0), level(compute.power, full)],
            times: Times {
                min_on: compute.min_run,
                min_off: Duration::ZERO,
                ramp_up: compute.load.timeout,
                ramp_down: compute.load.timeout,
            },
            start_cost: compute.start_cost,
            zone: None,
        };
        let how = How::Compute(at);
        held.push((Held { load, full: compute.power, no_room: false, how }, 0));
    }
    held
}

fn machine(
    told: &Energy,
    fleet: &Fleet,
    owner: &Owner,
    most: &Most,
    device: &Device,
    price: Option<HashPrice>,
) -> Option<Held> {
    let worth = |rate: Hashrate| match price {
        Some(price) => price.earns(rate, HOUR),
        // Next to nothing: only the order of machines counts, and what has a price of its own comes first.
        None => usd(UNKNOWN * rate.hashes_per_second() / 1e15),
    };
    let zone = |id: &str| {
        let heats = told.zones.iter().find(|zone| zone.machines.iter().any(|one| **one == *id));
        heats.map(|zone| zone.body.name.clone())
    };
    let id = device.id.to_string();
    let full;
    let mut no_room = false;
    let (levels, how) = if device.control == Control::StratumOnly {
        let curve = device.earns()?;
        full = curve.ceiling();
        let starved = Watts::new(full.get() * STARVED).ok()?;
        let who = fleet.registry().who(&device.id)?;
        let levels = vec![
            Level { power: starved, value: Usd::default() },
            Level { power: full, value: worth(curve.rate_at(full)) },
        ];
        (levels, How::Work(device.id.clone(), who))
    } else {
        let mut told = levels::levels(device);
        full = told.last().map_or(Watts::ZERO, |level| level.power);
        if let Some(most) = owner.most.get(id.as_str()) {
            let fits = told.iter().filter(|level| level.power <= *most).count();
            // What is off may be on at its lowest level: less than that is nothing.
            told.truncate(fits.max(2));
        }
        if let Some(most) = most.get(&device.id) {
            no_room = most.command == Command::Pause;
            if !no_room && told.last().is_some_and(|top| top.power > most.power) {
                told.retain(|level| level.power < most.power);
                told.push(most.clone());
            }
        }
        let level = |told: &Told| Level { power: told.power, value: worth(told.rate) };
        (told.iter().map(level).collect(), How::Machine(device.id.clone(), told))
    };
    if levels.len() < 2 {
        return None;
    }
    let real = |time| fleet.clock.real(time);
    let small = levels.last().is_some_and(|level| level.power.get() < SMALL);
    let times = Times {
        min_on: if small { Duration::ZERO } else { real(MIN_ON) },
        min_off: if small { Duration::ZERO } else { real(MIN_OFF) },
        ramp_up: real(if small { RAMP_DOWN } else { RAMP_UP }),
        ramp_down: real(RAMP_DOWN),
    };
    let load = Load {
        zone: zone(&id),
        id: id.into(),
        class: Class::Miner,
        // A start costs what it does not hash while it ramps up.
        start_cost: levels.last().map_or_else(Usd::default, |level| {
            level.value * (times.ramp_up.as_secs_f64() / HOUR.as_secs_f64())
        }),
        levels,
        times,
    };
    Some(Held { load, full, no_room, how })
}

/// The level that a machine was last seen at.
fn runs_at(device: &Device, load: &Load, now: fleet::Moment) -> usize {
    let settings = device.settings.as_ref().map(|read| &read.value);
    if settings.and_then(|settings| settings.mining) == Some(false) {
        return 0;
    }
    let set = settings.and_then(|settings| settings.power_limit);
    let drawn = || estimate(device, now).map(|estimate| estimate.power);
    match set.or_else(drawn) {
        // What a machine draws may be a little less than what it is set to.
        Some(power) => load.level_within(Watts::new(power.get() * 1.05).unwrap_or(power)),
        None => load.levels.len().saturating_sub(1),
    }
}

/// Whether a machine is set to more than the highest level that it may have.
pub fn is_above(held: &Held, fleet: &Fleet) -> bool {
    let (How::Machine(id, _), Some(top)) = (&held.how, held.load.levels.last()) else {
        return false;
    };
    let registry = fleet.registry();
    let Some(read) = registry.get(id).and_then(|device| device.settings.as_ref()) else {
        return false;
    };
    let set = read.value.power_limit.filter(|_| read.value.mining != Some(false));
    set.is_some_and(|set| set.get() > top.power.get() * (1.0 + STAYS))
}

/// How each load is doing now, on the loop's clock.
pub fn states(
    held: &[Held],
    machines: &Machines,
    running: &[Option<bool>],
    now: Moment,
) -> Vec<LoadState> {
    let clock = machines.fleet.clock;
    let fleet_now = clock.now();
    let state = |held: &Held| match &held.how {
        How::Machine(id, _) | How::Work(id, _) => {
            // Not held while others are asked: they may want it, too.
            let device = machines.fleet.registry().get(id).cloned();
            let Some(device) = device else { return LoadState::default() };
            let told = device.metered_power.or(device.known.power);
            // Ages carry over from one clock to the other.
            let measured = told.map(|reading| {
                let age = clock.real(reading.age(fleet_now));
                Reading::new(reading.value, Moment(now.0.saturating_sub(age)))
            });
            LoadState {
                measured,
                answers: device.presence != Presence::Offline || matches!(held.how, How::Work(..)),
                enabled: true,
            }
        }
        How::Compute(at) => LoadState {
            measured: running.get(*at).copied().flatten().map(|runs| {
                let level = usize::from(runs);
                Reading::new(held.load.power_at(level), now)
            }),
            answers: true,
            enabled: true,
        },
    };
    held.iter().map(state).collect()
}

/// Whether a contact is known to be closed.
fn closed(signals: &Signals, contact: &Arc<str>, now: Moment) -> bool {
    let limit = Signal::Contact(contact.clone()).age_limit();
    let told = signals.contacts.get(contact);
    told.and_then(|told| told.reading.fresh(now, limit).copied()) == Some(true)
}

/// What to send for a machine to come to a level.
pub fn orders(fleet: &Fleet, id: &DeviceId, level: &Told) -> Vec<Command> {
    fleet.registry().get(id).map_or_else(Vec::new, |device| levels::orders(device, level))
}

fn usd(dollars: f64) -> Usd {
    Usd::new(dollars).unwrap_or_default()
}
