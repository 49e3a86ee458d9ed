//! Avalon Q: the cgminer API with `ascset`. Mode and level are the machine's own clock, never
//! remembered beside it.

use super::{
    Answer, Ask, Effect, Firmware, Pool, View,
    reply::{self, Call, Plate, section, status},
};
use crate::farm::Setting;
use serde_json::{Value, json};
use std::time::Duration;
use units::Ratio;

const BY: &str = "cgminer 4.11.1";
const VERSION: &str = "25052801_14a19a2";
const LATENCY: Duration = Duration::from_millis(10);
const CHIPS: usize = 160;
/// Watts of the eco, standard and super mode: the first two from tables of third parties, the last
/// from the nameplate.
const MODES: [f64; 3] = [800.0, 1300.0, 1650.0];
/// Each level above the lowest adds this share of the mode's power, and there are so many: assumed.
const LEVEL: f64 = 0.05;
const LEVELS: u32 = 3;
/// Until the chips hash again after a change of mode.
const SETTLE: Duration = Duration::from_secs(30);

/// An Avalon Q's firmware; it knows no password.
#[derive(Debug, Clone)]
pub struct Avalon {
    /// Twelve hexadecimal digits, no colons.
    mac: String,
    dna: String,
    pools: Vec<Pool>,
}

