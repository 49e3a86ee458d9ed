use super::*;
use crate::{
    Capabilities, Control, Identity, Limits, Settings, capability::Range, identity::Firmware,
    readings::Reading,
};

fn w(watts: f64) -> Watts {
    Watts::new(watts).unwrap()
}

fn ths(rate: f64) -> Hashrate {
    Hashrate::from_hashes_per_second(rate * 1e12)
}

fn under(limit: f64) -> Circuits {
    let breaker = Circuit { name: "b".into(), parent: None, limit: w(limit), other: Watts::ZERO };
    Circuits::new(vec![breaker]).unwrap()
}

/// A machine that keeps to a power limit, of a nameplate in W and TH/s.
fn machine(name: &str, full: f64, rate: f64) -> Device {
    let id = DeviceId::Named(name.into());
    let identity = Identity::of(Firmware::BraiinsOs);
    let mut device =
        Device::found(id, identity, Control::Firmware, Limits::usual(Firmware::BraiinsOs));
    let verbs = [Verb::PowerLimit, Verb::Pause, Verb::Resume];
    let power = Range::new(w(0.3 * full), w(full));
    device.capabilities = Capabilities { power, ..Capabilities::of(verbs) };
    device.curve = Curve::new(vec![(w(full), ths(rate))]).ok();
    device.circuit = Some("b".into());
    let settings =
        Settings { mining: Some(true), power_limit: Some(w(full)), ..Settings::default() };
    device.settings = Some(Reading::new(settings, Moment::default()));
    device
}

fn any(_: &Device) -> Leave {
    Leave::Any
}

fn give(devices: &[Device], limit: f64, leave: impl Fn(&Device) -> Leave) -> Shared {
    share(devices, &under(limit), leave, Moment::default()).unwrap()
}

/// What all may draw as they are told, at most: how circuits count it.
fn most(devices: &[Device], shared: &Shared) -> f64 {
    let one = |device: &Device| match shared.levels.get(&device.id) {
        Some(level) => {
            load::step(device, &level.command, Moment::default()).unwrap().unwrap().target
        }
        None => load::bound(device, Moment::default()).unwrap(),
    };
    devices.iter().map(|device| one(device).get()).sum()
}

#[test]
fn the_machine_that_brings_more_hashes_for_the_next_watt_gets_it() {
    let all = [machine("new", 3500.0, 234.0), machine("old", 3472.0, 112.0)];
    let shared = give(&all, 5500.0, any);
    let power = |i: usize| shared.levels[&all[i].id].power.get();
    assert!(power(0) > 1.8 * power(1), "{} {}", power(0), power(1));
    assert!(most(&all, &shared) <= 5500.0);
    // Little is left over: the room for one start.
    assert!(most(&all, &shared) > 5500.0 - 370.0, "{}", most(&all, &shared));
}

#[test]
fn what_a_machine_proved_counts_and_not_what_its_leaflet_says() {
    let mut all = [machine("a", 3500.0, 234.0), machine("b", 3500.0, 234.0)];
    let even = give(&all, 6000.0, any);
    let learned = [(1000.0, 40.0), (3500.0, 120.0)].map(|(watts, rate)| (w(watts), ths(rate)));
    all[0].learned = Curve::new(learned.to_vec()).ok();
    let bent = give(&all, 6000.0, any);
    let power = |shared: &Shared, i: usize| shared.levels[&all[i].id].power.get();
    assert!((power(&even, 0) - power(&even, 1)).abs() < 1000.0);
    assert!(power(&bent, 1) == 3500.0 && power(&bent, 0) < 2000.0);
}

#[test]
fn a_machine_that_is_left_alone_counts_with_all_that_it_can_draw_and_is_told_nothing() {
    let all = [machine("a", 3500.0, 234.0), machine("b", 3500.0, 234.0)];
    let alone = |device: &Device| if device.id == all[0].id { Leave::Alone } else { Leave::Any };
    let shared = give(&all, 6000.0, alone);
    assert!(!shared.levels.contains_key(&all[0].id));
    assert!(most(&all, &shared) <= 6000.0);
    assert!(shared.levels[&all[1].id].power < w(6000.0 - 3500.0 * 1.05));
}

#[test]
fn where_not_all_can_run_the_worst_is_paused_unless_somebody_counts_on_its_heat() {
    let all = [machine("a", 3500.0, 234.0), machine("b", 3500.0, 112.0)];
    let shared = give(&all, 2600.0, any);
    assert_eq!(shared.levels[&all[1].id].command, Command::Pause);
    let warm = |device: &Device| if device.id == all[1].id { Leave::KeepOn } else { Leave::Any };
    let shared = give(&all, 2600.0, warm);
    assert!(matches!(shared.levels[&all[1].id].command, Command::PowerLimit(_)));
    assert!(most(&all, &shared) <= 2600.0);
    let both = share(&all, &under(2000.0), |_| Leave::KeepOn, Moment::default()).unwrap_err();
    assert_eq!(&*both.circuit, "b");
}

#[test]
fn profiles_are_taken_below_the_share_and_never_above_it() {
    let mut lux = machine("lux", 2794.0, 121.8);
    let names = ["a", "b", "c", "d"];
    let profiles = names.iter().zip([784.0, 1414.0, 2100.0, 2794.0]);
    lux.capabilities = Capabilities {
        profiles: profiles.map(|(name, watts)| (name.to_string(), Some(w(watts)))).collect(),
        ..Capabilities::of([Verb::Profile, Verb::Pause, Verb::Resume])
    };
    for limit in [900.0, 1500.0, 2000.0, 2600.0, 3300.0] {
        let all = [lux.clone()];
        let shared = give(&all, limit, any);
        assert!(most(&all, &shared) <= limit, "{limit}: {:?}", shared.levels);
        // A profile's watts, what firmware may be off by, and the start of the strongest one.
        let start = 0.105 * 2794.0;
        let best = [784.0, 1414.0, 2100.0, 2794.0].iter().rfind(|p| **p * 1.05 + start <= limit);
        let level = &shared.levels[&lux.id];
        match best {
            Some(best) => assert_eq!(level.power.get(), *best, "{limit}"),
            None => assert_eq!(level.command, Command::Pause, "{limit}"),
        }
    }
}

#[test]
fn what_nobody_has_said_the_power_of_or_hangs_nowhere_gets_nothing() {
    let mut unknown = machine("unknown", 3500.0, 234.0);
    (unknown.curve, unknown.settings) = (None, None);
    unknown.capabilities.power = None;
    let mut free = machine("free", 3500.0, 234.0);
    free.circuit = None;
    let shared = give(&[unknown, free], 2000.0, any);
    assert!(shared.levels.is_empty());
}

#[test]
fn a_machine_that_is_near_its_level_is_not_told_again_and_one_that_is_paused_is() {
    let mut one = machine("a", 3500.0, 234.0);
    let level = |watts: f64| Level {
        command: Command::PowerLimit(w(watts)),
        power: w(watts),
        rate: ths(1.0),
    };
    let pause = Level { command: Command::Pause, ..level(185.0) };
    assert!(is_at(&one, &level(3450.0)) && !is_at(&one, &level(3000.0)) && !is_at(&one, &pause));
    one.settings.as_mut().unwrap().value.mining = Some(false);
    assert!(!is_at(&one, &level(3450.0)) && is_at(&one, &pause));
    one.settings = None;
    assert!(!is_at(&one, &level(3450.0)) && !is_at(&one, &pause));
}
