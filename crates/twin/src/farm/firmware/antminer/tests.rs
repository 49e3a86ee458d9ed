use super::*;
use crate::farm::{
    Kind, Phase,
    firmware::{bench::Bench, digest},
};

fn bench() -> Bench {
    Bench::new(Kind::AntminerS21)
}

fn known(bench: &mut Bench, method: &str, page: &str, body: &str) -> (u16, Value) {
    let path = format!("/cgi-bin/{page}.cgi");
    let refusal = bench.signed(method, &path, "", body);
    let sign = digest::sign(&refusal, "root", method, &path);
    match bench.signed(method, &path, &sign, body) {
        Answer::Http { status, body, .. } => {
            (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
        }
        other => panic!("{other:?}"),
    }
}

fn read(bench: &mut Bench, page: &str) -> Value {
    let (status, value) = known(bench, "GET", page, "");
    assert_eq!(status, 200, "{page}");
    value
}

#[test]
fn nothing_is_said_without_the_right_password() {
    let mut bench = bench();
    for path in ["/", "/cgi-bin/stats.cgi", "/kaonsu/v1/brief"] {
        let refusal = bench.signed("GET", path, "", "");
        let Answer::Http { status: 401, headers, .. } = &refusal else { panic!("{refusal:?}") };
        assert!(headers[0].1.contains("realm=\"antMiner Configuration\""));
        let wrong = digest::sign(&refusal, "admin", "GET", path);
        let again = bench.signed("GET", path, &wrong, "");
        assert!(matches!(again, Answer::Http { status: 401, .. }), "{path}");
    }
    let refusal = bench.signed("GET", "/", "", "");
    let sign = digest::sign(&refusal, "root", "GET", "/");
    let posted = bench.signed("POST", "/", &sign, "");
    assert!(matches!(posted, Answer::Http { status: 401, .. }));
    assert!(matches!(bench.signed("GET", "/", &sign, ""), Answer::Http { status: 200, .. }));
    bench.wait(301);
    assert!(matches!(bench.signed("GET", "/", &sign, ""), Answer::Http { status: 401, .. }));
}

#[test]
fn every_page_of_both_libraries_is_there_and_others_are_not() {
    let mut bench = bench();
    assert_eq!(read(&mut bench, "miner_type")["miner_type"], MODEL);
    assert_eq!(read(&mut bench, "get_system_info")["minertype"], MODEL);
    assert!(read(&mut bench, "get_network_info")["macaddr"].is_string());
    assert_eq!(read(&mut bench, "summary")["INFO"]["CompileTime"], COMPILED);
    assert_eq!(read(&mut bench, "get_blink_status")["blink"], false);
    assert_eq!(read(&mut bench, "stats")["STATS"][0]["chain"].as_array().unwrap().len(), 3);
    assert_eq!(known(&mut bench, "GET", "nothing", "").0, 404);
    assert_eq!(known(&mut bench, "POST", "blink", r#"{"blink":"true"}"#).1["code"], "B000");
    assert_eq!(read(&mut bench, "get_blink_status")["blink"], true);
}

#[test]
fn the_line_api_answers_alone_but_not_joined() {
    let mut bench = bench();
    let ths = bench.machine.output().tried.terahashes_per_second();
    let summary = bench.line("{\"command\":\"summary\"}\n");
    assert!((summary["SUMMARY"][0]["GHS 5s"].as_f64().unwrap() / 1e3 / ths - 1.0).abs() < 1e-3);
    let stats = bench.line(r#"{"command":"stats"}"#);
    let power = stats["STATS"][1]["chain_power"].as_str().unwrap();
    let watts: f64 = power.trim_end_matches(" W").parse().unwrap();
    assert!((watts - bench.machine.output().power.get()).abs() < 1.0);
    let modern = bench.line(r#"{"command":"stats","new_api":true}"#);
    assert!(modern["STATS"][0]["chain"].is_array());
    assert_eq!(bench.line(r#"{"command":"version"}"#)["VERSION"][0]["Type"], MODEL);
    assert_eq!(bench.line(r#"{"command":"summary+stats"}"#)["STATUS"][0]["STATUS"], "E");
}

#[test]
fn modes_are_taken_as_number_and_as_text_and_the_page_takes_its_time() {
    let mut bench = bench();
    for (body, mode, mining, clock) in [
        (r#"{"miner-mode": 1}"#, "1", false, 590.0),
        (r#"{"miner-mode": 0, "bitmain-work-mode": 0}"#, "0", true, 590.0),
        (r#"{"bitmain-work-mode": "3"}"#, "3", true, 442.5),
        (r#"{"miner-mode": "2"}"#, "2", true, 649.0),
    ] {
        let (_, said) = known(&mut bench, "POST", "set_miner_conf", body);
        assert_eq!((&said["code"], bench.delay), (&json!("M000"), SLOW), "{body}");
        let setting = bench.machine.setting();
        assert_eq!(setting.mining, mining, "{body}");
        assert!((setting.clock.get() - clock).abs() < 0.001, "{body}");
        assert_eq!(read(&mut bench, "get_miner_conf")["bitmain-work-mode"], mode);
    }
    let (_, said) = known(&mut bench, "POST", "set_miner_conf", r#"{"miner-mode": 7}"#);
    assert_eq!(said["code"], "M001");
    let (_, said) = known(&mut bench, "POST", "set_miner_conf", "[]");
    assert_eq!(said["code"], "M001");
}

#[test]
fn asleep_it_draws_what_it_draws_asleep() {
    let mut bench = bench();
    known(&mut bench, "POST", "set_miner_conf", r#"{"miner-mode": 1}"#);
    bench.wait(2);
    let out = bench.machine.output();
    assert_eq!((out.phase, out.power.get()), (Phase::Paused, 40.0));
}

#[test]
fn only_pool_slots_that_are_sent_are_replaced_and_what_is_read_can_be_sent_back() {
    let mut bench = bench();
    let before = read(&mut bench, "get_miner_conf");
    known(&mut bench, "POST", "set_miner_conf", &before.to_string());
    assert_eq!(read(&mut bench, "get_miner_conf"), before);
    let one = r#"{"pools":[{"url":"stratum+tcp://a:1","user":"u","pass":"p"}]}"#;
    known(&mut bench, "POST", "set_miner_conf", one);
    let after = read(&mut bench, "get_miner_conf");
    assert_eq!(after["pools"][0]["url"], "stratum+tcp://a:1");
    assert_eq!(after["pools"][1], before["pools"][1]);
    let blank = json!({ "url": "", "user": "", "pass": "" });
    let none = json!({ "pools": [before["pools"][0], blank, blank] });
    known(&mut bench, "POST", "set_miner_conf", &none.to_string());
    assert_eq!(bench.firmware.pools().len(), 1);
}
