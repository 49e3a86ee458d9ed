//! The days of a market: which are alike, and what was metered in each. It never asks a clock.

use super::{
    Void,
    like_days::{Day, LikeDays, Rule},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use units::{Date, UnixTime, UtcOffset, WattHours};

const DAY: i64 = 86_400;
/// An event is looked at no further than this beyond the midnight before it.
const LONGEST: i64 = 2 * DAY;

/// By which clock a market's days begin, and which of them are days off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar {
    /// Its clock.
    pub clock: UtcOffset,
    /// Days off beside Saturdays and Sundays.
    pub holidays: BTreeSet<Date>,
}

impl Calendar {
    /// The day of this time, counted from 1970.
    pub fn day(&self, at: UnixTime) -> i64 {
        self.clock.day(at)
    }

    /// Whether it is from Monday to Friday and no holiday. Other days are like each other.
    pub fn works(&self, day: i64) -> bool {
        let date = Date::of_day(day);
        !date.is_weekend() && !self.holidays.contains(&date)
    }
}

/// What was metered, by intervals of one length that begin at its multiples.
#[derive(Debug, Clone)]
pub struct Metered {
    interval: Duration,
    /// By beginning; without an energy where an event ran. What is not here was not metered.
    seen: BTreeMap<u64, Option<WattHours>>,
}

impl Metered {
    /// Of whole seconds.
    pub fn new(interval: Duration) -> Self {
        Self { interval, seen: BTreeMap::new() }
    }

    /// Takes what was drawn in an interval, `None` where the meter has a gap, and whether an event ran.
    pub fn add(&mut self, start: UnixTime, drawn: Option<WattHours>, event: bool) {
        if event {
            self.seen.insert(start.0, None);
        } else if drawn.is_some() {
            self.seen.insert(start.0, drawn);
        }
    }

    /// Forgets what lies before this time.
    pub fn forget(&mut self, before: UnixTime) {
        self.seen = self.seen.split_off(&before.0);
    }

