//! Our own drivers against emulated machines that share no code with them: what is commanded shows in
//! the machine's physics, and what is read is what the physics are.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use hearth_fleet::{
    Command, Control, Device, Driver, DriverError, Endpoint, Firmware, Limits, Outcome, Refusal,
    Surprise, WorkMode,
    circuit::Circuits,
    control::{Clock, Fleet, Setup},
    driver::{Reply, State},
    drivers, verify,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};
use twin::farm::{Farm, FarmConfig, Fault, Faults, Kind};
use units::{Celsius, Megahertz, Millivolts, Ratio, Watts};

const SHIFT: u16 = 21_000;

async fn farm(net: u8, kind: Kind) -> (Farm, Endpoint) {
    let first = Ipv4Addr::new(127, 0, net, 1);
    let farm = Farm::start(FarmConfig {
        first,
        machines: vec![kind],
        stratum: None,
        user: "farm".into(),
        scale: None,
        speed: 60.0,
        ambient: Celsius::new(25.0).unwrap(),
        port_shift: SHIFT,
        faults: Faults::default(),
        light: false,
        seed: 1,
    });
    let at = Endpoint { ip: IpAddr::V4(first), http: 80 + SHIFT, cgminer: 4028 + SHIFT };
    (farm.await.unwrap(), at)
}

/// Sends, and reads back until it is so or a few seconds (minutes of the machine's) are over.
async fn done(driver: &dyn Driver, command: Command) -> Outcome {
    let able = driver.capabilities().await.unwrap();
    assert_eq!(able.check(&command), Ok(()), "{command}");
    let before = driver.read().await.unwrap();
    let reply = driver.apply(&command).await;
    let end = Instant::now() + Duration::from_secs(3);
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let after = driver.read().await.ok();
        let over = Instant::now() > end;
        let told = verify::judge(&command, &reply, Some(&before), after.as_ref(), over);
        if over || told.outcome == Outcome::Verified {
            return told.outcome;
        }
    }
}

async fn read(driver: &dyn Driver) -> State {
    driver.read().await.unwrap()
}

