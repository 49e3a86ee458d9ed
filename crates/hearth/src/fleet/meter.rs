//! The Stratum server as the fleet's meter: verified work out, share intervals and curtailment in.

use crate::bridge::Bridge;
use fleet::{
    control::{Meter, Who, Worked},
    readings::Moment,
    work::Tally,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use stratum::{Steer, Steered};

/// The shortest share interval that a machine is given. Real ones are asked for 50 ms at most often; the
/// demonstration has less time. Two hundred shares a second cost the server
/// little; more would tell no more in the time that a machine takes to settle anyway.
const SHORTEST: Duration = Duration::from_millis(5);

/// The site's server, asked and steered.
pub struct ServerMeter {
    bridge: Arc<Bridge>,
    steers: Mutex<HashMap<Who, Steer>>,
}

impl ServerMeter {
    pub fn new(bridge: Arc<Bridge>) -> Self {
        Self { bridge, steers: Mutex::default() }
    }

    /// False if the server is not there, or has no room for it.
    fn steer(&self, who: &Who, change: impl FnOnce(&mut Steer)) -> bool {
        // Held while the server is told, so that two callers cannot tell it out of order.
        let mut steers = self.steers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut steer = steers.get(who).copied().unwrap_or_default();
        change(&mut steer);
        let steered = match who {
            Who::Address(ip) => Steered::Address(ip.to_canonical()),
            Who::Worker(name) => Steered::Worker(name.clone()),
        };
        let done = self.bridge.server.get().is_some_and(|server| server.steer(steered, steer));
        if steer == Steer::default() {
            steers.remove(who);
        } else if done {
            steers.insert(who.clone(), steer);
        }
        done
    }
}

impl Meter for ServerMeter {
    fn tallies(&self, now: Moment) -> Option<Vec<Worked>> {
        // A busy reactor may take a while: others on this thread go on meanwhile.
        let server = self.bridge.server.get()?;
        let sessions = tokio::task::block_in_place(|| server.sessions())?;
        Some(sessions.into_iter().map(|session| worked(session, now)).collect())
    }

    fn share_interval(&self, who: &Who, interval: Option<Duration>) {
        let interval = interval.map(|interval| interval.max(SHORTEST));
        if !self.steer(who, |steer| steer.share_interval = interval) {
            tracing::warn!(?who, "the server cannot give this machine a share interval of its own");
        }
    }

    fn curtail(&self, who: &Who, curtailed: bool) -> bool {
        self.steer(who, |steer| steer.curtailed = curtailed)
    }
}

fn worked(session: stratum::SessionState, now: Moment) -> Worked {
    Worked {
        session: session.id,
        ip: session.peer.ip().to_canonical(),
        worker: session.worker,
        tally: Tally {
            at: now,
            accepted: session.accepted,
            work: session.work,
            faulty: session.faulty,
        },
    }
}
