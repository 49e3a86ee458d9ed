//! A smart meter or PDU outlet, read over Modbus TCP or heard on an MQTT topic: the truth about a
//! circuit's or a machine's power. It never writes to a meter; what a figure means is the fleet's matter.

use super::{CONNECT_DEADLINE, READ_DEADLINE};
use crate::driver::DriverError;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};
use tokio::time::timeout;
use tokio_modbus::{
    client::{Reader, tcp},
    slave::Slave,
};
use units::Watts;

/// Longest message of a broker, bytes.
const MAX_PACKET: usize = 16 * 1024;
/// After a meter or a broker did not answer.
const AGAIN: Duration = Duration::from_secs(5);

/// Where a power is read.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A topic of a broker without TLS, in the same network.
    Mqtt {
        /// Broker's host.
        host: String,
        /// Broker's port.
        port: u16,
        /// Topic that carries the power.
        topic: String,
        /// Where in a JSON message, as a JSON pointer (RFC 6901); `None` for a bare number.
        pointer: Option<String>,
    },
    /// Registers of a Modbus TCP device.
    Modbus {
        /// The device.
        address: SocketAddr,
        /// Unit behind a gateway; 255 for the device itself.
        unit: u8,
        /// Whether it is an input register (function 4) or a holding register (function 3).
        input: bool,
        /// First register, from 0.
        register: u16,
        /// How the number is written.
        word: Word,
    },
}

/// How a number stands in registers of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// One register.
    U16,
    /// One register, two's complement.
    I16,
    /// Two registers.
    U32,
    /// Two registers, two's complement.
    I32,
    /// Two registers, IEEE 754.
    F32,
}

/// A meter: where it is, and what its number is to be multiplied with to be watts.
#[derive(Debug, Clone, PartialEq)]
pub struct PowerMeter {
    /// Where.
    pub line: Line,
    /// Watts per unit of its number.
    pub scale: f64,
    /// Whether the lower half of a number of two registers comes first.
    pub low_first: bool,
}

impl PowerMeter {
    /// Reads, or hears, until dropped, and passes each figure or failure on. A register is read every
    /// `every`; a topic tells when it likes. A retained message was sent at a time that nobody knows, so
    /// it is no reading.
    pub async fn watch(
        &self,
        every: Duration,
        mut take: impl FnMut(Result<Watts, DriverError>) + Send,
    ) {
        match &self.line {
            Line::Modbus { .. } => {
                let mut ticks = tokio::time::interval(every);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    take(self.read().await);
                }
            }
            Line::Mqtt { host, port, topic, .. } => loop {
                let error = self.hear(host, *port, topic, &mut take).await;
                take(Err(error));
                tokio::time::sleep(AGAIN).await;
            },
        }
    }

    /// One reading of a register.
    async fn read(&self) -> Result<Watts, DriverError> {
        let Line::Modbus { address, unit, input, register, word } = &self.line else {
            return Err(DriverError::Unsafe("a topic is heard, not read"));
        };
        let unreachable =
            |error: &dyn std::fmt::Display| DriverError::Unreachable(format!("{address}: {error}"));
        let connecting = timeout(CONNECT_DEADLINE, tcp::connect_slave(*address, Slave(*unit)));
        let mut modbus = match connecting.await {
            Ok(Ok(modbus)) => modbus,
            Ok(Err(error)) => return Err(unreachable(&error)),
            Err(_) => return Err(unreachable(&"no connection came about")),
        };
        let count = word.registers();
        let asked = async {
            match input {
                true => modbus.read_input_registers(*register, count).await,
                false => modbus.read_holding_registers(*register, count).await,
            }
        };
        let answer = timeout(READ_DEADLINE, asked);
        let answer = answer.await.map_err(|_| DriverError::Silent(READ_DEADLINE))?;
        let garbage = |error: &dyn std::fmt::Display| DriverError::Garbage(error.to_string());
        let words = answer.map_err(|error| garbage(&error))?.map_err(|error| garbage(&error))?;
        let told = word.number(&words, self.low_first);
        self.watts(told.ok_or_else(|| garbage(&"fewer registers than were asked for"))?)
    }

    /// Listens to a topic until that ends.
    async fn hear(
        &self,
        host: &str,
        port: u16,
        topic: &str,
        take: &mut (impl FnMut(Result<Watts, DriverError>) + Send),
    ) -> DriverError {
        let name = format!("hearth-meter-{}-{:p}", std::process::id(), self);
        let mut options = MqttOptions::new(name, host, port);
        options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
        options.set_keep_alive(Duration::from_secs(30));
        let (client, mut events): (AsyncClient, EventLoop) = AsyncClient::new(options, 4);
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                    if let Err(error) = client.try_subscribe(topic, QoS::AtMostOnce) {
                        return DriverError::Unreachable(error.to_string());
                    }
                }
                Ok(Event::Incoming(Incoming::Publish(told))) if !told.retain => {
                    let number = self.number(&told.payload);
                    let wrong = || DriverError::Garbage(format!("no number of watts on {topic}"));
                    take(number.ok_or_else(wrong).and_then(|number| self.watts(number)));
                }
                Ok(_) => {}
                Err(error) => return DriverError::Unreachable(error.to_string()),
            }
        }
    }

    /// The number in a message.
    fn number(&self, payload: &[u8]) -> Option<f64> {
        let text = std::str::from_utf8(payload).ok()?;
        let Line::Mqtt { pointer: Some(pointer), .. } = &self.line else {
            return text.trim().parse().ok();
        };
        let message: Value = serde_json::from_str(text).ok()?;
        let value = message.pointer(pointer)?;
        value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
    }

    /// A circuit that feeds back is not one of machines alone: its power is unknown, not zero.
    fn watts(&self, number: f64) -> Result<Watts, DriverError> {
        let watts = number * self.scale;
        Watts::new(watts)
            .map_err(|_| DriverError::Garbage(format!("{watts} W is no power that is drawn")))
    }
}

