//! Braiins OS: REST, GraphQL and the cgminer API. The power target is the machine's own clock, never
//! remembered beside it; what the gRPC API says is in [`super::braiins_grpc`].

use super::{
    Answer, Ask, Effect, Firmware, Pool, View, braiins_grpc,
    reply::{self, Call, Plate, json_page, round, section, status},
};
use crate::farm::Phase;
use serde_json::{Value, json};
use std::{collections::VecDeque, time::Duration};

/// The package; its last dotted part is the version.
pub(super) const VERSION: &str = "2026-04-14-0-912d084c-26.04-plus";
pub(super) const MODEL: &str = "Antminer S21 Pro";
pub(super) const BOARDS: usize = 3;
pub(super) const CHIPS: u32 = 65;
/// Full speed of a fan, revolutions a minute.
pub(super) const RPM: f64 = 6_460.0;
/// How long a token is good, and how many are.
pub(super) const TOKEN_LIFE: Duration = Duration::from_secs(3600);
const TOKENS: usize = 64;
const BY: &str = "BOSer boser-buildroot 0.1.0-26ba61b9";
const LATENCY: Duration = Duration::from_millis(10);
/// From a resume to the first hash: the supply is on, the chips are being set up.
const WARM_UP: Duration = Duration::from_secs(60);

/// An S21 Pro's firmware; user and password are `root`.
#[derive(Debug, Clone)]
pub struct Braiins {
    pub(super) mac: String,
    pub(super) hostname: String,
    pub(super) serial: String,
    pub(super) uid: String,
    pub(super) supply: String,
    pub(super) boards: [String; BOARDS],
    pub(super) pools: Vec<Pool>,
    pub(super) locate: bool,
    tokens: VecDeque<(String, Duration)>,
    random: Plate,
}

