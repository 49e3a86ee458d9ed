//! The demonstration's power: a house that some of the farm's machines heat, a price and a grid operator,
//! all made up; the meter, the operator's server and the decisions are the real ones.
//!
//! The house's time runs as fast as the farm's. The operator calls once, over OpenADR 3.1; what the meter
//! then shows is what is reported.

use crate::{
    bridge::Bridge,
    config::{self, Energy, Sources, Zone, ZoneKind},
    demo_farm::{DemoFarm, SPEED},
    energy::{Running, utc},
};
use dispatch::{
    heat::{Control, Medium, Pi, Safety, Times},
    site::Body,
};
use grid::{
    Quality, Signal, modbus,
    register::{Kind, Register, Table},
};
use ledger::evidence;
use serde::Serialize;
use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};
use twin::energy::{Call, Meter, Vtn, VtnLogin, World, WorldSpec, registers};
use units::{Celsius, HeatCapacity, HeatLoss, NetWatts, Usd, Watts};

/// Hash price of the demonstration, $/PH/day: the level of 2025 and 2026. The private chain's own
/// difficulty would make every price worth paying.
const HASH_PRICE: f64 = 38.2;
/// What power costs at first, $/kWh: below what every machine here earns.
const CHEAP: f64 = 0.03;
/// And in the end: above what any earns.
const DEAR: f64 = 0.25;
/// Parts of the time: the call begins, it ends, power becomes dear.
const CALLS: f64 = 0.2;
const ENDS: f64 = 0.6;
const RISES: f64 = 0.78;
/// The operator leaves this part of what is drawn before.
const LEAVES: f64 = 0.4;
const EVERY: Duration = Duration::from_millis(250);
const INTERVAL: Duration = Duration::from_secs(10);

/// What became of it.
#[derive(Serialize, Default)]
pub struct Report {
    /// Mean at the connection point in the seconds before the call, W.
    pub power_w_before: Option<f64>,
    /// Mean during the call, from the moment at which it was met, W.
    pub power_w_during: Option<f64>,
    /// Mean in the last seconds at the low price, after the call, W.
    pub power_w_after: Option<f64>,
    /// Mean in the last seconds, when power is dear: what heats the house, W.
    pub power_w_dear: Option<f64>,
    /// From the call's begin until 95 % of what it asks is gone, at the meter, ms.
    pub curtail_to_95pct_ms: Option<f64>,
    /// How far the mean during the call lies from what it asks, %.
    pub interval_error_pct: Option<f64>,
    pub room_c_min: Option<f64>,
    pub room_c_max: Option<f64>,
    /// Signed records of metered energy.
    pub evidence_records: Option<u64>,
    /// Whether they are accepted as written.
    pub evidence_accepted: Option<bool>,
    /// Whether they are rejected with one byte changed.
    pub evidence_rejected_changed: Option<bool>,
    /// Reports that the operator got back.
    pub operator_reports: u64,
}

type Failure = Box<dyn Error + Send + Sync>;

/// Watts at the connection point and when they were measured.
type Seen = Arc<Mutex<Vec<(Instant, f64)>>>;

/// Power under way.
pub struct DemoEnergy {
    running: Running,
    vtn: Vtn,
    seen: Seen,
    room: Arc<Mutex<Option<(f64, f64)>>>,
    world: JoinHandle<()>,
    folder: PathBuf,
    time: Duration,
    started: Instant,
    called: Option<Called>,
    over: Arc<AtomicBool>,
    shown: bool,
    /// When power became dear.
    dear: Option<Instant>,
}

struct Called {
    at: Instant,
    limit: f64,
    before: f64,
}

