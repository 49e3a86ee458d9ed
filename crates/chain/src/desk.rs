//! Which node's work goes to the miners: the nodes' news in, one ordered story out. Pure, so that
//! any order of events can be tested; the thread that runs it is in `chain`.

use crate::{Template, Trouble, early::Tip};
use bitcoin::BlockHash;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How a node does.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeStatus {
    /// Its address.
    pub url: String,
    /// Whether it can be mined with.
    pub state: NodeState,
    /// Whether the miners' work comes from it now.
    pub active: bool,
    /// Its clock less ours in seconds, if known.
    pub clock_offset: Option<i64>,
    /// Its name and version, if known.
    pub version: Option<String>,
}

/// Whether a node can be mined with.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeState {
    /// Nothing is known yet.
    Connecting,
    /// It gives work.
    Up {
        /// Height of its best block.
        height: u32,
        /// Hash of its best block.
        tip: BlockHash,
    },
    /// It gives none.
    Down(Trouble),
}

/// What nodes tell. The order of one node's news is the order in which it happened.
#[derive(Debug)]
pub(crate) enum News {
    Up {
        node: usize,
        tip: Tip,
        version: Option<String>,
    },
    Tip {
        node: usize,
        tip: Tip,
    },
    /// Work on the node's tip. Early work is empty and superseded by the complete template.
    Work {
        node: usize,
        template: Arc<Template>,
        complete: bool,
        clock_offset: Option<i64>,
    },
    Down {
        node: usize,
        trouble: Trouble,
    },
}

/// What the miners are to be told, in this order.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    Work(Arc<Template>, bool),
    Wait(Trouble),
}

/// The nodes side by side.
#[derive(Debug)]
pub(crate) struct Desk {
    seats: Vec<Seat>,
    active: Option<usize>,
    /// When the last work lost its node, and the height it was on.
    lost: Option<(Instant, u32)>,
    /// The block that the last work was on, and its height; `None` while miners wait.
    announced: Option<(BlockHash, u32)>,
    waiting: Option<Trouble>,
}

#[derive(Debug)]
struct Seat {
    url: String,
    standing: Standing,
    work: Option<Arc<Template>>,
    complete: bool,
    clock_offset: Option<i64>,
    version: Option<String>,
}

#[derive(Debug)]
enum Standing {
    Unknown,
    Up {
        since: Instant,
        tip: Tip,
        /// Since when another node has been higher.
        behind: Option<Instant>,
    },
    Down(Trouble),
}

/// How long work may outlive its node, and how long to wait for another node of the same height.
const GRACE: Duration = Duration::from_secs(3);
/// How long a preferred node must be healthy before work goes back to it.
const TRUST: Duration = Duration::from_secs(10);
/// How long a node may lag behind another one before that one is used.
const LAG: Duration = Duration::from_secs(60);

impl Desk {
    pub(crate) fn new(urls: impl Iterator<Item = String>) -> Self {
        let seat = |url| Seat {
            url,
            standing: Standing::Unknown,
            work: None,
            complete: false,
            clock_offset: None,
            version: None,
        };
        Self {
            seats: urls.map(seat).collect(),
            active: None,
            lost: None,
            announced: None,
            waiting: None,
        }
    }

    /// The node that the miners' work comes from.
    pub(crate) fn active(&self) -> Option<usize> {
        self.active
    }

    /// Takes in one piece of news.
    pub(crate) fn hear(&mut self, news: News, now: Instant) -> Vec<Say> {
        let node = news.node();
        let Some(seat) = self.seats.get_mut(node) else { return Vec::new() };
        let mut fresh = None;
        match news {
            News::Up { tip, version, .. } => {
                seat.version = version;
                seat.standing = Standing::Up { since: now, tip, behind: None };
            }
            News::Tip { tip: new, .. } => {
                if let Standing::Up { tip, .. } = &mut seat.standing {
                    *tip = new;
                }
            }
            News::Work { template, complete, clock_offset, .. } => {
                let better =
                    seat.work.as_ref().is_none_or(|old| old.prev_hash != template.prev_hash)
                        || complete
                        || !seat.complete;
                if better {
                    seat.complete = complete;
                    seat.work = Some(template.clone());
                    fresh = Some(template);
                }
                seat.clock_offset = clock_offset.or(seat.clock_offset);
            }
            News::Down { trouble, .. } => {
                seat.standing = Standing::Down(trouble);
                seat.work = None;
            }
        }
        let before = self.active;
        let mut said = self.tick(now);
        if let Some(template) = fresh
            && before == Some(node)
            && self.active == before
        {
            said.push(self.say_work(template));
        }
        said
    }

