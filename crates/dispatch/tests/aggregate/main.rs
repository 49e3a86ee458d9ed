//! Days of 2,000 homes as one resource, against made-up homes whose truth is known. 5 % do not do as
//! told, 1 % are silent at any time, 10 % report late, 3 % are opted out at any time. All
//! figures: `cargo test -p hearth-dispatch --release --test aggregate -- --ignored --nocapture`.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod day;
mod town;

use day::{Day, gini, worst};
use hearth_dispatch::aggregate::Setup;
use std::time::Duration;
use twin::energy::Warms;
use units::Ratio;

const HOUR: f64 = 3600.0;

fn setup() -> Setup {
    Setup { seed: 42, ..Setup::default() }
}

/// Steps of a minute are enough for what is given in a day: 15 times as many days are.
fn by_the_minute(lot: u64) -> Setup {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    Setup { stale: minutes(7), valid: minutes(5), settle: minutes(2), seed: lot, ..setup() }
}

/// Errors of what the account says was given, as a part of the truth, and in its own standard errors; and what
/// it says and the truth by kind of load, Wh.
struct Errors(Vec<(f64, f64)>, Vec<[(f64, f64); 3]>);

impl Errors {
    /// Of many towns with a lot each: a day alone, then calls for so many hours.
    fn of(
        seeds: std::ops::Range<u64>,
        homes: usize,
        hours: f64,
        setup: impl Fn(u64) -> Setup,
    ) -> Self {
        let error = |seed| {
            let setup = setup(seed);
            let mut day = Day::new(homes, 100 + seed, setup, 60.0);
            day.run(24.0 * HOUR, (24.0 + hours) * HOUR);
            let (given, truth) = day.sum().unwrap();
            let off = given.energy.get() - truth;
            let said = given.delivered(setup.meter, setup.confidence).unwrap();
            let (low, high) = (said.low.get() - truth, said.high.get() - truth);
            println!(
                "town and lot {seed}: {:+.2} %, said {:+.2} to {:+.2} %; rooms, tanks, machines, kWh said \
                 and true {:.0?}",
                100.0 * off / truth,
                100.0 * low / truth,
                100.0 * high / truth,
                day.seen.kinds.map(|(said, truth)| [said / 1e3, truth / 1e3]),
            );
            // Who gave is who is paid, whatever kind of load it is.
            let [_, _, (said, gave)] = day.seen.kinds;
            assert!((said / gave - 1.0).abs() < 0.15, "machines gave {gave} Wh, said {said}");
            ((off / truth, off / given.error().get()), day.seen.kinds)
        };
        let (errors, kinds) = seeds.map(error).unzip();
        Self(errors, kinds)
    }

    /// By how much a kind of load is credited with more than it gave, as a part of that, and the standard
    /// error of that.
    fn of_kind(&self, kind: Warms) -> (f64, f64) {
        let towns = self.1.len() as f64;
        let mean = |what: &dyn Fn((f64, f64)) -> f64| {
            self.1.iter().map(|kinds| what(kinds[kind as usize])).sum::<f64>() / towns
        };
        let (truth, off) = (mean(&|(_, truth)| truth), mean(&|(said, truth)| said - truth));
        let square = mean(&|(said, truth)| (said - truth - off).powi(2));
        (off / truth, (square / (towns - 1.0)).sqrt() / truth)
    }

    fn mean(&self) -> f64 {
        self.0.iter().map(|(part, _)| part).sum::<f64>() / self.0.len() as f64
    }

    fn deviation(&self) -> f64 {
        let squares = self.0.iter().map(|(part, _)| (part - self.mean()).powi(2)).sum::<f64>();
        (squares / (self.0.len() as f64 - 1.0)).sqrt()
    }

    /// How many lie within so many standard errors.
    fn within(&self, errors: f64) -> usize {
        self.0.iter().filter(|(_, own)| own.abs() <= errors).count()
    }

    /// Root of the mean square of the errors in standard errors: 1 where those are right.
    fn size(&self) -> f64 {
        (self.0.iter().map(|(_, own)| own * own).sum::<f64>() / self.0.len() as f64).sqrt()
    }
}

