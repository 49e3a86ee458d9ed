//! The handle that the program holds: starts everything, keeps solved blocks, stops everything.

use crate::{
    BlockReport, Config, NodeStatus, RpcError, SolvedBlock, Template, Trouble,
    desk::{Desk, News, Say},
    node::Node,
    store::{Facts, Store},
    track::{Order, Tracker},
};
use std::{
    collections::HashSet,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, mpsc::UnboundedSender},
    task::JoinSet,
    time::sleep,
};
use tracing::error;

/// What the chain tells. Called from the chain's own threads; must return quickly, because the
/// next news waits.
pub trait Listener: Send + Sync + 'static {
    /// There is work. `new_tip`: all older work is stale.
    fn work(&self, template: Arc<Template>, new_tip: bool);
    /// No node can give work now. Called once, and again only when the trouble becomes another;
    /// the next [`Self::work`] ends it and has `new_tip` set.
    fn wait(&self, trouble: &Trouble);
    /// News of a solved block. Not in any order with the other two.
    fn block(&self, report: BlockReport);
    /// How long all miners take to get new work. For that long after an empty template, 100 ms at most, the node
    /// is not asked for a complete one: it assembles that on the processor that gives miners their work.
    fn lead(&self) -> Duration {
        Duration::ZERO
    }
}

/// Why the chain cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No node is configured.
    #[error("no node is configured: name at least one Bitcoin Core node")]
    NoNodes,
    /// Two entries are the same node.
    #[error("the node {0} is configured twice: remove one of the two")]
    SameNodeTwice(String),
    /// A node's address is not one.
    #[error(transparent)]
    Address(#[from] RpcError),
    /// A number of the configuration makes no sense.
    #[error("{0}")]
    OutOfRange(&'static str),
    /// Solved blocks could not be kept.
    #[error(
        "solved blocks cannot be kept in {} ({source}): make it a folder that this user may write to",
        folder.display()
    )]
    BlocksDir {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("no thread could be started: {0}")]
    Thread(io::Error),
}

/// The running link to the nodes. Dropping it ends it at once; [`Chain::stop`] lets blocks that
/// are being submitted arrive first.
pub struct Chain {
    store: Store,
    orders: UnboundedSender<Order>,
    statuses: Arc<Mutex<Vec<NodeStatus>>>,
    watching: JoinSet<()>,
    tracking: JoinSet<()>,
    desk: Option<JoinHandle<()>>,
}

/// How often the desk looks whether something is due.
const TICK: Duration = Duration::from_millis(250);
/// How long a stop waits for blocks on their way to a node.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

impl Chain {
    /// Starts watching the nodes and re-submits the blocks found on disk. Must be called inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// The configuration makes no sense, or the folder for blocks cannot be used. A node that is
    /// down is no error here: the listener is told.
    pub fn start(config: Config, listener: Arc<dyn Listener>) -> Result<Self, StartError> {
        refuse_nonsense(&config)?;
        let blocks_dir =
            |source| StartError::BlocksDir { folder: config.blocks_dir.clone(), source };
        let store = Store::open(&config.blocks_dir).map_err(blocks_dir)?;
        let found = store.load().map_err(blocks_dir)?;

        let (to_desk, news) = mpsc::channel();
        let moved = Arc::new(Notify::new());
        let mut nodes = Vec::new();
        for (index, node) in config.nodes.iter().enumerate() {
            let node = Node::new(index, node, &config, to_desk.clone(), moved.clone())?;
            nodes.push(Arc::new(node));
        }
        drop(to_desk);

        let desk = Desk::new(nodes.iter().map(|node| node.url().to_owned()));
        let statuses = Arc::new(Mutex::new(desk.statuses()));
        let desk = std::thread::Builder::new()
            .name("chain".into())
            .spawn({
                let statuses = statuses.clone();
                let listener = listener.clone();
                let standby = nodes.clone().into_iter().map(|node| Arc::downgrade(&node));
                let nodes = standby.collect();
                move || {
                    crate::run_promptly();
                    run_desk(desk, &news, nodes, &*listener, &statuses);
                }
            })
            .map_err(StartError::Thread)?;

        let mut watching = JoinSet::new();
        for node in &nodes {
            let node = node.clone();
            watching.spawn(supervised("node", move || node.clone().run()));
        }
        let (orders, inbox) = tokio::sync::mpsc::unbounded_channel();
        let tracker =
            Tracker::new(nodes, store.clone(), listener, config.confirmations, moved, found);
        let mut tracking = JoinSet::new();
        tracking.spawn(tracker.run(inbox));
        Ok(Self { store, orders, statuses, watching, tracking, desk: Some(desk) })
    }

