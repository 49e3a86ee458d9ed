//! `hearth aggregate`: many homes as one resource, over MQTT. It hears homes, asks
//! `dispatch::aggregate`, tells homes, prints telemetry and keeps the records; it decides nothing itself.

mod books;
mod memory;
mod told;

use crate::{
    Outcome,
    energy::{calls, utc},
    shutdown,
};
use books::Books;
use dispatch::{
    aggregate::{Aggregate, Closed, Hold, Order, Report, Telemetry},
    site::Called,
};
use grid::{
    Hub,
    command::Inbox,
    homes::{self, Command, MOST_REPORTS},
    openadr::Ven,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use units::{NetWatts, Sats};

/// Which homes, and what they are to draw.
#[derive(clap::Args)]
pub struct Args {
    /// The file that says where homes report and who says what is wanted: see docs/energy.md.
    #[arg(short, long, value_name = "FILE", default_value = "aggregate.toml")]
    config: PathBuf,
    /// What all homes together are to draw, as `1.2 MW`, whatever anybody else says.
    #[arg(long, value_name = "POWER", allow_hyphen_values = true)]
    power: Option<NetWatts>,
}

/// Runs until it is told to stop. Homes then keep their orders until those end.
pub async fn run(args: Args) -> Outcome {
    let told = told::load(&args.config)?;
    let stop = shutdown::listen()?;
    let mut setup = told.setup;
    let (base, sure) = (&told.homes.base, setup.confidence);
    let books = Books::open(&told.folder, base, setup.interval, sure, utc())
        .map_err(|error| format!("{}: {error}; choose another folder", told.folder.display()))?;
    setup.seed = books.seed()?;
    let hub = Hub::new(tokio::time::Instant::now());
    let (heard, mut reports) = mpsc::channel(MOST_REPORTS);
    let (commands, orders) = mpsc::channel(1);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(told.homes.clone().run(hub.clone(), heard, orders));
    if let Some(set_point) = told.set_point.clone() {
        tasks.spawn(set_point.run(hub.clone(), Inbox::default()));
    }
    for config in &told.openadr {
        tasks.spawn(Ven::default().run(hub.clone(), config.clone()));
    }
    let mut aggregate = Aggregate::new(setup);
    recall(&mut aggregate, &told.folder);
    let mut all =
        All { aggregate, books, folder: told.folder, pays: told.pays, before: BTreeMap::new() };
    let mut tick = tokio::time::interval(told.every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut some = Vec::with_capacity(MOST_REPORTS);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            _ = &mut stop => {
                all.keep(&hub);
                return Ok(ExitCode::SUCCESS);
            }
            _ = reports.recv_many(&mut some, MOST_REPORTS) => {
                for (home, report) in some.drain(..) {
                    if let Err(bad) = all.aggregate.hear(hub.now(), &home, report_of(&report)) {
                        hub.refuse(&"homes".into(), format!("{home}: {bad}").into());
                    }
                }
            }
            _ = tick.tick() => {
                let (telemetry, orders) = all.step(&hub, args.power)?;
                println!("{}", line(&telemetry, &hub));
                let orders: Vec<Command> = orders.into_iter().map(command).collect();
                // One step's orders wait at most: those of the next are newer.
                if !orders.is_empty() && commands.try_send(orders).is_err() {
                    tracing::warn!("homes were not told: the last step's orders still wait");
                }
            }
        }
    }
}

/// Goes on from what was known before a restart; without it what homes draw alone is learned anew.
fn recall(aggregate: &mut Aggregate, folder: &Path) {
    let known = match memory::load(folder) {
        Ok(None) => return,
        Ok(Some(known)) => aggregate.recall(known, utc()).map_err(|foreign| foreign.to_string()),
        Err(unread) => Err(unread.to_string()),
    };
    if let Err(why) = known {
        let kept = memory::set_aside(folder);
        let kept = kept.map_or_else(|error| error.to_string(), |to| to.display().to_string());
        tracing::warn!(
            %why, folder = %folder.display(), %kept,
            "what homes draw alone is not known from before: for the next hours the account is less sure"
        );
    }
}

