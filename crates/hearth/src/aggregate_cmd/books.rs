//! Records of aggregation as CSV, two files a day: each interval, and each home in it; and the signed
//! record of intervals that vouches for their rows. It never changes a row that was written.

use dispatch::aggregate::{Closed, Part};
use ledger::evidence::{self, Label, Log, Quality, Rows, rows_in};
use serde::Serialize;
use std::{
    error::Error,
    fs::{File, OpenOptions, create_dir_all},
    hash::{BuildHasher, Hasher},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};
use units::{NetWattHours, Ratio, Sats, UnixTime, UtcOffset};

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
    /// Makes the folder, for intervals of this length of the homes below `base`; signs what a crash left
    /// before `now`.
    pub fn open(
        folder: &Path,
        base: &str,
        every: Duration,
        sure: Ratio,
        now: UnixTime,
    ) -> Result<Self, Failed> {
        create_dir_all(folder)?;
        let log = Log::open(&folder.join("evidence"), &base.parse()?, &"homes".parse()?)?;
        for entry in folder.read_dir()? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "csv") {
                cut(&path)?;
            }
        }
        let mut books = Self { folder: folder.to_owned(), log, confidence: sure };
        let mut left = rows_in(folder)?.split_off(&books.log.until()).into_iter().peekable();
        while let Some((start, rows)) = left.next() {
            // Intervals may have been shorter before: what follows must find room after them.
            let next = left.peek().map_or(now, |(next, _)| *next);
            let length = every.min(next.since(start)).max(Duration::from_secs(1));
            let why = "the program ended before these rows were signed".parse()?;
            let event = Some(rows.event()?);
            let void = evidence::Interval::void(start, length, why);
            books.log.append(&evidence::Interval { event, ..void })?;
            tracing::warn!(start = start.0, "signed as void: rows that a crash left unsigned");
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
        let rows = self.rows(closed, left)?;
        self.log.append(&self.signed(closed, rows.event()?)?)?;
        Ok(())
    }

    /// The rows of an interval, on the disk and not yet signed.
    fn rows(&self, closed: &Closed, left: Sats) -> Result<Rows, Failed> {
        let (day, mut rows) = (date(closed.start), Rows::default());
        // In the order of their names.
        let homes = closed.records.iter().map(|record| home(closed, record));
        self.add(&format!("homes-{day}.csv"), homes, &mut rows)?;
        let interval = std::iter::once(interval(closed, left));
        self.add(&format!("intervals-{day}.csv"), interval, &mut rows)?;
        Ok(rows)
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
            // Else a power cut could take a file away whose rows are signed.
            File::open(&self.folder)?.sync_all()?;
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
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(4096);
        file.seek(SeekFrom::Start(from))?;
        block.clear();
        (&mut file).take(end - from).read_to_end(&mut block)?;
        end = from;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            end += at as u64 + 1;
            break;
        }
    }
    if end < length {
        file.set_len(end)?;
        file.sync_all()?;
    }
    Ok(())
}

