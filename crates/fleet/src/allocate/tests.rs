use super::*;
use crate::circuit::Circuit;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Watts between two powers that the search below tries.
const GRID: usize = 50;

fn w(watts: f64) -> Watts {
    Watts::new(watts).unwrap()
}

fn claim(n: usize, circuit: Option<&str>, idle: f64, points: &[(f64, f64)]) -> Claim {
    let point =
        |(power, ths): &(f64, f64)| (w(*power), Hashrate::from_hashes_per_second(ths * 1e12));
    Claim {
        id: DeviceId::Named(format!("{n:05}")),
        curve: Curve::new(points.iter().map(point).collect()).unwrap(),
        idle: w(idle),
        circuit: circuit.map(Into::into),
        keep_on: false,
        current: None,
    }
}

/// A machine of some kind, each a little different: hydro, air, old, home and tiny ones. Powers are
/// on the grid but for the tiny ones.
fn some(n: usize, circuit: Option<&str>, tiny: bool, rng: &mut impl Rng) -> Claim {
    let kinds: [&[(f64, f64)]; 5] = [
        &[(1500.0, 105.0), (2500.0, 165.0), (3500.0, 218.0), (4000.0, 240.0)],
        &[(800.0, 39.2), (1400.0, 70.2), (2800.0, 121.8), (4200.0, 163.1)],
        &[(2000.0, 70.0), (3000.0, 100.0), (3400.0, 112.0)],
        &[(800.0, 54.0), (1300.0, 83.0), (1650.0, 99.0)],
        &[(9.0, 0.7), (14.0, 1.0), (17.0, 1.2), (24.0, 1.5)],
    ];
    let kind = rng.random_range(0..if tiny { 5 } else { 4 });
    let luck = rng.random_range(0.9..1.1);
    let points: Vec<_> = kinds[kind].iter().map(|(power, ths)| (*power, ths * luck)).collect();
    let idle = if kind == 4 { 2.0 } else { 0.0 };
    claim(n, circuit, idle, &points)
}

fn circuit(name: &str, parent: Option<&str>, limit: f64) -> Circuit {
    Circuit {
        name: name.into(),
        parent: parent.map(Into::into),
        limit: w(limit),
        other: Watts::ZERO,
    }
}

/// Best rate for at most each multiple of the grid, by trying every power of every machine.
fn search(claims: &[&Claim], limit: f64) -> Vec<f64> {
    let cells = (limit / GRID as f64) as usize;
    let mut best = vec![0.0; cells + 1];
    for claim in claims {
        let floor = claim.curve.floor().get() as usize / GRID;
        let ceiling = (claim.curve.ceiling().get() as usize / GRID).min(cells);
        let rates: Vec<(usize, f64)> =
            (floor..=ceiling).map(|cell| (cell, rate_of(claim, (cell * GRID) as f64))).collect();
        for have in (0..=cells).rev() {
            for (cell, rate) in &rates {
                if let Some(rest) = have.checked_sub(*cell) {
                    best[have] = f64::max(best[have], best[rest] + rate);
                }
            }
        }
    }
    best
}

/// Best of several circuits under one budget.
fn join(parts: &[Vec<f64>], limit: f64) -> f64 {
    let cells = (limit / GRID as f64) as usize;
    let mut best = vec![0.0; cells + 1];
    for part in parts {
        for have in (0..=cells).rev() {
            let most = have.min(part.len() - 1);
            best[have] = (0..=most).map(|n| best[have - n] + part[n]).fold(0.0, f64::max);
        }
    }
    best[cells]
}

fn holds(claims: &[Claim], circuits: &Circuits, available: Option<Watts>, given: &Allocation) {
    let draw = |claim: &Claim| match given.shares[&claim.id] {
        Share::Off => claim.idle,
        Share::Run(power) => {
            assert!(
                claim.curve.floor() <= power && power.get() <= claim.curve.ceiling().get() + 1e-6
            );
            power
        }
    };
    let loads = circuits.loads(claims.iter().map(|c| (c.circuit.as_deref(), draw(c))));
    for circuit in circuits.all() {
        assert!(loads[&circuit.name].get() <= circuit.limit.get() + 1e-3, "{}", circuit.name);
    }
    let all: f64 = claims.iter().map(|claim| draw(claim).get()).sum();
    assert!(available.is_none_or(|most| all <= most.get() + 1e-3));
    assert!((all - given.power.get()).abs() < 1e-3);
}

#[test]
fn two_hundred_mixed_machines_under_one_breaker_are_within_a_percent_of_what_nobody_can_beat() {
    let mut worst: f64 = 0.0;
    for seed in 0..20 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let claims: Vec<Claim> = (0..200).map(|n| some(n, Some("main"), true, &mut rng)).collect();
        let full: f64 = claims.iter().map(|claim| claim.curve.ceiling().get()).sum();
        for part in [0.1, 0.3, 0.5, 0.7, 0.9, 0.99] {
            let circuits = Circuits::new(vec![circuit("main", None, full * part)]).unwrap();
            let given = allocate(&claims, &circuits, None).unwrap();
            holds(&claims, &circuits, None, &given);
            let most = bound(&claims, &circuits, None).unwrap().hashes_per_second();
            let gap = 1.0 - given.rate.hashes_per_second() / most;
            assert!((-1e-9..0.01).contains(&gap), "seed {seed}, {part}: {gap}");
            worst = worst.max(gap);
        }
    }
    println!("one breaker, 200 machines: at most {:.3} % below the bound", worst * 100.0);
}

