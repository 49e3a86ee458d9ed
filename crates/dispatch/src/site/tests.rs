mod heating;
mod limits;
mod links;
mod yielding;

use super::*;
use crate::{
    heat::{Control, Hygiene, Medium, Pi, Safety, Times},
    load::tests::{load, watts as w},
};

fn net(watts: f64) -> NetWatts {
    NetWatts::new(watts).unwrap()
}

fn c(degrees: f64) -> Celsius {
    Celsius::new(degrees).unwrap()
}

fn r(part: f64) -> Ratio {
    Ratio::new(part).unwrap()
}

/// Ten machines of one kilowatt that each earn ten cents an hour, by steps of a half.
fn machines() -> Vec<Load> {
    (0..10).map(|i| load(&format!("m{i}"), &[(0.0, 0.0), (500.0, 0.05), (1000.0, 0.10)])).collect()
}

/// What a site is told in place of what is, given what it was told last: a reading grows old, a word is gone.
type Lose = fn(&mut Inputs<'_>, &Inputs<'_>);

/// A site and the world that its loads draw in: they obey at once.
struct World {
    site: Site,
    loads: Vec<Load>,
    levels: Vec<usize>,
    second: u64,
    others: f64,
    frequency: f64,
    charge: f64,
    temperatures: BTreeMap<Arc<str>, f64>,
    ahead: Vec<Ahead>,
    calls: Vec<Call>,
    owner: Option<f64>,
    planned: Option<f64>,
    /// Loads that draw nothing and do not answer.
    dead: Vec<usize>,
    /// Links that are lost, and what came before they were.
    lost: Vec<Lose>,
    before: Inputs<'static>,
}

impl World {
    fn new(setup: Setup, loads: Vec<Load>) -> Self {
        let mut site = Site::new(setup);
        site.set_loads(Moment::from_secs(1000), &loads, |_| 0);
        let levels = vec![0; loads.len()];
        Self {
            site,
            loads,
            levels,
            second: 1000,
            others: 300.0,
            frequency: 60.0,
            charge: 0.8,
            temperatures: BTreeMap::from([("room".into(), 19.0)]),
            ahead: Vec::new(),
            calls: Vec::new(),
            owner: None,
            planned: None,
            dead: Vec::new(),
            lost: Vec::new(),
            before: Inputs::default(),
        }
    }

    /// Sets a temperature.
    fn warm(&mut self, name: &str, degrees: f64) {
        self.temperatures.insert(name.into(), degrees);
    }

    fn drawn(&self) -> f64 {
        (0..self.loads.len()).map(|at| self.draws(at).get()).sum()
    }

    fn draws(&self, at: usize) -> Watts {
        let lives = !self.dead.contains(&at);
        if lives { self.loads[at].power_at(self.levels[at]) } else { Watts::ZERO }
    }

    fn step(&mut self, price: f64, set_point: Option<f64>) -> Decision {
        self.after(1, price, set_point)
    }

    /// What is decided so many seconds later.
    fn after(&mut self, seconds: u64, price: f64, set_point: Option<f64>) -> Decision {
        self.second += seconds;
        let now = Moment::from_secs(self.second);
        let drawn = self.drawn();
        let warm =
            |(name, degrees): (&Arc<str>, &f64)| (name.clone(), Reading::new(c(*degrees), now));
        let mut inputs = Inputs {
            now,
            utc: UnixTime(self.second),
            net: Some(Reading::new(net(self.others + drawn), now)),
            frequency: Some(Reading::new(Hertz::new(self.frequency).unwrap(), now)),
            charge: Some(Reading::new(r(self.charge), now)),
            generator: Some(Reading::new(w((self.others + drawn).max(0.0)), now)),
            fuel: Some(Reading::new(r(1.0), now)),
            price: Some(EnergyPrice::per_kwh(price).unwrap()),
            temperatures: self.temperatures.iter().map(warm).collect(),
            ahead: BTreeMap::from([("home".into(), self.ahead.clone())]),
            calls: &self.calls,
            set_point: set_point.map(net),
            owner: self.owner.map(w),
            planned: self.planned.map(w),
            alive: Some(now),
        };
        match &self.lost[..] {
            [] => self.before = Inputs { calls: &[], ..inputs.clone() },
            lost => lost.iter().for_each(|lose| lose(&mut inputs, &self.before)),
        }
        let read = |at| LoadState {
            measured: Some(Reading::new(self.draws(at), now)),
            answers: !self.dead.contains(&at),
            enabled: true,
        };
        let states: Vec<LoadState> = (0..self.loads.len()).map(read).collect();
        let decision = self.site.step(&inputs, &self.loads, &states);
        for one in &decision.moves {
            self.levels[one.load] = one.level;
        }
        decision
    }

