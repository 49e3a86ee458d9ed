//! `[energy.breaker]`: the rating of the main breaker, and what it carries for a while.

use super::{percent, power};
use crate::config::{MINUTE, SECOND, section::Section, value};
use dispatch::local::{Curve, Rating};
use std::time::Duration;

pub(super) fn read(mut section: Section<'_, '_>) -> Option<Rating> {
    let usual = Curve::default();
    let rated = section.optional("rated", power());
    let continuous = percent(&mut section, "continuous_percent", 80.0);
    // From UL 489, which tests that all of the rated current is carried, to IEC 60898-1.
    let holds = section.or("holds_percent", 100.0 * usual.holds, value::number(100.0, 113.0));
    let least = Duration::from_secs(1);
    let time_constant =
        section.or("time_constant", usual.time_constant, value::duration(least, 60 * MINUTE));
    let delay = section.or("delay", 10 * SECOND, value::duration(SECOND, 5 * MINUTE));
    let curve = Curve { holds: holds / 100.0, time_constant };
    rated.map(|rated| Rating { rated, continuous, curve, delay })
}
