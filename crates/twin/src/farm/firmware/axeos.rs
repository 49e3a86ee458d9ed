//! AxeOS: REST, and what its WebSocket sends. The fan on automatic always turns at full speed here.

use super::{
    Answer, Ask, Effect, Firmware, Pool, View,
    reply::{self, Plate, json_page, round},
};
use crate::farm::{Phase, Setting};
use serde_json::{Map, Value, json};
use std::time::Duration;
use units::{Megahertz, Millivolts, Ratio};

/// Core voltages that it takes, mV: the firmware's own input check is as wide.
const VOLTAGES: (f64, f64) = (500.0, 1400.0);
/// What the regulator sees, mV: not the core voltage.
const INPUT_RAIL: f64 = 5150.0;
const LATENCY: Duration = Duration::from_millis(15);

/// A Bitaxe Gamma's firmware.
#[derive(Debug, Clone)]
pub struct AxeOs {
    mac: String,
    hostname: String,
    pools: Vec<Pool>,
    automatic_fan: bool,
    /// °C.
    target: f64,
}

impl AxeOs {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        let mac = Plate::new(seed).mac();
        let hostname = format!("bitaxe-{}", mac.replace(':', "")[8..].to_lowercase());
        Self { mac, hostname, pools: super::vendor_pools(), automatic_fan: false, target: 60.0 }
    }

    /// What `/api/system/info` answers, and the WebSocket as its first message.
    pub fn info(&self, view: &View<'_>) -> Value {
        let (setting, out) = (view.machine.setting(), &view.output);
        let spec = view.machine.spec();
        let amperes = out.power.get() / INPUT_RAIL * 1e3;
        let expected = setting.clock.get() * spec.hashes_per_clock / 1e3;
        let stratum = |index: usize| {
            let pool = self.pools.get(index);
            let (host, port) = pool.map_or_else(Default::default, |p| reply::endpoint(&p.url));
            (host, port, pool.map(|p| p.user.clone()).unwrap_or_default())
        };
        let (main, fallback) = (stratum(0), stratum(1));
        let tripped = matches!(out.phase, Phase::Tripped(_));
        merged([
            json!({
                "ASICModel": "BM1370", "asicCount": 1, "smallCoreCount": 2040, "boardVersion": "601",
                "version": "v2.14.0", "axeOSVersion": "v2.14.0", "idfVersion": "v5.5.1",
                "runningPartition": "ota_0", "macAddr": self.mac, "hostname": self.hostname,
                "ssid": "shed", "wifiStatus": "Connected!", "wifiRSSI": -52, "freeHeap": 8_443_612,
                "hashRate": round(reply::claimed(view) * 1e3, 3),
                "expectedHashrate": round(expected, 3),
                "errorPercentage": round(out.lost.as_percent(), 3)
            }),
            json!({
                "power": round(out.power.get(), 3), "voltage": INPUT_RAIL, "maxPower": 40,
                "nominalVoltage": 5, "current": round(amperes * 1e3, 1),
                "coreVoltage": setting.voltage.get().round(),
                "coreVoltageActual": setting.voltage.get().round(),
                "frequency": setting.clock.get(),
                "temp": round(out.chip.get(), 2), "temp2": -1, "vrTemp": round(out.regulator.get(), 1),
                "fanspeed": setting.fan.as_percent().round(),
                "fanrpm": (setting.fan.get() * 6_800.0).round(), "fan2rpm": 0,
                "autofanspeed": u8::from(self.automatic_fan), "temptarget": self.target,
                "minFanSpeed": 25, "overheat_mode": u8::from(tripped)
            }),
            json!({
                "miningPaused": !setting.mining, "uptimeSeconds": view.uptime.as_secs(),
                "sharesAccepted": view.accepted, "sharesRejected": view.rejected,
                "sharesRejectedReasons": [], "bestDiff": 0, "bestSessionDiff": 0, "stratumDiff": 0,
                "stratumURL": main.0, "stratumPort": main.1, "stratumUser": main.2,
                "fallbackStratumURL": fallback.0, "fallbackStratumPort": fallback.1,
                "fallbackStratumUser": fallback.2, "isUsingFallbackStratum": 0,
                "hashrateMonitor": { "asics": [chip(view)] }
            }),
        ])
    }

    fn patch(&mut self, body: &[u8], view: &View<'_>) -> Result<Vec<Effect>, String> {
        let wanted: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| "Invalid JSON".to_owned())?;
        let number = |key: &str, (least, most): (f64, f64)| match wanted.get(key) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(n) if (least..=most).contains(&n) => Ok(Some(n)),
                _ => Err(format!("{key} is out of range")),
            },
        };
        let spec = view.machine.spec();
        let clock = number("frequency", (spec.clocks.0.get(), spec.clocks.1.get()))?;
        let volts = number("coreVoltage", VOLTAGES)?;
        let duty = number("fanspeed", (0.0, 100.0))?;
        let target = number("temptarget", (35.0, 66.0))?;
        let automatic = number("autofanspeed", (0.0, 1.0))?;
        number("overheat_mode", (0.0, 0.0))?;

        let before = view.machine.setting();
        let aimed = target.is_some_and(|target| target != self.target);
        self.target = target.unwrap_or(self.target);
        self.automatic_fan = automatic.map_or(self.automatic_fan, |n| n > 0.5);
        let fan = if self.automatic_fan { Some(100.0) } else { duty };
        self.name(&wanted);
        let setting = Setting {
            clock: clock.and_then(|f| Megahertz::new(f).ok()).unwrap_or(before.clock),
            voltage: volts.and_then(|v| Millivolts::new(v).ok()).unwrap_or(before.voltage),
            fan: fan.and_then(|p| Ratio::percent(p).ok()).unwrap_or(before.fan),
            ..before
        };
        if setting == before && !aimed {
            return Ok(vec![]);
        }
        Ok(vec![Effect::Set(setting, Duration::ZERO)])
    }

    /// Host name and pools as far as the request names them.
    fn name(&mut self, wanted: &Map<String, Value>) {
        let text = |key: &str| wanted.get(key).and_then(Value::as_str).map(str::to_owned);
        self.hostname = text("hostname").unwrap_or_else(|| self.hostname.clone());
        for (index, prefix) in ["stratum", "fallbackStratum"].into_iter().enumerate() {
            let Some(pool) = self.pools.get_mut(index) else { continue };
            let (host, port) = reply::endpoint(&pool.url);
            let host = text(&format!("{prefix}URL")).unwrap_or(host);
            let told = wanted.get(&format!("{prefix}Port")).and_then(Value::as_u64);
            let port = told.unwrap_or(u64::from(port));
            pool.url = format!("stratum+tcp://{host}:{port}");
            pool.user = text(&format!("{prefix}User")).unwrap_or_else(|| pool.user.clone());
            pool.password =
                text(&format!("{prefix}Password")).unwrap_or_else(|| pool.password.clone());
        }
    }

    fn asic() -> Value {
        json!({
            "ASICModel": "BM1370", "deviceModel": "Gamma", "swarmColor": "green", "asicCount": 1,
            "defaultFrequency": 525, "frequencyOptions": [400, 490, 525, 550, 600, 625],
            "defaultVoltage": 1150, "voltageOptions": [1000, 1060, 1100, 1150, 1200, 1250],
        })
    }
}

