//! When something was read: a clock's time, and a value with its age. Unknown is `None`, never zero; a
//! failed reading leaves the last good one in place to grow old.

use std::time::Duration;

/// A point on a loop's own clock: time since it started. Given in, never asked for, so that a
/// simulated year is a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub Duration);

impl Moment {
    /// From seconds since the start.
    pub fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// Time passed since an earlier moment; none if that one is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This much later.
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }
}

/// A value and when it was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading<T> {
    /// The value.
    pub value: T,
    /// When it was read.
    pub at: Moment,
}

impl<T> Reading<T> {
    /// A value read now.
    pub fn new(value: T, at: Moment) -> Self {
        Self { value, at }
    }

    /// How old it is.
    pub fn age(&self, now: Moment) -> Duration {
        now.since(self.at)
    }

    /// The value if it is not older than `limit`.
    pub fn fresh(&self, now: Moment, limit: Duration) -> Option<&T> {
        (self.age(now) <= limit).then_some(&self.value)
    }
}

/// A point of the calendar: seconds since 1970, UTC. Plans, prices and records use it; loops that
/// control something use [`Moment`], which no clock setting moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// This much later; whole seconds count.
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time.as_secs()))
    }

    /// Time passed since an earlier point; none if that one is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// The beginning of the interval of this length that it lies in, counted from 1970; itself for
    /// lengths below a second.
    pub fn floor_to(self, interval: Duration) -> Self {
        let seconds = interval.as_secs();
        if seconds == 0 { self } else { Self(self.0 - self.0 % seconds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_begin_at_multiples_of_their_length() {
        let quarter = Duration::from_secs(900);
        for (at, begin) in [(0, 0), (899, 0), (900, 900), (1_800_000_123, 1_800_000_000)] {
            assert_eq!(UnixTime(at).floor_to(quarter), UnixTime(begin), "{at}");
        }
        assert_eq!(UnixTime(7).floor_to(Duration::ZERO), UnixTime(7));
        assert_eq!(UnixTime(5).since(UnixTime(9)), Duration::ZERO);
    }
}
