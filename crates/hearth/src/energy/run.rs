//! The loop: once a second, what is known goes in, a decision comes out and is carried out, shown,
//! recorded and reported. It waits for no machine and no computing load.

use super::{
    Machines, Owner, Shared,
    backup::Backups,
    hold, inputs,
    loads::{self, Held, How, Standing},
    meterage::{Counted, Meterage, Second},
    operators::Operators,
    orders::Hands,
    outlook::Outlook,
    plan::{self, Planner},
    record::Sender,
    view,
};
use crate::{
    bridge::Bridge,
    config::{Energy, Evidence},
};
use dispatch::{
    ask::Mode,
    load::LoadState,
    local::Reserve,
    site::{Connection, Setup, Site},
};
use grid::{Hub, Signal, openadr};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use units::{Difficulty, EnergyPrice, HashPrice, Moment, NetWatts, Sats, UnixTime, Watts, Work};

const EVERY: Duration = Duration::from_secs(1);
/// The list of loads is made anew this often, and whenever their number changed.
const RELOAD: Duration = Duration::from_secs(60);
/// As long as some machines have not said what they can be told, or share circuits.
const RELOAD_SOON: Duration = Duration::from_secs(10);
/// Of so many machines the list is not made so often for their circuits' sake.
const MANY: usize = 1000;
/// A load that must not run and still seems to is told so again.
const REPEAT: Duration = Duration::from_secs(30);
/// A computing load is asked this often whether it runs.
const ASK: Duration = Duration::from_secs(10);
/// A frequency that leaves its band is acted on at once; further ones no more often than this.
const URGENT: Duration = Duration::from_millis(40);
/// Verified work older than this is not known.
const COUNTED: Duration = Duration::from_secs(3);
/// Of workers with a share within so many seconds the hardest counts.
const JUST_NOW: u64 = 5;
/// A machine's reading of its own power is taken for heat for so long.
const MEASURED: Duration = Duration::from_secs(30);

/// What the loop is made of.
pub struct Parts {
    pub told: Arc<Energy>,
    pub hub: Hub,
    pub bridge: Arc<Bridge>,
    pub machines: Machines,
    pub owner: Shared<Owner>,
    /// Where what is learned is kept.
    pub folder: PathBuf,
    pub operators: Operators,
    pub record: Option<Sender>,
    /// To an aggregator.
    pub report: Option<watch::Sender<Option<grid::homes::Report>>>,
}

/// A site under way.
pub struct Loop {
    parts: Parts,
    hands: Hands,
    site: Site,
    planner: Planner,
    backups: Backups,
    /// Loads that are steered.
    held: Vec<Held>,
    /// Loads that must not run, and when each was last told.
    stopped: Vec<(Held, Option<Instant>)>,
    /// All loads as they stood when the list was made, and what their owner had said.
    standing: Vec<(Held, Standing)>,
    most: BTreeMap<Arc<str>, Watts>,
    /// Under circuits.
    shares: loads::Most,
    /// When the list was made, of how many machines, and when it is due again.
    loaded: Option<(Moment, usize, Duration)>,
    running: Shared<Vec<Option<bool>>>,
    counted: Shared<Option<(Instant, Counted)>>,
    asking: Vec<JoinHandle<()>>,
    meterage: Option<Meterage>,
    recorded: Option<UnixTime>,
    /// A call bound the site's power since the last record.
    followed: bool,
    /// The last one that was known: without the node or the exchange rate it stays.
    hash: Option<HashPrice>,
    last_target: Option<Mode>,
}

impl Loop {
    pub fn new(parts: Parts) -> Self {
        let told = &parts.told;
        let setup = Setup {
            connection: told.connection,
            import_limit: told.import_limit,
            breaker: told.breaker,
            price: told.price,
            surplus: told.surplus,
            export: told.export,
            engine: told.engine.map(|engine| engine.limits),
            droop: told.droop.clone(),
            reserve: told.reserve.map(|(stop, resume)| {
                Reserve::new(stop, resume, told.connection == Connection::OffGrid)
            }),
            hot: told.hot.clone(),
            dead_man: told.dead_man,
            levels: told.levels,
            zones: told.zones.iter().map(|zone| zone.body.clone()).collect(),
            ..Setup::default()
        };
        let hands = Hands::new(told.clone(), parts.machines.clone());
        // Operators are told what their calls came to although nobody wants a record.
        let reports = || (!parts.operators.is_empty()).then(Evidence::unrecorded);
        let meterage =
            told.evidence.clone().or_else(reports).map(|told| {
                Meterage::new(told, parts.record.clone(), !parts.told.zones.is_empty())
            });
        Self {
            site: Site::new(setup),
            planner: Planner::new(told.clone(), parts.folder.clone()),
            backups: Backups::new(told),
            hands,
            held: Vec::new(),
            stopped: Vec::new(),
            standing: Vec::new(),
            most: BTreeMap::new(),
            shares: loads::Most::new(),
            loaded: None,
            running: Arc::new(Mutex::new(vec![None; told.compute.len()])),
            counted: Arc::default(),
            asking: Vec::new(),
            meterage,
            recorded: None,
            followed: false,
            hash: None,
            last_target: None,
            parts,
        }
    }

