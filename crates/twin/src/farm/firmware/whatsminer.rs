//! Whatsminer API version 2: plain questions, encrypted commands. Power limit, mode and off are the
//! machine's own setting, never remembered beside it.

use super::{
    Answer, Ask, Effect, Firmware, Pool, View,
    reply::{self, Call, Plate, round, section, status},
    whatsminer_cipher::{Password, Token},
};
use crate::farm::{Setting, spec::Spec};
use serde_json::{Value, json};
use std::{collections::VecDeque, time::Duration};

const BY: &str = "whatsminer v1.4.0";
/// Before the date at which both libraries take a machine for one with API version 3.
const VERSION: &str = "20230803.11.REL";
const LATENCY: Duration = Duration::from_millis(20);
/// How many tokens are good at a time, and for how long.
const TOKENS: usize = 32;
const TOKEN_LIFE: Duration = Duration::from_secs(30 * 60);
const BOARDS: usize = 3;
/// Chips of an M30S++ VE40's board.
const CHIPS: usize = 148;
/// Shares of the nameplate's power in the low and the high mode: assumed.
const LOW: f64 = 0.75;
const HIGH: f64 = 1.1;

/// An M30S++'s firmware.
#[derive(Debug, Clone)]
pub struct Whatsminer {
    mac: String,
    boards: [String; BOARDS],
    password: Password,
    tokens: VecDeque<(Token, Duration)>,
    opening: bool,
    light: &'static str,
    pools: Vec<Pool>,
    random: Plate,
}

impl Whatsminer {
    /// The same for the same seed; the password is `admin`.
    pub fn new(seed: u64) -> Self {
        let mut plate = Plate::new(seed);
        Self {
            mac: plate.mac(),
            boards: std::array::from_fn(|_| plate.serial("BHM5CSD130280", 8)),
            password: Password::new("admin", &plate.serial("", 8)),
            tokens: VecDeque::new(),
            opening: false,
            light: "auto",
            pools: super::vendor_pools(),
            random: plate,
        }
    }

    fn tell(&mut self, command: &str, view: &View<'_>) -> Value {
        let rows =
            |code, text: &str, name, rows| section(status("S", code, text, BY, view), name, rows);
        match command {
            "devdetails" => rows(69, "Device Details", "DEVDETAILS", details()),
            "summary" => rows(11, "Summary", "SUMMARY", self.summary(view)),
            "devs" | "edevs" => rows(9, "3 ASC(s)", "DEVS", self.devs(view)),
            "pools" => {
                let each = self.pools.iter().enumerate();
                let list = each.map(|(n, pool)| {
                    let mut row = reply::pool(n, pool, view);
                    row["POOL"] = json!(n + 1);
                    row
                });
                rows(7, "2 Pool(s)", "POOLS", list.collect())
            }
            "get_version" | "version" => message(
                "S",
                131,
                json!({ "api_ver": "2.0.5", "fw_ver": VERSION, "platform": "H616", "chip": "" }),
                view,
            ),
            "status" => message("S", 131, self.status(view), view),
            "get_miner_info" => {
                let info = json!({ "ip": "", "proto": "dhcp", "hostname": "WhatsMiner",
                    "mac": self.mac, "ledstat": self.light });
                message("S", 131, info, view)
            }
            "get_psu" => {
                let psu = json!({ "name": "P222B", "model": "P222B", "hw_version": "V01",
                    "sw_version": "230208.220429", "fan_speed": "6000", "vin": "23000",
                    "iin": (view.output.power.get() / 0.23).round().to_string() });
                message("S", 131, psu, view)
            }
            "get_error_code" => message("S", 131, json!({ "error_code": [] }), view),
            "get_token" => {
                let token = self.token(view);
                let told = json!({ "time": token.time, "salt": self.password.salt(),
                    "newsalt": token.salt });
                message("S", 131, told, view)
            }
            _ => message("E", 14, json!("invalid cmd"), view),
        }
    }

    /// A new token; the oldest goes when there are too many.
    fn token(&mut self, view: &View<'_>) -> Token {
        let time = format!("{:04}", view.unix % 10_000);
        let token = Token { time, salt: self.random.serial("", 8) };
        self.tokens.retain(|(_, made)| view.uptime < *made + TOKEN_LIFE);
        if self.tokens.len() >= TOKENS {
            self.tokens.pop_front();
        }
        self.tokens.push_back((token.clone(), view.uptime));
        token
    }

