//! Baselines against made-up loads whose truth is known: how far off, how biased, and how often the
//! confidence interval holds the truth. `cargo test -p hearth-dispatch --test baseline -- --nocapture`
//! prints the figures of docs/energy.md. All loads are simulated from a seed.

#![expect(clippy::unwrap_used, reason = "tests, also outside of their #[test] functions")]

use hearth_dispatch::baseline::{
    Delivered, Estimate, METER_CLASS_1, MeterError, control, like_days, prior, work,
};
use proptest::prelude::*;
use rand::Rng;
use rand_distr::{Distribution, LogNormal, Normal, Poisson};
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng};
use units::{Difficulty, Efficiency, Ratio, WattHours, Work};

const RUNS: usize = 4000;

fn wh(wh: f64) -> WattHours {
    WattHours::new(wh.max(0.0)).unwrap()
}

fn ratio(r: f64) -> Ratio {
    Ratio::new(r).unwrap()
}

/// Of estimates and the truths: mean absolute error, bias, both of the truth, and coverage at 95 %.
struct Score {
    error: f64,
    bias: f64,
    covered: f64,
}

fn score(
    seed: u64,
    gain: f64,
    mut draw: impl FnMut(&mut Xoshiro256PlusPlus) -> (Estimate, f64),
) -> Score {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut error, mut bias, mut covered) = (0.0, 0.0, 0.0);
    for _ in 0..RUNS {
        let (mut baseline, would_have_drawn) = draw(&mut random);
        // The meter's gain is anywhere within its limit, for baseline and event alike. All was given up.
        let factor = 1.0 + random.random_range(-1.0..=1.0) * gain;
        baseline.energy = wh(baseline.energy.get() * factor);
        baseline.error = wh(baseline.error.get() * factor);
        let meter = MeterError(ratio(gain));
        let given = Delivered::new(&baseline, Some(wh(0.0)), meter, ratio(0.95)).unwrap();
        let off = given.energy.get() / would_have_drawn - 1.0;
        error += off.abs();
        bias += off;
        let holds = given.low.get() <= would_have_drawn && would_have_drawn <= given.high.get();
        covered += f64::from(u8::from(holds));
    }
    let n = RUNS as f64;
    Score { error: error / n, bias: bias / n, covered: covered / n }
}

fn report(what: &str, score: &Score) {
    let percent = |x: f64| 100.0 * x;
    println!(
        "{what:<60} error {:>6.2} %  bias {:>6.2} %  95 % interval holds {:>5.1} %",
        percent(score.error),
        percent(score.bias),
        percent(score.covered)
    );
}

#[test]
fn metered_miners_are_measured_to_a_percent_without_bias() {
    let noise = Normal::new(1.0, 0.01).unwrap();
    let mut draw = |random: &mut Xoshiro256PlusPlus| {
        let power = random.random_range(200.0..400.0);
        let mut one = || power * noise.sample(random);
        let before: Vec<_> = (0..12).map(|_| Some(wh(one()))).collect();
        let truth: f64 = (0..12).map(|_| one()).sum();
        (prior::metered_prior_interval(&before, 12).unwrap(), truth)
    };
    let alone = score(1, 0.0, &mut draw);
    report("miner, noise 1 %, prior hour, event of an hour", &alone);
    let class_1 = score(2, METER_CLASS_1, &mut draw);
    report("the same with a class 1 meter", &class_1);
    for seen in [&alone, &class_1] {
        assert!(seen.error <= 0.01 && seen.bias.abs() <= 0.005);
    }
    assert!((0.94..0.96).contains(&alone.covered), "{}", alone.covered);
    assert!(class_1.covered > 0.94, "{}", class_1.covered);
}