    /// Writes a solved block to disk, safe from a power cut when this returns, and sends it to
    /// all nodes. Blocks for as long as the disk takes; needs no runtime on the calling thread.
    ///
    /// # Errors
    /// The disk could not take it. The block is submitted all the same; only a crash before a
    /// node has it would lose it.
    pub fn keep(&self, block: &SolvedBlock) -> io::Result<()> {
        let facts = Facts::of(block);
        let bytes = block.serialize();
        let written = self.store.write(&facts, &bytes);
        if let Err(error) = &written {
            error!(
                "the block {} could not be written to disk ({error}); it is submitted all the same",
                facts.hash
            );
        }
        let order = Order::Submit { facts, block: bytes.into(), on_disk: written.is_ok() };
        // After a stop nobody takes it; the next start finds it on disk.
        match self.orders.send(order) {
            Ok(()) => written,
            Err(_) => written.map_err(|error| {
                io::Error::other(format!("{error}, and the nodes' tasks have ended"))
            }),
        }
    }

    /// How each node does, in the order of the configuration.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends everything, after blocks that are being submitted have arrived or five seconds.
    pub async fn stop(mut self) {
        self.watching.shutdown().await;
        // If it has ended already, there is nothing to wait for.
        let _ = self.orders.send(Order::Stop);
        let _ = tokio::time::timeout(STOP_PATIENCE, self.tracking.join_next()).await;
        self.tracking.shutdown().await;
        if let Some(desk) = self.desk.take() {
            // All its senders are gone; it is finishing its last call.
            let _ = tokio::task::spawn_blocking(move || desk.join()).await;
        }
    }
}

fn refuse_nonsense(config: &Config) -> Result<(), StartError> {
    if config.nodes.is_empty() {
        return Err(StartError::NoNodes);
    }
    let mut seen = HashSet::new();
    for node in &config.nodes {
        if !seen.insert(node.url.trim_end_matches('/')) {
            return Err(StartError::SameNodeTwice(node.url.clone()));
        }
    }
    if config.refresh < Duration::from_secs(1) {
        return Err(StartError::OutOfRange("the template refresh must be at least 1 s"));
    }
    if !(1000..=1_000_000).contains(&config.coinbase_reserve) {
        return Err(StartError::OutOfRange(
            "the coinbase reserve must be from 1000 to 1000000 weight units",
        ));
    }
    if config.confirmations == 0 {
        return Err(StartError::OutOfRange(
            "confirmations must be at least 1: a block in the chain has one",
        ));
    }
    Ok(())
}

/// Runs a task that never ends, and again if it panics: a bug must not stop the mining.
async fn supervised<F>(what: &'static str, task: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let mut attempt = JoinSet::new();
        attempt.spawn(task());
        if let Some(Err(failure)) = attempt.join_next().await {
            error!("the {what} task failed and is started again: {failure}");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn run_desk(
    mut desk: Desk,
    news: &mpsc::Receiver<News>,
    nodes: Vec<std::sync::Weak<Node>>,
    listener: &dyn Listener,
    statuses: &Mutex<Vec<NodeStatus>>,
) {
    loop {
        let said = match news.recv_timeout(TICK) {
            Ok(news) => desk.hear(news, Instant::now()),
            Err(mpsc::RecvTimeoutError::Timeout) => desk.tick(Instant::now()),
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        for (index, node) in nodes.iter().enumerate() {
            if let Some(node) = node.upgrade() {
                node.set_standby(desk.active().is_some_and(|active| active != index));
                node.set_lead(listener.lead());
            }
        }
        *statuses.lock().unwrap_or_else(PoisonError::into_inner) = desk.statuses();
        for say in said {
            // A bug of the listener must not stop the work that comes after it.
            let told = catch_unwind(AssertUnwindSafe(|| match say {
                Say::Work(template, new_tip) => listener.work(template, new_tip),
                Say::Wait(trouble) => listener.wait(&trouble),
            }));
            if told.is_err() {
                error!("the listener for work panicked");
            }
        }
    }
}
