//! Values of a time to come: in order, with gaps, as CSV and JSON write them. It knows no unit and reads
//! no address.

use crate::{
    BadSetting,
    number::{self, Path, number_of},
};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::Value;
use std::time::Duration;
use units::UnixTime;

/// Longer series are refused: two months of five minutes.
const MOST_STEPS: usize = 20_000;
const HOUR: Duration = Duration::from_secs(3600);

/// The value of one interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<T> {
    /// When it begins.
    pub start: UnixTime,
    /// When it ends.
    pub end: UnixTime,
    /// What holds meanwhile.
    pub value: T,
}

/// Values in order of time, not overlapping; there may be gaps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series<T>(Vec<Step<T>>);

impl<T: Copy> Series<T> {
    /// From beginnings and values in any order. A step ends where the next begins, but is no longer
    /// than `step`; without one, no longer than the shortest distance of two beginnings (an hour for
    /// a single one). Of two values for the same beginning the later in the list holds.
    pub fn new(mut points: Vec<(UnixTime, T)>, step: Option<Duration>) -> Result<Self, BadSetting> {
        BadSetting::unless((1..=MOST_STEPS).contains(&points.len()), || {
            format!("the series has {} values: 1 to {MOST_STEPS} are read", points.len())
        })?;
        points.sort_by_key(|(start, _)| *start);
        let mut unique: Vec<(UnixTime, T)> = Vec::with_capacity(points.len());
        for point in points {
            match unique.last_mut() {
                Some(last) if last.0 == point.0 => *last = point,
                _ => unique.push(point),
            }
        }
        let shortest = unique.windows(2).map(|two| two[1].0.since(two[0].0)).min();
        let step = step.or(shortest).unwrap_or(HOUR);
        let next = unique.iter().skip(1).map(|(start, _)| *start).chain([UnixTime(u64::MAX)]);
        let steps = unique.iter().zip(next).map(|(&(start, value), next)| {
            let end = start.after(step).min(next);
            Step { start, end, value }
        });
        Ok(Self(steps.collect()))
    }

    /// All steps in order.
    pub fn steps(&self) -> &[Step<T>] {
        &self.0
    }

    /// What holds at this time; `None` in a gap, before the first and after the last step.
    pub fn at(&self, time: UnixTime) -> Option<T> {
        let after = self.0.partition_point(|step| step.start <= time);
        let step = self.0.get(after.checked_sub(1)?)?;
        (time < step.end).then_some(step.value)
    }

    /// How long what holds at this time goes on: until the next beginning or end of a step; `None`
    /// after the last.
    pub fn until_change(&self, time: UnixTime) -> Option<Duration> {
        let first = self.0.partition_point(|step| step.end <= time);
        let step = self.0.get(first)?;
        let next = if time < step.start { step.start } else { step.end };
        Some(next.since(time))
    }

    /// When nothing is known any more.
    pub fn end(&self) -> Option<UnixTime> {
        self.0.last().map(|step| step.end)
    }
}

/// Where times and numbers stand. Times are seconds or milliseconds since 1970, or ISO 8601; without
/// an offset they are UTC.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// Comma or semicolon separated, with a first line of names.
    Csv {
        /// Name of the column of times.
        time: String,
        /// Name of the column of numbers.
        value: String,
    },
    /// A list of objects or lists.
    JsonList {
        /// Where the list stands.
        list: Path,
        /// Where the time stands in an entry.
        time: Path,
        /// Where the number stands in an entry.
        value: Path,
    },
    /// Two lists side by side.
    JsonColumns {
        /// Where the times stand.
        times: Path,
        /// Where the numbers stand.
        values: Path,
    },
}

impl Layout {
    /// Times and numbers of a text, in its order. A number that is missing (`null`, an empty field) is
    /// left out.
    pub fn points(&self, text: &[u8]) -> Result<Vec<(UnixTime, f64)>, BadSetting> {
        match self {
            Self::Csv { time, value } => csv(text, time, value),
            Self::JsonList { list, time, value } => {
                let json = number::json(text)?;
                let entries = at(&json, list)?;
                let mut points = Vec::with_capacity(entries.len());
                for entry in entries {
                    let found = (time.find(entry), value.find(entry));
                    let (Some(time), Some(value)) = found else {
                        return Err(BadSetting("an entry of the list has no time or value".into()));
                    };
                    points.extend(point(time, value)?);
                }
                Ok(points)
            }
            Self::JsonColumns { times, values } => {
                let json = number::json(text)?;
                let (times, values) = (at(&json, times)?, at(&json, values)?);
                BadSetting::unless(times.len() == values.len(), || {
                    format!("there are {} times for {} values", times.len(), values.len())
                })?;
                let both = times.iter().zip(values);
                let points: Result<Vec<_>, _> =
                    both.map(|(time, value)| point(time, value)).collect();
                Ok(points?.into_iter().flatten().collect())
            }
        }
    }
}

