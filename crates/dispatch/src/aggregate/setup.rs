//! How homes are told, judged and accounted for. It decides nothing.

use crate::baseline::{METER_CLASS_1, MeterError};
use std::time::Duration;
use units::{Ratio, Watts};

/// How homes are told, judged and accounted for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setup {
    /// A home not heard of for so long is silent.
    pub stale: Duration,
    /// Orders end after so long unless renewed.
    pub valid: Duration,
    /// A home has so long to do what it was told.
    pub settle: Duration,
    /// What a home can give is spread over so long before more is asked of it.
    pub sustain: Duration,
    /// A home that gave less than another by so many hours of all its flexibility gives all of it first.
    pub even: Duration,
    /// More arrears than that, for time away, are forgiven.
    pub arrears: Duration,
    /// A home off by more than this part of its range does not do as told.
    pub tolerance: Ratio,
    /// But never blamed for less than this.
    pub least_tolerance: Watts,
    /// Length of an interval of the account.
    pub interval: Duration,
    /// This part of the homes is left alone for comparison.
    pub control: Ratio,
    /// But at least so many, where that is no more than half.
    pub least_control: usize,
    /// Another lot is drawn after this time; a multiple of the interval. What the same homes do makes the
    /// same error in every interval: it only averages out over lots.
    pub lot: Duration,
    /// Those drawn are left alone for so long before their lot begins: a room that gave up heat makes up
    /// for it when it is let go, and would show too high a baseline.
    pub rest: Duration,
    /// The lot's secret.
    pub seed: u64,
    /// Homes are forgotten after so long in silence.
    pub forget: Duration,
    /// No more homes than these.
    pub most: usize,
    /// Limit of error of the homes' meters.
    pub meter: MeterError,
    /// How sure the delivery's interval is to be.
    pub confidence: Ratio,
}

impl Default for Setup {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let part = |part| Ratio::new(part).unwrap_or_default();
        Self {
            stale: Duration::from_secs(30),
            valid: minutes(2),
            settle: Duration::from_secs(20),
            sustain: minutes(15),
            even: minutes(60),
            arrears: minutes(120),
            tolerance: part(0.1),
            least_tolerance: Watts::new(50.0).unwrap_or_default(),
            interval: minutes(5),
            control: part(0.05),
            least_control: 30,
            lot: minutes(24 * 60),
            rest: minutes(12 * 60),
            seed: 0,
            forget: minutes(7 * 24 * 60),
            most: 1_000_000,
            meter: MeterError(part(METER_CLASS_1)),
            confidence: part(0.95),
        }
    }
}
