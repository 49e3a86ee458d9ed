//! A site's configuration, signals and machines become the problem that is planned, anew at each step.

use super::{
    super::{
        hold,
        loads::{Held, How},
        outlook::Outlook,
    },
    *,
};
use crate::config::{Config, Energy};
use dispatch::{
    load::{Class, Level, Load, Times},
    plan::Earns,
    site::{Call, Called},
};
use grid::{Hub, Quality, Signal, price::Prices};
use std::{collections::BTreeMap, path::Path};
use units::{Celsius, EnergyPrice, Usd};

/// A Friday, 2027-01-15 08:00 UTC.
const START: UnixTime = UnixTime(1_800_000_000);
const HOUR: u64 = 3600;

fn later(seconds: u64) -> UnixTime {
    START.after(Duration::from_secs(seconds))
}

fn energy(text: &str) -> Energy {
    let head =
        "[fleet]\nenabled = true\n[energy]\nenabled = true\nsite = \"home\"\nutc_offset_h = 1\n";
    Config::parse(&format!("{head}{text}"), Path::new(".")).unwrap().energy
}

/// A machine of 3 kW that earns so many dollars an hour.
fn miner(id: &str, usd: f64, zone: Option<&str>) -> Held {
    let level =
        |watts, usd| Level { power: Watts::new(watts).unwrap(), value: Usd::new(usd).unwrap() };
    let load = Load {
        id: id.into(),
        class: Class::Miner,
        levels: vec![level(0.0, 0.0), level(3000.0, usd)],
        times: Times {
            min_on: Duration::from_secs(2 * HOUR),
            min_off: Duration::from_secs(600),
            ramp_up: Duration::ZERO,
            ramp_down: Duration::ZERO,
        },
        start_cost: Usd::default(),
        zone: zone.map(Into::into),
    };
    let full = load.full();
    Held {
        load,
        full,
        no_room: false,
        how: How::Machine("mac:02:00:00:00:00:01".parse().unwrap(), Vec::new()),
    }
}

/// Prices by the hour from the start on.
fn tell_prices(hub: &Hub, usd: &[f64]) {
    let price = |(hour, usd): (usize, &f64)| {
        (later(HOUR * hour as u64), EnergyPrice::per_kwh(*usd).unwrap())
    };
    let prices = Prices::new(usd.iter().enumerate().map(price).collect(), None).unwrap();
    hub.tell_prices(&"market".into(), Quality::Synthetic, prices);
}

fn hub(values: &[(Signal, f64)]) -> Hub {
    let hub = Hub::new(tokio::time::Instant::now());
    hub.tell_all(&"meter".into(), Quality::Synthetic, values);
    hub
}

fn made(told: &Energy, hub: &Hub, held: &[Held], calls: &[Call]) -> Result<Problem, String> {
    let (signals, memory) = (hub.snapshot(), Memory::default());
    let outlook = Outlook { told, signals: &signals, memory: &memory, now: hub.now(), utc: START };
    let since = Duration::from_secs(60);
    let running: Vec<Running<'_>> =
        held.iter().map(|held| Running { held, level: 1, since }).collect();
    problem(&Known {
        outlook,
        running: &running,
        calls,
        drawn: Watts::new(3000.0).unwrap(),
        set_points: &BTreeMap::new(),
    })
}

