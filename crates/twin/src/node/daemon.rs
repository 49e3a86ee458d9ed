//! The daemon's process: found, started, and never left behind. Knows nothing of chains or calls.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use super::error::{NodeError, io_error};

/// Finds Bitcoin Core's daemon: `$BITCOIND`, then `PATH`, then what `cargo xtask bitcoind` built.
///
/// # Errors
/// It is in none of these places, or `$BITCOIND` names no file.
pub fn find_bitcoind() -> Result<PathBuf, NodeError> {
    if let Some(path) = std::env::var_os("BITCOIND").filter(|value| !value.is_empty()) {
        let path = PathBuf::from(path);
        return if path.is_file() { Ok(path) } else { Err(NodeError::WrongVariable { path }) };
    }
    let cache = built_in();
    std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .chain([cache.clone()])
        .map(|folder| folder.join("bitcoind"))
        .find(|candidate| candidate.is_file())
        .ok_or(NodeError::NotFound { cache })
}

/// Where `cargo xtask bitcoind` puts its programs; xtask's `cache.rs` says the same.
fn built_in() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("HEARTH_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("hearth")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/hearth")))
        .unwrap_or_else(|| PathBuf::from(".cache/hearth"));
    cache.join("bitcoin-core-0.4.1/bin")
}

/// What the daemon writes before it has a log of its own.
pub const ERRORS: &str = "stderr.txt";

/// Waits on its standard input, which ends when our process ends, however it ends. A process id
/// can be given to somebody else in between, so the command line is looked at first.
const WATCHMAN: &str = r#"
read -r _
if tr '\0' '\n' < "/proc/$1/cmdline" | grep -qxF -- "-datadir=$2"; then kill -9 "$1"; fi
if [ "$3" = remove ]; then sleep 0.5; rm -rf -- "$2"; fi
"#;

/// The process and who looks after it. Dropping it kills both.
#[derive(Debug)]
pub struct Daemon {
    pub process: Child,
    pub watchman: Option<Child>,
}

impl Daemon {
    /// Starts it, with its watchman, who removes a temporary folder too.
    pub fn spawn(
        bitcoind: &Path,
        arguments: Vec<String>,
        folder: &Path,
        temporary: bool,
    ) -> Result<Self, NodeError> {
        let errors = fs::File::create(folder.join(ERRORS))
            .map_err(io_error(&format!("write in {}", folder.display())))?;
        // In groups of their own, so that Ctrl-C reaches only the program that owns the node.
        let process = Command::new(bitcoind)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(io_error(&format!("start {}", bitcoind.display())))?;
        let mut daemon = Self { process, watchman: None };
        let watchman = Command::new("sh")
            .args(["-c", WATCHMAN, "watchman", &daemon.process.id().to_string()])
            .arg(folder)
            .arg(if temporary { "remove" } else { "keep" })
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(io_error("start sh"))?;
        daemon.watchman = Some(watchman);
        Ok(daemon)
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, NodeError> {
        self.process.try_wait().map_err(io_error("ask whether bitcoind runs"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The watchman first: with our end of its pipe closed it would remove the folder.
        for child in self.watchman.iter_mut().chain([&mut self.process]) {
            // Only fails if it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
