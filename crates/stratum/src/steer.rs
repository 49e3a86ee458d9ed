//! Steering of single machines by the server's owner: how often a machine's shares come, and whether
//! it gets work at all. Looked up when a session authorizes and when something changes, never for a
//! share.

use crate::{engine::Engine, session::End, wire};
use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use units::{Difficulty, Work};

/// Machines steered at most; more are refused, so that nobody can fill memory.
const MAX_STEERED: usize = 100_000;
/// Shares of one machine never come more often than this on purpose.
const SHORTEST: Duration = Duration::from_millis(5);
/// A steered machine's share takes at least this many hashes: with fewer, the count of shares would no
/// longer be Poisson's, and every error computed from it wrong. Only emulated machines come near.
const LEAST_HASHES: f64 = 10.0;
/// After a machine is paused its connection stays open this long, milliseconds: a block that it found
/// just before is still on its way.
const LATE_MS: u64 = 250;
const PAUSED: &str = "\"this machine is paused by the server's owner\"";

/// Whose sessions are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Steered {
    /// All under this full name, `address.worker`.
    Worker(Arc<str>),
    /// All that come from this address.
    Address(IpAddr),
}

/// How they differ from all others; the default is not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Steer {
    /// Mean time between shares, instead of the configured one.
    pub share_interval: Option<Duration>,
    /// Gets no work.
    pub curtailed: bool,
}

impl Steer {
    /// Wanted shares per millisecond, where all others send `usual`.
    #[inline]
    pub(crate) fn per_ms(&self, usual: f64) -> f64 {
        match self.share_interval {
            Some(interval) => 1e-3 / interval.max(SHORTEST).as_secs_f64(),
            None => usual,
        }
    }

    /// The easiest difficulty that such a session gets.
    pub(crate) fn easiest(&self) -> Difficulty {
        match self.share_interval {
            Some(_) => Difficulty::new(LEAST_HASHES / Difficulty::ONE.work().hashes())
                .unwrap_or(Difficulty::MIN),
            None => Difficulty::MIN,
        }
    }
}

/// One authorized session as it stands.
#[derive(Debug, Clone)]
pub struct SessionState {
    /// Unique since the server started.
    pub id: u64,
    /// Where it connects from.
    pub peer: SocketAddr,
    /// The worker's full name.
    pub worker: Arc<str>,
    /// What the machine calls itself.
    pub user_agent: Option<Arc<str>>,
    /// Its share difficulty.
    pub difficulty: Difficulty,
    /// Accepted shares since it connected.
    pub accepted: u64,
    /// Work they prove.
    pub work: Work,
    /// Shares that missed their target or came twice: what bad chips send.
    pub faulty: u64,
    /// Gets no work.
    pub curtailed: bool,
}

/// All that is steered now.
#[derive(Debug, Default)]
pub(crate) struct Steers(HashMap<Steered, Steer>);

impl Steers {
    /// Whether this is a change; a default removes. `None`: there is no room for it.
    pub(crate) fn set(&mut self, who: &Steered, steer: Steer) -> Option<bool> {
        if steer == Steer::default() {
            return Some(self.0.remove(who).is_some());
        }
        if self.0.len() >= MAX_STEERED && !self.0.contains_key(who) {
            tracing::warn!(?who, "{MAX_STEERED} machines are steered already; this one is not");
            return None;
        }
        Some(self.0.insert(who.clone(), steer) != Some(steer))
    }

    /// What holds for one session. The name goes before the address; either may curtail.
    fn of(&self, worker: &Arc<str>, ip: IpAddr) -> Steer {
        if self.0.is_empty() {
            return Steer::default();
        }
        let get = |who| self.0.get(&who).copied().unwrap_or_default();
        let by_name = get(Steered::Worker(worker.clone()));
        let by_address = get(Steered::Address(ip.to_canonical()));
        Steer {
            share_interval: by_name.share_interval.or(by_address.share_interval),
            curtailed: by_name.curtailed || by_address.curtailed,
        }
    }
}

