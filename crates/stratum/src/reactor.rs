//! One thread that serves its share of the connections: waits for sockets, moves bytes between them
//! and the engine. Knows nothing of the protocol.
//!
//! All sockets of a wake are read first, then their shares are hashed together, then every connection
//! is answered with one write. A connection that cannot take its answers is not read until it has.

use crate::{
    engine::{Engine, Now},
    gate::Gate,
    job::Job,
    mailbox::{Mailbox, Report},
    pace::Pace,
    server::Latency,
    session::End,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, epoll},
    fd::{AsFd, OwnedFd},
    io::Errno,
    net::{RecvFlags, SendFlags, SocketFlags},
};
use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Bytes read from a socket at a time: some hundred shares.
const READ: usize = 64 * 1024;
/// Sockets served in one wake.
const EVENTS: usize = 256;
/// Connections taken in one wake, so that a storm of them does not hold up shares.
const ACCEPTS: usize = 64;
/// Reads of each connection at a stop: what the kernel holds of one.
const LAST_READS: usize = 4;
/// Bytes that may gather before they are sent, while a job goes out to all.
const GATHER: usize = 64 * 1024;
/// Answers that may gather within a wake, bytes.
const MAX_OUT: usize = 1 << 20;
/// Connections that one reactor takes before the next one gets any: a small site is served by one
/// thread, whose wakes then bring several shares.
const FILL: usize = 256;
/// A nap: little next to a miner's network, and it saves most wake-ups.
const NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// A socket is told of once for what has arrived, not again until more does: else epoll looks at each a second time,
/// to find it empty. So whoever leaves something unread has it told of anew, by [`watch`].
const READABLE: epoll::EventFlags =
    epoll::EventFlags::IN.union(epoll::EventFlags::RDHUP).union(epoll::EventFlags::ET);
const WAKE: u64 = u64::MAX;
/// Tokens of listeners: this and below; connections count up from 0.
const LISTENER: u64 = u64::MAX - 1;

struct Conn {
    stream: OwnedFd,
    address: IpAddr,
    /// The wake in which it was last read; they are counted round and round.
    read_in: u16,
    /// What the socket has not yet taken, from `sent` on; empty almost always.
    unsent: Vec<u8>,
    sent: usize,
}

pub(crate) struct Reactor {
    epoll: OwnedFd,
    listeners: Vec<Arc<TcpListener>>,
    listening: bool,
    conns: Vec<Option<Conn>>,
    engine: Engine,
    gate: Arc<Gate>,
    index: usize,
    mailboxes: Arc<Vec<Mailbox>>,
    latency: Arc<Latency>,
    started: Instant,
    buffer: Vec<u8>,
    /// The session that was last given a job, so that nobody is always the last.
    cursor: usize,
    pace: Pace,
    wake: u16,
    gone: Vec<(usize, Option<End>)>,
}

