//! Signals of the hub as what one decision is made from: stale values are left out, names become zones,
//! prices become what is ahead. It decides nothing.

use super::{Owner, outlook::Outlook};
use crate::config::Energy;
use dispatch::{
    heat::Ahead,
    site::{Call, Called, Inputs},
};
use grid::{
    Signal, Signals, Told,
    event::{Ask, Event},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use units::{Celsius, EnergyPrice, Moment, NetWatts, Ratio, Reading, UnixTime, Watts};

/// A predictive control looks so far ahead, in such steps.
const AHEAD: usize = 96;
const STEP: Duration = Duration::from_secs(900);

/// What energy costs at a time: a source's word, an operator's most urgent event, a series, else the owner's
/// own price.
pub fn price_at(
    told: &Energy,
    signals: &Signals,
    now: Moment,
    utc: UnixTime,
    at: UnixTime,
) -> Option<EnergyPrice> {
    let present = || {
        let reading = signals.price.as_ref()?.reading;
        reading.fresh(now, Signal::Price.age_limit()).copied().filter(|_| at == utc)
    };
    let called = || {
        let asked = signals.events.values().flat_map(|told| told.reading.value.at(at));
        let price = |(ask, event): (&Ask, &Event)| match ask {
            Ask::Price(price) => Some((event.priority.unwrap_or(u32::MAX), *price)),
            _ => None,
        };
        asked.filter_map(price).min_by_key(|(priority, _)| *priority).map(|(_, price)| price)
    };
    let series = || signals.prices.as_ref()?.reading.value.at(at);
    present().or_else(called).or_else(series).or(told.power_price)
}

/// Calls of grid operators that were not refused.
pub fn calls(signals: &Signals) -> Vec<Call> {
    let mut calls = Vec::new();
    for event in signals.events.values().flat_map(|told| &told.reading.value.0) {
        if event.opted_out {
            continue;
        }
        for interval in &event.intervals {
            for ask in &interval.asks {
                let asks = match ask {
                    Ask::Simple(level) => Called::Simple(*level),
                    Ask::ImportLimit(watts) => Called::ImportLimit(*watts),
                    Ask::ExportLimit(watts) => Called::ExportLimit(*watts),
                    Ask::SetPoint(net) => Called::Net(*net),
                    Ask::Relative(net) => Called::Relative(*net),
                    // An emergency without a number asks for all that can go.
                    Ask::Emergency(_) => Called::Simple(3),
                    // A price is no call; what is sold is not decided on.
                    Ask::Price(_) | Ask::ExportPrice(_) | Ask::Other(_) => continue,
                };
                calls.push(Call {
                    id: event.id.clone(),
                    starts: interval.start,
                    ends: interval.end,
                    asks,
                    priority: event.priority.unwrap_or(u32::MAX),
                });
            }
        }
    }
    calls
}

/// When a call that runs is to end, its further intervals that follow at once among it.
pub fn ends(calls: &[Call], id: &str, utc: UnixTime) -> Option<UnixTime> {
    let own = || calls.iter().filter(|call| *call.id == *id);
    let mut ends = utc;
    while let Some(next) =
        own().find(|call| call.starts <= ends && call.ends.is_none_or(|call_ends| call_ends > ends))
    {
        ends = next.ends?;
    }
    Some(ends)
}

/// Power that the site has from its own sun, battery and engine, W: what machines can use that no meter at
/// the connection point sees. `None` while a source that was heard is silent.
pub fn beside(signals: &Signals, now: Moment) -> Option<f64> {
    let own = own(signals, now)?;
    // What charges the battery comes from one of the others.
    Some(own.sun.get() + own.engine.get() + own.battery.export().get())
}

/// What the site's own sources give, and what its battery takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own {
    pub sun: Watts,
    pub engine: Watts,
    /// Positive charges it.
    pub battery: NetWatts,
}

/// Of the site's own sources, none where none was ever heard; `None` while one that was heard is silent.
pub fn own(signals: &Signals, now: Moment) -> Option<Own> {
    fn one<T: Copy + Default>(told: &Option<Told<T>>, of: Signal, now: Moment) -> Option<T> {
        let Some(told) = told else { return Some(T::default()) };
        told.reading.fresh(now, of.age_limit()).copied()
    }
    Some(Own {
        sun: one(&signals.pv, Signal::Pv, now)?,
        engine: one(&signals.generator, Signal::Generator, now)?,
        battery: one(&signals.battery_power, Signal::BatteryPower, now)?,
    })
}

