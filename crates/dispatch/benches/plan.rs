//! Time to plan a home (96 steps) and a farm of 20 classes (96 steps), with the bound of the linear
//! relaxation and the reasons, and the cost beside that bound. Limits: a home below 20 ms, a farm below
//! 200 ms. `cargo bench -p hearth-dispatch --bench plan [--features highs]`. Time on the processor is
//! beside that on the clock, since a busy machine makes the latter longer. Prices and forecasts are
//! made up. `-- --all` adds other solvers on the farm, which take long.

use hearth_dispatch::plan::{
    Battery, Class, Earns, Level, Options, Problem, Solver, Zone, solve_with,
};
use std::{
    f64::consts::TAU,
    time::{Duration, Instant},
};
use units::{
    Celsius, EnergyPrice, HashPrice, Hashrate, NetWatts, Ratio, UnixTime, Usd, WattHours, Watts,
};

type Made<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Made<()> {
    println!(
        "| site | solver | columns of whole numbers | ms | of them on the processor | cost, $ | LP bound, $ | gap, % |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let all = std::env::args().any(|arg| arg == "--all");
    for (name, problem) in [("home", home()?), ("farm, 20 classes", farm(20)?)] {
        for solver in solvers() {
            if name == "home" || solver.is_none() || all {
                row(name, &problem, solver)?;
            }
        }
    }
    Ok(())
}

fn solvers() -> Vec<Option<Solver>> {
    vec![
        None,
        Some(Solver::Micro),
        #[cfg(feature = "highs")]
        Some(Solver::Highs),
    ]
}

fn row(name: &str, problem: &Problem, solver: Option<Solver>) -> Made<()> {
    let options = Options { solver, ..Options::default() };
    let counts: usize =
        problem.classes.iter().map(|c| c.levels.len()).sum::<usize>() * problem.steps();
    let name = format!("{name} | {}", solver.map_or("own".into(), |solver| format!("{solver:?}")));
    let plan = match solve_with(problem, options) {
        Ok(plan) => plan,
        Err(error) => {
            println!("| {name} | {counts} | {error} | | | | |");
            return Ok(());
        }
    };
    let (usd, bound) = (plan.cost.get(), plan.bound.ok_or("no bound")?.get());
    let runs = if solver.is_none() { 31 } else { 3 };
    let (clock, processor) = median(runs, || solve_with(problem, options).map(drop))?;
    println!(
        "| {name} | {counts} | {clock:.1} | {processor:.1} | {usd:.4} | {bound:.4} | {:.3} |",
        100.0 * (usd - bound) / bound.abs()
    );
    Ok(())
}

/// Milliseconds of a run: the median on the clock, and the mean on the processor (which Linux counts
/// in steps longer than a run; none elsewhere).
fn median<E>(runs: usize, run: impl Fn() -> Result<(), E>) -> Result<(f64, f64), E> {
    let mut times = Vec::new();
    let before = on_processor();
    for _ in 0..runs {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let processor = on_processor().zip(before).map_or(f64::NAN, |(after, before)| after - before);
    times.sort_by(f64::total_cmp);
    Ok((times[runs / 2], processor / runs as f64))
}

/// Milliseconds that this thread has been on a processor.
fn on_processor() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e6)
}

fn series<T, E>(of: impl Fn(f64) -> Result<T, E>) -> Result<Vec<T>, E> {
    (0..96).map(|t| of(f64::from(t) / 4.0)).collect()
}

/// Cheap nights, dear evenings.
fn price(hour: f64) -> f64 {
    0.09 + 0.05 * (TAU * (hour - 13.0) / 24.0).sin() + 0.02 * (TAU * hour / 6.0).sin()
}

fn common() -> Made<Problem> {
    Ok(Problem {
        start: UnixTime(1_800_000_000),
        step: Duration::from_secs(900),
        import: series(|h| EnergyPrice::per_kwh(price(h)))?,
        export: series(|h| EnergyPrice::per_kwh(price(h) - 0.04))?,
        hash_price: series(|_| HashPrice::new(38.2))?,
        outdoor: series(|h| Celsius::new(4.0 + 4.0 * (TAU * (h - 9.0) / 24.0).sin()))?,
        ..Problem::default()
    })
}

/// Two machines, sun, a battery and a heated house.
fn home() -> Made<Problem> {
    let mut p = common()?;
    p.pv = series(|h| Watts::new(5e3 * (TAU * (h - 6.0) / 24.0).sin().max(0.0)))?;
    p.load = series(|h| NetWatts::new(400.0 + 300.0 * (TAU * h / 12.0).cos()))?;
    p.import_limit = Some(Watts::new(9e3)?);
    p.classes = vec![class("heater", 2, 17.5, &[900.0, 1400.0], 0.05, Some(0))?];
    p.battery = Some(Battery {
        now: WattHours::new(5e3)?,
        least: WattHours::new(1e3)?,
        most: WattHours::new(10e3)?,
        charge: Watts::new(4e3)?,
        discharge: Watts::new(4e3)?,
        charge_efficiency: Ratio::new(0.95)?,
        discharge_efficiency: Ratio::new(0.95)?,
        wear: EnergyPrice::per_kwh(0.01)?,
        end_value: EnergyPrice::per_kwh(0.08)?,
        end_least: WattHours::new(2e3)?,
    });
    p.zones = vec![Zone {
        name: "house".into(),
        capacity: WattHours::new(8e3)?,
        loss: Watts::new(200.0)?,
        around: None,
        gains: Vec::new(),
        now: Celsius::new(20.0)?,
        low: series(|h| Celsius::new(if (6.0..22.0).contains(&h) { 20.0 } else { 18.0 }))?,
        high: series(|_| Celsius::new(23.0))?,
        cold: Usd::new(1.0)?,
        hot: Usd::new(1.0)?,
        heater: Some((Watts::new(3e3)?, 1.0)),
        vented: true,
    }];
    Ok(p)
}

/// `classes` classes of 50 machines at 4 levels behind one connection.
fn farm(classes: usize) -> Made<Problem> {
    let mut p = common()?;
    for k in 0..classes {
        let efficiency = 15.0 + k as f64;
        let powers = [2000.0, 2600.0, 3100.0, 3500.0];
        p.classes.push(class(&format!("class {k}"), 50, efficiency, &powers, 0.1, None)?);
    }
    p.import_limit = Some(Watts::new(classes as f64 * 120e3)?);
    Ok(p)
}

fn class(
    name: &str,
    count: u32,
    jth: f64,
    powers: &[f64],
    start: f64,
    zone: Option<usize>,
) -> Made<Class> {
    let highest = powers.iter().copied().fold(1.0, f64::max);
    let level = |watts: f64| -> Made<Level> {
        // Slower is more efficient: a fifth better at half power.
        let efficiency = jth * (0.6 + 0.4 * watts / highest);
        let rate = Hashrate::from_hashes_per_second(watts / efficiency * 1e12);
        Ok(Level { power: Watts::new(watts)?, earns: Earns::Hash(rate) })
    };
    Ok(Class {
        name: name.into(),
        count,
        available: Vec::new(),
        levels: powers.iter().map(|w| level(*w)).collect::<Made<_>>()?,
        off_power: Watts::new(5.0)?,
        min_on: Duration::from_secs(1800),
        min_off: Duration::from_secs(900),
        start_cost: Usd::new(start)?,
        stop_cost: Usd::ZERO,
        ramp_up: None,
        ramp_down: None,
        heats: match zone {
            Some(zone) => Some((zone, Ratio::new(1.0)?)),
            None => None,
        },
        now: Vec::new(),
    })
}
