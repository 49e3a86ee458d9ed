//! AxeOS: frequency, voltage, fan, target temperature, pause over REST. Never writes a pool, and never
//! takes the input rail for the core voltage. Who asks often is answered from the machine's live stream.

pub mod live;

use super::{
    READ_DEADLINE, http,
    told::{self, text, truth},
};
use crate::{
    capability::{Capabilities, Range},
    command::{Command, Verb},
    device::Endpoint,
    driver::{Driver, DriverError, Pending, Reply, State},
    identity::{Firmware, Identity},
    readings::Readings,
    settings::{Pool, Pools, Settings},
};
use hyper::Method;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use units::{Megahertz, Millivolts};

/// First version with pause and resume.
const PAUSES: (u64, u64) = (2, 14);
/// Until a setting shows in `info`.
const PATIENCE: Duration = Duration::from_secs(15);
/// Until the web server is back after a restart.
const REBOOT: Duration = Duration::from_secs(60);

/// A link to one Bitaxe.
#[derive(Debug, Clone)]
pub struct AxeOs {
    at: SocketAddr,
    live: live::Live,
}

impl AxeOs {
    /// Nothing is sent yet.
    pub fn new(at: Endpoint) -> Self {
        let at = SocketAddr::new(at.ip, at.http);
        Self { at, live: live::Live::new(at) }
    }

    async fn info(&self) -> Result<Value, DriverError> {
        let page = http::get(self.at, "/api/system/info", READ_DEADLINE).await?;
        let info = page.json()?;
        match info.get("ASICModel") {
            Some(_) => Ok(info),
            None => Err(DriverError::Garbage("this is not the info of AxeOS".into())),
        }
    }

    async fn send(&self, command: &Command) -> Result<Reply, DriverError> {
        let (method, path, body) = match request(command) {
            Ok(request) => request,
            Err(reason) => return Ok(Reply::Refused(reason.into())),
        };
        let page = http::send(self.at, method, path, body.as_ref(), READ_DEADLINE).await;
        // Also without an answer: it may have arrived.
        self.live.commanded();
        page?.reply()
    }
}

impl Driver for AxeOs {
    fn identify(&self) -> Pending<'_, Identity> {
        Box::pin(async move { Ok(identity(&self.info().await?)) })
    }

    fn capabilities(&self) -> Pending<'_, Capabilities> {
        Box::pin(async move {
            let info = self.info().await?;
            let page = http::get(self.at, "/api/system/asic", READ_DEADLINE).await?;
            // Firmware before 2.4 has no such page: then nothing is known of what it bears.
            let asic = if page.status == 404 { Value::Null } else { page.json()? };
            Ok(capabilities(&info, &asic))
        })
    }

    fn read(&self) -> Pending<'_, State> {
        Box::pin(async move {
            let info = match self.live.info() {
                Some(info) => info,
                None => self.info().await?,
            };
            Ok(state(&info))
        })
    }

    fn apply<'a>(&'a self, command: &'a Command) -> Pending<'a, Reply> {
        Box::pin(self.send(command))
    }

    fn patience(&self, command: &Command) -> Duration {
        if *command == Command::Reboot { REBOOT } else { PATIENCE }
    }
}

type Sent = (Method, &'static str, Option<Value>);

fn request(command: &Command) -> Result<Sent, &'static str> {
    let patch = |body| Ok((Method::PATCH, "/api/system", Some(body)));
    let post = |path| Ok((Method::POST, path, None));
    match command {
        Command::Pause => post("/api/system/pause"),
        Command::Resume => post("/api/system/resume"),
        Command::Reboot => post("/api/system/restart"),
        Command::Locate(true) => post("/api/system/identify"),
        Command::Locate(false) => Err("it stops blinking by itself after 30 s"),
        Command::Clock { frequency, voltage } => {
            // Whole numbers are written as such: older firmware reads integers only.
            let clock = frequency.get();
            let clock = if clock.fract() == 0.0 { json!(clock as u64) } else { json!(clock) };
            patch(json!({ "frequency": clock, "coreVoltage": voltage.get().round() as u64 }))
        }
        Command::Fan(Some(duty)) => {
            patch(json!({ "autofanspeed": 0, "fanspeed": duty.as_percent().round() as u64 }))
        }
        Command::Fan(None) => patch(json!({ "autofanspeed": 1 })),
        Command::TargetTemperature(target) => {
            patch(json!({ "temptarget": target.get().round() as u64 }))
        }
        Command::PowerLimit(_)
        | Command::Throttle(_)
        | Command::Mode(_)
        | Command::Profile(_)
        | Command::BoardClock { .. } => Err("AxeOS cannot do this"),
    }
}

