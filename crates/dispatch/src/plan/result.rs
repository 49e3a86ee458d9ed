//! A plan: what happens in each interval and what it costs. It never decides anything.

use super::{
    Limit, Why,
    build::Layout,
    model::{Col, Solved},
    problem::Problem,
};
use units::{Celsius, EnergyPrice, NetWatts, UnixTime, Usd, WattHours, Watts};

/// What to do until the horizon.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Net cost over the horizon: energy, fuel, wear, starts, charges, penalties and discomfort, less
    /// what hashing, compute, export and reserve earn and what the energy left in the battery is worth.
    pub cost: Usd,
    /// No plan can cost less: the cost of the plain linear relaxation. `None` if that failed.
    pub bound: Option<Usd>,
    /// Whether the search ended because no plan can be better by more than the gap asked for. If not,
    /// its time ran out: this is the best plan so far, and [`Plan::gap`] says how good it is at least.
    pub proven: bool,
    /// One per step.
    pub intervals: Vec<Interval>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// When it begins.
    pub at: UnixTime,
    /// Power drawn from the grid.
    pub import: Watts,
    /// Power given to the grid.
    pub export: Watts,
    /// Solar power used; the rest is curtailed.
    pub pv: Watts,
    /// One per class.
    pub classes: Vec<ClassPlan>,
    /// Power into the battery (negative: out of it), and its energy at the end of the step.
    pub battery: Option<(NetWatts, WattHours)>,
    /// The engine's power; `None` while it stands, or where there is none.
    pub genset: Option<Watts>,
    /// One per zone.
    pub zones: Vec<ZonePlan>,
    /// One per reserve: power that stands by.
    pub reserves: Vec<Watts>,
    /// What a kilowatt-hour more would cost inside the site; `None` if it could not be found out.
    pub marginal: Option<EnergyPrice>,
    /// Energy, fuel, wear, starts, discomfort, less earnings, of this step. Charges on peaks,
    /// penalties and the battery's end value belong to no single step.
    pub cost: Usd,
    /// What holds the plan here, and what that costs.
    pub why: Why,
}

/// A class in one step.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassPlan {
    /// Machines at each level.
    pub counts: Vec<u32>,
    /// Machines that start at the beginning of the step.
    pub starts: u32,
    /// Machines that stop at the beginning of the step.
    pub stops: u32,
    /// What the whole class draws.
    pub power: Watts,
}

/// A zone in one step.
#[derive(Debug, Clone, PartialEq)]
pub struct ZonePlan {
    /// Temperature at the end of the step.
    pub temperature: Celsius,
    /// What its own heater draws.
    pub heater: Watts,
    /// Machine heat led away.
    pub vented: Watts,
}

impl Plan {
    /// How much more the plan costs than any plan must, at most, as a part of the bound.
    pub fn gap(&self) -> Option<f64> {
        let bound = self.bound?.get();
        (bound != 0.0).then(|| (self.cost.get() - bound) / bound.abs())
    }
}

/// Reads a solution. Reasons are filled in later.
pub(super) fn read(p: &Problem, at: &Layout, solved: &Solved, bound: Option<f64>) -> Plan {
    let usd = |value: f64| Usd::new(value).unwrap_or_default();
    let v = |col: Col| solved.values[col];
    let kw = |col: Col| watts(v(col));
    let intervals = (0..p.steps()).map(|t| {
        let classes: Vec<_> = (0..p.classes.len()).map(|k| class(p, at, solved, k, t)).collect();
        let battery = at.battery.as_ref().map(|b| {
            let net = NetWatts::new((v(b.charge[t]) - v(b.discharge[t])) * 1e3);
            let energy = WattHours::new((v(b.energy[t]) * 1e3).max(0.0));
            (net.unwrap_or_default(), energy.unwrap_or_default())
        });
        let zones = at.zones.iter().map(|z| ZonePlan {
            temperature: Celsius::new(v(z.temperature[t])).unwrap_or(Celsius::ZERO),
            heater: z.heater.get(t).map_or(Watts::ZERO, |c| kw(*c)),
            vented: z.vent.get(t).map_or(Watts::ZERO, |c| kw(*c)),
        });
        Interval {
            at: p.start.after(p.step * t as u32),
            import: kw(at.import[t]),
            export: kw(at.export[t]),
            pv: kw(at.pv[t]),
            battery,
            genset: at.genset.as_ref().filter(|g| v(g.on[t]) > 0.5).map(|g| kw(g.power[t])),
            zones: zones.collect(),
            reserves: at.reserves.iter().map(|r| kw(r[t])).collect(),
            marginal: None,
            cost: usd(cost(p, at, solved, &classes, t)),
            classes,
            why: Why { limit: Limit::Price, per_kwh: None, text: String::new() },
        }
    });
    Plan {
        intervals: intervals.collect(),
        cost: usd(solved.cost),
        bound: bound.map(usd),
        proven: solved.proven,
    }
}

