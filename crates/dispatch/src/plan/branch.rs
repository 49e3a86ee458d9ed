//! The search for whole numbers: branch and bound on one linear program whose basis is carried from each
//! node to the next. Towards the nearer whole number first, which mostly ends next to the relaxation;
//! then from the node with the lowest bound.

use super::simplex::{Basis, Ended, Program, Simplex};
use std::rc::Rc;

/// A number this near to a whole one is whole.
const WHOLE: f64 = 1e-6;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Values of the best solution.
    pub best: Option<Vec<f64>>,
    /// What it costs.
    pub cost: f64,
    /// Cost of the relaxation: no solution costs less.
    pub relaxed: f64,
    /// Whether no solution can be better by more than the gap.
    pub proven: bool,
    /// Linear programs solved after the first.
    pub nodes: usize,
}

/// A part of the search that waits.
struct Node {
    /// Bounds that differ from those of the whole: column, low, high.
    bounds: Vec<(usize, f64, f64)>,
    /// No solution here costs less.
    least: f64,
    basis: Rc<Basis>,
}

/// Searches until nothing can be better by more than the part `gap` of the cost, or `go`, which is told
/// how many programs were solved, says stop. Numbers next to where the relaxation has them come first
/// (Berthold, "RENS", Math. Prog. Comp. 6, 2014). `None` where the linear program has no verified
/// answer: another solver has to be asked.
pub(super) fn search(
    program: Program,
    whole: &[usize],
    gap: f64,
    go: impl Fn(usize) -> bool,
) -> Option<Found> {
    let mut lp = Simplex::new(program);
    if lp.solve(true) != Ended::Optimal {
        return None;
    }
    let relaxed = lp.cost();
    let basis = Rc::new(lp.basis());
    let all: Vec<(f64, f64)> = whole.iter().map(|j| lp.bounds(*j)).collect();
    let near = |j: &usize| ((lp.values()[*j] + WHOLE).floor(), (lp.values()[*j] - WHOLE).ceil());
    let near: Vec<(f64, f64)> = whole.iter().map(near).collect();
    let mut found = Found { best: None, cost: f64::INFINITY, relaxed, proven: false, nodes: 0 };
    dive(&mut lp, whole, &near, &mut found);
    found.proven = hopeless(&found, relaxed, gap);
    if found.proven {
        return Some(found);
    }
    for bounds in [near, all] {
        let root = Node { bounds: Vec::new(), least: relaxed, basis: Rc::clone(&basis) };
        let mut tree =
            Tree { lp: &mut lp, whole, first: &bounds, gap, open: vec![root], leaf: false };
        let ended = tree.explore(&mut found, &go);
        found.proven = hopeless(&found, relaxed, gap);
        if found.proven || !ended {
            return Some(found);
        }
    }
    found.proven = found.best.is_some();
    Some(found)
}

/// Rounds down, again and again, all that is open, but only one of those that a row of nothing but whole
/// numbers joins: machines that leave a level may go to another. Less than the relaxation has keeps to
/// every limit on power, and steps that are alike are rounded alike, which needs no starts.
fn dive(lp: &mut Simplex, whole: &[usize], near: &[(f64, f64)], found: &mut Found) {
    for (j, (low, high)) in whole.iter().zip(near) {
        lp.bound(*j, *low, *high);
    }
    let joins = lp.rows_within(whole);
    let mut taken = vec![usize::MAX; joins.len()];
    loop {
        found.nodes += 1;
        if lp.resume() != Ended::Optimal {
            return;
        }
        let mut open: Vec<usize> = whole.iter().copied().filter(|j| off(lp, *j) > WHOLE).collect();
        if open.is_empty() {
            return take(lp, whole, found);
        }
        // What earns most goes first.
        open.sort_by(|a, b| lp.cost_of(*a).total_cmp(&lp.cost_of(*b)).then(a.cmp(b)));
        for j in open {
            let rows = || lp.rows_of(j).filter(|row| joins[*row]);
            if rows().any(|row| taken[row] == found.nodes) {
                continue;
            }
            rows().for_each(|row| taken[row] = found.nodes);
            let value = lp.values()[j].floor();
            lp.bound(j, value, value);
        }
    }
}

/// How far a number is from a whole one.
fn off(lp: &Simplex, j: usize) -> f64 {
    let value = lp.values()[j];
    (value - value.round()).abs()
}

