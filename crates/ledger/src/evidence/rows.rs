//! Rows in CSV files that a chain of intervals vouches for: the hash of an interval's rows is in its
//! record. It never looks into a row but for the second at which its interval begins.
//!
//! A file is a header and rows, each ended by one line feed, that begin with that second and a comma, in
//! its order. An interval's hash is SHA-256 over, for each file that has rows of it in the order of the
//! files' names: the header, and those rows.

use super::record::{Body, Hash, Label, Record};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};
use units::UnixTime;

/// An event of an interval that has rows begins with this.
const EVENT: &str = "rows sha256:";

/// The rows of one interval so far, of the files in the order of their names.
#[derive(Clone, Default)]
pub struct Rows(Sha256);

impl Rows {
    /// Adds a file's header, with its line feed, and its rows of this interval.
    pub fn add(&mut self, header: &[u8], rows: &[u8]) {
        self.0.update(header);
        self.0.update(rows);
    }

    /// What [`super::Interval::event`] says of them.
    pub fn event(self) -> Result<Label, super::LabelError> {
        format!("{EVENT}{}", Hash(self.0.finalize().into())).parse()
    }
}

/// Why rows are not what was signed.
#[derive(Debug)]
pub enum BadRows {
    /// A file cannot be read.
    Io(PathBuf, io::Error),
    /// A line of a file is no row in its order.
    Line(PathBuf, u64),
    /// Rows of the interval that begins then are not what was signed, or are missing.
    Changed(UnixTime),
    /// There are rows of an interval that nobody signed.
    Unsigned(UnixTime),
}

/// All rows in a folder's CSV files, by the beginning of their interval.
pub fn rows_in(folder: &Path) -> Result<BTreeMap<UnixTime, Rows>, BadRows> {
    let failed = |error| BadRows::Io(folder.to_owned(), error);
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            files.push(path);
        }
    }
    files.sort();
    let mut all = BTreeMap::new();
    for path in files {
        read(&path, &mut all)?;
    }
    Ok(all)
}

fn read(path: &Path, all: &mut BTreeMap<UnixTime, Rows>) -> Result<(), BadRows> {
    let failed = |error| BadRows::Io(path.to_owned(), error);
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
    let (mut header, mut line) = (Vec::new(), Vec::new());
    file.read_until(b'\n', &mut header).map_err(failed)?;
    let (mut last, mut number) = (None, 1);
    while file.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        number += 1;
        let bad = || BadRows::Line(path.to_owned(), number);
        let start = start(&line).filter(|start| last <= Some(*start)).ok_or_else(bad)?;
        let rows = all.entry(start).or_default();
        rows.add(if last == Some(start) { &[] } else { &header }, &line);
        last = Some(start);
        line.clear();
    }
    Ok(())
}

/// Of a whole line: its first field, spelled as a number is.
fn start(line: &[u8]) -> Option<UnixTime> {
    let text = line.strip_suffix(b"\n")?.split(|byte| *byte == b',').next()?;
    let start: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (start.to_string().as_bytes() == text).then_some(UnixTime(start))
}

/// Compares rows with the records that vouch for them, as those are shown.
pub struct Vouched {
    found: BTreeMap<UnixTime, Rows>,
    bad: Option<BadRows>,
    intervals: u64,
    /// Earlier rows are vouched for by records that are not here.
    from: Option<UnixTime>,
}

impl Vouched {
    /// Of the files in this folder.
    pub fn of(folder: &Path) -> Result<Self, BadRows> {
        Ok(Self { found: rows_in(folder)?, bad: None, intervals: 0, from: None })
    }

    /// Takes an accepted record.
    pub fn see(&mut self, record: &Record) {
        let Body::Interval(interval) = &record.body else { return };
        let first = if record.seq <= 1 { UnixTime(0) } else { interval.start };
        self.from.get_or_insert(first);
        let Some(event) = interval.event.as_ref().filter(|event| vouches(event)) else { return };
        let found = self.found.remove(&interval.start).and_then(|rows| rows.event().ok());
        if found.as_ref() == Some(event) {
            self.intervals += 1;
        } else {
            self.bad.get_or_insert(BadRows::Changed(interval.start));
        }
    }

