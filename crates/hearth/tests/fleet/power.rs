//! Decisions on power reach machines: under a breaker, by a contact, and after both.

use super::{
    broker::mosquitto,
    site::{Farm, Hearth},
};
use api::{Status, fleet::Device};
use rumqttc::{AsyncClient, MqttOptions, QoS};
use std::time::Duration;
use twin::node::{NodeOptions, PrivateNetwork, PrivateNode};

const FIRST: &str = "127.0.90.1";
/// Two machines of 2.8 kW want more than it carries.
const BREAKER: f64 = 4000.0;

fn machines(status: &Status) -> Vec<&Device> {
    let fleet = status.fleet.as_ref();
    let all = fleet.into_iter().flat_map(|fleet| &fleet.devices);
    all.filter(|device| device.circuit.as_deref() == Some("garage")).collect()
}

fn drawn(status: &Status) -> Option<f64> {
    machines(status).iter().map(|device| device.power_w).sum()
}

#[test]
fn machines_share_a_breaker_and_one_stops_while_its_contact_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let (_broker, address) = mosquitto(folder.path());
    let node = PrivateNode::start(NodeOptions::new(PrivateNetwork::Signet)).unwrap();
    let said = format!(
        "[fleet]\nscan = [\"127.0.90.0/29\"]\nread_every = \"1s\"\n\
         [[fleet.circuit]]\nname = \"garage\"\nlimit = \"{BREAKER} W\"\n\
         [[fleet.device]]\nip = \"127.0.90.1\"\ncircuit = \"garage\"\n\
         [[fleet.device]]\nip = \"127.0.90.2\"\ncircuit = \"garage\"\n",
    );
    let mut hearth = Hearth::start(&node, &said);
    let _farm = Farm::start(&hearth, FIRST, "luxos-s19kpro:2", "60");
    let found = hearth.until("both machines", |status| {
        let all = machines(status);
        all.len() == 2 && all.iter().all(|one| one.power_w.is_some_and(|power| power > 2000.0))
    });
    // As they come they ask for more than the breaker carries.
    assert!(drawn(&found).unwrap() > BREAKER, "{found:?}");
    let charged = machines(&found)[0].id.clone();

    let port = address.port;
    hearth.configure(&format!(
        "{said}[energy]\nenabled = true\n\
         [[energy.enable]]\ncontact = \"ev charged\"\nmachines = [\"{charged}\"]\n\
         [[energy.mqtt]]\nname = \"car\"\nserver = \"127.0.0.1:{port}\"\n\
         [[energy.mqtt.topic]]\ntopic = \"car/charged\"\nsignal = \"contact ev charged\"\n",
    ));
    let own = |status: &Status, id: &str| {
        let device = machines(status).into_iter().find(|one| one.id == id)?;
        device.power_w
    };
    let off = |status: &Status| own(status, &charged).is_some_and(|power| power < 200.0);
    // A contact of which nothing is known is open.
    hearth.until("the charger's machine off", off);
    hearth.until("the other at work", |status| drawn(status).is_some_and(|sum| sum > 2000.0));

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let say = |closed: &'static str| {
        runtime.block_on(async {
            let options = MqttOptions::new("car", "127.0.0.1", port);
            let (client, mut events) = AsyncClient::new(options, 4);
            client.publish("car/charged", QoS::AtLeastOnce, false, closed).await.unwrap();
            let heard = async {
                loop {
                    let event = events.poll().await.unwrap();
                    if matches!(event, rumqttc::Event::Incoming(rumqttc::Packet::PubAck(_))) {
                        break;
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap();
        });
    };
    say("1");
    let shared = hearth.until("both at work within the breaker", |status| {
        let both = machines(status).iter().all(|one| one.power_w.is_some_and(|w| w > 900.0));
        let fleet = status.fleet.as_ref().unwrap();
        both && drawn(status).is_some_and(|sum| sum > 0.85 * BREAKER && sum <= BREAKER)
            && fleet.commands.verified > 0
    });
    say("0");
    hearth.until("the charger's machine off again", off);
    let after = hearth.until("the other one with all that the breaker has for it", |status| {
        drawn(status).zip(own(status, &charged)).is_some_and(|(sum, own)| sum - own > 2500.0)
    });
    assert!(drawn(&after).unwrap() <= BREAKER, "{shared:?} {after:?}");
}
