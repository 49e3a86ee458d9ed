mod starts;

use super::{audit::broken, *};
use proptest::prelude::*;
use std::time::Duration;
use units::*;

const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn kw(kilowatts: f64) -> Watts {
    Watts::new(kilowatts * 1e3).unwrap()
}

pub(super) fn per_kwh(usd: f64) -> EnergyPrice {
    EnergyPrice::per_kwh(usd).unwrap()
}

pub(super) fn usd(dollars: f64) -> Usd {
    Usd::new(dollars).unwrap()
}

fn kwh(kilowatt_hours: f64) -> WattHours {
    WattHours::new(kilowatt_hours * 1e3).unwrap()
}

fn prices(usd: &[f64]) -> Vec<EnergyPrice> {
    usd.iter().map(|p| per_kwh(*p)).collect()
}

/// A kilowatt each; a running hour earns ten cents.
fn miners(count: u32) -> Class {
    Class {
        name: "miner".into(),
        count,
        available: Vec::new(),
        levels: vec![Level { power: kw(1.0), earns: Earns::PerHour(usd(0.10)) }],
        off_power: Watts::ZERO,
        min_on: Duration::ZERO,
        min_off: Duration::ZERO,
        start_cost: Usd::ZERO,
        stop_cost: Usd::ZERO,
        ramp_up: None,
        ramp_down: None,
        heats: None,
        now: Vec::new(),
    }
}

/// Hourly steps.
fn site(import: &[f64], classes: Vec<Class>) -> Problem {
    Problem { step: HOUR, import: prices(import), classes, ..Problem::default() }
}

fn battery() -> Battery {
    Battery {
        now: WattHours::ZERO,
        least: WattHours::ZERO,
        most: kwh(2.0),
        charge: kw(1.0),
        discharge: kw(1.0),
        charge_efficiency: Ratio::new(1.0).unwrap(),
        discharge_efficiency: Ratio::new(1.0).unwrap(),
        wear: EnergyPrice::ZERO,
        end_value: EnergyPrice::ZERO,
        end_least: WattHours::ZERO,
    }
}

fn running(plan: &Plan) -> Vec<u32> {
    plan.intervals.iter().map(|i| i.classes[0].counts.iter().sum()).collect()
}

fn solved(p: &Problem) -> Plan {
    let plan = solve(p).unwrap();
    assert_eq!(broken(p, &plan), Vec::<String>::new());
    let bound = plan.bound.unwrap().get();
    assert!(bound <= plan.cost.get() + 1e-9, "{bound} {}", plan.cost);
    assert!(plan.intervals.iter().all(|i| !i.why.text.is_empty()));
    plan
}

#[track_caller]
fn optimum(p: &Problem, want: &[u32], cost: f64) -> Plan {
    let plan = solved(p);
    assert_eq!(running(&plan), want);
    assert!((plan.cost.get() - cost).abs() < 1e-6, "{} instead of {cost}", plan.cost.get());
    plan
}

#[test]
fn a_farm_with_many_classes_keeps_every_rule_within_the_gap() {
    let import: Vec<f64> = (0..96).map(|t| 0.09 + 0.05 * (f64::from(t) / 4.0).sin()).collect();
    let classes = (0..8).map(|k| Class {
        levels: vec![Level {
            power: kw(1.0),
            earns: Earns::PerHour(usd(0.07 + 0.01 * f64::from(k))),
        }],
        min_on: 2 * HOUR,
        start_cost: usd(0.05),
        ..miners(10 + k)
    });
    let p = Problem { import_limit: Some(kw(61.5)), ..site(&import, classes.collect()) };
    let plan = solve_with(&p, Options { gap: 0.01, ..Options::default() }).unwrap();
    assert_eq!(broken(&p, &plan), Vec::<String>::new());
    assert!(plan.proven && plan.gap().unwrap() < 0.0101, "{:?}", plan.gap());
}

