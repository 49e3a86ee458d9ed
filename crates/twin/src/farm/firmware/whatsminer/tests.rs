use super::*;
use crate::farm::{Kind, Phase, firmware::bench::Bench};

fn bench() -> Bench {
    Bench::new(Kind::WhatsminerM30Spp)
}

fn ask(bench: &mut Bench, command: &str) -> Value {
    bench.line(&json!({ "command": command }).to_string())
}

/// As a client that knows only the password does it.
fn sealed(bench: &mut Bench, password: &str, name: &str, command: Value) -> Value {
    let told = ask(bench, "get_token")["Msg"].clone();
    let text = |key: &str| told[key].as_str().unwrap().to_owned();
    assert_eq!(text("time").len(), 4);
    let password = Password::new(password, &text("salt"));
    let sign = password.sign(&Token { time: text("time"), salt: text("newsalt") });
    let mut command = command;
    command["token"] = json!(sign);
    command[name] = command["do"].take();
    let data = password.seal(&command.to_string());
    let answer = bench.line(&json!({ "enc": 1, "data": data }).to_string());
    match answer["enc"].as_str() {
        Some(data) => password.open(data).unwrap(),
        None => answer,
    }
}

fn does(bench: &mut Bench, command: Value) -> Value {
    sealed(bench, "admin", "command", command)
}

#[test]
fn every_question_of_both_libraries_is_answered_alone_and_joined() {
    let mut bench = bench();
    for command in ["devdetails", "summary", "devs", "edevs", "pools"] {
        assert_eq!(ask(&mut bench, command)["STATUS"][0]["STATUS"], "S", "{command}");
    }
    for command in ["get_version", "status", "get_miner_info", "get_psu", "get_error_code"] {
        assert_eq!(ask(&mut bench, command)["STATUS"], "S", "{command}");
    }
    let joined = ask(&mut bench, "summary+devs+pools");
    assert_eq!(joined["devs"][0]["DEVS"].as_array().unwrap().len(), 3);
    assert_eq!(ask(&mut bench, "devdetails")["DEVDETAILS"][0]["Model"], "M30S++_VE40");
    assert_eq!(ask(&mut bench, "nothing")["STATUS"], "E");
    assert_eq!(bench.line("{oh")["STATUS"], "E");
}

#[test]
fn its_figures_are_the_machines() {
    let mut bench = bench();
    let out = bench.machine.output();
    let summary = ask(&mut bench, "summary")["SUMMARY"][0].clone();
    assert!((summary["Power"].as_f64().unwrap() - out.power.get()).abs() < 1.0);
    let ths = summary["MHS 1m"].as_f64().unwrap() / 1e6;
    assert!((ths / out.tried.terahashes_per_second() - 1.0).abs() < 1e-3);
    assert_eq!((&summary["Power Limit"], &summary["Power Mode"]), (&json!(3472), &json!("Normal")));
}

#[test]
fn a_command_comes_true_under_either_librarys_name_for_it() {
    let mut bench = bench();
    let off = json!({ "do": "power_off", "respbefore": "true" });
    assert_eq!(sealed(&mut bench, "admin", "cmd", off)["Msg"], "API command OK");
    assert_eq!(ask(&mut bench, "status")["Msg"]["mineroff"], "true");
    assert_eq!(bench.machine.output().phase, Phase::Paused);
    assert_eq!(does(&mut bench, json!({ "do": "power_on" }))["Code"], 131);
    assert_eq!(ask(&mut bench, "status")["Msg"]["mineroff"], "false");
}

#[test]
fn a_power_limit_is_what_the_machine_then_draws() {
    let mut bench = bench();
    let limit = json!({ "do": "adjust_power_limit", "power_limit": "3000" });
    assert_eq!(does(&mut bench, limit)["STATUS"], "S");
    assert_eq!(ask(&mut bench, "summary")["SUMMARY"][0]["Power Limit"], 3000);
    bench.wait(1200);
    assert!((bench.machine.output().power.get() / 3000.0 - 1.0).abs() < 0.01);
    for bad in [json!("9000"), json!(3000), json!("much")] {
        let refused = does(&mut bench, json!({ "do": "adjust_power_limit", "power_limit": bad }));
        assert_eq!(refused["STATUS"], "E");
    }
    does(&mut bench, json!({ "do": "set_low_power" }));
    assert_eq!(ask(&mut bench, "summary")["SUMMARY"][0]["Power Mode"], "Low");
    does(&mut bench, json!({ "do": "set_normal_power" }));
    assert_eq!(ask(&mut bench, "summary")["SUMMARY"][0]["Power Limit"], 3472);
}

#[test]
fn a_wrong_password_and_a_wrong_token_change_nothing() {
    let mut bench = bench();
    let off = json!({ "do": "power_off" });
    assert_eq!(sealed(&mut bench, "wrong", "command", off)["STATUS"], "E");
    let salt = ask(&mut bench, "get_token")["Msg"]["salt"].as_str().unwrap().to_owned();
    let password = Password::new("admin", &salt);
    let data = password.seal(r#"{"command":"power_off","token":"made up"}"#);
    let answer = bench.line(&json!({ "enc": 1, "data": data }).to_string());
    assert_eq!((&answer["Code"], &answer["STATUS"]), (&json!(135), &json!("E")));
    assert_eq!(does(&mut bench, json!({ "do": "dance" }))["STATUS"], "E");
    assert!(bench.machine.setting().mining);
}

#[test]
fn thirty_two_tokens_are_good_at_a_time() {
    let mut bench = bench();
    let told = ask(&mut bench, "get_token")["Msg"].clone();
    let text = |key: &str| told[key].as_str().unwrap().to_owned();
    let password = Password::new("admin", &text("salt"));
    let sign = password.sign(&Token { time: text("time"), salt: text("newsalt") });
    let line = json!({ "cmd": "set_led", "param": "auto", "token": sign }).to_string();
    let line = json!({ "enc": 1, "data": password.seal(&line) }).to_string();
    for _ in 0..31 {
        ask(&mut bench, "get_token");
    }
    assert!(bench.line(&line)["enc"].is_string());
    ask(&mut bench, "get_token");
    assert_eq!(bench.line(&line)["Code"], 135);
}

#[test]
fn the_api_is_opened_for_writing_in_two_lines_of_one_connection() {
    let mut bench = bench();
    let open = r#"{"command":"open_write_api","client":"x","enable":true}"#;
    let first = bench.ask(&Ask::Line(open.into()));
    let Answer::LineThenMore(text) = first else { panic!("{first:?}") };
    let told: Value = serde_json::from_str(&text).unwrap();
    assert!(told["Msg"]["newsalt"].is_string());
    assert_eq!(bench.line(r#"{"token":"abc"}"#)["Code"], 131);
}

#[test]
fn pools_are_replaced_whole_by_the_command_that_does_it() {
    let mut bench = bench();
    let pools = json!({ "do": "update_pools", "pool1": "stratum+tcp://a:1", "worker1": "w",
        "passwd1": "x", "pool2": "", "worker2": "", "passwd2": "", "pool3": "", "worker3": "",
        "passwd3": "" });
    assert_eq!(does(&mut bench, pools)["STATUS"], "S");
    assert_eq!(ask(&mut bench, "pools")["POOLS"].as_array().unwrap().len(), 1);
}
