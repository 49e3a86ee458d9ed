//! Everything believed of one machine: its power, its heat, its cliff, its health. Turns settings into
//! expectations; decides nothing.

use super::{
    Point, Prior,
    cliff::{Cliff, Place},
    gp::{Gp, Residual},
    rls::Rls,
};
use units::{Celsius, Hashrate, Watts};

/// Share of a power source's error that changes from reading to reading; the rest is a gain that it
/// has at every setting.
const JITTER: f64 = 0.2;
/// Least noise of a power reading, relative.
const LEAST_NOISE: f64 = 0.005;
/// Part of the prior variance of power that returns with each reading: chips age, dust gathers.
const DRIFT: f64 = 1e-6;
/// Air that is assumed where nothing measures it: usual, and as cold and as warm as it may be, °C.
const AIR: (f64, f64, f64) = (25.0, 15.0, 45.0);

/// A setting that was measured, in the units of the names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    pub(super) point: Point,
    pub(super) chip: f64,
    pub(super) watts: f64,
    /// Share of hashes lost, and its relative error; `None` if only work says that it is small.
    pub(super) lost: Option<f64>,
}

/// What a setting is expected to bring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outlook {
    pub(super) watts: f64,
    /// One standard deviation of the power, relative, without what all settings share.
    pub(super) unsure: f64,
    /// Hashes per second.
    pub(super) rate: f64,
    pub(super) chip: f64,
}

/// The belief.
#[derive(Debug, Clone)]
pub(super) struct Belief {
    prior: Prior,
    power: Rls<3>,
    residual: Gp,
    pub(super) cliff: Cliff,
    /// Proved over expected hashrate where no hash should be lost: dead cores make it less than one.
    pub(super) health: f64,
    /// Whether the machine's error counters agree with its work.
    pub(super) trusted: bool,
    pub(super) seen: Vec<Seen>,
}

impl Belief {
    pub(super) fn new(prior: Prior) -> Self {
        let mean = [prior.switching, prior.fixed, prior.leakage];
        // The small terms are less well known than the large one.
        let sure = prior.uncertainty;
        let deviation = [mean[0] * sure, mean[1] * 4.0 * sure, mean[2] * 4.0 * sure];
        Self {
            prior,
            power: Rls::new(mean, deviation, DRIFT),
            residual: Gp::default(),
            cliff: Cliff::new(&prior),
            health: 1.0,
            trusted: true,
            seen: Vec::new(),
        }
    }

    pub(super) fn prior(&self) -> &Prior {
        &self.prior
    }

    /// Takes one reading of the power.
    pub(super) fn power(&mut self, point: Point, chip: Celsius, watts: Watts, error: f64) {
        let noise = (error * JITTER).max(LEAST_NOISE) * watts.get();
        self.power.update(row(point, chip.get()), watts.get(), noise);
    }

    /// Takes what a setting showed.
    pub(super) fn saw(&mut self, seen: Seen) {
        if let Some(lost) = seen.lost {
            self.cliff.saw(place(seen.point, seen.chip), lost, 0.1);
        }
        self.seen.retain(|old| !same(old.point, seen.point));
        self.seen.push(seen);
        let residual = |seen: &Seen| {
            let model = self.power.predict(row(seen.point, seen.chip)).0;
            let (mhz, mv) = (seen.point.frequency.get(), seen.point.voltage.get());
            Residual { mhz, mv, value: seen.watts / model - 1.0 }
        };
        self.residual = Gp::of(self.seen.iter().map(residual).collect());
    }

    /// Forgets every bound that counters gave, because they lie.
    pub(super) fn distrust(&mut self) {
        self.trusted = false;
        self.cliff = Cliff::new(&self.prior);
        self.seen.clear();
        self.residual = Gp::default();
    }

