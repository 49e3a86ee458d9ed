use super::*;
use std::collections::BTreeMap;

fn full_tree() -> Status {
    let hashrate = Hashrate { m1_ths: Some(1.25), m10_ths: Some(1.0), h1_ths: None };
    let shares = Shares {
        accepted: 12,
        work_hashes: 12.0 * 4_295_032_833.0,
        rejected: BTreeMap::from([("stale".into(), 2)]),
    };
    let best_share = BestShare { ever: Some(4096.5), since_block: Some(0.001) };
    Status {
        version: "0.1.0".into(),
        network: "signet".into(),
        started_at: 1_790_000_000,
        uptime_s: 60,
        nodes: vec![Node {
            url: "http://127.0.0.1:38332".into(),
            active: true,
            state: "up".into(),
            message: None,
            height: Some(7),
            version: Some("/Satoshi:31.0.0/".into()),
            clock_offset_s: Some(-1.5),
        }],
        work: Some(Work {
            height: 8,
            prev_hash: "00".repeat(32),
            kind: WorkKind::Empty,
            transactions: 0,
            coinbase_value_sats: 5_000_000_000,
            age_s: 3,
            network_difficulty: 0.00113,
        }),
        waiting: None,
        tip_to_job_ms: Latency {
            last: Some(1.5),
            p50: Some(1.0),
            p99: Some(2.0),
            sum: 4.5,
            count: 3,
        },
        connections: Connections {
            open: 3,
            peak: 4,
            authorized: 2,
            refused: BTreeMap::from([("line_too_long".into(), 1)]),
        },
        hashrate,
        shares: shares.clone(),
        best_share,
        workers: vec![Worker {
            name: "tb1qaddress.heater \"1\"".into(),
            address: "tb1qaddress".into(),
            hashrate,
            difficulty: Some(0.25),
            connections: 1,
            shares,
            best_share,
            last_share_s_ago: Some(2),
            user_agent: None,
        }],
        blocks: vec![Block {
            hash: "0a".repeat(32),
            height: 7,
            worker: "tb1qaddress".into(),
            address: "tb1qaddress".into(),
            value_sats: 5_000_000_000,
            found_at: 1_790_000_030,
            state: BlockState::Rejected,
            confirmations: 0,
            reject_reason: Some("high-hash".into()),
        }],
        blocks_found: Some(1),
        ledger: Ledger { queue_len: 1, trouble: Some("disk full".into()), ..Ledger::default() },
        fleet: Some(Fleet {
            found: 1,
            devices: vec![fleet::Device { power_w: Some(17.0), ..fleet::Device::default() }],
            circuits: vec![fleet::Circuit { limit_w: 7400.0, ..fleet::Circuit::default() }],
            ..Fleet::default()
        }),
        energy: Some(Energy {
            net_w: Some(-1200.0),
            plan: Some(energy::Plan {
                steps: vec![energy::PlanStep::default()],
                ..energy::Plan::default()
            }),
            ..Energy::default()
        }),
    }
}

#[test]
fn every_field_survives_json() {
    for status in [full_tree(), Status::default()] {
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    }
}

#[test]
fn unknown_is_null_and_not_zero() {
    let tree = serde_json::to_value(Status::default()).unwrap();
    for pointer in ["/work", "/hashrate/m1_ths", "/best_share/ever", "/tip_to_job_ms/last"] {
        assert!(tree.pointer(pointer).is_some_and(serde_json::Value::is_null), "{pointer}");
    }
}

#[test]
fn a_block_state_is_the_same_word_in_json_and_in_metrics() {
    for state in BlockState::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), state.to_string());
    }
}

#[test]
fn a_field_that_a_newer_server_adds_is_ignored() {
    let mut tree = serde_json::to_value(full_tree()).unwrap();
    tree["power_w"] = 1200.into();
    assert_eq!(serde_json::from_value::<Status>(tree).unwrap(), full_tree());
}
