//! One home as the aggregate knows it: what it reported, what it was told, whether it does so, what it
//! gave so far. It decides nothing. It is small, as every step reads all of them: what only reports and
//! the end of an interval need is in its [`Tally`].

use super::{Setup, account::Tally, lot::Group, share::Share};
use std::{sync::Arc, time::Duration};
use units::{Moment, NetWatts, Watts};

/// Larger than any home, W: a report beyond it is refused, so that no sum loses its watts.
const LARGEST: f64 = 1e8;

/// A power that a home can hold, and for how long before somebody is cold or a limit binds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hold {
    /// Net power at its connection point.
    pub power: NetWatts,
    /// For so long from the report on; `None` for as long as anybody likes.
    pub lasts: Option<Duration>,
}

/// What a home says of itself, every few seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Net power at its connection point, by its meter.
    pub power: NetWatts,
    /// What it would draw if it were left alone.
    pub own: NetWatts,
    /// The least that it can be told to draw, comfort and local limits kept.
    pub lowest: Hold,
    /// The most.
    pub highest: Hold,
    /// It can only be told powers so far apart, counted from `own`; all of the way for loads that are on
    /// or off.
    pub step: Option<Watts>,
    /// Its owner does not take part now.
    pub opted_out: bool,
}

/// Why a report is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReport {
    /// Powers out of order, or larger than any home.
    #[error("a report wants lowest <= own <= highest, each below 100 MW")]
    Powers,
    /// No place for another home.
    #[error("this aggregate has as many homes as it was set up for: raise that number")]
    Full,
}

impl Report {
    pub(super) fn check(&self) -> Result<(), BadReport> {
        let all = [self.power, self.own, self.lowest.power, self.highest.power];
        let small = all.iter().all(|power| power.get().abs() <= LARGEST);
        let ordered = self.lowest.power <= self.own && self.own <= self.highest.power;
        if small && ordered { Ok(()) } else { Err(BadReport::Powers) }
    }
}

/// Whether less or more is drawn than by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Down,
    Up,
}

/// How a home takes part now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Told, and counted on.
    Ready,
    /// Told, but it does not do so: counted at what it draws.
    Astray,
    /// Its owner does not take part.
    OptedOut,
    /// Left alone for comparison.
    Control,
    /// Left alone so that it can be compared with in the next period.
    Resting,
    /// Not heard of lately.
    Silent,
}

/// What a home was told.
#[derive(Debug, Clone, Copy)]
pub(super) struct InForce {
    pub power: f64,
    pub expires: Moment,
}

/// So many reports in a row beyond the tolerance, and a home counts as astray; as many within, and it
/// does not any more. Three are no accident of one report.
const STRIKES: u8 = 3;

#[derive(Debug)]
pub(super) struct Home {
    pub id: Arc<str>,
    pub report: Report,
    pub heard: Moment,
    pub order: Option<InForce>,
    /// Until then it is not blamed: it was told something else just now.
    excused: Moment,
    /// Hours at all of its flexibility, downwards and upwards.
    pub given: [f64; 2],
    /// An order is renewed when less than this is left of it.
    pub renew: Duration,
    strikes: u8,
    astray: bool,
    /// How the lots of now have it.
    pub group: Group,
    pub took: Took,
}

/// How a home took part in the interval that runs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Took {
    /// It could have been told something, or would have been but for the lot.
    pub called: bool,
    pub control: bool,
    pub resting: bool,
}

impl Home {
    pub fn new(
        id: Arc<str>,
        (group, renew): (Group, Duration),
        report: Report,
        given: [f64; 2],
        now: Moment,
    ) -> Self {
        Self {
            id,
            report,
            heard: now,
            order: None,
            excused: now,
            given,
            renew,
            strikes: 0,
            astray: false,
            group,
            took: Took::default(),
        }
    }

    /// Takes a report.
    pub fn hear(&mut self, report: Report, now: Moment, setup: &Setup, tally: &mut Tally) {
        let silence = now.since(self.heard);
        let mean = (self.report.power.get() + report.power.get()) / 2.0;
        if silence <= setup.stale {
            tally.meter(mean, now);
            self.credit(mean, silence);
        } else {
            tally.gap(now);
        }
        tally.opted_out |= report.opted_out;
        tally.habit.hear(&report);
        self.report = report;
        self.heard = now;
        self.judge(now, setup);
    }

    fn credit(&mut self, mean: f64, time: Duration) {
        let Some(order) = self.order.filter(|order| self.heard < order.expires) else { return };
        let way = if order.power <= self.report.own.get() { Way::Down } else { Way::Up };
        let range = self.range(way);
        if range > 0.0 {
            let gave = (self.report.own.get() - mean).abs().min(range);
            let right = (mean <= self.report.own.get()) == (way == Way::Down);
            let part = if right { gave / range } else { 0.0 };
            self.given[way as usize] += part * time.as_secs_f64() / 3600.0;
        }
    }

