//! The commented file that `hearth init` writes: the answers as keys, all other keys as comments
//! with their defaults, so that a reader finds every key in the file itself.

use super::{
    Fleet, LogFormat, default_url,
    value::{show_duration, show_size},
};
use chain::{Auth, Network};
use std::{fmt::Write as _, net::SocketAddr};
use stratum::{Config as Stratum, Limits, Port};

/// What differs from one home to the next.
#[derive(Debug, Clone)]
pub struct Answers {
    /// The network to mine on.
    pub network: Network,
    /// Where the node answers.
    pub url: String,
    /// How the node knows us; `None` for the cookie in the node's usual folder.
    pub auth: Option<Auth>,
    /// Paid for miners whose user name is no address.
    pub fallback_address: Option<String>,
    /// Where miners connect.
    pub listen: SocketAddr,
    /// Where the page is served.
    pub web: SocketAddr,
}

/// The file's text. Read back, it gives exactly the answers and defaults for everything else.
pub fn commented(answers: &Answers) -> String {
    let Answers { network, url, auth, fallback_address, listen, web } = answers;
    let network = network.as_str();
    let address = match fallback_address {
        Some(address) => format!("fallback_address = {}", quoted(address)),
        None => "#fallback_address = \"bc1…\"".into(),
    };
    let url = quoted(url);
    let auth = match auth {
        None => "#cookie = \"~/.bitcoin/.cookie\"".into(),
        Some(Auth::Cookie(path)) => format!("cookie = {}", quoted(&path.to_string_lossy())),
        Some(Auth::UserPass { user, password }) => {
            format!("user = {}\npassword = {}", quoted(user), quoted(password))
        }
    };
    let second_url = default_url(answers.network).replace("127.0.0.1", "192.168.1.20");
    let chain = chain::Config::new(answers.network, Vec::new(), Default::default());
    let mut text = format!(
        r##"# hearth's configuration. A line that begins with # is a comment; "#key = value" shows a key's
# default: remove the # to change it. All keys: docs/configuration.md.
# After a change run `hearth doctor`, then start hearth again.

# mainnet, testnet4, signet or regtest.
network = "{network}"

# Folder for the record of work and for solved blocks; relative to this file.
#data_dir = "hearth-data"

# Pays for blocks of miners whose user name is no Bitcoin address. Without it they are refused.
{address}

# Your Bitcoin node. Its cookie file holds a password that changes at each start of the node.
# If the node has rpcauth, write user = "…" and password = "…" instead of cookie.
[[node]]
url = {url}
{auth}

# A second node takes over when the first is down. Any number, the best first.
#[[node]]
#url = "{second_url}"
#user = "hearth"
#password = "…"

[template]
# A node is asked for better paying transactions this often; new blocks are noticed at once.
#refresh = "{refresh}"
# Text in your blocks, at most 40 ASCII characters.
#tag = {tag}
# Weight units kept free for header and coinbase.
#coinbase_reserve = {coinbase_reserve}
# A block counts as yours for good when it is this deep.
#confirmations = {confirmations}

"##,
        tag = quoted(&Stratum::default().tag),
        refresh = show_duration(chain.refresh),
        coinbase_reserve = chain.coinbase_reserve,
        confirmations = chain.confirmations,
    );
    stratum(&mut text, *listen);
    let json = log_name(LogFormat::Json);
    let human = log_name(LogFormat::Human);
    let fleet = fleet();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        r##"[web]
# The page, the API and the metrics. Nobody needs a password to look at them, so they are for this
# machine only; "0.0.0.0:8080" shows them to your whole network.
listen = "{web}"

{fleet}# Prices, heat, grid operators, batteries: [energy], in docs/configuration-energy.md.

[log]
# "{human}" or "{json}".
#format = "{human}"
# error, warn, info, debug or trace.
#level = "info"
"##
    );
    text
}

