//! One node and the tasks that watch it: its tip, its templates, its health. Tells the desk what
//! it learns, in the order in which it happened; never decides whether that reaches the miners.

use crate::{
    Config, Network, NodeConfig, Rpc, RpcError, Template, Trouble,
    check::{self, PATIENCE},
    desk::News,
    early::{Ground, MEDIAN_SPAN, Said, Tip},
    offer::Offer,
};
use bitcoin::{BlockHash, CompactTarget};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::Sender,
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};
use tracing::{debug, info, warn};

/// A configured node.
pub(crate) struct Node {
    index: usize,
    network: Network,
    refresh: Duration,
    coinbase_reserve: u64,
    /// For everything that is answered at once.
    pub(crate) rpc: Rpc,
    /// For the one call that waits for the next block: its connection is never shared.
    waiter: Rpc,
    desk: Sender<News>,
    view: Mutex<View>,
    /// The tip has changed: a new template is due.
    renew: Notify,
    lead_us: AtomicU64,
    /// The tip has changed or the node has come up: solved blocks are looked at again.
    moved: Arc<Notify>,
    /// It gives work.
    up: AtomicBool,
    /// The miners' work comes from another node.
    standby: AtomicBool,
}

/// What is known of the node's chain. News is sent while this is locked, so that it leaves in
/// the order in which it was learned.
#[derive(Default)]
struct View {
    tip: Option<Tip>,
    /// Counts the tips, to tell an answer to an old question from a newer tip.
    changes: u64,
    /// The tip that the last complete template is on.
    complete: Option<BlockHash>,
    /// The tip that the last empty template was told of.
    early: Option<BlockHash>,
    ground: Option<Ground>,
}

