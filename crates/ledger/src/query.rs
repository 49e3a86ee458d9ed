//! Questions to the record. They read only what is committed and never hold the writer up.

use crate::{BlockRow, Ledger, LedgerError, SessionId, tally::seconds};
use sqlx::{Row, sqlite::SqliteRow};
use std::collections::BTreeMap;
use units::{Difficulty, Work};

/// Sums over all workers, ever.
#[derive(Debug, Clone, PartialEq)]
pub struct Totals {
    /// Workers that ever sent a share.
    pub workers: u64,
    /// Accepted shares.
    pub accepted: u64,
    /// What they prove.
    pub work: Work,
    /// Rejected shares by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Best share ever.
    pub best: Option<Difficulty>,
    /// Best share since the last block found here.
    pub best_since_block: Option<Difficulty>,
    /// Blocks found here, in any state.
    pub blocks: u64,
}

/// One worker, ever.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerRow {
    /// User name as authorized.
    pub name: String,
    /// First share, seconds since 1970.
    pub first_seen: u64,
    /// Last share, seconds since 1970.
    pub last_seen: u64,
    /// Accepted shares.
    pub accepted: u64,
    /// What they prove.
    pub work: Work,
    /// Rejected shares by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Best share ever, and when, seconds since 1970.
    pub best: Option<(Difficulty, u64)>,
    /// Best share since the last block found here, and when.
    pub best_since_block: Option<(Difficulty, u64)>,
}

/// Width of a bucket of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 60 s.
    Minute,
    /// 3,600 s.
    Hour,
    /// 86,400 s, from midnight UTC.
    Day,
}

impl Width {
    const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// In seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }
}

/// Work in a span of time. Spans without a share have no bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Begin, seconds since 1970.
    pub start: u64,
    /// As asked for, or wider where the record has become coarse by age.
    pub width_s: u64,
    /// Accepted shares.
    pub accepted: u64,
    /// Rejected shares.
    pub rejected: u64,
    /// What the accepted shares prove.
    pub work: Work,
    /// Best share.
    pub best: Option<Difficulty>,
}

/// One of the luckiest shares: the best of its worker.
#[derive(Debug, Clone, PartialEq)]
pub struct BestShareRow {
    /// User name as authorized.
    pub worker: String,
    /// The share's difficulty.
    pub difficulty: Difficulty,
    /// When, seconds since 1970.
    pub at: u64,
}

/// One session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRow {
    /// Identifies it.
    pub id: SessionId,
    /// User name as authorized.
    pub worker: String,
    /// Address that its blocks pay.
    pub address: String,
    /// Network address and port of the miner.
    pub peer: String,
    /// What the miner program calls itself.
    pub user_agent: Option<String>,
    /// Begin, seconds since 1970.
    pub opened: u64,
    /// End; `None` while it lasts. After a crash: the worker's last share.
    pub closed: Option<u64>,
    /// Accepted shares; 0 until it has ended.
    pub accepted: u64,
    /// What they prove; none until it has ended.
    pub work: Work,
}

impl Ledger {
    /// Sums over all workers, ever.
    pub async fn totals(&self) -> Result<Totals, LedgerError> {
        let query = sqlx::query(
            "SELECT count(*) AS workers, ifnull(sum(accepted), 0) AS accepted, total(work) AS work,
                    max(best) AS best, max(best_since_block) AS since,
                    (SELECT count(*) FROM blocks) AS blocks
             FROM workers",
        );
        let row = self.answer(query.fetch_one(&self.readers).await)?;
        let query = sqlx::query("SELECT reason, sum(count) AS count FROM rejects GROUP BY reason");
        let rejects = self.answer(query.fetch_all(&self.readers).await)?;
        let read = || {
            Ok(Totals {
                workers: count(&row, "workers")?,
                accepted: count(&row, "accepted")?,
                work: work(&row)?,
                rejected: rejects.iter().map(reason).collect::<Result<_, _>>()?,
                best: difficulty(&row, "best")?,
                best_since_block: difficulty(&row, "since")?,
                blocks: count(&row, "blocks")?,
            })
        };
        self.answer(read())
    }