    /// Runs until it is dropped.
    pub async fn run(mut self) {
        for at in 0..self.parts.told.compute.len() {
            let (told, running) = (self.parts.told.clone(), self.running.clone());
            self.asking.push(tokio::spawn(ask(told, running, at)));
        }
        if self.meterage.is_some() {
            self.asking.push(tokio::spawn(count(self.parts.bridge.clone(), self.counted.clone())));
        }
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A frequency that leaves its band is not to wait for the end of a second.
        let mut news = self.parts.told.droop.is_some().then(|| self.parts.hub.subscribe());
        let mut acted = Instant::now();
        loop {
            match &mut news {
                Some(news) => tokio::select! {
                    _ = every.tick() => {}
                    changed = news.changed() => {
                        let seen = news.borrow_and_update().frequency.clone();
                        let now = self.parts.hub.now();
                        let fresh = seen.as_ref().and_then(|told| {
                            told.reading.fresh(now, Signal::Frequency.age_limit())
                        });
                        let urgent = fresh.is_some_and(|hertz| self.site.droop_differs(*hertz));
                        if changed.is_err() || !urgent || acted.elapsed() < URGENT {
                            continue;
                        }
                        acted = Instant::now();
                    }
                },
                None => {
                    every.tick().await;
                }
            }
            self.step();
        }
    }

    fn step(&mut self) {
        let (now, utc) = (self.parts.hub.now(), utc());
        let signals = self.parts.hub.snapshot();
        let known = self.hash_price();
        self.hash = known.or(self.hash);
        let hash = self.hash;
        let owner = hold(&self.parts.owner).clone();
        self.load(now, hash, &signals, &owner);
        let told = &self.parts.told;
        let running = hold(&self.running).clone();
        let states = loads::states(&self.held, &self.parts.machines, &running, now);
        for zone in &told.zones {
            let name = &zone.body.name;
            let set = owner.set_points.get(name).copied().unwrap_or(zone.body.set_point);
            self.site.set_point(name, zone.control_at(set, utc, told.utc_offset));
            self.site.heat_at_once(name, owner.at_once.contains(name));
        }
        let calls = inputs::calls(&signals);
        let planned = hold(&self.planner.planned).now(utc);
        let memory = self.planner.memory();
        let outlook = Outlook { told, signals: &signals, memory, now, utc };
        let inputs = inputs::inputs(&outlook, &owner, &calls, planned);
        let loads: Vec<dispatch::load::Load> =
            self.held.iter().map(|held| held.load.clone()).collect();
        let mut decision = self.site.step(&inputs, &loads, &states);
        if told.price && known.is_none() {
            decision.warnings.push(match hash {
                Some(_) => "what hashing earns is not known now: the last figure stays".into(),
                None => "what hashing earns is not known and counts as next to nothing: set \
                         [energy.bitcoin] and wait for the node"
                    .into(),
            });
        }
        if self.last_target != Some(decision.target.mode) {
            self.last_target = Some(decision.target.mode);
            tracing::info!(
                mode = %decision.target.mode,
                target = %decision.target.power,
                "{}", decision.target.why
            );
        }
        if told.steer {
            for one in &decision.moves {
                if let Some(held) = self.held.get(one.load) {
                    self.hands.tell(held, one.level);
                }
            }
            for (held, last) in &mut self.stopped {
                let due = last.is_none_or(|last| last.elapsed() >= REPEAT);
                if due && !loads::is_off(held, &self.parts.machines, &running) {
                    *last = Some(Instant::now());
                    self.hands.tell(held, 0);
                }
            }
        }
        self.backups.call(&decision.zones, told.steer);
        let net = signals.net_power.as_ref().map(|told| told.reading);
        let net = net.and_then(|net| net.fresh(now, Signal::NetPower.age_limit()).copied());
        if let Some(report) = &self.parts.report {
            report.send_replace(net.zip(decision.flexible).map(|(power, flexible)| {
                grid::homes::Report {
                    power,
                    own: flexible.own,
                    lowest: (flexible.lowest, flexible.lowest_for),
                    highest: (flexible.highest, flexible.highest_for),
                    step: None,
                    opted_out: owner.opted_out || !told.steer,
                }
            }));
        }
        let level = |(at, held)| (held, self.site.level(at).unwrap_or(0));
        let loads: Vec<_> = self.held.iter().enumerate().map(level).collect();
        self.planner.step(&plan::Seen {
            signals: &signals,
            net,
            drawn: decision.drawn,
            loads: &loads,
            calls: &calls,
            set_points: &owner.set_points,
            priced: hash.is_some(),
            now,
            utc,
        });
        let running = calls.iter().find(|call| call.runs(utc)).map(|call| &call.id);
        let event = running.map(|id| (id, inputs::ends(&calls, id, utc)));
        let heating = self.heating(&states, now);
        let by_call = running.is_some() && decision.target.mode == Mode::DemandResponse;
        self.followed |= by_call;
        let beside = inputs::beside(&signals, now);
        self.record(net, signals.made_up(), event, (heating, beside), now, utc);
        let best = hash.and_then(|_| self.best());
        let tree = view::make(&view::Seen {
            told: &self.parts.told,
            hub: &self.parts.hub,
            signals: &signals,
            site: &self.site,
            held: &self.held,
            stopped: &self.stopped,
            states: &states,
            calls: &calls,
            decision: &decision,
            price: inputs.price,
            hash: best,
            planned: &hold(&self.planner.planned),
            record: self.parts.record.as_ref(),
            said: self.meterage.as_ref().map(Meterage::said),
            now,
            utc,
        });
        *self.parts.bridge.energy.write().unwrap_or_else(PoisonError::into_inner) = Some(tree);
    }