impl DemoEnergy {
    /// Begins to decide on the farm's power, for as long as `time`.
    pub async fn start(
        farm: &DemoFarm,
        bridge: Arc<Bridge>,
        folder: &Path,
        time: Duration,
        shown: bool,
    ) -> Result<Self, Failure> {
        let any = "127.0.0.1:0".parse()?;
        let meter = Meter::start(any).await?;
        let login = VtnLogin { client_id: "hearth".into(), client_secret: "demo".into() };
        let vtn = Vtn::start(any, login.clone()).await?;
        let mut spec = WorldSpec::home(1)?;
        // Sun and battery would blur what the call does.
        (spec.pv, spec.battery) = (None, None);
        let heating = farm.heating();
        let told = Energy {
            import_limit: farm.carries(),
            ..energy(&meter, &vtn, &login, &bridge, &heating)?
        };
        let world = World::new(spec);
        let (seen, room): (Seen, _) = (Arc::default(), Arc::new(Mutex::new(None)));
        let over = Arc::new(AtomicBool::new(false));
        let world = tokio::spawn(live(
            world,
            meter,
            farm.power(),
            seen.clone(),
            room.clone(),
            over.clone(),
        ));
        let running = Running::start(&told, folder, bridge, farm.machines(), "".into())?;
        let price = running.hub();
        price.tell(&"price".into(), Quality::Synthetic, &Signal::Price, CHEAP);
        let demo = Self {
            running,
            vtn,
            seen,
            room,
            world,
            folder: folder.join("evidence"),
            time,
            started: Instant::now(),
            called: None,
            over,
            shown,
            dear: None,
        };
        demo.say(format!(
            "power: a house heated by {} of the machines, {:.0} ¢/kWh, a grid operator who may call; \
             made up, measured over Modbus and OpenADR",
            heating.len(),
            CHEAP * 100.0
        ));
        Ok(demo)
    }

    fn say(&self, line: String) {
        if self.shown {
            println!("{line}");
        }
    }

    /// Tells the price, and sees to it that the operator calls when it is time.
    pub fn tick(&mut self) {
        let part = self.started.elapsed().as_secs_f64() / self.time.as_secs_f64().max(1e-3);
        if part >= RISES && self.dear.is_none() {
            self.dear = Some(Instant::now());
            self.say(format!(
                "price power costs {:.0} ¢/kWh, more than any machine earns",
                DEAR * 100.0
            ));
        }
        let price = if self.dear.is_some() { DEAR } else { CHEAP };
        self.running.hub().tell(&"price".into(), Quality::Synthetic, &Signal::Price, price);
        if self.called.is_some() || part < CALLS {
            return;
        }
        let now = Instant::now();
        let Some(before) = self.mean(now - self.time.mul_f64(0.1), now) else { return };
        let limit = before * LEAVES;
        let utc = utc();
        let call = Call {
            name: "evening peak".into(),
            priority: 0,
            start: utc,
            length: self.time.mul_f64(ENDS - CALLS),
            randomize: Duration::ZERO,
            import_limit: Watts::new(limit).unwrap_or(Watts::ZERO),
        };
        self.vtn.call(&call, utc);
        self.say(format!(
            "call  the grid operator allows {:.1} kW of {:.1} kW",
            limit / 1e3,
            before / 1e3
        ));
        self.called = Some(Called { at: now, limit, before });
    }

    fn mean(&self, from: Instant, to: Instant) -> Option<f64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let own: Vec<f64> =
            seen.iter().filter(|(at, _)| *at >= from && *at <= to).map(|(_, w)| *w).collect();
        (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)
    }

    /// Stops, reads the record back, and tells what happened. The record is copied to `keep`.
    pub async fn finish(self, keep: Option<&Path>) -> Result<Report, Failure> {
        let mut report = Report::default();
        if let Some(called) = &self.called {
            let end = called.at + self.time.mul_f64(ENDS - CALLS);
            let gone = called.before - called.limit;
            let met = {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.iter()
                    .filter(|(at, _)| *at >= called.at && *at <= end)
                    .find(|(_, watts)| *watts <= called.before - 0.95 * gone)
                    .map(|(at, _)| *at)
            };
            report.power_w_before = Some(called.before);
            report.curtail_to_95pct_ms =
                met.map(|met| met.duration_since(called.at).as_secs_f64() * 1e3);
            // The last ramp into the call is not part of what is held.
            let held = met.map(|met| met + Duration::from_secs(2));
            report.power_w_during =
                held.and_then(|held| self.mean(held, end - Duration::from_millis(500)));
            report.interval_error_pct = report
                .power_w_during
                .map(|during| (during - called.limit).abs() / called.limit * 100.0);
        }
        let last = |end: Instant| self.mean(end - Duration::from_secs(2), end);
        report.power_w_after = self.dear.and_then(last);
        report.power_w_dear = self.dear.and_then(|_| last(Instant::now()));
        let room = *self.room.lock().unwrap_or_else(PoisonError::into_inner);
        (report.room_c_min, report.room_c_max) = (room.map(|room| room.0), room.map(|room| room.1));
        report.operator_reports = self.vtn.reports().len() as u64;
        self.running.stop().await;
        self.over.store(true, Ordering::Relaxed);
        let _ = self.world.await;
        let folder = self.folder;
        if let Some(keep) = keep {
            copy(&folder, keep).map_err(|error| {
                format!("the record of energy is not kept in {}: {error}", keep.display())
            })?;
        }
        let checked = tokio::task::spawn_blocking(move || check(&folder)).await;
        if let Ok(Ok((records, accepted, rejected))) = checked {
            report.evidence_records = Some(records);
            (report.evidence_accepted, report.evidence_rejected_changed) =
                (Some(accepted), Some(rejected));
        }
        Ok(report)
    }
}

