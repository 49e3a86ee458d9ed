//! Solved blocks after they are safe on disk: sent to every node until each has answered, followed
//! on the chain until it has settled them, and reported whenever they change their standing.

use crate::{
    BlockState, Listener, RpcError,
    check::header,
    node::Node,
    rpc::read_result,
    store::{Facts, Store},
};
use bitcoin::BlockHash;
use bytes::Bytes;
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, mpsc::UnboundedReceiver},
    task::{JoinError, JoinSet},
    time::sleep_until,
};
use tracing::{debug, error, info, warn};

/// What [`crate::Chain`] asks for.
pub(crate) enum Order {
    Submit { facts: Facts, block: Bytes, on_disk: bool },
    Stop,
}

/// All solved blocks that are not settled.
pub(crate) struct Tracker {
    nodes: Vec<Arc<Node>>,
    store: Store,
    listener: Arc<dyn Listener>,
    confirmations: u32,
    moved: Arc<Notify>,
    blocks: HashMap<BlockHash, Tracked>,
    submissions: JoinSet<(BlockHash, usize, Verdict)>,
    surveys: JoinSet<Vec<(BlockHash, Sight)>>,
}

struct Tracked {
    facts: Facts,
    /// The block itself, where the disk does not have it.
    block: Option<Bytes>,
    /// One for each node.
    verdicts: Vec<Verdict>,
    standing: Standing,
    reported: Option<Standing>,
    /// When the final state that it has now was first reported.
    final_since: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    state: BlockState,
    confirmations: u32,
}

/// One node's answer to one block.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// To be sent; `again` after an attempt that failed.
    Due {
        again: bool,
    },
    Underway,
    Taken,
    Refused(String),
}

/// What the nodes' chains say of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sight {
    /// Bitcoin Core's count: 1 for the tip, -1 outside the best chain.
    confirmations: Option<i64>,
    /// Nodes that do not know it.
    unknown_to: Vec<usize>,
}

/// Once a tip has come, the chain is looked at; without one, this often.
const SURVEY_INTERVAL: Duration = Duration::from_secs(15);
/// The same while a node that is up has not taken a block.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Tips of a private chain can come by the hundred.
const SURVEY_SPACING: Duration = Duration::from_millis(100);
/// How long blocks found on disk wait for the first node before they are reported.
const FIRST_SURVEY: Duration = Duration::from_secs(5);
/// A big block on a slow node: longer than any validation.
const SUBMIT_PATIENCE: Duration = Duration::from_secs(120);
/// A final state is reported twice, this far apart, before the block is put away.
const FINAL_FOR: Duration = Duration::from_secs(60);
/// No reorganisation brings back an orphan this deep.
const BURIED: u32 = 100;

impl Tracker {
    pub(crate) fn new(
        nodes: Vec<Arc<Node>>,
        store: Store,
        listener: Arc<dyn Listener>,
        confirmations: u32,
        moved: Arc<Notify>,
        found: Vec<Facts>,
    ) -> Self {
        let count = nodes.len();
        let blocks =
            found.into_iter().map(|facts| (facts.hash, Tracked::new(facts, None, count))).collect();
        Self {
            nodes,
            store,
            listener,
            confirmations,
            moved,
            blocks,
            submissions: JoinSet::new(),
            surveys: JoinSet::new(),
        }
    }

    /// Until it is told to stop.
    pub(crate) async fn run(mut self, mut inbox: UnboundedReceiver<Order>) {
        if !self.blocks.is_empty() {
            info!("{} solved blocks on disk are followed", self.blocks.len());
        }
        let moved = self.moved.clone();
        let mut last = Instant::now();
        let mut next = last + FIRST_SURVEY;
        loop {
            tokio::select! {
                biased;
                order = inbox.recv() => match order {
                    Some(Order::Submit { facts, block, on_disk }) => {
                        self.adopt(facts, block, on_disk);
                    }
                    Some(Order::Stop) | None => break,
                },
                Some(outcome) = self.submissions.join_next() => {
                    match outcome {
                        Ok((hash, node, verdict)) => self.judge(hash, node, verdict),
                        Err(failure) => self.submit_again(&failure),
                    }
                    next = next.min(last + SURVEY_SPACING);
                }
                Some(Ok(sights)) = self.surveys.join_next() => {
                    self.apply(sights);
                    next = next.min(last + self.pause());
                }
                () = moved.notified() => next = next.min(last + SURVEY_SPACING),
                () = sleep_until(next.into()), if self.surveys.is_empty() => {
                    last = Instant::now();
                    next = last + SURVEY_INTERVAL;
                    self.submit_due();
                    self.survey();
                }
            }
        }
        while self.submissions.join_next().await.is_some() {}
    }

