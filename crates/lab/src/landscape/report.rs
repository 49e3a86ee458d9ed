//! One law in detail as a report.

use super::{
    Band, Law, Luck, Network, Period, Population, Reading, Tier, claim, draw_pareto, simulate,
};
use crate::{
    Given, LabError, Progress, Report,
    luck::{self, BLOCKS_PER_YEAR},
    report::{Axis, Cell, Chart, Column, Content, Input, Series, Table},
};

/// What to simulate and on which network.
#[derive(Debug, Clone)]
pub struct Run {
    /// Sizes and machines.
    pub network: Network,
    /// How many years, months and days are drawn.
    pub replicates: Given<u64>,
    /// What the draws start from.
    pub seed: Given<u64>,
}

impl Run {
    pub(super) fn inputs(&self) -> Vec<Input> {
        let mut inputs = self.network.inputs();
        inputs.push(self.replicates.input_as("replicates", |n| Cell::Count(*n)));
        inputs.push(self.seed.input_as("seed", |n| Cell::Count(*n)));
        inputs
    }

    /// What a block a day takes, in a sentence.
    pub(super) fn size_sentence(&self) -> String {
        let network = &self.network;
        let farm = network.hashrate_of(Period::Day.per_year());
        let home = network.home_machine.value;
        format!(
            "At {} one block a day takes {farm}: {} machines and {}, or {} home machines of {home}, each \
             of which waits {} years for a block on average.",
            network.hashrate.value,
            figure(network.machines(farm)),
            network.power(farm),
            figure(network.home_machines(farm)),
            figure(network.blocks_per_year(home).recip()),
        )
    }
}

/// One period's counts.
struct Row {
    period: Period,
    miners: u64,
    expecting: u64,
    drawn: Option<Band>,
    finders: f64,
    luck: Band,
}

/// Who finds blocks under this law.
pub fn report(law: &Law, run: &Run, progress: &Progress) -> Result<Report, LabError> {
    let (rows, whole) = match law.reading() {
        Reading::ThreePopulations => (three_populations(law, run, progress)?, None),
        Reading::OnePopulation => {
            let population = law.population(Period::Year, &run.network)?;
            let (rows, luck) = one_population(law, &population, run, progress)?;
            (rows, Some((population, luck)))
        }
    };
    let mut tables = vec![finders_table(&rows)];
    if let Some((population, luck)) = &whole {
        tables.push(tier_table(population, luck));
        tables.push(tier_sizes(population, &run.network));
    }
    if let Law::Listed(listed, _) = law {
        tables.push(listed_table(&listed.named(&run.network)?));
    }
    tables.push(run.network.table());
    let mut finding = finding(law, &rows);
    if let Some((population, luck)) = &whole {
        finding += &tail_sentence(population, luck, run.replicates.value);
    }
    let chart = match &whole {
        Some((population, _)) => rank_chart(&law.name(), population),
        None => bars(law, &rows),
    };
    Ok(Report {
        name: "landscape",
        finding: format!("{finding} {}", run.size_sentence()),
        inputs: law.inputs().into_iter().chain(run.inputs()).collect(),
        tables,
        chart: Some(chart),
    })
}

fn three_populations(law: &Law, run: &Run, progress: &Progress) -> Result<Vec<Row>, LabError> {
    let row = |period: Period| {
        let population = law.population(period, &run.network)?;
        let (replicates, seed) = (run.replicates.value, run.seed.value);
        let drawn = drawn(law, population.miners(), &[period], run, progress)?;
        let luck = simulate(&population, &[period], replicates, seed, progress)?;
        Ok(row(&population, period, drawn.first().copied(), luck.finders[0]))
    };
    Period::ALL.into_iter().map(row).collect()
}

fn one_population(
    law: &Law,
    population: &Population,
    run: &Run,
    progress: &Progress,
) -> Result<(Vec<Row>, Luck), LabError> {
    let drawn = drawn(law, population.miners(), &Period::ALL, run, progress)?;
    let (replicates, seed) = (run.replicates.value, run.seed.value);
    let luck = simulate(population, &Period::ALL, replicates, seed, progress)?;
    let rows = Period::ALL.into_iter().zip(&luck.finders).enumerate();
    let rows =
        rows.map(|(i, (p, band))| row(population, p, drawn.get(i).copied(), *band)).collect();
    Ok((rows, luck))
}

