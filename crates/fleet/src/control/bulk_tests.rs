//! A farm of models behind the drivers' trait: each obeys, lies, or says nothing.

use super::*;
use crate::{
    Capabilities, Control, Device, Driver, Endpoint, Identity, Limits, MacAddress, Outcome,
    Pending, Refusal, Reply, Settings, Surprise, WorkMode,
    circuit::{Circuit, Circuits},
    command::Verb,
    control::{Clock, Setup},
    driver::{DriverError, State},
    identity::Firmware,
    readings::Readings,
    settings::{Pool, Pools},
};
use std::{sync::Mutex, time::Duration};
use units::{Celsius, Watts};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Fault {
    #[default]
    None,
    /// Says yes and does nothing.
    SilentRefusal,
    /// Takes connections and never answers.
    Mute,
    /// Nothing listens.
    Gone,
    /// A power command wipes its pools.
    LostPools,
    /// A resume forgets the mode.
    LostMode,
    /// A target temperature restarts it some seconds later.
    Restarts,
    /// A resume forgets the power limit.
    LostLimit,
    /// Says that it pauses the first time, and does not.
    Deaf,
    /// Its driver has a fault.
    Panics,
    /// Another machine has its address.
    Another,
}

struct Model {
    fault: Mutex<Fault>,
    clock: Clock,
    /// And when it last restarted, if it did.
    state: Mutex<(State, Option<Duration>)>,
    farm: Arc<Farm>,
    index: usize,
}

/// What the breaker sees.
#[derive(Default)]
struct Farm {
    /// Power now, until when, and from then on.
    draws: Mutex<Vec<(f64, Duration, f64)>>,
    worst: Mutex<f64>,
    open: Mutex<(usize, usize)>,
}

impl Farm {
    fn draw(&self, index: usize, now: Duration, draw: (f64, Duration, f64)) {
        let mut draws = self.draws.lock().unwrap();
        draws[index] = draw;
        let at = |(first, until, then): &(f64, Duration, f64)| {
            if now < *until { *first } else { *then }
        };
        let sum: f64 = draws.iter().map(at).sum();
        let mut worst = self.worst.lock().unwrap();
        *worst = worst.max(sum);
    }
}

const ON: f64 = 3000.0;
const OFF: f64 = 60.0;

impl Model {
    async fn socket(&self) -> Result<(), DriverError> {
        {
            let mut open = self.farm.open.lock().unwrap();
            open.0 += 1;
            open.1 = open.1.max(open.0);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.farm.open.lock().unwrap().0 -= 1;
        match *self.fault.lock().unwrap() {
            Fault::Mute => Err(DriverError::Silent(Duration::from_secs(5))),
            Fault::Gone => Err(DriverError::Unreachable("refused".into())),
            _ => Ok(()),
        }
    }
}

impl Driver for Model {
    fn identify(&self) -> Pending<'_, Identity> {
        let mac =
            mac(if *self.fault.lock().unwrap() == Fault::Another { 999 } else { self.index + 1 });
        Box::pin(async move { Ok(Identity { mac: Some(mac), ..Identity::of(Firmware::AxeOs) }) })
    }

