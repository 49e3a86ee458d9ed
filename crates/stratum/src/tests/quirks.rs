//! What real firmware does, each a vector. The clients are named in QUIRKS.md.

use super::*;
use crate::Limits;

const SUBSCRIBE: &str = r#"{"id":1,"method":"mining.subscribe","params":[]}"#;

fn authorize(user: &str, password: &str) -> String {
    json!({"id": 2, "method": "mining.authorize", "params": [user, password]}).to_string()
}

fn methods(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["method"].as_str().unwrap_or("answer")).collect()
}

#[test]
fn any_order_of_the_handshake_ends_with_a_job() {
    let configure = r#"{"id":3,"method":"mining.configure","params":[["version-rolling"],{}]}"#;
    let suggest = r#"{"id":4,"method":"mining.suggest_difficulty","params":[1000]}"#;
    let authorize = authorize(ADDRESS, "x");
    for order in [
        vec![SUBSCRIBE, &authorize],
        vec![&authorize, SUBSCRIBE],
        vec![configure, SUBSCRIBE, &authorize],
        vec![SUBSCRIBE, configure, &authorize, suggest],
        vec![&authorize, configure, SUBSCRIBE],
    ] {
        for in_one_segment in [true, false] {
            let mut rig = Rig::working();
            let key = rig.connect();
            let lines: Vec<Value> = if in_one_segment {
                rig.say(key, &(order.join("\n") + "\n"))
            } else {
                order.iter().flat_map(|line| rig.say(key, &format!("{line}\n"))).collect()
            };
            let names = methods(&lines);
            let at = |name| names.iter().position(|n| *n == name);
            assert!(at("mining.notify") > at("mining.set_difficulty"), "{order:?}: {names:?}");
            let answers = lines.iter().filter(|line| line.get("result").is_some());
            assert!(answers.clone().all(|line| line["error"].is_null()), "{lines:?}");
            assert_eq!(answers.count(), order.len());
            // No set_version_mask before the subscribe result.
            let subscribed = lines.iter().position(|line| line["id"] == 1).unwrap();
            assert!(at("mining.set_version_mask").is_none_or(|mask| mask > subscribed));
        }
    }
}

#[test]
fn bytes_may_arrive_one_at_a_time() {
    let mut rig = Rig::working();
    let key = rig.connect();
    let text = format!("{SUBSCRIBE}\r\n{}\n", authorize(ADDRESS, "x"));
    let lines: Vec<Value> = text.chars().flat_map(|c| rig.say(key, &c.to_string())).collect();
    assert_eq!(methods(&lines), ["answer", "answer", "mining.set_difficulty", "mining.notify"]);
}

#[test]
fn leading_white_space_carriage_returns_and_any_order_of_keys_are_read() {
    for line in [
        "  {\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\r",
        "\t{ \"params\" : [ ] , \"id\" : 1 , \"method\" : \"mining.subscribe\" } ",
        "{\"params\":[\"a\",null],\"method\":\"mining.subscribe\",\"extra\":{\"a\":[1,{\"b\":\"]}\"}]},\"id\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"mining.subscribe\"}",
    ] {
        let mut rig = Rig::new(config());
        let key = rig.connect();
        let answer = rig.ask(key, line);
        assert_eq!(
            (answer["id"].as_i64(), answer["result"][2].as_i64()),
            (Some(1), Some(8)),
            "{line}"
        );
    }
}

#[test]
fn ids_are_echoed_verbatim_and_their_absence_is_null() {
    for (given, echoed) in [
        ("\"id\":7,", "7"),
        ("\"id\":\"seven\",", "\"seven\""),
        ("\"id\":null,", "null"),
        ("", "null"),
        ("\"id\":18446744073709551617,", "18446744073709551617"),
        ("\"id\":-1.5e3,", "-1.5e3"),
        ("\"id\":\"a\\\"b\",", "\"a\\\"b\""),
        ("\"id\":[1,2],", "[1,2]"),
    ] {
        let mut rig = Rig::new(config());
        let key = rig.connect();
        let line = format!("{{{given}\"method\":\"mining.subscribe\",\"params\":[]}}\n");
        rig.engine.receive(key, line.as_bytes());
        let answer = String::from_utf8(rig.engine.out.bytes.clone()).unwrap();
        assert!(answer.starts_with(&format!("{{\"id\":{echoed},\"result\":")), "{given}: {answer}");
    }
}

