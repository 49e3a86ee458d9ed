//! An outdoor pool: well mixed, losing most of its heat by evaporation. It knows no set-point.

use super::{celsius, split};
use std::time::Duration;
use units::{Celsius, HeatCapacity, UnitError, Watts};

/// A pool's constants.
#[derive(Debug, Clone, Copy)]
pub struct PoolSpec {
    /// Water.
    pub water: HeatCapacity,
    /// Surface, m².
    pub surface_m2: f64,
    /// Wind over the surface, m/s.
    pub wind_m_s: f64,
    /// Relative humidity of the air, 0 to 1.
    pub humidity: f64,
    /// Part of evaporation and convection that a cover lets through.
    pub cover_lets_through: f64,
    /// Part of the sun on the surface that stays in the water.
    pub absorbed: f64,
}

impl PoolSpec {
    /// A garden's pool of 8 m × 4 m × 1.4 m; made up.
    pub fn garden() -> Result<Self, UnitError> {
        Ok(Self {
            water: HeatCapacity::of_water(44_800.0)?,
            surface_m2: 32.0,
            wind_m_s: 1.0,
            humidity: 0.6,
            cover_lets_through: 0.2,
            absorbed: 0.7,
        })
    }
}

/// A pool.
#[derive(Debug, Clone)]
pub struct Pool {
    spec: PoolSpec,
    water: f64,
}

impl Pool {
    /// At this temperature.
    pub fn new(spec: PoolSpec, at: Celsius) -> Self {
        Self { spec, water: at.get() }
    }

    /// The water.
    pub fn water(&self) -> Celsius {
        celsius(self.water)
    }

    /// Passes time under this air and sun (W/m²) with this much heat.
    pub fn step(&mut self, dt: Duration, air: Celsius, sun_w_m2: f64, covered: bool, heat: Watts) {
        let (parts, seconds) = split(dt, 600.0);
        for _ in 0..parts {
            let gain = heat.get() + self.spec.absorbed * sun_w_m2 * self.spec.surface_m2;
            let net = gain - self.loss_w(air, covered);
            self.water += net * seconds / 3600.0 / self.spec.water.get();
        }
    }

    /// Evaporation, convection and radiation, watts.
    fn loss_w(&self, air: Celsius, covered: bool) -> f64 {
        let spec = &self.spec;
        let through = if covered { spec.cover_lets_through } else { 1.0 };
        let evaporated = evaporation_kg_s_m2(self.water, air.get(), spec.humidity, spec.wind_m_s);
        let evaporation = evaporated * latent_kj_kg(self.water) * 1e3;
        // ASHRAE Handbook, HVAC Applications: film of 3.1 + 4.1 v W/m²K; 5.5 W/m²K is the radiation
        // of water at 28 °C to surroundings at the air's temperature (4 ε σ T³, ε = 0.9).
        let kelvin = self.water - air.get();
        let convection = (3.1 + 4.1 * spec.wind_m_s) * kelvin;
        spec.surface_m2 * (through * (evaporation + convection) + 5.5 * kelvin)
    }
}

/// ASHRAE Handbook, HVAC Applications, natatoriums: (p_w - p_a) (0.089 + 0.0782 v) / Y, pressures in
/// kPa, v in m/s, Y in kJ/kg. Condensation is left out.
fn evaporation_kg_s_m2(water: f64, air: f64, humidity: f64, wind_m_s: f64) -> f64 {
    let pressure = saturation_kpa(water) - humidity * saturation_kpa(air);
    pressure.max(0.0) * (0.089 + 0.0782 * wind_m_s) / latent_kj_kg(water)
}

/// Pressure of saturated vapour: Magnus formula with the constants of Alduchov and Eskridge (1996).
fn saturation_kpa(celsius: f64) -> f64 {
    0.61094 * (17.625 * celsius / (celsius + 243.04)).exp()
}

/// Heat of evaporation of water, linear between the steam tables' 2,501 at 0 °C and 2,406 at 40 °C.
fn latent_kj_kg(celsius: f64) -> f64 {
    2501.0 - 2.375 * celsius
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saturated_vapour_has_the_pressure_of_the_steam_tables() {
        for (celsius, kpa) in [(10.0, 1.228), (20.0, 2.339), (27.0, 3.567), (30.0, 4.247)] {
            let got = saturation_kpa(celsius);
            assert!((got / kpa - 1.0).abs() < 0.005, "{celsius}: {got}");
        }
    }

    #[test]
    fn still_water_evaporates_as_the_simplified_ashrae_formula_says() {
        // 4e-5 (p_w - p_a) kg/s m² at about 0.1 m/s.
        let difference = saturation_kpa(27.0) - 0.5 * saturation_kpa(28.0);
        let got = evaporation_kg_s_m2(27.0, 28.0, 0.5, 0.1);
        assert!((got / (4e-5 * difference) - 1.0).abs() < 0.02, "{got}");
    }

    #[test]
    fn a_covered_pool_cools_slower_and_a_heated_one_by_heat_over_capacity() {
        let spec = PoolSpec::garden().unwrap();
        let warm = Celsius::new(28.0).unwrap();
        let night = |covered, heat| {
            let mut pool = Pool::new(spec, warm);
            let air = Celsius::new(14.0).unwrap();
            let heat = Watts::new(heat).unwrap();
            pool.step(Duration::from_secs(10 * 3600), air, 0.0, covered, heat);
            pool.water().get()
        };
        let (open, covered) = (28.0 - night(false, 0.0), 28.0 - night(true, 0.0));
        assert!(open > 2.0 * covered && covered > 0.3, "{open} {covered}");
        let gained = night(true, 5210.0) - night(true, 0.0);
        // 5.21 kW for 10 h in 52.1 kWh/K are a kelvin, less what the warmer water loses.
        assert!((0.9..1.0).contains(&gained), "{gained}");
    }
}
