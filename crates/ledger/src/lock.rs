//! One process per record: a lock on a file that lasts as long as its holder.
//!
//! The kernel gives it back when the process dies. A child that is just being started holds a copy
//! of every descriptor until its program begins, so closing the file alone might keep the lock for
//! some milliseconds more; it is therefore given back by name.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// The lock on this file, which is made if need be, never emptied; or, where another process has
    /// it, the file to read.
    pub fn take(path: &Path) -> std::io::Result<Result<Self, File>> {
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Ok(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(Err(file)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// What the holder may write its name into.
    pub fn file(&mut self) -> &mut File {
        &mut self.0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_free_at_once_although_a_child_still_holds_a_copy_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::take(&path).unwrap().unwrap();
        assert!(Lock::take(&path).unwrap().is_err());
        let copy_of_a_child = held.0.try_clone().unwrap();
        drop(held);
        assert!(Lock::take(&path).unwrap().is_ok());
        drop(copy_of_a_child);
    }
}