impl Braiins {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut plate = Plate::new(seed);
        Self {
            mac: plate.mac().to_lowercase(),
            hostname: "Antminer".into(),
            serial: plate.serial("THQG", 13),
            uid: plate.serial("", 16),
            supply: plate.serial("OLTT", 13),
            boards: std::array::from_fn(|_| plate.serial("THQG", 13)),
            pools: super::vendor_pools(),
            locate: false,
            tokens: VecDeque::new(),
            random: plate,
        }
    }

    /// A token for the right name and password.
    pub(super) fn login(&mut self, user: &str, password: &str, view: &View<'_>) -> Option<String> {
        if (user, password) != ("root", "root") {
            return None;
        }
        let token = self.random.serial("", 16);
        if self.tokens.len() >= TOKENS {
            self.tokens.pop_front();
        }
        self.tokens.push_back((token.clone(), view.uptime));
        Some(token)
    }

    /// Whether this is a token, and still good.
    pub(super) fn knows(&self, token: Option<&str>, view: &View<'_>) -> bool {
        let mut good = self.tokens.iter().filter(|(_, made)| view.uptime < *made + TOKEN_LIFE);
        token.is_some_and(|token| good.any(|(known, _)| known == token))
    }

    pub(super) fn pause(view: &View<'_>) -> Vec<Effect> {
        vec![Effect::Set(reply::mining(view, false), Duration::ZERO)]
    }

    pub(super) fn resume(view: &View<'_>) -> Vec<Effect> {
        if view.machine.setting().mining {
            return vec![];
        }
        vec![Effect::Set(reply::mining(view, true), Duration::ZERO), Effect::Rehash(WARM_UP)]
    }

    /// A new power target, or why not.
    pub(super) fn target(watts: Option<u64>, view: &View<'_>) -> Result<Vec<Effect>, String> {
        let (least, most) = reply::limits(view.machine.spec());
        let watts = watts.ok_or("power target is missing")?;
        if !(u64::from(least)..=u64::from(most)).contains(&watts) {
            return Err(format!("power target {watts} W is not within {least} W to {most} W"));
        }
        let setting = reply::limited(view, watts as f64).ok_or("no such power")?;
        Ok(vec![Effect::Set(setting, Duration::ZERO)])
    }

    /// 2 normal, 3 paused, 5 restricted by its protections.
    pub(super) fn status(view: &View<'_>) -> u8 {
        match view.output.phase {
            Phase::Tripped(_) => 5,
            _ if view.machine.setting().mining => 2,
            _ => 3,
        }
    }

    /// Gigahashes a second at the set clock.
    pub(super) fn nominal_ghs(view: &View<'_>) -> f64 {
        view.machine.setting().clock.get() * view.machine.spec().hashes_per_clock / 1e3
    }

    fn rest(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        view: &View<'_>,
    ) -> (Answer, Vec<Effect>) {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let done = |effects| (json_page(200, &Value::Null), effects);
        match (method, path) {
            ("PUT", "actions/pause") => done(Self::pause(view)),
            ("PUT", "actions/resume") => done(Self::resume(view)),
            ("PUT", "actions/reboot") => done(vec![Effect::Restart]),
            ("PUT", "actions/restart") => done(vec![Effect::Rehash(WARM_UP)]),
            ("PUT", "actions/locate") => match body.as_bool() {
                Some(on) => {
                    self.locate = on;
                    (json_page(200, &json!(on)), vec![])
                }
                None => (json_page(400, &json!({ "message": "expected a boolean" })), vec![]),
            },
            ("PUT", "performance/power-target") => {
                match Self::target(body.get("watt").and_then(Value::as_u64), view) {
                    Ok(effects) => (json_page(200, &body), effects),
                    Err(reason) => (json_page(400, &json!({ "message": reason })), vec![]),
                }
            }
            ("GET", _) => match self.tell(path, view) {
                Some(value) => (json_page(200, &value), vec![]),
                None => (json_page(404, &json!({ "message": "not found" })), vec![]),
            },
            _ => (json_page(404, &json!({ "message": "not found" })), vec![]),
        }
    }

    fn tell(&self, path: &str, view: &View<'_>) -> Option<Value> {
        let watts = reply::limit_of(view);
        Some(match path {
            "network" => json!({ "default_gateway": "10.0.0.1", "dns_servers": [], "name": "eth0",
                "hostname": self.hostname, "mac_address": self.mac, "networks": [], "protocol": 1 }),
            "version" => json!({ "major": 1, "minor": 3, "patch": 0 }),
            "miner/details" => self.details(view),
            "miner/stats" => self.stats(view),
            "miner/hw/hashboards" => {
                let board = |n: usize| self.board(n, view);
                json!({ "hashboards": (0..BOARDS).map(board).collect::<Value>() })
            }
            "performance/tuner-state" => json!({
                "mode_state": { "powertargetmodestate": { "current_target": { "watt": watts },
                    "profile": { "created": null, "target": { "watt": watts },
                        "estimated_power_consumption": { "watt": watts },
                        "measured_hashrate": { "gigahash_per_second": Self::nominal_ghs(view) } } } },
                "overall_tuner_state": 5 }),
            "cooling/state" => cooling(view),
            "configuration/miner" => json!({ "pool_groups": [], "tuner": { "enabled": true,
                "hashrate_target": null, "power_target": { "watt": watts }, "tuner_mode": 1 } }),
            "configuration/constraints" => constraints(view),
            "pools" => json!([{ "name": "Default", "uid": "0",
                "strategy": { "quota": { "value": 1 } },
                "pools": self.pools.iter().enumerate().map(|(n, pool)| row(n, pool, view))
                    .collect::<Value>() }]),
            "actions/locate" => json!(self.locate),
            "miner/errors" => json!({ "errors": [] }),
            _ => return None,
        })
    }

    fn details(&self, view: &View<'_>) -> Value {
        let sticker = view.machine.spec().nominal().hashes_per_second() / 1e9;
        let uptime = view.uptime.as_secs();
        json!({
            "bos_mode": 4, "bos_version": { "bos_plus": true, "current": VERSION, "major": VERSION },
            "bosminer_uptime_s": uptime, "control_board_soc_family": 3, "hostname": self.hostname,
            "kernel_version": "4.9.113", "mac_address": self.mac, "platform": 4,
            "miner_identity": { "brand": 1, "miner_model": MODEL, "model": 0, "name": MODEL },
            "psu_info": { "model_name": "APW171215a/c", "serial_number": self.supply,
                "version": 193, "fw_version": 6920 },
            "serial_number": self.serial, "status": Self::status(view),
            "sticker_hashrate": { "gigahash_per_second": round(sticker, 3) },
            "system_uptime": uptime, "system_uptime_s": uptime, "uid": self.uid,
        })
    }

    fn stats(&self, view: &View<'_>) -> Value {
        let ths = reply::counted(view);
        let watts = view.output.power.get().round();
        json!({
            "miner_stats": solver(ths * 1e3, Self::nominal_ghs(view)),
            "pool_stats": shares(view, true),
            "power_stats": { "approximated_consumption": { "watt": watts as u64 },
                "efficiency": { "joule_per_terahash": if ths > 0.0 { watts / ths } else { 0.0 } } },
        })
    }

    fn board(&self, n: usize, view: &View<'_>) -> Value {
        let out = &view.output;
        let part = |whole: f64| whole / BOARDS as f64;
        let chip = round(out.chip.get(), 3);
        json!({
            "id": (n + 1).to_string(), "enabled": true, "model": "A3HB70601",
            "board_name": "A3HB70601", "chip_type": "BM1370", "chips_count": CHIPS,
            "serial_number": self.boards[n],
            "board_temp": { "degree_c": round(chip - 15.0, 3) },
            "highest_chip_temp": { "id": 1, "location": 1, "temperature": { "degree_c": chip } },
            "highest_outlet_temp": { "degree_c": round(chip - 15.0, 3) },
            "lowest_inlet_temp": { "degree_c": round(chip - 30.0, 3) },
            "current_frequency": { "hertz": out.clock.get() * 1e6 },
            "current_voltage": { "volt": 13.7 },
            "stats": solver(part(reply::counted(view) * 1e3), part(Self::nominal_ghs(view))),
        })
    }

    /// The few queries that one library asks; all others are errors.
    fn graphql(&mut self, body: &[u8], view: &View<'_>) -> Answer {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let query = body.get("query").and_then(Value::as_str).unwrap_or_default();
        let query: String = query.split_whitespace().collect();
        let data = match query.trim_start_matches("query") {
            "{bosminer{info{modelName}}}" => {
                json!({ "bosminer": { "info": { "modelName": MODEL } } })
            }
            "{bos{info{version{full}}}}" => {
                json!({ "bos": { "info": { "version": { "full": VERSION } } } })
            }
            query if query.starts_with("{events{appeals{") => {
                json!({ "events": { "appeals": [] } })
            }
            query if query.contains("auth{login(") => {
                let text = |key| body["variables"][key].as_str().unwrap_or_default();
                let Some(token) = self.login(text("username"), text("password"), view) else {
                    let refused = json!({ "errors": [{ "message": "Invalid credentials" }] });
                    return json_page(200, &refused);
                };
                let cookie = ("set-cookie", format!("session_id={token}; Path=/"));
                let page = json!({ "data": { "auth": { "login": { "void": null } } } });
                let headers = vec![("content-type", "application/json".to_owned()), cookie];
                return Answer::Http { status: 200, headers, body: page.to_string().into() };
            }
            _ => return json_page(200, &json!({ "errors": [{ "message": "Unknown field" }] })),
        };
        json_page(200, &json!({ "data": data }))
    }

    fn line(&self, command: &str, view: &View<'_>) -> Value {
        let says =
            |code, text: &str, name, rows| section(status("S", code, text, BY, view), name, rows);
        let mhs = round(reply::counted(view) * 1e6, 2);
        match command {
            "version" => {
                let row = json!([{ "API": "3.7", "BOSer": "boser-buildroot 0.1.0-26ba61b9" }]);
                says(22, "BOSer versions", "VERSION", row)
            }
            "devdetails" => {
                let row = |n: usize| {
                    json!({ "DEVDETAILS": n, "ID": n + 1, "Name": "", "Model": MODEL,
                        "Driver": "", "Chips": CHIPS, "Cores": 0, "Frequency": 0, "Voltage": 0.0 })
                };
                says(69, "Device Details", "DEVDETAILS", (0..BOARDS).map(row).collect())
            }
            "summary" => {
                let row = json!([{ "Elapsed": view.uptime.as_secs(), "MHS 5s": mhs, "MHS 1m": mhs,
                    "MHS 5m": mhs, "MHS 15m": mhs, "MHS av": mhs, "Accepted": view.accepted,
                    "Rejected": view.rejected, "Found Blocks": 0, "Hardware Errors": 0 }]);
                says(11, "Summary", "SUMMARY", row)
            }
            "devs" => {
                let each = round(mhs / BOARDS as f64, 2);
                let row = |n: usize| {
                    json!({ "ASC": n, "ID": n + 1, "Name": "", "Enabled": "Y", "Status": "Alive",
                        "MHS 5s": each, "MHS 1m": each, "MHS 5m": each, "MHS 15m": each,
                        "MHS av": each, "Accepted": view.accepted, "Rejected": view.rejected })
                };
                says(9, "3 ASC(s)", "DEVS", (0..BOARDS).map(row).collect())
            }
            "pools" => {
                let rows = self.pools.iter().enumerate();
                let rows = rows.map(|(n, pool)| reply::pool(n, pool, view)).collect();
                says(7, "2 Pool(s)", "POOLS", rows)
            }
            "tunerstatus" => {
                let limit = reply::limit_of(view);
                let chain = |n: usize| {
                    json!({ "HashchainIndex": n + 1, "Status": "Stable",
                    "PowerLimitWatt": limit / 3, "TunerRunning": true })
                };
                let row = json!([{ "TunerRunning": true, "PowerLimit": limit,
                    "ApproximateMinerPowerConsumption": view.output.power.get().round() as u64,
                    "TunerChainStatus": (0..BOARDS).map(chain).collect::<Value>() }]);
                says(201, "Tuner Status", "TUNERSTATUS", row)
            }
            _ => reply::unknown(BY, view),
        }
    }
}

