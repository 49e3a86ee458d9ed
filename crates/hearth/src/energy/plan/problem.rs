//! What a site knows, as a problem for the planner. It solves nothing.

use super::super::{
    loads::{Held, How},
    outlook::Outlook,
};
use crate::config::{Demand, Energy, Plan as Told, Window, ZoneKind};
use dispatch::{
    plan::{
        Batch, Battery, Class, Coincident, Commitment, DemandCharge, Earns, Genset, Level, Problem,
        Reserve, Zone,
    },
    site::{Call, Called, Connection},
};
use grid::Signal;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use units::{Celsius, EnergyPrice, NetWatts, Ratio, UnixTime, Usd, WattHours, Watts};

/// A plan is of no use with fewer steps than this.
const LEAST_STEPS: usize = 4;
/// What breaking an operator's call counts as: more than any power is worth.
const CALLED: f64 = 10.0;

/// A load as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    pub held: &'a Held,
    pub level: usize,
    /// For how long it has been on, or off.
    pub since: Duration,
}

/// All that a plan is made from.
pub struct Known<'a> {
    pub outlook: Outlook<'a>,
    pub running: &'a [Running<'a>],
    pub calls: &'a [Call],
    /// What the loads draw together.
    pub drawn: Watts,
    /// Set-points of heated bodies, where the owner has said another than is configured.
    pub set_points: &'a BTreeMap<Arc<str>, Celsius>,
}

/// The problem, and which of its classes are free: heated bodies get their own heat.
pub struct Made {
    pub problem: Problem,
    pub free: Vec<bool>,
    /// What the plan does without, one sentence each.
    pub without: Vec<String>,
}

/// What is known, as a problem; a sentence where too little is.
pub fn problem(known: &Known<'_>) -> Result<Made, String> {
    let outlook = &known.outlook;
    let (told, utc) = (outlook.told, outlook.utc);
    let Told { step, horizon, .. } = told.plan;
    let start = utc.floor_to(step);
    let most = (horizon.as_secs() / step.as_secs().max(1)).max(1) as usize;
    let at = |step_at: usize| match step_at {
        0 => utc,
        later => start.after(step * later as u32),
    };
    // A day-ahead series ends at midnight: so does the plan.
    let import: Vec<EnergyPrice> = (0..most).map_while(|t| outlook.price(at(t))).collect();
    if import.len() < LEAST_STEPS.min(most) {
        return Err("too few prices are known of the time ahead".into());
    }
    let times: Vec<UnixTime> = (0..import.len()).map(at).collect();
    let mut without = Vec::new();
    let zones = zones(known, &times, &mut without);
    let (classes, free) = classes(known, &zones);
    if classes.is_empty() {
        return Err("there is no load that can be steered".into());
    }
    let others = outlook.others_now(known.drawn);
    let load: Option<Vec<_>> = times.iter().map(|at| outlook.others(*at, others)).collect();
    if load.is_none() {
        without.push("what else the site draws is not known: the plan counts it as nothing".into());
    }
    let pv: Option<Vec<_>> = times.iter().map(|at| outlook.pv(*at)).collect();
    let plan = &told.plan;
    let off_grid = told.connection == Connection::OffGrid;
    let genset = genset(known, &mut without);
    Ok(Made {
        problem: Problem {
            start,
            step,
            load: load.unwrap_or_default(),
            export: vec![plan.export_price; import.len()],
            hash_price: Vec::new(),
            pv: pv.unwrap_or_default(),
            // Already in what each zone loses heat to.
            outdoor: Vec::new(),
            import_limit: if off_grid { Some(Watts::ZERO) } else { told.carries() },
            export_limit: if off_grid { Some(Watts::ZERO) } else { plan.export_limit },
            battery: battery(known, &import, &mut without),
            genset,
            demand: demand(known, &times),
            coincident: coincident(told, &times),
            commitments: contracts(told, &times).chain(called(known, &times, others)).collect(),
            reserves: reserves(told, &times, &free),
            zones: zones.into_iter().map(|(_, zone)| zone).collect(),
            classes,
            import,
        },
        free,
        without,
    })
}

