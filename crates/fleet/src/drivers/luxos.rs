//! LuxOS: one shared session, profiles, curtailment and the clock of each board over the cgminer API. A
//! power limit becomes the strongest profile that does not exceed it. Never writes pools, and never the
//! clock of a single chip: `frequencyset` takes one, and its maker says to set boards "for miner safety".

use super::{READ_DEADLINE, cgminer, told};
use crate::{
    capability::{Boards, Capabilities, Range},
    command::{Command, Verb},
    device::Endpoint,
    driver::{Driver, DriverError, Pending, Reply, State},
    identity::{Firmware, Identity},
    readings::{BoardReading, Readings, weakest_board},
    settings::{Pool, Pools, Settings},
};
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{Mutex as Lock, PoisonError},
    time::Duration,
};
use tokio::sync::Mutex;
use units::{Celsius, Hashrate, Megahertz, Ratio, Watts};

/// Until sleep and profile show in `config`.
const PATIENCE: Duration = Duration::from_secs(60);
/// Until the control board is back.
const REBOOT: Duration = Duration::from_secs(300);
/// More boards than any machine has.
const MOST_BOARDS: usize = 16;
/// Asked on one connection.
const STATE: &str = "config+summary+power+stats+devs+fans+pools";

/// A link to one machine.
#[derive(Debug)]
pub struct LuxOs {
    at: SocketAddr,
    /// The machine has one session at a time: held while it is used.
    session: Mutex<Option<String>>,
    remembered: Lock<Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    profiles: Vec<(String, Watts)>,
    /// The limit that was asked for, and the profile it became.
    limit: Option<(Watts, String)>,
}

impl LuxOs {
    /// Nothing is sent yet.
    pub fn new(at: Endpoint) -> Self {
        Self {
            at: SocketAddr::new(at.ip, at.cgminer),
            session: Mutex::default(),
            remembered: Lock::default(),
        }
    }

    async fn ask(&self, command: &str) -> Result<Value, DriverError> {
        cgminer::ask(self.at, command, None, READ_DEADLINE).await
    }

    async fn profiles(&self) -> Result<Vec<(String, Watts)>, DriverError> {
        let told = profiles(&self.ask("profiles").await?);
        self.remembered().profiles.clone_from(&told);
        Ok(told)
    }

    /// Its profiles, asked only if they never were.
    async fn ladder(&self) -> Result<Vec<(String, Watts)>, DriverError> {
        let known = self.remembered().profiles.clone();
        if known.is_empty() { self.profiles().await } else { Ok(known) }
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open session of the machine, whoever opened it, or a new one.
    async fn session(&self) -> Result<Result<String, Reply>, DriverError> {
        let id = |answer: &Value| told::text(&answer["SESSION"][0]["SessionID"]);
        if let Some(open) = id(&self.ask("session").await?) {
            return Ok(Ok(open));
        }
        let answer = self.ask("logon").await?;
        match id(&answer) {
            Some(new) => Ok(Ok(new)),
            None => Ok(Err(cgminer::reply(&answer)?)),
        }
    }

    /// A privileged command; a session that the machine has forgotten is replaced once.
    async fn privileged(&self, command: &str, rest: &str) -> Result<Reply, DriverError> {
        let mut held = self.session.lock().await;
        for last in [false, true] {
            let session = match held.as_ref() {
                Some(session) => session.clone(),
                None => match self.session().await? {
                    Ok(session) => held.insert(session).clone(),
                    Err(refused) => return Ok(refused),
                },
            };
            let comma = if rest.is_empty() { "" } else { "," };
            let parameter = format!("{session}{comma}{rest}");
            let answer = cgminer::ask(self.at, command, Some(&parameter), READ_DEADLINE).await?;
            match cgminer::reply(&answer)? {
                Reply::Refused(words) if !last && words.to_lowercase().contains("session") => {
                    *held = None;
                }
                reply => return Ok(reply),
            }
        }
        Ok(Reply::Refused("no session".into()))
    }

    /// The machine's own thermal management would choose another profile: it is off meanwhile.
    async fn profile(&self, name: &str) -> Result<Reply, DriverError> {
        let config = self.ask("config").await?;
        let managed = told::truth(&config["CONFIG"][0]["IsAtmEnabled"]) == Some(true);
        if managed
            && let refused @ Reply::Refused(_) = self.privileged("atmset", "enabled=false").await?
        {
            return Ok(refused);
        }
        let reply = self.privileged("profileset", name).await;
        if managed {
            self.privileged("atmset", "enabled=true").await?;
        }
        reply
    }

    async fn limit(&self, watts: Watts) -> Result<Reply, DriverError> {
        let ladder = self.ladder().await?;
        let Some((name, _)) = strongest(&ladder, watts) else {
            return Ok(Reply::Refused(format!("no profile needs {watts} or less")));
        };
        let name = name.clone();
        let reply = self.profile(&name).await;
        // Kept even without an answer: only a profile read back makes it count.
        self.remembered().limit = Some((watts, name));
        reply
    }

    async fn send(&self, command: &Command) -> Result<Reply, DriverError> {
        if let Some((verb, parameter)) = plain(command) {
            return self.privileged(verb, &parameter).await;
        }
        match command {
            Command::Profile(name) if name.contains(',') => {
                Ok(Reply::Refused("a profile's name has no comma".into()))
            }
            Command::Profile(name) => {
                self.remembered().limit = None;
                self.profile(name).await
            }
            Command::PowerLimit(watts) => self.limit(*watts).await,
            _ => Ok(Reply::Refused("LuxOS is not told this here".into())),
        }
    }
}

impl Driver for LuxOs {
    fn identify(&self) -> Pending<'_, Identity> {
        Box::pin(async move {
            let config = self.ask("config").await?;
            let version = self.ask("version").await?;
            identity(&config, &version)
                .ok_or_else(|| DriverError::Garbage("this is not the config of LuxOS".into()))
        })
    }

