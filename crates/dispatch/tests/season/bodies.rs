//! What is heated for a season: a room, a tank and a pool with their weather, prices and controls.
//! It knows no control.

use super::{c, watts};
use hearth_dispatch::heat::{Body, Front, Heater, Medium};
use std::{ops::RangeInclusive, time::Duration};
use twin::energy::{
    Circuit, CircuitSpec, House, HouseSpec, Pool, PoolSpec, Prices, Sky, Tank, TankSpec, Taps,
    Weather, WeatherSpec,
};
use units::{Celsius, Efficiency, EnergyPrice, HashPrice, HeatCapacity, HeatLoss};

/// The plan's step.
pub const PLAN_STEP: Duration = Duration::from_secs(1800);

pub struct Season {
    pub name: &'static str,
    pub days: usize,
    pub seed: u64,
    pub twin: Twin,
    /// What the plan takes it for.
    pub body: Body,
    pub heater: Heater,
    /// Constants that PI is tried with: W/K, and hours of reset.
    pub pis: &'static [(f64, f64)],
    /// Hystereses that the thermostat is tried with.
    pub bands_k: &'static [f64],
    /// Plan: how far above the set-point it may heat, and how far it may fall below it while nobody
    /// minds.
    pub above_k: f64,
    /// Plan: how warm it may become, °C, whatever the set-point; `None` for what `above_k` says.
    pub high: Option<f64>,
    pub weather: WeatherSpec,
    /// By ten minutes.
    pub skies: Vec<Sky>,
    pub prices: Prices,
    /// Hours of the day that count.
    pub open: std::ops::Range<usize>,
    /// Colder than this is too cold, °C.
    pub comfort: f64,
    /// Warmer than this is too hot, °C; counted, but no part of comfort.
    pub hot: f64,
    /// Degree-hours too cold a day that the thermostat is tuned to; of a tank, kelvins too cold at the
    /// tap, each times the kilowatt-hours drawn.
    pub cold_per_day: f64,
    /// Only what is as comfortable within a twentieth counts, not what is warmer.
    pub equal: bool,
    /// Range of set-points to look for it.
    pub range: RangeInclusive<f64>,
    /// First step of that search, K.
    pub step_k: f64,
    /// Heat expected to leave besides, by half-hour of the day, W.
    pub drawn: Vec<f64>,
    pub window_m2: f64,
    pub boots: bool,
}

/// What is heated, as the twin has it.
#[derive(Clone)]
pub enum Twin {
    Room(House),
    Tank(Tank, Taps, Circuit),
    Pool(Pool),
}

impl Twin {
    /// What the control sees.
    pub fn sensor(&self) -> Celsius {
        match self {
            Self::Room(house) => house.room(),
            Self::Tank(tank, ..) => tank.mean(),
            Self::Pool(pool) => pool.water(),
        }
    }

    /// What leaves the machines: water on its way to the tank, elsewhere air that is never too hot.
    pub fn outlet(&self) -> (Medium, Celsius) {
        match self {
            Self::Tank(_, _, circuit) => (Medium::Fluid, circuit.outlet()),
            Self::Room(_) | Self::Pool(_) => (Medium::Air, c(40.0)),
        }
    }

    /// What people feel.
    pub fn felt(&self) -> Celsius {
        if let Self::Tank(tank, ..) = self { tank.top() } else { self.sensor() }
    }
}

impl Season {
    /// The published house, planned as 5 K/kW and 4.3 kWh/K, of which half a kelvin per kilowatt
    /// follows the heat within the hour. From 1 October, or January for less.
    pub fn room(days: usize, seed: u64) -> Self {
        let first_day = if days > 200 { 274.0 } else { 1.0 };
        let weather = WeatherSpec { first_day, ..WeatherSpec::winter() };
        let spec = HouseSpec::published().unwrap();
        let capacity = HeatCapacity::new(4300.0).unwrap();
        let loss = HeatLoss::from_kelvin_per_kilowatt(5.0).unwrap();
        // Of the published 0.909 K/kW between room and envelope, those of the room above the mean of
        // both, 0.909 (3.24 / 4.32)²; the lag is that of 1.08 against 3.24 kWh/K behind 0.909 K/kW.
        let surface = HeatLoss::from_kelvin_per_kilowatt(0.5).unwrap();
        let front = Front { surface, lag: Duration::from_secs(45 * 60) };
        let body = Body::mixed(capacity, loss).with_front(front);
        Self {
            name: "room",
            twin: Twin::Room(House::new(spec, c(20.0))),
            body,
            heater: heater(1.0),
            pis: &[(1500.0, 3.0)],
            bands_k: &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            above_k: 2.0,
            open: 0..24,
            comfort: 20.0,
            cold_per_day: 0.5,
            hot: 23.0,
            range: 18.0..=28.0,
            step_k: 0.5,
            drawn: vec![0.0; 48],
            window_m2: spec.window_m2,
            ..Self::common(days, seed, weather)
        }
    }

