//! Predictive heat against a PI and a dumb thermostat over a season: a room, a tank and a pool of the
//! twin, which is richer than the model that the plan has. Weather, prices and taps are made up from a
//! seed. Comfort is made equal by each control's set-point, then costs are compared.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use hearth_dispatch::heat::{
    Ahead, Body, Comfort, Control, Guard, Heater, Hygiene, Medium, Pi, Predictive, Safety,
    Thermostat, Times, Wanted, Zone,
};
use std::time::Duration;
use twin::energy::{
    House, HouseSpec, Noise, Pool, PoolSpec, Prices, Sky, Tank, TankSpec, Taps, Weather,
    WeatherSpec, clear_sky, cos_zenith,
};
use units::{
    Celsius, Efficiency, EnergyPrice, HashPrice, HeatCapacity, HeatLoss, Moment, NetWatts, Reading,
    Usd, WattHours, Watts,
};

const MINUTE: Duration = Duration::from_secs(60);
const PLAN_STEP: Duration = Duration::from_secs(1800);
/// What a machine needs from power to hashing: it heats, and earns nothing.
const BOOT_MINUTES: usize = 4;

#[test]
#[ignore = "does not hold yet: the dumb thermostat is not made equally comfortable within six starts a day"]
fn predictive_heat_beats_pi_and_pi_beats_a_dumb_thermostat_in_a_room_for_a_month() {
    compare(&Season::room(30, 7));
}

#[test]
#[ignore = "does not hold yet: the dumb thermostat is not made equally comfortable within six starts a day"]
fn predictive_heat_beats_pi_and_pi_beats_a_dumb_thermostat_in_a_tank_for_a_month() {
    compare(&Season::tank(30, 7));
}

#[test]
fn predictive_heat_beats_pi_and_pi_beats_a_dumb_thermostat_in_a_pool_for_a_month() {
    compare(&Season::pool(30, 7));
}

#[test]
#[ignore = "whole seasons take a minute; `cargo test -p hearth-dispatch --test season -- --ignored --nocapture`"]
fn predictive_heat_beats_pi_and_pi_beats_a_dumb_thermostat_over_whole_seasons() {
    for seed in 1..=3 {
        compare(&Season::room(212, seed));
        compare(&Season::tank(212, seed));
        compare(&Season::pool(120, seed));
    }
}

#[test]
fn a_season_at_a_flat_price_costs_c_less_r_as_the_published_coefficient_says() {
    // analysis.md, section 7: c, r or (hash price, J/TH), net cost, effective coefficient.
    for (price, earned, net, cop) in [
        (0.09, 0.041, 0.049, Some(1.837)),
        (0.08, 38.2 / (24.0 * 17.5), -0.011, None),
        (0.12, 38.2 / (24.0 * 17.5), 0.029, Some(4.13)),
        (0.16, 38.2 / (24.0 * 17.5), 0.069, Some(2.32)),
        (0.16, 30.0 / (24.0 * 21.5), 0.102, Some(1.57)),
    ] {
        let mut season = Season::room(30, 7);
        let efficiency = Efficiency::new(20.0).unwrap();
        let curve = [watts(1500.0), watts(6000.0)].map(|power| (power, efficiency));
        let hash_price = HashPrice::new(earned * 24.0 * 20.0).unwrap();
        season.heater = Heater::new(Watts::ZERO, &curve, hash_price).unwrap();
        season.prices = Prices::made_up(EnergyPrice::per_kwh(price).unwrap(), 0.0, 24 * 40, 1);
        season.boots = false;
        let outcome = season.run(Kind::Pi, 20.0);
        let per_kwh = outcome.cost / outcome.kwh;
        assert!((per_kwh - net).abs() < 0.0005, "{price}: {per_kwh}");
        if let Some(cop) = cop {
            assert!((price / per_kwh - cop).abs() < 0.005, "{price}: {}", price / per_kwh);
        }
    }
}