    fn capabilities(&self) -> Pending<'_, Capabilities> {
        Box::pin(async move {
            let told = self.ask("profiles").await?;
            let profiles = profiles(&told);
            self.remembered().profiles.clone_from(&profiles);
            let count = own_clocks(&self.ask("stats").await?["STATS"]).len();
            let mut able =
                Capabilities::of([Verb::Pause, Verb::Resume, Verb::Locate, Verb::Reboot]);
            let span = profiles.first().zip(profiles.last());
            if let Some(range) = span.and_then(|(low, high)| Range::new(low.1, high.1)) {
                able.power = Some(range);
                able.verbs.extend([Verb::Profile, Verb::PowerLimit]);
            }
            able.profiles = profiles.into_iter().map(|(name, watts)| (name, Some(watts))).collect();
            able.boards = boards(&told, count);
            if able.boards.is_some() {
                able.verbs.insert(Verb::BoardClock);
            }
            able.interrupts = true;
            Ok(able)
        })
    }

    fn read(&self) -> Pending<'_, State> {
        Box::pin(async move {
            let answer = self.ask(STATE).await?;
            let mut state = state(&answer)
                .ok_or_else(|| DriverError::Garbage("this is not the config of LuxOS".into()))?;
            if let Some(profile) = &state.settings.profile {
                let ladder = self.ladder().await?;
                let asked = self.remembered().limit.clone();
                state.settings.power_limit = asked
                    .filter(|(_, became)| became == profile)
                    .map(|(watts, _)| watts)
                    .or_else(|| ladder.iter().find(|(name, _)| name == profile).map(|own| own.1));
            }
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

/// What is one question: command and parameters behind the session.
fn plain(command: &Command) -> Option<(&'static str, String)> {
    Some(match command {
        // Its own pace: `mode=unsafe` or a larger step costs hardware life.
        Command::Resume => ("curtail", "wakeup".into()),
        Command::Pause => ("curtail", "sleep".into()),
        // A third parameter would set one chip alone.
        Command::BoardClock { board, frequency } => {
            ("frequencyset", format!("{board},{:.0}", frequency.get()))
        }
        Command::Locate(true) => ("ledset", "red,blink".into()),
        Command::Locate(false) => ("ledset", "red,auto".into()),
        Command::Reboot => ("rebootdevice", String::new()),
        _ => return None,
    })
}

/// Who it is by its `config` and `version`.
pub(crate) fn identity(config: &Value, version: &Value) -> Option<Identity> {
    let config = config["CONFIG"].get(0)?;
    Some(Identity {
        mac: config["MACAddr"].as_str().and_then(|mac| mac.parse().ok()),
        serial: told::text(&config["SerialNumber"]),
        firmware: Firmware::LuxOs,
        version: told::text(&version["VERSION"][0]["Miner"]),
        model: told::text(&config["Model"]).or_else(|| told::text(&version["VERSION"][0]["Type"])),
        hostname: told::text(&config["Hostname"]),
    })
}

/// Those whose power is told, weakest first.
fn profiles(answer: &Value) -> Vec<(String, Watts)> {
    let rows = answer["PROFILES"].as_array().into_iter().flatten();
    let mut all: Vec<_> = rows
        .filter_map(|row| Some((told::text(&row["Profile Name"])?, told::watts(&row["Watts"])?)))
        .collect();
    all.sort_by(|a, b| a.1.get().total_cmp(&b.1.get()));
    all
}

fn strongest(ladder: &[(String, Watts)], limit: Watts) -> Option<&(String, Watts)> {
    ladder.iter().rev().find(|(_, watts)| *watts <= limit)
}

fn state(answer: &Value) -> Option<State> {
    let section = |command: &str, name: &str| &cgminer::part(answer, command)[name];
    let config = section("config", "CONFIG").get(0)?;
    let summary = &section("summary", "SUMMARY")[0];
    let fans = section("fans", "FANS").as_array().into_iter().flatten();
    let pools = section("pools", "POOLS").as_array().map(|rows| {
        let pool = |row: &Value| {
            Some(Pool { url: told::text(&row["URL"])?, user: told::text(&row["User"])? })
        };
        Pools(rows.iter().filter_map(pool).collect())
    });
    Some(State {
        readings: Readings {
            hashrate: told::gigahashes(&summary["GHS 5s"]),
            power: told::watts(&section("power", "POWER")[0]["Watts"]),
            chip: hottest_chip(section("stats", "STATS")),
            weakest_board: weakest(section("devs", "DEVS")),
            boards: board_readings(section("devs", "DEVS")),
            errors: told::percent(&summary["Device Hardware%"]),
            fan: fans.filter_map(|fan| told::rpm(&fan["RPM"])).max(),
            uptime: told::seconds(&summary["Elapsed"]),
            ..Readings::default()
        },
        settings: Settings {
            mining: told::text(&config["CurtailMode"])
                .map(|mode| mode.eq_ignore_ascii_case("none")),
            profile: told::text(&config["Profile"]),
            boards: own_clocks(section("stats", "STATS")),
            locating: told::text(&config["RedLed"]).map(|led| led == "blink"),
            pools,
            ..Settings::default()
        },
    })
}

/// A board that its owner has shut down counts for nothing.
fn weakest(devs: &Value) -> Option<Ratio> {
    let on = |row: &&Value| told::truth(&row["IsUserShutdown"]) != Some(true);
    let rows = devs.as_array()?.iter().filter(on);
    weakest_board(rows.filter_map(|row| Some((mhs(row, "MHS 5s")?, mhs(row, "Nominal MHS")?))))
}

fn mhs(row: &Value, name: &str) -> Option<Hashrate> {
    let rate = told::number(&row[name]).filter(|mhs| *mhs >= 0.0)?;
    Some(Hashrate::from_hashes_per_second(rate * 1e6))
}

/// Each board, in the order of their numbers; empty unless every one is told and none is shut down.
fn board_readings(devs: &Value) -> Vec<BoardReading> {
    let reading = |row: &Value| {
        let number = told::number(&row["ASC"])? as usize;
        let (rate, nominal) = (mhs(row, "MHS 5m")?, mhs(row, "Nominal MHS")?);
        let wrong = mhs(row, "Hardware Error MHS 15m").map(Hashrate::hashes_per_second);
        let errors = wrong.zip(mhs(row, "MHS 15m")).and_then(|(wrong, right)| {
            Ratio::new(wrong / (wrong + right.hashes_per_second())).ok()
        });
        let shut = told::truth(&row["IsUserShutdown"]) == Some(true);
        (!shut).then_some((number, BoardReading { rate, nominal, errors }))
    };
    let rows = devs.as_array().into_iter().flatten().map(reading);
    let mut all: Vec<_> = rows.collect::<Option<_>>().unwrap_or_default();
    all.sort_by_key(|(number, _)| *number);
    let whole = all.iter().enumerate().all(|(n, (number, _))| n == *number);
    if whole { all.into_iter().map(|(_, reading)| reading).collect() } else { Vec::new() }
}

/// `freq1` and so on of the boards that have chips; empty if there is a gap between them.
fn own_clocks(stats: &Value) -> Vec<Megahertz> {
    let row = stats.as_array().into_iter().flatten().find(|row| row.get("freq1").is_some());
    let Some(row) = row else { return Vec::new() };
    let has =
        |n: &usize| told::number(&row[format!("chain_acn{n}")]).is_some_and(|chips| chips > 0.0);
    let numbers: Vec<usize> = (1..=MOST_BOARDS).filter(has).collect();
    if numbers.iter().enumerate().any(|(n, number)| *number != n + 1) {
        return Vec::new();
    }
    let clocks = numbers.iter().map(|n| told::megahertz(&row[format!("freq{n}")]));
    clocks.collect::<Option<_>>().unwrap_or_default()
}

/// Clocks from the weakest to the strongest profile are those that a board takes.
fn boards(profiles: &Value, count: usize) -> Option<Boards> {
    let rows = profiles["PROFILES"].as_array()?.iter();
    let mut all: Vec<_> = rows.filter_map(|row| told::megahertz(&row["Frequency"])).collect();
    all.sort_by(|a, b| a.get().total_cmp(&b.get()));
    let clocks = Range::new(*all.first()?, *all.last()?)?;
    let count = u8::try_from(count).ok().filter(|count| *count > 0)?;
    Some(Boards { count, clocks })
}

/// `temp_chip1: "55-42-42-55"` and so on in whichever row has them.
fn hottest_chip(stats: &Value) -> Option<Celsius> {
    let rows = stats.as_array()?.iter().filter_map(Value::as_object).flatten();
    let texts = rows.filter(|(key, _)| key.starts_with("temp_chip"));
    let parts = texts.filter_map(|(_, text)| text.as_str()).flat_map(|text| text.split('-'));
    told::hottest(parts.map(|part| told::celsius(&Value::from(part))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_limit_becomes_the_strongest_profile_below_it() {
        let rows = [("default", 2793), ("190MHz", 784), ("340MHz", 1414)]
            .map(|(name, watts)| json!({ "Profile Name": name, "Watts": watts }));
        let ladder = profiles(&json!({ "PROFILES": rows }));
        let at = |w: f64| strongest(&ladder, Watts::new(w).unwrap()).map(|own| own.0.as_str());
        assert_eq!(at(700.0), None);
        assert_eq!(at(784.0), Some("190MHz"));
        assert_eq!(at(2792.9), Some("340MHz"));
        assert_eq!(at(9000.0), Some("default"));
    }

    #[test]
    fn luxos_is_woken_at_its_own_pace_and_no_chip_is_set_alone() {
        assert_eq!(plain(&Command::Resume), Some(("curtail", "wakeup".into())));
        let frequency = Megahertz::new(587.5).unwrap();
        let board = Command::BoardClock { board: 2, frequency };
        assert_eq!(plain(&board), Some(("frequencyset", "2,588".into())));
    }

    #[test]
    fn a_profile_without_watts_is_never_chosen_for_a_limit() {
        let rows = json!({ "PROFILES": [{ "Profile Name": "x" }, { "Watts": 3 }, 7] });
        assert!(profiles(&rows).is_empty());
    }

    #[test]
    fn a_board_that_was_shut_down_is_not_a_weak_one() {
        let devs = json!([
            { "MHS 5s": 38.3e6, "Nominal MHS": 38.3e6 },
            { "MHS 5s": 19.15e6, "Nominal MHS": 38.3e6, "IsUserShutdown": false },
            { "MHS 5s": 0, "Nominal MHS": 38.3e6, "IsUserShutdown": true },
            { "MHS 5s": "x" },
        ]);
        assert_eq!(weakest(&devs), Ratio::new(0.5).ok());
        assert_eq!(weakest(&json!([])), None);
    }

    /// As an S19k Pro told it (fixture of asic-rs 0.8.6): boards in any order, and a fourth chain without chips.
    #[test]
    fn boards_are_told_by_their_number_and_a_gap_makes_all_unknown() {
        let row = |n: u8, rate: f64| {
            json!({ "ASC": n, "MHS 5m": rate, "MHS 15m": rate, "Nominal MHS": 20.65e6,
                "Hardware Error MHS 15m": 0.25e6 })
        };
        let told = board_readings(&json!([row(2, 20.7e6), row(0, 19.75e6), row(1, 20.1e6)]));
        let rates: Vec<_> = told.iter().map(|own| own.rate.terahashes_per_second()).collect();
        assert_eq!(rates, [19.75, 20.1, 20.7]);
        assert_eq!(told[0].errors, Ratio::new(0.0125).ok());
        assert!(board_readings(&json!([row(2, 20.7e6), row(0, 19.75e6)])).is_empty());
        let mut stats = json!([{ "Type": "x" }, { "chain_acn1": 77, "chain_acn2": 77, "chain_acn3": 77,
            "chain_acn4": 0, "freq1": 300.0, "freq2": 300.0, "freq3": 275.0, "freq4": 0.0 }]);
        let clocks: Vec<_> = own_clocks(&stats).iter().map(|own| own.get()).collect();
        assert_eq!(clocks, [300.0, 300.0, 275.0]);
        stats[1]["chain_acn2"] = json!(0);
        assert!(own_clocks(&stats).is_empty());
    }

    #[test]
    fn the_hottest_chip_is_found_among_texts_and_dead_sensors() {
        let stats = json!([{ "Type": "x" }, { "temp_chip1": "55-42-0-50", "temp_chip2": "-1-71", "temp1": 90 }]);
        assert_eq!(hottest_chip(&stats).unwrap().get(), 71.0);
        assert_eq!(hottest_chip(&json!([{ "temp_chip1": "" }])), None);
    }
}
