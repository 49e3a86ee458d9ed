//! A machine's link through the fleet: each command waits its turn, is checked against what the machine
//! can, has room on its circuits and is counted, as any other. Reads nothing of its own.

use super::Fleet;
use crate::{
    capability::Capabilities,
    command::Command,
    driver::{Driver, DriverError, Pending, Reply, State},
    identity::{DeviceId, Identity},
    outcome::Outcome,
};
use std::{sync::Arc, time::Duration};

/// A machine of a fleet as a driver, for the tuner and others that take one.
pub struct Staged {
    fleet: Arc<Fleet>,
    id: DeviceId,
    link: Arc<dyn Driver>,
}

impl Staged {
    /// `None` for a machine that the fleet has no link to.
    pub fn new(fleet: Arc<Fleet>, id: DeviceId) -> Option<Self> {
        let device = fleet.registry().get(&id).cloned()?;
        let link = fleet.link(&device)?;
        Some(Self { fleet, id, link })
    }
}

impl Driver for Staged {
    fn identify(&self) -> Pending<'_, Identity> {
        self.link.identify()
    }

    fn capabilities(&self) -> Pending<'_, Capabilities> {
        self.link.capabilities()
    }

    fn read(&self) -> Pending<'_, State> {
        Box::pin(self.fleet.read(&self.id))
    }

    fn apply<'a>(&'a self, command: &'a Command) -> Pending<'a, Reply> {
        Box::pin(async move {
            let told = self.fleet.command(&self.id, command.clone()).await;
            match told.outcome {
                Outcome::Verified | Outcome::Accepted => Ok(Reply::Accepted),
                Outcome::Refused(why) => Ok(Reply::Refused(why.to_string())),
                Outcome::Unknown => Err(DriverError::Silent(self.link.patience(command))),
            }
        })
    }

    fn patience(&self, command: &Command) -> Duration {
        self.link.patience(command)
    }
}
