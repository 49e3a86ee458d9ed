use super::*;
use chain::Network;
use std::{fs, net::TcpListener, time::Duration};

fn state_of(findings: &[Finding], check: &str) -> Vec<State> {
    findings.iter().filter(|finding| finding.check == check).map(|finding| finding.state).collect()
}

fn unreachable() -> Trouble {
    Trouble::Unreachable { url: "http://127.0.0.1:1".into(), why: "connection refused".into() }
}

fn facts(clock_offset: Option<i64>) -> NodeFacts {
    NodeFacts {
        version: Some("/Satoshi:29.0.0/".into()),
        height: 900_000,
        tip: bitcoin::hashes::Hash::all_zeros(),
        peers: Some(10),
        clock_offset,
    }
}

#[test]
fn a_node_in_trouble_fails_unless_it_only_needs_time_or_another_works() {
    let syncing =
        Trouble::Syncing { url: "http://127.0.0.1:1".into(), blocks: 1, headers: 2, progress: 0.5 };
    let wrong = Trouble::WrongNetwork {
        url: "http://127.0.0.1:1".into(),
        found: "main".into(),
        wanted: Network::Signet,
    };
    for (trouble, another_works, state) in [
        (unreachable(), false, State::Fail),
        (unreachable(), true, State::Warn),
        (wrong, false, State::Fail),
        (syncing, false, State::Warn),
    ] {
        let found = node("http://127.0.0.1:1", Err(trouble.clone()), another_works);
        assert_eq!(found[0].state, state, "{trouble}");
        assert!(found[0].says.starts_with(&trouble.to_string()), "{}", found[0].says);
    }
}

#[test]
fn a_healthy_node_is_described_and_its_clock_compared() {
    let found = node("http://127.0.0.1:8332", Ok(facts(Some(-1))), true);
    assert_eq!(
        found[0].says,
        "http://127.0.0.1:8332 gives work: /Satoshi:29.0.0/, block 900000, connected to 10 other nodes"
    );
    assert_eq!(state_of(&found, "clock"), [State::Ok]);
    assert_eq!(state_of(&node("u", Ok(facts(Some(-61))), true), "clock"), [State::Warn]);
    assert_eq!(state_of(&node("u", Ok(facts(None)), true), "clock"), []);
}

#[test]
fn a_clock_of_1970_fails() {
    assert_eq!(system_time(UNIX_EPOCH).state, State::Fail);
    assert_eq!(system_time(UNIX_EPOCH - Duration::from_secs(1)).state, State::Fail);
    assert_eq!(system_time(UNIX_EPOCH + Duration::from_secs(EARLIEST)).state, State::Ok);
}

#[test]
fn the_summary_counts_and_says_whether_mining_works() {
    let summary = |checks: Vec<Finding>| {
        text(&Report { ok: true, checks }).lines().last().unwrap_or_default().to_string()
    };
    let ok = || Finding::ok("disk", "fine");
    let warn = || Finding::warn("disk", "slow");
    let fail = || Finding::fail("disk", "full");
    assert_eq!(summary(vec![ok()]), "All is well: `hearth serve` can mine.");
    assert_eq!(summary(vec![warn(), ok()]), "1 warning; `hearth serve` can mine.");
    assert_eq!(summary(vec![fail(), fail()]), "2 faults: hearth cannot mine like this.");
    assert_eq!(summary(vec![fail(), warn()]), "1 fault, 1 warning: hearth cannot mine like this.");
    let line = text(&Report { ok: true, checks: vec![ok()] });
    assert!(line.starts_with("ok    disk           fine\n"), "{line}");
}

#[tokio::test]
async fn a_wrong_configuration_is_told_fault_by_fault_and_nothing_else_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hearth.toml");
    let found = examine(&path).await;
    assert_eq!(found.len(), 1);
    assert!(found[0].says.contains("run `hearth init`"), "{found:?}");
    fs::write(&path, "netwrok = 1\nnetwork = 1").unwrap();
    let found = examine(&path).await;
    assert_eq!(state_of(&found, "configuration"), [State::Fail, State::Fail]);
    assert_eq!(state_of(&found, "the rest"), [State::Warn]);
}

#[tokio::test]
async fn a_node_that_is_not_there_and_a_port_that_is_taken_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hearth.toml");
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    // Port 1 (tcpmux) is not served anywhere.
    let text = format!(
        "network = \"regtest\"\n\
         [[node]]\nurl = \"http://127.0.0.1:1\"\nuser = \"a\"\npassword = \"b\"\n\
         [[stratum.port]]\nlisten = \"127.0.0.1:{port}\"\n\
         [web]\nlisten = \"127.0.0.1:0\""
    );
    fs::write(&path, text).unwrap();
    let found = examine(&path).await;
    assert_eq!(state_of(&found, "configuration"), [State::Ok]);
    assert_eq!(state_of(&found, "address"), [State::Ok]);
    assert_eq!(state_of(&found, "node"), [State::Fail], "{found:?}");
    assert_eq!(state_of(&found, "port"), [State::Fail, State::Ok], "{found:?}");
    assert!(!folder.path().join("hearth-data").exists());
    let json = serde_json::to_value(Report { ok: false, checks: found }).unwrap();
    assert_eq!(json["checks"][0]["state"], "ok");
}
