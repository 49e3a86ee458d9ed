//! Avalon home units (Nano 3S, Mini 3, Q): `ascset` over the cgminer API. Told modes and levels, never
//! watts; sleeps and wakes at a time of the machine's own clock.

use super::{READ_DEADLINE, cgminer, told};
use crate::{
    capability::Capabilities,
    command::{Command, Verb, WorkMode},
    device::Endpoint,
    driver::{Driver, DriverError, Pending, Reply, State},
    identity::{Firmware, Identity},
    readings::Readings,
    settings::{Pool, Pools, Settings},
};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};

/// Modes of a home unit: 0 to this.
const LAST_MODE: u8 = 2;
/// How far ahead a sleep is asked for: in the past it is ignored.
const AHEAD: u64 = 5;
/// Until a sleep, a wake or a mode shows in `litestats`.
const PATIENCE: Duration = Duration::from_secs(90);
const REBOOT: Duration = Duration::from_secs(300);

/// A link to one machine.
#[derive(Debug, Clone)]
pub struct Avalon {
    at: SocketAddr,
}

impl Avalon {
    /// Nothing is sent yet.
    pub fn new(at: Endpoint) -> Self {
        Self { at: SocketAddr::new(at.ip, at.cgminer) }
    }

    async fn ask(&self, command: &str) -> Result<Value, DriverError> {
        cgminer::ask(self.at, command, None, READ_DEADLINE).await
    }

    /// Its state, under whichever of the names its firmware knows.
    async fn stats(&self) -> Result<Value, DriverError> {
        for command in ["litestats", "estats"] {
            let answer = self.ask(command).await?;
            if cgminer::reply(&answer)? == Reply::Accepted {
                return Ok(answer);
            }
        }
        self.ask("stats").await
    }

    async fn set(&self, parameter: &str) -> Result<Reply, DriverError> {
        let told = cgminer::told(self.at, "ascset", Some(parameter), READ_DEADLINE).await?;
        // Some close without a word when they wake. Whether it is so is read back in any case.
        told.as_ref().map_or(Ok(Reply::Accepted), cgminer::reply)
    }

    async fn at_its_clock(&self, what: &str) -> Result<Reply, DriverError> {
        let answer = self.stats().await?;
        let Some(now) = answer["STATUS"][0]["When"].as_u64() else {
            return Err(DriverError::Garbage("the machine does not tell its time".into()));
        };
        self.set(&format!("0,{what},1:{}", now.saturating_add(AHEAD))).await
    }

    async fn mode(&self, mode: u8, level: Option<i8>) -> Result<Reply, DriverError> {
        match self.set(&format!("0,workmode,set,{mode}")).await? {
            Reply::Accepted => {}
            refused => return Ok(refused),
        }
        match level {
            Some(level) => self.set(&format!("0,worklevel,set,{level}")).await,
            None => Ok(Reply::Accepted),
        }
    }

    async fn send(&self, command: &Command) -> Result<Reply, DriverError> {
        match command {
            Command::Pause => self.at_its_clock("softoff").await,
            Command::Resume => self.at_its_clock("softon").await,
            Command::Mode(WorkMode::Avalon { mode, level }) if *mode <= LAST_MODE => {
                self.mode(*mode, *level).await
            }
            Command::Fan(Some(duty)) => {
                let percent = duty.as_percent().round();
                if percent < 25.0 {
                    return Ok(Reply::Refused("its fans turn at 25 % at least".into()));
                }
                self.set(&format!("0,fan-spd,{percent}")).await
            }
            Command::Fan(None) => self.set("0,fan-spd,-1").await,
            Command::Reboot => self.set("0,reboot,0").await,
            _ => Ok(Reply::Refused("an Avalon is not told this".into())),
        }
    }
}

impl Driver for Avalon {
    fn identify(&self) -> Pending<'_, Identity> {
        Box::pin(async move {
            let version = self.ask("version").await?;
            identity(&version)
                .ok_or_else(|| DriverError::Garbage("this is not the version of an Avalon".into()))
        })
    }

    fn capabilities(&self) -> Pending<'_, Capabilities> {
        Box::pin(async move {
            let stats = fields(&self.stats().await?);
            let mut able = Capabilities::of([Verb::Pause, Verb::Resume, Verb::Fan, Verb::Reboot]);
            // Industrial units have no work modes.
            if value(&stats, "WORKMODE").is_some() {
                able.verbs.insert(Verb::Mode);
                let mode = |mode| WorkMode::Avalon { mode, level: None };
                able.modes = (0..=LAST_MODE).map(mode).collect();
            }
            able.interrupts = true;
            Ok(able)
        })
    }

    fn read(&self) -> Pending<'_, State> {
        Box::pin(async move {
            let stats = fields(&self.stats().await?);
            if stats.is_empty() {
                return Err(DriverError::Garbage("no state of an Avalon".into()));
            }
            let mut state = state(&stats);
            let pools = self.ask("pools").await?;
            state.settings.pools = pools["POOLS"].as_array().map(|rows| {
                let pool = |row: &Value| {
                    Some(Pool { url: told::text(&row["URL"])?, user: told::text(&row["User"])? })
                };
                Pools(rows.iter().filter_map(pool).collect())
            });
            Ok(state)
        })
    }

    fn apply<'a>(&'a self, command: &'a Command) -> Pending<'a, Reply> {
        Box::pin(self.send(command))
    }

    fn patience(&self, command: &Command) -> Duration {
        if *command == Command::Reboot { REBOOT } else { PATIENCE }
    }
}

