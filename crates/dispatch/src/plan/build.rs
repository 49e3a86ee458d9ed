//! Clustered unit commitment as rows and columns: integers count machines of a class at a level, so
//! that a farm of thousands is as small as its number of classes. It never solves.
//!
//! Formulation: shared start and stop counts with minimum up and down times (Rajan and Takriti, IBM
//! RC23628, 2005), clustered after Palmintier and Webster, IEEE Trans. Power Syst. 29(3), 2014. Power
//! in kW, energy in kWh, money in $, time in hours.

use super::{
    limit::Limit,
    model::{Col, Model},
    problem::{Class, Problem, Zone},
};
use std::time::Duration;
use units::Watts;

/// Where each quantity stands in the model: one column per step in each list.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    pub import: Vec<Col>,
    pub export: Vec<Col>,
    pub pv: Vec<Col>,
    /// `[class][level][step]`
    pub counts: Vec<Vec<Vec<Col>>>,
    pub battery: Option<Store>,
    pub genset: Option<Engine>,
    pub zones: Vec<Room>,
    /// `[reserve][step]`
    pub reserves: Vec<Vec<Col>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub charge: Vec<Col>,
    pub discharge: Vec<Col>,
    /// At the end of each step.
    pub energy: Vec<Col>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Engine {
    pub on: Vec<Col>,
    pub power: Vec<Col>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Room {
    /// At the end of each step.
    pub temperature: Vec<Col>,
    pub cold: Vec<Col>,
    pub heater: Vec<Col>,
    pub vent: Vec<Col>,
}

/// Starts and stops of a class, or of the engine: one column per step, none where nothing needs them.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    pub start: Vec<Col>,
    stop: Vec<Col>,
}

/// What of a machine's past and money decides when it may change.
struct Commitment {
    count: f64,
    on_now: f64,
    start_cost: f64,
    stop_cost: f64,
    /// In steps.
    min_on: usize,
    min_off: usize,
    /// Machines that must stay on, and off, in each step because of what they did before.
    held_on: Vec<f64>,
    held_off: Vec<f64>,
}

/// The model of a problem that passed the check.
pub(super) fn build(p: &Problem) -> (Model, Layout) {
    let mut b =
        Builder { p, dt: p.hours(), t: p.steps(), m: Model::default(), at: Layout::default() };
    b.grid();
    let changes: Vec<Changes> = (0..p.classes.len()).map(|k| b.class(k)).collect();
    b.battery();
    b.genset();
    b.zones();
    b.balance();
    b.charges();
    b.commitments();
    b.reserves(&changes);
    (b.m, b.at)
}

pub(super) struct Builder<'a> {
    pub p: &'a Problem,
    /// Length of a step, and how many.
    pub dt: f64,
    pub t: usize,
    pub m: Model,
    pub at: Layout,
}

/// Machines that the past keeps in their state in each step: those of `batches` (count, time left).
fn held(
    steps: usize,
    p: &Problem,
    batches: impl Iterator<Item = (u32, Duration)> + Clone,
) -> Vec<f64> {
    let left = |t: usize| batches.clone().filter(move |(_, left)| p.steps_in(*left) > t);
    (0..steps).map(|t| left(t).map(|(n, _)| f64::from(n)).sum()).collect()
}

/// How a zone's temperature follows: it keeps `keeps` of its difference to the surroundings over one
/// step, and one kW of heat warms it by `warms` kelvin (exact for constant heat within the step).
pub(super) fn response(zone: &Zone, hours: f64) -> (f64, f64) {
    let (capacity, loss) = (zone.capacity.kilowatt_hours(), zone.loss.kilowatts());
    if loss <= 0.0 {
        return (1.0, hours / capacity);
    }
    let keeps = (-hours * loss / capacity).exp();
    (keeps, (1.0 - keeps) / loss)
}

/// Machines of a class that must stay on in each step because they started before the plan.
pub(super) fn held_on(p: &Problem, class: &Class) -> Vec<f64> {
    let on = class.now.iter().filter(|b| b.level.is_some());
    held(p.steps(), p, on.map(|b| (b.count, class.min_on.saturating_sub(b.since))))
}

/// Machines of a class that must stay off in each step because they stopped before the plan.
pub(super) fn held_off(p: &Problem, class: &Class) -> Vec<f64> {
    let off = class.now.iter().filter(|b| b.level.is_none());
    held(p.steps(), p, off.map(|b| (b.count, class.min_off.saturating_sub(b.since))))
}

