//! Whether what `[fleet]` names is there: machines at their addresses, meters, switches, the broker.
//! Nothing of it stands in the way of mining, so the worst is a warning. It only asks.

use super::Finding;
use crate::config::{Config, Fleet};
use fleet::{
    Endpoint,
    discovery::{probe, range},
    drivers::{meter, switch},
};
use futures_util::{StreamExt, stream};
use std::{collections::BTreeSet, net::IpAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(3);
/// Addresses asked at once.
const AT_ONCE: usize = 16;
/// CONNECT of MQTT 3.1.1 (section 3.1): clean session, keep-alive 60 s, client "hearth-doctor".
const CONNECT: &[u8] = b"\x10\x19\x00\x04MQTT\x04\x02\x00\x3c\x00\x0dhearth-doctor";

/// One finding for each thing named; none where no machine is to be watched.
pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let told = &config.fleet;
    if !told.enabled {
        return vec![Finding::ok("fleet", "machines are not watched (fleet.enabled = false)")];
    }
    let mut findings = vec![Finding::ok("fleet", summary(told))];
    let machines = told.devices.iter().filter(|said| said.switch.is_none());
    let machines: Vec<IpAddr> = machines.filter_map(|said| said.ip).collect();
    let asked = stream::iter(machines).map(machine).buffered(AT_ONCE);
    findings.extend(asked.collect::<Vec<_>>().await);
    let asked = stream::iter(lines(told)).map(|address| async move { modbus(&address).await });
    findings.extend(asked.buffered(AT_ONCE).collect::<Vec<_>>().await);
    if let Some((host, port)) = &told.broker {
        findings.push(broker(host, *port).await);
    }
    findings
}

fn summary(told: &Fleet) -> String {
    // The ranges were read when the file was.
    let asked = range::addresses(&told.scan, false, 0).map_or(0, |all| all.len());
    let steered = match &told.tune {
        Some(goal) => format!("tuned for {goal}"),
        None => "not tuned by themselves".into(),
    };
    format!(
        "{asked} addresses are scanned, {} machines and {} circuits are declared; machines are {steered}",
        told.devices.len(),
        told.circuits.len()
    )
}

async fn machine(ip: IpAddr) -> Finding {
    match probe::probe(Endpoint::usual(ip)).await {
        Some(found) => {
            let firmware = found.identity.firmware.name();
            Finding::ok("machine", format!("{ip} answers: {firmware}"))
        }
        None => Finding::warn(
            "machine",
            format!("{ip} does not answer: switch it on, or mend ip under [[fleet.device]]"),
        ),
    }
}

/// Meters and switches that speak Modbus, each address once.
fn lines(told: &Fleet) -> BTreeSet<std::net::SocketAddr> {
    let meters = told.circuits.iter().filter_map(|fed| fed.meter.as_ref());
    let meters = meters.chain(told.devices.iter().filter_map(|said| said.meter.as_ref()));
    let meters = meters.filter_map(|meter| match meter.line {
        meter::Line::Modbus { address, .. } => Some(address),
        meter::Line::Mqtt { .. } => None,
    });
    let switches = told.devices.iter().filter_map(|said| match said.switch.as_ref()?.line {
        switch::Line::Modbus { address, .. } => Some(address),
        switch::Line::Mqtt { .. } => None,
    });
    meters.chain(switches).collect()
}

async fn modbus(address: &std::net::SocketAddr) -> Finding {
    match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Finding::ok("meter", format!("{address} takes connections (modbus)")),
        _ => Finding::warn(
            "meter",
            format!(
                "{address} takes no connection: check the device, its Modbus TCP setting and modbus"
            ),
        ),
    }
}

async fn broker(host: &str, port: u16) -> Finding {
    let at = format!("{host}:{port}");
    let greeting = async {
        let mut stream = TcpStream::connect((host, port)).await?;
        stream.write_all(CONNECT).await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match timeout(PATIENCE, greeting).await {
        // CONNACK (section 3.2): accepted.
        Ok(Ok([0x20, 2, _, 0])) => Finding::ok("broker", format!("{at} lets hearth in")),
        Ok(Ok([0x20, 2, _, code])) => Finding::warn(
            "broker",
            format!("{at} lets nobody in without a login (MQTT code {code}): hearth has none"),
        ),
        Ok(Ok(_)) => {
            Finding::warn("broker", format!("{at} is no MQTT broker: mend fleet.mqtt.server"))
        }
        Ok(Err(error)) => Finding::warn(
            "broker",
            format!("{at} is not reached: {error}; start the broker or mend fleet.mqtt.server"),
        ),
        Err(_) => Finding::warn(
            "broker",
            format!("{at} does not answer: start the broker or mend fleet.mqtt.server"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use std::path::Path;

    #[tokio::test]
    async fn what_is_named_and_not_there_is_a_warning_with_a_remedy() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = format!(
            "[fleet.mqtt]\nserver = \"{closed}\"\n[[fleet.device]]\nip = \"127.0.98.7\"\n\
             meter = {{ modbus = \"{closed}\" }}\n"
        );
        let findings = check(&Config::parse(&text, Path::new(".")).unwrap()).await;
        let warned: Vec<_> =
            findings.iter().filter(|f| f.state == State::Warn).map(|f| f.check).collect();
        assert_eq!(warned, ["machine", "meter", "broker"]);
        assert!(findings.iter().all(|finding| finding.state != State::Fail));
    }

    #[tokio::test]
    async fn a_broker_that_wants_a_login_is_said_so() {
        for (answer, state) in [([0x20, 2, 0, 0], State::Ok), ([0x20, 2, 0, 5], State::Warn)] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; CONNECT.len()];
                stream.read_exact(&mut asked).await.unwrap();
                assert_eq!(usize::from(asked[1]), asked.len() - 2);
                stream.write_all(&answer).await.unwrap();
            });
            assert_eq!(broker("127.0.0.1", port).await.state, state);
        }
    }
}
