//! What becomes of a share.

use super::*;
use crate::Reject;

#[test]
fn a_good_share_is_accepted_credited_and_reported_once() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    for i in 0..3 {
        assert_eq!(code(&rig.submit(&miner, &miner.share(i))), 0);
    }
    rig.engine.now.ms += 40;
    rig.engine.hand_over();
    let work = rig.sink.work.lock().unwrap().clone();
    assert_eq!((work.len(), work[0].accepted, work[0].at), (1, 3, NOW));
    assert_eq!(&*work[0].worker, format!("{ADDRESS}.rig"));
    assert_eq!(work[0].work.hashes(), 3.0 * EASY * Difficulty::HASHES_PER_UNIT);
    assert!(work[0].best.unwrap().get() >= EASY);
    assert_eq!(rig.sink.opened.lock().unwrap().len(), 1);
    rig.engine.close(miner.key);
    assert_eq!(rig.sink.closed.lock().unwrap()[0].accepted, 3);
}

#[test]
fn every_rule_has_its_own_reject() {
    let text = |text: &str| json!(text);
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    let good = miner.share(1);
    let with = |change: &dyn Fn(&mut Share)| {
        let mut share = good.clone();
        change(&mut share);
        share
    };
    let table: Vec<(Share, Reject)> = vec![
        (with(&|s| s.job = text("7701")), Reject::UnknownJob),
        (with(&|s| s.job = text("")), Reject::UnknownJob),
        (with(&|s| s.job = text("zz00")), Reject::UnknownJob),
        (with(&|s| s.job = json!(17)), Reject::UnknownJob),
        // A generation that was never sent.
        (with(&|s| s.job = text("107")), Reject::UnknownJob),
        (with(&|s| s.extranonce2.truncate(14)), Reject::Extranonce2),
        (with(&|s| s.extranonce2.push_str("00")), Reject::Extranonce2),
        (with(&|s| s.extranonce2.push('0')), Reject::Extranonce2),
        (with(&|s| s.extranonce2 = "zz".repeat(8)), Reject::Extranonce2),
        (with(&|s| s.time = json!(format!("{:08x}", NOW - 601))), Reject::TimeTooOld),
        (with(&|s| s.time = json!(format!("{:08x}", NOW + 6601))), Reject::TimeTooNew),
        (with(&|s| s.time = text("123456789")), Reject::Malformed),
        (with(&|s| s.nonce = text("xyz")), Reject::Malformed),
        (with(&|s| s.nonce = json!(-1)), Reject::Malformed),
        (with(&|s| s.nonce = json!(1e20)), Reject::Malformed),
        (with(&|s| s.version = Some(text("20000000"))), Reject::VersionBits),
        (with(&|s| s.version = Some(text("00001000"))), Reject::VersionBits),
        (with(&|s| s.version = Some(text("q"))), Reject::Malformed),
        (
            with(&|s| {
                s.nonce = json!(format!(
                    "{:08x}",
                    u32::from_str_radix(s.nonce.as_str().unwrap(), 16).unwrap() ^ 1
                ))
            }),
            Reject::LowDifficulty,
        ),
    ];
    for (i, (share, reason)) in table.iter().enumerate() {
        let answer = rig.submit(&miner, share);
        assert_eq!(answer["error"][1], reason.sentence(), "{i}: {}", share.line());
        assert_eq!(answer["error"][0], reason.code());
    }
    assert_eq!(code(&rig.submit(&miner, &good)), 0);
    assert_eq!(code(&rig.submit(&miner, &good)), i64::from(Reject::Duplicate.code()));
    let state = rig.engine.workers.states().next().unwrap().clone();
    for reason in Reject::ALL {
        let want = table.iter().filter(|(_, r)| *r == reason).count()
            + usize::from(reason == Reject::Duplicate);
        assert_eq!(state.rejected[reason as usize], want as u64, "{}", reason.name());
    }
}

#[test]
fn a_share_before_the_handshake_is_refused_by_name() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    let share = miner.share(1);
    let key = rig.connect();
    assert_eq!(code(&rig.ask(key, &share.line())), 24);
    rig.ask(
        key,
        &json!({"id": 1, "method": "mining.authorize", "params": [ADDRESS, ""]}).to_string(),
    );
    assert_eq!(code(&rig.ask(key, &share.line())), 25);
    assert_eq!(rig.engine.anonymous_rejects[Reject::Unauthorized as usize], 1);
}