    fn adopt(&mut self, facts: Facts, block: Bytes, on_disk: bool) {
        let hash = facts.hash;
        info!("block {hash} solved at height {} by {}", facts.height, facts.worker);
        let body = submit_body(&block);
        let kept = (!on_disk).then_some(block);
        let mut tracked = Tracked::new(facts, kept, self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            tracked.verdicts[index] = Verdict::Underway;
            let (node, body) = (node.clone(), body.clone());
            self.submissions
                .spawn(async move { (hash, index, submit(&node, hash, body, false).await) });
        }
        self.report(&mut tracked);
        self.blocks.insert(hash, tracked);
    }

    fn submit_due(&mut self) {
        for (hash, tracked) in &mut self.blocks {
            let hash = *hash;
            for (index, node) in self.nodes.iter().enumerate() {
                let Verdict::Due { again } = tracked.verdicts[index] else { continue };
                if !node.is_up() {
                    continue;
                }
                tracked.verdicts[index] = Verdict::Underway;
                let (node, store, kept) = (node.clone(), self.store.clone(), tracked.block.clone());
                self.submissions.spawn(async move {
                    let read = move || match kept {
                        Some(block) => Ok(submit_body(&block)),
                        None => store.block(hash).map(|block| submit_body(&block)),
                    };
                    let verdict = match tokio::task::spawn_blocking(read).await {
                        Ok(Ok(body)) => submit(&node, hash, body, again).await,
                        Ok(Err(error)) => {
                            error!("the block {hash} cannot be read from disk: {error}");
                            Verdict::Due { again: true }
                        }
                        Err(_) => Verdict::Due { again: true },
                    };
                    (hash, index, verdict)
                });
            }
        }
    }

    fn judge(&mut self, hash: BlockHash, node: usize, verdict: Verdict) {
        if let Some(tracked) = self.blocks.get_mut(&hash) {
            tracked.verdicts[node] = verdict;
        }
    }

    /// After a bug that hides which submission it was: twice is harmless.
    fn submit_again(&mut self, failure: &JoinError) {
        error!("a block's submission failed and is repeated: {failure}");
        let verdicts = self.blocks.values_mut().flat_map(|b| &mut b.verdicts);
        for verdict in verdicts.filter(|verdict| **verdict == Verdict::Underway) {
            *verdict = Verdict::Due { again: true };
        }
    }

    /// Asks the nodes where all blocks stand. On its own, because a node may be slow and a new
    /// block must not wait.
    fn survey(&mut self) {
        let hashes: Vec<BlockHash> = self.blocks.keys().copied().collect();
        if hashes.is_empty() {
            return;
        }
        let mut nodes: Vec<(usize, Arc<Node>)> = self.nodes.iter().cloned().enumerate().collect();
        nodes.retain(|(_, node)| node.is_up());
        nodes.sort_by_key(|(index, node)| (!node.is_active(), *index));
        self.surveys.spawn(async move {
            let mut sights = Vec::new();
            for hash in hashes {
                sights.push((hash, look_for(hash, &mut nodes).await));
            }
            sights
        });
    }

