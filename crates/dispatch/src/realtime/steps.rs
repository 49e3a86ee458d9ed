//! Steps of loads: what one is, what comes of it, and what whoever makes them can be asked for. It holds no load and
//! no order.

use super::rest::Rest;
use std::ops::Range;

/// A step of one load from one corner of its hull to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Segment {
    /// Which load.
    pub unit: u32,
    /// Which corner it ends at; 1 for the first step up.
    pub corner: u16,
    /// Watts at the corner where it begins.
    pub low: f32,
    /// Watts gained.
    pub watts: f32,
}

/// What became of a step of one load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Went {
    /// It was told, and should draw this much more (less, if negative) once there.
    By(f64),
    /// It cannot before this tick.
    Later(u32),
    /// Another step of the same load comes first.
    OutOfTurn,
}

/// What can make steps.
pub(super) trait Steps: Sync {
    /// Why a step cannot be made now; `None` if it can.
    fn later(&self, segment: Segment, up: bool) -> Option<Went>;

    /// Makes a step if it can be made now.
    fn go(&mut self, segment: Segment, up: bool) -> Went;

    /// Whether a load runs at the segment's upper end or above.
    fn on(&self, segment: Segment) -> bool;

    /// The part of its watts by which a step may change its load more.
    fn beyond(&self) -> f64;

    /// From so many segments on a pass over all loads costs less than they do one by one.
    fn many(&self) -> usize;

    /// Has each load make all of its wanted steps. Gives the watts by which loads changed, without signs, and
    /// the loads that could not make all of them.
    fn pass(&mut self, pass: &Pass<'_>) -> (f64, Rest);
}

/// Which steps are wanted in any case.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    pub fast: bool,
    pub up: bool,
    /// About so many,
    pub count: usize,
    /// those of these ranks,
    pub ranks: Range<u16>,
    /// but not of these buckets, by their places in the tier.
    pub not: Option<&'a [bool]>,
}

impl Pass<'_> {
    pub(super) fn wants(&self, rank: u16) -> bool {
        let place = usize::from(rank & !SLOW);
        self.ranks.contains(&rank) && self.not.is_none_or(|not| not.get(place) != Some(&true))
    }
}

/// Marks ranks of slow loads.
pub(super) const SLOW: u16 = 1 << 15;
