use super::*;
use crate::{Server, Steer, Steered, session::End};
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

fn steer(rig: &mut Rig, who: Steered, steer: Steer) -> Vec<(usize, Value)> {
    rig.engine.steer([(who, steer)].into());
    rig.sent()
}

fn rig_worker() -> Steered {
    Steered::Worker(format!("{ADDRESS}.rig").into())
}

fn every(ms: u64) -> Steer {
    Steer { share_interval: Some(Duration::from_millis(ms)), curtailed: false }
}

const CURTAILED: Steer = Steer { share_interval: None, curtailed: true };

fn methods(lines: &[(usize, Value)], key: usize) -> Vec<String> {
    let own = lines.iter().filter(|(to, _)| *to == key);
    own.filter_map(|(_, line)| line["method"].as_str().map(str::to_string)).collect()
}

fn pass(rig: &mut Rig, ms: u64) -> Vec<(usize, Value)> {
    rig.engine.now.ms += ms;
    rig.engine.tick();
    rig.sent()
}

/// A port with vardiff, a network far beyond, and a start at which nothing needs be hashed.
fn roomy(vardiff: bool) -> Rig {
    let port = Port { start_difficulty: 1024.0, vardiff, fractional: true, ..Port::default() };
    let mut rig = Rig::new(Config { ports: vec![port], ..config() });
    rig.job(template(800_000, 1, 2, 0x1702_f128), true);
    rig
}

#[test]
fn half_the_interval_is_half_the_difficulty_and_release_returns_it() {
    for vardiff in [true, false] {
        let mut rig = roomy(vardiff);
        let (miner, _) = rig.miner();
        let difficulty = |lines: &[(usize, Value)]| {
            let set = lines.iter().find(|(_, line)| line["method"] == "mining.set_difficulty");
            set.map(|(_, line)| line["params"][0].as_f64().unwrap())
        };
        // Twenty a minute is one every three seconds.
        let lines = steer(&mut rig, rig_worker(), every(1500));
        assert_eq!(difficulty(&lines), Some(512.0));
        assert_eq!(methods(&lines, miner.key), ["mining.set_difficulty", "mining.notify"]);
        assert_eq!(difficulty(&steer(&mut rig, rig_worker(), every(1500))), None);
        let by_address = Steered::Address([127, 0, 0, 1].into());
        let lines = steer(&mut rig, by_address, every(300));
        assert_eq!(difficulty(&lines), None, "the name goes before the address");
        let lines = steer(&mut rig, rig_worker(), Steer::default());
        assert!((difficulty(&lines).unwrap() - 102.4).abs() < 1e-9);
        let lines = steer(&mut rig, Steered::Address([127, 0, 0, 1].into()), Steer::default());
        assert!((difficulty(&lines).unwrap() - 1024.0).abs() < 1e-9);
    }
}

#[test]
fn vardiff_holds_the_steered_interval() {
    let mut rig = roomy(true);
    let (miner, _) = rig.miner();
    steer(&mut rig, rig_worker(), every(1500));
    let session = &rig.engine.sessions[miner.key];
    let per_ms = session.steer.per_ms(rig.engine.per_ms());
    assert!((per_ms - 1.0 / 1500.0).abs() < 1e-12);
    let current = session.difficulty.current();
    // A share every 1.5 s is as wanted, one every 3 s would be half of it.
    let mut vardiff = session.vardiff;
    for second in 1..400 {
        let now = rig.engine.now.ms + 1000 * second;
        if second % 3 != 0 {
            assert_eq!(vardiff.share(now, current, per_ms), None);
        }
        assert_eq!(vardiff.tick(now, current, per_ms), None, "{second}");
    }
}

#[test]
fn steering_survives_a_reconnect() {
    let mut rig = roomy(true);
    let (first, _) = rig.miner();
    steer(&mut rig, rig_worker(), every(750));
    rig.engine.close(first.key);
    let (second, lines) = rig.miner();
    assert_eq!(second.difficulty, 256.0);
    let sets = lines.iter().filter(|line| line["method"] == "mining.set_difficulty").count();
    assert_eq!(sets, 1);
}

#[test]
fn an_interval_that_leaves_no_room_for_chance_is_bounded() {
    let port = Port {
        start_difficulty: 1e-9,
        min_difficulty: 1e-12,
        vardiff: false,
        fractional: true,
        ..Port::default()
    };
    let mut rig = Rig::new(Config { ports: vec![port], ..config() });
    rig.job(template(800_000, 1, 2, SIGNET_BITS), true);
    let (miner, _) = rig.miner();
    steer(&mut rig, rig_worker(), every(0));
    let hashes = rig.engine.sessions[miner.key].difficulty.current().work().hashes();
    assert!((hashes - 10.0).abs() < 1e-6, "{hashes}");
}

