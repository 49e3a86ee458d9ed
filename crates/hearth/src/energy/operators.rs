//! The grid operators of a site: which of them an event came from, and what each is told about its own.

use grid::{
    Hub, Signals,
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

    /// Reports on an event to the operator that it came from.
    pub fn report(&self, signals: &Signals, report: Report) {
        if let Some((_, ven)) = self.of(signals, &report.event) {
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
        let shows = |source: &Arc<str>| {
            let events = signals.events.get(source);
            events.is_some_and(|told| told.reading.value.0.iter().any(|one| *one.id == *event))
        };
        self.0.iter().find(|(source, _)| shows(source))
    }
}
