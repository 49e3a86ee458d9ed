//! Limits that act on the spot, in a site where others want something else: what is hot, and frequency.

use super::*;

/// Full power up to 45 °C in the hall, none from 55 °C on, a quarter while nobody knows.
fn hall(connection: Connection) -> World {
    let hot = vec![("hall".into(), Derate::new(c(45.0), c(55.0), r(0.25)))];
    let mut world =
        World::new(Setup { connection, price: true, hot, ..Setup::default() }, machines());
    world.warm("hall", 30.0);
    world
}

fn of_loss(decision: &Decision) -> Vec<&str> {
    decision.warnings.iter().map(|said| &**said).filter(|said| said.contains("lost")).collect()
}

#[test]
fn machines_draw_less_in_a_hot_hall_stop_in_one_too_hot_and_come_back_once_it_is_cool() {
    let mut world = hall(Connection::Grid);
    for (degrees, drawn) in [
        (45.0, 10_000.0),
        (48.0, 7_000.0),
        (51.0, 4_000.0),
        (49.0, 6_000.0),
        (55.5, 0.0),
        (46.0, 0.0),
        (45.0, 10_000.0),
    ] {
        world.warm("hall", degrees);
        let decision = world.run(10, 0.05, None);
        assert_eq!(world.drawn(), drawn, "{degrees}");
        assert_eq!(of_loss(&decision), Vec::<&str>::new());
        let limited = drawn < 10_000.0;
        assert_eq!(decision.target.mode == Mode::Safety, limited);
        assert_eq!(decision.target.why.starts_with("hall: "), limited, "{}", decision.target.why);
    }
}

#[test]
fn a_hall_whose_heat_is_that_of_its_machines_settles_where_they_are_allowed_just_what_they_draw() {
    let mut world = hall(Connection::Grid);
    // 25 °C outside, 4 K for each kilowatt, of which 63 % come in five minutes.
    let mut degrees = 25.0;
    let mut hottest = degrees;
    for _ in 0..7200 {
        world.warm("hall", degrees);
        world.step(0.05, None);
        degrees += (25.0 + 0.004 * world.drawn() - degrees) / 300.0;
        hottest = hottest.max(degrees);
    }
    // 25 + 4 P = 55 - P: 6 kW and 49 °C, within a step of half a kilowatt.
    assert!((world.drawn() - 6_000.0).abs() <= 500.0, "{}", world.drawn());
    assert!((degrees - 49.0).abs() < 1.0 && hottest < 50.0, "{degrees} {hottest}");
}

#[test]
fn a_lost_temperature_leaves_what_may_run_blind_on_and_off_the_grid_and_a_warning() {
    for connection in [Connection::Grid, Connection::OffGrid] {
        let mut world = hall(connection);
        world.run(10, 0.05, None);
        assert_eq!(world.drawn(), 10_000.0);
        world.lost = vec![|is, was| is.temperatures = was.temperatures.clone()];
        let young = world.run(60, 0.05, None);
        assert_eq!((world.drawn(), of_loss(&young).len()), (10_000.0, 0));
        let blind = world.run(10, 0.05, None);
        assert_eq!(world.drawn(), 2_500.0, "{connection:?}");
        let said = "temperature \"hall\" is lost: loads draw at most 2.50 kW until it is back";
        assert_eq!(of_loss(&blind), [said]);
        world.lost.clear();
        assert!(of_loss(&world.run(10, 0.05, None)).is_empty());
        assert_eq!(world.drawn(), 10_000.0);
        // One that is lost while it was too hot is still too hot.
        world.warm("hall", 56.0);
        world.run(10, 0.05, None);
        world.lost = vec![|is, _| is.temperatures.clear()];
        world.run(600, 0.05, None);
        assert_eq!(world.drawn(), 0.0, "{connection:?}");
    }
}

#[test]
fn loads_that_heat_nothing_make_room_in_a_hot_hall_before_those_that_heat() {
    let (mut setup, loads) = heated();
    setup.hot = vec![("hall".into(), Derate::new(c(45.0), c(55.0), r(0.0)))];
    let mut world = World::new(setup, loads);
    world.warm("room", 15.0);
    world.warm("hall", 52.0);
    world.run(60, 0.05, None);
    assert_eq!(world.drawn(), 3_000.0);
    assert_eq!(world.levels[..2], [2, 2]);
    world.warm("hall", 56.0);
    world.run(60, 0.05, None);
    assert_eq!(world.drawn(), 0.0, "what is too hot stops all");
}

