//! A guard of a main breaker against the twin's breaker, over random overloads: it sheds before that
//! trips, and nothing that the breaker holds. Loads follow as late as the guard was told that they may.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use hearth_dispatch::local::{Breaker, Curve, Rating};
use proptest::prelude::*;
use std::{collections::VecDeque, time::Duration};
use units::{Moment, Ratio, Reading, Watts};

const RATED: f64 = 10_000.0;
const LONG: f64 = 0.8;
const DELAY: usize = 10;
const SECOND: Duration = Duration::from_secs(1);

fn w(watts: f64) -> Watts {
    Watts::new(watts.max(0.0)).unwrap()
}

/// What everything else on the circuit does after five quiet minutes, in parts of the rated current.
#[derive(Debug, Clone, Copy)]
struct Overload {
    peak: f64,
    /// Seconds until the peak, and at it.
    rises: usize,
    lasts: usize,
}

impl Overload {
    fn others(&self, quiet: f64) -> Vec<f64> {
        let peak = self.peak.max(quiet);
        let part = |at: usize| quiet + (peak - quiet) * at as f64 / self.rises as f64;
        let calm = std::iter::repeat_n(quiet, 300);
        let rise = (1..=self.rises).map(part);
        calm.chain(rise).chain(std::iter::repeat_n(peak, self.lasts)).collect()
    }
}

/// What the others draw in quiet times, and their overloads. What comes from rest can be foreseen by nobody;
/// a second one on top of one that the breaker carries can be survived by no breaker that holds just that.
fn overloads() -> impl Strategy<Value = (f64, Vec<Overload>)> {
    let inrush = (0.5..1.9, 1usize..=1, 1usize..4);
    let step = (0.3..1.12, 1usize..=1, 5usize..1200);
    let ramp = (0.3..1.12, 20usize..300, 5usize..1200);
    let one = prop_oneof![inrush, step, ramp].prop_map(|(peak, rises, lasts)| Overload {
        peak,
        rises,
        lasts,
    });
    (0.0..0.7, proptest::collection::vec(one, 1..6))
}

/// Loads that want all of 12 kW and do as they are told after the delay.
struct Loads {
    told: VecDeque<f64>,
    draw: f64,
}

impl Loads {
    fn new() -> Self {
        Self { told: VecDeque::from(vec![0.0; DELAY]), draw: 0.0 }
    }

    fn tell(&mut self, ceiling: f64) {
        self.told.push_back(ceiling.min(12_000.0));
        self.draw = self.told.pop_front().unwrap();
    }
}

fn breaker(holds: f64, time_constant: Duration) -> twin::energy::Breaker {
    let spec = twin::energy::BreakerSpec { holds, time_constant, instant: 3.0, rated: w(RATED) };
    twin::energy::Breaker::new(spec)
}

/// Whether the breaker holds when all loads are told to go at the first second above what may flow for
/// long: sooner and lower nobody can shed.
fn can_be_saved(others: &[f64], mut breaker: twin::energy::Breaker) -> bool {
    let mut loads = Loads::new();
    others.iter().all(|others| {
        let total = others * RATED + loads.draw;
        breaker.step(SECOND, w(total));
        loads.tell(if total > 1.005 * LONG * RATED { 0.0 } else { (LONG - others) * RATED });
        !breaker.tripped()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_overload_that_shedding_can_end_trips_the_breaker_and_nothing_that_it_holds_is_shed(
        (quiet, overloads) in overloads(),
        // As slow as the guard was told, or slower.
        slower in 1.0..3.0_f64,
        holds in 1.13..1.40_f64,
    ) {
        let curve = Curve::default();
        let others: Vec<f64> = overloads.iter().flat_map(|one| one.others(quiet)).collect();
        let mut breaker = breaker(holds, curve.time_constant.mul_f64(slower));
        prop_assume!(can_be_saved(&others, breaker.clone()));
        let rating = Rating {
            rated: w(RATED),
            continuous: Ratio::new(LONG).unwrap(),
            curve,
            delay: Duration::from_secs(DELAY as u64),
        };
        let mut guard = Breaker::rated(rating, None);
        let mut loads = Loads::new();
        // Seconds above what may flow for long that were not taken back by as many within it; whether that
        // was a quarter of an hour; and whether the breaker was or would have been beyond what it holds.
        let (mut above, mut spent, mut beyond) = (0_u32, false, false);
        for second in 0..others.len() {
            // What the others will draw before the loads can follow, or would if they rose on.
            let ahead = others[second..].iter().take(DELAY + 4).copied().fold(0.0, f64::max);
            let rises = others[second.saturating_sub(3)..=second].windows(2).map(|two| two[1] - two[0]);
            let soon = ahead.max(others[second] + rises.fold(1.0, f64::min) * (DELAY + 3) as f64);
            let others = others[second];
            let total = others * RATED + loads.draw;
            breaker.step(SECOND, w(total));
            prop_assert!(!breaker.tripped(), "at {second} s with {total} W");
            let now = Moment::from_secs(second as u64);
            let asked = guard.step(now, Some(Reading::new(w(total), now)), w(loads.draw));
            let ceiling = asked.ceiling.unwrap().get();
            above = match total > 1.005 * LONG * RATED {
                true => above + 1,
                false => above.saturating_sub(1),
            };
            beyond = total > LONG * RATED + 1e-6
                && (beyond || soon * RATED + loads.draw > curve.holds * RATED);
            above = above.min(900);
            spent = above >= 899 || (spent && above > 0);
            prop_assert!(
                beyond || spent || ceiling >= loads.draw - 1e-6,
                "at {second} s of {total} W: {ceiling} W for loads of {} W", loads.draw
            );
            loads.tell(ceiling);
        }
    }
}