    fn capabilities(&self) -> Pending<'_, Capabilities> {
        Box::pin(async { Ok(capabilities()) })
    }

    fn read(&self) -> Pending<'_, State> {
        Box::pin(async {
            self.socket().await?;
            let fault = *self.fault.lock().unwrap();
            assert_ne!(fault, Fault::Panics);
            let (state, started) = self.state.lock().unwrap().clone();
            let mut state = state;
            let now = self.clock.now().0;
            let up = started.and_then(|started| now.checked_sub(started));
            state.readings.uptime = Some(up.unwrap_or(now + Duration::from_secs(9000)));
            Ok(state)
        })
    }

    fn apply<'a>(&'a self, command: &'a Command) -> Pending<'a, Reply> {
        Box::pin(async move {
            self.socket().await?;
            if *self.fault.lock().unwrap() == Fault::SilentRefusal {
                return Ok(Reply::Accepted);
            }
            if *self.fault.lock().unwrap() == Fault::Deaf {
                *self.fault.lock().unwrap() = Fault::None;
                return Ok(Reply::Accepted);
            }
            let now = self.clock.now().0;
            let (state, started) = &mut *self.state.lock().unwrap();
            let settings = &mut state.settings;
            match command {
                Command::Pause => {
                    settings.mining = Some(false);
                    state.readings.power = state.readings.power.map(|_| w(OFF));
                    self.farm.draw(self.index, now, (OFF, now, OFF));
                }
                Command::Resume => {
                    settings.mining = Some(true);
                    if *self.fault.lock().unwrap() == Fault::LostMode {
                        settings.mode = Some(WorkMode::Normal);
                    }
                    if *self.fault.lock().unwrap() == Fault::LostLimit {
                        settings.power_limit = Some(w(2.0 * ON));
                    }
                    // The most that a start can draw.
                    let settled = now + Duration::from_secs(120);
                    self.farm.draw(self.index, now, (ON * 1.05 * 1.1, settled, ON * 1.05));
                }
                Command::PowerLimit(watts) => {
                    settings.power_limit = Some(*watts);
                    if *self.fault.lock().unwrap() == Fault::LostPools {
                        settings.pools = Some(Pools::default());
                    }
                }
                Command::TargetTemperature(target) => {
                    settings.target = Some(*target);
                    if *self.fault.lock().unwrap() == Fault::Restarts {
                        // Some seconds later.
                        *started = Some(now + Duration::from_secs(4));
                    }
                }
                Command::Locate(on) => settings.locating = Some(*on),
                other => panic!("{other}"),
            }
            Ok(Reply::Accepted)
        })
    }

    fn patience(&self, _: &Command) -> Duration {
        Duration::from_secs(20)
    }
}

fn capabilities() -> Capabilities {
    use Verb::{Locate, Pause, PowerLimit, Resume, TargetTemperature};
    Capabilities::of([Locate, Pause, Resume, PowerLimit, TargetTemperature])
}

fn id(i: usize) -> DeviceId {
    DeviceId::Mac(mac(i))
}

fn mac(i: usize) -> MacAddress {
    MacAddress::new([2, 0, 0, 0, (i >> 8) as u8, i as u8]).unwrap()
}

fn w(watts: f64) -> Watts {
    Watts::new(watts).unwrap()
}

struct Bench {
    fleet: Arc<Fleet>,
    farm: Arc<Farm>,
    models: Vec<Arc<Model>>,
}

/// Machines with these faults, all paused or all running, under one breaker if it has a limit.
fn bench(faults: Vec<Fault>, mining: bool, breaker: Option<f64>) -> Bench {
    // Twenty emulated seconds of patience pass in a fiftieth of one.
    let clock = Clock::start(1000.0);
    let drawn = if mining { ON } else { OFF };
    let draws = vec![(drawn, Duration::ZERO, drawn); faults.len()];
    let farm = Arc::new(Farm { draws: Mutex::new(draws), ..Farm::default() });
    let pools = vec![Pool { url: "stratum+tcp://hearth:3333".into(), user: "a.b".into() }];
    let settings = Settings {
        mining: Some(mining),
        power_limit: Some(w(ON)),
        mode: Some(WorkMode::Low),
        target: Some(Celsius::new(60.0).unwrap()),
        pools: Some(Pools(pools)),
        ..Settings::default()
    };
    let state = State { settings, readings: Readings::default() };
    let models: Vec<Arc<Model>> = faults
        .iter()
        .enumerate()
        .map(|(index, fault)| {
            let state = Mutex::new((state.clone(), None));
            Arc::new(Model { fault: Mutex::new(*fault), clock, state, farm: farm.clone(), index })
        })
        .collect();
    let all = models.clone();
    let circuits = breaker.map(|limit| Circuit {
        name: "a".into(),
        parent: None,
        limit: w(limit),
        other: Watts::ZERO,
    });
    let fleet = Fleet::new(Setup {
        clock,
        sockets: 16,
        starts_per_second: 100,
        circuits: Circuits::new(circuits.into_iter().collect()).unwrap(),
        open: Arc::new(move |device| {
            let DeviceId::Mac(mac) = device.id else { return None };
            let [.., high, low] = mac.bytes();
            let index = usize::from(high) << 8 | usize::from(low);
            models.get(index - 1).map(|model| model.clone() as Arc<dyn Driver>)
        }),
    });
    for i in 1..=faults.len() {
        let limits = Limits {
            chip: Celsius::new(80.0).unwrap(),
            regulator: None,
            inlet: None,
            outlet: None,
            input_low: None,
            input_high: None,
            power: None,
        };
        let identity = Identity { mac: Some(mac(i)), ..Identity::of(Firmware::AxeOs) };
        let mut device = Device::found(id(i), identity, Control::Firmware, limits);
        device.capabilities = capabilities();
        device.declared_power = Some(w(ON));
        device.endpoint = Some(Endpoint::usual([10, 0, (i >> 8) as u8, i as u8].into()));
        device.circuit = breaker.map(|_| "a".into());
        fleet.registry().add(device).unwrap();
    }
    Bench { fleet, farm, models: all }
}