fn stratum(text: &mut String, listen: SocketAddr) {
    let Stratum { shares_per_minute, version_mask, extranonce2_size, threads, .. } =
        Stratum::default();
    let Port { start_difficulty, min_difficulty, max_difficulty, fractional, vardiff, .. } =
        Port::default();
    let Limits { connections, connections_per_address, invalid_shares, ban_after, .. } =
        Limits::default();
    let limits = Limits::default();
    let handshake = show_duration(limits.handshake);
    let idle = show_duration(limits.idle);
    let ban = show_duration(limits.ban);
    let line = show_size(limits.line);
    let send_buffer = show_size(limits.send_buffer);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        r##"[stratum]
# Shares that each machine should send; its difficulty follows from this.
#shares_per_minute = {shares_per_minute}
# Version bits that miners may roll (BIP 310), hex.
#version_mask = "{version_mask:08x}"
# Bytes of the coinbase that miners may roll, 4 to 8.
#extranonce2_size = {extranonce2_size}
# Threads that serve miners; 0 for one per core.
#threads = {threads}

# Where miners connect: stratum+tcp://<this machine>:<port>. Several ports are possible, for example
# one for small and one for large machines.
[[stratum.port]]
listen = "{listen}"
# Difficulty of a new machine's first job, and the range it may move in.
#start_difficulty = {start_difficulty}
#min_difficulty = {min_difficulty}
#max_difficulty = {max_difficulty}
# Difficulties between powers of two: some firmware rounds them and loses work.
#fractional = {fractional}
# false: the difficulty stays at start_difficulty.
#vardiff = {vardiff}

# What one peer may take before it is turned away.
[stratum.limits]
#connections = {connections}
#connections_per_address = {connections_per_address}
# Time to log in.
#handshake = "{handshake}"
# A miner that is silent for this long is taken for gone.
#idle = "{idle}"
# Longest line that a miner may send.
#line = "{line}"
# Answers kept for a miner that does not read them.
#send_buffer = "{send_buffer}"
# Rejected shares in a row that end a connection.
#invalid_shares = {invalid_shares}
# Connections of one address ended for misuse within an hour before the address is banned; 0: never.
#ban_after = {ban_after}
#ban = "{ban}"

"##
    );
}

fn fleet() -> String {
    let Fleet { scan_every, read_every, sockets, connections_per_second, .. } = Fleet::default();
    let (scan_every, read_every) = (show_duration(scan_every), show_duration(read_every));
    format!(
        r##"# Your machines. Who mines here from your own network is asked who it is, and watched.
[fleet]
#enabled = true
# Ranges of addresses that are asked as well, such as ["10.0.0.0/24"], and how often.
#scan = []
#scan_every = "{scan_every}"
# Each machine is read this often.
#read_every = "{read_every}"
# Connections to machines at once, and new ones a second while looking for them.
#sockets = {sockets}
#connections_per_second = {connections_per_second}
# Machines that announce themselves (AxeOS) are asked, too.
#mdns = true
# true: Whatsminers with API version 3 are spoken to; see docs/configuration.md first.
#whatsminer_v3 = false
# For what all machines are tuned: "efficiency", "hashrate", "watts=800", "heat=1500".
#tune = "off"
# true: the watts of circuits that cannot feed all of their machines go where they bring most hashes.
#share_watts = false

# The broker of meters and switches.
#[fleet.mqtt]
#server = "127.0.0.1:1883"

# A breaker, PDU or phase; machines on it never draw more together, at no instant.
#[[fleet.circuit]]
#name = "PDU A"
#amperes = 16
#volts = 230
#phases = 1
#continuous = 0.8
# limit = "2.9 kW" instead of these four.
# feeds_from = "site" names the circuit that feeds it.
#other = "0 W"
# Where its power is measured; modbus = "10.0.0.9:502" instead of mqtt for a register.
#[fleet.circuit.meter]
#mqtt = "meters/pdu-a"
#json = "/ENERGY/Power"
#scale = 1.0
#unit = 255
#register = 0
#input = false
#kind = "f32"
#low_first = false

# What a machine does not tell. One of id, ip or worker says which it is.
#[[fleet.device]]
#ip = "10.0.0.7"
# id = "mac:02:8f:77:ec:e7:e0" instead, or its full Stratum name:
# worker = "bc1….garage"
#name = "garage"
#circuit = "PDU A"
#model = "Antminer S21 Pro"
#power = "3500 W"
#max_power = "3600 W"
#max_chip = "90 C"
#max_inlet = "45 C"
#noise = 55
#tune = "off"
#work_scale = 1
#user = "root"
#password = "root"
# A meter of its own, with the keys of a circuit's.
#[fleet.device.meter]
#modbus = "10.0.0.9:502"
# mqtt = "…" and json = "…" instead, as above.
#scale = 1.0
#unit = 255
#register = 52
#input = false
#kind = "f32"
#low_first = false
# An outlet that feeds it; modbus = "10.0.0.9:502", unit and coil instead of mqtt for a relay.
#[fleet.device.switch]
#mqtt = "shelly/garage/relay/0/command"
#state = "shelly/garage/relay/0"
#on = "on"
#off = "off"
#least_on = "0ms"
#least_off = "1m"
#unit = 255
#coil = 0

# How to get into machines of one firmware; without it the factory's login is tried.
#[[fleet.login]]
#firmware = "braiins_os"
#user = "root"
#password = "root"

"##
    )
}

fn log_name(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Human => "human",
        LogFormat::Json => "json",
    }
}

/// A TOML basic string: JSON's escapes are a subset of TOML's, which also wants DEL escaped.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}
