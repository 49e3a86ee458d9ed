//! The whole program as a process of its own, a farm of emulated machines as another, and how both are
//! asked.

use super::{PATIENCE, SCANNED};
use api::Status;
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use twin::{
    farm::{FarmConfig, Faults, Kind},
    node::PrivateNode,
};

/// Nobody has its keys.
const OWNER: &str = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";

pub fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited for {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

pub fn say(to: SocketAddr, words: &str) -> Option<String> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(words.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

pub fn get(from: SocketAddr, path: &str) -> Option<String> {
    let ask = format!("GET {path} HTTP/1.0\r\nHost: {from}\r\nConnection: close\r\n\r\n");
    let answer = say(from, &ask)?;
    Some(answer.split_once("\r\n\r\n")?.1.to_string())
}

/// The program as a process of its own.
pub struct Hearth {
    process: Child,
    pub stratum: SocketAddr,
    pub web: SocketAddr,
    pub folder: TempDir,
    text: String,
}

impl Hearth {
    /// `text` is the configuration's part about machines.
    pub fn start(node: &PrivateNode, text: &str) -> Self {
        let (stratum, web) = (free_port(), free_port());
        let folder = tempfile::tempdir().unwrap();
        let cookie = node.cookie_path();
        let (url, cookie) = (node.rpc_url(), cookie.display());
        let own = format!(
            "network = \"signet\"\n[[node]]\nurl = \"{url}\"\ncookie = \"{cookie}\"\n\
             [stratum]\nshares_per_minute = 60\n\
             [[stratum.port]]\nlisten = \"{stratum}\"\nstart_difficulty = 1e-6\n\
             min_difficulty = 1e-9\nfractional = true\n[web]\nlisten = \"{web}\"\n"
        );
        fs::write(folder.path().join("hearth.toml"), format!("{own}\n{text}")).unwrap();
        let process = serve(folder.path());
        let mut hearth = Self { process, stratum, web, folder, text: own };
        hearth.wait_until_up();
        hearth
    }

    /// Ends as its owner ends it, and begins anew with this about machines.
    pub fn configure(&mut self, text: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
        let own = &self.text;
        fs::write(self.folder.path().join("hearth.toml"), format!("{own}\n{text}")).unwrap();
        self.restart();
    }

    pub fn restart(&mut self) {
        self.process = serve(self.folder.path());
        self.wait_until_up();
    }

    pub fn kill(&mut self) {
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

    pub fn until(&self, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
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
}

impl Drop for Hearth {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `hearth twin farm`.
pub struct Farm(Child);

impl Farm {
    pub fn start(hearth: &Hearth, first: &str, mix: &str, speed: &str) -> Self {
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
pub fn scale(kind: Kind) -> f64 {
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

pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.current_dir(folder).env("RUST_LOG", "error").stdin(Stdio::null());
    command
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
