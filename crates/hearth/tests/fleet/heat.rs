//! A heated room offers its aggregator what it can do without, and does as it is told within its comfort.

use super::{
    broker::mosquitto,
    site::{Farm, Hearth},
};
use api::{Status, energy::Offer};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::Value;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use twin::node::{NodeOptions, PrivateNetwork, PrivateNode};

const FIRST: &str = "127.0.91.1";
/// Everything else in the house, W.
const OTHERS: f64 = 300.0;

/// More than a machine that waits draws, or is taken to draw, W.
const IDLE: f64 = 200.0;

/// What the house's meters say, and what the aggregator hears.
#[derive(Default)]
struct House {
    /// °C times ten.
    room: AtomicU64,
    machines: AtomicU64,
    report: Mutex<Option<Value>>,
    sequence: AtomicU64,
}

impl House {
    async fn live(self: Arc<Self>, client: AsyncClient, mut events: rumqttc::EventLoop) {
        client.subscribe("test/homes/+/report", QoS::AtMostOnce).await.unwrap();
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let net = OTHERS + self.machines.load(Ordering::Relaxed) as f64;
                    let room = self.room.load(Ordering::Relaxed) as f64 / 10.0;
                    for (topic, value) in [("net", net), ("room", room), ("outdoor", 5.0)] {
                        let topic = format!("house/{topic}");
                        let sent = client.try_publish(topic, QoS::AtMostOnce, false, value.to_string());
                        sent.unwrap();
                    }
                }
                event = events.poll() => if let Event::Incoming(Packet::Publish(said)) = event.unwrap() {
                    let report = serde_json::from_slice(&said.payload).unwrap();
                    *self.report.lock().unwrap() = Some(report);
                }
            }
        }
    }

    fn says(&self, what: &str) -> Option<f64> {
        self.report.lock().unwrap().as_ref()?.get(what)?.as_f64()
    }
}

fn drawn(status: &Status) -> f64 {
    let fleet = status.fleet.as_ref();
    fleet.into_iter().flat_map(|fleet| &fleet.devices).filter_map(|one| one.power_w).sum()
}

fn offer(status: &Status) -> Option<&Offer> {
    status.energy.as_ref()?.offer.as_ref()
}

#[test]
fn a_room_offers_its_aggregator_heat_for_as_long_as_it_stays_warm_and_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let (_broker, address) = mosquitto(folder.path());
    let node = PrivateNode::start(NodeOptions::new(PrivateNetwork::Signet)).unwrap();
    let said = "[fleet]\nscan = [\"127.0.91.0/29\"]\nread_every = \"1s\"\n";
    let mut hearth = Hearth::start(&node, said);
    let _farm = Farm::start(&hearth, FIRST, "luxos-s19kpro:1", "60");
    let found = hearth.until("the machine", |status| drawn(status) > 2000.0);
    let id = found.fleet.unwrap().devices[0].id.clone();

    let port = address.port;
    let house = Arc::new(House::default());
    house.room.store(180, Ordering::Relaxed);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (client, events) =
        AsyncClient::new(MqttOptions::new("house and aggregator", "127.0.0.1", port), 100);
    runtime.spawn(house.clone().live(client.clone(), events));
    let topic = |name: &str, signal: &str| {
        format!("[[energy.mqtt.topic]]\ntopic = \"house/{name}\"\nsignal = \"{signal}\"\n")
    };
    hearth.configure(&format!(
        "{said}[energy]\nenabled = true\nsite = \"home-1\"\n\
         [[energy.heat]]\nname = \"room\"\ntemperature = \"room\"\nset = \"21 C\"\nflexible_k = 3\n\
         min_on = \"0s\"\nmin_off = \"0s\"\nstarts_per_day = 1000\nmachines = [\"{id}\"]\n\
         [energy.aggregator]\nserver = \"127.0.0.1:{port}\"\nbase = \"test/homes\"\nevery = \"1s\"\n\
         [[energy.mqtt]]\nname = \"house\"\nserver = \"127.0.0.1:{port}\"\n{}{}{}",
        topic("net", "net power"),
        topic("room", "temperature of room"),
        topic("outdoor", "temperature of outdoor"),
    ));
    let until = |what: &str, is_so: &dyn Fn(&Status) -> bool| {
        hearth.until(what, |status| {
            house.machines.store(drawn(status) as u64, Ordering::Relaxed);
            is_so(status)
        })
    };
    // At the end of its comfort a room has nothing to offer, and an order is not for it.
    until("nothing offered downwards", &|status| {
        let own = |offer: &Offer| offer.lowest_s.is_none() && offer.lowest_w > OTHERS + 1000.0;
        drawn(status) > 1000.0 && offer(status).is_some_and(own) && house.says("own_w").is_some()
    });
    let tell = |power: f64| {
        let sequence = house.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let command = format!("{{\"sequence\":{sequence},\"power_w\":{power},\"valid_s\":600}}");
        let sent = client.publish("test/homes/home-1/command", QoS::AtLeastOnce, false, command);
        runtime.block_on(sent).unwrap();
    };
    let by_aggregator =
        |status: &Status| status.energy.as_ref().is_some_and(|energy| energy.mode == "aggregator");
    tell(OTHERS);
    until("the aggregator's word", &by_aggregator);
    // Longer than a command to a machine takes.
    std::thread::sleep(Duration::from_secs(8));
    let still = until("the status", &|_| true);
    assert!(by_aggregator(&still) && drawn(&still) > 1000.0, "heat in spite of it: {still:?}");

    // Warmer: 2 K may go, of which 1.5 K may go by itself: 0.4 K of 6 kWh/K, at 3.3 kW.
    house.room.store(200, Ordering::Relaxed);
    let off = until("the machine off, as told", &|status| drawn(status) < 200.0);
    assert!(by_aggregator(&off));
    let shown = until("what it can do without, and for how long", &|status| {
        offer(status).is_some_and(|offer| (offer.lowest_w - OTHERS).abs() < IDLE)
    });
    let shown = offer(&shown).unwrap().clone();
    assert!((1200..3600).contains(&shown.lowest_s.unwrap()), "{shown:?}");
    assert!(shown.own_w > OTHERS + 1000.0, "left alone it would heat: {shown:?}");
    until("the same in a report", &|_| {
        let lasts = house.says("lowest_s").is_some_and(|lasts| (1200.0..3600.0).contains(&lasts));
        lasts && house.says("lowest_w").is_some_and(|watts| (watts - OTHERS).abs() < IDLE)
    });
}