/// Bands of the counts if hashrates are drawn from the law; empty for laws that leave nothing to draw.
fn drawn(
    law: &Law,
    miners: u64,
    periods: &[Period],
    run: &Run,
    progress: &Progress,
) -> Result<Vec<Band>, LabError> {
    let Law::Pareto { shape, .. } = law else { return Ok(Vec::new()) };
    let rates: Vec<f64> = periods.iter().map(|p| p.per_year()).collect();
    let (replicates, seed) = (run.replicates.value, run.seed.value);
    Ok(draw_pareto(miners, shape.value, &rates, replicates, seed, progress)?.expecting)
}

fn row(population: &Population, period: Period, drawn: Option<Band>, luck: Band) -> Row {
    Row {
        period,
        miners: population.miners(),
        expecting: population.expecting(period),
        drawn,
        finders: population.finders(period).0,
        luck,
    }
}

fn finding(law: &Law, rows: &[Row]) -> String {
    let each = |of: &dyn Fn(&Row) -> String| rows.iter().map(of).collect::<Vec<_>>();
    let expect =
        each(&|r| format!("{} expect one a {} or more", count(r.expecting), r.period.name()));
    let find = each(&|r| format!("{} in a {}", figure_of_count(r.finders), r.period.name()));
    let whose = match law.reading() {
        Reading::OnePopulation => {
            format!("of {} miners", count(rows.first().map_or(0, |r| r.miners)))
        }
        Reading::ThreePopulations => {
            "and three separate populations, each with one miner for every block of its period,"
                .into()
        }
    };
    format!(
        "Under {}, {whose} {}. Luck decides who really finds one: {}.",
        law.name(),
        sequence(&expect),
        sequence(&find),
    )
}

fn tail_sentence(population: &Population, luck: &Luck, replicates: u64) -> String {
    // Nine of ten of fewer years would be all of them.
    const ENOUGH: u64 = 20;
    let sum = population.tiers()[Tier::Hobbyist as usize];
    if sum.miners == 0 {
        return String::new();
    }
    let band = luck.blocks[Tier::Hobbyist as usize];
    let band = if replicates < ENOUGH {
        String::new()
    } else {
        format!(" ({} to {} in nine years of ten)", count(band.low), count(band.high))
    };
    format!(
        " The {} below one block a year find {} of them together{band}, {:.1} % of all.",
        count(sum.miners),
        figure_of_count(sum.blocks_per_year),
        sum.blocks_per_year / BLOCKS_PER_YEAR * 100.0,
    )
}

fn finders_table(rows: &[Row]) -> Table {
    let drawn = rows.iter().any(|r| r.drawn.is_some());
    let mut columns = vec![
        Column::new("period", "period"),
        Column::new("published", "published"),
        Column::new("miners", "miners"),
        Column::new("expecting", "expect one or more"),
    ];
    if drawn {
        columns.push(Column::new("expecting_drawn_p5", "if drawn: 5 %"));
        columns.push(Column::new("expecting_drawn_p95", "95 %"));
    }
    columns.extend([
        Column::new("finders", "find one (formula)"),
        Column::new("finders_simulated", "simulated"),
        Column::new("finders_p5", "5 %"),
        Column::new("finders_p95", "95 %"),
    ]);
    let title = "Miners that expect a block in each period, and that really find one";
    let mut table = Table::new("finders", title, columns);
    for (row, published) in rows.iter().zip(claim::PUBLISHED) {
        let mut cells: Vec<Cell> = vec![
            row.period.name().into(),
            Cell::Number(published, 0),
            row.miners.into(),
            row.expecting.into(),
        ];
        if drawn {
            cells.push(row.drawn.map(|b| b.low).into());
            cells.push(row.drawn.map(|b| b.high).into());
        }
        let Band { mean, low, high, .. } = row.luck;
        let decimals = if mean < 1000.0 { 1 } else { 0 };
        cells.extend([Cell::Number(row.finders, decimals), Cell::Number(mean, decimals)]);
        cells.extend([low.into(), high.into()]);
        table.row(cells);
    }
    table
}

