//! The grid operators of a site: which of them an event came from, and what each is told about its own.

use grid::{
    Hub, Signals,
    event::Event,
    openadr::{Config, Report, Ven},
};
use std::sync::Arc;
use tokio::task::JoinHandle;
use units::UnixTime;

/// Operators by the names of their sources.
#[derive(Debug, Clone, Default)]
pub struct Operators(Vec<(Arc<str>, Ven)>);

impl Operators {
    /// Asks each for its events for ever.
    pub fn start(told: &[Config], hub: &Hub) -> (Self, Vec<JoinHandle<()>>) {
        let one = |config: &Config| {
            let ven = Ven::default();
            let task = tokio::spawn(ven.clone().run(hub.clone(), config.clone()));
            ((config.name.clone(), ven), task)
        };
        let (vens, tasks) = told.iter().map(one).unzip();
        (Self(vens), tasks)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reports on an event to the operator that it came from, if that one asks for reports on it.
    pub fn report(&self, signals: &Signals, report: Report) {
        if let Some((source, ven)) = self.of(signals, &report.event)
            && event(signals, source, &report.event).is_some_and(|event| event.wants_reports)
        {
            ven.report(report);
        }
    }

    /// The owner takes part in an event, or does not: that counts at once, and its operator is told. False if no
    /// operator shows it.
    pub fn answer(&self, hub: &Hub, event: &Arc<str>, takes_part: bool, utc: UnixTime) -> bool {
        let Some((source, ven)) = self.of(&hub.snapshot(), event) else { return false };
        match takes_part {
            true => ven.opt_in(event, utc),
            false => ven.opt_out(event, utc),
        }
        hub.answer_event(source, event, takes_part);
        true
    }

    /// Reports that the operator of an event has not taken yet.
    #[cfg(test)]
    pub fn waiting(&self, signals: &Signals, event: &str) -> usize {
        self.of(signals, event).map_or(0, |(_, ven)| ven.waiting())
    }

    fn of(&self, signals: &Signals, event: &str) -> Option<&(Arc<str>, Ven)> {
        self.0.iter().find(|(source, _)| self::event(signals, source, event).is_some())
    }
}

/// An event that this operator shows.
fn event<'a>(signals: &'a Signals, source: &str, id: &str) -> Option<&'a Event> {
    let events = signals.events.get(source)?;
    events.reading.value.0.iter().find(|event| *event.id == *id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use grid::{Quality, event::Events, openadr::State};
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test]
    async fn what_was_drawn_is_told_of_events_that_ask_for_reports_and_of_no_others() {
        let hub = Hub::new(Instant::now());
        let operators = Operators(vec![("operator".into(), Ven::default())]);
        let event = |id: &str, wants_reports| Event {
            id: id.into(),
            program: "program".into(),
            name: None,
            priority: None,
            wants_reports,
            opted_out: false,
            intervals: Vec::new(),
        };
        let shown = Events(vec![event("asks", true), event("does not", false)]);
        hub.tell_events(&"operator".into(), Quality::Measured, shown);
        let report = |event: &str| Report {
            event: event.into(),
            start: UnixTime(1_800_000_000),
            length: Duration::from_secs(300),
            demand: None,
            usage: None,
            state: State::Curtailed,
        };
        let signals = hub.snapshot();
        for id in ["does not", "unknown", "asks"] {
            assert_eq!(operators.waiting(&signals, "asks"), 0, "before {id}");
            operators.report(&signals, report(id));
        }
        assert_eq!(operators.waiting(&signals, "asks"), 1);
        // That the owner says no is told whether asked or not: nobody else could know.
        assert!(operators.answer(&hub, &"does not".into(), false, UnixTime(1_800_000_000)));
        assert_eq!(operators.waiting(&signals, "asks"), 2);
    }
}
