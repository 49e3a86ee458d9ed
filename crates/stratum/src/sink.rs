//! What a server hands on, and to whom: the seam between shares and the rest of the program.

use crate::workers::Delta;
use chain::SolvedBlock;
use std::{io, net::SocketAddr, sync::Arc};
use units::Work;

/// Takes what the server produces. Called from the reactors: nothing here may wait for long.
pub trait Sink: Send + Sync + 'static {
    /// A share solves a block. When this returns the block must be safe on disk, or the error logged:
    /// only then is the miner answered.
    fn solved(&self, block: SolvedBlock) -> io::Result<()>;

    /// Work since the last batch, at least every [`HAND_OVER_MS`] while there is any. Given back when
    /// there is no room: it is then added up with what follows, so that nothing is lost or counted
    /// twice.
    fn work(&self, batch: Vec<Delta>) -> Result<(), Vec<Delta>>;

    /// A connection has its first accepted share.
    fn session_opened(&self, session: Opened);

    /// A connection that was opened to the sink is gone.
    fn session_closed(&self, session: Closed);
}

/// Longest time that accepted work stays with a reactor, milliseconds. All reactors hand over at the
/// same moments, so that the ledger commits once for all of them.
pub const HAND_OVER_MS: u64 = 35;

/// A connection that has proved work.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Unique since the server started.
    pub id: u64,
    /// The worker's full name.
    pub worker: Arc<str>,
    /// Address that its blocks pay.
    pub address: Arc<str>,
    /// Where it connects from.
    pub peer: SocketAddr,
    /// What the machine calls itself.
    pub user_agent: Option<Arc<str>>,
    /// Connected at, seconds since 1970.
    pub at: u64,
}

/// The end of such a connection.
#[derive(Debug, Clone)]
pub struct Closed {
    /// As in [`Opened`].
    pub id: u64,
    /// Ended at, seconds since 1970.
    pub at: u64,
    /// Accepted shares.
    pub accepted: u64,
    /// Work they prove.
    pub work: Work,
}