    fn run(&mut self, seconds: u64, price: f64, set_point: Option<f64>) -> Decision {
        let mut last = None;
        for _ in 0..seconds {
            last = Some(self.step(price, set_point));
        }
        last.unwrap()
    }
}

#[test]
fn machines_run_while_they_earn_more_than_their_power_costs() {
    let mut world = World::new(Setup { price: true, ..Setup::default() }, machines());
    assert_eq!(world.run(10, 0.05, None).target.mode, Mode::Price);
    assert_eq!(world.drawn(), 10_000.0);
    world.run(10, 0.20, None);
    assert_eq!(world.drawn(), 0.0);
    world.run(10, -0.05, None);
    assert_eq!(world.drawn(), 10_000.0);
}

#[test]
fn a_site_knows_since_when_a_machine_has_been_on_or_off() {
    let mut world = World::new(Setup { price: true, ..Setup::default() }, machines());
    assert_eq!(world.site.since(0), None);
    world.run(30, 0.05, None);
    let on = world.site.since(0).unwrap();
    assert!(on <= Moment::from_secs(1010), "{on:?}");
    world.run(30, 0.20, None);
    let off = world.site.since(0).unwrap();
    assert!(off > Moment::from_secs(1030) && off <= Moment::from_secs(1040), "{off:?}");
    assert_eq!(world.site.since(10), None);
}

#[test]
fn a_price_that_trembles_around_break_even_switches_nothing() {
    let mut world = World::new(Setup { price: true, ..Setup::default() }, machines());
    world.run(10, 0.05, None);
    let mut moves = 0;
    for second in 0..600 {
        let price = if second % 2 == 0 { 0.1005 } else { 0.0995 };
        moves += world.step(price, None).moves.len();
    }
    assert_eq!(moves, 0);
    assert_eq!(world.drawn(), 10_000.0);
}

#[test]
fn machines_take_the_surplus_and_no_more() {
    let mut world = World::new(Setup { surplus: Some(w(200.0)), ..Setup::default() }, machines());
    world.others = -4_300.0;
    let decision = world.run(20, 0.05, None);
    assert_eq!(decision.target.mode, Mode::Surplus);
    assert_eq!(world.drawn(), 4_000.0);
    world.others = 500.0;
    world.run(20, 0.05, None);
    assert_eq!(world.drawn(), 0.0);
}

#[test]
fn a_call_curtails_and_the_machines_come_back_after_it() {
    let mut world = World::new(Setup { price: true, ..Setup::default() }, machines());
    world.run(10, 0.05, None);
    world.calls = vec![Call {
        id: "peak".into(),
        starts: UnixTime(world.second + 5),
        ends: Some(UnixTime(world.second + 65)),
        asks: Called::ImportLimit(w(2_300.0)),
        priority: 0,
    }];
    let decision = world.run(30, 0.05, None);
    assert_eq!(decision.target.mode, Mode::DemandResponse);
    assert!(decision.target.why.contains("peak"), "{}", decision.target.why);
    assert_eq!(world.drawn(), 2_000.0);
    world.run(60, 0.05, None);
    assert_eq!(world.drawn(), 10_000.0);
}