#[test]
fn an_id_that_is_no_json_or_very_long_is_not_echoed() {
    for id in ["01", "nul", "{", "\"\u{1}\"", &"1".repeat(65)] {
        let mut rig = Rig::new(config());
        let key = rig.connect();
        let answer =
            rig.ask(key, &format!("{{\"id\":{id},\"method\":\"mining.subscribe\",\"params\":[]}}"));
        assert_eq!((&answer["id"], answer["error"][0].as_i64()), (&Value::Null, Some(20)), "{id}");
    }
}

#[test]
fn suggest_difficulty_may_be_a_string_or_an_exponent() {
    for (given, wanted) in [
        ("16", 16.0),
        ("\"16\"", 16.0),
        ("\"16.000000\"", 16.0),
        ("1e-05", 2f64.powi(-17)),
        ("\"1e-05\"", 2f64.powi(-17)),
        ("0.5", 0.5),
    ] {
        let mut rig = Rig::new(Config {
            ports: vec![Port { min_difficulty: 1e-6, ..Port::default() }],
            ..config()
        });
        rig.job(template(800_000, 1, 12, 0x1702_f128), true);
        let (miner, _) = rig.miner();
        let line =
            format!("{{\"id\":4,\"method\":\"mining.suggest_difficulty\",\"params\":[{given}]}}\n");
        let lines = rig.say(miner.key, &line);
        assert_eq!(
            methods(&lines),
            ["answer", "mining.set_difficulty", "mining.notify"],
            "{given}"
        );
        assert_eq!(lines[1]["params"][0].as_f64(), Some(wanted), "{given}");
    }
}

#[test]
fn a_senseless_suggestion_is_refused_and_changes_nothing() {
    for given in ["-1", "0", "\"NaN\"", "\"inf\"", "null", "\"\"", "[]", "1e999"] {
        let mut rig = Rig::working();
        let (miner, _) = rig.miner();
        let line =
            format!("{{\"id\":4,\"method\":\"mining.suggest_difficulty\",\"params\":[{given}]}}\n");
        let lines = rig.say(miner.key, &line);
        assert!(lines.iter().all(|line| !line["error"].is_null()), "{given}: {lines:?}");
        assert_eq!(lines.len(), 1);
    }
}

#[test]
fn a_suggestion_repeated_without_id_as_a_keep_alive_is_neither_answered_nor_punished() {
    let mut rig = Rig::working();
    rig.engine = Rig::new(Config {
        ports: vec![Port { min_difficulty: 1e-6, ..Port::default() }],
        ..config()
    })
    .engine;
    rig.job(template(800_000, 1, 12, 0x1702_f128), true);
    let (miner, _) = rig.miner();
    let line = "{\"method\":\"mining.suggest_difficulty\",\"params\":[\"0.001\"]}\n";
    assert_eq!(rig.say(miner.key, line).len(), 2);
    for _ in 0..10_000 {
        assert_eq!(rig.say(miner.key, line), Vec::<Value>::new());
    }
    assert!(rig.engine.ended.is_empty());
}

#[test]
fn suggestions_in_a_flood_cost_one_job_in_ten_seconds_and_the_last_one_counts() {
    let mut rig = Rig::new(Config {
        ports: vec![Port { min_difficulty: 1e-6, ..Port::default() }],
        ..config()
    });
    rig.job(template(800_000, 1, 12, 0x1702_f128), true);
    let (miner, _) = rig.miner();
    let mut changed = 0;
    for wish in (0..1_000).map(|i| 1u32 << (i % 12)) {
        let line = format!("{{\"method\":\"mining.suggest_difficulty\",\"params\":[{wish}]}}\n");
        changed += rig.say(miner.key, &line).len();
    }
    assert_eq!(changed, 2, "one set_difficulty and one notify");
    let mut later = Vec::new();
    for _ in 0..12 {
        rig.engine.now.ms += 1_000;
        rig.engine.tick();
        later.extend(rig.sent().into_iter().map(|(_, line)| line));
    }
    assert_eq!(methods(&later), ["mining.set_difficulty", "mining.notify"]);
    assert_eq!(later[0]["params"][0], 1u32 << (999 % 12));
    assert!(rig.engine.ended.is_empty());
}

