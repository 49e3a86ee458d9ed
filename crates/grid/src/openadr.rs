//! The end node (VEN) of OpenADR 3.1: it asks the operator's server (VTN) for events, sends reports,
//! and says when the owner opts out. It never decides what an event means for a load.

mod convert;

pub use convert::events_of;

use crate::{BadSetting, Hub, LinkError, Quality, link::keep};
use openleadr_client::{
    Client, ClientCredentials, Error, Filter, HttpClient, PaginationOptions, VirtualEndNode,
};
use openleadr_wire::{
    Unit,
    event::EventId,
    interval::{Interval, IntervalPeriod},
    report::{
        ReadingType, ReportPayloadDescriptor, ReportRequest, ReportResource, ReportType,
        ResourceName,
    },
    values_map::{Value, ValueType, ValuesMap},
    ven::VenVenRequest,
};
use reqwest::{Method, RequestBuilder, Response, Url};
use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;
use units::{UnixTime, WattHours, Watts};

/// A VTN and who we are there.
#[derive(Clone, PartialEq)]
pub struct Config {
    /// Name on the status page.
    pub name: Arc<str>,
    /// The VTN's address, ending in a slash.
    pub url: String,
    /// Where tokens are given out; without, `auth/token` beside the VTN.
    pub token_url: Option<String>,
    /// OAuth client, as the operator gave it.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// The name under which we register, and which reports carry.
    pub ven_name: String,
    /// Programs whose events count, by name; empty is all that the VTN shows.
    pub programs: Vec<String>,
    /// How often events are asked for.
    pub every: Duration,
    /// Dollars for one unit of the currency in which prices come.
    pub usd_per_unit: f64,
    /// [`Quality::Synthetic`] for an emulated operator.
    pub quality: Quality,
}

impl fmt::Debug for Config {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {} at {}", self.ven_name, self.client_id, self.url)
    }
}

/// What was done during an interval, for the operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The event it answers.
    pub event: Arc<str>,
    /// When the interval began.
    pub start: UnixTime,
    /// How long it was.
    pub length: Duration,
    /// Mean power drawn; `None` where nothing measured it.
    pub demand: Option<Watts>,
    /// Energy drawn.
    pub usage: Option<WattHours>,
    /// What the site was doing.
    pub state: State,
}

/// States of OpenADR 3.1's `OPERATING_STATE` that a site can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As without the event.
    Normal,
    /// Drawing less because of it.
    Curtailed,
    /// Drawing more because of it.
    Heightened,
    /// The owner said no.
    OptedOut,
    /// Something is broken.
    Error,
}

/// More reports than this are not kept for a VTN that does not answer: the oldest go first.
const MOST_WAITING: usize = 256;
const MOST_OPTED_OUT: usize = 1024;
const PAGE: usize = 50;
const MOST_PAGES: usize = 20;
/// Longer answers are refused.
const LONGEST: usize = 4 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

/// The door through which a site answers the operator. Cloning gives another handle to the same.
#[derive(Debug, Clone, Default)]
pub struct Ven(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<VecDeque<Report>>,
    opted_out: Mutex<BTreeSet<Arc<str>>>,
    wake: Notify,
}

impl Config {
    /// Refuses addresses that are none, and asking more than once a second.
    pub fn validate(&self) -> Result<(), BadSetting> {
        for url in std::iter::once(&self.url).chain(&self.token_url) {
            let good = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            BadSetting::unless(good, || format!("`{url}` is no address: write https://…/"))?;
        }
        BadSetting::unless((1..=128).contains(&self.ven_name.len()), || {
            "the VEN's name must have 1 to 128 letters, as the operator knows it".into()
        })?;
        BadSetting::unless(self.usd_per_unit.is_finite() && self.usd_per_unit > 0.0, || {
            format!("{} dollars for a unit of currency make no price", self.usd_per_unit)
        })?;
        BadSetting::unless(self.every >= Duration::from_secs(1), || {
            format!("events asked every {:?}: write 1 s or more", self.every)
        })
    }
}

impl Ven {
    /// Asks for ever, and publishes into the hub.
    pub async fn run(self, hub: Hub, config: Config) {
        let config = Arc::new(config);
        keep(hub.clone(), config.name.clone(), || {
            let (ven, hub, config) = (self.clone(), hub.clone(), config.clone());
            async move { ven.session(&hub, &config).await }
        })
        .await;
    }

    /// Queues a report; it goes out with the next exchange, and again until the VTN takes it.
    pub fn report(&self, report: Report) {
        let mut waiting = lock(&self.0.waiting);
        if waiting.len() >= MOST_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(report);
        drop(waiting);
        self.0.wake.notify_one();
    }

