//! What a machine can be told. Pools are not among it: no command of the fleet may touch them.

use serde::{Deserialize, Serialize};
use std::fmt;
use units::{Celsius, Megahertz, Millivolts, Ratio, Watts};

/// One order to one machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Keep to this power; the firmware finds how.
    PowerLimit(Watts),
    /// Run at this part of full power, where the firmware throttles by percent.
    Throttle(Ratio),
    /// Stop hashing, stay reachable.
    Pause,
    /// Hash again.
    Resume,
    /// Chip clock and core voltage.
    Clock {
        /// Chip clock.
        frequency: Megahertz,
        /// Core voltage.
        voltage: Millivolts,
    },
    /// The clock of one board, where boards are set one by one; the next profile ends it.
    BoardClock {
        /// The firmware's number of it, from 0.
        board: u8,
        /// Clock of all its chips.
        frequency: Megahertz,
    },
    /// A fan duty, or `None` to leave the fan to the firmware.
    Fan(Option<Ratio>),
    /// The chip temperature that an automatic fan keeps.
    TargetTemperature(Celsius),
    /// A work mode or level.
    Mode(WorkMode),
    /// A profile or preset by its name.
    Profile(String),
    /// Blink, or stop blinking.
    Locate(bool),
    /// Start the control board anew. Settings stay.
    Reboot,
}

/// The modes firmware offers in place of a power limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkMode {
    /// Least power.
    Low,
    /// As shipped.
    Normal,
    /// Most power.
    High,
    /// Avalon: mode 0 (eco), 1 (standard), 2 (super) and a level within it.
    Avalon {
        /// 0, 1 or 2.
        mode: u8,
        /// The firmware's own step; `None` to leave it.
        level: Option<i8>,
    },
}

/// The kind of a command, to name it and to ask whether a machine knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Verb {
    PowerLimit,
    Throttle,
    Pause,
    Resume,
    Clock,
    BoardClock,
    Fan,
    TargetTemperature,
    Mode,
    Profile,
    Locate,
    Reboot,
}

impl Command {
    /// Its kind.
    pub fn verb(&self) -> Verb {
        match self {
            Self::PowerLimit(_) => Verb::PowerLimit,
            Self::Throttle(_) => Verb::Throttle,
            Self::Pause => Verb::Pause,
            Self::Resume => Verb::Resume,
            Self::Clock { .. } => Verb::Clock,
            Self::BoardClock { .. } => Verb::BoardClock,
            Self::Fan(_) => Verb::Fan,
            Self::TargetTemperature(_) => Verb::TargetTemperature,
            Self::Mode(_) => Verb::Mode,
            Self::Profile(_) => Verb::Profile,
            Self::Locate(_) => Verb::Locate,
            Self::Reboot => Verb::Reboot,
        }
    }
}

impl fmt::Display for Command {
    /// A few words for logs and tables: `limit power to 3.00 kW`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerLimit(watts) => write!(f, "limit power to {watts}"),
            Self::Throttle(part) => write!(f, "throttle to {part}"),
            Self::Pause => f.write_str("pause"),
            Self::Resume => f.write_str("resume"),
            Self::Clock { frequency, voltage } => write!(f, "run at {frequency}, {voltage}"),
            Self::BoardClock { board, frequency } => write!(f, "run board {board} at {frequency}"),
            Self::Fan(Some(duty)) => write!(f, "fan at {duty}"),
            Self::Fan(None) => f.write_str("fan automatic"),
            Self::TargetTemperature(target) => write!(f, "keep chips at {target}"),
            Self::Mode(mode) => write!(f, "mode {mode:?}"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::Locate(on) => f.write_str(if *on { "blink" } else { "stop blinking" }),
            Self::Reboot => f.write_str("reboot"),
        }
    }
}
