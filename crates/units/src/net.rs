//! Power and energy that may flow either way, at a connection point or a battery.

use crate::{UnitError, WattHours, Watts, linear::linear, si};
use std::{fmt, str::FromStr};

/// Power across a connection point, in watts; positive flows into the site, negative out of it; finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct NetWatts(f64);

impl NetWatts {
    /// Nothing flows.
    pub const ZERO: Self = Self(0.0);

    /// Refuses NaN and infinities.
    pub fn new(watts: f64) -> Result<Self, UnitError> {
        UnitError::finite(watts, "net power").map(Self)
    }

    /// The number of watts; negative flows out of the site.
    pub fn get(self) -> f64 {
        self.0
    }

    /// What flows into the site; none if power flows out.
    pub fn import(self) -> Watts {
        Watts::of(self.0.max(0.0))
    }

    /// What flows out of the site; none if power flows in.
    pub fn export(self) -> Watts {
        Watts::of((-self.0).max(0.0))
    }
}

linear!(NetWatts);

/// Energy either way, in watt-hours: positive flowed in, or was given up as promised; finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct NetWattHours(f64);

impl NetWattHours {
    /// Nothing flowed.
    pub const ZERO: Self = Self(0.0);

    /// Refuses NaN and infinities.
    pub fn new(watt_hours: f64) -> Result<Self, UnitError> {
        UnitError::finite(watt_hours, "net energy").map(Self)
    }

    /// The number of watt-hours, with its sign.
    pub fn get(self) -> f64 {
        self.0
    }

    /// What is above zero; none if it is below.
    pub fn above_zero(self) -> WattHours {
        WattHours::of(self.0.max(0.0))
    }
}

linear!(NetWattHours);

impl From<WattHours> for NetWattHours {
    /// Energy drawn flowed in.
    fn from(drawn: WattHours) -> Self {
        Self(drawn.get())
    }
}

impl fmt::Display for NetWattHours {
    /// Three significant digits and an SI prefix: `-3.50 kWh`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0.0 {
            write!(f, "-")?;
        }
        si::write(f, self.0.abs(), "Wh")
    }
}

impl From<Watts> for NetWatts {
    /// Power drawn flows in.
    fn from(drawn: Watts) -> Self {
        Self(drawn.get())
    }
}

impl fmt::Display for NetWatts {
    /// Three significant digits and an SI prefix: `-3.50 kW`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0.0 {
            write!(f, "-")?;
        }
        si::write(f, self.0.abs(), "W")
    }
}

impl FromStr for NetWatts {
    type Err = UnitError;

    /// Reads `-3500`, `-3.5 kW`, `20MW`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let watts = si::read(text, &["W", ""])
            .ok_or_else(|| UnitError::unreadable("net power", text, "-3.5 kW"))?;
        Self::new(watts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn net_power_is_import_or_export_and_never_both() {
        for (net, import, export) in [(5.0, 5.0, 0.0), (-5.0, 0.0, 5.0), (0.0, 0.0, 0.0)] {
            let net = NetWatts::new(net).unwrap();
            assert_eq!((net.import().get(), net.export().get()), (import, export));
        }
        assert!(NetWatts::new(f64::NAN).is_err());
    }

    #[test]
    fn net_energy_keeps_its_sign() {
        let (drawn, given) = (WattHours::new(3500.0).unwrap(), WattHours::new(7000.0).unwrap());
        let net = NetWattHours::from(drawn) - given.into();
        assert_eq!((net.to_string().as_str(), net.above_zero()), ("-3.50 kWh", WattHours::ZERO));
        assert_eq!((-net).above_zero(), drawn);
        assert!(NetWattHours::new(f64::NAN).is_err());
    }

    #[test]
    fn net_power_reads_back_what_it_prints() {
        for (text, watts) in [("-3500", -3500.0), ("-3.5 kW", -3500.0), ("20MW", 20e6)] {
            let net: NetWatts = text.parse().unwrap();
            assert_eq!(net.get(), watts, "{text}");
            assert_eq!(net.to_string().parse::<NetWatts>().unwrap(), net, "{text}");
        }
        assert!("much".parse::<NetWatts>().is_err());
    }
}
