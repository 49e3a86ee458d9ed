//! The physical world around the machines: house, tank, pool, sun, battery, engine, reactor, grid and
//! the meters in between. Models are pure and stepped by time; a meter is a real Modbus server. Shares
//! no code with the control that it judges.
//!
//! Weather, clouds, prices and demand are made up, from a seed: nothing here was measured anywhere.
//!
//! ```text
//!  Weather ──▶ House, Pool, Pv ─┐
//!  Taps, Circuit ─▶ Tank        ├──▶ World ──net power──▶ Meter (Modbus TCP, SunSpec 203)
//!  Miners, Battery, Genset ─────┘
//! ```

mod battery;
mod breaker;
mod circuit;
mod dwelling;
mod frequency;
mod genset;
mod house;
mod meter;
mod miners;
mod noise;
mod pool;
mod prices;
mod pv;
mod reactor;
mod sun;
mod tank;
mod taps;
mod vtn;
mod weather;
mod world;

pub use battery::{Battery, BatterySpec};
pub use breaker::{Breaker, BreakerSpec};
pub use circuit::{Circuit, CircuitSpec};
pub use dwelling::{Dwelling, Says, Warms};
pub use frequency::{Grid, GridSpec};
pub use genset::{Engine, Genset, GensetSpec, Trip};
pub use house::{House, HouseSpec};
pub use meter::{Meter, MeterError, Shown, registers};
pub use miners::{Fault, Miners, MinersSpec};
pub use noise::Noise;
pub use pool::{Pool, PoolSpec};
pub use prices::Prices;
pub use pv::{Pv, PvSpec};
pub use reactor::{Reactor, ReactorSpec};
pub use sun::{clear_sky, cos_zenith};
pub use tank::{Tank, TankSpec};
pub use taps::Taps;
pub use vtn::{Call, Vtn, VtnLogin};
pub use weather::{Sky, Weather, WeatherSpec};
pub use world::{State, World, WorldSpec};

use std::time::Duration;
use units::{Celsius, Hertz, Watts};

/// Splits a step into equal ones of at most `longest`; returns their number and length in seconds.
fn split(dt: Duration, longest: f64) -> (u32, f64) {
    let seconds = dt.as_secs_f64();
    let parts = (seconds / longest).ceil().max(1.0);
    (parts as u32, seconds / parts)
}

/// A model's own number as power; what is below nothing is nothing.
fn watts(value: f64) -> Watts {
    Watts::new(value.max(0.0)).unwrap_or(Watts::ZERO)
}

/// A model's own number as a temperature.
fn celsius(value: f64) -> Celsius {
    Celsius::new(value).unwrap_or(Celsius::ZERO)
}

/// A model's own number as a frequency; what is below nothing stands still.
fn hertz(value: f64) -> Hertz {
    Hertz::new(value.max(0.0)).unwrap_or(Hertz::ZERO)
}
