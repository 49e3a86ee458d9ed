//! The published claim, judged, as a report.

use super::{
    Claim, Run,
    claim::PUBLISHED,
    judge,
    report::{figure_of_count, published_line, rank_line},
};
use crate::{
    LabError, Progress, Report,
    report::{Axis, Cell, Chart, Column, Content, Table},
};

/// Whether the published counts can be true, and of what.
pub fn claim_report(run: &Run, progress: &Progress) -> Result<Report, LabError> {
    let claim = judge(progress)?;
    // Nothing here is drawn.
    let inputs = run.network.inputs();
    Ok(Report {
        name: "landscape",
        finding: format!("{} {}", finding(&claim), run.size_sentence()),
        inputs,
        tables: vec![laws_table(&claim), search_table(&claim), run.network.table()],
        chart: Some(chart(&claim)),
    })
}

fn finding(claim: &Claim) -> String {
    let three = claim.laws.iter().find(|law| law.law.starts_with("three tiers"));
    let finding = three.map_or([0.0; 3], |law| law.finding).map(figure_of_count);
    let [year, month, day] = finding;
    format!(
        "The published picture (13,000 farms with a block a year, 1,000 with one a month, 30 to 40 with \
         one a day) is not one law. It is a Pareto law of shape 2 applied to three different \
         populations, which is the equal world divided by 4; read as one population along a power law \
         it takes {:.0} % of all blocks. The nearest single Zipf-Mandelbrot law (s = {:.2}, q = {:.1}, \
         {} miners) misses by a factor of {:.2}, or {:.2} if 30 industrial farms are enough. Three \
         tiers, each with its own law, do fit, but only as expected rates: in such a world {year} miners \
         really find a block in a year (hobbyists included), {month} in a month and {day} on a day.",
        claim.budget() * 100.0,
        claim.nearest.law.exponent,
        claim.nearest.law.offset,
        Cell::Count(claim.nearest.law.miners).text(),
        claim.nearest.factor,
        claim.nearest_to_fewest.factor,
    )
}

fn laws_table(claim: &Claim) -> Table {
    let mut table = Table::new(
        "laws",
        "Miners that expect a block in each period, and that find one, law by law",
        [
            Column::new("law", "law"),
            Column::new("populations", "groups"),
            Column::new("expecting_year", "expect: year"),
            Column::new("expecting_month", "month"),
            Column::new("expecting_day", "day"),
            Column::new("factor", "off by a factor"),
            Column::new("finders_year", "find one: year"),
            Column::new("finders_month", "month"),
            Column::new("finders_day", "day"),
        ],
    );
    let number = |n: f64| Cell::Number(n, 0);
    let [year, month, day] = PUBLISHED.map(number);
    let blank = || Cell::Missing;
    table.row(["published".into(), blank(), year, month, day, blank(), blank(), blank(), blank()]);
    for law in &claim.laws {
        let [year, month, day] = law.expecting.map(number);
        let [found_year, found_month, found_day] = law.finding.map(number);
        table.row([
            law.law.clone().into(),
            Cell::Count(if law.three_populations { 3 } else { 1 }),
            year,
            month,
            day,
            Cell::Figure(law.factor),
            found_year,
            found_month,
            found_day,
        ]);
    }
    table
}

fn search_table(claim: &Claim) -> Table {
    let mut table = Table::new(
        "nearest",
        "The nearest single Zipf-Mandelbrot law, (rank + q)^-s",
        [
            Column::new("industrial_farms", "industrial farms asked for"),
            Column::new("exponent", "s"),
            Column::new("offset", "q"),
            Column::new("miners", "miners"),
            Column::new("expecting_year", "year"),
            Column::new("expecting_month", "month"),
            Column::new("expecting_day", "day"),
            Column::new("factor", "off by a factor"),
        ],
    );
    for (asked, fit) in [(35, &claim.nearest), (30, &claim.nearest_to_fewest)] {
        let [year, month, day] = fit.expecting.map(|n| Cell::Number(n, 0));
        table.row([
            Cell::Count(asked),
            Cell::Number(fit.law.exponent, 3),
            Cell::Number(fit.law.offset, 2),
            fit.law.miners.into(),
            year,
            month,
            day,
            Cell::Number(fit.factor, 2),
        ]);
    }
    table
}

fn chart(claim: &Claim) -> Chart {
    let lines =
        claim.laws.iter().filter_map(|law| law.population.as_ref().map(|p| rank_line(&law.law, p)));
    Chart {
        title: "No single law gives the published counts".into(),
        x: Axis::log("blocks expected a year"),
        y: Axis::log("miners that expect at least so many"),
        content: Content::Lines([published_line()].into_iter().chain(lines).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Given, landscape::Network};
    use units::Efficiency;

    #[test]
    fn the_claim_is_reported_as_what_it_is() {
        let run = Run {
            network: Network::new(Given::flag(Efficiency::new(17.5).unwrap())),
            replicates: Given::flag(1),
            seed: Given::flag(1),
        };
        let report = claim_report(&run, &Progress::new()).unwrap();
        for says in ["is not one law", "164 %", "misses by a factor of 2.0", "118 on a day"] {
            assert!(report.finding.contains(says), "{}", report.finding);
        }
        assert!(report.to_svg().is_ok());
    }
}
