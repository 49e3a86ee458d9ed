//! The VEN against two operators: the emulated one, and a real openleadr-vtn with PostgreSQL, which
//! `cargo xtask vtn` brings and then runs the ignored test here.
#![cfg(feature = "openadr")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

use hearth_grid::{
    Hub, Quality,
    event::Ask,
    openadr::{Config, Report, State, Ven},
};
use openleadr_client::{BusinessLogic, Client, ClientCredentials, Filter};
use openleadr_wire::{
    event::{EventInterval, EventRequest, EventType, EventValuesMap, Priority},
    interval::IntervalPeriod,
    program::ProgramRequest,
    report::{ReportDescriptor, ReportType},
    values_map::Value,
};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;
use twin::energy::{Call, Vtn, VtnLogin};
use units::{UnixTime, WattHours, Watts};

fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

fn config(url: &str, secret: &str) -> Config {
    Config {
        name: "operator".into(),
        url: url.into(),
        token_url: None,
        client_id: "home".into(),
        client_secret: secret.into(),
        ven_name: "hearth home".into(),
        programs: Vec::new(),
        every: Duration::from_secs(1),
        usd_per_unit: 1.0,
        quality: Quality::Measured,
    }
}

async fn until(hub: &Hub, what: &str, mut holds: impl FnMut(&Hub) -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds(hub) {
        assert!(Instant::now() < end, "{what}: {:?} {:?}", hub.snapshot().events, hub.health());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn limit_now(hub: &Hub) -> Option<Watts> {
    let events = hub.snapshot().events.into_values().next()?.reading.value;
    events.at(now()).into_iter().find_map(|(ask, _)| match ask {
        Ask::ImportLimit(limit) => Some(*limit),
        _ => None,
    })
}

fn report(event: &Arc<str>) -> Report {
    Report {
        event: event.clone(),
        start: now(),
        length: Duration::from_secs(300),
        demand: Some(Watts::new(1200.0).unwrap()),
        usage: Some(WattHours::new(100.0).unwrap()),
        state: State::Curtailed,
    }
}

#[tokio::test]
async fn the_emulated_operator_calls_is_reported_to_and_takes_its_call_back() {
    let login = VtnLogin { client_id: "home".into(), client_secret: "s3cret".into() };
    let vtn = Vtn::start(([127, 0, 0, 1], 0).into(), login).await.unwrap();
    let url = format!("http://{}/", vtn.address());
    let hub = Hub::new(Instant::now());
    let ven = Ven::default();
    let config = config(&url, "s3cret");
    config.validate().unwrap();
    tokio::spawn(ven.clone().run(hub.clone(), config));
    until(&hub, "an empty list", |hub| !hub.snapshot().events.is_empty()).await;
    assert_eq!(vtn.vens(), ["hearth home"]);
    let call = Call {
        name: "evening".into(),
        priority: 1,
        start: now(),
        length: Duration::from_secs(600),
        randomize: Duration::ZERO,
        import_limit: Watts::new(250e3).unwrap(),
    };
    let id: Arc<str> = vtn.call(&call, now()).into();
    until(&hub, "the call", |hub| limit_now(hub).is_some()).await;
    assert_eq!(limit_now(&hub).unwrap().get(), 250e3);
    ven.report(report(&id));
    ven.opt_out(&id, now());
    until(&hub, "the opt-out", |hub| limit_now(hub).is_none()).await;
    until(&hub, "both reports", |_| vtn.reports().len() == 2).await;
    let payloads =
        |index: usize| vtn.reports()[index]["resources"][0]["intervals"][0]["payloads"].to_string();
    assert!(payloads(0).contains("RUNNING_CURTAILED") && payloads(0).contains("USAGE"));
    assert!(payloads(1).contains("RUNNING_OPTED_OUT"));
    vtn.withdraw(&id);
    until(&hub, "the end", |hub| {
        hub.snapshot().events.values().any(|events| events.reading.value.0.is_empty())
    })
    .await;
}

#[tokio::test]
async fn a_wrong_secret_is_said_in_a_sentence() {
    let login = VtnLogin { client_id: "home".into(), client_secret: "s3cret".into() };
    let vtn = Vtn::start(([127, 0, 0, 1], 0).into(), login).await.unwrap();
    let hub = Hub::new(Instant::now());
    let url = format!("http://{}/", vtn.address());
    tokio::spawn(Ven::default().run(hub.clone(), config(&url, "wrong")));
    until(&hub, "a failure", |hub| !hub.health().is_empty()).await;
    let link = format!("{:?}", hub.health()["operator"].link);
    assert!(link.contains("check client id and secret"), "{link}");
}

/// A database and the VTN on it; both end with the test.
struct Real {
    children: Vec<Child>,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Real {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            // PostgreSQL leaves shared memory behind when it is killed.
            let id = child.id().to_string();
            Command::new("kill").args(["-INT", &id]).status().ok();
            child.wait().ok();
        }
    }
}

/// The operator's own account and ours; the secrets are `operator` and `home` (Argon2).
const ACCOUNTS: &str = r#"
INSERT INTO "user" (id, reference, description, scopes, created, modified) VALUES
 ('operator', 'operator', null, '{"read_all","write_vens_bl","write_programs","write_events"}', now(), now()),
 ('home', 'home', null, '{"read_targets","read_ven_objects","write_reports_ven","write_vens_ven"}', now(), now());
INSERT INTO user_credentials (user_id, client_id, client_secret) VALUES
 ('operator', 'operator', '$argon2id$v=19$m=64,t=1,p=1$l27DL9f6uJFaE2+E7lKzJg$KAl6LLwTo5XscJJ8bYAddyN6gBZa6qlU9ioRUz2VCxI'),
 ('home', 'home', '$argon2id$v=19$m=64,t=1,p=1$VF6woDj3uI+uFpNCXNjkeA$490NTFErPM0KmH3QqYVBlQKAgnDiv4MORMjA9+5VUJU');
"#;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start_real() -> Real {
    let vtn = PathBuf::from(std::env::var("OPENLEADR_VTN").expect("run `cargo xtask vtn`"));
    let postgres = PathBuf::from(std::env::var("POSTGRES_BIN").expect("run `cargo xtask vtn`"));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let root = Path::new("/proc/self")
        .metadata()
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    // PostgreSQL refuses to run as root; Debian's package makes a user for it.
    let as_postgres = |program: &str| {
        let program = postgres.join(program);
        if root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        }
    };
    if root {
        let chown = Command::new("chown").arg("postgres").arg(folder.path()).status();
        assert!(chown.unwrap().success());
    }
    let mut init = as_postgres("initdb");
    init.args(["--auth=trust", "--username=vtn", "--no-sync", "-D"]).arg(&data);
    assert!(init.current_dir("/tmp").stdout(Stdio::null()).status().unwrap().success());
    let (database, port) = (free_port(), free_port());
    let mut server = as_postgres("postgres");
    server.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-F", "-p", &database.to_string()]);
    server.arg("-k").arg(folder.path()).current_dir("/tmp").stderr(Stdio::null());
    let mut real = Real {
        children: vec![server.spawn().unwrap()],
        url: format!("http://127.0.0.1:{port}/"),
        _folder: folder,
    };
    wait_for(database);
    let database = format!("postgres://vtn@127.0.0.1:{database}/postgres");
    // It migrates before it answers, so the accounts can go in once its port does.
    let child = Command::new(vtn)
        .env("DATABASE_URL", &database)
        .env("OAUTH_TYPE", "INTERNAL")
        .env("OAUTH_BASE64_SECRET", "bm90IGEgc2VjcmV0OiBvbmx5IGZvciBvbmUgdGVzdCBvbiBsb29wYmFjaw==")
        .env("OAUTH_TOKEN_URL", format!("{}auth/token", real.url))
        .env("PORT", port.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    real.children.push(child);
    wait_for(port);
    let accounts = |_| {
        let mut psql = Command::new(postgres.join("psql"));
        psql.args([&database, "-v", "ON_ERROR_STOP=1", "-q", "-1", "-c", ACCOUNTS]);
        let done = psql.stderr(Stdio::null()).status().unwrap().success();
        if !done {
            std::thread::sleep(Duration::from_millis(200));
        }
        done
    };
    assert!((0..50).any(accounts), "the accounts could not be entered");
    real
}

