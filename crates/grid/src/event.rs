//! Events of a grid operator as the site understands them: what is asked, when, and which of several
//! holds. It never talks to the operator ([`crate::openadr`] does).

use std::sync::Arc;
use units::{EnergyPrice, NetWatts, UnixTime, Watts};

/// All events that the operator shows this site.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Events(pub Vec<Event>);

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The operator's identifier.
    pub id: Arc<str>,
    /// The identifier of its program.
    pub program: Arc<str>,
    /// A name for people.
    pub name: Option<Arc<str>>,
    /// 0 is the most urgent; `None` the least.
    pub priority: Option<u32>,
    /// Whether the operator asked for reports: of an event without `reportDescriptors` none is expected
    /// (OpenADR 3.1.0 User Guide, 7.5 and 8.4).
    pub wants_reports: bool,
    /// The owner said no: it stays visible and asks nothing.
    pub opted_out: bool,
    /// What is asked, and when.
    pub intervals: Vec<Interval>,
}

/// What is asked during one interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// When it begins, its random part already drawn.
    pub start: UnixTime,
    /// When it ends; `None` holds until the event is withdrawn.
    pub end: Option<UnixTime>,
    /// What is asked.
    pub asks: Vec<Ask>,
}

/// One thing that is asked (OpenADR 3.1, event payload types).
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// `SIMPLE`: 0 normal, 1 moderate, 2 high, 3 special; the contract says what each means.
    Simple(u8),
    /// `PRICE` of energy taken.
    Price(EnergyPrice),
    /// `EXPORT_PRICE` of energy given.
    ExportPrice(EnergyPrice),
    /// `IMPORT_CAPACITY_LIMIT`.
    ImportLimit(Watts),
    /// `EXPORT_CAPACITY_LIMIT`.
    ExportLimit(Watts),
    /// `DISPATCH_SETPOINT`: net power at the connection point.
    SetPoint(NetWatts),
    /// `DISPATCH_SETPOINT_RELATIVE`: so much more, or less, than without the event.
    Relative(NetWatts),
    /// `ALERT_GRID_EMERGENCY`, with the operator's words.
    Emergency(Arc<str>),
    /// A type that is not understood; shown, and not acted on.
    Other(Arc<str>),
}

impl Ask {
    fn kind(&self) -> std::mem::Discriminant<Self> {
        std::mem::discriminant(self)
    }
}

impl Events {
    /// What is asked at this time: for each kind the ask of the most urgent event, and of two equally
    /// urgent ones of the one whose interval began later.
    pub fn at(&self, time: UnixTime) -> Vec<(&Ask, &Event)> {
        let mut asked: Vec<(&Ask, &Event, UnixTime)> = Vec::new();
        for event in self.0.iter().filter(|event| !event.opted_out) {
            let now = event.intervals.iter().filter(|interval| interval.holds(time));
            for (interval, ask) in now.flat_map(|i| i.asks.iter().map(move |ask| (i, ask))) {
                let order = |event: &Event, start: UnixTime| {
                    (event.priority.unwrap_or(u32::MAX), std::cmp::Reverse(start))
                };
                match asked.iter_mut().find(|(other, ..)| other.kind() == ask.kind()) {
                    Some(slot) => {
                        if order(event, interval.start) < order(slot.1, slot.2) {
                            *slot = (ask, event, interval.start);
                        }
                    }
                    None => asked.push((ask, event, interval.start)),
                }
            }
        }
        asked.into_iter().map(|(ask, event, _)| (ask, event)).collect()
    }

    /// When what is asked next changes.
    pub fn next_change(&self, after: UnixTime) -> Option<UnixTime> {
        let live = self.0.iter().filter(|event| !event.opted_out);
        live.flat_map(|event| &event.intervals)
            .flat_map(|interval| [Some(interval.start), interval.end])
            .flatten()
            .filter(|time| *time > after)
            .min()
    }
}

impl Interval {
    /// Whether it holds at this time.
    pub fn holds(&self, time: UnixTime) -> bool {
        self.start <= time && self.end.is_none_or(|end| time < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, priority: Option<u32>, start: u64, end: u64, level: u8) -> Event {
        let (start, end) = (UnixTime(start), Some(UnixTime(end)));
        Event {
            id: id.into(),
            program: "p".into(),
            name: None,
            priority,
            wants_reports: false,
            opted_out: false,
            intervals: vec![Interval { start, end, asks: vec![Ask::Simple(level)] }],
        }
    }

    #[test]
    fn the_most_urgent_event_holds_and_gives_way_when_it_ends() {
        let mut events = Events(vec![
            event("long", None, 0, 100, 1),
            event("short", Some(5), 20, 40, 2),
            event("shorter", Some(0), 25, 30, 3),
        ]);
        let level = |events: &Events, at: u64| match events.at(UnixTime(at))[..] {
            [(Ask::Simple(level), _)] => Some(*level),
            _ => None,
        };
        let cases =
            [(0, Some(1)), (20, Some(2)), (25, Some(3)), (30, Some(2)), (99, Some(1)), (100, None)];
        for (at, expected) in cases {
            assert_eq!(level(&events, at), expected, "at {at}");
        }
        assert_eq!(events.next_change(UnixTime(25)), Some(UnixTime(30)));
        events.0[2].opted_out = true;
        assert_eq!(level(&events, 25), Some(2));
        events.0.push(event("later", Some(5), 22, 40, 0));
        assert_eq!(level(&events, 25), Some(0));
    }
}