    fn judge(&mut self, now: Moment, setup: &Setup) {
        let Some(order) = self.order.filter(|order| now < order.expires) else { return };
        if (self.report.power.get() - order.power).abs() <= self.tolerance(setup) {
            self.strikes = self.strikes.saturating_sub(1);
        } else if now >= self.excused {
            self.strikes = (self.strikes + 1).min(STRIKES);
        }
        self.astray = match self.strikes {
            0 => false,
            STRIKES.. => true,
            _ => self.astray,
        };
    }

    fn tolerance(&self, setup: &Setup) -> f64 {
        let range = self.range(Way::Down) + self.range(Way::Up);
        (range * setup.tolerance.get()).max(setup.least_tolerance.get())
    }

    pub fn role(&self, now: Moment, setup: &Setup) -> Role {
        if now.since(self.heard) > setup.stale {
            Role::Silent
        } else if self.report.opted_out {
            Role::OptedOut
        } else {
            match self.group {
                Group::Control => Role::Control,
                Group::Resting => Role::Resting,
                Group::Told if self.astray => Role::Astray,
                Group::Told => Role::Ready,
            }
        }
    }

    /// What it draws as far as anybody can know: as metered, else what it was told until that expires,
    /// then what it draws by itself.
    pub fn drawn(&self, role: Role, now: Moment) -> f64 {
        match self.order {
            _ if role != Role::Silent => self.report.power.get(),
            Some(order) if now < order.expires && !self.astray => order.power,
            _ => self.report.own.get(),
        }
    }

    /// By how much it misses what it was told, W; `None` before it can have arrived.
    pub fn misses(&self, now: Moment) -> Option<f64> {
        let order = self.order.filter(|order| now < order.expires && now >= self.excused)?;
        Some(self.report.power.get() - order.power)
    }

    /// How much less or more it can draw than by itself, W.
    pub fn range(&self, way: Way) -> f64 {
        let own = self.report.own.get();
        match way {
            Way::Down => own - self.report.lowest.power.get(),
            Way::Up => self.report.highest.power.get() - own,
        }
    }

    /// How long it can give all of its range from now on; `None`: no end.
    pub fn lasts(&self, way: Way, now: Moment) -> Option<Duration> {
        let hold = match way {
            Way::Down => self.report.lowest,
            Way::Up => self.report.highest,
        };
        hold.lasts.map(|lasts| lasts.saturating_sub(now.since(self.heard)))
    }

    /// What it offers; `None` where that is nothing, or ends before it could begin.
    pub fn offer(&self, way: Way, now: Moment, setup: &Setup) -> Option<Share> {
        let range = self.range(way);
        let step = self.report.step.map(Watts::get).filter(|step| *step > 0.0);
        let lasts = self.lasts(way, now).is_none_or(|lasts| lasts > setup.settle);
        let order = self.order.filter(|order| now < order.expires);
        let offers = range > 0.0 && lasts && step.is_none_or(|step| range >= 0.999 * step);
        offers.then(|| Share {
            home: 0,
            given: self.given[way as usize],
            range,
            sustained: self.sustains(way, setup.sustain, now),
            step,
            held: order.map(|order| {
                let change = order.power - self.report.own.get();
                if way == Way::Down { -change } else { change }.max(0.0)
            }),
            counted: true,
            gives: 0.0,
        })
    }

    /// What it can give for so long, W: its energy is what it gives at most times how long.
    pub fn sustains(&self, way: Way, time: Duration, now: Moment) -> f64 {
        let part = self.lasts(way, now).map_or(1.0, |lasts| {
            if time.is_zero() { 1.0 } else { lasts.as_secs_f64() / time.as_secs_f64() }
        });
        self.range(way).max(0.0) * part.min(1.0)
    }

    /// Adds what it can give for each of these times, W.
    pub fn sustains_each(&self, way: Way, times: &[Duration], now: Moment, to: &mut [f64]) {
        let range = self.range(way).max(0.0);
        let lasts = self.lasts(way, now).map(|lasts| lasts.as_secs_f64());
        for (to, time) in to.iter_mut().zip(times) {
            *to += lasts.map_or(range, |lasts| range * (lasts / time.as_secs_f64()).min(1.0));
        }
    }

    /// How long it can give so much, W, at most `longest`.
    pub fn lasts_at(&self, way: Way, gives: f64, now: Moment, longest: Duration) -> Duration {
        let Some(lasts) = self.lasts(way, now).filter(|_| gives > 0.0) else { return longest };
        let lasts = lasts.as_secs_f64() * self.range(way) / gives;
        Duration::try_from_secs_f64(lasts).map_or(longest, |lasts| lasts.min(longest))
    }

    /// It was told something.
    pub fn tell(&mut self, power: f64, expires: Moment, now: Moment, setup: &Setup) {
        let before = self.order.filter(|order| now < order.expires);
        let far =
            before.is_none_or(|before| (before.power - power).abs() > self.tolerance(setup) / 2.0);
        if far {
            self.excused = now.after(setup.settle);
        }
        self.order = Some(InForce { power, expires });
    }
}