    /// What a kilowatt-hour of hashing earns on the best machine here.
    fn best(&self) -> Option<EnergyPrice> {
        let merit = |held: &Held| {
            let (low, high) = (held.load.levels.first()?, held.load.levels.last()?);
            let watts = high.power.kilowatts() - low.power.kilowatts();
            (watts > 0.0).then(|| (high.value.get() - low.value.get()) / watts)
        };
        let miners = self.held.iter().filter(|held| !matches!(held.how, How::Compute(_)));
        miners.filter_map(merit).max_by(f64::total_cmp).and_then(|m| EnergyPrice::per_kwh(m).ok())
    }

    /// From the own node's template and the exchange rate.
    fn hash_price(&self) -> Option<HashPrice> {
        let (difficulty, reward): (f64, Sats) = {
            let now = self.parts.bridge.now.lock().unwrap_or_else(PoisonError::into_inner);
            let template = now.template.as_ref()?;
            (template.target.difficulty_float(), template.coinbase_value)
        };
        let difficulty = Difficulty::new(difficulty).ok()?;
        let limit = Signal::BitcoinPrice.age_limit();
        grid::rate::hash_price(&self.parts.hub, limit, difficulty, reward)?.ok()
    }

    fn load(
        &mut self,
        now: Moment,
        hash: Option<HashPrice>,
        signals: &grid::Signals,
        owner: &Owner,
    ) {
        let Parts { told, machines, .. } = &self.parts;
        let count = machines.fleet.registry().devices().count();
        let stands = |held: &Held| loads::standing(told, held, machines, signals, owner, now);
        let fresh = self.loaded.is_some_and(|(at, known, due)| {
            now.since(at) < due && known == count && self.most == owner.most
        });
        let same = || self.standing.iter().all(|(held, was)| stands(held) == *was);
        if fresh && !self.standing.is_empty() && same() {
            return;
        }
        self.shares = loads::most(told, machines, signals, owner, now, &self.shares);
        let all = loads::all(told, &machines.fleet, owner, &self.shares, hash);
        // Under a circuit that binds, one machine's change is the others' room.
        let binds = !self.shares.is_empty() && count < MANY;
        let due = if all.len() < count || binds { RELOAD_SOON } else { RELOAD };
        let before = std::mem::take(&mut self.stopped);
        let told_off = |held: &Held| {
            let same = |(one, _): &&(Held, _)| one.load.id == held.load.id;
            before.iter().find(same).map(|(_, last)| *last)
        };
        let (mut held, mut levels) = (Vec::new(), Vec::new());
        self.standing.clear();
        for (one, level) in all {
            let stands = stands(&one);
            self.standing.push((one.clone(), stands));
            match stands {
                Standing::Free => {
                    // Whatever it was last seen at: it was stopped since.
                    levels.push(if told_off(&one).is_some() { 0 } else { level });
                    held.push(one);
                }
                Standing::Off => {
                    let last = told_off(&one).flatten();
                    self.stopped.push((one, last));
                }
                Standing::Busy => {}
            }
        }
        let loads: Vec<dispatch::load::Load> = held.iter().map(|held| held.load.clone()).collect();
        self.site.set_loads(now, &loads, |at| levels.get(at).copied().unwrap_or(0));
        if told.steer {
            // What may draw less than it is set to cannot wait for a decision: to those it is as low as its
            // highest level already.
            for held in held.iter().filter(|held| loads::is_above(held, &machines.fleet)) {
                self.hands.tell(held, held.load.levels.len().saturating_sub(1));
            }
        }
        self.held = held;
        self.most = owner.most.clone();
        self.loaded = Some((now, count, due));
    }

