//! Electric power and energy as drawn, and what energy costs.

use crate::{Efficiency, Hashrate, UnitError, Usd, linear::linear, si};
use std::{
    fmt,
    iter::Sum,
    ops::{Add, Mul},
    str::FromStr,
    time::Duration,
};

/// Power drawn, in watts; zero or more, finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Watts(f64);

impl Watts {
    /// No power.
    pub const ZERO: Self = Self(0.0);
    /// A megawatt.
    pub const MEGA: Self = Self(1e6);

    /// Refuses NaN, infinities and negative power.
    pub fn new(watts: f64) -> Result<Self, UnitError> {
        UnitError::zero_or_more(watts, "power").map(Self)
    }

    /// The number of watts.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Kilowatts.
    pub fn kilowatts(self) -> f64 {
        self.0 / 1e3
    }

    /// Megawatts: the unit of contracts and of `_mw` fields.
    pub fn megawatts(self) -> f64 {
        self.0 / 1e6
    }

    /// The energy drawn in this time.
    pub fn over(self, time: Duration) -> WattHours {
        WattHours(self.0 * time.as_secs_f64() / 3600.0)
    }

    /// The hashrate that this power feeds at this efficiency.
    pub fn feeds(self, efficiency: Efficiency) -> Hashrate {
        Hashrate::from_hashes_per_second(self.0 / efficiency.joules_per_hash())
    }

    pub(crate) fn of(watts: f64) -> Self {
        Self(watts)
    }
}

/// Energy drawn, in watt-hours; zero or more, finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct WattHours(f64);

impl WattHours {
    /// No energy.
    pub const ZERO: Self = Self(0.0);

    /// Refuses NaN, infinities and negative energy.
    pub fn new(watt_hours: f64) -> Result<Self, UnitError> {
        UnitError::zero_or_more(watt_hours, "energy").map(Self)
    }

    /// The number of watt-hours.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Kilowatt-hours.
    pub fn kilowatt_hours(self) -> f64 {
        self.0 / 1e3
    }

    /// Megawatt-hours.
    pub fn megawatt_hours(self) -> f64 {
        self.0 / 1e6
    }

    /// The mean power over this time; `None` for no time at all.
    pub fn mean_over(self, time: Duration) -> Option<Watts> {
        (!time.is_zero()).then(|| Watts(self.0 * 3600.0 / time.as_secs_f64()))
    }

    pub(crate) fn of(watt_hours: f64) -> Self {
        Self(watt_hours)
    }
}

/// US dollars per kilowatt-hour, of electricity or of heat; finite. Negative where whoever takes
/// the energy is paid for it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct EnergyPrice(f64);

impl EnergyPrice {
    /// For nothing.
    pub const ZERO: Self = Self(0.0);

    /// Refuses NaN and infinities.
    pub fn per_kwh(usd: f64) -> Result<Self, UnitError> {
        UnitError::finite(usd, "energy price").map(Self)
    }

    /// From dollars per megawatt-hour, as wholesale markets quote; refuses NaN and infinities.
    pub fn per_mwh(usd: f64) -> Result<Self, UnitError> {
        Self::per_kwh(usd / 1e3)
    }

    /// Dollars per kilowatt-hour.
    pub fn usd_per_kwh(self) -> f64 {
        self.0
    }

    /// Dollars per megawatt-hour.
    pub fn usd_per_mwh(self) -> f64 {
        self.0 * 1e3
    }

    pub(crate) fn of(usd_per_kwh: f64) -> Self {
        Self(usd_per_kwh)
    }
}

linear!(EnergyPrice);

impl Add for Watts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sum for Watts {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        Self(iter.fold(0.0, |sum, one| sum + one.0))
    }
}

impl Add for WattHours {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sum for WattHours {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        Self(iter.fold(0.0, |sum, one| sum + one.0))
    }
}

impl Mul<EnergyPrice> for WattHours {
    type Output = Usd;
    /// What this energy costs.
    fn mul(self, price: EnergyPrice) -> Usd {
        Usd::of(self.kilowatt_hours() * price.0)
    }
}

impl fmt::Display for Watts {
    /// Three significant digits and an SI prefix: `3.50 kW`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        si::write(f, self.0, "W")
    }
}

impl fmt::Display for WattHours {
    /// Three significant digits and an SI prefix: `1.20 MWh`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        si::write(f, self.0, "Wh")
    }
}

impl fmt::Display for EnergyPrice {
    /// Four decimals: `0.0581 $/kWh`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Adding 0 makes -0 a 0.
        write!(f, "{:.4} $/kWh", (self.0 * 1e4).round() / 1e4 + 0.0)
    }
}

