//! Power as the state tree shows it. It computes nothing but ages and names.

use super::{loads::Held, meterage::Said, plan::Planned, record::Sender};
use crate::config::Energy;
use api::energy as shown;
use dispatch::{
    load::{Class, LoadState},
    site::{Call, Decision, Site},
};
use grid::{Hub, Link, Signal, Signals, Told};
use std::{sync::atomic::Ordering, time::Duration};
use units::{EnergyPrice, Moment, Ratio, UnixTime, Watts};

/// Loads shown; all are steered.
const LOADS: usize = 10_000;
/// Steps of the plan shown.
const STEPS: usize = 200;
/// Power by a load's own reading is shown for so long.
const FRESH: Duration = Duration::from_secs(60);

/// What one look at the site is made of.
pub struct Seen<'a> {
    pub told: &'a Energy,
    pub hub: &'a Hub,
    pub signals: &'a Signals,
    pub site: &'a Site,
    pub held: &'a [Held],
    /// Loads that must not run.
    pub stopped: &'a [(Held, Option<tokio::time::Instant>)],
    pub states: &'a [LoadState],
    pub calls: &'a [Call],
    pub decision: &'a Decision,
    pub price: Option<EnergyPrice>,
    pub hash: Option<EnergyPrice>,
    pub planned: &'a Planned,
    pub record: Option<&'a Sender>,
    /// What the last interval showed.
    pub said: Option<&'a Said>,
    pub now: Moment,
    pub utc: UnixTime,
}

/// The tree's part.
pub fn make(seen: &Seen<'_>) -> shown::Energy {
    let decision = seen.decision;
    let mut warnings = decision.warnings.clone();
    warnings.extend(seen.planned.trouble.clone());
    warnings.extend(seen.planned.plan.iter().flat_map(|made| made.without.clone()));
    for (name, health) in seen.hub.health() {
        if let Link::Down(why) = health.link {
            warnings.push(format!("{name}: {why}"));
        }
    }
    for zone in &decision.zones {
        if let Some(trouble) = &zone.trouble {
            warnings.push(format!("{}: {trouble}", zone.name));
        }
        if zone.backup {
            warnings.push(format!("{}: its backup heater is needed", zone.name));
        }
    }
    if let Some(record) = seen.record {
        warnings.extend(super::hold(&record.trouble).clone());
        warnings.extend(seen.said.iter().flat_map(|said| said.warnings.clone()));
    }
    if !seen.told.steer {
        warnings.push("decisions are shown and not sent: steer is false".into());
    }
    let net = seen.signals.net_power.as_ref().map(|told| told.reading);
    let net = net.and_then(|net| net.fresh(seen.now, FRESH).copied());
    shown::Energy {
        site: seen.told.site.to_string(),
        why: decision.target.why.to_string(),
        mode: decision.target.mode.name().into(),
        target_w: Some(decision.target.power.get()),
        set_w: Some(decision.set.get()),
        drawn_w: Some(decision.drawn.get()),
        net_w: net.map(|net| net.get()),
        shortfall_w: Some(decision.shortfall.get()),
        price_usd_per_kwh: seen.price.map(EnergyPrice::usd_per_kwh),
        hash_usd_per_kwh: seen.hash.map(EnergyPrice::usd_per_kwh),
        signals: signals(seen),
        loads: loads(seen),
        heat: heat(seen),
        offer: offer(seen),
        events: events(seen),
        plan: plan(seen.planned, seen.utc),
        evidence: seen.record.map(|record| evidence(record, seen.said)),
        warnings,
    }
}

