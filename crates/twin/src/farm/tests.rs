use super::*;
use crate::scripted::{self, Talk};
use std::time::Instant;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use units::Watts;

fn config(first: Ipv4Addr) -> FarmConfig {
    FarmConfig {
        first,
        machines: vec![],
        stratum: None,
        user: "farm".into(),
        scale: None,
        speed: 1.0,
        ambient: Celsius::new(25.0).unwrap(),
        port_shift: 0,
        faults: Faults::default(),
        light: true,
        seed: 1,
    }
}

#[test]
fn every_kind_hashes_about_as_much_in_truth() {
    let config = config(Ipv4Addr::new(127, 0, 7, 1));
    for kind in Kind::ALL {
        let real = Spec::of(kind).nominal().hashes_per_second() / config.scale_of(kind);
        assert!((1400.0..2900.0).contains(&real), "{kind:?} {real}");
    }
    let told = FarmConfig { scale: Some(4_294_967_296.0), ..config };
    assert_eq!(told.scale_of(Kind::BitaxeGamma), 4_294_967_296.0);
}

#[test]
fn addresses_skip_those_that_name_no_machine_and_end_with_the_net() {
    let config = config(Ipv4Addr::new(127, 0, 7, 253));
    let at = |index| config.address(index).map(|ip| ip.to_string());
    assert_eq!(at(0).as_deref(), Some("127.0.7.253"));
    assert_eq!(at(1).as_deref(), Some("127.0.7.254"));
    assert_eq!(at(2).as_deref(), Some("127.0.8.1"));
    let last = FarmConfig { first: Ipv4Addr::new(127, 255, 255, 254), ..config };
    assert!(last.address(0).is_some() && last.address(1).is_none());
}

/// A farm of its own addresses, on ports that a test may have.
fn on(net: u8, machines: Vec<Kind>) -> FarmConfig {
    let first = Ipv4Addr::new(127, 0, net, 1);
    FarmConfig { machines, port_shift: 20_000, light: false, ..config(first) }
}

async fn ask(address: Ipv4Addr, port: u16, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect((address, 20_000 + port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Endless ones are cut off.
    let mut stream = stream.take(1 << 20);
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_millis(700), read).await.ok();
    answer
}

async fn http(address: Ipv4Addr, method: &str, path: &str) -> (u16, Vec<u8>) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = ask(address, 80, &request).await;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.as_bytes().to_vec())
}

