//! Why a share is refused: one reason each, counted apart.

/// A reason, with Stratum's code and a sentence for whoever reads the miner's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reject {
    /// The job id was never given out.
    UnknownJob,
    /// The job was good, but a newer block or many newer jobs have come since.
    Stale,
    /// The same share was sent before.
    Duplicate,
    /// The hash misses the session's target.
    LowDifficulty,
    /// The extranonce2 has not the size that the subscription announced, or is no hex.
    Extranonce2,
    /// The header time is before the network allows it.
    TimeTooOld,
    /// The header time is further ahead than the network allows it.
    TimeTooNew,
    /// Version bits outside the negotiated mask were changed.
    VersionBits,
    /// The parameters cannot be read.
    Malformed,
    /// The session has not authorized.
    Unauthorized,
    /// The session has not subscribed.
    NotSubscribed,
    /// There is no work: no node answers.
    NoWork,
    /// More shares than can be told apart: the difficulty is far too low for this machine.
    TooMany,
}

impl Reject {
    /// How many reasons there are.
    pub const COUNT: usize = 13;

    /// Every reason.
    pub const ALL: [Self; Self::COUNT] = [
        Self::UnknownJob,
        Self::Stale,
        Self::Duplicate,
        Self::LowDifficulty,
        Self::Extranonce2,
        Self::TimeTooOld,
        Self::TimeTooNew,
        Self::VersionBits,
        Self::Malformed,
        Self::Unauthorized,
        Self::NotSubscribed,
        Self::NoWork,
        Self::TooMany,
    ];

    /// Short name, as metrics and the ledger carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownJob => "unknown_job",
            Self::Stale => "stale",
            Self::Duplicate => "duplicate",
            Self::LowDifficulty => "low_difficulty",
            Self::Extranonce2 => "extranonce2",
            Self::TimeTooOld => "time_too_old",
            Self::TimeTooNew => "time_too_new",
            Self::VersionBits => "version_bits",
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::NotSubscribed => "not_subscribed",
            Self::NoWork => "no_work",
            Self::TooMany => "too_many",
        }
    }

    /// Stratum's error code.
    pub fn code(self) -> i32 {
        match self {
            Self::UnknownJob | Self::Stale => 21,
            Self::Duplicate => 22,
            Self::LowDifficulty => 23,
            Self::Unauthorized => 24,
            Self::NotSubscribed => 25,
            _ => 20,
        }
    }

    /// What the miner is told.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::UnknownJob => "unknown job id",
            Self::Stale => "stale: a newer block or job has replaced this one",
            Self::Duplicate => "duplicate share",
            Self::LowDifficulty => "low difficulty: the hash misses the share target",
            Self::Extranonce2 => "extranonce2 has not the announced size",
            Self::TimeTooOld => "ntime is before the earliest the network allows",
            Self::TimeTooNew => "ntime is too far ahead",
            Self::VersionBits => "version bits outside the negotiated mask",
            Self::Malformed => "the share's parameters cannot be read",
            Self::Unauthorized => "authorize first",
            Self::NotSubscribed => "subscribe first",
            Self::NoWork => {
                "no work now: the bitcoin node does not answer or this machine is paused, please wait"
            }
            Self::TooMany => "too many shares: ask for a higher difficulty",
        }
    }

    /// Whether the sender is to blame: nobody is for late shares or a node that is down.
    pub(crate) fn is_fault(self) -> bool {
        !matches!(self, Self::Stale | Self::NoWork)
    }
}
