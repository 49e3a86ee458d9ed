//! What the loss of each link means, alone and in pairs, at the moments at which it matters most. What is
//! expected is said here once more, link by link, and not taken from the code.

use super::{limits::droop, *};
use crate::heat::{Body as Model, Comfort, HeatingCurve, Predictive};
use units::{HeatCapacity, HeatLoss, Usd};

const STEP: Duration = Duration::from_secs(300);

/// A link's name, and what is left of it.
const LINKS: [(&str, Lose); 17] = [
    ("net power", |is, was| is.net = was.net),
    ("frequency", |is, was| is.frequency = was.frequency),
    ("charge", |is, was| is.charge = was.charge),
    ("generator", |is, was| is.generator = was.generator),
    ("fuel", |is, was| is.fuel = was.fuel),
    ("price", |is, _| is.price = None),
    ("room", |is, was| old(is, was, "room")),
    ("outlet", |is, was| old(is, was, "outlet")),
    ("water", |is, was| old(is, was, "water")),
    ("outdoor", |is, was| old(is, was, "outdoor")),
    ("hall", |is, was| old(is, was, "hall")),
    ("ahead", |is, _| is.ahead.clear()),
    // That its operator takes a call away is not heard: what was heard stays.
    ("calls", |_, _| {}),
    ("set-point", |is, _| is.set_point = None),
    ("owner", |is, _| is.owner = None),
    ("planned", |is, _| is.planned = None),
    ("alive", |is, was| is.alive = was.alive),
];

fn old(is: &mut Inputs<'_>, was: &Inputs<'_>, name: &str) {
    let reading = was.temperatures.get(name).copied();
    is.temperatures.extend(reading.map(|reading| (name.into(), reading)));
}

/// A moment at which links are lost: who holds the machines then.
#[derive(Clone, Copy)]
struct Worst {
    name: &'static str,
    others: f64,
    frequency: f64,
    charge: f64,
    hall: f64,
    room: f64,
    /// Import that a call leaves, which ends by itself later.
    call: Option<f64>,
    set_point: Option<f64>,
    owner: Option<f64>,
    planned: Option<f64>,
    price: f64,
}

/// All run: it is cold, power is cheap, and nobody says anything.
const ALL_RUN: Worst = Worst {
    name: "all run",
    others: 500.0,
    frequency: 60.0,
    charge: 0.8,
    hall: 30.0,
    room: 15.0,
    call: None,
    set_point: None,
    owner: None,
    planned: None,
    price: 0.05,
};

const MOMENTS: [Worst; 13] = [
    ALL_RUN,
    Worst { name: "power is dear", price: 0.30, ..ALL_RUN },
    Worst { name: "heat waits for cheaper hours", price: 0.30, room: 20.0, ..ALL_RUN },
    Worst { name: "the plan holds machines down", planned: Some(1_000.0), ..ALL_RUN },
    Worst { name: "the plan holds machines up", planned: Some(6_000.0), price: 0.30, ..ALL_RUN },
    Worst { name: "the owner holds machines down", owner: Some(3_000.0), ..ALL_RUN },
    Worst { name: "an aggregator is followed", set_point: Some(6_500.0), ..ALL_RUN },
    Worst { name: "a call curtails", call: Some(5_500.0), ..ALL_RUN },
    Worst { name: "droop sheds", frequency: 58.5, ..ALL_RUN },
    Worst { name: "the import limit binds", others: 12_000.0, ..ALL_RUN },
    Worst { name: "the hall is hot", hall: 50.0, ..ALL_RUN },
    Worst { name: "the hall is too hot", hall: 56.0, ..ALL_RUN },
    Worst { name: "the battery is at its reserve", charge: 0.1, ..ALL_RUN },
];

