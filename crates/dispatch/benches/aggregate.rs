//! Time to decide what each home is told: all reports fresh, the target moves at every step, a third of
//! the homes on or off. `cargo bench -p hearth-dispatch --bench aggregate`. Target: 100,000 homes well
//! within the 4 s between set-points.

use hearth_dispatch::aggregate::{Aggregate, Hold, Report, Setup};
use std::time::Instant;
use units::{Moment, NetWatts, UnixTime, Watts};

type Made<T> = Result<T, Box<dyn std::error::Error>>;

/// Steps that are timed, after as many that warm up.
const STEPS: u64 = 25;

fn main() -> Made<()> {
    println!("| homes | step, median ms | worst ms | hearing all, ms | orders a step |");
    println!("|---|---|---|---|---|");
    for count in [1_000, 10_000, 100_000] {
        row(count)?;
    }
    Ok(())
}

fn row(count: usize) -> Made<()> {
    let mut aggregate = Aggregate::new(Setup::default());
    let ids: Vec<String> = (0..count).map(|at| format!("home-{at:06}")).collect();
    let (mut steps, mut hears, mut orders) = (Vec::new(), Vec::new(), 0);
    for step in 1..=2 * STEPS {
        let now = Moment::from_secs(4 * step);
        let begun = Instant::now();
        for (at, id) in ids.iter().enumerate() {
            aggregate.hear(now, id, report(at, step)?)?;
        }
        hears.push(begun.elapsed().as_secs_f64() * 1e3);
        let part = 0.4 + 0.3 * (step as f64).sin();
        let wanted = NetWatts::new(2500.0 * count as f64 * part)?;
        let begun = Instant::now();
        let done = aggregate.step(now, UnixTime(1_800_000_000 + 4 * step), Some(wanted));
        if step > STEPS {
            steps.push(begun.elapsed().as_secs_f64() * 1e3);
            orders += done.orders.len();
        }
    }
    steps.sort_by(f64::total_cmp);
    hears.sort_by(f64::total_cmp);
    let middle = |times: &[f64]| times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
    println!(
        "| {count} | {:.2} | {:.2} | {:.2} | {} |",
        middle(&steps),
        steps.last().copied().unwrap_or(f64::NAN),
        middle(&hears),
        orders / STEPS as usize
    );
    Ok(())
}

/// Homes of 1 to 4 kW that draw what they would alone.
fn report(at: usize, step: u64) -> Made<Report> {
    let full = 1000.0 + (at * 7919 % 3000) as f64;
    let wave = 1.0 + 0.01 * ((at as u64 + step) as f64).sin();
    let net = NetWatts::new;
    let on_off = at.is_multiple_of(3);
    Ok(Report {
        power: net(full * wave)?,
        own: net(full * wave)?,
        lowest: Hold { power: net(full * (wave - 1.0))?, lasts: None },
        highest: Hold { power: net(full * wave)?, lasts: None },
        step: if on_off { Some(Watts::new(full)?) } else { None },
        opted_out: at.is_multiple_of(50),
    })
}