    /// An encrypted command.
    fn sealed(&mut self, data: &str, view: &View<'_>) -> (Value, Vec<Effect>) {
        let Some(call) = self.password.open(data).and_then(Call::of) else {
            return (message("E", 23, json!("json cmd err"), view), vec![]);
        };
        let sign = call.body.get("token").and_then(Value::as_str).unwrap_or_default();
        let live = |made: &Duration| view.uptime < *made + TOKEN_LIFE;
        let mut tokens = self.tokens.iter();
        if !tokens.any(|(token, made)| live(made) && self.password.sign(token) == sign) {
            return (message("E", 135, json!("token error"), view), vec![]);
        }
        let (answer, effects) = match self.act(&call, view) {
            Ok(effects) => (message("S", 131, json!("API command OK"), view), effects),
            Err(reason) => (message("E", 132, json!(reason), view), vec![]),
        };
        (json!({ "enc": self.password.seal(&answer.to_string()) }), effects)
    }

    fn act(&mut self, call: &Call, view: &View<'_>) -> Result<Vec<Effect>, &'static str> {
        let spec = view.machine.spec();
        // The clock moves anew from nothing: minutes until the power is there.
        let changed = |setting: Setting| {
            vec![Effect::Set(setting, Duration::ZERO), Effect::Rehash(Duration::from_secs(60))]
        };
        let mode = |share: f64| {
            reply::limited(view, nameplate(spec) * share).map(changed).ok_or("command error")
        };
        match call.command.as_str() {
            "power_off" => Ok(vec![Effect::Set(reply::mining(view, false), Duration::ZERO)]),
            "power_on" if view.machine.setting().mining => Ok(vec![]),
            "power_on" => Ok(changed(reply::mining(view, true))),
            "set_low_power" => mode(LOW),
            "set_normal_power" => mode(1.0),
            "set_high_power" => mode(HIGH),
            "adjust_power_limit" => {
                let (least, most) = reply::limits(spec);
                let limit = call.body.get("power_limit").and_then(Value::as_str);
                let limit: u32 = limit.and_then(|w| w.parse().ok()).ok_or("invalid parameter")?;
                if !(least..=most).contains(&limit) {
                    return Err("power limit out of range");
                }
                match reply::limited(view, f64::from(limit)) {
                    Some(setting) if setting == view.machine.setting() => Ok(vec![]),
                    Some(setting) => Ok(changed(setting)),
                    None => Err("invalid parameter"),
                }
            }
            "set_led" => {
                let auto = call.body.get("param").and_then(Value::as_str) == Some("auto");
                self.light = if auto { "auto" } else { "manual" };
                Ok(vec![])
            }
            "reboot" => Ok(vec![Effect::Restart]),
            "restart_btminer" => Ok(vec![Effect::Rehash(spec.boot)]),
            "update_pools" => {
                self.change_pools(&call.body);
                Ok(vec![Effect::Rehash(spec.boot)])
            }
            _ => Err("invalid cmd"),
        }
    }

    /// All three pools at once: those without a name are gone.
    fn change_pools(&mut self, body: &Value) {
        let text = |key: String| body.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let pools = (1..=3).map(|n| Pool {
            url: text(format!("pool{n}")),
            user: text(format!("worker{n}")),
            password: text(format!("passwd{n}")),
        });
        self.pools = pools.filter(|pool| !pool.url.is_empty()).collect();
    }

    fn summary(&self, view: &View<'_>) -> Value {
        let (out, setting, spec) = (&view.output, view.machine.setting(), view.machine.spec());
        let mhs = round(reply::claimed(view) * 1e6, 2);
        let rpm = (setting.fan.get() * 6_000.0).round() as u64;
        let factory = (spec.nominal().terahashes_per_second() * 1e3).round() as u64;
        json!([{
            "Elapsed": view.uptime.as_secs(), "Uptime": view.uptime.as_secs(), "MHS av": mhs,
            "MHS 5s": mhs, "MHS 1m": mhs, "MHS 5m": mhs, "MHS 15m": mhs, "HS RT": mhs,
            "Accepted": view.accepted, "Rejected": view.rejected, "Total MH": 0.0,
            "Temperature": round(out.chip.get() - 8.0, 1), "freq_avg": out.clock.get().round(),
            "Fan Speed In": rpm, "Fan Speed Out": rpm, "Voltage": 1280,
            "Power": out.power.get().round() as u64, "Power_RT": out.power.get().round() as u64,
            "Power Limit": reply::limit_of(view), "Power Mode": mode_of(view),
            "Power Fanspeed": 6000, "Env Temp": 25.0, "Factory GHS": factory,
            "Chip Temp Min": round(out.chip.get() - 9.0, 1), "Chip Temp Max": round(out.chip.get() + 8.0, 1),
            "Chip Temp Avg": round(out.chip.get(), 1), "MAC": self.mac, "Error Code Count": 0,
            "Firmware Version": format!("'{VERSION}'"), "Target Freq": setting.clock.get().round(),
            "Hash Stable": out.clock >= setting.clock, "Pool Rejected%": 0.0, "Best Share": 0,
        }])
    }

    fn status(&self, view: &View<'_>) -> Value {
        let off = !view.machine.setting().mining;
        json!({
            "btmineroff": off.to_string(), "mineroff": off.to_string(), "mineroff_reason": "",
            "mineroff_time": "", "FirmwareVersion": VERSION, "hash_percent": "100",
            "power_mode": mode_of(view).to_lowercase(),
            "power_limit_set": reply::limit_of(view).to_string(),
        })
    }

    fn devs(&self, view: &View<'_>) -> Value {
        let out = &view.output;
        let mhs = round(reply::claimed(view) * 1e6 / BOARDS as f64, 2);
        let rpm = (view.machine.setting().fan.get() * 6_000.0).round() as u64;
        let factory = view.machine.spec().nominal().terahashes_per_second() * 1e3 / BOARDS as f64;
        let rows = self.boards.iter().enumerate().map(|(n, serial)| {
            json!({
                "ASC": n, "Slot": n, "Name": "SM", "Enabled": "Y", "Status": "Alive",
                "Temperature": round(out.chip.get() - 8.0, 1), "Chip Frequency": out.clock.get().round(),
                "Frequency": out.clock.get(), "Fan Speed In": rpm, "Fan Speed Out": rpm,
                "MHS av": mhs, "MHS 5s": mhs, "MHS 1m": mhs, "MHS 5m": mhs, "MHS 15m": mhs,
                "Chip Temp Min": round(out.chip.get() - 9.0, 1),
                "Chip Temp Max": round(out.chip.get() + 8.0, 1),
                "Chip Temp Avg": round(out.chip.get(), 1), "Effective Chips": CHIPS,
                "PCB SN": serial, "Factory GHS": factory.round(), "Accepted": view.accepted,
                "Rejected": view.rejected, "Device Elapsed": view.uptime.as_secs(),
                "Upfreq Complete": u8::from(out.clock >= view.machine.setting().clock),
            })
        });
        rows.collect()
    }

    /// The second line of the handshake that opens the API for writing, and what follows it.
    fn opened(&mut self, view: &View<'_>) -> Answer {
        self.opening = false;
        Answer::Line(message("S", 131, json!("API command OK"), view).to_string())
    }
}

impl Firmware for Whatsminer {
    fn answer(&mut self, ask: &Ask, view: &View<'_>) -> (Answer, Duration, Vec<Effect>) {
        let Ask::Line(line) = ask else {
            return (Answer::Hangup, Duration::ZERO, vec![]);
        };
        let body: Option<Value> = serde_json::from_str(line.trim_matches(['\0', '\n', ' '])).ok();
        let sealed = body.as_ref().and_then(|body| body.get("data")).and_then(Value::as_str);
        if let Some(data) = sealed {
            let (answer, effects) = self.sealed(data, view);
            return (Answer::Line(answer.to_string()), LATENCY, effects);
        }
        let bare = body.as_ref().is_some_and(|body| body.get("token").is_some());
        if self.opening && bare {
            return (self.opened(view), LATENCY, vec![]);
        }
        let answer = match body.and_then(Call::of) {
            Some(call) if call.command == "open_write_api" => {
                self.opening = true;
                let text = self.tell("get_token", view).to_string();
                return (Answer::LineThenMore(text), LATENCY, vec![]);
            }
            Some(call) => call.each(|command| self.tell(command, view)),
            None => message("E", 23, json!("json cmd err"), view),
        };
        (Answer::Line(answer.to_string()), LATENCY, vec![])
    }

