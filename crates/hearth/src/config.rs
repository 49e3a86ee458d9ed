//! The configuration file: what can be set, what each key means and what it is when left out.
//!
//! A file is read once at start. All its faults are told at once, each with its line and a remedy;
//! nothing is ever replaced by a default because it was wrong. `docs/configuration.md` is for users.

mod energy;
mod fleet;
mod node;
mod section;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use self::{
    energy::{
        Basis, Demand, Energy, Evidence, HomeAssistant, Kind as ZoneKind, Plan, Sources, Window,
        Zone,
    },
    fleet::{Declared, Fed, Fleet, Login},
};
pub use node::{check_url, default_url, find_cookies, usual_cookie};
pub use section::Problem;
pub use value::parse_duration;
pub use write::{Answers, commented};

use chain::Network;
use section::{Key, Notes, Section};
use std::{
    fmt, fs,
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use stratum::{Limits, Port};
use units::Difficulty;

/// A configuration is a page or two; anything larger is the wrong file.
const MAX_FILE: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Everything that `hearth serve` is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of everything kept on disk for this network: `data_dir` of the file and in it the
    /// network's name, so that the record of one network never holds another's work.
    pub data_dir: PathBuf,
    /// The nodes and how blocks are kept.
    pub chain: chain::Config,
    /// The ports for miners.
    pub stratum: stratum::Config,
    /// Where the page, the API and the metrics are served.
    pub web: SocketAddr,
    /// The machines.
    pub fleet: Fleet,
    /// What decides on power is told.
    pub energy: Energy,
    /// What is logged.
    pub log: Log,
}

/// How the program tells what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Lines for people or for programs.
    pub format: LogFormat,
    /// Levels, by module if wanted: `info,stratum=debug`.
    pub level: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// A line of text.
    Human,
    /// One JSON object a line.
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Human, level: "info".into() }
    }
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// No such file.
    Missing(PathBuf),
    /// The file is there and cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file says what cannot be done; at least one problem.
    Invalid(PathBuf, Vec<Problem>),
}

impl Config {
    /// Reads and checks a file. Relative paths in it are relative to the file's folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => ConfigError::Missing(path.into()),
            _ => ConfigError::Unreadable(path.into(), error),
        };
        let invalid = |problems| ConfigError::Invalid(path.into(), problems);
        let whole = |sentence: &str| invalid(vec![Problem { line: 0, sentence: sentence.into() }]);
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(whole("this is no configuration file: it is larger than 1 MiB"));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| whole("this is not a text in UTF-8: save it as UTF-8"))?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        Self::parse(&text, folder).map_err(invalid)
    }

    /// Reads and checks the text of a file that lies in `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Vec<Problem>> {
        parse(text, folder).0
    }

    /// The network that all this is about.
    pub fn network(&self) -> Network {
        self.chain.network
    }

    /// The record: an SQLite file in [`Self::data_dir`].
    pub fn ledger(&self) -> PathBuf {
        self.data_dir.join("ledger.sqlite")
    }
}

impl ConfigError {
    /// One thing that is wrong with a file as a whole.
    pub fn about(path: &Path, sentence: String) -> Self {
        Self::Invalid(path.into(), vec![Problem { line: 0, sentence }])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(
                f,
                "there is no configuration file {}; run `hearth init` to write one, or name yours \
                 with -c",
                path.display()
            ),
            Self::Unreadable(path, error) => write!(
                f,
                "the configuration file {} cannot be read: {error}; check its path and permissions",
                path.display()
            ),
            Self::Invalid(path, problems) => {
                let sentence = |problem: &Problem| match problem.line {
                    0 => format!("{}: {}", path.display(), problem.sentence),
                    line => format!("{}, line {line}: {}", path.display(), problem.sentence),
                };
                f.write_str(&problems.iter().map(sentence).collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, error) => Some(error),
            Self::Missing(_) | Self::Invalid(..) => None,
        }
    }
}

/// The configuration, and every key that a file may have.
fn parse(text: &str, folder: &Path) -> (Result<Config, Vec<Problem>>, Vec<Key>) {
    let notes = Notes::new(text);
    let config = notes.root().map(|root| read(root, folder));
    let (keys, problems) = notes.finish();
    match config {
        Some(config) if problems.is_empty() => (Ok(config), keys),
        _ => (Err(problems), keys),
    }
}

fn read(mut root: Section<'_, '_>, folder: &Path) -> Config {
    let network = root.or("network", Network::Mainnet, value::network);
    let network_known = root.clean();
    let data_dir = root.or("data_dir", "hearth-data".into(), value::path);
    let data_dir = place(&data_dir, folder).join(network.as_str());

    // An address can only be judged for a network that is known.
    let fallback_address = match network_known {
        true => root.optional("fallback_address", value::address(network)),
        false => root.optional("fallback_address", value::text),
    };
    let nodes = node::read_all(root.sections("node"), network, folder);

    let mut template = root.section("template");
    let default = chain::Config::new(network, nodes, data_dir.join("blocks"));
    let chain = chain::Config {
        refresh: template.or("refresh", default.refresh, value::duration(SECOND, 10 * MINUTE)),
        // Below 2000 the coinbase and the header no longer fit beside a full template.
        coinbase_reserve: template.or(
            "coinbase_reserve",
            default.coinbase_reserve,
            value::count(2000, 400_000),
        ),
        confirmations: template.or("confirmations", default.confirmations, value::count(1, 1000)),
        ..default
    };
    let tag = template.or("tag", stratum::Config::default().tag, value::tag);
    drop(template);

    let stratum =
        stratum::Config { network, fallback_address, tag, ..read_stratum(root.section("stratum")) };

    let mut web = root.section("web");
    let listen =
        web.or("listen", SocketAddr::from(([127, 0, 0, 1], 8080)), value::socket("127.0.0.1:8080"));
    if let Some(port) = stratum.ports.iter().find(|port| collide(port.listen, listen)) {
        let words = format!(
            "takes the port that [[stratum.port]] listens on ({}): give it another",
            port.listen
        );
        web.fault("listen", &words);
    }
    drop(web);

    let fleet = fleet::read(root.section("fleet"));
    let energy = energy::read(root.section("energy"), fleet.enabled, folder);
    let log = read_log(root.section("log"));
    let config = Config { data_dir, chain, stratum, web: listen, fleet, energy, log };
    drop(root);
    config
}

