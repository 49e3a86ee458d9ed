//! LuxOS: the cgminer API with sessions, profiles and curtailment. Profile and sleep are the machine's
//! own setting, never remembered beside it.

use super::{
    Answer, Ask, Effect, Firmware, Pool, View,
    reply::{self, Call, Plate, round, section, status},
};
use crate::farm::{BOARDS, Setting, spec::Spec};
use serde_json::{Map, Value, json};
use std::time::Duration;
use units::{Megahertz, Ratio};

const VERSION: &str = "2025.9.8.152528";
const BY: &str = "LUXminer 2025.9.8.152528-e04420b4b";
/// A session ends when nothing was asked with it for this long (docs.luxor.tech, API, Sessions).
const IDLE: Duration = Duration::from_secs(60);
const LATENCY: Duration = Duration::from_millis(5);
const CHIPS: usize = 77;
/// MHz between profiles.
const STEP: f64 = 25.0;

/// An S19k Pro's firmware.
#[derive(Debug, Clone)]
pub struct LuxOs {
    mac: String,
    hostname: String,
    serial: String,
    boards: [String; BOARDS],
    pools: Vec<Pool>,
    led: &'static str,
    thermal_management: bool,
    session: Option<(String, Duration)>,
    sessions: Plate,
}

impl LuxOs {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut plate = Plate::new(seed);
        Self {
            mac: plate.mac().to_lowercase(),
            hostname: plate.serial("LUX", 5),
            serial: plate.serial("JYZZ", 13),
            boards: std::array::from_fn(|_| plate.serial("JYZZ", 13)),
            pools: super::vendor_pools(),
            led: "auto",
            thermal_management: true,
            session: None,
            sessions: plate,
        }
    }

    fn tell(&mut self, call: &Call, command: &str, view: &View<'_>) -> Value {
        let says =
            |code, text: &str, name, rows| section(status("S", code, text, BY, view), name, rows);
        match command {
            "version" => says(22, "LUXminer versions", "VERSION", version()),
            "config" => says(33, "LUXminer config", "CONFIG", self.config(view)),
            "summary" => says(11, "Summary", "SUMMARY", summary(view)),
            "stats" => says(70, "LUXminer stats", "STATS", self.stats(view)),
            "devs" => says(9, "3 ASC(s)", "DEVS", self.devs(view)),
            "devdetails" => says(69, "Device Details", "DEVDETAILS", self.details()),
            "pools" => says(7, "2 Pool(s)", "POOLS", pools(&self.pools, view)),
            "groups" => {
                let group = json!([{ "GROUP": 0, "Name": "default", "Quota": 1, "PoolCount": 2 }]);
                says(322, "1 group(s)", "GROUPS", group)
            }
            "power" => {
                let watts = view.output.power.get().round() as u64;
                says(311, "Power usage", "POWER", json!([{ "PSU": true, "Watts": watts }]))
            }
            "temps" => says(201, "3 Temp(s)", "TEMPS", temps(view)),
            "fans" => {
                let mut whole = says(202, "4 Fan(s)", "FANS", fans(view));
                whole["FANCTRL"] = json!([{ "MinFans": 3, "PowerOffSpeed": 20 }]);
                whole
            }
            "tempctrl" => says(200, "Temperature control", "TEMPCTRL", tempctrl()),
            "profiles" => says(323, "List profiles", "PROFILES", profiles(view.machine.spec())),
            "limits" => says(324, "Limits", "LIMITS", limits(view.machine.spec())),
            "events" => says(357, "Miner Events", "EVENTS", events(view)),
            "atm" => says(339, "ATM configuration values", "ATM", self.atm()),
            "voltageget" => {
                let board: u64 = call.parameter.parse().unwrap_or(0);
                let volts = volts(view.machine.setting().clock);
                let rows = json!([{ "Board": board, "Voltage": volts }]);
                says(307, "Get Voltage", "VOLTAGE", rows)
            }
            "healthchipget" => says(342, "Chip health", "CHIPS", chips(&call.parameter, view)),
            "session" => says(316, "Session info", "SESSION", self.session_row()),
            _ => reply::unknown(BY, view),
        }
    }

    /// Commands that change something; `None` for those that do not.
    fn act(&mut self, call: &Call, view: &View<'_>) -> Option<(Value, Vec<Effect>)> {
        let says =
            |mark, code, text: &str| section(status(mark, code, text, BY, view), "", Value::Null);
        match call.command.as_str() {
            "logon" if self.session.is_some() => {
                return Some((says("E", 402, "Another session is active"), vec![]));
            }
            "logon" => {
                self.session = Some((self.sessions.hex(8), view.uptime));
                let done = status("S", 315, "Session created", BY, view);
                return Some((section(done, "SESSION", self.session_row()), vec![]));
            }
            "curtail" | "profileset" | "frequencyset" | "atmset" | "ledset" | "fanset"
            | "rebootdevice" | "resetminer" | "logoff" => {}
            _ => return None,
        }
        let (sid, rest) = call.parameter.split_once(',').unwrap_or((&call.parameter, ""));
        match &mut self.session {
            Some((open, used)) if open == sid => *used = view.uptime,
            _ => return Some((says("E", 403, "Invalid session id"), vec![])),
        }
        let now = |setting: Setting| vec![Effect::Set(setting, Duration::ZERO)];
        let hashing = view.machine.setting().mining;
        Some(match (call.command.as_str(), rest) {
            ("curtail", "sleep") if hashing => {
                (says("S", 345, "Curtailment successful"), now(reply::mining(view, false)))
            }
            ("curtail", "wakeup") if !hashing => {
                let mut effects = now(reply::mining(view, true));
                effects.push(Effect::Rehash(view.machine.spec().boot));
                (says("S", 345, "Curtailment successful"), effects)
            }
            ("curtail", "sleep") => (says("E", 410, "Miner is already asleep"), vec![]),
            ("curtail", "wakeup") => (says("E", 411, "Miner is not curtailed"), vec![]),
            ("profileset", name) => match clock_of(view.machine.spec(), name) {
                Some(clock) => {
                    let rows = json!([{ "Board": -1, "Profile": name }]);
                    let done = status("S", 326, "Profile set", BY, view);
                    let setting = Setting { clock, trim: [0; BOARDS], ..view.machine.setting() };
                    (section(done, "PROFILE", rows), now(setting))
                }
                None => (says("E", 412, "Unknown profile"), vec![]),
            },
            ("frequencyset", _) if !hashing => (says("E", 414, "Miner is curtailed"), vec![]),
            ("frequencyset", wanted) => match own_clock(wanted, view) {
                Some((board, mhz, setting)) => {
                    let rows = json!([{ "Board": board, "Frequency": mhz, "FrequencyStep": 5,
                        "TargetChip": "all" }]);
                    let done = status("S", 302, "Set Frequency", BY, view);
                    (section(done, "RAMP", rows), now(setting))
                }
                None => (says("E", 415, "Invalid board, frequency or chip"), vec![]),
            },
            ("atmset", options) => {
                if let Some(on) = option(options, "enabled") {
                    self.thermal_management = on == "true";
                }
                (says("S", 340, "Advanced Thermal Management configuration updated"), vec![])
            }
            ("fanset", options) => match option(options, "speed").map(str::parse::<f64>) {
                Some(Ok(speed)) => {
                    // -1 gives the fans back to the firmware.
                    let duty = if speed < 0.0 { 100.0 } else { speed.min(100.0) };
                    let fan = Ratio::percent(duty).unwrap_or(Ratio::ALL);
                    let setting = Setting { fan, ..view.machine.setting() };
                    (says("S", 204, "Fan set"), now(setting))
                }
                _ => (says("E", 413, "Invalid fan speed"), vec![]),
            },
            ("ledset", "red,blink") => self.light("blink", says("S", 328, "LED set")),
            ("ledset", "red,off") => self.light("off", says("S", 328, "LED set")),
            ("ledset", _) => self.light("auto", says("S", 328, "LED set")),
            ("rebootdevice", _) => (says("S", 303, "Rebooting"), vec![Effect::Restart]),
            ("resetminer", _) => {
                let boot = view.machine.spec().boot;
                (says("S", 304, "Resetting"), vec![Effect::Rehash(boot)])
            }
            ("logoff", _) => {
                self.session = None;
                (says("S", 317, "Session terminated"), vec![])
            }
            _ => (says("E", 24, "Missing parameters"), vec![]),
        })
    }

    fn light(&mut self, state: &'static str, says: Value) -> (Value, Vec<Effect>) {
        self.led = state;
        (says, vec![])
    }

    fn session_row(&self) -> Value {
        let id = self.session.as_ref().map_or("", |(id, _)| id);
        json!([{ "SessionID": id }])
    }

    fn config(&self, view: &View<'_>) -> Value {
        let setting = view.machine.setting();
        let (name, step) = profile(setting.clock);
        let asleep = if setting.mining { "None" } else { "Sleep" };
        let nameplate = view.machine.spec().nominal().terahashes_per_second();
        json!([{
            "ASCCount": BOARDS, "ControlBoardType": "cvitek", "Cooling": "Air",
            "CurtailMode": asleep, "DHCP": true, "FeeStatus": "Ok", "GreenLed": "auto",
            "Hostname": self.hostname, "ImmersionMode": false,
            "IsAtmEnabled": self.thermal_management, "IsPowerSupplyOn": setting.mining,
            "IsSingleVoltage": true, "IsTuning": false, "MACAddr": self.mac,
            "Model": "Antminer S19k Pro", "NameplateTHS": round(nameplate, 1), "OS": "LuxOS",
            "PGACount": 0, "PSULabel": "APW121215e", "PoolCount": self.pools.len(),
            "Profile": name, "ProfileStep": step.to_string(), "RedLed": self.led,
            "SerialNumber": self.serial, "Strategy": "Failover", "SystemStatus": "Normal",
            "UpdateOnStartup": "off", "UpdateOnTimeout": "off", "UpdateTimeout": 60,
        }])
    }

    fn stats(&self, view: &View<'_>) -> Value {
        let (out, setting) = (&view.output, view.machine.setting());
        let ghs = reply::counted(view) * 1e3;
        let hot = out.chip.get().round() as i64;
        let cool = (out.chip.get() - 13.0).round() as i64;
        let ideal = setting.clock.get() * 1e6 * view.machine.spec().hashes_per_clock / 1e9;
        let rpm = (setting.fan.get() * 6_000.0).round();
        let mut row = Map::new();
        let mut add = |key: String, value: Value| drop(row.insert(key, value));
        for n in 1..=BOARDS {
            add(format!("chain_acn{n}"), json!(CHIPS));
            add(format!("chain_acs{n}"), json!("o".repeat(CHIPS)));
            add(format!("chain_hw{n}"), json!(0));
            let board = view.machine.board(n - 1);
            let rate = board.good.hashes_per_second() / 1e9 * view.claims;
            add(format!("chain_rate{n}"), json!(format!("{rate:.2}")));
            add(format!("freq{n}"), json!(set_clock(n - 1, setting)));
            for sensor in ["chip", "pcb", "pic"] {
                let temps = format!("{hot}-{cool}-{cool}-{hot}");
                add(format!("temp_{sensor}{n}"), json!(temps));
            }
            add(format!("temp{n}"), json!(hot));
        }
        (1..=4).for_each(|n| add(format!("fan{n}"), json!(rpm)));
        add("fan_num".into(), json!(4));
        add("Elapsed".into(), json!(view.uptime.as_secs()));
        add("GHS 5s".into(), json!(round(ghs, 2)));
        add("GHS av".into(), json!(round(ghs, 2)));
        add("ID".into(), json!("BTM_SOC0"));
        add("frequency".into(), json!(setting.clock.get()));
        add("miner_count".into(), json!(BOARDS));
        add("miner_version".into(), json!(VERSION));
        add("rate_unit".into(), json!("GH"));
        add("temp_max".into(), json!(hot));
        add("totalrate".into(), json!(round(ghs, 2)));
        add("total_rateideal".into(), json!(round(ideal, 2)));
        json!([{ "Miner": VERSION, "Type": "Antminer S19k Pro" }, row])
    }

    fn devs(&self, view: &View<'_>) -> Value {
        let setting = view.machine.setting();
        let rows = self.boards.iter().enumerate().map(|(n, serial)| {
            let board = view.machine.board(n);
            let mhs = board.good.hashes_per_second() / 1e6 * view.claims;
            let each = view.machine.spec().hashes_per_clock / BOARDS as f64;
            let wrong = board.wrong.hashes_per_second() / 1e6;
            json!({
                "ASC": n, "ID": n, "Name": "", "Board": "BHB56903", "Connector": format!("J{}", n + 7),
                "Enabled": "Y", "Status": "Alive", "Temperature": view.output.chip.get().round(),
                "MHS 5s": mhs, "MHS 1m": mhs, "MHS 5m": mhs, "MHS 15m": mhs, "MHS av": mhs,
                "Nominal MHS": set_clock(n, setting) * each, "Profile": profile(setting.clock).0, "SerialNumber": serial,
                "IsRamping": view.output.clock < setting.clock && setting.mining,
                "IsUserShutdown": false, "Hardware Errors": 0,
                "Hardware Error MHS 15m": wrong, "Accepted": view.accepted / 3,
                "Rejected": view.rejected / 3, "Device Elapsed": view.uptime.as_secs(),
            })
        });
        rows.collect()
    }

    fn details(&self) -> Value {
        let rows = (0..BOARDS).map(|n| {
            json!({ "DEVDETAILS": n, "ID": n, "Name": "", "Driver": "luxos",
                "Model": "Antminer S19k Pro", "Kernel": "", "Device Path": "" })
        });
        rows.collect()
    }

    fn atm(&self) -> Value {
        json!([{ "Enabled": self.thermal_management, "MaxProfile": "", "MinProfile": "",
            "PostRampMinutes": 15, "StartupMinutes": 15, "TempWindow": 5 }])
    }
}