impl Firmware for Braiins {
    fn answer(&mut self, ask: &Ask, view: &View<'_>) -> (Answer, Duration, Vec<Effect>) {
        let (method, path, authorization, body) = match ask {
            Ask::Line(line) => {
                let value = match Call::parse(line) {
                    Some(call) => call.each(|command| self.line(command, view)),
                    None => reply::unknown(BY, view),
                };
                return (Answer::Line(value.to_string()), LATENCY, vec![]);
            }
            Ask::Http { method, path, authorization, body } => (method, path, authorization, body),
        };
        let path = path.split('?').next().unwrap_or(path);
        if let Some(procedure) = path.strip_prefix(braiins_grpc::PACKAGE) {
            let token = authorization.as_deref();
            let (answer, effects) = braiins_grpc::call(self, procedure, token, body, view);
            return (answer, LATENCY, effects);
        }
        let (answer, effects) = match (method.as_str(), path) {
            ("GET", "/") => (reply::page("Braiins OS"), vec![]),
            ("POST", "/graphql") => (self.graphql(body, view), vec![]),
            ("POST", "/api/v1/auth/login") => {
                let login: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
                let text = |key| login.get(key).and_then(Value::as_str).unwrap_or_default();
                let answer = match self.login(text("username"), text("password"), view) {
                    Some(token) => {
                        let life = TOKEN_LIFE.as_secs();
                        json_page(200, &json!({ "token": token, "timeout_s": life }))
                    }
                    None => json_page(401, &json!({ "message": "Invalid credentials" })),
                };
                (answer, vec![])
            }
            (method, path) => match path.strip_prefix("/api/v1/") {
                Some(_) if !self.knows(authorization.as_deref(), view) => {
                    (json_page(401, &json!({ "message": "Unauthorized" })), vec![])
                }
                Some(path) => self.rest(method, path, body, view),
                None => (json_page(404, &json!({ "message": "not found" })), vec![]),
            },
        };
        (answer, LATENCY, effects)
    }

