//! Linear programs by the revised simplex method with bounds, from any basis: values, shadow prices and
//! a cost that no solution can undercut. It chooses nothing about whole numbers.
//!
//! The dual method with steepest-edge prices (Forrest and Goldfarb, Math. Prog. 57, 1992) and long steps
//! (Maros, EJOR 149, 2003) starts from the slacks, which a plan's bounds make dual feasible; the primal
//! method mends what perturbed costs leave. An answer counts only once it was verified from the data:
//! otherwise it is [`Ended::Lost`], and the caller asks another solver.

mod dual;
mod factor;
mod primal;

use factor::{DUST, Factor, Lists};

/// Bounds are met to this, in their own unit and relative to their size.
const FEASIBLE: f64 = 1e-7;
/// A reduced cost this small is none, in $ per unit.
const OPTIMAL: f64 = 1e-9;
/// Exchanges after which a basis is factorised anew.
const EXCHANGES: usize = 100;

/// How a solve ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Optimal,
    Infeasible,
    /// No verified answer.
    Lost,
}

/// Where a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the basis, at this row.
    Basic(u32),
    Low,
    High,
    /// Without bounds, at zero.
    Free,
}

/// The rows and columns of a program. Row i reads a·x + s = 0 with its own slack s = column n + i.
#[derive(Debug, Clone)]
pub(super) struct Program {
    n: usize,
    m: usize,
    columns: Lists,
    rows: Lists,
    cost: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
}

/// A basis to come back to.
#[derive(Debug, Clone)]
pub(super) struct Basis {
    head: Vec<u32>,
    place: Vec<Place>,
}

/// A program and where the search in it stands.
#[derive(Debug, Clone)]
pub(super) struct Simplex {
    p: Program,
    /// Costs in force: perturbed and shifted while the dual method runs.
    cost: Vec<f64>,
    /// Whether they are not the true ones.
    shifted: bool,
    head: Vec<u32>,
    place: Vec<Place>,
    /// Of all columns.
    x: Vec<f64>,
    /// Reduced costs of all columns.
    d: Vec<f64>,
    /// Squared lengths of the rows of the basis' inverse.
    weights: Vec<f64>,
    /// By row: how far its column is outside its bounds, squared.
    outside: Vec<f64>,
    /// Rows where that is not zero, and some where it was.
    far: Vec<u32>,
    listed: Vec<bool>,
    factor: Factor,
    iterations: usize,
}

impl Program {
    /// Of columns (cost, low, high) and rows (terms, low, high).
    pub fn new<'a>(
        columns: impl Iterator<Item = (f64, f64, f64)>,
        lines: impl Iterator<Item = (&'a [(usize, f64)], f64, f64)>,
    ) -> Self {
        let (mut cost, mut low, mut high) = (Vec::new(), Vec::new(), Vec::new());
        for (c, l, h) in columns {
            cost.push(c);
            low.push(l);
            high.push(h);
        }
        let n = cost.len();
        let mut rows = Lists::default();
        for (terms, least, most) in lines {
            rows.push(merged(terms));
            cost.push(0.0);
            low.push(-most);
            high.push(-least);
        }
        let m = rows.len();
        let mut columns = rows.transposed(n);
        (0..m).for_each(|i| columns.push([(i as u32, 1.0)]));
        Self { n, m, columns, rows, cost, low, high }
    }

    fn column(&self, j: usize) -> &[(u32, f64)] {
        self.columns.get(j)
    }
}

/// Terms with each column once.
fn merged(terms: &[(usize, f64)]) -> Vec<(u32, f64)> {
    let mut list: Vec<(u32, f64)> = terms.iter().map(|(j, a)| (*j as u32, *a)).collect();
    list.sort_by_key(|(j, _)| *j);
    list.dedup_by(|from, to| {
        let same = from.0 == to.0;
        to.1 += if same { from.1 } else { 0.0 };
        same
    });
    list.retain(|(_, a)| *a != 0.0);
    list
}

