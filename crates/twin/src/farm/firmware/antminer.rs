//! Antminer stock: CGI behind digest authentication, and the cgminer API. The work mode is the
//! machine's own setting, never remembered beside it.

use super::{
    Answer, Ask, Effect, Firmware, Pool, View,
    digest::Digest,
    reply::{self, Call, Plate, json_page, round, section, status},
};
use crate::farm::{Setting, spec::Spec};
use serde_json::{Map, Value, json};
use std::time::Duration;
use units::Megahertz;

const MODEL: &str = "Antminer S21";
const COMPILED: &str = "Fri Dec 6 16:12:30 CST 2024";
const BY: &str = "cgminer 1.0.0";
const LATENCY: Duration = Duration::from_millis(20);
/// The page that sets the configuration answers when mining has been started anew.
const SLOW: Duration = Duration::from_secs(60);
const BOARDS: usize = 3;
const CHIPS: usize = 108;
const SLOTS: usize = 3;
/// Clocks of the low and the high mode as shares of the normal one: assumed.
const LOW: f64 = 0.75;
const HIGH: f64 = 1.1;

/// An S21's firmware; user and password are `root`.
#[derive(Debug, Clone)]
pub struct Antminer {
    mac: String,
    serial: String,
    boards: [String; BOARDS],
    digest: Digest,
    pools: Vec<Pool>,
    /// What the configuration remembers without a meaning for the emulated machine.
    kept: Map<String, Value>,
    blink: bool,
}

