//! OpenADR's events as the site understands them. It never talks to anybody.

use crate::event::{Ask, Event, Events, Interval};
use chrono::{DateTime, Utc};
use openleadr_wire::{
    Duration as IsoDuration, Unit,
    event::{EventRequest, EventType, EventValuesMap},
    interval::IntervalPeriod,
    values_map::Value,
};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};
use units::{EnergyPrice, NetWatts, UnixTime, Watts};

/// More intervals than this are not read, of all events together.
const MOST_INTERVALS: usize = 20_000;
/// This long, or longer, is without end (`P9999Y`).
const ENDLESS: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Events from what the VTN sent: identifier, time of the last change, content. Beside them a sentence
/// for each that cannot be understood. `ven` makes our random starts our own.
pub fn events_of(
    sent: &[(String, DateTime<Utc>, EventRequest)],
    ven: &str,
    usd_per_unit: f64,
) -> (Events, Vec<String>) {
    let mut refused = Vec::new();
    let mut events = Vec::new();
    let mut left = MOST_INTERVALS;
    for (id, changed, content) in sent {
        let draw = Draw { ven, event: id };
        match intervals_of(content, *changed, &draw, usd_per_unit, &mut left) {
            Ok(intervals) => events.push(Event {
                id: id.as_str().into(),
                program: content.program_id.as_str().into(),
                name: content.event_name.as_deref().map(Arc::from),
                priority: Option::<i64>::from(content.priority).and_then(|p| p.try_into().ok()),
                wants_reports: content.report_descriptors.as_ref().is_some_and(|d| !d.is_empty()),
                opted_out: false,
                intervals,
            }),
            Err(sentence) => refused.push(format!("event {id}: {sentence}")),
        }
    }
    (Events(events), refused)
}

/// A random part of a start that is the same each time the event is asked for, and differs between
/// sites.
struct Draw<'a> {
    ven: &'a str,
    event: &'a str,
}

impl Draw<'_> {
    fn offset(&self, interval: Option<i32>, most: Duration) -> Duration {
        let mut hasher = DefaultHasher::new();
        (self.ven, self.event, interval).hash(&mut hasher);
        most.min(ENDLESS).mul_f64(hasher.finish() as f64 / 2f64.powi(64))
    }
}

fn intervals_of(
    event: &EventRequest,
    changed: DateTime<Utc>,
    draw: &Draw<'_>,
    usd_per_unit: f64,
    left: &mut usize,
) -> Result<Vec<Interval>, String> {
    let sent = event.intervals.as_deref().unwrap_or_default();
    let default = event.interval_period.as_ref();
    // A random start of the event moves all of it, so that its intervals stay in order.
    let moved = match default.and_then(|period| period.randomize_start.as_ref()) {
        Some(most) => draw.offset(None, seconds(most)?),
        None => Duration::ZERO,
    };
    let begin = default.map(|period| start_of(period, changed)).transpose()?;
    let mut next = begin.map(|start| start.after(moved));
    let mut intervals = Vec::with_capacity(sent.len().min(*left));
    for interval in sent {
        *left = left.checked_sub(1).ok_or("there are more intervals than can be read")?;
        let (start, length) = match (&interval.interval_period, default) {
            (Some(own), _) => {
                let most = own.randomize_start.as_ref().map(seconds).transpose()?;
                let moved =
                    most.map_or(Duration::ZERO, |most| draw.offset(Some(interval.id), most));
                let length = own.duration.as_ref().or(default.and_then(|d| d.duration.as_ref()));
                (start_of(own, changed)?.after(moved), length)
            }
            (None, Some(default)) => {
                let start = next.ok_or("an interval follows one without end")?;
                (start, default.duration.as_ref())
            }
            (None, None) => return Err("neither it nor its intervals say when it begins".into()),
        };
        let length = length.map(seconds).transpose()?.filter(|length| *length < ENDLESS);
        let end = length.map(|length| start.after(length));
        next = end;
        let asks = interval.payloads.iter().map(|sent| ask_of(event, sent, usd_per_unit));
        intervals.push(Interval { start, end, asks: asks.collect::<Result<_, _>>()? });
    }
    if let (Some(whole), Some(begin)) = (&event.duration, begin) {
        repeat(&mut intervals, begin.after(moved), seconds(whole)?, left)?;
    }
    Ok(intervals)
}

