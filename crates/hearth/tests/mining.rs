//! The whole program against the real Bitcoin Core on a private signet: blocks found, lost, moved and
//! saved from a crash. Shares are easier than blocks there, as they are on mainnet.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use api::{BlockState, Status};
use serde_json::json;
use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use twin::{
    load::{Load, LoadConfig, Pattern},
    miner::{Miner, MinerConfig},
    node::{NodeOptions, PrivateNetwork, PrivateNode},
};

/// Nobody has the keys of these.
const MINER: &str = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
const OTHER: &str = "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7";

#[test]
fn a_block_that_a_miner_finds_is_accepted_by_the_node_and_pays_the_miner() {
    let node = node();
    let hearth = Hearth::start(&[&node]);
    let miner = hearth.miner();
    let status = hearth.until("a block in the chain", |status| {
        status.blocks.iter().any(|block| block.confirmations > 0)
    });
    miner.stop();
    let block = status.blocks.iter().find(|block| block.confirmations > 0).unwrap();
    let seen = node.rpc("getblock", json!([block.hash, 2])).unwrap();
    assert_eq!(seen["height"], block.height);
    let paid = &seen["tx"][0]["vout"][0];
    assert_eq!(paid["scriptPubKey"]["address"], MINER);
    assert_eq!(block.value_sats, 5_000_000_000);
    assert_eq!(block.worker, format!("{MINER}.rig"));
    let worker = status.workers.iter().find(|worker| worker.name == block.worker).unwrap();
    assert!(worker.shares.accepted > 0 && worker.best_share.ever > Some(0.001));
}

#[test]
fn a_new_tip_while_shares_are_in_flight_makes_them_stale_and_nothing_worse() {
    let node = node();
    let hearth = Hearth::start(&[&node]);
    let config = LoadConfig { password: "d=1e-9".into(), ..LoadConfig::new(hearth.bench, MINER) };
    let mut load = Load::open(config).unwrap();
    load.connect(20).unwrap();
    let over = AtomicBool::new(false);
    let (accepted, void) = thread::scope(|scope| {
        let tips = scope.spawn(|| {
            hearth.until("the first shares", |status| status.shares.accepted > 0);
            while !over.load(Ordering::Relaxed) {
                drop(node.generate(1, OTHER).unwrap());
                thread::sleep(Duration::from_millis(1500));
            }
        });
        let (mut accepted, mut void) = (0, 0);
        // On a busy machine the first tip may come after the first round.
        for _ in 0..20 {
            let pattern = Pattern::Paced { connections: 20, per_second: 1000.0, seconds: 4.0 };
            let result = load.submit(pattern).unwrap();
            let reasons: Vec<_> = result.rejected_by_reason.keys().collect();
            assert!(reasons.iter().all(|reason| reason.contains("stale")), "{reasons:?}");
            assert_eq!((result.unanswered, result.lost_connections), (0, 0));
            assert_eq!(result.sent, result.accepted + result.rejected + result.invalidated);
            accepted += result.accepted;
            void += result.remade + result.invalidated;
            if void > 0 {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        tips.join().unwrap();
        (accepted, void)
    });
    assert!(accepted > 3000 && void > 0, "{accepted} {void}");
    // Every answer the miners got is what the server counted.
    let status = hearth.until("the last shares", |status| status.shares.accepted >= accepted);
    assert_eq!(status.shares.accepted, accepted);
}

#[test]
fn a_reorganisation_orphans_our_block_and_miners_move_to_the_new_tip() {
    let node = node();
    let hearth = Hearth::start(&[&node]);
    let miner = hearth.miner();
    hearth.until("a block in the chain", |status| {
        status.blocks.iter().any(|block| block.confirmations > 0)
    });
    miner.stop();
    let ours = best(&node);
    let block = |status: &Status| {
        status.blocks.iter().find(|block| block.hash == ours).map(|b| (b.state, b.confirmations))
    };
    hearth
        .until("our block as the tip", |status| block(status).is_some_and(|(_, depth)| depth == 1));
    // Two blocks of somebody else on our block's parent.
    node.rpc("invalidateblock", json!([ours])).unwrap();
    let rival = node.generate(2, OTHER).unwrap().pop().unwrap();
    node.rpc("reconsiderblock", json!([ours])).unwrap();
    assert_eq!(best(&node), rival);
    hearth.until("the orphan", |status| block(status) == Some((BlockState::Orphaned, 0)));
    hearth.until("work on the rival's tip", |status| {
        status.work.as_ref().is_some_and(|work| work.prev_hash == rival)
    });
}

#[test]
fn when_a_node_fails_the_next_one_takes_over_and_hands_back_when_it_is_well_again() {
    let listening = || NodeOptions { listen: true, ..NodeOptions::new(PrivateNetwork::Signet) };
    let mut first = PrivateNode::start(listening()).unwrap();
    let second = PrivateNode::start(listening()).unwrap();
    second.connect_to(&first).unwrap();
    let hearth = Hearth::start(&[&first, &second]);
    let miner = hearth.miner();
    let active = |status: &Status| status.nodes.iter().position(|node| node.active);
    hearth.until("work of the first node", |status| active(status) == Some(0));
    hearth.until("a block", |status| !status.blocks.is_empty());
    first.flush().unwrap();
    first.stop().unwrap();
    hearth.until("work of the second node", |status| active(status) == Some(1));
    let before = second.height().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while second.height().unwrap() == before {
        assert!(Instant::now() < deadline, "the second node gets no blocks");
        thread::sleep(Duration::from_millis(100));
    }
    first.restart().unwrap();
    second.connect_to(&first).unwrap();
    hearth.until("work of the first node again", |status| active(status) == Some(0));
    assert!(miner.stop().rejected.keys().all(|reason| reason.contains("stale")));
}

#[test]
fn a_block_solved_before_a_kill_9_is_submitted_after_the_restart() {
    let mut node = node();
    let mut hearth = Hearth::start(&[&node]);
    // The miner works while the node is gone: what it solves can only go to the disk.
    let miner = hearth.miner();
    hearth.until("shares", |status| status.shares.accepted > 0);
    node.flush().unwrap();
    node.stop().unwrap();
    let height = hearth.blocks_on_disk();
    let deadline = Instant::now() + Duration::from_secs(50);
    while hearth.blocks_on_disk() == height {
        assert!(Instant::now() < deadline, "no block was solved while the node was gone");
        thread::sleep(Duration::from_millis(5));
    }
    hearth.kill();
    miner.stop();
    let solved = hearth.names_on_disk();
    node.restart().unwrap();
    hearth.restart();
    let status = hearth.until("the solved block in the chain", |status| {
        let kept = |block: &&api::Block| solved.contains(&block.hash);
        status.blocks.iter().filter(kept).any(|block| block.confirmations > 0)
    });
    let block =
        status.blocks.iter().find(|b| solved.contains(&b.hash) && b.confirmations > 0).unwrap();
    assert_eq!(node.rpc("getblock", json!([block.hash])).unwrap()["height"], block.height);
}

#[test]
fn a_wrong_address_or_garbage_is_answered_with_a_sentence_and_harms_nobody() {
    let node = node();
    let hearth = Hearth::start(&[&node]);
    let mut stream = TcpStream::connect(hearth.stratum).unwrap();
    let ask = "{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.x\",\"\"]}\n";
    stream.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).unwrap();
    assert!(answer.contains("belongs to mainnet, but this server mines on signet"), "{answer}");
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 100_000], &[b'['; 100_000]] {
        let mut stream = TcpStream::connect(hearth.stratum).unwrap();
        // The server may close before all is written.
        let _ = stream.write_all(garbage);
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let ended = match stream.read(&mut [0; 100]) {
            Ok(size) => size == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(ended, "a connection that sends garbage must be ended");
    }
    let mute: Vec<TcpStream> =
        (0..500).map(|_| TcpStream::connect(hearth.stratum).unwrap()).collect();
    let miner = hearth.miner();
    hearth.until("shares beside 500 silent connections", |status| status.shares.accepted > 3);
    drop(mute);
    miner.stop();
}

