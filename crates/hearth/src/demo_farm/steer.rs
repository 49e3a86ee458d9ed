//! Watts shared out under the breaker, and commands to all machines but the one that is tuned.

use super::{BREAKER, MARGIN, Stage, hold};
use fleet::{
    Command, Device, DeviceId, Outcome,
    allocate::{Claim, Share, allocate},
    command::Verb,
    curve::Curve,
};
use units::{Hashrate, Ratio, Watts};

impl Stage {
    /// Watts by equal marginal hashrate for those that keep to a limit; all others draw what they do.
    pub(super) fn shares(&self, all: &[Device]) -> Vec<(DeviceId, Vec<Command>)> {
        let now = self.fleet.clock.now();
        let limited = |device: &Device| device.capabilities.verbs.contains(&Verb::PowerLimit);
        let claim = |device: &Device| {
            let drawn = crate::fleet::view::estimate(device, now)?.power;
            let rate = device
                .known
                .hashrate
                .map_or(Hashrate::from_hashes_per_second(1e12), |rate| rate.value);
            let curve = match limited(device) {
                true => curve(drawn, rate)?,
                false => Curve::new(vec![(drawn, rate)]).ok()?,
            };
            Some(Claim {
                id: device.id.clone(),
                curve,
                idle: Watts::ZERO,
                circuit: device.circuit.clone(),
                keep_on: true,
                current: Some(drawn),
            })
        };
        let claims: Vec<Claim> = all.iter().filter_map(claim).collect();
        let Some(circuit) = self.circuits.get(BREAKER) else { return Vec::new() };
        let available = Watts::new(circuit.limit.get() / MARGIN).ok();
        let given = match allocate(&claims, &self.circuits, available) {
            Ok(given) => given,
            Err(error) => {
                self.say(format!("no watts are shared out: {error}"));
                return Vec::new();
            }
        };
        let order = |device: &Device| match given.shares.get(&device.id) {
            Some(Share::Run(power)) if limited(device) => {
                Some((device.id.clone(), vec![Command::PowerLimit(*power)]))
            }
            _ => None,
        };
        all.iter().filter_map(order).collect()
    }

    pub(super) async fn order(&self, id: DeviceId, commands: Vec<Command>) {
        for command in commands {
            let done = self.fleet.command(&id, command.clone()).await;
            hold(&self.view).forget_work(&id);
            let name = self.name(&id);
            self.say(format!("told  {name}: {command}: {}", done.outcome));
            if matches!(done.outcome, Outcome::Refused(_) | Outcome::Unknown) {
                return;
            }
        }
    }
}

/// As the profiles of an S19k Pro under LuxOS fall: half the power brings six tenths of the hashrate.
fn curve(full: Watts, rate: Hashrate) -> Option<Curve> {
    let point = |power: f64, part: f64| {
        let rate = Hashrate::from_hashes_per_second(rate.hashes_per_second() * part);
        Some((full.part(Ratio::new(power).ok()?), rate))
    };
    Curve::new(vec![point(0.29, 0.32)?, point(0.51, 0.58)?, point(1.0, 1.0)?]).ok()
}
