//! The own search on programs that nobody chose: against the proof that its own prices give, against
//! trying everything, and against the solvers of others.

use super::{
    audit::broken,
    branch,
    limit::Limit,
    model::Model,
    simplex::{Ended, Simplex},
    tests::{any_site, kw, per_kwh, room, usd},
    *,
};
use proptest::prelude::*;
use units::{Celsius, Ratio};

/// A column: cost, low, high, and whether it is a whole number.
fn column() -> impl Strategy<Value = (f64, f64, f64, bool)> {
    let bound = prop_oneof![
        4 => (-3..=3_i32, 0..=3_i32).prop_map(|(low, range)| (f64::from(low), f64::from(low + range))),
        1 => Just((0.0, f64::INFINITY)),
        1 => Just((f64::NEG_INFINITY, f64::INFINITY)),
    ];
    ((-4..=4_i32).prop_map(f64::from), bound, any::<bool>())
        .prop_map(|(cost, (low, high), whole)| (cost, low, high, whole && high < f64::INFINITY))
}

/// A model whose numbers are small whole ones, so that ties abound; three columns may be whole numbers.
fn any_model() -> impl Strategy<Value = Model> {
    let term = (0..12_usize, -3..=3_i32);
    let row = (prop::collection::vec(term, 1..5), -6..=6_i32, 0..4_u8);
    (prop::collection::vec(column(), 12), prop::collection::vec(row, 0..14)).prop_map(
        |(columns, rows)| {
            let mut model = Model::default();
            for (j, (cost, low, high, whole)) in columns.into_iter().enumerate() {
                let col = model.col(low, high, cost);
                model.cols[col].whole = whole && j < 3;
            }
            for (terms, value, kind) in rows {
                let terms = terms.into_iter().map(|(j, a)| (j, f64::from(a))).collect();
                let (tag, value) = (Limit::Law.at(0), f64::from(value));
                match kind {
                    0 => model.equal(terms, value, tag),
                    1 => model.at_least(terms, value, tag),
                    2 => model.at_most(terms, value, tag),
                    _ => model.row(value, terms, value + 2.0, tag),
                }
            }
            model
        },
    )
}

/// What a linear program costs: by a solution that keeps all rows and bounds, and by its prices, which
/// prove that nothing costs less (weak duality). `None` where there is no optimum.
fn proven(model: &Model) -> Option<f64> {
    let mut lp = Simplex::new(model.program());
    if lp.solve(true) != Ended::Optimal {
        return None;
    }
    let mut proof = 0.0;
    let mut reduced: Vec<f64> = model.cols.iter().map(|c| c.cost).collect();
    for (i, row) in model.rows.iter().enumerate() {
        let sum: f64 = row.terms.iter().map(|(j, a)| a * lp.values()[*j]).sum();
        assert!(row.low - 1e-6 <= sum && sum <= row.high + 1e-6, "{row:?} {sum}");
        let price = lp.row_price(i);
        let side = if price > 0.0 { row.low } else { row.high };
        proof += if price.abs() > 1e-9 { price * side } else { 0.0 };
        row.terms.iter().for_each(|(j, a)| reduced[*j] -= price * a);
    }
    for ((col, price), value) in model.cols.iter().zip(&reduced).zip(lp.values()) {
        assert!(col.low - 1e-6 <= *value && *value <= col.high + 1e-6, "{col:?} {value}");
        let side = if *price > 0.0 { col.low } else { col.high };
        proof += if price.abs() > 1e-9 { price * side } else { 0.0 };
    }
    assert!((proof - lp.cost()).abs() < 1e-6 * (1.0 + proof.abs()), "{proof} {}", lp.cost());
    Some(lp.cost())
}

/// How far a model is from being possible at all.
fn missing(model: &Model) -> f64 {
    let mut elastic = model.clone();
    elastic.cols.iter_mut().for_each(|col| col.cost = 0.0);
    for i in 0..elastic.rows.len() {
        let slack = [1.0, -1.0].map(|sign| (elastic.col(0.0, f64::INFINITY, 1.0), sign));
        elastic.rows[i].terms.extend(slack);
    }
    proven(&elastic).expect("slack makes everything possible")
}

