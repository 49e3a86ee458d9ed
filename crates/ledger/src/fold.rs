//! Folding: adds the sums of one generation to the tables, some workers per transaction, so that
//! no commit waits long for it. A worker's row remembers the last generation that was added to it,
//! so a crash between two of these transactions adds nothing twice.

use crate::tally::{MINUTE, Tally};
use serde_json::json;
use sqlx::{Row, SqliteConnection};
use std::collections::HashSet;

/// Adds the sums of these workers. `last`: nothing of this generation is left after them, so its
/// rows in the journal are of no more use.
pub(crate) async fn fold(
    conn: &mut SqliteConnection,
    generation: i64,
    slice: &[(i64, Tally)],
    last: bool,
) -> Result<(), sqlx::Error> {
    let workers = serde_json::Value::from_iter(slice.iter().map(|(worker, tally)| {
        let (best, since) = (tally.best, tally.since_block);
        json!([
            worker,
            tally.last_at,
            tally.accepted(),
            tally.rejected(),
            tally.work(),
            best.map(|best| best.difficulty),
            best.map(|best| best.at),
            since.map(|best| best.difficulty),
            since.map(|best| best.at),
        ])
    }));
    let buckets = serde_json::Value::from_iter(slice.iter().flat_map(|(worker, tally)| {
        let row = move |s: &crate::tally::Sums| {
            json!([MINUTE, s.start, worker, s.accepted, s.rejected, s.work, s.best])
        };
        tally.buckets.iter().map(row)
    }));
    let rejects = serde_json::Value::from_iter(slice.iter().flat_map(|(worker, tally)| {
        tally.rejected.iter().map(move |(reason, count)| json!([worker, reason, count]))
    }));
    sqlx::query(
        "BEGIN IMMEDIATE;
         UPDATE workers SET
             last_seen = max(workers.last_seen, d.last_seen),
             accepted = workers.accepted + d.accepted,
             rejected = workers.rejected + d.rejected,
             work = workers.work + d.work,
             best_at = CASE WHEN d.best > ifnull(workers.best, 0) THEN d.best_at
                            ELSE workers.best_at END,
             best = CASE WHEN d.best > ifnull(workers.best, 0) THEN d.best ELSE workers.best END,
             best_since_block_at = CASE WHEN d.since > ifnull(workers.best_since_block, 0)
                            THEN d.since_at ELSE workers.best_since_block_at END,
             best_since_block = CASE WHEN d.since > ifnull(workers.best_since_block, 0)
                            THEN d.since ELSE workers.best_since_block END,
             folded = ?4
             FROM (SELECT value->>0 AS id, value->>1 AS last_seen, value->>2 AS accepted,
                          value->>3 AS rejected, value->>4 AS work, value->>5 AS best,
                          value->>6 AS best_at, value->>7 AS since, value->>8 AS since_at
                   FROM json_each(?1)) AS d
             WHERE workers.id = d.id;
         INSERT INTO buckets
             SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6
             FROM json_each(?2) WHERE true
             ON CONFLICT DO UPDATE SET
                 accepted = accepted + excluded.accepted,
                 rejected = rejected + excluded.rejected,
                 work = work + excluded.work,
                 best = max(ifnull(best, excluded.best), ifnull(excluded.best, best));
         INSERT INTO rejects
             SELECT value->>0, value->>1, value->>2 FROM json_each(?3) WHERE true
             ON CONFLICT DO UPDATE SET count = count + excluded.count;
         UPDATE journal_folded SET generation = ?4 WHERE ?5;
         COMMIT;",
    )
    .bind(workers.to_string())
    .bind(buckets.to_string())
    .bind(rejects.to_string())
    .bind(generation)
    .bind(last)
    .execute(conn)
    .await?;
    Ok(())
}

/// Folds what a crash has left and returns the next free generation.
pub(crate) async fn recover(
    conn: &mut SqliteConnection,
    last_block_at: i64,
) -> Result<i64, sqlx::Error> {
    let next = 1 + latest(conn).await?;
    for (generation, mut tallies) in crate::journal::left_over(conn, last_block_at).await? {
        let rows = sqlx::query("SELECT id FROM workers WHERE folded >= ?")
            .bind(generation)
            .fetch_all(&mut *conn)
            .await?;
        let done = rows.iter().map(|row| row.try_get("id")).collect::<Result<HashSet<i64>, _>>()?;
        let slice: Vec<_> = tallies.drain().filter(|(worker, _)| !done.contains(worker)).collect();
        fold(conn, generation, &slice, true).await?;
    }
    Ok(next)
}

async fn latest(conn: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query(
        "SELECT max(generation, (SELECT ifnull(max(folded), 0) FROM workers),
                    (SELECT ifnull(max(generation), 0) FROM journal)) FROM journal_folded",
    )
    .fetch_one(conn)
    .await?
    .try_get(0)
}
