//! What every kind of machine must do for us. Small on purpose: a driver sends and reads, and never
//! judges whether a command came true; `verify` does, from what was read back.

use crate::{
    capability::Capabilities, command::Command, identity::Identity, readings::Readings,
    settings::Settings,
};
use std::{fmt, pin::Pin, time::Duration};

/// An answer under way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, DriverError>> + Send + 'a>>;

/// What a machine said to a command. Not whether it is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It said yes, or closed the connection as this firmware does when it obeys.
    Accepted,
    /// It said no, in these words.
    Refused(String),
}

/// Everything read from a machine in one go.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Sensors and counters.
    pub readings: Readings,
    /// What it is set to.
    pub settings: Settings,
}

/// A link to one machine. Each call has its own deadline and holds at most one socket.
pub trait Driver: Send + Sync {
    /// Who it is. Also proves that it is still the machine it was.
    fn identify(&self) -> Pending<'_, Identity>;

    /// What it can be told; asked once after each change of firmware version.
    fn capabilities(&self) -> Pending<'_, Capabilities>;

    /// Sensors and settings.
    fn read(&self) -> Pending<'_, State>;

    /// Sends one command. Never touches pools: what a firmware wants sent along with a power command
    /// is sent back to it as it was just read.
    fn apply<'a>(&'a self, command: &'a Command) -> Pending<'a, Reply>;

    /// How long a command may take to show in [`Driver::read`] on this firmware.
    fn patience(&self, command: &Command) -> Duration;
}

/// Why a machine gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// No connection was made: nothing was sent.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The connection broke or fell silent after something was sent.
    #[error("no answer within {}", Shown(*.0))]
    Silent(Duration),
    /// It wants a password or does not like ours.
    #[error("the machine wants another password")]
    Credentials,
    /// It answered something else than this firmware does.
    #[error("an answer that makes no sense: {0}")]
    Garbage(String),
    /// More than a machine can have to say; the rest was not read.
    #[error("an answer longer than {0} bytes")]
    TooLong(usize),
    /// Known to be dangerous and not sent.
    #[error("{0}")]
    Unsafe(&'static str),
}

impl DriverError {
    /// Whether the machine may have got what was sent.
    pub fn may_have_arrived(&self) -> bool {
        !matches!(self, Self::Unreachable(_) | Self::Credentials | Self::Unsafe(_))
    }
}

struct Shown(Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}
