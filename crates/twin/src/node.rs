//! A private Bitcoin Core node: the real daemon on a chain of its own, on 127.0.0.1 only.
//! It never joins a public network, and neither the process nor a temporary folder outlives the
//! program that started it.

mod daemon;
mod error;
mod http;

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use self::{
    daemon::Daemon,
    error::{io_error, odd},
};
pub use self::{daemon::find_bitcoind, error::NodeError};

/// How long a node may take until it answers, and to stop cleanly.
const PATIENCE: Duration = Duration::from_secs(60);
/// One block of the private signet is about 5 million hashes: a second or two on one core.
const RPC_TIMEOUT: Duration = Duration::from_secs(180);
/// Bitcoin Core gives up after a million hashes unless told otherwise (`generatetoaddress`).
const MAX_TRIES: u64 = 1_000_000_000;
/// Below the ports that Linux hands to outgoing connections (32768 and up), so that a node which
/// is down for a moment does not lose its port to one of them.
const PORTS: Range<u16> = 20_000..32_000;

/// A chain that nobody else is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateNetwork {
    /// A signet whose challenge is `OP_TRUE`: difficulty 0.00113, one block in about 5 million
    /// hashes, no signature needed. `getblocktemplate` wants the rules `segwit` and `signet`.
    Signet,
    /// Every second hash is a block.
    Regtest,
}

/// How to start a [`PrivateNode`].
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The chain.
    pub network: PrivateNetwork,
    /// Accept other private nodes on a 127.0.0.1 port; needed by [`PrivateNode::connect_to`]'s
    /// argument.
    pub listen: bool,
    /// Keep the data here, also after the node is gone. `None`: a temporary folder.
    pub folder: Option<PathBuf>,
    /// The daemon. `None`: [`find_bitcoind`].
    pub bitcoind: Option<PathBuf>,
    /// Further arguments, for example `-blockmaxweight=8000`.
    pub arguments: Vec<String>,
}

impl NodeOptions {
    /// A node in a temporary folder that listens to nobody.
    #[must_use]
    pub fn new(network: PrivateNetwork) -> Self {
        Self { network, listen: false, folder: None, bitcoind: None, arguments: Vec::new() }
    }
}

/// A running Bitcoin Core daemon of one's own. Dropping it kills the daemon and removes its
/// temporary folder; both also happen if this program is killed.
#[derive(Debug)]
pub struct PrivateNode {
    bitcoind: PathBuf,
    options: NodeOptions,
    folder: PathBuf,
    temporary: Option<TempDir>,
    rpc: SocketAddr,
    p2p: Option<SocketAddr>,
    daemon: Option<Daemon>,
}

impl PrivateNode {
    /// Starts a node and waits until it answers.
    ///
    /// # Errors
    /// There is no daemon, it does not start, or it does not answer within a minute.
    pub fn start(options: NodeOptions) -> Result<Self, NodeError> {
        let bitcoind = match &options.bitcoind {
            Some(path) => path.clone(),
            None => find_bitcoind()?,
        };
        let (folder, temporary) = match &options.folder {
            Some(folder) => {
                fs::create_dir_all(folder)
                    .map_err(io_error(&format!("make {}", folder.display())))?;
                (folder.clone(), None)
            }
            None => {
                let made = tempfile::Builder::new()
                    .prefix("hearth-node-")
                    .tempdir()
                    .map_err(io_error("make a temporary folder"))?;
                (made.path().to_path_buf(), Some(made))
            }
        };
        // Bitcoin Core takes a relative cookie path as one inside its own folder.
        let folder =
            fs::canonicalize(&folder).map_err(io_error(&format!("find {}", folder.display())))?;
        let unset = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut node =
            Self { bitcoind, options, folder, temporary, rpc: unset, p2p: None, daemon: None };
        // Another program can take a port between our look and the node's: try others then.
        let mut attempts = 0;
        loop {
            attempts += 1;
            node.rpc = free_port()?;
            node.p2p = if node.options.listen { Some(free_port()?) } else { None };
            match node.run() {
                Err(NodeError::Ended { message, .. })
                    if attempts < 5 && message.to_lowercase().contains("bind") => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(node),
            }
        }
    }

    /// Where JSON-RPC is served: `http://127.0.0.1:port`. The same after a restart.
    #[must_use]
    pub fn rpc_url(&self) -> String {
        format!("http://{}", self.rpc)
    }

    /// The file with the credentials; a new one is written at each start of the daemon.
    #[must_use]
    pub fn cookie_path(&self) -> PathBuf {
        self.folder.join("rpc.cookie")
    }

