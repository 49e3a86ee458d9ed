//! One connection's state: who it is, what it was told, how its shares come. Never does I/O.

use crate::{
    coinbase::{EXTRANONCE1_SIZE, Payout},
    config::Port,
    steer::Steer,
    vardiff::Vardiff,
};
use std::{net::SocketAddr, sync::Arc};
use units::{Difficulty, Work};

/// Difficulties a session remembers for its older jobs.
const GENERATIONS: usize = 4;

/// Why a connection is ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A line longer than allowed.
    LineTooLong,
    /// What came is not Stratum.
    Garbage,
    /// Too many rejected shares in a row.
    InvalidShares,
    /// Not subscribed and authorized in time.
    HandshakeTimeout,
    /// Silent for too long.
    Idle,
    /// Does not read what it is sent.
    SlowReader,
    /// The server's owner paused the machine.
    Curtailed,
}

impl End {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::LineTooLong,
        Self::Garbage,
        Self::InvalidShares,
        Self::HandshakeTimeout,
        Self::Idle,
        Self::SlowReader,
        Self::Curtailed,
    ];

    /// Short name, as metrics carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::Garbage => "garbage",
            Self::InvalidShares => "invalid_shares",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Idle => "idle",
            Self::SlowReader => "slow_reader",
            Self::Curtailed => "curtailed",
        }
    }

    /// Whether it counts towards a ban of the address, where the configuration wants bans.
    pub(crate) fn is_abuse(self) -> bool {
        matches!(self, Self::LineTooLong | Self::Garbage | Self::InvalidShares)
    }
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) port: u16,
    /// Connected and last heard of, milliseconds since the server started.
    pub(crate) opened_ms: u64,
    pub(crate) heard_ms: u64,
    pub(crate) subscribed: bool,
    pub(crate) wants_extranonce: bool,
    /// Has its first job.
    pub(crate) ready: bool,
    /// Number of the last job it was sent; 0 before the first.
    pub(crate) last_job: u32,
    /// Has been reported to the sink.
    pub(crate) reported: bool,
    pub(crate) ending: bool,
    pub(crate) bad_lines: u8,
    pub(crate) extranonce1: [u8; EXTRANONCE1_SIZE],
    /// The extranonce1 before it was renewed, and the generation it was renewed with.
    pub(crate) old_extranonce1: Option<([u8; EXTRANONCE1_SIZE], u8)>,
    /// Version bits it may roll; 0 until negotiated.
    pub(crate) version_mask: u32,
    pub(crate) worker: Option<u32>,
    pub(crate) payout: Option<Arc<Payout>>,
    pub(crate) user_agent: Option<Arc<str>>,
    /// The beginning of a line whose end has not arrived.
    pub(crate) partial: Vec<u8>,
    pub(crate) difficulty: Ladder,
    pub(crate) vardiff: Vardiff,
    /// Asked for in the password: vardiff never goes below.
    pub(crate) floor: Option<Difficulty>,
    pub(crate) suggested: Option<Difficulty>,
    /// A suggestion that came too soon after another, and when the next may count.
    pub(crate) waiting_wish: Option<Difficulty>,
    pub(crate) next_wish_ms: u64,
    pub(crate) accepted: u64,
    pub(crate) work: Work,
    /// Shares that missed their target or came twice.
    pub(crate) faulty: u64,
    pub(crate) steer: Steer,
    /// When it was curtailed, milliseconds since the server started.
    pub(crate) curtailed_ms: u64,
    /// Difficulty before its share interval was steered, on a port without vardiff.
    pub(crate) unsteered: Option<Difficulty>,
    pub(crate) rejected_in_a_row: u32,
    pub(crate) duplicates_in_a_row: u32,
}

