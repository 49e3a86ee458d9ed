use super::*;
use crate::{device::Endpoint, readings::Readings, settings::Settings};
use units::{Celsius, Watts};

fn limits() -> Limits {
    Limits {
        chip: Celsius::new(70.0).unwrap(),
        regulator: None,
        inlet: None,
        outlet: None,
        input_low: None,
        input_high: None,
        power: None,
    }
}

fn machine(mac: u8, ip: u8) -> Found {
    let mac = crate::MacAddress::new([2, 0, 0, 0, 0, mac]);
    Found {
        endpoint: Endpoint::usual(IpAddr::from([10, 0, 0, ip])),
        identity: Identity { mac, ..Identity::of(Firmware::AxeOs) },
    }
}

fn session(ip: u8, worker: &str) -> Connected {
    Connected { ip: [10, 0, 0, ip].into(), worker: worker.into(), user_agent: None }
}

fn worked(id: u64, ip: u8, worker: &str, accepted: u64) -> Worked {
    let work = Work::from_hashes(accepted as f64 * 1e9);
    let tally = Tally { accepted, work, ..Tally::default() };
    Worked { session: id, ip: [10, 0, 0, ip].into(), worker: worker.into(), tally }
}

fn id_of(seen: &Seen) -> DeviceId {
    let (Seen::New(id) | Seen::Known(id) | Seen::Moved(id)) = seen;
    id.clone()
}

fn accepted(registry: &Registry, id: &DeviceId) -> u64 {
    registry.tally(id, Moment::default()).unwrap().accepted
}

#[test]
fn a_machine_that_moved_to_another_address_is_the_same_machine() {
    let mut registry = Registry::default();
    let first = registry.found(&machine(1, 7), limits()).unwrap();
    assert!(matches!(first, Seen::New(_)));
    assert_eq!(registry.found(&machine(1, 7), limits()), Ok(Seen::Known(id_of(&first))));
    assert_eq!(registry.found(&machine(1, 8), limits()), Ok(Seen::Moved(id_of(&first))));
    assert_eq!(registry.len(), 1);
    assert_eq!(registry.who(&id_of(&first)), Some(Who::Address([10, 0, 0, 8].into())));
    // Another one got its address: it is known no longer where the first one is.
    let second = id_of(&registry.found(&machine(2, 8), limits()).unwrap());
    assert_eq!(registry.get(&id_of(&first)).unwrap().endpoint, None);
    registry.take_work(&[worked(1, 8, "a.x", 5)]);
    assert_eq!((accepted(&registry, &id_of(&first)), accepted(&registry, &second)), (0, 5));
}

#[test]
fn a_machine_known_by_its_session_alone_becomes_the_one_that_answers_there() {
    let mut registry = Registry::default();
    let lone = id_of(&registry.connected(&session(7, "a.heater"), limits()).unwrap().unwrap());
    assert_eq!(registry.get(&lone).unwrap().control, Control::StratumOnly);
    registry.get_mut(&lone).unwrap().declared_power = Watts::new(900.0).ok();
    registry.take_work(&[worked(1, 7, "a.heater", 40)]);
    let id = id_of(&registry.found(&machine(1, 7), limits()).unwrap());
    assert_eq!(registry.len(), 1);
    registry.take_work(&[worked(1, 7, "a.heater", 42)]);
    assert_eq!(accepted(&registry, &id), 42);
    let device = registry.get(&id).unwrap();
    assert_eq!((device.control, device.workers.len()), (Control::Firmware, 1));
    assert_eq!(device.declared_power, Watts::new(900.0).ok());
}

#[test]
fn work_of_sessions_that_are_gone_stays_counted() {
    let mut registry = Registry::default();
    let id = id_of(&registry.found(&machine(1, 7), limits()).unwrap());
    registry.take_work(&[worked(1, 7, "a.x", 10)]);
    registry.take_work(&[]);
    assert_eq!(registry.sessions.len(), 0);
    registry.take_work(&[worked(2, 7, "a.x", 3)]);
    registry.take_work(&[worked(2, 7, "a.x", 4), worked(3, 7, "a.y", 1)]);
    assert_eq!(accepted(&registry, &id), 15);
}