impl Engine {
    /// Takes changes and lets the sessions they are about feel them.
    pub(crate) fn steer(&mut self, changes: HashMap<Steered, Steer>) {
        self.settle();
        let (mut workers, mut addresses) = (HashSet::new(), HashSet::new());
        for (who, steer) in changes {
            self.steers.set(&who, steer);
            match who {
                Steered::Worker(name) => workers.extend(self.workers.find(&name)),
                Steered::Address(ip) => drop(addresses.insert(ip)),
            }
        }
        let meant = |worker: u32, ip: IpAddr| {
            workers.contains(&worker)
                || (!addresses.is_empty() && addresses.contains(&ip.to_canonical()))
        };
        let sessions = self.sessions.iter();
        let keys: Vec<usize> = sessions
            .filter(|(_, s)| !s.ending && s.worker.is_some_and(|w| meant(w, s.peer.ip())))
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            self.steer_session(key);
        }
    }

    /// Brings a session in line with what is steered now.
    pub(crate) fn steer_session(&mut self, key: usize) {
        let usual = self.per_ms();
        let now = self.now.ms;
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(worker) = session.worker.and_then(|worker| self.workers.name(worker)) else {
            return;
        };
        let (was, is) = (session.steer, self.steers.of(worker, session.peer.ip()));
        if was == is {
            return;
        }
        session.steer = is;
        if was.share_interval != is.share_interval {
            let current = session.difficulty.current();
            let vardiff = self.shared.config.ports[usize::from(session.port)].vardiff;
            let scaled = Difficulty::new(current.get() * was.per_ms(usual) / is.per_ms(usual));
            let wanted = match (vardiff, is.share_interval) {
                (false, None) => session.unsteered.take(),
                (false, Some(_)) => {
                    session.unsteered.get_or_insert(current);
                    scaled.ok()
                }
                (true, _) => scaled.ok(),
            };
            if let Some(wanted) = wanted {
                self.change_difficulty(key, wanted);
            }
        }
        match (was.curtailed, is.curtailed) {
            (false, true) => {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.curtailed_ms = now;
                }
                wire::notification(self.out.to(key), "client.show_message", PAUSED);
            }
            (true, false) => self.announce(key),
            _ => {}
        }
    }

    /// Closes connections of paused machines that still have a job: firmware goes on hashing the last
    /// one it got for as long as the connection stands. Without one they may stay and wait.
    pub(crate) fn end_curtailed(&mut self) {
        let now = self.now.ms;
        let over: Vec<usize> = self
            .sessions
            .iter()
            .filter(|(_, s)| s.steer.curtailed && s.last_job != 0 && !s.ending)
            .filter(|(_, s)| now.saturating_sub(s.curtailed_ms) >= LATE_MS)
            .map(|(key, _)| key)
            .collect();
        for key in over {
            self.end(key, End::Curtailed);
        }
    }

    /// Every authorized session.
    pub(crate) fn session_states(&self) -> Vec<SessionState> {
        let state = |(_, session): (usize, &crate::session::Session)| {
            Some(SessionState {
                id: session.id,
                peer: session.peer,
                worker: self.workers.name(session.worker?)?.clone(),
                user_agent: session.user_agent.clone(),
                difficulty: session.difficulty.current(),
                accepted: session.accepted,
                work: session.work,
                faulty: session.faulty,
                curtailed: session.steer.curtailed,
            })
        };
        self.sessions.iter().filter(|(_, session)| !session.ending).filter_map(state).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_room_is_told_so() {
        let mut steers = Steers::default();
        let who = |i: usize| Steered::Worker(format!("a.{i}").into());
        let paused = Steer { curtailed: true, ..Steer::default() };
        for i in 0..MAX_STEERED {
            assert_eq!(steers.set(&who(i), paused), Some(true));
        }
        assert_eq!(steers.set(&who(MAX_STEERED), paused), None);
        assert_eq!(steers.set(&who(0), paused), Some(false));
        assert_eq!(steers.set(&who(0), Steer::default()), Some(true));
        assert_eq!(steers.set(&who(MAX_STEERED), paused), Some(true));
    }
}
