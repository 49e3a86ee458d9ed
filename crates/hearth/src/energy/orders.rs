//! Carries set-points out, each in a task of its own: a machine may take minutes, the loop waits for
//! none. What became of it is read back by the fleet, and seen in what the load draws.

use super::{
    Machines, hold,
    loads::{self, Held, How},
};
use crate::config::Energy;
use fleet::{DeviceId, Outcome, Refusal, control::Meter};
use grid::switch;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Others on a circuit are told to make room in the same moment, and take up to a minute: a command that
/// found none is tried again so often, until a later one takes its place.
const TRIES: u32 = 45;
const AGAIN: Duration = Duration::from_secs(2);

/// What is steered with.
#[derive(Clone)]
pub struct Hands {
    told: Arc<Energy>,
    machines: Machines,
    /// The number of each machine's latest level.
    latest: Arc<Mutex<HashMap<DeviceId, u64>>>,
}

impl Hands {
    pub fn new(told: Arc<Energy>, machines: Machines) -> Self {
        Self { told, machines, latest: Arc::default() }
    }

    /// Whether this is still what a machine was told last.
    fn is_latest(&self, id: &DeviceId, number: u64) -> bool {
        hold(&self.latest).get(id) == Some(&number)
    }

    /// Tells a load its level.
    pub fn tell(&self, held: &Held, level: usize) {
        let hands = self.clone();
        match &held.how {
            How::Machine(id, levels) => {
                let Some(level) = levels.get(level) else { return };
                let (id, orders) = (id.clone(), loads::orders(&self.machines.fleet, id, level));
                let number = {
                    let mut latest = hold(&self.latest);
                    let number = latest.entry(id.clone()).or_default();
                    *number += 1;
                    *number
                };
                tokio::spawn(async move {
                    for command in orders {
                        let mut tries = 0;
                        loop {
                            let told = hands.machines.fleet.command(&id, command.clone()).await;
                            match told.outcome {
                                Outcome::Refused(Refusal::Circuit(_)) if tries < TRIES => {
                                    tries += 1;
                                    tokio::time::sleep(AGAIN).await;
                                    if !hands.is_latest(&id, number) {
                                        return;
                                    }
                                }
                                Outcome::Refused(_) | Outcome::Unknown => return,
                                Outcome::Verified | Outcome::Accepted => break,
                            }
                        }
                    }
                });
            }
            How::Work(id, who) => {
                let (id, who, curtailed) = (id.clone(), who.clone(), level == 0);
                tokio::task::spawn_blocking(move || {
                    if !hands.machines.meter.curtail(&who, curtailed) {
                        tracing::warn!(%id, "the server has no room to steer this machine's work");
                    }
                });
            }
            How::Compute(at) => {
                let Some(one) = self.told.compute.get(*at) else { return };
                let (load, name, run) = (one.load.clone(), one.name.clone(), level > 0);
                tokio::spawn(async move {
                    match load.set(run).await {
                        switch::Outcome::Verified | switch::Outcome::Accepted => {
                            tracing::info!(%name, run, "computing load told");
                        }
                        switch::Outcome::Refused(why) | switch::Outcome::Unknown(why) => {
                            tracing::warn!(%name, run, "computing load: {why}");
                        }
                    }
                });
            }
        }
    }
}