impl Word {
    /// How many registers it takes.
    pub fn registers(self) -> u16 {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
        }
    }

    /// `None` if there are fewer registers than it takes.
    fn number(self, words: &[u16], low_first: bool) -> Option<f64> {
        let first = *words.first()?;
        if self.registers() == 1 {
            return Some(match self {
                Self::I16 => f64::from(first as i16),
                _ => f64::from(first),
            });
        }
        let second = *words.get(1)?;
        let (high, low) = if low_first { (second, first) } else { (first, second) };
        let whole = u32::from(high) << 16 | u32::from(low);
        Some(match self {
            Self::I32 => f64::from(whole as i32),
            Self::F32 => f64::from(f32::from_bits(whole)),
            _ => f64::from(whole),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(pointer: Option<&str>, scale: f64) -> PowerMeter {
        let (host, topic) = ("127.0.0.1".into(), "meter".into());
        let line = Line::Mqtt { host, port: 1883, topic, pointer: pointer.map(Into::into) };
        PowerMeter { line, scale, low_first: false }
    }

    #[test]
    fn messages_are_read_as_meters_write_them() {
        for (pointer, scale, message, watts) in [
            (None, 1.0, "1234.5", Some(1234.5)),
            (None, 1000.0, " 3.4\n", Some(3400.0)),
            (Some("/ENERGY/Power"), 1.0, r#"{"ENERGY":{"Power":812}}"#, Some(812.0)),
            (Some("/apower"), 1.0, r#"{"apower":"17.2"}"#, Some(17.2)),
            (Some("/apower"), 1.0, r#"{"voltage":230}"#, None),
            (Some("/a"), 1.0, "12", None),
            (None, 1.0, "unavailable", None),
            (None, 1.0, "nan", None),
            // It feeds back.
            (None, 1.0, "-20", None),
        ] {
            let meter = heard(pointer, scale);
            let told = meter.number(message.as_bytes()).and_then(|n| meter.watts(n).ok());
            assert_eq!(told.map(Watts::get), watts, "{message}");
        }
    }

    #[test]
    fn registers_are_put_together_in_either_order() {
        let bits = 3456.5f32.to_bits();
        let (high, low) = ((bits >> 16) as u16, bits as u16);
        for (word, words, low_first, number) in [
            (Word::U16, vec![65_000], false, Some(65_000.0)),
            (Word::I16, vec![0xffff], false, Some(-1.0)),
            (Word::U32, vec![1, 2], false, Some(65_538.0)),
            (Word::U32, vec![2, 1], true, Some(65_538.0)),
            (Word::I32, vec![0xffff, 0xfffe], false, Some(-2.0)),
            (Word::F32, vec![high, low], false, Some(3456.5)),
            (Word::F32, vec![low, high], true, Some(3456.5)),
            (Word::F32, vec![high], false, None),
        ] {
            assert_eq!(word.number(&words, low_first), number, "{word:?} {words:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_broker_sends_is_a_power_or_a_sentence(
            message in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            for pointer in [None, Some("/a/0"), Some("")] {
                let meter = heard(pointer, 1.0);
                if let Some(number) = meter.number(&message) {
                    prop_assert!(meter.watts(number).is_err() || number >= 0.0);
                }
            }
        }
    }

    #[tokio::test]
    async fn a_register_of_a_modbus_meter_is_read() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Function 4 for two registers from 52 of unit 1; the answer's bytes by hand (Modbus TCP 1.0b).
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 12];
            stream.read_exact(&mut asked).await.unwrap();
            let mut answer = vec![asked[0], asked[1], 0, 0, 0, 7, 1, 4, 4];
            answer.extend(812.5f32.to_be_bytes());
            stream.write_all(&answer).await.unwrap();
            asked
        });
        let line = Line::Modbus { address, unit: 1, input: true, register: 52, word: Word::F32 };
        let meter = PowerMeter { line, scale: 1.0, low_first: false };
        assert_eq!(meter.read().await.map(Watts::get), Ok(812.5));
        assert_eq!(served.await.unwrap()[6..], [1, 4, 0, 52, 0, 2]);
        assert!(matches!(meter.read().await, Err(DriverError::Unreachable(_))));
    }
}
