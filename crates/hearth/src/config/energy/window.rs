//! Hours of days that tariffs and contracts name, in the site's own time. It keeps no daylight saving: the
//! offset is what the owner wrote.

use crate::config::section::{Fault, Read, Section};
use toml::de::DeValue;
use units::{UnixTime, UtcOffset};

const DAY: u64 = 86_400;
const MINUTES: u64 = DAY / 60;

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
    months: Vec<u8>,
}

impl Default for Window {
    /// Always.
    fn default() -> Self {
        Self { hours: (0, MINUTES), days: Days::All, months: Vec::new() }
    }
}

impl Window {
    /// Hours of a day on which it applies.
    pub fn hours_a_day(&self) -> f64 {
        let (from, to) = self.hours;
        let minutes = if from > to { to + MINUTES - from } else { to - from };
        minutes as f64 / 60.0
    }

    /// Whether this moment lies in it.
    pub fn holds(&self, at: UnixTime, offset: UtcOffset) -> bool {
        let minute = offset.second_of_day(at) / 60;
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
        let date = offset.date(began);
        let day = match self.days {
            Days::All => true,
            Days::Weekdays => !date.is_weekend(),
            Days::Weekends => date.is_weekend(),
        };
        within && day && (self.months.is_empty() || self.months.contains(&date.month))
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
pub(super) fn offset(section: &mut Section<'_, '_>) -> UtcOffset {
    let hours = section.or("utc_offset_h", 0.0, crate::config::value::number(-14.0, 14.0));
    UtcOffset((hours * 3600.0).round() as i64)
}

fn hours(text: &str) -> Option<(u64, u64)> {
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute): (u64, u64) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60 && 60 * hour + minute <= MINUTES).then_some(60 * hour + minute)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from != to && from < MINUTES).then_some((from, to))
}

fn months(value: &DeValue) -> Read<Vec<u8>> {
    let wanted = || Fault::MustBe("a list of months from 1 to 12, such as [6, 7, 8, 9]".into());
    let DeValue::Array(all) = value else { return Err(wanted()) };
    let month = crate::config::value::count(1u8, 12);
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
        let berlin = UtcOffset(3600);
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