#[test]
fn limits_stop_machines_that_have_not_run_their_least_time_and_nobody_else_does() {
    type Limit = fn(&mut World);
    let limits: [(Limit, f64); 4] = [
        (|world| world.warm("hall", 56.0), 0.0),
        (|world| world.lost = vec![|is, was| is.alive = was.alive], 0.0),
        (|world| world.others = 17_500.0, 2_500.0),
        (|world| world.charge = 0.1, 0.0),
    ];
    let young = || {
        let mut loads = machines();
        for load in &mut loads {
            load.times.min_on = Duration::from_secs(3_600);
        }
        let setup = Setup {
            price: true,
            import_limit: Some(w(20_000.0)),
            hot: vec![("hall".into(), Derate::new(c(45.0), c(55.0), r(0.25)))],
            reserve: Some(Reserve::new(r(0.2), r(0.3), false)),
            dead_man: Some(Duration::from_secs(30)),
            ..Setup::default()
        };
        let mut world = World::new(setup, loads);
        world.warm("hall", 30.0);
        world.run(20, 0.05, None);
        assert_eq!(world.drawn(), 10_000.0);
        world
    };
    for (at, (limit, left)) in limits.into_iter().enumerate() {
        let mut world = young();
        // Who was asked before to stop, and may not yet, is stopped all the same.
        world.run(60, 0.90, None);
        assert_eq!(world.drawn(), 5_000.0, "the price has them at their lowest level");
        limit(&mut world);
        let passed = world.run(40, 0.90, None);
        assert_eq!(world.drawn(), left, "{at}: {passed:?}");
        let mut world = young();
        limit(&mut world);
        let passed = world.run(40, 0.05, None);
        assert_eq!(world.drawn(), left, "{at}: {passed:?}");
    }
    let mut world = young();
    world.owner = Some(0.0);
    world.run(3_000, 0.05, None);
    assert_eq!(world.drawn(), 5_000.0);
}

#[test]
fn an_outlet_that_is_too_hot_stops_the_bodys_machines_before_their_least_time() {
    let (mut setup, mut loads) = heated();
    setup.zones[0].outlet = Some("outlet".into());
    for load in &mut loads {
        load.times.min_on = Duration::from_secs(3_600);
    }
    let mut world = World::new(setup, loads);
    world.warm("room", 15.0);
    world.warm("outlet", 30.0);
    world.run(60, 0.05, None);
    assert_eq!(world.drawn(), 10_000.0);
    world.warm("outlet", 54.0);
    let decision = world.run(2, 0.05, None);
    assert_eq!(world.levels[..2], [0, 0], "{:?}", decision.zones[0]);
    assert_eq!(world.drawn(), 8_000.0, "those that heat nothing run on");
}

/// Droop of 5 % beyond 0.02 Hz.
pub(super) fn droop() -> Droop {
    Droop::new(Hertz::new(60.0).unwrap(), Hertz::new(0.02).unwrap(), r(0.05), vec![])
}

#[test]
fn droop_acts_while_plan_price_owner_and_aggregator_want_something_else() {
    type Want = fn(&mut World) -> (f64, Option<f64>);
    // What all machines are wanted for, then what none is.
    let all: [Want; 4] = [
        |_| (-0.05, None),
        |world| {
            world.planned = Some(10_000.0);
            (0.9, None)
        },
        |world| {
            world.owner = Some(10_000.0);
            (0.9, None)
        },
        |_| (0.9, Some(10_300.0)),
    ];
    let none: [Want; 4] = [
        |_| (0.9, None),
        |world| {
            world.planned = Some(0.0);
            (-0.05, None)
        },
        |world| {
            world.owner = Some(0.0);
            (-0.05, None)
        },
        |_| (-0.05, Some(300.0)),
    ];
    for (wants, before, hertz) in [(all, 10_000.0, 59.0), (none, 0.0, 61.0)] {
        for (at, want) in wants.into_iter().enumerate() {
            let setup = Setup { price: true, droop: Some(droop()), ..Setup::default() };
            let mut world = World::new(setup, machines());
            let (price, set_point) = want(&mut world);
            world.run(20, price, set_point);
            assert_eq!(world.drawn(), before, "{at}");
            world.frequency = hertz;
            let decision = world.step(price, set_point);
            // (1 - 0.02) / (0.05 * 60 - 0.02) = 32.9 % of 10 kW, by steps of half a kilowatt.
            let moved = (world.drawn() - before).abs();
            assert!((3_289.0..=3_500.0).contains(&moved), "{at}: {moved}");
            assert_eq!(decision.target.mode, Mode::Droop, "{at}");
            world.frequency = 60.0;
            world.run(20, price, set_point);
            assert_eq!(world.drawn(), before, "{at}: back in the band others have their way");
        }
    }
}

#[test]
fn a_frequency_lost_off_the_grid_sheds_all_that_follows_it() {
    for hertz in [60.0, 59.0] {
        let (connection, droop) = (Connection::OffGrid, Some(droop()));
        let setup = Setup { connection, price: true, droop, ..Setup::default() };
        let mut world = World::new(setup, machines());
        world.run(20, 0.05, None);
        world.frequency = hertz;
        world.run(20, 0.05, None);
        assert!(world.drawn() > 6_000.0);
        world.lost = vec![|is, was| is.frequency = was.frequency];
        world.run(10, 0.05, None);
        assert!(world.drawn() > 6_000.0, "a gap of seconds is no loss");
        world.run(5, 0.05, None);
        assert_eq!(world.drawn(), 0.0, "{hertz}");
        world.run(1_000, 0.05, None);
        assert_eq!(world.drawn(), 0.0, "and stays so");
    }
}