pub(super) fn watts(kw: f64) -> Watts {
    Watts::new((kw * 1e3).max(0.0)).unwrap_or_default()
}

/// Machines of a class that are on in a step, or now for the step before the first.
pub(super) fn on(p: &Problem, at: &Layout, values: &[f64], k: usize, t: Option<usize>) -> u32 {
    match t {
        None => p.classes[k].on_now(),
        Some(t) => at.counts[k].iter().map(|level| values[level[t]].round() as u32).sum(),
    }
}

fn class(p: &Problem, at: &Layout, solved: &Solved, k: usize, t: usize) -> ClassPlan {
    let class = &p.classes[k];
    let counts: Vec<u32> =
        at.counts[k].iter().map(|level| solved.values[level[t]].round() as u32).collect();
    let now = on(p, at, &solved.values, k, Some(t));
    let before = on(p, at, &solved.values, k, t.checked_sub(1));
    let running = counts.iter().zip(&class.levels);
    let power: f64 = running.map(|(n, l)| f64::from(*n) * l.power.kilowatts()).sum();
    let off = f64::from(class.count.saturating_sub(now)) * class.off_power.kilowatts();
    ClassPlan {
        counts,
        starts: now.saturating_sub(before),
        stops: before.saturating_sub(now),
        power: watts(power + off),
    }
}

/// What a step costs by itself, counted from what happens in it rather than from the model.
fn cost(p: &Problem, at: &Layout, solved: &Solved, classes: &[ClassPlan], t: usize) -> f64 {
    let v = |col: Col| solved.values[col];
    let dt = p.hours();
    let mut usd = v(at.import[t]) * p.import[t].usd_per_kwh() * dt;
    usd -= v(at.export[t]) * p.export.get(t).map_or(0.0, |e| e.usd_per_kwh()) * dt;
    for (class, plan) in p.classes.iter().zip(classes) {
        let earned = plan.counts.iter().zip(&class.levels);
        usd -= earned.map(|(n, l)| f64::from(*n) * p.earned(l, t)).sum::<f64>() * dt;
        usd += f64::from(plan.starts) * class.start_cost.get();
        usd += f64::from(plan.stops) * class.stop_cost.get();
    }
    if let (Some(battery), Some(store)) = (&p.battery, &at.battery) {
        usd += v(store.discharge[t]) * battery.wear.usd_per_kwh() * dt;
    }
    if let (Some(g), Some(engine)) = (&p.genset, &at.genset) {
        let running = v(engine.on[t]).round();
        let before = t
            .checked_sub(1)
            .map_or(f64::from(u8::from(g.power_now.is_some())), |t| v(engine.on[t]).round());
        usd += (v(engine.power[t]) * g.fuel.usd_per_kwh() + running * g.per_hour.get()) * dt;
        usd += (running - before).max(0.0) * g.start_cost.get();
    }
    for (zone, room) in p.zones.iter().zip(&at.zones) {
        let temperature = v(room.temperature[t]);
        usd += (zone.low[t].get() - temperature).max(0.0) * zone.cold.get() * dt;
        usd += (temperature - zone.high[t].get()).max(0.0) * zone.hot.get() * dt;
    }
    for (reserve, offered) in p.reserves.iter().zip(&at.reserves) {
        usd -= v(offered[t]) * reserve.price[t].usd_per_kwh() * dt;
    }
    usd
}
