//! What became of a command. Never a bool: "the machine said yes" and "it is so" are different things.

use std::fmt;

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Read back, and it is so.
    Verified,
    /// The machine took it; whether it is so cannot be read, or has not shown yet.
    Accepted,
    /// It is not so, and why.
    Refused(Refusal),
    /// No answer that says either; the machine may or may not have done it.
    Unknown,
}

/// Why a command did not become true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The machine cannot do this at all.
    Unable,
    /// Outside the machine's range or beyond a limit; it was never sent.
    Limit(String),
    /// No room on its circuit; it was never sent.
    Circuit(String),
    /// The machine said no, in its words.
    Said(String),
    /// It answered yes and did not do it.
    Silent,
    /// It does not let us in: wrong or missing password.
    Credentials,
    /// It was never sent, because it was not reached.
    Unreachable,
}

/// Something else that changed while a command was carried out, found by reading back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Surprise {
    /// The pools are others than before.
    PoolsChanged,
    /// A setting that was not commanded changed.
    SettingChanged(&'static str),
    /// The control board restarted.
    Rebooted,
}

/// A command's whole result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actuation {
    /// What became of it.
    pub outcome: Outcome,
    /// What else happened.
    pub surprises: Vec<Surprise>,
}

impl Outcome {
    /// Short name, as metrics and counts carry it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Accepted => "accepted",
            Self::Refused(_) => "refused",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("done and read back"),
            Self::Accepted => f.write_str("accepted, not yet seen"),
            Self::Refused(why) => write!(f, "not done: {why}"),
            Self::Unknown => f.write_str("no answer: it may or may not have been done"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unable => f.write_str("the machine cannot do this"),
            Self::Limit(why) | Self::Circuit(why) => f.write_str(why),
            Self::Said(words) => write!(f, "the machine says \"{words}\""),
            Self::Silent => f.write_str("the machine said yes and did nothing"),
            Self::Credentials => f.write_str(
                "the machine wants a password; set user and password under [[fleet.login]]",
            ),
            Self::Unreachable => f.write_str("the machine does not answer"),
        }
    }
}

/// Sums over many machines, for what is told to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Read back.
    pub verified: u64,
    /// Taken, not seen.
    pub accepted: u64,
    /// Not done.
    pub refused: u64,
    /// No answer.
    pub unknown: u64,
}

impl Count {
    /// Adds one.
    pub fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Verified => self.verified += 1,
            Outcome::Accepted => self.accepted += 1,
            Outcome::Refused(_) => self.refused += 1,
            Outcome::Unknown => self.unknown += 1,
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.verified + self.accepted + self.refused + self.unknown
    }
}