/// Two machines heat a room as is cheapest, two a heating circuit, six are free.
fn site(connection: Connection) -> World {
    let (setup, mut loads) = heated();
    for load in &mut loads[2..4] {
        load.zone = Some("circuit".into());
    }
    let model = Model::mixed(HeatCapacity::new(8000.0).unwrap(), HeatLoss::new(200.0).unwrap());
    let comfort = Comfort { below: Usd::new(20.0).unwrap(), above: Usd::new(2.0).unwrap() };
    let times = setup.zones[0].times;
    let predictive = Predictive::new(model, STEP, comfort, Usd::ZERO, times);
    // Without an integral a kelvin is a kilowatt at any time.
    let pi = Pi::new(1_000.0, Duration::from_secs(1 << 30));
    let home = Body {
        outlet: Some("outlet".into()),
        control: Control::Predictive(Box::new(predictive), pi.clone()),
        ..setup.zones[0].clone()
    };
    let curve = HeatingCurve {
        design_outdoor: c(-10.0),
        design_supply: c(55.0),
        exponent: 1.3,
        fluid: (c(30.0), c(65.0)),
    };
    let circuit = Body {
        name: "circuit".into(),
        temperature: "water".into(),
        set_point: c(20.0),
        curve: Some((curve, "outdoor".into())),
        control: Control::Pi(pi),
        ..setup.zones[0].clone()
    };
    let off_grid = connection == Connection::OffGrid;
    let engine = genset::Limits {
        rated: w(20_000.0),
        nominal: Hertz::new(60.0).unwrap(),
        lowest: r(0.2),
        highest: r(0.9),
        step: r(0.1),
        block: w(500.0),
        patience: Duration::from_secs(60),
    };
    let setup = Setup {
        connection,
        import_limit: Some(w(20_000.0)),
        engine: off_grid.then_some(engine),
        droop: (!off_grid).then(droop),
        reserve: Some(Reserve::new(r(0.2), r(0.3), off_grid)),
        hot: vec![("hall".into(), Derate::new(c(45.0), c(55.0), r(0.25)))],
        dead_man: Some(Duration::from_secs(30)),
        zones: vec![home, circuit],
        ..setup
    };
    World::new(setup, loads)
}

/// What the machines draw so many seconds after these links were lost, by what each loss means.
fn stated(worst: &Worst, off_grid: bool, seconds: u64, lost: impl Fn(&str) -> bool) -> f64 {
    let gone = |link, after| lost(link) && seconds > after;
    let told = |link, word: Option<f64>| word.filter(|_| !lost(link));
    // A body that nobody measures is left to its backup heater, one whose outlet nobody measures is cut.
    let home = match worst.room < 20.0 {
        _ if gone("room", 600) || gone("outlet", 150) => 0.0,
        true => 2_000.0,
        // What is planned ahead holds to the end of its step; then a kelvin is a kilowatt.
        false if gone("ahead", STEP.as_secs()) => 1_000.0,
        false => 0.0,
    };
    // Its water is as warm as the weather asks; without that it is to be as warm as on the coldest day.
    let circuit = if gone("outdoor", 3600) && !gone("water", 600) { 2_000.0 } else { 0.0 };
    let heat = home + circuit;
    // Words that are gone leave the site to the next in rank; without a price nothing is bought. None of
    // them takes a body's heat: limits and calls do.
    let cheap = told("price", Some(worst.price)).is_some_and(|price| price < 0.1);
    let word = told("set-point", worst.set_point).map(|net| net - worst.others);
    let word = word.or(told("owner", worst.owner));
    let free = told("planned", worst.planned).unwrap_or(if cheap { 6_000.0 } else { 0.0 });
    let mut power = word.map_or(heat + free, |word| word.max(heat));
    // A call holds to its own end.
    if let Some(limit) = worst.call.filter(|_| seconds < CALL_S) {
        power = power.min(limit - worst.others);
    }
    // Droop stops where it stands for ten minutes: so much of all below the 8 kW before the event.
    if worst.frequency < 60.0 && !gone("frequency", 600) {
        power = power.min(8_000.0 - 10_000.0 * (1.5 - 0.02) / (3.0 - 0.02));
    }
    if off_grid {
        // An engine that cannot be read is unloaded to the bottom of its band, and no lower.
        let bottom = (0.2 * 20_000.0 + 500.0 - worst.others).max(0.0);
        let blind = lost("generator") || lost("fuel") || lost("frequency");
        let top = if blind { bottom } else { 0.9 * 20_000.0 - worst.others };
        power = power.clamp(bottom, top);
    }
    // The most that others ever drew counts while nobody reads it.
    power = power.min(20_000.0 - worst.others);
    let hall = match worst.hall {
        hall if hall >= 55.0 => 0.0,
        _ if lost("hall") => 0.25,
        hall => ((55.0 - hall) / 10.0).min(1.0),
    };
    power = power.min(10_000.0 * hall);
    let stops =
        worst.charge < 0.2 || lost("alive") || (off_grid && (lost("net power") || lost("charge")));
    if stops { 0.0 } else { power }
}

/// So long after the loss a call ends.
const CALL_S: u64 = 2_000;