    fn ports(&self) -> &'static [u16] {
        &[80, 4028, braiins_grpc::PORT]
    }

    fn restarted(&mut self) {
        self.tokens.clear();
        self.locate = false;
    }

    fn pools(&mut self) -> &mut Vec<Pool> {
        &mut self.pools
    }
}

fn solver(ghs: f64, nominal: f64) -> Value {
    let rate = json!({ "gigahash_per_second": round(ghs, 3) });
    json!({
        "best_share": 0, "best_share_str": "0", "found_blocks": 0,
        "error_hashrate": { "megahash_per_second": 0.0 },
        "nominal_hashrate": { "gigahash_per_second": round(nominal, 3) },
        "real_hashrate": { "last_5s": rate, "last_15s": rate, "last_30s": rate, "last_1m": rate,
            "last_5m": rate, "last_15m": rate, "last_30m": rate, "last_1h": rate,
            "last_24h": rate, "since_restart": rate },
    })
}

fn shares(view: &View<'_>, first: bool) -> Value {
    let counted = |n: u64| if first { n } else { 0 };
    json!({ "accepted_shares": counted(view.accepted), "rejected_shares": counted(view.rejected),
        "stale_shares": 0, "best_share": 0, "best_share_str": "0", "generated_work": 0,
        "last_difficulty": 0, "last_share_time": null })
}

fn row(index: usize, pool: &Pool, view: &View<'_>) -> Value {
    let first = index == 0;
    json!({ "active": first, "alive": first, "enabled": true, "uid": format!("pool{index}"),
        "url": pool.url, "user": pool.user, "stats": shares(view, first) })
}

fn cooling(view: &View<'_>) -> Value {
    let fan = view.machine.setting().fan.get();
    let row = |n: usize| json!({ "position": n, "rpm": (fan * RPM).round() as u64, "target_speed_ratio": fan });
    let hottest = json!({ "id": null, "location": 1,
        "temperature": { "degree_c": round(view.output.chip.get(), 3) } });
    json!({ "fans": (0..4).map(row).collect::<Value>(), "highest_temperature": hottest })
}

fn constraints(view: &View<'_>) -> Value {
    let spec = view.machine.spec();
    let (least, most) = reply::limits(spec);
    let usual = reply::watts_at(spec, spec.clock).round() as u32;
    let ths = |clock: units::Megahertz| json!({ "terahash_per_second": round(clock.get() * spec.hashes_per_clock / 1e6, 1) });
    json!({ "tuner_constraints": {
        "power_target": { "min": { "watt": least }, "default": { "watt": usual },
            "max": { "watt": most } },
        "hashrate_target": { "min": ths(spec.clocks.0), "default": ths(spec.clock),
            "max": ths(spec.clocks.1) } } })
}

#[cfg(test)]
mod tests;