#[test]
fn a_curtailed_worker_gets_no_job_and_others_do_until_it_is_released() {
    let mut rig = Rig::working();
    let (paused, _) = rig.miner();
    let other = rig.connect();
    let hello = concat!(
        r#"{"id":1,"method":"mining.subscribe","params":[]}"#,
        "\n",
        r#"{"id":2,"method":"mining.authorize","params":["bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080.other"]}"#,
        "\n"
    );
    rig.say(other, hello);
    let lines = steer(&mut rig, rig_worker(), CURTAILED);
    assert_eq!(methods(&lines, paused.key), ["client.show_message"]);
    assert!(methods(&lines, other).is_empty());
    let lines = rig.job(template(800_001, 2, 2, SIGNET_BITS), true);
    assert!(methods(&lines, paused.key).is_empty());
    assert_eq!(methods(&lines, other), ["mining.notify"]);

    pass(&mut rig, 1000);
    assert_eq!(rig.engine.ended, [(paused.key, End::Curtailed)]);
    rig.engine.ended.clear();
    rig.engine.close(paused.key);
    assert!(!End::Curtailed.is_abuse() && End::ALL.contains(&End::Curtailed));

    let (waiting, lines) = rig.miner();
    assert!(lines.iter().any(|line| line["id"] == 3 && line["result"] == true));
    assert!(lines.iter().all(|line| line["method"] != "mining.notify"), "{lines:?}");
    let lines = rig.job(template(800_002, 3, 2, SIGNET_BITS), true);
    assert!(methods(&lines, waiting.key).is_empty());
    pass(&mut rig, 10_000_000);
    assert!(rig.engine.ended.iter().all(|(key, _)| *key != waiting.key), "it may wait");

    let lines = steer(&mut rig, rig_worker(), Steer::default());
    assert!(methods(&lines, waiting.key).contains(&"mining.notify".to_string()));
    assert!(rig.engine.sessions[waiting.key].ready);
}

#[test]
fn a_late_share_of_a_curtailed_worker_earns_nothing_but_its_late_block_is_a_block() {
    let mut rig = Rig::new(config());
    // The easiest target there is: every second share is a block.
    rig.job(template(800_000, 1, 2, 0x207f_ffff), true);
    let (miner, _) = rig.miner();
    let shares: Vec<Share> = (0..2).map(|i| miner.share(i)).collect();
    steer(&mut rig, rig_worker(), CURTAILED);
    for share in &shares {
        assert_eq!(rig.submit(&miner, share)["error"][1], crate::Reject::NoWork.sentence());
    }
    assert_eq!(rig.sink.solved.lock().unwrap().len(), 2);
    let session = &rig.engine.sessions[miner.key];
    assert_eq!((session.accepted, session.faulty, session.rejected_in_a_row), (0, 0, 0));
}

#[test]
fn what_a_paused_machine_sends_of_its_old_job_is_no_fault_of_it() {
    let mut rig = Rig::working();
    let (before, _) = rig.miner();
    let mut wrong = before.share(2);
    wrong.nonce = json!("00000000");
    let mut unknown = before.share(3);
    unknown.job = json!("ffff00");
    steer(&mut rig, rig_worker(), CURTAILED);
    // Connected again, it goes on with a job that it got under another extranonce.
    let (after, _) = rig.miner();
    for share in [&wrong, &unknown, &before.share(1), &wrong] {
        assert_eq!(rig.submit(&after, share)["error"][1], crate::Reject::NoWork.sentence());
    }
    let session = &rig.engine.sessions[after.key];
    assert_eq!((session.accepted, session.faulty, session.rejected_in_a_row), (0, 0, 0));
}

#[test]
fn a_pause_taken_back_at_once_keeps_the_connection() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    steer(&mut rig, rig_worker(), CURTAILED);
    let lines = steer(&mut rig, rig_worker(), Steer::default());
    assert_eq!(methods(&lines, miner.key), ["mining.notify"]);
    pass(&mut rig, 1000);
    assert!(rig.engine.ended.is_empty());
}

#[test]
fn shares_that_miss_their_target_or_come_twice_are_faulty_and_others_are_not() {
    let mut rig = Rig::working();
    let (miner, _) = rig.miner();
    let good = miner.share(1);
    let mut wrong = miner.share(2);
    wrong.nonce = json!("00000000");
    let mut unknown = miner.share(3);
    unknown.job = json!("ffff00");
    let codes = [&good, &good, &wrong, &unknown].map(|share| code(&rig.submit(&miner, share)));
    assert_eq!(codes, [0, 22, 23, 21]);
    let state = &rig.engine.session_states()[0];
    assert_eq!((state.accepted, state.faulty, state.curtailed), (1, 2, false));
    assert_eq!(&*state.worker, format!("{ADDRESS}.rig"));
}

#[test]
fn a_server_steers_by_name_and_by_address_and_lists_its_sessions() {
    let port = Port { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..easy_port() };
    let config = Config { ports: vec![port], threads: 2, ..config() };
    let server = Server::start(config, Arc::new(Recording::default())).unwrap();
    server.work(Arc::new(template(800_000, 1, 2, SIGNET_BITS)), true);
    let mut stream = TcpStream::connect(server.addresses()[0]).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    assert_eq!(server.sessions().map(|all| all.len()), Some(0));
    let hello = format!(
        "{{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"x/1\"]}}\n{{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"{ADDRESS}.a\"]}}\n"
    );
    stream.write_all(hello.as_bytes()).unwrap();
    assert!(lines.any(|line| line.contains("mining.notify")));
    let all = server.sessions().unwrap();
    assert_eq!((all.len(), all[0].user_agent.as_deref()), (1, Some("x/1")));
    assert_eq!(&*all[0].worker, format!("{ADDRESS}.a"));
    assert!(server.steer(Steered::Address([127, 0, 0, 1].into()), CURTAILED));
    assert!(lines.any(|line| line.contains("paused by the server's owner")));
    assert!(lines.next().is_none(), "the connection is closed");
}
