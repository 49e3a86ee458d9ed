//! What starts and stops cost, and the least times on and off.

use super::*;

#[test]
fn a_start_penalty_in_money_holds_at_zero_and_negative_price() {
    // Running earns 0.10 at a price of 0; a start costs 0.25: two hours are too short, three are not.
    for (price, want, cost) in [
        (&[0.0, 0.0, 0.9][..], &[0, 0, 0][..], 0.0),
        (&[0.0, 0.0, 0.0], &[1, 1, 1], 0.25 - 0.30),
        (&[-0.02, -0.02, 0.9], &[0, 0, 0], 0.0),
        (&[-0.03, -0.03, 0.9], &[1, 1, 0], 0.25 - 0.26),
    ] {
        let mut p = site(price, vec![miners(1)]);
        p.classes[0].start_cost = usd(0.25);
        let plan = optimum(&p, want, cost);
        if want == [0, 0, 0] {
            assert_eq!(plan.intervals[0].why.limit, Limit::Starts(0));
        }
    }
}

#[test]
fn a_machine_that_started_runs_its_minimum_time() {
    let mut p = site(&[0.9, 0.02, 0.11, 0.9, 0.9], vec![miners(1)]);
    p.classes[0].min_on = 2 * HOUR;
    let plan = optimum(&p, &[0, 1, 1, 0, 0], -0.08 + 0.01);
    assert_eq!(plan.intervals[2].why.limit, Limit::MinOn(0));
    assert!((plan.intervals[2].why.per_kwh.unwrap().usd_per_kwh() - 0.01).abs() < 1e-6);
    // An hour at 0.9 is not worth the gain before.
    p.classes[0].min_on = 3 * HOUR;
    optimum(&p, &[0; 5], 0.0);
}

#[test]
fn minimum_times_are_carried_in_from_the_past() {
    let batch = |level, hours| Batch { count: 1, level, since: hours * HOUR };
    let mut p = site(&[0.9, 0.9, 0.9], vec![miners(1)]);
    p.classes[0].min_on = 3 * HOUR;
    p.classes[0].now = vec![batch(Some(0), 1)];
    optimum(&p, &[1, 1, 0], 1.6);
    let mut p = site(&[0.0, 0.0, 0.0], vec![miners(1)]);
    p.classes[0].min_off = 3 * HOUR;
    p.classes[0].now = vec![batch(None, 2)];
    let plan = optimum(&p, &[0, 1, 1], -0.2);
    assert_eq!(plan.intervals[0].why.limit, Limit::MinOff(0));
    p.classes[0].now = vec![batch(None, 3)];
    optimum(&p, &[1, 1, 1], -0.3);
}

#[test]
fn a_started_machine_of_a_group_does_not_lend_its_minimum_time_to_another() {
    let mut p = site(&[0.0, 0.2, 0.2], vec![miners(2)]);
    p.classes[0].min_on = 2 * HOUR;
    p.classes[0].now = vec![Batch { count: 1, level: Some(0), since: 9 * HOUR }];
    // The old one stops after the first hour; a second start would cost 0.1 and earn 0.1: no gain.
    p.import[0] = per_kwh(-0.01);
    optimum(&p, &[2, 1, 0], -0.22 + 0.1);
}

/// Miners that have long been on: an hour at five cents, so many at sixteen, one for which ten are paid.
fn dear_spell(hours: usize, count: u32, start: f64, stop: f64) -> Problem {
    let mut import = vec![0.16; hours + 2];
    (import[0], import[hours + 1]) = (0.05, -0.10);
    let now = vec![Batch { count, level: Some(0), since: 9 * HOUR }];
    let class = Class { start_cost: usd(start), stop_cost: usd(stop), now, ..miners(count) };
    site(&import, vec![class])
}

