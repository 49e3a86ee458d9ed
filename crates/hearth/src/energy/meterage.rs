//! Metered energy by intervals: sums what the meter told, second by second, and says of each whole interval
//! what is known of it. A gap makes an interval void, never guessed; so does work that contradicts it.

use super::{
    baseline::{Answer, Baselines, Whole},
    proof::{Supply, Worked, prove},
    record::Sender,
};
use crate::config::Evidence;
use dispatch::baseline::Delivered;
use ledger::evidence::{
    AcceptedWork, Baseline, Delivered as Given, Interval, Label, Proof, Quality,
};
use std::{sync::Arc, time::Duration};
use units::{Difficulty, NetWatts, UnixTime, WattHours, Work};

/// A reading may stand for so long; a longer gap voids the interval.
const GAP: Duration = Duration::from_secs(15);

/// What a record calls a call whose name is longer than a record's may be.
const UNNAMED: &str = "a call whose name cannot be written";

/// The interval under way.
pub struct Meterage {
    told: Evidence,
    sender: Option<Sender>,
    baselines: Baselines,
    begin: Option<UnixTime>,
    sums: Sums,
    last: Option<Last>,
    work_before: Option<Counted>,
    has_heat: bool,
    said: Said,
}

/// The meter's last reading, and until when it was summed up, in seconds of the loop's clock.
#[derive(Debug, Clone, Copy)]
struct Last {
    net: NetWatts,
    read: f64,
    summed: f64,
}

/// What was summed up since the interval began.
#[derive(Debug, Clone, Default)]
struct Sums {
    /// Wh in and out, by a meter without gaps.
    energy: (f64, f64),
    gap: bool,
    shares: u64,
    hashes: f64,
    hardest: Option<Difficulty>,
    /// Wh of heat; `None` where there is none to be used, or its machines were not measured.
    heat: Option<f64>,
    /// Wh from own sources; `None` where one of them was silent.
    beside: Option<f64>,
    event: Option<(Arc<str>, Option<UnixTime>)>,
    /// Something in this interval was made up.
    made_up: bool,
}

/// Accepted work of all miners since the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counted {
    pub shares: u64,
    pub work: Work,
    /// The hardest share that anybody was just given credit for.
    pub hardest: Option<Difficulty>,
}

/// What is known at a second.
pub struct Second<'a> {
    pub utc: UnixTime,
    /// Seconds on the loop's clock.
    pub at: f64,
    /// Fresh net power.
    pub net: Option<NetWatts>,
    pub work: Option<Counted>,
    /// Power of machines whose heat is used, as measured, W.
    pub heating: Option<f64>,
    /// Power of the site's own sun, battery and engine, W; `None` while one of them is silent.
    pub beside: Option<f64>,
    /// The meter's figures are made up.
    pub made_up: bool,
    /// The call that runs, and when it is to end.
    pub event: Option<(&'a Arc<str>, Option<UnixTime>)>,
}

/// What a finished interval said.
pub struct Done {
    pub start: UnixTime,
    pub length: Duration,
    pub event: Option<Arc<str>>,
    pub imported: Option<WattHours>,
}

/// What the last whole interval showed, for whoever looks.
#[derive(Debug, Clone, Default)]
pub struct Said {
    pub proof: Option<Proof>,
    /// The latest call, and what it was given so far.
    pub call: Option<(Arc<str>, Delivered)>,
    pub warnings: Vec<String>,
}

impl Meterage {
    /// Goes on where the record ended. Without a sender nothing is recorded.
    pub fn new(told: Evidence, sender: Option<Sender>, has_heat: bool) -> Self {
        let mut baselines = Baselines::new(told.clone());
        for interval in sender.iter().flat_map(Sender::recall) {
            baselines.recall(&interval);
        }
        Self {
            told,
            sender,
            baselines,
            begin: None,
            sums: Sums::new(has_heat),
            last: None,
            work_before: None,
            has_heat,
            said: Said::default(),
        }
    }

    /// What the last whole interval showed.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// Takes a second; gives the interval that it ended.
    pub fn take(&mut self, second: &Second<'_>) -> Option<Done> {
        let begin = second.utc.floor_to(self.told.interval);
        // What has passed since the second before belongs to the interval under way.
        self.pass(second);
        let before = self.begin.replace(begin);
        let done = match before {
            Some(before) if before != begin => self.finish(before),
            Some(_) => None,
            // The first interval began before we did.
            None => {
                self.sums.gap = second.utc != begin;
                None
            }
        };
        if second.net.is_none() && self.last.is_none() {
            self.sums.gap = true;
        }
        self.sums.made_up |= second.made_up;
        if let Some((event, ends)) = second.event {
            self.sums.event = Some((event.clone(), ends));
        }
        done
    }

