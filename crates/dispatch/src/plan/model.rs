//! Columns and rows of a mixed-integer program, and the solvers behind good_lp that answer it.
//! It knows nothing of power; a tag on a row or column says what it stands for.

use super::{limit::Tag, simplex::Program};
use good_lp::{
    Expression, ResolutionError, Solution, SolverModel, WithMipGap, WithTimeLimit, constraint,
    solvers::SolutionStatus, variable, variables,
};
use std::time::Duration;

/// A column's number.
pub(super) type Col = usize;

/// A program to be minimised.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub cols: Vec<Column>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub low: f64,
    pub high: f64,
    pub cost: f64,
    pub whole: bool,
    pub tag: Option<Tag>,
}

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub terms: Vec<(Col, f64)>,
    pub low: f64,
    pub high: f64,
    pub tag: Tag,
}

/// Which program answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solver {
    /// microlp: pure Rust.
    Micro,
    /// HiGHS: built from C++.
    #[cfg(feature = "highs")]
    Highs,
}

impl Solver {
    /// The one that is asked where the own search comes to no end.
    #[cfg(feature = "highs")]
    pub(super) const OTHER: Self = Self::Highs;
    /// The one that is asked where the own search comes to no end.
    #[cfg(not(feature = "highs"))]
    pub(super) const OTHER: Self = Self::Micro;
}

/// How hard to search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    pub solver: Solver,
    pub gap: f64,
    pub patience: Duration,
}

/// Values of all columns.
#[derive(Debug, Clone)]
pub(super) struct Solved {
    pub values: Vec<f64>,
    pub cost: f64,
    /// Whether the search ended by its gap rather than by its time.
    pub proven: bool,
}

#[derive(Debug)]
pub(super) enum Unsolved {
    Infeasible,
    Other(String),
}

impl Model {
    pub fn col(&mut self, low: f64, high: f64, cost: f64) -> Col {
        self.cols.push(Column { low, high, cost, whole: false, tag: None });
        self.cols.len() - 1
    }

    pub fn number(&mut self, high: f64, cost: f64) -> Col {
        self.cols.push(Column { low: 0.0, high, cost, whole: true, tag: None });
        self.cols.len() - 1
    }

    /// Says what binds when this column is at a bound.
    pub fn tag(&mut self, col: Col, tag: Tag) {
        self.cols[col].tag = Some(tag);
    }

    pub fn row(&mut self, low: f64, terms: Vec<(Col, f64)>, high: f64, tag: Tag) {
        self.rows.push(Row { terms, low, high, tag });
    }

    pub fn at_most(&mut self, terms: Vec<(Col, f64)>, high: f64, tag: Tag) {
        self.row(f64::NEG_INFINITY, terms, high, tag);
    }

    pub fn at_least(&mut self, terms: Vec<(Col, f64)>, low: f64, tag: Tag) {
        self.row(low, terms, f64::INFINITY, tag);
    }

    pub fn equal(&mut self, terms: Vec<(Col, f64)>, value: f64, tag: Tag) {
        self.row(value, terms, value, tag);
    }

    /// Columns that must be whole numbers.
    pub fn whole(&self) -> Vec<Col> {
        (0..self.cols.len()).filter(|j| self.cols[*j].whole).collect()
    }

    /// For the simplex method of this crate.
    pub fn program(&self) -> Program {
        let columns = self.cols.iter().map(|c| (c.cost, c.low, c.high));
        let rows = self.rows.iter().map(|r| (r.terms.as_slice(), r.low, r.high));
        Program::new(columns, rows)
    }

    /// The same without whole numbers.
    pub fn relaxed(&self) -> Self {
        let mut model = self.clone();
        model.cols.iter_mut().for_each(|c| c.whole = false);
        model
    }

    /// The same with its whole numbers where a solution has them: a linear program.
    pub fn fixed(&self, values: &[f64]) -> Self {
        let mut model = self.clone();
        for (col, value) in model.cols.iter_mut().zip(values).filter(|(c, _)| c.whole) {
            let value = value.round();
            (col.low, col.high, col.whole) = (value, value, false);
        }
        model
    }

    pub fn solve(&self, effort: Effort) -> Result<Solved, Unsolved> {
        self.solve_from(effort, None)
    }

    /// The same with a solution to start from.
    pub fn solve_from(&self, effort: Effort, start: Option<&[f64]>) -> Result<Solved, Unsolved> {
        let mut vars = variables!();
        let made: Vec<_> = self
            .cols
            .iter()
            .enumerate()
            .map(|(j, c)| {
                let mut v = variable().min(c.low).max(c.high);
                if let Some(value) = start.and_then(|start| start.get(j)) {
                    v = v.initial(*value);
                }
                vars.add(if c.whole { v.integer() } else { v })
            })
            .collect();
        let objective: Expression = self.cols.iter().zip(&made).map(|(c, v)| c.cost * *v).sum();
        match effort.solver {
            Solver::Micro => {
                let mut problem =
                    vars.minimise(objective).using(good_lp::solvers::microlp::microlp);
                if self.cols.iter().any(|c| c.whole) {
                    problem = problem.with_time_limit(effort.patience.as_secs_f64());
                    problem = problem.with_mip_gap(effort.gap as f32).map_err(refused)?;
                }
                self.answer(problem, &made)
            }
            #[cfg(feature = "highs")]
            Solver::Highs => {
                let mut problem = vars.minimise(objective).using(good_lp::solvers::highs::highs);
                problem = problem
                    .set_threads(1)
                    .set_time_limit(effort.patience.as_secs_f64())
                    .set_mip_rel_gap(effort.gap as f32)
                    .map_err(refused)?;
                self.answer(problem, &made)
            }
        }
    }

    fn answer<S>(&self, mut problem: S, made: &[good_lp::Variable]) -> Result<Solved, Unsolved>
    where
        S: SolverModel<Error = ResolutionError>,
    {
        for row in &self.rows {
            let sum: Expression = row.terms.iter().map(|(col, by)| *by * made[*col]).sum();
            if row.low == row.high {
                problem.add_constraint(constraint!(sum == row.low));
                continue;
            }
            if row.low.is_finite() {
                problem.add_constraint(constraint!(sum.clone() >= row.low));
            }
            if row.high.is_finite() {
                problem.add_constraint(constraint!(sum <= row.high));
            }
        }
        let solution = problem.solve().map_err(|error| match error {
            ResolutionError::Infeasible => Unsolved::Infeasible,
            other => Unsolved::Other(other.to_string()),
        })?;
        let proven = !matches!(solution.status(), SolutionStatus::TimeLimit);
        let values = made.iter().map(|v| solution.value(*v)).collect();
        Ok(Solved { proven, ..self.solved(values) })
    }

    /// What values cost, with whole numbers rounded to what they are.
    pub fn solved(&self, mut values: Vec<f64>) -> Solved {
        for (value, _) in values.iter_mut().zip(&self.cols).filter(|(_, c)| c.whole) {
            *value = value.round();
        }
        let cost = self.cols.iter().zip(&values).map(|(c, v)| c.cost * v).sum();
        Solved { values, cost, proven: true }
    }
}

fn refused(error: impl std::fmt::Debug) -> Unsolved {
    Unsolved::Other(format!("the solver refused an option: {error:?}"))
}
