//! A machine's tuning journal on disk: one row a step, synced with its folder before the step, read back
//! after a crash, bounded. Decides nothing of what is written.

use super::{TuneError, restore};
use crate::{
    control::Clock,
    driver::Driver,
    readings::Moment,
    tuner::{Entry, JournalRow, Point},
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Longest end of a journal that is read back: a tuning writes some dozens of rows.
pub(super) const LONGEST: u64 = 4 << 20;
/// Of a longer one this much of its beginning is read, too.
const FIRST: u64 = 8 << 10;
/// Rows that are remembered; half of them are forgotten when there are more.
pub(super) const MOST: usize = 4096;

/// The journal of one machine: one JSON object a line, on disk before the step that it tells of.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Option<File>,
    pub(super) entries: Vec<Entry>,
}

impl Journal {
    /// Reads what there is, of a very long one the first row and the end. A torn last line, as a crash
    /// leaves it, is not read.
    pub fn open(path: &Path) -> Result<Self, TuneError> {
        let wrong = |error| TuneError::Journal { path: path.into(), error };
        let entries = read(&ends(path).map_err(wrong)?);
        let mut journal = Self { path: path.into(), file: None, entries };
        journal.forget();
        Ok(journal)
    }

    /// Where the journal of a machine is kept, by its id.
    pub fn path(data_dir: &Path, id: &str) -> PathBuf {
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let name: String = id.chars().take(120).map(safe).collect();
        data_dir.join("tune").join(format!("{name}.jsonl"))
    }

    /// All steps.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The steps of a tuning that a crash ended: its last one was never finished.
    pub fn unfinished(&self) -> Option<&[Entry]> {
        matches!(self.entries.last(), Some(Entry::Applying { .. })).then_some(&self.entries)
    }

    /// Begins a new tuning at a setting that undoing it returns to; the one before is kept beside it.
    pub(super) fn begin(&mut self, at: Moment, start: Point) -> Result<(), TuneError> {
        self.file = None;
        if !self.entries.is_empty() {
            let old = self.path.with_extension("jsonl.before");
            let put = || std::fs::rename(&self.path, old).and_then(|()| sync_folder(&self.path));
            put().map_err(|error| self.wrong(error))?;
        }
        self.entries.clear();
        let why = "as it was before it was tuned".into();
        self.write(&Entry::Restored { at, point: start, why })
    }

    /// Returns a machine to a setting: what is meant on disk before it is told, what is so after it was
    /// read back. A journal that cannot be written keeps no machine from its return.
    pub(super) async fn bring_back(
        &mut self,
        link: &dyn Driver,
        clock: &Clock,
        point: Point,
        why: &str,
    ) -> Result<Entry, TuneError> {
        let meant = self.write(&Entry::Applying { at: clock.now(), point, last_good: point });
        restore(link, clock, point).await?;
        meant?;
        let done = Entry::Restored { at: clock.now(), point, why: why.into() };
        self.write(&done)?;
        Ok(done)
    }

    /// Keeps memory within bounds: the first row, which undoing needs, and the newer half.
    fn forget(&mut self) -> bool {
        let long = self.entries.len() > MOST;
        if long {
            let newer = self.entries.len() - MOST / 2;
            self.entries.drain(1..newer);
        }
        long
    }

    /// Writes the file anew from what is remembered.
    fn shorten(&mut self) -> io::Result<()> {
        let next = self.path.with_extension("jsonl.next");
        let mut file = File::create(&next)?;
        for entry in &self.entries {
            let mut line = serde_json::to_vec(&JournalRow::from(entry))?;
            line.push(b'\n');
            file.write_all(&line)?;
        }
        file.sync_data()?;
        std::fs::rename(&next, &self.path)?;
        sync_folder(&self.path)?;
        self.file = None;
        Ok(())
    }

    /// Writes a step and waits until it is on disk. Blocks for some milliseconds, a few times a minute.
    pub(super) fn write(&mut self, entry: &Entry) -> Result<(), TuneError> {
        self.append(entry).map_err(|error| self.wrong(error))?;
        self.entries.push(entry.clone());
        if self.forget() {
            self.shorten().map_err(|error| self.wrong(error))?;
        }
        Ok(())
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                if let Some(folder) = self.path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
                // Whatever a crash left half written ends here.
                file.write_all(b"\n")?;
                sync_folder(&self.path)?;
                file
            }
        };
        let mut line = serde_json::to_vec(&JournalRow::from(entry))?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()?;
        self.file = Some(file);
        Ok(())
    }

    fn wrong(&self, error: io::Error) -> TuneError {
        TuneError::Journal { path: self.path.clone(), error }
    }
}

/// A new name in a folder is only there after a power cut if the folder was synced, too.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// A journal's text; of a very long one the beginning and the end.
pub(super) fn ends(path: &Path) -> io::Result<String> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    let long = file.metadata()?.len();
    if long > LONGEST {
        (&file).take(FIRST).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(whole);
        file.seek(SeekFrom::Start(long - LONGEST))?;
    }
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn read(text: &str) -> Vec<Entry> {
    let rows = text.lines().filter_map(|line| serde_json::from_str::<JournalRow>(line).ok());
    rows.filter_map(|row| row.entry()).collect()
}
