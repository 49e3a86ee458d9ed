//! Cases that random ones among thousands have found, each made as small as it goes.

use super::{
    reaches_target, stays_between,
    world::{World, load},
};

/// A load that was started for its merit and stopped for the ceiling in one step counted as just stopped: 2.9 kW
/// off for 35 s, while 9.57 of 9.76 kW were reached.
#[test]
fn a_load_started_and_stopped_in_one_step_is_not_held_off_when_the_floor_needs_it() {
    let recipes = [
        (2529.81318670894, 0.0, 0.16390768820088783, 4, 0, 0, 0, 0.0),
        (2436.971790715821, 0.0, 0.16152128914362004, 2, 0, 0, 70, 0.0),
        (2199.812858444193, 0.019201349545050723, 0.12174079675311762, 2, 0, 0, 0, 0.0),
        (500.0, 0.0, 0.02, 3, 40, 60, 39, 0.0),
        (1842.623288840602, 0.0, 0.02, 2, 0, 0, 0, 0.0),
        (2919.6287357736737, 0.0, 0.14867649871550612, 2, 40, 0, 35, 0.0),
        (2932.0004687907044, 0.0, 0.12759276312943915, 3, 0, 78, 1, 0.002741218064533833),
        (3500.067160612263, 0.019043113372591004, 0.02, 2, 0, 0, 70, 0.0),
    ];
    let bounds = [
        (0.0, 0.0, 0.0, 3),
        (0.0, 0.5165949702873462, 0.9816228101259723, 3),
        (0.0, 0.6356430202155172, 0.2150236698136029, 10),
        (0.0, 0.7611230068109194, 0.7033490903333783, 29),
        (0.10697276810566086, 0.0, 0.08523425993733943, 32),
        (0.0, 0.5172194419720146, 0.9920542817512131, 3),
    ];
    stays_between(&recipes, &bounds, false).unwrap();
}

/// Told to stop, it went 17 % of the way and stayed there: its arrival was put off for ever, and its 2.5 kW were
/// counted as on their way out.
#[test]
fn a_load_that_stands_still_on_its_way_is_not_waited_for() {
    let small = (500.0, 0.0, 0.02, 2, 0, 0, 0, 0.0);
    let of = |full, worth, ramp| (full, 0.0, worth, 2, ramp, 0, 0, 0.0);
    let recipes = [
        small,
        of(500.0, 0.131, 0),
        small,
        of(3581.0, 0.02, 0),
        small,
        of(1148.0, 0.02, 0),
        of(3031.0, 0.02, 8),
        small,
        small,
        of(2908.0, 0.02, 40),
        small,
        of(3928.0, 0.136, 0),
    ];
    reaches_target(&recipes, &[0.0, 0.8274133123299457], 0.0, &[0.3, 0.3, 0.3]).unwrap();
}

/// 6.5 kW of the best loads say that they run and draw nothing. What the merit order gave to them was not asked of
/// slow ones: 2.8 of 7.7 kW were missing.
#[test]
fn what_the_best_loads_do_not_draw_though_told_is_taken_from_slow_ones() {
    let small = |worth| (500.0, 0.0, worth, 2, 0, 0, 0, 0.0);
    let of = |full, worth, ramp| (full, 0.0, worth, 2, ramp, 0, 0, 0.0);
    let recipes = [
        of(3637.7352623198435, 0.18285841834771774, 0),
        small(0.02),
        of(3428.15557523149, 0.02, 40),
        of(2229.411222587992, 0.02, 40),
        small(0.02),
        small(0.02),
        of(2864.871256749438, 0.19517097331126365, 0),
        small(0.053933458916617216),
        of(1883.9986754238116, 0.16771834211547282, 0),
        of(500.0, 0.02, 40),
        small(0.02),
        small(0.06588628481099848),
    ];
    reaches_target(&recipes, &[0.0, 0.0], 0.0, &[0.3, 0.6975063321642095, 0.3]).unwrap();
}

/// A better load took the place of a smaller one, others went to make up for that, and came back in its place: 2.4 kW
/// off for 8 of every 13 s, without end.
#[test]
fn a_better_load_does_not_come_and_go_for_those_that_make_up_for_its_size() {
    let recipes = [
        (3_000.0, 0.0, 0.19, 2, 0, 0, 0, 0.0),
        (3_757.0, 0.0097, 0.0686, 2, 8, 0, 0, 0.0),
        (775.0, 0.0478, 0.0529, 3, 8, 0, 0, 0.0048),
        (1_964.2, 0.0, 0.0562, 2, 0, 0, 0, 0.0),
    ];
    let loads = recipes.iter().enumerate().map(|(at, recipe)| load(at, recipe)).collect();
    let mut world = World::new(loads, |_| 1);
    let target = 4_950.0;
    world.run(300, world.aim(target));
    let (mut moves, mut worst) = (0, 0.0_f64);
    for _ in 0..300 {
        moves += world.step(world.aim(target)).moves.len();
        worst = worst.max((world.sum() - target).abs());
    }
    // Less than half of the smallest step that could be taken.
    assert!(worst < 982.0 && moves == 0, "{worst} W off, {moves} moves");
}