    /// 300 litres for a household of load profile M, twice; weekly at 60 °C. Heated by hydronic machines
    /// of 3.6 kW.
    pub fn tank(days: usize, seed: u64) -> Self {
        let spec = TankSpec::class_c().unwrap();
        let body = Body::mixed(HeatCapacity::of_water(spec.litres).unwrap(), spec.loss);
        // What the household drew in other weeks.
        let mut history = Taps::new(2.0, seed + 1000);
        let mut drawn = vec![0.0; 48];
        const HISTORY_DAYS: usize = 60;
        for half_hour in 0..48 * HISTORY_DAYS {
            let tapped = history.drawn(1800 * half_hour as u64, PLAN_STEP);
            drawn[half_hour % 48] -= tapped.get() * 2.0 / HISTORY_DAYS as f64;
        }
        let heater = heater(0.6);
        let circuit = Circuit::new(CircuitSpec::hydronic(heater.highest()).unwrap());
        Self {
            name: "tank",
            twin: Twin::Tank(Tank::new(spec, c(60.0)), Taps::new(2.0, seed), circuit),
            body,
            heater,
            pis: &[(400.0, 2.0), (100.0, 8.0), (50.0, 12.0), (25.0, 24.0)],
            // Narrower ones cost more than half as much again.
            bands_k: &[8.0, 12.0, 16.0, 20.0],
            high: Some(60.0),
            open: 0..24,
            // What profile M asks of the tap that fills a sink; all of the day's 11.7 kWh may be a sixth
            // of a kelvin colder.
            comfort: 55.0,
            cold_per_day: 2.0,
            // In two weeks one evening more or less is more than a twentieth.
            equal: days > 100,
            hot: 66.0,
            range: 15.0..=62.0,
            step_k: 4.0,
            drawn,
            window_m2: 0.0,
            ..Self::common(days, seed, WeatherSpec::winter())
        }
    }

    /// A garden's pool, swum in from 9 to 21 and covered otherwise, from 1 May.
    pub fn pool(days: usize, seed: u64) -> Self {
        let spec = PoolSpec::garden().unwrap();
        let pool = hearth_dispatch::heat::Pool {
            litres: 44_800.0,
            surface_m2: spec.surface_m2,
            open_hours: 12.0,
        };
        Self {
            name: "pool",
            twin: Twin::Pool(Pool::new(spec, c(26.0))),
            body: pool.body().unwrap(),
            heater: heater(4.0),
            pis: &[(24_000.0, 24.0)],
            bands_k: &[0.25, 0.5, 1.0, 1.5, 2.0, 3.0],
            above_k: 1.0,
            open: 9..21,
            comfort: 26.0,
            cold_per_day: 0.5,
            hot: 28.0,
            range: 24.0..=29.0,
            step_k: 0.25,
            drawn: vec![0.0; 48],
            window_m2: spec.absorbed * spec.surface_m2,
            ..Self::common(days, seed, WeatherSpec::summer())
        }
    }

    /// A room's season without what differs.
    fn common(days: usize, seed: u64, weather: WeatherSpec) -> Self {
        let ten_minutes = Duration::from_secs(600);
        let mean = EnergyPrice::per_kwh(0.14).unwrap();
        let spec = HouseSpec::published().unwrap();
        Self {
            name: "",
            days,
            seed,
            twin: Twin::Room(House::new(spec, c(20.0))),
            body: Body::mixed(HeatCapacity::LITRE, HeatLoss::new(1.0).unwrap()),
            heater: heater(1.0),
            pis: &[],
            bands_k: &[],
            above_k: 0.0,
            high: None,
            weather,
            skies: Weather::new(weather, seed).series(ten_minutes, (days + 3) * 144),
            prices: Prices::made_up(mean, 0.4, (days + 3) * 24, seed + 1),
            open: 0..24,
            comfort: 0.0,
            cold_per_day: 0.0,
            equal: false,
            hot: 0.0,
            range: 0.0..=0.0,
            step_k: 0.0,
            drawn: Vec::new(),
            window_m2: 0.0,
            boots: true,
        }
    }
}

/// Idle at 25 W, hashes from 1.5 to 6 kW, better at the lower end as machines are; times `scale`.
/// The efficiencies are made up to lie around 17.5 J/TH.
fn heater(scale: f64) -> Heater {
    let curve = [(1500.0, 16.0), (2500.0, 16.5), (3500.0, 17.5), (4500.0, 19.0), (6000.0, 21.5)]
        .map(|(power, efficiency)| (watts(scale * power), Efficiency::new(efficiency).unwrap()));
    Heater::new(watts(25.0 * scale), &curve, HashPrice::new(38.2).unwrap()).unwrap()
}
