//! A stand-in that speaks the least of AxeOS on the web port and of cgminer on the other, so that a
//! farm can be steered whatever its machines are.

use super::{Answer, Ask, Effect, Firmware, Pool, View};
use serde_json::{Value, json};
use std::time::Duration;
use units::{Megahertz, Millivolts};

/// The stand-in.
#[derive(Debug, Clone)]
pub struct Plain {
    model: &'static str,
    mac: String,
    pools: Vec<Pool>,
}

impl Plain {
    /// One with its own MAC address.
    pub fn new(model: &'static str, seed: u64) -> Self {
        let [.., a, b, c, d, e] = seed.to_be_bytes();
        let mac = format!("02:{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}");
        Self { model, mac, pools: vec![] }
    }

    fn info(&self, view: &View<'_>) -> Value {
        let setting = view.machine.setting();
        let out = &view.output;
        json!({
            "ASICModel": self.model,
            "version": "v2.14.0",
            "macAddr": self.mac,
            "hashRate": out.tried.hashes_per_second() / 1e9 * view.claims,
            "power": out.power.get(),
            "voltage": 5150,
            "coreVoltage": setting.voltage.get(),
            "coreVoltageActual": setting.voltage.get(),
            "frequency": setting.clock.get(),
            "temp": out.chip.get(),
            "vrTemp": out.regulator.get(),
            "fanspeed": setting.fan.as_percent(),
            "errorPercentage": out.lost.as_percent(),
            "miningPaused": !setting.mining,
            "uptimeSeconds": view.uptime.as_secs(),
            "sharesAccepted": view.accepted,
            "sharesRejected": view.rejected,
            "stratumURL": self.pools.first().map(|pool| pool.url.as_str()),
            "stratumUser": self.pools.first().map(|pool| pool.user.as_str()),
        })
    }

    fn http(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        view: &View<'_>,
    ) -> (Answer, Vec<Effect>) {
        let setting = view.machine.setting();
        let set = |setting| vec![Effect::Set(setting, Duration::ZERO)];
        let mining = |mining| set(super::Setting { mining, ..setting });
        match (method, path) {
            ("GET", "/") => (html("<html><title>AxeOS</title></html>"), vec![]),
            ("GET", "/api/system/info") => (ok(&self.info(view)), vec![]),
            ("POST", "/api/system/pause") => (ok(&json!({})), mining(false)),
            ("POST", "/api/system/resume") => (ok(&json!({})), mining(true)),
            ("POST", "/api/system/restart") => (ok(&json!({})), vec![Effect::Restart]),
            ("PATCH", "/api/system") => {
                let asked: Value = serde_json::from_slice(body).unwrap_or_default();
                let clock = asked["frequency"].as_f64().and_then(|f| Megahertz::new(f).ok());
                let voltage = asked["coreVoltage"].as_f64().and_then(|v| Millivolts::new(v).ok());
                let clock = clock.unwrap_or(setting.clock);
                let voltage = voltage.unwrap_or(setting.voltage);
                (ok(&json!({})), set(super::Setting { clock, voltage, ..setting }))
            }
            _ => (Answer::Http { status: 404, headers: vec![], body: vec![] }, vec![]),
        }
    }

    fn line(&self, line: &str, view: &View<'_>) -> String {
        let asked: Value = serde_json::from_str(line).unwrap_or_default();
        let (status, mut answer) = match asked["command"].as_str() {
            Some("version") => ("S", json!({"VERSION": [{"Type": self.model, "MAC": self.mac}]})),
            Some("summary") => {
                let megahashes = view.output.tried.hashes_per_second() / 1e6 * view.claims;
                ("S", json!({"SUMMARY": [{"MHS 5s": megahashes}]}))
            }
            _ => ("E", json!({})),
        };
        answer["STATUS"] = json!([{"STATUS": status, "When": view.unix, "Code": 14, "Msg": ""}]);
        answer["id"] = json!(1);
        answer.to_string()
    }
}

impl Firmware for Plain {
    fn answer(&mut self, ask: &Ask, view: &View<'_>) -> (Answer, Duration, Vec<Effect>) {
        let (answer, effects) = match ask {
            Ask::Http { method, path, body, .. } => self.http(method, path, body, view),
            Ask::Line(line) => (Answer::Line(self.line(line, view)), vec![]),
        };
        (answer, Duration::ZERO, effects)
    }

    fn ports(&self) -> &'static [u16] {
        &[80, 4028]
    }

    fn restarted(&mut self) {}

    fn pools(&mut self) -> &mut Vec<Pool> {
        &mut self.pools
    }
}

fn ok(value: &Value) -> Answer {
    let headers = vec![("content-type", "application/json".into())];
    Answer::Http { status: 200, headers, body: value.to_string().into_bytes() }
}

fn html(text: &str) -> Answer {
    let headers = vec![("content-type", "text/html".into())];
    Answer::Http { status: 200, headers, body: text.into() }
}
