//! Meters, inverters and sensors that speak Modbus TCP, read by a register map. It never writes a
//! register.

use crate::{
    BadSetting, Hub, LinkError, Quality, Signal,
    link::{keep, within},
    register::{Register, Span, Table, spans},
};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::MissedTickBehavior};
use tokio_modbus::{
    client::{Context, tcp},
    prelude::{Reader, Slave},
};

/// A device and what is read from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its name on the status page.
    pub name: Arc<str>,
    /// Host name or address.
    pub host: String,
    /// Usually 502.
    pub port: u16,
    /// Unit identifier behind a gateway, else 1 or 255.
    pub unit: u8,
    /// Time from one reading to the next; 20 to 100 ms for a frequency that droop follows.
    pub every: Duration,
    /// Time to wait for an answer before the link counts as failed.
    pub timeout: Duration,
    /// What is read.
    pub registers: Vec<Register>,
    /// [`Quality::Synthetic`] for what a twin makes up.
    pub quality: Quality,
}

impl Device {
    /// Refuses an empty or too long map, a register past the end, and a pace that no device keeps.
    pub fn validate(&self) -> Result<(), BadSetting> {
        let name = &self.name;
        BadSetting::unless((1..=512).contains(&self.registers.len()), || {
            format!("{name} has {} registers: write 1 to 512", self.registers.len())
        })?;
        for register in &self.registers {
            BadSetting::unless(register.end() <= 1 << 16, || {
                format!("{name}: register {} lies past 65535", register.address)
            })?;
        }
        pace(name, self.every, self.timeout)
    }

    /// Reads for ever and publishes into the hub.
    pub async fn run(self, hub: Hub) {
        let device = Arc::new(self);
        keep(hub.clone(), device.name.clone(), || {
            let (hub, device) = (hub.clone(), device.clone());
            async move { device.session(&hub).await }
        })
        .await;
    }

    async fn session(&self, hub: &Hub) -> Result<(), LinkError> {
        let mut context = connect(&self.host, self.port, self.unit, self.timeout).await?;
        let spans = spans(&self.registers);
        let mut tick = tokio::time::interval(self.every);
        // A reading that came late moves the ones after it; none is made up for.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let mut values: Vec<(Signal, f64)> = Vec::with_capacity(self.registers.len());
            for span in &spans {
                let words = read(&mut context, *span, self.timeout).await?;
                for register in self.registers.iter().filter(|register| {
                    register.table == span.table
                        && register.address >= span.first
                        && register.end() <= u32::from(span.first) + u32::from(span.count)
                }) {
                    match register.decode(span.first, &words) {
                        Ok(Some(value)) => values.push((register.signal.clone(), value)),
                        // It does not know: the last value grows old.
                        Ok(None) => {}
                        Err(BadSetting(sentence)) => hub.refuse(&self.name, sentence.into()),
                    }
                }
            }
            hub.tell_all(&self.name, self.quality, &values);
        }
    }
}

/// What every polled Modbus device must keep to.
pub(crate) fn pace(name: &str, every: Duration, timeout: Duration) -> Result<(), BadSetting> {
    let (shortest, longest) = (Duration::from_millis(10), Duration::from_secs(3600));
    BadSetting::unless((shortest..=longest).contains(&every), || {
        format!("{name} is read every {every:?}: write a time from 10 ms to 1 h")
    })?;
    BadSetting::unless((shortest..=Duration::from_secs(60)).contains(&timeout), || {
        format!("{name} waits {timeout:?} for an answer: write a time from 10 ms to 60 s")
    })
}

pub(crate) async fn connect(
    host: &str,
    port: u16,
    unit: u8,
    timeout: Duration,
) -> Result<Context, LinkError> {
    let what = format!("{host}:{port} cannot be reached; check its address and that Modbus is on");
    let stream = within(timeout, what, TcpStream::connect((host, port))).await?;
    stream.set_nodelay(true).ok();
    Ok(tcp::attach_slave(stream, Slave(unit)))
}

/// Registers of one span; anything but as many as were asked for is an error.
pub(crate) async fn read(
    context: &mut Context,
    span: Span,
    timeout: Duration,
) -> Result<Vec<u16>, LinkError> {
    let Span { table, first, count } = span;
    let what = format!("registers {first} to {}", u32::from(first) + u32::from(count) - 1);
    let answer = match table {
        Table::Holding => {
            within(timeout, &what, context.read_holding_registers(first, count)).await
        }
        Table::Input => within(timeout, &what, context.read_input_registers(first, count)).await,
    }?;
    let words = answer.map_err(|exception| {
        LinkError(format!("{what}: the device answers {exception}; check the register map"))
    })?;
    if words.len() == usize::from(count) {
        Ok(words)
    } else {
        Err(LinkError(format!("{what}: the device sent {} registers", words.len())))
    }
}