impl Simplex {
    /// At the slack basis.
    pub fn new(p: Program) -> Self {
        let all = p.n + p.m;
        let mut simplex = Self {
            cost: p.cost.clone(),
            shifted: false,
            head: (p.n as u32..all as u32).collect(),
            place: vec![Place::Low; all],
            x: vec![0.0; all],
            d: vec![0.0; all],
            weights: vec![1.0; p.m],
            outside: vec![0.0; p.m],
            far: Vec::new(),
            listed: vec![false; p.m],
            factor: Factor::default(),
            iterations: 0,
            p,
        };
        for j in 0..simplex.p.n {
            simplex.place[j] = simplex.nearest(j, simplex.p.cost[j]);
        }
        simplex
    }

    /// Solves from where the search stands.
    pub fn solve(&mut self, perturb: bool) -> Ended {
        let most = self.iterations + 20 * (self.p.m + self.p.n) + 1000;
        for attempt in 0..4 {
            if !self.refresh(true) {
                return Ended::Lost;
            }
            let ended = self.dual(perturb || attempt > 0, most);
            if ended != Ended::Optimal {
                return ended;
            }
            self.unshift();
            if !self.refresh(false) {
                return Ended::Lost;
            }
            if !self.primal(most) {
                return Ended::Lost;
            }
            if self.verified() {
                return Ended::Optimal;
            }
        }
        Ended::Lost
    }

    /// Solves after bounds have moved, with the factors at hand. Not verified.
    pub fn resume(&mut self) -> Ended {
        let most = self.iterations + 2 * self.p.m + 1000;
        self.settle();
        let ended = self.dual(false, most);
        if ended != Ended::Optimal || !self.shifted {
            return ended;
        }
        self.unshift();
        self.price();
        if self.primal(most) { Ended::Optimal } else { Ended::Lost }
    }

    fn unshift(&mut self) {
        self.cost.clone_from(&self.p.cost);
        self.shifted = false;
    }

    /// Moves the bounds of a column.
    pub fn bound(&mut self, j: usize, low: f64, high: f64) {
        (self.p.low[j], self.p.high[j]) = (low, high);
        if !matches!(self.place[j], Place::Basic(_)) {
            self.place[j] = self.nearest(j, self.d[j]);
        }
    }

    pub fn basis(&self) -> Basis {
        Basis { head: self.head.clone(), place: self.place.clone() }
    }

    /// Goes back to a basis, under the bounds as they are now.
    pub fn restore(&mut self, basis: &Basis) -> bool {
        self.head.clone_from(&basis.head);
        self.place.clone_from(&basis.place);
        self.weights.fill(1.0);
        for (j, place) in basis.place.iter().enumerate() {
            let lacks = match place {
                Place::Low => self.p.low[j] == f64::NEG_INFINITY,
                Place::High => self.p.high[j] == f64::INFINITY,
                _ => false,
            };
            if lacks {
                self.place[j] = self.nearest(j, 0.0);
            }
        }
        self.refresh(true)
    }

    /// Of the columns, without the slacks.
    pub fn values(&self) -> &[f64] {
        &self.x[..self.p.n]
    }

    /// The rows that a column is in.
    pub fn rows_of(&self, j: usize) -> impl Iterator<Item = usize> {
        self.p.column(j).iter().map(|(row, _)| *row as usize)
    }

    /// Which rows have no column but these.
    pub fn rows_within(&self, columns: &[usize]) -> Vec<bool> {
        let mut within = vec![false; self.p.n];
        columns.iter().for_each(|j| within[*j] = true);
        let all = |i: usize| self.p.rows.get(i).iter().all(|(j, _)| within[*j as usize]);
        (0..self.p.m).map(all).collect()
    }

    pub fn cost_of(&self, j: usize) -> f64 {
        self.p.cost[j]
    }

    pub fn bounds(&self, j: usize) -> (f64, f64) {
        (self.p.low[j], self.p.high[j])
    }

