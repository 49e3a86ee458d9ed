//! The link between an aggregator and its homes over MQTT: reports one way, commands the other. It
//! never decides what a home is told, or whether one does as told.
//!
//! A home sends to `BASE/HOME/report`, every few seconds, not retained:
//!
//! ```json
//! {"power_w": 2100, "own_w": 2300, "lowest_w": 300, "lowest_s": 5400, "highest_w": 4300,
//!  "highest_s": 1800, "step_w": null, "opted_out": false}
//! ```
//! All powers are net at the connection point; `own_w` is what it would draw left alone. `lowest_s` and
//! `highest_s` say for how long; `null` is without end. `step_w` is the distance of the powers that it
//! can be told, `null` where it can be told any. Commands ([`crate::command`]) come on
//! `BASE/HOME/command`. Let the broker allow each home its own topics only: a report is believed.

use crate::{
    BadSetting, Hub, LinkError,
    link::keep,
    mqtt::{Address, valid_topic},
    number,
};
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, Publish, QoS};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Mutex, mpsc, watch};
use units::{NetWatts, Watts};

/// Longest name of a home.
const LONGEST_NAME: usize = 64;
/// Longer than any hold that matters; more is without end.
const LONGEST_HOLD: f64 = 1e8;

/// A power that a home can hold, and for how long; `None` without end.
pub type Hold = (NetWatts, Option<Duration>);

/// What a home says of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Net power, metered.
    pub power: NetWatts,
    /// Net power if it were left alone.
    pub own: NetWatts,
    /// The least that it can be told.
    pub lowest: Hold,
    /// The most.
    pub highest: Hold,
    /// Distance of the powers that it can be told.
    pub step: Option<Watts>,
    /// Its owner does not take part now.
    pub opted_out: bool,
}

impl Report {
    /// Reads a message.
    ///
    /// # Errors
    /// A sentence that names what is missing or no number.
    pub fn parse(message: &[u8]) -> Result<Self, BadSetting> {
        let json = number::json(message)?;
        let watts = |name: &str| {
            let watts = json.get(name).and_then(Value::as_f64);
            watts
                .and_then(|watts| NetWatts::new(watts).ok())
                .ok_or_else(|| BadSetting(format!("a report wants `{name}`, net watts")))
        };
        let present = |name: &str| json.get(name).filter(|value| !value.is_null());
        let lasts = |name: &str| match present(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(seconds) if seconds > LONGEST_HOLD => Ok(None),
                Some(seconds) if seconds >= 0.0 => Ok(Some(Duration::from_secs_f64(seconds))),
                _ => Err(BadSetting(format!("`{name}` must be seconds or null"))),
            },
        };
        let step = match present("step_w") {
            None => None,
            Some(value) => {
                let step = value.as_f64().and_then(|watts| Watts::new(watts).ok());
                Some(step.ok_or_else(|| BadSetting("`step_w` must be watts or null".into()))?)
            }
        };
        let opted_out = present("opted_out").map_or(Some(false), Value::as_bool);
        Ok(Self {
            power: watts("power_w")?,
            own: watts("own_w")?,
            lowest: (watts("lowest_w")?, lasts("lowest_s")?),
            highest: (watts("highest_w")?, lasts("highest_s")?),
            step,
            opted_out: opted_out
                .ok_or_else(|| BadSetting("`opted_out` must be true or false".into()))?,
        })
    }

    /// As a message.
    pub fn message(&self) -> String {
        let lasts = |hold: Hold| hold.1.map(|lasts| lasts.as_secs_f64());
        json!({
            "power_w": self.power.get(),
            "own_w": self.own.get(),
            "lowest_w": self.lowest.0.get(),
            "lowest_s": lasts(self.lowest),
            "highest_w": self.highest.0.get(),
            "highest_s": lasts(self.highest),
            "step_w": self.step.map(Watts::get),
            "opted_out": self.opted_out,
        })
        .to_string()
    }
}

/// A command for a home.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Which.
    pub home: Arc<str>,
    /// Its number; rises.
    pub sequence: u64,
    /// Net power at its connection point; `None` gives it back to itself.
    pub power: Option<NetWatts>,
    /// It ends by itself after this time.
    pub valid: Duration,
}

impl Command {
    /// As a message that [`crate::command::parse`] reads.
    pub fn message(&self) -> String {
        json!({
            "sequence": self.sequence,
            "power_w": self.power.map(NetWatts::get),
            "valid_s": self.valid.as_secs_f64(),
        })
        .to_string()
    }
}

