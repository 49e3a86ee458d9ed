//! The day plan: what every class of machines, the battery, the engine and the heaters do over the next
//! day or two, at the least cost that a mixed-integer program finds, with a bound on how much better
//! any plan could be and the reason for each interval.
//!
//! It owns the formulation and the explanation. It never carries a plan out, never fetches an input and
//! keeps nothing between plans: a plan is made anew each step, from the state as it then is.

mod build;
mod check;
mod duals;
mod limit;
mod model;
mod problem;
mod result;
mod why;

#[cfg(test)]
mod audit;
#[cfg(test)]
mod tests;

pub use limit::Limit;
pub use model::Solver;
pub use problem::*;
pub use result::{ClassPlan, Interval, Plan, ZonePlan};
pub use why::Why;

use model::{Effort, Model, Solved, Unsolved};
use std::time::Duration;

/// Whole-number columns beyond which HiGHS is faster than microlp (`cargo bench --bench plan`).
#[cfg(feature = "highs")]
const MICRO_COLUMNS: usize = 600;

/// How a plan is searched for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Which solver; `None` takes the one that is faster for the size.
    pub solver: Option<Solver>,
    /// The search stops when no plan can be better by more than this part of the cost.
    pub gap: f64,
    /// The search stops after this time with the best plan so far. The only clock in this crate is the
    /// solver's own, for this.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { solver: None, gap: 1e-4, patience: Duration::from_secs(20) }
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Infeasible {
    /// The inputs make no sense.
    #[error("{0}")]
    Input(String),
    /// Requirements that cannot all be met: relaxing those named is the least that would do.
    #[error("no plan meets all requirements; in conflict: {}: relax one of them", .0.join(", "))]
    Conflict(Vec<String>),
    /// The solver found nothing in its time, or failed.
    #[error("the solver gave no plan ({0}): allow more time, or plan fewer or longer steps")]
    Solver(String),
}

/// The cheapest plan, with its bound and its reasons. Deterministic unless the search runs out of time.
pub fn solve(problem: &Problem) -> Result<Plan, Infeasible> {
    solve_with(problem, Options::default())
}

/// The same with a solver, gap and time of one's own.
pub fn solve_with(problem: &Problem, options: Options) -> Result<Plan, Infeasible> {
    check::check(problem)?;
    let (model, layout) = build::build(problem);
    let solver = options.solver.unwrap_or_else(|| default_solver(&model));
    let effort = Effort { solver, gap: options.gap, patience: options.patience };
    let solved = match model.solve(effort) {
        Ok(solved) => solved,
        Err(Unsolved::Infeasible) => return Err(conflict(problem, &model, effort)),
        Err(Unsolved::Other(said)) => return Err(Infeasible::Solver(said)),
    };
    // A relaxation that cannot be solved has no say: then nothing is known about the bound.
    let bound = model.relaxed().solve(effort).ok().map(|relaxed| relaxed.cost.min(solved.cost));
    let fixed = model.fixed(&solved.values);
    let duals = duals::duals(&fixed, effort);
    let mut plan = result::read(problem, &layout, &solved, bound);
    why::explain(problem, &layout, &fixed, &solved.values, duals.as_ref(), &mut plan);
    Ok(plan)
}

/// What the plan costs, without its bound and reasons, in dollars: what a benchmark times.
pub fn cost(problem: &Problem, options: Options) -> Result<f64, Infeasible> {
    check::check(problem)?;
    let (model, _) = build::build(problem);
    let solver = options.solver.unwrap_or_else(|| default_solver(&model));
    let effort = Effort { solver, gap: options.gap, patience: options.patience };
    match model.solve(effort) {
        Ok(solved) => Ok(solved.cost),
        Err(Unsolved::Infeasible) => Err(conflict(problem, &model, effort)),
        Err(Unsolved::Other(said)) => Err(Infeasible::Solver(said)),
    }
}

fn default_solver(_model: &Model) -> Solver {
    #[cfg(feature = "highs")]
    if _model.whole_columns() > MICRO_COLUMNS {
        return Solver::Highs;
    }
    Solver::Micro
}

/// Names the requirements whose relaxation by the least total amount makes a plan possible: every row
/// that is no law gets slack at one dollar per unit, and nothing else costs anything.
fn conflict(problem: &Problem, model: &Model, effort: Effort) -> Infeasible {
    let mut elastic = model.clone();
    elastic.cols.iter_mut().for_each(|c| c.cost = 0.0);
    let mut slack = Vec::new();
    for i in 0..elastic.rows.len() {
        if elastic.rows[i].tag.limit.is_law() {
            continue;
        }
        let (under, over) =
            (elastic.col(0.0, f64::INFINITY, 1.0), elastic.col(0.0, f64::INFINITY, 1.0));
        elastic.rows[i].terms.extend([(under, 1.0), (over, -1.0)]);
        slack.push((i, under, over));
    }
    let Ok(Solved { values, .. }) = elastic.solve(Effort { gap: 0.01, ..effort }) else {
        return Infeasible::Conflict(vec!["load, production and connection".into()]);
    };
    let mut names: Vec<String> = Vec::new();
    for (i, under, over) in slack {
        let tag = elastic.rows[i].tag;
        if values[under] + values[over] > 1e-6 {
            let name = tag.limit.name(problem);
            if !names.iter().any(|n| n.starts_with(&name)) {
                names.push(format!("{name} (from step {})", tag.step));
            }
        }
    }
    if names.is_empty() {
        names.push("load, production and connection".into());
    }
    Infeasible::Conflict(names)
}
