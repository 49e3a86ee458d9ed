//! Which machine is to run at which of its levels so that all together prove the most hashes under every
//! circuit. Pure: it ties [`allocate`] to what machines can be told and to what circuits count them
//! with, and sends nothing.

use super::load;
use crate::{
    allocate::{Claim, Share, TooLittle, allocate},
    circuit::{Circuit, Circuits},
    command::{Command, Verb},
    curve::Curve,
    device::Device,
    driver::State,
    identity::DeviceId,
    levels::{self, Level},
    readings::{Moment, Readings},
    verify,
};
use std::{collections::BTreeMap, sync::Arc};
use units::{Hashrate, Watts};

/// Room for machines on their way up, which may draw more than once they are there: of each circuit this
/// part, or what the machine there needs that needs most.
const STARTS: f64 = 0.01;

/// A power limit this near to another is as good, relative.
const DIFFERS: f64 = 0.03;

/// How a machine may be dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It may be told any of its levels.
    Any,
    /// The same, but for being switched off: somebody counts on its heat.
    KeepOn,
    /// It is left as it is and counts with the most that it can draw.
    Alone,
}

/// What all machines get that may be told something, and what they then prove together.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// By machine.
    pub levels: BTreeMap<DeviceId, Level>,
    /// Of all machines on circuits, by their curves.
    pub rate: Hashrate,
    /// The most that these can draw then.
    pub power: Watts,
}

/// Shares the circuits' watts out. Machines that are on no circuit, of which nobody has said what they draw
/// or earn, or that tell no level get nothing; on a circuit they count as they are.
pub fn share(
    devices: &[Device],
    circuits: &Circuits,
    leave: impl Fn(&Device) -> Leave,
    now: Moment,
) -> Result<Shared, TooLittle> {
    let asked: Vec<Asked> = devices
        .iter()
        .filter(|device| device.circuit.as_deref().is_some_and(|name| circuits.get(name).is_some()))
        .filter_map(|device| Asked::new(device, leave(device), now))
        .collect();
    let claims: Vec<Claim> = asked.iter().map(|asked| asked.claim.clone()).collect();
    let given = allocate(&claims, &with_room_to_start(circuits, &asked), None)?;
    let levels = asked.iter().filter_map(|asked| {
        let share = given.shares.get(&asked.claim.id)?;
        Some((asked.claim.id.clone(), asked.level(*share)?))
    });
    Ok(Shared { levels: levels.collect(), rate: given.rate, power: given.power })
}

/// Whether a machine is at a level as far as it tells, but for a difference that is not worth a change.
pub fn is_at(device: &Device, level: &Level) -> bool {
    let Some(read) = &device.settings else { return false };
    let settings = read.value.clone();
    let mines = settings.mining != Some(false);
    match &level.command {
        Command::PowerLimit(power) => {
            let apart = |limit: Watts| (limit.get() - power.get()).abs();
            mines && settings.power_limit.is_some_and(|limit| apart(limit) <= DIFFERS * power.get())
        }
        command => {
            let state = State { readings: Readings::default(), settings };
            let starts_it = matches!(command, Command::Pause | Command::Resume);
            (starts_it || mines) && verify::holds(command, None, &state) == Some(true)
        }
    }
}

struct Asked {
    claim: Claim,
    /// Its levels that hash, each with the most that it can draw there. Empty for one left alone.
    levels: Vec<(Watts, Level)>,
    off: Option<Level>,
    /// What its start may draw beyond that.
    start: f64,
}