impl Firmware for LuxOs {
    fn answer(&mut self, ask: &Ask, view: &View<'_>) -> (Answer, Duration, Vec<Effect>) {
        if self.session.as_ref().is_some_and(|(_, used)| view.uptime > *used + IDLE) {
            self.session = None;
        }
        let line = match ask {
            Ask::Http { path, .. } if path == "/" => {
                return (reply::page("Luxor Firmware"), LATENCY, vec![]);
            }
            Ask::Http { .. } => return (reply::web(404, "text/plain", ""), LATENCY, vec![]),
            Ask::Line(line) => line,
        };
        let Some(call) = Call::parse(line) else {
            let bad = section(status("E", 23, "Invalid JSON", BY, view), "", Value::Null);
            return (Answer::Line(bad.to_string()), LATENCY, vec![]);
        };
        let (value, effects) = match self.act(&call, view) {
            Some(done) => done,
            None => (call.each(|command| self.tell(&call, command, view)), vec![]),
        };
        (Answer::Line(value.to_string()), LATENCY, effects)
    }

    fn ports(&self) -> &'static [u16] {
        &[80, 4028]
    }

    fn restarted(&mut self) {
        self.session = None;
        self.led = "auto";
    }

    fn pools(&mut self) -> &mut Vec<Pool> {
        &mut self.pools
    }
}

