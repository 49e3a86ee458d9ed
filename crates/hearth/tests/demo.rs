//! The demonstration, as somebody new runs it: with a real node, and its record checked by the command that
//! checks evidence.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

fn hearth() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.env("RUST_LOG", "error").stdin(Stdio::null());
    command
}

fn verifies(folder: &Path) -> bool {
    let folder = folder.to_str().unwrap();
    let checked = hearth().args(["evidence", "verify", folder]).output().unwrap();
    checked.status.success()
}

#[test]
fn the_demonstration_heats_curtails_follows_the_price_and_leaves_a_record_that_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    let ran = hearth()
        .args(["demo", "--for", "60s", "--json", "--evidence", record.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    let report: Value = serde_json::from_str(&said).unwrap();
    let number = |key: &str| {
        report[key].as_f64().unwrap_or_else(|| panic!("{key} is {}: {report:#}", report[key]))
    };
    assert!(number("blocks_found") > 0.0);
    assert!(number("power_w_during") < number("power_w_before"), "{report:#}");
    assert!(number("power_w_dear") < number("power_w_after"), "{report:#}");
    assert!(number("curtail_to_95pct_ms") > 0.0 && number("interval_error_pct") >= 0.0);
    assert!(number("room_c_min") <= number("room_c_max"));
    assert_eq!(report["evidence_accepted"], true);
    assert_eq!(report["evidence_rejected_changed"], true);
    assert!(number("operator_reports") > 0.0);

    assert!(verifies(&record));
    let file = fs::read_dir(&record).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    for at in [0, whole.len() / 3, whole.len() - 2] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&file, changed).unwrap();
        assert!(!verifies(&record), "byte {at} of {}", whole.len());
    }
    fs::write(&file, whole).unwrap();
    assert!(verifies(&record));
}
