//! A site and its devices as entities of Home Assistant, over MQTT with discovery: states go out,
//! commands come back. It never acts on a command. `docs/home-assistant.md` lists topics.

mod discovery;

pub use discovery::{Device, Entity, Kind, SensorClass};

use crate::{
    BadSetting, Hub, LinkError,
    link::keep,
    mqtt::{Address, valid_topic},
    number::LONGEST,
};
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, LastWill, Publish, QoS, SubscribeFilter};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::{Notify, mpsc, watch};
use units::Celsius;

/// What a site shows and takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Name on the status page.
    pub name: Arc<str>,
    /// The broker that Home Assistant uses.
    pub address: Address,
    /// Where Home Assistant looks for discovery: `homeassistant`, unless it is set otherwise there.
    pub discovery: String,
    /// First part of all our topics, such as `hearth/home`.
    pub base: String,
}

/// What is shown now: entities may come and go as machines do.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shown {
    /// What there is.
    pub entities: Arc<[Entity]>,
    /// How it is.
    pub states: States,
}

impl Shown {
    /// The most entities of one site.
    pub const MOST: usize = 2000;

    /// Refuses entities that are there twice or too many, and limits that are none.
    pub fn validate(&self) -> Result<(), BadSetting> {
        BadSetting::unless((1..=Self::MOST).contains(&self.entities.len()), || {
            format!("{} entities: 1 to {} are shown", self.entities.len(), Self::MOST)
        })?;
        let mut seen = BTreeSet::new();
        for entity in self.entities.iter() {
            entity.validate()?;
            BadSetting::unless(seen.insert(&entity.id), || {
                format!("the entity `{}` is there twice: give each a name of its own", entity.id)
            })?;
        }
        Ok(())
    }
}

/// How a heater is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Not at all; frost protection stays.
    Off,
    /// To its target at once, whatever it costs.
    Heat,
    /// To its target when it is cheapest.
    Auto,
}

/// What a heater does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Switched off.
    Off,
    /// Heating.
    Heating,
    /// Warm enough, or waiting for a better price.
    Idle,
}

/// The state of one entity; what is not known is shown as unknown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    /// Of a thermostat or a water heater.
    Heater {
        /// Measured.
        current: Option<Celsius>,
        /// Wanted.
        target: Option<Celsius>,
        /// How it is run.
        mode: Option<Mode>,
        /// What it does.
        action: Option<Action>,
    },
    /// Of a number or a sensor, in the unit of its discovery.
    Number(Option<f64>),
    /// Of a switch.
    Switch(Option<bool>),
}

/// States by the entity's identifier.
pub type States = BTreeMap<Arc<str>, State>;

/// What a person, or an automation, wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Of which entity.
    pub entity: Arc<str>,
    /// What.
    pub want: Want,
}

/// What is wanted; within the limits that discovery named.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Want {
    /// Another target temperature.
    Target(Celsius),
    /// Another mode.
    Mode(Mode),
    /// Another number, in the unit of its discovery.
    Number(f64),
    /// On or off.
    Switch(bool),
}

/// Commands waiting for the site's loop; more are refused, and counted as such.
pub const MOST_COMMANDS: usize = 64;

impl Site {
    /// Refuses names that cannot be topics.
    pub fn validate(&self) -> Result<(), BadSetting> {
        valid_topic(&self.discovery)?;
        valid_topic(&self.base)
    }

    /// Shows it all for ever and sends what is wanted to `commands`, which should hold
    /// [`MOST_COMMANDS`]. When the program ends, the broker marks all entities as unavailable.
    pub async fn run(
        self,
        hub: Hub,
        shown: watch::Receiver<Shown>,
        commands: mpsc::Sender<Command>,
    ) {
        let site = Arc::new(self);
        keep(hub.clone(), site.name.clone(), || {
            let (hub, site) = (hub.clone(), site.clone());
            let (shown, commands) = (shown.clone(), commands.clone());
            async move { site.session(&hub, shown, &commands).await }
        })
        .await;
    }

    async fn session(
        &self,
        hub: &Hub,
        shown: watch::Receiver<Shown>,
        commands: &mpsc::Sender<Command>,
    ) -> Result<(), LinkError> {
        let mut options = self.address.options(&self.name);
        let will = LastWill::new(self.availability(), "offline", QoS::AtLeastOnce, true);
        options.set_last_will(will);
        let (client, events) = AsyncClient::new(options, 64);
        let greet = Notify::new();
        tokio::select! {
            end = self.listen(hub, events, &client, &greet, &shown, commands) => end,
            end = self.show(&client, &greet, shown.clone()) => end,
        }
    }

