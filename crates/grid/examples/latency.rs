//! Time from a meter's new frequency to the snapshot that a droop loop wakes for: Modbus TCP on this
//! machine, read every 20 ms. `cargo run --package hearth-grid --example latency`

use hearth_grid::{
    Hub, Quality, Signal, modbus,
    number::Field,
    register::{Kind, Register, Table},
};
use std::{error::Error, time::Duration};
use tokio::time::Instant;
use twin::energy::{Meter, Shown, registers};
use units::Hertz;

const CHANGES: u32 = 1000;
const EVERY: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let meter = Meter::start(([127, 0, 0, 1], 0).into()).await?;
    let field = Field { scale: 1e-3, ..Field::default() };
    let map = Register::new(Signal::Frequency, Table::Holding, registers::FREQUENCY, Kind::U32);
    let device = modbus::Device {
        name: "meter".into(),
        host: meter.address().ip().to_string(),
        port: meter.address().port(),
        unit: 1,
        every: EVERY,
        timeout: Duration::from_millis(300),
        registers: vec![Register { field, ..map }],
        quality: Quality::Synthetic,
    };
    device.validate()?;
    let hub = Hub::new(Instant::now());
    let mut signals = hub.subscribe();
    tokio::spawn(device.run(hub));
    let mut times = Vec::new();
    for change in 0..CHANGES {
        // Anywhere between two readings.
        tokio::time::sleep(EVERY.mul_f64(1.0 + rand::random::<f64>())).await;
        let wanted = Hertz::new(49.9 + f64::from(change % 2) * 0.2)?;
        let begin = Instant::now();
        meter.show(Shown { frequency: Some(wanted), ..Shown::default() });
        let new = |now: &hearth_grid::Signals| {
            let told = now.frequency.as_ref();
            told.is_some_and(|told| (told.reading.value.get() - wanted.get()).abs() < 0.01)
        };
        signals.wait_for(new).await?;
        times.push(begin.elapsed());
    }
    times.sort();
    let at = |part: f64| times[(part * (times.len() - 1) as f64) as usize].as_secs_f64() * 1e3;
    println!(
        "{CHANGES} changes, read every {} ms: median {:.1} ms, 99 of 100 within {:.1} ms, all within \
         {:.1} ms",
        EVERY.as_millis(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}
