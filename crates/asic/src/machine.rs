//! One machine behind asic-rs. What the library could not read is unknown here, also where it makes up
//! a value: its `is_mining` is a bool in any case.

use asic_rs::core::{
    config::tuning::TuningConfig,
    data::{
        collector::DataField,
        hashrate::{HashRate, HashRateUnit},
        miner::{MinerData, MiningMode, TuningTarget},
    },
    traits::miner::Miner,
};
use fleet::{
    Capabilities, Command, Driver, DriverError, Firmware, Identity, Pending, Range, Readings,
    Reply, Settings, WorkMode,
    command::Verb,
    driver::State,
    readings::weakest_board,
    settings::{Pool, Pools},
};
use measurements::{Power, Temperature};
use std::{collections::HashMap, time::Duration};
use tokio::{sync::SemaphorePermit, time::timeout};
use units::{Celsius, Hashrate, Rpm, Watts};

/// For everything that is read in one go: several requests, one after the other.
const READING: Duration = Duration::from_secs(15);
/// Stock Antminer answers a write after a minute.
const WRITING: Duration = Duration::from_secs(150);

const STATE: &[DataField] = &[
    DataField::Hashrate,
    DataField::Wattage,
    DataField::Hashboards,
    DataField::Fans,
    DataField::FluidTemperature,
    DataField::OutletFluidTemperature,
    DataField::Uptime,
    DataField::IsMining,
    DataField::TuningTarget,
    DataField::LightFlashing,
    DataField::Pools,
];
const WHO: &[DataField] =
    &[DataField::Mac, DataField::SerialNumber, DataField::Hostname, DataField::FirmwareVersion];

pub(crate) struct Machine {
    firmware: Firmware,
    miner: Box<dyn Miner>,
}

struct Told {
    data: MinerData,
    mining: Option<bool>,
}

impl Machine {
    pub(crate) fn new(firmware: Firmware, miner: Box<dyn Miner>) -> Self {
        Self { firmware, miner }
    }

    async fn turn(&self) -> Option<SemaphorePermit<'static>> {
        if self.firmware != Firmware::WhatsminerV3 {
            return None;
        }
        crate::few().acquire().await.ok()
    }

    async fn collect(&self, fields: &[DataField]) -> Result<Told, DriverError> {
        let _turn = self.turn().await;
        let reading = async {
            let mut collector = self.miner.get_collector();
            collector.collect(fields).await
        };
        let raw: HashMap<_, _> =
            timeout(READING, reading).await.map_err(|_| DriverError::Silent(READING))?;
        if raw.is_empty() {
            return Err(DriverError::Silent(READING));
        }
        let knows = raw.get(&DataField::IsMining).is_some_and(|value| !value.is_null());
        let data = self.miner.parse_data(raw);
        let mining = knows.then_some(data.is_mining);
        Ok(Told { data, mining })
    }

    async fn send(&self, command: &Command) -> Result<Reply, DriverError> {
        let _turn = self.turn().await;
        let miner = &self.miner;
        let sending = async {
            match command {
                Command::PowerLimit(watts) => {
                    miner.set_power_limit(Power::from_watts(watts.get())).await
                }
                Command::Throttle(part) => {
                    miner.set_tuning_percent(part.as_percent().round() as u8).await
                }
                // A time of its own would be ignored by some: staging is the fleet's.
                Command::Pause => miner.pause(None).await,
                Command::Resume => miner.resume(None).await,
                Command::Locate(on) => miner.set_fault_light(*on).await,
                Command::Reboot => miner.restart().await,
                Command::Mode(mode) => match mining_mode(*mode) {
                    Some(mode) => {
                        let config = TuningConfig::new(TuningTarget::MiningMode(mode));
                        miner.set_tuning_config(config, None).await
                    }
                    None => Ok(false),
                },
                Command::Profile(name) => {
                    let config = TuningConfig::new(TuningTarget::Preset(name.clone()));
                    miner.set_tuning_config(config, None).await
                }
                Command::Clock { .. }
                | Command::BoardClock { .. }
                | Command::Fan(_)
                | Command::TargetTemperature(_) => Ok(false),
            }
        };
        match timeout(WRITING, sending).await {
            Err(_) => Err(DriverError::Silent(WRITING)),
            Ok(Ok(true)) => Ok(Reply::Accepted),
            // Its `false` may be an error that it swallowed: what is so is read back.
            Ok(Ok(false)) => Err(DriverError::Garbage("asic-rs says no, and not why".into())),
            Ok(Err(error)) => Err(DriverError::Garbage(error.to_string())),
        }
    }
}

