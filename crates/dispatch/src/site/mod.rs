//! A site, second by second: all its modes ask, the asks are put together by rank, heated bodies get
//! their share first, and the merit order does the rest. It never sends a command.
//!
//! ```text
//!  limits  engine  droop  calls  aggregator  owner  heat  plan  surplus  price
//!     └───────┴──────┴──────┴───────┴─────────┴──────┴─────┴──────┴───────┘ asks, by rank
//!                                 ▼
//!                     floor ≤ target ≤ ceiling, and who set it
//!                  ┌──────────────┴──────────────┐
//!            zones (their heat first)      free loads (the rest)
//!                  └────── merit order, every second ──────┘
//! ```
//!
//! What the loss of each link means, on a grid and off it:
//!
//! | lost | on a grid | off it |
//! |---|---|---|
//! | net power | what follows from it goes on with what others drew last, limits with the most that they ever drew; no integrator moves | all sheds where a limit or a surplus needs it |
//! | frequency | droop holds its last ask for ten minutes, then asks nothing | an engine is unloaded to the bottom of its band; where there is none, all that droop steers sheds |
//! | charge | loads stay off, or on, as the reserve had them | all sheds |
//! | generator, fuel | a plant counts as constant | the engine is unloaded to the bottom of its band |
//! | price | the plan, then nothing is bought but heat | the same |
//! | a body's temperature | its machines idle, its backup heater has it | the same |
//! | its outlet | its machines are cut | the same |
//! | the weather | a heating curve takes it for the coldest day | the same |
//! | what may be hot | loads draw what may run blind; none if it was too hot | the same |
//! | what is ahead | the heat planned holds to the end of its step, then a body is heated as it is cold | the same |
//! | calls | those that were told hold to their own ends | the same |
//! | set-point, owner, plan | a word that is gone leaves the loads to the next in rank | the same |
//! | dead-man | all sheds until it is renewed | the same |
//!
//! When a reading is too old: see [`crate::local`], [`crate::genset`], [`crate::heat`].

mod call;
mod flexible;
mod group;

pub use call::{Call, Called, Levels};
pub use flexible::Flexible;
pub use group::{Body, Yields, ZoneState};

use crate::{
    ask::{Ask, Mode, Target, combine},
    genset::{self, Following, Seen},
    heat::Ahead,
    load::{Load, LoadState},
    local::{Breaker, Derate, Droop, Rating, Reserve},
    plant::{NetExport, Plant},
    realtime::{Move, Tuning},
};
use call::{Around, Calls};
use group::Pool;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use units::{Celsius, EnergyPrice, Hertz, Moment, NetWatts, Ratio, Reading, UnixTime, Watts};

/// Whether somebody else keeps the frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connection {
    /// A grid does: what is lost leaves the last set-points in place.
    #[default]
    Grid,
    /// Nobody does: what is lost sheds load.
    OffGrid,
}

/// What a site is and which modes it runs in.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// On a grid or not.
    pub connection: Connection,
    /// The most that the connection point carries inwards for long.
    pub import_limit: Option<Watts>,
    /// Its main breaker, where that may carry more for a while.
    pub breaker: Option<Rating>,
    /// Run what earns more than its power costs.
    pub price: bool,
    /// Use what would be exported, but leave this much.
    pub surplus: Option<Watts>,
    /// Keep a plant constant, and what it exports when nobody says otherwise.
    pub export: Option<(Plant, Watts)>,
    /// Keep an engine in its band.
    pub engine: Option<genset::Limits>,
    /// Follow the frequency.
    pub droop: Option<Droop>,
    /// Leave the battery its reserve.
    pub reserve: Option<Reserve>,
    /// Draw less as something gets hot, by the names of temperatures: the air of a hall, a cable, a
    /// transformer. Heated bodies have limits of their own.
    pub hot: Vec<(Arc<str>, Derate)>,
    /// All sheds unless a sign of life is renewed within this time.
    pub dead_man: Option<Duration>,
    /// What the levels of simple calls leave.
    pub levels: Levels,
    /// Heated bodies.
    pub zones: Vec<Body>,
    /// How the merit order behaves.
    pub tuning: Tuning,
}

