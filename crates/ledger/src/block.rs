//! Blocks found here, one row by hash.

use sqlx::{Executor, Row, SqliteConnection, sqlite::SqliteRow};
use std::{fmt, str::FromStr};
use units::Sats;

use crate::tally::seconds;

/// One block found here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRow {
    /// As block explorers print it.
    pub hash: String,
    /// Its height.
    pub height: u32,
    /// User name of the miner that found it.
    pub worker: String,
    /// Address that it pays.
    pub address: String,
    /// Subsidy and fees.
    pub value: Sats,
    /// When it was found, seconds since 1970.
    pub found_at: u64,
    /// Where it stands.
    pub state: BlockState,
    /// Depth in the best chain: 1 for the tip, 0 when it is not in the chain.
    pub confirmations: u32,
    /// Why the nodes refused it.
    pub reject_reason: Option<String>,
}

/// Where a block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockState {
    /// Safe on our disk; no node has taken it yet.
    Pending,
    /// A node has taken it; not yet deep enough to count on.
    Candidate,
    /// Deep in the best chain.
    Confirmed,
    /// Another block won its height.
    Orphaned,
    /// Every node refused it.
    Rejected,
}

impl BlockState {
    /// Every state, in the order of a block's life.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Candidate, Self::Confirmed, Self::Orphaned, Self::Rejected];

    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Candidate => "candidate",
            Self::Confirmed => "confirmed",
            Self::Orphaned => "orphaned",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for BlockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no state of a block.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is no state of a block")]
pub struct UnknownState(String);

impl FromStr for BlockState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| UnknownState(text.into()))
    }
}

/// Writes all rows with a full sync, so that not even a power cut loses them. A block's height,
/// finder, value and time stay what was said first.
pub(crate) async fn write(
    conn: &mut SqliteConnection,
    rows: &[BlockRow],
) -> Result<(), sqlx::Error> {
    let found_at = rows.iter().map(|row| seconds(row.found_at)).max().unwrap_or(0);
    let entries = serde_json::Value::from_iter(rows.iter().map(|row| {
        serde_json::json!([
            row.hash,
            row.height,
            row.worker,
            row.address,
            seconds(row.value.0),
            seconds(row.found_at),
            row.state.as_str(),
            row.confirmations,
            row.reject_reason,
        ])
    }));
    // SQLite obeys this pragma when it is compiled, not when it runs: a cached statement would not.
    conn.execute("PRAGMA synchronous = FULL").await?;
    sqlx::query(
        "BEGIN IMMEDIATE;
         INSERT INTO blocks
             SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6,
                    value->>7, value->>8
             FROM json_each(?1) WHERE true
             ON CONFLICT (hash) DO UPDATE SET state = excluded.state,
                 confirmations = excluded.confirmations, reject_reason = excluded.reject_reason;
         UPDATE workers SET best_since_block = NULL, best_since_block_at = NULL
             WHERE best_since_block_at <= ?2;
         COMMIT;",
    )
    .bind(entries.to_string())
    .bind(found_at)
    .execute(&mut *conn)
    .await?;
    conn.execute("PRAGMA synchronous = NORMAL").await?;
    Ok(())
}

/// Time of the last block, seconds since 1970; 0 when there is none.
pub(crate) async fn last_found_at(conn: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let row = sqlx::query("SELECT ifnull(max(found_at), 0) FROM blocks").fetch_one(conn).await?;
    row.try_get(0)
}

impl TryFrom<SqliteRow> for BlockRow {
    type Error = sqlx::Error;

    fn try_from(row: SqliteRow) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        Ok(Self {
            hash: row.try_get("hash")?,
            height: row.try_get("height")?,
            worker: row.try_get("worker")?,
            address: row.try_get("address")?,
            value: Sats(row.try_get::<i64, _>("value_sats")?.unsigned_abs()),
            found_at: row.try_get::<i64, _>("found_at")?.unsigned_abs(),
            state: state.parse().map_err(|e: UnknownState| sqlx::Error::Decode(e.into()))?,
            confirmations: row.try_get("confirmations")?,
            reject_reason: row.try_get("reject_reason")?,
        })
    }
}

#[cfg(test)]
pub(crate) fn example(hash: &str) -> BlockRow {
    BlockRow {
        hash: hash.into(),
        height: 7,
        worker: "tb1q.heater".into(),
        address: "tb1q".into(),
        value: Sats(5_000_000_000),
        found_at: 1_790_000_000,
        state: BlockState::Pending,
        confirmations: 0,
        reject_reason: None,
    }
}