impl Avalon {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut plate = Plate::new(seed);
        let mac = plate.mac().replace(':', "").to_lowercase();
        Self { mac, dna: plate.hex(32), pools: super::vendor_pools() }
    }

    fn tell(&self, command: &str, view: &View<'_>) -> Value {
        let says =
            |code, text: &str, name, rows| section(status("S", code, text, BY, view), name, rows);
        match command {
            "version" => {
                let row = json!([{ "CGMiner": "4.11.1", "API": "3.7", "PROD": "Avalon Q",
                    "MODEL": "Q", "HWTYPE": "Q_MM1v1_X1", "SWTYPE": "MM319", "LVERSION": VERSION,
                    "BVERSION": VERSION, "CGVERSION": VERSION, "DNA": self.dna, "MAC": self.mac }]);
                says(22, "CGMiner versions", "VERSION", row)
            }
            "summary" => says(11, "Summary", "SUMMARY", json!([rates(view)])),
            "devs" => {
                let mut row = rates(view);
                for (key, value) in [
                    ("ASC", json!(0)),
                    ("ID", json!(0)),
                    ("Name", json!("AVALON")),
                    ("Enabled", json!("Y")),
                    ("Status", json!("Alive")),
                    ("Temperature", json!(0.0)),
                ] {
                    row[key] = value;
                }
                says(9, "1 ASC(s)", "DEVS", json!([row]))
            }
            "devdetails" => {
                let row = json!([{ "DEVDETAILS": 0, "Device Path": "", "Driver": "avalon", "ID": 0,
                    "Kernel": "", "Model": "", "Name": "AVALON" }]);
                says(69, "Device Details", "DEVDETAILS", row)
            }
            "config" => {
                let row = json!([{ "ASC Count": 1, "Device Code": "AVALON", "Hotplug": "None",
                    "OS": "Linux", "Pool Count": self.pools.len(), "Strategy": "Failover" }]);
                says(33, "CGMiner config", "CONFIG", row)
            }
            "pools" => {
                let rows = self.pools.iter().enumerate();
                let rows = rows.map(|(n, pool)| reply::pool(n, pool, view)).collect();
                says(7, "Pool(s)", "POOLS", rows)
            }
            "litestats" => {
                let row = json!([{ "MM ID0:Summary": self.sensors(view) }]);
                says(70, "CGMiner stats", "STATS", row)
            }
            "stats" => {
                let row = json!([{ "STATS": 0, "ID": "AVALON0", "Elapsed": view.uptime.as_secs(),
                    "MM ID0:Summary": self.sensors(view), "HBinfo": chips(view) }]);
                says(70, "CGMiner stats", "STATS", row)
            }
            "estats" => {
                let row = json!([{ "STATS": 0, "ID": "AVALON0", "Elapsed": view.uptime.as_secs(),
                    "MM ID0": self.sensors(view), "HBinfo": chips(view) }]);
                says(70, "CGMiner stats", "STATS", row)
            }
            _ => reply::unknown(BY, view),
        }
    }

    /// `ascset 0,name,value`: what is said and done.
    fn set(parameter: &str, view: &View<'_>) -> (Value, Vec<Effect>) {
        let says =
            |mark, code, text: &str| section(status(mark, code, text, BY, view), "", Value::Null);
        let failed = |why: &str| (says("E", 120, &format!("ASC 0 set failed: {why}")), vec![]);
        let done = |effects| (says("S", 119, "ASC 0 set OK"), effects);
        let Some(rest) = parameter.strip_prefix("0,") else {
            return (says("E", 107, "Invalid ASC id"), vec![]);
        };
        let (name, value) = rest.split_once(',').unwrap_or((rest, ""));
        let before = view.machine.setting();
        let (mode, level) = mode_of(view);
        let change = |watts: f64| match reply::limited(view, watts) {
            Some(setting) => {
                done(vec![Effect::Set(setting, Duration::ZERO), Effect::Rehash(SETTLE)])
            }
            None => failed("value"),
        };
        let number = || value.strip_prefix("set,").and_then(|n| n.parse::<u32>().ok());
        match name {
            "workmode" => match number().and_then(|n| watts_of(n, 0)) {
                Some(watts) => change(watts),
                None => failed("workmode"),
            },
            "worklevel" => match number().and_then(|n| watts_of(mode, n)) {
                Some(_) if number() == Some(level) => done(vec![]),
                Some(watts) => change(watts),
                None => failed("worklevel"),
            },
            "fan-spd" => {
                // -1 gives the fans back to the firmware.
                let duty = match value.parse::<f64>() {
                    Ok(-1.0) => 100.0,
                    Ok(percent) if (25.0..=100.0).contains(&percent) => percent,
                    _ => return failed("fan speed out of range"),
                };
                let fan = Ratio::percent(duty).unwrap_or(Ratio::ALL);
                done(vec![Effect::Set(Setting { fan, ..before }, Duration::ZERO)])
            }
            "softoff" | "softon" => {
                let Some(at) = value.strip_prefix("1:").and_then(|at| at.parse::<u64>().ok())
                else {
                    return failed("time");
                };
                let after = Duration::from_secs(at.saturating_sub(view.unix).min(24 * 3600));
                let setting = reply::mining(view, name == "softon");
                let text = format!("ASC 0 set info: success {name}:{at}");
                (says("I", 118, &text), vec![Effect::Set(setting, after)])
            }
            "led" => done(vec![]),
            "reboot" => done(vec![Effect::Restart]),
            "help" => {
                let text = "ASC 0 set info: help|fan-spd|workmode|worklevel|reboot|softon|softoff|";
                (says("I", 118, text), vec![])
            }
            _ => failed("unknown option"),
        }
    }

    /// All sensors in one string, as the firmware tells them.
    fn sensors(&self, view: &View<'_>) -> String {
        let (out, setting) = (&view.output, view.machine.setting());
        let working = setting.mining && out.tried.hashes_per_second() > 0.0;
        let ghs = reply::claimed(view) * 1e3;
        let (mode, level) = mode_of(view);
        let hot = out.chip.get().round();
        let watts = if working { out.power.get().round() } else { 0.0 };
        let rpm = (setting.fan.get() * 3_600.0).round();
        let work = if working { "In Work" } else { "In Idle" };
        let full = view.machine.spec().nominal().terahashes_per_second() * 1e3;
        let fields = [
            ("Ver", format!("Q-{VERSION}")),
            ("DNA", self.dna.clone()),
            ("STATE", if working { "1" } else { "2" }.into()),
            ("SYSTEMSTATU", format!("Work: {work}, Hash Board: 1")),
            ("Elapsed", view.uptime.as_secs().to_string()),
            ("HW", "0".into()),
            ("DH", "0.000%".into()),
            ("ITemp", "25".into()),
            ("HBITemp", format!("{}", (hot - 30.0).max(25.0))),
            ("HBOTemp", format!("{}", (hot - 12.0).max(25.0))),
            ("TMax", format!("{}", hot + 5.0)),
            ("TAvg", format!("{hot}")),
            ("TarT", "65".into()),
            ("Fan1", format!("{rpm}")),
            ("Fan2", format!("{rpm}")),
            ("Fan3", format!("{rpm}")),
            ("Fan4", format!("{rpm}")),
            ("FanR", format!("{}%", setting.fan.as_percent().round())),
            ("FanErr", "0".into()),
            ("PS", format!("0 1221 4 0 {watts} {} 146", reply::limit_of(view))),
            ("GHSspd", format!("{ghs:.2}")),
            ("GHSmm", format!("{full:.2}")),
            ("GHSavg", format!("{ghs:.2}")),
            ("MGHS", format!("{ghs:.2}")),
            ("Freq", format!("{:.2}", out.clock.get())),
            ("TA", CHIPS.to_string()),
            ("Core", "A3197S".into()),
            ("SoftOFF", if setting.mining { "0" } else { "4" }.into()),
            ("LcdOnoff", "1".into()),
            ("Led", "0".into()),
            ("WORKMODE", mode.to_string()),
            ("WORKLEVEL", level.to_string()),
            ("MPO", reply::limit_of(view).to_string()),
        ];
        let text: Vec<_> = fields.iter().map(|(key, value)| format!("{key}[{value}]")).collect();
        format!("'STATS':{{{}}}", text.join(" "))
    }
}

