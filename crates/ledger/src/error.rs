//! What can go wrong with the file, each as one sentence with the remedy.

use std::{io, path::Path, path::PathBuf};

/// Why the ledger cannot be opened, read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Another process holds the lock.
    #[error(
        "the ledger {} is in use by another hearth{}; stop that one, or give this one a ledger of its own",
        path.display(),
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Locked {
        /// The ledger.
        path: PathBuf,
        /// The other process, when it is known.
        pid: Option<u32>,
    },
    /// The file was written by a later version of this program.
    #[error(
        "the ledger {} has schema {found}, this hearth knows schemas up to {known}; start the newer hearth that wrote it",
        path.display()
    )]
    NewerSchema {
        /// The ledger.
        path: PathBuf,
        /// Schema of the file.
        found: i64,
        /// Latest schema that this program knows.
        known: i64,
    },
    /// An SQLite file, but not ours.
    #[error(
        "{} is the database of another program; choose another path for the ledger",
        path.display()
    )]
    NotALedger {
        /// The file.
        path: PathBuf,
    },
    /// The content makes no sense.
    #[error(
        "the ledger {} is damaged ({detail}); move it away and start again with a new one, or restore a backup: solved blocks are kept outside the ledger",
        path.display()
    )]
    Corrupt {
        /// The ledger.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// No write permission, or a read-only file system.
    #[error(
        "the ledger {} cannot be written: it or its folder is read-only; give this user write permission or choose another path",
        path.display()
    )]
    ReadOnly {
        /// The ledger.
        path: PathBuf,
    },
    /// No space left.
    #[error("the disk that holds the ledger {} is full; free some space", path.display())]
    DiskFull {
        /// The ledger.
        path: PathBuf,
    },
    /// The file or its folder cannot be opened or created.
    #[error("the ledger {} cannot be opened: {detail}; check the path and its permissions", path.display())]
    Unopenable {
        /// The ledger.
        path: PathBuf,
        /// What the operating system says.
        detail: String,
    },
    /// Anything else, in the words of SQLite.
    #[error("the ledger {} failed: {detail}; check the disk", path.display())]
    Database {
        /// The ledger.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// The ledger was closed before this was done.
    #[error("the ledger {} is closed", path.display())]
    Closed {
        /// The ledger.
        path: PathBuf,
    },
}

impl LedgerError {
    /// Sorts by SQLite's primary result code: <https://www.sqlite.org/rescode.html>.
    pub(crate) fn from_sqlite(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        let code = match &source {
            sqlx::Error::Database(database) => {
                database.code().and_then(|code| code.parse::<u32>().ok())
            }
            sqlx::Error::PoolClosed => return Self::Closed { path },
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
                return Self::Corrupt { path, detail: source.to_string() };
            }
            _ => None,
        };
        const PRIMARY: u32 = 0xff;
        match code.map(|code| code & PRIMARY) {
            Some(3 | 8 | 23) => Self::ReadOnly { path },
            Some(11 | 26) => Self::Corrupt { path, detail: source.to_string() },
            Some(13) => Self::DiskFull { path },
            Some(14) => Self::Unopenable { path, detail: source.to_string() },
            _ => Self::Database { path, detail: source.to_string() },
        }
    }

    pub(crate) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { path }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Unopenable { path, detail: source.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{ConnectOptions, Executor, sqlite::SqliteConnectOptions};

    #[tokio::test]
    async fn what_sqlite_refuses_becomes_the_right_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let options = SqliteConnectOptions::new().filename(&path);
        let missing = options.clone().connect().await.unwrap_err();
        options.clone().create_if_missing(true).connect().await.unwrap();
        let mut conn = options.clone().read_only(true).connect().await.unwrap();
        let read_only = conn.execute("CREATE TABLE a (b)").await.unwrap_err();
        let mut conn = options.connect().await.unwrap();
        conn.execute("CREATE TABLE a (b); PRAGMA max_page_count = 2").await.unwrap();
        let full = conn.execute("INSERT INTO a VALUES (zeroblob(9999))").await.unwrap_err();
        let nonsense = conn.execute("SELECT").await.unwrap_err();
        for (error, words) in [
            (missing, "cannot be opened"),
            (read_only, "is read-only; give this user write permission"),
            (full, "is full; free some space"),
            (nonsense, "check the disk"),
        ] {
            let said = LedgerError::from_sqlite(&path, error).to_string();
            assert!(said.contains(words), "{said}");
        }
        for (kind, words) in [
            (io::ErrorKind::ReadOnlyFilesystem, "is read-only"),
            (io::ErrorKind::StorageFull, "is full"),
            (io::ErrorKind::NotADirectory, "check the path"),
        ] {
            let said = LedgerError::from_io(&path, kind.into()).to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