/// Who it is by its `version`.
pub(crate) fn identity(version: &Value) -> Option<Identity> {
    let row = version["VERSION"].get(0)?;
    let model = told::text(&row["PROD"]).or_else(|| told::text(&row["MODEL"]))?;
    Some(Identity {
        mac: row["MAC"].as_str().and_then(|mac| mac.parse().ok()),
        serial: told::text(&row["DNA"]),
        firmware: Firmware::Avalon,
        version: told::text(&row["LVERSION"]).or_else(|| told::text(&row["CGVERSION"])),
        model: Some(model),
        hostname: None,
    })
}

/// `KEY[value] KEY[value]` of every text in the answer whose name begins with `MM ID`.
fn fields(answer: &Value) -> Vec<(String, String)> {
    let rows = answer["STATS"].as_array().into_iter().flatten().filter_map(Value::as_object);
    let texts = rows.flatten().filter(|(key, _)| key.starts_with("MM ID"));
    let mut found = Vec::new();
    for text in texts.filter_map(|(_, text)| text.as_str()) {
        let mut rest = text;
        while let Some((key, behind)) = rest.split_once('[') {
            let Some((value, next)) = behind.split_once(']') else { break };
            let key = key.rsplit(['{', ' ']).find(|part| !part.is_empty()).unwrap_or(key);
            found.push((key.trim().to_owned(), value.trim().to_owned()));
            rest = next;
        }
    }
    found
}

fn value<'a>(fields: &'a [(String, String)], key: &str) -> Option<&'a str> {
    fields.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
}

fn state(fields: &[(String, String)]) -> State {
    let told = |key: &str| Value::from(value(fields, key).unwrap_or("").trim_end_matches('%'));
    let work = value(fields, "SYSTEMSTATU").unwrap_or("");
    let mining = match () {
        () if work.contains("In Work") => Some(true),
        () if work.contains("In Idle") => Some(false),
        () => None,
    };
    // PS[error control-mV board-mV amperes watts set-mV most]: the fifth is what goes in.
    let watts = value(fields, "PS").and_then(|ps| ps.split_whitespace().nth(4));
    let fans = ["Fan1", "Fan2", "Fan3", "Fan4"].map(|key| told::rpm(&told(key)));
    let mode = told("WORKMODE").as_str().and_then(|mode| mode.parse().ok());
    State {
        readings: Readings {
            hashrate: told::gigahashes(&told("GHSspd")),
            power: watts.and_then(|watts| told::watts(&Value::from(watts))),
            chip: told::celsius(&told("TMax")),
            inlet: told::celsius(&told("ITemp")),
            outlet: told::celsius(&told("HBOTemp")),
            errors: told::percent(&told("DHspd")),
            fan: fans.into_iter().flatten().max(),
            uptime: told::seconds(&told("Elapsed")),
            ..Readings::default()
        },
        settings: Settings {
            mining,
            mode: mode.map(|mode| WorkMode::Avalon {
                mode,
                level: told("WORKLEVEL").as_str().and_then(|level| level.parse().ok()),
            }),
            ..Settings::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn litestats(work: &str) -> Value {
        let text = format!(
            "'STATS':{{Ver[Q-25052801_14a19a2] SYSTEMSTATU[Work: {work}, Hash Board: 1] \
             Elapsed[37977] ITemp[26] HBOTemp[61] TMax[74] Fan1[2671] Fan2[2665] FanR[38%] \
             PS[0 1221 2421 66 1598 2422 1670] GHSspd[96785.71] DHspd[0.400%] SoftOFF[0] \
             WORKMODE[2] WORKLEVEL[-1] MPO[1600] Nonce Mask[25]}}"
        );
        json!({ "STATUS": [{ "STATUS": "S", "When": 7 }], "STATS": [{ "MM ID0:Summary": text }] })
    }

    #[test]
    fn its_text_is_read_field_by_field() {
        let state = state(&fields(&litestats("In Work")));
        assert_eq!(state.readings.power.unwrap().get(), 1598.0);
        assert_eq!(state.readings.hashrate.unwrap().terahashes_per_second(), 96.78571);
        assert_eq!(state.readings.chip.unwrap().get(), 74.0);
        assert_eq!(state.readings.fan.unwrap().0, 2671);
        assert_eq!(state.settings.mining, Some(true));
        assert_eq!(state.settings.mode, Some(WorkMode::Avalon { mode: 2, level: Some(-1) }));
        assert_eq!(state.settings.power_limit, None);
    }

    #[test]
    fn what_it_does_not_say_is_unknown() {
        assert_eq!(super::state(&fields(&litestats("In Idle"))).settings.mining, Some(false));
        assert_eq!(super::state(&fields(&litestats("In Init"))).settings.mining, None);
        assert_eq!(super::state(&[]), State::default());
        assert!(fields(&json!({ "STATS": [{ "MM ID0": "no [end" }, 3] })).is_empty());
    }

    #[test]
    fn it_says_who_it_is() {
        let row = json!({ "PROD": "Avalon Q", "MODEL": "Q", "MAC": "02:11:22:33:44:55",
            "DNA": "0201000012345678", "LVERSION": "25052801_14a19a2" });
        let who = identity(&json!({ "VERSION": [row] })).unwrap();
        assert_eq!(who.model.as_deref(), Some("Avalon Q"));
        assert_eq!(who.id().unwrap().to_string(), "mac:02:11:22:33:44:55");
    }
}
