//! The fleet beside a running site: started with it, stopped before it, never in its way.

use crate::{bridge::Bridge, fleet::meter::ServerMeter};
use fleet::{
    Limits,
    control::{Fleet, Meter, Setup, registry::Seen, supervise},
    discovery::Connected,
    identity::DeviceId,
};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};

/// How often verified work is asked for.
const WORK_EVERY: Duration = Duration::from_secs(1);
const AFTER_A_FAULT: Duration = Duration::from_secs(1);
/// News of connections that may wait; what does not fit is found by the next look at all sessions.
const CONNECTED: usize = 1024;

/// What a site's fleet is told.
pub struct Plan {
    /// Clock, sockets, circuits and links.
    pub setup: Setup,
    /// How often machines are read.
    pub pace: supervise::Pace,
    /// What must hold for a machine of which nothing else is said.
    pub limits: Limits,
}

/// A fleet that runs. Dropping it ends supervision; machines keep what they were set to.
pub struct Running {
    pub fleet: Arc<Fleet>,
    pub meter: Arc<ServerMeter>,
    /// Addresses and names that nobody knew, to be asked who they are.
    pub strangers: mpsc::Receiver<Connected>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Starts supervision and the count of verified work. Its tasks are its own: whatever becomes of
/// them, miners are served.
pub fn start(plan: Plan, bridge: Arc<Bridge>) -> Running {
    let Plan { setup, pace, limits } = plan;
    let fleet = Fleet::new(setup);
    let meter = Arc::new(ServerMeter::new(bridge.clone()));
    let (news, connected) = mpsc::channel(CONNECTED);
    // A second fleet on one bridge would get no news; there is one.
    let _ = bridge.connected.set(news);
    let (strange, strangers) = mpsc::channel(CONNECTED);
    let tasks = vec![
        tokio::spawn(supervised(fleet.clone(), pace)),
        tokio::spawn(count_work(fleet.clone(), meter.clone(), limits)),
        tokio::spawn(meet(fleet.clone(), connected, strange, limits)),
    ];
    Running { fleet, meter, strangers, tasks }
}

/// Supervision that does not end: a fault in it is told and it begins anew.
async fn supervised(fleet: Arc<Fleet>, pace: supervise::Pace) {
    loop {
        let mut running = JoinSet::new();
        running.spawn(supervise::run(fleet.clone(), pace));
        if let Some(Err(error)) = running.join_next().await {
            tracing::error!(%error, "a fault in hearth ended the supervision of machines; it begins anew");
        }
        tokio::time::sleep(AFTER_A_FAULT).await;
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

/// Asks the server what all sessions proved. Blocking for as long as a reactor is busy, so not here.
async fn count_work(fleet: Arc<Fleet>, meter: Arc<ServerMeter>, limits: Limits) {
    let mut every = tokio::time::interval(WORK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let (meter, now) = (meter.clone(), fleet.clock.now());
        let asked = tokio::task::spawn_blocking(move || meter.tallies(now));
        // While a reactor is busy nobody's work has vanished: the next answer has it.
        let Ok(Some(worked)) = asked.await else { continue };
        let mut registry = fleet.registry();
        // Who has proved nothing is nobody yet.
        for one in worked.iter().filter(|one| one.tally.accepted > 0) {
            let connected = Connected { ip: one.ip, worker: one.worker.clone(), user_agent: None };
            if let Err(full) = registry.connected(&connected, limits) {
                tracing::warn!("{full}");
                break;
            }
        }
        registry.take_work(&worked);
    }
}

/// Who proves work and has no control that we know of may have one: it is passed on to be asked.
async fn meet(
    fleet: Arc<Fleet>,
    mut connected: mpsc::Receiver<Connected>,
    strange: mpsc::Sender<Connected>,
    limits: Limits,
) {
    while let Some(news) = connected.recv().await {
        let local = is_local(news.ip);
        let seen = fleet.registry().connected(&news, limits);
        match seen {
            Ok(Some(Seen::New(DeviceId::Worker(_)) | Seen::Known(DeviceId::Worker(_))))
                if local =>
            {
                // Full: it is asked when the next scan comes by.
                let _ = strange.try_send(news);
            }
            Ok(_) => {}
            Err(full) => tracing::warn!("{full}"),
        }
    }
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
