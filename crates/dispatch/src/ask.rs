//! What the modes of a site ask of its loads, and what becomes of all asks together.

use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};
use units::Watts;

/// Who asks. In the order of rank: an earlier one is never widened by a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Limits that protect people and things: breaker, temperature, dead-man, lost links off-grid.
    Safety,
    /// A generator or plant that must be kept in its band.
    Plant,
    /// Frequency droop.
    Droop,
    /// A call of a grid operator, a contract.
    DemandResponse,
    /// An aggregator's set-point.
    Aggregator,
    /// The owner's word.
    Owner,
    /// Rooms, tanks and pools.
    Heat,
    /// The day plan.
    Plan,
    /// Own sun.
    Surplus,
    /// Run what earns more than its power costs.
    Price,
    /// Nothing asks for anything: all run.
    Free,
}

impl Mode {
    /// `demand_response`: the name in JSON, metrics and configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safety => "safety",
            Self::Plant => "plant",
            Self::Droop => "droop",
            Self::DemandResponse => "demand_response",
            Self::Aggregator => "aggregator",
            Self::Owner => "owner",
            Self::Heat => "heat",
            Self::Plan => "plan",
            Self::Surplus => "surplus",
            Self::Price => "price",
            Self::Free => "free",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one mode asks of the loads together.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Who asks.
    pub mode: Mode,
    /// Not less than this.
    pub floor: Option<Watts>,
    /// Not more than this.
    pub ceiling: Option<Watts>,
    /// This, as far as others let it.
    pub target: Option<Watts>,
    /// Why, one sentence.
    pub why: Arc<str>,
}

impl Ask {
    /// Not more than this.
    pub fn at_most(mode: Mode, ceiling: Watts, why: impl Into<Arc<str>>) -> Self {
        Self { mode, floor: None, ceiling: Some(ceiling), target: None, why: why.into() }
    }

    /// Exactly this.
    pub fn exactly(mode: Mode, target: Watts, why: impl Into<Arc<str>>) -> Self {
        Self { mode, floor: None, ceiling: None, target: Some(target), why: why.into() }
    }

    /// Not less than this.
    pub fn at_least(mode: Mode, floor: Watts, why: impl Into<Arc<str>>) -> Self {
        Self { mode, floor: Some(floor), ceiling: None, target: None, why: why.into() }
    }
}

/// What the asks come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// What the loads are to draw together.
    pub power: Watts,
    /// They must not draw more.
    pub ceiling: Watts,
    /// They must not draw less.
    pub floor: Watts,
    /// Who set it.
    pub mode: Mode,
    /// Why.
    pub why: Arc<str>,
    /// Asks that could not be met in full, and by how much, watts: negative asked for less.
    pub unmet: Vec<(Mode, f64)>,
}

