//! Segments in the order of their turns, with the sum of their watts; and such sums, which leave nothing over when all
//! that came has gone. It knows no load.

use super::steps::Segment;
use std::collections::VecDeque;

/// Segments that wait for their turn, and their watts.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub waiting: VecDeque<Segment>,
    pub watts: Parts,
}

impl Line {
    pub(super) fn push_back(&mut self, segment: Segment) {
        self.watts.add(segment.watts);
        self.waiting.push_back(segment);
    }

    pub(super) fn push_front(&mut self, segment: Segment) {
        self.watts.add(segment.watts);
        self.waiting.push_front(segment);
    }

    pub(super) fn pop(&mut self) -> Option<Segment> {
        let segment = self.waiting.pop_front()?;
        self.watts.remove(segment.watts);
        Some(segment)
    }

    /// Takes this one out, wherever it waits; false if it does not.
    pub(super) fn take(&mut self, segment: Segment) -> bool {
        let place = self.waiting.iter().position(|one| *one == segment);
        let taken = place.and_then(|place| self.waiting.remove(place));
        taken.inspect(|one| self.watts.remove(one.watts)).is_some()
    }
}

/// Watts in whole parts, so that what comes and goes adds up to nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts(i64);

impl Parts {
    pub(super) fn add(&mut self, watts: f32) {
        self.0 += Self::of(watts);
    }

    pub(super) fn remove(&mut self, watts: f32) {
        self.0 -= Self::of(watts);
    }

    pub(super) fn get(self) -> f64 {
        self.0 as f64 / 1024.0
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }

    pub(super) fn without(&mut self, other: Self) {
        self.0 -= other.0;
    }

    fn of(watts: f32) -> i64 {
        (f64::from(watts) * 1024.0) as i64
    }
}
