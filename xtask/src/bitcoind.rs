//! Bitcoin Core: finding it, or building it once into the cache from the source that the crate
//! `libbitcoinkernel-sys` carries in its `bitcoin/` folder.

use std::{
    env,
    fs::{self, File, TryLockError},
    io::{BufRead, BufReader, IsTerminal, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::available_parallelism,
    time::Instant,
};

use serde_json::Value;

use crate::{
    Outcome, cache,
    run::{cargo, not_started, output, succeeds},
    system,
};

const CRATE: &str = "libbitcoinkernel-sys";
const VERSION: &str = "0.4.1";
/// `bitcoin-node` is the daemon that also serves inter-process calls.
const PROGRAMS: [&str; 3] = ["bitcoind", "bitcoin-cli", "bitcoin-node"];
const PACKAGES: [&str; 8] = [
    "cmake",
    "make",
    "g++",
    "pkg-config",
    "libboost-dev",
    "libevent-dev",
    "libcapnp-dev",
    "capnproto",
];
const OPTIONS: [&str; 9] = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DWITH_EMBEDDED_ASMAP=OFF",
    "-DENABLE_WALLET=OFF",
    "-DBUILD_DAEMON=ON",
    "-DBUILD_CLI=ON",
    "-DENABLE_IPC=ON",
    "-DBUILD_TESTS=OFF",
    "-DBUILD_BENCH=OFF",
    "-DENABLE_EXTERNAL_SIGNER=OFF",
];

/// The daemon: `$BITCOIND`, one on `PATH`, one built before, or a new one.
pub fn ensure() -> Outcome<PathBuf> {
    if let Some(path) = env::var_os("BITCOIND").filter(|value| !value.is_empty()) {
        let path = std::path::absolute(&path)
            .map_err(|error| format!("$BITCOIND is not a usable path: {error}"))?;
        return if answers(&path) {
            Ok(path)
        } else {
            Err(format!(
                "$BITCOIND is {}, which does not run: correct it, or unset it to have one built",
                path.display()
            ))
        };
    }
    let on_path = env::var_os("PATH")
        .iter()
        .flat_map(env::split_paths)
        .map(|folder| folder.join("bitcoind"))
        .find(|candidate| answers(candidate));
    match on_path {
        Some(path) => Ok(path),
        None => cached(&cache::folder()?),
    }
}

fn cached(cache: &Path) -> Outcome<PathBuf> {
    let home = cache.join(format!("bitcoin-core-{VERSION}"));
    let daemon = home.join("bin/bitcoind");
    if answers(&daemon) {
        return Ok(daemon);
    }
    fs::create_dir_all(cache).map_err(|error| cannot("make", cache, &error))?;
    let _lock = lock(&cache.join(format!("bitcoin-core-{VERSION}.lock")))?;
    // Another run may have built it while we waited.
    if answers(&daemon) {
        return Ok(daemon);
    }
    system::packages(&PACKAGES, "building Bitcoin Core")?;

    let build = cache.join(format!("bitcoin-core-{VERSION}.build"));
    let log = cache.join(format!("bitcoin-core-{VERSION}.log"));
    remove(&build)?;
    compile(&source()?, &build, &log)?;
    let made = build.join("made");
    collect(&build.join("bin"), &made)?;
    if !answers(&made.join("bin/bitcoind")) {
        return Err(format!("the new bitcoind does not run: look at {}", log.display()));
    }
    remove(&home)?;
    fs::rename(&made, &home).map_err(|error| cannot("move to", &home, &error))?;
    remove(&build)?;
    Ok(daemon)
}

/// The folder with Bitcoin Core's source; cargo downloads it first if it is not there yet.
fn source() -> Outcome<PathBuf> {
    let host = output(Command::new(env::var_os("RUSTC").unwrap_or("rustc".into())).arg("-vV"))?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let mut metadata = cargo(&["metadata", "--format-version", "1", "--all-features"]);
    if !host.is_empty() {
        // Crates that only other systems need are not downloaded then.
        metadata.args(["--filter-platform", host]);
    }
    let metadata: Value = serde_json::from_str(&output(&mut metadata)?)
        .map_err(|error| format!("cargo metadata cannot be understood: {error}"))?;
    let folder = source_in(&metadata)
        .ok_or_else(|| format!("{CRATE} {VERSION} is not among the dependencies of xtask"))?;
    if folder.join("CMakeLists.txt").is_file() {
        Ok(folder)
    } else {
        Err(format!("Bitcoin Core's source is not in {}", folder.display()))
    }
}

fn source_in(metadata: &Value) -> Option<PathBuf> {
    let packages = metadata["packages"].as_array()?;
    let package = packages.iter().find(|p| p["name"] == CRATE && p["version"] == VERSION)?;
    let manifest = Path::new(package["manifest_path"].as_str()?);
    Some(manifest.parent()?.join("bitcoin"))
}

fn compile(source: &Path, build: &Path, log: &Path) -> Outcome {
    let mut log = Log {
        file: File::create(log).map_err(|error| cannot("write", log, &error))?,
        path: log.to_path_buf(),
    };
    eprintln!("==> building Bitcoin Core, once: about 10 minutes on two cores");
    eprintln!("    kept in {}", build.with_extension("").display());
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(source).arg("-B").arg(build).args(OPTIONS);
    log.follow(&mut configure, "configure", |_| {})?;

    let jobs = available_parallelism().map_or(1, usize::from).to_string();
    let mut make = Command::new("cmake");
    make.arg("--build").arg(build).args(["--parallel", &jobs, "--target"]).args(PROGRAMS);
    let mut progress = Progress::new();
    let result = log.follow(&mut make, "build", |line| progress.see(line));
    progress.end();
    result
}

