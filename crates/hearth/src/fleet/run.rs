//! The fleet beside a running site: started with it, stopped before it, never in its way.

use crate::{bridge::Bridge, fleet::meter::ServerMeter};
use fleet::{
    Limits,
    control::{Fleet, Meter, Setup, registry::Seen, supervise},
    discovery::Connected,
    identity::DeviceId,
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::JoinHandle};

/// How often verified work is asked for.
const WORK_EVERY: Duration = Duration::from_secs(1);
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
        tokio::spawn(supervise::run(fleet.clone(), pace)),
        tokio::spawn(count_work(fleet.clone(), meter.clone(), limits)),
        tokio::spawn(meet(fleet.clone(), connected, strange, limits)),
    ];
    Running { fleet, meter, strangers, tasks }
}

/// Asks the server what all sessions proved. Blocking for as long as a reactor is busy, so not here.
async fn count_work(fleet: Arc<Fleet>, meter: Arc<ServerMeter>, limits: Limits) {
    let mut every = tokio::time::interval(WORK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let (meter, now) = (meter.clone(), fleet.clock.now());
        let asked = tokio::task::spawn_blocking(move || meter.tallies(now));
        let Ok(worked) = asked.await else { continue };
        let mut registry = fleet.registry();
        for one in &worked {
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
        let seen = fleet.registry().connected(&news, limits);
        match seen {
            Ok(Some(Seen::New(DeviceId::Worker(_)) | Seen::Known(DeviceId::Worker(_)))) => {
                // Full: it is asked when the next scan comes by.
                let _ = strange.try_send(news);
            }
            Ok(_) => {}
            Err(full) => tracing::warn!("{full}"),
        }
    }
}
