//! What passes over loads have left over: loads that could not make all of their wanted steps. Found by a load's place
//! in a few instructions, since each step of the merit order asks.

use std::num::NonZero;

/// Where a load stands that could not make all of its wanted steps, and the tick before which it cannot make the
/// others, unless it is only that other steps come before them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub told: u16,
    pub until: Option<NonZero<u32>>,
}

/// Such loads after one pass.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// A bit for each load from this one on,
    first: usize,
    loads: Vec<u64>,
    /// for each 64 of them how many lie before,
    before: Vec<u32>,
    /// and those that could not, in their order.
    left: Vec<Left>,
}

impl Rest {
    /// None yet, of loads from this one on.
    pub(super) fn from(first: usize) -> Self {
        Self { first, ..Self::default() }
    }

    /// Makes room for so many loads.
    pub(super) fn make_room(&mut self, loads: usize) {
        self.loads.resize(loads.div_ceil(64), 0);
    }

    /// Adds one that comes after all others, by its place among those for which there is room.
    pub(super) fn add(&mut self, at: usize, left: Left) {
        if let Some(word) = self.loads.get_mut(at / 64) {
            *word |= 1 << (at % 64);
            self.left.push(left);
        }
    }

    /// Adds those of the next loads.
    pub(super) fn append(&mut self, mut next: Self) {
        self.loads.append(&mut next.loads);
        self.left.append(&mut next.left);
    }

    /// Once all are there.
    pub(super) fn count(&mut self) {
        self.before.clear();
        let mut all = 0;
        for word in &self.loads {
            self.before.push(all);
            all += word.count_ones();
        }
    }

    fn of(&self, at: usize) -> Option<Left> {
        let at = at.checked_sub(self.first)?;
        let word = self.loads.get(at / 64)?;
        let bit = 1_u64 << (at % 64);
        if word & bit == 0 {
            return None;
        }
        let place = self.before.get(at / 64)? + (word & (bit - 1)).count_ones();
        self.left.get(place as usize).copied()
    }
}

/// Such loads after passes over the same loads, one after the other.
#[derive(Debug, Default)]
pub(super) struct Rests {
    /// A bit for each load that any of them left over.
    any: Vec<u64>,
    each: Vec<Rest>,
}

impl Rests {
    pub(super) fn push(&mut self, rest: Rest) {
        self.any.resize(rest.loads.len(), 0);
        for (any, one) in self.any.iter_mut().zip(&rest.loads) {
            *any |= one;
        }
        self.each.push(rest);
    }

    /// What the last that left a load over says of it.
    #[inline]
    pub(super) fn of(&self, at: usize) -> Option<Left> {
        let place = at.wrapping_sub(self.each.first()?.first);
        match self.any.get(place / 64)? >> (place % 64) & 1 {
            0 => None,
            _ => self.each.iter().rev().find_map(|rest| rest.of(at)),
        }
    }
}