    /// Power of machines whose heat is used, by their own readings; `None` while one of them is not known.
    fn heating(&self, states: &[LoadState], now: Moment) -> Option<f64> {
        let own = self.held.iter().zip(states).filter(|(held, _)| held.load.zone.is_some());
        own.map(|(_, state)| {
            let measured = state.measured?;
            measured.fresh(now, MEASURED).map(|watts| watts.get())
        })
        .sum()
    }

    fn record(
        &mut self,
        net: Option<NetWatts>,
        made_up: bool,
        event: Option<(&Arc<str>, Option<UnixTime>)>,
        (heating, beside): (Option<f64>, Option<f64>),
        now: Moment,
        utc: UnixTime,
    ) {
        let Some(meterage) = &mut self.meterage else { return };
        // Once a second, however often the frequency asks for a decision.
        if self.recorded.replace(utc) == Some(utc) {
            return;
        }
        let counted = *hold(&self.counted);
        let work = counted.filter(|(at, _)| at.elapsed() < COUNTED).map(|(_, counted)| counted);
        let at = now.0.as_secs_f64();
        let second = Second { utc, at, net, work, heating, beside, made_up, event };
        let Some(done) = meterage.take(&second) else { return };
        let state = match std::mem::take(&mut self.followed) {
            true => openadr::State::Curtailed,
            false => openadr::State::Normal,
        };
        if let Some(event) = done.event {
            let report = openadr::Report {
                event,
                start: done.start,
                length: done.length,
                demand: done.imported.and_then(|energy| energy.mean_over(done.length)),
                usage: done.imported,
                state,
            };
            self.parts.operators.report(&self.parts.hub.snapshot(), report);
        }
    }
}

/// Sums up verified work for ever, away from the loop: the server answers when its threads have time.
async fn count(bridge: Arc<Bridge>, counted: Shared<Option<(Instant, Counted)>>) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let bridge = bridge.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let snapshot = bridge.server.get()?.snapshot();
            let shares = snapshot.workers.iter().map(|worker| worker.accepted).sum();
            let work: Work = snapshot.workers.iter().map(|worker| worker.work).sum();
            let since = utc().0.saturating_sub(JUST_NOW);
            let fresh = snapshot.workers.iter().filter(|worker| worker.last_share >= Some(since));
            let hardest = fresh.filter_map(|worker| worker.difficulty).reduce(Difficulty::max);
            snapshot.complete.then(|| (Instant::now(), Counted { shares, work, hardest }))
        });
        if let Ok(Some(all)) = asked.await {
            *hold(&counted) = Some(all);
        }
    }
}

/// Asks a computing load for ever whether it runs, away from the loop.
async fn ask(told: Arc<Energy>, running: Shared<Vec<Option<bool>>>, at: usize) {
    let Some(compute) = told.compute.get(at) else { return };
    loop {
        let answer = compute.load.running().await.and_then(Result::ok);
        if let Some(slot) = hold(&running).get_mut(at) {
            *slot = answer;
        }
        tokio::time::sleep(ASK).await;
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.asking.iter().for_each(JoinHandle::abort);
    }
}

/// Now, by the calendar.
pub fn utc() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime(since.map_or(0, |since| since.as_secs()))
}