const SITE: &str = r#"
import_limit = "12 kW"
[[energy.modbus]]
host = "127.0.0.1"
[[energy.modbus.register]]
signal = "net power"
address = 1
[[energy.heat]]
name = "room"
temperature = "room"
machines = ["heats"]
hours = "6:00-22:00"
closed_k = 3
[energy.heat.backup]
power = "2 kW"
cop = 3
[energy.plan]
enabled = true
export_price = "0.05 $/kWh"
export_limit = "8 kW"
[energy.plan.battery]
capacity = "10 kWh"
charge = "5 kW"
discharge = "4 kW"
least_percent = 20
wear = "0.01 $/kWh"
[[energy.plan.demand]]
name = "evening"
usd_per_kw = 12
hours = "17:00-20:00"
days = "weekdays"
so_far = "2 kW"
[energy.plan.coincident]
usd_per_kw = 50
chance_percent = 5
hours = "16:00-18:00"
months = [1]
[[energy.plan.contract]]
name = "lunch"
at_most = "6 kW"
hours = "12:00-13:00"
penalty = "1 $/kWh"
[[energy.plan.reserve]]
name = "spinning"
duration = "1h"
usd_per_kw_hour = 0.02
most = "3 kW"
sold = "1 kW"
hours = "10:00-12:00"
battery = true
"#;

#[test]
fn tariff_storage_contracts_heat_and_calls_of_a_site_are_in_its_plan() {
    let told = energy(SITE);
    let hub = hub(&[
        (Signal::NetPower, 2500.0),
        (Signal::Pv, 1500.0),
        (Signal::BatteryPower, 0.0),
        (Signal::BatteryCharge, 60.0),
        (Signal::Temperature("room".into()), 20.0),
        (Signal::Temperature("outdoor".into()), 4.0),
    ]);
    tell_prices(&hub, &[0.10; 15]);
    let call = Call {
        id: "peak".into(),
        starts: later(2 * HOUR),
        ends: Some(later(3 * HOUR)),
        asks: Called::ImportLimit(Watts::new(1000.0).unwrap()),
        priority: 1,
    };
    let held = [miner("a", 0.4, None), miner("b", 0.4, None), miner("heats", 0.4, Some("room"))];
    let Problem { problem, free, without } = made(&told, &hub, &held, &[call]).unwrap();
    assert_eq!(without, Vec::<String>::new());
    // Prices end after 15 hours, and so does the plan.
    assert_eq!((problem.start, problem.steps()), (START, 60));
    // 2500 in from the grid and 1500 from the sun, less 3000 of machines.
    assert_eq!(problem.load[0].get(), 1000.0);
    assert_eq!(problem.pv[0].get(), 1500.0);
    assert_eq!(problem.import_limit, Watts::new(12_000.0).ok());
    assert_eq!(problem.export_limit, Watts::new(8000.0).ok());
    let battery = problem.battery.as_ref().unwrap();
    assert_eq!((battery.now.get(), battery.least.get()), (6000.0, 2000.0));
    // 0.10 $/kWh, less 5 % on the way out, less wear.
    assert!((battery.end_value.usd_per_kwh() - 0.085).abs() < 1e-9);
    // Two that are alike and free are one class; the third heats.
    let counts: Vec<u32> = problem.classes.iter().map(|class| class.count).collect();
    assert_eq!(counts.iter().sum::<u32>(), 3);
    for (class, free) in problem.classes.iter().zip(&free) {
        assert_eq!(
            (class.count, class.heats.is_none()),
            if *free { (2, true) } else { (1, false) }
        );
        assert_eq!(class.now[0].since, Duration::from_secs(60));
        assert_eq!(class.levels[0].earns, Earns::PerHour(Usd::new(0.4).unwrap()));
    }
    let steps = |applies: &[bool]| {
        let first = applies.iter().position(|applies| *applies);
        (first, applies.iter().filter(|applies| **applies).count())
    };
    // It is 09:00 there.
    let demand = &problem.demand[0];
    assert_eq!((steps(&demand.applies), demand.so_far.get()), ((Some(32), 12), 2000.0));
    let chance: Vec<bool> =
        problem.coincident.as_ref().unwrap().chance.iter().map(|part| part.get() > 0.0).collect();
    assert_eq!(steps(&chance), (Some(28), 8));
    let within =
        |limits: &[Option<Watts>]| steps(&limits.iter().map(Option::is_some).collect::<Vec<_>>());
    let [lunch, called] = &problem.commitments[..] else { panic!("{:?}", problem.commitments) };
    assert_eq!((&*lunch.name, within(&lunch.at_most)), ("lunch", (Some(12), 4)));
    assert_eq!((&*called.name, within(&called.at_most)), ("call peak", (Some(8), 4)));
    let reserve = &problem.reserves[0];
    let sold: Vec<bool> = reserve.sold.iter().map(|sold| sold.get() > 0.0).collect();
    assert_eq!((steps(&sold), reserve.battery), ((Some(4), 8), true));
    let heats = |class: &usize| !free[*class];
    assert!(!reserve.classes.iter().any(heats), "heat is not sold as reserve");
    let room = &problem.zones[0];
    assert_eq!((room.now.get(), room.around.unwrap().get()), (20.0, 4.0));
    // Warm at 21 °C until 22:00, three less after it.
    let low: Vec<f64> = room.low.iter().map(|low| low.get()).collect();
    assert_eq!((low[0], low[51], low[52]), (21.0, 21.0, 18.0));
    assert_eq!(room.heater, Some((Watts::new(2000.0).unwrap(), 3.0)));
    // All of it together has a plan, which meets the contract, the call and the sold reserve.
    let plan = plan::solve(&problem).unwrap();
    assert!(plan.proven);
    for (t, interval) in plan.intervals.iter().enumerate() {
        assert!((8..12).contains(&t) <= (interval.import.get() <= 1001.0), "the call at {t}");
        assert!((12..16).contains(&t) <= (interval.import.get() <= 6001.0), "lunch at {t}");
        assert!((4..12).contains(&t) <= (interval.reserves[0].get() >= 999.0), "reserve at {t}");
    }
}

