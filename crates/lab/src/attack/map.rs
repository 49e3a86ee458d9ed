//! The map of the censorship game: the chance that a block with an unwanted transaction is orphaned,
//! over the censor's share and its stubbornness. Every point is played on its own and compared with the
//! closed form. Zero delay; owns no formula.

use super::{
    chance::{Estimate, stream},
    input::{Gamma, Share, Stubbornness, count},
    race::Race,
    walk::Walk,
};
use crate::{
    LabError, Progress, Report,
    report::{Axis, Cell, Chart, Column, Content, Input, Table},
};
use rayon::prelude::*;
use statrs::distribution::{ContinuousCDF, Normal};

/// What to map.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The shares, evenly spread from the first to the last.
    pub shares: (Share, Share),
    /// How many shares.
    pub columns: u64,
    /// The map's rows are a stubbornness of 1 to this many confirmations.
    pub rows: u64,
    /// Games played at each point.
    pub games: u64,
    /// Who follows the censor in a tie.
    pub gamma: Gamma,
    /// Where the random numbers start.
    pub seed: u64,
    /// Report every point in a table of its own.
    pub list_points: bool,
    /// Where each input came from, as it is reported.
    pub inputs: Vec<Input>,
}

/// The map.
#[derive(Debug, Clone)]
pub struct Map {
    /// The shares, rising.
    pub shares: Vec<Share>,
    /// Column by column, each from a stubbornness of 1 upwards.
    pub points: Vec<Point>,
    /// A censor that never gives up, for each share.
    pub forever: Vec<Point>,
}

/// One share and stubbornness.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// The censor's share.
    pub share: Share,
    /// How long it fights.
    pub stubbornness: Stubbornness,
    /// Probability of orphaning by formula.
    pub closed: f64,
    /// The same by simulation.
    pub seen: Estimate,
}

impl Point {
    /// How far simulation and formula are apart, in standard errors.
    pub fn deviation(&self) -> f64 {
        self.seen.deviation(self.closed)
    }
}

/// Plays the map.
pub fn map(plan: &Plan, progress: &Progress) -> Result<Map, LabError> {
    let columns = count("columns", plan.columns, 1000)?;
    let rows = count("rows", plan.rows, 1000)?;
    let games = count("games", plan.games, 10_000_000)?;
    let (first, last) = (plan.shares.0.get(), plan.shares.1.get());
    if first > last || (columns > 1 && first == last) {
        return Err(LabError::new(format!(
            "the map goes from a share of {first} to {last}; give a smaller share first"
        )));
    }
    let step = (last - first) / (columns.max(2) - 1) as f64;
    let shares = (0..columns)
        .map(|i| Share::new("share", first + step * i as f64))
        .collect::<Result<Vec<_>, _>>()?;
    progress.expect(columns * (rows + 1) * games);
    let columns: Vec<(Vec<Point>, Point)> = shares
        .par_iter()
        .enumerate()
        .map(|(column, &share)| {
            let race = Race { share, gamma: plan.gamma };
            let walk = Walk::new(&race);
            let replicates = column as u64 * (rows + 1);
            let closed = race.orphaned_up_to(rows as u32);
            let points = (1u32..).zip(closed).collect::<Vec<_>>().into_par_iter();
            let points = points
                .map(|(k, closed)| {
                    let mut random = stream(plan.seed, replicates + u64::from(k));
                    let won =
                        (0..games).filter(|_| walk.play(k, &mut random).is_some()).count() as u64;
                    progress.advance(games);
                    Ok(Point {
                        share,
                        stubbornness: Stubbornness::confirmations(k)?,
                        closed,
                        seen: Estimate::of_wins(won, games),
                    })
                })
                .collect::<Result<Vec<_>, LabError>>()?;
            let mut random = stream(plan.seed, replicates);
            let won =
                (0..games).filter(|_| walk.play_forever(&mut random).is_some()).count() as u64;
            progress.advance(games);
            let stubbornness = Stubbornness::Forever;
            let closed = race.orphaned(stubbornness);
            let seen = Estimate::of_wins(won, games);
            Ok((points, Point { share, stubbornness, closed, seen }))
        })
        .collect::<Result<_, LabError>>()?;
    let (points, forever): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    Ok(Map { shares, points: points.concat(), forever })
}

