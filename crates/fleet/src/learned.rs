//! What a machine's watts really earn, learned while it runs: steady times give a power by the best meter
//! and a hashrate that our own Stratum server verified. Pure. Nothing that the machine says of its own
//! hashrate is used, and no power that nobody measured.
//!
//! The nameplate, drawn out along the ladder, is what is believed before; measured powers bend it to what
//! was proved there. Old measurements count less and less: chips age and dust gathers.

use crate::{
    curve::Curve,
    levels,
    power::{self, Estimate, Source, Sources},
    readings::Moment,
    settings::Settings,
    work::{Tally, Window, WorkScale},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use units::{Hashrate, Watts};

/// After a change nothing is learned for so long: clocks ramp and heat settles.
const SETTLES: Duration = Duration::from_secs(300);
/// A steady time of this length is one measurement, if it has this many shares (5 %).
const STEADY: Duration = Duration::from_secs(600);
const SHARES: u64 = 400;
/// Longest steady time: with few shares a machine is looked at for longer, but not for a day of weather.
const LONGEST: Duration = Duration::from_secs(4 * 3600);
/// Steady is a power within this of its mean.
const WITHIN: f64 = 0.05;
/// A longer silence ends a steady time.
const GAP: Duration = Duration::from_secs(90);
/// A measurement counts half after this long: about a season's half.
const HALF_LIFE: Duration = Duration::from_secs(45 * 24 * 3600);
/// Measurements this near in power are of one setting, relative.
const CELL: f64 = 0.04;
/// How far a machine may be off its leaflet: one standard deviation (fleet.md section 1, power 5 to 20 %).
const LEAFLET: f64 = 0.15;
/// Shares beyond this make a cell no surer: hashrate wanders by half a percent anyhow.
const MOST_SHARES: f64 = 40_000.0;
/// Points along the curve, and the least power that it goes down to, as a part of full.
const POINTS: u32 = 16;
const LEAST: f64 = 0.2;

/// What was learned of one machine.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    /// By the logarithm of power.
    cells: BTreeMap<i32, Cell>,
    steady: Option<Steady>,
}

/// What was proved near one power, to be kept while hearth is off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Proved {
    /// Mean power, watts.
    pub watts: f64,
    /// Verified hashrate, TH/s.
    pub ths: f64,
    /// Shares that it rests on, as they count now.
    pub shares: f64,
}

/// Measurements near one power: sums weighted by shares, as they count at `at`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    at: Moment,
    shares: f64,
    watts: f64,
    rate: f64,
}

#[derive(Debug, Clone)]
struct Steady {
    settings: Settings,
    since: Moment,
    last: Moment,
    from: Option<Tally>,
    watts: (f64, u32),
}

impl Learned {
    /// Takes what a machine draws, is set to and has proved so far. Gives whether that ended a
    /// measurement.
    pub fn take(
        &mut self,
        at: Moment,
        sources: &Sources,
        settings: &Settings,
        tally: Tally,
        scale: WorkScale,
    ) -> bool {
        let measured = |told: &Estimate| matches!(told.source, Source::Meter | Source::Firmware);
        let power = power::best(sources, at).filter(measured).map(|told| told.power.get());
        let (Some(watts), true) = (power, settings.mining != Some(false)) else {
            self.steady = None;
            return false;
        };
        let settings = what_counts(settings);
        let goes_on = self.steady.as_ref().is_some_and(|steady| {
            let mean = steady.watts.0 / f64::from(steady.watts.1.max(1));
            let near = steady.watts.1 == 0 || (watts / mean - 1.0).abs() <= WITHIN;
            steady.settings == settings && at.since(steady.last) <= GAP && near
        });
        if !goes_on {
            let (from, sums) = (None, (0.0, 0));
            self.steady = Some(Steady { settings, since: at, last: at, from, watts: sums });
        }
        let Some(steady) = &mut self.steady else { return false };
        steady.last = at;
        if at.since(steady.since) < SETTLES {
            return false;
        }
        steady.watts = (steady.watts.0 + watts, steady.watts.1 + 1);
        let from = *steady.from.get_or_insert(tally);
        let Some(window) = Window::between(&from, &tally, scale) else { return false };
        let enough = window.time >= STEADY && window.shares >= SHARES;
        if !enough && window.time < LONGEST {
            return false;
        }
        let mean = steady.watts.0 / f64::from(steady.watts.1);
        (steady.from, steady.watts) = (Some(tally), (0.0, 0));
        if enough {
            self.add(at, mean, &window);
        }
        enough
    }

