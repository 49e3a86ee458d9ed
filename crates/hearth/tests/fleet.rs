//! The whole program and a farm of emulated machines at the real ports of their own addresses: found,
//! shown, tuned, and put back after a crash. Ports below 1024 must be allowed.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use api::{Status, fleet::Device};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use twin::{
    farm::{FarmConfig, Faults, Kind},
    node::{NodeOptions, PrivateNetwork, PrivateNode},
};

/// Nobody has its keys.
const OWNER: &str = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
/// A Bitaxe in the range that is scanned, and one of Braiins OS that is only known by its work.
const SCANNED: &str = "127.0.88.1";
const STRANGER: &str = "127.0.89.1";
/// For whatever is waited for, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn machines_are_found_by_range_and_by_their_work_and_tuned_and_a_crash_in_a_trial_is_mended() {
    let node = PrivateNode::start(NodeOptions::new(PrivateNetwork::Signet)).unwrap();
    let mut hearth = Hearth::start(&node);
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
    let mut tuning = hearth.tune(&["bitaxe", "--time", "5m", "--json"]);
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
    let tried = || hearth.last_step().filter(|(applying, good)| *applying && setting() != *good);
    wait("a trial", || tried().is_some());
    hearth.kill();
    drop(tuning.kill());
    tuning.wait().unwrap();
    let (applying, good) = hearth.last_step().unwrap();
    assert!(applying && setting() != good, "{rows:?} {good:?}");
    hearth.restart();
    wait("the last good setting", || setting() == good);
    wait("the return in the journal", || hearth.last_step() == Some((false, good)));

    // A tuning that is ended by its time leaves it there.
    hearth.until("the Bitaxe's work", |status| at(status, SCANNED).is_some_and(proves));
    let tuned = hearth.tune(&["bitaxe", "--time", "5s", "--json"]).output().unwrap();
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

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited for {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn say(to: SocketAddr, words: &str) -> Option<String> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(words.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn get(from: SocketAddr, path: &str) -> Option<String> {
    let ask = format!("GET {path} HTTP/1.0\r\nHost: {from}\r\nConnection: close\r\n\r\n");
    let answer = say(from, &ask)?;
    Some(answer.split_once("\r\n\r\n")?.1.to_string())
}

/// The program as a process of its own.
struct Hearth {
    process: Child,
    stratum: SocketAddr,
    web: SocketAddr,
    folder: TempDir,
}

impl Hearth {
    fn start(node: &PrivateNode) -> Self {
        let (stratum, web) = (free_port(), free_port());
        let folder = tempfile::tempdir().unwrap();
        let cookie = node.cookie_path();
        let (url, cookie) = (node.rpc_url(), cookie.display());
        let text = format!(
            "network = \"signet\"\n[[node]]\nurl = \"{url}\"\ncookie = \"{cookie}\"\n\
             [stratum]\nshares_per_minute = 60\n\
             [[stratum.port]]\nlisten = \"{stratum}\"\nstart_difficulty = 1e-6\n\
             min_difficulty = 1e-9\nfractional = true\n[web]\nlisten = \"{web}\"\n\
             [fleet]\nscan = [\"127.0.88.0/29\"]\nread_every = \"1s\"\n\
             [[fleet.circuit]]\nname = \"garage\"\nlimit = \"60 W\"\n\
             [[fleet.device]]\nip = \"{SCANNED}\"\nname = \"bitaxe\"\ncircuit = \"garage\"\n\
             work_scale = {}\n",
            scale(Kind::BitaxeGamma),
        );
        fs::write(folder.path().join("hearth.toml"), text).unwrap();
        let process = serve(folder.path());
        let mut hearth = Self { process, stratum, web, folder };
        hearth.wait_until_up();
        hearth
    }

    fn restart(&mut self) {
        self.process = serve(self.folder.path());
        self.wait_until_up();
    }

    fn kill(&mut self) {
        // May have ended by itself already.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }

    fn wait_until_up(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.status().is_none() {
            assert!(self.process.try_wait().unwrap().is_none(), "the program has ended");
            assert!(Instant::now() < deadline, "the program does not come up");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn status(&self) -> Option<Status> {
        serde_json::from_str(&get(self.web, "/api/v1/status")?).ok()
    }

    fn until(&self, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.status() {
                Some(status) if is_so(&status) => return status,
                status => {
                    let fleet = status.map(|status| (status.fleet, status.workers));
                    assert!(Instant::now() < deadline, "waited for {what}: {fleet:#?}");
                }
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn tune(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.folder.path());
        command.arg("tune").args(arguments).args(["-c", "hearth.toml"]);
        command
    }

    /// The last line of the Bitaxe's journal: whether a setting is being tried, and which one was good.
    fn last_step(&self) -> Option<(bool, (f64, f64))> {
        let folder = self.folder.path().join("hearth-data/signet/tune");
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
}

impl Drop for Hearth {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `hearth twin farm`.
struct Farm(Child);

impl Farm {
    fn start(hearth: &Hearth, first: &str, mix: &str, speed: &str) -> Self {
        let mut command = program(hearth.folder.path());
        let stratum = hearth.stratum.to_string();
        command.args(["twin", "farm", "--first", first, "--mix", mix, "--user", OWNER]);
        // Its seed makes the network cards: no two farms may have the same.
        let seed = mix.len().to_string();
        command.args(["--seed", &seed, "--stratum", &stratum, "--every", "10m", "--speed", speed]);
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        drop(self.0.kill());
        self.0.wait().unwrap();
    }
}

/// Emulated hashes behind each real one of a kind, as the farm has it.
fn scale(kind: Kind) -> f64 {
    let config = FarmConfig {
        first: SCANNED.parse().unwrap(),
        machines: vec![kind],
        stratum: None,
        user: String::new(),
        scale: None,
        speed: 1.0,
        ambient: units::Celsius::new(25.0).unwrap(),
        port_shift: 0,
        faults: Faults::default(),
        light: false,
        seed: 1,
    };
    config.scale_of(kind)
}

fn serve(folder: &Path) -> Child {
    program(folder).args(["serve", "-c", "hearth.toml"]).stdout(Stdio::null()).spawn().unwrap()
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.current_dir(folder).env("RUST_LOG", "error").stdin(Stdio::null());
    command
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