fn wait_for(port: u16) {
    let reached = |_| {
        let reached = std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        if !reached {
            std::thread::sleep(Duration::from_millis(100));
        }
        reached
    };
    assert!((0..300).any(reached), "nobody listens on port {port}");
}

fn limit(kilowatts: f64, start: UnixTime, priority: u32, program: &EventRequest) -> EventRequest {
    let start = chrono::DateTime::from_timestamp(start.0 as i64, 0).unwrap();
    let period =
        IntervalPeriod { duration: Some("PT10M".parse().unwrap()), ..IntervalPeriod::new(start) };
    let payload = EventValuesMap {
        value_type: EventType::ImportCapacityLimit,
        values: vec![Value::Number(kilowatts)],
    };
    EventRequest::new(program.program_id.clone())
        .with_priority(Priority::new(priority))
        .with_interval_period(period)
        .with_report_descriptors(vec![ReportDescriptor::new(ReportType::Usage)])
        .with_intervals(vec![EventInterval::new(0, vec![payload])])
}

#[tokio::test]
#[ignore = "needs openleadr-vtn and PostgreSQL: run `cargo xtask vtn`"]
async fn a_real_vtn_calls_hears_our_reports_and_sees_us_opt_out() {
    let real = start_real();
    let credentials = ClientCredentials::new("operator".into(), "operator".into());
    let url = real.url.parse().unwrap();
    let operator = Client::<BusinessLogic>::with_url(url, Some(credentials));
    let program = operator.create_program(ProgramRequest::new("curtailment")).await.unwrap();

    let hub = Hub::new(Instant::now());
    let ven = Ven::default();
    tokio::spawn(ven.clone().run(hub.clone(), config(&real.url, "home")));
    until(&hub, "an empty list", |hub| !hub.snapshot().events.is_empty()).await;
    assert!(operator.get_ven_by_name("hearth home").await.is_ok(), "it registered");

    let empty = program.new_event(Vec::new());
    let relaxed = program.create_event(limit(500.0, now(), 5, &empty)).await.unwrap();
    until(&hub, "the call", |hub| limit_now(hub).is_some_and(|w| w.get() == 500e3)).await;
    let urgent = program.create_event(limit(250.0, now(), 0, &empty)).await.unwrap();
    until(&hub, "the urgent call", |hub| limit_now(hub).is_some_and(|w| w.get() == 250e3)).await;
    assert!(
        hub.snapshot().events.values().all(|told| told
            .reading
            .value
            .0
            .iter()
            .all(|e| e.wants_reports))
    );

    let id: Arc<str> = urgent.id().as_str().into();
    ven.report(report(&id));
    ven.opt_out(&id, now());
    until(&hub, "the opt-out", |hub| limit_now(hub).is_some_and(|w| w.get() == 500e3)).await;
    let mut reports = Vec::new();
    for _ in 0..100 {
        reports = urgent.get_report_list(None).await.unwrap();
        if reports.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let said: Vec<String> =
        reports.iter().map(|r| serde_json::to_string(r.content()).unwrap()).collect();
    assert!(said.iter().any(|text| text.contains("RUNNING_OPTED_OUT")), "{said:?}");
    assert!(said.iter().any(|text| text.contains("USAGE") && text.contains("0.1")), "{said:?}");

    urgent.delete().await.ok();
    relaxed.delete().await.unwrap();
    until(&hub, "the end", |hub| limit_now(hub).is_none()).await;
    // What the VTN refuses is not sent for ever.
    ven.report(report(&"gone".into()));
    until(&hub, "a refusal", |hub| hub.health()["operator"].refused > 0).await;
    assert!(operator.get_program_list(Filter::none()).await.is_ok());
}