#[test]
fn machines_run_where_energy_costs_less_than_it_earns() {
    let p = site(&[0.05, 0.15, -0.02, 0.12], vec![miners(3)]);
    let plan = optimum(&p, &[3, 0, 3, 0], -3.0 * (0.05 + 0.12));
    assert!(plan.intervals.iter().all(|i| i.why.limit == Limit::Price));
    let margin = plan.intervals[0].why.per_kwh.unwrap().usd_per_kwh();
    assert!((margin - 0.05).abs() < 1e-9, "{margin}");
    assert_eq!(plan.intervals[1].marginal.unwrap(), per_kwh(0.15));
}

#[test]
fn a_quarter_of_an_hour_costs_a_quarter_of_an_hour() {
    let mut p = site(&[0.05; 4], vec![miners(1)]);
    p.step = Duration::from_secs(900);
    optimum(&p, &[1; 4], -0.05);
}

#[test]
fn hash_revenue_is_that_of_the_hash_price_of_its_step() {
    let mut p = site(&[0.08, 0.08], vec![miners(1)]);
    // 38.2 $/PH/day at 17.5 J/TH is 0.091 $/kWh; 30 is 0.0714.
    p.hash_price = vec![HashPrice::new(38.2).unwrap(), HashPrice::new(30.0).unwrap()];
    let rate = kw(1.0).feeds(Efficiency::new(17.5).unwrap());
    p.classes[0].levels[0].earns = Earns::Hash(rate);
    optimum(&p, &[1, 0], 0.08 - 38.2 / (24.0 * 17.5));
}

#[test]
fn the_import_limit_binds_and_its_cost_is_the_margin_lost() {
    let mut p = site(&[0.05, 0.05], vec![miners(3)]);
    p.import_limit = Some(kw(2.0));
    let plan = optimum(&p, &[2, 2], -0.2);
    assert_eq!(plan.intervals[0].why.limit, Limit::Import);
}

#[test]
fn surplus_sun_is_hashed_exported_or_curtailed_by_what_it_fetches() {
    for (export, want, sold, cost) in [
        (vec![0.15], 0, 4.0, -0.6),
        (vec![0.05], 3, 1.0, -0.35),
        (vec![-0.05], 3, 0.0, -0.3),
        (vec![], 3, 0.0, -0.3),
    ] {
        let mut p = site(&[0.2], vec![miners(3)]);
        p.export = prices(&export);
        p.pv = vec![kw(4.0)];
        let plan = optimum(&p, &[want], cost);
        assert!((plan.intervals[0].export.kilowatts() - sold).abs() < 1e-6);
    }
    let mut p = site(&[0.2], vec![]);
    p.export = prices(&[0.1]);
    p.pv = vec![kw(4.0)];
    p.export_limit = Some(kw(1.5));
    assert!((solved(&p).cost.get() + 0.15).abs() < 1e-9);
}

#[test]
fn nobody_imports_and_exports_at_once_where_export_pays_more() {
    let mut p = site(&[0.05, 0.05], vec![miners(1)]);
    p.export = prices(&[0.3, 0.3]);
    p.pv = vec![kw(0.5); 2];
    optimum(&p, &[0, 0], -0.3);
}

#[test]
fn a_battery_buys_low_and_serves_high() {
    let mut p = site(&[0.05, 0.05, 0.30], vec![]);
    p.load = vec![NetWatts::from(kw(1.0)); 3];
    p.battery = Some(Battery { wear: per_kwh(0.02), ..battery() });
    let plan = solved(&p);
    // One kilowatt is all it can give: 0.30 saved, 0.05 and 0.02 paid.
    assert!((plan.cost.get() - (0.05 * 3.0 + 0.02)).abs() < 1e-6, "{}", plan.cost.get());
    assert_eq!(plan.intervals[2].import, Watts::ZERO);
}