struct All {
    aggregate: Aggregate,
    books: Books,
    folder: PathBuf,
    pays: f64,
    /// What was drawn when a relative call began, by its name.
    before: BTreeMap<Arc<str>, NetWatts>,
}

impl All {
    fn step(
        &mut self,
        hub: &Hub,
        fixed: Option<NetWatts>,
    ) -> Result<(Telemetry, Vec<Order>), Box<dyn std::error::Error + Send + Sync>> {
        let (now, utc) = (hub.now(), utc());
        let signals = hub.snapshot();
        let set_point = signals.set_point.as_ref().and_then(|told| told.reading.value.wanted(now));
        let mut running: Vec<_> =
            calls(&signals).into_iter().filter(|call| call.runs(utc)).collect();
        running.sort_by_key(|call| (call.priority, std::cmp::Reverse(call.starts)));
        self.before.retain(|id, _| running.iter().any(|call| call.id == *id));
        let drawn = self.aggregate.drawn(now);
        let called = running.iter().find_map(|call| match call.asks {
            Called::Net(net) => Some(net),
            Called::Relative(change) => {
                Some(*self.before.entry(call.id.clone()).or_insert(drawn) + change)
            }
            // What these leave, a contract about the homes would have to say.
            Called::Simple(_) | Called::ImportLimit(_) | Called::ExportLimit(_) => None,
        });
        let step = self.aggregate.step(now, utc, fixed.or(called).or(set_point));
        if let Some(mut closed) = step.closed {
            self.close(&mut closed)?;
            self.keep(hub);
        }
        Ok((step.telemetry, step.orders))
    }

    /// The account goes on without its memory on disk; only a restart would miss it.
    fn keep(&self, hub: &Hub) {
        if let Err(error) = memory::save(&self.folder, &self.aggregate.memory(hub.now(), utc())) {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "not kept: a restart would forget what homes draw alone");
        }
    }

    fn close(
        &mut self,
        closed: &mut Closed,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let sats = closed.payable().kilowatt_hours() * self.pays;
        let left = closed.pay(Sats(sats.round() as u64));
        self.books.write(closed, left)
    }
}

fn report_of(report: &homes::Report) -> Report {
    let hold = |hold: homes::Hold| Hold { power: hold.0, lasts: hold.1 };
    Report {
        power: report.power,
        own: report.own,
        lowest: hold(report.lowest),
        highest: hold(report.highest),
        step: report.step,
        opted_out: report.opted_out,
    }
}

fn command(order: Order) -> Command {
    let Order { home, power, valid, sequence } = order;
    // Seconds that a site counts; less than one is none.
    let valid = valid.max(Duration::from_secs(1));
    Command { home, sequence, power, valid }
}

fn line(telemetry: &Telemetry, hub: &Hub) -> serde_json::Value {
    let room = |room: dispatch::aggregate::Room| room.map(units::Watts::get);
    let homes = telemetry.homes;
    let links: BTreeMap<String, bool> = hub
        .health()
        .into_iter()
        .map(|(name, health)| (name.to_string(), !matches!(health.link, grid::Link::Down(_))))
        .collect();
    json!({
        "unix": utc().0,
        "wanted_w": telemetry.wanted.map(NetWatts::get),
        "drawn_w": telemetry.drawn.get(),
        "metered_w": telemetry.metered.get(),
        "own_w": telemetry.own.get(),
        "set_w": telemetry.set.get(),
        "shortfall_w": telemetry.shortfall.get(),
        "held_s": dispatch::aggregate::HORIZONS.map(|time| time.as_secs()),
        "down_w": room(telemetry.down),
        "up_w": room(telemetry.up),
        "homes": {
            "ready": homes.ready,
            "astray": homes.astray,
            "opted_out": homes.opted_out,
            "control": homes.control,
            "resting": homes.resting,
            "silent": homes.silent,
        },
        "links": links,
    })
}