impl Session {
    pub(crate) fn new(
        id: u64,
        peer: SocketAddr,
        (index, port): (u16, &Port),
        extranonce1: [u8; EXTRANONCE1_SIZE],
        now_ms: u64,
    ) -> Self {
        let start = Difficulty::new(port.start_difficulty).unwrap_or(Difficulty::ONE);
        Self {
            id,
            peer,
            port: index,
            opened_ms: now_ms,
            heard_ms: now_ms,
            subscribed: false,
            wants_extranonce: false,
            ready: false,
            last_job: 0,
            reported: false,
            ending: false,
            bad_lines: 0,
            extranonce1,
            old_extranonce1: None,
            version_mask: 0,
            worker: None,
            payout: None,
            user_agent: None,
            partial: Vec::new(),
            difficulty: Ladder::new(port.fit(start)),
            vardiff: Vardiff::new(now_ms),
            floor: None,
            suggested: None,
            waiting_wish: None,
            next_wish_ms: 0,
            accepted: 0,
            work: Work::ZERO,
            faulty: 0,
            steer: Steer::default(),
            curtailed_ms: 0,
            unsteered: None,
            rejected_in_a_row: 0,
            duplicates_in_a_row: 0,
        }
    }

    /// Generations come round: an extranonce1 given up long ago must not come back with them.
    pub(crate) fn forget_old_extranonce(&mut self) {
        let age = |of: u8| self.difficulty.generation().wrapping_sub(of);
        if self.old_extranonce1.is_some_and(|(_, renewed)| age(renewed) >= 128) {
            self.old_extranonce1 = None;
        }
    }

    /// The extranonce1 that shares of this generation were made with.
    pub(crate) fn extranonce1_for(&self, generation: u8) -> [u8; EXTRANONCE1_SIZE] {
        let age = |of: u8| self.difficulty.generation().wrapping_sub(of);
        match self.old_extranonce1 {
            Some((old, renewed)) if age(generation) > age(renewed) => old,
            _ => self.extranonce1,
        }
    }
}

/// The latest difficulties of a session. Each job id carries the generation it was sent under, so
/// that a change never makes work in flight worthless.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ladder {
    steps: [Difficulty; GENERATIONS],
    generation: u8,
}

impl Ladder {
    pub(crate) fn new(start: Difficulty) -> Self {
        Self { steps: [start; GENERATIONS], generation: 0 }
    }

    pub(crate) fn current(&self) -> Difficulty {
        self.steps[usize::from(self.generation) % GENERATIONS]
    }

    pub(crate) fn generation(&self) -> u8 {
        self.generation
    }

    /// The next difficulty, under a new generation.
    pub(crate) fn push(&mut self, next: Difficulty) {
        self.generation = self.generation.wrapping_add(1);
        self.steps[usize::from(self.generation) % GENERATIONS] = next;
    }

    /// The difficulty before any job was sent.
    pub(crate) fn replace(&mut self, start: Difficulty) {
        *self = Self { generation: self.generation, ..Self::new(start) };
    }

    /// What a share for a job of this generation must meet and is credited with: the lower of then
    /// and now, because firmware differs in when it applies a change. `None` for a generation that
    /// was never sent.
    pub(crate) fn required(&self, generation: u8) -> Option<Difficulty> {
        let age = self.generation.wrapping_sub(generation);
        match usize::from(age) {
            0 => Some(self.current()),
            128.. => None,
            age if age < GENERATIONS => {
                Some(self.current().min(self.steps[usize::from(generation) % GENERATIONS]))
            }
            _ => Some(self.steps.into_iter().fold(self.current(), Difficulty::min)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_for_an_older_job_needs_the_lower_of_the_two_difficulties() {
        let difficulty = |d| Difficulty::new(d).unwrap();
        let mut ladder = Ladder::new(difficulty(8.0));
        ladder.push(difficulty(64.0));
        assert_eq!(ladder.required(0), Some(difficulty(8.0)));
        assert_eq!(ladder.required(1), Some(difficulty(64.0)));
        assert_eq!(ladder.required(2), None);
        ladder.push(difficulty(4.0));
        assert_eq!(ladder.required(1), Some(difficulty(4.0)));
        for step in [16.0, 32.0, 64.0, 128.0] {
            ladder.push(difficulty(step));
        }
        assert_eq!(ladder.required(0), Some(difficulty(16.0)));
    }

    #[test]
    fn generations_wrap_without_reviving_old_ones() {
        let mut ladder = Ladder::new(Difficulty::ONE);
        for _ in 0..300 {
            ladder.push(Difficulty::ONE);
        }
        assert_eq!(ladder.generation(), 44);
        assert!(ladder.required(44).is_some() && ladder.required(43).is_some());
        assert!(ladder.required(45).is_none());
    }
}