    /// What is to be kept of it.
    pub fn keep(&self, now: Moment) -> Vec<Proved> {
        let proved = |cell: &Cell| {
            let (watts, rate, _) = cell.known(now);
            Proved { watts, ths: rate / 1e12, shares: cell.shares * cell.left(now) }
        };
        self.cells.values().map(proved).collect()
    }

    /// What was kept so long ago. What makes no sense is left out.
    pub fn recall(kept: &[Proved], ago: Duration, now: Moment) -> Self {
        let mut learned = Self::default();
        let left = left(ago);
        let sane = |proved: &&Proved| {
            let Proved { watts, ths, shares } = **proved;
            [watts, ths, shares].iter().all(|own| own.is_finite() && *own > 0.0)
        };
        for &Proved { watts, ths, shares } in kept.iter().filter(sane) {
            let shares = shares * left;
            learned.put(now, watts, shares, ths * 1e12);
        }
        learned.forget(now);
        learned
    }

    /// How many powers it was measured at.
    pub fn measured(&self) -> usize {
        self.cells.len()
    }

    /// The curve, as far as it is known now; `None` if nothing was measured. `nameplate` is what the leaflet
    /// or the operator says.
    pub fn curve(&self, nameplate: Option<&Curve>, now: Moment) -> Option<Curve> {
        let cells: Vec<_> = self.cells.values().map(|cell| cell.known(now)).collect();
        let highest = cells
            .iter()
            .map(|(watts, ..)| *watts)
            .fold(None, |most: Option<f64>, own| Some(most.map_or(own, |most| most.max(own))))?;
        let Some(nameplate) = nameplate else {
            return rising(cells.iter().map(|(watts, rate, _)| (*watts, *rate)).collect());
        };
        let leaflet = |watts: f64| {
            let power = Watts::new(watts).ok()?;
            Some(levels::rate(nameplate, power).hashes_per_second()).filter(|rate| *rate > 0.0)
        };
        // How much more than the leaflet says each power brings, drawn to it as far as it is unsure.
        let factors: Vec<(f64, f64)> = cells
            .iter()
            .filter_map(|(watts, rate, error)| {
                let (own, prior) = (error.powi(-2), LEAFLET.powi(-2));
                Some((*watts, (rate / leaflet(*watts)? * own + prior) / (own + prior)))
            })
            .collect();
        let full = nameplate.ceiling().get();
        let top = full.max(highest);
        let low = nameplate.floor().get().min(LEAST * full);
        let step = |i: u32| low + (top - low) * f64::from(i) / f64::from(POINTS - 1);
        let places = (0..POINTS).map(step).chain(factors.iter().map(|(watts, _)| *watts));
        rising(places.filter_map(|w| Some((w, leaflet(w)? * factor(&factors, w)))).collect())
    }

    fn add(&mut self, at: Moment, watts: f64, window: &Window) {
        let shares = window.shares as f64;
        let rate = window.rate().hashes_per_second();
        if !(watts > 0.0 && rate > 0.0) {
            return;
        }
        self.put(at, watts, shares, rate);
        self.forget(at);
    }

    fn put(&mut self, at: Moment, watts: f64, shares: f64, rate: f64) {
        let key = (watts.ln() / CELL).round() as i32;
        let none = Cell { at, shares: 0.0, watts: 0.0, rate: 0.0 };
        let cell = self.cells.entry(key).or_insert(none);
        let left = cell.left(at);
        *cell = Cell {
            at,
            shares: cell.shares * left + shares,
            watts: cell.watts * left + shares * watts,
            rate: cell.rate * left + shares * rate,
        };
    }

    /// What hardly counts any more is no memory of this machine.
    fn forget(&mut self, now: Moment) {
        self.cells.retain(|_, cell| cell.shares * cell.left(now) >= 0.1 * SHARES as f64);
    }
}

