//! The journal: what was committed and not yet folded into the tables.
//!
//! Writing one row per commit costs far less than updating a row per worker and table each time.
//! A row belongs to a generation. While one generation is folded the next one is written; when it
//! is folded its rows are written over, in place, by the one after the next, so that a commit
//! touches one page. After a crash the rows of generations that are not folded are folded at the
//! next start. A row holds [`Entry`]s in the format of <https://postcard.jamesmunns.com>, which is
//! a third of JSON.

use crate::tally::{Best, Sums, Tallies, Tally};
use serde::{Deserialize, Serialize};
use sqlx::{Row, SqliteConnection};
use std::{borrow::Cow, collections::BTreeMap};

/// Of one worker in one commit. A change of this is a change of the schema.
#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    worker: i64,
    last_at: i64,
    /// Difficulty and time.
    best: Option<(f64, i64)>,
    buckets: Cow<'a, [Sums]>,
    rejected: Cow<'a, [(Cow<'static, str>, u64)]>,
}

/// Writes one row: the sums of one commit, by worker id. `number` counts the rows of a generation.
pub(crate) async fn write(
    conn: &mut SqliteConnection,
    generation: i64,
    number: i64,
    tallies: &[(i64, Tally)],
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO journal VALUES (?, ?, ?)")
        .bind(2 * number + generation % 2)
        .bind(generation)
        .bind(encode(tallies)?)
        .execute(conn)
        .await?;
    Ok(())
}

fn encode(tallies: &[(i64, Tally)]) -> Result<Vec<u8>, sqlx::Error> {
    let entries: Vec<_> = tallies
        .iter()
        .map(|(worker, tally)| Entry {
            worker: *worker,
            last_at: tally.last_at,
            best: tally.best.map(|best| (best.difficulty, best.at)),
            buckets: Cow::Borrowed(&tally.buckets),
            rejected: Cow::Borrowed(&tally.rejected),
        })
        .collect();
    postcard::to_allocvec(&entries).map_err(|e| sqlx::Error::Encode(e.into()))
}

/// What a crash has left, oldest generation first.
pub(crate) async fn left_over(
    conn: &mut SqliteConnection,
    last_block_at: i64,
) -> Result<BTreeMap<i64, Tallies>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT generation, entries FROM journal
         WHERE generation > (SELECT generation FROM journal_folded) ORDER BY generation, id",
    )
    .fetch_all(conn)
    .await?;
    let mut generations = BTreeMap::<i64, Tallies>::new();
    for row in rows {
        let tallies = generations.entry(row.try_get("generation")?).or_default();
        let entries: Vec<Entry> = postcard::from_bytes(row.try_get("entries")?)
            .map_err(|e| sqlx::Error::Decode(e.into()))?;
        for entry in entries {
            let best = entry.best.map(|(difficulty, at)| Best { difficulty, at });
            let tally = Tally {
                // Of no use any more: the worker has its row.
                first_at: entry.last_at,
                last_at: entry.last_at,
                best,
                since_block: best.filter(|best| best.at > last_block_at),
                buckets: entry.buckets.into_owned(),
                rejected: entry.rejected.into_owned(),
            };
            tallies.add(entry.worker, tally);
        }
    }
    Ok(generations)
}