/// All homes below one topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Homes {
    /// Name of the link on the status page.
    pub name: Arc<str>,
    /// The broker.
    pub address: Address,
    /// First part of all topics, such as `hearth/homes`.
    pub base: String,
}

/// Reports that wait; beyond that they wait at the broker.
pub const MOST_REPORTS: usize = 10_000;

impl Homes {
    /// Refuses what cannot be a topic.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    pub fn validate(&self) -> Result<(), BadSetting> {
        valid_topic(&self.base)
    }

    /// Listens and tells for ever. What is to be told while the broker is away is dropped: commands end by
    /// themselves, and a home that keeps reporting is told again.
    pub async fn run(
        self,
        hub: Hub,
        reports: mpsc::Sender<(Arc<str>, Report)>,
        commands: mpsc::Receiver<Vec<Command>>,
    ) {
        let (homes, commands) = (Arc::new(self), Arc::new(Mutex::new(commands)));
        keep(hub.clone(), homes.name.clone(), || {
            let (hub, homes) = (hub.clone(), homes.clone());
            let (reports, commands) = (reports.clone(), commands.clone());
            async move { homes.session(&hub, &reports, &commands).await }
        })
        .await;
    }

    async fn session(
        &self,
        hub: &Hub,
        reports: &mpsc::Sender<(Arc<str>, Report)>,
        commands: &Mutex<mpsc::Receiver<Vec<Command>>>,
    ) -> Result<(), LinkError> {
        let (client, events) = AsyncClient::new(self.address.options(&self.name), 1000);
        let mut commands = commands.lock().await;
        while commands.try_recv().is_ok() {}
        tokio::select! {
            end = self.listen(hub, reports, events, &client) => end,
            end = self.tell(&client, &mut commands) => end,
        }
    }

    async fn tell(
        &self,
        client: &AsyncClient,
        commands: &mut mpsc::Receiver<Vec<Command>>,
    ) -> Result<(), LinkError> {
        while let Some(some) = commands.recv().await {
            for command in some {
                let topic = format!("{}/{}/command", self.base, command.home);
                let sent = client.publish(topic, QoS::AtLeastOnce, false, command.message());
                sent.await.map_err(|error| LinkError(format!("{}: {error}", self.name)))?;
            }
        }
        // Nobody has anything to tell any more.
        std::future::pending().await
    }

    async fn listen(
        &self,
        hub: &Hub,
        reports: &mpsc::Sender<(Arc<str>, Report)>,
        mut events: EventLoop,
        client: &AsyncClient,
    ) -> Result<(), LinkError> {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                    let topic = format!("{}/+/report", self.base);
                    client
                        .try_subscribe(topic, QoS::AtMostOnce)
                        .map_err(|error| LinkError(format!("{}: {error}", self.name)))?;
                }
                Ok(Event::Incoming(Incoming::Publish(message))) => {
                    match self.read(&message) {
                        // The next report is not far: one that finds no place is let go.
                        Ok(report) => drop(reports.try_send(report)),
                        Err(BadSetting(sentence)) => hub.refuse(&self.name, sentence.into()),
                    }
                }
                Ok(_) => {}
                Err(error) => return Err(self.address.lost(&error)),
            }
        }
    }

    fn read(&self, message: &Publish) -> Result<(Arc<str>, Report), BadSetting> {
        let home = message
            .topic
            .strip_prefix(self.base.as_str())
            .and_then(|rest| rest.strip_prefix('/')?.strip_suffix("/report"))
            .unwrap_or_default();
        valid_name(home)?;
        BadSetting::unless(!message.retain, || {
            format!("{home}: what the broker kept is of unknown age")
        })?;
        let report = Report::parse(&message.payload)
            .map_err(|BadSetting(sentence)| BadSetting(format!("{home}: {sentence}")))?;
        Ok((home.into(), report))
    }
}

/// A home that reports to its aggregator.
#[derive(Debug, Clone, PartialEq)]
pub struct Reporter {
    /// Name of the link on the status page.
    pub name: Arc<str>,
    /// The aggregator's broker.
    pub address: Address,
    /// First part of all topics, as at the aggregator.
    pub base: String,
    /// This home's name there.
    pub home: String,
    /// How often it reports.
    pub every: Duration,
}