#[test]
fn a_battery_does_not_burn_energy_at_negative_prices() {
    let mut p = site(&[-0.10, -0.10], vec![]);
    let half = Ratio::new(0.5).unwrap();
    p.battery = Some(Battery { charge_efficiency: half, discharge_efficiency: half, ..battery() });
    // Charging 1 kW for both hours stores 1 kWh of 2: nothing else is allowed.
    assert!((solved(&p).cost.get() + 0.2).abs() < 1e-6);
    // Nor before them, to make room for more.
    let mut p = site(&[0.01, -0.10], vec![]);
    let full = Battery { now: kwh(2.0), ..battery() };
    p.battery = Some(Battery { charge_efficiency: half, discharge_efficiency: half, ..full });
    assert!(solved(&p).cost.get().abs() < 1e-6, "a full one that feeds nobody takes nothing");
}

#[test]
fn a_demand_charge_is_paid_only_above_the_peak_so_far() {
    let charge = |so_far, interval| DemandCharge {
        name: "demand charge".into(),
        per_kw: usd(0.06),
        interval,
        so_far: kw(so_far),
        applies: Vec::new(),
    };
    // A kilowatt more earns 0.05 in one hour of each price below 0.10; two hours are needed to pay 0.06.
    for (price, so_far, want, cost) in [
        (&[0.05, 0.9][..], 0.0, &[0, 0][..], 0.0),
        (&[0.05, 0.9], 1.0, &[1, 0], -0.05),
        (&[0.05, 0.05], 1.0, &[2, 2], -0.20 + 0.06),
    ] {
        let mut p = site(price, vec![miners(2)]);
        p.demand = vec![charge(so_far, HOUR)];
        let plan = optimum(&p, want, cost);
        if so_far == 1.0 && price[1] == 0.9 {
            assert_eq!(
                plan.intervals[0].why.limit,
                Limit::Demand(0),
                "{:?}",
                plan.intervals[0].why
            );
        }
    }
    // Metered over the hour, half an hour of two machines is a peak of one.
    let mut p = site(&[0.0, 0.9], vec![miners(2)]);
    p.step = HOUR / 2;
    p.demand = vec![charge(1.0, HOUR)];
    optimum(&p, &[2, 0], -0.1);
}

#[test]
fn import_in_a_likely_coincident_peak_is_avoided() {
    let mut p = site(&[0.05, 0.05], vec![miners(1)]);
    // 120 $ per kW-year, a chance of one in a thousand: 12 cents an hour.
    p.coincident = Some(Coincident {
        per_kw: usd(120.0),
        interval: HOUR,
        chance: vec![Ratio::new(0.001).unwrap(), Ratio::new(0.0).unwrap()],
    });
    optimum(&p, &[0, 1], -0.05);
}

fn reserve(sold: Vec<Watts>, hours: u32) -> Reserve {
    Reserve {
        name: "reserve".into(),
        duration: hours * HOUR,
        price: prices(&[0.02; 4]),
        sold,
        most: kw(2.0),
        penalty: None,
        classes: vec![0],
        battery: false,
    }
}

#[test]
fn reserve_is_offered_only_while_machines_run_for_its_whole_duration() {
    let mut p = site(&[0.05, 0.05, 0.9, 0.05], vec![miners(2)]);
    p.reserves = vec![reserve(Vec::new(), 2)];
    let plan = optimum(&p, &[2, 2, 0, 2], -0.3 - 0.04);
    let held: Vec<f64> = plan.intervals.iter().map(|i| i.reserves[0].kilowatts()).collect();
    // The second hour's call would reach into hours without load, the last beyond the plan.
    assert_eq!(held, [2.0, 0.0, 0.0, 0.0]);
    // What was sold must be held, at a loss of 0.8 an hour each.
    p.reserves = vec![reserve(vec![Watts::ZERO, kw(1.0), Watts::ZERO, Watts::ZERO], 2)];
    let plan = solved(&p);
    assert!(running(&plan)[2] >= 1);
    assert_eq!(plan.intervals[2].why.limit, Limit::Sold(0));
}

