//! Who hashes how much: a list of pools or farms, published or read from a CSV.
//!
//! It owns the list, how it is read and how it is grouped. It never opens a file.

use super::metrics::Shares;
use crate::{LabError, report::Source};
use std::collections::{BTreeMap, BTreeSet};
use units::Hashrate;

/// Published shares are rounded; a list may miss one by this much.
const ROUNDING: f64 = 0.005;
/// More than there are pools and large farms in the world.
const MAX_LINES: usize = 1_000_000;

/// Pool shares in %, of 2025. The two smallest stand for all others; `& friends` are the pools that
/// hand out AntPool's templates.
const PUBLISHED: [(&str, f64); 9] = [
    ("AntPool & friends", 30.0),
    ("Foundry USA", 29.0),
    ("ViaBTC", 12.0),
    ("F2Pool", 11.0),
    ("SpiderPool", 8.0),
    ("MARA Pool", 5.0),
    ("SecPool", 3.0),
    ("small pool 1", 1.0),
    ("small pool 2", 1.0),
];

/// A pool or farm.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Of all hashrate, 0 to 1.
    pub share: f64,
    /// Who makes its templates, if that is somebody else.
    pub cluster: Option<String>,
    /// Where it can be given orders.
    pub country: Option<String>,
}

/// All hashrate, divided.
#[derive(Debug, Clone, PartialEq)]
pub struct Pools {
    pools: Vec<Pool>,
    source: Source,
}

/// What counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The name.
    Pool,
    /// Whoever makes the templates; a pool without a cluster makes its own.
    Cluster,
    /// The country.
    Country,
}

impl Pools {
    /// The pools of 2025.
    pub fn published() -> Self {
        let pools = PUBLISHED.map(|(name, percent)| Pool {
            name: name.into(),
            share: percent / 100.0,
            cluster: None,
            country: None,
        });
        let source = Source::Default {
            origin: "mainnet.observer as rounded in darosior/miningsimulation",
            date: "2025-11",
        };
        Self { pools: pools.into(), source }
    }

