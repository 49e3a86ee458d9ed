//! Reserve as rows and columns: what stands by, and what each promise holds back. It never solves.

use super::{
    build::{Builder, Changes, held_on, response},
    limit::Limit,
    model::Col,
    problem::Class,
};

impl Builder<'_> {
    /// Reserve stands only where every step of a call that begins now would have the power to take
    /// away, the heat to do without it and the stored energy; what one product holds, no other does.
    pub fn reserves(&mut self, changes: &[Changes]) {
        let p = self.p;
        if p.reserves.is_empty() {
            return;
        }
        // held[class or battery][step]: columns of power promised there, one per product.
        let battery = p.classes.len();
        let mut held: Vec<Vec<Vec<Col>>> = vec![vec![Vec::new(); self.t]; battery + 1];
        // heat[zone][step][steps into the call]: heat that would be missing by then.
        let mut parts: Vec<Vec<Vec<Part>>> = vec![vec![Vec::new(); self.t]; battery + 1];
        for (i, reserve) in p.reserves.iter().enumerate() {
            let span = p.steps_in(reserve.duration).max(1);
            let mut offered = Vec::with_capacity(self.t);
            for (t, price) in reserve.price.iter().enumerate() {
                let sold = reserve.sold.get(t).map_or(0.0, |w| w.kilowatts());
                // A call that outlasts the plan is offered no further than it was sold.
                let most =
                    if t + span > self.t { sold } else { reserve.most.kilowatts().max(sold) };
                let offer = self.m.col(0.0, most, -price.usd_per_kwh() * self.dt);
                offered.push(offer);
                let mut sum = vec![(offer, -1.0)];
                let givers = reserve.classes.iter().copied();
                for k in givers.chain(reserve.battery.then_some(battery)) {
                    let part = self.m.col(0.0, f64::INFINITY, 0.0);
                    sum.push((part, 1.0));
                    parts[k][t].push(Part { col: part, span });
                }
                self.m.equal(sum, 0.0, Limit::Law.at(t));
                if sold > 0.0 {
                    let mut terms = vec![(offer, 1.0)];
                    if let Some(penalty) = reserve.penalty {
                        let cost = penalty.usd_per_kwh() * self.dt;
                        terms.push((self.m.col(0.0, f64::INFINITY, cost), 1.0));
                    }
                    self.m.at_least(terms, sold, Limit::Sold(i).at(t));
                }
            }
            for k in reserve.classes.iter().copied().chain(reserve.battery.then_some(battery)) {
                for (u, held) in held[k].iter_mut().enumerate() {
                    let all = self.m.col(0.0, f64::INFINITY, 0.0);
                    let callable = &parts[k][(u + 1).saturating_sub(span)..=u];
                    for part in callable.iter().filter_map(|parts| parts.last()) {
                        self.m.at_least(vec![(all, 1.0), (part.col, -1.0)], 0.0, Limit::Law.at(u));
                    }
                    held.push(all);
                }
            }
            self.at.reserves.push(offered);
        }
        for (k, class) in p.classes.iter().enumerate() {
            self.hold_machines(k, class, &held[k], &changes[k]);
        }
        for z in 0..p.zones.len() {
            self.hold_heat(z, &parts);
        }
        self.hold_energy(&held[battery], &parts[battery]);
    }

    fn hold_machines(&mut self, k: usize, class: &Class, held: &[Vec<Col>], changes: &Changes) {
        let off = class.off_power.kilowatts();
        let most = class.levels.iter().map(|l| l.power.kilowatts()).fold(off, f64::max) - off;
        let (before, min_on) = (held_on(self.p, class), self.p.steps_in(class.min_on));
        for (u, promised) in held.iter().enumerate().filter(|(_, cols)| !cols.is_empty()) {
            let mut terms: Vec<_> = promised.iter().map(|col| (*col, 1.0)).collect();
            for (level, cols) in class.levels.iter().zip(&self.at.counts[k]) {
                terms.push((cols[u], off - level.power.kilowatts()));
            }
            // Machines within their minimum run time cannot be taken off.
            let recent = changes.start.get((u + 1).saturating_sub(min_on)..=u).unwrap_or_default();
            terms.extend(recent.iter().filter(|_| min_on > 1).map(|col| (*col, most)));
            self.m.at_most(terms, -before[u] * most, Limit::Held(k).at(u));
        }
    }

    fn hold_heat(&mut self, z: usize, parts: &[Vec<Vec<Part>>]) {
        let p = self.p;
        let zone = &p.zones[z];
        let (keeps, warms) = response(zone, self.dt);
        for t in 0..self.t {
            let mut missing: Vec<(Part, f64)> = Vec::new();
            for (class, parts) in p.classes.iter().zip(parts) {
                let Some((_, share)) = class.heats.filter(|(zone, _)| *zone == z) else { continue };
                missing.extend(parts[t].iter().map(|part| (*part, share.get())));
            }
            let longest = missing.iter().map(|(part, _)| part.span).max().unwrap_or(0);
            let mut cooled = 0.0;
            for j in 0..longest.min(self.t - t) {
                cooled = keeps * cooled + warms;
                let mut terms = vec![(self.at.zones[z].temperature[t + j], 1.0)];
                terms.push((self.at.zones[z].cold[t + j], 1.0));
                let called = missing.iter().filter(|(part, _)| part.span > j);
                terms.extend(called.map(|(part, share)| (part.col, -share * cooled)));
                self.m.at_least(terms, zone.low[t + j].get(), Limit::HeldHeat(z).at(t));
            }
        }
    }

    fn hold_energy(&mut self, held: &[Vec<Col>], parts: &[Vec<Part>]) {
        let (Some(battery), Some(store)) = (&self.p.battery, self.at.battery.clone()) else {
            // Without a battery there is nothing to promise from it.
            for part in parts.iter().flatten() {
                self.m.cols[part.col].high = 0.0;
            }
            return;
        };
        let out = battery.discharge_efficiency.get();
        let least = battery.least.kilowatt_hours().min(battery.now.kilowatt_hours());
        for (t, promised) in held.iter().enumerate().filter(|(_, cols)| !cols.is_empty()) {
            let mut terms: Vec<_> = promised.iter().map(|col| (*col, 1.0)).collect();
            terms.extend([(store.discharge[t], 1.0), (store.charge[t], -1.0)]);
            self.m.at_most(terms, battery.discharge.kilowatts(), Limit::HeldEnergy.at(t));
            let longest = parts[t].iter().map(|part| part.span).max().unwrap_or(0);
            for j in 0..longest.min(self.t - t) {
                let mut terms = vec![(store.energy[t + j], 1.0)];
                let drawn = self.dt * (j + 1) as f64 / out;
                let called = parts[t].iter().filter(|part| part.span > j);
                terms.extend(called.map(|part| (part.col, -drawn)));
                self.m.at_least(terms, least, Limit::HeldEnergy.at(t));
            }
        }
    }
}

/// A part of an offer that one class gives, and how many steps a call lasts.
#[derive(Debug, Clone, Copy)]
struct Part {
    col: Col,
    span: usize,
}
