//! A meter as a real Modbus TCP server: three phases as SunSpec model 203, and what else a site
//! measures in registers of its own. It shows what it is told and can fall silent.

use std::{
    future::{Ready, ready},
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_modbus::{
    ExceptionCode, Request, Response,
    server::{
        Service,
        tcp::{Server, accept_tcp_connection},
    },
};
use units::{Celsius, Hertz, NetWatts, Ratio, WattHours, Watts};

/// Addresses of registers, counted from 0. Two registers are a signed 32-bit number, high word first.
/// A 16-bit reading that nobody has is 0x8000, a 32-bit one 0x8000_0000.
pub mod registers {
    /// Room, hundredths of a degree Celsius, 16 bits.
    pub const ROOM: u16 = 0;
    /// Outdoor air, hundredths of a degree Celsius, 16 bits.
    pub const OUTDOOR: u16 = 1;
    /// Top of the tank, hundredths of a degree Celsius, 16 bits.
    pub const TANK_TOP: u16 = 2;
    /// Bottom of the tank, hundredths of a degree Celsius, 16 bits.
    pub const TANK_BOTTOM: u16 = 3;
    /// Pool, hundredths of a degree Celsius, 16 bits.
    pub const POOL: u16 = 4;
    /// State of charge, tenths of a percent, 16 bits.
    pub const CHARGE: u16 = 5;
    /// Fuel pressure, tenths of a percent of what it should be, 16 bits.
    pub const FUEL: u16 = 6;
    /// Frequency, thousandths of a hertz, 32 bits.
    pub const FREQUENCY: u16 = 8;
    /// Out of the solar panels, watts, 32 bits.
    pub const PV: u16 = 10;
    /// Into the battery, watts, 32 bits.
    pub const BATTERY: u16 = 12;
    /// Out of the generator, watts, 32 bits.
    pub const GENERATOR: u16 = 14;
    /// Through the meter, watts, positive into the site, 32 bits.
    pub const NET: u16 = 16;
    /// Where SunSpec begins: "SunS", model 1 (common), model 203 (three-phase meter), end.
    pub const SUNSPEC: u16 = 40_000;
}

/// What a meter and the sensors beside it show. `None` is a reading that there is not.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Shown {
    /// Phases A, B and C.
    pub phases: [NetWatts; 3],
    /// Of the grid or bus.
    pub frequency: Option<Hertz>,
    /// Into the site since the meter was new.
    pub imported: WattHours,
    /// Out of the site since the meter was new.
    pub exported: WattHours,
    /// Room.
    pub room: Option<Celsius>,
    /// Outdoor air.
    pub outdoor: Option<Celsius>,
    /// Top of the tank.
    pub tank_top: Option<Celsius>,
    /// Bottom of the tank.
    pub tank_bottom: Option<Celsius>,
    /// Pool.
    pub pool: Option<Celsius>,
    /// State of charge.
    pub charge: Option<Ratio>,
    /// Fuel pressure as a part of what it should be.
    pub fuel: Option<Ratio>,
    /// Out of the panels.
    pub pv: Option<Watts>,
    /// Into the battery.
    pub battery: Option<NetWatts>,
    /// Out of the generator.
    pub generator: Option<Watts>,
}

/// Why there is no meter.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// The address is not ours, or somebody has its port.
    #[error("the emulated meter cannot listen on {address}: {error}; choose another port")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// A running meter; it ends when dropped.
#[derive(Debug)]
pub struct Meter {
    address: SocketAddr,
    face: Arc<Face>,
    task: JoinHandle<()>,
}