#[test]
fn power_promised_to_one_product_is_not_offered_to_another() {
    let mut p = site(&[0.05; 4], vec![miners(2)]);
    p.reserves = vec![reserve(Vec::new(), 1), reserve(Vec::new(), 1)];
    for i in solved(&p).intervals {
        assert!(i.reserves.iter().map(|w| w.kilowatts()).sum::<f64>() < 2.0 + 1e-6);
    }
}

/// 2 kWh/K, 0.1 kW/K, 10 °C outside.
pub(super) fn room() -> Zone {
    Zone {
        name: "room".into(),
        capacity: kwh(2.0),
        loss: kw(0.1),
        around: Some(Celsius::new(10.0).unwrap()),
        gains: Vec::new(),
        now: Celsius::new(20.0).unwrap(),
        low: vec![Celsius::new(20.0).unwrap(); 4],
        high: vec![Celsius::new(22.0).unwrap(); 4],
        cold: usd(5.0),
        hot: usd(5.0),
        heater: None,
        vented: false,
    }
}

#[test]
fn a_room_at_its_lowest_temperature_is_heated_whatever_energy_costs() {
    // It loses 1 kW at 20 °C: one machine keeps it there.
    let mut p = site(&[0.4; 4], vec![miners(2)]);
    p.classes[0].heats = Some((0, Ratio::new(1.0).unwrap()));
    p.zones = vec![room()];
    let plan = optimum(&p, &[1; 4], 4.0 * 0.3);
    assert_eq!(plan.intervals[3].why.limit, Limit::Cold(0));
    assert!((plan.intervals[3].zones[0].temperature.get() - 20.0).abs() < 1e-6);
}

#[test]
fn reserve_is_not_offered_where_the_room_would_freeze() {
    let mut p = site(&[0.05; 4], vec![miners(1)]);
    p.classes[0].heats = Some((0, Ratio::new(1.0).unwrap()));
    p.zones = vec![Zone { vented: true, ..room() }];
    p.reserves = vec![reserve(Vec::new(), 1)];
    let held = |p: &Problem| -> f64 {
        solved(p).intervals.iter().map(|i| i.reserves[0].kilowatts()).sum()
    };
    assert!(held(&p) < 1e-6, "at 20 °C no heat can be missed");
    p.zones[0].now = Celsius::new(21.9).unwrap();
    assert!(held(&p) > 1.0, "two kelvin above, an hour can be");
}

#[test]
fn reserve_of_a_battery_needs_the_energy_for_its_whole_duration() {
    for (stored, want) in [(2.0, 1.0), (1.0, 0.5), (0.0, 0.0)] {
        let mut p = site(&[0.1; 4], vec![miners(1)]);
        p.export = prices(&[0.0; 4]);
        p.battery = Some(Battery { now: kwh(stored), charge: Watts::ZERO, ..battery() });
        p.reserves = vec![Reserve { classes: Vec::new(), battery: true, ..reserve(Vec::new(), 2) }];
        p.battery.as_mut().unwrap().end_value = per_kwh(1.0);
        let plan = solved(&p);
        assert!((plan.intervals[0].reserves[0].kilowatts() - want).abs() < 1e-6, "{stored}");
    }
}

#[test]
fn an_engine_keeps_its_least_power_its_steps_and_its_starts() {
    let engine = Genset {
        least: kw(3.0),
        most: kw(10.0),
        change: Some(kw(2.0)),
        fuel: per_kwh(0.04),
        per_hour: usd(0.0),
        start_cost: usd(0.1),
        min_on: 2 * HOUR,
        min_off: HOUR,
        power_now: None,
        since: 9 * HOUR,
    };
    // Off the grid: 3, then 5 and 7 kW, each a machine per kilowatt that gains 0.06.
    let mut p = site(&[0.5; 3], vec![miners(10)]);
    p.import_limit = Some(Watts::ZERO);
    p.genset = Some(engine);
    let plan = optimum(&p, &[3, 5, 7], 0.1 - 0.06 * 15.0);
    assert_eq!(plan.intervals[1].why.limit, Limit::EngineChange);
    p.genset = p.genset.map(|g| Genset { fuel: per_kwh(0.2), ..g });
    optimum(&p, &[0; 3], 0.0);
}

