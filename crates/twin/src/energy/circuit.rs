//! The water that carries a machine's heat to a tank: a pump, an exchanger in the tank, and what stands in
//! the pipes. It knows no control and no limit.

use super::{celsius, split, watts};
use std::time::Duration;
use units::{Celsius, HeatCapacity, HeatLoss, UnitError, Watts};

/// A circuit's constants.
#[derive(Debug, Clone, Copy)]
pub struct CircuitSpec {
    /// Flow, litres a minute.
    pub litres_per_minute: f64,
    /// Exchanger between circuit and tank.
    pub exchanger: HeatLoss,
    /// Water and metal.
    pub capacity: HeatCapacity,
    /// Pipes, to the room around them.
    pub loss: HeatLoss,
    /// That room.
    pub ambient: Celsius,
}

impl CircuitSpec {
    /// For a hydronic machine of this full power, at which its water becomes 6 K warmer and comes back
    /// 2.5 K above the tank; 8 litres of water, 20 kg of copper and steel at 0.12 Wh/(kg K), and 10 m of
    /// insulated pipe at 0.2 W/(m K).
    pub fn hydronic(full: Watts) -> Result<Self, UnitError> {
        const RISE_K: f64 = 6.0;
        const APPROACH_K: f64 = 2.5;
        let flow = full.get() / RISE_K;
        let effectiveness = RISE_K / (RISE_K + APPROACH_K);
        Ok(Self {
            litres_per_minute: flow / HeatCapacity::LITRE.get() / 60.0,
            exchanger: HeatLoss::new(-flow * (1.0 - effectiveness).ln())?,
            capacity: HeatCapacity::new(HeatCapacity::LITRE.get() * 8.0 + 0.12 * 20.0)?,
            loss: HeatLoss::new(2.0)?,
            ambient: Celsius::new(20.0)?,
        })
    }

    /// Heat that a kelvin of rise carries away, W/K.
    fn flow(&self) -> f64 {
        HeatCapacity::LITRE.get() * self.litres_per_minute * 60.0
    }

    /// Heat for each kelvin that the outlet is above the tank, W/K: an exchanger of which one side, the
    /// tank's, is as good as still (effectiveness 1 - exp(-NTU)).
    fn given(&self) -> f64 {
        let flow = self.flow();
        flow * (1.0 - (-self.exchanger.get() / flow).exp())
    }
}

/// A circuit.
#[derive(Debug, Clone)]
pub struct Circuit {
    spec: CircuitSpec,
    /// °C, of what leaves the machine.
    outlet: f64,
    /// W, lately.
    gives: f64,
}

impl Circuit {
    /// As warm as what is around it.
    pub fn new(spec: CircuitSpec) -> Self {
        Self { spec, outlet: spec.ambient.get(), gives: 0.0 }
    }

    /// What leaves the machine.
    pub fn outlet(&self) -> Celsius {
        celsius(self.outlet)
    }

    /// What comes back to it.
    pub fn inlet(&self) -> Celsius {
        celsius(self.outlet - self.gives / self.spec.flow())
    }

    /// Passes time with this heat from the machine into a tank that is so warm at the exchanger; returns
    /// the heat that the tank gets on average. The pump stands still while that is warmer than the
    /// machine, so that a tank never heats a machine.
    pub fn step(&mut self, dt: Duration, heat: Watts, tank: Celsius) -> Watts {
        let (parts, seconds) = split(dt, 20.0);
        let hours = seconds / 3600.0;
        let (heat, tank, pumps) = (heat.get(), tank.get(), self.spec.given());
        let mut mean = 0.0;
        for _ in 0..parts {
            let pumped = self.part(hours, heat, tank, if self.outlet > tank { pumps } else { 0.0 });
            let (outlet, gives) =
                if pumped.1 < 0.0 { self.part(hours, heat, tank, 0.0) } else { pumped };
            (self.outlet, self.gives) = (outlet, gives);
            mean += gives / f64::from(parts);
        }
        watts(mean)
    }

    /// Outlet in the end, °C, and heat given meanwhile, W, while the exchanger gives so many W/K.
    fn part(&self, hours: f64, heat: f64, tank: f64, given: f64) -> (f64, f64) {
        let (loss, ambient) = (self.spec.loss.get(), self.spec.ambient.get());
        let (before, capacity, all) = (self.outlet, self.spec.capacity.get(), given + loss);
        // It nears where as much leaves as comes.
        let end = (heat + given * tank + loss * ambient) / all;
        let keep = (-all * hours / capacity).exp();
        let outlet = end + (before - end) * keep;
        let mean = end + (before - end) * (1.0 - keep) * capacity / (all * hours);
        (outlet, given * (mean - tank))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn settled(heat: f64, tank: f64) -> (Circuit, Watts) {
        let mut circuit = Circuit::new(CircuitSpec::hydronic(watts(3600.0)).unwrap());
        let mut given = Watts::ZERO;
        for _ in 0..60 {
            given = circuit.step(MINUTE, watts(heat), celsius(tank));
        }
        (circuit, given)
    }

    #[test]
    fn at_full_power_water_leaves_a_machine_6_k_warmer_than_it_comes_and_comes_2_5_k_above_the_tank()
     {
        let (circuit, given) = settled(3600.0, 50.0);
        let (outlet, inlet) = (circuit.outlet().get(), circuit.inlet().get());
        assert!((outlet - inlet - 6.0).abs() < 0.2 && (inlet - 52.5).abs() < 0.2, "{circuit:?}");
        // 38 K above the room, ten metres of pipe lose 77 W.
        assert!((given.get() - 3523.0).abs() < 10.0, "{given}");
        // Litres a minute of 3.6 kW and 6 K.
        assert!((circuit.spec.litres_per_minute - 8.6).abs() < 0.05);
    }

    #[test]
    fn a_machine_at_a_quarter_of_its_power_is_a_quarter_as_far_above_the_tank() {
        let above = |heat| settled(heat, 60.0).0.outlet().get() - 60.0;
        let (full, quarter) = (above(3600.0), above(900.0));
        assert!((full - 8.3).abs() < 0.2 && (quarter - 1.9).abs() < 0.2, "{full} {quarter}");
    }

    #[test]
    fn a_cold_circuit_takes_nothing_from_a_hot_tank() {
        let (circuit, given) = settled(20.0, 60.0);
        assert_eq!(given, Watts::ZERO);
        assert!(circuit.outlet().get() < 31.0, "{circuit:?}");
    }

    #[test]
    fn no_heat_is_made_or_lost_but_through_the_pipes() {
        let mut spec = CircuitSpec::hydronic(watts(3600.0)).unwrap();
        spec.loss = HeatLoss::new(1e-9).unwrap();
        let mut circuit = Circuit::new(spec);
        let mut balance = 0.0;
        for minute in 0..600 {
            let heat = if minute / 40 % 2 == 0 { 3000.0 } else { 0.0 };
            let tank = celsius(30.0 + f64::from(minute % 97) / 4.0);
            balance += (heat - circuit.step(MINUTE, watts(heat), tank).get()) / 60.0;
        }
        let held = spec.capacity.get() * (circuit.outlet().get() - spec.ambient.get());
        assert!((balance - held).abs() < 1.0, "{balance} {held}");
    }
}