    /// Workers with a share at or after `seen_since` (seconds since 1970), latest first, at most
    /// `limit`.
    pub async fn workers(
        &self,
        seen_since: u64,
        limit: u32,
    ) -> Result<Vec<WorkerRow>, LedgerError> {
        let query = sqlx::query(
            "SELECT workers.*, (SELECT json_group_object(reason, count) FROM rejects
                                WHERE worker = workers.id) AS rejects
             FROM workers WHERE last_seen >= ? ORDER BY last_seen DESC, name LIMIT ?",
        )
        .bind(seconds(seen_since))
        .bind(limit);
        let rows = self.answer(query.fetch_all(&self.readers).await)?;
        self.answer(rows.iter().map(worker).collect())
    }

    /// One worker by its name; `None` if it never sent a share.
    pub async fn worker(&self, name: &str) -> Result<Option<WorkerRow>, LedgerError> {
        let query = sqlx::query(
            "SELECT workers.*, (SELECT json_group_object(reason, count) FROM rejects
                                WHERE worker = workers.id) AS rejects
             FROM workers WHERE name = ?",
        )
        .bind(name);
        let row = self.answer(query.fetch_optional(&self.readers).await)?;
        self.answer(row.as_ref().map(worker).transpose())
    }

    /// Work over time from `from` (included) to `to` (excluded), both seconds since 1970, of one
    /// worker or of all, oldest first. A bucket belongs to the span when its begin does.
    pub async fn buckets(
        &self,
        worker: Option<&str>,
        from: u64,
        to: u64,
        width: Width,
    ) -> Result<Vec<Bucket>, LedgerError> {
        let mut found = Vec::new();
        for stored in Width::ALL {
            let shown = seconds(stored.seconds().max(width.seconds()));
            // One worker's rows lie far apart, one per span: each is looked up by its key.
            let query = match worker {
                None => sqlx::query(
                    "SELECT start - start % ?4 AS start, ?4 AS width, sum(accepted) AS accepted,
                            sum(rejected) AS rejected, sum(work) AS work, max(best) AS best
                     FROM buckets WHERE width = ?1 AND start >= ?2 AND start < ?3
                     GROUP BY 1",
                ),
                Some(_) => sqlx::query(
                    "WITH RECURSIVE
                     ends (first, last) AS (
                         SELECT (SELECT min(start) FROM buckets WHERE width = ?1 AND start >= ?2),
                                (SELECT max(start) FROM buckets WHERE width = ?1 AND start < ?3)),
                     spans (at) AS (
                         SELECT first FROM ends WHERE first <= last
                         UNION ALL SELECT at + ?1 FROM spans, ends WHERE at + ?1 <= last)
                     SELECT start - start % ?4 AS start, ?4 AS width, sum(accepted) AS accepted,
                            sum(rejected) AS rejected, sum(work) AS work, max(best) AS best
                     FROM spans CROSS JOIN buckets ON width = ?1 AND start = at
                         AND worker = (SELECT id FROM workers WHERE name = ?5)
                     GROUP BY 1",
                ),
            }
            .bind(seconds(stored.seconds()))
            .bind(seconds(from))
            .bind(seconds(to))
            .bind(shown)
            .bind(worker);
            for row in self.answer(query.fetch_all(&self.readers).await)? {
                found.push(self.answer(bucket(&row))?);
            }
        }
        found.sort_by_key(|bucket| (bucket.start, bucket.width_s));
        found.dedup_by(|later, first| {
            let same = (later.start, later.width_s) == (first.start, first.width_s);
            if same {
                first.accepted += later.accepted;
                first.rejected += later.rejected;
                first.work += later.work;
                first.best = match (first.best, later.best) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    (a, b) => a.or(b),
                };
            }
            same
        });
        Ok(found)
    }

    /// The last blocks found here, latest first.
    pub async fn blocks(&self, limit: u32) -> Result<Vec<BlockRow>, LedgerError> {
        let query =
            sqlx::query("SELECT * FROM blocks ORDER BY found_at DESC, height DESC, hash LIMIT ?")
                .bind(limit);
        let rows = self.answer(query.fetch_all(&self.readers).await)?;
        self.answer(rows.into_iter().map(BlockRow::try_from).collect())
    }

    /// The workers with the best shares ever, best first.
    pub async fn best_shares(&self, limit: u32) -> Result<Vec<BestShareRow>, LedgerError> {
        let query = sqlx::query(
            "SELECT name, best, best_at FROM workers WHERE best NOT NULL
             ORDER BY best DESC, best_at LIMIT ?",
        )
        .bind(limit);
        let rows = self.answer(query.fetch_all(&self.readers).await)?;
        let read = |row: &SqliteRow| {
            let Some((difficulty, at)) = best(row, "best", "best_at")? else {
                return Ok(None);
            };
            Ok(Some(BestShareRow { worker: row.try_get("name")?, difficulty, at }))
        };
        self.answer(rows.iter().filter_map(|row| read(row).transpose()).collect())
    }

    /// The last sessions of one worker or of all, latest first.
    pub async fn sessions(
        &self,
        worker: Option<&str>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, LedgerError> {
        let query = match worker {
            None => sqlx::query("SELECT * FROM sessions ORDER BY id DESC LIMIT ?1"),
            Some(_) => sqlx::query(
                "SELECT * FROM sessions WHERE worker = ?2 ORDER BY opened DESC, id DESC LIMIT ?1",
            ),
        }
        .bind(limit)
        .bind(worker);
        let rows = self.answer(query.fetch_all(&self.readers).await)?;
        let read = |row: &SqliteRow| {
            Ok(SessionRow {
                id: SessionId(count(row, "id")?),
                worker: row.try_get("worker")?,
                address: row.try_get("address")?,
                peer: row.try_get("peer")?,
                user_agent: row.try_get("user_agent")?,
                opened: count(row, "opened")?,
                closed: row.try_get::<Option<i64>, _>("closed")?.map(i64::unsigned_abs),
                accepted: count(row, "accepted")?,
                work: work(row)?,
            })
        };
        self.answer(rows.iter().map(read).collect())
    }

    fn answer<T>(&self, result: Result<T, sqlx::Error>) -> Result<T, LedgerError> {
        result.map_err(|e| LedgerError::from_sqlite(&self.path, e))
    }
}