#[test]
fn configure_answers_only_version_rolling_and_its_mask() {
    let on = |mask: &str| json!({"version-rolling": true, "version-rolling.mask": mask});
    for (params, result) in [
        (
            json!([["version-rolling"], {"version-rolling.mask": "ffffffff", "version-rolling.min-bit-count": 16}]),
            on("1fffe000"),
        ),
        (
            json!([["version-rolling"], {"version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": "0x2"}]),
            on("1fffe000"),
        ),
        (
            json!([["version-rolling"], {"version-rolling.mask": "00ffe000", "version-rolling.min-bit-count": {"a": 1}}]),
            on("00ffe000"),
        ),
        (
            json!([["minimum-difficulty", "version-rolling", "subscribe-extranonce"], {"minimum-difficulty.value": 2048, "version-rolling.mask": "1fffe000"}]),
            on("1fffe000"),
        ),
        (json!([["version-rolling"], {"version-rolling.mask": "nonsense"}]), on("1fffe000")),
        (json!([["version-rolling"], {"version-rolling.mask": 536862720}]), on("1fffe000")),
        (json!([["version-rolling"]]), on("1fffe000")),
        (
            json!([["version-rolling"], {"version-rolling.mask": "00000fff"}]),
            json!({"version-rolling": false}),
        ),
        (json!([["minimum-difficulty"], {}]), json!({})),
        (json!([]), json!({})),
    ] {
        let mut rig = Rig::new(config());
        let key = rig.connect();
        let answer = rig.ask(
            key,
            &json!({"id": 1, "method": "mining.configure", "params": params}).to_string(),
        );
        assert_eq!(answer, json!({"id": 1, "result": result, "error": null}), "{params}");
    }
}

#[test]
fn user_names_that_hold_no_address_mine_to_the_fallback_or_are_refused_with_a_sentence() {
    let mut rig = Rig::working();
    for user in ["", "NULL", ".worker"] {
        let key = rig.connect();
        let answer = rig.ask(key, &authorize(user, "x"));
        assert_eq!(code(&answer), 24);
        assert!(answer["error"][1].as_str().unwrap().contains("must begin with a bitcoin address"));
    }
    let mut rig = Rig::new(Config { fallback_address: Some(ADDRESS.into()), ..config() });
    for (user, name) in [
        ("", ADDRESS.to_string()),
        (".heater", format!("{ADDRESS}.heater")),
        ("NULL", ADDRESS.to_string()),
        ("antminer_1", format!("{ADDRESS}.antminer_1")),
    ] {
        let key = rig.connect();
        assert_eq!(code(&rig.ask(key, &authorize(user, "x"))), 0, "{user}");
        assert!(rig.engine.workers.states().any(|worker| *worker.name == *name), "{user}");
    }
}

#[test]
fn a_mistyped_or_foreign_address_is_refused_and_never_mined_to_somebody_else() {
    let mut rig = Rig::new(Config { fallback_address: Some(ADDRESS.into()), ..config() });
    for (user, said) in [
        ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081.rig", "check it for typing errors"),
        (
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "belongs to mainnet, but this server mines on regtest",
        ),
        ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx.x", "belongs to a test network"),
        ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "belongs to mainnet"),
        ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3", "check it for typing errors"),
    ] {
        let key = rig.connect();
        let answer = rig.ask(key, &authorize(user, "x"));
        assert_eq!(code(&answer), 24);
        assert!(answer["error"][1].as_str().unwrap().contains(said), "{user}: {answer}");
    }
}

