//! What an MQTT broker's topics tell: numbers, prices, an aggregator's commands, signs of life. It
//! never sends more than the keep-alive that some brokers ask for.

use crate::{
    BadSetting, Hub, LinkError, Quality, Signal,
    command::Inbox,
    link::keep,
    number::{self, Field},
    price::Format,
};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, QoS, SubscribeFilter,
};
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

/// A broker and what is read there.
#[derive(Debug, Clone, PartialEq)]
pub struct Broker {
    /// Its name on the status page.
    pub name: Arc<str>,
    /// How it is reached.
    pub address: Address,
    /// What is read.
    pub topics: Vec<Topic>,
    /// What must be sent for the values to keep coming.
    pub keep_alive: Option<KeepAlive>,
    /// [`Quality::Synthetic`] for what a twin makes up.
    pub quality: Quality,
}

/// How a broker is reached. TCP without TLS: keep the broker on the same machine or network.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// Usually 1883.
    pub port: u16,
    /// User name and password.
    pub login: Option<(String, String)>,
}

/// A topic and what it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// The exact topic; no wildcards.
    pub topic: String,
    /// What its messages are.
    pub take: Use,
}

/// What the messages of a topic are.
#[derive(Debug, Clone, PartialEq)]
pub enum Use {
    /// One number.
    Number(Signal, Field),
    /// A series of prices.
    Prices(Format),
    /// An aggregator's commands ([`crate::command`]).
    SetPoint,
    /// Any message is a sign of life.
    Alive,
}

/// A message sent again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepAlive {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: String,
    /// How often.
    pub every: Duration,
}

/// What the broker kept is of unknown age: signals that may be no older than this do not take it.
const OLDEST_RETAINED: Duration = Duration::from_secs(60);

impl fmt::Debug for Address {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mqtt://{}:{}", self.host, self.port)
    }
}

impl Address {
    pub(crate) fn options(&self, name: &str) -> MqttOptions {
        // A name of its own, else two programs push each other off the broker.
        let id = format!("hearth-{name}-{:08x}", rand::random::<u32>());
        let mut options = MqttOptions::new(id, &self.host, self.port);
        options.set_keep_alive(Duration::from_secs(15));
        options.set_max_packet_size(number::LONGEST, number::LONGEST);
        if let Some((user, password)) = &self.login {
            options.set_credentials(user, password);
        }
        options
    }

    /// What to say when the link is gone.
    pub(crate) fn lost(&self, error: &ConnectionError) -> LinkError {
        LinkError(format!(
            "the broker at {self:?} is not reached or hung up: {error}; check that it runs and lets \
             this user in"
        ))
    }
}

impl Broker {
    /// Refuses an empty list, wildcards, and a keep-alive that floods.
    pub fn validate(&self) -> Result<(), BadSetting> {
        let name = &self.name;
        BadSetting::unless((1..=1000).contains(&self.topics.len()), || {
            format!("{name} has {} topics: write 1 to 1000", self.topics.len())
        })?;
        for Topic { topic, .. } in &self.topics {
            valid_topic(topic)?;
        }
        let Some(keep) = &self.keep_alive else { return Ok(()) };
        valid_topic(&keep.topic)?;
        BadSetting::unless(keep.every >= Duration::from_secs(1), || {
            format!(
                "{name}: a keep-alive every {:?} floods the broker: write 1 s or more",
                keep.every
            )
        })
    }

    /// Listens for ever and publishes into the hub. Commands go through `inbox`, so that one sent over
    /// two links counts once.
    pub async fn run(self, hub: Hub, inbox: Inbox) {
        let broker = Arc::new(self);
        let mut uses: HashMap<&str, Vec<&Use>> = HashMap::new();
        for topic in &broker.topics {
            uses.entry(topic.topic.as_str()).or_default().push(&topic.take);
        }
        keep(hub.clone(), broker.name.clone(), || broker.session(&hub, &inbox, &uses)).await;
    }

    async fn session(
        &self,
        hub: &Hub,
        inbox: &Inbox,
        uses: &HashMap<&str, Vec<&Use>>,
    ) -> Result<(), LinkError> {
        let (client, events) = AsyncClient::new(self.address.options(&self.name), 16);
        tokio::select! {
            end = self.listen(hub, inbox, uses, events, &client) => end,
            end = self.keep_alive(&client) => end,
        }
    }

    async fn keep_alive(&self, client: &AsyncClient) -> Result<(), LinkError> {
        let Some(keep) = &self.keep_alive else { return std::future::pending().await };
        let mut tick = tokio::time::interval(keep.every);
        loop {
            tick.tick().await;
            let sent = client.publish(&keep.topic, QoS::AtMostOnce, false, keep.payload.clone());
            sent.await.map_err(|error| LinkError(format!("{}: {error}", self.name)))?;
        }
    }

    async fn listen(
        &self,
        hub: &Hub,
        inbox: &Inbox,
        uses: &HashMap<&str, Vec<&Use>>,
        mut events: EventLoop,
        client: &AsyncClient,
    ) -> Result<(), LinkError> {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                    let filters = uses
                        .keys()
                        .map(|topic| SubscribeFilter::new((*topic).to_owned(), QoS::AtLeastOnce));
                    client
                        .try_subscribe_many(filters)
                        .map_err(|error| LinkError(format!("{}: {error}", self.name)))?;
                }
                Ok(Event::Incoming(Incoming::Publish(message))) => {
                    for take in uses.get(message.topic.as_str()).into_iter().flatten() {
                        self.take(take, &message.payload, message.retain, hub, inbox);
                    }
                }
                Ok(_) => {}
                Err(error) => return Err(self.address.lost(&error)),
            }
        }
    }

    fn take(&self, take: &Use, message: &[u8], retained: bool, hub: &Hub, inbox: &Inbox) {
        let limit = match take {
            Use::Number(signal, _) => signal.age_limit(),
            Use::Prices(_) => Signal::Prices.age_limit(),
            Use::SetPoint | Use::Alive => Duration::ZERO,
        };
        if retained && limit <= OLDEST_RETAINED {
            return hub.refuse(&self.name, "what the broker kept is of unknown age".into());
        }
        let done = match take {
            Use::Number(signal, field) => field.read(message).map(|value| {
                hub.tell(&self.name, self.quality, signal, value);
            }),
            Use::Prices(format) => format.read(message).map(|prices| {
                hub.tell_prices(&self.name, self.quality, prices);
            }),
            Use::SetPoint => inbox.accept(hub, &self.name, message).map(drop),
            Use::Alive => {
                hub.tell_alive(&self.name);
                Ok(())
            }
        };
        if let Err(BadSetting(sentence)) = done {
            hub.refuse(&self.name, sentence.into());
        }
    }
}

/// Refuses wildcards and what no topic can be.
pub(crate) fn valid_topic(topic: &str) -> Result<(), BadSetting> {
    let good = (1..=1024).contains(&topic.len()) && !topic.contains(['#', '+', '\0']);
    BadSetting::unless(good, || {
        format!("`{topic}` is not one MQTT topic: write it whole, without # or +")
    })
}