/// The map as a finding, tables and a picture.
pub fn report(plan: &Plan, progress: &Progress) -> Result<Report, LabError> {
    let map = map(plan, progress)?;
    let all = || map.points.iter().chain(&map.forever);
    let total = all().count();
    let Some(worst) = all().max_by(|a, b| a.deviation().abs().total_cmp(&b.deviation().abs()))
    else {
        return Err(LabError::new("the map has no points; give at least one column and one row"));
    };
    // The size that the largest of so many normal deviations exceeds in one map of a hundred.
    let chance = -Normal::standard().inverse_cdf(0.005 / total as f64);
    let verdict = match worst.deviation().abs() <= chance {
        true => "simulation and formula agree",
        false => "simulation and formula DISAGREE",
    };
    let finding = format!(
        "{} points of {} games each: {verdict}; the largest deviation is {:.2} standard errors (at a \
         share of {:.3}, stubbornness {}), and chance alone stays below {chance:.2} in 99 maps of 100. \
         Below half of the hashrate a censor's chance is bounded however long it fights; from half on \
         it is certain in the end.",
        Cell::Count(total as u64).text(),
        Cell::Count(plan.games).text(),
        worst.deviation().abs(),
        worst.share.get(),
        worst.stubbornness,
    );
    let mut tables = vec![outcomes(&map, plan), agreement(&map)];
    if plan.list_points {
        tables.push(points(&map));
    }
    let rows = plan.rows as usize;
    let values = (0..rows)
        .map(|row| map.points.iter().skip(row).step_by(rows).map(|p| p.seen.mean).collect())
        .collect();
    let chart = Chart {
        title: "Chance that a censor orphans a block, by simulation".into(),
        x: Axis::linear("censor's share of the hashrate"),
        y: Axis::linear("stubbornness, confirmations"),
        content: Content::Map {
            x: map.shares.iter().map(|s| s.get()).collect(),
            y: (1..=rows).map(|k| k as f64).collect(),
            values,
            label: "probability of orphaning".into(),
        },
    };
    Ok(Report {
        name: "attack map",
        finding,
        inputs: plan.inputs.clone(),
        tables,
        chart: Some(chart),
    })
}

fn outcomes(map: &Map, plan: &Plan) -> Table {
    let named = [1, 2, 6, 24, 100];
    let shown: Vec<u32> = named.into_iter().filter(|k| u64::from(*k) <= plan.rows).collect();
    let names = ["k_1", "k_2", "k_6", "k_24", "k_100"];
    let mut columns = vec![Column::new("share", "share")];
    for (k, name) in shown.iter().zip(names) {
        columns.push(Column::new(name, format!("k = {k}")));
    }
    columns.push(Column::new("forever", "never gives up"));
    let title =
        "Chance that a block is orphaned, by simulation (k: confirmations the censor fights)";
    let mut table = Table::new("outcomes", title, columns);
    let step = map.shares.len().div_ceil(14);
    for (column, share) in map.shares.iter().enumerate().step_by(step) {
        let at = |k: &u32| {
            let row = column * plan.rows as usize + *k as usize - 1;
            map.points.get(row).map_or(Cell::Missing, |p| Cell::Number(p.seen.mean, 4))
        };
        let forever = map.forever.get(column);
        let mut cells = vec![Cell::Number(share.get(), 3)];
        cells.extend(shown.iter().map(at));
        cells.push(forever.map_or(Cell::Missing, |p| Cell::Number(p.seen.mean, 4)));
        table.row(cells);
    }
    table
}

