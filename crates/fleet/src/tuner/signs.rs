//! Signs of life of a machine in a trial: that it answers, and that its work reaches the server. Decides
//! nothing about the trial.

use crate::readings::Moment;
use std::time::Duration;

/// Without an answer for this long a trial is left.
pub(super) const SILENT: Duration = Duration::from_secs(30);
/// Without a new share for this long a trial is left.
const WORKLESS: Duration = Duration::from_secs(60);

/// When it last gave each sign.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signs {
    heard: Option<Moment>,
    proved: Option<(Moment, u64)>,
}

impl Signs {
    /// Notes what was seen: whether it answered, and its shares so far. True if it has been silent, or
    /// workless, for too long since it settled; until then it may restart.
    pub(super) fn are_missing(
        &mut self,
        at: Moment,
        answered: bool,
        shares: Option<u64>,
        settled: Moment,
    ) -> bool {
        if answered {
            self.heard = Some(at);
        }
        if let Some(shares) = shares
            && self.proved.is_none_or(|(_, before)| before != shares)
        {
            self.proved = Some((at, shares));
        }
        let longer = |than: Duration, since: Option<Moment>| {
            let from = since.filter(|since| *since > settled).unwrap_or(settled);
            at.since(from) > than
        };
        longer(SILENT, self.heard) || longer(WORKLESS, self.proved.map(|(at, _)| at))
    }
}
