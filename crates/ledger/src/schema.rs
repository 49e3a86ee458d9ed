//! Tables, and the numbered steps that bring an older file up to date.
//!
//! A step is never changed once released; a change of the tables is a new step at the end. Each
//! step and its number are one transaction, so a crash leaves the file at the old or the new one.

use crate::LedgerError;
use sqlx::{Connection, Row, SqliteConnection};
use std::path::Path;

/// Marks our files: "hrth". <https://www.sqlite.org/pragma.html#pragma_application_id>
const APPLICATION_ID: i64 = 0x6872_7468;

const STEPS: &[&str] = &[
    // 1: the first tables. Buckets lie by time, so that a minute's rows share pages and old ones
    // are found for the roll-up; the journal's rows are described in journal.rs.
    "CREATE TABLE workers (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        accepted INTEGER NOT NULL DEFAULT 0,
        rejected INTEGER NOT NULL DEFAULT 0,
        work REAL NOT NULL DEFAULT 0,
        best REAL,
        best_at INTEGER,
        best_since_block REAL,
        best_since_block_at INTEGER,
        folded INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE buckets (
        width INTEGER NOT NULL,
        start INTEGER NOT NULL,
        worker INTEGER NOT NULL,
        accepted INTEGER NOT NULL,
        rejected INTEGER NOT NULL,
        work REAL NOT NULL,
        best REAL,
        PRIMARY KEY (width, start, worker)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE rejects (
        worker INTEGER NOT NULL,
        reason TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (worker, reason)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY,
        generation INTEGER NOT NULL,
        entries BLOB NOT NULL
    ) STRICT;
    CREATE TABLE journal_folded (generation INTEGER NOT NULL) STRICT;
    INSERT INTO journal_folded VALUES (0);
    CREATE TABLE sessions (
        id INTEGER PRIMARY KEY,
        worker TEXT NOT NULL,
        address TEXT NOT NULL,
        peer TEXT NOT NULL,
        user_agent TEXT,
        opened INTEGER NOT NULL,
        closed INTEGER,
        accepted INTEGER NOT NULL DEFAULT 0,
        work REAL NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX sessions_worker ON sessions (worker, opened);
    CREATE INDEX sessions_closed ON sessions (closed);
    CREATE TABLE blocks (
        hash TEXT PRIMARY KEY,
        height INTEGER NOT NULL,
        worker TEXT NOT NULL,
        address TEXT NOT NULL,
        value_sats INTEGER NOT NULL,
        found_at INTEGER NOT NULL,
        state TEXT NOT NULL
            CHECK (state IN ('pending', 'candidate', 'confirmed', 'orphaned', 'rejected')),
        confirmations INTEGER NOT NULL,
        reject_reason TEXT
    ) STRICT;
    CREATE INDEX blocks_found_at ON blocks (found_at);",
];

/// Refuses files that are not ours or not of our time, before anything is changed in them.
pub(crate) async fn check(conn: &mut SqliteConnection, path: &Path) -> Result<(), LedgerError> {
    let failed = |e| LedgerError::from_sqlite(path, e);
    let marked = pragma(conn, "application_id").await.map_err(failed)?;
    let found = pragma(conn, "user_version").await.map_err(failed)?;
    let tables: i64 = sqlx::query("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *conn)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed)?;
    let new = marked == 0 && found == 0 && tables == 0;
    if !new && marked != APPLICATION_ID {
        return Err(LedgerError::NotALedger { path: path.to_owned() });
    }
    let known = STEPS.len() as i64;
    if found > known {
        return Err(LedgerError::NewerSchema { path: path.to_owned(), found, known });
    }
    Ok(())
}

/// Takes the steps that the file has not seen.
pub(crate) async fn migrate(conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    take(conn, STEPS).await
}

async fn take(conn: &mut SqliteConnection, steps: &[&str]) -> Result<(), sqlx::Error> {
    let done = usize::try_from(pragma(conn, "user_version").await?).unwrap_or(0);
    for (index, step) in steps.iter().enumerate().skip(done) {
        let number = index + 1;
        let mut transaction = conn.begin().await?;
        sqlx::raw_sql(step).execute(&mut *transaction).await?;
        let mark =
            format!("PRAGMA user_version = {number}; PRAGMA application_id = {APPLICATION_ID};");
        sqlx::raw_sql(&mark).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// A pragma that answers one number.
pub(crate) async fn pragma(conn: &mut SqliteConnection, name: &str) -> Result<i64, sqlx::Error> {
    sqlx::query(&format!("PRAGMA {name}")).fetch_one(conn).await?.try_get(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_that_fails_leaves_the_file_as_it_was_and_can_be_taken_later() {
        let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let broken = [STEPS[0], "CREATE TABLE extra (a); CREATE TABLE extra (a);"];
        assert!(take(&mut conn, &broken).await.is_err());
        assert_eq!(pragma(&mut conn, "user_version").await.unwrap(), 1);
        let mended = [STEPS[0], "CREATE TABLE extra (a);"];
        take(&mut conn, &mended).await.unwrap();
        assert_eq!(pragma(&mut conn, "user_version").await.unwrap(), 2);
        take(&mut conn, &mended).await.unwrap();
    }

    #[tokio::test]
    async fn the_database_of_another_program_and_a_newer_one_are_refused_unchanged() {
        let path = Path::new("some.db");
        let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        check(&mut conn, path).await.unwrap();
        sqlx::raw_sql("CREATE TABLE photos (a)").execute(&mut conn).await.unwrap();
        let said = check(&mut conn, path).await.unwrap_err().to_string();
        assert!(said.contains("another program"), "{said}");

        let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrate(&mut conn).await.unwrap();
        check(&mut conn, path).await.unwrap();
        sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut conn).await.unwrap();
        let said = check(&mut conn, path).await.unwrap_err().to_string();
        assert!(said.contains("schema 99") && said.contains("newer hearth"), "{said}");
    }
}
