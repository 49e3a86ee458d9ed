//! The finding, tables and picture of double-spending.

use super::{MOST_CONFIRMATIONS, confirmations_for, exact, nakamoto, simulate};
use crate::{
    LabError, Progress, Report,
    attack::{
        chance::seed_of,
        input::{Share, count},
        shown::{self, Check},
    },
    report::{Axis, Cell, Chart, Column, Content, Input, Series, Table},
};

/// What to compute.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The attackers' shares.
    pub attackers: Vec<Share>,
    /// The confirmations.
    pub confirmations: Vec<u32>,
    /// The probability of loss that a receiver accepts.
    pub risk: f64,
    /// Games played for each share and confirmations.
    pub games: u64,
    /// Where the random numbers start.
    pub seed: u64,
    /// Where each input came from, as it is reported.
    pub inputs: Vec<Input>,
}

/// Double-spending as a finding, tables and a picture.
pub fn report(plan: &Plan, progress: &Progress) -> Result<Report, LabError> {
    let games = count("games", plan.games, 1_000_000_000)?;
    for z in &plan.confirmations {
        count("confirmations", u64::from(*z), 10_000)?;
    }
    // Before the games: it refuses a risk that is none.
    let needed = needed(plan)?;
    let mut checks = Vec::new();
    for &attacker in &plan.attackers {
        for &z in &plan.confirmations {
            let seed = seed_of(plan.seed, checks.len() as u64);
            checks.push(Check {
                case: format!("{:.3}", attacker.get()),
                quantity: format!("success, z = {z}"),
                closed: exact(attacker, z),
                seen: simulate(attacker, z, games, seed, progress),
                digits: 5,
            });
        }
    }
    let tables = vec![probabilities(plan, &checks), needed, shown::table("share", &checks)];
    Ok(Report {
        name: "attack double-spend",
        finding: finding(plan, &checks)?,
        inputs: plan.inputs.clone(),
        tables,
        chart: Some(chart(plan)),
    })
}

fn finding(plan: &Plan, checks: &[Check]) -> Result<String, LabError> {
    let mut said = String::new();
    if let Some(&attacker) = plan.attackers.first() {
        let percent = (1e4 * attacker.get()).round() / 100.0;
        let need = confirmations_for(attacker, plan.risk, exact)?;
        let paper = confirmations_for(attacker, plan.risk, nakamoto)?;
        said = match (need, paper) {
            (Some(need), Some(paper)) => format!(
                "Against an attacker with {percent} % of the hashrate the risk of a double-spend is below \
                 {} % from {need} confirmations on; Nakamoto's formula says {paper}. ",
                100.0 * plan.risk
            ),
            _ if attacker.get() >= 0.5 => format!(
                "Against an attacker with {percent} % of the hashrate no number of confirmations \
                 is safe. "
            ),
            _ => format!(
                "Against an attacker with {percent} % of the hashrate it takes more than {} \
                 confirmations for a risk below {} %. ",
                Cell::Count(MOST_CONFIRMATIONS.into()).text(),
                100.0 * plan.risk
            ),
        };
    }
    Ok(said + &shown::verdict(checks))
}

fn probabilities(plan: &Plan, checks: &[Check]) -> Table {
    let columns = [
        Column::new("share", "attacker's share"),
        Column::new("confirmations", "confirmations"),
        Column::new("nakamoto", "Nakamoto"),
        Column::new("exact", "exact"),
        Column::new("nakamoto_over_exact", "Nakamoto / exact"),
    ];
    let mut table = Table::new("probability", "Chance that a payment is replaced", columns);
    let cases =
        plan.attackers.iter().flat_map(|q| plan.confirmations.iter().map(move |z| (*q, *z)));
    for ((q, z), check) in cases.zip(checks) {
        table.row([
            Cell::Number(q.get(), 3),
            Cell::Count(z.into()),
            Cell::Number(nakamoto(q, z), 7),
            Cell::Number(check.closed, 7),
            Cell::Number(nakamoto(q, z) / check.closed, 2),
        ]);
    }
    table
}

fn needed(plan: &Plan) -> Result<Table, LabError> {
    let columns = [
        Column::new("share", "attacker's share"),
        Column::new("nakamoto_confirmations", "by Nakamoto's formula"),
        Column::new("exact_confirmations", "exact"),
    ];
    let title = format!("Confirmations for a risk below {} %", 100.0 * plan.risk);
    let mut table = Table::new("needed", title, columns);
    for &attacker in &plan.attackers {
        let count = |formula| -> Result<Cell, LabError> {
            Ok(confirmations_for(attacker, plan.risk, formula)?.map(u64::from).into())
        };
        table.row([Cell::Number(attacker.get(), 3), count(nakamoto)?, count(exact)?]);
    }
    Ok(table)
}

fn chart(plan: &Plan) -> Chart {
    let line = |q: &Share| Series {
        name: format!("{:.0} %", 100.0 * q.get()),
        points: (1..=30)
            .map(|z| (f64::from(z), exact(*q, z)))
            .filter(|(_, chance)| *chance > 1e-9)
            .collect(),
        band: Vec::new(),
    };
    Chart {
        title: "Chance that a payment is replaced, by the attacker's share".into(),
        x: Axis::linear("confirmations"),
        y: Axis::log("probability"),
        content: Content::Lines(plan.attackers.iter().map(line).collect()),
    }
}
