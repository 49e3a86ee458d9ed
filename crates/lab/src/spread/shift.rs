//! What a shift of hashrate to homes, flares or heaters changes: the concentration, and what the
//! largest pools or a jurisdiction can order.
//!
//! It never says how the shift comes about.

use super::{
    machine::{self, Machine, needed},
    metrics::{Concentration, Shares},
    pools::{By, Pools},
};
use crate::{
    LabError, Report,
    attack::{
        input::{Share, Stubbornness},
        race::Race,
    },
    report::{Axis, Cell, Chart, Column, Content, Input, Series, Source, Table},
};
use units::{Hashrate, Sats};

/// Steps of the chart, in % of the hashrate.
const CHART_END: usize = 60;
const CHART_STEP: usize = 10;

/// What moves, and what could be ordered.
#[derive(Debug, Clone)]
pub struct Shift {
    /// Of all hashrate, from every pool in proportion.
    pub moved: (f64, Source),
    /// Where to.
    pub to: Machine,
    /// All hashrate.
    pub network: (Hashrate, Source),
    /// Share of all hashrate that one jurisdiction can order about.
    pub jurisdiction: (f64, Source),
    /// New coins and fees of a block.
    pub reward: (Sats, Source),
}

/// Who could order blocks with an unwanted transaction orphaned.
#[derive(Debug, Clone, PartialEq)]
pub struct Coalition {
    /// Who.
    pub name: String,
    /// Share now.
    pub now: f64,
    /// Share after the shift, when those it goes to make their own templates.
    pub after: f64,
}

/// A distribution before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Shifted {
    /// Who get the hashrate.
    pub newcomers: u64,
    /// Now.
    pub now: Shares,
    /// When each newcomer makes its own templates.
    pub alone: Shares,
    /// When all newcomers join the largest pool.
    pub joined: Shares,
    /// The largest one, two and three, and the jurisdiction.
    pub coalitions: Vec<Coalition>,
}

impl Shift {
    /// Computes it for these pools, counted by who makes the templates where the list says so.
    ///
    /// # Errors
    /// A share outside 0 to 1, or what [`needed`] refuses.
    pub fn of(&self, pools: &Pools) -> Result<Shifted, LabError> {
        let moved = self.moved.0;
        let jurisdiction = self.jurisdiction.0;
        if !(jurisdiction > 0.0 && jurisdiction < 1.0) {
            return Err(LabError::new(format!(
                "the jurisdiction's share is {} %: give more than 0 and less than 100",
                100.0 * jurisdiction
            )));
        }
        let newcomers = needed(&self.to, moved, self.network.0)?.replacing.ceil().max(1.0) as u64;
        let by = makers(pools);
        let list = pools.by(by).unwrap_or_default();
        let weights = |moved_to_largest: f64| {
            list.iter().enumerate().map(move |(i, (_, share))| {
                let gained = if i == 0 { moved_to_largest } else { 0.0 };
                (share * (1.0 - moved) + gained, 1)
            })
        };
        let now = pools.shares(by)?;
        let alone =
            Shares::of_weights(weights(0.0).chain([(moved / newcomers as f64, newcomers)]))?;
        let joined = Shares::of_weights(weights(moved))?;
        let mut coalitions: Vec<Coalition> = (1..=3.min(list.len()))
            .map(|k| Coalition {
                name: match k {
                    1 => format!("largest ({})", list.first().map_or("", |(name, _)| name)),
                    k => format!("largest {k} together"),
                },
                now: now.top(k as u64),
                // The same pools as now, whoever may be larger by then.
                after: now.top(k as u64) * (1.0 - moved),
            })
            .collect();
        coalitions.push(Coalition {
            name: "jurisdiction".into(),
            now: jurisdiction,
            after: jurisdiction * (1.0 - moved),
        });
        Ok(Shifted { newcomers, now, alone, joined, coalitions })
    }