/// Who it is by its `/api/system/info`.
pub(crate) fn identity(info: &Value) -> Identity {
    Identity {
        mac: info["macAddr"].as_str().and_then(|mac| mac.parse().ok()),
        serial: None,
        firmware: Firmware::AxeOs,
        version: text(&info["version"]),
        model: text(&info["ASICModel"]),
        hostname: text(&info["hostname"]),
    }
}

fn capabilities(info: &Value, asic: &Value) -> Capabilities {
    let mut able =
        Capabilities::of([Verb::Fan, Verb::TargetTemperature, Verb::Locate, Verb::Reboot]);
    if info["version"].as_str().and_then(version).is_some_and(|version| version >= PAUSES) {
        able.verbs.extend([Verb::Pause, Verb::Resume]);
    }
    let span = |options: &Value| -> Option<(f64, f64)> {
        let all = options.as_array()?.iter().filter_map(told::number);
        all.fold(None, |span, n| {
            Some(span.map_or((n, n), |(a, b): (f64, f64)| (a.min(n), b.max(n))))
        })
    };
    let clocks = span(&asic["frequencyOptions"])
        .and_then(|(low, high)| Range::new(Megahertz::new(low).ok()?, Megahertz::new(high).ok()?));
    let volts = span(&asic["voltageOptions"]).and_then(|(low, high)| {
        Range::new(Millivolts::new(low).ok()?, Millivolts::new(high).ok()?)
    });
    if clocks.is_some() && volts.is_some() {
        able.verbs.insert(Verb::Clock);
        (able.frequency, able.voltage) = (clocks, volts);
    }
    able
}

