//! A basis as triangular factors, and the changes since: solves with it and with its transpose. It knows
//! nothing of bounds or costs.
//!
//! Columns and rows with a single entry are taken first, so that only a small rest needs elimination
//! (Suhl and Suhl, ORSA J. Computing 2(4), 1990); the rest is eliminated column by column with threshold
//! pivoting. Exchanges of columns are kept in product form (Dantzig and Orchard-Hays, 1954).

/// A pivot this small is none.
const NOTHING: f64 = 1e-9;
/// Of the largest entry of a column, a pivot has at least this part.
const THRESHOLD: f64 = 0.1;
/// What is left by cancellation is zero.
pub(super) const DUST: f64 = 1e-14;

/// Lists of (index, value), one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    ends: Vec<u32>,
    entries: Vec<(u32, f64)>,
}

impl Lists {
    pub fn push(&mut self, list: impl IntoIterator<Item = (u32, f64)>) {
        self.entries.extend(list);
        self.ends.push(self.entries.len() as u32);
    }

    pub fn get(&self, at: usize) -> &[(u32, f64)] {
        let begin = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.entries[begin..self.ends[at] as usize]
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The same entries listed by their index, of which there are `count`.
    pub fn transposed(&self, count: usize) -> Self {
        let mut ends = vec![0_u32; count + 1];
        self.entries.iter().for_each(|(i, _)| ends[*i as usize + 1] += 1);
        for i in 0..count {
            ends[i + 1] += ends[i];
        }
        let mut entries = vec![(0, 0.0); self.entries.len()];
        let mut next = ends.clone();
        for at in 0..self.len() {
            for (i, value) in self.get(at) {
                let to = &mut next[*i as usize];
                entries[*to as usize] = (at as u32, *value);
                *to += 1;
            }
        }
        ends.remove(0);
        Self { ends, entries }
    }
}

/// The factors of a basis. A place of the basis is called by the row of its pivot.
#[derive(Debug, Clone, Default)]
pub(super) struct Factor {
    /// Rows in the order of their pivots.
    order: Vec<u32>,
    /// Of them, by place in `order`, those that a solve has to visit: slacks mostly change nothing.
    going: Vec<(u32, u32)>,
    coming: Vec<u32>,
    /// By row.
    pivots: Vec<f64>,
    /// Row of the pivot of each list of `lower`.
    lower_rows: Vec<u32>,
    lower: Lists,
    /// By place in `order`: entries above the pivot, by row.
    upper: Lists,
    /// By row: the same entries, by the row of the pivot of their column.
    across: Lists,
    /// Exchanges: row, pivot, and the rest of the column that came.
    exchanges: Vec<(u32, f64)>,
    arrived: Lists,
}

/// What a basis lacks: rows without a pivot, and places of the head without one.
#[derive(Debug)]
pub(super) struct Singular {
    pub rows: Vec<u32>,
    pub columns: Vec<u32>,
}

impl Factor {
    /// Of the columns that `head` lists, whose order it changes so that each stands at its pivot's row.
    pub fn new<'a>(
        head: &mut [u32],
        column: impl Fn(u32) -> &'a [(u32, f64)],
    ) -> Result<Self, Singular> {
        let mut work = Work::new(head, &column);
        work.column_singletons();
        work.row_singletons();
        work.rest();
        if work.factor.order.len() < head.len() {
            let rows = (0..head.len() as u32).filter(|r| !work.done_row[*r as usize]).collect();
            let columns = (0..head.len()).filter(|k| !work.done[*k]).map(|k| head[k]).collect();
            return Err(Singular { rows, columns });
        }
        let placed = work.placed;
        let mut factor = work.factor;
        let before = head.to_vec();
        for (k, row) in placed.iter().enumerate() {
            head[*row as usize] = before[k];
        }
        let mut by_pivot = Lists::default();
        let mut at = vec![0; head.len()];
        factor.order.iter().enumerate().for_each(|(k, row)| at[*row as usize] = k);
        for k in &at {
            by_pivot.push(factor.upper.get(*k).iter().copied());
        }
        factor.across = by_pivot.transposed(head.len());
        for (k, row) in factor.order.iter().enumerate() {
            let plain = factor.pivots[*row as usize] == 1.0;
            if !plain || !factor.upper.get(k).is_empty() {
                factor.going.push((k as u32, *row));
            }
            if !plain || !factor.across.get(*row as usize).is_empty() {
                factor.coming.push(*row);
            }
        }
        Ok(factor)
    }

