//! The constants of each emulated kind of machine, and where they come from.

use std::time::Duration;
use units::{Celsius, Hashrate, Megahertz, Millivolts, Watts};

/// Which machine with which firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bitaxe Gamma with AxeOS 2.14.
    BitaxeGamma,
    /// Antminer S21 Pro with Braiins OS 26.04.
    BraiinsS21Pro,
    /// Whatsminer M30S++ with MicroBT's firmware, API version 2.
    WhatsminerM30Spp,
    /// Antminer S21 with Bitmain's firmware.
    AntminerS21,
    /// Antminer S19k Pro with LuxOS.
    LuxS19kPro,
    /// Avalon Q with Canaan's firmware.
    AvalonQ,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::BitaxeGamma,
        Self::BraiinsS21Pro,
        Self::WhatsminerM30Spp,
        Self::AntminerS21,
        Self::LuxS19kPro,
        Self::AvalonQ,
    ];

    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BitaxeGamma => "gamma",
            Self::BraiinsS21Pro => "braiins-s21pro",
            Self::WhatsminerM30Spp => "whatsminer-m30s++",
            Self::AntminerS21 => "antminer-s21",
            Self::LuxS19kPro => "luxos-s19kpro",
            Self::AvalonQ => "avalon-q",
        }
    }
}

/// How power follows the clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// P = a V² f + b + c V e^((T-60)/15): core voltage is set from outside.
    Chip {
        /// W/(V² MHz).
        switching: f64,
        /// Watts.
        fixed: f64,
        /// W/V at 60 °C.
        leakage: f64,
    },
    /// P = a + b f + c f² in air of 25 °C, 0.4 % more for each kelvin that the chips are warmer than
    /// there: the firmware chooses the voltage.
    Ladder {
        /// Watts.
        fixed: f64,
        /// W/MHz.
        linear: f64,
        /// W/MHz².
        square: f64,
    },
}

/// Constants of a kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// Power.
    pub load: Load,
    /// Hashes per clock of all chips.
    pub hashes_per_clock: f64,
    /// Factory setting.
    pub clock: Megahertz,
    /// Factory voltage; of no meaning under [`Load::Ladder`].
    pub voltage: Millivolts,
    /// Clocks that the firmware takes.
    pub clocks: (Megahertz, Megahertz),
    /// Voltage at which half of the hashes are lost, at `cliff_clock` and 60 °C.
    pub cliff: Millivolts,
    /// Where `cliff` holds.
    pub cliff_clock: Megahertz,
    /// Rise of the cliff with the clock, mV/MHz.
    pub cliff_per_mhz: f64,
    /// Rise of the cliff with the temperature, mV/K.
    pub cliff_per_kelvin: f64,
    /// Steepness of the cliff: e-fold of the loss, mV.
    pub cliff_width: f64,
    /// K/W from chip to air with the fan at full speed; the fan's part falls with duty^0.8.
    pub resistance: (f64, f64),
    /// J/K of chips and heat sink.
    pub capacity: f64,
    /// MHz a second while the clock moves.
    pub ramp: f64,
    /// From power or restart to the first hash.
    pub boot: Duration,
    /// Power while paused or asleep.
    pub idle: Watts,
    /// Chip temperature at which the firmware stops.
    pub trip: Celsius,
    /// Air at which the firmware stops; `None` where only the chips count.
    pub too_warm: Option<Celsius>,
}

impl Spec {
    /// Constants of a kind.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::BitaxeGamma => gamma(),
            // S21 Pro 234 TH/s 3510 W; M30S++ 112/3472; S21 200/3500; S19k Pro 115/2645 nameplate, but
            // the ladder's 121.8/2794 at 590 MHz is what its firmware says; Avalon Q 90/1650.
            Kind::BraiinsS21Pro => ladder(234.0, 3510.0, 150, 900.0),
            Kind::WhatsminerM30Spp => ladder(112.0, 3472.0, 300, 30.0),
            Kind::AntminerS21 => ladder(200.0, 3500.0, 120, 40.0),
            Kind::LuxS19kPro => ladder(121.8, 2793.3, 60, 25.0),
            Kind::AvalonQ => ladder(90.0, 1650.0, 60, 15.0),
        }
    }

    /// Hashrate at the factory's clock with no hash lost.
    pub fn nominal(&self) -> Hashrate {
        Hashrate::from_hashes_per_second(self.clock.get() * 1e6 * self.hashes_per_clock)
    }
}

/// Calibrated to 7,830 samples of one board (fleet.md section 5): power within 0.06 W. The cliff is
/// fitted to the hashrates of the same table: 525 MHz loses 30 % at 1000 mV, 600 MHz 4 % at 1060 mV,
/// 625 MHz 5 % at 1060 mV. Heat: 2.24 K/W from the chip to 25 °C air. How the cliff moves with
/// temperature, how the fan divides the resistance and the heat capacity are assumptions.
fn gamma() -> Spec {
    let mhz = |f| Megahertz::new(f).unwrap_or_default();
    let mv = |v| Millivolts::new(v).unwrap_or_default();
    Spec {
        load: Load::Chip { switching: 0.02066, fixed: 1.22, leakage: 1.06 },
        hashes_per_clock: 2040.0,
        clock: mhz(525.0),
        voltage: mv(1150.0),
        clocks: (mhz(50.0), mhz(1000.0)),
        cliff: mv(990.0),
        cliff_clock: mhz(525.0),
        cliff_per_mhz: 0.37,
        cliff_per_kelvin: 0.3,
        cliff_width: 12.0,
        resistance: (1.0, 1.24),
        capacity: 40.0,
        ramp: 62.5,
        boot: Duration::from_secs(10),
        idle: Watts::new(3.0).unwrap_or_default(),
        trip: celsius(75.0),
        too_warm: None,
    }
}

/// The measured shape of the S19k Pro's ladder (W = 200 + 2.446 f + 0.003304 f², fleet.md section 5),
/// scaled to another machine's nameplate at 590 MHz. That other machines have the same shape is an
/// assumption.
fn ladder(terahash: f64, watts: f64, boot_s: u64, idle: f64) -> Spec {
    const CLOCK: f64 = 590.0;
    let part = watts / (200.0 + 2.446 * CLOCK + 0.003304 * CLOCK * CLOCK);
    let mhz = |f| Megahertz::new(f).unwrap_or_default();
    Spec {
        load: Load::Ladder { fixed: 200.0 * part, linear: 2.446 * part, square: 0.003304 * part },
        hashes_per_clock: terahash * 1e12 / (CLOCK * 1e6),
        clock: mhz(CLOCK),
        voltage: Millivolts::default(),
        clocks: (mhz(190.0), mhz(790.0)),
        cliff: Millivolts::default(),
        cliff_clock: mhz(CLOCK),
        cliff_per_mhz: 0.0,
        cliff_per_kelvin: 0.0,
        cliff_width: 1.0,
        // 65 °C chips in 25 °C air at full power.
        resistance: (16.0 / watts, 24.0 / watts),
        capacity: 8.0 * watts,
        ramp: 10.0,
        boot: Duration::from_secs(boot_s),
        idle: Watts::new(idle).unwrap_or_default(),
        trip: celsius(95.0),
        // S21: off at 47 °C air (fleet.md section 5).
        too_warm: Some(celsius(47.0)),
    }
}

fn celsius(degrees: f64) -> Celsius {
    // Constants of this file: all are temperatures.
    Celsius::new(degrees).unwrap_or(Celsius::ZERO)
}
