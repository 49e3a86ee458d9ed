//! A home with machines in it: weather, house, sun, battery and household loads behind one meter. All
//! of it is made up from a seed. It decides nothing but the battery's default, which is to use what the
//! sun gives.

use super::{
    Battery, BatterySpec, House, HouseSpec, Noise, Prices, Pv, Shown, Sky, Weather, WeatherSpec,
};
use std::time::Duration;
use units::{Celsius, EnergyPrice, NetWatts, Ratio, UnitError, WattHours, Watts};

/// What a home is made of.
#[derive(Debug, Clone)]
pub struct WorldSpec {
    /// The house.
    pub house: HouseSpec,
    /// Weather, from its first day's midnight on.
    pub weather: WeatherSpec,
    /// Solar panels, if any.
    pub pv: Option<Pv>,
    /// Battery, if any.
    pub battery: Option<BatterySpec>,
    /// Household loads on average.
    pub household: Watts,
    /// Room at the beginning.
    pub room: Celsius,
    /// Mean price, and how far hours lie from it ([`Prices::made_up`]).
    pub price: (EnergyPrice, f64),
    /// Seed of all that is made up.
    pub seed: u64,
}

impl WorldSpec {
    /// The published house in a made-up winter, with 10 kW of panels and a 13.5 kWh battery.
    pub fn home(seed: u64) -> Result<Self, UnitError> {
        Ok(Self {
            house: HouseSpec::published()?,
            weather: WeatherSpec::winter(),
            pv: Some(Pv::roof()),
            battery: Some(BatterySpec::home()),
            household: Watts::new(400.0)?,
            room: Celsius::new(20.0)?,
            price: (EnergyPrice::per_kwh(0.14)?, 0.4),
            seed,
        })
    }
}

/// Everything at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// Time since the first day's midnight, solar time.
    pub at: Duration,
    /// Air and sun.
    pub sky: Sky,
    /// The room.
    pub room: Celsius,
    /// Out of the panels; `None` without any.
    pub pv: Option<Watts>,
    /// Into the battery; `None` without one.
    pub battery: Option<NetWatts>,
    /// State of charge.
    pub charge: Option<Ratio>,
    /// Machines.
    pub miners: Watts,
    /// Everything else that draws.
    pub household: Watts,
    /// Through the meter.
    pub net: NetWatts,
    /// What a kilowatt-hour costs this hour.
    pub price: EnergyPrice,
    /// Through the meter into the home so far.
    pub imported: WattHours,
    /// Through the meter out of it so far.
    pub exported: WattHours,
}

/// A home.
#[derive(Debug, Clone)]
pub struct World {
    spec: WorldSpec,
    house: House,
    weather: Weather,
    battery: Option<Battery>,
    prices: Prices,
    noise: Noise,
    /// W around the average.
    household: f64,
    asked: Option<NetWatts>,
    state: State,
}

impl World {
    /// Prices are made up for this many hours.
    const HOURS: usize = 24 * 400;

    /// At the first midnight.
    pub fn new(spec: WorldSpec) -> Self {
        let weather = Weather::new(spec.weather, spec.seed);
        let (mean, spread) = spec.price;
        let prices = Prices::made_up(mean, spread, Self::HOURS, spec.seed ^ 1);
        let battery = spec.battery.map(|b| Battery::new(b, Ratio::NONE));
        let state = State {
            at: Duration::ZERO,
            sky: weather.now(),
            room: spec.room,
            pv: spec.pv.map(|_| Watts::ZERO),
            battery: battery.as_ref().map(|_| NetWatts::ZERO),
            charge: battery.as_ref().map(Battery::charge),
            miners: Watts::ZERO,
            household: spec.household,
            net: NetWatts::ZERO,
            price: prices.at(0).unwrap_or(mean),
            imported: WattHours::ZERO,
            exported: WattHours::ZERO,
        };
        Self {
            house: House::new(spec.house, spec.room),
            noise: Noise::new(spec.seed ^ 2),
            household: 0.0,
            asked: None,
            spec,
            weather,
            battery,
            prices,
            state,
        }
    }

