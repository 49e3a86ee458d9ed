//! How a simulated figure is shown beside the formula's. Owns the columns; never computes a figure.

use super::chance::Estimate;
use crate::report::{Cell, Column, Table};

/// A figure by formula and by simulation.
#[derive(Debug, Clone)]
pub struct Check {
    /// Of which case: `0.36`.
    pub case: String,
    /// What, with its unit.
    pub quantity: String,
    /// By formula.
    pub closed: f64,
    /// By simulation.
    pub seen: Estimate,
    /// Digits after the point that people see.
    pub digits: usize,
}

impl Check {
    /// In standard errors.
    pub fn deviation(&self) -> f64 {
        self.seen.deviation(self.closed)
    }
}

/// All checks, one a row; `case` is the heading of what they are cases of.
pub fn table(case: &str, checks: &[Check]) -> Table {
    let columns = [
        Column::new("case", case),
        Column::new("quantity", "quantity"),
        Column::new("closed_form", "closed form"),
        Column::new("simulated", "simulated"),
        Column::new("standard_error", "standard error"),
        Column::new("deviation_se", "deviation, standard errors"),
    ];
    let mut table = Table::new("checks", "Closed form beside simulation", columns);
    for check in checks {
        table.row([
            check.case.as_str().into(),
            check.quantity.as_str().into(),
            Cell::Number(check.closed, check.digits),
            Cell::Number(check.seen.mean, check.digits),
            Cell::Number(check.seen.standard_error, check.digits + 1),
            Cell::Number(check.deviation(), 2),
        ]);
    }
    table
}

/// A sentence on how well all of them agree.
pub fn verdict(checks: &[Check]) -> String {
    let far = |check: &Check| check.deviation().abs();
    let Some(worst) = checks.iter().max_by(|a, b| far(a).total_cmp(&far(b))) else {
        return String::new();
    };
    let agrees = if far(worst) <= 4.0 { "agrees" } else { "does NOT agree" };
    format!(
        "The simulation {agrees} with the formulas: of {} figures the farthest off is {} at {}, by \
         {:.1} standard errors.",
        checks.len(),
        worst.quantity,
        worst.case,
        far(worst)
    )
}
