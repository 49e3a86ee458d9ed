//! Quotes as their user meets them: sentences, sources, and the own node's figures.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};
use twin::node::{NodeOptions, PrivateNetwork, PrivateNode};

const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

fn hearth(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = hearth(Path::new("."), &[arguments, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let output = hearth(folder, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn every_quote_answers_from_its_defaults_and_names_the_source_of_each_input() {
    for question in [
        &["quote", "solo", "--hashrate", "1.2TH"][..],
        &["quote", "heat"],
        &["quote", "reuse"],
        &["quote", "ai"],
        &["quote", "dr"],
        &["quote", "surplus"],
        &["quote", "nuclear"],
        &["quote", "scale"],
        &["quote", "machine"],
        &["catalogue"],
    ] {
        let report = json(question);
        assert!(!report["finding"].as_str().unwrap().is_empty());
        for (name, input) in report["inputs"].as_object().unwrap() {
            let source = input["source"].as_str().unwrap();
            let dated = source.starts_with("default: ") && source.contains(", 20");
            let other = ["given", "computed", "catalogue", "MADE UP"];
            assert!(dated || other.iter().any(|o| source.starts_with(o)), "{name}: {source}");
        }
        if question[0] == "quote" {
            assert!(!report["sensitivity"].as_array().unwrap().is_empty());
        }
    }
}

#[test]
fn flags_reach_the_figures_of_the_reference() {
    let flags = ["--hashprice", "30", "--efficiency", "21.5", "--power-price", "0.16"];
    let report = json(&[&["quote", "heat", "--uptime", "1"], &flags[..]].concat());
    let running = report["prices"][0]["usd_per_kwh"].as_f64().unwrap();
    assert!((running - 0.102).abs() < 0.0005, "{running}");
    assert_eq!(report["inputs"]["hashprice_usd_per_ph_day"]["source"], "given");

    let network = ["--difficulty", "100T", "--btc-price", "$100k", "--fees", "0"];
    let report = json(&[&["quote", "heat"], &network[..]].concat());
    let hash_price = report["inputs"]["hashprice_usd_per_ph_day"]["value"].as_f64().unwrap();
    assert_eq!(format!("{hash_price:.3}"), "62.864");

    let report = json(&["catalogue", "s19", "xp", "--hashprice", "30"]);
    let machines = report["machines"].as_array().unwrap();
    let xp = machines.iter().find(|m| m["model"] == "Antminer S19 XP").unwrap();
    assert_eq!(format!("{:.4}", xp["stops_at_usd_per_kwh"].as_f64().unwrap()), "0.0581");
    assert_eq!(xp["price_usd"], 2000.0);
}

#[test]
fn what_cannot_be_is_refused_in_one_sentence_that_says_what_to_mend() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file("short.csv", "price_usd_per_mwh\n1\n");
    file("columns.csv", &format!("power_mw\n{}", "1\n".repeat(8760)));
    file("machines.csv", "model,hashrate_ths\nX,0\n");
    for (arguments, sentence) in [
        (&["quote", "heat", "--power-price", "-0.05"][..], "the power price is negative"),
        (&["quote", "heat", "--efficiency", "0"], "efficiency in J/TH must be a positive"),
        (&["quote", "heat", "--years", "NaN"], "years of depreciation is NaN"),
        (&["quote", "heat", "--hours", "9000"], "hours a year are 9000"),
        (&["quote", "heat", "--used", "1.5"], "\"1.5\" is not a share"),
        (&["quote", "heat", "--hashprice", "-3"], "hash price must be zero or a positive"),
        (&["quote", "heat", "--hashprice", "3", "--fees", "1"], "--hashprice needs nothing else"),
        (&["quote", "heat", "--btc-price", "-3"], "the price of a bitcoin is -3"),
        (&["quote", "heat", "--machine", "S99"], "the catalogue has no machine \"S99\""),
        (&["quote", "heat", "--machine", "Bitaxe Hex"], "the power of the Bitaxe Hex is unknown"),
        (&["quote", "solo", "--hashrate", "0"], "the hashrate is zero"),
        (&["quote", "solo", "--hashrate", "1T", "--hashprice", "30"], "this follows from the diff"),
        (&["quote", "solo", "--hashrate", "1T", "--network-hashrate", "0"], "--network-hashrate"),
        (&["quote", "dr", "--hours", "short.csv"], "short.csv: it has 1 hours; give a line for"),
        (&["quote", "dr", "--hours", "columns.csv"], "columns.csv: there is no column price_usd"),
        (&["quote", "dr", "--hours", "none.csv"], "none.csv cannot be read"),
        (&["quote", "dr", "--offer", "reserve=2MW"], "in hour 1 2 MW are offered, but only 1 MW"),
        (&["quote", "dr", "--offer", "5MW"], "\"5MW\" is not an offer"),
        (&["quote", "surplus", "--hours", "columns.csv"], "columns.csv: there is no column surp"),
        (&["quote", "machine", "steam"], "no machine fits"),
        (&["quote", "scale", "--repair", "-1"], "repair bench is -1"),
        (&["catalogue", "--file", "machines.csv"], "line 2 of the table of machines: X:"),
        (&["catalogue", "steam"], "no machine of the catalogue has these words"),
        (&["quote", "heat", "-c", "none.toml"], "there is no configuration file none.toml"),
    ] {
        let said = refusal(folder.path(), arguments);
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
}

#[test]
fn the_own_node_tells_difficulty_subsidy_and_the_fees_of_the_last_day() {
    let node = PrivateNode::start(NodeOptions::new(PrivateNetwork::Regtest)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = |network: &str| {
        format!(
            "network = \"{network}\"\n[[node]]\nurl = \"{}\"\ncookie = \"{}\"\n",
            node.rpc_url(),
            node.cookie_path().display()
        )
    };
    fs::write(folder.path().join("hearth.toml"), config("regtest")).unwrap();
    fs::write(folder.path().join("other.toml"), config("signet")).unwrap();

    // A coin that anybody may spend, spent for nothing: its 50 BTC are the fee of block 152.
    let blocks = node.rpc("generatetodescriptor", json!([1, "raw(51)"])).unwrap();
    let block = node.rpc("getblock", json!([blocks[0]])).unwrap();
    node.generate(150, ADDRESS).unwrap();
    let inputs = json!([{ "txid": block["tx"][0], "vout": 0 }]);
    let spend = node.rpc("createrawtransaction", json!([inputs, [{ "data": "00" }]])).unwrap();
    node.rpc("generateblock", json!([ADDRESS, [spend]])).unwrap();
    assert_eq!(node.height().unwrap(), 152);

    let ask = ["quote", "heat", "-c", "hearth.toml", "--btc-price", "1", "--json"];
    let output = hearth(folder.path(), &ask);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let input = |name: &str| report["inputs"][name].clone();
    let of_node = |value: Value| json!({ "value": value, "source": "own node, height 152" });
    assert_eq!(input("subsidy_sats"), of_node(2_500_000_000_u64.into()));
    assert_eq!(input("fees_sats"), of_node((5_000_000_000_u64 / 144).into()));
    let difficulty = input("difficulty")["value"].as_f64().unwrap();
    assert!((difficulty / 4.656_542e-10 - 1.0).abs() < 1e-6, "{difficulty}");
    assert_eq!(input("bitcoin_price_usd")["source"], "given");

    let said = refusal(folder.path(), &["quote", "heat", "-c", "other.toml"]);
    assert!(said.contains("it is on regtest, not on signet"), "{said}");
    drop(node);
    let said = refusal(folder.path(), &["quote", "heat", "-c", "hearth.toml"]);
    assert!(said.contains("no node of hearth.toml says what hashing earns"), "{said}");
    assert!(said.contains("start it, or give --difficulty"), "{said}");
}