impl FromStr for Watts {
    type Err = UnitError;

    /// Reads `3500`, `3500 W`, `3.5 kW`, `20MW`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let watts = si::read(text, &["W", ""])
            .ok_or_else(|| UnitError::unreadable("power", text, "3.5 kW"))?;
        Self::new(watts)
    }
}

impl FromStr for WattHours {
    type Err = UnitError;

    /// Reads `500 Wh`, `1.2 MWh`, `3e6`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let watt_hours = si::read(text, &["Wh", ""])
            .ok_or_else(|| UnitError::unreadable("energy", text, "1.2 MWh"))?;
        Self::new(watt_hours)
    }
}

impl FromStr for EnergyPrice {
    type Err = UnitError;

    /// Reads `0.08`, `0.08 $/kWh`, `$0.08/kWh`, `45 $/MWh`, `$45/MWh`, `8 c/kWh`; a bare number is
    /// dollars per kilowatt-hour.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let units =
            [("$/MWh", 1e-3), ("$/kWh", 1.0), ("c/kWh", 1e-2), ("/MWh", 1e-3), ("/kWh", 1.0)];
        let trimmed = text.trim();
        let (number, scale) = units
            .iter()
            .find_map(|(unit, scale)| trimmed.strip_suffix(unit).map(|n| (n, *scale)))
            .unwrap_or((trimmed, 1.0));
        let dollars = number.trim().replacen('$', "", 1);
        si::read(&dollars, &[""])
            .map(|n| Self(n * scale))
            .filter(|p| p.0.is_finite())
            .ok_or_else(|| UnitError::unreadable("price of energy", text, "0.08 $/kWh"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_over_time_is_energy_and_back() {
        let day = Duration::from_secs(86_400);
        let energy = Watts::new(3500.0).unwrap().over(day);
        assert_eq!(energy.kilowatt_hours(), 84.0);
        assert_eq!(energy.mean_over(day).unwrap().get(), 3500.0);
        assert!(energy.mean_over(Duration::ZERO).is_none());
        let price = EnergyPrice::per_kwh(0.1).unwrap();
        assert!(((energy * price).get() - 8.4).abs() < 1e-12);
    }

    #[test]
    fn power_and_efficiency_make_hashrate_and_back() {
        let efficiency = Efficiency::new(17.5).unwrap();
        let rate = Watts::new(3500.0).unwrap().feeds(efficiency);
        assert_eq!(rate.terahashes_per_second(), 200.0);
        assert_eq!((rate * efficiency).get(), 3500.0);
    }

    #[test]
    fn power_energy_and_prices_read_back_what_they_print() {
        for (text, watts) in [("3500", 3500.0), ("3.5 kW", 3500.0), ("20MW", 20e6), (" 7 W ", 7.0)]
        {
            assert_eq!(text.parse::<Watts>().unwrap().get(), watts, "{text}");
        }
        assert_eq!(Watts::new(3500.0).unwrap().to_string(), "3.50 kW");
        assert_eq!("1.2 MWh".parse::<WattHours>().unwrap().to_string(), "1.20 MWh");
        for (text, usd) in [
            ("0.08", 0.08),
            ("0.08 $/kWh", 0.08),
            ("$0.08/kWh", 0.08),
            ("45 $/MWh", 0.045),
            ("$45/MWh", 0.045),
            ("-5 $/MWh", -0.005),
            ("8 c/kWh", 0.08),
        ] {
            let price: EnergyPrice = text.parse().unwrap();
            assert!((price.usd_per_kwh() - usd).abs() < 1e-15, "{text}");
        }
        assert_eq!(EnergyPrice(0.058_14).to_string(), "0.0581 $/kWh");
        assert_eq!(EnergyPrice(-0.000_01).to_string(), "0.0000 $/kWh");
    }

    #[test]
    fn what_is_no_power_energy_or_price_is_refused() {
        for bad in ["", "much", "-1", "NaN", "inf", "1e999", "3 V"] {
            assert!(bad.parse::<Watts>().is_err(), "{bad}");
            assert!(bad.parse::<WattHours>().is_err(), "{bad}");
        }
        for bad in ["", "cheap", "NaN", "inf", "0.08 €/kWh", "$$3"] {
            assert!(bad.parse::<EnergyPrice>().is_err(), "{bad}");
        }
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(Watts::new(bad).is_err() && WattHours::new(bad).is_err(), "{bad}");
        }
        assert!(EnergyPrice::per_kwh(f64::NAN).is_err());
        let said = "-1 kW".parse::<Watts>().unwrap_err().to_string();
        assert_eq!(said, "power must be zero or a positive finite number");
    }
}
