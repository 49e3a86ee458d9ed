//! A machine with its firmware on a bench without sockets: what tests ask and do.

use super::{Answer, Ask, Effect, Firmware, View};
use crate::farm::{Kind, Machine, Spec};
use serde_json::Value;
use std::time::Duration;
use units::Celsius;

pub(super) struct Bench {
    pub(super) machine: Machine,
    pub(super) firmware: Box<dyn Firmware>,
    pub(super) uptime: Duration,
    pub(super) delay: Duration,
    due: Vec<(Duration, super::Setting)>,
}

impl Bench {
    /// On and settled.
    pub(super) fn new(kind: Kind) -> Self {
        let air = Celsius::new(25.0).unwrap();
        let mut machine = Machine::new(Spec::of(kind), air);
        machine.power(true);
        let firmware = super::of(kind, 7);
        let (uptime, delay) = (Duration::ZERO, Duration::ZERO);
        let mut bench = Self { machine, firmware, uptime, delay, due: vec![] };
        bench.wait(1200);
        bench
    }

    /// So many seconds pass.
    pub(super) fn wait(&mut self, seconds: u64) {
        let step = Duration::from_millis(500);
        for _ in 0..seconds * 2 {
            self.uptime += step;
            let now = self.uptime;
            for (_, setting) in self.due.iter().filter(|(at, _)| *at <= now) {
                self.machine.set(*setting);
            }
            self.due.retain(|(at, _)| *at > now);
            self.machine.step(step, Celsius::new(25.0).unwrap());
        }
    }

    /// What the firmware answers; what it wants done is done.
    pub(super) fn ask(&mut self, ask: &Ask) -> Answer {
        let view = View {
            machine: &self.machine,
            output: self.machine.output(),
            uptime: self.uptime,
            accepted: 12,
            rejected: 1,
            unix: 1_760_000_000 + self.uptime.as_secs(),
            claims: 1.0,
        };
        let (answer, delay, effects) = self.firmware.answer(ask, &view);
        self.delay = delay;
        for effect in effects {
            match effect {
                Effect::Set(setting, Duration::ZERO) => self.machine.set(setting),
                Effect::Set(setting, after) => self.due.push((self.uptime + after, setting)),
                Effect::Restart => {
                    self.machine.restart();
                    self.firmware.restarted();
                    self.uptime = Duration::ZERO;
                }
                Effect::Rehash(time) => self.machine.rehash(time),
            }
        }
        answer
    }

    pub(super) fn signed(&mut self, method: &str, path: &str, sign: &str, body: &str) -> Answer {
        self.ask(&Ask::Http {
            method: method.into(),
            path: path.into(),
            authorization: (!sign.is_empty()).then(|| sign.into()),
            body: body.as_bytes().to_vec(),
        })
    }

    pub(super) fn http(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        match self.signed(method, path, "", body) {
            Answer::Http { status, body, .. } => (status, String::from_utf8(body).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn get(&mut self, path: &str) -> Value {
        serde_json::from_str(&self.http("GET", path, "").1).unwrap()
    }

    pub(super) fn line(&mut self, line: &str) -> Value {
        match self.ask(&Ask::Line(line.into())) {
            Answer::Line(text) | Answer::LineThenMore(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}
