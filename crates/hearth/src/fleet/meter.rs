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

/// An answer this old is not asked for again when it is one machine of many that is looked at: each
/// question costs the server's threads a look at all sessions. On the fleet's clock.
const FRESH: Duration = Duration::from_secs(1);

/// The site's server, asked and steered.
pub struct ServerMeter {
    bridge: Arc<Bridge>,
    steers: Mutex<HashMap<Who, Steer>>,
    last: Mutex<Option<Asked>>,
}

/// All sessions at a moment, by where they come from and under which name.
struct Asked {
    at: Moment,
    all: Vec<Worked>,
    by: HashMap<Who, Vec<usize>>,
}

impl Asked {
    fn new(at: Moment, all: Vec<Worked>) -> Self {
        let mut by: HashMap<Who, Vec<usize>> = HashMap::new();
        for (index, one) in all.iter().enumerate() {
            by.entry(Who::Address(one.ip)).or_default().push(index);
            by.entry(Who::Worker(one.worker.clone())).or_default().push(index);
        }
        Self { at, all, by }
    }

    fn of(&self, who: &Who) -> Vec<Worked> {
        let indices = self.by.get(who).into_iter().flatten();
        indices.filter_map(|index| self.all.get(*index).cloned()).collect()
    }
}

impl ServerMeter {
    pub fn new(bridge: Arc<Bridge>) -> Self {
        Self { bridge, steers: Mutex::default(), last: Mutex::default() }
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

    fn tallies_of(&self, who: &Who, now: Moment) -> Option<Vec<Worked>> {
        // Held while the server is asked, so that many looks at once are one question.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = last.as_ref().filter(|asked| now.since(asked.at) < FRESH) {
            return Some(asked.of(who));
        }
        let asked = Asked::new(now, self.tallies(now)?);
        let ours = asked.of(who);
        *last = Some(asked);
        Some(ours)
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