/// A program's whole output goes here; the terminal gets the essence.
struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    fn follow(&mut self, command: &mut Command, what: &str, mut each: impl FnMut(&str)) -> Outcome {
        let errors = self.file.try_clone().map_err(|error| cannot("write", &self.path, &error))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().map_err(|error| not_started(command, &error))?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line =
                    line.map_err(|error| cannot("read the output of", &self.path, &error))?;
                let line = String::from_utf8_lossy(&line);
                writeln!(self.file, "{line}")
                    .map_err(|error| cannot("write", &self.path, &error))?;
                each(&line);
            }
        }
        let status = child.wait().map_err(|error| not_started(command, &error))?;
        if status.success() {
            return Ok(());
        }
        let text = fs::read(&self.path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(30)..] {
            eprintln!("    {line}");
        }
        Err(format!(
            "Bitcoin Core does not {what} ({status}): its last lines are above, all of them in {}",
            self.path.display()
        ))
    }
}

/// One line that changes on a terminal, a line every ten per cent elsewhere.
struct Progress {
    started: Instant,
    shown: Option<u32>,
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { started: Instant::now(), shown: None, terminal: std::io::stderr().is_terminal() }
    }

    fn see(&mut self, line: &str) {
        let Some(percent) = percent(line) else { return };
        let step = if self.terminal { 1 } else { 10 };
        if self.shown.is_some_and(|shown| percent < shown + step) {
            return;
        }
        self.shown = Some(percent - percent % step);
        let passed = self.started.elapsed().as_secs();
        let text = format!("    {percent:3} % after {}:{:02}", passed / 60, passed % 60);
        if self.terminal {
            eprint!("\r{text}");
        } else {
            eprintln!("{text}");
        }
    }

    fn end(&self) {
        if self.terminal && self.shown.is_some() {
            eprintln!();
        }
    }
}

/// What make (`[ 42%] Building`) and ninja (`[42/100] Building`) say of their progress.
fn percent(line: &str) -> Option<u32> {
    let (inside, _) = line.strip_prefix('[')?.split_once(']')?;
    let percent = if let Some(number) = inside.strip_suffix('%') {
        number.trim().parse().ok()?
    } else {
        let (done, all) = inside.split_once('/')?;
        let (done, all): (u64, u64) = (done.parse().ok()?, all.parse().ok()?);
        u32::try_from(done.checked_mul(100)?.checked_div(all)?).ok()?
    };
    (percent <= 100).then_some(percent)
}

fn collect(from: &Path, to: &Path) -> Outcome {
    let bin = to.join("bin");
    fs::create_dir_all(&bin).map_err(|error| cannot("make", &bin, &error))?;
    for name in PROGRAMS {
        let program = bin.join(name);
        fs::copy(from.join(name), &program).map_err(|error| cannot("write", &program, &error))?;
        // Only makes it smaller; a machine without it is fine.
        succeeds(Command::new("strip").arg(&program));
    }
    Ok(())
}

fn answers(bitcoind: &Path) -> bool {
    bitcoind.is_file() && succeeds(Command::new(bitcoind).arg("--version"))
}

/// Held until the file is dropped, also when this process is killed.
fn lock(path: &Path) -> Outcome<File> {
    let file = File::create(path).map_err(|error| cannot("write", path, &error))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(cannot("lock", path, &error)),
    }
    eprintln!("==> another run is building Bitcoin Core: waiting for it");
    file.lock().map_err(|error| cannot("lock", path, &error))?;
    Ok(file)
}

fn remove(folder: &Path) -> Outcome {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(cannot("remove", folder, &error))
        }
        _ => Ok(()),
    }
}

fn cannot(action: &str, path: &Path, error: &std::io::Error) -> String {
    format!(
        "cannot {action} {}: {error}; correct that or set HEARTH_CACHE to another folder",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_is_read_from_make_and_ninja() {
        let cases = [
            ("[  7%] Building CXX object a.o", Some(7)),
            ("[100%] Built target bitcoind", Some(100)),
            ("[1/3] Building CXX object a.o", Some(33)),
            ("[3/3] Linking", Some(100)),
            ("[3/0] Linking", None),
            ("[101%] no", None),
            ("[-1%] no", None),
            ("-- Configuring done", None),
            ("[", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(percent(line), expected, "{line}");
        }
    }

    #[test]
    fn the_source_is_taken_only_from_the_exact_version() {
        let package = |name: &str, version: &str| {
            json!({"packages": [
                {"name": "other", "version": VERSION, "manifest_path": "/x/Cargo.toml"},
                {"name": name, "version": version, "manifest_path": "/y/Cargo.toml"},
            ]})
        };
        assert_eq!(source_in(&package(CRATE, VERSION)), Some("/y/bitcoin".into()));
        assert_eq!(source_in(&package(CRATE, "0.4.0")), None);
        assert_eq!(source_in(&json!({})), None);
    }

    #[test]
    fn the_locked_dependencies_carry_the_source() {
        assert!(source().unwrap().ends_with("libbitcoinkernel-sys-0.4.1/bitcoin"));
    }
}
