//! The writer of evidence: one folder, one process, records only ever added.
//!
//! It never writes a record that [`Chain`] would not accept, and after any failure it refuses to go on
//! until it is opened again, which finds out what reached the disk.

use super::{
    chain::{Chain, Fault},
    key::{PublicKey, SecretKey, sync_folder},
    record::{Body, Hash, Interval, Label, Unfit},
    verify::{Lines, Why, files_in},
};
use crate::lock::Lock;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufReader, Seek, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use units::UnixTime;

/// About two months of five-minute intervals.
const FILE_BYTES: u64 = 16 << 20;

/// A folder of evidence that this process writes.
pub struct Log {
    folder: PathBuf,
    file: File,
    length: u64,
    file_bytes: u64,
    key: SecretKey,
    chain: Chain,
    broken: bool,
    _lock: Lock,
}

/// A record that is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its sequence number.
    pub seq: u64,
    /// SHA-256 of its line; given to somebody else, it proves later that nothing was cut off.
    pub hash: Hash,
}

/// Why evidence cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// Another process writes it.
    #[error("the evidence in {} is being written by another hearth; stop that one first", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// Disk or permissions.
    #[error("{} failed: {source}; check the disk and its permissions", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Others could sign in our name.
    #[error("others may read the signing key {}; chmod 600 it, and rotate it if somebody did", path.display())]
    OpenKey {
        /// The key file.
        path: PathBuf,
    },
    /// The folder has records and no key that continues them, or a key and no records.
    #[error("the signing key in {} does not fit the records there; restore both from the same backup, or choose a new folder", folder.display())]
    KeyLost {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder is of another site or meter.
    #[error("{} holds the evidence of site {site}, meter {meter}; give each meter a folder of its own", folder.display())]
    Other {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        site: Label,
        /// What it is of.
        meter: Label,
    },
    /// A record that was on the disk is not what was signed.
    #[error("{}, line {line}: {fault}; keep the folder for whoever asks and go on in a new one", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// The interval is not fit to be recorded.
    #[error("the interval cannot be recorded: {0}")]
    Unfit(#[from] Unfit),
    /// The interval begins before the last one ends.
    #[error("evidence is recorded until {} already", until.0)]
    Recorded {
        /// End of the last recorded interval.
        until: UnixTime,
    },
    /// An earlier write failed.
    #[error("an earlier write of evidence failed; open it again")]
    Broken,
}

impl EvidenceError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

impl Log {
    /// Opens the folder, or makes it with a new key and a first record. What a crash left is completed
    /// or cut off; the last file is checked from its first record on.
    pub fn open(folder: &Path, site: &Label, meter: &Label) -> Result<Self, EvidenceError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| EvidenceError::io(folder, e))?;
        let lock = lock(folder)?;
        let mut files = files_in(folder).map_err(|e| EvidenceError::io(folder, e))?;
        while let Some(path) = files.pop() {
            let Some((file, length, mut chain)) = recover(&path)? else {
                // The crash came before its first record was whole.
                fs::remove_file(&path).map_err(|e| EvidenceError::io(&path, e))?;
                sync_folder(&path)?;
                continue;
            };
            // A file that has only begun does not say yet until when there are records.
            while let Some(earlier) = files.pop().filter(|_| chain.until == UnixTime(0)) {
                chain.until = recover(&earlier)?.map_or(UnixTime(0), |(.., chain)| chain.until);
            }
            if (&chain.site, &chain.meter) != (site, meter) {
                let (site, meter) = (chain.site, chain.meter);
                return Err(EvidenceError::Other { folder: folder.to_owned(), site, meter });
            }
            let key = key_of(folder, &chain)?;
            return Ok(Self::with(folder, file, length, key, chain, lock));
        }
        let new = folder.join("key.new");
        // A key that has signed records which are gone would sign their numbers again.
        if folder.join("key").exists() {
            return Err(EvidenceError::KeyLost { folder: folder.to_owned() });
        }
        let key = fresh_key(&new)?;
        let chain = Chain {
            site: site.clone(),
            meter: meter.clone(),
            key: key.public(),
            next: 0,
            head: Hash::ZERO,
            until: UnixTime(0),
        };
        let (file, length, chain) = begin(folder, chain, &key)?;
        take_into_use(folder)?;
        Ok(Self::with(folder, file, length, key, chain, lock))
    }

    fn with(
        folder: &Path,
        file: File,
        length: u64,
        key: SecretKey,
        chain: Chain,
        lock: Lock,
    ) -> Self {
        let (folder, file_bytes) = (folder.to_owned(), FILE_BYTES);
        Self { folder, file, length, file_bytes, key, chain, broken: false, _lock: lock }
    }

    /// Starts a new file after this many bytes instead of 16 MiB.
    pub fn files_of(mut self, bytes: u64) -> Self {
        self.file_bytes = bytes;
        self
    }

    /// The key that signs.
    pub fn key(&self) -> PublicKey {
        self.key.public()
    }

    /// End of the last recorded interval; 1970 if there is none.
    pub fn until(&self) -> UnixTime {
        self.chain.until
    }

    /// Records an interval. It is on the disk when this returns.
    ///
    /// # Errors
    /// One that says the disk failed leaves the log refusing; open it again and look at
    /// [`Log::until`]: the interval may have been recorded.
    pub fn append(&mut self, interval: &Interval) -> Result<Receipt, EvidenceError> {
        interval.check()?;
        if interval.start < self.chain.until {
            return Err(EvidenceError::Recorded { until: self.chain.until });
        }
        if self.length >= self.file_bytes && !self.broken {
            self.broken = true;
            (self.file, self.length, self.chain) =
                begin(&self.folder, self.chain.clone(), &self.key)?;
            self.broken = false;
        }
        self.write(Body::Interval(Box::new(interval.clone())))
    }

    /// Signs with a new key from the next record on; the old one signs this.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn rotate_key(&mut self) -> Result<Receipt, EvidenceError> {
        let key = fresh_key(&self.folder.join("key.new"))?;
        let receipt = self.write(Body::Rotate { public: key.public() })?;
        self.broken = true;
        take_into_use(&self.folder)?;
        (self.key, self.broken) = (key, false);
        Ok(receipt)
    }

    fn write(&mut self, body: Body) -> Result<Receipt, EvidenceError> {
        if self.broken {
            return Err(EvidenceError::Broken);
        }
        self.broken = true;
        let seq = self.chain.next;
        let written = put(&mut self.file, &mut self.chain, body, &self.key);
        self.length += written.map_err(|e| EvidenceError::io(&self.folder, e))?;
        self.broken = false;
        Ok(Receipt { seq, hash: self.chain.head })
    }
}