#[test]
fn a_control_group_of_a_hundred_homes_is_off_by_what_is_published_and_its_interval_holds() {
    // Coefficient of variation 1.1: what makes the published 11 % standard error at n = 100.
    let sigma = (1.0f64 + 1.1 * 1.1).ln().sqrt();
    let homes = LogNormal::new(-sigma * sigma / 2.0, sigma).unwrap();
    let draw = |sampled: LogNormal<f64>| {
        move |random: &mut Xoshiro256PlusPlus| {
            let control: Vec<_> =
                (0..100).map(|_| Some(wh(1000.0 * sampled.sample(random)))).collect();
            let truth: f64 = (0..1000).map(|_| 1000.0 * sampled.sample(random)).sum();
            (control::randomised(&control, 1000).unwrap(), truth)
        }
    };
    let seen = score(3, 0.0, draw(homes));
    report("control group of 100 homes for 1,000", &seen);
    // Mean absolute error of a normal law is 0.80 of its standard error.
    let standard = seen.error / 0.798;
    println!("{:<60} standard error {:.1} %", "", 100.0 * standard);
    assert!((0.10..0.13).contains(&standard), "{standard}");
    assert!(seen.bias.abs() < 0.01);
    // Skewed loads cost coverage; a normal law does not.
    assert!((0.90..0.96).contains(&seen.covered), "{}", seen.covered);
    let miners = LogNormal::new(0.0, 0.05).unwrap();
    let seen = score(4, 0.0, draw(miners));
    report("control group of 100 like miners for 1,000", &seen);
    assert!(seen.error < 0.01 && seen.bias.abs() < 0.005);
    assert!((0.94..0.96).contains(&seen.covered), "{}", seen.covered);
}

#[test]
fn like_days_are_as_far_off_as_their_placebo_events_say() {
    for (name, rule, noise) in [
        ("10 of 10, days differ by 10 %", like_days::CAISO_10_OF_10, 0.1),
        ("5 highest of 10, days differ by 10 %", like_days::CAISO_5_OF_10, 0.1),
        ("middle 8 of 10, days differ by 5 %", like_days::ERCOT_MIDDLE_8_OF_10, 0.05),
    ] {
        let (of_day, of_hour) = (Normal::new(1.0, noise).unwrap(), Normal::new(1.0, 0.03).unwrap());
        let seen = score(5, 0.0, |random| {
            let mut day = |ago| {
                let level = of_day.sample(random);
                let drawn = (0..24).map(|_| Some(wh(5000.0 * level * of_hour.sample(random))));
                like_days::Day { ago, alike: true, drawn: drawn.collect() }
            };
            let history: Vec<_> = (1..=10).map(&mut day).collect();
            let today = day(0).drawn;
            let truth: f64 = today[17..20].iter().flatten().map(|r| r.get()).sum();
            (rule.baseline(&today, &history, 17..20, 60).unwrap().estimate, truth)
        });
        report(name, &seen);
        assert!(seen.covered > 0.92, "{name}: {}", seen.covered);
        assert!(seen.error < noise, "{name}: {}", seen.error);
    }
}

#[test]
fn bounds_from_shares_hold_as_often_as_they_say() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(6);
    for mean in [0.5, 3.0, 20.0, 400.0] {
        let law = Poisson::new(mean).unwrap();
        let (mut above, mut below) = (0, 0);
        for _ in 0..RUNS {
            let shares = law.sample(&mut random) as u64;
            above += usize::from(work::most_expected(shares, 0.95) >= mean);
            below += usize::from(work::least_expected(shares, 0.95) <= mean);
        }
        let part = |n| n as f64 / RUNS as f64;
        println!(
            "shares expected {mean}: upper bound holds {:.3}, lower {:.3}",
            part(above),
            part(below)
        );
        assert!(part(above) > 0.94 && part(below) > 0.94, "{mean}");
    }
}