/// Everything that is known at one moment; frozen for the whole step.
#[derive(Debug, Clone, Default)]
pub struct Inputs<'a> {
    /// Now, on the loop's clock.
    pub now: Moment,
    /// Now, by the calendar.
    pub utc: UnixTime,
    /// Net power at the connection point.
    pub net: Option<Reading<NetWatts>>,
    /// Frequency.
    pub frequency: Option<Reading<Hertz>>,
    /// State of charge of the battery.
    pub charge: Option<Reading<Ratio>>,
    /// What the generator or plant gives.
    pub generator: Option<Reading<Watts>>,
    /// Fuel pressure as a part of what it should be.
    pub fuel: Option<Reading<Ratio>>,
    /// What energy costs now; absent when neither market nor series says.
    pub price: Option<EnergyPrice>,
    /// Temperatures by name.
    pub temperatures: BTreeMap<Arc<str>, Reading<Celsius>>,
    /// What is ahead for each zone, by its name.
    pub ahead: BTreeMap<Arc<str>, Vec<Ahead>>,
    /// Calls of grid operators, those that were refused left out.
    pub calls: &'a [Call],
    /// Net power that an aggregator wants, until it expires.
    pub set_point: Option<NetWatts>,
    /// Power of all loads that the owner wants.
    pub owner: Option<Watts>,
    /// Power of all loads in the plan for now.
    pub planned: Option<Watts>,
    /// When the dead-man was last renewed.
    pub alive: Option<Moment>,
}

/// What is to be done, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// New set-points; places in the list of loads.
    pub moves: Vec<Move>,
    /// What all loads are to draw, and who says so.
    pub target: Target,
    /// What the set-points come to once all have arrived.
    pub set: Watts,
    /// What the loads draw by their own readings, else by what they were told.
    pub drawn: Watts,
    /// Asked for and not to be had within seconds, positive; negative: too much that cannot go.
    pub shortfall: NetWatts,
    /// Each zone, as in the setup.
    pub zones: Vec<ZoneState>,
    /// What an aggregator may count on; `None` without a meter of net power.
    pub flexible: Option<Flexible>,
    /// What somebody should look at.
    pub warnings: Vec<String>,
}

/// A site under way.
#[derive(Debug)]
pub struct Site {
    setup: Setup,
    capacity: Watts,
    breaker: Option<Breaker>,
    engine: Option<Following>,
    export: Option<NetExport>,
    calls: Calls,
    pool: Pool,
    /// Net power of everything but the loads, last known.
    others: Option<f64>,
}

/// A meter's reading older than this is lost.
const STALE: Duration = Duration::from_secs(10);

impl Site {
    /// Nothing is known yet.
    pub fn new(setup: Setup) -> Self {
        Self {
            breaker: match setup.breaker {
                Some(rating) => Some(Breaker::rated(rating, setup.import_limit)),
                None => setup.import_limit.map(Breaker::new),
            },
            engine: setup.engine.map(Following::new),
            export: setup.export.map(|(plant, _)| NetExport::new(plant)),
            calls: Calls::default(),
            pool: Pool::new(&setup.zones, setup.tuning),
            capacity: Watts::ZERO,
            others: None,
            setup,
        }
    }

    /// Takes the list of loads: at the start, when one came or went, and when what they earn changed.
    /// `levels` says what those that are new run at.
    pub fn set_loads(&mut self, now: Moment, loads: &[Load], levels: impl Fn(usize) -> usize) {
        self.capacity = loads.iter().map(Load::full).sum();
        self.pool.set_loads(now, loads, levels);
    }

    /// Whether this frequency asks for something else than the last decision: then the next one is not
    /// to wait for its second.
    pub fn droop_differs(&self, frequency: Hertz) -> bool {
        self.setup.droop.as_ref().is_some_and(|droop| droop.differs(frequency))
    }

    /// Another set-point of a heated body; unknown names are ignored.
    pub fn set_point(&mut self, zone: &str, set_point: Celsius) {
        self.pool.set_point(zone, set_point);
    }

    /// Heats a body to its set-point with all its machines, whatever that costs, or no longer so.
    pub fn heat_at_once(&mut self, zone: &str, on: bool) {
        self.pool.heat_at_once(zone, on);
    }

    /// What the loads can draw together.
    pub fn capacity(&self) -> Watts {
        self.capacity
    }

    /// Whether a load does as it is told; `None` while nothing has shown it.
    pub fn obeys(&self, load: usize) -> Option<bool> {
        self.pool.obeys(load)
    }

    /// The level that a load is set to.
    pub fn level(&self, load: usize) -> Option<usize> {
        self.pool.level(load)
    }

    /// When a load was last switched on or off; `None` while it has not been since it is known.
    pub fn since(&self, load: usize) -> Option<Moment> {
        self.pool.since(load)
    }

