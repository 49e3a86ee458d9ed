//! The finding, tables and picture of selfish mining.

use super::{
    Selfish,
    optimal::{self, Action, Fork, Strategy, Ties},
    threshold,
};
use crate::{
    LabError, Progress, Report,
    attack::{
        input::{Gamma, Share, count},
        shown::{self, Check},
    },
    report::{Axis, Cell, Chart, Column, Content, Input, Series, Table},
};
use rayon::prelude::*;

/// What to compute.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The selfish miner.
    pub selfish: Selfish,
    /// When ties divide the others.
    pub ties: Ties,
    /// The longest branch that the best strategy keeps apart.
    pub longest: u64,
    /// Blocks to simulate.
    pub blocks: u64,
    /// Where the random numbers start.
    pub seed: u64,
    /// Where each input came from, as it is reported.
    pub inputs: Vec<Input>,
}

/// Runs of which the spread gives the standard error.
const RUNS: u64 = 100;
/// Branches cut below this hide what the best strategy earns.
const SHORTEST: usize = 20;
/// Longest branches where only a line is drawn or a threshold is sought.
const COARSE: usize = 40;
/// Side of the strategy's table.
const SHOWN: usize = 8;

/// Selfish mining as a finding, tables and a picture.
pub fn report(plan: &Plan, progress: &Progress) -> Result<Report, LabError> {
    if plan.blocks < 100 * RUNS {
        return Err(LabError::new(format!(
            "blocks is {}; give {} or more, so that each of {RUNS} runs has a revenue",
            plan.blocks,
            100 * RUNS
        )));
    }
    let blocks = count("blocks", plan.blocks, 1_000_000_000)?.div_ceil(RUNS);
    let longest = count("longest branch", plan.longest, 120)? as usize;
    if longest < SHORTEST {
        return Err(LabError::new(format!(
            "longest branch is {longest}; give {SHORTEST} to 120: cut shorter, the best strategy looks \
             worse than others"
        )));
    }
    let Selfish { share, gamma } = plan.selfish;
    if share.get() > 0.48 {
        return Err(LabError::new(format!(
            "share is {}; near half of the hashrate the best strategy withholds without end, so give at \
             most 0.48",
            share.get()
        )));
    }
    let best = Strategy::best(plan.selfish, plan.ties, longest);
    let check = |quantity: &str, closed, seen| Check {
        case: format!("{:.4}", share.get()),
        quantity: quantity.into(),
        closed,
        seen,
        digits: 5,
    };
    let checks = [
        check(
            "revenue, Eyal and Sirer's strategy",
            plan.selfish.revenue(),
            plan.selfish.simulate(blocks, RUNS, plan.seed, progress),
        ),
        check(
            "revenue, best strategy",
            best.revenue(),
            best.simulate(blocks, RUNS, plan.seed, progress),
        ),
    ];
    let limits = [Gamma::NONE, Gamma::new(0.5)?, gamma, Gamma::new(1.0)?];
    let tables = vec![
        revenues(plan, &best),
        shown::table("share", &checks),
        thresholds(&limits),
        lengths(plan, longest),
        actions(&best),
    ];
    let limit = optimal::threshold(gamma, plan.ties, COARSE);
    let verb = if share.get() > limit { "pays" } else { "does not pay" };
    let finding = format!(
        "With {:.1} % of the hashrate and gamma {}, withholding blocks {verb}: the best strategy keeps \
         {:.3} % of the blocks, Eyal and Sirer's {:.3} %; it pays above {:.2} % of the hashrate ({:.2} % \
         with theirs), and only after the difficulty has fallen. {}",
        100.0 * share.get(),
        gamma.get(),
        100.0 * best.revenue(),
        100.0 * plan.selfish.revenue(),
        100.0 * limit,
        100.0 * threshold(gamma),
        shown::verdict(&checks),
    );
    Ok(Report {
        name: "attack selfish",
        finding,
        inputs: plan.inputs.clone(),
        tables,
        chart: Some(chart(plan, progress)),
    })
}

fn revenues(plan: &Plan, best: &Strategy) -> Table {
    let columns = [
        Column::new("strategy", "strategy"),
        Column::new("revenue", "part of all blocks"),
        Column::new("gain_pct", "over honest mining, %"),
    ];
    let mut table = Table::new("revenue", "What the selfish miner keeps", columns);
    let share = plan.selfish.share.get();
    for (strategy, revenue) in [
        ("honest", share),
        ("Eyal and Sirer", plan.selfish.revenue()),
        ("best", best.revenue()),
        ("more than any can earn", plan.selfish.bound()),
    ] {
        table.row([
            strategy.into(),
            Cell::Number(revenue, 5),
            Cell::Number(100.0 * (revenue / share - 1.0), 2),
        ]);
    }
    table
}