#[test]
fn a_contract_caps_or_floors_import_for_its_price() {
    let contract = |most, least, penalty| Commitment {
        name: "contract".into(),
        at_most: vec![None, most],
        at_least: vec![None, least],
        penalty,
    };
    let one = Some(kw(1.0));
    for (price, contract, want, limit) in [
        (0.05, contract(one, None, None), [3, 1], Limit::AtMost(0)),
        (0.05, contract(one, None, Some(per_kwh(0.01))), [3, 3], Limit::AtMost(0)),
        (0.15, contract(None, one, None), [0, 1], Limit::AtLeast(0)),
        (0.15, contract(None, one, Some(per_kwh(0.01))), [0, 0], Limit::AtLeast(0)),
    ] {
        let mut p = site(&[price; 2], vec![miners(3)]);
        p.commitments = vec![contract];
        let plan = solved(&p);
        assert_eq!(running(&plan), want);
        assert_eq!(plan.intervals[1].why.limit, limit, "{:?}", plan.intervals[1].why);
    }
}

#[test]
fn machines_run_only_while_they_are_available() {
    let mut p = site(&[0.0; 3], vec![miners(4)]);
    p.classes[0].available = vec![0, 2, 9];
    optimum(&p, &[0, 2, 4], -0.6);
}

#[test]
fn conflicting_requirements_are_named() {
    let said = |p: &Problem| solve(p).unwrap_err().to_string();
    let mut p = site(&[0.1], vec![miners(1)]);
    p.load = vec![NetWatts::from(kw(5.0))];
    p.import_limit = Some(kw(4.0));
    assert!(said(&p).contains("import limit"), "{}", said(&p));
    let mut p = site(&[0.1], vec![miners(1)]);
    p.classes[0].min_on = 2 * HOUR;
    p.classes[0].now = vec![Batch { count: 1, level: Some(0), since: HOUR }];
    p.classes[0].available = vec![0];
    assert!(said(&p).contains("minimum run time of miner") || said(&p).contains("number of miner"));
    let mut p = site(&[0.1], vec![]);
    p.battery = Some(Battery { end_least: kwh(2.0), ..battery() });
    assert!(said(&p).contains("left in the battery"), "{}", said(&p));
}

#[test]
fn inputs_that_make_no_sense_are_refused_in_a_sentence() {
    let said = |p: &Problem| solve(p).unwrap_err().to_string();
    assert!(said(&site(&[], vec![])).contains("prices"));
    let mut p = site(&[0.1, 0.1], vec![miners(1)]);
    p.pv = vec![kw(1.0)];
    assert!(said(&p).contains("solar power has 1 values for 2 steps"));
    p.pv.clear();
    p.classes[0].heats = Some((3, Ratio::new(1.0).unwrap()));
    assert!(said(&p).contains("not there"));
}

/// A small site at random: two classes, sun, sometimes a battery, minimum times, a limit.
pub(super) fn any_site() -> impl Strategy<Value = Problem> {
    let series = |low: f64, high: f64| prop::collection::vec(low..high, 8);
    let class = (1u32..4, 0usize..4, 0usize..3, 0.0..0.2f64, 0u64..4, any::<bool>(), 0.02..0.2f64);
    (
        series(-0.1, 0.25),
        series(0.0, 4.0),
        prop::collection::vec(class, 1..3),
        any::<bool>(),
        prop::option::of(6.0..12.0f64),
        0.0..0.1f64,
    )
        .prop_map(|(import, pv, classes, with_battery, limit, spread)| {
            let classes = classes.into_iter().map(|(n, on, off, start, since, runs, earns)| {
                let earn = |kw: f64| Earns::PerHour(usd(earns * kw.sqrt()));
                Class {
                    levels: [1.0, 1.5].map(|p| Level { power: kw(p), earns: earn(p) }).to_vec(),
                    min_on: on as u32 * HOUR,
                    min_off: off as u32 * HOUR,
                    start_cost: usd(start),
                    stop_cost: usd(start / 2.0),
                    now: vec![Batch {
                        count: 1,
                        level: runs.then_some(0),
                        since: since as u32 * HOUR,
                    }],
                    ..miners(n)
                }
            });
            let mut p = site(&import, classes.collect());
            p.export = import.iter().map(|i| per_kwh(i - spread)).collect();
            p.pv = pv.into_iter().map(kw).collect();
            p.import_limit = limit.map(kw);
            let nine = Ratio::new(0.9).unwrap();
            p.battery = with_battery.then(|| Battery {
                now: kwh(1.0),
                charge_efficiency: nine,
                discharge_efficiency: nine,
                wear: per_kwh(0.01),
                ..battery()
            });
            p
        })
}

