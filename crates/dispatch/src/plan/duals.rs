//! Shadow prices of a linear program: those of the own simplex method, or from the dual written out and
//! solved by another, as microlp reports none. By strong duality they are exact. Where several sets are,
//! the own method gives that for a little more load in every step: what more costs, not what less saves.

use super::{
    limit::Limit,
    model::{Effort, Model},
    simplex::{Ended, Simplex},
};

/// What one more unit on a right-hand side, or of a bound, adds to the cost, in $ per unit.
#[derive(Debug, Clone)]
pub(super) struct Duals {
    /// Per row.
    pub rows: Vec<f64>,
    /// Per column, of its lower bound (never negative) and of its upper bound (never positive).
    pub low: Vec<f64>,
    pub high: Vec<f64>,
}

/// How much a little is, of the largest power in a step; far above what the simplex method overlooks.
const LITTLE: f64 = 1e-5;

/// Of a model without whole numbers; `None` if nobody has an answer. Where more load cannot be had,
/// `worth` says, in $/kWh for each step, what is given up for it.
pub(super) fn duals(model: &Model, worth: &[f64], hours: f64, effort: Effort) -> Option<Duals> {
    let mut more = model.clone();
    let mut loads = Vec::new();
    for i in 0..more.rows.len() {
        let row = &more.rows[i];
        if row.tag.limit != Limit::Balance {
            continue;
        }
        let highest = |(j, a): &(usize, f64)| {
            let col = &model.cols[*j];
            let most = col.low.abs().max(col.high.abs());
            if most.is_finite() { a.abs() * most } else { 0.0 }
        };
        let power = row.terms.iter().map(highest).fold(1.0, f64::max);
        // A little different in each step, so that no two tie.
        let step = row.tag.step;
        let little = LITTLE * power * (1.0 + step as f64 / worth.len() as f64);
        more.rows[i].low += little;
        more.rows[i].high += little;
        loads.push((i, step, little));
    }
    if let Some(duals) = read(model, &more) {
        return Some(duals);
    }
    for (i, step, little) in loads {
        let without = more.col(0.0, little, worth[step] * hours);
        more.rows[i].terms.push((without, 1.0));
    }
    read(model, &more).or_else(|| written_out(model, effort))
}

fn read(model: &Model, more: &Model) -> Option<Duals> {
    let mut lp = Simplex::new(more.program());
    if lp.solve(true) != Ended::Optimal {
        return None;
    }
    let bounds: Vec<f64> = (0..model.cols.len()).map(|j| lp.column_price(j)).collect();
    Some(Duals {
        rows: (0..model.rows.len()).map(|i| lp.row_price(i)).collect(),
        low: bounds.iter().map(|price| price.max(0.0)).collect(),
        high: bounds.iter().map(|price| price.min(0.0)).collect(),
    })
}

fn written_out(model: &Model, effort: Effort) -> Option<Duals> {
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