impl Asked {
    fn new(device: &Device, leave: Leave, now: Moment) -> Option<Self> {
        let claim = |curve, idle, keep_on, current| Claim {
            id: device.id.clone(),
            curve,
            idle,
            circuit: device.circuit.clone(),
            keep_on,
            current,
        };
        let can = |verb| device.capabilities.verbs.contains(&verb);
        let told = match leave {
            Leave::Alone => Vec::new(),
            Leave::Any | Leave::KeepOn => levels::levels(device),
        };
        let mut off = None;
        let mut steps: Vec<(Watts, Level)> = Vec::with_capacity(told.len());
        let mut start = 0.0f64;
        for level in told {
            let Ok(Some(step)) = load::step(device, &level.command, now) else { continue };
            if level.command == Command::Pause {
                off = Some((step.target, level));
                continue;
            }
            // What costs more power for no more hashes is no level.
            if steps.last().is_none_or(|(most, last)| *most < step.target && last.rate < level.rate)
            {
                start = start.max(step.peak.get() - step.target.get());
                steps.push((step.target, level));
            }
        }
        let curve = Curve::new(steps.iter().map(|(most, level)| (*most, level.rate)).collect());
        // A machine that can only be switched on has no choice.
        if let Ok(curve) = curve
            && (steps.len() > 1 || off.is_some())
        {
            let keep_on = leave == Leave::KeepOn || off.is_none() || !can(Verb::Resume);
            let idle = off.as_ref().map_or(Watts::ZERO, |(most, _)| *most);
            let runs = device.settings.as_ref().is_none_or(|s| s.value.mining != Some(false));
            let current = runs.then(|| load::set_to(device)).flatten();
            let claim = claim(curve, idle, keep_on, current);
            return Some(Self { claim, levels: steps, off: off.map(|(_, level)| level), start });
        }
        let most = load::bound(device, now)?;
        let rate = device.earns().map_or(Hashrate::ZERO, |curve| curve.rate_at(most));
        let curve = Curve::new(vec![(most, rate)]).ok()?;
        let claim = claim(curve, Watts::ZERO, true, Some(most));
        // Whoever has it in hand may start it anew.
        let anew =
            load::step(device, &Command::Resume, now).ok().flatten().filter(|_| can(Verb::Resume));
        let start = anew.map_or(0.0, |step| step.peak.get() - most.get().max(step.target.get()));
        Some(Self { claim, levels: Vec::new(), off: None, start: start.max(0.0) })
    }

    fn level(&self, share: Share) -> Option<Level> {
        let most = match share {
            Share::Off => return self.off.clone(),
            Share::Run(most) => most,
        };
        let within =
            |(need, _): &(Watts, Level)| need.get() <= most.get() * (1.0 + f64::EPSILON * 8.0);
        let (need, below) = self.levels.get(self.levels.partition_point(within).checked_sub(1)?)?;
        if *need >= most || !matches!(below.command, Command::PowerLimit(_)) {
            return Some(below.clone());
        }
        // Firmware that keeps to any number of watts gets its share to the watt.
        let power = Watts::new(load::limit_within(most).get().floor()).ok()?;
        let power = if power < below.power { below.power } else { power };
        let rate = self.claim.curve.rate_at(most);
        Some(Level { command: Command::PowerLimit(power), power, rate })
    }
}

fn with_room_to_start(circuits: &Circuits, asked: &[Asked]) -> Circuits {
    let mut most: BTreeMap<Arc<str>, f64> = BTreeMap::new();
    for one in asked {
        let name = one.claim.circuit.as_deref().unwrap_or_default();
        for circuit in circuits.path(name) {
            let own = most.entry(circuit.name.clone()).or_default();
            *own = own.max(one.start);
        }
    }
    let roomy = circuits.all().map(|circuit| {
        let needs = most.get(&circuit.name).copied().unwrap_or(0.0);
        let part = if needs > 0.0 { STARTS * circuit.limit.get() } else { 0.0 };
        let limit = Watts::new((circuit.limit.get() - needs.max(part)).max(0.0));
        Circuit { limit: limit.unwrap_or(circuit.limit), ..circuit.clone() }
    });
    // The same names and parents.
    Circuits::new(roomy.collect()).unwrap_or_else(|_| circuits.clone())
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;
