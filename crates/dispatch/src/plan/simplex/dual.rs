//! The dual method: from reduced costs of the right signs to values within their bounds.

use super::{EXCHANGES, Ended, FEASIBLE, OPTIMAL, Place, Simplex, sparse};

/// An entry of a row this small cannot be a pivot.
const NOTHING: f64 = 1e-9;
/// A pivot this small is avoided.
const SMALL: f64 = 1e-6;
/// Costs are perturbed by this part, so that ties do not stall the search.
const PERTURBED: f64 = 1e-6;

/// A column that may come into the basis.
#[derive(Clone, Copy)]
struct Candidate {
    j: u32,
    /// Its entry in the row, signed so that a step is positive.
    alpha: f64,
    ratio: f64,
}

/// Vectors that live through a solve.
struct Scratch {
    row: Vec<f64>,
    marked: Vec<bool>,
    touched: Vec<u32>,
    candidates: Vec<Candidate>,
}

impl Simplex {
    /// Expects a fresh factor. Reduced costs of a wrong sign are shifted away: the primal method mends
    /// what that leaves.
    pub(super) fn dual(&mut self, perturb: bool, most: usize) -> Ended {
        self.shift(perturb);
        let all = self.x.len();
        let mut s = Scratch {
            row: vec![0.0; all],
            marked: vec![false; all],
            touched: Vec::new(),
            candidates: Vec::new(),
        };
        let mut troubles = 0;
        loop {
            let (exchanges, entries) = self.factor.age();
            if exchanges >= EXCHANGES || entries > 3 * self.factor.size() {
                if !self.refresh(false) {
                    return Ended::Lost;
                }
                self.shift(false);
            }
            let Some((row, outside)) = self.leaves() else { return Ended::Optimal };
            if self.iterations >= most {
                return Ended::Lost;
            }
            let mut rho = vec![0.0; self.p.m];
            rho[row] = 1.0;
            self.factor.backward(&mut rho);
            let entries = sparse(&rho);
            self.weights[row] = entries.iter().map(|(_, r)| r * r).sum();
            self.cross(&entries, &mut s);
            let comes = self.comes(outside, &mut s);
            let Some((comes, flips)) = comes else {
                if self.factor.age().0 == 0 {
                    return Ended::Infeasible;
                }
                // Only a fresh basis may say so.
                if !self.refresh(false) {
                    return Ended::Lost;
                }
                self.shift(false);
                continue;
            };
            let column = self.column(comes);
            let pivot = column.iter().find(|(i, _)| *i as usize == row).map_or(0.0, |(_, a)| *a);
            if (pivot - s.row[comes]).abs() > 1e-6 * (1.0 + pivot.abs()) || pivot.abs() < NOTHING {
                troubles += 1;
                if troubles > 20 || self.factor.age().0 == 0 || !self.refresh(false) {
                    return Ended::Lost;
                }
                self.shift(false);
                continue;
            }
            self.flip(&flips);
            self.step((row, outside < 0.0), comes, pivot, &column, rho, &s);
        }
    }

    /// Makes every reduced cost right by changing costs, and perturbs them where asked.
    fn shift(&mut self, perturb: bool) {
        for j in 0..self.d.len() {
            let fixed = self.p.low[j] == self.p.high[j];
            if fixed || matches!(self.place[j], Place::Basic(_)) {
                continue;
            }
            let mut by = -self.wrong(j);
            if perturb && j < self.p.n {
                // A spread that is the same in each run (Knuth's multiplicative hash).
                let spread = (j as u32).wrapping_mul(2_654_435_761) as f64 / f64::from(u32::MAX);
                let much = PERTURBED * (1.0 + self.p.cost[j].abs()) * (0.5 + spread);
                by += match self.place[j] {
                    Place::Low => much,
                    Place::High => -much,
                    _ => 0.0,
                };
            }
            self.cost[j] += by;
            self.d[j] += by;
            self.shifted |= by != 0.0;
        }
    }

    /// The row whose column is furthest outside its bounds, by its weight.
    fn leaves(&mut self) -> Option<(usize, f64)> {
        let mut best = None;
        let mut most = 0.0;
        let mut far = std::mem::take(&mut self.far);
        far.retain(|row| {
            let at = *row as usize;
            let (outside, weight) = (self.outside[at], self.weights[at]);
            self.listed[at] = outside > 0.0;
            // Ties go to the first row, so that the order of the list means nothing.
            if outside > most * weight || (outside == most * weight && Some(at) < best) {
                most = outside / weight;
                best = Some(at);
            }
            self.listed[at]
        });
        self.far = far;
        best.map(|row| (row, self.outside(self.head[row] as usize)))
    }

    /// A row of the basis' inverse times the matrix.
    fn cross(&self, rho: &[(u32, f64)], s: &mut Scratch) {
        for j in s.touched.drain(..) {
            s.row[j as usize] = 0.0;
            s.marked[j as usize] = false;
        }
        for (i, r) in rho {
            let i = *i as usize;
            for (j, a) in self.p.rows.get(i).iter().chain(&[((self.p.n + i) as u32, 1.0)]) {
                let at = *j as usize;
                if !s.marked[at] {
                    s.marked[at] = true;
                    s.touched.push(*j);
                }
                s.row[at] += a * r;
            }
        }
    }

