//! One machine as its nameplate describes it.

use std::{fmt, time::Duration};
use units::{Efficiency, Hashrate, Usd, Watts};

/// A machine. What is not known is `None`, never zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Who makes it.
    pub maker: String,
    /// The model, with its family: `Antminer S21`.
    pub model: String,
    /// What carries its heat away.
    pub cooling: Cooling,
    /// Nameplate hashrate.
    pub hashrate: Hashrate,
    /// Nameplate power at the wall.
    pub power: Option<Watts>,
    /// Nameplate efficiency; agrees with power and hashrate within its last digit.
    pub efficiency: Option<Efficiency>,
    /// List price.
    pub price: Option<Price>,
    /// Largest coinbase transaction that the stock firmware takes, bytes.
    pub coinbase_limit_bytes: Option<u32>,
    /// From full power to none.
    pub ramp_down: Option<Duration>,
    /// From none to full power.
    pub ramp_up: Option<Duration>,
    /// Loudness, dB.
    pub noise_db: Option<f64>,
    /// What the figures leave unsaid; may be empty.
    pub note: String,
}

/// What a machine was sold for.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// Dollars.
    pub usd: Usd,
    /// Year, or year and month.
    pub date: String,
}

/// What carries the heat away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cooling {
    /// Fans.
    Air,
    /// Water through plates on the boards.
    Hydro,
    /// The whole machine in a fluid.
    Immersion,
}

impl Machine {
    /// Dollars per TH/s.
    pub fn price_per_terahash(&self) -> Option<Usd> {
        let price = self.price.as_ref()?.usd;
        Some(price / self.hashrate.terahashes_per_second())
    }

    /// Dollars per kilowatt of power drawn.
    pub fn price_per_kilowatt(&self) -> Option<Usd> {
        let price = self.price.as_ref()?.usd;
        Some(price / self.power?.kilowatts())
    }
}

impl Cooling {
    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Air => "air",
            Self::Hydro => "hydro",
            Self::Immersion => "immersion",
        }
    }
}

impl fmt::Display for Cooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
