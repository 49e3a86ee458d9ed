//! What is watched at every moment of a tuning, and the way back: limits, error counters, restarts,
//! silence, lost work, settings that are others than told.

use super::{Stage, Tuner};
use crate::{
    readings::Moment,
    tuner::{
        Action, Entry, Observation, Point,
        belief::{Seen, place, same},
        choose::{Avoid, MARGIN},
        look::Role,
        sequential,
    },
};
use std::time::Duration;
use units::{Celsius, Megahertz, Millivolts};

/// Without a chip temperature for this long nothing is safe.
const BLIND: Duration = Duration::from_secs(30);
/// Without verified work for this long nothing is known.
const WORKLESS: Duration = Duration::from_secs(60);
/// Two alarms of the error counter within this are one too many.
const ALARMS: Duration = Duration::from_secs(5);
/// Settings that are remembered as left.
const SHUNNED: usize = 256;
/// A chip that was told to draw less has this long to cool.
const COOLS: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Watch {
    pub(super) alarm: Option<Moment>,
    chip: Option<Moment>,
    work: Option<Moment>,
    shares: Option<u64>,
    restarts: u32,
    /// Error counters still tell of the setting before until then.
    deaf: Option<Moment>,
    pub(super) regulator: Option<f64>,
    pub(super) inlet: Option<f64>,
    cooling: Option<(Moment, f64)>,
    hot: Option<f64>,
}

pub(super) enum Doubt {
    Lossy(f64),
    Strained(String),
    Restarted,
    Other(String),
}

impl Tuner {
    pub(super) fn note(&mut self, seen: &Observation) {
        let told = &seen.readings;
        let watch = &mut self.watch;
        watch.hot = told.chip.map(Celsius::get).or(watch.hot);
        watch.inlet = told.inlet.map(Celsius::get).or(watch.inlet);
        if let (Some(chip), Some(regulator)) = (told.chip, told.regulator) {
            watch.regulator = Some(regulator.get() - chip.get());
        }
        watch.chip = if told.chip.is_some() { Some(seen.at) } else { watch.chip.or(Some(seen.at)) };
        let shares = seen.work.map(|work| work.shares);
        if watch.work.is_none() || (shares.is_some() && shares != watch.shares) {
            (watch.work, watch.shares) = (Some(seen.at), shares);
        }
    }

    /// A reason to leave at once.
    pub(super) fn doubt(&mut self, seen: &Observation) -> Option<Doubt> {
        let mut told = seen.readings.clone();
        told.power = seen.power.map(|(watts, _)| watts).or(told.power);
        let cooling = self.cooling(seen);
        let breach = self.envelope.limits.breaches(&told).into_iter().next();
        if let Some(breach) = breach.filter(|_| !cooling) {
            return Some(Doubt::Strained(breach.to_string()));
        }
        let home = same(self.here, self.last_good);
        if !home && !cooling && self.strained(seen) {
            return Some(Doubt::Strained("its chips come near their limit".into()));
        }
        if seen.restarted {
            return Some(Doubt::Restarted);
        }
        let older = |than: Duration, since: Option<Moment>| {
            since.is_some_and(|since| seen.at.since(since) > than)
        };
        if older(BLIND, self.watch.chip) {
            self.watch.chip = Some(seen.at);
            return Some(Doubt::Other("its chip temperature is not told any more".into()));
        }
        if older(WORKLESS, self.watch.work) {
            self.watch.work = Some(seen.at);
            return Some(Doubt::Other("its work does not reach the server any more".into()));
        }
        let settled = !matches!(self.stage, Stage::Returning | Stage::Arriving { .. });
        if settled && seen.setting.is_some_and(|setting| !same(setting, self.here)) {
            return Some(Doubt::Other("it is not set as it was told".into()));
        }
        if seen.work.is_some_and(|work| sequential::mostly_faulty(&work)) {
            return Some(Doubt::Lossy(2.0 * self.policy.abort_errors.get()));
        }
        let deaf = self.watch.deaf.is_some_and(|until| seen.at < until);
        let errors = seen.readings.errors.filter(|_| self.belief.trusted && !deaf);
        let high = errors.filter(|errors| *errors > self.policy.abort_errors);
        match (high, self.watch.alarm) {
            (Some(errors), Some(since)) if seen.at.since(since) <= ALARMS => {
                return Some(Doubt::Lossy(errors.get()));
            }
            (high, _) => self.watch.alarm = high.map(|_| seen.at),
        }
        None
    }

    /// On the way down: told to draw less, not hotter than it was then, and still given time.
    pub(super) fn cooling(&self, seen: &Observation) -> bool {
        self.watch.cooling.is_some_and(|(since, was)| {
            let now = seen.readings.chip.map_or(f64::MAX, Celsius::get);
            seen.at.since(since) < COOLS && now <= was + 0.5
        })
    }

    /// Notes the temperature at which it is told to draw less.
    pub(super) fn cool(&mut self, at: Moment, to: Point) {
        let less = drawn(to) < drawn(self.here);
        self.watch.cooling = self.watch.hot.filter(|_| less).map(|chip| (at, chip));
    }

    pub(super) fn strained(&self, seen: &Observation) -> bool {
        let limit = self.envelope.limits.chip.get() - 0.5 * MARGIN.0;
        seen.readings.chip.is_some_and(|chip| chip.get() > limit)
    }

