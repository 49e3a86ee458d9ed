use super::*;
use crate::scripted::{EXTRANONCE1, Talk, job, listen, meets, share_hash};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    net::TcpListener,
    time::{Duration, Instant},
};

const EASY: f64 = 1e-5;
const MASK: u32 = 0x1fff_e000;

fn config(address: &str) -> MinerConfig {
    MinerConfig::new(format!("stratum+tcp://{address}"), "tb1qtest.w")
}

/// Runs a miner against a script until the script ends, and gives the final figures.
fn mine(
    change: impl FnOnce(&mut MinerConfig),
    script: impl FnOnce(&TcpListener) + Send + 'static,
) -> MinerStats {
    let (listener, address) = listen();
    let mut config = config(&address);
    change(&mut config);
    let server = thread::spawn(move || script(&listener));
    let miner = Miner::start(config).unwrap();
    server.join().unwrap();
    miner.stop()
}

fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "waited for too long");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn shares_meet_the_difficulty_stay_in_the_mask_and_never_repeat() {
    let (listener, address) = listen();
    let server = thread::spawn(move || {
        let mut talk = Talk::accept(&listener);
        talk.welcome(Some("1fffe000"));
        talk.set_difficulty(EASY);
        let job = job("a", true);
        talk.notify(&job);
        let mut seen = HashSet::new();
        for i in 0..100 {
            let call = talk.hear_call("mining.submit").unwrap();
            assert_eq!(call["params"][0], "tb1qtest.w");
            let hash = share_hash(&call, &job, EXTRANONCE1, MASK);
            assert!(meets(&hash, EASY));
            assert!(seen.insert(hash));
            match i % 10 {
                7 => talk.say(json!({"id": call["id"], "result": null,
                                     "error": [23, "Low difficulty", null]})),
                8 => talk.say(json!({"id": call["id"], "result": false, "error": null})),
                _ => talk.answer(&call, json!(true)),
            }
        }
        while talk.hear().is_some() {}
    });
    let mut config = config(&address);
    config.threads = 2;
    let miner = Miner::start(config).unwrap();
    until(|| miner.stats().accepted >= 80 && miner.stats().rejected_total() >= 20);
    assert!(miner.stats().connected);
    let stats = miner.stop();
    server.join().unwrap();
    assert_eq!((stats.accepted, stats.rejected_total()), (80, 20));
    assert_eq!(stats.rejected["Low difficulty"], 10);
    assert_eq!(stats.rejected["no reason given"], 10);
    assert_eq!(stats.sent, 100 + stats.unanswered);
    assert!((stats.accepted_difficulty / (80.0 * EASY) - 1.0).abs() < 1e-9);
    assert!(stats.best_difficulty >= EASY && stats.hashes > 100_000);
    assert_eq!(stats.last_job.as_deref(), Some("a"));
    assert_eq!(stats.blocks, 0);
    assert!(!stats.connected);
}

#[test]
fn a_share_that_meets_the_network_target_counts_as_a_block_once_accepted() {
    let (listener, address) = listen();
    let server = thread::spawn(move || {
        let mut talk = Talk::accept(&listener);
        talk.welcome(None);
        let mut regtest = job("r", true);
        regtest[6] = json!("207fffff");
        talk.set_difficulty(1e-9);
        talk.notify(&regtest);
        for _ in 0..20 {
            let call = talk.hear_call("mining.submit").unwrap();
            assert_eq!(call["params"].as_array().unwrap().len(), 5);
            talk.answer(&call, json!(true));
        }
    });
    let mut config = config(&address);
    config.limit = Some(Hashrate::from_hashes_per_second(5000.0));
    let miner = Miner::start(config).unwrap();
    until(|| miner.stats().accepted >= 20);
    let stats = miner.stop();
    server.join().unwrap();
    assert!(stats.blocks == 20, "1e-9 is harder than regtest: {stats:?}");
    assert_eq!(stats.block_hashes.len(), 20);
    assert!(stats.block_hashes[0] < "8".repeat(64));
}

