//! High X of Y: the mean of the days like this one, moved by how this day began.
//!
//! The rules of markets are data, as we understand the documents named beside them: rules are revised,
//! so check them against the tariff and contract that you are paid by. Which days are like this one
//! (business day, holiday, day of another event) is the caller's to say.

use super::{Estimate, Void};
use std::ops::Range;
use units::{Ratio, WattHours};

/// A rule: the `pool` newest eligible days, the `picked` ones of them, and the adjustment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Y: days in the pool.
    pub pool: usize,
    /// Fewest days that will do.
    pub least: usize,
    /// X: days of the pool that are averaged.
    pub picked: usize,
    /// Which.
    pub pick: Pick,
    /// How far back days may lie, in days before the event.
    pub reach: u32,
    /// How this day moves the mean of the others.
    pub adjustment: Option<Adjustment>,
}

/// Which days of the pool are averaged, by their energy in the hours of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// Those with the most.
    Highest,
    /// Those in the middle: as many are left out above as below.
    Middle,
}

/// How the beginning of the day moves the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adjustment {
    /// Its time begins this many minutes before the event.
    pub from_minutes: u32,
    /// And ends this many minutes before it.
    pub to_minutes: u32,
    /// How it is moved.
    pub by: By,
}

/// How a baseline is moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum By {
    /// Multiplied by today's energy over the like days' in that time, within these limits.
    Ratio {
        /// Least factor.
        least: f64,
        /// Greatest factor.
        most: f64,
    },
    /// The mean difference in that time is added, without a limit.
    Difference,
}

/// CAISO, 10 of 10: 45 days, three hours that end one hour before the event, ±20 % (its tariff).
pub const CAISO_10_OF_10: Rule = Rule {
    pool: 10,
    least: 5,
    picked: 10,
    pick: Pick::Highest,
    reach: 45,
    adjustment: Some(Adjustment {
        from_minutes: 240,
        to_minutes: 60,
        by: By::Ratio { least: 0.8, most: 1.2 },
    }),
};

/// CAISO, the 5 highest of 10 for homes: a factor from 1/1.4 to 1.4 (Baseline Accuracy Work Group
/// Proposal, 2017). Its adjustment time is taken as that of the rule above.
pub const CAISO_5_OF_10: Rule = Rule {
    picked: 5,
    adjustment: Some(Adjustment {
        from_minutes: 240,
        to_minutes: 60,
        by: By::Ratio { least: 1.0 / 1.4, most: 1.4 },
    }),
    ..CAISO_10_OF_10
};

/// NYISO, the 5 highest of 10 within 30 days: two hours from four hours before the event on, ±20 %
/// (Emergency Demand Response Program Manual).
pub const NYISO_5_OF_10: Rule = Rule {
    picked: 5,
    least: 10,
    reach: 30,
    adjustment: Some(Adjustment {
        from_minutes: 240,
        to_minutes: 120,
        by: By::Ratio { least: 0.8, most: 1.2 },
    }),
    ..CAISO_10_OF_10
};

/// ERCOT, the middle 8 of the 10 preceding like days (Default Baseline Methodologies). How it is
/// adjusted on the day is set by the contract.
pub const ERCOT_MIDDLE_8_OF_10: Rule =
    Rule { picked: 8, least: 10, pick: Pick::Middle, adjustment: None, ..CAISO_10_OF_10 };

/// A day of metered intervals, from midnight on, or from the same hour of each day.
#[derive(Debug, Clone, PartialEq)]
pub struct Day {
    /// How many days before the event's.
    pub ago: u32,
    /// Of the same kind as the event's day, and neither a holiday nor the day of another event.
    pub alike: bool,
    /// Energy of each interval; `None` where the meter has a gap.
    pub drawn: Vec<Option<WattHours>>,
}

/// A baseline and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct LikeDays {
    /// Of the whole event.
    pub estimate: Estimate,
    /// Of each of its intervals.
    pub intervals: Vec<WattHours>,
    /// How many days back the averaged days lie.
    pub days: Vec<u32>,
    /// What the beginning of the day made of it; 1 without an adjustment.
    pub factor: f64,
    /// By how much the same rule would have been wrong on the days of the pool, on average: above zero
    /// when it says too much.
    pub bias_wh: f64,
    /// By how much it would have been wrong on each of them, in each interval.
    off: Vec<Vec<f64>>,
}