/// What was never read counts with all that it can draw: here everything was.
async fn bench_read(faults: Vec<Fault>, mining: bool, breaker: f64) -> Bench {
    let count = faults.len();
    let bench = bench(faults, mining, Some(breaker));
    for i in 1..=count {
        bench.fleet.read(&id(i)).await.unwrap();
    }
    bench
}

async fn one(fault: Fault, command: Command) -> Actuation {
    bench(vec![fault], true, None).fleet.command(&id(1), command).await
}

#[tokio::test]
async fn of_200_devices_5_percent_refuse_and_1_percent_are_silent_and_the_count_is_true() {
    let faults: Vec<Fault> = (0..200)
        .map(|i| match i % 100 {
            0..5 => Fault::SilentRefusal,
            50 => Fault::Mute,
            _ => Fault::None,
        })
        .collect();
    let bench = bench(faults.clone(), true, None);
    let orders = (1..=200).map(|i| (id(i), Command::Pause)).collect();
    let mut count = Count::default();
    let mut all = std::pin::pin!(run(&bench.fleet, orders));
    while let Some((who, actuation)) = all.next().await {
        let index = (1..=200).find(|i| id(*i) == who).unwrap() - 1;
        let wanted = match faults[index] {
            Fault::SilentRefusal => Outcome::Refused(Refusal::Silent),
            Fault::Mute => Outcome::Unknown,
            _ => Outcome::Verified,
        };
        assert_eq!(actuation.outcome, wanted, "{index}");
        count.add(&actuation.outcome);
    }
    assert_eq!(count, Count { verified: 188, accepted: 0, refused: 10, unknown: 2 });
    assert_eq!(bench.fleet.counts(), count);
    let (open, most) = *bench.farm.open.lock().unwrap();
    assert!(open == 0 && most <= 16, "{most} sockets at once");
}

#[tokio::test]
async fn a_machine_that_is_not_reached_was_never_told_anything() {
    let got = one(Fault::Gone, Command::Pause).await;
    assert_eq!(got.outcome, Outcome::Refused(Refusal::Unreachable));
}

#[tokio::test]
async fn a_power_limit_that_wipes_pools_and_a_resume_that_loses_the_mode_are_told() {
    let got = one(Fault::LostPools, Command::PowerLimit(w(2500.0))).await;
    assert_eq!((got.outcome, got.surprises), (Outcome::Verified, vec![Surprise::PoolsChanged]));
    let got = one(Fault::LostMode, Command::Resume).await;
    let lost = vec![Surprise::SettingChanged("mode")];
    assert_eq!((got.outcome, got.surprises), (Outcome::Verified, lost));
}

#[tokio::test]
async fn a_target_temperature_that_reboots_is_told() {
    let target = |t| Command::TargetTemperature(Celsius::new(t).unwrap());
    let got = one(Fault::Restarts, target(65.0)).await;
    assert_eq!((got.outcome, got.surprises), (Outcome::Verified, vec![Surprise::Rebooted]));
    let got = one(Fault::None, target(65.0)).await;
    assert_eq!((got.outcome, got.surprises), (Outcome::Verified, vec![]));
    // The target that it has already is not written, so that nothing restarts.
    let got = one(Fault::Restarts, target(60.0)).await;
    assert_eq!((got.outcome, got.surprises), (Outcome::Verified, vec![]));
    let got = one(Fault::None, target(90.0)).await;
    assert!(matches!(got.outcome, Outcome::Refused(Refusal::Limit(_))), "{got:?}");
}