/// Finds for each control the set-point at which all are equally comfortable, and compares.
fn compare(season: &Season) {
    let outcomes = [Kind::Dumb, Kind::Pi, Kind::Predictive].map(|kind| (kind, season.tuned(kind)));
    println!(
        "{}, {} days, seed {}: degree-hours below {:.1} °C wanted {:.1}",
        season.name,
        season.days,
        season.seed,
        season.comfort,
        season.cold_wanted()
    );
    for (kind, (set, outcome)) in &outcomes {
        println!(
            "  {kind:?}: set {set:.2} °C, below {:.1} K h, mean {:.2} °C, {:.0} kWh, paid ${:.2}, \
             earned ${:.2}, net ${:.2} ({:.4} $/kWh), {:.1} starts/day",
            outcome.cold,
            outcome.mean,
            outcome.kwh,
            outcome.paid,
            outcome.paid - outcome.cost,
            outcome.cost,
            outcome.cost / outcome.kwh,
            outcome.starts as f64 / season.days as f64,
        );
        let off = (outcome.cold / season.cold_wanted() - 1.0).abs();
        assert!(off <= Season::TOLERANCE, "{kind:?} is not as comfortable: {outcome:?}");
        assert!(outcome.starts <= 6 * season.days, "{kind:?}: {outcome:?}");
        assert!(outcome.overdue == 0, "{kind:?} missed a hygienic cycle: {outcome:?}");
    }
    let [dumb, pi, predictive] = outcomes.map(|(_, (_, outcome))| outcome.cost);
    println!(
        "  predictive costs {:.1} % less than PI; PI {:.1} % less than dumb",
        100.0 * (pi - predictive) / pi.abs(),
        100.0 * (dumb - pi) / dumb.abs()
    );
    assert!(predictive < pi && pi < dumb, "{dumb} {pi} {predictive}");
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Dumb,
    Pi,
    Predictive,
}

/// What is heated, as the twin has it.
#[derive(Clone)]
enum Twin {
    Room(House),
    Tank(Tank, Taps),
    Pool(Pool),
}

impl Twin {
    /// What the control sees.
    fn sensor(&self) -> Celsius {
        match self {
            Self::Room(house) => house.room(),
            Self::Tank(tank, _) => tank.mean(),
            Self::Pool(pool) => pool.water(),
        }
    }

    /// What people feel.
    fn felt(&self) -> Celsius {
        if let Self::Tank(tank, _) = self { tank.top() } else { self.sensor() }
    }
}

struct Season {
    name: &'static str,
    days: usize,
    seed: u64,
    twin: Twin,
    /// What the plan takes it for.
    body: Body,
    heater: Heater,
    pi: Pi,
    band_k: f64,
    /// Plan: how far above the set-point it may heat.
    above_k: f64,
    weather: WeatherSpec,
    /// By ten minutes.
    skies: Vec<Sky>,
    prices: Prices,
    /// Hours of the day that count.
    open: std::ops::Range<usize>,
    comfort: f64,
    /// Degree-hours below it a day that all controls are tuned to.
    cold_per_day: f64,
    /// Range of set-points to look for it.
    range: (f64, f64),
    /// Heat expected to leave besides, by half-hour of the day, W.
    drawn: Vec<f64>,
    window_m2: f64,
    boots: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Outcome {
    kwh: f64,
    paid: f64,
    cost: f64,
    cold: f64,
    mean: f64,
    starts: usize,
    /// Minutes in which a hygienic cycle was overdue by more than an hour.
    overdue: usize,
}

impl Season {
    /// Comfort counts as equal within this part of the degree-hours.
    const TOLERANCE: f64 = 0.05;

    fn cold_wanted(&self) -> f64 {
        self.cold_per_day * self.days as f64
    }

    /// The published house, planned as 5 K/kW and 4.3 kWh/K. From 1 October, or January for a month.
    fn room(days: usize, seed: u64) -> Self {
        let first_day = if days > 200 { 274.0 } else { 1.0 };
        let weather = WeatherSpec { first_day, ..WeatherSpec::winter() };
        let spec = HouseSpec::published().unwrap();
        let body = Body {
            capacity: HeatCapacity::new(4300.0).unwrap(),
            loss: HeatLoss::from_kelvin_per_kilowatt(5.0).unwrap(),
        };
        Self {
            name: "room",
            twin: Twin::Room(House::new(spec, c(20.0))),
            body,
            heater: heater(1.0),
            pi: Pi::new(1500.0, Duration::from_secs(3 * 3600)),
            band_k: 2.5,
            above_k: 2.0,
            open: 0..24,
            comfort: 20.0,
            cold_per_day: 0.5,
            range: (19.0, 25.0),
            drawn: vec![0.0; 48],
            window_m2: spec.window_m2,
            ..Self::common(days, seed, weather)
        }
    }

    /// 300 litres for a household of load profile M, twice; weekly at 60 °C.
    fn tank(days: usize, seed: u64) -> Self {
        let spec = TankSpec::class_c().unwrap();
        let body = Body { capacity: HeatCapacity::of_water(spec.litres).unwrap(), loss: spec.loss };
        // What the household drew in other weeks.
        let mut history = Taps::new(2.0, seed + 1000);
        let mut drawn = vec![0.0; 48];
        const HISTORY_DAYS: usize = 60;
        for half_hour in 0..48 * HISTORY_DAYS {
            let tapped = history.drawn(1800 * half_hour as u64, PLAN_STEP);
            drawn[half_hour % 48] -= tapped.get() * 2.0 / HISTORY_DAYS as f64;
        }
        Self {
            name: "tank",
            twin: Twin::Tank(Tank::new(spec, c(55.0)), Taps::new(2.0, seed)),
            body,
            heater: heater(0.4),
            pi: Pi::new(400.0, Duration::from_secs(2 * 3600)),
            band_k: 4.0,
            above_k: 8.0,
            open: 0..24,
            comfort: 50.0,
            cold_per_day: 0.5,
            range: (42.0, 60.0),
            drawn,
            window_m2: 0.0,
            ..Self::common(days, seed, WeatherSpec::winter())
        }
    }

