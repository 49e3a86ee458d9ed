//! Finding machines: by asking every address of a range, by their own announcements, and by who connects
//! to our Stratum port. Rate limits keep a home router alive.

pub mod mdns;
pub mod probe;
pub mod range;
pub mod scan;

use crate::{device::Endpoint, identity::Identity};
use std::{net::IpAddr, sync::Arc};

/// A machine that answered.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where.
    pub endpoint: Endpoint,
    /// What it says it is.
    pub identity: Identity,
}

/// Somebody proved work at our Stratum port: perhaps a machine that we do not know yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// From where.
    pub ip: IpAddr,
    /// Full Stratum name.
    pub worker: Arc<str>,
    /// What it calls itself.
    pub user_agent: Option<Arc<str>>,
}