/// A thousand easy shares and few hard ones: by their number alone the hard ones' luck would be proof.
#[test]
fn work_of_shares_of_several_difficulties_is_proven_as_often_as_is_said() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let hardest = Difficulty::new(1e6).unwrap();
    let (easy, hard) = (Poisson::new(1000.0).unwrap(), Poisson::new(2.0).unwrap());
    let truth = Work::from_hashes(1000.0 * 1e3 + 2.0 * 1e6).hashes();
    let joule = Efficiency::new(1.0).unwrap();
    let per_wh = joule.joules_per_hash() * Difficulty::HASHES_PER_UNIT / 3600.0;
    let (mut by_hardest, mut by_number) = (0, 0);
    for _ in 0..RUNS {
        let (small, large): (f64, f64) = (easy.sample(&mut random), hard.sample(&mut random));
        let work = Difficulty::new(small * 1e3 + large * 1e6).unwrap().work();
        let holds = |proof: work::Proof| {
            usize::from(proof.least_energy(joule, ratio(0.99)).get() <= truth * per_wh)
        };
        by_hardest += holds(work::Proof::of(work, hardest));
        by_number += holds(work::Proof { shares: (small + large) as u64, work });
    }
    let part = |n| n as f64 / RUNS as f64;
    println!(
        "work of mixed shares, lower bound at 99 %: holds {:.3} by the hardest, {:.3} by their number",
        part(by_hardest),
        part(by_number)
    );
    assert!(part(by_hardest) > 0.99 && part(by_number) < 0.9);
}

proptest! {
    #[test]
    fn a_baseline_scales_with_what_was_drawn(
        values in prop::collection::vec(1.0..1e6f64, 10), times in 0.01..100.0f64,
    ) {
        let both = |of: &dyn Fn(&[f64]) -> Estimate| {
            let scaled: Vec<f64> = values.iter().map(|v| v * times).collect();
            (of(&values), of(&scaled))
        };
        let some = |v: &[f64]| v.iter().map(|v| Some(wh(*v))).collect::<Vec<_>>();
        let days = |v: &[f64]| {
            let day = |(n, v): (usize, &f64)| like_days::Day {
                ago: n as u32 + 1,
                alike: true,
                drawn: vec![Some(wh(*v)); 24],
            };
            let history: Vec<_> = v.iter().enumerate().map(day).collect();
            let today = vec![Some(wh(v[0])); 24];
            like_days::CAISO_5_OF_10.baseline(&today, &history, 12..15, 60).unwrap().estimate
        };
        for (one, more) in [
            both(&|v| prior::metered_prior_interval(&some(v), 4).unwrap()),
            both(&|v| control::randomised(&some(v), 30).unwrap()),
            both(&days),
        ] {
            prop_assert!((more.energy.get() / one.energy.get() / times - 1.0).abs() < 1e-9);
            prop_assert!((more.error.get() - one.error.get() * times).abs() <= 1e-6 * more.energy.get());
        }
    }

    #[test]
    fn more_confidence_is_a_wider_interval_around_the_same_energy(
        energy in 0.0..1e9f64, error in 0.0..1e6f64, metered in 0.0..1e9f64, freedom in 1.0..99.0f64,
    ) {
        let baseline = Estimate { energy: wh(energy), error: wh(error), freedom };
        let at = |c| Delivered::new(&baseline, Some(wh(metered)), MeterError(ratio(0.01)), ratio(c)).unwrap();
        let (narrow, wide) = (at(0.8), at(0.99));
        prop_assert_eq!(narrow.energy, wide.energy);
        prop_assert!(wide.low <= narrow.low && narrow.low <= narrow.energy);
        prop_assert!(narrow.energy <= narrow.high && narrow.high <= wide.high);
    }

    #[test]
    fn more_shares_prove_more_and_bounds_enclose_the_count(n in 0..100_000u64, c in 0.5..0.9999f64) {
        let (least, most) = (work::least_expected(n, c), work::most_expected(n, c));
        prop_assert!(least <= n as f64 && n as f64 <= most + 1e-9);
        prop_assert!(work::most_expected(n + 1, c) > most && work::least_expected(n + 1, c) > least);
    }
}