fn point(time: &Value, value: &Value) -> Result<Option<(UnixTime, f64)>, BadSetting> {
    if value.is_null() {
        return Ok(None);
    }
    let time = match time {
        Value::String(text) => time_of(text)?,
        other => seconds(number_of(other)?)?,
    };
    Ok(Some((time, number_of(value)?)))
}

fn csv(text: &[u8], time: &str, value: &str) -> Result<Vec<(UnixTime, f64)>, BadSetting> {
    BadSetting::unless(text.len() <= number::LONGEST, || {
        format!("the file has {} bytes: at most {} are read", text.len(), number::LONGEST)
    })?;
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let delimiter = if first.contains(&b';') { b';' } else { b',' };
    let unreadable = |error: csv::Error| BadSetting(format!("no CSV: {error}"));
    let mut lines =
        csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text);
    let names = lines.headers().map_err(unreadable)?.clone();
    let column = |wanted: &str| {
        names.iter().position(|name| name.trim_start_matches('\u{feff}') == wanted).ok_or_else(
            || BadSetting(format!("the first line has no column `{wanted}`: {names:?}")),
        )
    };
    let (time, value) = (column(time)?, column(value)?);
    let mut points = Vec::new();
    for line in lines.records() {
        let line = line.map_err(unreadable)?;
        let (Some(time), Some(value)) = (line.get(time), line.get(value)) else { continue };
        if value.is_empty() {
            continue;
        }
        // A semicolon between fields leaves the comma to be the decimal mark.
        let value = if delimiter == b';' { value.replace(',', ".") } else { value.into() };
        let value: f64 =
            value.parse().map_err(|_| BadSetting(format!("`{value}` is no number")))?;
        points.push((time_of(time)?, value));
    }
    Ok(points)
}

fn at<'a>(json: &'a Value, path: &Path) -> Result<&'a Vec<Value>, BadSetting> {
    path.find(json)
        .and_then(Value::as_array)
        .ok_or_else(|| BadSetting(format!("there is no list at `{}`", path.as_str())))
}

/// Seconds since 1970, or milliseconds where the number is that large.
fn seconds(number: f64) -> Result<UnixTime, BadSetting> {
    let seconds = if number >= 1e11 { number / 1000.0 } else { number };
    BadSetting::unless((0.0..1e11).contains(&seconds), || format!("{number} is no time"))?;
    Ok(UnixTime(seconds as u64))
}

fn time_of(text: &str) -> Result<UnixTime, BadSetting> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number);
    }
    let naive = || {
        ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
            .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
            .map(|time| time.and_utc().timestamp())
    };
    let offset = || {
        DateTime::parse_from_rfc3339(text)
            .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M%:z"))
            .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z"))
            .ok()
            .map(|time| time.timestamp())
    };
    offset()
        .or_else(naive)
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(UnixTime)
        .ok_or_else(|| {
            BadSetting(format!("`{text}` is no time: 2026-01-31T10:00:00Z or seconds since 1970"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn steps_are_in_order_and_never_overlap(
            points in proptest::collection::vec((0u64..100_000, -1.0..1.0f64), 1..100),
        ) {
            let points = points.into_iter().map(|(at, value)| (UnixTime(at), value));
            let series = Series::new(points.collect(), None).unwrap();
            for step in series.steps() {
                prop_assert!(step.start < step.end);
                prop_assert_eq!(series.at(step.start), Some(step.value));
                let before = UnixTime(step.end.0 - 1);
                prop_assert_eq!(series.until_change(before), Some(Duration::from_secs(1)));
            }
            prop_assert!(series.steps().windows(2).all(|two| two[0].end <= two[1].start));
        }
    }
}