    /// Reports that the operator has not taken yet.
    pub fn waiting(&self) -> usize {
        lock(&self.0.waiting).len()
    }

    /// The owner says no to an event: it asks nothing more of the site, and the operator is told so by
    /// a report. OpenADR 3.1 has no message of its own for it; `OPERATING_STATE` has a value.
    pub fn opt_out(&self, event: &Arc<str>, now: UnixTime) {
        let mut opted_out = lock(&self.0.opted_out);
        if opted_out.len() < MOST_OPTED_OUT {
            opted_out.insert(event.clone());
        }
        drop(opted_out);
        self.state(event, now, State::OptedOut);
    }

    /// The owner says yes again.
    pub fn opt_in(&self, event: &Arc<str>, now: UnixTime) {
        lock(&self.0.opted_out).remove(event);
        self.state(event, now, State::Normal);
    }

    fn state(&self, event: &Arc<str>, start: UnixTime, state: State) {
        let (event, length) = (event.clone(), Duration::ZERO);
        self.report(Report { event, start, length, demand: None, usage: None, state });
    }

    async fn session(&self, hub: &Hub, config: &Config) -> Result<(), LinkError> {
        let client = connect(config)?;
        register(&client, config).await?;
        loop {
            self.ask(&client, hub, config).await?;
            self.send_waiting(&client, hub, config).await?;
            tokio::select! {
                () = tokio::time::sleep(config.every) => {}
                () = self.0.wake.notified() => {}
            }
        }
    }

    async fn ask(
        &self,
        client: &Client<VirtualEndNode>,
        hub: &Hub,
        config: &Config,
    ) -> Result<(), LinkError> {
        let lost = |error: Error| trouble(config, "asking for events", &error);
        let mut programs: Vec<String> = Vec::new();
        let mut events = Vec::new();
        for page in 0..MOST_PAGES {
            let window = PaginationOptions { skip: page * PAGE, limit: PAGE };
            let some = client.get_programs(Filter::none(), window).await.map_err(lost)?;
            let last = some.len() < PAGE;
            let wanted = some.iter().filter(|program| {
                let name = &program.content().program_name;
                config.programs.is_empty() || config.programs.contains(name)
            });
            programs.extend(wanted.map(|program| program.id().to_string()));
            if last {
                break;
            }
        }
        for page in 0..MOST_PAGES {
            let window = PaginationOptions { skip: page * PAGE, limit: PAGE };
            let some = client.get_events(None, Filter::none(), window).await.map_err(lost)?;
            let last = some.len() < PAGE;
            events.extend(some.into_iter().map(|event| {
                (event.id().to_string(), event.modification_date_time(), event.content().clone())
            }));
            if last {
                break;
            }
        }
        events.retain(|(_, _, event)| programs.iter().any(|id| id == event.program_id.as_str()));
        let (mut events, refused) = events_of(&events, &config.ven_name, config.usd_per_unit);
        for sentence in refused {
            hub.refuse(&config.name, sentence.into());
        }
        {
            let mut opted_out = lock(&self.0.opted_out);
            // What the operator no longer shows needs no answer any more.
            opted_out.retain(|id| events.0.iter().any(|event| event.id == *id));
            for event in &mut events.0 {
                event.opted_out = opted_out.contains(&event.id);
            }
        }
        hub.tell_events(&config.name, config.quality, events);
        Ok(())
    }

