//! `hearth lab spread templates`: listens to pools, and to the own node if there is one, for a while.

use super::{
    node::{self, NodeNews},
    pool::{News, Pool},
    pools,
};
use crate::{config::Config, miner_cmd::duration, output::with_bar, shutdown};
use chain::Network;
use lab::{
    Progress, Report,
    spread::{Missing, Settings, Watch},
};
use std::{collections::BTreeSet, error::Error, path::PathBuf, time::Duration};
use tokio::{
    runtime::Handle,
    select,
    sync::mpsc,
    task::{JoinSet, block_in_place},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

/// News on their way; a pool that sends faster than they are read has to wait.
const QUEUE: usize = 256;
const LOOK: Duration = Duration::from_millis(500);
/// Of honest pools' misses, in the sequential test.
const MISS_RATE: f64 = 0.05;
const SETTLE: Duration = Duration::from_secs(60);

/// Whom to listen to.
#[derive(clap::Args)]
pub struct TemplatesArgs {
    /// A pool: [NAME=]host:port[,user[,password]]. May be repeated.
    #[arg(long = "pool", value_name = "POOL", required_unless_present = "config")]
    pools: Vec<Pool>,
    /// How long to listen, such as 60s or 1h; Ctrl-C ends it earlier.
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = duration)]
    time: Duration,
    /// A configuration whose node is listened to as well: each new block is compared with its
    /// template before.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Shares by the same names, as for `metrics`, to weigh the pools by.
    #[arg(long, value_name = "CSV")]
    shares: Option<PathBuf>,
    /// Pools whose templates are at least this similar, 0 to 1, have one maker.
    #[arg(long, value_name = "SIMILARITY")]
    threshold: Option<f64>,
    /// Cry when a pool is this much later on a new block than others, such as 30s.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    alarm_after: Option<Duration>,
    /// The network that the pools mine on, to show addresses: mainnet, or the configuration's.
    #[arg(long, value_name = "NETWORK")]
    network: Option<Network>,
}

/// Listens and reports.
pub async fn run(args: TemplatesArgs) -> Result<Report, Box<dyn Error + Send + Sync>> {
    let shares = args.shares.as_deref().map(|file| pools(Some(file))).transpose()?;
    let own = match &args.config {
        Some(file) => {
            let config = Config::load(file)?;
            let rpc = node::connect(&config.chain.nodes, config.network()).await?;
            Some((rpc, config.network()))
        }
        None => None,
    };
    let network = args
        .network
        .or(own.as_ref().map(|(_, network)| *network))
        .unwrap_or(Network::Mainnet)
        .to_bitcoin();
    let mut sources: Vec<(String, bool)> =
        args.pools.iter().map(|pool| (pool.name.clone(), false)).collect();
    if own.is_some() {
        sources.push(("own node".into(), true));
    }
    let settings = Settings::given(args.threshold, args.alarm_after);
    let names = sources.iter().map(|(name, _)| name.clone()).collect();
    let mut ear = Ear {
        watch: Watch::new(sources, settings)?,
        missing: Missing::new(MISS_RATE, SETTLE)?,
        start: Instant::now(),
        names,
        told: BTreeSet::new(),
    };

    let (news, mut pool_news) = mpsc::channel(QUEUE);
    let (blocks, mut node_news) = mpsc::channel(QUEUE);
    // Ends its tasks when it is dropped.
    let mut listeners = JoinSet::new();
    let own_source = args.pools.len();
    for (source, pool) in args.pools.into_iter().enumerate() {
        listeners.spawn(pool.listen(source, network, news.clone()));
    }
    let has_node = own.is_some();
    if let Some((rpc, network)) = own {
        listeners.spawn(node::listen(rpc, network, own_source, blocks));
    }
    let stop = shutdown::listen()?;
    let progress = Progress::new();
    let total = u64::try_from(args.time.as_millis()).unwrap_or(u64::MAX);
    progress.expect(total);
    let listening = async {
        tokio::pin!(stop);
        let end = ear.start + args.time;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut done = 0;
        loop {
            select! {
                _ = &mut stop => break,
                () = sleep_until(end) => break,
                Some(news) = pool_news.recv() => ear.hear(news),
                Some(news) = node_news.recv() => ear.hear_node(news),
                _ = looks.tick() => {
                    ear.cry();
                    let now = u64::try_from(ear.start.elapsed().as_millis()).unwrap_or(total);
                    progress.advance(now.saturating_sub(done));
                    done = now.max(done);
                }
            }
        }
    };
    block_in_place(|| with_bar(&progress, || Handle::current().block_on(listening)));
    drop(listeners);

    let mut report = ear.watch.report(ear.start.elapsed(), shares.as_ref())?;
    if has_node {
        let (sentence, tables, inputs) = ear.missing.tables();
        report.finding += &format!(" {sentence}");
        report.tables.splice(4..4, tables);
        report.inputs.extend(inputs);
    }
    Ok(report)
}

/// What was heard so far.
struct Ear {
    watch: Watch,
    missing: Missing,
    start: Instant,
    names: Vec<String>,
    /// Alarms that were cried out already: source and tip.
    told: BTreeSet<(usize, [u8; 32])>,
}

impl Ear {
    fn hear(&mut self, news: News) {
        let at = news.at.saturating_duration_since(self.start);
        match news.what {
            Ok(job) => self.watch.observe(news.source, at, job),
            Err(why) => self.watch.lost(news.source, at, why),
        }
    }

    fn hear_node(&mut self, news: NodeNews) {
        match news {
            NodeNews::Template(news) => self.hear(news),
            NodeNews::Block(block, own) => {
                self.missing.block(&block, &own);
            }
        }
    }

    /// Says each alarm once, the moment it is one.
    fn cry(&mut self) {
        for alarm in self.watch.alarms(self.start.elapsed()) {
            if alarm.until.is_none() && self.told.insert((alarm.source, alarm.tip)) {
                let name = self.names.get(alarm.source).map_or("a pool", String::as_str);
                eprintln!("hearth: ALARM: {name} {}", alarm.kind.text());
            }
        }
    }
}
