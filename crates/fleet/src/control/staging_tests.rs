use super::*;
use crate::circuit::Circuit;
use proptest::prelude::*;

fn w(watts: f64) -> Watts {
    Watts::new(watts).unwrap()
}

fn id(i: usize) -> DeviceId {
    DeviceId::Named(format!("m{i:03}"))
}

fn step(target: f64, peak: f64) -> Step {
    Step { target: w(target), peak: w(peak), settle: Duration::ZERO }
}

fn breaker(limit: f64) -> Circuits {
    circuits(&[("a", None, limit)])
}

fn circuits(all: &[(&str, Option<&str>, f64)]) -> Circuits {
    let circuit = |(name, parent, limit): &(&str, Option<&str>, f64)| Circuit {
        name: (*name).into(),
        parent: parent.map(Into::into),
        limit: w(*limit),
        other: Watts::ZERO,
    };
    Circuits::new(all.iter().map(circuit).collect()).unwrap()
}

fn farm(machines: &[f64]) -> Staging {
    let mut staging = Staging::new(1000);
    for (i, bound) in machines.iter().enumerate() {
        staging.enter(id(i), Some("a".into()), w(*bound));
    }
    staging
}

const T: fn(u64) -> Moment = Moment::from_secs;

#[test]
fn downs_go_at_once_and_ups_wait_until_a_down_was_read_back() {
    let circuits = breaker(5000.0);
    let mut staging = farm(&[3000.0, 100.0]);
    staging.want(&id(1), step(3000.0, 3300.0));
    staging.want(&id(0), step(100.0, 100.0));
    assert_eq!(staging.next(T(1), &circuits).go, [id(0)]);
    assert_eq!(staging.next(T(2), &circuits), Release::default());
    staging.done(&id(0), &Outcome::Verified, T(3));
    assert_eq!(staging.next(T(3), &circuits).go, [id(1)]);
    assert_eq!(staging.loads(&circuits)["a"], w(3400.0));
    staging.done(&id(1), &Outcome::Verified, T(9));
    assert_eq!(staging.loads(&circuits)["a"], w(3100.0));
}

#[test]
fn a_machine_that_may_not_have_obeyed_keeps_the_higher_bound_until_it_is_sure() {
    let circuits = breaker(5000.0);
    for (outcome, bound) in [
        (Outcome::Unknown, 3000.0),
        (Outcome::Accepted, 3000.0),
        (Outcome::Refused(Refusal::Silent), 3000.0),
        (Outcome::Refused(Refusal::Unreachable), 100.0),
        (Outcome::Refused(Refusal::Limit(String::new())), 100.0),
        (Outcome::Verified, 2800.0),
    ] {
        let mut staging = farm(&[100.0]);
        staging.want(&id(0), step(2800.0, 3000.0));
        assert_eq!(staging.next(T(1), &circuits).go, [id(0)]);
        staging.done(&id(0), &outcome, T(2));
        assert_eq!(staging.bound(&id(0)), Some(w(bound)), "{outcome:?}");
        // What it shows meanwhile is no proof that it will not obey.
        let may_obey = bound == 3000.0;
        staging.sure(&id(0), w(120.0));
        assert_eq!(staging.bound(&id(0)), Some(w(if may_obey { bound } else { 120.0 })));
        staging.next(T(601), &circuits);
        staging.sure(&id(0), w(120.0));
        assert_eq!(staging.bound(&id(0)), Some(w(if may_obey { bound } else { 120.0 })));
        staging.next(T(602), &circuits);
        staging.sure(&id(0), w(120.0));
        assert_eq!(staging.bound(&id(0)), Some(w(120.0)), "{outcome:?}");
    }
}

#[test]
fn a_machine_that_says_it_is_off_and_is_measured_to_draw_counts_with_what_it_draws() {
    let circuits = breaker(5000.0);
    let mut staging = farm(&[3150.0]);
    staging.want(&id(0), Step { settle: Duration::from_secs(10), ..step(185.0, 185.0) });
    staging.next(T(0), &circuits);
    staging.done(&id(0), &Outcome::Verified, T(1));
    staging.sure(&id(0), w(3150.0));
    staging.next(T(11), &circuits);
    assert_eq!(staging.bound(&id(0)), Some(w(3150.0)));
    staging.sure(&id(0), w(185.0));
    assert_eq!(staging.bound(&id(0)), Some(w(185.0)));
}