    /// Exchanges since the factors were made, and entries they hold.
    pub fn age(&self) -> (usize, usize) {
        (self.exchanges.len(), self.arrived.entries())
    }

    /// The entries of the factors themselves.
    pub fn size(&self) -> usize {
        self.lower.entries() + self.upper.entries() + self.order.len()
    }

    /// Solves B x = a, in place.
    pub fn forward(&self, x: &mut [f64]) {
        for (k, row) in self.lower_rows.iter().enumerate() {
            let value = x[*row as usize];
            if value != 0.0 {
                self.lower.get(k).iter().for_each(|(i, l)| x[*i as usize] -= l * value);
            }
        }
        for (k, row) in self.going.iter().rev() {
            let (k, row) = (*k as usize, *row as usize);
            if x[row] == 0.0 {
                continue;
            }
            let value = x[row] / self.pivots[row];
            if value.abs() < DUST {
                x[row] = 0.0;
                continue;
            }
            x[row] = value;
            self.upper.get(k).iter().for_each(|(i, u)| x[*i as usize] -= u * value);
        }
        for (k, (row, pivot)) in self.exchanges.iter().enumerate() {
            let row = *row as usize;
            if x[row] == 0.0 {
                continue;
            }
            let value = x[row] / pivot;
            x[row] = value;
            self.arrived.get(k).iter().for_each(|(i, a)| x[*i as usize] -= a * value);
        }
    }

    /// Solves B' y = c, in place.
    pub fn backward(&self, y: &mut [f64]) {
        for (k, (row, pivot)) in self.exchanges.iter().enumerate().rev() {
            let sum: f64 = self.arrived.get(k).iter().map(|(i, a)| a * y[*i as usize]).sum();
            let row = *row as usize;
            y[row] = (y[row] - sum) / pivot;
        }
        for row in &self.coming {
            let row = *row as usize;
            if y[row] == 0.0 {
                continue;
            }
            let value = y[row] / self.pivots[row];
            if value.abs() < DUST {
                y[row] = 0.0;
                continue;
            }
            y[row] = value;
            self.across.get(row).iter().for_each(|(j, u)| y[*j as usize] -= u * value);
        }
        for (k, row) in self.lower_rows.iter().enumerate().rev() {
            let sum: f64 = self.lower.get(k).iter().map(|(i, l)| l * y[*i as usize]).sum();
            y[*row as usize] -= sum;
        }
    }

    /// Puts a column in the place of a row: the column as `forward` gives it.
    pub fn exchange(&mut self, row: usize, pivot: f64, column: &[(u32, f64)]) {
        self.exchanges.push((row as u32, pivot));
        self.arrived.push(column.iter().filter(|(i, _)| *i as usize != row).copied());
    }
}

/// A factorisation on its way.
struct Work<'a> {
    columns: Vec<&'a [(u32, f64)]>,
    rows: Lists,
    /// Entries that are left in columns and rows that have no pivot yet.
    column_left: Vec<u32>,
    row_left: Vec<u32>,
    done: Vec<bool>,
    done_row: Vec<bool>,
    /// Row of each column's pivot.
    placed: Vec<u32>,
    factor: Factor,
}

impl<'a> Work<'a> {
    fn new(head: &[u32], column: &impl Fn(u32) -> &'a [(u32, f64)]) -> Self {
        let m = head.len();
        let columns: Vec<_> = head.iter().map(|j| column(*j)).collect();
        let mut all = Lists::default();
        columns.iter().for_each(|list| all.push(list.iter().copied()));
        let rows = all.transposed(m);
        let column_left = columns.iter().map(|list| list.len() as u32).collect();
        let row_left = (0..m).map(|r| rows.get(r).len() as u32).collect();
        let factor = Factor { pivots: vec![0.0; m], ..Factor::default() };
        Self {
            columns,
            rows,
            column_left,
            row_left,
            done: vec![false; m],
            done_row: vec![false; m],
            placed: vec![u32::MAX; m],
            factor,
        }
    }

    fn pivot(&mut self, column: usize, row: usize, value: f64) {
        self.done[column] = true;
        self.done_row[row] = true;
        self.placed[column] = row as u32;
        self.factor.order.push(row as u32);
        self.factor.pivots[row] = value;
    }