/// An hour alone, so that thermostats fall out of step, then two hours of calls.
#[test]
fn two_thousand_homes_follow_within_three_percent_and_nobody_is_cold() {
    let mut day = Day::new(2000, 1, setup(), 4.0);
    day.run(HOUR, 3.0 * HOUR);
    day.print("two hours");
    assert!(day.seen.errors.len() >= 23);
    assert!(worst(&day.seen.errors) <= 0.03, "{:?}", day.seen.errors);
    assert_eq!(day.seen.worst_discomfort, 0.0, "K beyond comfort");
    assert!(day.town.homes.iter().all(|linked| linked.told_while_out == 0));
    assert!(day.seen.delivered.len() >= 23 && day.seen.paid > 0);
}

/// 80 homes in each group, two lots of half a day.
#[test]
fn what_a_day_gave_is_neither_too_much_nor_too_little_and_as_sure_as_is_said() {
    let half_days = |seed| Setup {
        lot: Duration::from_secs(12 * 3600),
        rest: Duration::from_secs(6 * 3600),
        control: Ratio::new(0.2).unwrap(),
        ..by_the_minute(seed)
    };
    let errors = Errors::of(0..6, 400, 24.0, half_days);
    println!("mean {:+.4}, size {:.2}", errors.mean(), errors.size());
    assert!(errors.mean().abs() < 0.05, "{:?}", errors.0);
    assert!(errors.within(2.0) >= 5 && errors.within(3.0) == 6, "{:?}", errors.0);
    assert!((0.4..1.6).contains(&errors.size()), "as sure as is said: {:?}", errors.0);
}

/// The figures of docs/energy.md.
#[test]
#[ignore = "two and a half days of 2,000 homes, 30 times: minutes"]
fn thirty_towns_with_a_lot_each_show_no_bias() {
    let errors = Errors::of(0..30, 2000, 36.0, by_the_minute);
    let (mean, deviation) = (errors.mean(), errors.deviation());
    println!(
        "36 hours, 30 towns: mean error {:+.2} ± {:.2} %, deviation {:.2} %; {} within 1.98 standard \
         errors, whose size is {:.2} of what it should be",
        100.0 * mean,
        100.0 * deviation / 30f64.sqrt(),
        100.0 * deviation,
        errors.within(1.98),
        1.0 / errors.size()
    );
    for kind in [Warms::Room, Warms::Tank, Warms::Nothing] {
        let (off, error) = errors.of_kind(kind);
        println!(
            "  {kind:?}: credited with {:+.1} ± {:.1} % of what was given",
            100.0 * off,
            100.0 * error
        );
        assert!(off.abs() < 0.01 + 3.0 * error, "{kind:?} {off} ± {error}");
    }
    assert!(mean.abs() < 0.02, "{mean}");
    assert!(errors.within(1.98) >= 26, "{:?}", errors.0);
}

/// The figures of docs/energy.md.
#[test]
#[ignore = "two and a half days of 2,000 homes, twice: minutes"]
fn a_day_and_a_half_of_two_thousand_homes_through_a_change_of_lots() {
    let mut day = Day::new(2000, 7, setup(), 4.0);
    day.run(24.0 * HOUR, 60.0 * HOUR);
    day.print("a day and a half");
    // What fairness costs and brings: by flexibility alone, whatever each gave before.
    let flat = Setup { even: Duration::from_secs(1_000_000 * 3600), ..setup() };
    let mut plain = Day::new(2000, 7, flat, 4.0);
    plain.run(24.0 * HOUR, 60.0 * HOUR);
    plain.print("by flexibility alone");
    assert!(day.seen.errors.len() >= 431);
    assert!(worst(&day.seen.errors) <= 0.03, "{}", worst(&day.seen.errors));
    assert_eq!(day.seen.worst_discomfort, 0.0, "K beyond comfort");
    assert!(day.town.homes.iter().all(|linked| linked.told_while_out == 0));
    let uneven = |day: &Day| gini(&day.sorted(None, |linked| linked.hours));
    let (fair, plain) = (uneven(&day), uneven(&plain));
    assert!(fair <= 0.05 && fair < plain, "Gini {fair}, {plain} without credit");
    let held = day.seen.delivered.iter().filter(|d| d.2).count() as f64;
    assert!(held / day.seen.delivered.len() as f64 > 0.9, "{held}");
    let (given, truth) = day.sum().unwrap();
    let said = given.delivered(setup().meter, setup().confidence).unwrap();
    assert!((said.low.get()..=said.high.get()).contains(&truth), "{said:?} {truth}");
}