impl Firmware for Avalon {
    fn answer(&mut self, ask: &Ask, view: &View<'_>) -> (Answer, Duration, Vec<Effect>) {
        let Ask::Line(line) = ask else {
            return (Answer::Hangup, Duration::ZERO, vec![]);
        };
        let Some(call) = Call::parse(line) else {
            let bad = section(status("E", 23, "Invalid JSON", BY, view), "", Value::Null);
            return (Answer::Line(bad.to_string()), LATENCY, vec![]);
        };
        let (value, effects) = match call.command.as_str() {
            "ascset" => Self::set(&joined(&call), view),
            "restart" => (json!({ "STATUS": "RESTART" }), vec![Effect::Restart]),
            _ => (call.each(|command| self.tell(command, view)), vec![]),
        };
        (Answer::Line(value.to_string()), LATENCY, effects)
    }

    fn ports(&self) -> &'static [u16] {
        &[4028]
    }

    fn restarted(&mut self) {}

    fn pools(&mut self) -> &mut Vec<Pool> {
        &mut self.pools
    }
}

/// The parameter, also from a list of its parts.
fn joined(call: &Call) -> String {
    match call.body.get("parameter").and_then(Value::as_array) {
        Some(parts) => {
            let text = |part: &Value| part.as_str().map_or_else(|| part.to_string(), str::to_owned);
            parts.iter().map(text).collect::<Vec<_>>().join(",")
        }
        None => call.parameter.clone(),
    }
}

/// Watts of a mode at a level; `None` for none that there is.
fn watts_of(mode: u32, level: u32) -> Option<f64> {
    let watts = MODES.get(mode as usize)?;
    (level < LEVELS).then(|| watts * (1.0 + LEVEL * f64::from(level)))
}

/// Mode and level nearest to what the machine is set to.
fn mode_of(view: &View<'_>) -> (u32, u32) {
    let limit = f64::from(reply::limit_of(view));
    let all = (0..MODES.len() as u32).flat_map(|mode| (0..LEVELS).map(move |level| (mode, level)));
    let off = |(mode, level): &(u32, u32)| {
        watts_of(*mode, *level).map_or(f64::INFINITY, |watts| (watts - limit).abs())
    };
    all.min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or((0, 0))
}

fn rates(view: &View<'_>) -> Value {
    let mhs = reply::round(reply::claimed(view) * 1e6, 2);
    json!({ "Elapsed": view.uptime.as_secs(), "MHS av": mhs, "MHS 5s": mhs, "MHS 1m": mhs,
        "MHS 5m": mhs, "MHS 15m": mhs, "Accepted": view.accepted, "Rejected": view.rejected,
        "Hardware Errors": 0, "Found Blocks": 0, "Stale": 0, "Best Share": 0 })
}