fn tier_table(population: &Population, luck: &Luck) -> Table {
    let mut table = Table::new(
        "tiers",
        "Blocks of a year by size of miner",
        [
            Column::new("tier", "who"),
            Column::new("miners", "miners"),
            Column::new("blocks_per_year", "blocks expected"),
            Column::new("share_percent", "of all, %"),
            Column::new("blocks_p5", "found: 5 %"),
            Column::new("blocks_p95", "95 %"),
            Column::new("finders_per_year", "find at least one"),
        ],
    );
    for (i, (tier, sum)) in Tier::ALL.iter().zip(population.tiers()).enumerate() {
        table.row([
            tier.name().into(),
            sum.miners.into(),
            Cell::Number(sum.blocks_per_year, 0),
            Cell::Number(sum.blocks_per_year / BLOCKS_PER_YEAR * 100.0, 1),
            luck.blocks[i].low.into(),
            luck.blocks[i].high.into(),
            Cell::Number(luck.tier_finders[i].mean, 0),
        ]);
    }
    table
}

fn tier_sizes(population: &Population, network: &Network) -> Table {
    let mut table = Table::new(
        "tier_sizes",
        "The same as hashrate and power",
        [
            Column::new("tier", "who"),
            Column::new("hashrate_phs", "together, PH/s"),
            Column::new("power_mw", "together, MW"),
            Column::new("mean_phs", "each, PH/s"),
            Column::new("mean_machines", "each, machines"),
            Column::new("mean_power_mw", "each, MW"),
        ],
    );
    let peta = |blocks: f64| network.hashrate_of(blocks).hashes_per_second() / 1e15;
    for (tier, sum) in Tier::ALL.iter().zip(population.tiers()) {
        let (all, mean) = (sum.blocks_per_year, sum.blocks_per_year / sum.miners as f64);
        let each = |value: f64| if sum.miners > 0 { Cell::Figure(value) } else { Cell::Missing };
        let rate = network.hashrate_of(if sum.miners > 0 { mean } else { 0.0 });
        table.row([
            tier.name().into(),
            Cell::Figure(peta(all)),
            Cell::Figure(network.power(network.hashrate_of(all)).megawatts()),
            each(peta(mean)),
            each(network.machines(rate)),
            each(network.power(rate).megawatts()),
        ]);
    }
    table
}

fn listed_table(rows: &[(&str, u64, f64)]) -> Table {
    let mut table = Table::new(
        "miners",
        "The miners listed, and their luck in a year",
        [
            Column::new("name", "name"),
            Column::new("miners", "miners"),
            Column::new("share_percent", "share, %"),
            Column::new("blocks_per_year", "blocks expected"),
            Column::new("blocks_p5", "5 %"),
            Column::new("blocks_p95", "95 %"),
            Column::new("wait_days", "mean wait, days"),
            Column::new("odds_month_percent", "one in a month, %"),
        ],
    );
    for (name, miners, rate) in rows {
        table.row([
            (*name).into(),
            (*miners).into(),
            Cell::Number(rate / BLOCKS_PER_YEAR * 100.0, 3),
            Cell::Figure(*rate),
            luck::quantile(*rate, 0.05).into(),
            luck::quantile(*rate, 0.95).into(),
            Cell::Figure(365.0 / rate),
            Cell::Number(luck::at_least_one(rate / 12.0) * 100.0, 2),
        ]);
    }
    table
}

fn rank_chart(name: &str, population: &Population) -> Chart {
    Chart {
        title: format!("Who expects how many blocks under {name}"),
        x: Axis::log("blocks expected a year"),
        y: Axis::log("miners that expect at least so many"),
        content: Content::Lines(vec![rank_line(name, population), published_line()]),
    }
}

/// Miners with at least each rate.
pub(super) fn rank_line(name: &str, population: &Population) -> Series {
    const POINTS: i32 = 160;
    let (high, low) = population.extremes();
    let points = (0..=POINTS).map(|i| {
        // The ends exactly: half a unit of rounding would lose the largest miner.
        let rate = match i {
            0 => low,
            POINTS => high,
            i => low * (high / low).powf(f64::from(i) / f64::from(POINTS)),
        };
        (rate, population.at_least(rate) as f64)
    });
    Series { name: name.into(), points: points.collect(), band: Vec::new() }
}

/// The published counts as three points.
pub(super) fn published_line() -> Series {
    let points = Period::ALL.map(Period::per_year).into_iter().zip(claim::PUBLISHED).collect();
    Series { name: "published counts".into(), points, band: Vec::new() }
}

