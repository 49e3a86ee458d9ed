//! Calls of a grid operator: which holds now and what it asks of the loads. It never talks to one.

use crate::ask::{Ask, Mode};
use std::{collections::BTreeMap, sync::Arc};
use units::{NetWatts, Ratio, UnixTime, Watts};

/// One interval of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// As the operator names it.
    pub id: Arc<str>,
    /// When it begins, its random part already drawn.
    pub starts: UnixTime,
    /// When it ends; `None` until it is withdrawn.
    pub ends: Option<UnixTime>,
    /// What it asks.
    pub asks: Called,
    /// 0 is the most urgent.
    pub priority: u32,
}

/// What a call asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Called {
    /// Level 0 to 3 of OpenADR's `SIMPLE`; the contract says what each leaves.
    Simple(u8),
    /// The site imports no more than this.
    ImportLimit(Watts),
    /// The site exports no more than this.
    ExportLimit(Watts),
    /// Net power at the connection point.
    Net(NetWatts),
    /// So much more, or less if negative, than just before the call.
    Relative(NetWatts),
}

/// What a level of `SIMPLE` leaves of the loads' full power: all, half, a tenth, nothing, unless the
/// contract says otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels(pub [Ratio; 4]);

impl Default for Levels {
    fn default() -> Self {
        Self([1.0, 0.5, 0.1, 0.0].map(|part| Ratio::new(part).unwrap_or_default()))
    }
}

impl Call {
    /// Whether it holds now.
    pub fn runs(&self, now: UnixTime) -> bool {
        self.starts <= now && self.ends.is_none_or(|ends| now < ends)
    }
}

/// Remembers what the loads drew when a relative call began.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    before: BTreeMap<Arc<str>, f64>,
}

/// What the site is like while asks are made of calls.
pub(super) struct Around {
    pub now: UnixTime,
    /// What the loads draw.
    pub drawn: f64,
    /// What everything else draws, net; `None` while nobody knows.
    pub others: Option<f64>,
    pub capacity: Watts,
}

impl Calls {
    /// An ask for each call that holds, the most urgent first; those of one kind that are less urgent
    /// ask nothing. A sentence for each that cannot be followed.
    pub(super) fn asks(
        &mut self,
        calls: &[Call],
        levels: &Levels,
        around: &Around,
    ) -> (Vec<Ask>, Vec<String>) {
        let mut running: Vec<&Call> = calls.iter().filter(|call| call.runs(around.now)).collect();
        running.sort_by_key(|call| (call.priority, std::cmp::Reverse(call.starts)));
        self.before.retain(|id, _| running.iter().any(|call| call.id == *id));
        let mut kinds = Vec::new();
        let (mut asks, mut warnings) = (Vec::new(), Vec::new());
        for call in running {
            let kind = std::mem::discriminant(&call.asks);
            if kinds.contains(&kind) {
                continue;
            }
            kinds.push(kind);
            match self.ask(call, levels, around) {
                Some(ask) => asks.push(ask),
                None => warnings.push(format!(
                    "call \"{}\" is about the connection point, which no meter shows: configure one \
                     for net power",
                    call.id
                )),
            }
        }
        (asks, warnings)
    }

    fn ask(&mut self, call: &Call, levels: &Levels, around: &Around) -> Option<Ask> {
        let mode = Mode::DemandResponse;
        let watts = |number: f64| Watts::new(number.max(0.0)).unwrap_or(Watts::ZERO);
        let why = |what: String| -> Arc<str> { format!("call \"{}\": {what}", call.id).into() };
        Some(match call.asks {
            Called::Simple(level) => {
                let part = levels.0[usize::from(level).min(3)];
                let most = around.capacity.part(part);
                Ask::at_most(mode, most, why(format!("level {level} leaves {part}")))
            }
            Called::ImportLimit(limit) => {
                let most = watts(limit.get() - around.others?);
                Ask::at_most(mode, most, why(format!("the site may import {limit}")))
            }
            Called::ExportLimit(limit) => {
                let least = watts(-limit.get() - around.others?);
                Ask::at_least(mode, least, why(format!("the site may export {limit}")))
            }
            Called::Net(net) => {
                let target = watts(net.get() - around.others?);
                Ask::exactly(mode, target, why(format!("{net} at the connection point")))
            }
            Called::Relative(change) => {
                let before = *self.before.entry(call.id.clone()).or_insert(around.drawn);
                let target = watts(before + change.get());
                Ask::exactly(mode, target, why(format!("{change} from {}", watts(before))))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn w(watts: f64) -> Watts {
        Watts::new(watts).unwrap()
    }

    fn call(id: &str, priority: u32, asks: Called) -> Call {
        Call { id: id.into(), starts: UnixTime(100), ends: Some(UnixTime(200)), asks, priority }
    }

    fn around(now: u64, drawn: f64, others: Option<f64>) -> Around {
        Around { now: UnixTime(now), drawn, others, capacity: w(10_000.0) }
    }

    #[test]
    fn each_kind_of_call_asks_what_it_says_of_the_loads() {
        let net = |watts| NetWatts::new(watts).unwrap();
        type Bounds = (Option<f64>, Option<f64>, Option<f64>);
        let cases: [(Called, Bounds); 5] = [
            (Called::Simple(2), (None, Some(1000.0), None)),
            (Called::ImportLimit(w(3000.0)), (None, Some(2500.0), None)),
            (Called::ExportLimit(w(0.0)), (Some(0.0), None, None)),
            (Called::Net(net(4000.0)), (None, None, Some(3500.0))),
            (Called::Relative(net(-2000.0)), (None, None, Some(4000.0))),
        ];
        for (asks, (floor, ceiling, target)) in cases {
            let mut calls = Calls::default();
            let around = around(150, 6000.0, Some(500.0));
            let (asked, warned) = calls.asks(&[call("a", 0, asks)], &Levels::default(), &around);
            let got = |of: Option<Watts>| of.map(Watts::get);
            let ask = &asked[0];
            assert_eq!(
                (got(ask.floor), got(ask.ceiling), got(ask.target)),
                (floor, ceiling, target)
            );
            assert!(warned.is_empty());
        }
    }

    #[test]
    fn the_most_urgent_call_of_a_kind_holds_and_none_before_or_after_its_time() {
        let calls = [call("later", 5, Called::Simple(1)), call("urgent", 0, Called::Simple(3))];
        let at = |now| {
            let around = around(now, 0.0, None);
            Calls::default().asks(&calls, &Levels::default(), &around).0
        };
        assert_eq!(at(150).len(), 1);
        assert_eq!(at(150)[0].ceiling, Some(Watts::ZERO));
        assert!(at(99).is_empty() && at(200).is_empty());
    }

    #[test]
    fn a_relative_call_counts_from_what_was_drawn_when_it_began() {
        let calls = [call("a", 0, Called::Relative(NetWatts::new(-1000.0).unwrap()))];
        let mut held = Calls::default();
        let mut target = |now, drawn| {
            held.asks(&calls, &Levels::default(), &around(now, drawn, None)).0.pop()?.target
        };
        assert_eq!(target(110, 5000.0), Some(w(4000.0)));
        assert_eq!(target(120, 4000.0), Some(w(4000.0)));
        assert_eq!(target(210, 4000.0), None);
    }

    #[test]
    fn without_a_meter_a_call_about_the_connection_point_warns() {
        let calls = [call("a", 0, Called::ImportLimit(w(100.0)))];
        let around = around(150, 0.0, None);
        let (asks, warnings) = Calls::default().asks(&calls, &Levels::default(), &around);
        assert!(asks.is_empty());
        assert_eq!(warnings.len(), 1);
    }
}