/// `board,frequency` of `frequencyset`. Its form for one chip (`board,frequency,chip`) is refused: chips are
/// not emulated one by one.
fn own_clock(wanted: &str, view: &View<'_>) -> Option<(usize, f64, Setting)> {
    let (board, mhz) = wanted.split_once(',')?;
    let (board, mhz): (usize, f64) = (board.trim().parse().ok()?, mhz.trim().parse().ok()?);
    let (least, most) = view.machine.spec().clocks;
    let mut setting = view.machine.setting();
    let own = setting.trim.get_mut(board)?;
    if !(least.get()..=most.get()).contains(&mhz) {
        return None;
    }
    *own = (mhz - setting.clock.get()).round() as i16;
    Some((board, mhz, setting))
}

/// The clock that a board is set to, MHz.
fn set_clock(board: usize, setting: Setting) -> f64 {
    setting.clock.get() + f64::from(setting.trim[board])
}

/// Name and step of the profile nearest to this clock.
fn profile(clock: Megahertz) -> (String, i32) {
    let step = ((clock.get() - 590.0) / STEP).round() as i32;
    let name = match step {
        0 => "default".to_owned(),
        _ => format!("{}MHz", 590 + 25 * step),
    };
    (name, step)
}

/// The clock of a profile; `None` for those not in the ladder.
fn clock_of(spec: &Spec, name: &str) -> Option<Megahertz> {
    ladder(spec).find(|clock| profile(*clock).0 == name)
}

