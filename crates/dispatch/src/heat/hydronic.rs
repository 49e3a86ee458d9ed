//! How warm the water of a heating system must be for the weather. It knows no heater but the limits
//! of its fluid.

use units::Celsius;

/// A heating curve of radiators or a floor.
#[derive(Debug, Clone, Copy)]
pub struct HeatingCurve {
    /// Coldest day that the system is laid out for.
    pub design_outdoor: Celsius,
    /// Mean water temperature on that day.
    pub design_supply: Celsius,
    /// Heat given rises with this power of what the water is above the room: 1.3 for radiators, 1.1
    /// for floors (EN 442-2, EN 1264-2).
    pub exponent: f64,
    /// Coldest and hottest that the machines' fluid may be.
    pub fluid: (Celsius, Celsius),
}

impl HeatingCurve {
    /// Water temperature that keeps the room at `room` in this weather, within the fluid's limits.
    pub fn supply(&self, room: Celsius, outdoor: Celsius) -> Celsius {
        let design_load = room.get() - self.design_outdoor.get();
        let load = ((room.get() - outdoor.get()) / design_load.max(1.0)).max(0.0);
        let excess =
            (self.design_supply.get() - room.get()).max(0.0) * load.powf(1.0 / self.exponent);
        let wanted = (room.get() + excess).max(self.fluid.0.get()).min(self.fluid.1.get());
        Celsius::new(wanted).unwrap_or(self.fluid.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supply_follows_the_weather_as_radiators_of_en_442_need_it() {
        let c = |value| Celsius::new(value).unwrap();
        let curve = HeatingCurve {
            design_outdoor: c(-10.0),
            design_supply: c(60.0),
            exponent: 1.3,
            fluid: (c(45.0), c(65.0)),
        };
        // Half of the load needs 0.5^(1/1.3) = 58.7 % of the 40 K that the water is above the room.
        for (outdoor, want) in
            [(-10.0, 60.0), (5.0, 45.0), (0.0, 49.3), (-30.0, 65.0), (30.0, 45.0)]
        {
            let got = curve.supply(c(20.0), c(outdoor)).get();
            assert!((got - want).abs() < 0.1, "{outdoor}: {got}");
        }
        let unlimited = HeatingCurve { fluid: (c(20.0), c(90.0)), ..curve };
        let half = unlimited.supply(c(20.0), c(5.0)).get();
        assert!((half - (20.0 + 40.0 * 0.587)).abs() < 0.05, "{half}");
    }
}