/// Writes and syncs the next record; returns its bytes.
fn put(file: &mut File, chain: &mut Chain, body: Body, key: &SecretKey) -> io::Result<u64> {
    let mut line = chain.line(body, key)?;
    let mut next = chain.clone();
    next.accept(line.as_bytes()).map_err(io::Error::other)?;
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.sync_data()?;
    *chain = next;
    Ok(line.len() as u64)
}

/// Starts a new file that continues the chain.
fn begin(
    folder: &Path,
    mut chain: Chain,
    key: &SecretKey,
) -> Result<(File, u64, Chain), EvidenceError> {
    let path = folder.join(format!("{:012}.evidence", chain.next));
    let failed = |e| EvidenceError::io(&path, e);
    let mut file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(failed)?;
    let body = Body::Begin { public: key.public() };
    let length = put(&mut file, &mut chain, body, key).map_err(failed)?;
    sync_folder(&path)?;
    Ok((file, length, chain))
}

/// Checks a file and mends its end; `None` if not even its first record is whole.
fn recover(path: &Path) -> Result<Option<(File, u64, Chain)>, EvidenceError> {
    let failed = |e| EvidenceError::io(path, e);
    let mut file = OpenOptions::new().read(true).append(true).open(path).map_err(failed)?;
    let mut chain: Option<Chain> = None;
    let (mut length, mut number) = (0, 0);
    let size = file.metadata().map_err(failed)?.len();
    for line in Lines::new(BufReader::new(file.try_clone().map_err(failed)?)) {
        number += 1;
        let line = match line {
            Ok(line) => line,
            Err(Why::Io(error)) => return Err(failed(error)),
            Err(Why::Fault(Fault::CutOff)) => {
                // Somebody may hold a copy of a whole record; half of one convinces nobody.
                let whole = take(&mut chain, &read_from(&mut file, length).map_err(failed)?);
                if whole.is_ok() {
                    file.write_all(b"\n").map_err(failed)?;
                    length = size + 1;
                } else {
                    file.set_len(length).map_err(failed)?;
                }
                file.sync_all().map_err(failed)?;
                break;
            }
            Err(Why::Fault(fault)) => {
                return Err(EvidenceError::Damaged { file: path.to_owned(), line: number, fault });
            }
        };
        take(&mut chain, &line).map_err(|fault| EvidenceError::Damaged {
            file: path.to_owned(),
            line: number,
            fault,
        })?;
        length += line.len() as u64 + 1;
    }
    Ok(chain.map(|chain| (file, length, chain)))
}

fn take(chain: &mut Option<Chain>, line: &[u8]) -> Result<(), Fault> {
    match chain {
        Some(chain) => chain.accept(line).map(drop),
        None => Chain::start(line).map(|(begun, _)| *chain = Some(begun)),
    }
}

/// The end of a file from here, which is shorter than a line may be.
fn read_from(file: &mut File, from: u64) -> io::Result<Vec<u8>> {
    let mut end = Vec::new();
    file.seek(io::SeekFrom::Start(from))?;
    io::Read::read_to_end(file, &mut end)?;
    Ok(end)
}

/// The key that the chain names: in use, or made for a hand-over that a crash interrupted.
fn key_of(folder: &Path, chain: &Chain) -> Result<SecretKey, EvidenceError> {
    let fits = |key: &SecretKey| key.public() == chain.key;
    if let Some(key) = SecretKey::load(&folder.join("key"))?.filter(fits) {
        return Ok(key);
    }
    match SecretKey::load(&folder.join("key.new"))?.filter(fits) {
        Some(key) => take_into_use(folder).map(|()| key),
        None => Err(EvidenceError::KeyLost { folder: folder.to_owned() }),
    }
}

/// A key that has signed nothing; one that a crash left is used up first, or removed if it is cut off.
fn fresh_key(path: &Path) -> Result<SecretKey, EvidenceError> {
    if path.exists() {
        if let Some(key) = SecretKey::load(path)? {
            return Ok(key);
        }
        fs::remove_file(path).map_err(|e| EvidenceError::io(path, e))?;
    }
    SecretKey::make(path)
}

fn take_into_use(folder: &Path) -> Result<(), EvidenceError> {
    let path = folder.join("key");
    fs::rename(folder.join("key.new"), &path).map_err(|e| EvidenceError::io(&path, e))?;
    sync_folder(&path)
}

fn lock(folder: &Path) -> Result<Lock, EvidenceError> {
    let path = folder.join("lock");
    let taken = Lock::take(&path).map_err(|e| EvidenceError::io(&path, e))?;
    taken.map_err(|_| EvidenceError::Locked { folder: folder.to_owned() })
}
