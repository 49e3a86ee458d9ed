//! A server without sockets, for benchmarks and fuzzing: bytes in, bytes out, time stands still.

use crate::{
    Closed, Config, Delta, Opened, Sink,
    coinbase::{Coinbase, EXTRANONCE1_SIZE, Payout},
    engine::{Engine, Now, Shared},
    job::{Job, instance_of},
    steer::{Steer, Steered},
};
use chain::{SolvedBlock, Template};
use std::{io, sync::Arc, time::Duration};

/// A server without sockets.
pub struct Dry {
    engine: Engine,
    number: u32,
}

impl Dry {
    /// `unix`: the time at which it stands still, seconds since 1970.
    pub fn new(config: Config, unix: u64) -> Self {
        let fallback = config.fallback_address.as_deref();
        let fallback = fallback.and_then(|text| Payout::parse(text, config.network).ok());
        let mut engine = Engine::new(Arc::new(Shared::new(config, fallback, 1)), Arc::new(Nobody));
        engine.now = Now { ms: 1, unix };
        Self { engine, number: 0 }
    }

    /// Makes a job of a template and gives it to nobody yet.
    pub fn job(&mut self, template: Arc<Template>, new_tip: bool) {
        self.number += 1;
        let config = &self.engine.shared.config;
        let extranonce = EXTRANONCE1_SIZE + config.extranonce2_size;
        let coinbase =
            Coinbase::new(&template, &config.tag, instance_of([0; 8], self.number), extranonce);
        self.engine.take_job(Arc::new(Job::new(self.number, template, coinbase)), new_tip);
    }

    /// Tells every session the current job, as a reactor does; gives the bytes to be sent.
    pub fn announce(&mut self) -> usize {
        let mut sent = 0;
        for key in 0..self.engine.sessions.capacity() {
            self.engine.announce(key);
            if self.engine.out.bytes.len() > 128 * 1024 {
                sent += self.engine.out.bytes.len();
                self.engine.out.clear();
            }
        }
        sent += self.engine.out.bytes.len();
        self.engine.out.clear();
        sent
    }

    /// The server's owner sets this many machines apart that are not connected.
    pub fn steer_strangers(&mut self, count: usize) {
        let steer = Steer { share_interval: Some(Duration::from_secs(1)), curtailed: false };
        let who = |i| Steered::Worker(format!("stranger.{i}").into());
        self.engine.steer((0..count).map(|i| (who(i), steer)).collect());
    }

    /// A miner connects; its key.
    pub fn connect(&mut self) -> usize {
        self.engine.open(([127, 0, 0, 1], 1).into(), 0)
    }

    /// Bytes of a miner arrive and are answered; gives the answers of all sessions.
    pub fn receive(&mut self, key: usize, bytes: &[u8]) -> &[u8] {
        self.engine.out.clear();
        self.engine.receive(key, bytes);
        self.engine.settle();
        &self.engine.out.bytes
    }

    /// Time passes, milliseconds.
    pub fn pass(&mut self, ms: u64) {
        self.engine.now.ms += ms;
        self.engine.tick();
        self.engine.hand_over();
    }

    /// A miner is gone, or was told to go.
    pub fn close(&mut self, key: usize) {
        self.engine.close(key);
        self.engine.ended.retain(|(ended, _)| *ended != key);
    }

    /// Whether the engine wants this connection ended.
    pub fn is_ended(&self, key: usize) -> bool {
        self.engine.ended.iter().any(|(ended, _)| *ended == key)
    }
}

struct Nobody;

impl Sink for Nobody {
    fn solved(&self, _: SolvedBlock) -> io::Result<()> {
        Ok(())
    }

    fn work(&self, _: Vec<Delta>) -> Result<(), Vec<Delta>> {
        Ok(())
    }

    fn session_opened(&self, _: Opened) {}

    fn session_closed(&self, _: Closed) {}
}
