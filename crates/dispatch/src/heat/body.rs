//! What is heated, as a plan sees it. It knows no heater and no weather.

use std::time::Duration;
use units::{HeatCapacity, HeatLoss};

/// A room, tank or pool as the plan sees it: C dT/dt = UA (ambient - T) + heat + gains. What a sensor
/// shows may be above T while it is heated.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    /// C.
    pub capacity: HeatCapacity,
    /// UA.
    pub loss: HeatLoss,
    /// What follows the heat sooner than all of it; `None` for what is well mixed.
    pub front: Option<Front>,
}

/// A room's air and furniture before its walls: its temperature is above the mean by what the heat
/// drives through the surface between, and follows the heat with a lag.
#[derive(Debug, Clone, Copy)]
pub struct Front {
    /// Heat that keeps it a kelvin above the mean of the body.
    pub surface: HeatLoss,
    /// In which 63 % of that comes and goes.
    pub lag: Duration,
}

impl Body {
    /// One temperature throughout.
    pub fn mixed(capacity: HeatCapacity, loss: HeatLoss) -> Self {
        Self { capacity, loss, front: None }
    }

    /// With a front, which loses as much in the end as the whole did: the loss is now that of the mean,
    /// which is nearer to what is around. A surface that lets through no more than that loss is none.
    pub fn with_front(self, front: Front) -> Self {
        let kelvin_per_watt = 1.0 / self.loss.get() - 1.0 / front.surface.get();
        match HeatLoss::new(1.0 / kelvin_per_watt) {
            Ok(loss) if kelvin_per_watt > 0.0 => Self { loss, front: Some(front), ..self },
            _ => self,
        }
    }

    /// The same with this part of its heat capacity.
    pub(super) fn of_capacity(self, part: f64) -> Self {
        let capacity = HeatCapacity::new(part * self.capacity.get()).unwrap_or(self.capacity);
        Self { capacity, ..self }
    }

    /// What its mean (°C) and what its front is above that (K) become within these hours, with this heat,
    /// W, in what is so warm around, °C.
    pub(super) fn after(
        &self,
        (mean, front): (f64, f64),
        heat: f64,
        ambient: f64,
        hours: f64,
    ) -> (f64, f64) {
        let loss = self.loss.get();
        let keep = (-hours * loss / self.capacity.get()).exp();
        let mean = ambient + (mean - ambient) * keep + heat * (1.0 - keep) / loss;
        let front = self.front.map_or(0.0, |part| {
            let lag = (part.lag.as_secs_f64() / 3600.0).max(1e-3);
            let lags = (-hours / lag).exp();
            front * lags + heat * (1.0 - lags) / part.surface.get()
        });
        (mean, front)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_leaves_the_heat_that_a_kelvin_takes_as_it_was() {
        let capacity = HeatCapacity::new(4300.0).unwrap();
        let mixed = Body::mixed(capacity, HeatLoss::from_kelvin_per_kilowatt(5.0).unwrap());
        let front = |surface| Front {
            surface: HeatLoss::new(surface).unwrap(),
            lag: Duration::from_secs(2700),
        };
        let body = mixed.with_front(front(2000.0));
        assert!((1e3 / body.loss.get() - 4.5).abs() < 1e-9, "{body:?}");
        assert!(body.front.is_some());
        assert!(mixed.with_front(front(200.0)).front.is_none());
    }
}