    /// Columns with one row left: nothing below their pivots.
    fn column_singletons(&mut self) {
        let mut queue: Vec<usize> =
            (0..self.columns.len()).filter(|k| self.column_left[*k] == 1).collect();
        while let Some(k) = queue.pop() {
            let left = self.columns[k].iter().find(|(r, _)| !self.done_row[*r as usize]);
            let Some(&(row, value)) = left.filter(|(_, v)| !self.done[k] && v.abs() > NOTHING)
            else {
                continue;
            };
            let row = row as usize;
            self.pivot(k, row, value);
            let above = self.columns[k].iter().filter(|(r, _)| *r as usize != row);
            self.factor.upper.push(above.copied());
            for at in 0..self.rows.get(row).len() {
                let other = self.rows.get(row)[at].0 as usize;
                self.column_left[other] -= 1;
                if self.column_left[other] == 1 && !self.done[other] {
                    queue.push(other);
                }
            }
            for (r, _) in self.columns[k] {
                self.row_left[*r as usize] -= 1;
            }
        }
    }

    /// Rows with one column left: what is below its pivot meets no other column.
    fn row_singletons(&mut self) {
        let mut queue: Vec<usize> = (0..self.columns.len())
            .filter(|r| self.row_left[*r] == 1 && !self.done_row[*r])
            .collect();
        while let Some(row) = queue.pop() {
            let left = self.rows.get(row).iter().find(|(k, _)| !self.done[*k as usize]);
            let Some(&(k, value)) = left.filter(|_| !self.done_row[row]) else { continue };
            let k = k as usize;
            let open = self.columns[k].iter().filter(|(r, _)| !self.done_row[*r as usize]);
            let most = open.map(|(_, v)| v.abs()).fold(0.0, f64::max);
            if value.abs() < NOTHING.max(THRESHOLD * most) {
                continue;
            }
            let above = self.columns[k].iter().filter(|(r, _)| self.done_row[*r as usize]);
            self.factor.upper.push(above.copied());
            let below: Vec<_> = self.columns[k]
                .iter()
                .filter(|(r, _)| !self.done_row[*r as usize] && *r as usize != row)
                .map(|(r, v)| (*r, v / value))
                .collect();
            if !below.is_empty() {
                self.factor.lower_rows.push(row as u32);
                self.factor.lower.push(below);
            }
            self.pivot(k, row, value);
            for (r, _) in self.columns[k] {
                let r = *r as usize;
                self.row_left[r] -= 1;
                if self.row_left[r] == 1 && !self.done_row[r] {
                    queue.push(r);
                }
            }
        }
    }

    /// What neither helps: the sparsest columns first, and in them the emptiest row of those with a
    /// large enough entry.
    fn rest(&mut self) {
        let mut left: Vec<usize> = (0..self.columns.len()).filter(|k| !self.done[*k]).collect();
        if left.is_empty() {
            return;
        }
        left.sort_by_key(|k| self.column_left[*k]);
        let begin = self.factor.lower_rows.len();
        let mut x = vec![0.0; self.columns.len()];
        let mut touched: Vec<u32> = Vec::new();
        for k in left {
            for (r, v) in self.columns[k] {
                x[*r as usize] = *v;
                touched.push(*r);
            }
            for at in begin..self.factor.lower_rows.len() {
                let value = x[self.factor.lower_rows[at] as usize];
                if value == 0.0 {
                    continue;
                }
                for (i, l) in self.factor.lower.get(at) {
                    if x[*i as usize] == 0.0 {
                        touched.push(*i);
                    }
                    x[*i as usize] -= l * value;
                }
            }
            touched.sort_unstable();
            touched.dedup();
            let open = |r: &&u32| !self.done_row[**r as usize];
            let most =
                touched.iter().filter(open).map(|r| x[*r as usize].abs()).fold(0.0, f64::max);
            let large = |r: &&u32| x[**r as usize].abs() >= NOTHING.max(THRESHOLD * most);
            let best = touched.iter().filter(open).filter(large);
            if let Some(&row) = best.min_by_key(|r| self.row_left[**r as usize]) {
                let value = x[row as usize];
                let (mut above, mut below) = (Vec::new(), Vec::new());
                for r in touched.iter().filter(|r| x[**r as usize].abs() > DUST && **r != row) {
                    if self.done_row[*r as usize] {
                        above.push((*r, x[*r as usize]));
                    } else {
                        below.push((*r, x[*r as usize] / value));
                    }
                }
                self.factor.upper.push(above);
                self.factor.lower_rows.push(row);
                self.factor.lower.push(below);
                self.pivot(k, row as usize, value);
            }
            touched.drain(..).for_each(|r| x[r as usize] = 0.0);
        }
    }
}