/// Puts asks together in the order of rank: each may narrow what is left of the range from nothing to
/// `capacity`, none may widen it. The first target holds; with none, as much as is allowed.
pub fn combine(asks: &[Ask], capacity: Watts) -> Target {
    let mut ranked: Vec<&Ask> = asks.iter().collect();
    ranked.sort_by_key(|ask| ask.mode);
    let (mut floor, mut ceiling) = (0.0, capacity.get());
    let mut bound: Option<(&Ask, f64)> = None;
    let mut lowered: Option<&Ask> = None;
    let mut raised: Option<&Ask> = None;
    let mut unmet = Vec::new();
    for ask in ranked {
        // What an earlier target settled, no later limit moves.
        let settled = bound.map(|(_, wanted)| wanted.clamp(floor, ceiling));
        let mut miss = |wanted: f64, given: f64| {
            if (wanted - given).abs() > 0.5 {
                unmet.push((ask.mode, wanted - given));
            }
        };
        if let Some(wanted) = ask.ceiling.map(Watts::get) {
            let given = wanted.max(settled.unwrap_or(floor));
            miss(wanted, given);
            if given < ceiling {
                (ceiling, lowered) = (given, Some(ask));
            }
        }
        if let Some(wanted) = ask.floor.map(Watts::get) {
            let given = wanted.min(settled.unwrap_or(ceiling));
            miss(wanted, given);
            if given > floor {
                (floor, raised) = (given, Some(ask));
            }
        }
        if bound.is_none() {
            bound = ask.target.map(|wanted| (ask, wanted.get()));
        }
    }
    let wanted = bound.map_or(ceiling, |(_, wanted)| wanted);
    let power = wanted.clamp(floor, ceiling);
    if let Some((ask, _)) = bound.filter(|_| (power - wanted).abs() > 0.5) {
        unmet.push((ask.mode, wanted - power));
    }
    // A floor that asks for just as much as a target of lower rank is the one that binds.
    let first = |floor: &Ask| bound.is_none_or(|(ask, _)| floor.mode < ask.mode);
    let by = if wanted > ceiling || (bound.is_none() && lowered.is_some()) {
        lowered
    } else if wanted <= floor && raised.is_some_and(first) {
        raised
    } else {
        bound.map(|(ask, _)| ask)
    };
    let of = |number: f64| Watts::new(number).unwrap_or(Watts::ZERO);
    Target {
        power: of(power),
        ceiling: of(ceiling),
        floor: of(floor),
        mode: by.map_or(Mode::Free, |ask| ask.mode),
        why: by.map_or_else(|| "nothing limits the loads".into(), |ask| ask.why.clone()),
        unmet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn w(watts: f64) -> Watts {
        Watts::new(watts).unwrap()
    }

    #[test]
    fn a_later_mode_never_widens_what_an_earlier_one_set() {
        let cases: [(Vec<Ask>, f64, Mode); 7] = [
            (vec![], 1000.0, Mode::Free),
            (vec![Ask::exactly(Mode::Price, w(700.0), "p")], 700.0, Mode::Price),
            (
                vec![
                    Ask::exactly(Mode::Price, w(700.0), "p"),
                    Ask::at_most(Mode::DemandResponse, w(200.0), "d"),
                ],
                200.0,
                Mode::DemandResponse,
            ),
            (
                vec![
                    Ask::at_least(Mode::Heat, w(500.0), "h"),
                    Ask::at_most(Mode::Safety, w(300.0), "s"),
                ],
                300.0,
                Mode::Safety,
            ),
            (
                vec![
                    Ask::at_least(Mode::Heat, w(500.0), "h"),
                    Ask::exactly(Mode::Price, w(0.0), "p"),
                ],
                500.0,
                Mode::Heat,
            ),
            (
                vec![
                    Ask::exactly(Mode::Aggregator, w(400.0), "a"),
                    Ask::exactly(Mode::Surplus, w(900.0), "s"),
                ],
                400.0,
                Mode::Aggregator,
            ),
            (
                vec![
                    Ask::exactly(Mode::Plant, w(400.0), "g"),
                    Ask::at_least(Mode::Heat, w(900.0), "h"),
                    Ask::at_most(Mode::Price, w(100.0), "p"),
                ],
                400.0,
                Mode::Plant,
            ),
        ];
        for (asks, power, mode) in cases {
            let target = combine(&asks, w(1000.0));
            assert_eq!((target.power, target.mode), (w(power), mode), "{asks:?}");
        }
    }

    #[test]
    fn what_could_not_be_met_is_said() {
        let asks = [
            Ask::at_least(Mode::Heat, w(500.0), "h"),
            Ask::at_most(Mode::DemandResponse, w(200.0), "d"),
        ];
        assert_eq!(combine(&asks, w(1000.0)).unmet, [(Mode::Heat, 300.0)]);
        let more = [Ask::exactly(Mode::Aggregator, w(1500.0), "a")];
        assert_eq!(combine(&more, w(1000.0)).unmet, [(Mode::Aggregator, 500.0)]);
    }

    fn any_ask() -> impl Strategy<Value = Ask> {
        let modes = [Mode::Safety, Mode::Plant, Mode::DemandResponse, Mode::Heat, Mode::Price];
        let some = || proptest::option::of(0.0..2000.0f64);
        (0..modes.len(), some(), some(), some()).prop_map(move |(mode, floor, ceiling, target)| {
            let of = |number: Option<f64>| number.map(w);
            let mode = modes[mode];
            let (floor, ceiling, target) = (of(floor), of(ceiling), of(target));
            Ask { mode, floor, ceiling, target, why: "".into() }
        })
    }

    proptest! {
        #[test]
        fn the_first_in_rank_always_gets_its_ceiling(asks in proptest::collection::vec(any_ask(), 0..8)) {
            let target = combine(&asks, w(1000.0));
            prop_assert!(target.floor <= target.power && target.power <= target.ceiling);
            prop_assert!(target.ceiling <= w(1000.0));
            let first = asks.iter().min_by_key(|ask| ask.mode);
            if let Some(ceiling) = first.and_then(|ask| ask.ceiling) {
                prop_assert!(target.power <= ceiling);
            }
        }
    }
}