#[tokio::test]
async fn a_machine_that_is_too_hot_is_told_to_do_less_and_not_more() {
    let bench = bench(vec![Fault::None], true, None);
    bench.models[0].state.lock().unwrap().0.readings.chip = Celsius::new(81.0).ok();
    for (command, goes) in [
        (Command::PowerLimit(w(3100.0)), false),
        (Command::Resume, false),
        (Command::PowerLimit(w(2500.0)), true),
        (Command::Pause, true),
    ] {
        let got = bench.fleet.command(&id(1), command.clone()).await.outcome;
        match got {
            Outcome::Verified => assert!(goes, "{command}"),
            Outcome::Refused(Refusal::Limit(why)) => {
                assert!(!goes && why.starts_with("a chip is at 81"), "{command}: {why}");
            }
            other => panic!("{command}: {other}"),
        }
    }
}

#[tokio::test]
async fn another_machine_at_the_address_is_told_nothing() {
    let got = one(Fault::Another, Command::Pause).await.outcome;
    let why = "another machine answers at its address";
    assert_eq!(got, Outcome::Refused(Refusal::Limit(why.into())));
}

#[tokio::test]
async fn what_is_not_reached_while_it_ramps_still_counts_with_its_peak() {
    let bench = bench_read(vec![Fault::None], false, 4000.0).await;
    let got = bench.fleet.command(&id(1), Command::Resume).await.outcome;
    assert_eq!(got, Outcome::Verified);
    let load = |bench: &Bench| bench.fleet.loads()[0].1;
    let peak = load(&bench);
    assert!(peak > w(ON * 1.05 * 1.09), "{peak}");
    *bench.models[0].fault.lock().unwrap() = Fault::Gone;
    let got = bench.fleet.command(&id(1), Command::Locate(true)).await.outcome;
    assert_eq!(got, Outcome::Refused(Refusal::Unreachable));
    assert_eq!(load(&bench), peak);
}

