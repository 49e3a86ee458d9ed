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
    let listening = Listening(ServiceDaemon::new()?);
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
    use std::{pin::pin, time::Duration};

    #[tokio::test]
    async fn a_machine_that_announces_itself_is_heard_where_multicast_goes_through() {
        let ours = mdns_sd::ServiceInfo::new(
            SERVICE,
            "bitaxe-test",
            "bitaxe-test.local.",
            "",
            80,
            None::<std::collections::HashMap<String, String>>,
        );
        let speaks = ServiceDaemon::new().unwrap();
        speaks.register(ours.unwrap().enable_addr_auto()).unwrap();
        let mut heard = pin!(announced().unwrap());
        match tokio::time::timeout(Duration::from_secs(10), heard.next()).await {
            Ok(ip) => assert!(ip.is_some()),
            Err(_) => eprintln!("NOT TESTED: multicast does not go through here"),
        }
        let _ = speaks.shutdown();
    }
}
