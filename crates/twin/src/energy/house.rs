//! A house of two heat capacities: the room with what stands in it, and the envelope around it.
//! It knows no heater and no control.

use super::{celsius, split};
use std::time::Duration;
use units::{Celsius, HeatCapacity, HeatLoss, UnitError, Watts};

/// A house's constants.
#[derive(Debug, Clone, Copy)]
pub struct HouseSpec {
    /// Air, furniture and radiators.
    pub room: HeatCapacity,
    /// Walls, floor and roof.
    pub envelope: HeatCapacity,
    /// Between room and envelope.
    pub inner: HeatLoss,
    /// Between envelope and outdoors.
    pub outer: HeatLoss,
    /// Windows as the sun sees them, m².
    pub window_m2: f64,
}

impl HouseSpec {
    /// FlexHouse at Risø: Bacher and Madsen, "Identifying suitable models for the heat dynamics of
    /// buildings", Energy and Buildings 43 (2011), model with C_i 0.143, C_h 0.321, C_s 0.619,
    /// C_e 3.24 kWh/K, R_ie 0.909, R_ea 4.47 K/kW, A_w 6.03 m². Interior, heater and sensor, which
    /// are within minutes of each other, are one room here.
    pub fn published() -> Result<Self, UnitError> {
        Ok(Self {
            room: HeatCapacity::new(1e3 * (0.143 + 0.321 + 0.619))?,
            envelope: HeatCapacity::new(3240.0)?,
            inner: HeatLoss::from_kelvin_per_kilowatt(0.909)?,
            outer: HeatLoss::from_kelvin_per_kilowatt(4.47)?,
            window_m2: 6.03,
        })
    }
}

/// A house.
#[derive(Debug, Clone)]
pub struct House {
    spec: HouseSpec,
    room: f64,
    envelope: f64,
}

impl House {
    /// At one temperature throughout.
    pub fn new(spec: HouseSpec, at: Celsius) -> Self {
        Self { spec, room: at.get(), envelope: at.get() }
    }

    /// What the thermostat sees.
    pub fn room(&self) -> Celsius {
        celsius(self.room)
    }

    /// Its constants.
    pub fn spec(&self) -> &HouseSpec {
        &self.spec
    }

    /// Passes time under this weather (the sun in W/m²) with this much heat in the room.
    pub fn step(&mut self, dt: Duration, outdoor: Celsius, sun_w_m2: f64, heat: Watts) {
        let spec = &self.spec;
        let into_room = heat.get() + spec.window_m2 * sun_w_m2;
        let (parts, seconds) = split(dt, 60.0);
        for _ in 0..parts {
            let inward = spec.inner.get() * (self.envelope - self.room);
            let outward = spec.outer.get() * (self.envelope - outdoor.get());
            self.room += (into_room + inward) * seconds / 3600.0 / spec.room.get();
            self.envelope -= (inward + outward) * seconds / 3600.0 / spec.envelope.get();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(hours: u64, outdoor: f64, heat: f64) -> House {
        let mut house = House::new(HouseSpec::published().unwrap(), Celsius::ZERO);
        let minute = Duration::from_secs(60);
        let (outdoor, heat) = (Celsius::new(outdoor).unwrap(), Watts::new(heat).unwrap());
        for _ in 0..hours * 60 {
            house.step(minute, outdoor, 0.0, heat);
        }
        house
    }

    #[test]
    fn a_kilowatt_holds_the_published_5_38_kelvin() {
        let warm = run(400, -3.0, 1000.0).room().get();
        assert!((warm - (-3.0 + 0.909 + 4.47)).abs() < 1e-3, "{warm}");
    }

    #[test]
    fn a_heated_house_follows_the_closed_form_of_two_exponentials() {
        let spec = HouseSpec::published().unwrap();
        // d/dt (room, envelope) = A (room, envelope) + (heat / C_room, 0), outdoors at 0 °C.
        let (a, b) = (-spec.inner.get() / spec.room.get(), spec.inner.get() / spec.room.get());
        let c = spec.inner.get() / spec.envelope.get();
        let d = -(spec.inner.get() + spec.outer.get()) / spec.envelope.get();
        let root = ((a - d).powi(2) / 4.0 + b * c).sqrt();
        let (fast, slow) = ((a + d) / 2.0 - root, (a + d) / 2.0 + root);
        let end = 2.0 * (0.909 + 4.47);
        let rise = 2000.0 / spec.room.get();
        // room = end + p e^(fast t) + q e^(slow t), from 0 °C with slope `rise`.
        let q = (rise + fast * end) / (slow - fast);
        let p = -end - q;
        for hours in [1, 3, 10, 30, 100] {
            let t = hours as f64;
            let want = end + p * (fast * t).exp() + q * (slow * t).exp();
            let got = run(hours, 0.0, 2000.0).room().get();
            assert!((got - want).abs() < 0.01, "{hours} h: {got} against {want}");
        }
    }
}