#[test]
fn a_new_difficulty_counts_from_the_next_job_and_clean_jobs_end_the_old_one() {
    mine(
        |_| {},
        |listener| {
            let mut talk = Talk::accept(listener);
            talk.welcome(None);
            talk.set_difficulty(EASY);
            let (first, second) = (job("first", true), job("second", true));
            talk.notify(&first);
            let hear = |talk: &mut Talk| talk.hear_call("mining.submit").unwrap();
            for _ in 0..5 {
                hear(&mut talk);
            }
            talk.set_difficulty(EASY * 8.0);
            // Only the old job is there: shares below the new difficulty still come.
            let easy = (0..200).any(|_| {
                let call = hear(&mut talk);
                !meets(&share_hash(&call, &first, EXTRANONCE1, 0), EASY * 8.0)
            });
            assert!(easy);
            talk.notify(&second);
            let mut call = hear(&mut talk);
            let old = (0..2000).take_while(|_| {
                let old = call["params"][1] == "first";
                if old {
                    call = hear(&mut talk);
                }
                old
            });
            old.count();
            for _ in 0..10 {
                assert_eq!(call["params"][1], "second");
                assert!(meets(&share_hash(&call, &second, EXTRANONCE1, 0), EASY * 8.0));
                call = hear(&mut talk);
            }
        },
    );
}

#[test]
fn a_difficulty_that_comes_only_after_the_first_job_counts_at_once() {
    mine(
        |_| {},
        |listener| {
            let mut talk = Talk::accept(listener);
            talk.welcome(None);
            let job = job("a", true);
            talk.notify(&job);
            talk.set_difficulty(EASY);
            let call = talk.hear_call("mining.submit").unwrap();
            assert!(meets(&share_hash(&call, &job, EXTRANONCE1, 0), EASY));
        },
    );
}

#[test]
fn a_new_extranonce_and_a_new_mask_are_used() {
    mine(
        |_| {},
        |listener| {
            let mut talk = Talk::accept(listener);
            talk.welcome(Some("1fffe000"));
            talk.set_difficulty(EASY);
            talk.notify(&job("a", true));
            talk.hear_call("mining.extranonce.subscribe").unwrap();
            talk.say(json!({"method": "mining.set_extranonce", "params": ["ee", 7]}));
            talk.say(json!({"method": "mining.set_version_mask", "params": ["00ff0000"]}));
            let next = job("b", true);
            talk.notify(&next);
            let call = loop {
                let call = talk.hear_call("mining.submit").unwrap();
                if call["params"][1] == "b" {
                    break call;
                }
            };
            assert_eq!(call["params"][2].as_str().unwrap().len(), 14);
            assert!(meets(&share_hash(&call, &next, "ee", 0x00ff_0000), EASY));
        },
    );
}

#[test]
fn extranonce2_version_and_time_roll() {
    mine(
        |_| {},
        |listener| {
            let mut talk = Talk::accept(listener);
            talk.welcome(Some("1fffe000"));
            talk.set_difficulty(EASY);
            talk.notify(&job("a", true));
            let mut seen: [HashSet<Value>; 3] = Default::default();
            let end = Instant::now() + Duration::from_secs(20);
            while seen.iter().any(|s| s.len() < 2) {
                assert!(Instant::now() < end);
                let call = talk.hear_call("mining.submit").unwrap();
                talk.answer(&call, json!(true));
                for (set, index) in seen.iter_mut().zip([2, 3, 5]) {
                    set.insert(call["params"][index].clone());
                }
            }
        },
    );
}

#[test]
fn the_limit_holds_and_hashing_stops_at_once() {
    let (listener, address) = listen();
    let server = thread::spawn(move || {
        let mut talk = Talk::accept(&listener);
        talk.welcome(None);
        talk.set_difficulty(1e6);
        talk.notify(&job("a", true));
        while talk.hear().is_some() {}
    });
    let mut config = config(&address);
    config.threads = 2;
    config.limit = Some(Hashrate::from_hashes_per_second(200_000.0));
    let miner = Miner::start(config).unwrap();
    until(|| miner.stats().hashes > 0);
    let (start, before) = (Instant::now(), miner.stats().hashes);
    thread::sleep(Duration::from_millis(1000));
    let done = (miner.stats().hashes - before) as f64 / start.elapsed().as_secs_f64();
    assert!(done < 200_000.0 * 1.15, "{done} H/s");
    assert!(done > 200_000.0 * 0.5, "{done} H/s; is the machine overloaded?");
    let start = Instant::now();
    miner.stop();
    assert!(start.elapsed() < Duration::from_millis(500));
    server.join().unwrap();
}