/// Intervals that are shorter than their event are gone through again until it ends.
fn repeat(
    intervals: &mut Vec<Interval>,
    begin: UnixTime,
    whole: Duration,
    left: &mut usize,
) -> Result<(), String> {
    let Some(round_end) = intervals.iter().map(|i| i.end).max().flatten() else { return Ok(()) };
    if intervals.iter().any(|interval| interval.end.is_none()) {
        return Ok(());
    }
    let round = round_end.since(begin);
    let end = begin.after(whole);
    if round.is_zero() {
        return Ok(());
    }
    let once = intervals.clone();
    let mut shift = round;
    // An endless event is laid out as far as can be read, and asked for again long before that.
    'rounds: while begin.after(shift) < end {
        for interval in &once {
            let start = interval.start.after(shift);
            if start >= end {
                break 'rounds;
            }
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None if whole >= ENDLESS => break 'rounds,
                None => return Err("there are more intervals than can be read".into()),
            }
            let until = interval.end.map(|until| until.after(shift).min(end));
            intervals.push(Interval { start, end: until, asks: interval.asks.clone() });
            if whole >= ENDLESS && intervals.len() > 1000 {
                break 'rounds;
            }
        }
        shift = shift.saturating_add(round);
    }
    for interval in intervals.iter_mut() {
        interval.end = interval.end.map(|until| until.min(end));
    }
    intervals.retain(|interval| interval.end.is_none_or(|until| interval.start < until));
    Ok(())
}

/// A start in the year 1 means "now", which is when the event was last changed.
fn start_of(period: &IntervalPeriod, changed: DateTime<Utc>) -> Result<UnixTime, String> {
    let unix = |time: DateTime<Utc>| u64::try_from(time.timestamp()).ok().map(UnixTime);
    let now = period.start.timestamp() < -60_000_000_000;
    unix(if now { changed } else { period.start })
        .ok_or_else(|| format!("{} lies before 1970", period.start))
}

/// Seconds of an ISO 8601 duration, up to [`ENDLESS`]. Years have 365 days here and months 30: calls
/// last hours, and "without end" thousands of years.
fn seconds(duration: &IsoDuration) -> Result<Duration, String> {
    // The library's own conversion panics on large numbers and has no other way to its parts.
    let text = duration.to_string();
    let (date, time) = text
        .strip_prefix('P')
        .and_then(|rest| rest.split_once('T'))
        .ok_or_else(|| format!("{text} is no duration"))?;
    let mut total = 0.0;
    for (part, units) in [
        (date, [('Y', 365.0 * 86_400.0), ('M', 30.0 * 86_400.0), ('D', 86_400.0)]),
        (time, [('H', 3600.0), ('M', 60.0), ('S', 1.0)]),
    ] {
        let mut rest = part;
        for (letter, length) in units {
            let Some((number, after)) = rest.split_once(letter) else { continue };
            let number: f64 = number.parse().map_err(|_| format!("{text} is no duration"))?;
            total += number * length;
            rest = after;
        }
    }
    if total.is_finite() && total >= 0.0 {
        Ok(Duration::from_secs_f64(total.min(ENDLESS.as_secs_f64())))
    } else {
        Err(format!("{text} is no duration that passes"))
    }
}