fn ladder(spec: &Spec) -> impl Iterator<Item = Megahertz> {
    let (least, most) = (spec.clocks.0.get(), spec.clocks.1.get());
    let steps = ((most - least) / STEP).round() as u32;
    (0..=steps).filter_map(move |n| Megahertz::new(least + f64::from(n) * STEP).ok())
}

/// Board voltage at a clock: 6 mV a megahertz above 11.88 V (recorded ladder of an S19k Pro).
fn volts(clock: Megahertz) -> f64 {
    round((13.5 + 0.006 * (clock.get() - 590.0)).max(11.88), 2)
}

fn profiles(spec: &Spec) -> Value {
    let rows = ladder(spec).map(|clock| {
        let (name, step) = profile(clock);
        json!({
            "Profile Name": name, "Step": step.to_string(), "Frequency": clock.get() as u64,
            "Hashrate": round(clock.get() * spec.hashes_per_clock / 1e6, 1),
            "Watts": reply::watts_at(spec, clock).round() as u64, "Voltage": volts(clock),
            "IsDynamic": true, "IsTuned": false, "CanRestore": true, "HasOverrides": false,
        })
    });
    rows.collect()
}

fn limits(spec: &Spec) -> Value {
    json!([{ "FrequencyMin": spec.clocks.0.get(), "FrequencyMax": spec.clocks.1.get(),
        "VoltageMin": 11.88, "VoltageMax": 15.2, "FanMin": 0, "FanMax": 100 }])
}

