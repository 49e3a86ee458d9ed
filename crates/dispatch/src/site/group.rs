//! Loads in groups: those whose heat goes to one body, and those that are free. Each group has its own
//! merit order; zones are served before free loads. It never knows why a target is what it is.

use super::Inputs;
use crate::{
    ask::Target,
    heat::{
        Control, Guard, Heater, HeatingCurve, Hygiene, Leeway, Offer, Order, Reason, Safety,
        Stands, Times, Wanted, Watch, Zone, offer,
    },
    load::{Load, LoadState},
    realtime::{Aim, Controller, Move, Tuning},
};
use std::{sync::Arc, time::Duration};
use units::{Celsius, EnergyPrice, HeatCapacity, Moment, NetWatts, Reading, Watts};

/// A heated body and how it is heated.
#[derive(Debug, Clone)]
pub struct Body {
    /// Its name; loads name it as their zone.
    pub name: Arc<str>,
    /// Name of its temperature among the signals.
    pub temperature: Arc<str>,
    /// Name of the temperature of exhaust air or fluid; the safety cut needs it.
    pub outlet: Option<Arc<str>>,
    /// What it is to have.
    pub set_point: Celsius,
    /// A heating curve that makes the set-point of its water from the weather, and the name of the
    /// outdoor temperature; the set-point above is that of the rooms then. Without the weather it
    /// counts as the coldest day.
    pub curve: Option<(HeatingCurve, Arc<str>)>,
    /// A hygienic cycle and the heat capacity of the tank.
    pub hygiene: Option<(Hygiene, HeatCapacity)>,
    /// What decides.
    pub control: Control,
    /// How often its machines may start.
    pub times: Times,
    /// The independent cut.
    pub safety: Safety,
    /// How far an aggregator may take it; not at all where absent.
    pub leeway: Option<Yields>,
}

/// How far an aggregator may take a heated body, and how that is foreseen.
#[derive(Debug, Clone)]
pub struct Yields {
    /// Within its comfort.
    pub leeway: Leeway,
    /// Its model.
    pub model: crate::heat::Body,
    /// Name of the temperature that it loses heat to.
    pub ambient: Arc<str>,
}

/// How a zone is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneState {
    /// Its name.
    pub name: Arc<str>,
    /// Its temperature, if it is known and not too old.
    pub is: Option<Celsius>,
    /// What it is to have now.
    pub set_point: Celsius,
    /// Power that it asks of its machines: of its own, or as an aggregator wants it.
    pub asks: Watts,
    /// Power that it would ask of its own.
    pub alone: Watts,
    /// What it can be told.
    pub offer: Offer,
    /// The backup heater is to run.
    pub backup: bool,
    /// Its machines are cut, whatever their least times say.
    pub cut: bool,
    /// It was cut, or its temperature is not known: one sentence.
    pub trouble: Option<Arc<str>>,
}

/// What the groups come to.
pub(super) struct Shared {
    pub moves: Vec<Move>,
    pub set: Watts,
    pub shortfall: NetWatts,
}

/// Loads with one target.
#[derive(Debug)]
pub(super) struct Group {
    /// Places in the site's list.
    places: Vec<usize>,
    controller: Controller,
    set: f64,
}

/// A temperature older than this is not known.
const STALE: Duration = Duration::from_secs(600);
/// The weather does not change sooner.
const WEATHER: Duration = Duration::from_secs(3600);

impl Group {
    /// How long its loads stay on and off at least.
    fn stays(&self, loads: &[Load]) -> (Duration, Duration) {
        let times = self.places.iter().filter_map(|at| loads.get(*at)).map(|load| load.times);
        times.fold((Duration::ZERO, Duration::ZERO), |(on, off), times| {
            (on.max(times.min_on), off.max(times.min_off))
        })
    }

    /// By the loads' own readings, else as they should.
    fn drawn(&self, now: Moment, states: &[LoadState]) -> f64 {
        let one = |(own, place): (usize, &usize)| {
            let state = states.get(*place).copied().unwrap_or_default();
            self.controller.draws(own, now, &state).get()
        };
        self.places.iter().enumerate().map(one).sum()
    }
}

/// All groups: one for each zone, and the free loads last.
#[derive(Debug)]
pub(super) struct Pool {
    bodies: Vec<(Body, Zone)>,
    watches: Vec<Option<Watch>>,
    /// What an aggregator's word comes to for each zone.
    orders: Vec<Option<Watts>>,
    /// Whether the zone did as it was told a step ago.
    follows: Vec<bool>,
    groups: Vec<Group>,
    full: Vec<f64>,
    told: Vec<f64>,
    levels: Vec<Vec<f64>>,
}

