//! Every address of a range, a few at a time. Owns the limits on sockets and new connections; who
//! answers is the probe's matter.

use super::{Found, probe};
use crate::device::Endpoint;
use futures_util::{Stream, StreamExt, stream};
use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// What a scan may take of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sockets open at once.
    pub sockets: usize,
    /// New connections a second: a home router tracks each.
    pub connections_per_second: NonZeroU32,
    /// Added to the ports that firmware uses; 0 for every real machine.
    pub port_shift: u16,
}

impl Default for Limits {
    fn default() -> Self {
        let connections_per_second = NonZeroU32::new(100).unwrap_or(NonZeroU32::MIN);
        Self { sockets: 64, connections_per_second, port_shift: 0 }
    }
}

/// How one address answered.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The address.
    pub ip: IpAddr,
    /// Who is there.
    pub found: Option<Found>,
}

/// Asks each address once, in this order; ends after the last. A dropped stream stops asking.
pub fn scan(addresses: Vec<Ipv4Addr>, limits: Limits) -> impl Stream<Item = Asked> + Send {
    // A probe opens two sockets at once; the one or two more of a machine that answered fall under
    // the pause of those that did not.
    let at_once = (limits.sockets / probe::SOCKETS).max(1);
    let pause =
        Duration::from_secs(1) * probe::SOCKETS as u32 / limits.connections_per_second.get();
    let pause = pause.max(Duration::from_micros(1));
    let shift = |port: u16| port.saturating_add(limits.port_shift);
    let (http, cgminer) = (shift(80), shift(4028));

    let mut ticks = interval_at(Instant::now(), pause);
    // A late tick is not made up for: that would be a burst.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ticks = Arc::new(tokio::sync::Mutex::new(ticks));
    stream::iter(addresses)
        .map(move |ip| {
            let (ip, ticks) = (IpAddr::V4(ip), ticks.clone());
            async move {
                ticks.lock().await.tick().await;
                Asked { ip, found: probe::probe(Endpoint { ip, http, cgminer }).await }
            }
        })
        .buffer_unordered(at_once)
}
