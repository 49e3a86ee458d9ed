//! Sessions: one worker on one connection, from authorize to the end.

use crate::tally::seconds;
use serde_json::{Value, json};
use sqlx::{Row, SqliteConnection};
use units::Work;

/// Identifies a session in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub(crate) u64);

/// A miner authorized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOpened {
    /// User name as authorized.
    pub worker: String,
    /// Address that its blocks pay.
    pub address: String,
    /// Network address and port of the miner.
    pub peer: String,
    /// What the miner program calls itself.
    pub user_agent: Option<String>,
    /// When, seconds since 1970.
    pub at: u64,
}

/// A miner has gone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SessionClosed {
    /// When, seconds since 1970.
    pub at: u64,
    /// Accepted shares of the whole session.
    pub accepted: u64,
    /// What they prove.
    pub work: Work,
}

/// Session records that wait to be written, as the statements want them.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    opened: Vec<Value>,
    closed: Vec<Value>,
}

impl Sessions {
    pub fn open(&mut self, id: SessionId, session: SessionOpened) {
        let SessionOpened { worker, address, peer, user_agent, at } = session;
        self.opened.push(json!([id.0, worker, address, peer, user_agent, seconds(at)]));
    }

    pub fn close(&mut self, id: SessionId, closed: SessionClosed) {
        let accepted = seconds(closed.accepted);
        self.closed.push(json!([id.0, seconds(closed.at), accepted, closed.work.hashes()]));
    }

    pub fn len(&self) -> usize {
        self.opened.len() + self.closed.len()
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub async fn write(&self, conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let text = |rows: &Vec<Value>| serde_json::to_string(rows).unwrap_or_default();
        sqlx::query(
            "BEGIN IMMEDIATE;
             INSERT OR IGNORE INTO sessions (id, worker, address, peer, user_agent, opened)
                 SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5
                 FROM json_each(?1);
             UPDATE sessions SET closed = max(opened, d.at), accepted = d.accepted, work = d.work
                 FROM (SELECT value->>0 AS id, value->>1 AS at, value->>2 AS accepted,
                              value->>3 AS work FROM json_each(?2)) AS d
                 WHERE sessions.id = d.id;
             COMMIT;",
        )
        .bind(text(&self.opened))
        .bind(text(&self.closed))
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// Ends the sessions that a killed program left open, at their worker's last share. Returns the
/// first id that is free.
pub(crate) async fn end_cut_off(conn: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "UPDATE sessions SET closed = max(opened, ifnull(
             (SELECT last_seen FROM workers WHERE name = sessions.worker), 0))
         WHERE closed IS NULL",
    )
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query("SELECT ifnull(max(id), 0) + 1 FROM sessions").fetch_one(conn).await?;
    Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
}
