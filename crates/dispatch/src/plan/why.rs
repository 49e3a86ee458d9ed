//! Why an interval is as it is: the limit that binds most, and what it costs.
//!
//! Two honest sources, in this order of size. With all whole numbers where the plan has them, what is
//! left is a linear program, and its shadow prices say what relaxing a limit by a little would save.
//! Whole numbers themselves have no shadow price: where machines run at a loss or stand idle although
//! they would earn at the site's own marginal price, the loss is the cost of what holds them, and that
//! is found by asking which of the rules forbids one machine more, or less.

use super::{
    Interval, Limit, Plan,
    build::{Layout, held_off, held_on, response},
    duals::Duals,
    model::Model,
    problem::Problem,
    result::on,
};
use units::EnergyPrice;

/// Below this, in $/kWh, nothing binds.
const NOTHING: f64 = 1e-5;

/// A reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// What binds.
    pub limit: Limit,
    /// What it costs per kilowatt-hour at the margin; for [`Limit::Price`], how far the class nearest to
    /// its break-even is from it. `None` if it could not be found out.
    pub per_kwh: Option<EnergyPrice>,
    /// A sentence.
    pub text: String,
}

/// Fills in marginal prices and reasons.
pub(super) fn explain(
    p: &Problem,
    at: &Layout,
    fixed: &Model,
    values: &[f64],
    duals: Option<&Duals>,
    plan: &mut Plan,
) {
    let Some(duals) = duals else {
        for interval in &mut plan.intervals {
            interval.why.text = "reasons could not be computed".into();
        }
        return;
    };
    let prices = Prices::read(p, fixed, duals);
    let mut found: Vec<Vec<(Limit, f64)>> = vec![Vec::new(); p.steps()];
    for (row, dual) in fixed.rows.iter().zip(&duals.rows) {
        note(p, &mut found, row.tag.limit, row.tag.step, row.tag.span, dual.abs());
    }
    for (j, col) in fixed.cols.iter().enumerate() {
        let Some(tag) = col.tag else { continue };
        note(p, &mut found, tag.limit, tag.step, tag.span, -duals.high[j]);
        if tag.limit == Limit::Full {
            note(p, &mut found, Limit::Empty, tag.step, tag.span, duals.low[j]);
        }
    }
    let rooms: Vec<Vec<f64>> =
        at.zones.iter().map(|z| z.temperature.iter().map(|col| values[*col]).collect()).collect();
    for (t, interval) in plan.intervals.iter_mut().enumerate() {
        interval.marginal = EnergyPrice::per_kwh(prices.energy[t]).ok();
        for k in 0..p.classes.len() {
            found[t].extend(held(p, at, values, &prices, &rooms, interval, k, t));
        }
        let most = found[t].iter().copied().filter(|(_, usd)| *usd > NOTHING);
        interval.why = match most.max_by(|a, b| a.1.total_cmp(&b.1)) {
            Some((limit, usd)) => Why {
                limit,
                per_kwh: EnergyPrice::per_kwh(usd).ok(),
                text: format!("{}: costs {usd:.4} $/kWh", limit.name(p)),
            },
            None => by_price(p, &prices, interval, t),
        };
    }
}

/// The site's own prices in each step, $/kWh.
struct Prices {
    energy: Vec<f64>,
    /// `[zone][step]`, of heat.
    heat: Vec<Vec<f64>>,
}

impl Prices {
    fn read(p: &Problem, fixed: &Model, duals: &Duals) -> Self {
        let dt = p.hours();
        let mut prices =
            Self { energy: vec![0.0; p.steps()], heat: vec![vec![0.0; p.steps()]; p.zones.len()] };
        for (row, dual) in fixed.rows.iter().zip(&duals.rows) {
            match row.tag.limit {
                Limit::Balance => prices.energy[row.tag.step] = dual / dt,
                Limit::Heat(z) => {
                    let (_, warms) = response(&p.zones[z], dt);
                    prices.heat[z][row.tag.step] = -dual * warms / dt;
                }
                _ => {}
            }
        }
        prices
    }

