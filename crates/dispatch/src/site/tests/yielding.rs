//! A heated room that an aggregator may take so far.

use super::*;

/// The same room in a world without prices, told how far it may go.
fn yielding() -> World {
    let (mut setup, loads) = heated();
    setup.price = false;
    let loss = units::HeatLoss::new(200.0).unwrap();
    let model = crate::heat::Body::mixed(units::HeatCapacity::new(8000.0).unwrap(), loss);
    setup.zones[0].leeway = Some(Yields {
        leeway: crate::heat::Leeway { band_k: 1.0, doubt_k: 0.1 },
        model,
        ambient: "outdoor".into(),
    });
    let mut world = World::new(setup, loads);
    world.warm("room", 21.0);
    world
}

#[test]
fn a_room_within_its_comfort_is_offered_for_as_long_as_that_lasts_and_does_as_it_is_told() {
    let mut world = yielding();
    world.warm("room", 20.5);
    let decision = world.run(60, 0.0, None);
    let (flexible, zone) = (decision.flexible.unwrap(), &decision.zones[0]);
    // Everything else draws 300 W and eight machines draw 8 kW; half a kelvin calls for half a kilowatt.
    assert!(zone.alone > Watts::ZERO, "{zone:?}");
    assert_eq!(flexible.own.get(), 8_300.0 + zone.alone.get());
    assert_eq!(flexible.lowest.get(), 300.0);
    let lasts = flexible.lowest_for.unwrap();
    // Three quarters of 8 kWh/K, 0.5 K less 0.2 K of doubt, at 6.1 kW: nobody says how cold it is.
    assert_eq!(lasts.as_secs(), 17 * 60);
    assert_eq!(flexible.highest.get(), 10_300.0);
    assert!(flexible.highest_for.unwrap() > lasts, "1.5 K above and 2 kW do not hurry");

    let told = world.run(60, 0.0, Some(300.0));
    assert_eq!(world.drawn(), 0.0, "the room does without, too");
    assert_eq!(told.zones[0].asks, Watts::ZERO);
    let own = told.flexible.unwrap().own;
    assert!((own - flexible.own).get().abs() < 1.0, "left alone it would still heat: {own}");
    let told = world.run(60, 0.0, Some(10_300.0));
    assert_eq!(world.drawn(), 10_000.0, "and takes all that it can: {told:?}");
    world.run(60, 0.0, Some(5_300.0));
    let zone = world.levels[..2].iter().sum::<usize>();
    assert!(zone <= 2, "loads that heat nothing go first");
}

#[test]
fn comfort_and_safety_come_before_an_aggregators_word() {
    // Too cold, and nothing left: the room goes on as it would alone.
    let mut world = yielding();
    world.warm("room", 20.05);
    let decision = world.run(60, 0.0, Some(300.0));
    assert!(decision.zones[0].asks > Watts::ZERO, "{:?}", decision.zones[0]);
    assert!(decision.flexible.unwrap().lowest.get() > 300.0);
    // Too warm for more.
    let mut world = yielding();
    world.warm("room", 21.95);
    let decision = world.run(60, 0.0, Some(10_300.0));
    assert_eq!(decision.zones[0].asks, Watts::ZERO);
    assert_eq!(decision.flexible.unwrap().highest.get(), 8_300.0);
    // A temperature that nobody knows is nothing to offer.
    let mut world = yielding();
    world.lost = vec![|is, was| is.temperatures = was.temperatures.clone()];
    let decision = world.run(700, 0.0, Some(10_300.0));
    assert_eq!(decision.zones[0].offer, crate::heat::Offer::none(Watts::ZERO));
    // A limit stands, whatever was told.
    let mut world = yielding();
    world.warm("room", 20.5);
    world.calls = vec![Call {
        id: "call".into(),
        starts: UnixTime(0),
        ends: None,
        asks: Called::ImportLimit(Watts::new(4000.0).unwrap()),
        priority: 0,
    }];
    let decision = world.run(60, 0.0, Some(10_300.0));
    assert!(world.drawn() + 300.0 <= 4000.0, "{}", world.drawn());
    assert!(decision.flexible.unwrap().highest.get() <= 4000.0);
}
