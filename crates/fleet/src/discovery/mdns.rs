//! Machines that announce themselves in the local network by multicast DNS, as AxeOS does (RFC 6762,
//! RFC 6763). Gives addresses to be asked; believes nothing else that an announcement says.

use futures_util::{Stream, StreamExt};
use mdns_sd::{Receiver, ServiceDaemon, ServiceEvent};
use std::net::IpAddr;

/// The service of AxeOS: a subtype of a web page (fleet.md section 3A).
const SERVICE: &str = "_axeos._sub._http._tcp.local.";
/// Addresses of one announcement that are taken.
const ADDRESSES: usize = 8;

/// Multicast cannot be used here.
#[derive(Debug, thiserror::Error)]
#[error("multicast DNS cannot be used: {0}; set fleet.mdns = false, or scan a range instead")]
pub struct NoMulticast(#[from] mdns_sd::Error);

/// Ends the thread that listens when it is dropped.
struct Listening(ServiceDaemon);

impl Drop for Listening {
    fn drop(&mut self) {
        // A thread that is busy ends a moment later, with the process at the latest.
        let _ = self.0.shutdown();
    }
}

/// Where announced machines are, from now on, until dropped.
pub fn announced() -> Result<impl Stream<Item = IpAddr> + Send, NoMulticast> {
    heard(ServiceDaemon::new()?)
}

fn heard(daemon: ServiceDaemon) -> Result<impl Stream<Item = IpAddr> + Send, NoMulticast> {
    let listening = Listening(daemon);
    let events: Receiver<ServiceEvent> = listening.0.browse(SERVICE)?;
    let events = futures_util::stream::unfold((events, listening), async |(events, listening)| {
        let event = events.recv_async().await.ok()?;
        Some((addresses(event), (events, listening)))
    });
    Ok(events.map(futures_util::stream::iter).flatten())
}

fn addresses(event: ServiceEvent) -> Vec<IpAddr> {
    match event {
        ServiceEvent::ServiceResolved(machine) => {
            machine.addresses.iter().take(ADDRESSES).map(|at| at.to_ip_addr()).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, Firmware, discovery::probe::probe};
    use mdns_sd::IfKind;
    use std::{collections::BTreeSet, net::Ipv4Addr, pin::pin, time::Duration};
    use twin::farm::{Announced, Farm, FarmConfig, Faults, Kind};

    /// A private port of multicast DNS, so that nothing else on this computer is heard.
    const PORT: u16 = 25_353;
    const SHIFT: u16 = 23_000;

    #[tokio::test]
    async fn every_bitaxe_that_announces_itself_is_heard_and_answers_and_no_other_machine_is() {
        let farm = Farm::start(FarmConfig {
            first: Ipv4Addr::new(127, 0, 117, 1),
            machines: vec![Kind::BitaxeGamma, Kind::AvalonQ, Kind::BitaxeGamma],
            stratum: None,
            user: "farm".into(),
            scale: None,
            speed: 1.0,
            ambient: units::Celsius::new(25.0).unwrap(),
            port_shift: SHIFT,
            faults: Faults::default(),
            light: true,
            seed: 1,
        })
        .await
        .unwrap();
        let _announced = Announced::start(&farm, PORT).unwrap();
        let daemon = ServiceDaemon::new_with_port(PORT).unwrap();
        daemon.disable_interface(IfKind::All).unwrap();
        daemon.enable_interface(IfKind::LoopbackV4).unwrap();
        let mut stream = pin!(heard(daemon).unwrap());
        let mut found = BTreeSet::new();
        let all = async {
            while found.len() < 2 {
                found.insert(stream.next().await.unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all).await.expect("both are heard");
        let address = |last| IpAddr::from([127, 0, 117, last]);
        assert_eq!(found, BTreeSet::from([address(1), address(3)]));
        for ip in found {
            let at = Endpoint { ip, http: 80 + SHIFT, cgminer: 4028 + SHIFT };
            let machine = probe(at).await.unwrap();
            assert_eq!(machine.identity.firmware, Firmware::AxeOs);
        }
    }
}
