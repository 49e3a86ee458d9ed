//! The hard envelope of a machine. Limits win over every wish and need no network to act.

use crate::{identity::Firmware, readings::Readings};
use std::fmt;
use units::{Celsius, Millivolts, Watts};

/// What must hold at every moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Hottest chip.
    pub chip: Celsius,
    /// Hottest regulator; `None` where nothing measures it.
    pub regulator: Option<Celsius>,
    /// Warmest inlet.
    pub inlet: Option<Celsius>,
    /// Warmest outlet.
    pub outlet: Option<Celsius>,
    /// Lowest input voltage under load: a weak supply sags before it fails.
    pub input_low: Option<Millivolts>,
    /// Highest input voltage.
    pub input_high: Option<Millivolts>,
    /// Most power, of the supply or the breaker it hangs on alone.
    pub power: Option<Watts>,
}

/// A limit that does not hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Breach {
    /// A chip is too hot.
    Chip(Celsius),
    /// A regulator is too hot.
    Regulator(Celsius),
    /// The inlet is too warm.
    Inlet(Celsius),
    /// The outlet is too warm.
    Outlet(Celsius),
    /// The input voltage is outside its range.
    Input(Millivolts),
    /// More power than allowed.
    Power(Watts),
}

impl Limits {
    /// Those that hold where the owner has said nothing. AxeOS trips above 75 °C of its chips and 105 °C
    /// of its regulator (fleet.md section 3A), and hearth no earlier. For all others 95 °C of the
    /// chips, an assumption: large machines run at 70 to 85 °C and their own firmware stops them first.
    pub fn usual(firmware: Firmware) -> Self {
        let celsius = |degrees| Celsius::new(degrees).unwrap_or(Celsius::ZERO);
        let (chip, regulator) = match firmware {
            Firmware::AxeOs | Firmware::NerdAxe => (celsius(75.0), Some(celsius(105.0))),
            _ => (celsius(95.0), None),
        };
        let (inlet, outlet, input_low, input_high, power) = (None, None, None, None, None);
        Self { chip, regulator, inlet, outlet, input_low, input_high, power }
    }

    /// Every limit that these readings break. What is not told breaks none; who needs a reading to
    /// be safe must ask for it itself.
    pub fn breaches(&self, told: &Readings) -> Vec<Breach> {
        fn above<T: PartialOrd + Copy>(
            value: Option<T>,
            limit: Option<T>,
            breach: impl Fn(T) -> Breach,
        ) -> Option<Breach> {
            value.zip(limit).and_then(|(value, limit)| (value > limit).then(|| breach(value)))
        }
        let low = told
            .input
            .zip(self.input_low)
            .and_then(|(value, limit)| (value < limit).then_some(Breach::Input(value)));
        [
            above(told.chip, Some(self.chip), Breach::Chip),
            above(told.regulator, self.regulator, Breach::Regulator),
            above(told.inlet, self.inlet, Breach::Inlet),
            above(told.outlet, self.outlet, Breach::Outlet),
            above(told.input, self.input_high, Breach::Input),
            low,
            above(told.power, self.power, Breach::Power),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chip(t) => write!(f, "a chip is at {t}"),
            Self::Regulator(t) => write!(f, "a regulator is at {t}"),
            Self::Inlet(t) => write!(f, "the inlet is at {t}"),
            Self::Outlet(t) => write!(f, "the outlet is at {t}"),
            Self::Input(v) => write!(f, "the input voltage is {v}"),
            Self::Power(p) => write!(f, "the machine draws {p}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_seen_by_itself_and_what_is_not_told_breaks_none() {
        let c = |t| Celsius::new(t).unwrap();
        let limits = Limits {
            chip: c(70.0),
            regulator: Some(c(90.0)),
            inlet: None,
            outlet: None,
            input_low: Millivolts::new(4800.0).ok(),
            input_high: Millivolts::new(5500.0).ok(),
            power: Watts::new(25.0).ok(),
        };
        assert!(limits.breaches(&Readings::default()).is_empty());
        let told = Readings {
            chip: Some(c(71.0)),
            regulator: Some(c(80.0)),
            input: Millivolts::new(4700.0).ok(),
            power: Watts::new(26.0).ok(),
            ..Readings::default()
        };
        let found = limits.breaches(&told);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0].to_string(), "a chip is at 71.0 °C");
    }
}