fn soon(mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < end, "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_steered_at_its_own_address_and_its_physics_follow() {
    let farm = Farm::start(on(91, vec![Kind::BitaxeGamma; 2])).await.unwrap();
    let [first, second] = farm.machines() else { panic!() };
    let mining = first.output();
    assert!(mining.power.get() > 15.0 && mining.phase == Phase::Running);
    let (status, info) = http(first.address(), "GET", "/api/system/info").await;
    let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
    assert_eq!((status, info["frequency"].as_f64()), (200, Some(525.0)));
    assert_eq!(http(first.address(), "POST", "/api/system/pause").await.0, 200);
    soon(|| first.output().power.get() < 5.0);
    assert!(second.output().power.get() > 15.0);
    assert_eq!(http(first.address(), "GET", "/nothing").await.0, 404);
    farm.power(1, false);
    assert_eq!(http(second.address(), "GET", "/").await.0, 0);
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_what_they_are_declared_to_be() {
    let farm = Farm::start(on(92, vec![Kind::BitaxeGamma; 9])).await.unwrap();
    let faults = [
        Fault::SilentRefusal,
        Fault::LoudRefusal,
        Fault::LostPools,
        Fault::Reboot,
        Fault::Slow(Duration::from_millis(300)),
        Fault::Garbage,
        Fault::Endless,
        Fault::Mute,
        Fault::Lies(2.0),
    ];
    for (i, fault) in faults.into_iter().enumerate() {
        farm.set_fault(i, Some(fault));
    }
    let machines = farm.machines();
    let pause = async |i: usize| http(machines[i].address(), "POST", "/api/system/pause").await.0;
    let paused = |i: usize| machines[i].output().phase == Phase::Paused;
    assert_eq!((pause(0).await, paused(0)), (200, false));
    assert_eq!((pause(1).await, paused(1)), (400, false));
    assert_eq!((pause(2).await, paused(2)), (200, true));
    assert!(machines[2].pools()[0].url.contains("vendor"));
    assert_eq!(pause(3).await, 200);
    assert!(matches!(machines[3].output().phase, Phase::Booting(_)));
    assert_eq!(http(machines[3].address(), "GET", "/").await.0, 0, "a booting board is deaf");
    let asked = Instant::now();
    assert_eq!((pause(4).await, paused(4)), (200, true));
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert_eq!(pause(5).await, 0);
    assert!(!ask(machines[5].address(), 80, "GET / HTTP/1.1\r\n\r\n").await.is_empty());
    assert_eq!(ask(machines[6].address(), 80, "GET / HTTP/1.1\r\n\r\n").await.len(), 1 << 20);
    assert!(ask(machines[7].address(), 80, "GET / HTTP/1.1\r\n\r\n").await.is_empty());
    let (_, info) = http(machines[8].address(), "GET", "/api/system/info").await;
    let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
    let claimed = info["hashRate"].as_f64().unwrap() * 1e9;
    let true_rate = machines[8].output().tried.hashes_per_second();
    assert!((claimed / true_rate - 2.0).abs() < 0.1, "{claimed} {true_rate}");
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_comes_from_its_own_address_and_every_share_is_true() {
    let (listener, server) = scripted::listen();
    let farm = FarmConfig { stratum: Some(server), ..on(93, vec![Kind::BitaxeGamma]) };
    let farm = Farm::start(farm).await.unwrap();
    let talk = std::thread::spawn(move || {
        let (mut talk, from) = Talk::accept_from(&listener);
        assert_eq!(from, "127.0.93.1");
        talk.welcome(Some("1fffe000"));
        // A share every 200 hashes: about ten a second.
        let difficulty = 200.0 / 2f64.powi(32);
        talk.set_difficulty(difficulty);
        let job = scripted::job("j", true);
        talk.notify(&job);
        for _ in 0..10 {
            let share = talk.hear_call("mining.submit").unwrap();
            assert_eq!(share["params"][0], "farm.gamma-1");
            let hash = scripted::share_hash(&share, &job, scripted::EXTRANONCE1, 0x1fff_e000);
            assert!(scripted::meets(&hash, difficulty));
            talk.answer(&share, true.into());
        }
        talk
    });
    let _talk = tokio::task::spawn_blocking(|| talk.join().unwrap()).await.unwrap();
    let machine = &farm.machines()[0];
    soon(|| machine.mined().accepted >= 10);
    assert!(machine.mined().connected && machine.mined().hashes > 500);
    // Nothing is mined while it is paused.
    machine.set(Setting { mining: false, ..machine.setting() });
    soon(|| machine.output().phase == Phase::Paused);
    // A step of its physics may still be under way on a busy machine.
    let idle = || {
        let before = machine.mined().hashes;
        std::thread::sleep(Duration::from_millis(100));
        machine.mined().hashes == before
    };
    soon(idle);
    assert!(idle() && idle());
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_work_idles_and_works_again() {
    let (listener, server) = scripted::listen();
    let fast = FarmConfig { speed: 60.0, stratum: Some(server), ..on(94, vec![Kind::BitaxeGamma]) };
    let farm = Farm::start(fast).await.unwrap();
    let machine = farm.machines()[0].clone();
    tokio::task::spawn_blocking(move || {
        let mut talk = Talk::accept(&listener);
        talk.welcome(None);
        soon(|| machine.output().power.get() < 5.0);
        assert_eq!(machine.output().phase, Phase::Running);
        talk.set_difficulty(1.0);
        talk.notify(&scripted::job("j", true));
        soon(|| machine.output().power.get() > 15.0);
    })
    .await
    .unwrap();
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_trips_when_too_many_start_and_takes_all_with_it() {
    let fast = FarmConfig { speed: 20.0, ..on(95, vec![Kind::LuxS19kPro; 4]) };
    let farm = Farm::start(fast).await.unwrap();
    let limit = Watts::new(3.5 * 2800.0).unwrap();
    for machine in &farm.machines()[1..] {
        machine.set(Setting { mining: false, ..machine.setting() });
    }
    soon(|| farm.meter().get() < 3000.0);
    let breaker = farm.breaker(limit);
    let wake = |machine: &Device| machine.set(Setting { mining: true, ..machine.setting() });
    wake(&farm.machines()[1]);
    soon(|| farm.meter().get() > 5400.0);
    assert_eq!(farm.tripped(breaker), None);
    farm.machines()[2..].iter().for_each(|machine| wake(machine));
    soon(|| farm.tripped(breaker).is_some());
    soon(|| farm.meter() == Watts::ZERO);
    assert!(farm.most(breaker).unwrap() > limit);
    farm.reset(breaker);
    assert!(farm.machines().iter().all(|m| matches!(m.output().phase, Phase::Booting(_))));
    farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn light_machines_share_a_listener_and_keep_apart() {
    let light =
        FarmConfig { light: true, port_shift: 21_000, ..on(96, vec![Kind::BitaxeGamma; 300]) };
    let farm = Farm::start(light).await.unwrap();
    let port = 80 + 1000;
    let pause = "POST /api/system/pause HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (first, last) = (&farm.machines()[0], &farm.machines()[299]);
    assert_eq!(last.address(), Ipv4Addr::new(127, 0, 97, 46));
    let before = farm.meter().get();
    assert!(before / 300.0 > 15.0, "{before}");
    assert!(ask(last.address(), port, pause).await.starts_with(b"HTTP/1.1 200"));
    assert_eq!(last.output().phase, Phase::Paused);
    assert_eq!(first.output().phase, Phase::Running);
    // An address that is no machine's says nothing.
    assert!(ask(Ipv4Addr::new(127, 0, 98, 1), port, pause).await.is_empty());
    farm.stop().await;
}

#[tokio::test]
async fn a_farm_that_cannot_be_says_what_to_change() {
    let plain = || on(99, vec![Kind::BitaxeGamma]);
    for (config, said) in [
        (FarmConfig { first: Ipv4Addr::new(10, 0, 0, 1), ..plain() }, "127.0.0.0/8"),
        (FarmConfig { speed: 0.0, ..plain() }, "speed"),
        (FarmConfig { scale: Some(f64::NAN), ..plain() }, "scale"),
        (FarmConfig { stratum: Some("here".into()), ..plain() }, "127.0.0.1:3333"),
        (FarmConfig { port_shift: 65_500, ..plain() }, "65535"),
        (FarmConfig { first: Ipv4Addr::new(127, 255, 255, 255), ..plain() }, "lower address"),
    ] {
        let Err(error) = Farm::start(config).await else { panic!("it started") };
        assert!(error.to_string().contains(said), "{error}");
    }
}