/// Everything for one step.
pub fn inputs<'a>(
    outlook: &Outlook<'_>,
    owner: &Owner,
    calls: &'a [Call],
    planned: Option<Watts>,
) -> Inputs<'a> {
    let Outlook { told, signals, now, utc, .. } = *outlook;
    fn of<T: Copy>(told: &Option<Told<T>>) -> Option<Reading<T>> {
        told.as_ref().map(|told| told.reading)
    }
    let full = told.engine.and_then(|engine| engine.full_pressure);
    let fuel = signals.fuel_pressure.as_ref().map(|told| {
        let part = full.map_or(1.0, |full| told.reading.value.get() / full.get());
        Reading::new(Ratio::new(part.clamp(0.0, 1.0)).unwrap_or_default(), told.reading.at)
    });
    // An engine without a gauge is taken to be fed.
    let fuel = match (fuel, full) {
        (None, None) => Some(Reading::new(Ratio::ALL, now)),
        (fuel, _) => fuel,
    };
    let ahead = told.zones.iter().map(|zone| {
        let set = owner.set_points.get(&zone.body.name).copied().unwrap_or(zone.body.set_point);
        let step = |at: usize| {
            let time = if at == 0 { utc } else { utc.after(STEP * at as u32) };
            let (low, high) = zone.comfort(set, time, told.utc_offset);
            Some(Ahead {
                ambient: outlook.around(&zone.outdoor, time)?,
                gain: outlook.gain(zone, time),
                low,
                high,
                price: outlook.price(time)?,
            })
        };
        // As far as prices are known: day-ahead prices end at midnight.
        (zone.body.name.clone(), (0..AHEAD).map_while(step).collect())
    });
    let temperatures: BTreeMap<Arc<str>, Reading<Celsius>> =
        signals.temperatures.iter().map(|(name, told)| (name.clone(), told.reading)).collect();
    Inputs {
        now,
        utc,
        net: of(&signals.net_power),
        frequency: of(&signals.frequency),
        charge: of(&signals.battery_charge),
        generator: of(&signals.generator),
        fuel,
        price: outlook.price(utc),
        temperatures,
        ahead: ahead.collect(),
        calls,
        set_point: signals
            .set_point
            .as_ref()
            .filter(|_| !owner.opted_out)
            .and_then(|told| told.reading.value.wanted(now)),
        owner: owner.power,
        planned,
        alive: signals.alive.as_ref().map(|told| told.reading.at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, energy::plan::Memory};
    use grid::{
        Hub, Quality,
        event::{Events, Interval},
        price::Prices,
    };
    use std::path::Path;
    use tokio::time::Instant;

    fn priced(id: &str, priority: u32, usd: f64) -> Event {
        Event {
            id: id.into(),
            program: "program".into(),
            name: None,
            priority: Some(priority),
            wants_reports: false,
            opted_out: false,
            intervals: vec![Interval {
                start: UnixTime(1000),
                end: Some(UnixTime(2000)),
                asks: vec![Ask::Price(EnergyPrice::per_kwh(usd).unwrap()), Ask::Simple(1)],
            }],
        }
    }

    #[test]
    fn each_operator_is_heard_and_the_most_urgent_price_counts() {
        let hub = Hub::new(Instant::now());
        let tell = |source: &str, event| {
            hub.tell_events(&source.into(), Quality::Measured, Events(vec![event]));
        };
        tell("one", priced("a", 2, 0.5));
        tell("other", priced("b", 1, 0.25));
        let (told, now) = (Energy::default(), hub.now());
        let price = |at| price_at(&told, &hub.snapshot(), now, UnixTime(1500), UnixTime(at));
        assert_eq!(price(1500).map(EnergyPrice::usd_per_kwh), Some(0.25));
        assert_eq!(price(2500), None);
        let ids = || -> Vec<Arc<str>> {
            calls(&hub.snapshot()).into_iter().map(|call| call.id).collect()
        };
        assert_eq!(ids(), [Arc::from("a"), Arc::from("b")]);
        hub.answer_event(&"other".into(), "b", false);
        assert_eq!(ids(), [Arc::from("a")]);
        assert_eq!(price(1500).map(EnergyPrice::usd_per_kwh), Some(0.5), "nor its price");
        hub.tell_events(&"one".into(), Quality::Measured, Events(Vec::new()));
        assert_eq!(hub.snapshot().events["other"].reading.value.0.len(), 1, "others stay");
    }

    #[test]
    fn a_call_ends_with_the_last_interval_that_follows_at_once() {
        let call = |id: &str, starts: u64, ends: Option<u64>| Call {
            id: id.into(),
            starts: UnixTime(starts),
            ends: ends.map(UnixTime),
            asks: Called::Simple(1),
            priority: 0,
        };
        let mut calls = vec![
            call("a", 20, Some(30)),
            call("a", 10, Some(20)),
            call("b", 30, Some(50)),
            call("a", 40, Some(60)),
        ];
        let ends = |calls: &[Call], at| super::ends(calls, "a", UnixTime(at));
        assert_eq!(ends(&calls, 10), Some(UnixTime(30)));
        assert_eq!(ends(&calls, 45), Some(UnixTime(60)));
        calls.push(call("a", 30, None));
        assert_eq!(ends(&calls, 10), None);
    }

    #[tokio::test(start_paused = true)]
    async fn power_of_ones_own_is_what_sun_engine_and_battery_give() {
        let hub = Hub::new(Instant::now());
        let now = || beside(&hub.snapshot(), hub.now());
        let tell = |signal, watts| hub.tell(&"inverter".into(), Quality::Measured, &signal, watts);
        assert_eq!(now(), Some(0.0), "there is none");
        tell(Signal::Pv, 3000.0);
        tell(Signal::BatteryPower, 1000.0);
        assert_eq!(now(), Some(3000.0), "charging gives nothing");
        tell(Signal::BatteryPower, -500.0);
        tell(Signal::Generator, 2000.0);
        assert_eq!(now(), Some(5500.0));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(now(), None, "the generator is silent");
    }

    #[test]
    fn an_emergency_asks_for_all_that_can_go_and_a_price_is_no_call() {
        let hub = Hub::new(Instant::now());
        let mut event = priced("a", 0, 0.5);
        event.intervals[0].asks = vec![
            Ask::Emergency("storm".into()),
            Ask::Simple(2),
            Ask::ImportLimit(Watts::new(900.0).unwrap()),
            Ask::Price(EnergyPrice::ZERO),
        ];
        hub.tell_events(&"one".into(), Quality::Measured, Events(vec![event]));
        let asks: Vec<Called> = calls(&hub.snapshot()).into_iter().map(|call| call.asks).collect();
        let limit = Called::ImportLimit(Watts::new(900.0).unwrap());
        assert_eq!(asks, [Called::Simple(3), Called::Simple(2), limit]);
    }

    #[test]
    fn fuel_pressure_counts_as_a_part_of_what_it_should_be_and_no_gauge_as_fed() {
        let told = |gauge: &str| {
            let text = format!("[energy.engine]\nrated = \"20 kW\"\nblock = \"3 kW\"\n{gauge}");
            Config::parse(&text, Path::new(".")).unwrap().energy
        };
        let fuel = |told: &Energy, hub: &Hub| {
            let (signals, memory) = (hub.snapshot(), Memory::default());
            let (now, utc) = (hub.now(), UnixTime(1_800_000_000));
            let outlook = Outlook { told, signals: &signals, memory: &memory, now, utc };
            let inputs = inputs(&outlook, &Owner::default(), &[], None);
            inputs.fuel.map(|fuel| fuel.value.get())
        };
        let (gauge, blind) = (told("full_pressure_kpa = 40"), told(""));
        let hub = Hub::new(Instant::now());
        assert_eq!(fuel(&gauge, &hub), None, "its gauge has not been heard");
        assert_eq!(fuel(&blind, &hub), Some(1.0));
        hub.tell(&"gauge".into(), Quality::Measured, &Signal::FuelPressure, 10.0);
        assert_eq!(fuel(&gauge, &hub), Some(0.25));
        hub.tell(&"gauge".into(), Quality::Measured, &Signal::FuelPressure, 60.0);
        assert_eq!(fuel(&gauge, &hub), Some(1.0), "more is not more than fed");
    }

    #[test]
    fn what_is_ahead_reaches_as_far_as_prices_are_known() {
        let hub = Hub::new(Instant::now());
        let text = "[energy]\nenabled = true\nsite = \"a\"\n[[energy.heat]]\nname = \"room\"\n\
                    temperature = \"room\"\nset = \"21 C\"\nmachines = [\"m\"]\n";
        let told = Config::parse(text, Path::new(".")).unwrap().energy;
        let outdoor = Signal::Temperature(told.zones[0].outdoor.clone());
        hub.tell(&"sensor".into(), Quality::Measured, &outdoor, 5.0);
        let utc = UnixTime(1_800_000_000);
        let reach = || {
            let (signals, memory) = (hub.snapshot(), Memory::default());
            let outlook =
                Outlook { told: &told, signals: &signals, memory: &memory, now: hub.now(), utc };
            let inputs = inputs(&outlook, &Owner::default(), &[], None);
            inputs.ahead[&Arc::from("room")].len()
        };
        assert_eq!(reach(), 0, "no price, no plan");
        let price = EnergyPrice::per_kwh(0.1).unwrap();
        let hours = (0..2).map(|at| (utc.after(Duration::from_secs(3600 * at)), price)).collect();
        let prices = Prices::new(hours, None).unwrap();
        hub.tell_prices(&"market".into(), Quality::Measured, prices);
        assert_eq!(reach(), 8, "quarters of an hour");
    }
}