    /// All of discovery and all states after each greeting, then what changes. An entity that is gone is
    /// taken back: an empty message ends what the broker keeps of it.
    async fn show(
        &self,
        client: &AsyncClient,
        greet: &Notify,
        mut shown: watch::Receiver<Shown>,
    ) -> Result<(), LinkError> {
        greet.notified().await;
        let mut there: BTreeMap<String, String> = BTreeMap::new();
        loop {
            let mut told = Shown::default();
            loop {
                let now = shown.borrow_and_update().clone();
                if told.entities != now.entities {
                    let mut next = BTreeMap::new();
                    for entity in now.entities.iter() {
                        let topic = entity.discovery_topic(&self.discovery, &self.node());
                        let config = entity.discovery(self).to_string();
                        if told.entities.is_empty() || there.get(&topic) != Some(&config) {
                            self.send(client, topic.clone(), config.clone()).await?;
                        }
                        next.insert(topic, config);
                    }
                    for topic in there.keys().filter(|topic| !next.contains_key(*topic)) {
                        self.send(client, topic.clone(), String::new()).await?;
                    }
                    there = next;
                    self.send(client, self.availability(), "online".into()).await?;
                }
                for (id, state) in &now.states {
                    if told.states.get(id) != Some(state) {
                        let topic = format!("{}/{id}/state", self.base);
                        self.send(client, topic, state.message()).await?;
                    }
                }
                told = now;
                tokio::select! {
                    () = greet.notified() => break,
                    changed = shown.changed() => if changed.is_err() {
                        // Nobody will tell anything new; what is shown stays.
                        greet.notified().await;
                        break;
                    }
                }
            }
        }
    }

    async fn listen(
        &self,
        hub: &Hub,
        mut events: EventLoop,
        client: &AsyncClient,
        greet: &Notify,
        shown: &watch::Receiver<Shown>,
        commands: &mpsc::Sender<Command>,
    ) -> Result<(), LinkError> {
        let birth = format!("{}/status", self.discovery);
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                    let ours = [format!("{}/+/set", self.base), format!("{}/+/+/set", self.base)];
                    let filters = ours
                        .into_iter()
                        .chain([birth.clone()])
                        .map(|topic| SubscribeFilter::new(topic, QoS::AtLeastOnce));
                    client
                        .try_subscribe_many(filters)
                        .map_err(|error| LinkError(format!("{}: {error}", self.name)))?;
                    hub.up(&self.name);
                    greet.notify_one();
                }
                Ok(Event::Incoming(Incoming::Publish(message))) => {
                    if message.topic == birth {
                        if message.payload.as_ref() == b"online" {
                            greet.notify_one();
                        }
                    } else {
                        let entities = shown.borrow().entities.clone();
                        self.take(hub, &entities, &message, commands);
                    }
                }
                Ok(_) => {}
                Err(error) => return Err(self.address.lost(&error)),
            }
        }
    }

    fn take(
        &self,
        hub: &Hub,
        entities: &[Entity],
        message: &Publish,
        commands: &mpsc::Sender<Command>,
    ) {
        let refuse = |sentence: String| hub.refuse(&self.name, sentence.into());
        if message.retain {
            return refuse("a command that the broker kept is of unknown age".into());
        }
        match self.command(entities, &message.topic, &message.payload) {
            Ok(command) => {
                hub.up(&self.name);
                if commands.try_send(command).is_err() {
                    refuse(format!("{MOST_COMMANDS} commands wait already"));
                }
            }
            Err(BadSetting(sentence)) => refuse(sentence),
        }
    }

    /// What a message on one of our command topics wants.
    pub fn command(
        &self,
        entities: &[Entity],
        topic: &str,
        message: &[u8],
    ) -> Result<Command, BadSetting> {
        let of = |topic: &str| BadSetting(format!("`{topic}` is no command of an entity"));
        let path = topic
            .strip_prefix(self.base.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.strip_suffix("/set"))
            .ok_or_else(|| of(topic))?;
        let (id, part) = path.split_once('/').unwrap_or((path, ""));
        let entity = entities.iter().find(|entity| &*entity.id == id).ok_or_else(|| of(topic))?;
        let text = std::str::from_utf8(&message[..message.len().min(LONGEST)])
            .map_err(|_| BadSetting(format!("{id}: the command is not UTF-8")))?
            .trim();
        let want = entity.want(part, text)?;
        Ok(Command { entity: entity.id.clone(), want })
    }

    async fn send(
        &self,
        client: &AsyncClient,
        topic: String,
        message: String,
    ) -> Result<(), LinkError> {
        let sent = client.publish(topic, QoS::AtLeastOnce, true, message).await;
        sent.map_err(|error| LinkError(format!("{}: {error}", self.name)))
    }

    fn availability(&self) -> String {
        format!("{}/availability", self.base)
    }

    /// Our base as one word of a discovery topic.
    fn node(&self) -> String {
        self.base.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_")
    }
}

impl Mode {
    fn climate(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Heat => "heat",
            Self::Auto => "auto",
        }
    }

    /// Water heaters have words of their own.
    fn water(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Heat => "performance",
            Self::Auto => "eco",
        }
    }
}

impl State {
    /// As it is published; both words for the mode, each for its kind of card.
    fn message(&self) -> String {
        match self {
            Self::Heater { current, target, mode, action } => json!({
                "current_c": current.map(Celsius::get),
                "target_c": target.map(Celsius::get),
                "mode": mode.map(Mode::climate),
                "operation": mode.map(Mode::water),
                "action": action.map(|action| match action {
                    Action::Off => "off",
                    Action::Heating => "heating",
                    Action::Idle => "idle",
                }),
            }),
            Self::Number(value) => json!({ "value": value }),
            Self::Switch(on) => json!({ "value": on.map(|on| if on { "ON" } else { "OFF" }) }),
        }
        .to_string()
    }
}