impl Antminer {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut plate = Plate::new(seed);
        let kept = json!({
            "api-listen": true, "api-network": true, "api-groups": "A:stats:pools:devs:summary:version",
            "api-allow": "A:0/0,W:*", "bitmain-fan-ctrl": false, "bitmain-fan-pwm": "100",
            "bitmain-use-vil": true, "bitmain-freq": "490", "bitmain-voltage": "1360",
            "bitmain-ccdelay": "0", "bitmain-pwth": "0", "bitmain-freq-level": "100",
        });
        Self {
            mac: plate.mac(),
            serial: plate.serial("THQIN", 12),
            boards: std::array::from_fn(|_| plate.serial("SMTT", 13)),
            digest: Digest::new(plate),
            pools: super::vendor_pools(),
            kept: kept.as_object().cloned().unwrap_or_default(),
            blink: false,
        }
    }

    fn page(
        &mut self,
        method: &str,
        page: &str,
        body: &[u8],
        view: &View<'_>,
    ) -> (Answer, Duration, Vec<Effect>) {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let now = |value: Value| (json_page(200, &value), LATENCY, vec![]);
        match (method, page) {
            (_, "miner_type") => now(json!({ "miner_type": MODEL, "subtype": "AMLCtrl_BHB68xxx",
                    "fw_version": COMPILED })),
            (_, "get_system_info") => now(self.system()),
            (_, "get_network_info") => now(json!({ "nettype": "DHCP", "netdevice": "eth0",
                "macaddr": self.mac, "ipaddress": "", "netmask": "", "conf_nettype": "DHCP",
                "conf_hostname": "Antminer", "conf_ipaddress": "", "conf_netmask": "",
                "conf_gateway": "", "conf_dnsservers": "" })),
            (_, "summary") => now(summary_page(view)),
            (_, "stats") => now(self.stats_page(view)),
            (_, "get_miner_conf") => now(self.configuration(view)),
            ("POST", "set_miner_conf") => self.configure(&body, view),
            (_, "get_blink_status") => now(json!({ "blink": self.blink })),
            ("POST", "blink") => {
                let on = body.get("blink");
                self.blink = on.is_some_and(|on| on == "true" || on == &Value::Bool(true));
                let code = if self.blink { "B000" } else { "B100" };
                now(json!({ "stats": "success", "code": code, "msg": "OK!" }))
            }
            (_, "reboot") => {
                let said = json_page(200, &json!({ "stats": "success", "code": "R000" }));
                (said, LATENCY, vec![Effect::Restart])
            }
            _ => (reply::web(404, "text/html", "404 Not Found"), LATENCY, vec![]),
        }
    }

    /// What is sent is changed, what is not stays: so it is with pool slots, too.
    fn configure(&mut self, body: &Value, view: &View<'_>) -> (Answer, Duration, Vec<Effect>) {
        let said = |stats: &str, code: &str, msg: &str| {
            json_page(200, &json!({ "stats": stats, "code": code, "msg": msg }))
        };
        let Some(wanted) = body.as_object() else {
            return (said("error", "M001", "Illegal request!"), LATENCY, vec![]);
        };
        let mode = ["miner-mode", "bitmain-work-mode"].iter().find_map(|key| wanted.get(*key));
        let setting = match mode.map(|mode| set_to(mode, view)) {
            Some(None) => return (said("error", "M001", "Illegal mode!"), LATENCY, vec![]),
            Some(Some(setting)) => setting,
            None => view.machine.setting(),
        };
        if let Some(pools) = wanted.get("pools").and_then(Value::as_array) {
            if pools.len() > SLOTS {
                return (said("error", "M001", "Illegal pools!"), LATENCY, vec![]);
            }
            self.put(pools);
        }
        for (key, value) in wanted {
            if let Some(kept) = self.kept.get_mut(key) {
                *kept = value.clone();
            }
        }
        let mut effects = vec![Effect::Set(setting, Duration::ZERO)];
        if setting.mining {
            effects.push(Effect::Rehash(SLOW));
        }
        (said("success", "M000", "OK!"), SLOW, effects)
    }

    fn put(&mut self, pools: &[Value]) {
        let empty = Pool { url: String::new(), user: String::new(), password: String::new() };
        self.pools.resize(SLOTS.max(self.pools.len()), empty);
        for (slot, pool) in self.pools.iter_mut().zip(pools) {
            let text = |key: &str| pool.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
            *slot = Pool { url: text("url"), user: text("user"), password: text("pass") };
        }
        while self.pools.last().is_some_and(|pool| pool.url.is_empty()) {
            self.pools.pop();
        }
    }

    fn configuration(&self, view: &View<'_>) -> Value {
        let slot = |n: usize| {
            let text = |of: fn(&Pool) -> &String| self.pools.get(n).map_or("", |pool| of(pool));
            json!({ "url": text(|p| &p.url), "user": text(|p| &p.user), "pass": text(|p| &p.password) })
        };
        let mut whole = self.kept.clone();
        whole.insert("pools".into(), (0..SLOTS).map(slot).collect());
        whole.insert("bitmain-work-mode".into(), json!(mode_of(view).to_string()));
        Value::Object(whole)
    }

    fn system(&self) -> Value {
        json!({
            "minertype": MODEL, "nettype": "DHCP", "netdevice": "eth0", "macaddr": self.mac,
            "hostname": "Antminer", "ipaddress": "", "netmask": "", "gateway": "", "dnsservers": "",
            "system_mode": "GNU/Linux", "system_kernel_version": "Linux 4.9.113",
            "system_filesystem_version": COMPILED, "firmware_type": "Release",
            "serinum": self.serial,
        })
    }

    fn stats_page(&self, view: &View<'_>) -> Value {
        let out = &view.output;
        let ghs = reply::claimed(view) * 1e3;
        let hot = out.chip.get().round();
        let chain = self.boards.iter().enumerate().map(|(n, serial)| {
            json!({
                "index": n, "freq_avg": out.clock.get().round(), "asic_num": CHIPS,
                "rate_ideal": round(ideal_ghs(view) / BOARDS as f64, 2), "hw": 0, "hwp": 0.0,
                "rate_real": round(ghs / BOARDS as f64, 2), "asic": "o".repeat(CHIPS),
                "temp_pic": [hot - 15.0, hot - 15.0, hot - 25.0, hot - 25.0],
                "temp_pcb": [hot - 10.0, hot - 10.0, hot - 20.0, hot - 20.0],
                "temp_chip": [hot, hot, hot, hot], "sn": serial, "eeprom_loaded": true,
            })
        });
        json!({
            "STATUS": { "STATUS": "S", "when": view.unix, "Msg": "stats", "api_version": "1.0.0" },
            "INFO": info(),
            "STATS": [{
                "elapsed": view.uptime.as_secs(), "rate_5s": round(ghs, 2), "rate_30m": round(ghs, 2),
                "rate_avg": round(ghs, 2), "rate_ideal": round(ideal_ghs(view), 2),
                "rate_unit": "GH/s", "chain_num": BOARDS, "fan_num": 4, "fan": vec![rpm(view); 4],
                "watt": out.power.get().round(), "hwp_total": 0.0, "miner-mode": mode_of(view),
                "freq-level": 100, "chain": chain.collect::<Value>(),
            }],
        })
    }

    fn line(&self, call: &Call, view: &View<'_>) -> Value {
        let says =
            |code, text: &str, name, rows| section(status("S", code, text, BY, view), name, rows);
        let ghs = round(reply::claimed(view) * 1e3, 2);
        let modern = call.body.get("new_api") == Some(&Value::Bool(true));
        match call.command.as_str() {
            "version" => {
                let row = json!([{ "BMMiner": "1.0.0", "API": "3.1", "Miner": "49.0.1.3",
                    "CompileTime": COMPILED, "Type": MODEL }]);
                says(22, "CGMiner versions", "VERSION", row)
            }
            "stats" if modern => self.stats_page(view),
            "summary" if modern => summary_page(view),
            "stats" => says(70, "CGMiner stats", "STATS", stats(view)),
            "summary" => {
                let row = json!([{ "Elapsed": view.uptime.as_secs(), "GHS 5s": ghs, "GHS av": ghs,
                    "GHS 30m": ghs, "Found Blocks": 0, "Accepted": view.accepted,
                    "Rejected": view.rejected, "Hardware Errors": 0, "Stale": 0, "Best Share": 0 }]);
                says(11, "Summary", "SUMMARY", row)
            }
            "pools" => {
                let rows = self.pools.iter().enumerate();
                let rows = rows.map(|(n, pool)| reply::pool(n, pool, view)).collect();
                says(7, "Pool(s)", "POOLS", rows)
            }
            // Joined commands, too.
            _ => reply::unknown(BY, view),
        }
    }
}