    /// The whole analysis.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn report(&self, pools: &Pools) -> Result<Report, LabError> {
        let found = self.of(pools)?;
        let percent = machine::percent(self.moved.0);
        let newcomers = machine::count(found.newcomers as f64);
        let kind = machine::plural(self.to.kind);
        let (now, after) = (found.now.concentration(), found.alone.concentration());
        let verdict: Vec<String> =
            found.coalitions.iter().filter(|c| c.now > 0.5).map(verdict).collect();
        let verdict = if verdict.is_empty() {
            "Nobody listed held half before.".to_owned()
        } else {
            verdict.join(" ")
        };
        let finding = format!(
            "Moving {percent} % of the hashrate to {newcomers} {kind}, each making its own \
             templates, takes the fewest who hold more than half from {} to {} \
             and the effective number of template makers from {:.2} to {:.2}. {verdict} If all of \
             them join the largest pool instead, the effective number becomes {:.2}: it is the \
             template that counts, not where the machine stands.",
            now.nakamoto,
            after.nakamoto,
            now.effective,
            after.effective,
            found.joined.concentration().effective,
        );
        Ok(Report {
            name: "spread shift",
            finding,
            inputs: self.inputs(pools),
            tables: vec![metrics_table(&found), self.threshold_table(&found)],
            chart: Some(self.chart(&found)),
        })
    }

    fn threshold_table(&self, found: &Shifted) -> Table {
        let mut table = Table::new(
            "threshold",
            "What each could enforce by orphaning: P(orphaned) of a block it does not want, and the fee that makes including it pay all the same (1/2 is the tipping point)",
            [
                Column::new("coalition", "who"),
                Column::new("now_pct", "now, %"),
                Column::new("after_pct", "after, %"),
                Column::new("orphan_probability_now", "P(orphaned) now"),
                Column::new("orphan_probability_after", "after"),
                Column::new("fee_now_btc", "fee to outbid, BTC"),
                Column::new("fee_after_btc", "after, BTC"),
                Column::new("shift_below_half_pct", "majority ends at, %"),
            ],
        );
        for coalition in &found.coalitions {
            let (now, after) = (self.enforced(coalition.now), self.enforced(coalition.after));
            let chance = |(orphaned, _)| Cell::Number(orphaned, 4);
            let fee = |(_, fee)| Cell::Figure(fee);
            table.row([
                coalition.name.clone().into(),
                Cell::Number(100.0 * coalition.now, 1),
                Cell::Number(100.0 * coalition.after, 1),
                now.map(chance).into(),
                after.map(chance).into(),
                now.map(fee).into(),
                after.map(fee).into(),
                match shift_below_half(coalition.now) {
                    Some(shift) => Cell::Number(100.0 * shift, 1),
                    None => Cell::Missing,
                },
            ]);
        }
        table
    }

    /// P(orphaned) of a block that this share never builds on (section 5, game G2), and the fee in
    /// bitcoin that makes including pay all the same; infinite for a majority, nothing for nobody.
    fn enforced(&self, share: f64) -> Option<(f64, f64)> {
        let race = Race::alone(Share::new("share", share).ok()?);
        let fee = race.inclusion_fee(self.reward.0, Stubbornness::Forever);
        let fee = fee.map_or(f64::INFINITY, |fee| fee.0 as f64 / 1e8);
        Some((race.orphaned(Stubbornness::Forever), fee))
    }

    fn chart(&self, found: &Shifted) -> Chart {
        let steps = (0..=CHART_END).step_by(CHART_STEP).map(|percent| percent as f64);
        let series = found.coalitions.iter().map(|coalition| Series {
            name: coalition.name.clone(),
            points: steps.clone().map(|x| (x, 100.0 * coalition.now * (1.0 - x / 100.0))).collect(),
            band: Vec::new(),
        });
        let half = Series {
            name: "1/2: the tipping point".into(),
            points: vec![(0.0, 50.0), (CHART_END as f64, 50.0)],
            band: Vec::new(),
        };
        Chart {
            title: "Who holds how much when hashrate moves to many small miners".into(),
            x: Axis::linear("hashrate moved, %"),
            y: Axis::linear("share of all hashrate, %"),
            content: Content::Lines(series.chain([half]).collect()),
        }
    }

    fn inputs(&self, pools: &Pools) -> Vec<Input> {
        let input = |name, value, source: &Source| Input { name, value, source: source.clone() };
        let mut inputs = vec![
            input("pools", Cell::Count(pools.list().len() as u64), pools.source()),
            input("moved_pct", Cell::Number(100.0 * self.moved.0, 1), &self.moved.1),
            input(
                "network_hashrate_ehs",
                Cell::Figure(self.network.0.hashes_per_second() / 1e18),
                &self.network.1,
            ),
            input(
                "jurisdiction_pct",
                Cell::Number(100.0 * self.jurisdiction.0, 1),
                &self.jurisdiction.1,
            ),
            input("block_reward_btc", Cell::exact(self.reward.0.0 as f64 / 1e8), &self.reward.1),
        ];
        inputs.extend(self.to.inputs());
        inputs
    }
}

/// Those who make templates, as far as the list says.
pub(super) fn makers(pools: &Pools) -> By {
    if pools.by(By::Cluster).is_some() { By::Cluster } else { By::Pool }
}

/// The share of all hashrate that must move before a majority is none: 1 - 1 / (2 share); `None`
/// without a majority.
pub fn shift_below_half(share: f64) -> Option<f64> {
    (share > 0.5).then(|| 1.0 - 0.5 / share)
}

fn verdict(coalition: &Coalition) -> String {
    let ends = 100.0 * shift_below_half(coalition.now).unwrap_or_default();
    let (now, after) = (100.0 * coalition.now, 100.0 * coalition.after);
    let name = &coalition.name;
    if coalition.after <= 0.5 {
        format!(
            "The {name} held {now:.1} % and would hold {after:.1} %: no majority (it ends at a shift of {ends:.1} %)."
        )
    } else {
        format!(
            "The {name} would go from {now:.1} to {after:.1} % and keep a majority until {ends:.1} % have moved."
        )
    }
}