#[test]
fn malformed_params_are_refused_and_never_panic() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    for params in [
        "[]",
        "{}",
        "null",
        "[1,2,3,4]",
        "[[],[],[],[],[]]",
        "\"x\"",
        "[\"a\",\"0100\",\"00\"",
        "[,,,,]",
    ] {
        let line = format!("{{\"id\":1,\"method\":\"mining.submit\",\"params\":{params}}}");
        let answer = rig.ask(miner.key, &line);
        assert!(code(&answer) > 0, "{params}");
    }
}

#[test]
fn numbers_may_be_json_numbers_and_the_user_any_name() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    let mut share = miner.share(5);
    share.time = json!(NOW);
    share.nonce = json!(u32::from_str_radix(share.nonce.as_str().unwrap(), 16).unwrap());
    share.user = json!("somebody else");
    assert_eq!(code(&rig.submit(&miner, &share)), 0);
    let mut share = miner.share(6);
    share.user = Value::Null;
    assert_eq!(code(&rig.submit(&miner, &share)), 0);
}

#[test]
fn rolled_version_bits_count_and_a_missing_or_zero_sixth_parameter_means_none_were_rolled() {
    // A template that itself signals with a bit inside the mask.
    let mut rig = Rig::new(config());
    let mut signalling = template(800_000, 1, 12, SIGNET_BITS);
    signalling.version = 0x2000_4000;
    rig.job(signalling, true);
    let (miner, _) = rig.miner();
    let base = miner.job_version();
    let time = NOW as u32;
    let rolled = (base & !0x1fff_e000) | 0x0102_2000;
    for (i, (version, sixth)) in [
        (rolled, Some(0x0102_2000)),
        (base, None),
        (base, Some(0)),
        (base & !0x1fff_e000, Some(0)),
        (base, Some(0x4000)),
    ]
    .into_iter()
    .enumerate()
    {
        let share = miner.share_with(i as u64, time, version, sixth, EASY);
        assert_eq!(code(&rig.submit(&miner, &share)), 0, "{version:08x} {sixth:?}");
    }
}

#[test]
fn version_bits_without_negotiation_are_refused_but_zero_bits_are_harmless() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    rig.engine.sessions[miner.key].version_mask = 0;
    let mut share = miner.share(1);
    share.version = Some(json!("00002000"));
    assert_eq!(rig.submit(&miner, &share)["error"][1], Reject::VersionBits.sentence());
    share.version = Some(json!("00000000"));
    assert_eq!(code(&rig.submit(&miner, &share)), 0);
}

#[test]
fn late_share_for_old_tip_is_stale_not_invalid() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    let late = miner.share(1);
    rig.job(template(800_001, 2, 12, SIGNET_BITS), true);
    assert_eq!(rig.submit(&miner, &late)["error"][1], Reject::Stale.sentence());
    rig.job(template(800_002, 3, 12, SIGNET_BITS), true);
    assert_eq!(rig.submit(&miner, &late)["error"][1], Reject::Stale.sentence());
    assert_eq!(rig.engine.sessions[miner.key].rejected_in_a_row, 0);
}

#[test]
fn a_share_for_an_older_job_on_the_same_tip_still_counts() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    let (old, older) = (miner.share(1), miner.share(2));
    for _ in 0..10 {
        rig.job(template(800_000, 1, 11, SIGNET_BITS), false);
    }
    assert_eq!(code(&rig.submit(&miner, &old)), 0);
    rig.engine.now.ms += 180_001;
    rig.job(template(800_000, 1, 11, SIGNET_BITS), false);
    assert_eq!(rig.submit(&miner, &older)["error"][1], Reject::Stale.sentence());
}