    /// What an hour of one machine at this level is worth beyond its energy, against off.
    fn gain(&self, p: &Problem, k: usize, level: usize, t: usize) -> f64 {
        let class = &p.classes[k];
        let level = &class.levels[level];
        let kw = level.power.kilowatts() - class.off_power.kilowatts();
        let heat = class.heats.map_or(0.0, |(z, share)| share.get() * self.heat[z][t].max(0.0));
        p.earned(level, t) + kw * (heat - self.energy[t])
    }
}

/// Adds a shadow price, made comparable as $ per kWh, to every step it spans.
fn note(
    p: &Problem,
    found: &mut [Vec<(Limit, f64)>],
    limit: Limit,
    step: usize,
    span: usize,
    dual: f64,
) {
    let dt = p.hours();
    let unit = match limit {
        Limit::Law | Limit::Balance | Limit::Heat(_) => return,
        // Machines and their changes are whole: what holds them is asked apart.
        Limit::Count(_) | Limit::MinOn(_) | Limit::MinOff(_) | Limit::Ramp(_) => return,
        // Its price is one of starts, not of power: while it holds the engine, its least power binds.
        Limit::EngineTime => return,
        Limit::Cold(z) | Limit::Hot(z) | Limit::HeldHeat(z) => p.zones[z].capacity.kilowatt_hours(),
        Limit::Full | Limit::Empty | Limit::BatteryEnd => 1.0,
        _ => dt * span as f64,
    };
    for at in found.iter_mut().skip(step).take(span) {
        at.push((limit, dual / unit));
    }
}

/// What holds machines of a class at a loss, or off although they would gain.
#[expect(clippy::too_many_arguments, reason = "all of one interval, asked once")]
fn held(
    p: &Problem,
    at: &Layout,
    values: &[f64],
    prices: &Prices,
    rooms: &[Vec<f64>],
    interval: &Interval,
    k: usize,
    t: usize,
) -> Option<(Limit, f64)> {
    let class = &p.classes[k];
    let counts = &interval.classes[k].counts;
    let gains: Vec<f64> = (0..class.levels.len()).map(|l| prices.gain(p, k, l, t)).collect();
    let best = (0..gains.len()).max_by(|a, b| gains[*a].total_cmp(&gains[*b]))?;
    let kw = class.levels[best].power.kilowatts().max(1e-9);
    let running: u32 = counts.iter().sum();
    let available = class.available(t);
    let now: f64 = counts.iter().zip(&gains).map(|(n, g)| f64::from(*n) * g).sum();
    let lost = (f64::from(available) * gains[best].max(0.0) - now) / (f64::from(available) * kw);
    if available == 0 || !lost.is_finite() {
        return None;
    }
    if lost <= NOTHING {
        let short = class.count > available && gains[best] > 0.0;
        return short.then(|| (Limit::Count(k), gains[best] / kw));
    }
    let changed = |starts: bool, time: std::time::Duration| -> u32 {
        let window = p.steps_in(time).max(1);
        ((t + 1).saturating_sub(window)..=t)
            .map(|u| {
                let (before, now) =
                    (on(p, at, values, k, u.checked_sub(1)), on(p, at, values, k, Some(u)));
                if starts { now.saturating_sub(before) } else { before.saturating_sub(now) }
            })
            .sum()
    };
    if gains[best] < 0.0 {
        // At a loss: would a stop be allowed?
        let bound = f64::from(changed(true, class.min_on)) + held_on(p, class)[t];
        let young = p.steps_in(class.min_on) > 1 && bound >= f64::from(running);
        let limit = floor(p, interval, t, kw)
            .or_else(|| freezes(p, rooms, k, t, kw))
            .unwrap_or(Limit::Starts(k));
        return Some((if young { Limit::MinOn(k) } else { limit }, lost));
    }
    let resting = f64::from(changed(false, class.min_off)) + held_off(p, class)[t];
    let rests = p.steps_in(class.min_off) > 1 && resting >= f64::from(class.count - running);
    let limit = match ceiling(p, interval, t, kw) {
        Some(limit) => limit,
        None if rests && running < available => Limit::MinOff(k),
        None if class.ramp_up.is_some() || class.ramp_down.is_some() => Limit::Ramp(k),
        None => Limit::Starts(k),
    };
    Some((limit, lost))
}