#[tokio::test]
async fn a_command_that_nobody_waits_for_any_more_gives_its_room_back() {
    let bench = bench_read(vec![Fault::None], false, 4000.0).await;
    let who = id(1);
    {
        let mut command = std::pin::pin!(bench.fleet.command(&who, Command::Resume));
        let polled = tokio::time::timeout(Duration::ZERO, &mut command).await;
        assert!(polled.is_err());
        // Released meanwhile, and dropped before it could hear of it.
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert!(bench.fleet.loads()[0].1 < w(ON), "{:?}", bench.fleet.loads());
    let again = bench.fleet.command(&who, Command::Resume).await.outcome;
    assert_eq!(again, Outcome::Verified);
}

#[tokio::test]
async fn a_pause_overtakes_all_that_waits() {
    let bench = bench_read(vec![Fault::None; 2], false, 6800.0).await;
    let first = bench.fleet.command(&id(1), Command::Resume).await;
    assert_eq!(first.outcome, Outcome::Verified);
    let fleet = bench.fleet.clone();
    let limit = Command::PowerLimit(w(3150.0));
    let older = tokio::spawn(async move { fleet.command(&id(2), limit).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let pause = bench.fleet.command(&id(2), Command::Pause).await;
    assert_eq!(pause.outcome, Outcome::Verified);
    let older = older.await.unwrap().outcome;
    assert!(matches!(older, Outcome::Refused(Refusal::Limit(_))), "{older:?}");
}

/// Supervised until this holds of what the machines are set to mine.
async fn until(bench: &Bench, what: impl Fn(&[Option<bool>]) -> bool) -> bool {
    let pace = crate::control::supervise::Pace::default();
    let run = tokio::spawn(crate::control::supervise::run(bench.fleet.clone(), pace));
    let mut held = false;
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mining = |model: &Arc<Model>| model.state.lock().unwrap().0.settings.mining;
        held = what(&bench.models.iter().map(mining).collect::<Vec<_>>());
        if held {
            break;
        }
    }
    run.abort();
    held
}

#[tokio::test]
async fn who_is_too_hot_is_paused_again_until_it_is() {
    let bench = bench(vec![Fault::Deaf], true, None);
    bench.models[0].state.lock().unwrap().0.readings.chip = Celsius::new(81.0).ok();
    assert!(until(&bench, |mining| mining == [Some(false)]).await);
    assert_eq!(*bench.models[0].fault.lock().unwrap(), Fault::None);
}

#[tokio::test]
async fn a_circuit_that_carries_too_much_pauses_no_more_than_it_must_and_remembers_whom() {
    let bench = bench_read(vec![Fault::None; 4], true, 3.2 * ON).await;
    for model in &bench.models {
        model.state.lock().unwrap().0.readings.power = Some(w(ON));
    }
    let paused = |mining: &[Option<bool>]| mining.iter().filter(|on| **on == Some(false)).count();
    assert!(until(&bench, |mining| paused(mining) == 1).await);
    assert!(!until(&bench, |mining| paused(mining) > 1).await);
    let curtailed = bench.fleet.registry().devices().filter(|d| d.last_curtailed.is_some()).count();
    assert_eq!(curtailed, 1);
}

#[tokio::test]
async fn a_fault_in_one_look_ends_no_others() {
    let bench = bench(vec![Fault::Panics, Fault::None], true, None);
    bench.models[1].state.lock().unwrap().0.readings.chip = Celsius::new(81.0).ok();
    assert!(until(&bench, |mining| mining[1] == Some(false)).await);
    *bench.models[0].fault.lock().unwrap() = Fault::None;
    bench.models[0].state.lock().unwrap().0.readings.chip = Celsius::new(81.0).ok();
    assert!(until(&bench, |mining| mining[0] == Some(false)).await);
}

#[tokio::test]
async fn a_resume_that_loses_its_limit_is_paused_when_its_circuit_cannot_carry_it() {
    for (limit, stays) in [(4000.0, false), (8000.0, true)] {
        let bench = bench_read(vec![Fault::LostLimit], false, limit).await;
        let got = bench.fleet.command(&id(1), Command::Resume).await;
        assert_eq!(got.outcome, Outcome::Verified);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mining = bench.models[0].state.lock().unwrap().0.settings.mining;
        assert_eq!(mining, Some(stays), "{limit}");
    }
}

#[tokio::test]
async fn who_cannot_be_read_is_told_to_do_less_and_not_more() {
    let got = one(Fault::Mute, Command::Resume).await.outcome;
    let why = "its sensors could not be read";
    assert_eq!(got, Outcome::Refused(Refusal::Limit(why.into())));
    assert_eq!(one(Fault::Mute, Command::Pause).await.outcome, Outcome::Unknown);
}

#[tokio::test]
async fn ten_machines_resume_under_a_breaker_that_carries_no_two_starts_too_many() {
    let sum = 10.0 * ON * 1.05;
    // Room for all of them running and one of them starting.
    let bench = bench_read(vec![Fault::None; 10], false, sum + 350.0).await;
    let orders = (1..=10).map(|i| (id(i), Command::Resume)).collect();
    let all = count(&bench.fleet, orders).await;
    assert_eq!(all, Count { verified: 10, ..Count::default() });
    assert!(*bench.farm.worst.lock().unwrap() <= sum + 350.0);
}

#[tokio::test]
async fn machines_that_have_no_room_are_refused_with_the_circuit_and_never_sent() {
    let bench = bench_read(vec![Fault::None; 4], false, 8000.0).await;
    let orders: Vec<_> = (1..=4).map(|i| (id(i), Command::Resume)).collect();
    let all = count(&bench.fleet, orders).await;
    assert_eq!(all, Count { verified: 2, refused: 2, ..Count::default() });
    assert!(*bench.farm.worst.lock().unwrap() <= 8000.0);
    let (_, load) = &bench.fleet.loads()[0];
    assert!(*load <= w(8000.0), "{load}");
}

#[tokio::test]
async fn a_newer_command_takes_the_place_of_one_that_waits() {
    let bench = bench_read(vec![Fault::None; 2], false, 6800.0).await;
    // The first start takes the room for two minutes; the second waits.
    let first = bench.fleet.command(&id(1), Command::Resume).await;
    assert_eq!(first.outcome, Outcome::Verified);
    let fleet = bench.fleet.clone();
    let older = tokio::spawn(async move { fleet.command(&id(2), Command::Resume).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let newer = bench.fleet.command(&id(2), Command::Pause).await;
    assert_eq!(newer.outcome, Outcome::Verified);
    let older = older.await.unwrap().outcome;
    assert!(matches!(older, Outcome::Refused(Refusal::Limit(_))), "{older:?}");
}