fn thresholds(gammas: &[Gamma]) -> Table {
    let columns = [
        Column::new("gamma", "gamma"),
        Column::new("eyal_sirer", "Eyal and Sirer's strategy"),
        Column::new("best", "best strategy"),
        Column::new("best_ties_by_chance", "best, ties by chance"),
    ];
    let mut table = Table::new("threshold", "Share from which withholding pays", columns);
    let mut gammas = gammas.to_vec();
    gammas.sort_by(|a, b| a.get().total_cmp(&b.get()));
    gammas.dedup();
    for gamma in gammas {
        let by_chance = gamma.get() == 0.5;
        table.row([
            Cell::Number(gamma.get(), 2),
            Cell::Number(threshold(gamma), 4),
            Cell::Number(optimal::threshold(gamma, Ties::FirstSeen, COARSE), 4),
            match by_chance {
                true => Cell::Number(optimal::threshold(gamma, Ties::ByChance, COARSE), 4),
                false => Cell::Missing,
            },
        ]);
    }
    table
}

fn lengths(plan: &Plan, longest: usize) -> Table {
    let columns = [
        Column::new("longest_blocks", "longest branch, blocks"),
        Column::new("revenue", "revenue of the best strategy"),
    ];
    let title = "How much cutting long branches costs (each is a lower bound)";
    let mut table = Table::new("truncation", title, columns);
    let mut lengths = [longest / 4, longest / 2, longest].map(|l| l.max(2));
    lengths.sort_unstable();
    for length in lengths {
        let best = Strategy::best(plan.selfish, plan.ties, length);
        table.row([Cell::Count(length as u64), Cell::Number(best.revenue(), 5)]);
    }
    table
}

fn actions(best: &Strategy) -> Table {
    const NAMES: [&str; SHOWN] = ["h_0", "h_1", "h_2", "h_3", "h_4", "h_5", "h_6", "h_7"];
    let mut columns = vec![Column::new("own", "own")];
    columns.extend(NAMES.iter().enumerate().map(|(h, name)| Column::new(*name, h.to_string())));
    let title = "The best strategy: rows own blocks, columns the others'; what to do after an own block, \
                 after one of the others', and in a tie that was offered: a adopt, o override, m match, \
                 w wait, - cannot occur";
    let mut table = Table::new("strategy", title, columns);
    for own in 0..SHOWN {
        let mut cells = vec![Cell::Count(own as u64)];
        for others in 0..SHOWN {
            let letter = |fork| match (fork, best.action(own, others, fork)) {
                (_, None) => '-',
                (Fork::Irrelevant, _) if own == 0 && others > 1 => '-',
                (Fork::Relevant, _) if others == 0 => '-',
                (Fork::Active, _) if others == 0 || own < others => '-',
                (_, Some(Action::Adopt)) => 'a',
                (_, Some(Action::Override)) => 'o',
                (_, Some(Action::Match)) => 'm',
                (_, Some(Action::Wait)) => 'w',
            };
            let forks = [Fork::Irrelevant, Fork::Relevant, Fork::Active];
            cells.push(forks.map(letter).iter().collect::<String>().into());
        }
        table.row(cells);
    }
    table
}

fn chart(plan: &Plan, progress: &Progress) -> Chart {
    let shares: Vec<f64> = (1..=46).map(|i| f64::from(i) / 100.0).collect();
    let line = |name: &str, revenue: &(dyn Fn(Selfish) -> f64 + Sync)| {
        progress.expect(shares.len() as u64);
        let points = shares
            .par_iter()
            .filter_map(|&alpha| {
                let share = Share::new("share", alpha).ok()?;
                let point = (alpha, revenue(Selfish { share, gamma: plan.selfish.gamma }));
                progress.advance(1);
                Some(point)
            })
            .collect();
        Series { name: name.into(), points, band: Vec::new() }
    };
    Chart {
        title: format!("Revenue from withholding blocks, gamma {}", plan.selfish.gamma.get()),
        x: Axis::linear("share of the hashrate"),
        y: Axis::linear("part of all blocks that stay"),
        content: Content::Lines(vec![
            line("best strategy", &|s| Strategy::best(s, plan.ties, COARSE).revenue()),
            line("Eyal and Sirer", &|s| s.revenue()),
            line("honest", &|s| s.share.get()),
        ]),
    }
}
