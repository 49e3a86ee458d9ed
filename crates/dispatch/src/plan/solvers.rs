//! The own search against the solvers of others, on programs that nobody chose.

use super::{
    branch,
    limit::Limit,
    model::{Effort, Model, Unsolved},
    simplex::{Ended, Simplex},
    tests::any_site,
    *,
};
use proptest::prelude::*;

/// A column: cost, low, high, and whether it is a whole number.
fn column() -> impl Strategy<Value = (f64, f64, f64, bool)> {
    let bound = prop_oneof![
        4 => (-3..=3_i32, 0..=5_i32).prop_map(|(low, range)| (f64::from(low), f64::from(low + range))),
        1 => Just((0.0, f64::INFINITY)),
        1 => Just((f64::NEG_INFINITY, f64::INFINITY)),
    ];
    ((-4..=4_i32).prop_map(f64::from), bound, any::<bool>())
        .prop_map(|(cost, (low, high), whole)| (cost, low, high, whole && high < f64::INFINITY))
}

/// A model whose numbers are small whole ones, so that ties abound.
fn any_model() -> impl Strategy<Value = Model> {
    let term = (0..12_usize, -3..=3_i32);
    let row = (prop::collection::vec(term, 1..5), -6..=6_i32, 0..4_u8);
    (prop::collection::vec(column(), 12), prop::collection::vec(row, 0..14)).prop_map(
        |(columns, rows)| {
            let mut model = Model::default();
            for (cost, low, high, whole) in columns {
                let col = model.col(low, high, cost);
                model.cols[col].whole = whole;
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

fn micro() -> Effort {
    Effort { solver: Solver::Micro, gap: 0.0, patience: Duration::from_secs(60) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_prices_of_a_linear_program_prove_its_cost(model in any_model()) {
        let model = model.relaxed();
        let mut lp = Simplex::new(model.program());
        let ended = lp.solve(true);
        if ended != Ended::Optimal {
            // Infeasible, or unbounded, which is left to others to say.
            let other = model.solve(micro());
            prop_assert!(other.is_err(), "{ended:?} {other:?}");
            return Ok(());
        }
        let prices: Vec<f64> = (0..model.rows.len()).map(|i| lp.row_price(i)).collect();
        let mut proof = 0.0;
        let mut reduced: Vec<f64> = model.cols.iter().map(|c| c.cost).collect();
        for (row, price) in model.rows.iter().zip(&prices) {
            let sum: f64 = row.terms.iter().map(|(j, a)| a * lp.values()[*j]).sum();
            prop_assert!(row.low - 1e-6 <= sum && sum <= row.high + 1e-6, "{row:?} {sum}");
            let side = if *price > 0.0 { row.low } else { row.high };
            proof += if price.abs() > 1e-9 { price * side } else { 0.0 };
            row.terms.iter().for_each(|(j, a)| reduced[*j] -= price * a);
        }
        for (j, (col, price)) in model.cols.iter().zip(&reduced).enumerate() {
            let value = lp.values()[j];
            prop_assert!(col.low - 1e-6 <= value && value <= col.high + 1e-6, "{col:?} {value}");
            let side = if *price > 0.0 { col.low } else { col.high };
            proof += if price.abs() > 1e-9 { price * side } else { 0.0 };
        }
        // Weak duality: nothing costs less than the proof.
        prop_assert!((proof - lp.cost()).abs() < 1e-6, "{proof} {}", lp.cost());
    }

    #[test]
    fn whole_numbers_cost_what_microlp_says(model in any_model()) {
        let found = branch::search(model.program(), &model.whole(), 0.0, |nodes| nodes < 5000);
        let Some(found) = found else { return Ok(()) };
        match (found.best, model.solve(micro())) {
            (Some(values), Ok(other)) => {
                prop_assert!(found.proven);
                let own = model.solved(values).cost;
                prop_assert!((own - other.cost).abs() < 1e-6, "{own} {}", other.cost);
            }
            (None, Err(Unsolved::Infeasible)) => prop_assert!(!found.proven),
            // microlp calls some bounded models unbounded: `4x - y = 0`, x in [0, 1], y at least 0.
            (_, Err(Unsolved::Other(_))) => {}
            (own, other) => prop_assert!(false, "{own:?} {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_solver_finds_a_plan_of_the_same_cost(p in any_site()) {
        let by = |solver| solve_with(&p, Options { solver, ..Options::default() });
        let others = [
            Solver::Micro,
            #[cfg(feature = "highs")]
            Solver::Highs,
        ];
        for solver in others {
            match (by(None), by(Some(solver))) {
                (Ok(own), Ok(other)) => {
                    let (own, other) = (own.cost.get(), other.cost.get());
                    prop_assert!((own - other).abs() <= 1e-4 * own.abs() + 1e-6, "{own} {other}");
                }
                (Err(own), Err(other)) => prop_assert_eq!(own, other),
                (own, other) => prop_assert!(false, "{own:?} {other:?}"),
            }
        }
    }
}
