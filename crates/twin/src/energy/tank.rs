//! A tank of hot water in layers: heated below, drawn from above, warm water always on top.
//! It knows no set-point.

use super::{celsius, split};
use std::time::Duration;
use units::{Celsius, HeatCapacity, HeatLoss, UnitError, WattHours, Watts};

/// A tank's constants.
#[derive(Debug, Clone, Copy)]
pub struct TankSpec {
    /// Water, litres.
    pub litres: f64,
    /// Layers of equal volume, two or more.
    pub layers: usize,
    /// Through the insulation.
    pub loss: HeatLoss,
    /// Air around it.
    pub ambient: Celsius,
    /// Water that comes in.
    pub cold: Celsius,
}

impl TankSpec {
    /// What taps mix to, °C: a shower.
    const MIXED: f64 = 40.0;

    /// 300 litres that just reach energy class C: a standing loss of 16.66 + 8.33 V^0.4 watts with
    /// the water 45 K above the air (Regulation (EU) 812/2013, annex II).
    pub fn class_c() -> Result<Self, UnitError> {
        let litres: f64 = 300.0;
        Ok(Self {
            litres,
            layers: 8,
            loss: HeatLoss::new((16.66 + 8.33 * litres.powf(0.4)) / 45.0)?,
            ambient: Celsius::new(20.0)?,
            cold: Celsius::new(10.0)?,
        })
    }
}

/// A tank.
#[derive(Debug, Clone)]
pub struct Tank {
    spec: TankSpec,
    /// °C, from the top down.
    layers: Vec<f64>,
}

impl Tank {
    /// At one temperature throughout.
    pub fn new(spec: TankSpec, at: Celsius) -> Self {
        Self { spec, layers: vec![at.get(); spec.layers.max(2)] }
    }

    /// What a tap gets.
    pub fn top(&self) -> Celsius {
        celsius(self.layers[0])
    }

    /// The coldest layer.
    pub fn bottom(&self) -> Celsius {
        celsius(self.layers[self.layers.len() - 1])
    }

    /// Mean of all layers.
    pub fn mean(&self) -> Celsius {
        celsius(self.layers.iter().sum::<f64>() / self.layers.len() as f64)
    }

    /// Heat in it above the water that comes in.
    pub fn stored(&self) -> WattHours {
        HeatCapacity::LITRE.heat(self.spec.litres * (self.mean().get() - self.spec.cold.get()))
    }

    /// Passes time with this heat in the lowest layer while taps ask for this much heat as water of
    /// [`TankSpec::MIXED`]; returns what they got: less, where the top is colder than that.
    pub fn step(&mut self, dt: Duration, heat: Watts, tapped: WattHours) -> WattHours {
        let (spec, count) = (self.spec, self.layers.len());
        let layer_litres = spec.litres / count as f64;
        let capacity = HeatCapacity::LITRE.get() * layer_litres;
        let wanted_lift = (TankSpec::MIXED - spec.cold.get()).max(1.0);
        let (parts, seconds) = split(dt, 60.0);
        let hours = seconds / 3600.0;
        let mut got = 0.0;
        for _ in 0..parts {
            let loss = spec.loss.get() / count as f64;
            for layer in &mut self.layers {
                *layer -= loss * (*layer - spec.ambient.get()) * hours / capacity;
            }
            self.layers[count - 1] += heat.get() * hours / capacity;
            let mut mixed =
                tapped.get() / f64::from(parts) / HeatCapacity::LITRE.get() / wanted_lift;
            while mixed > 1e-9 {
                let lift = self.layers[0] - spec.cold.get();
                let hot_share = if lift > wanted_lift { wanted_lift / lift } else { 1.0 };
                // At most half a layer at once: no layer takes more than the one below holds.
                let litres = mixed.min(layer_litres / 2.0 / hot_share);
                got += HeatCapacity::LITRE.get() * litres * hot_share * lift.max(0.0);
                self.flow(litres * hot_share / layer_litres);
                mixed -= litres;
            }
            self.rise();
        }
        WattHours::new(got).unwrap_or(WattHours::ZERO)
    }

