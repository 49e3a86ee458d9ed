//! `hearth aggregate` with a real mosquitto and sixty homes, each on links of its own: commands come
//! through the door that a site uses (`grid::mqtt`, `grid::command`), reports go out by `grid::homes`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

use grid::{
    Hub, Quality,
    command::Inbox,
    homes::{Report, Reporter},
    mqtt::{Address, Broker, Topic, Use},
};
use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use twin::energy::{Dwelling, Warms};
use units::{NetWatts, Watts};

#[path = "common/broker.rs"]
mod broker;

use broker::{Ends, mosquitto};

const HOMES: usize = 60;

/// A home with its own links; the owner may opt out.
struct Home {
    physics: Mutex<Dwelling>,
    hub: Hub,
    report: watch::Sender<Option<Report>>,
    out: watch::Sender<bool>,
}

impl Home {
    fn start(at: usize, address: &Address) -> Arc<Self> {
        let warms = [Warms::Room, Warms::Tank, Warms::Nothing][at % 3];
        let hub = Hub::new(Instant::now());
        let (report, shown) = watch::channel(None);
        let reporter = Reporter {
            name: "aggregator".into(),
            address: address.clone(),
            base: "test/homes".into(),
            home: format!("home-{at}"),
            every: Duration::from_secs(1),
        };
        reporter.validate().unwrap();
        let topic = Topic { topic: reporter.command_topic(), take: Use::SetPoint };
        let commands = Broker {
            name: "commands".into(),
            address: address.clone(),
            topics: vec![topic],
            keep_alive: None,
            quality: Quality::Measured,
        };
        tokio::spawn(commands.run(hub.clone(), Inbox::default()));
        tokio::spawn(reporter.run(hub.clone(), shown));
        let (out, _) = watch::channel(false);
        let physics = Mutex::new(Dwelling::new(warms, at as u64));
        let home = Arc::new(Self { physics, hub, report, out });
        tokio::spawn(home.clone().live());
        home
    }

    async fn live(self: Arc<Self>) {
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        loop {
            tick.tick().await;
            let now = self.hub.now();
            let set_point = self.hub.snapshot().set_point;
            let out = *self.out.borrow();
            let wanted = set_point.and_then(|told| told.reading.value.wanted(now)).filter(|_| !out);
            let mut physics = self.physics.lock().unwrap();
            physics.tell(wanted.map(NetWatts::get), 1.0);
            physics.step(Duration::from_millis(200), 12.0, 2.0);
            let says = physics.says();
            let net = |watts| NetWatts::new(watts).unwrap();
            let hold = |(watts, lasts): (f64, Option<f64>)| {
                (net(watts), lasts.map(Duration::from_secs_f64))
            };
            self.report.send_replace(Some(Report {
                power: net(says.power),
                own: net(says.own),
                lowest: hold(says.lowest),
                highest: hold(says.highest),
                step: says.step.map(|step| Watts::new(step).unwrap()),
                opted_out: out,
            }));
        }
    }

    fn power(&self) -> f64 {
        self.physics.lock().unwrap().power()
    }

    fn told(&self) -> bool {
        let set_point = self.hub.snapshot().set_point;
        set_point.is_some_and(|told| told.reading.value.wanted(self.hub.now()).is_some())
    }
}

