//! A small home with one load that can wait: a room heated by machines, a tank with an element that is
//! on or off, or machines whose heat is not used. It does as it is told, or not, and knows nothing of who
//! tells it. Rooms and tanks are one capacity behind one loss; sizes and habits are made up from a seed.

use super::Noise;
use std::time::Duration;

/// What the load warms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warms {
    /// A room, at any power.
    Room,
    /// A tank of 300 litres, on or off.
    Tank,
    /// Nothing: any power, for as long as anybody likes.
    Nothing,
}

/// What a home knows of itself: net watts, and seconds that they can be held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Says {
    /// Drawn now.
    pub power: f64,
    /// Would be drawn left alone.
    pub own: f64,
    /// The least within comfort, and for how long; without end where absent.
    pub lowest: (f64, Option<f64>),
    /// The most.
    pub highest: (f64, Option<f64>),
    /// Distance of the powers it can be told.
    pub step: Option<f64>,
}

/// A home.
#[derive(Debug, Clone)]
pub struct Dwelling {
    /// What its load warms.
    pub warms: Warms,
    /// Whether it does as it is told.
    pub obeys: bool,
    /// Full power of the load, W.
    full: f64,
    /// Of the room's or tank's heat, Wh/K and W/K.
    capacity: f64,
    loss: f64,
    /// °C: now, wanted, and the bounds of comfort.
    degrees: f64,
    wanted: f64,
    least: f64,
    most: f64,
    /// The element's thermostat.
    on: bool,
    /// Power of the load, and of everything else, W.
    load: f64,
    others: f64,
    usual: f64,
    kettle: f64,
    noise: Noise,
    told: Option<(f64, f64)>,
    clock: f64,
    outdoor: f64,
}

/// The room of a tank, °C, and the strongest tap, W.
const CELLAR: f64 = 15.0;
const TAP: f64 = 1800.0;
/// The load follows within this time constant, seconds, as a machine does that changes power.
const LAG: f64 = 3.0;
/// Left to the bounds of comfort before the home says that it must heat, or may not, K.
const SPARE: f64 = 0.1;

impl Dwelling {
    /// One of many.
    pub fn new(warms: Warms, seed: u64) -> Self {
        let mut noise = Noise::new(seed);
        let size = noise.between(0.6, 1.6);
        let (full, capacity, loss, wanted, band) = match warms {
            Warms::Room => (4000.0 * size, 6000.0 * size, 125.0 * size, 21.0, 1.0),
            Warms::Tank => (2400.0, 350.0, 2.0, 55.0, 7.0),
            Warms::Nothing => (2500.0 * size, 1.0, 0.0, 0.0, 1.0),
        };
        let usual = noise.between(150.0, 500.0);
        Self {
            warms,
            obeys: true,
            full,
            capacity,
            loss,
            degrees: wanted + noise.between(-0.4, 0.4) * band,
            wanted,
            least: wanted - band,
            most: wanted + band,
            on: noise.uniform() < 0.15,
            load: 0.0,
            others: usual,
            usual,
            kettle: 0.0,
            noise,
            told: None,
            clock: 0.0,
            outdoor: 2.0,
        }
    }

    /// Tells it to draw so much, net, for so many seconds; `None` gives it back to itself.
    pub fn tell(&mut self, power: Option<f64>, seconds: f64) {
        self.told = power.map(|power| (power, self.clock + seconds));
    }

    /// How far beyond its bounds of comfort it is, K; 0 within.
    pub fn discomfort(&self) -> f64 {
        match self.warms {
            Warms::Nothing => 0.0,
            _ => (self.least - self.degrees).max(self.degrees - self.most).max(0.0),
        }
    }

    /// Net power now, W.
    pub fn power(&self) -> f64 {
        self.load + self.others
    }

    /// Lives on, at this time of day and outdoor temperature.
    pub fn step(&mut self, dt: Duration, hour: f64, outdoor: f64) {
        let dt = dt.as_secs_f64();
        (self.clock, self.outdoor) = (self.clock + dt, outdoor);
        let evening = 1.0 + 0.6 * ((hour - 19.0) * std::f64::consts::TAU / 24.0).cos();
        let around = self.others - self.kettle - self.usual * evening;
        let wandered = self.noise.wander(around, 40.0, dt, 300.0);
        if self.noise.happens(0.4, dt) {
            self.kettle = 1800.0;
        } else if self.noise.happens(20.0, dt) {
            self.kettle = 0.0;
        }
        self.others = (self.usual * evening + wandered).max(30.0) + self.kettle;
        if self.warms == Warms::Tank {
            self.on =
                (self.on && self.degrees < self.wanted + 3.0) || self.degrees < self.wanted - 3.0;
        }
        self.told = self.told.filter(|(_, until)| self.clock < *until);
        let wish = match self.told.filter(|_| self.obeys) {
            Some((power, _)) => self.nearest(power - self.others),
            None => self.alone(),
        };
        self.load += (wish - self.load) * (1.0 - (-dt / LAG).exp());
        let (ambient, taken) = match self.warms {
            Warms::Room => (outdoor, 0.0),
            Warms::Tank => (CELLAR, self.tapped(hour)),
            Warms::Nothing => return,
        };
        let heat = self.load - taken - self.loss * (self.degrees - ambient);
        self.degrees += heat * dt / 3600.0 / self.capacity;
    }

