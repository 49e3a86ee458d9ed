//! The whole program and a farm of emulated machines at the real ports of their own addresses: found,
//! shown, tuned, put back after a crash, fed under a breaker, told by an operator and
//! an aggregator, and stopped when they must not run. Ports below 1024 must be allowed.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

#[path = "../common/broker.rs"]
mod broker;
mod heat;
mod operator;
mod power;
mod site;

use api::{Status, fleet::Device};
use serde_json::Value;
use site::{Farm, Hearth, get, program, say, scale, wait};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};
use twin::{
    farm::Kind,
    node::{NodeOptions, PrivateNetwork, PrivateNode},
};

/// A Bitaxe in the range that is scanned, and one of Braiins OS that is only known by its work.
const SCANNED: &str = "127.0.88.1";
const STRANGER: &str = "127.0.89.1";
/// For whatever is waited for, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn machines_are_found_by_range_and_by_their_work_and_tuned_and_a_crash_in_a_trial_is_mended() {
    let node = PrivateNode::start(NodeOptions::new(PrivateNetwork::Signet)).unwrap();
    let mut hearth = Hearth::start(
        &node,
        &format!(
            "[fleet]\nscan = [\"127.0.88.0/29\"]\nread_every = \"1s\"\n\
             [[fleet.circuit]]\nname = \"garage\"\nlimit = \"60 W\"\n\
             [[fleet.device]]\nip = \"{SCANNED}\"\nname = \"bitaxe\"\ncircuit = \"garage\"\n\
             work_scale = {}\n",
            scale(Kind::BitaxeGamma),
        ),
    );
    let _scanned = Farm::start(&hearth, SCANNED, "gamma:1", "1");
    let _stranger = Farm::start(&hearth, STRANGER, "braiins-s21pro:1", "60");

    let proves = |device: &Device| device.presence == "online" && device.verified_ths.is_some();
    let status = hearth.until("both machines with verified work", |status| {
        [SCANNED, STRANGER].iter().all(|ip| at(status, ip).is_some_and(proves))
    });
    let gamma = at(&status, SCANNED).unwrap().clone();
    assert_eq!((gamma.firmware.as_str(), gamma.control.as_str()), ("AxeOS", "firmware"));
    assert_eq!(gamma.model.as_deref(), Some("Bitaxe Gamma"));
    assert_eq!(gamma.circuit.as_deref(), Some("garage"));
    assert!(gamma.id.starts_with("mac:") && gamma.workers.len() == 1, "{gamma:?}");
    assert!((15.0..20.0).contains(&gamma.power_w.unwrap()), "{gamma:?}");
    if cfg!(feature = "asic") {
        let braiins = at(&status, STRANGER).unwrap();
        assert_eq!(
            (braiins.firmware.as_str(), braiins.control.as_str()),
            ("Braiins OS", "firmware")
        );
        assert!(braiins.id.starts_with("mac:"), "{braiins:?}");
    }
    let metrics = get(hearth.web, "/metrics").unwrap();
    assert!(metrics.contains("hearth_fleet"), "{metrics}");

    // Nothing is changed without the token.
    let asked = r#"{"device":"127.0.88.1","goal":"efficiency"}"#;
    let head = format!(
        "POST /api/v1/fleet/tune HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        asked.len()
    );
    let refused = say(hearth.web, &format!("{head}\r\n{asked}")).unwrap();
    assert!(refused.starts_with("HTTP/1.0 401"), "{refused}");

    // Killed in the middle of a trial, the machine is put back at the next start.
    let mut tuning = tune(&hearth, &["bitaxe", "--time", "5m", "--json"]);
    let mut tuning = tuning.stdout(Stdio::piped()).spawn().unwrap();
    let mut rows: Vec<Value> = Vec::new();
    for line in BufReader::new(tuning.stdout.take().unwrap()).lines() {
        rows.push(serde_json::from_str(&line.unwrap()).unwrap());
        if rows.last().unwrap()["event"] == "step" {
            break;
        }
    }
    let good = |row: &Value| row["event"] == "good" && row["j_per_th"].is_f64();
    assert!(rows.iter().any(good) && rows.last().unwrap()["event"] == "step", "{rows:?}");
    let tried = || last_step(&hearth).filter(|(applying, good)| *applying && setting() != *good);
    wait("a trial", || tried().is_some());
    hearth.kill();
    drop(tuning.kill());
    tuning.wait().unwrap();
    let (applying, good) = last_step(&hearth).unwrap();
    assert!(applying && setting() != good, "{rows:?} {good:?}");
    hearth.restart();
    wait("the last good setting", || setting() == good);
    wait("the return in the journal", || last_step(&hearth) == Some((false, good)));

    // A tuning that is ended by its time leaves it there.
    hearth.until("the Bitaxe's work", |status| at(status, SCANNED).is_some_and(proves));
    let tuned = tune(&hearth, &["bitaxe", "--time", "5s", "--json"]).output().unwrap();
    assert!(tuned.status.success(), "{}", String::from_utf8_lossy(&tuned.stderr));
    let last = String::from_utf8_lossy(&tuned.stdout).trim_end().lines().last().map(String::from);
    let last: Value = serde_json::from_str(&last.unwrap()).unwrap();
    assert_eq!((&last["event"], setting()), (&Value::from("stopped"), good), "{last}");
    hearth.until("the end of the tuning in the status", |status| {
        let tuning = at(status, SCANNED).and_then(|device| device.tuning.as_ref());
        tuning.is_some_and(|tuning| tuning.phase == "stopped")
    });
}

fn at<'a>(status: &'a Status, ip: &str) -> Option<&'a Device> {
    let devices = &status.fleet.as_ref()?.devices;
    devices.iter().find(|device| device.address.as_deref() == Some(ip))
}

/// Clock and voltage as the machine tells them, MHz and mV.
fn setting() -> (f64, f64) {
    let body = get(SocketAddr::new(SCANNED.parse().unwrap(), 80), "/api/system/info").unwrap();
    let told: Value = serde_json::from_str(&body).unwrap();
    (told["frequency"].as_f64().unwrap(), told["coreVoltage"].as_f64().unwrap())
}

fn tune(hearth: &Hearth, arguments: &[&str]) -> Command {
    let mut command = program(hearth.folder.path());
    command.arg("tune").args(arguments).args(["-c", "hearth.toml"]);
    command
}

/// The last line of the Bitaxe's journal: whether a setting is being tried, and which one was good.
fn last_step(hearth: &Hearth) -> Option<(bool, (f64, f64))> {
    let folder = hearth.folder.path().join("hearth-data/signet/tune");
    let mut files = fs::read_dir(folder).ok()?.map(|file| file.unwrap().path());
    let journal = files.find(|path| path.extension().is_some_and(|e| e == "jsonl"))?;
    let text = fs::read_to_string(journal).unwrap();
    // Its last line may be half written.
    let mut lines = text.lines().rev();
    let last: Value = lines.find_map(|line| serde_json::from_str(line).ok())?;
    let applying = last["step"] == "applying";
    let (clock, voltage) = match applying {
        true => ("last_good_frequency_mhz", "last_good_voltage_mv"),
        false => ("frequency_mhz", "voltage_mv"),
    };
    Some((applying, (last[clock].as_f64()?, last[voltage].as_f64()?)))
}