/// Alike loads of one zone are one class.
fn classes(known: &Known<'_>, zones: &[(Arc<str>, Zone)]) -> (Vec<Class>, Vec<bool>) {
    let told = known.outlook.told;
    let mut classes: BTreeMap<String, Class> = BTreeMap::new();
    for one in known.running {
        let load = &one.held.load;
        let zone = load.zone.as_ref();
        let heats = zone.and_then(|own| zones.iter().position(|(name, _)| name == own));
        if zone.is_some() && heats.is_none() {
            // Nobody knows how warm it is: it is not planned, and its machines are not free.
            continue;
        }
        let corners = load.corners();
        let on = |at: &usize| Level {
            power: load.levels[*at].power,
            earns: Earns::PerHour(load.levels[*at].value),
        };
        let levels: Vec<Level> = corners.iter().skip(1).map(on).collect();
        if levels.is_empty() {
            continue;
        }
        let stop_cost = match one.held.how {
            How::Compute(at) => told.compute.get(at).map_or_else(Usd::default, |c| c.stop_cost),
            How::Machine(..) | How::Work(..) => Usd::default(),
        };
        let key = format!(
            "{heats:?}{:?}{:?}{:?}{levels:?}{stop_cost:?}",
            load.class,
            load.times,
            load.power_at(0)
        );
        let class = classes.entry(key).or_insert_with(|| Class {
            name: load.id.clone(),
            count: 0,
            available: Vec::new(),
            off_power: load.power_at(0),
            min_on: load.times.min_on,
            min_off: load.times.min_off,
            start_cost: load.start_cost,
            stop_cost,
            ramp_up: None,
            ramp_down: None,
            heats: heats.map(|zone| (zone, Ratio::ALL)),
            now: Vec::new(),
            levels,
        });
        class.count += 1;
        let level = corners.iter().skip(1).rposition(|corner| *corner <= one.level);
        class.now.push(Batch { count: 1, level, since: one.since });
    }
    let classes: Vec<Class> = classes.into_values().collect();
    let free = classes.iter().map(|class| class.heats.is_none()).collect();
    (classes, free)
}

/// Heated bodies whose temperature is known.
fn zones(
    known: &Known<'_>,
    times: &[UnixTime],
    without: &mut Vec<String>,
) -> Vec<(Arc<str>, Zone)> {
    let outlook = &known.outlook;
    let mut zones = Vec::new();
    for told in &outlook.told.zones {
        let body = &told.body;
        let signal = Signal::Temperature(body.temperature.clone());
        let is = outlook.signals.temperatures.get(&body.temperature);
        let is = is.and_then(|is| is.reading.fresh(outlook.now, signal.age_limit()).copied());
        let around: Option<Vec<Celsius>> =
            times.iter().map(|at| outlook.around(&told.outdoor, *at)).collect();
        let (Some(is), Some(around)) = (is, around) else {
            without.push(format!("{} is not planned: its temperatures are not known", body.name));
            continue;
        };
        let set = known.set_points.get(&body.name).copied().unwrap_or(body.set_point);
        let comfort = |at: &UnixTime| told.comfort(set, *at, outlook.told.utc_offset);
        // What is around may change: that is heat lost or gained against the first of them.
        let usual = around.first().copied().unwrap_or(Celsius::ZERO);
        let loss = told.loss;
        let gain = |(at, around): (&UnixTime, &Celsius)| {
            let more = loss.get() * (around.get() - usual.get());
            let gain = outlook.gain(told, *at);
            NetWatts::new(gain.get() + more).unwrap_or(gain)
        };
        let zone = Zone {
            name: body.name.clone(),
            capacity: WattHours::new(told.capacity.get()).unwrap_or_default(),
            loss: Watts::new(loss.get()).unwrap_or_default(),
            around: Some(usual),
            gains: times.iter().zip(&around).map(gain).collect(),
            now: is,
            low: times.iter().map(|at| comfort(at).0).collect(),
            high: times.iter().map(|at| comfort(at).1).collect(),
            cold: told.cold,
            hot: told.cold,
            heater: told.backup.as_ref().map(|backup| (backup.power, backup.cop)),
            // A circuit's water is led by its curve, not by this plan.
            vented: told.kind == ZoneKind::Hydronic,
        };
        zones.push((body.name.clone(), zone));
    }
    zones
}

fn battery(
    known: &Known<'_>,
    import: &[EnergyPrice],
    without: &mut Vec<String>,
) -> Option<Battery> {
    let outlook = &known.outlook;
    let told = outlook.told.plan.battery.as_ref()?;
    let charge = outlook.signals.battery_charge.as_ref();
    let charge = charge.and_then(|told| {
        told.reading.fresh(outlook.now, Signal::BatteryCharge.age_limit()).copied()
    });
    let Some(charge) = charge else {
        without.push("the battery is not planned: its charge is not known".into());
        return None;
    };
    let wh = |part: f64| WattHours::new(told.capacity.get() * part).unwrap_or_default();
    let now = charge.get();
    // What is left at the end is worth what energy costs on average, less what is lost on the way out.
    let sum: f64 = import.iter().map(|price| price.usd_per_kwh()).sum();
    let worth = sum / import.len().max(1) as f64 * told.discharge_efficiency.get();
    Some(Battery {
        now: wh(now),
        // Where the inverter has it outside of its limits, they are not what stands in the way.
        least: wh(told.least.get().min(now)),
        most: wh(told.most.get().max(now)),
        charge: told.charge,
        discharge: told.discharge,
        charge_efficiency: told.charge_efficiency,
        discharge_efficiency: told.discharge_efficiency,
        wear: told.wear,
        end_value: EnergyPrice::per_kwh((worth - told.wear.usd_per_kwh()).max(0.0))
            .unwrap_or(EnergyPrice::ZERO),
        end_least: WattHours::ZERO,
    })
}

