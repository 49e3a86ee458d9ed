//! What a tuner did, in order, written before it is done: enough to undo it and to go on after a
//! crash. One JSON object a line; the file belongs to the shell.

use super::Point;
use crate::readings::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use units::{Megahertz, Millivolts};

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// About to be sent. Written and synced before it is.
    Applying {
        /// When.
        at: Moment,
        /// Where to.
        point: Point,
        /// Where back to.
        last_good: Point,
    },
    /// Measured and found good: the next last good setting.
    Good {
        /// When.
        at: Moment,
        /// The setting.
        point: Point,
    },
    /// Left for the last good setting.
    Restored {
        /// When.
        at: Moment,
        /// The setting returned to.
        point: Point,
        /// A sentence.
        why: String,
    },
}

/// The last setting that was good when the journal ended.
pub(super) fn last_good(journal: &[Entry]) -> Option<Point> {
    journal
        .iter()
        .rev()
        .map(|entry| match entry {
            Entry::Applying { last_good, .. } => *last_good,
            Entry::Good { point, .. } | Entry::Restored { point, .. } => *point,
        })
        .next()
}

/// A step as it stands in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalRow {
    /// `applying`, `good` or `restored`.
    pub step: String,
    /// Seconds since the fleet started.
    pub at_s: f64,
    /// Clock.
    pub frequency_mhz: f64,
    /// Core voltage.
    pub voltage_mv: f64,
    /// Clock to return to, for `applying`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good_frequency_mhz: Option<f64>,
    /// Voltage to return to, for `applying`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good_voltage_mv: Option<f64>,
    /// Why, for `restored`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl From<&Entry> for JournalRow {
    fn from(entry: &Entry) -> Self {
        let (step, at, point) = match entry {
            Entry::Applying { at, point, .. } => ("applying", at, point),
            Entry::Good { at, point } => ("good", at, point),
            Entry::Restored { at, point, .. } => ("restored", at, point),
        };
        let back = match entry {
            Entry::Applying { last_good, .. } => Some(last_good),
            _ => None,
        };
        Self {
            step: step.into(),
            at_s: at.0.as_secs_f64(),
            frequency_mhz: point.frequency.get(),
            voltage_mv: point.voltage.get(),
            last_good_frequency_mhz: back.map(|point| point.frequency.get()),
            last_good_voltage_mv: back.map(|point| point.voltage.get()),
            why: match entry {
                Entry::Restored { why, .. } => Some(why.clone()),
                _ => None,
            },
        }
    }
}

impl JournalRow {
    /// The step that this row means; `None` for a row that makes no sense, such as a torn last line.
    pub fn entry(&self) -> Option<Entry> {
        let point = |mhz: f64, mv: f64| {
            let (frequency, voltage) = (Megahertz::new(mhz).ok()?, Millivolts::new(mv).ok()?);
            Some(Point { frequency, voltage })
        };
        let at = Moment(Duration::try_from_secs_f64(self.at_s).ok()?);
        let here = point(self.frequency_mhz, self.voltage_mv)?;
        match self.step.as_str() {
            "applying" => {
                let back = point(self.last_good_frequency_mhz?, self.last_good_voltage_mv?)?;
                Some(Entry::Applying { at, point: here, last_good: back })
            }
            "good" => Some(Entry::Good { at, point: here }),
            "restored" => {
                Some(Entry::Restored { at, point: here, why: self.why.clone().unwrap_or_default() })
            }
            _ => None,
        }
    }
}