async fn until(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The program, and the last line that it wrote.
fn start(config: &Path) -> (Ends, Arc<Mutex<serde_json::Value>>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(["aggregate", "-c"])
        .arg(config)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let last: Arc<Mutex<serde_json::Value>> = Arc::default();
    let kept = last.clone();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            *kept.lock().unwrap() = serde_json::from_str(&line).unwrap();
        }
    });
    (Ends(child), last)
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_homes_on_a_real_broker_follow_opt_out_and_are_paid() {
    let folder = tempfile::tempdir().unwrap();
    let (_broker, address) = mosquitto(folder.path());
    let port = address.port;
    let config = folder.path().join("aggregate.toml");
    // Intervals of six seconds: the books close while the test waits, and nobody rests for the next lot.
    let text = format!(
        "base = \"test/homes\"\nfolder = \"books\"\nevery_s = 1\npays_sats_per_kwh = 100000\n\
         [broker]\nhost = \"127.0.0.1\"\nport = {port}\n[set_point]\ntopic = \"test/wanted\"\n\
         [homes]\nsettle_s = 8\nstale_s = 10\nvalid_s = 30\ninterval_min = 0.1\ncontrol = 0.1\n\
         least_control = 20\nrest_hours = 0.001\n"
    );
    std::fs::write(&config, text).unwrap();
    let (program, last) = start(&config);
    let now = |path: &str| last.lock().unwrap().pointer(path).and_then(serde_json::Value::as_f64);

    let homes: Vec<Arc<Home>> = (0..HOMES).map(|at| Home::start(at, &address)).collect();
    let power = || homes.iter().map(|home| home.power()).sum::<f64>();
    until("all homes heard", 30, || {
        let (ready, control) = (now("/homes/ready"), now("/homes/control"));
        (ready.unwrap_or(0.0) + control.unwrap_or(0.0)) as usize == HOMES
    })
    .await;
    // They start at nothing and come up to what they draw alone.
    until("homes at what they draw alone", 30, || {
        let own = now("/own_w").unwrap_or(0.0);
        own > 20_000.0 && (power() - own).abs() < 0.05 * own
    })
    .await;

    let books = folder.path().join("books");
    let rows = |kind: &str| -> Vec<csv::StringRecord> {
        let file = std::fs::read_dir(&books).unwrap().find_map(|entry| {
            let path = entry.unwrap().path();
            path.file_name()?.to_str()?.starts_with(kind).then_some(path)
        });
        let Some(file) = file else { return Vec::new() };
        csv::Reader::from_path(file).unwrap().records().map_while(Result::ok).collect()
    };
    // What each draws alone is seen for a few intervals.
    let before = rows("intervals").len();
    until("three intervals alone", 30, || rows("intervals").len() >= before + 3).await;

    // The set-point comes over the broker as a utility would send it.
    let wanted = now("/own_w").unwrap() - 0.4 * now("/down_w/0").unwrap();
    let (utility, mut events) =
        rumqttc::AsyncClient::new(rumqttc::MqttOptions::new("utility", "127.0.0.1", port), 10);
    tokio::spawn(async move { while events.poll().await.is_ok() {} });
    let message = format!("{{\"sequence\":1,\"power_w\":{wanted},\"valid_s\":600}}");
    utility.publish("test/wanted", rumqttc::QoS::AtLeastOnce, false, message).await.unwrap();
    until("homes at what is wanted", 40, || (power() - wanted).abs() <= 0.03 * wanted).await;
    let told = homes.iter().filter(|home| home.told()).count();
    assert!(told >= 10, "{told} of {HOMES} were told");
    let control = now("/homes/control").unwrap() as usize;
    assert_eq!(control, 20);

    let leaver = homes.iter().find(|home| home.told()).unwrap();
    leaver.out.send_replace(true);
    until("an opt-out given back", 10, || !leaver.told()).await;
    until("the others taking over", 40, || {
        now("/homes/opted_out") == Some(1.0) && (power() - wanted).abs() <= 0.03 * wanted
    })
    .await;

    // Columns: start 0, delivered 5, paid 11 of an interval; start 0, part 2, delivered 5, paid 6 of a home.
    until("an interval that was paid", 60, || {
        rows("intervals").iter().any(|row| row[11].parse::<u64>().unwrap() > 0)
    })
    .await;
    let paid: Vec<csv::StringRecord> =
        rows("intervals").into_iter().filter(|row| row[11].parse::<u64>().unwrap() > 0).collect();
    let of_homes = rows("homes");
    let interval = &paid[0];
    let mine: Vec<_> = of_homes.iter().filter(|row| row[0] == interval[0]).collect();
    let sum =
        |at: usize| -> i64 { mine.iter().filter_map(|row| row[at].parse::<i64>().ok()).sum() };
    assert_eq!(mine.len(), HOMES);
    assert_eq!(sum(5), interval[5].parse::<i64>().unwrap(), "delivered, Wh");
    assert_eq!(sum(6), interval[11].parse::<i64>().unwrap(), "paid, sats");
    assert!(mine.iter().all(|row| &row[2] == "steered" || &row[6] == "0"));

    // What was paid is signed; a byte that somebody changes, leaves out or adds is found.
    drop(program);
    let verify = || verify(&books);
    let (accepted, text) = verify();
    assert!(accepted && text.contains("intervals are as signed"), "{text}");
    for entry in std::fs::read_dir(&books).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "csv") {
            continue;
        }
        let before = std::fs::read(&path).unwrap();
        for at in [0, 3, before.len() / 3, before.len() / 2, before.len() - 2, before.len() - 1] {
            let mut after = before.clone();
            after[at] ^= 1;
            std::fs::write(&path, &after).unwrap();
            let (accepted, text) = verify();
            assert!(!accepted && text.starts_with("rejected"), "byte {at} of {path:?}: {text}");
        }
        let last = before[..before.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
        for after in [&before[..=last], &[&before[..], &before[last + 1..]].concat()] {
            std::fs::write(&path, after).unwrap();
            assert!(!verify().0, "a row of {path:?} left out or twice");
        }
        std::fs::write(&path, before).unwrap();
    }
    assert!(verify().0);

    // Who was left alone still is, from the first report on: no interval must end first.
    let counted = |last: &Mutex<serde_json::Value>| {
        let last = last.lock().unwrap();
        let count = |of: &str| last["homes"][of].as_u64().unwrap_or(0);
        (count("control"), count("ready") + count("opted_out"))
    };
    let (program, last) = start(&config);
    let all = |(control, others): (u64, u64)| (control + others) as usize == HOMES;
    until("all homes heard again", 30, || all(counted(&last))).await;
    assert_eq!(counted(&last).0, 20);
    drop(program);
    // A memory that somebody changed is put aside, and learned anew.
    let state = books.join("account.state");
    let mut changed = std::fs::read(&state).unwrap();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    std::fs::write(&state, &changed).unwrap();
    let (_program, last) = start(&config);
    until("a start without a memory", 30, || last.lock().unwrap()["homes"].is_object()).await;
    assert_eq!(std::fs::read(books.join("account.state.unread")).unwrap(), changed);
    until("another memory", 30, || state.exists()).await;
}

