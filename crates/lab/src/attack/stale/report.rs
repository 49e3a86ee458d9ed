//! The finding, tables and picture of stale blocks.

use super::Stale;
use crate::{
    LabError, Progress, Report,
    attack::{
        input::{BLOCK_INTERVAL, count},
        shown::{self, Check},
    },
    report::{Axis, Cell, Chart, Column, Content, Input, Table},
};

/// What to compute.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Miners and delay.
    pub stale: Stale,
    /// Blocks to simulate.
    pub blocks: u64,
    /// Where the random numbers start.
    pub seed: u64,
    /// Where each input came from, as it is reported.
    pub inputs: Vec<Input>,
}

/// Blocks in one run; an end that is not yet decided falls on one of them.
const RUN: u64 = 20_000;

/// Stale blocks as a finding, tables and a picture.
pub fn report(plan: &Plan, progress: &Progress) -> Result<Report, LabError> {
    let blocks = count("blocks", plan.blocks, 1_000_000_000)?;
    let rates = plan.stale.rates();
    let runs = blocks.div_ceil(RUN);
    let seen = plan.stale.simulate(blocks.div_ceil(runs), runs, plan.seed, progress);
    let checks: Vec<Check> = (1..)
        .zip(plan.stale.miners())
        .zip(rates.iter().zip(seen))
        .map(|((number, share), (rate, seen))| Check {
            case: format!("{number}: {:.4}", share.get()),
            quantity: "stale blocks, part of own".into(),
            closed: *rate,
            seen,
            digits: 6,
        })
        .collect();
    let earnings = plan.stale.earnings(&rates);
    let columns = [
        Column::new("miner", "miner"),
        Column::new("share", "share"),
        Column::new("stale_pct", "stale, % of own blocks"),
        Column::new("earnings_pct", "earnings per hash, % of the mean"),
    ];
    let mut table = Table::new("miners", "What delay costs miners of each size", columns);
    for ((number, share), (rate, earned)) in
        (1..).zip(plan.stale.miners()).zip(rates.iter().zip(&earnings))
    {
        table.row([
            Cell::Count(number),
            Cell::Number(share.get(), 4),
            Cell::Number(100.0 * rate, 4),
            Cell::Number(100.0 * earned, 4),
        ]);
    }
    let size = |i: &usize| plan.stale.miners()[*i].get();
    let all = || 0..rates.len();
    let (Some(big), Some(small)) = (
        all().max_by(|a, b| size(a).total_cmp(&size(b))),
        all().min_by(|a, b| size(a).total_cmp(&size(b))),
    ) else {
        return Err(LabError::new("shares is empty; give every miner's share"));
    };
    let mean = |of: &dyn Fn(&Check) -> f64| -> f64 {
        plan.stale.miners().iter().zip(&checks).map(|(h, check)| h.get() * of(check)).sum()
    };
    let (formula, simulated) = (mean(&|c| c.closed), mean(&|c| c.seen.mean));
    let seconds = plan.stale.delay.as_secs_f64();
    let finding = format!(
        "With blocks taking {seconds} s to reach the others, the largest miner ({:.0} %) loses {:.3} % of \
         its blocks and the smallest ({:.1} %) {:.3} %: an advantage of size of {:.3} % of revenue. Of \
         all blocks {:.4} % go stale by formula and {:.4} % in the simulation; the formula is of first \
         order in the delay, and so too high by about {:.2} % of itself.",
        100.0 * size(&big),
        100.0 * rates[big],
        100.0 * size(&small),
        100.0 * rates[small],
        100.0 * (earnings[big] / earnings[small] - 1.0),
        100.0 * formula,
        100.0 * simulated,
        100.0 * seconds / BLOCK_INTERVAL.as_secs_f64(),
    );
    let bars = (1..)
        .zip(plan.stale.miners().iter().zip(&rates))
        .map(|(number, (share, rate))| {
            (format!("{number}: {:.0} %", 100.0 * share.get()), 100.0 * rate)
        })
        .collect();
    Ok(Report {
        name: "attack stale",
        finding,
        inputs: plan.inputs.clone(),
        tables: vec![table, shown::table("miner: share", &checks)],
        chart: Some(Chart {
            title: "Stale blocks by size of miner".into(),
            x: Axis::linear("miner: share of the hashrate"),
            y: Axis::linear("stale blocks, % of own"),
            content: Content::Bars(bars),
        }),
    })
}