/// How long the node holds `waitfornewblock`; a node that hangs is noticed this much later.
const TIP_WAIT: Duration = Duration::from_secs(5);
const TIP_PATIENCE: Duration = Duration::from_secs(15);
/// A long poll ends with the next block or new fees. Asked again in case the connection died.
const LONG_POLL_PATIENCE: Duration = Duration::from_secs(600);
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
/// A node that gives no work to miners leaves the processor to the one that does.
const STANDBY_DELAY: Duration = Duration::from_secs(1);
/// Between two answers without news: a server that does not wait must not be asked in a loop.
const PACE: Duration = Duration::from_millis(100);
/// The longest that a complete template is put off for an empty one to go out.
const LONGEST_LEAD: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Node {
    pub(crate) fn new(
        index: usize,
        node: &NodeConfig,
        config: &Config,
        desk: Sender<News>,
        moved: Arc<Notify>,
    ) -> Result<Self, RpcError> {
        Ok(Self {
            index,
            network: config.network,
            refresh: config.refresh,
            coinbase_reserve: config.coinbase_reserve,
            rpc: Rpc::new(&node.url, node.auth.clone())?,
            waiter: Rpc::new(&node.url, node.auth.clone())?,
            desk,
            view: Mutex::default(),
            renew: Notify::new(),
            lead_us: AtomicU64::new(0),
            moved,
            up: AtomicBool::new(false),
            standby: AtomicBool::new(false),
        })
    }

    pub(crate) fn url(&self) -> &str {
        self.rpc.url()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Whether it is up and the miners' work comes from it.
    pub(crate) fn is_active(&self) -> bool {
        self.is_up() && !self.standby.load(Ordering::Relaxed)
    }

    /// Told by the desk.
    pub(crate) fn set_standby(&self, standby: bool) {
        self.standby.store(standby, Ordering::Relaxed);
    }

    /// Told by the desk, as the listener says it.
    pub(crate) fn set_lead(&self, lead: Duration) {
        let lead = lead.min(LONGEST_LEAD).as_micros();
        self.lead_us.store(u64::try_from(lead).unwrap_or(0), Ordering::Relaxed);
    }

    /// Height of its best block, if it is up.
    pub(crate) fn height(&self) -> Option<u32> {
        self.view().tip.filter(|_| self.is_up()).map(|tip| tip.height)
    }

    /// Connects, serves and connects again, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        let mut told: Option<Trouble> = None;
        loop {
            let trouble = match self.connect().await {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    told = None;
                    self.serve().await
                }
                Err(trouble) => trouble,
            };
            self.go_down(trouble.clone());
            if told.as_ref().is_none_or(|old| !old.same_kind(&trouble)) {
                warn!("{trouble}");
            } else {
                debug!("{trouble}");
            }
            told = Some(trouble);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn connect(&self) -> Result<(), Trouble> {
        check::look(&self.rpc, self.network).await?;
        let about = check::about(&self.rpc).await?;
        let offer = self.fetch(&self.rpc, None).await?;
        let version = about.map(|about| about.subversion);
        let tip = tip_of(&offer.template);
        info!(
            "{} is up: {} at height {}",
            self.url(),
            version.as_deref().unwrap_or("version unknown"),
            tip.height
        );
        let mut view = self.view();
        view.tip = Some(tip);
        view.changes += 1;
        self.up.store(true, Ordering::Relaxed);
        self.tell(News::Up { node: self.index, tip, version });
        self.put_up(&mut view, offer);
        drop(view);
        self.moved.notify_one();
        Ok(())
    }

    /// Until something fails.
    async fn serve(self: &Arc<Self>) -> Trouble {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().watch());
        tasks.spawn(self.clone().keep_fresh());
        tasks.spawn(self.clone().stay_healthy());
        let what = match tasks.join_next().await {
            Some(Ok(trouble)) => return trouble,
            Some(Err(error)) => error.to_string(),
            None => "no task".into(),
        };
        Trouble::Other { url: self.url().into(), what }
    }

    fn go_down(&self, trouble: Trouble) {
        let mut view = self.view();
        self.up.store(false, Ordering::Relaxed);
        *view = View { changes: view.changes + 1, ..View::default() };
        self.tell(News::Down { node: self.index, trouble });
    }

    /// Waits for each next tip.
    async fn watch(self: Arc<Self>) -> Trouble {
        #[derive(Deserialize)]
        struct Block {
            hash: String,
            height: u32,
        }
        let method = "waitfornewblock";
        let wait_ms = u64::try_from(TIP_WAIT.as_millis()).unwrap_or(u64::MAX);
        let mut from_tip = true;
        let mut known = self.view().tip;
        loop {
            let params = match known {
                Some(tip) if from_tip => json!([wait_ms, tip.hash.to_string()]),
                _ => json!([wait_ms]),
            };
            let asked = Instant::now();
            let answer = self.waiter.ask(method, params, TIP_PATIENCE).await;
            let learned = Instant::now();
            let block: Block = match answer {
                Ok(block) => block,
                // Bitcoin Core before version 30 knows no second parameter. A tip that comes
                // between two calls is then seen at the end of the wait.
                Err(RpcError::Node { code: RpcError::MISC, .. }) if from_tip => {
                    from_tip = false;
                    continue;
                }
                Err(
                    RpcError::Forbidden | RpcError::Node { code: RpcError::NO_SUCH_METHOD, .. },
                ) => return self.long_poll().await,
                Err(error) => return Trouble::of_call(self.url(), method, error),
            };
            let Ok(hash) = block.hash.parse() else {
                let error = RpcError::Answer("its hash is not one".into());
                return Trouble::of_call(self.url(), method, error);
            };
            let tip = Tip { hash, height: block.height };
            if known != Some(tip) {
                known = Some(tip);
                self.hear_tip(tip, learned);
            } else if learned - asked < PACE {
                sleep(PACE).await;
            }
        }
    }

    /// Learns of new tips from the templates themselves, where `waitfornewblock` is not allowed.
    ///
    /// Never beside it: on a new block both calls wake, and the one that assembles a template
    /// holds the node's main lock for as long as that takes, while the other wants it to say
    /// which block it is.
    async fn long_poll(self: &Arc<Self>) -> Trouble {
        info!(
            "{} does not allow waitfornewblock: new blocks are learned from getblocktemplate's long poll",
            self.url()
        );
        let mut id = None;
        loop {
            let changes = self.view().changes;
            let poll = self.fetch(&self.waiter, id.as_deref());
            match timeout(LONG_POLL_PATIENCE, poll).await {
                Ok(Ok(mut offer)) => {
                    id = offer.long_poll.take();
                    self.take(offer, changes);
                    sleep(if id.is_none() { self.refresh } else { PACE }).await;
                }
                Ok(Err(trouble)) => return trouble,
                Err(_) => {}
            }
        }
    }

    /// Fetches a template for each new tip and whenever the last one has got old.
    async fn keep_fresh(self: Arc<Self>) -> Trouble {
        loop {
            let due = Instant::now() + self.refresh;
            let idle = async {
                // Not needed for this tip, but for the next one.
                if let Err(error) = self.learn_times().await {
                    debug!("{}: header times: {error}", self.url());
                }
                sleep_until(due.into()).await;
            };
            tokio::select! {
                biased;
                () = self.renew.notified() => {
                    if self.standby.load(Ordering::Relaxed) {
                        sleep(STANDBY_DELAY).await;
                    } else if self.has_early_work() {
                        sleep(Duration::from_micros(self.lead_us.load(Ordering::Relaxed))).await;
                    }
                    let view = self.view();
                    if view.complete.is_some() && view.complete == view.tip.map(|tip| tip.hash) {
                        continue;
                    }
                }
                () = idle => {}
            }
            let changes = self.view().changes;
            match self.fetch(&self.rpc, None).await {
                Ok(offer) => self.take(offer, changes),
                Err(trouble) => return trouble,
            }
        }
    }

    async fn stay_healthy(self: Arc<Self>) -> Trouble {
        loop {
            sleep(HEALTH_INTERVAL).await;
            let changes = self.view().changes;
            match check::look(&self.rpc, self.network).await {
                // A tip that the watch has missed, which it never should.
                Ok(tip) if self.view().changes == changes => self.hear_tip(tip, Instant::now()),
                Ok(_) => {}
                Err(trouble) => return trouble,
            }
        }
    }

    /// A tip from the watch: the empty template goes out before anything else is asked.
    fn hear_tip(self: &Arc<Self>, tip: Tip, learned: Instant) {
        let mut view = self.view();
        if view.tip == Some(tip) {
            return;
        }
        self.change_tip(&mut view, tip);
        let Some(ground) = &mut view.ground else { return };
        if let Some(template) = ground.advance(tip, now(), learned) {
            view.early = Some(tip.hash);
            self.tell_early(template);
        } else {
            let (ground, changes) = (ground.clone(), view.changes);
            tokio::spawn(self.clone().ask_early(ground, tip, changes, learned));
        }
        drop(view);
    }

    fn change_tip(&self, view: &mut View, tip: Tip) {
        view.tip = Some(tip);
        view.changes += 1;
        self.tell(News::Tip { node: self.index, tip });
        self.renew.notify_one();
        self.moved.notify_one();
    }

    /// The empty template for a tip that needs the node's word: where the target may change, or
    /// after several blocks at once.
    async fn ask_early(self: Arc<Self>, ground: Ground, tip: Tip, changes: u64, learned: Instant) {
        #[derive(Deserialize)]
        struct Next {
            height: u32,
            bits: String,
        }
        #[derive(Deserialize)]
        struct Mining {
            next: Option<Next>,
        }
        let mining = self.rpc.ask::<Mining>("getmininginfo", json!([]), PATIENCE);
        let (mining, header) = tokio::join!(mining, check::header(&self.rpc, tip.hash));
        // Bitcoin Core before version 29 does not say; then the complete template is the first.
        let (Ok(Mining { next: Some(next), .. }), Ok(Some(header))) = (mining, header) else {
            return;
        };
        let Ok(bits) = CompactTarget::from_unprefixed_hex(&next.bits) else { return };
        let said = Said { bits, time: header.time, median_time: header.mediantime };
        let view = self.view();
        let current = view.changes == changes && view.complete != Some(tip.hash);
        if current
            && Some(next.height) == tip.height.checked_add(1)
            && let Some(template) = ground.ask(tip, &said, now(), learned)
        {
            self.tell_early(template);
        }
    }

    /// Whether an empty template on its tip was told, and no complete one.
    fn has_early_work(&self) -> bool {
        let view = self.view();
        view.tip.is_some_and(|tip| view.early == Some(tip.hash) && view.complete != Some(tip.hash))
    }

    async fn fetch(&self, rpc: &Rpc, long_poll: Option<&str>) -> Result<Offer, Trouble> {
        check::fetch(rpc, self.network, self.coinbase_reserve, long_poll).await
    }

    /// A complete template that was asked for when the tip had changed `changes` times.
    fn take(&self, offer: Offer, changes: u64) {
        let mut view = self.view();
        let tip = tip_of(&offer.template);
        if view.tip != Some(tip) {
            if view.changes != changes {
                // Its tip has been replaced while it was on its way.
                self.renew.notify_one();
                return;
            }
            self.change_tip(&mut view, tip);
        }
        self.put_up(&mut view, offer);
    }

    fn put_up(&self, view: &mut View, offer: Offer) {
        let clock_offset = check::clock_offset(&offer, check::unix_now());
        let template = offer.template;
        view.complete = Some(template.prev_hash);
        let mut ground = Ground::new(self.network, &template);
        if let Some(old) = &view.ground {
            ground.keep_times(old);
        }
        view.ground = Some(ground);
        self.tell(News::Work {
            node: self.index,
            template: Arc::new(template),
            complete: true,
            clock_offset,
        });
    }

    fn tell_early(&self, template: Template) {
        self.tell(News::Work {
            node: self.index,
            template: Arc::new(template),
            complete: false,
            clock_offset: None,
        });
    }

    /// Walks back from the tip until the times that the next median needs are known.
    async fn learn_times(&self) -> Result<(), RpcError> {
        let Some((tip, mut known)) = ({
            let view = self.view();
            view.ground.as_ref().map(|g| (g.tip(), g.known_times()))
        }) else {
            return Ok(());
        };
        let mut fresh = VecDeque::new();
        let mut next = Some(tip.hash);
        while let Some(hash) = next.filter(|_| fresh.len() < MEDIAN_SPAN) {
            if let Some(at) = known.iter().position(|(known, _)| *known == hash) {
                known.truncate(at + 1);
                break;
            }
            let Some(header) = check::header(&self.rpc, hash).await? else { return Ok(()) };
            fresh.push_front((hash, header.time));
            next = header.previousblockhash.and_then(|hash| hash.parse().ok());
        }
        let linked = fresh.len() < MEDIAN_SPAN && next.is_some();
        let times = known.into_iter().filter(|_| linked).chain(fresh);
        if let Some(ground) = &mut self.view().ground {
            ground.learn_times(tip.hash, times);
        }
        Ok(())
    }

    fn tell(&self, news: News) {
        // The desk only ends after all nodes.
        let _ = self.desk.send(news);
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tip_of(template: &Template) -> Tip {
    Tip { hash: template.prev_hash, height: template.height.saturating_sub(1) }
}

fn now() -> u32 {
    u32::try_from(check::unix_now()).unwrap_or(u32::MAX)
}