#[test]
fn garbage_is_counted_and_calls_are_answered() {
    let stats = mine(
        |_| {},
        |listener| {
            let mut talk = Talk::accept(listener);
            talk.say_raw(
                "\n\u{1}\u{2}garbage\n{\"id\":999,\"result\":true}\n{\"method\":5}\n[[[[\n",
            );
            talk.say(json!({"method": "client.show_message", "params": ["welcome"]}));
            talk.welcome(None);
            talk.say(json!({"id": "x", "method": "mining.ping", "params": []}));
            loop {
                let heard = talk.hear().unwrap();
                if heard["id"] == "x" {
                    assert_eq!(heard["error"][0], -3);
                    return;
                }
            }
        },
    );
    assert_eq!(stats.bad_lines, 4);
    assert_eq!(stats.messages, ["welcome"]);
}

#[test]
fn it_comes_back_after_a_lost_connection_and_follows_a_reconnect_on_the_same_host_only() {
    let (second, moved) = listen();
    let port = moved.rsplit(':').next().unwrap().to_owned();
    let stats = mine(
        |_| {},
        move |listener| {
            let mut talk = Talk::accept(listener);
            talk.welcome(None);
            drop(talk);
            let mut talk = Talk::accept(listener);
            talk.welcome(None);
            talk.say(json!({"method": "client.reconnect", "params": ["192.0.2.7", 3333, 0]}));
            drop(talk);
            let mut talk = Talk::accept(listener);
            talk.welcome(None);
            talk.say(json!({"method": "client.reconnect", "params": ["", port, 0]}));
            let mut talk = Talk::accept(&second);
            talk.welcome(None);
            talk.set_difficulty(EASY);
            talk.notify(&job("a", true));
            talk.hear_call("mining.submit").unwrap();
        },
    );
    assert_eq!(stats.reconnects, 3);
    assert!(stats.messages[0].contains("192.0.2.7"));
    assert!(stats.trouble.is_none() || stats.unanswered > 0);
}

#[test]
fn a_refused_user_is_told_why() {
    let (listener, address) = listen();
    let server = thread::spawn(move || {
        let mut talk = Talk::accept(&listener);
        let call = talk.hear_call("mining.authorize").unwrap();
        talk.say(
            json!({"id": call["id"], "result": false, "error": [24, "No such address", null]}),
        );
        while talk.hear().is_some() {}
    });
    let miner = Miner::start(config(&address)).unwrap();
    until(|| miner.stats().trouble.is_some());
    let stats = miner.stop();
    server.join().unwrap();
    assert_eq!(
        stats.trouble.as_deref(),
        Some("the server refused user \"tb1qtest.w\": No such address")
    );
}

#[test]
fn an_absent_server_is_no_error_and_a_line_without_end_is_cut() {
    let (listener, address) = listen();
    drop(listener);
    let miner = Miner::start(config(&address)).unwrap();
    until(|| miner.stats().trouble.is_some());
    assert!(miner.stop().trouble.unwrap().contains("cannot be reached"));

    let (listener, address) = listen();
    let server = thread::spawn(move || {
        let mut talk = Talk::accept(&listener);
        for _ in 0..20 {
            talk.say_raw(&"x".repeat(64 * 1024));
        }
        while talk.hear().is_some() {}
        listener
    });
    let miner = Miner::start(config(&address)).unwrap();
    until(|| miner.stats().trouble.is_some());
    let _still_listening = server.join().unwrap();
    assert!(miner.stop().trouble.unwrap().contains("line of more than"));
}

#[test]
fn unusable_settings_are_refused_with_a_sentence() {
    let start = |change: &dyn Fn(&mut MinerConfig)| {
        let mut config = config("127.0.0.1:1");
        change(&mut config);
        match Miner::start(config) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    };
    for url in ["", "host", "host:", ":3333", "host:0", "host:99999", "a b:1", "tcp://"] {
        let said = start(&|c| c.url = url.into());
        assert!(said.ends_with("write it like stratum+tcp://192.168.1.10:3333"), "{said}");
    }
    assert!(start(&|c| c.url = "stratum+ssl://h:1".into()).contains("not stratum+ssl"));
    assert!(start(&|c| c.threads = 0).contains("1 to 1024"));
    assert!(start(&|c| c.limit = Some(Hashrate::ZERO)).contains("greater than zero"));
    for (url, host, port) in [
        ("stratum+tcp://pool.example:3333", "pool.example", 3333),
        ("127.0.0.1:1", "127.0.0.1", 1),
        ("tcp://[::1]:3333/", "::1", 3333),
    ] {
        let want = Endpoint { host: host.into(), port };
        assert_eq!(Endpoint::parse(url).unwrap(), want);
    }
}
