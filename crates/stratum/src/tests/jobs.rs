//! What miners are given to work on.

use super::*;
use proptest::prelude::*;

#[test]
fn a_new_tip_voids_older_work_and_a_refresh_does_not() {
    let mut rig = Rig::working();
    let (_, lines) = rig.miner();
    assert_eq!(lines.last().unwrap()["params"][8], true);
    let clean = |lines: Vec<(usize, Value)>| {
        let notify = lines.iter().find(|(_, line)| line["method"] == "mining.notify").unwrap();
        notify.1["params"][8].clone()
    };
    assert_eq!(clean(rig.job(template(800_001, 2, 0, SIGNET_BITS), true)), true);
    assert_eq!(clean(rig.job(template(800_001, 2, 12, SIGNET_BITS), false)), false);
}

#[test]
fn miners_are_told_to_wait_when_there_is_no_work_and_get_it_when_it_comes() {
    let mut rig = Rig::new(config());
    let (miner, lines) = rig.miner();
    let last = lines.last().unwrap();
    assert_eq!(last["method"], "client.show_message");
    assert!(last["params"][0].as_str().unwrap().contains("waiting for the first work"));
    let lines = rig.job(template(800_000, 1, 12, SIGNET_BITS), true);
    assert_eq!(lines.last().unwrap().1["method"], "mining.notify");
    assert_eq!(lines[0].0, miner.key);
}

#[test]
fn when_the_node_is_lost_work_counts_for_a_minute_and_then_miners_wait() {
    let mut rig = Rig::working();
    let (mut miner, _) = rig.miner();
    let (soon, late) = (miner.share(1), miner.share(2));
    rig.engine.wait("the node does not answer");
    rig.engine.announce(miner.key);
    let told = rig.sent();
    assert_eq!(told[0].1["params"][0], "please wait: the node does not answer");
    rig.engine.now.ms += 59_000;
    rig.engine.tick();
    assert_eq!(code(&rig.submit(&miner, &soon)), 0);
    rig.engine.now.ms += 2_000;
    rig.engine.tick();
    assert_eq!(rig.submit(&miner, &late)["error"][1], crate::Reject::NoWork.sentence());
    let (_, lines) = rig.miner();
    assert_eq!(lines.last().unwrap()["method"], "client.show_message");
    for (_, line) in rig.job(template(800_001, 2, 12, SIGNET_BITS), true) {
        miner.hear(&line);
    }
    assert_eq!(code(&rig.submit(&miner, &miner.share(3))), 0);
}

#[test]
fn two_sessions_never_search_the_same_space() {
    let mut rig = Rig::working();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1000 {
        let key = rig.connect();
        assert!(seen.insert(rig.engine.sessions[key].extranonce1));
        rig.engine.close(key);
    }
}

#[test]
fn a_full_ledger_loses_no_work() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    *rig.sink.full.lock().unwrap() = true;
    for i in 0..10 {
        rig.submit(&miner, &miner.share(i));
        rig.engine.now.ms += 40;
        rig.engine.hand_over();
    }
    *rig.sink.full.lock().unwrap() = false;
    rig.engine.now.ms += 40;
    rig.engine.hand_over();
    let work = rig.sink.work.lock().unwrap();
    assert_eq!((work.len(), work[0].accepted), (1, 10));
}

#[test]
fn accepted_work_is_handed_over_within_40_ms() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    assert_eq!(rig.engine.hand_over_in(), None);
    rig.engine.hand_over();
    rig.submit(&miner, &miner.share(1));
    assert!(rig.engine.hand_over_in().unwrap() <= 40);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn headers_and_coinbases_are_what_a_miner_makes_of_the_notify(
        height in 1u32..5_000_000, tip: u8, branches in 0u8..16, extranonce2: u64, time_ahead in 0u32..6000,
        bits in 0u32..=u32::MAX, size in 4usize..=8, tag in "[ -~]{0,40}",
    ) {
        let mut rig = Rig::new(Config { extranonce2_size: size, tag: tag.clone(), ..config() });
        rig.job(template(height, tip, branches, SIGNET_BITS), true);
        let (miner, _) = rig.miner();
        let version = (miner.job_version() & !0x1fff_e000) | (bits & 0x1fff_e000);
        let extranonce2 = extranonce2 & (u64::MAX >> (64 - 8 * size));
        let share = miner.share_with(extranonce2, NOW as u32 + time_ahead, version, Some(bits & 0x1fff_e000), EASY);
        prop_assert_eq!(code(&rig.submit(&miner, &share)), 0);

        // The coinbase is a valid transaction of this height (BIP 34) and at most 100 bytes of script.
        let coinbase: Transaction = deserialize(&miner.coinbase(&share.extranonce2)).unwrap();
        prop_assert!(coinbase.is_coinbase());
        let script = coinbase.input[0].script_sig.clone();
        prop_assert!((2..=100).contains(&script.len()));
        let prefix = bitcoin::ScriptBuf::builder().push_int(i64::from(height)).into_script();
        prop_assert!(script.as_bytes().starts_with(prefix.as_bytes()));
        prop_assert!(script.as_bytes().windows(tag.len().max(1)).any(|part| part == tag.as_bytes()) || tag.is_empty());
        prop_assert_eq!(coinbase.lock_time.to_consensus_u32(), height - 1);
    }
}