    /// From now on the battery is asked for this, positive to charge; `None` leaves it to itself.
    pub fn ask_battery(&mut self, power: Option<NetWatts>) {
        self.asked = power;
    }

    /// Passes time with the machines drawing this much, all of it heat in the room.
    pub fn step(&mut self, dt: Duration, miners: Watts) -> State {
        let before = self.state;
        let sky = self.weather.now();
        let average = self.spec.household.get();
        self.household = self.noise.wander(self.household, 0.4 * average, dt.as_secs_f64(), 1800.0);
        let household = super::watts(average + self.household.max(-0.8 * average));
        let pv = self.spec.pv.map(|pv| pv.power(sky.sun_w_m2, sky.air));
        let rest = NetWatts::from(miners + household) - NetWatts::from(pv.unwrap_or_default());
        let asked = self.asked.unwrap_or(-rest);
        let battery = self.battery.as_mut().map(|battery| battery.step(dt, asked));
        let net = rest + battery.unwrap_or_default();
        self.house.step(dt, sky.air, sky.sun_w_m2, miners + household);
        self.weather.step(dt);
        let at = before.at + dt;
        let hour = (at.as_secs() / 3600) as usize;
        self.state = State {
            at,
            sky,
            room: self.house.room(),
            pv,
            battery,
            charge: self.battery.as_ref().map(Battery::charge),
            miners,
            household,
            net,
            price: self.prices.at(hour).unwrap_or(before.price),
            imported: before.imported + net.import().over(dt),
            exported: before.exported + net.export().over(dt),
        };
        self.state
    }

    /// Now.
    pub fn state(&self) -> State {
        self.state
    }

    /// Prices of all hours from the first midnight on, made up.
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// What the weather will really be: hours from now on.
    pub fn coming(&self, hours: usize) -> Vec<Sky> {
        self.weather.clone().series(Duration::from_secs(3600), hours)
    }
}

impl State {
    /// What the home's meter and sensors show; the phases share evenly, the grid is at 60 Hz.
    pub fn shown(&self) -> Shown {
        let phase = self.net / 3.0;
        Shown {
            phases: [phase; 3],
            frequency: Some(super::hertz(60.0)),
            imported: self.imported,
            exported: self.exported,
            room: Some(self.room),
            outdoor: Some(self.sky.air),
            pv: self.pv,
            battery: self.battery,
            charge: self.charge,
            ..Shown::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flows_through_the_meter_is_what_draws_less_what_gives() {
        let mut world = World::new(WorldSpec::home(5).unwrap());
        let minute = Duration::from_secs(60);
        let mut net = 0.0;
        for _ in 0..3 * 1440 {
            let state = world.step(minute, Watts::new(2500.0).unwrap());
            let draws = state.miners.get() + state.household.get();
            let balance = draws - state.pv.unwrap().get() + state.battery.unwrap().get();
            assert!((state.net.get() - balance).abs() < 1e-6);
            net += state.net.get() / 60.0;
        }
        let state = world.state();
        assert!((state.imported.get() - state.exported.get() - net).abs() < 1e-3);
        assert!(state.imported > WattHours::ZERO && state.room > Celsius::ZERO);
    }

    #[test]
    fn a_battery_left_alone_takes_what_the_sun_gives_and_carries_the_night() {
        let mut spec = WorldSpec::home(5).unwrap();
        spec.weather = WeatherSpec::summer();
        let mut world = World::new(spec);
        let minute = Duration::from_secs(60);
        let day: Vec<State> = (0..2 * 1440).map(|_| world.step(minute, Watts::ZERO)).collect();
        let evening = &day[20 * 60];
        assert!(evening.charge.unwrap().get() > 0.8, "{evening:?}");
        assert!(day[26 * 60].net.get().abs() < 1.0, "{:?}", day[26 * 60]);
    }
}
