//! Checks files of evidence from their bytes alone: no key file, no lock, one line in memory.

use super::{
    chain::{Chain, Fault},
    key::PublicKey,
    record::{Body, Hash, Label, MAX_LINE, Quality, Record},
};
use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};
use units::{Co2, NetWattHours, UnixTime, WattHours, Work};

/// What files that were accepted say in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Whose.
    pub site: Label,
    /// What was read.
    pub meter: Label,
    /// That signed the first record.
    pub first_key: PublicKey,
    /// That signs what follows.
    pub last_key: PublicKey,
    /// Sequence number of the first record: more than 0 where earlier files are not here.
    pub first_seq: u64,
    /// Sequence number of the last record.
    pub last_seq: u64,
    /// SHA-256 of the last record's line. Who has kept a later one can tell that records were cut off.
    pub head: Hash,
    /// Interval records, void ones among them.
    pub intervals: u64,
    /// Void ones: counted nowhere below.
    pub void: u64,
    /// Estimated ones.
    pub estimated: u64,
    /// Places where time passed between one interval and the next.
    pub gaps: u64,
    /// First interval's beginning.
    pub from: Option<UnixTime>,
    /// Last interval's end.
    pub until: Option<UnixTime>,
    /// Drawn.
    pub imported: WattHours,
    /// Fed out.
    pub exported: WattHours,
    /// Heat used.
    pub heat_reused: WattHours,
    /// Verified work.
    pub work: Work,
    /// The least energy that it proves, as the records say, interval by interval.
    pub proven: WattHours,
    /// Baseline less metered, where a delivery is recorded.
    pub delivered: NetWattHours,
    /// Drawn energy times the emission factor of its interval.
    pub emitted: Co2,
    /// Drawn energy of intervals without an emission factor: not in `emitted`.
    pub without_factor: WattHours,
}

/// The first thing that is wrong, and where.
#[derive(Debug)]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// Which line of it, if it could be opened.
    pub at: Option<Place>,
    /// What is wrong.
    pub why: Why,
}

/// A line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: u64,
    /// The sequence number that was due, if it is known.
    pub seq: Option<u64>,
}

/// What is wrong.
#[derive(Debug)]
pub enum Why {
    /// The file cannot be read.
    Io(io::Error),
    /// The record is not what was signed.
    Fault(Fault),
}

/// Checks these files, in this order, as one chain; `trusted` must be the key that signed the first
/// record. Shows each record as it is accepted: what was shown before a failure was as signed.
pub fn verify(
    files: &[PathBuf],
    trusted: Option<&PublicKey>,
    mut see: impl FnMut(&Record),
) -> Result<Summary, Broken> {
    let mut state: Option<(Chain, Summary)> = None;
    for path in files {
        let broken = |at, why| Broken { file: path.clone(), at, why };
        let file = File::open(path).map_err(|e| broken(None, Why::Io(e)))?;
        let lines = Lines::new(BufReader::with_capacity(1 << 16, file));
        let mut number = 0;
        for line in lines {
            number += 1;
            let seq = state.as_ref().map(|(chain, _)| chain.next);
            let here = |why| broken(Some(Place { line: number, seq }), why);
            let line = line.map_err(here)?;
            let fault = |fault| here(Why::Fault(fault));
            let record = match &mut state {
                Some((chain, _)) => chain.accept(&line).map_err(fault)?,
                None => {
                    let (chain, record) = Chain::start(&line).map_err(fault)?;
                    if trusted.is_some_and(|key| *key != chain.key) {
                        let found = chain.key.to_string();
                        return Err(fault(Fault::NotTrusted { found }));
                    }
                    state = Some((chain.clone(), Summary::new(&chain, &record)));
                    record
                }
            };
            let begins = matches!(record.body, Body::Begin { .. });
            if number == 1 && !begins {
                return Err(fault(Fault::NoBeginning));
            }
            if let Some((chain, summary)) = &mut state {
                summary.add(&record);
                (summary.head, summary.last_key, summary.last_seq) =
                    (chain.head, chain.key, record.seq);
            }
            see(&record);
        }
        if number == 0 {
            return Err(broken(None, Why::Fault(Fault::Empty)));
        }
    }
    let nothing = || Broken { file: PathBuf::new(), at: None, why: Why::Fault(Fault::Empty) };
    state.map(|(_, summary)| summary).ok_or_else(nothing)
}

impl Summary {
    fn new(chain: &Chain, first: &Record) -> Self {
        Self {
            site: chain.site.clone(),
            meter: chain.meter.clone(),
            first_key: chain.key,
            last_key: chain.key,
            first_seq: first.seq,
            last_seq: first.seq,
            head: chain.head,
            intervals: 0,
            void: 0,
            estimated: 0,
            gaps: 0,
            from: None,
            until: None,
            imported: WattHours::ZERO,
            exported: WattHours::ZERO,
            heat_reused: WattHours::ZERO,
            work: Work::ZERO,
            proven: WattHours::ZERO,
            delivered: NetWattHours::ZERO,
            emitted: Co2::ZERO,
            without_factor: WattHours::ZERO,
        }
    }

    fn add(&mut self, record: &Record) {
        let Body::Interval(interval) = &record.body else {
            return;
        };
        self.intervals += 1;
        self.gaps += u64::from(self.until.is_some_and(|until| until < interval.start));
        self.from.get_or_insert(interval.start);
        self.until = Some(interval.end());
        match interval.quality {
            Quality::Void => {
                self.void += 1;
                return;
            }
            Quality::Estimated => self.estimated += 1,
            Quality::Metered => {}
        }
        let drawn = interval.imported.unwrap_or_default();
        self.imported = self.imported + drawn;
        self.exported = self.exported + interval.exported.unwrap_or_default();
        self.heat_reused = self.heat_reused + interval.heat_reused.unwrap_or_default();
        if let Some(work) = interval.work {
            self.work += work.hashes;
        }
        if let Some(proof) = interval.proof {
            self.proven = self.proven + proof.least;
        }
        if let Some(delivered) = interval.delivered {
            self.delivered += delivered.energy;
        }
        match &interval.grid {
            Some(grid) => self.emitted += drawn * grid.factor,
            None => self.without_factor = self.without_factor + drawn,
        }
    }
}

/// The lines of a file, each at most [`MAX_LINE`] long and ended.
pub(crate) struct Lines<R> {
    from: R,
    over: bool,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, over: false }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Vec<u8>, Why>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let mut line = Vec::new();
        let read = (&mut self.from).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
        self.over = true;
        match read {
            Err(error) => return Some(Err(Why::Io(error))),
            Ok(0) => return None,
            Ok(_) => {}
        }
        if line.pop_if(|end| *end == b'\n').is_some() {
            self.over = false;
            return Some(Ok(line));
        }
        let fault = if line.len() > MAX_LINE { Fault::TooLong } else { Fault::CutOff };
        Some(Err(Why::Fault(fault)))
    }
}

/// The files of a folder of evidence, in order.
pub fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "evidence") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl std::error::Error for Broken {}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(Place { line, seq }) = self.at {
            write!(f, ", line {line}")?;
            if let Some(seq) = seq {
                write!(f, " (record {seq})")?;
            }
        }
        match &self.why {
            Why::Io(error) => write!(f, ": cannot be read: {error}"),
            Why::Fault(fault) => write!(f, ": {fault}"),
        }
    }
}