    /// How many intervals' rows are as signed, once all records were seen.
    ///
    /// # Errors
    /// The first rows that are not, or that nobody signed.
    pub fn finish(self) -> Result<u64, BadRows> {
        if let Some(bad) = self.bad {
            return Err(bad);
        }
        let from = self.from.unwrap_or_default();
        match self.found.range(from..).next() {
            Some((start, _)) => Err(BadRows::Unsigned(*start)),
            None => Ok(self.intervals),
        }
    }
}

/// Whether an interval's event is the hash of rows.
pub fn vouches(event: &Label) -> bool {
    event.as_str().starts_with(EVENT)
}

impl std::error::Error for BadRows {}

impl fmt::Display for BadRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
            Self::Line(path, line) => {
                write!(f, "{}, line {line}: no whole row in the order of time", path.display())
            }
            Self::Changed(start) => {
                write!(f, "rows of the interval that begins at {} are not what was signed", start.0)
            }
            Self::Unsigned(start) => {
                write!(f, "nobody signed the rows of the interval that begins at {}", start.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Interval, Log, files_in, verify};
    use super::*;
    use std::{fs, time::Duration};

    fn interval(start: u64, event: Label) -> Interval {
        let (start, length) = (UnixTime(start), Duration::from_secs(300));
        let why = "a test".parse().unwrap();
        Interval { event: Some(event), ..Interval::void(start, length, why) }
    }

    /// Three intervals, two homes each.
    fn written(folder: &Path) {
        let mut log = Log::open(
            &folder.join("evidence"),
            &"homes of a test".parse().unwrap(),
            &"homes".parse().unwrap(),
        )
        .unwrap();
        let (mut homes, mut all) = (String::from("start,home,wh\n"), String::from("start,wh\n"));
        for start in [900, 1200, 1500] {
            let of_homes = format!("{start},a,1\n{start},b,2\n");
            let together = format!("{start},3\n");
            let mut rows = Rows::default();
            rows.add(b"start,home,wh\n", of_homes.as_bytes());
            rows.add(b"start,wh\n", together.as_bytes());
            log.append(&interval(start, rows.event().unwrap())).unwrap();
            homes += &of_homes;
            all += &together;
        }
        fs::write(folder.join("homes-1970-01-01.csv"), homes).unwrap();
        fs::write(folder.join("intervals-1970-01-01.csv"), all).unwrap();
    }

    fn checked(folder: &Path) -> Result<u64, BadRows> {
        let mut rows = Vouched::of(folder)?;
        let files = files_in(&folder.join("evidence")).unwrap();
        verify(&files, None, |record| rows.see(record)).unwrap();
        rows.finish()
    }

    #[test]
    fn rows_are_accepted_as_signed_and_rejected_with_any_byte_changed_or_any_row_missing_or_added()
    {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path());
        assert_eq!(checked(folder.path()).unwrap(), 3);
        for name in ["homes-1970-01-01.csv", "intervals-1970-01-01.csv"] {
            let path = folder.path().join(name);
            let before = fs::read(&path).unwrap();
            for at in 0..before.len() {
                for bit in [1, 4, 128] {
                    let mut after = before.clone();
                    after[at] ^= bit;
                    fs::write(&path, &after).unwrap();
                    assert!(checked(folder.path()).is_err(), "{name}, byte {at}, bit {bit}");
                }
                fs::write(&path, &before[..at]).unwrap();
                assert!(checked(folder.path()).is_err(), "{name} cut at {at}");
            }
            let text = String::from_utf8(before.clone()).unwrap();
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            for at in 0..lines.len() {
                let without = [&lines[..at], &lines[at + 1..]].concat().concat();
                fs::write(&path, without).unwrap();
                assert!(checked(folder.path()).is_err(), "{name} without line {at}");
                let twice = [&lines[..=at], &lines[at..]].concat().concat();
                fs::write(&path, twice).unwrap();
                assert!(checked(folder.path()).is_err(), "{name} with line {at} twice");
            }
            fs::write(&path, text + "1800,a,1\n").unwrap();
            assert!(matches!(checked(folder.path()), Err(BadRows::Unsigned(UnixTime(1800)))));
            fs::write(&path, before).unwrap();
        }
        fs::remove_file(folder.path().join("homes-1970-01-01.csv")).unwrap();
        assert!(matches!(checked(folder.path()), Err(BadRows::Changed(UnixTime(900)))));
    }
}