impl Pool {
    pub(super) fn new(bodies: &[Body], tuning: Tuning) -> Self {
        let zone = |body: &Body| {
            let guard = Guard::new(body.times);
            Zone::new(body.control.clone(), guard, body.safety.clone())
        };
        let group = || Group { places: Vec::new(), controller: Controller::new(tuning), set: 0.0 };
        let watch = |body: &Body| body.leeway.as_ref().map(|yields| Watch::new(yields.model));
        Self {
            bodies: bodies.iter().map(|body| (body.clone(), zone(body))).collect(),
            watches: bodies.iter().map(watch).collect(),
            orders: vec![None; bodies.len()],
            follows: vec![false; bodies.len()],
            groups: (0..=bodies.len()).map(|_| group()).collect(),
            full: Vec::new(),
            told: Vec::new(),
            levels: Vec::new(),
        }
    }

    pub(super) fn set_loads(
        &mut self,
        now: Moment,
        loads: &[Load],
        levels: impl Fn(usize) -> usize,
    ) {
        let free = self.bodies.len();
        let group_of = |load: &Load| {
            let zone = load.zone.as_ref();
            let at = zone.and_then(|zone| self.bodies.iter().position(|(b, _)| b.name == *zone));
            at.unwrap_or(free)
        };
        let of: Vec<usize> = loads.iter().map(group_of).collect();
        for (at, group) in self.groups.iter_mut().enumerate() {
            group.places = (0..loads.len()).filter(|place| of[*place] == at).collect();
            let own: Vec<Load> = group.places.iter().map(|at| loads[*at].clone()).collect();
            let places = &group.places;
            group.controller.set_loads(now, &own, |own| levels(places[own]));
        }
        self.full = loads.iter().map(|load| load.full().get()).collect();
        let power = |load: &Load| load.levels.iter().map(|level| level.power.get()).collect();
        self.levels = loads.iter().map(power).collect();
        self.told = vec![0.0; loads.len()];
        self.note_told();
    }

    fn note_told(&mut self) {
        for group in &self.groups {
            for (own, place) in group.places.iter().enumerate() {
                let level = group.controller.level(own).unwrap_or(0);
                let watts = self.levels[*place].get(level).copied();
                self.told[*place] = watts.unwrap_or(0.0);
            }
        }
    }

    fn find(&self, load: usize) -> Option<(&Group, usize)> {
        self.groups.iter().find_map(|group| {
            let own = group.places.binary_search(&load).ok()?;
            Some((group, own))
        })
    }

    pub(super) fn obeys(&self, load: usize) -> Option<bool> {
        self.find(load).and_then(|(group, own)| group.controller.obeys(own))
    }

    pub(super) fn level(&self, load: usize) -> Option<usize> {
        self.find(load).and_then(|(group, own)| group.controller.level(own))
    }

    pub(super) fn since(&self, load: usize) -> Option<Moment> {
        self.find(load).and_then(|(group, own)| group.controller.since(own))
    }

    /// What the loads draw by their own readings, else as they should.
    pub(super) fn drawn(&self, now: Moment, states: &[LoadState]) -> Watts {
        super::watts(self.groups.iter().map(|group| group.drawn(now, states)).sum())
    }

    /// What all set-points come to.
    pub(super) fn set(&self) -> Watts {
        super::watts(self.told.iter().sum())
    }

    /// What loads that do not obey may add when they come back by themselves.
    pub(super) fn away(&self) -> Watts {
        let away = (0..self.full.len()).filter(|at| self.obeys(*at) == Some(false));
        super::watts(away.map(|at| self.full[at] - self.told[at]).sum())
    }

    pub(super) fn set_point(&mut self, zone: &str, set_point: Celsius) {
        for (body, _) in self.bodies.iter_mut().filter(|(body, _)| *body.name == *zone) {
            body.set_point = set_point;
        }
    }

    pub(super) fn heat_at_once(&mut self, zone: &str, on: bool) {
        for (_, own) in self.bodies.iter_mut().filter(|(body, _)| *body.name == *zone) {
            own.heat_at_once(on);
        }
    }

    /// Zones get these powers from the next step on, as far as they can; `None` for their own.
    pub(super) fn order(&mut self, orders: Vec<Option<Watts>>) {
        self.orders = orders;
    }

    /// What loads that heat nothing can draw.
    pub(super) fn free(&self) -> Watts {
        let places = self.groups.last().map_or(&[][..], |group| &group.places);
        super::watts(places.iter().filter_map(|at| self.full.get(*at)).sum())
    }