/// What a chip's own registers say: the hashrate of all of it and of each of its four domains (BM1370),
/// and its error counter: 32 bits, one for each 2^32 wrong hashes (ESP-Miner, `hashrate_monitor_task.c`).
fn chip(view: &View<'_>) -> Value {
    let ghs = reply::claimed(view) * 1e3;
    let wrong = (view.machine.wrong() / 2f64.powi(32)) as u64 as u32;
    let domain = round(ghs / 4.0, 3);
    let domains = [domain; 4];
    json!({ "total": round(ghs, 3), "domains": domains, "errorCount": wrong })
}

/// One object of several.
fn merged<const N: usize>(parts: [Value; N]) -> Value {
    let all = parts.into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Value::Object(all.flatten().collect())
}

/// Where the live stream is, from 2.14 on.
pub const LIVE: &str = "/api/ws/live";
/// How often it looks for changes.
pub const LIVE_EVERY: Duration = Duration::from_millis(500);

/// What the WebSocket sends when this much has changed since its last message; `None` if nothing has.
pub fn live(before: Option<&Value>, now: &Value) -> Option<Value> {
    let data = before.map_or_else(|| Some(now.clone()), |before| changed(before, now))?;
    Some(json!({ "event": "update", "data": data }))
}

/// Objects are compared field by field, all else as a whole, as `cJSON_GetDiff` of ESP-Miner does.
fn changed(before: &Value, now: &Value) -> Option<Value> {
    if before == now {
        return None;
    }
    let (Some(old), Some(new)) = (before.as_object(), now.as_object()) else {
        return Some(now.clone());
    };
    let news = new.iter().filter_map(|(key, value)| {
        let news = old.get(key).map_or_else(|| Some(value.clone()), |old| changed(old, value));
        Some((key.clone(), news?))
    });
    let news: Map<String, Value> = news.collect();
    (!news.is_empty()).then_some(Value::Object(news))
}