    /// From numbers of blocks or other weights, with the cluster of each; the largest first.
    ///
    /// # Errors
    /// As [`Shares::of_weights`].
    pub fn of_weights(
        weights: Vec<(String, f64, Option<String>)>,
        source: Source,
    ) -> Result<Self, LabError> {
        Shares::of_weights(weights.iter().map(|(_, weight, _)| (*weight, 1)))?;
        let total: f64 = weights.iter().map(|(_, weight, _)| weight).sum();
        let mut pools: Vec<Pool> = weights
            .into_iter()
            .map(|(name, weight, cluster)| Pool {
                name,
                share: weight / total,
                cluster,
                country: None,
            })
            .collect();
        pools.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.name.cmp(&b.name)));
        Ok(Self { pools, source })
    }

    /// Reads a CSV with a header: `name`; `share` (of one, or with a percent sign) or `hashrate`
    /// (`300 EH/s`); if wanted `cluster` and `country`. Other columns are passed over. `file` is
    /// the name to show.
    ///
    /// # Errors
    /// One sentence that says which line or column to mend.
    pub fn from_csv(text: &str, file: &str) -> Result<Self, LabError> {
        let wrong = |what: String| LabError::new(format!("{file}: {what}"));
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let unreadable = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            wrong(format!("line {line} has not as many fields as the header: mend its commas"))
        };
        let header = reader.headers().map_err(unreadable)?.clone();
        let column = |name: &str| {
            header.iter().position(|h| h.trim_start_matches('\u{feff}').eq_ignore_ascii_case(name))
        };
        let name = column("name")
            .ok_or_else(|| wrong("there is no column \"name\": add one to the header".into()))?;
        let (amount, is_share) = match (column("share"), column("hashrate")) {
            (Some(share), None) => (share, true),
            (None, Some(hashrate)) => (hashrate, false),
            (Some(_), Some(_)) => {
                return Err(wrong("share and hashrate are both given: keep one column".into()));
            }
            (None, None) => {
                return Err(wrong(
                    "there is no column \"share\" or \"hashrate\": add one to the header".into(),
                ));
            }
        };
        let (cluster, country) = (column("cluster"), column("country"));
        let mut pools: Vec<Pool> = Vec::new();
        let mut names = BTreeSet::new();
        for record in reader.records() {
            let record = record.map_err(unreadable)?;
            let line = record.position().map_or(0, csv::Position::line);
            let field = |at: usize| record.get(at).unwrap_or_default();
            let optional =
                |at: Option<usize>| at.map(field).filter(|text| !text.is_empty()).map(String::from);
            let pool = field(name);
            if pool.is_empty() {
                return Err(wrong(format!("line {line} has no name: add one")));
            }
            if !names.insert(pool.to_owned()) {
                return Err(wrong(format!("\"{pool}\" is there twice: put its lines together")));
            }
            let share = if is_share { share(field(amount)) } else { hashrate(field(amount)) }
                .map_err(|what| wrong(format!("line {line}, {pool}: {what}")))?;
            if pools.len() == MAX_LINES {
                return Err(wrong(format!(
                    "there are more than {MAX_LINES} lines: join small ones"
                )));
            }
            pools.push(Pool {
                name: pool.into(),
                share,
                cluster: optional(cluster),
                country: optional(country),
            });
        }
        if pools.is_empty() {
            return Err(wrong("there are no miners: add a line below the header for each".into()));
        }
        let total: f64 = pools.iter().map(|p| p.share).sum();
        if is_share && (total - 1.0).abs() > ROUNDING {
            let hint = if (total - 100.0).abs() < 100.0 * ROUNDING {
                "write them as parts of one (0.30) or with a percent sign (30 %)"
            } else {
                "add a line for the rest, or give a column hashrate instead"
            };
            return Err(wrong(format!("the shares add up to {total:.3}, not to 1: {hint}")));
        }
        if country.is_some()
            && let Some(lost) = pools.iter().find(|p| p.country.is_none())
        {
            return Err(wrong(format!(
                "{} has no country: fill it in, or leave the whole column out",
                lost.name
            )));
        }
        pools.iter_mut().for_each(|p| p.share /= total);
        pools.sort_by(|a, b| b.share.total_cmp(&a.share));
        Ok(Self { pools, source: Source::File(file.into()) })
    }

    /// The pools.
    pub fn list(&self) -> &[Pool] {
        &self.pools
    }

    /// Where the list came from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Names and shares by what counts as one, the largest first; `None` if the list does not say.
    pub fn by(&self, by: By) -> Option<Vec<(String, f64)>> {
        let known = match by {
            By::Pool => true,
            By::Cluster => self.pools.iter().any(|p| p.cluster.is_some()),
            By::Country => self.pools.iter().any(|p| p.country.is_some()),
        };
        known.then(|| {
            let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
            for pool in &self.pools {
                let one = match by {
                    By::Pool => None,
                    By::Cluster => pool.cluster.as_deref(),
                    By::Country => pool.country.as_deref(),
                };
                *sums.entry(one.unwrap_or(&pool.name)).or_default() += pool.share;
            }
            let mut list: Vec<_> =
                sums.into_iter().map(|(n, share)| (n.to_owned(), share)).collect();
            list.sort_by(|a, b| b.1.total_cmp(&a.1));
            list
        })
    }

    /// The shares by what counts as one.
    ///
    /// # Errors
    /// The list does not say.
    pub fn shares(&self, by: By) -> Result<Shares, LabError> {
        let list = self.by(by).ok_or_else(|| {
            let column = if by == By::Country { "country" } else { "cluster" };
            LabError::new(format!("the list has no column {column}: add it"))
        })?;
        Shares::of_weights(list.into_iter().map(|(_, share)| (share, 1)))
    }
}

fn share(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (text, 1.0),
    };
    match number.parse::<f64>() {
        Ok(share) if share.is_finite() && share > 0.0 => Ok(share / scale),
        Ok(0.0) => Err("a share of zero: leave the line out".into()),
        Ok(share) if share < 0.0 => Err(format!("the share {text} is negative: mend it")),
        _ => Err(format!("\"{text}\" is not a share: write 0.30 or 30 %")),
    }
}