impl Reactor {
    pub(crate) fn new(
        engine: Engine,
        listeners: Vec<Arc<TcpListener>>,
        gate: Arc<Gate>,
        index: usize,
        mailboxes: Arc<Vec<Mailbox>>,
        latency: Arc<Latency>,
        started: Instant,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = mailboxes[index].bell.as_fd();
        epoll::add(&epoll, bell, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let mut reactor = Self {
            epoll,
            listeners,
            listening: false,
            conns: Vec::new(),
            engine,
            gate,
            index,
            mailboxes,
            latency,
            started,
            buffer: vec![0; READ],
            cursor: 0,
            pace: Pace::default(),
            wake: 0,
            gone: Vec::new(),
        };
        reactor.listen()?;
        Ok(reactor)
    }

    /// Serves until told to stop.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        let mut next_tick = 1000;
        loop {
            if self.pace.wants_nap(self.engine.now.ms) {
                self.nap();
            }
            let wait = self.sleep_ms(next_tick);
            let timeout = Timespec { tv_sec: 0, tv_nsec: wait as i64 * 1_000_000 };
            events.clear();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&timeout),
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.engine.now = self.now();
            self.pace.count(events.len());
            self.wake = self.wake.wrapping_add(1);
            let (mut mail, mut accept) = (false, false);
            for event in &events {
                match event.data.u64() {
                    WAKE => mail = true,
                    key if key > LISTENER - self.listeners.len() as u64 => accept = true,
                    key => {
                        self.serve(key as usize, event.flags);
                        // What many talkative peers are answered must not gather without bound.
                        if self.engine.out.bytes.len() >= MAX_OUT {
                            self.engine.settle();
                            self.flush();
                        }
                    }
                }
            }
            self.engine.settle();
            self.flush();
            if mail && self.read_mail() {
                return Ok(());
            }
            if accept {
                self.accept();
                self.flush();
            }
            if self.engine.now.ms >= next_tick {
                next_tick = self.engine.now.ms + 1000;
                self.engine.tick();
                self.flush();
                if self.index == 0 {
                    self.gate.tidy(Instant::now());
                }
                // A listener that was put aside for want of descriptors is tried again.
                self.listen()?;
            }
            self.engine.hand_over();
            self.bury();
        }
    }

    /// Lets shares gather. Mail ends it at once: a new block waits for nobody.
    fn nap(&self) {
        let bell = &self.mailboxes[self.index].bell;
        let mut fds = [PollFd::new(bell, PollFlags::IN)];
        // Whatever ends it, the sockets are looked at next.
        let _ = rustix::event::poll(&mut fds, Some(&NAP));
    }

    fn sleep_ms(&self, next_tick: u64) -> u64 {
        let until_tick = next_tick.saturating_sub(self.engine.now.ms);
        self.engine.hand_over_in().map_or(until_tick, |due| due.min(until_tick)).min(999)
    }

    fn now(&self) -> Now {
        Now { ms: self.started.elapsed().as_millis() as u64, unix: unix_now() }
    }

    /// A socket has something for us, or room again.
    fn serve(&mut self, key: usize, flags: epoll::EventFlags) {
        let broken = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
        if flags.contains(epoll::EventFlags::OUT) && !broken {
            return self.resume(key);
        }
        let Some(Some(conn)) = self.conns.get_mut(key) else { return };
        if conn.read_in.wrapping_add(1) == self.wake {
            self.pace.count_again();
        }
        conn.read_in = self.wake;
        match rustix::net::recv(&conn.stream, &mut self.buffer[..], RecvFlags::empty()) {
            Ok((_, 0)) => self.gone.push((key, None)),
            Ok((_, size)) => {
                // A full buffer may have left some, and the end comes after what came before it.
                if size == READ || flags.contains(epoll::EventFlags::RDHUP) {
                    watch(&self.epoll, conn, key, READABLE);
                }
                self.engine.receive(key, &self.buffer[..size]);
            }
            Err(Errno::AGAIN) => {}
            Err(Errno::INTR) => watch(&self.epoll, conn, key, READABLE),
            Err(_) => self.gone.push((key, None)),
        }
    }

    /// Sends everything that the engine has for its sessions, then ends those it wants ended.
    fn flush(&mut self) {
        for (key, bytes) in self.engine.out.iter() {
            let Some(Some(conn)) = self.conns.get_mut(key) else { continue };
            let mut rest = bytes;
            if conn.unsent.is_empty() {
                match rustix::net::send(&conn.stream, rest, SendFlags::NOSIGNAL) {
                    Ok(size) if size == rest.len() => continue,
                    Ok(size) => rest = &rest[size..],
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(_) => {
                        self.gone.push((key, None));
                        continue;
                    }
                }
                watch(&self.epoll, conn, key, epoll::EventFlags::OUT);
            }
            let limit = self.engine.shared.config.limits.send_buffer;
            if conn.unsent.len() - conn.sent + rest.len() > limit {
                self.gone.push((key, Some(End::SlowReader)));
                continue;
            }
            conn.unsent.extend_from_slice(rest);
        }
        self.engine.out.clear();
        for (key, why) in self.engine.ended.drain(..) {
            self.gone.push((key, Some(why)));
        }
    }

    /// A slow reader has room: sends what waited for it.
    fn resume(&mut self, key: usize) {
        let Some(Some(conn)) = self.conns.get_mut(key) else { return };
        match rustix::net::send(&conn.stream, &conn.unsent[conn.sent..], SendFlags::NOSIGNAL) {
            Ok(size) => {
                conn.sent += size;
                // A reader that always stays a little behind must not make it grow.
                if conn.sent >= READ / 4 {
                    conn.unsent.drain(..conn.sent);
                    conn.sent = 0;
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return self.gone.push((key, None)),
        }
        if conn.sent == conn.unsent.len() {
            (conn.unsent, conn.sent) = (Vec::new(), 0);
            watch(&self.epoll, conn, key, READABLE);
        }
    }

    /// Closes what is gone; last in a wake, so that no event of it meets a key's next owner.
    fn bury(&mut self) {
        let now = Instant::now();
        for (key, why) in self.gone.drain(..) {
            let Some(conn) = self.conns.get_mut(key).and_then(Option::take) else { continue };
            self.gate.leave(conn.address, why, now);
            self.mailboxes[self.index].connections.fetch_sub(1, Ordering::Relaxed);
            self.engine.close(key);
            // Dropping the socket takes it out of the epoll set.
        }
    }

    /// True when the reactor is to end.
    fn read_mail(&mut self) -> bool {
        let mail = self.mailboxes[self.index].take();
        for (stream, peer, port) in mail.adopted {
            self.take_in(stream, peer, port);
        }
        let overtaken = mail.job.is_some_and(|(job, new_tip)| self.give_out(job, new_tip));
        // Work that came while the last job went out ends the waiting before it begins.
        if let Some(why) = mail.wait.filter(|_| !overtaken) {
            self.engine.wait(&why);
            self.tell_all();
        }
        if !mail.steers.is_empty() {
            self.engine.steer(mail.steers);
            self.flush();
        }
        for answer in mail.ask_sessions {
            let _ = answer.try_send(self.engine.session_states());
        }
        for answer in mail.ask {
            // Whoever asked may have given up; that is no concern of ours.
            let _ = answer.try_send(self.report());
        }
        if mail.stop {
            self.say_goodbye();
        }
        mail.stop
    }

    /// Gives a job to all sessions. If a newer one arrives meanwhile, as the full template does while
    /// the empty one goes out, those who still wait get that one at once.
    fn give_out(&mut self, mut job: Arc<Job>, mut new_tip: bool) -> bool {
        let learned = job.template.learned;
        let count = self.conns.len();
        let (mut on_old_tip, mut left) = (if new_tip { count } else { 0 }, count);
        let mut overtaken = false;
        self.engine.take_job(job, new_tip);
        while left > 0 {
            self.cursor = (self.cursor + 1) % count;
            left -= 1;
            if self.conns[self.cursor].is_some() {
                self.engine.announce(self.cursor);
            }
            on_old_tip = on_old_tip.saturating_sub(1);
            let told = new_tip && on_old_tip == 0;
            if self.engine.out.bytes.len() < GATHER && left > 0 && !told {
                continue;
            }
            self.flush();
            if told {
                new_tip = false;
                if !self.engine.sessions.is_empty() {
                    self.latency.record(learned.elapsed());
                }
            }
            let Some(newer) = self.mailboxes[self.index].newer_job() else { continue };
            (job, left, overtaken) = (newer.0, count, true);
            if newer.1 {
                (new_tip, on_old_tip) = (true, count);
            }
            self.engine.take_job(job, newer.1);
        }
        overtaken
    }

    fn tell_all(&mut self) {
        for key in 0..self.conns.len() {
            if self.conns[key].is_some() {
                self.engine.announce(key);
            }
            if self.engine.out.bytes.len() >= GATHER {
                self.flush();
            }
        }
        self.flush();
    }

    fn report(&self) -> Report {
        let sessions = self.engine.sessions.iter();
        Report {
            workers: self.engine.workers.states().cloned().collect(),
            anonymous_rejects: self.engine.anonymous_rejects,
            authorized: sessions.filter(|(_, session)| session.worker.is_some()).count(),
        }
    }

    /// What has arrived is still judged and answered.
    fn read_the_last(&mut self) {
        let reads = (0..self.conns.len()).flat_map(|key| [key; LAST_READS]);
        for key in reads {
            self.serve(key, epoll::EventFlags::IN);
            if self.engine.out.bytes.len() >= GATHER {
                self.engine.settle();
                self.flush();
            }
        }
        self.engine.settle();
        self.flush();
    }

    /// Everything counted is handed over, and miners are asked to connect again.
    fn say_goodbye(&mut self) {
        self.read_the_last();
        let keys: Vec<usize> = self.engine.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            let out = self.engine.out.to(key);
            crate::wire::notification(out, "client.show_message", "\"the server is stopping\"");
            crate::wire::notification(out, "client.reconnect", "");
            self.gone.push((key, None));
            if self.engine.out.bytes.len() >= GATHER {
                self.flush();
            }
        }
        self.flush();
        self.bury();
        self.engine.now.ms += crate::HAND_OVER_MS;
        // The ledger's queue may be full just now; it empties within a few commits.
        for _ in 0..100 {
            self.engine.hand_over();
            if self.engine.hand_over_in().is_none() {
                return;
            }
            self.engine.now.ms += crate::HAND_OVER_MS;
            std::thread::sleep(Duration::from_millis(10));
        }
        tracing::error!("the ledger did not take the last shares before the end");
    }

    fn listen(&mut self) -> io::Result<()> {
        if self.listening {
            return Ok(());
        }
        for (i, listener) in self.listeners.iter().enumerate() {
            let token = epoll::EventData::new_u64(LISTENER - i as u64);
            let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
            epoll::add(&self.epoll, &**listener, token, flags)?;
        }
        self.listening = true;
        Ok(())
    }

    fn accept(&mut self) {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        for port in 0..self.listeners.len() {
            for _ in 0..ACCEPTS {
                match rustix::net::acceptfrom_with(&*self.listeners[port], flags) {
                    Ok((stream, Some(peer))) => {
                        let Ok(peer) = SocketAddr::try_from(peer) else { continue };
                        if self.gate.enter(peer.ip(), Instant::now()).is_ok() {
                            self.place(stream, peer, port as u16);
                        }
                    }
                    Ok((_, None)) | Err(Errno::CONNABORTED | Errno::INTR) => {}
                    Err(Errno::AGAIN) => break,
                    Err(error) => {
                        // Out of descriptors: a listener that stays ready would spin. Next second again.
                        tracing::warn!(%error, "cannot take more connections; trying again in a second");
                        for listener in &self.listeners {
                            let _ = epoll::delete(&self.epoll, &**listener);
                        }
                        self.listening = false;
                        return;
                    }
                }
            }
        }
    }

    /// Keeps a new connection, or gives it to the reactor that should have it: the first that is not
    /// full, then the emptiest.
    fn place(&mut self, stream: OwnedFd, peer: SocketAddr, port: u16) {
        let load = |index: &usize| self.mailboxes[*index].connections.load(Ordering::Relaxed);
        let all = 0..self.mailboxes.len();
        let first = all.clone().find(|index| load(index) < FILL);
        let index = first.or_else(|| all.min_by_key(load)).unwrap_or(self.index);
        self.mailboxes[index].connections.fetch_add(1, Ordering::Relaxed);
        if index == self.index {
            self.take_in(stream, peer, port);
        } else {
            self.mailboxes[index].post(|mail| mail.adopted.push((stream, peer, port)));
        }
    }

    fn take_in(&mut self, stream: OwnedFd, peer: SocketAddr, port: u16) {
        let key = self.engine.open(peer, port);
        let token = epoll::EventData::new_u64(key as u64);
        let added = epoll::add(&self.epoll, &stream, token, READABLE);
        if self.conns.len() <= key {
            self.conns.resize_with(key + 1, || None);
        }
        let (address, read_in) = (peer.ip(), self.wake);
        self.conns[key] = Some(Conn { stream, address, read_in, unsent: Vec::new(), sent: 0 });
        if added.is_err() {
            self.gone.push((key, None));
        }
    }
}

fn watch(epoll: &OwnedFd, conn: &Conn, key: usize, flags: epoll::EventFlags) {
    // Fails only for a descriptor that is not in the set; ours is until it is dropped.
    let _ = epoll::modify(epoll, &conn.stream, epoll::EventData::new_u64(key as u64), flags);
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
