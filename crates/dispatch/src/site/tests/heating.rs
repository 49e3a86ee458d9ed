//! A heating circuit whose water is as warm as the weather asks.

use super::*;
use crate::heat::HeatingCurve;

/// Radiators laid out for 60 °C at -10 °C outside, in a room of 20 °C; two machines heat their water.
fn circuit() -> World {
    let (mut setup, loads) = heated();
    let curve = HeatingCurve {
        design_outdoor: c(-10.0),
        design_supply: c(60.0),
        exponent: 1.3,
        fluid: (c(30.0), c(65.0)),
    };
    let body = &mut setup.zones[0];
    body.temperature = "water".into();
    body.set_point = c(20.0);
    body.curve = Some((curve, "outdoor".into()));
    // A kelvin is a hundred watts, now and later.
    body.control = Control::Pi(Pi::new(100.0, Duration::from_secs(1 << 30)));
    setup.price = false;
    let mut world = World::new(setup, loads);
    world.owner = Some(0.0);
    world
}

/// What 20 K above the room is of the design day's 40 K, for a part of the load.
fn supply(outdoor: f64) -> f64 {
    20.0 + 40.0 * ((20.0 - outdoor) / 30.0_f64).powf(1.0 / 1.3)
}

#[test]
fn the_colder_it_is_outside_the_warmer_the_water_and_the_more_the_machines_give() {
    let mut world = circuit();
    world.warm("water", 40.0);
    let mut drawn = Vec::new();
    for outdoor in [15.0, 5.0, 0.0, -5.0, -10.0] {
        world.warm("outdoor", outdoor);
        let decision = world.run(60, 0.05, None);
        let zone = &decision.zones[0];
        assert!((zone.set_point.get() - supply(outdoor)).abs() < 1e-6, "{outdoor}: {zone:?}");
        let short = (zone.set_point.get() - 40.0).max(0.0);
        // Below the half kilowatt that one machine takes, heat comes in portions of time.
        let asks = if short < 5.0 { 0.0 } else { 100.0 * short };
        assert!((zone.asks.get() - asks).abs() < 0.1, "{outdoor}: {zone:?}");
        drawn.push(world.drawn());
    }
    assert_eq!(drawn, [0.0, 0.0, 1_000.0, 1_500.0, 2_000.0]);
}

#[test]
fn water_that_machines_heat_follows_the_curve_through_a_cold_night() {
    let mut world = circuit();
    // 60 l of water and 50 W for each kelvin above the room, no more than machines can give.
    let (capacity, loss) = (70.0 * 3600.0, 50.0);
    let mut water = 40.0;
    for (outdoor, hours) in [(10.0, 6), (-5.0, 6), (10.0, 6)] {
        for _ in 0..hours * 3600 {
            world.warm("outdoor", outdoor);
            world.warm("water", water);
            world.step(0.05, None);
            water += (world.drawn() - loss * (water - 20.0)) / capacity;
        }
        // Without an integrator the water stays below by what its loss takes of a hundred watts a kelvin;
        // steps of half a kilowatt add to that.
        let short = supply(outdoor) - water;
        let want = loss * (supply(outdoor) - 20.0) / (loss + 100.0);
        assert!((short - want).abs() < 5.0, "{outdoor}: {water}, {short} instead of {want}");
    }
}

#[test]
fn weather_that_nobody_knows_counts_as_the_coldest_day_after_an_hour() {
    let mut world = circuit();
    world.warm("water", 42.0);
    world.warm("outdoor", 5.0);
    let known = world.run(60, 0.05, None).zones[0].set_point;
    assert!((known.get() - supply(5.0)).abs() < 1e-6);
    world.lost = vec![|is, was| {
        let weather = was.temperatures["outdoor"];
        is.temperatures.insert("outdoor".into(), weather);
    }];
    assert_eq!(world.run(3_600, 0.05, None).zones[0].set_point, known);
    assert_eq!(world.drawn(), 0.0);
    let blind = world.run(60, 0.05, None);
    assert_eq!(blind.zones[0].set_point, c(60.0), "never that of the room, which heats nothing");
    assert_eq!(world.drawn(), 2_000.0);
    assert!(!blind.zones[0].backup);
    // One that never came.
    let mut world = circuit();
    world.warm("water", 42.0);
    assert_eq!(world.run(1, 0.05, None).zones[0].set_point, c(60.0));
}
