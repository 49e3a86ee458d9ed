//! A reactor driven by hand over real sockets.

use super::*;
use crate::{
    Config, Port,
    engine::Shared,
    tests::{ADDRESS, Miner, Recording, config, easy_port, template},
};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

/// Signet's easiest target.
const BITS: u32 = 0x1e03_77ae;
const SHARES: u64 = 1_000;

#[test]
fn shares_that_have_arrived_when_the_server_stops_are_still_credited_and_answered() {
    let port = Port { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..easy_port() };
    let config = Config { ports: vec![port], ..config() };
    let listener = TcpListener::bind(port.listen).unwrap();
    listener.set_nonblocking(true).unwrap();
    let sink = Arc::new(Recording::default());
    let gate = Arc::new(Gate::new(config.limits.clone()));
    let extranonce = crate::coinbase::EXTRANONCE1_SIZE + config.extranonce2_size;
    let tag = config.tag.clone();
    let engine = Engine::new(Arc::new(Shared::new(config, None, 1)), sink.clone());
    let mailboxes = Arc::new(vec![Mailbox::new().unwrap()]);
    let address = listener.local_addr().unwrap();
    let mut reactor = Reactor::new(
        engine,
        vec![Arc::new(listener)],
        gate,
        0,
        mailboxes,
        Arc::default(),
        Instant::now(),
    )
    .unwrap();
    reactor.engine.now = reactor.now();
    let now = reactor.engine.now.unix as u32;
    let mut work = template(800_000, 1, 2, BITS);
    (work.min_time, work.time) = (now - 600, now);
    let coinbase = crate::coinbase::Coinbase::new(&work, &tag, *b"\0\0\0\0\0\0\0\x01", extranonce);
    reactor.give_out(Arc::new(Job::new(1, Arc::new(work), coinbase)), true);

    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let hello = format!(
        "{{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}}\n{{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"{ADDRESS}.rig\"]}}\n"
    );
    stream.write_all(hello.as_bytes()).unwrap();
    reactor.accept();
    reactor.serve(0, epoll::EventFlags::IN);
    reactor.flush();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let mut miner = Miner::new(0);
    while miner.notify.is_null() {
        miner.hear(&serde_json::from_str(&lines.next().unwrap()).unwrap());
    }
    let version = miner.job_version();
    let shares = (0..SHARES).map(|i| miner.share_with(i, now, version, None, miner.difficulty));
    let text: String = shares.map(|share| share.line() + "\n").collect();
    // More than one read takes, and less than the kernel's buffers hold.
    assert!(text.len() > READ, "{}", text.len());
    stream.write_all(text.as_bytes()).unwrap();

    reactor.say_goodbye();

    let credited: u64 =
        sink.work.lock().unwrap().iter().map(|delta| u64::from(delta.accepted)).sum();
    assert_eq!(credited, SHARES);
    let answers: Vec<Value> = lines.map(|line| serde_json::from_str(&line).unwrap()).collect();
    let accepted = answers.iter().filter(|answer| answer["result"] == true).count();
    assert_eq!(accepted as u64, SHARES);
    assert_eq!(answers.last().unwrap()["method"], "client.reconnect");
}
