//! A plug, relay or contactor over MQTT or Modbus TCP: any machine is at least switchable. Keeps the
//! least times on and off that the machine behind it needs; says of the machine itself nothing.

use super::{CONNECT_DEADLINE, READ_DEADLINE};
use crate::{
    capability::Capabilities,
    command::{Command, Verb},
    driver::{Driver, DriverError, Pending, Reply, State},
    identity::{Firmware, Identity},
    settings::Settings,
};
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS};
use std::{
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tokio_modbus::{
    client::{Context, Reader, Writer, tcp},
    slave::Slave,
};

/// Until the contact shows in its state.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest message of a broker, bytes.
const MAX_PACKET: usize = 16 * 1024;
/// How long a retained state is waited for.
const RETAINED: Duration = Duration::from_secs(2);

/// By what a contact is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Through a broker without TLS, in the same network.
    Mqtt {
        /// Broker's host.
        host: String,
        /// Broker's port.
        port: u16,
        /// Where `on` or `off` is sent.
        command: String,
        /// Where the contact tells its state; `None` if it does not.
        state: Option<String>,
        /// Text that closes it.
        on: String,
        /// Text that opens it.
        off: String,
    },
    /// A coil of a Modbus TCP device.
    Modbus {
        /// The device.
        address: SocketAddr,
        /// Unit behind a gateway; 255 for the device itself.
        unit: u8,
        /// Coil number from 0.
        coil: u16,
    },
}

/// A link to one contact.
#[derive(Debug)]
pub struct Switch {
    line: Line,
    least_on: Duration,
    least_off: Duration,
    moved: Mutex<Option<(bool, Instant)>>,
    connections: AtomicU64,
}

impl Switch {
    /// How long it stays open, and as a rule closed, once moved by us. To open it waits for nothing:
    /// limits win over what the machine behind it would like.
    pub fn new(line: Line, least_on: Duration, least_off: Duration) -> Self {
        let (moved, connections) = (Mutex::default(), AtomicU64::new(0));
        Self { line, least_on, least_off, moved, connections }
    }

    /// How long it must still stay as it is.
    fn wait(&self, on: bool) -> Option<Duration> {
        let moved = *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        let (was, at) = moved.filter(|(was, _)| *was != on)?;
        let least = if was { self.least_on } else { self.least_off };
        let left = least.checked_sub(at.elapsed()).filter(|left| !left.is_zero())?;
        if !on {
            tracing::warn!("switched off {:.0} s before its least time on", left.as_secs_f64());
        }
        on.then_some(left)
    }

    async fn set(&self, on: bool) -> Result<Reply, DriverError> {
        if let Some(left) = self.wait(on) {
            let seconds = left.as_secs_f64().ceil();
            return Ok(Reply::Refused(format!("it was switched too lately; {seconds} s to wait")));
        }
        match &self.line {
            Line::Mqtt { host, port, command, on: close, off: open, .. } => {
                let text = if on { close } else { open };
                let (client, mut events) = self.broker(host, *port);
                let sent = client.try_publish(command, QoS::AtLeastOnce, false, text.as_bytes());
                sent.map_err(|error| DriverError::Unreachable(error.to_string()))?;
                within(READ_DEADLINE, published(&mut events)).await?;
            }
            Line::Modbus { address, unit, coil } => {
                let mut modbus = modbus(*address, *unit).await?;
                let written =
                    within(READ_DEADLINE, async { Ok(modbus.write_single_coil(*coil, on).await) });
                match written.await? {
                    Ok(Ok(())) => {}
                    Ok(Err(exception)) => return Ok(Reply::Refused(exception.to_string())),
                    Err(error) => return Err(DriverError::Garbage(error.to_string())),
                }
            }
        }
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        if moved.is_none_or(|(was, _)| was != on) {
            *moved = Some((on, Instant::now()));
        }
        Ok(Reply::Accepted)
    }

