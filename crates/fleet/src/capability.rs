//! What a machine can really be told: found on the machine, not read in a leaflet.

use crate::{
    command::{Command, Verb, WorkMode},
    outcome::Refusal,
};
use std::{collections::BTreeSet, fmt::Display};
use units::{Megahertz, Millivolts, Watts};

/// From a lowest to a highest value, both included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range<T> {
    /// Lowest.
    pub low: T,
    /// Highest.
    pub high: T,
}

impl<T: PartialOrd + Copy + Display> Range<T> {
    /// `None` if the ends are the wrong way round.
    pub fn new(low: T, high: T) -> Option<Self> {
        (low <= high).then_some(Self { low, high })
    }

    /// Whether a value lies within.
    pub fn holds(&self, value: T) -> bool {
        self.low <= value && value <= self.high
    }

    fn check(&self, what: &str, value: T) -> Result<(), Refusal> {
        let Self { low, high } = self;
        if self.holds(value) {
            return Ok(());
        }
        Err(Refusal::Limit(format!("{what} {value} is outside {low} to {high} of this machine")))
    }
}

/// Boards that can be set one by one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Boards {
    /// How many.
    pub count: u8,
    /// Clocks that each takes.
    pub clocks: Range<Megahertz>,
}

/// What a machine can be told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Capabilities {
    /// Commands that it carries out.
    pub verbs: BTreeSet<Verb>,
    /// Power limits that it takes; `None` where it takes none or does not tell.
    pub power: Option<Range<Watts>>,
    /// Clocks that it takes.
    pub frequency: Option<Range<Megahertz>>,
    /// Core voltages that it takes.
    pub voltage: Option<Range<Millivolts>>,
    /// Modes that it knows.
    pub modes: Vec<WorkMode>,
    /// Profiles that it knows, with the power of each where told.
    pub profiles: Vec<(String, Option<Watts>)>,
    /// Boards that take a clock of their own.
    pub boards: Option<Boards>,
    /// Whether a change of power stops hashing for a while.
    pub interrupts: bool,
}

impl Capabilities {
    /// Those that carry out these commands, with nothing known of ranges.
    pub fn of(verbs: impl IntoIterator<Item = Verb>) -> Self {
        Self { verbs: verbs.into_iter().collect(), ..Self::default() }
    }

    /// Whether a command is worth sending.
    pub fn check(&self, command: &Command) -> Result<(), Refusal> {
        if !self.verbs.contains(&command.verb()) {
            return Err(Refusal::Unable);
        }
        match command {
            Command::PowerLimit(watts) => match &self.power {
                Some(range) => range.check("power", *watts),
                None => Ok(()),
            },
            Command::Clock { frequency, voltage } => {
                if let Some(range) = &self.frequency {
                    range.check("frequency", *frequency)?;
                }
                match &self.voltage {
                    Some(range) => range.check("voltage", *voltage),
                    None => Ok(()),
                }
            }
            Command::BoardClock { board, frequency } => match &self.boards {
                Some(boards) if *board < boards.count => {
                    boards.clocks.check("frequency", *frequency)
                }
                _ => Err(Refusal::Limit(format!(
                    "this machine has no board {board} of its own clock"
                ))),
            },
            Command::Mode(mode) if !self.modes.is_empty() && !self.modes.contains(mode) => {
                Err(Refusal::Unable)
            }
            Command::Profile(name)
                if !self.profiles.is_empty()
                    && self.profiles.iter().all(|(own, _)| own != name) =>
            {
                Err(Refusal::Limit(format!("this machine has no profile \"{name}\"")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others have capped every machine at 5 kW (fleet.md section 1).
    #[test]
    fn a_machine_of_more_than_five_kilowatts_takes_all_that_it_says_it_takes() {
        let watts = |w| Watts::new(w).unwrap();
        let m63s = Capabilities {
            power: Range::new(watts(3000.0), watts(7800.0)),
            ..Capabilities::of([Verb::PowerLimit])
        };
        assert_eq!(m63s.check(&Command::PowerLimit(watts(7215.0))), Ok(()));
        assert!(matches!(m63s.check(&Command::PowerLimit(watts(7801.0))), Err(Refusal::Limit(_))));
    }

    #[test]
    fn what_a_machine_cannot_do_is_refused_before_it_is_sent() {
        let mhz = |f| Megahertz::new(f).unwrap();
        let mv = |v| Millivolts::new(v).unwrap();
        let gamma = Capabilities {
            frequency: Range::new(mhz(400.0), mhz(625.0)),
            voltage: Range::new(mv(1000.0), mv(1250.0)),
            ..Capabilities::of([Verb::Clock, Verb::Pause])
        };
        let clock = |f, v| Command::Clock { frequency: mhz(f), voltage: mv(v) };
        assert_eq!(gamma.check(&clock(525.0, 1100.0)), Ok(()));
        assert!(matches!(gamma.check(&clock(700.0, 1100.0)), Err(Refusal::Limit(_))));
        assert!(matches!(gamma.check(&clock(525.0, 1300.0)), Err(Refusal::Limit(_))));
        assert_eq!(gamma.check(&Command::PowerLimit(Watts::ZERO)), Err(Refusal::Unable));
    }
}