/// What is left of a measurement's weight after so long.
fn left(ago: Duration) -> f64 {
    (-ago.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
}

impl Cell {
    /// What is left of its weight.
    fn left(&self, now: Moment) -> f64 {
        left(now.since(self.at))
    }

    /// Watts, hashes a second, and the standard error of these, relative.
    fn known(&self, now: Moment) -> (f64, f64, f64) {
        let shares = (self.shares * self.left(now)).clamp(1.0, MOST_SHARES);
        (self.watts / self.shares, self.rate / self.shares, 1.0 / shares.sqrt())
    }
}

/// Between two measured powers straight, beyond them as at the nearest.
fn factor(known: &[(f64, f64)], watts: f64) -> f64 {
    let at = known.partition_point(|(w, _)| *w <= watts);
    match (at.checked_sub(1).and_then(|i| known.get(i)), known.get(at)) {
        (Some(low), Some(high)) => {
            low.1 + (high.1 - low.1) * (watts - low.0) / (high.0 - low.0).max(f64::MIN_POSITIVE)
        }
        (Some(one), None) | (None, Some(one)) => one.1,
        (None, None) => 1.0,
    }
}

/// A curve through points, without those that bring no more than one at less power.
fn rising(mut points: Vec<(f64, f64)>) -> Option<Curve> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut kept: Vec<(Watts, Hashrate)> = Vec::new();
    for (watts, rate) in points {
        let (Ok(watts), rate) = (Watts::new(watts), Hashrate::from_hashes_per_second(rate)) else {
            continue;
        };
        if kept.last().is_none_or(|last| last.0 < watts && last.1 < rate) {
            kept.push((watts, rate));
        }
    }
    Curve::new(kept).ok()
}

