//! What an aggregator may count on, and what its word comes to for heated bodies. Loads that heat nothing
//! do as they are told first; zones for the rest, as far and as long as they can. It never sets anything.

use super::ZoneState;
use crate::{
    ask::{Ask, Mode, Target, combine},
    heat::Hold,
};
use std::time::Duration;
use units::{NetWatts, Watts};

/// Net powers at the connection point between which an aggregator may set this site, and for how long:
/// what limits and calls leave, and what zones can do without leaving their comfort.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flexible {
    /// Left alone.
    pub own: NetWatts,
    /// The least.
    pub lowest: NetWatts,
    /// For so long; `None` without end.
    pub lowest_for: Option<Duration>,
    /// The most.
    pub highest: NetWatts,
    /// For so long; `None` without end.
    pub highest_for: Option<Duration>,
}

/// A zone that can hold for less is left out while others can: it would end what the site offers.
const WORTH: Duration = Duration::from_secs(900);

/// From what everything else draws, what the modes ask, and what loads can draw that heat nothing.
pub(super) fn flexible(
    others: f64,
    asks: &[Ask],
    zones: &[ZoneState],
    free: Watts,
    capacity: Watts,
) -> Option<Flexible> {
    let sum = |of: fn(&ZoneState) -> Watts| zones.iter().map(|zone| of(zone).get()).sum::<f64>();
    let told_heat = sum(|zone| zone.alone) - sum(|zone| zone.asks);
    // What modes ask of heat follows what zones are told; left alone they would ask as they do alone.
    let alone: Vec<Ask> = asks
        .iter()
        .filter(|ask| ask.mode != Mode::Aggregator)
        .map(|ask| {
            let more = |watts: Watts| super::watts(watts.get() + told_heat);
            let mut ask = ask.clone();
            match ask.mode {
                Mode::Heat => ask.floor = ask.floor.map(more),
                Mode::Plan | Mode::Price => ask.target = ask.target.map(more),
                _ => {}
            }
            ask
        })
        .collect();
    let told = |power| {
        let ask = Ask::exactly(Mode::Aggregator, power, "");
        combine(&alone.iter().cloned().chain([ask]).collect::<Vec<_>>(), capacity)
    };
    let of_zones: Vec<f64> = zones.iter().map(|zone| zone.alone.get()).collect();
    let own = drawn(&combine(&alone, capacity), &of_zones, free);
    let (least, lowest_for) = chosen(zones, |zone| zone.offer.least);
    let (most, highest_for) = chosen(zones, |zone| zone.offer.most);
    let lowest = drawn(&told(Watts::ZERO), &least, free).min(own);
    let highest = drawn(&told(capacity), &most, free).max(own);
    let net = |loads: f64| NetWatts::new(others + loads).ok();
    Some(Flexible {
        own: net(own)?,
        lowest: net(lowest)?,
        lowest_for,
        highest: net(highest)?,
        highest_for,
    })
}

/// What the loads draw when zones want so much of a target, as it is shared out.
fn drawn(target: &Target, zones: &[f64], free: Watts) -> f64 {
    let (mut left, mut ceiling, mut sum) = (target.power.get(), target.ceiling.get(), 0.0);
    for wanted in zones {
        let gets = wanted.min(ceiling);
        (left, ceiling, sum) = (left - gets, ceiling - gets, sum + gets);
    }
    sum + left.min(ceiling).clamp(0.0, free.get())
}

/// Each zone's power for what the site offers, and how long all of them can hold it.
fn chosen(zones: &[ZoneState], hold: fn(&ZoneState) -> Hold) -> (Vec<f64>, Option<Duration>) {
    let holds = || zones.iter().map(hold);
    let some_long = holds().any(|hold| hold.lasts.is_some_and(|lasts| lasts >= WORTH));
    let counts = |hold: &Hold| !some_long || hold.lasts.is_none_or(|lasts| lasts >= WORTH);
    let powers = zones.iter().map(|zone| {
        let hold = hold(zone);
        if counts(&hold) { hold.power.get() } else { zone.alone.get() }
    });
    let lasts = holds().filter(counts).filter_map(|hold| hold.lasts).min();
    (powers.collect(), lasts)
}

/// What each zone is told: nothing unless an aggregator's word is what counts; then what loads that heat
/// nothing cannot do, those zones first that can hold it for longest.
pub(super) fn orders(
    asks: &[Ask],
    target: &Target,
    zones: &[ZoneState],
    free: Watts,
) -> Vec<Option<Watts>> {
    let first = asks.iter().filter(|ask| ask.target.is_some()).map(|ask| ask.mode).min();
    if first != Some(Mode::Aggregator) {
        return vec![None; zones.len()];
    }
    let alone: f64 = zones.iter().map(|zone| zone.alone.get()).sum();
    let of_free = (target.power.get() - alone).clamp(0.0, free.get());
    let mut missing = target.power.get() - alone - of_free;
    let hold = |zone: &ZoneState| match missing < 0.0 {
        true => zone.offer.least,
        false => zone.offer.most,
    };
    let mut order: Vec<(usize, Hold)> = zones.iter().map(hold).enumerate().collect();
    order.sort_by_key(|(_, hold)| std::cmp::Reverse(hold.lasts));
    let mut told = vec![None; zones.len()];
    for (at, hold) in order {
        let alone = zones[at].alone.get();
        let far = hold.power.get() - alone;
        // Never farther than to what it can hold.
        let part =
            if missing < 0.0 { missing.max(far.min(0.0)) } else { missing.min(far.max(0.0)) };
        if part.abs() > 1.0 {
            told[at] = Some(super::watts(alone + part));
            missing -= part;
        }
    }
    told
}