#[test]
fn behind_one_address_the_name_decides_and_a_name_of_several_decides_nothing() {
    let mut registry = Registry::default();
    let at = |mac: u8, port: u16| {
        let mut found = machine(mac, 7);
        found.endpoint.http = port;
        found
    };
    let one = id_of(&registry.found(&at(1, 8001), limits()).unwrap());
    registry.connected(&session(7, "a.one"), limits()).unwrap().unwrap();
    // The other was seen under its name elsewhere, and moves in.
    let two = id_of(&registry.found(&machine(2, 9), limits()).unwrap());
    registry.connected(&session(9, "a.two"), limits()).unwrap().unwrap();
    assert_eq!(registry.found(&at(2, 8002), limits()), Ok(Seen::Moved(two.clone())));
    assert_eq!(registry.connected(&session(7, "a.three"), limits()), Ok(None));
    registry.take_work(&[worked(1, 7, "a.one", 1), worked(2, 7, "a.two", 2)]);
    assert_eq!((accepted(&registry, &one), accepted(&registry, &two)), (1, 2));
    assert_eq!(registry.who(&one), Some(Who::Worker("a.one".into())));
    registry.found(&machine(2, 9), limits()).unwrap();
    registry.connected(&session(9, "a.one"), limits()).unwrap().unwrap();
    registry.found(&at(2, 8002), limits()).unwrap();
    registry.take_work(&[worked(3, 7, "a.one", 9)]);
    assert_eq!((accepted(&registry, &one), registry.who(&one)), (1, None));
}

#[test]
fn a_name_used_at_several_addresses_is_one_machine_for_each_address() {
    let mut registry = Registry::default();
    let [one, two] = [7, 8]
        .map(|ip| id_of(&registry.connected(&session(ip, "a.same"), limits()).unwrap().unwrap()));
    assert_ne!(one, two);
    registry.take_work(&[worked(1, 7, "a.same", 1), worked(2, 8, "a.same", 2)]);
    assert_eq!((accepted(&registry, &one), accepted(&registry, &two)), (1, 2));
    assert_eq!(registry.who(&one), Some(Who::Address([10, 0, 0, 7].into())));
    assert_eq!(registry.who(&two), Some(Who::Address([10, 0, 0, 8].into())));
}

#[test]
fn a_mute_machine_keeps_its_history() {
    let mut registry = Registry::default();
    let id = id_of(&registry.found(&machine(1, 7), limits()).unwrap());
    let state = State {
        readings: Readings { power: Watts::new(17.0).ok(), ..Readings::default() },
        settings: Settings { mining: Some(true), ..Settings::default() },
    };
    let at = Moment::from_secs;
    assert_eq!(registry.read(&id, Some(&state), at(1)), Presence::Online);
    let presence: Vec<Presence> = (1..=6).map(|i| registry.read(&id, None, at(5 * i))).collect();
    use Presence::{Late, Offline, Online};
    assert_eq!(presence, [Online, Late, Late, Late, Late, Offline]);
    let device = registry.get(&id).unwrap();
    assert_eq!(device.known.power.unwrap().value.get(), 17.0);
    assert_eq!(device.settings.as_ref().unwrap().at, at(1));
    assert_eq!(registry.read(&id, Some(&State::default()), at(60)), Online);
    assert_eq!(registry.get(&id).unwrap().known.power.unwrap().at, at(1));
}

#[test]
fn there_is_an_end_to_machines_that_strangers_invent_and_room_for_those_that_answer() {
    let mut registry = Registry::default();
    for i in 0..=MAX_LONE {
        let stranger = Connected {
            ip: [10, (i >> 16) as u8, (i >> 8) as u8, i as u8].into(),
            worker: format!("a.{i}").into(),
            user_agent: None,
        };
        assert_eq!(registry.connected(&stranger, limits()).is_err(), i == MAX_LONE);
    }
    assert!(matches!(registry.found(&machine(1, 7), limits()), Ok(Seen::New(_))));
}

#[test]
fn neighbours_behind_a_router_are_not_the_machine_that_answers_there() {
    let mut registry = Registry::default();
    let [one, two] = ["a.one", "a.two"]
        .map(|name| id_of(&registry.connected(&session(7, name), limits()).unwrap().unwrap()));
    let id = id_of(&registry.found(&machine(1, 7), limits()).unwrap());
    assert_eq!(registry.len(), 3);
    registry.take_work(&[worked(1, 7, "a.one", 1), worked(2, 7, "a.two", 2)]);
    let all = [&one, &two, &id].map(|id| accepted(&registry, id));
    assert_eq!(all, [1, 2, 0]);
    assert_eq!(registry.who(&id), None);
    assert_eq!(registry.who(&one), Some(Who::Worker("a.one".into())));
}

