//! Watts shared out under the breaker, and commands to all machines but the one that is tuned.

use super::{Stage, hold};
use fleet::{
    Command, Device, DeviceId, Outcome,
    command::Verb,
    control::share::{Leave, share},
    levels,
};

impl Stage {
    /// Watts by equal marginal hashrate for those that keep to a limit; all others draw what they do.
    pub(super) fn shares(&self, all: &[Device]) -> Vec<(DeviceId, Vec<Command>)> {
        let leave = |device: &Device| match device.capabilities.verbs.contains(&Verb::PowerLimit) {
            true => Leave::KeepOn,
            false => Leave::Alone,
        };
        let shared = match share(all, &self.circuits, leave, self.fleet.clock.now()) {
            Ok(shared) => shared,
            Err(error) => {
                self.say(format!("no watts are shared out: {error}"));
                return Vec::new();
            }
        };
        let order = |device: &Device| {
            let level = shared.levels.get(&device.id)?;
            Some((device.id.clone(), levels::orders(device, level)))
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
