//! A site under a grid operator's call: machine and computing load give way and come back, the operator hears
//! what was drawn, and a call holds although both its links are cut. Then a dead-man and an aggregator over HTTP.

use super::site::{Farm, Hearth, say};
use api::Status;
use axum::{
    Router,
    routing::{get, post},
};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use twin::{
    energy::{Call, Meter, Shown, Vtn, VtnLogin, registers},
    node::{NodeOptions, PrivateNetwork, PrivateNode},
};
use units::{NetWatts, UnixTime, Watts};

const FIRST: &str = "127.0.92.1";
/// Everything else on the site, W.
const OTHERS: f64 = 300.0;
/// More than a machine that waits draws, W.
const IDLE: f64 = 200.0;
/// More than it draws at its lowest level: a machine that has just begun stays there for its least time.
const LOWEST: f64 = 1000.0;
/// What the computing load draws, W.
const COMPUTES: f64 = 800.0;

fn utc() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
}

fn drawn(status: &Status) -> f64 {
    let fleet = status.fleet.as_ref();
    fleet.into_iter().flat_map(|fleet| &fleet.devices).filter_map(|one| one.power_w).sum()
}

/// A service that starts and stops a computing job.
async fn service(runs: Arc<AtomicBool>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let set = |runs: &Arc<AtomicBool>, to: bool| {
        let runs = runs.clone();
        move || async move { runs.store(to, Ordering::Relaxed) }
    };
    let is = runs.clone();
    let router = Router::new()
        .route("/start", post(set(&runs, true)))
        .route("/stop", post(set(&runs, false)))
        .route("/running", get(move || async move { is.load(Ordering::Relaxed).to_string() }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

struct Site {
    hearth: Hearth,
    meter: Meter,
    runs: Arc<AtomicBool>,
}

impl Site {
    /// The meter shows what the emulated machines and the job draw.
    fn show(&self, status: &Status) {
        let job = if self.runs.load(Ordering::Relaxed) { COMPUTES } else { 0.0 };
        let third = NetWatts::new((OTHERS + drawn(status) + job) / 3.0).unwrap();
        self.meter.show(Shown { phases: [third; 3], ..Shown::default() });
    }

    fn until(&self, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
        self.hearth.until(what, |status| {
            self.show(status);
            is_so(status)
        })
    }

    fn until_works(&self, what: &str) -> Status {
        self.until(what, |status| self.runs.load(Ordering::Relaxed) && drawn(status) > 2000.0)
    }

    /// The job is off, and the machine draws no more than this.
    fn until_off(&self, what: &str, most: f64) -> Status {
        self.until(what, |status| !self.runs.load(Ordering::Relaxed) && drawn(status) < most)
    }

    /// Posts with this token; the first line of the answer.
    fn post(&self, path: &str, token: &str, body: &str) -> String {
        let web = self.hearth.web;
        let ask = format!(
            "POST {path} HTTP/1.0\r\nHost: {web}\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let answer = say(web, &ask).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    fn token(&self) -> String {
        let path = self.hearth.folder.path().join("hearth-data/signet/control.token");
        fs::read_to_string(path).unwrap().trim().to_owned()
    }
}

#[test]
fn a_site_gives_way_to_its_operator_reports_and_holds_a_call_whose_links_are_cut() {
    let node = PrivateNode::start(NodeOptions::new(PrivateNetwork::Signet)).unwrap();
    let machines = "[fleet]\nscan = [\"127.0.92.0/29\"]\nread_every = \"1s\"\n";
    let hearth = Hearth::start(&node, machines);
    let _farm = Farm::start(&hearth, FIRST, "luxos-s19kpro:1", "60");
    hearth.until("the machine", |status| drawn(status) > 2000.0);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let runs = Arc::new(AtomicBool::new(false));
    let any = "127.0.0.1:0".parse().unwrap();
    let login = VtnLogin { client_id: "ven".into(), client_secret: "secret".into() };
    let (job, meter, vtn) = runtime.block_on(async {
        let meter = Meter::start(any).await.unwrap();
        (service(runs.clone()).await, meter, Vtn::start(any, login).await.unwrap())
    });
    let power = format!(
        "{machines}[energy]\nenabled = true\nsite = \"farm\"\nprice = true\n\
         power_price = \"0.05 $/kWh\"\nimport_limit = \"20 kW\"\n\
         [energy.bitcoin]\nprice = 87500\n\
         [[energy.compute]]\nname = \"training\"\npower = \"{COMPUTES} W\"\nvalue = \"0.5 $/kWh\"\n\
         min_run = \"0s\"\nstart_url = \"{job}/start\"\nstop_url = \"{job}/stop\"\n\
         running_url = \"{job}/running\"\n\
         [[energy.modbus]]\nhost = \"127.0.0.1\"\nport = {}\n\
         [[energy.modbus.register]]\nsignal = \"net power\"\naddress = {}\ntype = \"i32\"\n",
        meter.address().port(),
        registers::NET,
    );
    let mut site = Site { hearth, meter, runs };
    site.hearth.configure(&format!(
        "{power}[energy.evidence]\nenabled = true\ninterval = \"10s\"\n\
         [[energy.openadr]]\nname = \"operator\"\nurl = \"http://{}/\"\nclient_id = \"ven\"\n\
         client_secret = \"secret\"\nven_name = \"farm\"\nevery = \"1s\"\n",
        vtn.address()
    ));
    site.until_works("the machine and the job at work");

    let call = Call {
        name: "peak".into(),
        priority: 0,
        start: utc(),
        length: Duration::from_secs(1200),
        randomize: Duration::ZERO,
        import_limit: Watts::new(500.0).unwrap(),
    };
    let event = vtn.call(&call, utc());
    let during = site.until_off("machine and job off", IDLE);
    assert_eq!(during.energy.unwrap().mode, "demand_response");
    site.until("what was drawn in a report", |_| {
        vtn.reports().iter().any(|report| report.to_string().contains("USAGE"))
    });

    let token = site.token();
    let path = |event: &str| format!("/api/v1/energy/events/{event}/opt-in");
    assert!(site.post(&path(&event), "guessed", "").contains("401"));
    assert!(site.post(&path("nobody"), &token, "").contains("404"));
    assert!(site.post(&path(&event), &token, "").contains("200"));

    // Both links at once, in the middle of the call.
    drop(vtn);
    site.meter.silence(true);
    site.until("both links lost", |status| {
        let warnings = status.energy.iter().flat_map(|energy| &energy.warnings);
        let said: String = warnings.map(String::as_str).collect();
        said.contains("the meter of net power is lost") && said.contains("operator")
    });
    let cut = Instant::now();
    while cut.elapsed() < Duration::from_secs(15) {
        let status = site.until("the status", |_| true);
        assert!(drawn(&status) < IDLE, "the call holds: {:?}", status.energy);
        assert!(!site.runs.load(Ordering::Relaxed));
    }

    // Another day, without an operator: a dead-man, and an aggregator over HTTP.
    site.meter.silence(false);
    site.hearth.configure(&power.replace("price = true", "price = true\ndead_man = \"30s\""));
    let token = site.token();
    let alive = |site: &Site| {
        assert!(site.post("/api/v1/energy/alive", &token, "").contains("200"));
    };
    assert!(site.post("/api/v1/energy/alive", "guessed", "").contains("401"));
    // Nobody is known to be alive.
    let dead = site.until_off("all off", IDLE);
    assert_eq!(dead.energy.unwrap().mode, "safety");
    alive(&site);
    site.until("work while somebody is alive", |status| {
        alive(&site);
        drawn(status) > 2000.0
    });
    let set = |power: f64, sequence: u64| {
        let body = format!("{{\"sequence\":{sequence},\"power_w\":{power},\"valid_s\":20}}");
        site.post("/api/v1/energy/set-point", &token, &body)
    };
    assert!(set(OTHERS, 1).contains("200"));
    assert!(set(OTHERS, 1).contains("400"), "a number twice");
    let told = site.until("the aggregator's word", |status| {
        alive(&site);
        drawn(status) < LOWEST
    });
    assert_eq!(told.energy.unwrap().mode, "aggregator");
    site.until("work after it expired", |status| {
        alive(&site);
        drawn(status) > 2000.0
    });
    site.until_off("all off, as nobody says anything any more", IDLE);
}