fn lose(worst: &Worst, connection: Connection, links: &[&(&str, Lose)]) {
    let off_grid = connection == Connection::OffGrid;
    let mut world = site(connection);
    (world.others, world.charge) = (worst.others, worst.charge);
    (world.owner, world.planned) = (worst.owner, worst.planned);
    for (name, degrees) in [
        ("room", worst.room),
        ("hall", worst.hall),
        ("outlet", 30.0),
        ("outdoor", 10.0),
        ("water", 35.0),
    ] {
        world.warm(name, degrees);
    }
    world.ahead = (0..12)
        .map(|step| Ahead {
            ambient: Celsius::ZERO,
            gain: NetWatts::ZERO,
            low: c(19.0),
            high: c(22.0),
            price: EnergyPrice::per_kwh(if step < 6 { worst.price } else { 0.02 }).unwrap(),
        })
        .collect();
    let at_loss = world.second + 125;
    world.calls = Vec::from_iter(worst.call.map(|limit| Call {
        id: "call".into(),
        starts: UnixTime(0),
        ends: Some(UnixTime(at_loss + CALL_S)),
        asks: Called::ImportLimit(w(limit)),
        priority: 0,
    }));
    for _ in 0..60 {
        world.after(2, worst.price, worst.set_point);
    }
    world.frequency = worst.frequency;
    for _ in 0..5 {
        world.step(worst.price, worst.set_point);
    }
    assert_eq!(world.second, at_loss);
    let check = |world: &World, seconds, lost: &dyn Fn(&str) -> bool| {
        let want = stated(worst, off_grid, seconds, lost);
        // Machines go by steps of half a kilowatt.
        let want = (want / 500.0).floor() * 500.0;
        let names: Vec<&str> = links.iter().map(|link| link.0).collect();
        let moment = worst.name;
        assert_eq!(world.drawn(), want, "{moment}, {connection:?}, {seconds} s without {names:?}");
    };
    check(&world, 0, &|_| false);
    world.lost = links.iter().map(|link| link.1).collect();
    for (step, until) in [(5, 90), (10, 700), (120, 4_300)] {
        while world.second < at_loss + until {
            world.after(step, worst.price, worst.set_point);
        }
        check(&world, until, &|name| links.iter().any(|link| link.0 == name));
    }
}

fn lose_all_in_pairs(connection: Connection) {
    // An engine that lags has its own tests.
    let moments =
        MOMENTS.iter().filter(|worst| connection == Connection::Grid || worst.frequency == 60.0);
    for worst in moments {
        for (at, first) in LINKS.iter().enumerate() {
            lose(worst, connection, &[first]);
            for second in &LINKS[at + 1..] {
                lose(worst, connection, &[first, second]);
            }
        }
    }
}

#[test]
fn each_lost_link_has_its_stated_meaning_alone_and_in_pairs_on_the_grid() {
    lose_all_in_pairs(Connection::Grid);
}

#[test]
fn each_lost_link_has_its_stated_meaning_alone_and_in_pairs_off_the_grid() {
    lose_all_in_pairs(Connection::OffGrid);
}

#[test]
fn a_call_that_its_operator_takes_away_ends_and_one_that_nobody_hears_of_holds_to_its_end() {
    let call = |ends| Call {
        id: "peak".into(),
        starts: UnixTime(0),
        ends,
        asks: Called::ImportLimit(w(2_300.0)),
        priority: 0,
    };
    let mut world = World::new(Setup { price: true, ..Setup::default() }, machines());
    world.calls = vec![call(Some(UnixTime(world.second + 3_600)))];
    world.run(3_599, 0.05, None);
    assert_eq!(world.drawn(), 2_000.0, "no new list came for an hour");
    world.run(10, 0.05, None);
    assert_eq!(world.drawn(), 10_000.0);
    world.calls = vec![call(None)];
    world.run(7_200, 0.05, None);
    assert_eq!(world.drawn(), 2_000.0, "one without an end holds until it is withdrawn");
    world.calls.clear();
    world.run(10, 0.05, None);
    assert_eq!(world.drawn(), 10_000.0);
}

#[test]
fn own_sun_without_a_meter_keeps_what_was_used_on_the_grid_and_sheds_off_it() {
    for (connection, drawn) in [(Connection::Grid, 4_000.0), (Connection::OffGrid, 0.0)] {
        let setup = Setup { connection, surplus: Some(w(200.0)), ..Setup::default() };
        let mut world = World::new(setup, machines());
        world.others = -4_300.0;
        world.run(20, 0.05, None);
        assert_eq!(world.drawn(), 4_000.0);
        world.lost = vec![|is, was| is.net = was.net];
        let decision = world.run(600, 0.05, None);
        assert_eq!(world.drawn(), drawn, "{connection:?}");
        assert!(decision.warnings[0].contains("meter of net power is lost"));
    }
}
