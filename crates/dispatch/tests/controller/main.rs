//! What the real-time controller never does, whatever its loads, its targets and its luck: properties over
//! made-up loads, second by second.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod found;
mod world;

use hearth_dispatch::{
    load::{Load, LoadState},
    realtime::{Aim, FAST},
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use std::time::Duration;
use units::{Moment, NetWatts, Reading};
use world::{ALL_RAMPS, Recipe, World, load, recipe, watts};

/// 48 cases, always the same; with `PROPTEST_CASES` set so many others, anew each time.
fn cases() -> ProptestConfig {
    let seed = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => {
            return ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
        }
        None => proptest::test_runner::RngSeed::Fixed(1),
    };
    let (cases, failure_persistence) = (48, None);
    ProptestConfig { cases, failure_persistence, rng_seed: seed, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn no_load_starts_or_stops_within_its_least_times(
        recipes in prop::collection::vec(recipe(ALL_RAMPS, 0..400), 1..25),
        targets in prop::collection::vec((0.0..1.1, 5_u64..150), 4..12),
        renewed in any::<bool>(),
    ) {
        let loads: Vec<Load> = recipes.iter().enumerate().map(|(at, r)| load(at, r)).collect();
        let mut world = World::new(loads, |at| at % 3);
        let mut last: Vec<Option<u64>> = vec![None; world.loads.len()];
        for (part, seconds) in targets {
            let aim = world.aim(world.full() * part);
            if renewed {
                let loads = world.loads.clone();
                world.controller.set_loads(Moment::from_secs(world.second), &loads, |_| 0);
            }
            for _ in 0..seconds {
                let before = world.told.clone();
                world.step(aim);
                for at in 0..world.loads.len() {
                    let (was, is) = (before[at] > 0, world.told[at] > 0);
                    if was == is {
                        continue;
                    }
                    let times = world.loads[at].times;
                    let least = if was { times.min_on } else { times.min_off };
                    if let Some(last) = last[at].replace(world.second) {
                        let held = Duration::from_secs(world.second - last);
                        prop_assert!(held >= least, "load {at}: {held:?} instead of {least:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn commands_stay_between_floor_and_ceiling_as_far_as_loads_allow(
        recipes in prop::collection::vec(recipe(ALL_RAMPS, 0..200), 1..25),
        bounds in prop::collection::vec((-0.2..1.2, 0.0..1.0, 0.0..1.0, 3_u64..60), 4..16),
        within in any::<bool>(),
    ) {
        stays_between(&recipes, &bounds, within)?;
    }

    #[test]
    fn loads_that_draw_something_else_do_not_keep_the_meter_from_its_target(
        recipes in prop::collection::vec(recipe(ALL_RAMPS, 0..1), 12..40),
        lies in prop::collection::vec(0.0..1.0, 5),
        others in -3_000.0..3_000.0,
        parts in prop::collection::vec(0.3..0.7, 3),
    ) {
        reaches_target(&recipes, &lies, others, &parts)?;
    }

    #[test]
    fn without_a_meter_nothing_integrates(
        recipes in prop::collection::vec(recipe(ALL_RAMPS, 0..100), 1..20),
        part in 0.2..0.8,
        drift in -50.0..50.0,
        old in any::<bool>(),
    ) {
        let loads: Vec<Load> = recipes.iter().enumerate().map(|(at, r)| load(at, r)).collect();
        let mut world = World::new(loads, |_| 1);
        let aim = world.aim(world.full() * part);
        world.others = 300.0;
        world.run(300, aim);
        world.metered = false;
        // The first step may still use what was read before.
        let wanted = world.step(aim).wanted;
        let stuck = old.then(|| {
            Reading::new(NetWatts::new(world.sum()).unwrap(), Moment::from_secs(world.second - 60))
        });
        for second in 0..240 {
            world.others += drift;
            world.second += 1;
            let now = Moment::from_secs(world.second);
            // Loads say nothing either: what is learned of them is no integration.
            let step = world.controller.step(now, aim, &vec![
                LoadState { measured: None, answers: true, enabled: true };
                world.loads.len()
            ], stuck);
            prop_assert_eq!(step.wanted, wanted, "second {}", second);
        }
    }

    #[test]
    fn equal_loads_take_equal_turns(
        count in 4_usize..40,
        low in 0.1..0.45,
        high in 0.55..0.9,
        ramp in prop::sample::select(ALL_RAMPS),
        renewed in any::<bool>(),
    ) {
        let recipe = (1_000.0, 0.0, 0.1, 2, ramp, 0, 0, 0.0);
        let loads: Vec<Load> = (0..count).map(|at| load(at, &recipe)).collect();
        let mut world = World::new(loads, |_| 0);
        let mut starts = vec![0_u32; count];
        for cycle in 0..40 {
            let part = if cycle % 2 == 0 { high } else { low };
            let aim = world.aim(world.full() * part);
            if renewed {
                let loads = world.loads.clone();
                world.controller.set_loads(Moment::from_secs(world.second), &loads, |_| 0);
            }
            for _ in 0..200 {
                let before = world.told.clone();
                world.step(aim);
                for at in 0..count {
                    starts[at] += u32::from(before[at] == 0 && world.told[at] > 0);
                }
            }
        }
        let (least, most) = (starts.iter().min().unwrap(), starts.iter().max().unwrap());
        prop_assert!(most - least <= 2, "{starts:?}");
    }

    #[test]
    fn the_ceiling_counts_what_loads_are_metered_to_draw(
        recipes in prop::collection::vec(recipe(ALL_RAMPS, 0..1), 4..30),
        really in 1.0_f64..1.06,
        part in 0.3_f64..0.9,
    ) {
        let loads: Vec<Load> = recipes.iter().enumerate().map(|(at, r)| load(at, r)).collect();
        let mut world = World::new(loads, |_| 1);
        world.really = really;
        let ceiling = (world.full() * part).max(world.idle() * 1.1);
        // The target would have far more.
        let aim = Aim { ceiling: watts(ceiling), ..world.aim(world.full() * 2.0) };
        world.run(420, aim);
        // What all come to draw if no further command arrives. A load that has just moved is taken for what
        // its level says until its own reading shows more.
        let since = |at: usize| world.second - world.from[at].1;
        let known = |at: usize| since(at) > world.loads[at].times.ramp_up.as_secs() + 25;
        let comes_to = |at: usize| {
            let nominal = world.loads[at].power_at(world.told[at]).get();
            if known(at) { nominal * really } else { nominal }
        };
        let sum: f64 = (0..world.loads.len()).map(comes_to).sum();
        prop_assert!(sum <= ceiling * 1.006, "{sum} above {ceiling}");
    }
}

/// Commands stay between floor and ceiling as far as loads allow.
fn stays_between(
    recipes: &[Recipe],
    bounds: &[(f64, f64, f64, u64)],
    within: bool,
) -> TestCaseResult {
    let loads: Vec<Load> = recipes.iter().enumerate().map(|(at, r)| load(at, r)).collect();
    let mut world = World::new(loads, |_| 0);
    let mut switched = vec![0; world.loads.len()];
    let (full, idle) = (world.full(), world.idle());
    for (part, one, other, seconds) in bounds.iter().copied() {
        let (floor, ceiling) = (full * f64::min(one, other), full * f64::max(one, other));
        let aim = Aim {
            target: NetWatts::new(full * part).unwrap(),
            ceiling: watts(ceiling),
            floor: watts(floor),
            within,
            ..world.aim(0.0)
        };
        for _ in 0..seconds {
            let before = world.told.clone();
            let wanted = world.step(aim).wanted.get();
            let set = world.commanded();
            let (mut down, mut up) = (Vec::new(), Vec::new());
            let (mut raised, mut fast_held) = (Vec::new(), false);
            for at in 0..world.loads.len() {
                let load = &world.loads[at];
                let corners = load.corners();
                let own = corners.iter().position(|c| *c == world.told[at]).unwrap();
                let times = load.times;
                let least = if before[at] > 0 { times.min_on } else { times.min_off };
                let switch = (before[at] > 0) != (world.told[at] > 0);
                let held = Duration::from_secs(world.second - switched[at]);
                let free = !switch && (held >= least || switched[at] == 0);
                if switch {
                    switched[at] = world.second;
                }
                let watts = |own: usize| load.power_at(corners[own]).get();
                let change = load.power_at(world.told[at]).get() - load.power_at(before[at]).get();
                let slow = times.ramp_up > FAST || times.ramp_down > FAST;
                fast_held |= !slow && world.told[at] > 0 && !free;
                if change > 0.0 {
                    raised.push((change, slow));
                }
                if own > 1 || (own == 1 && free) {
                    down.push(watts(own) - watts(own - 1));
                }
                if own + 1 < corners.len() && (own > 0 || free) {
                    up.push(watts(own + 1) - watts(own));
                }
            }
            // Where the target is a limit, it counts as the ceiling does. What would break one bound does
            // not count for the other.
            let most = if within && wanted > floor { wanted } else { ceiling };
            if set > most + 1.0 && set > idle + 1.0 {
                prop_assert!(down.is_empty(), "{set} is above {most}: {down:?} could go");
                // A slow one may have come in the place of a fast one that then turned out to be held on.
                raised.retain(|(watts, slow)| set - watts >= floor && !(*slow && fast_held));
                prop_assert!(raised.is_empty(), "{set} is above {most}, and {raised:?} came");
            }
            up.retain(|watts| set + watts <= most);
            if set < floor - 1.0 {
                prop_assert!(up.is_empty(), "{set} is below {floor}: {up:?} could come");
            }
        }
    }
    Ok(())
}

/// The meter comes to its target beside loads that draw something else.
fn reaches_target(recipes: &[Recipe], lies: &[f64], others: f64, parts: &[f64]) -> TestCaseResult {
    let loads: Vec<Load> = recipes.iter().enumerate().map(|(at, r)| load(at, r)).collect();
    let mut world = World::new(loads, |_| 1);
    let liars = world.loads.len() / 6;
    for (at, part) in lies.iter().enumerate().take(liars) {
        world.lies[at * 6] = Some(world.loads[at * 6].full().get() * part);
    }
    world.others = others;
    let lied: f64 = world.lies.iter().flatten().sum();
    let honest = |at: &usize| world.lies[*at].is_none();
    let reach: f64 =
        (0..world.loads.len()).filter(honest).map(|at| world.loads[at].full().get()).sum();
    for part in parts {
        let target = others + lied + reach * part;
        world.run(420, world.aim(target));
        let off = world.sum() - target;
        prop_assert!(
            off.abs() <= 0.55 * world.coarsest() + 0.005 * reach,
            "{off} W off {target} W, one step is {} W",
            world.coarsest()
        );
    }
    Ok(())
}

/// One load runs, another would earn more.
fn better(start: f64) -> usize {
    let one = |worth: f64, start: f64| (1_000.0, 0.0, worth, 2, 0, 900, 0, start);
    let loads = vec![load(0, &one(0.05, 0.0)), load(1, &one(0.06, start))];
    let mut world = World::new(loads, |at| 1 - at);
    world.run(60, world.aim(1_000.0));
    world.told[1]
}

#[test]
fn a_better_load_takes_the_place_of_one_that_runs_only_if_it_earns_its_start_back() {
    // A cent more a kilowatt-hour, less a fifth: 0.2 cents within the least quarter of an hour.
    assert_eq!(better(0.0), 1);
    assert_eq!(better(0.001), 1);
    assert_eq!(better(0.003), 0);
}

/// A large load would earn more than the small one that runs, below a ceiling that only the small one fits.
#[test]
fn a_better_load_for_which_there_is_no_room_neither_starts_nor_stops_another() {
    for least in [0, 300] {
        let small = (250.0, 0.0, 0.05, 2, 0, least, least, 0.0);
        let large = (2_920.0, 0.0, 0.15, 2, 0, least, least, 0.0);
        let mut world = World::new(vec![load(0, &small), load(1, &large)], |at| 1 - at);
        for _ in 0..60 {
            let aim = Aim { ceiling: watts(300.0), ..world.aim(300.0) };
            assert_eq!(world.step(aim).moves, [], "least times of {least} s");
        }
    }
}
