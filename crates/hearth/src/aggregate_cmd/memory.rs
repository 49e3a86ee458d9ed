//! What the account of aggregation knows of earlier intervals, in one small file beside its rows: written as
//! a whole or not at all, and only read if it is what was written. It never changes a row.

use bitcoin::hashes::{Hash, sha256};
use dispatch::aggregate::Memory;
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The first line is this and the SHA-256 of the rest. The number rises when older programs could not read
/// what follows.
const HEAD: &str = "hearth account 1 ";

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another program's, or a newer one's.
    #[error("it was not written by this version of the program")]
    Unknown,
    #[error("it was changed or cut off since it was written")]
    Broken,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("account.state")
}

/// Writes what is known now in place of what was known before.
pub fn save(folder: &Path, memory: &Memory) -> io::Result<()> {
    let text = serde_json::to_string(memory)?;
    let unfinished = folder.join("account.state.new");
    let mut file = File::create(&unfinished)?;
    write!(file, "{HEAD}{}\n{text}\n", hash(&text))?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path(folder))?;
    File::open(folder)?.sync_all()
}

/// What was known when it was last written; `None` where it never was.
pub fn load(folder: &Path) -> Result<Option<Memory>, Unread> {
    let bytes = match std::fs::read(path(folder)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let rest = bytes.strip_prefix(HEAD.as_bytes()).ok_or(Unread::Unknown)?;
    let text = std::str::from_utf8(rest).map_err(|_| Unread::Broken)?;
    let (written, text) = text.split_once('\n').ok_or(Unread::Broken)?;
    let text = text.strip_suffix('\n').ok_or(Unread::Broken)?;
    if written != hash(text) {
        return Err(Unread::Broken);
    }
    serde_json::from_str(text).map(Some).map_err(|_| Unread::Unknown)
}

/// Keeps a file that is not read, out of the way of the next one; says where.
pub fn set_aside(folder: &Path) -> io::Result<PathBuf> {
    let aside = folder.join("account.state.unread");
    std::fs::rename(path(folder), &aside)?;
    Ok(aside)
}

fn hash(text: &str) -> String {
    sha256::Hash::hash(text.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dispatch::aggregate::{Aggregate, Hold, Report, Setup};
    use units::{Moment, NetWatts, UnixTime};

    /// An aggregate that has seen 40 homes alone for an hour and told them something for another.
    fn known() -> Memory {
        let mut aggregate = Aggregate::new(Setup::default());
        let watts = |watts: f64| NetWatts::new(watts).unwrap();
        let (mut now, mut utc) = (Moment::default(), UnixTime(1_800_000_000));
        for second in (0..7200_u64).step_by(20) {
            (now, utc) = (Moment::from_secs(second), UnixTime(1_800_000_000 + second));
            for home in 0..40 {
                let power = watts(1000.0 / 3.0 + f64::from(home) * 7.1 + second as f64 / 11.0);
                let hold = |watts| Hold { power: watts, lasts: None };
                let (lowest, highest) = (hold(watts(0.0)), hold(watts(5000.0)));
                let own = watts(2000.0);
                let report = Report { power, own, lowest, highest, step: None, opted_out: false };
                aggregate.hear(now, &format!("home \"{home}\""), report).unwrap();
            }
            aggregate.step(now, utc, (second > 3600).then(|| watts(50_000.0)));
        }
        aggregate.memory(now, utc)
    }

    #[test]
    fn what_was_written_is_read_and_written_again_the_same() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path()).unwrap().is_none());
        let known = known();
        save(folder.path(), &known).unwrap();
        save(folder.path(), &known).unwrap();
        let read = load(folder.path()).unwrap().unwrap();
        let mut aggregate = Aggregate::new(Setup::default());
        aggregate.recall(read.clone(), UnixTime(1_800_007_200)).unwrap();
        save(folder.path(), &read).unwrap();
        assert_eq!(load(folder.path()).unwrap().unwrap(), read);
        assert_eq!(read, known);
    }

    #[test]
    fn a_file_that_was_changed_or_cut_anywhere_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &known()).unwrap();
        let good = std::fs::read(path(folder.path())).unwrap();
        for at in (0..good.len()).step_by(37).chain([good.len() - 1]) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(path(folder.path()), &bad).unwrap();
            assert!(load(folder.path()).is_err(), "byte {at}");
            std::fs::write(path(folder.path()), &good[..at]).unwrap();
            assert!(load(folder.path()).is_err(), "cut at {at}");
        }
        std::fs::write(path(folder.path()), "hearth account 2 abc\n{}\n").unwrap();
        assert!(matches!(load(folder.path()), Err(Unread::Unknown)));
        let aside = set_aside(folder.path()).unwrap();
        assert!(aside.exists() && load(folder.path()).unwrap().is_none());
    }
}