#[test]
fn what_is_not_known_is_left_out_of_the_plan_and_said() {
    let told = energy(SITE);
    let hub = hub(&[]);
    let held = [miner("a", 0.4, None), miner("heats", 0.4, Some("room"))];
    let none = made(&told, &hub, &held, &[]);
    assert!(none.is_err_and(|sentence| sentence.contains("too few prices")));
    tell_prices(&hub, &[0.10; 24]);
    let Problem { problem, free, without } = made(&told, &hub, &held, &[]).unwrap();
    assert!(problem.battery.is_none() && problem.zones.is_empty() && problem.load.is_empty());
    assert_eq!((problem.classes.len(), &free[..]), (1, &[true][..]), "the room heats by itself");
    let said = without.join("; ");
    for part in ["battery", "room", "what else the site draws"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn off_grid_nothing_is_imported_and_the_engine_runs_within_its_band() {
    let told = energy(
        r#"connection = "off-grid"
power_price = "1 $/kWh"
[energy.engine]
rated = "20 kW"
block = "3 kW"
[energy.plan]
enabled = true
[energy.plan.engine]
fuel = "0.01 $/kWh"
start_usd = 5
"#,
    );
    let hub = hub(&[(Signal::Generator, 9000.0)]);
    let held: Vec<Held> = (0..6).map(|at| miner(&format!("m{at}"), 0.3, None)).collect();
    let Problem { mut problem, .. } = made(&told, &hub, &held, &[]).unwrap();
    problem.load = Vec::new();
    let genset = problem.genset.as_ref().unwrap();
    assert_eq!((genset.least.get(), genset.most.get()), (6000.0, 18_000.0));
    assert_eq!(genset.power_now, Watts::new(9000.0).ok());
    let plan = plan::solve(&problem).unwrap();
    for interval in &plan.intervals {
        assert_eq!(interval.import, Watts::ZERO);
        // Fuel at a cent and machines at ten: as many as the engine carries.
        let power = interval.genset.unwrap().get();
        assert!((17_900.0..=18_000.1).contains(&power), "{power}");
    }
}

/// Waits for the plan that is being made.
async fn plan_of(planner: &Planner) {
    for _ in 0..1000 {
        if !hold(&planner.planned).busy {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no plan came");
}

fn seen<'a>(
    signals: &'a grid::Signals,
    loads: &'a [(&'a Held, usize)],
    set_points: &'a BTreeMap<std::sync::Arc<str>, Celsius>,
    hub: &Hub,
    utc: UnixTime,
) -> Seen<'a> {
    Seen {
        signals,
        net: None,
        drawn: Watts::ZERO,
        loads,
        calls: &[],
        set_points,
        priced: true,
        now: hub.now(),
        utc,
    }
}

