//! What a site would have drawn during a call, and what it gave up. It keeps what a baseline is made of:
//! whole intervals as they end, and before them those of the signed record, so that a restart loses none.
//! It never measures and never fills a gap.

use super::proof::{Supply, Worked, contradicts};
use crate::config::{Basis, Evidence};
use dispatch::baseline::{
    Delivered, Estimate, Void, calendar::Metered, like_days::LikeDays,
    prior::metered_prior_interval,
};
use ledger::evidence::{Interval, Quality};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use units::{Difficulty, Ratio, UnixTime, WattHours};

/// Intervals before a call that its baseline is made of at most, and its usual work.
const PRIOR: usize = 12;
const DAY: Duration = Duration::from_secs(86_400);
/// How often an interval of confidence holds the truth.
const CONFIDENCE: f64 = 0.95;
/// Calls that run at one time, one interrupting another: more are not kept apart.
const CALLS: usize = 16;

/// A whole interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    pub start: UnixTime,
    /// `None` where the meter has a gap.
    pub supply: Option<Supply>,
    /// `None` where work is not known.
    pub worked: Option<Worked>,
    /// The call that ran in it, and when it is to end.
    pub call: Option<(Arc<str>, Option<UnixTime>)>,
}

/// What is known of an interval of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub baseline: Result<Estimate, NoBaseline>,
    /// In this interval.
    pub delivered: Option<Delivered>,
    /// Since the call began.
    pub call: Option<Delivered>,
}

/// Why a call has no baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoBaseline {
    #[error("no baseline: {0}")]
    Void(#[from] Void),
    #[error("no baseline: work accepted before the call takes more energy than was metered then")]
    BelowWork,
}

/// A call under way.
#[derive(Debug, Clone)]
struct Call {
    id: Arc<str>,
    starts: UnixTime,
    ends: Option<UnixTime>,
    /// What was metered before it, latest last.
    prior: Vec<Plain>,
    below_work: bool,
    /// Intervals that were metered, by their place in the call.
    given: Vec<(usize, WattHours)>,
}

/// A metered interval without a call.
#[derive(Debug, Clone, Copy)]
struct Plain {
    supply: Supply,
    worked: Option<Worked>,
}

/// What baselines are made of.
pub struct Baselines {
    told: Evidence,
    /// Since the last gap, latest last.
    prior: VecDeque<Plain>,
    metered: Metered,
    until: Option<UnixTime>,
    /// Since the last metered interval without a call.
    calls: Vec<Call>,
}

impl Baselines {
    pub fn new(told: Evidence) -> Self {
        let metered = Metered::new(told.interval);
        Self { told, prior: VecDeque::new(), metered, until: None, calls: Vec::new() }
    }

    /// How far back intervals count.
    pub fn reach(told: &Evidence) -> Duration {
        match &told.basis {
            Basis::Prior => told.interval * (4 * PRIOR as u32),
            // A day more, as an event's day begins before its midnight.
            Basis::LikeDays { rule, .. } => DAY * (rule.reach + 2),
        }
    }

    /// Takes an interval of the record.
    pub fn recall(&mut self, interval: &Interval) {
        if interval.seconds != self.told.interval {
            return;
        }
        let hardest = interval.proof.and_then(|proof| {
            Difficulty::new(proof.hardest.hashes() / Difficulty::HASHES_PER_UNIT).ok()
        });
        // Of what difficulty shares were is not known without a proof.
        let known = interval.work.filter(|work| work.shares == 0 || hardest.is_some());
        let worked = known.map(|work| Worked { work: work.hashes, hardest });
        let imported = interval.imported.filter(|_| interval.quality == Quality::Metered);
        self.take(&Whole {
            start: interval.start,
            supply: imported.map(|imported| Supply {
                imported,
                exported: interval.exported.unwrap_or_default(),
                beside: interval.proof.and_then(|proof| proof.beside),
            }),
            worked,
            call: interval.event.as_ref().map(|event| (event.as_str().into(), None)),
        });
    }

    /// Takes the next whole interval; says what it gave up if a call ran in it.
    pub fn take(&mut self, whole: &Whole) -> Option<Answer> {
        let end = whole.start.after(self.told.interval);
        if self.until.replace(end).is_some_and(|until| until != whole.start) {
            // What nobody recorded is a gap.
            self.prior.clear();
        }
        let drawn = whole.supply.map(|supply| supply.imported);
        if let Basis::LikeDays { .. } = self.told.basis {
            self.metered.add(whole.start, drawn, whole.call.is_some());
            let reach = Self::reach(&self.told).as_secs();
            self.metered.forget(UnixTime(whole.start.0.saturating_sub(reach)));
        }
        let Some((id, ends)) = &whole.call else {
            match whole.supply {
                Some(supply) => {
                    self.calls.clear();
                    self.prior.push_back(Plain { supply, worked: whole.worked });
                    if self.prior.len() > PRIOR {
                        self.prior.pop_front();
                    }
                }
                None => self.prior.clear(),
            }
            return None;
        };
        let at = self.call(id, whole.start);
        let call = &mut self.calls[at];
        call.ends = *ends;
        let place = whole.start.since(call.starts).as_secs() / self.told.interval.as_secs().max(1);
        if let Some(drawn) = drawn {
            call.given.push((place as usize, drawn));
        }
        let call = &self.calls[at];
        Some(self.answer(call, place as usize, end, drawn))
    }

    /// Work of the intervals before a call, as far as it is known. One that is not known begins now.
    pub fn worked_before(&self, id: &str) -> Vec<Worked> {
        let call = self.calls.iter().find(|call| *call.id == *id);
        match call {
            Some(call) => call.prior.iter().filter_map(|plain| plain.worked).collect(),
            None => self.prior.iter().filter_map(|plain| plain.worked).collect(),
        }
    }