    fn apply(&mut self, sights: Vec<(BlockHash, Sight)>) {
        let up: Vec<bool> = self.nodes.iter().map(|node| node.is_up()).collect();
        let height = self.nodes.iter().filter_map(|node| node.height()).max();
        for (hash, sight) in sights {
            let Some(mut tracked) = self.blocks.remove(&hash) else { continue };
            for node in &sight.unknown_to {
                // It has lost the block, maybe in a crash of its own.
                if tracked.verdicts[*node] == Verdict::Taken {
                    tracked.verdicts[*node] = Verdict::Due { again: true };
                }
            }
            tracked.standing = tracked.judged(sight.confirmations, self.confirmations, &up);
            self.report(&mut tracked);
            if !self.put_away(&mut tracked, height) {
                self.blocks.insert(hash, tracked);
            }
        }
    }

    /// Whether the block is settled and has been moved away.
    fn put_away(&self, tracked: &mut Tracked, height: Option<u32>) -> bool {
        if !tracked.is_final(height) {
            tracked.final_since = None;
            return false;
        }
        let since = *tracked.final_since.get_or_insert_with(Instant::now);
        if since.elapsed() < FINAL_FOR {
            return false;
        }
        self.tell(tracked);
        if tracked.block.is_none()
            && let Err(error) = self.store.settle(tracked.facts.hash)
        {
            warn!("the settled block {} stays where it is: {error}", tracked.facts.hash);
        }
        true
    }

    fn report(&self, tracked: &mut Tracked) {
        let same = tracked.reported.as_ref().is_some_and(|reported| {
            let counts = tracked.standing.state == BlockState::Candidate;
            reported.state == tracked.standing.state
                && (!counts || reported.confirmations == tracked.standing.confirmations)
        });
        if same {
            return;
        }
        let hash = tracked.facts.hash;
        let changed = tracked
            .reported
            .as_ref()
            .is_none_or(|reported| reported.state != tracked.standing.state);
        match &tracked.standing.state {
            BlockState::Pending => debug!("block {hash}: no node has it yet"),
            BlockState::Candidate if changed => info!("block {hash} is in the best chain"),
            BlockState::Candidate => {}
            BlockState::Confirmed => info!("block {hash} is confirmed"),
            BlockState::Orphaned => warn!("block {hash} is not in the best chain"),
            BlockState::Rejected(reason) => warn!("block {hash} is refused: {reason}"),
        }
        tracked.reported = Some(tracked.standing.clone());
        self.tell(tracked);
    }

    fn tell(&self, tracked: &Tracked) {
        let Standing { state, confirmations } = tracked.standing.clone();
        let report = tracked.facts.report(state, confirmations);
        // A bug of the listener must not stop the submissions.
        if catch_unwind(AssertUnwindSafe(|| self.listener.block(report))).is_err() {
            error!("the listener for blocks panicked");
        }
    }

    fn pause(&self) -> Duration {
        let waits = |tracked: &Tracked| {
            let verdicts = tracked.verdicts.iter().zip(&self.nodes);
            verdicts
                .into_iter()
                .any(|(verdict, node)| matches!(verdict, Verdict::Due { .. }) && node.is_up())
        };
        if self.blocks.values().any(waits) { RETRY_INTERVAL } else { SURVEY_INTERVAL }
    }
}

impl Tracked {
    fn new(facts: Facts, block: Option<Bytes>, nodes: usize) -> Self {
        Self {
            facts,
            block,
            verdicts: vec![Verdict::Due { again: false }; nodes],
            standing: Standing { state: BlockState::Pending, confirmations: 0 },
            reported: None,
            final_since: None,
        }
    }

    /// Where it stands by what the chain and the nodes' answers say.
    fn judged(&self, seen: Option<i64>, enough: u32, up: &[bool]) -> Standing {
        let none = |state| Standing { state, confirmations: 0 };
        match seen.map(u32::try_from) {
            Some(Ok(confirmations)) if confirmations >= 1 => Standing {
                state: if confirmations >= enough {
                    BlockState::Confirmed
                } else {
                    BlockState::Candidate
                },
                confirmations,
            },
            // A node also remembers the headers of blocks that it has found wrong.
            outside => match self.refusal(up) {
                Some(reason) => none(BlockState::Rejected(reason)),
                None if outside.is_some() => none(BlockState::Orphaned),
                None if matches!(self.standing.state, BlockState::Rejected(_)) => {
                    none(BlockState::Pending)
                }
                // No node could say: it stands where it stood.
                None => self.standing.clone(),
            },
        }
    }