fn hashrate(text: &str) -> Result<f64, String> {
    if text.starts_with('-') {
        return Err(format!("the hashrate {text} is negative: mend it"));
    }
    let rate = text.parse::<Hashrate>().map_err(|error| error.to_string())?.hashes_per_second();
    if rate > 0.0 { Ok(rate) } else { Err("a hashrate of zero: leave the line out".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_shares_or_with_hashrates() {
        for text in [
            "name,share\na,0.5\nb,0.3\nc,0.2\n",
            "name,share\na, 50 %\nb,30%\nc,20.0%\n",
            "\u{feff}Name , Hashrate\nb,300 EH/s\na,500EH\nc,2e20\n",
            "link,hashrate,name\nx,5,a\n,3,b\n,2,c\n",
        ] {
            let pools = Pools::from_csv(text, "f").unwrap();
            let shares: Vec<_> = pools.list().iter().map(|p| (p.name.as_str(), p.share)).collect();
            for ((name, share), want) in
                shares.into_iter().zip([("a", 0.5), ("b", 0.3), ("c", 0.2)])
            {
                assert_eq!(name, want.0, "{text}");
                assert!((share - want.1).abs() < 1e-12, "{text}");
            }
            assert_eq!(pools.by(By::Cluster), None);
        }
    }

    #[test]
    fn pools_of_one_cluster_or_country_count_as_one() {
        let text = "name,share,cluster,country\na,.3,big,US\nb,.3,big,CN\nc,.4,,US\n";
        let pools = Pools::from_csv(text, "f").unwrap();
        let names = |by| pools.by(by).unwrap().into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(names(By::Pool), ["c", "a", "b"]);
        assert_eq!(names(By::Cluster), ["big", "c"]);
        assert_eq!(names(By::Country), ["US", "CN"]);
        assert_eq!(pools.shares(By::Pool).unwrap().concentration().nakamoto, 2);
        assert_eq!(pools.shares(By::Cluster).unwrap().concentration().nakamoto, 1);
    }

    #[test]
    fn each_fault_of_a_list_is_one_sentence_that_says_what_to_mend() {
        for (text, said) in [
            ("", "there is no column \"name\": add one to the header"),
            ("pool,share\na,1\n", "there is no column \"name\": add one to the header"),
            ("name\na\n", "there is no column \"share\" or \"hashrate\": add one to the header"),
            ("name,share,hashrate\na,1,1\n", "share and hashrate are both given: keep one column"),
            ("name,share\n", "there are no miners: add a line below the header for each"),
            (
                "name,share\na,.5\nb\n",
                "line 3 has not as many fields as the header: mend its commas",
            ),
            ("name,share\n,1\n", "line 2 has no name: add one"),
            ("name,share\na,.5\na,.5\n", "\"a\" is there twice: put its lines together"),
            ("name,share\na,-0.5\nb,1.5\n", "line 2, a: the share -0.5 is negative: mend it"),
            ("name,share\na,0\nb,1\n", "line 2, a: a share of zero: leave the line out"),
            ("name,share\na,NaN\n", "line 2, a: \"NaN\" is not a share: write 0.30 or 30 %"),
            ("name,hashrate\na,-3\n", "line 2, a: the hashrate -3 is negative: mend it"),
            ("name,hashrate\na,0\n", "line 2, a: a hashrate of zero: leave the line out"),
            (
                "name,hashrate\na,fast\n",
                "line 2, a: \"fast\" is not a hashrate; write it like \"500 GH/s\"",
            ),
            (
                "name,share\na,.5\nb,.3\n",
                "the shares add up to 0.800, not to 1: add a line for the rest, or give a column \
                 hashrate instead",
            ),
            (
                "name,share\na,60\nb,40\n",
                "the shares add up to 100.000, not to 1: write them as parts of one (0.30) or with \
                 a percent sign (30 %)",
            ),
            (
                "name,share,country\na,.5,US\nb,.5,\n",
                "b has no country: fill it in, or leave the whole column out",
            ),
        ] {
            let error = Pools::from_csv(text, "pools.csv").unwrap_err();
            assert_eq!(error.to_string(), format!("pools.csv: {said}"));
        }
    }
}
