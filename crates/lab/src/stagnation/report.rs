//! Standing still as a report: growth after growth, and whether "daily to monthly in a year" holds.

use super::{
    DAILY, Farm, GROWTH_BY_YEAR, LARGEST_SINCE_2015, MONTHLY, Outcome, history::YearOfGrowth,
};
use crate::{
    Given, LabError, Report,
    report::{Axis, Cell, Chart, Column, Content, Input, Series, Table},
};

/// Years from one block a day to one a month at this growth a year, by dilution: ln(365/12) / ln g;
/// `None` for never.
pub fn years_until_monthly(growth: f64) -> Option<f64> {
    super::crossing(DAILY / MONTHLY, growth.recip())
}

/// What each of these growths of difficulty (factors a year) does to the farm.
pub fn report(farm: &Farm, growths: &Given<Vec<f64>>) -> Result<Report, LabError> {
    let outcomes: Vec<Outcome> =
        growths.value.iter().map(|g| farm.outcome(*g)).collect::<Result<_, _>>()?;
    let Some(first) = outcomes.first() else {
        return Err(LabError::new("no growth of difficulty is given; give at least one"));
    };
    Ok(Report {
        name: "stagnation",
        finding: format!("{} {}", judged(), cliff(farm, first)),
        inputs: inputs(farm, growths),
        tables: vec![outcomes_table(&outcomes), history_table(), speed_table()],
        chart: Some(chart(farm, &outcomes)),
    })
}

/// The claim "from daily to monthly in about a year".
fn judged() -> String {
    let needed = DAILY / MONTHLY;
    let reached = GROWTH_BY_YEAR.iter().filter(|y| y.factor >= needed);
    let years: Vec<String> = reached.map(|y| y.year.to_string()).collect();
    let now = GROWTH_BY_YEAR.last().map_or(1.0, |y| y.factor);
    format!(
        "From a block a day to one a month takes a {needed:.1}-fold growth of difficulty. In one year \
         that happened in {}, and not since: the largest growth in 365 days since 2015 is \
         {LARGEST_SINCE_2015}-fold. At the growth of 2025 ({now}-fold) it takes {:.1} years, at 2-fold \
         {:.1}.",
        sequence(&years),
        years_until_monthly(now).unwrap_or(f64::INFINITY),
        years_until_monthly(2.0).unwrap_or(f64::INFINITY),
    )
}

/// `a, b and c`.
fn sequence(parts: &[String]) -> String {
    match parts {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => parts.concat(),
    }
}

/// What comes first for this farm.
fn cliff(farm: &Farm, outcome: &Outcome) -> String {
    let earns = farm.hash_price.value.earns_per_kwh(farm.efficiency.value);
    let growth = outcome.growth;
    match (outcome.years_until_stop, outcome.rate_at_stop) {
        (Some(0.0), _) => format!(
            "This farm does not pay from the start: a kilowatt-hour earns {earns} and costs more."
        ),
        (Some(years), Some(rate)) if outcome.years_until_monthly.is_none_or(|m| years < m) => {
            format!(
                "What ends a farm that stands still is its power bill: at {growth}-fold growth a \
             kilowatt-hour, which earns {earns} today, no longer pays after {} ({years:.1} years), while \
             the farm still expects {} blocks a year.",
                days(years),
                Cell::Figure(rate).text(),
            )
        }
        (Some(years), _) => format!(
            "At {growth}-fold growth this farm falls to a block a month before its power stops paying, \
             after {years:.1} years."
        ),
        (None, _) => {
            format!(
                "At {growth}-fold growth a part of this farm's power never costs more than it earns."
            )
        }
    }
}

fn days(years: f64) -> String {
    format!("{} days", Cell::Number(years * 365.0, 0).text())
}

fn outcomes_table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(
        "scenarios",
        "The farm under each growth of difficulty",
        [
            Column::new("growth_per_year", "growth a year, factor"),
            Column::new("years_until_monthly", "one a month by dilution, years"),
            Column::new("days_until_first_cut", "first power cut off, days"),
            Column::new("days_until_stop", "all power off, days"),
            Column::new("rate_at_stop_per_year", "blocks a year just before"),
            Column::new("blocks_in_all", "blocks until then"),
        ],
    );
    for outcome in outcomes {
        let number = |value: Option<f64>, decimals| {
            value.map_or(Cell::Missing, |v| Cell::Number(v, decimals))
        };
        let days = |years: Option<f64>| number(years.map(|y| y * 365.0), 0);
        table.row([
            Cell::Number(outcome.growth, 2),
            number(outcome.years_until_monthly, 1),
            days(outcome.years_until_first_cut),
            days(outcome.years_until_stop),
            number(outcome.rate_at_stop, 1),
            number(outcome.blocks_in_all, 0),
        ]);
    }
    table
}