#[tokio::test]
async fn a_plan_is_made_anew_at_each_step_from_what_then_is() {
    let folder = tempfile::tempdir().unwrap();
    let told = std::sync::Arc::new(energy("[energy.plan]\nenabled = true\n"));
    let hub = hub(&[]);
    // A kilowatt-hour earns ten cents.
    let held = miner("a", 0.3, None);
    let none = BTreeMap::new();
    let mut planner = Planner::new(told.clone(), folder.path().into());
    let step = async |planner: &mut Planner, level: usize, second: u64| {
        let (signals, loads) = (hub.snapshot(), [(&held, level)]);
        planner.step(&seen(&signals, &loads, &none, &hub, later(second)));
        plan_of(planner).await;
        let planned = hold(&planner.planned);
        let power = planned.now(later(second)).map(Watts::get);
        let made_at = planned.plan.as_ref().map(|made| made.made_at);
        (made_at, power, planned.trouble.clone())
    };
    let (made_at, _, trouble) = step(&mut planner, 0, 0).await;
    assert!(made_at.is_none() && trouble.unwrap().contains("too few prices"));
    // Prices come within the step: so does the plan, and it stays for the rest of the step.
    tell_prices(&hub, &[0.05; 24]);
    let first = step(&mut planner, 0, 10).await;
    assert_eq!(first, (Some(later(10)), Some(3000.0), None));
    assert_eq!(step(&mut planner, 1, 20).await, first);
    assert_eq!(step(&mut planner, 1, 899).await.0, Some(later(10)));
    // The market changed its mind; the next step does, too. But the machine was started at 20 s, and
    // stays on for its two hours.
    tell_prices(&hub, &[0.50; 24]);
    assert_eq!(step(&mut planner, 1, 900).await, (Some(later(900)), Some(3000.0), None));
    let stops = |planner: &Planner| {
        let planned = hold(&planner.planned);
        let made = planned.plan.as_ref().unwrap();
        let off = made.plan.intervals.iter().find(|one| one.classes[0].power == Watts::ZERO);
        off.map(|one| one.at)
    };
    // 20 s into the first step and two hours, in whole steps.
    assert_eq!(stops(&planner), Some(later(9 * 900)));
    // A restart knows since when it is on, as of the last step: that is on disk soon.
    let kept = || Memory::recall(folder.path()).since("a", true, later(900));
    for _ in 0..1000 {
        if kept() == Duration::from_secs(880) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(kept(), Duration::from_secs(880));
    let mut again = Planner::new(told, folder.path().into());
    assert_eq!(step(&mut again, 1, 1800).await.1, Some(3000.0));
    assert_eq!(stops(&again), Some(later(9 * 900)));
    // In its time it is off.
    assert_eq!(step(&mut again, 1, 9 * 900).await, (Some(later(9 * 900)), Some(0.0), None));
}

#[test]
fn within_a_step_another_plan_is_made_only_for_what_came_or_went_and_not_at_once() {
    let mut planned = Planned::default();
    let mut due = |second: u64, loads: usize, priced: bool| {
        let basis = Basis { loads, calls: 0, priced };
        let step = later(second).floor_to(Duration::from_secs(900));
        planned.due(Asked { at: later(second), step, basis })
    };
    assert!(due(0, 1, false));
    assert!(!due(1, 1, false) && !due(20, 5, true), "soon enough in half a minute");
    assert!(due(30, 5, true), "machines were found, and what they earn");
    assert!(!due(31, 5, true) && !due(899, 5, true));
    assert!(due(900, 5, true), "the next step");
}
