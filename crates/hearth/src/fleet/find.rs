//! Machines are looked for: in the configured ranges, where the owner says, and where somebody mines
//! from who is not known yet. Asks slowly enough for a home router; tells nobody anything.

use super::{declared::Declarations, links::Links};
use crate::config;
use fleet::{
    Control, DeviceId, Endpoint, Limits,
    control::{Fleet, registry::Seen},
    discovery::{Connected, Found, mdns, probe, range, scan},
};
use futures_util::StreamExt;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

/// Machines that the owner names and that are not there are asked again this often.
const MISSING: Duration = Duration::from_secs(30);
/// A stranger that did not answer is asked again after this.
const AGAIN: Duration = Duration::from_secs(600);
/// Strangers that are remembered.
const STRANGERS: usize = 10_000;
/// Machines that are asked at once who exactly they are.
const TAKEN: usize = 16;
/// For a firmware that is not ours to say who it is.
const WHO: Duration = Duration::from_secs(15);

/// Looks for machines.
pub struct Finder {
    pub fleet: Arc<Fleet>,
    pub declared: Arc<Declarations>,
    pub links: Arc<Links>,
    ranges: Vec<String>,
    every: Duration,
    limits: scan::Limits,
}

impl Finder {
    pub fn new(
        config: &config::Fleet,
        fleet: Arc<Fleet>,
        declared: Arc<Declarations>,
        links: Arc<Links>,
    ) -> Self {
        let limits = scan::Limits {
            sockets: config.sockets,
            connections_per_second: config.connections_per_second,
            port_shift: 0,
        };
        let (ranges, every) = (config.scan.clone(), config.scan_every);
        Self { fleet, declared, links, ranges, every, limits }
    }

    /// Asks all ranges, again and again.
    pub async fn ranges(self: Arc<Self>) {
        let mut round = 0;
        loop {
            match range::addresses(&self.ranges, false, round) {
                Ok(addresses) => self.ask(addresses).await,
                Err(error) => tracing::error!("fleet.scan: {error}"),
            }
            round += 1;
            tokio::time::sleep(self.every).await;
        }
    }

    /// Asks where the owner says that machines are, until they answer.
    pub async fn named(self: Arc<Self>) {
        loop {
            let missing: Vec<Ipv4Addr> = {
                let registry = self.fleet.registry();
                let here = |ip: IpAddr| {
                    let at = |d: &fleet::Device| d.endpoint.is_some_and(|at| at.ip == ip);
                    registry.devices().any(at)
                };
                let ips = self.declared.all().iter().filter_map(|said| said.ip);
                let missing = ips.filter(|ip| !here(*ip)).filter_map(|ip| match ip {
                    IpAddr::V4(ip) => Some(ip),
                    IpAddr::V6(_) => None,
                });
                missing.collect()
            };
            self.ask(missing).await;
            tokio::time::sleep(MISSING).await;
        }
    }

    /// Asks machines that announce themselves.
    pub async fn announced(self: Arc<Self>) {
        match mdns::announced() {
            Ok(heard) => {
                let ours = heard.filter(|ip| std::future::ready(is_local(*ip)));
                ours.for_each_concurrent(TAKEN, |ip| self.ask_one(ip)).await;
            }
            Err(error) => {
                tracing::warn!("{error}");
                std::future::pending().await
            }
        }
    }

    async fn ask_one(&self, ip: IpAddr) {
        if let Some(found) = probe::probe(Endpoint::usual(ip)).await {
            self.take(found).await;
        }
    }

    /// Asks who mines here and is not known. Strangers come one at a time, each once in a while.
    pub async fn strangers(self: Arc<Self>, mut strangers: mpsc::Receiver<Connected>) {
        let mut asked: HashMap<IpAddr, Instant> = HashMap::new();
        let pause = Duration::from_secs(1) * probe::SOCKETS as u32
            / self.limits.connections_per_second.get();
        while let Some(Connected { ip, .. }) = strangers.recv().await {
            if asked.len() >= STRANGERS {
                asked.retain(|_, at| at.elapsed() < AGAIN);
            }
            let lately = asked.get(&ip).is_some_and(|at| at.elapsed() < AGAIN);
            if lately || asked.len() >= STRANGERS || !is_local(ip) {
                continue;
            }
            asked.insert(ip, Instant::now());
            let finder = self.clone();
            tokio::spawn(async move { finder.ask_one(ip).await });
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask(self: &Arc<Self>, addresses: Vec<Ipv4Addr>) {
        let found = scan::scan(addresses, self.limits).filter_map(async |answer| answer.found);
        found.for_each_concurrent(TAKEN, |found| self.take(found)).await;
    }

    /// A machine answered: it is one of ours from now on.
    pub async fn take(&self, mut found: Found) {
        let ip = found.endpoint.ip;
        if self.declared.at(ip).is_some_and(|said| said.switch.is_some()) {
            return;
        }
        let firmware = found.identity.firmware;
        let link = self.links.firmware(found.endpoint, firmware);
        // Our own probe asks other firmware for no more than its name.
        if let (None, Some(link)) = (found.identity.id(), &link)
            && let Ok(Ok(identity)) = timeout(WHO, link.identify()).await
        {
            let known = std::mem::replace(&mut found.identity, identity);
            found.identity.firmware = firmware;
            found.identity.model = known.model.or(found.identity.model.take());
        }
        let mut registry = self.fleet.registry();
        let (id, new) = match registry.found(&found, Limits::usual(firmware)) {
            Ok(Seen::New(id)) => (id, true),
            Ok(Seen::Known(id) | Seen::Moved(id)) => (id, false),
            Err(full) => return tracing::warn!("{full}"),
        };
        let Some(device) = registry.get_mut(&id) else { return };
        if link.is_none() {
            device.control = Control::StratumOnly;
        }
        self.declared.apply(device);
        if new {
            let model = device.model.as_deref().unwrap_or("an unknown model");
            tracing::info!(%id, %ip, model, firmware = firmware.name(), "found a machine");
        }
    }
}

/// Only machines in our own network are asked who they are: whoever mines here from elsewhere has not
/// asked for that.
fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether somebody may have a control that nobody knows of yet.
pub fn is_strange(seen: &Seen) -> bool {
    matches!(seen, Seen::New(DeviceId::Worker(_)) | Seen::Known(DeviceId::Worker(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_neighbours_are_asked_who_they_are() {
        for (ip, local) in [
            ("10.0.0.7", true),
            ("127.0.77.3", true),
            ("::ffff:192.168.1.9", true),
            ("fd00::7", true),
            ("203.0.113.9", false),
            ("100.64.0.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_local(ip.parse().unwrap()), local, "{ip}");
        }
    }
}