impl Builder<'_> {
    /// More than the site can take and give in a step, in kW: what bounds columns that nothing else does,
    /// and never binds itself.
    fn extremes(&self, t: usize) -> (f64, f64) {
        let p = self.p;
        let load = p.load.get(t).map_or(0.0, |w| w.get() / 1e3);
        let (mut take, mut give) = (1.0 + load.max(0.0), 1.0 + (-load).max(0.0));
        for class in &p.classes {
            let most = class.levels.iter().map(|l| l.power.kilowatts());
            let most = most.fold(class.off_power.kilowatts(), f64::max);
            take += f64::from(class.count) * most;
        }
        take += p.zones.iter().filter_map(|z| z.heater).map(|(w, _)| w.kilowatts()).sum::<f64>();
        give += p.pv.get(t).map_or(0.0, |w| w.kilowatts());
        if let Some(battery) = &p.battery {
            take += battery.charge.kilowatts();
            give += battery.discharge.kilowatts();
        }
        give += p.genset.as_ref().map_or(0.0, |g| g.most.kilowatts());
        (take, give)
    }

    fn grid(&mut self) {
        let p = self.p;
        for t in 0..self.t {
            let (take, give) = self.extremes(t);
            let (buy, sell) = (p.import[t].usd_per_kwh(), p.export.get(t).map(|e| e.usd_per_kwh()));
            let most =
                |limit: Option<Watts>, all: f64| limit.map_or(all, |w| w.kilowatts().min(all));
            let import = self.m.col(0.0, most(p.import_limit, take), buy * self.dt);
            self.m.tag(import, Limit::Import.at(t));
            self.at.import.push(import);
            let sold = sell.map_or(0.0, |_| most(p.export_limit, give));
            let export = self.m.col(0.0, sold, -sell.unwrap_or(0.0) * self.dt);
            self.m.tag(export, Limit::Export.at(t));
            self.at.export.push(export);
            // Import and export at once would be a money machine, or feign import under a contract.
            let floor =
                p.commitments.iter().any(|c| c.at_least.get(t).is_some_and(|w| w.is_some()));
            if sell.is_some_and(|sell| sell > buy || floor) {
                let importing = self.m.number(1.0, 0.0);
                self.m.at_most(vec![(import, 1.0), (importing, -take)], 0.0, Limit::Law.at(t));
                self.m.at_most(vec![(export, 1.0), (importing, give)], give, Limit::Law.at(t));
            }
            let sun = p.pv.get(t).map_or(0.0, |w| w.kilowatts());
            let pv = self.m.col(0.0, sun, 0.0);
            self.at.pv.push(pv);
        }
    }

    fn class(&mut self, k: usize) -> Changes {
        let p = self.p;
        let class = &p.classes[k];
        let count = f64::from(class.count);
        let alone = class.levels.len() == 1;
        let mut counts = Vec::with_capacity(class.levels.len());
        for level in &class.levels {
            let gain = |t| p.earned(level, t) * self.dt;
            let gains: Vec<f64> = (0..self.t).map(gain).collect();
            counts.push(gains.iter().map(|g| self.m.number(count, -g)).collect::<Vec<_>>());
        }
        for t in 0..self.t {
            let available = f64::from(class.available(t));
            if alone && available == count {
                self.m.tag(counts[0][t], Limit::Count(k).at(t));
            } else {
                let all = counts.iter().map(|level| (level[t], 1.0)).collect();
                self.m.at_most(all, available, Limit::Count(k).at(t));
            }
        }
        let on = |t: usize| counts.iter().map(move |level| (level[t], 1.0)).collect::<Vec<_>>();
        let changes = self.commit(
            &Commitment {
                count,
                on_now: f64::from(class.on_now()),
                start_cost: class.start_cost.get(),
                stop_cost: class.stop_cost.get(),
                min_on: p.steps_in(class.min_on),
                min_off: p.steps_in(class.min_off),
                held_on: held_on(p, class),
                held_off: held_off(p, class),
            },
            &on,
            Limit::MinOn(k),
            Limit::MinOff(k),
        );
        for (ramp, sign) in [(class.ramp_up, 1.0), (class.ramp_down, -1.0)] {
            let Some(most) = ramp.map(|w| w.kilowatts()) else { continue };
            let off = class.off_power.kilowatts();
            for t in 0..self.t {
                let mut terms = Vec::new();
                for (level, cols) in class.levels.iter().zip(&counts) {
                    let kw = sign * (level.power.kilowatts() - off);
                    terms.push((cols[t], kw));
                    if t > 0 {
                        terms.push((cols[t - 1], -kw));
                    }
                }
                let before = if t == 0 { class.kw_now() - count * off } else { 0.0 };
                self.m.at_most(terms, most + sign * before, Limit::Ramp(k).at(t));
            }
        }
        self.at.counts.push(counts);
        changes
    }

    /// Starts, stops and minimum times of something that counts `on` units in each step.
    fn commit(
        &mut self,
        c: &Commitment,
        on: &dyn Fn(usize) -> Vec<(Col, f64)>,
        min_on: Limit,
        min_off: Limit,
    ) -> Changes {
        let held = c.held_on.iter().chain(&c.held_off).any(|count| *count > 0.0);
        let costs = c.start_cost > 0.0 || c.stop_cost > 0.0;
        let free = !held && !costs && c.min_on <= 1 && c.min_off <= 1;
        if free {
            return Changes::default();
        }
        let mut changes = Changes::default();
        for t in 0..self.t {
            let start = self.m.col(0.0, c.count, c.start_cost);
            let stop = self.m.col(0.0, c.count, c.stop_cost);
            changes.start.push(start);
            changes.stop.push(stop);
            let mut change = on(t);
            if t > 0 {
                change.extend(on(t - 1).into_iter().map(|(col, by)| (col, -by)));
            }
            change.extend([(start, -1.0), (stop, 1.0)]);
            let before = if t == 0 { c.on_now } else { 0.0 };
            self.m.equal(change, before, Limit::Law.at(t));
            let window = |cols: &[Col], steps: usize, sign: f64| -> Vec<(Col, f64)> {
                cols[(t + 1).saturating_sub(steps)..=t].iter().map(|col| (*col, sign)).collect()
            };
            // Of a single machine, a start and a stop at once would also feign a change of the engine.
            let single = c.count == 1.0;
            if single || c.min_on > 1 || c.held_on[t] > 0.0 {
                let mut terms = on(t);
                terms.extend(window(&changes.start, c.min_on.max(1), -1.0));
                self.m.at_least(terms, c.held_on[t], min_on.at(t));
            }
            if single || c.min_off > 1 || c.held_off[t] > 0.0 {
                let mut terms = on(t);
                terms.extend(window(&changes.stop, c.min_off.max(1), 1.0));
                self.m.at_most(terms, c.count - c.held_off[t], min_off.at(t));
            }
        }
        changes
    }

    fn battery(&mut self) {
        let Some(battery) = &self.p.battery else { return };
        let (into, out) = (battery.charge_efficiency.get(), battery.discharge_efficiency.get());
        let (charge_kw, discharge_kw) = (battery.charge.kilowatts(), battery.discharge.kilowatts());
        let now = battery.now.kilowatt_hours();
        // One that is below its least is not drained further.
        let least = battery.least.kilowatt_hours().min(now);
        let mut store = Store::default();
        for t in 0..self.t {
            let charge = self.m.col(0.0, charge_kw, 0.0);
            let discharge = self.m.col(0.0, discharge_kw, battery.wear.usd_per_kwh() * self.dt);
            let worth = if t + 1 == self.t { -battery.end_value.usd_per_kwh() } else { 0.0 };
            let energy = self.m.col(least, battery.most.kilowatt_hours(), worth);
            self.m.tag(charge, Limit::Charge.at(t));
            self.m.tag(discharge, Limit::Discharge.at(t));
            self.m.tag(energy, Limit::Full.at(t));
            let mut law =
                vec![(energy, 1.0), (charge, -into * self.dt), (discharge, self.dt / out)];
            if let Some(before) = store.energy.last() {
                law.push((*before, -1.0));
            }
            let start = if t == 0 { now } else { 0.0 };
            self.m.equal(law, start, Limit::Law.at(t));
            // Where energy may be worth less than nothing, burning it in the battery must be barred.
            if self.may_be_negative(t) {
                let charging = self.m.number(1.0, 0.0);
                let law = Limit::Law.at(t);
                self.m.at_most(vec![(charge, 1.0), (charging, -charge_kw)], 0.0, law);
                self.m.at_most(vec![(discharge, 1.0), (charging, discharge_kw)], discharge_kw, law);
            }
            store.charge.push(charge);
            store.discharge.push(discharge);
            store.energy.push(energy);
        }
        if let Some(last) = store.energy.last() {
            let least = battery.end_least.kilowatt_hours();
            if least > 0.0 {
                self.m.at_least(vec![(*last, 1.0)], least, Limit::BatteryEnd.at(self.t - 1));
            }
        }
        self.at.battery = Some(store);
    }

    /// Whether energy inside the site may be worth less than nothing in a step, or room in a battery more:
    /// before a step that pays for drawing it.
    fn may_be_negative(&self, t: usize) -> bool {
        let p = self.p;
        let floor = p.commitments.iter().any(|c| c.at_least.get(t).is_some_and(|w| w.is_some()));
        let must_run = p.load.get(t).is_some_and(|w| w.get() < 0.0);
        floor
            || must_run
            || p.genset.is_some()
            || p.import[t..].iter().any(|price| price.usd_per_kwh() < 0.0)
    }

    fn genset(&mut self) {
        let p = self.p;
        let Some(g) = &p.genset else { return };
        let (least, most) = (g.least.kilowatts(), g.most.kilowatts());
        let mut engine = Engine::default();
        for _ in 0..self.t {
            engine.on.push(self.m.number(1.0, g.per_hour.get() * self.dt));
            engine.power.push(self.m.col(0.0, most, g.fuel.usd_per_kwh() * self.dt));
        }
        let running = g.power_now.is_some();
        let left = |minimum: Duration, on: bool| {
            let batch = (running == on).then(|| (1, minimum.saturating_sub(g.since)));
            held(p.steps(), p, batch.into_iter())
        };
        let on = engine.on.clone();
        let changes = self.commit(
            &Commitment {
                count: 1.0,
                on_now: if running { 1.0 } else { 0.0 },
                // Starts and stops are counted even where they cost nothing: the change limit needs them.
                start_cost: g.start_cost.get().max(1e-9),
                stop_cost: 0.0,
                min_on: p.steps_in(g.min_on),
                min_off: p.steps_in(g.min_off),
                held_on: left(g.min_on, true),
                held_off: left(g.min_off, false),
            },
            &|t| vec![(on[t], 1.0)],
            Limit::EngineTime,
            Limit::EngineTime,
        );
        for t in 0..self.t {
            let (on, power) = (engine.on[t], engine.power[t]);
            self.m.at_most(vec![(power, 1.0), (on, -most)], 0.0, Limit::EngineMost.at(t));
            self.m.at_least(vec![(power, 1.0), (on, -least)], 0.0, Limit::EngineLeast.at(t));
            let Some(change) = g.change.map(|w| w.kilowatts()) else { continue };
            let (start, stop) = (changes.start[t], changes.stop[t]);
            let (mut up, mut down) = (vec![(power, 1.0), (start, -least)], vec![(power, -1.0)]);
            down.extend([(on, -change), (stop, -least)]);
            let (mut up_now, mut down_now) = (0.0, 0.0);
            if t > 0 {
                up.extend([(engine.power[t - 1], -1.0), (engine.on[t - 1], -change)]);
                down.push((engine.power[t - 1], 1.0));
            } else if let Some(now) = g.power_now.map(|w| w.kilowatts()) {
                (up_now, down_now) = (now + change, -now);
            }
            self.m.at_most(up, up_now, Limit::EngineChange.at(t));
            self.m.at_most(down, down_now, Limit::EngineChange.at(t));
        }
        self.at.genset = Some(engine);
    }

    /// Heat that machines give a zone in a step: terms, and the constant of machines that are off.
    fn machine_heat(&self, zone: usize, t: usize) -> (Vec<(Col, f64)>, f64) {
        let (mut terms, mut idle) = (Vec::new(), 0.0);
        for (class, counts) in self.p.classes.iter().zip(&self.at.counts) {
            let Some((_, share)) = class.heats.filter(|(z, _)| *z == zone) else { continue };
            let off = class.off_power.kilowatts();
            idle += share.get() * off * f64::from(class.count);
            for (level, cols) in class.levels.iter().zip(counts) {
                terms.push((cols[t], share.get() * (level.power.kilowatts() - off)));
            }
        }
        (terms, idle)
    }

    fn zones(&mut self) {
        let p = self.p;
        for (z, zone) in p.zones.iter().enumerate() {
            let (keeps, warms) = response(zone, self.dt);
            let mut room = Room::default();
            for t in 0..self.t {
                let (machines, idle) = self.machine_heat(z, t);
                let temperature = self.m.col(f64::NEG_INFINITY, f64::INFINITY, 0.0);
                let mut heat = vec![(temperature, 1.0)];
                heat.extend(machines.iter().map(|(col, kw)| (*col, -warms * kw)));
                if let Some((power, gives)) = zone.heater {
                    let heater = self.m.col(0.0, power.kilowatts(), 0.0);
                    self.m.tag(heater, Limit::Heater(z).at(t));
                    heat.push((heater, -warms * gives));
                    room.heater.push(heater);
                }
                if zone.vented {
                    let vent = self.m.col(0.0, f64::INFINITY, 0.0);
                    heat.push((vent, warms));
                    let mut law = vec![(vent, 1.0)];
                    law.extend(machines.iter().map(|(col, kw)| (*col, -kw)));
                    self.m.at_most(law, idle, Limit::Law.at(t));
                    room.vent.push(vent);
                }
                let around = zone.around.or(p.outdoor.get(t).copied()).map_or(0.0, |c| c.get());
                let gains = zone.gains.get(t).map_or(0.0, |w| w.get() / 1e3);
                let mut value = (1.0 - keeps) * around + warms * (gains + idle);
                match room.temperature.last() {
                    Some(before) => heat.push((*before, -keeps)),
                    None => value += keeps * zone.now.get(),
                }
                self.m.equal(heat, value, Limit::Heat(z).at(t));
                let cold = self.m.col(0.0, f64::INFINITY, zone.cold.get() * self.dt);
                let hot = self.m.col(0.0, f64::INFINITY, zone.hot.get() * self.dt);
                let (low, high) = (zone.low[t].get(), zone.high[t].get());
                self.m.at_least(vec![(temperature, 1.0), (cold, 1.0)], low, Limit::Cold(z).at(t));
                self.m.at_most(vec![(temperature, 1.0), (hot, -1.0)], high, Limit::Hot(z).at(t));
                room.temperature.push(temperature);
                room.cold.push(cold);
            }
            self.at.zones.push(room);
        }
    }

    fn balance(&mut self) {
        for t in 0..self.t {
            let at = &self.at;
            let mut terms = vec![(at.import[t], 1.0), (at.export[t], -1.0), (at.pv[t], 1.0)];
            let mut load = self.p.load.get(t).map_or(0.0, |w| w.get() / 1e3);
            for (class, counts) in self.p.classes.iter().zip(&at.counts) {
                let off = class.off_power.kilowatts();
                load += f64::from(class.count) * off;
                let levels = class.levels.iter().zip(counts);
                terms.extend(levels.map(|(l, cols)| (cols[t], off - l.power.kilowatts())));
            }
            if let Some(store) = &at.battery {
                terms.extend([(store.discharge[t], 1.0), (store.charge[t], -1.0)]);
            }
            terms.extend(at.genset.iter().map(|g| (g.power[t], 1.0)));
            terms.extend(at.zones.iter().filter_map(|z| Some((*z.heater.get(t)?, -1.0))));
            self.m.equal(terms, load, Limit::Balance.at(t));
        }
    }

    fn charges(&mut self) {
        let p = self.p;
        for (i, charge) in p.demand.iter().enumerate() {
            // What the month's peak rises by; the peak so far is paid for whatever the plan does.
            let rise = self.m.col(0.0, f64::INFINITY, charge.per_kw.get());
            let begin = |t: usize| p.start.after(p.step * t as u32).floor_to(charge.interval);
            let mut t = 0;
            while t < self.t {
                let end = (t..self.t).find(|u| begin(*u) != begin(t)).unwrap_or(self.t);
                if charge.applies.get(t).copied().unwrap_or(true) {
                    let part = 1.0 / (end - t) as f64;
                    let mut mean: Vec<_> = (t..end).map(|u| (self.at.import[u], part)).collect();
                    mean.push((rise, -1.0));
                    let so_far = charge.so_far.kilowatts();
                    self.m.at_most(mean, so_far, Limit::Demand(i).over(t, end - t));
                }
                t = end;
            }
        }
        if let Some(peak) = &p.coincident {
            let part = p.step.as_secs_f64() / peak.interval.as_secs_f64();
            for (t, chance) in peak.chance.iter().enumerate() {
                let cost = peak.per_kw.get() * chance.get() * part;
                self.m.cols[self.at.import[t]].cost += cost;
            }
        }
    }

    fn commitments(&mut self) {
        for (i, contract) in self.p.commitments.iter().enumerate() {
            for t in 0..self.t {
                let most = contract.at_most.get(t).copied().flatten();
                let least = contract.at_least.get(t).copied().flatten();
                for (limit, sign, tag) in
                    [(most, 1.0, Limit::AtMost(i)), (least, -1.0, Limit::AtLeast(i))]
                {
                    let Some(limit) = limit else { continue };
                    let mut terms = vec![(self.at.import[t], sign)];
                    if let Some(penalty) = contract.penalty {
                        let beyond =
                            self.m.col(0.0, f64::INFINITY, penalty.usd_per_kwh() * self.dt);
                        terms.push((beyond, -1.0));
                    }
                    self.m.at_most(terms, sign * limit.kilowatts(), tag.at(t));
                }
            }
        }
    }
}