fn version() -> Value {
    json!([{ "API": "3.7", "CompileTime": "Mon Sep 8 15:25:28 UTC 2025", "LUXminer": BY,
        "Miner": VERSION, "Type": "Antminer S19k Pro" }])
}

fn summary(view: &View<'_>) -> Value {
    let ghs = round(reply::counted(view) * 1e3, 2);
    json!([{
        "Elapsed": view.uptime.as_secs(), "Accepted": view.accepted, "Rejected": view.rejected,
        "GHS 5s": ghs, "GHS 1m": ghs, "GHS 5m": ghs, "GHS 15m": ghs, "GHS 30m": ghs, "GHS av": ghs,
        "Found Blocks": 0, "Hardware Errors": 0, "Stale": 0, "Best Share": 0, "Discarded": 0,
        "Device Hardware%": 0.0, "Device Rejected%": 0.0, "Pool Rejected%": 0.0, "Pool Stale%": 0.0,
    }])
}

fn pools(pools: &[Pool], view: &View<'_>) -> Value {
    pools.iter().enumerate().map(|(n, pool)| reply::pool(n, pool, view)).collect()
}

fn temps(view: &View<'_>) -> Value {
    let (hot, cool) = (round(view.output.chip.get(), 1), round(view.output.chip.get() - 13.0, 1));
    let row = |n: usize| {
        json!({ "ID": n, "TEMP": n, "TopLeft": hot, "BottomLeft": hot, "TopRight": cool,
            "BottomRight": cool })
    };
    (0..BOARDS).map(row).collect()
}

fn fans(view: &View<'_>) -> Value {
    let duty = view.machine.setting().fan;
    let row = |n: usize| {
        json!({ "FAN": format!("FAN{}", n + 1), "ID": n, "RPM": (duty.get() * 6_000.0).round() as u64,
            "Speed": duty.as_percent().round() as u64 })
    };
    (0..4).map(row).collect()
}

fn tempctrl() -> Value {
    json!([{ "Mode": "Automatic", "Target": 55, "Hot": 80, "Dangerous": 90 }])
}

fn events(view: &View<'_>) -> Value {
    match view.machine.setting().mining {
        true => json!([]),
        false => json!([{ "Code": "SLEEP", "Description": "Miner is asleep.", "Target": "MINER",
            "CreatedAt": "1970-01-01T00:00:00+00:00" }]),
    }
}

fn chips(board: &str, view: &View<'_>) -> Value {
    let board: u64 = board.split(',').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let own = (board as usize).min(BOARDS - 1);
    let good = view.machine.board(own).good.hashes_per_second() / 1e9 * view.claims;
    let ghs = round(good / CHIPS as f64, 2);
    let row = |n: usize| {
        json!({ "Board": board, "Chip": n, "Frequency": set_clock(own, view.machine.setting()),
            "GHS 1m": ghs, "GHS 5m": ghs, "GHS 15m": ghs, "Healthy": "Y", "Score": 100.0 })
    };
    (0..CHIPS).map(row).collect()
}

/// The value of `name=` among options divided by commas.
fn option<'a>(options: &'a str, name: &str) -> Option<&'a str> {
    options.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests;
