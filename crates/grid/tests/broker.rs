//! MQTT against a real mosquitto on this machine (Debian package `mosquitto`).
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

use hearth_grid::{
    Hub, Link, Quality, Signal,
    command::Inbox,
    homeassistant::{
        Action, Command, Device, Entity, Kind, MOST_COMMANDS, Mode, Shown, Site, State, States,
        Want,
    },
    mqtt::{Address, Broker, KeepAlive, Topic, Use},
    number::{Field, Path},
    victron::Portal,
};
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    process::{Child, Command as Process, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use units::Celsius;

/// A broker for one test; it ends with it.
struct Mosquitto {
    port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Mosquitto {
    fn start(port: Option<u16>) -> Self {
        let free =
            || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = port.unwrap_or_else(free);
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("mosquitto.conf");
        let lines = format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n");
        std::fs::write(&config, lines).unwrap();
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let child = Process::new("mosquitto")
            .env("PATH", path)
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto is missing: apt-get install mosquitto");
        Self { port, child, _folder: folder }
    }

    fn address(&self) -> Address {
        Address { host: "127.0.0.1".into(), port: self.port, login: None }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Somebody else at the broker: sends, and keeps the last message of each topic with its retain flag.
struct Peer {
    client: AsyncClient,
    heard: Arc<Mutex<BTreeMap<String, (String, bool)>>>,
}

impl Peer {
    async fn connect(port: u16) -> Self {
        let id = format!("peer-{:08x}", rand::random::<u32>());
        let (client, mut events) = AsyncClient::new(MqttOptions::new(id, "127.0.0.1", port), 100);
        client.try_subscribe("#", QoS::AtLeastOnce).unwrap();
        let heard: Arc<Mutex<BTreeMap<String, (String, bool)>>> = Arc::default();
        let (kept, (ready, is_ready)) = (heard.clone(), tokio::sync::oneshot::channel());
        tokio::spawn(async move {
            let mut ready = Some(ready);
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Incoming::SubAck(_))) => {
                        ready.take().map(|ready| ready.send(()));
                    }
                    Ok(Event::Incoming(Incoming::Publish(message))) => {
                        let text = String::from_utf8_lossy(&message.payload).into_owned();
                        kept.lock().unwrap().insert(message.topic, (text, message.retain));
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        is_ready.await.unwrap();
        Self { client, heard }
    }

    async fn send(&self, topic: &str, text: &str, retain: bool) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, text).await.unwrap();
    }

    fn last(&self, topic: &str) -> Option<String> {
        self.heard.lock().unwrap().get(topic).map(|(text, _)| text.clone())
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn broker(address: Address) -> Broker {
    let topic = |topic: &str, take: Use| Topic { topic: topic.into(), take };
    let number = |path: Option<&str>, scale: f64| Field {
        path: path.map(Path::new),
        scale,
        ..Field::default()
    };
    let portal = Portal::new("c0619ab12345").unwrap();
    let mut topics = portal.system().unwrap();
    topics.extend([
        topic("meter/power", Use::Number(Signal::NetPower, number(Some("power"), -1000.0))),
        topic("car/plugged", Use::Number(Signal::Contact("ev plugged".into()), number(None, 1.0))),
        topic("room", Use::Number(Signal::Temperature("room".into()), number(None, 1.0))),
        topic("aggregator", Use::SetPoint),
        topic("watchdog", Use::Alive),
    ]);
    let keep_alive: Option<KeepAlive> = Some(portal.keep_alive());
    Broker { name: "broker".into(), address, topics, keep_alive, quality: Quality::Measured }
}

#[tokio::test]
async fn topics_tell_numbers_commands_and_signs_of_life_and_the_broker_may_die() {
    let mosquitto = Mosquitto::start(None);
    let port = mosquitto.port;
    let peer = Peer::connect(port).await;
    // What was there before is of unknown age.
    peer.send("watchdog", "old", true).await;
    peer.send("meter/power", r#"{"power": 9}"#, true).await;
    peer.send("room", "20.5", true).await;
    let hub = Hub::new(Instant::now());
    let ours = broker(mosquitto.address());
    ours.validate().unwrap();
    tokio::spawn(ours.run(hub.clone(), Inbox::default()));
    until("a retained temperature", || hub.snapshot().temperatures.contains_key("room")).await;
    until("Victron's keep-alive", || peer.last("R/c0619ab12345/keepalive").is_some()).await;
    until("refusals", || hub.health()["broker"].refused == 2).await;
    assert!(hub.snapshot().alive.is_none() && hub.snapshot().net_power.is_none());

    peer.send("meter/power", r#"{"power": 2.5}"#, false).await;
    peer.send("meter/power", r#"{"power": "broken"}"#, false).await;
    peer.send("car/plugged", "ON", false).await;
    peer.send("watchdog", "", false).await;
    peer.send("aggregator", r#"{"sequence":7,"power_w":-5e5,"valid_s":60}"#, false).await;
    peer.send("aggregator", r#"{"sequence":7,"power_w":1,"valid_s":60}"#, false).await;
    peer.send("N/c0619ab12345/system/0/Dc/Battery/Soc", r#"{"value": 71.5}"#, false).await;
    until("all of it", || {
        let now = hub.snapshot();
        now.alive.is_some() && now.set_point.is_some() && now.battery_charge.is_some()
    })
    .await;
    let now = hub.snapshot();
    assert_eq!(now.net_power.unwrap().reading.value.get(), -2500.0);
    assert!(now.contacts["ev plugged"].reading.value);
    assert_eq!(now.set_point.unwrap().reading.value.wanted(hub.now()).unwrap().get(), -5e5);
    assert_eq!(now.battery_charge.unwrap().reading.value.as_percent(), 71.5);
    assert_eq!(hub.health()["broker"].refused, 4);

    drop(mosquitto);
    let down = || matches!(&hub.health()["broker"].link, Link::Down(_));
    until("the broker's death", down).await;
    let _again = Mosquitto::start(Some(port));
    let peer = Peer::connect(port).await;
    until("our return", || {
        peer.client.try_publish("meter/power", QoS::AtMostOnce, false, r#"{"power": 1}"#).ok();
        hub.health()["broker"].link == Link::Up
    })
    .await;
}

fn site(address: Address) -> Site {
    Site {
        name: "home assistant".into(),
        address,
        discovery: "homeassistant".into(),
        base: "hearth/home".into(),
    }
}

fn entity(id: &str, kind: Kind) -> Entity {
    let device = Device { id: "h1".into(), name: "Heater".into(), model: None, via: None };
    Entity { id: id.into(), name: id.into(), device, kind }
}

#[tokio::test]
async fn home_assistant_finds_the_site_commands_it_and_sees_it_go() {
    let mosquitto = Mosquitto::start(None);
    let hub = Hub::new(Instant::now());
    let heater = |target: f64| State::Heater {
        current: Some(Celsius::new(19.5).unwrap()),
        target: Some(Celsius::new(target).unwrap()),
        mode: Some(Mode::Auto),
        action: Some(Action::Heating),
    };
    let states =
        States::from([("room".into(), heater(21.0)), ("mining".into(), State::Switch(None))]);
    let celsius = |degrees| Celsius::new(degrees).unwrap();
    let room = entity("room", Kind::Climate { min: celsius(5.0), max: celsius(25.0) });
    let entities = Arc::new([room, entity("mining", Kind::Switch)]);
    let (states, shown) = watch::channel(Shown { entities, states });
    let (send, mut commands) = mpsc::channel(MOST_COMMANDS);
    let ours = site(mosquitto.address());
    ours.validate().unwrap();
    let running = tokio::spawn(ours.run(hub.clone(), shown, send));

    let peer = Peer::connect(mosquitto.port).await;
    let config = "homeassistant/climate/hearth_home/room/config";
    until("discovery", || peer.last(config).is_some()).await;
    let config: Value = serde_json::from_str(&peer.last(config).unwrap()).unwrap();
    assert_eq!(config["temperature_command_topic"], "hearth/home/room/target/set");
    until("a state", || peer.last("hearth/home/mining/state").is_some()).await;
    let state: Value = serde_json::from_str(&peer.last("hearth/home/room/state").unwrap()).unwrap();
    assert_eq!((&state["target_c"], &state["mode"]), (&21.0.into(), &"auto".into()));
    assert_eq!(peer.last("hearth/home/mining/state").unwrap(), r#"{"value":null}"#);
    assert_eq!(peer.last("hearth/home/availability").unwrap(), "online");

    peer.send("hearth/home/room/target/set", "99", false).await;
    peer.send("hearth/home/room/target/set", "22.5", false).await;
    let wanted = Want::Target(Celsius::new(22.5).unwrap());
    assert_eq!(commands.recv().await, Some(Command { entity: "room".into(), want: wanted }));
    states.send_modify(|all| {
        all.states.insert("room".into(), heater(22.5));
    });
    until("the new target", || {
        peer.last("hearth/home/room/state").is_some_and(|text| text.contains("22.5"))
    })
    .await;

    // Home Assistant restarts: it says so, and is told everything again.
    peer.heard.lock().unwrap().clear();
    peer.send("homeassistant/status", "online", false).await;
    until("discovery again", || {
        peer.last("homeassistant/switch/hearth_home/mining/config").is_some()
            && peer.last("hearth/home/room/state").is_some()
    })
    .await;

    // A machine comes, and goes for good.
    let machine = "homeassistant/switch/hearth_home/s21/config";
    let both = states.borrow().entities.clone();
    let three: Vec<_> = both.iter().cloned().chain([entity("s21", Kind::Switch)]).collect();
    states.send_modify(|all| all.entities = three.into());
    until("the machine", || peer.last(machine).is_some_and(|text| text.contains("unique_id")))
        .await;
    states.send_modify(|all| all.entities = both);
    until("the machine's end", || peer.last(machine).is_some_and(|text| text.is_empty())).await;
    peer.heard.lock().unwrap().remove(machine);

    // A newcomer finds all of it kept; and when we die, that as well.
    let newcomer = Peer::connect(mosquitto.port).await;
    until("what was kept", || newcomer.last("hearth/home/room/state").is_some()).await;
    assert!(newcomer.heard.lock().unwrap().values().all(|(_, retained)| *retained));
    running.abort();
    until("the last will", || peer.last("hearth/home/availability").as_deref() == Some("offline"))
        .await;
}
