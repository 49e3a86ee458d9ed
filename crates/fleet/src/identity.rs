//! Who a machine is, whatever address it has today.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A hardware address. All zeros, all ones and multicast addresses name nobody and are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress([u8; 6]);

/// Why a text is no hardware address of a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not the hardware address of a machine; write it like 02:8f:77:ec:e7:e0")]
pub struct BadMac(String);

impl MacAddress {
    /// Refuses addresses that no machine has to itself.
    pub fn new(bytes: [u8; 6]) -> Option<Self> {
        let nobody = bytes == [0; 6] || bytes[0] & 1 == 1;
        (!nobody).then_some(Self(bytes))
    }

    /// The six bytes.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for MacAddress {
    /// Small letters and colons: `02:8f:77:ec:e7:e0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = BadMac;

    /// Reads `02:8F:77:EC:E7:E0`, `02-8f-77-ec-e7-e0` and `028f77ece7e0`, as firmware writes them.
    fn from_str(text: &str) -> Result<Self, BadMac> {
        let bad = || BadMac(text.chars().take(40).collect());
        let digits: String =
            text.trim().chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
        if digits.len() != 12 || !digits.is_ascii() {
            return Err(bad());
        }
        let mut bytes = [0; 6];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).map_err(|_| bad())?;
        }
        Self::new(bytes).ok_or_else(bad)
    }
}

/// The name under which everything known of a machine is kept. Survives a change of address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceId {
    /// By its network card.
    Mac(MacAddress),
    /// By the maker's number, where no card is told.
    Serial(String),
    /// By its full Stratum name: a machine that can be reached in no other way.
    Worker(String),
    /// By the name that the configuration gives it: a switched outlet and what hangs on it.
    Named(String),
}

impl fmt::Display for DeviceId {
    /// `mac:02:8f:…`, `sn:…`, `worker:…`, `name:…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => write!(f, "mac:{mac}"),
            Self::Serial(serial) => write!(f, "sn:{serial}"),
            Self::Worker(name) => write!(f, "worker:{name}"),
            Self::Named(name) => write!(f, "name:{name}"),
        }
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> Self {
        id.to_string()
    }
}

/// A text that names no machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no machine's id; write mac:…, sn:…, worker:… or name:…")]
pub struct BadId(String);

impl TryFrom<String> for DeviceId {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl FromStr for DeviceId {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId(text.chars().take(80).collect());
        let (kind, rest) = text.split_once(':').ok_or_else(bad)?;
        if rest.is_empty() {
            return Err(bad());
        }
        match kind {
            "mac" => rest.parse().map(Self::Mac).map_err(|_| bad()),
            "sn" => Ok(Self::Serial(rest.into())),
            "worker" => Ok(Self::Worker(rest.into())),
            "name" => Ok(Self::Named(rest.into())),
            _ => Err(bad()),
        }
    }
}

/// What runs on a machine's control board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firmware {
    /// ESP-Miner of Bitaxe.
    AxeOs,
    /// ESP-Miner's kin of NerdAxe boards.
    NerdAxe,
    /// Braiins OS.
    BraiinsOs,
    /// LuxOS.
    LuxOs,
    /// VNish.
    Vnish,
    /// Bitmain's own.
    AntminerStock,
    /// MicroBT's own, API version 2.
    WhatsminerV2,
    /// MicroBT's own, API version 3.
    WhatsminerV3,
    /// Canaan's own, home units and others.
    Avalon,
    /// A plug, relay or contactor that feeds a machine.
    Switch,
    /// Speaks only Stratum to us.
    None,
    /// Answered, but is none of these.
    Other,
}

impl Firmware {
    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AxeOs => "AxeOS",
            Self::NerdAxe => "NerdAxe",
            Self::BraiinsOs => "Braiins OS",
            Self::LuxOs => "LuxOS",
            Self::Vnish => "VNish",
            Self::AntminerStock => "Antminer stock",
            Self::WhatsminerV2 => "Whatsminer v2",
            Self::WhatsminerV3 => "Whatsminer v3",
            Self::Avalon => "Avalon",
            Self::Switch => "switched outlet",
            Self::None => "Stratum only",
            Self::Other => "unknown firmware",
        }
    }
}

/// What a machine says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its network card, where it tells.
    pub mac: Option<MacAddress>,
    /// The maker's number, where it tells; never empty.
    pub serial: Option<String>,
    /// What runs on it.
    pub firmware: Firmware,
    /// Version of that.
    pub version: Option<String>,
    /// The model as the firmware writes it; [`catalogue`] knows which machine that is.
    pub model: Option<String>,
    /// Its name in the network.
    pub hostname: Option<String>,
}

impl Identity {
    /// Nothing known but the firmware.
    pub fn of(firmware: Firmware) -> Self {
        Self { mac: None, serial: None, firmware, version: None, model: None, hostname: None }
    }

    /// The steadiest name: the network card before the maker's number, which many firmwares leave at a
    /// placeholder. `None` for a machine that tells neither.
    pub fn id(&self) -> Option<DeviceId> {
        let serial = || self.serial.clone().filter(|serial| is_serial(serial));
        self.mac.map(DeviceId::Mac).or_else(|| serial().map(DeviceId::Serial))
    }
}

/// Placeholders that whole batches share.
fn is_serial(text: &str) -> bool {
    let real = text.chars().filter(char::is_ascii_alphanumeric).count() >= 6;
    real && text.chars().any(|c| c != '0' && c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_reads_as_every_firmware_writes_it() {
        for text in
            ["02:8f:77:ec:e7:e0", "02-8F-77-EC-E7-E0", "028f77ece7e0", " 02:8F:77:ec:E7:E0 "]
        {
            assert_eq!(text.parse::<MacAddress>().unwrap().to_string(), "02:8f:77:ec:e7:e0");
        }
        for bad in
            ["", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "02:55:97:22:3M:72"]
        {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_survives_being_written_down() {
        for text in
            ["mac:02:8f:77:ec:e7:e0", "sn:JYZZB0UBDJABF06RB", "worker:bc1q.heater", "name:garage"]
        {
            assert_eq!(text.parse::<DeviceId>().unwrap().to_string(), text);
        }
        assert!("mac:none".parse::<DeviceId>().is_err() && "serial".parse::<DeviceId>().is_err());
    }

    #[test]
    fn a_placeholder_for_a_serial_number_identifies_nobody() {
        let with = |serial: &str| Identity {
            serial: Some(serial.into()),
            ..Identity::of(Firmware::LuxOs)
        };
        assert_eq!(with("0000000000").id(), None);
        assert_eq!(with("N/A").id(), None);
        assert!(with("JYZZB0UBDJABF06RB").id().is_some());
    }
}