#[test]
fn an_address_cut_off_after_63_characters_is_told_apart_from_a_typing_error() {
    let long = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6";
    assert_eq!(long.len(), 64);
    let mut rig = Rig::working();
    let key = rig.connect();
    assert_eq!(code(&rig.ask(key, &authorize(long, "x"))), 0);
    let key = rig.connect();
    let answer = rig.ask(key, &authorize(&long[..63], "x"));
    assert!(
        answer["error"][1].as_str().unwrap().contains("cut user names off after 63 characters")
    );
}

#[test]
fn a_proxy_may_authorize_many_workers_of_one_address_but_not_of_two() {
    let mut rig = Rig::working();
    let key = rig.connect();
    for worker in ["a", "b"] {
        assert_eq!(code(&rig.ask(key, &authorize(&format!("{ADDRESS}.{worker}"), "x"))), 0);
    }
    let other = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry";
    let answer = rig.ask(key, &authorize(other, "x"));
    assert!(answer["error"][1].as_str().unwrap().contains("open another one"), "{answer}");
}

#[test]
fn machines_name_themselves_as_they_like() {
    for params in [
        json!([]),
        json!(["bosminer-plus-tuner 0.2.0 (S19j Pro)/1.0"]),
        json!(["Antminer S21/Thu Jan  1 00:00:00 CST 2024", "deadbeef"]),
        json!([null]),
        json!(["x".repeat(500)]),
        json!(["Bitaxe\u{7}/BM1370/v2.9"]),
        json!({"user_agent": "x"}),
    ] {
        let mut rig = Rig::working();
        let key = rig.connect();
        let line = json!({"id": 1, "method": "mining.subscribe", "params": params}).to_string();
        let answer = rig.ask(key, &line);
        assert_eq!(answer["result"][1].as_str().unwrap().len(), 8, "{params}");
        assert!(rig.engine.sessions[key].user_agent.as_ref().is_none_or(|agent| agent.len() <= 64));
    }
}

#[test]
fn passwords_hint_at_a_difficulty_or_a_hashrate() {
    for (password, wanted) in [
        ("x", 1024.0),
        ("d=64", 64.0),
        ("diff=0.25", 0.25),
        ("d=100000", 131_072.0),
        // 0.5 TH/s at 20 shares a minute is 349, and 256 the nearest power of two.
        ("th=0.5", 256.0),
        ("th=500", 262_144.0),
        ("d=nonsense", 1024.0),
    ] {
        let mut rig = Rig::new(Config { ports: vec![Port::default()], ..config() });
        rig.job(template(800_000, 1, 12, 0x1702_f128), true);
        let key = rig.connect();
        rig.say(key, &format!("{SUBSCRIBE}\n"));
        let lines = rig.say(key, &format!("{}\n", authorize(ADDRESS, password)));
        assert_eq!(methods(&lines), ["answer", "mining.set_difficulty", "mining.notify"]);
        assert_eq!(lines[1]["params"][0].as_f64(), Some(wanted), "{password}");
    }
}

#[test]
fn nicehash_starts_at_half_a_million_or_more_and_never_goes_below() {
    let mut rig = Rig::new(Config { ports: vec![Port::default()], ..config() });
    rig.job(template(800_000, 1, 12, 0x1702_f128), true);
    let key = rig.connect();
    rig.say(key, "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"NiceHash/1.0.0\"]}\n");
    let lines = rig.say(key, &format!("{}\n", authorize(ADDRESS, "x")));
    assert!(lines[1]["params"][0].as_f64() >= Some(500_000.0), "{lines:?}");
    for _ in 0..100 {
        rig.engine.now.ms += 60_000;
        rig.engine.tick();
    }
    assert!(rig.engine.sessions[key].difficulty.current().get() >= 500_000.0);
}

#[test]
fn sizes_stay_within_what_the_oldest_firmware_holds() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    assert_eq!((miner.extranonce1.len(), miner.size), (8, 8));
    assert!(miner.notify[0].as_str().unwrap().len() <= 16);
    // NiceHash takes coinbases of about 500 bytes, the tightest of all.
    assert!(miner.coinbase("0000000000000000").len() <= 500);
    rig.engine.announce(miner.key);
    assert!(rig.engine.out.bytes.len() < 4096, "NerdMiner reads lines of 4096 bytes");
}