    /// Decides, once a second.
    pub fn step(&mut self, inputs: &Inputs<'_>, loads: &[Load], states: &[LoadState]) -> Decision {
        let now = inputs.now;
        let drawn = self.pool.drawn(now, states);
        let net = inputs.net.and_then(|net| net.fresh(now, STALE).copied());
        if let Some(net) = net {
            self.others = Some(net.get() - drawn.get());
        }
        let mut warnings = Vec::new();
        let zones = self.pool.heat(inputs, states, loads);
        let asks = self.asks(inputs, net, drawn, &zones, &mut warnings);
        let target = combine(&asks, self.capacity);
        let flexible = self.others.and_then(|others| {
            flexible::flexible(others, &asks, &zones, self.pool.free(), self.capacity)
        });
        self.pool.order(flexible::orders(&asks, &target, &zones, self.pool.free()));
        for (mode, missing) in &target.unmet {
            let what = if *missing > 0.0 { "more" } else { "less" };
            let watts = Watts::new(missing.abs()).unwrap_or(Watts::ZERO);
            warnings.push(format!("{mode} asks for {watts} {what} than it can get now"));
        }
        // One integrator for each constraint: while a limit, an engine or a plant holds the loads, the
        // merit order does not trim.
        let held = target.mode <= Mode::Droop || net.is_none();
        let least = inputs.price.filter(|_| only_what_pays(&asks, &target));
        // What limits protect is worth more than a machine's rest.
        let limits = asks.iter().filter(|ask| ask.mode <= Mode::Plant);
        let hard = limits.filter_map(|ask| ask.ceiling).reduce(Watts::min);
        let shared = self.pool.share(now, (&target, least, hard), &zones, states, held);
        Decision {
            moves: shared.moves,
            set: shared.set,
            shortfall: shared.shortfall,
            target,
            drawn,
            zones,
            flexible,
            warnings,
        }
    }

    fn asks(
        &mut self,
        inputs: &Inputs<'_>,
        net: Option<NetWatts>,
        drawn: Watts,
        zones: &[ZoneState],
        warnings: &mut Vec<String>,
    ) -> Vec<Ask> {
        let now = inputs.now;
        let mut asks = self.safety(inputs, net, drawn, warnings);
        if let Some(engine) = &mut self.engine {
            let seen = Seen {
                generator: inputs.generator,
                frequency: inputs.frequency,
                fuel: inputs.fuel,
                drawn,
                commanded: self.pool.set(),
                away: self.pool.away(),
            };
            let bounds = engine.step(now, &seen);
            let why: Arc<str> = format!("the engine is {}", phase(bounds.phase)).into();
            asks.push(Ask {
                mode: Mode::Plant,
                floor: Some(bounds.floor),
                ceiling: Some(bounds.ceiling),
                target: None,
                why,
            });
        }
        if let (Some(export), Some((_, usual))) = (&mut self.export, self.setup.export) {
            let asked = inputs.set_point.map_or(usual, NetWatts::export);
            let ceiling = asks.iter().filter_map(|ask| ask.ceiling).reduce(Watts::min);
            let share = export.step(now, asked, inputs.net, inputs.generator, ceiling);
            let why = format!("the plant stays constant and exports {}", share.export);
            asks.push(Ask::exactly(Mode::Plant, share.machines, why));
            if share.left.get().abs() > 1.0 {
                warnings.push(format!("{} are left to the plant itself", share.left));
            }
        }
        let around = Around {
            now: inputs.utc,
            drawn: drawn.get(),
            others: self.others,
            capacity: self.capacity,
        };
        let (called, refused) = self.calls.asks(inputs.calls, &self.setup.levels, &around);
        asks.extend(called);
        warnings.extend(refused);
        if let Some(wanted) = inputs.set_point.filter(|_| self.export.is_none()) {
            match self.others {
                Some(others) => asks.push(Ask::exactly(
                    Mode::Aggregator,
                    watts(wanted.get() - others),
                    format!("the aggregator wants {wanted} at the connection point"),
                )),
                None => warnings.push(
                    "an aggregator's set-point cannot be followed without a meter of net power: \
                     configure one"
                        .into(),
                ),
            }
        }
        if let Some(owner) = inputs.owner {
            asks.push(Ask::exactly(Mode::Owner, owner, format!("the owner wants {owner}")));
        }
        let heat: Watts = zones.iter().map(|zone| zone.asks).sum();
        if heat > Watts::ZERO {
            let names: Vec<&str> = zones.iter().map(|zone| &*zone.name).collect();
            asks.push(Ask::at_least(Mode::Heat, heat, format!("{} want heat", names.join(", "))));
        }
        if let Some(planned) = inputs.planned {
            // The plan and the price are about free loads; heat comes on top.
            let why = format!("the plan wants {planned}");
            asks.push(Ask::exactly(Mode::Plan, planned + heat, why));
        }
        asks.extend(self.surplus(drawn));
        if self.setup.price {
            asks.push(self.priced(inputs.price, heat));
        }
        if let Some(droop) = &mut self.setup.droop {
            let wanted = combine(&asks, self.capacity).power;
            asks.extend(droop.step(now, inputs.frequency, drawn, wanted, self.capacity));
        }
        asks
    }

