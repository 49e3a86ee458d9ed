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

/// Whole-number columns beyond which microlp looks next to the relaxation first, and which go to HiGHS
/// where it is built in.
const FEW: usize = 600;

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
    let effort = effort(&model, options);
    let found =
        search(&model, effort).map_err(|unsolved| no_plan(problem, &model, effort, unsolved))?;
    let solved = found.solved;
    // A relaxation that cannot be solved has no say: then nothing is known about the bound.
    let relaxed = found.relaxed.or_else(|| Some(model.relaxed().solve(effort).ok()?.cost));
    let bound = relaxed.map(|cost| cost.min(solved.cost));
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
    let effort = effort(&model, options);
    match search(&model, effort) {
        Ok(found) => Ok(found.solved.cost),
        Err(unsolved) => Err(no_plan(problem, &model, effort, unsolved)),
    }
}

fn effort(model: &Model, options: Options) -> Effort {
    let large = model.whole_columns() > FEW;
    let solver = options.solver.unwrap_or(if large { Solver::LARGE } else { Solver::Micro });
    Effort { solver, gap: options.gap, patience: options.patience }
}

fn no_plan(problem: &Problem, model: &Model, effort: Effort, unsolved: Unsolved) -> Infeasible {
    match unsolved {
        Unsolved::Infeasible => conflict(problem, model, effort),
        Unsolved::Other(said) => Infeasible::Solver(said),
    }
}

/// What a search found, and the cost of the relaxation where it was needed on the way.
struct Found {
    solved: Solved,
    relaxed: Option<f64>,
}

/// The cheapest plan. Where microlp has many whole numbers to choose, it first chooses only those that
/// the relaxation leaves open, in half of its time, and searches on from there only if that plan is
/// further from the bound than asked for.
fn search(model: &Model, effort: Effort) -> Result<Found, Unsolved> {
    if effort.solver != Solver::Micro || model.whole_columns() <= FEW {
        return Ok(Found { solved: model.solve(effort)?, relaxed: None });
    }
    let relaxed = model.relaxed().solve(effort)?;
    let bound = relaxed.cost;
    let half = Effort { patience: effort.patience / 2, ..effort };
    // Nothing there, or nothing in time: the whole has to be searched.
    let near = model.near(&relaxed.values).solve(half).ok();
    let solved = match near {
        Some(near) if near.cost - bound <= effort.gap * near.cost.abs() => {
            Solved { proven: true, ..near }
        }
        Some(near) => match model.solve_from(half, Some(&near.values)) {
            Ok(better) if better.proven || better.cost < near.cost => better,
            _ => Solved { proven: false, ..near },
        },
        None => model.solve(half)?,
    };
    Ok(Found { solved, relaxed: Some(bound) })
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
