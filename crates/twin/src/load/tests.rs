use super::*;
use crate::scripted::{EXTRANONCE1, Talk, job, listen, meets, share_hash};
use std::{
    collections::{BTreeSet, HashSet},
    io::Write,
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

const EASY: f64 = 1e-9;
const MASK: u32 = 0x1fff_e000;

/// A small server that checks every share by itself.
#[derive(Default)]
struct Checked {
    job: Mutex<Value>,
    outs: Mutex<Vec<TcpStream>>,
    users: Mutex<BTreeSet<String>>,
    sources: Mutex<BTreeSet<String>>,
    shares: AtomicU64,
    /// Every so many-th share is refused.
    refuse_each: u64,
    /// A clean job goes out with this share.
    clean_at: Option<u64>,
    /// Says its lines with the order and spacing of other servers.
    spaced: bool,
}

impl Checked {
    fn start(self) -> (Arc<Self>, SocketAddr) {
        let (listener, address) = listen();
        *self.job.lock().unwrap() = job("first", true);
        let server = Arc::new(self);
        let accepting = server.clone();
        thread::spawn(move || {
            loop {
                let (talk, from) = Talk::accept_from(&listener);
                accepting.sources.lock().unwrap().insert(from);
                let server = accepting.clone();
                thread::spawn(move || server.serve(talk));
            }
        });
        (server, address.parse().unwrap())
    }

    fn serve(&self, mut talk: Talk) {
        let mut seen = HashSet::new();
        let mut mine = Value::Null;
        while let Some(call) = talk.hear_json() {
            let id = &call["id"];
            let answer = match call["method"].as_str().unwrap_or_default() {
                "mining.configure" => {
                    json!({"version-rolling": true, "version-rolling.mask": "1fffe000"})
                }
                "mining.subscribe" => json!([[["mining.notify", "1"]], EXTRANONCE1, 4]),
                "mining.authorize" => {
                    let user = call["params"][0].as_str().unwrap().to_owned();
                    self.users.lock().unwrap().insert(user);
                    json!(true)
                }
                "mining.submit" => {
                    self.submitted(&mut talk, &call, &mut seen, &mut mine);
                    continue;
                }
                other => panic!("{other}"),
            };
            if self.spaced {
                talk.say_raw(&format!(
                    "{{ \"result\" : {answer}, \"error\": null, \"id\": {id} }}\r\n"
                ));
            } else {
                talk.say(json!({"id": id, "result": answer, "error": null}));
            }
            if call["method"] == "mining.authorize" {
                mine = self.job.lock().unwrap().clone();
                if self.spaced {
                    talk.say_raw(&format!(
                        "{{\"params\": {mine}, \"id\": null, \"method\": \"mining.notify\"}}\n"
                    ));
                    talk.set_difficulty(EASY);
                } else {
                    talk.set_difficulty(EASY);
                    talk.notify(&mine);
                }
                self.outs.lock().unwrap().push(talk.out());
            }
        }
    }

    fn submitted(
        &self,
        talk: &mut Talk,
        call: &Value,
        seen: &mut HashSet<String>,
        mine: &mut Value,
    ) {
        let count = self.shares.fetch_add(1, Relaxed) + 1;
        if self.clean_at == Some(count) {
            self.broadcast("second", true);
        }
        let now = self.job.lock().unwrap().clone();
        if call["params"][1] != mine[0] {
            assert_eq!(call["params"][1], now[0], "a share for no job");
            *mine = now.clone();
        }
        if mine[0] != now[0] {
            talk.say(json!({"id": call["id"], "result": null, "error": [21, "Stale", null]}));
            return;
        }
        let hash = share_hash(call, mine, EXTRANONCE1, MASK);
        assert!(meets(&hash, EASY));
        let extranonce2 = call["params"][2].as_str().unwrap().to_owned();
        assert!(seen.insert(extranonce2), "an extranonce2 came twice");
        if self.refuse_each > 0 && count.is_multiple_of(self.refuse_each) {
            talk.say(json!({"id": call["id"], "result": false, "error": [20, "Mood", null]}));
        } else {
            talk.answer(call, json!(true));
        }
    }

    fn broadcast(&self, id: &str, clean: bool) {
        // Held until all know: no share is refused before its connection has the news.
        let mut current = self.job.lock().unwrap();
        *current = job(id, clean);
        let line = json!({"id": null, "method": "mining.notify", "params": *current});
        for out in self.outs.lock().unwrap().iter_mut() {
            out.write_all(format!("{line}\n").as_bytes()).ok();
        }
    }
}

fn load(server: SocketAddr, change: impl FnOnce(&mut LoadConfig)) -> Load {
    let mut config = LoadConfig::new(server, "user.w{i}");
    config.patience = Duration::from_secs(3);
    change(&mut config);
    Load::open(config).unwrap()
}

#[test]
fn connections_come_to_their_first_job_whatever_the_handshake_looks_like() {
    for (step_by_step, configure, spaced) in
        [(false, true, false), (true, true, false), (true, false, true), (false, true, true)]
    {
        let (server, address) = Checked { spaced, ..Checked::default() }.start();
        let mut load = load(address, |config| {
            config.step_by_step = step_by_step;
            config.configure = configure;
            config.user = "{address}.w{i}".into();
            config.addresses = vec!["a".into(), "b".into()];
            config.sources = 5;
            config.in_flight = 7;
            config.pids = vec![std::process::id()];
        });
        let result = load.connect(30).unwrap();
        assert_eq!((result.asked, result.connected), (30, 30), "{result:?}");
        assert!(result.failed.is_empty() && result.per_second > 1.0);
        assert!(result.latency_ms.unwrap().last <= result.wall_ms + 1.0);
        assert!(result.server_cpu_us_each.unwrap() > 0.0);
        assert_eq!(load.ready(), 30);
        let memory = load.memory().unwrap().unwrap();
        assert_eq!(memory.connections, 30);
        let users = server.users.lock().unwrap().clone();
        assert_eq!(users.len(), 30);
        assert!(users.contains("a.w0") && users.contains("b.w29"));
        assert_eq!(server.sources.lock().unwrap().len(), 5);
        assert_eq!(load.connect(3).unwrap().connected, 3);
        load.close();
        assert_eq!(load.ready(), 0);
    }
}

#[test]
fn every_share_is_valid_and_every_answer_is_counted() {
    for spaced in [false, true] {
        let (server, address) = Checked { refuse_each: 10, spaced, ..Checked::default() }.start();
        let mut load = load(address, |config| config.pids = vec![std::process::id()]);
        load.connect(5).unwrap();
        let mut before = 0;
        for (pattern, shares) in [
            (Pattern::Depth { connections: 1, depth: 1, shares: 100 }, 100),
            (Pattern::Depth { connections: 3, depth: 64, shares: 1000 }, 1000),
            (Pattern::Paced { connections: 5, per_second: 1000.0, seconds: 0.3 }, 300),
        ] {
            let result = load.submit(pattern).unwrap();
            before += shares;
            assert_eq!(server.shares.load(Relaxed), before);
            assert_eq!(result.sent, shares);
            assert_eq!(result.rejected, shares / 10);
            assert_eq!(result.rejected_by_reason["Mood"], shares / 10);
            assert_eq!(result.accepted, shares - shares / 10);
            assert_eq!((result.invalidated, result.unanswered), (0, 0));
            assert_eq!(result.difficulty, EASY);
            assert!(result.per_second > 10.0 && result.own_cpu_us_each > 0.0);
            assert!(result.server_cpu_us_each.unwrap() > 0.0);
            let latency = result.latency_us.unwrap();
            assert!(latency.first > 0.0 && latency.median <= latency.p99);
            if let Pattern::Paced { .. } = pattern {
                assert!(result.wall_ms > 250.0, "{result:?}");
            }
        }
    }
}

#[test]
fn shares_of_a_voided_job_are_made_again_and_are_no_failures() {
    let (_, address) = Checked { clean_at: Some(300), ..Checked::default() }.start();
    let mut load = load(address, |_| {});
    load.connect(3).unwrap();
    let pattern = Pattern::Depth { connections: 3, depth: 20, shares: 900 };
    let result = load.submit(pattern).unwrap();
    assert_eq!(result.sent, 900);
    assert_eq!(result.rejected, 0, "{result:?}");
    assert!(result.invalidated > 0 && result.invalidated <= 60);
    assert!(result.remade > 400);
    assert_eq!(result.accepted, 900 - result.invalidated);
}

#[test]
fn the_news_of_a_block_is_timed_at_every_connection() {
    let (server, address) = Checked::default().start();
    let mut load = load(address, |config| config.keep_jobs = false);
    load.connect(20).unwrap();
    let result = load
        .notify(|| {
            thread::sleep(Duration::from_millis(50));
            let now = Instant::now();
            server.broadcast("plain", false);
            thread::sleep(Duration::from_millis(100));
            server.broadcast("block", true);
            Ok(now)
        })
        .unwrap();
    assert_eq!((result.connections, result.notified, result.jobs), (20, 20, 40));
    let clean = result.clean_ms.unwrap();
    assert!(clean.first >= 100.0 && clean.last < 1000.0, "{clean:?}");
    assert_eq!(result.empty_first, 0);
    assert_eq!(result.full_ms.unwrap(), clean);
    assert_eq!(result.server_cpu_us_each, None);

    let early = load.notify(|| {
        server.broadcast("early", true);
        thread::sleep(Duration::from_millis(50));
        Ok(Instant::now())
    });
    assert!(early.unwrap().clean_ms.unwrap().last < 0.0);
    let failed = load.notify(|| Err("the node is down".into())).unwrap_err();
    assert_eq!(failed.to_string(), "the new block could not be made: the node is down");
}

#[test]
fn a_soak_survives_churn_and_bad_neighbours() {
    let (_, address) = Checked::default().start();
    let mut load = load(address, |config| config.pids = vec![std::process::id()]);
    load.connect(10).unwrap();
    let mut printed = 0;
    let soak = Soak {
        seconds: 1.5,
        per_second: 400.0,
        churn_per_second: 20.0,
        silent: 3,
        slow: 3,
        garbage: 3,
        sample_every: 0.5,
    };
    let result = load.soak(soak, |_| printed += 1).unwrap();
    assert_eq!(result.samples.len(), printed);
    assert!((3..=5).contains(&printed), "{result:?}");
    assert!((28..=30).contains(&result.cut), "{result:?}");
    assert!(result.sent > 300 && result.accepted + result.unanswered == result.sent);
    assert!(result.unanswered < 60, "{result:?}");
    assert!(result.rejected_by_reason.is_empty(), "{result:?}");
    assert_eq!(result.lost_connections, 0, "{result:?}");
    assert!(result.bad_closed >= 3, "{result:?}");
    assert!(result.samples[0].rss_kib.unwrap() > 0 && result.server_cpu_s.unwrap() > 0.0);
}

#[test]
fn a_server_that_refuses_or_says_nothing_is_reported_not_waited_for_forever() {
    let (listener, address) = listen();
    drop(listener);
    let mut closed = load(address.parse().unwrap(), |_| {});
    let result = closed.connect(3).unwrap();
    assert_eq!((result.connected, result.failed.values().sum::<u64>()), (0, 3));
    assert!(matches!(
        closed.submit(Pattern::Depth { connections: 1, depth: 1, shares: 1 }),
        Err(LoadError::NoConnections)
    ));

    let (_listener, address) = listen();
    let mut silent = load(address.parse().unwrap(), |config| {
        config.patience = Duration::from_millis(200);
    });
    let result = silent.connect(3).unwrap();
    assert_eq!(result.failed["no first job in time"], 3);

    let (listener, address) = listen();
    thread::spawn(move || {
        let mut talk = Talk::accept(&listener);
        let call = talk.hear_call("mining.authorize").unwrap();
        talk.say(json!({"id": call["id"], "result": false, "error": [24, "Who?", null]}));
        while talk.hear().is_some() {}
    });
    let mut refused = load(address.parse().unwrap(), |_| {});
    let result = refused.connect(1).unwrap();
    assert_eq!(result.failed["authorize refused: Who?"], 1);
}

#[test]
fn a_difficulty_that_no_processor_can_serve_is_an_error_with_a_remedy() {
    let (listener, address) = listen();
    thread::spawn(move || {
        let mut talk = Talk::accept(&listener);
        talk.welcome(None);
        talk.set_difficulty(1024.0);
        talk.notify(&job("a", true));
        while talk.hear().is_some() {}
    });
    let mut load = load(address.parse().unwrap(), |_| {});
    load.connect(1).unwrap();
    let pattern = Pattern::Depth { connections: 1, depth: 1, shares: 10 };
    let said = load.submit(pattern).unwrap_err().to_string();
    assert!(said.contains("difficulty 1024") && said.contains("fewer shares"), "{said}");
}

#[test]
fn unusable_settings_are_refused_with_a_sentence() {
    let server: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let said = |change: &dyn Fn(&mut LoadConfig)| {
        let mut config = LoadConfig::new(server, "u");
        change(&mut config);
        match Load::open(config) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    };
    assert!(said(&|c| c.user = "{address}.w{i}".into()).contains("unusable"));
    assert!(said(&|c| c.user = "{name}".into()).contains("{name}"));
    assert!(said(&|c| c.pids = vec![u32::MAX]).contains("4294967295"));
    assert!(said(&|c| c.in_flight = 0).contains("at least one"));
    assert!(said(&|c| c.sources = 2_000_000).contains("1048576"));
    let far = "192.0.2.1:3333".parse().unwrap();
    let spread = |c: &mut LoadConfig| {
        c.server = far;
        c.sources = 2;
    };
    assert!(said(&spread).contains("127.0.0.0/8"));

    let mut load = load(server, |_| {});
    for pattern in [
        Pattern::Depth { connections: 0, depth: 1, shares: 1 },
        Pattern::Depth { connections: 1, depth: 0, shares: 1 },
        Pattern::Depth { connections: 1, depth: 1, shares: 0 },
        Pattern::Depth { connections: 1, depth: 1, shares: 1 << 40 },
        Pattern::Paced { connections: 1, per_second: f64::NAN, seconds: 1.0 },
        Pattern::Paced { connections: 1, per_second: -1.0, seconds: 1.0 },
        Pattern::Paced { connections: 1, per_second: 1.0, seconds: f64::INFINITY },
    ] {
        assert!(matches!(load.submit(pattern), Err(LoadError::Setting(_))), "{pattern:?}");
    }
}

#[test]
fn the_descriptor_limit_is_raised_to_the_hard_one() {
    let limit = raise_descriptor_limit().unwrap();
    assert_eq!(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), limit);
}