/// Waits until the machine is as told; minutes of its time are seconds of ours.
async fn settled(farm: &Farm, so: impl Fn(&twin::farm::Output) -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !so(&farm.output(0).unwrap()) {
        assert!(Instant::now() < end, "{:?}", farm.output(0));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn near(a: f64, b: f64, part: f64) -> bool {
    (a - b).abs() <= part * b.abs()
}

fn mhz(f: f64) -> Megahertz {
    Megahertz::new(f).unwrap()
}

fn mv(v: f64) -> Millivolts {
    Millivolts::new(v).unwrap()
}

#[tokio::test]
async fn a_gamma_is_read_and_steered_and_every_setting_is_its_physics() {
    let (farm, at) = farm(101, Kind::BitaxeGamma).await;
    let gamma = drivers::open(at, Firmware::AxeOs).unwrap();
    let who = gamma.identify().await.unwrap();
    assert_eq!(who.model.as_deref(), Some("BM1370"));
    assert!(who.id().unwrap().to_string().starts_with("mac:02:"));

    settled(&farm, |out| out.tried.hashes_per_second() > 1e12).await;
    let state = read(&*gamma).await;
    let out = farm.output(0).unwrap();
    assert!(near(state.readings.power.unwrap().get(), out.power.get(), 0.02));
    assert!(near(state.readings.chip.unwrap().get(), out.chip.get(), 0.02));
    assert_eq!(state.readings.input.unwrap().get(), 5150.0);
    let pools = state.settings.pools.clone();

    let clock = |f, v| Command::Clock { frequency: mhz(f), voltage: mv(v) };
    assert_eq!(done(&*gamma, clock(490.0, 1060.0)).await, Outcome::Verified);
    settled(&farm, |out| out.clock == mhz(490.0) && out.power.get() < 14.5).await;
    assert_eq!(done(&*gamma, Command::Pause).await, Outcome::Verified);
    settled(&farm, |out| out.good.hashes_per_second() == 0.0 && out.power.get() < 4.0).await;
    assert_eq!(done(&*gamma, Command::Resume).await, Outcome::Verified);
    assert_eq!(done(&*gamma, Command::Fan(Ratio::percent(40.0).ok())).await, Outcome::Verified);
    assert_eq!(done(&*gamma, Command::Fan(None)).await, Outcome::Verified);
    let target = Command::TargetTemperature(Celsius::new(58.0).unwrap());
    assert_eq!(done(&*gamma, target).await, Outcome::Verified);
    assert_eq!(done(&*gamma, Command::Reboot).await, Outcome::Verified);
    assert_eq!(read(&*gamma).await.settings.pools, pools);

    let beyond = gamma.capabilities().await.unwrap().check(&clock(700.0, 1150.0));
    assert!(matches!(beyond, Err(Refusal::Limit(_))), "{beyond:?}");
    let told = gamma.apply(&clock(5000.0, 1150.0)).await.unwrap();
    assert!(matches!(told, Reply::Refused(_)), "{told:?}");
    farm.stop().await;
}

#[tokio::test]
async fn luxos_keeps_to_the_strongest_profile_below_a_limit() {
    let (farm, at) = farm(102, Kind::LuxS19kPro).await;
    let lux = drivers::open(at, Firmware::LuxOs).unwrap();
    let who = lux.identify().await.unwrap();
    assert_eq!(who.model.as_deref(), Some("Antminer S19k Pro"));
    assert!(who.mac.is_some() && who.serial.is_some());
    let able = lux.capabilities().await.unwrap();
    assert_eq!(able.profiles.len(), 25);

    settled(&farm, |out| out.good.terahashes_per_second() > 115.0).await;
    let state = read(&*lux).await;
    let out = farm.output(0).unwrap();
    assert!(near(state.readings.power.unwrap().get(), out.power.get(), 0.02));
    let claims = state.readings.hashrate.unwrap().terahashes_per_second();
    assert!(near(claims, out.good.terahashes_per_second(), 0.02));
    assert!(state.readings.weakest_board.unwrap().get() > 0.95);
    assert_eq!(state.settings.mining, Some(true));
    let pools = state.settings.pools.clone().unwrap();
    assert_eq!(pools.0.len(), 2);

    let limit = Watts::new(2000.0).unwrap();
    assert_eq!(done(&*lux, Command::PowerLimit(limit)).await, Outcome::Verified);
    let profile = read(&*lux).await.settings.profile.unwrap();
    let strongest = able.profiles.iter().rfind(|(_, watts)| watts.unwrap() <= limit).unwrap();
    assert_eq!(profile, strongest.0);
    settled(&farm, |out| out.power <= limit && out.power.get() > 1800.0).await;

    assert_eq!(done(&*lux, Command::Profile("340MHz".into())).await, Outcome::Verified);
    assert_eq!(read(&*lux).await.settings.power_limit.unwrap().get(), 1414.0);
    assert_eq!(done(&*lux, Command::Pause).await, Outcome::Verified);
    settled(&farm, |out| out.power.get() < 30.0).await;
    // Said twice, the machine says no, and it is so all the same.
    assert_eq!(done(&*lux, Command::Pause).await, Outcome::Verified);
    assert_eq!(done(&*lux, Command::Resume).await, Outcome::Verified);
    assert_eq!(done(&*lux, Command::Locate(true)).await, Outcome::Verified);
    assert_eq!(done(&*lux, Command::Locate(false)).await, Outcome::Verified);
    // A restart forgets the session; the next command opens another.
    assert_eq!(done(&*lux, Command::Reboot).await, Outcome::Verified);
    assert_eq!(done(&*lux, Command::Profile("default".into())).await, Outcome::Verified);
    assert_eq!(read(&*lux).await.settings.pools, Some(pools));
    farm.stop().await;
}

#[tokio::test]
async fn an_avalon_changes_mode_and_sleeps_by_its_own_clock() {
    let (farm, at) = farm(103, Kind::AvalonQ).await;
    let avalon = drivers::open(at, Firmware::Avalon).unwrap();
    let who = avalon.identify().await.unwrap();
    assert_eq!(who.model.as_deref(), Some("Avalon Q"));
    assert!(who.mac.is_some());

    settled(&farm, |out| out.good.terahashes_per_second() > 40.0).await;
    let mode = |mode| Command::Mode(WorkMode::Avalon { mode, level: None });
    for (chosen, watts) in [(0, 800.0), (2, 1600.0), (1, 1300.0)] {
        assert_eq!(done(&*avalon, mode(chosen)).await, Outcome::Verified);
        settled(&farm, |out| near(out.power.get(), watts, 0.08)).await;
    }
    let read_power = read(&*avalon).await.readings.power.unwrap().get();
    assert!(near(read_power, farm.output(0).unwrap().power.get(), 0.05), "{read_power}");
    assert_eq!(done(&*avalon, Command::Pause).await, Outcome::Verified);
    settled(&farm, |out| out.power.get() < 200.0).await;
    assert_eq!(done(&*avalon, Command::Resume).await, Outcome::Verified);
    settled(&farm, |out| out.good.terahashes_per_second() > 40.0).await;
    farm.stop().await;
}

#[tokio::test]
async fn what_a_machine_ignores_or_refuses_is_told_as_that() {
    for (net, kind, firmware) in [
        (104, Kind::BitaxeGamma, Firmware::AxeOs),
        (105, Kind::LuxS19kPro, Firmware::LuxOs),
        (106, Kind::AvalonQ, Firmware::Avalon),
    ] {
        let (farm, at) = farm(net, kind).await;
        let driver = drivers::open(at, firmware).unwrap();
        settled(&farm, |out| out.good.hashes_per_second() > 0.0).await;
        farm.set_fault(0, Some(Fault::SilentRefusal));
        let ignored = done(&*driver, Command::Pause).await;
        assert_eq!(ignored, Outcome::Refused(Refusal::Silent), "{firmware:?}");
        farm.set_fault(0, Some(Fault::LoudRefusal));
        let refused = done(&*driver, Command::Pause).await;
        assert!(matches!(refused, Outcome::Refused(Refusal::Said(_))), "{firmware:?} {refused:?}");
        farm.set_fault(0, Some(Fault::Garbage));
        // The link above has a live stream open by now, which goes on telling the truth.
        let driver = drivers::open(at, firmware).unwrap();
        let garbage = driver.read().await;
        assert!(matches!(garbage, Err(DriverError::Garbage(_))), "{firmware:?} {garbage:?}");
        farm.set_fault(0, Some(Fault::Endless));
        assert!(driver.read().await.is_err(), "{firmware:?}");
        farm.stop().await;
    }
}

#[tokio::test]
async fn who_asks_often_is_answered_from_the_live_stream() {
    let (farm, at) = farm(118, Kind::BitaxeGamma).await;
    let driver = drivers::open(at, Firmware::AxeOs).unwrap();
    for _ in 0..20 {
        read(&*driver).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // From now on nobody who connects is answered: only the open stream still tells.
    farm.set_fault(0, Some(Fault::Mute));
    let before = read(&*driver).await;
    farm.set_ambient(Celsius::new(35.0).unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = read(&*driver).await;
    assert!(after.readings.chip.unwrap() > before.readings.chip.unwrap());
    assert_eq!(after.settings, before.settings);
    let stranger = drivers::open(at, Firmware::AxeOs).unwrap();
    assert!(matches!(stranger.read().await, Err(DriverError::Silent(_))));
}

#[tokio::test]
async fn each_luxos_board_takes_a_clock_of_its_own_and_a_profile_ends_it() {
    let (farm, at) = farm(107, Kind::LuxS19kPro).await;
    let lux = drivers::open(at, Firmware::LuxOs).unwrap();
    farm.machines()[0].silicon([20.0, 90.0, 140.0]);
    settled(&farm, |out| out.good.terahashes_per_second() > 110.0).await;
    let boards = lux.capabilities().await.unwrap().boards.unwrap();
    assert_eq!((boards.count, boards.clocks.low, boards.clocks.high), (3, mhz(190.0), mhz(790.0)));
    let told = read(&*lux).await;
    assert_eq!(told.settings.boards, [mhz(590.0); 3]);
    let parts: Vec<_> = (told.readings.boards.iter())
        .map(|board| board.rate.hashes_per_second() / board.nominal.hashes_per_second())
        .collect();
    assert!(parts[0] < 0.9 && parts[1] > 0.99 && parts[2] > 0.99, "{parts:?}");

    let own = |board, f| Command::BoardClock { board, frequency: mhz(f) };
    let pools = told.settings.pools;
    assert_eq!(done(&*lux, own(0, 540.0)).await, Outcome::Verified);
    assert_eq!(done(&*lux, own(2, 615.0)).await, Outcome::Verified);
    let told = read(&*lux).await;
    assert_eq!(told.settings.boards, [mhz(540.0), mhz(590.0), mhz(615.0)]);
    assert_eq!((told.settings.pools, told.settings.profile.as_deref()), (pools, Some("default")));
    assert!(farm.machines()[0].board(0).lost.get() < 0.002);
    assert_eq!(farm.machines()[0].board(2).clock, mhz(615.0));
    let able = lux.capabilities().await.unwrap();
    for wrong in [own(3, 540.0), own(0, 800.0)] {
        assert!(matches!(able.check(&wrong), Err(Refusal::Limit(_))), "{wrong}");
    }
    assert_eq!(done(&*lux, Command::Profile("565MHz".into())).await, Outcome::Verified);
    assert_eq!(read(&*lux).await.settings.boards, [mhz(565.0); 3]);
    farm.set_fault(0, Some(Fault::SilentRefusal));
    assert_eq!(done(&*lux, own(1, 540.0)).await, Outcome::Refused(Refusal::Silent));
    farm.stop().await;
}

#[tokio::test]
async fn a_target_temperature_that_restarts_a_gamma_is_told_and_one_it_has_already_is_not_written()
{
    let (farm, at) = farm(108, Kind::BitaxeGamma).await;
    let gamma: Arc<dyn Driver> = drivers::open(at, Firmware::AxeOs).unwrap().into();
    settled(&farm, |out| out.tried.hashes_per_second() > 1e12).await;
    let fleet = fleet_of(gamma.clone(), at).await;
    let target = |t| Command::TargetTemperature(Celsius::new(t).unwrap());
    let before = read(&*gamma).await;
    farm.set_fault(0, Some(Fault::Reboot));
    let id = fleet.registry().devices().next().unwrap().id.clone();
    let told = fleet.command(&id, target(before.settings.target.unwrap().get())).await;
    assert_eq!((told.outcome, told.surprises), (Outcome::Verified, vec![]));
    let told = fleet.command(&id, target(55.0)).await;
    assert_eq!((told.outcome, told.surprises), (Outcome::Verified, vec![Surprise::Rebooted]));
    assert_eq!(read(&*gamma).await.settings.pools, before.settings.pools);
    farm.stop().await;
}

#[tokio::test]
async fn a_gamma_that_its_firmware_stopped_for_heat_is_read_at_the_lower_setting_that_it_keeps() {
    let (farm, at) = farm(109, Kind::BitaxeGamma).await;
    let gamma = drivers::open(at, Firmware::AxeOs).unwrap();
    settled(&farm, |out| out.tried.hashes_per_second() > 1e12).await;
    let was = read(&*gamma).await.settings;
    farm.set_ambient(Celsius::new(45.0).unwrap());
    let end = Instant::now() + Duration::from_secs(20);
    while farm.machines()[0].setting().clock == was.frequency.unwrap() {
        assert!(Instant::now() < end, "it never trips");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let gamma = drivers::open(at, Firmware::AxeOs).unwrap();
    let is = read(&*gamma).await.settings;
    let lower = |now: Option<f64>, before: Option<f64>| now.unwrap() <= before.unwrap() - 100.0;
    assert!(lower(is.frequency.map(|f| f.get()), was.frequency.map(|f| f.get())), "{is:?}");
    assert!(lower(is.voltage.map(|v| v.get()), was.voltage.map(|v| v.get())), "{is:?}");
    farm.stop().await;
}

/// A fleet of one machine, with this link to it.
async fn fleet_of(link: Arc<dyn Driver>, at: Endpoint) -> Arc<Fleet> {
    let identity = link.identify().await.unwrap();
    let able = link.capabilities().await.unwrap();
    let fleet = Fleet::new(Setup {
        clock: Clock::start(60.0),
        sockets: 4,
        starts_per_second: 100,
        circuits: Circuits::new(Vec::new()).unwrap(),
        open: Arc::new(move |_| Some(link.clone())),
    });
    let limits = Limits::usual(identity.firmware);
    let id = identity.id().unwrap();
    let mut device = Device::found(id, identity, Control::Firmware, limits);
    (device.capabilities, device.endpoint) = (able, Some(at));
    fleet.registry().add(device).unwrap();
    fleet
}