/// The event's time and that of the adjustment, in intervals of the day.
struct Times {
    event: Range<usize>,
    before: Option<(Range<usize>, By)>,
}

/// One complete day: its intervals during the event, and its energy in the adjustment's time.
#[derive(Clone)]
struct Seen {
    ago: u32,
    event: Vec<f64>,
    before: f64,
}

impl Rule {
    /// The same rule with limits of this much above and below 1, such as 20 %.
    pub fn capped(mut self, cap: Ratio) -> Self {
        if let Some(adjustment) = &mut self.adjustment {
            adjustment.by = By::Ratio { least: 1.0 - cap.get(), most: 1.0 + cap.get() };
        }
        self
    }

    /// The baseline of an event in the intervals `event` of a day of which `today` holds at least those
    /// before it. `history` in any order.
    ///
    /// The error comes from the pool: each of its days is taken for an event that did not happen, the
    /// rest gives its baseline, and the root mean square of what that is off is the error (placebo
    /// events, as in CAISO's Baseline Accuracy Assessment of 2017).
    ///
    /// # Errors
    /// Void with too few complete days, or with a gap in the time that adjusts.
    pub fn baseline(
        &self,
        today: &[Option<WattHours>],
        history: &[Day],
        event: Range<usize>,
        interval_minutes: u32,
    ) -> Result<LikeDays, Void> {
        let times = self.times(event, interval_minutes)?;
        let mut pool: Vec<Seen> = history
            .iter()
            .filter(|day| day.alike && (1..=self.reach).contains(&day.ago))
            .filter_map(|day| times.seen(day.ago, &day.drawn))
            .collect();
        pool.sort_by_key(|day| day.ago);
        pool.truncate(self.pool);
        let needed = self.least.max(3);
        if pool.len() < needed {
            return Err(Void::FewDays { found: pool.len(), needed });
        }
        let before = match &times.before {
            Some((range, _)) => sum(today, range).ok_or(Void::GapBefore)?,
            None => 0.0,
        };
        let (intervals, days, factor) = self.apply(&pool, before, &times);
        let off: Vec<Vec<f64>> = (0..pool.len())
            .map(|at| {
                let mut rest = pool.clone();
                let placebo = rest.remove(at);
                let (said, ..) = self.apply(&rest, placebo.before, &times);
                said.iter().zip(&placebo.event).map(|(said, was)| said - was).collect()
            })
            .collect();
        let all: Vec<usize> = (0..intervals.len()).collect();
        let intervals: Result<Vec<_>, _> = intervals.into_iter().map(WattHours::new).collect();
        let intervals = intervals.map_err(|_| Void::TooMuch)?;
        let estimate = over(&intervals, &off, &all)?;
        let bias_wh = off.iter().flatten().sum::<f64>() / off.len() as f64;
        Ok(LikeDays { estimate, intervals, days, factor, bias_wh, off })
    }

    fn times(&self, event: Range<usize>, interval_minutes: u32) -> Result<Times, Void> {
        if event.is_empty() || interval_minutes == 0 {
            return Err(Void::NoSuchTime);
        }
        let at = |minutes: u32| {
            let whole = minutes.is_multiple_of(interval_minutes);
            let back = (minutes / interval_minutes) as usize;
            event.start.checked_sub(back).filter(|_| whole).ok_or(Void::NoSuchTime)
        };
        let before = match self.adjustment {
            Some(a) => Some((at(a.from_minutes)?..at(a.to_minutes)?, a.by)),
            None => None,
        };
        Ok(Times { event, before })
    }