#[test]
fn an_aggregators_set_point_is_met_at_the_connection_point_although_others_draw_too() {
    let mut world = World::new(Setup { price: true, ..Setup::default() }, machines());
    world.others = 1_500.0;
    world.run(20, 0.05, Some(6_000.0));
    assert_eq!(world.drawn() + world.others, 6_000.0);
    world.others = 3_000.0;
    world.run(20, 0.05, Some(6_000.0));
    assert_eq!(world.drawn() + world.others, 6_000.0);
}

#[test]
fn a_plant_stays_constant_and_exports_what_was_asked_also_after_a_dead_man_held_the_machines() {
    let of = |value: f64| Watts::new(value).unwrap();
    let plant = Plant { output: of(20_000.0), ramp_per_minute: r(0.05), machines: of(10_000.0) };
    let dead_man = Some(Duration::from_secs(10));
    let setup = Setup { export: Some((plant, of(15_000.0))), dead_man, ..Setup::default() };
    let mut world = World::new(setup, machines());
    world.others = -19_700.0;
    world.lost = vec![|is, _| is.generator = None];
    let off = |world: &World, export: f64| (world.others + world.drawn() + export).abs();
    world.run(600, 0.0, None);
    assert!(off(&world, 15_000.0) <= 500.0, "{}", world.drawn());
    world.lost.push(|is, was| is.alive = was.alive);
    world.run(1800, 0.0, None);
    assert_eq!(world.drawn(), 0.0);
    world.lost.pop();
    world.run(20, 0.0, None);
    assert!(off(&world, 15_000.0) <= 500.0, "the trim stood still: {}", world.drawn());
    // Another export, no faster than the plant could ramp: a kilowatt a minute.
    world.run(60, 0.0, Some(-11_000.0));
    assert!(off(&world, 14_000.0) <= 500.0, "{}", world.drawn());
    world.run(600, 0.0, Some(-11_000.0));
    assert!(off(&world, 11_000.0) <= 500.0, "{}", world.drawn());
}

#[test]
fn the_breaker_wins_over_everybody() {
    let setup = Setup { price: true, import_limit: Some(w(5_000.0)), ..Setup::default() };
    let mut world = World::new(setup, machines());
    world.run(20, 0.0, Some(9_000.0));
    assert!(world.drawn() + world.others <= 5_000.0, "{}", world.drawn());
    world.others = 4_200.0;
    let decision = world.run(20, 0.0, None);
    assert_eq!(decision.target.mode, Mode::Safety);
    assert!(world.drawn() + world.others <= 5_000.0, "{}", world.drawn());
}

#[test]
fn computing_that_pays_more_runs_first() {
    let mut loads = machines();
    loads.push(load("ai", &[(0.0, 0.0), (3_000.0, 0.9)]));
    let mut world = World::new(Setup { price: true, ..Setup::default() }, loads);
    world.run(20, 0.05, Some(4_300.0));
    assert_eq!(world.levels[10], 1, "the computing load runs");
    assert_eq!(world.drawn(), 4_000.0);
    world.run(20, 0.2, None);
    assert_eq!(world.drawn(), 3_000.0, "above what hashing earns only computing goes on");
}

/// A room that two of the machines heat.
fn heated() -> (Setup, Vec<Load>) {
    let body = Body {
        name: "home".into(),
        temperature: "room".into(),
        outlet: None,
        set_point: c(21.0),
        curve: None,
        hygiene: None,
        control: Control::Pi(Pi::new(1_000.0, Duration::from_secs(3 * 3600))),
        times: Times { min_on: Duration::ZERO, min_off: Duration::ZERO, starts_per_day: 1000 },
        safety: Safety::new(Medium::Air),
        leeway: None,
    };
    let mut loads = machines();
    for load in &mut loads[..2] {
        load.zone = Some("home".into());
    }
    (Setup { price: true, zones: vec![body], ..Setup::default() }, loads)
}

