//! The day plan: what every class of machines, the battery, the engine and the heaters do over the next
//! day or two, at the least cost that a mixed-integer program finds, with a bound on how much better
//! any plan could be and the reason for each interval.
//!
//! It owns the formulation and the explanation. It never carries a plan out, never fetches an input and
//! keeps nothing between plans: a plan is made anew each step, from the state as it then is.

mod branch;
mod build;
mod check;
mod duals;
mod hold;
mod limit;
mod model;
mod problem;
mod result;
mod simplex;
mod why;

#[cfg(test)]
mod audit;
#[cfg(test)]
mod solvers;
#[cfg(test)]
mod tests;

pub use limit::Limit;
pub use model::Solver;
pub use problem::*;
pub use result::{ClassPlan, Interval, Plan, ZonePlan};
pub use why::Why;

use model::{Effort, Model, Solved, Unsolved};
use std::time::{Duration, Instant};

/// Programs that the own search solves before another solver is asked. A home and a farm as in the
/// benchmark need four and two.
const NODES: usize = 1000;

/// How a plan is searched for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Which solver; `None` searches on the simplex method of this crate, and asks another one only
    /// where that comes to no end.
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
    let found = search(&model, options)
        .map_err(|unsolved| no_plan(problem, &model, effort(options), unsolved))?;
    let solved = found.solved;
    // A relaxation that cannot be solved has no say: then nothing is known about the bound.
    let relaxed = found.relaxed.or_else(|| Some(model.relaxed().solve(effort(options)).ok()?.cost));
    let bound = relaxed.map(|cost| cost.min(solved.cost));
    let fixed = model.fixed(&solved.values);
    let worth: Vec<f64> = (0..problem.steps()).map(|t| problem.worth(t)).collect();
    let duals = duals::duals(&fixed, &worth, problem.hours(), effort(options));
    let mut plan = result::read(problem, &layout, &solved, bound);
    why::explain(problem, &layout, &fixed, &solved.values, duals.as_ref(), &mut plan);
    Ok(plan)
}

fn effort(options: Options) -> Effort {
    let Options { solver, gap, patience } = options;
    Effort { solver: solver.unwrap_or(Solver::OTHER), gap, patience }
}

fn no_plan(problem: &Problem, model: &Model, effort: Effort, unsolved: Unsolved) -> Infeasible {
    match unsolved {
        Unsolved::Infeasible => conflict(problem, model, effort),
        Unsolved::Other(said) => Infeasible::Solver(said),
    }
}

/// What a search found, and the cost of the relaxation where it met that on the way.
struct Found {
    solved: Solved,
    relaxed: Option<f64>,
}

/// The cheapest plan: by the own search, and from where that stops, after at most half of the time, by
/// the other solver.
fn search(model: &Model, options: Options) -> Result<Found, Unsolved> {
    let other = |start: Option<&Solved>, patience| {
        let start = start.map(|solved| solved.values.as_slice());
        model.solve_from(Effort { patience, ..effort(options) }, start)
    };
    let own = options.solver.is_none().then(|| own(model, options)).flatten();
    let Some((relaxed, best)) = own else {
        return Ok(Found { solved: other(None, options.patience)?, relaxed: None });
    };
    let relaxed = Some(relaxed);
    let solved = match best {
        Some(near) if near.proven => near,
        Some(near) => match other(Some(&near), options.patience / 2) {
            Ok(solved) if solved.proven || solved.cost < near.cost => solved,
            _ => near,
        },
        None => other(None, options.patience / 2)?,
    };
    Ok(Found { solved, relaxed })
}

/// The cost of the relaxation, and the best plan of the own search.
fn own(model: &Model, options: Options) -> Option<(f64, Option<Solved>)> {
    let began = Instant::now();
    let go = |nodes| nodes < NODES && began.elapsed() < options.patience / 2;
    let found = branch::search(model.program(), &model.whole(), options.gap, go)?;
    let best = found.best.map(|values| Solved { proven: found.proven, ..model.solved(values) });
    Some((found.relaxed, best))
}

/// Names the requirements whose relaxation by the least total amount makes a plan possible: every row
/// that is no law gets slack at one dollar per unit, and nothing else costs anything.
fn conflict(problem: &Problem, model: &Model, effort: Effort) -> Infeasible {
    let mut elastic = model.clone();
    elastic.cols.iter_mut().for_each(|c| c.cost = 0.0);
    for j in 0..elastic.cols.len() {
        let col = &mut elastic.cols[j];
        if let Some(tag) = col.tag.filter(|tag| matches!(tag.limit, Limit::Import | Limit::Export))
        {
            let high = std::mem::replace(&mut col.high, f64::INFINITY);
            elastic.at_most(vec![(j, 1.0)], high, tag);
        }
    }
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
