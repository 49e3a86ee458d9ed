//! The smallest server that a test can script: one thread, one connection at a time, real TCP.

use crate::{hash::HeaderScan, job::Job, target::Target};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

/// Extranonce1 that [`Talk::welcome`] gives out.
pub const EXTRANONCE1: &str = "a1b2c3d4";

/// One accepted connection.
pub struct Talk {
    lines: BufReader<TcpStream>,
    out: TcpStream,
}

impl Talk {
    /// Waits for the next connection.
    pub fn accept(listener: &TcpListener) -> Self {
        Self::accept_from(listener).0
    }

    /// The same, with the address it comes from.
    pub fn accept_from(listener: &TcpListener) -> (Self, String) {
        let (stream, from) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        let talk = Self { lines: BufReader::new(stream.try_clone().unwrap()), out: stream };
        (talk, from.ip().to_string())
    }

    /// Another way to write to it.
    pub fn out(&self) -> TcpStream {
        self.out.try_clone().unwrap()
    }

    /// The next line as JSON; `None` at the end.
    pub fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
        }
    }

    /// The next line as JSON; `None` at the end or if it is none.
    pub fn hear_json(&mut self) -> Option<Value> {
        let mut line = Vec::new();
        self.lines.read_until(b'\n', &mut line).ok()?;
        serde_json::from_slice(&line).ok()
    }

    /// The next call of this method; others in between are passed over.
    pub fn hear_call(&mut self, method: &str) -> Option<Value> {
        loop {
            let call = self.hear()?;
            if call["method"] == method {
                return Some(call);
            }
        }
    }

    /// Sends text as it is.
    pub fn say_raw(&mut self, text: &str) {
        // The other side may have gone: some scripts are longer than the test.
        self.out.write_all(text.as_bytes()).ok();
    }

    /// Sends one line.
    pub fn say(&mut self, message: Value) {
        self.say_raw(&format!("{message}\n"));
    }

    /// Sends an answer.
    pub fn answer(&mut self, call: &Value, result: Value) {
        self.say(json!({"id": call["id"], "result": result, "error": null}));
    }

    /// Answers a handshake up to and with authorize, with this version mask.
    pub fn welcome(&mut self, mask: Option<&str>) {
        loop {
            let Some(call) = self.hear() else { return };
            match call["method"].as_str().unwrap() {
                "mining.configure" => self.answer(
                    &call,
                    match mask {
                        Some(mask) => {
                            json!({"version-rolling": true, "version-rolling.mask": mask})
                        }
                        None => json!({"version-rolling": false}),
                    },
                ),
                "mining.subscribe" => {
                    self.answer(&call, json!([[["mining.notify", "1"]], EXTRANONCE1, 4]));
                }
                "mining.authorize" => {
                    self.answer(&call, json!(true));
                    return;
                }
                other => panic!("unexpected {other}"),
            }
        }
    }

    /// Sets the share difficulty.
    pub fn set_difficulty(&mut self, difficulty: f64) {
        self.say(json!({"id": null, "method": "mining.set_difficulty", "params": [difficulty]}));
    }

    /// Sends a job.
    pub fn notify(&mut self, params: &Value) {
        self.say(json!({"id": null, "method": "mining.notify", "params": params}));
    }
}

/// A listener on a free port and its address.
pub fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Parameters of `mining.notify` for an impossible block: no hash is ever a block.
pub fn job(id: &str, clean: bool) -> Value {
    json!([
        id,
        "11".repeat(32),
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff10",
        "ffffffff0100f2052a01000000015100000000",
        ["22".repeat(32), "33".repeat(32)],
        "20000000",
        "03000001",
        "66000000",
        clean
    ])
}

/// The hash of a submitted share, by the server's own knowledge of the job.
pub fn share_hash(call: &Value, job: &Value, extranonce1: &str, mask: u32) -> [u8; 32] {
    let text = |i: usize| call["params"][i].as_str().unwrap();
    let word = |i: usize| u32::from_str_radix(text(i), 16).unwrap();
    let known = Job::from_params(job.as_array().unwrap()).unwrap();
    assert_eq!(text(1), known.id);
    let root = known.merkle_root(
        &const_hex::decode(extranonce1).unwrap(),
        &const_hex::decode(text(2)).unwrap(),
    );
    let bits = if mask == 0 { 0 } else { word(5) };
    assert_eq!(bits & !mask, 0, "version bits outside the mask");
    let version = known.version & !mask | bits;
    HeaderScan::new(&known.header(&root, version, word(3))).hash(word(4))
}

/// Whether a hash is worth a difficulty.
pub fn meets(hash: &[u8; 32], difficulty: f64) -> bool {
    Target::from_difficulty(units::Difficulty::new(difficulty).unwrap()).met_by(hash)
}