/// Temperature of each chip.
fn chips(view: &View<'_>) -> String {
    let each = vec![format!("{}", view.output.chip.get().round()); CHIPS];
    format!("'HB0':{{PVT_T0[ {}]}}", each.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::farm::{Kind, firmware::bench::Bench};

    fn bench() -> Bench {
        Bench::new(Kind::AvalonQ)
    }

    fn set(bench: &mut Bench, parameter: &str) -> (String, String) {
        let line = json!({ "command": "ascset", "parameter": parameter }).to_string();
        let status = bench.line(&line)["STATUS"][0].clone();
        let text = |key: &str| status[key].as_str().unwrap().to_owned();
        (text("STATUS"), text("Msg"))
    }

    fn field(bench: &mut Bench, name: &str) -> String {
        let stats = bench.line(r#"{"command":"litestats"}"#);
        let text = stats["STATS"][0]["MM ID0:Summary"].as_str().unwrap().to_owned();
        let (_, rest) = text.split_once(&format!(" {name}[")).unwrap();
        rest.split_once(']').unwrap().0.to_owned()
    }

    #[test]
    fn it_says_who_it_is_and_what_it_does() {
        let mut bench = bench();
        let version = bench.line(r#"{"command":"version"}"#);
        assert_eq!(version["VERSION"][0]["PROD"], "Avalon Q");
        assert_eq!(version["VERSION"][0]["MAC"].as_str().unwrap().len(), 12);
        for command in ["summary", "devs", "pools", "stats", "estats", "config", "devdetails"] {
            let answer = bench.line(&json!({ "command": command }).to_string());
            assert_eq!(answer["STATUS"][0]["STATUS"], "S", "{command}");
        }
        let watts: f64 = field(&mut bench, "PS").split(' ').nth(4).unwrap().parse().unwrap();
        assert!((watts - bench.machine.output().power.get()).abs() < 1.0);
        assert_eq!(
            (field(&mut bench, "WORKMODE"), field(&mut bench, "MPO")),
            ("2".into(), "1650".into())
        );
        assert_eq!(field(&mut bench, "SYSTEMSTATU"), "Work: In Work, Hash Board: 1");
    }

    #[test]
    fn modes_and_levels_are_what_the_machine_then_draws() {
        let mut bench = bench();
        let ok = ("S".to_owned(), "ASC 0 set OK".to_owned());
        assert_eq!(set(&mut bench, "0,workmode,set,0"), ok);
        assert_eq!(field(&mut bench, "WORKMODE"), "0");
        bench.wait(1200);
        assert!((bench.machine.output().power.get() / 800.0 - 1.0).abs() < 0.01);
        assert_eq!(set(&mut bench, "0,worklevel,set,2"), ok);
        assert_eq!(
            (field(&mut bench, "WORKMODE"), field(&mut bench, "WORKLEVEL")),
            ("0".into(), "2".into())
        );
        assert_eq!(set(&mut bench, "0,fan-spd,50"), ok);
        assert_eq!(bench.machine.setting().fan.get(), 0.5);
        let listed = bench.line(r#"{"command":"ascset","parameter":["0","workmode,set,1"]}"#);
        assert_eq!(listed["STATUS"][0]["STATUS"], "S");
        assert_eq!(field(&mut bench, "MPO"), "1300");
    }

    #[test]
    fn what_it_cannot_take_is_refused() {
        let mut bench = bench();
        for bad in [
            "0,workmode,set,9",
            "0,worklevel,set,1650 W",
            "0,fan-spd,10",
            "1,workmode,set,0",
            "0,dance,1",
            "0,softoff,now",
            "",
        ] {
            assert_eq!(set(&mut bench, bad).0, "E", "{bad}");
        }
        assert_eq!(bench.line("no json")["STATUS"][0]["STATUS"], "E");
    }

    #[test]
    fn soft_off_and_on_act_at_the_time_that_was_told() {
        let mut bench = bench();
        let now = 1_760_000_000 + bench.uptime.as_secs();
        let (mark, text) = set(&mut bench, &format!("0,softoff,1:{}", now + 5));
        assert_eq!(
            (mark.as_str(), text),
            ("I", format!("ASC 0 set info: success softoff:{}", now + 5))
        );
        bench.wait(3);
        assert!(bench.machine.setting().mining);
        bench.wait(4);
        assert!(!bench.machine.setting().mining);
        assert_eq!(
            (field(&mut bench, "SoftOFF"), bench.machine.output().power.get()),
            ("4".into(), 15.0)
        );
        set(&mut bench, &format!("0,softon,1:{now}"));
        assert!(bench.machine.setting().mining);
    }
}