    /// The place of a call in the list; it begins with this interval if it is not there.
    fn call(&mut self, id: &Arc<str>, starts: UnixTime) -> usize {
        if let Some(at) = self.calls.iter().position(|call| call.id == *id) {
            return at;
        }
        if self.calls.len() >= CALLS {
            self.calls.remove(0);
        }
        let prior: Vec<Plain> = self.prior.iter().copied().collect();
        let supply = prior.iter().map(|plain| plain.supply).reduce(Supply::and);
        let worked = prior.iter().filter_map(|plain| plain.worked).reduce(Worked::and);
        let below_work = supply
            .zip(worked)
            .is_some_and(|(supply, worked)| contradicts(&worked, &supply, self.told.best));
        let id = id.clone();
        self.calls.push(Call { id, starts, ends: None, prior, below_work, given: Vec::new() });
        self.calls.len() - 1
    }

    fn answer(&self, call: &Call, place: usize, end: UnixTime, drawn: Option<WattHours>) -> Answer {
        let found = match call.below_work {
            true => Err(NoBaseline::BelowWork),
            false => self.found(call, end).map_err(NoBaseline::Void),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return Answer { baseline: Err(error), delivered: None, call: None },
        };
        let baseline = found.over(&[place]);
        let confidence = Ratio::new(CONFIDENCE).unwrap_or_default();
        let given = |estimate: &Estimate, drawn| {
            Delivered::new(estimate, drawn, self.told.meter_error, confidence).ok()
        };
        let places: Vec<usize> = call.given.iter().map(|(place, _)| *place).collect();
        let metered: WattHours = call.given.iter().map(|(_, drawn)| *drawn).sum();
        let all = found.over(&places).ok().filter(|_| drawn.is_some());
        Answer {
            delivered: baseline.as_ref().ok().and_then(|estimate| given(estimate, drawn)),
            baseline: baseline.map_err(NoBaseline::Void),
            call: all.and_then(|estimate| given(&estimate, Some(metered))),
        }
    }

    fn found(&self, call: &Call, end: UnixTime) -> Result<Found, Void> {
        match &self.told.basis {
            Basis::Prior => {
                let prior = call.prior.iter().map(|plain| Some(plain.supply.imported));
                Ok(Found::Prior(prior.collect()))
            }
            Basis::LikeDays { rule, calendar, .. } => {
                // All of a call is compared, from its first interval on: the days that are picked stay.
                let ends = call.ends.map_or(end, |ends| UnixTime(ends.0.max(end.0)));
                self.metered.baseline(rule, calendar, (call.starts, ends)).map(Found::LikeDays)
            }
        }
    }
}

/// What a call's baseline is made of.
enum Found {
    Prior(Vec<Option<WattHours>>),
    LikeDays(LikeDays),
}

impl Found {
    /// The baseline of some intervals of the call.
    fn over(&self, places: &[usize]) -> Result<Estimate, Void> {
        match self {
            Self::Prior(prior) => metered_prior_interval(prior, places.len()),
            Self::LikeDays(found) => found.over(places),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wh(wh: f64) -> WattHours {
        WattHours::new(wh).unwrap()
    }

    /// An interval of five minutes by its number.
    fn whole(at: u64, drawn: Option<f64>, call: Option<&str>) -> Whole {
        let beside = Some(WattHours::ZERO);
        let supply = |drawn| Supply { imported: wh(drawn), exported: WattHours::ZERO, beside };
        Whole {
            start: UnixTime(at * 300),
            supply: drawn.map(supply),
            worked: None,
            call: call.map(|id| (id.into(), None)),
        }
    }

    fn baselines(plain: std::ops::Range<u64>) -> Baselines {
        let mut baselines = Baselines::new(Evidence::unrecorded());
        for at in plain {
            let answer = baselines.take(&whole(at, Some(100.0 + (at % 2) as f64), None));
            assert_eq!(answer, None);
        }
        baselines
    }

    #[test]
    fn a_call_that_another_interrupts_goes_on_where_it_was() {
        let mut baselines = baselines(0..12);
        let mut given = |at: u64, call: &str| {
            let answer = baselines.take(&whole(at, Some(10.0), Some(call))).unwrap();
            assert_eq!(answer.baseline.unwrap().energy, wh(100.5));
            answer.call.unwrap().energy.get()
        };
        assert_eq!(given(12, "long"), 90.5);
        assert_eq!(given(13, "urgent"), 90.5);
        assert_eq!(given(14, "long"), 181.0);
        // A day later it is called again.
        baselines.take(&whole(15, Some(100.0), None));
        let again = baselines.take(&whole(16, Some(10.0), Some("long"))).unwrap();
        assert!((again.call.unwrap().energy.get() - 90.5).abs() < 1.0);
    }

    #[test]
    fn time_that_nobody_recorded_is_a_gap_before_a_call_and_not_within_one() {
        let few = Err(NoBaseline::Void(Void::FewReadings));
        let mut late = baselines(0..12);
        let answer = late.take(&whole(20, Some(10.0), Some("call"))).unwrap();
        assert_eq!((answer.baseline, answer.delivered), (few, None));
        let mut silent = baselines(0..12);
        silent.take(&whole(12, None, None));
        let answer = silent.take(&whole(13, Some(10.0), Some("call"))).unwrap();
        assert_eq!((answer.baseline, answer.call), (few, None));
        let mut within = baselines(0..12);
        within.take(&whole(12, Some(10.0), Some("call")));
        within.take(&whole(13, None, Some("call")));
        let answer = within.take(&whole(20, Some(10.0), Some("call"))).unwrap();
        assert_eq!(answer.call.unwrap().energy.get(), 181.0);
    }
}