    /// Watts of free loads that earn more than power costs.
    pub(super) fn worth(&self, price: EnergyPrice) -> Watts {
        self.groups.last().map_or(Watts::ZERO, |free| free.controller.worth(price))
    }

    /// What each zone asks of its machines.
    pub(super) fn heat(
        &mut self,
        inputs: &Inputs<'_>,
        states: &[LoadState],
        loads: &[Load],
    ) -> Vec<ZoneState> {
        let now = inputs.now;
        let mut zones = Vec::new();
        for (at, ((body, zone), group)) in self.bodies.iter_mut().zip(&self.groups).enumerate() {
            let reading = |name: &Arc<str>| inputs.temperatures.get(name).copied();
            let is = reading(&body.temperature);
            let known = is.and_then(|is| is.fresh(now, STALE).copied());
            let Some(heater) = heater(group, loads) else {
                self.follows[at] = false;
                zones.push(ZoneState {
                    name: body.name.clone(),
                    is: known,
                    set_point: body.set_point,
                    asks: Watts::ZERO,
                    alone: Watts::ZERO,
                    offer: Offer::none(Watts::ZERO),
                    backup: true,
                    cut: false,
                    trouble: Some("no machine that can be steered heats it".into()),
                });
                continue;
            };
            let mut set_point = body.set_point;
            if let Some((curve, outdoor)) = &body.curve {
                let outdoor = reading(outdoor).and_then(|r| r.fresh(now, WEATHER).copied());
                let outdoor = outdoor.unwrap_or(curve.design_outdoor);
                set_point = curve.supply(body.set_point, outdoor);
            }
            let mut cycle = None;
            // Until a hygienic cycle wants the zone.
            let mut free = None;
            let mut ahead = inputs.ahead.get(&body.name).cloned().unwrap_or_default();
            if let Some((hygiene, capacity)) = &mut body.hygiene {
                hygiene.observe(now, known);
                let mean = known.unwrap_or(body.set_point);
                let power = heater.lowest();
                cycle = hygiene.cycle(now, mean, *capacity, power);
                let band_k = body.leeway.as_ref().map_or(0.0, |yields| yields.leeway.band_k);
                let coldest = Celsius::new(set_point.get() - band_k).unwrap_or(set_point);
                free = Some(hygiene.begins_in(now, coldest, *capacity, power));
                if let (None, Control::Predictive(predictive, _)) = (cycle, zone.control()) {
                    let step = predictive.plans_every();
                    hygiene.plan(now, mean, *capacity, power, step, &mut ahead);
                }
            }
            if set_point > body.set_point {
                ahead.clear();
            }
            let drawn = super::watts(group.drawn(now, states));
            let outlet = body.outlet.as_ref().map(|name| {
                let fresh = reading(name).and_then(|outlet| outlet.fresh(now, STALE).copied());
                (fresh, body.safety.limit())
            });
            let mut offered = Offer::none(zone.alone());
            if let (Some(yields), Some(watch)) = (&body.leeway, &mut self.watches[at]) {
                let ambient = reading(&yields.ambient);
                let ambient = ambient.and_then(|r| r.fresh(now, WEATHER).copied());
                let outlet_is = outlet.and_then(|(is, _)| is);
                watch.look(now, known, drawn, ambient, outlet_is);
                // One that is measured and cannot be read keeps what is told within what is known.
                let blind = outlet.is_some() && outlet_is.is_none();
                if let (Some(is), None, true, false) = (known, cycle, zone.can_follow(), blind) {
                    offered = offer(
                        &yields.leeway,
                        &Stands {
                            now,
                            is,
                            set_point,
                            ambient,
                            outlet: outlet.and_then(|(is, limit)| is.zip(Some(limit))),
                            alone: zone.alone(),
                            follows: self.follows[at],
                            free,
                            guard: zone.guard(),
                            stays: group.stays(loads),
                            heater: &heater,
                            watch,
                        },
                    );
                }
                let told = self.orders[at].map(|power| offered.limit(power));
                let told = told.filter(|power| (power.get() - zone.alone().get()).abs() > 1.0);
                let low = Celsius::new(set_point.get() - yields.leeway.band_k);
                let order = told.zip(low.ok()).map(|(power, low)| Order { power, low });
                zone.follow(order);
                self.follows[at] = order.is_some();
            }
            let wanted = Wanted {
                is,
                outlet: body.outlet.as_ref().map_or_else(
                    // Where nobody measures it, the machines' own limits must do.
                    || Celsius::new(20.0).ok().map(|warm| Reading::new(warm, now)),
                    reading,
                ),
                set_point,
                hygiene: cycle,
                drawn,
                ahead: &ahead,
            };
            let heating = zone.step(now, &wanted, &heater);
            // Less power near the limit is the rule in a hygienic cycle.
            let cut = heating.why == Reason::TooHot && !heater.hashes_at(heating.power);
            let trouble = match heating.why {
                Reason::TooHot if cut => Some("its outlet is too hot, or not known"),
                Reason::Blind => Some("its temperature is not known"),
                _ => None,
            };
            zones.push(ZoneState {
                name: body.name.clone(),
                is: known,
                set_point: cycle.map_or(set_point, |cycle| cycle.to),
                asks: heating.power,
                alone: zone.alone(),
                offer: offered.around(zone.alone()),
                backup: heating.backup,
                cut,
                trouble: trouble.map(Into::into),
            });
        }
        zones
    }

