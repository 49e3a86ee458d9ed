//! Records of aggregation as CSV, two files a day: each interval, and each home in it; and the signed
//! record of intervals that vouches for their rows. It never changes a row that was written.

use dispatch::aggregate::{Closed, Part};
use ledger::evidence::{self, Label, Log, Quality, Rows, rows_in};
use serde::Serialize;
use std::{
    error::Error,
    fs::{OpenOptions, create_dir_all},
    hash::{BuildHasher, Hasher},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};
use units::{NetWattHours, Ratio, Sats, UnixTime};

type Failed = Box<dyn Error + Send + Sync>;

/// A folder of records.
pub struct Books {
    folder: PathBuf,
    log: Log,
    confidence: Ratio,
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
    lot_unix: u64,
    lot_delivered_wh: f64,
    lot_error_wh: f64,
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
    /// Makes the folder, for intervals of this length of the homes below `base`; signs what a crash left.
    pub fn open(folder: &Path, base: &str, every: Duration, sure: Ratio) -> Result<Self, Failed> {
        create_dir_all(folder)?;
        let log = Log::open(&folder.join("evidence"), &base.parse()?, &"homes".parse()?)?;
        for entry in folder.read_dir()? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "csv") {
                cut(&path)?;
            }
        }
        let mut books = Self { folder: folder.to_owned(), log, confidence: sure };
        for (start, rows) in rows_in(folder)?.split_off(&books.log.until()) {
            let why = "the program ended before these rows were signed".parse()?;
            let event = Some(rows.event()?);
            let void = evidence::Interval::void(start, every, why);
            books.log.append(&evidence::Interval { event, ..void })?;
        }
        Ok(books)
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

    /// Writes an interval and all homes in it, then signs that; `left` of the payment was earned by nobody.
    pub fn write(&mut self, closed: &Closed, left: Sats) -> Result<(), Failed> {
        if closed.start < self.log.until() {
            tracing::warn!(start = closed.start.0, "not recorded: the clock was set back");
            return Ok(());
        }
        let (day, mut rows) = (date(closed.start), Rows::default());
        // In the order of their names.
        let homes = closed.records.iter().map(|record| home(closed, record));
        self.add(&format!("homes-{day}.csv"), homes, &mut rows)?;
        let interval = std::iter::once(interval(closed, left));
        self.add(&format!("intervals-{day}.csv"), interval, &mut rows)?;
        self.log.append(&self.signed(closed, rows.event()?)?)?;
        Ok(())
    }

    /// Adds rows to a file, on the disk when this returns; a new one begins with a header.
    fn add<T: Serialize>(
        &self,
        name: &str,
        rows: impl Iterator<Item = T>,
        to: &mut Rows,
    ) -> Result<(), Failed> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows {
            writer.serialize(row)?;
        }
        let text = writer.into_inner()?;
        let Some(end) = text.iter().position(|byte| *byte == b'\n') else { return Ok(()) };
        let (header, rows) = text.split_at(end + 1);
        let path = self.folder.join(name);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        if file.metadata()?.len() == 0 {
            file.write_all(header)?;
        } else {
            let mut before = vec![0; header.len()];
            let read = file.read_exact(&mut before);
            if read.is_err() || before != header {
                let name = path.display();
                return Err(format!("{name} was begun with other columns: move it away").into());
            }
        }
        file.write_all(rows)?;
        file.sync_data()?;
        to.add(header, rows);
        Ok(())
    }

    /// What is signed: the energy of those steered. Their baseline is in the rows.
    fn signed(&self, closed: &Closed, event: Label) -> Result<evidence::Interval, Failed> {
        let void = |why| evidence::Interval {
            event: Some(event),
            ..evidence::Interval::void(closed.start, closed.length, why)
        };
        let Ok(delivered) = &closed.delivered else {
            let why = match closed.records.is_empty() {
                true => "nothing was wanted of the homes",
                false => "too few homes were left alone to compare with",
            };
            return Ok(void(why.parse()?));
        };
        let steered = closed.records.iter().filter(|record| record.part == Part::Steered);
        let metered = NetWattHours::new(steered.filter_map(|r| r.metered_wh).sum::<i64>() as f64)?;
        Ok(evidence::Interval {
            quality: Quality::Metered,
            why: None,
            imported: Some(metered.above_zero()),
            exported: Some((NetWattHours::ZERO - metered).above_zero()),
            delivered: Some(evidence::Delivered {
                energy: delivered.energy,
                low: delivered.low,
                high: delivered.high,
                confidence: self.confidence,
            }),
            ..void("metered".parse()?)
        })
    }
}

fn interval(closed: &Closed, left: Sats) -> Interval {
    let delivered = closed.delivered.as_ref();
    let count = |part| closed.records.iter().filter(|record| record.part == part).count();
    let given = closed.of_lot.given;
    Interval {
        start_unix: closed.start.0,
        length_s: closed.length.as_secs(),
        wanted_wh: closed.wanted.map(NetWattHours::get),
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
        lot_unix: closed.of_lot.drawn.0,
        lot_delivered_wh: given.energy.get(),
        lot_error_wh: given.error().get(),
    }
}

fn home<'a>(closed: &Closed, record: &'a dispatch::aggregate::Record) -> Home<'a> {
    Home {
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
    }
}

/// Cuts off a line that a crash left without its end: nobody signed it.
fn cut(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    // Longer than any row.
    let from = length.saturating_sub(4096);
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.read_to_end(&mut end)?;
    let whole = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1);
    if from + whole < length { file.set_len(from + whole) } else { Ok(()) }
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