    /// What it says of itself.
    pub fn says(&self) -> Says {
        let off = (0.0, self.until(0.0, self.least + SPARE));
        let on = (self.full, self.until(self.full, self.most - SPARE));
        let alone = self.alone();
        let (low, high) = match self.warms {
            Warms::Nothing => ((0.0, None), (self.full, None)),
            // At a bound, what keeps it there.
            _ if self.degrees <= self.least + SPARE => ((alone, None), on),
            _ if self.degrees >= self.most - SPARE => (off, (alone, None)),
            _ => (off, on),
        };
        let net = |(load, lasts): (f64, Option<f64>)| (load + self.others, lasts);
        Says {
            power: self.power(),
            own: alone + self.others,
            lowest: net((low.0.min(alone), low.1)),
            highest: net((high.0.max(alone), high.1)),
            step: (self.warms == Warms::Tank).then_some(self.full),
        }
    }

    fn alone(&self) -> f64 {
        match self.warms {
            Warms::Room => {
                let holds = self.loss * (self.wanted - self.outdoor);
                (holds + 2000.0 * (self.wanted - self.degrees)).clamp(0.0, self.full)
            }
            Warms::Tank if self.on => self.full,
            Warms::Tank => 0.0,
            Warms::Nothing => self.full,
        }
    }

    fn nearest(&self, load: f64) -> f64 {
        match self.warms {
            Warms::Tank if load < self.full / 2.0 => 0.0,
            Warms::Tank => self.full,
            _ => load.clamp(0.0, self.full),
        }
    }

    /// Seconds at this power until that temperature, the strongest tap taken for granted when cooling.
    fn until(&self, load: f64, bound: f64) -> Option<f64> {
        let (ambient, tap) = match self.warms {
            Warms::Room => (self.outdoor, 0.0),
            Warms::Tank => (CELLAR, if load > 0.0 { 0.0 } else { TAP }),
            Warms::Nothing => return None,
        };
        let heat = load - tap - self.loss * (self.degrees - ambient);
        let away = bound - self.degrees;
        // The first slope is the steepest.
        (away * heat > 0.0).then(|| 3600.0 * self.capacity * away / heat)
    }

    /// Hot water as power, W: some all day, more in the morning and the evening, by bursts.
    fn tapped(&mut self, hour: f64) -> f64 {
        let busy = (6.0..9.0).contains(&hour) || (18.0..22.0).contains(&hour);
        let chance = if busy { 0.35 } else { 0.05 };
        // Bursts of ten minutes; which ones, the seed decides.
        let burst = (self.clock / 600.0) as u64;
        let mut lot = Noise::new(burst ^ (self.usual.to_bits() << 1));
        if lot.uniform() < chance { TAP * lot.between(0.4, 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_alone_homes_stay_within_comfort_and_told_ones_do_as_told() {
        for (warms, seed) in
            [(Warms::Room, 1), (Warms::Tank, 2), (Warms::Nothing, 3), (Warms::Room, 4)]
        {
            let mut home = Dwelling::new(warms, seed);
            for second in (0..86_400).step_by(4) {
                home.step(Duration::from_secs(4), f64::from(second) / 3600.0, -5.0);
                assert_eq!(home.discomfort(), 0.0, "{warms:?} at {second} s");
            }
            let says = home.says();
            home.tell(Some(says.lowest.0), 60.0);
            home.step(Duration::from_secs(30), 0.0, -5.0);
            // What its household draws less meanwhile, the machines may draw.
            let allowed = (says.lowest.0 - home.others).max(0.0) + 1.0;
            assert!(home.load < allowed || home.degrees <= home.least + SPARE);
            home.step(Duration::from_secs(60), 0.0, -5.0);
            home.step(Duration::from_secs(60), 0.0, -5.0);
            assert!((home.power() - home.says().own).abs() < 100.0, "on its own again");
        }
    }

    #[test]
    fn a_home_can_hold_its_lowest_for_as_long_as_it_says() {
        for (warms, seed) in [(Warms::Room, 5), (Warms::Tank, 6), (Warms::Tank, 7)] {
            let mut home = Dwelling::new(warms, seed);
            home.step(Duration::from_secs(60), 7.0, 0.0);
            let Says { lowest: (_, Some(lasts)), .. } = home.says() else {
                panic!("{warms:?} has no end")
            };
            home.tell(Some(0.0), lasts);
            let mut gone = 0.0;
            while gone < lasts {
                home.step(Duration::from_secs(4), 7.0, 0.0);
                gone += 4.0;
                assert_eq!(home.discomfort(), 0.0);
            }
        }
    }
}
