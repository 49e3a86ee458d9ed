//! The program as its user meets it: exit codes and sentences.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs the program in `folder` without input.
fn hearth(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_wrong_configuration_or_command_line_starts_nothing_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.toml"), "[stratum]\nthread = 2\n").unwrap();
    for (arguments, sentence) in [
        (
            &["serve"][..],
            "hearth: there is no configuration file hearth.toml; run `hearth init` to write one, or \
             name yours with -c\n",
        ),
        (
            &["serve", "-c", "bad.toml"],
            "hearth: bad.toml, line 2: unknown key \"thread\" in [stratum]; did you mean \
             \"threads\"?\n",
        ),
    ] {
        let output = hearth(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(said(&output), sentence);
    }
    for arguments in [
        &[][..],
        &["mine"],
        &["twin", "miner", "--url", "127.0.0.1:1"],
        &["twin", "miner", "--url", "127.0.0.1:1", "--user", "x", "--limit", "fast"],
        &["init", "--network", "bitcoin"],
    ] {
        let output = hearth(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    assert!(!folder.path().join("hearth.toml").exists());
}

#[test]
fn init_writes_a_file_that_doctor_takes_and_does_not_overwrite_it() {
    let folder = tempfile::tempdir().unwrap();
    let init = ["init", "--yes", "--network", "regtest", "--node", "http://127.0.0.1:1"];
    let more = ["--user", "a", "--password", "b", "--listen", "127.0.0.1:0", "--web", "0"];
    let output = hearth(folder.path(), &[&init[..], &more[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));

    let again = hearth(folder.path(), &init);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("exists already"), "{}", said(&again));

    // No node is on port 1, so doctor finds one fault, and the file in order.
    let output = hearth(folder.path(), &["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["checks"][0]["check"], "configuration");
    assert_eq!(report["checks"][0]["state"], "ok");
    let checks = report["checks"].as_array().unwrap();
    let failed: Vec<_> = checks.iter().filter(|check| check["state"] == "fail").collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["check"], "node");
}

#[test]
fn questions_without_anybody_to_answer_end_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let output = hearth(folder.path(), &["init"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("give --yes and the answers as options"), "{}", said(&output));
}

#[test]
fn a_miner_without_a_server_says_why_it_did_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let miner = ["twin", "miner", "--url", "127.0.0.1:1", "--user", "x", "--for", "500ms"];
    let output = hearth(folder.path(), &miner);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).starts_with("hearth: the miner was never given work: 127.0.0.1:1"));
}

#[test]
fn the_version_is_told() {
    let output = hearth(Path::new("."), &["--version"]);
    let version = String::from_utf8(output.stdout).unwrap();
    assert_eq!(version, format!("hearth {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn to_tune_without_a_server_that_knows_the_work_says_what_to_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hearth.toml"), "").unwrap();
    let output = hearth(folder.path(), &["tune", "garage", "--for", "watts=800"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("start `hearth serve` first"), "{}", said(&output));
    let output = hearth(folder.path(), &["tune", "garage", "--for", "fun"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("is no goal"), "{}", said(&output));
}

#[test]
fn evidence_is_accepted_as_written_and_rejected_with_one_byte_changed() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = hearth(folder.path(), arguments);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, key) = run(&["evidence", "key", "log", "--site", "home"]);
    let key = key.trim();
    assert_eq!((code, key.len()), (Some(0), 64));
    let (code, next) = run(&["evidence", "key", "log", "--site", "home", "--rotate"]);
    assert_eq!(code, Some(0));
    assert_ne!(next.trim(), key);
    let file = "log/000000000000.evidence";
    let (code, text) = run(&["evidence", "verify", file, "--key", key]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("accepted: records 0 to 1 of site home, meter main"), "{text}");
    let (_, json) = run(&["evidence", "verify", "log", "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["accepted"], true);
    let (code, text) = run(&["evidence", "verify", file, "--key", next.trim()]);
    assert_eq!(code, Some(1));
    assert!(text.contains("not by the key that you trust"), "{text}");

    let path = folder.path().join(file);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::write(path, bytes).unwrap();
    let (code, text) = run(&["evidence", "verify", file]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("rejected: log/000000000000.evidence, line 2 (record 1)"), "{text}");
    let (code, json) = run(&["evidence", "verify", file, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["accepted"], &json["record"]), (Some(1), &false.into(), &1.into()));
    assert_eq!(hearth(folder.path(), &["evidence", "show", file]).status.code(), Some(1));
}