impl Firmware for AxeOs {
    fn answer(&mut self, ask: &Ask, view: &View<'_>) -> (Answer, Duration, Vec<Effect>) {
        let Ask::Http { method, path, body, .. } = ask else {
            return (Answer::Hangup, Duration::ZERO, vec![]);
        };
        let path = path.split('?').next().unwrap_or(path);
        let done = |says: &str, effects| (json_page(200, &json!({ "message": says })), effects);
        let set = |mining| vec![Effect::Set(reply::mining(view, mining), Duration::ZERO)];
        let (answer, effects) = match (method.as_str(), path) {
            ("GET", "/") => (reply::page("AxeOS"), vec![]),
            ("GET", "/api/system/info") => (json_page(200, &self.info(view)), vec![]),
            ("GET", "/api/system/asic") => (json_page(200, &Self::asic()), vec![]),
            ("POST", "/api/system/pause") => done("Mining paused", set(false)),
            ("POST", "/api/system/resume") => done("Mining resumed", set(true)),
            ("POST", "/api/system/restart") => {
                done("System will restart shortly.", vec![Effect::Restart])
            }
            ("POST", "/api/system/identify") => done("The device says \"Hi!\" for 30 s.", vec![]),
            ("PATCH", "/api/system") => match self.patch(body, view) {
                Ok(effects) => done("ok", effects),
                Err(reason) => (json_page(400, &json!({ "error": reason })), vec![]),
            },
            _ => (json_page(404, &json!({ "error": "not found" })), vec![]),
        };
        (answer, LATENCY, effects)
    }

