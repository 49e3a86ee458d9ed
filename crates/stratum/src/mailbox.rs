//! The way from other threads to a reactor: what only the latest of matters replaces what was there,
//! so that mail cannot pile up. Reads nothing itself.

use crate::{
    job::Job,
    reject::Reject,
    steer::{SessionState, Steer, Steered},
    workers::WorkerState,
};
use rustix::fd::OwnedFd;
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize, mpsc::SyncSender},
};

/// What a reactor is sent. Only the latest job matters, so it cannot pile up.
#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) job: Option<(Arc<Job>, bool)>,
    pub(crate) wait: Option<Arc<str>>,
    pub(crate) adopted: Vec<(OwnedFd, SocketAddr, u16)>,
    pub(crate) ask: Vec<SyncSender<Report>>,
    pub(crate) ask_sessions: Vec<SyncSender<Vec<SessionState>>>,
    /// Later ones replace earlier ones about the same machine.
    pub(crate) steers: HashMap<Steered, Steer>,
    /// Miners are asked to come back, and the reactor ends.
    pub(crate) stop: bool,
}

/// What a reactor says when asked.
pub(crate) struct Report {
    pub(crate) workers: Vec<WorkerState>,
    pub(crate) anonymous_rejects: [u64; Reject::COUNT],
    pub(crate) authorized: usize,
}

/// The way to a reactor.
pub(crate) struct Mailbox {
    mail: Mutex<Mail>,
    pub(crate) bell: OwnedFd,
    pub(crate) connections: AtomicUsize,
}

impl Mailbox {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let bell = rustix::event::eventfd(0, flags)?;
        Ok(Self { mail: Mutex::default(), bell, connections: AtomicUsize::new(0) })
    }

    pub(crate) fn post(&self, write: impl FnOnce(&mut Mail)) {
        write(&mut self.mail.lock().unwrap_or_else(PoisonError::into_inner));
        // The bell's counter cannot overflow: it is read whenever it is not zero.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// The job alone, while an older one is being given out.
    pub(crate) fn newer_job(&self) -> Option<(Arc<Job>, bool)> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner).job.take()
    }

    /// All of it; the bell is silent again.
    pub(crate) fn take(&self) -> Mail {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.bell, &mut count);
        std::mem::take(&mut self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