    /// Baseline of each interval, the days it comes from, and the factor.
    fn apply(&self, pool: &[Seen], before: f64, times: &Times) -> (Vec<f64>, Vec<u32>, f64) {
        let mut by_energy: Vec<&Seen> = pool.iter().collect();
        let energy = |day: &Seen| day.event.iter().sum::<f64>();
        by_energy.sort_by(|a, b| energy(b).total_cmp(&energy(a)));
        let count = self.picked.clamp(1, by_energy.len());
        let skip = match self.pick {
            Pick::Highest => 0,
            Pick::Middle => (by_energy.len() - count) / 2,
        };
        let picked = &by_energy[skip..skip + count];
        let mean = |of: &dyn Fn(&Seen) -> f64| {
            picked.iter().map(|day| of(day)).sum::<f64>() / count as f64
        };
        let mut intervals: Vec<f64> =
            (0..times.event.len()).map(|at| mean(&|day| day.event[at])).collect();
        let usual = mean(&|day| day.before);
        let mut factor = 1.0;
        match &times.before {
            Some((_, By::Ratio { least, most })) if usual > 0.0 => {
                factor = (before / usual).max(*least).min(*most);
                intervals.iter_mut().for_each(|wh| *wh *= factor);
            }
            Some((range, By::Difference)) if !range.is_empty() => {
                let more = (before - usual) / range.len() as f64;
                intervals.iter_mut().for_each(|wh| *wh = (*wh + more).max(0.0));
            }
            _ => {}
        }
        (intervals, picked.iter().map(|day| day.ago).collect(), factor)
    }
}

impl LikeDays {
    /// The same of some of the event's intervals, by their places in it. What one day is off in one
    /// interval it mostly is in the next: errors are added up within a day and squared between days.
    ///
    /// # Errors
    /// Void for a place that the event does not have.
    pub fn over(&self, places: &[usize]) -> Result<Estimate, Void> {
        over(&self.intervals, &self.off, places)
    }
}

fn over(intervals: &[WattHours], off: &[Vec<f64>], places: &[usize]) -> Result<Estimate, Void> {
    let drawn: Option<Vec<f64>> =
        places.iter().map(|at| intervals.get(*at).map(|wh| wh.get())).collect();
    let drawn = drawn.ok_or(Void::NoSuchTime)?;
    let day = |day: &Vec<f64>| places.iter().filter_map(|at| day.get(*at)).sum::<f64>();
    let freedom = off.len() as f64 - 1.0;
    let error = (off.iter().map(|one| day(one).powi(2)).sum::<f64>() / freedom).sqrt();
    Estimate::new(drawn.iter().sum(), error, freedom)
}

impl Times {
    /// What is needed of a day; `None` when the meter has a gap in it.
    fn seen(&self, ago: u32, drawn: &[Option<WattHours>]) -> Option<Seen> {
        let event = drawn.get(self.event.clone())?.iter().map(|r| r.map(WattHours::get));
        let before = match &self.before {
            Some((range, _)) => sum(drawn, range)?,
            None => 0.0,
        };
        Some(Seen { ago, event: event.collect::<Option<_>>()?, before })
    }
}

