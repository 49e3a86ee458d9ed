//! Unmodified asic-rs behind our driver, and by itself, against emulated machines at real ports. Each
//! farm has addresses of its own; ports below 1024 must be allowed.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use asic::{Allowed, open};
use asic_rs::MinerFactory;
use fleet::{
    Command, Driver, DriverError, Endpoint, Firmware, Outcome, Refusal, WorkMode, discovery::probe,
    verify,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};
use twin::farm::{Farm, FarmConfig, Fault, Faults, Kind, Output};
use units::{Celsius, Watts};

async fn farm(net: u8, machines: Vec<Kind>) -> Farm {
    let config = FarmConfig {
        first: Ipv4Addr::new(127, 0, net, 1),
        machines,
        stratum: None,
        user: "farm".into(),
        scale: None,
        speed: 60.0,
        ambient: Celsius::new(25.0).unwrap(),
        port_shift: 0,
        faults: Faults::default(),
        light: false,
        seed: 1,
    };
    Farm::start(config).await.unwrap()
}

fn ip(net: u8, n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, net, n))
}

async fn done(driver: &dyn Driver, command: Command) -> Outcome {
    let able = driver.capabilities().await.unwrap();
    assert_eq!(able.check(&command), Ok(()), "{command}");
    let before = driver.read().await.unwrap();
    let reply = driver.apply(&command).await;
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let after = driver.read().await.ok();
        let over = Instant::now() > end;
        let told = verify::judge(&command, &reply, Some(&before), after.as_ref(), over);
        if over || told.outcome == Outcome::Verified {
            return told.outcome;
        }
    }
}

async fn settled(farm: &Farm, machine: usize, so: impl Fn(&Output) -> bool) {
    let end = Instant::now() + Duration::from_secs(25);
    while !so(&farm.output(machine).unwrap()) {
        assert!(Instant::now() < end, "{:?}", farm.output(machine));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn link(net: u8, n: u8, firmware: Firmware) -> Box<dyn Driver> {
    let at = Endpoint::usual(ip(net, n));
    let found = probe::probe(at).await.unwrap();
    assert_eq!(found.identity.firmware, firmware);
    open(at, firmware, None, Allowed::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn braiins_whatsminer_and_antminer_are_identified_read_and_steered() {
    let net = 121;
    let farm =
        farm(net, vec![Kind::BraiinsS21Pro, Kind::WhatsminerM30Spp, Kind::AntminerS21]).await;
    let hashes = |out: &Output| out.good.terahashes_per_second() > 80.0;
    for (n, firmware) in [Firmware::BraiinsOs, Firmware::WhatsminerV2, Firmware::AntminerStock]
        .into_iter()
        .enumerate()
    {
        settled(&farm, n, hashes).await;
        let driver = link(net, n as u8 + 1, firmware).await;
        let who = driver.identify().await.unwrap();
        assert!(who.mac.is_some() && who.model.is_some(), "{who:?}");
        let state = driver.read().await.unwrap();
        assert_eq!(state.settings.mining, Some(true), "{firmware:?}");
        let (read, is) = (state.readings, farm.output(n).unwrap());
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.05;
        assert!(near(read.power.unwrap().get(), is.power.get()), "{firmware:?} {read:?} {is:?}");
        let rate = read.hashrate.unwrap().terahashes_per_second();
        assert!(near(rate, is.good.terahashes_per_second()), "{firmware:?} {rate} {is:?}");
        if firmware == Firmware::BraiinsOs {
            assert!(read.weakest_board.unwrap().get() > 0.9, "{read:?}");
        }

        assert_eq!(done(&*driver, Command::Pause).await, Outcome::Verified, "{firmware:?}");
        settled(&farm, n, |out| out.good.hashes_per_second() == 0.0).await;
        assert_eq!(done(&*driver, Command::Resume).await, Outcome::Verified, "{firmware:?}");
        settled(&farm, n, hashes).await;
        if firmware == Firmware::AntminerStock {
            let low = done(&*driver, Command::Mode(WorkMode::Low)).await;
            assert_eq!(low, Outcome::Verified);
        } else {
            let limit = Watts::new(2500.0).unwrap();
            let outcome = done(&*driver, Command::PowerLimit(limit)).await;
            assert_eq!(outcome, Outcome::Verified, "{firmware:?}");
            settled(&farm, n, |out| out.power.get() > 2300.0 && out.power.get() < 2600.0).await;
        }
        assert_eq!(driver.read().await.unwrap().settings.pools, state.settings.pools);
    }
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whatsminer_that_ignores_power_off_is_refused_silent() {
    let farm = farm(122, vec![Kind::WhatsminerM30Spp]).await;
    settled(&farm, 0, |out| out.good.hashes_per_second() > 0.0).await;
    let driver = link(122, 1, Firmware::WhatsminerV2).await;
    farm.set_fault(0, Some(Fault::SilentRefusal));
    assert_eq!(done(&*driver, Command::Pause).await, Outcome::Refused(Refusal::Silent));
    farm.stop().await;
}

#[tokio::test]
async fn no_avalon_is_written_through_asic_rs() {
    let avalon =
        open(Endpoint::usual(ip(123, 1)), Firmware::Avalon, None, Allowed::default()).await;
    assert!(matches!(avalon.err(), Some(DriverError::Unsafe(_))));
    assert!(!asic::steers(Firmware::Avalon));
}

#[tokio::test]
async fn a_whatsminer_v3_is_left_alone_unless_allowed() {
    let at = Endpoint::usual(ip(123, 2));
    let v3 = open(at, Firmware::WhatsminerV3, None, Allowed::default()).await;
    assert!(matches!(v3.err(), Some(DriverError::Unsafe(_))));
}

#[tokio::test]
async fn a_machine_that_nobody_answers_for_gives_no_link() {
    let at = Endpoint::usual(ip(123, 3));
    assert!(open(at, Firmware::BraiinsOs, None, Allowed::default()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn unmodified_asic_rs_identifies_each_emulated_machine_and_asic_rs_does_not_change_the_descriptor_limit()
 {
    let farm = farm(124, Kind::ALL.to_vec()).await;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let factory = MinerFactory::new().with_nofile_adjustment(false);
    for (n, (kind, model)) in Kind::ALL
        .into_iter()
        .zip(["601", "S21 Pro", "M30SPlusPlus", "S21", "S19K Pro", "Q"])
        .enumerate()
    {
        let found = factory.get_miner(ip(124, n as u8 + 1)).await.unwrap();
        let miner = found.unwrap_or_else(|| panic!("{kind:?} is not identified"));
        let told = miner.get_device_info().model.to_string();
        println!("{kind:?}: {} {told}", miner.get_device_info().firmware);
        assert!(
            model == "601"
                || told
                    .replace(" ", "")
                    .to_uppercase()
                    .contains(&model.replace(" ", "").to_uppercase()),
            "{kind:?} {told}"
        );
    }
    assert_eq!(limit, rustix::process::getrlimit(rustix::process::Resource::Nofile));
    farm.stop().await;
}
