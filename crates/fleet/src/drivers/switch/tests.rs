use super::*;
use rumqttc::{ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode};
use std::sync::Arc;
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

/// A broker with one plug behind it, whose state is retained. A stuck plug does nothing.
async fn broker(stuck: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let state = Arc::new(Mutex::new("on".to_owned()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, state.clone(), stuck));
        }
    });
    port
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<String>>, stuck: bool) {
    let mut held = Default::default();
    loop {
        let packet = match Packet::read(&mut held, 4096) {
            Ok(packet) => packet,
            Err(_) => match stream.read_buf(&mut held).await {
                Ok(count) if count > 0 => continue,
                _ => return,
            },
        };
        let mut out = Default::default();
        match packet {
            Packet::Connect(_) => {
                ConnAck::new(ConnectReturnCode::Success, false).write(&mut out).unwrap();
            }
            Packet::Subscribe(ask) => {
                let granted = vec![SubscribeReasonCode::Success(QoS::AtMostOnce)];
                SubAck::new(ask.pkid, granted).write(&mut out).unwrap();
                let text = state.lock().unwrap().clone();
                Publish::new(&ask.filters[0].path, QoS::AtMostOnce, text).write(&mut out).unwrap();
            }
            Packet::Publish(told) => {
                assert_eq!(told.topic, "plug/command");
                if !stuck {
                    *state.lock().unwrap() = String::from_utf8(told.payload.to_vec()).unwrap();
                }
                PubAck::new(told.pkid).write(&mut out).unwrap();
            }
            _ => return,
        };
        stream.write_all(&out).await.ok();
    }
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
async fn a_plug_behind_a_broker_is_switched_and_read_back() {
    let switch = plug(broker(false).await, Some("plug/state"));
    assert_eq!(mining(&switch).await, Some(true));
    for (command, closed) in [(Command::Pause, false), (Command::Resume, true)] {
        assert_eq!(switch.apply(&command).await, Ok(Reply::Accepted));
        assert_eq!(mining(&switch).await, Some(closed));
    }
}

#[tokio::test]
async fn a_stuck_plug_shows_and_one_that_tells_nothing_is_unknown() {
    let port = broker(true).await;
    let switch = plug(port, Some("plug/state"));
    assert_eq!(switch.apply(&Command::Pause).await, Ok(Reply::Accepted));
    assert_eq!(mining(&switch).await, Some(true));
    assert_eq!(mining(&plug(port, None)).await, None);
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