    /// What a setting would bring, from how warm the machine is where it is.
    pub(super) fn outlook(&self, point: Point, here: &Seen, air: Option<f64>) -> Outlook {
        let (mut chip, mut model) = (here.chip, (here.watts, 0.0));
        let resistance = (here.chip - air.unwrap_or(AIR.0)).max(0.0) / here.watts.max(0.1);
        for _ in 0..4 {
            model = self.power.predict(row(point, chip));
            chip = here.chip + resistance * (model.0 - here.watts);
        }
        let (mhz, mv) = (point.frequency.get(), point.voltage.get());
        let (off, unsure) = self.residual.predict(mhz, mv);
        let watts = (model.0 * (1.0 + off)).max(0.1);
        let lost = self.cliff.lost(place(point, chip));
        Outlook {
            watts,
            unsure: unsure.hypot(0.3 * model.1 / watts),
            rate: self.full(point).hashes_per_second() * (1.0 - lost),
            chip: self.warmest(here, watts, chip, air),
        }
    }

    /// Hashrate of this machine at a clock if no hash were lost.
    pub(super) fn full(&self, point: Point) -> Hashrate {
        let full = self.prior.rate(point.frequency).hashes_per_second();
        Hashrate::from_hashes_per_second(full * self.health)
    }

    /// With unknown air, a chip is taken for as warm as it can become.
    fn warmest(&self, here: &Seen, watts: f64, usual: f64, air: Option<f64>) -> f64 {
        if air.is_some() {
            return usual;
        }
        let more = watts - here.watts;
        let air = if more > 0.0 { AIR.1 } else { AIR.2 };
        here.chip + (here.chip - air).max(0.0) / here.watts.max(0.1) * more
    }
}

/// Same setting within what firmware rounds.
pub(crate) fn same(a: Point, b: Point) -> bool {
    (a.frequency.get() - b.frequency.get()).abs() <= 3.2
        && (a.voltage.get() - b.voltage.get()).abs() <= 2.5
}

pub(super) fn place(point: Point, chip: f64) -> Place {
    Place { mhz: point.frequency.get(), mv: point.voltage.get(), chip }
}

fn row(point: Point, chip: f64) -> [f64; 3] {
    let volts = point.voltage.volts();
    [volts * volts * point.frequency.get(), 1.0, volts * ((chip - 60.0) / 15.0).exp()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::{Megahertz, Millivolts};

    fn point(mhz: f64, mv: f64) -> Point {
        Point { frequency: Megahertz::new(mhz).unwrap(), voltage: Millivolts::new(mv).unwrap() }
    }

    #[test]
    fn five_settings_tell_the_power_of_a_sixth_within_a_percent() {
        let truth = Prior { switching: 0.0215, fixed: 1.4, leakage: 0.9, ..Prior::GAMMA };
        let mut belief = Belief::new(Prior::GAMMA);
        let chip = |mv: f64| 25.0 + (mv - 900.0) / 7.0;
        for mv in [1150.0, 1130.0, 1110.0, 1090.0, 1070.0] {
            let celsius = Celsius::new(chip(mv)).unwrap();
            let watts = truth.power(point(500.0, mv), celsius);
            for _ in 0..5 {
                belief.power(point(500.0, mv), celsius, watts, 0.05);
            }
            belief.saw(Seen {
                point: point(500.0, mv),
                chip: chip(mv),
                watts: watts.get(),
                lost: Some(0.0),
            });
        }
        let here = belief.seen[4];
        let there = belief.outlook(point(420.0, 1010.0), &here, Some(25.0));
        let real = truth.power(point(420.0, 1010.0), Celsius::new(there.chip).unwrap()).get();
        assert!((there.watts / real - 1.0).abs() < 0.01, "{} {real}", there.watts);
    }

    #[test]
    fn with_unknown_air_a_step_up_is_taken_for_warmer_than_with_known_air() {
        let belief = Belief::new(Prior::GAMMA);
        let here = Seen { point: point(525.0, 1150.0), chip: 63.0, watts: 17.0, lost: None };
        let up = point(600.0, 1150.0);
        let known = belief.outlook(up, &here, Some(25.0)).chip;
        let unknown = belief.outlook(up, &here, None).chip;
        assert!(unknown > known + 0.5 && known > 65.0, "{unknown} {known}");
    }
}