fn ask_of(event: &EventRequest, sent: &EventValuesMap, usd: f64) -> Result<Ask, String> {
    let kind = &sent.value_type;
    let first = sent.values.first();
    let number = || match first {
        Some(Value::Number(number)) if number.is_finite() => Ok(*number),
        Some(Value::Integer(number)) => Ok(*number as f64),
        _ => Err(format!("{kind:?} wants a number")),
    };
    let bad = |error: units::UnitError| format!("{kind:?}: {error}");
    let described = event.payload_descriptors.iter().flatten().find(|d| d.payload_type == *kind);
    let unit = described.and_then(|descriptor| descriptor.units.as_ref());
    // Power comes in kilowatts unless the event says otherwise; watts are said by a private name.
    let watts = || -> Result<f64, String> {
        let scale = match unit {
            None | Some(Unit::KW) => 1e3,
            Some(Unit::Private(name)) if name.eq_ignore_ascii_case("w") => 1.0,
            Some(Unit::Private(name)) if name.eq_ignore_ascii_case("mw") => 1e6,
            Some(other) => return Err(format!("{kind:?} in {other:?} is no power")),
        };
        Ok(number()? * scale)
    };
    let price = || -> Result<EnergyPrice, String> {
        let per_kwh = match unit {
            None | Some(Unit::KWH) => 1.0,
            Some(Unit::Private(name)) if name.eq_ignore_ascii_case("mwh") => 1e-3,
            Some(other) => return Err(format!("{kind:?} per {other:?} is no price of energy")),
        };
        EnergyPrice::per_kwh(number()? * per_kwh * usd).map_err(bad)
    };
    Ok(match kind {
        EventType::Simple => {
            let level = number()?;
            if !(0.0..=3.0).contains(&level) || level.fract() != 0.0 {
                return Err(format!("SIMPLE knows the levels 0 to 3, not {level}"));
            }
            Ask::Simple(level as u8)
        }
        EventType::Price => Ask::Price(price()?),
        EventType::ExportPrice => Ask::ExportPrice(price()?),
        EventType::ImportCapacityLimit => Ask::ImportLimit(Watts::new(watts()?).map_err(bad)?),
        EventType::ExportCapacityLimit => Ask::ExportLimit(Watts::new(watts()?).map_err(bad)?),
        EventType::DispatchSetpoint => Ask::SetPoint(NetWatts::new(watts()?).map_err(bad)?),
        EventType::DispatchSetpointRelative => Ask::Relative(NetWatts::new(watts()?).map_err(bad)?),
        EventType::AlertGridEmergency => {
            let words = match first {
                Some(Value::String(words)) => words.chars().take(200).collect::<String>(),
                _ => String::new(),
            };
            Ask::Emergency(words.into())
        }
        other => Ask::Other(format!("{other:?}").into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: serde_json::Value) -> Vec<(String, DateTime<Utc>, EventRequest)> {
        let changed = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        vec![("e1".into(), changed, serde_json::from_value(json).unwrap())]
    }

    fn one(json: serde_json::Value) -> Result<Event, String> {
        let (mut events, mut refused) = events_of(&event(json), "home", 1.1);
        if let Some(sentence) = refused.pop() { Err(sentence) } else { Ok(events.0.remove(0)) }
    }

    fn times(event: &Event) -> Vec<(u64, Option<u64>)> {
        event.intervals.iter().map(|i| (i.start.0, i.end.map(|end| end.0))).collect()
    }

    #[test]
    fn intervals_without_a_time_of_their_own_follow_one_another() {
        let got = one(serde_json::json!({
            "programID": "p", "priority": 3,
            "intervalPeriod": {"start": "2027-01-15T08:00:00Z", "duration": "PT15M"},
            "payloadDescriptors": [
                {"payloadType": "PRICE", "units": "KWH", "currency": "EUR"},
                {"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}],
            "intervals": [
                {"id": 0, "payloads": [{"type": "PRICE", "values": [0.2]}]},
                {"id": 1, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [250]},
                                       {"type": "CURVE", "values": [{"x": 1.0, "y": 2.0}]}]},
                {"id": 2, "intervalPeriod": {"start": "2027-01-15T12:00:00Z"},
                 "payloads": [{"type": "SIMPLE", "values": [2]}]}],
        }))
        .unwrap();
        let (a, b, c) = (1_800_000_000, 1_800_000_900, 1_800_001_800);
        assert_eq!(times(&got), [(a, Some(b)), (b, Some(c)), (1_800_014_400, Some(1_800_015_300))]);
        assert_eq!(got.priority, Some(3));
        let price = EnergyPrice::per_kwh(0.2 * 1.1).unwrap();
        assert_eq!(got.intervals[0].asks, [Ask::Price(price)]);
        assert_eq!(got.intervals[1].asks[0], Ask::ImportLimit(Watts::new(250e3).unwrap()));
        assert!(matches!(got.intervals[1].asks[1], Ask::Other(_)));
    }

    #[test]
    fn a_random_start_is_drawn_once_and_differs_between_sites() {
        let sent = event(serde_json::json!({
            "programID": "p", "priority": null,
            "intervalPeriod": {"start": "2027-01-15T08:00:00Z", "duration": "PT15M",
                               "randomizeStart": "PT10M"},
            "intervals": [{"id": 0, "payloads": [{"type": "SIMPLE", "values": [1]}]}],
        }));
        let start = |ven: &str| events_of(&sent, ven, 1.0).0.0[0].intervals[0].start.0;
        let starts: Vec<u64> = (0..50).map(|home| start(&format!("home {home}"))).collect();
        assert_eq!(start("home 0"), starts[0]);
        assert!(starts.iter().all(|at| (1_800_000_000..1_800_000_600).contains(at)));
        assert!(starts.iter().max().unwrap() - starts.iter().min().unwrap() > 300);
    }

    #[test]
    fn now_without_end_and_rounds_are_understood() {
        let endless = one(serde_json::json!({
            "programID": "p", "priority": null,
            "intervalPeriod": {"start": "0001-01-01T00:00:00Z", "duration": "P9999Y"},
            "intervals": [{"id": 0, "payloads": [{"type": "SIMPLE", "values": [1]}]}],
        }));
        assert_eq!(times(&endless.unwrap()), [(1_800_000_000, None)]);
        let rounds = one(serde_json::json!({
            "programID": "p", "priority": null, "duration": "PT50M",
            "intervalPeriod": {"start": "2027-01-15T08:00:00Z", "duration": "PT10M"},
            "intervals": [{"id": 0, "payloads": [{"type": "SIMPLE", "values": [1]}]},
                          {"id": 1, "payloads": [{"type": "SIMPLE", "values": [0]}]}],
        }))
        .unwrap();
        assert_eq!(rounds.intervals.len(), 5);
        assert_eq!(rounds.intervals[4].end, Some(UnixTime(1_800_003_000)));
        assert_eq!(rounds.intervals[4].asks, [Ask::Simple(1)]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_sentence() {
        for (payload, period) in [
            (r#"{"type":"SIMPLE","values":[7]}"#, r#"{"start":"2027-01-15T08:00:00Z"}"#),
            (r#"{"type":"SIMPLE","values":[]}"#, r#"{"start":"2027-01-15T08:00:00Z"}"#),
            (
                r#"{"type":"IMPORT_CAPACITY_LIMIT","values":[-5]}"#,
                r#"{"start":"2027-01-15T08:00:00Z"}"#,
            ),
            (r#"{"type":"SIMPLE","values":[1]}"#, r#"{"start":"1960-01-15T08:00:00Z"}"#),
            (r#"{"type":"SIMPLE","values":[1]}"#, "null"),
        ] {
            let text = format!(
                r#"{{"programID":"p","priority":null,"intervalPeriod":{period},
                    "intervals":[{{"id":0,"payloads":[{payload}]}}]}}"#
            );
            assert!(one(serde_json::from_str(&text).unwrap()).is_err(), "{text}");
        }
    }
}
