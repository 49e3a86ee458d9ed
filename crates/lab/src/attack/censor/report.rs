//! The finding, tables and picture of the censorship game.

use super::{first_retarget, mean_wait, play, play_with_delay, wait_q99_blocks};
use crate::{
    LabError, Progress, Report,
    attack::{
        chance::seed_of,
        input::{BLOCK_INTERVAL, Gamma, Share, Stubbornness, count},
        race::{Race, tipping_share},
        shown::{self, Check},
        switching::{Free, Switching},
    },
    report::{Axis, Cell, Chart, Column, Content, Input, Series, Table},
};
use std::time::Duration;
use units::Sats;

/// A share that is talked about in public.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// On the command line.
    pub name: &'static str,
    /// Part of the hashrate.
    pub share: f64,
    /// Whose it is.
    pub of: &'static str,
}

/// The shares that are talked about in public, and both sides of the tipping point.
pub const SCENARIOS: [Scenario; 6] = [
    Scenario { name: "quarter", share: 0.25, of: "a quarter" },
    Scenario { name: "us-public", share: 0.29, of: "public US companies" },
    Scenario { name: "us", share: 0.36, of: "US, estimates of Q3 2025" },
    Scenario { name: "below-half", share: 0.49, of: "just below half" },
    Scenario { name: "above-half", share: 0.51, of: "just above half" },
    Scenario { name: "us-2028", share: 0.60, of: "US, a forecast for 2028" },
];

/// Who obeys the order.
#[derive(Debug, Clone)]
pub struct Order {
    /// Their share of the hashrate.
    pub share: Share,
    /// Who that is, if it has a name.
    pub of: Option<&'static str>,
}

/// What to compute.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The shares.
    pub orders: Vec<Order>,
    /// Who follows the censor in a tie.
    pub gamma: Gamma,
    /// What a block pays without the unwanted transactions.
    pub reward: Sats,
    /// What they add to a block.
    pub fee: Sats,
    /// The time a block takes to reach the others.
    pub delay: Duration,
    /// How many equal miners the others are.
    pub others: u64,
    /// The part of the others that goes where it is paid better; none for no such year.
    pub free: Free,
    /// How long the censor fights in that year.
    pub stubbornness: Stubbornness,
    /// Games played at each share; a tenth of that with delay.
    pub games: u64,
    /// Where the random numbers start.
    pub seed: u64,
    /// Where each input came from, as it is reported.
    pub inputs: Vec<Input>,
}

const YEARS: u64 = 32;

/// The censorship game as a finding, tables and a picture.
pub fn report(plan: &Plan, progress: &Progress) -> Result<Report, LabError> {
    // Below that a mean has no standard error worth the name.
    if plan.games < 100 {
        return Err(LabError::new(format!("games is {}; give 100 or more", plan.games)));
    }
    count("games", plan.games, 100_000_000)?;
    count("miners", plan.others, 1000)?;
    let checks = checks(plan, progress)?;
    let mut tables = vec![outcomes(plan)?, consequences(plan), shown::table("share", &checks)];
    let mut finding = finding(plan, &checks);
    if plan.delay > Duration::ZERO {
        let (said, table) = delayed(plan, progress)?;
        finding += &said;
        tables.push(table);
    }
    if plan.free.get() > 0.0 {
        let (said, table) = year(plan, progress);
        finding += &said;
        tables.push(table);
    }
    let inputs = plan.inputs.clone();
    let chart = Some(chart(plan)?);
    Ok(Report { name: "attack censor", finding, inputs, tables, chart })
}

fn stubborn() -> Result<[(&'static str, &'static str, Stubbornness); 4], LabError> {
    Ok([
        ("p_1", "1", Stubbornness::confirmations(1)?),
        ("p_2", "2", Stubbornness::confirmations(2)?),
        ("p_6", "6", Stubbornness::confirmations(6)?),
        ("p_inf", "∞", Stubbornness::Forever),
    ])
}

