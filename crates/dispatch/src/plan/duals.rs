//! Shadow prices of a linear program, from its dual written out and solved: microlp reports none, and
//! so every solver is asked in the same way. By strong duality they are exact; where several sets
//! are, one of them is returned.

use super::model::{Effort, Model};

/// What one more unit on a right-hand side, or of a bound, adds to the cost, in $ per unit.
#[derive(Debug, Clone)]
pub(super) struct Duals {
    /// Per row.
    pub rows: Vec<f64>,
    /// Per column, of its lower bound (never negative) and of its upper bound (never positive).
    pub low: Vec<f64>,
    pub high: Vec<f64>,
}

/// Of a model without whole numbers; `None` if the dual cannot be solved.
pub(super) fn duals(model: &Model, effort: Effort) -> Option<Duals> {
    let mut dual = Model::default();
    let fixed = |j: usize| model.cols[j].low == model.cols[j].high;
    let mut by_col: Vec<Vec<(usize, f64)>> = vec![Vec::new(); model.cols.len()];
    let mut rows: Vec<[Option<usize>; 2]> = Vec::with_capacity(model.rows.len());
    for row in &model.rows {
        let free = row.terms.iter().filter(|(j, _)| !fixed(*j));
        if free.clone().next().is_none() {
            rows.push([None, None]);
            continue;
        }
        let constant: f64 = row
            .terms
            .iter()
            .filter(|(j, _)| fixed(*j))
            .map(|(j, by)| by * model.cols[*j].low)
            .sum();
        let (low, high) = (row.low - constant, row.high - constant);
        // The dual is a maximum: its negative is minimised.
        let pair = if row.low == row.high {
            [Some(dual.col(f64::NEG_INFINITY, f64::INFINITY, -low)), None]
        } else {
            [
                low.is_finite().then(|| dual.col(0.0, f64::INFINITY, -low)),
                high.is_finite().then(|| dual.col(0.0, f64::INFINITY, high)),
            ]
        };
        for (j, by) in free {
            by_col[*j].extend(pair[0].map(|y| (y, *by)));
            by_col[*j].extend(pair[1].map(|y| (y, -*by)));
        }
        rows.push(pair);
    }
    let mut bounds: Vec<[Option<usize>; 2]> = vec![[None, None]; model.cols.len()];
    for (j, col) in model.cols.iter().enumerate().filter(|(j, _)| !fixed(*j)) {
        bounds[j] = [
            col.low.is_finite().then(|| dual.col(0.0, f64::INFINITY, -col.low)),
            col.high.is_finite().then(|| dual.col(0.0, f64::INFINITY, col.high)),
        ];
        let mut terms = std::mem::take(&mut by_col[j]);
        terms.extend(bounds[j][0].map(|z| (z, 1.0)));
        terms.extend(bounds[j][1].map(|z| (z, -1.0)));
        dual.equal(terms, col.cost, super::Limit::Law.at(0));
    }
    let y = dual.solve(effort).ok()?.values;
    let value = |col: Option<usize>| col.map_or(0.0, |j| y[j]);
    Some(Duals {
        rows: rows.iter().map(|[low, high]| value(*low) - value(*high)).collect(),
        low: bounds.iter().map(|[low, _]| value(*low)).collect(),
        high: bounds.iter().map(|[_, high]| -value(*high)).collect(),
    })
}