    fn pass(&mut self, second: &Second<'_>) {
        let sums = &mut self.sums;
        if let Some(last) = &mut self.last {
            if second.at - last.read > GAP.as_secs_f64() {
                sums.gap = true;
            } else {
                let hours = (second.at - last.summed) / 3600.0;
                let wh = last.net.get() * hours;
                if wh >= 0.0 {
                    sums.energy.0 += wh;
                } else {
                    sums.energy.1 -= wh;
                }
                let more = |sum: Option<f64>, watts: Option<f64>| {
                    sum.zip(watts).map(|(sum, watts)| sum + watts * hours)
                };
                sums.heat = more(sums.heat, second.heating);
                sums.beside = more(sums.beside, second.beside);
                last.summed = second.at;
            }
        }
        if let Some(net) = second.net {
            self.last = Some(Last { net, read: second.at, summed: second.at });
        }
        if let Some(counted) = second.work {
            if let Some(before) = self.work_before {
                sums.shares += counted.shares.saturating_sub(before.shares);
                sums.hashes += (counted.work.hashes() - before.work.hashes()).max(0.0);
                let hardest = sums.hardest.into_iter().chain(counted.hardest);
                sums.hardest = hardest.reduce(Difficulty::max);
            }
            self.work_before = Some(counted);
        }
    }

    fn finish(&mut self, start: UnixTime) -> Option<Done> {
        let sums = std::mem::replace(&mut self.sums, Sums::new(self.has_heat));
        let known = |wh: f64| WattHours::new(wh.max(0.0)).ok().filter(|_| !sums.gap);
        let imported = known(sums.energy.0);
        let told = imported.filter(|_| !sums.made_up);
        let exported = known(sums.energy.1).filter(|_| !sums.made_up);
        let beside = sums.beside.and_then(|wh| WattHours::new(wh.max(0.0)).ok());
        let supply =
            told.zip(exported).map(|(imported, exported)| Supply { imported, exported, beside });
        let worked = self.work_before.map(|_| sums.worked());
        let before = match &sums.event {
            Some((id, _)) => self.baselines.worked_before(id),
            None => Vec::new(),
        };
        let proof = worked.and_then(|worked| prove(&worked, &before, beside, self.told.best));
        let contradicted =
            supply.zip(proof).is_some_and(|(supply, proof)| supply.falls_short_of(proof.least));
        let void = match (sums.made_up, sums.gap) {
            (true, _) => Some("the meter's figures are made up".to_owned()),
            (_, true) => Some("the meter was not read without a gap".to_owned()),
            _ => contradicted.then(|| {
                "accepted work takes more energy than was metered: the meter does not see all machines"
                    .to_owned()
            }),
        };
        let answer = self.baselines.take(&Whole {
            start,
            supply: supply.filter(|_| void.is_none()),
            worked,
            call: sums.event.clone(),
        });
        let unfounded = answer.as_ref().and_then(|answer| answer.baseline.as_ref().err());
        let unfounded = unfounded.map(ToString::to_string);
        self.say(&sums, &answer, proof, contradicted, &unfounded);
        let label = |text: &str| text.parse::<Label>().ok();
        let event = sums.event.map(|(event, _)| event);
        let baseline = answer.as_ref().filter(|_| !sums.made_up).and_then(|answer| {
            let estimate = answer.baseline.as_ref().ok()?;
            let method = label(self.told.basis.name())?;
            Some(Baseline { method, energy: estimate.energy, error: estimate.error })
        });
        let claim = |given: fn(&Answer) -> Option<Delivered>| {
            answer.as_ref().and_then(given).map(|given| Given {
                energy: given.energy,
                low: given.low,
                high: given.high,
                confidence: given.confidence,
            })
        };
        let interval = Interval {
            start,
            seconds: self.told.interval,
            quality: if void.is_some() { Quality::Void } else { Quality::Metered },
            why: void.or(unfounded).as_deref().and_then(label),
            imported: told,
            exported,
            heat_reused: sums.heat.and_then(known).filter(|_| !sums.made_up),
            work: worked.map(|worked| AcceptedWork { shares: sums.shares, hashes: worked.work }),
            grid: self.told.grid.clone(),
            certificates: self.told.certificates.clone(),
            baseline,
            delivered: claim(|answer| answer.delivered),
            // An interval of a call must never pass for one without.
            event: event.as_deref().and_then(|id| label(id).or_else(|| label(UNNAMED))),
            proof,
            call: claim(|answer| answer.call),
        };
        if let Some(sender) = &self.sender {
            sender.keep(interval);
        }
        Some(Done { start, length: self.told.interval, event, imported })
    }

    fn say(
        &mut self,
        sums: &Sums,
        answer: &Option<Answer>,
        proof: Option<Proof>,
        contradicted: bool,
        unfounded: &Option<String>,
    ) {
        self.said.proof = proof;
        self.said.warnings.clear();
        if contradicted {
            self.said.warnings.push(
                "accepted work takes more energy than was metered, so the interval is void: check the \
                 meter, tell hearth of all sources of power, and have machines behind other meters mine \
                 elsewhere"
                    .into(),
            );
        }
        self.said.warnings.extend(unfounded.clone());
        if let (Some((id, _)), Some(given)) =
            (&sums.event, answer.as_ref().and_then(|answer| answer.call))
        {
            self.said.call = Some((id.clone(), given));
        }
    }
}

impl Sums {
    fn new(has_heat: bool) -> Self {
        Self { heat: has_heat.then_some(0.0), beside: Some(0.0), ..Self::default() }
    }

    fn worked(&self) -> Worked {
        // Without a share there is none that was hard.
        let hardest = self.hardest.filter(|_| self.shares > 0);
        Worked { work: Work::from_hashes(self.hashes), hardest }
    }
}

#[cfg(test)]
mod tests;