fn bars(law: &Law, rows: &[Row]) -> Chart {
    let bars = rows.iter().flat_map(|row| {
        let period = row.period.name();
        [
            (format!("expect one a {period}"), row.expecting as f64),
            (format!("find one in a {period}"), row.finders),
        ]
    });
    Chart {
        title: format!("Three populations under {}", law.name()),
        x: Axis::linear("one population for each period"),
        y: Axis::log("miners"),
        content: Content::Bars(bars.collect()),
    }
}

pub(super) fn count(n: u64) -> String {
    Cell::Count(n).text()
}

pub(super) fn figure(value: f64) -> String {
    Cell::Figure(value).text()
}

/// A count that is a mean.
pub(super) fn figure_of_count(mean: f64) -> String {
    Cell::Number(mean, if mean < 10.0 { 1 } else { 0 }).text()
}

/// `a, b and c`.
pub(super) fn sequence(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::Listed;
    use units::Efficiency;

    fn run() -> Run {
        Run {
            network: Network::new(Given::flag(Efficiency::new(17.5).unwrap())),
            replicates: Given::flag(20),
            seed: Given::flag(1),
        }
    }

    fn given<T>(value: T) -> Given<T> {
        Given::flag(value)
    }

    #[test]
    fn every_law_makes_a_report_with_a_chart() {
        let text = "name,share,miners\na,0.5,1\nb,0.5,100\n";
        for (law, says, tables) in [
            (Law::Equal { miners: None }, "52,560 expect one a year or more", 2),
            (Law::Equal { miners: Some(100) }, "of 100 miners 100 expect one a year", 4),
            (Law::Pareto { shape: given(2.0), miners: None }, "1,095 expect one a month", 2),
            (Law::Pareto { shape: given(1.5), miners: Some(10_000) }, "shape 1.5", 4),
            (
                Law::Zipf { exponent: given(1.0), offset: given(0.0), miners: given(52_560) },
                "12 expect one a day",
                4,
            ),
            (
                Law::Tiers {
                    shape: given(3.286),
                    daily: given(35),
                    monthly: given(1000),
                    yearly: given(13_000),
                    hobbyists: given(10_000),
                },
                "The 10,000 below one block a year find 36",
                4,
            ),
            (Law::Listed(Listed::read(text).unwrap(), "a.csv".into()), "the miners of a.csv", 5),
        ] {
            let report = report(&law, &run(), &Progress::new()).unwrap();
            assert!(report.finding.contains(says), "{}", report.finding);
            assert!(report.finding.contains("15,855 years"), "{}", report.finding);
            assert_eq!(report.tables.len(), tables, "{}", law.name());
            assert!(report.to_svg().unwrap().contains("</svg>"));
            assert!(!report.to_text(Some(100)).contains("NaN"));
        }
    }

    #[test]
    fn a_band_of_nine_years_in_ten_is_not_said_of_one_year() {
        let law = Law::Equal { miners: Some(1_000_000) };
        let finding = |replicates| {
            let run = Run { replicates: given(replicates), ..run() };
            report(&law, &run, &Progress::new()).unwrap().finding
        };
        assert!(finding(20).contains("in nine years of ten"));
        assert!(!finding(1).contains("in nine years of ten"));
    }

    #[test]
    fn the_smallest_pareto_miner_says_how_many_there_are() {
        assert_eq!(Law::pareto_from(2.0, 0.5).unwrap(), 52_560);
        for (shape, least) in [(1.0, 1.0), (2.0, 0.0), (2.0, f64::NAN)] {
            assert!(Law::pareto_from(shape, least).is_err());
        }
    }

    #[test]
    fn bad_input_is_one_sentence() {
        let run = run();
        for law in [
            Law::Equal { miners: Some(0) },
            Law::Pareto { shape: given(1.0), miners: None },
            Law::Zipf { exponent: given(1.0), offset: given(-1.0), miners: given(5) },
        ] {
            let said = report(&law, &run, &Progress::new()).unwrap_err().to_string();
            assert!(said.contains("give") && !said.contains('\n'), "{said}");
        }
        let none = Run { replicates: given(0), ..run };
        assert!(report(&Law::Equal { miners: None }, &none, &Progress::new()).is_err());
    }
}