    fn ports(&self) -> &'static [u16] {
        &[80]
    }

    fn restarted(&mut self) {}

    fn pools(&mut self) -> &mut Vec<Pool> {
        &mut self.pools
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::farm::{Kind, firmware::bench::Bench};

    fn bench() -> Bench {
        Bench::new(Kind::BitaxeGamma)
    }

    #[test]
    fn it_tells_what_the_machine_does_and_the_input_rail_is_not_the_core_voltage() {
        let mut bench = bench();
        let info = bench.get("/api/system/info");
        let power = bench.machine.output().power.get();
        assert!((info["power"].as_f64().unwrap() / power - 1.0).abs() < 1e-3);
        let ghs = bench.machine.output().tried.hashes_per_second() / 1e9;
        assert!((info["hashRate"].as_f64().unwrap() / ghs - 1.0).abs() < 1e-3);
        assert_eq!(info["expectedHashrate"], 1071.0);
        assert_eq!((&info["voltage"], &info["coreVoltage"]), (&json!(5150.0), &json!(1150.0)));
        assert_eq!(info["ASICModel"], "BM1370");
        assert_eq!(info["miningPaused"], false);
    }

    #[test]
    fn it_is_known_by_its_page_and_says_what_it_can_be_set_to() {
        let mut bench = bench();
        let (status, page) = bench.http("GET", "/", "");
        assert!(status == 200 && page.contains("AxeOS"));
        assert_eq!(bench.get("/api/system/asic")["frequencyOptions"][2], 525);
        assert_eq!(bench.http("GET", "/api/none", "").0, 404);
    }

    #[test]
    fn both_clients_settings_are_taken_and_those_out_of_range_are_refused_whole() {
        let mut bench = bench();
        let pyasic = r#"{"temptarget": 60, "autoFanspeed": 1, "frequency": 400}"#;
        assert_eq!(bench.http("PATCH", "/api/system", pyasic).0, 200);
        assert_eq!(bench.machine.setting().clock.get(), 400.0);
        let ours =
            r#"{"coreVoltage": 1060, "frequency": 490.5, "fanspeed": 40, "autofanspeed": 0}"#;
        assert_eq!(bench.http("PATCH", "/api/system", ours).0, 200);
        let setting = bench.machine.setting();
        assert_eq!((setting.clock.get(), setting.voltage.get()), (490.5, 1060.0));
        assert_eq!(setting.fan.get(), 0.4);
        for bad in
            [r#"{"coreVoltage": 5000}"#, r#"{"frequency": "fast"}"#, "{", r#"{"fanspeed":-1}"#]
        {
            assert_eq!(bench.http("PATCH", "/api/system", bad).0, 400, "{bad}");
        }
        assert_eq!(bench.machine.setting(), setting);
    }

    #[test]
    fn a_pause_holds_until_the_resume_and_a_restart_boots() {
        let mut bench = bench();
        assert_eq!(bench.http("POST", "/api/system/pause", "").0, 200);
        assert_eq!(bench.get("/api/system/info")["miningPaused"], true);
        bench.wait(1);
        assert_eq!(bench.get("/api/system/info")["hashRate"], 0.0);
        let (status, body) = bench.http("POST", "/api/system/resume", "");
        assert!(status == 200 && serde_json::from_str::<Value>(&body).is_ok());
        bench.wait(60);
        assert!(bench.get("/api/system/info")["hashRate"].as_f64().unwrap() > 1000.0);
        bench.http("POST", "/api/system/restart", "");
        assert!(matches!(bench.machine.output().phase, Phase::Booting(_)));
    }

    #[test]
    fn pools_change_only_where_they_are_named() {
        let mut bench = bench();
        bench.http("PATCH", "/api/system", r#"{"stratumURL": "10.0.0.9", "stratumPort": 4444}"#);
        let info = bench.get("/api/system/info");
        assert_eq!((&info["stratumURL"], &info["stratumPort"]), (&json!("10.0.0.9"), &json!(4444)));
        assert_eq!(info["stratumUser"], super::super::vendor_pools()[0].user);
    }

    #[test]
    fn the_live_stream_sends_all_once_and_then_only_what_changed() {
        let (old, new) = (json!({"temp": 50, "power": 17}), json!({"temp": 51, "power": 17}));
        assert_eq!(live(None, &old).unwrap()["data"], old);
        assert_eq!(live(Some(&old), &new).unwrap()["data"], json!({"temp": 51}));
        assert_eq!(live(Some(&new), &new), None);
        let (old, new) = (json!({"m": {"a": 1, "b": [1, 2]}}), json!({"m": {"a": 1, "b": [1, 3]}}));
        assert_eq!(live(Some(&old), &new).unwrap()["data"], json!({"m": {"b": [1, 3]}}));
    }
}