fn signals(seen: &Seen<'_>) -> Vec<shown::Signal> {
    let signals = seen.signals;
    let mut all = Vec::new();
    let mut show = |signal: Signal, unit: &str, value: Option<f64>, at: Option<Moment>| {
        let Some(at) = at else { return };
        let age = seen.now.since(at);
        let limit = signal.age_limit();
        let quality = if age <= limit {
            "fresh"
        } else if age <= limit * 3 {
            "stale"
        } else {
            "lost"
        };
        all.push(shown::Signal {
            name: signal.to_string(),
            value,
            unit: unit.into(),
            age_s: Some(age.as_secs_f64()),
            quality: quality.into(),
            on_loss: signal.loss_sentence().into(),
        });
    };
    fn read<T: Copy>(
        told: &Option<Told<T>>,
        of: impl Fn(T) -> f64,
    ) -> (Option<f64>, Option<Moment>) {
        let reading = told.as_ref().map(|told| told.reading);
        (reading.map(|r| of(r.value)), reading.map(|r| r.at))
    }
    let mut one = |signal, unit: &str, (value, at)| show(signal, unit, value, at);
    one(Signal::NetPower, "W", read(&signals.net_power, |net| net.get()));
    for (phase, told) in signals.phases.iter().enumerate() {
        one(Signal::PhasePower(phase), "W", read(told, |net| net.get()));
    }
    one(Signal::Pv, "W", read(&signals.pv, Watts::get));
    one(Signal::BatteryPower, "W", read(&signals.battery_power, |net| net.get()));
    one(Signal::BatteryCharge, "%", read(&signals.battery_charge, |part| part.as_percent()));
    one(Signal::Generator, "W", read(&signals.generator, Watts::get));
    one(Signal::FuelPressure, "kPa", read(&signals.fuel_pressure, |kpa| kpa.get()));
    one(Signal::Frequency, "Hz", read(&signals.frequency, |hertz| hertz.get()));
    for (name, told) in &signals.temperatures {
        let told = Some(told.clone());
        one(Signal::Temperature(name.clone()), "°C", read(&told, |celsius| celsius.get()));
    }
    one(Signal::Irradiance, "W/m²", read(&signals.irradiance, |sun| sun.get()));
    for (name, told) in &signals.contacts {
        let told = Some(told.clone());
        one(Signal::Contact(name.clone()), "", read(&told, f64::from));
    }
    one(Signal::Price, "$/kWh", read(&signals.price, EnergyPrice::usd_per_kwh));
    one(Signal::BitcoinPrice, "$", read(&signals.bitcoin_price, |usd| usd.get()));
    let at = |at: Option<Moment>| (None, at);
    one(Signal::Prices, "", at(signals.prices.as_ref().map(|told| told.reading.at)));
    one(Signal::Events, "", at(signals.events.values().map(|told| told.reading.at).min()));
    one(Signal::SetPoint, "", at(signals.set_point.as_ref().map(|told| told.reading.at)));
    one(Signal::Alive, "", at(signals.alive.as_ref().map(|told| told.reading.at)));
    all
}

fn loads(seen: &Seen<'_>) -> Vec<shown::Load> {
    let one = |held: &Held, level: usize| shown::Load {
        id: held.load.id.to_string(),
        class: match held.load.class {
            Class::Miner => "miner",
            Class::Compute => "compute",
            Class::Heater => "heater",
        }
        .into(),
        set_w: held.load.power_at(level).get(),
        drawn_w: None,
        full_w: held.full.get(),
        obeys: "unknown".into(),
    };
    let steered = seen.held.iter().enumerate().map(|(at, held)| {
        let measured = seen.states.get(at).and_then(|state| state.measured);
        let measured = measured.and_then(|m| m.fresh(seen.now, FRESH).copied());
        shown::Load {
            drawn_w: measured.map(Watts::get),
            obeys: match seen.site.obeys(at) {
                Some(true) => "yes",
                Some(false) => "no",
                None => "unknown",
            }
            .into(),
            ..one(held, seen.site.level(at).unwrap_or(0))
        }
    });
    let stopped = seen.stopped.iter().map(|(held, _)| one(held, 0));
    steered.chain(stopped).take(LOADS).collect()
}

fn heat(seen: &Seen<'_>) -> Vec<shown::Zone> {
    let kind = |name: &str| {
        let zone = seen.told.zones.iter().find(|zone| *zone.body.name == *name);
        zone.map_or("", |zone| zone.kind.name())
    };
    let zones = seen.decision.zones.iter();
    zones
        .map(|zone| shown::Zone {
            kind: kind(&zone.name).into(),
            name: zone.name.to_string(),
            temperature_c: zone.is.map(|is| is.get()),
            set_c: zone.set_point.get(),
            asks_w: Some(zone.asks.get()),
            backup: zone.backup,
        })
        .collect()
}