    pub(super) fn abort(&mut self, doubt: Doubt, at: Moment) -> Action {
        self.watch.alarm = None;
        // Heat is no reason to return to a setting that makes more of it.
        if matches!(doubt, Doubt::Strained(_)) && drawn(self.here) < drawn(self.last_good) {
            // Only what was measured is good: a trial that nobody saw well is no place to stay.
            let measured = self.belief.seen.iter().any(|seen| same(seen.point, self.here));
            self.last_good = if measured { self.here } else { self.cooler() };
        }
        let home = same(self.here, self.last_good);
        let why = match doubt {
            Doubt::Lossy(share) => {
                let chip = self.belief.seen.last().map_or(60.0, |seen| seen.chip);
                self.belief.cliff.saw(place(self.here, chip), share, 0.3);
                self.shun(Avoid::Lossy(self.here));
                if home {
                    self.last_good = self.safer();
                }
                format!("it loses {:.1} % of its hashes", share * 100.0)
            }
            Doubt::Strained(why) => {
                self.leave(home);
                why
            }
            Doubt::Restarted => {
                self.watch.restarts += u32::from(home);
                if !home {
                    // Too little voltage or too much heat: nobody knows which.
                    self.shun(Avoid::Lossy(self.here));
                    self.leave(home);
                } else if self.watch.restarts > 1 {
                    self.leave(home);
                }
                "the machine restarted".into()
            }
            Doubt::Other(why) => why,
        };
        self.return_to_last_good(at, why)
    }

    /// Remembers what had to be left, once, and not for ever more of it.
    pub(super) fn shun(&mut self, avoid: Avoid) {
        if self.avoid.contains(&avoid) {
            return;
        }
        if self.avoid.len() >= SHUNNED {
            self.avoid.remove(0);
        }
        self.avoid.push(avoid);
    }

    /// A setting that is too much for the machine: never again, or the next lower one from now on.
    fn leave(&mut self, home: bool) {
        if home {
            self.last_good = self.cooler();
        } else {
            self.shun(Avoid::Strained(self.here));
        }
    }

    pub(super) fn return_to_last_good(&mut self, at: Moment, why: String) -> Action {
        self.cool(at, self.last_good);
        let role = if self.first.is_none() { Role::First } else { Role::Step };
        let last_good = self.last_good;
        self.here = last_good;
        self.stage = Stage::Arriving { since: Some(at), role };
        self.watch.deaf = Some(at.after(self.policy.settle));
        // What is meant now; that it is so is written once it is read back. One that is on its way
        // there already needs no second row.
        let under_way = self.returning.replace((last_good, why.clone()));
        if under_way.is_none_or(|(to, _)| !same(to, last_good)) {
            self.entries.push(Entry::Applying { at, point: last_good, last_good });
        }
        Action::Abort { last_good, why }
    }

    /// The next measured setting that draws clearly less; a lower clock if there is none.
    fn cooler(&self) -> Point {
        let seen = &self.belief.seen;
        let here = seen.iter().find(|seen| same(seen.point, self.here)).map(|seen| seen.watts);
        let cooler = seen.iter().filter(|seen| here.is_some_and(|here| seen.watts < 0.95 * here));
        let nearest = cooler.max_by(|a, b| a.watts.total_cmp(&b.watts));
        let lower = self.moved(-25.0, 0.0);
        let lowest = || self.moved(0.0, -self.policy.step.get());
        nearest.map_or_else(
            || if same(lower, self.here) { lowest() } else { lower },
            |seen| seen.point,
        )
    }

    /// A setting that loses less than the one it is at: more voltage where limits leave room for it, a
    /// lower clock where not.
    pub(super) fn safer(&self) -> Point {
        let up = self.moved(0.0, self.policy.step.get());
        let limits = &self.envelope.limits;
        let chip = self.watch.hot.unwrap_or(60.0);
        let celsius = Celsius::new(chip).unwrap_or(Celsius::ZERO);
        let seen = self.belief.seen.iter().find(|seen| same(seen.point, self.here));
        let watts = seen.map_or(self.prior().power(self.here, celsius).get(), |seen| seen.watts);
        let here = Seen { point: self.here, chip, watts, lost: None };
        let there = self.belief.outlook(up, &here, self.watch.inlet);
        let cool = |limit: Celsius, t: f64| t <= limit.get() - MARGIN.0;
        let above = self.watch.regulator;
        let fits = cool(limits.chip, there.chip)
            && limits.power.is_none_or(|most| there.watts <= most.get() * (1.0 - MARGIN.1))
            && limits.regulator.zip(above).is_none_or(|(most, by)| cool(most, there.chip + by));
        if fits && !same(up, self.here) { up } else { self.moved(-25.0, 0.0) }
    }

    pub(super) fn moved(&self, mhz: f64, mv: f64) -> Point {
        let (f, v) = (self.envelope.frequency, self.envelope.voltage);
        let Point { frequency, voltage } = self.here;
        let near = |value: f64, low: f64, high: f64| value.clamp(low, high);
        Point {
            frequency: Megahertz::new(near(frequency.get() + mhz, f.low.get(), f.high.get()))
                .unwrap_or(frequency),
            voltage: Millivolts::new(near(voltage.get() + mv, v.low.get(), v.high.get()))
                .unwrap_or(voltage),
        }
    }
}

/// What grows with the power of a setting and needs no model.
fn drawn(point: Point) -> f64 {
    point.voltage.volts().powi(2) * point.frequency.get()
}
