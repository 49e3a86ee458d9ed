//! What this machine's kernel asks for one message, so that a server's figure has its limit beside it,
//! taken in the same minute.

use super::Error;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

/// Connections: enough that none is in the processor's caches when its turn comes.
const CONNECTIONS: usize = 4000;
/// A job with 12 merkle branches.
const JOB: usize = 1500;
/// A share's answer or a short notify.
const SHORT: usize = 200;
/// Short messages on one connection.
const MESSAGES: usize = 20_000;

/// Processor time of one thread for one message over loopback, microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Floor {
    /// Sending a job to each of many connections.
    pub send_us: f64,
    /// Receiving it there.
    pub receive_us: f64,
    /// Sending 200 bytes over one connection, whose every line is in the processor's caches.
    pub warm_send_us: f64,
    /// Receiving them.
    pub warm_receive_us: f64,
}

/// Sends a job's worth of bytes over each of many connections and reads it at the other ends.
pub fn measure() -> Result<Floor, Error> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut pairs: Vec<(TcpStream, TcpStream)> = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let near = TcpStream::connect(address)?;
        let (far, _) = listener.accept()?;
        far.set_nodelay(true)?;
        pairs.push((far, near));
    }
    let (job, mut room) = ([b'x'; JOB], [0; 2 * JOB]);
    let mut floor = warm(&mut pairs[0])?;
    // The first round warms what a connection sets up once.
    for _ in 0..3 {
        let start = thread_time();
        for (far, _) in &mut pairs {
            far.write_all(&job)?;
        }
        let sent = thread_time();
        for (_, near) in &mut pairs {
            let mut left = JOB;
            while left > 0 {
                left -= near.read(&mut room)?;
            }
        }
        let read = thread_time();
        floor.send_us = (sent - start) / CONNECTIONS as f64;
        floor.receive_us = (read - sent) / CONNECTIONS as f64;
    }
    Ok(floor)
}

fn warm((far, near): &mut (TcpStream, TcpStream)) -> Result<Floor, Error> {
    let (short, mut room) = ([b'x'; SHORT], [0; SHORT]);
    let (mut sending, mut receiving) = (0.0, 0.0);
    for _ in 0..MESSAGES {
        let start = thread_time();
        far.write_all(&short)?;
        let sent = thread_time();
        near.read_exact(&mut room)?;
        sending += sent - start;
        receiving += thread_time() - sent;
    }
    let each = MESSAGES as f64;
    Ok(Floor {
        send_us: 0.0,
        receive_us: 0.0,
        warm_send_us: sending / each,
        warm_receive_us: receiving / each,
    })
}

fn thread_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}
