//! Power in this program: signals in, a decision each second, commands out, and what became of it shown,
//! recorded and told to Home Assistant. It ties rooms together and decides nothing itself.
//!
//! ```text
//!  grid::Hub ─ Signals ─▶ inputs ─▶ dispatch::Site ─ moves ─▶ orders ─▶ fleet, compute
//!      ▲                              ▲       │                           │ read back
//!   sources                 plan ─────┘       ├─▶ view (state tree)       ▼
//!                                             ├─▶ meterage ─▶ record   LoadState
//!                                             └─▶ home (Home Assistant)
//! ```

mod backup;
mod baseline;
mod door;
mod home;
mod inputs;
mod loads;
mod meterage;
mod operators;
mod orders;
mod outlook;
mod plan;
mod proof;
mod record;
mod run;
mod view;

pub use inputs::calls;
pub use run::utc;

use crate::{bridge::Bridge, config::Energy, fleet::meter::ServerMeter};
use axum::Router;
use door::Door;
use fleet::{DeviceId, control::Fleet};
use grid::{Hub, command::Inbox};
use operators::Operators;
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::task::JoinHandle;
use units::Watts;

/// What the owner said, over Home Assistant or HTTP; kept for as long as the program runs.
#[derive(Debug, Clone, Default)]
pub struct Owner {
    /// Power of all loads.
    power: Option<Watts>,
    /// Set-points of heated bodies by name, °C.
    set_points: BTreeMap<Arc<str>, units::Celsius>,
    /// Heated bodies that are to be warm at once, whatever it costs.
    at_once: BTreeSet<Arc<str>>,
    /// Loads that are to stay off.
    off: BTreeSet<Arc<str>>,
    /// The most that single loads may draw.
    most: BTreeMap<Arc<str>, Watts>,
    /// The aggregator's word does not count.
    opted_out: bool,
}

/// The machines that are steered, and what they are steered with.
#[derive(Clone)]
pub struct Machines {
    pub fleet: Arc<Fleet>,
    pub meter: Arc<ServerMeter>,
    /// Machines that somebody else has in hand, as while they are tuned.
    pub busy: Arc<dyn Fn(&DeviceId) -> bool + Send + Sync>,
}

type Shared<T> = Arc<Mutex<T>>;

fn hold<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Power that is decided on. Dropping it ends that; machines keep what they were set to.
pub struct Running {
    door: Door,
    tasks: Vec<JoinHandle<()>>,
    record: Option<record::Recorder>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Running {
    /// Starts all of it. Its tasks are its own: whatever becomes of them, miners are served.
    pub fn start(
        told: &Energy,
        folder: &Path,
        bridge: Arc<Bridge>,
        machines: Machines,
        token: Arc<str>,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let told = Arc::new(told.clone());
        let hub = Hub::new(tokio::time::Instant::now());
        let inbox = Inbox::default();
        let mut tasks = sources(&told.sources, &hub, &inbox);
        let owner: Shared<Owner> = Arc::default();
        let (operators, asking) = Operators::start(&told.sources.openadr, &hub);
        tasks.extend(asking);
        let record = match &told.evidence {
            Some(evidence) => {
                Some(record::Recorder::start(&folder.join("evidence"), &told.site, evidence)?)
            }
            None => None,
        };
        let report = told.aggregator.as_ref().map(|reporter| {
            let (report, shown) = tokio::sync::watch::channel(None);
            tasks.push(tokio::spawn(reporter.clone().run(hub.clone(), shown)));
            let commands = grid::mqtt::Broker {
                name: "aggregator's commands".into(),
                address: reporter.address.clone(),
                topics: vec![grid::mqtt::Topic {
                    topic: reporter.command_topic(),
                    take: grid::mqtt::Use::SetPoint,
                }],
                keep_alive: None,
                quality: grid::Quality::Measured,
            };
            tasks.push(tokio::spawn(commands.run(hub.clone(), inbox.clone())));
            report
        });
        let shown = run::Loop::new(run::Parts {
            told: told.clone(),
            hub: hub.clone(),
            bridge: bridge.clone(),
            machines,
            owner: owner.clone(),
            folder: folder.to_owned(),
            operators: operators.clone(),
            record: record.as_ref().map(record::Recorder::sender),
            report,
        });
        if let Some(home) = &told.home_assistant {
            tasks.extend(home::start(home, &told, &hub, bridge, owner)?);
        }
        tasks.push(tokio::spawn(shown.run()));
        let door = Door { hub, inbox, operators, token };
        Ok(Self { door, tasks, record })
    }

    /// Where signals meet; the demonstration tells its own.
    pub fn hub(&self) -> Hub {
        self.door.hub.clone()
    }

    /// What can be told over HTTP, with the same token as tuning.
    pub fn routes(&self) -> Router {
        self.door.clone().routes()
    }

    /// Ends decisions; the record is whole on disk.
    pub async fn stop(mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        if let Some(record) = self.record.take() {
            record.stop().await;
        }
    }
}

fn sources(told: &crate::config::Sources, hub: &Hub, inbox: &Inbox) -> Vec<JoinHandle<()>> {
    let mut tasks = Vec::new();
    for device in &told.modbus {
        tasks.push(tokio::spawn(device.clone().run(hub.clone())));
    }
    for device in &told.sunspec {
        tasks.push(tokio::spawn(device.clone().run(hub.clone())));
    }
    for broker in &told.mqtt {
        tasks.push(tokio::spawn(broker.clone().run(hub.clone(), inbox.clone())));
    }
    for poll in &told.http {
        tasks.push(tokio::spawn(poll.clone().run(hub.clone())));
    }
    for forecast in &told.forecasts {
        tasks.push(tokio::spawn(forecast.clone().run(hub.clone())));
    }
    for prices in &told.prices {
        tasks.push(tokio::spawn(prices.clone().run(hub.clone())));
    }
    if let Some(rates) = &told.bitcoin {
        tasks.push(tokio::spawn(rates.clone().run(hub.clone())));
    }
    tasks
}