    fn ports(&self) -> &'static [u16] {
        &[4028]
    }

    fn restarted(&mut self) {
        self.tokens.clear();
        (self.opening, self.light) = (false, "auto");
    }

    fn pools(&mut self) -> &mut Vec<Pool> {
        &mut self.pools
    }
}

/// The vendor's own shape: STATUS is a word, not a list.
fn message(mark: &str, code: u32, says: Value, view: &View<'_>) -> Value {
    json!({ "STATUS": mark, "When": view.unix, "Code": code, "Msg": says, "Description": "" })
}

fn details() -> Value {
    let row = |n: usize| {
        json!({ "DEVDETAILS": n, "Name": "SM", "ID": n, "Driver": "bitmicro", "Kernel": "",
            "Model": "M30S++_VE40" })
    };
    (0..BOARDS).map(row).collect()
}

/// Watts at the factory's clock.
fn nameplate(spec: &Spec) -> f64 {
    reply::watts_at(spec, spec.clock)
}

/// The mode whose power the machine is set to, the normal one for any other.
fn mode_of(view: &View<'_>) -> &'static str {
    let limit = f64::from(reply::limit_of(view));
    let at = |share: f64| (limit - nameplate(view.machine.spec()) * share).abs() < 1.0;
    match (at(LOW), at(HIGH)) {
        (true, _) => "Low",
        (_, true) => "High",
        _ => "Normal",
    }
}

#[cfg(test)]
mod tests;