#[test]
fn a_cold_room_is_heated_although_hashing_does_not_pay() {
    let (setup, loads) = heated();
    let mut world = World::new(setup, loads);
    let decision = world.run(60, 0.5, None);
    assert_eq!(decision.target.mode, Mode::Heat);
    let (heating, free) = world.levels.split_at(2);
    assert!(heating.iter().sum::<usize>() >= 3, "{heating:?}");
    assert!(free.iter().all(|level| *level == 0));
    // Below its lowest power the control gives portions of half an hour.
    world.warm("room", 25.0);
    world.run(3600, 0.5, None);
    assert_eq!(world.drawn(), 0.0);
}

#[test]
fn a_hygienic_cycle_heats_a_tank_without_its_backup_heater_and_shows_what_it_heats_to() {
    let (mut setup, loads) = heated();
    let capacity = units::HeatCapacity::of_water(300.0).unwrap();
    setup.zones[0].set_point = c(50.0);
    setup.zones[0].hygiene = Some((Hygiene::new(Duration::from_secs(7 * 86_400)), capacity));
    let mut world = World::new(setup, loads);
    world.warm("room", 50.0);
    // Longer than a body may be too cold.
    let decision = world.run(3600, 0.5, None);
    assert_eq!(decision.zones[0].set_point, c(63.0));
    assert_eq!(world.levels[..2], [2, 2]);
    assert!(!decision.zones[0].backup, "{:?}", decision.zones[0]);
}

#[test]
fn a_call_reaches_the_free_machines_first_and_the_heat_only_for_the_rest() {
    let (setup, loads) = heated();
    let mut world = World::new(setup, loads);
    world.run(60, 0.0, None);
    assert_eq!(world.drawn(), 10_000.0);
    world.calls = vec![Call {
        id: "a".into(),
        starts: UnixTime(0),
        ends: None,
        asks: Called::ImportLimit(w(2_300.0)),
        priority: 0,
    }];
    world.run(60, 0.0, None);
    assert_eq!(world.drawn(), 2_000.0);
    assert_eq!(world.levels[..2], [2, 2], "the room keeps its heat");
    world.calls[0].asks = Called::Simple(3);
    world.run(60, 0.0, None);
    assert_eq!(world.drawn(), 0.0);
}

#[test]
fn a_lost_price_buys_nothing_beyond_the_plan() {
    let mut world = World::new(Setup { price: true, ..Setup::default() }, machines());
    world.run(10, 0.05, None);
    world.lost = vec![|is, _| is.price = None];
    let decision = world.run(10, 0.05, None);
    assert_eq!(world.drawn(), 0.0);
    assert!(decision.target.why.contains("nobody says"), "{}", decision.target.why);
}

#[test]
fn an_aggregator_may_count_on_what_limits_and_calls_leave() {
    let bounds = |world: &mut World, price: f64, set_point: Option<f64>| {
        let flexible = world.run(60, price, set_point).flexible.unwrap();
        [flexible.lowest, flexible.own, flexible.highest].map(NetWatts::get)
    };
    let mut world = World::new(Setup { price: true, ..Setup::default() }, machines());
    // Everything else draws 300 W; machines earn 10 cents for each kilowatt-hour.
    assert_eq!(bounds(&mut world, 0.05, None), [300.0, 10_300.0, 10_300.0]);
    assert_eq!(bounds(&mut world, 0.20, None), [300.0, 300.0, 10_300.0]);
    let told = bounds(&mut world, 0.05, Some(4300.0));
    assert_eq!(told, [300.0, 10_300.0, 10_300.0], "its own word is not what the site would do");
    world.calls = vec![Call {
        id: "call".into(),
        starts: UnixTime(0),
        ends: None,
        asks: Called::ImportLimit(Watts::new(6000.0).unwrap()),
        priority: 0,
    }];
    let [lowest, own, highest] = bounds(&mut world, 0.05, None);
    assert_eq!((lowest, own, highest), (300.0, 6000.0, 6000.0));
    let mut blind = World::new(Setup::default(), machines());
    blind.lost = vec![|is, _| is.net = None];
    assert_eq!(blind.run(60, 0.05, None).flexible, None, "no meter was ever read");
}