fn genset(known: &Known<'_>, without: &mut Vec<String>) -> Option<Genset> {
    let outlook = &known.outlook;
    let told = outlook.told.plan.engine.as_ref()?;
    let limits = outlook.told.engine?.limits;
    let power = outlook.signals.generator.as_ref();
    let power = power
        .and_then(|told| told.reading.fresh(outlook.now, Signal::Generator.age_limit()).copied());
    let Some(power) = power else {
        without.push("the engine is not planned: what it gives is not known".into());
        return None;
    };
    let runs = power > limits.rated.part(Ratio::new(super::planner::RUNS).unwrap_or_default());
    let since = outlook.memory.since(ENGINE, runs, outlook.utc);
    Some(Genset {
        least: limits.rated.part(limits.lowest),
        most: limits.rated.part(limits.highest),
        // A plan's step is minutes; its load follows in blocks of seconds.
        change: None,
        fuel: told.fuel,
        per_hour: told.per_hour,
        start_cost: told.start_cost,
        min_on: told.min_on,
        min_off: told.min_off,
        power_now: runs.then_some(power),
        since,
    })
}

/// The engine in the memory of what is on and off.
pub const ENGINE: &str = "the engine";

fn in_window(told: &Energy, window: &Window, times: &[UnixTime]) -> Vec<bool> {
    times.iter().map(|at| window.holds(*at, told.utc_offset)).collect()
}

fn demand(known: &Known<'_>, times: &[UnixTime]) -> Vec<DemandCharge> {
    let outlook = &known.outlook;
    let told = outlook.told;
    let charge = |charge: &Demand| {
        let peak = outlook.memory.peak(&charge.name, told.utc_offset, outlook.utc);
        DemandCharge {
            name: charge.name.clone(),
            per_kw: charge.per_kw,
            interval: charge.interval,
            so_far: Watts::new(peak).unwrap_or_default().max(charge.so_far),
            applies: in_window(told, &charge.applies, times),
        }
    };
    told.plan.demand.iter().map(charge).collect()
}

fn coincident(told: &Energy, times: &[UnixTime]) -> Option<Coincident> {
    let peak = told.plan.coincident.as_ref()?;
    let chance = |applies| if applies { peak.chance } else { Ratio::NONE };
    Some(Coincident {
        per_kw: peak.per_kw,
        interval: peak.interval.max(told.plan.step),
        chance: in_window(told, &peak.applies, times).into_iter().map(chance).collect(),
    })
}

fn contracts<'a>(told: &'a Energy, times: &'a [UnixTime]) -> impl Iterator<Item = Commitment> + 'a {
    told.plan.contracts.iter().map(|contract| {
        let applies = in_window(told, &contract.applies, times);
        let within = |limit: Option<Watts>| match limit {
            Some(limit) => applies.iter().map(|applies| applies.then_some(limit)).collect(),
            None => Vec::new(),
        };
        Commitment {
            name: contract.name.clone(),
            at_most: within(contract.at_most),
            at_least: within(contract.at_least),
            penalty: contract.penalty,
        }
    })
}

/// Calls that are known ahead bind the plan's import, as they will the site's.
fn called<'a>(
    known: &'a Known<'_>,
    times: &'a [UnixTime],
    now: Option<NetWatts>,
) -> impl Iterator<Item = Commitment> + 'a {
    let full: Watts = known.running.iter().map(|one| one.held.load.full()).sum();
    let levels = known.outlook.told.levels.0;
    let outlook = known.outlook;
    known.calls.iter().filter_map(move |call| {
        let most = |at: &UnixTime| match call.asks {
            Called::ImportLimit(limit) => Some(limit),
            Called::Net(net) => Some(net.import()),
            Called::Simple(level) => {
                let loads = full.part(levels[usize::from(level).min(3)]);
                let others = outlook.others(*at, now).unwrap_or_default();
                let pv = outlook.pv(*at).unwrap_or_default();
                Some((others - pv.into() + loads.into()).import())
            }
            // Against what it will draw, which is what the plan is about.
            Called::ExportLimit(_) | Called::Relative(_) => None,
        };
        let at_most: Vec<Option<Watts>> =
            times.iter().map(|at| most(at).filter(|_| call.runs(*at))).collect();
        at_most.iter().any(Option::is_some).then(|| Commitment {
            name: format!("call {}", call.id).into(),
            at_most,
            at_least: Vec::new(),
            penalty: EnergyPrice::per_kwh(CALLED).ok(),
        })
    })
}

fn reserves(told: &Energy, times: &[UnixTime], free: &[bool]) -> Vec<Reserve> {
    let all = told.plan.reserves.iter().map(|reserve| {
        let applies = in_window(told, &reserve.applies, times);
        let price = |applies: &bool| if *applies { reserve.price } else { EnergyPrice::ZERO };
        let sold = |applies: &bool| if *applies { reserve.sold } else { Watts::ZERO };
        Reserve {
            name: reserve.name.clone(),
            duration: reserve.duration,
            price: applies.iter().map(price).collect(),
            sold: applies.iter().map(sold).collect(),
            most: reserve.most,
            penalty: reserve.penalty,
            classes: (0..free.len()).filter(|class| free[*class]).collect(),
            battery: reserve.battery && told.plan.battery.is_some(),
        }
    });
    all.collect()
}