    /// Whether it is closed; `None` if it does not tell.
    async fn closed(&self) -> Result<Option<bool>, DriverError> {
        match &self.line {
            Line::Mqtt { state: None, .. } => Ok(None),
            Line::Mqtt { host, port, state: Some(topic), on, off, .. } => {
                let (client, mut events) = self.broker(host, *port);
                let asked = client.try_subscribe(topic, QoS::AtLeastOnce);
                asked.map_err(|error| DriverError::Unreachable(error.to_string()))?;
                match timeout(RETAINED, message(&mut events)).await {
                    Ok(text) => {
                        let text = text?;
                        let is = |word: &str| text.trim().eq_ignore_ascii_case(word);
                        Ok(if is(on) { Some(true) } else { is(off).then_some(false) })
                    }
                    Err(_) => Ok(None),
                }
            }
            Line::Modbus { address, unit, coil } => {
                let mut modbus = modbus(*address, *unit).await?;
                let read = within(READ_DEADLINE, async { Ok(modbus.read_coils(*coil, 1).await) });
                let garbage =
                    |error: &dyn std::fmt::Display| DriverError::Garbage(error.to_string());
                let coils = read.await?.map_err(|error| garbage(&error))?;
                Ok(coils.map_err(|error| garbage(&error))?.first().copied())
            }
        }
    }

    /// A short connection of its own: a broker throws out the older of two of the same name.
    fn broker(&self, host: &str, port: u16) -> (AsyncClient, EventLoop) {
        let number = self.connections.fetch_add(1, Relaxed);
        let name = format!("hearth-{}-{:p}-{number}", std::process::id(), self);
        let mut options = MqttOptions::new(name, host, port);
        options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
        options.set_keep_alive(Duration::from_secs(30));
        AsyncClient::new(options, 4)
    }
}

async fn within<T>(
    deadline: Duration,
    doing: impl Future<Output = Result<T, DriverError>>,
) -> Result<T, DriverError> {
    timeout(deadline, doing).await.map_err(|_| DriverError::Silent(deadline))?
}

/// The broker's events; before it let us in, nothing was sent.
async fn next(events: &mut EventLoop, in_already: &mut bool) -> Result<Incoming, DriverError> {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(packet)) => {
                *in_already |= matches!(packet, Incoming::ConnAck(_));
                return Ok(packet);
            }
            Ok(Event::Outgoing(_)) => {}
            Err(error) if *in_already => return Err(DriverError::Garbage(error.to_string())),
            Err(error) => return Err(DriverError::Unreachable(error.to_string())),
        }
    }
}

async fn published(events: &mut EventLoop) -> Result<(), DriverError> {
    let mut in_already = false;
    while !matches!(next(events, &mut in_already).await?, Incoming::PubAck(_)) {}
    Ok(())
}

async fn message(events: &mut EventLoop) -> Result<String, DriverError> {
    let mut in_already = false;
    loop {
        if let Incoming::Publish(told) = next(events, &mut in_already).await? {
            return Ok(String::from_utf8_lossy(&told.payload).into_owned());
        }
    }
}

async fn modbus(address: SocketAddr, unit: u8) -> Result<Context, DriverError> {
    match timeout(CONNECT_DEADLINE, tcp::connect_slave(address, Slave(unit))).await {
        Ok(Ok(context)) => Ok(context),
        Ok(Err(error)) => Err(DriverError::Unreachable(format!("{address}: {error}"))),
        Err(_) => Err(DriverError::Unreachable(format!("{address} does not answer"))),
    }
}

impl Driver for Switch {
    fn identify(&self) -> Pending<'_, Identity> {
        Box::pin(async { Ok(Identity::of(Firmware::Switch)) })
    }

    fn capabilities(&self) -> Pending<'_, Capabilities> {
        Box::pin(async { Ok(Capabilities::of([Verb::Pause, Verb::Resume])) })
    }

    fn read(&self) -> Pending<'_, State> {
        Box::pin(async {
            let mining = self.closed().await?;
            Ok(State { settings: Settings { mining, ..Settings::default() }, ..State::default() })
        })
    }

    fn apply<'a>(&'a self, command: &'a Command) -> Pending<'a, Reply> {
        Box::pin(async move {
            match command {
                Command::Pause => self.set(false).await,
                Command::Resume => self.set(true).await,
                _ => Ok(Reply::Refused("a switch knows only on and off".into())),
            }
        })
    }

    fn patience(&self, _: &Command) -> Duration {
        PATIENCE
    }
}

#[cfg(test)]
#[path = "switch/tests.rs"]
mod tests;