    async fn send_waiting(
        &self,
        client: &Client<VirtualEndNode>,
        hub: &Hub,
        config: &Config,
    ) -> Result<(), LinkError> {
        loop {
            let Some(report) = lock(&self.0.waiting).front().cloned() else { return Ok(()) };
            match send(client, config, &report).await {
                Ok(()) => {}
                Err(Error::Problem(problem)) if problem.status.is_client_error() => {
                    let why = problem.detail.or(problem.title).unwrap_or_default();
                    let event = &report.event;
                    hub.refuse(&config.name, format!("report on {event} not taken: {why}").into());
                }
                Err(Error::InvalidParentObject) => {
                    let event = &report.event;
                    hub.refuse(&config.name, format!("`{event}` is no event's identifier").into());
                }
                Err(error) => return Err(trouble(config, "sending a report", &error)),
            }
            let mut waiting = lock(&self.0.waiting);
            if waiting.front() == Some(&report) {
                waiting.pop_front();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn trouble(config: &Config, doing: &str, error: &Error) -> LinkError {
    let name = &config.name;
    let remedy = match error {
        Error::AuthProblem(_) => "check client id and secret with the operator",
        Error::Problem(_) => "ask the operator what this client may do",
        _ => "check the VTN's address and the network",
    };
    LinkError(format!("{name}: {doing}: {error}; {remedy}"))
}

fn connect(config: &Config) -> Result<Client<VirtualEndNode>, LinkError> {
    let url = |text: &str| {
        Url::parse(text).map_err(|error| LinkError(format!("`{text}` is no address: {error}")))
    };
    let base = url(&config.url)?;
    let token = match &config.token_url {
        Some(text) => url(text)?,
        None => base.join("auth/token").map_err(|error| LinkError(error.to_string()))?,
    };
    let mut credentials =
        ClientCredentials::new(config.client_id.clone(), config.client_secret.clone());
    // The client subtracts this from a token's lifetime, which may be shorter than the default.
    credentials.refresh_margin = Duration::ZERO;
    let http = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .user_agent("hearth")
        .build()
        .map_err(|error| LinkError(format!("HTTP cannot be used on this machine: {error}")))?;
    Ok(Client::with_http_client(base, token, Box::new(Bounded(http)), Some(credentials)))
}

async fn register(client: &Client<VirtualEndNode>, config: &Config) -> Result<(), LinkError> {
    let known = client.get_ven_by_name(&config.ven_name).await;
    let made = match known {
        Ok(_) => return Ok(()),
        Err(Error::ObjectNotFound) => {
            let ven_name = config.ven_name.clone();
            client.create_ven(VenVenRequest { ven_name, attributes: None }).await
        }
        Err(error) => return Err(trouble(config, "looking up our name", &error)),
    };
    match made {
        Ok(_) => Ok(()),
        // Some operators enter their VENs themselves, and show them to nobody.
        Err(error) if error.is_forbidden() || error.is_conflict() => Ok(()),
        Err(error) => Err(trouble(config, "registering", &error)),
    }
}

async fn send(
    client: &Client<VirtualEndNode>,
    config: &Config,
    report: &Report,
) -> Result<(), Error> {
    let id: EventId = report.event.parse().map_err(|_| Error::InvalidParentObject)?;
    let event = client.get_event_by_id(&id).await?;
    let content = report_of(event.new_report(config.ven_name.clone()), report);
    event.create_report(content).await.map(drop)
}

fn report_of(empty: ReportRequest, report: &Report) -> ReportRequest {
    let mut payloads = vec![values("OPERATING_STATE", Value::String(report.state.word().into()))];
    let mut descriptors = Vec::new();
    let mut describe = |kind: ReportType, reading: ReadingType, unit: Unit| {
        descriptors.push(ReportPayloadDescriptor {
            reading_type: reading,
            units: Some(unit),
            ..ReportPayloadDescriptor::new(kind)
        });
    };
    if let Some(demand) = report.demand {
        payloads.push(values("DEMAND", Value::Number(demand.kilowatts())));
        describe(ReportType::Demand, ReadingType::Mean, Unit::KW);
    }
    if let Some(usage) = report.usage {
        payloads.push(values("USAGE", Value::Number(usage.kilowatt_hours())));
        describe(ReportType::Usage, ReadingType::Summed, Unit::KWH);
    }
    let start = chrono::DateTime::from_timestamp(report.start.0 as i64, 0).unwrap_or_default();
    let duration = format!("PT{}S", report.length.as_secs()).parse().ok();
    let period = IntervalPeriod { duration, ..IntervalPeriod::new(start) };
    let interval = Interval { interval_period: Some(period), ..Interval::new(0, payloads) };
    let resource_name = ResourceName::AggregatedReport;
    let resource =
        ReportResource { resource_name, interval_period: None, intervals: vec![interval] };
    let content = empty.with_resources(vec![resource]);
    if descriptors.is_empty() { content } else { content.with_payload_descriptors(descriptors) }
}

fn values(name: &str, value: Value) -> ValuesMap {
    ValuesMap { value_type: ValueType(name.into()), values: vec![value] }
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Curtailed => "RUNNING_CURTAILED",
            Self::Heightened => "RUNNING_HEIGHTENED",
            Self::OptedOut => "RUNNING_OPTED_OUT",
            Self::Error => "ERROR",
        }
    }
}

/// An HTTP client that reads no answer without end.
#[derive(Debug)]
struct Bounded(reqwest::Client);

#[async_trait::async_trait]
impl HttpClient for Bounded {
    fn request_builder(&self, method: Method, url: Url) -> RequestBuilder {
        self.0.request(method, url)
    }

    async fn send(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        let mut answer = request.send().await?;
        let mut status = answer.status();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await? {
            if body.len() + part.len() > LONGEST {
                status = reqwest::StatusCode::BAD_GATEWAY;
                body = br#"{"status":502,"title":"the answer is longer than 4 MiB"}"#.to_vec();
                break;
            }
            body.extend_from_slice(&part);
        }
        let mut bounded = http::Response::new(body);
        *bounded.status_mut() = status;
        Ok(bounded.into())
    }
}