#[test]
fn a_session_goes_on_with_whoever_has_its_address_now() {
    let mut registry = Registry::default();
    let first = id_of(&registry.found(&machine(1, 7), limits()).unwrap());
    registry.take_work(&[worked(1, 7, "a.x", 5)]);
    let second = id_of(&registry.found(&machine(2, 7), limits()).unwrap());
    registry.take_work(&[worked(1, 7, "a.x", 8)]);
    assert_eq!((accepted(&registry, &first), accepted(&registry, &second)), (5, 3));
}

#[test]
fn an_old_answer_counts_nothing_again() {
    let mut registry = Registry::default();
    let id = id_of(&registry.found(&machine(1, 7), limits()).unwrap());
    let at = |secs, mut worked: Worked| {
        worked.tally.at = Moment::from_secs(secs);
        worked
    };
    let one = |secs, accepted| at(secs, worked(1, 7, "a.x", accepted));
    let two = |secs| at(secs, worked(2, 7, "a.y", 3));
    registry.take_work(&[one(1, 10)]);
    registry.take_work(&[one(3, 12), two(3)]);
    registry.take_work(&[one(2, 11)]);
    registry.take_work(&[one(4, 11), two(4)]);
    registry.take_work(&[one(5, 13), two(5)]);
    assert_eq!(accepted(&registry, &id), 16);
}

#[test]
fn a_machine_that_runs_steadily_gets_its_own_curve_and_one_that_only_claims_none() {
    let mut registry = Registry::default();
    let id = id_of(&registry.found(&machine(1, 7), limits()).unwrap());
    let claims = id_of(&registry.found(&machine(2, 8), limits()).unwrap());
    let rate = units::Hashrate::from_hashes_per_second(1.07e12);
    for id in [&id, &claims] {
        let device = registry.get_mut(id).unwrap();
        device.curve = crate::curve::Curve::new(vec![(Watts::new(17.0).unwrap(), rate)]).ok();
    }
    let told =
        Readings { power: Watts::new(15.0).ok(), hashrate: Some(rate), ..Readings::default() };
    let settings = Settings { mining: Some(true), ..Settings::default() };
    let state = State { readings: told, settings };
    for second in (5..3600).step_by(5) {
        let at = Moment::from_secs(second);
        let work = Work::from_hashes(1.0e12 * second as f64);
        let tally = Tally { at, accepted: second, work, faulty: 0 };
        registry.take_work(&[Worked { tally, ..worked(1, 7, "a.x", 0) }]);
        registry.read(&id, Some(&state), at);
        registry.read(&claims, Some(&state), at);
    }
    let earns = |id| registry.get(id).unwrap().earns().unwrap().clone();
    let at = |watts| earns(&id).rate_at(Watts::new(watts).unwrap()).terahashes_per_second();
    assert!((at(15.0) - 1.0).abs() < 0.02, "{}", at(15.0));
    assert_eq!(registry.get(&claims).unwrap().learned, None);
    assert_eq!(earns(&claims).points().len(), 1);

    // After a restart it is known again as soon as it answers, and not lost where it does not.
    let kept = registry.keep(Moment::from_secs(3600));
    assert_eq!(kept.keys().collect::<Vec<_>>(), [&id]);
    let mut again = Registry::default();
    let start = Moment::from_secs(2);
    again.recall(&kept, Duration::from_secs(60), start);
    assert_eq!(again.keep(start).keys().collect::<Vec<_>>(), [&id]);
    again.found(&machine(1, 9), limits()).unwrap();
    let device = again.get_mut(&id).unwrap();
    device.curve = crate::curve::Curve::new(vec![(Watts::new(17.0).unwrap(), rate)]).ok();
    assert_eq!(again.get(&id).unwrap().learned, None);
    again.read(&id, Some(&state), start);
    let known = again.get(&id).unwrap().learned.clone().unwrap();
    let told = known.rate_at(Watts::new(15.0).unwrap()).terahashes_per_second();
    assert!((told - 1.0).abs() < 0.02, "{told}");
    assert_eq!(again.keep(start).keys().collect::<Vec<_>>(), [&id]);
}
