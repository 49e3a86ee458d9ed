//! What was observed, as a report.

use super::{Observed, Watch};
use crate::{
    LabError, Report,
    report::{Axis, Cell, Chart, Column, Content, Input, Source, Table},
    spread::{
        overview::measures,
        pools::{By, Pools},
        similarity::transactions_alike,
        tags,
    },
};
use std::{collections::BTreeMap, time::Duration};

/// Most addresses named for a pool.
const PAYEES: usize = 2;

/// Most pools named for a template maker.
const MEMBERS: usize = 3;

/// What looks like an alarm and is none.
const CAUTIONS: [(&str, &str); 6] = [
    (
        "paid acceleration",
        "a pool that was paid puts a cheap transaction first: a difference in one branch is no order",
    ),
    (
        "propagation",
        "a pool with a slow link is late on a tip and lacks the newest transactions for seconds",
    ),
    ("races", "two blocks of one height within seconds split honest pools until the next block"),
    ("same mempool", "two honest nodes with the same mempool and rules make the same template"),
    (
        "a pool can show this observer other jobs than its miners",
        "look from several places and under several names",
    ),
    ("tags are claims", "anybody can write any name into a coinbase"),
];

impl Watch {
    /// Everything up to `now`. With a list of shares, pools of the same names are weighted by it.
    ///
    /// # Errors
    /// None of the list's pools were observed.
    pub fn report(&self, now: Duration, weights: Option<&Pools>) -> Result<Report, LabError> {
        let heard: Vec<usize> = (0..self.pools.len())
            .filter(|i| self.pools.get(*i).is_some_and(Observed::has_templates))
            .collect();
        let makers = self.labels(&heard);
        let weighted = self.weighted(&heard, &makers, weights)?;
        let finding = self.finding(now, &heard, weighted.as_ref(), weights.is_some());
        let mut tables = vec![self.pool_table(&makers), self.coinbase_table(), self.pair_table()];
        tables.push(self.alarm_table(now));
        if let Some(pools) = &weighted {
            let by_cluster = pools.shares(By::Cluster)?;
            tables.push(measures([Some(&pools.shares(By::Pool)?), Some(&by_cluster), None]));
        }
        tables.push(cautions());
        let mut inputs = vec![
            Input {
                name: "observed_s",
                value: Cell::Number(now.as_secs_f64(), 0),
                source: Source::Flag,
            },
            Input {
                name: "similarity_threshold",
                value: Cell::Number(self.settings.threshold.0, 2),
                source: self.settings.threshold.1.clone(),
            },
            Input {
                name: "patience_s",
                value: Cell::Number(self.settings.patience.0.as_secs_f64(), 1),
                source: self.settings.patience.1.clone(),
            },
            Input { name: "pool_tags", value: "coinbase marks".into(), source: tags::source() },
        ];
        if let Some(pools) = weights {
            inputs.push(Input {
                name: "shares",
                value: Cell::Count(pools.list().len() as u64),
                source: pools.source().clone(),
            });
        }
        Ok(Report {
            name: "spread templates",
            finding,
            inputs,
            tables,
            chart: (heard.len() > 1).then(|| self.chart(&heard)),
        })
    }

    fn finding(
        &self,
        now: Duration,
        heard: &[usize],
        weighted: Option<&Pools>,
        by_share: bool,
    ) -> String {
        let seconds = now.as_secs();
        let pools = self.pools.iter().filter(|p| !p.own_node).count();
        let mut text = match weighted.map(|w| (w.shares(By::Cluster), w.list().len())) {
            Some((Ok(shares), count)) => {
                let found = shares.concentration();
                let effective = if by_share {
                    format!(
                        ", by their hashrate as concentrated as {:.2} equal ones",
                        found.effective
                    )
                } else {
                    String::new()
                };
                format!(
                    "In {seconds} s, {count} of {pools} pools showed their templates; {} make \
                     them{effective}.",
                    makers_text(found.members)
                )
            }
            _ => format!("In {seconds} s, none of {pools} pools showed a template."),
        };
        if heard.len() < self.pools.len() {
            text += " Who showed none is not counted.";
        }
        let alarms = self.alarms(now);
        let mut loud: Vec<&str> = alarms
            .iter()
            .filter(|a| a.until.is_none())
            .filter_map(|a| self.pools.get(a.source).map(|p| p.name.as_str()))
            .collect();
        loud.dedup();
        text += &match (loud.as_slice(), alarms.len()) {
            ([], 0) => " All built on every new tip in time.".to_owned(),
            ([], n) => format!(" {n} times a pool was late on a new tip and came round."),
            (names, _) => format!(" ALARM: not on the others' tip now: {}.", names.join(", ")),
        };
        text
    }