/// A search within bounds of the whole numbers.
struct Tree<'a> {
    lp: &'a mut Simplex,
    whole: &'a [usize],
    first: &'a [(f64, f64)],
    gap: f64,
    open: Vec<Node>,
    /// Whether it has come to a leaf yet.
    leaf: bool,
}

impl Tree<'_> {
    /// Says whether it came to its end.
    fn explore(&mut self, found: &mut Found, go: &impl Fn(usize) -> bool) -> bool {
        let mut next: Option<Node> = None;
        loop {
            let jumps = next.is_none();
            let Some(node) = next.take().or_else(|| lowest(&mut self.open, found, self.gap)) else {
                return true;
            };
            if !go(found.nodes) {
                return false;
            }
            found.nodes += 1;
            if !self.enter(&node, jumps) {
                return false;
            }
            let ended = match self.lp.resume() {
                Ended::Lost => self.lp.solve(true),
                ended => ended,
            };
            match ended {
                Ended::Optimal if hopeless(found, self.lp.cost(), self.gap) => {}
                Ended::Optimal => match open_number(self.lp, self.whole, !self.leaf) {
                    Some(j) => next = Some(self.branch(node, j)),
                    None => {
                        self.leaf = true;
                        take(self.lp, self.whole, found);
                    }
                },
                Ended::Infeasible => {}
                Ended::Lost => return false,
            }
        }
    }

    /// Sets a node's bounds; after a jump all of them, and its basis.
    fn enter(&mut self, node: &Node, jumps: bool) -> bool {
        if !jumps {
            let last = node.bounds.last();
            last.iter().for_each(|(j, low, high)| self.lp.bound(*j, *low, *high));
            return true;
        }
        for (j, (low, high)) in self.whole.iter().zip(self.first) {
            self.lp.bound(*j, *low, *high);
        }
        node.bounds.iter().for_each(|(j, low, high)| self.lp.bound(*j, *low, *high));
        self.lp.restore(&node.basis)
    }

    /// The nearer child of a node, whose program is solved; the other waits.
    fn branch(&mut self, node: Node, j: usize) -> Node {
        let value = self.lp.values()[j];
        let (low, high) = self.lp.bounds(j);
        let basis = Rc::new(self.lp.basis());
        let least = self.lp.cost().max(node.least);
        let child = |low: f64, high: f64| {
            let mut bounds = node.bounds.clone();
            bounds.push((j, low, high));
            Node { bounds, least, basis: Rc::clone(&basis) }
        };
        let (down, up) = (child(low, value.floor()), child(value.ceil(), high));
        let (near, far) = if value - value.floor() < 0.5 { (down, up) } else { (up, down) };
        self.open.push(far);
        near
    }
}

/// Whether nothing here is better than the best by more than the gap.
fn hopeless(found: &Found, least: f64, gap: f64) -> bool {
    found.best.is_some() && least >= found.cost - gap * found.cost.abs() - 1e-9
}

/// The whole number to decide next: until a leaf was found the nearest to being decided, later the
/// farthest.
fn open_number(lp: &Simplex, whole: &[usize], dive: bool) -> Option<usize> {
    let numbers = whole.iter().filter(|j| off(lp, **j) > WHOLE);
    let by_off = |a: &&usize, b: &&usize| off(lp, **a).total_cmp(&off(lp, **b));
    if dive { numbers.min_by(by_off) } else { numbers.max_by(by_off) }.copied()
}

/// Takes a leaf if it is better than the best, and if it holds with its numbers exactly whole.
fn take(lp: &Simplex, whole: &[usize], found: &mut Found) {
    let mut leaf = lp.clone();
    for j in whole {
        let value = leaf.values()[*j].round();
        leaf.bound(*j, value, value);
    }
    if leaf.resume() != Ended::Optimal || !leaf.verified() {
        return;
    }
    if leaf.cost() < found.cost {
        found.cost = leaf.cost();
        found.best = Some(leaf.values().to_vec());
    }
}

/// The waiting node with the lowest bound; those that are hopeless are dropped.
fn lowest(open: &mut Vec<Node>, found: &Found, gap: f64) -> Option<Node> {
    open.retain(|node| !hopeless(found, node.least, gap));
    let at = (0..open.len()).min_by(|a, b| open[*a].least.total_cmp(&open[*b].least))?;
    Some(open.swap_remove(at))
}