fn race(plan: &Plan, order: &Order) -> Race {
    Race { share: order.share, gamma: plan.gamma }
}

fn share_cell(order: &Order) -> Cell {
    Cell::Number(order.share.get(), 2)
}

fn btc(fee: Option<Sats>) -> Cell {
    Cell::Number(fee.map_or(f64::INFINITY, |fee| fee.0 as f64 / 1e8), 2)
}

fn days(time: Duration) -> f64 {
    time.as_secs_f64() / super::DAY
}

fn outcomes(plan: &Plan) -> Result<Table, LabError> {
    let stubborn = stubborn()?;
    let mut columns = vec![
        Column::new("share", "share"),
        Column::new("mean_wait_min", "mean wait, min"),
        Column::new("wait_q99_blocks", "99 % wait, blocks"),
    ];
    columns.extend(stubborn.map(|(name, k, _)| Column::new(name, format!("P k={k}"))));
    columns.extend([
        Column::new("fee_1_btc", "fee, BTC k=1"),
        Column::new("fee_inf_btc", "fee, BTC k=∞"),
        Column::new("retarget_censor_days", "censor, days"),
        Column::new("retarget_others_days", "others, days"),
    ]);
    let title = "Order to exclude a transaction (G0: wait), to orphan blocks that have it until k \
                 confirmations (G1) or always (G2): P that such a block is orphaned, fee that makes \
                 including worth the risk, days to the first retarget of both branches after a split";
    let mut table = Table::new("outcomes", title, columns);
    for order in &plan.orders {
        let race = race(plan, order);
        let fee = |k| btc(race.inclusion_fee(plan.reward, k));
        let [one, .., forever] = stubborn.map(|(_, _, k)| k);
        let mut cells = vec![
            share_cell(order),
            Cell::Number(mean_wait(order.share).as_secs_f64() / 60.0, 1),
            Cell::Number(wait_q99_blocks(order.share), 1),
        ];
        cells.extend(stubborn.map(|(_, _, k)| Cell::Number(race.orphaned(k), 4)));
        cells.extend([
            fee(one),
            fee(forever),
            Cell::Number(days(first_retarget(order.share.get())), 1),
            Cell::Number(days(first_retarget(order.share.rest())), 1),
        ]);
        table.row(cells);
    }
    Ok(table)
}

fn consequences(plan: &Plan) -> Table {
    let title = "What follows: payments that looked final and were orphaned (G2), the permanent split, \
                 and what the censor earns per hash if the others include such transactions always";
    let columns = [
        Column::new("share", "share"),
        Column::new("who", "who"),
        Column::new("false_finality_2", "orphaned after ≥ 2 conf."),
        Column::new("false_finality_6", "orphaned after ≥ 6 conf."),
        Column::new("forks_until_split", "forks until split"),
        Column::new("resolution_blocks", "blocks until it wins"),
        Column::new("censors_revenue_k1_pct", "censor earns, % of honest, k=1"),
        Column::new("censors_revenue_k6_pct", "same, k=6"),
    ];
    let mut table = Table::new("consequences", title, columns);
    let number =
        |value: Option<f64>, digits| value.map_or(Cell::Missing, |v| Cell::Number(v, digits));
    for order in &plan.orders {
        let race = race(plan, order);
        let shown = |n| Cell::Number(race.false_finality(n, Stubbornness::Forever), 3);
        let earns = |k| number(race.censors_revenue(k).map(|r| 100.0 * r), 1);
        table.row([
            share_cell(order),
            order.of.into(),
            shown(2),
            shown(6),
            number(race.forks_until_split(), 3),
            number(race.blocks_to_resolve(), 1),
            earns(1),
            earns(6),
        ]);
    }
    table
}

