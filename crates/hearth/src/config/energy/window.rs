//! Hours of days that tariffs and contracts name, in the site's own time. It keeps no daylight saving: the
//! offset is what the owner wrote.

use crate::config::section::{Fault, Read, Section};
use std::time::Duration;
use toml::de::DeValue;
use units::UnixTime;

const DAY: u64 = 86_400;

/// A site's time: so many seconds ahead of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offset(pub i64);

impl Offset {
    /// Seconds since the local 1970 began.
    pub fn local(self, at: UnixTime) -> u64 {
        at.0.saturating_add_signed(self.0)
    }

    /// 0 for Monday.
    fn weekday(self, at: UnixTime) -> u64 {
        // 1970 began on a Thursday.
        (self.local(at) / DAY + 3) % 7
    }

    /// Months since the year zero: another number means another month.
    pub fn month(self, at: UnixTime) -> u64 {
        // Days from a first of March on, in eras of 400 years (Hinnant, "chrono-compatible low-level date
        // algorithms").
        let days = self.local(at) / DAY + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let of_year = day - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        12 * (400 * era + year) + from_march + 2
    }

    /// 1 for January.
    fn month_of_year(self, at: UnixTime) -> u64 {
        self.month(at) % 12 + 1
    }
}

/// Which days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Days {
    #[default]
    All,
    Weekdays,
    Weekends,
}

/// Hours of some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Minutes of the day; from the greater to the smaller is over midnight.
    hours: (u64, u64),
    days: Days,
    /// 1 for January; empty for all.
    months: Vec<u64>,
}

impl Default for Window {
    /// Always.
    fn default() -> Self {
        Self { hours: (0, DAY / 60), days: Days::All, months: Vec::new() }
    }
}

impl Window {
    /// Hours of a day on which it applies.
    pub fn hours_a_day(&self) -> f64 {
        let (from, to) = self.hours;
        let minutes = if from > to { to + DAY / 60 - from } else { to - from };
        minutes as f64 / 60.0
    }

    /// Whether this moment lies in it.
    pub fn holds(&self, at: UnixTime, offset: Offset) -> bool {
        let minute = offset.local(at) % DAY / 60;
        let (from, to) = self.hours;
        let over_midnight = from > to;
        let within = match over_midnight {
            true => minute >= from || minute < to,
            false => (from..to).contains(&minute),
        };
        // What began before midnight belongs to the day before.
        let began = match over_midnight && minute < to {
            true => UnixTime(at.0.saturating_sub(DAY)),
            false => at,
        };
        let day = match self.days {
            Days::All => true,
            Days::Weekdays => offset.weekday(began) < 5,
            Days::Weekends => offset.weekday(began) >= 5,
        };
        within
            && day
            && (self.months.is_empty() || self.months.contains(&offset.month_of_year(began)))
    }
}

/// Keys `hours`, `days` and `months`.
pub(super) fn read(section: &mut Section<'_, '_>) -> Window {
    let all = Window::default();
    let hours = section.or("hours", all.hours, |value| {
        value.as_str().and_then(hours).ok_or_else(|| {
            Fault::MustBe("hours of the day in quotes, such as \"17:00-21:00\"".into())
        })
    });
    let days = section.or("days", all.days, |value| match value.as_str() {
        Some("all") => Ok(Days::All),
        Some("weekdays") => Ok(Days::Weekdays),
        Some("weekends") => Ok(Days::Weekends),
        _ => Err(Fault::MustBe("\"all\", \"weekdays\" or \"weekends\"".into())),
    });
    Window { hours, days, months: section.or("months", all.months, months) }
}

/// Hours from -14 to 14, as of `utc_offset_h`.
pub(super) fn offset(section: &mut Section<'_, '_>) -> Offset {
    let hours = section.or("utc_offset_h", 0.0, crate::config::value::number(-14.0, 14.0));
    Offset((hours * 3600.0).round() as i64)
}

fn hours(text: &str) -> Option<(u64, u64)> {
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute): (u64, u64) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60 && 60 * hour + minute <= DAY / 60).then_some(60 * hour + minute)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from != to && Duration::from_secs(60 * from) < Duration::from_secs(DAY)).then_some((from, to))
}

fn months(value: &DeValue) -> Read<Vec<u64>> {
    let wanted = || Fault::MustBe("a list of months from 1 to 12, such as [6, 7, 8, 9]".into());
    let DeValue::Array(all) = value else { return Err(wanted()) };
    let month = crate::config::value::count(1u64, 12);
    all.iter().map(|one| month(one.as_ref()).map_err(|_| wanted())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Friday, 2027-01-15 08:00 UTC.
    const FRIDAY: u64 = 1_800_000_000;

    #[test]
    fn hours_are_the_sites_own_and_a_night_belongs_to_the_evening_it_began() {
        let night = |days| Window { hours: (22 * 60, 6 * 60), days, months: Vec::new() };
        let at = |hours: u64| UnixTime(FRIDAY + 3600 * hours);
        let berlin = Offset(3600);
        for (hours, days, expected) in [
            (12, Days::All, false),     // 21:00 on Friday
            (13, Days::All, true),      // 22:00
            (13, Days::Weekdays, true), //
            (20, Days::Weekdays, true), // 05:00 on Saturday, of Friday's night
            (21, Days::All, false),     // 06:00
            (37, Days::Weekdays, false),
            (37, Days::Weekends, true), // 22:00 on Saturday
        ] {
            assert_eq!(night(days).holds(at(hours), berlin), expected, "{hours} {days:?}");
        }
        assert!(Window::default().holds(at(0), berlin));
        let summer = Window { months: vec![6, 7], ..Window::default() };
        assert!(!summer.holds(at(0), berlin));
        assert!(summer.holds(UnixTime(1_814_400_000), berlin), "2027-07-01");
    }

    #[test]
    fn a_month_ends_with_its_last_second_of_the_sites_own_time() {
        // 2028-02-29 23:59:59 UTC is still February there, and March an hour to the east.
        let last = UnixTime(1_835_481_599);
        let utc = Offset(0);
        assert_eq!(utc.month_of_year(last), 2);
        assert_eq!(Offset(3600).month_of_year(last), 3);
        assert_eq!(utc.month(UnixTime(last.0 + 1)), utc.month(last) + 1);
        assert_eq!(utc.month_of_year(UnixTime(0)), 1);
        assert_eq!(utc.month(UnixTime(0)), 12 * 1970);
    }

    #[test]
    fn hours_are_written_as_people_write_them() {
        for (text, read) in [
            ("17:00-21:00", Some((1020, 1260))),
            ("0:00 - 24:00", Some((0, 1440))),
            ("22:30-6:00", Some((1350, 360))),
            ("17-21", None),
            ("24:00-6:00", None),
            ("5:00-5:00", None),
            ("5:60-6:00", None),
            ("5:00-25:00", None),
        ] {
            assert_eq!(hours(text), read, "{text}");
        }
    }
}