/// What the aggregator may tell this site, where there is one.
fn offer(seen: &Seen<'_>) -> Option<shown::Offer> {
    seen.told.aggregator.as_ref()?;
    let flexible = seen.decision.flexible?;
    let seconds = |lasts: Option<std::time::Duration>| lasts.map(|lasts| lasts.as_secs());
    Some(shown::Offer {
        own_w: flexible.own.get(),
        lowest_w: flexible.lowest.get(),
        lowest_s: seconds(flexible.lowest_for),
        highest_w: flexible.highest.get(),
        highest_s: seconds(flexible.highest_for),
    })
}

fn events(seen: &Seen<'_>) -> Vec<shown::Event> {
    let mut events: Vec<shown::Event> = seen
        .calls
        .iter()
        .map(|call| shown::Event {
            id: call.id.to_string(),
            starts_at: call.starts.0,
            ends_at: call.ends.map(|ends| ends.0),
            limit_w: match call.asks {
                dispatch::site::Called::ImportLimit(limit) => Some(limit.get()),
                dispatch::site::Called::Simple(level) => {
                    let part = seen.told.levels.0[usize::from(level).min(3)];
                    Some(seen.site.capacity().part(part).get())
                }
                _ => None,
            },
            state: if call.runs(seen.utc) {
                "running"
            } else if call.starts > seen.utc {
                "coming"
            } else {
                "over"
            }
            .into(),
        })
        .collect();
    let all = seen.signals.events.values().flat_map(|told| &told.reading.value.0);
    events.extend(all.filter(|event| event.opted_out).map(|event| shown::Event {
        id: event.id.to_string(),
        state: "refused".into(),
        ..shown::Event::default()
    }));
    events
}

fn evidence(record: &Sender, said: Option<&Said>) -> shown::Evidence {
    let proof = said.and_then(|said| said.proof);
    let call = said.and_then(|said| said.call.as_ref());
    shown::Evidence {
        path: record.path.to_string(),
        records: record.records.load(Ordering::Relaxed),
        last_at: Some(record.last.load(Ordering::Relaxed)).filter(|at| *at > 0),
        key: record.key.to_string(),
        proven_wh: proof.map(|proof| proof.least.get()),
        residual_percent: proof.and_then(|proof| proof.residual).map(Ratio::as_percent),
        call: call.map(|(event, given)| shown::Given {
            event: event.to_string(),
            delivered_wh: given.energy.get(),
            least_wh: given.low.get(),
            most_wh: given.high.get(),
            confidence_percent: given.confidence.as_percent(),
        }),
    }
}

fn plan(planned: &Planned, utc: UnixTime) -> Option<shown::Plan> {
    let made = planned.plan.as_ref()?;
    let step = |(interval, price): (&dispatch::plan::Interval, &EnergyPrice)| shown::PlanStep {
        starts_at: interval.at.0,
        lasts_s: made.step.as_secs(),
        price_usd_per_kwh: Some(price.usd_per_kwh()),
        power_w: super::plan::power(interval, &made.free, true).get(),
        heat_w: super::plan::power(interval, &made.free, false).get(),
        backup_w: interval.zones.iter().map(|zone| zone.heater.get()).sum(),
        net_w: interval.import.get() - interval.export.get(),
        battery_w: interval.battery.map(|(power, _)| power.get()),
        battery_wh: interval.battery.map(|(_, energy)| energy.get()),
        engine_w: interval.genset.map(Watts::get),
        reserve_w: interval.reserves.iter().map(|reserve| reserve.get()).sum(),
        why: interval.why.text.clone(),
    };
    Some(shown::Plan {
        made_at: made.made_at.0,
        took_ms: made.took.as_secs_f64() * 1e3,
        cost_usd: made.plan.cost.get(),
        bound_usd: made.plan.bound.map(|bound| bound.get()),
        steps: {
            let steps = made.plan.intervals.iter().zip(&made.prices);
            let to_come = steps.skip_while(|(interval, _)| interval.at.after(made.step) <= utc);
            to_come.take(STEPS).map(step).collect()
        },
    })
}
