//! Carries set-points out, each in a task of its own: a machine may take minutes, the loop waits for
//! none. What became of it is read back by the fleet, and seen in what the load draws.

use super::{
    Machines,
    loads::{self, Held, How},
};
use crate::config::Energy;
use fleet::{Outcome, control::Meter};
use grid::compute;
use std::sync::Arc;

/// What is steered with.
#[derive(Clone)]
pub struct Hands {
    pub told: Arc<Energy>,
    pub machines: Machines,
}

impl Hands {
    /// Tells a load its level.
    pub fn tell(&self, held: &Held, level: usize) {
        let hands = self.clone();
        match &held.how {
            How::Machine(id, levels) => {
                let Some(level) = levels.get(level) else { return };
                let (id, orders) = (id.clone(), loads::orders(&self.machines.fleet, id, level));
                tokio::spawn(async move {
                    for command in orders {
                        let done = hands.machines.fleet.command(&id, command).await;
                        if matches!(done.outcome, Outcome::Refused(_) | Outcome::Unknown) {
                            return;
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
                        compute::Outcome::Verified | compute::Outcome::Accepted => {
                            tracing::info!(%name, run, "computing load told");
                        }
                        compute::Outcome::Refused(why) | compute::Outcome::Unknown(why) => {
                            tracing::warn!(%name, run, "computing load: {why}");
                        }
                    }
                });
            }
        }
    }
}