impl Firmware for Antminer {
    fn answer(&mut self, ask: &Ask, view: &View<'_>) -> (Answer, Duration, Vec<Effect>) {
        let (method, path, authorization, body) = match ask {
            Ask::Http { method, path, authorization, body } => (method, path, authorization, body),
            Ask::Line(line) => {
                let call = Call::parse(line);
                let value = call.map_or_else(|| reply::unknown(BY, view), |c| self.line(&c, view));
                return (Answer::Line(value.to_string()), LATENCY, vec![]);
            }
        };
        if !self.digest.admits(authorization.as_deref(), method, view) {
            return (self.digest.challenge(view), LATENCY, vec![]);
        }
        let path = path.split('?').next().unwrap_or(path);
        if path == "/" {
            return (reply::page("Antminer"), LATENCY, vec![]);
        }
        let name = path.strip_prefix("/cgi-bin/").and_then(|path| path.strip_suffix(".cgi"));
        self.page(method, name.unwrap_or_default(), body, view)
    }

    fn ports(&self) -> &'static [u16] {
        &[80, 4028]
    }

    fn restarted(&mut self) {
        self.digest.forget();
        self.blink = false;
    }

    fn pools(&mut self) -> &mut Vec<Pool> {
        &mut self.pools
    }
}

/// The setting of a mode, which a client writes as number or text; `None` for no mode.
fn set_to(mode: &Value, view: &View<'_>) -> Option<Setting> {
    let number = mode.as_u64().or_else(|| mode.as_str()?.parse().ok())?;
    let before = view.machine.setting();
    let spec = view.machine.spec();
    let at = |share: f64| Some(Setting { clock: share_of(spec, share), mining: true, ..before });
    match number {
        0 => at(1.0),
        1 => Some(Setting { mining: false, ..before }),
        2 => at(HIGH),
        3 => at(LOW),
        _ => None,
    }
}