/// What forbids this much more import, if anything does.
fn ceiling(p: &Problem, interval: &Interval, t: usize, kw: f64) -> Option<Limit> {
    let more = interval.import.kilowatts() + kw;
    if p.import_limit.is_some_and(|limit| more > limit.kilowatts() + 1e-6) {
        return Some(Limit::Import);
    }
    let breaks = |c: &super::Commitment| {
        c.at_most.get(t).copied().flatten().is_some_and(|limit| more > limit.kilowatts() + 1e-6)
    };
    p.commitments.iter().position(breaks).map(Limit::AtMost)
}

/// What forbids this much less import, if anything does.
fn floor(p: &Problem, interval: &Interval, t: usize, kw: f64) -> Option<Limit> {
    let less = interval.import.kilowatts() - kw;
    let breaks = |c: &super::Commitment| {
        c.at_least.get(t).copied().flatten().is_some_and(|limit| less < limit.kilowatts() - 1e-6)
    };
    if let Some(i) = p.commitments.iter().position(breaks) {
        return Some(Limit::AtLeast(i));
    }
    // Held until the last call that may begin in a step for which it was sold has ended.
    let sold = |r: &super::Reserve| {
        let first = (t + 1).saturating_sub(p.steps_in(r.duration).max(1));
        r.sold.iter().take(t + 1).skip(first).any(|w| w.get() > 0.0)
    };
    p.reserves.iter().position(sold).map(Limit::Sold)
}

/// The zone that would fall below comfort now or later if a class gave this much less heat now.
fn freezes(p: &Problem, rooms: &[Vec<f64>], k: usize, t: usize, kw: f64) -> Option<Limit> {
    let (z, share) = p.classes[k].heats?;
    let (keeps, warms) = response(&p.zones[z], p.hours());
    let mut missing = warms * kw * share.get();
    for (temperature, low) in rooms[z].iter().zip(&p.zones[z].low).skip(t) {
        if temperature - missing < low.get() - 1e-6 {
            return Some(Limit::Cold(z));
        }
        missing *= keeps;
    }
    None
}

/// Nothing binds: each class does what its break-even says.
fn by_price(p: &Problem, prices: &Prices, interval: &Interval, t: usize) -> Why {
    let energy = prices.energy[t];
    let nearest = (0..p.classes.len())
        .flat_map(|k| (0..p.classes[k].levels.len()).map(move |l| (k, l)))
        .map(|(k, l)| (k, prices.gain(p, k, l, t) / p.classes[k].levels[l].power.kilowatts()))
        .filter(|(_, gain)| gain.is_finite())
        .min_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    let Some((k, gain)) = nearest else {
        return Why {
            limit: Limit::Price,
            per_kwh: None,
            text: format!("price: energy is worth {energy:.4} $/kWh"),
        };
    };
    let runs = if interval.classes[k].counts.iter().any(|n| *n > 0) { "runs" } else { "is off" };
    Why {
        limit: Limit::Price,
        per_kwh: EnergyPrice::per_kwh(gain.abs()).ok(),
        text: format!(
            "price: energy is worth {energy:.4} $/kWh; {} {} {:.4} and {runs}",
            p.classes[k].name,
            if gain >= 0.0 { "gains" } else { "would lose" },
            gain.abs(),
        ),
    }
}