    /// Shares the target out: zones first, in their order, then the free loads, of which those that earn no
    /// more than `least` are not raised for its sake. Above `hard` they are stopped before their time, too.
    pub(super) fn share(
        &mut self,
        now: Moment,
        (target, least, mut hard): (&Target, Option<EnergyPrice>, Option<Watts>),
        zones: &[ZoneState],
        states: &[LoadState],
        held: bool,
    ) -> Shared {
        let mut left = target.power.get();
        let mut ceiling = target.ceiling.get();
        let mut shared = Shared { moves: Vec::new(), set: Watts::ZERO, shortfall: NetWatts::ZERO };
        let (mut set, mut short) = (0.0, 0.0);
        for (at, group) in self.groups.iter_mut().enumerate() {
            let wanted = match zones.get(at) {
                Some(zone) => zone.asks.get().min(ceiling),
                None => left.max(0.0),
            };
            let most = ceiling.max(0.0);
            let own: Vec<LoadState> = group
                .places
                .iter()
                .map(|at| states.get(*at).copied().unwrap_or_default())
                .collect();
            let measured = group.drawn(now, states);
            let aim = Aim {
                target: NetWatts::new(wanted).unwrap_or_default(),
                ceiling: super::watts(most),
                floor: Watts::ZERO,
                hard: match zones.get(at) {
                    Some(zone) if zone.cut => Some(zone.asks),
                    _ => hard,
                },
                held,
                within: wanted >= most - 1e-6,
                least: least.filter(|_| at >= zones.len()),
            };
            let meter = NetWatts::new(measured).ok().map(|sum| Reading::new(sum, now));
            let step = group.controller.step(now, aim, &own, meter);
            group.set = step.set.get();
            set += group.set;
            short += step.shortfall.get();
            left -= group.set;
            ceiling -= group.set;
            hard = hard.map(|hard| hard.saturating_sub(step.set));
            let place = |one: Move| Move { load: group.places[one.load], level: one.level };
            shared.moves.extend(step.moves.into_iter().map(place));
        }
        for one in &shared.moves {
            self.told[one.load] = self.levels[one.load].get(one.level).copied().unwrap_or(0.0);
        }
        shared.set = super::watts(set);
        shared.shortfall = NetWatts::new(short).unwrap_or_default();
        shared
    }
}

/// The machines of a zone as one heater.
fn heater(group: &Group, loads: &[Load]) -> Option<Heater> {
    let own = || group.places.iter().filter_map(|at| loads.get(*at));
    let idle: Watts = own().map(|load| load.power_at(0)).sum();
    let most = own().map(|load| load.levels.len()).max()?;
    // All at their first level, all at their second, and so on: what lies between is mixed.
    let point = |level: usize| {
        let power: Watts = own().map(|load| load.power_at(level)).sum();
        let value = own().filter_map(|load| load.levels.get(level).or(load.levels.last()));
        (power, value.map(|level| level.value).sum())
    };
    let mut points: Vec<(Watts, units::Usd)> = (1..most).map(point).collect();
    // One machine alone is the least that can run.
    let least = own().filter_map(|load| {
        let level = load.levels.get(1)?;
        let others: f64 = idle.get() - load.power_at(0).get();
        Some((super::watts(others + level.power.get()), level.value))
    });
    points.extend(least.min_by(|a, b| a.0.get().total_cmp(&b.0.get())));
    points.sort_by(|a, b| a.0.get().total_cmp(&b.0.get()));
    points.dedup_by(|a, b| (a.0.get() - b.0.get()).abs() < 1.0);
    if let [(only, value)] = points[..] {
        // On or off: a heater with one power is one that can be told its last percent.
        let below = super::watts(only.get() * 0.99);
        points.insert(0, (below, value * 0.99));
    }
    Heater::of_points(idle, points).ok()
}