fn sum(drawn: &[Option<WattHours>], range: &Range<usize>) -> Option<f64> {
    drawn.get(range.clone())?.iter().map(|r| r.map(WattHours::get)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day of hours with one power before and another from hour 16 on.
    fn day(ago: u32, before: f64, during: f64) -> Day {
        let kw = |at| if at < 16 { before } else { during };
        let drawn = (0..24).map(|at| WattHours::new(kw(at) * 1e3).ok()).collect();
        Day { ago, alike: true, drawn }
    }

    fn history() -> Vec<Day> {
        (1..=12).map(|n| day(n, 10.0, 10.0 + f64::from(n % 5))).collect()
    }

    #[test]
    fn each_rule_averages_its_days_and_is_moved_within_its_limits() {
        let today = day(0, 11.0, 0.0).drawn;
        // The 10 newest days draw 11 12 13 14 10 11 12 13 14 10 kW during the event.
        for (rule, kwh, factor) in [
            (CAISO_10_OF_10, 24.0, 1.1),
            (CAISO_5_OF_10, 2.0 * 13.2, 1.1),
            (NYISO_5_OF_10, 2.0 * 13.2, 1.1),
            (ERCOT_MIDDLE_8_OF_10, 24.0, 1.0),
        ] {
            let found = rule.baseline(&today, &history(), 17..19, 60).unwrap();
            let expected: f64 = kwh * factor;
            assert!((found.factor - factor).abs() < 1e-12);
            assert!((found.estimate.energy.kilowatt_hours() - expected).abs() < 1e-9, "{rule:?}");
            assert_eq!(found.intervals.len(), 2);
        }
        for (kw, factor) in [(20.0, 1.2), (2.0, 0.8), (9.5, 0.95)] {
            let today = day(0, kw, 0.0).drawn;
            let found = CAISO_10_OF_10.baseline(&today, &history(), 17..19, 60).unwrap();
            assert!((found.factor - factor).abs() < 1e-12, "{kw}");
            let wider = CAISO_10_OF_10.capped(Ratio::new(0.5).unwrap());
            let found = wider.baseline(&today, &history(), 17..19, 60).unwrap();
            assert!((found.factor - (kw / 10.0).clamp(0.5, 1.5)).abs() < 1e-12, "{kw}");
        }
    }

    #[test]
    fn parts_of_an_event_add_up_and_what_a_day_is_off_adds_up_within_it() {
        let today = day(0, 10.0, 0.0).drawn;
        let found = CAISO_10_OF_10.baseline(&today, &history(), 17..19, 60).unwrap();
        let (first, second) = (found.over(&[0]).unwrap(), found.over(&[1]).unwrap());
        assert_eq!(found.over(&[0, 1]).unwrap(), found.estimate);
        assert_eq!(first.energy + second.energy, found.estimate.energy);
        // These days draw the same in both hours: both are off alike.
        assert!((first.error.get() * 2.0 - found.estimate.error.get()).abs() < 1e-9);
        assert_eq!(found.over(&[2]), Err(Void::NoSuchTime));
    }

    #[test]
    fn a_difference_is_added_to_each_interval() {
        let by = Some(Adjustment { from_minutes: 240, to_minutes: 60, by: By::Difference });
        let rule = Rule { adjustment: by, ..CAISO_10_OF_10 };
        let found = rule.baseline(&day(0, 11.5, 0.0).drawn, &history(), 17..19, 60).unwrap();
        assert!((found.estimate.energy.kilowatt_hours() - 27.0).abs() < 1e-9);
    }

    #[test]
    fn event_days_holidays_days_with_gaps_and_old_days_do_not_count() {
        let today = day(0, 10.0, 0.0).drawn;
        let mut days = history();
        days[0].alike = false;
        days[2].drawn[17] = None;
        days[3].drawn[3] = None;
        let found = CAISO_10_OF_10.baseline(&today, &days, 17..19, 60).unwrap();
        let mut used = found.days.clone();
        used.sort_unstable();
        assert_eq!(used, [2, 4, 5, 6, 7, 8, 9, 10, 11, 12], "a gap at night does not matter");
        days.iter_mut().for_each(|d| d.ago += 40);
        let few = CAISO_10_OF_10.baseline(&today, &days, 17..19, 60);
        assert_eq!(few, Err(Void::FewDays { found: 3, needed: 5 }));
        let mut gap = today.clone();
        gap[14] = None;
        let gap = CAISO_10_OF_10.baseline(&gap, &history(), 17..19, 60);
        assert_eq!(gap, Err(Void::GapBefore));
        for (event, minutes) in [(2..4, 60), (17..17, 60), (17..19, 0), (17..19, 45)] {
            let odd = CAISO_10_OF_10.baseline(&today, &history(), event, minutes);
            assert_eq!(odd, Err(Void::NoSuchTime));
        }
    }

    #[test]
    fn the_highest_days_say_too_much_and_the_placebo_events_show_it() {
        let today = day(0, 10.0, 0.0).drawn;
        let all = CAISO_10_OF_10.baseline(&today, &history(), 17..19, 60).unwrap();
        let high = CAISO_5_OF_10.baseline(&today, &history(), 17..19, 60).unwrap();
        assert!(all.bias_wh.abs() < 1e-6, "{}", all.bias_wh);
        assert!(high.bias_wh > 1500.0, "{}", high.bias_wh);
    }
}