fn read_stratum(mut section: Section<'_, '_>) -> stratum::Config {
    let default = stratum::Config::default();
    let mut ports: Vec<Port> = Vec::new();
    for mut section in section.sections("port") {
        let port = read_port(&mut section);
        if ports.iter().any(|other| collide(other.listen, port.listen)) {
            let words = format!(
                "is {}, which another [[stratum.port]] has: give each port its own",
                port.listen
            );
            section.fault("listen", &words);
        }
        ports.push(port);
    }
    stratum::Config {
        ports,
        shares_per_minute: section.or(
            "shares_per_minute",
            default.shares_per_minute,
            value::number(0.01, 6000.0),
        ),
        version_mask: section.or("version_mask", default.version_mask, value::version_mask),
        extranonce2_size: section.or(
            "extranonce2_size",
            default.extranonce2_size,
            value::count(4, 8),
        ),
        threads: section.or("threads", default.threads, value::count(0, 256)),
        limits: read_limits(section.section("limits")),
        ..default
    }
}

fn read_port(section: &mut Section<'_, '_>) -> Port {
    let default = Port::default();
    let difficulty = || value::number(1e-9, 1e18);
    let min_difficulty = section.or("min_difficulty", default.min_difficulty, difficulty());
    let max_difficulty = section.or("max_difficulty", default.max_difficulty, difficulty());
    // A range that was set moves the start that was not.
    let start = default.start_difficulty.min(max_difficulty).max(min_difficulty);
    let port = Port {
        listen: section.or("listen", default.listen, value::socket("0.0.0.0:3333")),
        start_difficulty: section.or("start_difficulty", start, difficulty()),
        min_difficulty,
        max_difficulty,
        fractional: section.or("fractional", default.fractional, value::flag),
        vardiff: section.or("vardiff", default.vardiff, value::flag),
    };
    if min_difficulty > max_difficulty {
        let key = if section.has("min_difficulty") { "min_difficulty" } else { "max_difficulty" };
        let words = format!(
            "leaves no range: {min_difficulty} is the lowest, {max_difficulty} the highest"
        );
        section.fault(key, &format!("{words}; swap or widen them"));
    } else if !(min_difficulty..=max_difficulty).contains(&port.start_difficulty) {
        let words = format!("must lie from min_difficulty {min_difficulty} to max_difficulty");
        let given = port.start_difficulty;
        section.fault("start_difficulty", &format!("{words} {max_difficulty}, not at {given}"));
    }
    if !port.fractional {
        for (key, given) in [
            ("start_difficulty", port.start_difficulty),
            ("min_difficulty", port.min_difficulty),
            ("max_difficulty", port.max_difficulty),
        ] {
            let near = Difficulty::new(given).map(|given| given.nearest_power_of_two().get());
            if let Some(near) = near.ok().filter(|near| section.has(key) && *near != given) {
                let words = format!("must be a power of two, not {given}: write {near}");
                section.fault(key, &format!("{words}, or set fractional = true for this port"));
            }
        }
    }
    port
}

fn read_limits(mut section: Section<'_, '_>) -> Limits {
    let default = Limits::default();
    let connections = section.or("connections", default.connections, value::count(1, 1_000_000));
    let limits = Limits {
        connections,
        connections_per_address: section.or(
            "connections_per_address",
            default.connections_per_address.min(connections),
            value::count(1, 1_000_000),
        ),
        handshake: section.or("handshake", default.handshake, value::duration(SECOND, 10 * MINUTE)),
        idle: section.or("idle", default.idle, value::duration(10 * SECOND, 7 * DAY)),
        line: section.or("line", default.line, value::size(512, 64 << 10)),
        send_buffer: section.or("send_buffer", default.send_buffer, value::size(4 << 10, 16 << 20)),
        invalid_shares: section.or(
            "invalid_shares",
            default.invalid_shares,
            value::count(1, 1_000_000),
        ),
        ban_after: section.or("ban_after", default.ban_after, value::count(0, 1_000_000)),
        ban: section.or("ban", default.ban, value::duration(SECOND, 30 * 24 * HOUR)),
    };
    if limits.connections_per_address > connections {
        let words = format!("cannot be more than connections, which is {connections}: lower it");
        section.fault("connections_per_address", &words);
    }
    limits
}

fn read_log(mut section: Section<'_, '_>) -> Log {
    let default = Log::default();
    Log {
        format: section.or("format", default.format, |value| match value.as_str() {
            Some("human") => Ok(LogFormat::Human),
            Some("json") => Ok(LogFormat::Json),
            _ => Err(section::Fault::MustBe("\"human\" or \"json\"".into())),
        }),
        level: section.or("level", default.level, value::filter),
    }
}

/// Two listeners cannot share a port number unless their addresses differ and neither means "all".
/// Port 0 takes any free port.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (any || a.ip() == b.ip())
}

/// A path of the file made usable: `~/` is the user's home, anything relative lies in `folder`.
fn place(path: &Path, folder: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    }
}