    /// A garden's pool, swum in from 9 to 21 and covered otherwise, from 1 May.
    fn pool(days: usize, seed: u64) -> Self {
        let spec = PoolSpec::garden().unwrap();
        let pool = hearth_dispatch::heat::Pool {
            litres: 44_800.0,
            surface_m2: spec.surface_m2,
            open: 9..21,
            warm: c(26.0),
            band_k: 1.0,
        };
        Self {
            name: "pool",
            twin: Twin::Pool(Pool::new(spec, c(26.0))),
            body: pool.body().unwrap(),
            heater: heater(4.0),
            pi: Pi::new(24_000.0, Duration::from_secs(24 * 3600)),
            band_k: 0.5,
            above_k: 1.0,
            open: 9..21,
            comfort: 26.0,
            cold_per_day: 0.5,
            range: (25.0, 28.0),
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
            body: Body { capacity: HeatCapacity::LITRE, loss: HeatLoss::new(1.0).unwrap() },
            heater: heater(1.0),
            pi: Pi::new(1.0, MINUTE),
            band_k: 0.0,
            above_k: 0.0,
            weather,
            skies: Weather::new(weather, seed).series(ten_minutes, (days + 3) * 144),
            prices: Prices::made_up(mean, 0.4, (days + 3) * 24, seed + 1),
            open: 0..24,
            comfort: 0.0,
            cold_per_day: 0.0,
            range: (0.0, 0.0),
            drawn: Vec::new(),
            window_m2: 0.0,
            boots: true,
        }
    }

    /// The set-point at which this control is as comfortable as wanted, found by bisection.
    fn tuned(&self, kind: Kind) -> (f64, Outcome) {
        let (mut low, mut high) = self.range;
        let mut best = None::<(f64, f64, Outcome)>;
        for _ in 0..14 {
            let set = f64::midpoint(low, high);
            let outcome = self.run(kind, set);
            let off = outcome.cold / self.cold_wanted() - 1.0;
            if best.as_ref().is_none_or(|(least, ..)| off.abs() < least.abs()) {
                best = Some((off, set, outcome));
            }
            if off.abs() <= Self::TOLERANCE / 4.0 {
                break;
            }
            if off > 0.0 { low = set } else { high = set }
        }
        let (_, set, outcome) = best.unwrap();
        (set, outcome)
    }

    fn zone(&self, kind: Kind) -> Zone {
        let usd = |value| Usd::new(value).unwrap();
        let control = match kind {
            Kind::Dumb => Control::Thermostat(Thermostat::new(self.band_k)),
            Kind::Pi => Control::Pi(self.pi.clone()),
            Kind::Predictive => {
                // Some times what a degree-hour's heat costs.
                let kelvin = self.body.capacity.get() / 1e3 * 0.5 + 0.1;
                let comfort = Comfort { below: usd(kelvin), above: usd(kelvin) };
                let lost = self.heater.earns_per_hour(self.heater.lowest());
                let start = lost * (BOOT_MINUTES as f64 / 60.0);
                let times = Times::default();
                let predictive = Predictive::new(self.body, PLAN_STEP, comfort, start, times);
                Control::Predictive(Box::new(predictive), self.pi.clone())
            }
        };
        Zone::new(control, Guard::new(Times::default()), Safety::new(Medium::Air))
    }