    /// Where other nodes can connect, if it listens.
    #[must_use]
    pub fn p2p_addr(&self) -> Option<SocketAddr> {
        self.p2p
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The chain it is on.
    #[must_use]
    pub fn network(&self) -> PrivateNetwork {
        self.options.network
    }

    /// The daemon's process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(|daemon| daemon.process.id())
    }

    /// Calls one JSON-RPC method and returns its `result`. Blocks for up to three minutes.
    ///
    /// # Errors
    /// The node is not running, cannot be reached, or answers with an error.
    pub fn rpc(&self, method: &str, params: Value) -> Result<Value, NodeError> {
        if self.daemon.is_none() {
            return Err(NodeError::NotRunning);
        }
        self.call(method, &params, RPC_TIMEOUT)
    }

    /// The height of the best block.
    ///
    /// # Errors
    /// As [`Self::rpc`].
    pub fn height(&self) -> Result<u64, NodeError> {
        self.number("getblockcount")
    }

    /// Lets the node mine `blocks` blocks that pay `address`; returns their hashes. On the private
    /// signet a block takes seconds.
    ///
    /// # Errors
    /// As [`Self::rpc`]; also when the address is not one of this network.
    pub fn generate(&self, blocks: u32, address: &str) -> Result<Vec<String>, NodeError> {
        let a_call = match self.options.network {
            PrivateNetwork::Signet => 1,
            PrivateNetwork::Regtest => 100,
        };
        let method = "generatetoaddress";
        let mut hashes = Vec::new();
        let mut left = blocks;
        while left > 0 {
            let now = left.min(a_call);
            let answer = self.rpc(method, json!([now, address, MAX_TRIES]))?;
            let made: Vec<String> =
                serde_json::from_value(answer).map_err(|error| odd(method, &error.to_string()))?;
            if made.len() != now as usize {
                return Err(odd(method, &format!("{} blocks instead of {now}", made.len())));
            }
            hashes.extend(made);
            left -= now;
        }
        Ok(hashes)
    }

    /// Connects to another private node of the same chain and waits until both say so.
    ///
    /// # Errors
    /// The other one does not listen, or they do not agree within a minute.
    pub fn connect_to(&self, other: &Self) -> Result<(), NodeError> {
        let address = other.p2p.ok_or(NodeError::NotListening)?;
        let before = other.number("getconnectioncount")?;
        self.rpc("addnode", json!([address.to_string(), "onetry"]))?;
        self.wait_until("connect to the other node", || {
            let ready = self.peers()?.iter().any(|peer| {
                peer["addr"] == address.to_string() && peer["version"].as_u64() > Some(0)
            });
            Ok(ready && other.number("getconnectioncount")? > before)
        })
    }

