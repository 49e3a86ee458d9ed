//! The concentration of a list, by pool, by proxy cluster and by country, as a report.

use super::{
    MEASURES,
    metrics::{Concentration, Shares},
    pools::{By, Pools},
    shift::makers,
    tags::{self, Tag},
};
use crate::{
    LabError, Report,
    report::{Axis, Cell, Chart, Column, Content, Input, Source, Table},
};
use std::collections::BTreeMap;

/// Bars of the chart; more are not legible.
const BARS: usize = 11;

/// Texts of unknown coinbases that are listed.
const TEXTS: usize = 10;

/// What each measure says, in the order of the measures.
const MEANINGS: [&str; 9] = [
    "fewest that together hold more than half",
    "0 is many small ones, 10,000 is one alone",
    "this many equal ones would be as concentrated",
    "0 is all equal, 1 is one has all",
    "2 to this power equal ones would be as hard to guess",
    "share of the largest",
    "share of the two largest",
    "share of the three largest",
    "share of the six largest",
];

/// Measures a list.
///
/// # Errors
/// As [`Shares::of_weights`].
pub fn report(pools: &Pools) -> Result<Report, LabError> {
    let by_pool = pools.shares(By::Pool)?;
    let known = |by| pools.by(by).map(|_| pools.shares(by)).transpose();
    let (by_cluster, by_country) = (known(By::Cluster)?, known(By::Country)?);
    let main = by_cluster.as_ref().unwrap_or(&by_pool);
    let found = main.concentration();
    let who = if by_cluster.is_some() { "template makers" } else { "pools" };
    let mut finding = format!(
        "{} of {} {who} hold more than half of the hashrate; it is as concentrated as if {:.2} equal \
         ones shared it (HHI {:.0}), and the largest holds {:.1} %.",
        found.nakamoto,
        found.members,
        found.effective,
        found.hhi,
        100.0 * main.top(1),
    );
    if by_cluster.is_some() {
        let nominal = by_pool.concentration();
        finding += &format!(
            " By name alone it looks like {:.2} equal ones: pools that hand out another's templates \
             count as that other.",
            nominal.effective
        );
    }
    if let Some(countries) = &by_country {
        let found = countries.concentration();
        finding +=
            &format!(" {} of {} countries hold more than half.", found.nakamoto, found.members);
    }
    if by_cluster.is_none() && by_country.is_none() {
        finding += " A list with columns cluster and country shows who is behind the names.";
    }
    let input = Input {
        name: "pools",
        value: Cell::Count(pools.list().len() as u64),
        source: pools.source().clone(),
    };
    Ok(Report {
        name: "spread",
        finding,
        inputs: vec![input],
        tables: vec![
            measures([Some(&by_pool), by_cluster.as_ref(), by_country.as_ref()]),
            list(pools),
        ],
        chart: Some(chart(pools)),
    })
}

