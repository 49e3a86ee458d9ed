//! Who may connect: counts of connections in all and by address, and bans where they are configured.
//!
//! Locked once when a connection comes and once when it goes, never for a share.

use crate::{config::Limits, session::End};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Strikes older than this are forgotten.
const STRIKE_MEMORY: Duration = Duration::from_secs(3600);
/// Addresses remembered for their strikes; more are not remembered, so that nobody can fill memory.
const MAX_REMEMBERED: usize = 65_536;

/// Why a connection was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    AddressLimit,
    Banned,
}

impl Refusal {
    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::AddressLimit => "address_limit",
            Self::Banned => "banned",
        }
    }
}

/// Counts of connections, as the outside sees them.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    /// Open now.
    pub open: usize,
    /// Most at once since the start.
    pub peak: usize,
    /// Turned away or ended by us, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    addresses: HashMap<IpAddr, Address>,
    counts: Connections,
}

#[derive(Debug, Default)]
struct Address {
    open: usize,
    strikes: u32,
    last_strike: Option<Instant>,
    banned_until: Option<Instant>,
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// Counts a new connection in, or says why it is not taken.
    pub(crate) fn enter(&self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { addresses, counts } = &mut *state;
        let known = addresses.get(&address);
        let refusal = if counts.open >= self.limits.connections {
            Some(Refusal::Full)
        } else if known.is_some_and(|known| known.banned_until.is_some_and(|until| now < until)) {
            Some(Refusal::Banned)
        } else if known.is_some_and(|known| known.open >= self.limits.connections_per_address) {
            Some(Refusal::AddressLimit)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            *counts.refused.entry(refusal.name()).or_default() += 1;
            return Err(refusal);
        }
        counts.open += 1;
        counts.peak = counts.peak.max(counts.open);
        addresses.entry(address).or_default().open += 1;
        Ok(())
    }

    /// Counts a connection out; `why` when we ended it.
    pub(crate) fn leave(&self, address: IpAddr, why: Option<End>, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { addresses, counts } = &mut *state;
        counts.open = counts.open.saturating_sub(1);
        if let Some(why) = why {
            *counts.refused.entry(why.name()).or_default() += 1;
        }
        let remembered = addresses.len() <= MAX_REMEMBERED;
        let Some(known) = addresses.get_mut(&address) else { return };
        known.open = known.open.saturating_sub(1);
        if self.limits.ban_after > 0 && why.is_some_and(End::is_abuse) {
            if known.last_strike.is_some_and(|last| now - last > STRIKE_MEMORY) {
                known.strikes = 0;
            }
            known.strikes += 1;
            known.last_strike = Some(now);
            if known.strikes >= self.limits.ban_after {
                known.strikes = 0;
                known.banned_until = Some(now + self.limits.ban);
            }
        }
        if known.open == 0 && !(remembered && known.last_strike.is_some()) {
            addresses.remove(&address);
        }
    }

    /// Forgets addresses whose strikes and bans are over.
    pub(crate) fn tidy(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.addresses.retain(|_, known| {
            known.open > 0
                || known.banned_until.is_some_and(|until| now < until)
                || known.last_strike.is_some_and(|last| now - last <= STRIKE_MEMORY)
        });
    }

    pub(crate) fn counts(&self) -> Connections {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).counts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(limits: Limits) -> (Gate, IpAddr, Instant) {
        (Gate::new(limits), IpAddr::from([127, 0, 0, 1]), Instant::now())
    }

    #[test]
    fn an_address_may_hold_so_many_connections_and_no_more() {
        let (gate, a, now) = gate(Limits { connections_per_address: 2, ..Limits::default() });
        assert_eq!(gate.enter(a, now), Ok(()));
        assert_eq!(gate.enter(a, now), Ok(()));
        assert_eq!(gate.enter(a, now), Err(Refusal::AddressLimit));
        assert_eq!(gate.enter([127, 0, 0, 2].into(), now), Ok(()));
        gate.leave(a, None, now);
        assert_eq!(gate.enter(a, now), Ok(()));
        let counts = gate.counts();
        assert_eq!((counts.open, counts.peak, counts.refused["address_limit"]), (3, 3, 1));
    }

    #[test]
    fn good_miners_behind_an_address_are_not_banned_for_a_bad_one_unless_a_rule_says_so() {
        let (gate1, a, now) = gate(Limits::default());
        for _ in 0..100 {
            assert_eq!(gate1.enter(a, now), Ok(()));
            gate1.leave(a, Some(End::InvalidShares), now);
        }
        let ban = Duration::from_secs(60);
        let (gate2, a, now) = gate(Limits { ban_after: 2, ban, ..Limits::default() });
        for _ in 0..2 {
            assert_eq!(gate2.enter(a, now), Ok(()));
            gate2.leave(a, Some(End::Garbage), now);
        }
        assert_eq!(gate2.enter(a, now), Err(Refusal::Banned));
        assert_eq!(gate2.enter(a, now + ban), Ok(()));
    }
}