    /// The name of the template maker that each heard source belongs to.
    fn labels(&self, heard: &[usize]) -> BTreeMap<usize, String> {
        let clusters = self.clusters();
        let mut names: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for i in heard {
            if let (Some(cluster), Some(pool)) = (clusters.of_member(*i), self.pools.get(*i)) {
                names.entry(cluster).or_default().push(&pool.name);
            }
        }
        heard
            .iter()
            .filter_map(|i| {
                let cluster = clusters.of_member(*i)?;
                let members = names.get(&cluster)?;
                let mut label =
                    members.iter().take(MEMBERS).copied().collect::<Vec<_>>().join(", ");
                if members.len() > MEMBERS {
                    label += &format!(" + {}", members.len() - MEMBERS);
                }
                Some((*i, label))
            })
            .collect()
    }

    fn weighted(
        &self,
        heard: &[usize],
        makers: &BTreeMap<usize, String>,
        weights: Option<&Pools>,
    ) -> Result<Option<Pools>, LabError> {
        let mut list = Vec::new();
        for (i, pool) in heard.iter().filter_map(|i| self.pools.get(*i).map(|p| (*i, p))) {
            if pool.own_node {
                continue;
            }
            let weight = match weights {
                None => Some(1.0),
                Some(list) => list.list().iter().find(|p| p.name == pool.name).map(|p| p.share),
            };
            if let Some(weight) = weight {
                list.push((pool.name.clone(), weight, makers.get(&i).cloned()));
            }
        }
        match (list.is_empty(), weights) {
            (true, Some(_)) => Err(LabError::new(
                "the list of shares names none of the observed pools: use the same names, with \
                 --pool NAME=host:port",
            )),
            (true, None) => Ok(None),
            (false, _) => {
                let source = Source::Default { origin: "each pool counted alike", date: "2026" };
                let source = weights.map_or(source, |w| w.source().clone());
                Pools::of_weights(list, source).map(Some)
            }
        }
    }

    fn pool_table(&self, makers: &BTreeMap<usize, String>) -> Table {
        let mut table = Table::new(
            "pools",
            "What each handed out",
            [
                Column::new("name", "pool"),
                Column::new("template_maker", "template maker"),
                Column::new("jobs", "jobs"),
                Column::new("empty_jobs", "empty"),
                Column::new("tip_lag_ms", "behind first on a tip, ms"),
                Column::new("empty_ms", "empty work on a new tip, ms"),
                Column::new("trouble", "trouble"),
            ],
        );
        let tips = self.tips();
        for (i, pool) in self.pools.iter().enumerate() {
            let lags = pool.visits.iter().skip(1).filter_map(|visit| {
                let tip = tips.iter().find(|tip| tip.hash == visit.tip)?;
                (tip.backers.len() > 1).then(|| visit.first.saturating_sub(tip.first))
            });
            let empty =
                pool.visits.iter().skip(1).filter_map(|visit| {
                    visit.first_full.map(|full| full.saturating_sub(visit.first))
                });
            table.row([
                pool.name.clone().into(),
                makers.get(&i).cloned().into(),
                Cell::Count(pool.jobs),
                Cell::Count(pool.empty_jobs),
                mean_ms(lags),
                mean_ms(empty),
                pool.lost.as_ref().map(|(_, why)| why.clone()).into(),
            ]);
        }
        table
    }

    fn coinbase_table(&self) -> Table {
        let mut table = Table::new(
            "coinbases",
            "What their coinbases say and pay",
            [
                Column::new("name", "pool"),
                Column::new("tag", "signed as"),
                Column::new("coinbase_text", "readable"),
                Column::new("pays", "pays, BTC"),
            ],
        );
        for pool in &self.pools {
            if let Some(coinbase) = &pool.coinbase {
                table.row([
                    pool.name.clone().into(),
                    coinbase.tag.name().into(),
                    coinbase.text.clone().into(),
                    payees(&coinbase.outputs).into(),
                ]);
            }
        }
        table
    }

    fn pair_table(&self) -> Table {
        let mut table = Table::new(
            "similarity",
            "How alike the templates are: 0 nothing in common, 1 the same",
            [
                Column::new("a", "pool"),
                Column::new("b", "and pool"),
                Column::new("similarity", "similarity"),
                Column::new("equal_transactions", "transactions surely equal"),
                Column::new("one_maker", "one maker"),
            ],
        );
        let matrix = self.similarities();
        for (i, row) in matrix.iter().enumerate() {
            for (j, value) in row.iter().enumerate().skip(i + 1) {
                let (Some(a), Some(b)) = (self.pools.get(i), self.pools.get(j)) else { continue };
                if !(a.has_templates() && b.has_templates()) {
                    continue;
                }
                let one = value.map(|v| if v >= self.settings.threshold.0 { "yes" } else { "no" });
                table.row([
                    a.name.clone().into(),
                    b.name.clone().into(),
                    value.map_or(Cell::Missing, |v| Cell::Number(v, 3)),
                    value.map(|_| equal_transactions(a, b)).into(),
                    one.into(),
                ]);
            }
        }
        table
    }