/// What `hearth evidence verify` says of an aggregate's folder.
fn verify(books: &Path) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(["evidence", "verify", "--rows"])
        .args([books, &books.join("evidence")])
        .output()
        .unwrap();
    (done.status.success(), String::from_utf8(done.stdout).unwrap())
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|one| one == extension)).collect()
}

/// The kernel ends the program (SIGXFSZ) as it writes the first byte of a file beyond the limit: that is
/// the signature's, since the signed record grows faster than rows.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_killed_program_left_unsigned_are_signed_as_void_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (_broker, address) = mosquitto(folder.path());
    let config = folder.path().join("aggregate.toml");
    let text = format!(
        "base = \"test/homes\"\nfolder = \"books\"\nevery_s = 1\n\
         [broker]\nhost = \"127.0.0.1\"\nport = {}\n[homes]\ninterval_min = 0.05\ncontrol = 0.5\n\
         least_control = 1\nrest_hours = 0.001\n",
        address.port
    );
    std::fs::write(&config, text).unwrap();
    let _homes: Vec<Arc<Home>> = (0..3).map(|at| Home::start(at, &address)).collect();
    let start = |limit: &str| {
        let child = Command::new("sh")
            .arg("-c")
            .arg(format!("{limit} exec \"$0\" aggregate -c \"$1\" --power '1 kW'"))
            .arg(env!("CARGO_BIN_EXE_hearth"))
            .arg(&config)
            .stdout(Stdio::null())
            .spawn();
        Ends(child.unwrap())
    };
    // 4096 bytes; no core file.
    let mut program = start("ulimit -c 0; ulimit -f 8;");
    let mut ended = None;
    until("the end of the program", 60, || {
        ended = program.0.try_wait().unwrap();
        ended.is_some()
    })
    .await;
    assert_eq!(ended.unwrap().signal(), Some(rustix::process::Signal::XFSZ.as_raw()));

    let books = folder.path().join("books");
    let starts = |kind: &str| -> Vec<String> {
        let of_kind =
            |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(kind);
        let all = files(&books, "csv").into_iter().filter(of_kind);
        let mut starts: Vec<String> = all
            .flat_map(|path| csv::Reader::from_path(path).unwrap().into_records())
            .map(|row| row.unwrap()[0].to_owned())
            .collect();
        starts.sort();
        starts
    };
    let left = starts("intervals").pop().unwrap();
    assert_eq!(starts("homes").pop().as_ref(), Some(&left));
    let (accepted, text) = verify(&books);
    assert!(!accepted, "{text}");

    let program = start("");
    until("an interval after the crash", 60, || starts("intervals").pop().unwrap() > left).await;
    drop(program);
    // Killed again, at any moment; the next start makes it good again.
    for _ in 0..5 {
        if verify(&books).0 {
            break;
        }
        let program = start("");
        until("a start", 60, || verify(&books).0).await;
        drop(program);
    }

    let shown = Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(["evidence", "show", "--json"])
        .arg(books.join("evidence"))
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let record = shown.lines().find(|line| line.contains(&format!("\"start\":{left},"))).unwrap();
    let why = "\"quality\":\"void\",\"why\":\"the program ended before these rows were signed\"";
    assert!(record.contains(why), "{record}");

    for path in files(&books, "csv") {
        let before = std::fs::read(&path).unwrap();
        let text = String::from_utf8(before.clone()).unwrap();
        let at = text.find(&format!("\n{left},")).unwrap() + 1;
        let end = at + text[at..].find('\n').unwrap();
        for at in [at, (at + end) / 2, end - 1, end] {
            let mut after = before.clone();
            after[at] ^= 1;
            std::fs::write(&path, after).unwrap();
            let (accepted, text) = verify(&books);
            assert!(!accepted && text.starts_with("rejected"), "byte {at} of {path:?}: {text}");
        }
        std::fs::write(&path, before).unwrap();
    }
    assert!(verify(&books).0);
}
