//! Quantities of a scenario: numbers whose unit is in the name of their key, refused where they make
//! no sense. The parser adds the line and the key.

use serde::{Deserialize, Deserializer, de::Error};
use std::time::Duration;
use units::{
    Celsius, EnergyPrice, HashPrice, Hashrate, NetWatts, Ratio, UnitError, Usd, WattHours, Watts,
};

/// A type whose values are made from a number.
pub trait Quantity: Sized + Copy {
    /// Refuses a number that is none of these.
    fn make(number: f64) -> Result<Self, String>;
}

/// One value under a key.
#[derive(Debug, Clone, Copy)]
pub struct Of<T>(pub T);

impl<'de, T: Quantity> Deserialize<'de> for Of<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::make(f64::deserialize(from)?).map(Self).map_err(D::Error::custom)
    }
}

impl<T: Quantity + Default> Default for Of<T> {
    fn default() -> Self {
        Self(T::default())
    }
}

macro_rules! quantities {
    ($($name:ty: $make:expr;)*) => {$(
        impl Quantity for $name {
            fn make(number: f64) -> Result<Self, String> {
                let make: fn(f64) -> Result<Self, UnitError> = $make;
                make(number).map_err(|e| e.to_string())
            }
        }
    )*};
}

quantities! {
    Watts: |kw| Self::new(kw * 1e3);
    NetWatts: |kw| Self::new(kw * 1e3);
    WattHours: |kwh| Self::new(kwh * 1e3);
    EnergyPrice: Self::per_kwh;
    HashPrice: Self::new;
    Celsius: Self::new;
    Ratio: Self::new;
    Usd: Self::new;
}

impl Quantity for Hashrate {
    fn make(ths: f64) -> Result<Self, String> {
        let fits = ths.is_finite() && ths >= 0.0;
        fits.then(|| Self::from_hashes_per_second(ths * 1e12))
            .ok_or("a hashrate is zero or a positive finite number".into())
    }
}

/// In minutes.
impl Quantity for Duration {
    fn make(minutes: f64) -> Result<Self, String> {
        // A year, so that no sum of times overflows.
        let fits = (0.0..=525_600.0).contains(&minutes);
        fits.then(|| Self::from_secs_f64(minutes * 60.0))
            .ok_or("a time is zero or more minutes, up to a year".into())
    }
}

impl Quantity for u32 {
    fn make(number: f64) -> Result<Self, String> {
        let fits = number.fract() == 0.0 && (0.0..=1e6).contains(&number);
        fits.then_some(number as Self).ok_or("a count is a whole number up to a million".into())
    }
}

impl Quantity for bool {
    fn make(number: f64) -> Result<Self, String> {
        match number {
            0.0 => Ok(false),
            1.0 => Ok(true),
            _ => Err("give 1 where it applies and 0 where not".into()),
        }
    }
}
