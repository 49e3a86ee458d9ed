//! The physical model of a board: power and hashrate as functions of clock, voltage and temperature.

use units::{Celsius, Hashrate, Megahertz, Millivolts, Watts};

/// A setting of a machine that takes clock and voltage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Chip clock.
    pub frequency: Megahertz,
    /// Core voltage.
    pub voltage: Millivolts,
}

/// What is believed of a machine before it is measured: P = a V² f + b + c V e^((T-60)/15), with V in
/// volts, f in megahertz, T in degrees Celsius of the chip, P in watts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// Switching, W/(V² MHz).
    pub switching: f64,
    /// Fixed, watts.
    pub fixed: f64,
    /// Leakage at 60 °C, W/V.
    pub leakage: f64,
    /// Relative uncertainty of each of the three, one standard deviation.
    pub uncertainty: f64,
    /// Hashes per clock: small cores times chips.
    pub hashes_per_clock: f64,
    /// Where hashes begin to be lost.
    pub cliff: Cliff,
}

/// What is believed of the error cliff before it is measured: the share of lost hashes is
/// 1/(1 + e^((V - middle)/width)). Coefficients are bare numbers in the units of their names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cliff {
    /// Voltage at which half of the hashes are lost, at 525 MHz and 60 °C.
    pub middle_mv: f64,
    /// Its rise with the clock, mV/MHz.
    pub per_mhz: f64,
    /// Its rise with the chip temperature, mV/K.
    pub per_kelvin: f64,
    /// Change of voltage that changes the odds of a loss e-fold.
    pub width_mv: f64,
}

impl Prior {
    /// Bitaxe Gamma: fitted to 7,830 samples with an error of at most 0.05 W (fleet.md section 5);
    /// 2040 small cores. The cliff is
    /// what the same table shows roughly: none lost at 525 MHz and 1060 mV, a third at 1000 mV.
    pub const GAMMA: Self = Self {
        switching: 0.02066,
        fixed: 1.22,
        leakage: 1.06,
        uncertainty: 0.05,
        hashes_per_clock: 2040.0,
        cliff: Cliff { middle_mv: 1000.0, per_mhz: 0.3, per_kelvin: 0.2, width_mv: 14.0 },
    };

    /// What is known of a model, by its name or its key in the catalogue; `None` for all that no public
    /// measurement tells of.
    pub fn of(model: &str) -> Option<Self> {
        let model = model.to_ascii_lowercase();
        let gamma = model.contains("gamma") && !model.contains("turbo") && !model.contains("duo");
        gamma.then_some(Self::GAMMA)
    }

    /// Power at this setting and chip temperature.
    pub fn power(&self, at: Point, chip: Celsius) -> Watts {
        let volts = at.voltage.volts();
        let leak = self.leakage * volts * ((chip.get() - 60.0) / 15.0).exp();
        let watts = self.switching * volts * volts * at.frequency.get() + self.fixed + leak;
        Watts::new(watts).unwrap_or(Watts::ZERO)
    }

    /// Hashrate at this clock when no hash is lost.
    pub fn rate(&self, frequency: Megahertz) -> Hashrate {
        Hashrate::from_hashes_per_second(frequency.get() * 1e6 * self.hashes_per_clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gamma_model_gives_the_measured_power_within_a_twentieth_of_a_watt() {
        for (mhz, mv, watts, chip) in [
            (525.0, 1150.0, 17.02, 62.2),
            (525.0, 1100.0, 15.44, 59.3),
            (525.0, 1060.0, 14.35, 56.8),
            (600.0, 1060.0, 16.52, 63.5),
            (600.0, 1100.0, 17.61, 62.7),
            (625.0, 1060.0, 17.42, 66.2),
            (625.0, 1100.0, 18.87, 68.1),
        ] {
            let at = Point {
                frequency: Megahertz::new(mhz).unwrap(),
                voltage: Millivolts::new(mv).unwrap(),
            };
            let got = Prior::GAMMA.power(at, Celsius::new(chip).unwrap()).get();
            assert!((got - watts).abs() <= 0.06, "{mhz} {mv}: {got:.3} W, measured {watts}");
        }
        let rate = Prior::GAMMA.rate(Megahertz::new(525.0).unwrap());
        assert!((rate.terahashes_per_second() - 1.071).abs() < 1e-3);
    }
}
