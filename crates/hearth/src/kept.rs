//! Small files of the data folder that are written as a whole and read at the next start. What cannot be
//! read is set aside and never in the way. It knows nothing of what is in them.

use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::Path,
};

/// Longer files are none of ours.
const LONGEST: u64 = 256 << 20;

/// What was written last; `None` if nothing was, or if it cannot be read: then it is set aside, and the log
/// says what has to be learned anew.
pub fn read<T: DeserializeOwned>(path: &Path, what: &str) -> Option<T> {
    match try_read(path) {
        Ok(kept) => kept,
        Err(error) => {
            let moved = fs::rename(path, path.with_extension("unreadable"));
            tracing::warn!(
                path = %path.display(), %error, set_aside = moved.is_ok(),
                "{what} cannot be read: it is learned anew"
            );
            None
        }
    }
}

fn try_read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    serde_json::from_str(&text).map(Some).map_err(io::Error::other)
}

/// Writes it in place of what was there; a crash on the way leaves that.
pub fn write<T: Serialize>(path: &Path, kept: &T) -> io::Result<()> {
    let next = path.with_extension("json.next");
    let mut file = BufWriter::new(File::create(&next)?);
    serde_json::to_writer(&mut file, kept)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    fs::rename(next, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_set_aside_and_can_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.json");
        assert_eq!(read::<Vec<u32>>(&path, "numbers"), None);
        for text in ["", "[1,2", "\u{0}\u{0}", "{\"a\":1}"] {
            fs::write(&path, text).unwrap();
            assert_eq!(read::<Vec<u32>>(&path, "numbers"), None);
            assert!(!path.exists() && folder.path().join("numbers.unreadable").exists());
            write(&path, &vec![7, 8]).unwrap();
            assert_eq!(read(&path, "numbers"), Some(vec![7, 8]));
        }
    }
}