impl Driver for Machine {
    fn identify(&self) -> Pending<'_, Identity> {
        Box::pin(async move {
            let told = self.collect(WHO).await?.data;
            Ok(Identity {
                mac: told.mac.and_then(|mac| mac.to_string().parse().ok()),
                serial: told.serial_number.filter(|serial| !serial.trim().is_empty()),
                firmware: self.firmware,
                version: told.firmware_version,
                model: Some(told.device_info.model.to_string()),
                hostname: told.hostname,
            })
        })
    }

    fn capabilities(&self) -> Pending<'_, Capabilities> {
        Box::pin(async move {
            let told = self.collect(&[DataField::TuningCapabilities, DataField::IsMining]).await?;
            let miner = &self.miner;
            let supports = [
                (Verb::PowerLimit, miner.supports_set_power_limit()),
                (Verb::Throttle, miner.supports_set_tuning_percent()),
                (Verb::Pause, miner.supports_pause()),
                (Verb::Resume, miner.supports_resume()),
                (Verb::Locate, miner.supports_set_fault_light()),
                (Verb::Reboot, miner.supports_restart()),
            ];
            let mut able =
                Capabilities::of(supports.into_iter().filter(|own| own.1).map(|own| own.0));
            // Only where a mode is known to be what `set_tuning_config` takes.
            if matches!(self.firmware, Firmware::AntminerStock | Firmware::WhatsminerV2) {
                able.verbs.insert(Verb::Mode);
                able.modes = vec![WorkMode::Low, WorkMode::Normal, WorkMode::High];
            }
            let tuning = told.data.tuning_capabilities;
            able.power = tuning.and_then(|tuning| tuning.power).and_then(|power| {
                let watts = |end: &Option<TuningTarget>| match end {
                    Some(TuningTarget::Power(power)) => Watts::new(power.as_watts()).ok(),
                    _ => None,
                };
                Range::new(watts(&power.minimum)?, watts(&power.maximum)?)
            });
            able.interrupts = self.firmware != Firmware::BraiinsOs;
            Ok(able)
        })
    }

    fn read(&self) -> Pending<'_, State> {
        Box::pin(async move { Ok(state(self.collect(STATE).await?)) })
    }

    fn apply<'a>(&'a self, command: &'a Command) -> Pending<'a, Reply> {
        Box::pin(self.send(command))
    }

    fn patience(&self, command: &Command) -> Duration {
        patience(self.firmware, command)
    }
}

/// How long a command may take to show.
pub(crate) fn patience(firmware: Firmware, command: &Command) -> Duration {
    let slow = matches!(
        firmware,
        Firmware::AntminerStock | Firmware::WhatsminerV2 | Firmware::WhatsminerV3
    );
    Duration::from_secs(match command {
        Command::Reboot => 600,
        _ if slow => 180,
        _ => 60,
    })
}

fn mining_mode(mode: WorkMode) -> Option<MiningMode> {
    match mode {
        WorkMode::Low => Some(MiningMode::Low),
        WorkMode::Normal => Some(MiningMode::Normal),
        WorkMode::High => Some(MiningMode::High),
        WorkMode::Avalon { .. } => None,
    }
}

fn state(told: Told) -> State {
    let Told { data, mining } = told;
    let boards = &data.hashboards;
    let warm = |heat: Option<Temperature>| {
        let degrees = heat?.as_celsius();
        // A board that is off tells 0.
        (degrees > 0.0).then(|| Celsius::new(degrees).ok()).flatten()
    };
    let chips = boards.iter().flat_map(|board| {
        [board.outlet_chip_temperature, board.inlet_chip_temperature, board.board_temperature]
    });
    let rates = boards.iter().filter(|board| board.active != Some(false)).filter_map(|board| {
        Some((rate(board.hashrate.clone()?)?, rate(board.expected_hashrate.clone()?)?))
    });
    let (mut limit, mut mode, mut profile) = (None, None, None);
    match data.tuning_target {
        Some(TuningTarget::Power(power)) => limit = Watts::new(power.as_watts()).ok(),
        Some(TuningTarget::MiningMode(MiningMode::Low)) => mode = Some(WorkMode::Low),
        Some(TuningTarget::MiningMode(MiningMode::Normal)) => mode = Some(WorkMode::Normal),
        Some(TuningTarget::MiningMode(MiningMode::High)) => mode = Some(WorkMode::High),
        Some(TuningTarget::Preset(name)) => profile = Some(name),
        Some(TuningTarget::Manual { .. } | TuningTarget::HashRate(_)) | None => {}
    }
    let pools = data.pools.iter().flat_map(|group| &group.pools).filter_map(|pool| {
        Some(Pool { url: pool.url.as_ref()?.to_string(), user: pool.user.clone()? })
    });
    let pools: Vec<_> = pools.collect();
    let turns = data.fans.iter().filter_map(|fan| fan.rpm).map(|rpm| rpm.as_rpm());
    State {
        readings: Readings {
            hashrate: data.hashrate.and_then(rate),
            power: data.wattage.and_then(|power| Watts::new(power.as_watts()).ok()),
            chip: chips.filter_map(warm).max_by(|a, b| a.get().total_cmp(&b.get())),
            outlet: warm(data.outlet_fluid_temperature),
            inlet: warm(data.fluid_temperature),
            fan: turns.filter(|rpm| (0.0..1e6).contains(rpm)).map(|rpm| Rpm(rpm as u32)).max(),
            uptime: data.uptime,
            weakest_board: weakest_board(rates),
            ..Readings::default()
        },
        settings: Settings {
            mining,
            power_limit: limit,
            mode,
            profile,
            locating: data.light_flashing,
            pools: (!pools.is_empty()).then_some(Pools(pools)),
            ..Settings::default()
        },
    }
}

fn rate(rate: HashRate) -> Option<Hashrate> {
    let hashes = rate.as_unit(HashRateUnit::Hash).value;
    (hashes.is_finite() && hashes >= 0.0).then(|| Hashrate::from_hashes_per_second(hashes))
}