/// `2026-11-28`, in UTC.
fn date(at: UnixTime) -> String {
    UtcOffset::default().date(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dispatch::{
        aggregate::{OfLot, Record},
        baseline::{Delivered, control::Given},
    };
    use ledger::evidence::{Body, Vouched, files_in, verify};

    const EVERY: Duration = Duration::from_secs(300);
    /// Signed before the crash, on the day before the last of these.
    const FIRST: u64 = 1_795_823_400;
    const LEFT: [u64; 2] = [1_795_823_700, 1_795_824_000];

    fn open(folder: &Path, every: Duration, now: u64) -> Books {
        let sure = Ratio::new(0.95).unwrap();
        Books::open(folder, "test/homes", every, sure, UnixTime(now)).unwrap()
    }

    fn closed(start: u64) -> Closed {
        let wh = |wh| NetWattHours::new(wh).unwrap();
        let record = |at: i64| Record {
            home: format!("home-{at}").into(),
            part: if at == 1 { Part::Control } else { Part::Steered },
            metered_wh: Some(100 + at),
            baseline_wh: (at != 1).then_some(150),
            delivered_wh: (at != 1).then_some(50 - at),
            paid: Sats(7),
        };
        let confidence = Ratio::new(0.95).unwrap();
        let given = Given::over(wh(98.0), std::iter::empty(), 1.0);
        Closed {
            start: UnixTime(start),
            length: EVERY,
            wanted: None,
            drawn: wh(303.0),
            asked: wh(100.0),
            delivered: Ok(Delivered {
                energy: wh(98.0),
                low: wh(90.0),
                high: wh(106.0),
                confidence,
            }),
            of_lot: OfLot { drawn: UnixTime(0), given },
            records: (0..3).map(record).collect(),
        }
    }

    /// Start, length and quality of each interval, if records and rows are as signed.
    fn checked(folder: &Path) -> Option<Vec<(u64, u64, Quality)>> {
        let (mut rows, mut seen) = (Vouched::of(folder).ok()?, Vec::new());
        let files = files_in(&folder.join("evidence")).unwrap();
        verify(&files, None, |record| {
            rows.see(record);
            if let Body::Interval(interval) = &record.body {
                seen.push((interval.start.0, interval.seconds.as_secs(), interval.quality));
            }
        })
        .unwrap();
        rows.finish().ok().map(|_| seen)
    }

    fn copy(from: &Path, to: &Path) {
        create_dir_all(to).unwrap();
        for entry in from.read_dir().unwrap() {
            let (path, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
            match path.is_dir() {
                true => copy(&path, &to),
                false => assert!(std::fs::copy(&path, to).is_ok()),
            }
        }
    }

    /// An interval that is signed, and the rows of the next, which a crash kept from being signed: each
    /// file, what was in it before, and what is now.
    fn crashed(folder: &Path, left: u64) -> [(String, Vec<u8>, Vec<u8>); 2] {
        let mut books = open(folder, EVERY, FIRST);
        books.write(&closed(FIRST), Sats(0)).unwrap();
        let names =
            ["homes", "intervals"].map(|kind| format!("{kind}-{}.csv", date(UnixTime(left))));
        let read = |name: &String| std::fs::read(folder.join(name)).unwrap_or_default();
        let before = names.each_ref().map(read);
        books.rows(&closed(left), Sats(0)).unwrap();
        [0, 1].map(|at| (names[at].clone(), before[at].clone(), read(&names[at])))
    }

    #[test]
    fn what_a_crash_at_any_byte_of_the_rows_leaves_is_cut_to_whole_rows_and_signed_as_void() {
        for left in LEFT {
            let folder = tempfile::tempdir().unwrap();
            let files = crashed(folder.path(), left);
            assert_eq!(checked(folder.path()), None, "nobody signed these rows");
            let lengths = |at: usize| files[at].1.len()..=files[at].2.len();
            for (at, length) in [0, 1].iter().flat_map(|at| lengths(*at).map(move |n| (*at, n))) {
                let one = tempfile::tempdir().unwrap();
                copy(folder.path(), one.path());
                let (name, before, after) = &files[at];
                std::fs::write(one.path().join(name), &after[..length]).unwrap();
                if at == 0 {
                    // It is begun only after the homes' file is on the disk.
                    let (name, before, _) = &files[1];
                    match before.is_empty() {
                        true => std::fs::remove_file(one.path().join(name)).unwrap(),
                        false => std::fs::write(one.path().join(name), before).unwrap(),
                    }
                }
                let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
                let whole = lines(&after[..length]) > lines(before).max(1);
                let mut expected = vec![(FIRST, 300, Quality::Metered)];
                if at == 1 || whole {
                    expected.push((left, 300, Quality::Void));
                }
                let mut books = open(one.path(), EVERY, left + 600);
                let here = format!("{length} bytes of {name}");
                assert_eq!(checked(one.path()), Some(expected.clone()), "{here}");
                books.write(&closed(left + 300), Sats(0)).unwrap();
                expected.push((left + 300, 300, Quality::Metered));
                assert_eq!(checked(one.path()), Some(expected), "{here}, and the next interval");
            }
        }
    }

    #[test]
    fn a_byte_changed_in_rows_that_were_signed_as_void_is_found() {
        for left in LEFT {
            let folder = tempfile::tempdir().unwrap();
            let files = crashed(folder.path(), left);
            drop(open(folder.path(), EVERY, left + 600));
            assert!(checked(folder.path()).is_some());
            for (name, before, after) in files {
                let path = folder.path().join(name);
                for at in before.len()..after.len() {
                    let mut changed = after.clone();
                    changed[at] ^= 1;
                    std::fs::write(&path, &changed).unwrap();
                    assert_eq!(checked(folder.path()), None, "byte {at} of {path:?}");
                }
                std::fs::write(&path, after).unwrap();
            }
            assert!(checked(folder.path()).is_some());
        }
    }

    #[test]
    fn intervals_that_have_become_longer_leave_room_for_what_follows_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        crashed(folder.path(), LEFT[0]);
        // Neither is signed, as where a backup brought back older evidence beside newer rows.
        let elsewhere = tempfile::tempdir().unwrap();
        let other = open(elsewhere.path(), EVERY, FIRST);
        let other = Books { folder: folder.path().to_owned(), ..other };
        other.rows(&closed(LEFT[1]), Sats(0)).unwrap();
        let hour = Duration::from_secs(3600);
        let mut books = open(folder.path(), hour, LEFT[1] + 310);
        let mut expected = vec![
            (FIRST, 300, Quality::Metered),
            (LEFT[0], 300, Quality::Void),
            (LEFT[1], 310, Quality::Void),
        ];
        assert_eq!(checked(folder.path()), Some(expected.clone()));
        let next = closed(LEFT[1] + 600);
        books.write(&next, Sats(0)).unwrap();
        expected.push((LEFT[1] + 600, 300, Quality::Metered));
        assert_eq!(checked(folder.path()), Some(expected));
    }

    #[test]
    fn a_tail_without_any_end_of_line_is_cut_off_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        for (kept, tail) in [(0, 10_000), (14, 0), (14, 1), (14, 4095), (14, 4096), (14, 9000)] {
            let text = [&b"start\n1\n23456\n"[..kept], &vec![0; tail]].concat();
            std::fs::write(&path, text).unwrap();
            cut(&path).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().len(), kept as u64, "{kept} and {tail}");
        }
    }

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