impl Meter {
    /// Listens; port 0 takes a free one.
    pub async fn start(address: SocketAddr) -> Result<Self, MeterError> {
        let listen = |error| MeterError::Listen { address, error };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let face = Arc::new(Face { shown: Mutex::default(), silent: AtomicBool::new(false) });
        let served = Arc::clone(&face);
        let task = tokio::spawn(async move {
            let connected = |stream, peer| {
                let face = Arc::clone(&served);
                async move { accept_tcp_connection(stream, peer, move |_| Ok(Some(face.clone()))) }
            };
            let server = Server::new(listener);
            let ended = server.serve(&connected, |error| {
                tracing::debug!(%error, "a connection to the emulated meter ended");
            });
            if let Err(error) = ended.await {
                tracing::warn!(%error, "the emulated meter stopped");
            }
        });
        Ok(Self { address, face, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows this from now on.
    pub fn show(&self, shown: Shown) {
        *self.face.shown() = shown;
    }

    /// Answers nothing while silent; connections stay.
    pub fn silence(&self, silent: bool) {
        self.face.silent.store(silent, Ordering::Relaxed);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Face {
    shown: Mutex<Shown>,
    silent: AtomicBool,
}

impl Face {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Face {
    type Request = Request<'static>;
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Option<Response>, ExceptionCode>>;

    fn call(&self, request: Request<'static>) -> Self::Future {
        if self.silent.load(Ordering::Relaxed) {
            return ready(Ok(None));
        }
        let shown = *self.shown();
        ready(match request {
            Request::ReadHoldingRegisters(from, count) => {
                read(&shown, from, count).map(|words| Some(Response::ReadHoldingRegisters(words)))
            }
            Request::ReadInputRegisters(from, count) => {
                read(&shown, from, count).map(|words| Some(Response::ReadInputRegisters(words)))
            }
            _ => Err(ExceptionCode::IllegalFunction),
        })
    }
}

/// The Modbus limit.
const MOST_REGISTERS: u16 = 125;

fn read(shown: &Shown, from: u16, count: u16) -> Result<Vec<u16>, ExceptionCode> {
    if count == 0 || count > MOST_REGISTERS {
        return Err(ExceptionCode::IllegalDataValue);
    }
    let (base, all) = if from >= registers::SUNSPEC {
        (registers::SUNSPEC, sunspec(shown))
    } else {
        (0, own(shown))
    };
    let first = usize::from(from - base);
    let words = all.get(first..first + usize::from(count));
    words.map(<[u16]>::to_vec).ok_or(ExceptionCode::IllegalDataAddress)
}

const NO_16: u16 = 0x8000;
const NO_32: u32 = 0x8000_0000;

fn own(shown: &Shown) -> Vec<u16> {
    use registers::*;
    let mut words = vec![NO_16; usize::from(NET) + 2];
    let celsius = |t: Option<Celsius>| short(t.map(|t| t.get() * 100.0));
    let permille = |part: Option<Ratio>| short(part.map(|part| part.get() * 1000.0));
    for (address, word) in [
        (ROOM, celsius(shown.room)),
        (OUTDOOR, celsius(shown.outdoor)),
        (TANK_TOP, celsius(shown.tank_top)),
        (TANK_BOTTOM, celsius(shown.tank_bottom)),
        (POOL, celsius(shown.pool)),
        (CHARGE, permille(shown.charge)),
        (FUEL, permille(shown.fuel)),
    ] {
        words[usize::from(address)] = word;
    }
    let net: NetWatts = shown.phases.into_iter().sum();
    for (address, value) in [
        (FREQUENCY, shown.frequency.map(|f| f.get() * 1e3)),
        (PV, shown.pv.map(Watts::get)),
        (BATTERY, shown.battery.map(NetWatts::get)),
        (GENERATOR, shown.generator.map(Watts::get)),
        (NET, Some(net.get())),
    ] {
        let number = value.map_or(NO_32, |value| value.round() as i32 as u32);
        let at = usize::from(address);
        (words[at], words[at + 1]) = ((number >> 16) as u16, number as u16);
    }
    words
}

/// SunSpec's chain of models: each an id, a length and that many registers.
fn sunspec(shown: &Shown) -> Vec<u16> {
    const COMMON: usize = 66;
    const METER: usize = 105;
    let mut words = vec![0x5375, 0x6e53, 1, COMMON as u16];
    let mut common = Vec::with_capacity(COMMON);
    let texts = [("hearth", 32), ("emulated meter", 32), ("", 16), ("1", 16), ("made up", 32)];
    for (text, bytes) in texts {
        let mut padded = text.as_bytes().to_vec();
        padded.resize(bytes, 0);
        common.extend(padded.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])));
    }
    // Modbus address of the unit, and a pad.
    common.extend([1, NO_16]);
    words.extend(common);

    let mut model = vec![NO_16; METER];
    let mut put = |at: usize, values: &[Option<f64>], scale_at: usize| {
        let largest = values.iter().flatten().fold(0.0_f64, |most, value| most.max(value.abs()));
        // The smallest power of ten that lets all of them fit.
        let scale = (0..10).find(|&n| largest < 32_700.0 * 10_f64.powi(n)).unwrap_or(9);
        for (word, value) in model[at..].iter_mut().zip(values) {
            *word = short(value.map(|value| value / 10_f64.powi(scale)));
        }
        model[scale_at] = scale as u16;
    };
    const VOLTS: f64 = 230.0;
    let phases = shown.phases.map(NetWatts::get);
    let total: f64 = phases.iter().sum();
    let with_total =
        |values: [f64; 3]| [values.iter().sum(), values[0], values[1], values[2]].map(Some);
    // Points of model 203 by their place: A 0 to 3, PhV 5 to 8, Hz 14, W 16 to 19.
    put(0, &with_total(phases.map(|w| w.abs() / VOLTS)), 4);
    put(5, &[Some(VOLTS); 4], 13);
    put(16, &[Some(total), Some(phases[0]), Some(phases[1]), Some(phases[2])], 20);
    // Hundredths of a hertz.
    model[14] = short(shown.frequency.map(|f| f.get() * 100.0));
    model[15] = -2_i16 as u16;
    // Energy out of and into the site: TotWhExp 36, TotWhImp 44, scale 52.
    for (at, energy) in [(36, shown.exported), (44, shown.imported)] {
        let count = energy.get() as u64 as u32;
        (model[at], model[at + 1]) = ((count >> 16) as u16, count as u16);
        model[at + 2..at + 8].fill(0);
    }
    model[52] = 0;
    words.extend([203, METER as u16]);
    words.extend(model);
    words.extend([0xffff, 0]);
    words
}

fn short(value: Option<f64>) -> u16 {
    value.map_or(NO_16, |value| value.round().clamp(-32_767.0, 32_767.0) as i16 as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio_modbus::client::{Reader, tcp::connect};

    fn shown() -> Shown {
        let watts = |w| NetWatts::new(w).unwrap();
        Shown {
            phases: [watts(1500.0), watts(-40_250.0), watts(20.0)],
            frequency: Some(Hertz::new(59.98).unwrap()),
            imported: WattHours::new(70_000.0).unwrap(),
            room: Some(Celsius::new(-3.25).unwrap()),
            ..Shown::default()
        }
    }

    #[tokio::test]
    async fn a_modbus_client_reads_the_meter_and_hears_nothing_while_it_is_silent() {
        let meter = Meter::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        meter.show(shown());
        let mut client = connect(meter.address()).await.unwrap();
        let mut read =
            async |from, count| client.read_holding_registers(from, count).await.unwrap();
        let own = read(0, 18).await.unwrap();
        assert_eq!(own[0] as i16, -325);
        assert_eq!(own[2], NO_16);
        let net = (u32::from(own[16]) << 16 | u32::from(own[17])) as i32;
        assert_eq!(net, -38_730);
        let head = read(registers::SUNSPEC, 4).await.unwrap();
        assert_eq!(head, [0x5375, 0x6e53, 1, 66]);
        let model = read(registers::SUNSPEC + 70, 107).await.unwrap();
        assert_eq!(model[..2], [203, 105]);
        let point = |at: usize| model[2 + at] as i16;
        // Watts in tens: total, A, B, C; hertz in hundredths.
        assert_eq!((point(20), [16, 17, 18, 19].map(point)), (1, [-3873, 150, -4025, 2]));
        assert_eq!((point(14), point(15)), (5998, -2));
        assert_eq!((model[46], model[47]), (1, 4464));
        assert_eq!(read(registers::SUNSPEC + 177, 2).await.unwrap(), [0xffff, 0]);
        assert!(read(18, 1).await.is_err() && read(registers::SUNSPEC, 0).await.is_err());

        meter.silence(true);
        let asked = client.read_holding_registers(0, 1);
        assert!(tokio::time::timeout(Duration::from_millis(50), asked).await.is_err());
        meter.silence(false);
        let mut client = connect(meter.address()).await.unwrap();
        assert!(client.read_input_registers(0, 1).await.unwrap().is_ok());
    }
}