    /// Does what is due by now: failover, failback, and telling the miners to wait.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Say> {
        self.time_the_laggards(now);
        if let Some(active) = self.active
            && !self.seats[active].gives_work()
        {
            self.active = None;
            self.lost = self.announced.map(|(_, height)| (now, height));
        }
        let chosen = match self.active {
            Some(active) => self.better_than(active, now),
            None => self.successor(now),
        };
        if let Some(node) = chosen {
            self.active = Some(node);
            self.lost = None;
            let work = self.seats[node].work.clone();
            return work.into_iter().map(|work| self.say_work(work)).collect();
        }
        self.wait(now).into_iter().collect()
    }

    /// For the API.
    pub(crate) fn statuses(&self) -> Vec<NodeStatus> {
        let status = |(index, seat): (usize, &Seat)| NodeStatus {
            url: seat.url.clone(),
            state: match &seat.standing {
                Standing::Unknown => NodeState::Connecting,
                Standing::Up { tip, .. } => NodeState::Up { height: tip.height, tip: tip.hash },
                Standing::Down(trouble) => NodeState::Down(trouble.clone()),
            },
            active: self.active == Some(index),
            clock_offset: seat.clock_offset,
            version: seat.version.clone(),
        };
        self.seats.iter().enumerate().map(status).collect()
    }

    fn say_work(&mut self, template: Arc<Template>) -> Say {
        self.waiting = None;
        let base = (template.prev_hash, template.height.saturating_sub(1));
        let new_tip = self.announced != Some(base);
        self.announced = Some(base);
        Say::Work(template, new_tip)
    }

    fn time_the_laggards(&mut self, now: Instant) {
        let highest = self.seats.iter().filter(|seat| seat.ready()).filter_map(Seat::height).max();
        for seat in &mut self.seats {
            if let Standing::Up { tip, behind, .. } = &mut seat.standing {
                if Some(tip.height) >= highest {
                    *behind = None;
                } else {
                    behind.get_or_insert(now);
                }
            }
        }
    }

    /// The node to go back to, or to flee to because the active one has fallen behind.
    fn better_than(&self, active: usize, now: Instant) -> Option<usize> {
        let height = self.seats[active].height();
        let back = (0..active).find(|node| {
            let seat = &self.seats[*node];
            seat.ready() && seat.trusted(now) && seat.height() >= height
        });
        let lagging = self.seats[active].behind_for(now) >= LAG;
        back.or_else(|| self.highest().filter(|node| lagging && *node != active))
    }

    /// The node to use when there is none.
    fn successor(&self, now: Instant) -> Option<usize> {
        let best = self.highest()?;
        let settled = match self.lost {
            // At the start, let the preferred nodes say how they are first.
            None => {
                self.seats[..best].iter().all(|seat| !matches!(seat.standing, Standing::Unknown))
            }
            Some((when, height)) => {
                self.seats[best].height() >= Some(height)
                    || now.saturating_duration_since(when) >= GRACE
            }
        };
        settled.then_some(best)
    }

    /// The first of the nodes that give work on the highest tip.
    fn highest(&self) -> Option<usize> {
        let able = |node: &usize| self.seats[*node].ready();
        let nodes = (0..self.seats.len()).rev().filter(able);
        nodes.max_by_key(|node| self.seats[*node].height())
    }

    fn wait(&mut self, now: Instant) -> Option<Say> {
        let recent = self.lost.is_some_and(|(when, _)| now.saturating_duration_since(when) < GRACE);
        if self.active.is_some() || recent {
            return None;
        }
        let mut troubles = Vec::new();
        for seat in &self.seats {
            match &seat.standing {
                Standing::Down(trouble) => troubles.push(trouble),
                // It may still turn out to be well, or its first work is on the way.
                Standing::Unknown | Standing::Up { .. } => return None,
            }
        }
        let trouble = (*troubles.first()?).clone();
        if self.waiting.as_ref().is_some_and(|told| told.same_kind(&trouble)) {
            return None;
        }
        self.announced = None;
        self.waiting = Some(trouble.clone());
        Some(Say::Wait(trouble))
    }
}

impl Seat {
    fn gives_work(&self) -> bool {
        matches!(self.standing, Standing::Up { .. }) && self.work.is_some()
    }

    /// Whether its work is on its tip.
    fn ready(&self) -> bool {
        match (&self.standing, &self.work) {
            (Standing::Up { tip, .. }, Some(work)) => work.prev_hash == tip.hash,
            _ => false,
        }
    }

    fn height(&self) -> Option<u32> {
        match &self.standing {
            Standing::Up { tip, .. } => Some(tip.height),
            _ => None,
        }
    }

    fn trusted(&self, now: Instant) -> bool {
        matches!(self.standing, Standing::Up { since, .. } if now.saturating_duration_since(since) >= TRUST)
    }

    fn behind_for(&self, now: Instant) -> Duration {
        match self.standing {
            Standing::Up { behind: Some(since), .. } => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        }
    }
}

impl News {
    fn node(&self) -> usize {
        match self {
            Self::Up { node, .. }
            | Self::Tip { node, .. }
            | Self::Work { node, .. }
            | Self::Down { node, .. } => *node,
        }
    }
}

#[cfg(test)]
mod tests;