#[test]
fn after_a_difficulty_change_the_old_one_holds_for_older_jobs() {
    let mut rig = Rig::working();
    let (mut miner, _) = rig.miner();
    let easy = miner.share_with(1, NOW as u32, miner.job_version(), None, EASY);
    let key = miner.key;
    rig.engine.change_difficulty(key, Difficulty::new(EASY * 16.0).unwrap());
    let lines: Vec<Value> = rig.sent().into_iter().map(|(_, line)| line).collect();
    let names: Vec<_> = lines.iter().map(|line| line["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["mining.set_difficulty", "mining.notify"], "NerdQAxe needs the notify");
    assert_eq!(lines[1]["params"][8], false);
    // In flight when the difficulty rose: found for the old job, worth the old difficulty.
    assert_eq!(code(&rig.submit(&miner, &easy)), 0);
    assert_eq!(rig.engine.sessions[key].work.hashes(), EASY * Difficulty::HASHES_PER_UNIT);
    lines.iter().for_each(|line| miner.hear(line));
    let hard = miner.share(3);
    assert_eq!(code(&rig.submit(&miner, &hard)), 0);
    assert_eq!(rig.engine.sessions[key].work.hashes(), 17.0 * EASY * Difficulty::HASHES_PER_UNIT);
    // A hash worth only the old difficulty under the new job.
    let mut low = hard.clone();
    loop {
        let nonce = u32::from_str_radix(low.nonce.as_str().unwrap(), 16).unwrap() + 1;
        low.nonce = json!(format!("{nonce:08x}"));
        let header = miner.header(&low.extranonce2, NOW as u32, nonce, miner.job_version());
        let met = |times: f64| {
            target_of(Difficulty::new(EASY * times).unwrap()).is_met_by(header.block_hash())
        };
        if met(1.0) && !met(16.0) {
            break;
        }
    }
    assert_eq!(rig.submit(&miner, &low)["error"][1], Reject::LowDifficulty.sentence());
}

#[test]
fn a_machine_that_repeats_itself_gets_new_room_to_search() {
    let mut rig = Rig::working();
    let (mut miner, _) = rig.miner();
    rig.ask(miner.key, "{\"id\":4,\"method\":\"mining.extranonce.subscribe\",\"params\":[]}");
    let share = miner.share(1);
    let flying = miner.share(2);
    assert_eq!(code(&rig.submit(&miner, &share)), 0);
    for _ in 0..7 {
        assert_eq!(code(&rig.submit(&miner, &share)), 22);
    }
    let lines = rig.say(miner.key, &format!("{}\n", share.line()));
    let names: Vec<_> =
        lines.iter().map(|line| line["method"].as_str().unwrap_or("answer")).collect();
    assert_eq!(names, ["answer", "mining.set_extranonce", "mining.notify"]);
    // What was in flight was made with the old one and still counts.
    assert_eq!(code(&rig.submit(&miner, &flying)), 0);
    let before = miner.extranonce1.clone();
    lines.iter().for_each(|line| miner.hear(line));
    assert_ne!(miner.extranonce1, before);
    assert_eq!(code(&rig.submit(&miner, &miner.share(1))), 0);
}

#[test]
fn a_share_that_solves_the_block_is_handed_on_before_it_is_answered() {
    let mut rig = Rig::new(config());
    // Regtest: every other hash is a block.
    rig.job(template(800_000, 1, 3, 0x207f_ffff), true);
    let (miner, lines) = rig.miner();
    // Never harder than the network, or the machine would keep blocks to itself.
    assert!(miner.difficulty <= 4.7e-10, "{lines:?}");
    let share = miner.share(1);
    assert_eq!(code(&rig.submit(&miner, &share)), 0);
    let solved = rig.sink.solved.lock().unwrap();
    assert_eq!((solved.len(), solved[0].hash), (1, share.hash));
    assert_eq!(solved[0].address, ADDRESS);
    let coinbase: Transaction = deserialize(&solved[0].coinbase).unwrap();
    let script = &coinbase.output[0].script_pubkey;
    let paid = bitcoin::Address::from_script(script, bitcoin::Network::Regtest).unwrap();
    assert_eq!(
        (paid.to_string().as_str(), coinbase.output[0].value.to_sat()),
        (ADDRESS, 5_000_000_000)
    );
}

#[test]
fn a_late_block_is_still_handed_on() {
    let mut rig = Rig::new(config());
    rig.job(template(800_000, 1, 3, 0x207f_ffff), true);
    let (miner, _) = rig.miner();
    let share = miner.share(1);
    rig.job(template(800_001, 2, 3, 0x207f_ffff), true);
    assert_eq!(rig.submit(&miner, &share)["error"][1], Reject::Stale.sentence());
    assert_eq!(rig.sink.solved.lock().unwrap().len(), 1);
}

#[test]
fn pipelined_shares_are_answered_in_order_with_their_own_verdicts() {
    let mut rig = Rig::working();
    let ((a, _), (b, _)) = (rig.miner(), rig.miner());
    let mut wrong = a.share(999);
    wrong.nonce = json!("zz");
    let mut text = String::new();
    for i in 0..150 {
        let share = if i % 10 == 3 { wrong.clone() } else { a.share(i) };
        let line = share.line().replace("\"id\":9", &format!("\"id\":{i}"));
        text.push_str(&line);
        text.push('\n');
    }
    rig.engine.receive(a.key, text.as_bytes());
    rig.engine.receive(b.key, format!("{}\n", b.share(1).line()).as_bytes());
    let answers = rig.sent();
    assert_eq!(answers.len(), 151);
    for (i, (key, answer)) in answers[..150].iter().enumerate() {
        assert_eq!((*key, answer["id"].as_u64()), (a.key, Some(i as u64)));
        assert_eq!(code(answer), if i % 10 == 3 { 20 } else { 0 }, "{i}");
    }
    assert_eq!((answers[150].0, code(&answers[150].1)), (b.key, 0));
}

#[test]
fn shares_of_several_machines_and_jobs_that_come_together_are_each_hashed_as_their_own() {
    let mut rig = Rig::new(config());
    // Regtest: about every other share solves a block, whose hash is told.
    let network = bitcoin::Target::from_compact(CompactTarget::from_consensus(0x207f_ffff));
    rig.job(template(800_000, 1, 3, 0x207f_ffff), true);
    let ((a, _), (b, _)) = (rig.miner(), rig.miner());
    let (mut newer_a, mut newer_b) = (a.clone(), b.clone());
    for (key, line) in rig.job(template(800_000, 1, 5, 0x207f_ffff), false) {
        if key == a.key { &mut newer_a } else { &mut newer_b }.hear(&line);
    }
    assert_ne!(a.notify[0], newer_a.notify[0]);
    // Runs for one job longer and shorter than what is hashed side by side.
    let runs = [(11, &a), (1, &newer_b), (3, &newer_a), (1, &b), (1, &newer_a), (12, &b)];
    let from = runs.into_iter().flat_map(|(count, miner)| std::iter::repeat_n(miner, count));
    let mut hashes = Vec::new();
    for (i, miner) in from.enumerate() {
        let share = miner.share(i as u64);
        hashes.extend(network.is_met_by(share.hash).then_some(share.hash));
        rig.engine.receive(miner.key, format!("{}\n", share.line()).as_bytes());
    }
    assert!(rig.sent().iter().all(|(_, answer)| code(answer) == 0));
    let solved: Vec<_> = rig.sink.solved.lock().unwrap().iter().map(|block| block.hash).collect();
    assert!(solved.len() >= 10, "{solved:?}");
    assert_eq!(solved, hashes);
}

#[test]
fn hex_numbers_may_lack_their_leading_zeros() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    let mut share = miner.share(1);
    let nonce = u32::from_str_radix(share.nonce.as_str().unwrap(), 16).unwrap();
    assert!(nonce < 1 << 28, "a nonce that has leading zeros");
    share.nonce = json!(format!("{nonce:x}"));
    assert_eq!(code(&rig.submit(&miner, &share)), 0);
}

#[test]
fn a_reject_has_a_null_result_and_an_error_of_three() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    let mut share = miner.share(1);
    share.nonce = json!("zz");
    let error = json!([20, Reject::Malformed.sentence(), null]);
    assert_eq!(rig.submit(&miner, &share), json!({"id": 9, "result": null, "error": error}));
}

#[test]
fn a_block_solved_minutes_into_an_outage_is_handed_on_and_only_once() {
    let mut rig = Rig::new(config());
    rig.job(template(800_000, 1, 3, 0x207f_ffff), true);
    let (miner, _) = rig.miner();
    rig.engine.wait("the node does not answer");
    for _ in 0..5 {
        rig.engine.now.ms += 61_000;
        rig.engine.tick();
    }
    let share = miner.share(1);
    for _ in 0..3 {
        assert_eq!(rig.submit(&miner, &share)["error"][1], Reject::NoWork.sentence());
    }
    assert_eq!(rig.sink.solved.lock().unwrap().len(), 1);
}

#[test]
fn a_share_counts_for_one_of_two_equal_templates_only() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    let mut share = miner.share(1);
    assert_eq!(code(&rig.submit(&miner, &share)), 0);
    rig.job(template(800_000, 1, 12, SIGNET_BITS), false);
    share.job = json!("200");
    assert_eq!(code(&rig.submit(&miner, &share)), 23);
}
