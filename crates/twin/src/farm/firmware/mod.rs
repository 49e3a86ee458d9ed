//! What each firmware answers. Pure: a request in, an answer out; sockets and faults are around it.

pub mod antminer;
pub mod avalon;
pub mod axeos;
pub mod braiins;
pub mod braiins_grpc;
mod braiins_proto;
mod digest;
pub mod luxos;
mod reply;
pub mod whatsminer;
mod whatsminer_cipher;

#[cfg(test)]
mod bench;

use super::{Kind, Machine, Output, Setting};
use std::time::Duration;

/// A request as the sockets deliver it.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// On the web port.
    Http {
        /// `GET`.
        method: String,
        /// With the query.
        path: String,
        /// The Authorization header.
        authorization: Option<String>,
        /// Whole body.
        body: Vec<u8>,
    },
    /// On the cgminer port: what came until the JSON was whole.
    Line(String),
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// On the web port.
    Http {
        /// 200.
        status: u16,
        /// Besides the length.
        headers: Vec<(&'static str, String)>,
        /// Whole body.
        body: Vec<u8>,
    },
    /// On the cgminer port: sent with a zero byte behind it, then the connection is closed.
    Line(String),
    /// On the cgminer port: sent, and the next line of the same connection is answered, too.
    LineThenMore(String),
    /// Nothing is said; the connection is closed.
    Hangup,
}

/// What a firmware wants done to its machine besides answering.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// This setting, after this long.
    Set(Setting, Duration),
    /// A restart of the control board.
    Restart,
    /// A restart of hashing alone, which takes this long.
    Rehash(Duration),
}

/// What sensors and counters show to the firmware.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// What comes out of it.
    pub output: Output,
    /// Since the control board started.
    pub uptime: Duration,
    /// Shares taken by the pool.
    pub accepted: u64,
    /// Shares that the pool refused.
    pub rejected: u64,
    /// Seconds since 1970, for fields such as `When`.
    pub unix: u64,
    /// A liar's factor on the hashrate it claims; 1 for an honest machine.
    pub claims: f64,
}

/// A firmware: its own persistent state and what it says.
pub trait Firmware: Send + Remember {
    /// Answers, late by the given time, with what is to be done to the machine.
    fn answer(&mut self, ask: &Ask, view: &View<'_>) -> (Answer, Duration, Vec<Effect>);

    /// Ports that it listens on: 80 for the web, 50051 for gRPC, others in cgminer's framing.
    fn ports(&self) -> &'static [u16];

    /// The control board restarts: what is not persistent is forgotten.
    fn restarted(&mut self);

    /// Pools as they are now, for faults that lose them and tests that look.
    fn pools(&mut self) -> &mut Vec<Pool>;
}

/// A copy of a firmware with all that it remembers: what it is put back to by a fault under which it
/// says yes and forgets. Every firmware that is `Clone` has it.
pub trait Remember {
    /// The copy.
    fn remember(&self) -> Box<dyn Firmware>;
}

impl<T: Firmware + Clone + 'static> Remember for T {
    fn remember(&self) -> Box<dyn Firmware> {
        Box::new(self.clone())
    }
}

/// The firmware of a machine of this kind; the seed gives this one machine its addresses and serials.
pub fn of(kind: Kind, seed: u64) -> Box<dyn Firmware> {
    match kind {
        Kind::BitaxeGamma => Box::new(axeos::AxeOs::new(seed)),
        Kind::BraiinsS21Pro => Box::new(braiins::Braiins::new(seed)),
        Kind::WhatsminerM30Spp => Box::new(whatsminer::Whatsminer::new(seed)),
        Kind::LuxS19kPro => Box::new(luxos::LuxOs::new(seed)),
        Kind::AntminerS21 => Box::new(antminer::Antminer::new(seed)),
        Kind::AvalonQ => Box::new(avalon::Avalon::new(seed)),
    }
}

/// One pool of a firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// `stratum+tcp://host:port`.
    pub url: String,
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

/// Where machines mine as they come from the factory: nowhere.
fn vendor_pools() -> Vec<Pool> {
    let pool = |host: &str| Pool {
        url: format!("stratum+tcp://{host}:3333"),
        user: "vendor.default".into(),
        password: "x".into(),
    };
    vec![pool("pool.invalid"), pool("backup.invalid")]
}
