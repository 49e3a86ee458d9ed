//! One control through one season, minute by minute. It compares nothing.

use super::{
    bodies::{PLAN_STEP, Season, Twin},
    c,
};
use hearth_dispatch::heat::{
    Ahead, Comfort, Control, Guard, Hygiene, Pi, Predictive, Reason, Safety, Thermostat, Times,
    Wanted, Zone,
};
use std::time::Duration;
use twin::energy::{Noise, clear_sky, cos_zenith};
use units::{Moment, NetWatts, Reading, Usd, WattHours, Watts};

const MINUTE: Duration = Duration::from_secs(60);
/// What a machine needs from power to hashing: it heats, and earns nothing.
const BOOT_MINUTES: usize = 4;

/// A control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Within the times and starts of machines.
    Dumb {
        band_k: f64,
    },
    /// As often as it likes, which spoils machines.
    Unlimited {
        band_k: f64,
    },
    /// W/K, and hours of reset.
    Pi {
        gain: f64,
        reset_h: f64,
    },
    Predictive,
}

#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    /// Set-point, °C.
    pub set: f64,
    pub kwh: f64,
    pub paid: f64,
    pub cost: f64,
    /// Degree-hours too cold, or K kWh of a tank, and degree-hours too hot.
    pub cold: f64,
    pub hot: f64,
    pub mean: f64,
    pub starts: usize,
    /// Minutes in which a hygienic cycle was overdue.
    pub overdue: usize,
    /// Hottest outlet, °C, and minutes in which it limited power.
    pub outlet: f64,
    pub limited: usize,
}

impl Season {
    fn zone(&self, kind: Kind) -> Zone {
        let usd = |value| Usd::new(value).unwrap();
        let pi = |gain, reset_h: f64| Pi::new(gain, Duration::from_secs_f64(3600.0 * reset_h));
        let control = match kind {
            Kind::Dumb { band_k } | Kind::Unlimited { band_k } => {
                Control::Thermostat(Thermostat::new(band_k))
            }
            Kind::Pi { gain, reset_h } => Control::Pi(pi(gain, reset_h)),
            Kind::Predictive => {
                // Some times what a degree-hour's heat costs.
                let kelvin = self.body.capacity.get() / 1e3 * 0.5 + 0.1;
                let comfort = Comfort { below: usd(kelvin), above: usd(kelvin) };
                let lost = self.heater.earns_per_hour(self.heater.lowest());
                let start = lost * (BOOT_MINUTES as f64 / 60.0);
                let times = Times::default();
                let predictive = Predictive::new(self.body, PLAN_STEP, comfort, start, times);
                let (gain, reset_h) = self.pis[0];
                Control::Predictive(Box::new(predictive), pi(gain, reset_h))
            }
        };
        let times = match kind {
            Kind::Unlimited { .. } => Times {
                min_on: Duration::ZERO,
                min_off: Duration::ZERO,
                starts_per_day: usize::MAX,
            },
            _ => Times::default(),
        };
        Zone::new(control, Guard::new(times), Safety::new(self.twin.outlet().0))
    }

    pub fn run(&self, kind: Kind, set: f64) -> Outcome {
        let mut twin = self.twin.clone();
        let mut zone = self.zone(kind);
        let mut noise = Noise::new(self.seed + 77);
        let mut hygiene = Hygiene::new(Duration::from_secs(7 * 86_400));
        // A cycle ends as the season begins.
        let begin = Moment::from_secs(86_400);
        for at in [Moment::default(), begin] {
            hygiene.observe(at, Some(hygiene.hot));
        }
        let mut outcome = Outcome { set, ..Outcome::default() };
        let (mut drawn, mut booting, mut was_on) = (Watts::ZERO, 0, false);
        let mut ahead = Vec::new();
        let mut cycle = None;
        for minute in 0..self.days * 1440 {
            let now = begin.after(MINUTE * minute as u32);
            if let Twin::Tank(tank, ..) = &twin {
                hygiene.observe(now, Some(tank.bottom()));
                let capacity = self.body.capacity;
                cycle = hygiene.cycle(now, tank.mean(), capacity, self.heater.lowest());
                outcome.overdue += usize::from(hygiene.left(now).is_zero());
            }
            if kind == Kind::Predictive && minute % 30 == 0 {
                ahead = self.ahead(minute, set, &mut noise);
                if let Twin::Tank(tank, ..) = &twin {
                    let (mean, capacity) = (tank.mean(), self.body.capacity);
                    let power = self.heater.lowest();
                    hygiene.plan(now, mean, capacity, power, PLAN_STEP, &mut ahead);
                }
            }
            let outlet = twin.outlet().1;
            outcome.outlet = outcome.outlet.max(outlet.get());
            let wanted = Wanted {
                is: Some(Reading::new(twin.sensor(), now)),
                outlet: Some(Reading::new(outlet, now)),
                set_point: c(set),
                hygiene: cycle,
                drawn,
                ahead: &ahead,
            };
            let heating = zone.step(now, &wanted, &self.heater);
            outcome.limited += usize::from(heating.why == Reason::TooHot);
            drawn = heating.power;
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
            outcome.cold += self.pass(&mut twin, minute, drawn);
            outcome.mean += twin.felt().get() / (self.days * 1440) as f64;
            outcome.hot += (twin.felt().get() - self.hot).max(0.0) / 60.0;
        }
        outcome
    }

    /// Passes a minute; returns how much too cold it was.
    fn pass(&self, twin: &mut Twin, minute: usize, heat: Watts) -> f64 {
        let sky = self.skies[minute / 10];
        let is_open = self.open.contains(&(minute / 60 % 24));
        // What weighs each kelvin.
        let mut weight = if is_open { 1.0 / 60.0 } else { 0.0 };
        match twin {
            Twin::Room(house) => house.step(MINUTE, sky.air, sky.sun_w_m2, heat),
            Twin::Tank(tank, taps, circuit) => {
                let given = circuit.step(MINUTE, heat, tank.bottom());
                let tapped = taps.drawn(60 * minute as u64, MINUTE);
                let _: WattHours = tank.step(MINUTE, given, tapped);
                weight = tapped.kilowatt_hours();
            }
            Twin::Pool(pool) => pool.step(MINUTE, sky.air, sky.sun_w_m2, !is_open, heat),
        }
        weight * (self.comfort - twin.felt().get()).max(0.0)
    }

    /// What is known of the hours ahead: day-ahead prices, which come at 13 for the day after; air
    /// with an error of 1 K a day ahead; a sky of average clouds.
    fn ahead(&self, minute: usize, set: f64, noise: &mut Noise) -> Vec<Ahead> {
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
                let low = set - if shut { self.above_k } else { 0.0 };
                Ahead {
                    ambient: c(if in_house { 20.0 } else { air }),
                    gain: NetWatts::new(gain).unwrap(),
                    low: c(low),
                    high: c(self.high.unwrap_or(set + self.above_k)),
                    price: self.prices.at(then / 60).unwrap(),
                }
            })
            .collect()
    }
}