fn metrics_table(found: &Shifted) -> Table {
    let mut table = Table::new(
        "metrics",
        "Concentration of template making",
        [
            Column::new("metric", "measure"),
            Column::new("now", "now"),
            Column::new("after_own_templates", "after, own templates"),
            Column::new("after_largest_pool", "after, all in the largest pool"),
        ],
    );
    let all = [&found.now, &found.alone, &found.joined];
    let [now, alone, joined] = all.map(Shares::concentration);
    let mut row = |name: &str, cell: &dyn Fn(&Concentration, &Shares) -> Cell| {
        table.row([
            name.into(),
            cell(&now, &found.now),
            cell(&alone, &found.alone),
            cell(&joined, &found.joined),
        ]);
    };
    row("members", &|c, _| Cell::Count(c.members));
    for (name, cell) in super::MEASURES {
        row(name, &|c, s| cell(c, s));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spread::machine::{Kind, default_network};

    fn shift(moved: f64) -> Shift {
        Shift {
            moved: (moved, Source::Flag),
            to: Machine::default_of(Kind::Home).unwrap(),
            network: default_network(),
            jurisdiction: (0.36, Source::Flag),
            reward: (Sats(312_500_000), Source::Flag),
        }
    }

    #[test]
    fn the_two_largest_lose_their_majority_at_a_shift_of_15_25_percent() {
        let pools = Pools::published();
        assert_eq!(format!("{:.4}", shift_below_half(0.59).unwrap()), "0.1525");
        for (moved, majority) in [(0.15, true), (0.1525, true), (0.16, false)] {
            let found = shift(moved).of(&pools).unwrap();
            assert_eq!(found.coalitions[1].after > 0.5, majority, "{moved}");
            assert_eq!(found.alone.concentration().nakamoto == 2, majority, "{moved}");
        }
        assert_eq!(shift_below_half(0.5), None);
    }

    #[test]
    fn a_newcomer_of_any_size_is_not_one_of_todays_largest() {
        let one = "own=1e20W,1,8760".parse().unwrap();
        let found = Shift { to: one, ..shift(0.25) }.of(&Pools::published()).unwrap();
        assert_eq!(found.newcomers, 1);
        for (coalition, after) in found.coalitions.iter().zip([0.225, 0.4425, 0.5325, 0.27]) {
            assert!((coalition.after - after).abs() < 1e-12, "{coalition:?}");
        }
        let half = Coalition { name: "a".into(), now: 1.0, after: 0.5 };
        assert!(verdict(&half).contains("no majority"), "half is not more than half");
    }

    #[test]
    fn many_small_miners_add_nothing_to_the_index_but_take_their_share_from_the_rest() {
        let found = shift(0.25).of(&Pools::published()).unwrap();
        // 2,106 x 0.75^2; each newcomer's square vanishes.
        let after = found.alone.concentration();
        assert!((after.hhi - 2106.0 * 0.5625).abs() < 0.01, "{after:?}");
        assert_eq!(after.members, 9 + found.newcomers);
        // In the largest pool they make it worse: 22.5 + 25 %.
        assert!((found.joined.top(1) - 0.475).abs() < 1e-12);
        assert!(found.joined.concentration().hhi > found.now.concentration().hhi);
    }

    #[test]
    fn a_jurisdiction_s_order_costs_what_section_5_says() {
        let shift = shift(0.25);
        for (share, probability, fee) in [
            (0.25, ".1111", ".39"),
            (0.29, ".1668", ".63"),
            (0.36, ".3164", "1.45"),
            (0.49, ".9231", "37.5"),
        ] {
            let (orphaned, fee_btc) = shift.enforced(share).unwrap();
            assert_eq!(format!("{orphaned:.4}").trim_start_matches('0'), probability);
            let decimals = if fee == "37.5" { 1 } else { 2 };
            let got = format!("{:.decimals$}", fee_btc);
            assert_eq!(got.trim_start_matches('0'), fee);
        }
        assert_eq!(shift.enforced(0.51), Some((1.0, f64::INFINITY)));
        assert_eq!(shift.enforced(0.0), None);
        // 36 % become 27 %.
        let found = shift.of(&Pools::published()).unwrap();
        assert!((found.coalitions[3].after - 0.27).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_shift_is_refused() {
        let pools = Pools::published();
        for bad in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(shift(bad).of(&pools).is_err(), "{bad}");
            let odd = Shift { jurisdiction: (bad, Source::Flag), ..shift(0.1) };
            assert!(odd.of(&pools).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_with_clusters_is_counted_by_who_makes_the_templates() {
        let text = "name,share,cluster\na,.2,x\nb,.2,x\nc,.35,\nd,.25,\n";
        let found = shift(0.1).of(&Pools::from_csv(text, "f").unwrap()).unwrap();
        assert!((found.coalitions[0].now - 0.4).abs() < 1e-12);
        assert!(found.coalitions[0].name.contains('x'));
    }

    #[test]
    fn the_report_says_what_it_takes_and_what_does_not_count() {
        let report = shift(0.25).report(&Pools::published()).unwrap();
        for said in ["from 2 to 3", "4.75", "no majority", "the template that counts"] {
            assert!(report.finding.contains(said), "{said}: {}", report.finding);
        }
        assert_eq!(report.tables.len(), 2);
        assert!(report.chart.is_some());
    }
}