fn checks(plan: &Plan, progress: &Progress) -> Result<Vec<Check>, LabError> {
    let mut checks = Vec::new();
    for (number, order) in (0..).zip(&plan.orders) {
        let race = race(plan, order);
        let played = play(&race, plan.games, seed_of(plan.seed, number), progress);
        let mut add = |quantity: String, closed, seen, digits| {
            let case = format!("{:.2}", order.share.get());
            checks.push(Check { case, quantity, closed, seen, digits });
        };
        let wait = mean_wait(order.share).as_secs_f64() / 60.0;
        add("wait, min".into(), wait, played.wait_min, 2);
        for (_, k, stubbornness) in stubborn()? {
            let quantity = format!("P orphaned, k={k}");
            add(quantity, race.orphaned(stubbornness), played.orphaned(stubbornness), 4);
        }
        let final_6 = race.false_finality(6, Stubbornness::Forever);
        add("P orphaned after ≥ 6 conf.".into(), final_6, played.false_finality(6), 4);
        if let (Some(closed), Some(seen)) = (race.forks_until_split(), played.forks) {
            add("forks until split".into(), closed, seen, 3);
        }
        if let (Some(closed), Some(seen)) = (race.blocks_to_resolve(), played.resolution_blocks) {
            add("blocks until it wins".into(), closed, seen, 2);
        }
        let (censor, others) = played.retarget_days;
        add("retarget censor, days".into(), days(first_retarget(order.share.get())), censor, 2);
        add("retarget others, days".into(), days(first_retarget(order.share.rest())), others, 2);
    }
    Ok(checks)
}

fn delayed(plan: &Plan, progress: &Progress) -> Result<(String, Table), LabError> {
    let seconds = plan.delay.as_secs_f64();
    let columns = [
        Column::new("share", "share"),
        Column::new("stubbornness_confirmations", "k"),
        Column::new("without_delay", "without delay, closed form"),
        Column::new("with_delay", format!("delay {seconds} s, simulated")),
        Column::new("standard_error", "standard error"),
        Column::new("change", "change"),
    ];
    let mut table = Table::new("delay", "What delay changes: P that a block is orphaned", columns);
    let games = plan.games.div_ceil(10);
    let mut analyses = 0..;
    for order in &plan.orders {
        let race = race(plan, order);
        for (_, k, stubbornness) in stubborn()? {
            let closed = race.orphaned(stubbornness);
            let others = plan.others as u32;
            let seed = seed_of(plan.seed, analyses.next().unwrap_or_default());
            let seen =
                play_with_delay(&race, stubbornness, plan.delay, others, games, seed, progress);
            table.row([
                share_cell(order),
                k.into(),
                Cell::Number(closed, 4),
                Cell::Number(seen.mean, 4),
                Cell::Number(seen.standard_error, 5),
                Cell::Number(seen.mean - closed, 4),
            ]);
        }
    }
    let tipping = tipping_share(seconds / BLOCK_INTERVAL.as_secs_f64());
    let said = format!(
        " A delay of {seconds} s wastes blocks of the others, who are many, and none of the censor's, \
         who acts as one: its tipping point falls from 50 % to {:.2} %.",
        100.0 * tipping
    );
    Ok((said, table))
}