/// What a rule costs that runs a number of machines of each class at full level, the battery idle; or
/// nothing if the rule breaks the minimum times or limits.
fn cost_of_rule(p: &Problem, runs: impl Fn(usize, usize) -> bool) -> Option<f64> {
    let mut cost = 0.0;
    let mut plan = solve(&Problem { battery: None, import_limit: None, ..p.clone() }).ok()?;
    for (t, interval) in plan.intervals.iter_mut().enumerate() {
        let mut load = 0.0;
        for (k, class) in p.classes.iter().enumerate() {
            let on = if runs(k, t) { class.count } else { 0 };
            interval.classes[k].counts = vec![0, on];
            load += f64::from(on) * 1.5;
            interval.classes[k].power = kw(f64::from(on) * 1.5);
            cost -= f64::from(on) * p.earned(&class.levels[1], t);
        }
        let net = load - p.pv[t].kilowatts();
        // Surplus that would cost money is curtailed.
        let export = if p.export[t].usd_per_kwh() > 0.0 { (-net).max(0.0) } else { 0.0 };
        interval.import = kw(net.max(0.0));
        interval.export = kw(export);
        interval.pv = kw(load.min(p.pv[t].kilowatts()) + export);
        cost += net.max(0.0) * p.import[t].usd_per_kwh() - export * p.export[t].usd_per_kwh();
    }
    for (k, class) in p.classes.iter().enumerate() {
        let mut before = class.on_now();
        for i in &plan.intervals {
            let on = i.classes[k].counts[1];
            cost += f64::from(on.saturating_sub(before)) * class.start_cost.get();
            cost += f64::from(before.saturating_sub(on)) * class.stop_cost.get();
            before = on;
        }
    }
    let bare = Problem { battery: None, ..p.clone() };
    broken(&bare, &plan).is_empty().then_some(cost)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_keeps_every_rule_and_no_simple_rule_is_cheaper(p in any_site()) {
        let plan = match solve(&p) {
            Ok(plan) => plan,
            Err(Infeasible::Conflict(names)) => { prop_assert!(!names.is_empty()); return Ok(()); }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        prop_assert_eq!(broken(&p, &plan), Vec::<String>::new());
        prop_assert!(plan.bound.unwrap().get() <= plan.cost.get() + 1e-7);
        let steps: f64 = plan.intervals.iter().map(|i| i.cost.get()).sum();
        prop_assert!((steps - plan.cost.get()).abs() < 1e-5, "{} {}", steps, plan.cost.get());
        prop_assert!(plan.intervals.iter().all(|i| !i.why.text.is_empty()));
        let gain = |k: usize, t: usize| p.earned(&p.classes[k].levels[1], t) - 1.5 * p.import[t].usd_per_kwh();
        let rules = [
            cost_of_rule(&p, |_, _| true),
            cost_of_rule(&p, |_, _| false),
            cost_of_rule(&p, |k, t| gain(k, t) > 0.0),
        ];
        for rule in rules.into_iter().flatten() {
            let slack = 1e-4 * plan.cost.get().abs() + 1e-6;
            prop_assert!(plan.cost.get() <= rule + slack, "{} {rule}", plan.cost.get());
        }
    }
}
