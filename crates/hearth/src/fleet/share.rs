//! Watts shared out among machines while nobody else decides on power: those that earn most of the next watt
//! get it, under every circuit. How is the fleet's matter.

use super::tuning::Tunings;
use fleet::{
    Command, Device, DeviceId, Outcome, Settings,
    control::{
        Fleet,
        share::{Leave, is_at, share},
    },
    levels::{self, Level},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::task::JoinSet;
use units::Watts;

/// How often. Machines change slowly, and each change costs hashes.
const EVERY: Duration = Duration::from_secs(300);
/// After the start, so that machines were found and read.
const FIRST: Duration = Duration::from_secs(60);

/// What a machine was told, and how it was set then: firmware that rounds a share to something of its own
/// is not told the same again.
type Told = HashMap<DeviceId, (Watts, Option<Settings>)>;

/// Shares out for ever.
pub async fn run(fleet: Arc<Fleet>, tunings: Arc<Tunings>) {
    let mut told = Told::new();
    tokio::time::sleep(fleet.clock.real(FIRST)).await;
    loop {
        let all: Vec<Device> = fleet.registry().devices().cloned().collect();
        told.retain(|id, _| all.iter().any(|device| device.id == *id));
        let leave = |device: &Device| match tunings.holds(&device.id) {
            true => Leave::Alone,
            false => Leave::Any,
        };
        match share(&all, &fleet.circuits(), leave, fleet.clock.now()) {
            Ok(shared) => {
                let changes = all.iter().filter_map(|device| {
                    let level = shared.levels.get(&device.id)?;
                    let same = told.get(&device.id).is_some_and(|(power, was)| {
                        *power == level.power && *was == settings(device)
                    });
                    (!same && !is_at(device, level)).then_some((device, level))
                });
                let less = |(device, level): &(&Device, &Level)| {
                    let set = device.settings.as_ref().and_then(|read| read.value.power_limit);
                    level.command == Command::Pause || set.is_some_and(|set| level.power < set)
                };
                // Whoever is turned down makes room for the others.
                let (downs, ups): (Vec<_>, Vec<_>) = changes.partition(less);
                for changes in [downs, ups] {
                    // One after the other for one machine, all machines at once.
                    let mut telling = JoinSet::new();
                    for (device, level) in changes {
                        let (id, power) = (device.id.clone(), level.power);
                        let (fleet, orders) = (fleet.clone(), levels::orders(device, level));
                        telling.spawn(async move {
                            tell(&fleet, &id, orders).await;
                            let now = fleet.registry().get(&id).and_then(settings);
                            (id, (power, now))
                        });
                    }
                    while let Some(done) = telling.join_next().await {
                        told.extend(done);
                    }
                }
            }
            Err(error) => tracing::warn!("no watts are shared out: {error}"),
        }
        tokio::time::sleep(fleet.clock.real(EVERY)).await;
    }
}

/// What it was last read to be set to; of where it mines nothing matters here.
fn settings(device: &Device) -> Option<Settings> {
    let read = device.settings.as_ref()?;
    Some(Settings { pools: None, ..read.value.clone() })
}

async fn tell(fleet: &Arc<Fleet>, id: &DeviceId, orders: Vec<Command>) {
    for command in orders {
        let done = fleet.command(id, command).await;
        if matches!(done.outcome, Outcome::Refused(_) | Outcome::Unknown) {
            return;
        }
    }
}
