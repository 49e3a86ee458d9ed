//! A plug, relay or contactor over MQTT or Modbus TCP: any machine is at least switchable. Keeps the
//! least times on and off that the machine behind it needs; says of the machine itself nothing. A retained
//! message is what was so once: it never proves that a command came true.

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
/// How long a reading waits for a state.
const STATE: Duration = Duration::from_secs(2);
/// How long after a command its state is listened for: contactors and radio plugs need seconds.
const FRESH: Duration = Duration::from_secs(8);

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

/// What counts as the state of a contact behind a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Heard {
    /// It was told nothing by us: what the broker keeps is the best there is.
    #[default]
    Untold,
    /// It was told something and has said nothing since.
    Nothing,
    /// It said so after it was told.
    Closed(bool),
}

/// A link to one contact.
#[derive(Debug)]
pub struct Switch {
    line: Line,
    least_on: Duration,
    least_off: Duration,
    moved: Mutex<Option<(bool, Instant)>>,
    /// Since our last command over MQTT: what the contact said of itself as it happened.
    heard: Mutex<Heard>,
    connections: AtomicU64,
}

impl Switch {
    /// How long it stays open, and as a rule closed, once moved by us. To open it waits for nothing:
    /// limits win over what the machine behind it would like.
    pub fn new(line: Line, least_on: Duration, least_off: Duration) -> Self {
        let (moved, heard, connections) = (Mutex::default(), Mutex::default(), AtomicU64::new(0));
        Self { line, least_on, least_off, moved, heard, connections }
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
            Line::Mqtt { .. } => self.publish(on).await?,
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

    /// Sends it, subscribed to the state beforehand: only what the contact says from then on, and is not
    /// a message that the broker kept, tells whether it moved.
    async fn publish(&self, on: bool) -> Result<(), DriverError> {
        let Line::Mqtt { host, port, command, state, on: close, off: open } = &self.line else {
            return Ok(());
        };
        let text = if on { close } else { open };
        let full = |error: rumqttc::ClientError| DriverError::Unreachable(error.to_string());
        let (client, mut events) = self.broker(host, *port);
        let mut in_already = false;
        if let Some(topic) = state {
            client.try_subscribe(topic, QoS::AtLeastOnce).map_err(full)?;
            let granted = async {
                while !matches!(next(&mut events, &mut in_already).await?, Incoming::SubAck(_)) {}
                Ok(())
            };
            // Nothing was sent yet.
            within(READ_DEADLINE, granted)
                .await
                .map_err(|error| DriverError::Unreachable(error.to_string()))?;
        }
        self.hear(Heard::Nothing);
        client.try_publish(command, QoS::AtLeastOnce, false, text.as_bytes()).map_err(full)?;
        let mut taken = false;
        let mut came = false;
        let both = async {
            while !taken || (state.is_some() && !came) {
                match next(&mut events, &mut in_already).await? {
                    Incoming::PubAck(_) => taken = true,
                    Incoming::Publish(told) if !told.retain => {
                        if let Some(closed) = self.says(&told.payload) {
                            self.hear(Heard::Closed(closed));
                            // The old state may be told once more before the new one.
                            came = closed == on;
                        }
                    }
                    _ => {}
                }
            }
            Ok(())
        };
        match within(FRESH, both).await {
            Err(error) if !taken => Err(error),
            // The broker has it; that the contact says nothing shows when it is read.
            _ => Ok(()),
        }
    }

    fn hear(&self, heard: Heard) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
    }

    /// `None` for what is neither of its words.
    fn says(&self, payload: &[u8]) -> Option<bool> {
        let Line::Mqtt { on, off, .. } = &self.line else { return None };
        let text = String::from_utf8_lossy(payload);
        let is = |word: &str| text.trim().eq_ignore_ascii_case(word);
        if is(on) { Some(true) } else { is(off).then_some(false) }
    }

    /// The state behind a broker: what is told while it listens, what was told since the last command,
    /// or, before any command, what the broker kept. A kept message that says otherwise than the contact
    /// itself did makes its state unknown.
    async fn listen(
        &self,
        host: &str,
        port: u16,
        topic: &str,
    ) -> Result<Option<bool>, DriverError> {
        let (client, mut events) = self.broker(host, port);
        let asked = client.try_subscribe(topic, QoS::AtLeastOnce);
        asked.map_err(|error| DriverError::Unreachable(error.to_string()))?;
        let heard = || *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = None;
        let mut in_already = false;
        let listening = async {
            loop {
                let Incoming::Publish(told) = next(&mut events, &mut in_already).await? else {
                    continue;
                };
                match self.says(&told.payload) {
                    Some(closed) if !told.retain => {
                        if heard() != Heard::Untold {
                            self.hear(Heard::Closed(closed));
                        }
                        return Ok(Some(closed));
                    }
                    closed => kept = closed,
                }
                match heard() {
                    Heard::Untold => return Ok(kept),
                    Heard::Closed(told) => return Ok(kept.filter(|kept| *kept == told)),
                    // Only a message of the contact itself ends this.
                    Heard::Nothing => {}
                }
            }
        };
        match timeout(STATE, listening).await {
            Ok(state) => state,
            Err(_) if !in_already => Err(DriverError::Unreachable("the broker is silent".into())),
            Err(_) => Ok(match heard() {
                Heard::Closed(told) => Some(told),
                Heard::Untold | Heard::Nothing => None,
            }),
        }
    }

    /// Whether it is closed; `None` if it does not tell.
    async fn closed(&self) -> Result<Option<bool>, DriverError> {
        match &self.line {
            Line::Mqtt { state: None, .. } => Ok(None),
            Line::Mqtt { host, port, state: Some(topic), .. } => {
                self.listen(host, *port, topic).await
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
