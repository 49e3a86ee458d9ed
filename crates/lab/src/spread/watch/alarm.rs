//! Alarms: a pool that does not build on a tip that others build on. An order to orphan shows here
//! first; so do slow links and honest races, which end by themselves.

use super::{Observed, Tip, Watch};
use std::time::Duration;

/// What a pool does that others do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// It stays on an older block.
    Behind,
    /// It builds on another block of the same height.
    Rival,
    /// It builds on a block that nobody else builds on.
    Alone,
}

impl AlarmKind {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Behind => "stays on an older block",
            Self::Rival => "builds on a rival block",
            Self::Alone => "builds on a block nobody else has",
        }
    }
}

/// A pool was off the others' tip for longer than the patience.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// Index of the source.
    pub source: usize,
    /// What it does.
    pub kind: AlarmKind,
    /// The tip it does not build on; for [`AlarmKind::Alone`] the one it does.
    pub tip: [u8; 32],
    /// Height of the block to be found on that tip.
    pub height: Option<u32>,
    /// How many others build on that tip.
    pub backers: usize,
    /// From when it could have.
    pub since: Duration,
    /// When it came round; `None` if it has not, as far as is known.
    pub until: Option<Duration>,
}

impl Watch {
    /// All alarms up to `now`, ended ones included, in the order they began.
    ///
    /// A tip counts when the own node builds on it, which then has found it valid; without an own node
    /// when two others do, or the only other one.
    pub fn alarms(&self, now: Duration) -> Vec<Alarm> {
        let tips = self.tips();
        let mut alarms = Vec::new();
        for (source, pool) in self.pools.iter().enumerate() {
            let mut last: Option<Alarm> = None;
            for tip in tips.iter().filter(|tip| self.counts(tip, source)) {
                let Some(alarm) = self.against(source, pool, tip, now) else { continue };
                // Staying away from a block's children as well is one and the same.
                match &mut last {
                    Some(earlier) if earlier.until.is_none_or(|until| alarm.since <= until) => {
                        earlier.until = earlier.until.and_then(|a| alarm.until.map(|b| a.max(b)));
                    }
                    _ => {
                        alarms.extend(last.replace(alarm));
                    }
                }
            }
            alarms.extend(last);
            alarms.extend(self.alone(source, pool, &tips, now));
        }
        alarms.sort_by_key(|alarm| (alarm.since, alarm.source));
        alarms
    }

    fn counts(&self, tip: &Tip, source: usize) -> bool {
        let own = self.pools.iter().position(|pool| pool.own_node);
        let others = tip.backers.iter().filter(|backer| **backer != source).count();
        match own {
            Some(own) if own != source => tip.backers.contains(&own),
            _ => others >= 2.min(self.pools.len() - 1).max(1),
        }
    }

    fn against(&self, source: usize, pool: &Observed, tip: &Tip, now: Duration) -> Option<Alarm> {
        let began = pool.visits.front()?.first;
        let since = tip.first.max(began);
        let beyond = |height: Option<u32>| height.zip(tip.height).is_some_and(|(h, t)| h > t);
        let reached = pool
            .visits
            .iter()
            .find(|visit| visit.tip == tip.hash || beyond(visit.height))
            .map(|visit| visit.first);
        let gone = pool.lost.as_ref().map(|(at, _)| *at);
        let end = reached.or(gone).unwrap_or(now);
        if end.saturating_sub(since) <= self.settings.patience.0 {
            return None;
        }
        let rival = tip.height.is_some()
            && pool.visits.iter().any(|visit| {
                visit.height == tip.height && visit.tip != tip.hash && visit.first <= end
            });
        Some(Alarm {
            source,
            kind: if rival { AlarmKind::Rival } else { AlarmKind::Behind },
            tip: tip.hash,
            height: tip.height,
            backers: tip.backers.iter().filter(|backer| **backer != source).count(),
            since,
            until: reached.or(gone),
        })
    }

    /// Whether a pool now builds on what nobody else does, although it is not behind.
    fn alone(&self, source: usize, pool: &Observed, tips: &[Tip], now: Duration) -> Option<Alarm> {
        if pool.own_node || pool.lost.is_some() {
            return None;
        }
        let visit = pool.visits.back()?;
        let tip = tips.iter().find(|tip| tip.hash == visit.tip)?;
        let others =
            self.pools.iter().enumerate().filter(|(i, other)| {
                *i != source && other.lost.is_none() && !other.visits.is_empty()
            });
        let (mut count, mut higher) = (0, false);
        for (_, other) in others {
            count += 1;
            higher |= other.visits.back().is_some_and(|v| v.height > visit.height);
        }
        let long = now.saturating_sub(visit.first) > self.settings.patience.0;
        (tip.backers == [source] && count >= 2 && !higher && long).then_some(Alarm {
            source,
            kind: AlarmKind::Alone,
            tip: tip.hash,
            height: tip.height,
            backers: 0,
            since: visit.first,
            until: None,
        })
    }
}