#[test]
fn a_command_that_was_never_sent_takes_nothing_from_a_machine_that_still_ramps() {
    let circuits = breaker(5000.0);
    let mut staging = farm(&[100.0]);
    staging.want(&id(0), Step { settle: Duration::from_secs(120), ..step(2800.0, 3000.0) });
    staging.next(T(0), &circuits);
    staging.done(&id(0), &Outcome::Verified, T(1));
    let never = Outcome::Refused(Refusal::Unreachable);
    staging.done(&id(0), &never, T(2));
    staging.want(&id(0), step(2500.0, 2500.0));
    assert_eq!(staging.next(T(3), &circuits).go, [id(0)]);
    staging.done(&id(0), &never, T(4));
    staging.sure(&id(0), w(500.0));
    assert_eq!(staging.bound(&id(0)), Some(w(3000.0)));
    staging.next(T(121), &circuits);
    assert_eq!(staging.bound(&id(0)), Some(w(2800.0)));
}

#[test]
fn a_machine_that_ramps_after_it_says_yes_counts_with_its_peak_until_it_has_settled() {
    let circuits = breaker(5000.0);
    let mut staging = farm(&[100.0]);
    staging.want(&id(0), Step { settle: Duration::from_secs(60), ..step(2800.0, 3000.0) });
    staging.next(T(0), &circuits);
    staging.done(&id(0), &Outcome::Verified, T(10));
    for (at, bound) in [(69, 3000.0), (70, 2800.0)] {
        staging.next(T(at), &circuits);
        assert_eq!(staging.bound(&id(0)), Some(w(bound)), "{at}");
    }
}

#[test]
fn what_never_has_room_is_said_at_once_and_with_the_circuit() {
    let circuits = circuits(&[("a", Some("site"), 9000.0), ("site", None, 4000.0)]);
    let mut staging = farm(&[100.0, 3000.0]);
    staging.want(&id(0), step(2800.0, 3000.0));
    let release = staging.next(T(1), &circuits);
    assert_eq!(release.no_room, [(id(0), "site".into())]);
    assert!(!staging.is_waiting());
}

#[test]
fn a_large_machine_that_waits_is_not_overtaken_for_ever_by_small_ones() {
    let circuits = breaker(4000.0);
    let mut staging = farm(&[2000.0, 0.0, 0.0, 0.0]);
    staging.want(&id(0), step(500.0, 500.0));
    staging.want(&id(1), step(3000.0, 3000.0));
    staging.want(&id(2), step(200.0, 200.0));
    assert_eq!(staging.next(T(1), &circuits).go, [id(0)]);
    staging.done(&id(0), &Outcome::Verified, T(2));
    assert_eq!(staging.next(T(2), &circuits).go, [id(1), id(2)]);
}

#[test]
fn starts_on_one_circuit_are_spaced() {
    let circuits = breaker(1e6);
    let mut staging = Staging::new(3);
    for i in 0..7 {
        staging.enter(id(i), Some("a".into()), w(0.0));
        staging.want(&id(i), step(1000.0, 1000.0));
    }
    let counts: Vec<usize> = (0..4).map(|t| staging.next(T(t), &circuits).go.len()).collect();
    assert_eq!(counts, [3, 3, 1, 0]);
}

#[test]
fn a_machine_without_a_circuit_waits_for_nothing() {
    let mut staging = Staging::new(1);
    for i in 0..3 {
        staging.enter(id(i), None, w(0.0));
        staging.want(&id(i), step(3500.0, 3500.0));
    }
    assert_eq!(staging.next(T(0), &breaker(1.0)).go.len(), 3);
}

