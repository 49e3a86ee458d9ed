//! The sockets of the load generator: one epoll, one read buffer, any number of connections.
//! It moves bytes and tells events; what they mean for a measurement is not its business.

use super::{
    LoadError,
    connection::{Connection, Event, Fault},
};
use rustix::{
    buffer::spare_capacity,
    event::{
        PollFd, PollFlags, Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
        poll,
    },
    fd::{AsFd, OwnedFd},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send,
        socket_with, sockopt,
    },
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create,
        timerfd_settime,
    },
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

const READ_BUFFER: usize = 128 * 1024;
const EVENTS_AT_ONCE: usize = 1024;
/// Bytes that may wait for a server that does not read.
const MAX_UNSENT: usize = 4 * 1024 * 1024;
const TIMER: u64 = u64::MAX;

/// How the pool treats what a connection receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A miner: reads and understands.
    Miner,
    /// Reads, and throws away.
    Deaf,
    /// Never reads.
    Stuck,
}

struct Slot {
    socket: OwnedFd,
    kind: Kind,
    opened: Instant,
    unsent: Vec<u8>,
    state: Connection,
}

/// All connections, by index.
pub(super) struct Pool {
    server: SocketAddr,
    epoll: OwnedFd,
    slots: Vec<Option<Slot>>,
    ready: Vec<epoll::Event>,
    buffer: Vec<u8>,
    out: Vec<u8>,
    timer: Option<OwnedFd>,
    /// Whether connections keep their latest job.
    pub keep_jobs: bool,
    /// When epoll last reported.
    pub now: Instant,
    /// What happened since it was last taken.
    events: Vec<(usize, Event)>,
    /// Ticks of the timer at that moment.
    pub ticks: u64,
}

impl Pool {
    pub fn new(server: SocketAddr, keep_jobs: bool) -> Result<Self, LoadError> {
        Ok(Self {
            server,
            epoll: epoll::create(CreateFlags::CLOEXEC).map_err(LoadError::system)?,
            slots: Vec::new(),
            ready: Vec::with_capacity(EVENTS_AT_ONCE),
            buffer: vec![0; READ_BUFFER],
            out: Vec::new(),
            timer: None,
            keep_jobs,
            now: Instant::now(),
            events: Vec::new(),
            ticks: 0,
        })
    }

    /// Slots there are, open or not.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The protocol state of an open connection.
    pub fn state(&self, index: usize) -> Option<&Connection> {
        self.slots.get(index)?.as_ref().map(|slot| &slot.state)
    }

    /// When an open connection was opened.
    pub fn opened(&self, index: usize) -> Option<Instant> {
        self.slots.get(index)?.as_ref().map(|slot| slot.opened)
    }

    /// Whether this connection can submit shares.
    pub fn is_ready(&self, index: usize) -> bool {
        self.state(index).is_some_and(Connection::ready)
    }

    /// Opens a connection in a slot, from a source address if one is given, and sends its first
    /// bytes as soon as it stands. That it failed is told as an event.
    pub fn open(
        &mut self,
        index: usize,
        source: Option<Ipv4Addr>,
        kind: Kind,
        first: &[u8],
    ) -> Result<(), LoadError> {
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        let socket = match self.socket(index, source) {
            Ok(socket) => socket,
            Err(Errno::MFILE | Errno::NFILE) => return Err(LoadError::Descriptors(index)),
            Err(error) => {
                let why = fault(error);
                let ready = false;
                self.events.push((index, Event::Closed { why, ready }));
                return Ok(());
            }
        };
        self.slots[index] = Some(Slot {
            socket,
            kind,
            opened: Instant::now(),
            unsent: Vec::new(),
            state: Connection::default(),
        });
        self.write(index, first);
        Ok(())
    }

