//! A link that is opened when it is first needed, because to open one asks the machine for its model.

use crate::{Allowed, Login, machine, open};
use fleet::{
    Capabilities, Command, Driver, DriverError, Endpoint, Firmware, Identity, Pending, Reply,
    driver::State,
};
use std::time::Duration;
use tokio::sync::OnceCell;

/// A machine that asic-rs steers.
pub struct Link {
    at: Endpoint,
    firmware: Firmware,
    login: Option<Login>,
    allowed: Allowed,
    opened: OnceCell<Box<dyn Driver>>,
}

impl Link {
    /// Asks nothing yet. `None` for a firmware that [`crate::steers`] says no to.
    pub fn new(
        at: Endpoint,
        firmware: Firmware,
        login: Option<Login>,
        allowed: Allowed,
    ) -> Option<Self> {
        let opened = OnceCell::new();
        crate::steers(firmware).then_some(Self { at, firmware, login, allowed, opened })
    }

    async fn driver(&self) -> Result<&dyn Driver, DriverError> {
        let opening = || open(self.at, self.firmware, self.login.clone(), self.allowed);
        Ok(&**self.opened.get_or_try_init(opening).await?)
    }
}

impl Driver for Link {
    fn identify(&self) -> Pending<'_, Identity> {
        Box::pin(async move { self.driver().await?.identify().await })
    }

    fn capabilities(&self) -> Pending<'_, Capabilities> {
        Box::pin(async move { self.driver().await?.capabilities().await })
    }

    fn read(&self) -> Pending<'_, State> {
        Box::pin(async move { self.driver().await?.read().await })
    }

    fn apply<'a>(&'a self, command: &'a Command) -> Pending<'a, Reply> {
        Box::pin(async move { self.driver().await?.apply(command).await })
    }

    fn patience(&self, command: &Command) -> Duration {
        machine::patience(self.firmware, command)
    }
}