/// The mode that the machine is set to.
fn mode_of(view: &View<'_>) -> u8 {
    let (setting, spec) = (view.machine.setting(), view.machine.spec());
    match setting {
        Setting { mining: false, .. } => 1,
        Setting { clock, .. } if clock == share_of(spec, HIGH) => 2,
        Setting { clock, .. } if clock == share_of(spec, LOW) => 3,
        _ => 0,
    }
}

fn share_of(spec: &Spec, share: f64) -> Megahertz {
    Megahertz::new(spec.clock.get() * share).unwrap_or(spec.clock)
}

fn ideal_ghs(view: &View<'_>) -> f64 {
    view.machine.setting().clock.get() * view.machine.spec().hashes_per_clock / 1e3
}

fn rpm(view: &View<'_>) -> u64 {
    (view.machine.setting().fan.get() * 6_000.0).round() as u64
}

fn info() -> Value {
    json!({ "miner_version": "49.0.1.3", "CompileTime": COMPILED, "type": MODEL })
}

fn summary_page(view: &View<'_>) -> Value {
    let ghs = round(reply::claimed(view) * 1e3, 2);
    let well = |kind: &str| json!({ "type": kind, "status": "s", "code": 0, "msg": "" });
    let status = ["rate", "network", "fans", "temp"].map(well).to_vec();
    json!({
        "STATUS": { "STATUS": "S", "when": view.unix, "Msg": "summary", "api_version": "1.0.0" },
        "INFO": info(),
        "SUMMARY": [{
            "elapsed": view.uptime.as_secs(), "rate_5s": ghs, "rate_30m": ghs, "rate_avg": ghs,
            "rate_ideal": round(ideal_ghs(view), 2), "rate_unit": "GH/s", "hw_all": 0,
            "bestshare": 0, "status": status,
        }],
    })
}

fn stats(view: &View<'_>) -> Value {
    let out = &view.output;
    let ghs = reply::claimed(view) * 1e3;
    let hot = out.chip.get().round() as i64;
    let mut row = Map::new();
    let mut add = |key: String, value: Value| drop(row.insert(key, value));
    for n in 1..=BOARDS {
        add(format!("chain_acn{n}"), json!(CHIPS));
        add(format!("chain_acs{n}"), json!("o".repeat(CHIPS)));
        add(format!("chain_hw{n}"), json!(0));
        add(format!("chain_rate{n}"), json!(format!("{:.2}", ghs / BOARDS as f64)));
        add(format!("freq{n}"), json!(out.clock.get().round() as u64));
        add(format!("temp{n}"), json!(hot - 10));
        add(format!("temp_chip{n}"), json!(format!("{hot}-{hot}-{hot}-{hot}")));
        let board = format!("{0}-{0}-{1}-{1}", hot - 10, hot - 20);
        add(format!("temp_pcb{n}"), json!(board));
    }
    (1..=4).for_each(|n| add(format!("fan{n}"), json!(rpm(view))));
    add("fan_num".into(), json!(4));
    add("Elapsed".into(), json!(view.uptime.as_secs()));
    add("GHS 5s".into(), json!(round(ghs, 2)));
    add("GHS av".into(), json!(round(ghs, 2)));
    add("ID".into(), json!("BTM_SOC0"));
    add("miner_count".into(), json!(BOARDS));
    add("frequency".into(), json!(out.clock.get().round() as u64));
    add("rate_unit".into(), json!("GH"));
    add("total_rateideal".into(), json!(round(ideal_ghs(view), 2)));
    add("total rate".into(), json!(round(ghs, 2)));
    add("chain_power".into(), json!(format!("{} W", out.power.get().round())));
    json!([{ "BMMiner": "1.0.0", "Miner": "49.0.1.3", "CompileTime": COMPILED, "Type": MODEL }, row])
}

#[cfg(test)]
mod tests;