#[test]
fn get_transactions_and_unknown_methods_are_refused_politely() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    for method in ["mining.get_transactions", "mining.multi_version", "eth_submitWork", "x\\\"y"] {
        let answer =
            rig.ask(miner.key, &format!("{{\"id\":5,\"method\":\"{method}\",\"params\":[]}}"));
        assert!(answer["error"][1].is_string() && answer["result"].is_null(), "{answer}");
    }
    // Without an id nobody waits for an answer; answers to us are no requests.
    assert!(rig.say(miner.key, "{\"method\":\"mining.noise\",\"params\":[]}\n").is_empty());
    assert!(rig.say(miner.key, "{\"id\":0,\"result\":true,\"error\":null}\n").is_empty());
    assert!(rig.say(miner.key, "{}\n\n\r\n").is_empty());
    assert!(rig.engine.ended.is_empty());
}

#[test]
fn garbage_ends_the_connection_and_broken_json_after_three_lines() {
    for text in ["GET / HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1}\n", "hello\n", "[1,2]\n"] {
        let mut rig = Rig::new(config());
        let key = rig.connect();
        assert!(rig.say(key, text).is_empty());
        assert_eq!(rig.engine.ended, [(key, crate::End::Garbage)], "{text:?}");
    }
    let mut rig = Rig::new(config());
    let key = rig.connect();
    let lines = rig.say(key, &"{\"id\":1,\"method\n".repeat(100));
    assert_eq!((lines.len(), rig.engine.ended.len()), (3, 1));
}

#[test]
fn a_line_of_a_megabyte_ends_the_connection_however_it_arrives() {
    for chunk in [16, 1000, 1 << 20] {
        let mut rig = Rig::new(config());
        let key = rig.connect();
        let megabyte = vec![b'{'; 1 << 20];
        for part in megabyte.chunks(chunk) {
            rig.engine.receive(key, part);
            assert!(rig.engine.sessions[key].partial.capacity() <= 3 * 4096);
        }
        assert_eq!(rig.engine.ended, [(key, crate::End::LineTooLong)]);
    }
}

#[test]
fn a_thousand_bad_shares_in_a_row_end_a_connection_and_no_other() {
    let limits = Limits { invalid_shares: 100, ..Limits::default() };
    let mut rig = Rig::new(Config { limits, ..config() });
    rig.job(template(800_000, 1, 12, SIGNET_BITS), true);
    let ((bad, _), (good, _)) = (rig.miner(), rig.miner());
    let mut share = bad.share(1);
    share.nonce = json!("zz");
    for i in 0..99 {
        assert_eq!(code(&rig.submit(&bad, &share)), 20, "{i}");
    }
    assert!(rig.engine.ended.is_empty());
    rig.submit(&bad, &share);
    assert_eq!(rig.engine.ended, [(bad.key, crate::End::InvalidShares)]);
    assert_eq!(code(&rig.submit(&good, &good.share(1))), 0);
}

#[test]
fn silence_ends_a_handshake_and_much_later_a_session() {
    let mut rig = Rig::working();
    let mute = rig.connect();
    let (miner, _) = rig.miner();
    rig.engine.now.ms += 31_000;
    rig.engine.tick();
    assert_eq!(rig.engine.ended, [(mute, crate::End::HandshakeTimeout)]);
    rig.engine.ended.clear();
    rig.engine.close(mute);
    rig.engine.now.ms += 3_600_000;
    rig.engine.tick();
    assert_eq!(rig.engine.ended, [(miner.key, crate::End::Idle)]);
}

