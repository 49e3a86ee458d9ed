//! Solar panels and their inverter. They know no clouds: irradiance is given.

use super::watts;
use units::{Celsius, Watts};

/// A plant's constants.
#[derive(Debug, Clone, Copy)]
pub struct PvSpec {
    /// Panels at 1,000 W/m² and cells of 25 °C.
    pub peak: Watts,
    /// The most that the inverter lets out.
    pub inverter: Watts,
    /// Change of power with a kelvin of cell temperature, about -0.0035 for silicon.
    pub per_kelvin: f64,
    /// Cells at 800 W/m² in air of 20 °C (NOCT), °C; data sheets say 43 to 47.
    pub noct: f64,
}

/// Solar panels.
#[derive(Debug, Clone, Copy)]
pub struct Pv(pub PvSpec);

impl Pv {
    /// Ten kilowatts of common panels behind eight of inverter; made up.
    pub fn roof() -> Self {
        Self(PvSpec { peak: watts(10e3), inverter: watts(8e3), per_kelvin: -0.0035, noct: 45.0 })
    }

    /// Power out under this sun (W/m² on the panels) and air.
    pub fn power(&self, sun_w_m2: f64, air: Celsius) -> Watts {
        let cell = air.get() + (self.0.noct - 20.0) / 800.0 * sun_w_m2;
        let derated = 1.0 + self.0.per_kelvin * (cell - 25.0);
        let panels = self.0.peak.get() * sun_w_m2 / 1000.0 * derated;
        watts(panels.min(self.0.inverter.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_give_their_peak_at_standard_conditions_and_less_when_hot() {
        let pv = Pv(PvSpec { inverter: watts(20e3), ..Pv::roof().0 });
        // Air that holds the cells at 25 °C under 1,000 W/m².
        let standard = Celsius::new(25.0 - 31.25).unwrap();
        assert!((pv.power(1000.0, standard).get() - 10e3).abs() < 1e-6);
        // NOCT: 800 W/m², 20 °C, cells at 45 °C.
        let nominal = pv.power(800.0, Celsius::new(20.0).unwrap()).get();
        assert!((nominal - 8e3 * (1.0 - 0.0035 * 20.0)).abs() < 1e-6, "{nominal}");
        assert_eq!(pv.power(0.0, Celsius::ZERO), Watts::ZERO);
    }

    #[test]
    fn the_inverter_clips_a_cold_bright_day() {
        let cold = Celsius::new(-10.0).unwrap();
        assert_eq!(Pv::roof().power(1000.0, cold), watts(8e3));
    }
}
