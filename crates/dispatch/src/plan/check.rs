//! Whether a problem makes sense before it is solved. It never judges whether it can be met.

use super::{Infeasible, problem::Problem};
use std::time::Duration;

/// The most steps of a plan: two days in steps of five minutes.
const MOST_STEPS: usize = 576;

/// Refuses series of the wrong length, references to nothing and quantities that contradict each other.
pub(super) fn check(p: &Problem) -> Result<(), Infeasible> {
    let t = p.steps();
    if t == 0 || t > MOST_STEPS {
        return bad(format!("a plan has 1 to {MOST_STEPS} steps, not {t}: give that many prices"));
    }
    if p.step < Duration::from_secs(60) || p.step > Duration::from_secs(3600) {
        return bad("a step lasts from a minute to an hour".into());
    }
    let length = |name: &str, got: usize, optional: bool| {
        if got == t || (optional && got == 0) {
            Ok(())
        } else {
            bad(format!("{name} has {got} values for {t} steps: give one per step"))
        }
    };
    length("export price", p.export.len(), true)?;
    length("hash price", p.hash_price.len(), true)?;
    length("solar power", p.pv.len(), true)?;
    length("load", p.load.len(), true)?;
    length("outdoor temperature", p.outdoor.len(), true)?;
    for class in &p.classes {
        let name = &class.name;
        length(&format!("availability of {name}"), class.available.len(), true)?;
        if class.levels.is_empty() {
            return bad(format!("{name} has no level: give it at least one"));
        }
        let listed: u64 = class.now.iter().map(|b| u64::from(b.count)).sum();
        if listed > u64::from(class.count) {
            return bad(format!("{name} has {} machines, {listed} are listed", class.count));
        }
        if class.now.iter().filter_map(|b| b.level).any(|l| l >= class.levels.len()) {
            return bad(format!("a machine of {name} runs at a level that {name} has not"));
        }
        let hashes = class.levels.iter().any(|l| matches!(l.earns, super::Earns::Hash(_)));
        if hashes && p.hash_price.is_empty() {
            return bad(format!("{name} hashes: give a hash price per step"));
        }
        if class.heats.is_some_and(|(zone, _)| zone >= p.zones.len()) {
            return bad(format!("{name} heats a zone that is not there"));
        }
        if class.start_cost.get() < 0.0 || class.stop_cost.get() < 0.0 {
            return bad(format!("a start or stop of {name} cannot cost less than nothing"));
        }
    }
    if let Some(b) = &p.battery {
        let efficient = b.charge_efficiency.get() > 0.0 && b.discharge_efficiency.get() > 0.0;
        if !efficient || b.wear.usd_per_kwh() < 0.0 {
            return bad("a battery's efficiencies are above 0 and its wear is no gain".into());
        }
        if b.least > b.most || b.now > b.most {
            return bad("a battery holds no more than its highest energy".into());
        }
    }
    if let Some(g) = &p.genset {
        if g.least > g.most {
            return bad("the engine's least power is above its most".into());
        }
        if g.start_cost.get() < 0.0 {
            return bad("a start of the engine cannot cost less than nothing".into());
        }
    }
    for zone in &p.zones {
        let name = &zone.name;
        length(&format!("low temperature of {name}"), zone.low.len(), false)?;
        length(&format!("high temperature of {name}"), zone.high.len(), false)?;
        length(&format!("gains of {name}"), zone.gains.len(), true)?;
        if zone.capacity.get() <= 0.0 {
            return bad(format!("{name} has no heat capacity"));
        }
        if zone.around.is_none() && p.outdoor.is_empty() && zone.loss.get() > 0.0 {
            return bad(format!("{name} loses heat outdoors: give the outdoor temperature"));
        }
        if zone.cold.get() < 0.0 || zone.hot.get() < 0.0 {
            return bad(format!("discomfort in {name} cannot cost less than nothing"));
        }
        if zone.heater.is_some_and(|(_, cop)| !cop.is_finite() || cop <= 0.0) {
            return bad(format!("the heater of {name} gives more than nothing per kWh"));
        }
    }
    for charge in &p.demand {
        let name = &charge.name;
        length(&format!("steps of {name}"), charge.applies.len(), true)?;
        let (interval, step) = (charge.interval.as_nanos(), p.step.as_nanos());
        if interval < step || !interval.is_multiple_of(step) {
            return bad(format!("the interval of {name} is no multiple of the step"));
        }
        if charge.per_kw.get() < 0.0 {
            return bad(format!("{name} is no gain: give it as a cost"));
        }
    }
    if let Some(peak) = &p.coincident {
        length("chance of the coincident peak", peak.chance.len(), false)?;
        if peak.interval < p.step {
            return bad("the interval of the coincident peak is shorter than a step".into());
        }
    }
    for contract in &p.commitments {
        let name = &contract.name;
        length(&format!("highest import of {name}"), contract.at_most.len(), true)?;
        length(&format!("lowest import of {name}"), contract.at_least.len(), true)?;
        if contract.penalty.is_some_and(|usd| usd.usd_per_kwh() < 0.0) {
            return bad(format!("the penalty of {name} cannot be a gain"));
        }
    }
    for reserve in &p.reserves {
        let name = &reserve.name;
        length(&format!("price of {name}"), reserve.price.len(), false)?;
        length(&format!("sold amount of {name}"), reserve.sold.len(), true)?;
        if reserve.duration.is_zero() || reserve.classes.iter().any(|k| *k >= p.classes.len()) {
            return bad(format!("{name} needs a duration, and classes that are there"));
        }
        if reserve.penalty.is_some_and(|usd| usd.usd_per_kwh() < 0.0) {
            return bad(format!("the penalty of {name} cannot be a gain"));
        }
    }
    Ok(())
}

fn bad<T>(sentence: String) -> Result<T, Infeasible> {
    Err(Infeasible::Input(sentence))
}