    fn safety(
        &mut self,
        inputs: &Inputs<'_>,
        net: Option<NetWatts>,
        drawn: Watts,
        warnings: &mut Vec<String>,
    ) -> Vec<Ask> {
        let now = inputs.now;
        let mut asks = Vec::new();
        if let Some(breaker) = &mut self.breaker {
            let circuit = inputs.net.map(|net| Reading::new(net.value.import(), net.at));
            asks.push(breaker.step(now, circuit, drawn));
        }
        if let Some(reserve) = &mut self.setup.reserve {
            asks.extend(reserve.step(now, inputs.charge));
        }
        for (name, derate) in &mut self.setup.hot {
            let reading = inputs.temperatures.get(name).copied();
            let Some(mut ask) = derate.step(now, reading, self.capacity) else { continue };
            ask.why = format!("{name}: {}", ask.why).into();
            let lost = reading.is_none_or(|reading| reading.fresh(now, Derate::FRESH).is_none());
            if let Some(left) = ask.ceiling.filter(|_| lost) {
                warnings.push(format!(
                    "temperature \"{name}\" is lost: loads draw at most {left} until it is back"
                ));
            }
            asks.push(ask);
        }
        let none = |why: &str| Ask::at_most(Mode::Safety, Watts::ZERO, why);
        let needs_net = self.setup.surplus.is_some() || self.breaker.is_some();
        if net.is_none() && needs_net {
            warnings.push("the meter of net power is lost: the last set-points stay".into());
            if self.setup.connection == Connection::OffGrid {
                asks.push(none("the meter is lost off-grid"));
            }
        }
        // An engine sheds by itself what it must.
        let frequency = inputs.frequency.and_then(|hertz| hertz.fresh(now, STALE).copied());
        let alone = self.setup.connection == Connection::OffGrid && self.engine.is_none();
        if alone && self.setup.droop.is_some() && frequency.is_none() {
            asks.push(none("the frequency is lost off-grid"));
        }
        if let Some(limit) = self.setup.dead_man
            && inputs.alive.is_none_or(|alive| now.since(alive) > limit)
        {
            asks.push(none("the dead-man was not renewed"));
        }
        asks
    }

    fn surplus(&self, drawn: Watts) -> Option<Ask> {
        let leave = self.setup.surplus?;
        let others = self.others?;
        let own = watts(-others - leave.get());
        let why = format!("{own} would be exported, of which {drawn} are used now");
        Some(Ask::exactly(Mode::Surplus, own, why))
    }

    fn priced(&self, price: Option<EnergyPrice>, heat: Watts) -> Ask {
        match price {
            Some(price) => {
                let worth = self.pool.worth(price);
                let why = format!("{worth} earn more than the {price} that power costs");
                Ask::exactly(Mode::Price, worth + heat, why)
            }
            None => {
                let why = "nobody says what power costs: nothing is bought";
                Ask::exactly(Mode::Price, heat, why)
            }
        }
    }
}

/// Whether loads run because they earn more than their power costs, and none for another reason: then one
/// that cannot run is not replaced by one that costs more than it earns.
fn only_what_pays(asks: &[Ask], target: &Target) -> bool {
    let first = asks.iter().filter(|ask| ask.target.is_some()).min_by_key(|ask| ask.mode);
    first.is_some_and(|ask| ask.mode == Mode::Price && ask.target >= Some(target.power))
}

fn phase(phase: genset::Phase) -> &'static str {
    match phase {
        genset::Phase::Dead => "dead or not steady yet",
        genset::Phase::Loading => "being loaded step by step",
        genset::Phase::Following => "kept in its band",
        genset::Phase::Shedding => "shedding: fuel or speed falls",
        genset::Phase::Blind => "not to be read: loads shed",
    }
}

fn watts(watts: f64) -> Watts {
    Watts::new(watts.max(0.0)).unwrap_or(Watts::ZERO)
}

#[cfg(test)]
mod tests;
