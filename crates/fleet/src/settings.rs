//! What a machine is set to: everything a command can change and everything one must not.

use crate::command::WorkMode;
use std::hash::{DefaultHasher, Hash, Hasher};
use units::{Celsius, Megahertz, Millivolts, Ratio, Watts};

/// Settings as read from the machine; what is missing was not told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Whether it hashes: `false` while paused or asleep.
    pub mining: Option<bool>,
    /// The power it keeps to.
    pub power_limit: Option<Watts>,
    /// Chip clock.
    pub frequency: Option<Megahertz>,
    /// Core voltage asked for, not the one measured.
    pub voltage: Option<Millivolts>,
    /// Clock of each board by the firmware's number, where all of them are told.
    pub boards: Vec<Megahertz>,
    /// Fan duty when set by hand; `None` also while it is automatic.
    pub fan: Option<Ratio>,
    /// Whether the firmware steers the fan.
    pub fan_auto: Option<bool>,
    /// Chip temperature that an automatic fan keeps.
    pub target: Option<Celsius>,
    /// Work mode or level.
    pub mode: Option<WorkMode>,
    /// Named profile or preset.
    pub profile: Option<String>,
    /// Whether it blinks.
    pub locating: Option<bool>,
    /// Where it mines.
    pub pools: Option<Pools>,
}

/// The pools of a machine, enough to notice that they changed. Passwords are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pools(pub Vec<Pool>);

/// One pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pool {
    /// As the machine writes it.
    pub url: String,
    /// User name.
    pub user: String,
}

impl Pools {
    /// A number that differs when the pools do.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }
}