    /// Closes a connection; nothing is told.
    pub fn close(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = None;
        }
    }

    /// Sends bytes, or keeps them until the server takes them.
    pub fn write(&mut self, index: usize, bytes: &[u8]) {
        let Some(Some(slot)) = self.slots.get_mut(index) else { return };
        let mut sent = 0;
        while slot.unsent.is_empty() && sent < bytes.len() {
            match send(&slot.socket, &bytes[sent..], SendFlags::NOSIGNAL) {
                Ok(count) => sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOTCONN) => break,
                Err(error) => return self.end(index, fault(error)),
            }
        }
        slot.unsent.extend_from_slice(&bytes[sent..]);
        if slot.unsent.len() > MAX_UNSENT {
            self.end(index, "the server does not read".into());
        }
    }

    /// Makes the timer tick at this interval from now on, or stops it. Ticks that were missed are
    /// counted.
    pub fn tick_every(&mut self, interval: Option<Duration>) -> Result<(), LoadError> {
        let Some(interval) = interval else {
            self.timer = None;
            return Ok(());
        };
        let interval = Timespec {
            tv_sec: interval.as_secs() as i64,
            tv_nsec: interval.subsec_nanos().max(1).into(),
        };
        let timer = || {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            let setting = Itimerspec { it_interval: interval, it_value: interval };
            timerfd_settime(&timer, TimerfdTimerFlags::empty(), &setting)?;
            epoll::add(&self.epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
            Ok(timer)
        };
        self.timer = Some(timer().map_err(LoadError::system)?);
        Ok(())
    }

    /// Waits for the timer alone, at most this long; what arrives meanwhile waits to be read. A wake-up
    /// for each answer would be paid by whoever sends it, as the kernel counts: by the server.
    pub fn wait_for_tick(&self, at_most: Duration) {
        let at_most =
            Timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: at_most.subsec_nanos().into() };
        let mut timer: Vec<PollFd> =
            self.timer.iter().map(|timer| PollFd::new(timer, PollFlags::IN)).collect();
        // Whatever ends it, the sockets are looked at next.
        let _ = poll(&mut timer, Some(&at_most));
    }

    /// Waits for something to happen, at most this long (in whole milliseconds), and reads it all.
    pub fn poll(&mut self, wait: Duration) -> Result<(), LoadError> {
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        self.ready.clear();
        self.ticks = 0;
        let spare = spare_capacity(&mut self.ready);
        match epoll::wait(&self.epoll, spare, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(LoadError::system(error)),
        }
        self.now = Instant::now();
        let mut ready = std::mem::take(&mut self.ready);
        for event in &ready {
            let (data, flags) = (event.data, event.flags);
            match data.u64() {
                TIMER => self.count_ticks(),
                index => self.serve(index as usize, flags),
            }
        }
        ready.clear();
        self.ready = ready;
        Ok(())
    }

    /// Takes what happened so far. Hand the list back to [`Self::recycle`] when it is read.
    pub fn take_events(&mut self) -> Vec<(usize, Event)> {
        std::mem::take(&mut self.events)
    }

    /// Takes an empty list back for its room; what happened meanwhile stays.
    pub fn recycle(&mut self, mut events: Vec<(usize, Event)>) {
        if self.events.is_empty() {
            events.clear();
            self.events = events;
        }
    }

    /// Reads and throws away events until nothing has happened for a while.
    pub fn settle(&mut self, quiet: Duration, at_most: Duration) -> Result<(), LoadError> {
        let end = Instant::now() + at_most;
        loop {
            self.poll(quiet)?;
            let was_quiet = self.events.is_empty();
            self.events.clear();
            if was_quiet || Instant::now() >= end {
                return Ok(());
            }
        }
    }

    fn socket(&self, index: usize, source: Option<Ipv4Addr>) -> Result<OwnedFd, Errno> {
        let family = match self.server {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        // BBR, where it is the system's choice, sets a timer for every message.
        let _ = sockopt::set_tcp_congestion(&socket, "cubic");
        if let Some(source) = source {
            bind(&socket, &SocketAddr::new(IpAddr::V4(source), 0))?;
        }
        match connect(&socket, &self.server) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let data = EventData::new_u64(index as u64);
        epoll::add(self.epoll.as_fd(), &socket, data, interest)?;
        Ok(socket)
    }

    fn serve(&mut self, index: usize, flags: EventFlags) {
        let gone = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if flags.contains(EventFlags::OUT) {
            let unsent = match self.slots.get_mut(index) {
                Some(Some(slot)) => std::mem::take(&mut slot.unsent),
                _ => return,
            };
            if !unsent.is_empty() {
                self.write(index, &unsent);
            }
        }
        if flags.intersects(EventFlags::IN | gone) {
            self.read(index, flags.intersects(gone));
        }
    }

    /// Reads until nothing is left: the events are edge-triggered.
    fn read(&mut self, index: usize, to_the_end: bool) {
        loop {
            let Some(Some(slot)) = self.slots.get_mut(index) else { return };
            if slot.kind == Kind::Stuck && !to_the_end {
                return;
            }
            let count = match recv(&slot.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((0, _)) => return self.end(index, "the server closed the connection".into()),
                Ok((count, _)) => count,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                Err(error) => return self.end(index, fault(error)),
            };
            if slot.kind == Kind::Miner {
                let events = &mut self.events;
                let taken = slot.state.take(
                    &self.buffer[..count],
                    self.keep_jobs,
                    &mut self.out,
                    |event| events.push((index, event)),
                );
                if let Err(fault) = taken {
                    return self.end(index, fault);
                }
                if !self.out.is_empty() {
                    let out = std::mem::take(&mut self.out);
                    self.write(index, &out);
                }
            }
            // Less than there was room for: the socket is empty.
            if count < self.buffer.len() && !to_the_end {
                return;
            }
        }
    }

    fn count_ticks(&mut self) {
        let mut count = [0; 8];
        if let Some(timer) = &self.timer
            && rustix::io::read(timer, &mut count) == Ok(8)
        {
            self.ticks = u64::from_ne_bytes(count);
        }
    }

    fn end(&mut self, index: usize, why: Fault) {
        let ready = self.is_ready(index);
        self.close(index);
        self.events.push((index, Event::Closed { why, ready }));
    }
}

fn fault(error: Errno) -> Fault {
    std::io::Error::from(error).to_string().into()
}
