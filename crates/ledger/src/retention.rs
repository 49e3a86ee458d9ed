//! Retention: minutes become hours, hours become days, old sessions go, so that years stay small.
//!
//! Each step moves a bounded number of rows in one transaction. A crash between two steps leaves
//! some rows fine and some coarse; no query minds, and the next step goes on from there.

use crate::tally::MINUTE;
use sqlx::{Row, SqliteConnection};
use std::time::Duration;

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// Rows that one step moves: some milliseconds of the writer's time.
const STEP_ROWS: i64 = 1000;

/// How long each grain is kept. A minute of one worker takes about 60 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Age at which minutes become hours; 2 days by default.
    pub minutes: Duration,
    /// Age at which hours become days; 60 days by default.
    pub hours: Duration,
    /// Age at which ended sessions are deleted; 60 days by default.
    pub sessions: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |n: u64| Duration::from_secs(n * DAY.unsigned_abs());
        Self { minutes: days(2), hours: days(60), sessions: days(60) }
    }
}

impl Retention {
    /// Takes one step at the time `now`, seconds since 1970. False when nothing is left to do.
    pub(crate) async fn step(
        &self,
        conn: &mut SqliteConnection,
        now: i64,
    ) -> Result<bool, sqlx::Error> {
        Ok(coarsen(conn, MINUTE, HOUR, before(now, self.minutes)).await?
            || coarsen(conn, HOUR, DAY, before(now, self.hours)).await?
            || forget_sessions(conn, before(now, self.sessions)).await?)
    }
}

fn before(now: i64, age: Duration) -> i64 {
    now.saturating_sub_unsigned(age.as_secs())
}

/// Adds the oldest rows of one width to those of the next. Only whole coarse buckets are begun, so
/// that a bucket is never half fine and half coarse for longer than a few steps.
async fn coarsen(
    conn: &mut SqliteConnection,
    fine: i64,
    coarse: i64,
    before: i64,
) -> Result<bool, sqlx::Error> {
    let before = before - before.rem_euclid(coarse);
    // The last row of this step, or a place behind all of them.
    let last = sqlx::query(
        "SELECT start, worker FROM buckets WHERE width = ? AND start < ?
         ORDER BY start, worker LIMIT 1 OFFSET ?",
    )
    .bind(fine)
    .bind(before)
    .bind(STEP_ROWS - 1)
    .fetch_optional(&mut *conn)
    .await?;
    let (start, worker) = match &last {
        Some(row) => (row.try_get("start")?, row.try_get("worker")?),
        None => (before, i64::MIN),
    };
    let moved = sqlx::query(
        "BEGIN IMMEDIATE;
         INSERT INTO buckets
             SELECT ?2, start - start % ?2, worker, sum(accepted), sum(rejected), sum(work),
                    max(best)
             FROM buckets WHERE width = ?1 AND (start, worker) <= (?3, ?4)
             GROUP BY 2, 3
             ON CONFLICT DO UPDATE SET
                 accepted = accepted + excluded.accepted,
                 rejected = rejected + excluded.rejected,
                 work = work + excluded.work,
                 best = max(ifnull(best, excluded.best), ifnull(excluded.best, best));
         DELETE FROM buckets WHERE width = ?1 AND (start, worker) <= (?3, ?4);
         COMMIT;",
    )
    .bind(fine)
    .bind(coarse)
    .bind(start)
    .bind(worker)
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() > 0)
}

async fn forget_sessions(conn: &mut SqliteConnection, before: i64) -> Result<bool, sqlx::Error> {
    let gone = sqlx::query(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE closed < ? LIMIT ?)",
    )
    .bind(before)
    .bind(STEP_ROWS)
    .execute(conn)
    .await?;
    Ok(gone.rows_affected() > 0)
}

#[cfg(test)]
mod tests;
