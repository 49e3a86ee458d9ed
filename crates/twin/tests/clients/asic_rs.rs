//! Unmodified asic-rs against the emulated farm: does it find, read and steer each machine? Whether a
//! command took effect is judged by the farm's physics, never by what a machine answers.

#![expect(clippy::unwrap_used, reason = "what fails here fails the check")]

use asic_rs::{
    MinerFactory,
    core::{data::miner::TuningTarget, traits::miner::Miner},
};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};
use twin::farm::{Farm, FarmConfig, Faults, Kind, Output, Phase};
use units::Celsius;

const SPEED: f64 = 60.0;
/// Ten emulated minutes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kind, part of its model's name, whether its power is told, and the power limit that is commanded
/// with what the machine then draws.
const MACHINES: [(Kind, &str, bool, Option<f64>); 6] = [
    (Kind::BitaxeGamma, "GAMMA", true, None),
    (Kind::BraiinsS21Pro, "S21PRO", true, Some(2500.0)),
    (Kind::WhatsminerM30Spp, "M30SPLUSPLUS", true, Some(3000.0)),
    (Kind::AntminerS21, "S21", true, None),
    (Kind::LuxS19kPro, "S19KPRO", true, None),
    (Kind::AvalonQ, "Q", true, None),
];

#[derive(Default)]
struct Tally(Vec<(bool, String)>);

impl Tally {
    fn add(&mut self, good: bool, what: String) {
        println!("{} {what}", if good { "ok  " } else { "FAIL" });
        self.0.push((good, what));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "binds ports 80 and 4028 of 127.0.77.33 to 38: needs the right to; run by cargo xtask clients"]
async fn asic_rs_finds_reads_and_steers_every_kind() {
    let farm = Farm::start(FarmConfig {
        first: "127.0.77.33".parse().unwrap(),
        machines: MACHINES.map(|machine| machine.0).to_vec(),
        stratum: None,
        user: "farm".into(),
        scale: None,
        speed: SPEED,
        ambient: Celsius::new(25.0).unwrap(),
        port_shift: 0,
        faults: Faults::default(),
        light: false,
        seed: 1,
    })
    .await
    .unwrap();
    for machine in 0..MACHINES.len() {
        assert!(until(&farm, machine, settled).await, "{machine} does not settle");
    }
    let factory = MinerFactory::from_range("127.0.77.33-38").unwrap();
    let found = factory.with_nofile_adjustment(false).scan().await.unwrap();
    let mut tally = Tally::default();
    for (index, (kind, model, tells, limit)) in MACHINES.into_iter().enumerate() {
        let address = IpAddr::from(farm.machines()[index].address());
        let name = kind.name();
        let Some(miner) = found.iter().find(|miner| miner.get_ip() == address) else {
            tally.add(false, format!("{name}: not found"));
            continue;
        };
        read(&farm, index, miner.as_ref(), model, tells, &mut tally).await;
        steer(&farm, index, miner.as_ref(), limit, &mut tally).await;
    }
    let good = tally.0.iter().filter(|(good, _)| *good).count();
    println!("asic-rs 0.8.6: {} of 6 found, {good} of {} checks hold", found.len(), tally.0.len());
    let failed: Vec<_> = tally.0.into_iter().filter(|(good, _)| !good).collect();
    assert!(failed.is_empty() && found.len() == 6, "{failed:#?}");
}

async fn read(
    farm: &Farm,
    index: usize,
    miner: &dyn Miner,
    model: &str,
    tells: bool,
    tally: &mut Tally,
) {
    let name = MACHINES[index].0.name();
    let data = miner.get_data().await;
    let out = farm.output(index).unwrap();
    let info = &data.device_info;
    let known = info.model.to_uppercase().contains(model);
    tally.add(known, format!("{name}: {} {} with {}", info.make, info.model, info.firmware));
    let ths = data
        .hashrate
        .map(|rate| rate.as_unit(asic_rs::core::data::hashrate::HashRateUnit::TeraHash).value);
    let real = out.tried.terahashes_per_second();
    tally.add(near(ths, real, 0.05), format!("{name}: {ths:?} of {real:.2} TH/s"));
    let watts = data.wattage.map(|power| power.as_watts());
    let drawn = out.power.get();
    tally.add(!tells || near(watts, drawn, 0.05), format!("{name}: {watts:?} of {drawn:.0} W"));
    let mac = data.mac.map(|mac| mac.to_string()).unwrap_or_default();
    tally.add(mac.starts_with("02:"), format!("{name}: {mac}"));
}

async fn steer(
    farm: &Farm,
    index: usize,
    miner: &dyn Miner,
    limit: Option<f64>,
    tally: &mut Tally,
) {
    let name = MACHINES[index].0.name();
    let said = miner.pause(None).await;
    let good = until(farm, index, |out| out.tried.hashes_per_second() == 0.0).await;
    tally.add(good, format!("{name}: pause, said {said:?}"));
    let said = miner.resume(None).await;
    let good = until(farm, index, settled).await;
    tally.add(good, format!("{name}: resume, said {said:?}"));
    if let Some(watts) = limit
        && let TuningTarget::Power(power) = TuningTarget::from_watts(watts)
    {
        let said = miner.set_power_limit(power).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let near = |out: Output| settled(out) && (out.power.get() / watts - 1.0).abs() < 0.02;
        let good = until(farm, index, near).await;
        tally.add(good, format!("{name}: {watts} W, said {said:?}"));
    }
}

/// Hashing, and within 3 °C of where its heat ends.
fn settled(out: Output) -> bool {
    out.phase == Phase::Running && out.tried.hashes_per_second() > 0.0 && out.chip.get() > 45.0
}

fn near(got: Option<f64>, want: f64, part: f64) -> bool {
    got.is_some_and(|got| (got / want - 1.0).abs() < part)
}

/// Waits until the machine is so.
async fn until(farm: &Farm, machine: usize, holds: impl Fn(Output) -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if farm.output(machine).is_some_and(&holds) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}
