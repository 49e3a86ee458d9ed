use super::*;
use crate::farm::{Kind, firmware::bench::Bench};

fn bench() -> Bench {
    Bench::new(Kind::LuxS19kPro)
}

fn mark(value: &Value) -> &str {
    value["STATUS"][0]["STATUS"].as_str().unwrap()
}

/// As both libraries open a session and use it.
fn privileged(bench: &mut Bench, command: &str, parameter: &str) -> Value {
    let open = bench.line(r#"{"command":"session"}"#);
    let mut sid = open["SESSION"][0]["SessionID"].as_str().unwrap().to_owned();
    if sid.is_empty() {
        let new = bench.line(r#"{"command":"logon"}"#);
        sid = new["SESSION"][0]["SessionID"].as_str().unwrap().to_owned();
    }
    let rest = if parameter.is_empty() { String::new() } else { format!(",{parameter}") };
    bench.line(&json!({ "command": command, "parameter": format!("{sid}{rest}") }).to_string())
}

#[test]
fn every_question_of_both_libraries_is_answered_alone_and_joined() {
    let mut bench = bench();
    for command in [
        "version",
        "config",
        "summary",
        "stats",
        "power",
        "temps",
        "fans",
        "devs",
        "pools",
        "groups",
        "tempctrl",
        "events",
        "limits",
        "profiles",
        "atm",
        "session",
        "devdetails",
    ] {
        let alone = bench.line(&json!({ "command": command }).to_string());
        assert_eq!(mark(&alone), "S", "{command}");
    }
    let joined = bench.line(r#"{"command": "config+profiles+power+fans+stats+version"}"#);
    assert_eq!(joined["config"][0]["CONFIG"][0]["Profile"], "default");
    assert_eq!(joined["profiles"][0]["PROFILES"].as_array().unwrap().len(), 25);
    let volts = bench.line("{\"command\":\"voltageget\",\"parameter\":\"2\"}\n");
    assert_eq!(volts["VOLTAGE"][0], json!({ "Board": 2, "Voltage": 13.5 }));
    assert_eq!(mark(&bench.line(r#"{"command":"nothing"}"#)), "E");
    assert_eq!(mark(&bench.line("{not json}")), "E");
}

#[test]
fn its_figures_are_the_machines() {
    let mut bench = bench();
    let out = bench.machine.output();
    let ghs = bench.line(r#"{"command":"summary"}"#)["SUMMARY"][0]["GHS 5s"].as_f64().unwrap();
    assert!((ghs / 1e3 / out.good.terahashes_per_second() - 1.0).abs() < 1e-3);
    let watts = bench.line(r#"{"command":"power"}"#)["POWER"][0]["Watts"].as_f64().unwrap();
    assert!((watts - out.power.get()).abs() < 1.0);
}

#[test]
fn the_ladder_is_the_recorded_one() {
    let ladder = profiles(&Spec::of(Kind::LuxS19kPro));
    for (row, name, ths, watts) in
        [(0, "190MHz", 39.2, 784), (6, "340MHz", 70.2, 1414), (16, "default", 121.8, 2793)]
    {
        let row = &ladder[row];
        assert_eq!(row["Profile Name"], name);
        assert!((row["Hashrate"].as_f64().unwrap() - ths).abs() < 0.11, "{row}");
        assert!(row["Watts"].as_i64().unwrap().abs_diff(watts) < 3, "{row}");
    }
}

#[test]
fn a_profile_and_a_sleep_are_the_machines_and_saying_it_twice_is_an_error() {
    let mut bench = bench();
    let set = privileged(&mut bench, "profileset", "340MHz");
    assert_eq!(set["PROFILE"][0]["Profile"], "340MHz");
    assert_eq!(bench.machine.setting().clock.get(), 340.0);
    assert_eq!(mark(&privileged(&mut bench, "profileset", "9000MHz")), "E");
    assert_eq!(mark(&privileged(&mut bench, "curtail", "wakeup")), "E");
    assert_eq!(mark(&privileged(&mut bench, "curtail", "sleep")), "S");
    assert_eq!(mark(&privileged(&mut bench, "curtail", "sleep")), "E");
    bench.wait(5);
    let config = bench.line(r#"{"command":"config"}"#);
    assert_eq!(config["CONFIG"][0]["CurtailMode"], "Sleep");
    assert_eq!(bench.machine.output().power.get(), 25.0);
    assert_eq!(mark(&privileged(&mut bench, "curtail", "wakeup")), "S");
    assert_eq!(bench.machine.setting().clock.get(), 340.0);
}

#[test]
fn one_session_at_a_time_and_none_without_its_number() {
    let mut bench = bench();
    assert_eq!(mark(&bench.line(r#"{"command":"curtail","parameter":"abcd,sleep"}"#)), "E");
    assert_eq!(mark(&bench.line(r#"{"command":"logon"}"#)), "S");
    assert_eq!(mark(&bench.line(r#"{"command":"logon"}"#)), "E");
    assert_eq!(mark(&privileged(&mut bench, "logoff", "")), "S");
    assert_eq!(mark(&bench.line(r#"{"command":"logon"}"#)), "S");
    bench.wait(IDLE.as_secs() + 10);
    assert_eq!(mark(&bench.line(r#"{"command":"logon"}"#)), "S");
}

#[test]
fn lights_fans_thermal_management_and_reboots() {
    let mut bench = bench();
    assert_eq!(mark(&privileged(&mut bench, "ledset", "red,blink")), "S");
    assert_eq!(mark(&privileged(&mut bench, "atmset", "enabled=false")), "S");
    assert_eq!(mark(&privileged(&mut bench, "fanset", "speed=40")), "S");
    let config = &bench.line(r#"{"command":"config"}"#)["CONFIG"][0];
    assert_eq!((&config["RedLed"], &config["IsAtmEnabled"]), (&json!("blink"), &json!(false)));
    assert_eq!(bench.machine.setting().fan.get(), 0.4);
    assert_eq!(mark(&privileged(&mut bench, "rebootdevice", "")), "S");
    assert_eq!(bench.line(r#"{"command":"session"}"#)["SESSION"][0]["SessionID"], "");
}

#[test]
fn each_board_has_a_clock_of_its_own_until_a_profile_is_set_or_it_restarts() {
    let mut bench = bench();
    bench.machine.silicon([20.0, 90.0, 140.0]);
    assert_eq!(mark(&bench.line(r#"{"command":"frequencyset","parameter":"none,0,540"}"#)), "E");
    let told = privileged(&mut bench, "frequencyset", "0,540");
    assert_eq!(
        (&told["RAMP"][0]["Board"], &told["RAMP"][0]["Frequency"]),
        (&json!(0), &json!(540.0))
    );
    for wrong in ["3,540", "0,9000", "0", "0,540,7"] {
        assert_eq!(mark(&privileged(&mut bench, "frequencyset", wrong)), "E", "{wrong}");
    }
    let stats = bench.line(r#"{"command":"stats"}"#);
    let row = &stats["STATS"][1];
    assert_eq!((row["freq1"].as_f64(), row["freq2"].as_f64()), (Some(540.0), Some(590.0)));
    let of = |bench: &mut Bench, n: usize, name: &str| {
        bench.line(r#"{"command":"devs"}"#)["DEVS"][n][name].as_f64().unwrap()
    };
    let wrong = of(&mut bench, 0, "Hardware Error MHS 15m");
    privileged(&mut bench, "profileset", "default");
    assert_eq!(bench.machine.setting().trim, [0; 3]);
    bench.wait(600);
    assert!(of(&mut bench, 0, "Hardware Error MHS 15m") > 10.0 * wrong.max(1.0));
    assert!(of(&mut bench, 0, "MHS 5m") < 0.9 * of(&mut bench, 2, "MHS 5m"));
    privileged(&mut bench, "frequencyset", "1,600");
    privileged(&mut bench, "rebootdevice", "");
    assert_eq!(bench.machine.setting().trim, [0; 3]);
    bench.wait(120);
    privileged(&mut bench, "curtail", "sleep");
    assert_eq!(mark(&privileged(&mut bench, "frequencyset", "0,540")), "E");
}