fn year(plan: &Plan, progress: &Progress) -> (String, Table) {
    let columns = [
        Column::new("share", "compelled"),
        Column::new("censors_pct", "censor after a year, %"),
        Column::new("omits_pct", "leave out, %"),
        Column::new("includes_pct", "include, %"),
        Column::new("included_pct", "blocks of the year that include, %"),
        Column::new("compelled_earn_pct", "compelled earn, % of honest"),
        Column::new("taken_over_pct", "runs with a censoring majority, %"),
    ];
    let title = format!(
        "A year in which {:.0} % of the others go where they are paid better (stubbornness {}, fees {} \
         BTC a block): mean of {YEARS} runs by simulation",
        100.0 * plan.free.get(),
        plan.stubbornness,
        plan.fee.0 as f64 / 1e8,
    );
    let mut table = Table::new("switching", title, columns);
    let mut errors = 0.0f64;
    let mut lowest = None;
    for order in &plan.orders {
        let switching = Switching {
            compelled: order.share,
            gamma: plan.gamma,
            stubbornness: plan.stubbornness,
            delay: plan.delay,
            free: plan.free,
            reward: plan.reward,
            fee: plan.fee,
        };
        let year = switching.simulate(YEARS, plan.seed, progress);
        if year.taken_over.mean >= 0.5 && lowest.is_none_or(|l| order.share.get() < l) {
            lowest = Some(order.share.get());
        }
        let all = [year.censors, year.omits, year.includes, year.included, year.compelled_earn];
        errors = all.iter().fold(errors, |most, e| most.max(e.standard_error));
        let mut cells = vec![share_cell(order)];
        cells.extend(all.map(|e| Cell::Number(100.0 * e.mean, 1)));
        cells.push(Cell::Number(100.0 * year.taken_over.mean, 0));
        table.row(cells);
    }
    let said = match lowest {
        Some(share) => format!(
            " With free miners the smallest compelled share shown that ends in a censoring majority in \
             at least half of the runs is {:.0} % (largest standard error of a figure {:.1} points).",
            100.0 * share,
            100.0 * errors
        ),
        None => format!(
            " With free miners no compelled share shown ends in a censoring majority in half of the runs \
             (largest standard error of a figure {:.1} points).",
            100.0 * errors
        ),
    };
    (said, table)
}

fn finding(plan: &Plan, checks: &[Check]) -> String {
    let below = plan.orders.iter().filter(|o| o.share.get() < 0.5);
    let headline = below
        .clone()
        .find(|o| o.share.get() == 0.36)
        .or_else(|| below.max_by(|a, b| a.share.get().total_cmp(&b.share.get())));
    let percent = |p: f64| format!("{:.0} %", 100.0 * p);
    let exact = |share: Share| format!("{} %", (1e4 * share.get()).round() / 100.0);
    let mut said = String::new();
    if let Some(order) = headline {
        let race = race(plan, order);
        let six = Stubbornness::confirmations(6).map(|k| race.orphaned(k)).unwrap_or_default();
        said += &format!(
            "Miners with {} of the hashrate who leave a transaction out make it wait {:.1} minutes \
             instead of 10. Orphaning blocks that have it works in {} of cases if they fight to 6 \
             confirmations, and in {} if they never give up; then, after {:.2} forks on average, they \
             are left on a chain of their own. ",
            exact(order.share),
            mean_wait(order.share).as_secs_f64() / 60.0,
            percent(six),
            percent(race.orphaned(Stubbornness::Forever)),
            race.forks_until_split().unwrap_or(f64::INFINITY),
        );
    }
    if let Some(order) = plan.orders.iter().find(|o| o.share.get() >= 0.5) {
        let race = race(plan, order);
        said += &format!(
            "With {} they always win in the end, and {} of the blocks they orphan had shown 6 \
             confirmations or more. ",
            exact(order.share),
            percent(race.false_finality(6, Stubbornness::Forever)),
        );
    }
    said + &shown::verdict(checks)
}

fn chart(plan: &Plan) -> Result<Chart, LabError> {
    let shares = (1..=70).map(|i| Share::new("share", f64::from(i) / 100.0));
    let shares = shares.collect::<Result<Vec<_>, _>>()?;
    let lines = stubborn()?.map(|(_, k, stubbornness)| Series {
        name: match stubbornness.limit() {
            Some(_) => format!("gives up beyond k = {k}"),
            None => "never gives up".into(),
        },
        points: shares
            .iter()
            .map(|&share| (share.get(), Race { share, gamma: plan.gamma }.orphaned(stubbornness)))
            .collect(),
        band: Vec::new(),
    });
    Ok(Chart {
        title: "Chance that a censor orphans a block".into(),
        x: Axis::linear("censor's share of the hashrate"),
        y: Axis::linear("probability"),
        content: Content::Lines(lines.to_vec()),
    })
}