    /// The column that comes into the basis, and those that go to their other bound on the way there.
    fn comes(&self, outside: f64, s: &mut Scratch) -> Option<(usize, Vec<u32>)> {
        let sign = outside.signum();
        s.candidates.clear();
        for j in &s.touched {
            let at = *j as usize;
            let alpha = sign * s.row[at];
            let may = match self.place[at] {
                Place::Basic(_) => false,
                Place::Low => alpha > NOTHING,
                Place::High => alpha < -NOTHING,
                Place::Free => alpha.abs() > NOTHING,
            };
            if may && self.p.low[at] < self.p.high[at] {
                let ratio = (self.d[at] / alpha).max(0.0);
                s.candidates.push(Candidate { j: *j, alpha: alpha.abs(), ratio });
            }
        }
        let by_ratio = |a: &Candidate, b: &Candidate| a.ratio.total_cmp(&b.ratio);
        s.candidates.sort_unstable_by(|a, b| by_ratio(a, b).then(a.j.cmp(&b.j)));
        let mut slope = outside.abs();
        let mut end = s.candidates.len().checked_sub(1)?;
        for (k, c) in s.candidates.iter().enumerate() {
            let j = c.j as usize;
            slope -= c.alpha * (self.p.high[j] - self.p.low[j]);
            if slope < 0.0 {
                end = k;
                break;
            }
        }
        if slope > FEASIBLE * (1.0 + outside.abs()) {
            // All of them at their other bounds would not suffice.
            return None;
        }
        // Of those that a tolerance makes equal, the largest; a small one only where there is no other.
        let limit = s.candidates[end..]
            .iter()
            .map(|c| c.ratio + OPTIMAL / c.alpha)
            .fold(f64::INFINITY, f64::min);
        let equal = s.candidates[end..].iter().take_while(|c| c.ratio <= limit).count().max(1);
        let largest = |from: usize, to: usize| {
            (from..to).max_by(|a, b| s.candidates[*a].alpha.total_cmp(&s.candidates[*b].alpha))
        };
        let mut best = largest(end, end + equal)?;
        let mut first = end;
        if s.candidates[best].alpha < SMALL {
            let before = (0..end).rev().find(|k| s.candidates[*k].alpha >= SMALL);
            if let Some(k) = before {
                (best, first) = (k, k);
            }
        }
        let comes = s.candidates[best].j as usize;
        let flips = s.candidates[..first].iter().map(|c| c.j).collect();
        Some((comes, flips))
    }

    fn flip(&mut self, flips: &[u32]) {
        if flips.is_empty() {
            return;
        }
        let mut moved = vec![0.0; self.p.m];
        for j in flips {
            let j = *j as usize;
            let before = self.x[j];
            self.place[j] = if self.place[j] == Place::Low { Place::High } else { Place::Low };
            self.x[j] = self.resting(j);
            let by = self.x[j] - before;
            self.p.column(j).iter().for_each(|(i, a)| moved[*i as usize] += a * by);
        }
        self.factor.forward(&mut moved);
        self.shift_by(&sparse(&moved), 1.0);
    }

    fn step(
        &mut self,
        (row, rises): (usize, bool),
        comes: usize,
        pivot: f64,
        column: &[(u32, f64)],
        rho: Vec<f64>,
        s: &Scratch,
    ) {
        let goes = self.head[row] as usize;
        let to = if rises { Place::Low } else { Place::High };
        let bound = if to == Place::Low { self.p.low[goes] } else { self.p.high[goes] };
        let theta = self.d[comes] / s.row[comes];
        for j in &s.touched {
            let at = *j as usize;
            if matches!(self.place[at], Place::Basic(_)) {
                continue;
            }
            self.d[at] -= theta * s.row[at];
            let wrong = self.wrong(at);
            if wrong != 0.0 {
                self.cost[at] -= wrong;
                self.d[at] = 0.0;
                self.shifted = true;
            }
        }
        self.d[comes] = 0.0;
        self.d[goes] = -theta;
        let by = (self.x[goes] - bound) / pivot;
        let weight = self.weights[row];
        let mut tau = rho;
        self.factor.forward(&mut tau);
        self.shift_by(column, by);
        for (i, a) in column {
            let i = *i as usize;
            if i != row {
                let part = a / pivot;
                let new = self.weights[i] - 2.0 * part * tau[i] + part * part * weight;
                self.weights[i] = new.max(1e-4);
            }
        }
        self.weights[row] = (weight / (pivot * pivot)).max(1e-4);
        self.x[comes] += by;
        let d = self.d[goes];
        self.exchange(row, comes, to, pivot, column);
        // A step backwards by rounding: its cost is shifted too.
        self.d[goes] = d;
        let wrong = self.wrong(goes);
        self.cost[goes] -= wrong;
        self.d[goes] -= wrong;
        self.shifted |= wrong != 0.0;
    }
}