    /// The reason, if all nodes that are up have refused it.
    fn refusal(&self, up: &[bool]) -> Option<String> {
        let mut reason = None;
        for (verdict, up) in self.verdicts.iter().zip(up) {
            match verdict {
                Verdict::Refused(why) => reason = reason.or(Some(why.clone())),
                Verdict::Due { .. } if !up => {}
                Verdict::Due { .. } | Verdict::Underway | Verdict::Taken => return None,
            }
        }
        reason
    }

    fn is_final(&self, height: Option<u32>) -> bool {
        match self.standing.state {
            BlockState::Confirmed => true,
            BlockState::Orphaned => {
                height.is_some_and(|height| height.saturating_sub(self.facts.height) > BURIED)
            }
            BlockState::Rejected(_) => {
                self.verdicts.iter().all(|verdict| matches!(verdict, Verdict::Refused(_)))
            }
            BlockState::Pending | BlockState::Candidate => false,
        }
    }
}

async fn look_for(hash: BlockHash, nodes: &mut Vec<(usize, Arc<Node>)>) -> Sight {
    let mut sight = Sight::default();
    let mut silent = Vec::new();
    for (index, node) in nodes.iter() {
        match header(&node.rpc, hash).await {
            Ok(Some(header)) => {
                sight.confirmations = Some(header.confirmations);
                break;
            }
            Ok(None) => sight.unknown_to.push(*index),
            Err(error) => {
                debug!("{}: {error}", node.url());
                silent.push(*index);
            }
        }
    }
    // Not asked again for each further block.
    nodes.retain(|(index, _)| !silent.contains(index));
    sight
}

fn submit_body(block: &[u8]) -> Bytes {
    let hex = const_hex::encode(block);
    format!(r#"{{"jsonrpc":"1.0","id":0,"method":"submitblock","params":["{hex}"]}}"#).into()
}

async fn submit(node: &Node, hash: BlockHash, body: Bytes, again: bool) -> Verdict {
    let answer = node.rpc.post(body, SUBMIT_PATIENCE).await;
    let answer = answer.and_then(|answer| read_result::<Option<String>>(&answer));
    let verdict = judge_answer(&answer);
    let url = node.url();
    match (&verdict, answer) {
        (Verdict::Taken, Ok(said)) => info!(
            "block {hash} taken by {url}{}",
            said.map_or_else(String::new, |said| format!(" ({said})"))
        ),
        (Verdict::Refused(reason), _) => warn!("block {hash} refused by {url}: {reason}"),
        (_, Ok(said)) if !again => warn!(
            "block {hash} not taken yet by {url} ({}): it is sent again",
            said.unwrap_or_default()
        ),
        (_, Err(error)) if !again => {
            warn!("block {hash} not taken yet by {url} ({error}): it is sent again");
        }
        (_, said) => debug!("block {hash} not taken yet by {url}: {said:?}"),
    }
    verdict
}

/// BIP 22's answers as Bitcoin Core gives them (`submitblock` in src/rpc/mining.cpp).
fn judge_answer(answer: &Result<Option<String>, RpcError>) -> Verdict {
    /// `RPC_DESERIALIZATION_ERROR`
    const NO_BLOCK: i64 = -22;
    match answer {
        Ok(None) => Verdict::Taken,
        Ok(Some(said)) => match said.as_str() {
            // Inconclusive: stored, but not the best chain, as in a race of two blocks.
            "duplicate" | "inconclusive" | "duplicate-inconclusive" => Verdict::Taken,
            // The node is behind: it has not seen the block that this one builds on.
            "prev-blk-not-found" => Verdict::Due { again: true },
            reason => Verdict::Refused(reason.into()),
        },
        Err(RpcError::Node { code: NO_BLOCK, message }) => Verdict::Refused(message.clone()),
        Err(_) => Verdict::Due { again: true },
    }
}

#[cfg(test)]
mod tests;
