use super::*;
use crate::farm::{Kind, firmware::bench::Bench};

struct Signed(Bench, String);

impl Signed {
    fn new() -> Self {
        let mut bench = Bench::new(Kind::BraiinsS21Pro);
        let login = r#"{"password":"root","username":"root"}"#;
        let (status, body) = bench.http("POST", "/api/v1/auth/login", login);
        assert_eq!(status, 200);
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["timeout_s"], 3600);
        Self(bench, answer["token"].as_str().unwrap().to_owned())
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let path = format!("/api/v1/{path}");
        match self.0.signed(method, &path, &self.1, body) {
            Answer::Http { status, body, .. } => {
                (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
            }
            other => panic!("{other:?}"),
        }
    }

    fn get(&mut self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, "");
        assert_eq!(status, 200, "{path}");
        value
    }
}

#[test]
fn every_path_that_a_client_reads_tells_what_the_machine_does() {
    let mut signed = Signed::new();
    for path in [
        "network",
        "version",
        "miner/details",
        "miner/stats",
        "miner/hw/hashboards",
        "performance/tuner-state",
        "cooling/state",
        "configuration/miner",
        "configuration/constraints",
        "pools",
        "actions/locate",
        "miner/errors",
    ] {
        signed.get(path);
    }
    let out = signed.0.machine.output();
    let stats = signed.get("miner/stats");
    let watts = &stats["power_stats"]["approximated_consumption"]["watt"];
    assert!((watts.as_u64().unwrap() as f64 - out.power.get()).abs() < 1.0);
    let ghs = &stats["miner_stats"]["real_hashrate"]["last_5s"]["gigahash_per_second"];
    assert!((ghs.as_f64().unwrap() / out.good.hashes_per_second() * 1e9 - 1.0).abs() < 1e-3);
    assert_eq!(signed.get("miner/details")["status"], 2);
    assert_eq!(signed.ask("GET", "nothing", "").0, 404);
}

#[test]
fn nothing_is_said_or_done_without_a_good_token() {
    let mut signed = Signed::new();
    assert_eq!(signed.0.http("GET", "/api/v1/miner/stats", "").0, 401);
    let bearer = format!("Bearer {}", signed.1);
    let answer = signed.0.signed("PUT", "/api/v1/actions/pause", &bearer, "");
    assert!(matches!(answer, Answer::Http { status: 401, .. }));
    let wrong = r#"{"password":"admin","username":"root"}"#;
    assert_eq!(signed.0.http("POST", "/api/v1/auth/login", wrong).0, 401);
    signed.0.wait(3700);
    assert_eq!(signed.ask("GET", "network", "").0, 401);
    assert!(signed.0.machine.setting().mining);
}

#[test]
fn a_power_target_is_what_the_machine_then_draws_and_one_out_of_range_is_refused() {
    let mut signed = Signed::new();
    assert_eq!(signed.ask("PUT", "performance/power-target", r#"{"watt":2500}"#).0, 200);
    let state = signed.get("performance/tuner-state");
    assert_eq!(state["mode_state"]["powertargetmodestate"]["current_target"]["watt"], 2500);
    signed.0.wait(1200);
    assert!((signed.0.machine.output().power.get() / 2500.0 - 1.0).abs() < 0.01);
    let (status, body) = signed.ask("PUT", "performance/power-target", r#"{"watt":100}"#);
    assert!(status == 400 && body["message"].as_str().unwrap().contains("not within"));
    assert_eq!(signed.ask("PUT", "performance/power-target", "{}").0, 400);
}

#[test]
fn a_pause_and_a_resume_show_in_the_status_and_a_cold_start_draws_what_it_draws() {
    let mut signed = Signed::new();
    assert_eq!(signed.ask("PUT", "actions/pause", "").0, 200);
    assert_eq!(signed.get("miner/details")["status"], 3);
    signed.0.wait(10);
    assert_eq!(signed.ask("PUT", "actions/resume", "").0, 200);
    assert_eq!(signed.get("miner/details")["status"], 2);
    signed.0.wait(30);
    let cold = signed.0.machine.output();
    assert!((800.0..=1000.0).contains(&cold.power.get()) && cold.tried.hashes_per_second() == 0.0);
    signed.0.wait(1200);
    assert!(signed.0.machine.output().power.get() > 3300.0);
}

#[test]
fn the_queries_of_one_library_are_answered_and_others_are_errors() {
    let mut bench = Bench::new(Kind::BraiinsS21Pro);
    let mut ask = |query: &str| -> Value {
        let body = json!({ "query": query }).to_string();
        serde_json::from_str(&bench.http("POST", "/graphql", &body).1).unwrap()
    };
    let model = ask("{ bosminer { info { modelName } } }");
    assert_eq!(model["data"]["bosminer"]["info"]["modelName"], MODEL);
    let version = ask("{ bos { info { version { full } } } }");
    assert!(version["data"]["bos"]["info"]["version"]["full"].as_str().unwrap().contains("26.04"));
    let appeals = ask("{\n events { appeals { id kind message timestamp } } }");
    assert_eq!(appeals["data"]["events"]["appeals"], json!([]));
    assert!(ask("{ other }")["errors"].is_array());
}

#[test]
fn the_line_api_answers_alone_and_joined() {
    let mut bench = Bench::new(Kind::BraiinsS21Pro);
    let joined = bench.line(r#"{"command": "summary+devs+tunerstatus+version"}"#);
    assert!(joined["devs"][0]["DEVS"][0]["MHS 5s"].as_f64().unwrap() > 0.0);
    assert_eq!(joined["version"][0]["VERSION"][0]["API"], "3.7");
    let model = bench.line(r#"{"command":"devdetails"}"#);
    assert_eq!(model["DEVDETAILS"][0]["Model"], MODEL);
    assert_eq!(bench.line(r#"{"command":"x"}"#)["STATUS"][0]["STATUS"], "E");
}
