//! The primal method: from values within their bounds to reduced costs of the right signs. It mends
//! the little that the dual method's perturbed costs leave.

use super::{EXCHANGES, FEASIBLE, Place, Simplex};

/// An entry of a column this small cannot be a pivot.
const NOTHING: f64 = 1e-9;

impl Simplex {
    /// Expects a fresh factor, and true costs; says whether it came to an end.
    pub(super) fn primal(&mut self, most: usize) -> bool {
        let mut pivots = 0;
        loop {
            if self.factor.age().0 >= EXCHANGES && !self.refresh(false) {
                return false;
            }
            let worst = (0..self.d.len())
                .map(|j| (j, self.wrong(j)))
                .filter(|(_, wrong)| *wrong != 0.0)
                .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
            let Some((comes, wrong)) = worst else {
                if pivots > 0 {
                    self.weights.fill(1.0);
                }
                return true;
            };
            if self.iterations >= most {
                return false;
            }
            let sign = -wrong.signum();
            let column = self.column(comes);
            let own = self.p.high[comes] - self.p.low[comes];
            let Some((at, step)) = self.blocks(&column, sign) else {
                if !own.is_finite() {
                    return false;
                }
                self.cross_over(comes, &column, sign * own);
                continue;
            };
            if own <= step {
                self.cross_over(comes, &column, sign * own);
                continue;
            }
            let pivot = column[at].1;
            let to = if pivot * sign > 0.0 { Place::Low } else { Place::High };
            self.shift_by(&column, sign * step);
            self.x[comes] += sign * step;
            self.exchange(column[at].0 as usize, comes, to, pivot, &column);
            pivots += 1;
            self.price();
        }
    }

    /// A column goes from one of its bounds to the other.
    fn cross_over(&mut self, j: usize, column: &[(u32, f64)], by: f64) {
        self.shift_by(column, by);
        self.place[j] = if self.place[j] == Place::Low { Place::High } else { Place::Low };
        self.x[j] = self.resting(j);
        self.iterations += 1;
    }

    /// The place in the column of the row that stops its step up (or down), and how long the step is
    /// (Harris, Math. Prog. 5, 1973: of those that a tolerance makes equal, the largest entry).
    fn blocks(&self, column: &[(u32, f64)], sign: f64) -> Option<(usize, f64)> {
        let room = |at: usize, slack: f64| {
            let (row, a) = column[at];
            let (j, a) = (self.head[row as usize] as usize, sign * a);
            let bound = if a > 0.0 { self.p.low[j] } else { self.p.high[j] };
            if bound.is_infinite() {
                return f64::INFINITY;
            }
            let inside = if a > 0.0 { self.x[j] - bound } else { bound - self.x[j] };
            (inside + slack * (1.0 + bound.abs())) / a.abs()
        };
        let large = || (0..column.len()).filter(|at| column[*at].1.abs() > NOTHING);
        let limit = large().map(|at| room(at, FEASIBLE)).fold(f64::INFINITY, f64::min);
        if limit == f64::INFINITY {
            return None;
        }
        let equal = large().filter(|at| room(*at, 0.0) <= limit);
        let at = equal.max_by(|a, b| column[*a].1.abs().total_cmp(&column[*b].1.abs()))?;
        Some((at, room(at, 0.0).max(0.0)))
    }
}
