use super::*;
use std::{
    path::Path,
    process::{Child, Stdio},
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A Modbus device with one coil, or one that answers with an exception.
async fn coil(dead: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let closed = Arc::new(Mutex::new(true));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let closed = closed.clone();
            tokio::spawn(async move {
                let mut ask = [0; 12];
                while stream.read_exact(&mut ask).await.is_ok() {
                    let mut told = match ask[7] {
                        function if dead => vec![function | 0x80, 4],
                        1 => vec![1, 1, u8::from(*closed.lock().unwrap())],
                        _ => {
                            *closed.lock().unwrap() = ask[10] == 0xff;
                            ask[7..].to_vec()
                        }
                    };
                    let mut answer = ask[..4].to_vec();
                    answer.extend((told.len() as u16 + 1).to_be_bytes());
                    answer.push(ask[6]);
                    answer.append(&mut told);
                    stream.write_all(&answer).await.unwrap();
                }
            });
        }
    });
    at
}

/// A real broker; it ends with the test.
struct Mosquitto {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

async fn mosquitto() -> Mosquitto {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mosquitto.conf");
    std::fs::write(&file, format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
    // Debian keeps it where only root's PATH leads.
    let found =
        ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"].iter().find(|at| Path::new(at).exists());
    let mut command = std::process::Command::new(found.unwrap_or(&"mosquitto"));
    let process = command.arg("-c").arg(file).stderr(Stdio::null()).stdout(Stdio::null()).spawn();
    let process = process.expect("mosquitto is missing: apt-get install mosquitto");
    let broker = Mosquitto { process, port, _folder: folder };
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return broker;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("mosquitto does not listen");
}

/// How a plug behind the broker tells its state.
#[derive(Clone, Copy, PartialEq)]
enum Tells {
    /// As it happens, and the broker keeps it.
    Kept,
    /// As it happens, nobody keeps it.
    Once,
    /// It does nothing and says nothing.
    Stuck,
}

fn client(port: u16, name: &str) -> (AsyncClient, EventLoop) {
    AsyncClient::new(MqttOptions::new(name, "127.0.0.1", port), 8)
}

/// A message that the broker keeps.
async fn keep(port: u16, text: &str) {
    let (client, mut events) = client(port, "keeper");
    client.publish("plug/state", QoS::AtLeastOnce, true, text).await.unwrap();
    while !matches!(events.poll().await.unwrap(), Event::Incoming(Incoming::PubAck(_))) {}
}

/// A plug; it listens when this returns.
async fn plugged(port: u16, tells: Tells) {
    let (client, mut events) = client(port, "plug");
    client.subscribe("plug/command", QoS::AtLeastOnce).await.unwrap();
    while !matches!(events.poll().await.unwrap(), Event::Incoming(Incoming::SubAck(_))) {}
    tokio::spawn(async move {
        while let Ok(event) = events.poll().await {
            if let Event::Incoming(Incoming::Publish(told)) = event
                && tells != Tells::Stuck
            {
                let kept = tells == Tells::Kept;
                client.try_publish("plug/state", QoS::AtLeastOnce, kept, told.payload).unwrap();
            }
        }
    });
}

fn plug(port: u16, state: Option<&str>) -> Switch {
    let line = Line::Mqtt {
        host: "127.0.0.1".into(),
        port,
        command: "plug/command".into(),
        state: state.map(Into::into),
        on: "on".into(),
        off: "off".into(),
    };
    Switch::new(line, Duration::ZERO, Duration::ZERO)
}

async fn mining(switch: &Switch) -> Option<bool> {
    switch.read().await.unwrap().settings.mining
}

#[tokio::test]
async fn a_plug_behind_a_real_broker_is_switched_and_read_back_from_its_own_fresh_message() {
    for tells in [Tells::Kept, Tells::Once] {
        let broker = mosquitto().await;
        plugged(broker.port, tells).await;
        let switch = plug(broker.port, Some("plug/state"));
        for (command, closed) in [(Command::Pause, false), (Command::Resume, true)] {
            assert_eq!(switch.apply(&command).await, Ok(Reply::Accepted));
            assert_eq!(mining(&switch).await, Some(closed));
        }
    }
}

#[tokio::test]
async fn a_message_that_the_broker_kept_is_no_proof_of_a_switch() {
    let broker = mosquitto().await;
    plugged(broker.port, Tells::Stuck).await;
    // Somebody left exactly what a working plug would say.
    keep(broker.port, "off").await;
    let switch = plug(broker.port, Some("plug/state"));
    assert_eq!(mining(&switch).await, Some(false), "before any command it is the best there is");
    assert_eq!(switch.apply(&Command::Pause).await, Ok(Reply::Accepted));
    assert_eq!(mining(&switch).await, None);
}

#[tokio::test]
async fn a_kept_message_that_contradicts_the_plug_itself_makes_its_state_unknown() {
    let broker = mosquitto().await;
    plugged(broker.port, Tells::Once).await;
    let switch = plug(broker.port, Some("plug/state"));
    assert_eq!(switch.apply(&Command::Pause).await, Ok(Reply::Accepted));
    assert_eq!(mining(&switch).await, Some(false));
    keep(broker.port, "on").await;
    assert_eq!(mining(&switch).await, None);
    keep(broker.port, "OFF").await;
    assert_eq!(mining(&switch).await, Some(false));
}

#[tokio::test]
async fn a_plug_without_a_state_topic_is_unknown() {
    let broker = mosquitto().await;
    let switch = plug(broker.port, None);
    assert_eq!(switch.apply(&Command::Pause).await, Ok(Reply::Accepted));
    assert_eq!(mining(&switch).await, None);
}

#[tokio::test]
async fn a_contactor_on_modbus_is_switched_and_read_back() {
    let line = Line::Modbus { address: coil(false).await, unit: 255, coil: 3 };
    let switch = Switch::new(line, Duration::ZERO, Duration::ZERO);
    assert_eq!(mining(&switch).await, Some(true));
    assert_eq!(switch.apply(&Command::Pause).await, Ok(Reply::Accepted));
    assert_eq!(mining(&switch).await, Some(false));
    assert_eq!(switch.apply(&Command::Resume).await, Ok(Reply::Accepted));
    assert_eq!(mining(&switch).await, Some(true));
    assert!(matches!(switch.apply(&Command::Reboot).await, Ok(Reply::Refused(_))));
}

#[tokio::test]
async fn a_device_that_fails_says_so_and_nobody_there_means_that_nothing_was_sent() {
    let at = coil(true).await;
    let line = Line::Modbus { address: at, unit: 1, coil: 0 };
    let switch = Switch::new(line, Duration::ZERO, Duration::ZERO);
    assert!(matches!(switch.apply(&Command::Pause).await, Ok(Reply::Refused(_))));
    assert!(matches!(switch.read().await, Err(DriverError::Garbage(_))));

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = plug(free.port(), None).apply(&Command::Pause).await.unwrap_err();
    assert!(!error.may_have_arrived(), "{error}");
}

#[tokio::test]
async fn a_compressor_is_not_switched_on_before_its_rest_is_over() {
    let line = Line::Modbus { address: coil(false).await, unit: 255, coil: 0 };
    let switch = Switch::new(line, Duration::ZERO, Duration::from_secs(60));
    assert_eq!(switch.apply(&Command::Pause).await, Ok(Reply::Accepted));
    let too_soon = switch.apply(&Command::Resume).await.unwrap();
    assert!(matches!(too_soon, Reply::Refused(_)), "{too_soon:?}");
    assert_eq!(mining(&switch).await, Some(false));
    assert_eq!(switch.apply(&Command::Pause).await, Ok(Reply::Accepted));
}

#[tokio::test]
async fn what_must_stop_is_switched_off_however_lately_it_was_switched_on() {
    let line = Line::Modbus { address: coil(false).await, unit: 255, coil: 0 };
    let switch = Switch::new(line, Duration::from_secs(60), Duration::ZERO);
    assert_eq!(switch.apply(&Command::Resume).await, Ok(Reply::Accepted));
    assert_eq!(switch.apply(&Command::Pause).await, Ok(Reply::Accepted));
    assert_eq!(mining(&switch).await, Some(false));
}
