//! A reactor driven by hand over real sockets.

use super::*;
use crate::{
    Config, Port,
    engine::Shared,
    tests::{ADDRESS, Miner, Recording, config, easy_port, template},
};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

/// Signet's easiest target.
const BITS: u32 = 0x1e03_77ae;
const SHARES: u64 = 1_000;

/// A reactor that has work, where it listens, and what it hands over.
fn with_work() -> (Reactor, SocketAddr, Arc<Recording>, Arc<Vec<Mailbox>>) {
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
        mailboxes.clone(),
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
    (reactor, address, sink, mailboxes)
}

/// A miner, and what it hears from now on. It has sent more shares on its first job than one read takes, and less than
/// the kernel's buffers hold; the reactor has not looked at them.
fn with_shares_waiting(
    reactor: &mut Reactor,
    address: SocketAddr,
) -> (TcpStream, impl Iterator<Item = String> + use<>) {
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
    let (version, now) = (miner.job_version(), unix_now() as u32);
    let shares = (0..SHARES).map(|i| miner.share_with(i, now, version, None, miner.difficulty));
    let text: String = shares.map(|share| share.line() + "\n").collect();
    assert!(text.len() > READ, "{}", text.len());
    stream.write_all(text.as_bytes()).unwrap();
    (stream, lines)
}

fn credited(sink: &Recording) -> u64 {
    sink.work.lock().unwrap().iter().map(|delta| u64::from(delta.accepted)).sum()
}

fn accepted(lines: impl Iterator<Item = String>) -> (u64, Option<Value>) {
    let answers: Vec<Value> = lines.map(|line| serde_json::from_str(&line).unwrap()).collect();
    let accepted = answers.iter().filter(|answer| answer["result"] == true).count();
    (accepted as u64, answers.last().cloned())
}

#[test]
fn shares_that_have_arrived_when_the_server_stops_are_still_credited_and_answered() {
    let (mut reactor, address, sink, _) = with_work();
    let (_stream, lines) = with_shares_waiting(&mut reactor, address);

    reactor.say_goodbye();

    assert_eq!(credited(&sink), SHARES);
    let (accepted, last) = accepted(lines);
    assert_eq!(accepted, SHARES);
    assert_eq!(last.unwrap()["method"], "client.reconnect");
}

#[test]
fn what_one_read_leaves_is_read_next_and_so_is_the_end() {
    for hangs_up in [false, true] {
        let (mut reactor, address, sink, mailboxes) = with_work();
        let (mut stream, lines) = with_shares_waiting(&mut reactor, address);
        if hangs_up {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        // From here on nothing more arrives of which the reactor could be told.
        let running = std::thread::spawn(move || reactor.run());
        let answers = lines.filter(|line| line.contains("true"));
        assert_eq!(answers.take(SHARES as usize).count() as u64, SHARES);
        if hangs_up {
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the server hangs up as well");
        }
        mailboxes[0].post(|mail| mail.stop = true);
        running.join().unwrap().unwrap();
        assert_eq!(credited(&sink), SHARES);
    }
}