#[test]
fn a_machine_stays_on_through_a_dear_spell_that_costs_less_than_stopping_and_starting() {
    // An hour on loses 0.16 less the 0.10 that it earns; those before and after gain 0.05 and 0.20.
    let (loss, gain) = (0.06, 0.05 + 0.20);
    for (start, stop) in [(0.10, 0.05), (0.15, 0.0), (0.0, 0.15)] {
        let break_even = (start + stop) / loss;
        let mut stayed = 0;
        for hours in 1..=5 {
            let stays = (hours as f64) < break_even;
            let mut want = vec![u32::from(stays); hours + 2];
            (want[0], want[hours + 1]) = (1, 1);
            let spell = if stays { hours as f64 * loss } else { start + stop };
            let plan = optimum(&dear_spell(hours, 1, start, stop), &want, spell - gain);
            let changes = |of: fn(&ClassPlan) -> u32| {
                plan.intervals.iter().map(|i| of(&i.classes[0])).collect::<Vec<_>>()
            };
            let (mut starts, mut stops) = (vec![0; hours + 2], vec![0; hours + 2]);
            (starts[hours + 1], stops[1]) = (u32::from(!stays), u32::from(!stays));
            assert_eq!((changes(|c| c.starts), changes(|c| c.stops)), (starts, stops));
            stayed += u32::from(stays);
        }
        assert_eq!(stayed, 2, "two hours are below {break_even}, three above");
    }
}

#[test]
fn each_stop_is_paid_in_the_step_in_which_it_happens_and_each_start_in_its_own() {
    let plan = solved(&dear_spell(3, 4, 0.10, 0.05));
    let paid: Vec<f64> = plan.intervals.iter().map(|i| i.cost.get()).collect();
    let want = [-4.0 * 0.05, 4.0 * 0.05, 0.0, 0.0, 4.0 * (0.10 - 0.20)];
    assert!(paid.iter().zip(want).all(|(paid, want)| (paid - want).abs() < 1e-9), "{paid:?}");
    let sum: f64 = want.iter().sum();
    assert!((plan.cost.get() - sum).abs() < 1e-9, "{} instead of {sum}", plan.cost.get());
}

#[test]
fn a_stop_is_weighed_without_the_start_that_lies_beyond_the_plan() {
    // Dear to the end: the stop alone must pay, and for one that never ran it costs nothing.
    let dear = |hours: usize, stop: f64, start: f64| {
        let mut p = dear_spell(hours, 1, start, stop);
        p.import.pop();
        p
    };
    optimum(&dear(2, 0.13, 9.0), &[1, 1, 1], 0.12 - 0.05);
    optimum(&dear(3, 0.13, 9.0), &[1, 0, 0, 0], 0.13 - 0.05);
    let mut p = dear(3, 0.13, 9.0);
    p.classes[0].now.clear();
    optimum(&p, &[0; 4], 0.0);
}

#[test]
fn a_stop_that_nothing_avoids_is_paid_all_the_same() {
    let mut p = dear_spell(1, 2, 0.0, 0.07);
    p.classes[0].available = vec![2, 1, 2];
    // The dear hour costs the one that may stay on 0.06, a stop 0.07: one stays, one has to go.
    optimum(&p, &[2, 1, 2], -2.0 * 0.05 + 0.07 + 0.06 - 2.0 * 0.20);
}

#[test]
fn a_least_time_that_has_begun_holds_although_it_is_no_longer_than_a_step_and_changes_cost_nothing()
{
    let begun = |level, minutes: u32| Batch { count: 1, level, since: minutes * HOUR / 60 };
    for (minutes, want) in [(0, [0, 1]), (59, [0, 1]), (60, [1, 1])] {
        let mut p = site(&[0.0, 0.0], vec![miners(1)]);
        p.classes[0].min_off = HOUR;
        p.classes[0].now = vec![begun(None, minutes)];
        optimum(&p, &want, -0.1 * f64::from(want[0] + want[1]));
    }
    for (minutes, want) in [(0, [1, 0]), (59, [1, 0]), (60, [0, 0])] {
        let mut p = site(&[0.9, 0.9], vec![miners(1)]);
        p.classes[0].min_on = HOUR;
        p.classes[0].now = vec![begun(Some(0), minutes)];
        optimum(&p, &want, 0.8 * f64::from(want[0]));
    }
}