fn history_table() -> Table {
    let mut table = Table::new(
        "history",
        "Growth of difficulty by year, and how long a day's block lasts at it",
        [
            Column::new("year", "year"),
            Column::new("growth_per_year", "growth, factor"),
            Column::new("years_until_monthly", "one a day to one a month, years"),
            Column::new("within_a_year", "within a year"),
        ],
    );
    let row = |name: String, factor: f64| -> [Cell; 4] {
        let years = years_until_monthly(factor);
        let within = years.is_some_and(|y| y <= 1.0);
        [
            name.into(),
            Cell::Figure(factor),
            years.map_or(Cell::Missing, |y| Cell::Number(y, 1)),
            if within { "yes" } else { "no" }.into(),
        ]
    };
    for YearOfGrowth { year, factor } in GROWTH_BY_YEAR {
        table.row(row(year.to_string(), factor));
    }
    table.row(row("largest 365 days since 2015".into(), LARGEST_SINCE_2015));
    table
}

fn speed_table() -> Table {
    let needed = DAILY / MONTHLY;
    let mut table = Table::new(
        "speed",
        "What one a day to one a month within a year means",
        [
            Column::new("factor", "growth, factor"),
            Column::new("doubling_days", "doubling every, days"),
            Column::new("percent_per_day", "a day, %"),
            Column::new("percent_per_retarget", "a retarget of 14 days, %"),
        ],
    );
    let percent_in = |days: f64| ((needed.ln() * days / 365.0).exp_m1()) * 100.0;
    table.row([
        Cell::Number(needed, 1),
        Cell::Number(365.0 / needed.log2(), 0),
        Cell::Number(percent_in(1.0), 2),
        Cell::Number(percent_in(14.0), 0),
    ]);
    table
}

fn chart(farm: &Farm, outcomes: &[Outcome]) -> Chart {
    const YEARS: f64 = 12.0;
    const POINTS: u32 = 1200;
    let years = || (0..=POINTS).map(|i| f64::from(i) * YEARS / f64::from(POINTS));
    let floor = (farm.start_per_year.value / 365.0).min(1.0);
    // A line that stops falls to the bottom, and there it ends.
    let line = |name: String, rate: &dyn Fn(f64) -> f64| {
        let mut points: Vec<(f64, f64)> = years().map(|t| (t, rate(t).max(floor))).collect();
        let end = points.iter().position(|(_, r)| *r <= floor).map_or(points.len(), |i| i + 1);
        points.truncate(end);
        Series { name, points, band: Vec::new() }
    };
    let mut lines: Vec<Series> = outcomes
        .iter()
        .map(|o| line(format!("{}-fold a year", o.growth), &|t| farm.rate(t, o.growth)))
        .collect();
    lines.extend(outcomes.first().map(|o| {
        line(format!("{}-fold, power for nothing", o.growth), &|t| farm.diluted(t, o.growth))
    }));
    lines.push(line("one a month".into(), &|_| MONTHLY));
    Chart {
        title: "Blocks of a farm that stands still, until its power costs more than it earns"
            .into(),
        x: Axis::linear("years"),
        y: Axis::log("blocks expected a year"),
        content: Content::Lines(lines),
    }
}

fn inputs(farm: &Farm, growths: &Given<Vec<f64>>) -> Vec<Input> {
    let figure = |v: &f64| Cell::Figure(*v);
    vec![
        growths.input_as("growths_per_year", |g| {
            let texts: Vec<String> = g.iter().map(ToString::to_string).collect();
            texts.join(", ").into()
        }),
        farm.start_per_year.input_as("start_blocks_per_year", figure),
        farm.decay_per_year.input_as("decay_per_year", figure),
        farm.efficiency.input_as("efficiency_j_per_th", |e| Cell::Figure(e.joules_per_terahash())),
        farm.costs.input_as("power_usd_per_kwh", |c| c.text().into()),
        farm.hash_price
            .input_as("hashprice_usd_per_ph_day", |p| Cell::Number(p.usd_per_ph_day(), 2)),
        farm.block_value_growth.input_as("block_value_growth_per_year", figure),
    ]
}