    fn run(&self, kind: Kind, set: f64) -> Outcome {
        let mut twin = self.twin.clone();
        let mut zone = self.zone(kind);
        let mut noise = Noise::new(self.seed + 77);
        let mut hygiene = Hygiene::new(Duration::from_secs(7 * 86_400));
        let mut outcome = Outcome::default();
        let (mut drawn, mut booting, mut was_on) = (Watts::ZERO, 0, false);
        let mut ahead = Vec::new();
        let mut cycle = false;
        for minute in 0..self.days * 1440 {
            let now = Moment::from_secs(60 * minute as u64);
            if let Twin::Tank(tank, _) = &twin {
                hygiene.observe(now, Some(tank.bottom()));
                // The first week's cycle is taken as done at its beginning.
                let left = if minute < 7 * 1440 {
                    Duration::from_secs(60 * (7 * 1440 - minute as u64))
                } else {
                    hygiene.left(now)
                };
                let capacity = self.body.capacity;
                let must = hygiene.must_heat(now, tank.mean(), capacity, self.heater.lowest());
                cycle = must && minute >= 6 * 1440;
                outcome.overdue += usize::from(minute > 8 * 1440 && left.is_zero());
            }
            if kind == Kind::Predictive && minute % 30 == 0 {
                ahead = self.ahead(minute, set, cycle, &mut noise);
            }
            let wanted = Wanted {
                is: Some(Reading::new(twin.sensor(), now)),
                outlet: Some(Reading::new(c(40.0), now)),
                set_point: c(if cycle { 63.0 } else { set }),
                drawn,
                ahead: &ahead,
            };
            drawn = zone.step(now, &wanted, &self.heater).power;
            let on = self.heater.hashes_at(drawn);
            if on && !was_on {
                outcome.starts += 1;
                booting = if self.boots { BOOT_MINUTES } else { 0 };
            }
            was_on = on;
            let earned = if booting > 0 { 0.0 } else { self.heater.earns_per_hour(drawn).get() };
            booting = booting.saturating_sub(1);
            let kwh = drawn.kilowatts() / 60.0;
            let paid = kwh * self.prices.at(minute / 60).unwrap().usd_per_kwh();
            outcome.kwh += kwh;
            outcome.paid += paid;
            outcome.cost += paid - earned / 60.0;
            self.pass(&mut twin, minute, drawn);
            outcome.mean += twin.felt().get() / (self.days * 1440) as f64;
            if self.open.contains(&(minute / 60 % 24)) {
                outcome.cold += (self.comfort - twin.felt().get()).max(0.0) / 60.0;
            }
        }
        outcome
    }

    fn pass(&self, twin: &mut Twin, minute: usize, heat: Watts) {
        let sky = self.skies[minute / 10];
        match twin {
            Twin::Room(house) => house.step(MINUTE, sky.air, sky.sun_w_m2, heat),
            Twin::Tank(tank, taps) => {
                let tapped = taps.drawn(60 * minute as u64, MINUTE);
                let _: WattHours = tank.step(MINUTE, heat, tapped);
            }
            Twin::Pool(pool) => {
                let covered = !self.open.contains(&(minute / 60 % 24));
                pool.step(MINUTE, sky.air, sky.sun_w_m2, covered, heat);
            }
        }
    }

    /// What is known of the hours ahead: day-ahead prices, which come at 13 for the day after; air
    /// with an error of 1 K a day ahead; a sky of average clouds.
    fn ahead(&self, minute: usize, set: f64, cycle: bool, noise: &mut Noise) -> Vec<Ahead> {
        let hour = minute / 60 % 24;
        let known_hours = if hour >= 13 { 48 - hour } else { 24 - hour };
        let off = noise.normal();
        let in_house = matches!(self.twin, Twin::Tank(..));
        (0..known_hours * 2)
            .map(|step| {
                let then = minute + 30 * step;
                let air = self.skies[then / 10].air.get() + off * (step as f64 / 48.0).sqrt();
                let (day, hour) = (then as f64 / 1440.0, then as f64 / 60.0 % 24.0);
                let day = self.weather.first_day + day;
                let above = cos_zenith(self.weather.latitude, day, hour + 0.25);
                let sun = 0.55 * clear_sky(above);
                let gain = self.window_m2 * sun + self.drawn[then / 30 % 48];
                let shut = !self.open.contains(&(then / 60 % 24));
                let low = if cycle { 63.0 } else { set - if shut { self.above_k } else { 0.0 } };
                Ahead {
                    ambient: c(if in_house { 20.0 } else { air }),
                    gain: NetWatts::new(gain).unwrap(),
                    low: c(low),
                    high: c(if cycle { 65.0 } else { set + self.above_k }),
                    price: self.prices.at(then / 60).unwrap(),
                }
            })
            .collect()
    }
}

/// Idle at 25 W, hashes from 1.5 to 6 kW, better at the lower end as machines are; times `scale`.
/// The efficiencies are made up to lie around 17.5 J/TH.
fn heater(scale: f64) -> Heater {
    let curve = [(1500.0, 16.0), (2500.0, 16.5), (3500.0, 17.5), (4500.0, 19.0), (6000.0, 21.5)]
        .map(|(power, efficiency)| (watts(scale * power), Efficiency::new(efficiency).unwrap()));
    Heater::new(watts(25.0 * scale), &curve, HashPrice::new(38.2).unwrap()).unwrap()
}

fn watts(value: f64) -> Watts {
    Watts::new(value).unwrap()
}

fn c(value: f64) -> Celsius {
    Celsius::new(value).unwrap()
}