#[test]
fn a_suggestion_before_the_first_job_decides_its_difficulty() {
    let mut rig = Rig::new(Config { ports: vec![Port::default()], ..config() });
    rig.job(template(800_000, 1, 12, 0x1702_f128), true);
    let key = rig.connect();
    rig.ask(key, r#"{"id":4,"method":"mining.suggest_difficulty","params":[16]}"#);
    rig.ask(key, SUBSCRIBE);
    let lines = rig.say(key, &format!("{}\n", authorize(ADDRESS, "x")));
    assert_eq!(methods(&lines), ["answer", "mining.set_difficulty", "mining.notify"]);
    assert_eq!(lines[1]["params"][0], 16);
}

#[test]
fn a_keep_alive_with_an_id_is_answered_each_time_and_changes_nothing() {
    let mut rig = Rig::new(Config { ports: vec![Port::default()], ..config() });
    rig.job(template(800_000, 1, 12, 0x1702_f128), true);
    let (miner, _) = rig.miner();
    let line = r#"{"id":7,"method":"mining.suggest_difficulty","params":[1.5e-04]}"#;
    assert_eq!(rig.say(miner.key, &format!("{line}\n")).len(), 3);
    for _ in 0..1000 {
        assert_eq!(rig.ask(miner.key, line), json!({"id": 7, "result": true, "error": null}));
    }
    assert!(rig.engine.ended.is_empty());
}

#[test]
fn the_longest_tag_and_address_and_the_last_job_stay_within_the_sizes() {
    let mut rig = Rig::new(Config { tag: "x".repeat(Config::MAX_TAG), ..config() });
    rig.number = u32::MAX - 1;
    rig.job(template(u32::MAX >> 1, 1, 12, SIGNET_BITS), true);
    let key = rig.connect();
    let long = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6";
    let lines = rig.say(key, &format!("{SUBSCRIBE}\n{}\n", authorize(long, "x")));
    let mut miner =
        Miner { key, extranonce1: String::new(), size: 0, difficulty: 0.0, notify: Value::Null };
    lines.iter().for_each(|line| miner.hear(line));
    assert!(miner.notify[0].as_str().unwrap().len() <= 16);
    assert!(miner.coinbase("0000000000000000").len() <= 500);
    assert!(lines.last().unwrap().to_string().len() < 4096);
}

#[test]
fn the_subscribe_answer_comes_first_and_names_its_subscriptions() {
    // NerdMiner takes the first line for it and reads the session's name from `result[0][0][1]`.
    let mut rig = Rig::working();
    let key = rig.connect();
    let lines = rig.say(key, &format!("{SUBSCRIBE}\n{}\n", authorize(ADDRESS, "x")));
    assert_eq!(lines[0]["id"], 1);
    assert!(lines[0]["result"][0][0][1].is_string());
}

#[test]
fn a_large_machine_that_is_still_starting_is_spared_difficulties_below_one() {
    // NerdQAxe would read 0.
    let mut rig = Rig::new(Config { ports: vec![Port::default()], ..config() });
    rig.job(template(800_000, 1, 12, 0x1702_f128), true);
    let (miner, _) = rig.miner();
    for second in 1..=300 {
        rig.engine.now.ms += 1000;
        rig.engine.tick();
        let difficulty = rig.engine.sessions[miner.key].difficulty.current().get();
        assert!(difficulty >= 1.0 || second >= 120, "{difficulty} after {second} s");
    }
    assert!(rig.engine.sessions[miner.key].difficulty.current().get() < 1.0);
}

#[test]
fn names_without_an_address_leave_nothing_behind_on_a_server_with_a_fallback() {
    let mut rig = Rig::new(Config { fallback_address: Some(ADDRESS.into()), ..config() });
    let key = rig.connect();
    for i in 0..1000 {
        rig.ask(key, &authorize(&format!("rig{i}"), "x"));
    }
    rig.engine.close(key);
    rig.engine.tick();
    assert_eq!(rig.engine.payouts.len(), 0);
}

#[test]
fn a_decorated_or_mangled_address_never_mines_to_the_fallback() {
    let mut rig = Rig::new(Config { fallback_address: Some(ADDRESS.into()), ..config() });
    for user in [
        &format!("{ADDRESS}_rig1"),
        &format!("bitcoin:{ADDRESS}"),
        &format!("\"{ADDRESS}\""),
        &ADDRESS[1..],
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa_rig1",
        "bclqw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        // Pay-to-anchor: anyone could take the coins.
        "bcrt1pfeesnyr2tx",
    ] {
        let key = rig.connect();
        assert_eq!(code(&rig.ask(key, &authorize(user, "x"))), 24, "{user}");
    }
}