fn worker(row: &SqliteRow) -> Result<WorkerRow, sqlx::Error> {
    Ok(WorkerRow {
        name: row.try_get("name")?,
        first_seen: count(row, "first_seen")?,
        last_seen: count(row, "last_seen")?,
        accepted: count(row, "accepted")?,
        work: work(row)?,
        rejected: serde_json::from_str(row.try_get("rejects")?)
            .map_err(|e| sqlx::Error::Decode(e.into()))?,
        best: best(row, "best", "best_at")?,
        best_since_block: best(row, "best_since_block", "best_since_block_at")?,
    })
}

fn bucket(row: &SqliteRow) -> Result<Bucket, sqlx::Error> {
    Ok(Bucket {
        start: count(row, "start")?,
        width_s: count(row, "width")?,
        accepted: count(row, "accepted")?,
        rejected: count(row, "rejected")?,
        work: work(row)?,
        best: difficulty(row, "best")?,
    })
}

fn reason(row: &SqliteRow) -> Result<(String, u64), sqlx::Error> {
    Ok((row.try_get("reason")?, count(row, "count")?))
}

fn count(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column).map(i64::unsigned_abs)
}

fn work(row: &SqliteRow) -> Result<Work, sqlx::Error> {
    row.try_get("work").map(Work::from_hashes)
}

fn difficulty(row: &SqliteRow, column: &str) -> Result<Option<Difficulty>, sqlx::Error> {
    Ok(row.try_get::<Option<f64>, _>(column)?.and_then(|best| Difficulty::new(best).ok()))
}

fn best(row: &SqliteRow, column: &str, at: &str) -> Result<Option<(Difficulty, u64)>, sqlx::Error> {
    let at = row.try_get::<Option<i64>, _>(at)?;
    Ok(difficulty(row, column)?.zip(at.map(i64::unsigned_abs)))
}