/// Copies the files of a record.
fn copy(record: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to)?;
    for file in evidence::files_in(record)? {
        let name = file.file_name().ok_or("a record without a name")?;
        std::fs::copy(&file, to.join(name))?;
    }
    Ok(())
}

/// Verifies the record as written, and a copy with one byte changed.
fn check(folder: &Path) -> Result<(u64, bool, bool), Failure> {
    let files = evidence::files_in(folder)?;
    let summary = evidence::verify(&files, None, |_| {});
    let records = summary.as_ref().map_or(0, |summary| summary.last_seq + 1);
    let first = files.first().ok_or("no record was written")?;
    let mut bytes = std::fs::read(first)?;
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    let copy = tempfile::tempdir()?;
    let changed = copy.path().join(first.file_name().ok_or("a record without a name")?);
    std::fs::write(&changed, bytes)?;
    let rejected = evidence::verify(&[changed], None, |_| {}).is_err();
    Ok((records, summary.is_ok(), rejected))
}

/// The house's and the meter's time.
async fn live(
    mut world: World,
    meter: Meter,
    power: impl Fn() -> (Watts, Watts),
    seen: Seen,
    room: Arc<Mutex<Option<(f64, f64)>>>,
    over: Arc<AtomicBool>,
) {
    let mut every = tokio::time::interval(EVERY);
    while !over.load(Ordering::Relaxed) {
        every.tick().await;
        let (all, heating) = power();
        let state = world.step(EVERY.mul_f64(SPEED), heating);
        // The machines that do not heat hang on the same connection point.
        let net = state.net.get() + all.get() - heating.get();
        let phase = NetWatts::new(net / 3.0).unwrap_or_default();
        let mut shown = state.shown();
        shown.phases = [phase; 3];
        meter.show(shown);
        seen.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), net));
        let is = state.room.get();
        let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
        *room = Some(room.map_or((is, is), |(low, high)| (is.min(low), is.max(high))));
    }
}