    fn alarm_table(&self, now: Duration) -> Table {
        let mut table = Table::new(
            "alarms",
            format!(
                "Pools off the others' tip for more than {} s",
                self.settings.patience.0.as_secs()
            ),
            [
                Column::new("pool", "pool"),
                Column::new("kind", "what it does"),
                Column::new("tip", "the tip in question"),
                Column::new("height", "next height"),
                Column::new("backers", "others on it"),
                Column::new("since_s", "since, s"),
                Column::new("lasted_s", "for, s"),
                Column::new("state", "state"),
            ],
        );
        for alarm in self.alarms(now) {
            let name = self.pools.get(alarm.source).map(|p| p.name.clone());
            let lasted = alarm.until.unwrap_or(now).saturating_sub(alarm.since);
            table.row([
                name.into(),
                alarm.kind.text().into(),
                hex_reversed(&alarm.tip).into(),
                alarm.height.map(u64::from).into(),
                Cell::Count(alarm.backers as u64),
                Cell::Number(alarm.since.as_secs_f64(), 1),
                Cell::Number(lasted.as_secs_f64(), 1),
                if alarm.until.is_some() { "over" } else { "NOW" }.into(),
            ]);
        }
        table
    }

    fn chart(&self, heard: &[usize]) -> Chart {
        let matrix = self.similarities();
        let value = |i: usize, j: usize| {
            matrix.get(i).and_then(|row| row.get(j)).copied().flatten().unwrap_or(f64::NAN)
        };
        let ticks: Vec<f64> = (1..=heard.len()).map(|i| i as f64).collect();
        let names: Vec<String> = heard
            .iter()
            .enumerate()
            .filter_map(|(n, i)| self.pools.get(*i).map(|p| format!("{} {}", n + 1, p.name)))
            .collect();
        let title = format!("How alike the templates are: {}", names.join(", "));
        Chart {
            title: title.chars().take(80).collect(),
            x: Axis::linear("pool, by number"),
            y: Axis::linear("pool, by number"),
            content: Content::Map {
                x: ticks.clone(),
                y: ticks,
                values: heard
                    .iter()
                    .map(|i| heard.iter().map(|j| value(*i, *j)).collect())
                    .collect(),
                label: "similarity, 0 to 1".into(),
            },
        }
    }
}

impl Observed {
    fn has_templates(&self) -> bool {
        self.visits.iter().any(|visit| !visit.templates.is_empty())
    }
}

fn makers_text(makers: u64) -> String {
    if makers == 1 { "only one maker seems to".into() } else { format!("{makers} makers seem to") }
}

fn equal_transactions(a: &Observed, b: &Observed) -> u64 {
    let mut most = 0;
    for (x, y) in a.visits.iter().flat_map(|x| b.visits.iter().map(move |y| (x, y))) {
        if x.tip == y.tip {
            for (one, other) in
                x.templates.iter().flat_map(|one| y.templates.iter().map(move |o| (one, o)))
            {
                most = most.max(transactions_alike(one, other));
            }
        }
    }
    most
}

fn mean_ms(times: impl Iterator<Item = Duration>) -> Cell {
    let (sum, count) = times.fold((0.0, 0u32), |(s, n), t| (s + t.as_secs_f64(), n + 1));
    if count == 0 { Cell::Missing } else { Cell::Number(1e3 * sum / f64::from(count), 0) }
}

fn payees(outputs: &[(String, units::Sats)]) -> String {
    let paid: Vec<_> = outputs.iter().filter(|(_, value)| value.0 > 0).collect();
    let mut text = paid
        .iter()
        .take(PAYEES)
        .map(|(to, value)| format!("{to} {}", value.to_btc()))
        .collect::<Vec<_>>()
        .join(", ");
    if paid.len() > PAYEES {
        text += &format!(" and {} more", paid.len() - PAYEES);
    }
    text
}

fn cautions() -> Table {
    let mut table = Table::new(
        "cautions",
        "Known false alarms",
        [Column::new("what", "what"), Column::new("why", "why it is none")],
    );
    for (what, why) in CAUTIONS {
        table.row([what.into(), why.into()]);
    }
    table
}

/// As explorers print block hashes: the last byte first.
pub(in crate::spread) fn hex_reversed(hash: &[u8; 32]) -> String {
    hash.iter().rev().map(|byte| format!("{byte:02x}")).collect()
}
