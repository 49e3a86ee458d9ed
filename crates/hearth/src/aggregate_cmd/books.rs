//! Records of aggregation as CSV, two files a day: each interval, and each home in it. It never
//! changes a row that was written.

use dispatch::aggregate::{Closed, Part};
use serde::Serialize;
use std::{
    fs::{File, OpenOptions, create_dir_all},
    hash::{BuildHasher, Hasher},
    io,
    path::{Path, PathBuf},
};
use units::{Sats, UnixTime};

/// A folder of records.
pub struct Books {
    folder: PathBuf,
}

#[derive(Serialize)]
struct Interval {
    start_unix: u64,
    length_s: u64,
    wanted_wh: Option<f64>,
    drawn_wh: f64,
    asked_wh: f64,
    delivered_wh: Option<i64>,
    least_wh: Option<f64>,
    most_wh: Option<f64>,
    void: Option<String>,
    steered: usize,
    control: usize,
    paid_sats: u64,
    left_sats: u64,
}

#[derive(Serialize)]
struct Home<'a> {
    start_unix: u64,
    home: &'a str,
    part: &'static str,
    metered_wh: Option<i64>,
    baseline_wh: Option<i64>,
    delivered_wh: Option<i64>,
    paid_sats: u64,
}

impl Books {
    /// Makes the folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The lot's secret: made up once and kept, so that a restart draws the same homes.
    pub fn seed(&self) -> io::Result<u64> {
        let path = self.folder.join("lot.seed");
        match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| {
                io::Error::other(format!("{} holds no number: remove it", path.display()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Its keys come from the system's random numbers.
                let seed = std::hash::RandomState::new().build_hasher().finish();
                std::fs::write(&path, format!("{seed}\n"))?;
                Ok(seed)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes an interval and all homes in it; `left` of the payment was earned by nobody.
    pub fn write(&self, closed: &Closed, left: Sats) -> io::Result<()> {
        let day = date(closed.start);
        let delivered = closed.delivered.as_ref();
        let count = |part| closed.records.iter().filter(|record| record.part == part).count();
        let mut intervals = self.file(&format!("intervals-{day}.csv"))?;
        intervals.serialize(Interval {
            start_unix: closed.start.0,
            length_s: closed.length.as_secs(),
            wanted_wh: closed.wanted.map(units::NetWattHours::get),
            drawn_wh: closed.drawn.get(),
            asked_wh: closed.asked.get(),
            delivered_wh: delivered.ok().map(|d| d.energy.get().round() as i64),
            least_wh: delivered.ok().map(|d| d.low.get()),
            most_wh: delivered.ok().map(|d| d.high.get()),
            void: delivered.err().map(ToString::to_string),
            steered: count(Part::Steered),
            control: count(Part::Control),
            paid_sats: closed.records.iter().map(|record| record.paid.0).sum(),
            left_sats: left.0,
        })?;
        intervals.flush()?;
        let mut homes = self.file(&format!("homes-{day}.csv"))?;
        for record in &closed.records {
            homes.serialize(Home {
                start_unix: closed.start.0,
                home: &record.home,
                part: match record.part {
                    Part::Steered => "steered",
                    Part::Control => "control",
                    Part::Resting => "resting",
                    Part::OptedOut => "opted_out",
                    Part::Void => "void",
                },
                metered_wh: record.metered_wh,
                baseline_wh: record.baseline_wh,
                delivered_wh: record.delivered_wh,
                paid_sats: record.paid.0,
            })?;
        }
        homes.flush()
    }

    fn file(&self, name: &str) -> io::Result<csv::Writer<File>> {
        let file = OpenOptions::new().append(true).create(true).open(self.folder.join(name))?;
        let empty = file.metadata()?.len() == 0;
        Ok(csv::WriterBuilder::new().has_headers(empty).from_writer(file))
    }
}

/// `2026-11-28`, in UTC: days to civil date after Hinnant.
fn date(at: UnixTime) -> String {
    let days = at.0 / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    format!("{}-{month:02}-{day:02}", year + era * 400 + u64::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        for (unix, expected) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_795_824_000, "2026-11-28"),
            (1_798_761_599, "2026-12-31"),
        ] {
            assert_eq!(date(UnixTime(unix)), expected);
        }
    }
}