/// The least that any choice of the whole numbers costs.
fn tried(model: &Model) -> Option<f64> {
    let Some(j) = model.cols.iter().position(|col| col.whole) else { return proven(model) };
    let (low, high) = (model.cols[j].low as i32, model.cols[j].high as i32);
    let each = (low..=high).filter_map(|value| {
        let mut one = model.clone();
        let col = &mut one.cols[j];
        (col.low, col.high, col.whole) = (f64::from(value), f64::from(value), false);
        tried(&one)
    });
    each.min_by(f64::total_cmp)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_linear_program_has_a_proven_cost_or_is_impossible_or_without_end(model in any_model()) {
        let model = model.relaxed();
        if proven(&model).is_none() && missing(&model) < 1e-6 {
            // Possible and without an optimum: then what it gains grows with the room it has.
            let within = |room: f64| {
                let mut bounded = model.clone();
                for col in &mut bounded.cols {
                    (col.low, col.high) = (col.low.max(-room), col.high.min(room));
                }
                proven(&bounded).expect("a bounded model that is possible has an optimum")
            };
            prop_assert!(within(2e5) < within(1e5) - 1.0);
        }
    }

    #[test]
    fn whole_numbers_cost_what_the_best_of_all_choices_costs(model in any_model()) {
        let found = branch::search(model.program(), &model.whole(), 0.0, |nodes| nodes < 5000);
        let Some(found) = found else { return Ok(()) };
        let best = tried(&model);
        prop_assert_eq!(found.proven, best.is_some());
        if let (Some(best), Some(values)) = (best, found.best) {
            let own = model.solved(values).cost;
            prop_assert!((own - best).abs() < 1e-6, "{own} {best}");
        }
    }
}

/// A small site with, at random, an engine, a heated room, a peak charge and a reserve.
fn any_large_site() -> impl Strategy<Value = Problem> {
    let engine = (1.0..3.0f64, 0.0..0.3f64, 0.0..0.5f64, 0..3_u32, any::<bool>());
    (
        any_site(),
        prop::option::of(engine),
        prop::option::of((0.0..0.3f64, 18.0..21.5f64)),
        prop::option::of(0.0..1.0f64),
        prop::option::of(0.0..0.1f64),
    )
        .prop_map(|(mut p, engine, heated, peak, reserve)| {
            let hour = Duration::from_secs(3600);
            p.genset = engine.map(|(least, fuel, start, minimum, runs)| Genset {
                least: kw(least),
                most: kw(5.0),
                change: Some(kw(2.0)),
                fuel: per_kwh(fuel),
                per_hour: usd(0.02),
                start_cost: usd(start),
                min_on: minimum * hour,
                min_off: hour,
                power_now: runs.then(|| kw(least)),
                since: hour,
            });
            if let Some((cost, now)) = heated {
                let celsius = |value: f64| Celsius::new(value).unwrap();
                p.zones = vec![Zone {
                    now: celsius(now),
                    low: vec![celsius(19.0); p.steps()],
                    high: vec![celsius(22.0); p.steps()],
                    cold: usd(cost),
                    hot: usd(cost),
                    heater: Some((kw(1.0), 3.0)),
                    vented: true,
                    ..room()
                }];
                p.classes[0].heats = Some((0, Ratio::new(0.9).unwrap()));
            }
            p.demand = Vec::from_iter(peak.map(|usd_per_kw| DemandCharge {
                name: "peak".into(),
                per_kw: usd(usd_per_kw),
                interval: hour,
                so_far: kw(2.0),
                applies: Vec::new(),
            }));
            p.reserves = Vec::from_iter(reserve.map(|price| Reserve {
                name: "reserve".into(),
                duration: 2 * hour,
                price: vec![per_kwh(price); p.steps()],
                sold: Vec::new(),
                most: kw(3.0),
                penalty: None,
                classes: vec![0],
                battery: p.battery.is_some(),
            }));
            p
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_solver_finds_a_plan_of_the_same_cost_that_keeps_the_rules(p in any_large_site()) {
        let by = |solver| solve_with(&p, Options { solver, ..Options::default() });
        let others = [
            Solver::Micro,
            #[cfg(feature = "highs")]
            Solver::Highs,
        ];
        for solver in others {
            match (by(None), by(Some(solver))) {
                (Ok(own), Ok(other)) => {
                    prop_assert_eq!(broken(&p, &own), Vec::<String>::new());
                    let (own, other) = (own.cost.get(), other.cost.get());
                    prop_assert!((own - other).abs() <= 1e-4 * own.abs() + 1e-6, "{own} {other}");
                }
                (Err(own), Err(other)) => prop_assert_eq!(own, other),
                (own, other) => prop_assert!(false, "{own:?} {other:?}"),
            }
        }
    }
}
