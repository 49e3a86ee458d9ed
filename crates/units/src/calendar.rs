//! Days of the civil calendar, and clocks that are ahead of UTC. It knows no daylight saving.

use crate::{UnitError, UnixTime};
use std::{fmt, str::FromStr};

const SECONDS: i64 = 86_400;

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// Of the common era.
    pub year: i64,
    /// From 1 for January.
    pub month: u8,
    /// From 1.
    pub day: u8,
}

impl Date {
    /// The day so many days after 1970-01-01. Days to civil date after Howard Hinnant ("chrono-compatible
    /// low-level date algorithms"): a year begins in March, so that leap days come last.
    pub fn of_day(days: i64) -> Self {
        let days = days + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        Self { year, month: month as u8, day: day as u8 }
    }

    /// Days since 1970-01-01.
    pub fn days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = if month <= 2 { self.year - 1 } else { self.year };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// Whether it is a Saturday or a Sunday.
    pub fn is_weekend(self) -> bool {
        // 1970 began on a Thursday.
        (self.days() + 3).rem_euclid(7) >= 5
    }
}

impl fmt::Display for Date {
    /// `2026-12-25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = UnitError;

    /// Reads `2026-12-25`, and no day that is in no calendar.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let read = || {
            let mut parts = text.split('-');
            let mut number = |digits: usize| {
                let part = parts.next()?;
                let plain = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
                plain.then(|| part.parse::<u16>().ok()).flatten()
            };
            let (year, month, day) = (number(4)?, number(2)?, number(2)?);
            let date = Self { year: year.into(), month: month as u8, day: day as u8 };
            let whole = parts.next().is_none() && (1..=12).contains(&month) && day > 0;
            (whole && Self::of_day(date.days()) == date).then_some(date)
        };
        read().ok_or_else(|| UnitError::unreadable("date", text, "2026-12-25"))
    }
}

/// By how many seconds a clock is ahead of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UtcOffset(pub i64);

impl UtcOffset {
    /// The day by this clock, counted from 1970-01-01.
    pub fn day(self, at: UnixTime) -> i64 {
        (at.0 as i64).saturating_add(self.0).div_euclid(SECONDS)
    }

    /// The date by this clock.
    pub fn date(self, at: UnixTime) -> Date {
        Date::of_day(self.day(at))
    }

    /// Seconds since this clock's midnight.
    pub fn second_of_day(self, at: UnixTime) -> u64 {
        (at.0 as i64).saturating_add(self.0).rem_euclid(SECONDS) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_days_since_1970_and_no_others_are_read() {
        for (text, days) in [
            ("1970-01-01", Some(0)),
            ("2000-02-29", Some(11_016)),
            ("2026-11-02", Some(20_759)),
            ("2026-02-29", None),
            ("2026-13-01", None),
            ("2026-00-01", None),
            ("2026-04-31", None),
            ("2026-04-00", None),
            ("2026-1-1", None),
            ("2026-01-01-01", None),
            ("+026-01-01", None),
        ] {
            let date = text.parse::<Date>().ok();
            assert_eq!(date.map(Date::days), days, "{text}");
            assert!(date.is_none_or(|date| date.to_string() == text), "{text}");
        }
    }

    #[test]
    fn a_clock_has_its_own_midnight_and_weekend() {
        // Friday, 2027-01-15 08:00 UTC.
        let at = UnixTime(1_800_000_000);
        let clock = |hours: i64| UtcOffset(hours * 3600);
        let seen = |clock: UtcOffset| (clock.date(at).to_string(), clock.second_of_day(at) / 3600);
        assert_eq!(seen(clock(0)), ("2027-01-15".into(), 8));
        assert_eq!(seen(clock(-9)), ("2027-01-14".into(), 23));
        assert!(!clock(14).date(at).is_weekend());
        assert!(clock(0).date(UnixTime(at.0 + 86_400)).is_weekend());
        assert_eq!(clock(-1).day(UnixTime(0)), -1);
    }

    proptest! {
        #[test]
        fn any_day_has_one_date(days in -1_000_000i64..3_000_000) {
            let date = Date::of_day(days);
            prop_assert_eq!(date.days(), days);
            prop_assert!(Date::of_day(days - 1) < date);
        }
    }
}
