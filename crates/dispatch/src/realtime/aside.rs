//! Segments that cannot move before a tick, with the sum of their watts. It knows no load and no merit.

use super::{line::Parts, steps::Segment};
use std::collections::BTreeMap;

/// Segments put aside, by the tick at which they come back.
#[derive(Debug, Default)]
pub(super) struct Aside {
    due: BTreeMap<u32, Due>,
    /// Watts of those that are on, and of those that are off.
    on: Parts,
    off: Parts,
}

/// Segments that come back together.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub segments: Vec<Segment>,
    /// Where they come from, in their order: most come from where the one before came from.
    pub runs: Vec<Run>,
}

/// So many segments of one bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub bucket: u32,
    /// They were on.
    pub on: bool,
    pub count: u32,
}

impl Aside {
    /// Puts one aside until a tick.
    pub(super) fn put(&mut self, tick: u32, (bucket, on): (usize, bool), segment: Segment) {
        let bucket = bucket as u32;
        let due = self.due.entry(tick).or_default();
        due.segments.push(segment);
        match due.runs.last_mut() {
            Some(run) if (run.bucket, run.on) == (bucket, on) => run.count += 1,
            _ => due.runs.push(Run { bucket, on, count: 1 }),
        }
        if on { &mut self.on } else { &mut self.off }.add(segment.watts);
    }

    /// Takes in what was put aside beside it, behind the others of each tick.
    pub(super) fn append(&mut self, other: Self) {
        for (tick, mut more) in other.due {
            let due = self.due.entry(tick).or_default();
            due.segments.append(&mut more.segments);
            due.runs.append(&mut more.runs);
        }
        self.on.merge(other.on);
        self.off.merge(other.off);
    }

    /// Takes back the next of those whose time has come; they still count until they are `back`.
    pub(super) fn due(&mut self, now: u32) -> Option<Due> {
        self.due.first_entry().filter(|due| *due.key() <= now).map(|due| due.remove())
    }

    /// One that was on, or off, is back.
    pub(super) fn back(&mut self, on: bool, segment: Segment) {
        if on { &mut self.on } else { &mut self.off }.remove(segment.watts);
    }

    /// Watts of those that are on, and of those that are off.
    pub(super) fn watts(&self) -> (f64, f64) {
        (self.on.get(), self.off.get())
    }

    /// All of them, the next first.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.due.values().flat_map(|due| &due.segments)
    }
}