#[test]
fn a_port_in_use_is_said_so_and_a_stop_is_clean() {
    let node = node();
    let mut hearth = Hearth::start(&[&node]);
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(hearth.folder.path().join("hearth.toml")).unwrap();
    let web = free_port();
    let text = text.replace(&hearth.web.to_string(), &web.to_string());
    fs::write(folder.path().join("hearth.toml"), text).unwrap();
    let second = command(folder.path()).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another program uses this port"), "{said}");
    assert_eq!(second.status.code(), Some(1));

    let miner = hearth.miner();
    hearth.until("shares", |status| status.shares.accepted > 3);
    let pid = rustix::process::Pid::from_child(&hearth.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = hearth.process.wait().unwrap();
    let accepted = miner.stop().accepted;
    assert_eq!(status.code(), Some(0));
    hearth.restart();
    // All that was accepted before the stop is in the record.
    let best = hearth.until("the record", |status| status.best_share.ever.is_some());
    assert!(accepted > 3 && best.best_share.ever.is_some());
}

#[test]
fn a_full_disk_costs_no_block_and_the_record_goes_on_when_there_is_room_again() {
    let namespace = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status();
    if !namespace.is_ok_and(|status| status.success()) {
        eprintln!("NOT TESTED: this system lets nobody mount a small disk");
        return;
    }
    let node = node();
    let hearth = Hearth::start_by(&[&node], on_a_small_disk);
    let filler = hearth.on_its_disk("filler");
    let full = fs::write(&filler, vec![1; 16 << 20]).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    let miner = hearth.miner();
    let deadline = Instant::now() + Duration::from_secs(60);
    while node.height().unwrap() == 0 {
        assert!(Instant::now() < deadline, "no block reaches the node while the disk is full");
        thread::sleep(Duration::from_millis(50));
    }
    let before = hearth.until("shares", |status| status.shares.accepted > 20);
    fs::remove_file(&filler).unwrap();
    hearth.until("the record of what came before", |status| {
        let worker = status.workers.iter().find(|worker| worker.name.ends_with(".rig"));
        worker.is_some_and(|worker| worker.shares.accepted >= before.shares.accepted)
            && status.best_share.ever.is_some()
    });
    let first = node.rpc("getblockhash", json!([1])).unwrap();
    let first = first.as_str().unwrap();
    hearth.until("the block found meanwhile", |status| {
        status.blocks.iter().any(|block| block.hash == first && block.confirmations > 0)
    });
    assert!(miner.stop().rejected.keys().all(|reason| reason.contains("stale")));
}

fn node() -> PrivateNode {
    PrivateNode::start(NodeOptions::new(PrivateNetwork::Signet)).unwrap()
}

fn best(node: &PrivateNode) -> String {
    node.rpc("getbestblockhash", json!([])).unwrap().as_str().unwrap().to_string()
}

/// The program as a process of its own.
struct Hearth {
    process: Child,
    stratum: SocketAddr,
    /// A port whose difficulty is fixed and lets nearly every hash through.
    bench: SocketAddr,
    web: SocketAddr,
    folder: TempDir,
}

impl Hearth {
    fn start(nodes: &[&PrivateNode]) -> Self {
        Self::start_by(nodes, command)
    }

    fn start_by(nodes: &[&PrivateNode], command: fn(&Path) -> Command) -> Self {
        let (stratum, bench, web) = (free_port(), free_port(), free_port());
        let folder = tempfile::tempdir().unwrap();
        let nodes: String = nodes
            .iter()
            .map(|node| {
                let cookie = node.cookie_path();
                format!(
                    "[[node]]\nurl = \"{}\"\ncookie = \"{}\"\n",
                    node.rpc_url(),
                    cookie.display()
                )
            })
            .collect();
        let text = format!(
            "network = \"signet\"\n{nodes}[stratum]\nshares_per_minute = 600\n\
             [[stratum.port]]\nlisten = \"{stratum}\"\nstart_difficulty = 0.000244140625\n\
             [[stratum.port]]\nlisten = \"{bench}\"\nstart_difficulty = 1e-9\nmin_difficulty = 1e-9\n\
             fractional = true\nvardiff = false\n[web]\nlisten = \"{web}\"\n"
        );
        fs::write(folder.path().join("hearth.toml"), text).unwrap();
        let process = command(folder.path()).spawn().unwrap();
        let mut hearth = Self { process, stratum, bench, web, folder };
        hearth.wait_until_up();
        hearth
    }

    fn restart(&mut self) {
        self.kill();
        self.process = command(self.folder.path()).spawn().unwrap();
        self.wait_until_up();
    }

    fn kill(&mut self) {
        // May have ended by itself already.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }

    fn wait_until_up(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.status().is_none() {
            assert!(self.process.try_wait().unwrap().is_none(), "the program has ended");
            assert!(Instant::now() < deadline, "the program does not come up");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn miner(&self) -> Miner {
        let config = MinerConfig::new(self.stratum.to_string(), format!("{MINER}.rig"));
        Miner::start(config).unwrap()
    }

    fn status(&self) -> Option<Status> {
        let mut stream = TcpStream::connect(self.web).ok()?;
        let ask = format!(
            "GET /api/v1/status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.web
        );
        stream.write_all(ask.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let start = body.find('{')?;
        serde_json::from_str(&body[start..=body.rfind('}')?]).ok()
    }

    /// Waits for something to be true; says what was missing if it does not come.
    fn until(&self, what: &str, mut is_so: impl FnMut(&Status) -> bool) -> Status {
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let status = self.status();
            match status {
                Some(status) if is_so(&status) => return status,
                status => assert!(Instant::now() < deadline, "waited for {what}: {status:#?}"),
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// A file in its data folder, even if that is a disk which only it sees.
    fn on_its_disk(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join("hearth-data").join(name);
        let seen = Path::new("/proc").join(self.process.id().to_string()).join("root");
        seen.join(folder.strip_prefix("/").unwrap())
    }

    fn names_on_disk(&self) -> Vec<String> {
        let folder = self.folder.path().join("hearth-data/signet/blocks");
        let files = fs::read_dir(folder).unwrap().filter_map(Result::ok);
        let names = files.filter_map(|file| file.file_name().into_string().ok());
        names.filter_map(|name| Some(name.strip_suffix(".block")?.to_string())).collect()
    }

    fn blocks_on_disk(&self) -> usize {
        self.names_on_disk().len()
    }
}

impl Drop for Hearth {
    fn drop(&mut self) {
        self.kill();
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.args(["serve", "-c", "hearth.toml"]).current_dir(folder).env("RUST_LOG", "error");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    command
}

/// With a data folder that holds four megabytes.
fn on_a_small_disk(folder: &Path) -> Command {
    let mount =
        "mkdir -p hearth-data && mount -t tmpfs -o size=4m tmpfs hearth-data && exec \"$@\"";
    let mut small = Command::new("unshare");
    small.args(["--map-root-user", "--mount", "sh", "-c", mount, "sh"]);
    let command = command(folder);
    small.arg(command.get_program()).args(command.get_args());
    small.current_dir(folder).env("RUST_LOG", "off");
    small.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    small
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