impl Reporter {
    /// Refuses what cannot be a topic and reports that flood.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    pub fn validate(&self) -> Result<(), BadSetting> {
        valid_topic(&self.base)?;
        valid_name(&self.home)?;
        BadSetting::unless(self.every >= Duration::from_secs(1), || {
            format!("{} would report every {:?}: a second is the least", self.name, self.every)
        })
    }

    /// Where this home's commands come.
    pub fn command_topic(&self) -> String {
        format!("{}/{}/command", self.base, self.home)
    }

    /// Sends the last report again and again, and at once when the owner opts out or in. While nothing
    /// is known it says nothing.
    pub async fn run(self, hub: Hub, report: watch::Receiver<Option<Report>>) {
        let reporter = Arc::new(self);
        keep(hub.clone(), reporter.name.clone(), || {
            let (reporter, report) = (reporter.clone(), report.clone());
            async move { reporter.session(report).await }
        })
        .await;
    }

    async fn session(&self, report: watch::Receiver<Option<Report>>) -> Result<(), LinkError> {
        let (client, mut events) = AsyncClient::new(self.address.options(&self.name), 16);
        let poll = async {
            loop {
                if let Err(error) = events.poll().await {
                    return Err(self.address.lost(&error));
                }
            }
        };
        tokio::select! {
            end = poll => end,
            end = self.send(&client, report) => end,
        }
    }

    async fn send(
        &self,
        client: &AsyncClient,
        mut report: watch::Receiver<Option<Report>>,
    ) -> Result<(), LinkError> {
        let topic = format!("{}/{}/report", self.base, self.home);
        let mut tick = tokio::time::interval(self.every);
        loop {
            let now = *report.borrow_and_update();
            if let Some(now) = now {
                let sent = client.publish(&topic, QoS::AtMostOnce, false, now.message());
                sent.await.map_err(|error| LinkError(format!("{}: {error}", self.name)))?;
            }
            let out = now.is_some_and(|now| now.opted_out);
            let gone = async {
                let turned = |next: &Option<Report>| next.is_some_and(|next| next.opted_out) != out;
                report.wait_for(turned).await.is_err()
            };
            tokio::select! {
                _ = tick.tick() => {}
                gone = gone => if gone {
                    // Nobody will say anything new: the aggregator is to see a silent home.
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

fn valid_name(home: &str) -> Result<(), BadSetting> {
    let good = (1..=LONGEST_NAME).contains(&home.len())
        && home.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    BadSetting::unless(good, || {
        format!("`{home}` is no name of a home: write 1 to {LONGEST_NAME} letters, digits, - _ .")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_back_what_it_says_and_one_without_power_is_refused() {
        let net = |watts| NetWatts::new(watts).unwrap();
        let report = Report {
            power: net(2100.0),
            own: net(2300.5),
            lowest: (net(-300.0), Some(Duration::from_secs(5400))),
            highest: (net(4300.0), None),
            step: Watts::new(2000.0).ok(),
            opted_out: true,
        };
        assert_eq!(Report::parse(report.message().as_bytes()), Ok(report));
        let plain = r#"{"power_w":1,"own_w":2,"lowest_w":0,"highest_w":3}"#;
        let plain = Report::parse(plain.as_bytes()).unwrap();
        assert_eq!((plain.lowest.1, plain.step, plain.opted_out), (None, None, false));
        for bad in [
            r#"{"own_w":2,"lowest_w":0,"highest_w":3}"#,
            r#"{"power_w":"1","own_w":2,"lowest_w":0,"highest_w":3}"#,
            r#"{"power_w":1,"own_w":2,"lowest_w":0,"lowest_s":-1,"highest_w":3}"#,
            r#"{"power_w":1,"own_w":2,"lowest_w":0,"highest_w":3,"step_w":-1}"#,
            r#"{"power_w":1,"own_w":2,"lowest_w":0,"highest_w":3,"opted_out":"no"}"#,
            "[]",
            "",
        ] {
            assert!(Report::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        for (name, good) in [("a-1.b_C", true), ("", false), ("a/b", false), ("+", false)] {
            assert_eq!(valid_name(name).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn a_command_is_what_a_site_understands() {
        let command = Command {
            home: "a".into(),
            sequence: 1_800_000_000_000,
            power: NetWatts::new(-250.5).ok(),
            valid: Duration::from_secs(60),
        };
        let now = units::Moment::from_secs(5);
        let read = crate::command::parse(command.message().as_bytes(), now, units::UnixTime(0));
        let read = read.unwrap();
        assert_eq!((read.sequence, read.power), (command.sequence, command.power));
        assert_eq!(read.expires, now.after(command.valid));
    }
}