/// Measures who signed blocks: each is its coinbase's input script.
///
/// # Errors
/// There are no blocks.
pub fn blocks(scripts: &[Vec<u8>], source: Source) -> Result<Report, LabError> {
    let mut counts: BTreeMap<Tag, u64> = BTreeMap::new();
    let mut texts: BTreeMap<String, u64> = BTreeMap::new();
    for script in scripts {
        let tag = tags::attribute(script);
        *counts.entry(tag).or_default() += 1;
        if tag == Tag::Unknown {
            *texts.entry(tags::readable(script)).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return Err(LabError::new("there are no blocks to look at: ask for at least one"));
    }
    let weights = counts
        .iter()
        .map(|(tag, count)| {
            let group = tags::friends_of_antpool(tag.name()).map(String::from);
            (tag.name().to_owned(), *count as f64, group)
        })
        .collect();
    let mut report = report(&Pools::of_weights(weights, source.clone())?)?;
    let unknown: u64 = texts.values().sum();
    report.name = "spread blocks";
    report.finding = format!(
        "Of the last {} blocks: {} {unknown} carry no known mark and are counted as one.",
        scripts.len(),
        report.finding
    );
    report.inputs.push(Input { name: "blocks", value: Cell::Count(scripts.len() as u64), source });
    report.inputs.push(Input {
        name: "pool_tags",
        value: "coinbase marks".into(),
        source: tags::source(),
    });
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut table = Table::new(
        "unknown",
        "Coinbases without a known mark, the most frequent texts",
        [Column::new("coinbase_text", "coinbase says"), Column::new("blocks", "blocks")],
    );
    for (text, count) in texts.into_iter().take(TEXTS) {
        table.row([text.into(), Cell::Count(count)]);
    }
    report.tables.push(table);
    Ok(report)
}

pub(super) fn measures(by: [Option<&Shares>; 3]) -> Table {
    let mut table = Table::new(
        "metrics",
        "Concentration",
        [
            Column::new("metric", "measure"),
            Column::new("by_pool", "by pool"),
            Column::new("by_cluster", "by template maker"),
            Column::new("by_country", "by country"),
            Column::new("meaning", "what it says"),
        ],
    );
    let found = by.map(|shares| shares.map(|s| (s.concentration(), s)));
    let mut row = |name: &str, meaning: &str, cell: &dyn Fn(&Concentration, &Shares) -> Cell| {
        let [pool, cluster, country] =
            found.map(|found| found.map_or(Cell::Missing, |(c, s)| cell(&c, s)));
        table.row([name.into(), pool, cluster, country, meaning.into()]);
    };
    row("members", "how many there are", &|c, _| Cell::Count(c.members));
    for ((name, cell), meaning) in MEASURES.iter().zip(MEANINGS) {
        row(name, meaning, &|c, s| cell(c, s));
    }
    table
}

fn list(pools: &Pools) -> Table {
    let mut table = Table::new(
        "pools",
        "Who hashes how much",
        [
            Column::new("name", "name"),
            Column::new("share_pct", "share, %"),
            Column::new("cluster", "template maker"),
            Column::new("country", "country"),
        ],
    );
    for pool in pools.list() {
        table.row([
            pool.name.clone().into(),
            Cell::Number(100.0 * pool.share, 1),
            pool.cluster.clone().into(),
            pool.country.clone().into(),
        ]);
    }
    table
}

fn chart(pools: &Pools) -> Chart {
    let mut bars = pools.by(makers(pools)).unwrap_or_default();
    let rest: f64 = bars.iter().skip(BARS).map(|(_, share)| share).sum();
    let more = bars.len() > BARS;
    bars.truncate(BARS);
    if more {
        bars.push(("all others".into(), rest));
    }
    bars.iter_mut().for_each(|(_, share)| *share *= 100.0);
    Chart {
        title: "Who makes the templates".into(),
        x: Axis::linear("pool"),
        y: Axis::linear("share of all hashrate, %"),
        content: Content::Bars(bars),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_list_reports_the_figures_of_the_reference() {
        let report = report(&Pools::published()).unwrap();
        let shown: Vec<_> = report.tables[0].rows.iter().map(|row| row[1].text()).collect();
        assert_eq!(
            shown,
            ["9", "2", "2,106", "4.75", "0.498", "2.549", "30.0", "59.0", "71.0", "95.0"]
        );
        assert!(report.finding.starts_with("2 of 9 pools"), "{}", report.finding);
        assert!(report.to_text(Some(100)).contains("mainnet.observer"));
    }

    #[test]
    fn a_list_with_everything_is_measured_three_ways() {
        let text = "name,share,cluster,country\na,.3,x,US\nb,.3,x,CN\nc,.4,,US\n";
        let report = report(&Pools::from_csv(text, "pools.csv").unwrap()).unwrap();
        let nakamoto: Vec<_> = report.tables[0].rows[1].iter().map(Cell::text).collect();
        assert_eq!(nakamoto[1..4], ["2", "1", "1"]);
        assert!(report.finding.contains("1 of 2 template makers"), "{}", report.finding);
        assert!(report.finding.contains("1 of 2 countries"), "{}", report.finding);
    }

    #[test]
    fn blocks_are_counted_by_who_signed_them_and_friends_together() {
        let mut scripts = vec![b"/ViaBTC/".to_vec(); 3];
        scripts.extend(vec![b"Mined by AntPool".to_vec(); 2]);
        scripts.extend(vec![b"/poolin.com".to_vec(); 2]);
        scripts.extend([b"\x03abc".to_vec(), b"\x03abcmy own miner".to_vec()]);
        let report = blocks(&scripts, Source::Node(900_000)).unwrap();
        assert!(report.finding.starts_with("Of the last 9 blocks: 2 of 3"), "{}", report.finding);
        assert!(report.finding.ends_with("2 carry no known mark and are counted as one."));
        assert_eq!(report.tables[0].rows[0][1..3], [Cell::Count(4), Cell::Count(3)]);
        assert!(report.to_text(None).contains("my own miner"));
        assert!(blocks(&[], Source::Node(0)).is_err());
    }

    #[test]
    fn a_long_list_draws_the_largest_and_the_rest() {
        let pools = (0..50).map(|i| (format!("p{i}"), 1.0, None)).collect();
        let pools = Pools::of_weights(pools, crate::report::Source::Flag).unwrap();
        let Content::Bars(bars) = chart(&pools).content else { panic!() };
        assert_eq!(bars.len(), BARS + 1);
        assert!((bars.iter().map(|(_, share)| share).sum::<f64>() - 100.0).abs() < 1e-9);
    }
}