/// Major and minor of `v2.14.0`, `2.4.5b`, `v2.14.0-rc1`.
fn version(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.trim_start_matches(['v', 'V']).split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn state(info: &Value) -> State {
    let automatic = truth(&info["autofanspeed"]);
    let chips = info["hashrateMonitor"]["asics"].as_array();
    let chips = chips.into_iter().flatten().filter_map(|chip| told::gigahashes(&chip["total"]));
    let pool = |url: &str, port: &str, user: &str| {
        Some(Pool {
            url: format!("{}:{}", text(&info[url])?, told::number(&info[port])?),
            user: text(&info[user])?,
        })
    };
    let pools: Vec<_> = [
        pool("stratumURL", "stratumPort", "stratumUser"),
        pool("fallbackStratumURL", "fallbackStratumPort", "fallbackStratumUser"),
    ]
    .into_iter()
    .flatten()
    .collect();
    State {
        readings: Readings {
            hashrate: told::gigahashes(&info["hashRate"]),
            power: told::watts(&info["power"]),
            chip: told::hottest([told::celsius(&info["temp"]), told::celsius(&info["temp2"])]),
            regulator: told::celsius(&info["vrTemp"]),
            inlet: None,
            outlet: None,
            input: told::millivolts(&info["voltage"]),
            errors: told::percent(&info["errorPercentage"]),
            fan: told::rpm(&info["fanrpm"]),
            uptime: told::seconds(&info["uptimeSeconds"]),
            chips: chips.collect(),
            weakest_board: None,
            boards: Vec::new(),
        },
        settings: Settings {
            mining: truth(&info["miningPaused"]).map(|paused| !paused),
            power_limit: None,
            frequency: told::megahertz(&info["frequency"]),
            voltage: told::millivolts(&info["coreVoltage"]),
            boards: Vec::new(),
            fan: told::percent(&info["fanspeed"]).filter(|_| automatic == Some(false)),
            fan_auto: automatic,
            target: told::celsius(&info["temptarget"]),
            mode: None,
            profile: None,
            locating: None,
            pools: (!pools.is_empty()).then_some(Pools(pools)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Ratio;

    fn info() -> Value {
        json!({
            "ASICModel": "BM1370", "version": "v2.14.0", "macAddr": "02:00:00:00:00:07",
            "hashRate": 1070.5, "power": 17.1, "voltage": 5150, "coreVoltage": 1150,
            "coreVoltageActual": 1146, "frequency": 525, "temp": 62.1, "temp2": -1, "vrTemp": 0,
            "fanspeed": 60, "fanrpm": 4100, "autofanspeed": 0, "temptarget": 60,
            "errorPercentage": 0.4, "miningPaused": false, "uptimeSeconds": 77,
            "stratumURL": "10.0.0.2", "stratumPort": 3333, "stratumUser": "bc1q.x",
        })
    }

    #[test]
    fn the_input_rail_is_not_the_core_voltage() {
        let state = state(&info());
        assert_eq!(state.settings.voltage.unwrap().get(), 1150.0);
        assert_eq!(state.readings.input.unwrap().get(), 5150.0);
    }

    #[test]
    fn what_is_not_told_is_unknown_and_the_rest_is_still_read() {
        let state = state(&info());
        assert_eq!(state.readings.regulator, None);
        assert_eq!(state.readings.chip.unwrap().get(), 62.1);
        assert_eq!(state.settings.mining, Some(true));
        assert_eq!(state.settings.fan, Ratio::percent(60.0).ok());
        let mut broken = info();
        for key in ["power", "hashRate", "frequency", "miningPaused", "stratumURL"] {
            broken[key] = json!("nan");
        }
        broken["temp"] = json!({ "deep": [1] });
        let state = super::state(&broken);
        assert_eq!((state.readings.power, state.readings.hashrate), (None, None));
        assert_eq!((state.settings.frequency, state.settings.mining), (None, None));
        assert_eq!(state.readings.chip, None);
        assert_eq!(state.settings.voltage.unwrap().get(), 1150.0);
    }

    #[test]
    fn only_firmware_that_pauses_is_asked_to_and_clocks_need_known_bounds() {
        let asic = json!({ "frequencyOptions": [400, 525, 625], "voltageOptions": [1000, 1250] });
        let able = |version: &str, asic: &Value| {
            let mut info = info();
            info["version"] = json!(version);
            capabilities(&info, asic)
        };
        for (version, pauses) in [
            ("v2.14.0", true),
            ("v3.0.0", true),
            ("v2.13.9", false),
            ("2.4.5b", false),
            ("x", false),
        ] {
            assert_eq!(able(version, &asic).verbs.contains(&Verb::Pause), pauses, "{version}");
        }
        let full = able("v2.14.0", &asic);
        assert_eq!(
            full.frequency,
            Range::new(Megahertz::new(400.0).unwrap(), Megahertz::new(625.0).unwrap())
        );
        assert!(!able("v2.14.0", &Value::Null).verbs.contains(&Verb::Clock));
    }

    #[test]
    fn no_request_names_a_pool() {
        let commands = [
            Command::Pause,
            Command::Resume,
            Command::Reboot,
            Command::Fan(None),
            Command::Fan(Some(Ratio::ALL)),
            Command::TargetTemperature(units::Celsius::new(60.0).unwrap()),
            Command::Clock {
                frequency: Megahertz::new(490.5).unwrap(),
                voltage: Millivolts::new(1060.0).unwrap(),
            },
        ];
        for command in commands {
            let (_, _, body) = request(&command).unwrap();
            assert!(!body.unwrap_or_default().to_string().contains("ratum"), "{command}");
        }
    }
}