/// Ten miners, and a computing load that earns thirty cents a kilowatt-hour and once started runs for an
/// hour.
fn with_computing() -> Vec<Load> {
    let mut loads = machines();
    let mut computing = load("ai", &[(0.0, 0.0), (3_000.0, 0.9)]);
    computing.class = crate::load::Class::Compute;
    computing.times.min_on = Duration::from_secs(3_600);
    computing.times.min_off = Duration::from_secs(600);
    loads.push(computing);
    loads
}

#[test]
fn a_computing_load_runs_its_time_although_power_costs_more_than_it_earns_and_then_stops() {
    let mut world = World::new(Setup { price: true, ..Setup::default() }, with_computing());
    world.run(60, 0.20, None);
    assert_eq!((world.drawn(), world.levels[10]), (3_000.0, 1), "it pays, and miners do not");
    let started = world.site.since(10).unwrap();
    let mut ran = 0;
    while world.levels[10] == 1 {
        let decision = world.step(0.40, None);
        assert_eq!((decision.target.mode, decision.target.power), (Mode::Price, Watts::ZERO));
        ran = Moment::from_secs(world.second).since(started).as_secs();
        assert!(ran < 4_000);
    }
    assert_eq!((ran, world.drawn()), (3_600, 0.0));
    // It rests before it starts again, and runs on by itself once it pays.
    world.run(599, 0.20, None);
    assert_eq!(world.drawn(), 0.0);
    world.run(2, 0.20, None);
    assert_eq!(world.levels[10], 1);
    world.run(7_200, 0.20, None);
    assert_eq!(world.levels[10], 1);
}

#[test]
fn under_an_import_limit_a_computing_load_outbids_miners() {
    let setup = Setup { price: true, import_limit: Some(w(5_300.0)), ..Setup::default() };
    let mut world = World::new(setup.clone(), with_computing());
    world.run(60, 0.05, None);
    assert_eq!((world.levels[10], world.drawn()), (1, 5_000.0));
    // One that comes late takes the place of miners that run.
    let mut world = World::new(setup, machines());
    world.run(600, 0.05, None);
    assert_eq!(world.drawn(), 5_000.0);
    world.loads = with_computing();
    world.levels.push(0);
    let now = Moment::from_secs(world.second);
    world.site.set_loads(now, &world.loads, |_| 0);
    world.run(60, 0.05, None);
    assert_eq!((world.levels[10], world.drawn()), (1, 5_000.0));
}

#[test]
fn one_that_pays_and_cannot_run_is_not_replaced_by_one_that_does_not_pay() {
    let mut loads = machines();
    loads.extend((0..5).map(|i| load(&format!("old {i}"), &[(0.0, 0.0), (1_000.0, 0.05)])));
    let mut world = World::new(Setup { price: true, ..Setup::default() }, loads);
    world.run(60, 0.07, None);
    assert_eq!(world.drawn(), 10_000.0);
    world.dead = vec![3, 4];
    for _ in 0..600 {
        world.step(0.07, None);
        assert_eq!(world.levels[10..], [0; 5]);
    }
    assert_eq!(world.drawn(), 8_000.0);
    // Whoever wants a power gets it of those that are there.
    world.run(60, 0.07, Some(10_300.0));
    assert_eq!(world.drawn(), 10_000.0);
    world.run(60, 0.03, None);
    assert_eq!(world.drawn(), 13_000.0, "and at three cents all pay");
    // A call that lets export no more than so much makes loads run that do not pay.
    world.others = -12_000.0;
    world.calls = vec![Call {
        id: "call".into(),
        starts: UnixTime(0),
        ends: None,
        asks: Called::ExportLimit(Watts::ZERO),
        priority: 0,
    }];
    world.run(60, 0.50, None);
    assert_eq!(world.drawn(), 12_000.0);
}
