//! Day plans as their user meets them: a file in; a table, a picture or a sentence out.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples")
}

fn plan(scenario: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hearth"))
        .arg("plan")
        .arg(scenario)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a changed copy of the home is refused with.
fn refusal(from: &str, to: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(examples().join("home.toml")).unwrap();
    assert!(text.contains(from), "{from}");
    let series = examples().join("home-series.csv");
    fs::copy(series, folder.path().join("home-series.csv")).unwrap();
    let scenario = folder.path().join("home.toml");
    fs::write(&scenario, text.replace(from, to)).unwrap();
    let output = plan(&scenario, &[]);
    assert_eq!(output.status.code(), Some(1), "{to}: {}", said(&output));
    assert!(output.stdout.is_empty());
    said(&output)
}

#[test]
fn the_examples_are_planned_with_a_reason_for_each_step() {
    for (name, steps) in [("home.toml", 96), ("farm.toml", 48)] {
        let output = plan(&examples().join(name), &["--json"]);
        assert!(output.status.success(), "{}", said(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = report["plan"].as_array().unwrap();
        assert_eq!(rows.len(), steps);
        assert!(rows.iter().all(|row| !row["why"].as_str().unwrap().is_empty()));
        let totals = &report["totals"][0];
        let (cost, bound) = (&totals["cost_usd"], &totals["bound_usd"]);
        assert!(bound.as_f64().unwrap() <= cost.as_f64().unwrap() + 1e-6, "{bound} {cost}");
    }
}

#[test]
fn a_plan_is_printed_as_text_as_csv_and_as_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("plan.svg");
    let output = plan(&examples().join("home.toml"), &["--svg", svg.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("miner, kW") && text.contains("house, °C"), "{text}");
    assert!(fs::read_to_string(svg).unwrap().contains("into battery"));

    let output = plan(&examples().join("home.toml"), &["--csv"]);
    let csv = String::from_utf8(output.stdout).unwrap();
    assert!(csv.starts_with("at,import_usd_per_kwh,import_kw,export_kw,pv_kw,miner_on,miner_kw"));
    assert_eq!(csv.lines().count(), 97);
}

#[test]
fn bad_input_is_refused_by_the_name_of_its_key() {
    let no_file = plan(Path::new("/nowhere.toml"), &[]);
    assert!(said(&no_file).contains("/nowhere.toml cannot be read"), "{}", said(&no_file));
    for (from, to, expected) in [
        ("import_limit_kw = 9", "import_limit_kw = -9", &["import_limit_kw", "power"][..]),
        ("import_limit_kw = 9", "import_limt_kw = 9", &["import_limt_kw", "unknown field"]),
        ("step_min = 15", "", &["missing field `step_min`"]),
        ("step_min = 15", "step_min = 0", &["a step lasts from a minute to an hour"]),
        ("low_c = 20", "low_c = [20, 20]", &["low_c of zone house has 2 values for 96 steps"]),
        ("low_c = 20", "low_c = 'warm'", &["low_c", "a number, a list of numbers, or { csv"]),
        (
            "column = \"pv_kw\"",
            "column = \"sun\"",
            &["pv_kw: ", "has no column sun; it has export"],
        ),
        ("column = \"pv_kw\"", "column = \"time\"", &["pv_kw: ", "\"00:00\" in row"]),
        ("heats = \"house\"", "heats = \"cellar\"", &["heats of class miner: there is no zone"]),
        ("hashrate_ths = 56", "hashrate = 56", &["hashrate", "unknown field"]),
        (", hashrate_ths = 56", "", &["level of class miner: give hashrate_ths, or usd_per_hour"]),
        ("charge_efficiency = 0.95", "charge_efficiency = 95", &["charge_efficiency"]),
        ("start = 2026-01-15T00:00:00Z", "start = 2026-01-15", &["start: give a date and a time"]),
        (
            "load_kw = { csv = \"home-series.csv\", column = \"load_kw\" }",
            "load_kw = 15",
            &["import limit"],
        ),
    ] {
        let said = refusal(from, to);
        assert!(expected.iter().all(|words| said.contains(words)), "{to}: {said}");
    }
}