    /// The baseline of an event by a rule. Hours in which another event ran count as not metered, and a day
    /// with an event is like none.
    ///
    /// # Errors
    /// As [`Rule::baseline`]; an event that ends before it begins is none.
    pub fn baseline(
        &self,
        rule: &Rule,
        calendar: &Calendar,
        (starts, ends): (UnixTime, UnixTime),
    ) -> Result<LikeDays, Void> {
        let interval = self.interval.as_secs() as i64;
        let minutes = u32::try_from(interval / 60).unwrap_or(0);
        if interval % 60 != 0 || minutes == 0 {
            return Err(Void::NoSuchTime);
        }
        // A day begins before its midnight, so that the time that adjusts an early event lies in it.
        let lead = rule.adjustment.map_or(0, |adjustment| i64::from(adjustment.from_minutes) * 60);
        let begins = |day: i64| day * DAY - calendar.clock.0 - lead;
        let today = calendar.day(starts);
        let after = |at: UnixTime| (at.0 as i64 - begins(today)).clamp(0, lead + LONGEST) as u64;
        let event = (after(starts) / interval as u64) as usize
            ..after(ends).div_ceil(interval as u64) as usize;
        let drawn = |day: i64, count: usize| -> Vec<Option<WattHours>> {
            let at = |n: usize| u64::try_from(begins(day) + n as i64 * interval).ok();
            (0..count).map(|n| at(n).and_then(|at| *self.seen.get(&at)?)).collect()
        };
        let called: BTreeSet<i64> = self
            .seen
            .iter()
            .filter(|(_, drawn)| drawn.is_none())
            .map(|(at, _)| calendar.day(UnixTime(*at)))
            .collect();
        let history: Vec<Day> = (1..=rule.reach)
            .map(|ago| {
                let day = today - i64::from(ago);
                let alike = calendar.works(day) == calendar.works(today) && !called.contains(&day);
                Day { ago, alike, drawn: drawn(day, event.end) }
            })
            .collect();
        rule.baseline(&drawn(today, event.start), &history, event, minutes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::like_days::{CAISO_10_OF_10, ERCOT_MIDDLE_8_OF_10};

    const HOUR: Duration = Duration::from_secs(3600);
    /// Monday, 2 November 2026.
    const MONDAY: i64 = 20_759;
    /// Five hours behind UTC.
    const BEHIND: UtcOffset = UtcOffset(-5 * 3600);

    fn at(day: i64, hour: i64) -> UnixTime {
        UnixTime((day * DAY + hour * 3600) as u64)
    }

    /// Hours of days before `MONDAY`, by a clock five hours behind UTC; working days draw 10 kW, others 4.
    fn metered(calendar: &Calendar) -> Metered {
        let mut metered = Metered::new(HOUR);
        for hour in -60 * 24..48 {
            let start = at(MONDAY, hour + 5);
            let kilowatts = if calendar.works(calendar.day(start)) { 10.0 } else { 4.0 };
            metered.add(start, WattHours::new(kilowatts * 1e3).ok(), false);
        }
        metered
    }

    #[test]
    fn a_holiday_is_a_day_off_like_saturdays_and_sundays() {
        let calendar =
            Calendar { holidays: [Date::of_day(MONDAY + 1)].into(), ..Calendar::default() };
        let works: Vec<bool> = (0..7).map(|n| calendar.works(MONDAY + n)).collect();
        assert_eq!(works, [true, false, true, true, true, false, false]);
    }

    #[test]
    fn days_begin_by_the_markets_clock() {
        let behind = Calendar { clock: BEHIND, ..Calendar::default() };
        assert_eq!(behind.day(at(MONDAY, 4)), MONDAY - 1);
        assert_eq!(behind.day(at(MONDAY, 5)), MONDAY);
        assert_eq!(Calendar::default().day(UnixTime(0)), 0);
    }

    #[test]
    fn working_days_are_compared_with_working_days_and_days_off_with_days_off() {
        let calendar = Calendar { clock: BEHIND, holidays: [Date::of_day(MONDAY - 3)].into() };
        let metered = metered(&calendar);
        let baseline = |day: i64| {
            let event = (at(day, 5 + 17), at(day, 5 + 19));
            metered.baseline(&CAISO_10_OF_10, &calendar, event).unwrap()
        };
        let monday = baseline(MONDAY);
        assert_eq!(monday.estimate.energy.kilowatt_hours(), 20.0);
        // Friday is a holiday.
        assert_eq!(monday.days, [4, 5, 6, 7, 10, 11, 12, 13, 14, 17]);
        let sunday = baseline(MONDAY - 1);
        assert_eq!(sunday.estimate.energy.kilowatt_hours(), 8.0);
        assert_eq!(sunday.days[..4], [1, 2, 7, 8]);
    }

    #[test]
    fn a_day_with_an_event_is_like_none() {
        let calendar = Calendar::default();
        let mut metered = metered(&calendar);
        metered.add(at(MONDAY - 4, 3), None, true);
        let event = (at(MONDAY, 17), at(MONDAY, 19));
        let found = metered.baseline(&CAISO_10_OF_10, &calendar, event).unwrap();
        assert_eq!(found.days[..3], [3, 5, 6]);
    }

    #[test]
    fn an_event_after_midnight_is_adjusted_by_the_evening_before() {
        let calendar = Calendar::default();
        let mut metered = metered(&calendar);
        let event = (at(MONDAY, 1), at(MONDAY, 3));
        for hour in 21..24 {
            metered.add(at(MONDAY - 1, hour), WattHours::new(11e3).ok(), false);
        }
        // Sunday evening draws 11 kW; evenings before working days 10, or 4 where they are Sunday's.
        let found = metered.baseline(&CAISO_10_OF_10, &calendar, event).unwrap();
        assert_eq!((found.intervals.len(), found.factor), (2, 1.2));
        // Another event then, and there is nothing to adjust by.
        metered.add(at(MONDAY - 1, 22), None, true);
        let called = metered.baseline(&CAISO_10_OF_10, &calendar, event);
        assert_eq!(called, Err(Void::GapBefore));
        assert!(metered.baseline(&ERCOT_MIDDLE_8_OF_10, &calendar, event).is_ok());
    }

    #[test]
    fn what_was_not_metered_is_a_gap_and_what_is_forgotten_does_not_count() {
        let calendar = Calendar::default();
        let mut metered = metered(&calendar);
        let event = (at(MONDAY, 17), at(MONDAY, 19));
        metered.forget(at(MONDAY - 4, 0));
        let few = metered.baseline(&CAISO_10_OF_10, &calendar, event);
        assert_eq!(few, Err(Void::FewDays { found: 2, needed: 5 }));
        let backwards = (at(MONDAY, 19), at(MONDAY, 17));
        assert_eq!(metered.baseline(&CAISO_10_OF_10, &calendar, backwards), Err(Void::NoSuchTime));
        let none =
            Metered::new(Duration::from_secs(90)).baseline(&CAISO_10_OF_10, &calendar, event);
        assert_eq!(none, Err(Void::NoSuchTime));
    }
}