#[test]
fn a_handful_of_machines_on_a_small_breaker_get_what_trying_everything_finds() {
    let mut worst: f64 = 0.0;
    for seed in 0..200 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let n = rng.random_range(1..=6);
        let claims: Vec<Claim> = (0..n).map(|n| some(n, Some("pdu"), false, &mut rng)).collect();
        let limit = f64::from(rng.random_range(16..=300)) * GRID as f64;
        let circuits = Circuits::new(vec![circuit("pdu", None, limit)]).unwrap();
        let given = allocate(&claims, &circuits, None).unwrap();
        holds(&claims, &circuits, None, &given);
        let best = *search(&claims.iter().collect::<Vec<_>>(), limit).last().unwrap();
        let gap = if best > 0.0 { 1.0 - given.rate.hashes_per_second() / best } else { 0.0 };
        assert!(gap < 0.01, "seed {seed}: {gap}");
        worst = worst.max(gap);
    }
    println!("1 to 6 machines: at most {:.3} % below trying everything", worst * 100.0);
}

#[test]
fn machines_on_a_tree_of_circuits_are_within_a_percent_of_trying_everything() {
    let mut worst: f64 = 0.0;
    for seed in 0..20 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut claims = Vec::new();
        let mut all = Vec::new();
        let mut limits = Vec::new();
        for pdu in 0..20 {
            let name = format!("pdu {pdu}");
            for _ in 0..10 {
                claims.push(some(claims.len(), Some(&name), false, &mut rng));
            }
            let limit = f64::from(rng.random_range(150..=500)) * GRID as f64;
            all.push(circuit(&name, Some("site"), limit));
            limits.push(limit);
        }
        let site = (limits.iter().sum::<f64>() * 0.85 / GRID as f64).floor() * GRID as f64;
        all.push(circuit("site", None, site));
        let circuits = Circuits::new(all).unwrap();
        let given = allocate(&claims, &circuits, None).unwrap();
        holds(&claims, &circuits, None, &given);
        let parts: Vec<_> = claims
            .chunks(10)
            .zip(&limits)
            .map(|(claims, limit)| search(&claims.iter().collect::<Vec<_>>(), *limit))
            .collect();
        let gap = 1.0 - given.rate.hashes_per_second() / join(&parts, site);
        assert!(gap < 0.01, "seed {seed}: {gap}");
        worst = worst.max(gap);
    }
    println!("20 circuits of 10 machines: at most {:.3} % below trying everything", worst * 100.0);
}

#[test]
fn what_must_stay_on_gets_its_floor_first_and_what_cannot_be_carried_is_named() {
    let good = claim(1, Some("a"), 0.0, &[(1000.0, 100.0), (2000.0, 180.0)]);
    let heater =
        Claim { keep_on: true, ..claim(2, Some("a"), 0.0, &[(900.0, 20.0), (1500.0, 30.0)]) };
    let claims = [good, heater];
    let under = |limit| Circuits::new(vec![circuit("a", None, limit)]).unwrap();
    let given = allocate(&claims, &under(2500.0), None).unwrap();
    assert_eq!(given.shares[&claims[1].id], Share::Run(w(900.0)));
    assert_eq!(given.shares[&claims[0].id], Share::Run(w(1600.0)));
    let error = allocate(&claims, &under(800.0), None).unwrap_err();
    assert_eq!((&*error.circuit, error.needed.get()), ("a", 900.0));
    let error = allocate(&claims, &under(2500.0), Some(w(100.0))).unwrap_err();
    assert_eq!(&*error.circuit, "site");
}

#[test]
fn a_machine_that_runs_nearly_at_its_share_is_left_as_it_is() {
    let curve = [(1000.0, 100.0), (2000.0, 180.0)];
    let at = |current| {
        let claim = Claim { current: Some(w(current)), ..claim(1, Some("a"), 0.0, &curve) };
        let circuits = Circuits::new(vec![circuit("a", None, 1800.0)]).unwrap();
        let given = allocate(std::slice::from_ref(&claim), &circuits, None).unwrap();
        given.shares[&claim.id]
    };
    assert_eq!(at(1795.0), Share::Run(w(1795.0)));
    assert_eq!(at(1805.0), Share::Run(w(1800.0)), "never over the breaker");
    assert_eq!(at(1500.0), Share::Run(w(1800.0)));
}

#[test]
fn nothing_is_given_where_nothing_asks_and_all_where_nothing_limits() {
    let none = Circuits::default();
    assert_eq!(allocate(&[], &none, None).unwrap(), Allocation::default());
    let claims = [claim(1, None, 5.0, &[(1000.0, 100.0), (2000.0, 180.0)])];
    let given = allocate(&claims, &none, None).unwrap();
    assert_eq!(given.shares[&claims[0].id], Share::Run(w(2000.0)));
    let given = allocate(&claims, &none, Some(w(900.0))).unwrap();
    assert_eq!((given.shares[&claims[0].id], given.power.get()), (Share::Off, 5.0));
}

#[test]
#[ignore = "prints how long ten thousand machines take"]
fn ten_thousand_machines() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let name = |n: usize| format!("pdu {}", n / 40);
    let claims: Vec<Claim> = (0..10_000).map(|n| some(n, Some(&name(n)), true, &mut rng)).collect();
    let pdus = (0..250).map(|n| circuit(&format!("pdu {n}"), Some("site"), 60e3));
    let circuits = Circuits::new(pdus.chain([circuit("site", None, 12e6)]).collect()).unwrap();
    let started = std::time::Instant::now();
    let given = allocate(&claims, &circuits, None).unwrap();
    let took = started.elapsed();
    let most = bound(&claims, &circuits, None).unwrap();
    let gap = 1.0 - given.rate.hashes_per_second() / most.hashes_per_second();
    println!("10,000 machines on 250 circuits: {took:.1?}, {:.3} % below the bound", gap * 100.0);
}
