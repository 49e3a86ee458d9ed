//! What a tuner did, in order, written before it is done: enough to undo it and to go on after a
//! crash. One JSON object a line; the file belongs to the shell.

use super::Point;
use crate::readings::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use units::{Celsius, Hashrate, Megahertz, Millivolts, Ratio, Watts};

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
        /// What it showed.
        measured: Measured,
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

/// What a good setting showed; what was not told is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measured {
    /// Power by the best source.
    pub power: Option<Watts>,
    /// Hottest chip.
    pub chip: Option<Celsius>,
    /// Share of hashes lost.
    pub lost: Option<Ratio>,
    /// Hashrate that the verified work proves.
    pub verified: Option<Hashrate>,
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

/// The setting that the machine had before it was tuned.
pub(super) fn start(journal: &[Entry]) -> Option<Point> {
    journal.first().map(|entry| match entry {
        Entry::Applying { last_good, .. } => *last_good,
        Entry::Good { point, .. } | Entry::Restored { point, .. } => *point,
    })
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
    /// Power, for `good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_w: Option<f64>,
    /// Hottest chip, for `good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip_c: Option<f64>,
    /// Share of hashes lost, for `good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<f64>,
    /// Verified hashrate, for `good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_ths: Option<f64>,
}

impl From<&Entry> for JournalRow {
    fn from(entry: &Entry) -> Self {
        let (step, at, point) = match entry {
            Entry::Applying { at, point, .. } => ("applying", at, point),
            Entry::Good { at, point, .. } => ("good", at, point),
            Entry::Restored { at, point, .. } => ("restored", at, point),
        };
        let back = match entry {
            Entry::Applying { last_good, .. } => Some(last_good),
            _ => None,
        };
        let measured = match entry {
            Entry::Good { measured, .. } => *measured,
            _ => Measured::default(),
        };
        Self {
            power_w: measured.power.map(Watts::get),
            chip_c: measured.chip.map(Celsius::get),
            lost: measured.lost.map(Ratio::get),
            verified_ths: measured.verified.map(Hashrate::terahashes_per_second),
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
            "good" => {
                let measured = Measured {
                    power: self.power_w.and_then(|watts| Watts::new(watts).ok()),
                    chip: self.chip_c.and_then(|chip| Celsius::new(chip).ok()),
                    lost: self.lost.and_then(|lost| Ratio::new(lost).ok()),
                    verified: self.verified_ths.and_then(verified),
                };
                Some(Entry::Good { at, point: here, measured })
            }
            "restored" => {
                Some(Entry::Restored { at, point: here, why: self.why.clone().unwrap_or_default() })
            }
            _ => None,
        }
    }
}

fn verified(terahash: f64) -> Option<Hashrate> {
    let sane = terahash.is_finite() && terahash >= 0.0;
    sane.then(|| Hashrate::from_hashes_per_second(terahash * 1e12))
}