fn agreement(map: &Map) -> Table {
    let title = "Simulation against closed form: points within so many standard errors (where wins or losses are \
                 rare, the exact law is coarser than the normal and more points lie within)";
    let mut table = Table::new(
        "agreement",
        title,
        [
            Column::new("within_se", "standard errors"),
            Column::new("points", "points"),
            Column::new("of_all_pct", "of all, %"),
            Column::new("normal_law_pct", "normal law, %"),
        ],
    );
    let all: Vec<f64> =
        map.points.iter().chain(&map.forever).map(|p| p.deviation().abs()).collect();
    for limit in [1.0, 2.0, 3.0, 4.0] {
        let within = all.iter().filter(|d| **d <= limit).count();
        let law = 2.0 * Normal::standard().cdf(limit) - 1.0;
        table.row([
            Cell::Number(limit, 0),
            Cell::Count(within as u64),
            Cell::Number(100.0 * within as f64 / all.len() as f64, 2),
            Cell::Number(100.0 * law, 2),
        ]);
    }
    table
}

fn points(map: &Map) -> Table {
    let mut table = Table::new(
        "points",
        "Every point",
        [
            Column::new("share", "share"),
            Column::new("stubbornness_confirmations", "stubbornness"),
            Column::new("closed_form", "closed form"),
            Column::new("simulated", "simulated"),
            Column::new("standard_error", "standard error"),
            Column::new("deviation_se", "deviation, s.e."),
        ],
    );
    for point in map.points.iter().chain(&map.forever) {
        table.row([
            Cell::Number(point.share.get(), 4),
            match point.stubbornness.limit() {
                Some(k) => Cell::Count(k.into()),
                None => "inf".into(),
            },
            Cell::Number(point.closed, 6),
            Cell::Number(point.seen.mean, 6),
            Cell::Number(point.seen.standard_error, 6),
            Cell::Number(point.deviation(), 2),
        ]);
    }
    table
}

impl Plan {
    /// 100 shares from 0.5 % to 99.5 %, 1 to 100 confirmations, 10,000 games each.
    pub fn standard() -> Result<Self, LabError> {
        Ok(Self {
            shares: (Share::new("share", 0.005)?, Share::new("share", 0.995)?),
            columns: 100,
            rows: 100,
            games: 10_000,
            gamma: Gamma::NONE,
            seed: 1,
            list_points: false,
            inputs: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Plan {
        Plan { columns: 20, rows: 20, games: 2_000, ..Plan::standard().unwrap() }
    }

    #[test]
    fn every_point_agrees_with_the_closed_form() {
        for gamma in [0.0, 0.5] {
            let plan = Plan { gamma: Gamma::new(gamma).unwrap(), ..small() };
            let map = map(&plan, &Progress::new()).unwrap();
            assert_eq!(map.points.len(), 400);
            for point in map.points.iter().chain(&map.forever) {
                assert!(point.deviation().abs() < 4.0, "{point:?}");
            }
        }
    }

    #[test]
    fn a_map_does_not_depend_on_the_number_of_threads() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let map = pool.install(|| map(&small(), &Progress::new())).unwrap();
            map.points.iter().map(|p| p.seen.won).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn a_map_that_goes_backwards_is_refused() {
        let (low, high) = small().shares;
        let said = map(&Plan { shares: (high, low), ..small() }, &Progress::new()).unwrap_err();
        assert!(said.to_string().contains("give a smaller share first"));
        let none = Plan { columns: 0, ..small() };
        assert!(map(&none, &Progress::new()).unwrap_err().to_string().starts_with("columns is 0"));
    }

    #[test]
    fn the_report_has_rows_for_chosen_shares_and_all_points_on_demand() {
        let plan = Plan { list_points: true, ..small() };
        let report = report(&plan, &Progress::new()).unwrap();
        assert!(report.finding.contains("simulation and formula agree"));
        assert_eq!(report.to_csv(Some("points")).unwrap().lines().count(), 421);
    }
}