    /// Lets this part of a layer in at the bottom and out at the top.
    fn flow(&mut self, part: f64) {
        let count = self.layers.len();
        for layer in 0..count {
            let below =
                if layer + 1 < count { self.layers[layer + 1] } else { self.spec.cold.get() };
            self.layers[layer] += part * (below - self.layers[layer]);
        }
    }

    /// Warm water rises: layers that stand upside down mix.
    fn rise(&mut self) {
        if self.layers.is_sorted_by(|above, below| above >= below) {
            return;
        }
        let mut mixed: Vec<(f64, usize)> = Vec::with_capacity(self.layers.len());
        for &layer in &self.layers {
            let mut block = (layer, 1);
            while let Some(&(above, count)) = mixed.last()
                && above < block.0
            {
                let all = count + block.1;
                block = ((above * count as f64 + block.0 * block.1 as f64) / all as f64, all);
                mixed.pop();
            }
            mixed.push(block);
        }
        self.layers = mixed.iter().flat_map(|&(t, count)| std::iter::repeat_n(t, count)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn tank(at: f64) -> Tank {
        Tank::new(TankSpec::class_c().unwrap(), Celsius::new(at).unwrap())
    }

    #[test]
    fn a_tank_of_class_c_stands_with_the_published_loss_and_cools_exponentially() {
        let mut tank = tank(65.0);
        let before = tank.stored().get();
        tank.step(HOUR, Watts::ZERO, WattHours::ZERO);
        let lost = before - tank.stored().get();
        // 16.66 + 8.33 * 300^0.4 = 98.2 W at 45 K.
        assert!((lost - 98.2).abs() < 0.5, "{lost}");
        for _ in 1..48 {
            tank.step(HOUR, Watts::ZERO, WattHours::ZERO);
        }
        let want = 20.0 + 45.0 * (-48.0 * (98.2 / 45.0) / (1.163 * 300.0_f64)).exp();
        assert!((tank.mean().get() - want).abs() < 0.02, "{}", tank.mean());
    }

    #[test]
    fn no_energy_is_made_or_lost_but_through_the_wall() {
        let mut spec = TankSpec::class_c().unwrap();
        spec.loss = HeatLoss::new(1e-9).unwrap();
        let mut tank = Tank::new(spec, Celsius::new(55.0).unwrap());
        let before = tank.stored().get();
        let mut tapped = 0.0;
        for _ in 0..10 {
            tapped += tank.step(HOUR, watts(1500.0), WattHours::new(2000.0).unwrap()).get();
        }
        let after = tank.stored().get();
        assert!((before + 15_000.0 - tapped - after).abs() < 1.0, "{tapped} {after}");
    }

    #[test]
    fn hot_water_stays_on_top_until_most_of_it_is_drawn() {
        let mut tank = tank(55.0);
        // 300 l at 55 °C hold 15.7 kWh above 10 °C; half of it is drawn.
        let asked = WattHours::new(7800.0).unwrap();
        let got = tank.step(HOUR, Watts::ZERO, asked);
        assert!((got.get() - asked.get()).abs() < 20.0, "{got}");
        assert!(tank.top().get() > 48.0 && tank.bottom().get() < 22.0, "{tank:?}");
        // What is asked beyond the tank is not served.
        let rest = tank.step(HOUR, Watts::ZERO, WattHours::new(20_000.0).unwrap());
        assert!(rest.get() < 8500.0 && tank.top().get() < 15.0, "{rest} {tank:?}");
    }

    #[test]
    fn heat_from_below_mixes_the_tank_and_never_leaves_it_upside_down() {
        let mut tank = tank(50.0);
        tank.step(HOUR, Watts::ZERO, WattHours::new(6000.0).unwrap());
        for _ in 0..6 {
            tank.step(HOUR, watts(3000.0), WattHours::ZERO);
            assert!(tank.layers.is_sorted_by(|above, below| above >= below), "{tank:?}");
        }
        assert!(tank.top().get() - tank.bottom().get() < 1.0, "{tank:?}");
    }

    fn watts(value: f64) -> Watts {
        Watts::new(value).unwrap()
    }
}