/// Settings that change what a machine draws or brings.
fn what_counts(settings: &Settings) -> Settings {
    Settings {
        pools: None,
        locating: None,
        target: None,
        fan: None,
        fan_auto: None,
        ..settings.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readings::Reading;
    use units::Work;

    /// The ladder of an S19k Pro (fleet.md section 5), of a machine that needs 6 % more power than that and
    /// of which 4 % of the chips are dead.
    fn truth(mhz: f64) -> (f64, f64) {
        let watts = 1.06 * (200.0 + 2.446 * mhz + 0.003304 * mhz * mhz);
        (watts, 0.96 * 121.8e12 * mhz / 590.0)
    }

    fn nameplate() -> Curve {
        let rate = Hashrate::from_hashes_per_second(121.8e12);
        Curve::new(vec![(Watts::new(2794.0).unwrap(), rate)]).unwrap()
    }

    struct Bench {
        learned: Learned,
        now: u64,
        tally: Tally,
        taken: u32,
    }

    impl Bench {
        fn new() -> Self {
            Self { learned: Learned::default(), now: 1000, tally: Tally::default(), taken: 0 }
        }

        /// Runs so long at a setting, read every ten seconds, a share a second.
        fn run(&mut self, seconds: u64, watts: impl Fn(u64) -> f64, rate: f64, limit: f64) {
            for second in (0..seconds).step_by(10) {
                self.now += 10;
                let at = Moment::from_secs(self.now);
                self.tally.at = at;
                self.tally.accepted += 10;
                let work = self.tally.work.hashes() + 10.0 * rate;
                self.tally.work = Work::from_hashes(work);
                let told = Watts::new(watts(second)).unwrap();
                let firmware = Some(Reading::new(told, at));
                let sources = Sources { firmware, ..Sources::default() };
                let power_limit = Watts::new(limit).ok();
                let settings = Settings { power_limit, ..Settings::default() };
                let new = self.learned.take(at, &sources, &settings, self.tally, WorkScale::ONE);
                self.taken += u32::from(new);
            }
        }

        fn rate(&self, watts: f64) -> f64 {
            let curve =
                self.learned.curve(Some(&nameplate()), Moment::from_secs(self.now)).unwrap();
            curve.rate_at(Watts::new(watts).unwrap()).hashes_per_second()
        }
    }

    #[test]
    fn a_machine_that_is_not_as_its_leaflet_says_gets_the_curve_that_it_proved() {
        let mut bench = Bench::new();
        for mhz in [590.0, 340.0] {
            let (watts, rate) = truth(mhz);
            bench.run(3600 * 3, |_| watts, rate, watts);
        }
        assert_eq!(bench.learned.measured(), 2);
        for mhz in [240.0, 340.0, 440.0, 540.0, 590.0] {
            let (watts, rate) = truth(mhz);
            let leaflet = levels::rate(&nameplate(), Watts::new(watts).unwrap());
            let (off, was) =
                (bench.rate(watts) / rate - 1.0, leaflet.hashes_per_second() / rate - 1.0);
            println!(
                "{mhz} MHz: leaflet off by {:.1} %, learned by {:.1} %",
                100.0 * was,
                100.0 * off
            );
            assert!(off.abs() < 0.015 && off.abs() < was.abs(), "{mhz}: {off} {was}");
        }
    }

    #[test]
    fn what_was_measured_long_ago_gives_way_to_what_is_measured_now() {
        let mut bench = Bench::new();
        let (watts, rate) = truth(590.0);
        bench.run(24 * 3600, |_| watts, rate, watts);
        let fresh = bench.rate(watts);
        bench.now += 365 * 24 * 3600;
        bench.run(6 * 3600, |_| watts, 0.9 * rate, watts);
        assert!((fresh / rate - 1.0).abs() < 0.005, "{fresh} {rate}");
        assert!((bench.rate(watts) / rate - 0.9).abs() < 0.01, "{} {rate}", bench.rate(watts));
    }

    #[test]
    fn what_was_kept_counts_as_much_less_as_it_is_old() {
        let mut bench = Bench::new();
        for mhz in [590.0, 340.0] {
            let (watts, rate) = truth(mhz);
            bench.run(3600 * 3, |_| watts, rate, watts);
        }
        let now = Moment::from_secs(bench.now);
        let kept = bench.learned.keep(now);
        let text = serde_json::to_string(&kept).unwrap();
        let read: Vec<Proved> = serde_json::from_str(&text).unwrap();
        // Another run: its clock begins anew.
        let start = Moment::from_secs(3);
        let curve = |days: u64| {
            let ago = Duration::from_secs(days * 24 * 3600);
            Learned::recall(&read, ago, start).curve(Some(&nameplate()), start)
        };
        let before = bench.learned.curve(Some(&nameplate()), now).unwrap();
        let at = |curve: &Curve, watts: f64| {
            curve.rate_at(Watts::new(watts).unwrap()).terahashes_per_second()
        };
        let same = curve(0).unwrap();
        for watts in [1000.0, 2000.0, 2794.0] {
            assert!((at(&same, watts) / at(&before, watts) - 1.0).abs() < 1e-9);
        }
        let weight = |days: u64| {
            let ago = Duration::from_secs(days * 24 * 3600);
            Learned::recall(&read, ago, start).keep(start)[0].shares
        };
        assert!((weight(45) / weight(0) - 0.5).abs() < 1e-9);
        assert_eq!(curve(3650), None);
    }

    #[test]
    fn a_kept_line_that_makes_no_sense_is_left_out() {
        let good = Proved { watts: 15.0, ths: 1.0, shares: 4000.0 };
        let bad = [
            Proved { watts: f64::NAN, ..good },
            Proved { watts: -1.0, ..good },
            Proved { ths: f64::INFINITY, ..good },
            Proved { shares: 0.0, ..good },
        ];
        let now = Moment::from_secs(1);
        assert_eq!(Learned::recall(&bad, Duration::ZERO, now).measured(), 0);
        let all: Vec<_> = bad.into_iter().chain([good]).collect();
        assert_eq!(Learned::recall(&all, Duration::ZERO, now).keep(now).len(), 1);
    }

    #[test]
    fn what_is_not_steady_not_measured_or_not_proved_teaches_nothing() {
        let (watts, rate) = truth(590.0);
        let mut wanders = Bench::new();
        wanders.run(
            7200,
            |second| watts * if (second / 60).is_multiple_of(2) { 0.8 } else { 1.0 },
            rate,
            1.0,
        );
        let mut changes = Bench::new();
        (0..40).for_each(|limit| changes.run(600, |_| watts, rate, 1000.0 + f64::from(limit)));
        let mut idle = Bench::new();
        idle.run(7200, |_| watts, 0.0, 1.0);
        for (name, bench) in [("wanders", &wanders), ("changes", &changes), ("idle", &idle)] {
            assert_eq!(bench.learned.measured(), 0, "{name}");
            let now = Moment::from_secs(bench.now);
            assert_eq!(bench.learned.curve(Some(&nameplate()), now), None, "{name}");
        }
        let mut said = Learned::default();
        for second in 0..7200 {
            let at = Moment::from_secs(second);
            let sources = Sources { nameplate: Watts::new(2794.0).ok(), ..Sources::default() };
            let work = Work::from_hashes(second as f64 * rate);
            let tally = Tally { at, accepted: second, work, faulty: 0 };
            assert!(!said.take(at, &sources, &Settings::default(), tally, WorkScale::ONE));
        }
    }

    #[test]
    fn without_a_leaflet_the_curve_is_what_was_measured_and_always_rises() {
        let mut bench = Bench::new();
        // The last one proves less for more power: it is no part of a curve.
        for (watts, rate) in [(1500.0, 70e12), (2900.0, 117e12), (3200.0, 110e12)] {
            bench.run(7200, |_| watts, rate, watts);
        }
        let curve = bench.learned.curve(None, Moment::from_secs(bench.now)).unwrap();
        let watts: Vec<_> = curve.points().iter().map(|(watts, _)| watts.get().round()).collect();
        assert_eq!(watts, [1500.0, 2900.0]);
    }
}
