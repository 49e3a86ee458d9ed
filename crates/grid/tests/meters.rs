//! Modbus TCP and SunSpec against real servers on this machine.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use hearth_grid::{
    Hub, Link, Quality, Signal, modbus,
    number::Field,
    register::{Kind, Register, Table},
    sunspec::{self, Role},
};
use std::{net::SocketAddr, time::Duration};
use tokio::time::Instant;
use twin::energy::{Meter, Shown, registers};
use units::{Celsius, Hertz, NetWatts};

async fn meter() -> Meter {
    let meter = Meter::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let watts = |watts| NetWatts::new(watts).unwrap();
    meter.show(Shown {
        phases: [watts(1500.0), watts(-40_250.0), watts(20.0)],
        frequency: Some(Hertz::new(59.98).unwrap()),
        room: Some(Celsius::new(-3.25).unwrap()),
        ..Shown::default()
    });
    meter
}

fn device(at: SocketAddr, registers: Vec<Register>) -> modbus::Device {
    modbus::Device {
        name: "meter".into(),
        host: at.ip().to_string(),
        port: at.port(),
        unit: 1,
        every: Duration::from_millis(20),
        timeout: Duration::from_millis(300),
        registers,
        quality: Quality::Synthetic,
    }
}

fn register(signal: Signal, address: u16, kind: Kind, scale: f64) -> Register {
    let field = Field { scale, ..Field::default() };
    let unknown = Some(if kind == Kind::I16 { 0x8000 } else { 0x8000_0000 });
    Register { field, unknown, ..Register::new(signal, Table::Holding, address, kind) }
}

async fn until(hub: &Hub, what: &str, mut holds: impl FnMut(&Hub) -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds(hub) {
        assert!(Instant::now() < end, "{what}: {:?} {:?}", hub.snapshot(), hub.health());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_register_map_reads_a_meter_and_what_it_does_not_know_stays_unknown() {
    let meter = meter().await;
    let hub = Hub::new(Instant::now());
    let map = vec![
        register(Signal::NetPower, registers::NET, Kind::I32, 1.0),
        register(Signal::Frequency, registers::FREQUENCY, Kind::U32, 1e-3),
        register(Signal::Pv, registers::PV, Kind::I32, 1.0),
        register(Signal::Temperature("room".into()), registers::ROOM, Kind::I16, 0.01),
    ];
    let device = device(meter.address(), map);
    device.validate().unwrap();
    tokio::spawn(device.run(hub.clone()));
    until(&hub, "a reading", |hub| hub.snapshot().net_power.is_some()).await;
    let signals = hub.snapshot();
    let net = signals.net_power.unwrap();
    assert_eq!((net.reading.value.get(), net.quality), (-38_730.0, Quality::Synthetic));
    assert!((signals.frequency.unwrap().reading.value.get() - 59.98).abs() < 1e-9);
    assert_eq!(signals.temperatures["room"].reading.value.get(), -3.25);
    assert!(signals.pv.is_none());
}

#[tokio::test]
async fn a_silent_meter_grows_old_and_comes_back() {
    let meter = meter().await;
    let hub = Hub::new(Instant::now());
    let map = vec![register(Signal::NetPower, registers::NET, Kind::I32, -1.0)];
    tokio::spawn(device(meter.address(), map).run(hub.clone()));
    until(&hub, "a reading", |hub| hub.snapshot().net_power.is_some()).await;
    assert_eq!(hub.snapshot().net_power.unwrap().reading.value.get(), 38_730.0);
    meter.silence(true);
    let down = |hub: &Hub| matches!(&hub.health()["meter"].link, Link::Down(_));
    until(&hub, "silence", down).await;
    let frozen = hub.snapshot();
    let Link::Down(sentence) = hub.health()["meter"].link.clone() else { panic!() };
    assert!(sentence.contains("no answer within 0.3 s"), "{sentence}");
    assert_eq!(hub.snapshot(), frozen);
    meter.silence(false);
    until(&hub, "its return", |hub| hub.health()["meter"].link == Link::Up).await;
    assert!(hub.snapshot().net_power.unwrap().reading.at > frozen.net_power.unwrap().reading.at);
}

#[tokio::test]
async fn a_sunspec_meter_describes_itself_and_its_sign_can_be_turned() {
    let meter = meter().await;
    for invert in [false, true] {
        let hub = Hub::new(Instant::now());
        let device = sunspec::Device {
            name: "sunspec".into(),
            host: "127.0.0.1".into(),
            port: meter.address().port(),
            unit: 1,
            role: Role::Meter,
            invert,
            every: Duration::from_millis(50),
            timeout: Duration::from_millis(500),
            quality: Quality::Synthetic,
        };
        device.validate().unwrap();
        tokio::spawn(device.run(hub.clone()));
        until(&hub, "a reading", |hub| hub.snapshot().net_power.is_some()).await;
        let signals = hub.snapshot();
        let sign = if invert { -1.0 } else { 1.0 };
        // Model 203 has 16 bits: tens of watts here.
        assert_eq!(signals.net_power.unwrap().reading.value.get(), -38_730.0 * sign);
        assert_eq!(signals.phases[0].as_ref().unwrap().reading.value.get(), 1500.0 * sign);
        assert!((signals.frequency.unwrap().reading.value.get() - 59.98).abs() < 1e-9);
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_said_in_a_sentence() {
    let hub = Hub::new(Instant::now());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let map = vec![register(Signal::NetPower, registers::NET, Kind::I32, 1.0)];
    tokio::spawn(device(free, map).run(hub.clone()));
    until(&hub, "the failure", |hub| {
        matches!(&hub.health().get("meter").map(|h| h.link.clone()), Some(Link::Down(_)))
    })
    .await;
    let Link::Down(sentence) = hub.health()["meter"].link.clone() else { panic!() };
    assert!(sentence.contains("check its address"), "{sentence}");
    assert!(hub.snapshot().net_power.is_none());
}

/// `PYTHON` names an interpreter with pymodbus in it; else `python3`.
#[tokio::test]
#[ignore = "needs Python with pymodbus"]
async fn a_server_of_others_is_read_the_same() {
    use hearth_grid::register::WordOrder;
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pymodbus_peer.py");
    let mut peer = Command::new(python).arg(script).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(peer.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let at = SocketAddr::from(([127, 0, 0, 1], port.trim().parse().unwrap()));
    let hub = Hub::new(Instant::now());
    let map = vec![
        register(Signal::Frequency, 0, Kind::F32, 1.0),
        Register { order: WordOrder::LowFirst, ..register(Signal::NetPower, 2, Kind::I32, 1.0) },
        register(Signal::Temperature("room".into()), 4, Kind::I16, 0.01),
    ];
    tokio::spawn(device(at, map).run(hub.clone()));
    until(&hub, "a reading", |hub| hub.snapshot().net_power.is_some()).await;
    peer.kill().unwrap();
    peer.wait().unwrap();
    let signals = hub.snapshot();
    assert_eq!(signals.net_power.unwrap().reading.value.get(), -38_730.0);
    assert!((signals.frequency.unwrap().reading.value.get() - 49.985).abs() < 1e-5);
    assert_eq!(signals.temperatures["room"].reading.value.get(), -3.25);
}