    pub fn cost(&self) -> f64 {
        self.p.cost.iter().zip(&self.x).map(|(c, x)| c * x).sum()
    }

    /// What one more unit on a row's right-hand side adds to the cost, where it binds.
    pub fn row_price(&self, i: usize) -> f64 {
        -self.d[self.p.n + i]
    }

    /// What one more unit of a column at its bound adds to the cost; zero within its bounds, and where
    /// they leave it no choice.
    pub fn column_price(&self, j: usize) -> f64 {
        let fixed = self.p.low[j] == self.p.high[j];
        if fixed || matches!(self.place[j], Place::Basic(_)) { 0.0 } else { self.d[j] }
    }

    /// Where a column outside the basis stands so that its reduced cost has the right sign, if it can.
    fn nearest(&self, j: usize, d: f64) -> Place {
        let (low, high) = (self.p.low[j].is_finite(), self.p.high[j].is_finite());
        match (low, high) {
            (true, true) if d < 0.0 => Place::High,
            (true, _) => Place::Low,
            (false, true) => Place::High,
            (false, false) => Place::Free,
        }
    }

    fn resting(&self, j: usize) -> f64 {
        match self.place[j] {
            Place::Low => self.p.low[j],
            Place::High => self.p.high[j],
            Place::Free | Place::Basic(_) => 0.0,
        }
    }

    /// Factorises the basis and counts values and reduced costs anew. With `flip`, columns between two
    /// bounds go where their reduced cost has the right sign.
    fn refresh(&mut self, flip: bool) -> bool {
        let kept: Vec<(u32, f64)> =
            self.head.iter().copied().zip(self.weights.iter().copied()).collect();
        for attempt in 0.. {
            let p = &self.p;
            match Factor::new(&mut self.head, |j| p.column(j as usize)) {
                Ok(factor) => {
                    self.factor = factor;
                    break;
                }
                Err(_) if attempt == 3 => return false,
                Err(lacks) => self.mend(&lacks),
            }
        }
        let mut weight = vec![1.0; self.p.n + self.p.m];
        kept.iter().for_each(|(j, w)| weight[*j as usize] = *w);
        for (row, j) in self.head.iter().enumerate() {
            self.place[*j as usize] = Place::Basic(row as u32);
            self.weights[row] = weight[*j as usize];
        }
        self.price();
        if flip {
            for j in 0..self.d.len() {
                let boxed = self.p.low[j].is_finite() && self.p.high[j].is_finite();
                if boxed && !matches!(self.place[j], Place::Basic(_)) && self.d[j].abs() > OPTIMAL {
                    self.place[j] = self.nearest(j, self.d[j]);
                }
            }
        }
        self.settle();
        true
    }

    /// Slacks take the places of columns that depend on others.
    fn mend(&mut self, lacks: &factor::Singular) {
        for (row, column) in lacks.rows.iter().zip(&lacks.columns) {
            let slack = self.p.n as u32 + row;
            for j in &mut self.head {
                if j == column {
                    *j = slack;
                }
            }
            self.place[*column as usize] = self.nearest(*column as usize, self.d[*column as usize]);
        }
    }

    /// Values of the basis.
    fn settle(&mut self) {
        let mut left = vec![0.0; self.p.m];
        for j in 0..self.x.len() {
            if matches!(self.place[j], Place::Basic(_)) {
                continue;
            }
            self.x[j] = self.resting(j);
            if self.x[j] != 0.0 {
                self.p.column(j).iter().for_each(|(i, a)| left[*i as usize] -= a * self.x[j]);
            }
        }
        self.factor.forward(&mut left);
        for (row, value) in left.iter().enumerate() {
            self.x[self.head[row] as usize] = *value;
            self.mark(row);
        }
    }

    /// Takes down how far the column at a row is outside its bounds.
    fn mark(&mut self, row: usize) {
        let outside = self.outside(self.head[row] as usize);
        self.outside[row] = outside * outside;
        if outside != 0.0 && !self.listed[row] {
            self.listed[row] = true;
            self.far.push(row as u32);
        }
    }

