//! A battery and its converter. It knows no plan.

use std::time::Duration;
use units::{NetWatts, Ratio, WattHours, Watts};

/// A battery's constants.
#[derive(Debug, Clone, Copy)]
pub struct BatterySpec {
    /// What can be taken out of the full battery, at the terminals of its cells.
    pub capacity: WattHours,
    /// The most that flows either way.
    pub power: Watts,
    /// Part of what is put in that comes out again.
    pub round_trip: Ratio,
}

impl BatterySpec {
    /// 13.5 kWh, 5 kW, 90 % round trip: the data sheet of Tesla's Powerwall 2.
    pub fn home() -> Self {
        Self {
            capacity: WattHours::new(13_500.0).unwrap_or(WattHours::ZERO),
            power: super::watts(5e3),
            round_trip: Ratio::new(0.9).unwrap_or(Ratio::ALL),
        }
    }
}

/// A battery.
#[derive(Debug, Clone)]
pub struct Battery {
    spec: BatterySpec,
    /// Wh.
    stored: f64,
}

impl Battery {
    /// Charged so far.
    pub fn new(spec: BatterySpec, charge: Ratio) -> Self {
        Self { spec, stored: spec.capacity.get() * charge.get() }
    }

    /// State of charge.
    pub fn charge(&self) -> Ratio {
        Ratio::new((self.stored / self.spec.capacity.get()).clamp(0.0, 1.0)).unwrap_or_default()
    }

    /// Asks for power for a while, positive to charge; returns what really flowed on average: limited
    /// by the converter, and by what fits or is there.
    pub fn step(&mut self, dt: Duration, asked: NetWatts) -> NetWatts {
        let hours = dt.as_secs_f64() / 3600.0;
        if hours <= 0.0 {
            return NetWatts::ZERO;
        }
        // Half of the loss on the way in, half on the way out.
        let one_way = self.spec.round_trip.get().sqrt();
        let limit = self.spec.power.get();
        let asked = asked.get().clamp(-limit, limit);
        let flow = if asked > 0.0 {
            asked.min((self.spec.capacity.get() - self.stored) / hours / one_way)
        } else {
            asked.max(-self.stored / hours * one_way)
        };
        self.stored += hours * if flow > 0.0 { flow * one_way } else { flow / one_way };
        NetWatts::new(flow).unwrap_or(NetWatts::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_battery_returns_its_round_trip_and_never_more_than_its_power() {
        let mut battery = Battery::new(BatterySpec::home(), Ratio::NONE);
        let quarter = Duration::from_secs(900);
        let run = |battery: &mut Battery, watts: f64| {
            let asked = NetWatts::new(watts).unwrap();
            (0..40).map(|_| battery.step(quarter, asked).get() / 4.0).sum::<f64>()
        };
        let put_in = run(&mut battery, 9e3);
        assert_eq!(battery.charge(), Ratio::ALL);
        let out = -run(&mut battery, -9e3);
        assert!((out / put_in - 0.9).abs() < 1e-9, "{out} of {put_in}");
        assert!((out - 13_500.0 * 0.9_f64.sqrt()).abs() < 1e-6);
        battery.step(quarter, NetWatts::new(5e3).unwrap());
        assert!(battery.step(quarter, NetWatts::new(-9e3).unwrap()).get() >= -5e3);
    }
}