fn energy(
    meter: &Meter,
    vtn: &Vtn,
    login: &VtnLogin,
    bridge: &Bridge,
    heating: &[Arc<str>],
) -> Result<Energy, Failure> {
    let register = |signal, address, kind, scale: f64| -> Result<Register, Failure> {
        let field = grid::number::Field::new(None, scale, 0.0)?;
        Ok(Register { field, ..Register::new(signal, Table::Holding, address, kind) })
    };
    let temperature = |name: &str| Signal::Temperature(name.into());
    let modbus = modbus::Device {
        name: "meter".into(),
        host: meter.address().ip().to_string(),
        port: meter.address().port(),
        unit: 1,
        every: EVERY,
        timeout: Duration::from_secs(1),
        registers: vec![
            register(Signal::NetPower, registers::NET, Kind::I32, 1.0)?,
            register(temperature("room"), registers::ROOM, Kind::I16, 0.01)?,
            register(temperature("outdoor"), registers::OUTDOOR, Kind::I16, 0.01)?,
        ],
        quality: Quality::Synthetic,
    };
    let openadr = grid::openadr::Config {
        name: "grid operator".into(),
        url: format!("http://{}/", vtn.address()),
        token_url: None,
        client_id: login.client_id.clone(),
        client_secret: login.client_secret.clone(),
        ven_name: "hearth-demo".into(),
        programs: Vec::new(),
        every: Duration::from_secs(1),
        usd_per_unit: 1.0,
        quality: Quality::Synthetic,
    };
    let sources = Sources {
        modbus: vec![modbus],
        openadr: vec![openadr],
        bitcoin: rate(bridge),
        ..Sources::default()
    };
    let celsius = Celsius::new(21.0)?;
    let zone = Zone {
        kind: ZoneKind::Room,
        body: Body {
            name: "house".into(),
            temperature: "room".into(),
            outlet: None,
            set_point: celsius,
            curve: None,
            hygiene: None,
            control: Control::Pi(Pi::new(2000.0, Duration::from_secs(3 * 3600).div_f64(SPEED))),
            times: Times {
                min_on: Duration::from_secs(1800).div_f64(SPEED),
                min_off: Duration::from_secs(900).div_f64(SPEED),
                starts_per_day: 6 * SPEED as usize,
            },
            safety: Safety::new(Medium::Air),
            leeway: None,
        },
        machines: heating.to_vec(),
        band_k: 0.5,
        outdoor: "outdoor".into(),
        capacity: HeatCapacity::new(8000.0)?,
        loss: HeatLoss::new(200.0)?,
        cold: Usd::new(1.0)?,
        open: None,
        closed_k: 0.0,
        gain_w: 0.0,
        aperture_m2: 0.0,
        backup: None,
    };
    Ok(Energy {
        enabled: true,
        site: "demo".into(),
        price: true,
        zones: if heating.is_empty() { Vec::new() } else { vec![zone] },
        evidence: Some(config::Evidence {
            meter: "main".into(),
            interval: INTERVAL,
            ..config::Evidence::unrecorded()
        }),
        sources,
        ..Energy::default()
    })
}

/// The rate at which the private chain pays [`HASH_PRICE`].
fn rate(bridge: &Bridge) -> Option<grid::rate::Rates> {
    let now = bridge.now.lock().unwrap_or_else(PoisonError::into_inner);
    let template = now.template.as_ref()?;
    let hashes = template.target.difficulty_float() * 4_294_967_296.0;
    let bitcoin = template.coinbase_value.0 as f64 / 1e8;
    let usd = HASH_PRICE * hashes / (86_400e15 * bitcoin);
    Some(grid::rate::Rates {
        name: "bitcoin price".into(),
        sources: Vec::new(),
        every: Duration::from_secs(3600),
        quorum: 1,
        guard: units::Ratio::ALL,
        jump: units::Ratio::ALL,
        manual: Usd::price(usd).ok(),
    })
}

/// The last lines of the demonstration.
pub fn show(report: &Report) {
    let kw = |watts: Option<f64>| {
        watts.map_or("unknown".into(), |watts| format!("{:.2} kW", watts / 1e3))
    };
    println!(
        "Power: {} before the operator's call, {} during it, {} after; {} when it became dear.",
        kw(report.power_w_before),
        kw(report.power_w_during),
        kw(report.power_w_after),
        kw(report.power_w_dear)
    );
    if let (Some(ms), Some(error)) = (report.curtail_to_95pct_ms, report.interval_error_pct) {
        println!(
            "95 % of it was gone after {:.1} s; the rest of the call is {error:.1} % off.",
            ms / 1e3
        );
    }
    if let (Some(low), Some(high)) = (report.room_c_min, report.room_c_max) {
        println!("The house stayed between {low:.1} and {high:.1} °C.");
    }
    if let (Some(records), Some(accepted), Some(rejected)) =
        (report.evidence_records, report.evidence_accepted, report.evidence_rejected_changed)
    {
        println!(
            "{records} signed records: {} as written, {} with one byte changed.",
            if accepted { "accepted" } else { "NOT accepted" },
            if rejected { "rejected" } else { "NOT rejected" }
        );
    }
}