#[test]
fn turns_are_taken_and_nobody_is_switched_more_often_than_its_equals() {
    let mut machines: Vec<Sheddable> = (0..7)
        .map(|i| Sheddable {
            id: id(i),
            last_curtailed: None,
            sheds: w(3000.0),
            costs: Hashrate::from_hashes_per_second(200e12),
        })
        .collect();
    let mut counts = vec![0u32; machines.len()];
    for call in 0..100 {
        let chosen = rotate(&machines, w(6000.0), T(call + 1));
        assert_eq!(chosen.len(), 2);
        for (machine, count) in machines.iter_mut().zip(&mut counts) {
            if let Some((_, at)) = chosen.iter().find(|(id, _)| *id == machine.id) {
                machine.last_curtailed = Some(*at);
                *count += 1;
            }
        }
        let (low, high) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(high - low <= 1, "{counts:?}");
    }
}

#[test]
fn among_those_whose_turn_it_is_the_least_efficient_goes_first() {
    let machine = |i, ths: f64, at| Sheddable {
        id: id(i),
        last_curtailed: at,
        sheds: w(3000.0),
        costs: Hashrate::from_hashes_per_second(ths * 1e12),
    };
    let machines = [machine(0, 200.0, None), machine(1, 100.0, None), machine(2, 50.0, Some(T(5)))];
    let turns = |shed| -> Vec<DeviceId> {
        rotate(&machines, w(shed), T(9)).into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(turns(3000.0), [id(1)]);
    assert_eq!(turns(9000.0), [id(1), id(0), id(2)]);
    assert!(turns(0.0).is_empty());
}

/// A machine as an adversary makes it: draws anything up to the most that it may on its way, and
/// answers whenever and whatever it likes.
#[derive(Debug, Clone)]
struct Wild {
    leaf: usize,
    start: f64,
    target: f64,
    peak: f64,
    delay: u64,
    /// 0 to 5 verified, 6 silent refusal, 7 unknown, 8 unreachable.
    outcome: u8,
}

fn wild() -> impl Strategy<Value = Wild> {
    (0..3usize, 0.0..3000.0f64, 0.0..3000.0f64, 0.0..900.0f64, 0..20u64, 0..9u8).prop_map(
        |(leaf, start, target, over, delay, outcome)| Wild {
            leaf,
            start,
            target,
            peak: target + over,
            delay,
            outcome,
        },
    )
}

fn tree(limits: [f64; 4]) -> Circuits {
    let [a, b, c, site] = limits;
    circuits(&[
        ("a", Some("site"), a),
        ("b", Some("site"), b),
        ("c", Some("b"), c),
        ("site", None, site),
    ])
}

const LEAVES: [&str; 3] = ["a", "b", "c"];

/// One of several commands to a machine.
#[derive(Debug, Clone, Copy)]
struct Order {
    target: f64,
    over: f64,
    settle: u64,
    delay: u64,
    /// 0 to 2 verified, 3 accepted, 4 silent, 5 unreachable.
    outcome: u8,
    /// When it obeys although nobody knows, after its answer.
    obeys: Option<u64>,
}

fn order() -> impl Strategy<Value = Order> {
    let obeys = prop::option::of(0..480u64);
    (0.0..3000.0f64, 0.0..900.0f64, 0..120u64, 0..60u64, 0..6u8, obeys).prop_map(
        |(target, over, settle, delay, outcome, obeys)| Order {
            target,
            over,
            settle,
            delay,
            outcome,
            obeys,
        },
    )
}

impl Order {
    fn step(&self) -> Step {
        let settle = Duration::from_secs(self.settle);
        Step { target: w(self.target), peak: w(self.target + self.over), settle }
    }
}

/// A machine that is on its way as long as it may and draws the most of what it may meanwhile.
struct Obeying {
    leaf: usize,
    /// What it is set to and tells.
    set: f64,
    orders: Vec<Order>,
    waits: bool,
    sent: Option<(u64, Order)>,
    /// Draws this until then.
    ramps: Vec<(f64, u64)>,
    may_obey: Vec<(u64, Order)>,
}

impl Obeying {
    fn new((leaf, set, orders): (usize, f64, Vec<Order>)) -> Self {
        let (ramps, may_obey) = (Vec::new(), Vec::new());
        Self { leaf, set, orders, waits: false, sent: None, ramps, may_obey }
    }

    fn obey(&mut self, t: u64, order: &Order) {
        let most = self.draws(t).max(order.target + order.over);
        self.ramps.clear();
        self.ramps.push((most, t + order.settle));
        self.set = order.target;
    }

    /// What it answers now.
    fn pass(&mut self, t: u64) -> Option<Outcome> {
        let now: Vec<Order> =
            self.may_obey.extract_if(.., |(at, _)| *at <= t).map(|(_, o)| o).collect();
        now.iter().for_each(|order| self.obey(t, order));
        let (_, order) = self.sent.filter(|(at, order)| at + order.delay <= t)?;
        Some(match order.outcome {
            ..3 => {
                self.obey(t, &order);
                self.sent = None;
                self.may_obey.clear();
                Outcome::Verified
            }
            5 => {
                self.sent = None;
                Outcome::Refused(Refusal::Unreachable)
            }
            other => {
                self.sent = None;
                self.may_obey.extend(order.obeys.map(|after| (t + after, order)));
                if other == 3 { Outcome::Accepted } else { Outcome::Refused(Refusal::Silent) }
            }
        })
    }

    fn draws(&self, t: u64) -> f64 {
        // What never arrives makes no machine draw more.
        let arrives = self.sent.iter().filter(|(_, order)| order.outcome != 5);
        let sent = arrives.map(|(_, order)| order.target + order.over);
        let ramps = self.ramps.iter().filter(|(_, until)| t < *until).map(|(most, _)| *most);
        sent.chain(ramps).fold(self.set, f64::max)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_circuit_is_ever_over_its_budget_whatever_machines_do_on_their_way(
        farm in prop::collection::vec(wild(), 1..30),
        room in prop::array::uniform4(0.0..6000.0f64),
        spacing in 1..5usize,
    ) {
        let start = |leaves: &[usize]| -> f64 {
            farm.iter().filter(|m| leaves.contains(&m.leaf)).map(|m| m.start).sum()
        };
        // What stands at the beginning fits; how much more does is the adversary's.
        let limits = [
            start(&[0]) + room[0],
            start(&[1, 2]) + room[1],
            start(&[2]) + room[2],
            start(&[0, 1, 2]) + room[3],
        ];
        let circuits = tree(limits);
        let mut staging = Staging::new(spacing);
        for (i, m) in farm.iter().enumerate() {
            staging.enter(id(i), Some(LEAVES[m.leaf].into()), w(m.start));
            staging.want(&id(i), step(m.target, m.peak));
        }
        let mut draws: Vec<f64> = farm.iter().map(|m| m.start).collect();
        let mut due: Vec<(u64, usize)> = Vec::new();
        for t in 0..400u64 {
            let release = staging.next(T(t), &circuits);
            for gone in &release.go {
                let i: usize = gone.to_string()["name:m".len()..].parse().unwrap();
                // From the moment it is sent it draws the most of all that it can on its way.
                draws[i] = draws[i].max(farm[i].peak);
                due.push((t + farm[i].delay, i));
            }
            due.retain(|(at, i)| {
                if *at > t {
                    return true;
                }
                let m = &farm[*i];
                let outcome = match m.outcome {
                    ..6 => { draws[*i] = m.target; Outcome::Verified }
                    6 => Outcome::Refused(Refusal::Silent),
                    7 => Outcome::Unknown,
                    _ => { draws[*i] = m.start; Outcome::Refused(Refusal::Unreachable) }
                };
                staging.done(&id(*i), &outcome, T(t));
                false
            });
            let machines = farm.iter().zip(&draws).map(|(m, d)| (Some(LEAVES[m.leaf]), w(*d)));
            let loads = circuits.loads(machines);
            for (circuit, limit) in ["a", "b", "c", "site"].iter().zip(limits) {
                prop_assert!(loads[*circuit].get() <= limit + 1e-3, "{circuit} at {t}");
            }
            if !staging.is_waiting() && due.is_empty() {
                return Ok(());
            }
        }
        prop_assert!(false, "something waits for ever");
    }

    #[test]
    fn no_circuit_is_over_its_budget_whatever_follows_on_what_and_is_read_in_between(
        farm in prop::collection::vec((0..3usize, 0.0..3000.0f64, prop::collection::vec(order(), 1..5)), 1..12),
        room in prop::array::uniform4(0.0..4000.0f64),
        reads in 1..5u64,
    ) {
        let mut farm: Vec<Obeying> = farm.into_iter().map(Obeying::new).collect();
        let start = |leaves: &[usize]| -> f64 {
            farm.iter().filter(|m| leaves.contains(&m.leaf)).map(|m| m.set).sum()
        };
        let limits = [
            start(&[0]) + room[0],
            start(&[1, 2]) + room[1],
            start(&[2]) + room[2],
            start(&[0, 1, 2]) + room[3],
        ];
        let circuits = tree(limits);
        let mut staging = Staging::new(5);
        for (i, m) in farm.iter().enumerate() {
            staging.enter(id(i), Some(LEAVES[m.leaf].into()), w(m.set));
        }
        for t in (0..4000u64).step_by(10) {
            for (i, m) in farm.iter_mut().enumerate() {
                if let Some(outcome) = m.pass(t) {
                    staging.done(&id(i), &outcome, T(t));
                }
                if m.sent.is_none() && !m.waits && let Some(order) = m.orders.last() {
                    m.waits = true;
                    staging.want(&id(i), order.step());
                }
                if (t / 10 + i as u64).is_multiple_of(reads) {
                    staging.sure(&id(i), w(m.set));
                }
            }
            let release = staging.next(T(t), &circuits);
            for (gone, went) in release
                .go
                .iter()
                .map(|id| (id, true))
                .chain(release.no_room.iter().map(|(id, _)| (id, false)))
            {
                let i: usize = gone.to_string()["name:m".len()..].parse().unwrap();
                let order = farm[i].orders.pop().unwrap();
                farm[i].waits = false;
                farm[i].sent = went.then_some((t, order));
            }
            let loads = circuits.loads(
                farm.iter().map(|m| (Some(LEAVES[m.leaf]), w(m.draws(t)))),
            );
            for (circuit, limit) in ["a", "b", "c", "site"].iter().zip(limits) {
                prop_assert!(loads[*circuit].get() <= limit + 1e-3, "{circuit} at {t}");
            }
        }
        prop_assert!(farm.iter().all(|m| m.orders.is_empty()), "something waits for ever");
    }

    #[test]
    fn every_command_that_can_be_carried_out_is_sent_in_the_end(
        farm in prop::collection::vec(wild(), 1..30),
        spacing in 1..5usize,
    ) {
        // Room for the largest peak above all others at the higher of before and after.
        let most = |leaves: &[usize]| -> f64 {
            let on = farm.iter().filter(|m| leaves.contains(&m.leaf));
            on.clone().map(|m| m.start.max(m.target)).sum::<f64>()
                + on.map(|m| m.peak - m.start.max(m.target)).fold(0.0, f64::max)
        };
        let circuits =
            tree([most(&[0]), most(&[1, 2]), most(&[2]), most(&[0, 1, 2])]);
        let mut staging = Staging::new(spacing);
        for (i, m) in farm.iter().enumerate() {
            staging.enter(id(i), Some(LEAVES[m.leaf].into()), w(m.start));
            staging.want(&id(i), step(m.target, m.peak));
        }
        let (mut due, mut sent): (Vec<(u64, DeviceId, u64)>, usize) = (Vec::new(), 0);
        for t in 0..2000u64 {
            let release = staging.next(T(t), &circuits);
            prop_assert!(release.no_room.is_empty(), "{:?}", release.no_room);
            sent += release.go.len();
            for gone in release.go {
                let i: usize = gone.to_string()["name:m".len()..].parse().unwrap();
                due.push((t + farm[i].delay, gone, 0));
            }
            due.retain(|(at, id, _)| {
                if *at <= t {
                    staging.done(id, &Outcome::Verified, T(t));
                }
                *at > t
            });
            if sent == farm.len() {
                return Ok(());
            }
        }
        prop_assert!(false, "{sent} of {} sent", farm.len());
    }
}