    /// Drops every connection to other nodes; nobody connects again by itself.
    ///
    /// # Errors
    /// As [`Self::rpc`].
    pub fn disconnect(&self) -> Result<(), NodeError> {
        self.wait_until("drop its connections", || {
            let peers = self.peers()?;
            for peer in &peers {
                match self.rpc("disconnectnode", json!(["", peer["id"]])) {
                    // Gone meanwhile.
                    Ok(_) | Err(NodeError::Rpc { code: -29, .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(peers.is_empty())
        })
    }

    /// Writes the chain to disk. Without this, [`Self::kill`] loses the blocks since the start.
    ///
    /// # Errors
    /// As [`Self::rpc`].
    pub fn flush(&self) -> Result<(), NodeError> {
        // gettxoutsetinfo begins by writing everything down.
        self.rpc("gettxoutsetinfo", json!(["none"])).map(drop)
    }

    /// Ends the daemon at once, as a power cut would (SIGKILL). Does nothing if it is not running.
    pub fn kill(&mut self) {
        self.daemon = None;
    }

    /// Ends the daemon cleanly. Does nothing if it is not running.
    ///
    /// # Errors
    /// It does not end within a minute; it still runs then.
    pub fn stop(&mut self) -> Result<(), NodeError> {
        if self.daemon.is_none() {
            return Ok(());
        }
        self.rpc("stop", json!([]))?;
        let deadline = Instant::now() + PATIENCE;
        while let Some(daemon) = &mut self.daemon {
            if daemon.ended()?.is_some() {
                self.daemon = None;
            } else if Instant::now() > deadline {
                return Err(NodeError::Slow { what: "stop", log: self.log() });
            } else {
                sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    /// Starts the daemon again with the same folder and ports, after a clean stop if it still
    /// runs.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::stop`].
    pub fn restart(&mut self) -> Result<(), NodeError> {
        self.stop()?;
        self.run()
    }

    fn run(&mut self) -> Result<(), NodeError> {
        // A killed daemon leaves its old cookie behind.
        remove_file(&self.cookie_path())?;
        self.daemon = Some(Daemon::spawn(
            &self.bitcoind,
            self.arguments(),
            &self.folder,
            self.temporary.is_some(),
        )?);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(daemon) = &mut self.daemon
                && let Some(status) = daemon.ended()?
            {
                self.daemon = None;
                return Err(NodeError::Ended { status, message: self.last_words() });
            }
            // Until the node is ready it refuses the connection, or answers with code -28.
            if self.cookie_path().exists()
                && self.call("getblockcount", &json!([]), Duration::from_secs(5)).is_ok()
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                self.daemon = None;
                return Err(NodeError::Slow { what: "answer", log: self.log() });
            }
            sleep(Duration::from_millis(20));
        }
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = match self.options.network {
            // -maxtipage: the tip may be years old and the node still gives out templates.
            PrivateNetwork::Signet => {
                vec!["-signet".into(), "-signetchallenge=51".into(), "-maxtipage=3153600000".into()]
            }
            PrivateNetwork::Regtest => vec!["-regtest".to_owned()],
        };
        arguments.extend([
            format!("-datadir={}", self.folder.display()),
            "-server".into(),
            "-rpcbind=127.0.0.1".into(),
            "-rpcallowip=127.0.0.1".into(),
            format!("-rpcport={}", self.rpc.port()),
            format!("-rpccookiefile={}", self.cookie_path().display()),
        ]);
        arguments.extend(match self.p2p {
            Some(address) => vec!["-listen=1".to_owned(), format!("-bind={address}")],
            None => vec!["-listen=0".to_owned()],
        });
        let quiet = [
            "-connect=0",
            "-discover=0",
            "-dns=0",
            "-dnsseed=0",
            "-fixedseeds=0",
            "-natpmp=0",
            "-listenonion=0",
            "-printtoconsole=0",
            "-dbcache=16",
        ];
        arguments.extend(quiet.map(String::from));
        arguments.extend(self.options.arguments.iter().cloned());
        arguments
    }

    fn call(&self, method: &str, params: &Value, timeout: Duration) -> Result<Value, NodeError> {
        let failed = |source| NodeError::Io {
            action: format!("ask the private node at {} for {method}", self.rpc),
            source,
        };
        let cookie = fs::read_to_string(self.cookie_path()).map_err(failed)?;
        let body = json!({"jsonrpc": "1.0", "id": 0, "method": method, "params": params});
        let answer =
            http::post(self.rpc, cookie.trim(), &body.to_string(), timeout).map_err(failed)?;
        let mut answer: Value = serde_json::from_slice(&answer.body)
            .map_err(|error| odd(method, &format!("{} ({error})", answer.status)))?;
        match &answer["error"] {
            Value::Null => Ok(answer["result"].take()),
            error => Err(NodeError::Rpc {
                method: method.to_owned(),
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or("no message").to_owned(),
            }),
        }
    }

    fn number(&self, method: &str) -> Result<u64, NodeError> {
        self.rpc(method, json!([]))?.as_u64().ok_or_else(|| odd(method, "not a number"))
    }

    fn peers(&self) -> Result<Vec<Value>, NodeError> {
        let method = "getpeerinfo";
        match self.rpc(method, json!([]))? {
            Value::Array(peers) => Ok(peers),
            _ => Err(odd(method, "not a list")),
        }
    }

    fn wait_until(
        &self,
        what: &'static str,
        done: impl Fn() -> Result<bool, NodeError>,
    ) -> Result<(), NodeError> {
        let deadline = Instant::now() + PATIENCE;
        while !done()? {
            if Instant::now() > deadline {
                return Err(NodeError::Slow { what, log: self.log() });
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        match self.options.network {
            PrivateNetwork::Signet => self.folder.join("signet/debug.log"),
            PrivateNetwork::Regtest => self.folder.join("regtest/debug.log"),
        }
    }

    fn last_words(&self) -> String {
        let written = fs::read_to_string(self.folder.join(daemon::ERRORS)).unwrap_or_default();
        let words = written.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.is_empty() { format!("see {}", self.log().display()) } else { words }
    }
}

impl Drop for PrivateNode {
    fn drop(&mut self) {
        self.daemon = None;
        if let Some(folder) = self.temporary.take()
            && let Err(error) = folder.close()
        {
            tracing::warn!("could not remove a private node's folder: {error}");
        }
    }
}

fn free_port() -> Result<SocketAddr, NodeError> {
    for _ in 0..200 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::random_range(PORTS)));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(NodeError::NoPort)
}

fn remove_file(path: &Path) -> Result<(), NodeError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error(&format!("remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