    /// Moves the basis by a column of its inverse times the matrix.
    fn shift_by(&mut self, column: &[(u32, f64)], by: f64) {
        for (row, a) in column {
            let row = *row as usize;
            self.x[self.head[row] as usize] -= by * a;
            self.mark(row);
        }
    }

    /// Reduced costs by the costs in force.
    fn price(&mut self) {
        let mut y: Vec<f64> = self.head.iter().map(|j| self.cost[*j as usize]).collect();
        self.factor.backward(&mut y);
        for j in 0..self.d.len() {
            let priced: f64 = self.p.column(j).iter().map(|(i, a)| a * y[*i as usize]).sum();
            self.d[j] = self.cost[j] - priced;
        }
        self.head.iter().for_each(|j| self.d[*j as usize] = 0.0);
    }

    /// How far a column is outside its bounds: below negative, above positive.
    fn outside(&self, j: usize) -> f64 {
        let (x, low, high) = (self.x[j], self.p.low[j], self.p.high[j]);
        if x < low - FEASIBLE * (1.0 + low.abs()) {
            x - low
        } else if x > high + FEASIBLE * (1.0 + high.abs()) {
            x - high
        } else {
            0.0
        }
    }

    /// A reduced cost with the wrong sign, or zero.
    fn wrong(&self, j: usize) -> f64 {
        let d = self.d[j];
        let fixed = self.p.low[j] == self.p.high[j];
        let wrong = match self.place[j] {
            Place::Low => d < -OPTIMAL,
            Place::High => d > OPTIMAL,
            Place::Free => d.abs() > OPTIMAL,
            Place::Basic(_) => false,
        };
        if wrong && !fixed { d } else { 0.0 }
    }

    /// Whether values and prices, counted anew from the data, are feasible: then they are optimal.
    pub fn verified(&mut self) -> bool {
        if self.factor.age().0 > 0 && !self.refresh(false) {
            return false;
        }
        let all = self.x.len();
        let mut sums = self.x[self.p.n..].to_vec();
        let mut sizes = vec![1.0; self.p.m];
        for j in 0..self.p.n {
            for (i, a) in self.p.column(j) {
                sums[*i as usize] += a * self.x[j];
                sizes[*i as usize] += (a * self.x[j]).abs();
            }
        }
        sums.iter().zip(&sizes).all(|(sum, size)| sum.abs() <= FEASIBLE * size)
            && (0..all).all(|j| self.outside(j) == 0.0 && self.wrong(j) == 0.0)
    }

    /// The column j of the basis' inverse times the matrix.
    fn column(&self, j: usize) -> Vec<(u32, f64)> {
        let mut x = vec![0.0; self.p.m];
        self.p.column(j).iter().for_each(|(i, a)| x[*i as usize] = *a);
        self.factor.forward(&mut x);
        sparse(&x)
    }

    fn exchange(
        &mut self,
        row: usize,
        comes: usize,
        goes_to: Place,
        pivot: f64,
        column: &[(u32, f64)],
    ) {
        let goes = self.head[row] as usize;
        self.place[goes] = goes_to;
        self.x[goes] = self.resting(goes);
        self.place[comes] = Place::Basic(row as u32);
        self.head[row] = comes as u32;
        self.mark(row);
        self.factor.exchange(row, pivot, column);
        self.iterations += 1;
    }
}

/// The entries of a vector that is mostly zeros.
fn sparse(x: &[f64]) -> Vec<(u32, f64)> {
    const TOGETHER: usize = 16;
    let mut entries = Vec::with_capacity(64);
    for (k, part) in x.chunks(TOGETHER).enumerate() {
        if part.iter().fold(0, |all, a| all | (a.to_bits() << 1)) == 0 {
            continue;
        }
        let here = part.iter().enumerate().filter(|(_, a)| a.abs() > DUST);
        entries.extend(here.map(|(i, a)| ((k * TOGETHER + i) as u32, *a)));
    }
    entries
}
